"""Sums along a dimension: of rows, and of the rows of a matrix with each other.

Long sums are formed in portions, and these added up: the error grows with the length of a portion and the number of
portions, not with the length of the sum. The order depends on shapes and the processor's vectors alone.
"""

from __future__ import annotations

from .routine import Routine, least, part_of
from .rows import Piece, over_rows, sweep
from .vectors import Value

PORTION = 4096  # elements of a row that are summed up in the type of the row; the portions in float64
COLUMNS = 8  # vectors of columns that are summed up at a time
LINES = 256  # rows of a matrix that are a portion


def rows(real: str, lanes: int) -> list[Routine]:
    """(n) -> (): the sum of each row."""
    r = Routine("row", {"x": "ptr", "out": "ptr", "n": "i64"}, lanes)
    x, out, n = r.arguments
    total = r.variable(r.lift_one(0.0, "double"))
    with r.loop(0, n, PORTION) as i:
        start = r.at(x, i, real)
        length = least(n - i, r.lift_one(PORTION))
        (found,) = sweep(r, length, lambda piece, s: s + piece.load(start, real), [r.lift(0.0, real)], unroll=4)
        total.value = total.value + found.to("double")
    r.store(total.value.to(real), out)
    return over_rows(r, "n1", "sum_rows")


def columns(real: str, lanes: int) -> list[Routine]:
    """(n,m) -> (m): the sum of each column, of matrices that lie in one piece."""
    part = part_of("block", {"x": "ptr", "out": "ptr", "n": "i64", "m": "i64", "blocks": "i64"}, lanes)
    x, out, n, m, blocks, k = part.arguments
    width = COLUMNS * lanes
    matrix, block = k // blocks, k % blocks
    first = least(block * width, m - 1)
    x = part.at(x, matrix * n * m + first, real)
    out = part.at(out, matrix * m + first, real)
    left = m - first
    with part.choice(left >= width) as (whole, some):
        with whole:
            _portions(part, [Piece(part, part.lift_one(u * lanes)) for u in range(COLUMNS)], x, out, n, m, real)
        with some, part.loop(0, left, lanes) as j:
            _portions(part, [Piece(part, j, part.first(left - j))], x, out, n, m, real)
    main = Routine("sum_columns", {"args": "ptr", "dims": "ptr", "steps": "ptr"}, 0)
    args, dims, _ = main.arguments
    x, out = (main.load(main.at(args, j, "ptr"), "ptr") for j in range(2))
    count, n, m = (main.load(main.at(dims, j, "i64"), "i64") for j in range(3))
    blocks = (m + width - 1) // width
    main.parallel(part, count * blocks, x, out, n, m, blocks)
    return [main, part]


def _portions(r: Routine, pieces: list[Piece], x: Value, out: Value, n: Value, m: Value, real: str) -> None:
    """The sums of some vectors of columns: LINES rows in registers, which are added to what is in `out`."""
    zero = r.lift(0.0, real)
    for piece in pieces:
        piece.store(zero, out)
    with r.loop(0, n, LINES) as start:
        held = [r.variable(zero) for _ in pieces]
        with r.loop(start, least(start + LINES, n)) as i:
            line = r.at(x, i * m, real)
            for piece, sum in zip(pieces, held):
                sum.value = sum.value + piece.load(line, real)
        for piece, sum in zip(pieces, held):
            piece.store(piece.load(out, real) + sum.value, out)
