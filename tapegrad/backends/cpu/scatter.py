"""Kernels of `gather` and `scatter`, and of the `index_*` family: one index tensor, one dimension.

Functions named like an in-place method write into their first argument. Indices are checked here: numbers out of
range raise IndexError, which the operations turn into PyTorch's kind.
"""

from __future__ import annotations

import functools

import numpy as np

from ...errors import message
from .index import scatter_rows

Array = np.ndarray

# ---- one index for each element --------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=256)
def _ramp(n: int, step: int, trailing: int) -> Array:
    """0, step, 2 * step ... along a dimension that others follow."""
    return (np.arange(n) * step).reshape((n,) + (1,) * trailing)


def flat_places(shape: tuple[int, ...], dim: int, index: Array) -> Array:
    """Where `x[i][index[i, j, k]][k]` (dim = 1) lies in the flattened `x` of `shape`, for each element of `index`."""
    last, step = len(shape) - 1, 1
    places = index if index.dtype == np.intp else index.astype(np.intp)
    for i in range(last, dim, -1):
        step *= shape[i]
    if step != 1:
        places = places * step
    step = 1
    for i in range(last, -1, -1):
        if i != dim and index.shape[i] > 1:
            n = index.shape[i]
            places = places + (_ramp(n, step, last - i) if n <= 4096 else _ramp.__wrapped__(n, step, last - i))
        step *= shape[i]
    return places


_UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


def check_range(where: str, index: Array, n: int, kind: type = RuntimeError) -> None:
    """Refuse indices outside 0 to n - 1; read without sign, negative numbers are too large as well."""
    if index.size and np.maximum.reduce(index.view(_UNSIGNED[index.itemsize]), axis=None) >= n:
        wrong = index[(index < 0) | (index >= n)].reshape(-1)[0]
        text = message(f"{where}: index {wrong} is out of bounds for a dimension of size {n}", expected=f"0 to {n - 1}")
        raise kind(text)


def gather(x: Array, dim: int, index: Array) -> Array:
    """The element of each line along `dim` that `index` names."""
    check_range("gather", index, x.shape[dim] if x.ndim else 1)
    if x.ndim == 0:
        return x.reshape(1)[index]
    if x.flags.c_contiguous:
        return x.reshape(-1).take(flat_places(x.shape, dim, index))
    grid = np.ogrid[tuple(slice(0, n) for n in index.shape)]
    return x[tuple(index if i == dim else grid[i] for i in range(x.ndim))]


def _flat(out: Array) -> tuple[Array, bool]:
    """The elements of `out` as a vector, and whether it is a copy that must be written back."""
    if out.flags.c_contiguous:
        return out.reshape(-1), False
    return out.reshape(-1).copy(), True


def _scatter(out: Array, dim: int, index: Array, write) -> None:
    check_range("scatter", index, out.shape[dim] if out.ndim else 1)
    if out.ndim == 0:
        write(out.reshape(1), index.reshape(-1))
        return
    flat, copied = _flat(out)
    write(flat, flat_places(out.shape, dim, index).reshape(-1))
    if copied:
        out[...] = flat.reshape(out.shape)


def _source(source: Array, index: Array, dtype: np.dtype) -> Array:
    """The part of the source that the index uses, as a vector."""
    part = source[tuple(slice(0, n) for n in index.shape)]
    return part.reshape(-1).astype(dtype, copy=False)


def scatter(out: Array, dim: int, index: Array, source: Array) -> None:
    """Write each element of the source to the place in its line that `index` names."""
    values = _source(source, index, out.dtype)

    def write(flat: Array, places: Array) -> None:
        flat[places] = values

    _scatter(out, dim, index, write)


def scatter_value(out: Array, dim: int, index: Array, value: float) -> None:
    """Write one number to the places that `index` names."""

    def write(flat: Array, places: Array) -> None:
        flat[places] = value

    _scatter(out, dim, index, write)


def scatter_add(out: Array, dim: int, index: Array, source: Array) -> None:
    """Add each element of the source to the place in its line that `index` names."""
    values = _source(source, index, out.dtype)
    _scatter(out, dim, index, lambda flat, places: scatter_rows(flat, places, values))


_UFUNCS = {"sum": np.add, "mean": np.add, "prod": np.multiply, "amax": np.maximum, "amin": np.minimum}


def _neutral(reduce: str, dtype: np.dtype):
    """What a reduction starts from."""
    if reduce in ("sum", "mean", "prod"):
        return int(reduce == "prod")
    if dtype.kind in "fV":
        return -np.inf if reduce == "amax" else np.inf
    if dtype.kind == "b":
        return reduce == "amin"
    limits = np.iinfo(dtype)
    return limits.min if reduce == "amax" else limits.max


def scatter_reduce(out: Array, dim: int, index: Array, source: Array, reduce: str, include_self: bool) -> None:
    """Combine each element of the source with the place in its line that `index` names."""
    if reduce not in _UFUNCS:
        text = message("unknown reduction", got=repr(reduce), expected=", ".join(map(repr, _UFUNCS)))
        raise RuntimeError(text)
    narrow = out.dtype.kind == "V" or out.dtype == np.float16
    working = np.dtype(np.float32) if narrow else out.dtype
    if _of_rows(out, dim, index):
        _reduce_rows(out, dim, index, source, reduce, working, include_self)
        return
    values = _source(source, index, working)

    def write(flat: Array, places: Array) -> None:
        held = flat.astype(working)
        if not include_self:
            held[places] = _neutral(reduce, working)
        _UFUNCS[reduce].at(held, places, values)
        if reduce == "mean":
            counts = np.bincount(places, minlength=held.size) + int(include_self)
            counts = np.maximum(counts, 1)
            held = held // counts if working.kind in "iub" else held / counts.astype(working)
        flat[...] = held.astype(flat.dtype, copy=False)

    _scatter(out, dim, index, write)


def _of_rows(out: Array, dim: int, index: Array) -> bool:
    """Whether one index stands for a whole slice of `out`, of some size (`index_reduce` repeats it)."""
    if out.ndim < 2 or out.size < 16 * out.shape[dim] or index.size < 4096:
        return False
    others = [i for i in range(out.ndim) if i != dim]
    return all(index.strides[i] == 0 and index.shape[i] == out.shape[i] for i in others if out.shape[i] > 1)


MANY = 32  # slices with one target: more are reduced a target at a time


def _reduce_rows(
    out: Array, dim: int, index: Array, source: Array, reduce: str, working: np.dtype, include_self: bool
) -> None:
    """`scatter_reduce` of slices: the first ones of all targets at once, then the second ones, and so on."""
    check_range("scatter", index, out.shape[dim])
    ufunc = _UFUNCS[reduce]
    targets = np.moveaxis(index, dim, 0).reshape(index.shape[dim], -1)[:, 0]
    rows = np.moveaxis(source[tuple(slice(0, n) for n in index.shape)], dim, 0)
    table = np.moveaxis(out, dim, 0)
    held = table if table.dtype == working else table.astype(working)
    order = np.argsort(targets, kind="stable")
    ordered = targets[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    counts = np.diff(starts, append=len(ordered))
    which = ordered[starts]
    if not include_self:
        held[which] = _neutral(reduce, working)
    if counts.max() > MANY:
        for target, start, count in zip(which.tolist(), starts.tolist(), counts.tolist()):
            part = ufunc.reduce(rows[order[start : start + count]], 0, working)
            ufunc(held[target], part, out=held[target, ...])
    else:
        for k in range(counts.max()):
            there = counts > k
            at = which[there]
            held[at] = ufunc(held[at], rows[order[starts[there] + k]].astype(working, copy=False))
    if reduce == "mean":
        divisor = (counts + int(include_self)).reshape(-1, *(1,) * (held.ndim - 1))
        found = held[which]
        held[which] = found // divisor if working.kind in "iub" else found / divisor.astype(working)
    if held is not table:
        table[...] = held.astype(out.dtype)


# ---- one index for each slice ----------------------------------------------------------------------------------------


def index_select(x: Array, dim: int, index: Array) -> Array:
    """The slices along `dim` that `index` names."""
    n = x.shape[dim] if x.ndim else 1
    check_range("index_select", index, n, IndexError)
    if x.ndim == 0:
        return x.copy()
    return x.take(index.reshape(-1), dim)


def index_add(out: Array, dim: int, index: Array, source: Array, alpha: float) -> None:
    """Add slices of the source to the slices that `index` names."""
    check_range("index_add", index, out.shape[dim] if out.ndim else 1)
    if alpha != 1:
        source = source * np.asarray(alpha, source.dtype)
    if out.ndim == 0:
        out += source.reshape(())
        return
    scatter_rows(
        np.moveaxis(out, dim, 0), index.reshape(-1), np.moveaxis(source.reshape(_lines(out, dim, index)), dim, 0)
    )


def _lines(out: Array, dim: int, index: Array) -> tuple[int, ...]:
    return (*out.shape[:dim], index.size, *out.shape[dim + 1 :])


def index_copy(out: Array, dim: int, index: Array, source: Array) -> None:
    """Write slices of the source to the slices that `index` names."""
    check_range("index_copy", index, out.shape[dim] if out.ndim else 1, IndexError)
    if out.ndim == 0:
        out[...] = source.reshape(())
        return
    np.moveaxis(out, dim, 0)[index.reshape(-1)] = np.moveaxis(source.reshape(_lines(out, dim, index)), dim, 0)


def index_fill(out: Array, dim: int, index: Array, value) -> None:
    """Write one number to the slices that `index` names (negative numbers count from the end)."""
    n = out.shape[dim] if out.ndim else 1
    check_range("index_fill", np.where(index < 0, index + n, index), n, IndexError)
    if out.ndim == 0:
        out[...] = value
        return
    np.moveaxis(out, dim, 0)[index.reshape(-1)] = value
