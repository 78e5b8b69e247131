"""Batches of images have the bits, and the draws, of single images through Pillow: for every transform there is."""

from __future__ import annotations

import random

import numpy as np
import pytest

import tapegrad as torch
from tapegrad.data import DataLoader, Subset, default_collate, get_worker_info
from tapegrad.vision import datasets, transforms
from tapegrad.vision.datasets.base import ArrayImages
from tapegrad.vision.transforms import InterpolationMode
from tapegrad.vision.transforms.batched import on_batches, split, takes_pixels

pillow = pytest.importorskip("PIL.Image")

T = transforms
BILINEAR = InterpolationMode.BILINEAR
TO = [T.ToTensor()]
NORMALIZE = T.Normalize((0.5,), (0.25,))

# chains that a whole batch goes through: after all of them, a batch is made at once
WHOLE = {
    "ToTensor": TO,
    "PILToTensor": [T.PILToTensor()],
    "Normalize": [*TO, T.Normalize((0.1307,), (0.3081,))],
    "Normalize twice, nested": [T.Compose([*TO, NORMALIZE]), T.Normalize(0.5, 0.5, inplace=True)],
    "ConvertImageDtype": [*TO, T.ConvertImageDtype(torch.float64)],
    "ConvertImageDtype to bytes": [*TO, T.ConvertImageDtype(torch.uint8)],
    "ConvertImageDtype from bytes": [T.PILToTensor(), T.ConvertImageDtype(torch.float32), NORMALIZE],
    "Grayscale": [T.Grayscale(), *TO],
    "Grayscale(3)": [T.Grayscale(3), *TO, NORMALIZE],
    "Grayscale of tensors": [*TO, T.Grayscale(), NORMALIZE],
    "Grayscale(3) of tensors": [*TO, T.Grayscale(3), NORMALIZE],
    "CenterCrop": [T.CenterCrop(6), *TO],
    "CenterCrop beyond": [T.CenterCrop((11, 7)), *TO],
    "CenterCrop of tensors": [*TO, T.CenterCrop((7, 11)), NORMALIZE],
    "Pad": [T.Pad((1, 2, 3, 0), fill=9.7), *TO],
    "Pad by reflection": [T.Pad(2, padding_mode="reflect"), T.Pad(1, padding_mode="edge"), *TO],
    "Pad of tensors": [*TO, T.Pad(2, 0.5), T.Pad((1, 2), padding_mode="symmetric"), NORMALIZE],
    "RandomCrop": [T.RandomCrop(5), *TO],
    "RandomCrop with margin": [T.RandomCrop((8, 9), padding=(2, 1), padding_mode="reflect"), *TO, NORMALIZE],
    "RandomCrop of all": [T.RandomCrop((8, 9)), *TO],
    "RandomCrop if needed": [T.RandomCrop(12, padding=1, pad_if_needed=True, fill=3), *TO],
    "RandomCrop of tensors": [*TO, T.RandomCrop((6, 9), padding=2, fill=0.5), NORMALIZE],
    "RandomHorizontalFlip": [T.RandomHorizontalFlip(), *TO, NORMALIZE],
    "RandomHorizontalFlip of tensors": [*TO, T.RandomHorizontalFlip(0.1), NORMALIZE],
    "RandomVerticalFlip": [T.RandomVerticalFlip(0.9), *TO],
    "RandomVerticalFlip of tensors": [*TO, T.RandomVerticalFlip()],
    "RandomGrayscale": [T.RandomGrayscale(0.5), *TO],
    "RandomGrayscale of tensors": [*TO, T.RandomGrayscale(0.5)],
    "RandomInvert": [T.RandomInvert(), *TO],
    "RandomInvert of tensors": [*TO, T.RandomInvert(), T.RandomInvert(0.0), T.RandomInvert(1.0)],
    "RandomPosterize": [T.RandomPosterize(3), *TO],
    "RandomPosterize of tensors": [T.PILToTensor(), T.RandomPosterize(1)],
    "RandomSolarize": [T.RandomSolarize(100.5), *TO],
    "RandomSolarize of tensors": [*TO, T.RandomSolarize(0.3)],
    "as for CIFAR": [T.RandomCrop(8, padding=4), T.RandomHorizontalFlip(), *TO, NORMALIZE],
    "many": [
        T.RandomInvert(),
        T.RandomCrop(8),
        T.Grayscale(3),
        T.RandomVerticalFlip(),
        *TO,
        T.RandomCrop(4),
        NORMALIZE,
    ],
}
# chains with a step that is done image by image
SINGLE = {
    "Resize": [T.Resize(5), *TO, NORMALIZE],
    "Resize of tensors": [*TO, T.Resize(5, antialias=False)],
    "FiveCrop": [T.FiveCrop(4), T.Lambda(lambda parts: torch.stack([T.ToTensor()(part) for part in parts]))],
    "TenCrop": [T.TenCrop(4), T.Lambda(lambda parts: torch.stack([T.ToTensor()(part) for part in parts]))],
    "ToPILImage": [*TO, T.ToPILImage(), *TO],
    "Lambda": [*TO, T.Lambda(lambda x: x.reshape(-1))],
    "LinearTransformation": [
        *TO,
        T.Lambda(lambda x: x[:1]),
        T.LinearTransformation(torch.rand(72, 72), torch.rand(72)),
    ],
    "RandomResizedCrop": [T.RandomResizedCrop(6), T.RandomHorizontalFlip(), *TO, NORMALIZE],
    "RandomRotation": [T.RandomRotation(30, expand=False), *TO, NORMALIZE],
    "RandomAffine": [T.RandomAffine(30, (0.1, 0.1), (0.5, 2), 10), *TO],
    "RandomPerspective": [T.RandomPerspective(), *TO],
    "ColorJitter": [T.ColorJitter(0.5, 0.5, 0.5, 0.2), T.CenterCrop(6), *TO, NORMALIZE],
    "GaussianBlur": [*TO, T.GaussianBlur(3)],
    "RandomErasing": [*TO, T.RandomErasing(), NORMALIZE],
    "RandomAdjustSharpness": [T.RandomAdjustSharpness(2), *TO],
    "RandomAutocontrast": [T.RandomAutocontrast(), *TO],
    "RandomEqualize": [T.RandomEqualize(), *TO],
    "RandomApply": [T.RandomApply([T.RandomCrop((8, 9), padding=1)]), T.Pad(1), *TO],
    "RandomChoice": [T.RandomChoice([T.RandomInvert(), T.RandomHorizontalFlip()]), *TO],
    "RandomOrder": [T.RandomOrder([T.RandomInvert(), T.RandomHorizontalFlip()]), *TO],
    "a function": [np.asarray, *TO, NORMALIZE],
    "a margin in colours": [T.Grayscale(3), T.RandomCrop(8, padding=1, fill=(1, 2, 3)), *TO],
}
NAMES = [*WHOLE, *SINGLE]
SIZE = (8, 9)


class Grey(ArrayImages):
    """As MNIST: a tensor of pixels and one of classes."""

    def __init__(self, transform=None, target_transform=None, n=40):
        super().__init__(None, transform=transform, target_transform=target_transform)
        rng = np.random.default_rng(0)
        self.data = torch.tensor(rng.integers(0, 256, (n, *SIZE), dtype=np.uint8))
        self.targets = torch.tensor(rng.integers(0, 10, n))


class Color(Grey):
    """As CIFAR: an array of pixels, its memory plane by plane, and a list of classes."""

    def __init__(self, transform=None, target_transform=None, n=40):
        super().__init__(transform, target_transform, n)
        rng = np.random.default_rng(1)
        self.data = rng.integers(0, 256, (n, 3, *SIZE), dtype=np.uint8).transpose(0, 2, 3, 1)
        self.targets = self.targets.tolist()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with the images of `Color`."""
    folder = tmp_path_factory.mktemp("images")
    data = Color()
    for i in range(40):
        path = folder / f"class{data.targets[i]}" / f"{i:02d}.png"
        path.parent.mkdir(exist_ok=True)
        pillow.fromarray(np.ascontiguousarray(data.data[i])).save(path)
    return folder


def compose(name):
    return transforms.Compose({**WHOLE, **SINGLE}[name])


def made(kind, transform, files, target_transform=None):
    if kind == "files":
        return datasets.ImageFolder(files, transform, target_transform)
    return {"grey": Grey, "color": Color}[kind](transform, target_transform)


def one_by_one(data, indices):
    """Every sample through Pillow, the target last."""
    samples = []
    for i in indices:
        if isinstance(data, ArrayImages):
            row = data.data[i]
            image = pillow.fromarray(np.ascontiguousarray(row.numpy() if isinstance(row, torch.Tensor) else row))
        else:
            image = pillow.open(data.samples[i][0]).convert("RGB")
        for step in data.transform.transforms:
            image = step(image)
        target = int(data.targets[i])
        samples.append((image, target if data.target_transform is None else data.target_transform(target)))
    return default_collate(samples)


def seeded(read):
    """What `read` gives, and the next draws."""
    torch.manual_seed(4)
    random.seed(4)
    return read(), torch.rand(1).item(), random.random()


def assert_same(ours, expected):
    (a, *draws), (b, *wanted) = ours, expected
    assert draws == wanted
    for x, y in zip(a, b):
        assert x.dtype == y.dtype and x.shape == y.shape and torch.equal(x, y) and x.is_contiguous()


INDICES = [3, 0, -1, 7, 7, 31, 20, 2, 19, 18, 1, 39]


def test_every_transform_is_here():
    used = {type(step).__name__ for steps in (*WHOLE.values(), *SINGLE.values()) for step in steps}
    everything = set(transforms.__all__) - {"Compose", "InterpolationMode", "functional"}
    assert everything <= used


@pytest.mark.parametrize("kind", ["grey", "color", "files"])
@pytest.mark.parametrize("name", NAMES)
def test_a_batch_is_its_samples(kind, name, files):
    data = made(kind, compose(name), files)
    indices = [i % 40 for i in INDICES] if kind == "files" else INDICES
    if kind == "grey" and name in ("a function",):
        data.transform.transforms[0] = lambda image: np.asarray(image)
    expected = seeded(lambda: one_by_one(data, indices))
    assert_same(seeded(lambda: next(iter_of(data, indices))), expected)
    assert_same(seeded(lambda: default_collate([data[i] for i in indices])), expected)
    assert_same(seeded(lambda: default_collate(data.__getitems__(indices))), expected)
    if isinstance(data, ArrayImages):
        at_once = data.__getbatch__(indices) is not NotImplemented
        assert at_once == (name in WHOLE and (data.__getbatch__([]) is not NotImplemented))
        assert at_once == (name in WHOLE)


def iter_of(data, indices):
    """A loader draws the seed of its workers first: not here."""
    loader = DataLoader(data, batch_sampler=[indices])
    batches = iter(loader)
    torch.manual_seed(4)
    return batches


@pytest.mark.parametrize("kind", ["color", "files"])
@pytest.mark.parametrize("name", ["as for CIFAR", "ColorJitter", "Normalize", "RandomResizedCrop", "Lambda"])
def test_targets_that_draw_do_so_after_their_images(kind, name, files):
    data = made(kind, compose(name), files, target_transform=lambda target: target + torch.rand(1).item())
    indices = [i % 40 for i in INDICES]
    expected = seeded(lambda: one_by_one(data, indices))
    assert_same(seeded(lambda: next(iter_of(data, indices))), expected)
    assert_same(seeded(lambda: default_collate(data.__getitems__(indices))), expected)


@pytest.mark.parametrize("name", ["as for CIFAR", "many", "ColorJitter"])
@pytest.mark.parametrize("workers", [0, 2])
def test_epochs_with_and_without_batches(name, workers):
    """A loader whose `collate_fn` is another function, and whose samples are asked for one by one, as the reference."""

    class Slow(Color):
        def __getitem__(self, i):
            return super().__getitem__(i)

    epochs = []
    for kind in (Slow, Color):
        torch.manual_seed(7)
        options = {"batch_size": 6, "shuffle": True, "num_workers": workers}
        loader = DataLoader(kind(compose(name)), **options)
        epochs.append(([(x, y) for _ in range(2) for x, y in loader], torch.rand(1).item()))
    (slow, after_slow), (fast, after_fast) = epochs
    assert after_slow == after_fast and len(slow) == len(fast) == 14
    for (x, y), (a, b) in zip(slow, fast):
        assert torch.equal(x, a) and torch.equal(y, b)


def test_workers_of_batches_take_turns_and_continue():
    def make():
        return DataLoader(Color(compose("as for CIFAR")), 5, shuffle=True, num_workers=2)

    torch.manual_seed(0)
    expected = list(make())
    torch.manual_seed(0)
    first = make()
    batches = iter(first)
    given = [next(batches) for _ in range(3)]
    state = first.state_dict()
    torch.manual_seed(9)
    second = make()
    second.load_state_dict(state)
    given += list(second)
    assert len(given) == len(expected)
    assert all(torch.equal(x, a) and torch.equal(y, b) for (x, y), (a, b) in zip(given, expected))
    assert get_worker_info() is None


def test_errors_are_those_of_samples():
    data = Grey(T.Compose([*TO, T.Normalize([0.1, 0.2, 0.3], [1, 1, 1])]))
    for read in (lambda: data[0], lambda: next(iter(DataLoader(data, 4)))):
        with pytest.raises(RuntimeError, match="give one number for each channel"):
            read()
    small = Grey(T.Compose([T.RandomCrop(20), *TO]))
    for read in (lambda: small[0], lambda: next(iter(DataLoader(small, 4)))):
        with pytest.raises(ValueError, match=r"smaller than the part"):
            read()
    for wrong in (99, "a"):
        with pytest.raises((IndexError, TypeError, ValueError)) as one:
            Grey(T.ToTensor())[wrong]
        with pytest.raises(one.type):
            next(iter(DataLoader(Grey(T.ToTensor()), batch_sampler=[[wrong]])))


def test_a_subclass_of_a_transform_or_dataset_is_asked_itself():
    class Dark(transforms.ToTensor):
        def forward(self, picture):
            return super().forward(picture) * 0

    class Named(Grey):
        def __getitem__(self, i):
            return "seven", i

    class Other(Grey):
        def __getitems__(self, indices):
            return [(torch.tensor(i), i) for i in indices]

    assert on_batches(Dark(), SIZE, False) is None and not takes_pixels(Dark())
    assert next(iter(DataLoader(Grey(Dark()), 4)))[0].abs().sum() == 0
    named = Named(transforms.ToTensor())
    assert next(iter(DataLoader(named, 2)))[0] == ("seven", "seven") and named.__getitems__([3]) == [("seven", 3)]
    assert next(iter(DataLoader(Other(transforms.ToTensor()), 3)))[0].tolist() == [0, 1, 2]
    plain = Grey(transforms.ToTensor())
    assert torch.equal(next(iter(DataLoader(Subset(plain, [5, 6]), batch_sampler=[[1]])))[0], plain[6][0].unsqueeze(0))


def test_images_of_several_sizes_are_finished_one_by_one(tmp_path):
    for i, size in enumerate([(4, 5), (6, 7), (4, 5)]):
        (tmp_path / "a").mkdir(exist_ok=True)
        pillow.fromarray(np.full((*size, 3), i, np.uint8)).save(tmp_path / "a" / f"{i}.png")
    data = datasets.ImageFolder(tmp_path, T.Compose([T.ToTensor()]))
    assert [tuple(image.shape) for image, _ in data.__getitems__([0, 1, 2])] == [(3, 4, 5), (3, 6, 7), (3, 4, 5)]
    data.transform = T.Compose([T.CenterCrop(4), T.ToTensor()])
    (images, _) = next(iter(DataLoader(data, 3)))
    assert tuple(images.shape) == (3, 3, 4, 4)


def test_where_a_chain_is_split():
    steps = [T.ColorJitter(0.1), T.RandomHorizontalFlip(), T.CenterCrop(3), T.ToTensor(), NORMALIZE]
    assert split(T.Compose(steps)) == (steps[:2], steps[2:])
    assert split(T.Compose(steps[3:])) == ([], steps[3:])
    assert split(T.Compose([T.ToTensor(), T.RandomErasing(), NORMALIZE]))[1] == []
    assert split(None) == ([], []) and split(len) == ([len], [])
