"""Matrices on the CPU: what NumPy's LAPACK wrappers do not offer, for stacks (leading dimensions) of matrices.

`lu` and `substitute` are recursive: they halve the matrix, so that nearly all the work is products of matrices; only
blocks of at most `BLOCK` columns are done column by column, for all matrices of the stack at once. The matrix
exponential is the [13/13] Pade approximant with scaling and squaring.

References: S. Toledo, "Locality of reference in LU decomposition with partial pivoting", 1997; N. J. Higham, "The
scaling and squaring method for the matrix exponential revisited", 2005.
"""

from __future__ import annotations

import math

import numpy as np

from . import lapack
from .gemm import matmul

BLOCK = 8
Array = np.ndarray


# ---- triangular systems ----------------------------------------------------------------------------------------------


def substitute(a: Array, b: Array, lower: bool, unit: bool) -> None:
    """Overwrite `b` (..., n, k) with the solution of `a x = b` for triangular `a` (..., n, n).

    With `unit`, the diagonal counts as ones. The other triangle of `a` is not read. A zero on the diagonal gives
    infinities.
    """
    n = a.shape[-1]
    if n <= BLOCK:
        for i in range(n) if lower else range(n - 1, -1, -1):
            known = slice(0, i) if lower else slice(i + 1, n)
            if known.stop > known.start:
                b[..., i, :] -= np.matmul(a[..., i : i + 1, known], b[..., known, :])[..., 0, :]
            if not unit:
                b[..., i, :] /= a[..., i, i, None]
        return
    halves = slice(0, n // 2), slice(n // 2, n)
    first, second = halves if lower else halves[::-1]
    substitute(a[..., first, first], b[..., first, :], lower, unit)
    b[..., second, :] -= matmul(a[..., second, first], b[..., first, :])
    substitute(a[..., second, second], b[..., second, :], lower, unit)


def solve_triangular(a: Array, b: Array, lower: bool, unit: bool = False) -> Array:
    """The solution of `a x = b` for triangular `a`; the leading dimensions broadcast."""
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    out = np.array(np.broadcast_to(b, (*batch, *b.shape[-2:])), order="C")
    if out.size:
        substitute(a, out, lower, unit)
    return out


# ---- LU --------------------------------------------------------------------------------------------------------------


def lu(a: Array) -> tuple[Array, Array, Array]:
    """Gaussian elimination with partial pivoting: `a[perm] = L @ U` with `perm = permutation(pivots, m)`.

    Returns:
        L (its unit diagonal left out) and U in one array (..., m, n); the pivots (..., k), k = min(m, n), counted
        from 1: row i was exchanged with row `pivots[i] - 1`; and for each matrix the number (from 1) of the first
        zero on the diagonal of U, or 0.
    """
    found = lapack.lu(a)
    if found is not None:
        return found
    m, n = a.shape[-2:]
    k = min(m, n)
    x = np.array(a, order="C").reshape((math.prod(a.shape[:-2]), m, n))
    pivots = np.zeros((len(x), k), np.int32)
    perm = np.tile(np.arange(m), (len(x), 1))
    if len(x) >= 64 and m * n <= 64 and x.dtype.char in _WORDS:
        _eliminate_planes(x, pivots)
    elif x.size:
        _eliminate(x, pivots, perm)
    zero = x.diagonal(0, 1, 2) == 0  # (stack, k)
    info = np.where(zero.any(-1), zero.argmax(-1) + 1, 0) if k else np.zeros(len(x), np.int64)
    batch = a.shape[:-2]
    return (
        x.reshape(a.shape),
        (pivots + 1).astype(np.int32).reshape((*batch, k)),
        info.astype(np.int32).reshape(batch),
    )


def _eliminate(x: Array, pivots: Array, perm: Array) -> None:
    """Factorise a stack in place; the pivots, counted from 0, and the exchanged `perm` are written."""
    m, n = x.shape[1:]
    if min(m, n) <= BLOCK and n <= 2 * BLOCK:
        _eliminate_columns(x, pivots, perm)
        return
    h = m if n > m else n // 2
    left, right = x[:, :, :h], x[:, :, h:]
    order = np.tile(np.arange(m), (len(x), 1))
    _eliminate(left, pivots[:, :h], order)
    right[:] = np.take_along_axis(right, order[:, :, None], 1)
    substitute(left[:, :h, :h], right[:, :h], True, True)
    if h < m:
        right[:, h:] -= matmul(left[:, h:, :h], right[:, :h])
        lower = np.tile(np.arange(m - h), (len(x), 1))
        _eliminate(right[:, h:], pivots[:, h:], lower)
        pivots[:, h:] += h
        left[:, h:] = np.take_along_axis(left[:, h:], lower[:, :, None], 1)
        order[:, h:] = np.take_along_axis(order[:, h:], lower, 1)
    perm[:] = np.take_along_axis(perm, order, 1)


def _eliminate_columns(x: Array, pivots: Array, perm: Array) -> None:
    """The same, column by column."""
    each = np.arange(len(x))
    m, n = x.shape[1:]
    for j in range(min(m, n)):
        column = x[:, j:, j]
        p = _size(column).argmax(1) + j
        pivots[:, j] = p
        for rows in (x, perm):
            chosen = rows[each, p]
            rows[each, p] = rows[:, j]
            rows[:, j] = chosen
        pivot = x[:, j, j, None]
        x[:, j + 1 :, j] /= np.where(pivot == 0, 1, pivot)
        x[:, j + 1 :, j + 1 :] -= x[:, j + 1 :, j, None] * x[:, j, None, j + 1 :]


_WORDS = {"f": np.int32, "d": np.int64, "F": np.int64}  # integers of the size of an element
STACK = 4096  # small matrices that are worked on at a time: all their elements stay in the cache


def _eliminate_planes(x: Array, pivots: Array) -> None:
    """The same for many small matrices: each element of all of them is a vector (a plane of the stack)."""
    m, n = x.shape[1:]
    for start in range(0, len(x), STACK):
        part = x[start : start + STACK]
        y = np.ascontiguousarray(part.transpose(1, 2, 0))  # (m, n, stack)
        words = y.view(_WORDS[x.dtype.char])
        for j in range(min(m, n)):
            largest, p = _size(y[j, j]), np.full(len(part), j, words.dtype)
            for i in range(j + 1, m):
                size = _size(y[i, j])
                p += (size > largest) * (i - p)
                np.maximum(largest, size, out=largest)
            pivots[start : start + STACK, j] = p
            for i in range(j + 1, m):  # exchange bits where this row was chosen
                chosen = (p == i).astype(words.dtype)
                if chosen.any():
                    changed = (words[j] ^ words[i]) * chosen
                    words[j] ^= changed
                    words[i] ^= changed
            y[j + 1 :, j] /= np.where(y[j, j] == 0, 1, y[j, j])
            y[j + 1 :, j + 1 :] -= y[j + 1 :, j, None] * y[j, None, j + 1 :]
        part[:] = y.transpose(2, 0, 1)


def _size(x: Array) -> Array:
    return np.abs(x.real) + np.abs(x.imag) if x.dtype.kind == "c" else np.abs(x)


def permutation(pivots: Array, m: int) -> Array:
    """The order (..., m) in which `pivots` (counted from 1) leave the rows."""
    k = pivots.shape[-1]
    flat = pivots.reshape((math.prod(pivots.shape[:-1]), k)).astype(np.intp) - 1
    perm = np.tile(np.arange(m), (len(flat), 1))
    if len(flat) < 64:
        for order, exchanged in zip(perm, flat.tolist()):
            places = list(range(m))
            for j, p in enumerate(exchanged):
                places[j], places[p] = places[p], places[j]
            order[:] = places
        return perm.reshape((*pivots.shape[:-1], m))
    each = np.arange(len(flat))
    for j in range(k):
        p = flat[:, j]
        chosen = perm[each, p]
        perm[each, p] = perm[:, j]
        perm[:, j] = chosen
    return perm.reshape((*pivots.shape[:-1], m))


def permutation_matrix(perm: Array, dtype: np.dtype) -> Array:
    """The matrix P with `a = P @ a[perm]`."""
    m = perm.shape[-1]
    return (perm[..., None, :] == np.arange(m)[:, None]).astype(dtype)


# ---- LAPACK with a report --------------------------------------------------------------------------------------------


def solve(a: Array, b: Array) -> tuple[Array, Array]:
    """The solution of `a x = b` (..., n, k), and for each matrix 0 or the number of the zero pivot it stopped at.

    A singular matrix gives infinities and what follows from them.
    """
    try:
        return np.linalg.solve(a, b), np.zeros(a.shape[:-2], np.int32)
    except np.linalg.LinAlgError:
        factors, pivots, info = lu(a)
        perm = permutation(pivots, a.shape[-1])
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    rows = np.broadcast_to(b, (*batch, *b.shape[-2:]))
    rows = np.take_along_axis(rows, np.broadcast_to(perm[..., None], (*batch, perm.shape[-1], 1)), -2)
    found = solve_triangular(factors, solve_triangular(factors, rows, True, True), False)
    if not info.any():  # LAPACK met an exact zero where this order of operations did not
        info = np.where(np.isfinite(found).all((-2, -1)), info, a.shape[-1]).astype(np.int32)
    return found, info


def inv(a: Array) -> tuple[Array, Array]:
    """The inverses, and for each matrix 0 or the number of the zero pivot."""
    try:
        return np.linalg.inv(a), np.zeros(a.shape[:-2], np.int32)
    except np.linalg.LinAlgError:
        return solve(a, np.eye(a.shape[-1], dtype=a.dtype))


def cholesky(a: Array) -> tuple[Array, Array]:
    """The lower factors, and for each matrix 0 or the order of the first leading minor that is not positive.

    Only the lower triangle is read. Beyond the failing minor a factor holds what was there.
    """
    try:
        found = np.linalg.cholesky(a)
        if np.isfinite(found).all():
            return found, np.zeros(a.shape[:-2], np.int32)
    except np.linalg.LinAlgError:
        pass
    n = a.shape[-1]
    x = np.tril(a).reshape((math.prod(a.shape[:-2]), n, n))
    info = np.zeros(len(x), np.int32)
    for j in range(n):  # every matrix up to its own failing column
        done = x[:, j, :j]
        d = x[:, j, j].real - (np.abs(done) ** 2).sum(-1)
        info[(info == 0) & ~(d > 0)] = j + 1
        going = info == 0
        x[:, j, j] = np.where(going, np.sqrt(np.where(going, d, 1)), np.where(info == j + 1, d, x[:, j, j]))
        rest = x[:, j + 1 :, j] - (x[:, j + 1 :, :j] * done.conj()[:, None]).sum(-1)
        x[:, j + 1 :, j] = np.where(going[:, None], rest / x[:, j, j, None], x[:, j + 1 :, j])
    return x.reshape(a.shape), info.reshape(a.shape[:-2])


# ---- the exponential -------------------------------------------------------------------------------------------------

PADE = (64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800, 129060195264000, 10559470521600,
        670442572800, 33522128640, 1323241920, 40840800, 960960, 16380, 182, 1)  # fmt: skip
REACH = 5.371920351148152  # the largest 1-norm for which that approximant is exact in double precision


def matrix_exp(a: Array) -> Array:
    """The exponentials of square matrices, computed in double precision."""
    wide = np.complex128 if a.dtype.kind == "c" else np.float64
    x = a.astype(wide)
    if not x.size:
        return np.array(a)
    norm = np.abs(x).sum(-2).max(-1)  # (...)
    finite = np.isfinite(norm)
    s = np.ceil(np.log2(np.where(finite & (norm > REACH), norm, REACH) / REACH)).astype(int)
    x = np.where(finite[..., None, None], x, 0) / np.exp2(s)[..., None, None]
    one = np.eye(a.shape[-1])
    x2 = matmul(x, x)
    x4 = matmul(x2, x2)
    x6 = matmul(x2, x4)
    c = [v / PADE[0] for v in PADE]
    odd = matmul(x6, c[13] * x6 + c[11] * x4 + c[9] * x2) + c[7] * x6 + c[5] * x4 + c[3] * x2 + c[1] * one
    even = matmul(x6, c[12] * x6 + c[10] * x4 + c[8] * x2) + c[6] * x6 + c[4] * x4 + c[2] * x2 + c[0] * one
    odd = matmul(x, odd)
    found = np.linalg.solve(even - odd, even + odd)
    for k in range(int(s.max(initial=0))):
        found = np.where((s > k)[..., None, None], matmul(found, found), found)
    return np.where(finite[..., None, None], found, np.nan).astype(a.dtype)
