"""The gradient of a convolution's weight, the copy of an input with its padding, columns put together; see `conv`.

`w[o, k] = sum over positions of g[position, o] x[position + offsets[k]]`: a tile is two vectors of output channels
times `taps` taps, its sums stay in registers while it passes over some 256 positions. `g` is transposed for these
positions, so that channels are neighbours; x is read where it lies, one number for a whole vector. Blocks of positions
are summed by themselves and then added up, which is also more exact than one long sum.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable

from . import jit
from .conv import ADDRESS, Plan, number
from .routine import Routine, least, part_of
from .vectors import Value

BLOCK = 256  # positions at a time: 16 KB of the transposed gradient, half of the first-level cache


# ---- transposition ---------------------------------------------------------------------------------------------------


def transposed(r: Routine, rows: list[Value]) -> list[Value]:
    """The columns of a square matrix of `lanes` vectors: one bit of the two indices is exchanged in each step."""
    n, step = len(rows), 1
    while step < n:
        low = [k if not k & step else n + k - step for k in range(n)]
        high = [k + step if not k & step else n + k for k in range(n)]
        found = list(rows)
        for i in range(n):
            if not i & step:
                a, b = rows[i], rows[i + step]
                found[i], found[i + step] = r.pick(a, b, low), r.pick(a, b, high)
        rows, step = found, step * 2
    return rows


def _turned(real: str, lanes: int, wide: int) -> Routine:
    """`n` positions of `valid` channels, `step` apart, as rows of `wide * lanes` channels."""
    r = Routine("turned", {"g": "ptr", "to": "ptr", "n": "i64", "step": "i64", "valid": "i64"}, lanes)
    g, to, n, step, valid = r.arguments
    mask, zero, last = r.first(n), r.lift(0.0, real), valid - 1

    def block(at: Value, cut: bool) -> None:
        with r.loop(0, wide) as v:
            lines = [r.at(g, least(v * lanes + i, last) * step + at, real) for i in range(lanes)]
            rows = [r.load_first(p, mask, zero) if cut else r.load(p, real) for p in lines]
            for i, row in enumerate(transposed(r, rows)):
                r.store(row, r.at(to, ((at + i) * wide + v) * lanes, real))

    with r.choice(n >= lanes) as (many, few):
        with many, r.loop(0, n, lanes) as at:
            block(least(at, n - lanes), False)  # at the end some of them again
        with few:
            block(r.lift_one(0), True)
    return r


# ---- sums ------------------------------------------------------------------------------------------------------------

WEIGHT = (
    "items turn parts per images groups blocks taps padded rows height width lines columns x_image x_group x_row "
    "g_image g_group g_channel together offsets"
).split()


def _tile(taps: int, real: str, lanes: int, wide: int) -> Routine:
    """Add to `sums` what some images, rows and columns give for `taps` taps."""
    names = dict.fromkeys(("x", "offsets", "g", "sums"), "ptr")
    numbers = dict.fromkeys(("images", "x_image", "lines", "x_row", "columns"), "i64")
    r = Routine("tile", {**names, **numbers}, lanes)
    x, offsets, g, sums, images, x_image, lines, x_row, columns = r.arguments
    zero = r.lift(0.0, real)
    found = [[r.variable(zero) for _ in range(wide)] for _ in range(taps)]
    starts = [r.at(x, number(r, offsets, k), real) for k in range(taps)]
    with r.loop(0, images) as image, r.loop(0, lines) as line:
        jump = image * x_image + line * x_row
        sources = [r.at(p, jump, real) for p in starts]
        here = r.at(g, (image * lines + line) * columns * (wide * lanes), real)
        with r.loop(0, columns) as c:
            channels = [r.load(r.at(here, (c * wide + v) * lanes, real), real) for v in range(wide)]
            for k in range(taps):
                factor = r.splat(r.load(r.at(sources[k], c, real), real, 0))
                for v in range(wide):
                    found[k][v].value = channels[v].fma(factor, found[k][v].value)
    for k in range(taps):
        for v in range(wide):
            place = r.at(sums, (k * wide + v) * lanes, real)
            r.store(r.load(place, real) + found[k][v].value, place)
    return r


def _item(real: str, lanes: int, wide: int, taps: int, tile: Routine, turned: Routine) -> Routine:
    """The sums of one block of output channels over some images."""
    r = Routine("sweep", {"x": "ptr", "g": "ptr", "sums": "ptr", "plan": "ptr", "item": "i64"}, lanes)
    x, g, sums, plan, item = r.arguments
    n, high = Plan(r, plan, WEIGHT), wide * lanes
    block, rest = item % n.blocks, item // n.blocks
    group, part = rest % n.groups, rest // n.groups
    padded, width, height, lines, columns = n.padded, n.width, n.height, n.lines, n.columns
    x_image, x_row, g_image, g_channel, together = n.x_image, n.x_row, n.g_image, n.g_channel, n.together
    offsets = n.pointer("offsets")
    sums = r.at(sums, item * padded * high, real)
    with r.loop(0, padded * wide) as k:
        r.store(r.lift(0.0, real), r.at(sums, k * lanes, real))
    x = r.at(x, group * n.x_group, real)
    g = r.at(g, group * n.g_group + block * high * g_channel, real)
    room = r.room((BLOCK + lanes) * high, real)
    valid = least(n.rows - block * high, r.lift_one(high))
    stop = least(part * n.per + n.per, n.images)
    with (
        r.loop(part * n.per, stop, together) as image,
        r.loop(0, height, lines) as line,
        r.loop(0, width, columns) as c,
    ):
        images, now, cut = least(stop - image, together), least(height - line, lines), least(width - c, columns)
        with r.loop(0, images) as i:
            source = r.at(g, (image + i) * g_image + line * width + c, real)
            r.invoke(turned, source, r.at(room, i * now * cut * high, real), now * cut, g_channel, valid)
        start = r.at(x, image * x_image + line * x_row + c, real)
        with r.loop(0, padded, taps) as k:
            to = r.at(sums, k * high, real)
            r.invoke(tile, start, r.at(offsets, k, "i64"), room, to, images, x_image, now, x_row, cut)
    return r


def _gathered(real: str, lanes: int, wide: int) -> Routine:
    """Add the sums of all parts of the images, and turn them around; the part is a block of channels of a group."""
    r = part_of("gathered", {"sums": "ptr", "out": "ptr", "plan": "ptr"}, lanes)
    sums, out, plan, part = r.arguments
    n, high = Plan(r, plan, WEIGHT), wide * lanes
    taps, padded, parts, rows = n.taps, n.padded, n.parts, n.rows
    block, group = part % n.blocks, part // n.blocks
    valid = least(rows - block * high, r.lift_one(high))
    out = r.at(out, (group * rows + block * high) * taps, real)
    apart = n.groups * n.blocks * padded * high
    source = r.at(sums, part * padded * high, real)
    room = r.room(lanes * lanes, real)
    with r.loop(0, taps, lanes) as k:
        cut, mask = least(taps - k, r.lift_one(lanes)), r.first(taps - k)
        with r.loop(0, wide) as v:
            found = []
            for i in range(lanes):
                p = r.at(source, (least(k + i, padded - 1) * wide + v) * lanes, real)
                total = r.variable(r.load(p, real))
                with r.loop(1, parts) as j:
                    total.value = total.value + r.load(r.at(p, apart * j, real), real)
                found.append(total.value)
            for i, row in enumerate(transposed(r, found)):
                r.store(row, r.at(room, i * lanes, real))
            with r.loop(0, least(valid - v * lanes, r.lift_one(lanes))) as o:
                value, to = r.load(r.at(room, o * lanes, real), real), r.at(out, (o + v * lanes) * taps + k, real)
                with r.choice(cut.__eq__(lanes)) as (whole, rest):
                    with whole:
                        r.store(value, to)
                    with rest:
                        r.store_first(value, to, mask)
    return r


@functools.cache
def weight(real: str, lanes: int, wide: int, taps: int) -> Callable[..., None] | None:
    """The kernel (x, g, sums, out, plan): `sums` is room for items * padded * wide * lanes numbers.

    Args:
        real: "float" or "double".
        lanes: of a vector.
        wide: how many vectors of output channels a tile has: 1 or 2.
        taps: of a tile.
    """
    tile, turned = _tile(taps, real, lanes, wide), _turned(real, lanes, wide)
    sweep, gathered = _item(real, lanes, wide, taps, tile, turned), _gathered(real, lanes, wide)
    part = part_of("items", dict.fromkeys(("x", "g", "sums", "plan"), "ptr"), 0)
    *rest, plan, k = part.arguments
    n = Plan(part, plan, WEIGHT)
    with part.loop(k * n.turn, least((k + 1) * n.turn, n.items)) as item:
        part.invoke(sweep, *rest, plan, item)
    main = Routine("gradient", dict.fromkeys(("x", "g", "sums", "out", "plan"), "ptr"), 0)
    x, g, sums, out, plan = main.arguments
    n = Plan(main, plan, WEIGHT)
    main.parallel(part, (n.items + n.turn - 1) // n.turn, x, g, sums, plan)
    main.parallel(gathered, n.groups * n.blocks, sums, out, plan)
    return jit.function([main, part, sweep, tile, turned, gathered], [ADDRESS] * 5)


# ---- the padded copy -------------------------------------------------------------------------------------------------

COPY = (
    "planes turn channels n_step c_step h_step w_step plane height width h_phases w_phases plain h_table w_table"
).split()
LINE = (
    4  # numbers of a line of a table: the first cell inside, the first one after those, the source of cell 0, the step
)


@functools.cache
def copy(real: str, lanes: int) -> Callable[..., None] | None:
    """The kernel (x, out, plan): planes of an input with zeros around them, their rows and columns sorted by phases."""
    part = part_of("planes", dict.fromkeys(("x", "out", "plan"), "ptr"), lanes)
    x, out, plan, k = part.arguments
    n, r = Plan(part, plan, COPY), part
    zero, height, width, step, plain = r.one.lift(0.0, real), n.height, n.width, n.w_step, n.plain
    channels, n_step, c_step, h_step = n.channels, n.n_step, n.c_step, n.h_step
    h_phases, w_phases, h_table, w_table = n.h_phases, n.w_phases, n.pointer("h_table"), n.pointer("w_table")
    with r.loop(k * n.turn, least((k + 1) * n.turn, n.planes)) as i:
        source = r.at(x, i // channels * n_step + i % channels * c_step, real)
        target = r.at(out, i * n.plane, real)
        with r.loop(0, h_phases) as fh, r.loop(0, w_phases) as fw, r.loop(0, height) as h:
            rows, cells = r.at(h_table, fh * LINE, "i64"), r.at(w_table, fw * LINE, "i64")
            inside = (h >= number(r, rows, 0)) & (h < number(r, rows, 1))
            first, after = number(r, cells, 0), number(r, cells, 1)
            to = r.at(target, ((fh * w_phases + fw) * height + h) * width, real)
            row = r.at(
                source, (number(r, rows, 2) + h * number(r, rows, 3)) * h_step + number(r, cells, 2) * step, real
            )
            with r.choice(inside) as (yes, no):
                with no, r.loop(0, width) as c:
                    r.store(zero, r.at(to, c, real))
                with yes:
                    with r.loop(0, first) as c:
                        r.store(zero, r.at(to, c, real))
                    _cells(r, row, to, first, after, step * number(r, cells, 3), plain, real)
                    with r.loop(after, width) as c:
                        r.store(zero, r.at(to, c, real))
    main = Routine("copy", dict.fromkeys(("x", "out", "plan"), "ptr"), 0)
    n = Plan(main, main.arguments[2], COPY)
    main.parallel(part, (n.planes + n.turn - 1) // n.turn, *main.arguments)
    return jit.function([main, part], [ADDRESS] * 3)


def _cells(r: Routine, row: Value, to: Value, first: Value, after: Value, step: Value, plain: Value, real: str) -> None:
    """Copy the cells of a row, `plain` elements apart: whole vectors, the last of which overlaps, or one by one."""
    n, last = r.lanes, after - r.lanes
    with r.choice((last >= first) & (plain > 0) & (plain <= 2)) as (vectors, single):
        with vectors, r.choice(plain.__eq__(1)) as (side_by_side, every_second):
            with side_by_side, r.loop(first, after, n) as c:
                at = least(c, last)
                r.store(r.load(r.at(row, at, real), real), r.at(to, at, real))
            with every_second, r.loop(first, after, n) as c:
                at = least(c, last)
                low, high = (r.load(r.at(row, at * 2 + k, real), real) for k in (0, n - 1))  # none after the last one
                order = [*range(0, n, 2), *range(n + 1, 2 * n, 2)]
                r.store(r.pick(low, high, order), r.at(to, at, real))
        with single, r.loop(first, after) as c:
            r.store(r.load(r.at(row, c * step, real), real, 0), r.at(to, c, real))


# ---- columns put together --------------------------------------------------------------------------------------------


@functools.cache
def zipped(real: str, lanes: int) -> Callable[..., None] | None:
    """The kernel (x, y, out, planes, rows, width, plane, row, turn): rows of `out` from the columns of x and y in turn.

    `width` is that of a row of `out`, x has one column more than y if it is odd; `plane` and `row` are how far planes
    and rows of `out` are apart. A turn takes `turn` planes.
    """
    names = dict.fromkeys(("x", "y", "out"), "ptr")
    names |= dict.fromkeys(("planes", "rows", "width", "plane", "row", "turn"), "i64")
    r = part_of("planes", names, lanes)
    x, y, out, planes, rows, width, plane, row, turn, k = r.arguments
    low, high = (width + 1) // 2, width // 2
    first = [j // 2 + lanes * (j % 2) for j in range(lanes)]
    with r.loop(k * turn, least((k + 1) * turn, planes)) as p, r.loop(0, rows) as i:
        xs, ys = r.at(x, (p * rows + i) * low, real), r.at(y, (p * rows + i) * high, real)
        to = r.at(out, p * plane + i * row, real)
        with r.choice(high >= lanes) as (many, few):
            with many, r.loop(0, high, lanes) as j:
                at = least(j, high - lanes)
                a, b = r.load(r.at(xs, at, real), real), r.load(r.at(ys, at, real), real)
                r.store(r.pick(a, b, first), r.at(to, at * 2, real))
                r.store(r.pick(a, b, [f + lanes // 2 for f in first]), r.at(to, at * 2 + lanes, real))
            with few, r.loop(0, high) as j:
                r.store(r.load(r.at(xs, j, real), real, 0), r.at(to, j * 2, real))
                r.store(r.load(r.at(ys, j, real), real, 0), r.at(to, j * 2 + 1, real))
        with r.when(low > high):
            r.store(r.load(r.at(xs, high, real), real, 0), r.at(to, high * 2, real))
    main = Routine("zipped", names, 0)
    planes, turn = main.arguments[3], main.arguments[8]
    main.parallel(r, (planes + turn - 1) // turn, *main.arguments)
    return jit.function([main, r], [ADDRESS] * 3 + [ctypes.c_int64] * 6)
