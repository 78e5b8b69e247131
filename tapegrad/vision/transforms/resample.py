"""Images in another size.

For a tensor, a line of n pixels becomes one of m by a matrix of weights (m, n), rows and columns each by its own; pixel
i of the new line looks at the old one around c = (i + 0.5) n / m, where pixel j lies at j + 0.5.

    nearest         pixel floor(i n / m)
    nearest-exact   pixel floor(c)
    bilinear        1 - |d|, for distances |d| = |j + 0.5 - c| below 1
    bicubic         Keys' cubic with a = -0.75, for distances below 2
    antialias       the same curves (a = -0.5 for the cubic), stretched by n / m where the line gets shorter, and
                    divided by their sum; pixels beyond the edge do not count. Without, they are the outermost pixel.

Reference: R. Keys, "Cubic convolution interpolation for digital image processing", 1981.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np

from ... import dtypes
from ...core.tensor import Tensor, wrap
from ...errors import message


class InterpolationMode(Enum):
    """How values between pixels are found.

    >>> InterpolationMode.BILINEAR.value
    'bilinear'
    """

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"

    @staticmethod
    def of(value: Any) -> InterpolationMode:
        """The mode itself, or the one that has this number in Pillow; TypeError if it is neither."""
        if isinstance(value, InterpolationMode):
            return value
        found = next((mode for mode, number in _PILLOW.items() if number == value), None)
        if found is None or not isinstance(value, int):
            expected = ", ".join(f"InterpolationMode.{mode.name}" for mode in InterpolationMode)
            raise TypeError(message("resize: this is no interpolation", got=repr(value), expected=expected))
        return found


_PILLOW = {
    InterpolationMode.NEAREST: 0,
    InterpolationMode.LANCZOS: 1,
    InterpolationMode.BILINEAR: 2,
    InterpolationMode.BICUBIC: 3,
    InterpolationMode.BOX: 4,
    InterpolationMode.HAMMING: 5,
    InterpolationMode.NEAREST_EXACT: 0,
}


def resize_image(img: Any, size: tuple[int, int], mode: InterpolationMode) -> Any:
    """`resize` of a Pillow image to (height, width)."""
    return img.resize((size[1], size[0]), _PILLOW[mode])


def resize_tensor(img: Tensor, size: tuple[int, int], mode: InterpolationMode, antialias: bool) -> Tensor:
    """`resize` of a tensor of shape (..., H, W) to (height, width); integers are rounded to the nearest."""
    height, width = img.shape[-2:]
    if mode in (InterpolationMode.NEAREST, InterpolationMode.NEAREST_EXACT):
        rows, columns = _nearest(height, size[0], mode), _nearest(width, size[1], mode)
        return img.index_select(-2, wrap(rows)).index_select(-1, wrap(columns))
    if mode not in (InterpolationMode.BILINEAR, InterpolationMode.BICUBIC):
        expected = "NEAREST, NEAREST_EXACT, BILINEAR or BICUBIC"
        raise NotImplementedError(message("resize: tensors do not know this mode", got=mode.name, expected=expected))
    dtype = img.dtype
    exact = img if dtype in (dtypes.float32, dtypes.float64) else img.float()
    make = _averaging if antialias else _pointwise
    rows, columns = (
        wrap(make(old, new, mode).astype(exact.array.dtype)) for old, new in ((height, size[0]), (width, size[1]))
    )
    out = rows @ (exact @ columns.mT)  # (..., H, W) -> (..., H, width) -> (..., height, width)
    if dtype.is_floating_point:
        return out.to(dtype)
    if mode is InterpolationMode.BICUBIC and dtype is dtypes.uint8:
        out = out.clamp(0, 255)  # the cubic overshoots
    return out.round().to(dtype)


def _nearest(old: int, new: int, mode: InterpolationMode) -> np.ndarray:
    """The old pixel for each new one; in float32, as PyTorch finds it."""
    offset = np.float32(0.5 if mode is InterpolationMode.NEAREST_EXACT else 0)
    scale = np.float32(old) / np.float32(new)
    found = np.floor((np.arange(new, dtype=np.float32) + offset) * scale)
    return np.minimum(found.astype(np.int64), old - 1)


def _curve(mode: InterpolationMode, a: float) -> tuple[int, Any]:
    """The reach of a mode and its curve over the distance."""
    if mode is InterpolationMode.BILINEAR:
        return 1, lambda d: np.maximum(1 - np.abs(d), 0)

    def cubic(d: np.ndarray) -> np.ndarray:
        d = np.abs(d)
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = ((d - 5) * d + 8) * d * a - 4 * a
        return np.where(d < 1, near, np.where(d < 2, far, 0))

    return 2, cubic


def _averaging(old: int, new: int, mode: InterpolationMode) -> np.ndarray:
    """Weights (new, old) with antialiasing."""
    reach, curve = _curve(mode, a=-0.5)
    scale = old / new
    stretch = max(scale, 1.0)
    centers = (np.arange(new) + 0.5) * scale
    first = np.maximum((centers - reach * stretch + 0.5).astype(np.int64), 0)
    last = np.minimum((centers + reach * stretch + 0.5).astype(np.int64), old)
    pixels = np.arange(old)
    weights = curve((pixels + 0.5 - centers[:, None]) / stretch)
    weights[(pixels < first[:, None]) | (pixels >= last[:, None])] = 0
    return weights / weights.sum(axis=1, keepdims=True)


def _pointwise(old: int, new: int, mode: InterpolationMode) -> np.ndarray:
    """Weights (new, old) without antialiasing."""
    reach, curve = _curve(mode, a=-0.75)
    at = (np.arange(new) + 0.5) * (old / new) - 0.5
    if mode is InterpolationMode.BILINEAR:
        at = np.maximum(at, 0)
    weights = np.zeros((new, old))
    base = np.floor(at).astype(np.int64)
    for step in range(1 - reach, 1 + reach):
        pixels = base + step
        np.add.at(weights, (np.arange(new), pixels.clip(0, old - 1)), curve(at - pixels))
    return weights
