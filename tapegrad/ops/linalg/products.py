"""Products built from matrix products and elementwise ones: `outer`, `tensordot`, `kron`, `cross`, matrix powers.

All but `trace` and `cross` are composed of recorded operations.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import dtypes, shapes
from ...backends.cpu import gemm
from ...core.dispatch import write_out
from ...core.op import Array, op
from ...core.tensor import Tensor, wrap
from ...errors import message
from ..casting import full, lower
from ..creation.values import Named
from ..pointwise.arithmetic import mul
from ..reduction.reduce import sum
from ..shape.movement import permute, reshape
from .matmul import conjugate, dot, matmul, mm
from .solve import inv

__all__ = [
    "outer", "ger", "inner", "tensordot", "kron", "chain_matmul", "trace", "cross", "matrix_power",
]  # fmt: skip


def _into(out: Tensor | None, name: str, found: Tensor) -> Tensor:
    """The result of a composite, or `out` filled with it."""
    return found if out is None else write_out(Named(name), [found], found.array, out)


def _tensor(where: str, *given: Any) -> None:
    for x in given:
        if not isinstance(x, Tensor):
            raise TypeError(message(f"{where}: the operands must be tensors", got=type(x).__name__))


# ---- of vectors --------------------------------------------------------------------------------------------------


def outer(input: Tensor, vec2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The products of all pairs of elements: `out[i, j] = input[i] * vec2[j]` (composed of `mul`).

    >>> import tapegrad as torch
    >>> torch.outer(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]))
    tensor([[3., 4.],
            [6., 8.]])
    """
    _tensor("outer", input, vec2)
    if input.ndim != 1 or vec2.ndim != 1:
        text = message("outer: two vectors are needed", got=f"{tuple(input.shape)} and {tuple(vec2.shape)}")
        raise RuntimeError(text)
    return _into(out, "outer", mul(reshape(input, (-1, 1)), vec2))


ger = outer


def inner(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The sums of products over the last dimensions: (..., k) and (..., k) (composed of a matrix product).

    >>> import tapegrad as torch
    >>> torch.inner(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]))
    tensor(11.)
    """
    _tensor("inner", input, other)
    if not input.ndim or not other.ndim:
        return _into(out, "inner", mul(input, other))
    if input.shape[-1] != other.shape[-1]:
        got = f"{tuple(input.shape)} and {tuple(other.shape)}"
        raise RuntimeError(message("inner: the last sizes differ", got=got))
    if input.ndim == other.ndim == 1:
        return _into(out, "inner", dot(input, other))
    return _into(out, "inner", tensordot(input, other, ([-1], [-1])))


@lower
def vecdot(x: Tensor, y: Tensor, *, dim: int = -1, out: Tensor | None = None) -> Tensor:
    """The sum of `conj(x) * y` over a dimension; the others broadcast (`torch.linalg.vecdot`).

    >>> import tapegrad as torch
    >>> from tapegrad.ops.linalg.products import vecdot
    >>> vecdot(torch.ones(2, 3), torch.tensor([1.0, 2.0, 3.0]))
    tensor([6., 6.])
    """
    _tensor("vecdot", x, y)
    if x.dtype.kind < dtypes.FLOAT:
        raise RuntimeError(message("vecdot: floating-point or complex operands are needed", got=x.dtype))
    return _into(out, "vecdot", sum(mul(conjugate(x), y), dim))


# ---- of tensors ---------------------------------------------------------------------------------------------------


def _contracted(dims: Any, a: Tensor, b: Tensor) -> tuple[list[int], list[int]]:
    """The dimensions of `a` and `b` that `tensordot` sums over."""
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        if not 0 <= dims <= min(a.ndim, b.ndim):
            raise RuntimeError(message("tensordot: not so many dimensions to contract", got=f"dims={dims}"))
        return list(range(a.ndim - dims, a.ndim)), list(range(dims))
    first, second = dims
    if not isinstance(first, Sequence) or not isinstance(second, Sequence):
        raise TypeError(message("tensordot: dims must be a number or two lists", got=repr(dims)))
    if len(first) != len(second):
        raise RuntimeError(message("tensordot: the two lists of dims differ in length", got=repr(dims)))
    left = shapes.axes("tensordot", tuple(first), a.ndim) or ()
    return list(left), list(shapes.axes("tensordot", tuple(second), b.ndim) or ())


def tensordot(a: Tensor, b: Tensor, dims: Any = 2, out: Tensor | None = None) -> Tensor:
    """The sum of products over pairs of dimensions, one of `a` and one of `b` (composed of `mm`).

    Args:
        a, b: tensors of one dtype.
        dims: how many of the last dimensions of `a` and the first of `b`; or two lists of dimensions.
        out: a tensor to write the result into.

    Returns:
        The remaining dimensions of `a`, then those of `b`.

    Raises:
        RuntimeError: the paired sizes differ, or the dtypes.

    >>> import tapegrad as torch
    >>> torch.tensordot(torch.ones(2, 3, 4), torch.ones(4, 3), dims=([1, 2], [1, 0]))
    tensor([12., 12.])
    """
    _tensor("tensordot", a, b)
    left, right = _contracted(dims, a, b)
    gemm.check_types("tensordot", a.array, b.array)
    for i, j in zip(left, right):  # a size of 1 is stretched: the other operand can be summed beforehand
        n, m = a.shape[i], b.shape[j]
        if n != m and 1 not in (n, m):
            got = f"size {n} of dimension {i} and size {m} of dimension {j}"
            raise RuntimeError(message("tensordot: the contracted sizes differ", got=got))
        a = sum(a, i, True) if m == 1 != n else a
        b = sum(b, j, True) if n == 1 != m else b
    free_a = [d for d in range(a.ndim) if d not in left]
    free_b = [d for d in range(b.ndim) if d not in right]
    shape = tuple(a.shape[d] for d in free_a) + tuple(b.shape[d] for d in free_b)
    k = math.prod(a.shape[d] for d in left)
    x = reshape(permute(a, (*free_a, *left)), (math.prod(a.shape[d] for d in free_a), k))
    y = reshape(permute(b, (*right, *free_b)), (k, math.prod(b.shape[d] for d in free_b)))
    return _into(out, "tensordot", reshape(mm(x, y), shape))


def kron(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The Kronecker product: each element of `input` times the whole of `other`, as one large tensor.

    >>> import tapegrad as torch
    >>> torch.kron(torch.eye(2), torch.tensor([[1.0, 2.0]]))
    tensor([[1., 2., 0., 0.],
            [0., 0., 1., 2.]])
    """
    _tensor("kron", input, other)
    n = max(input.ndim, other.ndim)
    a = (1,) * (n - input.ndim) + tuple(input.shape)
    b = (1,) * (n - other.ndim) + tuple(other.shape)
    x = reshape(input, tuple(size for pair in zip(a, (1,) * n) for size in pair))
    y = reshape(other, tuple(size for pair in zip((1,) * n, b) for size in pair))
    return _into(out, "kron", reshape(mul(x, y), tuple(i * j for i, j in zip(a, b))))


# ---- of many matrices ---------------------------------------------------------------------------------------------


def _cheapest(sizes: list[int]) -> dict[tuple[int, int], int]:
    """Where to split each part of a chain of matrices, (sizes[i], sizes[i + 1]) each, for the fewest multiplications.

    Reference: Cormen et al., "Introduction to Algorithms", matrix-chain multiplication.
    """
    n = len(sizes) - 1
    cost = {(i, i): 0 for i in range(n)}
    split: dict[tuple[int, int], int] = {}
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            costs = [cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1] for k in range(i, j)]
            cost[i, j] = min(costs)
            split[i, j] = i + costs.index(min(costs))
    return split


def multi_dot(tensors: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
    """The product of a chain of matrices in the cheapest order; the first and last may be vectors.

    Raises:
        RuntimeError: fewer than two tensors, or sizes that do not fit.

    >>> import tapegrad as torch
    >>> from tapegrad.ops.linalg.products import multi_dot
    >>> multi_dot([torch.ones(2, 3), torch.ones(3, 4), torch.ones(4)])
    tensor([12., 12.])
    """
    chain = list(tensors)
    _tensor("multi_dot", *chain)
    if len(chain) < 2:
        raise RuntimeError(message("multi_dot: at least two tensors are needed", got=len(chain)))
    row, column = chain[0].ndim == 1, chain[-1].ndim == 1
    if row:
        chain[0] = reshape(chain[0], (1, -1))
    if column:
        chain[-1] = reshape(chain[-1], (-1, 1))
    for k, (x, y) in enumerate(itertools.pairwise(chain)):
        if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[0]:
            got = f"{tuple(x.shape)} and {tuple(y.shape)}"
            raise RuntimeError(message(f"multi_dot: tensors {k} and {k + 1} cannot be multiplied", got=got))
    split = _cheapest([chain[0].shape[0], *(x.shape[1] for x in chain)])

    def product(i: int, j: int) -> Tensor:
        return chain[i] if i == j else mm(product(i, split[i, j]), product(split[i, j] + 1, j))

    found = product(0, len(chain) - 1)
    shape = found.shape[row : 2 - column]
    return _into(out, "multi_dot", reshape(found, tuple(shape)) if row or column else found)


def chain_matmul(*matrices: Tensor, out: Tensor | None = None) -> Tensor:
    """The product of a chain of matrices in the cheapest order.

    >>> import tapegrad as torch
    >>> torch.chain_matmul(torch.ones(2, 3), torch.ones(3, 4), torch.ones(4, 1))
    tensor([[12.],
            [12.]])
    """
    if not matrices:
        raise RuntimeError(message("chain_matmul: at least one matrix is needed"))
    if len(matrices) == 1:
        return _into(out, "chain_matmul", matrices[0])
    return multi_dot(matrices, out=out)


def matrix_power(input: Tensor, n: int, *, out: Tensor | None = None) -> Tensor:
    """The product of `n` equal square matrices, (..., m, m); of inverses, if n is negative.

    Raises:
        RuntimeError: the matrices are not square, or singular for a negative n.

    >>> import tapegrad as torch
    >>> torch.matrix_power(torch.tensor([[1.0, 1.0], [0.0, 1.0]]), 5)
    tensor([[1., 5.],
            [0., 1.]])
    """
    _tensor("matrix_power", input)
    if isinstance(n, bool) or not hasattr(n, "__index__"):
        raise TypeError(message("matrix_power: the exponent must be an integer", got=repr(n)))
    if input.ndim < 2 or input.shape[-1] != input.shape[-2]:
        raise RuntimeError(message("matrix_power: square matrices are needed", got=f"shape {tuple(input.shape)}"))
    if n == 0:
        unit = np.broadcast_to(np.eye(input.shape[-1], dtype=input.array.dtype), input.array.shape)
        return _into(out, "matrix_power", input.clone().copy_(wrap(unit)))
    base = inv(input) if n < 0 else input
    found = None
    for bit in reversed(f"{abs(n):b}"):
        if bit == "1":
            found = base if found is None else matmul(found, base)
        if bit != "1" or found is not base or abs(n) > 1:
            base = matmul(base, base)
    assert found is not None
    return _into(out, "matrix_power", found.clone() if found is input else found)


# ---- trace and cross product --------------------------------------------------------------------------------------


@full
@op(method=True)
def trace(x: Array):
    """The sum of the diagonal of a matrix.

    >>> import tapegrad as torch
    >>> torch.trace(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(5.)
    """
    if x.ndim != 2:
        raise RuntimeError(message("trace: a matrix is needed", got=f"shape {x.shape}"))
    if x.dtype.kind == "b":
        raise NotImplementedError(message("trace: not defined for torch.bool"))
    if x.dtype.kind in "iu":
        return np.trace(x, dtype=np.int64)
    return np.trace(x.astype(np.float32)).astype(x.dtype) if x.itemsize == 2 else np.trace(x)


@trace.grad
def _(g, x_shape):
    unit = np.eye(*x_shape, dtype=g.dtype if isinstance(g, np.ndarray) else g.array.dtype)
    return g * (unit if isinstance(g, np.ndarray) else wrap(unit))


@trace.shape
def _(x):
    return ()


@op(name="linalg_cross")
def linalg_cross(x: Array, y: Array, *, dim=-1):
    """The cross product of vectors of 3 elements along `dim`; the other dimensions broadcast (`torch.linalg.cross`).

    Raises:
        RuntimeError: the size along `dim` is not 3, or the numbers of dimensions differ.

    >>> import tapegrad as torch
    >>> from tapegrad.ops.linalg.products import linalg_cross
    >>> linalg_cross(torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0]))
    tensor([0., 0., 1.])
    """
    linalg_cross.op.shape_rule(x.shape, y.shape, dim=dim)
    gemm.check_types("cross", x, y)
    a, b = np.moveaxis(x, dim, 0), np.moveaxis(y, dim, 0)
    out = np.empty((3, *np.broadcast_shapes(a.shape[1:], b.shape[1:])), x.dtype)
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        out[i] = a[j] * b[k] - a[k] * b[j]
    return np.ascontiguousarray(np.moveaxis(out, 0, dim))


@linalg_cross.grad("x")
def _(g, y, dim):
    return linalg_cross(conjugate(y), g, dim=dim)


@linalg_cross.grad("y")
def _(g, x, dim):
    return linalg_cross(g, conjugate(x), dim=dim)


@linalg_cross.shape
def _(x, y, *, dim=-1):
    if len(x) != len(y):
        raise RuntimeError(message("cross: the numbers of dimensions differ", got=f"{tuple(x)} and {tuple(y)}"))
    d = shapes.axis("cross", dim, len(x))
    if x[d] != 3 or y[d] != 3:
        raise RuntimeError(message(f"cross: the size along dim {dim} must be 3", got=f"{tuple(x)} and {tuple(y)}"))
    return shapes.broadcast("cross", x, y)


def cross(input: Tensor, other: Tensor, dim: int | None = None, *, out: Tensor | None = None) -> Tensor:
    """The cross product of vectors along `dim`; without it, along the first dimension of size 3.

    Raises:
        RuntimeError: no dimension of size 3.

    >>> import tapegrad as torch
    >>> torch.cross(torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0]), dim=0)
    tensor([0., 0., 1.])
    """
    _tensor("cross", input, other)
    if dim is None:
        dim = next((d for d, n in enumerate(input.shape) if n == 3), None)
        if dim is None:
            raise RuntimeError(message("cross: no dimension of size 3", got=f"shape {tuple(input.shape)}"))
    options = {} if out is None else {"out": out}
    return linalg_cross(input, other, dim=dim, **options)


Tensor.outer = Tensor.ger = outer
Tensor.inner = inner
Tensor.kron = kron
Tensor.matrix_power = matrix_power
Tensor.cross = cross
