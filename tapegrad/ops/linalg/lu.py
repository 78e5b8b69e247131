"""Elimination: `A = P L U` with partial pivoting, `A = L D L^T` for symmetric matrices, and what is solved with them.

For P^T A = L U and C = L^-1 P^T dA U^-1: dL = L (the strict lower triangle of C), dU = (the upper triangle of C) U.

Reference: F. de Hoog, R. Anderssen and M. Lukas, "Differentiation of matrix functionals using triangular
factorization", 2011.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backends.cpu import ldl
from ...backends.cpu import linalg as kernels
from ...core.op import Array, op
from ...core.tensor import Tensor, wrap
from ...errors import message
from ..shape.joining import cat
from ..shape.rearrange import tril, triu
from .matmul import adjoint, conjugate, product
from .matrices import check, check_dtype, check_shape, identity, is_complex, named, refuse
from .solve import _solve_triangular, system_shape

__all__ = ["lu_unpack"]

ZERO_PIVOT = "U[{0}, {0}] (counted from 1) is zero: solving with these factors would divide by it"


def _columns(LU: tuple[int, ...]) -> int:
    return min(LU[-2:])


def _no_pivots(where: str, pivot: bool) -> None:
    if not pivot:
        raise RuntimeError(message(f"{where}: elimination without pivoting is not available", got="pivot=False"))


def _grad(gL: Any, gU: Any, L: Any, U: Any, perm: Any) -> Any:
    """The gradient of A from those of its factors, (..., m, k) and (..., k, n), k = min(m, n)."""
    k = L.shape[-1]
    L1, U1 = L[..., :k, :], U[..., :k]
    lower, upper = product(adjoint(L1), gL[..., :k, :]), product(gU[..., :k], adjoint(U1))
    tall, wide = gL[..., k:, :], gU[..., k:]
    if tall.shape[-2]:
        upper = upper - product(adjoint(L[..., k:, :]), tall)
    if wide.shape[-1]:
        lower = lower - product(wide, adjoint(U[..., k:]))
    inner = tril(lower, -1) + triu(upper)
    inner = _solve_triangular(adjoint(L1), inner, upper=True, unitriangular=True)
    found = _solve_triangular(adjoint(U1), inner, upper=False, left=False)
    if tall.shape[-2]:
        found = cat([found, _solve_triangular(adjoint(U1), tall, upper=False, left=False)], -2)
    if wide.shape[-1]:
        found = cat([found, _solve_triangular(adjoint(L1), wide, upper=True, unitriangular=True)], -1)
    return product(_exchange(perm, found), found)


# ---- P L U -----------------------------------------------------------------------------------------------------------


@op(name="linalg_lu_factor_ex", returns=("LU", "pivots", "info"))
def _lu_factor_ex(A: Array, *, pivot=True, check_errors=False):
    _no_pivots("linalg.lu_factor", pivot)
    check("linalg.lu_factor", A, square=False, error=NotImplementedError)
    LU, pivots, info = kernels.lu(A)
    if check_errors:
        refuse("linalg.lu_factor", info, ZERO_PIVOT)
    return LU, pivots, info


@_lu_factor_ex.shape
def _(A, *, pivot=True, check_errors=False):
    return check_shape("linalg.lu_factor", A, square=False)


@_lu_factor_ex.grad
def _(g, LU, pivots):
    k = _columns(LU.shape)
    return _grad(tril(g, -1)[..., :k], triu(g)[..., :k, :], *_lu_unpack(LU, pivots))


@op(name="lu_factors", node="LinalgLuBackward0", returns=("L", "U", "perm"), nout=2)
def _lu(A: Array):
    check("linalg.lu", A, square=False, error=NotImplementedError)
    LU, pivots, _ = kernels.lu(A)
    return *_triangles(LU), kernels.permutation(pivots, A.shape[-2])


def _exchange(perm: Any, like: Any) -> Any:
    """The matrix P with `A = P @ A[perm]`, an array or a tensor as `like` is one, of its dtype."""
    if not isinstance(like, Tensor):
        return kernels.permutation_matrix(perm, like.dtype)
    return wrap(kernels.permutation_matrix(perm.array, like.array.dtype))


def _triangles(LU: Any) -> tuple[Any, Any]:
    """L with its unit diagonal, and U."""
    k = _columns(LU.shape)
    return tril(LU, -1)[..., :k] + identity(LU, LU.shape[-2], k), triu(LU)[..., :k, :]


@_lu.shape
def _(A):
    check_shape("linalg.lu", A, square=False)
    return (*A[:-1], _columns(A))


@_lu.grad
def _(gs, L, U, perm):
    return _grad(gs[0], gs[1], L, U, perm)


def lu(A: Tensor, *, pivot: bool = True, out: Any = None) -> Any:
    """`A = P L U`: a permutation, a unit lower triangle and an upper one, as a named tuple.

    Args:
        A: (..., m, n).
        pivot: whether to exchange rows; only True is available.
        out: three tensors to write the results into.

    Returns:
        P (..., m, m), L (..., m, k), U (..., k, n) with k = min(m, n).

    >>> import tapegrad as torch
    >>> torch.linalg.lu(torch.tensor([[0.0, 2.0], [1.0, 3.0]])).P
    tensor([[0., 1.],
            [1., 0.]])
    """
    _no_pivots("linalg.lu", pivot)
    L, U, perm = _lu(A)
    return named("linalg_lu", "P L U", _exchange(perm, L), L, U, out=out)


def lu_factor(A: Tensor, *, pivot: bool = True, out: Any = None) -> Any:
    """The factors of `linalg.lu` in one matrix, and the pivots: what `lu_solve` takes.

    Args:
        A: (..., m, n).
        pivot: whether to exchange rows; only True is available.
        out: two tensors to write the results into.

    Returns:
        LU (..., m, n): U, and below it L without its diagonal of ones; pivots (..., min(m, n)), int32: row i was
        exchanged with row `pivots[i] - 1`.

    Raises:
        RuntimeError: a zero on the diagonal of U.

    >>> import tapegrad as torch
    >>> torch.linalg.lu_factor(torch.tensor([[1.0, 3.0], [2.0, 4.0]])).LU
    tensor([[2.0000, 4.0000],
            [0.5000, 1.0000]])
    """
    LU, pivots, info = _lu_factor_ex(A, pivot=pivot)
    if info.array.any():
        refuse("linalg.lu_factor", info.array, ZERO_PIVOT, RuntimeError)
    return named("linalg_lu_factor", "LU pivots", LU, pivots, out=out)


def lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False, out: Any = None) -> Any:
    """`linalg.lu_factor` and, instead of an error, `info`: 0, or the number (from 1) of the zero on U's diagonal.

    >>> import tapegrad as torch
    >>> torch.linalg.lu_factor_ex(torch.zeros(2, 2)).info
    tensor(1, dtype=torch.int32)
    """
    given = {} if out is None else {"out": out}
    return _lu_factor_ex(A, pivot=pivot, check_errors=check_errors, **given)


@op(name="lu_triangles", node="LuUnpackBackward0", returns=("L", "U", "perm"), nout=2)
def _lu_unpack(LU_data: Array, LU_pivots: Array):
    check_shape("lu_unpack", LU_data.shape, square=False, name="LU_data")
    m = LU_data.shape[-2]
    _check_pivots("lu_unpack", LU_pivots)
    if LU_pivots.size and (LU_pivots.min() < 1 or LU_pivots.max() > m):
        raise RuntimeError(message("lu_unpack: pivots must lie between 1 and the number of rows", got=f"{m} rows"))
    return *_triangles(LU_data), kernels.permutation(LU_pivots, m)


@_lu_unpack.shape
def _(LU_data, LU_pivots):
    return (*LU_data[:-1], _columns(LU_data))


@_lu_unpack.grad("LU_data")
def _(gs, LU_data_shape):
    m, n = LU_data_shape[-2:]
    gL, gU = tril(gs[0], -1), triu(gs[1])
    if n > m:
        gL = cat([gL, gU[..., m:] * 0], -1)
    if m > n:
        gU = cat([gU, gL[..., n:, :] * 0], -2)
    return gL + gU


def _check_pivots(where: str, pivots: Array) -> None:
    if pivots.dtype != np.int32:
        raise RuntimeError(message(f"{where}: the pivots must be of dtype torch.int32", got=pivots.dtype))


def lu_unpack(
    LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True, *, out: Any = None
) -> Any:
    """The matrices P, L and U from what `linalg.lu_factor` gives, as a named tuple.

    Args:
        LU_data: (..., m, n).
        LU_pivots: (..., min(m, n)), int32.
        unpack_data: whether to make L and U; they are empty if not.
        unpack_pivots: whether to make P; it is empty if not.
        out: three tensors to write the results into.

    Raises:
        RuntimeError: pivots of another dtype, or out of range.

    >>> import tapegrad as torch
    >>> P, L, U = torch.lu_unpack(*torch.linalg.lu_factor(torch.tensor([[1.0, 3.0], [2.0, 4.0]])))
    >>> P @ L @ U
    tensor([[1., 3.],
            [2., 4.]])
    """
    L, U, perm = _lu_unpack(LU_data, LU_pivots)
    P = _exchange(perm, L) if unpack_pivots else LU_data.new_empty(0)
    if not unpack_data:
        L, U = LU_data.new_empty(0), LU_data.new_empty(0)
    return named("lu_unpack", "P L U", P, L, U, out=out)


# ---- with the factors ------------------------------------------------------------------------------------------------


def _lu_solve_shape(LU, pivots, B, *, left=True, adjoint=False):
    check_shape("linalg.lu_solve", LU, name="LU")
    if pivots != LU[:-1]:
        raise RuntimeError(message("linalg.lu_solve: LU and pivots do not fit", got=f"{LU} and {pivots}"))
    return system_shape("linalg.lu_solve", LU, B, left)


@op(name="linalg_lu_solve")
def _lu_solve(LU: Array, pivots: Array, B: Array, *, left=True, adjoint=False):
    _lu_solve_shape(LU.shape, pivots.shape, B.shape, left=left)
    check_dtype("linalg.lu_solve", LU, B)
    _check_pivots("linalg.lu_solve", pivots)
    if not left:  # X A = B is A^H X^H = B^H
        found = _solved(LU, pivots, np.conjugate(B.mT), not adjoint)
        return np.ascontiguousarray(np.conjugate(found.mT))
    return _solved(LU, pivots, B, adjoint)


def _solved(LU: Array, pivots: Array, B: Array, transposed: bool) -> Array:
    """The solution of `A X = B`, or of `A^H X = B`, for `A = P L U`."""
    perm = kernels.permutation(pivots, LU.shape[-1])
    batch = np.broadcast_shapes(LU.shape[:-2], B.shape[:-2])
    order = np.broadcast_to(perm[..., None], (*batch, perm.shape[-1], 1))
    B = np.broadcast_to(B, (*batch, *B.shape[-2:]))
    if not transposed:
        inner = kernels.solve_triangular(LU, np.take_along_axis(B, order, -2), True, True)
        return kernels.solve_triangular(LU, inner, False)
    other = np.conjugate(LU.mT)
    inner = kernels.solve_triangular(other, kernels.solve_triangular(other, B, True), False, True)
    found = np.empty_like(inner)
    np.put_along_axis(found, order, inner, -2)
    return found


_lu_solve.shape(_lu_solve_shape)


@_lu_solve.grad("B")
def _(g, LU, pivots, left, adjoint):
    return _lu_solve(LU, pivots, g, left=left, adjoint=not adjoint)


def _lu_solve_grad(g, LU, pivots, out, left, adjoint):
    g = _lu_solve(LU, pivots, g, left=left, adjoint=not adjoint)
    found = -product(g, conjugate_transpose(out)) if left else -product(conjugate_transpose(out), g)
    L, U, perm = _lu_unpack(LU, pivots)
    found = product(_exchange(perm, L).mT, conjugate_transpose(found) if adjoint else found)
    return triu(product(conjugate_transpose(L), found)) + tril(product(found, conjugate_transpose(U)), -1)


conjugate_transpose = adjoint  # some functions of this file have an argument of the name `adjoint`
_lu_solve.grad("LU")(_lu_solve_grad)


def lu_solve(
    LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False, out: Tensor | None = None
) -> Tensor:
    """The solution X of `A X = B` (of `X A = B` with `left=False`) from the factors that `linalg.lu_factor` gives.

    Args:
        LU, pivots: the factors of A, (..., n, n) and (..., n).
        B: (..., n, k).
        left: whether A stands on the left.
        adjoint: take A^H in place of A.
        out: a tensor to write the result into.

    >>> import tapegrad as torch
    >>> A = torch.tensor([[1.0, 3.0], [2.0, 4.0]])
    >>> torch.linalg.lu_solve(*torch.linalg.lu_factor(A), torch.tensor([[1.0], [2.0]]))
    tensor([[1.],
            [0.]])
    """
    given: dict[str, Any] = {} if out is None else {"out": out}
    return _lu_solve(LU, pivots, B, left=left, adjoint=adjoint, **given)


# ---- L D L^T ---------------------------------------------------------------------------------------------------------


@op(name="linalg_ldl_factor_ex", returns=("LD", "pivots", "info"))
def _ldl_factor_ex(A: Array, *, hermitian=False, check_errors=False):
    check("linalg.ldl_factor", A, error=NotImplementedError)
    LD, pivots, info = ldl.factor(A, hermitian)
    if check_errors:
        refuse("linalg.ldl_factor", info, "D[{0}, {0}] (counted from 1) is zero")
    return LD, pivots, info


@_ldl_factor_ex.shape
def _(A, *, hermitian=False, check_errors=False):
    return check_shape("linalg.ldl_factor", A)


@_ldl_factor_ex.grad
def _(g):
    raise NotImplementedError(message("linalg.ldl_factor: no derivative", fix="use torch.linalg.cholesky or lu"))


def ldl_factor(A: Tensor, *, hermitian: bool = False, out: Any = None) -> Any:
    """`A = L D L^T` (`L D L^H` with `hermitian`) with D of blocks 1 x 1 and 2 x 2, in the form that `ldl_solve` takes.

    Args:
        A: (..., n, n), symmetric or Hermitian, not necessarily definite; the lower triangle is read.
        hermitian: which of the two a complex A is.
        out: two tensors to write the results into.

    Returns:
        LD (..., n, n) and pivots (..., n), int32: negative in pairs for the blocks 2 x 2.

    Source: Bunch and Kaufman, 1977. There is no derivative.

    >>> import tapegrad as torch
    >>> torch.linalg.ldl_factor(torch.tensor([[4.0, 2.0], [2.0, 5.0]])).LD
    tensor([[4.0000, 0.0000],
            [0.5000, 4.0000]])
    """
    LD, pivots, info = _ldl_factor_ex(A, hermitian=hermitian)
    if info.array.any():
        refuse("linalg.ldl_factor", info.array, "D[{0}, {0}] (counted from 1) is zero", RuntimeError)
    return named("linalg_ldl_factor", "LD pivots", LD, pivots, out=out)


def ldl_factor_ex(A: Tensor, *, hermitian: bool = False, check_errors: bool = False, out: Any = None) -> Any:
    """`linalg.ldl_factor` and, instead of an error, `info`: 0, or the number (from 1) of the zero block.

    >>> import tapegrad as torch
    >>> torch.linalg.ldl_factor_ex(torch.zeros(1, 1)).info
    tensor(1, dtype=torch.int32)
    """
    given = {} if out is None else {"out": out}
    return _ldl_factor_ex(A, hermitian=hermitian, check_errors=check_errors, **given)


def _ldl_solve_shape(LD, pivots, B, *, hermitian=False):
    check_shape("linalg.ldl_solve", LD, name="LD")
    if pivots != LD[:-1]:
        raise RuntimeError(message("linalg.ldl_solve: LD and pivots do not fit", got=f"{LD} and {pivots}"))
    return system_shape("linalg.ldl_solve", LD, B, True)


@op(name="linalg_ldl_solve")
def _ldl_solve(LD: Array, pivots: Array, B: Array, *, hermitian=False):
    if B.ndim < 2:
        raise IndexError(message("linalg.ldl_solve: B must hold matrices", got=B.shape))
    _ldl_solve_shape(LD.shape, pivots.shape, B.shape)
    check_dtype("linalg.ldl_solve", LD, B)
    return ldl.solve(LD, pivots, B, hermitian)


_ldl_solve.shape(_ldl_solve_shape)


@_ldl_solve.grad("B")
def _(g, LD, pivots, hermitian):
    if hermitian or not is_complex(LD):
        return _ldl_solve(LD, pivots, g, hermitian=hermitian)
    return conjugate(_ldl_solve(LD, pivots, conjugate(g)))


@_ldl_solve.grad("LD")
def _(g):
    raise NotImplementedError(message("linalg.ldl_solve: no derivative with respect to LD"))


def ldl_solve(LD: Tensor, pivots: Tensor, B: Tensor, *, hermitian: bool = False, out: Tensor | None = None) -> Tensor:
    """The solution X of `A X = B` from the factors that `linalg.ldl_factor` gives.

    Args:
        LD, pivots: the factors of A, (..., n, n) and (..., n).
        B: (..., n, k).
        hermitian: as it was for `ldl_factor`.
        out: a tensor to write the result into.

    Derivatives are those with respect to B.

    >>> import tapegrad as torch
    >>> factors = torch.linalg.ldl_factor(torch.tensor([[4.0, 2.0], [2.0, 5.0]]))
    >>> torch.linalg.ldl_solve(*factors, torch.tensor([[6.0], [7.0]]))
    tensor([[1.],
            [1.]])
    """
    given: dict[str, Any] = {} if out is None else {"out": out}
    return _ldl_solve(LD, pivots, B, hermitian=hermitian, **given)
