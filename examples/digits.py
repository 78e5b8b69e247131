"""Handwritten digits, 8x8 pixels: a Dataset of one's own, training and test, the mistakes counted.

    tapegrad run examples/digits.py        python examples/digits.py

The images are those that come with tapegrad: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits",
UCI Machine Learning Repository, 1998, doi:10.24432/C50P49, CC BY 4.0.

Prints, with tapegrad and with PyTorch:

    epoch 2  loss 0.6777  test 291 of 360
    epoch 4  loss 0.1897  test 310 of 360
    epoch 6  loss 0.1080  test 318 of 360
    epoch 8  loss 0.0735  test 323 of 360
    tensor([[33,  0,  0,  0,  1,  0,  1,  0,  0,  0],
            [ 0, 28,  0,  0,  0,  0,  0,  0,  0,  8],
            [ 0,  0, 35,  0,  0,  0,  0,  0,  0,  0],
            [ 0,  0,  3, 30,  0,  3,  0,  1,  0,  0],
            [ 0,  1,  0,  0, 34,  0,  0,  0,  1,  1],
            [ 0,  0,  0,  0,  0, 37,  0,  0,  0,  0],
            [ 0,  3,  0,  0,  0,  0, 34,  0,  0,  0],
            [ 0,  0,  0,  0,  1,  0,  0, 33,  1,  1],
            [ 0,  2,  0,  1,  1,  2,  0,  0, 26,  1],
            [ 0,  0,  0,  0,  0,  2,  0,  1,  1, 33]])
"""

import gzip
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, Subset

FOLDER = Path(__file__).resolve().parent.parent / "tapegrad" / "vision" / "data"


def read(name, header):
    """The bytes of an idx file after its header."""
    return np.frombuffer(gzip.decompress((FOLDER / name).read_bytes()), np.uint8, offset=header)


class Digits(Dataset):
    """Images (1, 8, 8) of ink from 0 to 1, each with its digit."""

    def __init__(self):
        pixels = read("digits-images-idx3-ubyte.gz", header=16)
        labels = read("digits-labels-idx1-ubyte.gz", header=8)
        pixels = pixels.reshape(64, -1).T  # (64, N) to (N, 64)
        self.images = torch.tensor(pixels.reshape(-1, 1, 8, 8), dtype=torch.float32) / 16
        self.labels = torch.tensor(labels, dtype=torch.int64)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        return self.images[i], self.labels[i]


class Network(nn.Module):
    """Two hidden layers: images (B, 1, 8, 8) to scores (B, 10)."""

    def __init__(self):
        super().__init__()
        self.hidden1 = nn.Linear(64, 64)
        self.hidden2 = nn.Linear(64, 32)
        self.scores = nn.Linear(32, 10)

    def forward(self, x):
        x = torch.flatten(x, 1)  # (B, 64)
        x = F.relu(self.hidden1(x))
        x = F.relu(self.hidden2(x))
        return self.scores(x)


def train(model, loader, optimizer):
    """One epoch; the mean loss."""
    model.train()
    total = 0.0
    for images, labels in loader:
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / len(loader)


@torch.no_grad()
def confusion(model, loader):
    """How often digit i was taken for digit j, as a (10, 10) tensor."""
    model.eval()
    counts = torch.zeros(10, 10, dtype=torch.int64)
    for images, labels in loader:
        for true, answer in zip(labels.tolist(), model(images).argmax(dim=1).tolist()):
            counts[true, answer] += 1
    return counts


def main():
    torch.manual_seed(0)
    digits = Digits()
    n = len(digits) - 360  # the last 360 are mostly by other writers
    training = DataLoader(Subset(digits, range(n)), batch_size=32, shuffle=True)
    test = DataLoader(Subset(digits, range(n, len(digits))), batch_size=90)
    model = Network()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    for epoch in range(1, 9):
        loss = train(model, training, optimizer)
        counts = confusion(model, test)
        if epoch % 2 == 0:
            print(f"epoch {epoch}  loss {loss:.4f}  test {counts.diagonal().sum().item()} of {counts.sum().item()}")
    print(counts)


if __name__ == "__main__":
    main()
