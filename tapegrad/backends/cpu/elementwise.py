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


FUNCTIONS: Mapping[str, Callable] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.true_divide,
    "floordiv": np.floor_divide,
    "remainder": np.remainder,
    "fmod": np.fmod,
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
    "erf": special.erf,
    "erfc": special.erfc,
    "erfinv": special.erfinv,
    "lgamma": special.lgamma,
    "digamma": special.digamma,
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
        key = args[lead].dtype, shaped is None or args[shaped].ndim == 0
        return (compiled.get(key) or make(*key))(*args, out=out)

    return run


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
