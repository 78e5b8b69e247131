"""AlexNet, in its form for one device: five convolutions and three linear layers.

Parameter names are torchvision's, and so are initial weights for the same seed.

Reference: A. Krizhevsky, "One weird trick for parallelizing convolutional neural networks", arXiv:1404.5997.
"""

from __future__ import annotations

from typing import Any

from ... import nn
from ...core.tensor import Tensor
from .weights import Published, build, weights_enum


class AlexNet(nn.Module):
    """Scores (B, num_classes) of images (B, 3, H, W), 224 x 224 as published.

    Args:
        num_classes: how many scores.
        dropout: the probability, before the first two linear layers.
    """

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(64, 192, kernel_size=5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(192, 384, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


AlexNet_Weights = weights_enum("AlexNet_Weights", IMAGENET1K_V1=Published("alexnet-owt-7be5be79.pth"))


def alexnet(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> AlexNet:
    """AlexNet: 61.1 million parameters.

    Args:
        weights: None, the path of a file, or a name of published weights (see `models.weights`).
        progress: accepted for compatibility.
        kwargs: for `AlexNet`.
    """
    return build(AlexNet, AlexNet_Weights, weights, kwargs)
