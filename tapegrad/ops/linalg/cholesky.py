"""The Cholesky factor of positive definite matrices, and what is solved with it.

Only one triangle of a factor is read; derivatives with respect to it are such triangles too.

Reference: I. Murray, "Differentiation of the Cholesky decomposition", 2016.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backends.cpu import linalg as kernels
from ...core.op import Array, op
from ...core.tensor import Tensor
from ...errors import message
from ..casting import full
from ..shape.rearrange import tril, triu
from .matmul import adjoint, product
from .matrices import check, check_dtype, check_shape, half_diagonal, into, refuse, symmetric
from .solve import _solve_triangular, system_shape

__all__ = ["cholesky_inverse", "cholesky_solve"]

INDEFINITE = "the matrix is not positive definite: its leading minor of order {} is not positive"


def factor(where: str, A: Array, upper: bool, check_errors: bool) -> tuple[Array, Array]:
    """The factor and where it failed, or an error."""
    check(where, A)
    found, info = kernels.cholesky(np.conjugate(A.mT) if upper else A)  # only the lower triangle is read
    if check_errors:
        refuse(where, info, INDEFINITE)
    return (np.ascontiguousarray(np.conjugate(found.mT)) if upper else found), info


def factor_grad(g: Any, L: Any, upper: bool) -> Any:
    """`A = L L^H`: with C = L^-1 dA L^-H, dL = L (the lower triangle of C, its diagonal halved)."""
    low, g = (adjoint(L), adjoint(g)) if upper else (L, g)
    inner = half_diagonal(product(adjoint(low), g))
    inner = _solve_triangular(adjoint(low), inner, upper=True)
    return symmetric(_solve_triangular(low, inner, upper=False, left=False))


@op(name="linalg_cholesky_ex", returns=("L", "info"))
def _cholesky_ex(A: Array, *, upper=False, check_errors=False):
    return factor("linalg.cholesky", A, upper, check_errors)


@_cholesky_ex.grad
def _(g, L, upper):
    return factor_grad(g, L, upper)


_cholesky_ex.shape(lambda A, *, upper=False, check_errors=False: check_shape("linalg.cholesky", A))


@op(name="cholesky", method=True)
def old_cholesky(A: Array, upper=False):
    """The lower triangular L with `A = L L^H`, or its conjugate transpose: `linalg.cholesky` under its older name.

    >>> import tapegrad as torch
    >>> torch.cholesky(torch.tensor([[4.0]]))
    tensor([[2.]])
    """
    return factor("cholesky", A, upper, True)[0]


@old_cholesky.grad
def _(g, out, upper):
    return factor_grad(g, out, upper)


old_cholesky.shape(lambda A, upper=False: check_shape("cholesky", A))


@full
def cholesky(A: Tensor, *, upper: bool = False, out: Tensor | None = None) -> Tensor:
    """The lower triangular L with `A = L L^H`, or its conjugate transpose with `upper`.

    Args:
        A: (..., n, n), symmetric (Hermitian) and positive definite; one triangle is read.
        upper: whether to give the upper triangle, from the upper triangle.
        out: a tensor to write the result into.

    Raises:
        LinAlgError: a matrix is not positive definite.

    >>> import tapegrad as torch
    >>> torch.linalg.cholesky(torch.tensor([[4.0, 2.0], [2.0, 5.0]]))
    tensor([[2., 0.],
            [1., 2.]])
    """
    return into(out, "linalg_cholesky", _cholesky_ex(A, upper=upper, check_errors=True)[0])


def cholesky_ex(A: Tensor, *, upper: bool = False, check_errors: bool = False, out: Any = None) -> Any:
    """The factor and, instead of an error, `info`: 0, or the order of the leading minor that is not positive.

    >>> import tapegrad as torch
    >>> torch.linalg.cholesky_ex(torch.tensor([[1.0, 0.0], [0.0, -1.0]])).info
    tensor(2, dtype=torch.int32)
    """
    named = {} if out is None else {"out": out}
    return _cholesky_ex(A, upper=upper, check_errors=check_errors, **named)


# ---- with the factor -------------------------------------------------------------------------------------------------


@full
@op(name="cholesky_inverse", method=True)
def cholesky_inverse(x: Array, upper=False):
    """The inverse of `L L^H` for its Cholesky factor L (of `U^H U` with `upper`).

    Args:
        input: (..., n, n), a lower (upper) triangle; the other one is not read.
        upper: which triangle it is.

    >>> import tapegrad as torch
    >>> torch.cholesky_inverse(torch.tensor([[2.0]]))
    tensor([[0.2500]])
    """
    check("cholesky_inverse", x)
    unit = np.broadcast_to(np.eye(x.shape[-1], dtype=x.dtype), x.shape)
    half = kernels.solve_triangular(x, unit, not upper)
    return product(half, adjoint(half)) if upper else product(adjoint(half), half)


@cholesky_inverse.grad
def _(g, x, out, upper):
    inner = product(out, product(g + adjoint(g), out))
    return -triu(product(triu(x), inner)) if upper else -tril(product(inner, tril(x)))


cholesky_inverse.shape(lambda x, upper=False: check_shape("cholesky_inverse", x))


@full
@op(name="cholesky_solve", method=True)
def cholesky_solve(x: Array, input2: Array, upper=False):
    """The solution X of `L L^H X = B` for a Cholesky factor L (of `U^H U X = B` with `upper`).

    Args:
        input: B, (..., n, k).
        input2: L, (..., n, n), a lower (upper) triangle; the other one is not read.
        upper: which triangle it is.

    >>> import tapegrad as torch
    >>> torch.cholesky_solve(torch.tensor([[1.0]]), torch.tensor([[2.0]]))
    tensor([[0.2500]])
    """
    _solve_shape(x.shape, input2.shape)
    check_dtype("cholesky_solve", x, input2)
    other = np.conjugate(input2.mT)
    first, second = (other, input2) if upper else (input2, other)
    return kernels.solve_triangular(second, kernels.solve_triangular(first, x, True), False)


@cholesky_solve.shape
def _solve_shape(x, input2, upper=False):
    check_shape("cholesky_solve", input2, name="L")
    check_shape("cholesky_solve", x, square=False, name="B")
    if x[-2] != input2[-1]:
        raise RuntimeError(message("cholesky_solve: the sizes do not fit", got=f"{tuple(x)} and {tuple(input2)}"))
    return system_shape("cholesky_solve", input2, x, True)


@cholesky_solve.grad("x")
def _(g, input2, upper):
    return cholesky_solve(g, input2, upper)


@cholesky_solve.grad("input2")
def _(g, input2, out, upper):
    both = product(cholesky_solve(g, input2, upper), adjoint(out))
    both = both + adjoint(both)
    return -triu(product(triu(input2), both)) if upper else -tril(product(both, tril(input2)))
