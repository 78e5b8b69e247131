"""Datasets of images: reading and downloading (tests/test_batches.py: how samples are made)."""

from __future__ import annotations

import gzip
import hashlib
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import tapegrad as torch
from tapegrad.data import DataLoader
from tapegrad.vision import datasets, transforms
from tapegrad.vision.datasets.download import md5_of
from tapegrad.vision.datasets.idx import parse_idx, read_idx
from tapegrad.vision.transforms import functional as F

SIZES = {"train": 30, "t10k": 12}


def idx(array: np.ndarray) -> bytes:
    """An array as an IDX file."""
    codes = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}
    head = bytes([0, 0, codes[array.dtype.str[1:]], array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


def small_files(n_train=SIZES["train"], n_test=SIZES["t10k"]) -> dict[str, bytes]:
    """MNIST in small: random images, by file name."""
    rng = np.random.default_rng(0)
    files = {}
    for split, n in (("train", n_train), ("t10k", n_test)):
        files[f"{split}-images-idx3-ubyte"] = idx(rng.integers(0, 256, (n, 28, 28), dtype=np.uint8))
        files[f"{split}-labels-idx1-ubyte"] = idx(rng.integers(0, 10, n, dtype=np.uint8))
    return files


@pytest.fixture
def folder(tmp_path) -> Path:
    """A root with MNIST/raw and FashionMNIST/raw in small."""
    for name in ("MNIST", "FashionMNIST"):
        raw = tmp_path / name / "raw"
        raw.mkdir(parents=True)
        for file, content in small_files().items():
            (raw / file).write_bytes(content)
    return tmp_path


@pytest.fixture
def no_pillow(monkeypatch):
    """Pillow as good as not installed."""
    for name in [name for name in sys.modules if name == "PIL" or name.startswith("PIL.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "PIL", None)


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)


# ---- IDX files -----------------------------------------------------------------------------------------------


@given(st.sampled_from(["u1", "i1", "i2", "i4", "f4", "f8"]), st.lists(st.integers(0, 4), min_size=1, max_size=4))
def test_idx_round_trip(dtype, shape):
    array = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    for content in (idx(array), bytearray(idx(array))):
        back = parse_idx(content, "x")
        assert back.dtype == array.dtype and back.flags.writeable and np.array_equal(back, array)


@given(st.binary(max_size=40))
def test_idx_of_anything_is_an_array_or_an_error(content):
    try:
        parse_idx(content, "some file")
    except RuntimeError as error:
        assert "where: some file" in str(error)


def test_idx_errors_name_the_file_and_the_sizes(tmp_path):
    whole = idx(np.zeros((3, 2, 2), np.uint8))
    path = tmp_path / "images"
    cases = {
        whole[:-1]: "cut or damaged\n  where: .*images\n  got: 27 bytes\n  expected: 28 bytes for shape \\(3, 2, 2\\)",
        whole + b"x": "cut or damaged\n  where: .*images\n  got: 29 bytes",
        whole[:9]: "got: 9 bytes\n  expected: at least 16 bytes",
        b"": "not an IDX file\n  where: .*images\n  got: 0 bytes that begin with nothing",
        b"<html>": "not an IDX file\n  where: .*images\n  got: 6 bytes that begin with 3c 68 74 6d",
        gzip.compress(whole)[:-12]: "gzip file is cut or damaged\n  where: .*images\n  got: .* bytes",
        gzip.compress(whole)[:-8] + b"12345678": "gzip file is cut or damaged",
        idx(np.zeros(3, np.uint8)): "something else\n  where: .*images\n  got: 1 dimensions\n  expected: 3",
    }
    for content, text in cases.items():
        path.write_bytes(content)
        with pytest.raises(RuntimeError, match=text):
            read_idx(path, ndim=3)
    path.write_bytes(gzip.compress(whole))
    assert read_idx(path, ndim=3).shape == (3, 2, 2)


# ---- MNIST ---------------------------------------------------------------------------------------------------


def test_real_mnist(shared):
    data = datasets.MNIST.from_folder(shared / "data" / "mnist", train=False)
    assert data.data.dtype == torch.uint8 and tuple(data.data.shape) == (10000, 28, 28)
    assert data.targets.dtype == torch.int64 and data.targets[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert np.bincount(data.targets.numpy()).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert int(data.data.to(torch.int64).sum()) == 264923200
    train = datasets.MNIST.from_folder(str(shared / "data" / "mnist"))
    assert len(train) == 60000 and train.targets[:5].tolist() == [5, 0, 4, 1, 9]


def test_a_pass_over_mnist(shared):
    """Every image and label comes through a shuffled loader once, with the right numbers."""
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
    data = datasets.MNIST.from_folder(shared / "data" / "mnist", transform=transform)
    total, labels = 0.0, np.zeros(10, int)
    for images, targets in DataLoader(data, batch_size=64, shuffle=True):
        total += float(images.numpy().sum(dtype=np.float64))
        labels += np.bincount(targets.numpy(), minlength=10)
    assert labels.tolist() == np.bincount(data.targets.numpy()).tolist()
    mean = data.data.numpy().mean() / 255
    assert abs(total / data.data.numel() - (mean - 0.1307) / 0.3081) < 1e-6


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST"])
@pytest.mark.parametrize("train", [True, False])
def test_mnist_from_its_root(folder, name, train):
    data = getattr(datasets, name)(str(folder), train=train)
    n = SIZES["train" if train else "t10k"]
    assert len(data) == n and tuple(data.data.shape) == (n, 28, 28) and data.targets.dtype == torch.int64
    assert data.raw_folder == str(folder / name / "raw") and data.processed_folder == str(folder / name / "processed")
    assert len(data.classes) == 10 and data.class_to_idx[data.classes[3]] == 3
    again = getattr(datasets, name)(folder, train=train, download=True)  # all there: nothing is asked of the network
    assert same(again.data, data.data)


def test_gzipped_files_are_read_as_they_are(folder):
    raw = folder / "MNIST" / "raw"
    expected = datasets.MNIST(folder).data
    for path in list(raw.iterdir()):
        (raw / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert same(datasets.MNIST(folder).data, expected)
    assert same(datasets.MNIST.from_folder(raw).data, expected)


def test_files_that_are_not_there(tmp_path, folder):
    with pytest.raises(RuntimeError) as caught:
        datasets.MNIST(tmp_path / "nowhere")
    text = str(caught.value)
    assert "MNIST: the data is not there" in text and "no train-images-idx3-ubyte and no train-labels" in text
    assert "fix: download=True" in text
    (folder / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").unlink()
    assert len(datasets.MNIST(folder)) == SIZES["train"]
    with pytest.raises(RuntimeError, match="got: no t10k-labels-idx1-ubyte "):
        datasets.MNIST(folder, train=False)


def test_files_that_do_not_belong_together(folder):
    (folder / "MNIST" / "raw" / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(3, np.uint8)))
    with pytest.raises(RuntimeError, match=r"do not belong together\n  where: .*\n  got: 30 images, 3 labels"):
        datasets.MNIST(folder)


def test_samples_are_images(folder):
    pillow = pytest.importorskip("PIL.Image")
    data = datasets.MNIST(folder, target_transform=lambda target: -target)
    picture, target = data[-1]
    assert isinstance(picture, pillow.Image) and picture.mode == "L" and picture.size == (28, 28)
    assert np.array_equal(np.asarray(picture), data.data[-1].numpy()) and target == -int(data.targets[-1])
    with pytest.raises(IndexError):
        data[len(data)]


def test_repr(folder):
    data = datasets.MNIST(folder, transform=transforms.ToTensor(), target_transform=str)
    lines = repr(data).splitlines()
    assert lines[:2] == ["Dataset MNIST", "    Number of datapoints: 30"]
    assert lines[3:] == [
        "    Split: Train",
        "    StandardTransform",
        "Transform: ToTensor()",
        "Target transform: <class 'str'>",
    ]
    assert "Split: Test" in repr(datasets.MNIST(folder, train=False))


def test_old_names(folder):
    data = datasets.MNIST(folder)
    for old, new in (
        ("train_data", "data"),
        ("test_data", "data"),
        ("train_labels", "targets"),
        ("test_labels", "targets"),
    ):
        with pytest.warns(UserWarning, match=f"MNIST.{old} is called {new} now"):
            assert getattr(data, old) is getattr(data, new)


# ---- data that is changed by hand ----------------------------------------------------------------------------


def whole(data, indices):
    """The batch of these samples, by way of the loader."""
    return next(iter(DataLoader(data, batch_sampler=[indices])))


def test_targets_and_data_may_be_replaced(folder):
    data = datasets.MNIST(folder, transform=transforms.ToTensor(), target_transform=lambda target: target * 0.5)
    assert whole(data, [0, 1])[1].tolist() == [target * 0.5 for target in data.targets[:2].tolist()]
    data.target_transform = None
    data.targets = list(range(30))
    assert whole(data, [4, 2])[1].tolist() == [4, 2]
    data.targets = torch.arange(30).to(torch.int32)
    assert same(whole(data, [4, 2])[1], torch.tensor([4, 2]))
    keep = data.targets < 5
    data.data, data.targets = data.data[keep], data.targets[keep]
    assert len(data) == 5 and len(list(DataLoader(data, 2))) == 3
    with pytest.raises(IndexError):
        whole(data, [5])


def test_default_dtype_is_honoured(folder):
    data = datasets.MNIST(folder, transform=transforms.ToTensor())
    torch.set_default_dtype(torch.float64)
    try:
        assert data[0][0].dtype == torch.float64 and whole(data, [0])[0].dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_without_pillow(folder, no_pillow):
    data = datasets.MNIST(folder, transform=transforms.Compose([transforms.ToTensor(), transforms.Resize(14)]))
    assert tuple(data[0][0].shape) == (1, 14, 14)
    assert tuple(datasets.Digits(transform=transforms.ToTensor())[0][0].shape) == (1, 8, 8)
    assert tuple(datasets.FakeData(transform=transforms.ToTensor())[0][0].shape) == (3, 224, 224)
    with pytest.raises(ImportError, match=r"fix: pip install tapegrad\[vision\]"):
        datasets.MNIST(folder)[0]
    with pytest.raises(ImportError, match="images need Pillow"):
        F.to_pil_image(torch.zeros(1, 2, 2))
    with pytest.raises(TypeError, match="neither a Pillow image nor a tensor\n  got: int"):
        F.hflip(3)


# ---- the other datasets --------------------------------------------------------------------------------------


def test_digits():
    data = datasets.Digits()
    assert tuple(data.data.shape) == (1797, 8, 8) and data.data.dtype == torch.uint8 and int(data.data.max()) == 16
    assert np.bincount(data.targets.numpy()).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert int(data.data.to(torch.int64).sum()) == 561718
    train, test = datasets.Digits(train=True), datasets.Digits(train=False)
    assert (len(train), len(test)) == (1437, 360)
    assert torch.equal(torch.cat([train.data, test.data]), data.data)
    assert torch.equal(torch.cat([train.targets, test.targets]), data.targets)
    assert [repr(each).splitlines()[2] for each in (data, train, test)] == [
        f"    Split: {s}" for s in ("All", "Train", "Test")
    ]
    shown = datasets.Digits(transform=transforms.ToTensor())[0][0]
    assert float(shown.max()) <= 1 and float((shown * 16 - data.data[0]).abs().max()) < 0.04
    with pytest.raises(TypeError, match="must be True, False or None\n  got: 'train'"):
        datasets.Digits("train")


def test_digits_can_be_learned():
    """A linear classifier by least squares: the images and labels belong together."""
    train, test = datasets.Digits(train=True), datasets.Digits(train=False)
    x, y = (np.c_[d.data.numpy().reshape(len(d), -1) / 16, np.ones(len(d))] for d in (train, test))
    weights = np.linalg.lstsq(x, np.eye(10)[train.targets.numpy()], rcond=None)[0]
    assert ((y @ weights).argmax(1) == test.targets.numpy()).mean() > 0.85


def test_fake_data():
    data = datasets.FakeData(
        size=4, image_size=(1, 4, 4), num_classes=3, random_offset=5, transform=transforms.ToTensor()
    )
    torch.manual_seed(1)
    before = torch.get_rng_state()
    image, target = data[2]
    assert torch.equal(torch.get_rng_state(), before)
    assert same(image, data[2][0]) and isinstance(target, int) and len(data) == 4
    assert [datasets.FakeData(transform=transforms.ToTensor())[i][1] for i in (0, 2)] == [7, 6]  # torchvision's
    with pytest.raises(IndexError, match="no such sample\n  got: 4\n  expected: below 4"):
        data[4]


def test_fake_data_as_images():
    pytest.importorskip("PIL.Image")
    for size, mode in (((3, 6, 5), "RGB"), ((1, 6, 5), "L")):
        picture, _ = datasets.FakeData(image_size=size)[0]
        tensor, _ = datasets.FakeData(image_size=size, transform=transforms.ToTensor())[0]
        assert picture.mode == mode and picture.size == (5, 6) and same(F.to_tensor(picture), tensor)


def test_vision_dataset():
    both = datasets.VisionDataset("~", transforms=lambda image, target: (image, target))
    assert both.root == str(Path.home()) and both.transforms(1, 2) == (1, 2)
    apart = datasets.VisionDataset(transform=lambda x: x + 1)
    assert apart.transforms(1, 2) == (2, 2) and apart.root is None
    with pytest.raises(ValueError, match="give transforms alone"):
        datasets.VisionDataset(transforms=len, transform=len)
    for attempt in (lambda: apart[0], lambda: len(apart)):
        with pytest.raises(NotImplementedError, match="VisionDataset does not define"):
            attempt()


# ---- downloading ---------------------------------------------------------------------------------------------


class Mirror:
    """An HTTP server of some files that can be told to misbehave."""

    def __init__(self, files: dict[str, bytes]):
        self.files, self.requests = files, []
        self.cut: int | None = None  # bytes after which a connection ends, once
        self.ranges = True
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                mirror.answer(self)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def answer(self, request):
        name, wanted = request.path[1:], request.headers.get("Range")
        self.requests.append((name, wanted))
        content, start = self.files.get(name), 0
        if content is None:
            request.send_error(404)
            return
        if wanted and self.ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                request.send_response(416)
                request.send_header("Content-Range", f"bytes */{len(content)}")
                request.send_header("Content-Length", "0")
                request.end_headers()
                return
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            request.send_response(200)
        request.send_header("Content-Length", str(len(content) - start))
        request.end_headers()
        cut, self.cut = self.cut, None
        request.wfile.write(content[start:] if cut is None else content[start : start + cut])


@pytest.fixture
def mirror(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    mirror = Mirror({f"{name}.gz": gzip.compress(content, mtime=0) for name, content in small_files().items()})
    yield mirror
    mirror.server.shutdown()
    mirror.server.server_close()


@pytest.fixture
def Small(mirror):
    """MNIST as the mirror has it."""

    class Small(datasets.MNIST):
        mirrors = [mirror.url]
        resources = [(name, hashlib.md5(content).hexdigest()) for name, content in mirror.files.items()]

    return Small


def files_of(data) -> set[str]:
    return {path.name for path in Path(data.raw_folder).iterdir()}


def test_download(tmp_path, mirror, Small, capsys):
    data = Small(tmp_path, download=True)
    assert len(data) == SIZES["train"] and len(mirror.requests) == 4
    assert files_of(data) == {*mirror.files, *(name.removesuffix(".gz") for name in mirror.files)}
    assert "train-images-idx3-ubyte.gz: 100%" in capsys.readouterr().err
    mirror.files.clear()
    assert same(Small(tmp_path, download=True).data, data.data) and len(mirror.requests) == 4


def test_download_from_the_next_mirror(tmp_path, mirror, Small):
    Small.mirrors = ["http://127.0.0.1:9/closed/", mirror.url + "elsewhere/", mirror.url]
    assert len(Small(tmp_path, download=True)) == SIZES["train"]


def test_no_mirror_has_it(tmp_path, mirror, Small):
    Small.mirrors = [mirror.url + "elsewhere", "http://127.0.0.1:9/"]
    with pytest.raises(RuntimeError) as caught:
        Small(tmp_path, download=True)
    text = str(caught.value)
    assert "train-images-idx3-ubyte.gz could not be downloaded" in text and "404" in text and "refused" in text
    assert list((tmp_path / "Small" / "raw").iterdir()) == []


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_download_goes_on_where_it_stopped(tmp_path, mirror, Small, ranges):
    mirror.cut, mirror.ranges = 1000, ranges
    name = next(iter(mirror.files))
    with pytest.raises(RuntimeError, match="the connection ended after 1000 of"):
        Small(tmp_path, download=True)
    raw = tmp_path / "Small" / "raw"
    assert {path.name: path.stat().st_size for path in raw.iterdir()} == {f"{name}.part": 1000}
    data = Small(tmp_path, download=True)
    assert mirror.requests[1] == (name, "bytes=1000-")
    assert (raw / name).read_bytes() == mirror.files[name] and not any("part" in file for file in files_of(data))


@pytest.mark.parametrize("content", ["another beginning", "all of it", "more than all of it"])
def test_a_part_of_whatever_kind_is_no_obstacle(tmp_path, mirror, Small, content):
    name, right = next(iter(mirror.files.items()))
    raw = tmp_path / "Small" / "raw"
    raw.mkdir(parents=True)
    part = {"another beginning": b"x" * 500, "all of it": right, "more than all of it": right + b"x"}[content]
    (raw / f"{name}.part").write_bytes(part)
    Small(tmp_path, download=True)
    assert (raw / name).read_bytes() == right
    assert next(wanted for file, wanted in mirror.requests if file == name) == f"bytes={len(part)}-"


def test_a_wrong_file_is_refused(tmp_path, mirror, Small):
    name = next(iter(mirror.files))
    mirror.files[name] = gzip.compress(b"something else")
    with pytest.raises(RuntimeError, match=r"damaged or another one: its MD5 sum is .{32}, not .{32}"):
        Small(tmp_path, download=True)
    assert list((tmp_path / "Small" / "raw").iterdir()) == []


def test_a_damaged_archive_is_replaced_only_by_download(tmp_path, mirror, Small):
    raw = tmp_path / "Small" / "raw"
    raw.mkdir(parents=True)
    for name, content in mirror.files.items():
        (raw / name).write_bytes(content[:-20])
    with pytest.raises(RuntimeError, match=r"gzip file is cut or damaged\n  where: .*train-images-idx3-ubyte.gz"):
        Small(tmp_path)
    data = Small(tmp_path, download=True)
    assert all(md5_of(raw / name) == md5 for name, md5 in data.resources)
