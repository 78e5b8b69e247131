"""Optimizer updates on NumPy: several scalar expressions compiled to one function that writes its arrays in place.

A rule of `optim` gives, for one element, the new value of a parameter and of its state as expressions of the old
ones. `Update` splits them: what consists of numbers alone (learning rate, bias corrections) is evaluated once per step
in double precision; the rest becomes one function with one NumPy call per operator. Large arrays are passed to it in
pieces, so that temporaries stay in cache and memory is read and written once.

Invariant of the generated function: an array that holds a new value is never written again, and one that holds an old
value is written only after its last reader.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...ir import expr
from .elementwise import FLOAT32, FUNCTIONS, HALVES

# Elements of one piece: temporaries stay in a cache of some hundred KiB, and calls cost little beside the work. A step
# of Adam for 669,706 parameters on one core took 2.2 ms with 16384, 2.0 with 32768, 1.9 with 65536 and more (torch
# 2.1); arrays that do not fit the last-level cache need the limit.
PIECE = 65536
SMALL = 4096  # up to here, temporaries made on the way cost less than slicing prepared ones
PLAIN = (FLOAT32, np.dtype(np.float64))

NUMBER_FUNCTIONS: dict[str, Callable] = {
    "sqrt": math.sqrt,
    "exp": math.exp,
    "log": math.log,
    "maximum": max,
    "minimum": min,
    "abs": abs,
    "where": lambda condition, x, y: x if condition else y,
}


class Update:
    """A compiled update: call `numbers` with the numbers of the step, then `run` with each parameter's arrays.

    Args:
        outputs: the expression of each new value, by the name of the variable that it replaces.
        arrays: the variables that are arrays, in the order in which they are passed.
        numbers: the variables that are Python numbers, in the order in which they are passed.
    """

    def __init__(self, outputs: dict[str, expr.Expr], arrays: tuple[str, ...], numbers: tuple[str, ...]):
        wide = {name: root for name, root in outputs.items() if name in arrays}
        self.new_numbers = tuple(name for name in outputs if name not in arrays)
        self.written = tuple(arrays.index(name) for name in wide)
        body = _Body(wide, arrays)
        self.source = body.source("whole", arrays, False) + body.source("piece", arrays, True)
        self.temporaries = len(body.temporaries)
        scope: dict[str, Any] = {"__name__": "tapegrad.optim.kernel", "copyto": np.copyto, **FUNCTIONS}
        exec(compile(self.source, "<tapegrad update>", "exec"), scope)
        self.whole: Callable[..., None] = scope["whole"]  # makes its temporaries: best for small arrays
        self.piece: Callable[..., None] = scope["piece"]  # is given its temporaries
        fixed = "".join(f"{expr.show(x)}, " for x in body.numbers)
        kept = "".join(f"{expr.show(outputs[name])}, " for name in self.new_numbers)
        text = f"lambda {', '.join(numbers)}: (({fixed}), ({kept}))"
        self._numbers: Callable[..., tuple[tuple, tuple]] = eval(text, dict(NUMBER_FUNCTIONS))

    def numbers(self, dtype: np.dtype, *values: float) -> tuple[list[np.ndarray], tuple[float, ...]]:
        """What the array calls take as numbers, and the new values of the state that is a number."""
        working = _working(dtype)
        fixed, kept = self._numbers(*values)
        return [np.array(value, working) for value in fixed], kept

    def run(self, arrays: Sequence[np.ndarray], numbers: list[np.ndarray]) -> None:
        """Update the arrays, all of one shape and dtype, in place."""
        first = arrays[0]
        if first.size <= SMALL and first.ndim and first.dtype in PLAIN:
            self.whole(*arrays, *numbers)
            return
        flat = [_flat(a) for a in arrays]
        half = first.dtype in HALVES
        scratch = _scratch(self.temporaries, FLOAT32 if half else flat[0].dtype)
        size = flat[0].size
        for start in range(0, size, PIECE):
            stop = start + PIECE
            short = scratch if stop <= size else [t[: size - start] for t in scratch]
            pieces = [a[start:stop] for a in flat]
            wide = [a.astype(FLOAT32) for a in pieces] if half else pieces
            self.piece(*wide, *numbers, *short)
            if half:  # rounded once
                for i in self.written:
                    pieces[i][...] = wide[i]
        for i in self.written:
            if not arrays[i].flags.c_contiguous:
                np.copyto(arrays[i], flat[i].view(arrays[i].dtype).reshape(arrays[i].shape))


_local = threading.local()


def _scratch(count: int, dtype: np.dtype) -> list[np.ndarray]:
    """Memory for temporaries, kept by each thread: fresh memory would cost more than the arithmetic in it."""
    found = _local.__dict__.setdefault(dtype, [])
    while len(found) < count:
        found.append(np.empty(PIECE, dtype))
    return found[:count]


def _working(dtype: np.dtype) -> np.dtype:
    """The type in which arrays of `dtype` are computed: complex numbers are pairs of real ones."""
    if dtype in HALVES:
        return FLOAT32
    return np.empty(0, dtype).real.dtype if dtype.kind == "c" else dtype


def _flat(array: np.ndarray) -> np.ndarray:
    """The elements in one dimension: the array's own memory, or a copy if they do not lie side by side."""
    flat = (array if array.flags.c_contiguous else np.ascontiguousarray(array)).reshape(-1)
    return flat.view(flat.real.dtype) if flat.dtype.kind == "c" else flat


Line = tuple[str, str, str, bool]  # a function, its operands, the place of its result, and whether that is new


class _Body:
    """The text of the array function, made operator by operator, with the place where each value lies."""

    def __init__(self, outputs: dict[str, expr.Expr], arrays: tuple[str, ...]):
        self.outputs = outputs
        self.numbers: list[expr.Expr] = []  # the operands without arrays: n0, n1, ... of the function
        order = list({id(x): x for root in outputs.values() for x in expr.walk(root)}.values())
        self._wide = {id(x) for x in order if not x.variables.isdisjoint(arrays)}
        self._readers = dict.fromkeys(map(id, order), 0)
        for read in (*(a for x in order for a in x.args), *outputs.values()):  # a result is read at the end, too
            self._readers[id(read)] += 1
        self._place = {id(x): f"{x.name}_" for x in order if isinstance(x, expr.Var) and x.name in arrays}
        self._ours = {f"{name}_" for name in outputs}  # places that may be written
        self._free = self._ours - set(self._place.values())  # those whose value nobody will read
        self.temporaries: list[str] = []
        self._lines = [self._emit(x) for x in order if id(x) in self._wide and x.args] + self._moves()

    def source(self, name: str, arrays: tuple[str, ...], scratch: bool) -> str:
        """The function; with `scratch`, its temporaries are its last parameters."""
        names = [f"{array}_" for array in arrays] + [f"n{i}" for i in range(len(self.numbers))]
        names += self.temporaries if scratch else []
        made = frozenset(self.temporaries)
        lines = []
        for function, operands, place, new in self._lines:
            if not place:
                lines.append(f"{function}({operands})")
            elif new and not (scratch and place in made):
                lines.append(f"{place} = {function}({operands})")
            else:
                out = "out=" if function in ("maximum", "minimum") else ""  # NumPy's wish for these two
                lines.append(f"{function}({operands}, {out}{place})")
        return f"def {name}({', '.join(names)}):\n" + "".join(f"    {line}\n" for line in lines or ["pass"])

    def _emit(self, x: expr.Expr) -> Line:
        """The call that computes a value from those of its operands."""
        call = ", ".join(map(self._operand, x.args))
        released = []
        for a in x.args:
            self._readers[id(a)] -= 1
            place = self._place[id(a)]
            if self._readers[id(a)] == 0 and place in self._ours:
                released.append(place)
                self._free.add(place)
        fresh = expr.OPERATORS[x.op].gives == "bool" or x.op == "where"  # these cannot write over an array
        place = "" if fresh else self._choose(x, released)
        new = not place
        if new:
            place = f"t{len(self._place)}"
            if not fresh:
                self.temporaries.append(place)
                self._ours.add(place)
        self._free.discard(place)
        self._place[id(x)] = place
        return x.op, call, place, new

    def _operand(self, x: expr.Expr) -> str:
        if id(x) not in self._wide and id(x) not in self._place:
            self._place[id(x)] = f"n{len(self.numbers)}"
            self.numbers.append(x)
        return self._place[id(x)]

    def _choose(self, x: expr.Expr, released: list[str]) -> str:
        """A place to write a value over: its own array if it is a result, else an operand's, else a dead temporary."""
        own = [f"{name}_" for name, root in self.outputs.items() if root is x]
        dead = sorted(place for place in self._free if not place.endswith("_"))
        return next((place for place in [*(own or released), *dead] if place in self._free), "")

    def _moves(self) -> list[Line]:
        """Copies of the results that lie elsewhere; first those that lie in another result's array."""
        moves = [(f"{name}_", self._place[id(root)]) for name, root in self.outputs.items()]
        moves = [(target, place) for target, place in moves if target != place]
        ordered = sorted(moves, key=lambda move: not move[1].endswith("_"))
        return [("copyto", f"{target}, {place}", "", False) for target, place in ordered]
