"""Samples of operations that pick and write elements by number or by mask."""

from __future__ import annotations

import numpy as np
from samples import Sample, case, flags, real, whole

X = real(3, 4)
LINES = np.array([[0, 2, 1, 2], [1, 1, 0, 0]])  # one place along dimension 0 for each of 2 x 4 elements
COLUMNS = np.array([[3, 0], [1, 1], [2, 3]])  # along dimension 1, for 3 x 2 elements
ROWS, DISTINCT = np.array([2, 0, 2]), np.array([2, 0])
MASK = np.array([[True, False, True, False], [False] * 4, [True] * 4])
POSITIONS = np.array([[0, 5], [11, 5]])


def shaped(reference, *calls) -> list[Sample]:
    return [case(*args, expect=reference) for args in calls]


def written(x, key, y):
    out = np.array(x)
    out[key] = y
    return out


def added(shape, key, g):
    out = np.zeros(shape)
    np.add.at(out, key, g)
    return out


def along(index, dim):
    """The key that picks `index` along a dimension."""
    grid = list(np.indices(index.shape))
    grid[dim] = index
    return tuple(grid)


# ---- x[...] --------------------------------------------------------------------------------------------------------

BASIC = [np.s_[1], np.s_[1:, ::2], np.s_[..., None, -1], np.s_[None, 0, 1:1], np.s_[:, -3:-1]]
ADVANCED = [(ROWS,), (slice(None), ROWS), (ROWS, np.array([1, 0, 1])), (MASK,), (np.array([[-1], [0]]), DISTINCT)]


def puts(key, accumulate):
    """`index_put` of a tensor of the right shape, and of a number."""

    def expect(x, y, key, accumulate=False):
        out = x.copy()
        if accumulate:
            np.add.at(out, key, y)
        else:
            out[key] = y
        return out

    return [
        case(X, real(*np.shape(X[key]), seed=1), key, accumulate, expect=expect),
        case(X, real(), key, accumulate, expect=expect),
    ]


SAMPLES = {
    "basic_index": [case(X, key if isinstance(key, tuple) else (key,), expect=lambda x, k: x[k]) for key in BASIC],
    "basic_index_backward": [
        case(np.array(X[key]), (3, 4), key, expect=lambda g, shape, k: written(np.zeros(shape), k, g)) for key in BASIC
    ],
    "index": [case(X, key, expect=lambda x, k: x[k]) for key in ADVANCED]
    + [case(real(2, 3, 4), (ROWS[:2] // 2, slice(None), DISTINCT), expect=lambda x, k: x[k])]
    + [case(real(4), (np.zeros((0,), int),), expect=lambda x, k: x[k])],
    "take_index_backward": [
        case(np.array(X[key]), (3, 4), key, expect=lambda g, shape, k: added(shape, k, g)) for key in ADVANCED
    ]
    + [
        case(
            real(2, 3),
            (2, 3, 4),
            (np.array([0, 0]), slice(None), np.array([1, 1])),
            expect=lambda g, shape, k: added(shape, k, g),
        )
    ],
    "index_put": [
        *puts((DISTINCT,), False),
        *puts((MASK,), False),
        *puts((slice(None), DISTINCT), False),
        *puts((ROWS,), True),
        *puts((slice(None), ROWS), True),
        *puts((MASK,), True),
    ],
    "clear_index": [case(X, key, expect=lambda x, k: written(x, k, 0)) for key in ADVANCED],
}

# ---- gather and scatter --------------------------------------------------------------------------------------------


def scatter(x, dim, index, src):
    return written(x, along(index, dim), src if np.isscalar(src) else src[tuple(map(slice, index.shape))])


def scatter_add(x, dim, index, src):
    return x + added(x.shape, along(index, dim), src[tuple(map(slice, index.shape))])


def scatter_reduce(x, dim, index, src, reduce, include_self=True):
    """Element by element."""
    arrived = {}
    for place in np.ndindex(index.shape):
        target = tuple(index[place] if i == dim else p for i, p in enumerate(place))
        arrived.setdefault(target, [x[target]] if include_self else []).append(src[place])
    combine = {"sum": np.sum, "prod": np.prod, "mean": np.mean, "amax": np.max, "amin": np.min}[reduce]
    out = x.copy()
    for target, values in arrived.items():
        out[target] = combine(values)
    return out


ZEROS = np.array([[0.7, 0.0, -1.3, 0.9], [1.2, -0.4, 0.6, 0.0]])
SAMPLES |= {
    "gather": [
        case(X, LINES, 0, expect=lambda x, i, d: x[along(i, d)]),
        case(X, COLUMNS, -1, expect=lambda x, i, d: x[along(i, d)]),
        case(real(), np.array(0), 0, expect=lambda x, i, d: x),
        case(X, np.zeros((3, 0), int), 1, expect=lambda x, i, d: x[:, :0]),
    ],
    "gather_backward": [
        case(real(2, 4), LINES, (3, 4), 0, expect=lambda g, i, shape, d: added(shape, along(i, d), g)),
        case(real(3, 2), COLUMNS, (3, 4), 1, expect=lambda g, i, shape, d: added(shape, along(i, d), g)),
    ],
    "scatter": [
        case(X, 1, np.array([[0, 2], [1, 3]]), real(3, 3, seed=1), expect=scatter),
        case(X, 0, np.array([[2, 1]]), real(1, 2, seed=1), expect=scatter),
    ],
    "scatter_value": shaped(scatter, (X, 0, LINES, 1.5), (X, 1, COLUMNS, 0)),
    "scatter_combine": [
        case(
            X,
            0,
            LINES,
            real(2, 4, seed=1),
            reduce,
            expect=lambda x, d, i, y, r: scatter_reduce(x, d, i, y, r),
        )
        for reduce in ("sum", "prod")
    ],
    "scatter_add": [
        case(X, 0, LINES, real(2, 4, seed=1), expect=scatter_add),
        case(X, 1, COLUMNS, real(3, 3, seed=1), expect=scatter_add),
    ],
    "scatter_reduce": [
        case(X, 0, LINES, real(2, 4, seed=1), reduce, include_self=own, expect=scatter_reduce)
        for reduce in ("sum", "prod", "mean", "amax", "amin")
        for own in (True, False)
    ]
    + [case(X, 0, LINES, ZEROS, "prod", expect=scatter_reduce)],
    "index_select": [
        case(X, ROWS, 0, expect=np.take),
        case(X, DISTINCT, -1, expect=np.take),
        case(X, np.zeros(0, int), 1, expect=np.take),
    ],
    "index_select_backward": [
        case(real(3, 4), ROWS, (3, 4), 0, expect=lambda g, i, shape, d: added(shape, i, g)),
        case(real(3, 2), DISTINCT, (3, 4), 1, expect=lambda g, i, shape, d: added(shape, np.s_[:, i], g)),
    ],
    "index_add": [
        case(X, 0, ROWS, real(3, 4, seed=1), expect=lambda x, d, i, y: x + added(x.shape, i, y)),
        case(
            X,
            1,
            DISTINCT,
            real(3, 2, seed=1),
            alpha=0.5,
            expect=lambda x, d, i, y, alpha: x + added(x.shape, np.s_[:, i], y) / 2,
        ),
    ],
    "index_copy": [
        case(X, 0, DISTINCT, real(2, 4, seed=1), expect=lambda x, d, i, y: written(x, i, y)),
        case(X, 1, DISTINCT, real(3, 2, seed=1), expect=lambda x, d, i, y: written(x, np.s_[:, i], y)),
    ],
    "index_fill": [
        case(X, 0, ROWS, 2.5, expect=lambda x, d, i, y: written(x, i, y)),
        case(X, 1, DISTINCT, 0, expect=lambda x, d, i, y: written(x, np.s_[:, i], y)),
    ],
    "distinct": [case(ROWS, expect=np.unique)],
    "arrivals": [
        case(X, LINES, None, None, 0, expect=lambda x, i, *_: np.maximum(added(x.shape, along(i, 0), 1.0), 1)),
        case(
            X,
            LINES,
            flags(2, 4),
            flags(3, 4, seed=1),
            0,
            expect=lambda x, i, sent, own, d: np.maximum(own + added(x.shape, along(i, d), sent), 1),
        ),
    ],
    "index_fill_tensor": [case(X, 1, DISTINCT, real(seed=1), expect=lambda x, d, i, y: written(x, np.s_[:, i], y))],
}

# ---- masks and positions -------------------------------------------------------------------------------------------


def mask_scatter(x, mask, source):
    mask = np.broadcast_to(mask, np.broadcast_shapes(x.shape, mask.shape))
    out = np.array(np.broadcast_to(x, mask.shape))
    out[mask] = source.reshape(-1)[: mask.sum()]
    return out


SAMPLES |= {
    "masked_fill": [
        case(X, MASK, 2.5, expect=lambda x, m, v: np.where(m, v, x)),
        case(X, flags(4), 0, expect=lambda x, m, v: np.where(m, v, x)),
        case(real(), np.array(True), 1.0, expect=lambda x, m, v: np.where(m, v, x)),
    ],
    "masked_fill_tensor": [case(X, MASK, real(seed=1), expect=lambda x, m, v: np.where(m, v, x))],
    "masked_select": [
        case(X, MASK, expect=lambda x, m: x[m]),
        case(X, np.zeros((3, 4), bool), expect=lambda x, m: x[m]),
        case(X, np.array([True, False, False, True]), expect=lambda x, m: x[:, m].reshape(-1)),
    ],
    "masked_select_backward": [
        case(real(6), MASK, (3, 4), expect=lambda g, m, shape: written(np.zeros(shape), m, g)),
    ],
    "masked_scatter": [case(X, MASK, real(4, 2, seed=1), expect=mask_scatter)],
    "masked_scatter_backward": [
        case(X, MASK, (4, 2), expect=lambda g, m, shape: np.append(g[m], [0, 0]).reshape(shape)),
    ],
    "masked_scatter_forward": [
        case(real(4, 2), MASK, (3, 4), expect=lambda x, m, shape: mask_scatter(np.zeros(shape), m, x)),
    ],
    "take": [
        case(X, POSITIONS, expect=np.take),
        case(X, np.array(-2), expect=np.take),
    ],
    "take_backward": [
        case(real(2, 2), POSITIONS, (3, 4), expect=lambda g, i, shape: added(12, i, g).reshape(shape)),
    ],
    "put": [
        case(
            X, np.array([0, 11, 3]), real(3, seed=1), expect=lambda x, i, y: written(x.reshape(-1), i, y).reshape(3, 4)
        ),
        case(
            X,
            POSITIONS,
            real(2, 2, seed=1),
            True,
            expect=lambda x, i, y, _: (x.reshape(-1) + added(12, i, y)).reshape(3, 4),
        ),
    ],
    "clear_positions": [case(X, POSITIONS, expect=lambda x, i: written(x.reshape(-1), i, 0).reshape(3, 4))],
    "nonzero": [
        case(whole(3, 4, high=2), expect=np.argwhere),
        case(np.array(3.0), expect=lambda x: np.zeros((1, 0), int)),
    ],
}

# ---- embedding -----------------------------------------------------------------------------------------------------


def embedding(table, index, padding_idx=-1, scale_grad_by_freq=False):
    return table[index]


def embedding_back(g, index, count, padding_idx, scale_grad_by_freq):
    factors = np.where(index == padding_idx, 0.0, 1.0)
    if scale_grad_by_freq:
        factors = factors / np.bincount(index.reshape(-1))[index]
    return added((count, g.shape[-1]), index, g * factors[..., None])


WORDS = np.array([[0, 4, 4], [2, 0, 4]])
SAMPLES |= {
    "embedding": [case(real(5, 2), WORDS, expect=embedding), case(real(5, 2), np.array(3), expect=embedding)],
    "embedding_dense_backward": [
        case(real(2, 3, 2), WORDS, 5, padding, by_freq, expect=embedding_back)
        for padding in (-1, 4)
        for by_freq in (False, True)
    ],
    "_embedding_factors": [
        case(WORDS, 0, False, expect=lambda i, *_: np.float32([[[0], [1], [1]], [[1], [0], [1]]])),
        case(
            WORDS,
            -1,
            True,
            expect=lambda i, *_: np.array([[[1 / 2], [1 / 3], [1 / 3]], [[1], [1 / 2], [1 / 3]]]),
            tolerance=1e-7,
        ),
    ],
}
