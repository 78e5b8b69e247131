"""Gamma and Dirichlet numbers on the CPU in PyTorch's streams, and their derivatives by the parameters.

The derivative of a sample z with distribution function F(z; a) is -(dF/da) / (dF/dz): the uniform number F(z; a) stays
the same. Both densities are log-concave in y = ln z (gamma) and y = logit z (beta), and there dF/da is the integral of
the density times d(ln density)/da from y to one end, whichever is nearer (Note: tails).

References: Marsaglia, Tsang, "A simple method for generating gamma variables", ACM TOMS 26 (2000); Figurnov, Mohamed,
Mnih, "Implicit reparameterization gradients", NeurIPS 2018.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...errors import message
from .counts import Reader, Uniforms, each
from .generator import Generator
from .special import digamma

# ---- numbers ---------------------------------------------------------------------------------------------------------


def _need_wide(where: str, x: np.ndarray) -> None:
    if x.dtype not in (np.float32, np.float64):
        raise NotImplementedError(message(f"{where}: only for float32 and float64", got=x.dtype))


def standard_gamma(gen: Generator, shape: np.ndarray) -> np.ndarray:
    """Gamma numbers of rate 1, element by element: `d (1 + x / sqrt(9 d))^3` with d = shape - 1/3, x from N(0, 1).

    x is one of a pair of normals; it is refused if `ln(1 - u53) >= x^2 / 2 + d (1 - v + ln v)`, v the cube. Below shape
    1: the number of shape + 1, times `(1 - u53)^(1 / shape)`, that u53 first. At least the smallest normal number of
    the type. Bit-equal.
    """
    _need_wide("standard_gamma", shape)
    tiny = np.finfo(shape.dtype).tiny
    found = _of_gammas(gen, shape.reshape(-1, 1), shape.dtype, lambda gammas: np.maximum(gammas, tiny))
    return found.reshape(shape.shape)


_THIRD, _SQUEEZE = np.float32(1 / 3), float(np.float32(0.0331))


def _constants(shape: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """d, and 1 / shape for shapes below 1, computed in their type, the 1/3 always in float32."""
    return np.where(shape < 1, shape + 1, shape) - _THIRD.astype(shape.dtype), 1 / shape


def _gamma(reader: Reader, shape: float, d: float, power: float) -> float:
    scale = 1.0
    if shape < 1:
        if shape == 0:
            return 0.0
        scale = (1 - reader.uniform()) ** power
    c = 1 / math.sqrt(9 * d)
    while True:
        x = reader.normal()
        y = 1 + c * x
        while y <= 0:
            x = reader.normal()
            y = 1 + c * x
        v = y * y * y
        u = 1 - reader.uniform()
        square = x * x
        if u < 1 - _SQUEEZE * square * square or math.log(u) < 0.5 * square + d * (1 - v + math.log(v)):
            return scale * d * v


# Note: certain attempts
# How many uniforms a number takes depends on its shape, so the way through the stream is followed number by number. But
# most attempts end alike for all shapes of a block: the bound of ln u grows with d, so it is enough to know it for the
# least and the largest d. That is decided for all places of the stream at once, in float32 with a margin; for attempts
# that end differently, the d is found from which on they are accepted. The few that are still in doubt are made one by
# one. The numbers follow when all places are known: by NumPy's functions, which may differ from the C library's in the
# last bits, but where those bits decide how a float32 is rounded. A million take 0.7 s; one by one 2.2 s.

_FEW = 256  # fewer numbers are made one by one
_PLACES, _ROOM = 1 << 16, 512  # uniforms at a time, and how many the last number of them may need
_ACCEPTED, _REFUSED, _OPEN = 1, 2, 3
_TOLD, _SAFE = 1e4, 1e-5  # the largest d for which float64 tells well enough where acceptance begins
_MARGIN, _FLAT = 3e-4, 100.0  # from this d on the bound is nearly 0, and float32 does not tell
_HALF_UNIT, _DOUBT = 2**28, 2**7  # half a unit of float32 in the bits of float64, and how many may be wrong


def _of_gammas(gen: Generator, shape: np.ndarray, dtype: np.dtype, finish: Callable) -> np.ndarray:
    """`finish` of the rows of `_gamma` of every element of `shape`, (rows, k), in type `dtype`."""
    constants = _constants(shape)
    if shape.size < _FEW or not (shape > 0).all():
        return finish(each(gen, _gamma, shape, *constants)).astype(dtype)
    draws = _Draws(gen, *(x.astype(np.float64).reshape(-1) for x in (shape, *constants)))
    if dtype == np.float64:
        return finish(draws.numbers(_exactly).reshape(shape.shape))
    found = finish(draws.numbers(lambda function, *x: getattr(np, function)(*x)).reshape(shape.shape))
    doubtful = (found.view(np.int64) + (_HALF_UNIT + _DOUBT)) % (2 * _HALF_UNIT) < 2 * _DOUBT
    rows = doubtful.any(-1).nonzero()[0]
    if len(rows):
        parts = np.arange(shape.size).reshape(shape.shape)[rows]
        found[rows] = finish(draws.numbers(_exactly, parts.reshape(-1)).reshape(parts.shape))
    return found.astype(dtype)


def _exactly(function: str, *x: np.ndarray) -> np.ndarray:
    """A function of the C library on arrays."""
    call = getattr(math, function)
    return np.fromiter(map(call, *(a.tolist() for a in x)), np.float64, len(x[0]))


class _Draws:
    """The uniforms that gamma numbers of some shapes are made of: Note: certain attempts."""

    def __init__(self, gen: Generator, shape: np.ndarray, d: np.ndarray, power: np.ndarray):
        n, done = len(shape), 0
        self.below, self.d, self.power = shape < 1, d, power
        self.pair, self.begin, self.second = np.empty((2, n)), np.empty(n), np.empty(n, np.bool_)
        self.exact = np.full(n, np.nan)
        stream, way = Uniforms(gen), _Way(gen.spare)
        while done < n:
            u = stream.get(min(_PLACES, 4 * (n - done)) + _ROOM)
            ahead = slice(done, done + _PLACES)
            found, exact, begins = way.follow(u, shape[ahead], d[ahead], power[ahead])
            places = np.array(found)
            part = slice(done, done + len(places))
            self.second[part] = second = places < 0
            at = np.where(second, ~places, places)
            self.pair[0, part], self.pair[1, part] = u[at], u[at + 1]
            begin = np.where(second, at + 3, at - 1)
            begin[list(begins)] = list(begins.values())
            self.begin[part] = u[begin]
            self.exact[part][list(exact)] = list(exact.values())
            done = part.stop
            stream.use(way.leave(done == n))
        gen.spare = way.spare
        stream.close()

    def numbers(self, compute: Callable, part: Any = slice(None)) -> np.ndarray:
        """The gamma numbers; `compute(name, ...)` is a function by its name."""
        (u, w), second, below, exact = self.pair[:, part], self.second[part], self.below[part], self.exact[part]
        d, angle, x = self.d[part], 2 * math.pi * u, np.sqrt(-2 * compute("log1p", -w))
        x[second] *= compute("sin", angle[second])
        x[~second] *= compute("cos", angle[~second])
        y = 1 + 1 / np.sqrt(9 * d) * x
        scale = np.ones(len(x))
        scale[below] = compute("pow", 1 - self.begin[part][below], self.power[part][below])
        return np.where(np.isnan(exact), scale * d * (y * y * y), exact)


class _Way(Reader):
    """Where in a stream of uniforms the next number begins, and whether the second normal of a pair is left for it.

    The pair is then from three and two places before: one uniform decided on the attempt with its first.
    """

    def __init__(self, spare: float | None):
        self.spare, self.half, self.used = spare, spare is not None, 0

    def uniform(self) -> float:
        self.used += 1
        return self.there.item(self.used - 1)

    def take_left(self) -> None:
        """Make the normal that is left the `spare` one."""
        if self.half and self.spare is None:
            self.used -= 3
            self.normal()
            self.used += 1

    def leave(self, last: bool) -> int:
        """How many uniforms are done with: all that were used, but not those of a pair that is needed yet."""
        if last:
            self.take_left()
        done = self.used - 3 * (self.half and not last)
        self.used -= done
        return done

    def follow(self, u: np.ndarray, shape: np.ndarray, *constants: np.ndarray) -> tuple[list[int], dict, dict]:
        """The places where numbers find their normal (`~place`: the second there), the numbers made exactly, and the
        places where those begin that were refused at first."""
        self.there = u
        tests = _certain(u, constants[0])
        pairs, steps = _pairs(*(flags for flags, _ in tests))
        below = (shape < 1).tobytes()
        alike = below.count(below[0]) == len(below)
        first, step = below[0], steps[3 * below[0]]
        runs = [pairs[3 * first][start::step] for start in range(step)] if alike else []
        kinds = (2 * (shape[:-1] < 1) + (shape[1:] < 1)).astype(np.uint8).tobytes()
        places: list[int] = []
        exact: dict[int, float] = {}
        begins: dict[int, int] = {}
        keep, place, half, end, i, last = places.append, self.used, self.half, len(u) - _ROOM, 0, len(shape) - 1
        while i <= last and place <= end:
            if not half and alike and runs[place % step][place // step]:  # as many pairs as there are in a row
                k = place // step
                n = min(runs[place % step].find(0, k) - k, (last + 1 - i) // 2)
                at, done = place + first, len(places)
                places += [0] * (2 * n)
                places[done::2] = range(at, at + n * step, step)
                places[done + 1 :: 2] = range(~at, ~at - n * step, -step)
                place += n * step
                i += 2 * n
                if n:
                    continue
            elif not half and i < last:
                kind = kinds[i]
                if pairs[kind][place]:
                    at = place + (kind >> 1)
                    keep(at)
                    keep(~at)
                    place += steps[kind]
                    i += 2
                    continue
            found, after, now_half = _attempts(tests, place, half, below[i], constants[0], i)
            if found is None:
                self.used, self.half = place, half
                self.take_left()
                exact[i] = _gamma(self, shape.item(i), *(c.item(i) for c in constants))
                found, after, now_half = 0, self.used, self.spare is not None
                self.spare = None
            elif after > place + 3 + below[i] or (half and after > place + 1 + below[i]):
                begins[i] = place
            keep(found)
            place, half = after, now_half
            i += 1
        self.used, self.half = place, half
        return places, exact, begins


def _attempts(tests: list, place: int, half: bool, below: int, d: np.ndarray, i: int) -> tuple[int | None, int, bool]:
    """Where the number that begins at `place` finds its normal (None: not known), where the next begins, and whether a
    normal is left then."""
    first, third, fourth = tests
    second = fourth if below else third
    place += below
    while True:
        flags, critical = second if half else first
        flag = flags[place]
        if flag == _OPEN:
            own = d.item(i)
            flag = _REFUSED if own < critical.item(0, place) else _ACCEPTED if own > critical.item(1, place) else 0
        found = ~(place - 3 - below) if half else place
        place += 1 if half else 3
        half = not half
        if flag != _REFUSED:
            return found if flag else None, place, half
        second, below = third, 0


def _pairs(first: bytes, third: bytes, fourth: bytes) -> tuple[list[bytes], list[int]]:
    """For two numbers in turn, by the kind (2 for a first, 1 for a second of shape below 1): the places where they can
    begin so that both are accepted at once, with the normals of one pair, and how many uniforms they take."""
    one, *two = (np.frombuffer(flags, np.uint8) == _ACCEPTED for flags in (first, third, fourth))
    pairs, steps = [], []
    for kind in range(4):
        a, b = divmod(kind, 2)
        both = np.zeros(len(one), np.bool_)
        n = len(one) - _ROOM
        np.logical_and(one[a : a + n], two[b][a + b + 3 :][:n], out=both[:n])
        pairs.append(both.tobytes())
        steps.append(4 + a + b)
    return pairs, steps


def _certain(u: np.ndarray, d: np.ndarray) -> list[tuple[bytes, np.ndarray]]:
    """How attempts end: flags, and limits of the d from which on they are accepted, where that is open.

    By the place of a pair with its first normal; by that of the uniform with the second of the pair three, and four,
    places before.
    """
    v = u.astype(np.float32)
    least, largest = float(d.min()), float(d.max())
    with np.errstate(all="ignore"):
        logarithm = np.log(1 - v)
        size, angle = np.sqrt(-2 * logarithm[1:]), v[:-1] * np.float32(2 * math.pi)

        def test(function: Callable, *turns: tuple[int, int]) -> list[tuple[bytes, np.ndarray]]:
            x = size * function(angle)
            low = _bound(x, min(least, _FLAT))
            high = low if least == largest < _FLAT else _bound(x, largest) if largest < _FLAT else np.zeros_like(x)
            low, high = low - np.float32(_MARGIN), high + np.float32(_MARGIN)
            known = x > -2.99 * math.sqrt(least)  # y > 0
            found = []
            for after, place in turns:
                flags, n = np.zeros(len(v), np.uint8), len(v) - after
                there, part = logarithm[after:], flags[place : place + n]
                np.copyto(part, _OPEN if largest < _TOLD else 0)
                part[there < low[:n]] = _ACCEPTED
                part[there > high[:n]] = _REFUSED
                part *= known[:n]
                critical, open_ = np.empty((2, len(v))), (part == _OPEN).nonzero()[0]
                exact = np.sqrt(-2 * np.log1p(-u[open_ + 1])) * function(2 * math.pi * u[open_])
                critical[:, open_ + place] = _critical(exact, np.log(1 - u[open_ + after]), least, largest)
                found.append((flags.tobytes(), critical))
            return found

        return test(np.cos, (2, 0)) + test(np.sin, (3, 3), (4, 4))


def _bound(x: np.ndarray, d: Any) -> np.ndarray:
    """What ln u must be below of, with the normal x."""
    y = x * (1 / np.sqrt(9 * np.asarray(d, x.dtype))) + 1
    y = y * y * y
    return x * x * np.asarray(0.5, x.dtype) + np.asarray(d, x.dtype) * (1 - y + np.log(y))


def _critical(x: np.ndarray, logarithm: np.ndarray, least: float, largest: float) -> tuple[np.ndarray, np.ndarray]:
    """Limits of the d for which the bound is `logarithm`, by halving the range of ln d."""
    low, high = np.full(len(x), math.log(least)), np.full(len(x), math.log(largest))
    for _ in range(6):
        middle = 0.5 * (low + high)
        above = _bound(x, np.exp(middle)) > logarithm
        high, low = np.where(above, middle, high), np.where(above, low, middle)
    return np.exp(low) * (1 - _SAFE), np.exp(high) * (1 + _SAFE)


def dirichlet(gen: Generator, concentration: np.ndarray) -> np.ndarray:
    """Points of the simplex (..., k): gamma numbers of these shapes over their sum, in float64, inside of (0, 1).

    Bit-equal for k < 16; further on the sum is taken in another order.
    """
    _need_wide("dirichlet", concentration)
    limits = np.finfo(concentration.dtype)

    def shares(gammas: np.ndarray) -> np.ndarray:
        gammas = np.maximum(gammas, np.finfo(np.float64).tiny)
        return np.clip(gammas / _row_sum(gammas), limits.tiny, 1 - limits.epsneg)

    rows = concentration.astype(np.float64).reshape(-1, concentration.shape[-1])
    return _of_gammas(gen, rows, concentration.dtype, shares).reshape(concentration.shape)


def _row_sum(x: np.ndarray) -> np.ndarray:
    """The sums of the rows as PyTorch takes them: four at a time, but what is left over comes first."""
    k = x.shape[-1]
    if not (4 <= k < 16 and x.size):
        return x.sum(-1, keepdims=True)
    lanes = x[..., : k - k % 4].reshape(*x.shape[:-1], -1, 4)
    columns = [*np.moveaxis(x[..., k - k % 4 :], -1, 0), *np.moveaxis(np.add.reduce(lanes, -2), -1, 0)]
    return functools.reduce(np.add, columns)[..., None]


# ---- derivatives -----------------------------------------------------------------------------------------------------

# Note: tails
# With h(y) the log-density without its constant, D(u) = h(y) - h(y -+ u) grows convexly from 0. The integral of
# exp(-D(u)) w(u) is cut off where D is _END, which Newton's method finds from above, and taken with Gauss and
# Legendre's rule, on two parts where it is long: near its beginning D is curved, further away it may be straight.
# The error is below 1e-9 (PyTorch's formulas: 1e-3).

_END, _NEWTON = 28.0, 5
_CURVED, _LONG = 8.0, 12.0  # beyond 8, exp(-u) does not matter; 16 nodes do for 12
_CHUNK = 1 << 13  # elements at a time: the dozen temporaries stay in the cache


@functools.cache
def _rule() -> list[tuple[float, float]]:
    """Gauss and Legendre's points between 0 and 1, and their weights."""
    nodes, weights = np.polynomial.legendre.leggauss(16)
    return list(zip((nodes / 2 + 0.5).tolist(), (weights / 2).tolist()))


def _tail(drop: Callable, slope: Callable, weight: Callable, end: np.ndarray, *p: np.ndarray) -> np.ndarray:
    """The integral over u > 0 of exp(-drop(u)) * weight(u); `end` is an upper bound of where drop is _END.

    The three functions take u and the parameters p, arrays like `end`.
    """
    for _ in range(_NEWTON):
        end = np.maximum(end - (drop(end, *p) - _END) / slope(end, *p), end / 16)
    is_long = end > _LONG
    total = _panel(drop, weight, 0.0, np.where(is_long, _CURVED, end), *p)
    if is_long.any():
        total[is_long] += _panel(drop, weight, _CURVED, end[is_long] - _CURVED, *(x[is_long] for x in p))
    return total


def _panel(drop: Callable, weight: Callable, start: float, length: np.ndarray, *p: np.ndarray) -> np.ndarray:
    total = np.zeros_like(length)
    for node, share in _rule():
        u = start + length * node
        part = np.exp(-drop(u, *p))
        part *= weight(u, *p)
        part *= share
        total += part
    return total * length


def _in_chunks(function: Callable, like: np.ndarray, *parameters: np.ndarray) -> np.ndarray:
    """`function(*parameters)`, broadcast, as float64 and in pieces; the result in the type of `like`."""
    shape = np.broadcast_shapes(*(p.shape for p in parameters))
    flat = [np.ascontiguousarray(p).reshape(-1) for p in np.broadcast_arrays(*parameters)]
    out = np.empty(flat[0].size, like.dtype)
    for start in range(0, out.size, _CHUNK):
        piece = slice(start, start + _CHUNK)
        out[piece] = function(*(p[piece].astype(np.float64) for p in flat))
    return out.reshape(shape)


def gamma_derivative(shape: np.ndarray, sample: np.ndarray) -> np.ndarray:
    """d sample / d shape for gamma numbers of rate 1; both of one floating type."""
    _need_wide("gamma_derivative", sample)
    return _in_chunks(_gamma_derivative, sample, shape, sample)


def _gamma_derivative(a: np.ndarray, z: np.ndarray) -> np.ndarray:
    out, y = np.empty_like(z), np.log(z) - digamma(a)
    i = z < a
    if i.any():
        out[i] = -_tail(
            lambda u, a, z, y: a * u + z * np.expm1(-u), lambda u, a, z, y: a - z * np.exp(-u),
            lambda u, a, z, y: y - u, (_END + z[i]) / a[i], a[i], z[i], y[i],
        )  # fmt: skip
    i = ~i
    if i.any():
        far = _END / z[i]
        out[i] = _tail(
            lambda u, a, z, y: z * np.expm1(u) - a * u, lambda u, a, z, y: z * np.exp(u) - a,
            lambda u, a, z, y: y + u, np.minimum(np.sqrt(2 * far), 1.7 + np.log1p(far)), a[i], z[i], y[i],
        )  # fmt: skip
    return out * z


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def dirichlet_derivative(sample: np.ndarray, alpha: np.ndarray, total: np.ndarray) -> np.ndarray:
    """d x / d alpha over 1 - x, for x of Beta(alpha, total - alpha): what each part of a Dirichlet vector is."""
    _need_wide("dirichlet_derivative", sample)
    return _in_chunks(_dirichlet_derivative, sample, sample, alpha, total)


def _dirichlet_derivative(x: np.ndarray, a: np.ndarray, s: np.ndarray) -> np.ndarray:
    x = np.clip(x, np.finfo(np.float64).tiny, 1 - 2.0**-53)
    out, y, center = np.empty_like(x), np.log(x) - np.log1p(-x), digamma(s) - digamma(a)

    def integrate(i: np.ndarray, sign: float) -> None:
        """Towards 0 or towards 1, whichever way the density falls."""
        if not i.any():
            return
        base, rate = _softplus(y[i]), a[i] if sign < 0 else s[i] - a[i]  # rate: the slope of D far away
        end = (_END + s[i] * (base if sign < 0 else _softplus(-y[i]))) / rate
        out[i] = sign * _tail(
            lambda u, a, s, y, w, b: s * (_softplus(y + sign * u) - b) - sign * a * u,
            lambda u, a, s, y, w, b: sign * (s / (1 + np.exp(-(y + sign * u))) - a),
            lambda u, a, s, y, w, b: w - _softplus(-(y + sign * u)),
            end, a[i], s[i], y[i], center[i], base,
        )  # fmt: skip

    below = x * s < a
    integrate(below, -1.0)
    integrate(~below, 1.0)
    return out * x  # dx = x (1 - x) dy
