"""`tapegrad demo`: the network of the PyTorch beginners' documents, trained on digits and drawn.

Written against PyTorch's public names only, as a user would write it.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

import tapegrad as torch
from tapegrad import nn
from tapegrad.utils.data import DataLoader, random_split
from tapegrad.vision import datasets
from tapegrad.vision.transforms import ToTensor

EPOCHS = {"digits": 10, "mnist": 2}
TEST_SHARE = 0.2  # of the digits; MNIST has its own test images
ROWS, COLUMNS = 4, 8  # of the picture's grid
RIGHT, WRONG = "#1a7f37", "#cf222e"


class NeuralNetwork(nn.Module):
    """Three linear layers with ReLU between them: (B, C, H, W) images to (B, classes) scores."""

    def __init__(self, pixels: int, classes: int = 10) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.linear_relu_stack = nn.Sequential(
            nn.Linear(pixels, 512),
            nn.ReLU(),
            nn.Linear(512, 512),
            nn.ReLU(),
            nn.Linear(512, classes),
        )

    def forward(self, x: Any) -> Any:
        return self.linear_relu_stack(self.flatten(x))


def main(
    dataset: str = "digits",
    data: str | None = None,
    epochs: int | None = None,
    batch_size: int = 64,
    lr: float = 1e-3,
    seed: int = 0,
    out: str = "tapegrad-demo.png",
    quiet: bool = False,
) -> float:
    """Train, print the accuracy on test images, write the picture `out`; return the accuracy (0 to 1).

    `dataset` is "digits" (part of tapegrad) or "mnist" (idx files, plain or gzipped, in the folder `data`).
    Raises OSError if the folder of the data or of the picture is missing, or a file of the data missing or damaged.
    """
    if not Path(out).parent.is_dir():
        raise FileNotFoundError(f"no folder {Path(out).parent} for the picture")
    started = time.perf_counter()
    torch.manual_seed(seed)
    train, test = _load(dataset, data, seed)
    image, _ = train[0]
    model = NeuralNetwork(image.numel())
    if not quiet:
        count = sum(p.numel() for p in model.parameters())
        size = "x".join(str(n) for n in image.shape[1:])
        print(f"{dataset}: {len(train):,} training and {len(test):,} test images of {size}; {count:,} parameters")
    torch.set_num_threads(1)  # as quick for matrices of this size, and no slower where another program computes
    losses = _train(model, train, epochs or EPOCHS[dataset], batch_size, lr, quiet)
    images, labels, answers = _test(model, test)
    right = (answers == labels).sum().item()
    accuracy = right / len(labels)
    seconds = time.perf_counter() - started
    print(f"test accuracy: {100 * accuracy:.1f} % ({right:,} of {len(labels):,} images), {seconds:.1f} s")
    _draw(Path(out), losses, images, labels, answers, accuracy, quiet)
    return accuracy


def _load(dataset: str, data: str | None, seed: int) -> tuple[Any, Any]:
    """Training and test images as datasets of (tensor (1, H, W), label)."""
    if dataset == "mnist":
        if data is None or not Path(data).is_dir():
            raise FileNotFoundError(f"no folder {data}: MNIST's idx files are looked for there")
        try:
            parts = [datasets.MNIST.from_folder(data, train=part, transform=ToTensor()) for part in (True, False)]
        except RuntimeError as error:
            raise OSError(str(error)) from error
        return parts[0], parts[1]
    digits = datasets.Digits(transform=ToTensor())
    test = round(TEST_SHARE * len(digits))
    train, test = random_split(digits, [len(digits) - test, test], generator=torch.Generator().manual_seed(seed))
    return train, test


def _train(model: Any, train: Any, epochs: int, batch_size: int, lr: float, quiet: bool) -> list[float]:
    """Adam on the cross entropy; the loss of every step."""
    loader = DataLoader(train, batch_size=batch_size, shuffle=True)
    loss_fn = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    losses = []
    model.train()
    with tqdm(total=epochs * len(loader), unit="step", disable=quiet) as bar:
        for epoch in range(epochs):
            for x, y in loader:
                loss = loss_fn(model(x), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
                bar.update()
            bar.set_postfix(epoch=f"{epoch + 1}/{epochs}", loss=f"{losses[-1]:.4f}")
    return losses


def _test(model: Any, test: Any) -> tuple[Any, Any, Any]:
    """Test images (N, 1, H, W), their labels (N,) and the model's answers (N,)."""
    images, labels, answers = [], [], []
    model.eval()
    with torch.no_grad():
        for x, y in DataLoader(test, batch_size=256):
            images.append(x)
            labels.append(y)
            answers.append(model(x).argmax(1))
    return torch.cat(images), torch.cat(labels), torch.cat(answers)


def _draw(out: Path, losses: list[float], images: Any, labels: Any, answers: Any, accuracy: float, quiet: bool) -> None:
    """The loss of every step, and test images with the answers: right ones green, wrong ones red."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("no picture: it needs matplotlib (pip install 'tapegrad[plot]')")
        return
    figure: Any = Figure(figsize=(12, 5), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(2, 3))
    axes = left.subplots()
    axes.plot(losses, color="#b6c2cf", linewidth=0.8, label="each step")
    window = max(1, len(losses) // 50)
    means = [sum(losses[i - window : i]) / window for i in range(window, len(losses) + 1)]
    axes.plot(range(window - 1, len(losses)), means, color="#0969da", label=f"mean of {window}")
    axes.set(title="training loss", xlabel="step", ylabel="cross entropy", yscale="log")
    axes.legend()
    right.suptitle(f"answers to test images, {100 * accuracy:.1f} % of {len(labels):,} are right")
    for i, cell in enumerate(right.subplots(ROWS, COLUMNS).flat):
        cell.axis("off")
        if i < len(labels):
            label, answer = labels[i].item(), answers[i].item()
            cell.imshow(images[i, 0].numpy(), cmap="gray_r")
            if answer == label:
                cell.set_title(str(answer), color=RIGHT, fontsize=10)
            else:
                cell.set_title(f"{answer}, not {label}", color=WRONG, fontsize=10)
    figure.savefig(out, dpi=100)
    if not quiet:
        print(f"picture: {out}")
