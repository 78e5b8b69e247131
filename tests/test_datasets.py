"""Datasets in other people's files and in folders, read from small files made here; and splitting by class."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import tarfile
import zipfile
import zlib
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import tapegrad as torch
from tapegrad.data import ConcatDataset, DataLoader, Subset, TensorDataset, random_split, stratified_split
from tapegrad.vision import datasets, transforms
from tapegrad.vision.datasets import cifar, folder, mnist, svhn
from tapegrad.vision.datasets.mat import read_mat

pillow = pytest.importorskip("PIL.Image")


def random_bytes(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


# ---- CIFAR ---------------------------------------------------------------------------------------------------


def cifar_files(n=7) -> dict[str, bytes]:
    """The files of CIFAR-10 and CIFAR-100 in small, by path; pickled as Python 2 could read them."""
    files = {}
    for i, name in enumerate([*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]):
        entry = {"data": random_bytes(n, 3072, seed=i), "labels": [(i + k) % 10 for k in range(n)], "batch_label": "x"}
        files[f"cifar-10-batches-py/{name}"] = pickle.dumps(entry, 2)
    files["cifar-10-batches-py/batches.meta"] = pickle.dumps({"label_names": [f"class{i}" for i in range(10)]}, 2)
    for i, name in enumerate(["train", "test"]):
        entry = {
            "data": random_bytes(n, 3072, seed=i),
            "fine_labels": [99 - k for k in range(n)],
            "coarse_labels": [0] * n,
        }
        files[f"cifar-100-python/{name}"] = pickle.dumps(entry, 2)
    files["cifar-100-python/meta"] = pickle.dumps({"fine_label_names": [f"class{i}" for i in range(100)]}, 2)
    return files


@pytest.fixture
def cifar_root(tmp_path):
    for name, content in cifar_files().items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return tmp_path


@pytest.mark.parametrize("kind", [datasets.CIFAR10, datasets.CIFAR100])
@pytest.mark.parametrize("train", [True, False])
def test_cifar(cifar_root, kind, train):
    data = kind(cifar_root, train)
    count = 35 if train and kind is datasets.CIFAR10 else 7
    assert data.data.shape == (count, 32, 32, 3) and data.data.dtype == np.uint8 and len(data) == count
    assert type(data.targets) is list and len(data.targets) == count and type(data[0][1]) is int
    seed = 0 if train else (5 if kind is datasets.CIFAR10 else 1)
    first = random_bytes(7, 3072, seed=seed)[0].reshape(3, 32, 32).transpose(1, 2, 0)
    image, target = data[0]
    assert image.mode == "RGB" and np.array_equal(np.asarray(image), first) and np.array_equal(data.data[0], first)
    assert data.classes[target] == f"class{target}" and data.class_to_idx["class3"] == 3
    assert f"Split: {'Train' if train else 'Test'}" in repr(data)


def test_cifar_in_batches(cifar_root):
    chain = transforms.Compose(
        [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
    )
    data = datasets.CIFAR10(str(cifar_root), transform=chain, target_transform=lambda target: target + 10)
    torch.manual_seed(0)
    singles = [data[i] for i in range(9)]
    torch.manual_seed(0)
    for (x, y), (a, b) in zip(singles, data.__getitems__(list(range(9)))):
        assert torch.equal(x, a) and y == b
    data.target_transform = None
    images, targets = next(iter(DataLoader(data, 9)))
    assert tuple(images.shape) == (9, 3, 32, 32) and targets.dtype == torch.int64


def test_cifar_that_is_not_there_or_damaged(cifar_root):
    with pytest.raises(RuntimeError, match=r"CIFAR10: the data is not there\n.*\n  got: no data_batch_1 and no"):
        datasets.CIFAR10(cifar_root / "elsewhere")
    path = cifar_root / "cifar-10-batches-py" / "test_batch"
    evil = b"cos\nsystem\n(S'echo pwned > /dev/null'\ntR."
    for content, text in (
        (evil, "it names os.system"),
        (path.read_bytes()[:100], "bytes, "),
        (b"<html>", "6 bytes, "),
        (pickle.dumps([1]), "list"),
        (pickle.dumps({"data": np.zeros((2, 5), np.uint8), "labels": [1, 2]}, 2), "no images of 3072 bytes"),
        (pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [1]}, 2), "one class for each"),
    ):
        path.write_bytes(content)
        with pytest.raises(
            RuntimeError, match=rf"not one of CIFAR's files, or it is damaged\n  where: .*test_batch\n  got: .*{text}"
        ):
            datasets.CIFAR10(cifar_root, train=False)
    assert len(datasets.CIFAR10(cifar_root)) == 35


def test_cifar_download(tmp_path, monkeypatch):
    files = cifar_files()
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    asked = []

    def download(name, mirrors, place, md5):
        asked.append((name, mirrors, md5))
        (place / name).write_bytes(archive.getvalue())
        return place / name

    monkeypatch.setattr(cifar, "download", download)
    monkeypatch.setattr(
        datasets.CIFAR10,
        "train_list",
        [
            [f"data_batch_{i}", hashlib.md5(files[f"cifar-10-batches-py/data_batch_{i}"]).hexdigest()]
            for i in range(1, 6)
        ],
    )
    monkeypatch.setattr(
        datasets.CIFAR10,
        "test_list",
        [["test_batch", hashlib.md5(files["cifar-10-batches-py/test_batch"]).hexdigest()]],
    )
    meta = hashlib.md5(files["cifar-10-batches-py/batches.meta"]).hexdigest()
    monkeypatch.setattr(datasets.CIFAR10, "meta", {"filename": "batches.meta", "key": "label_names", "md5": meta})
    for _ in range(2):  # the second time all is there
        assert len(datasets.CIFAR10(tmp_path, download=True)) == 35
    address = "https://www.cs.toronto.edu/~kriz"
    assert asked == [("cifar-10-python.tar.gz", [address], "c58f30108f718f92721af3b95e74349a")]


# ---- SVHN and MAT-files --------------------------------------------------------------------------------------


def element(kind: int, body: bytes) -> bytes:
    if len(body) <= 4:
        return np.array([kind | len(body) << 16], "<u4").tobytes() + body.ljust(4, b"\0")
    return np.array([kind, len(body)], "<u4").tobytes() + body + bytes(-len(body) % 8)


def mat(compress=True, **arrays) -> bytes:
    """A MAT-file of version 5."""
    classes = {"float64": (6, 9), "uint8": (9, 2), "int32": (12, 5)}
    out = b"MATLAB 5.0 MAT-file".ljust(124) + bytes([0, 1]) + b"IM"
    for name, array in arrays.items():
        kind, number = classes[array.dtype.name]
        body = element(6, np.array([kind, 0], "<u4").tobytes())
        body += element(5, np.array(array.shape, "<i4").tobytes()) + element(1, name.encode())
        body += element(number, array.astype(array.dtype.newbyteorder("<")).tobytes(order="F"))
        whole = element(14, body)
        out += np.array([15, len(z := zlib.compress(whole))], "<u4").tobytes() + z if compress else whole
    return out


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("label_type", ["float64", "uint8"])
def test_svhn(tmp_path, compress, label_type):
    pixels, labels = random_bytes(32, 32, 3, 9), np.arange(2, 11, dtype=label_type)[:, None]
    (tmp_path / "test_32x32.mat").write_bytes(mat(compress, X=pixels, y=labels, extra=np.zeros((1, 1), np.int32)))
    data = datasets.SVHN(tmp_path, "test")
    assert data.data.shape == (9, 3, 32, 32) and data.labels.dtype == np.int64
    assert data.labels.tolist() == data.targets.tolist() == [2, 3, 4, 5, 6, 7, 8, 9, 0]
    image, target = data[4]
    assert np.array_equal(np.asarray(image), pixels[..., 4]) and target == 6 and type(target) is int
    assert "Split: test" in repr(data)
    data.transform = transforms.ToTensor()
    images, targets = next(iter(DataLoader(data, 9)))
    assert torch.equal(images, torch.stack([data[i][0] for i in range(9)])) and targets.tolist() == data.labels.tolist()


def test_svhn_that_is_not_there_or_damaged(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="no such split\n  got: 'valid'"):
        datasets.SVHN(tmp_path, "valid")
    with pytest.raises(RuntimeError, match="SVHN: the data is not there"):
        datasets.SVHN(tmp_path)
    path = tmp_path / "train_32x32.mat"
    good = mat(X=random_bytes(32, 32, 3, 2), y=np.ones((2, 1)))
    for content, text in (
        (b"<html>", r"not a MAT-file of version 5\n.*\n  got: 6 bytes that begin with 3c 68 74 6d"),
        (good[:-1], "cut or damaged"),
        (good[:300], "cut or damaged"),
        (good[:200] + b"xxxx" + good[204:], "cut or damaged"),
        (mat(X=random_bytes(32, 32, 3, 2)), "has no matrix y"),
        (mat(X=random_bytes(32, 32), y=np.ones((2, 1))), "holds something else"),
    ):
        path.write_bytes(content)
        with pytest.raises(RuntimeError, match=text):
            datasets.SVHN(tmp_path)
    asked = []

    def download(name, mirrors, place, md5):
        asked.append((name, mirrors, md5))
        (place / name).write_bytes(good)

    monkeypatch.setattr(svhn, "download", download)
    assert len(datasets.SVHN(tmp_path, download=True)) == 2
    address = "http://ufldl.stanford.edu/housenumbers"
    assert asked == [("train_32x32.mat", [address], "e26dedcc434d2e4c54c9b2d4a06d8373")]


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4), st.integers(0, 420), st.booleans())
def test_a_damaged_mat_file_is_arrays_or_an_error(tmp_path_factory, changes, cut, compress):
    content = bytearray(mat(compress, X=random_bytes(4, 5), y=np.ones((2, 1))))
    for place, value in changes:
        content[place % len(content)] = value
    path = tmp_path_factory.getbasetemp() / "some.mat"
    path.write_bytes(content[: len(content) - cut % 7 if cut < 60 else cut])
    try:
        read_mat(path, ("X", "y"))
    except RuntimeError as error:
        assert "where: " in str(error)


def test_mat_files_of_other_programs(tmp_path):
    io_ = pytest.importorskip("scipy.io")
    arrays = {
        "X": random_bytes(3, 4, 2),
        "y": np.arange(5.0),
        "z": np.array([[1j]]),
        "cell": np.array(["a", 1], dtype=object),
    }
    for compress in (True, False):
        io_.savemat(tmp_path / "a.mat", arrays, do_compression=compress)
        x, y = read_mat(tmp_path / "a.mat", ("X", "y"))
        assert np.array_equal(x, arrays["X"]) and y.tolist() == [[0, 1, 2, 3, 4]]
        with pytest.raises(RuntimeError, match="no matrix z"):
            read_mat(tmp_path / "a.mat", ("z",))


# ---- EMNIST and KMNIST ---------------------------------------------------------------------------------------


def idx(array: np.ndarray) -> bytes:
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return head + array.tobytes()


def emnist_files() -> dict[str, bytes]:
    files = {}
    for split in ("letters", "balanced"):
        for part, n in (("train", 6), ("test", 3)):
            files[f"emnist-{split}-{part}-images-idx3-ubyte"] = idx(random_bytes(n, 28, 28))
            files[f"emnist-{split}-{part}-labels-idx1-ubyte"] = idx(np.arange(1, n + 1, dtype=np.uint8))
    return files


def test_emnist(tmp_path):
    raw = tmp_path / "EMNIST" / "raw"
    raw.mkdir(parents=True)
    for name, content in emnist_files().items():
        (raw / f"{name}.gz").write_bytes(gzip.compress(content))
    data = datasets.EMNIST(tmp_path, "letters", train=False, transform=transforms.ToTensor())
    assert len(data) == 3 and data.targets.tolist() == [1, 2, 3] and data.classes[data[1][1]] == "b"
    assert len(data.classes) == 27 and "Part: letters" in repr(data) and "Split: Test" in repr(data)
    sizes = {split: len(names) for split, names in datasets.EMNIST.classes_split_dict.items()}
    assert sizes == {"byclass": 62, "bymerge": 47, "balanced": 47, "letters": 27, "digits": 10, "mnist": 10}
    assert "".join(datasets.EMNIST.classes_split_dict["balanced"][36:]) == "abdefghnqrt"
    with pytest.raises(ValueError, match="no such split\n  got: 'words'"):
        datasets.EMNIST(tmp_path, "words")
    with pytest.raises(
        RuntimeError, match=r"EMNIST: the data is not there.*\n.*\n  got: no emnist-digits-train-images"
    ):
        datasets.EMNIST(tmp_path, "digits")


def test_emnist_download(tmp_path, monkeypatch):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in emnist_files().items():
            file.writestr(f"gzip/{name}.gz", gzip.compress(content))
        file.writestr("gzip/../../evil.gz", b"no")
        file.writestr("gzip/emnist-letters-mapping.txt", b"97 65")
    asked = []

    def download(name, mirrors, place, md5):
        asked.append((name, mirrors, md5))
        place.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(archive.getvalue())
        return place / name

    monkeypatch.setattr(mnist, "download", download)
    assert len(datasets.EMNIST(tmp_path, "letters", download=True)) == 6
    assert len(datasets.EMNIST(tmp_path, "balanced", train=False, download=True)) == 3
    assert asked == [("gzip.zip", ["https://biometrics.nist.gov/cs_links/EMNIST"], "58c8d27c78d21e728a6bc7b3cc06412e")]
    names = {path.name for path in (tmp_path / "EMNIST" / "raw").iterdir()}
    assert names == {"gzip.zip", *(f"{name}.gz" for name in emnist_files())}


def test_kmnist(tmp_path):
    raw = tmp_path / "KMNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte").write_bytes(idx(random_bytes(4, 28, 28)))
    (raw / "train-labels-idx1-ubyte").write_bytes(idx(np.arange(4, dtype=np.uint8)))
    data = datasets.KMNIST(tmp_path)
    assert len(data) == 4 and data.classes[data[3][1]] == "tsu"


# ---- folders -------------------------------------------------------------------------------------------------


@pytest.fixture
def images(tmp_path):
    """dog/1.png dog/2.JPG dog/note.txt, cat/x/3.bmp cat/4.ppm, cow/5.png"""
    for i, name in enumerate(["dog/1.png", "dog/2.JPG", "cat/x/3.bmp", "cat/4.ppm", "cow/5.png"]):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        pillow.fromarray(random_bytes(5, 6, 3, seed=i)).save(tmp_path / name)
    (tmp_path / "dog" / "note.txt").write_text("good dog")
    (tmp_path / "file.png").write_text("not in a folder")
    return tmp_path


def test_image_folder(images):
    data = datasets.ImageFolder(images, target_transform=lambda target: -target)
    names = [(os.path.relpath(path, images), target) for path, target in data.samples]
    expected = ["cat/4.ppm", "cat/x/3.bmp", "cow/5.png", "dog/1.png", "dog/2.JPG"]
    assert names == [(os.path.join(*name.split("/")), target) for name, target in zip(expected, [0, 0, 1, 2, 2])]
    assert data.classes == ["cat", "cow", "dog"] and data.class_to_idx == {"cat": 0, "cow": 1, "dog": 2}
    assert data.imgs is data.samples and data.targets == [0, 0, 1, 2, 2] and len(data) == 5
    image, target = data[3]
    assert image.mode == "RGB" and image.size == (6, 5) and target == -2
    assert np.array_equal(np.asarray(image), random_bytes(5, 6, 3, seed=0))
    assert repr(data).startswith(f"Dataset ImageFolder\n    Number of datapoints: 5\n    Root location: {images}")


def test_which_files_of_a_folder(images):
    (images / "ant").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no file of class ant\n.*\n  expected: names that end in .jpg .jpeg"):
        datasets.ImageFolder(images)
    assert datasets.ImageFolder(images, allow_empty=True).targets == [1, 1, 2, 3, 3]
    notes = datasets.DatasetFolder(
        images, lambda path: Path(path).read_text(), is_valid_file=lambda path: path.endswith(".txt"), allow_empty=True
    )
    assert [notes[i] for i in range(len(notes))] == [("good dog", 3)]
    pngs = datasets.DatasetFolder(str(images), os.path.basename, (".png",), transform=str.upper, allow_empty=True)
    assert [pngs[i] for i in range(len(pngs))] == [("5.PNG", 2), ("1.PNG", 3)]
    with pytest.raises(FileNotFoundError, match="no folder of a class"):
        datasets.ImageFolder(images / "ant")
    for options in ({}, {"extensions": (".png",), "is_valid_file": len}):
        with pytest.raises(ValueError, match="either extensions or is_valid_file"):
            datasets.DatasetFolder(images, len, **options)
    with pytest.raises(ValueError, match="names no class"):
        folder.make_dataset(images, {}, ".png")
    assert len(folder.make_dataset(images, extensions=".png", allow_empty=True)) == 2
    assert folder.is_image_file("a.PNG") and not folder.is_image_file("a.txt")


def test_classes_of_ones_own(images):
    class TwoClasses(datasets.ImageFolder):
        def find_classes(self, directory):
            return ["cat", "dog"], {"cat": 7, "dog": 9}

    assert TwoClasses(images).targets == [7, 7, 9, 9]


def test_a_folder_through_the_loader(images):
    chain = transforms.Compose([transforms.Resize((4, 4)), transforms.ToTensor()])
    data = datasets.ImageFolder(images, chain)
    batches = [list(DataLoader(data, 2, num_workers=workers)) for workers in (0, 2)]
    assert len(batches[0]) == 3
    for (x, y), (a, b) in zip(*batches):
        assert torch.equal(x, a) and torch.equal(y, b) and tuple(x.shape[1:]) == (3, 4, 4)


# ---- splitting by class --------------------------------------------------------------------------------------


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=6).filter(lambda sizes: sum(sizes) > 1),
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
    st.integers(0, 99),
)
def test_every_part_has_its_share_of_each_class(sizes, shares, seed):
    labels = torch.tensor([c for c, size in enumerate(sizes) for _ in range(size)])
    n = len(labels)
    lengths = [n * share // sum(shares) for share in shares]
    lengths[0] += n - sum(lengths)
    parts = stratified_split(range(n), lengths, labels, torch.Generator().manual_seed(seed))
    assert [len(part) for part in parts] == lengths
    assert sorted(i for part in parts for i in part.indices) == list(range(n))
    for part, length in zip(parts, lengths):
        found = np.bincount(labels.numpy()[part.indices], minlength=len(sizes))
        share = np.array(sizes) * length / n
        assert np.abs(found - share).max() <= 1 + len(sizes) / 2


def test_shares_are_exact_where_they_can_be():
    labels = [0] * 100 + [1] * 50 + [2] * 10
    parts = stratified_split(range(160), [0.8, 0.1, 0.1], labels)
    assert [np.bincount(np.array(labels)[part.indices]).tolist() for part in parts] == [
        [80, 40, 8],
        [10, 5, 1],
        [10, 5, 1],
    ]
    assert parts[0].indices != sorted(parts[0].indices)


def test_where_labels_are_found(images):
    data = datasets.ImageFolder(images)
    for parts in (stratified_split(data, [3, 2]), stratified_split(Subset(data, [4, 3, 1, 0]), [2, 2])):
        assert {type(part) for part in parts} == {Subset}
    first, second = stratified_split(Subset(data, [4, 3, 1, 0]), [2, 2])
    assert (
        sorted(first.dataset[i][1] for i in first.indices)
        == sorted(second.dataset[i][1] for i in second.indices)
        == [0, 2]
    )
    pairs = TensorDataset(torch.zeros(8), torch.tensor([0, 1] * 4))
    for part in stratified_split(ConcatDataset([pairs, pairs]), [8, 8]):
        assert sum(part[i][1].item() for i in range(8)) == 4
    digits = datasets.Digits(train=True)
    counts = [np.bincount(digits.targets.numpy()[part.indices]) for part in stratified_split(digits, [0.5, 0.5])]
    assert np.abs(counts[0] - counts[1]).max() <= 2
    assert len(random_split(digits, [0.5, 0.5])) == 2


@pytest.mark.parametrize(
    "attempt, text",
    [
        (lambda: stratified_split([1, 2], [1, 1]), "does not say its labels\n  got: list\n  fix: pass labels="),
        (lambda: stratified_split([1, 2], [1, 1], [1]), r"one label for each sample\n  got: \(1,\)"),
        (lambda: stratified_split([1, 2], [1, 2], [1, 1]), "stratified_split: the lengths do not add up"),
        (lambda: stratified_split(TensorDataset(torch.zeros(2, 2)), [1, 1]), "does not say its labels"),
        (lambda: stratified_split(ConcatDataset([[1], [2]]), [1, 1]), "does not say its labels"),
        (lambda: stratified_split(Subset([1, 2], [0, 1]), [1, 1]), "does not say its labels"),
    ],
)
def test_errors_of_splitting(attempt, text):
    with pytest.raises(ValueError, match=text):
        attempt()
