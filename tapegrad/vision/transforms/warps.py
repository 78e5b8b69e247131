"""Images turned, moved, sheared and tilted.

For each new pixel it is computed where it lies in the old image (the inverse map), and the value there is taken. With
the origin in the middle of the image, x to the right and y down, an affine map is

    new = R S old + t,    R(angle) and S(shear) with the factor `scale`

and a perspective one is (a x + b y + c, d x + e y + f) / (g x + h y + 1), its eight numbers given by four pairs of
points. Pillow images are mapped by Pillow; tensors by `grid_sample`, new pixels outside the old image get `fill`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import dtypes
from ...core.tensor import Tensor, wrap
from ...errors import message
from ...ops.neural.grid import grid_sample
from ...ops.shape.joining import cat
from ..images import is_image, pillow
from .pixels import get_dimensions
from .resample import InterpolationMode, pillow_number

_TENSOR_MODES = {InterpolationMode.NEAREST: "nearest", InterpolationMode.BILINEAR: "bilinear"}
_PILLOW_MODES = (InterpolationMode.NEAREST, InterpolationMode.BILINEAR, InterpolationMode.BICUBIC)


def rotate(
    img: Any,
    angle: float,
    interpolation: InterpolationMode | int = InterpolationMode.NEAREST,
    expand: bool = False,
    center: Sequence[int] | None = None,
    fill: Any = None,
) -> Any:
    """Turn an image counter-clockwise.

    Args:
        img: a Pillow image or a tensor of shape (..., H, W).
        angle: degrees.
        interpolation: NEAREST or BILINEAR, for Pillow images also BICUBIC.
        expand: make the image as large as it must be to hold all of the old one.
        center: the point (x, y) that stays, from the upper left corner; the middle if None.
        fill: value of new pixels without an old one, or one for each channel; 0 if None.

    Raises:
        TypeError: an argument of the wrong type. ValueError: a mode that cannot be used here.

    >>> import tapegrad as torch
    >>> rotate(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), 90)
    tensor([[[2., 4.],
             [1., 3.]]])
    """
    if not isinstance(angle, (int, float)):
        raise TypeError(message("rotate: the angle must be a number", got=type(angle).__name__))
    if center is not None and not isinstance(center, (list, tuple)):
        raise TypeError(message("rotate: center must be (x, y)", got=type(center).__name__))
    mode = _mode("rotate", interpolation, is_image(img))
    _, height, width = get_dimensions(img)
    if is_image(img):
        return img.rotate(angle, pillow_number(mode), expand, center, fillcolor=fill_color(fill, img))
    middle = [0.0, 0.0] if center is None else [c - size * 0.5 for c, size in zip(center, (width, height))]
    # as seen in the image: y goes down, so the inverse map turns the other way
    matrix = inverse_matrix(middle, -angle, [0.0, 0.0], 1.0, [0.0, 0.0])
    size = _size_to_hold(matrix, width, height) if expand else (width, height)
    return _sampled(img, _affine_grid(img, matrix, size), mode, fill)


def affine(
    img: Any,
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: float | Sequence[float],
    interpolation: InterpolationMode | int = InterpolationMode.NEAREST,
    fill: Any = None,
    center: Sequence[int] | None = None,
) -> Any:
    """Turn, move, scale and shear an image around its middle.

    Args:
        img: a Pillow image or a tensor of shape (..., H, W).
        angle: degrees, clockwise.
        translate: pixels to the right and down.
        scale: a factor above 0.
        shear: degrees along x, or along x and along y.
        interpolation: NEAREST or BILINEAR, for Pillow images also BICUBIC.
        fill: value of new pixels without an old one, or one for each channel; 0 if None.
        center: the point (x, y) that turns on the spot, from the upper left corner; the middle if None.

    Raises:
        TypeError: an argument of the wrong type. ValueError: `scale` is not positive, or another number of values.

    >>> import tapegrad as torch
    >>> affine(torch.tensor([[[1.0, 2.0, 3.0]]]), angle=0, translate=(1, 0), scale=1, shear=0)
    tensor([[[0., 1., 2.]]])
    """
    if not isinstance(angle, (int, float)):
        raise TypeError(message("affine: the angle must be a number", got=type(angle).__name__))
    for name, value in (("translate", translate), ("center", center)):
        if value is not None and not isinstance(value, (list, tuple)):
            raise TypeError(message(f"affine: {name} must be two numbers", got=type(value).__name__))
        if value is not None and len(value) != 2:
            raise ValueError(message(f"affine: {name} must be two numbers", got=value))
    if scale <= 0:
        raise ValueError(message("affine: scale must be positive", got=scale))
    if not isinstance(shear, (int, float, list, tuple)):
        raise TypeError(message("affine: shear must be a number or two", got=type(shear).__name__))
    shears = [shear, 0.0] if isinstance(shear, (int, float)) else [*shear, 0.0][:2] if len(shear) == 1 else list(shear)
    if len(shears) != 2:
        raise ValueError(message("affine: shear must be a number or two", got=shear))
    mode = _mode("affine", interpolation, is_image(img))
    _, height, width = get_dimensions(img)
    if is_image(img):
        middle = [width * 0.5, height * 0.5] if center is None else center
        matrix = inverse_matrix(middle, angle, translate, scale, shears)
        kind = pillow().Transform.AFFINE
        return img.transform((width, height), kind, matrix, pillow_number(mode), fillcolor=fill_color(fill, img))
    middle = [0.0, 0.0] if center is None else [c - size * 0.5 for c, size in zip(center, (width, height))]
    matrix = inverse_matrix(middle, angle, translate, scale, shears)
    return _sampled(img, _affine_grid(img, matrix, (width, height)), mode, fill)


def perspective(
    img: Any,
    startpoints: Sequence[Sequence[int]],
    endpoints: Sequence[Sequence[int]],
    interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
    fill: Any = None,
) -> Any:
    """Tilt an image so that four points come to lie on four others.

    Args:
        img: a Pillow image or a tensor of shape (..., H, W).
        startpoints: four points (x, y): upper left, upper right, lower right, lower left.
        endpoints: where they shall lie.
        interpolation: NEAREST or BILINEAR, for Pillow images also BICUBIC.
        fill: value of new pixels without an old one, or one for each channel; 0 if None.

    Raises:
        ValueError: there are not four points on both sides, or a mode that cannot be used here.
    """
    if len(startpoints) != 4 or len(endpoints) != 4:
        got = f"{len(startpoints)} and {len(endpoints)}"
        raise ValueError(message("perspective: give four points and where they shall lie", got=got))
    mode = _mode("perspective", interpolation, is_image(img))
    _, height, width = get_dimensions(img)
    numbers = _perspective_numbers(startpoints, endpoints)
    if is_image(img):
        kind = pillow().Transform.PERSPECTIVE
        return img.transform((width, height), kind, numbers, pillow_number(mode), fillcolor=fill_color(fill, img))
    return _sampled(img, _perspective_grid(img, numbers, (width, height)), mode, fill)


# ---- maps ------------------------------------------------------------------------------------------------------


def inverse_matrix(
    center: Sequence[float], angle: float, translate: Sequence[float], scale: float, shear: Sequence[float]
) -> list[float]:
    """Six numbers of the map from new to old pixels, row by row.

    With c the centre, t the translation, M = R(angle) S(shear) scale: new = t + c + M (old - c), so
    old = c + M**-1 (new - c - t). The matrix of turning and shearing is written out and has determinant 1.
    """
    turn, along_x, along_y = math.radians(angle), math.radians(shear[0]), math.radians(shear[1])
    cx, cy = center
    tx, ty = translate
    a = math.cos(turn - along_y) / math.cos(along_y)
    b = -math.cos(turn - along_y) * math.tan(along_x) / math.cos(along_y) - math.sin(turn)
    c = math.sin(turn - along_y) / math.cos(along_y)
    d = -math.sin(turn - along_y) * math.tan(along_x) / math.cos(along_y) + math.cos(turn)
    inverse = [d / scale, -b / scale, 0.0, -c / scale, a / scale, 0.0]
    inverse[2] += inverse[0] * (-cx - tx) + inverse[1] * (-cy - ty) + cx
    inverse[5] += inverse[3] * (-cx - tx) + inverse[4] * (-cy - ty) + cy
    return inverse


def _size_to_hold(matrix: Sequence[float], width: int, height: int) -> tuple[int, int]:
    """(width, height) of the smallest image of whole pixels that holds the turned one; 1e-4 pixels do not count."""
    x, y = 0.5 * width, 0.5 * height
    corners = np.array([[-x, -y, 1], [-x, y, 1], [x, y, 1], [x, -y, 1]], np.float32)
    mapped = corners @ np.array(matrix, np.float32).reshape(2, 3).T
    middle = np.array([x, y], np.float32)
    low, high = mapped.min(0) + middle, mapped.max(0) + middle
    tolerance = np.float32(1e-4)
    high = np.ceil(np.trunc(high / tolerance) * tolerance)
    low = np.floor(np.trunc(low / tolerance) * tolerance)
    return int(high[0] - low[0]), int(high[1] - low[1])


def _perspective_numbers(startpoints: Sequence[Sequence[int]], endpoints: Sequence[Sequence[int]]) -> list[float]:
    """a, ..., h of the map from new to old points: two linear equations for each pair of points."""
    equations, values = [], []
    for (x, y), (u, v) in zip(endpoints, startpoints):
        equations += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    numbers = np.linalg.lstsq(np.array(equations, float), np.array(values, float), rcond=None)[0]
    return numbers.astype(np.float32).tolist()


# ---- tensors ---------------------------------------------------------------------------------------------------


def _new_pixels(size: tuple[int, int], left: float, top: float) -> np.ndarray:
    """(x, y, 1) of each new pixel, (H W, 3) in float32, the first at (left, top)."""
    width, height = size
    points = np.ones((height, width, 3), np.float32)
    points[..., 0] = np.linspace(left, left + width - 1, width, dtype=np.float32)
    points[..., 1] = np.linspace(top, top + height - 1, height, dtype=np.float32)[:, None]
    return points.reshape(-1, 3)


def _affine_grid(img: Tensor, matrix: Sequence[float], size: tuple[int, int]) -> np.ndarray:
    """Where new pixels lie in the old image, -1 to 1 from border to border: (1, H, W, 2)."""
    width, height = size
    points = _new_pixels(size, -width * 0.5 + 0.5, -height * 0.5 + 0.5)
    half = np.array([0.5 * img.shape[-1], 0.5 * img.shape[-2]], np.float32)
    theta = np.array(matrix, np.float32).reshape(2, 3).T / half
    return (points @ theta).reshape(1, height, width, 2)


def _perspective_grid(img: Tensor, numbers: Sequence[float], size: tuple[int, int]) -> np.ndarray:
    width, height = size
    a, b, c, d, e, f, g, h = numbers
    points = _new_pixels(size, 0.5, 0.5)
    half = np.array([0.5 * width, 0.5 * height], np.float32)
    above = points @ (np.array([[a, b, c], [d, e, f]], np.float32).T / half)
    below = points @ np.array([[g, h, 1.0], [g, h, 1.0]], np.float32).T
    return (above / below - np.float32(1)).reshape(1, height, width, 2)


def _sampled(img: Tensor, grid: np.ndarray, mode: InterpolationMode, fill: Any) -> Tensor:
    """`img` (..., C, H, W) at the grid's places; whole numbers are rounded."""
    exact = img if img.is_floating_point() else img.to(dtypes.float32)
    channels = img.shape[-3] if img.ndim > 2 else 1
    images = exact.reshape(-1, channels, *img.shape[-2:])
    if fill is not None:  # how much of a new pixel comes from the old image
        images = cat([images, images.new_ones(len(images), 1, *img.shape[-2:])], 1)
    places = wrap(np.repeat(grid.astype(images.array.dtype), len(images), axis=0))
    out = grid_sample(images, places, _TENSOR_MODES[mode], "zeros", False)
    if fill is not None:
        out, covered = out[:, :-1], out[:, -1:].expand(-1, channels, -1, -1)
        color = wrap(np.array(_colors(fill, channels), out.array.dtype).reshape(1, channels, 1, 1))
        if mode is InterpolationMode.NEAREST:
            out = color.where(covered < 0.5, out)
        else:
            out = out * covered + (1.0 - covered) * color
    out = out.reshape(*img.shape[:-2], *grid.shape[1:3])
    return out if img.is_floating_point() else out.round().to(img.dtype)


def _colors(fill: Any, channels: int) -> list[float]:
    """One value for each channel."""
    values = [float(fill)] if isinstance(fill, (int, float)) else [float(value) for value in fill]
    if len(values) not in (1, channels):
        text = "fill has another number of values than the image has channels"
        raise ValueError(message(text, got=fill, expected=f"{channels} values"))
    return values * channels if len(values) == 1 else values


# ---- arguments -------------------------------------------------------------------------------------------------


def fill_color(fill: Any, img: Any) -> Any:
    """`fill` as Pillow wants it for this image."""
    channels = len(img.getbands())
    if fill is None:
        fill = 0
    values = [fill] * channels if isinstance(fill, (int, float)) else list(fill)
    values = values * channels if len(values) == 1 else values
    if len(values) != channels:
        text = "fill has another number of values than the image has channels"
        raise ValueError(message(text, got=fill, expected=f"{channels} values"))
    return values[0] if channels == 1 else tuple(values)


def _mode(where: str, interpolation: Any, for_pillow: bool) -> InterpolationMode:
    mode = InterpolationMode.of(interpolation)
    known = _PILLOW_MODES if for_pillow else tuple(_TENSOR_MODES)
    if mode not in known:
        expected = ", ".join(each.name for each in known)
        raise ValueError(message(f"{where}: this interpolation cannot be used here", got=mode.name, expected=expected))
    return mode
