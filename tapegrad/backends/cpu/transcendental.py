"""Exponential, logarithmic and inverse functions of large float32 arrays, made of NumPy's vectorised arithmetic.

NumPy computes exp, log, sin, cos and tanh of float32 arrays with vector instructions; for the functions here it calls
the C library once for each element, which takes 3 to 7 times as long as the steps below. Each function reduces its
argument to a short interval, evaluates a polynomial that was fitted for this file (least squares at Chebyshev nodes in
50 digits, reweighted towards the least maximal relative error) and puts the parts together again, everything in
float32; the errors stated are those of whole functions, in units of the last place.

What lies outside the finite numbers for which a function is made, and all other arrays, is left to NumPy.

References: Cody and Waite, "Software Manual for the Elementary Functions" (1980), for the reductions; Tang,
"Table-driven implementation of the logarithm function", ACM TOMS 16 (1990), for the logarithm in terms of
`f / (2 + f)`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray
SINGLE, BITS = np.dtype(np.float32), np.dtype(np.int32)
LEAST = 1024  # elements: of fewer the calls cost more than they save
BLOCK = 32768  # elements worked on at a time: the arrays of a function stay in the second-level cache


def _single(*values: float) -> tuple[Array, ...]:
    """Numbers as 0-d arrays, which NumPy takes without a conversion."""
    return tuple(np.array(v, SINGLE) for v in values)


def _whole(*values: int) -> tuple[Array, ...]:
    return tuple(np.array(v, BITS) for v in values)


ZERO, QUARTER, HALF, ONE, TWO, FOUR, INFINITY = _single(0, 0.25, 0.5, 1, 2, 4, np.inf)
SIGN, MANTISSA, SHIFT, BIAS = _whole(-(2**31), 2**23 - 1, 23, 125)
SCALED_BIAS, SCALE = np.array(127 + 64, BITS), np.array(0.5**64)  # keeps small powers of two in float32's range
ROOT_HALF = np.array(0.5**0.5, SINGLE).view(BITS)  # the bits of the least mantissa: they lie between it and sqrt(2)
LOG2_E, LOG2_E_LOW = _single(1.4426950408889634, 1.4426950408889634 - np.float32(1.4426950408889634))
LN2, LN2_LOW = _single(0.693359375, -2.12194440054690583e-4)  # ln 2 as a sum, the first part of 9 bits
LEAST_EXP, LARGEST_EXP, LARGEST_SINH = _single(-18, 88.9, 89.5)  # beyond: -1 and infinities
HALF_PI, PI = _single(np.pi / 2, np.pi)
HALF_PI_LOW, PI_LOW = _single(np.pi / 2 - np.float32(np.pi / 2), np.pi - np.float32(np.pi))
# (exp(r) - 1 - r) / r^2, abs(r) <= 0.35, from the constant upwards; error 1.4e-8 of the whole
EXP = _single(0.5, 0.16666538669, 0.041667221597, 0.008367182107, 0.0013882373564)
# (log((1 + s) / (1 - s)) / s - 2) / s^2 in s^2, s <= 0.173; error 1.8e-9 of the whole
LOG = _single(0.6666678352933, 0.3997658333043, 0.2989929610302)
# (atan(q) / q - 1) / q^2 in q^2, q <= 1; error 2.6e-9 of the whole
ATAN = _single(
    -0.33333299064, 0.19998547531, -0.142642336, 0.10952143380, -0.08403326474, 0.05795547685, -0.03117574217,
    0.01091347979, -0.00179337082,
)  # fmt: skip


# ---- the functions ---------------------------------------------------------------------------------------------------


def expm1(x: Array, out: Array | None = None) -> Array:
    """exp(x) - 1, error 1.8."""
    return _run(_expm1, np.expm1, (x,), out)


def sinh(x: Array, out: Array | None = None) -> Array:
    """(exp(x) - exp(-x)) / 2, error 2.2."""
    return _run(_sinh, np.sinh, (x,), out)


def cosh(x: Array, out: Array | None = None) -> Array:
    """(exp(x) + exp(-x)) / 2, error 2."""
    return _run(_cosh, np.cosh, (x,), out)


def log1p(x: Array, out: Array | None = None) -> Array:
    """log(1 + x), error 1.1."""
    return _run(_log1p, np.log1p, (x,), out)


def atanh(x: Array, out: Array | None = None) -> Array:
    """log((1 + x) / (1 - x)) / 2, error 2.5."""
    return _run(_atanh, np.arctanh, (x,), out)


def logaddexp(x: Array, y: Array, out: Array | None = None) -> Array:
    """log(exp(x) + exp(y))."""
    return _run(_logaddexp, np.logaddexp, (x, y), out)


def logaddexp2(x: Array, y: Array, out: Array | None = None) -> Array:
    """log2(2^x + 2^y)."""
    return _run(_logaddexp2, np.logaddexp2, (x, y), out)


def atan2(y: Array, x: Array, out: Array | None = None) -> Array:
    """The angle of the point (x, y), error 2."""
    return _run(_atan2, np.arctan2, (y, x), out)


# ---- one block: contiguous vectors in, a new vector out --------------------------------------------------------------


def _polynomial(coefficients: tuple[Array, ...], x: Array) -> Array:
    """Horner's rule in one new array."""
    *rest, second, first = coefficients
    found = np.multiply(x, first)
    np.add(found, second, found)
    for c in reversed(rest):
        np.multiply(found, x, found)
        np.add(found, c, found)
    return found


def _signed(found: Array, x: Array) -> Array:
    """`found`, whose sign bit is clear where `x` is positive, with the sign bit of `x` too: of an odd function."""
    bits = found.view(BITS)
    np.bitwise_or(bits, np.bitwise_and(x.view(BITS), SIGN), bits)
    return found


def _reduced(x: Array, low: Array | None = None, bias: Array = BIAS) -> tuple[Array, Array]:
    """(exp(r) - 1, 2^(n - 2)) for x = n ln 2 + r between -80 and 89.5; `low` is a small part of x that x lacks."""
    n = np.multiply(x, LOG2_E)
    np.rint(n, n)
    part = np.multiply(n, LN2)
    r = np.subtract(x, part)
    np.multiply(n, LN2_LOW, part)
    np.subtract(r, part, r)
    if low is not None:
        np.add(r, low, r)
    found = _polynomial(EXP, r)
    np.multiply(found, r, found)
    np.multiply(found, r, found)
    np.add(found, r, found)
    power = n.astype(BITS)
    np.add(power, bias, power)
    np.left_shift(power, SHIFT, power)
    return found, power.view(SINGLE)


def exp_of_sum(high: Array, low: Array | None = None) -> Array:
    """exp(high + low) in float64 to the precision of float32, for float32 numbers -120 <= high <= 0, low small."""
    found, power = _reduced(high, low, SCALED_BIAS)
    np.add(found, ONE, found)
    np.multiply(found, power, found)
    return np.multiply(found, SCALE, dtype=np.float64)


def _quarter(x: Array) -> Array:
    """(exp(x) - 1) / 4, which does not overflow before the result does."""
    found, power = _reduced(x)
    np.multiply(found, power, found)
    np.subtract(power, QUARTER, power)
    return np.add(found, power, found)


def _expm1(x: Array) -> Array:
    found = _quarter(np.clip(x, LEAST_EXP, LARGEST_EXP))
    return _signed(np.multiply(found, FOUR, found), x)


def _sinh(x: Array) -> Array:
    found = _quarter(np.minimum(np.abs(x), LARGEST_SINH))
    whole = np.multiply(found, FOUR)
    np.add(whole, ONE, whole)
    np.divide(found, whole, whole)
    np.add(found, whole, found)
    return _signed(np.multiply(found, TWO, found), x)


def _cosh(x: Array) -> Array:
    found = _quarter(np.minimum(np.abs(x), LARGEST_SINH))
    whole = np.multiply(found, FOUR)
    np.add(whole, ONE, whole)
    np.divide(HALF, whole, whole)
    np.add(whole, HALF, whole)
    np.multiply(found, TWO, found)
    return np.add(found, whole, found)


def _log_one_plus(x: Array) -> Array:
    """log(1 + x) for -1 < x < infinity.

    1 + x rounded is u = 2^k (1 + f), and what the rounding lost is added in the end, over u.
    """
    u = np.add(x, ONE)
    lost = np.subtract(u, ONE)
    np.subtract(x, lost, lost)
    np.divide(lost, u, lost)
    bits = u.view(BITS)
    np.subtract(bits, ROOT_HALF, bits)
    k = np.right_shift(bits, SHIFT).astype(SINGLE)
    np.bitwise_and(bits, MANTISSA, bits)
    np.add(bits, ROOT_HALF, bits)
    f = np.subtract(u, ONE, u)
    s = np.add(f, TWO)
    np.divide(f, s, s)
    square = np.multiply(s, s)
    found = _polynomial(LOG, square)
    np.multiply(found, square, found)
    np.multiply(f, HALF, square)
    np.multiply(square, f, square)  # log(1 + f) = f - (f^2 / 2 - s (f^2 / 2 + found))
    np.add(found, square, found)
    np.multiply(found, s, found)
    np.multiply(k, LN2_LOW, s)
    np.add(s, lost, s)
    np.add(found, s, found)
    np.subtract(square, found, found)
    np.subtract(f, found, found)
    np.multiply(k, LN2, k)
    return np.add(k, found, found)


def _log1p(x: Array) -> Array:
    if not (x.min() > -1 and x.max() < np.inf):
        return _repaired(_log1p, np.log1p, (x > -1) & (x < INFINITY), x)
    return _signed(_log_one_plus(x), x)


def _atanh(x: Array) -> Array:
    """log1p(2 a / (1 - a)) / 2 for a = abs(x)."""
    a = np.abs(x)
    if not a.max() < 1:
        return _repaired(_atanh, np.arctanh, a < ONE, x)
    below = np.subtract(ONE, a)
    np.add(a, a, a)
    np.divide(a, below, a)
    found = _log_one_plus(a)
    return _signed(np.multiply(found, HALF, found), x)


def _logaddexp(x: Array, y: Array) -> Array:
    """max + log1p(exp(-abs(x - y)))."""
    away = np.subtract(x, y)
    np.abs(away, away)
    if not away.max() < np.inf:
        return _repaired(_logaddexp, np.logaddexp, away < INFINITY, x, y)
    np.negative(away, away)
    found = _log_one_plus(np.exp(away, away))
    return np.add(found, np.maximum(x, y), found)


def _logaddexp2(x: Array, y: Array) -> Array:
    away = np.subtract(x, y)
    np.abs(away, away)
    if not away.max() < np.inf:
        return _repaired(_logaddexp2, np.logaddexp2, away < INFINITY, x, y)
    np.negative(away, away)
    found = _log_one_plus(np.exp2(away, away))
    np.multiply(found, LOG2_E, found)
    return np.add(found, np.maximum(x, y), found)


def _atan2(y: Array, x: Array) -> Array:
    """atan(q) for q = the smaller magnitude over the larger, then mirrored at the diagonal and at the axis."""
    a, b = np.abs(y), np.abs(x)
    steep = (a > b).astype(SINGLE)
    larger = np.maximum(a, b)
    if not (larger.min() > 0 and larger.max() < np.inf):
        return _repaired(_atan2, np.arctan2, (larger > 0) & (larger < INFINITY), y, x)
    q = np.minimum(a, b, out=a)
    np.divide(q, larger, q)
    square = np.multiply(q, q, out=b)
    found = _polynomial(ATAN, square)
    np.multiply(found, square, found)
    np.multiply(found, q, found)
    np.add(found, q, found)
    left = np.signbit(x).astype(SINGLE)
    for mirrored, high, low in ((steep, HALF_PI, HALF_PI_LOW), (left, PI, PI_LOW)):
        np.multiply(mirrored, low, square)
        np.subtract(found, square, found)
        np.multiply(mirrored, high, mirrored)
        np.subtract(mirrored, found, found)
        np.abs(found, found)
    return _signed(found, y)


# ---- running them ----------------------------------------------------------------------------------------------------


def _repaired(kernel: Callable[..., Array], numpy: Callable[..., Array], inside: Array, *args: Array) -> Array:
    """The function where it is `inside` its domain, NumPy's elsewhere."""
    found = np.empty_like(args[0])
    for part, function in ((np.flatnonzero(inside), kernel), (np.flatnonzero(~inside), numpy)):
        if len(part):
            found[part] = function(*(a[part] for a in args))
    return found


def _run(kernel: Callable[..., Array], numpy: Callable[..., Any], args: tuple, out: Array | None) -> Any:
    """The kernel for each block of equally shaped float32 arrays; else, and for few elements, NumPy's function."""
    x = args[0]
    if x.dtype != SINGLE or x.size < LEAST:
        return numpy(*args, out=out)
    if len(args) > 1:
        if args[1].dtype != SINGLE or (x.shape != args[1].shape and max(a.size for a in args) < LEAST):
            return numpy(*args, out=out)
        args = np.broadcast_arrays(*args)
        x = args[0]
    with np.errstate(all="ignore"):
        if x.ndim == 1 and x.size <= BLOCK and all(a.flags.c_contiguous for a in args):
            found = kernel(*args)
        else:
            flat = [np.ascontiguousarray(a).reshape(-1) for a in args]
            found = np.empty(x.size, SINGLE)
            for start in range(0, x.size, BLOCK):
                found[start : start + BLOCK] = kernel(*(a[start : start + BLOCK] for a in flat))
            found = found.reshape(x.shape)
    if out is None:
        return found
    np.copyto(out, found)
    return out
