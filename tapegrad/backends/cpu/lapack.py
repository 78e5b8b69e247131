"""Factorisations by the LAPACK that NumPy's wheels bring, called through `ctypes`: those that `numpy.linalg` lacks.

With another BLAS (macOS, distributions, conda) the names are not found, and the callers do the work with NumPy. LAPACK
counts elements down the columns first: each matrix is handed over transposed.

Reference: Anderson et al., "LAPACK Users' Guide" (1999): `getrf`, `sytrf`, `hetrf`.
"""

from __future__ import annotations

import ctypes
import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .threads import blas

Array = np.ndarray
LETTERS = {"f": "s", "d": "d", "F": "c", "D": "z"}
NAMES = (("scipy_{}_64_", np.int64), ("{}_64_", np.int64), ("scipy_{}_", np.int32))  # as the wheels call it, integers
WORTH = 64  # elements of a matrix: stacks of smaller ones are done faster all at once


class _Entry(NamedTuple):
    """A function of LAPACK, and the integers that it takes."""

    call: Callable[..., Any]
    integer: type


@functools.cache
def _entry(name: str, kind: str, count: int) -> _Entry | None:
    library = blas()
    for pattern, integer in NAMES if library is not None and kind in LETTERS else ():
        found = getattr(library, pattern.format(LETTERS[kind] + name), None)
        if found is not None:
            found.argtypes, found.restype = [ctypes.c_void_p] * count, None
            return _Entry(found, integer)
    return None


def _worthwhile(a: Array) -> bool:
    matrices = math.prod(a.shape[:-2])
    return a.size > 0 and (matrices < 32 or a.shape[-1] * a.shape[-2] >= WORTH)


class _Stack:
    """Matrices with the elements of a column side by side, and the addresses that LAPACK wants."""

    def __init__(self, a: Array, integer: type):
        m, n = a.shape[-2:]
        self.shape = a.shape
        self.data = np.array(a.mT, order="C")
        count = math.prod(a.shape[:-2])
        self.pivots = np.zeros((count, min(m, n)), integer)
        self.info = np.zeros(count, integer)
        self.sizes = np.array([m, n, max(m, 1)], integer)
        size = self.sizes.itemsize
        start = self.sizes.ctypes.data
        self.m, self.n, self.lead = start, start + size, start + 2 * size
        data, pivots, info = self.data.ctypes.data, self.pivots.ctypes.data, self.info.ctypes.data
        one = m * n * a.itemsize
        self.each = [(data + i * one, pivots + i * min(m, n) * size, info + i * size) for i in range(count)]

    def results(self) -> tuple[Array, Array, Array]:
        """The factors, the pivots and the reports, as the callers hand them on."""
        batch = self.shape[:-2]
        return (
            np.ascontiguousarray(self.data.mT),
            self.pivots.astype(np.int32).reshape((*batch, self.pivots.shape[1])),
            self.info.astype(np.int32).reshape(batch),
        )


def lu(a: Array) -> tuple[Array, Array, Array] | None:
    """`linalg.lu` without the permutation: the factors, the pivots (from 1), the first zero of U; None if it cannot."""
    entry = _entry("getrf", a.dtype.char, 6) if _worthwhile(a) else None
    if entry is None:
        return None
    stack = _Stack(a, entry.integer)
    for data, pivots, info in stack.each:
        entry.call(stack.m, stack.n, data, stack.lead, pivots, info)
    return stack.results()


def ldl(a: Array, hermitian: bool) -> tuple[Array, Array, Array] | None:
    """`ldl.factor`, of the lower triangles; None if it cannot."""
    name = "hetrf" if hermitian and a.dtype.kind == "c" else "sytrf"
    entry = _entry(name, a.dtype.char, 9) if _worthwhile(a) else None
    if entry is None:
        return None
    stack = _Stack(a, entry.integer)
    lower = ctypes.create_string_buffer(b"L")
    work = np.empty(64 * a.shape[-1], a.dtype)
    length = np.array([work.size], entry.integer)
    uplo, space, size = ctypes.addressof(lower), work.ctypes.data, length.ctypes.data
    for data, pivots, info in stack.each:  # the last argument is the length of "L", which Fortran passes by value
        entry.call(uplo, stack.n, data, stack.lead, pivots, space, size, info, 1)
    factors, swaps, reports = stack.results()
    return np.tril(factors), swaps, reports
