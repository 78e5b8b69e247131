"""Pooling by generated kernels: which arrays they take, and the tables of windows that they run through.

A function gives None where there is no kernel for its arguments; the caller (`pool`) then computes with NumPy.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from ... import codegen
from .convplan import REALS, address, plan_of

Array = np.ndarray
Sizes = tuple[int, ...]
LEAST = 1 << 12  # elements below which NumPy serves
TURN = 1 << 15  # elements that are worth a turn of a thread: about 30 us
INDEX = {np.dtype(np.int32): "i32", np.dtype(np.int64): "i64"}


def _real(x: Array) -> str | None:
    """ "float" or "double" if there are kernels for it."""
    real = REALS.get(x.dtype.char)
    return real if real is not None and x.size >= LEAST and codegen.jit.available() else None


@functools.lru_cache(maxsize=512)
def _plan(planes: int, sizes: Sizes, frame: tuple[Sizes, ...]) -> tuple[Array, list[Array], int]:
    """The plan of windows in planes of `sizes`, its tables, and the kind of the step between columns.

    The kind is -1 where a window lies between the elements: its place would be outside of the plane.
    """
    kernel, stride, low, dilation, size = ((1, *n) if len(n) == 1 else n for n in frame)
    if len(sizes) == 1:
        sizes, low = (1, *sizes), (0, low[1])
    begins, ends = [], []
    for n, k, s, a, d, m in zip(sizes, kernel, stride, low, dilation, size):
        start = np.arange(m) * s - a
        begins.append(np.maximum(0, -(start // d)))
        ends.append(np.minimum(k, -((start - n) // d)))
    inside = np.flatnonzero((begins[1] == 0) & (ends[1] == kernel[1]))
    first, last = (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (size[1], size[1])
    tables = [np.concatenate(t).astype(np.int64) for t in (begins, ends)]
    plan, _ = plan_of(
        codegen.windows.NAMES,
        planes=planes, turn=max(1, TURN // (sizes[0] * sizes[1])), height=sizes[0], width=sizes[1], rows=size[0],
        columns=size[1], kernel_h=kernel[0], kernel_w=kernel[1], stride_h=stride[0], stride_w=stride[1], low_h=low[0],
        low_w=low[1], dilation_h=dilation[0], dilation_w=dilation[1], first=first, last=last,
        begins=address(tables[0]), ends=address(tables[1]),
    )  # fmt: skip
    if any((b >= e).any() for b, e in zip(begins, ends)):
        return plan, tables, -1
    return plan, tables, stride[1] if stride[1] <= 2 else 0


def maximum_with_places(x: Array, frame: tuple[Sizes, ...], index: np.dtype) -> tuple[Array, Array] | None:
    """`pool.maximum_with_places` with places of the dtype `index`."""
    rank, real = len(frame[0]), _real(x)
    if real is None or rank > 2 or math.prod(x.shape[-rank:]) >= 1 << 31:  # places are counted in 32 bits
        return None
    lead, sizes = x.shape[:-rank], x.shape[-rank:]
    plan, _, kind = _plan(math.prod(lead), sizes, frame)
    kernel = None if kind < 0 else codegen.windows.largest(real, codegen.jit.lanes(real), kind, INDEX[index])
    if kernel is None:
        return None
    x = np.ascontiguousarray(x)
    out, places = np.empty((*lead, *frame[-1]), x.dtype), np.empty((*lead, *frame[-1]), index)
    kernel(address(x), address(out), address(places), address(plan))
    return out, places


def scatter(g: Array, places: Array, sizes: Sizes) -> Array | None:
    """`pool.scatter`."""
    real, index = _real(g), INDEX.get(places.dtype)
    kernel = None if real is None or index is None else codegen.windows.scatter(real, codegen.jit.lanes(real), index)
    if kernel is None:
        return None
    g, places, lead = np.ascontiguousarray(g), np.ascontiguousarray(places), g.shape[: -len(sizes)]
    out = np.empty((*lead, *sizes), g.dtype)
    planes, area, count = math.prod(lead), math.prod(sizes), math.prod(g.shape[-len(sizes) :])
    turn = max(1, TURN // max(area, 1))
    kernel(address(g), address(places), address(out), planes, area, count, turn)
    return out


def average(x: Array, frame: tuple[Sizes, ...], divisor: Array | float) -> Array | None:
    """The sums of windows divided by `divisor`, a number or an array that broadcasts to the windows of a plane."""
    rank, real = len(frame[0]), _real(x)
    if real is None or rank > 2 or math.prod(frame[0]) > 64:
        return None
    lead, sizes = x.shape[:-rank], x.shape[-rank:]
    plan, _, kind = _plan(math.prod(lead), sizes, frame)
    kernel = None if kind < 0 else codegen.windows.average(real, codegen.jit.lanes(real), kind)
    if kernel is None:
        return None
    x, out, divisors = np.ascontiguousarray(x), np.empty((*lead, *frame[-1]), x.dtype), np.empty(frame[-1], x.dtype)
    divisors[...] = divisor
    kernel(address(x), address(out), address(divisors), address(plan))
    return out
