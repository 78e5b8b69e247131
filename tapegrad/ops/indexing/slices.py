"""One index for each slice along a dimension: `index_select`, `index_add` and their family.

`index_select` and `index_add` are each other's derivative.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import shapes
from ...backends.cpu import scatter as kernels
from ...core.op import Array, op
from ...core.tensor import Tensor
from ...errors import message
from ..casting import widest
from ..direct import writes
from ..reduction.reduce import sum
from ..shape.movement import broadcast_to, reshape
from .scatter import INTEGERS, scatter_reduce

__all__ = "index_select index_add index_copy index_fill index_reduce".split()


def _slices(where: str, x: Array, dim: int, index: Array, source: Array | None = None) -> int:
    """The dimension from the front; refuses an index that is not a vector or does not count the source's slices."""
    dim = shapes.axis(where, dim, x.ndim)
    if index.ndim > 1:
        raise IndexError(message(f"{where}: the index must be a vector", got=f"shape {index.shape}"))
    if index.dtype.char not in INTEGERS:
        raise RuntimeError(
            message(f"{where}: the index must be int64 or int32", got=index.dtype, fix="convert with .long()")
        )
    if source is None:
        return dim
    if source.dtype != x.dtype:
        raise RuntimeError(message(f"{where}: the dtypes differ", got=f"{x.dtype} and {source.dtype}"))
    want = (*x.shape[:dim], index.size, *x.shape[dim + 1 :]) if x.ndim else ()
    if (
        source.shape != want
        and not (source.ndim == 0 and index.size == 1 and x.ndim <= 1)
        and not (x.ndim == 0 and source.size == 1)
    ):
        text = message(f"{where}: the source does not have one slice for each index", got=source.shape, expected=want)
        raise (IndexError if where == "index_copy" and source.ndim != x.ndim else RuntimeError)(text)
    return dim


@op(name="index_select", node="IndexSelectBackward0")
def _index_select(x: Array, index: Array, dim):
    return kernels.index_select(x, _slices("index_select", x, dim, index), index)


@_index_select.shape
def _(x, index, dim):
    dim = shapes.axis("index_select", dim, len(x))
    return (*x[:dim], index[0] if index else 1, *x[dim + 1 :]) if x else ()


@_index_select.grad
def _(g, index, x_shape, dim):
    return index_select_backward(g, index, x_shape, dim)


def index_select(input: Tensor, dim: int, index: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The slices along `dim` that a vector of indices names, as a copy.

    Raises:
        IndexError: an index out of range, or not a vector.

    >>> import tapegrad as torch
    >>> torch.index_select(torch.tensor([[1, 2, 3]]), 1, torch.tensor([2, 0]))
    tensor([[3, 1]])
    """
    return _index_select(input, index, dim) if out is None else _index_select(input, index, dim, out=out)


@op
def index_select_backward(g: Array, index: Array, shape, dim):
    """Zeros of `shape` to whose slices those of `g` are added."""
    out = np.zeros(shape, g.dtype)
    kernels.index_add(out, dim % max(len(shape), 1), index, g, 1)
    return out


@index_select_backward.shape
def _(g, index, shape, dim):
    return tuple(shape)


@index_select_backward.grad
def _(g, index, dim):
    return index_select(g, dim, index)


@writes(method=True)
def index_add(x: Array, dim, index: Array, source: Array, *, alpha=1):
    """A copy of `input` with `alpha` times the slices of `source` added to the slices along `dim` that `index` names.

    Raises:
        RuntimeError: an index out of range, shapes or dtypes that do not fit.

    >>> import tapegrad as torch
    >>> torch.zeros(3).index_add(0, torch.tensor([0, 0]), torch.tensor([1.0, 2.0]))
    tensor([3., 0., 0.])
    """
    dim = _slices("index_add", x, dim, index, source)
    kernels.index_add(x, dim, index, source, alpha)


@index_add.shape
def _(x, dim, index, source, *, alpha=1):
    return x


@index_add.grad("x")
def _(g):
    return g


@index_add.grad("source")
def _(g, dim, index, alpha, source_shape):
    return reshape(index_select(g, dim, index), source_shape) * alpha


@widest
@writes(method=True)
def index_copy(x: Array, dim, index: Array, source: Array):
    """A copy of `input` with the slices of `source` in place of the slices along `dim` that `index` names.

    >>> import tapegrad as torch
    >>> torch.zeros(3).index_copy(0, torch.tensor([2]), torch.tensor([1.0]))
    tensor([0., 0., 1.])
    """
    dim = _slices("index_copy", x, dim, index, source)
    kernels.index_copy(x, dim, index, source)


@index_copy.shape
def _(x, dim, index, source):
    return x


@index_copy.grad("x")
def _(g, dim, index):
    return index_fill_value(g, dim, index, 0)


@index_copy.grad("source")
def _(g, dim, index, source_shape):
    return reshape(index_select(g, dim, index), source_shape)


@writes(name="index_fill", node="IndexFillBackward0", inplace="_index_fill_value_")
def index_fill_value(x: Array, dim, index: Array, value):
    """`index_fill` with a number."""
    dim = _slices("index_fill", x, dim, index)
    kernels.index_fill(x, dim, index, value)


@index_fill_value.shape
def _(x, dim, index, value):
    return x


@index_fill_value.grad
def _(g, dim, index):
    return index_fill_value(g, dim, index, 0)


@writes(name="index_fill_tensor", node="IndexFillBackward1", inplace="_index_fill_tensor_")
def _index_fill_tensor(x: Array, dim, index: Array, value: Array):
    if value.ndim:
        raise RuntimeError(
            message("index_fill: the value must be a number or a 0-d tensor", got=f"shape {value.shape}")
        )
    dim = _slices("index_fill", x, dim, index)
    kernels.index_fill(x, dim, index, value)


@_index_fill_tensor.shape
def _(x, dim, index, value):
    return x


@_index_fill_tensor.grad("x")
def _(g, dim, index):
    return index_fill_value(g, dim, index, 0)


@_index_fill_tensor.grad("value")
def _(g, dim, index):
    return sum(index_select(g, dim, distinct(index)))


@op(nondiff=True)
def distinct(index: Array):
    """The indices, each once."""
    return np.unique(index)


def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """A copy of `input` with a number (or 0-d tensor) in all elements of the slices along `dim` that `index` names.

    >>> import tapegrad as torch
    >>> torch.zeros(3).index_fill(0, torch.tensor([0, 2]), 1.0)
    tensor([1., 0., 1.])
    """
    return (_index_fill_tensor if isinstance(value, Tensor) else index_fill_value)(input, dim, index, value)


def index_fill_(self: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """In-place form of `index_fill`.

    >>> import tapegrad as torch
    >>> torch.zeros(3).index_fill_(0, torch.tensor([0, 2]), 1.0)
    tensor([1., 0., 1.])
    """
    method = self._index_fill_tensor_ if isinstance(value, Tensor) else self._index_fill_value_  # type: ignore[attr-defined]
    return method(dim, index, value)


def index_reduce(
    input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True, out: Any = None
) -> Tensor:
    """A copy of `input` in which slices along `dim` are combined with the slices of `source` sent to them.

    Args:
        reduce: "prod", "mean", "amax" or "amin".

    >>> import tapegrad as torch
    >>> torch.ones(2).index_reduce(0, torch.tensor([0, 0]), torch.tensor([2.0, 3.0]), "prod")
    tensor([6., 1.])
    """
    wide = _wide_index(input, dim, index, source, reduce)
    extra = {} if out is None else {"out": out}
    return scatter_reduce(input, dim, wide, source, reduce, include_self=include_self, **extra)


def _wide_index(x: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str) -> Tensor:
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(
            message("index_reduce: unknown reduce", got=repr(reduce), expected="'prod', 'mean', 'amax' or 'amin'")
        )
    dim = _slices("index_reduce", x.array, dim, index.array, source.array)
    ndim = source.ndim
    return broadcast_to(
        reshape(index, (1,) * dim + (-1,) + (1,) * (ndim - dim - 1) if ndim else ()), tuple(source.shape)
    )


def index_reduce_(
    self: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """In-place form of `index_reduce`."""
    wide = _wide_index(self, dim, index, source, reduce)
    return self.scatter_reduce_(dim, wide, source, reduce, include_self=include_self)  # type: ignore[attr-defined]


for _function in (index_select, index_reduce, index_reduce_, index_fill, index_fill_):
    setattr(Tensor, _function.__name__, _function)
_index_select.op.lone_out = True
