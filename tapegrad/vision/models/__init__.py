"""Networks for images, with torchvision's names of models and parameters.

model = resnet18(num_classes=10)
model = resnet18(weights="resnet18-f37072fd.pth")     a published file
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...errors import message
from .alexnet import AlexNet, AlexNet_Weights, alexnet
from .densenet import DenseNet, DenseNet121_Weights, densenet121
from .mobilenet import MobileNet_V2_Weights, MobileNetV2, mobilenet_v2
from .resnet import (
    ResNet,
    ResNet18_Weights,
    ResNet34_Weights,
    ResNet50_Weights,
    ResNet101_Weights,
    ResNet152_Weights,
    resnet18,
    resnet34,
    resnet50,
    resnet101,
    resnet152,
)
from .vgg import (
    VGG,
    VGG11_BN_Weights,
    VGG11_Weights,
    VGG13_BN_Weights,
    VGG13_Weights,
    VGG16_BN_Weights,
    VGG16_Weights,
    VGG19_BN_Weights,
    VGG19_Weights,
    vgg11,
    vgg11_bn,
    vgg13,
    vgg13_bn,
    vgg16,
    vgg16_bn,
    vgg19,
    vgg19_bn,
)
from .vit import VisionTransformer, ViT_B_16_Weights, vit_b_16

_MODELS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        alexnet, densenet121, mobilenet_v2, resnet18, resnet34, resnet50, resnet101, resnet152, vgg11, vgg11_bn, vgg13,
        vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn, vit_b_16,
    )
}  # fmt: skip


def list_models() -> list[str]:
    """The names of the models.

    >>> list_models()[:3]
    ['alexnet', 'densenet121', 'mobilenet_v2']
    """
    return sorted(_MODELS)


def get_model(name: str, **config: Any) -> Any:
    """The model of a name; `config` is for the function of that name.

    Raises:
        ValueError: there is no such model.
    """
    if name.lower() not in _MODELS:
        raise ValueError(message("there is no such model", got=repr(name), expected=", ".join(list_models())))
    return _MODELS[name.lower()](**config)


__all__ = [
    "VGG",
    "AlexNet",
    "AlexNet_Weights",
    "DenseNet",
    "DenseNet121_Weights",
    "MobileNetV2",
    "MobileNet_V2_Weights",
    "ResNet",
    "ResNet101_Weights",
    "ResNet152_Weights",
    "ResNet18_Weights",
    "ResNet34_Weights",
    "ResNet50_Weights",
    "VGG11_BN_Weights",
    "VGG11_Weights",
    "VGG13_BN_Weights",
    "VGG13_Weights",
    "VGG16_BN_Weights",
    "VGG16_Weights",
    "VGG19_BN_Weights",
    "VGG19_Weights",
    "ViT_B_16_Weights",
    "VisionTransformer",
    "alexnet",
    "densenet121",
    "get_model",
    "list_models",
    "mobilenet_v2",
    "resnet101",
    "resnet152",
    "resnet18",
    "resnet34",
    "resnet50",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
    "vit_b_16",
]
