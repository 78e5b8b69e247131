"""Arrays as memory: conversion of element types, layouts, and what a foreign array must be to be shared."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from ... import devices, dtypes
from ...errors import message
from .halves import FLOAT16, HALVES, narrow, widen

Shape = tuple[int, ...]
FLOAT32, FLOAT64 = dtypes.float32.numpy, dtypes.float64.numpy


def keep_freed_memory() -> None:
    """Let the C library keep freed arrays of up to 32 MB for the next ones, instead of giving each back to the system.

    Memory that comes fresh from the system is zeroed page by page at the first touch: a training step of a small
    convolutional network took 1,600 page faults and 96 ms, and none and 79 ms after this. It works on glibc, which
    raises its threshold to the size of a mapped block when that is freed; elsewhere it does nothing. The block is not
    touched, so it costs no memory; up to 64 MB that were freed then stay with the process.
    """
    np.empty((32 << 20) - 8192, np.uint8)


def convert(array: np.ndarray, target: np.dtype) -> np.ndarray:
    """A copy of `array` with elements of another type: truncated, wrapped and rounded as C's conversions are."""
    if array.dtype.kind == "c" and target.kind not in "cb":
        array = array.real
    if target in HALVES and array.dtype == FLOAT64:  # PyTorch rounds twice on this way
        array = array.astype(FLOAT32)
    if array.flags.c_contiguous:
        if target == FLOAT16 and array.dtype == FLOAT32:
            return narrow(array, target)
        if target == FLOAT32 and array.dtype == FLOAT16:
            return widen(array)
    return array.astype(target, order=order_of(array))


def order_of(array: np.ndarray) -> str:
    """The order of a copy, in NumPy's letters: that of the dimensions in memory, row-major if elements are repeated."""
    return "C" if any(step == 0 and n > 1 for step, n in zip(array.strides, array.shape)) else "K"


def empty(shape: Shape, dtype: np.dtype, memory_format: Any = None) -> np.ndarray:
    """Uninitialised memory, with the dimensions in the order of `memory_format`.

    Raises:
        RuntimeError: `channels_last` needs 4 dimensions, `channels_last_3d` needs 5.
    """
    if memory_format in (devices.channels_last, devices.channels_last_3d):
        rank = 4 if memory_format is devices.channels_last else 5
        if len(shape) != rank:
            text = message(
                f"{memory_format} needs {rank} dimensions", got=f"shape {tuple(shape)}", expected="(N, C, ...)"
            )
            raise RuntimeError(text)
        return np.moveaxis(np.empty((shape[0], *shape[2:], shape[1]), dtype), -1, 1)
    return np.empty(shape, dtype)


def empty_like(array: np.ndarray, dtype: np.dtype, memory_format: Any = None) -> np.ndarray:
    """Uninitialised memory of the shape of `array`; unless a format is asked for, in the order of its dimensions."""
    if memory_format is None or memory_format is devices.preserve_format:
        return np.empty_like(array, dtype, order_of(array), subok=False)
    return empty(array.shape, dtype, memory_format)


def strided(shape: Shape, strides: Shape, dtype: np.dtype) -> np.ndarray:
    """Uninitialised memory in which neighbours along dimension d are `strides[d]` elements apart."""
    if len(shape) != len(strides):
        text = message(
            "empty_strided: one stride for each dimension", got=f"{len(shape)} sizes, {len(strides)} strides"
        )
        raise RuntimeError(text)
    if any(s < 0 for s in strides):
        raise RuntimeError(message("empty_strided: a stride is negative", got=tuple(strides)))
    length = 0 if 0 in shape else 1 + sum((n - 1) * s for n, s in zip(shape, strides))
    memory = np.empty(length, dtype)
    return np.lib.stride_tricks.as_strided(memory, shape, [s * dtype.itemsize for s in strides])


def owner_of(array: np.ndarray) -> np.ndarray:
    """The array that holds the memory which this one is a view of."""
    base: Any = array.base
    while base is not None:
        if isinstance(base, np.ndarray):
            array = base
        elif type(base).__name__ != "DummyArray":  # what `as_strided` puts between
            break
        base = base.base
    return array


def address(array: np.ndarray) -> int:
    """Where the first element lies."""
    return array.__array_interface__["data"][0]


def deep_copy(array: np.ndarray, memo: dict) -> np.ndarray:
    """The same window onto a copy of the whole memory: windows that are copied with one `memo` share it again."""
    owner = owner_of(array)
    whole = copy.deepcopy(owner, memo)
    if owner is array:
        return whole
    if whole.strides != owner.strides or not array.size:  # memory with gaps
        return array.copy(order_of(array))
    memory = whole.reshape(-1, order="A") if whole.flags.forc else whole.transpose(_by_stride(whole)).reshape(-1)
    start = address(array) - address(owner)
    return np.ndarray(array.shape, array.dtype, memory.view(np.uint8), start, array.strides)


def _by_stride(array: np.ndarray) -> list[int]:
    return sorted(range(array.ndim), key=lambda axis: -array.strides[axis])


def shareable(array: np.ndarray) -> np.ndarray:
    """`array` itself in the form that tensors hold: a plain ndarray with the one dtype object of its type.

    Raises:
        TypeError: tensors cannot hold such elements.
        ValueError: foreign byte order, or negative strides.
    """
    if not array.dtype.isnative:
        text = message(
            "from_numpy: the bytes are in foreign order",
            got=array.dtype,
            fix="array.astype(array.dtype.newbyteorder('='))",
        )
        raise ValueError(text)
    canonical = dtypes.of(array.dtype).numpy
    if min(array.strides, default=0) < 0:
        what = "from_numpy: a tensor cannot have negative strides"
        raise ValueError(message(what, got=f"strides {array.strides}", fix="array.copy()"))
    if array.__class__ is not np.ndarray:
        array = array.view(np.ndarray)
    return array if array.dtype is canonical else array.view(canonical)
