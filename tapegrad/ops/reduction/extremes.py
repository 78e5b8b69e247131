"""The largest and the smallest: of a tensor, along dimensions, and where they are.

NaN wins, as in PyTorch. Where a whole tensor or several dimensions are reduced, equal extremes share the gradient;
where one dimension is, the first occurrence has it all.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import dtypes
from ...backends.cpu import reduce as kernels
from ...core.op import Array, op
from ...core.tensor import Tensor
from ...errors import message
from ..pointwise.bounds import maximum, minimum
from .adjoints import numpy_names, one, over, place, reduced_shape, spread

__all__ = ["amax", "amin", "aminmax", "argmax", "argmin", "max", "min"]


def refuse_nothing(where: str, x: Array, axis, kind=RuntimeError) -> None:
    """Refuse the extreme of no elements."""
    if x.size == 0 and (axis is None or 0 in [x.shape[a] for a in axis]):
        text = message(
            f"{where}: there is no extreme of nothing", got=f"shape {x.shape}", expected="a reduced size of 1 or more"
        )
        raise (kind if axis is None else IndexError)(text)


def _extreme(where: str, x: Array, dim, keepdim: bool, largest: bool):
    if x.dtype.kind == "c":
        raise NotImplementedError(message(f"{where}: complex numbers have no order"))
    axis = over(where, dim, x)
    refuse_nothing(where, x, axis)
    return kernels.extreme(x, axis, keepdim, largest)


@op(method=True)
def amax(x: Array, dim=(), keepdim=False):
    """The maximum over dimensions (default: all); equal ones share the gradient; NaN wins.

    Raises:
        IndexError: a reduced dimension is empty.

    >>> import tapegrad as torch
    >>> torch.amax(torch.tensor([[1.0, 2.0], [4.0, 3.0]]), dim=1)
    tensor([2., 4.])
    """
    return _extreme("amax", x, dim, keepdim, True)


@op(method=True)
def amin(x: Array, dim=(), keepdim=False):
    """The minimum over dimensions (default: all); equal ones share the gradient; NaN wins.

    Raises:
        IndexError: a reduced dimension is empty.

    >>> import tapegrad as torch
    >>> torch.amin(torch.tensor([[1.0, 2.0], [4.0, 3.0]]), dim=1)
    tensor([1., 3.])
    """
    return _extreme("amin", x, dim, keepdim, False)


@op(node="MaxBackward1")
def _max(x: Array):
    return _extreme("max", x, None, False, True)


@op(node="MinBackward1")
def _min(x: Array):
    return _extreme("min", x, None, False, False)


@op(nondiff=True)
def ties(x: Array, out: Array, dim=None, keepdim=False, lost=False):
    """For each element its share in the extreme `out`; a NaN is shared by all NaN if `lost`."""
    return kernels.ties(x, out, over("amax", dim, x), keepdim, lost)


def _shared(g, x, out, dim, keepdim):
    return spread(g, x.shape, dim, keepdim) * ties(x, out, dim, keepdim)


def _shared_by_all(g, x, out):
    return spread(g, x.shape) * ties(x, out, lost=True)


amax.grad(_shared), amin.grad(_shared), _max.grad(_shared_by_all), _min.grad(_shared_by_all)


def _extreme_along(where: str, x: Array, dim: int, keepdim: bool, largest: bool):
    if x.dtype.kind == "c":
        raise NotImplementedError(message(f"{where}: complex numbers have no order"))
    axis = one(where, dim, x)
    refuse_nothing(where, x, (axis,) if x.ndim else None)
    return kernels.extreme_along(x, axis, keepdim, largest)


@op(name="max", node="MaxBackward0", returns=("values", "indices"))
def _max_along(x: Array, dim, keepdim=False):
    return _extreme_along("max", x, dim, keepdim, True)


@op(name="min", node="MinBackward0", returns=("values", "indices"))
def _min_along(x: Array, dim, keepdim=False):
    return _extreme_along("min", x, dim, keepdim, False)


def placed(g, indices, x_shape, dim, keepdim):
    """The derivative of a choice of one element along `dim`."""
    return place(g, indices, x_shape, dim, keepdim)


_max_along.grad(placed), _min_along.grad(placed)


@numpy_names
def max(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Tensor | None = None, out: Any = None) -> Any:
    """The maximum of a tensor, along a dimension, or of two tensors elementwise; NaN wins.

    * `max(x)`: of all elements; equal ones share the gradient.
    * `max(x, dim, keepdim=False)`: `(values, indices)` along `dim`, of the first occurrence.
    * `max(x, other)`: the same as `maximum`.

    Raises:
        IndexError: `dim` is out of range, or empty.
        RuntimeError: the tensor is empty.

    >>> import tapegrad as torch
    >>> torch.max(torch.tensor([[1.0, 5.0], [7.0, 2.0]]), dim=1).indices
    tensor([1, 0])
    """
    return _choose("max", (_max, _max_along, maximum), input, dim, keepdim, other, out)


@numpy_names
def min(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Tensor | None = None, out: Any = None) -> Any:
    """The minimum of a tensor, along a dimension, or of two tensors elementwise; NaN wins.

    * `min(x)`: of all elements; equal ones share the gradient.
    * `min(x, dim, keepdim=False)`: `(values, indices)` along `dim`, of the first occurrence.
    * `min(x, other)`: the same as `minimum`.

    Raises:
        IndexError: `dim` is out of range, or empty.
        RuntimeError: the tensor is empty.

    >>> import tapegrad as torch
    >>> torch.min(torch.tensor([[1.0, 5.0], [7.0, 2.0]]), dim=1).indices
    tensor([0, 1])
    """
    return _choose("min", (_min, _min_along, minimum), input, dim, keepdim, other, out)


def _choose(where: str, ops: tuple, x: Any, dim: Any, keepdim: bool, other: Any, out: Any) -> Any:
    """One of the three meanings of `max` and `min`."""
    named = {} if out is None else {"out": out}
    if other is None and isinstance(dim, Tensor | np.ndarray):
        other = dim
    if other is not None:
        if not isinstance(x, Tensor | np.ndarray):
            raise TypeError(message(f"{where}: the first operand must be a tensor", got=repr(x)[:60]))
        return ops[2](x, other, **named)
    if dim is None:
        return ops[0](x, **named)
    if not hasattr(dim, "__index__"):
        raise TypeError(message(f"{where}: dim must be an integer or a tensor", got=repr(dim)[:60]))
    return ops[1](x, dim, keepdim, **named)


def _arg(where: str, x: Array, dim: int | None, keepdim: bool, largest: bool):
    if x.dtype.kind in "bc":
        raise RuntimeError(message(f"{where}: not defined for {dtypes.of(x.dtype)}"))
    axis = None if dim is None else one(where, dim, x)
    refuse_nothing(where, x, None if axis is None or not x.ndim else (axis,), IndexError)
    return kernels.arg_extreme(x, axis if x.ndim else None, keepdim, largest)


@op(method=True, nondiff=True)
def argmax(x: Array, dim=None, keepdim=False):
    """The position of the (first) maximum, in the flattened tensor or along `dim`; NaN wins.

    >>> import tapegrad as torch
    >>> torch.argmax(torch.tensor([[1.0, 5.0], [7.0, 2.0]]), dim=1)
    tensor([1, 0])
    """
    return _arg("argmax", x, dim, keepdim, True)


@op(method=True, nondiff=True)
def argmin(x: Array, dim=None, keepdim=False):
    """The position of the (first) minimum, in the flattened tensor or along `dim`; NaN wins.

    >>> import tapegrad as torch
    >>> torch.argmin(torch.tensor([[1.0, 5.0], [7.0, 2.0]]), dim=1)
    tensor([0, 1])
    """
    return _arg("argmin", x, dim, keepdim, False)


@op(method=True, name="aminmax", returns=("min", "max"), nout=2)
def aminmax(x: Array, *, dim=None, keepdim=False):
    """The minimum and the maximum, of the whole tensor or along `dim`; equal ones share the gradient.

    >>> import tapegrad as torch
    >>> torch.aminmax(torch.tensor([1.0, 3.0, 2.0])).max
    tensor(3.)
    """
    axis = None if dim is None else over("aminmax", one("aminmax", dim, x), x)
    if x.size == 0:
        refuse_nothing("aminmax", x, axis)
    return tuple(kernels.extreme(x, axis, keepdim, largest) for largest in (False, True))


@aminmax.grad
def _(gs, x, min, max, dim, keepdim):
    return _shared(gs[0], x, min, dim, keepdim) + _shared(gs[1], x, max, dim, keepdim)


for _f in (amax, amin, argmax, argmin):
    _f.shape(reduced_shape)
for _f in (_max, _min):
    _f.shape(lambda x: ())
for _f in (_max_along, _min_along):
    _f.shape(reduced_shape)
ties.shape(lambda x, *_: x)
aminmax.shape(lambda x, *, dim=None, keepdim=False: reduced_shape(x, dim, keepdim))
Tensor.max, Tensor.min = max, min  # type: ignore[attr-defined]
