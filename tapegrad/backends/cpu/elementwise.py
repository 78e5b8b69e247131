"""Elementwise kernels on NumPy: the array call of every scalar operator, and kernels made from expressions.

Large float32 and float64 arrays are handed to generated machine code, if llvmlite is installed (`codegen`): sums and
products are the same to the bit there, functions like `exp` agree within the ulps that `codegen.vecmath` states. Which
of the two computes depends on the size of the arrays alone.

Half precision (float16, bfloat16) is computed in float32 and rounded once at the end, as PyTorch does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ... import codegen
from ...ir import expr
from . import halves, special, transcendental
from .halves import EVERY, FLOAT32, HALVES, narrow, widen

FLOAT64, BOOL = np.dtype(np.float64), np.dtype(np.bool_)


def given(found: Any, out: np.ndarray | None) -> Any:
    """The result of a kernel, copied to `out` if there is one."""
    if out is None:
        return found
    out[...] = found
    return out


_BITS = {4: np.dtype(np.int32), 8: np.dtype(np.int64)}  # integers that hold the bits of a number of 4 or 8 bytes


def _where(condition, x, y):
    """`np.where`, but for large arrays by arithmetic on the bits, `y ^ ((x ^ y) * condition)`, which is exact.

    A branch for each element costs 4 to 9 ns where the condition is random; this costs 0.4 (`y` is zero) to 1 ns.
    """
    if condition.dtype != np.bool_ or (condition.size < 2048 and condition.ndim):
        return np.where(condition, x, y)
    x, y = np.asarray(x), np.asarray(y)
    if condition.ndim == 0:  # `np.where` would ask for each element
        return np.array(
            np.broadcast_to(x if condition else y, np.broadcast_shapes(x.shape, y.shape)), np.result_type(x, y)
        )
    shape, bits = condition.shape, _BITS.get(x.itemsize)
    if bits is None or x.dtype != y.dtype or x.dtype.kind == "c":
        return np.where(condition, x, y)
    if y.shape == shape and not condition.any():
        return y.copy()
    high, low = x.view(bits), y.view(bits)
    if high.ndim == 0 and high == 0:
        condition, high, low = np.logical_not(condition), low, high
    found = condition.astype(bits)  # on its own: a product of two types goes through a buffer
    if (high.ndim and high.shape != shape) or (low.ndim and low.shape != shape):
        return np.bitwise_xor(np.bitwise_xor(high, low) * found, low).view(x.dtype)
    if low.ndim == 0 and low == 0:
        return np.multiply(high, found, found).view(x.dtype)
    np.multiply(np.bitwise_xor(high, low), found, found)
    return np.bitwise_xor(found, low, found).view(x.dtype)


_UNBOUNDED = {d: (np.array(-np.inf, d), np.array(np.inf, d)) for d in (FLOAT32, np.dtype(np.float64))}


def _maximum(x, y, out=None):
    """`np.maximum`, but of a large array and a number by the instruction for arrays, which `np.clip` has."""
    if np.ndim(y) or np.size(x) < 2048 or x.dtype not in _UNBOUNDED or x.dtype != y.dtype:
        return np.maximum(x, y, out=out)
    return np.clip(x, y, _UNBOUNDED[x.dtype][1], out=out)


def _minimum(x, y, out=None):
    """`np.minimum`, in the same way."""
    if np.ndim(y) or np.size(x) < 2048 or x.dtype not in _UNBOUNDED or x.dtype != y.dtype:
        return np.minimum(x, y, out=out)
    return np.clip(x, _UNBOUNDED[x.dtype][0], y, out=out)


def _sign(x, out=None):
    if x.dtype.kind == "f" and x.ndim:  # 0 for NaN, as PyTorch has it
        found = np.subtract((x > 0).view(np.int8), (x < 0).view(np.int8))
        return found.astype(x.dtype) if out is None else given(found, out)
    found = np.sign(x, out=out)
    return np.where(found == found, found, x.dtype.type(0))


def _largest(x, out=None):
    kind = np.dtype(np.int8) if x.dtype.kind == "b" else x.dtype
    return given(np.array((np.finfo if kind.kind == "f" else np.iinfo)(kind).max, x.dtype), out)


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
    return given(found, out)


def _floordiv(x, y, out=None):
    """`np.floor_divide`, for many float32 numbers ten times as fast."""
    wide = _quotient(x, y)
    if wide is None:
        return np.floor_divide(x, y, out=out)
    return given(np.floor(wide[2], out=wide[2]).astype(FLOAT32), out)


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
    "maximum": _maximum,
    "minimum": _minimum,
    **{
        name: getattr(transcendental, name) for name in "expm1 log1p sinh cosh atanh atan2 logaddexp logaddexp2".split()
    },
    **{
        name: getattr(special, name)
        for name in "erf erfc erfcx erfinv ndtr log_ndtr ndtri lgamma digamma i0 i0e i1 i1e".split()
    },
    **{
        name: getattr(np, name)
        for name in (
            "fmax fmin hypot copysign nextafter gcd lcm floor ceil trunc exp exp2 log log2 log10 sqrt cbrt sin cos tan "
            "tanh isnan isinf isfinite signbit logical_not logical_and logical_or logical_xor"
        ).split()
    },
}


def direct(root: expr.Expr, parameters: tuple[str, ...]) -> Callable[..., Any] | None:
    """The NumPy ufunc that is the whole expression, if there is one; for large arrays what is faster."""
    names = tuple(a.name if isinstance(a, expr.Var) else None for a in root.args)
    found = FUNCTIONS.get(root.op)
    if names != parameters or not isinstance(found, np.ufunc):
        return None
    if not worth_generating(root):
        return found
    generated, ufunc = _generated(root, parameters, frozenset(), 0), found
    few = root.op not in VECTORIZED

    def unary(x: np.ndarray, out: np.ndarray | None = None) -> Any:
        if x.size < (FEW if few else LARGE):
            return ufunc(x) if out is None else ufunc(x, out=out)
        found = generated((x,), out)
        return ufunc(x, out=out) if found is None else found

    def binary(x: np.ndarray, y: np.ndarray, out: np.ndarray | None = None) -> Any:
        least = FEW if few else LARGE
        if x.size < least and y.size < least:
            return ufunc(x, y) if out is None else ufunc(x, y, out=out)
        found = generated((x, y), out)
        return ufunc(x, y, out=out) if found is None else found

    return unary if len(names) == 1 else binary


# ---- machine code for large arrays ---------------------------------------------------------------------------------

LARGE = 16384  # elements; below, a function that NumPy has as vector code is not worth the longer way to ours
FEW = (
    512  # the same for formulas and for what NumPy computes one by one: at 1,000 elements it takes 2 to 4 times as long
)
SLOW = frozenset("maximum minimum sign copysign where".split())  # single steps that take NumPy 2 to 20 times as long
VECTORIZED = frozenset("exp log sin cos tanh sqrt exp2".split())  # in NumPy, on all processors that matter here
_UNKNOWN = object()


def worth_generating(root: expr.Expr) -> bool:
    """Whether generated code is faster than NumPy: for functions that it has, and where several steps become one."""
    operators = expr.operators(root)
    return len(operators) > 1 or not (codegen.FUNCTIONS | SLOW).isdisjoint(operators)


def _generated(
    root: expr.Expr, parameters: tuple[str, ...], scalars: frozenset[str], lead: int
) -> Callable[[tuple, np.ndarray | None], Any]:
    """A function of the operands and `out` that runs machine code, or returns None if there is none for them."""
    made: dict[tuple, Any] = {}
    number = [p in scalars for p in parameters]

    def run(args: tuple, out: np.ndarray | None) -> Any:
        real = args[lead].dtype
        if real != FLOAT32 and real != FLOAT64:
            return None
        operands = [np.array(a, real) if n else a for a, n in zip(args, number)] if scalars else args
        key = tuple([getattr(a, "dtype", None) for a in operands])
        found = made.get(key, _UNKNOWN)
        if found is _UNKNOWN:
            known = all(d in (real, BOOL) for d in key)
            found = made[key] = codegen.jit.ufunc(root, parameters, key, real) if known else None
        if found is None or (out is not None and out.dtype != real):
            return None
        return found(*operands) if out is None else found(*operands, out=out)

    return run


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
    generated = _generated(root, parameters, scalars, lead) if worth_generating(root) else None
    several = len(expr.operators(root)) > 1

    def make(dtype: np.dtype, flat: bool) -> Callable:
        number = _numbers(dtype)
        found = expr.to_numpy(
            root, parameters, FUNCTIONS, number, scalars, None if flat or dtype.kind != "f" else whole
        )
        compiled[dtype, flat] = found
        return found

    def run(*args: Any, out: np.ndarray | None = None) -> Any:
        # numbers without dimensions are not arrays to NumPy and cannot be written over
        first = args[lead]
        if first.size >= FEW and generated is not None:
            found = generated(args, out)
            if found is not None:
                return found
        dtype = first.dtype
        if dtype.itemsize == 2 and dtype in HALVES:
            return in_single(run, args, dtype, out)
        key = dtype, shaped is None or args[shaped].ndim == 0
        found = compiled.get(key) or make(*key)
        if first.size < 2 * BLOCK or not several:
            return found(*args, out=out)
        return _in_blocks(found, first, args, out)

    return run


BLOCK = 32768  # elements that a formula is evaluated on at a time: its temporaries then stay in the cache


def _in_blocks(compute: Callable, first: np.ndarray, args: tuple, out: np.ndarray | None, size: int = BLOCK) -> Any:
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
    last = first.size // size * size - size  # it takes the rest too: how a block is computed depends on its size
    for start in range(0, last + size, size):
        block = slice(start, start + size if start < last else None)
        part = [a[block] if whole else a for a, whole in zip(flat, alike)]
        if result is None:
            found = compute(*part)
            result = np.empty(first.size, found.dtype)
            target = result[block]
        else:
            target = result[block]
            found = compute(*part, out=target)
        if found is not target:  # the last step of the formula may not know `out`
            target[...] = found
    assert result is not None
    return result.reshape(first.shape) if out is None else out


def _numbers(dtype: np.dtype) -> Callable[[Any], Any]:
    """How numbers of a formula meet arrays of `dtype`: as 0-d arrays of it, which NumPy takes without a conversion."""
    if dtype.kind in "fc":
        return lambda value: np.array(value, dtype)
    return lambda value: value


SIGNS: Mapping[Any, Callable] = {np.negative: halves.negative, np.absolute: halves.absolute}  # need no numbers


def in_single(compute: Callable, args: tuple, dtype: np.dtype, out: np.ndarray | None = None) -> Any:
    """A function of arrays of which some are `dtype`, a half: evaluated in float32 and rounded once.

    A function of one large array is evaluated for each of the 65536 numbers that there are, and then looked up.
    """
    arrays = [a for a in args if getattr(a, "ndim", 0)]
    first = arrays[0] if arrays else None
    if len(arrays) == 1 and first.size >= 4 * EVERY.size and first.dtype == dtype and first.flags.c_contiguous:
        return given(_looked_up(compute, args, first), out)

    def run(*part: Any, out: np.ndarray | None = None) -> Any:
        found = compute(*[widen(a) if getattr(a, "dtype", None) == dtype else a for a in part])
        if found.dtype == FLOAT32:  # or else truth values
            if out is not None and out.dtype == dtype and out.flags.c_contiguous:
                return narrow(found, dtype, out)
            found = narrow(found, dtype)
        return given(found, out)

    if first is None or first.size < 2 * halves.BLOCK:
        return run(*args, out=out)
    return _in_blocks(run, first, args, out, halves.BLOCK)


def _looked_up(compute: Callable, args: tuple, x: np.ndarray) -> np.ndarray:
    """`compute` of `x` and numbers: a million elements take 1 ms, whatever is computed."""
    every = in_single(compute, tuple([EVERY.view(x.dtype) if a is x else a for a in args]), x.dtype)

    def look(bits: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        return every.take(bits, out=out, mode="clip")  # no number is out of range: not looking saves time

    bits = x.view(EVERY.dtype)
    return _in_blocks(look, bits, (bits,), None, halves.BLOCK)
