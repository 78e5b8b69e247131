"""Indexing kernels: rows taken, written, and added up where several go to one place. Arrays in, arrays out.

`scatter_rows` is the one to know: the gradient of every kind of integer indexing (rows of an embedding, `x[i]`,
`gather`) adds rows that may share a target.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ... import codegen
from ...errors import message
from .memory import owner_of

Array = np.ndarray


# ---- memory ---------------------------------------------------------------------------------------------------------


def shares(found: Array, x: Array) -> bool:
    """Whether `found`, just made from `x` by NumPy, is a view of it and not a copy."""
    base = found.base
    return (base is not None and (base is x or base is x.base)) or found is x


def expand(x: Array, shape: tuple[int, ...]) -> Array:
    """A writable view of `x` in which dimensions of size 1, and new leading ones, are repeated with stride 0."""
    if x.shape == shape:
        return x.view()
    lead = len(shape) - x.ndim
    steps = [0] * lead + [s if n == m else 0 for s, n, m in zip(x.strides, x.shape, shape[lead:])]
    if x.flags.c_contiguous and x.size:
        return np.ndarray(shape, x.dtype, x, 0, steps)
    return as_strided(x, shape, steps)


def copy_keeping_order(x: Array) -> Array:
    """A copy with the same order of the dimensions in memory (row-major if elements are repeated)."""
    if x.flags.c_contiguous or any(s == 0 and n > 1 for s, n in zip(x.strides, x.shape)):
        return x.copy()
    return x.copy("K")


def strided(x: Array, shape: tuple[int, ...], steps: tuple[int, ...]) -> Array:
    """A writable view that starts where `x` starts; `steps` in bytes."""
    if x.flags.c_contiguous and x.size and 0 not in shape:
        return np.ndarray(shape, x.dtype, x, 0, steps)
    return as_strided(x, shape, steps)


def restride(x: Array, size: tuple[int, ...], stride: tuple[int, ...], offset: int) -> Array:
    """A view of the memory that `x` lives in, all counted in elements from its beginning."""
    owner, each = owner_of(x), x.itemsize
    last = offset + sum((n - 1) * s for n, s in zip(size, stride))
    if 0 not in size and (last + 1) * each > owner.nbytes:
        text = message(
            "as_strided: the view would leave the memory of the tensor",
            got=f"size {list(size)}, stride {list(stride)}, offset {offset}: element {last}",
            expected=f"elements 0 to {owner.nbytes // each - 1}",
        )
        raise RuntimeError(text)
    flat = owner if owner.flags.c_contiguous else as_strided(owner, (owner.size,), (owner.itemsize,))
    flat = flat.reshape(-1).view(np.uint8)[offset * each :] if 0 not in size else np.empty(0, np.uint8)
    steps = tuple(s * each for s in stride)
    if 0 in size:
        return np.empty(size, x.dtype)
    return np.ndarray(size, x.dtype, flat, 0, steps)


def _places(geometry: tuple) -> Array:
    """The number in memory of each element of a tensor of a given shape, stride and offset."""
    shape, stride, offset = geometry
    places = np.full(shape, offset, np.intp)
    for i, (n, s) in enumerate(zip(shape, stride)):
        places += (np.arange(n) * s).reshape((n,) + (1,) * (len(shape) - i - 1))
    return places


def element_numbers(target: tuple, source: tuple) -> Array:
    """For each element of one layout, which element (in row-major order) of another it is; -1 where none."""
    have, want = _places(source), _places(target)
    numbers = np.full(max(have.max(initial=0), want.max(initial=0)) + 1, -1, np.intp)
    numbers[have.reshape(-1)] = np.arange(have.size)
    return numbers[want]


def through_storage(x: Array, source: tuple, target: tuple, add: bool = True) -> Array:
    """Put `x`, laid out as `source`, into memory (adding what meets), and read it as `target`.

    Where the elements read share memory with each other, `add` divides among them, so that writing and reading are
    adjoint to each other.
    """
    into, out = _places(source), _places(target)
    memory = np.zeros(max(into.max(initial=0), out.max(initial=0)) + 1, x.dtype)
    if add:
        np.add.at(memory, into.reshape(-1), x.reshape(-1))
        counts = np.bincount(out.reshape(-1), minlength=memory.size)
        return memory[out] / counts[out].astype(x.real.dtype) if counts.max(initial=0) > 1 else memory[out]
    counts = np.bincount(into.reshape(-1), minlength=memory.size)
    if counts.max(initial=0) > 1:
        np.add.at(memory, into.reshape(-1), x.reshape(-1))
        memory /= np.maximum(counts, 1).astype(x.real.dtype)
    else:
        memory[into.reshape(-1)] = x.reshape(-1)
    return memory[out]


# ---- rows that are added up ------------------------------------------------------------------------------------------


def scatter_rows(out: Array, index: Array, rows: Array) -> None:
    """`out[index[i]] += rows[i]` for all i; `index` is 1-D without negative numbers, and may repeat.

    `np.add.at` has a fast loop for flat arrays only (3 ns an element against 18, measured), so rows are flattened.
    Distinct targets are assigned (1 ns). Few targets of long rows are sorted and summed one target after the other
    (1 ns an element, 4 us a target). A generated kernel takes 0.1 to 0.4 ns an element.
    """
    n, height = index.size, out.shape[0]
    if n == 0 or out.size == 0:
        return
    if out.dtype.kind in "Vb" or out.dtype == np.float16:
        wide = np.zeros(out.shape, np.int64 if out.dtype.kind == "b" else np.float32)
        scatter_rows(wide, index, rows.astype(wide.dtype))
        wide += out.astype(wide.dtype)
        out[...] = wide.astype(out.dtype)
        return
    index = index.astype(np.intp, copy=False)
    flat = rows.reshape(n, -1)
    width = flat.shape[1]
    target = out if out.flags.c_contiguous else np.zeros(out.shape, out.dtype)
    table = target.reshape(height, width)
    if _added(table, index, flat):
        pass
    elif n <= height and n * width > 4096 and np.bincount(index, minlength=height).max() == 1:
        table[index] += flat
    elif width >= 64 and n * width > 2000 * min(height, n):
        _add_segments(table, index, flat)
    else:
        if width > 1:
            index = (index[:, None] * width + np.arange(width)).reshape(-1)
        np.add.at(table.reshape(-1), index, flat.reshape(-1).astype(out.dtype, copy=False))
    if target is not out:
        out += target


def _added(table: Array, index: Array, rows: Array) -> bool:
    """Do it by a generated kernel, if there is one for such arrays."""
    real = {"f": "float", "d": "double"}.get(table.dtype.char)
    if real is None or rows.dtype != table.dtype or rows.shape[1] < 4 or rows.size < 1024:
        return False
    if not codegen.jit.available():
        return False
    kernel = codegen.row_sums.add_rows(real, codegen.jit.lanes(real))
    if kernel is None:
        return False
    if np.maximum.reduce(index.view(np.uint64)) >= len(table):
        raise IndexError(f"a row number is out of bounds for {len(table)} rows")
    (n, width), index, rows = rows.shape, np.ascontiguousarray(index), np.ascontiguousarray(rows)
    turn = max(1, (1 << 17) // (n * 64)) * 64  # columns: whole cache lines, and 30 us or more
    kernel(*(a.__array_interface__["data"][0] for a in (table, index, rows)), n, width, turn)
    return True


def _add_segments(table: Array, index: Array, rows: Array) -> None:
    """`table[index[i]] += rows[i]`, one target after the other."""
    order = np.argsort(index, kind="stable")
    ordered = index[order]
    starts = [0, *(np.flatnonzero(ordered[1:] != ordered[:-1]) + 1).tolist()]
    for target, first, end in zip(ordered[starts].tolist(), starts, [*starts[1:], len(ordered)]):
        table[target] += np.add.reduce(rows[order[first:end]], axis=0, dtype=table.dtype)


def add_at(shape: tuple[int, ...], key: tuple, g: Array) -> Array:
    """Zeros of `shape`, with `g` added at the places that `key` (arrays, masks, full slices) picks."""
    out = np.zeros(shape, g.dtype)
    if all(k.__class__ is slice or k.dtype.kind == "b" for k in key):
        out[key] = g  # masks pick each place once
    else:
        add_into(out, key, g)
    return out


def add_into(out: Array, key: tuple, g: Array) -> None:
    """Add `g`, of the shape of `out[key]`, at the places that `key` picks."""
    if g.size < 2048 and g.dtype == out.dtype and out.dtype.kind == "f" and out.itemsize > 2:
        np.add.at(out, key, g)  # 18 ns an element, where what follows takes 50 us before the first
        return
    key = _without_masks(key)
    places = [i for i, k in enumerate(key) if k.__class__ is not slice]
    first, count = places[0], len(places)
    if places[-1] - first != count - 1:  # arrays with a slice between them
        np.add.at(out, key, g)
        return
    arrays = np.broadcast_arrays(*(key[i] for i in places))
    sizes = out.shape[first : first + count]
    rank = arrays[0].ndim
    index = _flat_index(arrays, sizes)
    if first == 0:
        rows = g.reshape(index.size, *out.shape[count:])
        if out.flags.c_contiguous:
            scatter_rows(out.reshape(math.prod(sizes), *out.shape[count:]), index, rows)
            return
    else:  # bring the indexed dimensions to the front
        rows = np.moveaxis(g, range(first, first + rank), range(rank))
        rows = rows.reshape(index.size, *rows.shape[rank:])
    rest = out.shape[:first] + out.shape[first + count :]
    moved = np.zeros((math.prod(sizes), *rest), out.dtype)
    scatter_rows(moved, index, rows)
    moved = np.moveaxis(moved.reshape(*sizes, *rest), range(count), range(first, first + count))
    np.add(out, moved, out=out)


def _without_masks(key: tuple) -> tuple:
    """The key with masks written as arrays of integers."""
    found: list = []
    for k in key:
        if k.__class__ is not slice and k.dtype.kind == "b":
            found.extend(k.nonzero())
        else:
            found.append(k)
    return tuple(found)


def _flat_index(arrays: list[Array], sizes: tuple[int, ...]) -> Array:
    """Indices of several dimensions as one index of these dimensions joined."""
    flat = 0
    for a, n in zip(arrays, sizes):
        flat = flat * n + np.where(a < 0, a + n, a).astype(np.intp, copy=False)
    return flat.reshape(-1)


# ---- elements picked and written -------------------------------------------------------------------------------------


def take(x: Array, key: tuple) -> Array:
    """`x[key]` in row-major order; `key` holds arrays of integers, masks and full slices."""
    last = key[-1]
    if last.dtype.kind != "b" and x.ndim and all(k.__class__ is slice for k in key[:-1]):
        return x.take(last, len(key) - 1)
    found = x[key]
    return found if found.flags.c_contiguous else found.copy()


def put(out: Array, key: tuple, value: Array, accumulate: bool) -> None:
    """`out[key] = value`, or `+=`, where a place that is picked twice is added to twice."""
    if not accumulate:
        out[key] = value if value.dtype == out.dtype else value.astype(out.dtype)
        return
    shape = np.broadcast_to(np.int8(0), out.shape)[key].shape
    add_into(out, key, np.broadcast_to(value, shape).astype(out.dtype, copy=False))


def triangle(lower: bool, rows: int, columns: int, offset: int, dtype: np.dtype) -> Array:
    """(2, count): rows and columns of the elements on one side of a diagonal, which belongs to it, row by row."""
    edge = np.clip(np.arange(rows) + offset + lower, 0, columns)  # the first column beyond the lower side
    ends = np.cumsum(edge if lower else columns - edge).tolist()
    out = np.empty((2, ends[-1] if ends else 0), dtype)
    steps, start = np.arange(columns, dtype=dtype), 0
    for i, end in enumerate(ends):
        out[0, start:end] = i
        out[1, start:end] = steps[: end - start] if lower else steps[columns - (end - start) :]
        start = end
    return out
