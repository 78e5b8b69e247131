"""The Mersenne Twister and what is drawn from it: words, uniform and normal numbers, yes or no.

The state is NumPy's: 624 words of 32 bits and the position of the next one, side by side; it is read and left as NumPy
would leave it, so both can draw in turns. The recurrence looks 227 words ahead at least, so a vector of words is made
at a time; numbers are made of CHUNK words that stay in the first-level cache. Letters as in `backends.cpu.random`.

Each function gives routines of (state, out, count, ...) for `jit.function`; `count` is in elements of the result.

References: Matsumoto & Nishimura, "Mersenne Twister", ACM TOMACS 8 (1998); `backends/cpu/single.py` for the normals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .routine import Routine, least
from .rows import Piece, sweep
from .vectors import Value, select

LENGTH, SHIFT = 624, 397
UPPER, MATRIX, LOWEST = -(2**31), 0x9908B0DF - 2**32, -(2**31)
CHUNK = 2048  # words that are there at once: 8 KiB
BLOCK = 8  # uniforms of either kind in a block of 16 normal numbers


# ---- words -----------------------------------------------------------------------------------------------------------


def _next(first: Value, second: Value, far: Value) -> Value:
    """The recurrence: a word, the one after it and the one 397 after it make a new one."""
    y = (first & UPPER) | (second & 0x7FFFFFFF)
    return far ^ ((y >> 1) & 0x7FFFFFFF) ^ ((0 - (y & 1)) & MATRIX)


def _tempered(y: Value) -> Value:
    y = y ^ ((y >> 11) & 0x1FFFFF)
    y = y ^ ((y << 7) & (0x9D2C5680 - 2**32))
    y = y ^ ((y << 15) & (0xEFC60000 - 2**32))
    return y ^ ((y >> 18) & 0x3FFF)


def _refill(lanes: int) -> Routine:
    """624 new words in place of the old ones."""
    r = Routine("refill", {"key": "ptr"}, lanes, inline=False)
    (key,) = r.arguments
    near = LENGTH - SHIFT

    def renew(start: int, far: int) -> Callable[[Piece], None]:
        own, after, other = (r.at(key, k, "i32") for k in (start, start + 1, start + far))
        return lambda p: p.store(_next(p.load(own, "i32"), p.load(after, "i32"), p.load(other, "i32")), own)

    sweep(r, r.lift_one(near), renew(0, SHIFT), unroll=1)
    sweep(r, r.lift_one(SHIFT - 1), renew(near, -near), unroll=1)
    last, first, far = (r.load(r.at(key, k, "i32"), "i32", 0) for k in (LENGTH - 1, 0, SHIFT - 1))
    r.store(_next(last, first, far), r.at(key, LENGTH - 1, "i32"))
    return r


def _words(lanes: int) -> list[Routine]:
    """(state, out, count): the next words."""
    refill = _refill(lanes)
    r = Routine("words", {"state": "ptr", "out": "ptr", "count": "i64"}, lanes, inline=False)
    state, out, count = r.arguments
    place = r.at(state, LENGTH, "i32")
    done = r.variable(r.lift_one(0))
    with r.loop(0, count // LENGTH + 2):  # times at most: a part of the old words, whole fillings, a part of the last
        at = r.load(place, "i32", 0)
        with r.when((at >= LENGTH) & (done.value < count)):
            r.invoke(refill, state)
            r.store(r.lift_one(0, "i32"), place)
        position = r.load(place, "i32", 0).to("i64")
        taken = least(r.lift_one(LENGTH) - position, count - done.value)
        source, target = r.at(state, position, "i32"), r.at(out, done.value, "i32")
        sweep(r, taken, lambda piece: piece.store(_tempered(piece.load(source, "i32")), target), unroll=1)
        done.value = done.value + taken
        r.store((position + taken).to("i32"), place)
    return [r, refill]


def _drawing(
    name: str, lanes: int, width: int, parameters: dict[str, str], body: Callable[[Routine, Value, Value, Value], None]
) -> list[Routine]:
    """A routine that makes numbers of `width` words each, chunk by chunk.

    `body(routine, words, start, count)` makes `count` of them, from number `start` of the result on.
    """
    words = _words(lanes)
    r = Routine(name, {"state": "ptr", "out": "ptr", "count": "i64", **parameters}, lanes)
    state, _, count, *_ = r.arguments
    buffer = r.room(CHUNK, "i32")
    with r.loop(0, count, CHUNK // width) as start:
        n = least(r.lift_one(CHUNK // width), count - start)
        r.invoke(words[0], state, buffer, n * width)
        body(r, buffer, start, n)
    return [r, *words]


# ---- numbers ---------------------------------------------------------------------------------------------------------


def _u24(words: Value) -> Value:
    return (words & 0xFFFFFF).to("float") * 2.0**-24


def _pair(r: Routine, piece: Piece, words: Value) -> tuple[Value, Value]:
    """The 21 upper bits, and the first and the second word of each number's two, for a vector of numbers."""
    place = r.at(words, piece.index * 2, "i32")  # beyond the last number too: within the buffer
    low, high = (r.load(r.at(place, k, "i32"), "i32") for k in (0, r.lanes))
    upper, lower = (r.pick(low, high, range(k, 2 * r.lanes, 2)) for k in (0, 1))
    return upper & 0x1FFFFF, lower


def uniform(real: str, lanes: int) -> list[Routine]:
    """(state, out, count, span, low, high): `fma(u, span, low)`, u of 24 bits (float) or 53; low in place of high."""

    def body(r: Routine, words: Value, start: Value, count: Value) -> None:
        _, out, _, *rest = r.arguments
        span, low, high = (r.splat(x) for x in rest)
        out = r.at(out, start, real)

        def make(piece: Piece) -> None:
            if real == "float":
                u = _u24(piece.load(words, "i32"))
            else:  # both parts and their sum are exact
                upper, lower = _pair(r, piece, words)
                one = lower.to("double")
                u = upper.to("double").fma(2.0**-21, select(lower < 0, one + 2.0**32, one) * 2.0**-53)
            x = u.fma(span, low)
            piece.store(select(x == high, low, x), out)

        sweep(r, count, make, unroll=1)

    width = 1 if real == "float" else 2
    return _drawing("uniform", lanes, width, {"span": real, "low": real, "high": real}, body)


def bernoulli(real: str, lanes: int) -> list[Routine]:
    """(state, out, count, upper, lower, one): `one` with the probability that the 53 bits (upper, lower) say, else 0.

    Zero and one are of type `real`; that may be "i8", of truth values.
    """

    def body(r: Routine, words: Value, start: Value, count: Value) -> None:
        _, out, _, upper, lower, one = r.arguments
        limit, rest, one = r.splat(upper), r.splat(lower ^ LOWEST), r.splat(one)
        out = r.at(out, start, real)

        def make(piece: Piece) -> None:
            high, low = _pair(r, piece, words)
            below = (high < limit) | ((high == limit) & ((low ^ LOWEST) < rest))
            piece.store(select(below, one, r.lift(0, real)), out)

        sweep(r, count, make, unroll=1)

    return _drawing("bernoulli", lanes, 2, {"upper": "i32", "lower": "i32", "one": real}, body)


# ---- normal numbers --------------------------------------------------------------------------------------------------


def _horner(x: Value, coefficients: Sequence[float]) -> Value:
    found = x.fma(coefficients[0], coefficients[1])
    for c in coefficients[2:]:
        found = found.fma(x, c)
    return found


def _log(x: Value, tables: dict[str, Sequence[float]]) -> Value:
    """`single.log`."""
    bits = x.bits()
    m = ((bits & 0x007FFFFF) | 0x3F000000).real()
    e = ((bits >> 23) - 126).to("float")
    low = m < 0.5**0.5
    f = (m - 1) + select(low, m, 0.0)
    e = e - select(low, x.code.lift(1.0, "float"), 0.0)
    square = f * f
    ln2_low, ln2_high = tables["LN2"]
    y = (_horner(f, tables["LOG"]) * f).fma(square, e * ln2_low)
    return e.fma(ln2_high, f + square.fma(-0.5, y))


def _sincos(x: Value, tables: dict[str, Sequence[float]]) -> tuple[Value, Value]:
    """`single.sincos`."""
    octant = (x.code.convert("fptosi", x * tables["OCTANTS"][0], "i32") + 1) & ~1
    steps = octant.to("float")
    for part in tables["QUARTER_PI"]:
        x = steps.fma(part, x)
    square = x * x
    c = (_horner(square, tables["COS"]) * square).fma(square, square * -0.5) + 1
    s = (_horner(square, tables["SIN"]) * square).fma(x, x)
    turn = octant >> 1
    swap = (turn & 1) != 0
    s, c = select(swap, c, s), select(swap, s, c)
    sign = turn << 30
    return (s.bits() ^ (sign & LOWEST)).real(), (c.bits() ^ ((sign + 2**30) & LOWEST)).real()


def normal(lanes: int, tables: dict[str, Sequence[float]]) -> list[Routine]:
    """(state, out, count, std, mean): float32 numbers in blocks of 16, of which `count` is a multiple.

    Args:
        lanes: of a vector of words.
        tables: the coefficients, from `backends.cpu.single`.
    """

    def body(r: Routine, words: Value, start: Value, count: Value) -> None:
        _, out, _, std, mean = r.arguments
        std, mean = r.splat(std, BLOCK), r.splat(mean, BLOCK)
        with r.loop(0, count, 2 * BLOCK) as i:
            a, b = (_u24(r.load(r.at(words, i + k, "i32"), "i32", BLOCK)) for k in (0, BLOCK))
            radius = (_log(1 - a, tables) * -2.0).sqrt()
            sine, cosine = _sincos(b * tables["TURN"][0], tables)
            for k, z in ((0, radius * cosine), (BLOCK, radius * sine)):
                r.store(z.fma(std, mean), r.at(out, start + i + k))

    return _drawing("normal", lanes, 1, {"std": "float", "mean": "float"}, body)
