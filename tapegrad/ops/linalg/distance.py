"""Distances between all pairs of rows: `cdist` and `pdist`.

Where a distance is 0, so is its gradient (the derivative does not exist there).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import shapes
from ...backends.cpu import distance as kernels
from ...backends.cpu import gemm
from ...core.op import Array, op
from ...core.tensor import Tensor, wrap
from ...errors import message
from ..casting import full
from ..pointwise.compare import where
from ..pointwise.functions import abs, sgn
from ..pointwise.powers import pow
from ..reduction.reduce import sum
from .matmul import matmul

__all__ = ["cdist", "pdist"]

FEW = 25  # rows: with more, the Euclidean distance takes one matrix product instead of all differences


@op(name="cdist", node="CdistBackward0")
def _cdist(x: Array, y: Array, p, product):
    gemm.check_types("cdist", x, y)
    return kernels.by_product(x, y) if product else kernels.pairs(x, y, p)


def _slopes(g: Any, x: Any, y: Any, out: Any, p: float) -> Any:
    """The gradient for every difference x_i - y_j, (..., P, R, M)."""
    d = x.reshape((*x.shape[:-1], 1, x.shape[-1])) - y.reshape((*y.shape[:-2], 1, *y.shape[-2:]))
    g, out = g.reshape((*g.shape, 1)), out.reshape((*out.shape, 1))
    if p == 0:
        return d * 0 * g
    if p == 1:
        return sgn(d) * g
    if p == np.inf:
        return sgn(d) * g * (abs(d) == out)
    apart = out != 0
    safe = where(apart, out, 1.0)
    if p == 2:
        return where(apart, d * (g / safe), 0.0)
    there = abs(d) != 0
    power = where(there, pow(where(there, abs(d), 1.0) / safe, p - 1), 0.0)
    return where(apart, sgn(d) * power * g, 0.0)


def _weights(g: Any, out: Any) -> Any:
    """`g / out`, and 0 where that is 0."""
    apart = out != 0
    return where(apart, g / where(apart, out, 1.0), 0.0)


# A Euclidean distance d(i, j) has the derivative (x_i - y_j) / d(i, j); in sums over j both parts are matrix products.


@_cdist.grad("x")
def _(g, x, y, out, p, product):
    if product:
        w = _weights(g, out)
        return x * sum(w, -1, True) - matmul(w, y)
    if g.__class__ is Array:
        return kernels.pairs_backward(g, x, y, out, p, True)
    return sum(_slopes(g, x, y, out, p), -2)


@_cdist.grad("y")
def _(g, x, y, out, p, product):
    if product:
        w = _weights(g, out).mT
        return y * sum(w, -1, True) - matmul(w, x)
    if g.__class__ is Array:
        return kernels.pairs_backward(g, x, y, out, p, False)
    return -sum(_slopes(g, x, y, out, p), -3)


@_cdist.shape
def _(x, y, p, product):
    if len(x) < 2 or len(y) < 2 or x[-1] != y[-1]:
        text = message(
            "cdist: rows of equal length are needed", got=f"{tuple(x)} and {tuple(y)}", expected="(..., n, m)"
        )
        raise RuntimeError(text)
    return (*shapes.broadcast("cdist", x[:-2], y[:-2]), x[-2], y[-2])


MODES = {
    "use_mm_for_euclid_dist_if_necessary": None,
    "use_mm_for_euclid_dist": True,
    "donot_use_mm_for_euclid_dist": False,
}


def _check(where: str, p: float, *tensors: Tensor) -> None:
    for t in tensors:
        if not t.is_floating_point():
            raise RuntimeError(message(f"{where}: floating-point tensors are needed", got=t.dtype))
    if not p >= 0:
        raise RuntimeError(message(f"{where}: p must not be negative", got=p))


@full
def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str = "use_mm_for_euclid_dist_if_necessary") -> Tensor:
    """The p-norm distances of all rows of `x1` to all rows of `x2`.

    Args:
        x1: (..., P, M).
        x2: (..., R, M).
        p: the norm: 0 (count of unequal elements), 1, 2, infinity, or any positive number.
        compute_mode: whether Euclidean distances are computed by a matrix product (faster, less exact): above 25 rows,
            always ("use_mm_for_euclid_dist") or never ("donot_use_mm_for_euclid_dist").

    Returns:
        (..., P, R).

    Raises:
        RuntimeError: the rows differ in length, integers, or a negative p.
        ValueError: no such compute mode.

    >>> import tapegrad as torch
    >>> torch.cdist(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0], [0.0, 1.0]]))
    tensor([[5., 1.]])
    """
    if compute_mode not in MODES:
        raise ValueError(message("cdist: no such compute mode", got=repr(compute_mode), expected=", ".join(MODES)))
    _check("cdist", p, x1, x2)
    _cdist.op.shape_rule(x1.array.shape, x2.array.shape, p, False)
    asked = MODES[compute_mode]
    product = p == 2 and ((x1.shape[-2] > FEW or x2.shape[-2] > FEW) if asked is None else asked)
    return _cdist(x1, x2, float(p), product)


# ---- pairs of one matrix ---------------------------------------------------------------------------------------------


@op(name="pdist", node="PdistBackward0")
def _pdist(x: Array, p):
    return kernels.within(x, p)


@_pdist.shape
def _(x, p):
    return (x[0] * (x[0] - 1) // 2,)


@_pdist.grad("x")
def _(g, x, out, p, x_shape):
    if g.__class__ is Array:
        return kernels.within_backward(g, x, out, p)
    number, apart = _numbers(x_shape[0])
    g, out = where(wrap(apart), g[wrap(number)], 0.0), where(wrap(apart), out[wrap(number)], 0.0)
    return sum(_slopes(g, x, x, out, p), -2)


def _numbers(n: int) -> tuple[np.ndarray, np.ndarray]:
    """(N, N): the number of each pair in the result, 0 on the diagonal; and where the diagonal is not."""
    number = np.zeros((n, n), np.intp)
    i, j = np.triu_indices(n, 1)
    number[i, j] = number[j, i] = np.arange(len(i))
    return number, ~np.eye(n, dtype=bool)


@full
def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The p-norm distances of all pairs of rows i < j of a matrix, in that order.

    Args:
        input: (N, M).
        p: the norm: 0 (count of unequal elements), 1, 2, infinity, or any positive number.

    Returns:
        (N (N - 1) / 2,).

    Raises:
        RuntimeError: not a matrix, integers, or a negative p.

    >>> import tapegrad as torch
    >>> torch.pdist(torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]]))
    tensor([5.0000, 1.0000, 4.2426])
    """
    if input.ndim != 2:
        raise RuntimeError(message("pdist only supports 2D tensors", got=f"shape {tuple(input.shape)}"))
    _check("pdist", p, input)
    return _pdist(input, float(p))
