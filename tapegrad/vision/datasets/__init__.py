"""Datasets of images: `MNIST`, `FashionMNIST`, `Digits`, `FakeData`, and the base class `VisionDataset`."""

from .base import StandardTransform, VisionDataset
from .digits import Digits
from .fake import FakeData
from .mnist import MNIST, FashionMNIST

__all__ = ["MNIST", "Digits", "FakeData", "FashionMNIST", "StandardTransform", "VisionDataset"]
