"""Reductions on NumPy arrays: sums, products, extremes, logic, moments, norms, and the maps their derivatives use.

`axis` is None (everything) or a tuple of axes counted from the front; for the operations that give an index it is one
axis. Half precision (float16, bfloat16) is computed in float32 and rounded once at the end, as PyTorch does.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import fused
from .halves import FLOAT32, HALVES, narrow, wide, widen

Axes = tuple[int, ...] | None
FLOAT64, INT64, BOOL, UINT8 = map(np.dtype, (np.float64, np.int64, np.bool_, np.uint8))


def like(found: Any, dtype: np.dtype) -> Any:
    """Round a result that was computed in a wider type."""
    return found if found.dtype == dtype else narrow(found, dtype) if found.size > 1 else found.astype(dtype)


def count(shape: tuple[int, ...], axis: Axes) -> int:
    """How many elements are reduced to one."""
    return math.prod(shape) if axis is None else math.prod(shape[a] for a in axis)


def kept(shape: tuple[int, ...], axis: Axes) -> tuple[int, ...]:
    """The shape with the reduced axes as ones."""
    return (1,) * len(shape) if axis is None else tuple(1 if i in axis else n for i, n in enumerate(shape))


def ordered(found: Any) -> Any:
    """In row-major order, as PyTorch's reductions are; NumPy's keep the order of the input."""
    return found if found.ndim < 2 or found.flags.c_contiguous else found.copy()


# ---- sums, products, logic ------------------------------------------------------------------------------------------


LARGE = 65536  # elements: in smaller arrays the order of the steps does not matter
SHORT = 16  # elements: shorter lines are reduced all at once, a column at a time
WIDE = 1024  # elements of a row: where rows are shorter, several are taken for one


def reduce(ufunc: np.ufunc, x: np.ndarray, axis: Axes, keepdim: bool) -> Any:
    """`ufunc.reduce` of an associative function; many short lines, and many short rows, ten times as fast.

    NumPy starts anew for each line and each row, which takes as long as 50 steps, and products of a line are taken one
    after the other, where halves can be multiplied with each other.
    """
    found = _in_order(ufunc, x, axis) if x.size >= LARGE and x.flags.c_contiguous else None
    if found is None:
        return ordered(ufunc.reduce(x, axis, keepdims=keepdim))
    return found.reshape(kept(x.shape, axis) if keepdim else reduced_shape(x.shape, axis))


def _in_order(ufunc: np.ufunc, x: np.ndarray, axis: Axes) -> np.ndarray | None:
    """The reduction of axes that follow each other, where it pays to choose the order; else None."""
    axis = tuple(range(x.ndim)) if axis is None else axis
    if not axis or axis != tuple(range(axis[0], axis[-1] + 1)):
        return None
    n = math.prod(x.shape[axis[0] : axis[-1] + 1])
    inner = math.prod(x.shape[axis[-1] + 1 :])
    if inner == 1:
        lines = x.reshape(-1, n)
        if n <= SHORT:
            return _columns(ufunc, lines)
        return _halves(ufunc, lines) if ufunc is np.multiply else None
    if inner * 4 > WIDE or n < 8 * WIDE // inner:
        return None
    x = x.reshape(-1, n, inner)
    q = WIDE // inner
    k = n // q
    part = ufunc.reduce(x[:, : k * q].reshape(len(x), k, q * inner), 1).reshape(len(x), q, inner)
    found = ufunc.reduce(part, 1)
    return ufunc(found, ufunc.reduce(x[:, k * q :], 1)) if k * q < n else found


def _columns(ufunc: np.ufunc, lines: np.ndarray) -> np.ndarray:
    """Short lines, all at once."""
    found = lines[:, 0].copy()
    for i in range(1, lines.shape[1]):
        ufunc(found, lines[:, i], out=found)
    return found


def _halves(ufunc: np.ufunc, lines: np.ndarray) -> np.ndarray:
    """Long lines: quarters with each other, then halves."""
    n = lines.shape[1]
    while n > 64:
        parts = 4 if n >= 512 else 2
        h = n // parts
        found = ufunc(lines[:, :h], lines[:, h : 2 * h])
        for i in range(2, parts):
            ufunc(found, lines[:, i * h : (i + 1) * h], out=found)
        for i in range(parts * h, n):
            ufunc(found[:, 0], lines[:, i], out=found[:, 0])
        lines, n = found, h
    return ufunc.reduce(lines, 1)


def add(x: np.ndarray, axis: Axes, keepdim: bool) -> Any:
    """The sum in the dtype of `x`: pairwise, hence accurate, or in two steps where NumPy would add one by one.

    NumPy adds pairwise along the last axis alone. Sums of many rows are therefore taken of about sqrt(n) rows first:
    for 1,000,000 rows of float32 the relative error falls from 2e-5 to 8e-7.
    """
    if x.size >= FUSED and x.flags.c_contiguous:
        found = _fused_sum(x, axis)
        if found is not None:
            return found.reshape(kept(x.shape, axis) if keepdim else reduced_shape(x.shape, axis))
    if axis is None or x.size < LARGE or not axis:
        return ordered(np.add.reduce(x, axis, None, None, keepdim))
    if axis[-1] == x.ndim - 1:
        short = len(axis) == 1 and x.shape[-1] <= SHORT
        return reduce(np.add, x, axis, keepdim) if short else ordered(np.add.reduce(x, axis, None, None, keepdim))
    a = max(axis, key=x.shape.__getitem__)
    n = x.shape[a]
    if n < 1024:
        return ordered(np.add.reduce(x, axis, None, None, keepdim))
    b = math.isqrt(n)
    before, k = (slice(None),) * a, n // b
    part = np.add.reduce(x[(*before, slice(k * b))].reshape(*x.shape[:a], k, b, *x.shape[a + 1 :]), a)
    found = np.add.reduce(part, axis, None, None, keepdim)
    if k * b < n:
        found = found + np.add.reduce(x[(*before, slice(k * b, None))], axis, None, None, keepdim)
    return ordered(found)


FUSED = 4096  # elements from which sums are formed in machine code: two to five times as fast (`codegen.sums`)
THREADED = 1 << 18  # elements of a single row from which it is cut into rows of CUT, for threads to share
CUT = 1 << 14


def _fused_sum(x: np.ndarray, axis: Axes) -> np.ndarray | None:
    """The sum over axes that follow each other, of an array in one piece; None if NumPy is to compute."""
    axis = tuple(range(x.ndim)) if axis is None else axis
    if not axis or axis != tuple(range(axis[0], axis[-1] + 1)):
        return None
    n = math.prod(x.shape[axis[0] : axis[-1] + 1])
    inner = math.prod(x.shape[axis[-1] + 1 :])
    if inner > 1:
        kernel = fused.ufunc("sums", "columns", x, "rr", "(n,m)->(m)") if inner >= 8 else None
        return None if kernel is None else kernel(x.reshape(-1, n, inner))
    kernel = fused.ufunc("sums", "rows", x, "rr", "(n)->()") if n > SHORT else None
    if kernel is None:
        return None
    if n < THREADED or n < x.size:
        return kernel(x.reshape(-1, n))
    flat, whole = x.reshape(-1), n // CUT * CUT
    parts = kernel(flat[:whole].reshape(-1, CUT))
    return np.asarray(kernel(parts) + kernel(flat[whole:]))


def sum(x: np.ndarray, axis: Axes, keepdim: bool, dtype: np.dtype | None) -> Any:
    """Sum; integers and booleans add up in int64 unless `dtype` says otherwise."""
    d = x.dtype
    if dtype is None or dtype == d:
        if d is FLOAT32 or d is FLOAT64:
            return add(x, axis, keepdim)
        if dtype is None and d.kind in "biu":
            dtype = INT64
        elif d in HALVES:
            return add(widen(x), axis, keepdim).astype(d)
        else:
            dtype = d
    if dtype in HALVES:
        return add(x.astype(dtype).astype(FLOAT32), axis, keepdim).astype(dtype)
    return ordered(np.add.reduce(x.astype(dtype, copy=False), axis, dtype, None, keepdim))


def mean(x: np.ndarray, axis: Axes, keepdim: bool) -> Any:
    """Sum over count; NaN where there is nothing."""
    d = x.dtype
    total = add(wide(x), axis, keepdim)
    n = x.size if axis is None else count(x.shape, axis)
    return like(total / n if n else total * np.nan, d)


def prod(x: np.ndarray, axis: Axes, keepdim: bool, dtype: np.dtype | None) -> Any:
    """Product; integers and booleans multiply in int64 unless `dtype` says otherwise."""
    if dtype is None:
        dtype = INT64 if x.dtype.kind in "biu" else x.dtype
    work = FLOAT32 if dtype in HALVES else dtype
    return like(reduce(np.multiply, x.astype(work, copy=False), axis, keepdim), dtype)


def any(x: np.ndarray, axis: Axes, keepdim: bool) -> Any:
    """Whether some element is not zero (NaN is not zero); uint8 stays uint8."""
    found = ordered(np.logical_or.reduce(x, axis, None, None, keepdim))
    return found.astype(UINT8) if x.dtype == UINT8 else found


def all(x: np.ndarray, axis: Axes, keepdim: bool) -> Any:
    """Whether no element is zero; uint8 stays uint8."""
    found = ordered(np.logical_and.reduce(x, axis, None, None, keepdim))
    return found.astype(UINT8) if x.dtype == UINT8 else found


def count_nonzero(x: np.ndarray, axis: Axes) -> Any:
    """How many elements are not zero, as int64."""
    return ordered(np.add.reduce(x != 0, axis, INT64))


# ---- extremes -------------------------------------------------------------------------------------------------------


def extreme(x: np.ndarray, axis: Axes, keepdim: bool, largest: bool) -> Any:
    """Maximum or minimum; NaN wins."""
    reducer = np.maximum if largest else np.minimum
    return like(reduce(reducer, wide(x), axis, keepdim), x.dtype)


def arg_extreme(x: np.ndarray, axis: int | None, keepdim: bool, largest: bool) -> Any:
    """Position of the first maximum or minimum; NaN wins."""
    x = wide(x)
    return (np.argmax if largest else np.argmin)(x, axis, keepdims=keepdim)


def extreme_along(x: np.ndarray, axis: int, keepdim: bool, largest: bool) -> tuple[Any, Any]:
    """Maximum or minimum along one axis and the position of its first occurrence."""
    if x.ndim == 0:
        return x.copy(), np.zeros((), INT64)
    work = wide(x)
    values = reduce(np.maximum if largest else np.minimum, work, (axis,), keepdim)
    return like(values, x.dtype), (np.argmax if largest else np.argmin)(work, axis, keepdims=keepdim)


def ties(x: np.ndarray, out: np.ndarray, axis: Axes, keepdim: bool, lost: bool) -> np.ndarray:
    """For each element its share in an extreme: 1 over the number of elements that are equal to it, else 0.

    Where the extreme is NaN the shares are NaN too, or, if `lost`, shared by all NaN.
    """
    out = out if keepdim else out.reshape(kept(x.shape, axis))
    mask = x == out
    if lost and (missing := out != out).any():
        mask |= (x != x) & missing
    n = np.add.reduce(mask, axis, INT64, None, True)
    return mask * (1 / n).astype(x.dtype)


# ---- moments and norms ----------------------------------------------------------------------------------------------


def var(x: np.ndarray, axis: Axes, correction: float, keepdim: bool) -> tuple[np.ndarray, np.ndarray]:
    """Variance and mean in two passes: the mean first, then the squares of the distances from it."""
    d = x.dtype
    x = wide(x)
    n = count(x.shape, axis)
    total = add(x, axis, True)
    middle = total / n if n else total * np.nan
    away = x - middle
    if away.dtype.kind == "c":
        squares = np.add.reduce(away.real**2 + away.imag**2, axis, None, None, keepdim)
    elif axis is None and not keepdim:
        flat = away.reshape(-1)
        squares = np.dot(flat, flat)
    else:
        squares = np.add.reduce(
            np.multiply(away, away, out=away) if away.ndim else away * away, axis, None, None, keepdim
        )
    found = np.true_divide(ordered(squares), np.array(max(n - correction, 0), squares.dtype))
    middle = np.asarray(middle)
    return found, like(middle if keepdim else middle.reshape(np.shape(found)), d)


def logsumexp(x: np.ndarray, axis: Axes, keepdim: bool) -> Any:
    """The logarithm of a sum of exponentials, the maximum taken out first so that none overflows."""
    d = x.dtype
    x = wide(x)
    if count(x.shape, axis) == 0:
        return np.log(np.add.reduce(x, axis, None, None, keepdim)).astype(d)
    top = np.maximum.reduce(x.real, axis, None, None, True)
    top = np.where(np.isfinite(top), top, top.dtype.type(0))
    found = np.log(np.add.reduce(np.exp(x - top), axis, None, None, True)) + top
    found = np.asarray(found) if keepdim else np.asarray(found).reshape(reduced_shape(x.shape, axis))
    return like(ordered(found), d)


def reduced_shape(shape: tuple[int, ...], axis: Axes) -> tuple[int, ...]:
    """The shape without the reduced axes."""
    return () if axis is None else tuple(n for i, n in enumerate(shape) if i not in axis)


def sum_of_squares(x: np.ndarray, axis: Axes, keepdim: bool) -> Any:
    """As inner products, which read `x` once, where the reduced elements lie side by side."""
    if axis is None or len(axis) == x.ndim:
        line = x.reshape(-1)
        found = np.dot(line, line)
        return np.full((1,) * x.ndim, found, x.dtype) if keepdim else found
    if axis == (x.ndim - 1,):
        found = np.vecdot(x, x)
        return found[..., None] if keepdim else found
    return ordered(np.add.reduce(x * x, axis, None, None, keepdim))


def vector_norm(x: np.ndarray, order: float, axis: Axes, keepdim: bool, dtype: np.dtype) -> Any:
    """`(sum |x|**order) ** (1 / order)` with its limits at 0 and at plus and minus infinity."""
    x = wide(x)
    if order == 2 and x.dtype.kind != "c":
        found = sum_of_squares(x, axis, keepdim)
        return like(_safe_root(found, x) if axis is None and not keepdim else np.sqrt(found), dtype)
    size = np.absolute(x)
    if order == np.inf:
        found = np.maximum.reduce(size, axis, None, None, keepdim)
    elif order == -np.inf:
        found = np.minimum.reduce(size, axis, None, None, keepdim)
    elif order == 0:
        found = np.add.reduce(size != 0, axis, size.dtype, None, keepdim)
    elif order == 1:
        found = np.add.reduce(size, axis, None, None, keepdim)
    else:
        p = np.array(order, size.dtype)
        found = np.add.reduce(size**p, axis, None, None, keepdim) ** np.array(1 / order, size.dtype)
    return like(ordered(found), dtype)


def _safe_root(squares: Any, x: np.ndarray) -> Any:
    """The root of a sum of squares; where that left the range of the type, the largest element is taken out first."""
    found = np.sqrt(squares)
    if np.isinf(found) or (found < 1e-18 and x.size):
        top = np.absolute(x).max()
        if 0 < top < np.inf:
            part = (x / top).reshape(-1)
            return np.sqrt(np.dot(part, part)) * top
    return found


# ---- where a reduced value came from --------------------------------------------------------------------------------


def spread(g: np.ndarray, shape: tuple[int, ...], axis: Axes, keepdim: bool) -> np.ndarray:
    """A reduced value given to all the elements it came from (read-only where it is large)."""
    if not keepdim and axis is not None and g.ndim:
        g = g.reshape(kept(shape, axis))
    if g.shape == shape:
        return g
    if math.prod(shape) > 4096:
        return np.broadcast_to(g, shape)
    out = np.empty(shape, g.dtype)  # a small copy is made faster than a broadcast view
    out[...] = g
    return out


def flat(index: np.ndarray, shape: tuple[int, ...], axis: int) -> np.ndarray:
    """Positions along an axis as positions in the flattened array; the other sizes of `index` are those of `shape`."""
    inner, n = math.prod(shape[axis + 1 :]), shape[axis]
    if inner == 1:
        if index.size == index.shape[axis]:
            return index
        return index + (n * np.arange(math.prod(shape[:axis]))).reshape(*shape[:axis], *(1,) * (len(shape) - axis))
    k = index.shape[axis]
    outer = math.prod(shape[:axis])
    start = (n * inner * np.arange(outer)).reshape(outer, 1, 1) + np.arange(inner)
    return (index.reshape(outer, k, inner) * inner + start).reshape(index.shape)


def take(x: np.ndarray, index: np.ndarray, axis: int) -> np.ndarray:
    """`x` at positions along an axis: a `take_along_axis` that costs a third for small arrays."""
    return x.reshape(-1).take(flat(index, x.shape, axis)) if x.ndim else x.copy()


def pick(x: np.ndarray, index: np.ndarray, axis: int, keepdim: bool) -> np.ndarray:
    """The elements of `x` at the positions `index` along an axis, which `index` lacks unless `keepdim`."""
    if keepdim or x.ndim == 0:
        return take(x, index, axis)
    shape = index.shape
    return take(x, index.reshape(*shape[:axis], 1, *shape[axis:]), axis).reshape(shape)


def place(g: np.ndarray, index: np.ndarray, shape: tuple[int, ...], axis: int, keepdim: bool, add: bool) -> np.ndarray:
    """The adjoint of `pick`: zeros but for `g` at `index`; with `add`, what falls on one place adds up."""
    if not shape:
        return g.reshape(())
    if not g.size:
        return np.zeros(shape, g.dtype)
    if not keepdim:
        index = index.reshape(*index.shape[:axis], 1, *index.shape[axis:])
    where = flat(index, shape, axis).reshape(-1)
    if add and g.dtype.kind != "c":
        return np.bincount(where, g.reshape(-1), math.prod(shape)).reshape(shape).astype(g.dtype)
    out = np.zeros(math.prod(shape), g.dtype)
    if add:
        np.add.at(out, where, g.reshape(-1))
    else:
        out[where] = g.reshape(-1)
    return out.reshape(shape)
