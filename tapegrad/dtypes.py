"""Element types, and the type that results when two of them meet.

A `dtype` wraps a NumPy dtype under PyTorch's name. Promotion has two parts, both tables: `promote` for two
types of the same standing, and `result_type` for operands of unequal standing (tensors with dimensions
outrank 0-d tensors, which outrank Python numbers, unless the lower one is of a higher kind).

Reference: PyTorch documentation, "Type promotion".
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from .errors import message

BOOL, INT, FLOAT, COMPLEX = range(4)  # the kinds, in rising order


class dtype:
    """An element type, e.g. `torch.float32`.

    >>> import tapegrad as torch
    >>> torch.float32, torch.float32.itemsize, torch.float32.is_floating_point
    (torch.float32, 4, True)
    """

    __slots__ = ("is_complex", "is_floating_point", "is_signed", "itemsize", "kind", "name", "numpy")

    def __init__(self, name: str, numpy_type: Any, kind: int):
        self.name = name
        self.numpy = np.dtype(numpy_type)
        self.kind = kind
        self.itemsize = self.numpy.itemsize
        self.is_floating_point = kind == FLOAT
        self.is_complex = kind == COMPLEX
        self.is_signed = kind >= FLOAT or name.startswith("int")

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self):
        return by_name, (self.name,)

    def to_real(self) -> dtype:
        """The type of the real part (itself, unless complex)."""
        return {complex64: float32, complex128: float64}.get(self, self)

    def to_complex(self) -> dtype:
        """The complex type whose parts have this type."""
        return complex128 if self in (float64, complex128) else complex64


bool_ = dtype("bool", np.bool_, BOOL)
uint8 = dtype("uint8", np.uint8, INT)
int8 = dtype("int8", np.int8, INT)
int16 = dtype("int16", np.int16, INT)
int32 = dtype("int32", np.int32, INT)
int64 = dtype("int64", np.int64, INT)
uint16 = dtype("uint16", np.uint16, INT)
uint32 = dtype("uint32", np.uint32, INT)
uint64 = dtype("uint64", np.uint64, INT)
float16 = dtype("float16", np.float16, FLOAT)
bfloat16 = dtype("bfloat16", ml_dtypes.bfloat16, FLOAT)
float32 = dtype("float32", np.float32, FLOAT)
float64 = dtype("float64", np.float64, FLOAT)
complex64 = dtype("complex64", np.complex64, COMPLEX)
complex128 = dtype("complex128", np.complex128, COMPLEX)

_INTEGERS = (uint8, int8, int16, int32, int64, uint16, uint32, uint64)
ALL = (bool_, *_INTEGERS, float16, bfloat16, float32, float64, complex64, complex128)
ALIASES = {
    "half": float16,
    "float": float32,
    "double": float64,
    "short": int16,
    "int": int32,
    "long": int64,
    "cfloat": complex64,
    "cdouble": complex128,
}
_NAMES = {d.name: d for d in ALL}
_OF = {d.numpy: d for d in ALL}


def by_name(name: str) -> dtype:
    """The dtype called `name` (`"float32"`)."""
    return _NAMES[name]


def of(numpy_dtype: np.dtype) -> dtype:
    """The dtype of a NumPy dtype; TypeError if tensors cannot hold it."""
    try:
        return _OF[numpy_dtype]
    except KeyError:
        held = ", ".join(_NAMES)
        text = message(
            "tensors cannot hold this NumPy type",
            got=str(numpy_dtype),
            expected=f"one of {held}",
            fix="array.astype(...)",
        )
        raise TypeError(text) from None


from_numpy = of


# ---- promotion of two types of the same standing ------------------------------------------------------------

_LADDER = (int8, int16, int32, int64)
_WIDE_UNSIGNED = (uint16, uint32, uint64)
_promoted: dict[tuple[dtype, dtype], dtype] = {}


def _promote_integers(a: dtype, b: dtype) -> dtype:
    if a in _WIDE_UNSIGNED or b in _WIDE_UNSIGNED:
        text = message("no common type for wide unsigned integers", got=f"{a} and {b}", fix="convert one with .to(...)")
        raise RuntimeError(text)
    if uint8 in (a, b):
        other = b if a is uint8 else a
        return int16 if other is int8 else other
    return max(a, b, key=_LADDER.index)


def _promote(a: dtype, b: dtype) -> dtype:
    if a is b:
        return a
    low, high = sorted((a, b), key=lambda d: d.kind)
    if low.kind == BOOL:
        return high
    if high.kind == INT:
        return _promote_integers(a, b)
    if low.kind == INT:
        return high
    if high.kind == COMPLEX:
        return complex128 if float64 in (a, b) or complex128 in (a, b) else complex64
    if {a, b} == {float16, bfloat16}:  # neither holds the other
        return float32
    return max(a, b, key=lambda d: d.itemsize)


def promote(a: dtype, b: dtype) -> dtype:
    """The smallest type that both fit in (`torch.promote_types`)."""
    found = _promoted.get((a, b))
    if found is None:
        found = _promoted[a, b] = _promote(a, b)
    return found


def combine(higher: dtype | None, lower: dtype | None) -> dtype | None:
    """The type when an operand of `higher` standing meets one of `lower` standing (None: no such operand)."""
    if higher is None or lower is None:
        return higher or lower
    if lower.kind <= higher.kind:
        return higher
    if higher.kind == FLOAT:  # the lower one is complex: keep the width of the higher one
        return higher.to_complex()
    return promote(higher, lower)


def can_cast(source: dtype, target: dtype) -> bool:
    """Whether a result of type `source` may be written into a tensor of type `target` (not to a lower kind)."""
    return source.kind <= target.kind
