"""Networks for images: names, shapes, initial weights and results are torchvision's (0.28), and weights are found."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

import tapegrad as torch
from tapegrad import nn
from tapegrad.vision import models
from tapegrad.vision.models import VisionTransformer, ViT_B_16_Weights, mobilenet_v2, resnet18
from tapegrad.vision.models.densenet import DenseNet, _renamed
from tapegrad.vision.models.resnet import BasicBlock, Bottleneck, ResNet

# parameters; the MD5 sum of the names and shapes in the state: torchvision's
STATES = {
    "alexnet": (61100840, "8125cb4ec1dfc19fd260e469d3061f59"),
    "densenet121": (7978856, "8100b717a7880d4aab3f9af89591e1f3"),
    "mobilenet_v2": (3504872, "a5a62992836736155149036361c853fc"),
    "resnet18": (11689512, "0100bed049393951b79a305f972da90b"),
    "resnet34": (21797672, "28e6cb476b1b80b7ff3439e43b6b59ce"),
    "resnet50": (25557032, "757473a7043f806ec9b00771f9532cff"),
    "resnet101": (44549160, "c38c02b97bb1410a28a7548117626106"),
    "resnet152": (60192808, "f29af8e6f6a03ebc7287d6affa414e59"),
    "vgg11": (132863336, "3fffa8975b2a81cf9b5e4e1893ebc5d2"),
    "vgg11_bn": (132868840, "6559d25d0f6e32a10775544b989f5a84"),
    "vgg13": (133047848, "4055b4e1da2c411532ab183a552fc24b"),
    "vgg13_bn": (133053736, "d1bc6aea47ad31ada6e2cec19e4dddce"),
    "vgg16": (138357544, "177ae5be33c5b4aee83a250eb99e04c7"),
    "vgg16_bn": (138365992, "e1eced8022e13e67f60f8a66ce814904"),
    "vgg19": (143667240, "d8798e638317dfd4f27e1adc211c275a"),
    "vgg19_bn": (143678248, "be9d58ac1695d5503cc94b414d1661e6"),
    "vit_b_16": (86567656, "52b33bcf811a871681dc10bb19ce7952"),
}


@pytest.fixture
def unset(monkeypatch):
    """Layers without initial weights: large models are made in no time."""
    for layer in (nn.Linear, nn.Conv2d, nn.BatchNorm2d, nn.LayerNorm, nn.MultiheadAttention):
        monkeypatch.setattr(layer, "reset_parameters", lambda self: None, raising=False)
    monkeypatch.setattr(nn.MultiheadAttention, "_reset_parameters", lambda self: None, raising=False)
    for name in ("kaiming_normal_", "normal_", "constant_", "xavier_uniform_", "trunc_normal_", "zeros_", "ones_"):
        monkeypatch.setattr(nn.init, name, lambda tensor, *args, **kwargs: tensor)


@pytest.mark.parametrize("name", list(STATES))
def test_names_and_shapes(unset, name):
    model = models.get_model(name)
    state = ";".join(f"{key} {tuple(value.shape)}" for key, value in model.state_dict().items())
    count = sum(p.numel() for p in model.parameters())
    assert (count, hashlib.md5(state.encode()).hexdigest()) == STATES[name]
    assert name in models.list_models()


# a model; the sum of its absolute weights after manual_seed(0) and the next draw; scores of the first image in training
# mode, the sum of absolute gradients of their squares; scores of the second image in evaluation mode: torchvision's
RUNS = [
    (
        "ResNet(BasicBlock, [1, 1, 1, 1], num_classes=4)",
        106052,
        0.2811,
        [-0.40858, -0.3759, -0.11374, 0.37673],
        98166,
        [-0.01577, -0.023671, -0.023551, 0.10865],
    ),
    (
        "ResNet(Bottleneck, [1, 1, 1, 1], 4, True, 2, 4, [False, True, True])",
        111094,
        0.5696,
        [-0.052661, 0.066885, 0.10954, -0.011537],
        9636,
        [-0.030389, 0.008895, -0.0094451, 0.00080241],
    ),
    (
        "mobilenet_v2(num_classes=4, width_mult=0.35)",
        45429,
        0.7020,
        [0.16513, -0.21217, -0.29211, 0.17471],
        18197,
        [-0.0069134, -0.0057814, 0.0063164, 0.01077],
    ),
    (
        "DenseNet(8, (2, 3), 16, num_classes=4)",
        2675.94,
        0.5811,
        [0.14698, -0.1996, 0.0753, 0.03136],
        395.43,
        [0.078516, 0.35876, 0.35189, 0.037281],
    ),
    (
        "VisionTransformer(48, 16, 2, 4, 24, 48, num_classes=4, representation_size=10)",
        1904.42,
        0.2484,
        [-0.2268, 0.46465, 1.1561, 1.8476],
        6.3524e05,
        [-0.25455, 0.35617, 0.9669, 1.5776],
    ),
]


@pytest.mark.parametrize("source, weights, after, scores, gradients, evaluated", RUNS, ids=[run[0] for run in RUNS])
def test_initial_weights_scores_and_gradients(source, weights, after, scores, gradients, evaluated):
    torch.manual_seed(0)
    model = eval(source, globals())
    total = sum(float(np.abs(p.numpy().astype(np.float64)).sum()) for p in model.state_dict().values())
    assert total == pytest.approx(weights, rel=1e-5) and torch.rand(1).item() == pytest.approx(after, abs=1e-4)
    if isinstance(model, VisionTransformer):  # its last layer begins with zeros
        with torch.no_grad():
            model.heads.head.weight += 0.1 * torch.arange(40).view(4, 10)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    x = torch.linspace(-1, 1, 4 * 3 * 48 * 48).mul(40).sin().reshape(4, 3, 48, 48)
    out = model(x)
    assert out[0].tolist() == pytest.approx(scores, rel=1e-3, abs=1e-4)
    out.square().sum().backward()
    total = sum(float(np.abs(p.grad.numpy().astype(np.float64)).sum()) for p in model.parameters())
    assert total == pytest.approx(gradients, rel=2e-2)
    model.eval()
    with torch.no_grad():
        assert model(x)[1].tolist() == pytest.approx(evaluated, rel=2e-2, abs=5e-4)


def test_forward_of_the_large_ones(unset):
    """Shapes only, with a small last part."""
    for name, size, numbers in (("alexnet", 64, 9216), ("vgg11_bn", 32, 25088)):
        model = models.get_model(name)
        model.classifier = nn.Linear(numbers, 5)
        with torch.no_grad():
            for p in model.parameters():
                p.zero_()
            assert tuple(model.eval()(torch.zeros(1, 3, size, size)).shape) == (1, 5)


# ---- weights -------------------------------------------------------------------------------------------------


def test_weights_from_a_file(tmp_path):
    first = mobilenet_v2(num_classes=3, width_mult=0.25)
    path = tmp_path / "w.pth"
    torch.save(first.state_dict(), path)
    for weights in (path, str(path)):
        second = mobilenet_v2(weights=weights, num_classes=3, width_mult=0.25)
        assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values()))
    with pytest.raises(RuntimeError, match=r"classifier\.1\.weight"):
        mobilenet_v2(weights=path, width_mult=0.25)


def test_published_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    for weights in ("DEFAULT", "IMAGENET1K_V2", models.MobileNet_V2_Weights.DEFAULT):
        with pytest.raises(RuntimeError) as caught:
            mobilenet_v2(weights=weights)
        text = str(caught.value)
        assert text.startswith("MobileNet_V2_Weights.IMAGENET1K_V2: the file of these weights is not here")
        assert str(folder / "mobilenet_v2-7ebf99e0.pth") in text
        assert "fix: get https://download.pytorch.org/models/mobilenet_v2-7ebf99e0.pth and put it there" in text
    with pytest.raises(RuntimeError, match="not here"):
        mobilenet_v2(pretrained=True)
    folder.mkdir(parents=True)
    model = mobilenet_v2(num_classes=3, width_mult=0.25)
    torch.save(model.state_dict(), folder / "mobilenet_v2-7ebf99e0.pth")
    again = mobilenet_v2(weights="DEFAULT", num_classes=3, width_mult=0.25)
    assert torch.equal(again.classifier[1].weight, model.classifier[1].weight)


def test_weights_that_there_are_not():
    with pytest.raises(
        ValueError, match=r"no such weights\n  got: 'nowhere.pth'\n  expected: the path of a file, or IMAGENET"
    ):
        resnet18(weights="nowhere.pth")
    with pytest.raises(ValueError, match=r"of another model\n  got: ViT_B_16_Weights.IMAGENET1K_V1"):
        resnet18(weights=ViT_B_16_Weights.DEFAULT)
    with pytest.raises(ValueError, match="no such model\n  got: 'resnet19'"):
        models.get_model("resnet19")


def test_what_published_weights_say():
    weights = models.ResNet50_Weights.DEFAULT
    assert weights is models.ResNet50_Weights.IMAGENET1K_V2 and str(weights) == "ResNet50_Weights.IMAGENET1K_V2"
    assert weights.url == "https://download.pytorch.org/models/resnet50-11ad3fa6.pth"
    transform = weights.transforms()
    assert repr(transform) == (
        "ImageClassification(\n    crop_size=[224]\n    resize_size=[232]\n    mean=(0.485, 0.456, 0.406)\n"
        "    std=(0.229, 0.224, 0.225)\n    interpolation=InterpolationMode.BILINEAR\n)"
    )
    grey = transform(torch.full((3, 240, 300), 128, dtype=torch.uint8))
    assert tuple(grey.shape) == (3, 224, 224)
    expected = (128 / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    assert np.allclose(grey[:, 5, 5].numpy(), expected, atol=1e-6)
    pillow = pytest.importorskip("PIL.Image")
    assert torch.equal(transform(pillow.new("RGB", (300, 240), (128, 128, 128))), grey)


def test_old_names_in_published_files():
    """DenseNet's "norm.1", the transformer's "linear_1"."""
    densenet = DenseNet(4, (2, 2), 8, num_classes=2)
    state = densenet.state_dict()
    old = {
        name.replace("norm1", "norm.1")
        .replace("norm2", "norm.2")
        .replace("conv1", "conv.1")
        .replace("conv2", "conv.2"): v
        for name, v in state.items()
    }
    assert set(_renamed(old)) == set(state) and any("norm.1" in name for name in old)
    from tapegrad.vision.models.vit import _renamed as renamed

    names = ["encoder.layers.encoder_layer_0.mlp.linear_1.weight", "encoder.layers.encoder_layer_0.mlp.linear_2.bias"]
    assert list(renamed(dict.fromkeys(names))) == [
        "encoder.layers.encoder_layer_0.mlp.0.weight",
        "encoder.layers.encoder_layer_0.mlp.3.bias",
    ]


@pytest.mark.parametrize(
    "attempt, kind, text",
    [
        (lambda: BasicBlock(4, 4, groups=2), ValueError, "groups=2"),
        (lambda: ResNet(Bottleneck, [1] * 4, replace_stride_with_dilation=[True]), ValueError, "three layers"),
        (lambda: mobilenet_v2(inverted_residual_setting=[]), ValueError, "four|no such"),
        (lambda: VisionTransformer(10, 4, 1, 1, 4, 4), ValueError, "do not fill the image"),
        (lambda: VisionTransformer(8, 4, 1, 1, 4, 4)(torch.zeros(1, 3, 4, 4)), ValueError, "another size"),
    ],
)
def test_errors_say_what_is_wrong(attempt, kind, text):
    with pytest.raises(kind, match=text):
        attempt()
