"""float16 to float32 and back, by a table and by arithmetic on the bits: NumPy converts one element after the other.

Rounding is to the nearest, to even between two; NaN becomes the quiet NaN of its sign, as in PyTorch.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray
FLOAT16, FLOAT32 = np.dtype(np.float16), np.dtype(np.float32)
LEAST = 2048  # elements: fewer are left to NumPy
BLOCK = 32768  # elements worked on at a time


def _word(value: int, kind: type = np.int32) -> Array:
    return np.array(value).astype(kind)


WIDE = np.arange(65536, dtype=np.uint16).view(np.float16).astype(np.float32)  # what each float16 is
SHIFT, ODD, BIAS = _word(13), _word(1), _word(0xFFF - (112 << 23))  # float16 has 13 bits less, its exponents 112
SIGN, SIGN_SHIFT = _word(0x8000), _word(16)
NAN, INFINITY = _word(0x7E00, np.uint16), _word(0x7C00, np.uint16)
LEAST_NORMAL, TOO_LARGE = np.float32(2.0**-14), np.float32(65520)
DENORMAL = np.array(0.5, np.float32)  # its last bit is the least float16


def widen(x: Array) -> Array:
    """float16 or bfloat16 as float32, which holds every one of them."""
    if x.dtype != FLOAT16 or x.size < LEAST or not x.flags.c_contiguous:
        return x.astype(FLOAT32)
    return WIDE.take(x.view(np.uint16), mode="clip")  # no number is out of range: not looking saves a fifth


def narrow(x: Array, dtype: np.dtype) -> Array:
    """float32 as float16 or bfloat16."""
    if dtype != FLOAT16 or x.size < LEAST or x.dtype != FLOAT32 or not x.flags.c_contiguous:
        return x.astype(dtype)
    source, found = x.reshape(-1), np.empty(x.size, np.uint16)
    with np.errstate(all="ignore"):
        for start in range(0, x.size, BLOCK):
            _to_float16(source[start : start + BLOCK], found[start : start + BLOCK])
    return found.view(dtype).reshape(x.shape)


def _to_float16(x: Array, out: Array) -> None:
    """Round the mantissa to 10 bits by adding half of what is cut off, a bit less where the last bit kept is even."""
    bits = x.view(np.int32)
    rounded = np.right_shift(bits, SHIFT)
    np.bitwise_and(rounded, ODD, rounded)
    np.add(rounded, bits, rounded)
    np.add(rounded, BIAS, rounded)
    np.right_shift(rounded, SHIFT, rounded)
    np.copyto(out, rounded, casting="unsafe")
    low, high = x.min(), x.max()
    if low >= LEAST_NORMAL and high < TOO_LARGE:
        return
    size = np.abs(x)
    if not (size.min() >= LEAST_NORMAL and high < TOO_LARGE and low > -TOO_LARGE):
        _repair(size, out)
    np.right_shift(bits, SIGN_SHIFT, rounded)
    np.bitwise_and(rounded, SIGN, rounded)
    np.bitwise_or(out, rounded.astype(np.uint16), out)


def _repair(size: Array, out: Array) -> None:
    """What float16 has no normal number for: small numbers, infinities, NaN."""
    small = size < LEAST_NORMAL
    places = np.flatnonzero(small) if np.count_nonzero(small) < len(small) // 16 else slice(None)
    kept = np.add(size[places], DENORMAL).view(np.int32)  # rounds to whole multiples of the least float16
    kept = np.subtract(kept, DENORMAL.view(np.int32), kept).astype(np.uint16)
    if places.__class__ is slice:  # chosen by bits: a branch for each element takes longer
        np.bitwise_xor(kept, out, kept)
        np.bitwise_and(kept, (-small.astype(np.int16)).view(np.uint16), kept)
        np.bitwise_xor(out, kept, out)
    else:
        out[places] = kept
    large = np.flatnonzero(~(size < TOO_LARGE))
    if len(large):
        out[large] = np.where(size[large] > 0, INFINITY, NAN)
