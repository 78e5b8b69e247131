"""Convolution on the CPU: three bilinear maps between an input x, a kernel w and an output y.

With `at(j, t) = j * stride + t * dilation - low` in every spatial dimension,

    convolve         y[n, o, j] = sum over c, t of  x[n, c, at(j, t)] w[o, c, t]
    convolve_input   x[n, c, i] = sum over o and j, t with at(j, t) = i of  y[n, o, j] w[o, c, t]
    convolve_weight  w[o, c, t] = sum over n, j of  x[n, c, at(j, t)] y[n, o, j]

where x is 0 outside its borders. Each is the derivative of the other two, so nothing else is needed for derivatives of
any order, and `convolve_input` is what PyTorch calls a transposed convolution.

Larger ones of float32 and float64 in one and two dimensions are computed by generated kernels (`convplan`), where there
are any; what follows is for all others.

Note [Columns]. The windows of some images are copied into a matrix of (C * taps, positions), one product does the
rest. A matrix of about 1.5 MB stays in the cache between the copy and the product: the time of the product alone plus
10 to 30 percent, about that of PyTorch with one thread. All images at once take 1.5 times as long.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import as_strided

from . import convplan
from .halves import HALVES

Array = np.ndarray
Sizes = tuple[int, ...]
COLUMN_BYTES = 3 << 19  # Note [Columns]
SHORT = 64  # with fewer positions than this in an image, several images share a product
SINGLE = np.dtype(np.float32)


# ---- geometry --------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=4096)
def taps(n: int, kernel: int, stride: int, low: int, dilation: int, m: int) -> tuple[tuple[slice, slice], ...]:
    """For each tap of a kernel: which of `n` inputs it meets, and for which of `m` outputs."""
    found = []
    for t in range(kernel):
        start = t * dilation - low
        first = max(0, -(start // stride))
        last = max(first, min(m, -((start - n) // stride)))
        begin = start + first * stride
        end = begin + (last - first - 1) * stride + 1 if last > first else begin
        found.append((slice(begin, end, stride), slice(first, last)))
    return tuple(found)


def grid(sizes: Sizes, kernel: Sizes, stride: Sizes, low: Sizes, dilation: Sizes, out: Sizes) -> Iterator[tuple]:
    """For each position in the kernel: its number, the index of the inputs it meets, and that of their outputs.

    The indices are for arrays of (N, C, *sizes) and (N, C, *out).
    """
    axes = [taps(*numbers) for numbers in zip(sizes, kernel, stride, low, dilation, out)]
    for number, chosen in enumerate(itertools.product(*axes)):
        if any(y.start >= y.stop for _, y in chosen):
            continue
        yield number, (..., *(x for x, _ in chosen)), (..., *(y for _, y in chosen))


def padded(x: Array, low: Sizes, extent: Sizes, fill: float = 0) -> Array:
    """`extent` cells of each spatial dimension, beginning `low` cells before the first; `fill` outside."""
    sizes = x.shape[x.ndim - len(low) :]
    inner = tuple(slice(max(-a, 0), max(min(n, m - a), 0)) for a, n, m in zip(low, sizes, extent))
    if all(a <= 0 and a + n >= m for a, n, m in zip(low, sizes, extent)):
        return x[(..., *inner)]
    shape = (*x.shape[: x.ndim - len(low)], *extent)
    out = np.zeros(shape, x.dtype) if fill == 0 else np.full(shape, fill, x.dtype)
    part = x[(..., *inner)]
    out[(..., *(slice(max(a, 0), max(a, 0) + n) for a, n in zip(low, part.shape[-len(low) :])))] = part
    return out


@functools.lru_cache(maxsize=4096)
def _extent(kernel: Sizes, stride: Sizes, dilation: Sizes, out: Sizes) -> Sizes:
    """How many cells the windows reach over."""
    return tuple((m - 1) * s + (k - 1) * d + 1 for m, s, k, d in zip(out, stride, kernel, dilation))


def windows(x: Array, kernel: Sizes, stride: Sizes, low: Sizes, dilation: Sizes, out: Sizes) -> Array:
    """The windows of x as (N, C, *kernel, *out): a view of x, or of a padded copy."""
    extent = _extent(kernel, stride, dilation, out)
    if extent != x.shape[2:] or any(low):
        x = padded(x, low, extent)
    steps = x.strides[2:]
    strides = (*x.strides[:2], *[a * d for a, d in zip(steps, dilation)], *[a * s for a, s in zip(steps, stride)])
    shape = (*x.shape[:2], *kernel, *out)
    if x.flags.c_contiguous and x.size:
        return np.ndarray(shape, x.dtype, x, 0, strides)  # a sixth of the time of `as_strided`
    return as_strided(x, shape, strides, writeable=False)


def _chunks(n: int, row_bytes: int) -> Iterator[slice]:
    """Ranges of images whose columns are about COLUMN_BYTES together."""
    step = max(1, COLUMN_BYTES // max(row_bytes, 1))
    step = -(-n // max(1, -(-n // step)))  # equal parts
    for start in range(0, n, max(step, 1)):
        yield slice(start, min(start + step, n))


def _widened(function):
    """Compute half precision in float32, and round once."""

    @functools.wraps(function)
    def wrapper(x: Array, y: Array, *rest):
        if x.dtype not in HALVES:
            return function(x, y, *rest)
        rest = tuple(a.astype(SINGLE) if isinstance(a, Array) else a for a in rest)
        return function(x.astype(SINGLE), y.astype(SINGLE), *rest).astype(x.dtype)

    return wrapper


# ---- the three maps --------------------------------------------------------------------------------------------------


@_widened
def convolve(
    x: Array,
    w: Array,
    bias: Array | None,
    stride: Sizes,
    low: Sizes,
    dilation: Sizes,
    groups: int,
    size: Sizes,
) -> Array:
    """y of (N, O, *size) from x of (N, C, *sizes) and w of (O, C / groups, *kernel)."""
    found = convplan.convolve(x, w, bias, stride, low, dilation, groups, size)
    if found is not None:
        return found
    n, o, positions = x.shape[0], w.shape[0], math.prod(size)
    view = windows(x, w.shape[2:], stride, low, dilation, size)  # (N, C, *K, *P)
    w = w.reshape(groups, o // groups, math.prod(w.shape[1:]))
    out = np.empty((n, groups, o // groups, positions), x.dtype)
    if bias is not None:
        bias = bias.reshape(groups, o // groups, 1)
    rows = w.shape[2]
    joined = groups == 1 and positions < SHORT and n > 1
    for images in _chunks(n, groups * rows * positions * x.itemsize):
        part = view[images]
        y = out[images]
        m = len(part)
        if joined:
            columns = np.moveaxis(part, 0, -len(size) - 1).reshape(rows, m * positions)  # (C K, m P)
            y[:, 0] = np.dot(w[0], columns).reshape(o, m, positions).swapaxes(0, 1)
        else:
            columns = np.ascontiguousarray(part).reshape(m, groups, rows, positions)
            np.matmul(w, columns, out=y)
        if bias is not None:
            y += bias
    return out.reshape(n, o, *size)


@_widened
def convolve_input(
    y: Array,
    w: Array,
    bias: Array | None,
    stride: Sizes,
    low: Sizes,
    dilation: Sizes,
    groups: int,
    size: Sizes,
) -> Array:
    """x of (N, C, *size) from y of (N, O, *sizes) and w of (O, C / groups, *kernel).

    With a stride of 1 it is a convolution of y with the kernel turned around; copying windows then takes half the time
    of adding them up, if there are not many more of them.
    """
    found = convplan.convolve_input(y, w, bias, stride, low, dilation, groups, size)
    if found is not None:
        return found
    if set(stride) == {1} and w.shape[0] <= 2 * w.shape[1] * groups:
        turned = w.reshape(groups, w.shape[0] // groups, *w.shape[1:]).swapaxes(1, 2)
        turned = np.flip(turned, tuple(range(3, turned.ndim))).copy().reshape(-1, w.shape[0] // groups, *w.shape[2:])
        before = tuple((k - 1) * d - a for k, d, a in zip(w.shape[2:], dilation, low))
        return convolve(y, turned, bias, stride, before, dilation, groups, size)
    n, o, sizes = y.shape[0], w.shape[0], y.shape[2:]
    each, kernel, positions = w.shape[1], w.shape[2:], math.prod(y.shape[2:])
    out = np.zeros((n, groups * each, *size), y.dtype)
    if bias is not None:
        out += bias.reshape(-1, *(1,) * len(size))
    if o == groups and each == 1:
        _add_shifted(y, w, out, stride, low, dilation)
        return out
    rows = math.prod(w.shape[1:])
    w = w.reshape(groups, o // groups, rows).swapaxes(1, 2)  # (G, C K, O)
    y = y.reshape(n, groups, o // groups, positions)
    joined = groups == 1 and positions < SHORT and n > 1
    for images in _chunks(n, groups * rows * positions * y.itemsize):
        part = y[images]
        if joined:
            flat = part[:, 0].swapaxes(0, 1).reshape(o, len(part) * positions)
            columns = np.dot(w[0], flat).reshape(rows, len(part), positions).swapaxes(0, 1)
        else:
            columns = np.matmul(w, part)
        fold(columns.reshape(len(part), groups * each, *kernel, *sizes), out[images], stride, low, dilation)
    return out


def _add_shifted(y: Array, w: Array, out: Array, stride: Sizes, low: Sizes, dilation: Sizes) -> None:
    """`convolve_input` of single channels, added to `out`: y times each element of its kernel, where that puts it."""
    factors = w.reshape(len(w), -1, *(1,) * len(stride))  # (C, taps, 1, ...)
    for images in _chunks(len(y), 2 * math.prod(out.shape[1:]) * y.itemsize):
        part, target = y[images], out[images]
        for number, place, position in grid(out.shape[2:], w.shape[2:], stride, low, dilation, y.shape[2:]):
            target[place] += part[position] * factors[:, number]


def fold(columns: Array, out: Array, stride: Sizes, low: Sizes, dilation: Sizes) -> None:
    """Add windows (N, C, *kernel, *positions) to the places in `out`, (N, C, *sizes), that they are taken from."""
    rank = len(stride)
    kernel, positions = columns.shape[2 : 2 + rank], columns.shape[2 + rank :]
    columns = columns.reshape(*columns.shape[:2], math.prod(kernel), *positions)
    for number, place, position in grid(out.shape[2:], kernel, stride, low, dilation, positions):
        out[place] += columns[:, :, number][position]


@_widened
def convolve_weight(x: Array, y: Array, stride: Sizes, low: Sizes, dilation: Sizes, groups: int, size: Sizes) -> Array:
    """w of (O, C / groups, *size) from x of (N, C, *sizes) and y of (N, O, *positions)."""
    found = convplan.convolve_weight(x, y, stride, low, dilation, groups, size)
    if found is not None:
        return found
    n, o, each, rank = x.shape[0], y.shape[1], x.shape[1] // groups, len(size)
    view = windows(x, size, stride, low, dilation, y.shape[2:])  # (N, C, *K, *P)
    positions, rows = math.prod(y.shape[2:]), each * math.prod(size)
    y = y.reshape(n, groups, o // groups, positions)
    total = np.zeros((groups, o // groups, rows), x.dtype)
    for images in _chunks(n, groups * rows * positions * x.itemsize):
        part = view[images]
        m = len(part)
        columns = np.moveaxis(part, 0, -rank - 1).reshape(groups, rows, m * positions)  # (G, C K, m P)
        flat = np.moveaxis(y[images], 0, -2).reshape(groups, o // groups, m * positions)
        total += np.matmul(flat, columns.swapaxes(1, 2))
    return total.reshape(o, each, *size)
