"""Blurred and sharpened images: convolutions with small kernels, the edges mirrored or left as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import dtypes
from ...core.tensor import Tensor, wrap
from ...errors import message
from ...ops.neural.conv import conv2d
from ..images import is_image, pillow_part
from .colors import blend
from .padding import pad_tensor
from .pixels import get_dimensions, pil_to_tensor, to_pil_image


def gaussian_blur(img: Any, kernel_size: int | Sequence[int], sigma: Any = None) -> Any:
    """A weighted mean of the pixels around, with weights exp(-d**2 / (2 sigma**2)) for distance d in pixels.

    Args:
        img: a Pillow image or a tensor of shape (..., H, W); beyond its edges it is mirrored.
        kernel_size: odd numbers (width, height) of pixels, or one for both.
        sigma: (sigma_x, sigma_y), or one for both; 0.15 kernel_size + 0.35 if None.

    Raises:
        ValueError: sizes that are not odd and positive, or a sigma that is not positive.

    >>> import tapegrad as torch
    >>> gaussian_blur(torch.tensor([[[0.0, 0.0, 1.0, 0.0, 0.0]] * 3]), 3, 1.0)[0, 1]
    tensor([0.0000, 0.2741, 0.4519, 0.2741, 0.0000])
    """
    sizes = _two(kernel_size)
    sigmas = [size * 0.15 + 0.35 for size in sizes] if sigma is None else _two(sigma)
    if any(size % 2 == 0 or size < 0 for size in sizes):
        raise ValueError(message("gaussian_blur: kernel_size must be odd and positive", got=kernel_size))
    if any(value <= 0 for value in sigmas):
        raise ValueError(message("gaussian_blur: sigma must be positive", got=sigma))
    if is_image(img):
        return to_pil_image(_blurred(pil_to_tensor(img), sizes, sigmas), mode=img.mode)
    get_dimensions(img)
    return _blurred(img, sizes, sigmas)


def _blurred(img: Tensor, sizes: Sequence[int], sigmas: Sequence[float]) -> Tensor:
    exact = img if img.is_floating_point() else img.to(dtypes.float32)
    across, down = (_bell(size, sigma, exact.array.dtype) for size, sigma in zip(sizes, sigmas))
    width, height = (size // 2 for size in sizes)
    padded = pad_tensor(exact, [width, height, width, height], 0, "reflect")
    return _convolved(padded, np.outer(down, across), img)


def _bell(size: int, sigma: float, dtype: np.dtype) -> np.ndarray:
    half = (size - 1) * 0.5
    curve = np.exp(-0.5 * (np.linspace(-half, half, size, dtype=dtype) / dtype.type(sigma)) ** 2)
    return curve / curve.sum()


def adjust_sharpness(img: Any, sharpness_factor: float) -> Any:
    """Sharper or softer: 0 is a soft image, 1 the image itself, 2 a sharp one.

    The soft image is the mean of each pixel and its 8 neighbours, the pixel counted 5 times; the outermost pixels stay.

    Raises:
        ValueError: the factor is negative.
    """
    if sharpness_factor < 0:
        raise ValueError(message("adjust_sharpness: the factor is negative", got=sharpness_factor))
    if is_image(img):
        return pillow_part("ImageEnhance").Sharpness(img).enhance(sharpness_factor)
    channels, height, width = get_dimensions(img)
    if channels not in (1, 3):
        raise TypeError(message("adjust_sharpness: no such image", got=f"{channels} channels", expected="1 or 3"))
    if height <= 2 or width <= 2:
        return img
    exact = img if img.is_floating_point() else img.to(dtypes.float32)
    kernel = np.ones((3, 3), exact.array.dtype)
    kernel[1, 1] = 5
    soft = img.clone()
    soft[..., 1:-1, 1:-1] = _convolved(exact, kernel / kernel.sum(), img)
    return blend(img, soft, sharpness_factor)


def _convolved(padded: Tensor, kernel: np.ndarray, like: Tensor) -> Tensor:
    """Every image in `padded` with the kernel, in the type of `like`; whole numbers are rounded."""
    images = padded.reshape(-1, 1, *padded.shape[-2:])
    weight = wrap(np.ascontiguousarray(kernel, dtype=padded.array.dtype)[None, None])
    out = conv2d(images, weight)
    out = out.reshape(*padded.shape[:-2], *out.shape[-2:])
    return out if like.is_floating_point() else out.round().to(like.dtype)


def _two(values: Any) -> list[Any]:
    """One value or two as two."""
    if isinstance(values, (int, float)):
        return [values, values]
    if len(values) not in (1, 2):
        raise ValueError(message("gaussian_blur: give one number, or one for each direction", got=values))
    return [values[0], values[-1]]
