"""Discrete Fourier transforms of arrays along some axes: NumPy's, with empty arrays allowed.

`norm` is NumPy's word: "backward" divides the inverse transform by n, "forward" the forward one, "ortho" both by
sqrt(n). The transforms of a real array are complex (`r2c`), and those of half a spectrum are real (`c2r`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Array = np.ndarray


def c2c(x: Array, dim: Sequence[int], norm: str, forward: bool) -> Array:
    """The transform of complex numbers along the axes `dim`."""
    if not x.size or not dim:
        return x.copy()
    transform = np.fft.fft if forward else np.fft.ifft
    for axis in dim:
        x = transform(x, axis=axis, norm=norm)
    return x


def r2c(x: Array, dim: Sequence[int], norm: str, onesided: bool) -> Array:
    """The forward transform of real numbers; `onesided` keeps the first n // 2 + 1 frequencies of the last axis."""
    *others, last = dim
    n = x.shape[last]
    if not x.size:
        shape = list(x.shape)
        shape[last] = n // 2 + 1 if onesided else n
        return np.zeros(shape, np.result_type(x.dtype, np.complex64))
    transform = np.fft.rfft if onesided else np.fft.fft
    return c2c(transform(x, axis=last, norm=norm), others, norm, True)


def c2r(x: Array, dim: Sequence[int], norm: str, n: int) -> Array:
    """The inverse of the onesided `r2c` with n real numbers along the last axis."""
    *others, last = dim
    if not x.size:
        shape = list(x.shape)
        shape[last] = n
        return np.zeros(shape, x.real.dtype)
    return np.fft.irfft(c2c(x, others, norm, False), n, axis=last, norm=norm)


def weigh(x: Array, axis: int, n: int, factor: float) -> Array:
    """`x` times `factor` at the frequencies of half a spectrum that stand for two of the n: all but 0 and n / 2."""
    found = x.copy()
    inner = [slice(None)] * x.ndim
    inner[axis] = slice(1, (n + 1) // 2)
    found[tuple(inner)] *= x.real.dtype.type(factor)
    return found
