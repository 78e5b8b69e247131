"""Singular values and eigenvalues, with their vectors.

The derivative of vectors divides by differences of values: F[i, j] = 1 / (w[j] - w[i]). Where two values are equal the
vectors are not determined; a loss that does not depend on the choice gets the right gradient here, since F is 0 there.
Of complex vectors the phases are not determined either, and a loss must not depend on them.

References: M. B. Giles, "An extended collection of matrix derivative results", 2008; Z. Wan and S. Zhang, "Automatic
differentiation for complex valued SVD", 2019; C. Boeddeker et al., "On the computation of complex-valued gradients with
application to statistically optimum beamforming", 2017 (eig).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.op import Array, op
from ...core.tensor import Tensor
from ...errors import message
from ..casting import full
from ..pointwise.complex import real
from ..shape.rearrange import diag_embed
from ..shape.windows import diagonal
from .matmul import adjoint, conjugate, product
from .matrices import check, check_shape, columns, is_complex, lapack, quotient, recorded, rows
from .solve import _solve_ex

# ---- singular values -------------------------------------------------------------------------------------------------


@op(name="linalg_svd", returns=("U", "S", "Vh"), nout=3)
def _svd(A: Array, full_matrices=True):
    check("linalg.svd", A, square=False)
    return tuple(lapack("linalg.svd", np.linalg.svd, A, full_matrices))


@_svd.shape
def _(A, full_matrices=True):
    check_shape("linalg.svd", A, square=False)
    return (*A[:-1], A[-2] if full_matrices else min(A[-2:]))


@_svd.grad
def _(gs, U, S, Vh):
    gU, gS, gVh = gs
    k = S.shape[-1]
    U, Vh, gU, gVh = U[..., :k], Vh[..., :k, :], gU[..., :k], gVh[..., :k, :]
    left, right = product(adjoint(U), gU), product(Vh, adjoint(gVh))
    F = quotient(1.0, (S[..., None, :] - S[..., None]) * (S[..., None, :] + S[..., None]))
    inner = columns(F * (left - adjoint(left)), S) + rows(S, F * (right - adjoint(right))) + diag_embed(gS)
    if is_complex(U):  # the phases: of them, U takes the change
        phase = diagonal(left, 0, -2, -1)
        inner = inner + diag_embed(quotient(phase - conjugate(phase), 2 * S))
    found = product(U, product(inner, Vh))
    if U.shape[-2] > k:  # what leaves the space that U spans, and below, V
        part = quotient(gU, S[..., None, :])
        found = found + product(part - product(U, product(adjoint(U), part)), Vh)
    if Vh.shape[-1] > k:
        part = quotient(gVh, S[..., None])
        found = found + product(U, part - product(product(part, adjoint(Vh)), Vh))
    return found


@op(name="linalg_svdvals", node="LinalgSvdBackward0")
def _svdvals(A: Array):
    check("linalg.svd", A, square=False)
    return lapack("linalg.svd", np.linalg.svd, A, compute_uv=False)


@_svdvals.shape
def _(A):
    check_shape("linalg.svd", A, square=False)
    return (*A[:-2], min(A[-2:]))


@_svdvals.grad  # the vectors are computed when they are needed, which makes the values five times cheaper
def _(g, A):
    U, _, Vh = _svd(A, False)
    return product(columns(U, g), Vh)


def _no_driver(where: str, driver: Any) -> None:
    if driver is not None:
        raise RuntimeError(message(f"{where}: there is no choice of drivers", got=f"driver={driver!r}"))


@full
def svd(A: Tensor, full_matrices: bool = True, *, driver: Any = None, out: Any = None) -> Any:
    """`A = U diag(S) Vh` with orthonormal columns of U and rows of Vh, as a named tuple.

    Args:
        A: (..., m, n).
        full_matrices: whether U and Vh are square, or only have min(m, n) columns and rows.
        driver: None.
        out: three tensors to write the results into.

    Returns:
        U (..., m, m or k), S (..., k) in descending order, Vh (..., n or k, n), k = min(m, n).

    Raises:
        LinAlgError: it did not converge (a NaN, say).

    >>> import tapegrad as torch
    >>> U, S, Vh = torch.linalg.svd(torch.tensor([[3.0, 0.0], [0.0, 4.0]]))
    >>> S
    tensor([4., 3.])
    """
    _no_driver("linalg.svd", driver)
    return _svd(A, full_matrices) if out is None else _svd(A, full_matrices, out=out)


@full
def svdvals(A: Tensor, *, driver: Any = None, out: Tensor | None = None) -> Tensor:
    """The singular values of matrices (..., m, n), in descending order: (..., min(m, n)).

    >>> import tapegrad as torch
    >>> torch.linalg.svdvals(torch.tensor([[3.0, 0.0], [0.0, 4.0]]))
    tensor([4., 3.])
    """
    _no_driver("linalg.svdvals", driver)
    return _svdvals(A) if out is None else _svdvals(A, out=out)


# ---- eigenvalues of symmetric matrices -------------------------------------------------------------------------------


def _triangle(UPLO: str) -> str:
    if str(UPLO).upper() not in ("L", "U"):
        raise RuntimeError(message("linalg.eigh: unknown UPLO", got=repr(UPLO), expected="'L' or 'U'"))
    return UPLO.upper()


@op(name="linalg_eigh", returns=("eigenvalues", "eigenvectors"), nout=2)
def _eigh(A: Array, UPLO="L"):
    check("linalg.eigh", A, error=NotImplementedError)
    return tuple(lapack("linalg.eigh", np.linalg.eigh, A, _triangle(UPLO)))


@_eigh.shape
def _(A, UPLO="L"):
    return check_shape("linalg.eigh", A)[:-1]


@_eigh.grad
def _(gs, eigenvalues, eigenvectors):
    w, V = eigenvalues, eigenvectors
    F = quotient(1.0, w[..., None, :] - w[..., None])
    inner = product(adjoint(V), gs[1])
    inner = F * (inner - adjoint(inner)) * 0.5 + diag_embed(gs[0])
    return product(V, product(inner, adjoint(V)))


@op(name="linalg_eigvalsh", node="LinalgEighBackward0")
def _eigvalsh(A: Array, UPLO="L"):
    check("linalg.eigh", A, error=NotImplementedError)
    return lapack("linalg.eigh", np.linalg.eigvalsh, A, _triangle(UPLO))


@_eigvalsh.shape
def _(A, UPLO="L"):
    return check_shape("linalg.eigh", A)[:-1]


@_eigvalsh.grad
def _(g, A, UPLO):
    V = _eigh(A, UPLO)[1]
    return product(columns(V, g), adjoint(V))


@full
def eigh(A: Tensor, UPLO: str = "L", *, out: Any = None) -> Any:
    """`A = V diag(w) V^H` for symmetric (Hermitian) matrices, as a named tuple.

    Args:
        A: (..., n, n); one triangle is read.
        UPLO: which: "L" the lower, "U" the upper.
        out: two tensors to write the results into.

    Returns:
        eigenvalues (..., n), real, in ascending order; eigenvectors (..., n, n), orthonormal columns.

    >>> import tapegrad as torch
    >>> torch.linalg.eigh(torch.tensor([[2.0, 1.0], [1.0, 2.0]])).eigenvalues.round(decimals=3)
    tensor([1., 3.])
    """
    return _eigh(A, UPLO) if out is None else _eigh(A, UPLO, out=out)


@full
def eigvalsh(A: Tensor, UPLO: str = "L", *, out: Tensor | None = None) -> Tensor:
    """The eigenvalues of symmetric (Hermitian) matrices (..., n, n), real, in ascending order: (..., n).

    >>> import tapegrad as torch
    >>> torch.linalg.eigvalsh(torch.tensor([[2.0, 1.0], [1.0, 2.0]])).round(decimals=3)
    tensor([1., 3.])
    """
    return _eigvalsh(A, UPLO) if out is None else _eigvalsh(A, UPLO, out=out)


# ---- eigenvalues of any matrices -------------------------------------------------------------------------------------


def _finite(where: str, A: Array) -> None:
    check(where, A)
    if not np.isfinite(A).all():
        raise RuntimeError(message(f"{where}: the matrix holds infinities or NaN"))


def _as_complex(x: Array, A: Array) -> Array:
    return x.astype(np.result_type(A.dtype, np.complex64), copy=False)


@op(name="linalg_eig", returns=("eigenvalues", "eigenvectors"), nout=2)
def _eig(A: Array):
    _finite("linalg.eig", A)
    w, V = lapack("linalg.eig", np.linalg.eig, A)
    return _as_complex(w, A), _as_complex(V, A)


@_eig.shape
def _(A):
    return check_shape("linalg.eig", A)[:-1]


@_eig.grad
def _(gs, eigenvalues, eigenvectors):
    w, V = eigenvalues, eigenvectors
    F = conjugate(quotient(1.0, w[..., None, :] - w[..., None]))
    inner = product(adjoint(V), gs[1])
    inner = inner - columns(product(adjoint(V), V), real(diagonal(inner, 0, -2, -1)))  # the length stays 1
    inner = inner * F + diag_embed(gs[0])
    return _solve_ex(adjoint(V), product(inner, adjoint(V)))[0]


@op(name="linalg_eigvals", nondiff=True)
def _eigvals(A: Array):
    _finite("linalg.eigvals", A)
    return _as_complex(lapack("linalg.eigvals", np.linalg.eigvals, A), A)


@_eigvals.shape
def _(A):
    return check_shape("linalg.eigvals", A)[:-1]


@full
def eig(A: Tensor, *, out: Any = None) -> Any:
    """`A = V diag(w) V^-1` for square matrices, complex, as a named tuple.

    Args:
        A: (..., n, n), with n independent eigenvectors.
        out: two complex tensors to write the results into.

    Returns:
        eigenvalues (..., n), in no order; eigenvectors (..., n, n), columns of length 1.

    Raises:
        RuntimeError: infinities or NaN.

    >>> import tapegrad as torch
    >>> torch.linalg.eig(torch.tensor([[0.0, -1.0], [1.0, 0.0]])).eigenvalues
    tensor([0.+1.j, 0.-1.j])
    """
    return _eig(A) if out is None else _eig(A, out=out)


@full
def eigvals(A: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The eigenvalues of square matrices (..., n, n), complex, in no order: (..., n).

    >>> import tapegrad as torch
    >>> torch.linalg.eigvals(torch.tensor([[0.0, -1.0], [1.0, 0.0]]))
    tensor([0.+1.j, 0.-1.j])
    """
    if recorded(A) and out is None:
        return _eig(A)[0]
    return _eigvals(A) if out is None else _eigvals(A, out=out)
