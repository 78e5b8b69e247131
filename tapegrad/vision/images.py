"""Pillow, imported when the first image is needed, and what an image is."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from ..errors import message


def pillow() -> Any:
    """The module `PIL.Image`.

    Raises:
        ImportError: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        text = "images need Pillow, which is not installed"
        fix = "pip install tapegrad[vision]; or begin the transform with ToTensor(), which needs no Pillow for datasets"
        raise ImportError(message(text, fix=fix)) from error
    return Image


def pillow_part(name: str) -> Any:
    """The module `PIL.ImageEnhance` or `PIL.ImageOps`: whoever has an image has them."""
    from PIL import ImageEnhance, ImageOps

    return {"ImageEnhance": ImageEnhance, "ImageOps": ImageOps}[name]


def is_image(value: Any) -> bool:
    """Whether `value` is a Pillow image (without importing Pillow: nobody has one before it is imported)."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(value, module.Image)


def image_of(pixels: np.ndarray) -> Any:
    """A Pillow image of `pixels` of shape (H, W) or (H, W, 3)."""
    return pillow().fromarray(pixels)


def check_image(value: Any) -> None:
    """TypeError unless `value` is a Pillow image."""
    if not is_image(value):
        raise TypeError(message("this is neither a Pillow image nor a tensor", got=type(value).__name__))
