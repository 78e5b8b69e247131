"""The linear maps that derivatives of reductions, scans and sorts are made of; each is the adjoint of another one.

`spread` and `sum` (declared there), `pick` and `place`, `shift` and `shift` back, `recurrence` and itself run the other
way. Since each knows its own derivative, a derivative written with them has derivatives of every order.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from ... import shapes
from ...backends.cpu import reduce as kernels
from ...backends.cpu import sort as scans
from ...core.dispatch import NUMPY_NAMES
from ...core.op import Array, op
from ..linalg.matmul import conjugate


def over(where: str, dim, x: Array) -> tuple[int, ...] | None:
    """The axes that `dim` names; None for all of them."""
    if dim is None:
        return None
    found = shapes.axes(where, dim, x.ndim)
    return found if x.ndim else None


def one(where: str, dim: int, x: Array) -> int:
    """The axis that `dim` names (0 for a tensor without dimensions)."""
    return shapes.axis(where, dim, x.ndim)


def numpy_names(function: Callable) -> Callable:
    """Let a composed function take NumPy's keywords `axis` and `keepdims` too, as declared operations do."""

    @functools.wraps(function)
    def renamed(*args, **kwargs):
        for theirs, ours in NUMPY_NAMES.items():
            if theirs in kwargs:
                kwargs[ours] = kwargs.pop(theirs)
        return function(*args, **kwargs)

    return renamed


def reduced_shape(x, dim=None, keepdim=False, **_):
    """The shape rule of a reduction."""
    axis = shapes.axes("reduction", dim, len(x))
    return shapes.reduced(x, axis if len(x) else None, keepdim)


@op(node="ExpandBackward0")
def spread(x: Array, shape, dim=None, keepdim=False):
    """Give a value reduced over `dim` to all the elements of `shape` that it came from."""
    axis = None if dim is None or not shape else shapes.axes("spread", dim, len(shape))
    return kernels.spread(x, shape, axis, keepdim)


@spread.shape
def _(x, shape, dim=None, keepdim=False):
    return tuple(shape)


@op(node="GatherBackward0")
def pick(x: Array, index: Array, dim, keepdim=False):
    """The elements at positions `index` along `dim`, which `index` lacks unless `keepdim`."""
    return kernels.pick(x, index, one("pick", dim, x), keepdim)


@pick.shape
def _(x, index, dim, keepdim=False):
    return index


@pick.grad
def _(g, index, x_shape, dim, keepdim):
    return place(g, index, x_shape, dim, keepdim, True)


@op(node="ScatterAddBackward0")
def place(x: Array, index: Array, shape, dim, keepdim=False, add=False):
    """Zeros of `shape` with `x` at positions `index` along `dim`; with `add`, positions may repeat."""
    axis = shapes.axis("place", dim, len(shape))
    return kernels.place(x, index, tuple(shape), axis, keepdim, add)


@place.shape
def _(x, index, shape, dim, keepdim=False, add=False):
    return tuple(shape)


@place.grad
def _(g, index, dim, keepdim):
    return pick(g, index, dim, keepdim)


@op(node="ConstantPadNdBackward0")
def shift(x: Array, dim, by, fill=0):
    """Move `by` places along `dim`; what comes in is `fill`."""
    return (
        scans.shift(x, one("shift", dim, x), by, fill) if x.ndim else kernels.spread(x.dtype.type(fill), (), None, True)
    )


@shift.shape
def _(x, dim, by, fill=0):
    return x


@shift.grad
def _(g, dim, by):
    return shift(g, dim, -by)


@op
def recurrence(a: Array, b: Array, dim, reverse=False):
    """`s[i] = b[i] + a[i] * s[i - 1]` along `dim`, from the other end if `reverse`."""
    return scans.recurrence(a, b, one("recurrence", dim, a), reverse) if a.ndim else b


@recurrence.shape
def _(a, b, dim, reverse=False):
    return b


@recurrence.grad("a", "b")
def _(g, a, out, dim, reverse):
    by = -1 if reverse else 1
    back = recurrence(shift(conjugate(a), dim, -by), g, dim, not reverse)
    return back * conjugate(shift(out, dim, by)), back
