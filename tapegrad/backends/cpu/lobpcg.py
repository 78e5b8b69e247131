"""A few eigenvalues of large symmetric matrices: the locally optimal block preconditioned conjugate gradient method.

Each step looks for the best vectors in the space of three blocks: the present vectors, their (preconditioned)
residuals, and the directions of the last step. An orthonormal basis of that space makes this a small ordinary
eigenvalue problem, whatever the blocks have in common.

References: A. Knyazev, "Toward the optimal preconditioned eigensolver", 2001; A. Stathopoulos and K. Wu, "A block
orthogonalization procedure with constant synchronization requirements", 2002 (the basis).
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def _adjoint(x: Array) -> Array:
    return x.conj().T


def _basis(S: Array, B: Array | None, drop: float) -> Array:
    """Columns that span what those of `S` do, orthonormal with respect to `B`; those that add nothing are left out."""
    for _ in range(2):  # the second time for the digits that the first one lost
        gram = _adjoint(S) @ (S if B is None else B @ S)
        scale = 1 / np.sqrt(np.maximum(gram.diagonal().real, np.finfo(gram.real.dtype).tiny))
        values, vectors = np.linalg.eigh(gram * scale[:, None] * scale)
        kept = values > drop * values[-1]
        S = (S * scale) @ (vectors[:, kept] / np.sqrt(values[kept]))
    return S


def _best(S: Array, A: Array, largest: bool, n: int) -> tuple[Array, Array]:
    """The `n` extreme values of A in the space of the orthonormal `S`, and their coordinates."""
    values, vectors = np.linalg.eigh(_adjoint(S) @ (A @ S))
    chosen = slice(None, -n - 1, -1) if largest else slice(0, n)
    return values[chosen], vectors[:, chosen]


def lobpcg(
    A: Array, X: Array, k: int, B: Array | None, iK: Array | None, steps: int, tol: float, largest: bool
) -> tuple[Array, Array]:
    """The `k` largest (smallest) w with `A v = w B v`, (k,), and their v, (m, k), from a first guess X (m, n)."""
    n = X.shape[1]
    drop = np.finfo(A.dtype).eps * len(A)
    X = _basis(X, B, drop)
    w, C = _best(X, A, largest, n)
    X, P = X @ C, X[:, :0]
    size = np.linalg.norm(A, 2 if len(A) < 64 else "fro")
    size_b = 1.0 if B is None else np.linalg.norm(B)
    for _ in range(steps):
        BX = X if B is None else B @ X
        R = A @ X - BX * w
        error = np.linalg.norm(R, axis=0) / (np.linalg.norm(X, axis=0) * (size + np.abs(w) * size_b))
        if (error[:k] < tol).all():
            break
        W = R if iK is None else iK @ R
        rest = np.concatenate([W, P], 1)
        rest = rest - X @ (_adjoint(BX) @ rest)
        rest = _basis(rest, B, drop)
        rest = rest - X @ (_adjoint(BX) @ rest)
        S = _basis(np.concatenate([X, rest], 1), B, drop)
        w, C = _best(S, A, largest, n)
        new = S @ C
        P = new - X @ (_adjoint(BX) @ new)
        X = new
    X = X[:, :k]
    top = X[np.abs(X).argmax(0), np.arange(k)]  # positive, whichever way the iteration went
    X = X * (np.abs(top) / top)
    return w[:k].astype(A.real.dtype, copy=False), X.astype(A.dtype, copy=False)
