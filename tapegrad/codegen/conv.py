"""Convolution as a product of matrices whose columns are never written to memory as a whole.

The caller (`backends/cpu/convplan.py`) describes a convolution by tables of offsets, so that one kernel serves every
stride, padding, dilation and number of groups, in one and two dimensions:

* The input is read in place, or from a copy with its padding (`padded`) in which the columns and rows that a stride
  skips lie apart: neighbouring outputs then always read neighbouring inputs.
* Outputs are counted through an image, or several small ones, and taken `lanes` at a time; an entry of the table says
  for each such vector where the inputs of the first tap lie (in as many pieces as it has rows) and where it goes.
* `offsets[k]` is how far the input of the tap k = (channel, row, column) is from that of the first.

**Output.** 3 vectors of positions times 4 output channels stay in 12 of the 16 registers of AVX2, for all taps: 3 loads
and 4 broadcast weights for 12 multiply-adds (6 x 2 needs 8 loads for them). The inputs are read where they lie if rows
are whole vectors, or nearly: then what lies between two rows is computed as well, and thrown away. Else those of some
taps are first put into a panel of `DEPTH` bytes, which all output channels then use.

Measured on one core with AVX2 whose best product of matrices reaches 94 GFLOP/s, float32: in place 84 to 92 GFLOP/s;
with a panel 80 to 86 for 128 channels and more, 60 to 75 for 16 (a panel costs 12 cycles for a tap, a tile of 4
channels 6), hence in place where it is possible. Columns written to memory as a whole and one product: 30 to 70.
`bench/convolution.py` prints these figures. Winograd's algorithm would need fewer multiplications, but its results
differ from a sum of products by far more than rounding.

**Gradient of the input.** The same, with weights turned around and channels exchanged; for a stride of s once for each
of the s phases of the input, with the taps that meet it.

**Gradient of the weight.** 2 vectors of output channels times 6 taps: the gradient is transposed, some 256 positions at
a time, so that channels are neighbours, and the input is broadcast from where it lies; no columns at all. Sums over
images are cut into parts that follow from the shapes, and the parts are added in their order.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

from . import jit
from .routine import Routine, least, part_of
from .vectors import Value, select

VECTORS, ROWS = 3, 4  # of a tile of the output
# Numbers of an entry before its pieces: count, split, first, second, resume, begin, end. Lanes up to `split` go to the
# first place, those from `resume` to `count` - 1 to the second. For all three vectors of a tile only the taps from
# `begin` to `end` - 1 of the first one are added up: the others meet the zeros above or below the image.
ENTRY = 7
DEPTH = 24576  # bytes of a panel
ADDRESS = ctypes.c_void_p


def depth(lanes: int, size: int) -> int:
    """How many taps a panel holds at most."""
    return DEPTH // (VECTORS * lanes * size)


def _size(real: str) -> int:
    return 4 if real == "float" else 8


class Plan:
    """Numbers of a plan by name, read inside of a routine."""

    def __init__(self, r: Routine, at: Value, names: Sequence[str]):
        self._r, self._at, self._names = r, at, names

    def __getattr__(self, name: str) -> Value:
        r = self._r
        return r.load(r.at(self._at, self._names.index(name), "i64"), "i64", 0)

    def pointer(self, name: str) -> Value:
        """An address."""
        r = self._r
        return r.load(r.at(self._at, self._names.index(name), "i64"), "ptr", 0)


def number(r: Routine, p: Value, k: Any) -> Value:
    """Element k of an array of whole numbers."""
    return r.load(r.at(p, k, "i64"), "i64", 0)


# ---- output ----------------------------------------------------------------------------------------------------------

OUTPUT = (
    "items turn chunks panels per groups taps depth rows image_step x_group w_group w_row out_image out_group out_row "
    "entry safe offsets places entries"
).split()


def _tile(rows: int, real: str, lanes: int, direct: bool) -> Routine:
    """`rows` output channels of 3 vectors of positions, for `count` taps; added to the output unless `first`.

    With fewer rows than ROWS, some taps have sums of their own: 12 of them keep the two multipliers busy.
    """
    names = dict.fromkeys(("x", "offsets", "w", "bias", "out", "entries"), "ptr")
    r = Routine(f"tile{rows}", {**names, "count": "i64", "row": "i64", "each": "i64", "first": "i64"}, lanes)
    x, offsets, w, bias, out, entries, count, row, each, first = r.arguments
    at = [r.at(entries, each * v, "i64") for v in range(VECTORS)]
    starts = [r.at(x, number(r, p, ENTRY), real) for p in at] if direct else []
    zero = r.lift(0.0, real)
    sets = ROWS // rows
    sums = [[[r.variable(zero) for _ in range(VECTORS)] for _ in range(rows)] for _ in range(sets)]

    def tap(k: Value, lines: list) -> None:
        if direct:
            offset = number(r, offsets, k)
            columns = [r.load(r.at(p, offset, real), real) for p in starts]
        else:
            columns = [r.load(r.at(x, (k * VECTORS + v) * lanes, real), real) for v in range(VECTORS)]
        for i in range(rows):
            factor = r.splat(r.load(r.at(w, k * rows + i, real), real, 0))
            for v in range(VECTORS):
                lines[i][v].value = columns[v].fma(factor, lines[i][v].value)

    whole = count // sets * sets
    with r.loop(0, whole, sets) as k:
        for j in range(sets):
            tap(k + j, sums[j])
    if sets > 1:
        with r.loop(whole, count) as k:
            tap(k, sums[0])
    for i, v, other in itertools.product(range(rows), range(VECTORS), sums[1:]):
        sums[0][i][v].value = sums[0][i][v].value + other[i][v].value
    found = sums[0]
    with r.when(first != 0):
        for i in range(rows):
            start = r.splat(r.load(r.at(bias, i, real), real, 0))
            for v in range(VECTORS):
                found[i][v].value = found[i][v].value + start
    plain = functools.reduce(lambda a, b: a & b, [number(r, p, k) for p in at for k in range(2)])  # count and split
    with r.choice(plain.__eq__(lanes)) as (side_by_side, parted):
        with side_by_side, r.choice(first != 0) as (fresh, again):
            with fresh:
                _put(r, at, out, row, found, real, False)
            with again:
                _put(r, at, out, row, found, real, True)
        with parted:
            room = r.room(rows * VECTORS * lanes, real)
            for i, line in enumerate(found):
                for v in range(VECTORS):
                    r.store(line[v].value, r.at(room, (i * VECTORS + v) * lanes, real))
            _put_parts(r, entries, each, room, out, row, first.__eq__(0), rows, real)
    return r


def _put(r: Routine, at: list[Value], out: Value, row: Value, sums: list, real: str, add: bool) -> None:
    """Write a tile of whole vectors, or add it to what is there."""
    for v, p in enumerate(at):
        here = number(r, p, 2)
        for i, line in enumerate(sums):
            place = r.at(out, row * i + here, real)
            r.store(line[v].value + r.load(place, real) if add else line[v].value, place)


def _put_parts(r: Routine, entries: Value, each: Value, room: Value, out: Value, row: Value, add: Value, rows: int,
               real: str) -> None:  # fmt: skip
    """The same for a tile in memory in which vectors are cut off or go to two places: loops, to keep the code short."""
    zero = r.lift(0.0, real)

    def put(v: Value, to: Value, mask: Value | None) -> None:
        with r.loop(0, rows) as i:
            value, place = r.load(r.at(room, (i * VECTORS + v) * r.lanes, real), real), r.at(out, row * i + to, real)
            with r.choice(add) as (again, fresh):
                with again:
                    if mask is None:
                        r.store(value + r.load(place, real), place)
                    else:
                        r.store_first(value + r.load_first(place, mask, zero), place, mask)
                with fresh:
                    if mask is None:
                        r.store(value, place)
                    else:
                        r.store_first(value, place, mask)

    with r.loop(0, VECTORS) as v:
        count, split, here, there, resume = (number(r, r.at(entries, each * v, "i64"), k) for k in range(5))
        with r.choice((count & split).__eq__(r.lanes)) as (whole, parted):
            with whole:
                put(v, here, None)
            with parted:
                with r.when(split > 0):
                    put(v, here, r.first(split))
                with r.when(resume < count):
                    put(v, there, r.first(count) & (r.count() >= r.splat(r.one.convert("trunc", resume, "i32"))))


def _panel(pieces: int, real: str, lanes: int, strict: bool) -> Routine:
    """The inputs of 3 vectors of positions for `count` taps, side by side.

    With `strict` nothing is read but these: masked loads take longer (10 percent of a convolution to 64 channels).
    """
    names = dict.fromkeys(("x", "offsets", "entries", "panel"), "ptr")
    r = Routine("strictly" if strict else "panel", {**names, "count": "i64", "each": "i64"}, lanes)
    x, offsets, entries, panel, count, each = r.arguments
    zero, lane = r.lift(0.0, real), r.count()
    sources: list[list[tuple[Value, Value]]] = []
    for v in range(VECTORS):
        p = r.at(entries, each * v, "i64")
        ends = [number(r, p, ENTRY + 2 * q + 1) for q in range(pieces)]
        bounds = [r.splat(r.one.convert("trunc", e, "i32")) for e in ends]
        masks = [(lane < b) if q == 0 else (lane < b) & (lane >= bounds[q - 1]) for q, b in enumerate(bounds)]
        sources.append([(r.at(x, number(r, p, ENTRY + 2 * q), real), masks[q]) for q in range(pieces)])
    with r.loop(0, count) as k:
        offset = number(r, offsets, k)
        for v, parts in enumerate(sources):
            found = zero
            for q, (p, mask) in enumerate(parts):
                if strict:
                    piece = r.load_first(r.at(p, offset, real), mask, zero)
                    found = (piece.bits() | found.bits()).real() if q else piece
                else:
                    piece = r.load(r.at(p, offset, real), real)
                    found = select(mask, piece, found) if q else piece
            r.store(found, r.at(panel, (k * VECTORS + v) * lanes, real))
    return r


def _weights(real: str) -> Routine:
    """Weights of 4 rows (2 and 1 at the end of a group) side by side, for all taps; the part is such a tile."""
    r = part_of("weights", {"w": "ptr", "packed": "ptr", "plan": "ptr"}, 0)
    w, packed, plan, part = r.arguments
    n = Plan(r, plan, OUTPUT)
    rows, taps, step, offsets = n.rows, n.taps, n.w_row, n.pointer("places")
    tiles = (rows + (ROWS - 1)) // ROWS
    group, tile = part // tiles, part % tiles
    high = least(rows - tile * ROWS, r.lift_one(ROWS))
    target = r.at(packed, (group * rows + tile * ROWS) * taps, real)
    source = r.at(w, group * n.w_group + step * ROWS * tile, real)

    def copy(begin: Value | int, count: int) -> None:
        with r.loop(0, taps) as k:
            p = r.at(source, number(r, offsets, k) + step * begin, real)
            to = r.at(target, k * count + taps * begin, real)
            for i in range(count):
                r.store(r.load(r.at(p, step * i, real), real), r.at(to, i, real))

    with r.when(high.__eq__(ROWS)):
        copy(0, ROWS)
    with r.when(high < ROWS):
        with r.when(high >= 2):
            copy(0, 2)
        with r.when((high % 2).__eq__(1)):
            copy(high - 1, 1)
    return r


def _sweep(real: str, lanes: int, tiles: dict[int, Routine], panels: list[Routine]) -> Routine:
    """Some panels of positions in one group of channels of one group of images."""
    names = {"x": "ptr", "packed": "ptr", "bias": "ptr", "out": "ptr", "plan": "ptr", "item": "i64"}
    r = Routine("sweep", names, lanes)
    x, packed, bias, out, plan, item = r.arguments
    n = Plan(r, plan, OUTPUT)
    chunk, rest = item % n.chunks, item // n.chunks
    group, image = rest % n.groups, rest // n.groups
    rows, taps, row, each, per, high = n.rows, n.taps, n.out_row, n.entry, n.per, n.depth
    offsets, entries, careful = n.pointer("offsets"), n.pointer("entries"), image >= n.safe
    x = r.at(x, image * n.image_step + group * n.x_group, real)
    out = r.at(out, image * n.out_image + group * n.out_group, real)
    packed, bias = r.at(packed, group * rows * taps, real), r.at(bias, group * rows, real)
    room = r.room(DEPTH // _size(real), real) if panels else x
    with r.loop(chunk * per, least(chunk * per + per, n.panels)) as which:
        here = r.at(entries, which * (each * VECTORS), "i64")
        begin, end = (number(r, here, k) for k in (5, 6))
        with r.loop(begin, end, high) as k:
            count = least(end - k, high)
            first = r.one.convert("zext", k.__eq__(begin), "i64")
            off = r.at(offsets, k, "i64")
            if len(panels) == 1:
                r.invoke(panels[0], x, off, here, room, count, each)
            elif panels:
                with r.choice(careful) as branches:
                    for branch, panel in zip(branches, panels):
                        with branch:
                            r.invoke(panel, x, off, here, room, count, each)

            def work(tile: Routine, o: Value, high: int) -> None:
                w = r.at(packed, o * taps + k * high, real)
                r.invoke(tile, room, off, w, r.at(bias, o, real), r.at(out, o * row, real), here, count, row, each,
                         first)  # fmt: skip

            if ROWS in tiles:
                with r.loop(0, rows // ROWS * ROWS, ROWS) as o:
                    work(tiles[ROWS], o, ROWS)
            if 2 in tiles:
                work(tiles[2], rows // ROWS * ROWS, 2)
            if 1 in tiles:
                work(tiles[1], rows - 1, 1)
    return r


@functools.cache
def output(real: str, lanes: int, pieces: int, strict: bool, heights: tuple[int, ...]) -> Callable[..., None] | None:
    """The kernel (x, w, packed, bias, out, plan): `packed` is room for as many numbers as w has.

    Args:
        real: "float" or "double".
        lanes: of a vector.
        pieces: how many rows of the input a vector of positions may lie in; 0: whole vectors, read in place.
        strict: whether there are images around which nothing may be read (from number `safe` of the plan on).
        heights: of the tiles that the rows are cut into: ROWS if there are so many, 2 and 1 if some are left over.
    """
    tiles = {rows: _tile(rows, real, lanes, not pieces) for rows in heights}
    panels = [_panel(pieces, real, lanes, masked) for masked in (True, False)[not strict :]] if pieces else []
    sweep, weights = _sweep(real, lanes, tiles, panels), _weights(real)
    names = dict.fromkeys(("x", "packed", "bias", "out", "plan"), "ptr")
    part = part_of("items", names, 0)
    *rest, plan, k = part.arguments
    n = Plan(part, plan, OUTPUT)
    with part.loop(k * n.turn, least((k + 1) * n.turn, n.items)) as item:
        part.invoke(sweep, *rest, plan, item)
    main = Routine("convolution", dict.fromkeys(("x", "w", "packed", "bias", "out", "plan"), "ptr"), 0)
    x, w, packed, bias, out, plan = main.arguments
    n = Plan(main, plan, OUTPUT)
    main.parallel(weights, (n.rows + (ROWS - 1)) // ROWS * n.groups, w, packed, plan)
    main.parallel(part, (n.items + n.turn - 1) // n.turn, x, packed, bias, out, plan)
    others = [part, weights, sweep, *tiles.values(), *panels]
    return jit.function([main, *others], [ADDRESS] * 6)
