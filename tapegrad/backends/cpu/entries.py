"""Weighted sums of rows: the kernels of grid sampling and of bags of embeddings.

A list of entries (target, source, weight) is a sparse matrix: `mix` multiplies it with a matrix of rows, `match` gives
the gradient of the weights. Entries come in T taps of M; in a tap without sources (or targets) entry m reads (or
writes) row m. A source or target of -1 is none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from .elementwise import HALVES
from .index import scatter_rows

Array = np.ndarray


BLOCK = 65536  # numbers of rows that are worked on at a time, tap after tap: they stay in the cache


def _wide(x: Array) -> Array:
    return x.astype(np.float32) if x.dtype in HALVES else x


def _blocks(m: int, width: int) -> Iterator[slice]:
    """Ranges of m rows of some width; all of them, if that is 0."""
    step = max(1, BLOCK // width) if width else max(m, 1)
    for start in range(0, m, step):
        yield slice(start, min(start + step, m))


def _taken(x: Array, places: Array | None, block: slice) -> Array:
    """The rows of x at `places[block]` (`x[block]`, if None), zeros where these are -1."""
    if places is None:
        return x[block]
    places = places[block].astype(np.intp, copy=False)
    rows = x.take(places, 0)
    outside = places < 0
    if outside.any():
        rows[outside] = 0
    return rows


def mix(x: Array, weight: Array | None, source: Array | None, target: Array | None, count: int) -> Array:
    """(count, D): the sum of `weight[t, m] * x[source[t, m]]` over the entries, at row `target[t, m]`."""
    wide = _wide(x)
    out = np.zeros((count, x.shape[1]), wide.dtype)
    if source is not None and target is not None and len(source) == 1:
        source, target, weight = _as_taps(source, target, weight, count)
    taps = source if source is not None else target
    assert taps is not None
    if not len(wide) or not out.size:
        return out.astype(x.dtype, copy=False)
    if weight is not None:
        weight = weight.astype(wide.dtype, copy=False)
    whole = target is not None and x.shape[1] > 8  # rows that are added somewhere are better sorted all at once
    for block in _blocks(taps.shape[1], 0 if whole else x.shape[1]):
        for t in range(len(taps)):
            rows = _taken(wide, None if source is None else source[t], block)
            if weight is not None:
                factor = weight[t, block, None]
                rows = np.multiply(rows, factor, out=None if source is None else rows)
            if target is None:
                out[block] += rows
            else:
                _add(out, target[t, block], rows)
    return out.astype(x.dtype, copy=False)


def _as_taps(source: Array, target: Array, weight: Array | None, count: int) -> tuple:
    """Entries in the order of their targets, about as many for each, as taps: one entry of each target at a time."""
    order = target[0]
    if len(order) < 2 or order[0] < 0 or (order[1:] < order[:-1]).any():
        return source, target, weight
    starts = np.searchsorted(order, np.arange(count + 1))
    most = int(np.diff(starts).max(initial=0))
    if most * count > 2 * len(order):
        return source, target, weight
    at = starts[:-1] + np.arange(most)[:, None]
    there = at < starts[1:]
    at = np.where(there, at, 0)
    weight = None if weight is None else np.where(there, weight[0][at], 0)
    return np.where(there, source[0][at], -1), None, weight


def _add(out: Array, target: Array, rows: Array) -> None:
    """`out[target] += rows`; sorted targets with rows of some width are summed in place of being added one by one."""
    outside = target < 0
    if outside.any():
        kept = np.flatnonzero(~outside)
        target, rows = target[kept], rows[kept]
    if rows.shape[1] <= 8:
        width = rows.shape[1]
        at = target.astype(np.intp, copy=False)
        at = at if width == 1 else (at[:, None] * width + np.arange(width)).reshape(-1)
        np.add.at(out.reshape(-1), at, rows.reshape(-1))
    elif len(target) > 1 and (target[1:] >= target[:-1]).all():
        starts = np.flatnonzero(np.concatenate(([True], target[1:] != target[:-1])))
        out[target[starts]] += np.add.reduceat(rows, starts, 0)
    else:
        scatter_rows(out, target, rows)


def match(y: Array, x: Array, target: Array | None, source: Array | None) -> Array:
    """(T, M): the inner products of the rows of y and x that each entry names."""
    left, right = _wide(y), _wide(x)
    taps = source if source is not None else target
    assert taps is not None
    out = np.zeros(taps.shape, left.dtype)
    if len(left) and len(right):
        for block in _blocks(taps.shape[1], x.shape[1]):
            for t in range(len(taps)):
                a = _taken(left, None if target is None else target[t], block)
                b = _taken(right, None if source is None else source[t], block)
                np.einsum("md,md->m", a, b, out=out[t, block])
    return out.astype(y.dtype, copy=False)


def flat_places(axes: list[list[Array]], sizes: tuple[int, ...], batch: int) -> Array:
    """(T, M): for each combination of a tap of each axis, the flat pixel of M points, -1 outside.

    Each tap is M whole numbers as floats; the points of an image follow each other. Pixels count through all images.
    """
    m, pixels = len(axes[0][0]), math.prod(sizes)
    kind = np.int32 if batch * pixels < 2**31 else np.int64
    out = np.empty((math.prod(map(len, axes)), m), kind)
    each = max(m // max(batch, 1), 1)
    for block in _blocks(m, 4):
        combined: list[tuple[Array, Any]] = [
            (np.arange(block.start, block.stop, dtype=kind) // each * pixels, np.True_)
        ]
        stride = pixels
        for taps, n in zip(axes, sizes):
            stride //= max(n, 1)
            parts = []
            for at in taps:
                ok = (at[block] >= 0) & (at[block] < n)
                parts.append((np.where(ok, at[block], 0).astype(kind) * kind(stride), ok))
            combined = [(flat + place, ok & there) for flat, ok in combined for place, there in parts]
        for row, (flat, ok) in zip(out, combined):
            row[block] = flat if ok.all() else np.where(ok, flat, -1)
    return out


def bag_maximum(x: Array, source: Array, starts: Array, ends: Array) -> tuple[Array, Array]:
    """(B, D): the maximum over the rows `source[starts[b]:ends[b]]` of x, 0 for none; and which row it is, -1."""
    count, width = len(starts), x.shape[1]
    out, found = np.zeros((count, width), x.dtype), np.full((count, width), -1, np.int64)
    bags = np.repeat(np.arange(count), ends - starts)
    there = np.flatnonzero(source[: len(bags)] >= 0)
    source, bags = source[there], bags[there]
    if not len(source):
        return out, found
    rows = x.take(source, 0)  # (K, D)
    first = np.flatnonzero(np.concatenate(([True], bags[1:] != bags[:-1])))
    best = np.maximum.reduceat(rows, first, 0)
    each = np.repeat(best, np.diff(first, append=len(bags)), 0)
    hit = (rows == each) | (rows != rows)
    at = np.minimum.reduceat(np.where(hit, np.arange(len(rows))[:, None], len(rows)), first, 0)
    out[bags[first]], found[bags[first]] = best, source[at]
    return out, found


def as_rows(x: Array) -> Array:
    """(N, C, *) as rows of channels, (N *, C)."""
    return np.ascontiguousarray(np.moveaxis(x, 1, -1)).reshape(-1, x.shape[1])


def as_channels(rows: Array, n: int, sizes: tuple[int, ...]) -> Array:
    """The inverse of `as_rows`, contiguous."""
    return np.ascontiguousarray(np.moveaxis(rows.reshape(n, *sizes, rows.shape[1]), -1, 1))
