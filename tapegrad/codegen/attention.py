"""Attention in one kernel: `softmax(scale q k^T + mask) v`, a few queries at a time, and its derivative.

For ROWS queries at a time the scores of all keys they see are made, turned into probabilities and used up while they
are in the first-level cache; there is never an array of the size queries times keys. What is kept for the way back is
the logarithm of each query's sum. All products are done by one routine, `panel`: a few rows times a matrix, with
ROWS x COLUMNS vectors of sums in registers. Keys (and values, on the way back) are turned once for each head, into
memory that the caller lends, so that the columns of a product lie side by side.

The way back takes queries in portions whose probabilities fit into PORTION numbers; what a portion adds to the
gradients of keys and values is a product of the same kind, of the turned probabilities.

Causal: query i sees keys 0 to i; columns beyond are not computed (whole vectors), or are set to -inf.

Invariants: last dimensions lie side by side, and are whole vectors; every head, and on the way forward every portion of
queries, is computed by itself, so threads change nothing.

References: Dao et al., "FlashAttention" (2022); Goto & van de Geijn, "Anatomy of high-performance matrix
multiplication", ACM TOMS 34 (2008).
"""

from __future__ import annotations

from collections.abc import Sequence

from . import vecmath
from .routine import SIZES, Routine, least, part_of
from .rows import INF, Piece, _more, falling_exp, sweep
from .vectors import Value, select

ROWS, COLUMNS = 4, 2  # of a panel's sums, in numbers and in vectors: 8 of 16 registers
PORTION = {"float": 4096, "double": 2048}  # probabilities that are there at once: 16 KiB
MOST_KEYS = {name: n // ROWS for name, n in PORTION.items()}
CHUNK = 64  # queries of a head that one thread takes


def panel(real: str, lanes: int) -> Routine:
    """`c (+)= a b` for a of (ROWS, depth), b of (depth, columns); only the first `valid` rows are there.

    Strides are in bytes; those of b's and c's columns are one element. `columns` are whole vectors.
    """
    strides = dict.fromkeys(("a_row", "a_k", "b_k", "c_row", "depth", "columns", "valid"), "i64")
    r = Routine("panel", {"a": "ptr", "b": "ptr", "c": "ptr", **strides, "add": "i1"}, lanes, inline=False)
    p = dict(zip(r.parameters, r.arguments))
    rows = [r.bytes_on(p["a"], least(r.lift_one(k), p["valid"] - 1) * p["a_row"]) for k in range(ROWS)]

    def block(j: Value, vectors: int) -> None:
        b = r.at(p["b"], j, real)
        places = [
            [r.at(r.bytes_on(p["c"], p["c_row"] * k), j + u * lanes, real) for u in range(vectors)] for k in range(ROWS)
        ]
        sums = [[r.variable(r.lift(0.0, real)) for _ in range(vectors)] for _ in range(ROWS)]

        def old() -> None:
            for k in range(ROWS):
                with r.when(p["valid"] > k):
                    for u in range(vectors):
                        sums[k][u].value = r.load(places[k][u], real)

        with r.when(p["add"]):
            old()
        with r.loop(0, p["depth"]) as i:
            line = r.bytes_on(b, i * p["b_k"])
            right = [r.load(r.at(line, u * lanes, real), real) for u in range(vectors)]
            for k in range(ROWS):
                left = r.splat(r.load(r.bytes_on(rows[k], i * p["a_k"]), real, 0))
                for u in range(vectors):
                    sums[k][u].value = left.fma(right[u], sums[k][u].value)
        for k in range(ROWS):
            with r.when(p["valid"] > k):
                for u in range(vectors):
                    r.store(sums[k][u].value, places[k][u])

    width = COLUMNS * lanes
    wide = p["columns"] // width * width
    with r.loop(0, wide, width) as j:
        block(j, COLUMNS)
    with r.loop(wide, p["columns"], lanes) as j:
        block(j, 1)
    return r


def turned(real: str, lanes: int) -> Routine:
    """The transpose of x (n, m), rows `step` bytes apart, as (m, width); columns beyond n repeat row n - 1."""
    r = Routine(
        "turned", {"x": "ptr", "out": "ptr", "step": "i64", "n": "i64", "m": "i64", "width": "i64"}, lanes, inline=False
    )
    x, out, step, n, m, width = r.arguments
    with r.loop(0, width, lanes) as i:
        rows = [r.bytes_on(x, least(i + k, n - 1) * step) for k in range(lanes)]
        with r.loop(0, m, lanes) as j:
            block = [r.load(r.at(row, j, real), real) for row in rows]
            half = lanes // 2
            while half:  # lanes of the first half between those of the second: after log2(lanes) times they are turned
                low = [k // 2 + (k % 2) * lanes for k in range(lanes)]
                high = [k + lanes // 2 for k in low]
                pairs = zip(block[: lanes // 2], block[lanes // 2 :])
                block = [r.pick(a, b, order) for a, b in pairs for order in (low, high)]
                half //= 2
            for k, vector in enumerate(block):
                r.store(vector, r.at(out, (j + k) * width + i, real))
    return r


class _Call:
    """The public routine and its parts: what the operands and sizes of a call are named.

    Args:
        names: of the operands in order; `steps` has, for each, the names of its strides in order, or None.
        sizes: the names of the core dimensions in order.
    """

    def __init__(self, name: str, real: str, lanes: int, names: Sequence[str], sizes: Sequence[str], strides: dict):
        self.real, self.lanes, self.names, self.sizes, self.strides = real, lanes, names, sizes, strides
        self.main = Routine(name, {"args": "ptr", "dims": "ptr", "steps": "ptr"}, 0)
        args, dims, steps = self.main.arguments
        self.given = {n: self._load(args, k, "ptr") for k, n in enumerate(names)}
        self.given |= {n: self._load(dims, k + 1, "i64") for k, n in enumerate(sizes)}
        at = len(names)
        for operand in names:
            for which in strides[operand]:
                if which:
                    self.given[f"{operand}.{which}"] = self._load(steps, at, "i64")
                at += 1

    def _load(self, place: Value, k: int, type: str) -> Value:
        return self.main.load(self.main.at(place, k, type), type)

    def part(self, name: str, more: Sequence[str] = ()) -> tuple[Routine, dict[str, Value]]:
        """A routine for a part, which knows all that the call knows, and `more` numbers."""
        types = {n: "ptr" if n in self.names else "i64" for n in (*self.given, *more)}
        routine = part_of(name, {n.replace(".", "_"): t for n, t in types.items()}, self.lanes)
        return routine, dict(zip((*types, "part"), routine.arguments))

    def run(self, part: Routine, count: Value, *more: Value) -> None:
        """Do it `count` times."""
        self.main.parallel(part, count, *self.given.values(), *more)


class _Head:
    """Addresses in one head of a part: the number of the head is `b * h + j`."""

    def __init__(self, call: _Call, r: Routine, p: dict[str, Value], head: Value):
        self.call, self.r, self.p, self.head = call, r, p, head
        self.real, self.size = call.real, SIZES[call.real]
        self.b, self.h = head // p["h"], head % p["h"]
        settings = [r.load(r.at(p["settings"], k, "double"), "double", 0) for k in range(2)]
        self.scale = r.splat(settings[0].to(call.real))
        self.causal = settings[1] != 0.0
        width = call.lanes * COLUMNS
        self.width = (p["s"] + width - 1) // width * width  # keys, as whole panels
        self.row = self.width * self.size

    def at(self, name: str, row: Value | int = 0) -> Value:
        """Where row `row` of an operand (b,h,rows,...) begins."""
        p, r = self.p, self.r
        place = self.b * p[f"{name}.b"] + self.h * p[f"{name}.h"]
        return r.bytes_on(p[name], place + p[f"{name}.n"] * row)

    def number(self, name: str, row: Value) -> Value:
        """Where the number of a query is, in (b, h, l)."""
        return self.r.at(self.p[name], self.head * self.p["l"] + row, self.real)

    def space(self, k: Value | int = 0) -> Value:
        """The memory of the head, from element `k` on."""
        return self.r.at(self.p["space"], self.head * self.p["w"] + k, self.real)

    def seen(self, row: Value) -> Value:
        """How many keys a query sees."""
        return select(self.causal, least(row + 1, self.p["s"]), self.p["s"])

    def masked(self, scores: Value, piece: Piece, query: Value, limit: Value) -> Value:
        """`scale scores + mask`; -inf where a key is hidden."""
        r, real = self.r, self.real
        s = scores * self.scale
        index = r.count(type="i32") + r.splat(r.one.emit(f"trunc {piece.index.typed} to i32", "i32"))
        inside = index < limit
        if "mask" in self.p:
            mask = r.at(self.at("mask", query), piece.index, real)
            s = s + r.load_first(mask, inside, r.lift(0.0, real))
        return select(inside, s, -INF)

    def limit(self, seen: Value) -> Value:
        """A number of keys in every lane."""
        return self.r.splat(self.r.one.emit(f"trunc {seen.typed} to i32", "i32"))

    def vectors(self, n: Value) -> Value:
        """A number of keys as whole vectors."""
        return (n + self.call.lanes - 1) // self.call.lanes * self.call.lanes


def _strides(names: Sequence[str]) -> dict[str, tuple]:
    """The names of the strides of the operands; rows are "n"."""
    four = ("b", "h", "n", None)
    table: dict[str, tuple] = dict.fromkeys(("q", "k", "v", "g", "o", "dq", "dk", "dv"), four)
    table |= {"out": ("b", "n", "h", None), "mask": four, "settings": (None,)}
    table |= {"space": (None,) * 3, "logs": (None,) * 3}
    return {n: table[n] for n in names}


# ---- forward ---------------------------------------------------------------------------------------------------------


def forward(real: str, lanes: int, masked: bool) -> list[Routine]:
    """q (b,h,l,e), k (b,h,s,e), v (b,h,s,f), [mask (b,h,l,s)], (scale, causal) (2), space (b,h,w) -> out (b,l,h,f),
    logs (b,h,l).

    `space` has e times the keys, rounded up to a whole panel, for each head.
    """
    names = ["q", "k", "v", *["mask"] * masked, "settings", "space", "out", "logs"]
    sizes = ["b", "h", "l", "e", "s", "f", "two", "w"]
    call = _Call("attention", real, lanes, names, sizes, _strides(names))
    product, turn = panel(real, lanes), turned(real, lanes)
    first, p = call.part("turn")
    head = _Head(call, first, p, p["part"])
    first.invoke(turn, head.at("k"), head.space(), p["k.n"], p["s"], p["e"], head.width)
    r, p = call.part("queries", ["chunks"])
    head = _Head(call, r, p, p["part"] // p["chunks"])
    start = p["part"] % p["chunks"] * CHUNK
    scores = r.room(ROWS * MOST_KEYS[real], real)
    with r.loop(start, least(start + CHUNK, p["l"]), ROWS) as i:
        valid = least(r.lift_one(ROWS), p["l"] - i)
        most = head.seen(i + valid - 1)
        columns = head.vectors(most)
        r.invoke(
            product,
            head.at("q", i),
            head.space(),
            scores,
            p["q.n"],
            head.size,
            head.row,
            head.row,
            p["e"],
            columns,
            valid,
            False,
        )
        sums = r.room(ROWS, real)
        with r.loop(0, valid) as k:
            _probabilities(head, i + k, r.at(scores, head.width * k, real), columns, r.at(sums, k, real))
        r.invoke(
            product,
            scores,
            head.at("v"),
            head.at("out", i),
            head.row,
            head.size,
            p["v.n"],
            p["out.n"],
            most,
            p["f"],
            valid,
            False,
        )
        with r.loop(0, valid) as k:
            by, out = r.splat(r.load(r.at(sums, k, real), real, 0)), head.at("out", i + k)
            _scale(r, out, by, p["f"])
    main = call.main
    chunks = (call.given["l"] + CHUNK - 1) // CHUNK
    call.run(first, call.given["b"] * call.given["h"])
    call.run(r, call.given["b"] * call.given["h"] * chunks, chunks)
    return [main, first, r, product, turn]


def _scale(r: Routine, out: Value, by: Value, n: Value) -> None:
    """`n` numbers, whole vectors, times the same one."""
    with r.loop(0, n, r.lanes) as i:
        place = r.at(out, i, by.type)
        r.store(r.load(place, by.type) * by, place)


def _probabilities(head: _Head, query: Value, scores: Value, columns: Value, inverse: Value) -> None:
    """One query: exponentials in place of scores, the inverse of their sum, and its logarithm."""
    r, real = head.r, head.real
    limit = head.limit(head.seen(query))

    def finish(piece: Piece, top: Value) -> Value:
        s = head.masked(piece.load(scores, real), piece, query, limit)
        piece.store(s, scores)
        return _more(s, top)

    (top,) = sweep(r, columns, finish, [r.lift(-INF, real)], _more, unroll=2)
    top = select(top == -INF, 0.0, top)
    peak = r.splat(top)

    def exponentials(piece: Piece, total: Value) -> Value:
        e = falling_exp(piece.load(scores, real) - peak)
        piece.store(e, scores)
        return total + e

    (total,) = sweep(r, columns, exponentials, [r.lift(0.0, real)], unroll=2)
    blind = total == 0.0
    r.store(select(blind, 0.0, 1 / total), inverse)
    r.store(select(blind, INF, top + vecmath.log(total)), head.number("logs", query))


# ---- backward --------------------------------------------------------------------------------------------------------


def backward(real: str, lanes: int, masked: bool) -> list[Routine]:
    """g (b,h,l,f), q (b,h,l,e), k (b,h,s,e), v (b,h,s,f), [mask (b,h,l,s)], o (b,h,l,f), logs (b,h,l), (scale, causal)
    (2), space (b,h,w), dq (b,h,l,e), dk (b,h,s,e), dv (b,h,s,f) -> (b,h).

    The gradients are operands, written to, so that they may lie as the caller likes; the result means nothing. `space`
    has e + f times the keys, rounded up to a whole panel.
    """
    names = ["g", "q", "k", "v", *["mask"] * masked, "o", "logs", "settings", "space", "dq", "dk", "dv", "done"]
    sizes = ["b", "h", "l", "f", "e", "s", "two", "w"]
    call = _Call("attention_backward", real, lanes, names, sizes, {**_strides(names[:-1]), "done": (None, None)})
    product, turn = panel(real, lanes), turned(real, lanes)
    r, p = call.part("head")
    head = _Head(call, r, p, p["part"])
    size, row = head.size, head.row
    values = p["e"] * head.width  # where the turned values are
    r.invoke(turn, head.at("k"), head.space(), p["k.n"], p["s"], p["e"], head.width)
    r.invoke(turn, head.at("v"), head.space(values), p["v.n"], p["s"], p["f"], head.width)
    probabilities, slopes = r.room(PORTION[real], real), r.room(PORTION[real], real)
    portion = r.lift_one(PORTION[real]) // head.width // ROWS * ROWS
    with r.loop(0, p["l"], portion) as start:
        end = least(start + portion, p["l"])
        with r.loop(start, end, ROWS) as i:
            valid = least(r.lift_one(ROWS), p["l"] - i)
            most = head.seen(i + valid - 1)
            columns = head.vectors(most)
            ps, ss = (r.at(room, (i - start) * head.width, real) for room in (probabilities, slopes))
            r.invoke(
                product, head.at("q", i), head.space(), ps, p["q.n"], size, row, row, p["e"], columns, valid, False
            )
            r.invoke(
                product,
                head.at("g", i),
                head.space(values),
                ss,
                p["g.n"],
                size,
                row,
                row,
                p["f"],
                columns,
                valid,
                False,
            )
            with r.loop(0, valid) as k:
                _slopes(head, i + k, r.at(ps, head.width * k, real), r.at(ss, head.width * k, real), columns)
            r.invoke(
                product, ss, head.at("k"), head.at("dq", i), row, size, p["k.n"], p["dq.n"], most, p["e"], valid, False
            )
        # keys that some query of the portion sees: gradients of values and keys, from the first query on that sees them
        with r.loop(0, head.seen(end - 1), ROWS) as s:
            valid = least(r.lift_one(ROWS), p["s"] - s)
            begin = select(head.causal & (s > start), s, start)
            add = start > 0
            for room, own, other, name in ((probabilities, "g", "dv", "f"), (slopes, "q", "dk", "e")):
                a = r.at(room, (begin - start) * head.width + s, real)
                r.invoke(
                    product,
                    a,
                    head.at(own, begin),
                    head.at(other, s),
                    size,
                    row,
                    p[f"{own}.n"],
                    p[f"{other}.n"],
                    end - begin,
                    p[name],
                    valid,
                    add & r.one.argument("true", "i1"),
                )
    call.run(r, call.given["b"] * call.given["h"])
    return [call.main, r, product, turn]


def _slopes(head: _Head, query: Value, scores: Value, slopes: Value, columns: Value) -> None:
    """One query: P in place of the scores, and `scale P (g v^T - sum(g o))` in place of `g v^T`."""
    r, p, real = head.r, head.p, head.real
    g, o = head.at("g", query), head.at("o", query)
    (shared,) = sweep(
        r, p["f"], lambda piece, s: piece.load(g, real).fma(piece.load(o, real), s), [r.lift(0.0, real)], unroll=1
    )
    level, log = r.splat(shared), r.splat(r.load(head.number("logs", query), real, 0))
    limit = head.limit(head.seen(query))

    def both(piece: Piece) -> None:
        s = falling_exp(head.masked(piece.load(scores, real), piece, query, limit) - log)
        piece.store(s, scores)
        piece.store(s * (piece.load(slopes, real) - level) * head.scale, slopes)

    sweep(r, columns, both, unroll=1)
