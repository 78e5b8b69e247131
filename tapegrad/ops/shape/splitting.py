"""Tensors taken apart into views: `split`, `chunk`, `unbind` and their like. The derivative puts the parts together."""

from __future__ import annotations

import builtins
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import shapes
from ...core.op import Array, op
from ...core.tensor import Tensor
from ...errors import message
from .joining import cat, stack
from .windows import slice_dim

__all__ = """
    unbind split split_with_sizes chunk tensor_split hsplit vsplit dsplit unsafe_split unsafe_split_with_sizes
    unsafe_chunk
""".split()

# ---- taking apart ----------------------------------------------------------------------------------------------------


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


@unbind.shape
def _(x, dim=0):
    dim = shapes.axis("unbind", dim, len(x))
    return (*x[:dim], *x[dim + 1 :])  # of each part


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
            message(
                f"{where}: the sizes must add up to the size of dimension {dim}",
                got=list(sizes),
                expected=f"a sum of {n}",
            )
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


def _first(x: tuple[int, ...], sizes: Sequence[int], dim: int) -> tuple[int, ...]:
    """The shape of the first piece."""
    dim, sizes = _cuts("split", x, sizes, dim)
    return (*x[:dim], sizes[0], *x[dim + 1 :]) if sizes else x


@_split.shape
def _(x, split_size, dim=0):
    return _first(x, _equal_sizes(x, split_size, dim), dim)


@_split.grad
def _(gs, dim):
    return cat(gs, dim)


@op(view=True, nout=-1, name="split_with_sizes")
def _split_with_sizes(x: Array, split_sizes, dim=0):
    return _pieces(x, *_cuts("split", x.shape, split_sizes, dim))


@_split_with_sizes.shape
def _(x, split_sizes, dim=0):
    return _first(x, split_sizes, dim)


@_split_with_sizes.grad
def _(gs, dim):
    return cat(gs, dim)


@op(nout=-1, name="unsafe_split")
def _unsafe_split(x: Array, split_size, dim=0):
    return _pieces(x, *_cuts("split", x.shape, _equal_sizes(x.shape, split_size, dim), dim))


_unsafe_split.shape(_split.op.shape_rule)


@_unsafe_split.grad
def _(gs, dim):
    return cat(gs, dim)


@op(nout=-1, name="unsafe_split_with_sizes")
def _unsafe_split_with_sizes(x: Array, split_sizes, dim=0):
    return _pieces(x, *_cuts("split", x.shape, split_sizes, dim))


_unsafe_split_with_sizes.shape(_split_with_sizes.op.shape_rule)


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
    """Cut a dimension into views of the given sizes.

    >>> import tapegrad as torch
    >>> torch.arange(3).split_with_sizes([1, 2])
    (tensor([0]), tensor([1, 2]))
    """
    return _split_with_sizes(input, shapes.as_shape("split", (split_sizes,)), dim)


def unsafe_split(input: Tensor, split_size: int, dim: int = 0) -> tuple[Tensor, ...]:
    """`split`, but autograd does not know that the pieces share memory with the input.

    >>> import tapegrad as torch
    >>> torch.unsafe_split(torch.arange(3), 2)
    (tensor([0, 1]), tensor([2]))
    """
    return _unsafe_split(input, split_size, dim)


def unsafe_split_with_sizes(input: Tensor, split_sizes: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """`split_with_sizes`, but autograd does not know that the pieces share memory with the input.

    >>> import tapegrad as torch
    >>> torch.unsafe_split_with_sizes(torch.arange(3), [1, 2])
    (tensor([0]), tensor([1, 2]))
    """
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
    """`chunk`, but autograd does not know that the pieces share memory with the input.

    >>> import tapegrad as torch
    >>> torch.unsafe_chunk(torch.arange(4), 2)
    (tensor([0, 1]), tensor([2, 3]))
    """
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
            raise RuntimeError(
                message("tensor_split: the indices must be int64, 0-d or 1-d", got=f"{at.dtype}, {at.ndim}-d")
            )
        at = at.tolist()
    if hasattr(at, "__index__"):
        if at < 1:
            raise RuntimeError(message("tensor_split: the number of pieces must be positive", got=at))
        ends = [n // at * i + min(n % at, i) for i in range(at + 1)]
        return tuple(slice_dim(input, dim, a, b, 1) for a, b in itertools.pairwise(ends))
    ends = [None, *at, None]
    return tuple(
        slice_dim(input, dim, 0 if a is None else a, n if b is None else b, 1) for a, b in itertools.pairwise(ends)
    )


def _split_along(where: str, least: int, dim: int, input: Tensor, at: Any) -> tuple[Tensor, ...]:
    if input.ndim < least:
        raise RuntimeError(message(f"{where}: at least {least} dimensions", got=f"shape {tuple(input.shape)}"))
    dim = 0 if where == "hsplit" and input.ndim == 1 else dim
    if hasattr(at, "__index__") and (at < 1 or input.shape[dim] % at):
        raise RuntimeError(
            message(f"{where}: the size must be a multiple of the number of pieces", got=f"{input.shape[dim]} by {at}")
        )
    return tensor_split(input, at, dim)


def hsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Cut the columns (dimension 1; of a vector, its elements) into equal parts, or at the given indices.

    >>> import tapegrad as torch
    >>> torch.tensor([[1, 2], [3, 4]]).hsplit(2)[0]
    tensor([[1],
            [3]])
    """
    return _split_along("hsplit", 1, 1, input, indices_or_sections)


def vsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Cut the rows (dimension 0) into equal parts, or at the given indices.

    >>> import tapegrad as torch
    >>> torch.tensor([[1, 2], [3, 4]]).vsplit(2)
    (tensor([[1, 2]]), tensor([[3, 4]]))
    """
    return _split_along("vsplit", 2, 0, input, indices_or_sections)


def dsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Cut dimension 2 into equal parts, or at the given indices.

    >>> import tapegrad as torch
    >>> [part.shape for part in torch.zeros(2, 3, 4).dsplit([1])]
    [torch.Size([2, 3, 1]), torch.Size([2, 3, 3])]
    """
    return _split_along("dsplit", 3, 2, input, indices_or_sections)


for _function in (
    split_with_sizes,
    unsafe_split,
    unsafe_split_with_sizes,
    chunk,
    unsafe_chunk,
    tensor_split,
    hsplit,
    vsplit,
    dsplit,
):
    setattr(Tensor, _function.__name__, _function)
Tensor.split = _split_method  # type: ignore[attr-defined]
