"""Half precision, float16 and bfloat16: computed in float32 and rounded once at the end, as PyTorch does.

NumPy converts float16 one element after the other; here it is done by arithmetic on the bits, a block at a time.
Rounding is to the nearest, to even between two; NaN becomes the quiet NaN of its sign, as in PyTorch.
"""

from __future__ import annotations

import ml_dtypes
import numpy as np

Array = np.ndarray
FLOAT16, BFLOAT16, FLOAT32 = np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16), np.dtype(np.float32)
HALVES = (FLOAT16, BFLOAT16)
LEAST = 2048  # elements: fewer are left to NumPy
BLOCK = 65536  # elements worked on at a time: with half as many the sum of two arrays takes a quarter longer


def wide(x: Array) -> Array:
    """The array in the type in which it is computed: float32 for the halves."""
    d = x.dtype
    return widen(x) if d.itemsize == 2 and d in HALVES else x


def widen(x: Array) -> Array:
    """float16 or bfloat16 as float32, which holds every one of them."""
    if x.dtype != FLOAT16 or x.size < LEAST or not x.flags.c_contiguous:
        return x.astype(FLOAT32)
    source, found = x.reshape(-1).view(np.uint16), np.empty(x.shape, FLOAT32)
    flat = found.reshape(-1)
    for start in range(0, x.size, BLOCK):
        _to_float32(source[start : start + BLOCK], flat[start : start + BLOCK])
    return found


def narrow(x: Array, dtype: np.dtype, out: Array | None = None) -> Array:
    """float32 as float16 or bfloat16; a given `out` is contiguous."""
    if dtype != FLOAT16 or x.size < LEAST or x.dtype != FLOAT32 or not x.flags.c_contiguous:
        if out is None:
            return x.astype(dtype)
        out[...] = x
        return out
    found = np.empty(x.shape, dtype) if out is None else out
    source, flat = x.reshape(-1), found.reshape(-1).view(np.uint16)
    for start in range(0, x.size, BLOCK):
        _to_float16(source[start : start + BLOCK], flat[start : start + BLOCK])
    return found


def negative(x: Array) -> Array:
    """`-x` of halves, by the sign bit: 0.08 ms for a million, and 1.3 ms by looking up."""
    return np.bitwise_xor(x.view(np.uint16), SIGN).view(x.dtype)


def absolute(x: Array) -> Array:
    """`|x|` of halves: no sign bit."""
    return np.bitwise_and(x.view(np.uint16), UNSIGNED).view(x.dtype)


# ---- float16, bit by bit -------------------------------------------------------------------------------------------


def _word(value: int, kind: type = np.int32) -> Array:
    return np.array(value).astype(kind)


EVERY = np.arange(65536, dtype=np.uint16)  # the bits of all numbers of 16 bits
WIDE = EVERY.view(np.float16).astype(np.float32)  # what each float16 is
SHIFT, ODD = _word(13), _word(1)  # the mantissa of float32 has 13 bits more
SIGNS, SIZE, EXPONENT = _word(0x8FFFFFFF), _word(0x7FFFFFFF), _word(0x7F800000)
SIGN, UNSIGNED = _word(0x8000, np.uint16), _word(0x7FFF, np.uint16)
ENDLESS = 0xF800  # twice the bits of infinity
REBIAS = np.array(2.0**112, np.float32)  # the exponents of float32 are 112 larger
FIRST = _word(1024, np.uint16)  # the bits of the least normal number, 2**-14
ROUND = _word(0xFFF - (113 << 23))  # nearly half of what is cut off; exponents from the least normal one
LOW = 0x3FFFF  # the bits below the sign, when 13 are gone
NORMAL, ZERO = 30720, 146432  # after these steps: the number of normal numbers, and what zero has become
ABOVE, DENORMAL = _word(13 << 23), _word(126 << 23)  # 0.5: its last bit is the least float16
TOO_LARGE = _word(int(np.float32(65520).view(np.int32)))
NAN, INFINITY = _word(0x7E00, np.uint16), _word(0x7C00, np.uint16)


def _to_float32(x: Array, out: Array) -> None:
    """The bits as the upper ones of a float32 whose exponent is 112 too small; infinities and NaN by a table.

    A million elements take 0.6 ms; by the table 0.9 ms, by NumPy 1.9 ms.
    """
    if np.add(x, x).max() >= ENDLESS:
        WIDE.take(x, out=out, mode="clip")  # no number is out of range: not looking saves a fifth
        return
    bits = out.view(np.int32)
    np.copyto(bits, x.view(np.int16))  # the sign fills the upper bits
    np.left_shift(bits, SHIFT, bits)
    np.bitwise_and(bits, SIGNS, bits)
    np.multiply(out, REBIAS, out)


def _to_float16(x: Array, out: Array) -> None:
    """Round the mantissa to 10 bits by adding half of what is cut off, a bit less where the last bit kept is even.

    A million normal numbers take 1.0 ms, of any numbers 1.8 ms; by NumPy 3.1 ms.
    """
    bits = x.view(np.int32)
    rounded = np.right_shift(bits, SHIFT)
    np.bitwise_and(rounded, ODD, rounded)
    np.add(rounded, bits, rounded)
    np.add(rounded, ROUND, rounded)
    np.right_shift(rounded, SHIFT, rounded)
    signed = x[:16].min() < 0 or not x.min() >= 0
    if signed:
        np.bitwise_and(rounded, LOW, rounded)
    top = (
        int(rounded.view(np.uint32).max()) & LOW
    )  # large numbers lie between the normal ones and zero, small ones above
    if top < NORMAL or (top == ZERO and np.absolute(x).max() < 65520):
        np.copyto(out, rounded, casting="unsafe")
        np.add(out, FIRST, out)
        if top == ZERO:
            np.multiply(out, x != 0, out)
    else:
        _round_any(bits, rounded, out)
    if signed or top >= NORMAL:  # the sign of -0.0 too, which is not below zero
        signs = np.signbit(x).astype(np.uint16)
        np.multiply(signs, SIGN, signs)
        np.bitwise_or(out, signs, out)


def _round_any(bits: Array, work: Array, out: Array) -> None:
    """Round by adding the power of two whose last bit is the last one that float16 keeps; `out` has no signs."""
    power = np.bitwise_and(bits, EXPONENT)
    np.add(power, ABOVE, power)
    np.maximum(power, np.full_like(power, DENORMAL), out=power)  # NumPy takes twice as long for a number
    size = np.bitwise_and(bits, SIZE, work)
    large = np.flatnonzero(size >= TOO_LARGE) if size.max() >= TOO_LARGE else None
    missing = None if large is None else size[large] > EXPONENT
    with np.errstate(all="ignore"):
        np.add(size.view(np.float32), power.view(np.float32), size.view(np.float32))
    np.subtract(size, power, size)  # how many such bits
    np.subtract(power, DENORMAL, power)
    np.right_shift(power, SHIFT, power)
    np.add(size, power, size)
    np.copyto(out, size, casting="unsafe")
    if large is not None:
        out[large] = np.where(missing, NAN, INFINITY)
