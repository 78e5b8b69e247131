"""Conversion of element types, and writing into a tensor: `to`, `float`, `copy_`, `fill_`.

A conversion that changes nothing returns the tensor itself. The gradient of one is the conversion back, which the
engine does for every input. An element converted to an integer type is truncated as in C.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import devices, dtypes
from ...backends.cpu import memory
from ...core import dispatch
from ...core.op import Array, op
from ...core.tensor import Tensor, wrap
from ...errors import message
from ...modes import NO_GRAD, defaults, mode

__all__ = ["fill", "zero_"]

_PYTHON = {float: dtypes.float64, int: dtypes.int64, bool: dtypes.bool_, complex: dtypes.complex128}
LEGACY = {  # the names of PyTorch's old tensor classes
    "FloatTensor": dtypes.float32,
    "DoubleTensor": dtypes.float64,
    "HalfTensor": dtypes.float16,
    "BFloat16Tensor": dtypes.bfloat16,
    "ByteTensor": dtypes.uint8,
    "CharTensor": dtypes.int8,
    "ShortTensor": dtypes.int16,
    "IntTensor": dtypes.int32,
    "LongTensor": dtypes.int64,
    "BoolTensor": dtypes.bool_,
    "ComplexFloatTensor": dtypes.complex64,
    "ComplexDoubleTensor": dtypes.complex128,
    "UInt16Tensor": dtypes.uint16,
    "UInt32Tensor": dtypes.uint32,
    "UInt64Tensor": dtypes.uint64,
}


def as_dtype(where: str, given: Any) -> dtypes.dtype:
    """Read the argument `dtype`: one of ours, or a Python number type."""
    if given.__class__ is dtypes.dtype:
        return given
    try:
        return _PYTHON[given]
    except (KeyError, TypeError):
        text = message(f"{where}: dtype must be a torch.dtype", got=repr(given), expected="e.g. torch.float32")
        raise TypeError(text) from None


def number(where: str, value: Any, d: dtypes.dtype) -> np.ndarray:
    """A Python number as a 0-d array of type `d`.

    Raises:
        RuntimeError: the type cannot hold it (a negative number in an unsigned type is wrapped, as in C).
    """
    if isinstance(value, complex) and d.kind < dtypes.COMPLEX:
        if value.imag == 0:
            value = value.real
        elif d is not dtypes.bool_:
            raise _overflow(where, value, d)
    if d.kind == dtypes.INT:
        check_integers(where, value, value, d)
        if int(value) < 0 and not d.is_signed:
            value = int(value) % 2 ** (8 * d.itemsize)
        return np.array(int(value), d.numpy)
    found = np.array(np.array(value) if d is dtypes.bool_ else value).astype(d.numpy)
    if d.kind == dtypes.FLOAT and np.isinf(found) and abs(value) != np.inf:
        raise _overflow(where, value, d)
    return found


def check_integers(where: str, low: Any, high: Any, d: dtypes.dtype) -> None:
    """Refuse numbers between `low` and `high` that the integer type `d` cannot hold; negative integers may wrap."""
    info = np.iinfo(d.numpy)
    least = info.min if d.is_signed or isinstance(low, float | np.floating) else -info.max
    if not (low >= least and high <= info.max):  # NaN is refused too
        raise _overflow(where, high if not high <= info.max else low, d)


def _overflow(where: str, value: Any, d: dtypes.dtype) -> RuntimeError:
    return RuntimeError(message(f"{where}: {d} cannot hold the number", got=value, fix="choose a larger dtype"))


# ---- conversion ----------------------------------------------------------------------------------------------------


@op(name="_to_copy", node="ToCopyBackward0")
def _to_copy(x: Array, dtype, memory_format=None):
    if memory_format is None or memory_format is devices.preserve_format:
        return memory.convert(x, dtype.numpy)
    out = memory.empty(x.shape, dtype.numpy, memory_format)
    out[...] = memory.convert(x, dtype.numpy)
    return out


@_to_copy.grad
def _(g):
    return g


@_to_copy.shape
def _(x, dtype, memory_format=None):
    return x


def to_dtype(t: Tensor, d: dtypes.dtype) -> Tensor:
    """`t` with elements of type `d`; `t` itself if it has them already."""
    return t if t.array.dtype == d.numpy else _to_copy(t, d)


def _read_to(args: tuple) -> tuple[Any, Any, tuple]:
    """The target of `to` given by position: device, dtype, and the arguments after them."""
    if not args:
        return None, None, ()
    first, rest = args[0], args[1:]
    if isinstance(first, Tensor):
        return None, first.dtype, rest
    if isinstance(first, dtypes.dtype) or first in _PYTHON:
        return None, first, rest
    if first is None or isinstance(first, str | int | devices.device):
        if rest and (rest[0] is None or isinstance(rest[0], dtypes.dtype) or rest[0] in _PYTHON):
            return first, rest[0], rest[1:]
        return first, None, rest
    what = "to: the target must be a dtype, a device or a tensor"
    raise TypeError(message(what, got=repr(first), expected="e.g. x.to(torch.float64)"))


def _to(
    self: Tensor,
    *args: Any,
    device: Any = None,
    dtype: Any = None,
    other: Tensor | None = None,
    non_blocking: bool = False,
    copy: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """The tensor with another dtype, or on another device; itself, if that changes nothing.

    Args:
        args: a dtype, a device, a device and a dtype, or a tensor to be like; then `non_blocking` and `copy`.
        device, dtype, other: the same by name.
        non_blocking: accepted; there is nothing to wait for.
        copy: copy even if nothing changes.
        memory_format: the order of dimensions in memory, e.g. `torch.channels_last`.

    Raises:
        RuntimeError: the device does not exist.

    >>> import tapegrad as torch
    >>> torch.tensor([1.7, -1.7]).to(torch.int64)
    tensor([ 1, -1])
    """
    where, kind, rest = _read_to(args)
    device, dtype = (where if device is None else device), (kind if dtype is None else dtype)
    if len(rest) > 2:
        expected = "to(device, dtype, non_blocking, copy)"
        raise TypeError(message("to: too many arguments", got=len(args), expected=expected))
    copy = rest[1] if len(rest) == 2 else copy
    devices.check_device("to", device)
    if other is not None:
        dtype = other.dtype
    target = dtypes.of(self.array.dtype) if dtype is None else as_dtype("to", dtype)
    ordered = memory_format in (None, devices.preserve_format) or self.is_contiguous(memory_format)
    if not copy and ordered and self.array.dtype == target.numpy:
        return self
    return _to_copy(self, target, memory_format)


def _type(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """The name of the old tensor class (``"torch.FloatTensor"``), or the tensor converted to a dtype or such a class.

    >>> import tapegrad as torch
    >>> torch.ones(1).type()
    'torch.FloatTensor'
    """
    if dtype is None:
        found = self.dtype
        return next(f"torch.{name}" for name, d in LEGACY.items() if d is found)
    if isinstance(dtype, str):
        name = dtype.removeprefix("torch.")
        if name not in LEGACY and name != "Tensor":
            raise ValueError(message("type: no such tensor class", got=repr(dtype), expected="e.g. 'torch.LongTensor'"))
        dtype = defaults.dtype if name == "Tensor" else LEGACY[name]
    elif dtype is Tensor:
        dtype = defaults.dtype
    elif isinstance(dtype, type) and isinstance(getattr(dtype, "dtype", None), dtypes.dtype):
        dtype = dtype.dtype
    return to_dtype(self, as_dtype("type", dtype))


def _type_as(self: Tensor, other: Tensor) -> Tensor:
    """The tensor converted to the dtype of `other`."""
    return to_dtype(self, other.dtype)


def _cpu(self: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor on the CPU, where it is."""
    return _to(self, memory_format=memory_format)


def _cuda(self: Tensor, device: Any = None, non_blocking: bool = False, memory_format: Any = None) -> Tensor:
    """Not here: tapegrad computes on the CPU only."""
    return _to(self, device="cuda" if device is None else device)


def _pin_memory(self: Tensor, device: Any = None) -> Tensor:
    """The tensor itself: without another device there is nothing to pin memory for."""
    return self


def _is_pinned(self: Tensor, device: Any = None) -> bool:
    """Whether the memory is page-locked: it never is."""
    return False


def _caster(name: str, d: dtypes.dtype) -> Any:
    target = d.numpy

    def cast(self: Tensor, memory_format: Any = None) -> Tensor:
        same = self.array.dtype is target and memory_format is None
        return self if same else _to(self, d, memory_format=memory_format)

    cast.__name__ = cast.__qualname__ = name
    cast.__doc__ = f"The tensor with elements of type `{d}`; itself, if it has them already."
    return cast


for _name, _d in {
    **dtypes.ALIASES,
    "bfloat16": dtypes.bfloat16,
    "bool": dtypes.bool_,
    "byte": dtypes.uint8,
    "char": dtypes.int8,
}.items():
    setattr(Tensor, _name, _caster(_name, _d))

Tensor.to = _to
Tensor.type = _type
Tensor.type_as = _type_as
Tensor.cpu = _cpu
Tensor.cuda = _cuda
Tensor.pin_memory = _pin_memory
Tensor.is_pinned = _is_pinned

# ---- writing into a tensor -----------------------------------------------------------------------------------------


def _filled(x: Array, value):
    return np.full_like(x, number("fill", value, dtypes.of(x.dtype)), subok=False)


def _filled_from(x: Array, value: Array):
    if value.ndim:
        raise RuntimeError(message("fill: the value must be a number or a 0-d tensor", got=f"shape {value.shape}"))
    return np.full_like(x, memory.convert(value, x.dtype), subok=False)


_fill = op(_filled, name="fill", node="FillBackward0")
_fill_from = op(_filled_from, name="fill_from", node="FillBackward1")
_fill_inplace = op(_filled, name="fill_", node="FillBackward2")
_fill_from_inplace = op(_filled_from, name="fill_from_", node="FillBackward3")


@op(name="zero", node="ZeroBackward0")
def _zero(x: Array):
    return np.zeros_like(x, subok=False)


@op(name="copy", node="CopyBackwards")
def _copy(x: Array, src: Array):
    return np.broadcast_to(src if src.dtype == x.dtype else memory.convert(src, x.dtype), x.shape)


def _nothing(g):  # what is overwritten has no influence
    return _zero(g)


def _all(g):  # the engine sums it to the shape of the value
    return g


for _declared in (_fill, _fill_from, _fill_inplace, _fill_from_inplace, _zero, _copy):
    _declared.grad("x")(_nothing)
for _declared in (_fill_from, _fill_from_inplace):
    _declared.grad("value")(_all)
    _declared.shape(lambda x, value: x)
for _declared in (_fill, _fill_inplace):
    _declared.shape(lambda x, value: x)
_copy.grad("src")(_all)
_zero.shape(lambda x: x)
for _declared in (_fill_inplace, _fill_from_inplace, _zero):
    _declared.op.fills = True


@_copy.shape
def _(x, src):
    n = len(src)
    if n > len(x) or any(a not in (1, b) for a, b in zip(src, x[len(x) - n :])):
        text = message("copy_: the source does not broadcast to the tensor", got=f"{tuple(src)} into {tuple(x)}")
        raise RuntimeError(text)
    return x


def fill(input: Tensor, value: Any) -> Tensor:
    """A tensor like `input` with every element equal to `value` (a number or a 0-d tensor).

    Raises:
        RuntimeError: the dtype cannot hold the value, or it has dimensions.

    >>> import tapegrad as torch
    >>> torch.fill(torch.zeros(2), 3)
    tensor([3., 3.])
    """
    return _fill_from(input, value) if isinstance(value, Tensor) else _fill(input, _check_number("fill", value))


def _check_number(where: str, value: Any) -> Any:
    if not isinstance(value, int | float | complex | np.number | np.bool_):
        raise TypeError(message(f"{where}: the value must be a number or a 0-d tensor", got=type(value).__name__))
    return value


def _fill_(self: Tensor, value: Any) -> Tensor:
    """Set every element to `value` (a number or a 0-d tensor).

    >>> import tapegrad as torch
    >>> torch.zeros(2).fill_(3)
    tensor([3., 3.])
    """
    if isinstance(value, Tensor):
        return _write(_fill_from_inplace.op, "fill_", self, value)
    _check_number("fill_", value)
    if mode() is NO_GRAD:
        self.array.fill(number("fill_", value, dtypes.of(self.array.dtype)))
        self.bump()
        return self
    return _write(_fill_inplace.op, "fill_", self, value)


def zero_(input: Tensor) -> Tensor:
    """Set every element of `input` to zero.

    >>> import tapegrad as torch
    >>> torch.zero_(torch.ones(2))
    tensor([0., 0.])
    """
    if mode() is NO_GRAD:
        input.array.fill(0)
        input.bump()
        return input
    return _write(_zero.op, "zero_", input)


def _copy_(self: Tensor, src: Any, non_blocking: bool = False) -> Tensor:
    """Write the elements of `src`, broadcast and converted, into this tensor.

    Args:
        src: a tensor (or number) whose shape broadcasts to this one's.
        non_blocking: accepted; there is nothing to wait for.

    Raises:
        RuntimeError: the shapes do not fit.

    >>> import tapegrad as torch
    >>> torch.zeros(2, 2).copy_(torch.tensor([1, 2]))
    tensor([[1., 2.],
            [1., 2.]])
    """
    if not isinstance(src, Tensor):
        if not isinstance(src, int | float | complex):
            what = "copy_: the source must be a tensor"
            raise TypeError(message(what, got=type(src).__name__, fix="torch.as_tensor(...)"))
        src = wrap(np.asarray(src))
    x, y = self.array, src.array
    if mode() is NO_GRAD and x.shape == y.shape and self._view is None:
        np.copyto(x, y if y.dtype == x.dtype else memory.convert(y, x.dtype))
        self.bump()
        return self
    return _write(_copy.op, "copy_", self, src)


def _write(own: Any, name: str, t: Tensor, *args: Any) -> Tensor:
    if t.array.dtype.kind in "biu":  # integers have no derivative, whatever is written into them
        args = tuple(a.detach() if isinstance(a, Tensor) else a for a in args)
    return dispatch.call_inplace(own, name, t, args, {})


Tensor.fill_ = _fill_
Tensor.zero_ = zero_
Tensor.copy_ = _copy_
