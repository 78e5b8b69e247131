"""Tensors made of one value, or of none: `zeros`, `ones`, `full`, `empty`, `eye`, and their `_like` and `new_` forms.

Functions that make a tensor like another accept plain arrays too and then return arrays, since formulas use them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import dtypes, shapes
from ...backends.cpu import memory
from ...core import dispatch
from ...core.tensor import Tensor
from ...errors import message
from ...modes import defaults
from .cast import as_dtype, number
from .values import finish, read

__all__ = [
    "zeros", "ones", "full", "empty", "empty_strided", "empty_permuted", "eye",
    "zeros_like", "ones_like", "full_like", "empty_like",
]  # fmt: skip


def size_of(where: str, sizes: tuple, size: Any = None) -> tuple[int, ...]:
    """The shape given as `f(2, 3)`, `f((2, 3))` or `f(size=(2, 3))`.

    Raises:
        TypeError: no size, or not integers.
        RuntimeError: a negative size.
    """
    if size is not None:
        sizes = (size,)
    if not sizes:
        raise TypeError(message(f"{where}: no size given", expected=f"{where}(2, 3)"))
    shape = shapes.as_shape(where, sizes)
    return shapes.check_sizes(where, shape) if min(shape, default=0) < 0 else shape


def type_of(where: str, dtype: Any, out: Tensor | None) -> np.dtype:
    """The element type of a new tensor: as given, as `out` has it, or the default.

    Raises:
        RuntimeError: `out` has another one.
    """
    if dtype is None:
        return defaults.numpy if out is None else out.array.dtype
    found = as_dtype(where, dtype)
    if out is not None and out.array.dtype != found.numpy:
        raise RuntimeError(message(f"{where}: dtype and out disagree", got=f"{found} and {out.dtype}"))
    return found.numpy


# ---- of a given shape ----------------------------------------------------------------------------------------------


def zeros(
    *sizes: Any, size: Any = None, out: Tensor | None = None, dtype: Any = None, layout: Any = None, device: Any = None,
    pin_memory: bool = False, requires_grad: bool = False, names: Any = None,
) -> Tensor:  # fmt: skip
    """A tensor of zeros.

    Args:
        sizes: the shape, as integers or as one tuple.
        size: the shape by name.
        out: a tensor to write the result into.
        dtype: the element type (the default dtype, if not given).
        layout, device, pin_memory: accepted: strided, on the CPU, not pinned.
        requires_grad: whether to record what is computed with it.

    Raises:
        RuntimeError: a negative size.

    >>> import tapegrad as torch
    >>> torch.zeros(2, 3)
    tensor([[0., 0., 0.],
            [0., 0., 0.]])
    """
    array = np.zeros(size_of("zeros", sizes, size), type_of("zeros", dtype, out))
    return finish("zeros", array, device, requires_grad, out, layout)


def ones(
    *sizes: Any, size: Any = None, out: Tensor | None = None, dtype: Any = None, layout: Any = None, device: Any = None,
    pin_memory: bool = False, requires_grad: bool = False, names: Any = None,
) -> Tensor:  # fmt: skip
    """A tensor of ones; arguments as of `zeros`.

    >>> import tapegrad as torch
    >>> torch.ones(3, dtype=torch.int64)
    tensor([1, 1, 1])
    """
    array = np.ones(size_of("ones", sizes, size), type_of("ones", dtype, out))
    return finish("ones", array, device, requires_grad, out, layout)


def empty(
    *sizes: Any, size: Any = None, out: Tensor | None = None, dtype: Any = None, layout: Any = None, device: Any = None,
    pin_memory: bool = False, requires_grad: bool = False, memory_format: Any = None, names: Any = None,
) -> Tensor:  # fmt: skip
    """A tensor whose elements are whatever the memory held; arguments as of `zeros`, and the `memory_format`.

    >>> import tapegrad as torch
    >>> torch.empty(2, 3).shape
    torch.Size([2, 3])
    """
    array = memory.empty(size_of("empty", sizes, size), type_of("empty", dtype, out), memory_format)
    return finish("empty", array, device, requires_grad, out, layout)


def full(
    size: Any, fill_value: Any, *, out: Tensor | None = None, dtype: Any = None, layout: Any = None, device: Any = None,
    pin_memory: bool = False, requires_grad: bool = False, names: Any = None,
) -> Tensor:  # fmt: skip
    """A tensor with every element equal to `fill_value`, whose type it takes unless `dtype` is given.

    Raises:
        RuntimeError: the dtype cannot hold the value.

    >>> import tapegrad as torch
    >>> torch.full((2,), 7)
    tensor([7, 7])
    """
    value = _plain_number("full", fill_value)
    if isinstance(size, int):
        raise TypeError(message("full: the size must be a tuple", got=size, expected=f"({size},)"))
    d = dispatch.number_dtype(value) if dtype is None and out is None else dtypes.of(type_of("full", dtype, out))
    array = np.full(size_of("full", (), size), number("full", value, d), d.numpy)
    return finish("full", array, device, requires_grad, out, layout)


def _plain_number(where: str, value: Any) -> Any:
    if isinstance(value, Tensor) and value.array.ndim == 0 and not value.requires_grad:
        return value.item()
    if not isinstance(value, int | float | np.number | np.bool_ | complex):
        raise TypeError(message(f"{where}: the value must be a number", got=type(value).__name__))
    return value


def empty_strided(
    size: Any, stride: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """An uninitialised tensor whose neighbours along dimension d are `stride[d]` elements apart in memory.

    >>> import tapegrad as torch
    >>> torch.empty_strided((2, 3), (1, 2)).stride()
    (1, 2)
    """
    shape, steps = size_of("empty_strided", (), size), shapes.as_shape("empty_strided", (stride,))
    array = memory.strided(shape, steps, type_of("empty_strided", dtype, None))
    return finish("empty_strided", array, device, requires_grad, None, layout)


def empty_permuted(
    size: Any, physical_layout: Any, *, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """An uninitialised dense tensor whose dimensions lie in memory in the order `physical_layout`, outermost first.

    >>> import tapegrad as torch
    >>> torch.empty_permuted((2, 3), (1, 0)).stride()
    (1, 2)
    """
    shape, order = size_of("empty_permuted", (), size), shapes.as_shape("empty_permuted", (physical_layout,))
    if sorted(order) != list(range(len(shape))):
        what = "empty_permuted: the layout names every dimension once"
        raise RuntimeError(message(what, got=f"{order} for {len(shape)} dimensions"))
    array = np.empty([shape[d] for d in order], type_of("empty_permuted", dtype, None))
    array = array.transpose(np.argsort(order)) if order else array
    return finish("empty_permuted", array, device, requires_grad, None, layout)


def eye(
    n: int, m: int | None = None, *, out: Tensor | None = None, dtype: Any = None, layout: Any = None,
    device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The (n, m) matrix with ones on the diagonal and zeros elsewhere; square if `m` is not given.

    >>> import tapegrad as torch
    >>> torch.eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    shape = size_of("eye", (n, n if m is None else m))
    return finish("eye", np.eye(*shape, dtype=type_of("eye", dtype, out)), device, requires_grad, out, layout)


# ---- like another tensor -------------------------------------------------------------------------------------------


def _like(
    name: str, input: Any, value: Any, dtype: Any, layout: Any, device: Any, requires_grad: bool, memory_format: Any
) -> Any:
    try:
        source = input.array
    except AttributeError:
        if not isinstance(input, np.ndarray):
            raise TypeError(message(f"{name}: the argument must be a tensor", got=type(input).__name__)) from None
        source = input
    d = source.dtype if dtype is None else as_dtype(name, dtype).numpy
    array = memory.empty_like(source, d, memory_format)
    if value is not None:
        array.fill(value if value == 0 or value == 1 else number(name, value, dtypes.of(d)))
    return array if source is input else finish(name, array, device, requires_grad, None, layout)


def zeros_like(
    input: Tensor, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
    memory_format: Any = None, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """Zeros in the shape, dtype and memory order of `input`, unless given otherwise.

    >>> import tapegrad as torch
    >>> torch.zeros_like(torch.tensor([1, 2]))
    tensor([0, 0])
    """
    return _like("zeros_like", input, 0, dtype, layout, device, requires_grad, memory_format)


def ones_like(
    input: Tensor, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
    memory_format: Any = None, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """Ones in the shape, dtype and memory order of `input`, unless given otherwise.

    >>> import tapegrad as torch
    >>> torch.ones_like(torch.tensor([5.0, 6.0]))
    tensor([1., 1.])
    """
    return _like("ones_like", input, 1, dtype, layout, device, requires_grad, memory_format)


def empty_like(
    input: Tensor, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
    memory_format: Any = None, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """An uninitialised tensor in the shape, dtype and memory order of `input`, unless given otherwise.

    >>> import tapegrad as torch
    >>> torch.empty_like(torch.ones(2, 3)).shape
    torch.Size([2, 3])
    """
    return _like("empty_like", input, None, dtype, layout, device, requires_grad, memory_format)


def full_like(
    input: Tensor, fill_value: Any, *, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, memory_format: Any = None, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """`fill_value` everywhere, in the shape, dtype and memory order of `input`, unless given otherwise.

    >>> import tapegrad as torch
    >>> torch.full_like(torch.ones(2), 7)
    tensor([7., 7.])
    """
    value = _plain_number("full_like", fill_value)
    return _like("full_like", input, value, dtype, layout, device, requires_grad, memory_format)


# ---- methods: of the dtype of a tensor -----------------------------------------------------------------------------


def _new_method(name: str, make: Any, what: str) -> None:
    def method(self, *sizes, size=None, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False):
        shape = size_of(name, sizes, size)
        array = make(shape, self.array.dtype if dtype is None else as_dtype(name, dtype).numpy)
        return finish(name, array, device, requires_grad, None, layout)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"{what} of the given shape and this tensor's dtype, unless another is given."
    setattr(Tensor, name, method)


_new_method("new_zeros", np.zeros, "Zeros")
_new_method("new_ones", np.ones, "Ones")
_new_method("new_empty", np.empty, "An uninitialised tensor")


def _new_full(
    self: Tensor, size: Any, fill_value: Any, *, dtype: Any = None, layout: Any = None, device: Any = None,
    pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`fill_value` in the given shape and this tensor's dtype, unless another is given."""
    d = self.dtype if dtype is None else dtype
    return full(size, fill_value, dtype=d, layout=layout, device=device, requires_grad=requires_grad)


def _new_empty_strided(
    self: Tensor, size: Any, stride: Any, *, dtype: Any = None, layout: Any = None, device: Any = None,
    pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """An uninitialised tensor with the given strides and this tensor's dtype, unless another is given."""
    d = self.dtype if dtype is None else dtype
    return empty_strided(size, stride, dtype=d, layout=layout, device=device, requires_grad=requires_grad)


def _new(self: Tensor, *data: Any, device: Any = None) -> Tensor:
    """Old form of `new_empty(sizes)` and `new_tensor(data)`."""
    return legacy("new", self.array.dtype, data, device)


def legacy(where: str, d: np.dtype, data: tuple, device: Any = None) -> Tensor:
    """What PyTorch's old constructors take: nothing, sizes, or data."""
    only = data[0] if len(data) == 1 else None
    if isinstance(only, Tensor):
        if only.array.dtype != d:
            what = f"{where}: a tensor of another dtype"
            raise TypeError(message(what, got=only.dtype, expected=dtypes.of(d), fix="x.to(dtype)"))
        return finish(where, only.array, device)
    if len(data) == 1 and (isinstance(only, np.ndarray) or not isinstance(only, int | np.integer | shapes.Size)):
        return finish(where, read(where, only, dtypes.of(d)), device)
    return finish(where, np.zeros(size_of(where, data or (0,)), d), device)


Tensor.new_full = _new_full
Tensor.new_empty_strided = _new_empty_strided
Tensor.new = _new
