"""Optimizer updates on NumPy: several scalar expressions compiled to one function that writes its arrays in place.

A rule of `optim` gives, for one element, the new value of a parameter and of its state as expressions of the old
ones. `Update` splits them: what consists of numbers alone (learning rate, bias corrections) is evaluated once per step
in double precision; the rest becomes one function with one NumPy call per operator. Large arrays are passed to it in
pieces, so that temporaries stay in cache and memory is read and written once, and the pieces of the largest are shared
between threads.

Invariant of the generated function: an array that holds a new value is never written again, and one that holds an old
value is written only after its last reader.
"""

from __future__ import annotations

import functools
import math
import re
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...ir import expr
from . import threads, workers
from .elementwise import FLOAT32, FUNCTIONS, HALVES

# Elements of one piece: arrays that do not fit the last-level cache are read and written once, and calls cost little
# beside the work. A step for one parameter of a million elements, on one core with 32 MiB of last-level cache, took
# Adam 3.1 ms with 32768, 2.5 with 65536, 2.4 with 262144 (torch 3.0) and SGD 0.69, 0.45, 0.38 (torch 0.25).
PIECE = 262144
# From here, threads take a part each: Adam's 2.3 ms became 1.7 with two of them (torch's two: 2.2). Small pieces pass
# the interpreter's lock back and forth too often: 3.3 ms with pieces of 16384.
SHARED = 2 * PIECE
MOST = 4  # threads, however many the machine has: they meet at the interpreter's lock
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
        self._wide, self._arrays = wide, arrays
        body = _Body(wide, arrays)
        names = [f"{name}_" for name in arrays] + [f"n{i}" for i in range(len(body.numbers))] + body.temporaries
        self.source = _source("piece", names, body.lines)
        self.temporaries = len(body.temporaries)
        self.piece: Callable[..., None] = _functions(self.source)["piece"]
        fixed = "".join(f"{expr.show(x)}, " for x in body.numbers)
        kept = "".join(f"{expr.show(outputs[name])}, " for name in self.new_numbers)
        text = f"lambda {', '.join(numbers)}: (({fixed}), ({kept}))"
        self._numbers: Callable[..., tuple[tuple, tuple]] = eval(text, dict(NUMBER_FUNCTIONS))

    def numbers(self, dtype: np.dtype, *values: float) -> tuple[list[np.ndarray], tuple[float, ...]]:
        """What the array calls take as numbers, and the new values of the state that is a number."""
        working = _working(dtype)
        fixed, kept = self._numbers(*values)
        return [np.array(value, working) for value in fixed], kept

    @functools.cached_property
    def parts(self) -> Parts:
        """The update in three parts, for small parameters side by side whose state lies in one buffer; and as a whole.

        What reads a parameter or its gradient is computed for each of them, then everything else for the whole buffer
        at once, and at the end, for each, what needs the parameter or its gradient again: fewer and longer calls.
        """
        whole, body = _Body(self._wide, self._arrays), _Body(self._wide, self._arrays, in_parts=True)
        ends, state = [[f"{name}_" for name in names] for names in (self._arrays[:2], self._arrays[2:])]
        numbers = [f"n{i}" for i in range(len(body.numbers))]
        lists = {"state": state, "numbers": numbers, "temporaries": whole.temporaries}
        source = _source("whole", [*ends, *lists], whole.lines, lists)
        if body.crossing or body.part_of.count(1) < 4:  # nothing to gain
            return Parts(_functions(source)["whole"], len(whole.temporaries))
        lists["temporaries"] = body.temporaries
        names = {"gather": [*ends, *lists], "middle": [*lists], "scatter": [*ends, *lists]}
        for k, name in enumerate(names):
            lines = [line for line, part in zip(body.lines, body.part_of) if part == k]
            source += _source(name, names[name], lines, lists)
        made = _functions(source)
        return Parts(made["whole"], len(body.temporaries), made["gather"], made["middle"], made["scatter"])

    def run(self, arrays: Sequence[np.ndarray], numbers: list[np.ndarray]) -> None:
        """Update the arrays, all of one shape and dtype, in place."""
        first = arrays[0]
        plain = first.dtype in PLAIN and first.ndim
        for a in arrays:
            plain = plain and a.flags.c_contiguous
        if plain and first.size <= PIECE:
            self.piece(*arrays, *numbers, *_scratch(self.temporaries, first.dtype, first.shape))
            return
        flat = [_flat(a) for a in arrays]
        ranges = _ranges(flat[0].size)
        if len(ranges) == 1:
            self._run_range(flat, numbers, ranges[0])
        else:
            workers.share(lambda part: self._run_range(flat, numbers, part), ranges)
        for i in self.written:
            if not arrays[i].flags.c_contiguous:
                np.copyto(arrays[i], flat[i].view(arrays[i].dtype).reshape(arrays[i].shape))

    def _run_range(self, flat: Sequence[np.ndarray], numbers: list[np.ndarray], part: range) -> None:
        """Update a range of the elements, piece by piece."""
        half = flat[0].dtype in HALVES
        working = FLOAT32 if half else flat[0].dtype
        for start in part:
            pieces = [a[start : min(start + PIECE, part.stop)] for a in flat]
            wide = [a.astype(FLOAT32) for a in pieces] if half else pieces
            self.piece(*wide, *numbers, *_scratch(self.temporaries, working, wide[0].shape))
            if half:  # rounded once
                for i in self.written:
                    pieces[i][...] = wide[i]


class Parts(NamedTuple):
    """An update as functions of p, g, and lists: state, numbers, temporaries."""

    whole: Callable[..., None]  # of p, g, state, numbers, temporaries
    temporaries: int
    gather: Any = None  # of the same; None if there is only `whole`
    middle: Any = None  # of state, numbers, temporaries
    scatter: Any = None  # of p, g, state, numbers, temporaries


def _functions(source: str) -> dict[str, Any]:
    scope: dict[str, Any] = {"__name__": "tapegrad.optim.kernel", "copyto": np.copyto, **FUNCTIONS}
    exec(compile(source, "<tapegrad update>", "exec"), scope)
    return scope


_local = threading.local()


def _scratch(count: int, dtype: np.dtype, shape: tuple[int, ...]) -> list[np.ndarray]:
    """Memory for temporaries, kept by each thread: fresh memory would cost more than the arithmetic in it."""
    kept = _local.__dict__
    found = kept.get((count, dtype, shape))
    if found is None:
        blocks = kept.setdefault(dtype, [])
        while len(blocks) < count:
            blocks.append(np.empty(PIECE, dtype))
        if len(kept) > 1000:  # views of many shapes: only the memory itself is worth keeping
            kept.clear()
            kept[dtype] = blocks
        found = kept[count, dtype, shape] = [block[: math.prod(shape)].reshape(shape) for block in blocks[:count]]
    return found


def _ranges(size: int) -> list[range]:
    """The starts of the pieces, in one range, or one for each thread."""
    parts = min(threads.get_num_threads(), MOST) if size >= SHARED else 1
    each = -(-size // (parts * PIECE)) * PIECE
    return [range(start, min(start + each, size), PIECE) for start in range(0, size, each)] or [range(0)]


def _working(dtype: np.dtype) -> np.dtype:
    """The type in which arrays of `dtype` are computed: complex numbers are pairs of real ones."""
    if dtype in HALVES:
        return FLOAT32
    return np.empty(0, dtype).real.dtype if dtype.kind == "c" else dtype


def _flat(array: np.ndarray) -> np.ndarray:
    """The elements in one dimension: the array's own memory, or a copy if they do not lie side by side."""
    flat = (array if array.flags.c_contiguous else np.ascontiguousarray(array)).reshape(-1)
    return flat.view(flat.real.dtype) if flat.dtype.kind == "c" else flat


Line = tuple[str, str, str, bool]  # a function, its operands, the place of its result, and whether it makes that


def _source(name: str, parameters: list[str], lines: list[Line], lists: dict[str, list[str]] | None = None) -> str:
    """A function of these lines; of parameters that are `lists`, the entries that it uses get their names."""
    body = []
    for function, operands, place, fresh in lines:
        if not place:
            body.append(f"{function}({operands})")
        elif fresh:
            body.append(f"{place} = {function}({operands})")
        else:
            out = "out=" if function in ("maximum", "minimum") else ""  # NumPy's wish for these two
            body.append(f"{function}({operands}, {out}{place})")
    used = set(re.findall(r"\w+", " ".join(body)))
    head = [f"{n} = {group}[{i}]" for group, names in (lists or {}).items() for i, n in enumerate(names) if n in used]
    text = "".join(f"    {line}\n" for line in head + body or ["pass"])
    return f"def {name}({', '.join(parameters)}):\n{text}"


class _Body:
    """The text of the array function, made operator by operator, with the place where each value lies."""

    def __init__(self, outputs: dict[str, expr.Expr], arrays: tuple[str, ...], in_parts: bool = False):
        self.outputs = outputs
        order = list({id(x): x for root in outputs.values() for x in expr.walk(root)}.values())
        self._wide = {id(x) for x in order if not x.variables.isdisjoint(arrays)}
        wide = [x for x in order if id(x) in self._wide]
        # the operands without arrays: n0, n1, ... of the function
        self.numbers = list({id(a): a for x in wide for a in x.args if id(a) not in self._wide}.values())
        parts = self._parts(order, arrays) if in_parts else dict.fromkeys(map(id, order), 0)
        order.sort(key=lambda x: parts.get(id(x), 0))
        self._readers = dict.fromkeys(map(id, order), 0)
        for read in (*(a for x in order for a in x.args), *outputs.values()):  # a result is read at the end, too
            self._readers[id(read)] += 1
        self._place = {id(x): f"{x.name}_" for x in order if isinstance(x, expr.Var) and x.name in arrays}
        self._place |= {id(x): f"n{i}" for i, x in enumerate(self.numbers)}
        self._ours = {f"{name}_" for name in outputs}  # places that may be written
        self._free = self._ours - set(self._place.values())  # those whose value nobody will read
        self.temporaries: list[str] = []
        made = [x for x in order if id(x) in self._wide and x.args]
        self.lines = [self._emit(x) for x in made]
        self.part_of = [parts[id(x)] for x in made]
        # what an operator makes in memory of its own is lost between parts
        fresh = {id(x) for x, line in zip(made, self.lines) if line[3]}
        reads = [(a, parts[id(x)]) for x in made for a in x.args] + [(root, 2) for root in outputs.values()]
        self.crossing = any(id(a) in fresh and parts[id(a)] != part for a, part in reads)
        moves = self._moves()
        self.lines += moves
        self.part_of += [2] * len(moves)

    def _parts(self, order: list[expr.Expr], arrays: tuple[str, ...]) -> dict[int, int]:
        """For each value: 0 if it needs p or g and nothing that is computed in parts 1 and 2; 2 if it needs p or g and
        more; 1 if it needs neither.
        """
        parts: dict[int, int] = {}
        for x in order:
            if x.args and id(x) in self._wide:
                before = max(parts.get(id(a), 0) for a in x.args)
                ends = any(isinstance(a, expr.Var) and a.name in arrays[:2] for a in x.args)
                parts[id(x)] = 2 if x is self.outputs.get("p") or before == 2 or (ends and before) else int(not ends)
        return parts

    def _emit(self, x: expr.Expr) -> Line:
        """The call that computes a value from those of its operands."""
        call = ", ".join(self._place[id(a)] for a in x.args)
        released = []
        for a in x.args:
            self._readers[id(a)] -= 1
            place = self._place[id(a)]
            if self._readers[id(a)] == 0 and place in self._ours:
                released.append(place)
                self._free.add(place)
        fresh = expr.OPERATORS[x.op].gives == "bool" or x.op == "where"  # these cannot write over an array
        place = "" if fresh else self._choose(x, released)
        if not place:
            place = f"t{len(self._place)}"
            if not fresh:
                self.temporaries.append(place)
                self._ours.add(place)
        self._free.discard(place)
        self._place[id(x)] = place
        return x.op, call, place, fresh

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
