"""Tensors from data, from memory, and from nothing: `tensor`, `from_numpy`, `zeros`, `full` and their kin.

Numbers without a dtype take PyTorch's: Python floats the default dtype, integers int64; NumPy's numbers and arrays
keep theirs. Constant tensors are in `filled`, equally spaced numbers in `ranges`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import dtypes
from ...backends.cpu import memory
from ...core import dispatch
from ...core.tensor import Tensor, wrap
from ...devices import check_device, strided
from ...errors import message
from ...modes import defaults
from .cast import as_dtype, check_integers, number, to_dtype

__all__ = ["tensor", "as_tensor", "asarray", "from_numpy", "frombuffer", "from_dlpack", "scalar_tensor"]

_NUMBERS = frozenset((int, float, bool, complex))

# ---- from data -----------------------------------------------------------------------------------------------------


def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False
) -> Tensor:
    """A new tensor that holds a copy of `data`.

    Args:
        data: a number, a nested list or tuple of numbers, a NumPy array, or a tensor.
        dtype: the element type; by default that of the data (Python floats: the default dtype; integers: int64).
        device: "cpu".
        requires_grad: whether to record what is computed with it.
        pin_memory: accepted; without effect.

    Raises:
        ValueError: nested sequences of unequal length, or an integer beyond 64 bits.
        TypeError: data of no numeric type.
        RuntimeError: a number that `dtype` cannot hold, or `requires_grad` for integers.

    >>> import tapegrad as torch
    >>> torch.tensor([[1, 2], [3, 4.5]])
    tensor([[1.0000, 2.0000],
            [3.0000, 4.5000]])
    """
    if isinstance(data, Tensor):
        text = message("tensor: copying a tensor this way also drops its history", fix="use source.detach().clone()")
        warnings.warn(text, UserWarning, stacklevel=2)
    return finish("tensor", read("tensor", data, dtype), device, requires_grad)


def finish(
    where: str, array: np.ndarray, device: Any = None, requires_grad: bool = False, out: Tensor | None = None,
    layout: Any = None,
) -> Tensor:  # fmt: skip
    """The tensor that a function which makes tensors returns."""
    if device is not None:
        check_device(where, device)
    if layout is not None and layout is not strided:
        raise RuntimeError(message(f"{where}: every tensor here is strided", got=layout))
    t = wrap(array) if out is None else dispatch.write_out(Named(where), [], array, out)
    return t.requires_grad_() if requires_grad else t


class Named:
    """A stand-in for an operation where only its name is asked for."""

    def __init__(self, name: str):
        self.name = name
        self.fills = name in ("zeros", "ones", "full", "empty")  # all elements with one number


def read(where: str, data: Any, dtype: Any = None) -> np.ndarray:
    """A fresh array of what `tensor` accepts."""
    target = None if dtype is None else as_dtype(where, dtype)
    if isinstance(data, Tensor):
        return memory.convert(data.array, data.array.dtype if target is None else target.numpy)
    found = _natural(where, data, target)
    if target is None or found.dtype == target.numpy:
        return found
    return _narrow(where, found, target)


def _narrow(where: str, array: np.ndarray, target: dtypes.dtype) -> np.ndarray:
    """`array` converted, if the numbers fit."""
    if array.dtype.kind == "c" and target.kind in (dtypes.INT, dtypes.FLOAT):
        raise TypeError(message(f"{where}: complex numbers do not fit in {target}", fix="take .real first"))
    if target.kind == dtypes.INT and array.dtype.kind in "iuf" and array.size:
        check_integers(where, array.min(), array.max(), target)
    return memory.convert(array, target.numpy)


def _natural(where: str, data: Any, target: dtypes.dtype | None) -> np.ndarray:
    """The data as a fresh array of its own type."""
    kind = data.__class__
    if kind in _NUMBERS:
        return _from_numbers(where, data, {kind}, target)
    if isinstance(data, np.ndarray):
        return data.astype(dtypes.of(data.dtype.newbyteorder("=")).numpy, subok=False)
    if isinstance(data, np.generic):
        return np.array(data, dtypes.of(data.dtype).numpy)
    if isinstance(data, list | tuple):
        kinds: set[type] = set()
        _leaf_kinds(data, kinds)
        return _from_numbers(where, data, kinds, target) if kinds <= _NUMBERS else _from_parts(where, data)
    if hasattr(data, "__array__") or hasattr(data, "__array_interface__"):
        return _natural(where, np.asarray(data), target)
    if isinstance(data, str | bytes):
        raise TypeError(message(f"{where}: text is not data", got=repr(data)[:60], expected="numbers"))
    if hasattr(data, "__len__") and hasattr(data, "__getitem__") and not hasattr(data, "keys"):
        return _natural(where, list(data), target)
    expected = "numbers, sequences of numbers, or an array"
    raise RuntimeError(message(f"{where}: no dtype for this kind of data", got=type(data).__name__, expected=expected))


def _leaf_kinds(data: Sequence, found: set[type]) -> None:
    """Collect the types of what the nested sequences hold."""
    kinds = set(map(type, data))
    nested = {k for k in kinds if issubclass(k, list | tuple)}
    if nested:
        for item in data:
            if item.__class__ in nested:
                _leaf_kinds(item, found)
    found |= kinds - nested


def _from_numbers(where: str, data: Any, kinds: set[type], target: dtypes.dtype | None) -> np.ndarray:
    """An array of Python numbers, all of these types."""
    if complex in kinds:
        own = np.dtype(np.complex128) if target is dtypes.complex128 else defaults.dtype.to_complex().numpy
    elif float in kinds:
        own = defaults.numpy if target is None else memory.FLOAT64
    elif int in kinds:
        own = memory.FLOAT64 if target is not None and target.kind >= dtypes.FLOAT else np.dtype(np.int64)
        own = np.dtype(np.uint64) if target is dtypes.uint64 else own
    elif kinds:
        own = np.dtype(np.bool_)
    else:
        own = defaults.numpy
    try:
        return np.array(data, own)
    except OverflowError:
        what = f"{where}: an integer does not fit in {dtypes.of(own)}"
        raise ValueError(message(what, fix="give a floating-point dtype")) from None
    except (ValueError, TypeError):
        raise _ragged(where, data) from None


def _ragged(where: str, data: Any) -> Exception:
    """Why these nested sequences are no array."""
    level, depth = [data], 0
    while level:
        rows = [isinstance(row, list | tuple) for row in level]
        if not all(rows):
            what = f"{where}: numbers and sequences are mixed at dimension {depth}"
            return TypeError(message(what, expected="equal nesting"))
        lengths = sorted({len(row) for row in level})
        if len(lengths) > 1:
            what = f"{where}: sequences of unequal length at dimension {depth}"
            return ValueError(message(what, got=f"lengths {lengths}", expected="a rectangular table"))
        level, depth = [item for row in level for item in row], depth + 1
        if not any(isinstance(item, list | tuple) for item in level):
            break
    return ValueError(message(f"{where}: the data cannot be read as a table of numbers"))


def _from_parts(where: str, data: Sequence) -> np.ndarray:
    """An array of sequences that hold tensors, arrays or NumPy's numbers; the dtypes are promoted."""
    parts = [_part(where, item) for item in data]
    lengths = {p.shape for p in parts}
    if len(lengths) > 1:
        got = ", ".join(map(str, sorted(lengths)))
        raise ValueError(message(f"{where}: the parts have unequal shapes", got=got, expected="equal shapes"))
    common = dtypes.of(parts[0].dtype)
    for p in parts:
        common = dtypes.promote(common, dtypes.of(p.dtype))
    return np.stack([p.astype(common.numpy, copy=False) for p in parts])


def _part(where: str, item: Any) -> np.ndarray:
    if isinstance(item, Tensor):
        if item.array.size != 1:
            kind = TypeError if item.array.dtype.kind in "iub" else ValueError
            what = f"{where}: tensors in a list must have one element"
            raise kind(message(what, got=f"shape {tuple(item.shape)}", fix="use torch.stack"))
        if item.requires_grad:
            what = f"{where}: a tensor that requires grad becomes a plain number"
            warnings.warn(message(what, fix="use torch.stack, or .detach() it"), UserWarning, stacklevel=2)
        return item.array.reshape(())
    if isinstance(item, str | bytes):
        raise ValueError(message(f"{where}: text is not data", got=repr(item)[:60], expected="numbers"))
    return _natural(where, item, None)


# ---- from memory ---------------------------------------------------------------------------------------------------


def from_numpy(ndarray: np.ndarray) -> Tensor:
    """A tensor that shares the memory of a NumPy array.

    Raises:
        TypeError: not an array, or of a type that tensors cannot hold.
        ValueError: foreign byte order, or negative strides.

    >>> import numpy as np
    >>> import tapegrad as torch
    >>> a = np.zeros(2)
    >>> t = torch.from_numpy(a)
    >>> a[0] = 5
    >>> t
    tensor([5., 0.], dtype=torch.float64)
    """
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(message("from_numpy: not a NumPy array", got=type(ndarray).__name__, fix="torch.tensor(...)"))
    array = memory.shareable(ndarray)
    if not array.flags.writeable:
        what = "from_numpy: the array is read-only, so the tensor cannot be changed in place"
        warnings.warn(message(what, fix="array.copy()"), UserWarning, stacklevel=2)
    return wrap(array)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """`data` as a tensor, sharing memory (and history) with arrays and tensors wherever nothing has to change.

    >>> import tapegrad as torch
    >>> x = torch.ones(2)
    >>> torch.as_tensor(x) is x
    True
    """
    check_device("as_tensor", device)
    if isinstance(data, Tensor):
        return data if dtype is None else to_dtype(data, as_dtype("as_tensor", dtype))
    if isinstance(data, np.ndarray):
        t = from_numpy(data)
        return t if dtype is None else to_dtype(t, as_dtype("as_tensor", dtype))
    return wrap(read("as_tensor", data, dtype))


def asarray(
    obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None, requires_grad: bool | None = None
) -> Tensor:
    """`obj` as a tensor.

    Args:
        obj: a tensor, an array, an object with a buffer, or numbers in sequences.
        dtype: the element type; by default that of the data.
        device: "cpu".
        copy: True: always copy. False: never. None: only where needed.
        requires_grad: by default as `obj` does.

    Raises:
        ValueError: `copy=False`, but a copy is needed.

    >>> import tapegrad as torch
    >>> torch.asarray([1, 2])
    tensor([1, 2])
    """
    check_device("asarray", device)
    target = None if dtype is None else as_dtype("asarray", dtype)
    if isinstance(obj, Tensor):
        source = obj
    elif isinstance(obj, np.ndarray | np.generic):
        source = from_numpy(np.asarray(obj))
    elif isinstance(obj, bytes | bytearray | memoryview):
        source = frombuffer(obj, dtype=defaults.dtype if target is None else target)
    elif copy is False:
        raise ValueError(message("asarray: the data cannot be shared", got=type(obj).__name__, fix="copy=None"))
    else:
        source, copy = wrap(read("asarray", obj, target)), False
    changes = target is not None and source.array.dtype != target.numpy
    if changes and copy is False:
        got = f"{source.dtype} to {target}"
        raise ValueError(message("asarray: another dtype needs a copy", got=got, fix="copy=None"))
    t = source.to(dtype=target, copy=bool(copy)) if changes or copy else source
    if requires_grad is None or requires_grad == t.requires_grad:
        return t
    t = t.detach()
    return t.requires_grad_() if requires_grad else t


def frombuffer(buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False) -> Tensor:
    """A 1-d tensor over the memory of an object with Python's buffer protocol.

    Args:
        buffer: bytes, bytearray, array.array, memoryview, ...
        dtype: the type of its elements.
        count: how many elements; -1 for all.
        offset: bytes to skip at the start.
        requires_grad: whether to record what is computed with it.

    Raises:
        ValueError: the buffer is empty, too short, or not a whole number of elements.

    >>> import tapegrad as torch
    >>> torch.frombuffer(bytearray(b"abc"), dtype=torch.uint8)
    tensor([97, 98, 99], dtype=torch.uint8)
    """
    d = as_dtype("frombuffer", dtype)
    size = memoryview(buffer).nbytes
    if size == 0 or count == 0:
        raise ValueError(message("frombuffer: there is nothing to read", got=f"{size} bytes, count={count}"))
    wanted = (size - offset) if count < 0 else count * d.itemsize
    if not 0 <= offset < size or wanted % d.itemsize or offset + wanted > size:
        got = f"{size} bytes, offset={offset}, count={count}, {d.itemsize} bytes an element"
        raise ValueError(message("frombuffer: the elements do not fit the buffer", got=got))
    array = np.frombuffer(buffer, d.numpy, count, offset)
    if not array.flags.writeable:
        what = "frombuffer: the buffer is read-only, so the tensor cannot be changed in place"
        warnings.warn(message(what, fix="bytearray(buffer)"), UserWarning, stacklevel=2)
    return finish("frombuffer", array, None, requires_grad)


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor that shares the memory of any array with the DLPack protocol (NumPy, JAX, PyTorch, ...).

    >>> import numpy as np
    >>> import tapegrad as torch
    >>> torch.from_dlpack(np.arange(3))
    tensor([0, 1, 2])
    """
    check_device("from_dlpack", device)
    if isinstance(ext_tensor, Tensor):
        return ext_tensor.detach()
    array = ext_tensor if isinstance(ext_tensor, np.ndarray) else np.from_dlpack(ext_tensor)
    return wrap(memory.shareable(array.copy() if copy else array))


def _dlpack(self: Tensor, **options: Any) -> Any:
    """The memory as a DLPack capsule, for `from_dlpack` of other packages."""
    if self.requires_grad:
        raise BufferError(message("__dlpack__: the tensor requires grad", fix="tensor.detach()"))
    return self.array.__dlpack__(**options)


def _dlpack_device(self: Tensor) -> tuple[int, int]:
    """The CPU, in DLPack's numbers."""
    return (1, 0)


Tensor.__dlpack__ = _dlpack
Tensor.__dlpack_device__ = _dlpack_device


def scalar_tensor(
    s: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """A 0-d tensor of the default dtype (or `dtype`).

    >>> import tapegrad as torch
    >>> torch.scalar_tensor(3)
    tensor(3.)
    """
    d = defaults.dtype if dtype is None else as_dtype("scalar_tensor", dtype)
    return finish("scalar_tensor", number("scalar_tensor", s, d), device, requires_grad, None, layout)


def _new_tensor(
    self: Tensor, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False,
    layout: Any = None, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """A new tensor of `data`, of this tensor's dtype unless another is given.

    >>> import tapegrad as torch
    >>> torch.ones(1).new_tensor([1, 2])
    tensor([1., 2.])
    """
    array = read("new_tensor", data, self.dtype if dtype is None else dtype)
    return finish("new_tensor", array, device, requires_grad, None, layout)


Tensor.new_tensor = _new_tensor
