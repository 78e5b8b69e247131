"""Transforms of positions that have no chance in them: resize, crop, pad."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...errors import message
from . import functional as F
from .basic import Transform
from .padding import check_mode, widths
from .resample import InterpolationMode


def two_sizes(size: Any) -> tuple[int, int]:
    """(height, width) of one number or two; ValueError if it is something else."""
    if isinstance(size, (int, float)):
        return int(size), int(size)
    if not isinstance(size, Sequence) or len(size) not in (1, 2):
        raise ValueError(message("the size must be one number, or a height and a width", got=repr(size)))
    return (size[0], size[0]) if len(size) == 1 else (size[0], size[1])


class Resize(Transform):
    """An image in another size; see `functional.resize`.

    Args:
        size: (height, width), or one number for the shorter side.
        interpolation: between pixels.
        max_size: the longer side shall not be longer.
        antialias: average over the pixels that fall together.

    Raises:
        TypeError: `size` is no number and no sequence. ValueError: it has not one or two numbers.

    >>> import tapegrad as torch
    >>> from tapegrad.vision import transforms
    >>> transforms.Resize(8)(torch.zeros(1, 16, 24)).shape
    torch.Size([1, 8, 12])
    """

    def __init__(
        self,
        size: int | Sequence[int],
        interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
        max_size: int | None = None,
        antialias: bool | None = True,
    ) -> None:
        if not isinstance(size, (int, Sequence)):
            raise TypeError(message("Resize: size must be a number or two of them", got=type(size).__name__))
        if isinstance(size, Sequence) and len(size) not in (1, 2):
            raise ValueError(message("Resize: size must be one number or two", got=size))
        self.size = size
        self.interpolation = InterpolationMode.of(interpolation)
        self.max_size = max_size
        self.antialias = antialias

    def forward(self, img: Any) -> Any:
        return F.resize(img, self.size, self.interpolation, self.max_size, self.antialias)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(size={self.size}, interpolation={self.interpolation.value}, "
            f"max_size={self.max_size}, antialias={self.antialias})"
        )


class CenterCrop(Transform):
    """The middle of an image, padded with 0 if the image is smaller.

    Args:
        size: (height, width), or one number for both.

    Raises:
        ValueError: `size` has not one or two numbers.

    >>> import tapegrad as torch
    >>> from tapegrad.vision import transforms
    >>> transforms.CenterCrop((2, 4))(torch.zeros(3, 6, 6)).shape
    torch.Size([3, 2, 4])
    """

    def __init__(self, size: int | Sequence[int]) -> None:
        self.size = two_sizes(size)

    def forward(self, img: Any) -> Any:
        return F.center_crop(img, self.size)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size})"


class Pad(Transform):
    """An image with a margin; see `functional.pad`.

    Args:
        padding: one width, (left and right, top and bottom), or (left, top, right, bottom).
        fill: value of a constant margin.
        padding_mode: "constant", "edge", "reflect" or "symmetric".

    Raises:
        TypeError: an argument of the wrong type. ValueError: no such mode or number of widths.

    >>> import tapegrad as torch
    >>> from tapegrad.vision import transforms
    >>> transforms.Pad((1, 0))(torch.ones(1, 2))
    tensor([[0., 1., 1., 0.]])
    """

    def __init__(self, padding: int | Sequence[int], fill: Any = 0, padding_mode: str = "constant") -> None:
        widths(padding)
        check_mode(padding_mode)
        if not isinstance(fill, (int, float, tuple, list)):
            raise TypeError(message("Pad: fill must be a number or one for each channel", got=type(fill).__name__))
        self.padding = padding
        self.fill = fill
        self.padding_mode = padding_mode

    def forward(self, img: Any) -> Any:
        return F.pad(img, self.padding, self.fill, self.padding_mode)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(padding={self.padding}, fill={self.fill}, padding_mode={self.padding_mode})"


class FiveCrop(Transform):
    """The four corners of an image and its middle, as a tuple.

    Args:
        size: (height, width) of each, or one number for both.

    >>> import tapegrad as torch
    >>> from tapegrad.vision import transforms
    >>> [part.shape for part in transforms.FiveCrop(2)(torch.zeros(1, 4, 4))][0]
    torch.Size([1, 2, 2])
    """

    def __init__(self, size: int | Sequence[int]) -> None:
        self.size = two_sizes(size)

    def forward(self, img: Any) -> Any:
        return F.five_crop(img, self.size)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size})"


class TenCrop(FiveCrop):
    """`FiveCrop` of an image and of its mirror image, as a tuple.

    Args:
        size: (height, width) of each, or one number for both.
        vertical_flip: mirror top and bottom instead of left and right.
    """

    def __init__(self, size: int | Sequence[int], vertical_flip: bool = False) -> None:
        super().__init__(size)
        self.vertical_flip = vertical_flip

    def forward(self, img: Any) -> Any:
        return F.ten_crop(img, self.size, self.vertical_flip)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size}, vertical_flip={self.vertical_flip})"
