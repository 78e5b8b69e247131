"""Recurrent layers as machine code: all steps of a layer in one direction, forward and backward through time.

A sequence never looks at its neighbours in the batch, so each thread takes some of them (a part) through all steps and
one fork and join is enough for a layer. A step is one product of a few rows, [state | input], with all weights, and
what becomes of the sums: they are turned into gates and states while they are still in registers.

Note [Panels]. Weights are copied once per call into panels: the columns of a panel are as many vectors as a tile has
sums side by side (one vector of units in each gate, or `width` neighbouring vectors where there is one gate), so a
product reads them from the first to the last. A tile is a panel times `rows` sequences, held in registers.

Note [Rows]. Units are padded with zeros to whole panels, `P` of them for H, and inputs to a multiple of `UNROLL`, `J`
of them for I, in what is seen here only. Forward keeps in one array, one after the other: z (T + 1, B, P + J), what
each step reads, the state before it and its input; gates (T, B, `SAVED` P); for an LSTM cells (T + 1, B, P) and their
tanh (T, B, P). Padding is finite and meets zero weights.

Invariants: every sum runs over the state's units, then over the inputs, one after the other, whatever the tile or the
thread; in a step with n sequences the first n are at work, nothing else is read or written. Routines are not inlined:
LLVM takes a third longer with all of them in one function, and a call is nothing beside a tile.

References: Hochreiter & Schmidhuber 1997 (LSTM), Cho et al. 2014 (GRU), Elman 1990; Goto & van de Geijn, "Anatomy of
High-Performance Matrix Multiplication", ACM TOMS 34 (2008), for the panels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from . import vecmath
from .routine import SIZES, Routine, least, part_of
from .rows import Piece, over_rows, sweep
from .tiles import turned
from .vectors import Value, select

KINDS = ("lstm", "gru", "tanh", "relu")
GATES = {"lstm": 4, "gru": 3, "tanh": 1, "relu": 1}  # of the products with the state
SAVED = {"lstm": 4, "gru": 4, "tanh": 0, "relu": 0}  # gates that backward reads
SLOPES = {"lstm": 4, "gru": 4, "tanh": 1, "relu": 1}  # gradients that backward writes
BOUND = 2.6  # ulps by which `sigmoid` and `tanh` were seen to differ from the exact results; a test measures again
UNROLL = 4  # terms of a sum in a turn of the loop; `inputs` is padded with zeros to a multiple


def _between(x: Value, low: float, high: float) -> Value:
    """`x` within limits, in two instructions; NaN passes."""
    below = select(x > high, high, x)
    return select(below < low, low, below)


def sigmoid(x: Value) -> Value:
    """`1 / (1 + exp(-x))`; beyond 87 (float64: 700), where it is 0 or 1 to any precision that counts, as at 87."""
    edge = 87.0 if x.type == "float" else 700.0
    i, p = vecmath._exp_parts(-_between(x, -edge, edge), vecmath.FULL[x.type])
    power = vecmath._power(i, x.type)
    return 1 / (p.fma(power, power) + 1)


def tanh(x: Value) -> Value:
    """`expm1(2x) / (expm1(2x) + 2)`: half the work of `vecmath.tanh`, which has a polynomial for small numbers too."""
    half = vecmath._half_expm1(_between(x + x, -40.0, 40.0))
    return half / (half + 1)


# ---- products --------------------------------------------------------------------------------------------------------


def tile_rows(columns: int, lanes: int, type: str) -> tuple[int, ...]:
    """Heights of tiles, the largest first: sums, a vector of each row and one of the panel fill the registers."""
    wide = lanes * SIZES[type] == 64  # AVX-512 has 32 registers, AVX2 has 16
    if columns == 4:
        return (6, 4, 2, 1) if wide else (3, 2, 1)
    return (6, 4, 2, 1) if wide else (4, 2, 1)


TILE = {
    "rows": "ptr", "length": "i64", "panel": "ptr", "state": "i64", "input": "i64", "begin": "ptr", "onward": "i64",
    "out": "ptr", "down": "i64", "across": "i64",
}  # fmt: skip


def tile(type: str, lanes: int, of_state: Sequence[int], of_input: Sequence[int], size: int) -> Routine:
    """`out[i][j] = begin[i][j] + sum_k rows[i][k] * panel[k][j]` for `size` rows, a vector for each j.

    Args:
        type: "float" or "double".
        lanes: of a vector.
        of_state: the columns j that the first `state` terms of the sum belong to.
        of_input: those of the `input` terms that follow; empty if there are none.
        size: how many rows; `length`, `onward` and `down` are the distances of two of them in rows, begin and out,
            `across` that of two columns of `out`.
    """
    r = Routine(f"tile{size}", TILE, lanes, inline=False)
    rows, length, panel, state, input, begin, onward, out, down, across = r.arguments
    columns = range(max([*of_state, *of_input]) + 1)

    def load(pointer: Value, distance: Value, i: int, j: int) -> Value:
        return r.load(r.at(pointer, distance * i + j * lanes, type), type)

    sums = [[r.variable(load(begin, onward, i, j)) for j in columns] for i in range(size)]
    lines = [r.at(rows, length * i, type) for i in range(size)]
    for terms, order in ((state, of_state), (input, of_input)):
        with r.loop(0, terms, UNROLL) as k:
            for term in range(UNROLL):
                factors = [r.splat(r.load(r.at(line, k + term, type), type, 0)) for line in lines]
                for j, column in enumerate(order):
                    weight = r.load(r.at(panel, (k + term) * (len(order) * lanes) + j * lanes, type), type)
                    for factor, row in zip(factors, sums):
                        row[column].value = factor.fma(weight, row[column].value)
        if not of_input:
            break
        panel = r.at(panel, terms * (len(order) * lanes), type)
        lines = [r.at(line, terms, type) for line in lines]
    for i, row in enumerate(sums):
        for j, sum in enumerate(row):
            r.store(sum.value, r.at(out, down * i + across * j, type))
    return r


def over_tiles(r: Routine, sizes: Sequence[int], count: Value, tile: Callable[[int, Value], None]) -> None:
    """Call `tile(size, first row)` in loops until `count` rows are covered; a last single row is avoided."""
    done = r.lift_one(0)
    for size in sizes:
        left = count - done
        turns = left // size
        if size == 3:  # 4 = 2 + 2
            turns = turns - select((left % 3 == 1) & (left > 1), r.lift_one(1), 0)
        stop = done + turns * size
        with r.loop(done, stop, size) as row:
            tile(size, row)
        done = stop


# ---- forward ---------------------------------------------------------------------------------------------------------

FORWARD = {
    "x": "ptr", "xt": "i64", "xb": "i64", "out": "ptr", "ot": "i64", "ob": "i64", "kept": "ptr", "w_hh": "ptr",
    "w_ih": "ptr", "b_hh": "ptr", "b_ih": "ptr", "panels": "ptr", "table": "ptr", "steps": "i64", "batch": "i64",
    "hidden": "i64", "units": "i64", "features": "i64", "inputs": "i64", "each": "i64",
}  # fmt: skip
STATE = {
    "before": "ptr", "after": "ptr", "gates": "ptr", "cell": "ptr", "new": "ptr", "squashed": "ptr", "units": "i64",
}  # fmt: skip


def _columns(kind: str, width: int) -> tuple[list[int], list[int]]:
    """To which columns of a tile the products with the state and those with the input are added."""
    if kind == "gru":
        return [0, 1, 2], [0, 1, 3]  # reset, update, and the candidate's two products apart
    return list(range(4 if kind == "lstm" else width)), []  # one sum over both


def _units(kind: str, type: str, lanes: int, first: bool) -> Routine:
    """What becomes of the sums of one sequence, unit by unit: the first half of the way to the state, or the second.

    Two loops: functions are long chains of instructions, and of the whole way the processor's window holds two units,
    which left it waiting (a step of 16 x 64 units took a quarter longer).
    """
    r = Routine("first" if first else "second", STATE, lanes, inline=False)
    before, after, gates, cell, new, squashed, units = r.arguments
    with r.loop(0, units, lanes) as i:

        def load(pointer: Value, gate: int = 0) -> Value:
            return r.load(r.at(pointer, units * gate + i, type), type)

        def store(x: Value, pointer: Value, gate: int = 0) -> Value:
            r.store(x, r.at(pointer, units * gate + i, type))
            return x

        if kind == "lstm" and first:
            entered, forget, _ = (store(sigmoid(load(gates, j)), gates, j) for j in (0, 1, 3))
            candidate = store(tanh(load(gates, 2)), gates, 2)
            store(forget.fma(load(cell), entered * candidate), new)
        elif kind == "lstm":
            store(load(gates, 3) * store(tanh(load(new)), squashed), after)
        elif kind == "gru" and first:
            for j in (0, 1):
                store(sigmoid(load(gates, j)), gates, j)
        elif kind == "gru":
            candidate = store(tanh(load(gates, 0).fma(load(gates, 2), load(gates, 3))), gates, 3)
            store(load(gates, 1).fma(load(before) - candidate, candidate), after)
        elif first:
            x = load(after)
            store(tanh(x) if kind == "tanh" else select((x > 0) | (x != x), x, 0.0), after)
    return r


def forward(kind: str, type: str, lanes: int, width: int) -> list[Routine]:
    """A layer of `kind`, for `jit.function`: parameters as in `FORWARD`.

    Sequence b of step s is read at `x + first * xt + b * xb` and written at `out + first * ot + b * ob` (in bytes);
    `table` holds the number of sequences at work in each step, then the `first` of each step. The weights have P rows
    in each gate.

    Args:
        kind: one of `KINDS`.
        type: "float" or "double".
        lanes: of a vector.
        width: vectors of units in a panel; 1 if there are several gates.
    """
    several = GATES[kind] > 1
    of_state, of_input = _columns(kind, width)
    columns, across = max(of_state + of_input) + 1, len(of_state) * lanes
    tiles = {size: tile(type, lanes, of_state, of_input, size) for size in tile_rows(columns, lanes, type)}
    halves = [_units(kind, type, lanes, first) for first in ((True, False) if several else (True,))]
    copy = _copy(type, lanes)
    part = part_of("layer", FORWARD, 0)
    v = dict(zip(FORWARD, part.arguments))
    batch, units, inputs = v["batch"], v["units"], v["inputs"]
    z, gates, cells, squashed = _kept(part, v, kind, type)
    low, high = _range(part, v)
    length, block = units + inputs, width * lanes
    bias = part.at(v["panels"], length * units * GATES[kind], type)
    with part.loop(0, v["steps"]) as s:
        present, first = _step(part, v, s, low, high)
        line = s * batch + low
        now, quarters = part.at(z, line * length, type), part.at(gates, line * (4 * units), type)
        after = part.at(now, batch * length, type)
        with part.loop(0, present) as row:
            source = part.bytes_on(v["x"], first * v["xt"] + (low + row) * v["xb"])
            part.invoke(copy, source, part.at(now, row * length + units, type), v["features"], inputs)
        with part.loop(0, units // block) as u:
            panel = part.at(v["panels"], u * across * length, type)
            start = part.at(bias, u * (columns * lanes), type)

            def product(size: int, row: Value) -> None:
                if several:
                    out = part.at(quarters, row * (4 * units) + u * lanes, type), units * 4, units
                else:
                    out = part.at(after, row * length + u * block, type), length, part.lift_one(lanes)
                terms = (units, inputs) if of_input else (length, part.lift_one(0))
                rows = part.at(now, row * length, type)
                part.invoke(tiles[size], rows, length, panel, *terms, start, 0, *out)

            over_tiles(part, list(tiles), present, product)
        for half in halves:
            with part.loop(0, present) as row:
                cell = part.at(cells, (line + row) * units, type)
                part.invoke(
                    half, part.at(now, row * length, type), part.at(after, row * length, type),
                    part.at(quarters, row * (4 * units), type), cell, part.at(cell, batch * units, type),
                    part.at(squashed, (line + row) * units, type), units,
                )  # fmt: skip
        with part.loop(0, present) as row:
            target = part.bytes_on(v["out"], first * v["ot"] + (low + row) * v["ob"])
            part.invoke(copy, part.at(after, row * length, type), target, v["hidden"], v["hidden"])
    main = Routine("forward", FORWARD, 0)
    pack, biases = _pack(type, lanes, len(of_state)), _biases(kind, type, lanes, columns)
    v = dict(zip(FORWARD, main.arguments))
    units, inputs = v["units"], v["inputs"]
    length = units + inputs
    distances = (units, main.lift_one(lanes)) if several else (main.lift_one(lanes), main.lift_one(lanes * width))
    known = units // block, length, *distances
    main.invoke(pack, v["w_hh"], units, units, v["panels"], *known)
    main.invoke(pack, v["w_ih"], v["features"], inputs, main.at(v["panels"], units * across, type), *known)
    bias = main.at(v["panels"], length * units * GATES[kind], type)
    main.invoke(biases, v["b_hh"], v["b_ih"], bias, units // block, *distances)
    return [_shared(main, v, part), part, pack, biases, copy, *halves, *tiles.values()]


def _kept(r: Routine, v: dict[str, Value], kind: str, type: str) -> tuple[Value, ...]:
    """Where z, gates, cells and their tanh are: Note [Rows]."""
    cells = v["batch"] * v["units"]
    gates = r.at(v["kept"], (v["steps"] + 1) * v["batch"] * (v["units"] + v["inputs"]), type)
    states = r.at(gates, v["steps"] * cells * SAVED[kind], type)
    return v["kept"], gates, states, r.at(states, (v["steps"] + 1) * cells, type)


def _pack(type: str, lanes: int, columns: int) -> Routine:
    """Note [Panels]: `terms` numbers of each row of the weights, filled up to `padded`.

    The first row of column c in panel u is `c * down + u * on`; a panel has `length` terms of all weights together.
    """
    parameters = dict.fromkeys("w terms padded out blocks length down on".split(), "i64") | {"w": "ptr", "out": "ptr"}
    r = Routine("pack", parameters, lanes, inline=False)
    w, terms, padded, out, blocks, length, down, on = r.arguments
    whole = terms // lanes * lanes
    with r.loop(0, blocks) as u, r.loop(0, columns) as c:
        rows = [r.at(w, (u * on + down * c + i) * terms, type) for i in range(lanes)]
        panel = r.at(out, u * length * (columns * lanes) + c * lanes, type)
        with r.loop(0, whole, lanes) as k:
            for t, x in enumerate(turned(r, [r.load(r.at(row, k, type), type) for row in rows])):
                r.store(x, r.at(panel, (k + t) * (columns * lanes), type))
        with r.loop(whole, terms) as k:
            for i, row in enumerate(rows):
                r.store(r.load(r.at(row, k, type), type, 0), r.at(panel, k * (columns * lanes) + i, type))
        with r.loop(terms, padded) as k:
            r.store(r.lift(0.0, type), r.at(panel, k * (columns * lanes), type))
    return r


def _biases(kind: str, type: str, lanes: int, columns: int) -> Routine:
    """What the sums of each panel start from: for a GRU's candidate the two biases apart."""
    parameters = {"b_hh": "ptr", "b_ih": "ptr", "out": "ptr", "blocks": "i64", "down": "i64", "on": "i64"}
    r = Routine("biases", parameters, lanes, inline=False)
    b_hh, b_ih, out, blocks, down, on = r.arguments
    with r.loop(0, blocks) as u:
        for c in range(columns):
            gate = min(c, GATES[kind] - 1) if kind == "gru" else c
            first, second = (r.load(r.at(b, u * on + down * gate, type), type) for b in (b_hh, b_ih))
            sum = (first, second)[c - 2] if kind == "gru" and c >= 2 else first + second
            r.store(sum, r.at(out, u * (columns * lanes) + c * lanes, type))
    return r


def _copy(type: str, lanes: int) -> Routine:
    """`count` numbers from one place to another, and zeros up to `padded`."""
    r = Routine("copy", {"source": "ptr", "target": "ptr", "count": "i64", "padded": "i64"}, lanes, inline=False)
    source, target, count, padded = r.arguments
    whole = count // lanes * lanes
    with r.loop(0, whole, lanes) as i:
        r.store(r.load(r.at(source, i, type), type), r.at(target, i, type))
    with r.loop(whole, count) as i:
        r.store(r.load(r.at(source, i, type), type, 0), r.at(target, i, type))
    with r.loop(count, padded) as i:
        r.store(r.one.lift(0.0, type), r.at(target, i, type))
    return r


def _range(part: Routine, v: dict[str, Value]) -> tuple[Value, Value]:
    """The sequences of a part: from the first to the one after the last."""
    low = part.arguments[-1] * v["each"]
    return low, least(low + v["each"], v["batch"])


def _step(r: Routine, v: dict[str, Value], s: Value, low: Value, high: Value) -> tuple[Value, Value]:
    """How many of the sequences from `low` to `high` are at work in step s, and where the first of all lies."""
    found = least(high, r.load(r.at(v["table"], s, "i64"), "i64", 0)) - low
    return select(found < 0, 0, found), r.load(r.at(v["table"], v["steps"] + s, "i64"), "i64", 0)


def _shared(main: Routine, v: dict[str, Value], part: Routine) -> Routine:
    """The public routine: the batch in parts of `each` sequences."""
    main.parallel(part, (v["batch"] + v["each"] - 1) // v["each"], *main.arguments)
    return main


# ---- backward --------------------------------------------------------------------------------------------------------

BACKWARD = {
    "g": "ptr", "gt": "i64", "gb": "i64", "kept": "ptr", "panels": "ptr", "slopes": "ptr", "dh": "ptr", "dc": "ptr",
    "db": "ptr", "table": "ptr", "steps": "i64", "batch": "i64", "units": "i64", "inputs": "i64", "each": "i64",
}  # fmt: skip
SLOPE = {
    "before": "ptr", "after": "ptr", "gates": "ptr", "cells": "ptr", "squashed": "ptr", "g": "ptr", "slopes": "ptr",
    "dh": "ptr", "dc": "ptr", "db": "ptr", "units": "i64",
}  # fmt: skip


def _slopes(kind: str, type: str, lanes: int) -> Routine:
    """Gradients of the sums of one sequence and step from those of its states, unit by unit.

    The gates of a GRU come in the order candidate (product with the state), reset, update, candidate (product with the
    input): the first three belong to the state, the last three to the input.
    """
    r = Routine("slopes", SLOPE, lanes, inline=False)
    before, after, gates, cells, squashed, g, slopes, dh, dc, db, units = r.arguments
    with r.loop(0, units, lanes) as i:

        def load(pointer: Value, gate: int = 0) -> Value:
            return r.load(r.at(pointer, units * gate + i, type), type)

        def store(x: Value, pointer: Value, gate: int = 0) -> None:
            r.store(x, r.at(pointer, units * gate + i, type))

        def slope(x: Value, gate: int) -> None:
            store(x, slopes, gate)
            store(load(db, gate) + x, db, gate)

        d = load(dh) + load(g)
        if kind == "lstm":
            entered, forget, candidate, shown = (load(gates, j) for j in range(4))
            flat = load(squashed)
            c = (d * shown).fma(1 - flat * flat, load(dc))
            slope(c * candidate * (entered * (1 - entered)), 0)
            slope(c * load(cells) * (forget * (1 - forget)), 1)
            slope(c * entered * (1 - candidate * candidate), 2)
            slope(d * flat * (shown * (1 - shown)), 3)
            store(c * forget, dc)
        elif kind == "gru":
            reset, update, product, candidate = (load(gates, j) for j in range(4))
            n = d * (1 - update) * (1 - candidate * candidate)
            slope(n * reset, 0)
            slope(n * product * (reset * (1 - reset)), 1)
            slope(d * (load(before) - candidate) * (update * (1 - update)), 2)
            slope(n, 3)
            store(d * update, dh)  # what does not come by the gates
        else:
            h = load(after)
            slope(d * (1 - h * h) if kind == "tanh" else select(h > 0, d, 0.0), 0)
        if kind != "gru":
            store(r.lift(0.0, type), dh)
    return r


def backward(kind: str, type: str, lanes: int, width: int) -> list[Routine]:
    """The gradients of all sums of a layer, and of its first states: parameters as in `BACKWARD`.

    Those of the outputs are read at `g + first * gt + b * gb`, P of them for a sequence; `dh` and `dc` (B, P) hold at
    first those of the last states, in the end those of the first; `slopes` (T, B, `SLOPES` P) is written; each part
    adds up its own in a row of `db` (parts, `SLOPES` P).
    """
    tiles = {size: tile(type, lanes, range(width), [], size) for size in tile_rows(width, lanes, type)}
    slope, across = _slopes(kind, type, lanes), SLOPES[kind]
    part = part_of("layer", BACKWARD, 0)
    v = dict(zip(BACKWARD, part.arguments))
    batch, units, slopes, dh = v["batch"], v["units"], v["slopes"], v["dh"]
    z, gates, cells, squashed = _kept(part, v, kind, type)
    low, high = _range(part, v)
    length, block = units + v["inputs"], width * lanes
    db = part.at(v["db"], part.arguments[-1] * units * across, type)
    with part.loop(0, v["steps"]) as turn:
        s = v["steps"] - turn - 1
        present, first = _step(part, v, s, low, high)
        with part.loop(low, low + present) as row:
            line = s * batch + row
            here, state = line * units, part.at(z, line * length, type)
            part.invoke(
                slope, state, part.at(state, batch * length, type), part.at(gates, here * 4, type),
                part.at(cells, here, type), part.at(squashed, here, type),
                part.bytes_on(v["g"], first * v["gt"] + row * v["gb"]), part.at(slopes, here * across, type),
                part.at(dh, row * units, type), part.at(v["dc"], row * units, type), db, units,
            )  # fmt: skip
        with part.loop(0, units // block) as u:
            panel = part.at(v["panels"], u * block * units * GATES[kind], type)

            def product(size: int, row: Value) -> None:
                rows = part.at(slopes, (s * batch + low + row) * units * across, type)
                out = part.at(dh, (low + row) * units + u * block, type)
                terms = units * GATES[kind]
                part.invoke(tiles[size], rows, units * across, panel, terms, 0, out, units, out, units, lanes)

            over_tiles(part, list(tiles), present, product)
    main = Routine("backward", BACKWARD, 0)
    return [_shared(main, dict(zip(BACKWARD, main.arguments)), part), part, slope, *tiles.values()]


# ---- single steps ----------------------------------------------------------------------------------------------------


def _cell(name: str, operands: str, type: str, lanes: int, body: Callable[..., None]) -> list[Routine]:
    """A generalised ufunc's loop over rows; `body` gets a load and a store of one vector of units in a gate."""
    names = operands.split()
    r = Routine("row", dict.fromkeys(names, "ptr") | {"n": "i64"}, lanes)
    *_, n = r.arguments
    pointers = dict(zip(names, r.arguments))

    def units(piece: Piece) -> None:
        def load(name: str, gate: int = 0) -> Value:
            return piece.load(r.at(pointers[name], n * gate, type), type)

        def store(x: Value, name: str, gate: int = 0) -> None:
            piece.store(x, r.at(pointers[name], n * gate, type))

        body(load, store)

    sweep(r, n, units, unroll=1)
    return over_rows(r, "n" * len(names), name)


def _lstm_parts(load: Callable[..., Value]) -> tuple[Value, ...]:
    """(i, f, g, o, c', tanh(c')) from the products with the input and with the state."""
    i, f, o = (sigmoid(load("x", j) + load("y", j)) for j in (0, 1, 3))
    g = tanh(load("x", 2) + load("y", 2))
    new = f.fma(load("c"), i * g)
    return i, f, g, o, new, tanh(new)


def lstm_cell(type: str, lanes: int) -> list[Routine]:
    """(n), (m), (m) -> (n), (n), m = 4 n: from c, and the products x and y with the input and the state, h' and c'."""

    def body(load: Callable[..., Value], store: Callable[..., None]) -> None:
        *_, o, new, flat = _lstm_parts(load)
        store(o * flat, "h")
        store(new, "new")

    return _cell("lstm_cell", "c x y h new", type, lanes, body)


def lstm_cell_backward(type: str, lanes: int) -> list[Routine]:
    """(n), (m), (m), (n), (n) -> (m), (n): from c, x, y and the gradients of h' and c', those of x and of c."""

    def body(load: Callable[..., Value], store: Callable[..., None]) -> None:
        i, f, g, o, _, flat = _lstm_parts(load)
        d = load("dh")
        c = (d * o).fma(1 - flat * flat, load("dnew"))
        for j, slope in enumerate((c * g * (i * (1 - i)), c * load("c") * (f * (1 - f)), c * i * (1 - g * g))):
            store(slope, "dx", j)
        store(d * flat * (o * (1 - o)), "dx", 3)
        store(c * f, "dc")

    return _cell("lstm_cell_backward", "c x y dh dnew dx dc", type, lanes, body)


def _gru_parts(load: Callable[..., Value]) -> tuple[Value, ...]:
    """(r, z, n, W_hn h + b_hn) from the products with the input and with the state."""
    reset, update = (sigmoid(load("x", j) + load("y", j)) for j in (0, 1))
    product = load("y", 2)
    return reset, update, tanh(reset.fma(product, load("x", 2))), product


def gru_cell(type: str, lanes: int) -> list[Routine]:
    """(n), (m), (m) -> (n), m = 3 n: from h, and the products x and y with the input and the state, h'."""

    def body(load: Callable[..., Value], store: Callable[..., None]) -> None:
        _, update, candidate, _ = _gru_parts(load)
        store(update.fma(load("h") - candidate, candidate), "out")

    return _cell("gru_cell", "h x y out", type, lanes, body)


def gru_cell_backward(type: str, lanes: int) -> list[Routine]:
    """(n), (m), (m), (n) -> (m), (m), (n): from h, x, y and the gradient of h', those of x, y and h."""

    def body(load: Callable[..., Value], store: Callable[..., None]) -> None:
        reset, update, candidate, product = _gru_parts(load)
        d = load("g")
        n = d * (1 - update) * (1 - candidate * candidate)
        of_reset = n * product * (reset * (1 - reset))
        of_update = d * (load("h") - candidate) * (update * (1 - update))
        for name in ("dx", "dy"):
            store(of_reset, name, 0)
            store(of_update, name, 1)
        store(n, "dx", 2)
        store(n * reset, "dy", 2)
        store(d * update, "dh")

    return _cell("gru_cell_backward", "h x y g dx dy dh", type, lanes, body)
