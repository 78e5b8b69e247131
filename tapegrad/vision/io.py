"""Image files as uint8 tensors (C, H, W), and back (`torchvision.io`); by Pillow."""

from __future__ import annotations

import io
from enum import Enum
from typing import Any

import numpy as np

from ..core.tensor import Tensor, wrap
from ..dtypes import uint8
from ..errors import message
from .images import pillow
from .transforms.functional import pil_to_tensor, to_pil_image

__all__ = ["ImageReadMode", "decode_image", "read_file", "read_image", "write_file", "write_jpeg", "write_png"]


class ImageReadMode(Enum):
    """The channels that are wanted: those of the file, or others."""

    UNCHANGED = 0
    GRAY = 1
    GRAY_ALPHA = 2
    RGB = 3
    RGB_ALPHA = 4


_PILLOW = {"GRAY": "L", "GRAY_ALPHA": "LA", "RGB": "RGB", "RGB_ALPHA": "RGBA"}


def read_image(path: Any, mode: ImageReadMode | str = ImageReadMode.UNCHANGED, **options: Any) -> Tensor:
    """The image in a file.

    Args:
        path: of the file.
        mode: the channels that are wanted, or their name ("RGB", "GRAY", ...).
        options: accepted for compatibility.

    Raises:
        RuntimeError: the file is no image. ImportError: Pillow is not installed.
    """
    with open(path, "rb") as file:
        return _decoded(file, mode, str(path))


def decode_image(input: Any, mode: ImageReadMode | str = ImageReadMode.UNCHANGED, **options: Any) -> Tensor:
    """The image in the bytes of a file: a uint8 tensor of one dimension, or a path as for `read_image`.

    Raises:
        RuntimeError: these are not the bytes of an image. ImportError: Pillow is not installed.
    """
    if not isinstance(input, Tensor):
        return read_image(input, mode)
    return _decoded(io.BytesIO(input.array.tobytes()), mode, f"{input.numel()} bytes")


def _decoded(file: Any, mode: ImageReadMode | str, where: str) -> Tensor:
    mode = ImageReadMode[mode.upper()] if isinstance(mode, str) else mode
    try:
        picture = pillow().open(file)
        picture.load()
    except (OSError, SyntaxError) as error:
        raise RuntimeError(message("this is no image that can be read", where=where, got=str(error))) from error
    if mode is not ImageReadMode.UNCHANGED:
        picture = picture.convert(_PILLOW[mode.name])
    elif picture.mode in ("P", "1", "CMYK", "YCbCr"):
        picture = picture.convert("RGB")
    return pil_to_tensor(picture)


def read_file(path: Any) -> Tensor:
    """The bytes of a file, as a uint8 tensor of one dimension."""
    return wrap(np.fromfile(path, np.uint8))


def write_file(filename: Any, data: Tensor) -> None:
    """Write a uint8 tensor of one dimension as the bytes of a file."""
    data.array.tofile(filename)


def write_png(input: Tensor, filename: Any, compression_level: int = 6) -> None:
    """Write a uint8 image (1 or 3, H, W) as a PNG file.

    Raises:
        RuntimeError: another type or number of channels.
    """
    _picture(input).save(filename, "png", compress_level=compression_level)


def write_jpeg(input: Tensor, filename: Any, quality: int = 75) -> None:
    """Write a uint8 image (1 or 3, H, W) as a JPEG file.

    Raises:
        RuntimeError: another type or number of channels.
    """
    _picture(input).save(filename, "jpeg", quality=quality)


def _picture(image: Tensor) -> Any:
    if image.dtype is not uint8 or image.ndim != 3 or image.size(0) not in (1, 3):
        got = f"{image.dtype} {tuple(image.shape)}"
        raise RuntimeError(message("only uint8 images can be written", got=got, expected="uint8 (1 or 3, H, W)"))
    return to_pil_image(image)
