"""Approximations of low rank from a few random products with the matrix; composed of recorded operations.

Reference: N. Halko, P.-G. Martinsson and J. Tropp, "Finding structure with randomness", 2011.
"""

from __future__ import annotations

from ...core.tensor import Tensor
from ...errors import message
from ..random.draws import randn
from ..reduction.reduce import mean
from .eigen import svd
from .matmul import adjoint, matmul
from .matrices import tensor
from .orthogonal import qr

__all__ = ["pca_lowrank", "svd_lowrank"]


def _basis(A: Tensor, q: int, niter: int, M: Tensor | None) -> Tensor:
    """Orthonormal columns (..., m, q) that nearly span the range of `A - M` (their algorithm 4.4)."""

    def times(x: Tensor, a: Tensor, b: Tensor | None) -> Tensor:
        return matmul(a, x) if b is None else matmul(a, x) - matmul(b, x)

    back = None if M is None else adjoint(M)
    Q = qr(times(randn(A.shape[-1], q, dtype=A.dtype), A, M))[0]
    for _ in range(niter):
        Q = qr(times(Q, adjoint(A), back))[0]
        Q = qr(times(Q, A, M))[0]
    return Q


def svd_lowrank(
    A: Tensor, q: int | None = 6, niter: int | None = 2, M: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """`A ~ U diag(S) V^H` with q singular values, by random projection: exact where A has no higher rank.

    Args:
        A: (..., m, n).
        q: how many values; a little more than the rank is best.
        niter: iterations of the power method, which sharpen the result.
        M: a matrix to subtract from A first.

    Returns:
        U (..., m, q), S (..., q), V (..., n, q).

    >>> import tapegrad as torch
    >>> _, S, _ = torch.svd_lowrank(torch.tensor([[3.0, 0.0, 0.0], [0.0, 0.0, 0.0]]), q=1)
    >>> S.round(decimals=3)
    tensor([3.])
    """
    tensor("svd_lowrank", A)
    q, niter = 6 if q is None else q, 2 if niter is None else niter
    m, n = A.shape[-2:]
    if M is not None:
        M = M.expand(A.shape)
    wide = m < n
    if wide:
        A, M = adjoint(A), None if M is None else adjoint(M)
    Q = _basis(A, q, niter, M)
    inner = matmul(adjoint(Q), A)
    if M is not None:
        inner = inner - matmul(adjoint(Q), M)
    U, S, Vh = svd(inner, False)
    U, V = matmul(Q, U), adjoint(Vh)
    return (V, S, U) if wide else (U, S, V)


def pca_lowrank(A: Tensor, q: int | None = None, center: bool = True, niter: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Principal components: `svd_lowrank` of A with the mean of each column subtracted.

    Args:
        A: (..., m, n), a row for each observation.
        q: how many components (default: 6, or min(m, n) if that is less).
        center: whether to subtract the means.
        niter: iterations of the power method.

    Returns:
        U (..., m, q), S (..., q), V (..., n, q): the columns of V are the directions, `S**2 / (m - 1)` the variances.

    Raises:
        ValueError: q or niter out of range.

    >>> import tapegrad as torch
    >>> torch.pca_lowrank(torch.tensor([[1.0, 1.0], [3.0, 1.0]]), q=1)[1]
    tensor([1.4142])
    """
    tensor("pca_lowrank", A)
    least = min(A.shape[-2:])
    q = min(6, least) if q is None else q
    if not 0 <= q <= least:
        raise ValueError(message("pca_lowrank: q must lie between 0 and the smaller size", got=q, expected=least))
    if niter < 0:
        raise ValueError(message("pca_lowrank: niter is negative", got=niter))
    return svd_lowrank(A - mean(A, -2, True) if center else A, q, niter)
