"""MNIST and FashionMNIST: 70,000 images of 28x28 grey pixels in ten classes.

Reference: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document recognition", 1998;
H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST", arXiv:1708.07747.
"""

from __future__ import annotations

import os
import string
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ...core.tensor import wrap
from ...errors import message
from .base import SplitImages, VisionDataset, not_there
from .download import download, md5_of, unzip, write_whole
from .idx import find_idx, read_idx

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


class MNIST(SplitImages):
    """Handwritten digits: 60,000 images to train with, 10,000 to test with.

    The four IDX files, plain or gzipped, lie in `root/MNIST/raw`. Once they are there nothing is asked of the network.

    Args:
        root: folder that holds, or will hold, `MNIST/raw`.
        train: the images to train with, or those to test with.
        transform: function of the image: a Pillow image, or its pixels where it begins with `ToTensor` (which gives
            the same).
        target_transform: function of the class, an int.
        download: get the files that are missing, from the first of `mirrors` that has them.

    Attributes:
        data: uint8 of shape (n, 28, 28). targets: int64 of shape (n,).

    Raises:
        RuntimeError: files are missing, cut or damaged, or could not be downloaded.
        ImportError: an image is asked for and Pillow is not installed.

    >>> import os, tempfile
    >>> import numpy as np
    >>> from tapegrad.vision import datasets, transforms
    >>> folder = tempfile.TemporaryDirectory()
    >>> for name, head, size in (("images-idx3", [0x803, 2, 28, 28], 2 * 784), ("labels-idx1", [0x801, 2], 2)):
    ...     with open(os.path.join(folder.name, f"train-{name}-ubyte"), "wb") as file:
    ...         _ = file.write(np.array(head, ">i4").tobytes() + bytes(size))
    >>> data = datasets.MNIST.from_folder(folder.name, transform=transforms.ToTensor())
    >>> image, digit = data[0]
    >>> len(data), image.shape, data.classes[digit]
    (2, torch.Size([1, 28, 28]), '0 - zero')
    >>> folder.cleanup()
    """

    mirrors = ["https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"]
    resources = [
        ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
        ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
        ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
    ]
    classes = [f"{i} - {name}" for i, name in enumerate(DIGITS)]

    _folder: str | None = None

    @classmethod
    def from_folder(
        cls,
        folder: str | Path,
        train: bool = True,
        transform: Callable | None = None,
        target_transform: Callable | None = None,
    ) -> MNIST:
        """The dataset whose IDX files, plain or gzipped, lie in `folder` itself; see the class for the rest."""
        self = cls.__new__(cls)
        VisionDataset.__init__(self, folder, transform=transform, target_transform=target_transform)
        self.train = train
        self._folder = os.path.expanduser(folder)
        self._load()
        return self

    @property
    def raw_folder(self) -> str:
        """Where the IDX files are."""
        return self._folder or os.path.join(self.root, type(self).__name__, "raw")

    @property
    def processed_folder(self) -> str:
        """Where old versions of torchvision kept another form of the data; not used."""
        return os.path.join(self.root, type(self).__name__, "processed")

    def download(self) -> None:
        """Get the files that are missing, and those of which only a damaged archive is there.

        Raises:
            RuntimeError: no mirror gave a file; the text says why for each.
        """
        folder = Path(self.raw_folder)
        for name, md5 in self.resources:
            path = find_idx(folder, name.removesuffix(".gz"))
            if path is None or (path.suffix == ".gz" and md5_of(path) != md5):
                unzip(download(name, self.mirrors, folder, md5))

    def _names(self) -> list[str]:
        """The files of the images and of the classes, unzipped."""
        split = "train" if self.train else "t10k"
        return [f"{split}-images-idx3-ubyte", f"{split}-labels-idx1-ubyte"]

    def _load(self) -> None:
        """Read `data` and `targets`."""
        folder = Path(self.raw_folder)
        paths = {name: find_idx(folder, name) for name in self._names()}
        missing = [name for name, path in paths.items() if path is None]
        if missing:
            fix = "download=True; or put the files there; or from_folder(folder) for another folder"
            raise RuntimeError(not_there(self, folder, fix, missing, " (plain or .gz)"))
        images_path, labels_path = paths.values()
        images, labels = read_idx(images_path, ndim=3), read_idx(labels_path, ndim=1)  # type: ignore[arg-type]
        if len(images) != len(labels):
            raise RuntimeError(
                message(
                    f"{type(self).__name__}: the two files do not belong together",
                    where=str(folder),
                    got=f"{len(images)} images, {len(labels)} labels",
                    fix="delete both and get them again",
                )
            )
        self.data, self.targets = wrap(images), wrap(labels.astype(np.int64))

    @property
    def train_data(self) -> Any:
        """Old name of `data`."""
        return self._renamed("train_data", "data")

    @property
    def test_data(self) -> Any:
        """Old name of `data`."""
        return self._renamed("test_data", "data")

    @property
    def train_labels(self) -> Any:
        """Old name of `targets`."""
        return self._renamed("train_labels", "targets")

    @property
    def test_labels(self) -> Any:
        """Old name of `targets`."""
        return self._renamed("test_labels", "targets")

    def _renamed(self, old: str, new: str) -> Any:
        warnings.warn(f"{type(self).__name__}.{old} is called {new} now", stacklevel=3)
        return getattr(self, new)


class FashionMNIST(MNIST):
    """Photographs of clothes in the form of MNIST: 60,000 to train with, 10,000 to test with.

    The files lie in `root/FashionMNIST/raw`; arguments, attributes and errors are those of `MNIST`.

    >>> from tapegrad.vision import datasets
    >>> datasets.FashionMNIST.classes[:3]
    ['T-shirt/top', 'Trouser', 'Pullover']
    """

    mirrors = ["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"]
    resources = [
        ("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
        ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
        ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    ]
    classes = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]


class KMNIST(MNIST):
    """Handwritten Japanese characters (kuzushiji) in the form of MNIST: 60,000 to train with, 10,000 to test with.

    The files lie in `root/KMNIST/raw`; arguments, attributes and errors are those of `MNIST`.

    >>> from tapegrad.vision import datasets
    >>> datasets.KMNIST.classes[:3]
    ['o', 'ki', 'su']
    """

    mirrors = ["http://codh.rois.ac.jp/kmnist/dataset/kmnist/"]
    resources = [
        ("train-images-idx3-ubyte.gz", "bdb82020997e1d708af4cf47b453dcf7"),
        ("train-labels-idx1-ubyte.gz", "e144d726b3acfaa3e44228e80efcd344"),
        ("t10k-images-idx3-ubyte.gz", "5c965bf0a639b31b8f53240b1b52f4d7"),
        ("t10k-labels-idx1-ubyte.gz", "7320c461ea6c1c855c0b718fb2a4b134"),
    ]
    classes = ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]


_SMALL, _CAPITAL = string.ascii_lowercase, string.ascii_uppercase
_ALIKE = set("cijklmopsuvwxyz")  # small letters that are counted with their capitals
_MERGED = sorted(set(string.digits + _CAPITAL + _SMALL) - _ALIKE)


class EMNIST(MNIST):
    """Handwritten letters and digits in the form of MNIST, in six divisions.

    The files lie in `root/EMNIST/raw`. Images are published turned and mirrored; they are given as published.

    Args:
        root: folder that holds, or will hold, `EMNIST/raw`.
        split: "byclass" (62 classes), "bymerge" and "balanced" (47: small letters like their capitals are one class),
            "letters" (26, numbered from 1), "digits" or "mnist" (10).
        kwargs: `train`, `transform`, `target_transform`, `download`, as of `MNIST`.

    Raises:
        ValueError: there is no such division. Otherwise as `MNIST`.

    Reference: G. Cohen et al., "EMNIST: an extension of MNIST to handwritten letters", arXiv:1702.05373.

    >>> from tapegrad.vision import datasets
    >>> datasets.EMNIST.classes_split_dict["letters"][:3]
    ['N/A', 'a', 'b']
    """

    url = "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip"
    md5 = "58c8d27c78d21e728a6bc7b3cc06412e"
    splits = ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")
    classes_split_dict = {
        "byclass": sorted(string.digits + _CAPITAL + _SMALL),
        "bymerge": _MERGED,
        "balanced": _MERGED,
        "letters": ["N/A", *_SMALL],
        "digits": list(string.digits),
        "mnist": list(string.digits),
    }

    def __init__(self, root: str | Path, split: str, **kwargs: Any) -> None:
        if split not in self.splits:
            raise ValueError(message("EMNIST: no such split", got=repr(split), expected=", ".join(self.splits)))
        self.split = split
        super().__init__(root, **kwargs)
        self.classes = self.classes_split_dict[split]

    def _names(self) -> list[str]:
        part = f"emnist-{self.split}-{'train' if self.train else 'test'}"
        return [f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"]

    def download(self) -> None:
        """Get the archive of all divisions and unpack it, unless the files are there.

        Raises:
            RuntimeError: it could not be downloaded.
        """
        folder = Path(self.raw_folder)
        if all(find_idx(folder, name) for name in self._names()):
            return
        base, _, name = self.url.rpartition("/")
        with zipfile.ZipFile(download(name, [base], folder, self.md5)) as archive:
            for member in archive.namelist():
                leaf = member.rpartition("/")[2]
                if leaf.startswith("emnist-") and leaf.endswith("-ubyte.gz"):
                    write_whole(folder / leaf, archive.read(member))

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}\nPart: {self.split}"
