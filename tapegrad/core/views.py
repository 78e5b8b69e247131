"""Views and in-place operations: who shares memory with whom, and what that means for derivatives.

Note [Versions]. Tensors that share memory share one counter, `_ver`: a list of one integer, made when the first view
is taken or the first in-place change happens (None counts as 0). A node remembers the count of what it saved; if
the count moved on, `backward` refuses, since the derivative would be computed from the wrong numbers.

Note [Views]. A view remembers its base and the path of operations that leads from the base to it. When the memory
was changed in place, through whichever of them, the history of all others is out of date: the counter tells, and
`refresh` walks the path again from the base, whose history is always the current one. An in-place operation on a
view is recorded on the base as `CopySlices`: outside the window that the view shows, the gradient passes unchanged;
inside, it goes through the operation.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import modes
from ..devices import contiguous_format
from ..errors import message
from .tape import Node, record
from .tensor import Tensor, edge

Step = tuple[Any, tuple, dict]  # an operation with its arguments after the first


class View:
    """What a view is a view of, and how it is taken."""

    __slots__ = ("base", "made", "path", "source", "version")

    def __init__(self, base: Tensor, source: np.ndarray, path: tuple[Step, ...], made: str, version: int):
        self.base = base
        self.source = source  # the array of the base that the path starts from
        self.path = path
        self.made = made  # "grad", "no_grad" (recording was off) or "multi" (one of several outputs)
        self.version = version

    def refresh(self, t: Tensor) -> None:
        """Bring the history of `t` up to date with its base: Note [Views]."""
        now = t._ver[0]  # type: ignore[index]
        if now == self.version:
            return
        self.version = now
        if self.made == "no_grad" or edge(self.base) is None:
            return
        self.check_source()
        token = modes.slot.set(None)
        try:
            t.node = follow_tensor(self.path, self.base).node
        finally:
            modes.slot.reset(token)

    def check_source(self) -> None:
        """Refuse to walk from a base that took on another shape, or other memory, since the view was taken."""
        if self.base.array is not self.source:
            text = message(
                "the tensor that this is a view of has changed its shape, or its memory, in place",
                got=f"shape {tuple(self.base.array.shape)}",
                expected=f"{tuple(self.source.shape)}, as when the view was taken",
                fix="take the view afterwards",
            )
            raise RuntimeError(text)


def attach(source: Tensor, out: Tensor, op: Any, args: tuple, kwargs: dict, made: str | None = None) -> None:
    """Note that `out` is a view of `source`, taken by `op(source, *args, **kwargs)`."""
    if source._ver is None:
        source._ver = [0]
    out._ver = source._ver
    parent = source._view
    recording = modes.mode() is None
    made = made or ("grad" if recording else "no_grad")
    step = (op, args, kwargs)
    if parent is None:
        out._view = View(source, source.array, (step,), made, source._ver[0])
    else:
        kept = parent.made if made == "grad" else made
        out._view = View(parent.base, parent.source, (*parent.path, step), kept, source._ver[0])
    if not recording and edge(source) is not None:
        out._requires_grad = True  # a leaf of its own, as in PyTorch


def follow_array(path: tuple[Step, ...], array: np.ndarray) -> np.ndarray:
    """Take the view again, on an array."""
    for op, args, kwargs in path:
        array = op.on_array(array, *args, **kwargs)
    return array


def follow_tensor(path: tuple[Step, ...], t: Tensor) -> Tensor:
    """Take the view again, recorded."""
    for op, args, kwargs in path:
        t = op.function(t, *args, **kwargs)
    return t


# ---- in-place operations ------------------------------------------------------------------------------------------


def check_inplace(name: str, t: Tensor, recorded: bool = False) -> None:
    """Refuse in-place changes whose derivative could not be recorded (recording is on).

    `recorded` says that the change will be recorded whether `t` requires grad or not, for the sake of what is written.
    """
    view = t._view
    root = t if view is None else view.base
    own = t._requires_grad and t.node is None
    if own or (root._requires_grad and root.node is None and (view is None or view.made == "grad")):
        what = "a leaf that requires grad" if own else "a view of a leaf that requires grad"
        text = message(
            f"{name}: {what} cannot be changed in place",
            got=f"shape {tuple(t.array.shape)}",
            fix="do it inside torch.no_grad(), or on a .clone()",
        )
        raise RuntimeError(text)
    if view is not None and view.made != "grad" and (recorded or edge(root) is not None or t.node is not None):
        made = "one of several outputs of one operation" if view.made == "multi" else "taken while recording was off"
        text = message(f"{name}: this view cannot be changed in place: it was {made}", fix="change a .clone() of it")
        raise RuntimeError(text)
    if view is not None and (recorded or edge(root) is not None):
        view.check_source()


def refuse_repeated(name: str, array: np.ndarray) -> None:
    """Refuse to write into an array whose elements share memory with each other, as `expand` makes them."""
    if array.size and any(step == 0 and n > 1 for step, n in zip(array.strides, array.shape)):
        text = message(
            f"{name}: several elements of the tensor share one place in memory",
            got=f"shape {tuple(array.shape)}, strides {tuple(s // array.itemsize for s in array.strides)}",
            fix="change a .clone() of it",
        )
        raise RuntimeError(text)


def overlapping(array: np.ndarray) -> bool:
    """Whether elements may share memory with each other, as `as_strided` and `unfold` make them."""
    reach = 0
    for step, n in sorted(zip(array.strides, array.shape)):
        if n > 1:
            if step <= reach:
                return True
            reach += step * (n - 1)
    return False


def overlapping_copy(array: np.ndarray) -> np.ndarray:
    """A copy of an array, with elements that share memory as they did."""
    extent = 1 + sum(step // array.itemsize * (n - 1) for step, n in zip(array.strides, array.shape))
    memory = np.lib.stride_tricks.as_strided(array, (extent,), (array.itemsize,)).copy()
    return np.lib.stride_tricks.as_strided(memory, array.shape, array.strides)


def rebase(t: Tensor, node: Node) -> None:
    """Give `t`, just changed in place by the operation of `node`, its new history: Note [Views]."""
    view = t._view
    if view is None:
        t.node = node
        return
    base = view.base
    source = edge(base)
    node.inputs = (source, *node.inputs[1:])
    outer = record(COPY_SLICES, node.inputs, (node,), (view.path, _layout(base.array)), None, base.array)
    outer.code, outer.lasti = node.code, node.lasti
    base.node = outer


def _layout(array: np.ndarray) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """The dimensions as they lie in memory, outermost first, and the way back; None for row-major order.

    A view that the base allows (`base.t().view(-1)`) is possible on a gradient only if that lies in memory alike.
    """
    if array.flags.c_contiguous:
        return None
    order = tuple(sorted(range(array.ndim), key=lambda i: -array.strides[i]))
    return order, tuple(sorted(range(array.ndim), key=order.__getitem__))


class _CopySlices:
    """The derivative of an in-place operation through a window: Note [Views]."""

    fresh = True
    formula = "base[window] = f(base[window], ...)"

    @staticmethod
    def node_name(node: Node) -> str:
        """The name that `grad_fn` shows."""
        return "CopySlices"

    @staticmethod
    def backward(node: Node, g: np.ndarray) -> tuple:
        """Gradients of the base and of the other operands, as arrays."""
        if node.saved is None:
            raise freed(node)
        inner, (path, layout) = node.saved[0], node.attrs
        if layout is None:
            result = np.array(g, order="C")
        else:
            order, back = layout
            result = np.array(g.transpose(order), order="C").transpose(back)
        window = follow_array(path, result)
        grads = inner.op.backward(inner, window.copy())
        window[...] = 0 if grads[0] is None else grads[0]
        return (result, *grads[1:])

    @staticmethod
    def backward_graph(node: Node, g: Tensor) -> tuple:
        """The same, recorded."""
        if node.saved is None:
            raise freed(node)
        inner, (path, layout) = node.saved[0], node.attrs
        if layout is None:
            result = g.clone(memory_format=contiguous_format)
        else:
            order, back = layout
            result = g.permute(order).clone(memory_format=contiguous_format).permute(back)
        window = follow_tensor(path, result)
        grads = inner.op.backward_graph(inner, window.clone())
        if grads[0] is None:
            window.zero_()
        else:
            window.copy_(grads[0])
        return (result, *grads[1:])


COPY_SLICES = _CopySlices()


class _Constant:
    """An in-place operation without a derivative: what it wrote does not depend on what was there."""

    fresh = True
    formula = "constant"

    @staticmethod
    def node_name(node: Node) -> str:
        """The name that `grad_fn` shows."""
        return "NotImplemented"

    @staticmethod
    def backward(node: Node, g: Any) -> tuple:
        """No gradient for the overwritten values."""
        return (None,)

    backward_graph = backward


CONSTANT = _Constant()


# ---- what saved values have to say --------------------------------------------------------------------------------


def freed(node: Node) -> RuntimeError:
    """The error for a second pass over a graph whose saved values were released by the first."""
    return RuntimeError(
        message(
            "backward: the graph was already used, and its saved values are freed",
            where=f"{node.name()}, recorded at {node.location}",
            fix="call the first backward with retain_graph=True, or compute the loss again",
        )
    )


def stale(node: Node, what: str, shape: tuple[int, ...], saved: int, now: int) -> RuntimeError:
    """The error for a saved value that was changed in place after it was saved: Note [Versions]."""
    return RuntimeError(
        message(
            "backward: a tensor needed for the gradient was modified by an in-place operation",
            where=f"{node.name()}, recorded at {node.location}",
            got=f"{what} of shape {tuple(shape)} is at version {now}",
            expected=f"version {saved}",
            fix="use the out-of-place form of the later operation, or change a .clone()",
        )
    )
