"""Pooling: the largest element of each window and its place, and its gradient; averages of windows.

A turn is some planes, (height, width) arrays of one channel. Windows whose taps all lie inside are taken `lanes` at a
time (half as many in short rows), a vector for each tap: with a step of 1 neighbours, with a step of 2 every second
element of two vectors, else one by one. Windows at the border are computed one by one, from the taps that lie inside.

A gradient is added to the place that its window names, in the order of the windows; a plane belongs to one turn, so
there is nothing to wait for and the sums do not depend on threads. Gradients of averages are faster with NumPy.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable

from . import jit
from .conv import ADDRESS, Plan, number
from .routine import Routine, least, part_of
from .vectors import Value, select

NAMES = (
    "planes turn height width rows columns kernel_h kernel_w stride_h stride_w low_h low_w dilation_h dilation_w "
    "first last begins ends"
).split()


def _load(r: Routine, p: Value, step: Value, kind: int, real: str) -> Value:
    """`lanes` elements that are 1 (kind 1), 2 (kind 2) or `step` apart; none after the last one is touched."""
    n = r.lanes
    if not n or kind == 1:
        return r.load(p, real)
    if kind == 2:
        return r.pick(r.load(p, real), r.load(r.at(p, n - 1, real), real), [*range(0, n, 2), *range(n + 1, 2 * n, 2)])
    found = r.lift(0.0, real)
    for i in range(n):
        found = r.put(found, i, r.load(r.at(p, step * i, real), real, 0))
    return found


def _taps(r: Routine, n: Plan, i: Value, j: Value, border: bool):  # type: ignore[no-untyped-def]
    """Ranges of the taps of window (i, j) that lie inside, in both dimensions."""
    tables = (number(r, n.pointer("begins"), i), number(r, n.pointer("ends"), i))
    if not border:
        return *tables, r.lift_one(0), n.kernel_w
    place = n.rows + j
    return *tables, number(r, n.pointer("begins"), place), number(r, n.pointer("ends"), place)


def _largest(real: str, lanes: int, kind: int, index: str) -> Routine:
    """The largest elements of `lanes` windows (0: of one at the border) from (i, j) on, and where they are."""
    names = {"x": "ptr", "out": "ptr", "places": "ptr", "plan": "ptr", "i": "i64", "j": "i64"}
    r = Routine(f"largest{lanes}", names, lanes)
    x, out, places, plan, i, j = r.arguments
    n = Plan(r, plan, NAMES)
    width, dh, dw, sw = n.width, n.dilation_h, n.dilation_w, n.stride_w
    h0, h1, w0, w1 = _taps(r, n, i, j, not lanes)
    corner = (i * n.stride_h - n.low_h) * width + j * sw - n.low_w
    ramp = r.count(lanes, "i32") * r.splat(r.one.convert("trunc", sw, "i32")) if lanes else r.lift(0, "i32")
    best = r.variable(r.lift(float("-inf"), real))
    where = r.variable(r.splat(r.one.convert("trunc", corner + h0 * dh * width + w0 * dw, "i32")) + ramp)
    with r.loop(h0, h1) as a, r.loop(w0, w1) as b:
        place = corner + a * dh * width + b * dw
        value = _load(r, r.at(x, place, real), sw, kind, real)
        better = (value > best.value) | (value != value)
        where.value = select(better, r.splat(r.one.convert("trunc", place, "i32")) + ramp, where.value)
        best.value = select(better, value, best.value)
    at = i * n.columns + j
    r.store(best.value, r.at(out, at, real))
    r.store(where.value.to(index), r.at(places, at, index))
    return r


def _sum(real: str, lanes: int, kind: int) -> Routine:
    """The sums of `lanes` windows (0: of one at the border) from (i, j) on, tap after tap, each times its factor."""
    names = {"x": "ptr", "out": "ptr", "factors": "ptr", "plan": "ptr", "i": "i64", "j": "i64"}
    r = Routine(f"sum{lanes}", names, lanes)
    x, out, divisors, plan, i, j = r.arguments
    n = Plan(r, plan, NAMES)
    width, dh, dw, sw = n.width, n.dilation_h, n.dilation_w, n.stride_w
    h0, h1, w0, w1 = _taps(r, n, i, j, not lanes)
    corner = (i * n.stride_h - n.low_h) * width + j * sw - n.low_w
    total = r.variable(r.lift(0.0, real))
    with r.loop(h0, h1) as a, r.loop(w0, w1) as b:
        place = corner + a * dh * width + b * dw
        total.value = total.value + _load(r, r.at(x, place, real), sw, kind, real)
    at = i * n.columns + j
    r.store(total.value / r.load(r.at(divisors, at, real), real), r.at(out, at, real))
    return r


def _planes(
    name: str, arrays: dict[str, str], shared: set[str], vector: Routine, half: Routine, single: Routine
) -> list[Routine]:
    """The kernel that runs through planes, rows and windows. `arrays`: the type of each; the first is the input."""
    part = part_of(f"{name}.planes", {**dict.fromkeys(arrays, "ptr"), "plan": "ptr"}, 0)
    *pointers, plan, k = part.arguments
    r, n, lanes = part, Plan(part, plan, NAMES), vector.lanes
    rows, columns, first, last, area = n.rows, n.columns, n.first, n.last, n.height * n.width
    stop = select(last - first >= half.lanes, last, first)  # the others are taken one by one
    with r.loop(k * n.turn, least((k + 1) * n.turn, n.planes)) as plane:
        here: list[Value] = []
        for (label, type), p in zip(arrays.items(), pointers):
            size = area if not here else rows * columns
            here.append(p if label in shared else r.at(p, plane * size, type))
        with r.loop(0, rows) as i:
            with r.choice(last - first >= lanes) as (many, few):
                with many, r.loop(first, last, lanes) as j:
                    r.invoke(vector, *here, plan, i, least(j, last - lanes))
                with few, r.loop(first, stop, half.lanes) as j:
                    r.invoke(half, *here, plan, i, least(j, stop - half.lanes))
            with r.loop(0, first + columns - stop) as j:
                r.invoke(single, *here, plan, i, select(j < first, j, j - first + stop))
    main = Routine(name, {**dict.fromkeys(arrays, "ptr"), "plan": "ptr"}, 0)
    n = Plan(main, main.arguments[-1], NAMES)
    main.parallel(part, (n.planes + n.turn - 1) // n.turn, *main.arguments)
    return [main, part, vector, half, single]


@functools.cache
def largest(real: str, lanes: int, kind: int, index: str) -> Callable[..., None] | None:
    """The kernel (x, out, places, plan): the largest element of each window, and where it lies in its plane.

    Of equal numbers the first is taken, of several NaN the last.

    Args:
        real: "float" or "double".
        lanes: of a vector.
        kind: the step between windows: 1, 2, or 0 for any other.
        index: "i32" or "i64".
    """
    arrays = {"x": real, "out": real, "places": index}
    parts = [_largest(real, n, kind, index) for n in (lanes, lanes // 2, 0)]
    return jit.function(_planes("largest", arrays, set(), *parts), [ADDRESS] * 4)


@functools.cache
def average(real: str, lanes: int, kind: int) -> Callable[..., None] | None:
    """The kernel (x, out, divisors, plan): the sum of each window divided by its divisor, (rows, columns)."""
    arrays = {"x": real, "out": real, "divisors": real}
    parts = [_sum(real, n, kind) for n in (lanes, lanes // 2, 0)]
    return jit.function(_planes("average", arrays, {"divisors"}, *parts), [ADDRESS] * 4)


# ---- gradients -------------------------------------------------------------------------------------------------------


@functools.cache
def scatter(real: str, lanes: int, index: str) -> Callable[..., None] | None:
    """The kernel (g, places, out, planes, area, count, turn): each g added at its place in a plane of zeros.

    `area` is the size of a plane of `out`, `count` that of one of `g` and `places`.
    """
    names = dict.fromkeys(("g", "places", "out"), "ptr") | dict.fromkeys(("planes", "area", "count", "turn"), "i64")
    r = part_of("scatter.planes", names, lanes)
    g, places, out, planes, area, count, turn, k = r.arguments
    zero, single = r.lift(0.0, real), r.one.lift(0.0, real)
    with r.loop(k * turn, least(k * turn + turn, planes)) as plane:
        target, source, where = (
            r.at(out, plane * area, real),
            r.at(g, plane * count, real),
            r.at(places, plane * count, index),
        )
        whole = area // lanes * lanes
        with r.loop(0, whole, lanes) as i:
            r.store(zero, r.at(target, i, real))
        with r.loop(whole, area) as i:
            r.store(single, r.at(target, i, real))
        with r.loop(0, count) as i:
            at = r.load(r.at(where, i, index), index, 0)
            at = at if index == "i64" else at.to("i64")
            with r.when((at >= 0) & (at < area)):
                place = r.at(target, at, real)
                r.store(r.load(place, real, 0) + r.load(r.at(source, i, real), real, 0), place)
    main = Routine("scatter", names, 0)
    planes, turn = main.arguments[3], main.arguments[6]
    main.parallel(r, (planes + turn - 1) // turn, *main.arguments)
    return jit.function([main, r], [ADDRESS] * 3 + [ctypes.c_int64] * 4)
