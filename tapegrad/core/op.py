"""Declaring operations: `@elementwise`, `@op`, `.grad`, `.shape`, and what follows from them.

One block declares an operation (design, section 3):

    @elementwise
    def tanh(x):
        '''Hyperbolic tangent, elementwise.'''
        return e.tanh(x)

    @tanh.grad
    def _(g, out):
        return g * (1 - out * out)

The decorator returns the public function: a closure made once, specialised on the number of operands, whose straight
path is a mode test, the kernel, a `Tensor` and, if a gradient is wanted, a `Node`. Everything that is not plain
(numbers as operands, unequal dtypes, `out=`, keyword arguments, expressions) takes the general path in `dispatch`.

A body of `@elementwise` takes expressions: parameters without a default are operands, those with one are arguments.
A body of `@op` takes arrays: its operands are annotated `Array`, `Array | None` or `Arrays` (a list), and it may
return several arrays, named by `returns`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes
from ..backends.cpu import elementwise as kernels
from ..dtypes import BOOL, FLOAT
from ..ir import expr
from . import dispatch, paths, rules
from .tensor import Tensor

Array = np.ndarray
Arrays = list
MISSING = dispatch.MISSING
OPERAND = frozenset(("Array", "Array | None", "Arrays"))  # annotations of parameters
RECORDED = frozenset("expression gives_bool gives_real least conditions truths lead plain fast".split())
ON_TRUTHS = frozenset("bit_and bit_or bit_xor bit_not logical_and logical_or logical_xor logical_not where".split())
registry: dict[str, Op] = {}


class Op:
    """An operation: its body, its parameters, its derivative formulas, and the public function."""

    fresh = True  # formulas compute new arrays: none of them hands out one that lives elsewhere
    function: Callable[..., Any]
    backward: Callable[..., tuple]
    backward_graph: Callable[..., tuple]

    def __init__(
        self,
        body: Callable,
        *,
        elementwise: bool,
        name: str | None = None,
        node: str | Callable | None = None,
        returns: tuple[str, ...] = (),
        nout: int = 1,
        hidden: int = 0,
        view: bool = False,
        nondiff: bool = False,
        float_only: bool | None = None,
        refuses: str = "",
        numbers: str = "last",
        static: tuple[str, ...] = (),
        check: Callable | None = None,
        holomorphic: bool | None = None,
        linked: bool = False,
    ):
        self.body = body
        self.name = name or body.__name__
        self.elementwise = elementwise
        self.returns, self.nout, self.hidden = returns, nout, hidden  # nout: differentiable results, -1 for a list
        self.view, self.declared_nondiff = view, nondiff
        self.refuses = refuses  # kinds of NumPy dtype ("b", "biu", ...) that PyTorch refuses; "B": any bool operand
        self.numbers, self.static, self.check = numbers, static, check
        self.holomorphic = elementwise if holomorphic is None else holomorphic  # Note [Complex] in `rules`
        self.linked = linked  # whether the gradient counts as a function of the operand: `rules.linked`
        self.formulas: dict[tuple[str, ...], Callable] = {}
        self.shape_rule: Callable | None = None
        # which of one or two operands, and whether the result, to save: `plan`, filled in at the first gradient
        self.plans: list[tuple[bool, ...]] = [()] * 4
        self._node_name = node
        self._read_parameters()
        self.kernels: dict[tuple, Callable] = {}
        self.float_only = float_only
        self.backward, self.backward_graph = self._first_backward, self._first_backward_graph

    def _read_parameters(self) -> None:
        """Sort the parameters into operands and arguments."""
        code, defaults = self.body.__code__, self.body.__defaults__ or ()
        self.npos = code.co_argcount
        self.names = code.co_varnames[: self.npos + code.co_kwonlyargcount]
        self.defaults = [MISSING] * (self.npos - len(defaults)) + list(defaults)
        if code.co_kwonlyargcount:
            keyword = self.body.__kwdefaults__ or {}
            self.defaults += [keyword.get(n, MISSING) for n in self.names[self.npos :]]
        if self.elementwise:
            kinds = ["Array" if d is MISSING else "" for d in self.defaults]
        else:
            kinds = list(map(self.body.__annotations__.get, self.names))
        slots: tuple[list[int], list[int]] = ([], [])  # of arguments, of operands
        for i, kind in enumerate(kinds):
            slots[kind in OPERAND].append(i)
        self.variadic = "Arrays" in kinds
        self.tensors = tuple([(i, kinds[i]) for i in slots[True]])
        self.tensor_names = tuple(map(self.names.__getitem__, slots[True]))
        self.attr_slots = tuple(slots[False])
        self.attr_names = tuple(map(self.names.__getitem__, slots[False]))
        self.attr_defaults = tuple(map(self.defaults.__getitem__, slots[False]))

    @functools.cached_property
    def index(self) -> dict[str, int]:
        """The place of every keyword: the names of the parameters, and what else PyTorch and NumPy call them."""
        index = {n: i for i, n in enumerate(self.names)}
        operands = {i for i, _ in self.tensors}
        for alias, own in (("input", 0), ("self", 0), ("other", 1)):
            if own < len(self.names) and own in operands:
                index.setdefault(alias, own)
        for alias, name in dispatch.NUMPY_NAMES.items():
            if name in index:
                index.setdefault(alias, index[name])
        return index

    def __getattr__(self, name: str) -> Any:
        """What only the recorded body tells is found out when first asked for: 8 of 95 ms of `import tapegrad`."""
        if name not in RECORDED or not self.elementwise:
            raise AttributeError(f"an operation has no {name!r}")
        self._record()
        return self.__dict__[name]

    def _record(self) -> None:
        """Record the body with its default arguments: that is the expression of the straight path."""
        self.expression = self.body(*map(expr.Var, self.tensor_names))
        kind = expr.result_kind(self.expression)
        self.gives_bool = kind == "bool"
        self.gives_real = self.expression.op == "abs"  # of complex operands too
        if "least" not in self.__dict__:  # kinds of dtype below this one become it; some operations say it themselves
            self.least = FLOAT if (kind == "float" if self.float_only is None else self.float_only) else BOOL
        self.conditions = expr.conditions(self.expression)
        self.truths = tuple([n in self.conditions for n in self.tensor_names])
        self.lead = self.truths.index(False) if False in self.truths else 0
        self.plain = self._plain()
        self.fast = kernels.direct(self.expression, self.tensor_names) or kernels.kernel(
            self.expression, self.tensor_names
        )

    def _plain(self) -> frozenset[np.dtype]:
        """The dtypes besides float32 and float64 whose kernel gives the promoted result as it is."""
        if self.gives_real:
            return frozenset()
        found = {dtypes.int64.numpy} if self.least < FLOAT and "i" not in self.refuses else set()
        if (
            self.least == BOOL
            and not {"b", "B"} & set(self.refuses)
            and ON_TRUTHS.issuperset(expr.operators(self.expression))
        ):
            found.add(dtypes.bool_.numpy)
        return frozenset(found)

    # ---- declaring ---------------------------------------------------------------------------------------------

    def grad(self, *targets: Any) -> Callable:
        """Declare the derivative with respect to the named inputs (the first, if none is named)."""
        if len(targets) == 1 and callable(targets[0]):
            return self._declare((self.tensor_names[0],), targets[0])
        return lambda formula: self._declare(targets, formula)

    def _declare(self, targets: tuple[str, ...], formula: Callable) -> Callable:
        for target in targets:
            if target not in self.tensor_names:
                raise NameError(f"derivative of {self.name}: no input {target!r}")
        rules.check_names(self, formula)
        self.formulas[targets] = formula
        self.plan = rules.save_plan(self)
        used = {n for f in self.formulas.values() for n in rules.names_of(f)}
        self.named_results = tuple([n in used for n in self.returns or ("out",)])
        self.wants_shapes = any([f"{n}_shape" in used for n in self.tensor_names])  # noqa: C419 (a list is quicker)
        return formula

    def fill_plan(self, k: int) -> tuple[bool, ...]:
        """The entry of `plans` for the operands whose bits are set in `k`."""
        keep, keep_out = self.plan(tuple(k >> i & 1 == 1 for i in range(len(self.tensor_names))))
        self.plans[k] = found = (*keep, keep_out)
        return found

    @property
    def nondiff(self) -> bool:
        """Whether there is no derivative: declared, or the result is a truth value."""
        return self.declared_nondiff or (self.elementwise and self.gives_bool)

    plan: Callable = staticmethod(lambda needed: ((False,) * len(needed), False))
    wants_shapes = False
    named_results: tuple[bool, ...] = ()  # which of the results the formulas name
    fills = False  # whether the in-place form writes one number everywhere

    def shape(self, rule: Callable) -> Callable:
        """Declare the shape of the result as a function of the shapes of the operands and the arguments."""
        self.shape_rule = rule
        return rule

    # ---- running -----------------------------------------------------------------------------------------------

    def bind(self, args: tuple, kwargs: dict) -> list:
        """All parameters in order, defaults filled in."""
        return dispatch.bind(self, args, kwargs)

    def attributes(self, args: tuple, kwargs: dict) -> tuple:
        """The arguments that are not operands, in order, defaults filled in."""
        n = len(args)
        if not kwargs:
            return args if n == len(self.attr_defaults) else args + self.attr_defaults[n:]
        values = [*args, *self.attr_defaults[n:]]
        for name, value in kwargs.items():
            values[self.attr_names.index(name)] = value
        return tuple(values)

    def on_array(self, *args: Any, **kwargs: Any) -> Any:
        """The operation on arrays, nothing recorded."""
        if self.elementwise:
            values = self.bind(args, kwargs)
            n = len(self.tensor_names)
            return self.compute(values[:n], values[n:])
        return self.body(*args, **kwargs)

    def compute(self, arrays: list, attrs: list) -> Any:
        """Run an elementwise operation on arrays of one dtype; arguments that are no numbers are compiled in."""
        if not attrs or all(map(rules.is_default, attrs, self.attr_defaults)):
            return self.fast(*arrays)
        free = [a.__class__ in (int, float) and n not in self.static for n, a in zip(self.attr_names, attrs)]
        key = tuple(None if f else a for f, a in zip(free, attrs))
        kernel = self.kernels.get(key)
        if kernel is None:
            scalars = tuple(n for n, f in zip(self.attr_names, free) if f)
            values = {n: expr.Var(n) if f else a for n, f, a in zip(self.attr_names, free, attrs)}
            root = self.body(*map(expr.Var, self.tensor_names), **values)
            kernel = self.kernels[key] = kernels.kernel(root, self.tensor_names + scalars, frozenset(scalars))
        numbers = [a for f, a in zip(free, attrs) if f]
        return kernel(*arrays, *numbers)

    def _first_backward(self, node: Any, g: Any) -> tuple:
        self.backward = rules.array_rule(self)
        return self.backward(node, g)

    def _first_backward_graph(self, node: Any, g: Any) -> tuple:
        self.backward_graph = rules.graph_rule(self)
        return self.backward_graph(node, g)

    def node_name(self, node: Any) -> str:
        """The name that `grad_fn` shows: PyTorch's."""
        found = self._node_name
        if callable(found):
            return found(node)
        return found or "".join(part.title() for part in self.name.split("_")) + "Backward0"

    @functools.cached_property
    def conjugating(self) -> Op:
        """The same operation with the derivative for complex numbers: Note [Complex] in `rules`."""
        return rules.conjugating(self)

    formula = property(rules.text_of, doc="The operation and its derivatives as text.")

    def __repr__(self) -> str:
        return f"<operation {self.name}>"


# ---- the decorators -------------------------------------------------------------------------------------------------


def _declare(body: Callable, method: bool | str, **options: Any) -> Any:
    op = Op(body, **options)
    operands = [k for _, k in op.tensors]
    if op.elementwise:
        function = {1: paths.unary, 2: paths.binary}.get(len(operands), paths.several)(op)
    elif operands == ["Array"] and op.tensors[0][0] == 0 and not op.returns and op.nout == 1 and not op.hidden:
        function = paths.one_array(op)
    elif operands == ["Array", "Array"] and not op.attr_names and not op.returns and op.nout == 1 and not op.hidden:
        op.fast, op.numbers, op.plain = body, "none", frozenset()
        function = paths.binary(op)
    elif operands == ["Arrays"] and op.tensors[0][0] == 0 and not op.returns and op.nout == 1 and not op.hidden:
        function = paths.many_arrays(op)
    elif operands == ["Array"] and op.tensors[0][0] == 0 and op.view and op.nout < 0 and not op.hidden:
        function = paths.several_views(op)
    elif paths.fits_several(op):
        function = paths.several_arrays(op)
    elif paths.fits_results(op):
        function = paths.several_results(op)
    else:
        function = paths.general(op)
    op.function = function
    for attribute in ("__name__", "__qualname__", "__doc__", "__module__"):
        setattr(function, attribute, getattr(body, attribute))
    function.__wrapped__ = body  # type: ignore[attr-defined]
    function.op, function.grad, function.shape = op, op.grad, op.shape  # type: ignore[attr-defined]
    registry[op.name] = op
    if method:
        setattr(Tensor, method if isinstance(method, str) else op.name, function)
    return function


def elementwise(
    body: Callable | None = None, *, method: bool | str = True, inplace: bool = True, **options: Any
) -> Any:
    """Declare an elementwise operation; it becomes a function, a method and an in-place method.

    Args:
        body: a function of expressions (`ir.expr`) that returns one.
        method: whether, or under which name, it is a method of `Tensor`.
        inplace: whether there is an in-place method (`name_`).
        options: `name`, `node` (what `grad_fn` prints), `nondiff`, `float_only` (integers become floating point;
            otherwise the expression tells), `refuses` (kinds of NumPy dtype that are an error), `numbers` (which
            operands may be Python numbers: "last", "all", "either" but not both, or "none"), `static` (arguments that
            are compiled into the kernel), `check` (called with the promoted arrays, to refuse values), `holomorphic`
            (Note [Complex] in `rules`; true by default), `linked` (see `rules.linked`).
    """
    if body is None:
        return lambda b: elementwise(b, method=method, inplace=inplace, **options)
    function = _declare(body, method, elementwise=True, **options)
    if inplace:
        make_inplace(function)
    return function


def op(body: Callable | None = None, *, method: bool | str = False, inplace: bool = False, **options: Any) -> Any:
    """Declare an operation whose body calls array kernels.

    Args:
        body: a function of arrays and arguments; operands are annotated `Array`, `Array | None` or `Arrays`.
        method: whether, or under which name, it is a method of `Tensor`.
        inplace: whether there is an in-place method (`name_`).
        options: `name`, `node`, `nondiff`, `view` (the result shares memory with the operand), `returns` (names of
            several results; the type is a named tuple), `nout` (how many results are differentiable; -1: a list of
            results, all of them), `hidden` (how many of the last results only the formulas see), `holomorphic`
            (Note [Complex] in `rules`; false by default), `linked` (see `rules.linked`).
    """
    if body is None:
        return lambda b: op(b, method=method, inplace=inplace, **options)
    function = _declare(body, method, elementwise=False, **options)
    if inplace:
        make_inplace(function)
    return function


def operator(function: Callable) -> Callable:
    """The function behind a Python operator: it leaves operands of foreign types to their own class."""
    return paths.operator(function.op)  # type: ignore[attr-defined]


def make_inplace(function: Callable, name: str | None = None) -> Callable:
    """Give an operation its in-place method (`name_`)."""
    own: Op = function.op  # type: ignore[attr-defined]
    name = name or own.name + "_"

    def method(self, *args, **kwargs):
        return dispatch.call_inplace(own, name, self, args, kwargs)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"In-place form of `{own.name}`: the result is written into this tensor."
    method.op = own  # type: ignore[attr-defined]
    setattr(Tensor, name, method)
    return method
