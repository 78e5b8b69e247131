"""Incomplete gamma functions, and Hurwitz's zeta function, of two arrays.

    P(a, x) = 1 / gamma(a) * integral of t**(a - 1) exp(-t) from 0 to x,   Q(a, x) = 1 - P(a, x)
    zeta(s, q) = sum over k >= 0 of (q + k)**-s

P and Q are a power series for small x or x < a, a continued fraction beyond, and for large a with x near it an
expansion in 1/a that holds on both sides. Each of the two is computed without taking the other from 1 wherever it
would lose digits. All arithmetic is in float64.

Sources: Gil, Segura and Temme, "Efficient and accurate algorithms for the computation and inversion of the incomplete
gamma function ratios", SIAM J. Sci. Comput. 34 (2012); NIST Digital Library of Mathematical Functions, 8.7, 8.9 and
25.11.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .special import LGAMMA, LGAMMA_TAIL, erfc, lgamma

Array = np.ndarray

EPSILON = 2.0**-54
BLOCK = 4096  # elements worked on at a time
# eta / (lambda - 1) as a power series in eta, where eta**2 / 2 = lambda - 1 - log(lambda)
# fmt: off
UNIFORM = (
    1.0, -0.3333333333333333, 0.08333333333333333, -0.014814814814814815, 0.0011574074074074073,
    0.0003527336860670194, -0.0001787551440329218, 3.919263178522438e-05, -2.185448510679992e-06,
    -1.85406221071516e-06, 8.296711340953087e-07, -1.7665952736826078e-07, 6.707853543401498e-09,
    1.0261809784240309e-08, -4.382036018453353e-09, 9.14769958223679e-10, -2.5514193994946248e-11,
    -5.830772132550426e-11, 2.4361948020667415e-11, -5.0276692801141755e-12, 1.1004392031956135e-13,
    3.371763262400985e-13, -1.392388722418162e-13, 2.8534893807047445e-14, -5.139111834242572e-16,
    -1.9752288294349442e-15, 8.099521156704561e-16,
)
# fmt: on
BERNOULLI = (
    1 / 6,
    -1 / 30,
    1 / 42,
    -1 / 30,
    5 / 66,
    -691 / 2730,
    7 / 6,
    -3617 / 510,
    43867 / 798,
    -174611 / 330,
    854513 / 138,
    -236364091 / 2730,
)


def igamma(a: Array, x: Array) -> Array:
    """P(a, x), elementwise, for a and x not negative; NaN elsewhere."""
    return _run(lambda a, x: _ratio(a, x, True), a, x)


def igammac(a: Array, x: Array) -> Array:
    """Q(a, x), elementwise, for a and x not negative; NaN elsewhere."""
    return _run(lambda a, x: _ratio(a, x, False), a, x)


def zeta(s: Array, q: Array) -> Array:
    """Hurwitz's zeta function, elementwise: inf at s = 1 and at the poles q = 0, -1, ..., NaN for s < 1."""
    return _run(_zeta, s, q)


@np.errstate(all="ignore")
def _run(kernel: Callable[[Array, Array], Array], a: Array, x: Array) -> Array:
    """kernel(a, x) in float64; the result has the shape of both together and the dtype they have together."""
    dtype = np.result_type(a, x)
    a, x = np.broadcast_arrays(a, x)
    found = kernel(a.ravel().astype(np.float64, copy=False), x.ravel().astype(np.float64, copy=False))
    return found.reshape(a.shape).astype(dtype, copy=False)


def _fill(found: Array, where: Array, kernel: Callable[..., Array], a: Array, x: Array) -> None:
    """found = kernel(a, x) where `where`, in blocks of elements of like x, which take about as many steps each."""
    index = np.flatnonzero(where)
    if index.size > BLOCK:
        index = index[np.argsort(x[index])]
    for i in range(0, index.size, BLOCK):
        part = index[i : i + BLOCK]
        found[part] = kernel(a[part], x[part])


# ---- incomplete gamma functions ------------------------------------------------------------------------------------


def _ratio(a: Array, x: Array, lower: bool) -> Array:
    """P or Q."""
    none, all = (0.0, 1.0) if lower else (1.0, 0.0)
    usual = (a > 0) & (x > 0) & np.isfinite(a) & np.isfinite(x)
    found = np.select(  # what does not depend on the other one is right for NaN too, as in PyTorch
        [(a < 0) | (x < 0), a == 0, x == 0, np.isposinf(a), np.isposinf(x)],
        [np.nan, np.where(x > 0, all, np.nan), none, np.where(np.isposinf(x), np.nan, none), all],
        np.nan,
    )
    uniform = usual & (a > 20) & (np.abs(x - a) < 0.3 * a)
    # where Q is small a series of its own gives it
    small = usual & ~uniform & np.where(x <= 0.5, a * -np.log(x) < 0.4, (x <= 1.1) & (a < 1.1 * x))
    fraction = usual & ~uniform & ~small & (x > 1.1) & (x > a)
    series = usual & ~(uniform | small | fraction)
    _fill(found, uniform, lambda a, x: _uniform(a, x, lower), a, x)
    for where, kernel, gives_lower in (
        (small, _small_upper, False),
        (fraction, _fraction, False),
        (series, _series, True),
    ):
        _fill(found, where, kernel if gives_lower == lower else lambda a, x, k=kernel: 1 - k(a, x), a, x)
    return found


def _log_less(a: Array, x: Array) -> Array:
    """log(1 + mu) - mu, where mu = x/a - 1; near 0 with r = mu / (2 + mu) it is 2 (r**3/3 + r**5/5 + ...) - mu r."""
    mu = (x - a) / a
    r = mu / (2 + mu)
    square = r * r
    tail = np.zeros_like(r)
    for k in range(27, 1, -2):
        tail = (tail + 1 / k) * square
    return np.where(np.abs(mu) < 0.4, 2 * r * tail - mu * r, np.log(x / a) - mu)


def _density(a: Array, x: Array) -> Array:
    """x**a exp(-x) / gamma(a + 1)."""
    found = np.empty_like(a)

    def low(a: Array, x: Array) -> Array:
        return np.exp(a * np.log(x) - x - _lgamma1p(a))

    def high(a: Array, x: Array) -> Array:  # by Stirling's formula, in which the large terms cancel on paper
        rest = LGAMMA_TAIL(1 / (a * a)) / a
        return np.exp(a * _log_less(a, x) - rest) / np.sqrt(2 * math.pi * a)

    _fill(found, a < 3, low, a, x)
    _fill(found, a >= 3, high, a, x)
    return found


def _lgamma1p(a: Array) -> Array:
    """log(gamma(1 + a)) for a > 0, also where 1 + a is 1 in floating point."""
    return np.where(a <= 2, LGAMMA(np.minimum(a, 2)) * (a * (a - 1)), lgamma(1 + a))


def _series(a: Array, x: Array) -> Array:
    """P = density * (1 + x/(a + 1) + x**2/((a + 1)(a + 2)) + ...)."""
    term, total, n = np.ones_like(a), np.ones_like(a), a.copy()
    while True:
        for _ in range(8):
            n += 1
            term *= x / n
            total += term
        if not (term > EPSILON * total).any():
            return _density(a, x) * total


def _fraction(a: Array, x: Array) -> Array:
    """Q = a * density / (x + 1 - a - 1 (1 - a) / (x + 3 - a - 2 (2 - a) / ...)), from the last fraction to the first.

    The number of fractions is doubled until the result stays.
    """
    first, before, count = x + 1 - a, None, 16
    while True:
        found = first + 2 * count
        for k in range(count, 0, -1):
            found = (first + 2 * (k - 1)) + k * (a - k) / found
        if (before is not None and (np.abs(found - before) <= 4 * EPSILON * found).all()) or count > 4000:
            return a * _density(a, x) / found
        before, count = found, 2 * count


def _small_upper(a: Array, x: Array) -> Array:
    """Q = 1 - x**a/gamma(1 + a) (1 + a (-x/(a + 1) + x**2/(2 (a + 2)) - ...)) with the part near 0 by expm1."""
    power = a * np.log(x) - _lgamma1p(a)
    total, term = np.zeros_like(a), np.ones_like(a)
    for n in range(1, 24):  # 1.1**24 / 24! < 2**-53 * 1e-7
        term *= -x / n
        total += term / (a + n)
    return -np.expm1(power) - np.exp(power) * a * total


def _uniform(a: Array, x: Array, lower: bool) -> Array:
    """erfc(-+ eta sqrt(a/2)) / 2 -+ exp(-a eta**2 / 2) / sqrt(2 pi a) * S with S a series in eta, x = a lambda.

    The coefficients of S follow one another from the last to the first: b[n - 1] = f[n] + (n + 1) b[n + 1] / a.
    """
    half = np.maximum(-_log_less(a, x), 0.0)  # eta**2 / 2
    eta = np.copysign(np.sqrt(2 * half), x - a)
    above = np.zeros_like(a)
    now = np.full_like(a, UNIFORM[-1])
    total = now.copy()
    for n in range(len(UNIFORM) - 2, 0, -1):  # `now` is b[n], `above` b[n + 1]
        now, above = UNIFORM[n] + (n + 1) * above / a, now
        total = total * eta + now
    # here `now` is b[0] and `above` b[1]
    rest = total * (a / (a + above)) * np.exp(-a * half) / np.sqrt(2 * math.pi * a)
    near = eta * np.sqrt(a / 2)
    return erfc(-near) / 2 - rest if lower else erfc(near) / 2 + rest


# ---- zeta ----------------------------------------------------------------------------------------------------------


def _zeta(s: Array, q: Array) -> Array:
    found = np.full(s.shape, np.nan)
    usual = (s > 1) & np.isfinite(s) & np.isfinite(q)
    _fill(found, usual & (q > 0), _zeta_right, s, q)
    _fill(found, usual & (q < 0) & (s == np.floor(s)), _zeta_left, s, q)
    found[np.isposinf(s) & (q < 1)] = np.inf
    found[np.isposinf(s) & (q == 1)] = 1.0
    found[~(s < 1) & (q <= 0) & (q == np.floor(q)) | (s == 1)] = np.inf
    return found


def _zeta_right(s: Array, q: Array) -> Array:
    """The first terms up to where Euler and Maclaurin's formula holds, or the others vanish; and that for the rest."""
    q, total, far = q.copy(), np.zeros_like(q), 10 + 0.7 * s
    while True:
        term = q**-s
        lost = term < EPSILON * total
        near = (q < far) & ~lost
        if not near.any():
            break
        total[near] += term[near]
        q[near] += 1
    rest = term * (0.5 + q / (s - 1))
    factor = s / q
    for j, b in enumerate(BERNOULLI, 1):
        rest += b / math.factorial(2 * j) * (factor * term)
        factor = factor * ((s + 2 * j - 1) / q) * ((s + 2 * j) / q)
    return np.where(lost, total, total + rest)


def _zeta_left(s: Array, q: Array) -> Array:
    """For q < 0 and whole s: the terms left of zero are those of the magnitudes, down to the last one."""
    count = np.ceil(-q)
    last = -(q + count - 1)  # the magnitude of the last term left of zero
    sign = np.where(s % 2 == 0, 1.0, -1.0)
    return sign * (_zeta_right(s, last) - _zeta_right(s, last + count)) + _zeta_right(s, q + count)
