"""Products of matrices as generated code: cut into blocks, the blocks' operands packed, tiles multiplied (`tiles`).

Note [Order of sums]. The last bits of a product depend on the order in which its terms are added up. Here it follows
from shapes and layouts alone, never from the number of threads or the width of vectors. For float32 it is the order of
PyTorch 2.13 on x86-64 with AVX2 (its library is MKL 2024.2), found out by experiment: sums of ones in which a large
number comes and goes show the tree of additions. For C = A @ B with A (m, k) and B (k, n):

* n >= 12 and m >= 4: blocks of 192 along k (of k // 2 where 192 < k < 384), each one chain of fused multiply-adds from
  0; their results are added to C in order, where C is at first what the product is added to (a bias, say), if anything.
* Otherwise each row is a product of its own, and products and sums are rounded separately.
  - B's columns side by side, or neither A's nor B's numbers along k: one chain, from 0 or from C. But in rows that
    begin off a multiple of 16 bytes, the elements up to that multiple add up eight products as four, one by one, and
    the sum of four (`tiles.chain`).
  - A and B along k (x @ W.T): four lanes, after as many single products as lead to a multiple of 16 bytes in A's row,
    for each four columns; two such sums in turn for the columns that are left (`tiles.dots`). C is added at last.
  - A vector times a vector: four sums of four lanes (`tiles.inner`).

Of 8,192 products with m and n from 1 to 150 and k from 1 to 500 in all layouts, all but some of 1 x k by k x 1 came out
the same; matrices that begin off a multiple of 16 bytes and factors alpha are left out. For float64 the first case is
one chain for any k, and PyTorch's elements differ in the last n % 12 columns and in products along k.

References: Goto & van de Geijn, "Anatomy of high-performance matrix multiplication", ACM TOMS 34 (2008); Van Zee & van
de Geijn, "BLIS", ACM TOMS 41 (2015).
"""

from __future__ import annotations

from typing import NamedTuple

from . import tiles
from .routine import SIZES, Routine, least, part_of
from .vectors import Value, select

DEPTH = 192  # steps along k of a block
GRAIN = 1 << 20  # multiplications of a part for one thread: some 20 us
MOST = 32  # parts that a product is cut into, if its blocks are not too large then
ROWS = 96  # of a block
CHUNK = 4  # panels of B that are packed at a time: 48 KiB, with a cache line's or more of each row
ROOM = 75264  # bytes of A that are packed: ROWS times DEPTH floats and a little more
FEWEST = 96  # rows of a part, so that packing B pays
NARROW, LOW = 12, 4  # fewer columns, or rows: products of single rows
STREAMS = 16  # rows of B that a single row's product reads side by side,
LINE = 4  # and how many vectors of each at a time
LONG = 1024  # columns of a part of such a product: pieces of rows shorter than a page take twice as long to read
FUSED, CHAINS, DOTS = range(3)  # kinds of sums
VECTORS = -2  # an offset: the product of two vectors


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

    @property
    def room(self) -> int:
        """Numbers of A that are packed."""
        return ROOM // SIZES[self.type]


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
    "a": "ptr", "am": "i64", "ak": "i64", "b": "ptr", "bk": "i64", "bn": "i64", "base": "ptr", "base_m": "i64",
    "base_n": "i64", "add": "i64", "c": "ptr", "m": "i64", "n": "i64", "k": "i64", "kind": "i64", "next_a": "i64",
    "next_b": "i64", "next_c": "i64", "next_base": "i64",
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
        self.line = tiles.chain(1, LINE, s.type, s.lanes, False, full=True)
        orders = (8, "fours"), (4, "fours"), (1, "eights"), (1, "pairs")
        self.dots = {key: tiles.dots(*key, s.type) for key in orders}
        self.inner = tiles.inner(s.type)
        self.panels = {True: self.panel("panel", self.fused), False: self.panel("chain_panel", self.chains)}
        self.blocks = {
            FUSED: self.block("block", True),
            CHAINS: self.block("chain_block", False),
            DOTS: self.dot_block(),
        }
        self.part = self.a_part()

    def all(self) -> list[Routine]:
        """Every routine but the public one, for `routine.module`."""
        found = [self.any, self.rows, self.columns, self.strips, self.part, *self.fused.values(), *self.chains.values()]
        return [*found, self.line, self.inner, *self.dots.values(), *self.panels.values(), *self.blocks.values()]

    def panel(self, name: str, kernels: dict[int, Routine]) -> Routine:
        """All rows of A times one panel of B: tiles as high as possible, the last two of nearly the same height.

        Two rows take as long as four, since each sum waits for the one before. `strip` is the distance from tile to
        tile in A; where it is not that of a tile's rows, A is packed, and the last tile is what is left.
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
        chunk = CHUNK * s.wide
        r = Routine(name, _BLOCK, 0, aliased=False)
        m, n, k, a, am, ak, b, bk, bn, c, cm, add, offset = r.arguments
        room, strips = r.room(chunk * DEPTH, s.type), r.room(s.room + s.lanes, s.type)
        depth = r.lift(DEPTH, "i64")
        if fused:
            depth = select((k > DEPTH) & (k < 2 * DEPTH), k // 2, depth)
        left, row = r.variable(a), r.variable(am)
        along, strip = r.variable(ak), r.variable(am * max(self.fused if fused else self.chains))
        whole = r.lift_one(0) if fused else self.lines(r, LINE * s.lanes)
        with r.loop(0, k, depth) as at:
            steps = least(depth, k - at)
            left.value = r.bytes_on(a, at * ak)
            if fused:
                fits = (m // s.rows + 1) * (depth * s.rows + s.lanes) <= s.room
                with r.when((am == size) & (ak != size) & (n > s.wide) & fits):
                    r.invoke(self.strips, m, steps, left.value, ak, strips)
                    left.value, row.value = strips, r.lift(size, "i64")
                    along.value = r.lift(size * s.rows, "i64")
                    strip.value = (steps * s.rows + tiles.spill(s.rows, s.lanes)) * size
            on = select(at > 0, 1, add)
            with r.loop(whole, n, chunk) as j:
                here = least(n - j, chunk)
                self.pack(r, steps, here, r.bytes_on(r.bytes_on(b, at * bk), j * bn), bk, bn, room)
                with r.loop(0, here, s.wide) as t:
                    columns, panel = least(here - t, s.wide), r.at(room, t * steps, s.type)
                    past = offset if fused else select((j + t == 0) & (bn == size), offset, -1)
                    known = left.value, row.value, along.value, strip.value, panel, s.wide * size
                    r.invoke(self.panels[fused], m, steps, *known, r.at(c, j + t, s.type), cm, columns, on, past)
        return r

    def lines(self, r: Routine, chunk: int) -> Value:
        """One row times columns that lie side by side, a few steps along k at a time: B is read once, from end to end.

        Returns how many columns that did; all but the last few, or none.
        """
        m, n, k, a, am, ak, b, bk, bn, c, cm, add, offset = r.arguments
        whole = select((m == 1) & (bn == self.size) & (offset <= 0), n // chunk * chunk, 0)
        with r.when(whole > 0), r.loop(0, k, STREAMS) as at:
            steps, on = least(k - at, STREAMS), select(at > 0, 1, add)
            with r.loop(0, whole, chunk) as j:
                source = r.bytes_on(r.at(b, j, self.shape.type), at * bk)
                target = r.at(c, j, self.shape.type)
                r.invoke(self.line, steps, r.bytes_on(a, at * ak), am, ak, source, bk, target, cm, chunk, on, -1)
        return whole

    def dot_block(self) -> Routine:
        """A block of products of rows of A with columns of B that lie along."""
        r = Routine("dot_block", _BLOCK, 0, aliased=False)
        m, n, k, a, am, _, b, _, bn, c, cm, add, offset = r.arguments
        one = offset == VECTORS
        with r.when(one):
            r.invoke(self.inner, k, a, b, c, add)
        with r.loop(0, select(one, 0, m)) as i:
            x, target = r.bytes_on(a, i * am), r.bytes_on(c, i * cm)
            apart = (0 - offset - i * (am // self.size)) & 3
            usual = select(offset < 0, ((k - 1) & 3) + 1, apart)
            start = r.lift_one(0)
            for count in (8, 4):
                stop = n // count * count
                with r.loop(start, stop, count) as j:
                    place = r.at(target, j, self.shape.type)
                    r.invoke(self.dots[count, "fours"], k, x, r.bytes_on(b, j * bn), bn, place, usual, add)
                start = stop
            with r.loop(start, n) as j:
                known = k, x, r.bytes_on(b, j * bn), bn, r.at(target, j, self.shape.type)
                with r.choice((offset < 0) & (j - start == 1)) as (second, other):
                    with second:
                        r.invoke(self.dots[1, "eights"], *known, 4, add)
                    with other:
                        r.invoke(self.dots[1, "pairs"], *known, select(offset < 0, 4, apart), add)
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
            add = v["add"]
            with r.when(add != 0), r.loop(0, high) as row:
                source = r.bytes_on(v["base"], index * v["next_base"] + (i + row) * v["base_m"] + j * v["base_n"])
                target = r.bytes_on(c, row * cm)
                with r.loop(0, wide) as column:
                    x = r.load(r.bytes_on(source, column * v["base_n"]), self.shape.type, 0)
                    r.store(x, r.at(target, column, self.shape.type))
            row_c = select(j > 0, -1, (index * (v["next_c"] // self.size) + i * n) & 3)
            row_a = (index * (v["next_a"] // self.size) + i * (v["am"] // self.size)) & 3
            row_a = select(m == 1, select(n == 1, r.lift_one(VECTORS), -1), row_a)
            for kind, routine in self.blocks.items():
                with r.when(v["kind"] == kind):
                    known = v["k"], a, v["am"], v["ak"], b, v["bk"], v["bn"], c, cm, add
                    r.invoke(routine, high, wide, *known, row_c if kind == CHAINS else row_a)
        return r


def product(type: str, lanes: int) -> list[Routine]:
    """(m,k),(k,n),(r,b) -> (m,n): the loop of a generalised ufunc for the product plus a start value.

    The start is (m, n) or a row (1, n); an empty one is none. The result must lie row by row, as NumPy makes it; the
    operands may lie in any way.
    """
    writer = _Writer(shape(type, lanes))
    s, size = writer.shape, writer.size
    main = Routine("product", {"args": "ptr", "dims": "ptr", "steps": "ptr"}, 0)
    args, dims, steps = main.arguments
    a, b, base, c = (main.load(main.at(args, i, "ptr"), "ptr") for i in range(4))
    batch, m, k, n, tall, wide = (main.load(main.at(dims, i, "i64"), "i64") for i in range(6))
    distances = [main.load(main.at(steps, i, "i64"), "i64") for i in range(10)]
    next_a, next_b, next_base, next_c, am, ak, bk, bn, base_m, base_n = distances
    base_m = select(tall == 1, 0, base_m)
    add = main.one.convert("zext", wide > 0, "i64")

    one = n == 1  # a column: its transpose is a row
    (a, b), (next_a, next_b) = _turned(one, a, b), _turned(one, next_a, next_b)
    (am, bn), (ak, bk), (base_m, base_n) = _turned(one, am, bn), _turned(one, ak, bk), _turned(one, base_m, base_n)
    n, m = select(one, m, n), select(one, 1, m)
    along = (bk == size) & ((bn != size) | (n == 1)) & (ak == size)
    kind = select((n >= NARROW) & (m >= LOW), FUSED, select(along, DOTS, main.lift_one(CHAINS)))
    each, per, *cuts = _cuts(main, s, m, n, k, kind, (am == size) & (ak != size))
    known = a, am, ak, b, bk, bn, base, base_m, base_n, add, c, m, n, k, kind, next_a, next_b, next_c, next_base
    main.parallel(writer.part, (batch + each - 1) // each * per, *known, batch, each, per, *cuts)
    return [main, *writer.all()]


def _turned(condition: Value, x: Value, y: Value) -> tuple[Value, Value]:
    """Two numbers, which change places if the condition holds."""
    return select(condition, y, x), select(condition, x, y)


def _cuts(r: Routine, s: Shape, m: Value, n: Value, k: Value, kind: Value, across: Value) -> tuple[Value, ...]:
    """How a product is cut into parts, which follows from its shape alone.

    Returns how many matrices of a stack are one part, in how many parts a matrix is cut, how many of them are side by
    side, and the rows and columns of a part. Packing B costs the less the more rows a part has, packing A (which is
    done where it lies `across`) the more columns.
    """
    work = m * n * k
    want = least(work // select(kind == FUSED, GRAIN, r.lift_one(GRAIN // 8)) + 1, MOST)
    want = select((kind == CHAINS) & (m < LOW), least(want, n // LONG + 1), want)
    panels, lines = (n + s.wide - 1) // s.wide, m // select(kind == FUSED, FEWEST, r.lift_one(FEWEST // 4)) + 1
    tall, chunks = least(want, lines), (panels + CHUNK - 1) // CHUNK
    wide = least((want + tall - 1) // tall, (panels + 2 * CHUNK - 1) // (2 * CHUNK))
    groups = select(across, wide, least(want, select(chunks < 4, (panels + 1) // 2, chunks)))
    columns = (panels + groups - 1) // groups * s.wide
    groups = (n + columns - 1) // columns
    blocks = least((want + groups - 1) // groups, lines)
    most = select(across, r.lift_one(s.room) // least(k, DEPTH) // s.rows * s.rows - s.rows, ROWS)
    rows = least(((m + blocks - 1) // blocks + s.rows - 1) // s.rows * s.rows, select(most > 0, most, ROWS))
    per = groups * ((m + rows - 1) // rows)
    each = select(per > 1, 1, r.lift_one(GRAIN) // (work + 1) + 1)
    return each, per, groups, rows, columns
