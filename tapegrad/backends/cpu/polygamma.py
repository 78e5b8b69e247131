"""Derivatives of the digamma function: `polygamma(n, x) = (-1)^(n+1) n! zeta(n+1, x)` with Hurwitz's zeta.

    zeta(s, x) = sum over k >= 0 of (x + k)^-s

The first terms are added as they are until x + k reaches 10; the rest is the Euler-Maclaurin formula, whose first
neglected term is then below 1e-16 of the sum. Source: DLMF 25.11.
"""

from __future__ import annotations

import math

import numpy as np

FAR = 10.0  # from here on the Euler-Maclaurin formula is exact to rounding
BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330)


def zeta(s: int, x: np.ndarray) -> np.ndarray:
    """The sum of `(x + k)^-s` over k = 0, 1, 2, ...; s is 2 or more, x a float64 array. Infinite at 0, -1, -2, ..."""
    x = x.copy()
    found = np.zeros_like(x)
    near = np.flatnonzero(x.reshape(-1) < FAR)
    flat, total = x.reshape(-1), found.reshape(-1)
    while near.size:
        total[near] += flat[near] ** -s
        flat[near] += 1
        near = near[flat[near] < FAR]
    power = x ** (1 - s)
    found += power / (s - 1)
    power /= x
    found += power / 2
    factor = float(s)
    for j, bernoulli in enumerate(BERNOULLI, 1):
        power /= x
        found += bernoulli / math.factorial(2 * j) * factor * power
        power /= x
        factor *= (s + 2 * j - 1) * (s + 2 * j)
    return found


def polygamma(n: int, x: np.ndarray) -> np.ndarray:
    """The derivative of order n (1 or more) of digamma, in the floating-point dtype of `x`."""
    sign = 1 if n % 2 else -1
    wide = x.astype(np.float64, order="K")
    finite = np.isfinite(wide)
    found = sign * math.factorial(n) * zeta(n + 1, np.where(finite, wide, 1.0))
    if not finite.all():
        found = np.where(finite, found, np.where(wide > 0, 0.0, np.nan))
    return found.astype(x.dtype)
