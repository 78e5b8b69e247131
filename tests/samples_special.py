"""Samples of Fourier transforms and of special functions; their references are integrals, sums and Python's own."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.polynomial import chebyshev, hermite, hermite_e, laguerre, legendre
from samples import case, elements, positive, real, whole

# ---- Fourier transforms --------------------------------------------------------------------------------------------

Z = real(3, 4) + 1j * real(3, 4, seed=1)


def c2c(x, dim, norm, forward):
    return (np.fft.fftn if forward else np.fft.ifftn)(x, axes=dim, norm=norm)


def r2c(x, dim, norm, onesided):
    return (np.fft.rfftn if onesided else np.fft.fftn)(x, axes=dim, norm=norm)


def c2r(x, dim, norm, n):
    sizes = [*(x.shape[d] for d in dim[:-1]), n]
    return np.fft.irfftn(x, sizes, axes=dim, norm=norm)


def weigh(x, dim, n, factor):
    k = np.arange(x.shape[dim])
    twice = (k > 0) & (2 * k != n)
    return x * np.where(twice, factor, 1).reshape([-1 if d == dim else 1 for d in range(x.ndim)])


SAMPLES = {
    "_fft_c2c": [
        case(Z, (1,), "backward", True, expect=c2c),
        case(Z, (0, 1), "ortho", False, expect=c2c),
        case(Z, (), "forward", True, expect=lambda x, *_: x),
        case(real(0, 3) + 0j, (1,), "forward", True, expect=c2c),
    ],
    "_fft_r2c": [
        case(real(3, 4), (1,), "backward", True, expect=r2c),
        case(real(3, 5), (1,), "ortho", True, expect=r2c),
        case(real(3, 4), (1, 0), "forward", True, expect=r2c),
        case(real(3, 4), (0,), "forward", False, expect=r2c),
        case(real(0, 5), (1,), "forward", True, expect=lambda x, *_: np.zeros((0, 3), complex)),
    ],
    "_fft_c2r": [
        case(Z, (1,), "backward", 6, expect=c2r),
        case(Z, (1,), "ortho", 7, expect=c2r),
        case(Z, (1, 0), "forward", 4, expect=c2r),
        case(Z[:0], (1,), "forward", 6, expect=lambda x, *_: np.zeros((0, 6))),
    ],
    "_fft_weigh": [case(Z, 1, 6, 2.0, expect=weigh), case(Z, 0, 5, 0.5, expect=weigh)],
}

# ---- functions of one variable -------------------------------------------------------------------------------------

NODES, WEIGHTS = np.polynomial.legendre.leggauss(120)


def integral(function, low, high):
    """By Gauss's rule; `high` may be an array."""
    half = (np.asarray(high)[..., None] - low) / 2
    t = low + half * (1 + NODES)
    return (function(t) * WEIGHTS * half).sum(-1)


def bessel_i(n, x):
    return integral(lambda t: np.exp(x[..., None] * np.cos(t)) * np.cos(n * t), 0, math.pi) / math.pi


def bessel_j(n, x):
    return integral(lambda t: np.cos(n * t - x[..., None] * np.sin(t)), 0, math.pi) / math.pi


def bessel_y(n, x):
    x = x[..., None]
    wave = integral(lambda t: np.sin(x * np.sin(t) - n * t), 0, math.pi)
    rest = integral(lambda t: (np.exp(n * t) + (-1) ** n * np.exp(-n * t)) * np.exp(-x * np.sinh(t)), 0, 6)
    return (wave - rest) / math.pi


def bessel_k(n, x):
    return integral(lambda t: np.exp(-x[..., None] * np.cosh(t)) * np.cosh(n * t), 0, 6)


def airy(x):
    z = np.sqrt(x)[..., None]
    return np.exp(-2 / 3 * x**1.5) / math.pi * integral(lambda t: np.exp(-z * t * t) * np.cos(t**3 / 3), 0, 5)


def unary(reference, low=-2.0, high=2.0, **options):
    return [case(real(2, 3, low=low, high=high), expect=reference, **options)]


SAMPLES |= {
    "special_erfcx": unary(elements(lambda x: math.exp(x * x) * math.erfc(x))),
    "special_ndtr": unary(elements(NormalDist().cdf)),
    "special_log_ndtr": unary(elements(lambda x: math.log(math.erfc(-x / math.sqrt(2)) / 2))),
    "special_ndtri": unary(elements(NormalDist().inv_cdf), 0.1, 0.9),
    "i0": unary(np.i0),
    "special_i0e": unary(lambda x: np.i0(x) * np.exp(-np.abs(x))),
    "special_i1": [*unary(lambda x: bessel_i(1, x)), case(np.zeros(2), order=1, expect=lambda x: x)],
    "special_i1e": unary(lambda x: bessel_i(1, x) * np.exp(-np.abs(x))),
    "special_entr": unary(lambda x: -x * np.log(x), 0.2),
    "special_bessel_j0": [*unary(lambda x: bessel_j(0, x)), *unary(lambda x: bessel_j(0, x), 4.0, 20.0)],
    "special_bessel_j1": [*unary(lambda x: bessel_j(1, x)), *unary(lambda x: bessel_j(1, x), 4.0, 20.0)],
    "special_bessel_y0": unary(lambda x: bessel_y(0, x), 0.3, 10.0),
    "special_bessel_y1": unary(lambda x: bessel_y(1, x), 0.3, 10.0),
    "special_modified_bessel_k0": unary(lambda x: bessel_k(0, x), 0.3, 5.0),
    "special_modified_bessel_k1": unary(lambda x: bessel_k(1, x), 0.3, 5.0),
    "special_scaled_modified_bessel_k0": unary(lambda x: bessel_k(0, x) * np.exp(x), 0.3, 5.0),
    "special_scaled_modified_bessel_k1": unary(lambda x: bessel_k(1, x) * np.exp(x), 0.3, 5.0),
    "special_spherical_bessel_j0": unary(lambda x: np.sin(x) / x),
    "special_airy_ai": unary(airy, 0.7, 4.0),
}

# ---- of two --------------------------------------------------------------------------------------------------------


def igamma(a, x):
    """The integral with t = x u**2, which is smooth at 0."""
    a, x = (np.asarray(v)[..., None] for v in np.broadcast_arrays(a, x))
    found = integral(lambda u: 2 * x * u * (x * u * u) ** (a - 1) * np.exp(-x * u * u), 0, 1)
    return found / elements(math.gamma)(a[..., 0])


def zeta(s, q):
    """The series summed up to 2,000, and an integral for the rest of it (the midpoint rule)."""
    s, q = (np.asarray(v)[..., None] for v in np.broadcast_arrays(s, q))
    head = ((q + np.arange(2000)) ** -s).sum(-1, keepdims=True)
    far = q + 1999.5
    return (head + far ** (1 - s) / (s - 1) - s / 24 * far ** (-1 - s))[..., 0]


def mvlgamma(x, p):
    found = sum(elements(math.lgamma)(x - j / 2) for j in range(p))
    return found + p * (p - 1) / 4 * math.log(math.pi)


def multigamma(x, p, n):
    """By differences of the sum of logarithms."""
    h = 1e-3
    terms = {k: sum(elements(math.lgamma)(x + k * h - j / 2) for j in range(p)) for k in range(-2, 3)}
    if n == 0:
        return (8 * (terms[1] - terms[-1]) - (terms[2] - terms[-2])) / (12 * h)
    return (16 * (terms[1] + terms[-1]) - terms[2] - terms[-2] - 30 * terms[0]) / (12 * h * h)


BASES = {
    "chebyshev_t": chebyshev.chebval,
    "hermite_h": hermite.hermval,
    "hermite_he": hermite_e.hermeval,
    "laguerre_l": laguerre.lagval,
    "legendre_p": legendre.legval,
}


def polynomial(x, n, family):
    x, n = np.broadcast_arrays(x, n)
    return np.array([BASES[family](a, [0] * int(k) + [1]) for a, k in zip(x.flat, n.flat)]).reshape(x.shape)


DEGREES = np.array([0.0, 1.0, 2.0, 3.0, 6.0, 11.0])
A, X = positive(2, 3, low=2.1, high=5.0), positive(2, 3, low=0.5, high=8.0, seed=1)
SAMPLES |= {
    "igamma": [case(A, X, fixed=(0,), expect=igamma), case(A[:, :1], X[0], fixed=(0,), expect=igamma)],
    "igammac": [case(A, X, fixed=(0,), expect=lambda a, x: 1 - igamma(a, x))],
    "mvlgamma": [case(A, 1, expect=mvlgamma), case(A, 3, expect=mvlgamma)],
    "_multigamma": [
        case(A, 2, 0, expect=multigamma, tolerance=1e-9),
        case(A, 2, 1, expect=multigamma, tolerance=1e-6),
    ],
    "special_zeta": [case(A, X, fixed=(0,), expect=zeta), case(A[:, :1], X[0], fixed=(0,), expect=zeta)],
    "special_xlog1py": [
        case(real(2, 3), positive(2, 3, seed=1), expect=lambda x, y: x * np.log1p(y)),
        case(real(2, 1), positive(3, seed=1), expect=lambda x, y: x * np.log1p(y)),
    ],
    "special_polynomial": [
        case(real(3, 6), DEGREES, family, expect=polynomial, double=family.startswith("hermite")) for family in BASES
    ],
    "frexp": [
        case(real(2, 3, low=-20.0, high=20.0), expect=np.frexp),
        case(np.array([0.0, 1.0, -8.0, 0.75]), order=0, expect=np.frexp),
    ],
    "_scaled_down": [case(real(2, 3), whole(2, 3, low=-3), fixed=(1,), expect=lambda x, n: x / 2.0**n)],
    "hash_tensor": [
        case(real(2, 3), expect=lambda x: np.bitwise_xor.reduce(x.view(np.uint64), None), double=True),
        case(whole(2, 3, low=-9), 1, expect=lambda x, d: np.bitwise_xor.reduce(x.view(np.uint64), d)),
        case(whole(2, 3), (0, 1), keepdim=True, expect=lambda x, d, keepdim: np.bitwise_xor.reduce(
            x.view(np.uint64), d, keepdims=keepdim
        )),
    ],
}  # fmt: skip
