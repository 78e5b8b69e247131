"""Margins around images, for Pillow images and for tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...core.tensor import Tensor, wrap
from ...errors import message
from ..images import pillow

MODES = ("constant", "edge", "reflect", "symmetric")


def widths(padding: int | Sequence[int]) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of one, two or four numbers; TypeError or ValueError if it is something else."""
    if isinstance(padding, int):
        return padding, padding, padding, padding
    if not isinstance(padding, (tuple, list)):
        raise TypeError(message("pad: padding must be an int or a sequence of them", got=type(padding).__name__))
    if len(padding) not in (1, 2, 4):
        raise ValueError(message("pad: padding must have 1, 2 or 4 numbers", got=list(padding)))
    left, top, right, bottom = list(padding) * (4 // len(padding))
    return left, top, right, bottom


def check_mode(padding_mode: str) -> None:
    """ValueError unless there is such a mode."""
    if padding_mode not in MODES:
        raise ValueError(
            message("pad: there is no such padding_mode", got=repr(padding_mode), expected=", ".join(MODES))
        )


def pad_image(img: Any, padding: int | Sequence[int], fill: Any, padding_mode: str) -> Any:
    """`pad` of a Pillow image."""
    left, top, right, bottom = widths(padding)
    check_mode(padding_mode)
    if padding_mode == "constant":
        out = pillow().new(img.mode, (img.width + left + right, img.height + top + bottom), _color(fill, img))
        if img.mode == "P":
            out.putpalette(img.getpalette())
        out.paste(img, (left, top))
        return out
    rows, columns = (
        _sources(img.height, top, bottom, padding_mode, limit=False),
        _sources(img.width, left, right, padding_mode, limit=False),
    )
    pixels = np.asarray(img)[rows[:, None], columns]
    out = pillow().fromarray(pixels)
    if img.mode == "P":
        out.putpalette(img.getpalette())
    return out


def pad_tensor(img: Tensor, padding: int | Sequence[int], fill: float, padding_mode: str) -> Tensor:
    """`pad` of a tensor of shape (..., H, W)."""
    left, top, right, bottom = widths(padding)
    check_mode(padding_mode)
    if fill is not None and not isinstance(fill, (int, float)):
        raise TypeError(message("pad: fill must be one number for tensors", got=repr(fill)))
    height, width = img.shape[-2:]
    if padding_mode != "constant":
        rows = _sources(height, top, bottom, padding_mode, limit=True)
        columns = _sources(width, left, right, padding_mode, limit=True)
        return img.index_select(-2, wrap(rows)).index_select(-1, wrap(columns))
    shape = (*img.shape[:-2], height + top + bottom, width + left + right)
    out = img.new_full(shape, fill or 0)
    inside = img[..., max(-top, 0) : height - max(-bottom, 0), max(-left, 0) : width - max(-right, 0)]
    if inside.numel():
        top, left = max(top, 0), max(left, 0)
        out[..., top : top + inside.shape[-2], left : left + inside.shape[-1]] = inside
    return out


def pad_arrays(pixels: np.ndarray, padding: int | Sequence[int], fill: int, padding_mode: str) -> np.ndarray:
    """`pad` of many Pillow images at once, as pixels of shape (..., H, W)."""
    left, top, right, bottom = widths(padding)
    check_mode(padding_mode)
    height, width = pixels.shape[-2:]
    if padding_mode != "constant":
        rows = _sources(height, top, bottom, padding_mode, limit=False)
        return pixels[..., rows[:, None], _sources(width, left, right, padding_mode, limit=False)]
    out = np.full((*pixels.shape[:-2], height + top + bottom, width + left + right), fill, pixels.dtype)
    inside = pixels[..., max(-top, 0) : height - max(-bottom, 0), max(-left, 0) : width - max(-right, 0)]
    top, left = max(top, 0), max(left, 0)
    out[..., top : top + inside.shape[-2], left : left + inside.shape[-1]] = inside
    return out


def _sources(size: int, before: int, after: int, mode: str, limit: bool) -> np.ndarray:
    """The pixel that each pixel of a padded line of `size` pixels is taken from."""
    wanted = np.arange(-before, size + after)
    if mode == "edge":
        return wanted.clip(0, size - 1)
    room = size - 1 if mode == "reflect" else size
    if limit and max(before, after) > room:
        text = f"pad: the margin is wider than {mode} has pixels for"
        kind = RuntimeError if mode == "reflect" else IndexError
        raise kind(message(text, got=max(before, after), expected=f"at most {room}"))
    if mode == "symmetric":
        wanted = np.where(wanted < 0, -wanted - 1, wanted) % (2 * size)
        return np.where(wanted >= size, 2 * size - 1 - wanted, wanted)
    period = max(2 * (size - 1), 1)
    wanted = np.abs(wanted) % period
    return np.where(wanted >= size, period - wanted, wanted)


def _color(fill: Any, img: Any) -> Any:
    """`fill` as Pillow wants it for this image: one number, or a tuple with one for each channel."""
    if fill is None:
        fill = 0
    if not isinstance(fill, (int, float, tuple, list)):
        raise TypeError(message("pad: fill must be a number or one for each channel", got=type(fill).__name__))
    channels = len(img.getbands())
    values = list(fill) if isinstance(fill, (tuple, list)) else [fill]
    if len(values) == 1:
        values *= channels
    if len(values) != channels:
        text = "pad: fill has another number of values than the image has channels"
        raise ValueError(message(text, got=fill, expected=f"{channels} values"))
    if img.mode != "F":
        values = [int(value) for value in values]
    return values[0] if channels == 1 else tuple(values)
