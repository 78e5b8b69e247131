"""What an image is, and its pixels: between Pillow, NumPy and tensors, in other types, normalised."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import dtypes
from ...core.tensor import Tensor, wrap
from ...errors import message
from ...modes import get_default_dtype, is_grad_enabled
from ..images import check_image, pillow

_LITTLE = sys.byteorder == "little"
_SIXTEEN = "I;16" if _LITTLE else "I;16B"
_MAX = {name: np.iinfo(name).max for name in ("uint8", "int8", "int16", "uint16", "int32", "int64")}


def get_dimensions(img: Any) -> list[int]:
    """[channels, height, width] of an image.

    >>> import tapegrad as torch
    >>> get_dimensions(torch.zeros(3, 4, 5))
    [3, 4, 5]
    """
    if not isinstance(img, Tensor):
        check_image(img)
        return [len(img.getbands()), img.height, img.width]
    if img.ndim < 2:
        raise TypeError(message("this tensor is no image", got=tuple(img.shape), expected="(..., H, W)"))
    return [1 if img.ndim == 2 else img.shape[-3], *img.shape[-2:]]


def get_image_size(img: Any) -> list[int]:
    """[width, height] of an image."""
    _, height, width = get_dimensions(img)
    return [width, height]


def get_image_num_channels(img: Any) -> int:
    """The number of channels of an image."""
    return get_dimensions(img)[0]


# ---- between Pillow, NumPy and tensors -----------------------------------------------------------------------


def to_tensor(pic: Any) -> Tensor:
    """An image as a tensor of shape (C, H, W); 8-bit pixels v become v / 255 in the default dtype.

    Args:
        pic: a Pillow image, or an array of shape (H, W) or (H, W, C). Pixels that are not 8-bit keep type and value.

    Raises:
        TypeError: `pic` is neither. ValueError: the array has another number of dimensions.

    >>> import numpy as np
    >>> to_tensor(np.array([[0, 51], [102, 255]], dtype=np.uint8))
    tensor([[[0.0000, 0.2000],
             [0.4000, 1.0000]]])
    """
    if isinstance(pic, np.ndarray):
        if pic.ndim not in (2, 3):
            raise ValueError(
                message("to_tensor: this array is no image", got=pic.shape, expected="(H, W) or (H, W, C)")
            )
        pixels = pic if pic.ndim == 3 else pic[:, :, None]
    else:
        check_image(pic)
        pixels = _pillow_pixels(pic)
    pixels = pixels.transpose(2, 0, 1)  # (C, H, W)
    if pixels.dtype == np.uint8:
        return scaled(pixels)
    dtypes.of(pixels.dtype)
    return wrap(np.ascontiguousarray(pixels))


def scaled(pixels: np.ndarray) -> Tensor:
    """uint8 pixels / 255 in the default dtype."""
    out = pixels.astype(get_default_dtype().numpy, order="C")
    out /= out.dtype.type(255)
    return wrap(out)


def pil_to_tensor(pic: Any) -> Tensor:
    """A Pillow image as a tensor of shape (C, H, W) of the image's own pixel type; nothing is scaled.

    Raises:
        TypeError: `pic` is no Pillow image.
    """
    check_image(pic)
    pixels = np.array(pic)
    dtypes.of(pixels.dtype)
    return wrap(pixels.reshape(pic.height, pic.width, -1).transpose(2, 0, 1))


def to_pil_image(pic: Any, mode: str | None = None) -> Any:
    """A Pillow image of a tensor of shape (C, H, W) or an array of shape (H, W, C); (H, W) for both is one channel.

    Floating-point pixels v become uint8 255 v, unless `mode` is "F".

    Args:
        pic: 1 to 4 channels.
        mode: Pillow's mode; by default L, I;16, I or F (one channel, by type), LA, RGB or RGBA.

    Raises:
        TypeError: `pic` is neither, or of a type that no mode holds.
        ValueError: a mode that does not fit, or another number of dimensions or channels.
        ImportError: Pillow is not installed.
    """
    if not isinstance(pic, (Tensor, np.ndarray)):
        raise TypeError(message("to_pil_image: this is neither a tensor nor an array", got=type(pic).__name__))
    pixels = pixels_of(pic, floats=mode == "F")
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.ndim != 3 or pixels.shape[2] > 4:
        text = "to_pil_image: this is no image"
        raise ValueError(message(text, got=pic.shape, expected="(H, W) or 1 to 4 channels"))
    mode = _fitting_mode(pixels, mode)
    if pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    image = pillow()
    if mode in ("L", "I", "F", _SIXTEEN, "LA", "RGB", "RGBA"):  # told by type and shape
        return image.fromarray(pixels.view(np.uint16) if mode == _SIXTEEN else pixels)
    return image.frombytes(mode, (pixels.shape[1], pixels.shape[0]), pixels.tobytes())


def pixels_of(pic: Tensor | np.ndarray, floats: bool = False) -> np.ndarray:
    """The pixels of a tensor (C, H, W) or array (H, W, C) as an array (H, W, C), or (H, W) for both."""
    pixels = pic
    if isinstance(pic, Tensor):
        pixels = pic.array.transpose(1, 2, 0) if pic.ndim == 3 else pic.array
    if dtypes.of(pixels.dtype).is_floating_point and not floats:
        with np.errstate(invalid="ignore"):
            return (pixels * 255).astype(np.int32).astype(np.uint8)  # by way of int32: out of range means modulo 256
    return np.asarray(pixels)


def _fitting_mode(pixels: np.ndarray, mode: str | None) -> str:
    """The Pillow mode for pixels of shape (H, W, C), which is `mode` if that fits."""
    channels = pixels.shape[2]
    if channels == 1:
        by_type = {"uint8": "L", "int16": _SIXTEEN, "int32": "I", "float32": "F"}
        possible = [by_type[pixels.dtype.name]] if pixels.dtype.name in by_type else []
    else:
        possible = {2: ["LA"], 3: ["RGB", "YCbCr", "HSV"], 4: ["RGBA", "CMYK", "RGBX"]}[channels]
    if mode is not None and mode not in possible:
        got = f"{mode!r} for {channels} channels of {pixels.dtype.name}"
        raise ValueError(
            message("to_pil_image: the mode does not fit", got=got, expected=" or ".join(possible) or "None")
        )
    if not possible or (channels > 1 and pixels.dtype != np.uint8):
        text = "to_pil_image: Pillow has no image of such pixels"
        raise TypeError(message(text, got=f"{channels} channels of {pixels.dtype.name}", fix="convert them to uint8"))
    return mode or possible[0]


def _pillow_pixels(image: Any) -> np.ndarray:
    """Pixels of shape (H, W, C) as `to_tensor` takes them: 8 bits each, except in the modes that have more."""
    dtype = {"I": np.int32, _SIXTEEN: np.int16, "F": np.float32}.get(image.mode, np.uint8)
    pixels = np.array(image).astype(dtype).reshape(image.height, image.width, -1)
    return pixels * np.uint8(255) if image.mode == "1" else pixels


# ---- values --------------------------------------------------------------------------------------------------


def normalize(tensor: Tensor, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> Tensor:
    """(x - mean[c]) / std[c] for each channel c of a floating-point tensor of shape (..., C, H, W).

    Args:
        tensor: the images.
        mean: one number for each channel, or one for all.
        std: likewise.
        inplace: write into `tensor`.

    Raises:
        TypeError: not a floating-point tensor. ValueError: fewer than 3 dimensions, or a `std` of 0.
        RuntimeError: another number of channels.

    >>> import tapegrad as torch
    >>> normalize(torch.ones(1, 1, 2), [0.5], [0.25])
    tensor([[[2., 2.]]])
    """
    if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
        got = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
        fix = "begin with ToTensor() or ConvertImageDtype(torch.float32)"
        raise TypeError(message("normalize: only tensors of floating-point numbers can be", got=got, fix=fix))
    if tensor.ndim < 3:
        raise ValueError(
            message("normalize: this tensor has no channels", got=tuple(tensor.shape), expected="(..., C, H, W)")
        )
    x = tensor.array
    center, width = _per_channel(mean, x.dtype), _per_channel(std, x.dtype)
    if (width == 0).any():
        raise ValueError(message(f"normalize: std is 0 (as {tensor.dtype})", got=std, expected="above 0"))
    if tensor.requires_grad and is_grad_enabled():
        return (tensor if inplace else tensor.clone()).sub_(wrap(center)).div_(wrap(width))
    if {center.size, width.size} - {1, x.shape[-3]}:
        got = f"{center.size} means and {width.size} deviations for shape {x.shape}"
        raise RuntimeError(message("normalize: give one number for each channel, or one for all", got=got))
    out = np.subtract(x, center, out=x if inplace else np.empty_like(x))
    np.divide(out, width, out=out)
    if not inplace:
        return wrap(out)
    tensor.bump()
    return tensor


def _per_channel(numbers: Any, dtype: np.dtype) -> np.ndarray:
    """One number for all, or one for each channel, in the shape that meets (..., C, H, W)."""
    array = (numbers.array if isinstance(numbers, Tensor) else np.asarray(numbers)).astype(dtype)
    return array.reshape(-1, 1, 1) if array.ndim == 1 else array


def convert_image_dtype(image: Tensor, dtype: dtypes.dtype = dtypes.float32) -> Tensor:
    """A tensor image in another dtype, values scaled to its range: 0 to 1 for floating-point, 0 to max for integers.

    Integers v become v / max; floating-point v become floor(v (max + 1 - 0.001)); from integers to integers, values are
    multiplied or divided by the power of two between the ranges.

    Args:
        image: a tensor.
        dtype: the wanted type.

    Raises:
        TypeError: `image` is no tensor.
        RuntimeError: float32 to int32 or int64, float64 to int64: the type does not hold all those integers.

    >>> import tapegrad as torch
    >>> convert_image_dtype(torch.tensor([0.0, 0.5, 1.0]), torch.uint8)
    tensor([  0, 127, 255], dtype=torch.uint8)
    """
    if not isinstance(image, Tensor):
        raise TypeError(message("convert_image_dtype: this is no tensor", got=type(image).__name__))
    source = image.dtype
    if source is dtype:
        return image
    if dtype.is_floating_point:
        return image.to(dtype) if source.is_floating_point else image.to(dtype) / float(_MAX.get(source.name, 1))
    top = _MAX.get(dtype.name, 1)
    if source.is_floating_point:
        if (source.name, dtype.name) in {("float32", "int32"), ("float32", "int64"), ("float64", "int64")}:
            text = f"convert_image_dtype: {source} does not hold all integers of {dtype}"
            raise RuntimeError(message(text, fix="convert to a smaller integer type"))
        return image.mul(float(top) + 1.0 - 1e-3).to(dtype)
    before = _MAX.get(source.name, 1)
    if before > top:
        return image.div((before + 1) // (top + 1), rounding_mode="floor").to(dtype)
    return image.to(dtype) * ((top + 1) // (before + 1))
