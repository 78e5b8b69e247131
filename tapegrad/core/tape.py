"""The tape: one `Node` for each recorded operation.

A node knows the operation, where its gradients go (`inputs`), what the derivative needs (`saved`) and the user's
source line. It never refers to the tensor it produced, so a graph is a tree of plain references that is freed the
moment the last result is dropped: no garbage collector is needed.

Note [Edges]. An edge says where a gradient goes. It is
* None: nowhere (the input does not require grad);
* a Node: to the operation that made the input (its only differentiable output);
* a pair (Node, k): to output k of an operation with several;
* a Tensor: to the `.grad` of a leaf.
`Tensor.node` holds the first three forms; `edge()` gives the fourth for leaves.

Note [Order]. Nodes are numbered as they are made, so an input's number is always lower than its reader's. Running
the highest number first is therefore a valid order for the backward pass, and it is the reverse of the order in
which the user computed.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections import OrderedDict
from collections.abc import Callable
from types import CodeType
from typing import Any

import numpy as np

from .. import shapes
from .hooks import RemovableHandle

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
next_number = itertools.count(1).__next__
_getframe = sys._getframe


class _Ours(dict):
    """Whether a source file belongs to this package, remembered: asked for every recorded operation."""

    def __missing__(self, filename: str) -> bool:
        found = self[filename] = filename.startswith(_PACKAGE)
        return found


ours = _Ours()


class Hooks:
    """What a user attached to a node."""

    __slots__ = ("post", "pre", "retain")

    def __init__(self):
        self.pre: OrderedDict[int, tuple[Callable, int | None]] = (
            OrderedDict()
        )  # on the incoming gradients, before the node runs
        self.post: OrderedDict[int, Callable] = OrderedDict()  # on the gradients of the inputs, after it ran
        self.retain: dict[int, Any] = {}  # output number -> weak reference to the tensor that keeps its grad


class Node:
    """A recorded operation (what `tensor.grad_fn` shows)."""

    __slots__ = (
        "__weakref__",
        "attrs",  # (args, kwargs) of the call that are not tensors
        "code",  # the user's code object and the position in it
        "dtype",  # of the result (a tuple of them where several outputs are differentiable)
        "hooks",
        "inputs",  # edges, see Note [Edges]
        "lasti",
        "number",  # see Note [Order]
        "op",
        "outputs",  # saved results: arrays that the formulas name
        "saved",  # saved inputs: tensors, None where not needed; () if none is, None once freed
        "shape",  # of the result (a tuple of them where several outputs are differentiable)
        "shapes",  # of the inputs, if a formula names them
        "versions",  # of the saved tensors and outputs when they were saved
    )

    def name(self) -> str:
        """The name PyTorch gives such a node, e.g. ``AddBackward0``."""
        return self.op.node_name(self)

    def __repr__(self) -> str:
        return f"<{self.name()} object at {hex(id(self))}>"

    @property
    def location(self) -> str:
        """The user's line that made this node: ``file.py:12 in train``."""
        if self.code is None:
            return "unknown"
        for start, end, line in self.code.co_lines():
            if start <= self.lasti < end:
                return f"{self.code.co_filename}:{line} in {self.code.co_name}"
        return f"{self.code.co_filename} in {self.code.co_name}"

    @property
    def formula(self) -> str:
        """What the operation computes and its derivatives, as text."""
        return self.op.formula

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """The nodes that receive this node's gradients, each with the number of the output it is for."""
        found: list[tuple[Any, int]] = []
        for edge in self.inputs:
            if edge is None:
                found.append((None, 0))
            elif edge.__class__ is tuple:
                found.append(edge)
            elif edge.__class__ is Node:
                found.append((edge, 0))
            else:
                found.append((AccumulateGrad(edge), 0))
        return tuple(found)

    def register_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(grad_inputs, grad_outputs)` after this node ran; a returned tuple replaces the former."""
        handle = RemovableHandle(self._attach().post)
        self.hooks.post[handle.id] = hook
        return handle

    def register_prehook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(grad_outputs)` before this node runs; a returned tuple replaces them."""
        handle = RemovableHandle(self._attach().pre)
        self.hooks.pre[handle.id] = (hook, None)
        return handle

    def _attach(self) -> Hooks:
        if self.hooks is None:
            self.hooks = Hooks()
        return self.hooks


class AccumulateGrad:
    """The end of the graph at a leaf, as `next_functions` shows it."""

    __slots__ = ("variable",)

    def __init__(self, variable: Any):
        self.variable = variable

    def name(self) -> str:
        """Always ``AccumulateGrad``: PyTorch's name for the end of a graph."""
        return "AccumulateGrad"

    @property
    def next_functions(self) -> tuple:
        """Nothing comes after a leaf."""
        return ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AccumulateGrad) and other.variable is self.variable

    def __hash__(self) -> int:
        return hash((AccumulateGrad, id(self.variable)))

    def __repr__(self) -> str:
        return f"<AccumulateGrad object at {hex(id(self.variable))}>"


def user_frame(depth: int) -> tuple[CodeType | None, int]:
    """The code and position of the innermost frame outside this package."""
    frame = _getframe(depth)
    code = frame.f_code
    while ours[code.co_filename]:
        outer = frame.f_back
        if outer is None:
            return None, 0
        frame = outer
        code = frame.f_code
    return code, frame.f_lasti


def record(op: Any, inputs: tuple, saved: tuple, attrs: Any, shapes: Any, array: Any, depth: int = 2) -> Node:
    """Make the node of an operation with the differentiable result `array`; the user is `depth` frames up."""
    node = Node()
    node.op = op
    node.inputs = inputs
    node.saved = saved
    node.attrs = attrs
    node.shapes = shapes
    node.shape = array.shape
    node.dtype = array.dtype
    node.outputs = node.versions = node.hooks = None
    node.number = next_number()
    frame = _getframe(depth)
    code = frame.f_code
    if ours[code.co_filename]:
        node.code, node.lasti = user_frame(depth + 1)
    else:
        node.code = code
        node.lasti = frame.f_lasti
    return node


def target(edge: Any) -> tuple[tuple[int, ...], np.dtype]:
    """The shape and the dtype of the tensor that an edge stands for: Note [Edges]."""
    if edge.__class__ is Node:
        return edge.shape, edge.dtype
    if edge.__class__ is tuple:
        return edge[0].shape[edge[1]], edge[0].dtype[edge[1]]
    return edge.array.shape, edge.array.dtype


def sum_to(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Undo broadcasting: add up the elements of a gradient that came from one element of the input."""
    lead, stretched = shapes.stretched(shape, array.shape)
    if lead and shape and not stretched:  # without dimensions left NumPy would give a number
        array = np.add.reduce(array, axis=lead)
    elif lead or stretched:
        array = np.add.reduce(array, axis=(*lead, *stretched), keepdims=True)
    return array if array.shape == shape else array.reshape(shape)
