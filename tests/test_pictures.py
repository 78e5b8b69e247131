"""Pictures of many images, image files, and torchvision's names. Numbers marked so come from torchvision 0.28."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tapegrad as torch
from tapegrad.vision import io as files
from tapegrad.vision.utils import draw_bounding_boxes, make_grid, save_image

ROOT = Path(torch.__file__).resolve().parent.parent


def test_a_grid():
    x = torch.arange(5 * 2 * 3).view(5, 1, 2, 3).float()
    grid = make_grid(x, nrow=3, padding=1, pad_value=-1)
    assert tuple(grid.shape) == (3, 7, 13) and torch.equal(grid[0], grid[2])
    assert grid[0, 1].tolist() == [-1, 0, 1, 2, -1, 6, 7, 8, -1, 12, 13, 14, -1]
    assert grid[0, 4].tolist() == [-1, 18, 19, 20, -1, 24, 25, 26, -1, -1, -1, -1, -1]
    assert torch.equal(make_grid(list(x), 3, 1, pad_value=-1), grid)
    assert make_grid(x.to(torch.uint8)).dtype == torch.uint8


def test_one_image_is_given_back():
    for shape in ((2, 3), (1, 2, 3), (1, 1, 2, 3)):
        assert tuple(make_grid(torch.zeros(shape)).shape) == (3, 2, 3)
    x = torch.rand(1, 3, 2, 2)
    assert torch.equal(make_grid(x), x[0]) and torch.equal(make_grid(x[0]), x[0])


def test_values_are_stretched():
    x = torch.tensor([[[[0.0, 2.0]]], [[[4.0, 8.0]]]])
    assert make_grid(x, padding=0, normalize=True)[0, 0].tolist() == [0, 0.25, 0.5, 1]
    assert make_grid(x, padding=0, normalize=True, value_range=(2, 4))[0, 0].tolist() == [0, 0, 1, 1]
    assert make_grid(x, padding=0, normalize=True, scale_each=True)[0, 0].tolist() == [0, 1, 0, 1]
    assert x[1, 0, 0, 1] == 8 and not make_grid(x.requires_grad_()).requires_grad


def test_a_file():
    pillow = pytest.importorskip("PIL.Image")
    x = torch.rand(4, 3, 5, 6)
    file = io.BytesIO()
    save_image(x, file, format="png", nrow=2, padding=1)
    with pillow.open(file) as picture:
        pixels = np.asarray(picture)
    assert np.array_equal(pixels.transpose(2, 0, 1), (make_grid(x, 2, 1).numpy() * 255 + 0.5).astype(np.uint8))


def test_boxes():
    pytest.importorskip("PIL.Image")
    image = torch.zeros(3, 20, 30, dtype=torch.uint8)
    boxes = torch.tensor([[2.0, 3.0, 10.0, 12.0], [15, 1, 28, 18]])
    out = draw_bounding_boxes(image, boxes, colors=["red", (0, 0, 255)])
    assert out[0, 3, 2:11].tolist() == [255] * 9 and out[2, 1:19, 28].tolist() == [255] * 18
    assert int(out.to(torch.int64).sum()) == 255 * ((9 + 10 - 2) * 2 + (14 + 18 - 2) * 2) and int(image.sum()) == 0
    filled = draw_bounding_boxes(image, boxes, colors="#00ff00", fill=True, width=2)
    assert filled[1, 7, 5] == 100 and filled[1, 3, 5] == 255  # torchvision's
    assert draw_bounding_boxes(image, boxes).to(torch.int64).sum() > 0
    plain, labelled = (draw_bounding_boxes(image, boxes, words, "white") for words in (None, ["a", None]))
    assert (plain != labelled).any()
    grey = draw_bounding_boxes(torch.zeros(1, 20, 30), boxes, colors="white")
    assert grey.dtype == torch.float32 and grey.max() == 1 and tuple(grey.shape) == (3, 20, 30)


@pytest.mark.parametrize(
    "attempt, kind, text",
    [
        (lambda: make_grid(3), TypeError, "a tensor or a list"),
        (lambda: make_grid(torch.zeros(2, 1, 2, 2), normalize=True, value_range=[0, 1]), TypeError, "value_range"),
        (lambda: draw_bounding_boxes(3, torch.zeros(1, 4)), TypeError, "no tensor"),
        (lambda: draw_bounding_boxes(torch.zeros(2, 3, 3), torch.zeros(1, 4)), ValueError, "no such image"),
        (lambda: draw_bounding_boxes(torch.zeros(3, 3, 3), torch.tensor([[2, 0, 1, 1]])), ValueError, "upper left"),
        (
            lambda: draw_bounding_boxes(torch.zeros(3, 3, 3), torch.zeros(1, 4), labels=[]),
            ValueError,
            "a label for each",
        ),
        (
            lambda: draw_bounding_boxes(torch.zeros(3, 3, 3), torch.zeros(1, 4), colors=[]),
            ValueError,
            "a colour for each",
        ),
    ],
)
def test_errors_say_what_is_wrong(attempt, kind, text):
    pytest.importorskip("PIL.Image")
    with pytest.raises(kind, match=text):
        attempt()


# ---- files ---------------------------------------------------------------------------------------------------


def test_image_files(tmp_path):
    pytest.importorskip("PIL.Image")
    image = torch.arange(3 * 4 * 5, dtype=torch.uint8).view(3, 4, 5)
    files.write_png(image, tmp_path / "a.png")
    assert torch.equal(files.read_image(str(tmp_path / "a.png")), image)
    content = files.read_file(tmp_path / "a.png")
    assert content.dtype == torch.uint8 and content.ndim == 1
    assert torch.equal(files.decode_image(content), image) and torch.equal(
        files.decode_image(tmp_path / "a.png"), image
    )
    assert tuple(files.read_image(tmp_path / "a.png", "gray").shape) == (1, 4, 5)
    assert tuple(files.decode_image(content, files.ImageReadMode.RGB_ALPHA).shape) == (4, 4, 5)
    files.write_file(tmp_path / "b.png", content)
    assert (tmp_path / "b.png").read_bytes() == (tmp_path / "a.png").read_bytes()
    files.write_jpeg(torch.full((1, 8, 8), 77, dtype=torch.uint8), tmp_path / "c.jpg", quality=90)
    assert torch.equal(files.read_image(tmp_path / "c.jpg"), torch.full((1, 8, 8), 77, dtype=torch.uint8))
    with pytest.raises(RuntimeError, match="no image that can be read\n  where: 2 bytes"):
        files.decode_image(content[:2])
    with pytest.raises(RuntimeError, match="only uint8 images"):
        files.write_png(torch.zeros(3, 2, 2), tmp_path / "d.png")


def test_torchvision_is_answered(tmp_path):
    """`tapegrad run` answers every import of torchvision's that there is."""
    program = tmp_path / "program.py"
    program.write_text(
        "import torchvision\n"
        "import torchvision.transforms as T\n"
        "import torchvision.transforms.functional as TF\n"
        "from torchvision import datasets, io, models, transforms, utils\n"
        "from torchvision.datasets import CIFAR10, FakeData, ImageFolder\n"
        "from torchvision.datasets.folder import default_loader\n"
        "from torchvision.io import read_image\n"
        "from torchvision.models import ResNet18_Weights, resnet18\n"
        "from torchvision.models.resnet import BasicBlock\n"
        "from torchvision.transforms import InterpolationMode\n"
        "from torchvision.utils import make_grid, save_image\n"
        "print(torchvision.__version__, torchvision.models is models, T.functional is TF, ResNet18_Weights.DEFAULT)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "tapegrad", "run", str(program)], capture_output=True, text=True, cwd=ROOT
    )
    assert (done.stdout, done.stderr) == ("0.28.0 True True ResNet18_Weights.IMAGENET1K_V1\n", "")
