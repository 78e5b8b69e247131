"""Matrices that have no inverse: the pseudoinverse, least squares, the rank.

Singular values up to a tolerance, `max(atol, rtol * the largest)`, count as 0. By default rtol is the larger size times
the spacing of the dtype at 1, unless atol is given.

Reference: G. Golub and V. Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares problems whose
variables separate", 1973.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import shapes
from ...core.op import Array, op
from ...core.tensor import Tensor
from ...errors import message
from ..casting import full
from .matmul import adjoint, product
from .matrices import check, check_dtype, check_shape, lapack
from .solve import is_vector

__all__ = ["pinverse"]

DRIVERS = ("gelsy", "gels", "gelsd", "gelss")


# ---- the tolerance ---------------------------------------------------------------------------------------------------


def _number(x: Any) -> Any:
    """A tolerance as NumPy takes it; per matrix, if it is a tensor."""
    return x.array if isinstance(x, Tensor) else x


def _cutoff(S: Array, size: tuple[int, ...], atol: Any, rtol: Any) -> Array:
    """Below which values of `S` (..., k), absolute, count as 0: (..., 1)."""
    largest = np.abs(S).max(-1, initial=0)
    if rtol is None:
        given = 0 if atol is None else np.asarray(atol)
        default = max(size[-2:]) * np.finfo(S.dtype).eps
        rtol = default if atol is None else np.where(given > 0, 0, default)
    return np.maximum(0 if atol is None else atol, rtol * largest)[..., None]


def _values(where: str, A: Array, hermitian: bool) -> Array:
    if hermitian:
        check_shape(where, A.shape)
        return np.abs(lapack(where, np.linalg.eigvalsh, A))
    return lapack(where, np.linalg.svd, A, compute_uv=False)


# ---- the pseudoinverse -----------------------------------------------------------------------------------------------


def _pseudo(A: Array, hermitian: bool, atol: Any, rtol: Any) -> Array:
    if hermitian:
        S, V = lapack("linalg.pinv", np.linalg.eigh, A)
        left, right = V, adjoint(V)
    else:
        U, S, Vh = lapack("linalg.pinv", np.linalg.svd, A, False)
        left, right = adjoint(Vh), adjoint(U)
    kept = np.abs(S) > _cutoff(S, A.shape, atol, rtol)
    scale = np.where(kept, 1 / np.where(kept, S, 1), 0).astype(S.dtype)
    return product(left * scale[..., None, :], right)


@op(name="linalg_pinv")
def _pinv(A: Array, *, atol=None, rtol=None, hermitian=False):
    check("linalg.pinv", A, square=hermitian)
    return _pseudo(A, hermitian, _number(atol), _number(rtol)).astype(A.dtype, copy=False)


@_pinv.shape
def _(A, *, atol=None, rtol=None, hermitian=False):
    check_shape("linalg.pinv", A, square=hermitian)
    return (*A[:-2], A[-1], A[-2])


def _pinv_grad(g: Any, A: Any, out: Any) -> Any:
    """The inverse on the range of A, and the change of its two spaces."""
    outh, gh = adjoint(out), adjoint(g)
    inner = product(gh, product(out, outh))  # (m, m)
    other = product(product(outh, out), gh)  # (m, n)
    found = -product(outh, product(g, outh))
    found = found + inner - product(A, product(out, inner))
    return found + other - product(product(other, out), A)


@_pinv.grad
def _(g, A, out):
    return _pinv_grad(g, A, out)


def pinv(
    A: Tensor, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None, out: Any = None
) -> Tensor:
    """The Moore-Penrose pseudoinverse of matrices (..., m, n): (..., n, m).

    Args:
        A: any matrices.
        rcond: an older name of `rtol`.
        hermitian: take A for symmetric (Hermitian), which is quicker.
        atol, rtol: the tolerance for singular values; numbers, or tensors of one for each matrix.
        out: a tensor to write the result into.

    The derivative is that at constant rank.

    >>> import tapegrad as torch
    >>> torch.linalg.pinv(torch.tensor([[3.0], [4.0]]))
    tensor([[0.1200, 0.1600]])
    """
    if rcond is not None:
        rtol = rcond
    named: dict[str, Any] = {} if out is None else {"out": out}
    return _pinv(A, atol=atol, rtol=rtol, hermitian=hermitian, **named)


def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """The pseudoinverse: `linalg.pinv` under its older name, with another tolerance.

    >>> import tapegrad as torch
    >>> torch.pinverse(torch.tensor([[3.0], [4.0]]))
    tensor([[0.1200, 0.1600]])
    """
    return pinv(input, rcond)


# ---- the rank --------------------------------------------------------------------------------------------------------


@op(name="linalg_matrix_rank", nondiff=True)
def _matrix_rank(A: Array, *, atol=None, rtol=None, hermitian=False):
    check("linalg.matrix_rank", A, square=False)
    S = _values("linalg.matrix_rank", A, hermitian)
    cutoff = _cutoff(S, A.shape, _number(atol), _number(rtol))
    return (cutoff < S).sum(-1)


@_matrix_rank.shape
def _(A, *, atol=None, rtol=None, hermitian=False):
    return check_shape("linalg.matrix_rank", A, square=hermitian)[:-2]


@full
def matrix_rank(
    A: Tensor,
    tol: Any = None,
    hermitian: bool = False,
    *,
    atol: Any = None,
    rtol: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """How many singular values of matrices (..., m, n) are above the tolerance: (...), int64.

    Args:
        A: any matrices.
        tol: an older name of `atol`, with `rtol=0`.
        hermitian: take A for symmetric (Hermitian), which is quicker.
        atol, rtol: the tolerance; numbers, or tensors of one for each matrix.
        out: a tensor to write the result into.

    >>> import tapegrad as torch
    >>> torch.linalg.matrix_rank(torch.tensor([[1.0, 2.0], [2.0, 4.0]]))
    tensor(1)
    """
    if tol is not None:
        atol, rtol = tol, 0.0
    named: dict[str, Any] = {} if out is None else {"out": out}
    return _matrix_rank(A, atol=atol, rtol=rtol, hermitian=hermitian, **named)


# ---- least squares ---------------------------------------------------------------------------------------------------


def _lstsq_shape(A, B, rcond=None, driver=None):
    check_shape("linalg.lstsq", A, square=False)
    vector = is_vector(A, B)
    rows = B if not vector else (*B, 1)
    if len(rows) < 2 or rows[-2] != A[-2]:
        raise RuntimeError(message("linalg.lstsq: the sizes do not fit", got=f"{A} and {B}"))
    batch = shapes.broadcast("linalg.lstsq", A[:-2], rows[:-2])
    return (*batch, A[-1]) if vector else (*batch, A[-1], B[-1])


@op(name="linalg_lstsq", returns=("solution", "residuals", "rank", "singular_values"), nout=2)
def _lstsq(A: Array, B: Array, rcond=None, driver=None):
    _lstsq_shape(A.shape, B.shape)
    check_dtype("linalg.lstsq", A, B)
    vector = is_vector(A.shape, B.shape)
    rows = B[..., None] if vector else B
    m, n = A.shape[-2:]
    U, S, Vh = lapack("linalg.lstsq", np.linalg.svd, A, False)
    cutoff = 0 if driver == "gels" else _cutoff(S, A.shape, None, rcond)
    kept = cutoff < S
    scale = np.where(kept, 1 / np.where(kept, S, 1), 0).astype(S.dtype)
    found = product(adjoint(Vh), product(adjoint(U), rows) * scale[..., None]).astype(A.dtype, copy=False)
    rank = kept.sum(-1)
    residuals = np.empty(0, S.dtype)
    if m > n and driver != "gelsy" and (rank == n).all():
        rest = product(A, found) - rows
        residuals = (rest.real**2 + rest.imag**2).sum(-2)
    rank = np.empty(0, np.int64) if driver == "gels" else rank
    values = S if driver in ("gelsd", "gelss") else np.empty(0, S.dtype)
    return found[..., 0] if vector else found, residuals, rank, values


_lstsq.shape(_lstsq_shape)


@_lstsq.grad("A", "B")
def _(gs, A, B):
    """The solution is `pinv(A) B`; of the squared residuals, it has no derivative, being their minimum."""
    g, residual = gs
    vector = is_vector(tuple(A.shape), tuple(B.shape))
    rows, g = (B[..., None], g[..., None]) if vector else (B, g)
    inverse = _pinv(A)
    gA, gB = _pinv_grad(product(g, adjoint(rows)), A, inverse), product(adjoint(inverse), g)
    if residual.shape != (0,):
        solution = product(inverse, rows)
        rest = 2 * residual[..., None, :] * (product(A, solution) - rows)
        gA, gB = gA + product(rest, adjoint(solution)), gB - rest
    return gA, gB[..., 0] if vector else gB


@full
def lstsq(A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None, out: Any = None) -> Any:
    """The X of least `|A X - B|`, and of them the one of least `|X|`, as a named tuple.

    Args:
        A: (..., m, n).
        B: (..., m, k), or (..., m) for vectors.
        rcond: share of the largest singular value up to which others count as 0 (default: max(m, n) times the
            spacing of the dtype); not for "gels".
        driver: "gelsy" (the default), "gels" (A has full rank), "gelsd" or "gelss". All are done by singular values;
            they differ in what else they return.
        out: four tensors to write the results into.

    Returns:
        solution (..., n, k) or (..., n); residuals (..., k) or (..., 1), the squared lengths, if m > n and A has full
        rank, not for "gelsy"; rank (...), not for "gels"; singular_values (..., min(m, n)) for "gelsd" and "gelss".
        Others are empty.

    Raises:
        RuntimeError: sizes or dtypes that do not fit, or an unknown driver.

    >>> import tapegrad as torch
    >>> torch.linalg.lstsq(torch.tensor([[1.0], [1.0]]), torch.tensor([[1.0], [3.0]])).solution
    tensor([[2.0000]])
    """
    if driver is not None and driver not in DRIVERS:
        raise RuntimeError(message("linalg.lstsq: unknown driver", got=repr(driver), expected=" or ".join(DRIVERS)))
    named = {} if out is None else {"out": out}
    return _lstsq(A, B, rcond, driver or "gelsy", **named)


Tensor.pinverse = pinverse
