"""Products of matrices as generated code: cut into blocks, the blocks' operands packed, tiles multiplied (`tiles`).

Note [Order of sums]: the last bits of a product depend on the order in which its terms are added up. Here it follows
from shapes and layouts alone, never from the number of threads, and for float32 it is the order that PyTorch 2.13 shows
on x86-64 with AVX2 (its library is MKL 2024.2), found out by experiments with exact sums:

  n >= 12 and m >= 4   blocks of 192 along k (two of k // 2, and perhaps one more of 1, where 192 < k < 384), each one
                       chain of fused multiply-adds from 0; the blocks' results are added to C in order, where C is at
                       first the bias, or else the first block's result.
  otherwise            every row is a product of its own, products and sums are rounded separately, and what matters is
                       where the numbers of B lie. Columns side by side (x @ W), or A and B both transposed: one chain
                       from 0 or from the bias. In rows of 6 and more columns that begin off a multiple of 16 bytes, the
                       elements up to that multiple add up eight products as four, one by one, and the sum of four.

References: Goto & van de Geijn, "Anatomy of high-performance matrix multiplication", ACM TOMS 34 (2008); Van Zee & van
de Geijn, "BLIS", ACM TOMS 41 (2015).
"""

from __future__ import annotations

from typing import NamedTuple

from . import tiles
from .routine import SIZES, Routine, least, part_of
from .vectors import Value, select

DEPTH = 192  # steps along k of a block
GRAIN = 1 << 21  # multiplications of a part for one thread: some 50 us
MOST = 64  # parts that a product is cut into, if its blocks are not too large then
ROWS = 384  # of a block: with DEPTH numbers each, half of the second-level cache
CHUNK = 4  # panels of B that are packed at a time: 48 KiB, with a cache line's or more of each row
ROOM = 12288  # numbers of A that are packed
FEWEST = 48  # rows of a part, so that packing B pays
NARROW, LOW = 12, 4  # fewer columns, or rows: products of single rows
PEELED = 6  # columns from which on the beginnings of rows matter


class Shape(NamedTuple):
    """What the registers hold of C, and the numbers' type."""

    type: str
    lanes: int
    rows: int
    vectors: int

    @property
    def wide(self) -> int:
        """Columns of a tile."""
        return self.vectors * self.lanes


def shape(type: str, lanes: int) -> Shape:
    """Sixteen registers (AVX2) hold 6 x 2 vectors, the thirty-two of AVX-512 8 x 2: enough to hide the latency."""
    return Shape(type, lanes, 8 if lanes * SIZES[type] == 64 else 6, 2)


_BLOCK = {
    "m": "i64", "n": "i64", "k": "i64", "a": "ptr", "am": "i64", "ak": "i64", "b": "ptr", "bk": "i64", "bn": "i64",
    "c": "ptr", "cm": "i64", "add": "i64", "offset": "i64",
}  # fmt: skip
_PANEL = {
    "m": "i64", "k": "i64", "a": "ptr", "am": "i64", "ak": "i64", "strip": "i64", "b": "ptr", "step": "i64",
    "c": "ptr", "cm": "i64", "columns": "i64", "add": "i64", "offset": "i64",
}  # fmt: skip
_CALL = {
    "a": "ptr", "am": "i64", "ak": "i64", "b": "ptr", "bk": "i64", "bn": "i64", "bias": "ptr", "bias_n": "i64",
    "biased": "i64",     "c": "ptr", "m": "i64", "n": "i64", "k": "i64", "fused": "i64", "next_a": "i64", "next_b": "i64", "next_c": "i64",
    "batch": "i64", "each": "i64", "per": "i64", "groups": "i64", "rows": "i64", "columns": "i64",
}  # fmt: skip


class _Writer:
    """The routines of one shape, for products with a bias or without."""

    def __init__(self, shape: Shape):
        self.shape = s = shape
        self.size = SIZES[s.type]
        peeled = s.type == "float"
        self.any = tiles.pack_any(s.wide, s.type)
        self.rows = tiles.pack_rows(s.wide, s.type, s.lanes)
        self.columns = tiles.pack_columns(s.wide, s.type, s.lanes, self.any)
        self.strips = tiles.pack_strips(s.rows, s.type, s.lanes)
        self.fused = {i: tiles.tile(i, s.vectors, s.type, s.lanes) for i in range(s.rows, 0, -1)}
        self.chains = {i: tiles.chain(i, s.vectors, s.type, s.lanes, peeled) for i in (3, 2, 1)}
        self.panels = {True: self.panel("panel", self.fused), False: self.panel("chain_panel", self.chains)}
        self.blocks = {True: self.block("block", True), False: self.block("chain_block", False)}
        self.part = self.a_part()

    def all(self) -> list[Routine]:
        """Every routine but the public one, for `routine.module`."""
        found = [self.any, self.rows, self.columns, self.strips, self.part, *self.fused.values(), *self.chains.values()]
        return [*found, *self.panels.values(), *self.blocks.values()]

    def panel(self, name: str, kernels: dict[int, Routine]) -> Routine:
        """All rows of A times one panel of B: tiles as high as possible, the last two of nearly the same height.

        Two rows take as long as four, since each sum waits for the one before. `strip` is the distance from tile to tile
        in A; where it is not that of a tile's rows, A is packed, and the last tile is what is left.
        """
        r = Routine(name, _PANEL, 0, aliased=False)
        m, k, a, am, ak, strip, b, step, c, cm, columns, add, offset = r.arguments
        high = max(kernels)
        rest = m % high
        short = (rest > 0) & (rest <= high // 2) & (m > high) & (strip == am * high)
        full = m // high - r.one.convert("zext", short, "i64")
        left = m - full * high
        first = select(left > high, (left + 1) // 2, left)
        count = full + select(left > first, r.lift(2, "i64"), r.one.convert("zext", left > 0, "i64"))
        with r.loop(0, count) as t:
            rows = select(t < full, high, select(t == full, first, left - first))
            row = select(t <= full, t * high, full * high + first)
            source = r.bytes_on(a, select(t <= full, t * strip, full * strip + first * am))
            target, past = r.bytes_on(c, row * cm), select(offset < 0, offset, offset + row * (cm // self.size))
            for number, kernel in kernels.items():
                with r.when(rows == number):
                    r.invoke(kernel, k, source, am, ak, b, step, target, cm, columns, add, past)
        return r

    def pack(self, r: Routine, k: Value, columns: Value, b: Value, bk: Value, bn: Value, panel: Value) -> None:
        """Columns of B into a panel."""
        with r.choice(bn == self.size) as (side, other):
            with side:
                r.invoke(self.rows, k, columns, b, bk, bn, panel)
            with other, r.choice(bk == self.size) as (along, neither):
                with along:
                    r.invoke(self.columns, k, columns, b, bk, bn, panel)
                with neither:
                    r.invoke(self.any, k, columns, b, bk, bn, panel)

    def block(self, name: str, fused: bool) -> Routine:
        """`c = a @ b` or, with `add`, `c += a @ b` for a block of rows and columns: blocks along k, panels, tiles."""
        s, size = self.shape, self.size
        r = Routine(name, _BLOCK, 0, aliased=False)
        m, n, k, a, am, ak, b, bk, bn, c, cm, add, offset = r.arguments
        room, strips = r.room(CHUNK * s.wide * DEPTH, s.type), r.room(ROOM + s.lanes, s.type)
        depth = r.lift(DEPTH, "i64")
        if fused:
            depth = select((k > DEPTH) & (k < 2 * DEPTH), k // 2, depth)
        left, row = r.variable(a), r.variable(am)
        along, strip = r.variable(ak), r.variable(am * max(self.fused if fused else self.chains))
        with r.loop(0, k, depth) as at:
            steps = least(depth, k - at)
            left.value = r.bytes_on(a, at * ak)
            if fused:
                fits = (m + s.rows) * depth <= ROOM
                with r.when((am == size) & (ak != size) & (n > s.wide) & fits):
                    r.invoke(self.strips, m, steps, left.value, ak, strips)
                    left.value, row.value = strips, r.lift(size, "i64")
                    along.value, strip.value = r.lift(size * s.rows, "i64"), steps * (size * s.rows)
            on = select(at > 0, 1, add)
            with r.loop(0, n, CHUNK * s.wide) as j:
                here = least(n - j, CHUNK * s.wide)
                self.pack(r, steps, here, r.bytes_on(r.bytes_on(b, at * bk), j * bn), bk, bn, room)
                with r.loop(0, here, s.wide) as t:
                    columns, panel = least(here - t, s.wide), r.at(room, t * steps, s.type)
                    past = offset if fused else select((j + t == 0) & (bn == size), offset, -1)
                    known = left.value, row.value, along.value, strip.value, panel, s.wide * size
                    r.invoke(self.panels[fused], m, steps, *known, r.at(c, j + t, s.type), cm, columns, on, past)
        return r

    def a_part(self) -> Routine:
        """What one thread does at a time: a block of one product, or several small products."""
        r = part_of("part", _CALL, self.shape.lanes)
        v = dict(zip(r.parameters, r.arguments))
        part, per, groups, m, n = v["part"], v["per"], v["groups"], v["m"], v["n"]
        start = part // per * v["each"]
        block = part % per
        i, j = block // groups * v["rows"], block % groups * v["columns"]
        high, wide = least(m - i, v["rows"]), least(n - j, v["columns"])
        cm = n * self.size
        with r.loop(start, least(start + v["each"], v["batch"])) as index:
            a = r.bytes_on(r.bytes_on(v["a"], index * v["next_a"]), i * v["am"])
            b = r.bytes_on(r.bytes_on(v["b"], index * v["next_b"]), j * v["bn"])
            c = r.at(r.bytes_on(r.bytes_on(v["c"], index * v["next_c"]), i * cm), j, self.shape.type)
            add = r.one.convert("zext", v["biased"] > 0, "i64")
            with r.when(add != 0), r.loop(0, high) as row:
                target, bias = r.bytes_on(c, row * cm), r.bytes_on(v["bias"], j * v["bias_n"])
                with r.loop(0, wide) as column:
                    x = r.load(r.bytes_on(bias, column * v["bias_n"]), self.shape.type, 0)
                    r.store(x, r.at(target, column, self.shape.type))
            whole = select(n < PEELED, -1, index * (v["next_c"] // self.size) + i * n + j)
            known = high, wide, v["k"], a, v["am"], v["ak"], b, v["bk"], v["bn"], c, cm, add, whole
            with r.choice(v["fused"] != 0) as (yes, no):
                with yes:
                    r.invoke(self.blocks[True], *known)
                with no:
                    r.invoke(self.blocks[False], *known)
        return r


def product(type: str, lanes: int) -> list[Routine]:
    """(m,k),(k,n),(b) -> (m,n): the loop of a generalised ufunc for the product plus a bias; an empty bias is none.

    The result must lie row by row, as NumPy makes it; the operands may lie in any way.
    """
    writer = _Writer(shape(type, lanes))
    s, size = writer.shape, writer.size
    main = Routine("product", {"args": "ptr", "dims": "ptr", "steps": "ptr"}, 0)
    args, dims, steps = main.arguments
    a, b, bias, c = (main.load(main.at(args, i, "ptr"), "ptr") for i in range(4))
    batch, m, k, n, biased = (main.load(main.at(dims, i, "i64"), "i64") for i in range(5))
    distances = [main.load(main.at(steps, i, "i64"), "i64") for i in range(9)]
    next_a, next_b, _, next_c, am, ak, bk, bn, bias_n = distances

    def turn(condition: Value, x: Value, y: Value) -> Value:
        return select(condition, y, x)

    one = n == 1  # a column: its transpose is a row
    a, b, next_a, next_b = turn(one, a, b), turn(one, b, a), turn(one, next_a, next_b), turn(one, next_b, next_a)
    am, ak, bk, bn = turn(one, am, bn), turn(one, ak, bk), turn(one, bk, ak), turn(one, bn, am)
    m, n = turn(one, m, main.lift(1, "i64")), turn(one, n, m)
    fused = main.one.convert("zext", (n >= NARROW) & (m >= LOW), "i64")

    work = m * n * k
    want = least(work // GRAIN + 1, MOST)
    across = (am == size) & (ak != size)
    all_columns = (n + s.wide - 1) // s.wide
    lines = m // FEWEST + 1
    groups = select(across, (want + least(want, lines) - 1) // least(want, lines), want)
    groups = least(groups, all_columns)
    columns = (all_columns + groups - 1) // groups * s.wide
    groups = (n + columns - 1) // columns
    blocks = least((want + groups - 1) // groups, lines)
    most = select(across, main.lift_one(ROOM) // least(k, DEPTH) // s.rows * s.rows - s.rows, ROWS)
    rows = least(((m + blocks - 1) // blocks + s.rows - 1) // s.rows * s.rows, select(most > 0, most, ROWS))
    per = groups * ((m + rows - 1) // rows)
    each = select(per > 1, 1, main.lift_one(GRAIN) // (work + 1) + 1)
    parts = (batch + each - 1) // each * per
    known = a, am, ak, b, bk, bn, bias, bias_n, biased, c, m, n, k, fused, next_a, next_b, next_c
    main.parallel(writer.part, parts, *known, batch, each, per, groups, rows, columns)
    return [main, *writer.all()]
