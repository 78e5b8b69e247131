"""Weighted sums of rows: the kernels of grid sampling and of bags of embeddings.

A list of entries (target, source, weight) is a sparse matrix: `mix` multiplies it with a matrix of rows, `match` gives
the gradient of the weights. Entries come in T taps of M; in a tap without sources (or targets) entry m reads (or
writes) row m. A source or target of -1 is none.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .halves import wide
from .index import scatter_rows

Array = np.ndarray


BLOCK = 65536  # numbers of rows that are worked on at a time, tap after tap: they stay in the cache


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
    table = wide(x)
    out = np.zeros((count, x.shape[1]), table.dtype)
    if source is not None and target is not None and len(source) == 1:
        if _many(source, count * len(table)) and np.isfinite(table).all():
            return _matrix(weight, source[0], target[0], count, table).astype(x.dtype, copy=False)
        source, target, weight = _as_taps(source, target, weight, count)
    taps = source if source is not None else target
    assert taps is not None
    if not len(table) or not out.size:
        return out.astype(x.dtype, copy=False)
    if weight is not None:
        weight = weight.astype(table.dtype, copy=False)
    whole = target is not None and x.shape[1] > 8  # rows that are added somewhere are better sorted all at once
    for block in _blocks(taps.shape[1], 0 if whole else x.shape[1]):
        for t in range(len(taps)):
            rows = _taken(table, None if source is None else source[t], block)
            if weight is not None:
                factor = weight[t, block, None]
                rows = np.multiply(rows, factor, out=None if source is None else rows)
            if target is None:
                out[block] += rows
            else:
                _add(out, target[t, block], rows)
    return out.astype(x.dtype, copy=False)


def _many(places: Array, pairs: int) -> bool:
    """Whether one tap has so many entries that a matrix of all pairs of a target and a source is no larger."""
    return len(places) == 1 and places.size >= 4096 and 0 < pairs <= 2 * places.size


def _matrix(weight: Array | None, source: Array, target: Array, count: int, x: Array) -> Array:
    """The sparse matrix as a dense one, times x: a tenth of the time of entry by entry where most pairs are there."""
    there = (source >= 0) & (target >= 0)
    factors = None if weight is None else weight[0]
    if not there.all():
        source, target = source[there], target[there]
        factors = None if factors is None else factors[there]
    pairs = target.astype(np.intp, copy=False) * len(x) + source
    return np.bincount(pairs, factors, count * len(x)).reshape(count, len(x)).astype(x.dtype) @ x


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
    left, right = wide(y), wide(x)
    taps = source if source is not None else target
    assert taps is not None
    out = np.zeros(taps.shape, left.dtype)
    if source is not None and target is not None and _many(source, len(left) * len(right)):
        found = (left @ right.T)[target, source]
        return np.where((target < 0) | (source < 0), 0, found).astype(y.dtype, copy=False)
    if len(left) and len(right):
        for block in _blocks(taps.shape[1], x.shape[1]):
            for t in range(len(taps)):
                a = _taken(left, None if target is None else target[t], block)
                b = _taken(right, None if source is None else source[t], block)
                np.einsum("md,md->m", a, b, out=out[t, block])
    return out.astype(y.dtype, copy=False)


def bag_maximum(x: Array, source: Array, starts: Array, ends: Array) -> tuple[Array, Array]:
    """(B, D): the maximum over the rows `source[starts[b]:ends[b]]` of x, 0 for none; and which row it is, -1."""
    count, width = len(starts), x.shape[1]
    out, found = np.zeros((count, width), x.dtype), np.full((count, width), -1, np.int64)
    bags = np.repeat(np.arange(count), ends - starts)
    there = np.flatnonzero(source[: len(bags)] >= 0)
    source, bags = source[there], bags[there]
    if not len(source):
        return out, found
    first = np.flatnonzero(np.concatenate(([True], bags[1:] != bags[:-1])))
    sizes = np.diff(first, append=len(bags))
    if sizes.max() * len(first) <= 2 * len(bags) and not np.isnan(x.max()):
        out[bags[first]], found[bags[first]] = _maximum_by_taps(x, source, first, sizes)
        return out, found
    rows = x.take(source, 0)  # (K, D)
    best = np.maximum.reduceat(rows, first, 0)
    each = np.repeat(best, sizes, 0)
    hit = (rows == each) | (rows != rows)
    at = np.minimum.reduceat(np.where(hit, np.arange(len(rows))[:, None], len(rows)), first, 0)
    out[bags[first]], found[bags[first]] = best, source[at]
    return out, found


def _maximum_by_taps(x: Array, source: Array, first: Array, sizes: Array) -> tuple[Array, Array]:
    """`bag_maximum` of bags of similar sizes without NaN: the first entry of every bag, then the second, ..."""
    best = np.empty((len(first), x.shape[1]), x.dtype)
    found = np.empty(best.shape, np.int64)
    most = int(sizes.max())
    kind = np.int16 if most < 32768 else np.int32
    for block in _blocks(len(first), 4 * x.shape[1]):
        starts, last = first[block], sizes[block] - 1
        held, tap = x.take(source[starts], 0), np.zeros(found[block].shape, kind)
        for t in range(1, most):
            rows = x.take(source[starts + np.minimum(t, last)], 0)  # a bag's last entry again does no harm
            better = (rows > held).astype(kind)
            better *= kind(t)
            np.maximum(tap, better, out=tap)
            np.maximum(held, rows, out=held)
        best[block], found[block] = held, source[starts[:, None] + tap]
    return best, found


def as_rows(x: Array) -> Array:
    """(N, C, *) as rows of channels, (N *, C)."""
    return np.ascontiguousarray(np.moveaxis(x, 1, -1)).reshape(-1, x.shape[1])


def as_channels(rows: Array, n: int, sizes: tuple[int, ...]) -> Array:
    """The inverse of `as_rows`, contiguous."""
    return np.ascontiguousarray(np.moveaxis(rows.reshape(n, *sizes, rows.shape[1]), -1, 1))
