"""Normalisation, `(x - mean) * rstd * weight + bias`, on NumPy or, from `fused.SMALL` elements on, in machine code
(`codegen.norms`).

A row is what `axes` runs over; `wshape` is the shape in which weight and bias broadcast against x. Half precision is
computed in float32 and rounded once.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from . import fused
from .halves import wide
from .reduce import ordered

Array = np.ndarray
Axes = tuple[int, ...]
Stats = tuple[Array | None, Array | None, Array]  # mean, variance without correction, 1 / standard deviation
PART = 1 << 14  # elements of a part of a sum over rows, of which there are at most PARTS
PARTS = 16


def _narrow(x: Array, like: Array) -> Array:
    return x if x.dtype == like.dtype else x.astype(like.dtype)


def _is_rows(x: Array, axes: Axes, wshape: Axes) -> bool:
    """Whether rows are the last dimensions, with a weight for each of their elements."""
    lead = x.ndim - len(axes)
    return axes == tuple(range(lead, x.ndim)) and wshape == (1,) * lead + x.shape[lead:]


def _grouped(x: Array, axes: Axes, wshape: Axes) -> tuple[int, ...]:
    """The sizes (O, A, K, J, M) of `codegen.norms`: batch norm, if dimension 0 is summed over, else the others."""
    n, k, *rest = x.shape
    if axes[0] == 0:
        return 1, n, k, 1, math.prod(rest)
    j = wshape[2] if len(wshape) > 2 else 1
    return n, 1, k, j, math.prod(rest) // max(j, 1)


def _kernel(name: str, x: Array, affine: list[Array], signature: str, results: int, *options: bool) -> np.ufunc | None:
    """The kernel, if there is one and weights have the type that x has."""
    if any(a.dtype != x.dtype for a in affine):
        return None
    return fused.ufunc("norms", name, x, "r" * signature.count("("), signature, results, *options)


def normalize(
    x: Array,
    weight: Array | None,
    bias: Array | None,
    axes: Axes,
    wshape: Axes,
    eps: float,
    centred: bool,
    given: tuple[Array, Array] | None,
) -> tuple[Array, Stats]:
    """(result, statistics); without `centred` x is not centred and there is no mean; `given`: mean and variance.

    Statistics have the dimensions of x, those of `axes` being 1; given ones are of shape `wshape`.
    """
    rows = wide(x)
    found = None
    if given is None and _is_rows(x, axes, wshape):
        found = _fused_rows(rows, weight, bias, axes, eps, centred)
    elif (weight is None) == (bias is None):
        found = _fused_groups(rows, weight, bias, axes, wshape, eps, given)
    if found is None:
        if given is not None:
            mean, var = (wide(a.copy()).reshape(wshape) for a in given)  # running ones may change before the way back
        elif centred:
            mean, var = _moments(x, axes)
        else:
            mean, var = None, _mean_square(x, axes)
        one = _rstd(var, eps)
        return _normalize(x, weight, bias, mean, one, wshape), (mean, var, one)
    out, mean, var, one = found
    shape = wshape if given is not None else [1 if i in axes else n for i, n in enumerate(x.shape)]
    mean, var = (None if a is None else a.reshape(shape) for a in (mean, var))
    return _narrow(out.reshape(x.shape), x), (mean, var, one.reshape(shape))


def _fused_rows(
    x: Array, weight: Array | None, bias: Array | None, axes: Axes, eps: float, centred: bool
) -> tuple | None:
    affine = [wide(a) for a in (weight, bias) if a is not None]
    signature = f"(n),{'(n),' * len(affine)}()->(n){',()' * centred},()"
    options = centred, weight is not None, bias is not None
    kernel = _kernel("normalize_rows", x, affine, signature, 2 + centred, *options)
    if kernel is None:
        return None
    n = _row_length(x, axes)
    flat = np.ascontiguousarray(x).reshape(-1, n)
    operands = [np.ascontiguousarray(a).reshape(n) for a in affine]
    out, *mean, one = kernel(flat, *operands, fused.numbers(x.dtype, eps))
    return out, mean[0] if centred else None, None, one


def _fused_groups(
    x: Array,
    weight: Array | None,
    bias: Array | None,
    axes: Axes,
    wshape: Axes,
    eps: float,
    given: tuple[Array, Array] | None,
) -> tuple | None:
    sizes = _grouped(x, axes, wshape)
    affine, frozen = [wide(a) for a in (weight, bias) if a is not None], given is not None
    stats = "(k),(k)->(a,k,j,m)" if frozen else "()->(a,k,j,m),(k),(k),(k)"
    signature = f"(a,k,j,m),{'(k,j),' * len(affine)}{stats}"
    options = weight is not None, frozen
    kernel = _kernel("normalize_groups", x, affine, signature, 1 if frozen else 4, *options) if sizes[4] > 3 else None
    if kernel is None:
        return None
    operands = [np.ascontiguousarray(x).reshape(sizes)]
    operands += [np.ascontiguousarray(a).reshape(sizes[2:4]) for a in affine]
    if given is None:
        return kernel(*operands, fused.numbers(x.dtype, eps))
    mean, var = (wide(a).astype(x.dtype) for a in given)  # copies: running ones may change before the way back
    one = _rstd(var, eps)
    return kernel(*operands, mean, one), mean, var, one


def normalize_backward(
    g: Array,
    x: Array,
    weight: Array | None,
    mean: Array | None,
    rstd: Array,
    axes: Axes,
    wshape: Axes,
    frozen: bool,
    needs: tuple[bool, bool, bool],
) -> tuple[Array | None, Array | None, Array | None]:
    """Gradients of (x, weight, bias) where `needs` says so, the last two of shape `wshape`.

    `frozen`: mean and rstd are constants.
    """
    if needs[0] and g.dtype == x.dtype:
        if not frozen and _is_rows(x, axes, wshape):
            found = None
            if weight is not None or not (needs[1] or needs[2]):
                found = _fused_rows_backward(wide(g), wide(x), weight, mean, rstd, axes)
        else:
            found = _fused_groups_backward(wide(g), wide(x), weight, mean, rstd, axes, wshape, frozen)
        if found is not None:
            dx, dw, db = found
            return (
                _narrow(dx.reshape(x.shape), x),
                dw.reshape(wshape) if needs[1] else None,
                db.reshape(wshape) if needs[2] else None,
            )
    return _normalize_backward(g, x, weight, mean, rstd, axes, wshape, frozen, needs)


def _fused_rows_backward(
    g: Array, x: Array, weight: Array | None, mean: Array | None, rstd: Array, axes: Axes
) -> tuple | None:
    weighted, centred = weight is not None, mean is not None
    space = ",(p,t,n)->(r,n),(n),(n)" if weighted else ",(p)->(r,n)"
    signature = f"(r,n),(r,n),{'(n),' * weighted}{'(r),' * centred}(r){space}"
    affine = [wide(weight)] if weight is not None else []
    kernel = _kernel("normalize_rows_backward", x, affine, signature, 3 if weighted else 1, centred, weighted)
    if kernel is None:
        return None
    n = _row_length(x, axes)
    parts = max(1, min(PARTS, x.size // PART))
    operands: list[Array] = [np.ascontiguousarray(g).reshape(-1, n), np.ascontiguousarray(x).reshape(-1, n)]
    operands += [np.ascontiguousarray(a).reshape(n) for a in affine]
    operands += [a.reshape(-1) for a in (mean, rstd) if a is not None]
    operands.append(np.empty((parts, 2, n) if weighted else parts, x.dtype))
    found = kernel(*operands)
    return found if weighted else (found, None, None)


def _fused_groups_backward(
    g: Array,
    x: Array,
    weight: Array | None,
    mean: Array | None,
    rstd: Array,
    axes: Axes,
    wshape: Axes,
    frozen: bool,
) -> tuple | None:
    sizes, affine = _grouped(x, axes, wshape), [wide(weight)] if weight is not None else []
    if mean is None or sizes[4] <= 3:
        return None
    signature = f"(a,k,j,m),(a,k,j,m),{'(k,j),' * len(affine)}(k),(k)->(a,k,j,m),(k,j),(k,j)"
    kernel = _kernel("normalize_groups_backward", x, affine, signature, 3, weight is not None, frozen)
    if kernel is None:
        return None
    operands = [np.ascontiguousarray(g).reshape(sizes), np.ascontiguousarray(x).reshape(sizes)]
    operands += [np.ascontiguousarray(a).reshape(sizes[2:4]) for a in affine]
    lead = () if frozen else sizes[:1]
    dx, dw, db = kernel(*operands, *(a.reshape(*lead, sizes[2]) for a in (mean, rstd)))
    return dx, *(a.sum(0) if sizes[0] > 1 else a for a in (dw, db))


# ---- on NumPy --------------------------------------------------------------------------------------------------------
# A row is what `axes` runs over. Weight and bias are reshaped to `wshape`, which has as many dimensions as x and
# broadcasts against it. Sums are einsum's: a product and its sum are one pass, 3 times as fast as two.


@functools.cache
def _subscripts(ndim: int, axes: Axes) -> tuple[str, str]:
    every = "abcdefghijklmnopqrstuvwxyz"[:ndim]
    return every, "".join(letter for i, letter in enumerate(every) if i not in axes)


def _keep(sums: Array, x: Array, axes: Axes) -> Array:
    return sums.reshape([1 if i in axes else n for i, n in enumerate(x.shape)])


def _row_sum(x: Array, axes: Axes) -> Array:
    """The sum of every row, dimensions kept."""
    every, kept = _subscripts(x.ndim, axes)
    return _keep(np.einsum(f"{every}->{kept}", x), x, axes)


def _row_dot(x: Array, y: Array, axes: Axes) -> Array:
    """The sum of `x * y` over every row, dimensions kept."""
    every, kept = _subscripts(x.ndim, axes)
    return _keep(np.einsum(f"{every},{every}->{kept}", x, y), x, axes)


def _row_length(x: Array, axes: Axes) -> int:
    """The number of elements of a row."""
    return math.prod(x.shape[i] for i in axes)


def _moments(x: Array, axes: Axes) -> tuple[Array, Array]:
    """(mean, variance without correction) of every row, dimensions kept, in float32 at least."""
    x, n = wide(x), max(_row_length(x, axes), 1)
    mean = _row_sum(x, axes)
    mean /= n
    centred = x - mean
    var = _row_dot(centred, centred, axes)
    var /= n
    return mean, var


def _mean_square(x: Array, axes: Axes) -> Array:
    """The mean of x^2 of every row, dimensions kept, in float32 at least."""
    x = wide(x)
    found = _row_dot(x, x, axes)
    found /= max(_row_length(x, axes), 1)
    return found


def _rstd(var: Array, eps: float) -> Array:
    """1 / sqrt(var + eps)."""
    t = var + var.dtype.type(eps)
    np.sqrt(t, out=t)
    return np.divide(1, t, out=t)


def _normalize(
    x: Array, weight: Array | None, bias: Array | None, mean: Array | None, rstd: Array, wshape: Axes
) -> Array:
    """(x - mean) * rstd * weight + bias; without a mean x is not centred."""
    y = _normed(x, mean, rstd)
    if weight is not None:
        y *= wide(weight).reshape(wshape)
    if bias is not None:
        y += wide(bias).reshape(wshape)
    return ordered(_narrow(y, x))


def _normed(x: Array, mean: Array | None, rstd: Array) -> Array:
    if mean is None:
        return wide(x) * rstd
    y = wide(x) - mean
    y *= rstd
    return y


def _normalize_backward(
    g: Array,
    x: Array,
    weight: Array | None,
    mean: Array | None,
    rstd: Array,
    axes: Axes,
    wshape: Axes,
    frozen: bool,
    needs: tuple[bool, bool, bool],
) -> tuple[Array | None, Array | None, Array | None]:
    """Gradients of (x, weight, bias) where `needs` says so, the last two of shape `wshape`.

    `frozen`: mean and rstd are constants.
    """
    g_wide = wide(g)
    over = tuple(i for i, n in enumerate(wshape) if n == 1)
    normed = dx = dw = db = None
    if needs[1] or (needs[0] and not frozen):
        normed = _normed(x, mean, rstd)
    if needs[1]:
        dw = _row_dot(g_wide, normed, over)
    if needs[2]:
        db = _row_sum(g_wide, over)
    if needs[0]:
        dx = g_wide.copy() if weight is None else g_wide * wide(weight).reshape(wshape)
        if normed is not None and not frozen:
            n = max(_row_length(x, axes), 1)
            normed *= _row_dot(dx, normed, axes) / n
            if mean is not None:
                normed += _row_sum(dx, axes) / n
            dx -= normed
        dx *= rstd
        dx = _narrow(dx, x)
    return dx, dw, db
