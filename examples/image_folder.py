"""Images in folders, one for each class: drawn here, augmented, read by two workers, told apart by a small network.

    tapegrad run examples/image_folder.py        python examples/image_folder.py (needs torchvision)

Prints, with tapegrad and with PyTorch:

    ['circle', 'square', 'triangle'] 180 to train with, 90 to test with
    epoch 1  loss 1.152  test 57 of 90
    epoch 2  loss 0.720  test 70 of 90
    epoch 3  loss 0.553  test 76 of 90
    epoch 4  loss 0.441  test 88 of 90
    epoch 5  loss 0.374  test 89 of 90
"""

import random
import tempfile
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

SIZE = 32


def draw(shape, rng):
    """A picture of one shape in a random colour at a random place, on a random background."""
    picture = Image.new("RGB", (SIZE, SIZE), tuple(rng.randrange(60) for _ in range(3)))
    x, y, r = rng.randint(12, 19), rng.randint(12, 19), rng.randint(7, 10)
    color = tuple(rng.randrange(160, 256) for _ in range(3))
    pen = ImageDraw.Draw(picture)
    if shape == "circle":
        pen.ellipse((x - r, y - r, x + r, y + r), fill=color)
    elif shape == "square":
        pen.rectangle((x - r, y - r, x + r, y + r), fill=color)
    else:
        pen.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], fill=color)
    return picture


def write(folder, count, rng):
    """`count` pictures of each shape: folder/circle/00.png, ..."""
    for shape in ("circle", "square", "triangle"):
        (folder / shape).mkdir(parents=True)
        for i in range(count):
            draw(shape, rng).save(folder / shape / f"{i:02d}.png")


augmented = transforms.Compose([
    transforms.RandomCrop(SIZE, padding=3),
    transforms.RandomHorizontalFlip(),
    transforms.ColorJitter(brightness=0.3, saturation=0.3),
    transforms.ToTensor(),
    transforms.Normalize((0.4, 0.4, 0.4), (0.25, 0.25, 0.25)),
])  # fmt: skip
plain = transforms.Compose(augmented.transforms[-2:])

with tempfile.TemporaryDirectory() as name:
    root = Path(name)
    rng = random.Random(0)
    write(root / "train", 60, rng)
    write(root / "test", 30, rng)
    train = datasets.ImageFolder(root / "train", augmented)
    test = datasets.ImageFolder(root / "test", plain)
    print(train.classes, len(train), "to train with,", len(test), "to test with")

    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 5, stride=2, padding=2),  # (B, 8, 16, 16)
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 24, 5, stride=2, padding=2),  # (B, 24, 8, 8)
        nn.BatchNorm2d(24),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(24 * 8 * 8, len(train.classes)),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    loss_fn = nn.CrossEntropyLoss()

    for epoch in range(5):
        total = 0.0
        model.train()
        for x, y in DataLoader(train, batch_size=20, shuffle=True, num_workers=2):
            loss = loss_fn(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(x)
        model.eval()
        with torch.no_grad():
            right = sum((model(x).argmax(1) == y).sum().item() for x, y in DataLoader(test, batch_size=30))
        print(f"epoch {epoch + 1}  loss {total / len(train):.3f}  test {right} of {len(test)}")
