"""Derivatives of the digamma function: `polygamma(n, x) = (-1)^(n+1) n! zeta(n+1, x)` with Hurwitz's zeta.

    zeta(s, x) = sum over k >= 0 of (x + k)^-s

For x of 1/2 or more the first terms are added as they are until x + k reaches 10; the rest is the Euler-Maclaurin
formula, whose first neglected term is then below 1e-16 of the sum. Below 1/2 the function is reflected:

    (-1)^n polygamma(n, 1 - x) - polygamma(n, x) = pi d^n/dx^n cot(pi x)

Sources: DLMF 25.11 and 5.15.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.polynomial import Polynomial

FAR = 10.0  # from here on the Euler-Maclaurin formula is exact to rounding
BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330)


def zeta(s: int, x: np.ndarray) -> np.ndarray:
    """The sum of `(x + k)^-s` over k = 0, 1, 2, ...; s is 2 or more, x a float64 array of positive numbers."""
    x = x.copy()
    found = np.zeros_like(x)
    for _ in range(int(FAR)):
        near = x < FAR
        found[near] += x[near] ** -s
        x[near] += 1
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


def _cotangent(n: int, x: np.ndarray) -> np.ndarray:
    """The derivative of order n of `cot(pi x)`: a polynomial of the cotangent, since cot' = -pi (1 + cot^2)."""
    p = Polynomial([0.0, 1.0])
    for _ in range(n):
        p = p.deriv() * Polynomial([-1.0, 0.0, -1.0])
    return math.pi**n * p(1 / np.tan(math.pi * x))


def polygamma(n: int, x: np.ndarray) -> np.ndarray:
    """The derivative of order n (1 or more) of digamma, in the floating-point dtype of `x`.

    As PyTorch's, at infinity it is 0 for n = 1 and else NaN, at 0 infinite, and at -1, -2, ... finite for n = 1 alone.
    """
    wide = np.atleast_1d(x.astype(np.float64))
    low = wide < 0.5
    sign = 1.0 if n % 2 else -1.0
    found = sign * math.factorial(n) * zeta(n + 1, np.where(np.isfinite(wide), np.where(low, 1 - wide, wide), 1.0))
    found[low] = -sign * found[low] - math.pi * _cotangent(n, wide[low])
    found[~np.isfinite(wide)] = np.nan
    found[wide == np.inf] = 0.0 if n == 1 else np.nan
    found[wide == 0 if n == 1 else low & (wide == np.floor(wide))] = sign * np.inf
    return found.reshape(x.shape).astype(x.dtype)
