"""Digits: 1,797 real handwritten digits of 8x8 pixels that come with the package, for examples and tests offline.

Reference: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998,
doi:10.24432/C50P49, CC BY 4.0 (`vision/data/digits.txt`).
"""

from __future__ import annotations

import gzip
import pkgutil
from collections.abc import Callable

import numpy as np

from ...core.tensor import wrap
from ...errors import message
from .base import ArrayImages
from .idx import parse_idx
from .mnist import DIGITS

_TEST = 360
_GREY = np.minimum(np.rint(np.arange(256) * (255 / 16)), 255).astype(np.uint8)  # 0 to 16 -> 0 to 255


class Digits(ArrayImages):
    """Small handwritten digits, read from the package itself.

    `data` holds the published counts of ink, 0 to 16. A transform, and Pillow, see them as grey: round(255 count / 16),
    so that `ToTensor()` gives 0 to 1. The split is by position: the last 360 of 1,797 are for testing, so that most
    of their writers are not among those trained with.

    Args:
        train: True for the first 1,437, False for the last 360, None for all.
        transform: function of the image: a Pillow image, or its pixels where it begins with `ToTensor`.
        target_transform: function of the class, an int.

    Attributes:
        data: uint8 of shape (n, 8, 8). targets: int64 of shape (n,).

    Raises:
        TypeError: `train` is none of these.
        ImportError: an image is asked for and Pillow is not installed.

    >>> from tapegrad.vision import datasets, transforms
    >>> digits = datasets.Digits(train=True, transform=transforms.ToTensor())
    >>> image, digit = digits[3]
    >>> len(digits), image.shape, digit, digits.data[3, 0]
    (1437, torch.Size([1, 8, 8]), 3, tensor([ 0,  0,  7, 15, 13,  1,  0,  0], dtype=torch.uint8))
    """

    classes = [f"{i} - {name}" for i, name in enumerate(DIGITS)]

    def __init__(
        self,
        train: bool | None = None,
        transform: Callable | None = None,
        target_transform: Callable | None = None,
    ) -> None:
        super().__init__(None, transform=transform, target_transform=target_transform)
        if train is not None and not isinstance(train, (bool, np.bool_)):
            raise TypeError(message("Digits: train must be True, False or None", got=repr(train)))
        self.train = train
        part = slice(None) if train is None else slice(None, -_TEST) if train else slice(-_TEST, None)
        images = _read("digits-images-idx3-ubyte.gz", 3).transpose(2, 0, 1)  # (8, 8, n) to (n, 8, 8)
        self.data = wrap(np.ascontiguousarray(images[part]))
        self.targets = wrap(_read("digits-labels-idx1-ubyte.gz", 1)[part].astype(np.int64))

    def _shown(self, pixels: np.ndarray) -> np.ndarray:
        return _GREY[pixels] if pixels.dtype == np.uint8 else pixels

    def extra_repr(self) -> str:
        return f"Split: {'All' if self.train is None else 'Train' if self.train else 'Test'}"


def _read(name: str, ndim: int) -> np.ndarray:
    content = pkgutil.get_data("tapegrad.vision", f"data/{name}")
    if content is None:
        raise RuntimeError(message("the package has lost one of its files", where=f"tapegrad/vision/data/{name}"))
    return parse_idx(bytearray(gzip.decompress(content)), name, ndim)
