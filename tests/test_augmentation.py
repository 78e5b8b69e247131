"""Transforms that change colours, turn, tilt, resize, blur and erase. Numbers marked so come from torchvision 0.28."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

import tapegrad as torch
from tapegrad.vision import transforms
from tapegrad.vision import transforms as T
from tapegrad.vision.transforms import InterpolationMode
from tapegrad.vision.transforms import functional as F

NEAREST, BILINEAR, BICUBIC = InterpolationMode.NEAREST, InterpolationMode.BILINEAR, InterpolationMode.BICUBIC


@pytest.fixture
def picture():
    """A random RGB image, 14 x 12."""
    pillow = pytest.importorskip("PIL.Image")
    return pillow.fromarray(np.random.default_rng(1).integers(0, 256, (12, 14, 3), dtype=np.uint8))


def grey_levels():
    """An image (3, 12, 14) of values 0, 0.01, ..., 1."""
    return (torch.arange(3 * 12 * 14).view(3, 12, 14) * 37 % 101).float() / 100


# a transform, the sizes that come out, the weighted means of four images in a row, the next draw: torchvision's
GOLDEN = [
    ("T.RandomResizedCrop(8)", [(8, 8)], [1.4916, 1.5058, 1.4767, 1.4943], 0.8047),
    (
        "T.RandomResizedCrop((5, 9), scale=(0.9, 1.0), ratio=(5, 6), antialias=False)",
        [(5, 9)],
        [1.5167, 1.5167, 1.5167, 1.5167],
        0.5847,
    ),
    ("T.RandomResizedCrop(9, ratio=(0.1, 0.2), scale=(0.9, 1.0))", [(9, 9)], [1.4894, 1.4894, 1.4894, 1.4894], 0.5847),
    ("T.RandomRotation(30)", [(12, 14)], [1.434, 1.2797, 1.2742, 1.3821], 0.5138),
    (
        "T.RandomRotation((20, 70), interpolation=BILINEAR, expand=True, fill=2)",
        [(18, 18), (18, 20), (20, 20)],
        [4.1167, 3.6348, 3.6273, 3.8634],
        0.5138,
    ),
    ("T.RandomRotation(90, center=(2, 3))", [(12, 14)], [1.2848, 0.6607, 0.4804, 0.8596], 0.5138),
    ("T.RandomAffine(20)", [(12, 14)], [1.4962, 1.3799, 1.3252, 1.4348], 0.5138),
    (
        "T.RandomAffine(10, (0.1, 0.3), (0.5, 1.5), 20, BILINEAR, 0.5)",
        [(12, 14)],
        [1.445, 1.4772, 1.4621, 1.4732],
        0.1713,
    ),
    ("T.RandomAffine((5, 9), shear=(1, 2, 30, 40), center=(1, 2))", [(12, 14)], [0.859, 0.911, 0.9338, 0.8918], 0.2),
    ("T.RandomPerspective(0.6, 0.8)", [(12, 14)], [0.6796, 0.9846, 0.6816, 0.5868], 0.4462),
    (
        "T.RandomPerspective(0.3, 0.5, InterpolationMode.NEAREST, fill=0.3)",
        [(12, 14)],
        [1.4962, 1.4962, 1.4962, 1.4401],
        0.2,
    ),
    ("T.ColorJitter(0.4, 0.3, 0.2, 0.1)", [(12, 14)], [1.3567, 1.699, 1.1236, 1.8223], 0.6386),
    ("T.ColorJitter(brightness=(0.5, 0.6), hue=0.5)", [(12, 14)], [0.8181, 0.7762, 0.761, 0.8212], 0.1713),
    ("T.GaussianBlur(3)", [(12, 14)], [1.5004, 1.5007, 1.5007, 1.4989], 0.5138),
    ("T.GaussianBlur((5, 3), (0.5, 4.0))", [(12, 14)], [1.4994, 1.4993, 1.4993, 1.4996], 0.5138),
    ("T.RandomErasing()", [(12, 14)], [1.4962, 1.4962, 1.4962, 1.2011], 0.5785),
    (
        "T.RandomErasing(1.0, (0.1, 0.2), (0.5, 2), (0.1, 0.2, 0.3))",
        [(12, 14)],
        [1.232, 1.2981, 1.3518, 1.2956],
        0.1713,
    ),
    ('T.RandomErasing(0.7, value="random")', [(12, 14)], [1.4151, 1.1618, 1.4962, 1.2365], 0.9524),
    ("T.RandomInvert()", [(12, 14)], [1.4962, 1.4962, 1.4962, 1.5038], 0.5138),
    ("T.RandomSolarize(0.4)", [(12, 14)], [1.4962, 1.4962, 1.4962, 0.775], 0.5138),
    ("T.RandomAdjustSharpness(2.5)", [(12, 14)], [1.4962, 1.4962, 1.4962, 1.4971], 0.5138),
    ("T.RandomAutocontrast()", [(12, 14)], [1.4962, 1.4962, 1.4962, 1.4962], 0.5138),
    ("T.RandomGrayscale(0.4)", [(12, 14)], [1.4962, 1.4962, 1.4962, 1.4965], 0.5138),
    ("T.RandomVerticalFlip(0.3)", [(12, 14)], [1.4962, 1.4962, 1.4962, 1.4962], 0.5138),
    ('T.RandomCrop((9, 13), padding=3, padding_mode="symmetric")', [(9, 13)], [1.4854, 1.4569, 1.5218, 1.505], 0.5785),
    ("T.RandomApply([T.ColorJitter(0.4), T.RandomCrop(9)], 0.6)", [(9, 9)], [1.5004, 1.7006, 1.4531, 0.9852], 0.6386),
    ("T.FiveCrop(4)", [(4, 4)], [1.4732, 1.4732, 1.4732, 1.4732], 0.5979),
    ("T.TenCrop((5, 6), vertical_flip=True)", [(5, 6)], [1.5007, 1.5007, 1.5007, 1.5007], 0.5979),
]


@pytest.mark.parametrize("source, sizes, means, after", GOLDEN, ids=[case[0] for case in GOLDEN])
def test_draws_and_results_are_those_of_torchvision(source, sizes, means, after):
    transform = eval(source, {"T": transforms, "InterpolationMode": InterpolationMode, "BILINEAR": BILINEAR})
    torch.manual_seed(8)
    random.seed(8)
    found = []
    for mean in means:
        out = transform(grey_levels())
        array = (torch.stack(list(out)) if isinstance(out, tuple) else out).numpy()
        assert array.shape[-2:] in sizes
        weights = np.arange(array.size).reshape(array.shape) % 7
        found.append((array.astype(np.float64) * weights).mean())
        assert found[-1] == pytest.approx(mean, abs=2e-4)
    assert torch.rand(1).item() == pytest.approx(after, abs=1e-4)


# ---- the same for images and tensors -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda x: F.rotate(x, 90),
        lambda x: F.rotate(x, -33.3),
        lambda x: F.rotate(x, 45, fill=[1, 2, 3]),
        lambda x: F.rotate(x, 180, center=(3, 4)),
        lambda x: F.affine(x, 25, (2, -3), 1.3, (10, 5)),
        lambda x: F.affine(x, 0, (4, 0), 1, 0, fill=9),
        lambda x: F.affine(x, 10, (0, 0), 0.5, [7.0], center=(1, 2)),
        lambda x: F.perspective(x, [[0, 0], [13, 0], [13, 11], [0, 11]], [[2, 1], [11, 0], [13, 9], [1, 10]], NEAREST),
        lambda x: F.invert(x),
        lambda x: F.posterize(x, 2),
        lambda x: F.solarize(x, 100),
        lambda x: F.equalize(x),
        lambda x: torch.stack([as_tensor(part) for part in F.five_crop(x, (5, 6))]),
        lambda x: torch.stack([as_tensor(part) for part in F.ten_crop(x, 7)]),
    ],
)
def test_images_and_tensors_give_the_same(picture, change):
    ours, theirs = as_tensor(change(as_tensor(picture))), as_tensor(change(picture))
    assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
    assert (ours != theirs).float().mean().item() < 0.05  # a pixel on the border between two may go either way


@pytest.mark.parametrize(
    "change, most",
    [
        (lambda x: F.rotate(x, 20, BILINEAR), 2),
        (lambda x: F.adjust_brightness(x, 1.4), 1),
        (lambda x: F.adjust_contrast(x, 0.6), 2),
        (lambda x: F.adjust_saturation(x, 1.7), 2),
        (lambda x: F.adjust_gamma(x, 2.2), 1),
        (lambda x: F.adjust_hue(x, 0.2), 9),
        (lambda x: F.autocontrast(x), 1),
        (lambda x: F.adjust_sharpness(x, 0.5), 2),
        (lambda x: F.gaussian_blur(x, 5, 1.5), 0),
    ],
)
def test_images_and_tensors_agree_up_to_rounding(picture, change, most):
    ours, theirs = as_tensor(change(as_tensor(picture))).numpy(), as_tensor(change(picture)).numpy()
    inner = (slice(None), slice(3, -3), slice(3, -3))
    assert np.abs(ours[inner].astype(int) - theirs[inner].astype(int)).max() <= most


def as_tensor(x):
    return x if isinstance(x, torch.Tensor) else F.pil_to_tensor(x)


def test_colours_of_floating_point_tensors():
    x = torch.rand(2, 3, 6, 7)
    assert torch.equal(F.adjust_brightness(x, 1.0), x) and torch.equal(F.adjust_contrast(x, 1.0), x)
    assert F.adjust_brightness(x, 0.0).sum() == 0
    grey = F.rgb_to_grayscale(x, 3)
    assert torch.allclose(F.adjust_saturation(x, 0.0), grey, atol=1e-6)
    even = F.adjust_contrast(x, 0.0)
    assert torch.allclose(even, grey.mean((-3, -2, -1), keepdim=True).expand(2, 3, 6, 7), atol=1e-6)
    assert torch.allclose(F.adjust_hue(x, 0.0), x, atol=1e-5)
    assert torch.allclose(F.adjust_hue(F.adjust_hue(x, 0.3), -0.3), x, atol=1e-5)
    third = F.adjust_hue(x, 1 / 3)  # red becomes green, green blue, blue red
    assert torch.allclose(third, x.roll(1, -3), atol=1e-5)
    assert torch.allclose(F.adjust_gamma(x, 2.0), x * x)
    one = torch.rand(1, 4, 4)
    assert F.adjust_hue(one, 0.4) is one and F.adjust_saturation(one, 3.0) is one
    assert torch.equal(F.invert(x), 1 - x) and torch.equal(F.solarize(x, 0.5), torch.where(x >= 0.5, 1 - x, x))
    stretched = F.autocontrast(x)
    assert torch.equal(stretched.amin((-2, -1)), torch.zeros(2, 3)) and stretched.max() <= 1
    assert torch.equal(F.autocontrast(torch.full((3, 2, 2), 0.4)), torch.full((3, 2, 2), 0.4))
    assert torch.equal(
        F.equalize(torch.full((1, 4, 4), 7, dtype=torch.uint8)), torch.full((1, 4, 4), 7, dtype=torch.uint8)
    )


def test_sharpness_and_blur():
    x = torch.rand(3, 6, 7)
    assert torch.allclose(F.adjust_sharpness(x, 1.0), x)
    soft = F.adjust_sharpness(x, 0.0)
    assert torch.equal(soft[:, 0], x[:, 0]) and torch.equal(soft[..., -1], x[..., -1])
    around = x[:, 1:4, 2:5].sum((-2, -1)) + 4 * x[:, 2, 3]
    assert torch.allclose(soft[:, 2, 3], around / 13, atol=1e-6)
    small = torch.rand(3, 2, 9)
    assert F.adjust_sharpness(small, 5.0) is small
    even = torch.full((1, 5, 5), 0.25)
    assert torch.allclose(F.gaussian_blur(even, 3), even) and torch.allclose(F.gaussian_blur(even, (5, 1), 3.0), even)
    point = torch.zeros(1, 13, 13)
    point[0, 6, 6] = 1
    bell = F.gaussian_blur(point, 7, [2.0, 1.0])[0].numpy()[3:10, 3:10]
    assert bell.sum() == pytest.approx(1, abs=1e-6)
    assert bell[3, 4] / bell[3, 3] == pytest.approx(math.exp(-1 / 8), abs=1e-5)
    assert bell[4, 3] / bell[3, 3] == pytest.approx(math.exp(-1 / 2), abs=1e-5)


def test_whole_turns_and_moves_are_exact():
    x = torch.arange(24).view(2, 3, 4).float()
    assert torch.equal(F.rotate(x, 180), x.flip(-1).flip(-2)) and torch.equal(F.rotate(x, 0), x)
    square = torch.rand(2, 4, 4)
    assert torch.equal(F.rotate(square, 90, expand=True), square.transpose(-1, -2).flip(-2))
    assert torch.equal(F.affine(x, 0, (1, 0), 1, 0)[..., 1:], x[..., :-1])
    assert torch.equal(F.affine(x, 0, (0, 0), 1, 0, BILINEAR, fill=[5.0, 6.0]), x)
    assert tuple(F.rotate(x, 45, expand=True).shape) == (2, 5, 6)  # torchvision's
    assert tuple(F.rotate(x[0], 30).shape) == (3, 4) and tuple(F.rotate(x.expand(5, 2, 3, 4), 30).shape) == (5, 2, 3, 4)
    square = [[0, 0], [3, 0], [3, 2], [0, 2]]
    assert torch.allclose(F.perspective(x, square, square), x, atol=1e-4)


def test_erase():
    x = torch.rand(3, 5, 6)
    before = x.clone()
    out = F.erase(x, 1, 2, 3, 2, torch.tensor([[[1.0]], [[2.0]], [[3.0]]]))
    assert torch.equal(x, before) and out[:, 1:4, 2:4].amax((-2, -1)).tolist() == [1, 2, 3]
    assert F.erase(x, 0, 0, 1, 1, torch.tensor(9.0), inplace=True) is x and x[0, 0, 0] == 9
    never = T.RandomErasing(1.0, scale=(0.99, 1.0), ratio=(1, 1))(before)
    assert torch.equal(never, before)


def test_gradients_pass_through():
    for change in (
        lambda x: F.rotate(x, 30, BILINEAR),
        lambda x: F.affine(x, 10, (1, 1), 1.1, 3, fill=1.0),
        lambda x: F.gaussian_blur(x, 3),
        lambda x: F.adjust_contrast(x, 0.7),
        lambda x: F.adjust_hue(x, 0.1),
        lambda x: F.autocontrast(x),
    ):
        x = (torch.rand(3, 5, 5) * 0.9).requires_grad_()
        change(x).sum().backward()
        assert tuple(x.grad.shape) == (3, 5, 5) and float(x.grad.abs().sum()) > 0


def test_linear_transformation():
    x = torch.rand(4, 1, 2, 3)
    matrix, mean = torch.rand(6, 6), torch.rand(6)
    out = T.LinearTransformation(matrix, mean)(x)
    assert torch.allclose(out.view(4, 6), (x.view(4, 6) - mean) @ matrix)
    with pytest.raises(ValueError, match="shapes do not fit"):
        T.LinearTransformation(matrix, mean[:3])
    with pytest.raises(ValueError, match="another number of values"):
        T.LinearTransformation(matrix, mean)(torch.rand(1, 2, 2))


# ---- modes of Pillow images ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["L", "RGBA", "1"])
def test_colours_of_other_modes(picture, mode):
    other = picture.convert(mode)
    for change in (lambda x: F.adjust_hue(x, 0.3), lambda x: F.adjust_gamma(x, 0.5)):
        assert change(other).mode == mode
    if mode != "1":
        assert F.rotate(other, 10, expand=True).mode == mode and F.affine(other, 1, (0, 0), 1, 0, fill=3).mode == mode


# ---- what is refused -----------------------------------------------------------------------------------------

X = torch.zeros(3, 6, 6)
BYTES = torch.zeros(3, 6, 6, dtype=torch.uint8)


@pytest.mark.parametrize(
    "attempt, kind, text",
    [
        (lambda: F.rotate(X, "1"), TypeError, "angle must be a number"),
        (lambda: F.rotate(X, 1, center=3), TypeError, "center must be"),
        (
            lambda: F.rotate(X, 1, BICUBIC),
            ValueError,
            "cannot be used here\n  got: BICUBIC\n  expected: NEAREST, BILINEAR",
        ),
        (lambda: F.rotate(X, 1, fill=[1.0, 2.0]), ValueError, "expected: 3 values"),
        (lambda: F.affine(X, "1", (0, 0), 1, 0), TypeError, "angle must be"),
        (lambda: F.affine(X, 1, 0, 1, 0), TypeError, "translate must be two numbers"),
        (lambda: F.affine(X, 1, (0, 0, 0), 1, 0), ValueError, "translate must be two numbers"),
        (lambda: F.affine(X, 1, (0, 0), 0, 0), ValueError, "scale must be positive"),
        (lambda: F.affine(X, 1, (0, 0), 1, "1"), TypeError, "shear must be"),
        (lambda: F.affine(X, 1, (0, 0), 1, (1, 2, 3)), ValueError, "shear must be"),
        (lambda: F.perspective(X, [[0, 0]], [[0, 0]]), ValueError, "got: 1 and 1"),
        (lambda: F.adjust_brightness(X, -1), ValueError, "factor is negative"),
        (lambda: F.adjust_contrast(torch.zeros(2, 3, 3), 1), TypeError, "got: 2 channels"),
        (lambda: F.adjust_hue(X, 0.6), ValueError, "expected: -0.5 to 0.5"),
        (lambda: F.adjust_gamma(X, -1), ValueError, "gamma is negative"),
        (lambda: F.adjust_sharpness(X, -1), ValueError, "factor is negative"),
        (lambda: F.adjust_sharpness(torch.zeros(2, 3, 3), 1), TypeError, "got: 2 channels"),
        (lambda: F.posterize(X, 3), TypeError, "only uint8"),
        (lambda: F.posterize(BYTES, 9), ValueError, "expected: 0 to 8"),
        (lambda: F.solarize(X, 2), TypeError, "above white"),
        (lambda: F.equalize(X), TypeError, "only uint8"),
        (lambda: F.gaussian_blur(X, 4), ValueError, "odd and positive"),
        (lambda: F.gaussian_blur(X, 3, -1), ValueError, "sigma must be positive"),
        (lambda: F.gaussian_blur(X, (1, 3, 5)), ValueError, "one number, or one for each"),
        (lambda: F.erase(np.zeros(3), 0, 0, 1, 1, X), TypeError, "no tensor"),
        (lambda: F.five_crop(X, 7), ValueError, "expected: at least"),
        (lambda: F.five_crop(X, (1, 2, 3)), ValueError, "one number or two"),
        (lambda: T.RandomResizedCrop(3, scale=1), TypeError, "scale must be two"),
        (lambda: T.RandomRotation(-1), ValueError, "must not be negative"),
        (lambda: T.RandomRotation("1"), TypeError, "a number or limits"),
        (lambda: T.RandomRotation((1, 2, 3)), ValueError, "another number of limits"),
        (lambda: T.RandomAffine(1, translate=(2, 0)), ValueError, "from 0 to 1"),
        (lambda: T.RandomAffine(1, scale=(0, 1)), ValueError, "two positive"),
        (lambda: T.RandomAffine(1, center=(1, 2, 3)), ValueError, "center must be"),
        (lambda: T.RandomErasing(value={}), TypeError, "value must be"),
        (lambda: T.RandomErasing(value="noise"), ValueError, "only text"),
        (lambda: T.RandomErasing(p=2), ValueError, "probability"),
        (lambda: T.RandomErasing(scale=(0, 2)), ValueError, "between 0 and 1"),
        (lambda: T.RandomErasing(ratio=2), TypeError, "ratio must be two"),
        (lambda: T.RandomErasing(1.0, value=[1, 2])(X), ValueError, "expected: 1 or 3"),
        (lambda: T.ColorJitter(-1), ValueError, "brightness is negative"),
        (lambda: T.ColorJitter("1"), TypeError, "a number or two"),
        (lambda: T.ColorJitter(hue=0.7), ValueError, "hue is out of range"),
        (lambda: T.ColorJitter(contrast=(2, 1)), ValueError, "contrast is out of range"),
        (lambda: T.GaussianBlur(2), ValueError, "odd and positive"),
        (lambda: T.GaussianBlur(3, "1"), TypeError, "sigma must be"),
        (lambda: T.GaussianBlur(3, (2, 1)), ValueError, "in order"),
    ],
)
def test_errors_say_what_is_wrong(attempt, kind, text):
    with pytest.raises(kind, match=text):
        attempt()


def test_limits_in_the_wrong_order_warn():
    for attempt in (lambda: T.RandomResizedCrop(3, scale=(1, 0.5)), lambda: T.RandomErasing(ratio=(2, 1))):
        with pytest.warns(UserWarning, match=r"should be \(low, high\)"):
            attempt()


@pytest.mark.parametrize(
    "transform, text",
    [
        (
            T.RandomResizedCrop(8),
            "RandomResizedCrop(size=(8, 8), scale=(0.08, 1.0), ratio=(0.75, 1.3333), interpolation=bilinear, "
            "antialias=True)",
        ),
        (T.RandomRotation(10), "RandomRotation(degrees=[-10.0, 10.0], interpolation=nearest, expand=False, fill=0)"),
        (
            T.RandomAffine(0, (0.1, 0.2), (0.5, 2), (1, 2, 3, 4), BILINEAR, 2, (1, 2)),
            "RandomAffine(degrees=[0.0, 0.0], translate=(0.1, 0.2), scale=(0.5, 2), shear=[1.0, 2.0, 3.0, 4.0], "
            "interpolation=bilinear, fill=2, center=(1, 2))",
        ),
        (T.RandomPerspective(), "RandomPerspective(p=0.5)"),
        (
            T.ColorJitter(0.1, (0.3, 0.5), 0, 0.1),
            "ColorJitter(brightness=(0.9, 1.1), contrast=(0.3, 0.5), saturation=None, hue=(-0.1, 0.1))",
        ),
        (T.GaussianBlur(3), "GaussianBlur(kernel_size=(3, 3), sigma=(0.1, 2.0))"),
        (T.RandomErasing(), "RandomErasing(p=0.5, scale=(0.02, 0.33), ratio=(0.3, 3.3), value=0, inplace=False)"),
        (T.RandomPosterize(3), "RandomPosterize(bits=3,p=0.5)"),
        (T.RandomSolarize(100), "RandomSolarize(threshold=100,p=0.5)"),
        (T.RandomAdjustSharpness(2), "RandomAdjustSharpness(sharpness_factor=2,p=0.5)"),
        (T.RandomEqualize(), "RandomEqualize(p=0.5)"),
        (T.FiveCrop(3), "FiveCrop(size=(3, 3))"),
        (T.TenCrop((3, 4), True), "TenCrop(size=(3, 4), vertical_flip=True)"),
        (
            T.LinearTransformation(torch.eye(1), torch.zeros(1)),
            "LinearTransformation(transformation_matrix=[[1.0]], mean_vector=[0.0])",
        ),
    ],
)
def test_reprs_are_those_of_torchvision(transform, text):
    assert repr(transform) == text
