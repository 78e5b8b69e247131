"""Norms of matrices, and the condition number: composed of norms of vectors and singular values."""

from __future__ import annotations

import math
from typing import Any

from ... import dtypes, shapes
from ...core.tensor import Tensor
from ...errors import message
from ..casting import full
from ..pointwise.compare import where
from ..pointwise.functions import abs
from ..reduction.extremes import amax, amin
from ..reduction.reduce import sum, vector_norm
from ..shape.movement import movedim, squeeze, unsqueeze
from .eigen import svdvals
from .matrices import check_shape, into, tensor
from .solve import inv_ex

ORDERS = "'fro', 'nuc', inf, -inf, 1, -1, 2 or -2"


def _pair(where: str, dim: Any, ndim: int) -> tuple[int, int]:
    """The two dimensions of the matrices, counted from the front."""
    if hasattr(dim, "__index__") or len(dim) != 2:
        raise RuntimeError(message(f"{where}: dim must name two dimensions", got=f"dim={dim}"))
    first, second = (shapes.axis(where, d, ndim) for d in dim)
    if first == second:
        raise RuntimeError(message(f"{where}: the two dimensions must differ", got=f"dim={dim}"))
    return first, second


def _checked(name: str, A: Tensor, dtype: Any) -> Tensor:
    """The matrices in the dtype to compute in."""
    tensor(name, A)
    check_shape(name, tuple(A.shape), square=False)
    if A.dtype.kind < dtypes.FLOAT:
        raise RuntimeError(message(f"{name}: takes floating-point or complex matrices", got=A.dtype))
    if dtype is None:
        return A
    if A.dtype.kind > dtype.kind or dtype.kind < dtypes.FLOAT:
        raise RuntimeError(
            message(f"{name}: a norm of {A.dtype} cannot be taken in another kind", got=f"dtype={dtype}")
        )
    return A.to(dtype)


def matrix_norm(
    A: Tensor, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None, out: Any = None
) -> Tensor:
    """A norm of matrices.

    Args:
        A: (..., m, n).
        ord: "fro": the root of the sum of `|a|**2`; "nuc": the sum of the singular values; 2 and -2: the largest and
            the smallest of them; 1 and -1: the largest and smallest sum of a column's absolute values; inf and -inf:
            of a row's.
        dim: the two dimensions of the matrices.
        keepdim: keep them with size 1.
        dtype: convert to this type first.
        out: a tensor to write the result into.

    Raises:
        RuntimeError: an unknown norm, or dimensions that do not fit.

    >>> import tapegrad as torch
    >>> torch.linalg.matrix_norm(torch.tensor([[1.0, -2.0], [3.0, 4.0]]), 1)
    tensor(6.)
    """
    A = _checked("linalg.matrix_norm", A, dtype)
    known = ord in ("fro", "nuc") if isinstance(ord, str) else math.fabs(ord) in (1, 2, math.inf)
    if not known:
        raise RuntimeError(message("linalg.matrix_norm: unknown norm", got=f"ord={ord!r}", expected=ORDERS))
    first, second = _pair("linalg.matrix_norm", dim, A.ndim)
    if ord == "fro":
        found = vector_norm(A, 2, (first, second), keepdim)
    elif ord in ("nuc", 2, -2):
        found = _by_values(A, ord, first, second, keepdim)
    else:
        if math.fabs(ord) == math.inf:
            first, second = second, first
        if second > first and not keepdim:
            second -= 1
        sums = vector_norm(A, 1, first, keepdim)
        if ord > 0 and not sums.shape[second]:  # no largest of nothing: the norm of an empty matrix is 0
            found = sum(sums, second, keepdim)
        else:
            found = (amax if ord > 0 else amin)(sums, second, keepdim)
    return into(out, "linalg_matrix_norm", found)


def _by_values(A: Tensor, ord: Any, first: int, second: int, keepdim: bool) -> Tensor:
    """The norms made of singular values."""
    S = svdvals(movedim(A, (first, second), (-2, -1)))
    if ord == "nuc" or (ord == 2 and not S.shape[-1]):
        found = sum(S, -1, False)
    else:
        found = (amax if ord == 2 else amin)(S, -1, False)
    if keepdim:
        for d in sorted((first, second)):
            found = unsqueeze(found, d)
    return found


def norm(
    A: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *, out: Any = None, dtype: Any = None
) -> Tensor:
    """A norm of vectors or of matrices, as `dim` tells: `linalg.vector_norm` or `linalg.matrix_norm`.

    Args:
        A: vectors for one dimension `dim`; matrices for two; without `dim`, one vector or matrix if there is an `ord`,
            else all elements as one vector.
        ord: the order (default: 2, for matrices "fro").
        dim: one dimension or two.
        keepdim: keep them with size 1.
        dtype: convert to this type first.
        out: a tensor to write the result into.

    Raises:
        RuntimeError: an unknown norm, or dimensions that do not fit.

    >>> import tapegrad as torch
    >>> torch.linalg.norm(torch.tensor([[3.0, 0.0], [0.0, 4.0]]), 2)
    tensor(4.)
    """
    tensor("linalg.norm", A)
    if dim is not None and not hasattr(dim, "__index__") and len(dim) not in (1, 2):
        raise RuntimeError(message("linalg.norm: dim must name one dimension or two", got=f"dim={dim}"))
    if dim is None and ord is not None and A.ndim not in (1, 2):
        text = message("linalg.norm: an order without dim needs a vector or a matrix", got=f"shape {tuple(A.shape)}")
        raise RuntimeError(text)
    several = A.ndim == 2 if dim is None else not hasattr(dim, "__index__") and len(dim) == 2
    if ord is not None and (several or isinstance(ord, str)):
        return matrix_norm(A, ord, (-2, -1) if dim is None else dim, keepdim, dtype=dtype, out=out)
    given = {} if out is None else {"out": out}
    return vector_norm(A, 2 if ord is None else ord, dim, keepdim, dtype=dtype, **given)


@full
def cond(A: Tensor, p: Any = None, *, out: Tensor | None = None) -> Tensor:
    """The condition number `|A| |A^-1|`; for p = 2 the largest singular value by the smallest.

    Args:
        A: (..., m, n); square, unless p is 2, -2 or None.
        p: the norm, as `linalg.matrix_norm` takes it (default: 2).
        out: a tensor to write the result into.

    Raises:
        RuntimeError: an unknown norm, or matrices that are not square.

    >>> import tapegrad as torch
    >>> torch.linalg.cond(torch.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor(2.)
    """
    tensor("linalg.cond", A)
    check_shape("linalg.cond", tuple(A.shape), square=p not in (None, 2, -2))
    if not isinstance(p, str) and p is not None and math.fabs(p) not in (1, 2, math.inf):
        raise RuntimeError(message("linalg.cond: unknown norm", got=f"p={p!r}", expected=ORDERS))
    if not A.array.size:
        return into(out, "linalg_cond", sum(abs(A), (-2, -1), False))
    if p in (None, 2, -2):
        S = svdvals(A)
        ratio = S[..., :1] / S[..., -1:] if p != -2 else S[..., -1:] / S[..., :1]
        found = squeeze(ratio, -1)
    else:
        inverse, info = inv_ex(A)
        regular = info == 0
        found = matrix_norm(A, p) * matrix_norm(where(regular[..., None, None], inverse, 0.0), p)
        found = where(regular, found, math.inf)
    return into(out, "linalg_cond", found)
