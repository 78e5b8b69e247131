"""Scalar expressions as LLVM IR: a loop over arrays with the signature of NumPy's inner loops.

    void kernel(char **args, intptr *dimensions, intptr *steps, void *data)

`body` computes whole vectors: it is all there is of the expression, and what `data` points to. The loop around it, the
`driver`, is the same for all expressions with operands of the same types. Operands that lie side by side are
read where they are, one that is repeated (step 0) is read from a vector that holds it in every lane, and everything
else (other steps, the last few elements) goes through small buffers.

The text is complete: it names the expression's operations and nothing of the machine it is written on, so it is also
what a compiled kernel is cached under.

Invariants: sums, products, quotients and comparisons are rounded exactly as NumPy's; the functions of `vecmath` are as
good as they say there. The flags of the floating-point unit are left as they were found, since `select` evaluates both
of its sides, so no warning comes from here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from ..ir import expr
from . import pool, vecmath
from .vectors import Code, Value, select

MEMORY = {"float": "float", "double": "double", "i1": "i8"}  # how a type lies in memory
SIZES = {"float": 4, "double": 8, "i1": 1}
BUFFER = 32  # elements; all buffers together must stay below 4 KiB, beyond which Windows wants the stack probed
MOST = 7  # operands
PART = 32768  # elements that one thread works on at a time
SEVERAL = 4  # parts; fewer are not worth a second thread


class Unsupported(Exception):
    """There is no vector code for an operator."""


class Program(NamedTuple):
    """An expression as a module with its `body`."""

    text: str
    result: str  # the type of the result
    needs: dict[str, str]  # functions of other modules that it calls: those modules


def lower(root: expr.Expr, parameters: Sequence[str], types: Sequence[str], real: str, lanes: int) -> Program:
    """Write the vector code of an expression.

    Args:
        root: the expression.
        parameters: its variables, in the order of the operands of the loop.
        types: "float", "double" or "i1" for each.
        real: the type of its numbers, "float" or "double".
        lanes: how many elements a vector has.

    Raises:
        Unsupported: it holds an operator or a mixture of types that there is no vector code for.
    """
    code = Code(lanes)
    operands = {}
    loads = []
    for k, (name, type) in enumerate(zip(parameters, types)):
        loads.append(f"  %in{k} = load {code.vector(MEMORY[type])}, ptr %p{k}, align 1")
        if type == "i1":
            loads.append(f"  %on{k} = icmp ne {code.vector('i8')} %in{k}, splat (i8 0)")
        operands[name] = code.argument(f"%{'on' if type == 'i1' else 'in'}{k}", type)
    (result,) = evaluate([root], operands, code, real)
    return Program(_module(code, loads, result, len(types)), result.type, code.needs)


# ---- the expression --------------------------------------------------------------------------------------------------


def evaluate(roots: Iterable[expr.Expr], operands: dict[str, Value], code: Code, real: str) -> list[Value]:
    """The values of expressions in registers; each operator comes from `_RULES` or `vecmath.FUNCTIONS`."""
    roots = list(roots)
    found: dict[int, Value] = {}
    for x in (x for root in roots for x in expr.walk(root)):
        if id(x) in found:
            continue
        if isinstance(x, expr.Var):
            value = operands[x.name]
        elif isinstance(x, expr.Const):
            value = code.lift(x.value, real)
        else:
            args = [found[id(a)] for a in x.args]
            rule = _RULES.get(x.op)
            if rule is not None:
                value = rule(real, *args)
            elif x.op == "pow" and isinstance(x.args[1], expr.Const) and x.args[1].value in _POWERS:
                value = _POWERS[x.args[1].value](args[0].to(real))
            else:
                function = vecmath.FUNCTIONS.get((x.op, real))
                if function is None:
                    raise Unsupported(f"{x.op} of {real}")
                value = function(*[a.to(real) for a in args])
        found[id(x)] = value
    return [found[id(root)] for root in roots]


_POWERS: dict[Any, Callable[[Value], Value]] = {
    1: lambda x: x,
    2: lambda x: x * x,
    3: lambda x: x * x * x,
    -1: lambda x: 1 / x,
}


def _numbers(function: Callable[..., Value]) -> Callable[..., Value]:
    """An operator of numbers, of which one at least is no truth value."""

    def rule(real: str, *args: Value) -> Value:
        if all(a.type == "i1" for a in args):
            raise Unsupported("arithmetic on truth values")
        return function(*[a.to(real) for a in args])

    return rule


def _truths(function: Callable[..., Value], only: bool = False) -> Callable[..., Value]:
    """An operator of truth values; with `only`, of nothing else."""

    def rule(real: str, *args: Value) -> Value:
        if only and any(a.type != "i1" for a in args):
            raise Unsupported("bits of numbers")
        return function(*[a if a.type == "i1" else a != 0 for a in args])

    return rule


def _where(real: str, condition: Value, x: Value, y: Value) -> Value:
    if x.type != y.type:
        x, y = x.to(real), y.to(real)
    return select(condition if condition.type == "i1" else condition != 0, x, y)


_RULES: dict[str, Callable[..., Value]] = {
    "add": _numbers(lambda x, y: x + y),
    "sub": _numbers(lambda x, y: x - y),
    "mul": _numbers(lambda x, y: x * y),
    "div": _numbers(lambda x, y: x / y),
    "neg": _numbers(lambda x: -x),
    "abs": _numbers(abs),
    "sqrt": _numbers(Value.sqrt),
    "floor": _numbers(Value.floor),
    "ceil": _numbers(Value.ceil),
    "trunc": _numbers(Value.trunc),
    "round": _numbers(Value.rint),
    "sign": _numbers(lambda x: select(x > 0, 1.0, select(x < 0, x.code.lift(-1.0, x.type), 0.0))),
    "copysign": _numbers(Value.copysign),
    # NaN wins; of two zeros the first one
    "maximum": _numbers(lambda x, y: select((x >= y) | (x != x), x, y)),
    "minimum": _numbers(lambda x, y: select((x <= y) | (x != x), x, y)),
    # NaN loses
    "fmax": _numbers(lambda x, y: select((x >= y) | (y != y), x, y)),
    "fmin": _numbers(lambda x, y: select((x <= y) | (y != y), x, y)),
    "largest": _numbers(lambda x: x.code.lift(vecmath.LARGEST[x.type], x.type)),
    "eq": _numbers(lambda x, y: x == y),
    "ne": _numbers(lambda x, y: x != y),
    "lt": _numbers(lambda x, y: x < y),
    "le": _numbers(lambda x, y: x <= y),
    "gt": _numbers(lambda x, y: x > y),
    "ge": _numbers(lambda x, y: x >= y),
    "isnan": _numbers(lambda x: x != x),
    "isinf": _numbers(lambda x: abs(x) == float("inf")),
    "isfinite": _numbers(lambda x: abs(x) < float("inf")),
    "signbit": _numbers(lambda x: x.bits() < 0),
    "bit_and": _truths(lambda x, y: x & y, only=True),
    "bit_or": _truths(lambda x, y: x | y, only=True),
    "bit_xor": _truths(lambda x, y: x ^ y, only=True),
    "bit_not": _truths(lambda x: ~x, only=True),
    "logical_and": _truths(lambda x, y: x & y),
    "logical_or": _truths(lambda x, y: x | y),
    "logical_xor": _truths(lambda x, y: x ^ y),
    "logical_not": _truths(lambda x: ~x),
    "where": _where,
}


# ---- the loop --------------------------------------------------------------------------------------------------------


def _module(code: Code, loads: list[str], result: Value, n: int) -> str:
    """The text of the module with `body`."""
    return "\n".join([_body(code, loads, result, n), *sorted(code.declarations)]) + "\n"


def _body(code: Code, loads: list[str], result: Value, n: int) -> str:
    """`body(p0, by0, p1, by1, ..., count)`: `count` vectors, the pointers moving on by as many bytes at each."""
    vector, operands = code.vector(MEMORY[result.type]), range(n + 1)
    stored = result.typed
    if result.type == "i1":
        code.lines.append(f"  %stored = zext {result.typed} to {vector}")
        stored = f"{vector} %stored"
    return "\n".join(
        [
            f"define void @body({', '.join(f'ptr %a{k}, i64 %by{k}' for k in operands)}, i64 %count) {{",
            "entry:",
            "  br label %loop",
            "loop:",
            f"  %i = phi i64 [ 0, %entry ], [ %i.next, %{code.block} ]",
            *(f"  %p{k} = phi ptr [ %a{k}, %entry ], [ %p{k}.next, %{code.block} ]" for k in operands),
            *loads,
            *code.lines,
            f"  store {stored}, ptr %p{n}, align 1",
            *(f"  %p{k}.next = getelementptr i8, ptr %p{k}, i64 %by{k}" for k in operands),
            "  %i.next = add i64 %i, 1",
            "  %more = icmp ult i64 %i.next, %count",
            "  br i1 %more, label %loop, label %done",
            "done:",
            "  ret void",
            "}",
        ]
    )


def driver(types: Sequence[str], lanes: int) -> str:
    """The inner loop around the `body` that `data` points to: whole vectors in place, the others through buffers.

    Args:
        types: those of the operands, then that of the result.
        lanes: how many elements a vector has.
    """
    count, n = len(types), len(types) - 1
    lines = [
        "define void @kernel(ptr %args, ptr %dims, ptr %steps, ptr %data) {",
        "entry:",
        "  %flags = alloca i32, align 4",
        *(f"  %b{k} = alloca [{BUFFER} x {MEMORY[t]}], align 64" for k, t in enumerate(types)),
        f"  %box = alloca [{2 * count + 2} x i64], align 8",
        "  call void @llvm.x86.sse.stmxcsr(ptr %flags)",
        "  %n = load i64, ptr %dims, align 8",
    ]
    close = [f"icmp uge i64 %n, {lanes}"]
    for k, t in enumerate(types):
        lines += [
            f"  %args{k} = getelementptr ptr, ptr %args, i64 {k}",
            f"  %a{k} = load ptr, ptr %args{k}, align 8",
            f"  %steps{k} = getelementptr i64, ptr %steps, i64 {k}",
            f"  %s{k} = load i64, ptr %steps{k}, align 8",
            f"  %same{k} = icmp eq i64 %s{k}, 0",
            f"  %next{k} = icmp eq i64 %s{k}, {SIZES[t]}",
        ]
        close.append(f"or i1 %same{k}, %next{k}" if k < n else f"and i1 %next{k}, true")
    for k, test in enumerate(close):
        lines += [f"  %ok{k} = {test}"]
        lines += [f"  %all{k} = and i1 %ok{k}, {f'%all{k - 1}' if k else 'true'}"]
    lines += [f"  br i1 %all{count}, label %whole, label %rest", "whole:"]
    for k, t in enumerate(types[:n]):
        memory = MEMORY[t]
        lines += [
            f"  %first{k} = load {memory}, ptr %a{k}, align 1",
            f"  %one{k} = insertelement <{lanes} x {memory}> poison, {memory} %first{k}, i64 0",
            f"  %fill{k} = shufflevector <{lanes} x {memory}> %one{k}, <{lanes} x {memory}> poison, "
            f"<{lanes} x i32> zeroinitializer",
            f"  store <{lanes} x {memory}> %fill{k}, ptr %b{k}, align 64",
            f"  %from{k} = select i1 %same{k}, ptr %b{k}, ptr %a{k}",
            f"  %by{k} = select i1 %same{k}, i64 0, i64 {lanes * SIZES[t]}",
        ]
    near = [*(f"ptr %from{k}, i64 %by{k}" for k in range(n)), f"ptr %a{n}, i64 {lanes * SIZES[types[n]]}"]
    buffered = ", ".join(f"ptr %b{k}, i64 {lanes * SIZES[t]}" for k, t in enumerate(types))
    lines += [
        f"  %vectors = udiv i64 %n, {lanes}",
        f"  %covered = mul i64 %vectors, {lanes}",
        f"  %many = icmp sge i64 %vectors, {SEVERAL * PART // lanes}",
        "  br i1 %many, label %share, label %alone",
        "alone:",
        f"  call void %data({', '.join(near)}, i64 %vectors)",
        "  br label %covered.all",
        "share:",
        *_share(near, lanes),
        "  br label %covered.all",
        "covered.all:",
        "  br label %rest",
        "rest:",
        "  %start = phi i64 [ 0, %entry ], [ %covered, %covered.all ], [ %stop, %scattered ]",
        "  %left = sub i64 %n, %start",
        "  %over = icmp sle i64 %left, 0",
        "  br i1 %over, label %done, label %gather0",
    ]
    lines += [line for k, t in enumerate(types[:n]) for line in _gather(k, t, lanes, n)]
    lines += [
        "compute:",
        f"  call void %data({buffered}, i64 %rows)",
        "  br label %scatter",
        *_scatter(n, types[n]),
        "done:",
        "  call void @llvm.x86.sse.ldmxcsr(ptr %flags)",
        "  ret void",
        "}",
        *_part(n, lanes),
        pool.DECLARATION,
        "declare void @llvm.x86.sse.stmxcsr(ptr)",
        "declare void @llvm.x86.sse.ldmxcsr(ptr)",
    ]
    return "\n".join(lines) + "\n"


def _share(near: list[str], lanes: int) -> list[str]:
    """Give parts of the vectors to `@part`: what it needs goes into a box."""
    values = [operand for pair in near for operand in pair.split(", ")] + ["i64 %vectors", "ptr %data"]
    lines = []
    for j, value in enumerate(values):
        lines += [f"  %in.box{j} = getelementptr i64, ptr %box, i64 {j}", f"  store {value}, ptr %in.box{j}, align 8"]
    return [
        *lines,
        f"  %up.parts = add i64 %vectors, {PART // lanes - 1}",
        f"  %parts = udiv i64 %up.parts, {PART // lanes}",
        f"  call void @{pool.SYMBOL}(ptr @part, ptr %box, i64 %parts)",
    ]


def _part(n: int, lanes: int) -> list[str]:
    """`part(box, i)`: the i-th PART elements."""
    each, lines, operands = PART // lanes, [], []
    for j in range(2 * n + 4):
        type = "ptr" if j == 2 * n + 3 or (j % 2 == 0 and j < 2 * n + 2) else "i64"
        lines += [f"  %at{j} = getelementptr i64, ptr %box, i64 {j}", f"  %v{j} = load {type}, ptr %at{j}, align 8"]
    for k in range(n + 1):
        lines += [
            f"  %on{k} = mul i64 %first, %v{2 * k + 1}",
            f"  %from{k} = getelementptr i8, ptr %v{2 * k}, i64 %on{k}",
        ]
        operands.append(f"ptr %from{k}, i64 %v{2 * k + 1}")
    return [
        "define internal void @part(ptr %box, i64 %i) {",
        f"  %first = mul i64 %i, {each}",
        *lines,
        f"  %left = sub i64 %v{2 * n + 2}, %first",
        f"  %few = icmp slt i64 %left, {each}",
        f"  %count = select i1 %few, i64 %left, i64 {each}",
        f"  call void %v{2 * n + 3}({', '.join(operands)}, i64 %count)",
        "  ret void",
        "}",
    ]


def _gather(k: int, type: str, lanes: int, n: int) -> list[str]:
    """Copy up to BUFFER elements of operand k into its buffer, the last one repeated up to a whole vector."""
    memory, following = MEMORY[type], f"gather{k + 1}" if k + 1 < n else "compute"
    head = [f"gather{k}:"]
    if k == 0:
        head += [
            f"  %few = icmp slt i64 %left, {BUFFER}",
            f"  %part = select i1 %few, i64 %left, i64 {BUFFER}",
            "  %stop = add i64 %start, %part",
            "  %last = sub i64 %part, 1",
            f"  %up = add i64 %part, {lanes - 1}",
            f"  %rows = udiv i64 %up, {lanes}",
            f"  %padded = mul i64 %rows, {lanes}",
        ]
    return [
        *head,
        f"  br label %copy{k}",
        f"copy{k}:",
        f"  %j{k} = phi i64 [ 0, %gather{k} ], [ %j{k}.next, %copy{k} ]",
        f"  %beyond{k} = icmp sgt i64 %j{k}, %last",
        f"  %at{k} = select i1 %beyond{k}, i64 %last, i64 %j{k}",
        f"  %index{k} = add i64 %start, %at{k}",
        f"  %bytes{k} = mul i64 %index{k}, %s{k}",
        f"  %read{k} = getelementptr i8, ptr %a{k}, i64 %bytes{k}",
        f"  %element{k} = load {memory}, ptr %read{k}, align 1",
        f"  %write{k} = getelementptr {memory}, ptr %b{k}, i64 %j{k}",
        f"  store {memory} %element{k}, ptr %write{k}, align 1",
        f"  %j{k}.next = add i64 %j{k}, 1",
        f"  %again{k} = icmp slt i64 %j{k}.next, %padded",
        f"  br i1 %again{k}, label %copy{k}, label %{following}",
    ]


def _scatter(n: int, type: str) -> list[str]:
    """Copy the results from their buffer to where they belong."""
    memory = MEMORY[type]
    return [
        "scatter:",
        "  %k = phi i64 [ 0, %compute ], [ %k.next, %scatter ]",
        f"  %computed = getelementptr {memory}, ptr %b{n}, i64 %k",
        f"  %value = load {memory}, ptr %computed, align 1",
        "  %place = add i64 %start, %k",
        f"  %offset = mul i64 %place, %s{n}",
        f"  %target = getelementptr i8, ptr %a{n}, i64 %offset",
        f"  store {memory} %value, ptr %target, align 1",
        "  %k.next = add i64 %k, 1",
        "  %unfinished = icmp slt i64 %k.next, %part",
        "  br i1 %unfinished, label %scatter, label %scattered",
        "scattered:",
        "  br label %rest",
    ]
