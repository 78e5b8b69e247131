"""CIFAR-10 and CIFAR-100: 60,000 photographs of 32 x 32 pixels.

They are published as pickled dicts of arrays. A pickle can name any function to be called; here it may name only the
few that make an array, so that a file can at worst be refused.

Reference: A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
"""

from __future__ import annotations

import codecs
import io
import os
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import message
from .base import SplitImages, not_there
from .download import download, md5_of, write_whole


class CIFAR10(SplitImages):
    """Photographs of ten sorts of things: 50,000 to train with, 10,000 to test with.

    The files lie in `root/cifar-10-batches-py`. Once they are there nothing is asked of the network.

    Args:
        root: folder that holds, or will hold, that folder.
        train: the images to train with, or those to test with.
        transform: function of the image: a Pillow image, or its pixels where it begins with `ToTensor` (which gives
            the same).
        target_transform: function of the class, an int.
        download: get the archive, if the files are missing.

    Attributes:
        data: uint8 array of shape (n, 32, 32, 3). targets: list of n ints. classes, class_to_idx: the names.

    Raises:
        RuntimeError: files are missing or damaged, or could not be downloaded.
        ImportError: an image is asked for and Pillow is not installed.
    """

    base_folder = "cifar-10-batches-py"
    url = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    filename = "cifar-10-python.tar.gz"
    tgz_md5 = "c58f30108f718f92721af3b95e74349a"
    train_list = [
        ["data_batch_1", "c99cafc152244af753f735de768cd75f"],
        ["data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"],
        ["data_batch_3", "54ebc095f3ab1f0389bbae665268c751"],
        ["data_batch_4", "634d18415352ddfa80567beed471001a"],
        ["data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"],
    ]
    test_list = [["test_batch", "40351d587109b95175f43aff81a1287e"]]
    meta = {"filename": "batches.meta", "key": "label_names", "md5": "5ff9c542aee3614f3951f8cda6e48888"}

    @property
    def _files(self) -> list[str]:
        listed = self.train_list if self.train else self.test_list
        return [name for name, _ in listed]

    def _load(self) -> None:
        folder = Path(self.root or ".") / self.base_folder
        missing = [name for name in (*self._files, self.meta["filename"]) if not (folder / name).is_file()]
        if missing:
            raise RuntimeError(not_there(self, folder, "download=True; or unpack the archive there", missing))
        pixels, self.targets = [], []
        for name in self._files:
            entry = read_arrays(folder / name)
            labels = entry.get("labels", entry.get("fine_labels"))
            rows = entry.get("data")
            if not isinstance(rows, np.ndarray) or rows.shape[1:] != (3072,) or rows.dtype != np.uint8:
                raise RuntimeError(_damaged(folder / name, "no images of 3072 bytes"))
            if not isinstance(labels, list) or len(labels) != len(rows):
                raise RuntimeError(_damaged(folder / name, "not one class for each image"))
            pixels.append(rows)
            self.targets += labels
        # (n, 32, 32, 3) to look at; the memory stays (n, 3, 32, 32), as a batch wants it
        self.data = np.concatenate(pixels).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        self.classes = list(read_arrays(folder / self.meta["filename"])[self.meta["key"]])

    def _target(self, index: int) -> Any:
        return self.targets[index]

    def download(self) -> None:
        """Get the archive and unpack it, unless the files are there as published.

        Raises:
            RuntimeError: it could not be downloaded.
        """
        root = Path(self.root or ".")
        folder = root / self.base_folder
        wanted = dict([*self.train_list, *self.test_list])
        wanted[self.meta["filename"]] = self.meta["md5"]
        if all((folder / name).is_file() and md5_of(folder / name) == md5 for name, md5 in wanted.items()):
            return
        base = self.url.rpartition("/")[0]
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(download(self.filename, [base], root, self.tgz_md5), "r:gz") as archive:
            for name in wanted:
                member = archive.extractfile(f"{self.base_folder}/{name}")
                if member is not None:
                    write_whole(folder / name, member.read())


class CIFAR100(CIFAR10):
    """Photographs of a hundred sorts of things: 50,000 to train with, 10,000 to test with.

    The files lie in `root/cifar-100-python`; arguments, attributes and errors are those of `CIFAR10`.
    """

    base_folder = "cifar-100-python"
    url = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
    filename = "cifar-100-python.tar.gz"
    tgz_md5 = "eb9058c3a382ffc7106e4002c42a8d85"
    train_list = [["train", "16019d7e3df5f24257cddd939b257f8d"]]
    test_list = [["test", "f0ef6b0ae62326f3e7ffdfab6717acfc"]]
    meta = {"filename": "meta", "key": "fine_label_names", "md5": "7973b15100ade9c7d40fb424638fde48"}


# ---- pickled dicts of arrays -----------------------------------------------------------------------------------


def _empty_array(kind: type, shape: tuple[int, ...], letter: Any) -> np.ndarray:
    """What a pickled array begins as; its contents follow."""
    return np.ndarray((0,), np.uint8)


def _dtype(*arguments: Any) -> np.dtype:
    return np.dtype(arguments[0])


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _empty_array,
    ("numpy._core.multiarray", "_reconstruct"): _empty_array,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): _dtype,
    ("_codecs", "encode"): codecs.encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return _ALLOWED[module, name]


def read_arrays(path: Path) -> dict[str, Any]:
    """The dict in a pickle of arrays, lists, numbers and text; nothing in the file is run.

    Raises:
        RuntimeError: the file is something else, or damaged.
    """
    content = path.read_bytes()
    try:
        found = _Unpickler(io.BytesIO(content), encoding="latin1").load()
    except Exception as error:
        raise RuntimeError(_damaged(path, f"{len(content)} bytes, {type(error).__name__}: {error}")) from error
    if not isinstance(found, dict):
        raise RuntimeError(_damaged(path, type(found).__name__))
    return found


def _damaged(path: Path, got: str) -> str:
    text = "this is not one of CIFAR's files, or it is damaged"
    return message(text, where=os.fspath(path), got=got, fix="delete the file and get it again")
