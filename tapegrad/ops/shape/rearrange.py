"""Copies with the elements elsewhere: repeated, reversed, rotated, a triangle or a diagonal kept."""

from __future__ import annotations

import builtins
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import shapes
from ...backends.cpu import index as kernels
from ...core.op import Array, op
from ...core.tensor import Tensor, wrap
from ...errors import message
from ..indexing.slices import index_select
from ..reduction.reduce import sum
from .movement import expand_to, flatten, reshape, unsqueeze, view
from .windows import diagonal, diagonal_backward, slice_dim

__all__ = (
    "repeat_interleave tile flip fliplr flipud roll rot90 tril triu diag diag_embed diagflat diagonal_copy".split()
)


# ---- repeated --------------------------------------------------------------------------------------------------------


@op(name="repeat")
def repeat_dims(x: Array, repeats):
    """`x` laid side by side `repeats[i]` times along dimension i."""
    return np.tile(x, _repeats(x.shape, repeats))


def _repeats(x: tuple[int, ...], repeats: tuple[int, ...]) -> tuple[int, ...]:
    if len(repeats) < len(x):
        text = message("repeat: one number for each dimension, at least", got=f"{list(repeats)} for shape {tuple(x)}")
        raise RuntimeError(text)
    return shapes.check_sizes("repeat", repeats)


@repeat_dims.shape
def _(x, repeats):
    repeats = _repeats(x, repeats)
    return tuple(n * r for n, r in zip((1,) * (len(repeats) - len(x)) + tuple(x), repeats))


@repeat_dims.grad
def _(g, x_shape, repeats):
    lead = len(repeats) - len(x_shape)
    split, copies = [], []
    for r, n in zip(repeats, (1,) * lead + tuple(x_shape)):
        copies.append(len(split))
        split += [r, n]  # copies, then the elements of one copy
    return reshape(sum(reshape(g, tuple(split)), tuple(copies), False), tuple(x_shape)) if copies else g


def repeat(self: Tensor, *times: Any, repeats: Any = None) -> Tensor:
    """A copy in which the tensor is laid side by side `times[i]` times along dimension i; new dimensions come first.

    Args:
        times: integers or one tuple (`repeats`).

    Raises:
        RuntimeError: fewer numbers than dimensions, or a negative one.

    >>> import tapegrad as torch
    >>> torch.tensor([1, 2]).repeat(2, 2)
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    return repeat_dims(self, _given("repeat", times, repeats))


def _given(where: str, several: tuple, one: Any) -> tuple[int, ...]:
    """`f(1, 2)`, `f((1, 2))` and `f(name=(1, 2))` alike."""
    if one is None and not several:
        raise TypeError(message(f"{where}: needs at least one number"))
    return shapes.as_shape(where, several if one is None else (one,))


def tile(input: Tensor, *times: Any, dims: Any = None) -> Tensor:
    """`repeat`, but missing numbers count as 1 for the leading dimensions.

    >>> import tapegrad as torch
    >>> torch.tile(torch.tensor([[1, 2], [3, 4]]), (2,))
    tensor([[1, 2, 1, 2],
            [3, 4, 3, 4]])
    """
    repeats = _given("tile", times, dims)
    return repeat_dims(input, (1,) * (input.ndim - len(repeats)) + repeats)


def repeat_interleave(
    input: Tensor, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Each element (along `dim`; of all, if None) repeated in place; given repeats alone, the indices that do it.

    Args:
        repeats: how often, one number or one for each element.
        output_size: the size of the result along `dim`, which is not needed.

    Raises:
        RuntimeError: a number is negative, or there is not one for each element.

    >>> import tapegrad as torch
    >>> torch.tensor([1, 2]).repeat_interleave(2)
    tensor([1, 1, 2, 2])
    >>> torch.repeat_interleave(torch.tensor([2, 0, 1]))
    tensor([0, 0, 2])
    """
    if repeats is None:
        return wrap(np.repeat(np.arange(input.numel()), _counts(input, input.numel())))
    if dim is None:
        input, dim = flatten(input), 0
    dim = shapes.axis("repeat_interleave", dim, input.ndim)
    if input.ndim == 0:
        input = reshape(input, (1,))
    n = input.shape[dim]
    if isinstance(repeats, Tensor) and repeats.numel() == 1:
        repeats = repeats.item()
    if hasattr(repeats, "__index__") and not isinstance(repeats, Tensor):
        repeats = operator.index(repeats)
        if repeats < 0:
            raise RuntimeError(message("repeat_interleave: repeats is negative", got=repeats))
        wide = expand_to(unsqueeze(input, dim + 1), (*input.shape[: dim + 1], repeats, *input.shape[dim + 1 :]))
        return view(wide.clone().contiguous(), (*input.shape[:dim], n * repeats, *input.shape[dim + 1 :]))
    if not isinstance(repeats, Tensor):
        repeats = wrap(np.array(repeats))
    return index_select(input, dim, wrap(np.repeat(np.arange(n), _counts(repeats, n))))


def _counts(repeats: Tensor, n: int) -> Array:
    """The repeats as an array, checked."""
    array = repeats.array
    if array.ndim != 1 or array.dtype.kind not in "iu" or array.size != n:
        expected = f"a vector of {n} integers"
        raise RuntimeError(
            message("repeat_interleave: wrong repeats", got=f"{repeats.dtype} {array.shape}", expected=expected)
        )
    if (array < 0).any():
        raise RuntimeError(message("repeat_interleave: repeats are negative", got=array.tolist()))
    return array


# ---- reversed, moved round, turned -----------------------------------------------------------------------------------


@op(name="flip")
def flip_dims(x: Array, dims):
    """`x` with the order of some dimensions reversed."""
    over = _named("flip", dims, x.ndim)
    turned = x[tuple(slice(None, None, -1) if i in over else slice(None) for i in range(x.ndim))]
    return kernels.copy_keeping_order(turned)


def _named(where: str, dims: Any, ndim: int) -> tuple[int, ...]:
    return tuple(i for i in shapes.axes(where, dims, ndim) or () if ndim) if dims != () else ()


@flip_dims.shape
def _(x, dims):
    _named("flip", dims, len(x))
    return x


@flip_dims.grad
def _(g, dims):
    return flip_dims(g, dims)


def flip(input: Tensor, *over: Any, dims: Any = None) -> Tensor:
    """A copy with the order of the named dimensions reversed.

    Args:
        over: integers or one tuple (`dims`).

    >>> import tapegrad as torch
    >>> torch.tensor([[1, 2], [3, 4]]).flip(0)
    tensor([[3, 4],
            [1, 2]])
    """
    return flip_dims(input, _given("flip", over, dims))


def fliplr(input: Tensor) -> Tensor:
    """A copy with the columns (dimension 1) in reverse order.

    >>> import tapegrad as torch
    >>> torch.tensor([[1, 2], [3, 4]]).fliplr()
    tensor([[2, 1],
            [4, 3]])
    """
    if input.ndim < 2:
        raise RuntimeError(message("fliplr: at least two dimensions", got=f"shape {tuple(input.shape)}"))
    return flip_dims(input, (1,))


def flipud(input: Tensor) -> Tensor:
    """A copy with the rows (dimension 0) in reverse order.

    >>> import tapegrad as torch
    >>> torch.tensor([[1, 2], [3, 4]]).flipud()
    tensor([[3, 4],
            [1, 2]])
    """
    if input.ndim < 1:
        raise RuntimeError(message("flipud: at least one dimension", got="a 0-d tensor"))
    return flip_dims(input, (0,))


@op(name="roll", node="RollBackward0")
def _roll(x: Array, shifts, dims):
    if not dims:
        return np.array(np.roll(x, shifts[0]), order="C", copy=None)
    return np.array(np.roll(x, shifts, dims), order="C", copy=None)


@_roll.shape
def _(x, shifts, dims):
    for d in dims:
        shapes.axis("roll", d, len(x))
    return x


@_roll.grad
def _(g, shifts, dims):
    return _roll(g, tuple(-s for s in shifts), dims)


def roll(input: Tensor, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Tensor:
    """A copy with the elements moved round along dimensions (of all in row-major order, without `dims`).

    Raises:
        RuntimeError: not one shift for each dimension.

    >>> import tapegrad as torch
    >>> torch.tensor([1, 2, 3]).roll(1)
    tensor([3, 1, 2])
    """
    moves = shapes.as_shape("roll", (shifts,))
    over = () if dims is None else shapes.as_shape("roll", (dims,))
    if not input.ndim and over:
        raise IndexError(message("roll: a 0-d tensor has no dimensions", got=f"dims={over}"))
    if not moves or (len(moves) != len(over) and (over or len(moves) > 1)):
        raise RuntimeError(message("roll: one shift for each dimension", got=f"shifts={moves}, dims={over}"))
    return _roll(input, moves, over)


@op(name="rot90", method=True)
def rot90(x: Array, k=1, dims=(0, 1)):
    """A copy turned by 90 degrees `k` times in the plane of two dimensions, from the first towards the second.

    Raises:
        RuntimeError: there are not two different dimensions.

    >>> import tapegrad as torch
    >>> torch.tensor([[1, 2], [3, 4]]).rot90()
    tensor([[2, 4],
            [1, 3]])
    """
    n = x.ndim
    if len(dims) != 2 or n < 2 or any(not -n <= d < n for d in dims) or dims[0] % n == dims[1] % n:
        raise RuntimeError(message("rot90: two different dimensions", got=f"dims={list(dims)}, shape {x.shape}"))
    return np.rot90(x, k, tuple(dims)).copy()


@rot90.shape
def _(x, k=1, dims=(0, 1)):
    found, (a, b) = list(x), dims
    if k % 2:
        found[a], found[b] = found[b], found[a]
    return tuple(found)


@rot90.grad
def _(g, k, dims):
    return rot90(g, -k, dims)


# ---- triangles and diagonals -----------------------------------------------------------------------------------------


def _matrix(where: str, x: Array) -> Array:
    if x.ndim < 2:
        raise RuntimeError(message(f"{where}: at least two dimensions", got=f"shape {x.shape}"))
    return x


@op(method=True, inplace=True)
def tril(x: Array, diagonal=0):
    """The part of matrices on and below a diagonal, zeros above.

    Args:
        input: (..., n, m).
        diagonal: how many places above (positive) or below the main one.

    >>> import tapegrad as torch
    >>> torch.ones(2, 2).tril()
    tensor([[1., 0.],
            [1., 1.]])
    """
    return np.ascontiguousarray(np.tril(_matrix("tril", x), diagonal))


@tril.shape
def _(x, diagonal=0):
    return x


@tril.grad
def _(g, diagonal):
    return tril(g, diagonal)


@op(method=True, inplace=True)
def triu(x: Array, diagonal=0):
    """The part of matrices on and above a diagonal, zeros below.

    Args:
        input: (..., n, m).
        diagonal: how many places above (positive) or below the main one.

    >>> import tapegrad as torch
    >>> torch.ones(2, 2).triu()
    tensor([[1., 1.],
            [0., 1.]])
    """
    return np.ascontiguousarray(np.triu(_matrix("triu", x), diagonal))


@triu.shape
def _(x, diagonal=0):
    return x


@triu.grad
def _(g, diagonal):
    return triu(g, diagonal)


@op(method=True)
def diag_embed(x: Array, offset=0, dim1=-2, dim2=-1):
    """Matrices of zeros with the last dimension of `x` on a diagonal; `dim1` and `dim2` are theirs in the result.

    Raises:
        RuntimeError: `dim1` and `dim2` are the same.

    >>> import tapegrad as torch
    >>> torch.diag_embed(torch.tensor([1, 2]))
    tensor([[1, 0],
            [0, 2]])
    """
    shape = _embedded(x.shape, offset, dim1, dim2)
    return diagonal_backward(x, shape, offset, dim1, dim2)


def _embedded(x: tuple[int, ...], offset: int, dim1: int, dim2: int) -> tuple[int, ...]:
    n = len(x) + 1
    a, b = shapes.axis("diag_embed", dim1, n), shapes.axis("diag_embed", dim2, n)
    if a == b:
        raise RuntimeError(message("diag_embed: the two dimensions must differ", got=f"dim1={dim1}, dim2={dim2}"))
    side = (x[-1] if x else 1) + abs(offset)
    rest = iter(x[:-1])
    return tuple(side if i in (a, b) else next(rest) for i in range(n))


@diag_embed.shape
def _(x, offset=0, dim1=-2, dim2=-1):
    return _embedded(x, offset, dim1, dim2)


@diag_embed.grad
def _(g, offset, dim1, dim2):
    return diagonal(g, offset, dim1, dim2)


@op(name="diagonal_copy", node="DiagonalBackward0_copy")
def diagonal_copy(x: Array, offset=0, dim1=0, dim2=1):
    """A copy of `diagonal(input, offset, dim1, dim2)`.

    >>> import tapegrad as torch
    >>> torch.diagonal_copy(torch.tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    """
    return diagonal(x, offset, dim1, dim2).copy()


diagonal_copy.shape(diagonal.op.shape_rule)


@diagonal_copy.grad
def _(g, x_shape, offset, dim1, dim2):
    return diagonal_backward(g, x_shape, offset, dim1, dim2)


def diag(input: Tensor, diagonal: int = 0, *, out: Tensor | None = None) -> Tensor:
    """The diagonal of a matrix, as a copy; or the matrix that has a vector on its diagonal.

    Raises:
        RuntimeError: neither a vector nor a matrix.

    >>> import tapegrad as torch
    >>> torch.diag(torch.tensor([1, 2]))
    tensor([[1, 0],
            [0, 2]])
    >>> torch.diag(torch.tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    """
    if input.ndim not in (1, 2):
        raise RuntimeError(message("diag: a vector or a matrix", got=f"shape {tuple(input.shape)}"))
    function = diag_embed if input.ndim == 1 else diagonal_copy
    return function(input, diagonal) if out is None else function(input, diagonal, out=out)


def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """The matrix that has all elements of a tensor on a diagonal.

    >>> import tapegrad as torch
    >>> torch.diagflat(torch.tensor([[1], [2]]))
    tensor([[1, 0],
            [0, 2]])
    """
    return diag_embed(reshape(input, -1), offset)


def fill_diagonal_(self: Tensor, fill_value: float, wrap: bool = False) -> Tensor:
    """Write a number onto the main diagonal in place.

    Args:
        wrap: begin again below each block of a tall matrix, with one row between.

    Raises:
        RuntimeError: fewer than two dimensions, or more of unequal sizes.

    >>> import tapegrad as torch
    >>> torch.zeros(2, 2).fill_diagonal_(1)
    tensor([[1., 0.],
            [0., 1.]])
    """
    shape = self.array.shape
    n = len(shape)
    if n < 2 or (n > 2 and len(set(shape)) > 1):
        raise RuntimeError(message("fill_diagonal_: a matrix, or equal sizes", got=f"shape {shape}"))
    if n > 2:
        step = self.as_strided((shape[0],), (builtins.sum(self.stride()),), self.storage_offset())
        step.fill_(fill_value)
        return self
    diagonal(self).fill_(fill_value)
    if wrap:
        below = shape[1] + 1
        for start in range(below, shape[0], below):
            diagonal(slice_dim(self, 0, start, None, 1)).fill_(fill_value)
    return self


# ---- added up again --------------------------------------------------------------------------------------------------


def sum_to_size(self: Tensor, *sizes: Any, size: Any = None) -> Tensor:
    """The sum over the dimensions in which `size` is 1 (and over leading ones that it lacks); the opposite of `expand`.

    Raises:
        RuntimeError: `size` does not expand to the shape of the tensor.

    >>> import tapegrad as torch
    >>> torch.ones(2, 3).sum_to_size(2, 1)
    tensor([[3.],
            [3.]])
    """
    size, shape = shapes.as_shape("sum_to_size", sizes if size is None else (size,)), tuple(self.shape)
    if not size:
        return sum(self)
    lead = len(shape) - len(size)
    if lead < 0 or any(n not in (1, m) for n, m in zip(size, shape[lead:])):
        raise RuntimeError(message("sum_to_size: the size does not expand to the shape", got=f"{size} for {shape}"))
    over = (*range(lead), *(i for i in range(lead, len(shape)) if size[i - lead] == 1 and shape[i] != 1))
    return reshape(sum(self, over, True), size) if lead else sum(self, over, True) if over else self


_METHODS = (repeat, tile, repeat_interleave, flip, fliplr, flipud, roll, diag, diagflat, fill_diagonal_, sum_to_size)
for _function in _METHODS:
    setattr(Tensor, _function.__name__, _function)
