"""Counting and comparing on NumPy arrays: histograms and closeness."""

from __future__ import annotations

import numpy as np

from .halves import wide
from .reduce import FLOAT32, FLOAT64


def bincount(x: np.ndarray, weights: np.ndarray | None, minlength: int) -> np.ndarray:
    """How often each integer occurs, or the sums of weights."""
    if weights is None:
        return np.bincount(x, minlength=minlength).astype(np.int64) if x.size else np.zeros(minlength, np.int64)
    dtype = FLOAT32 if weights.dtype == FLOAT32 else FLOAT64
    if not x.size:
        return np.zeros(minlength, dtype)
    return np.bincount(x, weights.astype(FLOAT64), minlength).astype(dtype)


def histc(x: np.ndarray, bins: int, low: float, high: float) -> np.ndarray:
    """Counts in equal bins, of the elements that lie in the range."""
    dtype, x = x.dtype, wide(x).reshape(-1)
    x = x[(x >= low) & (x <= high)]
    place = ((x - x.dtype.type(low)) / x.dtype.type(high - low) * bins).astype(np.int64)
    return np.bincount(np.minimum(place, bins - 1), minlength=bins).astype(dtype)


def linspace(low: float, high: float, n: int, dtype: np.dtype) -> np.ndarray:
    """`n` numbers from `low` to `high`, each counted from the nearer end."""
    kind = dtype.type
    step = (kind(high) - kind(low)) / kind(n - 1)
    i = np.arange(n)
    return np.where(i < n // 2, kind(low) + step * i.astype(dtype), kind(high) - step * (n - 1 - i).astype(dtype))


def histogram(points: np.ndarray, edges: list[np.ndarray], weight: np.ndarray | None, density: bool) -> np.ndarray:
    """Counts of points (N, D) in the grid of bins that the edges along each coordinate make."""
    inside = np.ones(len(points), bool)
    places = []
    for column, edge in zip(points.T, edges):
        last = len(edge) - 2
        inside &= (column >= edge[0]) & (column <= edge[-1])
        places.append(np.clip(np.searchsorted(edge, column, "right") - 1, 0, last))  # the last bin holds its right edge
    shape = tuple(len(edge) - 1 for edge in edges)
    flat = np.zeros(int(inside.sum()), np.int64)
    for place, n in zip(places, shape):
        flat = flat * n + place[inside]
    size = int(np.prod(shape))
    counts = (
        np.bincount(flat, None if weight is None else weight[inside].astype(FLOAT64), size)
        .astype(FLOAT64)
        .reshape(shape)
    )
    if density:
        counts /= counts.sum()
        for axis, edge in enumerate(edges):
            counts /= np.diff(edge).reshape([-1 if i == axis else 1 for i in range(len(shape))])
    return counts.astype(points.dtype)


def isclose(x: np.ndarray, y: np.ndarray, rtol: float, atol: float, equal_nan: bool) -> np.ndarray:
    """Whether `|x - y| <= atol + rtol |y|`; infinities are close to themselves."""
    close = x == y
    if equal_nan:
        close = close | ((x != x) & (y != y))
    if x.dtype.kind in "biu":
        x, y = x.astype(FLOAT64), y.astype(FLOAT64)
    away = np.absolute(wide(x) - wide(y))
    return close | (np.isfinite(away) & (away <= atol + np.absolute(rtol * wide(y))))
