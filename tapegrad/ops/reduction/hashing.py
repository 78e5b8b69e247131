"""A hash of the elements of a tensor: `torch.hash_tensor`."""

from __future__ import annotations

import numpy as np

from ... import dtypes
from ...core.op import Array, op
from ...errors import message
from .adjoints import over, reduced_shape
from .extremes import refuse_nothing

__all__ = ["hash_tensor"]


@op(method=True, nondiff=True)
def hash_tensor(x: Array, dim=(), *, keepdim=False, mode=0):
    """The exclusive or of the elements' bits, each converted to float64 or int64 first.

    Args:
        input: any shape.
        dim: the dimension or dimensions (default: all).
        keepdim: keep them with size 1.
        mode: 0, the only one.

    Raises:
        RuntimeError: another mode, or nothing to hash.

    >>> import tapegrad as torch
    >>> torch.hash_tensor(torch.tensor([5, 3]))
    tensor(6, dtype=torch.uint64)
    """
    if mode != 0:
        raise RuntimeError(message("hash_tensor: unknown mode", got=mode, expected="0"))
    if x.dtype.kind == "c":
        raise NotImplementedError(message("hash_tensor: not defined for complex numbers", got=dtypes.of(x.dtype)))
    axis = over("hash_tensor", dim, x)
    if not x.size:
        refuse_nothing("hash_tensor", x, axis)
    floating = dtypes.of(x.dtype).kind == dtypes.FLOAT
    bits = x.astype(np.float64).view(np.uint64) if floating else x.astype(np.int64).view(np.uint64)
    return np.bitwise_xor.reduce(bits, axis=axis, keepdims=keepdim)


hash_tensor.shape(lambda x, dim=(), *, keepdim=False, mode=0: reduced_shape(x, dim, keepdim))
