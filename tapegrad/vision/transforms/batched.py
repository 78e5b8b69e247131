"""Which transforms can be given pixels instead of a Pillow image, and which can be given a whole batch of them.

Both must give the bits that one image after the other gives through Pillow. So the types are compared exactly (a
subclass may do anything), and on a batch only transforms are allowed that work on each number or position alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...core.tensor import Tensor
from .basic import Compose, ConvertImageDtype, Grayscale, Normalize, ToTensor
from .functional import scaled
from .geometry import CenterCrop, Pad

_EACH_ALONE = frozenset({Normalize, ConvertImageDtype, Grayscale, CenterCrop, Pad})


def takes_pixels(transform: Any) -> bool:
    """Whether a transform gives the same for a greyscale image and for its pixels: it begins with `ToTensor`."""
    steps = _steps(transform)
    return bool(steps) and type(steps[0]) is ToTensor


def on_batches(transform: Any) -> Callable[[np.ndarray], Tensor] | None:
    """A transform as a function from uint8 pixels (B, H, W) to a tensor (B, C, H, W), or None."""
    steps = _steps(transform)
    if not takes_pixels(transform) or not _EACH_ALONE.issuperset(map(type, steps[1:])):
        return None

    def apply(pixels: np.ndarray) -> Tensor:
        images = scaled(pixels[:, None])
        for step in steps[1:]:
            # what ToTensor made is ours to overwrite: it saves a copy of the batch
            images = step.over(images) if type(step) is Normalize else step(images)
        return images

    return apply


def _steps(transform: Any) -> list:
    if type(transform) is Compose:
        return list(transform.transforms)
    return [] if transform is None else [transform]
