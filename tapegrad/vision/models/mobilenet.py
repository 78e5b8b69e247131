"""MobileNetV2: blocks that widen the channels, filter each by itself, and narrow them again.

Parameter names are torchvision's, and so are initial weights for the same seed.

Reference: M. Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", arXiv:1801.04381.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ... import nn
from ...core.tensor import Tensor
from ...errors import message
from .weights import Published, build, weights_enum

Norm = Callable[[int], nn.Module]

# factor of widening, channels out, number of blocks, stride of the first
_SETTING = [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1], [6, 160, 3, 2], [6, 320, 1, 1]]


def make_divisible(v: float, divisor: int) -> int:
    """The multiple of `divisor` nearest to v, at least one of them and at least 0.9 v."""
    rounded = max(divisor, int(v + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * v else rounded


class Conv2dNormActivation(nn.Sequential):
    """A convolution that keeps the size (divided by `stride`), a norm and ReLU6."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        groups: int = 1,
        norm_layer: Norm = nn.BatchNorm2d,
    ) -> None:
        padding = (kernel_size - 1) // 2
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False),
            norm_layer(out_channels),
            nn.ReLU6(inplace=True),
        )
        self.out_channels = out_channels


class InvertedResidual(nn.Module):
    """Widen by `expand_ratio`, filter each channel, narrow; with the input added where shapes agree."""

    def __init__(self, inp: int, oup: int, stride: int, expand_ratio: int, norm_layer: Norm | None = None) -> None:
        super().__init__()
        if stride not in (1, 2):
            raise ValueError(message("InvertedResidual: the stride is 1 or 2", got=stride))
        norm = norm_layer or nn.BatchNorm2d
        wide = round(inp * expand_ratio)
        layers: list[nn.Module] = []
        if expand_ratio != 1:
            layers.append(Conv2dNormActivation(inp, wide, kernel_size=1, norm_layer=norm))
        layers += [
            Conv2dNormActivation(wide, wide, stride=stride, groups=wide, norm_layer=norm),
            nn.Conv2d(wide, oup, 1, 1, 0, bias=False),
            norm(oup),
        ]
        self.conv = nn.Sequential(*layers)
        self.stride = stride
        self.use_res_connect = stride == 1 and inp == oup
        self.out_channels = oup

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


class MobileNetV2(nn.Module):
    """Scores (B, num_classes) of images (B, 3, H, W).

    Args:
        num_classes: how many scores.
        width_mult: a factor for the numbers of channels.
        inverted_residual_setting: (widening, channels, blocks, stride) of each group of blocks.
        round_nearest: numbers of channels are multiples of it.
        block: the kind of block; `InvertedResidual` if None.
        norm_layer: makes a norm of so many channels; `nn.BatchNorm2d` if None.
        dropout: the probability, before the last layer.

    Raises:
        ValueError: a setting that is not four numbers for each group.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        width_mult: float = 1.0,
        inverted_residual_setting: Sequence[Sequence[int]] | None = None,
        round_nearest: int = 8,
        block: Callable[..., nn.Module] | None = None,
        norm_layer: Norm | None = None,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        block, norm = block or InvertedResidual, norm_layer or nn.BatchNorm2d
        setting = _SETTING if inverted_residual_setting is None else inverted_residual_setting
        if len(setting) == 0 or len(setting[0]) != 4:
            expected = "(widening, channels, blocks, stride) for each group"
            raise ValueError(message("MobileNetV2: no such inverted_residual_setting", got=setting, expected=expected))
        channels = make_divisible(32 * width_mult, round_nearest)
        self.last_channel = make_divisible(1280 * max(1.0, width_mult), round_nearest)
        features: list[nn.Module] = [Conv2dNormActivation(3, channels, stride=2, norm_layer=norm)]
        for widening, width, count, stride in setting:
            out = make_divisible(width * width_mult, round_nearest)
            for i in range(count):
                features.append(block(channels, out, stride if i == 0 else 1, expand_ratio=widening, norm_layer=norm))
                channels = out
        features.append(Conv2dNormActivation(channels, self.last_channel, kernel_size=1, norm_layer=norm))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Dropout(p=dropout), nn.Linear(self.last_channel, num_classes))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, (nn.BatchNorm2d, nn.GroupNorm)):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)  # (B, 1280, H/32, W/32)
        return self.classifier(nn.functional.adaptive_avg_pool2d(x, (1, 1)).flatten(1))


MobileNet_V2_Weights = weights_enum(
    "MobileNet_V2_Weights",
    "IMAGENET1K_V2",
    IMAGENET1K_V1=Published("mobilenet_v2-b0353104.pth"),
    IMAGENET1K_V2=Published("mobilenet_v2-7ebf99e0.pth", resize=232),
)


def mobilenet_v2(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> MobileNetV2:
    """MobileNetV2: 3.5 million parameters.

    Args:
        weights: None, the path of a file, or a name of published weights (see `models.weights`).
        progress: accepted for compatibility.
        kwargs: for `MobileNetV2`.
    """
    return build(MobileNetV2, MobileNet_V2_Weights, weights, kwargs)
