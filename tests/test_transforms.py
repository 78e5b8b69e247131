"""Transforms of images and their functions. Numbers marked so were computed with torchvision 0.29."""

from __future__ import annotations

import random

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import tapegrad as torch
from tapegrad.vision import transforms
from tapegrad.vision.transforms import InterpolationMode
from tapegrad.vision.transforms import functional as F

MODES = ["1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "F", "I;16", "LA"]


@pytest.fixture
def image():
    """A function that makes random images of a mode, size 7 x 5."""
    pillow = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(1)

    def make(mode="RGB"):
        if mode == "I;16":
            return pillow.fromarray(rng.integers(0, 60000, (5, 7)).astype(np.uint16))
        if mode == "I":
            return pillow.fromarray(rng.integers(-9, 70000, (5, 7)).astype(np.int32))
        if mode == "F":
            return pillow.fromarray(rng.normal(size=(5, 7)).astype(np.float32))
        if mode == "LA":
            return pillow.fromarray(rng.integers(0, 256, (5, 7, 2), dtype=np.uint8))
        return pillow.fromarray(rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)).convert(mode)

    return make


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)


# ---- ToTensor and back ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_to_tensor_of_every_mode(image, mode):
    picture = image(mode)
    tensor, raw = F.to_tensor(picture), F.pil_to_tensor(picture)
    channels = len(picture.getbands())
    assert tuple(tensor.shape) == tuple(raw.shape) == (channels, 5, 7) and F.get_dimensions(picture) == [channels, 5, 7]
    pixels = np.asarray(picture).reshape(5, 7, channels).transpose(2, 0, 1)
    assert np.array_equal(raw.numpy(), pixels) and raw.numpy().dtype == pixels.dtype
    kept = {"I": np.int32, "I;16": np.int16, "F": np.float32}
    if mode in kept:
        assert np.array_equal(tensor.numpy(), pixels.astype(kept[mode])) and tensor.numpy().dtype == kept[mode]
    else:
        eight_bits = pixels * np.uint8(255) if mode == "1" else pixels
        assert np.array_equal(tensor.numpy(), eight_bits.astype(np.float32) / np.float32(255))


def test_to_tensor_of_arrays():
    for shape in ((4, 5), (4, 5, 1), (4, 5, 3)):
        array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        out = F.to_tensor(array)
        channels = array.reshape(4, 5, -1).transpose(2, 0, 1)
        assert out.dtype == torch.float32 and np.array_equal(out.numpy(), channels.astype(np.float32) / np.float32(255))
        assert F.to_tensor(array.astype(np.int16)).dtype == torch.int16
    with pytest.raises(ValueError, match=r"no image\n  got: \(3,\)"):
        F.to_tensor(np.zeros(3))
    with pytest.raises(TypeError, match="got: list"):
        F.to_tensor([1])


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "I", "F", "I;16"])
def test_to_pil_image_and_back(image, mode):
    picture = image(mode)
    back = F.to_pil_image(
        F.pil_to_tensor(picture).to(torch.int16) if mode == "I;16" else F.pil_to_tensor(picture), mode
    )
    assert back.mode == mode and back.tobytes() == picture.tobytes()
    if mode in ("L", "RGB", "RGBA", "LA"):
        assert F.to_pil_image(F.to_tensor(picture)).tobytes() == picture.tobytes()
        assert F.to_pil_image(np.asarray(picture)).tobytes() == picture.tobytes()


def test_to_pil_image_of_other_modes(image):
    array = np.asarray(image("RGB"))
    assert F.to_pil_image(array, "HSV").mode == "HSV" and F.to_pil_image(array, "HSV").tobytes() == array.tobytes()
    assert transforms.ToPILImage("YCbCr")(array).mode == "YCbCr"
    wide = np.array([[-1.0, 300.0 / 255]])
    assert np.asarray(F.to_pil_image(wide)).tolist() == [[1, 44]]  # modulo 256
    for pic, mode, kind in (
        (np.zeros((2, 2, 5)), None, ValueError),
        (np.zeros((1, 2, 2, 3)), None, ValueError),
        (np.zeros((2, 2), np.uint8), "RGB", ValueError),
        (np.zeros((2, 2, 3), np.uint8), "L", ValueError),
        (np.zeros((2, 2), np.int64), None, TypeError),
        (np.zeros((2, 2, 3), np.int64), None, TypeError),
        ([1], None, TypeError),
    ):
        with pytest.raises(kind, match="to_pil_image: "):
            F.to_pil_image(pic, mode)


# ---- values --------------------------------------------------------------------------------------------------


@given(st.integers(1, 3), st.integers(0, 2))
def test_normalize(channels, leading):
    x = torch.rand(*[2] * leading, channels, 3, 4)
    mean, std = [0.1 * (c + 1) for c in range(channels)], [0.5 + c for c in range(channels)]
    out = F.normalize(x, mean, std)
    shape = (-1, 1, 1)
    expected = (x.numpy() - np.float32(mean).reshape(shape)) / np.float32(std).reshape(shape)
    assert np.array_equal(out.numpy(), expected)
    for each in (torch.tensor(mean), np.array(mean), tuple(mean)):
        assert same(F.normalize(x, each, std), out)
    y = x.clone()
    assert transforms.Normalize(mean, std, inplace=True)(y) is y and same(y, out) and not same(x, out)


def test_normalize_errors():
    for x, std, kind, text in (
        (torch.zeros(1, 2, 2, dtype=torch.uint8), 1, TypeError, "got: torch.uint8\n  fix: begin with ToTensor"),
        (np.zeros((1, 2, 2)), 1, TypeError, "got: ndarray"),
        (torch.zeros(2, 2), 1, ValueError, r"no channels\n  got: \(2, 2\)"),
        (torch.zeros(1, 2, 2), 0, ValueError, "std is 0"),
        (torch.zeros(1, 2, 2), (1, 2), RuntimeError, r"got: 1 means and 2 deviations for shape \(1, 2, 2\)"),
    ):
        with pytest.raises(kind, match=text):
            F.normalize(x, [0.5], np.atleast_1d(std))


def test_convert_image_dtype():
    bytes_ = torch.arange(256).to(torch.uint8)
    as_float = F.convert_image_dtype(bytes_, torch.float32)
    assert float(as_float.max()) == 1 and same(F.convert_image_dtype(as_float, torch.uint8), bytes_)
    assert F.convert_image_dtype(bytes_, torch.uint8) is bytes_
    wide = F.convert_image_dtype(bytes_, torch.int16)
    assert wide[:3].tolist() == [0, 128, 256] and same(F.convert_image_dtype(wide, torch.uint8), bytes_)
    assert F.convert_image_dtype(torch.tensor([0.5], dtype=torch.float64), torch.int32).tolist() == [2**30 - 1]
    assert F.convert_image_dtype(as_float, torch.float64).dtype == torch.float64
    for source, target in ((torch.float32, torch.int32), (torch.float32, torch.int64), (torch.float64, torch.int64)):
        with pytest.raises(RuntimeError, match=f"{source} does not hold all integers of {target}"):
            F.convert_image_dtype(torch.zeros(1, dtype=source), target)
    with pytest.raises(TypeError):
        F.convert_image_dtype(np.zeros(1), torch.uint8)


def test_grayscale(image):
    x = torch.rand(2, 3, 4, 5)
    grey = F.rgb_to_grayscale(x)
    expected = 0.2989 * x[:, 0] + 0.587 * x[:, 1] + 0.114 * x[:, 2]
    assert torch.equal(grey[:, 0], expected) and tuple(grey.shape) == (2, 1, 4, 5)
    assert tuple(transforms.Grayscale(3)(x).shape) == (2, 3, 4, 5)
    assert same(F.rgb_to_grayscale(grey), grey) and same(F.rgb_to_grayscale(grey, 3), grey)  # torchvision's
    picture = image("RGB")
    assert F.to_grayscale(picture).tobytes() == picture.convert("L").tobytes()
    three = np.asarray(transforms.Grayscale(3)(picture))
    assert three.shape == (5, 7, 3) and np.array_equal(three[..., 0], three[..., 2])
    for attempt, kind in (
        (lambda: F.to_grayscale(picture, 2), ValueError),
        (lambda: F.rgb_to_grayscale(x, 2), ValueError),
        (lambda: F.rgb_to_grayscale(x[:, :2]), TypeError),
        (lambda: F.to_grayscale(x), TypeError),
    ):
        with pytest.raises(kind):
            attempt()


# ---- positions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_positions_are_the_same_for_images_and_tensors(image, mode):
    picture = image(mode)
    tensor = F.pil_to_tensor(picture)
    for change in (
        F.hflip,
        F.vflip,
        lambda x: F.crop(x, 1, 2, 3, 4),
        lambda x: F.crop(x, -2, -1, 9, 10),
        lambda x: F.crop(x, 3, 5, 4, 4),
        lambda x: F.center_crop(x, 4),
        lambda x: F.center_crop(x, (9, 2)),
        lambda x: F.center_crop(x, [8]),
        lambda x: F.pad(x, 2, 7),
        lambda x: F.pad(x, (1, 2), 7),
        lambda x: F.pad(x, [3, 0, 1, 2], 7),
        lambda x: F.pad(x, (-1, 2, 1, -2), 7),
        lambda x: F.pad(x, 3, padding_mode="edge"),
        lambda x: F.pad(x, (3, 4), padding_mode="reflect"),
        lambda x: F.pad(x, (1, 2, 3, 4), padding_mode="symmetric"),
        lambda x: F.resize(x, (3, 9), InterpolationMode.NEAREST_EXACT),
    ):
        assert same(F.pil_to_tensor(change(picture)), change(tensor))


@given(st.sampled_from(["edge", "reflect", "symmetric"]), st.tuples(*[st.integers(0, 3)] * 4))
def test_pad_is_numpy_pad(mode, padding):
    left, top, right, bottom = padding
    x = torch.arange(20).view(4, 5)
    assert np.array_equal(F.pad(x, padding, 0, mode).numpy(), np.pad(x.numpy(), ((top, bottom), (left, right)), mode))


def test_pad_errors(image):
    x = torch.zeros(1, 3, 3)
    for attempt, kind, text in (
        (lambda: F.pad(x, "2"), TypeError, "int or a sequence"),
        (lambda: F.pad(x, (1, 2, 3)), ValueError, r"1, 2 or 4 numbers\n  got: \[1, 2, 3\]"),
        (lambda: F.pad(x, 1, padding_mode="round"), ValueError, "no such padding_mode\n  got: 'round'"),
        (lambda: F.pad(x, 3, padding_mode="reflect"), RuntimeError, "got: 3\n  expected: at most 2"),
        (lambda: F.pad(x, 4, padding_mode="symmetric"), IndexError, "got: 4\n  expected: at most 3"),
        (lambda: F.pad(x, 1, fill=(1, 2)), TypeError, "one number for tensors"),
        (lambda: F.pad(image("RGB"), 1, fill=(1, 2)), ValueError, "expected: 3 values"),
        (lambda: F.pad(image("RGB"), 1, fill="red"), TypeError, "fill must be"),
        (lambda: transforms.Pad("1"), TypeError, "padding must be"),
        (lambda: transforms.Pad(1, fill="red"), TypeError, "fill must be"),
        (lambda: transforms.Pad(1, padding_mode="x"), ValueError, "no such padding_mode"),
        (lambda: F.pad(torch.zeros(3), 1), TypeError, "no image"),
    ):
        with pytest.raises(kind, match=text):
            attempt()


def test_fill_of_images(image):
    assert np.asarray(F.pad(image("RGB"), 1, (1, 2, 3)))[0, 0].tolist() == [1, 2, 3]
    assert np.asarray(F.pad(image("RGB"), 1, 9.7))[0, 0].tolist() == [9, 9, 9]
    assert np.asarray(F.pad(image("F"), 1, 0.5))[0, 0] == 0.5
    assert np.asarray(F.pad(image("L"), 1, [4]))[0, 0] == 4 and np.asarray(F.pad(image("L"), 1, None))[0, 0] == 0


def test_gradients_pass_through_positions():
    for change in (
        F.hflip,
        lambda x: F.pad(x, 2),
        lambda x: F.pad(x, 2, padding_mode="reflect"),
        lambda x: F.crop(x, -1, 1, 5, 5),
        lambda x: F.resize(x, (2, 7)),
        lambda x: F.resize(x, (2, 7), InterpolationMode.NEAREST),
        lambda x: F.normalize(x, [0.5], [0.5]),
    ):
        x = torch.rand(1, 4, 4, requires_grad=True)
        change(x).sum().backward()
        assert tuple(x.grad.shape) == (1, 4, 4) and float(x.grad.abs().sum()) > 0


SQUARES = [[[0.0, 1.0, 4.0, 9.0], [16.0, 25.0, 36.0, 49.0], [14.0, 31.0, 0.0, 21.0]]]
BILINEAR, BICUBIC = InterpolationMode.BILINEAR, InterpolationMode.BICUBIC


@pytest.mark.parametrize(
    "mode, antialias, small, large",  # torchvision's
    [
        (BILINEAR, True, [[7.2, 13.0, 21.6], [18.95, 21.125, 26.1]], [0, 1, 2, 6, 9, 10, 14, 20, 27, 34]),
        (BILINEAR, False, [[4.5, 9.5, 17.8333], [17.0, 19.25, 24.8333]], [0, 1, 2, 6, 9, 10, 14, 20, 27, 34]),
        (BICUBIC, True, [[6.1104, 12.7589, 22.7004], [19.8451, 21.7316, 26.9111]], [0, 0, 1, 4, 7, 10, 13, 21, 30, 36]),
        (BICUBIC, False, [[3.9494, 8.9961, 18.2187], [17.6038, 19.5078, 25.5878]], [0, 0, 0, 3, 6, 10, 13, 22, 32, 38]),
    ],
)
def test_resize_of_tensors(mode, antialias, small, large):
    x = torch.tensor(SQUARES)
    assert np.abs(F.resize(x, (2, 3), mode, antialias=antialias).numpy()[0] - small).max() < 1e-4
    whole_numbers = F.resize(x.to(torch.uint8), (4, 5), mode, antialias=antialias)
    assert whole_numbers.dtype == torch.uint8 and whole_numbers[0, :2].flatten().tolist() == large
    assert F.resize(x.to(torch.float16), (4, 5), mode).dtype == torch.float16


def test_nearest():  # torchvision's
    x = torch.tensor(SQUARES)
    assert F.resize(x, (2, 7), InterpolationMode.NEAREST)[0].tolist() == [
        [0, 0, 1, 1, 4, 4, 9],
        [16, 16, 25, 25, 36, 36, 49],
    ]
    exact = F.resize(x, (2, 7), InterpolationMode.NEAREST_EXACT)[0].tolist()
    assert exact == [[0, 0, 1, 4, 4, 9, 9], [14, 14, 31, 0, 0, 21, 21]]


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.sampled_from([BILINEAR, BICUBIC]), st.booleans())
def test_resize_keeps_what_is_constant(old, new, other, mode, antialias):
    out = F.resize(torch.full((2, 1, old, other), 3.0), (new, other), mode, antialias=antialias)
    assert tuple(out.shape) == (2, 1, new, other) and np.abs(out.numpy() - 3).max() < 1e-5


def test_size_of_resize(image):
    x = torch.zeros(3, 20, 30)
    for size, more, expected in (
        (10, {}, (10, 15)),
        ([10], {}, (10, 15)),
        ((4, 5), {}, (4, 5)),
        (40, {"max_size": 45}, (30, 45)),
        (20, {}, (20, 30)),
    ):
        assert tuple(F.resize(x, size, **more).shape[1:]) == expected
        turned = size[::-1] if isinstance(size, tuple) else size
        assert tuple(F.resize(x.permute(0, 2, 1), turned, **more).shape[1:]) == expected[::-1]
    assert F.resize(x, 20) is x
    assert F.resize(image(), 10).size == (14, 10) and F.resize(image(), (3, 4), 3).size == (4, 3)
    with pytest.warns(UserWarning, match="antialias=False is ignored"):
        F.resize(image(), 3, antialias=False)
    for attempt, kind, text in (
        (lambda: F.resize(x, (1, 2, 3)), ValueError, "one number or two"),
        (lambda: F.resize(x, (1, 2), max_size=4), ValueError, "max_size has no meaning"),
        (lambda: F.resize(x, 10, max_size=10), ValueError, "expected: above 10"),
        (lambda: F.resize(x, 10, "bilinear"), TypeError, "no interpolation\n  got: 'bilinear'"),
        (lambda: F.resize(x, 10, 17), TypeError, "no interpolation"),
        (lambda: F.resize(x, 10, InterpolationMode.BOX), NotImplementedError, "got: BOX"),
        (lambda: transforms.Resize(1.5), TypeError, "got: float"),
        (lambda: transforms.Resize((1, 2, 3)), ValueError, "one number or two"),
        (lambda: transforms.CenterCrop((1, 2, 3)), ValueError, "height and a width"),
    ):
        with pytest.raises(kind, match=text):
            attempt()


def test_resized_crop():
    x = torch.arange(16.0).view(1, 4, 4)
    assert F.resized_crop(x, 1, 1, 2, 2, (2, 2)).tolist() == [[[5, 6], [9, 10]]]
    assert F.get_image_size(x) == [4, 4] and F.get_image_num_channels(x) == 1


# ---- chance --------------------------------------------------------------------------------------------------


def seeded(transform, x, times):
    torch.manual_seed(3)
    return [transform(x) for _ in range(times)], torch.rand(1).item()


def test_draws_are_those_of_torchvision():
    x = torch.arange(36.0).view(1, 6, 6)
    parts, after = seeded(transforms.RandomCrop(4, padding=2), x, 4)
    assert [part[0, 1, :2].tolist() for part in parts] == [[25, 26], [14, 15], [0, 0], [8, 9]]
    assert after == pytest.approx(0.5944212079048157)
    flipped, after = seeded(transforms.RandomHorizontalFlip(0.3), x, 12)
    assert [bool(out[0, 0, 0]) for out in flipped] == [True] * 4 + [False, True] + [False] * 6
    assert after == pytest.approx(0.14984089136123657)
    cropped, after = seeded(transforms.RandomApply([transforms.CenterCrop(2)], 0.3), x, 12)
    assert [out.shape[-1] for out in cropped] == [2, 2, 2, 2, 6, 2] + [6] * 6
    assert after == pytest.approx(0.14984089136123657)


@given(st.integers(1, 8), st.integers(1, 8), st.booleans())
def test_random_crop(height, width, pad):
    x = torch.arange(1, 31).view(1, 5, 6)
    transform = transforms.RandomCrop((height, width), pad_if_needed=pad, fill=-1)
    if not pad and (height > 5 or width > 6):
        with pytest.raises(ValueError, match=r"smaller than the part\n  got: \(5, 6\)"):
            transform(x)
        return
    out = transform(x).numpy()[0]
    assert out.shape == (height, width)
    inside = out[out > 0]
    assert len(inside) == len(set(inside.tolist())) > 0


def test_random_transforms_of_python(image):
    x = torch.zeros(3, 6, 6)
    random.seed(0)
    sizes = [
        transforms.RandomChoice([transforms.CenterCrop(2), transforms.Pad(1)], [0.5, 0.5])(x).shape[-1]
        for _ in range(9)
    ]
    assert set(sizes) == {2, 8}
    sizes = [transforms.RandomOrder([transforms.CenterCrop(2), transforms.Pad(1)])(x).shape[-1] for _ in range(9)]
    assert set(sizes) == {2, 4}
    assert np.asarray(transforms.RandomGrayscale(1.0)(image())).shape == (5, 7, 3)
    assert same(transforms.RandomVerticalFlip(1.0)(torch.arange(4).view(2, 2)), torch.tensor([[2, 3], [0, 1]]))
    assert same(transforms.RandomVerticalFlip(0.0)(torch.arange(4).view(2, 2)), torch.tensor([[0, 1], [2, 3]]))
    for attempt in (
        lambda: transforms.RandomChoice({1}),
        lambda: transforms.RandomChoice([len], p=0.5),
        lambda: transforms.RandomOrder(len),
        lambda: transforms.Lambda(3),
    ):
        with pytest.raises(TypeError):
            attempt()


# ---- repr ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "transform, text",
    [
        (transforms.ToTensor(), "ToTensor()"),
        (transforms.PILToTensor(), "PILToTensor()"),
        (transforms.ToPILImage(), "ToPILImage()"),
        (transforms.ToPILImage("RGB"), "ToPILImage(mode=RGB)"),
        (transforms.Normalize((0.5,), (0.5,)), "Normalize(mean=(0.5,), std=(0.5,))"),
        (transforms.Lambda(len), "Lambda()"),
        (transforms.ConvertImageDtype(torch.float32), "ConvertImageDtype()"),
        (transforms.Resize(32), "Resize(size=32, interpolation=bilinear, max_size=None, antialias=True)"),
        (transforms.CenterCrop(3), "CenterCrop(size=(3, 3))"),
        (transforms.RandomCrop(3, padding=1), "RandomCrop(size=(3, 3), padding=1)"),
        (transforms.RandomHorizontalFlip(), "RandomHorizontalFlip(p=0.5)"),
        (transforms.RandomGrayscale(), "RandomGrayscale(p=0.1)"),
        (transforms.Pad(2), "Pad(padding=2, fill=0, padding_mode=constant)"),
        (transforms.Grayscale(), "Grayscale(num_output_channels=1)"),
        (transforms.Compose([]), "Compose(\n)"),
        (transforms.RandomApply([transforms.ToTensor()]), "RandomApply(\n    p=0.5\n    ToTensor()\n)"),
        (transforms.RandomChoice([transforms.ToTensor()]), "RandomChoice(\n    ToTensor()\n)(p=None)"),
    ],
)
def test_reprs_are_those_of_torchvision(transform, text):
    assert repr(transform) == text
