"""Pooling on the CPU: the maximum or the sum of every window, one pass over the array for each tap of a window.

A window of (KH, KW) is taken apart: first along one dimension, then along the other, which takes KH + KW passes instead
of KH * KW. Cells outside of the array are skipped, not padded. `Frame` says where windows lie in each dimension; see
`taps` in `conv`.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .conv import grid, taps
from .memory import HALVES

Array = np.ndarray
Sizes = tuple[int, ...]


class Frame(NamedTuple):
    """Where windows lie: one number for each spatial dimension; `size` is how many windows there are."""

    kernel: Sizes
    stride: Sizes
    low: Sizes
    dilation: Sizes
    size: Sizes


def _axes(frame: Frame) -> list[tuple]:
    """The numbers of each spatial dimension, and its index counted from the last, outermost first."""
    rank = len(frame.kernel)
    return [(i - rank, *numbers) for i, numbers in enumerate(zip(*frame))]


def _along(axis: int, part: slice) -> tuple:
    """The index that cuts one dimension, counted from the last."""
    return (..., part, *(slice(None),) * (-axis - 1))


# ---- maximum ---------------------------------------------------------------------------------------------------------


def lowest(dtype: np.dtype) -> float:
    """What every number of a dtype is at least."""
    return np.iinfo(dtype).min if dtype.kind in "iu" else -math.inf


def maximum(x: Array, frame: Frame) -> Array:
    """The maximum of each window; NaN where there is one."""
    for axis, kernel, stride, low, dilation, size in _axes(frame):
        n = x.shape[axis]
        passes = taps(n, kernel, stride, low, dilation, size)
        whole = next((p for p in passes if p[1] == slice(0, size)), None)
        if whole is None:
            out = np.full((*x.shape[:axis], size, *x.shape[x.ndim + axis + 1 :]), lowest(x.dtype), x.dtype)
        else:
            out = x[_along(axis, whole[0])].copy()
        for place, position in passes:
            if (place, position) != whole and position.start < position.stop:
                part = out[_along(axis, position)]
                np.maximum(part, x[_along(axis, place)], out=part)
        x = out
    return x


def chosen(x: Array, frame: Frame) -> Iterator[tuple[int, tuple, tuple, Array]]:
    """For each tap: its number, the index of its inputs, that of its windows, and in which of these it is the maximum.

    Of equal numbers the first is it, of several NaN the last, as in PyTorch.
    """
    out = maximum(x, frame)
    passes = list(grid(x.shape[-len(frame.kernel) :], *frame))
    lost = out != out
    free = ~lost
    for number, place, position in passes:
        here = x[place] == out[position]
        left = free[position]
        here &= left
        left ^= here
        yield number, place, position, here
    if lost.any():
        for number, place, position in reversed(passes):
            here = x[place] != x[place]
            left = lost[position]
            here &= left
            left ^= here
            yield number, place, position, here


def positions(x: Array, frame: Frame) -> Array:
    """Where each maximum lies in its flattened channel, int64."""
    found = np.zeros((*x.shape[: -len(frame.size)], *frame.size), np.int64)
    starts = np.zeros(frame.size, np.int64)
    offsets = np.zeros(frame.kernel, np.int64)
    step = 1
    for axis, kernel, stride, low, dilation, size in reversed(_axes(frame)):
        trailing = (1,) * (-axis - 1)
        offsets += (np.arange(kernel) * dilation * step).reshape(-1, *trailing)
        starts += ((np.arange(size) * stride - low) * step).reshape(-1, *trailing)
        step *= x.shape[axis]
    for number, _, position, here in chosen(x, frame):
        np.copyto(found[position], offsets.flat[number], where=here)
    found += starts
    return found


_BITS = {2: np.int16, 4: np.int32, 8: np.int64}


def _kept(g: Array, here: Array) -> Array:
    """`where(here, g, 0)`, 7 times faster for random `here`: the bits of g and a mask."""
    bits = _BITS[g.itemsize]
    mask = here.astype(bits)
    np.negative(mask, out=mask)
    return np.bitwise_and(g.view(bits), mask, out=mask).view(g.dtype)


def maximum_backward(g: Array, x: Array, frame: Frame) -> Array:
    """Each g at the place of the maximum of its window."""
    out = np.zeros(x.shape, g.dtype)
    apart = all(s >= (k - 1) * d + 1 for k, s, d in zip(frame.kernel, frame.stride, frame.dilation))
    seen: set[int] = set()
    for number, place, position, here in chosen(x, frame):
        if apart and number not in seen:
            out[place] = _kept(g[position], here)
            seen.add(number)
        else:
            out[place] += _kept(g[position], here)
    return out


def pick(h: Array, x: Array, frame: Frame) -> Array:
    """The elements of h at the places of the maxima of x: the adjoint of `maximum_backward`."""
    out = np.zeros((*x.shape[: -len(frame.size)], *frame.size), h.dtype)
    for _, place, position, here in chosen(x, frame):
        np.copyto(out[position], h[place], where=here)
    return out


# ---- windows of uneven sizes -----------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1024)
def cells(n: int, size: int) -> tuple[Array, Array]:
    """Begin and end of `size` windows that cover n elements as evenly as possible."""
    places = np.arange(size)
    return places * n // size, -(-(places + 1) * n // size)


def adaptive_maximum(x: Array, size: Sizes) -> tuple[Array, Array]:
    """The maxima of windows of uneven sizes, and where they lie in the flattened channel."""
    rank = len(size)
    lines = []
    for n, m in zip(x.shape[-rank:], size):
        begin, end = cells(n, m)
        lines.append([np.minimum(begin + t, end - 1) for t in range(int((end - begin).max(initial=1)))])
    out = np.full((*x.shape[:-rank], *size), lowest(x.dtype), x.dtype)
    places = np.zeros(out.shape, np.int64)
    first = True
    for picked in itertools.product(*lines):
        flat = np.zeros((1,) * rank, np.int64)
        for axis, line in zip(range(-rank, 0), picked):
            flat = flat * x.shape[axis] + line.reshape(-1, *(1,) * (-axis - 1))
        values = x[(..., *np.ix_(*picked))]
        better = np.ones(out.shape, bool) if first else (values > out) | (values != values)
        np.copyto(out, values, where=better)
        np.copyto(places, flat, where=better)
        first = False
    return out, places


# ---- sum -------------------------------------------------------------------------------------------------------------


def window_sum(x: Array, frame: Frame) -> Array:
    """The sum of each window."""
    for axis, kernel, stride, low, dilation, size in _axes(frame):
        n = x.shape[axis]
        if size == 1 and low == 0 and kernel == n and dilation == 1:
            x = x.sum(axis, keepdims=True)
            continue
        out = np.zeros((*x.shape[:axis], size, *x.shape[x.ndim + axis + 1 :]), x.dtype)
        for place, position in taps(n, kernel, stride, low, dilation, size):
            if position.start < position.stop:
                out[_along(axis, position)] += x[_along(axis, place)]
        x = out
    return x


def window_spread(g: Array, sizes: Sizes, frame: Frame) -> Array:
    """Add each g to all elements of its window in an array of (N, C, *sizes): the adjoint of `window_sum`."""
    for axis, kernel, stride, low, dilation, size in _axes(frame):
        n = sizes[axis]
        out = np.zeros((*g.shape[:axis], n, *g.shape[g.ndim + axis + 1 :]), g.dtype)
        for place, position in taps(n, kernel, stride, low, dilation, size):
            if position.start < position.stop:
                out[_along(axis, place)] += g[_along(axis, position)]
        g = out
    return g


@functools.lru_cache(maxsize=256)
def _counts(sizes: Sizes, frame: Frame, padded: bool, dtype: np.dtype) -> Array | float:
    """By how many elements each window's sum is divided: those within the padded, or the unpadded, array."""
    found = np.ones((1,) * len(sizes))
    for axis, kernel, stride, low, _, size in _axes(frame):
        begin = np.arange(size) * stride - low
        end = np.minimum(begin + kernel, sizes[axis] + (low if padded else 0))
        count = end - (begin if padded else np.maximum(begin, 0))
        found = found * count.reshape(-1, *(1,) * (-axis - 1))
    return dtype.type(found.flat[0]) if (found == found.flat[0]).all() else found.astype(dtype)


def _divisor(sizes: Sizes, frame: Frame, padded: bool, override: int | None, dtype: np.dtype) -> Array | float:
    return dtype.type(override) if override is not None else _counts(sizes, frame, padded, dtype)


def average(x: Array, frame: Frame, padded: bool, override: int | None) -> Array:
    """The sum of each window divided by the number of its elements, or by `override`."""
    if x.dtype in HALVES:
        return average(x.astype(np.float32), frame, padded, override).astype(x.dtype)
    out = window_sum(x, frame)
    divisor = _divisor(x.shape[-len(frame.kernel) :], frame, padded, override, x.dtype)
    if x.dtype.kind == "i":  # rounds towards zero
        return (out - np.fmod(out, divisor)) // divisor
    return np.divide(out, divisor, out=out)


def average_backward(g: Array, sizes: Sizes, frame: Frame, padded: bool, override: int | None) -> Array:
    """The adjoint of `average`."""
    if g.dtype in HALVES:
        return average_backward(g.astype(np.float32), sizes, frame, padded, override).astype(g.dtype)
    return window_spread(g / _divisor(sizes, frame, padded, override, g.dtype), sizes, frame)
