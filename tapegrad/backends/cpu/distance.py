"""Distances between rows of matrices, and their gradients.

All differences of two columns are a plane (P, R): planes are worked on in blocks of rows that stay in the cache, and a
sum over the elements of a row is a sum of planes.
"""

from __future__ import annotations

import math

import numpy as np

from .gemm import matmul

Array = np.ndarray
BLOCK = 131072  # differences that are worked on at a time
NEAR = 1e-6  # squared distances below this part of the squared lengths are taken from the differences themselves


def _sign(d: Array) -> Array:
    """-1, 0 or 1; without the branches that `np.sign` has."""
    return np.subtract((d > 0).view(np.int8), (d < 0).view(np.int8)).astype(d.dtype)


def lengths(d: Array, p: float) -> Array:
    """The p-norms along dimension -3; `d` may be written over."""
    if d.shape[-3] == 0:
        return np.zeros((*d.shape[:-3], *d.shape[-2:]), d.dtype)
    if p == 2:
        found = np.multiply(d, d, d).sum(-3)
        return np.sqrt(found, found)
    size = np.abs(d, d)
    if p == 0:
        return (size != 0).sum(-3, np.int32).astype(d.dtype)
    if p == 1:
        return size.sum(-3)
    return size.max(-3) if p == np.inf else (size**p).sum(-3) ** (1 / p)


def slopes(d: Array, out: Array, p: float) -> tuple[Array, Array]:
    """The gradient of the lengths `out` of `d`, as a product of its two results: of the shapes of `d` and `out`."""
    if p == 1:
        return _sign(d), np.ones_like(out)
    if p == np.inf:
        return np.multiply(_sign(d), np.abs(d, d) == out[..., None, :, :], d), np.ones_like(out)
    apart = out != 0
    factor = np.divide(1, out, out=np.zeros_like(out), where=apart)
    if p == 2:
        return d, factor
    sign, there = _sign(d), d != 0
    size = np.multiply(np.abs(d, d), factor[..., None, :, :], d)
    power = np.power(size, p - 1, out=np.zeros_like(size), where=there)
    return np.multiply(sign, power, sign), apart.astype(d.dtype)


def _columns(x: Array) -> Array:
    return np.ascontiguousarray(x.mT)


def _blocks(shape: tuple[int, ...], width: int) -> list[slice]:
    """Rows (the last dimension but one of `shape`) that are worked on at a time."""
    n = shape[-2]
    step = max(1, BLOCK * n // max(1, math.prod(shape) * width))
    return [slice(i, min(i + step, n)) for i in range(0, n, step)]


# ---- of the rows of two matrices -------------------------------------------------------------------------------------


def by_product(x: Array, y: Array) -> Array:
    """Euclidean distances as `sqrt(|x|^2 + |y|^2 - 2 x.y)`."""
    squares = (x * x).sum(-1)[..., :, None] + (y * y).sum(-1)[..., None, :]
    squares -= 2 * matmul(x, y.mT)
    return np.sqrt(np.maximum(squares, 0, out=squares), out=squares)


def pairs(x: Array, y: Array, p: float) -> Array:
    """The distances (..., P, R) of all rows of x, (..., P, M), to all of y, (..., R, M)."""
    out = np.empty((*np.broadcast_shapes(x.shape[:-2], y.shape[:-2]), x.shape[-2], y.shape[-2]), x.dtype)
    a, b = _columns(x), _columns(y)
    for rows in _blocks(out.shape, x.shape[-1]):
        out[..., rows, :] = lengths(a[..., rows, None] - b[..., None, :], p)
    return out


def pairs_backward(g: Array, x: Array, y: Array, out: Array, p: float, first: bool) -> Array:
    """The gradient of x, or of y, in the shape that the leading dimensions of both have together."""
    batch, m = g.shape[:-2], x.shape[-1]
    found = np.zeros((*batch, g.shape[-2] if first else g.shape[-1], m), x.dtype)
    if p == 0 or not found.size:
        return found
    a, b = _columns(x), _columns(y)
    for rows in _blocks(g.shape, m):
        part, factor = slopes(a[..., rows, None] - b[..., None, :], out[..., rows, :], p)
        factor *= g[..., rows, :]
        if first:
            found[..., rows, :] = np.einsum("...mpr,...pr->...pm", part, factor)
        else:
            found -= np.einsum("...mpr,...pr->...rm", part, factor)
    return found


# ---- of the rows of one ----------------------------------------------------------------------------------------------


def within(x: Array, p: float) -> Array:
    """The distances of all pairs of rows i < j, in that order."""
    n, m = x.shape
    if p == 2 and x.dtype == np.float32 and n > 1 and np.isfinite(x).all():
        return _within_by_product(x)
    out, columns = np.empty(n * (n - 1) // 2, x.dtype), _columns(x)
    start = 0
    for rows in _blocks((n, n), m):  # each with all rows after its first
        for k, line in enumerate(lengths(columns[:, rows, None] - columns[:, None, rows.start + 1 :], p)):
            stop = start + len(line) - k
            out[start:stop] = line[k:]
            start = stop
    return out


def _centred(x: Array) -> Array:
    """In float64, the mean row taken away: distances stay the same."""
    wide = x.astype(np.float64)
    wide -= wide.mean(0)
    return wide


def _within_by_product(x: Array) -> Array:
    """Euclidean distances of float32 rows as `|x|^2 + |y|^2 - 2 x.y` in float64, which loses less than they have."""
    wide = _centred(x)
    lines = np.vecdot(wide, wide)
    squares = matmul(wide, wide.T)
    squares *= -2
    squares += lines[:, None]
    squares += lines
    upper = _above(len(x))
    found = squares[upper]
    near = np.flatnonzero(found <= NEAR * 2 * lines.max())
    if len(near):
        i, j = np.nonzero(upper)
        step = max(1, BLOCK // max(1, x.shape[1]))
        for start in range(0, len(near), step):
            some = near[start : start + step]
            d = wide[i[some]] - wide[j[some]]
            found[some] = np.vecdot(d, d)
    return np.sqrt(found, found).astype(x.dtype)


def _above(n: int) -> Array:
    """(N, N): where the pairs i < j are that the result lists row by row."""
    return ~np.tri(n, dtype=bool)


def _square(values: Array, n: int) -> Array:
    """What belongs to each pair i < j as a symmetric matrix."""
    found = np.zeros((n, n), values.dtype)
    found[_above(n)] = values
    found += found.T
    return found


def within_backward(g: Array, x: Array, out: Array, p: float) -> Array:
    """The gradient of x."""
    n, m = x.shape
    dx = np.zeros_like(x)
    if p == 0 or not dx.size or not g.size:
        return dx
    if p == 2 and x.dtype == np.float32 and np.isfinite(x).all():
        weight = _square(np.divide(g, out, out=np.zeros(len(g)), where=out != 0), n)
        wide = _centred(x)
        return (wide * weight.sum(1, keepdims=True) - matmul(weight, wide)).astype(x.dtype)
    weight, size, columns = _square(g, n), _square(out, n), _columns(x)
    for rows in _blocks((n, n), m):
        part, factor = slopes(columns[:, rows, None] - columns[:, None], size[rows], p)
        factor *= weight[rows]
        dx[rows] = np.einsum("mpr,pr->pm", part, factor)
    return dx
