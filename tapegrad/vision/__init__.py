"""Images: datasets of them, transforms that turn them into tensors, networks, and pictures (torchvision's names)."""

from . import datasets, io, models, transforms, utils

__version__ = "0.28.0"  # of torchvision, whose names these are

__all__ = ["datasets", "io", "models", "transforms", "utils"]
