"""Running sums, products and extremes along a dimension, and differences and integrals of samples."""

from __future__ import annotations

import math

from ... import shapes
from ...backends.cpu import sort as kernels
from ...core.op import Array, make_inplace, op
from ...errors import message
from ..linalg.matmul import conjugate
from ..pointwise.functions import exp
from .adjoints import one, place, recurrence, shift

__all__ = [
    "cummax",
    "cummin",
    "cumprod",
    "cumsum",
    "logcumsumexp",
]


def _numpy(dtype):
    return None if dtype is None else dtype.numpy


@op(method=True)
def cumsum(x: Array, dim, *, dtype=None):
    """Running sums: `out[i] = x[0] + ... + x[i]` along `dim`.

    Args:
        input: any shape.
        dim: the dimension to run along.
        dtype: add up in this type (integers add up in int64).

    Raises:
        IndexError: `dim` is out of range.

    >>> import tapegrad as torch
    >>> torch.cumsum(torch.tensor([1.0, 2.0, 3.0]), dim=0)
    tensor([1., 3., 6.])
    """
    return kernels.cumsum(x, one("cumsum", dim, x), False, _numpy(dtype))


@op(node="FlipBackward0")
def _cumsum_from_end(x: Array, dim):
    return kernels.cumsum(x, one("cumsum", dim, x), True, None)


@op(method=True)
def cumprod(x: Array, dim, *, dtype=None):
    """Running products: `out[i] = x[0] * ... * x[i]` along `dim`.

    Args:
        input: any shape.
        dim: the dimension to run along.
        dtype: multiply in this type (integers multiply in int64).

    Raises:
        IndexError: `dim` is out of range.

    >>> import tapegrad as torch
    >>> torch.cumprod(torch.tensor([1.0, 2.0, 3.0]), dim=0)
    tensor([1., 2., 6.])
    """
    return kernels.cumprod(x, one("cumprod", dim, x), False, _numpy(dtype))


@op(node="FlipBackward0")
def cumprod_from_end(x: Array, dim):
    """Running products from the end."""
    return kernels.cumprod(x, one("cumprod", dim, x), True, None)


def _same(x, dim, dtype=None):
    shapes.axis("scan", dim, len(x))
    return x


for _f in (cumsum, _cumsum_from_end, cumprod, cumprod_from_end):
    _f.shape(_same)
make_inplace(cumsum)
make_inplace(cumprod)


@cumsum.grad
def _(g, dim):
    return _cumsum_from_end(g, dim)


@_cumsum_from_end.grad
def _(g, dim):
    return cumsum(g, dim)


# d out[k] / d x[i] is the product of the others up to k: what lies before i, times what lies between i and k. The
# second factor, weighted by g, is a recurrence. No division: `g * out / x` would fail where x is 0.


@cumprod.grad
def _(g, x, out, dim):
    out, x = conjugate(out), conjugate(x)
    return shift(out, dim, 1, 1) * recurrence(shift(x, dim, -1), g, dim, True)


@cumprod_from_end.grad
def _(g, x, out, dim):
    out, x = conjugate(out), conjugate(x)
    return shift(out, dim, -1, 1) * recurrence(shift(x, dim, 1), g, dim, False)


@op(method=True)
def logcumsumexp(x: Array, dim):
    """Running `log(exp(x[0]) + ... + exp(x[i]))` along `dim`, without overflow.

    Args:
        input: any shape, floating point.
        dim: the dimension to run along.

    >>> import tapegrad as torch
    >>> torch.logcumsumexp(torch.tensor([0.0, 0.0]), dim=0)
    tensor([0.0000, 0.6931])
    """
    if x.dtype.kind in "biu":
        raise RuntimeError(message("logcumsumexp: needs a floating-point tensor", got=str(x.dtype), fix="use .float()"))
    return kernels.logcumsumexp(x, one("logcumsumexp", dim, x))


logcumsumexp.shape(_same)


# d out[k] / d x[i] = exp(x[i] - out[k]) is exp(x[i] - out[i]) times the ratios exp(out[j] - out[j + 1]) from i to k:
# none of them exceeds 1.
@logcumsumexp.grad
def _(g, x, out, dim):
    ratio = exp(out - shift(out, dim, -1, math.inf))
    return exp(x - out) * recurrence(ratio, g, dim, True)


@op(method=True, returns=("values", "indices"))
def cummax(x: Array, dim):
    """Running maximum along `dim` and the position of its latest occurrence; NaN counts as the largest.

    >>> import tapegrad as torch
    >>> torch.cummax(torch.tensor([1.0, 3.0, 2.0]), dim=0).indices
    tensor([0, 1, 1])
    """
    return kernels.cumulative_extreme(x, one("cummax", dim, x), True)


@op(method=True, returns=("values", "indices"))
def cummin(x: Array, dim):
    """Running minimum along `dim` and the position of its latest occurrence; NaN counts as the smallest.

    >>> import tapegrad as torch
    >>> torch.cummin(torch.tensor([2.0, 1.0, 3.0]), dim=0).values
    tensor([2., 1., 1.])
    """
    return kernels.cumulative_extreme(x, one("cummin", dim, x), False)


def _scattered(g, indices, x_shape, dim):
    return place(g, indices, x_shape, dim, True, True)


for _f in (cummax, cummin):
    _f.grad(_scattered)
    _f.shape(_same)
