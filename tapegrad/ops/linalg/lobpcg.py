"""A few extreme eigenvalues of large symmetric matrices, by an iteration that only multiplies with them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backends.cpu import lobpcg as kernels
from ...core.op import Array, op
from ...core.tensor import Tensor
from ...errors import message
from ..random.draws import randn
from .eigen import _eigh
from .matmul import adjoint, product
from .matrices import check, check_dtype, check_shape, columns, quotient, symmetric, tensor

__all__ = ["lobpcg"]


@op(name="lobpcg", node="LOBPCGAutogradFunctionBackward", nout=2, returns=("E", "V"))
def _lobpcg(A: Array, B: Array | None, X: Array, iK: Array | None, k, steps, tol, largest):
    check("lobpcg", A)
    check_dtype("lobpcg", A, X, *(x for x in (B, iK) if x is not None))
    batch, m = A.shape[:-2], A.shape[-1]
    values, vectors = np.empty((*batch, k), A.real.dtype), np.empty((*batch, m, k), A.dtype)
    for at in np.ndindex(batch):
        b, guess, inverse = (x if x is None or x.ndim == 2 else x[at] for x in (B, X, iK))
        values[at], vectors[at] = kernels.lobpcg(A[at], guess, k, b, inverse, steps, tol, largest)
    return values, vectors


@_lobpcg.shape
def _(A, B, X, iK, k, steps, tol, largest):
    return (*check_shape("lobpcg", A)[:-2], k)


@_lobpcg.grad("A")
def _(gs, A, E, V, B_shape, k, largest):
    """The change of an eigenvector lies along all the others, which are computed here: `eigh` of the whole matrix."""
    if B_shape is not None:
        raise NotImplementedError(message("lobpcg: no derivative of the generalized problem", fix="B=None"))
    w, Q = _eigh(A)
    n = w.shape[-1]
    own = np.arange(n)[:, None] == (np.arange(n)[::-1] if largest else np.arange(n))[:k]  # (n, k)
    gap = (E[..., None, :] - w[..., :, None]) * (1 - own)  # 0 for the vector itself: no change along it
    inner = quotient(product(adjoint(Q), gs[1]), gap)
    return symmetric(product(product(Q, inner) + columns(V, gs[0]), adjoint(V)))


def lobpcg(
    A: Tensor,
    k: int | None = None,
    B: Tensor | None = None,
    X: Tensor | None = None,
    n: int | None = None,
    iK: Tensor | None = None,
    niter: int | None = None,
    tol: float | None = None,
    largest: bool | None = None,
    method: str | None = None,
    tracker: Any = None,
    ortho_iparams: Any = None,
    ortho_fparams: Any = None,
    ortho_bparams: Any = None,
) -> tuple[Tensor, Tensor]:
    """The k largest (or smallest) eigenvalues of symmetric matrices, and their vectors: `A v = w B v`.

    Args:
        A: (..., m, m), symmetric (Hermitian).
        k: how many (default: the columns of X, or 1).
        B: (m, m), symmetric and positive definite (default: the unit matrix).
        X: (..., m, n), a first guess (default: random).
        n: how many vectors to work with (default: k).
        iK: (m, m), an approximation of the inverse of A that speeds it up.
        niter: at most so many steps (default: 1000; -1 means the same).
        tol: stop when the residuals, as shares of the sizes of A and B, are less (default: the root of the spacing of
            the dtype at 1).
        largest: whether to look for the largest ones (the default) or the smallest.
        method, tracker, ortho_iparams, ortho_fparams, ortho_bparams: taken for compatibility, not used.

    Returns:
        The eigenvalues (..., k), the first one looked for first, and the vectors (..., m, k).

    Raises:
        ValueError: m is less than 3 n.

    Source: Knyazev, 2001. The derivative (for B=None) takes all eigenvectors of A.

    >>> import tapegrad as torch
    >>> E, V = torch.lobpcg(torch.diag(torch.arange(1.0, 10.0)), k=2)
    >>> E.round(decimals=3)
    tensor([9., 8.])
    """
    tensor("lobpcg", A)
    m = check_shape("lobpcg", tuple(A.shape))[-1]
    k = (1 if X is None else X.shape[-1]) if k is None else k
    n = (k if X is None else X.shape[-1]) if n is None else n
    if m < 3 * n or k < 1:
        raise ValueError(message("lobpcg: needs 0 < k <= n <= m / 3", got=f"k={k}, n={n}, m={m}"))
    if X is None:
        X = randn(*A.shape[:-1], n, dtype=A.dtype)
    k = min(k, X.shape[-1])
    tol = float(np.finfo(A.array.dtype).eps) ** 0.5 if tol is None else tol
    steps = 1000 if niter is None or niter < 0 else niter
    largest = True if largest is None else largest
    E, V = _lobpcg(A, B, X.detach(), iK, k, steps, tol, largest)
    return E, V
