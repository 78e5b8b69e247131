"""Tensors put together and taken apart: `cat`, `stack`, `split`, `unbind`, and what is made of them.

Joining copies; taking apart gives views. Each is the derivative of the other.
"""

from __future__ import annotations

import builtins
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import dtypes, shapes
from ..core.op import Array, Arrays, op
from ..core.tensor import Tensor, wrap
from ..errors import message
from .movement import expand_to, reshape, unsqueeze, view_as_shape
from .windows import slice_dim

__all__ = [
    "cat", "concat", "concatenate", "stack", "unbind", "split", "split_with_sizes", "chunk", "tensor_split", "hsplit", "vsplit",
    "dsplit", "unsafe_split", "unsafe_split_with_sizes", "unsafe_chunk", "hstack", "vstack", "row_stack", "dstack",
    "column_stack", "block_diag", "meshgrid", "cartesian_prod", "combinations", "atleast_1d", "atleast_2d", "atleast_3d",
    "broadcast_tensors",
]  # fmt: skip


# ---- joining ----------------------------------------------------------------------------------------------------------


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
                message(f"cat: the sizes differ in a dimension other than {dim}", got=_list(tensors), expected="equal sizes")
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
        raise RuntimeError(message("cat: out must not share memory with the tensors, or with itself", fix="give it memory of its own"))
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
                message("stack: the tensors must have one shape", got=_list([x.shape for x in arrays]), fix="use torch.cat")
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
    return unbind(g, dim)


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


# ---- taking apart -----------------------------------------------------------------------------------------------------


@op(view=True, nout=-1, method=True)
def unbind(x: Array, dim=0):
    """The parts of a tensor along a dimension, without that dimension, as a tuple of views.

    >>> import tapegrad as torch
    >>> torch.tensor([[1, 2], [3, 4]]).unbind(1)
    (tensor([1, 3]), tensor([2, 4]))
    """
    if x.ndim == 0:
        raise IndexError(message("unbind: a 0-d tensor has no dimension", fix="use .item() for its number"))
    lead = (builtins.slice(None),) * shapes.axis("unbind", dim, x.ndim)
    return [x[(*lead, i, ...)] for i in range(x.shape[len(lead)])]


@unbind.grad
def _(gs, dim):
    return stack(gs, dim)


def _cuts(where: str, x: tuple[int, ...], sizes: Any, dim: int) -> tuple[int, list[int]]:
    """The dimension counted from the front, and the sizes of the pieces."""
    if not x:
        raise RuntimeError(message(f"{where}: a 0-d tensor cannot be split"))
    dim = shapes.axis(where, dim, len(x))
    n = x[dim]
    if any(s < 0 for s in sizes) or sum(sizes) != n:
        raise RuntimeError(
            message(f"{where}: the sizes must add up to the size of dimension {dim}", got=list(sizes), expected=f"a sum of {n}")
        )
    return dim, list(sizes)


def _pieces(x: Array, dim: int, sizes: Sequence[int]) -> list[Array]:
    lead, ends = (builtins.slice(None),) * dim, itertools.accumulate(sizes)
    return [x[(*lead, builtins.slice(end - n, end))] for n, end in zip(sizes, ends)]


def _equal_sizes(x: tuple[int, ...], split_size: int, dim: int) -> list[int]:
    """`split_size` again and again, and a smaller rest."""
    if not x:
        raise RuntimeError(message("split: a 0-d tensor cannot be split"))
    n = x[shapes.axis("split", dim, len(x))]
    if split_size < 0 or (split_size == 0 and n):
        raise RuntimeError(message("split: the size of a piece must be positive", got=split_size))
    if n == 0:
        return [0]
    return [min(split_size, n - start) for start in range(0, n, split_size)]


@op(view=True, nout=-1, name="split")
def _split(x: Array, split_size, dim=0):
    return _pieces(x, *_cuts("split", x.shape, _equal_sizes(x.shape, split_size, dim), dim))


@_split.grad
def _(gs, dim):
    return cat(gs, dim)


@op(view=True, nout=-1, name="split_with_sizes")
def _split_with_sizes(x: Array, split_sizes, dim=0):
    return _pieces(x, *_cuts("split", x.shape, split_sizes, dim))


@_split_with_sizes.grad
def _(gs, dim):
    return cat(gs, dim)


@op(nout=-1, name="unsafe_split")
def _unsafe_split(x: Array, split_size, dim=0):
    return _pieces(x, *_cuts("split", x.shape, _equal_sizes(x.shape, split_size, dim), dim))


@_unsafe_split.grad
def _(gs, dim):
    return cat(gs, dim)


@op(nout=-1, name="unsafe_split_with_sizes")
def _unsafe_split_with_sizes(x: Array, split_sizes, dim=0):
    return _pieces(x, *_cuts("split", x.shape, split_sizes, dim))


@_unsafe_split_with_sizes.grad
def _(gs, dim):
    return cat(gs, dim)


def split(tensor: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Cut a dimension into views: pieces of one size (the last may be smaller), or of the given sizes.

    Raises:
        RuntimeError: the sizes do not add up to the size of the dimension.

    >>> import tapegrad as torch
    >>> torch.arange(5).split(2)
    (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    """
    if hasattr(split_size_or_sections, "__index__"):
        return _split(tensor, int(split_size_or_sections), dim)  # type: ignore[arg-type]
    return split_with_sizes(tensor, split_size_or_sections, dim)


def _split_method(self: Tensor, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    return split(self, split_size, dim)


def split_with_sizes(input: Tensor, split_sizes: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Cut a dimension into views of the given sizes."""
    return _split_with_sizes(input, shapes.as_shape("split", (split_sizes,)), dim)


def unsafe_split(input: Tensor, split_size: int, dim: int = 0) -> tuple[Tensor, ...]:
    """`split`, but autograd does not know that the pieces share memory with the input."""
    return _unsafe_split(input, split_size, dim)


def unsafe_split_with_sizes(input: Tensor, split_sizes: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """`split_with_sizes`, but autograd does not know that the pieces share memory with the input."""
    return _unsafe_split_with_sizes(input, shapes.as_shape("split", (split_sizes,)), dim)


def _chunk_size(where: str, input: Tensor, chunks: int, dim: int) -> int:
    if input.ndim == 0:
        raise RuntimeError(message(f"{where}: a 0-d tensor cannot be cut"))
    if chunks < 1:
        raise RuntimeError(message(f"{where}: the number of pieces must be positive", got=chunks))
    return -(-input.shape[shapes.axis(where, dim, input.ndim)] // chunks)


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Cut a dimension into at most `chunks` views of one size (the last may be smaller).

    >>> import tapegrad as torch
    >>> torch.arange(5).chunk(2)
    (tensor([0, 1, 2]), tensor([3, 4]))
    """
    size = _chunk_size("chunk", input, chunks, dim)
    return _split(input, size, dim) if size else _split_with_sizes(input, (0,) * chunks, dim)


def unsafe_chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """`chunk`, but autograd does not know that the pieces share memory with the input."""
    size = _chunk_size("unsafe_chunk", input, chunks, dim)
    return _unsafe_split(input, size, dim) if size else _unsafe_split_with_sizes(input, (0,) * chunks, dim)


def tensor_split(input: Tensor, indices_or_sections: Any = None, dim: int = 0, **names: Any) -> tuple[Tensor, ...]:
    """Cut a dimension into views: a number of nearly equal ones, or at the given indices.

    Args:
        indices_or_sections: a number of pieces (the first ones are larger by one), or where to cut.

    >>> import tapegrad as torch
    >>> torch.arange(5).tensor_split(2)
    (tensor([0, 1, 2]), tensor([3, 4]))
    >>> torch.arange(5).tensor_split((1, 3))
    (tensor([0]), tensor([1, 2]), tensor([3, 4]))
    """
    for name in ("indices", "sections", "tensor_indices_or_sections"):
        indices_or_sections = names.pop(name, indices_or_sections)
    if names or indices_or_sections is None:
        raise TypeError(message("tensor_split: needs indices_or_sections", got=", ".join(names) or "nothing"))
    if input.ndim == 0:
        raise RuntimeError(message("tensor_split: a 0-d tensor cannot be split"))
    dim = shapes.axis("tensor_split", dim, input.ndim)
    n = input.shape[dim]
    at = indices_or_sections
    if isinstance(at, Tensor):
        if at.array.dtype != np.int64 or at.ndim > 1:
            raise RuntimeError(message("tensor_split: the indices must be int64, 0-d or 1-d", got=f"{at.dtype}, {at.ndim}-d"))
        at = at.tolist()
    if hasattr(at, "__index__"):
        if at < 1:
            raise RuntimeError(message("tensor_split: the number of pieces must be positive", got=at))
        ends = [n // at * i + min(n % at, i) for i in range(at + 1)]
        return tuple(slice_dim(input, dim, a, b, 1) for a, b in itertools.pairwise(ends))
    ends = [None, *at, None]
    return tuple(slice_dim(input, dim, 0 if a is None else a, n if b is None else b, 1) for a, b in itertools.pairwise(ends))


def _split_along(where: str, least: int, dim: int, input: Tensor, at: Any) -> tuple[Tensor, ...]:
    if input.ndim < least:
        raise RuntimeError(message(f"{where}: at least {least} dimensions", got=f"shape {tuple(input.shape)}"))
    dim = 0 if where == "hsplit" and input.ndim == 1 else dim
    if hasattr(at, "__index__") and (at < 1 or input.shape[dim] % at):
        raise RuntimeError(message(f"{where}: the size must be a multiple of the number of pieces", got=f"{input.shape[dim]} by {at}"))
    return tensor_split(input, at, dim)


def hsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Cut the columns (dimension 1; of a vector, its elements) into equal parts, or at the given indices."""
    return _split_along("hsplit", 1, 1, input, indices_or_sections)


def vsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Cut the rows (dimension 0) into equal parts, or at the given indices."""
    return _split_along("vsplit", 2, 0, input, indices_or_sections)


def dsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Cut dimension 2 into equal parts, or at the given indices."""
    return _split_along("dsplit", 3, 2, input, indices_or_sections)
# ---- made of them -----------------------------------------------------------------------------------------------------


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
    """`vstack` under another name."""
    return vstack(tensors, out=out)


def dstack(tensors: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
    """Join along dimension 2; vectors become (1, n, 1) and matrices (n, m, 1)."""
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
    grids = [expand_to(view_as_shape(x, (1,) * i + (x.numel(),) + (1,) * (n - i - 1)), shape) for i, x in enumerate(tensors)]
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
    """Give 0-d tensors a dimension of size 1; several tensors come back as a tuple."""
    return _each(tensors, lambda x: x if x.ndim else reshape(x, (1,)))


def atleast_2d(*tensors: Any) -> Any:
    """Put dimensions of size 1 in front until there are two; several tensors come back as a tuple."""
    return _each(tensors, lambda x: x if x.ndim > 1 else unsqueeze(x, 0) if x.ndim else reshape(x, (1, 1)))


def atleast_3d(*tensors: Any) -> Any:
    """Add dimensions of size 1 until there are three: vectors become (1, n, 1), matrices (n, m, 1)."""

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


for _function in (split_with_sizes, unsafe_split, unsafe_split_with_sizes, chunk, unsafe_chunk, tensor_split, hsplit, vsplit, dsplit):
    setattr(Tensor, _function.__name__, _function)
Tensor.split = _split_method  # type: ignore[attr-defined]
