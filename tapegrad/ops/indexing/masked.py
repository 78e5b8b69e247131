"""Masks, positions in the flattened tensor, and the indices of what is not zero."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from ... import devices, dtypes, modes, shapes
from ...backends.cpu import index as kernels
from ...core import dispatch
from ...core.op import Array, op
from ...core.tensor import Tensor, edge, wrap
from ...errors import message
from ..direct import writes
from ..pointwise.compare import where
from ..reduction.reduce import sum
from ..shape.movement import reshape

__all__ = """
    masked_fill masked_select masked_scatter take put nonzero nonzero_static argwhere one_hot tril_indices
    triu_indices unravel_index
""".split()


# ---- masks -----------------------------------------------------------------------------------------------------------


def _check_mask(name: str, mask: Array) -> None:
    if mask.dtype != np.bool_:
        raise RuntimeError(
            message(f"{name}: the mask must be boolean", got=mask.dtype, fix="compare, or convert with .bool()")
        )


def _filled(x: Array, mask: Array, value: Any) -> Array:
    _check_mask("masked_fill", mask)
    out = (
        x.copy()
        if mask.shape == x.shape
        else np.broadcast_to(x, shapes.broadcast("masked_fill", x.shape, mask.shape)).copy()
    )
    np.copyto(out, value, where=mask, casting="unsafe")
    return out


@op(name="masked_fill", node="MaskedFillBackward0")
def _fill_number(x: Array, mask: Array, value):
    return _filled(x, mask, _number(value, x.dtype))


def _number(value: Any, dtype: np.dtype) -> Any:
    """A Python number that the dtype can hold."""
    if isinstance(value, complex) and dtype.kind != "c":
        raise RuntimeError(message(f"masked_fill: a complex number does not fit into {dtypes.of(dtype)}", got=value))
    return np.asarray(value).astype(dtype)


@_fill_number.shape
def _(x, mask, value):
    return shapes.broadcast("masked_fill", x, mask)


@_fill_number.grad
def _(g, mask):
    return _fill_number(g, mask, 0)


@op(name="masked_fill_tensor", node="MaskedFillBackward1")
def _fill_tensor(x: Array, mask: Array, value: Array):
    if value.ndim:
        raise RuntimeError(
            message("masked_fill: the value must be a number or a 0-d tensor", got=f"shape {value.shape}")
        )
    if value.dtype.kind == "c" and x.dtype.kind != "c":
        raise RuntimeError(message(f"masked_fill: a complex number does not fit into {dtypes.of(x.dtype)}"))
    return _filled(x, mask, value)


@_fill_tensor.shape
def _(x, mask, value):
    return shapes.broadcast("masked_fill", x, mask)


@_fill_tensor.grad("x")
def _(g, mask):
    return _fill_number(g, mask, 0)


@_fill_tensor.grad("value")
def _(g, mask):
    return sum(where(mask, g, 0))


_fill_number.op.fills = _fill_tensor.op.fills = True


def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """A copy of `input` with `value` where the mask is true; `input` and `mask` broadcast.

    Args:
        mask: bool.
        value: a number or a 0-d tensor.

    Raises:
        RuntimeError: the mask is not boolean.

    >>> import tapegrad as torch
    >>> x = torch.tensor([1.0, -2.0])
    >>> x.masked_fill(x < 0, 0)
    tensor([1., 0.])
    """
    return (_fill_tensor if isinstance(value, Tensor) else _fill_number)(input, mask, value)


def masked_fill_(self: Tensor, mask: Tensor, value: Any) -> Tensor:
    """In-place form of `masked_fill`.

    >>> import tapegrad as torch
    >>> x = torch.tensor([1.0, -2.0])
    >>> x.masked_fill_(x < 0, 0)
    tensor([1., 0.])
    """
    tensor = isinstance(value, Tensor)
    if modes.mode() is None and (edge(self) is not None or (tensor and edge(value) is not None)):
        own = (_fill_tensor if tensor else _fill_number).op
        return dispatch.call_inplace(own, "masked_fill_", self, (mask, value), {})
    _check_mask("masked_fill_", mask.array)
    if shapes.broadcast("masked_fill_", self.array.shape, mask.array.shape) != self.array.shape:
        raise RuntimeError(
            message("masked_fill_: the mask is larger than the tensor", got=f"{mask.array.shape} on {self.array.shape}")
        )
    if tensor and value.array.ndim:
        raise RuntimeError(
            message("masked_fill_: the value must be a number or a 0-d tensor", got=f"shape {value.array.shape}")
        )
    number = value.array if tensor else _number(value, self.array.dtype)
    np.copyto(self.array, number, where=mask.array, casting="unsafe")
    self.bump()
    return self


@op(method=True)
def masked_select(x: Array, mask: Array):
    """The elements where the mask is true, in row-major order, as a vector; `input` and `mask` broadcast.

    Raises:
        RuntimeError: the mask is not boolean.

    >>> import tapegrad as torch
    >>> x = torch.tensor([[1, 5], [7, 2]])
    >>> x.masked_select(x > 2)
    tensor([5, 7])
    """
    _check_mask("masked_select", mask)
    if x.shape != mask.shape:
        shape = shapes.broadcast("masked_select", x.shape, mask.shape)
        x, mask = np.broadcast_to(x, shape), np.broadcast_to(mask, shape)
    return x[mask]


@masked_select.grad
def _(g, mask, x_shape):
    return masked_select_backward(g, mask, x_shape)


@op
def masked_select_backward(g: Array, mask: Array, shape):
    """Zeros with `g` where the mask is true."""
    common = np.broadcast_shapes(shape, mask.shape)
    out = np.zeros(common, g.dtype)
    out[mask if mask.shape == common else np.broadcast_to(mask, common)] = g
    return out


@masked_select_backward.shape
def _(g, mask, shape):
    return shapes.broadcast("masked_select", shape, mask)


@masked_select_backward.grad
def _(g, mask):
    return masked_select(g, mask)


@op(method=True, inplace=True)
def masked_scatter(x: Array, mask: Array, source: Array):
    """A copy of `input` with the elements of `source`, in order, where the mask is true; `input` and `mask` broadcast.

    Raises:
        RuntimeError: `source` has fewer elements than the mask has true ones.

    >>> import tapegrad as torch
    >>> torch.zeros(3).masked_scatter(torch.tensor([True, False, True]), torch.tensor([1.0, 2.0]))
    tensor([1., 0., 2.])
    """
    _check_mask("masked_scatter", mask)
    if source.dtype != x.dtype:
        raise RuntimeError(message("masked_scatter: the dtypes differ", got=f"{x.dtype} and {source.dtype}"))
    shape = shapes.broadcast("masked_scatter", x.shape, mask.shape)
    out = np.broadcast_to(x, shape).copy()
    mask = np.broadcast_to(mask, shape)
    count = np.count_nonzero(mask)
    if count > source.size:
        got = f"{source.size} elements for {count} places"
        raise RuntimeError(message("masked_scatter: the source has too few elements", got=got))
    out[mask] = source.reshape(-1)[:count]
    return out


@masked_scatter.shape
def _(x, mask, source):
    return shapes.broadcast("masked_scatter", x, mask)


@masked_scatter.grad("x")
def _(g, mask):
    return _fill_number(g, mask, 0)


@masked_scatter.grad("source")
def _(g, mask, source_shape):
    return masked_scatter_backward(g, mask, source_shape)


@op
def masked_scatter_backward(g: Array, mask: Array, shape):
    """The elements of `g` where the mask is true, in order, then zeros, in `shape`."""
    picked = g[np.broadcast_to(mask, g.shape)]
    out = np.zeros(shape, g.dtype)
    out.reshape(-1)[: picked.size] = picked
    return out


@masked_scatter_backward.shape
def _(g, mask, shape):
    return tuple(shape)


@masked_scatter_backward.grad
def _(g, mask, g_shape):
    return masked_scatter_forward(g, mask, g_shape)


@op
def masked_scatter_forward(x: Array, mask: Array, shape):
    """Zeros of `shape` with the elements of `x`, in order, where the mask is true."""
    out = np.zeros(shape, x.dtype)
    mask = np.broadcast_to(mask, shape)
    out[mask] = x.reshape(-1)[: np.count_nonzero(mask)]
    return out


@masked_scatter_forward.shape
def _(x, mask, shape):
    return tuple(shape)


@masked_scatter_forward.grad
def _(g, mask, x_shape):
    return masked_scatter_backward(g, mask, x_shape)


# ---- positions in the flattened tensor -------------------------------------------------------------------------------


def _positions(where_: str, x: Array, index: Array) -> Array:
    """Positions counted from the front."""
    if index.dtype != np.int64:
        raise RuntimeError(message(f"{where_}: the index must be int64", got=index.dtype))
    n = x.size
    if index.size and (int(index.min()) < -n or int(index.max()) >= n):
        raise IndexError(
            message(
                f"{where_}: an index is out of range", expected=f"{-n} to {n - 1}" if n else "an input with elements"
            )
        )
    return np.where(index < 0, index + n, index)


@op(method=True)
def take(x: Array, index: Array):
    """The elements at positions in the flattened tensor; the result has the shape of `index`.

    Raises:
        IndexError: a position is out of range.

    >>> import tapegrad as torch
    >>> torch.take(torch.tensor([[4, 3], [5, 6]]), torch.tensor([0, -1]))
    tensor([4, 6])
    """
    return np.asarray(x.reshape(-1).take(_positions("take", x, index)))


@take.shape
def _(x, index):
    return index


@take.grad
def _(g, index, x_shape):
    return take_backward(g, index, x_shape)


@op
def take_backward(g: Array, index: Array, shape):
    """Zeros of `shape` to which `g` is added at positions in the flattened tensor."""
    out = np.zeros(shape, g.dtype)
    kernels.scatter_rows(out.reshape(-1), np.where(index < 0, index + out.size, index).reshape(-1), g.reshape(-1))
    return out


@take_backward.shape
def _(g, index, shape):
    return tuple(shape)


@take_backward.grad
def _(g, index):
    return take(g, index)


@writes(method=True)
def put(x: Array, index: Array, source: Array, accumulate=False):
    """A copy of `input` with `source` written (or added) at positions in the flattened tensor.

    Raises:
        IndexError: a position is out of range, or `source` and `index` have unequal numbers of elements.

    >>> import tapegrad as torch
    >>> torch.put(torch.zeros(2, 2), torch.tensor([1, 2]), torch.tensor([5.0, 6.0]))
    tensor([[0., 5.],
            [6., 0.]])
    """
    if source.dtype != x.dtype:
        raise RuntimeError(message("put: the dtypes differ", got=f"{x.dtype} and {source.dtype}"))
    if source.size != index.size:
        raise IndexError(message("put: as many elements as indices", got=f"{source.size} and {index.size}"))
    places = _positions("put", x, index).reshape(-1)
    flat = x.reshape(-1)
    if accumulate:
        kernels.scatter_rows(flat, places, source.reshape(-1))
    else:
        flat[places] = source.reshape(-1)
    if not kernels.shares(flat, x):
        x[...] = flat.reshape(x.shape)


@put.shape
def _(x, index, source, accumulate=False):
    return x


@put.grad("x")
def _(g, index, accumulate):
    return g if accumulate else clear_positions(g, index)


@put.grad("source")
def _(g, index, source_shape):
    return reshape(take(g, index), source_shape)


@op
def clear_positions(x: Array, index: Array):
    """`x` with zeros at positions in the flattened tensor."""
    out = x.copy()
    out.reshape(-1)[index.reshape(-1)] = 0
    return out


@clear_positions.shape
def _(x, index):
    return x


@clear_positions.grad
def _(g, index):
    return clear_positions(g, index)


# ---- where things are ------------------------------------------------------------------------------------------------


@op(name="nonzero", nondiff=True)
def _nonzero(x: Array):
    if x.ndim == 0:
        return np.empty((int(bool(x)), 0), np.int64)
    return np.stack(x.nonzero(), 1).astype(np.int64, copy=False)


def nonzero(input: Tensor, *, as_tuple: bool = False, out: Tensor | None = None) -> Any:
    """The indices of all elements that are not zero, as rows; or, with `as_tuple`, one vector for each dimension.

    >>> import tapegrad as torch
    >>> torch.nonzero(torch.tensor([[0, 1], [2, 0]]))
    tensor([[0, 1],
            [1, 0]])
    """
    if as_tuple:
        array = np.atleast_1d(input.array)
        return tuple(wrap(i.astype(np.int64, copy=False)) for i in array.nonzero())
    return _nonzero(input) if out is None else _nonzero(input, out=out)


def nonzero_static(input: Tensor, *, size: int, fill_value: int = -1, out: Tensor | None = None) -> Tensor:
    """`nonzero` with a given number of rows: cut off, or filled up with `fill_value`.

    >>> import tapegrad as torch
    >>> torch.nonzero_static(torch.tensor([0, 1]), size=2)
    tensor([[ 1],
            [-1]])
    """
    if size < 0:
        raise RuntimeError(message("nonzero_static: the size is negative", got=size))
    rows = _nonzero(input).array[:size]
    found = np.full((size, input.ndim), fill_value, np.int64)
    found[: len(rows)] = rows
    if out is None:
        return wrap(found)
    out.copy_(wrap(found))
    return out


def argwhere(input: Tensor) -> Tensor:
    """The indices of all elements that are not zero, as rows: `nonzero` under NumPy's name.

    >>> import tapegrad as torch
    >>> torch.argwhere(torch.tensor([0, 5]))
    tensor([[1]])
    """
    return _nonzero(input)


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """A new last dimension that is 1 at the class and 0 elsewhere.

    Args:
        tensor: class numbers, int64, any shape.
        num_classes: the size of the new dimension; -1 for one more than the largest class.

    Raises:
        RuntimeError: a class is negative or not below `num_classes`, or the dtype is not int64.

    >>> import tapegrad as torch
    >>> torch.nn.functional.one_hot(torch.tensor([0, 2]))
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    array = tensor.array
    if array.dtype != np.int64:
        raise RuntimeError(
            message("one_hot: class numbers must be int64", got=tensor.dtype, fix="convert with .long()")
        )
    if array.size == 0:
        if num_classes <= 0:
            raise RuntimeError(
                message("one_hot: the number of classes cannot be told from an empty tensor", fix="give num_classes")
            )
        return wrap(np.zeros((*array.shape, num_classes), np.int64))
    if array.min() < 0:
        raise RuntimeError(message("one_hot: class numbers must not be negative", got=int(array.min())))
    if num_classes == -1:
        num_classes = int(array.max()) + 1
    elif num_classes < 1:
        raise RuntimeError(message("one_hot: num_classes must be positive", got=num_classes))
    if array.max() >= num_classes:
        raise RuntimeError(
            message(
                "one_hot: class numbers must be below num_classes", got=int(array.max()), expected=f"< {num_classes}"
            )
        )
    out = np.zeros((array.size, num_classes), np.int64)
    out[np.arange(array.size), array.reshape(-1)] = 1
    return wrap(out.reshape(*array.shape, num_classes))


def _triangle(where_: str, lower: bool, row: int, col: int, offset: int, dtype: Any, device: Any) -> Tensor:
    devices.check_device(where_, device)
    if row < 0 or col < 0:
        raise RuntimeError(message(f"{where_}: the sizes must not be negative", got=f"{row} by {col}"))
    target = np.int64 if dtype is None else dtype.numpy
    return wrap(kernels.triangle(lower, row, col, offset, np.dtype(target)))


def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None, layout: Any = None
) -> Tensor:
    """The indices of the lower triangle of a `row` by `col` matrix: one row for each dimension.

    >>> import tapegrad as torch
    >>> torch.tril_indices(2, 2)
    tensor([[0, 1, 1],
            [0, 0, 1]])
    """
    return _triangle("tril_indices", True, row, col, offset, dtype, device)


def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None, layout: Any = None
) -> Tensor:
    """The indices of the upper triangle of a `row` by `col` matrix: one row for each dimension.

    >>> import tapegrad as torch
    >>> torch.triu_indices(2, 2)
    tensor([[0, 0, 1],
            [0, 1, 1]])
    """
    return _triangle("triu_indices", False, row, col, offset, dtype, device)


def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """Positions in a flattened tensor as indices of each dimension.

    Raises:
        TypeError: the indices are not integers.
        ValueError: a size is negative.

    >>> import tapegrad as torch
    >>> torch.unravel_index(torch.tensor([5, 7]), (3, 4))
    (tensor([1, 1]), tensor([1, 3]))
    """
    if not isinstance(indices, Tensor) or indices.array.dtype.kind not in "iu":
        got = indices.dtype if isinstance(indices, Tensor) else type(indices).__name__
        raise TypeError(message("unravel_index: the indices must be an integer tensor", got=got))
    shape = (operator.index(shape),) if hasattr(shape, "__index__") else shapes.as_shape("unravel_index", (shape,))
    if any(n < 0 for n in shape):
        raise ValueError(message("unravel_index: a size is negative", got=shape))
    steps = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
    flat = indices.array
    return tuple(wrap(np.asarray(flat // s % n)) for s, n in zip(steps, shape))


for _function in (masked_fill, masked_fill_, nonzero, nonzero_static, argwhere):
    setattr(Tensor, _function.__name__, _function)
masked_select.op.lone_out = take.op.lone_out = True
