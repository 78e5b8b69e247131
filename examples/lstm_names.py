"""An LSTM that learns to spell: sequences of unequal lengths, packed, and states that are carried on.

    tapegrad run examples/lstm_names.py        python examples/lstm_names.py

Reference: A. Graves, "Generating Sequences With Recurrent Neural Networks" (2013).

Prints, with tapegrad and with PyTorch:

    130 names, 999 letters, 23179 parameters
    step  20  loss 2.040
    step  40  loss 1.081
    step  60  loss 0.686
    step  80  loss 0.647
    step 100  loss 0.640
    spelled: kite warbler spoonbill blackbird pelican goldfinch starling
"""

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_sequence

BIRDS = """
albatross avocet bittern blackbird bluebird bullfinch bunting bustard buzzard canary chaffinch chickadee condor coot
cormorant crane crow cuckoo curlew dipper dove duck dunlin eagle egret eider emu falcon finch flamingo flycatcher
gannet godwit goldfinch goose goshawk grebe greenfinch grouse guillemot gull harrier hawk heron hoopoe hornbill
hummingbird ibis jackdaw jay kestrel kingfisher kite kittiwake kiwi lapwing lark linnet loon lyrebird macaw magpie
mallard martin merlin mockingbird moorhen nightingale nightjar nuthatch oriole osprey ostrich owl oystercatcher parrot
partridge peacock pelican penguin petrel pheasant pigeon pintail pipit plover ptarmigan puffin quail raven razorbill
redpoll redshank redstart robin roller rook ruff sandpiper shearwater shrike siskin skua skylark snipe sparrow
spoonbill starling stork swallow swan swift teal tern thrush titmouse toucan treecreeper turnstone vulture wagtail
warbler waxwing wheatear whinchat wigeon woodcock woodpecker wren yellowhammer
""".split()
LETTERS = ".abcdefghijklmnopqrstuvwxyz"  # the dot stands before and after a name


class Speller(nn.Module):
    """Letters as numbers to scores of the next ones."""

    def __init__(self, features=16, hidden=64):
        super().__init__()
        self.embedding = nn.Embedding(len(LETTERS), features)
        self.lstm = nn.LSTM(features, hidden)
        self.scores = nn.Linear(hidden, len(LETTERS))

    def forward(self, packed):
        """A packed batch with N letters to scores (N, 27)."""
        out, _ = self.lstm(packed._replace(data=self.embedding(packed.data)))
        return self.scores(out.data)

    @torch.no_grad()
    def spell(self, start):
        """A name that begins like this: always the most likely letter."""
        name, state = "", None
        for letter in "." + start:
            out, state = self.lstm(self.embedding(torch.tensor([LETTERS.index(letter)])), state)  # (1, H)
            name += letter
        while len(name) < 16:
            letter = LETTERS[self.scores(out)[0].argmax()]
            if letter == ".":
                break
            name += letter
            out, state = self.lstm(self.embedding(torch.tensor([LETTERS.index(letter)])), state)
        return name[1:]


torch.manual_seed(0)
names = [torch.tensor([LETTERS.index(c) for c in f".{name}."]) for name in BIRDS]
letters = pack_sequence([n[:-1] for n in names], enforce_sorted=False)
target = pack_sequence([n[1:] for n in names], enforce_sorted=False).data  # (N,), in the order of `letters`
model = Speller()
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
print(f"{len(names)} names, {len(target)} letters, {sum(p.numel() for p in model.parameters())} parameters")

for step in range(1, 101):
    loss = F.cross_entropy(model(letters), target)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 20 == 0:
        print(f"step {step:3}  loss {loss.item():.3f}")

print("spelled:", " ".join(model.spell(start) for start in ("ki", "wa", "sp", "bl", "pe", "go", "star")))
