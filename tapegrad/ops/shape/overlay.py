"""Copies in which a window is replaced: what a view of the tensor would show takes the values of another one."""

from __future__ import annotations

from typing import Any

from ... import shapes
from ...backends.cpu import index as kernels
from ...core.op import Array, op
from ...core.tensor import Tensor
from ...errors import message
from ..indexing.index import put_index
from .movement import reshape
from .windows import diagonal, select, slice_dim, strided_arguments

__all__ = "select_scatter slice_scatter diagonal_scatter as_strided_scatter".split()


def _scatter(name: str, view: Any) -> Any:
    """The operation that writes `y` into a copy of `x`, where `view(x, *args)` is."""

    def body(x: Array, y: Array, args):
        out = x.copy()
        window = view(out, *args)
        if window.shape != y.shape:
            raise RuntimeError(message(f"{name}: src does not fit into the window", got=y.shape, expected=window.shape))
        window[...] = y
        return out

    body.__name__ = name
    function = op(body, node="".join(part.title() for part in name.split("_")) + "Backward0")
    function.shape(lambda x, y, args: x)
    function.grad("x")(lambda g, args: clear_window(g, view, args))
    function.grad("y")(lambda g, args: view(g, *args))
    return function


@op
def clear_window(x: Array, view, args):
    """`x` with zeros where `view(x, *args)` is."""
    out = x.copy()
    view(out, *args)[...] = 0
    return out


@clear_window.shape
def _(x, view, args):
    return x


@clear_window.grad
def _(g, view, args):
    return clear_window(g, view, args)


_select_scatter = _scatter("select_scatter", select)
_slice_scatter = _scatter("slice_scatter", slice_dim)
_diagonal_scatter = _scatter("diagonal_scatter", diagonal)


def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """A copy of `input` in which `src` stands at one index of a dimension.

    >>> import tapegrad as torch
    >>> torch.zeros(2, 2).select_scatter(torch.ones(2), 0, 1)
    tensor([[0., 0.],
            [1., 1.]])
    """
    return _select_scatter(input, src, (dim, index))


def slice_scatter(
    input: Tensor,
    src: Tensor,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """A copy of `input` in which `src` stands in the part `start:end:step` of a dimension.

    >>> import tapegrad as torch
    >>> torch.zeros(4).slice_scatter(torch.ones(2), 0, 1, 3)
    tensor([0., 1., 1., 0.])
    """
    dim = shapes.axis("slice_scatter", dim, input.ndim)
    if step <= 0:
        raise RuntimeError(message("slice_scatter: the step must be positive", got=step))
    args = (dim, start, end, step)
    return _slice_scatter(input, src, args) if out is None else _slice_scatter(input, src, args, out=out)


def diagonal_scatter(input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A copy of `input` in which `src` stands on a diagonal.

    >>> import tapegrad as torch
    >>> torch.zeros(2, 2).diagonal_scatter(torch.ones(2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    return _diagonal_scatter(input, src, (offset, dim1, dim2))


def as_strided_scatter(input: Tensor, src: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """A copy of `input` in which `src` stands where `input.as_strided(size, stride, storage_offset)` would be.

    >>> import tapegrad as torch
    >>> torch.zeros(2, 2).as_strided_scatter(torch.ones(2), (2,), (3,))
    tensor([[1., 0.],
            [0., 1.]])
    """
    size, stride, offset, source = strided_arguments("as_strided_scatter", input, size, stride, storage_offset)
    if tuple(src.shape) != size:
        raise RuntimeError(
            message("as_strided_scatter: src must have the size of the window", got=tuple(src.shape), expected=size)
        )
    places = kernels.element_numbers((size, stride, offset), source)
    if (places < 0).any():
        raise RuntimeError(
            message("as_strided_scatter: the window would leave the tensor", got=f"size {size}, stride {stride}")
        )
    flat = put_index(reshape(input, -1), reshape(src, -1), (places.reshape(-1),))
    return reshape(flat, tuple(input.shape))


for _function in (select_scatter, slice_scatter, diagonal_scatter, as_strided_scatter):
    setattr(Tensor, _function.__name__, _function)
