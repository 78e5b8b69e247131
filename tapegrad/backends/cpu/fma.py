"""Multiply and add with one rounding, in NumPy.

Reference: Dekker, "A floating-point technique for extending the available precision", Numer. Math. 18 (1971).
"""

from __future__ import annotations

import numpy as np

SINGLE = np.dtype(np.float32)


def fma(x: np.ndarray, scale: float | np.ndarray, shift: float | np.ndarray) -> np.ndarray:
    """`x * scale + shift` rounded once, as a fused multiply-add does; all of x's type, float32 or float64."""
    if np.ndim(shift) == 0 and shift == 0:
        return x if np.ndim(scale) == 0 and scale == 1 else x * np.asarray(scale, x.dtype)
    if x.dtype == SINGLE:  # 24 + 24 bits: the product is exact in float64
        return (x * np.asarray(scale, np.float64) + np.asarray(shift, np.float64)).astype(np.float32)
    split = 134217729.0  # 2**27 + 1: Dekker's product. 26-bit halves give p + low == x * scale exactly
    xc, sc = x * split, scale * split
    x1, s1 = xc - (xc - x), sc - (sc - scale)
    x2, s2 = x - x1, scale - s1
    p = x * scale
    low = ((x1 * s1 - p) + x1 * s2 + x2 * s1) + x2 * s2
    total = p + shift  # Knuth's sum: total + rest == p + shift exactly
    back = total - p
    rest = (p - (total - back)) + (shift - back)
    return total + (rest + low)
