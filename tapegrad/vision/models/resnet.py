"""Residual networks: each block adds what it computes to its input.

    image (B, 3, H, W) -> 7x7 convolution and pooling, H/4 -> four layers of blocks, H/4, H/8, H/16, H/32
    -> mean over places (B, C) -> scores (B, classes)

Parameter names are torchvision's, and so are initial weights for the same seed.

Reference: K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition", arXiv:1512.03385.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ... import nn
from ...core.tensor import Tensor
from ...errors import message
from .weights import Published, build, weights_enum

Norm = Callable[[int], nn.Module]


def conv3x3(in_planes: int, out_planes: int, stride: int = 1, groups: int = 1, dilation: int = 1) -> nn.Conv2d:
    """A 3x3 convolution that keeps the size, divided by `stride`."""
    return nn.Conv2d(in_planes, out_planes, 3, stride, padding=dilation, groups=groups, bias=False, dilation=dilation)


def conv1x1(in_planes: int, out_planes: int, stride: int = 1) -> nn.Conv2d:
    """A linear map of the channels at each place."""
    return nn.Conv2d(in_planes, out_planes, 1, stride, bias=False)


class BasicBlock(nn.Module):
    """relu(x + norm(conv(relu(norm(conv(x)))))), with x through `downsample` where shapes differ."""

    expansion = 1

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: Norm | None = None,
    ) -> None:
        super().__init__()
        norm = norm_layer or nn.BatchNorm2d
        if groups != 1 or base_width != 64 or dilation > 1:
            got = f"groups={groups}, base_width={base_width}, dilation={dilation}"
            raise ValueError(
                message("BasicBlock has neither groups nor widths nor dilation", got=got, fix="Bottleneck")
            )
        self.conv1 = conv3x3(inplanes, planes, stride)
        self.bn1 = norm(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = norm(planes)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class Bottleneck(nn.Module):
    """As `BasicBlock`, with the 3x3 convolution between two 1x1 ones; four times as many channels go out."""

    expansion = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: Norm | None = None,
    ) -> None:
        super().__init__()
        norm = norm_layer or nn.BatchNorm2d
        width = int(planes * (base_width / 64.0)) * groups
        self.conv1 = conv1x1(inplanes, width)
        self.bn1 = norm(width)
        self.conv2 = conv3x3(width, width, stride, groups, dilation)  # the stride is here: "ResNet v1.5"
        self.bn2 = norm(width)
        self.conv3 = conv1x1(width, planes * self.expansion)
        self.bn3 = norm(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class ResNet(nn.Module):
    """A residual network of four layers of blocks.

    Args:
        block: `BasicBlock` or `Bottleneck`.
        layers: the number of blocks in each layer.
        num_classes: how many scores.
        zero_init_residual: let each block begin as the identity: the last norm's weight is 0.
        groups: of the 3x3 convolutions (`Bottleneck`).
        width_per_group: of the 3x3 convolutions in the first layer, 64 for each group of the others.
        replace_stride_with_dilation: for the last three layers, whether to dilate instead of halving the size.
        norm_layer: makes a norm of so many channels; `nn.BatchNorm2d` if None.

    Raises:
        ValueError: not three of `replace_stride_with_dilation`, or options that `BasicBlock` does not have.

    >>> import tapegrad as torch
    >>> from tapegrad.vision.models.resnet import BasicBlock, ResNet
    >>> ResNet(BasicBlock, [1, 1, 1, 1], num_classes=10)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        layers: Sequence[int],
        num_classes: int = 1000,
        zero_init_residual: bool = False,
        groups: int = 1,
        width_per_group: int = 64,
        replace_stride_with_dilation: Sequence[bool] | None = None,
        norm_layer: Norm | None = None,
    ) -> None:
        super().__init__()
        self._norm_layer = norm_layer or nn.BatchNorm2d
        dilate = replace_stride_with_dilation or (False, False, False)
        if len(dilate) != 3:
            raise ValueError(message("ResNet: replace_stride_with_dilation says it for three layers", got=dilate))
        self.inplanes = 64
        self.dilation = 1
        self.groups = groups
        self.base_width = width_per_group
        self.conv1 = nn.Conv2d(3, self.inplanes, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = self._norm_layer(self.inplanes)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = self._make_layer(block, 64, layers[0])
        self.layer2 = self._make_layer(block, 128, layers[1], stride=2, dilate=dilate[0])
        self.layer3 = self._make_layer(block, 256, layers[2], stride=2, dilate=dilate[1])
        self.layer4 = self._make_layer(block, 512, layers[3], stride=2, dilate=dilate[2])
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512 * block.expansion, num_classes)
        self._initialise(zero_init_residual)

    def _initialise(self, zero_init_residual: bool) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, (nn.BatchNorm2d, nn.GroupNorm)):
                nn.init.constant_(module.weight, 1)
                nn.init.constant_(module.bias, 0)
        if zero_init_residual:
            for module in self.modules():
                if isinstance(module, Bottleneck):
                    nn.init.constant_(module.bn3.weight, 0)
                elif isinstance(module, BasicBlock):
                    nn.init.constant_(module.bn2.weight, 0)

    def _make_layer(self, block: Any, planes: int, blocks: int, stride: int = 1, dilate: bool = False) -> nn.Sequential:
        norm, dilation, out = self._norm_layer, self.dilation, planes * block.expansion
        if dilate:
            self.dilation, stride = self.dilation * stride, 1
        downsample = None
        if stride != 1 or self.inplanes != out:
            downsample = nn.Sequential(conv1x1(self.inplanes, out, stride), norm(out))
        shape = (self.groups, self.base_width)
        made = [block(self.inplanes, planes, stride, downsample, *shape, dilation, norm)]
        self.inplanes = out
        made += [block(out, planes, 1, None, *shape, self.dilation, norm) for _ in range(1, blocks)]
        return nn.Sequential(*made)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))  # (B, 64, H/4, W/4)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))  # (B, C, H/32, W/32)
        return self.fc(self.avgpool(x).flatten(1))


ResNet18_Weights = weights_enum("ResNet18_Weights", IMAGENET1K_V1=Published("resnet18-f37072fd.pth"))
ResNet34_Weights = weights_enum("ResNet34_Weights", IMAGENET1K_V1=Published("resnet34-b627a593.pth"))
ResNet50_Weights = weights_enum(
    "ResNet50_Weights",
    "IMAGENET1K_V2",
    IMAGENET1K_V1=Published("resnet50-0676ba61.pth"),
    IMAGENET1K_V2=Published("resnet50-11ad3fa6.pth", resize=232),
)
ResNet101_Weights = weights_enum(
    "ResNet101_Weights",
    "IMAGENET1K_V2",
    IMAGENET1K_V1=Published("resnet101-63fe2227.pth"),
    IMAGENET1K_V2=Published("resnet101-cd907fc2.pth", resize=232),
)
ResNet152_Weights = weights_enum(
    "ResNet152_Weights",
    "IMAGENET1K_V2",
    IMAGENET1K_V1=Published("resnet152-394f9c45.pth"),
    IMAGENET1K_V2=Published("resnet152-f82ba261.pth", resize=232),
)


def _resnet(block: Any, layers: list[int], known: Any, weights: Any, options: dict[str, Any]) -> ResNet:
    return build(lambda **rest: ResNet(block, layers, **rest), known, weights, options)


def resnet18(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet-18: 11.7 million parameters.

    Args:
        weights: None, the path of a file, or a name of published weights (see `models.weights`).
        progress: accepted for compatibility.
        kwargs: for `ResNet`.
    """
    return _resnet(BasicBlock, [2, 2, 2, 2], ResNet18_Weights, weights, kwargs)


def resnet34(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet-34: 21.8 million parameters; arguments as for `resnet18`."""
    return _resnet(BasicBlock, [3, 4, 6, 3], ResNet34_Weights, weights, kwargs)


def resnet50(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet-50: 25.6 million parameters; arguments as for `resnet18`."""
    return _resnet(Bottleneck, [3, 4, 6, 3], ResNet50_Weights, weights, kwargs)


def resnet101(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet-101: 44.5 million parameters; arguments as for `resnet18`."""
    return _resnet(Bottleneck, [3, 4, 23, 3], ResNet101_Weights, weights, kwargs)


def resnet152(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet-152: 60.2 million parameters; arguments as for `resnet18`."""
    return _resnet(Bottleneck, [3, 8, 36, 3], ResNet152_Weights, weights, kwargs)
