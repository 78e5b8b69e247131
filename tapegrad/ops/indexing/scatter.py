"""One index for each element: `gather` and `scatter*`, where the index replaces the coordinate of one dimension.

`gather` and `scatter_add` are each other's derivative.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import shapes
from ...backends.cpu import scatter as kernels
from ...core.op import Array, op
from ...core.tensor import Tensor
from ...errors import message
from ..direct import writes
from ..pointwise.compare import where
from ..shape.movement import broadcast_to, reshape
from .index import basic_index_backward

__all__ = "gather scatter scatter_add scatter_reduce take_along_dim".split()


INTEGERS = "ilq"  # the dtype characters of int32 and int64

# ---- checks ----------------------------------------------------------------------------------------------------------


def _lines(where: str, x: Array, dim: int, index: Array, source: Array | None = None) -> int:
    """The dimension from the front; refuses an index or a source that does not lie within the others' sizes."""
    dim = shapes.axis(where, dim, x.ndim)
    if index.size == 0:
        return dim
    if index.dtype.char not in INTEGERS:
        raise RuntimeError(
            message(f"{where}: the index must be int64 or int32", got=index.dtype, fix="convert with .long()")
        )
    if source is None and index.ndim == x.ndim == 2 and index.shape[1 - dim] <= x.shape[1 - dim]:
        return dim  # nothing else can be wrong
    others = (x,) if source is None else (x, source)
    if any(max(index.ndim, 1) != max(a.ndim, 1) for a in others):
        text = message(f"{where}: the index needs as many dimensions as the other tensors", got=_shapes(index, *others))
        raise RuntimeError(text)
    sizes = (1,) if x.ndim == 0 else x.shape
    for i, n in enumerate(index.shape):
        if (i != dim and n > sizes[i]) or (source is not None and source.ndim and n > source.shape[i]):
            text = message(
                f"{where}: the index is larger than another tensor in dimension {i}", got=_shapes(index, *others)
            )
            raise RuntimeError(text)
    if source is not None and source.dtype != x.dtype:
        raise RuntimeError(message(f"{where}: the dtypes differ", got=f"{x.dtype} and {source.dtype}"))
    return dim


def _shapes(index: Array, *others: Array) -> str:
    return f"index {index.shape}, " + " and ".join(str(a.shape) for a in others)


# ---- gather ----------------------------------------------------------------------------------------------------------


@op(name="gather", node="GatherBackward0")
def _gather(x: Array, index: Array, dim):
    return kernels.gather(x, _lines("gather", x, dim, index), index)


@_gather.shape
def _(x, index, dim):
    return index


@_gather.grad
def _(g, index, x_shape, dim):
    return gather_backward(g, index, x_shape, dim)


@op
def gather_backward(g: Array, index: Array, shape, dim):
    """Zeros of `shape` to which `g` is added where it was picked."""
    out = np.zeros(shape, g.dtype)
    kernels.scatter_add(out, dim % max(len(shape), 1), index, g)
    return out


@gather_backward.shape
def _(g, index, shape, dim):
    return tuple(shape)


@gather_backward.grad
def _(g, index, dim):
    return gather(g, dim, index)


def gather(input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False, out: Tensor | None = None) -> Tensor:
    """Pick one element of a line for each index: `out[i][j] = x[index[i][j]][j]` for `dim` 0.

    Args:
        input: any shape.
        dim: the dimension that the index replaces.
        index: int64, as many dimensions as `input`, not larger than it in the others; the shape of the result.
        sparse_grad: has no effect here: gradients are dense.

    Raises:
        RuntimeError: an index out of range, or shapes that do not fit.

    >>> import tapegrad as torch
    >>> torch.gather(torch.tensor([[1, 2], [3, 4]]), 1, torch.tensor([[0], [1]]))
    tensor([[1],
            [4]])
    """
    return _gather(input, index, dim) if out is None else _gather(input, index, dim, out=out)


def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None, *, out: Tensor | None = None) -> Tensor:
    """`gather` with the other dimensions broadcast; without `dim` both are flattened.

    >>> import tapegrad as torch
    >>> x = torch.tensor([[3, 1], [2, 4]])
    >>> torch.take_along_dim(x, torch.argsort(x, 1), 1)
    tensor([[1, 3],
            [2, 4]])
    """
    if indices.array.dtype != np.int64:
        raise RuntimeError(message("take_along_dim: the indices must be int64", got=indices.dtype))
    extra = {} if out is None else {"out": out}
    if dim is None:
        return gather(reshape(input, -1), 0, reshape(indices, -1) % max(input.numel(), 1), **extra)
    if input.ndim != indices.ndim:
        got = f"{tuple(input.shape)} and {tuple(indices.shape)}"
        raise RuntimeError(message("take_along_dim: as many dimensions in both", got=got))
    dim = shapes.axis("take_along_dim", dim, input.ndim)
    have, want = list(input.shape), list(indices.shape)
    common = shapes.broadcast("take_along_dim", (*have[:dim], 1, *have[dim + 1 :]), (*want[:dim], 1, *want[dim + 1 :]))
    have = [*common[:dim], have[dim], *common[dim + 1 :]]
    want = [*common[:dim], want[dim], *common[dim + 1 :]]
    return gather(broadcast_to(input, have), dim, broadcast_to(indices, want) % max(have[dim], 1), **extra)


# ---- scatter ---------------------------------------------------------------------------------------------------------


def _part(g: Any, index: Any, shape: tuple[int, ...], dim: int) -> Any:
    """The gradient of a source of `shape`, of which `index` uses the leading part."""
    found = gather(g, dim, index)
    if found.shape == shape:
        return found
    return basic_index_backward(found, shape, tuple(slice(0, n) for n in index.shape))


@writes(name="scatter", node="ScatterBackward0", inplace="_scatter_source_")
def scatter_source(x: Array, dim, index: Array, src: Array):
    """`scatter` of a tensor."""
    dim = _lines("scatter", x, dim, index, src)
    if index.size:
        kernels.scatter(x, dim, index, src)


@scatter_source.shape
def _(x, dim, index, src):
    return x


@scatter_source.grad("x")
def _(g, dim, index):
    return scatter_value(g, dim, index, 0)


@scatter_source.grad("src")
def _(g, dim, index, src_shape):
    return _part(g, index, src_shape, dim)


@writes(name="scatter_value", node="ScatterBackward1", inplace="_scatter_value_")
def scatter_value(x: Array, dim, index: Array, value):
    """`scatter` of a number."""
    dim = _lines("scatter", x, dim, index)
    if index.size:
        kernels.scatter_value(x, dim, index, value)


@scatter_value.shape
def _(x, dim, index, value):
    return x


@scatter_value.grad
def _(g, dim, index):
    return scatter_value(g, dim, index, 0)


@writes(name="scatter_combine", node="torch::autograd::NotImplemented", nondiff=True, inplace="_scatter_combine_")
def _scatter_combine(x: Array, dim, index: Array, src: Array, reduce):
    dim = _lines("scatter", x, dim, index, src)
    if index.size:
        kernels.scatter_reduce(x, dim, index, src, reduce, True)


@_scatter_combine.shape
def _(x, dim, index, src, reduce):
    return x


def scatter(
    input: Tensor,
    dim: int,
    index: Tensor,
    src: Any = None,
    *,
    value: Any = None,
    reduce: str | None = None,
    out: Any = None,
) -> Tensor:
    """A copy of `input` with `src` written where `index` says: `out[index[i][j]][j] = src[i][j]` for `dim` 0.

    Args:
        index: int64, as many dimensions as `input`, not larger than `src`, nor (but along `dim`) than `input`.
        src: a tensor of the dtype of `input`, or a number.
        reduce: "add" or "multiply" instead of writing; not differentiable: prefer `scatter_reduce`.

    Raises:
        RuntimeError: an index out of range, shapes or dtypes that do not fit.

    >>> import tapegrad as torch
    >>> torch.zeros(2, 2).scatter(1, torch.tensor([[1], [0]]), 1.0)
    tensor([[0., 1.],
            [1., 0.]])
    """
    function, rest = _scatter_of(index, input, value if src is None else src, reduce)
    return function(input, dim, index, *rest) if out is None else function(input, dim, index, *rest, out=out)


def _scatter_of(index: Tensor, x: Tensor, value: Any, reduce: str | None) -> tuple[Any, tuple]:
    """Which operation `scatter` is, and its last arguments."""
    if reduce is None:
        return (scatter_source if isinstance(value, Tensor) else scatter_value), (value,)
    if reduce not in ("add", "multiply"):
        raise RuntimeError(message("scatter: unknown reduce", got=repr(reduce), expected="'add' or 'multiply'"))
    if not isinstance(value, Tensor):
        value = x.new_full(tuple(index.shape), value)
    return _scatter_combine, (value, "sum" if reduce == "add" else "prod")


_SCATTER_METHODS = {
    scatter_source: "_scatter_source_",
    scatter_value: "_scatter_value_",
    _scatter_combine: "_scatter_combine_",
}


def scatter_(
    self: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None, reduce: str | None = None
) -> Tensor:
    """In-place form of `scatter`.

    >>> import tapegrad as torch
    >>> torch.zeros(3).scatter_(0, torch.tensor([2]), 1.0)
    tensor([0., 0., 1.])
    """
    function, rest = _scatter_of(index, self, value if src is None else src, reduce)
    return getattr(self, _SCATTER_METHODS[function])(dim, index, *rest)


@writes(method=True)
def scatter_add(x: Array, dim, index: Array, src: Array):
    """A copy of `input` with `src` added where `index` says: `out[index[i][j]][j] += src[i][j]` for `dim` 0.

    Args:
        index: int64, as many dimensions as `input`, not larger than `src`, nor (but along `dim`) than `input`.

    Raises:
        RuntimeError: an index out of range, shapes or dtypes that do not fit.

    >>> import tapegrad as torch
    >>> torch.zeros(3).scatter_add(0, torch.tensor([0, 0, 2]), torch.tensor([1.0, 2.0, 3.0]))
    tensor([3., 0., 3.])
    """
    dim = _lines("scatter_add", x, dim, index, src)
    if index.size:
        kernels.scatter_add(x, dim, index, src)


@scatter_add.shape
def _(x, dim, index, src):
    return x


@scatter_add.grad("x")
def _(g):
    return g


@scatter_add.grad("src")
def _(g, dim, index, src_shape):
    return _part(g, index, src_shape, dim)


# ---- scatter_reduce ---------------------------------------------------------------------------------


@writes(method=True)
def scatter_reduce(x: Array, dim, index: Array, src: Array, reduce, *, include_self=True):
    """A copy of `input` in which elements are combined with those of `src` that `index` sends to them.

    Args:
        reduce: "sum", "prod", "mean", "amax" or "amin".
        include_self: whether the elements of `input` take part where something is sent to.

    Raises:
        RuntimeError: an index out of range, shapes or dtypes that do not fit.

    >>> import tapegrad as torch
    >>> index, src = torch.tensor([0, 0, 1]), torch.tensor([1.0, 3.0, 2.0])
    >>> torch.zeros(2).scatter_reduce(0, index, src, "mean", include_self=False)
    tensor([2., 2.])
    """
    dim = _lines("scatter_reduce", x, dim, index, src)
    if index.size or reduce not in ("sum", "prod", "mean", "amax", "amin"):
        kernels.scatter_reduce(x, dim, index, src, reduce, include_self)


@scatter_reduce.shape
def _(x, dim, index, src, reduce, *, include_self=True):
    return x


@scatter_reduce.grad("x", "src")
def _(g, x, dim, index, src, reduce, include_self, out):
    own, sent = _reduce_gradients(g, x, dim, index, src, reduce, include_self, out)
    if not include_self:
        own = scatter_value(own, dim, index, 0)
    return own, sent


def _reduce_gradients(g, x, dim, index, src, reduce, include_self, out) -> tuple:
    """Gradients of the input (as if it took part) and of the source."""
    shape = tuple(src.shape)
    if reduce == "sum":
        return g, _part(g, index, shape, dim)
    if reduce == "mean":
        g = g / arrivals(x, index, None, x == x if include_self else None, dim)
        return g, _part(g, index, shape, dim)
    if reduce == "prod":
        return _product_gradients(g, x, dim, index, src, include_self, out)
    chosen, picked = x == out, src == _part(out, index, shape, dim)
    g = g / arrivals(x, index, picked, chosen, dim)
    return where(chosen, g, 0), where(picked, _part(g, index, shape, dim), 0)


@op(nondiff=True)
def arrivals(x: Array, index: Array, sent: Array | None, own: Array | None, dim):
    """How many true elements of `sent` (None: all) arrive at each place of `x`, its own included; 1 where none does."""
    found = np.zeros(x.shape, x.dtype) if own is None else np.array(own, x.dtype)
    if index.size:
        source = np.ones(index.shape, x.dtype) if sent is None else np.array(sent, x.dtype)
        kernels.scatter_add(found, dim % max(x.ndim, 1), index, source)
    found[found == 0] = 1
    return found


@arrivals.shape
def _(x, index, sent, own, dim):
    return x


def _product_gradients(g, x, dim, index, src, include_self, out) -> tuple:
    """A product without one factor is the product divided by it, unless that is 0: then the others are multiplied."""
    shape = tuple(src.shape)
    safe = where(x == 0, 1, x)
    own = g * scatter_reduce(safe, dim, index, src, "prod", include_self=include_self) / safe
    zero = src == 0
    single = zero & (_part(arrivals(x, index, zero, None, dim), index, shape, dim) == 1)
    others = scatter_reduce(x, dim, index, where(single, 1, src), "prod", include_self=include_self)
    alone = _part(g * others, index, shape, dim)
    return own, where(single, alone, _part(g * out, index, shape, dim) / where(zero, 1, src))


for _function in (gather, take_along_dim, scatter, scatter_):
    setattr(Tensor, _function.__name__, _function)
_gather.op.lone_out = True
