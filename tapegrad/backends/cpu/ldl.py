"""Symmetric and Hermitian indefinite matrices: `A[perm][:, perm] = L D L^T` with D of blocks 1 x 1 and 2 x 2.

Columns are made one after the other, for all matrices of a stack at once, each from the columns before it
(left-looking): with `W = L D`, column k is `A[:, k] - W[:, :k] @ L[k, :k]`. Exchanges of rows and columns are kept in
`perm`; A itself is never moved.

The result has LAPACK's form (`sytrf`, `hetrf`, lower triangle): D on the diagonal, its 2 x 2 blocks one place below it
too, the multipliers below, each column in the order of rows that it was made in. Pivot k > 0 (from 1) says that rows k
and `pivots[k]` were exchanged before a block of one, a pair of equal negative numbers the same for the second row of a
block of two.

Reference: J. R. Bunch and L. Kaufman, "Some stable methods for calculating inertia and solving symmetric linear
systems", 1977.
"""

from __future__ import annotations

import math

import numpy as np

from . import lapack
from .gemm import matmul
from .linalg import solve_triangular

Array = np.ndarray
ALPHA = (1 + 17**0.5) / 8  # keeps the growth of elements smallest


def _size(x: Array) -> Array:
    return np.abs(x.real) + np.abs(x.imag) if x.dtype.kind == "c" else np.abs(x)


def _swap(x: Array, each: Array, a: Array | int, b: Array, columns: int | None = None) -> None:
    """Exchange rows `a` and `b` of the matrices `each`, the first `columns` of them."""
    held = x[each, a, :columns]
    x[each, a, :columns] = x[each, b, :columns]
    x[each, b, :columns] = held


def factor(a: Array, hermitian: bool) -> tuple[Array, Array, Array]:
    """The factors (..., n, n), pivots (..., n), and for each matrix 0 or the number of the first zero block."""
    found = lapack.ldl(a, hermitian)
    if found is not None:
        return found
    n, batch = a.shape[-1], a.shape[:-2]
    flip = np.conj if hermitian and a.dtype.kind == "c" else np.asarray
    low = np.tril(a, -1).reshape((math.prod(batch), n, n))
    diagonal = np.diagonal(a, 0, -2, -1).reshape((-1, n)) if n else np.zeros((len(low), 0), a.dtype)
    full = low + flip(low.mT)
    full[:, np.arange(n), np.arange(n)] = diagonal.real if flip is np.conj else diagonal
    state = _State(full, flip)
    for k in range(n):
        _column(state, k)
    out = _packed(state)
    return out.reshape(a.shape), state.pivots.reshape((*batch, n)), state.info.reshape(batch)


class _State:
    """A factorisation under way."""

    def __init__(self, full: Array, flip):
        count, n = full.shape[:2]
        self.full, self.flip = full, flip
        self.L, self.W = np.zeros_like(full), np.zeros_like(full)
        self.perm = np.tile(np.arange(n), (count, 1))
        self.pivots, self.info = np.zeros((count, n), np.int32), np.zeros(count, np.int32)
        self.next = np.zeros(count, np.intp)  # the column that each matrix goes on with

    def column(self, each: Array, k: int, which: Array) -> Array:
        """Rows k to n of the column at place `which` of what is left, one of each matrix."""
        order = self.perm[each]
        chosen = self.perm[each, which]
        found = self.flip(self.full[each[:, None], chosen[:, None], order[:, k:]])
        if not k:
            return found
        W = self.W[:, k:, :k] if len(each) == len(self.W) else self.W[each, k:, :k]
        return found - matmul(W, self.flip(self.L[each, which, :k])[:, :, None])[:, :, 0]


def _column(s: _State, k: int) -> None:
    """Choose the block that begins at k, of one column or two, and make its columns, in all matrices that are there."""
    each = np.nonzero(s.next == k)[0]
    if not len(each):
        return
    first = s.column(each, k, np.full(len(each), k))  # (count, n - k)
    size = _size(first)
    own, below = size[:, 0], size[:, 1:]
    largest = below.max(1, initial=0)
    far = k + 1 + below.argmax(1) if below.shape[1] else np.full(len(each), k)
    hard = np.nonzero(own < ALPHA * largest)[0]
    single, swapped = np.ones(len(each), bool), np.zeros(len(each), bool)
    if len(hard):
        second = s.column(each[hard], k, far[hard])
        size = _size(second)
        at = np.arange(len(hard)), far[hard] - k
        beyond = size[at]
        size[at] = 0
        beside = size.max(1)
        stays = own[hard] >= ALPHA * largest[hard] * (largest[hard] / beside)
        swapped[hard] = ~stays & (beyond >= ALPHA * beside)
        single[hard] = stays | swapped[hard]
        first[swapped] = second[swapped[hard]]
        pairs = np.nonzero(~single)[0]
        if len(pairs):
            _pair(s, k, each[pairs], far[pairs], first[pairs], second[~single[hard]])
        moved = np.nonzero(swapped)[0]
        if len(moved):
            _exchange(s, k, k, each[moved], far[moved])
            _swap_entries(first, moved, 0, far[moved] - k)
    ones = np.nonzero(single)[0]
    if len(ones):
        _one(s, k, each[ones], np.where(swapped, far, k)[ones], first[ones])


def _swap_entries(x: Array, each: Array, a: int, b: Array) -> None:
    """Exchange entries `a` and `b` of the columns `each`."""
    held = x[each, a]
    x[each, a] = x[each, b]
    x[each, b] = held


def _exchange(s: _State, k: int, last: int, each: Array, far: Array) -> None:
    """Exchange rows (and columns) `last` and `far` in what is made and in what is left."""
    _swap_entries(s.perm, each, last, far)
    _swap(s.L, each, last, far, k)
    _swap(s.W, each, last, far, k)


def _one(s: _State, k: int, each: Array, p: Array, column: Array) -> None:
    """A block of one, its column given."""
    if s.flip is np.conj:
        column[:, 0] = column[:, 0].real
    d = column[:, 0, None]
    s.W[each, k:, k] = column
    s.L[each, k:, k] = column / np.where(d == 0, 1, d)
    s.L[each, k, k] = 1
    s.info[each] = np.where((s.info[each] == 0) & ~column.any(1), k + 1, s.info[each])
    s.pivots[each, k] = p + 1
    s.next[each] = k + 1


def _pair(s: _State, k: int, each: Array, far: Array, first: Array, second: Array) -> None:
    """A block of two, its columns given."""
    _exchange(s, k, k + 1, each, far)
    rows = np.arange(len(each))
    _swap_entries(first, rows, 1, far - k)
    _swap_entries(second, rows, 1, far - k)
    if s.flip is np.conj:
        first[:, 0], second[:, 1] = first[:, 0].real, second[:, 1].real
    both = np.stack([first, second], -1)  # (count, n - k, 2)
    s.W[each, k:, k : k + 2] = both
    made = np.linalg.solve(both[:, :2].mT, both.mT).mT
    made[:, :2] = np.eye(2)
    s.L[each, k:, k : k + 2] = made
    s.pivots[each, k : k + 2] = -(far[:, None] + 1)
    s.next[each] = k + 2


def _blocks(pivots: Array) -> tuple[Array, Array, Array]:
    """For each place (count, n): whether a block of two begins there, its last row, and the row exchanged with that."""
    count, n = pivots.shape
    double, begins = np.zeros((count, n), bool), np.zeros((count, n), bool)
    after = np.zeros(count, np.intp)
    for k in range(n):
        begins[:, k] = after == k
        double[:, k] = begins[:, k] & (pivots[:, k] < 0) & (k + 1 < n)
        after[begins[:, k]] += 1 + double[begins[:, k], k]
    last = np.arange(n) + double
    return double, last, np.where(begins, np.abs(pivots) - 1, last)


def _packed(s: _State) -> Array:
    """LAPACK's form: each column in the order of rows that it was made in."""
    n = s.full.shape[-1]
    out = np.tril(s.L, -1)
    double, last, other = _blocks(s.pivots)
    each = np.arange(n)
    out[:, each, each] = s.W[:, each, each]
    out[:, each[1:], each[:-1]] += np.where(double[:, :-1], s.W[:, each[1:], each[:-1]], 0)
    for k in range(n - 1, 0, -1):
        moved = np.nonzero(other[:, k] != last[:, k])[0]
        if len(moved):
            _swap(out, moved, last[moved, k], other[moved, k], k)
    return out


def solve(ld: Array, pivots: Array, b: Array, hermitian: bool) -> Array:
    """The solution (..., n, k) of `A x = b` for the factors of A; the leading dimensions broadcast."""
    n, batch = ld.shape[-1], ld.shape[:-2]
    flip = np.conj if hermitian and ld.dtype.kind == "c" else np.asarray
    x = np.tril(ld).reshape((math.prod(batch), n, n))
    double, last, other = _blocks(pivots.reshape((len(x), n)))
    perm = np.tile(np.arange(n), (len(x), 1))
    for k in range(n):  # all columns in the last order of rows
        moved = np.nonzero(other[:, k] != last[:, k])[0]
        if len(moved):
            _swap(x, moved, last[moved, k], other[moved, k], k)
            _swap_entries(perm, moved, last[moved, k], other[moved, k])
    d = np.diagonal(x, 0, 1, 2)
    d = (d.real if flip is np.conj else d).reshape((*batch, n, 1))
    e = np.where(double, np.diagonal(np.pad(x, ((0, 0), (0, 1), (0, 0))), -1, 1, 2), 0) if n else d.reshape((len(x), 0))
    e = e.reshape((*batch, n, 1))  # below the diagonal, where a block of two begins
    low = x.copy()
    each = np.arange(n)
    low[:, each[1:], each[:-1]] = np.where(double[:, :-1], 0, low[:, each[1:], each[:-1]])
    low = low.reshape(ld.shape)
    order = perm.reshape((*batch, n))
    shape = (*np.broadcast_shapes(batch, b.shape[:-2]), *b.shape[-2:])
    order = np.broadcast_to(order[..., None], (*shape[:-1], 1))
    y = np.take_along_axis(np.broadcast_to(b, shape), order, -2)
    y = solve_triangular(low, y, True, True)
    y = _divided(y, d, e, double.reshape((*batch, n, 1)), flip)
    y = solve_triangular(flip(low.mT), y, False, True)
    out = np.empty_like(y)
    np.put_along_axis(out, order, y, -2)
    return out


def _divided(y: Array, d: Array, e: Array, double: Array, flip) -> Array:
    """The solution of `D x = y` (..., n, k): a division, or of two equations at a time."""
    if not y.size:
        return y
    second = np.roll(double, 1, -2)
    other = np.where(second, np.roll(d, 1, -2), np.roll(d, -1, -2))  # the other diagonal element of the block
    beside = np.where(second, np.roll(e, 1, -2), flip(e))  # what stands in this row beside the own element
    partner = np.where(second, np.roll(y, 1, -2), np.roll(y, -1, -2))
    both = double | second
    determinant = np.where(both, d * other - beside * flip(beside), d)
    return np.where(both, other * y - beside * partner, y) / determinant
