"""The older top-level names of `torch.linalg`: other arguments, other order of results, the same operations."""

from __future__ import annotations

from typing import Any

from ...core.tensor import Tensor
from ...errors import message
from ..casting import full
from . import eigen, orthogonal
from .cholesky import old_cholesky
from .determinants import old_slogdet
from .lu import lu_factor, lu_factor_ex
from .lu import lu_solve as linalg_lu_solve
from .matmul import adjoint
from .matrices import check_shape, named, tensor
from .solve import solve_triangular

__all__ = ["cholesky", "lu", "lu_solve", "qr", "slogdet", "svd", "triangular_solve"]

cholesky = old_cholesky
slogdet = old_slogdet


@full
def svd(input: Tensor, some: bool = True, compute_uv: bool = True, *, out: Any = None) -> Any:
    """`A = U diag(S) V^H`, as a named tuple: `linalg.svd` with V in place of V^H.

    Args:
        input: (..., m, n).
        some: whether U and V have only min(m, n) columns, or are square.
        compute_uv: if False, U and V are zeros.
        out: three tensors to write the results into.

    >>> import tapegrad as torch
    >>> torch.svd(torch.tensor([[3.0, 0.0], [0.0, 4.0]])).S
    tensor([4., 3.])
    """
    tensor("svd", input)
    if compute_uv:
        U, S, Vh = eigen.svd(input, not some)
        return named("svd", "U S V", U, S, adjoint(Vh), out=out)
    S = eigen.svdvals(input)
    batch, (m, n) = tuple(input.shape[:-2]), input.shape[-2:]
    return named("svd", "U S V", input.new_zeros((*batch, m, m)), S, input.new_zeros((*batch, n, n)), out=out)


@full
def qr(input: Tensor, some: bool = True, *, out: Any = None) -> Any:
    """`A = Q R`, as a named tuple: `linalg.qr` in the mode "reduced", or "complete" if not `some`.

    >>> import tapegrad as torch
    >>> torch.qr(torch.tensor([[3.0], [4.0]])).R.abs()
    tensor([[5.]])
    """
    return named("qr", "Q R", *orthogonal.qr(input, "reduced" if some else "complete"), out=out)


def lu(input: Tensor, pivot: bool = True, get_infos: bool = False, out: Any = None) -> Any:
    """The factors and pivots of `linalg.lu_factor`; with `get_infos` those of `linalg.lu_factor_ex`.

    >>> import tapegrad as torch
    >>> torch.lu(torch.tensor([[1.0, 3.0], [2.0, 4.0]]))[1]
    tensor([2, 2], dtype=torch.int32)
    """
    tensor("lu", input)
    if get_infos:
        return named("_lu_with_info", "LU pivots info", *lu_factor_ex(input, pivot=pivot), out=out)
    LU, pivots = lu_factor(input, pivot=pivot)
    return (LU, pivots) if out is None else tuple(named("lu", "LU pivots", LU, pivots, out=out))


def lu_solve(input: Tensor, LU_data: Tensor, LU_pivots: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The solution X of `A X = B`: `linalg.lu_solve` with B first.

    >>> import tapegrad as torch
    >>> torch.lu_solve(torch.ones(1, 1), *torch.linalg.lu_factor(torch.tensor([[4.0]])))
    tensor([[0.2500]])
    """
    return linalg_lu_solve(LU_data, LU_pivots, input, out=out)


@full
def triangular_solve(
    input: Tensor,
    A: Tensor,
    upper: bool = True,
    transpose: bool = False,
    unitriangular: bool = False,
    *,
    out: Any = None,
) -> Any:
    """The solution X of `A X = B` (`A^T X = B` with `transpose`) for triangular A, and a copy of A, as a named tuple.

    Args:
        input: B, (..., n, k).
        A: (..., n, n); the other triangle is not read.
        upper: whether A is an upper triangle.
        transpose: whether to transpose A.
        unitriangular: take the diagonal of A for ones, without reading it.
        out: two tensors to write the results into.

    >>> import tapegrad as torch
    >>> torch.triangular_solve(torch.ones(1, 1), torch.tensor([[4.0]])).solution
    tensor([[0.2500]])
    """
    tensor("triangular_solve", input, A)
    check_shape("triangular_solve", tuple(A.shape))
    if input.ndim < 2 or input.shape[-2] != A.shape[-1]:
        raise RuntimeError(message("triangular_solve: the sizes do not fit", got=f"{input.shape} and {A.shape}"))
    a, up = (A.mT, not upper) if transpose else (A, upper)
    solution = solve_triangular(a, input, upper=up, unitriangular=unitriangular)
    copy = A.expand((*solution.shape[:-2], *A.shape[-2:])).clone()
    return named("triangular_solve", "solution cloned_coefficient", solution, copy, out=out)


def _lu_method(self: Tensor, pivot: bool = True, get_infos: bool = False) -> Any:
    return lu(self, pivot, get_infos)


Tensor.svd = svd
Tensor.qr = qr
Tensor.lu = _lu_method
Tensor.lu_solve = lu_solve
Tensor.triangular_solve = triangular_solve
