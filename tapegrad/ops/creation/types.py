"""Facts about element types and tensors, and PyTorch's old constructors (`FloatTensor`, `LongTensor`, ...)."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from ... import dtypes
from ...core import dispatch
from ...core.tensor import Tensor
from ...errors import message
from ...modes import defaults
from .cast import LEGACY, as_dtype
from .filled import legacy

__all__ = [
    "numel", "is_tensor", "is_floating_point", "is_complex", "result_type", "promote_types", "can_cast",
    "finfo", "iinfo", *LEGACY,
]  # fmt: skip


def _tensor(where: str, input: Any) -> Tensor:
    if not isinstance(input, Tensor):
        raise TypeError(message(f"{where}: the argument must be a tensor", got=type(input).__name__))
    return input


def numel(input: Tensor) -> int:
    """The number of elements.

    >>> import tapegrad as torch
    >>> torch.numel(torch.ones(2, 3))
    6
    """
    return _tensor("numel", input).array.size


def is_tensor(obj: Any) -> bool:
    """Whether `obj` is a tensor."""
    return isinstance(obj, Tensor)


def is_floating_point(input: Tensor) -> bool:
    """Whether the dtype of `input` is a floating-point type."""
    return _tensor("is_floating_point", input).is_floating_point()


def is_complex(input: Tensor) -> bool:
    """Whether the dtype of `input` is complex."""
    return _tensor("is_complex", input).is_complex()


def result_type(tensor1: Any, tensor2: Any) -> dtypes.dtype:
    """The dtype of the result of arithmetic with these two tensors or numbers.

    >>> import tapegrad as torch
    >>> torch.result_type(torch.tensor([1, 2]), 1.5)
    torch.float32
    """
    return dispatch.common_dtype([tensor1, tensor2])


def promote_types(type1: dtypes.dtype, type2: dtypes.dtype) -> dtypes.dtype:
    """The smallest dtype that holds the numbers of both.

    >>> import tapegrad as torch
    >>> torch.promote_types(torch.int32, torch.float16)
    torch.float16
    """
    return dtypes.promote(as_dtype("promote_types", type1), as_dtype("promote_types", type2))


def can_cast(from_: dtypes.dtype, to: dtypes.dtype) -> bool:
    """Whether a result of type `from_` may be stored in a tensor of type `to`: never to a lower kind.

    >>> import tapegrad as torch
    >>> torch.can_cast(torch.float64, torch.float32), torch.can_cast(torch.float32, torch.int64)
    (True, False)
    """
    return dtypes.can_cast(as_dtype("can_cast", from_), as_dtype("can_cast", to))


class finfo:
    """The limits of a floating-point dtype.

    Attributes:
        bits: its width.
        eps: the distance of 1 to the next number.
        min, max: the smallest and largest number.
        tiny, smallest_normal: the smallest positive number of full precision.
        resolution: 10 to minus the number of decimal digits.
        dtype: its name.

    Raises:
        TypeError: the dtype is not floating point or complex.

    >>> import tapegrad as torch
    >>> torch.finfo(torch.float32).eps
    1.1920928955078125e-07
    """

    __slots__ = ("bits", "dtype", "eps", "max", "min", "resolution", "smallest_normal", "tiny")

    def __init__(self, type: dtypes.dtype | None = None):
        d = (defaults.dtype if type is None else as_dtype("finfo", type)).to_real()
        if not d.is_floating_point:
            raise TypeError(message("finfo: not a floating-point type", got=d, fix="torch.iinfo"))
        info = ml_dtypes.finfo(d.numpy)
        self.bits, self.dtype = 8 * d.itemsize, d.name
        self.eps, self.max, self.min = float(info.eps), float(info.max), float(info.min)
        self.tiny = self.smallest_normal = float(info.smallest_normal)
        self.resolution = float(f"{float(info.resolution):.0e}")

    def __repr__(self) -> str:
        names = ("resolution", "min", "max", "eps", "smallest_normal", "tiny")
        return f"finfo({', '.join(f'{n}={getattr(self, n):g}' for n in names)}, dtype={self.dtype})"


class iinfo:
    """The limits of an integer dtype: `bits`, `min`, `max`, and its name `dtype`.

    Raises:
        TypeError: the dtype is not an integer type.

    >>> import tapegrad as torch
    >>> torch.iinfo(torch.int8).max
    127
    """

    __slots__ = ("bits", "dtype", "max", "min")

    def __init__(self, type: dtypes.dtype):
        d = as_dtype("iinfo", type)
        if d.kind != dtypes.INT:
            raise TypeError(message("iinfo: not an integer type", got=d, fix="torch.finfo"))
        info = np.iinfo(d.numpy)
        self.bits, self.min, self.max, self.dtype = info.bits, int(info.min), int(info.max), d.name

    def __repr__(self) -> str:
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"


# ---- the old classes -----------------------------------------------------------------------------------------------


class _Legacy(type):
    """The type of the old tensor classes: a tensor is an instance of the one for its dtype."""

    dtype: dtypes.dtype

    def __instancecheck__(cls, t: object) -> bool:
        return isinstance(t, Tensor) and t.dtype is cls.dtype

    def __call__(cls, *data: Any, device: Any = None) -> Tensor:  # type: ignore[override]
        return legacy(cls.__name__, cls.dtype.numpy, data, device)


def _legacy_class(name: str) -> _Legacy:
    d = LEGACY[name]
    text = f"Old constructor of `{d}` tensors: `{name}(2, 3)` is uninitialised, `{name}([1, 2])` holds data."
    return _Legacy(name, (), {"__doc__": text, "__module__": "torch", "dtype": d})


FloatTensor = _legacy_class("FloatTensor")
DoubleTensor = _legacy_class("DoubleTensor")
HalfTensor = _legacy_class("HalfTensor")
BFloat16Tensor = _legacy_class("BFloat16Tensor")
ByteTensor = _legacy_class("ByteTensor")
CharTensor = _legacy_class("CharTensor")
ShortTensor = _legacy_class("ShortTensor")
IntTensor = _legacy_class("IntTensor")
LongTensor = _legacy_class("LongTensor")
BoolTensor = _legacy_class("BoolTensor")
ComplexFloatTensor = _legacy_class("ComplexFloatTensor")
ComplexDoubleTensor = _legacy_class("ComplexDoubleTensor")
UInt16Tensor = _legacy_class("UInt16Tensor")
UInt32Tensor = _legacy_class("UInt32Tensor")
UInt64Tensor = _legacy_class("UInt64Tensor")
