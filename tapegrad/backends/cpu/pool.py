"""Pooling on the CPU: the maximum or the sum of every window, one pass over the array for each tap of a window.

A window of (KH, KW) is taken apart: first along one dimension, then along the other, which takes KH + KW passes instead
of KH * KW. Cells outside of the array are skipped, not padded. `Frame` says where windows lie in each dimension; see
`taps` in `conv`.
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import NamedTuple

import numpy as np

from . import poolplan
from .conv import taps
from .halves import HALVES

Array = np.ndarray
Sizes = tuple[int, ...]
SHORT, LONG = np.dtype(np.int32), np.dtype(np.int64)  # of places


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
    made = poolplan.maximum_with_places(x, frame, SHORT)
    if made is not None:
        return made[0]
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


def maximum_with_places(x: Array, frame: Frame, index: np.dtype = LONG) -> tuple[Array, Array]:
    """The maximum of each window, and where it lies in its flattened channel, in the dtype `index`.

    Of equal numbers the first is taken, of several NaN the last, as in PyTorch. One dimension after the other, the
    last first; the number of the best tap of a window is kept in a byte where that is enough.
    """
    if x.dtype in HALVES:
        values, places = maximum_with_places(x.astype(np.float32), frame, index)
        return values.astype(x.dtype), places
    if math.prod(x.shape[-len(frame.size) :]) >= 1 << 31:
        index = LONG
    made = poolplan.maximum_with_places(x, frame, index)
    if made is not None:
        return made
    volume = math.prod(frame.kernel)
    kind = np.int8 if volume < 128 else np.int16 if volume < 32768 else np.int32
    missing = x.dtype.kind == "f" and x.size > 0 and bool(np.isnan(x.max()))
    sizes, best, tap, step = x.shape[-len(frame.size) :], x, None, 1
    for axis, *numbers in reversed(_axes(frame)):
        best, tap = _best_along(best, tap, axis, tuple(numbers), step, kind, missing)
        step *= numbers[0]
    offsets, starts = _geometry(sizes, frame)
    places = offsets.take(tap)
    places += starts
    return best, places.astype(index, copy=False)


def _best_along(
    x: Array, tap: Array | None, axis: int, numbers: Sizes, step: int, kind: type, missing: bool
) -> tuple[Array, Array]:
    """The best of each window along one dimension, and the number of its tap.

    x and `tap` are the best, and their taps, of the dimensions done so far; `step` is how many taps these have. A later
    tap has a larger number, so that the last one that was better is the largest of those that were.
    """
    kernel, stride, low, dilation, size = numbers
    passes = taps(x.shape[axis], kernel, stride, low, dilation, size)
    shape = (*x.shape[:axis], size, *x.shape[x.ndim + axis + 1 :])
    begun = passes[0][1] == slice(0, size)
    if begun:  # no window begins in the padding
        start = _along(axis, passes[0][0])
        best, found = x[start].copy(), np.zeros(shape, kind) if tap is None else tap[start].copy()
    else:
        places = np.arange(size) * stride - low
        first = np.maximum(-(places // dilation), 0)
        best, found = np.full(shape, lowest(x.dtype), x.dtype), np.zeros(shape, kind)
        found += (first * step).astype(kind).reshape(-1, *(1,) * (-axis - 1))
        if tap is not None:
            found += tap.take(np.clip(places + first * dilation, 0, x.shape[axis] - 1), axis)
    for t, (place, position) in enumerate(passes):
        if position.start >= position.stop or (begun and t == 0):
            continue
        here, there = _along(axis, position), _along(axis, place)
        value, held = x[there], best[here]
        better = value > held
        if missing:
            better |= value != value
        number = better.view(np.int8) if kind is np.int8 else better.astype(kind)
        if tap is None:
            number *= kind(t * step)
        else:
            np.negative(number, out=number)
            number &= tap[there] + kind(t * step)
        np.maximum(found[here], number, out=found[here])
        np.maximum(held, value, out=held)
    return best, found


@functools.lru_cache(maxsize=256)
def _geometry(sizes: Sizes, frame: Frame) -> tuple[Array, Array]:
    """How far each tap is from the begin of its window, and where each window begins, in the flattened channel."""
    starts, offsets = np.zeros(frame.size, np.int64), np.zeros(frame.kernel, np.int64)
    step = 1
    for axis, kernel, stride, low, dilation, size in reversed(_axes(frame)):
        trailing = (1,) * (-axis - 1)
        offsets += (np.arange(kernel) * dilation * step).reshape(-1, *trailing)
        starts += ((np.arange(size) * stride - low) * step).reshape(-1, *trailing)
        step *= sizes[axis]
    return offsets.reshape(-1), starts


def scatter(g: Array, places: Array, sizes: Sizes, apart: bool) -> Array:
    """Zeros of (N, C, *sizes) with each g at its place in the flattened channel; `apart`: no two at one place."""
    if g.dtype in HALVES:
        return scatter(g.astype(np.float32), places, sizes, apart).astype(g.dtype)
    made = poolplan.scatter(g, places, sizes)
    if made is not None:
        return made
    lead, n = g.shape[: -len(sizes)], math.prod(sizes)
    rows, each = math.prod(lead), math.prod(g.shape[-len(sizes) :])
    out = np.zeros((rows, n), g.dtype)
    g, places = g.reshape(rows, each), places.reshape(rows, each)
    if each > 2048 and not apart:  # a channel at a time: what is added to stays in the cache
        for target, where, values in zip(out, places, g):
            np.add.at(target, where, values)
        return out.reshape(*lead, *sizes)
    where = (places + (np.arange(rows) * n)[:, None]).reshape(-1)
    if apart:
        out.reshape(-1)[where] = g.reshape(-1)
    else:
        np.add.at(out.reshape(-1), where, g.reshape(-1))
    return out.reshape(*lead, *sizes)


def pick(x: Array, places: Array, rank: int) -> Array:
    """The elements at `places` in the flattened channels of x: the adjoint of `scatter`."""
    rows, n = math.prod(x.shape[:-rank]), math.prod(x.shape[-rank:])
    where = places.reshape(rows, math.prod(places.shape[-rank:])) + (np.arange(rows) * n)[:, None]
    return x.reshape(-1).take(where).reshape(places.shape)


# ---- windows of uneven sizes -----------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1024)
def cells(n: int, size: int) -> tuple[Array, Array]:
    """Begin and end of `size` windows that cover n elements as evenly as possible."""
    places = np.arange(size)
    return places * n // size, -(-(places + 1) * n // size)


def adaptive_maximum(x: Array, size: Sizes) -> tuple[Array, Array]:
    """The maxima of windows of uneven sizes, and where they lie in the flattened channel.

    As in `maximum_with_places`: one dimension after the other, the last first; of equal numbers the first, of several
    NaN the last.
    """
    if x.dtype in HALVES:
        values, places = adaptive_maximum(x.astype(np.float32), size)
        return values.astype(x.dtype), places
    missing = x.size > 0 and bool(np.isnan(x.max()))
    sizes, places, step = x.shape[-len(size) :], None, 1
    for axis, n, m in zip(range(-1, -len(size) - 1, -1), reversed(sizes), reversed(size)):
        x, at = _adaptive_along(x, axis, m, missing)
        places = at if places is None else at * step + np.take_along_axis(places, at, axis)
        step *= n
    assert places is not None
    return x, places


def _adaptive_along(x: Array, axis: int, m: int, missing: bool) -> tuple[Array, Array]:
    """The maxima of `m` windows along one dimension, and where they are."""
    begin, end = cells(x.shape[axis], m)
    shape = (*x.shape[:axis], m, *x.shape[x.ndim + axis + 1 :])
    most = int((end - begin).max(initial=1))
    if axis == -1 and not missing and most > 32 and x.shape[-1] == m * most:  # even windows, all at once
        split = x.reshape(*x.shape[:-1], m, most)
        at = split.argmax(-1)
        return np.take_along_axis(split, at[..., None], -1)[..., 0], at + begin
    if most <= 4 * m and most < 32768:  # tap by tap
        best, tap = x.take(begin, axis), np.zeros(shape, np.int8 if most < 128 else np.int16)
        trailing = (1,) * (-axis - 1)
        for t in range(1, most):
            value = x.take(np.minimum(begin + t, end - 1), axis)
            better = value > best
            if missing:
                better |= (value != value) & (begin + t < end).reshape(-1, *trailing)
            number = better.view(np.int8) if tap.itemsize == 1 else better.astype(tap.dtype)
            number *= tap.dtype.type(t)
            np.maximum(tap, number, out=tap)
            np.maximum(best, value, out=best)
        return best, tap + begin.reshape(-1, *trailing)
    best, found = np.empty(shape, x.dtype), np.empty(shape, np.int64)
    for j in range(m):  # window by window
        part, target = x[_along(axis, slice(begin[j], end[j]))], _along(axis, slice(j, j + 1))
        at = _first_maximum(part, axis, missing)
        best[target] = np.take_along_axis(part, at, axis)
        found[target] = at + begin[j]
    return best, found


def _first_maximum(x: Array, axis: int, missing: bool) -> Array:
    """Where the first maximum is, or the last NaN."""
    at = x.argmax(axis, keepdims=True)
    if not missing:
        return at
    lost = x != x
    last = x.shape[axis] - 1 - np.flip(lost, axis).argmax(axis, keepdims=True)
    return np.where(lost.any(axis, keepdims=True), last, at)


# ---- sum -------------------------------------------------------------------------------------------------------------


def _wide_and_even(n: int, kernel: int, stride: int, low: int, dilation: int, size: int) -> bool:
    """Whether windows are long and lie one after the other: then they are a dimension of a reshaped array."""
    return kernel == stride >= 8 and low == 0 and dilation == 1 and n == size * kernel


def _split(x: Array, axis: int, size: int) -> Array:
    """The dimension `axis` as `size` windows of equal length; a view."""
    return x.reshape(*x.shape[:axis], size, x.shape[axis] // size, *x.shape[x.ndim + axis + 1 :])


def window_sum(x: Array, frame: Frame) -> Array:
    """The sum of each window."""
    for axis, kernel, stride, low, dilation, size in _axes(frame):
        n = x.shape[axis]
        if _wide_and_even(n, kernel, stride, low, dilation, size):
            x = _split(x, axis, size).sum(x.ndim + axis + 1)
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
        if _wide_and_even(n, kernel, stride, low, dilation, size):
            out = np.empty((*g.shape[:axis], n, *g.shape[g.ndim + axis + 1 :]), g.dtype)
            _split(out, axis, size)[...] = np.expand_dims(g, g.ndim + axis + 1)
            g = out
            continue
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
    divisor = _divisor(x.shape[-len(frame.kernel) :], frame, padded, override, x.dtype)
    made = poolplan.average(x, frame, divisor)
    if made is not None:
        return made
    out = window_sum(x, frame)
    if x.dtype.kind == "i":  # rounds towards zero
        return (out - np.fmod(out, divisor)) // divisor
    return np.divide(out, divisor, out=out)


def average_backward(g: Array, sizes: Sizes, frame: Frame, padded: bool, override: int | None) -> Array:
    """The adjoint of `average`."""
    if g.dtype in HALVES:
        return average_backward(g.astype(np.float32), sizes, frame, padded, override).astype(g.dtype)
    return window_spread(g / _divisor(sizes, frame, padded, override, g.dtype), sizes, frame)


# ---- windows at random places ----------------------------------------------------------------------------------------


def random_starts(samples: Array, n: int, size: int, kernel: int) -> Array:
    """(..., size): where windows begin that cover n elements in steps of two neighbouring lengths.

    Window i begins at `floor((i + u) a) - floor(u a)` with `a = (n - kernel) / (size - 1)` and u of `samples`, the last
    one at `n - kernel` (Graham 2014). In the precision of the samples, as PyTorch does.
    """
    last = np.full((*samples.shape, 1), n - kernel, np.intp)
    if size <= 1:
        return last[..., :size]
    real = samples.dtype.type
    alpha = real(n - kernel) / real(size - 1)
    shift = (samples * alpha).astype(np.intp)[..., None]
    begins = ((np.arange(size - 1).astype(samples.dtype) + samples[..., None]) * alpha).astype(np.intp)
    return np.concatenate([begins - shift, last], -1)


def fractional_maximum(x: Array, starts: tuple[Array, ...], kernel: Sizes) -> tuple[Array, Array]:
    """The maxima of windows of one size that begin at `starts`, and where they lie in the flattened channel.

    x: (N, C, *sizes); starts: for each dimension (N, C, windows).
    """
    rank = len(kernel)
    sizes, lead = x.shape[-rank:], x.shape[:-rank]
    corner = np.zeros((*lead, *(1,) * rank), np.intp)
    for axis, begin in enumerate(starts):
        shape = (*lead, *(begin.shape[-1] if i == axis else 1 for i in range(rank)))
        corner = corner * sizes[axis] + begin.reshape(shape)
    flat = x.reshape(*lead, math.prod(sizes))
    base = (np.arange(math.prod(lead)) * flat.shape[-1]).reshape(*lead, *(1,) * rank)
    whole = flat.reshape(-1)
    out = np.full(corner.shape, -math.inf, x.dtype)
    places = corner.copy()
    for offset in itertools.product(*map(range, kernel)):
        step = 0
        for n, t in zip(sizes, offset):
            step = step * n + t
        at = corner + step
        values = whole.take(at + base)
        better = (values > out) | (values != values)
        np.copyto(out, values, where=better)
        np.copyto(places, at, where=better)
    return out, places
