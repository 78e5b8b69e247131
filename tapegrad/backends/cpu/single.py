"""Logarithm, sine and cosine in float32 as PyTorch's generator of normal numbers computes them with AVX2: bit-equal.

Cephes' polynomials, evaluated in float32 with fused multiply-adds. NumPy's own functions are as good (within 3 ulp),
but seeded weights would differ from PyTorch's in the last bit.

Reference: Moshier, "Methods and Programs for Mathematical Functions" (1989), and his Cephes library, `logf` and `sinf`.
"""

from __future__ import annotations

import numpy as np

SINGLE, WIDE = np.float32, np.float64
SIGN = np.int32(-(2**31))

LOG = (
    7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
    2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
)  # fmt: skip
LN2_LOW, LN2_HIGH = -2.12194440e-4, 0.693359375  # ln 2 as a sum, the second part short
SIN = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
COS = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
QUARTER_PI = (-0.78515625, -2.4187564849853515625e-4, -3.77489497744594108e-8)  # minus pi / 4 as a sum


def _fma(x: np.ndarray, y: np.ndarray | float, z: np.ndarray | float) -> np.ndarray:
    """`x * y + z` rounded once to float32; y, or both x and z, are float64 arrays or numbers of float32's precision."""
    found = x.astype(WIDE)
    found *= y
    found += z
    return found.astype(SINGLE)


def _polynomial(coefficients: tuple[float, ...], x: np.ndarray) -> np.ndarray:
    """Horner's rule; x is float64 with float32's precision."""
    first, second, *rest = (float(SINGLE(c)) for c in coefficients)
    t = x * first
    t += second
    y = t.astype(SINGLE)
    for c in rest:  # `_fma` in two arrays that stay in the cache
        np.copyto(t, y)
        t *= x
        t += c
        np.copyto(y, t, casting="same_kind")
    return y


def log(x: np.ndarray) -> np.ndarray:
    """ln x for normal float32 numbers above 0.

    x = 2^e m with m in [sqrt(1/2), sqrt(2)), f = m - 1:  ln x = e ln 2 + f - f^2 / 2 + f^3 P(f)
    """
    bits = x.view(np.int32)
    m = ((bits & 0x007FFFFF) | 0x3F000000).view(SINGLE)  # in [1/2, 1)
    e = ((bits >> 23) - 126).astype(SINGLE)
    low = m < SINGLE(0.5**0.5)
    f = (m - SINGLE(1)) + m * low.astype(SINGLE)
    e -= low
    square = f * f
    y = _polynomial(LOG, f.astype(WIDE)) * f
    y = _fma(y, square, e * SINGLE(LN2_LOW))
    y = _fma(square, -0.5, y)
    return _fma(e, LN2_HIGH, f + y)


def sincos(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """sin x and cos x for float32 numbers from 0 to 8000: reduced to [-pi/4, pi/4], then one polynomial each."""
    octant = (x * SINGLE(4 / np.pi)).astype(np.int32)
    octant += 1
    octant &= ~1
    steps = octant.astype(WIDE)
    for part in QUARTER_PI:
        x = _fma(steps, WIDE(SINGLE(part)), x)
    square = x * x
    wide = square.astype(WIDE)
    c = _polynomial(COS, wide) * square
    c = _fma(c, square, square * SINGLE(-0.5)) + SINGLE(1)
    s = _polynomial(SIN, wide) * square
    s = _fma(s, x, x)
    # exchanged and negated by their bits: a branch for each element takes ten times as long
    sine, cosine = s.view(np.int32), c.view(np.int32)
    octant >>= 1
    swap = -(octant & 1)
    changed = sine ^ cosine
    changed &= swap
    sine ^= changed
    cosine ^= changed
    octant <<= 30  # the second bit, which tells the sign of the sine, on top
    sine ^= octant & SIGN
    octant += octant.dtype.type(2**30)  # that of the cosine is set where the lower two are 01 or 10
    cosine ^= octant & SIGN
    return s, c


def box_muller(u: np.ndarray) -> np.ndarray:
    """N(0, 1) from blocks of 16 uniforms, a and b of 8: `sqrt(-2 ln(1 - a))` times cosine and sine of `2 pi b`."""
    u = u.reshape(-1, 2, 8)
    radius = np.sqrt(SINGLE(-2) * log(SINGLE(1) - u[:, 0]))
    sine, cosine = sincos(u[:, 1] * SINGLE(2 * np.pi))
    return np.stack((radius * cosine, radius * sine), axis=1).reshape(-1)
