"""Epochs over data, tapegrad beside PyTorch: the same samples in the same order, interleaved in one process.

    python bench/data.py                    all cases; MNIST from ../shared/data/mnist
    python bench/data.py --rounds 1 --only mnist --data FOLDER

PyTorch's side reads the same files and makes samples as torchvision does (a Pillow image, random draws, a tensor, its
normalisation), written out here, so that torchvision is not needed. Each case is one epoch of a `DataLoader` with
batches of 64. First both sides must give the same batches, bit for bit; then epochs A B A B ... are timed. Printed are
the median time of each side and the median of the ratios, ours / torch. The exit code is 1 if a batch differs.

Without MNIST's files random images stand in for them.
"""

from __future__ import annotations

import io
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _common import libraries, options

BATCH = 64
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


class Case(NamedTuple):
    """One epoch: functions of the images and the options of the loader that give the two datasets."""

    name: str
    images: str  # "mnist", "color", "files"
    ours: Callable[[Any], Any]
    theirs: Callable[[Any], Any]
    options: dict[str, Any]
    target: float | None  # seconds to stay below


# ---- PyTorch's side -------------------------------------------------------------------------------------------------


def torch_sides(torch: Any, Image: Any) -> dict[str, Callable[[Any], Any]]:
    """Datasets for PyTorch whose samples are those of torchvision's."""

    class Samples(torch.utils.data.Dataset):
        def __init__(self, data: Any, transform: Callable[[Any], Any]):
            self.images, self.labels = data
            self.transform = transform

        def __len__(self) -> int:
            return len(self.labels)

        def __getitem__(self, i: int) -> Any:
            image = self.images[i]
            if isinstance(image, str):
                with open(image, "rb") as file:
                    picture = Image.open(file).convert("RGB")
            else:
                picture = Image.fromarray(image)
            return self.transform(picture), int(self.labels[i])

    def to_tensor(picture: Any) -> Any:
        pixels = torch.from_numpy(np.array(picture, np.uint8, copy=True))
        pixels = pixels.view(picture.size[1], picture.size[0], len(picture.getbands()))
        return pixels.permute(2, 0, 1).contiguous().to(torch.float32).div(255)

    def normalized(mean: Iterable[float], std: Iterable[float]) -> Callable[[Any], Any]:
        def apply(x: Any) -> Any:
            center, width = (torch.as_tensor(v, dtype=x.dtype).view(-1, 1, 1) for v in (mean, std))
            return x.clone().sub_(center).div_(width)

        return apply

    def crop_and_flip(picture: Any) -> Any:
        padded = Image.new("RGB", (40, 40))
        padded.paste(picture, (4, 4))
        top = torch.randint(0, 40 - 32 + 1, size=(1,)).item()
        left = torch.randint(0, 40 - 32 + 1, size=(1,)).item()
        picture = padded.crop((left, top, left + 32, top + 32))
        if torch.rand(1) < 0.5:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return picture

    grey, color = normalized((0.1307,), (0.3081,)), normalized(MEAN, STD)
    return {
        "tensor": lambda data: Samples(data, to_tensor),
        "normalized": lambda data: Samples(data, lambda picture: grey(to_tensor(picture))),
        "augmented": lambda data: Samples(data, lambda picture: color(to_tensor(crop_and_flip(picture)))),
        "resized": lambda data: Samples(
            data, lambda p: color(to_tensor(p.resize((64, 64), Image.Resampling.BILINEAR)))
        ),
    }


# ---- our side -------------------------------------------------------------------------------------------------------


def our_sides(tapegrad: Any) -> dict[str, Callable[[Any], Any]]:
    """The datasets and transforms of `tapegrad.vision`, as the documents use them."""
    from tapegrad.vision import datasets
    from tapegrad.vision import transforms as T

    def of_arrays(kind: Any, data: Any, transform: Any) -> Any:
        dataset = kind.__new__(kind)
        datasets.VisionDataset.__init__(dataset, None, transform=transform)
        images, labels = data
        grey = kind is datasets.MNIST
        dataset.data = tapegrad.from_numpy(images) if grey else images
        dataset.targets = tapegrad.tensor(labels) if grey else labels.tolist()
        return dataset

    def of_files(data: Any, transform: Any) -> Any:
        return datasets.ImageFolder(Path(data[0][0]).parent.parent, transform)

    mnist, cifar = datasets.MNIST, datasets.CIFAR10
    normalize = T.Normalize(MEAN, STD)
    augment = [T.RandomCrop(32, padding=4), T.RandomHorizontalFlip(), T.ToTensor(), normalize]
    resize = [T.Resize((64, 64)), T.ToTensor(), normalize]
    plain = T.Compose([T.ToTensor(), T.Normalize((0.1307,), (0.3081,))])
    return {
        "tensor": lambda data: of_arrays(mnist, data, T.ToTensor()),
        "normalized": lambda data: of_arrays(mnist, data, plain),
        "augmented": lambda data: of_arrays(cifar, data, T.Compose(augment)),
        "resized": lambda data: of_files(data, T.Compose(resize)),
    }


def cases(ours: dict[str, Any], theirs: dict[str, Any]) -> list[Case]:
    """All of them."""

    def case(name: str, images: str, side: str, target: float | None = None, **options: Any) -> Case:
        return Case(name, images, ours[side], theirs[side], options, target)

    return [
        case("MNIST, ToTensor, shuffled", "mnist", "tensor", 0.15, shuffle=True),
        case("MNIST, ToTensor, in order", "mnist", "tensor", 0.15),
        case("MNIST, ToTensor, shuffled, 2 workers", "mnist", "tensor", 0.15, shuffle=True, num_workers=2),
        case("MNIST, ToTensor, in order, 2 workers", "mnist", "tensor", 0.15, num_workers=2),
        case("MNIST, ToTensor, Normalize, shuffled", "mnist", "normalized", 0.15, shuffle=True),
        case("CIFAR, crop, flip, Normalize, shuffled", "color", "augmented", None, shuffle=True),
        case("CIFAR, the same with 2 workers", "color", "augmented", None, shuffle=True, num_workers=2),
        case("image files, Resize, shuffled", "files", "resized", None, shuffle=True),
        case("image files, the same with 2 workers", "files", "resized", None, shuffle=True, num_workers=2),
    ]


# ---- data -----------------------------------------------------------------------------------------------------------


def mnist_images(folder: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """MNIST's training images, or random ones."""
    from tapegrad.vision import datasets

    if folder.is_dir():
        data = datasets.MNIST.from_folder(folder)
        return data.data.numpy()[:count], data.targets.numpy()[:count]
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, 28, 28), dtype=np.uint8), rng.integers(0, 10, count)


def color_images(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Random images of CIFAR's size, in memory as CIFAR's are."""
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8).transpose(0, 2, 3, 1), rng.integers(0, 10, count)


def image_files(folder: str, count: int, Image: Any) -> tuple[list[str], np.ndarray]:
    """JPEG files of 160 x 120 pixels in two folders."""
    rng = np.random.default_rng(2)
    soft = rng.integers(0, 256, (8, 6, 8, 3), dtype=np.uint8)
    kinds = []
    for pixels in soft:
        file = io.BytesIO()
        Image.fromarray(pixels).resize((160, 120)).save(file, "jpeg")
        kinds.append(file.getvalue())
    paths = [os.path.join(folder, "ab"[i % 2], f"{i:05d}.jpg") for i in range(count)]
    for i, path in enumerate(paths):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(path).write_bytes(kinds[i % len(kinds)])
    paths.sort()
    return paths, np.array([0 if Path(path).parent.name == "a" else 1 for path in paths])


# ---- measuring ------------------------------------------------------------------------------------------------------


def loader(lib: Any, dataset: Any, options: dict[str, Any]) -> Any:
    return lib.utils.data.DataLoader(dataset, batch_size=BATCH, **options)


def agree(ours: Any, theirs: Any, case: Case, libs: tuple[Any, Any]) -> bool:
    """Whether an epoch gives the same batches, bit for bit."""
    for lib in libs:
        lib.manual_seed(1)
    count = 0
    for (x, y), (a, b) in zip(*(loader(lib, d, case.options) for lib, d in zip(libs, (ours, theirs)))):
        count += 1
        if not (np.array_equal(x.numpy(), a.numpy()) and np.array_equal(y.numpy(), b.numpy())):
            return False
    return count == -(-len(theirs) // BATCH)


def epoch(lib: Any, dataset: Any, options: dict[str, Any]) -> float:
    """Seconds for one epoch."""
    start = time.perf_counter()
    for _ in loader(lib, dataset, options):
        pass
    return time.perf_counter() - start


def measure(case: Case, data: Any, libs: tuple[Any, Any], rounds: int) -> bool:
    """Run one case and print its line; whether the batches agreed."""
    ours, theirs = case.ours(data), case.theirs(data)
    same = agree(ours, theirs, case, libs)
    times = [(epoch(libs[0], ours, case.options), epoch(libs[1], theirs, case.options)) for _ in range(rounds)]
    mine, other = (statistics.median(t[k] for t in times) for k in (0, 1))
    ratio = statistics.median(a / b for a, b in times)
    target = "" if case.target is None else f"{case.target:.2f}"
    verdict = "same batches" if same else "DIFFERENT BATCHES"
    print(f"{case.name:40s} {len(theirs):7d} {mine:9.3f} {other:9.3f} {ratio:7.3f} {target:>7s}  {verdict}", flush=True)
    return same


def main() -> int:
    parser = options(__doc__, rounds=3)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist")
    parser.add_argument(
        "--images", type=int, default=60_000, help="of MNIST; of the other cases a sixth and a sixtieth"
    )
    args = parser.parse_args()
    tapegrad, torch = libraries(args.threads)
    from PIL import Image

    print(f"tapegrad {tapegrad.__version__}, torch {torch.__version__}, batches of {BATCH}, {args.rounds} rounds")
    print(f"{'case':40s} {'images':>7s} {'ours s':>9s} {'torch s':>9s} {'ratio':>7s} {'target':>7s}")
    chosen = [
        case for case in cases(our_sides(tapegrad), torch_sides(torch, Image)) if args.only.lower() in case.name.lower()
    ]
    with tempfile.TemporaryDirectory() as folder:
        sources: dict[str, Callable[[], Any]] = {
            "mnist": lambda: mnist_images(args.data, args.images),
            "color": lambda: color_images(args.images // 6),
            "files": lambda: image_files(folder, args.images // 60, Image),
        }
        data = {name: make() for name, make in sources.items() if any(case.images == name for case in chosen)}
        agreed = [measure(case, data[case.images], (tapegrad, torch), args.rounds) for case in chosen]
    return 0 if all(agreed) else 1


if __name__ == "__main__":
    sys.exit(main())
