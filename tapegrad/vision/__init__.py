"""Images: datasets of them, transforms that turn them into tensors, networks, and pictures (torchvision's names)."""

from . import datasets, models, transforms, utils

__all__ = ["datasets", "models", "transforms", "utils"]
