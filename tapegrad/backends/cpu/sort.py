"""Scans, sorts and searches on NumPy arrays.

Note [Keys]. Sorting pairs of (value, position) as single unsigned 64-bit numbers, the value in the upper half, is
stable and runs in NumPy's vectorised sort: for rows of 512 float32 it took a quarter of the time of a stable `argsort`.
A float is made an unsigned number of the same order by flipping its sign bit, or all its bits if it is negative; NaN
comes last, as in PyTorch.
"""

from __future__ import annotations

import math

import numpy as np

from .halves import FLOAT32, wide
from .reduce import INT64, SHORT, like, ordered, take

KEYS_FROM, KEYS_SIZE = (
    48,
    1024,
)  # for shorter rows, or fewer elements, NumPy's stable argsort is faster than making keys

# ---- scans ----------------------------------------------------------------------------------------------------------


LINES = 256  # with so many lines, they are run along all at once, a step of all of them at a time


def _accumulate(
    ufunc: np.ufunc, x: np.ndarray, axis: int, work: np.dtype, dtype: np.dtype, reverse: bool = False
) -> np.ndarray:
    """`ufunc.accumulate` in the type `work`; for each line NumPy starts anew, which takes as long as 20 steps."""
    n, inner = x.shape[axis], math.prod(x.shape[axis + 1 :])
    if x.size < LINES * n or not n or (n > SHORT and inner < LINES // 4):
        back = (slice(None),) * axis + (slice(None, None, -1 if reverse else None),)
        return ufunc.accumulate(x[back], axis, work)[back].astype(dtype, order="C", copy=False)
    out = np.empty(x.shape, dtype)
    steps, results = np.moveaxis(x, axis, 0), np.moveaxis(out, axis, 0)
    first, *rest = range(n - 1, -1, -1) if reverse else range(n)
    held = steps[first].astype(work)
    results[first] = held
    for i in rest:
        ufunc(held, steps[i], out=held)
        results[i] = held
    return out


def _scan(reducer: np.ufunc, x: np.ndarray, axis: int, reverse: bool, dtype: np.dtype) -> np.ndarray:
    """Accumulate in double precision where the type is narrower, as PyTorch does."""
    if x.ndim == 0:
        return x.astype(dtype)
    work = np.dtype(np.float64) if dtype.kind not in "iubc" else dtype
    return _accumulate(reducer, x, axis, work, dtype, reverse)


def cumsum(x: np.ndarray, axis: int, reverse: bool, dtype: np.dtype | None) -> np.ndarray:
    """Running sums, from the end if `reverse`."""
    dtype = dtype or (INT64 if x.dtype.kind in "biu" else x.dtype)
    return _scan(np.add, x.astype(dtype, copy=False), axis, reverse, dtype)


def cumprod(x: np.ndarray, axis: int, reverse: bool, dtype: np.dtype | None) -> np.ndarray:
    """Running products, from the end if `reverse`."""
    dtype = dtype or (INT64 if x.dtype.kind in "biu" else x.dtype)
    return _scan(np.multiply, x.astype(dtype, copy=False), axis, reverse, dtype)


def logcumsumexp(x: np.ndarray, axis: int) -> np.ndarray:
    """Running `log(sum(exp(x)))`."""
    return x.copy() if x.ndim == 0 else like(ordered(np.logaddexp.accumulate(wide(x), axis)), x.dtype)


def cumulative_extreme(x: np.ndarray, axis: int, largest: bool) -> tuple[np.ndarray, np.ndarray]:
    """Running maximum or minimum and the position of its latest occurrence."""
    if x.ndim == 0 or x.size == 0:
        return x.copy(), np.zeros(x.shape, INT64)
    work = wide(x)
    values = _accumulate(np.maximum if largest else np.minimum, work, axis, work.dtype, work.dtype)
    new = (work == values) | (work != work)
    steps = np.arange(x.shape[axis]).reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    places = _accumulate(np.maximum, np.where(new, steps, 0), axis, INT64, INT64)
    return like(ordered(values), x.dtype), ordered(places)


def shift(x: np.ndarray, axis: int, by: int, fill: float) -> np.ndarray:
    """Move `by` places along an axis; what comes in is `fill`."""
    out = np.full(x.shape, fill, x.dtype)
    n = x.shape[axis]
    if abs(by) < n:
        head = (slice(None),) * axis
        to, source = (slice(by, None), slice(None, n - by)) if by >= 0 else (slice(None, by), slice(-by, None))
        out[(*head, to)] = x[(*head, source)]
    return out


def recurrence(a: np.ndarray, b: np.ndarray, axis: int, reverse: bool) -> np.ndarray:
    """`s[i] = b[i] + a[i] * s[i - 1]` (`s[i + 1]` if `reverse`), in double precision."""
    d = b.dtype
    work = np.promote_types(d, np.float64) if d.kind in "fc" else np.dtype(np.float64)
    a, b = (np.moveaxis(v, axis, 0) for v in (a, b))
    if reverse:
        a, b = a[::-1], b[::-1]
    shape, n = b.shape, b.shape[0]
    if not b.size:
        return np.zeros(np.moveaxis(b, 0, axis).shape, d)
    lines = (v.astype(work, order="C").reshape(n, -1) for v in (a, b))
    found = _recurrence(*lines).reshape(shape)
    return np.moveaxis(found[::-1] if reverse else found, 0, axis).astype(d, order="C")


def _recurrence(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The same down the columns of (N, L).

    Few long columns are cut into pieces that are run along all at once, each from 0; what the end of a piece hands to
    the next is a recurrence over the pieces, and is added in the end, times the product of the factors up to there.
    """
    n, count = b.shape
    if n <= SHORT or count >= LINES:
        out = b  # which the caller has made
        for i in range(1, n):
            out[i] += a[i] * out[i - 1]
        return out
    length = math.isqrt(n)
    pieces = -(-n // length)
    cut = []
    for v in (a, b):  # (length, pieces * L)
        padded = np.zeros((pieces * length, count), v.dtype)
        padded[:n] = v
        cut.append(np.ascontiguousarray(padded.reshape(pieces, length, count).swapaxes(0, 1)).reshape(length, -1))
    factors, own = cut
    for i in range(1, length):
        own[i] += factors[i] * own[i - 1]
        factors[i] *= factors[i - 1]
    ends = _recurrence(factors[-1].reshape(pieces, count), own[-1].reshape(pieces, count).copy())
    own = own.reshape(length, pieces, count)
    own[:, 1:] += factors.reshape(length, pieces, count)[:, 1:] * ends[:-1]
    return np.ascontiguousarray(own.swapaxes(0, 1)).reshape(-1, count)[:n]


# ---- sorts ----------------------------------------------------------------------------------------------------------


def _keys(x: np.ndarray, descending: bool) -> np.ndarray | None:
    """Values along the last axis as unsigned numbers with their position in the lower half: Note [Keys]."""
    d = x.dtype
    if x.shape[-1] < KEYS_FROM or x.size < KEYS_SIZE:
        return None
    if d.kind == "b" or (d.kind in "iu" and d.itemsize <= 4):
        upper = (x.astype(np.int64) + (1 << 31)).astype(np.uint64) if d.kind == "i" else x.astype(np.uint64)
    elif d == INT64 and int(x.max()) - (low := int(x.min())) < 1 << 32:
        upper = (x - low).view(np.uint64)
    elif d == FLOAT32:
        bits = (x + np.float32(0)).view(np.uint32)  # -0 becomes 0
        flip = (bits.view(np.int32) >> 31).view(np.uint32) | np.uint32(0x80000000)
        bits = np.where(x != x, np.uint32(0xFFFFFFFF), bits ^ flip)
        upper = bits.astype(np.uint64)
    else:
        return None
    if descending:
        upper ^= np.uint64(0xFFFFFFFF)
    upper <<= np.uint64(32)
    upper |= np.arange(x.shape[-1], dtype=np.uint64)
    return upper


def _positions(keys: np.ndarray) -> np.ndarray:
    return (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)


def argsort(x: np.ndarray, axis: int, descending: bool) -> np.ndarray:
    """Positions that sort along an axis, equal elements in their order; NaN counts as the largest."""
    if x.ndim == 0:
        return np.zeros((), INT64)
    x = wide(x).swapaxes(axis, -1)
    n = x.shape[-1]
    keys = _keys(x, descending)
    if keys is not None:
        keys.sort(-1)
        found = _positions(keys)
    elif descending:  # from the back, so that equal elements keep their order
        found = n - 1 - x[..., ::-1].argsort(-1, "stable")[..., ::-1]
    else:
        found = x.argsort(-1, "stable")
    return np.ascontiguousarray(found.swapaxes(axis, -1))


def sort(x: np.ndarray, axis: int, descending: bool) -> tuple[np.ndarray, np.ndarray]:
    """Sorted values and the positions they came from."""
    index = argsort(x, axis, descending)
    return take(x, index, axis), index


def topk(x: np.ndarray, k: int, axis: int, largest: bool) -> tuple[np.ndarray, np.ndarray]:
    """The `k` largest or smallest along an axis, in order, and their positions; NaN counts as the largest."""
    if x.ndim == 0:
        return x.copy(), np.zeros((), INT64)
    rows = wide(x).swapaxes(axis, -1)
    n = rows.shape[-1]
    keys = _keys(rows, largest)
    if keys is not None:
        if 0 < k < n:
            keys.partition(k - 1, -1)
            keys = keys[..., :k]
        keys.sort(-1)
        index = _positions(keys[..., :k])
    elif 0 < 4 * k < n and rows.size >= KEYS_SIZE:
        index = rows.argpartition(n - k if largest else k, -1)
        index = np.sort(index[..., n - k :] if largest else index[..., :k], -1)
        index = take(index, argsort(take(rows, index, rows.ndim - 1), rows.ndim - 1, largest), rows.ndim - 1)
    else:
        index = argsort(rows, rows.ndim - 1, largest)[..., :k]
    index = np.ascontiguousarray(index.swapaxes(axis, -1))
    return take(x, index, axis), index


# ---- one element of the order ---------------------------------------------------------------------------------------


def kth(x: np.ndarray, k: int, axis: int, keepdim: bool) -> tuple[np.ndarray, np.ndarray]:
    """The `k`-th smallest (from 1) along an axis and its position."""
    if x.ndim == 0:
        return x.copy(), np.zeros((), INT64)
    rows = wide(x).swapaxes(axis, -1)
    keys = _keys(rows, False)
    if keys is not None:
        keys.partition(k - 1, -1)
        index = _positions(keys[..., k - 1 : k])
    else:
        index = rows.argsort(-1, "stable")[..., k - 1 : k]
    return _chosen(x, index.swapaxes(axis, -1), axis, keepdim)


def _chosen(x: np.ndarray, index: np.ndarray, axis: int, keepdim: bool) -> tuple[np.ndarray, np.ndarray]:
    """Values and positions, the axis dropped unless `keepdim`."""
    index = np.ascontiguousarray(index)
    values = take(x, index, axis)
    return (values, index) if keepdim else (values.squeeze(axis), index.squeeze(axis))


def median(x: np.ndarray, axis: int, keepdim: bool, skip_nan: bool) -> tuple[np.ndarray, np.ndarray]:
    """The lower median along an axis and its position; a NaN is the median unless it is skipped."""
    if x.ndim == 0:
        return x.copy(), np.zeros((), INT64)
    n = x.shape[axis]
    missing = x != x if x.dtype.kind not in "biu" else None
    if missing is None or not missing.any():
        return kth(x, (n + 1) // 2, axis, keepdim)
    order = argsort(x, axis, False)
    held = n - np.add.reduce(missing, axis, INT64, None, True)
    middle = np.maximum((held - 1) // 2, 0)
    if not skip_nan:
        middle = np.where(held < n, held, middle)
    return _chosen(x, take(order, middle, axis), axis, keepdim)


def mode(x: np.ndarray, axis: int, keepdim: bool) -> tuple[np.ndarray, np.ndarray]:
    """The most frequent value along an axis, the smallest if there are several, and its last position."""
    if x.ndim == 0:
        return x.copy(), np.zeros((), INT64)
    values, order = (v.swapaxes(axis, -1) for v in sort(x, axis, False))
    steps = np.arange(values.shape[-1])
    new = np.ones(values.shape, bool)
    new[..., 1:] = values[..., 1:] != values[..., :-1]
    run = steps - np.maximum.accumulate(np.where(new, steps, 0), -1)  # how many equal ones came before
    last = run.argmax(-1)[..., None] if values.size else np.zeros((*values.shape[:-1], 1), INT64)
    return _chosen(x, take(order, last, order.ndim - 1).swapaxes(axis, -1), axis, keepdim)


INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


def quantile(x: np.ndarray, q: np.ndarray, interpolation: str, skip_nan: bool) -> tuple[np.ndarray, ...]:
    """Quantiles along the last axis, (..., n) and (m,) to (..., m).

    Returns the values, the positions below and above each, and two constants of the weight of the latter, which is
    `q * scale - offset` if interpolation is linear.
    """
    axis, last = x.ndim - 1, x.shape[-1] - 1
    order = argsort(x, axis, False)
    missing = np.add.reduce(x != x, -1, INT64, None, True)
    scale = np.maximum(last - missing, 0) if skip_nan else np.where(missing > 0, 0, last)
    scale = scale.astype(x.dtype)
    ranks = q * scale
    if not skip_nan:
        ranks = np.where(missing > 0, x.dtype.type(last), ranks)  # NaN is last in order
    if interpolation in ("lower", "higher", "nearest"):
        ranks = {"lower": np.floor, "higher": np.ceil, "nearest": np.rint}[interpolation](ranks)
    floor = np.floor(ranks)
    weight = np.full_like(ranks, 0.5) if interpolation == "midpoint" else ranks - floor
    below = take(order, floor.astype(INT64), axis)
    above = take(order, np.ceil(ranks).astype(INT64), axis)
    low, high = take(x, below, axis), take(x, above, axis)
    if interpolation in ("linear", "midpoint"):
        step = high - low
        low = np.where(weight < 0.5, low + weight * step, high - step * (1 - weight))
    offset = np.where(scale > 0, floor, 0).astype(x.dtype)
    return low.astype(x.dtype, copy=False), below, above, scale, offset


# ---- sets and search ------------------------------------------------------------------------------------------------


def unique(x: np.ndarray, inverse: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The sorted distinct values, which of them each element is (if `inverse`), and how often each occurs."""
    line = x.reshape(-1)
    if not inverse:
        return runs(np.sort(wide(line)).astype(x.dtype, copy=False), False)
    order = argsort(line, 0, False)
    values, group, counts = runs(line[order])
    place = np.empty(line.shape, INT64)
    place[order] = group
    return values, place.reshape(x.shape), counts


def unique_rows(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The distinct slices along the first axis in lexicographic order."""
    if not len(x):
        return runs(x)
    order = np.lexsort(wide(x.reshape(len(x), -1)).T[::-1])
    values, group, counts = runs(x[order])
    inverse = np.empty(len(x), INT64)
    inverse[order] = group
    return values, inverse, counts


def runs(x: np.ndarray, inverse: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first slice of each run of equal slices along axis 0, their runs (if `inverse`), and their lengths."""
    n = len(x)
    new = np.ones(n, bool)
    if n > 1:
        changed = x[1:] != x[:-1]
        new[1:] = changed if x.ndim == 1 else changed.reshape(n - 1, -1).any(1)
    starts = np.flatnonzero(new)
    group = np.cumsum(new, dtype=INT64) - 1 if inverse else starts[:0]
    return x[starts], group, np.diff(starts, append=n).astype(INT64, copy=False)


def searchsorted(edges: np.ndarray, values: np.ndarray, right: bool) -> np.ndarray:
    """Where `values` would be put into the sorted last axis of `edges`: one sequence, or one for each row of values."""
    if edges.ndim == 1:
        return np.searchsorted(wide(edges), wide(values), "right" if right else "left").astype(INT64)
    n = edges.shape[-1]
    low = np.zeros(values.shape, INT64)
    high = np.full(values.shape, n, INT64)
    for _ in range(int(n).bit_length()):
        middle = (low + high) // 2
        found = np.take_along_axis(edges, np.minimum(middle, n - 1), -1)
        go = ~(found > values if right else found >= values) & (low < high)
        low, high = np.where(go, middle + 1, low), np.where(go, high, middle)
    return low
