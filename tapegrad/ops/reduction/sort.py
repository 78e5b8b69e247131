"""Order: sorting, the largest few, medians and quantiles, unique values, and search in sorted sequences.

The values of a sort are elements of the input, so every derivative here puts the gradient back where the value came
from (`place` in `adjoints`). NaN counts as larger than every number.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import dtypes, modes, shapes
from ...backends.cpu import reduce as choices
from ...backends.cpu import sort as kernels
from ...core.dispatch import write_out
from ...core.op import Array, op
from ...core.tensor import Tensor, wrap
from ...errors import message
from ..casting import full
from ..shape.movement import movedim
from .adjoints import numpy_names, one, pick, place, reduced_shape, spread
from .extremes import placed, ties
from .reduce import sum

__all__ = [
    "argsort",
    "bucketize",
    "isin",
    "kthvalue",
    "median",
    "mode",
    "msort",
    "nanmedian",
    "nanquantile",
    "quantile",
    "searchsorted",
    "sort",
    "topk",
    "unique",
    "unique_consecutive",
]


def _real(where: str, x: Array) -> None:
    if x.dtype.kind == "c":
        raise RuntimeError(message(f"{where}: complex numbers have no order"))


def _sort_name(node: Any) -> str:
    return f"SortBackward{0 if node.op.attributes(*node.attrs)[2] is None else 1}"


@op(method=True, node=_sort_name, returns=("values", "indices"))
def sort(x: Array, dim=-1, descending=False, stable=None):
    """Sort along `dim`; equal elements keep their order, and NaN comes after all numbers (first if descending).

    Args:
        input: any shape.
        dim: the dimension to sort.
        descending: the largest first.
        stable: accepted for PyTorch's sake; the sort is always stable.

    Returns:
        `(values, indices)`: the sorted values and where they came from.

    >>> import tapegrad as torch
    >>> torch.sort(torch.tensor([3.0, 1.0, 2.0])).indices
    tensor([1, 2, 0])
    """
    _real("sort", x)
    return kernels.sort(x, one("sort", dim, x), descending)


@sort.grad
def _(g, indices, x_shape, dim):
    return place(g, indices, x_shape, dim, True)


@op(method=True, nondiff=True)
def argsort(x: Array, dim=-1, descending=False, stable=False):
    """The positions that sort along `dim`; equal elements keep their order.

    >>> import tapegrad as torch
    >>> torch.argsort(torch.tensor([3.0, 1.0, 2.0]))
    tensor([1, 2, 0])
    """
    _real("argsort", x)
    return kernels.argsort(x, one("argsort", dim, x), descending)


def msort(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Sort along the first dimension; composed of `sort`.

    >>> import tapegrad as torch
    >>> torch.msort(torch.tensor([3.0, 1.0, 2.0]))
    tensor([1., 2., 3.])
    """
    return sort(input, 0)[0] if out is None else sort(input, 0, out=(out, wrap(np.empty(0, np.int64))))[0]


@op(method=True, returns=("values", "indices"))
def topk(x: Array, k, dim=-1, largest=True, sorted=True):
    """The `k` largest (or smallest) along `dim`, in order, and where they are.

    Args:
        input: any shape.
        k: how many.
        dim: the dimension to search.
        largest: the largest, or the smallest.
        sorted: accepted for PyTorch's sake; the result is always in order.

    Raises:
        RuntimeError: there are fewer than `k`.

    >>> import tapegrad as torch
    >>> torch.topk(torch.tensor([1.0, 4.0, 3.0]), 2).values
    tensor([4., 3.])
    """
    _real("topk", x)
    axis = one("topk", dim, x)
    n = x.shape[axis] if x.ndim else 1
    if not 0 <= k <= n:
        raise RuntimeError(message("topk: k is out of range", got=f"k={k}", expected=f"0 to {n}"))
    return kernels.topk(x, int(k), axis, largest)


@topk.grad
def _(g, indices, x_shape, dim):
    return place(g, indices, x_shape, dim, True)


def _one_of(where: str, x: Array, dim: int) -> int:
    """The axis, which must not be empty."""
    _real(where, x)
    axis = one(where, dim, x)
    if x.ndim and x.shape[axis] == 0:
        text = message(
            f"{where}: the dimension is empty", got=f"shape {x.shape}, dim={dim}", expected="a size of 1 or more"
        )
        raise IndexError(text)
    return axis


@op(method=True, returns=("values", "indices"))
def kthvalue(x: Array, k, dim=-1, keepdim=False):
    """The `k`-th smallest along `dim` (counted from 1) and where it is.

    Raises:
        RuntimeError: there are fewer than `k`.

    >>> import tapegrad as torch
    >>> torch.kthvalue(torch.tensor([5.0, 1.0, 3.0]), 2).values
    tensor(3.)
    """
    axis = _one_of("kthvalue", x, dim)
    n = x.shape[axis] if x.ndim else 1
    if not 1 <= k <= n:
        raise RuntimeError(message("kthvalue: k is out of range", got=f"k={k}", expected=f"1 to {n}"))
    return kernels.kth(x, int(k), axis, keepdim)


@op(name="median", node="MedianBackward1", returns=("values", "indices"))
def _median_along(x: Array, dim, keepdim=False):
    return kernels.median(x, _one_of("median", x, dim), keepdim, False)


@op(name="nanmedian", node="NanmedianBackward1", returns=("values", "indices"))
def _nanmedian_along(x: Array, dim, keepdim=False):
    return kernels.median(x, _one_of("nanmedian", x, dim), keepdim, True)


@op(method=True, returns=("values", "indices"))
def mode(x: Array, dim=-1, keepdim=False):
    """The most frequent value along `dim` (the smallest of them, if several) and its last position.

    >>> import tapegrad as torch
    >>> torch.mode(torch.tensor([2, 5, 5, 2, 5])).values
    tensor(5)
    """
    return kernels.mode(x, _one_of("mode", x, dim), keepdim)


for _f in (kthvalue, _median_along, _nanmedian_along, mode):
    _f.grad(placed)
kthvalue.op.lone_out = True


@op(node="MedianBackward0")
def _median(x: Array):
    _real("median", x)
    return kernels.median(x.reshape(-1), 0, False, False)[0] if x.size else x.dtype.type(np.nan)


@op(node="NanmedianBackward0")
def _nanmedian(x: Array):
    _real("nanmedian", x)
    return kernels.median(x.reshape(-1), 0, False, True)[0] if x.size else x.dtype.type(np.nan)


def _shared(g, x, out):
    return spread(g, x.shape) * ties(x, out, lost=True)


_median.grad(_shared), _nanmedian.grad(_shared)


@numpy_names
def median(input: Tensor, dim: int | None = None, keepdim: bool = False, *, out: Any = None) -> Any:
    """The median: the lower of the middle two, if there are two; NaN if there is one.

    Args:
        input: any shape.
        dim: the dimension; the result is then `(values, indices)`. Default: the whole tensor.
        keepdim: keep it with size 1.

    Raises:
        IndexError: the dimension is empty.

    >>> import tapegrad as torch
    >>> torch.median(torch.tensor([1.0, 5.0, 3.0, 4.0]))
    tensor(3.)
    """
    named = {} if out is None else {"out": out}
    return _median(input, **named) if dim is None else _median_along(input, dim, keepdim, **named)


@numpy_names
def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False, *, out: Any = None) -> Any:
    """The median of the elements that are not NaN; the arguments are those of `median`.

    >>> import tapegrad as torch
    >>> torch.nanmedian(torch.tensor([1.0, float("nan"), 3.0]))
    tensor(1.)
    """
    named = {} if out is None else {"out": out}
    return _nanmedian(input, **named) if dim is None else _nanmedian_along(input, dim, keepdim, **named)


# ---- quantiles ------------------------------------------------------------------------------------------------------


@op(node="SqueezeBackward4", returns=("out", "below", "above", "scale", "offset"), hidden=4)
def _quantile(x: Array, q: Array, interpolation, skip_nan):
    return kernels.quantile(x, q, interpolation, skip_nan)


@_quantile.shape
def _(x, q, interpolation, skip_nan):
    return (*x[:-1], *q)


@_quantile.grad
def _(g, q, below, above, scale, offset, x_shape, interpolation):
    weight = q * scale - offset if interpolation == "linear" else 0.5 if interpolation == "midpoint" else 0.0
    return place(g * (1 - weight), below, x_shape, -1, True, True) + place(g * weight, above, x_shape, -1, True, True)


@_quantile.grad("q")
def _(g, x, q_shape, below, above, scale, interpolation):
    slope = (pick(x, above, -1, True) - pick(x, below, -1, True)) * scale if interpolation == "linear" else 0
    return sum((g * slope).reshape(math.prod(x.shape[:-1]), *q_shape), 0)


def _check_quantile(where: str, x: Tensor, q: Tensor, interpolation: str) -> None:
    problem = got = None
    if x.dtype not in (dtypes.float32, dtypes.float64):
        problem, got = "needs a float32 or float64 tensor", x.dtype
    elif x.array.size == 0:
        problem, got = "the input is empty", f"shape {tuple(x.shape)}"
    elif q.dtype is not x.dtype:
        problem, got = "q and the input have different types", f"{q.dtype} and {x.dtype}"
    elif q.array.ndim > 1:
        problem, got = "q must be a number or one-dimensional", f"shape {tuple(q.shape)}"
    elif not ((q.array >= 0) & (q.array <= 1)).all():
        problem, got = "q must lie between 0 and 1", q.array
    elif interpolation not in kernels.INTERPOLATIONS:
        problem, got = f"interpolation must be one of {', '.join(kernels.INTERPOLATIONS)}", repr(interpolation)
    if problem:
        raise RuntimeError(message(f"{where}: {problem}", got=got))


def _quantiles(where: str, x: Tensor, q: Any, dim: Any, keepdim: bool, interpolation: str, out: Any) -> Tensor:
    q = q if isinstance(q, Tensor) else wrap(np.array(q, x.array.dtype))
    _check_quantile(where, x, q, interpolation)
    ndim = x.array.ndim
    rows = x.reshape(-1) if dim is None or ndim == 0 else movedim(x, one(where, dim, x.array), -1)
    found = movedim(_quantile(rows, q.reshape(-1), interpolation, where == "nanquantile"), -1, 0)
    shape = tuple(found.shape[1:])
    if keepdim and ndim:
        axis = None if dim is None else one(where, dim, x.array)
        shape = (1,) * ndim if axis is None else (*shape[:axis], 1, *shape[axis:])
    found = found.reshape((*q.shape, *shape))
    return found if out is None else write_out(_quantile.op, [x, q], found.array, out)


@full
@numpy_names
def quantile(
    input: Tensor,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
    out: Any = None,
) -> Tensor:
    """The value below which a share `q` of the elements lies; NaN where there is one.

    Args:
        input: any shape, float32 or float64.
        q: shares between 0 and 1: a number, or a tensor of m of them; the result then begins with size m.
        dim: the dimension (default: the whole tensor).
        keepdim: keep it with size 1.
        interpolation: between two elements: "linear", "lower", "higher", "midpoint" or "nearest".

    Raises:
        RuntimeError: the type, `q` or `interpolation` does not fit, or the input is empty.

    >>> import tapegrad as torch
    >>> torch.quantile(torch.tensor([0.0, 1.0, 2.0, 3.0]), 0.5)
    tensor(1.5000)
    """
    return _quantiles("quantile", input, q, dim, keepdim, interpolation, out)


@full
@numpy_names
def nanquantile(
    input: Tensor,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
    out: Any = None,
) -> Tensor:
    """`quantile` of the elements that are not NaN; the arguments are those of `quantile`.

    >>> import tapegrad as torch
    >>> torch.nanquantile(torch.tensor([0.0, float("nan"), 2.0]), 0.5)
    tensor(1.)
    """
    return _quantiles("nanquantile", input, q, dim, keepdim, interpolation, out)


# ---- sets and search ------------------------------------------------------------------------------------------------


@op(name="_unique", nondiff=True, nout=3)
def _unique(x: Array, dim, consecutive, inverse):
    """Values, inverse (if asked for) and counts; along `dim` slices are compared."""
    if dim is None:
        if not consecutive:
            return kernels.unique(x, inverse)
        values, group, counts = kernels.runs(x.reshape(-1), inverse)
        return values, group.reshape(x.shape) if inverse else group, counts
    axis = one("unique", dim, x)
    if x.size == 0 and x.ndim and x.shape[axis]:
        text = message("unique: the slices are empty", got=f"shape {x.shape}, dim={dim}", expected="no other size of 0")
        raise RuntimeError(text)
    rows = np.moveaxis(x, axis, 0) if x.ndim else x.reshape(1)
    values, group, counts = (kernels.runs if consecutive else kernels.unique_rows)(rows)
    return np.ascontiguousarray(np.moveaxis(values, 0, axis)), group, counts


def _wanted(found: tuple, return_inverse: bool, return_counts: bool) -> Any:
    values, inverse, counts = found
    results = (values, *((inverse,) if return_inverse else ()), *((counts,) if return_counts else ()))
    return results if len(results) > 1 else values


def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct elements in rising order, or the distinct slices along `dim` in lexicographic order.

    Args:
        input: any shape.
        sorted: accepted for PyTorch's sake; the result is always sorted.
        return_inverse: also give for each element its place in the result.
        return_counts: also give how often each occurs.
        dim: compare slices along this dimension.

    >>> import tapegrad as torch
    >>> torch.unique(torch.tensor([3, 1, 3]), return_counts=True)
    (tensor([1, 3]), tensor([1, 2]))
    """
    return _wanted(_unique(input, dim, False, return_inverse), return_inverse, return_counts)


def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The elements (or slices along `dim`) without those equal to the one before.

    >>> import tapegrad as torch
    >>> torch.unique_consecutive(torch.tensor([3, 3, 1, 3]))
    tensor([3, 1, 3])
    """
    return _wanted(_unique(input, dim, True, return_inverse), return_inverse, return_counts)


def _as_tensor(x: Any) -> Tensor:
    return x if isinstance(x, Tensor) else wrap(np.array(x, modes.defaults.numpy if isinstance(x, float) else None))


@op(name="searchsorted", nondiff=True)
def _searchsorted(sorted_sequence: Array, x: Array, sorter: Array | None, out_int32, right):
    edges = sorted_sequence
    if edges.ndim == 0 or (edges.ndim > 1 and edges.shape[:-1] != x.shape[:-1]):
        text = message(
            "searchsorted: the sequences and the values do not match",
            got=f"{edges.shape} and {x.shape}",
            expected="one sequence, or equal leading sizes",
        )
        raise RuntimeError(text)
    if sorter is not None:
        if sorter.shape != edges.shape:
            raise RuntimeError(
                message("searchsorted: sorter has another shape", got=sorter.shape, expected=edges.shape)
            )
        edges = kernels.take(edges, sorter, edges.ndim - 1)
    return np.asarray(kernels.searchsorted(edges, x, right)).astype(np.int32 if out_int32 else np.int64)


_searchsorted.shape(lambda sorted_sequence, x, sorter, out_int32, right: x)


def searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """The places where values would keep a sorted sequence sorted.

    Args:
        sorted_sequence: (n,), or (..., n): one sequence for each row of `input`.
        input: the values: any shape for one sequence, else (..., m).
        out_int32: give int32 instead of int64.
        right: after equal elements instead of before them (`side="right"`).
        sorter: the positions that sort the sequence, if it is not sorted.

    Raises:
        RuntimeError: the leading sizes differ, or `side` contradicts `right`.

    >>> import tapegrad as torch
    >>> torch.searchsorted(torch.tensor([1.0, 3.0, 5.0]), torch.tensor([3.0, 4.0]))
    tensor([1, 2])
    """
    if side not in (None, "left", "right") or (side == "left" and right):
        raise RuntimeError(message("searchsorted: side and right do not fit", got=f"side={side!r}, right={right}"))
    named = {} if out is None else {"out": out}
    return _searchsorted(sorted_sequence, _as_tensor(input), sorter, out_int32, right or side == "right", **named)


def bucketize(
    input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False, out: Tensor | None = None
) -> Tensor:
    """Which interval between sorted `boundaries` each value lies in; composed of `searchsorted`.

    >>> import tapegrad as torch
    >>> torch.bucketize(torch.tensor([0.5, 3.0, 9.0]), torch.tensor([1.0, 3.0, 5.0]))
    tensor([0, 1, 3])
    """
    if boundaries.array.ndim != 1:
        raise RuntimeError(
            message("bucketize: boundaries must have one dimension", got=f"shape {tuple(boundaries.shape)}")
        )
    return searchsorted(boundaries, input, out_int32=out_int32, right=right, out=out)


@op(name="isin", nondiff=True)
def _isin(elements: Array, test_elements: Array, invert):
    return np.isin(choices.wide(elements), choices.wide(test_elements).reshape(-1), invert=invert)


_isin.shape(lambda elements, test_elements, invert: elements)


def isin(
    elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False, out: Any = None
) -> Tensor:
    """For each element whether it is one of `test_elements` (not one of them, if `invert`).

    >>> import tapegrad as torch
    >>> torch.isin(torch.tensor([1, 2, 3]), torch.tensor([2, 3]))
    tensor([False,  True,  True])
    """
    return _isin(_as_tensor(elements), _as_tensor(test_elements), invert, **({} if out is None else {"out": out}))


for _f in (sort, argsort):
    _f.shape(lambda x, dim=-1, descending=False, stable=False: x)
for _f in (_median, _nanmedian):
    _f.shape(lambda x: ())
for _f in (_median_along, _nanmedian_along, mode):
    _f.shape(reduced_shape)
kthvalue.shape(lambda x, k, dim=-1, keepdim=False: reduced_shape(x, dim, keepdim))


@topk.shape
def _(x, k, dim=-1, largest=True, sorted=True):
    axis = shapes.axis("topk", dim, len(x))
    return (*x[:axis], k, *x[axis + 1 :]) if x else ()


for _f in (msort, median, nanmedian, quantile, nanquantile, unique, unique_consecutive):
    setattr(Tensor, _f.__name__, _f)
