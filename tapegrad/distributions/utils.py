"""What distributions share: broadcasting of parameters, probabilities and log-odds, properties computed once."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Number
from typing import Any

import numpy as np

from .. import modes
from ..core.tensor import Tensor, wrap
from ..errors import message
from ..modes import enable_grad
from ..ops.creation.filled import ones, zeros
from ..ops.creation.ranges import arange
from ..ops.creation.types import finfo
from ..ops.creation.values import tensor
from ..ops.neural.softmax import softmax
from ..ops.random.draws import normal
from ..ops.shape.joining import broadcast_tensors
from ..shapes import Size

__all__ = [
    "broadcast_all", "logits_to_probs", "clamp_probs", "probs_to_logits", "lazy_property", "tril_matrix_to_vec",
    "vec_to_tril_matrix",
]  # fmt: skip

EULER = 0.57721566490153286060651209008240243  # the Euler-Mascheroni constant


def broadcast_all(*values: Any) -> tuple[Tensor, ...]:
    """Tensors of one shape from tensors and numbers; numbers take the type of the first tensor, or the default one.

    Raises:
        ValueError: an argument is neither.

    >>> import tapegrad as torch
    >>> from tapegrad.distributions.utils import broadcast_all
    >>> broadcast_all(torch.zeros(2), 1.0)
    (tensor([0., 0.]), tensor([1., 1.]))
    """
    if not all(isinstance(v, (Tensor, Number)) for v in values):
        got = ", ".join(type(v).__name__ for v in values)
        raise ValueError(message("parameters of distributions are numbers or tensors", got=got))
    first = next((v for v in values if isinstance(v, Tensor)), None)
    kind = modes.get_default_dtype() if first is None else first.dtype
    return tuple(broadcast_tensors(*(v if isinstance(v, Tensor) else tensor(v, dtype=kind) for v in values)))


def batch_of(parameter: Tensor, *given: Any) -> Size:
    """The batch shape of a distribution with these parameters: empty if all were numbers."""
    return Size() if all(isinstance(v, Number) for v in given) else parameter.size()


def clamp_probs(probs: Tensor) -> Tensor:
    """Probabilities kept inside of (0, 1), so that their logarithms are finite."""
    eps = finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


def probs_to_logits(probs: Tensor, is_binary: bool = False) -> Tensor:
    """ln p; for yes-or-no probabilities ln p - ln(1 - p)."""
    p = clamp_probs(probs)
    return p.log() - (-p).log1p() if is_binary else p.log()


def logits_to_probs(logits: Tensor, is_binary: bool = False) -> Tensor:
    """Probabilities: the sigmoid, or the softmax of the last dimension."""
    return logits.sigmoid() if is_binary else softmax(logits, -1)


def standard_normal(shape: Any, like: Tensor) -> Tensor:
    """Numbers from N(0, 1) in the type of `like`."""
    return normal(zeros(shape, dtype=like.dtype), ones(shape, dtype=like.dtype))


def sum_rightmost(value: Tensor, dims: int) -> Tensor:
    """The sum over the last `dims` dimensions."""
    return value.flatten(-dims).sum(-1) if dims else value


class lazy_property:  # a decorator, so in lower case
    """A method without arguments as an attribute that is computed when first read, gradients included."""

    def __init__(self, wrapped: Callable):
        self.wrapped = wrapped
        self.__doc__ = wrapped.__doc__
        self.__name__ = wrapped.__name__

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        with enable_grad():
            value = self.wrapped(instance)
        setattr(instance, self.__name__, value)
        return value


def tril_matrix_to_vec(mat: Tensor, diag: int = 0) -> Tensor:
    """The lower triangle of (..., n, n), row after row; `diag` is the highest diagonal that belongs to it.

    Raises:
        ValueError: no such diagonal.

    >>> import tapegrad as torch
    >>> from tapegrad.distributions.utils import tril_matrix_to_vec
    >>> tril_matrix_to_vec(torch.tensor([[1, 0], [2, 3]]))
    tensor([1, 2, 3])
    """
    n = mat.shape[-1]
    if not -n <= diag < n:
        raise ValueError(message("tril_matrix_to_vec: no such diagonal", got=diag, expected=f"from {-n} to {n - 1}"))
    places = arange(n)
    return mat[..., places < places.reshape(-1, 1) + (diag + 1)]


def vec_to_tril_matrix(vec: Tensor, diag: int = 0) -> Tensor:
    """The matrix whose lower triangle `tril_matrix_to_vec` would give as `vec`; zeros above it.

    Raises:
        ValueError: no triangle has so many elements.

    >>> import tapegrad as torch
    >>> from tapegrad.distributions.utils import vec_to_tril_matrix
    >>> vec_to_tril_matrix(torch.tensor([1.0, 2.0, 3.0]))
    tensor([[1., 0.],
            [2., 3.]])
    """
    count = vec.shape[-1]
    n = (-(1 + 2 * diag) + ((1 + 2 * diag) ** 2 + 8 * count + 4 * abs(diag) * (diag + 1)) ** 0.5) / 2
    if not round(n) - finfo(vec.dtype).eps <= n <= round(n) + finfo(vec.dtype).eps:
        raise ValueError(message("vec_to_tril_matrix: no triangle has so many elements", got=count))
    size = round(n)
    matrix = vec.new_zeros(vec.shape[:-1] + (size, size))
    places = arange(size)
    matrix[..., places < places.reshape(-1, 1) + (diag + 1)] = vec
    return matrix


def tril_places(n: int) -> tuple[Tensor, Tensor]:
    """Rows and columns of the places below the diagonal of an n x n matrix, row after row."""
    rows, columns = np.tril_indices(n, -1)
    return wrap(rows), wrap(columns)


def tensor_like(value: Any, like: Tensor) -> Tensor:
    """A number as a tensor of the type of `like`; tensors as they are."""
    return value if isinstance(value, Tensor) else tensor(value, dtype=like.dtype)


def multivariate_lgamma(x: Tensor, p: int) -> Tensor:
    """`p (p - 1) / 4 ln pi + sum over j < p of lgamma(x - j / 2)`."""
    steps = arange(p, dtype=x.dtype) / 2
    return p * (p - 1) / 4 * math.log(math.pi) + (x.unsqueeze(-1) - steps).lgamma().sum(-1)


def multivariate_digamma(x: Tensor, p: int) -> Tensor:
    """`sum over j < p of digamma(x - j / 2)`, the derivative of `multivariate_lgamma`."""
    return (x.unsqueeze(-1) - arange(p, dtype=x.dtype) / 2).digamma().sum(-1)
