"""Reductions and normalizations of the elements that a mask selects: `torch.masked`. All composed.

An element where the mask is False counts as the identity of the operation (0 for a sum, 1 for a product, -inf for a
maximum), so a row of which nothing is selected gives that identity, and NaN for a mean. Its gradient is 0.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ... import dtypes, shapes
from ...core.tensor import Tensor
from ...errors import message
from ..creation.cast import to_dtype
from ..neural import softmax as rows
from ..pointwise import functions, powers
from ..pointwise.arithmetic import mul, sub, true_divide
from ..pointwise.bounds import clamp_min
from ..pointwise.compare import where
from ..pointwise.complex import conj
from ..shape.movement import expand
from . import extremes, reduce, scan
from .sort import nanmedian

Dim = Any  # an integer, several, or None for all of them

# ---- what is selected ----------------------------------------------------------------------------------------------


def _tensor(name: str, x: Any) -> Tensor:
    if not isinstance(x, Tensor):
        raise TypeError(message(f"masked.{name}: the input must be a tensor", got=type(x).__name__))
    return x


def _mask(name: str, x: Tensor, mask: Tensor) -> Tensor:
    """The mask as truth values in the shape of `x`."""
    if not isinstance(mask, Tensor):
        raise TypeError(message(f"masked.{name}: the mask must be a tensor", got=type(mask).__name__))
    if mask.ndim > x.ndim:
        got = f"{mask.ndim} dimensions for {x.ndim}"
        raise IndexError(message(f"masked.{name}: the mask has more dimensions than the input", got=got))
    return expand(to_dtype(mask, dtypes.bool_), x.shape)


def _filled(name: str, x: Any, mask: Tensor | None, identity: Any) -> Tensor:
    """`x` with the identity in place of what is not selected; `identity` is a number, or a function of `x`."""
    x = _tensor(name, x)
    if mask is None:
        return x
    value = identity(name, x) if callable(identity) else identity
    return where(_mask(name, x, mask), x, value)


def _lowest(name: str, x: Tensor) -> float | int:
    """The identity of a maximum."""
    if x.dtype.is_floating_point:
        return -math.inf
    if x.dtype.kind != dtypes.INT:
        raise NotImplementedError(message(f"masked.{name}: there is no least element", got=x.dtype))
    return int(np.iinfo(x.dtype.numpy).min)


def _highest(name: str, x: Tensor) -> float | int:
    """The identity of a minimum."""
    if x.dtype.kind == dtypes.INT:
        return int(np.iinfo(x.dtype.numpy).max)
    return -_lowest(name, x)


def _all(dim: Dim) -> Dim:
    return None if dim is None or (isinstance(dim, tuple | list) and not dim) else dim


def _to(x: Tensor, dtype: Any) -> Tensor:
    return x if dtype is None else to_dtype(x, dtype)


def _count(name: str, x: Tensor, dim: Dim, mask: Tensor | None) -> Any:
    """How many elements are selected along `dim`, which is kept; a number without a mask."""
    if mask is None:
        over = shapes.axes(name, dim, x.ndim) if x.ndim else ()
        return math.prod(x.shape if over is None else (x.shape[d] for d in over))
    return reduce.sum(_mask(name, x, mask), _all(dim), True)


# ---- sums and products ---------------------------------------------------------------------------------------------


def sum(
    input: Tensor, dim: Dim = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """The sum of the selected elements, 0 of none. Composed.

    Args:
        input: any shape.
        dim: the dimension or dimensions (default: all).
        keepdim: keep them with size 1.
        dtype: the type of the result (integers add up in int64).
        mask: True for what is selected; a shape that broadcasts to that of `input`. None selects all.

    Raises:
        IndexError: the mask has more dimensions than the input.
        RuntimeError: the mask does not broadcast.

    >>> import tapegrad as torch
    >>> torch.masked.sum(torch.tensor([1.0, 2.0, 3.0]), mask=torch.tensor([True, False, True]))
    tensor(4.)
    """
    return reduce.sum(_filled("sum", input, mask, 0), _all(dim), keepdim, dtype=dtype)


def prod(
    input: Tensor, dim: Dim = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """The product of the selected elements, 1 of none; arguments as for `sum`. Composed.

    >>> import tapegrad as torch
    >>> torch.masked.prod(torch.tensor([1.0, 2.0, 3.0]), mask=torch.tensor([True, False, True]))
    tensor(3.)
    """
    x = _filled("prod", input, mask, 1)
    over = shapes.axes("prod", dim, x.ndim)
    if not x.ndim:
        return reduce.prod(x, dtype=dtype)
    for d in sorted(range(x.ndim) if over is None else over, reverse=True):
        x = reduce.prod(x, d, keepdim, dtype=dtype)
    return x


def cumsum(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """Running sums of the selected elements along a dimension; other arguments as for `sum`. Composed.

    >>> import tapegrad as torch
    >>> torch.masked.cumsum(torch.tensor([1.0, 2.0, 3.0]), 0, mask=torch.tensor([True, False, True]))
    tensor([1., 1., 4.])
    """
    return _running("cumsum", scan.cumsum, input, dim, dtype, mask, 0)


def cumprod(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """Running products of the selected elements along a dimension; other arguments as for `sum`. Composed.

    >>> import tapegrad as torch
    >>> torch.masked.cumprod(torch.tensor([1.0, 2.0, 3.0]), 0, mask=torch.tensor([True, False, True]))
    tensor([1., 1., 3.])
    """
    return _running("cumprod", scan.cumprod, input, dim, dtype, mask, 1)


def _running(
    name: str, function: Callable, x: Tensor, dim: int, dtype: Any, mask: Tensor | None, identity: int
) -> Tensor:
    dtype = _tensor(name, x).dtype if dtype is None else dtype
    if dtype is dtypes.bool_:
        raise NotImplementedError(message(f"masked.{name}: not defined for truth values", fix="give dtype="))
    return function(_filled(name, x, mask, identity), dim, dtype=dtype)


# ---- extremes ------------------------------------------------------------------------------------------------------


def amax(
    input: Tensor, dim: Dim = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """The largest of the selected elements, -inf of none (for integers the least number); arguments as for `sum`.
    Composed.

    >>> import tapegrad as torch
    >>> torch.masked.amax(torch.tensor([1.0, 5.0, 3.0]), mask=torch.tensor([True, False, True]))
    tensor(3.)
    """
    return _to(extremes.amax(_filled("amax", input, mask, _lowest), () if dim is None else dim, keepdim), dtype)


def amin(
    input: Tensor, dim: Dim = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """The smallest of the selected elements, inf of none (for integers the greatest number); arguments as for `sum`.
    Composed.

    >>> import tapegrad as torch
    >>> torch.masked.amin(torch.tensor([3.0, 1.0, 5.0]), mask=torch.tensor([True, False, True]))
    tensor(3.)
    """
    return _to(extremes.amin(_filled("amin", input, mask, _highest), () if dim is None else dim, keepdim), dtype)


def argmax(
    input: Tensor, dim: int | None = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """Where the largest of the selected elements is, in the type of the input; arguments as for `sum`. Composed.

    >>> import tapegrad as torch
    >>> torch.masked.argmax(torch.tensor([1, 5, 3]), mask=torch.tensor([True, False, True]))
    tensor(2)
    """
    x = _filled("argmax", input, mask, _lowest)
    return to_dtype(extremes.argmax(x, dim, keepdim), x.dtype if dtype is None else dtype)


def argmin(
    input: Tensor, dim: int | None = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """Where the smallest of the selected elements is, in the type of the input; arguments as for `sum`. Composed.

    >>> import tapegrad as torch
    >>> torch.masked.argmin(torch.tensor([3, 1, 5]), mask=torch.tensor([True, False, True]))
    tensor(0)
    """
    x = _filled("argmin", input, mask, _highest)
    return to_dtype(extremes.argmin(x, dim, keepdim), x.dtype if dtype is None else dtype)


# ---- moments and norms ---------------------------------------------------------------------------------------------


def mean(
    input: Tensor, dim: Dim = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """The mean of the selected elements, NaN of none; arguments as for `sum`. Composed.

    Raises:
        ValueError: integers without a floating-point `dtype`.

    >>> import tapegrad as torch
    >>> torch.masked.mean(torch.tensor([1.0, 2.0, 3.0]), mask=torch.tensor([True, False, True]))
    tensor(2.)
    """
    x = _tensor("mean", input)
    kind = x.dtype if dtype is None else dtype
    if kind.kind < dtypes.FLOAT:
        raise ValueError(message("masked.mean: the result must be floating point", got=kind, fix="give dtype="))
    count = _count("mean", x, dim, mask)
    if isinstance(count, Tensor) and not keepdim:
        count = reduce.sum(_mask("mean", x, mask), _all(dim))
    return true_divide(sum(x, dim, keepdim=keepdim, dtype=kind, mask=mask), count)


def median(
    input: Tensor, dim: int = -1, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """The lower median of the selected elements along a dimension, NaN of none; other arguments as for `sum`. Composed.

    Raises:
        ValueError: integers of which a whole row is not selected.

    >>> import tapegrad as torch
    >>> torch.masked.median(torch.tensor([1.0, 9.0, 3.0, 5.0]), mask=torch.tensor([True, False, True, True]))
    tensor(3.)
    """
    x = _to(_tensor("median", input), dtype)
    if x.dtype.is_floating_point:
        return nanmedian(_filled("median", x, mask, math.nan), dim, keepdim).values
    if mask is not None and not reduce.any(_mask("median", x, mask), dim).array.all():
        raise ValueError(message("masked.median: a row of integers of which nothing is selected", fix="x.float()"))
    found = nanmedian(_filled("median", to_dtype(x, dtypes.float64), mask, math.nan), dim, keepdim).values
    return to_dtype(found, x.dtype)


def norm(
    input: Tensor, ord: float = 2.0, dim: Dim = None, *, keepdim: bool = False, dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The norm of order `ord` of the selected elements, 0 of none; other arguments as for `sum`. Composed.

    >>> import tapegrad as torch
    >>> torch.masked.norm(torch.tensor([3.0, 9.0, 4.0]), mask=torch.tensor([True, False, True]))
    tensor(5.)
    """
    x = _filled("norm", input, mask, math.inf if ord == -math.inf else 0)
    return reduce.vector_norm(x, ord, _all(dim), keepdim, dtype=dtype)


def var(
    input: Tensor, dim: Dim = None, unbiased: bool | None = None, *, correction: float | None = None,
    keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The variance of the selected elements. Composed.

    Args:
        unbiased: whether 1 is taken from the count (default), or nothing.
        correction: what is taken from the count.
        input, dim, keepdim, dtype, mask: as for `sum`.

    >>> import tapegrad as torch
    >>> torch.masked.var(torch.tensor([1.0, 9.0, 3.0]), mask=torch.tensor([True, False, True]))
    tensor(2.)
    """
    x, kind = _tensor("var", input), dtype
    if unbiased is not None and correction is not None:
        got = f"unbiased={unbiased}, correction={correction}"
        raise AssertionError(message("masked.var: unbiased and correction say the same", got=got))
    less = correction if correction is not None else 1 if unbiased is None or unbiased else 0
    if kind is None or kind.kind < dtypes.FLOAT:
        kind = x.dtype if x.dtype.kind >= dtypes.FLOAT else dtypes.float32
    x = to_dtype(x, kind)
    count = _count("var", x, dim, mask)
    away = sub(x, true_divide(sum(x, dim, keepdim=True, mask=mask), count))
    square = mul(away, conj(away) if away.is_complex() else away)
    total = sum(square, dim, keepdim=keepdim, mask=mask)
    if isinstance(count, Tensor):
        count = count.reshape(total.shape)
        return true_divide(total, clamp_min(sub(count, less), 0))
    return true_divide(total, builtins.max(count - less, 0))


def std(
    input: Tensor, dim: Dim = None, unbiased: bool | None = None, *, correction: float | None = None,
    keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The standard deviation of the selected elements, the square root of `var`; arguments as there. Composed.

    >>> import tapegrad as torch
    >>> torch.masked.std(torch.tensor([1.0, 9.0, 3.0]), mask=torch.tensor([True, False, True]))
    tensor(1.4142)
    """
    found = var(input, dim, unbiased, correction=correction, keepdim=keepdim, dtype=dtype, mask=mask)
    return functions.sqrt(found)


def logsumexp(
    input: Tensor, dim: Dim = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """`log(sum(exp(x)))` of the selected elements, -inf of none, in the type of the input; arguments as for `sum`.
    Composed.

    >>> import tapegrad as torch
    >>> torch.masked.logsumexp(torch.tensor([0.0, 9.0, 0.0]), mask=torch.tensor([True, False, True]))
    tensor(0.6931)
    """
    x = _filled("logsumexp", input, mask, _lowest)
    return to_dtype(reduce.logsumexp(x, _all(dim), keepdim), x.dtype if dtype is None else dtype)


# ---- elementwise ---------------------------------------------------------------------------------------------------


def softmax(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """`softmax` of the selected elements along a dimension, 0 for the others (NaN where none is selected). Composed.

    Args:
        input, dtype, mask: as for `sum`.
        dim: the dimension that sums to 1.

    >>> import tapegrad as torch
    >>> torch.masked.softmax(torch.tensor([0.0, 9.0, 0.0]), 0, mask=torch.tensor([True, False, True]))
    tensor([0.5000, 0.0000, 0.5000])
    """
    return rows.softmax(_filled("softmax", input, mask, _lowest), dim, dtype)


def log_softmax(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """The logarithm of `softmax`; arguments as there. Composed.

    >>> import tapegrad as torch
    >>> torch.masked.log_softmax(torch.tensor([0.0, 9.0, 0.0]), 0, mask=torch.tensor([True, False, True]))
    tensor([-0.6931,    -inf, -0.6931])
    """
    return rows.log_softmax(_filled("log_softmax", input, mask, _lowest), dim, dtype)


def softmin(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """`softmax(-x)` of the selected elements; arguments as there. Composed.

    >>> import tapegrad as torch
    >>> torch.masked.softmin(torch.tensor([0.0, -9.0, 0.0]), 0, mask=torch.tensor([True, False, True]))
    tensor([0.5000, 0.0000, 0.5000])
    """
    return rows.softmax(functions.neg(_filled("softmin", input, mask, _highest)), dim, dtype)


def normalize(
    input: Tensor, ord: float, dim: Dim, *, eps: float = 1e-12, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """The selected elements divided by their norm along `dim`, 0 for the others. Composed.

    Args:
        ord: the order of the norm.
        eps: the least number that is divided by.
        input, dim, dtype, mask: as for `sum`.

    >>> import tapegrad as torch
    >>> torch.masked.normalize(torch.tensor([3.0, 9.0, 4.0]), 2.0, 0, mask=torch.tensor([True, False, True]))
    tensor([0.6000, 0.0000, 0.8000])
    """
    length = norm(input, ord, dim, keepdim=True, dtype=dtype, mask=mask)
    return true_divide(_to(_filled("normalize", input, mask, 0), dtype), clamp_min(length, eps))


def logaddexp(
    input: Tensor, other: Tensor, *, dtype: Any = None, input_mask: Tensor | None = None,
    other_mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """`log(exp(x) + exp(y))`, elementwise, without what is not selected, in the type of the input. Composed.

    Args:
        input, other: two tensors.
        dtype: the type of the result.
        input_mask, other_mask: True for what is selected of each.

    >>> import tapegrad as torch
    >>> x = torch.tensor([0.0, 0.0])
    >>> torch.masked.logaddexp(x, x, other_mask=torch.tensor([True, False]))
    tensor([0.6931, 0.0000])
    """
    x = _filled("logaddexp", input, input_mask, _lowest)
    y = _filled("logaddexp", other, other_mask, _lowest)
    return to_dtype(powers.logaddexp(x, y), input.dtype if dtype is None else dtype)
