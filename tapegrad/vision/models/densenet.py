"""DenseNet: every layer of a block sees the results of all layers before it.

Parameter names are torchvision's, and so are initial weights for the same seed. The published files have older names
of the layers' parts ("norm.1" for "norm1"), which are translated.

Reference: G. Huang, Z. Liu, L. van der Maaten, K. Weinberger, "Densely connected convolutional networks",
arXiv:1608.06993.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from ... import nn
from ...core.tensor import Tensor
from ...ops.shape.joining import cat
from .weights import Published, build, weights_enum

_OLD = re.compile(r"^(.*denselayer\d+\.(?:norm|conv))\.([12]\..*)$")


class _DenseLayer(nn.Module):
    """From the results so far, (B, C_k, H, W) each, `growth_rate` more channels."""

    def __init__(self, num_input_features: int, growth_rate: int, bn_size: int, drop_rate: float) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(num_input_features)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(num_input_features, bn_size * growth_rate, kernel_size=1, stride=1, bias=False)
        self.norm2 = nn.BatchNorm2d(bn_size * growth_rate)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(bn_size * growth_rate, growth_rate, kernel_size=3, stride=1, padding=1, bias=False)
        self.drop_rate = float(drop_rate)

    def forward(self, before: Tensor | Sequence[Tensor]) -> Tensor:
        x = before if isinstance(before, Tensor) else cat(list(before), 1)
        x = self.conv1(self.relu1(self.norm1(x)))
        x = self.conv2(self.relu2(self.norm2(x)))
        return nn.functional.dropout(x, p=self.drop_rate, training=self.training) if self.drop_rate > 0 else x


class _DenseBlock(nn.ModuleDict):
    """Layers that each see all results before them; all of them go out, joined."""

    def __init__(
        self, num_layers: int, num_input_features: int, bn_size: int, growth_rate: int, drop_rate: float
    ) -> None:
        super().__init__()
        for i in range(num_layers):
            layer = _DenseLayer(num_input_features + i * growth_rate, growth_rate, bn_size, drop_rate)
            self.add_module(f"denselayer{i + 1}", layer)

    def forward(self, x: Tensor) -> Tensor:
        results = [x]
        for layer in self.values():
            results.append(layer(results))
        return cat(results, 1)


class _Transition(nn.Sequential):
    """Fewer channels at a quarter of the places."""

    def __init__(self, num_input_features: int, num_output_features: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(num_input_features)
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(num_input_features, num_output_features, kernel_size=1, stride=1, bias=False)
        self.pool = nn.AvgPool2d(kernel_size=2, stride=2)


class DenseNet(nn.Module):
    """Scores (B, num_classes) of images (B, 3, H, W).

    Args:
        growth_rate: channels that each layer adds.
        block_config: the number of layers in each block.
        num_init_features: channels of the first convolution.
        bn_size: channels between a layer's two convolutions, in growth rates.
        drop_rate: probability of the dropout after each layer.
        num_classes: how many scores.
        memory_efficient: accepted for compatibility.
    """

    def __init__(
        self,
        growth_rate: int = 32,
        block_config: Sequence[int] = (6, 12, 24, 16),
        num_init_features: int = 64,
        bn_size: int = 4,
        drop_rate: float = 0,
        num_classes: int = 1000,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__()
        self.features = nn.Sequential(
            OrderedDict(
                conv0=nn.Conv2d(3, num_init_features, kernel_size=7, stride=2, padding=3, bias=False),
                norm0=nn.BatchNorm2d(num_init_features),
                relu0=nn.ReLU(inplace=True),
                pool0=nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
            )
        )
        channels = num_init_features
        for i, count in enumerate(block_config, 1):
            block = _DenseBlock(count, channels, bn_size, growth_rate, drop_rate)
            self.features.add_module(f"denseblock{i}", block)
            channels += count * growth_rate
            if i != len(block_config):
                self.features.add_module(f"transition{i}", _Transition(channels, channels // 2))
                channels //= 2
        self.features.add_module("norm5", nn.BatchNorm2d(channels))
        self.classifier = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.constant_(module.weight, 1)
                nn.init.constant_(module.bias, 0)
            elif isinstance(module, nn.Linear):
                nn.init.constant_(module.bias, 0)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.relu(self.features(x), inplace=True)
        return self.classifier(nn.functional.adaptive_avg_pool2d(x, (1, 1)).flatten(1))


def _renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The published files' names of weights in today's form."""
    return {_OLD.sub(r"\1\2", name): value for name, value in state.items()}


DenseNet121_Weights = weights_enum("DenseNet121_Weights", IMAGENET1K_V1=Published("densenet121-a639ec97.pth"))


def densenet121(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> DenseNet:
    """DenseNet-121: 8.0 million parameters.

    Args:
        weights: None, the path of a file, or a name of published weights (see `models.weights`).
        progress: accepted for compatibility.
        kwargs: for `DenseNet`.
    """
    return build(
        lambda **rest: DenseNet(32, (6, 12, 24, 16), 64, **rest), DenseNet121_Weights, weights, kwargs, _renamed
    )
