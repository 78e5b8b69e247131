"""The update of an optimizer as one loop: every array is read and written once, whatever the rule.

    update(table, bounds, parts, numbers)

A row of the table (`backends.cpu.step_table`) holds the addresses of array objects, a first element and a count. Part k
is rows `bounds[k]` to `bounds[k + 1]`; threads share the parts. New values are those of NumPy's calls to the bit, since
sums, products, quotients and roots are rounded one by one here, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..ir import expr
from .llvm import Unsupported as Unsupported
from .llvm import evaluate
from .routine import SIZES, Routine, part_of
from .vectors import Value

HEAD = object.__basicsize__  # bytes before the address of the elements in an array object


def update(roots: Mapping[str, expr.Expr], arrays: Sequence[str], count: int, real: str, lanes: int) -> list[Routine]:
    """The routines of an update.

    Args:
        roots: the new values by the name of their array, of the variables in `arrays` and of numbers n0, n1, ...
        arrays: the arrays in the order of the columns of the table.
        count: of the numbers.
        real: their type and that of the elements, "float" or "double".
        lanes: how many elements a vector has.

    Raises:
        Unsupported: there is no vector code for an operator.
    """
    row = _row(roots, arrays, count, real, lanes)
    part = part_of("rows", {"table": "ptr", "bounds": "ptr", "numbers": "ptr"}, lanes)
    table, bounds, numbers, k = part.arguments
    width = len(arrays) + 2

    def read(pointer: Value, index: Value | int, type: str = "i64") -> Value:
        return part.load(part.at(pointer, index, type), type, 0)

    with part.loop(read(bounds, k), read(bounds, k + 1)) as i:
        here = part.at(table, i * width, "i64")
        first, n = read(here, len(arrays)), read(here, len(arrays) + 1)
        at = [part.load(part.bytes_on(read(here, j, "ptr"), HEAD), "ptr", 0) for j in range(len(arrays))]
        part.invoke(row, *[part.at(p, first, real) for p in at], numbers, n)
    main = Routine("update", {"table": "ptr", "bounds": "ptr", "parts": "i64", "numbers": "ptr"}, lanes)
    table, bounds, parts, numbers = main.arguments
    main.parallel(part, parts, table, bounds, numbers)
    return [main, part, row]


def _row(roots: Mapping[str, expr.Expr], arrays: Sequence[str], count: int, real: str, lanes: int) -> Routine:
    """The loop over neighbouring elements."""
    r = Routine("row", {**{f"a{j}": "ptr" for j in range(len(arrays))}, "numbers": "ptr", "n": "i64"}, lanes)
    *pointers, numbers, n = r.arguments
    known = {f"n{i}": r.splat(r.load(r.at(numbers, i, real), real, 0)) for i in range(count)}
    place = dict(zip(arrays, pointers))
    whole = n // lanes * lanes
    with r.loop(0, whole, lanes) as i:
        at = {name: r.at(p, i, real) for name, p in place.items()}
        new = evaluate(roots.values(), known | {name: r.load(p, real) for name, p in at.items()}, r, real)
        for name, value in zip(roots, new):
            r.store(value, at[name])
    with r.when(whole < n):
        some, one = r.first(n - whole), r.lift(1.0, real)
        at = {name: r.at(p, whole, real) for name, p in place.items()}
        old = {name: r.load_first(p, some, one) for name, p in at.items()}
        new = evaluate(roots.values(), known | old, r, real)
        for name, value in zip(roots, new):
            r.store_first(value, at[name], some)
    return r


assert SIZES["ptr"] == SIZES["i64"]  # a table holds both
