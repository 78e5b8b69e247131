"""Images in another size. Tensors are resized by `nn.functional.interpolate`, which see for the formulas; Pillow images
by Pillow.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np

from ... import dtypes
from ...core.tensor import Tensor, wrap
from ...errors import message
from ...ops.neural.interpolate import interpolate


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


def pillow_number(mode: InterpolationMode) -> int:
    """The mode as Pillow numbers them."""
    return _PILLOW[mode]


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
    images = exact.reshape(-1, 1, height, width)
    out = interpolate(images, size, mode=mode.value, align_corners=False, antialias=antialias)
    out = out.reshape(*img.shape[:-2], *size)
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
