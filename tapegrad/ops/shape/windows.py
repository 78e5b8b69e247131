"""Views of a part of a tensor: one index of a dimension, a range, a diagonal, sliding windows, arbitrary strides.

The derivative of a window is zeros with the gradient written into it (`*_backward`), and the derivative of that is
the window again. Windows that overlap (`unfold`, `as_strided`) add up where they meet.
"""

from __future__ import annotations

import builtins
import operator
from typing import Any

import numpy as np

from ... import shapes
from ...backends.cpu import index as kernels
from ...core.op import Array, op
from ...core.tensor import Tensor
from ...errors import message
from ..creation.memory import changes_shape

__all__ = ["select", "narrow", "narrow_copy", "diagonal", "as_strided", "unfold_copy"]

_ALL = builtins.slice(None)


# ---- one index of a dimension ----------------------------------------------------------------------------------------


@op(view=True, method=True)
def select(x: Array, dim, index):
    """The part of `x` at one index of a dimension, which disappears: a view.

    Raises:
        IndexError: there is no such dimension or index.

    >>> import tapegrad as torch
    >>> torch.tensor([[1, 2], [3, 4]]).select(1, 0)
    tensor([1, 3])
    """
    if dim == 0:
        return x[index, ...]
    return x[(*(_ALL,) * (dim if dim > 0 else shapes.axis("select", dim, x.ndim)), index, ...)]


@select.shape
def _(x, dim, index):
    if not x:
        raise IndexError(message("select: a 0-d tensor cannot be indexed", fix="use .item() for its number"))
    dim = shapes.axis("select", dim, len(x))
    check_index("select", index, x, dim)
    return (*x[:dim], *x[dim + 1 :])


@select.grad
def _(g, x_shape, dim, index):
    return select_backward(g, x_shape, dim, index)


@op
def select_backward(g: Array, shape, dim, index):
    """Zeros of `shape` with `g` at one index of a dimension."""
    out = np.zeros(shape, g.dtype)
    out[(*(_ALL,) * (dim % len(shape)), index)] = g
    return out


@select_backward.shape
def _(g, shape, dim, index):
    return tuple(shape)


@select_backward.grad
def _(g, dim, index):
    return select(g, dim, index)


def check_index(where: str, index: int, shape: tuple[int, ...], dim: int) -> None:
    """Refuse an index that is out of range, saying the range."""
    n = shape[dim]
    if not -n <= operator.index(index) < n:
        raise IndexError(
            message(
                f"{where}: index {operator.index(index)} is out of range for dimension {dim} with size {n}",
                got=f"shape {tuple(shape)}",
                expected=f"{-n} to {n - 1}" if n else "no index fits an empty dimension",
            )
        )


# ---- a range of a dimension ------------------------------------------------------------------------------------------


def _cut(dim: int, start: Any, end: Any, step: int) -> tuple:
    return (*(_ALL,) * dim, builtins.slice(start, end, step))


@op(view=True, name="slice")
def slice_dim(x: Array, dim, start=None, end=None, step=1):
    """The part `start:end:step` of a dimension."""
    return x[_cut(dim, start, end, step)]


@slice_dim.shape
def _(x, dim, start=None, end=None, step=1):
    return (*x[:dim], len(range(*builtins.slice(start, end, step).indices(x[dim]))), *x[dim + 1 :])


@slice_dim.grad
def _(g, x_shape, dim, start, end, step):
    return slice_backward(g, x_shape, dim, start, end, step)


@op
def slice_backward(g: Array, shape, dim, start, end, step):
    """Zeros of `shape` with `g` in the part `start:end:step` of a dimension."""
    out = np.zeros(shape, g.dtype)
    out[_cut(dim, start, end, step)] = g
    return out


@slice_backward.shape
def _(g, shape, dim, start, end, step):
    return tuple(shape)


@slice_backward.grad
def _(g, dim, start, end, step):
    return slice_dim(g, dim, start, end, step)


def _range(where: str, shape: tuple[int, ...], dim: int, start: Any, length: int) -> tuple[int, int]:
    """The dimension and the first index of a range, both counted from the front."""
    if not shape:
        raise RuntimeError(message(f"{where}: a 0-d tensor has no range"))
    dim = shapes.axis(where, dim, len(shape))
    if isinstance(start, Tensor) and (start.array.ndim or start.array.dtype.kind not in "iu"):
        raise RuntimeError(
            message(f"{where}: start must be an integer", got=f"{start.dtype} of shape {tuple(start.shape)}")
        )
    n, start = shape[dim], operator.index(start)
    if length < 0:
        raise RuntimeError(message(f"{where}: the length is negative", got=length))
    if not -n <= start <= n:
        text = message(f"{where}: start is out of range for dimension {dim}", got=start, expected=f"{-n} to {n}")
        raise IndexError(text)
    start = start + n if start < 0 else start
    if start + length > n:
        text = message(
            f"{where}: the range ends beyond dimension {dim}", got=f"{start} + {length}", expected=f"at most {n}"
        )
        raise RuntimeError(text)
    return dim, start


def narrow(input: Tensor, dim: int, start: int | Tensor, length: int) -> Tensor:
    """The `length` elements of a dimension that begin at `start`: a view.

    Raises:
        IndexError: `start` is out of range.
        RuntimeError: the range ends beyond the dimension.

    >>> import tapegrad as torch
    >>> torch.arange(5).narrow(0, 1, 3)
    tensor([1, 2, 3])
    """
    dim, start = _range("narrow", input.shape, dim, start, length)
    return slice_dim(input, dim, start, start + length, 1)


@op(name="narrow_copy")
def _narrow_copy(x: Array, dim, start, length):
    return x[_cut(dim, start, start + length, 1)].copy()


@_narrow_copy.shape
def _(x, dim, start, length):
    return (*x[:dim], length, *x[dim + 1 :])


@_narrow_copy.grad
def _(g, x_shape, dim, start, length):
    return slice_backward(g, x_shape, dim, start, start + length, 1)


def narrow_copy(input: Tensor, dim: int, start: int, length: int, *, out: Tensor | None = None) -> Tensor:
    """A copy of `input.narrow(dim, start, length)`.

    >>> import tapegrad as torch
    >>> torch.arange(5).narrow_copy(0, 1, 3)
    tensor([1, 2, 3])
    """
    if dim >= input.ndim:  # no IndexError, as PyTorch has it
        raise RuntimeError(message("narrow_copy: dim is out of range", got=f"dim={dim} of shape {tuple(input.shape)}"))
    dim, start = _range("narrow_copy", input.shape, dim, start, length)
    return _narrow_copy(input, dim, start, length) if out is None else _narrow_copy(input, dim, start, length, out=out)


# ---- diagonals -------------------------------------------------------------------------------------------------------


@op(view=True, method=True)
def diagonal(x: Array, offset=0, dim1=0, dim2=1):
    """The diagonal of two dimensions, as the last dimension of the result: a view.

    Args:
        input: at least two dimensions.
        offset: how many places above (positive) or below the main diagonal.

    Raises:
        RuntimeError: `dim1` and `dim2` are the same.
        IndexError: there is no such dimension.

    >>> import tapegrad as torch
    >>> torch.tensor([[1, 2], [3, 4]]).diagonal()
    tensor([1, 4])
    """
    return _diagonal(x, offset, dim1, dim2)


def _diagonal(x: Array, offset: int, dim1: int, dim2: int) -> Array:
    n = x.ndim
    if n < 2 or dim1 % n == dim2 % n or not -n <= dim1 < n or not -n <= dim2 < n:
        _diagonal_shape(x.shape, offset, dim1, dim2)
    found = x.diagonal(offset, dim1, dim2)
    found.flags.writeable = x.flags.writeable
    return found


def _diagonal_shape(x: tuple[int, ...], offset: int, dim1: int, dim2: int) -> tuple[int, ...]:
    a, b = shapes.axis("diagonal", dim1, len(x)), shapes.axis("diagonal", dim2, len(x))
    if a == b:
        raise RuntimeError(message("diagonal: the two dimensions must differ", got=f"dim1={dim1}, dim2={dim2}"))
    length = min(x[a], x[b] - offset) if offset >= 0 else min(x[a] + offset, x[b])
    return (*(n for i, n in enumerate(x) if i not in (a, b)), max(length, 0))


@diagonal.shape
def _(x, offset=0, dim1=0, dim2=1):
    return _diagonal_shape(x, offset, dim1, dim2)


@diagonal.grad
def _(g, x_shape, offset, dim1, dim2):
    return diagonal_backward(g, x_shape, offset, dim1, dim2)


@op
def diagonal_backward(g: Array, shape, offset, dim1, dim2):
    """Zeros of `shape` with `g` on a diagonal."""
    out = np.zeros(shape, g.dtype)
    _diagonal(out, offset, dim1, dim2)[...] = g
    return out


@diagonal_backward.shape
def _(g, shape, offset, dim1, dim2):
    return tuple(shape)


@diagonal_backward.grad
def _(g, offset, dim1, dim2):
    return diagonal(g, offset, dim1, dim2)


# ---- sliding windows -------------------------------------------------------------------------------------------------


def _windows(x: tuple[int, ...], dimension: int, size: int, step: int) -> tuple[int, tuple[int, ...]]:
    """The dimension counted from the front, and the shape of all windows."""
    dim = shapes.axis("unfold", dimension, len(x))
    n = x[dim] if x else 1
    if step <= 0:
        raise RuntimeError(message("unfold: the step must be positive", got=step))
    if size < 0:
        raise RuntimeError(message("unfold: the size is negative", got=size))
    if size > n:
        raise RuntimeError(
            message(f"unfold: a window is longer than dimension {dim}", got=size, expected=f"at most {n}")
        )
    if not x:
        return 0, (size,)
    return dim, (*x[:dim], (n - size) // step + 1, *x[dim + 1 :], size)


@op(view=True, method=True)
def unfold(x: Array, dimension, size, step):
    """All windows of `size` elements along a dimension, `step` apart: a view with the window as its last dimension.

    Raises:
        RuntimeError: a window is longer than the dimension, or the step is not positive.

    >>> import tapegrad as torch
    >>> torch.arange(5).unfold(0, 3, 2)
    tensor([[0, 1, 2],
            [2, 3, 4]])
    """
    dim, shape = _windows(x.shape, dimension, size, step)
    if x.ndim == 0:
        return kernels.strided(x, shape, (x.itemsize,))
    each = x.strides[dim]
    return kernels.strided(x, shape, (*x.strides[:dim], each * step, *x.strides[dim + 1 :], each))


@unfold.shape
def _(x, dimension, size, step):
    return _windows(x, dimension, size, step)[1]


@unfold.grad
def _(g, x_shape, dimension, size, step):
    return unfold_backward(g, x_shape, dimension, size, step)


@op
def unfold_backward(g: Array, shape, dim, size, step):
    """The windows `g` added up at the places they were taken from."""
    out = np.zeros(shape, g.dtype)
    if not shape:
        out[...] = g.sum(dtype=g.dtype)
        return out
    dim %= len(shape)
    count = g.shape[dim]
    for k in range(size):  # the k-th elements of all windows never meet
        out[_cut(dim, k, k + step * (count - 1) + 1, step)] += g[..., k]
    return out


@unfold_backward.shape
def _(g, shape, dim, size, step):
    return tuple(shape)


@unfold_backward.grad
def _(g, dim, size, step):
    return unfold(g, dim, size, step)


# ---- any strides -----------------------------------------------------------------------------------------------------


@op(view=True, name="as_strided")
def _as_strided(x: Array, size, stride, storage_offset, source):
    return kernels.restride(x, size, stride, storage_offset)


@_as_strided.shape
def _(x, size, stride, storage_offset, source):
    return size


@_as_strided.grad
def _(g, size, stride, storage_offset, source):
    return as_strided_backward(g, size, stride, storage_offset, source)


@op
def as_strided_backward(g: Array, size, stride, storage_offset, source):
    """The gradient of memory seen through one set of strides, read through that of the source."""
    return kernels.through_storage(g, (size, stride, storage_offset), source)


@as_strided_backward.shape
def _(g, size, stride, storage_offset, source):
    return source[0]


@as_strided_backward.grad
def _(g, size, stride, storage_offset, source):
    return as_strided_forward(g, size, stride, storage_offset, source)


@op
def as_strided_forward(x: Array, size, stride, storage_offset, source):
    """`as_strided` of an array that is not laid out as the source was."""
    return kernels.through_storage(x, source, (size, stride, storage_offset), add=False)


@as_strided_forward.shape
def _(x, size, stride, storage_offset, source):
    return size


@as_strided_forward.grad
def _(g, size, stride, storage_offset, source):
    return as_strided_backward(g, size, stride, storage_offset, source)


def as_strided(input: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """A view of the memory of `input` with any shape, strides and first element (all counted in elements).

    Raises:
        RuntimeError: the view would leave the memory, or there is not one stride for each size.

    >>> import tapegrad as torch
    >>> torch.arange(6).as_strided((2, 2), (3, 1))
    tensor([[0, 1],
            [3, 4]])
    """
    return _as_strided(input, *strided_arguments("as_strided", input, size, stride, storage_offset))


def strided_arguments(where: str, x: Tensor, size: Any, stride: Any, storage_offset: int | None) -> tuple:
    """Size, stride and offset, checked, and the same three of the source."""
    size, stride = shapes.as_shape(where, (size,)), shapes.as_shape(where, (stride,))
    own = x.storage_offset()
    offset = own if storage_offset is None else operator.index(storage_offset)
    if len(size) != len(stride):
        raise RuntimeError(message(f"{where}: one stride for each size", got=f"{list(size)} and {list(stride)}"))
    shapes.check_sizes(where, size)
    if offset < 0 or any(s < 0 for s in stride):
        raise RuntimeError(
            message(f"{where}: strides and the offset are not negative", got=f"{list(stride)}, {offset}")
        )
    return size, stride, offset, (tuple(x.array.shape), x.stride(), own)


def unfold_copy(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """A copy of `input.unfold(dimension, size, step)`.

    >>> import tapegrad as torch
    >>> torch.unfold_copy(torch.arange(4), 0, 2, 2)
    tensor([[0, 1],
            [2, 3]])
    """
    return unfold(input, dimension, size, step).clone()


for _function in (narrow, narrow_copy, as_strided):
    setattr(Tensor, _function.__name__, _function)


def as_strided_(self: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """In-place form of `as_strided`: this tensor takes on the shape and the strides.

    >>> import tapegrad as torch
    >>> torch.arange(4).as_strided_((2,), (2,))
    tensor([0, 2])
    """
    return self._as_strided_(*strided_arguments("as_strided_", self, size, stride, storage_offset))  # type: ignore[attr-defined]


changes_shape("_as_strided_", _as_strided, "AsStridedBackward1")
Tensor.as_strided_ = as_strided_  # type: ignore[attr-defined]
