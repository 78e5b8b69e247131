"""Transforms of colours with chance in them, and blur. Each draw is torchvision's, from the default stream:

* `ColorJitter`: `randperm(4)` for the order of brightness, contrast, saturation and hue, then one uniform number for
  each of them that is asked for, in that order;
* `GaussianBlur`: one uniform number, also where both ends of the interval are equal;
* all others: one `rand(1) < p`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...core.tensor import Tensor
from ...errors import message
from ...ops.creation.filled import empty
from ...ops.random.draws import randperm
from . import functional as F
from .basic import Transform
from .randomized import WithProbability

Range = tuple[float, float]


def uniform(low: float, high: float) -> float:
    """A number of the default stream between these, drawn as float32."""
    return empty(1).uniform_(low, high).item()


class ColorJitter(Transform):
    """Brightness, contrast, saturation and hue, each changed at random, in random order.

    Args:
        brightness: a factor between max(0, 1 - brightness) and 1 + brightness, or between two given numbers; 0: none.
        contrast: likewise.
        saturation: likewise.
        hue: a part of the circle of colours between -hue and hue, or between two given numbers within -0.5 and 0.5.

    Raises:
        ValueError: a negative number, or limits out of range or in the wrong order.
        TypeError: neither a number nor two.

    >>> import tapegrad as torch
    >>> from tapegrad.vision import transforms
    >>> transforms.ColorJitter(brightness=0.5, hue=0.1)
    ColorJitter(brightness=(0.5, 1.5), contrast=None, saturation=None, hue=(-0.1, 0.1))
    """

    def __init__(self, brightness: Any = 0, contrast: Any = 0, saturation: Any = 0, hue: Any = 0) -> None:
        self.brightness = _limits("brightness", brightness)
        self.contrast = _limits("contrast", contrast)
        self.saturation = _limits("saturation", saturation)
        self.hue = _limits("hue", hue, center=0.0, lowest=-0.5, highest=0.5)

    @staticmethod
    def get_params(
        brightness: Range | None, contrast: Range | None, saturation: Range | None, hue: Range | None
    ) -> tuple[Tensor, float | None, float | None, float | None, float | None]:
        """The order of the four changes, and their factors (None: no change)."""
        order = randperm(4)
        b, c, s, h = (limits and uniform(*limits) for limits in (brightness, contrast, saturation, hue))
        return order, b, c, s, h

    def forward(self, img: Any) -> Any:
        order, *factors = self.get_params(self.brightness, self.contrast, self.saturation, self.hue)
        changes = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
        for i in order.tolist():
            if factors[i] is not None:
                img = changes[i](img, factors[i])
        return img

    def __repr__(self) -> str:
        limits = ", ".join(f"{name}={getattr(self, name)}" for name in ("brightness", "contrast", "saturation", "hue"))
        return f"{type(self).__name__}({limits})"


def _limits(
    name: str, value: Any, center: float = 1.0, lowest: float = 0.0, highest: float = float("inf")
) -> Range | None:
    """The interval of a factor; None if the factor is always the one that changes nothing."""
    if isinstance(value, (int, float)):
        if value < 0:
            raise ValueError(message(f"ColorJitter: {name} is negative", got=value))
        low, high = center - float(value), center + float(value)
        if center == 1.0:
            low = max(low, 0.0)
    elif isinstance(value, (tuple, list)) and len(value) == 2:
        low, high = float(value[0]), float(value[1])
    else:
        raise TypeError(message(f"ColorJitter: {name} must be a number or two", got=repr(value)))
    if not lowest <= low <= high <= highest:
        expected = f"{lowest} <= low <= high <= {highest}"
        raise ValueError(message(f"ColorJitter: {name} is out of range", got=(low, high), expected=expected))
    return None if low == high == center else (low, high)


class GaussianBlur(Transform):
    """A blurred image; see `functional.gaussian_blur`.

    Args:
        kernel_size: odd numbers (width, height) of pixels, or one for both.
        sigma: the standard deviation in pixels, or the interval it is drawn from.

    Raises:
        ValueError: sizes that are not odd and positive, or sigmas that are not positive or in the wrong order.
        TypeError: `sigma` is neither a number nor two.
    """

    def __init__(self, kernel_size: int | Sequence[int], sigma: Any = (0.1, 2.0)) -> None:
        sizes = (kernel_size, kernel_size) if isinstance(kernel_size, int) else tuple(kernel_size)
        if len(sizes) != 2 or any(size <= 0 or size % 2 == 0 for size in sizes):
            raise ValueError(message("GaussianBlur: kernel_size must be odd and positive", got=kernel_size))
        if not isinstance(sigma, (int, float)) and not (isinstance(sigma, Sequence) and len(sigma) == 2):
            raise TypeError(message("GaussianBlur: sigma must be a number or two", got=repr(sigma)))
        low, high = (sigma, sigma) if isinstance(sigma, (int, float)) else sigma
        if not 0.0 < low <= high:
            raise ValueError(message("GaussianBlur: sigma must be positive, and in order", got=sigma))
        self.kernel_size = sizes
        self.sigma = (low, high)

    @staticmethod
    def get_params(sigma_min: float, sigma_max: float) -> float:
        """A standard deviation."""
        return uniform(sigma_min, sigma_max)

    def forward(self, img: Any) -> Any:
        sigma = self.get_params(*self.sigma)
        return F.gaussian_blur(img, self.kernel_size, [sigma, sigma])

    def __repr__(self) -> str:
        return f"{type(self).__name__}(kernel_size={self.kernel_size}, sigma={self.sigma})"


class RandomInvert(WithProbability):
    """The negative, with probability `p`; see `functional.invert`."""

    def _do(self, img: Any) -> Any:
        return F.invert(img)


class RandomAutocontrast(WithProbability):
    """Each channel stretched from black to white, with probability `p`; see `functional.autocontrast`."""

    def _do(self, img: Any) -> Any:
        return F.autocontrast(img)


class RandomEqualize(WithProbability):
    """Values made to occur equally often, with probability `p`; see `functional.equalize`."""

    def _do(self, img: Any) -> Any:
        return F.equalize(img)


class RandomPosterize(WithProbability):
    """Fewer bits for each value, with probability `p`; see `functional.posterize`."""

    def __init__(self, bits: int, p: float = 0.5) -> None:
        super().__init__(p)
        self.bits = bits

    def _do(self, img: Any) -> Any:
        return F.posterize(img, self.bits)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(bits={self.bits},p={self.p})"


class RandomSolarize(WithProbability):
    """The negative of values from `threshold` on, with probability `p`; see `functional.solarize`."""

    def __init__(self, threshold: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.threshold = threshold

    def _do(self, img: Any) -> Any:
        return F.solarize(img, self.threshold)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(threshold={self.threshold},p={self.p})"


class RandomAdjustSharpness(WithProbability):
    """Sharper or softer, with probability `p`; see `functional.adjust_sharpness`."""

    def __init__(self, sharpness_factor: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.sharpness_factor = sharpness_factor

    def _do(self, img: Any) -> Any:
        return F.adjust_sharpness(img, self.sharpness_factor)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(sharpness_factor={self.sharpness_factor},p={self.p})"
