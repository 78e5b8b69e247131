"""Transforms of values: to tensors and back, other types, normalised, in grey; and chains of transforms."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ... import dtypes
from ...core.tensor import Tensor
from ...errors import message
from . import functional as F


class Transform:
    """A function of an image that keeps its options: subclasses define `forward`."""

    def forward(self, img: Any) -> Any:
        """The transformed image."""
        raise NotImplementedError(message(f"{type(self).__name__} does not define forward"))

    def __call__(self, img: Any) -> Any:
        return self.forward(img)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def lines_of(name: str, lines: Sequence[Any]) -> str:
    """The repr of something made of others: one a line."""
    return "\n".join([f"{name}(", *(f"    {line}" for line in lines), ")"])


class Compose:
    """Several transforms, one after the other.

    Args:
        transforms: functions of an image.

    >>> from tapegrad.vision import transforms
    >>> transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])
    Compose(
        ToTensor()
        Normalize(mean=(0.5,), std=(0.5,))
    )
    """

    def __init__(self, transforms: Sequence[Callable]) -> None:
        self.transforms = transforms

    def __call__(self, img: Any) -> Any:
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self) -> str:
        return lines_of(type(self).__name__, self.transforms)


class ToTensor(Transform):
    """A Pillow image, or an array of shape (H, W) or (H, W, C), as a tensor of shape (C, H, W).

    8-bit pixels v become v / 255, 0 to 1, in the default dtype; others keep type and value.

    >>> import numpy as np
    >>> from tapegrad.vision import transforms
    >>> transforms.ToTensor()(np.full((2, 3), 255, dtype=np.uint8)).shape
    torch.Size([1, 2, 3])
    """

    def forward(self, img: Any) -> Tensor:
        return F.to_tensor(img)


class PILToTensor(Transform):
    """A Pillow image as a tensor of shape (C, H, W) of its own pixel type; see `functional.pil_to_tensor`."""

    def forward(self, img: Any) -> Tensor:
        return F.pil_to_tensor(img)


class ToPILImage:
    """A tensor of shape (C, H, W), or an array of shape (H, W, C), as a Pillow image; see `functional.to_pil_image`.

    Args:
        mode: Pillow's mode; None chooses by the number and type of channels.
    """

    def __init__(self, mode: str | None = None) -> None:
        self.mode = mode

    def __call__(self, pic: Any) -> Any:
        return F.to_pil_image(pic, self.mode)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'' if self.mode is None else f'mode={self.mode}'})"


class ConvertImageDtype(Transform):
    """A tensor in another dtype, values scaled to its range; see `functional.convert_image_dtype`.

    Args:
        dtype: the wanted type.
    """

    def __init__(self, dtype: dtypes.dtype) -> None:
        self.dtype = dtype

    def forward(self, img: Tensor) -> Tensor:
        return F.convert_image_dtype(img, self.dtype)


class Normalize(Transform):
    """(x - mean[c]) / std[c] for each channel c of a floating-point tensor; see `functional.normalize`.

    Args:
        mean: one number for each channel, or one for all.
        std: likewise.
        inplace: write into the tensor that is given.

    >>> import tapegrad as torch
    >>> from tapegrad.vision import transforms
    >>> transforms.Normalize((0.5,), (0.5,))(torch.zeros(1, 1, 2))
    tensor([[[-1., -1.]]])
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> None:
        self.mean = mean
        self.std = std
        self.inplace = inplace

    def forward(self, img: Tensor) -> Tensor:
        return F.normalize(img, self.mean, self.std, self.inplace)

    def over(self, img: Tensor) -> Tensor:
        """The same, written into `img`."""
        return F.normalize(img, self.mean, self.std, inplace=True)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(mean={self.mean}, std={self.std})"


class Grayscale(Transform):
    """An image in grey; see `functional.rgb_to_grayscale`.

    Args:
        num_output_channels: 1, or 3 equal ones.
    """

    def __init__(self, num_output_channels: int = 1) -> None:
        self.num_output_channels = num_output_channels

    def forward(self, img: Any) -> Any:
        return F.rgb_to_grayscale(img, self.num_output_channels)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(num_output_channels={self.num_output_channels})"


class LinearTransformation(Transform):
    """A tensor image of d = C H W values as the row vector (x - mean) M, in its own shape: whitening, for example.

    Args:
        transformation_matrix: M, shape (d, d).
        mean_vector: mean, shape (d,).

    Raises:
        ValueError: shapes that do not fit.
    """

    def __init__(self, transformation_matrix: Tensor, mean_vector: Tensor) -> None:
        rows, columns = transformation_matrix.shape
        if rows != columns or mean_vector.size(0) != rows:
            got = f"{tuple(transformation_matrix.shape)} and {tuple(mean_vector.shape)}"
            raise ValueError(message("LinearTransformation: shapes do not fit", got=got, expected="(d, d) and (d,)"))
        self.transformation_matrix = transformation_matrix
        self.mean_vector = mean_vector

    def forward(self, tensor: Tensor) -> Tensor:
        n, d = tensor.numel(), self.transformation_matrix.size(0)
        if math.prod(tensor.shape[-3:]) != d:
            text = "LinearTransformation: the image has another number of values"
            raise ValueError(message(text, got=tuple(tensor.shape), expected=f"{d} in the last three dimensions"))
        rows = tensor.reshape(n // d, d) - self.mean_vector
        return (rows @ self.transformation_matrix).reshape(tensor.shape)

    def __repr__(self) -> str:
        matrix, mean = self.transformation_matrix.tolist(), self.mean_vector.tolist()
        return f"{type(self).__name__}(transformation_matrix={matrix}, mean_vector={mean})"


class Lambda:
    """Any function as a transform.

    Args:
        lambd: function of an image.

    Raises:
        TypeError: `lambd` cannot be called.

    >>> from tapegrad.vision import transforms
    >>> transforms.Lambda(lambda x: x + 1)(1)
    2
    """

    def __init__(self, lambd: Callable) -> None:
        if not callable(lambd):
            raise TypeError(message("Lambda: this cannot be called", got=type(lambd).__name__))
        self.lambd = lambd

    def __call__(self, img: Any) -> Any:
        return self.lambd(img)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"
