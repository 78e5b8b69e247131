"""Transforms with chance in them. Each draw is torchvision's, from the default stream:

* a probability p: one `rand(1) < p`;
* `RandomCrop`: `randint(H - h + 1)`, then `randint(W - w + 1)`; nothing where the image has that size already;
* `RandomOrder`, `RandomChoice`: `shuffle` and `choices` of Python's `random`.

Those of colours are in `jitter.py`, those that turn, tilt, resize and erase in `places.py`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ...errors import message
from ...ops.random.draws import rand, randint
from . import functional as F
from .basic import Transform, lines_of
from .geometry import two_sizes


class RandomCrop(Transform):
    """A part of an image at a random place.

    Args:
        size: (height, width), or one number for both.
        padding: margin that is added first, as in `Pad`; None for none.
        pad_if_needed: add a margin where the image is smaller than `size`.
        fill: value of a constant margin.
        padding_mode: "constant", "edge", "reflect" or "symmetric".

    Raises:
        ValueError: `size` has not one or two numbers; on use, the image is smaller than `size`.

    >>> import tapegrad as torch
    >>> from tapegrad.vision import transforms
    >>> transforms.RandomCrop(28, padding=2)(torch.zeros(1, 28, 28)).shape
    torch.Size([1, 28, 28])
    """

    def __init__(
        self,
        size: int | Sequence[int],
        padding: int | Sequence[int] | None = None,
        pad_if_needed: bool = False,
        fill: Any = 0,
        padding_mode: str = "constant",
    ) -> None:
        self.size = two_sizes(size)
        self.padding = padding
        self.pad_if_needed = pad_if_needed
        self.fill = fill
        self.padding_mode = padding_mode

    @staticmethod
    def get_params(img: Any, output_size: tuple[int, int]) -> tuple[int, int, int, int]:
        """(top, left, height, width) of a random part of this size."""
        _, rows, columns = F.get_dimensions(img)
        height, width = output_size
        if rows < height or columns < width:
            raise ValueError(
                message(
                    "RandomCrop: the image is smaller than the part",
                    got=(rows, columns),
                    expected=f"at least {(height, width)}",
                    fix="padding= or pad_if_needed=True",
                )
            )
        if (rows, columns) == (height, width):
            return 0, 0, height, width
        top = int(randint(0, rows - height + 1, (1,)).item())
        left = int(randint(0, columns - width + 1, (1,)).item())
        return top, left, height, width

    def _padded(self, img: Any, padding: int | Sequence[int]) -> Any:
        return F.pad(img, padding, self.fill, self.padding_mode)

    def forward(self, img: Any) -> Any:
        if self.padding is not None:
            img = self._padded(img, self.padding)
        if self.pad_if_needed:
            _, rows, columns = F.get_dimensions(img)
            if columns < self.size[1]:
                img = self._padded(img, [self.size[1] - columns, 0])
            if rows < self.size[0]:
                img = self._padded(img, [0, self.size[0] - rows])
        return F.crop(img, *self.get_params(img, self.size))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size}, padding={self.padding})"


class WithProbability(Transform):
    """Something done to an image with probability p."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = p

    def forward(self, img: Any) -> Any:
        return self._do(img) if rand(1) < self.p else img

    def _do(self, img: Any) -> Any:
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"


class RandomHorizontalFlip(WithProbability):
    """Mirror left and right with probability `p`.

    >>> import tapegrad as torch
    >>> from tapegrad.vision import transforms
    >>> transforms.RandomHorizontalFlip(p=1.0)(torch.tensor([[1, 2]]))
    tensor([[2, 1]])
    """

    def _do(self, img: Any) -> Any:
        return F.hflip(img)


class RandomVerticalFlip(WithProbability):
    """Mirror top and bottom with probability `p`."""

    def _do(self, img: Any) -> Any:
        return F.vflip(img)


class RandomGrayscale(WithProbability):
    """Grey, with the number of channels kept, with probability `p`."""

    def __init__(self, p: float = 0.1) -> None:
        super().__init__(p)

    def _do(self, img: Any) -> Any:
        return F.rgb_to_grayscale(img, num_output_channels=F.get_image_num_channels(img))


class RandomApply(Transform):
    """Several transforms, all with probability `p` or none.

    Args:
        transforms: functions of an image.
        p: the probability.

    >>> from tapegrad.vision import transforms
    >>> transforms.RandomApply([transforms.CenterCrop(8)], p=0.3)
    RandomApply(
        p=0.3
        CenterCrop(size=(8, 8))
    )
    """

    def __init__(self, transforms: Iterable[Callable], p: float = 0.5) -> None:
        self.transforms = transforms
        self.p = p

    def forward(self, img: Any) -> Any:
        if self.p < rand(1):
            return img
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self) -> str:
        return lines_of(type(self).__name__, [f"p={self.p}", *self.transforms])


class _OfSeveral:
    """A choice among transforms."""

    def __init__(self, transforms: Sequence[Callable]) -> None:
        if not isinstance(transforms, Sequence):
            raise TypeError(
                message(f"{type(self).__name__}: transforms must be a sequence", got=type(transforms).__name__)
            )
        self.transforms = transforms

    def __repr__(self) -> str:
        return lines_of(type(self).__name__, self.transforms)


class RandomOrder(_OfSeveral):
    """Several transforms in a random order (of Python's `random`).

    Raises:
        TypeError: `transforms` is no sequence.
    """

    def __call__(self, img: Any) -> Any:
        order = list(range(len(self.transforms)))
        random.shuffle(order)
        for i in order:
            img = self.transforms[i](img)
        return img


class RandomChoice(_OfSeveral):
    """One of several transforms, by Python's `random`.

    Args:
        transforms: functions of an image.
        p: their probabilities or weights; None for equal ones.

    Raises:
        TypeError: `transforms` or `p` is no sequence.
    """

    def __init__(self, transforms: Sequence[Callable], p: Sequence[float] | None = None) -> None:
        super().__init__(transforms)
        if p is not None and not isinstance(p, Sequence):
            raise TypeError(message("RandomChoice: p must be a sequence", got=type(p).__name__))
        self.p = p

    def __call__(self, *args: Any) -> Any:
        return random.choices(self.transforms, weights=self.p)[0](*args)

    def __repr__(self) -> str:
        return f"{super().__repr__()}(p={self.p})"
