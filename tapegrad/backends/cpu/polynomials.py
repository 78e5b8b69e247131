"""Orthogonal polynomials of NumPy arrays, one degree for each element.

All follow a recurrence of three terms, `p[k + 1] = step(k, x, p[k], p[k - 1])`, from p[0] = 1 and p[1] = first(x). The
elements are sorted by degree, so that each step works on one slice: those that go on. Chebyshev's polynomials of higher
degree are cosines and sines between -1 and 1. As in PyTorch the degree is truncated to an integer, and a polynomial of
negative degree is 0; the arithmetic is that of the operands' type.

Source: NIST Digital Library of Mathematical Functions, 18.5 and 18.9.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

Array = np.ndarray
Step = Callable[[int, Array, Array, Array], Array]


def _chebyshev(k: int, x: Array, q: Array, p: Array) -> Array:
    return (x + x) * q - p


def _hermite(k: int, x: Array, q: Array, p: Array) -> Array:
    return (x + x) * q - (2 * k) * p


def _hermite_e(k: int, x: Array, q: Array, p: Array) -> Array:
    return x * q - k * p


def _laguerre(k: int, x: Array, q: Array, p: Array) -> Array:
    return ((2 * k + 1 - x) * q - k * p) / (k + 1)


def _legendre(k: int, x: Array, q: Array, p: Array) -> Array:
    return ((2 * k + 1) * x * q - k * p) / (k + 1)


FAMILIES: Mapping[str, tuple[Callable[[Array], Array], Step]] = {  # p[1], and the recurrence
    "chebyshev_t": (lambda x: x, _chebyshev),
    "chebyshev_u": (lambda x: x + x, _chebyshev),
    "chebyshev_v": (lambda x: x + x - 1, _chebyshev),
    "chebyshev_w": (lambda x: x + x + 1, _chebyshev),
    "hermite_h": (lambda x: x + x, _hermite),
    "hermite_he": (lambda x: x, _hermite_e),
    "laguerre_l": (lambda x: 1 - x, _laguerre),
    "legendre_p": (lambda x: x, _legendre),
}
WAVES: Mapping[str, tuple[int, Callable[[Array, Array], Array]]] = {  # from which degree on, as a function of the angle
    "chebyshev_t": (7, lambda n, t: np.cos(n * t)),
    "chebyshev_u": (9, lambda n, t: np.sin((n + 1) * t) / np.sin(t)),
    "chebyshev_v": (9, lambda n, t: np.cos((n + 0.5) * t) / np.cos(t / 2)),
    "chebyshev_w": (9, lambda n, t: np.sin((n + 0.5) * t) / np.sin(t / 2)),
}
BLOCK = 16384  # elements worked on at a time
HIGHEST = {
    4: 128,
    8: 512,
}  # the highest degree of Hermite's polynomials, by bytes of an element: NaN beyond, as PyTorch


@np.errstate(all="ignore")
def polynomial(family: str, x: Array, n: Array) -> Array:
    """The polynomial of degree `n` at `x`, elementwise; both of one floating-point dtype."""
    dtype = np.result_type(x, n)
    x, n = np.broadcast_arrays(x, n)
    shape = x.shape
    x, n = x.ravel(), np.trunc(n.ravel())
    found = np.zeros(x.size, dtype)
    usual = (n >= 0) & (n < 2.0**63)  # what is no int64 counts as negative
    if family.startswith("hermite"):
        high = usual & (n > HIGHEST[dtype.itemsize])
        found[high], usual = np.nan, usual & ~high
    if family in WAVES:
        least, wave = WAVES[family]
        index = np.flatnonzero(usual & (n >= least) & (np.abs(x) < 1))
        found[index] = wave(n[index], np.arccos(x[index]))
        usual[index] = False
    index = np.flatnonzero(usual)
    for i in range(0, index.size, BLOCK):
        part = index[i : i + BLOCK]
        degrees = n[part].astype(np.int64)
        order = np.argsort(degrees.astype(np.int16) if degrees.max() < 2**15 else degrees, kind="stable")
        part = part[order]
        found[part] = _recurrence(*FAMILIES[family], x[part], degrees[order])
    return found.reshape(shape)


def _recurrence(first: Callable[[Array], Array], step: Step, x: Array, n: Array) -> Array:
    """The polynomials of degrees `n`, which ascend."""
    found = np.ones_like(x)
    start = int(np.searchsorted(n, 1))
    x = x[start:]
    p, q = found[start:].copy(), first(x)
    k = 1
    while start < n.size:
        stop = int(np.searchsorted(n, k + 1))  # those from start to stop have degree k
        done = stop - start
        found[start:stop] = q[:done]
        x, p, q, start = x[done:], p[done:], q[done:], stop
        if k % 64 == 0 and np.isnan(q).all():  # what has overflown stays so
            found[start:] = np.nan
            break
        p, q = q, step(k, x, q, p)
        k += 1
    return found
