"""`y = a * x + b * y` in one pass over memory, by the BLAS that NumPy's wheels bring.

NumPy needs three passes and a temporary for it: on arrays of 65536 elements, 1 million in all, 300 us where this takes
130. A call costs 1.5 us against 1.3 of three NumPy calls, so it is for arrays of WORTH elements or more. OpenBLAS does
the work on the calling thread.

Invariant: the bits are NumPy's, two products and their sum, each rounded. A library that rounds otherwise is not used.

Reference: Blackford et al., "An Updated Set of Basic Linear Algebra Subprograms", ACM TOMS 28 (2002): `axpby`.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from .threads import blas

Array = np.ndarray
WORTH = 4096
# The functions as the wheels call them, each with its integer.
NAMES = (
    ("scipy_cblas_{}axpby64_", ctypes.c_int64),
    ("cblas_{}axpby64_", ctypes.c_int64),
    ("scipy_cblas_{}axpby", ctypes.c_int),
)
TYPES = {"f": ("s", ctypes.c_float), "d": ("d", ctypes.c_double)}
HEAD = object.__basicsize__  # of NumPy's array objects, as of all; the address of the elements follows it


_place = ctypes.c_void_p.from_address


@functools.cache
def reads_objects() -> bool:
    """Whether the address of an array's elements follows the head of its object, as in NumPy's `PyArrayObject`."""
    if sys.implementation.name != "cpython":  # elsewhere `id` is no address
        return False
    probe = np.empty(3)
    return all(_place(id(a) + HEAD).value == a.ctypes.data for a in (probe, probe[1:]))


@functools.cache
def axpby() -> Callable[[Any, Array, Any, Array], None] | None:
    """The function of (a, x, b, y) that replaces y by `a * x + b * y`; None where the BLAS has no such entry.

    x and y are contiguous, of one size and of one type, float32 or float64.
    """
    library = blas()
    for pattern, integer in NAMES if library is not None and reads_objects() else ():
        found = {}
        for char, (letter, number) in TYPES.items():
            entry = getattr(library, pattern.format(letter), None)
            if entry is not None:
                entry.restype = None
                found[char] = entry, number
        if len(found) == len(TYPES):
            function = functools.partial(_axpby, found, integer, integer(1))
            return function if all(map(functools.partial(_rounds_as_numpy, function), TYPES)) else None
    return None


def _axpby(entries: dict[str, Any], integer: Any, one: Any, a: Any, x: Array, b: Any, y: Array) -> None:
    call, number = entries[y.dtype.char]
    # objects of ctypes pass as they are: with `argtypes` and Python's numbers a call takes 2.1 us instead of 1.5
    call(integer(y.size), number(a), _place(id(x) + HEAD), one, number(b), _place(id(y) + HEAD), one)


def _rounds_as_numpy(function: Callable[[Any, Array, Any, Array], None], char: str) -> bool:
    x, y = (np.linspace(1, 2, 333).astype(char) ** power for power in (5, -3))
    a, b = np.array([0.3, 0.7], char)
    expected = a * x + b * y
    function(a, x, b, y)
    return bool((y == expected).all())
