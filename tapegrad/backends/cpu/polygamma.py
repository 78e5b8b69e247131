"""Derivatives of the digamma function: `polygamma(n, x) = (-1)^(n+1) n! zeta(n+1, x)` with Hurwitz's zeta.

    zeta(s, x) = sum over k >= 0 of (x + k)^-s

For x of 1/2 or more the first ten terms are added as they are; the rest is the Euler-Maclaurin
formula, whose first neglected term is then below 1e-16 of the sum. Below 1/2 the function is reflected:

    (-1)^n polygamma(n, 1 - x) - polygamma(n, x) = pi d^n/dx^n cot(pi x)

Sources: DLMF 25.11 and 5.15.
"""

from __future__ import annotations

import math

import numpy as np

FAR = 10  # terms that are added as they are: from there on the Euler-Maclaurin formula is exact to rounding
BLOCK = 16384  # elements worked on at a time: the arrays of a formula stay in the cache
BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330)


def zeta(s: int, x: np.ndarray) -> np.ndarray:
    """The sum of `(x + k)^-s` over k = 0, 1, 2, ...; s is 2 or more, x a float64 array of positive numbers."""
    found = np.zeros_like(x)
    for k in range(FAR):
        found += _whole_power(1 / (x + k), s)
    y = 1 / (x + FAR)
    power = _whole_power(y, s - 1)
    found += power / (s - 1)
    power = power * y  # in new memory: for s = 2 it is y itself
    found += power / 2
    y2, series, factor = y * y, 0.0, float(s)
    weights = []
    for j, bernoulli in enumerate(BERNOULLI, 1):
        weights.append(bernoulli / math.factorial(2 * j) * factor)
        factor *= (s + 2 * j - 1) * (s + 2 * j)
    for weight in reversed(weights):
        series = series * y2 + weight
    return found + series * power * y


def _whole_power(x: np.ndarray, n: int) -> np.ndarray:
    """`x**n` by multiplication; n is 1 or more."""
    found = None
    while n:
        if n & 1:
            found = x if found is None else found * x
        n >>= 1
        x = x * x if n else x
    assert found is not None
    return found


def _cotangent(n: int, x: np.ndarray) -> np.ndarray:
    """The derivative of order n of `cot(pi x)`: a polynomial of the cotangent, since cot' = -pi (1 + cot^2)."""
    p = np.polynomial.Polynomial([0.0, 1.0])
    for _ in range(n):
        p = p.deriv() * np.polynomial.Polynomial([-1.0, 0.0, -1.0])
    return math.pi**n * p(1 / np.tan(math.pi * x))


def polygamma(n: int, x: np.ndarray) -> np.ndarray:
    """The derivative of order n (1 or more) of digamma, in the floating-point dtype of `x`.

    As PyTorch's, at infinity it is 0 for n = 1 and else NaN, at 0 infinite, and at -1, -2, ... finite for n = 1 alone.
    """
    if x.size > 2 * BLOCK:
        flat = x.reshape(-1)
        parts = [polygamma(n, flat[i : i + BLOCK]) for i in range(0, x.size, BLOCK)]
        return np.concatenate(parts).reshape(x.shape)
    wide = np.atleast_1d(x.astype(np.float64))
    low = wide < 0.5
    sign = 1.0 if n % 2 else -1.0
    found = sign * math.factorial(n) * zeta(n + 1, np.where(np.isfinite(wide), np.where(low, 1 - wide, wide), 1.0))
    found[low] = -sign * found[low] - math.pi * _cotangent(n, wide[low])
    found[~np.isfinite(wide)] = np.nan
    found[wide == np.inf] = 0.0 if n == 1 else np.nan
    found[wide == 0 if n == 1 else low & (wide == np.floor(wide))] = sign * np.inf
    return found.reshape(x.shape).astype(x.dtype)
