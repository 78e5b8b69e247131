"""Linear maps along one dimension, each output a weighted sum of a few inputs: resizing, padding, uneven averages.

A `Line` says how outputs are made from inputs. Its table lists for each output which inputs (`index`, taps by outputs;
-1 is none) and with which weights (None: one tap, of weight 1). The adjoint map has a table too, made by sorting the
entries of the first by input. Maps of several dimensions go one dimension at a time.

References: Keys 1981 (cubic convolution); areas and centres of pixels as in PyTorch's `interpolate`.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from .halves import HALVES
from .pool import cells

Array = np.ndarray
Table = tuple[Array, "Array | None"]


class Line(NamedTuple):
    """A map of `n` inputs to `m` outputs along one dimension."""

    kind: str  # a key of KINDS
    n: int
    m: int
    scale: float | None = None  # output per input, where it is not m / n
    corners: bool = False  # whether the first and last inputs are the first and last outputs, not their areas
    low: int = 0  # padding before the first input


# ---- tables ----------------------------------------------------------------------------------------------------------


def _ratio(line: Line, real: type) -> float:
    """Inputs per output."""
    if line.corners:
        return real((line.n - 1) / (line.m - 1)) if line.m > 1 else real(0)
    return real(1.0 / line.scale) if line.scale else real(line.n) / real(line.m)


def _centres(line: Line, real: type) -> Array:
    """Where each output lies among the inputs."""
    places = np.arange(line.m).astype(real)
    if line.corners:
        return _ratio(line, real) * places
    return _ratio(line, real) * (places + real(0.5)) - real(0.5)


def _nearest(line: Line, real: type, shift: float = 0.0) -> Table:
    ratio = _ratio(line, np.float32)
    index = np.floor((np.arange(line.m, dtype=np.float32) + np.float32(shift)) * ratio).astype(np.intp)
    return np.minimum(index, line.n - 1)[None], None


def _nearest_exact(line: Line, real: type) -> Table:
    return _nearest(line, real, 0.5)


def _linear(line: Line, real: type) -> Table:
    at = np.maximum(_centres(line, real), real(0))
    left = np.minimum(at.astype(np.intp), line.n - 1)
    right = np.minimum(left + 1, line.n - 1)
    t = at - left.astype(real)
    return np.stack([left, right]), np.stack([1 - t, t])


def _keys(d: Array, a: float) -> Array:
    """Keys' cubic at distance d."""
    d = abs(d)
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((d - 5) * d + 8) * d * a - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0 * d))


def _cubic(line: Line, real: type) -> Table:
    at = _centres(line, real)
    left = np.floor(at)
    t = at - left
    index = np.stack([left.astype(np.intp) + i for i in (-1, 0, 1, 2)])
    weight = np.stack([_keys(t - real(i), real(-0.75)) for i in (-1, 0, 1, 2)])
    return np.clip(index, 0, line.n - 1), weight


def _antialiased(line: Line, real: type, radius: int, filter) -> Table:
    """A filter as wide as an output: it covers all inputs that an output stands for."""
    ratio = _ratio(line, real)
    wide = max(ratio, real(1))
    support = radius * wide
    centre = ratio * (np.arange(line.m).astype(real) + real(0.5))
    begin = np.maximum((centre - support + real(0.5)).astype(np.intp), 0)
    end = np.minimum((centre + support + real(0.5)).astype(np.intp), line.n)
    index, inside = _ranges(begin, end)
    weight = np.where(inside, filter((index.astype(real) - centre + real(0.5)) / wide), real(0))
    total = weight.sum(0)
    return index, weight / np.where(total == 0, real(1), total)


def _linear_antialiased(line: Line, real: type) -> Table:
    return _antialiased(line, real, 1, lambda d: np.maximum(1 - abs(d), 0 * d))


def _cubic_antialiased(line: Line, real: type) -> Table:
    return _antialiased(line, real, 2, lambda d: _keys(d, real(-0.5)))


def _average(line: Line, real: type) -> Table:
    begin, end = cells(line.n, line.m)
    index, inside = _ranges(begin, end)
    return index, (inside / np.maximum(end - begin, 1)).astype(real)


def _ranges(begin: Array, end: Array) -> tuple[Array, Array]:
    """All numbers from begin to end, taps by outputs, -1 where there are no more; and where there are."""
    steps = np.arange(int((end - begin).max(initial=1)))[:, None]
    index = begin + steps
    return np.where(index < end, index, -1), index < end


def _padded(line: Line) -> Array:
    return np.arange(line.m) - line.low


def _reflect(line: Line, real: type) -> Table:
    period = max(2 * (line.n - 1), 1)
    at = _padded(line) % period
    return np.minimum(at, period - at)[None] if line.n > 1 else np.zeros((1, line.m), np.intp), None


def _replicate(line: Line, real: type) -> Table:
    return np.clip(_padded(line), 0, line.n - 1)[None], None


def _circular(line: Line, real: type) -> Table:
    high = line.m - line.n - line.low
    first, kept = max(-line.low, 0), line.n + min(line.low, 0) + min(high, 0)  # what is cut off is not repeated
    return (first + (np.arange(line.m) - max(line.low, 0)) % max(kept, 1))[None], None


KINDS = {
    "nearest": _nearest,
    "nearest-exact": _nearest_exact,
    "linear": _linear,
    "cubic": _cubic,
    "linear-antialiased": _linear_antialiased,
    "cubic-antialiased": _cubic_antialiased,
    "average": _average,
    "reflect": _reflect,
    "replicate": _replicate,
    "circular": _circular,
}


@functools.lru_cache(maxsize=256)
def table(line: Line, dtype: np.dtype) -> Table:
    """Inputs and weights of each output."""
    real = np.float64 if dtype.itemsize >= 8 and dtype.kind in "fc" else np.float32
    with np.errstate(all="ignore"):
        return KINDS[line.kind](line, real)


@functools.lru_cache(maxsize=256)
def adjoint_table(line: Line, dtype: np.dtype) -> tuple[Array, Array]:
    """Outputs and weights of each input."""
    index, weight = table(line, dtype)
    weight = np.ones(index.shape, np.float32) if weight is None else weight
    outputs = np.broadcast_to(np.arange(line.m), index.shape)
    used = index.T >= 0  # by output, then tap: sums run in the order of the outputs
    inputs, outputs, weights = index.T[used], outputs.T[used], weight.T[used]
    order = np.argsort(inputs, kind="stable")
    inputs, outputs, weights = inputs[order], outputs[order], weights[order]
    counts = np.bincount(inputs, minlength=line.n)
    starts = np.cumsum(counts) - counts
    taps = int(counts.max(initial=1))
    found = np.full((taps, line.n), -1)
    shares = np.zeros((taps, line.n), weights.dtype)
    place = np.arange(len(inputs)) - starts[inputs]
    found[place, inputs], shares[place, inputs] = outputs, weights
    return found, shares


# ---- maps ------------------------------------------------------------------------------------------------------------


def apply(x: Array, lines: tuple[Line, ...], adjoint: bool = False) -> Array:
    """Map the last dimensions of x, each by its line; or back, if `adjoint`."""
    if x.dtype in HALVES and any(line.kind not in ("nearest", "reflect", "replicate", "circular") for line in lines):
        return apply(x.astype(np.float32), lines, adjoint).astype(x.dtype)
    start = x
    for axis, line in zip(range(-1, -len(lines) - 1, -1), reversed(lines)):
        if adjoint:
            x = _mixed(x, axis, *adjoint_table(line, x.dtype))
        else:
            x = _mixed(x, axis, *table(line, x.dtype))
    return x.copy() if x is start else x


def _mixed(x: Array, axis: int, index: Array, weight: Array | None) -> Array:
    """The weighted sum of `x[..., index[t], ...]` over the taps t; an index of -1 is no tap."""
    if weight is None:
        return x.take(index[0], axis)
    trailing = (1,) * (-axis - 1)
    weight = weight.astype(x.dtype, copy=False)
    if len(index) == 1 and (weight == (index >= 0)).all():
        return _picked(x, axis, index[0])
    if len(index) > 2 * index.shape[1]:
        return _summed(x, axis, index, weight)
    out = None
    for places, share in zip(index, weight):
        there = places >= 0
        if there.all():
            part = x.take(places, axis)
            part *= share.reshape(-1, *trailing)
            out = part if out is None else np.add(out, part, out=out)
            continue
        if out is None:
            out = np.zeros((*x.shape[:axis], len(places), *x.shape[x.ndim + axis + 1 :]), x.dtype)
        part = x.take(places[there], axis)
        part *= share[there].reshape(-1, *trailing)
        out[(..., there, *(slice(None),) * len(trailing))] += part
    assert out is not None  # there is at least one tap
    return out


def _picked(x: Array, axis: int, places: Array) -> Array:
    """`x[..., places, ...]`, zeros where a place is -1: each element of x at one place of the result, or none."""
    there = np.flatnonzero(places >= 0)
    out = np.zeros((*x.shape[:axis], len(places), *x.shape[x.ndim + axis + 1 :]), x.dtype)
    steps = np.unique(np.diff(there))
    every = slice(there[0], there[-1] + 1, int(steps[0])) if len(there) > 1 and len(steps) == 1 else there
    taken = x if len(there) == x.shape[axis] else x.take(places[there], axis)
    out[(..., every, *(slice(None),) * (-axis - 1))] = taken
    return out


def _summed(x: Array, axis: int, index: Array, weight: Array) -> Array:
    """The weighted sums of many inputs for few outputs, one output at a time."""
    out = np.zeros((*x.shape[:axis], index.shape[1], *x.shape[x.ndim + axis + 1 :]), x.dtype)
    each, sums = np.moveaxis(x, axis, -1), np.moveaxis(out, axis, -1)
    for k, (places, share) in enumerate(zip(index.T, weight.T)):
        places, share = places[places >= 0], share[places >= 0]
        if not len(places):
            continue
        part = each[..., places[0] : places[-1] + 1] if (np.diff(places) == 1).all() else each.take(places, -1)
        if (share == share[0]).all():
            sums[..., k] = part.sum(-1) * share[0]
        else:
            sums[..., k] = part @ share
    return out
