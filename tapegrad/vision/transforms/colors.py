"""Colours of images: grey, brightness, contrast, saturation, hue, and tables of values.

Tensors hold values from 0 to 1 (floating-point) or 0 to the largest of their type. `_blend(a, b, f)` is what most of
these are: f a + (1 - f) b, cut to that range; f = 1 leaves a as it is. Pillow images are left to Pillow.

Reference: A. R. Smith, "Color gamut transform pairs", SIGGRAPH 1978 (hue, saturation, value).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import dtypes
from ...core.tensor import Tensor, wrap
from ...errors import message
from ...ops.shape.joining import stack
from ..images import check_image, is_image, pillow, pillow_part
from .pixels import convert_image_dtype, get_dimensions


def to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """A Pillow image in grey, with one channel or three equal ones.

    Raises:
        TypeError: `img` is no Pillow image. ValueError: another number of channels.
    """
    check_image(img)
    _check_grey(num_output_channels)
    grey = img.convert("L")
    return grey if num_output_channels == 1 else pillow().merge("RGB", [grey] * 3)


def rgb_to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """An image in grey, 0.2989 R + 0.587 G + 0.114 B, with one channel or three equal ones.

    A tensor of one channel stays as it is, as in torchvision.

    Args:
        img: a Pillow image, or a tensor of shape (..., 1 or 3, H, W).
        num_output_channels: 1 or 3.

    Raises:
        TypeError: a tensor of another shape. ValueError: another number of output channels.

    >>> import tapegrad as torch
    >>> rgb_to_grayscale(torch.ones(3, 1, 2)).shape
    torch.Size([1, 1, 2])
    """
    if not isinstance(img, Tensor):
        return to_grayscale(img, num_output_channels)
    if img.ndim < 3 or img.shape[-3] not in (1, 3):
        raise TypeError(
            message("rgb_to_grayscale: no such image", got=tuple(img.shape), expected="(..., 1 or 3, H, W)")
        )
    _check_grey(num_output_channels)
    if img.shape[-3] == 3:
        red, green, blue = img.unbind(-3)
        grey = (0.2989 * red + 0.587 * green + 0.114 * blue).to(img.dtype).unsqueeze(-3)
    else:
        grey = img.clone()
    return grey if num_output_channels == 1 else grey.expand(*img.shape)


def _check_grey(channels: int) -> None:
    if channels not in (1, 3):
        raise ValueError(message("a grey image has one channel, or three equal ones", got=channels))


# ---- blends ----------------------------------------------------------------------------------------------------


def adjust_brightness(img: Any, brightness_factor: float) -> Any:
    """Lighter or darker: 0 is black, 1 the image itself, 2 twice as bright.

    Raises:
        ValueError: the factor is negative.

    >>> import tapegrad as torch
    >>> adjust_brightness(torch.full((3, 1, 1), 0.4), 2.0).flatten()
    tensor([0.8000, 0.8000, 0.8000])
    """
    _check_factor("adjust_brightness", brightness_factor)
    if is_image(img):
        return pillow_part("ImageEnhance").Brightness(img).enhance(brightness_factor)
    _check_channels("adjust_brightness", img)
    return blend(img, img.new_zeros(img.shape), brightness_factor)


def adjust_contrast(img: Any, contrast_factor: float) -> Any:
    """More or less contrast: 0 is an even grey (the mean of the image's greys), 1 the image itself.

    Raises:
        ValueError: the factor is negative.
    """
    _check_factor("adjust_contrast", contrast_factor)
    if is_image(img):
        return pillow_part("ImageEnhance").Contrast(img).enhance(contrast_factor)
    channels = _check_channels("adjust_contrast", img)
    exact = dtypes.float32 if not img.is_floating_point() else img.dtype
    grey = rgb_to_grayscale(img) if channels == 3 else img
    return blend(img, grey.to(exact).mean((-3, -2, -1), keepdim=True), contrast_factor)


def adjust_saturation(img: Any, saturation_factor: float) -> Any:
    """More or less colour: 0 is grey, 1 the image itself. A tensor of one channel stays as it is.

    Raises:
        ValueError: the factor is negative.
    """
    _check_factor("adjust_saturation", saturation_factor)
    if is_image(img):
        return pillow_part("ImageEnhance").Color(img).enhance(saturation_factor)
    if _check_channels("adjust_saturation", img) == 1:
        return img
    return blend(img, rgb_to_grayscale(img), saturation_factor)


def blend(img: Tensor, other: Tensor, factor: float) -> Tensor:
    """factor * img + (1 - factor) * other, cut to the range of the type."""
    factor = float(factor)
    return (factor * img + (1.0 - factor) * other).clamp(0, top_of(img)).to(img.dtype)


def top_of(img: Tensor) -> float:
    """The value of white."""
    return 1.0 if img.is_floating_point() else np.iinfo(img.array.dtype).max


# ---- hue and gamma ---------------------------------------------------------------------------------------------


def adjust_hue(img: Any, hue_factor: float) -> Any:
    """Turn the circle of colours by `hue_factor` of it, -0.5 to 0.5. Images without colour stay as they are.

    Raises:
        ValueError: the factor lies outside. TypeError: a tensor with neither 1 nor 3 channels.

    >>> import tapegrad as torch
    >>> adjust_hue(torch.tensor([1.0, 0.0, 0.0]).view(3, 1, 1), 0.5).flatten()  # red becomes cyan
    tensor([0., 1., 1.])
    """
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(message("adjust_hue: hue_factor is out of range", got=hue_factor, expected="-0.5 to 0.5"))
    if is_image(img):
        if img.mode in ("L", "1", "I", "F"):
            return img
        hue, saturation, value = img.convert("HSV").split()
        turned = np.array(hue, dtype=np.uint8) + np.array(hue_factor * 255).astype(np.int32).astype(np.uint8)
        return pillow().merge("HSV", (pillow().fromarray(turned), saturation, value)).convert(img.mode)
    if _check_channels("adjust_hue", img) == 1 or img.numel() == 0:
        return img
    exact = img if img.is_floating_point() else convert_image_dtype(img, dtypes.float32)
    hue, saturation, value = _to_hsv(exact)
    return convert_image_dtype(_from_hsv((hue + hue_factor) % 1.0, saturation, value), img.dtype)


def _to_hsv(img: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Hue, saturation and value, each (..., H, W), of red, green, blue (..., 3, H, W)."""
    red, green, blue = img.unbind(-3)
    top, bottom = img.amax(-3), img.amin(-3)
    spread = top - bottom
    grey = spread == 0
    one = top.new_ones(())
    saturation = spread / one.where(grey, top)
    divisor = one.where(grey, spread)
    r, g, b = (top - red) / divisor, (top - green) / divisor, (top - blue) / divisor
    is_red, is_green = top == red, (top == green) & (top != red)
    is_blue = (top != green) & (top != red)
    hue = is_red * (b - g) + is_green * (2.0 + r - b) + is_blue * (4.0 + g - r)
    return (hue / 6.0 + 1.0).fmod(1.0), saturation, top


def _from_hsv(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """Red, green, blue (..., 3, H, W): the six sectors of the circle differ in the order of four numbers."""
    sector = (hue * 6.0).floor()
    f = hue * 6.0 - sector
    sector = sector.to(dtypes.int32) % 6
    p = (value * (1.0 - saturation)).clamp(0.0, 1.0)
    q = (value * (1.0 - saturation * f)).clamp(0.0, 1.0)
    t = (value * (1.0 - saturation * (1.0 - f))).clamp(0.0, 1.0)
    orders = ((value, q, p, p, t, value), (t, value, value, q, p, p), (p, p, t, value, value, q))
    is_sector = [sector == k for k in range(6)]
    channels = []
    for order in orders:
        out = order[5]
        for k in range(5):
            out = order[k].where(is_sector[k], out)
        channels.append(out)
    return stack(channels, -3)


def adjust_gamma(img: Any, gamma: float, gain: float = 1) -> Any:
    """gain * v**gamma for values v from 0 to 1: below 1 dark parts get lighter, above 1 darker.

    Raises:
        ValueError: `gamma` is negative.
    """
    if gamma < 0:
        raise ValueError(message("adjust_gamma: gamma is negative", got=gamma))
    if is_image(img):
        mode = img.mode
        values = [int((255 + 1 - 1e-3) * gain * pow(v / 255.0, gamma)) for v in range(256)]
        return img.convert("RGB").point(values * 3).convert(mode)
    get_dimensions(img)
    exact = img if img.is_floating_point() else convert_image_dtype(img, dtypes.float32)
    return convert_image_dtype((gain * exact**gamma).clamp(0, 1), img.dtype)


# ---- tables of values ------------------------------------------------------------------------------------------


def invert(img: Any) -> Any:
    """The negative: white - v.

    >>> import tapegrad as torch
    >>> invert(torch.tensor([[[0, 100, 255]]], dtype=torch.uint8))
    tensor([[[255, 155,   0]]], dtype=torch.uint8)
    """
    if is_image(img):
        return pillow_part("ImageOps").invert(img)
    _check_channels("invert", img)
    return top_of(img) - img


def posterize(img: Any, bits: int) -> Any:
    """Keep the highest `bits` bits of each 8-bit value.

    Raises:
        ValueError: another number of bits than 0 to 8. TypeError: a tensor that is not uint8.
    """
    if not 0 <= bits <= 8:
        raise ValueError(message("posterize: there is no such number of bits", got=bits, expected="0 to 8"))
    if is_image(img):
        return pillow_part("ImageOps").posterize(img, bits)
    _check_channels("posterize", img)
    _check_bytes("posterize", img)
    return img & (256 - 2 ** (8 - bits))


def solarize(img: Any, threshold: float) -> Any:
    """The negative of values from `threshold` on.

    Raises:
        TypeError: the threshold of a tensor is above white.
    """
    if is_image(img):
        return pillow_part("ImageOps").solarize(img, threshold)
    _check_channels("solarize", img)
    if threshold > top_of(img):
        raise TypeError(message("solarize: the threshold is above white", got=threshold, expected=top_of(img)))
    return (top_of(img) - img).where(img >= threshold, img)


def autocontrast(img: Any) -> Any:
    """Stretch each channel so that its darkest pixel is black and its lightest white."""
    if is_image(img):
        return pillow_part("ImageOps").autocontrast(img)
    _check_channels("autocontrast", img)
    exact = img if img.is_floating_point() else img.to(dtypes.float32)
    low, high = exact.amin((-2, -1), keepdim=True), exact.amax((-2, -1), keepdim=True)
    even = high == low
    scale = top_of(img) / high.new_ones(()).where(even, high - low)
    scale, low = scale.new_ones(()).where(even, scale), low.new_zeros(()).where(even, low)
    return ((exact - low) * scale).clamp(0, top_of(img)).to(img.dtype)


def equalize(img: Any) -> Any:
    """Change the values of each channel so that each occurs about as often.

    Raises:
        TypeError: a tensor that is not uint8.
    """
    if is_image(img):
        return pillow_part("ImageOps").equalize(img)
    _check_channels("equalize", img)
    _check_bytes("equalize", img)
    pixels = img.array.reshape(-1, *img.shape[-2:])
    return wrap(np.stack([_equalized(channel) for channel in pixels]).reshape(img.shape) if len(pixels) else img.array)


def _equalized(channel: np.ndarray) -> np.ndarray:
    counts = np.bincount(channel.reshape(-1), minlength=256)
    occurring = counts[counts != 0]
    step = int(occurring[:-1].sum()) // 255
    if step == 0:
        return channel
    below = (np.cumsum(counts) + step // 2) // step
    return np.concatenate([[0], below[:-1]]).clip(0, 255).astype(np.uint8)[channel]


# ---- checks ----------------------------------------------------------------------------------------------------


def _check_factor(where: str, factor: float) -> None:
    if factor < 0:
        raise ValueError(message(f"{where}: the factor is negative", got=factor))


def _check_channels(where: str, img: Any) -> int:
    """The number of channels of a tensor: 1 or 3; TypeError for others, and for what is no image."""
    channels = get_dimensions(img)[0]
    if channels not in (1, 3):
        raise TypeError(message(f"{where}: no such image", got=f"{channels} channels", expected="1 or 3"))
    return channels


def _check_bytes(where: str, img: Tensor) -> None:
    if img.dtype is not dtypes.uint8:
        raise TypeError(message(f"{where}: only uint8 tensors can be", got=img.dtype))
