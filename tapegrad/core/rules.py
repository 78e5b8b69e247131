"""Derivative rules: from declared formulas to the two functions that the engine calls.

A formula names what it needs: `g` (the gradient of the result), inputs, arguments, `out` (the result) or the names of
several results, and `x_shape` for the shape of an input alone. The names are the save list. `array_rule` compiles the
formulas of an operation to one function of arrays (a plain backward pass); `graph_rule` makes the same function of
tensors, whose work is recorded (`create_graph=True`). Both are compiled when the first gradient is asked for.

Note [Complex]. The gradient of a real loss is the derivative with respect to the conjugate, so a formula multiplies
`g` by conjugates. For a function that has a complex derivative (`holomorphic`) they need not be written: with a
formula as for real numbers, the gradient is conj(formula(conj(g))), which `conjugating` puts around it. Elementwise
operations are taken as such, unless they say otherwise; formulas of array operations conjugate on their own.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..backends.cpu import elementwise as kernels
from ..errors import message
from ..ir import expr
from .tape import Node, record, target
from .tensor import Tensor, wrap
from .views import freed, stale

GRADIENTS = ("g", "gs")  # in a formula always the gradients of the results, also where an operand has that name


def names_of(formula: Callable) -> tuple[str, ...]:
    """The parameter names of a formula."""
    return formula.__code__.co_varnames[: formula.__code__.co_argcount]


def check_names(op: Any, formula: Callable) -> None:
    """Fail at import if a formula asks for something the operation does not have."""
    known = (*GRADIENTS, "out", "needs", *op.tensor_names, *op.attr_names, *op.returns)
    for name in names_of(formula):
        if name not in known and name.removesuffix("_shape") not in op.tensor_names:
            known += tuple([f"{n}_shape" for n in op.tensor_names])
            text = message(f"derivative of {op.name}: unknown name {name!r}", expected=", ".join(sorted({*known})))
            raise NameError(text)


def check_saved(node: Node, i: int, t: Tensor) -> None:
    """Refuse a saved input that was changed in place: Note [Versions] in `views`."""
    saved = 0 if node.versions is None else node.versions[i]
    now = t._ver[0]  # type: ignore[index]
    if now != saved:
        raise stale(
            node,
            f"the input {node.op.tensor_names[i]!r}" if i < len(node.op.tensor_names) else "an input",
            t.array.shape,
            saved,
            now,
        )


def saved_outputs(node: Node) -> tuple:
    """The saved results as arrays."""
    arrays, counters, versions = node.outputs
    for counter, version in zip(counters, versions):
        if counter[0] != version:
            raise stale(node, "the result", arrays[0].shape, version, counter[0])
    return arrays


def saved_outputs_graph(node: Node) -> tuple:
    """The saved results as tensors that belong to this node."""
    arrays = saved_outputs(node)
    tensors = tuple(wrap(a) for a in arrays)
    several, count = node.op.nout != 1, node.op.nout
    for k, t in enumerate(tensors):
        if t.array.dtype.kind not in "iub" and (k < count or count < 0):
            t.node = (node, k) if several else node
    return tensors


def _needs(op: Any, names: tuple[str, ...]) -> bool:
    return any(n in names for formula in op.formulas.values() for n in names_of(formula))


def source(op: Any, graph: bool, short: Sequence[Fused] = ()) -> str:
    """The text of `backward(node, g)`: unpack what the formulas name, then call each that is needed.

    `short`: the kernels to call where an operation was given no arguments, which is known without looking at them.
    """
    tensors, variadic = op.tensor_names, op.variadic
    g = "gs" if op.nout != 1 else "g"
    lines = [
        f"def backward(node, {g}):",
        "    saved = node.saved",
        "    if not saved:",
        "        if saved is None:",
        "            raise freed(node)",
        "        saved = nothing",
    ]
    if not variadic:
        edges = ", ".join(f"e{i}" for i in range(len(tensors)))
        lines.append(f"    {edges}{',' if len(tensors) == 1 else ''} = node.inputs")
    for i, name in enumerate(tensors):
        if name not in GRADIENTS and _needs(op, (name,)):
            lines.append(f"    {name} = saved[{i}]")
            if variadic and i == 0:
                lines.append(f"    {name} = unpack_list(node, {name})")
                continue
            lines += [
                f"    if {name} is not None:",
                f"        if {name}._ver is not None:",
                f"            check_saved(node, {i}, {name})",
            ]
            if not graph:
                lines.append(f"        {name} = {name}.array")
    outs = op.returns or ("out",)
    if _needs(op, outs):
        unpack = f"{', '.join(outs)}{',' if len(outs) == 1 else ''}" if op.returns else "out, *_"
        lines.append("    if node.outputs is not None:")
        lines.append(f"        {unpack} = outputs(node)")
        lines.append("    else:")
        lines.append(f"        {' = '.join(outs)} = None")
    if short:
        calls = [f"k{k}({', '.join(fused.names)})" for k, fused in enumerate(short)]
        places = [op.tensor_names.index(key) for (key,) in op.formulas]
        slots = {i: f"{call} if e{i} is not None else None" for i, call in zip(places, calls)}
        lines.append("    if node.attrs is None:")
        lines.append(f"        return ({', '.join(slots.get(i, 'None') for i in range(len(tensors)))},)")
    if op.attr_names and _needs(op, op.attr_names):
        lines.append(f"    {', '.join(op.attr_names)}{',' if len(op.attr_names) == 1 else ''} = attributes(node)")
    shapes = tuple(f"{n}_shape" for n in tensors)
    if _needs(op, shapes):
        lines.append(f"    {', '.join(shapes)}{',' if len(shapes) == 1 else ''} = node.shapes")
    if _needs(op, ("needs",)):
        lines.append("    needs = tuple(e is not None for e in node.inputs)")
    lines.append(_results(op))
    return "\n".join(lines) + "\n"


def _results(op: Any) -> str:
    """The last lines: one gradient per input."""
    if op.variadic:
        ((_, formula),) = op.formulas.items()
        return f"    return tuple(f0({', '.join(names_of(formula))}))"
    lines, slots = [], ["None"] * len(op.tensor_names)
    for k, (keys, formula) in enumerate(op.formulas.items()):
        call = f"f{k}({', '.join(names_of(formula))})"
        places = [op.tensor_names.index(key) for key in keys]
        if len(places) == 1:
            slots[places[0]] = f"{call} if e{places[0]} is not None else None"
        else:
            wanted = " or ".join(f"e{i} is not None" for i in places)
            lines.append(f"    r{k} = {call} if {wanted} else {(None,) * len(places)}")
            for position, i in enumerate(places):
                slots[i] = f"r{k}[{position}]"
    lines.append(f"    return ({', '.join(slots)},)")
    return "\n".join(lines)


def _compile(op: Any, graph: bool, formulas: list[Callable], short: Sequence[Fused] = ()) -> Callable:
    def attributes(node: Node) -> tuple:
        return op.attributes(*node.attrs) if node.attrs is not None else op.attr_defaults

    def unpack_list(node: Node, tensors: tuple | None) -> Any:
        if tensors is None:
            return None
        for i, t in enumerate(tensors):
            if t._ver is not None:
                check_saved(node, i, t)
        return list(tensors) if graph else [t.array for t in tensors]

    scope: dict[str, Any] = {
        "freed": freed,
        "nothing": (None,) * len(op.tensor_names),
        "check_saved": check_saved,
        "outputs": saved_outputs_graph if graph else saved_outputs,
        "attributes": attributes,
        "unpack_list": unpack_list,
        "__name__": "tapegrad.core.rules",
        **{f"f{k}": formula for k, formula in enumerate(formulas)},
        **{f"k{k}": fused.kernel for k, fused in enumerate(short)},
    }
    exec(compile(source(op, graph, short), f"<derivative of {op.name}>", "exec"), scope)
    return scope["backward"]


class Fused(NamedTuple):
    """A formula as one kernel."""

    kernel: Callable
    names: tuple[str, ...]  # of its operands
    defaults: dict[str, Any]  # the arguments, with the values for which it holds


def fused(op: Any, formula: Callable) -> Fused | None:
    """A formula as a kernel on arrays, where it is elementwise and the arguments have their defaults."""
    names = names_of(formula)
    if not op.elementwise or any(n.endswith("_shape") for n in names):
        return None
    defaults = {n: d for n, d in zip(op.attr_names, op.attr_defaults) if n in names}
    try:
        root = formula(*(defaults[n] if n in defaults else expr.Var(n) for n in names))
    except (TypeError, AttributeError):  # it branches on a value, or uses what an expression does not have
        return None
    if not isinstance(root, expr.Expr):
        return None
    arrays = tuple(n for n in names if n not in defaults)
    if isinstance(root, expr.Var):
        return Fused(lambda value: value, (root.name,), defaults)
    kernel = kernels.direct(root, arrays) or kernels.kernel(root, arrays, full=frozenset(("g", "out")))
    return Fused(kernel, arrays, defaults)


def is_default(value: Any, default: Any) -> bool:
    """Whether an argument has its default: a number of the same type and sign (not True for 1, nor -0.0 for 0.0)."""
    if value is default:
        return True
    if value.__class__ is not default.__class__ or value != default:
        return False
    return value.__class__ is not float or value != 0 or math.copysign(1, value) == math.copysign(1, default)


def _choosing(formula: Callable, found: Fused) -> Callable:
    """The kernel if the arguments have their defaults, else the formula."""
    names = names_of(formula)
    places = [names.index(n) for n in found.names]
    given = [(names.index(n), d) for n, d in found.defaults.items()]

    def choose(*values: Any) -> Any:
        if all(is_default(values[i], d) for i, d in given):
            return found.kernel(*(values[i] for i in places))
        return formula(*values)

    return choose


def array_rule(op: Any) -> Callable:
    """`backward(node, g)` on arrays."""
    formulas = list(op.formulas.values())
    found = [fused(op, formula) for formula in formulas]
    functions = [f if k is None else _choosing(f, k) if k.defaults else k.kernel for f, k in zip(formulas, found)]
    plain = [k for k in found if k is not None]
    single = all(len(keys) == 1 for keys in op.formulas)
    short = plain if single and len(plain) == len(found) and any(k.defaults for k in plain) else []
    return _compile(op, False, functions, short)


def graph_rule(op: Any) -> Callable:
    """`backward(node, g)` on tensors, recorded."""
    rule = _compile(op, True, list(op.formulas.values()))
    if not op.linked:
        return rule
    return lambda node, g: tuple([r if e is None else linked(r, e) for r, e in zip(rule(node, g), node.inputs)])


def linked(g: Any, edge: Any) -> Any:
    """The gradient of a piecewise linear function as one that depends on the operand, with derivative zero.

    Without this a second `backward` would refuse where PyTorch gives zeros.
    """
    if isinstance(g, Tensor) and not g.requires_grad:
        g = wrap(g.array)
        g.node = record(ZERO, (edge,), (), None, None, g.array)
    return g


class _Zero:
    """What depends on its operand in name only."""

    fresh = True
    formula = "0"

    @staticmethod
    def node_name(node: Node) -> str:
        """The name that `grad_fn` shows."""
        return "ZeroBackward0"

    @staticmethod
    def backward(node: Node, g: Any) -> tuple:
        """A gradient of zeros."""
        return (np.zeros(*target(node.inputs[0])),)

    @staticmethod
    def backward_graph(node: Node, g: Any) -> tuple:
        """The same as a tensor."""
        return (wrap(np.zeros(*target(node.inputs[0]))),)


ZERO = _Zero()


def conjugating(op: Any) -> Any:
    """A twin of a holomorphic operation whose derivatives take and give conjugates: Note [Complex]."""
    twin = copy.copy(op)

    def around(backward: Callable, conj: Callable) -> Callable:
        def run(node: Node, g: Any) -> tuple:
            found = backward(node, [conj(x) for x in g] if g.__class__ is list else conj(g))
            return tuple([None if x is None else conj(x) for x in found])

        return run

    twin.backward = around(lambda node, g: op.backward(node, g), np.conjugate)
    twin.backward_graph = around(lambda node, g: op.backward_graph(node, g), lambda t: t.conj())
    return twin


def save_plan(op: Any) -> Callable[[tuple], tuple[tuple[bool, ...], bool]]:
    """For each set of inputs that need a gradient: which inputs to save, and whether to save the results."""
    plans: dict[tuple[bool, ...], tuple[tuple[bool, ...], bool]] = {}

    def plan(needed: tuple) -> tuple[tuple[bool, ...], bool]:
        found = plans.get(needed)
        if found is None:
            index = {name: i for i, name in enumerate(op.tensor_names)}
            outs = {*op.returns, "out"}
            keep, out = [False] * len(index), False
            for keys, formula in op.formulas.items():
                if op.variadic or any(needed[index[k]] for k in keys):
                    for name in names_of(formula):
                        if name in index and name not in GRADIENTS:
                            keep[index[name]] = True
                        out = out or name in outs
            found = plans[needed] = tuple(keep), out
        return found

    return plan


def text_of(op: Any) -> str:
    """An operation and its derivatives as text: one line each, in the notation of the formulas."""
    head = f"{op.name.lstrip('_')}({', '.join(op.names)})"
    lines = [f"{head} = {_expression(op)}" if op.elementwise else head]
    for targets, formula in op.formulas.items():
        names = names_of(formula)
        try:
            text = str(formula(*map(expr.Var, names)))
        except Exception:  # not an expression: what it is a function of is all that one line can say
            text = f"f({', '.join(names)})"
        lines.append(f"d/d{', d'.join(targets)}: {text}")
    return "\n".join(lines)


def _expression(op: Any) -> expr.Expr:
    """The body with its arguments as variables, where they are numbers."""
    free = [expr.Var(n) if isinstance(d, (int, float)) else d for n, d in zip(op.attr_names, op.attr_defaults)]
    try:
        return op.body(*map(expr.Var, op.tensor_names), **dict(zip(op.attr_names, free)))
    except TypeError:  # it branches on an argument
        return op.expression
