"""Functions of matrices: the exponential, powers of numbers as rows, the diagonal.

The gradient of a function f of matrices is a block of f itself: f([[X, E], [0, X]]) has f(X) on its diagonal and the
derivative of f at X in the direction E in its corner.

Reference: A. Al-Mohy and N. Higham, "Computing the Frechet derivative of the matrix exponential", 2009.
"""

from __future__ import annotations

import operator
from typing import Any

from ... import dtypes
from ...backends.cpu import linalg as kernels
from ...core.op import Array, op
from ...core.tensor import Tensor
from ...errors import message
from ..reduction.scan import cumprod
from ..shape.joining import cat
from ..shape.movement import unsqueeze
from ..shape.windows import diagonal as diagonal_of
from .matmul import adjoint
from .matrices import check_shape, tensor

__all__ = ["matrix_exp"]


@op(name="linalg_matrix_exp")
def _matrix_exp(A: Array):
    check_shape("linalg.matrix_exp", A.shape)
    if A.dtype.kind in "biu":
        got = dtypes.of(A.dtype)
        raise RuntimeError(message("linalg.matrix_exp: takes floating-point or complex matrices", got=got))
    return kernels.matrix_exp(A)


_matrix_exp.shape(lambda A: check_shape("linalg.matrix_exp", A))


@_matrix_exp.grad
def _(g, A):
    n = A.shape[-1]
    X = adjoint(A)
    blocks = cat([cat([X, g], -1), cat([X * 0, X], -1)], -2)  # (..., 2n, 2n)
    return _matrix_exp(blocks)[..., :n, n:]


def matrix_exp(A: Tensor) -> Tensor:
    """The exponential of square matrices: `I + A + A^2 / 2 + A^3 / 6 + ...`

    Args:
        A: (..., n, n).

    Source: Higham, 2005 (scaling and squaring), computed in double precision.

    >>> import tapegrad as torch
    >>> torch.matrix_exp(torch.tensor([[0.0, 1.0], [0.0, 0.0]]))
    tensor([[1., 1.],
            [0., 1.]])
    """
    return _matrix_exp(A)


def vander(x: Tensor, N: int | None = None) -> Tensor:
    """The powers 0 to N - 1 of numbers, as rows: (..., n) gives (..., n, N); composed of `cumprod`.

    Args:
        x: (..., n).
        N: how many (default: n), at least 2.

    Raises:
        RuntimeError: N is less than 2, or bools.

    >>> import tapegrad as torch
    >>> torch.linalg.vander(torch.tensor([1, 2, 3]))
    tensor([[1, 1, 1],
            [1, 2, 4],
            [1, 3, 9]])
    """
    tensor("linalg.vander", x)
    if x.dtype.kind == dtypes.BOOL:
        raise RuntimeError(message("linalg.vander: not defined for torch.bool"))
    count = (x.shape[-1] if x.ndim else 1) if N is None else operator.index(N)
    if count < 2:
        raise RuntimeError(message("linalg.vander: N must be at least 2", got=count))
    x = x if x.ndim else unsqueeze(x, 0)
    row: Any = unsqueeze(x, -1).expand((*x.shape, count - 1))
    powers = cumprod(row, -1)
    return cat([powers.new_ones((*x.shape, 1)), powers], -1)


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The diagonals of the matrices in the last two dimensions (or `dim1` and `dim2`): a view.

    >>> import tapegrad as torch
    >>> torch.linalg.diagonal(torch.tensor([[[1, 2], [3, 4]]]))
    tensor([[1, 4]])
    """
    return diagonal_of(A, offset, dim1, dim2)


Tensor.matrix_exp = matrix_exp
