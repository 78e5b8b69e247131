"""A small GPT that learns to write one character after the other: causal attention, residual blocks, a `CharDataset`.

    tapegrad run examples/char_gpt.py [FILE]

Learns the text below, or that of a file, for example the tiny Shakespeare of A. Karpathy's char-rnn. `CharDataset` is
tapegrad's own; all else is PyTorch's, and one with the same samples is all that it needs there.

Reference: A. Radford, K. Narasimhan, T. Salimans, I. Sutskever, "Improving Language Understanding by Generative
Pre-Training" (2018).

Prints, with tapegrad and with PyTorch:

    621 characters, 40 different ones, 57320 parameters
    step  50  loss 1.705
    step 100  loss 1.215
    step 150  loss 0.648
    step 200  loss 0.383
    step 250  loss 0.295
    step 300  loss 0.217
    Shall I compare thee to a summer's day?
    Thou art more lovely
"""

import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import CharDataset, DataLoader, RandomSampler

TEXT = """\
Shall I compare thee to a summer's day?
Thou art more lovely and more temperate:
Rough winds do shake the darling buds of May,
And summer's lease hath all too short a date;
Sometime too hot the eye of heaven shines,
And often is his gold complexion dimm'd;
And every fair from fair sometime declines,
By chance or nature's changing course untrimm'd;
But thy eternal summer shall not fade,
Nor lose possession of that fair thou ow'st;
Nor shall death brag thou wander'st in his shade,
When in eternal lines to time thou grow'st:
So long as men can breathe or eyes can see,
So long lives this, and this gives life to thee.
"""


class Block(nn.Module):
    """Attention to what came before and a small network, each added to its input: (B, T, C) to (B, T, C)."""

    def __init__(self, features, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(features), nn.LayerNorm(features)
        self.three = nn.Linear(features, 3 * features)
        self.joined = nn.Linear(features, features)
        self.network = nn.Sequential(nn.Linear(features, 4 * features), nn.GELU(), nn.Linear(4 * features, features))

    def attend(self, x):
        b, t, c = x.shape
        q, k, v = self.three(x).view(b, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)  # 3 x (B, H, T, D)
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.joined(out.transpose(1, 2).reshape(b, t, c))

    def forward(self, x):
        x = x + self.attend(self.norm1(x))
        return x + self.network(self.norm2(x))


class GPT(nn.Module):
    """Characters (B, T) as numbers to scores (B, T, V) of the next ones."""

    def __init__(self, letters, length, features=64, heads=4, layers=1):
        super().__init__()
        self.letter = nn.Embedding(letters, features)
        self.place = nn.Embedding(length, features)
        self.blocks = nn.Sequential(*(Block(features, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(features)
        self.scores = nn.Linear(features, letters)

    def forward(self, x):
        x = self.letter(x) + self.place(torch.arange(x.shape[1]))
        return self.scores(self.norm(self.blocks(x)))

    @torch.no_grad()
    def write(self, x, count):
        """The numbers x (T,) and `count` more, each the most likely next one."""
        for _ in range(count):
            last = self(x[None, -self.place.num_embeddings :])[0, -1]  # (V,)
            x = torch.cat([x, last.argmax()[None]])
        return x


torch.manual_seed(0)
text = Path(sys.argv[1]).read_text(encoding="utf-8") if len(sys.argv) > 1 else TEXT
characters = CharDataset(text, block_size=32)
loader = DataLoader(characters, batch_size=16, sampler=RandomSampler(characters, num_samples=16 * 300))
model = GPT(characters.vocab_size, length=32)
optimizer = torch.optim.AdamW(model.parameters(), lr=8e-3)
scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, total_iters=300)
size = sum(p.numel() for p in model.parameters())
print(f"{len(text)} characters, {characters.vocab_size} different ones, {size} parameters")

for step, (x, target) in enumerate(loader, 1):
    loss = F.cross_entropy(model(x).flatten(0, 1), target.flatten())
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    scheduler.step()
    if step % 50 == 0:
        print(f"step {step:3}  loss {loss.item():.3f}")

print(characters.decode(model.write(characters.encode(text[:32]), 28)))
