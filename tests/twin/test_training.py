"""Whole trainings from one seed in both packages: the same 100 losses, up to rounding that grows with the steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import tapegrad  # noqa: E402

STEPS = 100


def mlp(T: Any) -> tuple[Any, Any, Callable]:
    """The documents' network, on labels that a fixed random network gives; SGD with momentum, a shuffled data set."""
    nn = T.nn
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    x = T.randn(320, 1, 8, 8)
    y = (x.flatten(1) @ T.randn(64, 10)).argmax(1)
    data = T.utils.data.TensorDataset(x, y)
    loader = T.utils.data.DataLoader(data, batch_size=32, shuffle=True)
    batches = ((a, b) for _ in range(STEPS) for a, b in loader)
    optimizer = T.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    return model, optimizer, lambda: nn.functional.cross_entropy(*apply(model, next(batches)))


def apply(model: Any, batch: tuple) -> tuple:
    return model(batch[0]), batch[1]


def cnn(T: Any) -> tuple[Any, Any, Callable]:
    """Convolutions, batch normalisation, pooling and dropout; Adam with a schedule."""
    nn = T.nn
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout2d(0.1),
        nn.Conv2d(8, 16, 3), nn.GELU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.25), nn.Linear(64, 5),
    )  # fmt: skip
    x, y = T.rand(64, 1, 12, 12), T.randint(0, 5, (64,))
    optimizer = T.optim.Adam(model.parameters(), lr=2e-3)
    schedule = T.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)

    def loss() -> Any:
        if optimizer.state:
            schedule.step()
        rows = T.randperm(64)[:16]
        return nn.functional.cross_entropy(model(x[rows]), y[rows], label_smoothing=0.05)

    return model, optimizer, loss


def gpt(T: Any) -> tuple[Any, Any, Callable]:
    """A small language model: embeddings, causal attention, layer normalisation, GELU, dropout, AdamW, clipping."""
    nn, F = T.nn, T.nn.functional
    width, heads, length, vocabulary = 32, 4, 16, 24

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.attend, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.mlp = nn.Sequential(
                nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), nn.Dropout(0.1)
            )

        def forward(self, x):
            B, L, C = x.shape
            q, k, v = (
                t.view(B, L, heads, C // heads).transpose(1, 2) for t in self.attend(self.norm1(x)).chunk(3, dim=-1)
            )
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + F.dropout(self.out(y.transpose(1, 2).reshape(B, L, C)), 0.1, self.training)
            return x + self.mlp(self.norm2(x))

    class GPT(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
            self.blocks = nn.ModuleList([Block() for _ in range(2)])
            self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)
            self.apply(self.begin)

        def begin(self, module):
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=0.02)

        def forward(self, tokens):
            x = self.tokens(tokens) + self.places(T.arange(tokens.shape[1]))
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x))

    model = GPT()
    text = T.randint(0, vocabulary, (40,)).repeat(10)
    optimizer = T.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1, betas=(0.9, 0.95))

    def loss() -> Any:
        starts = T.randint(0, len(text) - length - 1, (8,)).tolist()
        x = T.stack([text[i : i + length] for i in starts])
        y = T.stack([text[i + 1 : i + length + 1] for i in starts])
        return F.cross_entropy(model(x).view(-1, vocabulary), y.view(-1))

    return model, optimizer, loss


def lstm(T: Any) -> tuple[Any, Any, Callable]:
    """Two recurrent layers with dropout between them that continue sines; RMSprop."""
    nn = T.nn

    class Continue(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(1, 16, num_layers=2, dropout=0.1, batch_first=True)
            self.head = nn.Linear(16, 1)

        def forward(self, x):
            return self.head(self.lstm(x)[0])

    model = Continue()
    optimizer = T.optim.RMSprop(model.parameters(), lr=2e-3)

    def loss() -> Any:
        phase = T.rand(12, 1, 1) * 2 * math.pi
        wave = (T.arange(21.0).reshape(1, 21, 1) * 0.3 + phase).sin() + 0.01 * T.randn(12, 21, 1)
        return nn.functional.mse_loss(model(wave[:, :-1]), wave[:, 1:])

    return model, optimizer, loss


def train(T: Any, make: Callable) -> list[float]:
    T.manual_seed(0)
    model, optimizer, loss_of = make(T)
    model.train()
    losses = []
    for _ in range(STEPS):
        loss = loss_of()
        optimizer.zero_grad()
        loss.backward()
        if make is gpt:
            T.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.fixture(autouse=True)
def one_thread():
    """Threads of two packages that wait by spinning make small steps 30 times slower."""
    before = [(T, T.get_num_threads()) for T in (tapegrad, torch)]
    for T, _ in before:
        T.set_num_threads(1)
    yield
    for T, n in before:
        T.set_num_threads(n)


@pytest.mark.parametrize("make", [mlp, cnn, gpt, lstm], ids=lambda make: make.__name__)
def test_losses(make):
    ours, theirs = train(tapegrad, make), train(torch, make)
    assert ours[-1] < ours[0]
    off = [abs(a - b) / abs(b) for a, b in zip(ours, theirs, strict=True)]
    assert max(off[:20]) < 1e-4, off[:20]
    assert max(off) < 1e-2, max(off)


@pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"),
    reason="PyTorch rounds uniform numbers twice here",
)
def test_fingerprints_are_the_same_in_both():
    """Initial weights are the same bits, so they have the same fingerprint."""
    found = []
    for T in (tapegrad, torch):
        T.manual_seed(3)
        model = T.nn.Sequential(T.nn.Linear(4, 5), T.nn.BatchNorm1d(5), T.nn.Conv2d(2, 3, 3))
        found.append(tapegrad.testing.fingerprint(model, [0.5, 1], {"a": T.ones(2, dtype=T.bfloat16)}))
    assert found[0] == found[1]
