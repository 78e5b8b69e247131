"""Random counts on the CPU: Poisson and binomial numbers, in PyTorch's streams.

They take an unforeseeable number of draws each, so they are made one by one; many of the same parameters are made at
once (Note: alike). Notation as in `random`: every `u` is u53.

References: Hörmann, "The transformed rejection method for generating Poisson random variables", Insurance: Mathematics
and Economics 12 (1993); Hörmann, "The generation of binomial random variates", J. Stat. Comput. Simul. 46 (1993);
Devroye, "Non-Uniform Random Variate Generation" (1986), ch. X.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...errors import message
from .generator import Generator
from .special import lgamma

Uniform = Callable[[], float]
_AHEAD = 4096  # uniforms read at a time


class Reader:
    """Numbers one at a time: read in blocks, and the generator set back to where it was really used."""

    def __init__(self, gen: Generator):
        self.gen = gen
        self.start = gen.get_state()
        self.spare = gen.spare
        self.values: list[float] = []
        self.used = self.read = 0

    def normal(self) -> float:
        """From N(0, 1), in pairs as `random.normal` describes."""
        z, self.spare = self.spare, None
        if z is None:
            angle = 2 * math.pi * self.uniform()
            r = math.sqrt(-2 * math.log1p(-self.uniform()))
            z, self.spare = r * math.cos(angle), r * math.sin(angle)
        return z

    def uniform(self) -> float:
        """u53."""
        if self.used == self.read:
            words = self.gen.words(2 * _AHEAD)
            wide = ((words[0::2] << np.uint64(32)) | words[1::2]) & np.uint64(2**53 - 1)
            self.values = (wide * 2.0**-53).tolist()
            self.read += _AHEAD
        self.used += 1
        return self.values[self.used - 1 - self.read]

    def close(self) -> None:
        if self.read:
            self.gen.set_state(self.start)
            self.gen.words(2 * self.used)
        self.gen.spare = self.spare


def each(gen: Generator, sample: Callable[..., float], *parameters: np.ndarray) -> np.ndarray:
    """`sample(reader, ...)` for every element of the parameters, in the type of the first."""
    reader = Reader(gen)
    lists = [p.astype(np.float64).ravel().tolist() for p in parameters]
    found = [sample(reader, *values) for values in zip(*lists)]
    reader.close()
    return np.array(found, np.float64).reshape(parameters[0].shape).astype(parameters[0].dtype)


class _Stream:
    """Uniforms one at a time, without a call of Python's for each: who takes some of `values` adds them to `used`."""

    def __init__(self, gen: Generator, change: Callable[[np.ndarray], np.ndarray] = np.asarray):
        self.used = 0
        blocks = iter(lambda: change(_uniforms(gen, _AHEAD)).tolist(), None)
        self.values = itertools.chain.from_iterable(blocks)
        self.draw: Uniform = self.values.__next__


def _one_by_one(gen: Generator, stream: _Stream, sample: Callable[..., list], *parameters: np.ndarray) -> list:
    """A number for every element of the parameters; the generator is left where it was used."""
    start, spare = gen.get_state(), gen.spare
    found = sample(stream, *(p.tolist() for p in parameters))
    gen.set_state(start)
    gen.words(2 * stream.used)
    gen.spare = spare
    return found


def poisson(gen: Generator, rate: np.ndarray) -> np.ndarray:
    """Poisson numbers with mean `rate`, element by element. Bit-equal.

    Below 10: how many uniforms can be multiplied before the product falls to exp(-rate) or less. Else Hörmann's PTRS.
    """
    if rate.dtype.kind not in "fV":
        raise NotImplementedError(message("poisson: the rates must be floating-point numbers", got=rate.dtype))
    if not (rate >= 0).all():
        raise RuntimeError(message("poisson: a rate is negative", expected="every rate >= 0"))
    if _alike(rate) and (first := float(rate.flat[0])) > 0:
        found = _poisson_chain(gen, rate.size, first) if first < 10 else _accepted(gen, rate.size, _Ptrs(first))
        return found.reshape(rate.shape).astype(rate.dtype)
    wide = rate.astype(np.float64).reshape(-1)
    found = np.zeros(len(wide))
    there = np.flatnonzero(wide)  # a rate of 0 takes nothing from the stream
    wide = wide[there]
    if not len(wide):
        return found.reshape(rate.shape).astype(rate.dtype)
    if (wide < 10).all():
        found[there] = np.fromiter(_one_by_one(gen, _Stream(gen), _small_poisson, np.exp(-wide)), np.float64)
    else:
        limits = np.where(wide >= 10, -1, np.exp(-wide))
        constants = _ptrs_constants(np.maximum(wide, 10))
        found[there] = _one_by_one(gen, _Stream(gen), _mixed_poisson, limits, *constants)
    return found.reshape(rate.shape).astype(rate.dtype)


def _ptrs_constants(rate: np.ndarray) -> tuple[np.ndarray, ...]:
    """2 a, b, rate + 0.43, the squeeze, a, inverse alpha and the rate of PTRS, for rates of 10 and more."""
    b = 0.931 + 2.53 * np.sqrt(rate)
    a = -0.059 + 0.02483 * b
    return 2 * a, b, rate + 0.43, 0.9277 - 3.6224 / (b - 2), a, 1.1239 + 1.1328 / (b - 3.4), rate


def _mixed_poisson(stream: _Stream, limits: list[float], *constants: list[float]) -> list[int]:
    """All rates above 0, written out; a limit of -1 stands for a rate of 10 or more."""
    draw, found, used, floor = stream.draw, [], 0, math.floor
    keep = found.append
    for limit, a2, b, shifted, squeeze, a, inverse_alpha, rate in zip(limits, *constants):
        if limit >= 0:
            product, count = draw(), 0
            while product > limit:
                product *= draw()
                count += 1
            used += count + 1
            keep(count)
            continue
        while True:
            u, v = draw() - 0.5, draw()
            used += 2
            distance = 0.5 - abs(u)
            k = floor((a2 / distance + b) * u + shifted)
            if distance >= 0.07 and v <= squeeze:
                break
            if k < 0 or (distance < 0.013 and v > distance):
                continue
            height = math.log(v) + math.log(inverse_alpha) - math.log(a / (distance * distance) + b)
            if height <= -rate + k * math.log(rate) - math.lgamma(k + 1):
                break
        keep(k)
    stream.used += used
    return found


def _small_poisson(stream: _Stream, limits: list[float]) -> list[int]:
    """Rates between 0 and 10 alone, written out: a call for each number takes as long as the rest of it."""
    found: list[int] = []
    keep, draw = found.append, stream.draw
    for limit, product in zip(limits, stream.values):
        if product <= limit:  # most often at once, if rates are small
            keep(0)
            continue
        count = 0
        while product > limit:
            product *= draw()
            count += 1
        keep(count)
    stream.used += sum(found) + len(found)
    return found


def binomial(gen: Generator, count: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Numbers of successes in `count` trials of probability `p`, element by element.

    With q = min(p, 1 - p): where count * q is below 10, waiting times `ceil(ln(u) / log1p(-q))` are added up until they
    exceed the count; else Hörmann's BTRS.
    """
    count, p = np.broadcast_arrays(count, p)
    for name, x in (("counts", count), ("probabilities", p)):
        if x.dtype.kind not in "fV":
            raise ValueError(message(f"binomial: the {name} must be floating-point numbers", got=x.dtype))
        if x.dtype.itemsize == 2:
            raise NotImplementedError(message(f"binomial: no such stream for {name} of this type", got=x.dtype))
    if count.dtype != p.dtype:
        raise RuntimeError(
            message("binomial: counts and probabilities differ in type", got=f"{count.dtype}, {p.dtype}")
        )
    if not ((p >= 0) & (p <= 1)).all() or not (count >= 0).all():
        raise RuntimeError(message("binomial: counts of 0 or more and probabilities are needed"))
    if _alike(count, p) and (n := float(count.flat[0])) > 0 and 0 < p.flat[0] < 1:
        _, _, q, mean, *rest = (float(x.flat[0]) for x in _facts(count.reshape(-1)[:1], p.reshape(-1)[:1]))
        if mean >= 10:
            found = _accepted(gen, p.size, _Btrs(n, q, mean, *rest))
        else:
            found = _waited_chain(gen, p.size, n, q)
        return (found if p.flat[0] <= 0.5 else n - found).reshape(p.shape).astype(count.dtype)
    facts = [f.reshape(-1) for f in _facts(count, p)]
    found = _small_or_large(gen, *facts)
    return np.array(found, np.float64).reshape(count.shape).astype(count.dtype)


def _small_or_large(gen: Generator, count: np.ndarray, p: np.ndarray, q: np.ndarray, mean: np.ndarray, *rest) -> Any:
    if len(p) and ((mean < 10) & (count > 0) & (p > 0) & (p < 1)).all():
        wide_count, wide_q = count.astype(np.float64), q.astype(np.float64)
        stream = _Stream(gen, lambda u: np.log(np.maximum(u, 1e-300)))
        found = np.array(_one_by_one(gen, stream, _small_binomial, wide_count, -np.log1p(-wide_q)))
        return np.where(p <= 0.5, found, wide_count - found)
    return each(gen, lambda reader, *values: _binomial(reader.uniform, *values), count, p, q, mean, *rest)


def _small_binomial(stream: _Stream, counts: list[float], rates: list[float]) -> list[int]:
    """`_waited`, written out; the stream is one of logarithms."""
    found: list[int] = []
    keep, take = found.append, zip(counts, rates).__next__
    (count, rate), time, successes = take(), 0.0, 0
    for logarithm in stream.values:
        time -= logarithm / rate // 1  # rounded up
        if time <= count:
            successes += 1
            continue
        keep(successes)
        if len(found) == len(counts):
            break
        (count, rate), time, successes = take(), 0.0, 0
    stream.used += sum(found) + len(found)
    return found


def _facts(count: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, ...]:
    """count, p, q = min(p, 1 - p), count q, count q (1 - q), q / (1 - q), floor((count + 1) q), all in one type."""
    q = np.where(p <= 0.5, p, 1 - p)
    mean = count * q
    return count, p, q, mean, mean * (1 - q), q / (1 - q), np.floor((count + 1) * q)


def _binomial(
    uniform: Uniform, count: float, p: float, q: float, mean: float, variance: float, odds: float, mode: float
) -> float:
    if count <= 0 or p <= 0:
        return 0
    if p >= 1:
        return count
    found = _rejected(uniform, count, q, mean, variance, odds, mode) if mean >= 10 else _waited(uniform, count, q)
    return found if p <= 0.5 else count - found


def _waited(uniform: Uniform, count: float, p: float) -> float:
    per_trial, time, successes = math.log1p(-p), 0.0, 0
    while True:
        u = uniform()
        time += math.ceil(math.log(u) / per_trial) if u else math.inf
        if time > count:
            return successes
        successes += 1


def _rejected(
    uniform: Uniform, count: float, p: float, mean: float, variance: float, odds: float, mode: float
) -> float:
    deviation = math.sqrt(variance)
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * p
    alpha = (2.83 + 5.1 / b) * deviation
    while True:
        u, v = uniform() - 0.5, uniform()
        distance = 0.5 - abs(u)
        k = math.floor((2 * a / distance + b) * u + (mean + 0.5))
        if distance >= 0.07 and v <= 0.92 - 4.2 / b:
            return k
        if k < 0 or k > count:
            continue
        bound = (mode + 0.5) * math.log((mode + 1) / (odds * (count - mode + 1)))
        bound += (count + 1) * math.log((count - mode + 1) / (count - k + 1))
        bound += (k + 0.5) * math.log(odds * (count - k + 1) / (k + 1))
        bound += _tail(mode) + _tail(count - mode) - _tail(k) - _tail(count - k)
        if not v or math.log(v * alpha / (a / (distance * distance) + b)) <= bound:
            return k


def _tail(k: float) -> float:
    """What Stirling's formula lacks: ln k! - (k + 1/2) ln(k + 1) + (k + 1) - ln(2 pi) / 2."""
    if k <= 9:
        return math.lgamma(k + 1) - (k + 0.5) * math.log(k + 1) + (k + 1) - 0.5 * math.log(2 * math.pi)
    square = (k + 1) ** 2
    return (1 / 12 - (1 / 360 - 1 / 1260 / square) / square) / (k + 1)


# ---- many at once ----------------------------------------------------------------------------------------------------

# Note: alike
# Of numbers with the same parameters, what every place in the stream of uniforms would give can be computed at once.
# Where an attempt always takes two uniforms (PTRS, BTRS), the numbers are those of the attempts that are accepted.
# Elsewhere a chain of places is followed: the number that starts at place p takes taken[p] uniforms.

_FEW = 64  # fewer numbers are made one by one
_PLACES = 1 << 15


def _alike(*parameters: np.ndarray) -> bool:
    """Whether all numbers have the same parameters, and there are many."""
    return parameters[0].size >= _FEW and all((p == p.flat[0]).all() for p in parameters)


def _uniforms(gen: Generator, n: int) -> np.ndarray:
    words = gen.words(2 * n)
    return ((words[0::2] << np.uint64(32) | words[1::2]) & np.uint64(2**53 - 1)) * 2.0**-53


class Uniforms:
    """A stream that is read ahead and put back to what was used."""

    def __init__(self, gen: Generator):
        self.gen, self.start, self.used = gen, gen.get_state(), 0
        self.ahead = np.empty(0)

    def get(self, n: int) -> np.ndarray:
        """The next n uniforms or more."""
        if len(self.ahead) < n:
            self.ahead = np.concatenate((self.ahead, _uniforms(self.gen, n - len(self.ahead))))
        return self.ahead

    def use(self, n: int) -> None:
        self.ahead, self.used = self.ahead[n:], self.used + n

    def close(self) -> None:
        spare = self.gen.spare
        self.gen.set_state(self.start)
        self.gen.words(2 * self.used)
        self.gen.spare = spare


def _accepted(gen: Generator, n: int, attempt: Callable) -> np.ndarray:
    """The first n numbers that `attempt(u, v)` accepts; it gives the numbers and which of them."""
    stream, found = Uniforms(gen), []
    while n:
        pairs = min(n + n // 4 + 16, _PLACES)
        u = stream.get(2 * pairs)[: 2 * pairs]
        k, good = attempt(u[0::2] - 0.5, u[1::2])
        places = good.nonzero()[0][:n]
        found.append(k[places])
        n -= len(places)
        stream.use(2 * (pairs if n else int(places[-1]) + 1))
    stream.close()
    return np.concatenate(found)


def _chain(gen: Generator, n: int, length: float, taken: Callable) -> np.ndarray:
    """How many uniforms each of n numbers takes; `taken(u)` gives it for every place, 0 where u ends too soon."""
    stream, found = Uniforms(gen), []
    while n:
        u = stream.get(int(min(n * length * 1.1 + 32 * length + 64, max(_PLACES, 64 * length))))
        counts = taken(u).tolist()
        place, before = 0, len(found)
        while n and place < len(counts) and counts[place]:
            found.append(counts[place])
            place += counts[place]
            n -= 1
        stream.use(place)
        if len(found) == before:
            length *= 2
    stream.close()
    return np.array(found, np.float64)


def _poisson_chain(gen: Generator, n: int, rate: float) -> np.ndarray:
    limit = math.exp(-rate)

    def exactly(u: np.ndarray, start: int) -> int:
        product = 1.0
        for place in range(start, len(u)):
            product *= u[place]
            if not product > limit:
                return place - start + 1
        return 0

    def taken(u: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore"):
            fall = -np.cumsum(np.maximum(np.log(u), -800.0))  # of the logarithm of the product
        goal = np.concatenate(([0.0], fall[:-1])) + rate
        last = np.searchsorted(fall, goal)
        count = np.where(last < len(u), last - np.arange(len(u)) + 1, 0)
        around = np.abs(fall[np.minimum(last, len(u) - 1)] - goal) < 1e-7
        around |= np.abs(fall[last - 1] - goal) < 1e-7
        for start in around.nonzero()[0].tolist():  # too close for sums of logarithms
            count[start] = exactly(u, start)
        return count

    return _chain(gen, n, rate + 1, taken) - 1


def _waited_chain(gen: Generator, n: int, count: float, p: float) -> np.ndarray:
    per_trial = math.log1p(-p)

    def taken(u: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore"):
            time = np.cumsum(np.minimum(np.ceil(np.log(u) / per_trial), count + 1))
        before = np.concatenate(([0.0], time[:-1]))
        last = np.searchsorted(time, before + count, side="right")
        return np.where(last < len(u), last - np.arange(len(u)) + 1, 0)

    return _chain(gen, n, count * p + 1, taken) - 1


class _Ptrs:
    """One attempt of `_mixed_poisson` for rates of 10 and more, on arrays."""

    def __init__(self, rate: float):
        self.rate = rate
        self.b = 0.931 + 2.53 * math.sqrt(rate)
        self.a = -0.059 + 0.02483 * self.b
        self.inverse_alpha = 1.1239 + 1.1328 / (self.b - 3.4)
        self.squeeze = 0.9277 - 3.6224 / (self.b - 2)

    def __call__(self, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        a, b, rate = self.a, self.b, self.rate
        distance = 0.5 - np.abs(u)
        k = np.floor((2 * a / distance + b) * u + rate + 0.43)
        good = (distance >= 0.07) & (v <= self.squeeze)
        open_ = (~good & (k >= 0) & ~((distance < 0.013) & (v > distance))).nonzero()[0]
        k_, v, distance = k[open_], v[open_], distance[open_]
        height = np.log(v) + math.log(self.inverse_alpha) - np.log(a / (distance * distance) + b)
        good[open_] = height <= -rate + k_ * math.log(rate) - lgamma(k_ + 1)
        return k, good


class _Btrs:
    """One attempt of `_rejected`, on arrays."""

    def __init__(self, count: float, p: float, mean: float, variance: float, odds: float, mode: float):
        self.count, self.mean, self.odds, self.mode = count, mean, odds, mode
        deviation = math.sqrt(variance)
        self.b = 1.15 + 2.53 * deviation
        self.a = -0.0873 + 0.0248 * self.b + 0.01 * p
        self.alpha = (2.83 + 5.1 / self.b) * deviation

    def __call__(self, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        a, b, count, odds, mode = self.a, self.b, self.count, self.odds, self.mode
        distance = 0.5 - np.abs(u)
        k = np.floor((2 * a / distance + b) * u + (self.mean + 0.5))
        good = (distance >= 0.07) & (v <= 0.92 - 4.2 / b)
        open_ = (~good & (k >= 0) & (k <= count)).nonzero()[0]
        k_, v, distance = k[open_], v[open_], distance[open_]
        bound = (mode + 0.5) * math.log((mode + 1) / (odds * (count - mode + 1)))
        bound = bound + (count + 1) * np.log((count - mode + 1) / (count - k_ + 1))
        bound += (k_ + 0.5) * np.log(odds * (count - k_ + 1) / (k_ + 1))
        bound += _tail(mode) + _tail(count - mode) - _tails(k_) - _tails(count - k_)
        good[open_] = np.log(v * self.alpha / (a / (distance * distance) + b)) <= bound
        return k, good


def _tails(k: np.ndarray) -> np.ndarray:
    """`_tail`, on arrays."""
    square = (k + 1) ** 2
    series = (1 / 12 - (1 / 360 - 1 / 1260 / square) / square) / (k + 1)
    few = np.array([_tail(i) for i in range(10)])
    return np.where(k <= 9, few[np.minimum(k, 9).astype(np.int64)], series)
