"""Determinants and their logarithms.

The gradient of det(A) is `conj(det(A)) A^-H`, the matrix of cofactors. It exists for singular matrices too: there it is
taken from the singular values, as `U diag(products of all others) V^H`, and its own derivative likewise.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.op import Array, op
from ...core.tensor import Tensor
from ...errors import message
from ..pointwise.compare import where
from ..pointwise.functions import log
from ..reduction.reduce import sum
from .matmul import adjoint, conjugate, product
from .matrices import check, check_shape, is_complex, named, tensor
from .solve import _inv_ex

__all__ = ["det", "logdet"]

NEAR = 1e-6  # share of the largest singular value below which a matrix counts as singular in second derivatives


# ---- the determinant -------------------------------------------------------------------------------------------------


@op(name="linalg_det")
def _det(A: Array):
    check("linalg.det", A)
    return np.asarray(np.linalg.det(A), A.dtype)


_det.shape(lambda A: check_shape("linalg.det", A)[:-2])


@_det.grad
def _(g, A):
    return g[..., None, None] * _cofactors(A)


def _spread(x: Any) -> Any:
    """Numbers (...) as matrices (..., 1, 1)."""
    return x[..., None, None]


@op(name="cofactors", node="LinalgDetBackward0")
def _cofactors(A: Array):
    """The gradient of the determinant."""
    inverse, info = _inv_ex.op.body(A)
    found = adjoint(inverse) * _spread(np.conjugate(np.linalg.det(A)))
    bad = (info != 0) | ~np.isfinite(found).all((-2, -1))
    if not bad.any():
        return found.astype(A.dtype, copy=False)
    U, S, Vh = np.linalg.svd(np.where(np.isfinite(A), A, 0))
    others = np.where(np.eye(A.shape[-1], dtype=bool), 1, S[..., None, :]).prod(-1)  # (..., n): all values but one
    phase = np.conjugate(np.linalg.det(U) * np.linalg.det(Vh))
    singular = product(U * others[..., None, :], Vh) * _spread(phase)
    return np.where(_spread(bad), singular, found).astype(A.dtype, copy=False)


_cofactors.shape(lambda A: check_shape("linalg.det", A))


@_cofactors.grad
def _(g, A, out):
    S = np.linalg.svd(getattr(A, "array", A), compute_uv=False)
    if S.size and (S[..., -1] <= NEAR * S[..., 0]).any():
        return _cofactors_adjoint(g, A)
    along = _spread(sum(conjugate(g) * out, (-2, -1), False))
    return (along * out - product(out, product(adjoint(g), out))) / _spread(conjugate(_det(A)))


@op(name="cofactors_adjoint", node="LinalgDetBackward0")
def _cofactors_adjoint(x: Array, A: Array):
    """The derivative of the cofactors, transposed, for singular matrices (it is symmetric: that of a gradient).

    In the frame of the singular vectors A is diagonal; a change E changes cofactor (i, j) by `-E[j, i] P[i, j]`, and
    cofactor (i, i) by the sum of `E[k, k] P[i, k]`, where `P[i, j]` is the product of all singular values but two.
    """
    U, S, Vh = np.linalg.svd(A)
    n = A.shape[-1]
    P = _but_two(S)
    phase = np.conjugate(np.linalg.det(U) * np.linalg.det(Vh))
    K = np.conjugate(product(adjoint(U), product(x, adjoint(Vh)))) * _spread(phase)
    inner = -np.swapaxes(K * P, -1, -2)
    each = np.arange(n)
    inner[..., each, each] = np.matmul(P, np.diagonal(K, 0, -2, -1)[..., None])[..., 0]
    return product(U, product(inner, Vh)).astype(A.dtype, copy=False)


def _but_two(S: Array) -> Array:
    """`P[i, j]`, the product of all numbers of `S` (..., n), descending, but those at i and j; 0 for i = j."""
    n = S.shape[-1]
    P = np.zeros((*S.shape, n), S.dtype)
    if n < 2:
        return P
    least, second, large = S[..., -1, None], S[..., -2, None], S[..., :-2]
    q = large.prod(-1, keepdims=True)  # (..., 1)
    u = np.where(large == 0, 0, 1 / np.where(large == 0, 1, large))  # where one is 0, so is q
    P[..., :-2, :-2] = _spread((q * least * second)[..., 0]) * u[..., None] * u[..., None, :]
    P[..., :-2, -1] = P[..., -1, :-2] = q * second * u
    P[..., :-2, -2] = P[..., -2, :-2] = q * least * u
    P[..., -1, -2] = P[..., -2, -1] = q[..., 0]
    each = np.arange(n)
    P[..., each, each] = 0
    return P


_cofactors_adjoint.shape(lambda x, A: A)


@_cofactors_adjoint.grad("x")
def _(g, A):
    return _cofactors_adjoint(g, A)


@_cofactors_adjoint.grad("A")
def _(g):
    raise NotImplementedError(message("linalg.det: no third derivative at a singular matrix"))


def det(A: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The determinant of square matrices: (..., n, n) gives (...).

    >>> import tapegrad as torch
    >>> torch.linalg.det(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(-2.)
    """
    return _det(A) if out is None else _det(A, out=out)


# ---- its logarithm ---------------------------------------------------------------------------------------------------


@op(name="linalg_slogdet", returns=("sign", "logabsdet"), nout=2)
def _slogdet(A: Array):
    check("linalg.slogdet", A)
    sign, size = np.linalg.slogdet(A)
    return np.asarray(sign, A.dtype), np.asarray(size, A.real.dtype)


_slogdet.shape(lambda A: check_shape("linalg.slogdet", A)[:-2])


@_slogdet.grad
def _(gs, A, sign):
    weight = gs[1]
    if is_complex(A):
        turned = conjugate(gs[0]) * sign
        weight = weight - (turned - conjugate(turned)) * 0.5
    return _spread(weight) * adjoint(_inv_ex(A)[0])


def slogdet(A: Tensor, *, out: Any = None) -> Any:
    """The sign of the determinant and the logarithm of its absolute value, as a named tuple (sign, logabsdet).

    Args:
        A: (..., n, n).
        out: two tensors to write the results into.

    Returns:
        sign (...): -1, 0 or 1, or a complex number of that length; logabsdet (...): real, -inf for singular matrices.

    >>> import tapegrad as torch
    >>> torch.linalg.slogdet(torch.tensor([[2.0, 0.0], [0.0, -2.0]])).logabsdet
    tensor(1.3863)
    """
    return _slogdet(A) if out is None else _slogdet(A, out=out)


def old_slogdet(input: Tensor, *, out: Any = None) -> Any:
    """`linalg.slogdet` under its older name.

    >>> import tapegrad as torch
    >>> torch.slogdet(torch.eye(2)).sign
    tensor(1.)
    """
    return named("slogdet", "sign logabsdet", *slogdet(input), out=out)


def logdet(input: Tensor) -> Tensor:
    """The logarithm of the determinant of square matrices; NaN where it is negative; composed of `slogdet`.

    >>> import tapegrad as torch
    >>> torch.logdet(torch.tensor([[2.0, 0.0], [0.0, 2.0]]))
    tensor(1.3863)
    """
    tensor("logdet", input)
    sign, size = slogdet(input)
    return size + log(sign) if is_complex(sign) else where(sign == -1, float("nan"), size)


Tensor.det = det
Tensor.slogdet = old_slogdet
Tensor.logdet = logdet
