"""Tensors put together: `cat`, `stack`, and what is made of them."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import dtypes, shapes
from ...core.op import Array, Arrays, op
from ...core.tensor import Tensor, wrap
from ...errors import message
from .movement import expand_to, reshape, unsqueeze, view_as_shape
from .windows import select, slice_dim

__all__ = """
    cat concat concatenate stack hstack vstack row_stack dstack column_stack block_diag meshgrid cartesian_prod
    combinations atleast_1d atleast_2d atleast_3d broadcast_tensors broadcast_shapes
""".split()


# ---- joining ---------------------------------------------------------------------------------------------------------


def _common(arrays: list[Array]) -> list[Array]:
    """The arrays in the dtype in which they meet."""
    if any(a is None for a in arrays):
        raise TypeError(message("expected a list of tensors", got="a list that holds None"))
    first = arrays[0].dtype
    if all(a.dtype is first for a in arrays):
        return arrays
    met = _meet(arrays)
    return [a if a.dtype == met else a.astype(met) for a in arrays]


def _meet(arrays: list[Array]) -> np.dtype:
    """The dtype in which arrays meet; those without dimensions count less."""
    ranks: list[dtypes.dtype | None] = [None, None]
    for a in arrays:
        rank, found = (0 if a.ndim else 1), dtypes.of(a.dtype)
        held = ranks[rank]
        ranks[rank] = found if held is None else dtypes.promote(held, found)
    met = dtypes.combine(ranks[0], ranks[1])
    assert met is not None
    return met.numpy


@op(name="cat", method=False)
def _cat(tensors: Arrays, dim=0):
    if not tensors:
        raise ValueError(message("cat: expected a non-empty list of tensors"))
    first = getattr(tensors[0], "dtype", None)
    for a in tensors:
        if a is None or a.dtype is not first or not a.size:
            break
    else:
        return _row_major(np.concatenate(tensors, dim))
    arrays = _common(tensors)
    if any(a.shape == (0,) for a in arrays):  # vectors of no elements fit everywhere, as PyTorch has it
        arrays = [a for a in arrays if a.shape != (0,)] or arrays[:1]
    return _row_major(np.concatenate(arrays, dim))


def _row_major(x: Array) -> Array:
    """NumPy keeps the order in memory of its operands, PyTorch does not."""
    return x if x.flags.c_contiguous else x.copy()


@_cat.shape
def _(tensors, dim=0):
    if any(len(s) == 0 for s in tensors):
        raise RuntimeError(message("cat: 0-d tensors cannot be joined", got=_list(tensors), fix="use torch.stack"))
    known = [s for s in tensors if s != (0,)]
    if not known:
        return (0,)
    dim = shapes.axis("cat", dim, len(known[0]))
    for s in known:
        if len(s) != len(known[0]) or any(a != b for i, (a, b) in enumerate(zip(s, known[0])) if i != dim):
            raise RuntimeError(
                message(
                    f"cat: the sizes differ in a dimension other than {dim}", got=_list(tensors), expected="equal sizes"
                )
            )
    return (*known[0][:dim], sum(s[dim] for s in known), *known[0][dim + 1 :])


def _list(tensors: Any) -> str:
    text = ", ".join(str(tuple(s)) for s in tensors[:6])
    return text + (", ..." if len(tensors) > 6 else "")


@_cat.grad
def _(g, tensors_shape, dim):
    found, start = [], 0
    if dim < 0:
        dim += g.ndim
    for shape in tensors_shape:
        if shape == (0,) and g.ndim != 1:
            found.append(reshape(slice_dim(g, dim, 0, 0, 1), (0,)))
            continue
        found.append(slice_dim(g, dim, start, start + shape[dim], 1))
        start += shape[dim]
    return found


def cat(tensors: Sequence[Tensor], dim: int = 0, *, out: Tensor | None = None) -> Tensor:
    """Join tensors along an existing dimension, in which alone their sizes may differ.

    Args:
        tensors: at least one; different dtypes are promoted.
        dim: the dimension that grows.

    Raises:
        RuntimeError: the other sizes differ, or a tensor is 0-d.
        IndexError: there is no such dimension.

    >>> import tapegrad as torch
    >>> torch.cat([torch.tensor([1, 2]), torch.tensor([3])])
    tensor([1, 2, 3])
    """
    if out is None:
        return _cat(tensors, dim)
    if any(np.may_share_memory(out.array, t.array) for t in tensors) or 0 in out.array.strides:
        raise RuntimeError(
            message("cat: out must not share memory with the tensors, or with itself", fix="give it memory of its own")
        )
    return _cat(tensors, dim, out=out)


concat = concatenate = cat


@op(name="stack", method=False)
def _stack(tensors: Arrays, dim=0):
    if not tensors:
        raise RuntimeError(message("stack: expected a non-empty list of tensors"))
    arrays = _common(tensors)
    shape = arrays[0].shape
    for a in arrays:
        if a.shape != shape:
            raise RuntimeError(
                message(
                    "stack: the tensors must have one shape", got=_list([x.shape for x in arrays]), fix="use torch.cat"
                )
            )
    dim = shapes.axis("stack", dim, len(shape) + 1)
    lead = (*(builtins.slice(None),) * dim, None)
    return _row_major(np.concatenate([a[lead] for a in arrays], dim))


@_stack.shape
def _(tensors, dim=0):
    dim = shapes.axis("stack", dim, len(tensors[0]) + 1)
    return (*tensors[0][:dim], len(tensors), *tensors[0][dim:])


@_stack.grad
def _(g, dim):
    return [select(g, dim, i) for i in range(g.shape[dim])]


def stack(tensors: Sequence[Tensor], dim: int = 0, *, out: Tensor | None = None) -> Tensor:
    """Join tensors of one shape along a new dimension.

    Raises:
        RuntimeError: the shapes differ, or there are no tensors.

    >>> import tapegrad as torch
    >>> torch.stack([torch.tensor([1, 2]), torch.tensor([3, 4])], dim=1)
    tensor([[1, 3],
            [2, 4]])
    """
    return _stack(tensors, dim) if out is None else _stack(tensors, dim, out=out)


# ---- made of them ----------------------------------------------------------------------------------------------------


def hstack(tensors: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
    """Join side by side: vectors end to end, anything else along dimension 1.

    >>> import tapegrad as torch
    >>> torch.hstack([torch.tensor([[1], [2]]), torch.tensor([[3], [4]])])
    tensor([[1, 3],
            [2, 4]])
    """
    parts = _grown("hstack", atleast_1d, tensors)
    return cat(parts, 0 if parts[0].ndim == 1 else 1, out=out)


def vstack(tensors: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
    """Join on top of each other, along dimension 0; vectors are rows.

    >>> import tapegrad as torch
    >>> torch.vstack([torch.tensor([1, 2]), torch.tensor([3, 4])])
    tensor([[1, 2],
            [3, 4]])
    """
    return cat(_grown("vstack", atleast_2d, tensors), 0, out=out)


def row_stack(tensors: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
    """`vstack` under another name.

    >>> import tapegrad as torch
    >>> torch.row_stack([torch.tensor([1]), torch.tensor([2])])
    tensor([[1],
            [2]])
    """
    return vstack(tensors, out=out)


def dstack(tensors: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
    """Join along dimension 2; vectors become (1, n, 1) and matrices (n, m, 1).

    >>> import tapegrad as torch
    >>> torch.dstack([torch.tensor([1, 2]), torch.tensor([3, 4])])
    tensor([[[1, 3],
             [2, 4]]])
    """
    return cat(_grown("dstack", atleast_3d, tensors), 2, out=out)


def column_stack(tensors: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
    """Join side by side; vectors are columns.

    >>> import tapegrad as torch
    >>> torch.column_stack([torch.tensor([1, 2]), torch.tensor([3, 4])])
    tensor([[1, 3],
            [2, 4]])
    """
    parts = [x if x.ndim > 1 else reshape(x, (x.numel(), 1)) for x in _grown("column_stack", atleast_1d, tensors)]
    return hstack(parts, out=out)


def _grown(where: str, grow: Any, tensors: Any) -> tuple[Tensor, ...]:
    if isinstance(tensors, Tensor):
        raise TypeError(message(f"{where}: expected a list or tuple of tensors", got="a tensor"))
    if not tensors:
        raise RuntimeError(message(f"{where}: expected a non-empty list of tensors"))
    return tuple(grow(x) for x in tensors)


@op(name="block_diag")
def _block_diag(tensors: Arrays):
    blocks = _common([np.atleast_2d(a) for a in tensors]) if tensors else []
    for a in blocks:
        if a.ndim > 2:
            raise RuntimeError(message("block_diag: at most two dimensions each", got=f"shape {a.shape}"))
    if not blocks:
        return np.zeros((1, 0), np.float32)
    out = np.zeros((sum(a.shape[0] for a in blocks), sum(a.shape[1] for a in blocks)), blocks[0].dtype)
    for a, (i, j) in zip(blocks, _corners(a.shape for a in blocks)):
        out[i : i + a.shape[0], j : j + a.shape[1]] = a
    return out


def _corners(sizes: Any) -> Any:
    """The top left corner of each block."""
    i = j = 0
    for shape in sizes:
        shape = (1,) * (2 - len(shape)) + tuple(shape)
        yield i, j
        i, j = i + shape[0], j + shape[1]


@_block_diag.shape
def _(tensors):
    sizes = [(1,) * (2 - len(s)) + tuple(s) for s in tensors]
    return tuple(sum(s[i] for s in sizes) for i in (0, 1)) if sizes else (1, 0)


@_block_diag.grad
def _(g, tensors_shape):
    found = []
    for shape, (i, j) in zip(tensors_shape, _corners(tensors_shape)):
        n, m = (1,) * (2 - len(shape)) + tuple(shape)
        block = slice_dim(slice_dim(g, 0, i, i + n, 1), 1, j, j + m, 1)
        found.append(reshape(block, tuple(shape)))
    return found


def block_diag(*tensors: Tensor) -> Tensor:
    """A matrix with the given ones along its diagonal, and zeros elsewhere; vectors are rows.

    >>> import tapegrad as torch
    >>> torch.block_diag(torch.ones(1, 1), torch.ones(1, 2))
    tensor([[1., 0., 0.],
            [0., 1., 1.]])
    """
    return _block_diag(tensors)


def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Tensor, ...]:
    """Coordinates of a grid: each vector expanded to the shape of all their sizes.

    Args:
        tensors: vectors, or 0-d tensors that count as vectors of one element.
        indexing: "ij" (the default) or "xy", which exchanges the first two dimensions.

    >>> import tapegrad as torch
    >>> torch.meshgrid(torch.tensor([1, 2]), torch.tensor([3, 4, 5]), indexing="ij")[0]
    tensor([[1, 1, 1],
            [2, 2, 2]])
    """
    if len(tensors) == 1 and not isinstance(tensors[0], Tensor):
        tensors = tuple(tensors[0])
    if not tensors:
        raise RuntimeError(message("meshgrid: expected at least one tensor"))
    if indexing not in (None, "ij", "xy"):
        raise RuntimeError(message("meshgrid: unknown indexing", got=repr(indexing), expected="'ij' or 'xy'"))
    if any(x.ndim > 1 for x in tensors) or len({x.dtype for x in tensors}) > 1:
        raise RuntimeError(message("meshgrid: vectors of one dtype", got=_list([x.shape for x in tensors])))
    swap = indexing == "xy" and len(tensors) > 1
    if swap:
        tensors = (tensors[1], tensors[0], *tensors[2:])
    n, shape = len(tensors), tuple(x.numel() for x in tensors)
    grids = [
        expand_to(view_as_shape(x, (1,) * i + (x.numel(),) + (1,) * (n - i - 1)), shape) for i, x in enumerate(tensors)
    ]
    if swap:
        grids[:2] = grids[1::-1]
    return tuple(grids)


def cartesian_prod(*tensors: Any) -> Tensor:
    """All combinations of one element of each vector, as rows.

    >>> import tapegrad as torch
    >>> torch.cartesian_prod(torch.tensor([1, 2]), torch.tensor([3, 4]))
    tensor([[1, 3],
            [1, 4],
            [2, 3],
            [2, 4]])
    """
    for x in tensors:
        if x.ndim != 1:
            raise RuntimeError(message("cartesian_prod: vectors only", got=f"shape {tuple(x.shape)}"))
    if len(tensors) == 1:
        return tensors[0]
    return stack([reshape(x, (-1,)) for x in meshgrid(*tensors)], 1)


def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All choices of `r` elements of a vector, in order, as rows.

    >>> import tapegrad as torch
    >>> torch.combinations(torch.tensor([1, 2, 3]))
    tensor([[1, 2],
            [1, 3],
            [2, 3]])
    """
    if input.ndim != 1:
        raise RuntimeError(message("combinations: a vector", got=f"shape {tuple(input.shape)}"))
    if r < 0:
        raise RuntimeError(message("combinations: r is negative", got=r))
    if r == 0:
        return input.new_empty((0,))
    grid = np.indices((input.numel(),) * r).reshape(r, -1)  # (r, n ** r)
    keep = (np.diff(grid, axis=0) > (-1 if with_replacement else 0)).all(0)
    return stack([input[wrap(rows[keep])] for rows in grid], 1)


def atleast_1d(*tensors: Any) -> Any:
    """Give 0-d tensors a dimension of size 1; several tensors come back as a tuple.

    >>> import tapegrad as torch
    >>> torch.atleast_1d(torch.tensor(2))
    tensor([2])
    """
    return _each(tensors, lambda x: x if x.ndim else reshape(x, (1,)))


def atleast_2d(*tensors: Any) -> Any:
    """Put dimensions of size 1 in front until there are two; several tensors come back as a tuple.

    >>> import tapegrad as torch
    >>> torch.atleast_2d(torch.tensor([1, 2]))
    tensor([[1, 2]])
    """
    return _each(tensors, lambda x: x if x.ndim > 1 else unsqueeze(x, 0) if x.ndim else reshape(x, (1, 1)))


def atleast_3d(*tensors: Any) -> Any:
    """Add dimensions of size 1 until there are three: vectors become (1, n, 1), matrices (n, m, 1).

    >>> import tapegrad as torch
    >>> torch.atleast_3d(torch.zeros(2)).shape
    torch.Size([1, 2, 1])
    """

    def grow(x: Tensor) -> Tensor:
        if x.ndim == 1:
            return unsqueeze(unsqueeze(x, 0), -1)
        return unsqueeze(x, -1) if x.ndim == 2 else x if x.ndim else reshape(x, (1, 1, 1))

    return _each(tensors, grow)


def _each(tensors: tuple, f: Any) -> Any:
    if len(tensors) == 1:
        return f(tensors[0]) if isinstance(tensors[0], Tensor) else tuple(map(f, tensors[0]))
    return tuple(map(f, tensors))


def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """Expand all tensors to the shape they have together.

    >>> import tapegrad as torch
    >>> a, b = torch.broadcast_tensors(torch.zeros(3, 1), torch.zeros(2))
    >>> a.shape, b.shape
    (torch.Size([3, 2]), torch.Size([3, 2]))
    """
    if len(tensors) == 1 and not isinstance(tensors[0], Tensor):
        tensors = tuple(tensors[0])
    shape = shapes.broadcast("broadcast_tensors", *(x.array.shape for x in tensors))
    return tuple(x if x.array.shape == shape else expand_to(x, shape) for x in tensors)


def broadcast_shapes(*sizes: Any) -> shapes.Size:
    """The shape that shapes (or sizes of vectors) have together.

    >>> import tapegrad as torch
    >>> torch.broadcast_shapes((3, 1), (2,), 1)
    torch.Size([3, 2])
    """
    given = [(n,) if hasattr(n, "__index__") else tuple(n) for n in sizes]
    for shape in given:
        shapes.check_sizes("broadcast_shapes", shape)
    return shapes.Size(shapes.broadcast("broadcast_shapes", *given))
