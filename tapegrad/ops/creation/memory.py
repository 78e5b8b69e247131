"""What holds the elements: copies of it, and tensors that take on another shape, or other memory, in place."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import devices, modes, shapes
from ...backends.cpu import index as kernels
from ...core.op import Array, op
from ...core.tensor import Tensor
from ...core.views import check_inplace
from ...errors import message
from ..shape.movement import squeeze, squeeze_name, t, transpose, unsqueeze, view

__all__ = ["clone", "ravel"]

# ---- copies ----------------------------------------------------------------------------------------------------------


@op(method=True)
def clone(x: Array, *, memory_format=None):
    """A copy of a tensor; gradients flow through it.

    Args:
        input: any shape.
        memory_format: the order of the elements in memory; by default that of the input.

    >>> import tapegrad as torch
    >>> x = torch.ones(2)
    >>> y = x.clone().fill_(5.0)
    >>> x
    tensor([1., 1.])
    """
    if memory_format is None or memory_format is devices.preserve_format:
        return kernels.copy_keeping_order(x)
    return _in_format(x, memory_format)


@clone.shape
def _(x, *, memory_format=None):
    return x


@clone.grad
def _(g):
    return g


def _in_format(x: Array, memory_format: Any) -> Array:
    """A copy of `x` in row-major order, or with the channels (dimension 1) innermost."""
    if memory_format is devices.contiguous_format:
        return x.copy()
    rank = 4 if memory_format is devices.channels_last else 5
    if x.ndim != rank:
        raise RuntimeError(message(f"memory format {memory_format}: needs {rank} dimensions", got=f"shape {x.shape}"))
    return np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1)


def contiguous(self: Tensor, memory_format: Any = devices.contiguous_format) -> Tensor:
    """The tensor itself if its elements lie in memory in the wanted order, else a copy that does.

    >>> import tapegrad as torch
    >>> torch.zeros(2, 3).t().contiguous().stride()
    (2, 1)
    """
    if memory_format is devices.preserve_format:
        raise RuntimeError(message("contiguous: preserve_format says nothing about the order"))
    if (
        self.array.flags.c_contiguous
        if memory_format is devices.contiguous_format
        else self.is_contiguous(memory_format)
    ):
        return self
    return clone(self, memory_format=memory_format)


def ravel(input: Tensor) -> Tensor:
    """All elements in row-major order as one dimension: a view if the tensor is contiguous.

    >>> import tapegrad as torch
    >>> torch.zeros(2, 3).ravel().shape
    torch.Size([6])
    """
    return view(contiguous(input), -1)


# ---- another shape in place ------------------------------------------------------------------------------------------


def changes_shape(name: str, function: Any, node: Any) -> None:
    """Give a view its in-place method, recorded as `node`: the tensor itself takes on the shape and the strides."""
    plain = function.op
    own = op(plain.body, view=True, name=name, node=node)
    for targets, formula in plain.formulas.items():
        own.grad(*targets)(formula)
    own.shape(plain.shape_rule)

    def method(self, *args, **kwargs):
        if modes.mode() is None:
            check_inplace(name, self)
        found = own(self, *args, **kwargs)
        if self._view is not None:
            self._view = found._view
        self.array, self.node = found.array, found.node
        self.bump()
        if self._view is not None:
            self._view.version = self._ver[0]
        return self

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"In-place form of `{plain.name}`: this tensor takes on the new shape; the memory stays."
    setattr(Tensor, name, method)


def resize_(self: Tensor, *sizes: Any, memory_format: Any = None) -> Tensor:
    """Change the shape in place, keeping the elements that fit in row-major order; new ones are undefined.

    Raises:
        RuntimeError: the tensor requires grad.

    >>> import tapegrad as torch
    >>> torch.arange(6).resize_(2, 2)
    tensor([[0, 1],
            [2, 3]])
    """
    shape = shapes.check_sizes("resize_", shapes.as_shape("resize_", sizes))
    if self.requires_grad:
        raise RuntimeError(message("resize_: a tensor that requires grad cannot be resized", fix="use .detach()"))
    array, n = self.array, math.prod(shape)
    if array.shape == shape:
        return self
    if n <= array.size and array.flags.c_contiguous:
        self.array = array.reshape(-1)[:n].reshape(shape)
    else:
        self.array = np.zeros(shape, array.dtype)
        kept = min(n, array.size)
        self.array.reshape(-1)[:kept] = array.reshape(-1)[:kept]
    self.bump()
    return self


def resize_as_(self: Tensor, the_template: Tensor, memory_format: Any = None) -> Tensor:
    """`self.resize_(the_template.shape)`.

    >>> import tapegrad as torch
    >>> torch.arange(4).resize_as_(torch.zeros(2))
    tensor([0, 1])
    """
    return resize_(self, the_template.array.shape)


def set_(self: Tensor, source: Tensor | None = None) -> Tensor:
    """Let this tensor share the memory, the shape and the strides of `source`; without one it becomes empty.

    Raises:
        RuntimeError: the dtypes differ, or the tensor requires grad.

    >>> import tapegrad as torch
    >>> torch.zeros(0).set_(torch.ones(2))
    tensor([1., 1.])
    """
    if source is not None and source.array.dtype != self.array.dtype:
        raise RuntimeError(message("set_: the dtypes differ", got=f"{self.dtype} and {source.dtype}"))
    if modes.mode() is None:
        check_inplace("set_", self)
    self.array = np.empty(0, self.array.dtype) if source is None else source.array
    self.node = self._view = None
    self._ver = None
    if source is not None:
        if source._ver is None:
            source._ver = [0]
        self._ver = source._ver
    self.bump()
    return self


changes_shape("squeeze_", squeeze, lambda node: squeeze_name(node, 3))
changes_shape("unsqueeze_", unsqueeze, "UnsqueezeBackward1")
changes_shape("t_", t, "TBackward1")
for _name in ("transpose_", "swapaxes_", "swapdims_"):
    changes_shape(_name, transpose, "TransposeBackward1")

for _function in (contiguous, ravel, resize_, resize_as_, set_):
    setattr(Tensor, _function.__name__, _function)
