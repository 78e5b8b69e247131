"""Published weights: which files there are, where they are looked for, and the images they want.

Nothing is downloaded here. A name such as "DEFAULT" or `ResNet18_Weights.IMAGENET1K_V1` means a file that PyTorch
publishes; it is taken from the folder where PyTorch keeps its downloads (`$TORCH_HOME/hub/checkpoints`, by default
`~/.cache/torch/hub/checkpoints`), and if it is not there, the error says which file to get. A path means that file.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from ...core.tensor import Tensor
from ...errors import message
from ...io.files import load
from ...nn.module import Module
from ..transforms import functional as F
from ..transforms.resample import InterpolationMode

BICUBIC = InterpolationMode.BICUBIC
_SITE = "https://download.pytorch.org/models/"


class Published(NamedTuple):
    """A file and the images it was trained with."""

    file: str
    resize: int = 256
    crop: int = 224
    interpolation: InterpolationMode = InterpolationMode.BILINEAR


class WeightsEnum(Enum):
    """The published weights of a model, by name; `DEFAULT` is another name of the best ones.

    >>> from tapegrad.vision.models import ResNet50_Weights
    >>> ResNet50_Weights.DEFAULT
    ResNet50_Weights.IMAGENET1K_V2
    """

    @property
    def url(self) -> str:
        """Where the file is published."""
        return _SITE + self.value.file

    def transforms(self) -> ImageClassification:
        """The transform of the images that these weights want."""
        return ImageClassification(self.value.crop, self.value.resize, self.value.interpolation)

    def get_state_dict(self, progress: bool = True) -> dict[str, Tensor]:
        """The weights, from the folder of PyTorch's downloads.

        Raises:
            RuntimeError: the file is not there.
        """
        path = checkpoints() / self.value.file
        if not path.is_file():
            raise RuntimeError(
                message(
                    f"{self}: the file of these weights is not here, and it is not downloaded for you",
                    where=str(path),
                    fix=f"get {self.url} and put it there, or pass weights=its path",
                )
            )
        return load(path)

    def __repr__(self) -> str:
        return f"{type(self).__name__}.{self.name}"

    __str__ = __repr__


def weights_enum(name: str, default: str = "IMAGENET1K_V1", **published: Published) -> Any:
    """The enum of a model's published weights."""
    make: Any = WeightsEnum
    return make(name, {**published, "DEFAULT": published[default]}, module=__name__)


def checkpoints() -> Path:
    """The folder where PyTorch keeps downloaded weights."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    return Path(os.environ.get("TORCH_HOME", cache / "torch")).expanduser() / "hub" / "checkpoints"


def build(
    make: Callable[..., Module],
    known: Any,
    weights: Any,
    options: dict[str, Any],
    rename: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = None,
) -> Any:
    """A model, with weights where they are asked for.

    Args:
        make: function of the options that gives the model.
        known: the enum of its published weights.
        weights: None, a path, a name in the enum or one of it.
        options: arguments for `make`; `pretrained=True`, the old way to say `weights="DEFAULT"`, among them.
        rename: function of old files' names of weights.

    Raises:
        RuntimeError: the weights are not there, or do not fit the model.
        ValueError: there are no weights of this name.
    """
    if options.pop("pretrained", False) and weights is None:
        weights = "DEFAULT"
    if weights is None:
        return make(**options)
    state = _state(known, weights)  # before the model is made, which takes time
    model = make(**options)
    model.load_state_dict(state if rename is None else rename(state))
    return model


def _state(known: Any, weights: Any) -> dict[str, Tensor]:
    if isinstance(weights, WeightsEnum):
        if type(weights) is not known:
            raise ValueError(message("these are the weights of another model", got=weights, expected=known.__name__))
        return weights.get_state_dict()
    if isinstance(weights, str) and weights in known.__members__:
        return known[weights].get_state_dict()
    if isinstance(weights, (str, os.PathLike)) and Path(weights).expanduser().is_file():
        return load(Path(weights).expanduser())
    expected = f"the path of a file, or {', '.join(known.__members__)}"
    raise ValueError(message("there are no such weights", got=repr(weights), expected=expected))


class ImageClassification:
    """What images go through before a model with published weights sees them.

    Resized, the middle cut out, made floating-point, normalised with ImageNet's means and deviations.

    Args:
        crop_size: height and width in the end.
        resize_size: the shorter side before.
        interpolation: of the resizing.
    """

    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

    def __init__(
        self,
        crop_size: int,
        resize_size: int = 256,
        interpolation: InterpolationMode = InterpolationMode.BILINEAR,
    ) -> None:
        self.crop_size = [crop_size]
        self.resize_size = [resize_size]
        self.interpolation = interpolation

    def __call__(self, img: Any) -> Tensor:
        img = F.center_crop(F.resize(img, self.resize_size, self.interpolation), self.crop_size)
        if not isinstance(img, Tensor):
            img = F.pil_to_tensor(img)
        return F.normalize(F.convert_image_dtype(img), self.mean, self.std)

    def __repr__(self) -> str:
        names = ("crop_size", "resize_size", "mean", "std", "interpolation")
        lines = [f"    {name}={getattr(self, name)}" for name in names]
        return "\n".join(["ImageClassification(", *lines, ")"])
