"""Datasets of files in folders, a folder for each class."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...errors import message
from ..images import pillow
from .base import Images

IMG_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


def has_file_allowed_extension(filename: str, extensions: str | tuple[str, ...]) -> bool:
    """Whether a file name ends in one of these, in small letters or capitals."""
    return filename.lower().endswith(extensions if isinstance(extensions, str) else tuple(extensions))


def is_image_file(filename: str) -> bool:
    """Whether a file name ends as those of images do."""
    return has_file_allowed_extension(filename, IMG_EXTENSIONS)


def find_classes(directory: str | Path) -> tuple[list[str], dict[str, int]]:
    """The names of the folders in a folder, sorted, and their numbers.

    Raises:
        FileNotFoundError: there is no folder in it.
    """
    classes = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir())
    if not classes:
        fix = "put the images into one folder for each class"
        raise FileNotFoundError(message("there is no folder of a class here", where=os.fspath(directory), fix=fix))
    return classes, {name: number for number, name in enumerate(classes)}


def make_dataset(
    directory: str | Path,
    class_to_idx: dict[str, int] | None = None,
    extensions: str | tuple[str, ...] | None = None,
    is_valid_file: Callable[[str], bool] | None = None,
    allow_empty: bool = False,
) -> list[tuple[str, int]]:
    """(path, class) of the files in the folders of the classes, and in those below: class by class, sorted by path.

    Args:
        directory: the folder of the folders.
        class_to_idx: folders and their numbers; those of `find_classes` if None.
        extensions: how the names of the files end, or
        is_valid_file: function of a path that says whether it is one.
        allow_empty: whether a class may have no file.

    Raises:
        ValueError: not exactly one of `extensions` and `is_valid_file`, or there is no class.
        FileNotFoundError: a class has no file.
    """
    if class_to_idx is None:
        class_to_idx = find_classes(directory)[1]
    elif not class_to_idx:
        raise ValueError(message("make_dataset: class_to_idx names no class"))
    if (extensions is None) == (is_valid_file is None):
        raise ValueError(message("make_dataset: give either extensions or is_valid_file"))
    is_valid = is_valid_file or (lambda path: has_file_allowed_extension(path, extensions))  # type: ignore[arg-type]
    files, empty = [], []
    for name in sorted(class_to_idx):
        before = len(files)
        for folder, _, leaves in sorted(os.walk(os.path.join(os.path.expanduser(directory), name), followlinks=True)):
            paths = (os.path.join(folder, leaf) for leaf in sorted(leaves))
            files += [(path, class_to_idx[name]) for path in paths if is_valid(path)]
        if len(files) == before:
            empty.append(name)
    if empty and not allow_empty:
        allowed = extensions if isinstance(extensions, str) else " ".join(extensions or ())
        expected = f"names that end in {allowed}" if extensions else "one for which is_valid_file is true"
        text = f"there is no file of class {', '.join(empty)}"
        fix = "allow_empty=True, or remove the folder"
        raise FileNotFoundError(message(text, where=os.fspath(directory), expected=expected, fix=fix))
    return files


def default_loader(path: str) -> Any:
    """The Pillow image in a file, in RGB."""
    with open(path, "rb") as file:
        return pillow().open(file).convert("RGB")


pil_loader = default_loader


class DatasetFolder(Images):
    """Files in folders, a folder for each class: `root/cat/1.png`, `root/dog/x/2.png`.

    Args:
        root: the folder of the folders.
        loader: function of a path that gives the sample.
        extensions: how the names of the files end, or
        transform: function of the sample.
        target_transform: function of the class, an int.
        is_valid_file: function of a path that says whether it is one of the files.
        allow_empty: whether a class may have no file.

    Attributes:
        classes: names, sorted. class_to_idx: their numbers. samples: (path, class). targets: the classes.

    Raises:
        FileNotFoundError: there is no class, or a class has no file.
        ValueError: both or neither of `extensions` and `is_valid_file`.
    """

    def __init__(
        self,
        root: str | Path,
        loader: Callable[[str], Any],
        extensions: tuple[str, ...] | None = None,
        transform: Callable | None = None,
        target_transform: Callable | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.classes, self.class_to_idx = self.find_classes(self.root)
        self.samples = self.make_dataset(self.root, self.class_to_idx, extensions, is_valid_file, allow_empty)
        self.targets = [target for _, target in self.samples]
        self.loader = loader
        self.extensions = extensions

    @staticmethod
    def make_dataset(
        directory: str | Path,
        class_to_idx: dict[str, int],
        extensions: tuple[str, ...] | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> list[tuple[str, int]]:
        """See the function `make_dataset`; to be redefined for another order of files."""
        return make_dataset(directory, class_to_idx, extensions, is_valid_file, allow_empty)

    def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
        """See the function `find_classes`; to be redefined for other classes."""
        return find_classes(directory)

    def _image_and_target(self, index: int) -> tuple[Any, Any]:
        path, target = self.samples[index]
        return self.loader(path), target

    def __len__(self) -> int:
        return len(self.samples)


class ImageFolder(DatasetFolder):
    """Images in folders, a folder for each class: `root/cat/1.png`, `root/dog/x/2.png`.

    Args:
        root: the folder of the folders.
        transform: function of the image, a Pillow image in RGB.
        target_transform: function of the class, an int.
        loader: function of a path that gives the image.
        is_valid_file: function of a path that says whether it is an image; by default its name says so.
        allow_empty: whether a class may have no image.

    Attributes:
        classes: names, sorted. class_to_idx: their numbers. samples, imgs: (path, class). targets: the classes.

    Raises:
        FileNotFoundError: there is no class, or a class has no image.
        ImportError: an image is asked for and Pillow is not installed.
    """

    def __init__(
        self,
        root: str | Path,
        transform: Callable | None = None,
        target_transform: Callable | None = None,
        loader: Callable[[str], Any] = default_loader,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        extensions = IMG_EXTENSIONS if is_valid_file is None else None
        super().__init__(root, loader, extensions, transform, target_transform, is_valid_file, allow_empty)
        self.imgs = self.samples
