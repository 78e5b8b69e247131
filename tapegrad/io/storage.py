"""Storages: the memory that tensors of one file share, and tensors as windows onto it.

A file holds each storage once, as bytes, and each tensor as (storage, offset, size, stride) in elements. Reading, all
tensors of a storage are views of one array of bytes. Writing, the tensors that share memory become windows onto one
storage: the stretch of memory that they cover together. PyTorch writes all of the memory that they belong to instead,
so that a small slice of a large tensor makes a large file.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..backends.cpu.memory import address, owner_of
from ..core.tensor import Tensor, wrap
from .pickled import damaged

# PyTorch's names of storages whose elements have a type; types that came later are held as bytes ("UntypedStorage").
TYPED = {
    "Bool": dtypes.bool_,
    "Byte": dtypes.uint8,
    "Char": dtypes.int8,
    "Short": dtypes.int16,
    "Int": dtypes.int32,
    "Long": dtypes.int64,
    "Half": dtypes.float16,
    "BFloat16": dtypes.bfloat16,
    "Float": dtypes.float32,
    "Double": dtypes.float64,
    "ComplexFloat": dtypes.complex64,
    "ComplexDouble": dtypes.complex128,
}
STORAGE_NAME = {dtype: f"{name}Storage" for name, dtype in TYPED.items()}
MAX_DIM = 64  # NumPy's limit, and PyTorch's
MAX_COPIES = 16  # how often the bytes of a storage may be copied to make tensors that cannot be windows onto it


def storage_dtype(module: str, name: str) -> dtypes.dtype | None:
    """The element type of a storage class by its name in a file; uint8 for an untyped one, None for no storage."""
    if module not in ("torch", "torch.cuda", "torch.storage") or not name.endswith("Storage"):
        return None
    kind = name.removesuffix("Storage")
    return dtypes.uint8 if kind == "Untyped" else TYPED.get(kind)


# ---- reading ---------------------------------------------------------------------------------------------------------


class Storage:
    """Memory that tensors share: an array of bytes, the type of its elements, and the tensors' version counter."""

    __slots__ = ("array", "copied", "dtype", "holds_bools", "version")

    def __init__(self, array: np.ndarray, dtype: dtypes.dtype):
        self.array, self.dtype = array, dtype
        self.version = [0]
        self.holds_bools = [False]  # whether a tensor of bools is among its tensors
        self.copied = [0]  # bytes of tensors that were computed from it

    def window(self, dtype: dtypes.dtype, first: int = 0, count: int | None = None) -> Storage:
        """The same memory, or some elements of it, as a storage of another type."""
        width = dtype.itemsize
        if count is not None and (first + count) * width > self.array.size:
            raise damaged("a part of a storage reaches outside of it", got=f"{count} elements from {first} on")
        out = Storage(self.array if count is None else self.array[first * width : (first + count) * width], dtype)
        out.version, out.holds_bools, out.copied = self.version, self.holds_bools, self.copied
        return out

    def settle(self) -> None:
        """Make every byte of bools 0 or 1, now that all are read: NumPy takes others for neither True nor False."""
        if self.holds_bools[0] and self.array.size and int(self.array.max()) > 1:
            np.minimum(self.array, 1, out=self.array)


def rebuild(
    storage: Storage, dtype: dtypes.dtype, offset: int, size: Any, stride: Any, grad: bool = False, bits: Any = None
) -> Tensor:
    """The window onto a storage as a tensor.

    Raises:
        UnpicklingError: it reaches outside the storage.
    """
    numbers = (offset, *size, *stride)
    if len(size) != len(stride) or len(size) > MAX_DIM or not all(type(n) is int and n >= 0 for n in numbers):
        raise damaged("a tensor in it has no proper shape", got=f"{len(size)} sizes, {len(stride)} strides")
    width = dtype.itemsize
    last = offset + sum((n - 1) * step for n, step in zip(size, stride)) if 0 not in size else offset - 1
    if (last + 1) * width > storage.array.size:
        got = f"element {last} of a storage of {storage.array.size // width}"
        raise damaged("a tensor in it reaches outside its storage", got=got)
    steps = [min(step * width, 2**62) for step in stride]  # those of sizes 0 and 1 may be anything
    start = 0 if 0 in size else offset * width
    storage.holds_bools[0] |= dtype is dtypes.bool_
    array = np.ndarray(tuple(size), dtype.numpy, storage.array, start, tuple(steps))
    out = wrap(array)
    out._ver = storage.version
    if bits:
        out = _flipped(storage, array, bits)
    return out.requires_grad_() if grad else out


def _flipped(storage: Storage, array: np.ndarray, bits: dict) -> Tensor:
    """A tensor that PyTorch holds as the conjugate or negative of what is stored: computed, in memory of its own."""
    if set(bits) - {"conj", "neg"}:
        raise damaged("a tensor in it has unknown properties", got=f"{len(bits)} of them")
    storage.copied[0] += array.nbytes
    if storage.copied[0] > MAX_COPIES * storage.array.size:
        raise damaged("tensors in it are many times larger than their storage")
    array = np.conj(array) if bits.get("conj") else array
    return wrap(np.negative(array) if bits.get("neg") else array)


# ---- writing ---------------------------------------------------------------------------------------------------------


class Region:
    """Memory that one storage of the file will hold: a stretch of the array that the tensors are views of.

    `mixed` says that tensors of several types share it; the file then calls it a storage of bytes.
    """

    __slots__ = ("dtype", "first", "key", "last", "mixed", "owner")

    def __init__(self, owner: np.ndarray, dtype: dtypes.dtype, key: str):
        self.owner, self.dtype, self.key = owner, dtype, key
        self.first, self.last = owner.nbytes, 0  # what is covered so far: nothing
        self.mixed = False

    def cover(self, first: int, last: int, dtype: dtypes.dtype) -> None:
        """Widen the stretch to the bytes first ... last - 1 of the owner."""
        if dtype is not self.dtype:
            self.mixed = True
        if last > first:
            self.first, self.last = min(self.first, first), max(self.last, last)

    @property
    def class_name(self) -> str:
        """What the file calls the storage's class."""
        return "UntypedStorage" if self.mixed else STORAGE_NAME.get(self.dtype, "UntypedStorage")

    @property
    def count(self) -> int:
        """The number of elements; of bytes for an untyped storage."""
        return self.nbytes if self.class_name == "UntypedStorage" else self.nbytes // self.dtype.itemsize

    @property
    def start(self) -> int:
        """The first byte of the stretch; where tensors of several types meet, on a boundary that suits all."""
        first = min(self.first, self.last)
        return first - first % 16 if self.mixed else first

    @property
    def nbytes(self) -> int:
        """The length of the stretch."""
        return max(self.last - self.start, 0)

    def bytes(self) -> np.ndarray:
        """The stretch itself."""
        flat = self.owner.reshape(-1, order="A").view(np.uint8)
        return flat[self.start : self.start + self.nbytes]


class Regions:
    """The storages of a file that is being written."""

    def __init__(self) -> None:
        self.of: dict[int, Region] = {}  # by the owner of the memory
        self.kept: list[Any] = []  # alive, so that no id is used twice

    def window(self, t: Tensor) -> tuple[Region, int, tuple[int, ...]]:
        """The storage of a tensor, its first byte relative to the owner's, and its strides in elements."""
        array = t.array
        width = array.itemsize
        owner = owner_of(array)
        start = address(array) - address(owner)
        if not (owner.flags.forc and all(s >= 0 and s % width == 0 for s in array.strides) and start % width == 0):
            array = owner = np.array(array, order="C", copy=True)
            start = 0
        self.kept.append((t, owner))
        region = self.of.get(id(owner))
        if region is None:
            region = self.of[id(owner)] = Region(owner, t.dtype, str(len(self.of)))
        extent = sum((n - 1) * s for n, s in zip(array.shape, array.strides)) + width if array.size else 0
        region.cover(start, start + extent, t.dtype)
        steps = tuple(s // width for s in array.strides) if array.size else wrap(array).stride()
        return region, start, steps  # type: ignore[return-value]
