"""Samples of reductions, scans, order statistics, and the linear maps that their derivatives are made of."""

from __future__ import annotations

import math

import numpy as np
from samples import Sample, case, flags, real, whole

X = real(2, 3, 4)
EMPTY, SCALAR = real(0, 3), real()
WITH_NAN = np.where(flags(2, 5), np.nan, real(2, 5))


def shaped(reference, *calls, **options) -> list[Sample]:
    """Calls `(array, *arguments)` of an operation with one operand."""
    return [case(*args, expect=reference, **options) for args in calls]


def over(dim, x):
    """An `axis` of NumPy; a 0-d array has none to name."""
    return None if dim is None or x.ndim == 0 or dim == () else dim


def reduction(function):
    return lambda x, dim=None, keepdim=False, **named: function(x, axis=over(dim, x), keepdims=keepdim, **named)


def reductions(function, *more) -> list[Sample]:
    """The usual ways to name dimensions, and 0-d and other inputs."""
    calls = [(X,), (X, 1), (X, -1, True), (X, (0, 2)), (X, None, True), (SCALAR,), (SCALAR, 0), (real(3), 0), *more]
    return shaped(reduction(function), *calls)


def spaced(*shape, seed=0):
    """`real` numbers without ties, for the extremes."""
    return real(*shape, seed=seed)


# ---- sums, products, logic -----------------------------------------------------------------------------------------

SAMPLES = {
    "sum": [*reductions(np.sum, (EMPTY,), (EMPTY, 0), (whole(2, 3), 1))],
    "mean": reductions(np.mean),
    "nansum": [*reductions(np.nansum), *shaped(reduction(np.nansum), (WITH_NAN, 1), order=0)],
    "_prod": shaped(
        lambda x: np.prod(x), (X[0],), (SCALAR,), (np.array([1.5, 0.0, 0.7]),), (np.array([0.0, 0.0, 2.0]),), (EMPTY,)
    ),
    "_prod_along": shaped(
        lambda x, d, k=False: np.prod(x, over(d, x), keepdims=k),
        (X, 1),
        (X, -1, True),
        (SCALAR, 0),
        (np.array([[1.5, 0.0, 0.7], [0.0, 0.0, 2.0]]), 1),
    ),
    "any": reductions(np.any, (flags(2, 3), 1), (np.zeros((2, 3)), 0), (EMPTY, 0)),
    "all": reductions(np.all, (flags(2, 3), 1), (np.zeros((2, 3)), 0), (EMPTY, 0)),
    "count_nonzero": shaped(
        lambda x, dim=None: np.count_nonzero(x, over(dim, x)),
        (whole(3, 4, high=3),),
        (whole(3, 4, high=3), 0),
        (X, (0, 1)),
        (SCALAR,),
    ),
}

# ---- extremes ------------------------------------------------------------------------------------------------------


def argument(function):
    return lambda x, dim=None, keepdim=False: function(x, over(dim, x), keepdims=keepdim)


def along(values, positions):
    """Value and position along a dimension."""

    def expect(x, dim, keepdim=False):
        if x.ndim == 0:
            return x, 0
        return values(x, dim, keepdims=keepdim), positions(x, dim, keepdims=keepdim)

    return expect


def share(x, out, dim=None, keepdim=False):
    out = out if keepdim or dim is None else np.expand_dims(out, dim)
    equal = x == out
    return equal / equal.sum(over(dim, x), keepdims=True)


CHOICES = [(X, 1), (X, -1, True), (real(3), 0), (SCALAR, 0), (X, 0)]
TIED = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
SAMPLES |= {
    "amax": reductions(np.max),
    "amin": reductions(np.min),
    "_max": shaped(lambda x: np.max(x), (X,), (SCALAR,)),
    "_min": shaped(lambda x: np.min(x), (X,), (SCALAR,)),
    "max": shaped(along(np.max, np.argmax), *CHOICES, (TIED, 1), (TIED, 0)),
    "min": shaped(along(np.min, np.argmin), *CHOICES, (TIED, 1), (TIED, 0)),
    "argmax": shaped(argument(np.argmax), (X,), (X, 1), (X, -1, True), (SCALAR, 0), (TIED, 1)),
    "argmin": shaped(argument(np.argmin), (X,), (X, 1), (X, -1, True), (SCALAR, 0), (TIED, 1)),
    "aminmax": [
        case(X, expect=lambda x: (x.min(), x.max())),
        case(X, dim=1, keepdim=True, expect=lambda x, dim, keepdim: (x.min(1, keepdims=True), x.max(1, keepdims=True))),
        case(SCALAR, dim=0, expect=lambda x, dim: (x, x)),
    ],
    "ties": [
        case(TIED, TIED.max(1), 1, expect=share),
        case(TIED, TIED.max(1, keepdims=True), 1, True, expect=share),
        case(TIED, np.array(3.0), expect=share),
    ],
}
for _name in ("max", "min"):  # with ties there is no derivative
    SAMPLES[_name][-2:] = shaped(SAMPLES[_name][0].expect, (TIED, 1), (TIED, 0), order=0)

# ---- moments and norms ---------------------------------------------------------------------------------------------


def moment(function, dims=True):
    return lambda x, dim=None, correction=1, keepdim=False: function(
        x, axis=over(dim, x), ddof=correction, keepdims=keepdim
    )


def with_mean(function):
    def expect(x, dim=None, correction=1, keepdim=False):
        axis = over(dim, x)
        return function(x, axis=axis, ddof=correction, keepdims=keepdim), np.mean(x, axis, keepdims=keepdim)

    return expect


def vector_norm(x, ord=2, dim=None, keepdim=False):
    if ord == 0:
        return np.count_nonzero(x, over(dim, x), keepdims=keepdim).astype(float)
    size = np.abs(x)
    if math.isinf(ord):
        return (np.max if ord > 0 else np.min)(size, over(dim, x), keepdims=keepdim)
    return (size**ord).sum(over(dim, x), keepdims=keepdim) ** (1 / ord)


def logsumexp(x, dim, keepdim=False):
    return np.log(np.exp(x).sum(over(dim, x), keepdims=keepdim))


MOMENTS = [(X,), (X, 1), (X, (0, 2), 0, True), (X, -1, 2), (real(5), 0, 0)]
SAMPLES |= {
    "var": shaped(moment(np.var), *MOMENTS),
    "std": shaped(moment(np.std), *MOMENTS),
    "var_mean": shaped(with_mean(np.var), *MOMENTS),
    "std_mean": shaped(with_mean(np.std), *MOMENTS),
    "logsumexp": shaped(logsumexp, (X, 1), (X, (0, 2), True), (real(3), 0), (SCALAR, 0), (X * 200, -1), double=True),
    "linalg_vector_norm": shaped(
        vector_norm,
        (X,),
        (X, 2, 1),
        (X, 1, (0, 2), True),
        (X, 3.0, -1),
        (X, 1.5),
        (X, 0.5, 0),
        (X, math.inf, 1),
        (X, -math.inf, 1, True),
        (X, 0, 1),
        (SCALAR,),
        (X, -2.0, 0),
    ),
    "dist": [
        *(
            case(real(2, 3), real(2, 3, seed=1), p, expect=lambda x, y, p: vector_norm(x - y, p))
            for p in (2, 1, 3.0, math.inf)
        ),
        case(real(2, 1), real(3, seed=1), expect=lambda x, y: np.linalg.norm(x - y)),
    ],
}

# ---- scans ---------------------------------------------------------------------------------------------------------


def scanned(function):
    return lambda x, dim: function(np.atleast_1d(x), axis=dim).reshape(x.shape)


def from_end(function):
    return lambda x, dim: np.flip(function(np.flip(np.atleast_1d(x), dim), axis=dim), dim).reshape(x.shape)


def running(accumulate):
    def expect(x, dim):
        values = accumulate(np.atleast_1d(x), axis=dim)
        lines = np.arange(x.shape[dim] if x.ndim else 1)
        lines = lines.reshape([-1 if i == dim % max(x.ndim, 1) else 1 for i in range(max(x.ndim, 1))])
        places = np.maximum.accumulate(np.where(values == x, lines, 0), axis=dim)
        return values.reshape(x.shape), places.reshape(x.shape)

    return expect


LINES = [(X, 1), (X, -1), (real(4), 0), (SCALAR, 0), (EMPTY, 0)]
SAMPLES |= {
    "cumsum": shaped(scanned(np.cumsum), *LINES, (whole(4), 0)),
    "_cumsum_from_end": shaped(from_end(np.cumsum), *LINES),
    "cumprod": shaped(scanned(np.cumprod), *LINES, (np.array([1.5, 0.0, 0.7, 0.0, 2.0]), 0)),
    "cumprod_from_end": shaped(from_end(np.cumprod), *LINES, (np.array([1.5, 0.0, 0.7]), 0)),
    "logcumsumexp": shaped(scanned(np.logaddexp.accumulate), *LINES),
    "cummax": shaped(running(np.maximum.accumulate), *LINES),
    "cummin": shaped(running(np.minimum.accumulate), *LINES),
}

# ---- the maps of the derivatives -----------------------------------------------------------------------------------


def spread(x, shape, dim=None, keepdim=False):
    if not keepdim and dim is not None and shape:
        x = np.expand_dims(x, dim)
    return np.broadcast_to(x, shape)


def pick(x, index, dim, keepdim=False):
    if x.ndim == 0:
        return x
    found = np.take_along_axis(x, index if keepdim else np.expand_dims(index, dim), dim)
    return found if keepdim else found.squeeze(dim)


def place(x, index, shape, dim, keepdim=False, add=False):
    out = np.zeros(shape)
    if not keepdim:
        x, index = np.expand_dims(x, dim), np.expand_dims(index, dim)
    grid = list(np.indices(index.shape))
    grid[dim] = index
    np.add.at(out, tuple(grid), x)
    return out


def shift(x, dim, by, fill=0):
    out, n = np.full(x.shape, float(fill)), x.shape[dim]
    moved, source = np.moveaxis(out, dim, 0), np.moveaxis(x, dim, 0)
    for i in range(n):
        if 0 <= i - by < n:
            moved[i] = source[i - by]
    return out


def recurrence(a, b, dim, reverse=False):
    out = np.zeros(b.shape)
    steps, factors, terms = (np.moveaxis(v, dim, 0) for v in (out, a, b))
    last = 0.0
    for i in reversed(range(len(terms))) if reverse else range(len(terms)):
        last = steps[i] = terms[i] + factors[i] * last
    return out


PICKED = np.array([[2, 0, 0, 1], [1, 1, 2, 0]])  # of dimension 1 of X
SAMPLES |= {
    "spread": shaped(
        spread,
        (real(2, 4), (2, 3, 4), 1),
        (real(1, 3, 1), (2, 3, 4), (0, 2), True),
        (SCALAR, (2, 3)),
        (SCALAR, (), 0),
        (real(50, 1), (50, 90), 1, True),
    ),
    "pick": [
        case(X, PICKED, 1, expect=pick),
        case(X, PICKED[:, None], 1, True, expect=pick),
        case(SCALAR, np.array(0), 0, expect=pick),
    ],
    "place": [
        case(real(2, 4), PICKED, (2, 3, 4), 1, expect=place),
        case(real(2, 2, 4), np.stack([PICKED, PICKED], 1), (2, 3, 4), 1, True, True, expect=place),
    ],
    "shift": shaped(shift, (X, 1, 1), (X, -1, -2, 1), (X, 2, 9), (real(3), 0, 0)),
    "recurrence": [
        case(X, real(2, 3, 4, seed=1), 1, expect=recurrence),
        case(X, real(2, 3, 4, seed=1), 2, True, expect=recurrence),
        case(real(7), real(7, seed=1), 0, expect=recurrence),
    ],
}

# ---- order ---------------------------------------------------------------------------------------------------------


def sorted_(x, dim=-1, descending=False, stable=None):
    if x.ndim == 0:
        return x, 0
    places = np.argsort(-x if descending else x, dim, kind="stable")
    return np.take_along_axis(x, places, dim), places


def first_of(k):
    """The first `k` of a sort."""

    def expect(x, n, dim=-1, largest=True, sorted=True):
        if x.ndim == 0:
            return x, 0
        return tuple(a.take(range(n), dim) for a in sorted_(x, dim, largest))

    return expect


def ranked(rank):
    """The element at a place of the sorted line, which a function of its length tells."""

    def expect(x, *args):
        (dim, keepdim) = (*args, False)[:2]
        if x.ndim == 0:
            return x, 0
        values, places = sorted_(x, dim)
        found = (a.take([rank(x.shape[dim])], dim) for a in (values, places))
        return tuple(found) if keepdim else tuple(a.squeeze(dim) for a in found)

    return expect


def kth(x, k, dim=-1, keepdim=False):
    return ranked(lambda n: k - 1)(x, dim, keepdim)


def nanmedian(x, dim, keepdim=False):
    values = np.apply_along_axis(lambda v: np.sort(v[v == v])[(np.sum(v == v) - 1) // 2], dim, x)
    values = np.expand_dims(values, dim)
    places = np.argmax(x == values, dim, keepdims=True)
    return (values, places) if keepdim else (values.squeeze(dim), places.squeeze(dim))


def most_frequent(x, dim=-1, keepdim=False):
    def value(line):
        values, counts = np.unique(line, return_counts=True)
        return values[counts.argmax()]

    values = np.expand_dims(np.apply_along_axis(value, dim, x), dim)
    n = x.shape[dim]
    places = n - 1 - np.argmax(np.flip(x == values, dim), dim, keepdims=True)
    return (values, places) if keepdim else (values.squeeze(dim), places.squeeze(dim))


def quantile(x, q, interpolation, skip_nan):
    function = np.nanquantile if skip_nan else np.quantile
    return np.moveaxis(np.array([function(x, p, -1, method=interpolation) for p in q]), 0, -1)


MIDDLE = ranked(lambda n: (n - 1) // 2)
ORDERS = [(X,), (X, 1), (X, 0, True), (SCALAR,), (EMPTY,)]
DIMS = [(X, 1), (X, -1, True), (real(4), 0), (SCALAR, 0)]
REPEATED = whole(3, 5, high=3).astype(float)
QUANTILES = np.array([0.13, 0.62, 0.91])
FEW_NAN = np.where(np.eye(3, 5) > 0, np.nan, real(3, 5))
SAMPLES |= {
    "sort": shaped(sorted_, *ORDERS, (X, -1, False, True)),
    "argsort": shaped(lambda x, *args: sorted_(x, *args)[1], *ORDERS[:3], (SCALAR,)),
    "topk": shaped(first_of(2), (X, 2), (X, 1, 1), (X, 3, -1, False), (X, 0), (SCALAR, 1)),
    "kthvalue": shaped(kth, (X, 2), (X, 3, 1, True), (SCALAR, 1)),
    "median": shaped(MIDDLE, *DIMS),
    "nanmedian": [*shaped(MIDDLE, *DIMS), *shaped(nanmedian, (FEW_NAN, 1), (FEW_NAN, 1, True), order=0)],
    "mode": [
        *shaped(most_frequent, (REPEATED,), (REPEATED, 0, True), order=0),
        case(whole(9, high=3), expect=most_frequent),
    ],
    "_median": shaped(lambda x: np.sort(x.reshape(-1))[(x.size - 1) // 2], (X,), (real(5),), (SCALAR,)),
    "_nanmedian": shaped(lambda x: np.sort(x[x == x])[(np.sum(x == x) - 1) // 2], (X,), (SCALAR,)),
    "_quantile": [
        *(
            case(real(3, 5), QUANTILES, kind, False, expect=quantile, fixed=() if kind == "linear" else (1,))
            for kind in ("linear", "lower", "higher", "nearest", "midpoint")
        ),
        case(FEW_NAN, QUANTILES, "linear", True, expect=quantile, order=0),
    ],
}

# ---- sets, search, counts, closeness -------------------------------------------------------------------------------


def unique(x, dim, consecutive, inverse):
    if not consecutive:
        values, inverse, counts = np.unique(x, return_inverse=True, return_counts=True, axis=dim)
        return values, inverse.reshape(x.shape if dim is None else -1), counts
    starts = np.flatnonzero(np.append(True, x[1:] != x[:-1]))
    return x[starts], np.cumsum(np.append(True, x[1:] != x[:-1])) - 1, np.diff(np.append(starts, len(x)))


EDGES = np.array([0.0, 1.0, 1.0, 2.5])
ROWS = whole(4, 2, high=2)
SAMPLES |= {
    "_unique": [
        case(whole(3, 4), None, False, True, expect=unique),
        case(real(5), None, False, True, expect=unique),
        case(ROWS, 0, False, True, expect=unique),
        case(whole(9, high=2), None, True, True, expect=unique),
    ],
    "searchsorted": [
        case(
            EDGES,
            np.array([[1.0, -3.0], [9.0, 2.0]]),
            None,
            False,
            side,
            expect=lambda e, x, s, i, right: np.searchsorted(e, x, "right" if right else "left"),
        )
        for side in (False, True)
    ],
    "isin": [
        case(
            whole(3, 4, high=9),
            np.array([1, 4]),
            invert,
            expect=lambda x, among, invert: np.isin(x, among, invert=invert),
        )
        for invert in (False, True)
    ],
    "bincount": [
        case(whole(9), expect=np.bincount),
        case(whole(9), None, 8, expect=lambda x, w, n: np.bincount(x, minlength=n)),
        case(whole(9), real(9), expect=np.bincount),
    ],
    "histc": shaped(
        lambda x, bins, low=0, high=0: np.histogram(x, bins, None if low == high else (low, high))[0].astype(float),
        (X, 5),
        (X, 4, -1, 1),
    ),
    "isclose": [
        case(
            np.array([1.0, 2.0, math.nan, math.inf]), np.array([1.0 + 1e-7, 2.1, math.nan, math.inf]), expect=np.isclose
        ),
        case(np.array([1.0, 2.0, math.nan]), np.array([1.2, 2.1, math.nan]), 0.1, 0.0, True, expect=np.isclose),
    ],
}
