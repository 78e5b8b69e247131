"""Scalar expressions: what an elementwise operation computes for one element, as data.

The body of an operation is called once with variables; the operators below record what it does. The recorded
expression is printed as a formula, turned into a NumPy function (`to_numpy`), and later into machine code.

    >>> from tapegrad.ir import expr as e
    >>> x = e.Var("x")
    >>> print(1 / (1 + e.exp(-x)))
    1 / (1 + exp(-x))

Invariant: an `Expr` is immutable; equal sub-expressions may be shared but need not be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Operator(NamedTuple):
    """A scalar operator: how many operands, what it gives, how it prints."""

    arity: int
    gives: str  # "same" type as the operands, "float" (integers become floating point), or "bool"
    infix: str = ""
    binds: int = 100  # printing: how tightly the infix form binds


OPERATORS: dict[str, Operator] = {
    "add": Operator(2, "same", "+", 10),
    "sub": Operator(2, "same", "-", 10),
    "mul": Operator(2, "same", "*", 20),
    "div": Operator(2, "float", "/", 20),
    "floordiv": Operator(2, "same", "//", 20),
    "remainder": Operator(2, "same", "%", 20),
    **dict.fromkeys(("fmod", "truncdiv"), Operator(2, "same")),
    "pow": Operator(2, "same", "**", 40),
    "neg": Operator(1, "same", "-", 30),
    "eq": Operator(2, "bool", "==", 5),
    "ne": Operator(2, "bool", "!=", 5),
    "lt": Operator(2, "bool", "<", 5),
    "le": Operator(2, "bool", "<=", 5),
    "gt": Operator(2, "bool", ">", 5),
    "ge": Operator(2, "bool", ">=", 5),
    "bit_and": Operator(2, "same", "&", 8),
    "bit_or": Operator(2, "same", "|", 6),
    "bit_xor": Operator(2, "same", "^", 7),
    "bit_not": Operator(1, "same", "~", 30),
    "shift_left": Operator(2, "same", "<<", 9),
    "shift_right": Operator(2, "same", ">>", 9),
    "where": Operator(3, "same"),
    **dict.fromkeys(("maximum", "minimum", "fmax", "fmin"), Operator(2, "same")),
    **dict.fromkeys(("hypot", "copysign", "nextafter", "atan2", "logaddexp", "logaddexp2"), Operator(2, "float")),
    **dict.fromkeys(("gcd", "lcm"), Operator(2, "same")),
    **dict.fromkeys(("abs", "sign", "floor", "ceil", "trunc", "round"), Operator(1, "same")),
    **dict.fromkeys(("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "cbrt"), Operator(1, "float")),
    **dict.fromkeys(("sin", "cos", "tan", "asin", "acos", "atan"), Operator(1, "float")),
    **dict.fromkeys(("sinh", "cosh", "tanh", "asinh", "acosh", "atanh"), Operator(1, "float")),
    **dict.fromkeys(("erf", "erfc", "erfcx", "erfinv", "ndtr", "log_ndtr", "ndtri"), Operator(1, "float")),
    **dict.fromkeys(("lgamma", "digamma", "i0", "i0e", "i1", "i1e"), Operator(1, "float")),
    "largest": Operator(1, "same"),  # the greatest finite number of the type of its operand
    **dict.fromkeys(("isnan", "isinf", "isfinite", "signbit", "logical_not"), Operator(1, "bool")),
    **dict.fromkeys(("logical_and", "logical_or", "logical_xor"), Operator(2, "bool")),
}


class Expr:
    """A node: an operator with its operands, a variable, or a constant."""

    __slots__ = ("args", "op")
    __hash__ = object.__hash__

    def __init__(self, op: str, *args: Expr):
        self.op = op
        self.args = args

    def __bool__(self):
        raise TypeError("an expression has no truth value while it is recorded: use where(condition, a, b)")

    def __repr__(self) -> str:
        return show(self)

    @property
    def variables(self) -> frozenset[str]:
        """The names of the variables that occur."""
        return frozenset(v.name for v in walk(self) if isinstance(v, Var))


class Var(Expr):
    """An operand of the operation."""

    __slots__ = ("name",)

    def __init__(self, name: str):
        super().__init__("var")
        self.name = name


class Const(Expr):
    """A number of the formula; it takes the type of what it meets."""

    __slots__ = ("value",)

    def __init__(self, value: float | int | bool):
        super().__init__("const")
        self.value = value


def lift(x: Any) -> Expr:
    """An expression for a Python number; expressions pass through."""
    return x if isinstance(x, Expr) else Const(x)


def apply(op: str, *args: Any) -> Expr:
    """Record an operator. Multiplying by the integer 1 leaves no trace: optional factors cost nothing."""
    if op == "mul":
        for one, other in (args, reversed(args)):
            if one.__class__ is int and one == 1:
                return lift(other)
    return Expr(op, *map(lift, args))


def _recorder(op: str) -> Callable[..., Expr]:
    def record(*args: Any) -> Expr:
        return apply(op, *args)

    record.__name__ = op
    return record


for _name in OPERATORS:
    globals()[_name] = _recorder(_name)

for _python, _name in {
    "add": "add",
    "sub": "sub",
    "mul": "mul",
    "truediv": "div",
    "floordiv": "floordiv",
    "mod": "remainder",
    "pow": "pow",
    "and": "bit_and",
    "or": "bit_or",
    "xor": "bit_xor",
}.items():
    setattr(Expr, f"__{_python}__", lambda self, other, name=_name: apply(name, self, other))
    setattr(Expr, f"__r{_python}__", lambda self, other, name=_name: apply(name, other, self))
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(Expr, f"__{_name}__", lambda self, other, name=_name: apply(name, self, other))
for _python, _name in {"neg": "neg", "abs": "abs", "invert": "bit_not"}.items():
    setattr(Expr, f"__{_python}__", lambda self, name=_name: Expr(name, self))


def __getattr__(name: str) -> Any:  # the recorders above are made by a loop: this line tells type checkers so
    raise AttributeError(f"module {__name__!r} has no operator {name!r}")


def walk(root: Expr) -> list[Expr]:
    """Every node once, operands before operators."""
    seen: set[int] = set()
    order: list[Expr] = []
    stack = [(root, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack.extend((a, False) for a in reversed(node.args))
    return order


# ---- the formula as text ---------------------------------------------------------------------------------------


def show(x: Expr, outer: int = 0) -> str:
    """The expression in Python's notation, with no more parentheses than needed."""
    if isinstance(x, Var):
        return x.name
    if isinstance(x, Const):
        text = repr(x.value)
        return f"({text})" if text[0] == "-" and outer > OPERATORS["neg"].binds else text
    rule = OPERATORS[x.op]
    if not rule.infix:
        return f"{x.op}({', '.join(map(show, x.args))})"
    if rule.arity == 1:
        text = rule.infix + show(x.args[0], rule.binds)
    else:
        left, right = rule.binds, rule.binds + 1
        if x.op == "pow":  # groups from the right, where a sign needs no parentheses
            left, right = rule.binds + 1, OPERATORS["neg"].binds
        elif rule.gives == "bool":  # does not group: a < b < c has another meaning in Python
            left = rule.binds + 1
        text = f"{show(x.args[0], left)} {rule.infix} {show(x.args[1], right)}"
    return f"({text})" if rule.binds < outer else text


# ---- what an expression does to types ------------------------------------------------------------------------


def result_kind(root: Expr) -> str:
    """ "bool" if the result is a truth value, "float" if integer operands must become floating point, else "same"."""
    kinds: dict[int, str] = {}
    for x in walk(root):
        below = [kinds[id(a)] for a in x.args[x.op == "where" :]]
        if isinstance(x, Const):
            kind = "float" if isinstance(x.value, float) else "same"
        elif isinstance(x, Var):
            kind = "same"
        elif "float" in below and OPERATORS[x.op].gives != "bool":
            kind = "float"
        else:
            kind = OPERATORS[x.op].gives
        kinds[id(x)] = kind
    return kinds[id(root)]


def operators(root: Expr) -> list[str]:
    """The operators of an expression, in the order in which they are computed."""
    return [x.op for x in walk(root) if x.args]


def conditions(root: Expr) -> frozenset[str]:
    """Variables that only ever stand as the condition of a `where`: they take no part in type promotion."""
    used_as_value: set[str] = set()
    used_as_condition: set[str] = set()
    for x in walk(root):
        for i, a in enumerate(x.args):
            if isinstance(a, Var):
                (used_as_condition if x.op == "where" and i == 0 else used_as_value).add(a.name)
    return frozenset(used_as_condition - used_as_value)


# ---- as a NumPy function -----------------------------------------------------------------------------------------


def to_source(root: Expr, parameters: tuple[str, ...], scalars: frozenset[str], full: frozenset[str] | None) -> str:
    """Python source of `kernel(*parameters, out=None)`: one array call per operator.

    With `full`, the variables that have the shape of the result, a temporary in which one of them occurs is written
    over by its last reader (the arrays must then be floating point, so that its type is the reader's). Numbers of the
    formula are the names c0, c1, ... in the order of `constants`. Parameters in `scalars` are Python numbers at run
    time; `number` turns them into what the array calls take.
    """
    order = walk(root)
    pending: dict[int, int] = {}
    for x in order:
        for a in x.args:
            pending[id(a)] = pending.get(id(a), 0) + 1
    text: dict[int, str] = {}
    spare: dict[int, bool] = {}
    whole: dict[int, bool] = {}  # whether it has the shape of the result
    truth: dict[int, bool] = {}  # whether it is made of truth values alone
    small: dict[int, bool] = {}  # the same of a number: NumPy's functions make half precision of truth values
    lines = [f"    {name}_ = number({name}_)" for name in parameters if name in scalars]
    count = 0
    for x in order:
        whole[id(x)] = x.op != "largest" and any(whole[id(a)] for a in x.args)
        gives = "" if not x.args else OPERATORS[x.op].gives
        truth[id(x)] = gives == "bool" or (gives == "same" and all(truth[id(a)] for a in x.args))
        small[id(x)] = truth[id(x)] or (bool(x.args) and all(small[id(a)] for a in x.args))
        if isinstance(x, Var):
            whole[id(x)] = full is not None and x.name in full
            text[id(x)] = f"{x.name}_"  # an operand may be called `out`
            continue
        if isinstance(x, Const):
            text[id(x)] = f"c{count}"
            count += 1
            continue
        call = ", ".join(text[id(a)] for a in x.args)
        writes = not truth[id(x)] and not x.op.startswith("bit_") and x.op != "where"
        over = [a for a in x.args if spare.get(id(a)) and pending[id(a)] == 1] if writes else []
        target = text[id(over[0])] if over else ""
        if x is root and x.op != "where":
            call += f", out={target} if out is None else out" if target else ", out=out"
        elif target:
            call += f", out={target}"
        text[id(x)] = target or f"t{len(lines)}"
        spare[id(x)] = writes and whole[id(x)] and not small[id(x)]
        for a in x.args:
            pending[id(a)] -= 1
        lines.append(f"    {'return' if x is root else text[id(x)] + ' ='} {x.op}({call})")
    if not order[-1].args:
        lines.append(f"    return {text[id(root)]}")
    return f"def kernel({', '.join(f'{p}_' for p in parameters)}, *, out=None):\n" + "\n".join(lines) + "\n"


def constants(root: Expr) -> list[Any]:
    """The numbers of the formula, in the order in which `to_source` names them."""
    return [x.value for x in walk(root) if isinstance(x, Const)]


def to_numpy(
    root: Expr,
    parameters: tuple[str, ...],
    functions: Mapping[str, Callable],
    number: Callable[[Any], Any],
    scalars: frozenset[str] = frozenset(),
    full: frozenset[str] | None = None,
) -> Callable:
    """Compile the expression to a function of arrays; `functions` gives the array call of each operator."""
    source = to_source(root, parameters, scalars, full)
    scope: dict[str, Any] = {"__name__": "tapegrad.ir.kernel", "number": number, **functions}
    scope |= {f"c{i}": number(value) for i, value in enumerate(constants(root))}
    exec(compile(source, "<tapegrad kernel>", "exec"), scope)
    return scope["kernel"]
