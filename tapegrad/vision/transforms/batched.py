"""Transforms of whole batches, and which transforms can be given pixels instead of a Pillow image.

Both must give the bits that one image after the other gives through Pillow, and move the random stream by the same
draws. So the types of transforms are compared exactly (a subclass may do anything), and those that a batch can be given
are in the table `_RULES` below: they work on each number or position alone, and the number of words that they draw for
an image is known beforehand. The words of a whole batch, image by image as they would have been drawn, are drawn at
once; each step takes its columns of them.

A batch of Pillow images is an array of uint8 pixels (B, C, H, W), C = 1 for "L" and 3 for "RGB"; `ToTensor` makes it a
tensor. Arrays and tensors are the batch's own: steps may write into them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...core.tensor import Tensor, wrap
from ...ops.random.generators import chosen
from ..images import is_image
from . import functional as F
from .basic import Compose, ConvertImageDtype, Grayscale, Normalize, PILToTensor, ToTensor
from .geometry import CenterCrop, Pad
from .jitter import RandomInvert, RandomPosterize, RandomSolarize
from .padding import pad_arrays, widths
from .pixels import scaled
from .randomized import RandomCrop, RandomGrayscale, RandomHorizontalFlip, RandomVerticalFlip

Size = tuple[int, int]


def steps_of(transform: Any) -> list[Any]:
    """The transforms that a transform consists of."""
    if type(transform) is Compose:
        return [step for each in transform.transforms for step in steps_of(each)]
    return [] if transform is None else [transform]


def takes_pixels(transform: Any) -> bool:
    """Whether a transform gives the same for a Pillow image ("L", "RGB") and its pixels: it begins with `ToTensor`."""
    steps = steps_of(transform)
    return bool(steps) and type(steps[0]) is ToTensor


class BatchTransform:
    """A chain of transforms for batches of images of one size.

    Attributes:
        words: how many words of the default stream an image draws.
    """

    def __init__(self, steps: Sequence[Any], sizes: Sequence[Size], words: Sequence[int]):
        self._steps, self._sizes, self._words = steps, sizes, words
        self.words = sum(words)

    def __call__(self, pixels: np.ndarray) -> Tensor:
        """Transform pixels (B, C, H, W), which it may overwrite."""
        images: Any = pixels
        n = len(pixels)
        words = chosen(None).words(n * self.words).reshape(n, self.words) if self.words else None
        column = 0
        for step, size, count in zip(self._steps, self._sizes, self._words):
            draws = None if words is None else words[:, column : column + count]
            images = _RULES[type(step)].apply(step, images, size, draws)
            column += count
        return images if images.array.flags.c_contiguous else wrap(np.ascontiguousarray(images.array))


def on_batches(transform: Any, size: Size, color: bool, draws: bool = True) -> BatchTransform | None:
    """A transform for batches of images of this (height, width); None if it has to be done image by image.

    Args:
        transform: the transform of one image.
        size: (height, width).
        color: "RGB" images, not "L".
        draws: whether it may draw random numbers.
    """
    steps = steps_of(transform)
    made_tensor, sizes, words = False, [], []
    for step in steps:
        rule = _RULES.get(type(step))
        measured = None if rule is None else rule.measure(step, size, color, made_tensor)
        if measured is None or (measured[0] and not draws):
            return None
        sizes.append(size)
        words.append(measured[0])
        size = measured[1]
        made_tensor = made_tensor or type(step) in (ToTensor, PILToTensor)
    return BatchTransform(steps, sizes, words) if made_tensor else None


def split(transform: Any) -> tuple[list[Any], list[Any]]:
    """The steps that are done image by image, and those after them that a batch can be given and that draw nothing."""
    steps = steps_of(transform)
    first = len(steps)
    while first and type(steps[first - 1]) in _CERTAIN:
        first -= 1
    rest = steps[first:]
    return (steps[:first], rest) if {ToTensor, PILToTensor} & set(map(type, rest)) else (steps, [])


def finish(images: list[Any], rest: list[Any]) -> list[Any]:
    """`rest` of `split` for the images: all at once if they are Pillow images of one size and mode."""
    first = images[0]
    if is_image(first) and first.mode in ("L", "RGB") and len(images) > 1:
        if all(is_image(each) and each.mode == first.mode and each.size == first.size for each in images):
            transform = on_batches(Compose(rest), (first.height, first.width), first.mode == "RGB", draws=False)
            if transform is not None:
                pixels = np.stack([np.asarray(each) for each in images])
                pixels = pixels[:, None] if pixels.ndim == 3 else pixels.transpose(0, 3, 1, 2)
                return [wrap(row) for row in transform(pixels).array]
    whole = Compose(rest)
    return [whole(each) for each in images]


# ---- what is known of each transform ---------------------------------------------------------------------------


class _Rule(NamedTuple):
    """`measure(step, size, color, is_tensor)` gives the words for an image and its new size, None if it must be done
    image by image; `apply(step, images, size, words)` the transformed batch."""

    measure: Callable[..., tuple[int, Size] | None]
    apply: Callable[..., Any]


def _keeps(step: Any, size: Size, color: bool, is_tensor: bool) -> tuple[int, Size]:
    return 0, size


def _of_images(step: Any, size: Size, color: bool, is_tensor: bool) -> tuple[int, Size] | None:
    return None if is_tensor else (0, size)


def _of_tensors(step: Any, size: Size, color: bool, is_tensor: bool) -> tuple[int, Size] | None:
    return (0, size) if is_tensor else None


def _one_word(step: Any, size: Size, color: bool, is_tensor: bool) -> tuple[int, Size]:
    return 1, size


def _to_tensor(step: Any, images: np.ndarray, size: Size, words: Any) -> Tensor:
    return scaled(images)


def _as_tensor(step: Any, images: np.ndarray, size: Size, words: Any) -> Tensor:
    return wrap(np.ascontiguousarray(images))


def _normalized(step: Normalize, images: Tensor, size: Size, words: Any) -> Tensor:
    return step.over(images)


def _called(step: Any, images: Tensor, size: Size, words: Any) -> Tensor:
    return step(images)


# positions


def _measure_pad(step: Pad, size: Size, color: bool, is_tensor: bool) -> tuple[int, Size] | None:
    left, top, right, bottom = widths(step.padding)
    if not is_tensor and not _is_byte(step.fill):
        return None
    return 0, (size[0] + top + bottom, size[1] + left + right)


def _padded(step: Any, images: Any, size: Size, words: Any) -> Any:
    return step(images) if isinstance(images, Tensor) else _pad(images, step.padding, step)


def _measure_center(step: CenterCrop, size: Size, color: bool, is_tensor: bool) -> tuple[int, Size]:
    return 0, (int(step.size[0]), int(step.size[1]))


def _center(step: CenterCrop, images: Any, size: Size, words: Any) -> Any:
    return step(images) if isinstance(images, Tensor) else step(wrap(images)).array


def _measure_crop(step: RandomCrop, size: Size, color: bool, is_tensor: bool) -> tuple[int, Size] | None:
    height, width = step.size
    if not is_tensor and not _is_byte(step.fill):
        return None
    for padding in _paddings(step, size):
        left, top, right, bottom = widths(padding)
        size = size[0] + top + bottom, size[1] + left + right
    if size[0] < height or size[1] < width:
        return None  # an error, and image by image says which
    return (0 if size == (height, width) else 2), (height, width)


def _paddings(step: RandomCrop, size: Size) -> list[Any]:
    """The margins that a `RandomCrop` adds to an image of this size."""
    rows, columns = size
    paddings: list[Any] = []
    if step.padding is not None:
        left, top, right, bottom = widths(step.padding)
        rows, columns = rows + top + bottom, columns + left + right
        paddings.append(step.padding)
    if step.pad_if_needed:
        if columns < step.size[1]:
            paddings.append([step.size[1] - columns, 0])
        if rows < step.size[0]:
            paddings.append([0, step.size[0] - rows])
    return paddings


def _cropped(step: RandomCrop, images: Any, size: Size, words: Any) -> Any:
    for padding in _paddings(step, size):
        if isinstance(images, Tensor):
            images = F.pad(images, padding, step.fill, step.padding_mode)
        else:
            images = _pad(images, padding, step)
    if words is None or not words.shape[1]:
        return images
    pixels = images.array if isinstance(images, Tensor) else images
    height, width = step.size
    rows, columns = pixels.shape[-2:]
    tops = (words[:, 0] % (rows - height + 1)).tolist()
    lefts = (words[:, 1] % (columns - width + 1)).tolist()
    out = np.empty((*pixels.shape[:-2], height, width), pixels.dtype)
    for part, whole, top, left in zip(out, pixels, tops, lefts):
        part[...] = whole[:, top : top + height, left : left + width]
    return wrap(out) if isinstance(images, Tensor) else out


def _pad(pixels: np.ndarray, padding: Any, step: Any) -> np.ndarray:
    return pad_arrays(pixels, padding, 0 if step.fill is None else int(step.fill), step.padding_mode)


def _is_byte(fill: Any) -> bool:
    """Whether Pillow takes a margin's value as it is."""
    return fill is None or (isinstance(fill, (int, float)) and 0 <= fill < 256)


# by chance


def _chosen(step: Any, words: np.ndarray) -> np.ndarray:
    """The images for which `rand(1) < p`: a uniform float32 has the low 24 bits of a word, see backends/cpu/random."""
    return np.flatnonzero((words[:, 0] & np.uint64(0xFFFFFF)).astype(np.float32) * np.float32(2.0**-24) < step.p)


def _sometimes(change: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """A rule's `apply` that changes the chosen images by `change(step, images)`."""

    def apply(step: Any, images: Any, size: Size, words: np.ndarray) -> Any:
        rows = _chosen(step, words)
        if rows.size:
            is_tensor = isinstance(images, Tensor)
            pixels = images.array if is_tensor else images
            part = pixels[rows]
            changed = change(step, wrap(part) if is_tensor else part)
            pixels[rows] = changed.array if is_tensor else changed
        return images

    return apply


def _flipped(step: Any, images: Any) -> Any:
    return F.hflip(images) if isinstance(images, Tensor) else images[..., ::-1]


def _turned_over(step: Any, images: Any) -> Any:
    return F.vflip(images) if isinstance(images, Tensor) else images[..., ::-1, :]


def _inverted(step: Any, images: Any) -> Any:
    return F.invert(images) if isinstance(images, Tensor) else 255 - images


def _posterized(step: RandomPosterize, images: Any) -> Any:
    return F.posterize(images, step.bits) if isinstance(images, Tensor) else images & (256 - 2 ** (8 - step.bits))


def _solarized(step: RandomSolarize, images: Any) -> Any:
    if isinstance(images, Tensor):
        return F.solarize(images, step.threshold)
    return np.where(images < step.threshold, images, 255 - images)


def _measure_posterize(step: RandomPosterize, size: Size, color: bool, is_tensor: bool) -> tuple[int, Size] | None:
    return (1, size) if 0 <= step.bits <= 8 else None


def _grey(pixels: np.ndarray) -> np.ndarray:
    """(B, 1, H, W) of (B, C, H, W), as Pillow converts "RGB" to "L": in 16-bit fractions, rounded."""
    if pixels.shape[1] == 1:
        return pixels
    red, green, blue = (pixels[:, c].astype(np.uint32) for c in range(3))
    return ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16).astype(np.uint8)[:, None]


def _measure_grey(step: Any, size: Size, color: bool, is_tensor: bool) -> tuple[int, Size] | None:
    return (0, size) if is_tensor or step.num_output_channels in (1, 3) else None


def _greyed(step: Grayscale, images: Any, size: Size, words: Any) -> Any:
    if isinstance(images, Tensor):
        return step(images).contiguous()  # three channels may be one, three times
    grey = _grey(images)
    return grey if step.num_output_channels == 1 else np.repeat(grey, 3, axis=1)


def _greyed_alike(step: RandomGrayscale, images: Any) -> Any:
    if isinstance(images, Tensor):
        return F.rgb_to_grayscale(images, images.shape[1])
    return _grey(images)  # one channel, written into all


_RULES: dict[type, _Rule] = {
    ToTensor: _Rule(_of_images, _to_tensor),
    PILToTensor: _Rule(_of_images, _as_tensor),
    Normalize: _Rule(_of_tensors, _normalized),
    ConvertImageDtype: _Rule(_of_tensors, _called),
    Grayscale: _Rule(_measure_grey, _greyed),
    CenterCrop: _Rule(_measure_center, _center),
    Pad: _Rule(_measure_pad, _padded),
    RandomCrop: _Rule(_measure_crop, _cropped),
    RandomHorizontalFlip: _Rule(_one_word, _sometimes(_flipped)),
    RandomVerticalFlip: _Rule(_one_word, _sometimes(_turned_over)),
    RandomGrayscale: _Rule(_one_word, _sometimes(_greyed_alike)),
    RandomInvert: _Rule(_one_word, _sometimes(_inverted)),
    RandomPosterize: _Rule(_measure_posterize, _sometimes(_posterized)),
    RandomSolarize: _Rule(_one_word, _sometimes(_solarized)),
}
_CERTAIN = frozenset({ToTensor, PILToTensor, Normalize, ConvertImageDtype, Grayscale, CenterCrop, Pad})
