"""Sampling images at any pixels: the three forms of `sum of g[p] weight[t, p] x[at[t, p]]`, and where taps lie.

x: (N, C, *sizes), weight and at: (T, N * prod(size)), the flat pixel of each tap of each point, -1 for none. Images of
few channels are worked on channel by channel (an element of a plane takes 3 ns, a row of 3 channels 16 ns), those of
many as rows of channels (`entries`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from . import entries
from .halves import HALVES

Array = np.ndarray
Sizes = tuple[int, ...]
FEW = 16  # channels
BLOCK = 32768  # taps that are worked on at a time: they stay in the cache


def _planes(x: Array, spare: int = 0) -> Array:
    """(C, N * P + spare): the channels, image after image; zeros at the end. Half precision becomes float32."""
    n, c = x.shape[:2]
    each = math.prod(x.shape[2:])
    out = np.zeros((c, n * each + spare), np.float32 if x.dtype in HALVES else x.dtype)
    out[:, : n * each].reshape(c, n, each)[...] = x.reshape(n, c, each).swapaxes(0, 1)
    return out


def _images(planes: Array, n: int, sizes: Sizes, dtype: np.dtype) -> Array:
    """The inverse of `_planes`, contiguous."""
    c = len(planes)
    found = planes[:, : n * math.prod(sizes)].reshape(c, n, *sizes).swapaxes(0, 1)
    return found.astype(dtype, order="C")


def _blocks(at: Array) -> Iterator[tuple[slice, Array]]:
    """Ranges of points, and the pixels of their taps; -1 is the last cell of a plane."""
    step = max(1, BLOCK // len(at))
    for start in range(0, at.shape[1], step):
        block = slice(start, start + step)
        yield block, at[:, block].astype(np.intp)


def sample(x: Array, weight: Array, at: Array, size: Sizes) -> Array:
    """(N, C, *size): the weighted sum of the pixels of each point."""
    n, c = x.shape[:2]
    if c > FEW:
        return entries.as_channels(entries.mix(entries.as_rows(x), weight, at, None, at.shape[1]), n, size)
    planes = _planes(x, 1)
    weight = weight.astype(planes.dtype, copy=False)
    out = np.empty((c, at.shape[1]), planes.dtype)
    for block, places in _blocks(at):
        share = weight[:, block]
        for plane, target in zip(planes, out):
            taken = plane.take(places, mode="wrap")
            np.multiply(taken, share, out=taken)
            np.add.reduce(taken, 0, out=target[block])
    return _images(out, n, size, x.dtype)


def spread(dy: Array, weight: Array, at: Array, sizes: Sizes) -> Array:
    """(N, C, *sizes): each point's number added to its pixels, times their weights; the adjoint of `sample`."""
    n, c = dy.shape[:2]
    count = n * math.prod(sizes)
    if c > FEW:
        return entries.as_channels(entries.mix(entries.as_rows(dy), weight, None, at, count), n, sizes)
    planes = _planes(dy)
    weight = weight.astype(planes.dtype, copy=False)
    out = np.zeros((c, count + 1), planes.dtype)
    for block, places in _blocks(at):
        share, places = weight[:, block], places.reshape(-1)
        for plane, target in zip(planes, out):
            np.add.at(target, places, (plane[block] * share).reshape(-1))
    return _images(out, n, sizes, dy.dtype)


def match(dy: Array, x: Array, at: Array) -> Array:
    """(T, M): the inner products over the channels of each point of dy and its pixels of x."""
    if x.shape[1] > FEW:
        return entries.match(entries.as_rows(dy), entries.as_rows(x), None, at)
    left, right = _planes(dy), _planes(x, 1)
    out = np.zeros(at.shape, left.dtype)
    for block, places in _blocks(at):
        total = out[:, block]
        for points, plane in zip(left, right):
            taken = plane.take(places, mode="wrap")
            np.multiply(taken, points[block], out=taken)
            total += taken
    return out.astype(dy.dtype, copy=False)


def flat_places(axes: list[list[Array]], sizes: Sizes, batch: int) -> Array:
    """(T, M): for each combination of a tap of each axis, the flat pixel of M points, -1 outside.

    Each tap is M whole numbers as floats; the points of an image follow each other. Pixels count through all images.
    A tap outside of its axis stands for a number so negative that every sum with it is negative too.
    """
    m, pixels = len(axes[0][0]), math.prod(sizes)
    kind, outside = (np.int32, -(2**29)) if batch * pixels < 2**29 else (np.int64, -(2**60))
    out = np.empty((math.prod(map(len, axes)), m), kind)
    first = np.repeat(np.arange(batch, dtype=kind) * kind(pixels), m // max(batch, 1))
    for start in range(0, m, BLOCK // 4):
        block = slice(start, start + BLOCK // 4)
        combined, stride = [first[block]], pixels
        for taps, n in zip(axes, sizes):
            stride //= max(n, 1)
            parts = [_steps(at[block], n, kind(stride), kind(outside)) for at in taps]
            combined = [flat + part for flat in combined for part in parts]
        for row, flat in zip(out, combined):
            np.maximum(flat, kind(-1), out=row[block])
    return out


def _steps(at: Array, n: int, stride: np.integer, outside: np.integer) -> Array:
    """`at * stride` as integers, `outside` where it is none of 0 to n - 1."""
    inside = at >= 0
    inside &= at < n
    with np.errstate(invalid="ignore"):  # numbers too large for integers, and NaN
        steps = at.astype(stride.dtype)
    steps *= stride
    if not inside.all():
        np.putmask(steps, ~inside, outside)
    return steps
