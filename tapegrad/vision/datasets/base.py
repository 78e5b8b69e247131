"""What the datasets of images have in common.

`GreyImages` gives the same sample along three ways, each faster than the one before and with the same bits:

* a Pillow image made of the pixels, through any transform;
* the pixels themselves, where the transform begins with `ToTensor` (no Pillow is needed);
* many images at once, where all of the transform works on a batch, see `transforms.batched`: as a finished batch
  (`__getbatch__`), or as samples (`__getitems__`) for another `collate_fn` or with a `target_transform`.

Reference: torchvision documentation, `torchvision.datasets.VisionDataset`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ...core.tensor import Tensor, wrap
from ...data.dataset import Dataset, are_plain
from ...errors import message
from ..images import grey_image
from ..transforms.batched import on_batches, takes_pixels


class StandardTransform:
    """`transform` for the image and `target_transform` for the target, as one function of both."""

    def __init__(self, transform: Callable | None = None, target_transform: Callable | None = None) -> None:
        self.transform = transform
        self.target_transform = target_transform

    def __call__(self, input: Any, target: Any) -> tuple[Any, Any]:
        if self.transform is not None:
            input = self.transform(input)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return input, target

    def __repr__(self) -> str:
        lines = [type(self).__name__]
        for head, transform in (("Transform: ", self.transform), ("Target transform: ", self.target_transform)):
            if transform is not None:
                first, *rest = repr(transform).splitlines()
                lines += [head + first, *(" " * len(head) + line for line in rest)]
        return "\n".join(lines)


class VisionDataset(Dataset[Any]):
    """Base of datasets of images: keeps the transforms and prints itself. Subclasses define `__getitem__`, `__len__`.

    Args:
        root: folder of the data, or None.
        transforms: function of an image and its target that gives both back, or
        transform: function of the image, and
        target_transform: function of the target.

    Raises:
        ValueError: `transforms` together with one of the others.

    >>> from tapegrad.vision import datasets
    >>> class Three(datasets.VisionDataset):
    ...     def __len__(self):
    ...         return 3
    >>> Three("pictures")
    Dataset Three
        Number of datapoints: 3
        Root location: pictures
    """

    _repr_indent = 4

    def __init__(
        self,
        root: str | Path | None = None,
        transforms: Callable | None = None,
        transform: Callable | None = None,
        target_transform: Callable | None = None,
    ) -> None:
        self.root = os.path.expanduser(root) if isinstance(root, str) else root
        self.transform = transform
        self.target_transform = target_transform
        if transform is not None or target_transform is not None:
            if transforms is not None:
                text = "VisionDataset: transforms already says what transform and target_transform would say"
                raise ValueError(message(text, fix="give transforms alone, or the other two"))
            transforms = StandardTransform(transform, target_transform)
        self.transforms = transforms

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(message(f"{type(self).__name__} does not define __getitem__"))

    def __len__(self) -> int:
        raise NotImplementedError(message(f"{type(self).__name__} does not define __len__"))

    def extra_repr(self) -> str:
        """More lines for `repr`."""
        return ""

    def __repr__(self) -> str:
        body = [f"Number of datapoints: {len(self)}"]
        if self.root is not None:
            body.append(f"Root location: {self.root}")
        body += self.extra_repr().splitlines()
        if getattr(self, "transforms", None) is not None:
            body.append(repr(self.transforms))
        return "\n".join([f"Dataset {type(self).__name__}", *(" " * self._repr_indent + line for line in body)])


class GreyImages(VisionDataset):
    """Images in memory: `data`, uint8 of shape (n, H, W), and their classes `targets`, int64 of shape (n,)."""

    data: Any
    targets: Any
    classes: list[str]

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The number of each class by its name."""
        return {name: i for i, name in enumerate(self.classes)}

    def __len__(self) -> int:
        return len(self.data)

    def _shown(self, pixels: np.ndarray) -> np.ndarray:
        """The pixels as a transform sees them."""
        return pixels

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """Sample `index`: the image and its class, each through its transform."""
        row, target = self.data[index], int(self.targets[index])
        image: Any = self._shown(row.array if isinstance(row, Tensor) else np.asarray(row))
        if image.dtype != np.uint8 or image.ndim != 2 or not takes_pixels(self.transform):
            image = grey_image(image)
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def __getbatch__(self, indices: list[int]) -> Any:
        if self.target_transform is not None:  # the user's code: see __getitems__
            return NotImplemented
        batch = self._at_once(indices)
        return NotImplemented if batch is None else [batch[0], wrap(batch[1].astype(np.int64))]

    def __getitems__(self, indices: list[int]) -> list[tuple[Any, Any]]:
        """The samples at `indices`; their images are made at once where that gives the same."""
        batch = self._at_once(indices) if type(self).__getitem__ is GreyImages.__getitem__ else None
        if batch is None:
            return [self[i] for i in indices]
        change = self.target_transform or (lambda target: target)
        return [(wrap(image), change(target)) for image, target in zip(batch[0].array, batch[1].tolist())]

    def _at_once(self, indices: list[int]) -> tuple[Tensor, np.ndarray] | None:
        """The transformed images at `indices` and their classes; None if that has to be done one by one."""
        transform = on_batches(self.transform)
        if transform is None or not are_plain(indices):
            return None
        if not (_holds(self.data, 3, "u1") and _holds(self.targets, 1, "iu")):
            return None
        try:
            pixels, targets = self.data.array.take(indices, axis=0), self.targets.array.take(indices)
        except IndexError:
            return None  # reading sample by sample names the wrong index
        return transform(self._shown(pixels)), targets


def _holds(value: Any, ndim: int, kinds: str) -> bool:
    """Whether `value` is a tensor of `ndim` dimensions whose NumPy type is of these kinds, or is this type."""
    if not isinstance(value, Tensor) or value.ndim != ndim:
        return False
    numpy_type = value.array.dtype
    return numpy_type.kind in kinds if kinds != "u1" else numpy_type == np.uint8
