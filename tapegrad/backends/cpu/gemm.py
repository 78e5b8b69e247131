"""Products of matrices on the CPU: generated code (`codegen.gemm`) for larger ones, NumPy's BLAS for the others.

Which of the two computes depends on shapes and dtypes alone. Generated products of float32 are PyTorch's to the bit
where PyTorch takes MKL's AVX2 code (see the Note there); `bench/kernels.py --products` compares their times.

`np.dot` and `np.matmul` call the same BLAS. For two matrices `dot` starts 1 to 2 us sooner, copies operands whose
strides BLAS cannot take (`matmul` then loops without BLAS, 100 times slower), and is 3 times faster where the inner
size is 1. A stack of matrices times one matrix is one product of a tall matrix. Half precision is multiplied in
float32 and rounded once; integers wrap.

Note [Products and threads]. No product depends on the number of threads. Generated code adds up each element in one
order, whoever does it. A BLAS cuts a large product according to its number of threads, and the order of its sums with
it: so it gets one thread (`threads.single_blas`), and large products are cut here, by their shapes, into panels that
`workers` share.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ... import codegen
from ...errors import message
from . import threads, workers
from .halves import narrow, widen
from .memory import HALVES

LARGE = (
    8192  # multiplications from which on generated code is as fast, its longer way included; BLAS has one thread there
)
SHARED = 1 << 22  # multiplications from which on NumPy's product is cut into panels
PANEL = 1 << 21  # multiplications of a panel, at least
MOST = 16  # panels
_REAL = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}
_UNKNOWN = (None, None)
_kernels: dict[np.dtype, tuple[np.ufunc | None, np.ndarray]] = {}  # and an empty matrix: nothing is added


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
        if n == 2 and x.ndim == 2:
            if x.shape[0] * y.size >= LARGE:
                kernel, none = _kernels.get(x.dtype, _UNKNOWN)
                return _product(x, y) if kernel is None or x.dtype != y.dtype else kernel(x, y, none)
        elif x.size * y.size >= LARGE:
            return _product(np.atleast_2d(x), y if n == 2 else y[:, None]).reshape(x.shape[:-1] + y.shape[1:])
        found = np.dot(x, y)
        return found if found.__class__ is np.ndarray else np.array(found)
    if n <= 2 and y.shape[0] == x.shape[-1] and x.size:
        rows = x.reshape(-1, x.shape[-1])
        found = _product(rows, y if n == 2 else y[:, None])
        return found.reshape((*x.shape[:-1], *y.shape[1:]))
    if x.ndim < 2:
        return matmul(x[None], y)[..., 0, :]
    return _product(x, y)


def _product(x: np.ndarray, y: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
    """The products of (stacks of) matrices, plus `start` if that is given: (m, n), a row of it, or a stack of them."""
    work = x.size * y.shape[-1]
    if y.ndim > x.ndim:
        work *= math.prod(y.shape[:-2])
    if work >= LARGE and x.dtype == y.dtype:
        known = _kernels.get(x.dtype)
        kernel, none = _kernel(x.dtype) if known is None else known
        if kernel is not None:
            return kernel(x, y, none if start is None else start)
    found = _panels(x, y, work) if work >= SHARED and x.dtype in _REAL else _blas(x, y)
    if start is not None:
        found += start
    return found


def _kernel(dtype: np.dtype) -> tuple[np.ufunc | None, np.ndarray]:
    """The generated product of a dtype; None if there is none."""
    real, made = _REAL.get(dtype), None
    threads.single_blas()  # also for the products that are left to it
    if real is not None and codegen.jit.available():
        routines = codegen.gemm.product(real, codegen.jit.lanes(real))
        made = codegen.jit.gufunc(routines, "(m,k),(k,n),(r,b)->(m,n)", [dtype] * 4, name="product")
    return _kernels.setdefault(dtype, (made, np.empty((0, 0), dtype)))


# ---- NumPy -------------------------------------------------------------------------------------------------------


def _blas(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    if x.ndim == 2 and y.ndim == 2:
        return np.dot(x, y)
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


def _panels(x: np.ndarray, y: np.ndarray, work: int) -> np.ndarray:
    """A product in panels of rows or of columns, or of matrices, which threads share; see [Products and threads]."""
    threads.single_blas()
    x, y = _regular(x), _regular(y)
    m, n = x.shape[-2], y.shape[-1]
    stack = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    if x.shape[-1] != y.shape[-2]:
        return _blas(x, y)  # which says so
    out = np.empty((*stack, m, n), x.dtype)
    if stack:
        x, y = np.broadcast_to(x, (*stack, *x.shape[-2:])), np.broadcast_to(y, (*stack, *y.shape[-2:]))
    count = min(MOST, work // PANEL)
    size = stack[0] if stack else max(m, n)
    panels = [slice(size * i // count, size * (i + 1) // count) for i in range(count)]
    panels = [part for part in panels if part.start < part.stop]

    def compute(part: slice) -> None:
        if stack:
            np.matmul(x[part], y[part], out=out[part])
        elif m >= n:
            np.matmul(x[part], y, out=out[part])
        else:
            np.matmul(x, y[:, part], out=out[:, part])

    share_out(compute, panels)
    return out


def share_out(function: Callable[[Any], None], parts: list) -> None:
    """Call `function` with each part, on as many threads as there may be."""
    count = min(threads.get_num_threads(), len(parts))
    if count <= 1:
        for part in parts:
            function(part)
        return

    def several(group: list) -> None:
        for part in group:
            function(part)

    workers.share(several, [parts[i::count] for i in range(count)])


# ---- with something added ----------------------------------------------------------------------------------------


def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """`x @ weight.T + bias` for x of (..., in), weight (out, in) and bias (out,)."""
    if x.itemsize == 2 and x.dtype in HALVES:
        wide = None if bias is None else widen(bias)
        return narrow(linear(widen(x), widen(weight), wide), x.dtype)
    if bias is not None and weight.ndim == 1:
        raise ValueError("a bias needs a weight of two dimensions")
    if weight.ndim == 2 and x.ndim and x.size and x.shape[-1] == weight.shape[1]:
        rows = x if x.ndim == 2 else x.reshape(-1, x.shape[-1])
        if rows.shape[0] * weight.size >= LARGE and (bias is None or bias.shape == weight.shape[:1]):
            out = _product(rows, weight.T, None if bias is None else bias[None])
            return out if x.ndim == 2 else out.reshape((*x.shape[:-1], weight.shape[0]))
        out = np.dot(rows, weight.T)
        if x.ndim != 2:
            out = out.reshape((*x.shape[:-1], weight.shape[0]))
    else:
        out = matmul(x, weight.T)
    if bias is not None:
        out += bias
    return out


def added(where: str, start: np.ndarray, x: np.ndarray, y: np.ndarray, beta: float, alpha: float) -> np.ndarray:
    """`beta * start + alpha * x @ y` for matrices and stacks of them; `start` is not read where beta is 0."""
    if beta == 1 and alpha == 1 and x.dtype in _REAL and start.dtype == x.dtype and x.size * y.shape[-1] >= LARGE:
        if start.shape == y.shape[-1:]:
            return _product(x, y, start[None])
        shape = (*x.shape[:-1], y.shape[-1])
        if start.shape == shape or np.broadcast_shapes(start.shape, shape) == shape:
            return _product(x, y, np.broadcast_to(start, shape))
    return accumulate(where, start, matmul(x, y), beta, alpha)


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
