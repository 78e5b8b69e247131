"""Optimizer updates on NumPy: several scalar expressions compiled to functions that write their arrays in place.

A rule of `optim` gives, for one element, the new value of a parameter and of its state as expressions of the old
ones. `Update` splits them: what consists of numbers alone (learning rate, bias corrections) is evaluated once per step
in double precision; the rest becomes a function with one NumPy call per operator, or one of `axpby` for two products
and their sum. Large arrays are passed to it in pieces, so that temporaries stay in cache and memory is read and written
once, and the pieces of the largest are shared between threads.

Invariant of the generated functions: an array that holds a new value is never written again, and one that holds an old
value is written only after its last reader.
"""

from __future__ import annotations

import ctypes
import math
import re
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ... import codegen
from ...ir import expr
from . import axpby, threads, workers
from .elementwise import FLOAT32, FUNCTIONS, HALVES

# Elements of one piece: arrays that do not fit the last-level cache are read and written once, and calls cost little
# beside the work. A step for one parameter of a million elements, on one core with 32 MiB of last-level cache, took
# Adam 3.1 ms with 32768, 2.5 with 65536, 2.4 with 262144 (torch 3.0) and SGD 0.69, 0.45, 0.38 (torch 0.25); since
# there is `axpby`, 1.8 and 0.33 with the last.
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
        arrays: the variables that are arrays, in the order in which they are passed: parameter, gradient, state.
        numbers: the variables that are Python numbers, in the order in which they are passed.
    """

    def __init__(self, outputs: dict[str, expr.Expr], arrays: tuple[str, ...], numbers: tuple[str, ...]):
        self.wide = {name: root for name, root in outputs.items() if name in arrays}
        self.new_numbers = tuple(name for name in outputs if name not in arrays)
        self.written = tuple(arrays.index(name) for name in self.wide)
        self.arrays = arrays
        self.fixed = Numbers()
        self._small = _Body(self.wide, arrays, self.fixed)
        self._large = _Body(self.wide, arrays, self.fixed, fuse=True)
        self._in_parts: dict[int, Parts] = {}
        self.piece, self.large_piece = self._piece(self._small), self._piece(self._large)
        self._options, self._others = numbers, [outputs[name] for name in self.new_numbers]
        self._kernels: dict[np.dtype, Callable[..., None] | None] = {}

    def numbers(self, dtype: np.dtype, *values: float) -> tuple[list[np.ndarray], tuple[float, ...]]:
        """What the array calls take as numbers, and the new values of the state that is a number."""
        working = _working(dtype)
        fixed, kept = self.fixed.function(self._options, self._others)(*values)
        return [np.array(value, working) for value in fixed], kept

    @property
    def source(self) -> str:
        """The text of the function for small arrays."""
        return self._text(self._small)

    def _text(self, body: _Body) -> str:
        names = [f"{name}_" for name in self.arrays] + body.temporaries
        return _source("piece", [*names, "numbers"], body.lines, {"numbers": list(self.fixed.names.values())})

    def _piece(self, body: _Body) -> Piece:
        return Piece(_functions(self._text(body))["piece"], len(body.temporaries))

    def parts(self, fuse: int) -> Parts:
        """The update as a whole, and in three parts for parameters whose state lies side by side in buffers.

        What reads a parameter is computed for each of them, then everything else for all the buffers at once, and at
        the end, for each, what needs the parameter again: fewer and longer calls. Gradients are copied to a buffer,
        too: even for parameters of 20000 elements that takes no more time than two calls for each.

        Args:
            fuse: where `axpby` is worth its call: 0 nowhere, 1 for buffers, 2 for single parameters, too.
        """
        found = self._in_parts.get(fuse)
        if found is None:
            found = self._in_parts[fuse] = self._make_parts(fuse)
        return found

    def _make_parts(self, fuse: int) -> Parts:
        whole = self._large if fuse == 2 else self._small
        keep = "" if fuse == 2 else self.arrays[0]
        body = _Body(self.wide, self.arrays, self.fixed, fuse > 0, keep, in_parts=True)
        p, g, *state = (f"{name}_" for name in self.arrays)
        lists = {"state": state, "numbers": list(self.fixed.names.values()), "temporaries": whole.temporaries}
        source = _source("whole", [p, g, *lists], whole.lines, lists)
        if body.crossing or body.part_of.count(1) < 3:  # nothing to gain
            return Parts(_functions(source)["whole"], len(whole.temporaries))
        lists["temporaries"] = body.temporaries
        for k, name in enumerate(("gather", "middle", "scatter")):
            lines = [line for line, part in zip(body.lines, body.part_of) if part == k]
            source += _source(name, [*([g] if k == 1 else [p, g]), *lists], lines, lists)
        made = _functions(source)
        gather = made["gather"] if 0 in body.part_of else None
        most = max(len(body.temporaries), len(whole.temporaries))
        return Parts(made["whole"], most, gather, made["middle"], made["scatter"])

    def kernel(self, dtype: np.dtype) -> Callable[..., None] | None:
        """The update as machine code, a function of addresses (`codegen.updates`); None where there is none."""
        if dtype not in self._kernels:
            self._kernels[dtype] = self._generate(dtype)
        return self._kernels[dtype]

    def _generate(self, dtype: np.dtype) -> Callable[..., None] | None:
        if dtype not in PLAIN or not codegen.jit.available() or not axpby.reads_objects():
            return None
        real = codegen.jit.NAMES[dtype]
        roots = {name: _with_numbers(root, self.arrays, self.fixed) for name, root in self.wide.items()}
        try:
            routines = codegen.updates.update(roots, self.arrays, len(self.fixed.names), real, codegen.jit.lanes(real))
        except codegen.updates.Unsupported:
            return None
        return codegen.jit.function(routines, [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p])

    def run(self, arrays: Sequence[np.ndarray], numbers: list[np.ndarray]) -> None:
        """Update the arrays, all of one shape and dtype, in place."""
        first = arrays[0]
        plain = first.dtype in PLAIN and first.ndim
        for a in arrays:
            plain = plain and a.flags.c_contiguous
        if plain and first.size <= PIECE:
            function, temporaries = self.piece if first.size < axpby.WORTH else self.large_piece
            function(*arrays, *_scratch(temporaries, first.dtype, first.shape), numbers)
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
            function, temporaries = self.piece if wide[0].size < axpby.WORTH else self.large_piece
            function(*wide, *_scratch(temporaries, working, wide[0].shape), numbers)
            if half:  # rounded once
                for i in self.written:
                    pieces[i][...] = wide[i]


class Numbers:
    """The numbers that array calls take, as n0, n1, ...; equal formulas have one name."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}  # by formula
        self._formulas: list[expr.Expr] = []
        self._compiled: tuple[int, Any] = (-1, None)

    def name(self, x: expr.Expr) -> str:
        """The name of a number."""
        text = expr.show(x)
        if text not in self.names:
            self.names[text] = f"n{len(self.names)}"
            self._formulas.append(x)
        return self.names[text]

    def function(self, parameters: tuple[str, ...], others: list[expr.Expr]) -> Callable[..., tuple[tuple, tuple]]:
        """The function that gives all numbers that have a name by now, and the values of other formulas."""
        count, found = self._compiled
        if count != len(self._formulas):
            found = self._compile(parameters, others)
            self._compiled = len(self._formulas), found
        return found

    def _compile(self, parameters: tuple[str, ...], others: list[expr.Expr]) -> Callable[..., tuple[tuple, tuple]]:
        """What occurs twice is computed once."""
        lines: list[str] = []
        known: dict[str, str] = {}

        def simple(x: expr.Expr) -> expr.Expr:
            if not x.args:
                return x
            text = expr.show(expr.Expr(x.op, *map(simple, x.args)))
            if text not in known:
                known[text] = f"v{len(known)}"
                lines.append(f"    {known[text]} = {text}")
            return expr.Var(known[text])

        results = ["".join(f"{expr.show(simple(x))}, " for x in group) for group in (self._formulas, others)]
        body = "\n".join([*lines, f"    return ({results[0]}), ({results[1]})"])
        scope: dict[str, Any] = dict(NUMBER_FUNCTIONS)
        exec(compile(f"def numbers({', '.join(parameters)}):\n{body}\n", "<tapegrad numbers>", "exec"), scope)
        return scope["numbers"]


class Piece(NamedTuple):
    """An update of contiguous arrays."""

    function: Callable[..., None]  # of the arrays, the temporaries, and the list of numbers
    temporaries: int


class Parts(NamedTuple):
    """An update as functions of p, g, and lists: state, numbers, temporaries."""

    whole: Callable[..., None]  # of p, g, state, numbers, temporaries
    temporaries: int
    gather: Any = None  # of the same; None if there is nothing to do
    middle: Any = None  # of g, state, numbers, temporaries; None if there is only `whole`
    scatter: Any = None  # of p, g, state, numbers, temporaries


def _functions(source: str) -> dict[str, Any]:
    scope: dict[str, Any] = {"__name__": "tapegrad.optim.kernel", "copyto": np.copyto, "axpby": axpby.axpby()}
    scope |= FUNCTIONS
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


def _with_numbers(root: expr.Expr, arrays: tuple[str, ...], numbers: Numbers) -> expr.Expr:
    """The expression with variables n0, n1, ... for what consists of numbers alone."""
    if root.variables.isdisjoint(arrays):
        return expr.Var(numbers.name(root))
    return expr.Expr(root.op, *(_with_numbers(a, arrays, numbers) for a in root.args)) if root.args else root


class _Body:
    """The text of an array function, made operator by operator, with the place where each value lies.

    Args:
        outputs, arrays: as for `Update`.
        numbers: those that array calls take.
        fuse: whether `axpby` computes sums of products with numbers.
        keep: a variable whose readers are left as they are.
        in_parts: whether the lines are in three parts, and the gradient is a buffer that may be written.
    """

    def __init__(
        self,
        outputs: dict[str, expr.Expr],
        arrays: tuple[str, ...],
        numbers: Numbers,
        fuse: bool = False,
        keep: str = "",
        in_parts: bool = False,
    ):
        if fuse and axpby.axpby() is not None:
            outputs = _fuse(outputs, arrays, keep)
        self.outputs = outputs
        order = _walk(outputs)
        self._wide = _find_wide(order, arrays)
        wide = [x for x in order if id(x) in self._wide]
        parts = self._parts(order, arrays[0]) if in_parts else dict.fromkeys(map(id, order), 0)
        order.sort(key=lambda x: parts.get(id(x), 0))
        self._readers = _count_readers(outputs)
        self._place = {id(x): f"{x.name}_" for x in order if isinstance(x, expr.Var) and x.name in arrays}
        for x in wide:
            for a in x.args:
                if id(a) not in self._wide and id(a) not in self._place:
                    literal = x.op == "axpby" and isinstance(a, expr.Const)
                    self._place[id(a)] = expr.show(a) if literal else numbers.name(a)
        self._ours = {f"{name}_" for name in outputs}  # places that may be written
        self._free = self._ours - set(self._place.values())  # those whose value nobody will read
        if in_parts:
            self._ours.add(f"{arrays[1]}_")
        self.temporaries: list[str] = []
        self.lines: list[Line] = []
        self.part_of: list[int] = []
        fresh = {}  # the part of what an operator makes in memory of its own: it is lost between parts
        for x in order:
            if id(x) in self._wide and x.args:
                lines = self._emit(x)
                self.lines += lines
                self.part_of += [parts[id(x)]] * len(lines)
                if lines[-1][3]:
                    fresh[id(x)] = parts[id(x)]
        reads = [(a, parts.get(id(x), 0)) for x in order for a in x.args] + [(root, 2) for root in outputs.values()]
        self.crossing = any(fresh.get(id(a), part) != part for a, part in reads)
        moves = self._moves()
        self.lines += moves
        self.part_of += [2] * len(moves)

    def _parts(self, order: list[expr.Expr], end: str) -> dict[int, int]:
        """For each value: 0 if it needs the parameter (`end`) and nothing that is computed in parts 1 and 2; 2 if it
        needs that and more; 1 if it does not need it.
        """
        parts: dict[int, int] = {}
        for x in order:
            if x.args and id(x) in self._wide:
                before = max(parts.get(id(a), 0) for a in x.args)
                needs = any(isinstance(a, expr.Var) and a.name == end for a in x.args)
                last = x is self.outputs.get(end) or before == 2 or (needs and before)
                parts[id(x)] = 2 if last else int(not needs)
        return parts

    def _emit(self, x: expr.Expr) -> list[Line]:
        """The call that computes a value from those of its operands, and what has to be copied before it."""
        places = [self._place[id(a)] for a in x.args]
        released = []
        for a, place in zip(x.args, places):
            self._readers[id(a)] -= 1
            if self._readers[id(a)] == 0 and place in self._ours:
                released.append(place)
                self._free.add(place)
        fresh = x.op == "where" or (x.op in expr.OPERATORS and expr.OPERATORS[x.op].gives == "bool")
        place = "" if fresh else self._choose(x, released)  # NumPy cannot write those over an array
        if not place:
            place = f"t{len(self._place)}"
            if not fresh:
                self.temporaries.append(place)
                self._ours.add(place)
        self._free.discard(place)
        self._place[id(x)] = place
        if x.op != "axpby":
            return [(x.op, ", ".join(places), place, fresh)]
        a, y, b, z = places
        if place == y:
            a, y, b, z = b, z, a, y
        before: list[Line] = [] if place == z else [("copyto", f"{place}, {z}", "", False)]
        return [*before, ("axpby", f"{a}, {y}, {b}, {place}", "", False)]

    def _choose(self, x: expr.Expr, released: list[str]) -> str:
        """A place to write a value over: its own array if it is a result, else an operand's, else a dead temporary."""
        own = [f"{name}_" for name, root in self.outputs.items() if root is x]
        dead = sorted(place for place in self._free if place[:-1] not in self.outputs)
        return next((place for place in [*(own or released), *dead] if place in self._free), "")

    def _moves(self) -> list[Line]:
        """Copies of the results that lie elsewhere; first those that lie in another result's array."""
        moves = [(f"{name}_", self._place[id(root)]) for name, root in self.outputs.items()]
        moves = [(target, place) for target, place in moves if target != place]
        ordered = sorted(moves, key=lambda move: not move[1].endswith("_"))
        return [("copyto", f"{target}, {place}", "", False) for target, place in ordered]


# ---- two products and their sum ----------------------------------------------------------------------------------


def _fuse(outputs: dict[str, expr.Expr], arrays: tuple[str, ...], keep: str) -> dict[str, expr.Expr]:
    """The expressions with `axpby` of (a, x, b, y) for `a * x + b * y`, where a and b are numbers, x and y arrays."""
    order, readers = _walk(outputs), _count_readers(outputs)
    wide = _find_wide(order, arrays)
    new: dict[int, expr.Expr] = {}

    def term(x: expr.Expr) -> tuple[expr.Expr, expr.Expr]:
        """A number and an array whose product it is, if nobody else reads that; else 1 and itself."""
        if x.op == "mul" and readers[id(x)] == 1 and sum(id(a) in wide for a in x.args) == 1:
            number, array = x.args if id(x.args[1]) in wide else reversed(x.args)
            return number, new[id(array)]
        return expr.Const(1), new[id(x)]

    for x in order:
        new[id(x)] = expr.Expr(x.op, *(new[id(a)] for a in x.args)) if x.args and id(x) in wide else x
        if x.op in ("add", "sub") and all(id(a) in wide for a in x.args):
            (a, left), (b, right) = map(term, x.args)
            kept = keep and any(isinstance(v, expr.Var) and v.name == keep for v in (left, right))
            if not kept and not (isinstance(a, expr.Const) and isinstance(b, expr.Const)):
                new[id(x)] = expr.Expr("axpby", a, left, b if x.op == "add" else expr.Expr("neg", b), right)
    return {name: new[id(root)] for name, root in outputs.items()}


def _walk(outputs: dict[str, expr.Expr]) -> list[expr.Expr]:
    """Every node of the expressions once, operands before operators."""
    every = expr.walk(expr.Expr("", *outputs.values()))
    return every[:-1]


def _find_wide(order: list[expr.Expr], arrays: tuple[str, ...]) -> set[int]:
    """The identities of the nodes that are arrays, of nodes in the order of `_walk`."""
    wide: set[int] = set()
    for x in order:
        if (isinstance(x, expr.Var) and x.name in arrays) or any(id(a) in wide for a in x.args):
            wide.add(id(x))
    return wide


def _count_readers(outputs: dict[str, expr.Expr]) -> dict[int, int]:
    """How often each value is read; a result is read at the end, too."""
    order = _walk(outputs)
    readers = dict.fromkeys(map(id, order), 0)
    for read in (*(a for x in order for a in x.args), *outputs.values()):
        readers[id(read)] += 1
    return readers
