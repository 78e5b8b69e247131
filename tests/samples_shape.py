"""Samples of operations that move elements, show windows, join, take apart, convert, copy and fill."""

from __future__ import annotations

import numpy as np
from samples import Sample, case, real, whole

import tapegrad as torch
from tapegrad.ops.shape import windows

X = real(2, 3, 4)
EMPTY, SCALAR = real(0, 3), real()


def shaped(reference, *calls) -> list[Sample]:
    """Calls `(array, *arguments)` of an operation with one operand."""
    return [case(*args, expect=reference) for args in calls]


def first(reference):
    """A reference that looks at the operand alone."""
    return lambda x, *args, **named: reference(x)


def squeeze(x, dim=None):
    if dim is None:
        return np.squeeze(x)
    dims = (dim,) if isinstance(dim, int) else dim
    return np.squeeze(x, tuple(d for d in dims if x.shape[d] == 1))


def expand(x, size):
    lead = len(size) - x.ndim
    return np.broadcast_to(x, [x.shape[i - lead] if n == -1 else n for i, n in enumerate(size)])


def diagonal_at(g, shape, offset=0, dim1=0, dim2=1):
    out = np.zeros(shape)
    moved = np.moveaxis(out, (dim1, dim2), (-2, -1))
    for k in range(g.shape[-1]):
        moved[..., k + max(-offset, 0), k + max(offset, 0)] = g[..., k]
    return out


def unfold(x, dimension, size, step):
    if x.ndim == 0:
        return np.full(size, x)
    dimension %= x.ndim
    starts = range(0, x.shape[dimension] - size + 1, step)
    parts = [np.moveaxis(x.take(range(s, s + size), dimension), dimension, -1) for s in starts]
    return np.stack(parts, dimension)


def unfold_back(g, shape, dim, size, step):
    out = np.zeros(shape)
    moved, windows_ = np.moveaxis(out, dim, -1), np.moveaxis(g, dim, -2)
    for k in range(windows_.shape[-2]):
        moved[..., k * step : k * step + size] += windows_[..., k, :]
    return out


def window(shape, key, g):
    out = np.zeros(shape)
    out[key] = g
    return out


def written(x, key, y):
    out = x.copy()
    out[key] = y
    return out


# ---- views ---------------------------------------------------------------------------------------------------------

SAMPLES = {
    "view": [
        case(X, (4, 6), expect=np.reshape, layouts=False),
        case(X, (-1,), expect=np.reshape, layouts=False),
        case(EMPTY, (3, 0, 2), expect=np.reshape),
        case(SCALAR, (1, 1), expect=np.reshape),
    ],
    "_reshape_alias": [case(X, (4, 6), expect=np.reshape, layouts=False)],
    "_unsafe_view": shaped(np.reshape, (X, (6, -1)), (EMPTY, (0,)), (SCALAR, (1,))),
    "view_dtype": [case(X, torch.int64, expect=lambda x, d: x.view(np.int64), layouts=False, double=True)],
    "alias": shaped(np.array, (X,), (SCALAR,)),
    "permute": shaped(np.transpose, (X, (2, 0, 1)), (X, (-1, 1, 0)), (SCALAR, ())),
    "transpose": [
        *shaped(np.swapaxes, (X, 0, 2), (X, -1, -2), (EMPTY, 0, 1)),
        case(SCALAR, 0, -1, expect=first(np.array)),
    ],
    "t": shaped(np.transpose, (X[0],), (X[0, 0],), (SCALAR,)),
    "squeeze": shaped(squeeze, (real(2, 1, 3, 1),), (real(2, 1, 3, 1), 1), (real(2, 1, 3, 1), (0, 3)), (real(1, 0),)),
    "unsqueeze": shaped(np.expand_dims, (X, 1), (X, -1), (SCALAR, 0), (EMPTY, 2)),
    "expand": shaped(expand, (real(3, 1), (2, 3, 4)), (real(3, 1), (-1, 2)), (SCALAR, (2, 2)), (real(1, 3), (0, 3))),
    "clone": shaped(np.array, (X,), (SCALAR,), (EMPTY,)),
    "select": shaped(lambda x, d, i: x.take(i, d), (X, 1, 2), (X, -1, -1), (real(3), 0, 1), (real(0, 3), 1, 2)),
    "slice": shaped(
        lambda x, d, a=None, b=None, s=1: np.moveaxis(np.moveaxis(x, d, 0)[a:b:s], 0, d),
        (X, 2, 1, 4, 2),
        (X, 1, -2, None),
        (X, 0),
        (X, 1, 2, 1),
    ),
    "narrow_copy": shaped(lambda x, d, a, n: x.take(range(a, a + n), d), (X, 1, 1, 2), (X, 2, 3, 0)),
    "diagonal": shaped(np.diagonal, (X,), (X, 1, 1, 2), (X, -1, 2, 1), (X, 5, 0, 1), (real(3, 3),), (real(0, 2),)),
    "unfold": shaped(unfold, (X, 2, 3, 1), (X, 1, 2, 2), (X, 0, 2, 1), (real(7), -1, 3, 2), (SCALAR, 0, 1, 1)),
}

# ---- their derivatives ---------------------------------------------------------------------------------------------

SAMPLES |= {
    "select_backward": shaped(
        lambda g, shape, d, i: window(shape, (*(slice(None),) * (d % len(shape)), i), g),
        (real(2, 4), (2, 3, 4), 1, 2),
        (real(2, 3), (2, 3, 4), -1, -1),
        (SCALAR, (3,), 0, 1),
    ),
    "slice_backward": shaped(
        lambda g, shape, d, a, b, s: window(shape, (*(slice(None),) * d, slice(a, b, s)), g),
        (real(2, 3, 2), (2, 3, 4), 2, 0, None, 2),
        (real(2, 0, 4), (2, 3, 4), 1, 2, 2, 1),
    ),
    "diagonal_backward": shaped(
        diagonal_at, (real(4, 2), (2, 3, 4), 0, 0, 1), (real(2, 2), (2, 3, 4), 2, 1, 2), (real(2), (3, 2), -1, 0, 1)
    ),
    "unfold_backward": shaped(
        unfold_back, (real(2, 3, 2, 3), (2, 3, 4), 2, 3, 1), (real(3, 3), (7,), 0, 3, 2), (real(3, 2), (7,), 0, 2, 2)
    ),
}

# ---- any strides ---------------------------------------------------------------------------------------------------

OVERLAPPING = ((3, 2), (1, 1), 1)  # size, stride, offset in a vector of 6


def strided(x, size, stride, offset, source):
    places = offset + sum(
        np.arange(n).reshape([-1 if i == k else 1 for k in range(len(size))]) * s
        for i, (n, s) in enumerate(zip(size, stride))
    )
    return x.reshape(-1)[places]


def strided_back(g, size, stride, offset, source):
    out = np.zeros(6)
    places = strided(np.arange(6), size, stride, offset, source)
    np.add.at(out, places, g)
    return out


SAMPLES |= {
    "as_strided": [
        case(real(6), *OVERLAPPING, ((6,), (1,), 0), expect=strided, layouts=False),
        case(real(6), (2, 2), (3, 1), 0, ((6,), (1,), 0), expect=strided, layouts=False),
        case(real(6), (), (), 4, ((6,), (1,), 0), expect=strided, layouts=False),
    ],
    "as_strided_backward": [case(real(3, 2), *OVERLAPPING, ((6,), (1,), 0), expect=strided_back)],
    "as_strided_forward": [case(real(6), *OVERLAPPING, ((6,), (1,), 0), expect=strided)],
}

# ---- joining and taking apart --------------------------------------------------------------------------------------


def cut(x, sizes, dim=0):
    return tuple(np.split(x, np.cumsum(sizes)[:-1], dim))


def pieces(x, size, dim=0):
    return tuple(np.split(x, range(size, x.shape[dim], size), dim))


def block_diag(xs):
    xs = [np.atleast_2d(x) for x in xs]
    out, i, j = np.zeros(np.sum([x.shape for x in xs], 0)), 0, 0
    for x in xs:
        out[i : i + x.shape[0], j : j + x.shape[1]] = x
        i, j = i + x.shape[0], j + x.shape[1]
    return out


SAMPLES |= {
    "cat": [
        case([real(2, 3), real(2, 3, seed=1)], expect=np.concatenate),
        case([real(2, 1), real(2, 3, seed=1), real(2, 0)], 1, expect=np.concatenate),
        case([real(2, 1), real(2, 3, seed=1)], -1, expect=np.concatenate),
        case([real(0), real(2, 3)], expect=lambda xs: xs[1]),
    ],
    "stack": [
        case([real(2, 3), real(2, 3, seed=1)], expect=np.stack),
        case([real(2, 3), real(2, 3, seed=1)], 2, expect=np.stack),
        case([real(2, 3)], -2, expect=np.stack),
        case([real(), real(seed=1)], expect=np.stack),
    ],
    "unbind": shaped(lambda x, d=0: tuple(np.moveaxis(x, d, 0)), (X,), (X, 1), (X, -1)),
    "split": shaped(pieces, (X, 1), (X, 2, 1), (X, 3, 2), (X, 9, 0)),
    "split_with_sizes": shaped(cut, (X, (1, 1)), (X, (1, 0, 2), 1)),
    "unsafe_split": shaped(pieces, (X, 2, 1)),
    "unsafe_split_with_sizes": shaped(cut, (X, (1, 3), 2)),
    "block_diag": [case([real(2, 3), real(2, seed=1), real()], expect=block_diag)],
}

# ---- copies with the elements elsewhere ----------------------------------------------------------------------------

SAMPLES |= {
    "repeat": shaped(
        np.tile, (real(2, 3), (2, 1, 3)), (real(2, 3), (1, 2)), (SCALAR, (2,)), (SCALAR, ()), (X, (1, 0, 1))
    ),
    "flip": shaped(np.flip, (X, (0, 2)), (X, (-1,)), (real(0, 2), (0,))),
    "roll": [
        case(X, (2,), (), expect=lambda x, n, _: np.roll(x, n[0])),
        *shaped(np.roll, (X, (1, -3), (0, 2)), (X, (5,), (1,))),
    ],
    "rot90": shaped(np.rot90, (X,), (X, -1, (0, 2)), (X, 2, (2, 1))),
    "tril": shaped(np.tril, (X,), (X, 1), (real(3, 2), -1), (real(0, 2),)),
    "triu": shaped(np.triu, (X,), (X, 1), (real(3, 2), -1), (real(0, 2),)),
    "diag_embed": [
        case(real(2, 3), expect=lambda x: diagonal_at(x, (2, 3, 3), 0, 1, 2)),
        case(real(2, 3), 1, 0, 2, expect=lambda x, *_: diagonal_at(x, (4, 2, 4), 1, 0, 2)),
    ],
    "diagonal_copy": shaped(np.diagonal, (X,), (X, 1, 1, 2)),
    "select_scatter": [case(X, real(2, 4, seed=1), (1, 2), expect=lambda x, y, _: written(x, np.s_[:, 2], y))],
    "slice_scatter": [
        case(X, real(2, 3, 2, seed=1), (2, 0, 4, 2), expect=lambda x, y, _: written(x, np.s_[:, :, 0:4:2], y))
    ],
    "diagonal_scatter": [
        case(real(3, 3), real(3, seed=1), (0, 0, 1), expect=lambda x, y, _: written(x, np.eye(3, dtype=bool), y))
    ],
    "clear_window": [case(X, windows.select, (0, 1), expect=lambda x, *_: written(x, 1, 0))],
}

# ---- conversion and writing --------------------------------------------------------------------------

SAMPLES |= {
    "_to_copy": [
        case(X, torch.float64, expect=first(np.array), double=True),
        case(whole(2, 3), torch.float64, expect=first(np.float64)),
        case(X, torch.int32, expect=lambda x, _: x.astype(np.int32), order=0),
    ],
    "fill": shaped(np.full_like, (X, 2.5), (SCALAR, 1)),
    "fill_": shaped(np.full_like, (X, 2.5)),
    "fill_from": shaped(np.full_like, (X, real(seed=1))),
    "fill_from_": shaped(np.full_like, (X, real(seed=1))),
    "zero": shaped(np.zeros_like, (X,), (SCALAR,), (EMPTY,)),
    "copy": shaped(
        lambda x, y: np.broadcast_to(y, x.shape), (X, real(2, 3, 4, seed=1)), (X, real(3, 1, seed=1)), (X, real())
    ),
}
for _name, _same in (  # as steps to a tensor that changed its shape in place
    ("squeeze_", "squeeze"),
    ("unsqueeze_", "unsqueeze"),
    ("t_", "t"),
    ("transpose_", "transpose"),
    ("swapaxes_", "transpose"),
    ("swapdims_", "transpose"),
    ("_as_strided_", "as_strided"),
):
    SAMPLES[_name] = SAMPLES[_same]
