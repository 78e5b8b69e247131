"""Street View House Numbers: digits from photographs of houses, 32 x 32 pixels in colour.

Reference: Y. Netzer et al., "Reading digits in natural images with unsupervised feature learning", 2011.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import message
from .base import ArrayImages, not_there
from .download import download, md5_of
from .mat import read_mat


class SVHN(ArrayImages):
    """Digits from house numbers: 73,257 to train with, 26,032 to test with, 531,131 more that are easier.

    Args:
        root: folder that holds, or will hold, `train_32x32.mat`, `test_32x32.mat`, `extra_32x32.mat`.
        split: "train", "test" or "extra".
        transform: function of the image: a Pillow image, or its pixels where it begins with `ToTensor` (which gives
            the same).
        target_transform: function of the class, an int.
        download: get the file, if it is missing.

    Attributes:
        data: uint8 array of shape (n, 3, 32, 32). labels: int64 array of shape (n,), 0 to 9.

    Raises:
        ValueError: there is no such split.
        RuntimeError: the file is missing or damaged, or could not be downloaded.
        ImportError: an image is asked for and Pillow is not installed.
    """

    split_list = {
        name: [f"http://ufldl.stanford.edu/housenumbers/{name}_32x32.mat", f"{name}_32x32.mat", md5]
        for name, md5 in (
            ("train", "e26dedcc434d2e4c54c9b2d4a06d8373"),
            ("test", "eb5a983be6a315427106f1b164d9cef3"),
            ("extra", "a93ce644f1a588dc4d68dda5feec44a7"),
        )
    }
    classes = [str(digit) for digit in range(10)]

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        transform: Callable | None = None,
        target_transform: Callable | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        if split not in self.split_list:
            raise ValueError(message("SVHN: no such split", got=repr(split), expected=", ".join(self.split_list)))
        self.split = split
        if download:
            self.download()
        path = self._path
        if not path.is_file():
            raise RuntimeError(not_there(self, path, "download=True; or put the file there"))
        pixels, labels = read_mat(path, ("X", "y"))  # (32, 32, 3, n), (n, 1)
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[2] != 3 or labels.size != pixels.shape[3]:
            got = f"X {pixels.dtype} {pixels.shape}, y {labels.shape}"
            raise RuntimeError(message("SVHN: this file holds something else", where=str(path), got=got))
        self.data = np.ascontiguousarray(pixels.transpose(3, 2, 0, 1))
        self.labels = labels.reshape(-1).astype(np.int64) % 10  # the digit 0 has the number 10

    @property
    def _path(self) -> Path:
        return Path(self.root or ".") / self.split_list[self.split][1]

    @property
    def targets(self) -> Any:  # type: ignore[override]
        """The same as `labels`."""
        return self.labels

    def _image_and_target(self, index: int) -> tuple[Any, Any]:
        return self._pillow_or_pixels(self.data[index].transpose(1, 2, 0)), self._target(index)

    def _planes(self) -> np.ndarray | None:
        pixels = self.data
        fits = isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 and pixels.ndim == 4
        return pixels if fits and pixels.shape[1] == 3 else None

    def download(self) -> None:
        """Get the file, unless it is there as published.

        Raises:
            RuntimeError: it could not be downloaded.
        """
        url, name, md5 = self.split_list[self.split]
        if not self._path.is_file() or md5_of(self._path) != md5:
            download(name, [url.rpartition("/")[0]], self._path.parent, md5)

    def extra_repr(self) -> str:
        return f"Split: {self.split}"
