"""Systems of linear equations, and inverses (`torch.linalg`).

The derivative of all of them is one rule: for `A X = B`, the gradient of B is the solution of `A^H gB = gX`, and
that of A is `-gB X^H`.

Reference: M. B. Giles, "An extended collection of matrix derivative results for forward and reverse mode algorithmic
differentiation", 2008.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from ... import shapes
from ...backends.cpu import linalg as kernels
from ...core.op import Array, op
from ...core.tensor import Tensor
from ...errors import message
from ..casting import full
from ..shape.movement import permute, reshape
from ..shape.rearrange import tril, triu
from .matmul import adjoint, conjugate, product
from .matrices import check, check_dtype, check_shape, into, refuse, tensor

__all__ = ["inverse"]

SINGULAR = "the matrix is singular: pivot {} is zero"


# ---- inverses --------------------------------------------------------------------------------------------------------


@op(name="inv", node="LinalgInvExBackward0")
def _inv(A: Array):
    check("linalg.inv", A)
    found, info = kernels.inv(A)
    refuse("linalg.inv", info, SINGULAR)
    return found


@op(name="linalg_inv_ex", returns=("inverse", "info"))
def _inv_ex(A: Array, *, check_errors=False):
    check("linalg.inv_ex", A)
    found, info = kernels.inv(A)
    if check_errors:
        refuse("linalg.inv_ex", info, SINGULAR)
    return found, info


def _inverse_grad(g, out):
    return -product(adjoint(out), product(g, adjoint(out)))


_inv.grad(_inverse_grad)


@_inv_ex.grad
def _(g, inverse):
    return _inverse_grad(g, inverse)


_inv.shape(lambda A: check_shape("linalg.inv", A))
_inv_ex.shape(lambda A, *, check_errors=False: check_shape("linalg.inv_ex", A))


@full
def inv(A: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inverse of square matrices.

    Args:
        A: (..., n, n), invertible.
        out: a tensor to write the result into.

    Raises:
        LinAlgError: a matrix is singular.

    >>> import tapegrad as torch
    >>> torch.linalg.inv(torch.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    return _inv(A) if out is None else _inv(A, out=out)


def inv_ex(A: Tensor, *, check_errors: bool = False, out: Any = None) -> Any:
    """The inverse and, instead of an error, `info`: 0, or the number (from 1) of the zero pivot of a singular matrix.

    >>> import tapegrad as torch
    >>> torch.linalg.inv_ex(torch.zeros(2, 2)).info
    tensor(1, dtype=torch.int32)
    """
    named = {} if out is None else {"out": out}
    return _inv_ex(A, check_errors=check_errors, **named)


@full
def inverse(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inverse of square matrices: another name of `linalg.inv`.

    >>> import tapegrad as torch
    >>> torch.inverse(torch.tensor([[4.0]]))
    tensor([[0.2500]])
    """
    return inv(input, out=out)


# ---- equations -------------------------------------------------------------------------------------------------------


def is_vector(A: tuple[int, ...], B: tuple[int, ...]) -> bool:
    """Whether the right-hand side holds vectors: one, or a stack that fits the stack of matrices."""
    return len(B) == 1 or (len(A) - 1 == len(B) and A[:-1] == B)


def system_shape(where: str, A: tuple[int, ...], B: tuple[int, ...], left: bool) -> tuple[int, ...]:
    """The shape of the solution of `A X = B`, or `X A = B`, for matrices B."""
    check_shape(where, B, square=False, name="B")
    if A[-1] != B[-2 if left else -1]:
        text = message(f"{where}: the sizes do not fit {'A X = B' if left else 'X A = B'}", got=f"{A} and {B}")
        raise RuntimeError(text)
    return (*shapes.broadcast(where, A[:-2], B[:-2]), *B[-2:])


def _solve_shape(A, B, *, left=True, check_errors=False):
    check_shape("linalg.solve", A)
    vector = is_vector(A, B)
    if vector and not left:
        raise RuntimeError(message("linalg.solve: X A = B needs matrices B", got=f"{A} and {B}", fix="B.unsqueeze(-2)"))
    found = system_shape("linalg.solve", A, (*B, 1) if vector else B, left)
    return found[:-1] if vector else found


@op(name="linalg_solve_ex", returns=("result", "info"))
def _solve_ex(A: Array, B: Array, *, left=True, check_errors=False):
    _solve_shape(A.shape, B.shape, left=left)
    check_dtype("linalg.solve", A, B)
    if is_vector(A.shape, B.shape):
        found, info = kernels.solve(A, B[..., None])
        found = found[..., 0]
    elif left:
        found, info = kernels.solve(A, B)
    else:
        found, info = kernels.solve(A.mT, B.mT)
        found = np.ascontiguousarray(found.mT)
    if check_errors:
        refuse("linalg.solve", info, SINGULAR)
    return found, info


_solve_ex.shape(_solve_shape)


@_solve_ex.grad("B")
def _(g, A, left):
    return _solve_ex(adjoint(A), g, left=left)[0]


@_solve_ex.grad("A")
def _(g, A, result, left, A_shape, B_shape):
    g = _solve_ex(adjoint(A), g, left=left)[0]
    if is_vector(A_shape, B_shape):
        return -(g[..., None] * conjugate(result)[..., None, :])
    return -product(g, adjoint(result)) if left else -product(adjoint(result), g)


@full
def solve(A: Tensor, B: Tensor, *, left: bool = True, out: Tensor | None = None) -> Tensor:
    """The solution X of `A X = B` (of `X A = B` with `left=False`).

    Args:
        A: (..., n, n), invertible.
        B: (..., n, k), or (..., n) for vectors.
        left: whether A stands on the left.
        out: a tensor to write the result into.

    Raises:
        LinAlgError: a matrix is singular.

    >>> import tapegrad as torch
    >>> torch.linalg.solve(torch.tensor([[2.0, 0.0], [0.0, 4.0]]), torch.tensor([2.0, 2.0]))
    tensor([1.0000, 0.5000])
    """
    return into(out, "linalg_solve", _solve_ex(A, B, left=left, check_errors=True)[0])


def solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False, out: Any = None) -> Any:
    """The solution of `linalg.solve` and, instead of an error, `info`: 0, or the number (from 1) of the zero pivot.

    >>> import tapegrad as torch
    >>> torch.linalg.solve_ex(torch.eye(2), torch.ones(2)).info
    tensor(0, dtype=torch.int32)
    """
    named = {} if out is None else {"out": out}
    return _solve_ex(A, B, left=left, check_errors=check_errors, **named)


# ---- triangular systems ----------------------------------------------------------------------------------------------


def _triangular_shape(A, B, *, upper, left=True, unitriangular=False):
    check_shape("linalg.solve_triangular", A)
    return system_shape("linalg.solve_triangular", A, B, left)


@op(name="linalg_solve_triangular")
def _solve_triangular(A: Array, B: Array, *, upper, left=True, unitriangular=False):
    _triangular_shape(A.shape, B.shape, upper=upper, left=left)
    check_dtype("linalg.solve_triangular", A, B, error=NotImplementedError)
    if left:
        return kernels.solve_triangular(A, B, not upper, unitriangular)
    return np.ascontiguousarray(kernels.solve_triangular(A.mT, B.mT, upper, unitriangular).mT)


_solve_triangular.shape(_triangular_shape)


@_solve_triangular.grad("B")
def _(g, A, upper, left, unitriangular):
    return _solve_triangular(adjoint(A), g, upper=not upper, left=left, unitriangular=unitriangular)


@_solve_triangular.grad("A")
def _(g, A, out, upper, left, unitriangular):
    g = _solve_triangular(adjoint(A), g, upper=not upper, left=left, unitriangular=unitriangular)
    found = -product(g, adjoint(out)) if left else -product(adjoint(out), g)
    return triu(found, int(unitriangular)) if upper else tril(found, -int(unitriangular))


def solve_triangular(
    A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False, out: Tensor | None = None
) -> Tensor:
    """The solution X of `A X = B` (of `X A = B` with `left=False`) for triangular A.

    Args:
        A: (..., n, n); the other triangle is not read.
        B: (..., n, k).
        upper: whether A is an upper triangle.
        left: whether A stands on the left.
        unitriangular: take the diagonal of A for ones, without reading it.
        out: a tensor to write the result into.

    >>> import tapegrad as torch
    >>> A = torch.tensor([[1.0, 0.0], [2.0, 4.0]])
    >>> torch.linalg.solve_triangular(A, torch.tensor([[1.0], [4.0]]), upper=False)
    tensor([[1.0000],
            [0.5000]])
    """
    named: dict[str, Any] = {} if out is None else {"out": out}
    return _solve_triangular(A, B, upper=upper, left=left, unitriangular=unitriangular, **named)


# ---- of tensors ------------------------------------------------------------------------------------------------------


@full
def tensorinv(A: Tensor, ind: int = 2, *, out: Tensor | None = None) -> Tensor:
    """The inverse of the linear map that `tensordot(A, x, x.ndim)` is; composed of `inv`.

    Args:
        A: the product of the first `ind` sizes must be that of the others.
        ind: how many dimensions the map's results have.
        out: a tensor to write the result into.

    Returns:
        The last dimensions of A first, then its first `ind` ones.

    Raises:
        RuntimeError: the map is not square, or not invertible.

    >>> import tapegrad as torch
    >>> torch.linalg.tensorinv(torch.eye(6).reshape(2, 3, 6), ind=2).shape
    torch.Size([6, 2, 3])
    """
    tensor("linalg.tensorinv", A)
    if operator.index(ind) <= 0:
        raise RuntimeError(message("linalg.tensorinv: ind must be positive", got=ind))
    first, last = tuple(A.shape[:ind]), tuple(A.shape[ind:])
    n = math.prod(first)
    if n != math.prod(last):
        raise RuntimeError(message("linalg.tensorinv: the map is not square", got=f"{first} and {last}"))
    return into(out, "linalg_tensorinv", reshape(inv(reshape(A, (n, n))), last + first))


@full
def tensorsolve(A: Tensor, B: Tensor, dims: Any = None, *, out: Tensor | None = None) -> Tensor:
    """The solution X of `tensordot(A, X, X.ndim) == B`; composed of `solve`.

    Args:
        A: first the sizes of B, then those of X, their products being equal.
        B: the right-hand side.
        dims: dimensions of A to move behind the others first.
        out: a tensor to write the result into.

    Raises:
        RuntimeError: the map is not square, or not invertible.

    >>> import tapegrad as torch
    >>> torch.linalg.tensorsolve(torch.eye(6).reshape(2, 3, 6), torch.ones(2, 3)).shape
    torch.Size([6])
    """
    tensor("linalg.tensorsolve", A, B)
    if dims is not None:
        moved = shapes.axes("linalg.tensorsolve", dims, A.ndim) or ()
        A = permute(A, (*(d for d in range(A.ndim) if d not in moved), *moved))
    first, last = tuple(A.shape[: B.ndim]), tuple(A.shape[B.ndim :])
    n = math.prod(last)
    if n != math.prod(first):
        raise RuntimeError(message("linalg.tensorsolve: the map is not square", got=f"{first} and {last}"))
    found = solve(reshape(A, (n, n)), reshape(B, (-1,)))
    return into(out, "linalg_tensorsolve", reshape(found, last))


Tensor.inverse = inverse
