"""Tiles of matrix products: a few rows times one or two vectors of columns, summed up in registers; and their operands.

A tile of C takes its rows of A where they lie, one number at a time, and its columns of B from a panel: `vectors *
lanes` numbers side by side for each step along k, which `pack_rows`, `pack_columns` or `pack_any` prepare in the
first-level cache. The shapes of tiles are in `shapes`: twelve accumulators, two vectors of B and one number of A fill
the sixteen registers of AVX2.

Invariant: an element of C is the same whichever tile it falls into.
"""

from __future__ import annotations

from .routine import SIZES, Routine, Variable, least
from .vectors import Value, select

UNROLL = 2  # steps along k at a time
GROUP = 8  # steps that `peeled` sums take at a time: four one by one, and the sum of four

Parameters = dict[str, str]
_TILE: Parameters = {
    "k": "i64", "a": "ptr", "down": "i64", "along": "i64", "b": "ptr", "step": "i64", "c": "ptr", "width": "i64",
    "columns": "i64", "add": "i64", "offset": "i64",
}  # fmt: skip


def tile(rows: int, vectors: int, type: str, lanes: int) -> Routine:
    """`c = a @ b` or `c += a @ b`: the products of each element are added up by fused multiply-adds, in order.

    With `add`, floats are summed up from 0 and the sum is added to `c`; doubles go on from what `c` holds.

    The routine's parameters: `k` steps; `a` with the bytes from row to row (`down`) and from step to step (`along`);
    `b` with the bytes from step to step; `c` with the bytes from row to row (`width`); how many `columns` of the tile
    there are; whether to `add`; `offset` is for `chain`.
    """
    r = Routine(f"tile{rows}x{vectors}", _TILE, lanes, aliased=False)
    k, a, down, along, b, step, c, width, columns, add, _ = r.arguments
    sums = [[r.variable(r.lift(0.0, type)) for _ in range(vectors)] for _ in range(rows)]
    place_a, place_b = r.variable(a), r.variable(b)

    def steps(count: int) -> None:
        a, b = place_a.value, place_b.value
        for _ in range(count):
            y = [r.load(r.at(b, v * lanes, type), type) for v in range(vectors)]
            for i in range(rows):
                x = r.splat(r.load(r.bytes_on(a, down * i), type, 0))
                for v in range(vectors):
                    sums[i][v].value = x.fma(y[v], sums[i][v].value)
            a, b = r.bytes_on(a, along), r.bytes_on(b, step)
        place_a.value, place_b.value = a, b

    places = [[r.at(r.bytes_on(c, width * i), v * lanes, type) for v in range(vectors)] for i in range(rows)]
    masks = [r.first(columns - v * lanes) for v in range(vectors)]
    zero = r.lift(0.0, type)
    carried = type == "double"  # sums begin with what C holds
    every = [(sums[i][v], places[i][v], masks[v]) for i in range(rows) for v in range(vectors)]
    if carried:
        with r.when(add != 0):
            for sum, place, mask in every:
                sum.value = r.load_first(place, mask, zero)
    else:
        for i in range(rows):  # by the time of the sum they are there: 3 to 5 percent
            r.prefetch(places[i][0], write=True)
    whole = k // UNROLL * UNROLL
    with r.loop(0, whole, UNROLL):
        steps(UNROLL)
    with r.loop(whole, k):
        steps(1)
    found = [sum.value for sum, _, _ in every]
    with r.choice(columns == vectors * lanes) as (full, part):
        with full, r.choice((add != 0) & (not carried)) as (yes, no):
            with yes:
                for x, (_, place, _) in zip(found, every):
                    r.store(r.load(place, type) + x, place)
            with no:
                for x, (_, place, _) in zip(found, every):
                    r.store(x, place)
        with part:  # masked stores take ten times as long
            more = r.splat(add) != 0
            for x, (_, place, mask) in zip(found, every):
                new = x if carried else select(more, r.load_first(place, mask, zero) + x, x)
                r.store_first(new, place, mask)
    return r


def chain(rows: int, vectors: int, type: str, lanes: int, peeled: bool, full: bool = False) -> Routine:
    """`c = a @ b` with products and sums each rounded: a chain that starts from 0, or with `add` from what `c` holds.

    With `peeled`, the elements before the first multiple of four of C's elements in a row (if four follow) are summed
    up differently: of GROUP products four are added one by one, and then the sum of the other four. `offset` is the
    number of C's elements before this tile, which begins a row; -1 if there are no such elements. A `full` tile has all
    its columns.
    """
    r = Routine(f"chain{rows}x{vectors}{'p' if peeled else ''}", _TILE, lanes, aliased=False)
    k, a, down, along, b, step, c, width, columns, add, offset = r.arguments
    masks = [r.first(columns - v * lanes) for v in range(vectors)]
    places = [[r.at(r.bytes_on(c, width * i), v * lanes, type) for v in range(vectors)] for i in range(rows)]
    zero = r.lift(0.0, type)
    old = [[r.variable(zero) for _ in range(vectors)] for _ in range(rows)]
    with r.when(add != 0):
        for i in range(rows):
            for v in range(vectors):
                place = places[i][v]
                old[i][v].value = r.load(place, type) if full else r.load_first(place, masks[v], zero)
    sums = old
    others = [r.variable(sums[i][0].value) for i in range(rows)] if peeled else []
    place_a, place_b = r.variable(a), r.variable(b)

    def steps(count: int) -> None:
        a, b = place_a.value, place_b.value
        group: list[Value] = []
        for u in range(count):
            y = [r.load(r.at(b, v * lanes, type), type) for v in range(vectors)]
            for i in range(rows):
                x = r.splat(r.load(r.bytes_on(a, down * i), type, 0))
                for v in range(vectors):
                    product = x * y[v]
                    sums[i][v].value = sums[i][v].value + product
                    if v or not peeled:
                        continue
                    if u < GROUP // 2:
                        others[i].value = others[i].value + product
                    elif u == GROUP // 2:
                        group.append(product)
                    else:
                        group[i] = group[i] + product
            a, b = r.bytes_on(a, along), r.bytes_on(b, step)
        for other, sum in zip(others, group):
            other.value = other.value + sum
        place_a.value, place_b.value = a, b

    whole = k // GROUP * GROUP
    with r.loop(0, whole, GROUP):
        steps(GROUP)
    with r.loop(whole, k):
        steps(1)
    for i in range(rows):
        for v in range(vectors):
            found = sums[i][v].value
            if peeled and not v:
                whole = width // SIZES[type]
                before = (0 - (offset + whole * i)) & 3
                before = select((offset < 0) | (whole - before < 4), 0, before)
                found = select(r.first(before), others[i].value, found)
            if full:
                r.store(found, places[i][v])
            else:
                r.store_first(found, places[i][v], masks[v])
    return r


def dots(columns: int, order: str, type: str) -> Routine:
    """A row times columns that lie along: each sum in vectors of four, products and sums rounded separately.

    The first `head` products are a chain, which the first lane begins with; at last come the lanes' total, as
    (0 + 2) + (1 + 3), the products that are left, one by one, and with `add` what `c` held. The `order` is "fours"; or
    "eights", where vectors come two at a time; or "pairs", where two sums take them in turn.
    """
    parameters = {"k": "i64", "x": "ptr", "b": "ptr", "next": "i64", "c": "ptr", "head": "i64", "add": "i64"}
    r = Routine(f"dots{columns}{order}", parameters, 4, aliased=False)
    k, x, b, following, c, head, add = r.arguments
    head = least(head, k)
    rows = [r.bytes_on(b, following * j) for j in range(columns)]
    heads = [r.variable(r.one.lift(0.0, type)) for _ in rows]
    turns = 1 if order == "fours" else 2
    pairs = order == "pairs"

    def singles(start: Value, stop: Value, found: list[Variable]) -> None:
        with r.loop(start, stop) as i:
            number = r.load(r.at(x, i, type), type, 0)
            for row, total in zip(rows, found):
                total.value = total.value + number * r.load(r.at(row, i, type), type, 0)

    singles(r.lift_one(0), head, heads)
    zero = r.lift(0.0, type)
    sums = [[r.variable(r.put(zero, 0, h.value)), *(r.variable(zero) for _ in range(pairs))] for h in heads]
    stop = head + (k - head) // (4 * turns) * (4 * turns)
    with r.loop(head, stop, 4 * turns) as i:
        for t in range(turns):
            numbers = r.load(r.at(x, i + 4 * t, type), type)
            for row, parts in zip(rows, sums):
                part = parts[t * pairs]
                part.value = part.value + numbers * r.load(r.at(row, i + 4 * t, type), type)
    totals = []
    for parts in sums:
        v = parts[0].value + parts[1].value if pairs else parts[0].value
        lanes = [r.lane(v, t) for t in range(4)]
        totals.append(r.variable((lanes[0] + lanes[2]) + (lanes[1] + lanes[3])))
    singles(stop, k, totals)
    for j, total in enumerate(totals):
        place = r.at(c, j, type)
        with r.when(add != 0):
            total.value = r.load(place, type, 0) + total.value
        r.store(total.value, place)
    return r


def inner(type: str) -> Routine:
    """The product of two vectors that lie along: four sums of four lanes take turns.

    Of what is left eight products go to the first two sums, four to the first, the others one by one to its first lane;
    the sums are added up from first to last, and the lanes as (0 + 2) + (1 + 3).
    """
    r = Routine("inner", {"k": "i64", "x": "ptr", "b": "ptr", "c": "ptr", "add": "i64"}, 4, aliased=False)
    k, x, b, c, add = r.arguments
    sums = [r.variable(r.lift(0.0, type)) for _ in range(4)]
    start = r.lift_one(0)
    for count in (4, 2, 1):
        stop = start + (k - start) // (4 * count) * (4 * count)
        with r.loop(start, stop, 4 * count) as i:
            for t in range(count):
                product = r.load(r.at(x, i + 4 * t, type), type) * r.load(r.at(b, i + 4 * t, type), type)
                sums[t].value = sums[t].value + product
        start = stop
    low = r.variable(r.lane(sums[0].value, 0))
    with r.loop(start, k) as i:
        low.value = low.value + r.load(r.at(x, i, type), type, 0) * r.load(r.at(b, i, type), type, 0)
    total = r.put(sums[0].value, 0, low.value)
    for other in sums[1:]:
        total = total + other.value
    lanes = [r.lane(total, t) for t in range(4)]
    found = r.variable((lanes[0] + lanes[2]) + (lanes[1] + lanes[3]))
    with r.when(add != 0):
        found.value = r.load(c, type, 0) + found.value
    r.store(found.value, c)
    return r


# ---- operands --------------------------------------------------------------------------------------------------------
# Columns of B become panels of `wide` columns, one behind the other: `k * wide` numbers, zeros beyond the last column.

_PACK: Parameters = {"k": "i64", "columns": "i64", "b": "ptr", "step": "i64", "next": "i64", "panels": "ptr"}


def pack_rows(wide: int, type: str, lanes: int) -> Routine:
    """Panels of columns that lie side by side. Each row is read from end to end: memory is slow in small pieces."""
    r = Routine("pack_rows", _PACK, lanes, aliased=False)
    k, columns, b, step, _, panels = r.arguments
    whole = columns // wide * wide
    with r.loop(0, k) as i:
        source, target = r.bytes_on(b, i * step), r.at(panels, i * wide, type)
        with r.loop(0, whole, wide) as j:
            for v in range(0, wide, lanes):
                r.store(r.load(r.at(source, j + v, type), type), r.at(target, j * k + v, type))
    with r.when(whole < columns):
        masks = [r.first(columns - whole - v) for v in range(0, wide, lanes)]
        with r.loop(0, k) as i:
            source, target = r.bytes_on(b, i * step), r.at(panels, whole * k + i * wide, type)
            for v, mask in zip(range(0, wide, lanes), masks):
                r.store(r.load_first(r.at(source, whole + v, type), mask, r.lift(0.0, type)), r.at(target, v, type))
    return r


def pack_columns(wide: int, type: str, lanes: int, rest: Routine) -> Routine:
    """Panels of columns whose numbers lie side by side: squares of `lanes` by `lanes` are turned in registers.

    Args:
        rest: `pack_any`, for the last columns if they are fewer than `wide`.
    """
    r = Routine("pack_columns", _PACK, lanes, aliased=False)
    k, columns, b, step, following, panels = r.arguments
    whole, square_k = columns // wide * wide, k // lanes * lanes
    with r.loop(0, whole, lanes) as j:
        source = r.bytes_on(b, j * following)
        target = r.at(panels, j // wide * wide * k + j % wide, type)
        with r.loop(0, square_k, lanes) as i:
            start = r.at(source, i, type)
            square = [r.load(r.bytes_on(start, following * t), type) for t in range(lanes)]
            for t, x in enumerate(turned(r, square)):
                r.store(x, r.at(target, (i + t) * wide, type))
        with r.loop(square_k, k) as i:
            for t in range(lanes):
                x = r.load(r.at(r.bytes_on(source, following * t), i, type), type, 0)
                r.store(x, r.at(target, i * wide + t, type))
    with r.when(whole < columns):
        last = r.bytes_on(b, whole * following)
        r.invoke(rest, k, columns - whole, last, step, following, r.at(panels, whole * k, type))
    return r


def pack_any(wide: int, type: str) -> Routine:
    """Panels of columns whatever the distances."""
    r = Routine("pack_any", _PACK, 0, aliased=False)
    k, columns, b, step, following, panels = r.arguments
    with r.loop(0, columns, wide) as j:
        here, target = least(columns - j, wide), r.at(panels, j * k, type)
        with r.loop(0, here) as t:
            source = r.bytes_on(b, (j + t) * following)
            with r.loop(0, k) as i:
                r.store(r.load(r.bytes_on(source, i * step), type, 0), r.at(target, i * wide + t, type))
        with r.loop(here, wide) as t, r.loop(0, k) as i:
            r.store(r.lift(0.0, type), r.at(target, i * wide + t, type))
    return r


def turned(r: Routine, square: list[Value]) -> list[Value]:
    """The transpose of a square of vectors: neighbours, then pairs, then fours, ... change places."""
    n = len(square)
    width = 1
    while width < n:
        found = list(square)
        low = [k if k // width % 2 == 0 else k - width + n for k in range(n)]
        high = [k + width if k // width % 2 == 0 else k + n for k in range(n)]
        for i in range(n):
            if i // width % 2 == 0:
                x, y = square[i], square[i + width]
                found[i], found[i + width] = r.pick(x, y, low), r.pick(x, y, high)
        square, width = found, 2 * width
    return square


def spill(rows: int, lanes: int) -> int:
    """How many numbers whole vectors write beyond a row of a strip."""
    return -rows % lanes


def pack_strips(rows: int, type: str, lanes: int) -> Routine:
    """Rows of A that lie across (`down` is one number) as strips of `rows`, each step along k side by side.

    A strip takes `k * rows + spill` numbers.
    """
    parameters = {"m": "i64", "k": "i64", "a": "ptr", "along": "i64", "strips": "ptr"}
    r = Routine("pack_strips", parameters, lanes, aliased=False)
    m, k, a, along, strips = r.arguments
    whole, size = m // rows, k * rows + spill(rows, lanes)

    def copy(source: Value, target: Value, count: Value) -> None:
        for v in range(0, rows, lanes):
            x = r.load_first(r.at(source, v, type), r.first(count - v), r.lift(0.0, type))
            r.store(x, r.at(target, v, type))

    safe = select(whole * rows + spill(rows, lanes) > m, whole - 1, whole)  # strips after which numbers can be read
    with r.loop(0, k) as step:  # each step is read from end to end
        source, target = r.bytes_on(a, step * along), r.at(strips, step * rows, type)
        with r.loop(0, safe) as i:
            for v in range(0, rows, lanes):
                r.store(r.load(r.at(source, i * rows + v, type), type), r.at(target, i * size + v, type))
        with r.loop(safe, whole) as i:
            copy(r.at(source, i * rows, type), r.at(target, i * size, type), r.lift_one(rows))
        with r.when(whole * rows < m):
            copy(r.at(source, whole * rows, type), r.at(target, whole * size, type), m - whole * rows)
    return r
