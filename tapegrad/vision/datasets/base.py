"""What the datasets of images have in common.

A sample comes along one of four ways, each faster than the one before and with the same bits:

* a Pillow image, through any transform;
* the same, but the last steps of the transform are done for many images at once, see `transforms.batched`;
* the pixels themselves, where they are in memory and the transform begins with `ToTensor` (no Pillow is needed);
* many images in memory at once, where all of the transform works on a batch: as a finished batch (`__getbatch__`), or
  as samples (`__getitems__`) for another `collate_fn` or with a `target_transform`.

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
from ..images import image_of
from ..transforms.batched import finish, on_batches, split, takes_pixels


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


class Images(VisionDataset):
    """Images with a class each. Subclasses define `_image_and_target(index)`, both as the transforms get them."""

    def _image_and_target(self, index: int) -> tuple[Any, Any]:
        raise NotImplementedError

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """Sample `index`: the image and its class, each through its transform."""
        image, target = self._image_and_target(index)
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def __getitems__(self, indices: list[int]) -> list[tuple[Any, Any]]:
        """The samples at `indices`; the last of their transforms are done at once where that gives the same."""
        first, rest = split(self.transform)
        if not rest or not indices or type(self).__getitem__ is not Images.__getitem__:
            return [self[i] for i in indices]
        images, targets = [], []
        for i in indices:
            image, target = self._image_and_target(i)
            for step in first:
                image = step(image)
            images.append(image)
            targets.append(target if self.target_transform is None else self.target_transform(target))
        return list(zip(finish(images, rest), targets))


class ArrayImages(Images):
    """Images in memory: `data`, uint8 of shape (n, H, W) or (n, H, W, 3), and their classes `targets`."""

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

    def _target(self, index: int) -> Any:
        """The class of image `index`."""
        return int(self.targets[index])

    def _image_and_target(self, index: int) -> tuple[Any, Any]:
        row, target = self.data[index], self._target(index)
        return self._pillow_or_pixels(self._shown(row.array if isinstance(row, Tensor) else np.asarray(row))), target

    def _pillow_or_pixels(self, pixels: np.ndarray) -> Any:
        """What the transform is given for pixels of shape (H, W) or (H, W, 3)."""
        if pixels.dtype == np.uint8 and pixels.ndim in (2, 3) and takes_pixels(self.transform):
            return pixels
        return image_of(pixels)

    def __getbatch__(self, indices: list[int]) -> Any:
        if self.target_transform is not None:  # the user's code: see __getitems__
            return NotImplemented
        batch = self._at_once(indices, draws=True)
        return NotImplemented if batch is None else [batch[0], wrap(np.array(batch[1], np.int64))]

    def __getitems__(self, indices: list[int]) -> list[tuple[Any, Any]]:
        """The samples at `indices`; their images are made at once where that gives the same."""
        own = type(self).__getitem__ is Images.__getitem__
        change = self.target_transform
        batch = self._at_once(indices, draws=change is None) if own else None
        if batch is None:
            return super().__getitems__(indices)
        images, targets = batch
        return [(wrap(row), target if change is None else change(target)) for row, target in zip(images.array, targets)]

    def _at_once(self, indices: list[int], draws: bool) -> tuple[Tensor, list[int]] | None:
        """The transformed images at `indices` and their classes; None if that has to be done one by one."""
        planes = self._planes()
        if planes is None or not are_plain(indices):
            return None
        transform = on_batches(self.transform, planes.shape[-2:], planes.shape[1] == 3, draws)
        if transform is None:
            return None
        rows = np.array(indices, np.intp)
        try:
            targets = self._targets_at(rows)
            return None if targets is None else (transform(self._shown(planes.take(rows, axis=0))), targets)
        except IndexError:
            return None  # reading sample by sample names the wrong index

    def _planes(self) -> np.ndarray | None:
        """`data` as (n, C, H, W), without copying; None if it is something else than this class loads."""
        pixels = self.data.array if isinstance(self.data, Tensor) else self.data
        if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8:
            return None
        if pixels.ndim == 4 and pixels.shape[3] == 3:
            return pixels.transpose(0, 3, 1, 2)
        return pixels[:, None] if pixels.ndim == 3 else None

    def _targets_at(self, rows: np.ndarray) -> list[int] | None:
        """The classes of these images as integers; None if they are something else."""
        targets = self.targets.array if isinstance(self.targets, Tensor) else self.targets
        if isinstance(targets, np.ndarray):
            return targets.take(rows).tolist() if targets.ndim == 1 and targets.dtype.kind in "iu" else None
        if not isinstance(targets, list):
            return None
        found = [targets[i] for i in rows.tolist()]
        return found if all(type(target) is int for target in found) else None


class SplitImages(ArrayImages):
    """Images to train with, and others to test with. Subclasses define `download()` and `_load()`, both of files."""

    train: bool

    def __init__(
        self,
        root: str | Path,
        train: bool = True,
        transform: Callable | None = None,
        target_transform: Callable | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        if download:
            self.download()
        self._load()

    def download(self) -> None:
        """Get the files that are missing."""
        raise NotImplementedError(message(f"{type(self).__name__} does not say where its files are"))

    def _load(self) -> None:
        """Read `data` and `targets`."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train else 'Test'}"


def not_there(dataset: Any, place: str | Path, fix: str, missing: list[str] | None = None, note: str = "") -> str:
    """The text of an error: files of the dataset are missing."""
    got = None if missing is None else f"no {' and no '.join(missing)}{note}"
    return message(f"{type(dataset).__name__}: the data is not there", where=str(place), got=got, fix=fix)
