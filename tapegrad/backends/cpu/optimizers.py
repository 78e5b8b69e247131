"""Optimizer updates on NumPy: several scalar expressions compiled to one function that writes its arrays in place.

A rule of `optim` gives, for one element, the new value of a parameter and of its state as expressions of the old
ones. `Update` splits them: what consists of numbers alone (learning rate, bias corrections) is evaluated once per step
in double precision; the rest becomes one function with one NumPy call per operator. It is run on pieces of the arrays
small enough that all of them, temporaries included, stay in the second-level cache, so that memory is passed once.

Invariant of the generated function: an array that holds a new value is never written again, and one that holds an old
value is written only after its last reader.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...ir import expr
from .elementwise import FLOAT32, FUNCTIONS, HALVES

# Elements of one piece: with 16384 float32 the 4 arrays and 2 temporaries of Adam are 384 KiB. Measured for a step of
# 669,706 parameters on a core with 512 KiB (bench/optimizers.py): 4096 1.32 ms, 16384 0.90 ms, 65536 1.27 ms.
PIECE = 16384

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
        arrays: the variables that are arrays.
        numbers: the variables that are Python numbers, in the order in which they are passed.
    """

    def __init__(self, outputs: dict[str, expr.Expr], arrays: frozenset[str], numbers: tuple[str, ...]):
        wide = {name: root for name, root in outputs.items() if name in arrays}
        self.new_numbers = tuple(name for name in outputs if name not in arrays)
        used = {v for root in wide.values() for v in root.variables} | set(wide)
        self.arrays = tuple(sorted(used & arrays))
        self.written = tuple(i for i, name in enumerate(self.arrays) if name in wide)
        body = _Body(wide, self.arrays)
        self.source = body.source
        self.temporaries = body.temporaries
        scope: dict[str, Any] = {"__name__": "tapegrad.optim.kernel", "copyto": np.copyto, **FUNCTIONS}
        exec(compile(self.source, "<tapegrad update>", "exec"), scope)
        self.kernel: Callable[..., None] = scope["update"]
        fixed = ", ".join(map(expr.show, body.numbers)) + ","
        kept = "".join(f"{expr.show(outputs[name])}, " for name in self.new_numbers)
        text = f"lambda {', '.join(numbers)}: (({fixed if body.numbers else ''}), ({kept}))"
        self._numbers: Callable[..., tuple[tuple, tuple]] = eval(text, dict(NUMBER_FUNCTIONS))

    def numbers(self, dtype: np.dtype, *values: float) -> tuple[list[np.ndarray], tuple[float, ...]]:
        """What the array calls take as numbers, and the new values of the state that is a number."""
        wide = _working(dtype)
        fixed, kept = self._numbers(*values)
        return [np.array(value, wide) for value in fixed], kept

    def scratch(self, dtype: np.dtype) -> list[np.ndarray]:
        """The temporaries of `run`; one thread at a time may use them."""
        return [np.empty(PIECE, _working(dtype)) for _ in range(self.temporaries)]

    def run(self, arrays: Sequence[np.ndarray], numbers: list[np.ndarray], scratch: list[np.ndarray]) -> None:
        """Update the arrays (in the order of `self.arrays`, all of one shape and dtype) in place."""
        flat = [_flat(a) for a in arrays]
        step = self._run_half if arrays[0].dtype in HALVES else self.kernel
        size = flat[0].size
        for start in range(0, size, PIECE):
            stop = min(start + PIECE, size)
            pieces = flat if size <= PIECE else [a[start:stop] for a in flat]
            short = scratch if stop - start == PIECE else [t[: stop - start] for t in scratch]
            step(*pieces, *short, *numbers)
        for i in self.written:
            if not arrays[i].flags.c_contiguous:
                np.copyto(arrays[i], flat[i].view(arrays[i].dtype).reshape(arrays[i].shape))

    def _run_half(self, *operands: np.ndarray) -> None:
        """Compute in float32 and round once."""
        n = len(self.arrays)
        wide = [a.astype(FLOAT32) for a in operands[:n]]
        self.kernel(*wide, *operands[n:])
        for i in self.written:
            operands[i][...] = wide[i]


def _working(dtype: np.dtype) -> np.dtype:
    """The type in which arrays of `dtype` are computed: complex numbers are pairs of real ones."""
    if dtype in HALVES:
        return FLOAT32
    return np.empty(0, dtype).real.dtype if dtype.kind == "c" else dtype


def _flat(array: np.ndarray) -> np.ndarray:
    """The elements in one dimension: the array's own memory, or a copy if they do not lie side by side."""
    flat = (array if array.flags.c_contiguous else np.ascontiguousarray(array)).reshape(-1)
    return flat.view(flat.real.dtype) if flat.dtype.kind == "c" else flat


class _Body:
    """The text of the array function, made operator by operator with the storage of each value."""

    def __init__(self, outputs: dict[str, expr.Expr], arrays: tuple[str, ...]):
        self.outputs = outputs
        self.numbers: list[expr.Expr] = []
        self.temporaries = 0
        self._lines: list[str] = []
        self._place: dict[int, str] = {}  # where the value of a node is
        self._own = {f"{name}_" for name in outputs}  # storage that may be written
        order = list({id(x): x for root in outputs.values() for x in expr.walk(root)}.values())
        self._wide = {id(x) for x in order if x.variables & set(arrays)}
        self._readers = {id(x): 0 for x in order}
        for x in order:
            for a in x.args:
                self._readers[id(a)] += 1
        for root in outputs.values():
            self._readers[id(root)] += 1  # the new value itself: never released
        for x in order:
            if isinstance(x, expr.Var) and id(x) in self._wide:
                self._place[id(x)] = f"{x.name}_"
        self._free = sorted(self._own - set(self._place.values()))  # storage whose value nobody reads any more
        for x in order:
            if id(x) in self._wide and x.args:
                self._emit(x)
        self._move_results()
        names = [f"{name}_" for name in arrays] + [f"t{i}" for i in range(self.temporaries)]
        names += [f"n{i}" for i in range(len(self.numbers))]
        self.source = f"def update({', '.join(names)}):\n" + "".join(f"    {line}\n" for line in self._lines)

    def _operand(self, x: expr.Expr) -> str:
        """The text of an operand; one without arrays is a number computed beforehand."""
        if id(x) not in self._place:
            self._place[id(x)] = f"n{len(self.numbers)}"
            self.numbers.append(x)
        return self._place[id(x)]

    def _emit(self, x: expr.Expr) -> None:
        call = ", ".join(map(self._operand, x.args))
        dying = []
        for a in x.args:
            self._readers[id(a)] -= 1
            if self._readers[id(a)] == 0 and self._place[id(a)] in self._own:
                dying.append(self._place[id(a)])
        self._free += dying
        function = FUNCTIONS[x.op]
        fresh = expr.OPERATORS[x.op].gives == "bool" or x.op == "where"
        place = f"fresh{len(self._lines)}" if fresh else self._choose(x, dying)
        self._place[id(x)] = place
        if fresh:
            self._lines.append(f"{place} = {x.op}({call})")
        else:
            positional = isinstance(function, np.ufunc) and x.op not in ("maximum", "minimum")
            self._lines.append(f"{x.op}({call}, {'' if positional else 'out='}{place})")

    def _choose(self, x: expr.Expr, dying: list[str]) -> str:
        """Storage for a value: its own array if it is a result, else an operand's, else a temporary."""
        results = [f"{name}_" for name, root in self.outputs.items() if root is x]
        others = [p for p in dying if not results] + [p for p in self._free if not p.endswith("_")]
        place = next((p for p in [*results, *others] if p in self._free), "")
        if place:
            self._free.remove(place)
        else:
            place = f"t{self.temporaries}"
            self.temporaries += 1
            self._own.add(place)
        return place

    def _move_results(self) -> None:
        """Copy the results that could not be computed in place, those that lie in another result's array first."""
        moves = [(f"{name}_", self._place[id(root)]) for name, root in self.outputs.items()]
        for target, source in sorted(moves, key=lambda move: not move[1].endswith("_")):
            if target != source:
                self._lines.append(f"copyto({target}, {source})")
