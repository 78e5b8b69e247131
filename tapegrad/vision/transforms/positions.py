"""Images cut, padded, mirrored and resized: functions that change where pixels are, not what they are."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from ...core.tensor import Tensor
from ...errors import message
from ..images import is_image, pillow
from .padding import pad_image, pad_tensor
from .pixels import get_dimensions
from .resample import InterpolationMode, resize_image, resize_tensor


def hflip(img: Any) -> Any:
    """Mirror left and right.

    >>> import tapegrad as torch
    >>> hflip(torch.arange(4).view(2, 2))
    tensor([[1, 0],
            [3, 2]])
    """
    get_dimensions(img)
    return img.transpose(pillow().Transpose.FLIP_LEFT_RIGHT) if is_image(img) else img.flip((-1,))


def vflip(img: Any) -> Any:
    """Mirror top and bottom."""
    get_dimensions(img)
    return img.transpose(pillow().Transpose.FLIP_TOP_BOTTOM) if is_image(img) else img.flip((-2,))


def pad(img: Any, padding: int | Sequence[int], fill: Any = 0, padding_mode: str = "constant") -> Any:
    """Add a margin.

    Args:
        img: a Pillow image or a tensor of shape (..., H, W).
        padding: one width for all sides, (left and right, top and bottom), or (left, top, right, bottom); a negative
            one cuts.
        fill: value of a constant margin; for Pillow images also one for each channel.
        padding_mode: "constant"; "edge" repeats the outermost pixels, "reflect" mirrors without them, "symmetric" with
            them.

    Raises:
        TypeError: an argument of the wrong type. ValueError: no such mode or number of widths.
        RuntimeError, IndexError: a margin wider than the tensor has pixels for, "reflect" and "symmetric".

    >>> import tapegrad as torch
    >>> pad(torch.tensor([[1, 2, 3]]), (2, 0), padding_mode="reflect")
    tensor([[3, 2, 1, 2, 3, 2, 1]])
    """
    get_dimensions(img)
    return (pad_image if is_image(img) else pad_tensor)(img, padding, fill, padding_mode)


def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """The part of an image of size (height, width) that begins at (top, left); 0 outside the image.

    >>> import tapegrad as torch
    >>> crop(torch.arange(9).view(3, 3), 1, 1, 2, 3)
    tensor([[4, 5, 0],
            [7, 8, 0]])
    """
    _, rows, columns = get_dimensions(img)
    bottom, right = top + height, left + width
    if is_image(img):
        return img.crop((left, top, right, bottom))
    if top >= 0 and left >= 0 and bottom <= rows and right <= columns:
        return img[..., top:bottom, left:right]
    inside = img[..., max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    before = [max(min(right, 0) - left, 0), max(min(bottom, 0) - top, 0)]
    after = [max(right - max(columns, left), 0), max(bottom - max(rows, top), 0)]
    return pad_tensor(inside, [*before, *after], 0, "constant")


def center_crop(img: Any, output_size: int | Sequence[int]) -> Any:
    """The middle of an image, of size `output_size`; an image that is smaller is padded with 0.

    >>> import tapegrad as torch
    >>> center_crop(torch.arange(16).view(4, 4), 2)
    tensor([[ 5,  6],
            [ 9, 10]])
    """
    sizes = [output_size] if isinstance(output_size, (int, float)) else list(output_size)
    height, width = (int(size) for size in (sizes * 2 if len(sizes) == 1 else sizes))
    _, rows, columns = get_dimensions(img)
    if height > rows or width > columns:
        down, across = max(height - rows, 0), max(width - columns, 0)
        img = pad(img, [across // 2, down // 2, (across + 1) // 2, (down + 1) // 2])
        _, rows, columns = get_dimensions(img)
    return crop(img, round((rows - height) / 2), round((columns - width) / 2), height, width)


def resize(
    img: Any,
    size: int | Sequence[int],
    interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Any:
    """An image in another size.

    Args:
        img: a Pillow image or a tensor of shape (..., H, W).
        size: (height, width), or one number for the shorter side; the longer follows in proportion.
        interpolation: between pixels; tensors know NEAREST, NEAREST_EXACT, BILINEAR, BICUBIC. Pillow's numbers too.
        max_size: the longer side shall not be longer; only with one number for `size`.
        antialias: average over the pixels that fall together, bilinear and bicubic; Pillow always does.

    Raises:
        TypeError: `interpolation` is no mode. ValueError: no such size.
        NotImplementedError: a mode that tensors do not know.

    >>> import tapegrad as torch
    >>> resize(torch.tensor([[0.0, 4.0]]), (1, 4))
    tensor([[0., 1., 3., 4.]])
    """
    mode = InterpolationMode.of(interpolation)
    _, rows, columns = get_dimensions(img)
    target = _target_size(rows, columns, [size] if isinstance(size, int) else list(size), max_size)
    if target == (rows, columns):
        return img
    if not is_image(img):
        return resize_tensor(img, target, mode, bool(antialias))
    if antialias is False:
        warnings.warn("resize: Pillow images are always antialiased; antialias=False is ignored", stacklevel=2)
    return resize_image(img, target, mode)


def resized_crop(
    img: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    size: int | Sequence[int],
    interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
    antialias: bool | None = True,
) -> Any:
    """`crop`, then `resize`."""
    return resize(crop(img, top, left, height, width), size, interpolation, antialias=antialias)


def five_crop(img: Any, size: int | Sequence[int]) -> tuple[Any, Any, Any, Any, Any]:
    """The four corners of an image and its middle: upper left, upper right, lower left, lower right, centre.

    Raises:
        ValueError: the image is smaller, or `size` has not one or two numbers.

    >>> import tapegrad as torch
    >>> [part.tolist() for part in five_crop(torch.arange(9).view(3, 3), 1)]
    [[[0]], [[2]], [[6]], [[8]], [[4]]]
    """
    sizes = [int(size)] if isinstance(size, (int, float)) else list(size)
    if len(sizes) not in (1, 2):
        raise ValueError(message("five_crop: size must be one number or two", got=size))
    height, width = sizes[0], sizes[-1]
    _, rows, columns = get_dimensions(img)
    if height > rows or width > columns:
        text = "five_crop: the image is smaller than its parts"
        raise ValueError(message(text, got=(rows, columns), expected=f"at least {(height, width)}"))
    down, across = rows - height, columns - width
    corners = [crop(img, top, left, height, width) for top in (0, down) for left in (0, across)]
    return corners[0], corners[1], corners[2], corners[3], center_crop(img, [height, width])


def ten_crop(img: Any, size: int | Sequence[int], vertical_flip: bool = False) -> tuple[Any, ...]:
    """`five_crop` of an image, and of its mirror image (top and bottom with `vertical_flip`)."""
    return five_crop(img, size) + five_crop((vflip if vertical_flip else hflip)(img), size)


def erase(img: Tensor, i: int, j: int, h: int, w: int, v: Tensor, inplace: bool = False) -> Tensor:
    """A tensor image with the values `v` in the rectangle of size (h, w) that begins at (i, j).

    Raises:
        TypeError: `img` is no tensor.

    >>> import tapegrad as torch
    >>> erase(torch.zeros(1, 2, 3), 0, 1, 2, 2, torch.tensor(7.0))
    tensor([[[0., 7., 7.],
             [0., 7., 7.]]])
    """
    if not isinstance(img, Tensor):
        raise TypeError(message("erase: this is no tensor", got=type(img).__name__, fix="begin with ToTensor()"))
    out = img if inplace else img.clone()
    out[..., i : i + h, j : j + w] = v
    return out


def _target_size(rows: int, columns: int, size: list[int], max_size: int | None) -> tuple[int, int]:
    """(height, width) that `resize` makes of (rows, columns)."""
    if len(size) not in (1, 2):
        raise ValueError(message("resize: size must be one number or two", got=size))
    if len(size) == 2:
        if max_size is not None:
            text = "resize: max_size has no meaning with a height and a width"
            raise ValueError(message(text, got=size, fix="give one number for size"))
        return size[0], size[1]
    short, long = min(rows, columns), max(rows, columns)
    new_short, new_long = size[0], int(size[0] * long / short)
    if max_size is not None:
        if max_size <= size[0]:
            raise ValueError(message("resize: max_size must be above size", got=max_size, expected=f"above {size[0]}"))
        if new_long > max_size:
            new_short, new_long = int(max_size * new_short / new_long), max_size
    return (new_long, new_short) if columns <= rows else (new_short, new_long)
