"""Orthogonal factors: `A = Q R`, and products of Householder reflections `I - tau v v^H`.

A product of k reflections is applied at once, as `I - V T V^H`: the columns of V are their vectors (a unit lower
triangle), and `T = (I + D S)^-1 D` with `D = diag(tau)` and S the strict upper triangle of `V^H V`. That is a
few products of matrices, with a derivative that is as many.

References: S. F. Walter and L. Lehmann, "Algorithmic differentiation of linear algebra functions", 2010; H. Liao et
al., "Differentiable programming tensor networks", 2019 (wide matrices); C. Puglisi, "Modification of the Householder
method based on the compact WY representation", 1992.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.op import Array, op
from ...core.tensor import Tensor
from ...errors import message
from ..casting import full
from ..pointwise.complex import real
from ..reduction.reduce import sum
from ..shape.joining import cat
from ..shape.rearrange import diag_embed, tril, triu
from ..shape.windows import diagonal
from .matmul import adjoint, conjugate, product
from .matrices import check, check_dtype, check_shape, identity, lapack, rows
from .solve import _solve_triangular

__all__ = ["geqrf", "orgqr", "ormqr"]

MODES = ("reduced", "complete", "r")


# ---- Q R -------------------------------------------------------------------------------------------------------------


@op(name="linalg_qr", returns=("Q", "R"), nout=2)
def _qr(A: Array, mode="reduced"):
    check("linalg.qr", A, square=False)
    if mode == "r":
        return np.empty(0, A.dtype), lapack("linalg.qr", np.linalg.qr, A, "r")
    return tuple(lapack("linalg.qr", np.linalg.qr, A, mode))


@_qr.shape
def _(A, mode="reduced"):
    check_shape("linalg.qr", A, square=False)
    return (0,) if mode == "r" else (*A[:-1], A[-2] if mode == "complete" else min(A[-2:]))


@_qr.grad
def _(gs, Q, R, A, mode):
    m, n = A.shape[-2:]
    if mode == "r":
        text = message("linalg.qr: no derivative without Q", got="mode='r'", fix="use mode='reduced'")
        raise RuntimeError(text)
    if mode == "complete" and m > n:
        text = message("linalg.qr: no derivative of a complete Q of more rows than columns", got=f"{m} and {n}")
        raise RuntimeError(text)
    gq, gr = gs
    if m >= n:
        return _qr_grad(gq, gr, Q, R)
    gq = gq + product(A[..., m:], adjoint(gr[..., m:]))  # the columns beyond the square part: Y = Q V
    first = _qr_grad(gq, gr[..., :m], Q, R[..., :m])
    return cat([first, product(Q, gr[..., m:])], -1)


def _qr_grad(gq: Any, gr: Any, Q: Any, R: Any) -> Any:
    """For at least as many rows as columns."""
    upper = triu(product(gr, adjoint(R)) - product(adjoint(Q), gq))
    strict = triu(upper, 1)
    inner = strict + adjoint(strict) + diag_embed(real(diagonal(upper, 0, -2, -1)))
    return _solve_triangular(adjoint(R), gq + product(Q, inner), upper=False, left=False)


@full
def qr(A: Tensor, mode: str = "reduced", *, out: Any = None) -> Any:
    """`A = Q R` with orthonormal columns Q and upper triangular R, as a named tuple.

    Args:
        A: (..., m, n).
        mode: "reduced" (Q is (..., m, min(m, n))), "complete" (Q is square), or "r" (Q is empty).
        out: two tensors to write the results into.

    Raises:
        RuntimeError: the mode is unknown; or a derivative of "complete" with m > n, or of "r".

    >>> import tapegrad as torch
    >>> Q, R = torch.linalg.qr(torch.tensor([[3.0], [4.0]]))
    >>> abs(R)
    tensor([[5.]])
    """
    if mode not in MODES:
        raise RuntimeError(message("linalg.qr: unknown mode", got=repr(mode), expected=" or ".join(MODES)))
    return _qr(A, mode) if out is None else _qr(A, mode, out=out)


@full
@op(name="geqrf", returns=("a", "tau"), nout=2, method=True)
def geqrf(x: Array):
    """`A = Q R` with Q as Householder reflections: R in the upper triangle of `a`, their vectors below, and `tau`.

    Args:
        input: (..., m, n).

    >>> import tapegrad as torch
    >>> a, tau = torch.geqrf(torch.tensor([[3.0], [4.0]]))
    >>> a
    tensor([[-5.0000],
            [ 0.5000]])
    """
    check("geqrf", x, square=False)
    h, tau = lapack("geqrf", np.linalg.qr, x, "raw")
    return np.ascontiguousarray(h.mT), tau


geqrf.shape(lambda x: check_shape("geqrf", x, square=False))


@geqrf.grad
def _(gs):
    raise NotImplementedError(message("geqrf: no derivative", fix="use torch.linalg.qr"))


# ---- reflections -----------------------------------------------------------------------------------------------------


def _vectors(A: Any, k: int) -> Any:
    """The vectors of the first k reflections: (..., m, k)."""
    return tril(A[..., :k], -1) + identity(A, A.shape[-2], k)


def _coupling(V: Any, tau: Any) -> tuple[Any, Any]:
    """S, and the unit upper triangle `I + D S`."""
    S = triu(product(adjoint(V), V), 1)
    return S, rows(tau, S) + identity(V, V.shape[-1])


def reflected(A: Any, tau: Any, C: Any, inverted: bool = False) -> Any:
    """`Q C`, or `Q^H C`, for the product Q of the reflections in A."""
    V = _vectors(A, tau.shape[-1])
    _, M = _coupling(V, tau)
    W = product(adjoint(V), C)
    if inverted:
        Y = rows(conjugate(tau), _solve_triangular(adjoint(M), W, upper=False, unitriangular=True))
    else:
        Y = _solve_triangular(M, rows(tau, W), upper=True, unitriangular=True)
    return C - product(V, Y)


def reflected_grads(g: Any, A: Any, tau: Any, C: Any, inverted: bool = False) -> tuple[Any, Any, Any]:
    """The gradients of `reflected`, step by step backwards."""
    k = tau.shape[-1]
    V = _vectors(A, k)
    S, M = _coupling(V, tau)
    W = product(adjoint(V), C)
    gY = -product(adjoint(V), g)
    if inverted:
        P = _solve_triangular(adjoint(M), W, upper=False, unitriangular=True)
        Y = rows(conjugate(tau), P)
        gtau = sum(conjugate(gY) * P, -1, False)
        gW = _solve_triangular(M, rows(tau, gY), upper=True, unitriangular=True)
        gM = -triu(product(P, adjoint(gW)), 1)
    else:
        Y = _solve_triangular(M, rows(tau, W), upper=True, unitriangular=True)
        gZ = _solve_triangular(adjoint(M), gY, upper=False, unitriangular=True)
        gtau = sum(gZ * conjugate(W), -1, False)
        gW = rows(conjugate(tau), gZ)
        gM = -triu(product(gZ, adjoint(Y)), 1)
    gtau = gtau + sum(gM * conjugate(S), -1, False)
    gS = rows(conjugate(tau), gM)
    gV = product(C, adjoint(gW)) - product(g, adjoint(Y)) + product(V, gS + adjoint(gS))
    gA = tril(gV, -1)
    if k < A.shape[-1]:
        gA = cat([gA, A[..., k:] * 0], -1)
    return gA, gtau, g + product(V, gW)


def _householder_shape(A, tau):
    where = "linalg.householder_product"
    check_shape(where, A, square=False)
    m, n = A[-2:]
    if m < n or not tau or n < tau[-1] or A[:-2] != tau[:-1]:
        text = message(
            f"{where}: these do not fit", got=f"{A} and {tau}", expected="(..., m, n), (..., k), m >= n >= k"
        )
        raise RuntimeError(text)
    return A


@op(name="linalg_householder_product")
def _householder_product(A: Array, tau: Array):
    _householder_shape(A.shape, tau.shape)
    check_dtype("linalg.householder_product", A, tau, error=NotImplementedError)
    return reflected(A, tau, _unit(A))


def _unit(A: Any) -> Any:
    """The columns of the unit matrix that A has room for, for every matrix."""
    return A * 0 + identity(A, *A.shape[-2:])


_householder_product.shape(_householder_shape)


@_householder_product.grad("A", "tau")
def _(g, A, tau):
    return reflected_grads(g, A, tau, identity(A, *A.shape[-2:]))[:2]


@full
def householder_product(A: Tensor, tau: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The first n columns of the product of k Householder reflections `I - tau_i v_i v_i^H`.

    Args:
        A: (..., m, n) with m >= n; column i holds v_i below the diagonal, its elements above count as 0, on it as 1.
        tau: (..., k) with k <= n.
        out: a tensor to write the result into.

    Raises:
        RuntimeError: sizes or dtypes that do not fit.

    >>> import tapegrad as torch
    >>> torch.linalg.householder_product(torch.tensor([[0.0], [1.0]]), torch.tensor([1.0]))
    tensor([[ 0.],
            [-1.]])
    """
    return _householder_product(A, tau) if out is None else _householder_product(A, tau, out=out)


def orgqr(input: Tensor, tau: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The columns Q of the factors that `geqrf` gives: another name of `linalg.householder_product`.

    >>> import tapegrad as torch
    >>> torch.orgqr(*torch.geqrf(torch.tensor([[3.0], [4.0]])))
    tensor([[-0.6000],
            [-0.8000]])
    """
    return householder_product(input, tau, out=out)


@full
@op(name="ormqr", method=True)
def ormqr(x: Array, input2: Array, input3: Array, left=True, transpose=False):
    """The product of a matrix C and the square Q that Householder reflections make up.

    Args:
        input: (..., m, k), the reflections, as for `linalg.householder_product`.
        input2: `tau`, (..., k).
        input3: C, (..., m, n), or (..., n, m) if Q stands on the right.
        left: whether to give `Q C` or `C Q`.
        transpose: whether to take `Q^H` in place of Q.

    Raises:
        RuntimeError: sizes or dtypes that do not fit.

    >>> import tapegrad as torch
    >>> a, tau = torch.geqrf(torch.tensor([[3.0], [4.0]]))
    >>> torch.ormqr(a, tau, torch.tensor([[3.0], [4.0]]), transpose=True).abs().round()
    tensor([[5.],
            [0.]])
    """
    _ormqr_shape(x.shape, input2.shape, input3.shape, left, transpose)
    check_dtype("ormqr", x, input2, input3, error=NotImplementedError)
    if left:
        return reflected(x, input2, input3, transpose)
    return np.ascontiguousarray(adjoint(reflected(x, input2, adjoint(input3), not transpose)))


@ormqr.shape
def _ormqr_shape(x, input2, input3, left=True, transpose=False):
    check_shape("ormqr", x, square=False, name="input")
    check_shape("ormqr", input3, square=False, name="other")
    fits = input2 and input2[-1] <= min(x[-2:]) and input3[-2 if left else -1] == x[-2]
    if not fits or not x[:-2] == input2[:-1] == input3[:-2]:
        text = message("ormqr: these do not fit", got=f"{x}, {input2} and {input3}", expected="(..., m, k), (..., k)")
        raise RuntimeError(text)
    return input3


@ormqr.grad("x", "input2", "input3")
def _(g, x, input2, input3, left, transpose):
    if left:
        return reflected_grads(g, x, input2, input3, transpose)
    gx, gtau, gother = reflected_grads(adjoint(g), x, input2, adjoint(input3), not transpose)
    return gx, gtau, adjoint(gother)


Tensor.orgqr = orgqr
