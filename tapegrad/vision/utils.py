"""Pictures of many images: a grid of them, written to a file, with boxes drawn in (`torchvision.utils`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.tensor import Tensor
from ..errors import message
from ..modes import no_grad
from ..ops.shape.joining import cat, stack
from .images import pillow
from .transforms.functional import pil_to_tensor, to_pil_image

__all__ = ["draw_bounding_boxes", "make_grid", "save_image"]


@no_grad()
def make_grid(
    tensor: Tensor | Sequence[Tensor],
    nrow: int = 8,
    padding: int = 2,
    normalize: bool = False,
    value_range: tuple[float, float] | None = None,
    scale_each: bool = False,
    pad_value: float = 0.0,
) -> Tensor:
    """Images side by side in rows, as one image (3, H, W).

    Args:
        tensor: images (B, C, H, W), a list of images (C, H, W), or one image (C, H, W) or (H, W), which is given back.
            One channel becomes three equal ones.
        nrow: images in a row.
        padding: pixels between them and around.
        normalize: bring values to 0 to 1: those of `value_range`, or from the smallest to the largest.
        value_range: (low, high) for `normalize`.
        scale_each: find the smallest and largest for each image by itself.
        pad_value: between the images.

    Raises:
        TypeError: neither a tensor nor a list of them, or `value_range` is no tuple.

    >>> import tapegrad as torch
    >>> make_grid(torch.zeros(5, 1, 4, 4), nrow=3).shape
    torch.Size([3, 14, 20])
    """
    if not isinstance(tensor, Tensor):
        if not isinstance(tensor, (list, tuple)) or not all(isinstance(image, Tensor) for image in tensor):
            raise TypeError(message("make_grid: give a tensor or a list of them", got=type(tensor).__name__))
        tensor = stack(list(tensor), 0)
    images: Tensor = tensor
    if images.ndim == 2:
        images = images.unsqueeze(0)
    if images.ndim == 3:
        images = (cat([images] * 3, 0) if images.size(0) == 1 else images).unsqueeze(0)
    elif images.ndim == 4 and images.size(1) == 1:
        images = cat([images] * 3, 1)
    if normalize:
        if value_range is not None and not isinstance(value_range, tuple):
            raise TypeError(message("make_grid: value_range must be (low, high)", got=type(value_range).__name__))
        parts = list(images.unbind(0)) if scale_each else [images]
        parts = [_to_unit(part, value_range) for part in parts]
        images = stack(parts, 0) if scale_each else parts[0]
    if images.size(0) == 1:
        return images.squeeze(0)
    count, channels, height, width = images.shape
    columns = min(nrow, count)
    rows = math.ceil(count / columns)
    height, width = int(height + padding), int(width + padding)
    grid = images.new_full((channels, height * rows + padding, width * columns + padding), pad_value)
    for k in range(count):
        top, left = k // columns * height + padding, k % columns * width + padding
        grid[:, top : top + height - padding, left : left + width - padding] = images[k]
    return grid


def _to_unit(images: Tensor, value_range: tuple[float, float] | None) -> Tensor:
    low, high = value_range or (images.min().item(), images.max().item())
    return (images.clamp(low, high) - low) / max(high - low, 1e-5)


@no_grad()
def save_image(tensor: Tensor | Sequence[Tensor], fp: Any, format: str | None = None, **kwargs: Any) -> None:
    """Write images with values from 0 to 1 into one picture file, side by side.

    Args:
        tensor: as for `make_grid`.
        fp: a path or a binary file object.
        format: Pillow's name of the format; None goes by the name of the file.
        kwargs: for `make_grid`.

    Raises:
        ImportError: Pillow is not installed.
    """
    grid = make_grid(tensor, **kwargs)
    pixels = grid.mul(255).add_(0.5).clamp_(0, 255).permute(1, 2, 0).array.astype(np.uint8)
    pillow().fromarray(np.ascontiguousarray(pixels)).save(fp, format=format)


@no_grad()
def draw_bounding_boxes(
    image: Tensor,
    boxes: Tensor,
    labels: Sequence[str | None] | None = None,
    colors: Any = None,
    fill: bool = False,
    width: int = 1,
) -> Tensor:
    """A copy of an image with rectangles drawn in, and words beside them.

    Args:
        image: uint8 or floating-point (0 to 1), shape (1 or 3, H, W).
        boxes: (x, y) of the upper left and the lower right corner of each, shape (N, 4).
        labels: a word for each, or None.
        colors: one for all or a list of them: names, "#rrggbb" or (red, green, blue); None takes different ones.
        fill: fill the boxes, half transparent.
        width: of the lines, in pixels.

    Raises:
        TypeError: `image` is no tensor. ValueError: shapes or numbers that do not fit.
        ImportError: Pillow is not installed.
    """
    if not isinstance(image, Tensor):
        raise TypeError(message("draw_bounding_boxes: the image is no tensor", got=type(image).__name__))
    if image.ndim != 3 or image.size(0) not in (1, 3):
        expected = "(1 or 3, H, W)"
        raise ValueError(message("draw_bounding_boxes: no such image", got=tuple(image.shape), expected=expected))
    if bool((boxes[:, 0] > boxes[:, 2]).any()) or bool((boxes[:, 1] > boxes[:, 3]).any()):
        raise ValueError(
            message("draw_bounding_boxes: the first corner must be the upper left one", got=boxes.tolist())
        )
    count = boxes.size(0)
    if labels is not None and len(labels) != count:
        raise ValueError(message("draw_bounding_boxes: give a label for each box", got=len(labels), expected=count))
    picture = image if image.size(0) == 3 else image.expand(3, -1, -1)
    canvas = to_pil_image(picture)
    _draw(canvas, boxes.tolist(), labels or [None] * count, _colors(colors, count), fill, width)
    out = pil_to_tensor(canvas)
    return out if not image.is_floating_point() else (out.to(image.dtype) / 255)


def _draw(canvas: Any, boxes: list, labels: Sequence[str | None], colors: list, fill: bool, width: int) -> None:
    from PIL import ImageDraw

    draw = ImageDraw.Draw(canvas, "RGBA" if fill else None)
    for box, label, color in zip(boxes, labels, colors):
        inside = (*color, 100) if fill else None
        draw.rectangle(box, width=width, outline=color, fill=inside)
        if label is not None:
            draw.text((box[0] + width + 1, box[1] + width + 1), label, fill=color)


def _colors(colors: Any, count: int) -> list[tuple[int, ...]]:
    """(red, green, blue) for each box."""
    from PIL import ImageColor

    if colors is None:
        steps = np.array([2**25 - 1, 2**15 - 1, 2**21 - 1])
        colors = [tuple(color) for color in (np.arange(count)[:, None] * steps % 255).tolist()]
    elif not isinstance(colors, list):
        colors = [colors] * count
    if len(colors) < count:
        raise ValueError(message("draw_bounding_boxes: give a colour for each box", got=len(colors), expected=count))
    return [ImageColor.getrgb(color) if isinstance(color, str) else tuple(color) for color in colors]
