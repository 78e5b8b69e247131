"""Row kernels: softmax and its logarithm, and cross entropy, each a few sweeps over a row while it is in the cache.

A row is `n` numbers side by side. `sweep` writes the loop over one: whole vectors, several at a time where something is
summed up (one chain of additions would wait three or four cycles for each), and the last few elements under a mask.
`softmax` and the others below give complete routines for `jit.gufunc`, with rows of any number and distance shared out
between threads; those named `..._columns` take (n, m) instead, and reduce over its first dimension, one vector of
columns at a time.

Invariants: the sums of a row are formed in an order that depends on its length and the processor's vectors alone;
a row with a NaN, or without a finite largest number, gives what the formula gives, as PyTorch's does.

References: Milakov & Gimelshein, "Online normalizer calculation for softmax" (2018), on what is bound by memory here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from . import vecmath
from .routine import Routine, least, part_of
from .tables import FORMATS
from .vectors import Value, polynomial, select

INF = float("inf")
UNROLL = 2  # vectors at a time where there are sums: 4 make layer norm 10% faster, and twice as long to compile
WORK = 1 << 14  # elements of a part: 10 to 30 us
Combine = Callable[[Value, Value], Value]


# ---- sweeps ----------------------------------------------------------------------------------------------------------


class Piece:
    """The elements from `index` on that one vector holds; with a mask, the first few of it."""

    def __init__(self, routine: Routine, index: Value, mask: Value | None = None):
        self.routine, self.index, self.mask = routine, index, mask

    def load(self, pointer: Value, type: str, fill: float = 0.0) -> Value:
        """Elements of an array; `fill` beyond its end."""
        r, place = self.routine, self.routine.at(pointer, self.index, type)
        return r.load(place, type) if self.mask is None else r.load_first(place, self.mask, r.lift(fill, type))

    def store(self, x: Value, pointer: Value) -> None:
        """Write elements of an array."""
        r, place = self.routine, self.routine.at(pointer, self.index, x.type)
        if self.mask is None:
            r.store(x, place)
        else:
            r.store_first(x, place, self.mask)


def plus(x: Value, y: Value) -> Value:
    """The sum, as what puts two partial results together."""
    return x + y


class Sums:
    """Vectors that one or several sweeps change, each held several times over.

    Args:
        r: the routine, whose plain registers are vectors.
        starts: the first vectors, such as zeros: `combine` must not be changed by them.
        combine: puts two of them, and at last two lanes, together.
        unroll: how many vectors a turn of the loop takes.
    """

    def __init__(self, r: Routine, starts: Sequence[Value], combine: Combine = plus, unroll: int = UNROLL):
        self.routine, self.combine, self.unroll = r, combine, unroll
        self.held = [[r.variable(s) for s in starts] for _ in range(unroll if starts else 1)]

    def turn(self, body: Callable[..., Any], piece: Piece, slot: int) -> None:
        """One vector of elements."""
        variables = self.held[slot % len(self.held)]
        before = [v.value for v in variables]
        after = body(piece, *before)
        after = after if isinstance(after, tuple) else () if after is None else (after,)
        for variable, old, new in zip(variables, before, after):
            variable.value = new if piece.mask is None else select(piece.mask, new, old)

    def sweep(self, n: Value, body: Callable[..., Any]) -> None:
        """Go over `n` elements; `body` gets a `Piece` and the present vectors, and returns the new ones.

        What is left after the last `unroll` vectors goes under masks, whole vectors too: two copies of the body less
        to be compiled.
        """
        r, step = self.routine, self.unroll * self.routine.lanes
        long = n // step * step
        with r.loop(0, long, step) as i:
            for u in range(self.unroll):
                self.turn(body, Piece(r, i + u * r.lanes), u)
        with r.loop(long, n, r.lanes) as i:
            self.turn(body, Piece(r, i, r.first(n - i)), 0)

    def totals(self) -> list[Value]:
        """One number for each."""
        found = []
        for column in zip(*self.held):
            parts = [v.value for v in column]
            while len(parts) > 1:
                parts = [self.combine(a, b) for a, b in zip(parts[::2], parts[1::2])]
            found.append(self.routine.fold(parts[0], self.combine))
        return found


def sweep(
    r: Routine,
    n: Value,
    body: Callable[..., Any],
    starts: Sequence[Value] = (),
    combine: Combine = plus,
    unroll: int = UNROLL,
) -> list[Value]:
    """One sweep with `Sums` of its own; returns their totals."""
    sums = Sums(r, starts, combine, unroll)
    sums.sweep(n, body)
    return sums.totals()


def falling_exp(x: Value) -> Value:
    """`exp(x)` for numbers up to 0, or hardly above; 0 where it would be below the smallest normal number."""
    under = -87.0 if x.type == "float" else -708.0
    i, p = vecmath._exp_parts(select(x < under, under, x), vecmath.FULL[x.type])
    power = ((i + FORMATS[x.type].bias) << FORMATS[x.type].digits).real()
    return select(x < under, 0.0, p.fma(power, power))


def over_rows(row: Routine, operands: str, name: str = "rows") -> list[Routine]:
    """A generalised ufunc's loop around a routine for one row: rows in parts, parts between threads.

    Args:
        row: takes the address of each operand's row, then the length of the rows.
        operands: a letter for each: "n" for rows, "1" for one number a row, others for arrays that all rows share.
        name: of the public routine.
    """
    count = len(operands)
    numbers = {f"p{k}": "ptr" for k in range(count)} | {f"s{k}": "i64" for k in range(count)}
    part = part_of("rows", {**numbers, "n": "i64", "rows": "i64", "each": "i64"}, 0)
    *given, n, rows, each, k = part.arguments
    with part.loop(k * each, least(k * each + each, rows)) as i:
        part.invoke(row, *[part.bytes_on(given[j], i * given[count + j]) for j in range(count)], n)
    main = Routine(name, {"args": "ptr", "dims": "ptr", "steps": "ptr"}, 0)
    args, dims, steps = main.arguments
    pointers = [main.load(main.at(args, j, "ptr"), "ptr") for j in range(count)]
    strides = [main.load(main.at(steps, j, "i64"), "i64") for j in range(count)]
    rows, n = (main.load(main.at(dims, j, "i64"), "i64") for j in range(2))
    each = main.lift_one(WORK) // (n + 1) + 1
    main.parallel(part, (rows + each - 1) // each, *pointers, *strides, n, rows, each)
    return [main, part, row]


def over_elements(some: Routine, count: int, real: str, name: str) -> list[Routine]:
    """The same around a routine for some elements of `count` arrays, each in one piece; threads take parts of them."""
    pointers = {f"p{k}": "ptr" for k in range(count)}
    part = part_of("elements", {**pointers, "n": "i64"}, 0)
    *given, n, k = part.arguments
    part.invoke(some, *[part.at(p, k * WORK, real) for p in given], least(n - k * WORK, part.lift_one(WORK)))
    main = Routine(name, {"args": "ptr", "dims": "ptr", "steps": "ptr"}, 0)
    args, dims, _ = main.arguments
    n = main.load(main.at(dims, 1, "i64"), "i64")
    operands = [main.load(main.at(args, j, "ptr"), "ptr") for j in range(count)]
    main.parallel(part, (n + WORK - 1) // WORK, *operands, n)
    return [main, part, some]


# ---- softmax ---------------------------------------------------------------------------------------------------------


def largest(r: Routine, x: Value, n: Value, real: str) -> Value:
    """The largest number of a row, NaN left out: it comes back with the first sum of exponentials."""
    low = r.lift(-INF, real)
    return sweep(r, n, lambda piece, top: _more(piece.load(x, real, -INF), top), [low], _more)[0]


def _more(x: Value, y: Value) -> Value:
    """The larger number; `y` if one is NaN. This is one instruction, where `routine.larger` takes four."""
    return select(x > y, x, y)


def softmax(real: str, lanes: int) -> list[Routine]:
    """(n) -> (n): `exp(x - max) / sum(exp(x - max))`."""
    r = Routine("row", {"x": "ptr", "out": "ptr", "n": "i64"}, lanes)
    x, out, n = r.arguments
    top = r.splat(largest(r, x, n, real))

    def exponentials(piece: Piece, total: Value) -> Value:
        e = falling_exp(piece.load(x, real) - top)
        piece.store(e, out)
        return total + e

    (total,) = sweep(r, n, exponentials, [r.lift(0.0, real)])
    factor = r.splat(1 / total)
    sweep(r, n, lambda piece: piece.store(piece.load(out, real) * factor, out))
    return over_rows(r, "nn", "softmax")


def softmax_backward(real: str, lanes: int) -> list[Routine]:
    """(n), (n) -> (n): `y * (g - sum(g * y))`."""
    r = Routine("row", {"g": "ptr", "y": "ptr", "out": "ptr", "n": "i64"}, lanes)
    g, y, out, n = r.arguments
    (total,) = sweep(r, n, lambda p, s: p.load(g, real).fma(p.load(y, real), s), [r.lift(0.0, real)])
    shared = r.splat(total)
    sweep(r, n, lambda p: p.store(p.load(y, real) * (p.load(g, real) - shared), out))
    return over_rows(r, "nnn", "softmax_backward")


def _log_total(r: Routine, x: Value, n: Value, real: str) -> tuple[Value, Value]:
    """The largest number of a row, and the logarithm of the sum of `exp(x - largest)`."""
    top = largest(r, x, n, real)
    peak = r.splat(top)
    (total,) = sweep(r, n, lambda p, s: s + falling_exp(p.load(x, real) - peak), [r.lift(0.0, real)])
    return top, vecmath.log(total)


def log_softmax(real: str, lanes: int) -> list[Routine]:
    """(n) -> (n): `x - max - log(sum(exp(x - max)))`."""
    r = Routine("row", {"x": "ptr", "out": "ptr", "n": "i64"}, lanes)
    x, out, n = r.arguments
    top, log = _log_total(r, x, n, real)
    top, log = r.splat(top), r.splat(log)
    sweep(r, n, lambda p: p.store((p.load(x, real) - top) - log, out))
    return over_rows(r, "nn", "log_softmax")


def log_softmax_backward(real: str, lanes: int) -> list[Routine]:
    """(n), (n) -> (n): `g - exp(y) * sum(g)`."""
    r = Routine("row", {"g": "ptr", "y": "ptr", "out": "ptr", "n": "i64"}, lanes)
    g, y, out, n = r.arguments
    (total,) = sweep(r, n, lambda p, s: s + p.load(g, real), [r.lift(0.0, real)])
    shared = r.splat(total)
    sweep(r, n, lambda p: p.store(p.load(g, real) - falling_exp(p.load(y, real)) * shared, out))
    return over_rows(r, "nnn", "log_softmax_backward")


# ---- cross entropy ---------------------------------------------------------------------------------------------------
# Both kernels take the numbers (ignored class, whether to average, part of the target that is spread) as one array.


def _log_parts(real: str, lanes: int, smooth: bool) -> Routine:
    """One row: its largest number, the logarithm of the sum of `exp(x - largest)`, and the mean of `x - largest`."""
    r = Routine("row", {"x": "ptr", "peak": "ptr", "log": "ptr", "mean": "ptr", "n": "i64"}, lanes)
    x, peak, log, mean, n = r.arguments
    top = largest(r, x, n, real)
    splat, zero = r.splat(top), r.lift(0.0, real)

    def both(piece: Piece, *sums: Value) -> tuple[Value, ...]:
        d = piece.load(x, real) - splat
        return tuple(s + v for s, v in zip(sums, (falling_exp(d), d)))

    total, *more = sweep(r, n, both, [zero, zero] if smooth else [zero], unroll=2)
    r.store(top, peak)
    r.store(vecmath.log(total), log)
    if more:
        r.store(more[0] / n.to(real), mean)
    return r


def cross_entropy(real: str, lanes: int, weighted: bool, smooth: bool) -> list[Routine]:
    """(r,n),(r),(3) -> (2),(r),(3,r), with the weights of the classes (n) before the settings (3) if `weighted`.

    Results: the sum or the mean of the losses and whether a target is no class (float64); the losses; and of each row
    what `cross_entropy_backward` needs: the largest number, the logarithm of the sum of the exponentials, the weight.
    """
    names = ("x", "target", *(("weight",) if weighted else ()), "settings", "totals", "losses", "parts")
    row = _log_parts(real, lanes, smooth)
    pointers = dict.fromkeys(names, "ptr")
    part = part_of("rows", {**pointers, "sx": "i64", "st": "i64", "n": "i64", "rows": "i64", "each": "i64"}, 0)
    p = dict(zip(part.parameters, part.arguments))
    ignored = part.load(p["settings"], "double")
    spread = part.load(part.at(p["settings"], 2, "double"), "double").to(real)
    mean = part.room(1, real)
    with part.loop(p["part"] * p["each"], least(p["part"] * p["each"] + p["each"], p["rows"])) as i:
        t = part.load(part.bytes_on(p["target"], i * p["st"]), "i64")
        x = part.bytes_on(p["x"], i * p["sx"])
        peak, log, factor = (part.at(p["parts"], p["rows"] * k + i, real) for k in range(3))
        part.invoke(row, x, peak, log, mean, p["n"])
        loss = part.variable(part.lift_one(0.0, real))
        w = part.variable(part.lift_one(0.0, real))
        known = (t >= 0) & (t < p["n"])
        counts = t.to("double") != ignored
        with part.when(counts & known):
            w.value = part.load(part.at(p["weight"], t, real), real) if weighted else part.lift_one(1.0, real)
            top, total = part.load(peak, real), part.load(log, real)
            hit = total + (top - part.load(part.at(x, t, real), real))
            if smooth:
                hit = hit * (1 - spread) + (total - part.load(mean, real)) * spread
            loss.value = hit * w.value if weighted else hit
        with part.when(counts & ~known):
            part.store(part.lift_one(1.0, "double"), part.at(p["totals"], 1, "double"))
        part.store(loss.value, part.at(p["losses"], i, real))
        part.store(w.value, factor)
    return [_cross_entropy_main(real, names, part, lanes), part, row]


def _cross_entropy_main(real: str, names: Sequence[str], part: Routine, lanes: int) -> Routine:
    main = Routine(
        "cross_entropy", {"args": "ptr", "dims": "ptr", "steps": "ptr"}, lanes if real == "double" else lanes // 2
    )
    args, dims, steps = main.arguments
    p = {name: main.load(main.at(args, k, "ptr"), "ptr", 0) for k, name in enumerate(names)}
    rows, n = (main.load(main.at(dims, k, "i64"), "i64", 0) for k in (1, 2))
    strides = [main.load(main.at(steps, len(names) + k, "i64"), "i64", 0) for k in (0, 2)]
    main.store(main.lift_one(0.0, "double"), main.at(p["totals"], 1, "double"))
    each = main.lift_one(WORK) // (n + 1) + 1
    main.parallel(part, (rows + each - 1) // each, *p.values(), *strides, n, rows, each)
    weights, zero = main.at(p["parts"], rows * 2, real), main.lift(0.0, "double")
    total, weight = sweep(
        main,
        rows,
        lambda piece, s, w: (
            s + piece.load(p["losses"], real).to("double"),
            w + piece.load(weights, real).to("double"),
        ),
        [zero, zero],
        unroll=1,
    )
    averaged = main.load(main.at(p["settings"], 1, "double"), "double", 0) != 0.0
    main.store(select(averaged, total / weight, total), p["totals"])
    with main.when(averaged):
        share = main.splat(select(weight == 0.0, 0.0, 1.0 / weight).to(real))  # without weights, gradients are zeros
        sweep(main, rows, lambda piece: piece.store(piece.load(weights, real) * share, weights), unroll=1)
    return main


def cross_entropy_backward(real: str, lanes: int, smooth: bool) -> list[Routine]:
    """(n),(),(),(),(),(),(3) -> (n) of x, target, the parts of the row, the gradient g and the settings.

    `(softmax(x) - spread / n - onehot(target) (1 - spread)) * weight * g`; zeros for rows of weight zero.
    """
    names = "x target peak log weight g settings out".split()
    r = Routine("row", {**dict.fromkeys(names, "ptr"), "n": "i64"}, lanes)
    *pointers, n = r.arguments
    p = dict(zip(names, pointers))
    peak, log, weight, g = (r.load(p[k], real, 0) for k in ("peak", "log", "weight", "g"))
    spread = r.load(r.at(p["settings"], 2, "double"), "double", 0).to(real)
    factor = weight * g
    top, minus, by = r.splat(peak), r.splat(log), r.splat(factor)
    share = r.splat(spread / n.to(real))

    def gradient(piece: Piece) -> None:
        e = falling_exp((piece.load(p["x"], real) - top) - minus)
        piece.store((e - share if smooth else e) * by, p["out"])

    with r.choice(weight == 0.0) as (none, some):
        with none:
            sweep(r, n, lambda piece: piece.store(r.lift(0.0, real), p["out"]), unroll=1)
        with some:
            sweep(r, n, gradient, unroll=2)
            place = r.at(p["out"], r.load(p["target"], "i64", 0), real)
            r.store(r.load(place, real, 0) - (factor * (1 - spread) if smooth else factor), place)
    return over_rows(r, "n11111sn", "cross_entropy_backward")


# ---- GELU ------------------------------------------------------------------------------------------------------------
# Q(a) exp(a^2 / 2) (a + MIDDLE) as a polynomial in t = (a - MIDDLE) / (a + MIDDLE), where Q(a) = P(N(0, 1) > a): fitted
# for this file (least squares at Chebyshev points of 0 <= a <= 14.5, reweighted), relative error 6e-8 in float32.

MIDDLE, FARTHEST = 3.0, 14.5
TAIL = (0.72908366, -0.5093323, 0.2300195, -0.047255594, -0.010480809, 0.0069213803, 0.0010766786, -0.00089941034,
        -0.00026490344)  # fmt: skip


def _normal(x: Value) -> tuple[Value, Value]:
    """P(N(0, 1) <= x), with a small relative error left of zero too, and exp(-x^2 / 2); for float32."""
    e, a = falling_exp(x * -0.5 * x), abs(x)
    a = select(a < FARTHEST, a, FARTHEST)
    inverse = 1 / (a + MIDDLE)
    tail = e * (polynomial((a - MIDDLE) * inverse, TAIL) * inverse)
    return select(x < 0, tail, 1 - tail), e


def gelu(real: str, lanes: int) -> list[Routine]:
    """(n) -> (n): `x P(N(0, 1) <= x)`.

    A vector is two registers, whose chains of steps overlap: 0.88 of the time.
    """
    r = Routine("some", {"x": "ptr", "out": "ptr", "n": "i64"}, lanes * 2)
    x, out, n = r.arguments

    def value(piece: Piece) -> None:
        v = piece.load(x, real)
        piece.store(v * _normal(v)[0], out)

    sweep(r, n, value, unroll=1)
    return over_elements(r, 2, real, "gelu")


def gelu_backward(real: str, lanes: int) -> list[Routine]:
    """g (n), x (n) -> (n): `g (P(N(0, 1) <= x) + x exp(-x^2 / 2) / sqrt(2 pi))`."""
    r = Routine("some", {"g": "ptr", "x": "ptr", "out": "ptr", "n": "i64"}, lanes * 2)
    g, x, out, n = r.arguments

    def value(piece: Piece) -> None:
        v = piece.load(x, real)
        below, e = _normal(v)
        piece.store(piece.load(g, real) * (v * e).fma((2 * math.pi) ** -0.5, below), out)

    sweep(r, n, value, unroll=1)
    return over_elements(r, 3, real, "gelu_backward")
