"""VGG networks: stacks of 3x3 convolutions, each followed by a pooling, and three linear layers.

Parameter names are torchvision's, and so are initial weights for the same seed.

Reference: K. Simonyan, A. Zisserman, "Very deep convolutional networks for large-scale image recognition",
arXiv:1409.1556.
"""

from __future__ import annotations

from typing import Any

from ... import nn
from ...core.tensor import Tensor
from .weights import Published, build, weights_enum

# channels of the convolutions in the five stacks
_STACKS = {
    11: [[64], [128], [256] * 2, [512] * 2, [512] * 2],
    13: [[64] * 2, [128] * 2, [256] * 2, [512] * 2, [512] * 2],
    16: [[64] * 2, [128] * 2, [256] * 3, [512] * 3, [512] * 3],
    19: [[64] * 2, [128] * 2, [256] * 4, [512] * 4, [512] * 4],
}


class VGG(nn.Module):
    """`features`, pooled to 7x7 places, then three linear layers with dropout.

    Args:
        features: a module from (B, 3, H, W) to (B, 512, H/32, W/32).
        num_classes: how many scores.
        init_weights: set the initial weights as torchvision does; False leaves those of the layers.
        dropout: the probability.
    """

    def __init__(
        self, features: nn.Module, num_classes: int = 1000, init_weights: bool = True, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, num_classes),
        )
        if init_weights:
            self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.constant_(module.bias, 0)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.constant_(module.weight, 1)
                nn.init.constant_(module.bias, 0)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
                nn.init.constant_(module.bias, 0)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def make_features(depth: int, batch_norm: bool) -> nn.Sequential:
    """The convolutions of VGG-11, 13, 16 or 19, with or without norms."""
    layers: list[nn.Module] = []
    before = 3
    for stack in _STACKS[depth]:
        for channels in stack:
            layers.append(nn.Conv2d(before, channels, kernel_size=3, padding=1))
            if batch_norm:
                layers.append(nn.BatchNorm2d(channels))
            layers.append(nn.ReLU(inplace=True))
            before = channels
        layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
    return nn.Sequential(*layers)


def _enum(name: str, code: str) -> Any:
    return weights_enum(f"{name.upper()}_Weights", IMAGENET1K_V1=Published(f"{name}-{code}.pth"))


VGG11_Weights, VGG11_BN_Weights = _enum("vgg11", "8a719046"), _enum("vgg11_bn", "6002323d")
VGG13_Weights, VGG13_BN_Weights = _enum("vgg13", "19584684"), _enum("vgg13_bn", "abd245e5")
VGG16_Weights, VGG16_BN_Weights = _enum("vgg16", "397923af"), _enum("vgg16_bn", "6c64b313")
VGG19_Weights, VGG19_BN_Weights = _enum("vgg19", "dcbb9e9d"), _enum("vgg19_bn", "c79401a0")


def _vgg(depth: int, batch_norm: bool, known: Any, weights: Any, options: dict[str, Any]) -> VGG:
    if weights is not None or options.get("pretrained"):
        options["init_weights"] = False
    return build(lambda **rest: VGG(make_features(depth, batch_norm), **rest), known, weights, options)


def vgg11(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-11: 132.9 million parameters.

    Args:
        weights: None, the path of a file, or a name of published weights (see `models.weights`).
        progress: accepted for compatibility.
        kwargs: for `VGG`.
    """
    return _vgg(11, False, VGG11_Weights, weights, kwargs)


def vgg11_bn(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-11 with norms; arguments as for `vgg11`."""
    return _vgg(11, True, VGG11_BN_Weights, weights, kwargs)


def vgg13(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-13: 133.0 million parameters; arguments as for `vgg11`."""
    return _vgg(13, False, VGG13_Weights, weights, kwargs)


def vgg13_bn(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-13 with norms; arguments as for `vgg11`."""
    return _vgg(13, True, VGG13_BN_Weights, weights, kwargs)


def vgg16(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-16: 138.4 million parameters; arguments as for `vgg11`."""
    return _vgg(16, False, VGG16_Weights, weights, kwargs)


def vgg16_bn(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-16 with norms; arguments as for `vgg11`."""
    return _vgg(16, True, VGG16_BN_Weights, weights, kwargs)


def vgg19(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-19: 143.7 million parameters; arguments as for `vgg11`."""
    return _vgg(19, False, VGG19_Weights, weights, kwargs)


def vgg19_bn(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-19 with norms; arguments as for `vgg11`."""
    return _vgg(19, True, VGG19_BN_Weights, weights, kwargs)
