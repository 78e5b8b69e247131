"""Convolution of single channels (depthwise), and the gradient of its weight; inputs lie as for `conv`.

With one input channel a tile of several output channels has nothing to share, so a tile here is some rows times one or
two vectors of columns of one plane: 8 sums, and for each tap one broadcast weight and 8 loads. Tiles at the end of a
plane overlap the ones before. For the gradient of the weight a tap at a time passes over the plane with 4 sums; each
plane gives its own, and the caller adds up the images.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from . import jit
from .conv import ADDRESS, Plan, number
from .routine import Routine, least, part_of

NAMES = "planes turn channels multiple taps height width x_image x_channel x_row w_group w_row offsets places".split()
MOST = 64  # taps
SUMS = 4  # of the weight's gradient


@functools.cache
def output(real: str, lanes: int, rows: int, columns: int) -> Callable[..., None] | None:
    """The kernel (x, w, bias, out, plan).

    Args:
        real: "float" or "double".
        lanes: of a vector; a row has at least lanes * columns elements.
        rows: of a tile; a plane has at least as many.
        columns: vectors of a tile.
    """
    names = dict.fromkeys(("x", "w", "bias", "out", "plan"), "ptr")
    r = part_of("planes", names, lanes)
    x, w, bias, out, plan, k = r.arguments
    n, wide = Plan(r, plan, NAMES), lanes * columns
    taps, height, width, x_row, multiple, channels = n.taps, n.height, n.width, n.x_row, n.multiple, n.channels
    x_image, x_channel, w_group, w_row, offsets = n.x_image, n.x_channel, n.w_group, n.w_row, n.pointer("offsets")
    places = n.pointer("places")
    factors = r.room(MOST, real)
    with r.loop(k * n.turn, least((k + 1) * n.turn, n.planes)) as plane:
        image, o = plane // channels, plane % channels
        source = r.at(x, image * x_image + o // multiple * x_channel, real)
        target, start = r.at(out, plane * height * width, real), r.splat(r.load(r.at(bias, o, real), real, 0))
        weights = r.at(w, o // multiple * w_group + o % multiple * w_row, real)
        with r.loop(0, taps) as t:
            r.store(r.load(r.at(weights, number(r, places, t), real), real, 0), r.at(factors, t, real))
        with r.loop(0, height, rows) as i, r.loop(0, width, wide) as j:
            top, left = least(i, height - rows), least(j, width - wide)
            sums = [[r.variable(start) for _ in range(columns)] for _ in range(rows)]
            corner = r.at(source, top * x_row + left, real)
            with r.loop(0, taps) as t:
                factor = r.splat(r.load(r.at(factors, t, real), real, 0))
                here = r.at(corner, number(r, offsets, t), real)
                for a, line in enumerate(sums):
                    for b, total in enumerate(line):
                        total.value = r.load(r.at(here, x_row * a + b * lanes, real), real).fma(factor, total.value)
            for a, line in enumerate(sums):
                for b, total in enumerate(line):
                    r.store(total.value, r.at(target, (top + a) * width + (left + b * lanes), real))
    main = Routine("depthwise", names, 0)
    n = Plan(main, main.arguments[-1], NAMES)
    main.parallel(r, (n.planes + n.turn - 1) // n.turn, *main.arguments)
    return jit.function([main, r], [ADDRESS] * 5)


@functools.cache
def weight(real: str, lanes: int) -> Callable[..., None] | None:
    """The kernel (x, g, out, plan): for each plane of g and each tap, the sum of products, (planes, taps)."""
    names = dict.fromkeys(("x", "g", "out", "plan"), "ptr")
    r = part_of("planes", names, lanes)
    x, g, out, plan, k = r.arguments
    n, zero = Plan(r, plan, NAMES), r.lift(0.0, real)
    taps, height, width, x_row, multiple, channels = n.taps, n.height, n.width, n.x_row, n.multiple, n.channels
    x_image, x_channel, offsets = n.x_image, n.x_channel, n.pointer("offsets")
    many, whole = width // (SUMS * lanes) * (SUMS * lanes), width // lanes * lanes
    mask = r.first(width - whole)
    with r.loop(k * n.turn, least((k + 1) * n.turn, n.planes)) as plane:
        image, o = plane // channels, plane % channels
        start = r.at(x, image * x_image + o // multiple * x_channel, real)
        gradient = r.at(g, plane * height * width, real)
        with r.loop(0, taps) as t:
            sums = [r.variable(zero) for _ in range(SUMS)]
            here = r.at(start, number(r, offsets, t), real)
            with r.loop(0, height) as i:
                xs, gs = r.at(here, i * x_row, real), r.at(gradient, i * width, real)
                with r.loop(0, many, SUMS * lanes) as j:
                    for a, total in enumerate(sums):
                        at = j + a * lanes
                        total.value = r.load(r.at(xs, at, real), real).fma(
                            r.load(r.at(gs, at, real), real), total.value
                        )
                with r.loop(many, whole, lanes) as j:
                    sums[0].value = r.load(r.at(xs, j, real), real).fma(r.load(r.at(gs, j, real), real), sums[0].value)
                with r.when(whole < width):
                    last = r.load_first(r.at(xs, whole, real), mask, zero)
                    sums[1].value = last.fma(r.load_first(r.at(gs, whole, real), mask, zero), sums[1].value)
            found = r.total(sums[0].value + sums[1].value + (sums[2].value + sums[3].value))
            r.store(found, r.at(out, plane * taps + t, real))
    main = Routine("gradient", names, 0)
    n = Plan(main, main.arguments[-1], NAMES)
    main.parallel(r, (n.planes + n.turn - 1) // n.turn, *main.arguments)
    return jit.function([main, r], [ADDRESS] * 4)
