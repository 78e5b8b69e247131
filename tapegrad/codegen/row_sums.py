"""Rows that are added to those rows of a table that an index names: the gradient of an embedding.

Turns are ranges of columns, so that each element of the table belongs to one turn and its summands come in the order of
the index, whatever the threads do.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable

from . import jit
from .conv import ADDRESS, number
from .routine import Routine, least, part_of


@functools.cache
def add_rows(real: str, lanes: int) -> Callable[..., None] | None:
    """The kernel (table, index, rows, count, width, turn): `table[index[i]] += rows[i]` for i below `count`.

    `width` is the length of a row, `turn` how many columns a turn takes; the index is of 64 bits.
    """
    names = dict.fromkeys(("table", "index", "rows"), "ptr") | dict.fromkeys(("count", "width", "turn"), "i64")
    r = part_of("columns", names, lanes)
    table, index, rows, count, width, turn, k = r.arguments
    begin = k * turn
    end = least(begin + turn, width)
    whole = begin + (end - begin) // lanes * lanes
    with r.loop(0, count) as i:
        target, source = r.at(table, number(r, index, i) * width, real), r.at(rows, i * width, real)
        with r.loop(begin, whole, lanes) as j:
            place = r.at(target, j, real)
            r.store(r.load(place, real) + r.load(r.at(source, j, real), real), place)
        with r.loop(whole, end) as j:
            place = r.at(target, j, real)
            r.store(r.load(place, real, 0) + r.load(r.at(source, j, real), real, 0), place)
    main = Routine("add_rows", names, 0)
    width, turn = main.arguments[4:]
    main.parallel(r, (width + turn - 1) // turn, *main.arguments)
    return jit.function([main, r], [ADDRESS] * 3 + [ctypes.c_int64] * 3)
