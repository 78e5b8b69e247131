"""Random numbers drawn in machine code (`codegen.twister`), from the generator's own state: bit-equal to NumPy's way.

A million float32 numbers: `rand` 0.4 ms instead of 3.2, `randn` 1.5 instead of 26, a mask for dropout 0.9 instead of 9
(`bench/rows.py`).
"""

from __future__ import annotations

import ctypes
import functools
import math
from collections.abc import Callable, Sequence

import numpy as np

from ... import codegen
from . import single
from .generator import Generator

LARGE = 16384  # numbers from which compiled code is asked for; where it is loaded already, from FEW on
FEW = 256
LENGTH = 624
FLOAT32, FLOAT64, BOOL = np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.bool_)
_REAL = {FLOAT32: "float", FLOAT64: "double", BOOL: "i8"}
_NUMBER = {"float": ctypes.c_float, "double": ctypes.c_double, "i32": ctypes.c_int32, "i8": ctypes.c_int8}
_TABLES: dict[str, Sequence[float]] = {
    "LOG": single.LOG,
    "SIN": single.SIN,
    "COS": single.COS,
    "QUARTER_PI": single.QUARTER_PI,
    "LN2": (single.LN2_LOW, single.LN2_HIGH),
    "OCTANTS": (4 / np.pi,),
    "TURN": (2 * np.pi,),
}


@functools.cache
def _shares_state() -> bool:
    """Whether NumPy's generator keeps its state as `codegen.twister` takes it: 624 words, then the position."""
    stream = np.random.MT19937(5)
    stream.random_raw(3)
    found = np.ctypeslib.as_array((ctypes.c_uint32 * (LENGTH + 1)).from_address(stream.ctypes.state_address))
    state = stream.state["state"]
    return bool((found[:LENGTH] == state["key"]).all() and found[LENGTH] == state["pos"])


@functools.cache
def _kernel(name: str, dtype: np.dtype) -> Callable[..., None] | None:
    if not codegen.jit.available() or not _shares_state():
        return None
    real = _REAL[dtype]
    lanes = codegen.jit.lanes("double" if real == "double" else "float")
    if name == "normal":
        routines = codegen.twister.normal(lanes, _TABLES)
    else:
        routines = getattr(codegen.twister, name)(real, lanes)
    numbers = [_NUMBER[t] for t in list(routines[0].parameters.values())[3:]]
    return codegen.jit.function(routines, [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, *numbers])


def _fill(
    gen: Generator, name: str, count: int, dtype: np.dtype, *numbers: float, few: int | None = None
) -> np.ndarray | None:
    few = few or (FEW if "jit" in vars(codegen) else LARGE)  # the numbers are the same
    if dtype not in _REAL or count < few:
        return None
    kernel = _kernel(name, dtype)
    if kernel is None:
        return None
    out = np.empty(count, dtype)
    lock, state = gen.state_in_memory()
    with lock:  # another thread may draw from it too
        kernel(state, out.__array_interface__["data"][0], count, *numbers)
    return out


def uniform(gen: Generator, count: int, dtype: np.dtype, low: float, high: float) -> np.ndarray | None:
    """`fma(u, high - low, low)`, `low` where that rounds to `high`; None if NumPy is to draw."""
    if dtype.kind != "f" or max(abs(low), abs(high)) > 2.0**100:
        return None
    kind = dtype.type
    return _fill(gen, "uniform", count, dtype, float(kind(high) - kind(low)), float(kind(low)), float(kind(high)))


def normal(
    gen: Generator, count: int, dtype: np.dtype, mean: float, std: float, few: int | None = None
) -> np.ndarray | None:
    """Normal float32 numbers in blocks of 16, as many as there are whole ones; None if NumPy is to draw.

    `few` is the smallest count, if it is not the usual one.
    """
    if dtype != FLOAT32 or max(abs(mean), abs(std)) > 2.0**100:
        return None
    return _fill(gen, "normal", count // 16 * 16, dtype, std, mean, few=few)


def bernoulli(gen: Generator, p: float, count: int, dtype: np.dtype, one: float = 1.0) -> np.ndarray | None:
    """`one` with probability p, else 0; None if NumPy is to draw."""
    below = math.ceil(p * 2**53)
    if below == 2**53:  # does not fit into 53 bits
        return None
    lower = (below & 0xFFFFFFFF) - (below >> 31 & 1) * 2**32  # as a signed number
    return _fill(gen, "bernoulli", count, dtype, below >> 32, lower, int(one) if dtype == BOOL else one)
