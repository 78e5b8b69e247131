"""`@rule`: the mathematics of an optimizer, declared once, for one element of a parameter.

    @rule
    def sgd_rule(p, g, *, lr, weight_decay=None):
        if weight_decay is not None:
            g = g + weight_decay * p
        return dict(p=p - lr * g)

The function is called with expressions (`ir.expr`) and returns the new value of each variable that changes. Positional
parameters are the parameter `p`, its gradient `g` and the state by PyTorch's names; one annotated `Number` is a number
per parameter (a step count), the others are arrays like `p`. Keyword parameters are options: one without a default is
a number that may change from step to step; one with the default None is such a number, or zero and compiled away; one
with the default False is a switch.

From a rule follow the state an optimizer keeps, the NumPy update (`backends.cpu.optimizers`), the step as recorded
operations (`differentiable=True`), and the printed formula:

    >>> import tapegrad as torch
    >>> print(torch.optim.SGD.rule)
    p' = p - lr * g
    >>> print(torch.optim.SGD.rule.formula(momentum=True, weight_decay=True))
    momentum_buffer' = momentum * momentum_buffer + (g + weight_decay * p)
    p' = p - lr * momentum_buffer'
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from ..backends.cpu.optimizers import NUMBER_FUNCTIONS, Update
from ..core.tensor import Tensor, wrap
from ..errors import message
from ..ir import expr
from ..modes import enable_grad
from ..ops.pointwise.bounds import clamp, maximum, minimum
from ..ops.pointwise.compare import where
from ..ops.pointwise.functions import abs, sign, sqrt
from .optimizer import Optimizer, number_tensor
from .packed import LEAST, Together, together

Number = float  # the annotation of state that is one number per parameter

ARITHMETIC: dict[str, Callable] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "pow": operator.pow,
    "neg": operator.neg,
    "gt": operator.gt,
    "lt": operator.lt,
}
ON_NUMBERS = {**ARITHMETIC, **NUMBER_FUNCTIONS}
ON_TENSORS = {
    **ARITHMETIC,
    "abs": abs,
    "sign": sign,
    "sqrt": sqrt,
    "maximum": lambda x, y: maximum(x, y) if isinstance(y, Tensor) else clamp(x, min=y),
    "minimum": lambda x, y: minimum(x, y) if isinstance(y, Tensor) else clamp(x, max=y),
    "where": where,
}


class Rule:
    """An optimizer's update as expressions, and the compiled updates for the settings that were met."""

    def __init__(self, function: Callable[..., dict[str, expr.Expr]]):
        code, values = function.__code__, function.__kwdefaults__ or {}
        positional = code.co_varnames[: code.co_argcount]
        self.function = function
        self.name = function.__name__
        self.state = positional[2:]
        self.options = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
        self.switches = frozenset(name for name in self.options if values.get(name) is False)
        self.optional = frozenset(values) - self.switches
        self.counts = frozenset(n for n in self.state if function.__annotations__.get(n) == "Number")
        self.__doc__ = function.__doc__
        self._compiled: dict[tuple, Program] = {}

    def trace(self, settings: tuple) -> dict[str, expr.Expr]:
        """The new values as expressions; of each option, `settings` says whether it is on."""
        options: dict[str, Any] = {}
        for name, on in zip(self.options, settings):
            options[name] = bool(on) if name in self.switches else expr.Var(name) if on else None
        return self.function(*map(expr.Var, ("p", "g", *self.state)), **options)

    def program(self, settings: tuple) -> Program:
        """The compiled update for these settings."""
        found = self._compiled.get(settings)
        if found is None:
            found = self._compiled[settings] = Program(self, self.trace(settings))
        return found

    def formula(self, **on: bool) -> str:
        """The update as text, one line for each variable that changes; a prime marks its new value.

        Args:
            on: the optional parts to include, by name; all others are left out.
        """
        needed = set(self.options) - self.switches - self.optional
        roots = self.trace(tuple(name in needed or bool(on.get(name)) for name in self.options))
        lines, known = [], {}
        for name, root in sorted(roots.items(), key=lambda item: item[0] == "p"):
            lines.append(f"{name}' = {_replace(root, known)}")
            if root.args:
                known[id(root)] = expr.Var(f"{name}'")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.formula()

    def __repr__(self) -> str:
        return f"<rule {self.name}>"


def rule(function: Callable[..., dict[str, expr.Expr]]) -> Rule:
    """Declare an update rule: see the head of this file."""
    return Rule(function)


def _replace(x: expr.Expr, known: dict[int, expr.Expr]) -> expr.Expr:
    """The expression with the nodes in `known` replaced."""
    if id(x) in known:
        return known[id(x)]
    return expr.Expr(x.op, *(_replace(a, known) for a in x.args)) if x.args else x


NOTHING: dict[str, bool] = {}


class Program:
    """A rule compiled for one choice of what is on."""

    def __init__(self, rule: Rule, outputs: dict[str, expr.Expr]):
        used = {v for root in outputs.values() for v in root.variables} | set(outputs)
        self.outputs = outputs
        self.counts = tuple(n for n in rule.state if n in used and n in rule.counts)
        self.options = tuple(n for n in rule.options if n in used)
        self.arrays = tuple(n for n in rule.state if n in used and n not in rule.counts)
        self.state = self.counts + self.arrays
        self.update = Update(outputs, ("p", "g", *self.arrays), (*self.counts, *self.options))

    def numbers(self, key: list, values: list[float]) -> tuple[list, list[float]]:
        """The numbers of a step, and the new counts, for a dtype and counts (`key`) and values of the options."""
        numbers, new = self.update.numbers(*key, *values)
        changes = dict(zip(self.update.new_numbers, new))
        return numbers, [changes.get(n, old) for n, old in zip(self.counts, key[1:])]


# ---- the optimizers that are a rule ------------------------------------------------------------------------------


class RuleOptimizer(Optimizer):
    """An optimizer whose step is a rule: the options of the rule are those of the group, by name."""

    rule: Rule
    pairs: dict[str, tuple[str, int]] = {"beta1": ("betas", 0), "beta2": ("betas", 1)}  # options that are half of one

    def _initial(self, name: str, group: dict[str, Any]) -> float:
        """The value of a piece of state before the first step."""
        return 0.0

    def _begin(self, state: dict[str, Any], group: dict[str, Any]) -> dict[str, bool]:
        """The switches of the rule that depend on the state of a parameter, always as the same objects."""
        return NOTHING

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        Args:
            closure: computes the loss again and its gradients, and returns it; called once, before the update.

        Returns:
            What `closure` returned, or None.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            (self._step_recorded if group.get("differentiable") else self._step_group)(group)
        return loss

    def _options(self, group: dict[str, Any]) -> dict[str, Any]:
        """The value of each option of the rule: a number, None (off), or a switch."""
        rule, found = self.rule, {}
        for name in rule.options:
            pair = self.pairs.get(name)
            if name in rule.switches:
                found[name] = bool(group.get(name, False))
                continue
            value = group[name] if pair is None else group[pair[0]][pair[1]]
            off = name in rule.optional and not (isinstance(value, Tensor) and value.requires_grad) and value == 0
            found[name] = None if off else value
        return found

    def _program(self, options: dict[str, Any]) -> Program:
        rule = self.rule
        return rule.program(tuple(v if n in rule.switches else v is not None for n, v in options.items()))

    def _complete(self, p: Tensor, group: dict[str, Any], state: dict[str, Any], program: Program) -> None:
        """Make the state that the program needs where it is missing; an optimizer without state keeps none."""
        for name in program.state:
            if state.get(name) is None:
                value = self._initial(name, group)
                if name in program.counts:
                    state[name] = number_tensor(value)
                else:
                    array = np.zeros_like(p.array)
                    if value:
                        array.fill(complex(value, value) if array.dtype.kind == "c" else value)
                    state[name] = wrap(array)
                self.state[p] = state

    def _step_group(self, group: dict[str, Any]) -> None:
        """One step of the parameters of a group."""
        members = [p for p in group["params"] if p.grad is not None]
        packed = self._packs.get(id(group))
        options: dict[str, Any] = {}
        if packed is None or not packed.follows(group) or not packed.holds(members, self.state):
            options = self._options(group)
            several = len(members) > 1 or (members and members[0].array.size >= LEAST)
            packed = self._pack(group, members, options) if several else None
        if packed is not None:
            if packed.params:
                key = [packed.arrays[0].dtype, *[values[0].item() for values in packed.numbers]]
                packed.run(*packed.program.numbers(key, packed.values))
            members = packed.rest
        if members:
            self._step_each(group, members, options or self._options(group))

    @property
    def _packs(self) -> dict[int, Together]:
        """What was packed, by the identity of the group; it is checked before each use, and never saved."""
        return self.__dict__.setdefault("_packed", {})

    def _pack(self, group: dict[str, Any], members: list[Tensor], options: dict[str, Any]) -> Together | None:
        """Those of the parameters whose state can lie side by side, from the second step on."""
        states = self.state
        mine, fixed = NOTHING, type(self)._begin is RuleOptimizer._begin
        if not fixed:
            kinds = {id(kind): kind for kind in [self._begin(states.get(p) or {}, group) for p in members]}
            if len(kinds) > 1:
                return None
            (mine,) = kinds.values()
        program = self._program(options | mine if mine else options)
        packed = self._packs.get(id(group))
        if packed is None or packed.program is not program or not packed.holds(members, states):
            kept = [states.get(p) or {} for p in members]
            if not all(isinstance(s.get(n), Tensor) for s in kept for n in program.state):
                return None
            packed = self._packs[id(group)] = together(program, members, kept)
        packed.values = _values(program, options)
        packed.settings = []
        if fixed and not any(isinstance(v, Tensor) for v in options.values()):
            packed.settings = list(group.values())
        return packed

    def _step_each(self, group: dict[str, Any], members: list[Tensor], options: dict[str, Any]) -> None:
        """The step of parameters one by one; those that agree in type and step count share their numbers."""
        states, begin = self.state, self._begin
        extra: dict[str, bool] | None = None
        agreed: list = []
        for p in members:
            state = states.get(p) or {}
            mine = begin(state, group)
            if mine is not extra:
                extra, agreed = mine, []
                program = self._program(options | mine if mine else options)
                update, split = program.update, len(program.counts)
                values = _values(program, options)
            try:
                kept = [state[n] for n in program.state]
                owned = [t.array for t in kept]
            except (KeyError, AttributeError):  # state is missing, or None in a checkpoint
                self._complete(p, group, state, program)
                kept = [state[n] for n in program.state]
                owned = [t.array for t in kept]
            counts, array = owned[:split], p.array
            key = [array.dtype, *[count.item() for count in counts]]
            if key != agreed:
                agreed = key
                numbers, new = program.numbers(key, values)
            update.run([array, p.grad.array, *owned[split:]], numbers)  # type: ignore[union-attr]
            for count, value in zip(counts, new):
                count.fill(value)
            for t in kept:
                t.bump()
            p.bump()

    def _step_recorded(self, group: dict[str, Any]) -> None:
        """One step as recorded operations, so that it can be differentiated (`differentiable=True`)."""
        options = self._options(group)
        for p in group["params"]:
            if p.grad is None:
                continue
            state = self.state.get(p) or {}
            mine = options | self._begin(state, group)
            program = self._program(mine)
            self._complete(p, group, state, program)
            with enable_grad():
                known = {"p": p.clone(), "g": p.grad} | {n: mine[n] for n in program.options}
                known |= {n: state[n].item() if n in program.counts else state[n] for n in program.state}
                found = evaluate(program.outputs, known)
                p.copy_(found.pop("p"))
                for name, value in found.items():
                    state[name] = number_tensor(float(value)) if name in program.counts else value


def _values(program: Program, options: dict[str, Any]) -> list[float]:
    """The options of a program that are numbers, in its order."""
    values: list[Any] = [options[name] for name in program.options]
    return [float(v) if isinstance(v, Tensor) else v for v in values]


def evaluate(roots: dict[str, expr.Expr], known: dict[str, Any]) -> dict[str, Any]:
    """The values of expressions whose variables are tensors or numbers, as recorded operations."""
    values: dict[int, Any] = {}
    for root in roots.values():
        for x in expr.walk(root):
            if isinstance(x, expr.Var):
                values[id(x)] = known[x.name]
            elif isinstance(x, expr.Const):
                values[id(x)] = x.value
            elif id(x) not in values:
                operands = [values[id(a)] for a in x.args]
                tensors = any(isinstance(a, Tensor) for a in operands)
                values[id(x)] = (ON_TENSORS if tensors else ON_NUMBERS)[x.op](*operands)
    return {name: values[id(root)] for name, root in roots.items()}


# ---- what rules and the checks of options share ------------------------------------------------------------------


def slope(p: Any, g: Any, weight_decay: Any, maximize: bool) -> Any:
    """The gradient of what is minimised: `g`, or -g to maximise, plus that of weight_decay / 2 * p ** 2."""
    if weight_decay is None:
        return -g if maximize else g
    return weight_decay * p - g if maximize else g + weight_decay * p


def check_options(optimizer: str, *, betas: tuple = (), **nonnegative: Any) -> None:
    """Refuse options that no optimizer can work with.

    Raises:
        ValueError: one of `nonnegative` is negative or NaN, a Tensor has several elements, or a beta is outside [0, 1).
    """
    for name, value in nonnegative.items():
        _check_single(optimizer, name, value)
        if not value >= 0:
            raise ValueError(
                message(
                    f"{optimizer}: {name} is negative or not a number", got=f"{name}={value}", expected=f"{name} >= 0"
                )
            )
    for i, value in enumerate(betas):
        _check_single(optimizer, f"betas[{i}]", value)
        if not 0 <= value < 1:
            what = f"{optimizer}: betas[{i}] is outside [0, 1)"
            raise ValueError(message(what, got=f"betas={betas}", expected="0 <= beta < 1"))


def _check_single(optimizer: str, name: str, value: Any) -> None:
    if isinstance(value, Tensor) and value.array.size != 1:
        text = message(f"{optimizer}: {name} as a Tensor has one element", got=f"shape {tuple(value.array.shape)}")
        raise ValueError(text)


def check_switches(optimizer: str, fused: bool | None, foreach: bool | None, differentiable: bool) -> None:
    """Refuse combinations of implementations that PyTorch refuses; here there is one, that does all.

    Raises:
        RuntimeError: `fused` together with `foreach` or `differentiable`.
    """
    if fused and (foreach or differentiable):
        other = "foreach" if foreach else "differentiable"
        raise RuntimeError(
            message(f"{optimizer}: fused=True cannot be combined with {other}=True", fix=f"drop {other}=True")
        )
