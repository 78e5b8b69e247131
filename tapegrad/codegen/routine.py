"""Routines: functions with loops, written as Python `with` blocks around the vector code of `vectors`.

    r = Routine("scale", {"x": "ptr", "n": "i64", "by": "float"}, lanes=8)
    x, n, by = r.arguments
    factor = r.splat(by)
    with r.loop(0, n // 8 * 8, 8) as i:
        p = r.at(x, i)
        r.store(r.load(p) * factor, p)

A routine's plain registers are vectors of `lanes` numbers; counters, pointers and other single numbers live in
`r.one`, the same function seen with 0 lanes, and arithmetic on both reads alike. What changes from one turn of a loop
to the next is a `Variable`. `module` puts routines into one text for `jit`; `parallel` shares the turns of an outer
loop between threads (`pool`).

Invariants: a value made inside a block is never reused outside of it (another turn, or none, may have run); as in
`vectors`, nothing is rounded but where the text says so, so a result does not depend on how LLVM arranges it, and a
`parallel` loop gives the same numbers for every number of threads, provided its parts write to different places.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from . import pool
from .vectors import BITS, Code, Value, select

SIZES = {"float": 4, "double": 8, "i1": 1, "i8": 1, "i16": 2, "i32": 4, "i64": 8, "ptr": 8, "half": 2, "bfloat": 2}

POISON = os.environ.get("TAPEGRAD_DEBUG") == "poison"  # whether routines find NaN in their own memory
FILL = 'rep stosb", "={rdi},={rcx},{al},0,1,~{memory}'


class Variable:
    """A number or a vector that is assigned to: kept in memory in the text, in a register after LLVM's passes."""

    __slots__ = ("code", "place", "type")

    def __init__(self, code: Code, place: str, type: str):
        self.code, self.place, self.type = code, place, type

    @property
    def value(self) -> Value:
        """What it holds now."""
        return _line(self.code, f"load {self.code.vector(self.type)}, ptr {self.place}", self.type)

    @value.setter
    def value(self, new: Any) -> None:
        self.code.lines.append(f"  store {self.code.lift(new, self.type).typed}, ptr {self.place}")


class Routine(Code):
    """A function being written.

    Args:
        name: of the function.
        parameters: the type of each by its name.
        lanes: of the plain registers.
        result: the type of what `give` gives back.
        aliased: whether memory behind different pointers may overlap; if not, LLVM may keep what it has read.
        inline: whether LLVM may copy it to where it is called, which takes time for each copy.
    """

    def __init__(
        self,
        name: str,
        parameters: Mapping[str, str],
        lanes: int,
        result: str = "void",
        aliased: bool = True,
        inline: bool = True,
    ):
        super().__init__(lanes)
        self.symbol, self.result, self.parameters = name, result, dict(parameters)
        self.one = self.of(0)
        self.arguments = tuple(self.one.argument(f"%{n}", t) for n, t in parameters.items())
        self.aliased, self.inline = aliased, inline
        self.block = "start"
        self._places: list[str] = []
        self._labels = 0

    # ---- numbers

    def lift_one(self, x: Any, type: str = "i64") -> Value:
        """A single number; by default an index."""
        return self.one.lift(x, type)

    def splat(self, x: Value, lanes: int | None = None) -> Value:
        """A vector with one number in every lane."""
        code = self.of(self.lanes if lanes is None else lanes)
        if not code.lanes:
            return x
        vector = code.vector(x.type)
        first = code.emit(f"insertelement {vector} poison, {x.typed}, i64 0", x.type)
        return code.emit(f"shufflevector {first.typed}, {vector} poison, <{code.lanes} x i32> zeroinitializer", x.type)

    def lane(self, x: Value, k: int) -> Value:
        """The number in lane `k`."""
        return self.one.emit(f"extractelement {x.typed}, i64 {k}", x.type)

    def put(self, x: Value, k: int, number: Value) -> Value:
        """`x` with another number in lane `k`."""
        return x.code.emit(f"insertelement {x.typed}, {number.typed}, i64 {k}", x.type)

    def pick(self, x: Value, y: Value, lanes: Sequence[int]) -> Value:
        """Lanes of `x` (numbered from 0) and of `y` (numbered on from there) as a new vector."""
        order = ", ".join(f"i32 {k}" for k in lanes)
        return self.of(len(lanes)).emit(f"shufflevector {x.typed}, {y.typed}, <{len(lanes)} x i32> <{order}>", x.type)

    def half(self, x: Value, upper: bool = False) -> Value:
        """The lower or the upper half of a vector."""
        n = x.code.lanes // 2
        return self.pick(x, x, range(n, 2 * n) if upper else range(n))

    def join(self, x: Value, y: Value) -> Value:
        """Two vectors of one width as one."""
        return self.pick(x, y, range(2 * x.code.lanes))

    def fold(self, x: Value, function: Any) -> Value:
        """One number from the lanes of a vector: halves put together until one is left."""
        while x.code.lanes > 1:
            x = function(self.half(x), self.half(x, upper=True))
        return self.lane(x, 0)

    def total(self, x: Value) -> Value:
        """The sum of the lanes."""
        return self.fold(x, lambda a, b: a + b)

    def largest(self, x: Value) -> Value:
        """The largest of the lanes; NaN if one is."""
        return self.fold(x, larger)

    def any(self, mask: Value) -> Value:
        """Whether a truth value holds in any lane."""
        if not mask.code.lanes:
            return mask
        n = mask.code.lanes
        self.declarations.add(f"declare i1 @llvm.vector.reduce.or.v{n}i1(<{n} x i1>)")
        return self.one.emit(f"call i1 @llvm.vector.reduce.or.v{n}i1({mask.typed})", "i1")

    def count(self, lanes: int | None = None, type: str = "i32") -> Value:
        """0, 1, 2, ... in the lanes."""
        code = self.of(self.lanes if lanes is None else lanes)
        numbers = ", ".join(f"{type} {k}" for k in range(code.lanes))
        return code.argument(f"<{numbers}>", type)

    def first(self, n: Value, lanes: int | None = None) -> Value:
        """A mask of the first `n` lanes."""
        number = self.one.emit(f"trunc {n.typed} to i32", "i32") if n.type == "i64" else n
        return self.count(lanes) < self.splat(number, lanes)

    # ---- memory

    def at(self, pointer: Value, index: Any, type: str = "float") -> Value:
        """The address `index` elements of `type` further on."""
        index = self.one.lift(index, "i64")
        return self.one.emit(f"getelementptr {type}, {pointer.typed}, {index.typed}", "ptr")

    def bytes_on(self, pointer: Value, count: Any) -> Value:
        """The address `count` bytes further on."""
        return self.at(pointer, count, "i8")

    def load(self, pointer: Value, type: str = "float", lanes: int | None = None) -> Value:
        """What lies there: a vector of `lanes` neighbours (0: one number)."""
        code = self.of(self.lanes if lanes is None else lanes)
        return _line(code, f"load {code.vector(type)}, {pointer.typed}, align {1 if code.lanes else SIZES[type]}", type)

    def store(self, x: Value, pointer: Value) -> None:
        """Write a vector or a number there."""
        self.lines.append(f"  store {x.typed}, {pointer.typed}, align {1 if x.code.lanes else SIZES[x.type]}")

    def load_first(self, pointer: Value, mask: Value, fill: Value) -> Value:
        """A vector of what lies there where the mask holds, else of `fill`; nothing else is touched."""
        code, vector = fill.code, fill.code.vector(fill.type)
        name = f"@llvm.masked.load.v{code.lanes}{_suffix(fill.type)}.p0"
        self.declarations.add(f"declare {vector} {name}(ptr, {code.vector('i1')}, {vector})")
        return _line(code, f"call {vector} {name}(ptr align 1 {pointer.text}, {mask.typed}, {fill.typed})", fill.type)

    def store_first(self, x: Value, pointer: Value, mask: Value) -> None:
        """Write the lanes where the mask holds."""
        code, vector = x.code, x.code.vector(x.type)
        name = f"@llvm.masked.store.v{code.lanes}{_suffix(x.type)}.p0"
        self.declarations.add(f"declare void {name}({vector}, ptr, {code.vector('i1')})")
        self.lines.append(f"  call void {name}({x.typed}, ptr align 1 {pointer.text}, {mask.typed})")

    def prefetch(self, pointer: Value, write: bool = False) -> None:
        """Ask for a cache line that is needed soon."""
        self.declarations.add("declare void @llvm.prefetch.p0(ptr, i32, i32, i32)")
        self.lines.append(f"  call void @llvm.prefetch.p0({pointer.typed}, i32 {int(write)}, i32 3, i32 1)")

    def room(self, count: int, type: str = "float") -> Value:
        """Memory of the routine's own, for a constant number of elements; together they should stay below 64 KiB."""
        place = f"%room{len(self._places)}"
        self._places.append(f"  {place} = alloca [{count} x {type}], align 64")
        if POISON:
            fill = f'call {{ ptr, i64 }} asm sideeffect "{FILL}"(i8 -1, ptr {place}, i64 {count * SIZES[type]})'
            self._places.append(f"  {place}.filled = {fill}")
        return self.one.argument(place, "ptr")

    def variable(self, start: Value) -> Variable:
        """A variable with its first value."""
        place = f"%var{len(self._places)}"
        self._places.append(f"  {place} = alloca {start.code.vector(start.type)}, align 8")
        found = Variable(start.code, place, start.type)
        found.value = start
        return found

    # ---- the order of things

    @contextmanager
    def loop(self, start: Any, stop: Any, step: Any = 1) -> Iterator[Value]:
        """A block for each number from `start` up to, not including, `stop`."""
        start, stop, step = (self.one.lift(x, "i64") for x in (start, stop, step))
        n = self._label()
        before = self.block
        counter, following = f"%i{n}", f"%i{n}.next"
        where = len(self.lines) + 2
        self.lines += [f"  br label %head{n}", f"head{n}:", ""]
        self.lines += [
            f"  %go{n} = icmp slt i64 {counter}, {stop.text}",
            f"  br i1 %go{n}, label %body{n}, label %end{n}",
        ]
        with self._inside(f"body{n}"):
            yield self.one.argument(counter, "i64")
            self.lines += [f"  {following} = add nsw i64 {counter}, {step.text}", f"  br label %head{n}"]
            back = self.block
        self.lines[where] = f"  {counter} = phi i64 [ {start.text}, %{before} ], [ {following}, %{back} ]"
        self._open(f"end{n}")

    @contextmanager
    def when(self, condition: Value) -> Iterator[None]:
        """A block that runs if a single truth value holds."""
        n = self._label()
        self.lines.append(f"  br i1 {condition.text}, label %then{n}, label %past{n}")
        with self._inside(f"then{n}"):
            yield
            self.lines.append(f"  br label %past{n}")
        self._open(f"past{n}")

    @contextmanager
    def choice(self, condition: Value) -> Iterator[Iterator[Any]]:
        """Two blocks, of which one runs: `with r.choice(c) as (yes, no): with yes: ... with no: ...`."""
        n = self._label()
        self.lines.append(f"  br i1 {condition.text}, label %yes{n}, label %no{n}")
        yield iter((self._branch(f"yes{n}", f"met{n}"), self._branch(f"no{n}", f"met{n}")))
        self._open(f"met{n}")

    @contextmanager
    def _branch(self, label: str, following: str) -> Iterator[None]:
        with self._inside(label):
            yield
            self.lines.append(f"  br label %{following}")

    def give(self, value: Value | None = None) -> None:
        """End here, with the result."""
        self.lines.append("  ret void" if value is None else f"  ret {value.typed}")
        self._open(f"after{self._label()}")

    def invoke(self, routine: Routine | str, *args: Any, result: str = "void") -> Value | None:
        """Call another routine of the module."""
        types = list(routine.parameters.values()) if isinstance(routine, Routine) else ["i64"] * len(args)
        name, result = (routine.symbol, routine.result) if isinstance(routine, Routine) else (routine, result)
        operands = ", ".join(self.one.lift(a, t).typed for a, t in zip(args, types))
        text = f"call {result} @{name}({operands})"
        if result == "void":
            self.lines.append(f"  {text}")
            return None
        return _line(self.one, text, result)

    def parallel(self, part: Routine, count: Value, *args: Any) -> None:
        """Run `part` for 0, 1, ... `count` - 1, in any order and by several threads; returns when all are done.

        Args:
            part: made by `part_of`.
            count: how many parts; it should follow from shapes alone.
            args: the values of the part's other parameters.
        """
        types = list(part.parameters.values())[:-1]
        box = self.room(max(len(types), 1), "i64")
        for k, (value, type) in enumerate(zip(args, types)):
            self.store(self.one.lift(value, type), self.at(box, k, "i64"))
        self.needs[pool.SYMBOL] = pool.TEXT
        self.declarations.add(pool.DECLARATION)
        self.lines.append(f"  call void @{pool.SYMBOL}(ptr @{part.symbol}.part, {box.typed}, {count.typed})")

    # ---- inside

    def _label(self) -> int:
        self._labels += 1
        return self._labels

    def _open(self, label: str) -> None:
        self.lines.append(f"{label}:")
        self.block = label

    @contextmanager
    def _inside(self, label: str) -> Iterator[None]:
        """Lines of a block of their own: what is known before holds in it, what it finds out does not hold after it."""
        known = dict(self._state.known)
        self._open(label)
        yield
        self._state.known = known

    def text(self, public: bool) -> str:
        """The function in LLVM's language, without calls of C's library (`memset`): the loader could not link them."""
        note = "" if self.aliased else " noalias"
        parameters = ", ".join(f"{t}{note if t == 'ptr' else ''} %{n}" for n, t in self.parameters.items())
        head = f'define {"" if public else "internal "}{self.result} @{self.symbol}({parameters}) "no-builtins"'
        head += " {" if self.inline else " noinline {"
        end = "  ret void" if self.result == "void" else "  unreachable"
        return "\n".join([head, "entry:", *self._places, "  br label %start", "start:", *self.lines, end, "}"])


def part_of(name: str, parameters: Mapping[str, str], lanes: int) -> Routine:
    """A routine for `Routine.parallel`: the number of the part is its last parameter, `part`."""
    return Routine(name, {**parameters, "part": "i64"}, lanes)


def _unboxed(part: Routine) -> str:
    """The function that the pool calls: it takes the values out of the box and calls the routine."""
    lines, operands = [], []
    for k, type in enumerate(list(part.parameters.values())[:-1]):
        lines += [f"  %p{k} = getelementptr i64, ptr %box, i64 {k}", f"  %v{k} = load {type}, ptr %p{k}, align 8"]
        operands.append(f"{type} %v{k}")
    call = f"  call void @{part.symbol}({', '.join([*operands, 'i64 %part'])})"
    head = f"define internal void @{part.symbol}.part(ptr %box, i64 %part) {{"
    return "\n".join([head, *lines, call, "  ret void", "}"])


def entry(routine: Routine) -> Routine:
    """The inner loop of a NumPy ufunc around a routine; the flags of the floating-point unit stay as they were.

    The routine gets what NumPy passes: the operands' addresses, then the sizes, then the strides in bytes, each as
    pointers to arrays of 64-bit numbers (`args`, `dims`, `steps`).
    """
    found = Routine("kernel", {"args": "ptr", "dims": "ptr", "steps": "ptr", "data": "ptr"}, 0)
    flags = found.room(1, "i32")
    found.declarations |= {"declare void @llvm.x86.sse.stmxcsr(ptr)", "declare void @llvm.x86.sse.ldmxcsr(ptr)"}
    found.lines.append(f"  call void @llvm.x86.sse.stmxcsr({flags.typed})")
    found.invoke(routine, *found.arguments[:3])
    found.lines.append(f"  call void @llvm.x86.sse.ldmxcsr({flags.typed})")
    return found


def module(public: Routine, *others: Routine) -> tuple[str, dict[str, str]]:
    """One text of several routines, of which the first is seen outside; and the modules that it needs."""
    routines = (public, *others)
    lines = [r.text(r is public) for r in routines]
    lines += [_unboxed(r) for r in others if list(r.parameters)[-1:] == ["part"]]
    needs = {name: text for r in routines for name, text in r.needs.items()}
    return "\n".join([*lines, *sorted({d for r in routines for d in r.declarations})]) + "\n", needs


# ---- small helpers ---------------------------------------------------------------------------------------------------


def larger(x: Value, y: Any) -> Value:
    """The larger number; NaN if `x` is."""
    return select((x >= y) | (x != x), x, y)


def smaller(x: Value, y: Any) -> Value:
    """The smaller number; NaN if `x` is."""
    return select((x <= y) | (x != x), x, y)


def least(x: Value, y: Any) -> Value:
    """The smaller of two whole numbers."""
    return select(x < y, x, y)


def _suffix(type: str) -> str:
    return f"f{8 * SIZES[type]}" if type in BITS else type


def _line(code: Code, text: str, type: str) -> Value:
    """Append an instruction whose result may differ at the next turn: it is never reused."""
    found = code.argument(code.name(), type)
    code.lines.append(f"  {found.text} = {text}")
    return found
