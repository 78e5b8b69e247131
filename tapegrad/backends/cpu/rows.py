"""Row kernels: softmax, cross entropy, and losses of one number each, on NumPy or, from `fused.SMALL` elements on, in
machine code (`codegen.rows`).

A row is what one reduction runs over. Half precision is computed in float32 and rounded once. On NumPy each kernel
makes one array of the size of its input and works in it.
"""

from __future__ import annotations

import numpy as np

from ... import codegen
from . import fused
from .halves import wide
from .reduce import ordered

Array = np.ndarray
FLOAT32, FLOAT64, INT64 = np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.int64)
LARGE = 16384  # elements; below, elementwise functions are NumPy's


def _narrow(x: Array, like: Array) -> Array:
    return x if x.dtype == like.dtype else x.astype(like.dtype)


# ---- softmax ---------------------------------------------------------------------------------------------------------


def _last(x: Array, axis: int) -> Array:
    """`x` in one piece with the dimension `axis` last."""
    return np.ascontiguousarray(x if axis == x.ndim - 1 else np.moveaxis(x, axis, -1))


def _fused(name: str, axis: int, like: Array, *operands: Array) -> Array | None:
    """A kernel of rows, given their dimension; None if NumPy is to compute."""
    x = wide(operands[0])
    kernel = fused.ufunc("rows", name, x, "r" * (len(operands) + 1), ",".join(["(n)"] * len(operands)) + "->(n)")
    if kernel is None:
        return None
    found = kernel(*[_last(wide(a), axis) for a in operands])
    if axis != found.ndim - 1:
        found = np.ascontiguousarray(np.moveaxis(found, -1, axis))
    return _narrow(found, like)


def _softmax_parts(x: Array, axis: int) -> tuple[Array, Array, Array]:
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
    found = _fused("softmax", axis, x, x)
    if found is not None:
        return found
    e, total, _ = _softmax_parts(x, axis)
    e /= total
    return ordered(_narrow(e, x))


def softmax_backward(dy: Array, y: Array, axis: int) -> Array:
    """y * (dy - sum(dy * y)): the gradient of the input of a softmax with result `y`."""
    if y.ndim == 0:
        return np.zeros_like(dy)
    found = _fused("softmax_backward", axis, y, dy, y)
    if found is not None:
        return found
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
    found = _fused("log_softmax", axis, x, x)
    if found is not None:
        return found
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
    found = _fused("log_softmax_backward", axis, y, dy, y)
    if found is not None:
        return found
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


def wrong_class(target: Array, classes: int, ignore: int) -> int | None:
    """A target that is no class and not ignored; None if there is none."""
    if not target.size or (target.min() >= 0 and target.max() < classes):
        return None
    wrong = target[(target != ignore) & ((target < 0) | (target >= classes))]
    return int(wrong[0]) if wrong.size else None


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


_CROSS_ENTROPY = (("riddrr", "(r,n),(r),(3)->(2),(r),(3,r)"), ("rirddrr", "(r,n),(r),(n),(3)->(2),(r),(3,r)"))


def cross_entropy(
    x: Array, target: Array, weight: Array | None, ignore: int, reduction: str, smoothing: float
) -> tuple[Array, Array] | None:
    """(the loss, the parts of each row (3, ...)); None if a target is no class.

    A row's loss is `log(sum(exp(x))) - x[target]`, of which `smoothing` moves a part to the mean over all classes. Its
    parts are its largest number, the logarithm of the sum of `exp(x - largest)`, and the factor of its loss in the
    result: its weight, 0 if it is ignored, for a mean divided by their sum. Weights and smoothing exclude each other.
    """
    rows, plain = wide(x), x.ndim == 2
    options = weight is not None, smoothing > 0
    kernel = fused.ufunc("rows", "cross_entropy", rows, *_CROSS_ENTROPY[options[0]], 3, *options)
    if kernel is None:
        return _cross_entropy(x, rows, target, weight, ignore, reduction, smoothing)
    settings = fused.numbers(FLOAT64, ignore, reduction == "mean", smoothing)
    weights = () if weight is None else (np.ascontiguousarray(weight, rows.dtype),)
    flat, classes = _last(rows, class_axis(x)), target if target.dtype == INT64 else target.astype(INT64)
    if not plain:
        flat, classes = flat.reshape(-1, x.shape[class_axis(x)]), classes.reshape(-1)
    totals, losses, parts = kernel(flat, classes, *weights, settings)
    total, wrong = totals.tolist()
    if wrong:
        return None
    loss = losses.reshape(target.shape) if reduction == "none" else total
    return np.array(loss, x.dtype), parts if plain else parts.reshape(3, *target.shape)


def _cross_entropy(
    x: Array, rows: Array, target: Array, weight: Array | None, ignore: int, reduction: str, smoothing: float
) -> tuple[Array, Array] | None:
    axis = class_axis(x)
    if wrong_class(target, x.shape[axis], ignore) is not None:
        return None
    safe, w = row_weights(target, None if weight is None else wide(weight), ignore, rows.dtype)
    _, total, peak = _softmax_parts(rows, axis)
    peak, log = peak.reshape(target.shape), np.log(total).reshape(target.shape)
    with np.errstate(invalid="ignore"):
        losses = log + (peak - pick(rows, safe))
        if smoothing > 0:
            spread = log + (peak - rows.mean(axis))
            losses = (1 - smoothing) * losses + smoothing * spread
    factor = np.ones(target.shape, rows.dtype) if w is None else w
    if reduction == "mean":
        factor = factor / (factor.sum() or 1)  # without weights, gradients are zeros
    loss = _narrow(np.asarray(_weigh_and_reduce(losses, w, reduction)), x)
    return loss, np.stack([peak, log, np.broadcast_to(factor, target.shape)]).astype(rows.dtype, copy=False)


def cross_entropy_backward(g: Array, x: Array, target: Array, parts: Array, smoothing: float) -> Array:
    """`(softmax(x) - smoothing / C - onehot(target) (1 - smoothing))` times the factor of the row and `g`."""
    axis, rows, g_wide = class_axis(x), wide(x), wide(g)
    settings = fused.numbers(FLOAT64, 0, 0, smoothing)
    signature = "(n),(),(),(),(),(),(3)->(n)"
    kernel = fused.ufunc("rows", "cross_entropy_backward", rows, "rirrrrdr", signature, 1, smoothing > 0)
    if kernel is None:
        safe = np.where(parts[2] == 0, 0, target)
        peak, log, factor = (np.expand_dims(part, axis) for part in parts)
        factor = factor * (g_wide if g_wide.ndim == 0 else np.expand_dims(g_wide, axis))
        with np.errstate(invalid="ignore"):
            dx = np.exp((rows - peak) - log) - rows.dtype.type(smoothing / x.shape[axis])
            dx = np.where(factor == 0, rows.dtype.type(0), dx * factor)
        add_picked(dx, safe, factor.squeeze(axis) * -(1 - smoothing))
        return _narrow(dx, x)
    found = kernel(_last(rows, axis), target.astype(INT64, copy=False), *parts, g_wide, settings)
    if axis != found.ndim - 1:
        found = np.ascontiguousarray(np.moveaxis(found, -1, axis))
    return _narrow(found, x)


# ---- GELU ------------------------------------------------------------------------------------------------------------


def has_gelu(x: Array) -> bool:
    """Whether `gelu` is there for such an array: many float32 numbers in one piece."""
    return x.size >= LARGE and x.dtype == FLOAT32 and x.flags.c_contiguous and codegen.jit.available()


def gelu(x: Array) -> Array:
    """x P(N(0, 1) <= x), if there is a kernel for it."""
    kernel = fused.ufunc("rows", "gelu", x, "rr", "(n)->(n)")
    assert kernel is not None
    return kernel(x.reshape(-1)).reshape(x.shape)


def gelu_backward(g: Array, x: Array) -> Array:
    """g (P(N(0, 1) <= x) + x exp(-x^2 / 2) / sqrt(2 pi)), where there is `gelu`."""
    kernel = fused.ufunc("rows", "gelu_backward", x, "rrr", "(n),(n)->(n)")
    assert kernel is not None
    return kernel(np.ascontiguousarray(g).reshape(-1), x.reshape(-1)).reshape(x.shape)


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


def binary_cross_entropy(x: Array, target: Array) -> Array:
    """-(target log x + (1 - target) log(1 - x)), the logarithms not below -100."""
    x_wide = wide(x)
    with np.errstate(divide="ignore"):
        low = np.maximum(np.log1p(-x_wide), -100)
        high = np.maximum(np.log(x_wide), -100)
    return _narrow((target - 1) * low - target * high, x)
