"""Softmax and its logarithm: a row operation each, with its derivative.

The maximum of each row is taken off first, so that no exponential overflows.
"""

from __future__ import annotations

from typing import Any

from .. import dtypes, shapes
from ..backends.cpu import rows
from ..core.op import Array, op
from ..core.tensor import Tensor
from .functions import exp
from .reduce import sum

__all__ = ["softmax", "log_softmax"]


@op(name="softmax", node="SoftmaxBackward0")
def _softmax(x: Array, dim):
    return rows.softmax(x, shapes.axis("softmax", dim, x.ndim))


@_softmax.grad
def _(g, out, dim):
    return _softmax_backward(g, out, dim)


@op(name="_softmax_backward_data", node="SoftmaxBackwardDataBackward0")
def _softmax_backward(dy: Array, y: Array, dim):
    return rows.softmax_backward(dy, y, shapes.axis("softmax", dim, y.ndim))


@_softmax_backward.grad("dy")  # the matrix diag(y) - y y^T is symmetric
def _(g, y, dim):
    return _softmax_backward(g, y, dim)


@_softmax_backward.grad("y")
def _(g, dy, y, dim):
    return g * (dy - sum(dy * y, dim, True)) - dy * sum(g * y, dim, True)


@op(name="log_softmax", node="LogSoftmaxBackward0")
def _log_softmax(x: Array, dim):
    return rows.log_softmax(x, shapes.axis("log_softmax", dim, x.ndim))


@_log_softmax.grad
def _(g, out, dim):
    return _log_softmax_backward(g, out, dim)


@op(name="_log_softmax_backward_data", node="LogSoftmaxBackwardDataBackward0")
def _log_softmax_backward(dy: Array, y: Array, dim):
    return rows.log_softmax_backward(dy, y, shapes.axis("log_softmax", dim, y.ndim))


@_log_softmax_backward.grad("dy")
def _(g, y, dim):
    return g - sum(g * exp(y), dim, True)


@_log_softmax_backward.grad("y")
def _(g, dy, y, dim):
    return -g * exp(y) * sum(dy, dim, True)


def _prepared(x: Tensor, dtype: dtypes.dtype | None) -> Tensor:
    return x if dtype is None or x.dtype is dtype else x.to(dtype)


def softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """`exp(x_i) / sum_j exp(x_j)` along `dim`: positive numbers that sum to 1.

    Args:
        input: any shape.
        dim: the dimension that sums to 1.
        dtype: convert the input to this type first.

    Raises:
        IndexError: `dim` is out of range.

    >>> import tapegrad as torch
    >>> torch.softmax(torch.tensor([0.0, 0.0]), dim=0)
    tensor([0.5000, 0.5000])
    """
    return _softmax(_prepared(input, dtype), dim)


def log_softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """`x_i - log(sum_j exp(x_j))` along `dim`, without the overflow of the plain formula.

    Args:
        input: any shape.
        dim: the dimension whose exponentials sum to 1.
        dtype: convert the input to this type first.

    Raises:
        IndexError: `dim` is out of range.

    >>> import tapegrad as torch
    >>> torch.log_softmax(torch.tensor([0.0, 0.0]), dim=0)
    tensor([-0.6931, -0.6931])
    """
    return _log_softmax(_prepared(input, dtype), dim)


Tensor.softmax = softmax  # type: ignore[attr-defined]
Tensor.log_softmax = log_softmax  # type: ignore[attr-defined]
