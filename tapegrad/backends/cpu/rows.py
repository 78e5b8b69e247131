"""Row kernels on NumPy: softmax, cross entropy, normalisation.

A row is what one reduction runs over. Half precision is computed in float32 and rounded once. Each kernel makes one
array of the size of its input and works in it.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from .elementwise import FLOAT32, HALVES
from .reduce import ordered

Array = np.ndarray
Axes = tuple[int, ...]


def wide(x: Array) -> Array:
    """`x`, or its float32 copy if it has half precision."""
    return x.astype(FLOAT32) if x.dtype in HALVES else x


def _narrow(x: Array, like: Array) -> Array:
    return x if x.dtype == like.dtype else x.astype(like.dtype)


# ---- softmax ---------------------------------------------------------------------------------------------------------


def softmax_parts(x: Array, axis: int) -> tuple[Array, Array, Array]:
    """(exp(x - peak), the sum of that, peak), the last two with one element per row."""
    x = wide(x)
    if x.shape[axis] == 0:
        one = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
        return x.copy(), np.zeros(one, x.dtype), np.zeros(one, x.dtype)
    peak = x.max(axis, keepdims=True)
    with np.errstate(invalid="ignore"):  # rows of -inf have no softmax: NaN
        e = np.subtract(x, peak)
    np.exp(e, out=e)
    return e, e.sum(axis, keepdims=True), peak


def softmax(x: Array, axis: int) -> Array:
    """exp(x) over its sum along `axis`."""
    if x.ndim == 0:
        return softmax(x[None], 0).reshape(())
    e, total, _ = softmax_parts(x, axis)
    e /= total
    return ordered(_narrow(e, x))


def softmax_backward(dy: Array, y: Array, axis: int) -> Array:
    """y * (dy - sum(dy * y)): the gradient of the input of a softmax with result `y`."""
    if y.ndim == 0:
        return np.zeros_like(dy)
    dy_wide, y_wide = wide(dy), wide(y)
    t = dy_wide * y_wide
    s = t.sum(axis, keepdims=True)
    np.subtract(dy_wide, s, out=t)
    t *= y_wide
    return _narrow(t, y)


def log_softmax(x: Array, axis: int) -> Array:
    """x - log(sum(exp(x))) along `axis`."""
    if x.ndim == 0:
        return log_softmax(x[None], 0).reshape(())
    z = wide(x)
    if z.shape[axis] == 0:
        return x.copy()
    with np.errstate(invalid="ignore"):
        z = np.subtract(z, z.max(axis, keepdims=True))
    total = np.exp(z).sum(axis, keepdims=True)
    z -= np.log(total, out=total)
    return ordered(_narrow(z, x))


def log_softmax_backward(dy: Array, y: Array, axis: int) -> Array:
    """dy - exp(y) * sum(dy): the gradient of the input of a log-softmax with result `y`."""
    if y.ndim == 0:
        return np.zeros_like(dy)
    dy_wide = wide(dy)
    t = np.exp(wide(y))
    t *= dy_wide.sum(axis, keepdims=True)
    np.subtract(dy_wide, t, out=t)
    return _narrow(t, y)


# ---- losses over classes ---------------------------------------------------------------------------------------------
# x: (N, C, ...) with the classes at dimension 1, or (C,); target: the same without the classes.


def class_axis(x: Array) -> int:
    """Where the classes are."""
    return 0 if x.ndim == 1 else 1


def pick(x: Array, target: Array) -> Array:
    """The element of class `target` in every row."""
    if x.ndim == 2:
        return x[np.arange(x.shape[0]), target]
    axis = class_axis(x)
    return np.take_along_axis(x, np.expand_dims(target, axis), axis).squeeze(axis)


def add_picked(x: Array, target: Array, value: Array) -> None:
    """Add `value`, one for each row or one for all, to the element of class `target` in every row."""
    if x.ndim == 2:
        x[np.arange(x.shape[0]), target] += value
        return
    axis = class_axis(x)
    where = np.expand_dims(target, axis)
    put = np.take_along_axis(x, where, axis) + (value if value.ndim == 0 else np.expand_dims(value, axis))
    np.put_along_axis(x, where, put, axis)


def row_weights(target: Array, weight: Array | None, ignore: int, dtype: np.dtype) -> tuple[Array, Array | None]:
    """(target with ignored rows moved to class 0, the weight of every row); weights that are all 1 are None."""
    ignored = target == ignore
    if not ignored.any():
        return target, None if weight is None else weight[target]
    safe = np.where(ignored, 0, target)
    w = np.ones(target.shape, dtype) if weight is None else weight[safe]
    return safe, np.where(ignored, w.dtype.type(0), w)


def _weigh_and_reduce(losses: Array, w: Array | None, reduction: str) -> Array:
    """The losses of the rows times `w`, as they are ("none"), or their sum, or their mean weighted by `w`."""
    if w is not None:
        with np.errstate(invalid="ignore"):  # an ignored row may be infinite
            losses = np.where(w == 0, losses.dtype.type(0), losses * w)
    if reduction == "none":
        return losses
    total = losses.sum()
    if reduction == "sum":
        return total
    count = losses.size if w is None else w.sum()
    return total / count if count else losses.dtype.type(np.nan)


def _row_factors(g: Array, w: Array | None, reduction: str, count: int) -> Array:
    """The gradient of every row's unweighted loss, from the gradient `g` of the reduced one; 0-d if all are equal."""
    if reduction == "mean":
        count = count if w is None else w.sum()
        g = g / (count if count else np.nan)
    return g if w is None else g * w


def nll(x: Array, target: Array, w: Array | None, reduction: str) -> Array:
    """Negative log likelihood of `target` under the log-probabilities `x`, rows weighted by `w`."""
    losses = -pick(wide(x), target)
    return _narrow(np.asarray(_weigh_and_reduce(losses, w, reduction)), x)


def nll_backward(g: Array, target: Array, w: Array | None, shape: tuple, reduction: str) -> Array:
    """The gradient of the log-probabilities, which have shape `shape`."""
    g_wide = wide(g)
    dx = np.zeros(shape, g_wide.dtype)
    add_picked(dx, target, -_row_factors(g_wide, w, reduction, target.size))
    return _narrow(dx, g)


def cross_entropy(x: Array, target: Array, w: Array | None, total: Array, peak: Array, reduction: str) -> Array:
    """log(sum(exp(x))) - x[target], given the parts of the softmax, rows weighted by `w`."""
    losses = np.log(total).reshape(target.shape)
    with np.errstate(invalid="ignore"):
        losses += peak.reshape(target.shape) - pick(x, target)
    return _narrow(np.asarray(_weigh_and_reduce(losses, w, reduction)), x)


def cross_entropy_backward(g: Array, target: Array, w: Array | None, e: Array, total: Array, reduction: str) -> Array:
    """softmax(x) - onehot(target), times the factor of every row."""
    factor = _row_factors(wide(g), w, reduction, target.size)
    dx = e * ((factor if factor.ndim == 0 else factor.reshape(total.shape)) / total)
    add_picked(dx, target, -factor)
    return _narrow(dx, g)


# ---- losses of one number and its target -----------------------------------------------------------------------------


def sum_all(x: Array) -> Array:
    """The sum of all elements."""
    return np.asarray(wide(x).sum()).astype(x.dtype, copy=False)


def mean_all(x: Array) -> Array:
    """The mean of all elements; NaN if there are none."""
    if x.size == 0:
        return np.array(np.nan, x.dtype)
    return np.asarray(wide(x).mean()).astype(x.dtype, copy=False)


def all_in_unit_interval(x: Array) -> bool:
    """Whether no element is outside [0, 1]."""
    return x.size == 0 or bool(x.min() >= 0 and x.max() <= 1)


def softplus(x: Array) -> Array:
    """log(1 + exp(x)) without overflow."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def binary_cross_entropy(x: Array, target: Array) -> Array:
    """-(target log x + (1 - target) log(1 - x)), the logarithms not below -100."""
    x_wide = wide(x)
    with np.errstate(divide="ignore"):
        low = np.maximum(np.log1p(-x_wide), -100)
        high = np.maximum(np.log(x_wide), -100)
    return _narrow((target - 1) * low - target * high, x)


def bce_logits(x: Array, target: Array, pos_weight: Array | None) -> Array:
    """`binary_cross_entropy` of sigmoid(x): (1 - target) x + (1 + (pos_weight - 1) target) softplus(-x)."""
    x_wide = wide(x)
    t = softplus(-x_wide)
    if pos_weight is not None:
        t = t * (1 + (pos_weight - 1) * target)
    return _narrow(t + (1 - target) * x_wide, x)


# ---- normalisation ---------------------------------------------------------------------------------------------------
# A row is what `axes` runs over. Weight and bias are reshaped to `wshape`, which has as many dimensions as x and
# broadcasts against it. Sums are einsum's: a product and its sum are one pass, 3 times as fast as two.


@functools.cache
def _subscripts(ndim: int, axes: Axes) -> tuple[str, str]:
    every = "abcdefghijklmnopqrstuvwxyz"[:ndim]
    return every, "".join(letter for i, letter in enumerate(every) if i not in axes)


def _keep(sums: Array, x: Array, axes: Axes) -> Array:
    return sums.reshape([1 if i in axes else n for i, n in enumerate(x.shape)])


def row_sum(x: Array, axes: Axes) -> Array:
    """The sum of every row, dimensions kept."""
    every, kept = _subscripts(x.ndim, axes)
    return _keep(np.einsum(f"{every}->{kept}", x), x, axes)


def row_dot(x: Array, y: Array, axes: Axes) -> Array:
    """The sum of `x * y` over every row, dimensions kept."""
    every, kept = _subscripts(x.ndim, axes)
    return _keep(np.einsum(f"{every},{every}->{kept}", x, y), x, axes)


def row_length(x: Array, axes: Axes) -> int:
    """The number of elements of a row."""
    return math.prod(x.shape[i] for i in axes)


def moments(x: Array, axes: Axes) -> tuple[Array, Array]:
    """(mean, variance without correction) of every row, dimensions kept, in float32 at least."""
    x, n = wide(x), max(row_length(x, axes), 1)
    mean = row_sum(x, axes)
    mean /= n
    centred = x - mean
    var = row_dot(centred, centred, axes)
    var /= n
    return mean, var


def mean_square(x: Array, axes: Axes) -> Array:
    """The mean of x^2 of every row, dimensions kept, in float32 at least."""
    x = wide(x)
    found = row_dot(x, x, axes)
    found /= max(row_length(x, axes), 1)
    return found


def rstd(var: Array, eps: float) -> Array:
    """1 / sqrt(var + eps)."""
    t = var + var.dtype.type(eps)
    np.sqrt(t, out=t)
    return np.divide(1, t, out=t)


def normalize(
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
    g_wide = wide(g)
    over = tuple(i for i, n in enumerate(wshape) if n == 1)
    normed = dx = dw = db = None
    if needs[1] or (needs[0] and not frozen):
        normed = _normed(x, mean, rstd)
    if needs[1]:
        dw = row_dot(g_wide, normed, over)
    if needs[2]:
        db = row_sum(g_wide, over)
    if needs[0]:
        dx = g_wide.copy() if weight is None else g_wide * wide(weight).reshape(wshape)
        if normed is not None and not frozen:
            n = max(row_length(x, axes), 1)
            normed *= row_dot(dx, normed, axes) / n
            if mean is not None:
                normed += row_sum(dx, axes) / n
            dx -= normed
        dx *= rstd
        dx = _narrow(dx, x)
    return dx, dw, db
