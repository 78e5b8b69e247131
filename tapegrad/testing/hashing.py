"""One hash of what a run has computed, so that two people can compare runs without sending files."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import message

__all__ = ["fingerprint"]


def fingerprint(*things: Any) -> str:
    """The hash of tensors, modules, optimizers, numbers and texts, and of lists and dicts of them: 32 hex digits.

    Two runs with equal fingerprints have computed the same bits; a different last bit anywhere gives another one.
    Types and shapes count, strides, devices and `requires_grad` do not; every NaN counts as the same. A module or an
    optimizer counts by its `state_dict()`, PyTorch's own included, so that a run here and one there can be compared.

    What a run should hash: its losses and the module at its end. Results do not depend on the number of DataLoader
    workers, nor on the number of threads; with generated kernels (llvmlite) last bits differ from those without.

    Args:
        things: what to hash, in order.

    Raises:
        TypeError: something else is among them.

    >>> import tapegrad as torch
    >>> torch.testing.fingerprint(torch.zeros(2), [0.5, 0.25])
    '11fa028734c265f50a1b0c33719e62c7'
    >>> torch.testing.fingerprint(torch.zeros(2)) == torch.testing.fingerprint(torch.zeros(2, 1))
    False
    """
    hasher = hashlib.blake2b(digest_size=16)
    for thing in things:
        _add(hasher, thing)
    return hasher.hexdigest()


def _add(hasher: Any, x: Any) -> None:
    """Hash one thing: a letter for its kind, its size, its contents, so that different things are different bytes."""
    if x is None or isinstance(x, (bool, int, str, bytes, np.integer, np.bool_)):
        content = x if isinstance(x, bytes) else str(x).encode()
        _head(hasher, type(x).__name__[0], len(content))
        hasher.update(content)
    elif isinstance(x, (float, complex, np.floating, np.complexfloating)):
        _add_array(hasher, np.asarray(x, np.complex128 if isinstance(x, (complex, np.complexfloating)) else np.float64))
    elif hasattr(x, "detach"):
        _add_array(hasher, _array_of(x.detach()))
    elif isinstance(x, np.ndarray):
        _add_array(hasher, x)
    elif hasattr(x, "state_dict"):
        _add(hasher, x.state_dict())
    elif isinstance(x, Mapping):
        _head(hasher, "d", len(x))
        for key in sorted(x, key=lambda key: (type(key).__name__, key)):
            _add(hasher, key)
            _add(hasher, x[key])
    elif isinstance(x, (list, tuple)):
        _head(hasher, "l", len(x))
        for part in x:
            _add(hasher, part)
    else:
        raise TypeError(message("fingerprint: things of this type are not hashed", got=type(x).__name__))


def _head(hasher: Any, kind: str, *sizes: int) -> None:
    hasher.update(struct.pack(f"<c{len(sizes) + 1}q", kind.encode(), len(sizes), *sizes))


def _array_of(t: Any) -> np.ndarray:
    """The array of a tensor of either package."""
    array = getattr(t, "array", None)
    if array is not None:
        return array
    return t.float().numpy() if str(t.dtype) == "torch.bfloat16" else t.cpu().numpy()


def _add_array(hasher: Any, array: np.ndarray) -> None:
    if array.dtype.name == "bfloat16":  # NumPy has no such type: the same numbers as float32
        array = array.astype(np.float32)
    name = array.dtype.name.encode()
    array = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
    if array.dtype.kind in "fc" and np.isnan(array).any():
        array = np.where(np.isnan(array), array.dtype.type(np.nan), array)
    _head(hasher, "a", len(name), *array.shape)
    hasher.update(name)
    hasher.update(array.tobytes())
