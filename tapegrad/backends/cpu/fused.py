"""Row kernels in machine code, as NumPy ufuncs of arrays that lie in one piece: made when first asked for.

A kernel passes over its arrays once where NumPy takes a pass for each step: see `codegen.rows`, `codegen.norms`. Where
there is none (no llvmlite, other dtypes, few elements) `ufunc` gives None and NumPy computes. Which of the two it is
depends on sizes and dtypes alone, so a program gives the same numbers in every run.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ... import codegen

SMALL = 512  # elements, below which NumPy is fast enough not to ask for compiled code
_REAL = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}
_OTHER = {"i": np.dtype(np.int64), "d": np.dtype(np.float64), "b": np.dtype(np.bool_)}


def ufunc(
    family: str, name: str, x: np.ndarray, types: str, signature: str, results: int = 1, *options: bool
) -> np.ufunc | None:
    """The kernel for arrays like `x`, if there is one.

    Args:
        family: its module in `codegen`.
        name: of the function there, which is called with the type of the numbers, the lanes of a vector and `options`.
        x: its main operand.
        types: of operands and results, a letter each: "r" for that of `x`, "d" float64, "i" int64, "b" bool.
        signature: as `jit.gufunc` takes it.
        results: how many there are.
        options: of the kernel.
    """
    if x.size < SMALL or x.dtype not in _REAL:
        return None
    return _made(family, name, x.dtype, types, signature, results, options)


@functools.cache
def _made(
    family: str, name: str, dtype: np.dtype, types: str, signature: str, results: int, options: tuple
) -> np.ufunc | None:
    if not codegen.jit.available():
        return None
    real = _REAL[dtype]
    routines = getattr(getattr(codegen, family), name)(real, codegen.jit.lanes(real), *options)
    return codegen.jit.gufunc(routines, signature, [dtype if t == "r" else _OTHER[t] for t in types], results, name)


@functools.lru_cache(256)
def numbers(dtype: np.dtype, *values: float) -> Any:
    """Numbers as an array, of one dimension if there are several: made once for each choice, never written to."""
    return np.array(values[0] if len(values) == 1 else values, dtype)
