"""Equally spaced numbers as PyTorch's kernels for AVX2 compute them: bit-equal (PyTorch of one thread).

    fma(x, a, b)   x * a + b rounded once

Which elements are computed from a neighbour is visible in the last bit, so the width of its vectors is part of the
formula.
"""

from __future__ import annotations

import numpy as np

from .fma import fma
from .halves import HALVES
from .memory import convert

SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)


def steps(start: float, step: float, count: int, dtype: np.dtype) -> np.ndarray:
    """`start + i * step` for i = 0 ... count - 1, in a floating type.

    In whole pairs of vectors of w elements (float64 4, float32 8, halves 16), element k of a vector whose first is b:
    `b + k * step`; the rest, and every b, from the index. float32 computes in float64, halves in float32.
    """
    work = SINGLE if dtype in HALVES else DOUBLE
    width = 4 if dtype == DOUBLE else 8 if dtype == SINGLE else 16
    first, by = work.type(start), work.type(step)
    whole = count // (2 * width) * 2 * width
    if not whole:
        return fma(np.arange(count, dtype=work), by, first).astype(dtype, copy=False)
    heads = fma(np.arange(0, whole, width, dtype=work), by, first).astype(dtype).astype(work)
    out = np.empty(count, dtype)
    out[:whole] = fma(np.arange(width, dtype=work), by, heads[:, None]).ravel()
    out[whole:] = fma(np.arange(whole, count, dtype=work), by, first)
    return out


def between(start: complex, end: complex, count: int, dtype: np.dtype) -> np.ndarray:
    """`count` numbers from `start` to `end`: the first half counted from the start, the other from the end.

    With d = (end - start) / (count - 1): `fma(i, d, start)`, and `fma(count - 1 - i, -d, end)` from i = count // 2 on.
    Halves and complex numbers round every step of this; integers are computed in float64 and truncated.
    """
    up, down = _halves(count)
    if dtype in HALVES or dtype.kind == "c":
        first, last = np.array(start, dtype), np.array(end, dtype)
        by = (last - first) / np.array(count - 1, dtype)
        return np.concatenate([first + by * up.astype(dtype), last - by * down.astype(dtype)])
    work = dtype if dtype.kind == "f" else DOUBLE
    first, last = work.type(start), work.type(end)
    by = (last - first) / work.type(count - 1)
    found = np.concatenate([fma(up.astype(work), by, first), fma(down.astype(work), -by, last)])
    return found.astype(dtype, copy=False)


def powers(base: float, start: complex, end: complex, count: int, dtype: np.dtype) -> np.ndarray:
    """`base` to the powers of `count` numbers from `start` to `end`, which have the type already; in float64."""
    up, down = _halves(count)
    if dtype.kind == "c":
        first, last = np.array(start, dtype), np.array(end, dtype)
    else:
        first, last = dtype.type(start), dtype.type(end)
    work = np.complex128 if dtype.kind == "c" else np.float64
    by = work(last - first if dtype.kind not in "iu" else int(last) - int(first)) / max(count - 1, 1)
    first, last = work(first), work(last)
    return convert(np.power(work(base), np.concatenate([first + by * up, last - by * down])), dtype)


def _halves(count: int) -> tuple[np.ndarray, np.ndarray]:
    """The distances of the first half from the start and of the other from the end."""
    index = np.arange(count)
    return index[: count // 2], count - 1 - index[count // 2 :]
