"""Linear algebra: factorisations and solutions of matrices, with their derivatives (`torch.linalg`).

NumPy's LAPACK does the factorising, for single matrices and for batches (leading dimensions) alike.

Reference for the derivatives: M. B. Giles, "An extended collection of matrix derivative results for forward and reverse
mode algorithmic differentiation", 2008; for `qr`: S. F. Walter and L. Lehmann, 2010.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import shapes
from ..core.op import Array, op
from ..core.tensor import Tensor
from ..errors import message
from .elementwise import add, sub
from .matmul import matmul
from .rearrange import tril

__all__ = ["cholesky", "inv", "inverse", "qr", "solve"]


class LinAlgError(RuntimeError):
    """A matrix cannot be factorised or inverted (`torch.linalg.LinAlgError`)."""


def _lapack(where: str, function: Any, *args: Any, **kwargs: Any) -> Any:
    """Call NumPy's LAPACK; what it refuses is a LinAlgError that names the operation."""
    try:
        return function(*args, **kwargs)
    except np.linalg.LinAlgError as error:
        text = message(f"linalg.{where}: {str(error).lower()}", got=f"shape {tuple(args[0].shape)}")
        raise LinAlgError(text) from None


def _check(where: str, x: tuple[int, ...], square: bool = True) -> tuple[int, ...]:
    """Refuse what is no (batch of) matrices."""
    if len(x) < 2 or (square and x[-1] != x[-2]):
        expected = "(..., n, n)" if square else "(..., m, n)"
        raise RuntimeError(message(f"linalg.{where}: takes matrices", got=tuple(x), expected=expected))
    return x


def _check_dtype(where: str, x: Array) -> None:
    if x.dtype.kind not in "fc" or x.dtype.itemsize < 4:
        text = message(f"linalg.{where}: takes float32, float64 or complex matrices", got=x.dtype, fix="use .float()")
        raise RuntimeError(text)


@op
def inv(x: Array):
    """The inverse of square matrices.

    Raises:
        LinAlgError: a matrix is singular.

    >>> import tapegrad as torch
    >>> torch.linalg.inv(torch.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    _check("inv", x.shape)
    _check_dtype("inv", x)
    return _lapack("inv", np.linalg.inv, x)


@inv.shape
def _(x):
    return _check("inv", x)


@inv.grad
def _(g, out):
    return -matmul(out.mT, matmul(g, out.mT))


def _is_vector(x: tuple[int, ...], y: tuple[int, ...]) -> bool:
    """Whether the right-hand side holds vectors: one, or a batch that fits the batch of matrices."""
    return len(y) == 1 or (len(x) - 1 == len(y) and x[:-1] == y)


@op(name="linalg_solve", node="LinalgSolveExBackward0")
def _solve(x: Array, y: Array):
    _check_dtype("solve", x)
    return _lapack("solve", np.linalg.solve, x, y)


_solve.shape(lambda x, y: shapes.matmul("solve", x, y))


@_solve.grad("x")
def _(g, x, out):
    return -matmul(_solve(x.mT, g), out.mT)


@_solve.grad("y")
def _(g, x):
    return _solve(x.mT, g)


def solve(A, B, *, left=True, out=None):
    """The solution X of `A X = B` (of `X A = B` with `left=False`).

    Args:
        A: (..., n, n), invertible.
        B: (..., n, k), or (..., n) for vectors.

    Raises:
        LinAlgError: a matrix is singular.

    >>> import tapegrad as torch
    >>> torch.linalg.solve(torch.tensor([[2.0, 0.0], [0.0, 4.0]]), torch.tensor([2.0, 2.0]))
    tensor([1.0000, 0.5000])
    """
    _check("solve", A.shape)
    vector = _is_vector(A.shape, B.shape)
    rows = B.unsqueeze(-1) if vector else B
    found = _solve(A, rows) if left else _solve(A.mT, rows.mT).mT
    found = found.squeeze(-1) if vector else found
    return found if out is None else out.resize_(found.shape).copy_(found)


@op
def cholesky(x: Array, *, upper=False):
    """The lower triangular L with `x = L L^T` (or its transpose with `upper`).

    Raises:
        LinAlgError: a matrix is not positive definite.

    >>> import tapegrad as torch
    >>> torch.linalg.cholesky(torch.tensor([[4.0, 2.0], [2.0, 5.0]]))
    tensor([[2., 0.],
            [1., 2.]])
    """
    _check("cholesky", x.shape)
    _check_dtype("cholesky", x)
    found = _lapack("cholesky", np.linalg.cholesky, x)
    return np.ascontiguousarray(found.mT) if upper else found


@cholesky.shape
def _(x, *, upper=False):
    return _check("cholesky", x)


@cholesky.grad
def _(g, out, upper):
    low, g = (out.mT, g.mT) if upper else (out, g)
    half = _half_diagonal(tril(matmul(low.mT, g)))
    inverse = inv(low)
    found = matmul(inverse.mT, matmul(half, inverse))
    return (found + found.mT) * 0.5


def _half_diagonal(lower: Any) -> Any:
    """A lower triangle with its diagonal halved."""
    return (lower + tril(lower, -1)) * 0.5


@op(name="linalg_qr", node="LinalgQrBackward0", returns=("Q", "R"), nout=2)
def _qr(x: Array, mode="reduced"):
    _check("qr", x.shape, square=False)
    _check_dtype("qr", x)
    return tuple(_lapack("qr", np.linalg.qr, x, mode))


@_qr.shape
def _(x, mode="reduced"):
    return (*x[:-1], x[-2] if mode == "complete" else min(x[-2:]))


@_qr.grad
def _(gs, Q, R, mode):
    if mode == "complete" or R.shape[-2] > R.shape[-1]:
        raise NotImplementedError(message("linalg.qr: the derivative needs mode='reduced'", got=f"mode={mode!r}"))
    gq, gr = gs
    n = R.shape[-2]
    if R.shape[-1] > n:  # a wide matrix: the columns beyond the square part only enter R
        text = message("linalg.qr: the derivative is for matrices with at least as many rows as columns")
        raise NotImplementedError(text)
    m = sub(matmul(R, gr.mT), matmul(gq.mT, Q))
    symmetric = add(tril(m), tril(m, -1).mT)
    return matmul(gq + matmul(Q, symmetric), inv(R).mT)


def qr(A, mode="reduced", *, out=None):
    """`A = Q R` with orthonormal columns Q and upper triangular R, as a named tuple.

    Args:
        A: (..., m, n).
        mode: "reduced" (Q is (..., m, min(m, n))) or "complete" (Q is square).

    Raises:
        RuntimeError: the mode is unknown.

    >>> import tapegrad as torch
    >>> Q, R = torch.linalg.qr(torch.tensor([[3.0], [4.0]]))
    >>> abs(R)
    tensor([[5.]])
    """
    if mode not in ("reduced", "complete"):
        raise RuntimeError(message("linalg.qr: unknown mode", got=repr(mode), expected="'reduced' or 'complete'"))
    return _qr(A, mode) if out is None else _qr(A, mode, out=out)


inverse = inv
Tensor.inverse = inv
