"""The engine: runs recorded derivatives from results back to leaves.

Nodes are taken by falling number, which is a valid order: Note [Order] in `tape`. Incoming gradients are summed in
`pending`; when a node's turn comes all its readers have run. There is no recursion, so the depth of a graph is
limited by memory alone.

One loop serves both kinds of pass. In a plain pass gradients are arrays and `op.backward` is called; with
`create_graph` they are tensors, `op.backward_graph` is called, and its work is recorded like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any

import numpy as np

from .. import dtypes, modes, shapes
from ..errors import message
from . import tape
from .op import registry
from .tape import Node, sum_to
from .tensor import Tensor, edge, wrap

Array = np.ndarray


class _Pass:
    """One backward pass: what is pending, where gradients are kept, and what is freed on the way."""

    __slots__ = ("anomaly", "create_graph", "found", "heap", "keep", "only", "owned", "pending", "wanted")

    def __init__(self, keep: bool, create_graph: bool):
        self.keep = keep
        self.create_graph = create_graph
        self.anomaly = modes.anomaly.get()
        self.heap: list[int] = []  # negated numbers of the pending nodes
        self.pending: dict[int, list] = {}  # number -> [node, gradient or a list of them for several outputs]
        self.owned: set[int] = set()  # numbers whose pending array was made here and may be added to in place
        self.wanted: dict[Any, Any] | None = None  # `grad`: keys of the edges whose gradients are asked for
        self.only: set[int] = set()  # `grad`: numbers of the nodes on a way to one of them
        self.found: dict[Any, Any] = {}

    # ---- gradients arrive ---------------------------------------------------------------------------------------

    def send(self, target: Any, g: Any, fresh: bool = False) -> None:
        """Add a gradient to what is pending at an edge (Note [Edges] in `tape`); `fresh`: see `accumulate`."""
        kind = target.__class__
        if kind is Node:
            number = target.number
            entry = self.pending.get(number)
            if entry is None:
                self.pending[number] = [target, g]
                heappush(self.heap, -number)
            elif self.create_graph:
                entry[1] = entry[1] + g
            elif number in self.owned:
                np.add(entry[1], g, out=entry[1])
            else:
                entry[1] = np.add(entry[1], g, out=np.empty(g.shape, g.dtype))
                self.owned.add(number)
        elif kind is tuple:
            node, k = target
            entry = self.pending.get(node.number)
            if entry is None:
                entry = self.pending[node.number] = [node, [None] * len(node.shape)]
                heappush(self.heap, -node.number)
            held = entry[1][k]
            entry[1][k] = g if held is None else held + g
        else:
            self.arrive(target, g, fresh)

    def arrive(self, leaf: Tensor, g: Any, fresh: bool) -> None:
        """Accumulate into a leaf, or note the gradient if it was asked for."""
        if not leaf._requires_grad:  # it did when the graph was made
            return
        if leaf._hooks is not None:
            g, fresh = self.call_leaf_hooks(leaf, g), False
        if self.wanted is not None:
            key = id(leaf)
            if key in self.wanted:
                held = self.found.get(key)
                self.found[key] = g if held is None else held + g
            return
        accumulate(leaf, g, self.create_graph, fresh)
        if leaf._hooks is not None:
            for hook in list(leaf._hooks["post"].values()):
                hook(leaf)

    def call_leaf_hooks(self, leaf: Tensor, g: Any) -> Any:
        """Hooks of `leaf.register_hook`."""
        for hook in list(leaf._hooks["grad"].values()):
            g = self.call_hook(hook, g)
        return g

    def call_hook(self, hook: Any, g: Any) -> Any:
        """Hand a gradient to a user's function as a tensor and take over what it returns."""
        given = g if self.create_graph else wrap(g)
        returned = hook(given)
        if returned is None:
            return g
        if not isinstance(returned, Tensor):
            raise TypeError(message("hook: must return a tensor or None", got=type(returned).__name__))
        if returned.array.shape != given.array.shape:
            text = message(
                "hook: the returned gradient has another shape", got=tuple(returned.shape), expected=tuple(given.shape)
            )
            raise RuntimeError(text)
        return returned if self.create_graph else returned.array

    # ---- the loop -------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run pending nodes until none is left.

        Most graphs are chains over long stretches: a node that is the only one pending is kept in `alone`, without a
        place in the queue (a sixth of the time of a chain of small operations).
        """
        heap, pending = self.heap, self.pending
        graph, keep, wanted = self.create_graph, self.keep, self.wanted
        alone = None
        while alone is not None or heap:
            if alone is not None:
                node, g = alone
                alone, number = None, node.number
            else:
                number = -heappop(heap)
                node, g = pending.pop(number)
            if node.hooks is not None:
                g = self.before(node, g)
            if wanted is not None:
                self.note(node, g)
                if number not in self.only:
                    continue
            if g.__class__ is list:
                g = _filled(node, g, graph)
            op = node.op
            grads = op.backward_graph(node, g) if graph else op.backward(node, g)
            if node.hooks is not None and node.hooks.post:
                grads = self.after(node, grads, g)
            if self.anomaly:
                check_finite(node, grads)
            if not keep and (node.saved or node.outputs is not None):
                node.saved = node.outputs = None
            for target, gi in zip(node.inputs, grads):
                if target is None or gi is None:
                    continue
                if target.__class__ is Node:
                    if gi.__class__ is not Array or gi.shape != target.shape or gi.dtype is not target.dtype:
                        gi = fit(node, target, gi, graph)
                    if alone is None and not heap:
                        alone = (target, gi)
                        continue
                elif graph or target.__class__ is tuple:
                    gi = fit(node, target, gi, graph)
                else:
                    held = target._grad
                    if (
                        held is not None
                        and wanted is None
                        and gi.__class__ is Array
                        and gi.shape == held.array.shape
                        and gi.dtype is held.array.dtype
                        and target._hooks is held.node is None
                        and target._requires_grad
                        and not held._requires_grad
                    ):  # what `arrive` would do in the end
                        np.add(held.array, gi, held.array)
                        held.bump()
                        continue
                    own = fit(node, target, gi, False)
                    fresh = own is not gi or (gi is not g and op.fresh and sum([x is gi for x in grads]) == 1)
                    self.arrive(target, own, fresh)
                    continue
                if alone is not None:  # it gets company
                    self.send(*alone)
                    alone = None
                self.send(target, gi)

    def before(self, node: Node, g: Any) -> Any:
        """Tensor hooks, node pre-hooks and `retain_grad`."""
        several = g.__class__ is list
        for hook, k in list(node.hooks.pre.values()):
            if k is None:
                g = self._call_prehook(hook, g, several)
            elif not several:
                g = self.call_hook(hook, g)
            elif g[k] is not None:
                g[k] = self.call_hook(hook, g[k])
        for k, ref in node.hooks.retain.items():
            t, own = ref(), g[k] if several else g
            if t is not None and own is not None and self.wanted is None:
                accumulate(t, own, self.create_graph)
        return g

    def _call_prehook(self, hook: Any, g: Any, several: bool) -> Any:
        given = tuple(_as_tensor(x) for x in (g if several else [g]))
        returned = hook(given)
        if returned is None:
            return g
        items = list(returned) if isinstance(returned, tuple) else [returned]
        items = [x if x is None or self.create_graph else x.array for x in items]
        return items if several else items[0]

    def after(self, node: Node, grads: tuple, g: Any) -> tuple:
        """Node hooks: they see the gradients of the inputs and of the outputs."""
        outputs = tuple(_as_tensor(x) for x in (g if g.__class__ is list else [g]))
        for hook in list(node.hooks.post.values()):
            returned = hook(tuple(_as_tensor(x) for x in grads), outputs)
            if returned is not None:
                items = returned if isinstance(returned, tuple) else (returned,)
                grads = tuple(x if x is None or self.create_graph else x.array for x in items)
        return grads

    def note(self, node: Node, g: Any) -> None:
        """Keep the gradient of a wanted result that is not a leaf."""
        for k, own in enumerate(g if g.__class__ is list else [g]):
            if (node.number, k) in self.wanted and own is not None:  # type: ignore[operator]
                self.found[node.number, k] = own


def _as_tensor(g: Any) -> Tensor | None:
    return g if g is None or isinstance(g, Tensor) else wrap(np.asarray(g))


def _filled(node: Node, gs: list, graph: bool) -> list:
    """Zeros for the outputs of a node that nobody used."""
    if not getattr(node.op, "materialize", True):
        return gs
    zeros = [np.zeros(s, d) if g is None else g for g, s, d in zip(gs, node.shape, node.dtype)]
    return [_as_tensor(z) for z in zeros] if graph else zeros


def fit(node: Node, target: Any, g: Any, graph: bool) -> Any:
    """Bring a gradient to the shape and dtype of the input it belongs to: undo broadcasting and promotion."""
    shape, dtype = tape.target(target)
    if graph:
        if g.array.shape != shape:
            g = _sum_to_graph(g, shape)
        return g if g.array.dtype == dtype else g.to(dtypes.of(dtype))
    if g.__class__ is not Array:
        g = np.array(g)
    if g.shape != shape:
        try:
            g = sum_to(g, shape)
        except (ValueError, IndexError):
            text = message(
                f"{node.name()}: returned a gradient of the wrong shape",
                where=f"recorded at {node.location}",
                got=tuple(g.shape),
                expected=tuple(shape),
            )
            raise RuntimeError(text) from None
    if g.dtype is not dtype and g.dtype != dtype:
        g = (g.real if g.dtype.kind == "c" and dtype.kind != "c" else g).astype(dtype)
    return g


def _sum_to_graph(g: Tensor, shape: tuple[int, ...]) -> Tensor:
    lead, stretched = shapes.stretched(shape, g.array.shape)
    over = (*lead, *stretched)
    return (g.sum(over, True) if over else g).reshape(shape)


def accumulate(leaf: Tensor, g: Any, graph: bool, fresh: bool = False) -> None:
    """Add a gradient to `leaf.grad`. The array that becomes the grad must be nobody else's: unless it is `fresh`,
    just made by a formula, it is copied."""
    held = leaf._grad
    if graph:
        leaf._grad = g if held is None else held + g
        return
    if held is None:
        leaf._grad = wrap(g if fresh and g.base is None and g.flags.c_contiguous else np.array(g, order="C"))
    elif held.node is not None or held._requires_grad:
        leaf._grad = held + wrap(g)
    else:
        np.add(held.array, g, out=held.array)
        held.bump()


def check_finite(node: Node, grads: tuple) -> None:
    """`detect_anomaly`: say which recorded line made a NaN."""
    for g in grads:
        if g is not None and np.isnan(g.array if isinstance(g, Tensor) else g).any():
            text = message(f"{node.name()} returned NaN in its gradient", where=f"recorded at {node.location}")
            raise RuntimeError(text)


# ---- what users call ----------------------------------------------------------------------------------------------


def _seeds(what: str, outputs: Sequence[Tensor], grads: Sequence[Tensor | None], graph: bool) -> list[tuple[Any, Any]]:
    """Each output's edge with the gradient it starts from."""
    found = []
    for t, g in zip(outputs, grads):
        target = edge(t)
        if target is None:
            text = message(
                f"{what}: the tensor does not require grad and has no graph",
                got=f"shape {tuple(t.array.shape)}",
                fix="give a parameter requires_grad=True and compute outside torch.no_grad()",
            )
            raise RuntimeError(text)
        if g is None:
            if t.array.size != 1:
                text = message(
                    f"{what}: a gradient can be created for scalar outputs only",
                    got=f"shape {tuple(t.array.shape)}",
                    fix="reduce it first, e.g. .sum() or .mean(), or pass the gradient",
                )
                raise RuntimeError(text)
            g = wrap(np.ones(t.array.shape, t.array.dtype))
        elif g.array.shape != t.array.shape:
            text = message(
                f"{what}: the gradient has another shape than the output", got=tuple(g.shape), expected=tuple(t.shape)
            )
            raise RuntimeError(text)
        start = g.array if g.array.dtype == t.array.dtype else g.array.astype(t.array.dtype)
        found.append((target, g if graph and start is g.array else wrap(start) if graph else start))
    return found


def _as_tuple(x: Any) -> tuple:
    return (x,) if x is None or isinstance(x, Tensor) else tuple(x)


def _run(passing: _Pass, seeds: list, graph: bool) -> None:
    token = modes.slot.set(None if graph else modes.NO_GRAD)
    try:
        for target, g in seeds:
            passing.send(target, g)
        passing.run()
    finally:
        modes.slot.reset(token)


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Add the gradients of `tensors` to the `.grad` of the leaves they were computed from.

    Args:
        tensors: outputs; each must require grad.
        grad_tensors: for each output the gradient it starts from; may be left out for scalars.
        retain_graph: keep saved values for another pass (default: the value of `create_graph`).
        create_graph: record the pass itself, for derivatives of higher order.
        inputs: accumulate into these tensors only.

    Raises:
        RuntimeError: an output has no graph, is not a scalar, or its graph was freed.

    >>> import tapegrad as torch
    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> torch.autograd.backward([x * x])
    >>> x.grad
    tensor(6.)
    """
    outputs = _as_tuple(tensors)
    given = _as_tuple(grad_tensors) if grad_tensors is not None else (None,) * len(outputs)
    if len(given) != len(outputs):
        raise RuntimeError(message("backward: one gradient for each output", got=len(given), expected=len(outputs)))
    if inputs is not None:
        targets = _as_tuple(inputs)
        if not targets:
            raise RuntimeError(message("backward: inputs cannot be empty"))
        keep = create_graph if retain_graph is None else retain_graph
        found = grad(outputs, targets, given, keep, create_graph, allow_unused=True)
        for t, g in zip(targets, found):
            if g is not None:
                accumulate(t, g if create_graph else g.array, create_graph)
        return
    keep = create_graph if retain_graph is None else retain_graph
    passing = _Pass(keep, create_graph)
    _run(passing, _seeds("backward", outputs, given, create_graph), create_graph)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of `outputs` with respect to `inputs`, as a tuple; no `.grad` is touched.

    Args:
        outputs, grad_outputs: as in `backward`.
        inputs: leaves or intermediate results.
        retain_graph, create_graph: as in `backward`.
        allow_unused: give None for an input that was not used (default: the value of `materialize_grads`).
        is_grads_batched: `grad_outputs` have a leading dimension; the pass is run for each entry and stacked.
        materialize_grads: give zeros for an input that was not used.

    Raises:
        RuntimeError: an input was not used (unless allowed) or does not require grad.

    >>> import tapegrad as torch
    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> torch.autograd.grad(x**2, x)
    (tensor(6.),)
    """
    outs, ins = _as_tuple(outputs), _as_tuple(inputs)
    given = _as_tuple(grad_outputs) if grad_outputs is not None else (None,) * len(outs)
    keep = create_graph if retain_graph is None else retain_graph
    if is_grads_batched:
        return _batched(outs, ins, given, keep, create_graph, allow_unused, materialize_grads)
    edges = [edge(t) for t in ins]
    if any(e is None for e in edges):
        raise RuntimeError(
            message("grad: one of the inputs does not require grad", fix="set requires_grad=True before computing")
        )
    passing = _Pass(keep, create_graph)
    keys = [
        id(e) if isinstance(e, Tensor) else (e[0].number, e[1]) if e.__class__ is tuple else (e.number, 0)
        for e in edges
    ]
    passing.wanted = dict.fromkeys(keys)
    seeds = _seeds("grad", outs, given, create_graph)
    passing.only = _on_the_way([s for s, _ in seeds], passing.wanted)
    _run(passing, seeds, create_graph)
    results: list[Tensor | None] = []
    for t, key in zip(ins, keys):
        g = passing.found.get(key)
        if g is None and materialize_grads:
            g = np.zeros(t.array.shape, t.array.dtype)
        if g is None and not allow_unused:
            text = message(
                "grad: an input was not used in the computation of the outputs",
                got=f"shape {tuple(t.array.shape)}",
                fix="pass allow_unused=True to get None for it",
            )
            raise RuntimeError(text)
        results.append(g if g is None or isinstance(g, Tensor) else wrap(g))
    return tuple(results)


def _on_the_way(starts: list, wanted: dict) -> set[int]:
    """Numbers of the nodes from which a wanted input can be reached."""
    useful: set[int] = set()
    seen: set[int] = set()
    nodes: list[Node] = []
    stack = [s[0] if s.__class__ is tuple else s for s in starts if not isinstance(s, Tensor)]
    while stack:
        node = stack.pop()
        if node.number in seen:
            continue
        seen.add(node.number)
        nodes.append(node)
        for e in node.inputs:
            if e.__class__ is Node:
                stack.append(e)
            elif e.__class__ is tuple:
                stack.append(e[0])
    for node in sorted(nodes, key=lambda n: n.number):  # inputs before readers
        for e in node.inputs:
            if e is None:
                continue
            if e.__class__ is Node:
                hit = e.number in useful or (e.number, 0) in wanted
            elif e.__class__ is tuple:
                hit = e[0].number in useful or (e[0].number, e[1]) in wanted
            else:
                hit = id(e) in wanted
            if hit:
                useful.add(node.number)
                break
    return useful


def _batched(outs, ins, given, keep, create_graph, allow_unused, materialize) -> tuple[Tensor | None, ...]:
    n = len(next(g for g in given if g is not None))
    rows = []
    for i in range(n):
        row = tuple(None if g is None else g[i] for g in given)
        last = i == n - 1
        rows.append(grad(outs, ins, row, keep or not last, create_graph, allow_unused, False, materialize))
    stack = registry["stack"].function
    return tuple(None if column[0] is None else stack(list(column)) for column in zip(*rows))


def _tensor_backward(self, gradient=None, retain_graph=None, create_graph=False, inputs=None):
    """Add the gradients of this tensor to the `.grad` of the leaves it was computed from.

    See `tapegrad.autograd.backward`; `gradient` may be left out for a scalar.
    """
    if gradient is not None and not isinstance(gradient, Tensor):
        raise TypeError(message("backward: the gradient must be a tensor or None", got=type(gradient).__name__))
    backward((self,), (gradient,), retain_graph, create_graph, inputs=inputs)


_tensor_backward.__name__ = "backward"
Tensor.backward = _tensor_backward  # type: ignore[attr-defined]
