"""Softmax and its logarithm: a row operation each, with its derivative.

The maximum of each row is taken off first, so that no exponential overflows.
"""

from __future__ import annotations

from typing import Any

from ... import dtypes, errors, shapes
from ...backends.cpu import rows
from ...core.op import Array, op
from ...core.tensor import Tensor
from ..pointwise.functions import exp
from ..reduction.reduce import sum

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


def _same(x, dim):
    shapes.axis("softmax", dim, len(x))
    return x


for _f in (_softmax, _log_softmax):
    _f.shape(_same)
for _f in (_softmax_backward, _log_softmax_backward):
    _f.shape(lambda dy, y, dim: _same(y, dim))


def _prepared(where: str, x: Tensor, dtype: dtypes.dtype | None) -> Tensor:
    if dtype is not None and x.dtype is not dtype:
        x = x.to(dtype)
    if x.array.dtype.kind in "biu":
        raise NotImplementedError(
            errors.message(f"{where}: not implemented for {x.dtype}", fix="give dtype=torch.float32")
        )
    return x


def softmax(input: Tensor, dim: int, dtype: Any = None, *, out: Tensor | None = None) -> Tensor:
    """`exp(x_i) / sum_j exp(x_j)` along `dim`: positive numbers that sum to 1.

    Args:
        input: any shape.
        dim: the dimension that sums to 1.
        dtype: convert the input to this type first.
        out: where to put the result.

    Raises:
        IndexError: `dim` is out of range.
        NotImplementedError: integers.

    >>> import tapegrad as torch
    >>> torch.softmax(torch.tensor([0.0, 0.0]), dim=0)
    tensor([0.5000, 0.5000])
    """
    input = _prepared("softmax", input, dtype)
    return _softmax(input, dim) if out is None else _softmax(input, dim, out=out)


def log_softmax(input: Tensor, dim: int, dtype: Any = None, *, out: Tensor | None = None) -> Tensor:
    """`x_i - log(sum_j exp(x_j))` along `dim`, without the overflow of the plain formula.

    Args:
        input: any shape.
        dim: the dimension whose exponentials sum to 1.
        dtype: convert the input to this type first.
        out: where to put the result.

    Raises:
        IndexError: `dim` is out of range.
        NotImplementedError: integers.

    >>> import tapegrad as torch
    >>> torch.log_softmax(torch.tensor([0.0, 0.0]), dim=0)
    tensor([-0.6931, -0.6931])
    """
    input = _prepared("log_softmax", input, dtype)
    return _log_softmax(input, dim) if out is None else _log_softmax(input, dim, out=out)


Tensor.softmax = softmax  # type: ignore[attr-defined]
Tensor.log_softmax = log_softmax  # type: ignore[attr-defined]
