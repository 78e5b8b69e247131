"""Transforms with chance in them that turn, tilt, resize and erase.

Each draw is torchvision's, from the default stream; a uniform number is one float32:

* `RandomResizedCrop`: up to ten times an area and the logarithm of a ratio, both uniform; when a part of that area and
  ratio fits, `randint` for its top and its left;
* `RandomRotation`: the angle;
* `RandomAffine`: the angle; both translations, if there are any; the scale; the shears along x and y;
* `RandomPerspective`: `rand(1) < p`, then `randint` for x and y of each corner, clockwise from the upper left;
* `RandomErasing`: `rand(1) < p`, then as `RandomResizedCrop` (with the normal numbers for "random" before the place).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ...core.tensor import Tensor, wrap
from ...errors import message
from ...ops.creation.filled import empty
from ...ops.creation.values import tensor
from ...ops.random.draws import rand, randint
from . import functional as F
from .basic import Transform
from .geometry import two_sizes
from .jitter import uniform
from .resample import InterpolationMode

Mode = InterpolationMode | int
_TRIES = 10


def below(limit: int) -> int:
    """A whole number of the default stream, 0 to limit - 1."""
    return int(randint(0, limit, size=(1,)).item())


def _check_limits(where: str, **pairs: Sequence[float]) -> None:
    """TypeError for limits that are no sequence, a warning for those in the wrong order."""
    for name, limits in pairs.items():
        if not isinstance(limits, Sequence):
            raise TypeError(message(f"{where}: {name} must be two numbers", got=type(limits).__name__))
    if any(limits[0] > limits[1] for limits in pairs.values()):
        warnings.warn(f"{where}: {' and '.join(pairs)} should be (low, high)", stacklevel=3)


def _sides(whole: int, scale: Sequence[float], ratio: Sequence[float]) -> Iterator[tuple[int, int]]:
    """The sides of rectangles, ten at most: a random part of the area `whole`, and first / second a random ratio.

    The logarithm of the ratio is uniform; logarithm and exponential in float32, as torchvision takes them.
    """
    low, high = np.log(np.array(ratio, dtype=np.float32)).tolist()
    for _ in range(_TRIES):
        area = whole * uniform(*scale)
        aspect = float(wrap(np.array([uniform(low, high)], np.float32)).exp().item())
        yield round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))


class RandomResizedCrop(Transform):
    """A part of an image, of random area, ratio and place, resized.

    Args:
        size: (height, width) of the result, or one number for both.
        scale: limits of the part's area, as parts of the image's.
        ratio: limits of its width / height.
        interpolation: of the resizing.
        antialias: of the resizing.

    Raises:
        TypeError: `scale` or `ratio` is no sequence.

    >>> import tapegrad as torch
    >>> from tapegrad.vision import transforms
    >>> transforms.RandomResizedCrop(8)(torch.zeros(3, 32, 32)).shape
    torch.Size([3, 8, 8])
    """

    def __init__(
        self,
        size: int | Sequence[int],
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3.0 / 4.0, 4.0 / 3.0),
        interpolation: Mode = InterpolationMode.BILINEAR,
        antialias: bool | None = True,
    ) -> None:
        self.size = two_sizes(size)
        _check_limits("RandomResizedCrop", scale=scale, ratio=ratio)
        self.scale = scale
        self.ratio = ratio
        self.interpolation = InterpolationMode.of(interpolation)
        self.antialias = antialias

    @staticmethod
    def get_params(img: Any, scale: Sequence[float], ratio: Sequence[float]) -> tuple[int, int, int, int]:
        """(top, left, height, width) of a random part; the largest middle part of a fitting ratio if none was found."""
        _, rows, columns = F.get_dimensions(img)
        for width, height in _sides(rows * columns, scale, ratio):
            if 0 < width <= columns and 0 < height <= rows:
                return below(rows - height + 1), below(columns - width + 1), height, width
        width, height = columns, rows
        if columns / rows < min(ratio):
            height = round(width / min(ratio))
        elif columns / rows > max(ratio):
            width = round(height * max(ratio))
        return (rows - height) // 2, (columns - width) // 2, height, width

    def forward(self, img: Any) -> Any:
        part = self.get_params(img, self.scale, self.ratio)
        return F.resized_crop(img, *part, self.size, self.interpolation, antialias=self.antialias)

    def __repr__(self) -> str:
        scale, ratio = (tuple(round(limit, 4) for limit in limits) for limits in (self.scale, self.ratio))
        return (
            f"{type(self).__name__}(size={self.size}, scale={scale}, ratio={ratio}, "
            f"interpolation={self.interpolation.value}, antialias={self.antialias})"
        )


class RandomRotation(Transform):
    """An image turned by a random angle; see `functional.rotate`.

    Args:
        degrees: limits of the angle, or one number d for (-d, d).
        interpolation: between pixels.
        expand: make the image as large as it must be.
        center: the point (x, y) that stays; the middle if None.
        fill: value of new pixels without an old one.

    Raises:
        ValueError: `degrees` is a negative number or not two.
    """

    def __init__(
        self,
        degrees: float | Sequence[float],
        interpolation: Mode = InterpolationMode.NEAREST,
        expand: bool = False,
        center: Sequence[float] | None = None,
        fill: Any = 0,
    ) -> None:
        self.degrees = _angles("degrees", degrees, (2,))
        self.interpolation = InterpolationMode.of(interpolation)
        self.expand = expand
        self.center = center
        self.fill = 0 if fill is None else fill

    @staticmethod
    def get_params(degrees: Sequence[float]) -> float:
        """An angle."""
        return uniform(degrees[0], degrees[1])

    def forward(self, img: Any) -> Any:
        angle = self.get_params(self.degrees)
        return F.rotate(img, angle, self.interpolation, self.expand, self.center, _channelwise(self.fill, img))

    def __repr__(self) -> str:
        center = "" if self.center is None else f", center={self.center}"
        return (
            f"{type(self).__name__}(degrees={self.degrees}, interpolation={self.interpolation.value}, "
            f"expand={self.expand}{center}, fill={self.fill})"
        )


class RandomAffine(Transform):
    """An image turned, moved, scaled and sheared at random around its middle; see `functional.affine`.

    Args:
        degrees: limits of the angle, or one number d for (-d, d).
        translate: largest moves, as parts of the width and of the height; None for none.
        scale: limits of the factor; None for 1.
        shear: one number s for (-s, s) along x; two limits along x; or four, along x and y; None for none.
        interpolation: between pixels.
        fill: value of new pixels without an old one.
        center: the point (x, y) that turns on the spot; the middle if None.

    Raises:
        ValueError: limits of the wrong number or range.
    """

    def __init__(
        self,
        degrees: float | Sequence[float],
        translate: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
        shear: float | Sequence[float] | None = None,
        interpolation: Mode = InterpolationMode.NEAREST,
        fill: Any = 0,
        center: Sequence[int] | None = None,
    ) -> None:
        self.degrees = _angles("degrees", degrees, (2,))
        if translate is not None and (len(translate) != 2 or not all(0.0 <= part <= 1.0 for part in translate)):
            raise ValueError(message("RandomAffine: translate must be two numbers from 0 to 1", got=translate))
        if scale is not None and (len(scale) != 2 or min(scale) <= 0):
            raise ValueError(message("RandomAffine: scale must be two positive numbers", got=scale))
        if center is not None and len(center) != 2:
            raise ValueError(message("RandomAffine: center must be (x, y)", got=center))
        self.translate = translate
        self.scale = scale
        self.shear = None if shear is None else _angles("shear", shear, (2, 4))
        self.interpolation = InterpolationMode.of(interpolation)
        self.fill = 0 if fill is None else fill
        self.center = center

    @staticmethod
    def get_params(
        degrees: Sequence[float],
        translate: Sequence[float] | None,
        scale_ranges: Sequence[float] | None,
        shears: Sequence[float] | None,
        img_size: Sequence[int],
    ) -> tuple[float, tuple[int, int], float, tuple[float, float]]:
        """(angle, (right, down), scale, (shear along x, shear along y)) for an image of size (width, height)."""
        angle = uniform(degrees[0], degrees[1])
        right = down = 0
        if translate is not None:
            across, along = (float(part * size) for part, size in zip(translate, img_size))
            right = round(uniform(-across, across))
            down = round(uniform(-along, along))
        scale = 1.0 if scale_ranges is None else uniform(scale_ranges[0], scale_ranges[1])
        shear_x = shear_y = 0.0
        if shears is not None:
            shear_x = uniform(shears[0], shears[1])
            if len(shears) == 4:
                shear_y = uniform(shears[2], shears[3])
        return angle, (right, down), scale, (shear_x, shear_y)

    def forward(self, img: Any) -> Any:
        _, height, width = F.get_dimensions(img)
        params = self.get_params(self.degrees, self.translate, self.scale, self.shear, [width, height])
        return F.affine(img, *params, self.interpolation, _channelwise(self.fill, img), self.center)

    def __repr__(self) -> str:
        text = f"{type(self).__name__}(degrees={self.degrees}"
        for name in ("translate", "scale", "shear"):
            text += "" if getattr(self, name) is None else f", {name}={getattr(self, name)}"
        if self.interpolation is not InterpolationMode.NEAREST:
            text += f", interpolation={self.interpolation.value}"
        text += f", fill={self.fill}" if self.fill != 0 else ""
        return text + (f", center={self.center}" if self.center is not None else "") + ")"


class RandomPerspective(Transform):
    """An image with its corners moved inwards at random, with probability `p`; see `functional.perspective`.

    Args:
        distortion_scale: how far a corner may move, as a part of half the width and height.
        p: the probability.
        interpolation: between pixels.
        fill: value of new pixels without an old one.
    """

    def __init__(
        self,
        distortion_scale: float = 0.5,
        p: float = 0.5,
        interpolation: Mode = InterpolationMode.BILINEAR,
        fill: Any = 0,
    ) -> None:
        self.distortion_scale = distortion_scale
        self.p = p
        self.interpolation = InterpolationMode.of(interpolation)
        self.fill = 0 if fill is None else fill

    @staticmethod
    def get_params(width: int, height: int, distortion_scale: float) -> tuple[list[list[int]], list[list[int]]]:
        """The corners, and where they shall lie."""
        across, down = int(distortion_scale * (width // 2)), int(distortion_scale * (height // 2))
        right, bottom = width - 1, height - 1
        start = [[0, 0], [right, 0], [right, bottom], [0, bottom]]
        end = []
        for x, y in start:
            new_x = below(across + 1) + (0 if x == 0 else right - across)
            new_y = below(down + 1) + (0 if y == 0 else bottom - down)
            end.append([new_x, new_y])
        return start, end

    def forward(self, img: Any) -> Any:
        if not rand(1) < self.p:
            return img
        _, height, width = F.get_dimensions(img)
        start, end = self.get_params(width, height, self.distortion_scale)
        return F.perspective(img, start, end, self.interpolation, _channelwise(self.fill, img))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"


class RandomErasing(Transform):
    """A tensor image with a rectangle of random area, ratio and place erased, with probability `p`.

    Args:
        p: the probability.
        scale: limits of the rectangle's area, as parts of the image's.
        ratio: limits of its height / width.
        value: what comes there: a number, one for each channel, or "random" for normal numbers.
        inplace: write into the tensor that is given.

    Raises:
        TypeError: an argument of the wrong type. ValueError: one out of range; on use, another number of values.

    References: Z. Zhong et al., "Random erasing data augmentation", arXiv:1708.04896.
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: Any = 0,
        inplace: bool = False,
    ) -> None:
        if not isinstance(value, (int, float, str, tuple, list)):
            raise TypeError(message('RandomErasing: value must be numbers or "random"', got=type(value).__name__))
        if isinstance(value, str) and value != "random":
            raise ValueError(message('RandomErasing: the only text for value is "random"', got=repr(value)))
        _check_limits("RandomErasing", scale=scale, ratio=ratio)
        if scale[0] < 0 or scale[1] > 1:
            raise ValueError(message("RandomErasing: scale lies between 0 and 1", got=tuple(scale)))
        if not 0 <= p <= 1:
            raise ValueError(message("RandomErasing: p is a probability", got=p))
        self.p = p
        self.scale = scale
        self.ratio = ratio
        self.value = value
        self.inplace = inplace

    @staticmethod
    def get_params(
        img: Tensor, scale: Sequence[float], ratio: Sequence[float], value: Sequence[float] | None = None
    ) -> tuple[int, int, int, int, Tensor]:
        """(top, left, height, width, values) of a random rectangle; all of the image itself if none was found.

        `value` None means normal numbers.
        """
        channels, rows, columns = img.shape[-3:]
        for height, width in _sides(rows * columns, scale, ratio):
            if not (height < rows and width < columns):
                continue
            if value is None:
                values = empty([channels, height, width]).normal_()
            else:
                values = tensor(value)[:, None, None]
            return below(rows - height + 1), below(columns - width + 1), height, width, values
        return 0, 0, rows, columns, img

    def forward(self, img: Tensor) -> Tensor:
        if not rand(1) < self.p:
            return img
        value = [float(self.value)] if isinstance(self.value, (int, float)) else self.value
        values = None if isinstance(value, str) else [float(each) for each in value]
        if values is not None and len(values) not in (1, img.shape[-3]):
            text = "RandomErasing: value has another number of numbers than the image has channels"
            raise ValueError(message(text, got=len(values), expected=f"1 or {img.shape[-3]}"))
        return F.erase(img, *self.get_params(img, self.scale, self.ratio, values), self.inplace)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(p={self.p}, scale={self.scale}, ratio={self.ratio}, value={self.value}, "
            f"inplace={self.inplace})"
        )


def _angles(name: str, value: Any, lengths: Sequence[int]) -> list[float]:
    """Limits as a list: (-v, v) for one number v."""
    if isinstance(value, (int, float)):
        if value < 0:
            raise ValueError(message(f"{name}: one number must not be negative", got=value))
        return [float(-value), float(value)]
    if not isinstance(value, (list, tuple)):
        raise TypeError(message(f"{name} must be a number or limits", got=type(value).__name__))
    if len(value) not in lengths:
        expected = " or ".join(map(str, lengths))
        raise ValueError(message(f"{name}: another number of limits", got=value, expected=expected))
    return [float(each) for each in value]


def _channelwise(fill: Any, img: Any) -> Any:
    """For tensors, one value for each channel."""
    if not isinstance(img, Tensor):
        return fill
    channels = F.get_image_num_channels(img)
    return [float(fill)] * channels if isinstance(fill, (int, float)) else [float(each) for each in fill]
