"""Images: datasets of them and transforms that turn them into tensors (torchvision's names)."""

from . import datasets, transforms

__all__ = ["datasets", "transforms"]
