"""Vector code being written: values with Python's operators, whose every use appends a line of LLVM IR.

A `Value` stands for a register of `Code.lanes` numbers of one type ("float", "double", "i32", "i64" or "i1"), so that
mathematics reads as such: `p = r * r * q + r`. The same operation on the same operands is written only once. With 0
lanes a register holds one number, not a vector; `code.of(lanes)` writes into the same function with other registers.

    >>> code = Code(8)
    >>> x = code.argument("%x", "float")
    >>> y = x * x + 1
    >>> _ = x * x
    >>> print("\\n".join(code.lines))
      %1 = fmul <8 x float> %x, %x
      %2 = fadd <8 x float> %1, splat (float 0x3FF0000000000000)

Invariant: nothing is rounded but where the text says so: no flags that let LLVM reorder or contract are ever set.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

BITS = {"float": "i32", "double": "i64"}
REAL = {"i32": "float", "i64": "double"}
PIECE = 4  # coefficients of a polynomial that are evaluated one after the other
_SIZES = {"float": 32, "double": 64, "i32": 32, "i64": 64}


class Value:
    """A register, or a constant, of `code.lanes` numbers."""

    __slots__ = ("code", "text", "type")
    __hash__ = object.__hash__

    def __init__(self, code: Code, text: str, type: str):
        self.code, self.text, self.type = code, text, type

    # ---- arithmetic

    def __add__(self, other: Any) -> Value:
        return self.code.binary("add", self, other)

    def __sub__(self, other: Any) -> Value:
        return self.code.binary("sub", self, other)

    def __mul__(self, other: Any) -> Value:
        return self.code.binary("mul", self, other)

    def __truediv__(self, other: Any) -> Value:
        return self.code.binary("div", self, other)

    def __floordiv__(self, other: Any) -> Value:
        """The quotient of integers that are not negative."""
        return self.code.binary("udiv", self, other)

    def __mod__(self, other: Any) -> Value:
        """The remainder of integers that are not negative."""
        return self.code.binary("urem", self, other)

    def __radd__(self, other: Any) -> Value:
        return self + other

    def __rsub__(self, other: Any) -> Value:
        return self.code.lift(other, self.type) - self

    def __rmul__(self, other: Any) -> Value:
        return self * other

    def __rtruediv__(self, other: Any) -> Value:
        return self.code.lift(other, self.type) / self

    def __neg__(self) -> Value:
        if self.type in BITS:
            return self.code.emit(f"fneg {self.typed}", self.type)
        return 0 - self

    def fma(self, factor: Any, summand: Any) -> Value:
        """`self * factor + summand`, rounded once."""
        return self.code.call("fma", self, factor, summand)

    # ---- functions that are instructions

    def __abs__(self) -> Value:
        return self.code.call("fabs", self)

    def sqrt(self) -> Value:
        return self.code.call("sqrt", self)

    def rint(self) -> Value:
        return self.code.call("nearbyint", self)

    def floor(self) -> Value:
        return self.code.call("floor", self)

    def ceil(self) -> Value:
        return self.code.call("ceil", self)

    def trunc(self) -> Value:
        return self.code.call("trunc", self)

    def copysign(self, sign: Any) -> Value:
        return self.code.call("copysign", self, sign)

    # ---- comparisons: false where an operand is NaN, but for `!=`

    def __lt__(self, other: Any) -> Value:
        return self.code.compare("lt", self, other)

    def __le__(self, other: Any) -> Value:
        return self.code.compare("le", self, other)

    def __gt__(self, other: Any) -> Value:
        return self.code.compare("gt", self, other)

    def __ge__(self, other: Any) -> Value:
        return self.code.compare("ge", self, other)

    def __eq__(self, other: Any) -> Value:  # type: ignore[override]
        return self.code.compare("eq", self, other)

    def __ne__(self, other: Any) -> Value:  # type: ignore[override]
        return self.code.compare("ne", self, other)

    # ---- bits

    def __and__(self, other: Any) -> Value:
        return self.code.binary("and", self, other)

    def __or__(self, other: Any) -> Value:
        return self.code.binary("or", self, other)

    def __xor__(self, other: Any) -> Value:
        return self.code.binary("xor", self, other)

    def __invert__(self) -> Value:
        return self ^ -1

    def __lshift__(self, count: int) -> Value:
        return self.code.binary("shl", self, count)

    def __rshift__(self, count: int) -> Value:
        return self.code.binary("ashr", self, count)

    def bits(self) -> Value:
        """The bits of the numbers as integers."""
        return self.code.convert("bitcast", self, BITS[self.type])

    def real(self) -> Value:
        """The numbers whose bits these integers are."""
        return self.code.convert("bitcast", self, REAL[self.type])

    # ---- other types

    def to(self, type: str) -> Value:
        """The same numbers in another type."""
        if self.type == type:
            return self
        if self.type == "i1":
            return self.code.convert("uitofp" if type in BITS else "zext", self, type)
        if self.type in REAL:
            if type in BITS:
                return self.code.convert("sitofp", self, type)
            return self.code.convert("sext" if _SIZES[type] > _SIZES[self.type] else "trunc", self, type)
        return self.code.convert("fpext" if type == "double" else "fptrunc", self, type)

    @property
    def typed(self) -> str:
        return f"{self.code.vector(self.type)} {self.text}"


class _State:
    """What writers of one function share."""

    def __init__(self) -> None:
        self.block = "loop"
        self.known: dict[tuple[str, int], Value] = {}
        self.count = 0


class Code:
    """Lines of LLVM IR in one function, and what they need outside of it."""

    def __init__(self, lanes: int):
        self.lanes = lanes
        self.lines: list[str] = []
        self.declarations: set[str] = set()
        self.needs: dict[str, str] = {}  # functions that the lines call, by name: the modules that define them
        self._state = _State()
        self._others: dict[int, Code] = {lanes: self}

    def of(self, lanes: int) -> Code:
        """The same function being written, with registers of another width."""
        found = self._others.get(lanes)
        if found is None:
            found = self._others[lanes] = object.__new__(Code)
            found.__dict__.update(self.__dict__, lanes=lanes)
        return found

    @property
    def block(self) -> str:
        """The label of the block that lines are added to."""
        return self._state.block

    @block.setter
    def block(self, label: str) -> None:
        self._state.block = label

    def vector(self, type: str) -> str:
        """The type of a register."""
        return f"<{self.lanes} x {type}>" if self.lanes else type

    def name(self) -> str:
        """A new register."""
        self._state.count += 1
        return f"%{self._state.count}"

    def emit(self, text: str, type: str) -> Value:
        """Append an instruction without side effects, unless it is there already."""
        found = self._state.known.get((text, self.lanes))
        if found is None:
            found = self._state.known[text, self.lanes] = Value(self, self.name(), type)
            self.lines.append(f"  {found.text} = {text}")
        return found

    def argument(self, text: str, type: str) -> Value:
        """A value that exists under a name."""
        return Value(self, text, type)

    def lift(self, x: Any, type: str) -> Value:
        """A number as a register; registers pass through."""
        if isinstance(x, Value):
            return x
        return Value(self, f"splat ({type} {literal(x, type)})" if self.lanes else literal(x, type), type)

    def binary(self, op: str, x: Value, y: Any) -> Value:
        prefix = "f" if x.type in BITS else ""
        y = self.lift(y, x.type)
        return self.emit(f"{prefix}{op} {x.typed}, {y.text}", x.type)

    def compare(self, op: str, x: Value, y: Any) -> Value:
        y = self.lift(y, x.type)
        if x.type in BITS:
            return self.emit(f"fcmp {'u' if op == 'ne' else 'o'}{op} {x.typed}, {y.text}", "i1")
        return self.emit(f"icmp {op if op in ('eq', 'ne') else 's' + op} {x.typed}, {y.text}", "i1")

    def convert(self, op: str, x: Value, type: str) -> Value:
        return self.emit(f"{op} {x.typed} to {self.vector(type)}", type)

    def call(self, name: str, *args: Any) -> Value:
        """An intrinsic whose operands and result have one type."""
        type = next(a.type for a in args if isinstance(a, Value))
        vector = self.vector(type)
        full = f"@llvm.{name}.{f'v{self.lanes}' if self.lanes else ''}f{_SIZES[type]}"
        self.declarations.add(f"declare {vector} {full}({', '.join([vector] * len(args))})")
        return self.emit(f"call {vector} {full}({', '.join(self.lift(a, type).typed for a in args)})", type)

    def rare(self, mask: Value, function: str, x: Value, usual: tuple[Value, ...]) -> list[Value]:
        """`usual`, or what `@function(x, mask, *usual)` gives if the mask is set in any lane: a rare branch."""
        n, before = self.name()[1:], self.block
        vectors = [self.vector(v.type) for v in usual]
        whole = f"{{ {', '.join(vectors)} }}"
        operands = (x, mask, *usual)
        self.declarations.add(f"declare {whole} @{function}({', '.join(self.vector(v.type) for v in operands)})")
        self.declarations.add(f"declare i1 @llvm.vector.reduce.or.v{self.lanes}i1({self.vector('i1')})")
        self.lines += [
            f"  %any{n} = call i1 @llvm.vector.reduce.or.v{self.lanes}i1({mask.typed})",
            f"  br i1 %any{n}, label %rare{n}, label %join{n}",
            f"rare{n}:",
            f"  %rare{n}.all = call {whole} @{function}({', '.join(v.typed for v in operands)})",
            *(f"  %rare{n}.{i} = extractvalue {whole} %rare{n}.all, {i}" for i in range(len(usual))),
            f"  br label %join{n}",
            f"join{n}:",
        ]
        self.block, found = f"join{n}", []
        for i, (v, vector) in enumerate(zip(usual, vectors)):
            name = self.name()
            self.lines.append(f"  {name} = phi {vector} [ {v.text}, %{before} ], [ %rare{n}.{i}, %rare{n} ]")
            found.append(Value(self, name, v.type))
        return found


def select(condition: Value, x: Any, y: Any) -> Value:
    """`x` in the lanes where the condition holds, else `y`; at least one of them is a register."""
    code, type = condition.code, (x if isinstance(x, Value) else y).type
    x, y = code.lift(x, type), code.lift(y, type)
    return code.emit(f"select {condition.typed}, {x.typed}, {y.typed}", type)


def polynomial(x: Value, coefficients: Any) -> Value:
    """`c[0] + c[1] x + c[2] x**2 + ...`: short pieces by Horner's rule, which are put together in pairs (Estrin).

    One long chain of multiply-adds would wait four cycles for each; the pieces overlap.
    """
    n = len(coefficients)
    if n <= PIECE:
        *rest, found = coefficients
        found = x.code.lift(found, x.type)
        for c in reversed(rest):
            found = found.fma(x, c)
        return found
    half, power = 1, x
    while 2 * half < n:
        half, power = 2 * half, power * power
    return polynomial(x, coefficients[half:]).fma(power, polynomial(x, coefficients[:half]))


def literal(value: Any, type: str) -> str:
    """A number as LLVM writes it, rounded to the type."""
    if type in BITS:
        rounded = float(np.float32(value)) if type == "float" else float(value)
        return f"0x{struct.unpack('<Q', struct.pack('<d', rounded))[0]:016X}"
    if type == "i1":
        return "true" if value else "false"
    return str(int(value))
