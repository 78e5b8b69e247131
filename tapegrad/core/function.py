"""`autograd.Function`: operations with a derivative written by the user.

Reference: PyTorch documentation, "Extending torch.autograd".
"""

from __future__ import annotations

import functools
import weakref
from typing import Any

import numpy as np

from .. import modes
from ..errors import message
from . import tape
from .tensor import Tensor, edge, wrap
from .views import check_inplace, freed, rebase, stale


class FunctionCtx:
    """What `forward` leaves for `backward`; every other attribute set on it is kept as well."""

    def __init__(self):
        self._saved: tuple = ()
        self._dirty: tuple = ()
        self._nondiff: tuple = ()
        self._materialize = True
        self._node: Any = None
        self.needs_input_grad: tuple[bool, ...] = ()

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep inputs or outputs for `backward`, where they are `ctx.saved_tensors`."""
        for t in tensors:
            if t is not None and not isinstance(t, Tensor):
                text = message(
                    "save_for_backward: takes tensors",
                    got=type(t).__name__,
                    fix="set other values as attributes of ctx",
                )
                raise TypeError(text)
        self._saved = tensors

    save_for_forward = save_for_backward

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Say which inputs `forward` changed in place (they must be returned)."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Say which outputs have no gradient."""
        self._nondiff = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether `backward` gets zeros (the default) or None for outputs that were not used."""
        self._materialize = value

    @property
    def saved_tensors(self) -> tuple:
        """What `save_for_backward` kept.

        Raises:
            RuntimeError: the graph was freed, or a saved tensor was changed in place since.
        """
        node = self._node() if self._node is not None else None
        if node is None:
            return self._saved
        if node.saved is None:
            raise freed(node)
        found = []
        for t, version, own in node.saved:
            if t is not None and t._version != version:
                raise stale(node, "a saved tensor", t.array.shape, version, t._version)
            if own is not None:  # an output: it gets its history only now, or node and tensor would refer to each other
                t, array = wrap(t.array), t
                t._ver = array._ver
                t.node = (node, own) if node.op.nout != 1 else node
            found.append(t)
        return tuple(found)

    saved_variables = saved_tensors


class _Rule:
    """The operation of a node made by a `Function`."""

    name = "Function"
    variadic = True
    fresh = False  # a user's backward may return anything
    tensor_names = ("input",)

    def __init__(self, function: type, ctx: FunctionCtx, nout: int):
        self.function, self.ctx, self.nout = function, ctx, nout
        self.materialize = ctx._materialize
        self.formula = f"{function.__name__}: written by the user"

    def node_name(self, node: Any) -> str:
        """PyTorch's name: that of the class."""
        return f"{self.function.__name__}Backward"

    def backward(self, node: tape.Node, g: Any) -> tuple:
        """Gradients as arrays."""
        gs = [None if x is None else wrap(np.asarray(x)) for x in (g if self.nout != 1 else [g])]
        return tuple(None if t is None else t.array for t in self._call(node, gs))

    def backward_graph(self, node: tape.Node, g: Any) -> tuple:
        """Gradients as recorded tensors."""
        return self._call(node, g if self.nout != 1 else [g])

    def _call(self, node: tape.Node, gs: list) -> tuple:
        function, n = self.function, len(node.inputs)
        if function.vjp is not Function.vjp and function.backward is not Function.backward:
            raise RuntimeError(message(f"{function.__name__}: define backward or vjp, not both"))
        rule = function.vjp if function.vjp is not Function.vjp else function.backward
        returned = rule(self.ctx, *gs)
        grads = list(returned) if isinstance(returned, tuple | list) else [returned]
        while len(grads) > n and grads[-1] is None:
            grads.pop()
        if len(grads) != n:
            text = message(
                f"{function.__name__}.backward: returned the wrong number of gradients",
                got=len(grads),
                expected=f"{n}, one for each input of forward (None where there is none)",
            )
            raise RuntimeError(text)
        for g in grads:
            if g is not None and not isinstance(g, Tensor):
                raise TypeError(
                    message(f"{function.__name__}.backward: must return tensors or None", got=type(g).__name__)
                )
        return tuple(grads)


class Function:
    """Base class of operations with a derivative of their own.

    Define `forward(ctx, *args)` (or `forward(*args)` and `setup_context(ctx, inputs, output)`) and
    `backward(ctx, *grad_outputs)` as static methods, and call `apply`.

    >>> import tapegrad as torch
    >>> class Square(torch.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x
    ...
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         (x,) = ctx.saved_tensors
    ...         return 2 * x * g
    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> Square.apply(x).backward()
    >>> x.grad
    tensor(6.)
    """

    generate_vmap_rule = False

    def __init__(self, *args: Any, **kwargs: Any):
        raise RuntimeError(
            message(
                f"{type(self).__name__}: a Function is not instantiated", fix=f"call {type(self).__name__}.apply(...)"
            )
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the result."""
        raise NotImplementedError(message("Function: define forward as a static method"))

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple, output: Any) -> None:
        """Save what `backward` needs, where `forward` does not take `ctx`."""
        raise NotImplementedError(message("Function: setup_context is not defined"))

    @staticmethod
    def backward(ctx: FunctionCtx, *grad_outputs: Any) -> Any:
        """Compute a gradient for each input of `forward`."""
        raise NotImplementedError(message("Function: define backward as a static method to differentiate it"))

    vjp = backward

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run `forward` and record it."""
        ctx = FunctionCtx()
        recording = modes.is_grad_enabled()
        edges = tuple(edge(a) if isinstance(a, Tensor) else None for a in args)
        ctx.needs_input_grad = tuple(recording and e is not None for e in edges)
        split = cls.setup_context is not Function.setup_context
        with modes.no_grad():
            result = cls.forward(*args, **kwargs) if split else cls.forward(ctx, *args, **kwargs)
            if split:
                cls.setup_context(ctx, args, result)
        return _record(cls, ctx, args, edges if recording else (None,) * len(args), result)


def _record(cls: type, ctx: FunctionCtx, args: tuple, edges: tuple, result: Any) -> Any:
    single = not isinstance(result, tuple)
    outputs = [result] if single else list(result)
    differentiable = any(e is not None for e in edges)
    for i, t in enumerate(outputs):
        if isinstance(t, Tensor) and not any(t is d for d in ctx._dirty):
            if any(t is a for a in args) or t.node is not None or t._requires_grad or t._view is not None:
                outputs[i] = t.detach()
    if not differentiable:
        return outputs[0] if single else tuple(outputs)
    marked = {id(t) for t in ctx._nondiff}
    where = [
        i for i, (t, o) in enumerate(zip(outputs, [result] if single else result))
        if isinstance(t, Tensor) and id(o) not in marked and t.array.dtype.kind not in "biu"
    ]  # fmt: skip
    if not where:
        return outputs[0] if single else tuple(outputs)
    rule = _Rule(cls, ctx, 1 if single else -1)
    first = outputs[where[0]]
    originals = [result] if single else list(result)
    saved = []
    for t in ctx._saved:
        place = next((i for i, o in enumerate(originals) if t is not None and t is o and i in where), None)
        kept = t if place is None else t.detach()
        saved.append((kept, 0, place))
    node = tape.record(rule, edges, tuple(saved), None, None, first.array)
    if not single:
        node.shape = tuple(t.array.shape if isinstance(t, Tensor) else () for t in outputs)
        node.dtype = tuple(t.array.dtype if isinstance(t, Tensor) else np.dtype(np.float32) for t in outputs)
    for i in where:
        t = outputs[i]
        if any(t is d for d in ctx._dirty):
            check_inplace(cls.__name__, t)
            t.bump()
            rebase(t, node)
        else:
            t.node = node if single else (node, i)
    node.saved = tuple((t, 0 if t is None else t._version, place) for t, _, place in saved) or ()
    ctx._saved, ctx._dirty, ctx._nondiff = (), (), ()
    ctx._node = weakref.ref(node)
    return outputs[0] if single else tuple(outputs)


def once_differentiable(backward: Any) -> Any:
    """Mark a `Function.backward` as not differentiable itself: its results do not require grad.

    Taking a second derivative through it raises a RuntimeError.
    """

    @functools.wraps(backward)
    def wrapper(ctx: FunctionCtx, *grads: Any) -> Any:
        with modes.no_grad():
            returned = backward(ctx, *grads)
        if not modes.is_grad_enabled() or not any(isinstance(g, Tensor) and g.requires_grad for g in grads):
            return returned
        items = returned if isinstance(returned, tuple) else (returned,)
        sources = [g for g in grads if isinstance(g, Tensor)]
        blocked = tuple(None if t is None else _Once.apply(t, *sources) for t in items)
        return blocked if isinstance(returned, tuple) else blocked[0]

    return wrapper


class _Once(Function):
    """Passes a gradient on; its own derivative is an error."""

    @staticmethod
    def forward(ctx, value, *sources):
        """The value itself."""
        return value.detach()

    @staticmethod
    def backward(ctx, *grads):
        """Never defined."""
        raise RuntimeError(message("a second derivative was asked of a backward marked @once_differentiable"))
