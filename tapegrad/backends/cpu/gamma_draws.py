"""Gamma and Dirichlet numbers on the CPU in PyTorch's streams, and their derivatives by the parameters.

The derivative of a sample z with distribution function F(z; a) is -(dF/da) / (dF/dz): the uniform number F(z; a) stays
the same. Both densities are log-concave in y = ln z (gamma) and y = logit z (beta), and there dF/da is the integral of
the density times d(ln density)/da from y to one end, whichever is nearer (Note: tails).

References: Marsaglia, Tsang, "A simple method for generating gamma variables", ACM TOMS 26 (2000); Figurnov, Mohamed,
Mnih, "Implicit reparameterization gradients", NeurIPS 2018.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np

from ...errors import message
from .counts import Reader, each
from .generator import Generator
from .special import digamma

# ---- numbers ---------------------------------------------------------------------------------------------------------


def _need_wide(where: str, x: np.ndarray) -> None:
    if x.dtype not in (np.float32, np.float64):
        raise NotImplementedError(message(f"{where}: only for float32 and float64", got=x.dtype))


def standard_gamma(gen: Generator, shape: np.ndarray) -> np.ndarray:
    """Gamma numbers of rate 1, element by element: `d (1 + x / sqrt(9 d))^3` with d = shape - 1/3, x from N(0, 1).

    x is one of a pair of normals; it is refused if `ln(1 - u53) >= x^2 / 2 + d (1 - v + ln v)`, v the cube. Below shape
    1: the number of shape + 1, times `(1 - u53)^(1 / shape)`, that u53 first. At least the smallest normal number of
    the type. Bit-equal.
    """
    _need_wide("standard_gamma", shape)
    return np.maximum(each(gen, _gamma, shape, *_constants(shape)), np.finfo(shape.dtype).tiny)


_THIRD, _SQUEEZE = np.float32(1 / 3), float(np.float32(0.0331))


def _constants(shape: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """d, and 1 / shape for shapes below 1, computed in their type, the 1/3 always in float32."""
    return np.where(shape < 1, shape + 1, shape) - _THIRD.astype(shape.dtype), 1 / shape


def _gamma(reader: Reader, shape: float, d: float, power: float) -> float:
    scale = 1.0
    if shape < 1:
        if shape == 0:
            return 0.0
        scale = (1 - reader.uniform()) ** power
    c = 1 / math.sqrt(9 * d)
    while True:
        x = reader.normal()
        y = 1 + c * x
        while y <= 0:
            x = reader.normal()
            y = 1 + c * x
        v = y * y * y
        u = 1 - reader.uniform()
        square = x * x
        if u < 1 - _SQUEEZE * square * square or math.log(u) < 0.5 * square + d * (1 - v + math.log(v)):
            return scale * d * v


def dirichlet(gen: Generator, concentration: np.ndarray) -> np.ndarray:
    """Points of the simplex (..., k): gamma numbers of these shapes over their sum, in float64, inside of (0, 1).

    Bit-equal for k < 16; further on the sum is taken in another order.
    """
    _need_wide("dirichlet", concentration)
    wide = concentration.astype(np.float64)
    gammas = np.maximum(each(gen, _gamma, wide, *_constants(wide)), np.finfo(np.float64).tiny)
    share, limits = gammas / _row_sum(gammas), np.finfo(concentration.dtype)
    return np.clip(share, limits.tiny, 1 - limits.epsneg).astype(concentration.dtype)


def _row_sum(x: np.ndarray) -> np.ndarray:
    """The sums of the rows as PyTorch takes them: four at a time, but what is left over comes first."""
    k = x.shape[-1]
    if not (4 <= k < 16 and x.size):
        return x.sum(-1, keepdims=True)
    lanes = x[..., : k - k % 4].reshape(*x.shape[:-1], -1, 4)
    columns = [*np.moveaxis(x[..., k - k % 4 :], -1, 0), *np.moveaxis(np.add.reduce(lanes, -2), -1, 0)]
    return functools.reduce(np.add, columns)[..., None]


# ---- derivatives -----------------------------------------------------------------------------------------------------

# Note: tails
# With h(y) the log-density without its constant, D(u) = h(y) - h(y -+ u) grows convexly from 0. The integral of
# exp(-D(u)) w(u) is cut off where D is _END, which Newton's method finds from above, and taken with Gauss and
# Legendre's rule, on two parts where it is long: near its beginning D is curved, further away it may be straight.
# The error is below 1e-9 (PyTorch's formulas: 1e-3).

_END, _NEWTON = 28.0, 5
_CURVED, _LONG = 8.0, 12.0  # beyond 8, exp(-u) does not matter; 16 nodes do for 12
_CHUNK = 1 << 13  # elements at a time: the dozen temporaries stay in the cache


@functools.cache
def _rule() -> list[tuple[float, float]]:
    """Gauss and Legendre's points between 0 and 1, and their weights."""
    nodes, weights = np.polynomial.legendre.leggauss(16)
    return list(zip((nodes / 2 + 0.5).tolist(), (weights / 2).tolist()))


def _tail(drop: Callable, slope: Callable, weight: Callable, end: np.ndarray, *p: np.ndarray) -> np.ndarray:
    """The integral over u > 0 of exp(-drop(u)) * weight(u); `end` is an upper bound of where drop is _END.

    The three functions take u and the parameters p, arrays like `end`.
    """
    for _ in range(_NEWTON):
        end = np.maximum(end - (drop(end, *p) - _END) / slope(end, *p), end / 16)
    is_long = end > _LONG
    total = _panel(drop, weight, 0.0, np.where(is_long, _CURVED, end), *p)
    if is_long.any():
        total[is_long] += _panel(drop, weight, _CURVED, end[is_long] - _CURVED, *(x[is_long] for x in p))
    return total


def _panel(drop: Callable, weight: Callable, start: float, length: np.ndarray, *p: np.ndarray) -> np.ndarray:
    total = np.zeros_like(length)
    for node, share in _rule():
        u = start + length * node
        part = np.exp(-drop(u, *p))
        part *= weight(u, *p)
        part *= share
        total += part
    return total * length


def _in_chunks(function: Callable, like: np.ndarray, *parameters: np.ndarray) -> np.ndarray:
    """`function(*parameters)`, broadcast, as float64 and in pieces; the result in the type of `like`."""
    shape = np.broadcast_shapes(*(p.shape for p in parameters))
    flat = [np.ascontiguousarray(p).reshape(-1) for p in np.broadcast_arrays(*parameters)]
    out = np.empty(flat[0].size, like.dtype)
    for start in range(0, out.size, _CHUNK):
        piece = slice(start, start + _CHUNK)
        out[piece] = function(*(p[piece].astype(np.float64) for p in flat))
    return out.reshape(shape)


def gamma_derivative(shape: np.ndarray, sample: np.ndarray) -> np.ndarray:
    """d sample / d shape for gamma numbers of rate 1; both of one floating type."""
    _need_wide("gamma_derivative", sample)
    return _in_chunks(_gamma_derivative, sample, shape, sample)


def _gamma_derivative(a: np.ndarray, z: np.ndarray) -> np.ndarray:
    out, y = np.empty_like(z), np.log(z) - digamma(a)
    i = z < a
    if i.any():
        out[i] = -_tail(
            lambda u, a, z, y: a * u + z * np.expm1(-u), lambda u, a, z, y: a - z * np.exp(-u),
            lambda u, a, z, y: y - u, (_END + z[i]) / a[i], a[i], z[i], y[i],
        )  # fmt: skip
    i = ~i
    if i.any():
        far = _END / z[i]
        out[i] = _tail(
            lambda u, a, z, y: z * np.expm1(u) - a * u, lambda u, a, z, y: z * np.exp(u) - a,
            lambda u, a, z, y: y + u, np.minimum(np.sqrt(2 * far), 1.7 + np.log1p(far)), a[i], z[i], y[i],
        )  # fmt: skip
    return out * z


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def dirichlet_derivative(sample: np.ndarray, alpha: np.ndarray, total: np.ndarray) -> np.ndarray:
    """d x / d alpha over 1 - x, for x of Beta(alpha, total - alpha): what each part of a Dirichlet vector is."""
    _need_wide("dirichlet_derivative", sample)
    return _in_chunks(_dirichlet_derivative, sample, sample, alpha, total)


def _dirichlet_derivative(x: np.ndarray, a: np.ndarray, s: np.ndarray) -> np.ndarray:
    x = np.clip(x, np.finfo(np.float64).tiny, 1 - 2.0**-53)
    out, y, center = np.empty_like(x), np.log(x) - np.log1p(-x), digamma(s) - digamma(a)

    def integrate(i: np.ndarray, sign: float) -> None:
        """Towards 0 or towards 1, whichever way the density falls."""
        if not i.any():
            return
        base, rate = _softplus(y[i]), a[i] if sign < 0 else s[i] - a[i]  # rate: the slope of D far away
        end = (_END + s[i] * (base if sign < 0 else _softplus(-y[i]))) / rate
        out[i] = sign * _tail(
            lambda u, a, s, y, w, b: s * (_softplus(y + sign * u) - b) - sign * a * u,
            lambda u, a, s, y, w, b: sign * (s / (1 + np.exp(-(y + sign * u))) - a),
            lambda u, a, s, y, w, b: w - _softplus(-(y + sign * u)),
            end, a[i], s[i], y[i], center[i], base,
        )  # fmt: skip

    below = x * s < a
    integrate(below, -1.0)
    integrate(~below, 1.0)
    return out * x  # dx = x (1 - x) dy
