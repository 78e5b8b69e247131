"""Random numbers on the CPU: PyTorch's generator and the streams drawn from it. Arrays only, no Tensor.

One invariant: after any sequence of calls the generator stands where PyTorch's would after the same calls, so one
different number never shifts the numbers after it. Notation of the formulas below:

    w           one 32-bit word of the generator            (w0 << 32 | w1): two of them, in the order they come
    u24         (w & (2**24 - 1)) / 2**24                   float32, one word
    u53         ((w0 << 32 | w1) & (2**53 - 1)) / 2**53     float64, two words
    fma(x,a,b)  x * a + b rounded once

Half precision (float16, bfloat16) is computed in float32 and rounded at the end. "Bit-equal" means: to PyTorch 2.13 on
a CPU with AVX2, without the streams of MKL that it uses on Intel's. Where a formula has log, log1p, sin, cos, tan or
exp in float64, it also needs NumPy's to be the C library's: where they are not, results differ by 1 or 2 ulp.

References: Box, Muller, Ann. Math. Stat. 29 (1958); Durstenfeld, "Algorithm 235", CACM 7 (1964).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import ml_dtypes
import numpy as np

from ...errors import message
from . import drawing, single
from .fma import fma
from .generator import Generator
from .halves import BFLOAT16, FLOAT16, HALVES

Shape = tuple[int, ...]
Make = Callable[[np.ndarray], np.ndarray]

# ------------------------------------------------------------------------------------------------------------- uniforms

_BLOCK = 1 << 15  # numbers made at a time: their temporaries stay in the second-level cache
_FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
_DIGITS = {FLOAT16: 11, BFLOAT16: 8, _FLOAT32: 24, _FLOAT64: 53}  # all integers up to 2**digits fit
_LIMIT = {dtype: float(ml_dtypes.finfo(dtype).max) for dtype in _DIGITS}
_UNSIGNED = frozenset(map(np.dtype, (np.uint16, np.uint32, np.uint64)))  # PyTorch supports these in few places
_MASK24, _MASK53 = np.uint64(2**24 - 1), np.uint64(2**53 - 1)


def _u24(words: np.ndarray) -> np.ndarray:
    words &= _MASK24
    u = words.astype(np.float32)
    u *= np.float32(2.0**-24)
    return u


def _wide(words: np.ndarray) -> np.ndarray:
    """Pairs of words as 64-bit numbers, first word high."""
    high = words[0::2]
    high <<= np.uint64(32)
    high |= words[1::2]
    return high


def _u53(words: np.ndarray) -> np.ndarray:
    wide = _wide(words)
    wide &= _MASK53
    u = wide.astype(np.float64)
    u *= 2.0**-53
    return u


def _unit(dtype: np.dtype, where: str, error: type[Exception] = NotImplementedError) -> tuple[np.dtype, int, Make]:
    """For results of a floating type: the type to compute in, and the words and the function for a u of that type."""
    if dtype not in _DIGITS:
        raise error(message(f"{where}: the type is not a floating type", got=dtype))
    return (_FLOAT64, 2, _u53) if dtype == _FLOAT64 else (_FLOAT32, 1, _u24)


def _draw(gen: Generator, shape: Shape, width: int, dtype: np.dtype, make: Make) -> np.ndarray:
    """`make(words)` with `width` words for each number of the result, block by block."""
    count = math.prod(shape)
    if count <= _BLOCK:
        return _cast(make(gen.words(width * count)), dtype).reshape(shape)
    out = np.empty(count, dtype)
    for start in range(0, count, _BLOCK):
        stop = min(start + _BLOCK, count)
        out[start:stop] = _cast(make(gen.words(width * (stop - start))), dtype)
    return out.reshape(shape)


def _cast(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """x in the type of the result, by way of float32 for halves; what is too large becomes infinite."""
    if x.dtype == dtype:
        return x
    return (x.astype(np.float32, copy=False) if dtype in HALVES else x).astype(dtype)


def _scaled(x: np.ndarray, scale: float, shift: float) -> np.ndarray:
    """`fma(x, scale, shift)`, but not where numbers are so large that its intermediate results would overflow."""
    return fma(x, scale, shift) if max(abs(scale), abs(shift)) < 2.0**900 else x * scale + shift


def uniform(gen: Generator, shape: Shape, dtype: np.dtype, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """Uniform numbers in [low, high): `fma(u, high - low, low)`, and `low` where that rounds to `high`. Bit-equal.

    u is u53 for float64, else u24; low, high and their difference have u's type. Complex: two real draws a number.
    """
    if dtype.kind == "c":
        return _complex(uniform, gen, shape, dtype, low, high)
    work, width, unit = _unit(dtype, "uniform")
    if dtype == work and low == 0 and high == 1:
        found = drawing.uniform(gen, math.prod(shape), dtype, low, high)
        return _draw(gen, shape, width, dtype, unit) if found is None else found.reshape(shape)
    limit = _LIMIT[dtype]
    if not (-limit <= low <= high <= limit) or high - low > limit:
        expected = f"low <= high, both and their difference within +-{limit:.4g} ({dtype})"
        raise RuntimeError(message("uniform: these are not bounds", got=f"low={low}, high={high}", expected=expected))
    found = drawing.uniform(gen, math.prod(shape), dtype, low, high)
    if found is not None:
        return found.reshape(shape)
    start, span = work.type(low), work.type(high) - work.type(low)
    stop = work.type(high).astype(dtype)

    def make(words: np.ndarray) -> np.ndarray:
        x = _cast(_scaled(unit(words), float(span), float(start)), dtype)
        x[x == stop] = start
        return x

    return _draw(gen, shape, width, dtype, make)


def _complex(real: Callable, gen: Generator, shape: Shape, dtype: np.dtype, *args: float) -> np.ndarray:
    """Complex numbers whose parts are consecutive numbers of a real stream."""
    parts = real(gen, (*shape, 2), _FLOAT32 if dtype.itemsize == 8 else _FLOAT64, *args)
    return parts.view(dtype)[..., 0]


# -------------------------------------------------------------------------------------------------------------- normals


def normal(
    gen: Generator,
    shape: Shape,
    dtype: np.dtype,
    mean: float | np.ndarray = 0.0,
    std: float | np.ndarray = 1.0,
    pairs: bool = False,
) -> np.ndarray:
    """Normal numbers `fma(z, std, mean)`, z from N(0, 1). Complex: the parts are N(mean, std**2 / 2).

    16 numbers or more, each block of 16 from a = u[:8], b = u[8:] (u53 for float64, else u24), Box and Muller:

        r = sqrt(-2 ln(1 - a)),  t = 2 pi b  ->  z[:8] = r cos t,  z[8:] = r sin t

    A last block of k < 16 is not made so: its k draws are lost (float32, float64) or not taken (halves), and then the
    last 16 numbers are made anew from the next 16 draws. Fewer than 16, or if `pairs` (for memory with gaps): `_pairs`.

    An array for std: z * std, then + mean, in the result's type; an array for mean alone: N(0, std**2), then + mean.

    Bit-equal.
    """
    if isinstance(mean, np.ndarray) or isinstance(std, np.ndarray):
        return _normal_from_arrays(gen, shape, dtype, mean, std, pairs)
    if not std >= 0:
        raise RuntimeError(message("normal: the standard deviation is negative", got=std, expected="std >= 0"))
    count = math.prod(shape)
    if not count:
        return np.empty(shape, dtype)
    if dtype.kind == "c":
        return _complex(normal, gen, shape, dtype, mean, std / math.sqrt(2.0), pairs)
    work, width, unit = _unit(dtype, "normal")
    if count < 16 or pairs:
        return _cast(_scaled(_pairs(gen, count), float(std), float(mean)), dtype).reshape(shape)
    scale, shift = float(work.type(std)), float(work.type(mean))

    def make(words: np.ndarray) -> np.ndarray:
        return _scaled((single.box_muller if work == _FLOAT32 else _box_muller)(unit(words)), scale, shift)

    ragged = count % 16
    blocks = drawing.normal(gen, count, dtype, shift, scale)
    compiled = blocks is not None
    if blocks is None:
        blocks = _draw(gen, (count - ragged,), width, dtype, make)
    if not ragged:
        return blocks.reshape(shape)
    out = np.empty(count, dtype)
    out[:-ragged] = blocks
    if dtype == work:
        gen.words(width * ragged)
    last = drawing.normal(gen, 16, dtype, shift, scale, few=16) if compiled else None
    out[-16:] = _cast(make(gen.words(width * 16)), dtype) if last is None else last
    return out.reshape(shape)


def _box_muller(u: np.ndarray) -> np.ndarray:
    """N(0, 1) in float64 from uniforms in blocks of 16; see `normal`."""
    u = u.reshape(-1, 2, 8)
    r = np.log(1 - u[:, 0])
    r *= -2
    np.sqrt(r, out=r)
    t = u[:, 1] * (2 * np.pi)
    np.multiply(r, np.cos(t), out=u[:, 0])
    np.multiply(r, np.sin(t), out=u[:, 1])
    return u.reshape(-1)


def _pairs(gen: Generator, count: int) -> np.ndarray:
    """N(0, 1) in float64, in pairs: `r = sqrt(-2 log1p(-v)) -> r cos(2 pi u), r sin(2 pi u)` with u, v = u53, u53.

    Where count is odd, the last number made stays in the generator and comes first the next time. Bit-equal.
    """
    kept = [] if gen.spare is None or not count else [gen.spare]
    if kept:
        gen.spare = None
    new = count - len(kept)
    if new <= 16:  # plain floats cost less than array calls here
        values = iter(_u53(gen.words(2 * (new + new % 2))).tolist())
        for angle in values:
            r, t = math.sqrt(-2 * math.log1p(-next(values))), 2 * math.pi * angle
            kept += (r * math.cos(t), r * math.sin(t))
        z = np.array(kept)
    else:
        z = np.concatenate((kept, _draw(gen, (new + new % 2,), 2, _FLOAT64, _many_pairs)))
    if new % 2:
        gen.spare = float(z[count])
    return z[:count]


def _many_pairs(words: np.ndarray) -> np.ndarray:
    u = _u53(words)
    r, t = np.sqrt(-2 * np.log1p(-u[1::2])), 2 * np.pi * u[0::2]
    np.multiply(r, np.cos(t), out=u[0::2])
    np.multiply(r, np.sin(t), out=u[1::2])
    return u


def _normal_from_arrays(
    gen: Generator, shape: Shape, dtype: np.dtype, mean: float | np.ndarray, std: float | np.ndarray, pairs: bool
) -> np.ndarray:
    if isinstance(std, np.ndarray):
        if std.dtype.kind == "c" or not (std >= 0).all():
            raise RuntimeError(message("normal: a standard deviation is negative", expected="every std >= 0"))
        z = normal(gen, shape, dtype, 0.0, 1.0, pairs)
        z *= std.astype(dtype, copy=False)
    else:
        z = normal(gen, shape, dtype, 0.0, std, pairs)
    z += np.asarray(mean).astype(dtype, copy=False)
    return z


def log_normal(gen: Generator, shape: Shape, dtype: np.dtype, mean: float = 1.0, std: float = 2.0) -> np.ndarray:
    """`exp(fma(z, std, mean))` with z in pairs (see `_pairs`) for any size, in float64. Bit-equal."""
    if not std > 0:
        raise RuntimeError(message("log_normal: the standard deviation is not positive", got=std, expected="std > 0"))
    if 0 in shape:
        return np.empty(shape, dtype)
    _unit(dtype, "log_normal")
    z = _scaled(_pairs(gen, math.prod(shape)), float(std), float(mean))
    return _cast(np.exp(z), dtype).reshape(shape)


# ------------------------------------------------------------------------------------------------------------- integers


def integers(
    gen: Generator, shape: Shape, dtype: np.dtype, low: int | None = None, high: int | None = None
) -> np.ndarray:
    """Integers in [low, high), in any real type: `w % (high - low) + low`. Bit-equal.

    w has 32 bits where high - low < 2**28, else 64. Without high: up to the type's largest value, or 2**digits for a
    floating type. Without both: from 0 on, and w has 64 bits for int64 and float64 only.
    For a floating type that cannot hold low or high - 1, they are first moved inwards to neighbours it can hold.
    """
    if low is None and 0 in shape:
        return np.empty(shape, dtype)
    if dtype.kind == "c" or (low is None and dtype in _UNSIGNED):
        error = NotImplementedError if low is None else RuntimeError
        raise error(message("integers: no such stream for this type", got=dtype))
    if low is not None and high is None and dtype == np.uint64:
        raise RuntimeError(message("integers: uint64 needs an upper bound", got=f"low={low}"))
    start = 0 if low is None else low
    stop = _largest(dtype) + 1 if high is None else high
    if low is not None:
        start, stop = _checked_range(dtype, start, stop)
    wide = dtype.itemsize == 8 if low is None else stop - start >= 2**28
    span = np.uint64((stop - start) % 2**64)  # 0 stands for 2**64: every 64-bit number
    offset = np.uint64(start % 2**64)

    def make(words: np.ndarray) -> np.ndarray:
        if wide:
            x = _wide(words)
            if span:
                x %= span
        else:  # NumPy divides vectors of 32 bits by a number fast (1 ns), but takes remainders slowly (2.3 ns)
            w = words.astype(np.uint32)
            w -= w // np.uint32(span) * np.uint32(span)
            x = w.astype(np.uint64)
        if span:
            x += offset  # modulo 2**64, so that it is right for a negative one
        return x if dtype == np.uint64 else x.view(np.int64)

    return _draw(gen, shape, 2 if wide else 1, dtype, make)


def _largest(dtype: np.dtype) -> int:
    """The largest integer below which the type holds every integer."""
    if dtype in _DIGITS:
        return 2 ** _DIGITS[dtype]
    return 1 if dtype.kind == "b" else int(np.iinfo(dtype).max)


def _checked_range(dtype: np.dtype, low: int, high: int) -> tuple[int, int]:
    """The range, if the type can hold it, with ends that a floating type represents."""
    digits = _DIGITS.get(dtype)
    most = int(_LIMIT[dtype]) if digits else _largest(dtype)
    least = -most if digits else 0 if dtype.kind in "bu" else -most - 1
    if low < least or high - 1 > most:
        expected = f"values from {least:.5g} to {most:.5g}" if digits else f"values from {least} to {most}"
        raise RuntimeError(message(f"integers: {dtype} cannot hold [{low}, {high})", expected=expected))
    if low >= high:
        raise RuntimeError(message("integers: an empty range", got=f"low={low}, high={high}", expected="low < high"))
    if not digits or max(-low, high) <= 2**digits:
        return low, high
    above, below = (int(float(dtype.type(end))) for end in (low + 1, high - 1))
    if above < low:
        low = above + (1 << (abs(low + 1).bit_length() - digits))
    if high <= below < 2**63:  # PyTorch lets 2**63 pass
        high = below - (1 << (abs(high - 1).bit_length() - digits))
    return low, high


# --------------------------------------------------------------------------------------------------------- permutations

_LONG = 2**32 // 20  # permutations from this length on are drawn another way


def permutation(gen: Generator, n: int, dtype: np.dtype) -> np.ndarray:
    """The numbers 0 ... n-1 in random order (Durstenfeld's shuffle). Bit-equal.

        for i in 0 ... n-2:  swap x[i] with x[i + w % (n - i)]          w of 32 bits

    From n = 2**32 // 20 on (a Python loop here, minutes long): for i in 0 ... n-1: z = w % (i + 1), w of 64 bits;
    x[i] = x[z]; x[z] = i.
    """
    if n < 0:
        raise RuntimeError(message("permutation: the length is negative", got=n, expected="n >= 0"))
    if dtype.kind in "bc" or dtype in _UNSIGNED:
        raise NotImplementedError(message("permutation: no such stream for this type", got=dtype))
    if n - 1 > _largest(dtype) and dtype != BFLOAT16:
        raise RuntimeError(message(f"permutation: {dtype} cannot hold every number below {n}"))
    if n >= _LONG:
        x = np.empty(n, dtype)
        for start in range(0, n, _BLOCK):
            targets = _wide(gen.words(2 * min(_BLOCK, n - start)))
            targets %= np.arange(start + 1, start + 1 + len(targets), dtype=np.uint64)
            for i, z in enumerate(targets.tolist(), start):
                x[i], x[z] = x[z], i
        return x
    if n < 2:
        return np.arange(n).astype(dtype)
    steps = gen.words(n - 1)
    steps %= np.arange(n, 1, -1, dtype=np.uint64)
    return (_swapped(steps) if n < 300 else _swapped_at_once(steps)).astype(dtype)  # at 300 they take equally long


def _swapped(steps: np.ndarray) -> np.ndarray:
    """The order that swapping i with i + steps[i], for i = 0, 1, ..., makes of 0 ... len(steps)."""
    x = list(range(len(steps) + 1))
    for i, step in enumerate(steps.tolist()):
        z = i + step
        x[i], x[z] = x[z], x[i]
    return np.array(x)


def _swapped_at_once(steps: np.ndarray) -> np.ndarray:
    """The same without a loop over i: 4 ms instead of 16 for 60,000, 77 instead of 800 for a million.

    Let z[i] = i + steps[i], z[n-1] = n-1. Place i is final after swap i, so x[i] is what place z[i] held just before:
    what the last swap k < i with z[k] = z[i] left there, which is what place k held before it, held[k]; or, where
    there is no such k, what place z[i] >= i held: held[i] if z[i] = i, else z[i], never written yet. In the same way
    held[k] = held[m] for the last m < k with z[m] = k, or k: chains of O(log n) links, followed for all k at once.
    """
    n = len(steps) + 1
    own = np.arange(n)
    z = own.copy()
    z[:-1] += steps.view(np.int64)
    held = own.copy()
    moving = np.flatnonzero(z != own)
    held[z[moving]] = moving  # where several have one target, the last is stored
    while not np.array_equal(further := held[held], held):
        held = further
    x = np.where(z == own, held, z)
    by_target = np.sort(z << 32 | own)  # steps with one target side by side, in their order
    target, step = by_target >> 32, by_target & 0xFFFFFFFF
    again = np.flatnonzero(target[1:] == target[:-1])
    x[step[again + 1]] = held[step[again]]
    return x


# ------------------------------------------------------------------------------------------------ yes or no, and counts


def bernoulli(gen: Generator, p: float | np.ndarray, shape: Shape, dtype: np.dtype, one: float = 1.0) -> np.ndarray:
    """`one` with probability p, else 0: `u < p`. Bit-equal.

    u is u53 where p is a number or a float64 array, u24 where it is a float32 or half array; p is broadcast to `shape`.
    """
    number = not isinstance(p, np.ndarray)
    if number and not 0 <= p <= 1:
        raise RuntimeError(message("bernoulli: p is not a probability", got=f"p={p}", expected="0 <= p <= 1"))
    if 0 in shape:
        return np.empty(shape, dtype)
    if dtype.kind == "c" or dtype in _UNSIGNED:
        raise NotImplementedError(message("bernoulli: no such stream for this type", got=dtype))
    if number:
        found = drawing.bernoulli(gen, p, math.prod(shape), dtype, one)
        if found is not None:
            return found.reshape(shape)
        below = np.uint64(math.ceil(p * 2**53))  # u53 < p as integers
        drawn = _draw(gen, shape, 2, dtype, lambda words: (_wide(words) & _MASK53) < below)
        return drawn if one == 1 else drawn * dtype.type(one)
    work, width, unit = _unit(p.dtype, "bernoulli (p)")
    if not ((p >= 0) & (p <= 1)).all():
        raise RuntimeError(message("bernoulli: p holds values that are not probabilities", expected="0 <= p <= 1"))
    p = np.broadcast_to(p.astype(work, copy=False), shape)
    drawn = np.asarray(_draw(gen, shape, width, work, unit) < p).astype(dtype)
    return drawn if one == 1 else drawn * dtype.type(one)


def dropout_mask(gen: Generator, p: float, shape: Shape) -> np.ndarray:
    """What dropout with probability p keeps (bool): `u53 < 1 - p`; no draws at all for p = 0 and p = 1. Bit-equal."""
    if not 0 <= p <= 1:
        raise ValueError(message("dropout: p is not a probability", got=f"p={p}", expected="0 <= p <= 1"))
    if p in (0, 1):
        return np.full(shape, p == 0)
    return bernoulli(gen, 1 - p, shape, np.dtype(bool))


def geometric(gen: Generator, shape: Shape, dtype: np.dtype, p: float) -> np.ndarray:
    """Trials up to the first success: `ceil(ln(u53) / log1p(-p))`, in any real type but bool. Bit-equal."""
    if not 0 < p < 1:
        raise RuntimeError(message("geometric: p is out of range", got=f"p={p}", expected="0 < p < 1"))
    if 0 in shape:
        return np.empty(shape, dtype)
    if dtype.kind in "bc" or dtype in _UNSIGNED:
        raise NotImplementedError(message("geometric: no such stream for this type", got=dtype))

    def make(words: np.ndarray) -> np.ndarray:
        count = np.ceil(np.log(_u53(words)) / math.log1p(-p))
        return count.astype(np.int64) if dtype.kind in "iu" else count

    return _draw(gen, shape, 2, dtype, make)


# -------------------------------------------------------------------------------------------------- other distributions


def exponential(gen: Generator, shape: Shape, dtype: np.dtype, rate: float = 1.0) -> np.ndarray:
    """Exponential waiting times: `(-1 / rate) * log1p(-u53)`, in float64. Bit-equal."""
    if not rate > 0:
        raise RuntimeError(message("exponential: the rate is not positive", got=rate, expected="rate > 0"))
    if 0 in shape:
        return np.empty(shape, dtype)
    _unit(dtype, "exponential", RuntimeError)
    return _draw(gen, shape, 2, dtype, lambda words: -1 / rate * np.log1p(-_u53(words)))


def slopes(gen: Generator, count: int, dtype: np.dtype, low: float, high: float) -> np.ndarray:
    """Uniform numbers as rrelu draws them, in the result's type: `u53 * (high - low) + low` in float64. Bit-equal.

    The bounds are rounded first: to float32, unless the type is float64.
    """
    if dtype != _FLOAT64:
        low, high = float(np.float32(low)), float(np.float32(high))
    return _draw(gen, (count,), 2, dtype, lambda words: _u53(words) * (high - low) + low)


def gumbel(gen: Generator, shape: Shape, dtype: np.dtype) -> np.ndarray:
    """Gumbel noise: `-ln q`, q exponential of rate 1 and rounded to the type; so is the logarithm, made in float64."""
    q = exponential(gen, shape, dtype)
    return _cast(-np.log(q.astype(np.float64)), dtype)


def cauchy(gen: Generator, shape: Shape, dtype: np.dtype, median: float = 0.0, sigma: float = 1.0) -> np.ndarray:
    """Cauchy numbers: `fma(tan(pi (u53 - 1/2)), sigma, median)`, in float64. Bit-equal."""
    _unit(dtype, "cauchy", RuntimeError)
    if not sigma > 0:
        raise RuntimeError(message("cauchy: sigma is not positive", got=sigma, expected="sigma > 0"))
    scale, shift = float(sigma), float(median)
    return _draw(gen, shape, 2, dtype, lambda words: _scaled(np.tan(np.pi * (_u53(words) - 0.5)), scale, shift))


def multinomial(gen: Generator, weights: np.ndarray, num_samples: int, replacement: bool = False) -> np.ndarray:
    """Indices drawn with probabilities proportional to each row of `weights`, (m,) or (rows, m) -> int64 (..., k).

    Without replacement, or k = 1: a race, the k largest of `weights / q` with q exponential of rate 1, in their type.
    With replacement: the first index whose share of the running sum is >= u53, one u53 for each sample, row by row.

    Bit-equal, but for equal values in a race (weights that are 0, or half precision): there the lower index goes first.
    """
    work, _, _ = _unit(weights.dtype, "multinomial", RuntimeError)
    _check_multinomial(weights, num_samples, replacement)
    if not replacement or num_samples == 1:
        q = exponential(gen, weights.shape, weights.dtype)
        score = (weights / q).astype(work, copy=False)
        if num_samples == 1:
            return score.argmax(axis=-1, keepdims=True)
        return np.argsort(-score, axis=-1, kind="stable")[..., :num_samples].copy()
    share = np.cumsum(weights, axis=-1, dtype=work)
    share /= share[..., -1:].copy()
    share[..., -1] = 1
    u = _draw(gen, (*weights.shape[:-1], num_samples), 2, _FLOAT64, _u53)
    if weights.ndim == 1:
        return share.searchsorted(u)
    out = np.empty(u.shape, np.int64)
    for row, values, indices in zip(share, u, out):
        indices[:] = row.searchsorted(values)
    return out


def _check_multinomial(weights: np.ndarray, num_samples: int, replacement: bool) -> None:
    if weights.ndim not in (1, 2):
        raise RuntimeError(message("multinomial: weights have 1 or 2 dimensions", got=f"{weights.ndim} dimensions"))
    if num_samples <= 0:
        raise RuntimeError(message("multinomial: the number of samples is not positive", got=num_samples))
    if not replacement and num_samples > weights.shape[-1]:
        got, fix = f"{num_samples} of {weights.shape[-1]}", "replacement=True, if a category may be drawn twice"
        raise RuntimeError(message("multinomial: more samples than there are categories", got=got, fix=fix))
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise RuntimeError(message("multinomial: a weight is negative, infinite or not a number"))
    if not (weights.astype(np.float64, copy=False).sum(axis=-1) > 0).all():
        raise RuntimeError(message("multinomial: the weights of a row are all 0"))
