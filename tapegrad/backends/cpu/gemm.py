"""Products of matrices on the CPU: NumPy's, chosen by what was measured.

`np.dot` and `np.matmul` call the same BLAS. For two matrices `dot` starts 1 to 2 us sooner, copies operands whose
strides BLAS cannot take (`matmul` then loops without BLAS, 100 times slower), and is 3 times faster where the inner
size is 1. A stack of matrices times one matrix is one product of a tall matrix. Half precision is multiplied in
float32 and rounded once; integers wrap.
"""

from __future__ import annotations

import numpy as np

from ...errors import message
from .halves import HALVES, narrow, widen


def check_types(where: str, *arrays: np.ndarray) -> None:
    """Refuse operands of unequal dtypes, and booleans.

    Raises:
        RuntimeError: unequal dtypes.
        NotImplementedError: booleans.
    """
    first = arrays[0].dtype
    for a in arrays[1:]:
        if a.dtype != first:
            got = " and ".join(str(x.dtype) for x in arrays)
            raise RuntimeError(message(f"{where}: the operands must have one dtype", got=got, fix="x.to(y.dtype)"))
    if first.kind == "b":
        raise NotImplementedError(message(f"{where}: not defined for torch.bool", fix="x.to(torch.int64)"))


def matmul(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """`x @ y` for vectors, matrices and stacks of matrices, of one dtype."""
    if x.itemsize == 2 and x.dtype in HALVES:
        return narrow(matmul(widen(x), widen(y)), x.dtype)
    n = y.ndim
    if n <= 2 and x.ndim <= 2:
        if not x.ndim or not n:
            raise ValueError("operands without dimensions")
        found = np.dot(x, y)
        return found if found.__class__ is np.ndarray else np.array(found)
    if n <= 2 and y.shape[0] == x.shape[-1] and x.size:
        return np.dot(x.reshape(-1, x.shape[-1]), y).reshape((*x.shape[:-1], *y.shape[1:]))
    return np.asarray(np.matmul(_regular(x), _regular(y)))


def _regular(x: np.ndarray) -> np.ndarray:
    """`x`, or a copy if BLAS cannot take its strides."""
    if x.ndim < 2 or x.flags.c_contiguous:
        return x
    rows, columns = x.strides[-2:]
    small = x.itemsize
    if (columns == small and rows >= small * x.shape[-1]) or (rows == small and columns >= small * x.shape[-2]):
        return x
    return np.ascontiguousarray(x)


def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """`x @ weight.T + bias` for x of (..., in), weight (out, in) and bias (out,)."""
    if x.itemsize == 2 and x.dtype in HALVES:
        wide = None if bias is None else widen(bias)
        return narrow(linear(widen(x), widen(weight), wide), x.dtype)
    if bias is not None and weight.ndim == 1:
        raise ValueError("a bias needs a weight of two dimensions")
    if x.ndim == 2:
        out = np.dot(x, weight.T)
    elif x.ndim and x.size and x.shape[-1] == weight.shape[-1]:
        out = np.dot(x.reshape(-1, x.shape[-1]), weight.T).reshape((*x.shape[:-1], *weight.shape[:-1]))
    else:
        out = np.asarray(np.matmul(x, weight.T))
    if bias is not None:
        out += bias
    return out


def accumulate(where: str, start: np.ndarray, product: np.ndarray, beta: float, alpha: float) -> np.ndarray:
    """`beta * start + alpha * product`; `start` is not read where beta is 0."""
    if product.dtype.kind in "biu":  # sums of booleans: "or"
        kind = bool if product.dtype.kind == "b" else int
        beta, alpha = kind(beta), kind(alpha)
    if alpha != 1:
        product = product * product.dtype.type(alpha)
    shape = product.shape
    if np.broadcast_shapes(start.shape, shape) != shape:
        text = message(f"{where}: the input does not broadcast to the product", got=f"{start.shape} and {shape}")
        raise RuntimeError(text)
    if beta == 0:
        return product
    return product + (start if beta == 1 else start * start.dtype.type(beta))
