"""Recurrent layers as machine code: all steps of a layer in one direction, forward and backward through time.

A sequence never looks at its neighbours in the batch, so each thread takes some of them (a part) through all steps and
one fork and join is enough for a layer. A step is one product of a few rows, [state | input], with all weights, and
what becomes of the sums: they are turned into gates and states while they are still in registers.

Note [Panels]. Weights are copied once per call into panels: the columns of a panel are as many vectors as a tile has
sums side by side (one vector of units in each gate, or `width` neighbouring vectors where there is one gate), so a
product reads them from the first to the last. A tile is a panel times `rows` sequences, held in registers.

Note [Rows]. Units are padded with zeros to whole panels, `P` of them for H, and inputs to a multiple of `UNROLL`, `J` of
them for I, in all arrays that are seen here only: z (T + 1, B, P + J), what each step reads: the state before it and
its input; gates (T, B, 4 P); cells (T + 1, B, P) and their tanh (T, B, P). Padding is finite and meets zero weights.

Invariants: every sum runs over the state's units, then over the inputs, one after the other, whatever the tile or the
thread; `counts[s]` sequences, the first ones, are at work in step s, nothing else is read or written.

References: Hochreiter & Schmidhuber 1997 (LSTM), Cho et al. 2014 (GRU), Elman 1990; Goto & van de Geijn, "Anatomy of
High-Performance Matrix Multiplication", ACM TOMS 34 (2008), for the panels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from . import vecmath
from .routine import SIZES, Routine, least, part_of
from .vectors import Value, select

KINDS = ("lstm", "gru", "tanh", "relu")
GATES = {"lstm": 4, "gru": 3, "tanh": 1, "relu": 1}  # of the products with the state
SAVED = {"lstm": 4, "gru": 4, "tanh": 0, "relu": 0}  # gates that backward reads
SLOPES = {"lstm": 4, "gru": 4, "tanh": 1, "relu": 1}  # gradients that backward writes
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
    """`expm1(2x) / (expm1(2x) + 2)`: without the polynomial that `vecmath.tanh` has for small numbers, half the work."""
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
    r = Routine(f"tile{size}", TILE, lanes)
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
    "z": "ptr", "gates": "ptr", "cells": "ptr", "squashed": "ptr", "panels": "ptr", "bias": "ptr", "counts": "ptr",
    "steps": "i64", "batch": "i64", "units": "i64", "inputs": "i64", "each": "i64",
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
    r = Routine("first" if first else "second", STATE, lanes)
    before, after, gates, cell, new, squashed, units = r.arguments
    with r.loop(0, units, lanes) as i:

        def load(pointer: Value, gate: int = 0) -> Value:
            return r.load(r.at(pointer, units * gate + i, type), type)

        def store(x: Value, pointer: Value, gate: int = 0) -> Value:
            r.store(x, r.at(pointer, units * gate + i, type))
            return x

        if kind == "lstm" and first:
            entered, forget, shown = (store(sigmoid(load(gates, j)), gates, j) for j in (0, 1, 3))
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
    part = part_of("layer", FORWARD, 0)
    z, gates, cells, squashed, panels, bias, counts, steps, batch, units, inputs, each, k = part.arguments
    low = k * each
    high = least(low + each, batch)
    length, block = units + inputs, width * lanes
    with part.loop(0, steps) as s:
        present = _present(part, counts, s, low, high)
        line = s * batch + low
        now, quarters = part.at(z, line * length, type), part.at(gates, line * (4 * units), type)
        after = part.at(now, batch * length, type)
        with part.loop(0, units // block) as u:
            panel, start = part.at(panels, u * across * length, type), part.at(bias, u * (columns * lanes), type)

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
    return [_shared("forward", FORWARD, part), part, *halves, *tiles.values()]


def _present(r: Routine, counts: Value, step: Value, low: Value, high: Value) -> Value:
    """How many of the sequences from `low` to `high` are at work."""
    found = least(high, r.load(r.at(counts, step, "i64"), "i64", 0)) - low
    return select(found < 0, 0, found)


def _shared(name: str, parameters: dict[str, str], part: Routine) -> Routine:
    """The public routine: the batch in parts of `each` sequences."""
    main = Routine(name, parameters, 0)
    batch, each = (main.arguments[list(parameters).index(p)] for p in ("batch", "each"))
    main.parallel(part, (batch + each - 1) // each, *main.arguments)
    return main


# ---- backward --------------------------------------------------------------------------------------------------------

BACKWARD = {
    "z": "ptr", "gates": "ptr", "cells": "ptr", "squashed": "ptr", "panels": "ptr", "g": "ptr", "slopes": "ptr",
    "dh": "ptr", "dc": "ptr", "counts": "ptr", "steps": "i64", "batch": "i64", "units": "i64", "inputs": "i64",
    "each": "i64",
}  # fmt: skip


SLOPE = {
    "before": "ptr", "after": "ptr", "gates": "ptr", "cells": "ptr", "squashed": "ptr", "g": "ptr", "slopes": "ptr",
    "dh": "ptr", "dc": "ptr", "units": "i64",
}  # fmt: skip


def _slopes(kind: str, type: str, lanes: int) -> Routine:
    """Gradients of the sums of one sequence and step from those of its states, unit by unit.

    The gates of a GRU come in the order candidate (product with the state), reset, update, candidate (product with the
    input): the first three belong to the state, the last three to the input.
    """
    r = Routine("slopes", SLOPE, lanes)
    before, after, gates, cells, squashed, g, slopes, dh, dc, units = r.arguments
    with r.loop(0, units, lanes) as i:

        def load(pointer: Value, gate: int = 0) -> Value:
            return r.load(r.at(pointer, units * gate + i, type), type)

        def store(x: Value, pointer: Value, gate: int = 0) -> None:
            r.store(x, r.at(pointer, units * gate + i, type))

        d = load(dh) + load(g)
        if kind == "lstm":
            entered, forget, candidate, shown = (load(gates, j) for j in range(4))
            flat = load(squashed)
            c = (d * shown).fma(1 - flat * flat, load(dc))
            store(c * candidate * (entered * (1 - entered)), slopes, 0)
            store(c * load(cells) * (forget * (1 - forget)), slopes, 1)
            store(c * entered * (1 - candidate * candidate), slopes, 2)
            store(d * flat * (shown * (1 - shown)), slopes, 3)
            store(c * forget, dc)
        elif kind == "gru":
            reset, update, product, candidate = (load(gates, j) for j in range(4))
            n = d * (1 - update) * (1 - candidate * candidate)
            store(n * reset, slopes, 0)
            store(n * product * (reset * (1 - reset)), slopes, 1)
            store(d * (load(before) - candidate) * (update * (1 - update)), slopes, 2)
            store(n, slopes, 3)
            store(d * update, dh)  # what does not come by the gates
        else:
            h = load(after)
            store(d * (1 - h * h) if kind == "tanh" else select(h > 0, d, 0.0), slopes)
        if kind != "gru":
            store(r.lift(0.0, type), dh)
    return r


def backward(kind: str, type: str, lanes: int, width: int) -> list[Routine]:
    """The gradients of all sums of a layer, and of its first states: parameters as in `BACKWARD`.

    `g` (T, B, P) are the gradients of the outputs, `dh` and `dc` (B, P) at first those of the last states, in the end
    those of the first; `slopes` (T, B, `SLOPES` P) is written.
    """
    tiles = {size: tile(type, lanes, range(width), [], size) for size in tile_rows(width, lanes, type)}
    slope = _slopes(kind, type, lanes)
    part = part_of("layer", BACKWARD, 0)
    z, gates, cells, squashed, panels, g, slopes, dh, dc, counts, steps, batch, units, inputs, each, k = part.arguments
    low = k * each
    high = least(low + each, batch)
    length, block = units + inputs, width * lanes
    with part.loop(0, steps) as turn:
        s = steps - turn - 1
        present = _present(part, counts, s, low, high)
        with part.loop(low, low + present) as row:
            line = s * batch + row
            here, state = line * units, part.at(z, line * length, type)
            part.invoke(
                slope, state, part.at(state, batch * length, type), part.at(gates, here * 4, type),
                part.at(cells, here, type), part.at(squashed, here, type), part.at(g, here, type),
                part.at(slopes, here * SLOPES[kind], type), part.at(dh, row * units, type),
                part.at(dc, row * units, type), units,
            )  # fmt: skip
        with part.loop(0, units // block) as u:
            panel = part.at(panels, u * block * units * GATES[kind], type)

            def product(size: int, row: Value) -> None:
                rows = part.at(slopes, (s * batch + low + row) * units * SLOPES[kind], type)
                out = part.at(dh, (low + row) * units + u * block, type)
                terms = units * GATES[kind]
                part.invoke(tiles[size], rows, units * SLOPES[kind], panel, terms, 0, out, units, out, units, lanes)

            over_tiles(part, list(tiles), present, product)
    return [_shared("backward", BACKWARD, part), part, slope, *tiles.values()]
