"""Elementwise kernels on NumPy: the array call of every scalar operator, and kernels made from expressions.

Half precision (float16, bfloat16) is computed in float32 and rounded once at the end, as PyTorch does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import ml_dtypes
import numpy as np

from ...ir import expr
from . import special

FLOAT16, BFLOAT16 = np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)
FLOAT32 = np.dtype(np.float32)
HALVES = (FLOAT16, BFLOAT16)


_BITS = {4: np.dtype(np.int32), 8: np.dtype(np.int64)}  # integers that hold the bits of a number of 4 or 8 bytes


def _where(condition, x, y):
    """`np.where`, but for large arrays by arithmetic on the bits, `y ^ ((x ^ y) * condition)`, which is exact.

    A branch for each element costs 4 to 9 ns where the condition is random; this costs 0.4 (`y` is zero) to 1 ns.
    """
    if condition.size < 2048 or condition.dtype != np.bool_:
        return np.where(condition, x, y)
    x, y = np.asarray(x), np.asarray(y)
    bits = _BITS.get(x.itemsize)
    if bits is None or x.dtype != y.dtype or x.dtype.kind == "c":
        return np.where(condition, x, y)
    if y.shape == condition.shape and not condition.any():
        return y.copy()
    high, low = x.view(bits), y.view(bits)
    if low.ndim == 0 and low == 0:
        return np.multiply(high, condition).view(x.dtype)
    changed = np.multiply(np.bitwise_xor(high, low), condition)
    shape = changed.shape == np.broadcast_shapes(changed.shape, low.shape)
    return np.bitwise_xor(changed, low, out=changed if shape else None).view(x.dtype)


def _sign(x, out=None):
    found = np.sign(x, out=out)
    if x.dtype.kind == "f" and found.ndim:
        np.copyto(found, 0, where=found != found)  # 0 for NaN, as PyTorch has it
        return found
    return np.where(found == found, found, x.dtype.type(0))


def _largest(x, out=None):
    kind = np.dtype(np.int8) if x.dtype.kind == "b" else x.dtype
    found = np.array((np.finfo if kind.kind == "f" else np.iinfo)(kind).max, x.dtype)
    if out is None:
        return found
    out[...] = found
    return out


def _quotient(x, y) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """`x`, `y` and `x / y` of many float32 numbers in float64, in which `x - k * y` is exact for k below 2**29.

    Each ulp of the larger of x and y is a multiple of that of the smaller, so a quotient that is not whole differs
    from a whole number by 2**-24 or more: rounding it in float64 does not make it whole. None where this does not hold.
    """
    if x.dtype != FLOAT32 or x.size < 2048 or y.dtype != FLOAT32:
        return None
    with np.errstate(all="ignore"):
        wide_x, wide_y = x.astype(np.float64), y.astype(np.float64)
        quotient = wide_x / wide_y
    low, high = quotient.min(), quotient.max()
    return (wide_x, wide_y, quotient) if low > -(2.0**29) and high < 2.0**29 else None  # no NaN either


def _fmod(x, y, out=None):
    """`np.fmod`, for many float32 numbers ten times as fast."""
    wide = _quotient(x, y)
    if wide is None:
        return np.fmod(x, y, out=out)
    a, b, q = wide
    np.trunc(q, out=q)
    q *= b
    return np.copysign(np.subtract(a, q, out=q).astype(FLOAT32), x, out=out)


def _remainder(x, y, out=None):
    """`np.remainder`, for many float32 numbers ten times as fast; as in PyTorch a zero has the sign of `x`."""
    wide = _quotient(x, y)
    if wide is None:
        found = np.remainder(x, y)
    else:
        a, b, q = wide
        np.floor(q, out=q)
        q *= b
        found = np.subtract(a, q, out=q).astype(FLOAT32)
    if found.dtype.kind == "f":
        found = np.where(found == 0, np.copysign(found, x), found)
    if out is None:
        return found
    np.copyto(out, found)
    return out


def _floordiv(x, y, out=None):
    """`np.floor_divide`, for many float32 numbers ten times as fast."""
    wide = _quotient(x, y)
    if wide is None:
        return np.floor_divide(x, y, out=out)
    found = np.floor(wide[2], out=wide[2]).astype(FLOAT32)
    if out is None:
        return found
    np.copyto(out, found)
    return out


def _truncdiv(x, y, out=None):
    """The quotient rounded towards zero."""
    if x.dtype.kind == "f":
        found = np.true_divide(x, y, out=out)
        return np.trunc(found, out=found if found.ndim else None)
    down = np.floor_divide(x, y)
    return np.add(down, (down < 0) & (down * y != x), out=out)


FUNCTIONS: Mapping[str, Callable] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.true_divide,
    "floordiv": _floordiv,
    "truncdiv": _truncdiv,
    "remainder": _remainder,
    "fmod": _fmod,
    "pow": np.power,
    "neg": np.negative,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "bit_and": np.bitwise_and,
    "bit_or": np.bitwise_or,
    "bit_xor": np.bitwise_xor,
    "bit_not": np.invert,
    "shift_left": np.left_shift,
    "shift_right": np.right_shift,
    "where": _where,
    "largest": _largest,
    "sign": _sign,
    "abs": np.absolute,
    "round": np.rint,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "atan2": np.arctan2,
    **{
        name: getattr(special, name)
        for name in "erf erfc erfcx erfinv ndtr log_ndtr ndtri lgamma digamma i0 i0e i1 i1e".split()
    },
    **{
        name: getattr(np, name)
        for name in (
            "maximum minimum fmax fmin hypot copysign nextafter logaddexp logaddexp2 gcd lcm floor ceil trunc "
            "exp exp2 expm1 log log2 log10 log1p sqrt cbrt sin cos tan sinh cosh tanh isnan isinf isfinite signbit "
            "logical_not logical_and logical_or logical_xor"
        ).split()
    },
}


def direct(root: expr.Expr, parameters: tuple[str, ...]) -> np.ufunc | None:
    """The NumPy ufunc that is the whole expression, if there is one."""
    names = tuple(a.name if isinstance(a, expr.Var) else None for a in root.args)
    found = FUNCTIONS.get(root.op)
    return found if names == parameters and isinstance(found, np.ufunc) else None


def kernel(
    root: expr.Expr,
    parameters: tuple[str, ...],
    scalars: frozenset[str] = frozenset(),
    full: frozenset[str] | None = None,
) -> Callable[..., Any]:
    """A function of arrays of one common dtype that evaluates the expression; compiled at its first call per dtype.

    Args:
        root: the expression.
        parameters: its variables in the order in which they are passed.
        scalars: those that are Python numbers when the kernel runs.
        full: those that are known to have the shape of the result.
    """
    if isinstance(root, expr.Var):
        return lambda *args, out=None: args[parameters.index(root.name)]
    arrays = tuple(p for p in parameters if p not in scalars)
    conditions = expr.conditions(root)
    lead = next((i for i, p in enumerate(parameters) if p not in scalars and p not in conditions), 0)
    whole = full if full is not None else frozenset(arrays) if len(arrays) == 1 else frozenset()
    shaped = next((i for i, p in enumerate(parameters) if p in whole), None)
    compiled: dict[tuple[np.dtype, bool], Callable] = {}

    def make(dtype: np.dtype, flat: bool) -> Callable:
        wide = FLOAT32 if dtype in HALVES else dtype
        number = _numbers(wide)
        found = expr.to_numpy(root, parameters, FUNCTIONS, number, scalars, None if flat or wide.kind != "f" else whole)
        compiled[dtype, flat] = found = _in_single(found, dtype, scalars, parameters) if wide is not dtype else found
        return found

    def run(*args: Any, out: np.ndarray | None = None) -> Any:
        # numbers without dimensions are not arrays to NumPy and cannot be written over
        first = args[lead]
        key = first.dtype, shaped is None or args[shaped].ndim == 0
        found = compiled.get(key) or make(*key)
        return found(*args, out=out) if first.size < 2 * BLOCK else _in_blocks(found, first, args, out)

    return run


BLOCK = 32768  # elements that a formula is evaluated on at a time: its temporaries then stay in the cache


def _in_blocks(compute: Callable, first: np.ndarray, args: tuple, out: np.ndarray | None) -> Any:
    """Evaluate a formula block by block, if its operands lie in memory alike; else at once.

    Eight operations on a million elements take 3.1 ms at once and 2.0 ms in blocks: most of the rest is the first
    touch of fresh memory, which only the result needs here.
    """
    alike = [a.__class__ is np.ndarray and a.ndim > 0 for a in args]
    for a, whole in zip(args, alike):
        if whole and (a.shape != first.shape or not a.flags.c_contiguous):
            return compute(*args, out=out)
    if out is not None and not out.flags.c_contiguous:
        return compute(*args, out=out)
    flat = [a.reshape(-1) if whole else a for a, whole in zip(args, alike)]
    result = None if out is None else out.reshape(-1)
    for start in range(0, first.size, BLOCK):
        block = slice(start, start + BLOCK)
        part = [a[block] if whole else a for a, whole in zip(flat, alike)]
        if result is None:
            found = compute(*part)
            result = np.empty(first.size, found.dtype)
        else:
            found = compute(*part, out=result[block])
        if found.base is not result:  # the last step of the formula may not know `out`
            result[block] = found
    assert result is not None
    return result.reshape(first.shape) if out is None else out


def _numbers(dtype: np.dtype) -> Callable[[Any], Any]:
    """How numbers of a formula meet arrays of `dtype`: as 0-d arrays of it, which NumPy takes without a conversion."""
    if dtype.kind in "fc":
        return lambda value: np.array(value, dtype)
    return lambda value: value


def _in_single(compute: Callable, dtype: np.dtype, scalars: frozenset[str], parameters: tuple[str, ...]) -> Callable:
    """Evaluate in float32 and round once."""
    narrow = [p not in scalars for p in parameters]

    def run(*args: Any, out: np.ndarray | None = None) -> Any:
        wide = [a.astype(FLOAT32) if n and a.dtype == dtype else a for a, n in zip(args, narrow)]
        found = compute(*wide)
        found = found.astype(dtype) if found.dtype == FLOAT32 else found
        if out is None:
            return found
        out[...] = found
        return out

    return run
