"""Random counts on the CPU: Poisson and binomial numbers, in PyTorch's streams.

They take an unforeseeable number of draws each, so they are made one by one. Notation as in `random`: every `u` is u53.

References: Hörmann, "The transformed rejection method for generating Poisson random variables", Insurance: Mathematics
and Economics 12 (1993); Hörmann, "The generation of binomial random variates", J. Stat. Comput. Simul. 46 (1993);
Devroye, "Non-Uniform Random Variate Generation" (1986), ch. X.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ...errors import message
from .generator import Generator

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


def poisson(gen: Generator, rate: np.ndarray) -> np.ndarray:
    """Poisson numbers with mean `rate`, element by element. Bit-equal.

    Below 10: how many uniforms can be multiplied before the product falls to exp(-rate) or less. Else Hörmann's PTRS.
    """
    if rate.dtype.kind not in "fV":
        raise NotImplementedError(message("poisson: the rates must be floating-point numbers", got=rate.dtype))
    if not (rate >= 0).all():
        raise RuntimeError(message("poisson: a rate is negative", expected="every rate >= 0"))
    return each(gen, lambda reader, *values: _poisson(reader.uniform, *values), rate)


def _poisson(uniform: Uniform, rate: float) -> float:
    if rate == 0:
        return 0
    if rate < 10:
        limit, product, count = math.exp(-rate), uniform(), 0
        while product > limit:
            product *= uniform()
            count += 1
        return count
    b = 0.931 + 2.53 * math.sqrt(rate)
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    squeeze = 0.9277 - 3.6224 / (b - 2)
    while True:
        u, v = uniform() - 0.5, uniform()
        distance = 0.5 - abs(u)
        k = math.floor((2 * a / distance + b) * u + rate + 0.43)
        if distance >= 0.07 and v <= squeeze:
            return k
        if k < 0 or (distance < 0.013 and v > distance):
            continue
        height = math.log(v) + math.log(inverse_alpha) - math.log(a / (distance * distance) + b)
        if height <= -rate + k * math.log(rate) - math.lgamma(k + 1):
            return k


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
    return each(gen, lambda reader, *values: _binomial(reader.uniform, *values), count, p)


def _binomial(uniform: Uniform, count: float, p: float) -> float:
    if count <= 0 or p <= 0:
        return 0
    if p >= 1:
        return count
    q = min(p, 1 - p)
    found = _rejected(uniform, count, q) if count * q >= 10 else _waited(uniform, count, q)
    return found if p <= 0.5 else count - found


def _waited(uniform: Uniform, count: float, p: float) -> float:
    per_trial, time, successes = math.log1p(-p), 0.0, 0
    while True:
        u = uniform()
        time += math.ceil(math.log(u) / per_trial) if u else math.inf
        if time > count:
            return successes
        successes += 1


def _rejected(uniform: Uniform, count: float, p: float) -> float:
    deviation = math.sqrt(count * p * (1 - p))
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * p
    odds, alpha = p / (1 - p), (2.83 + 5.1 / b) * deviation
    mode = math.floor((count + 1) * p)
    while True:
        u, v = uniform() - 0.5, uniform()
        distance = 0.5 - abs(u)
        k = math.floor((2 * a / distance + b) * u + count * p + 0.5)
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
