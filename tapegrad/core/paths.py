"""The straight paths: the public functions of operations, closures made once and specialised on the operands.

Each does one thing as fast as Python can: take the arrays, run the kernel, make a `Tensor`, and, if a gradient is
wanted, a `Node`. Whatever is not plain (numbers of another kind, unequal dtypes, `out=`, keyword arguments, expressions, raw
arrays) is left to the general path in `dispatch`. The closures write out what a helper could do for all of them: a call
costs as much as a small kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..dtypes import float32, float64
from ..modes import NO_GRAD, mode
from . import dispatch
from .tape import record
from .tensor import Tensor, _new, edge, wrap
from .views import attach

Array = np.ndarray
F32, F64 = float32.numpy, float64.numpy


def unary(op: Any) -> Callable:
    fast, formulas = op.fast, op.formulas

    def function(input, *args, **kwargs):
        try:
            array = input.array
        except AttributeError:
            return dispatch.call(op, (input, *args), kwargs)
        d = array.dtype
        if args or kwargs or (d is not F32 and d is not F64):
            return dispatch.call(op, (input, *args), kwargs)
        found = fast(array)
        t = _new(Tensor)
        t.array = found if found.__class__ is Array else np.array(found)
        t.node = t._grad = t._ver = t._view = t._hooks = None
        t._requires_grad = False
        now = mode()
        if now is None:
            if formulas and (input.node is not None or input._requires_grad or input._view is not None):
                dispatch.record_one(op, input, None, t, t.array)
        elif now is not NO_GRAD:
            dispatch.note(now, op, (input,), (), {}, t)
        return t

    return function


def binary(op: Any, otherwise: Callable = dispatch.call) -> Callable:
    fast, formulas, plans = op.fast, op.formulas, op.binary_plans
    numbers = dispatch.number if op.numbers != "none" else dispatch.keep

    def function(input, other, *args, **kwargs):
        kind = other.__class__
        if kind is float or kind is int:
            other = numbers(other, input)
        try:
            x, y = input.array, other.array
        except AttributeError:
            return otherwise(op, (input, other, *args), kwargs)
        d = x.dtype
        if args or kwargs or d is not y.dtype or (d is not F32 and d is not F64):
            return otherwise(op, (input, other, *args), kwargs)
        try:
            found = fast(x, y)
        except (ValueError, IndexError, TypeError) as error:
            raise dispatch.explain(op, [input, other], error) from None
        t = _new(Tensor)
        t.array = array = found if found.__class__ is Array else np.array(found)
        t.node = t._grad = t._ver = t._view = t._hooks = None
        t._requires_grad = False
        now = mode()
        if now is None:
            if input._view is not None:
                input._view.refresh(input)
            if other._view is not None:
                other._view.refresh(other)
            ex, ey = input.node, other.node
            if ex is None and input._requires_grad:
                ex = input
            if ey is None and other._requires_grad:
                ey = other
            if formulas and (ex is not None or ey is not None):
                keep_x, keep_y, keep_out = plans[(ex is not None) + 2 * (ey is not None)]
                saved = (input if keep_x else None, other if keep_y else None)
                t.node = node = record(op, (ex, ey), saved, None, None, array)
                vx, vy = input._ver, other._ver
                if vx is not None or vy is not None:
                    node.versions = (0 if vx is None else vx[0], 0 if vy is None else vy[0])
                if keep_out:
                    t._ver = [0]
                    node.outputs = ((array,), (t._ver,), (0,))
                if op.wants_shapes:
                    node.shapes = (x.shape, y.shape)
        elif now is not NO_GRAD:
            dispatch.note(now, op, (input, other), (), {}, t)
        return t

    return function


def one_array(op: Any) -> Callable:
    """One operand, first; one result; any arguments."""
    body, formulas, view = op.body, op.formulas, op.view

    def function(input, *args, **kwargs):
        if input.__class__ is Array:
            return body(input, *args, **kwargs)
        if "out" in kwargs:
            return dispatch.call(op, (input, *args), kwargs)
        try:
            found = body(input.array, *args, **kwargs)
        except (AttributeError, TypeError, ValueError, IndexError) as error:
            return dispatch.retry(op, (input, *args), kwargs, error)
        t = _new(Tensor)
        t.array = found if found.__class__ is Array else np.array(found)
        t.node = t._grad = t._ver = t._view = t._hooks = None
        t._requires_grad = False
        now = mode()
        if now is None:
            if formulas and (input.node is not None or input._requires_grad or input._view is not None):
                dispatch.record_one(op, input, (args, kwargs), t, t.array)
        elif now is not NO_GRAD:
            dispatch.note(now, op, (input,), args, kwargs, t)
        if view:
            attach(input, t, op, args, kwargs)
        return t

    return function


def general(op: Any) -> Callable:
    def function(*args, **kwargs):
        return dispatch.call(op, args, kwargs)

    return function


def fits_several(op: Any) -> bool:
    """Whether the operands come first, those that may be absent last, and there is one result."""
    kinds = [k for _, k in op.tensors]
    leading = [i for i, _ in op.tensors] == list(range(len(kinds)))
    ordered = kinds == sorted(kinds) and not op.variadic
    special = op.elementwise or op.returns or op.nout != 1 or op.hidden or op.view
    return leading and ordered and len(kinds) > 1 and not special


def several_arrays(op: Any) -> Callable:
    """The public function: operands by position, or the general path."""
    formulas, most = op.formulas, len(op.tensors)  # not the body, which `ops/direct` replaces afterwards
    least = sum(k == "Array" for _, k in op.tensors)

    def function(*args, **kwargs):
        n = len(args)
        if n < most:
            if n < least or kwargs:
                return dispatch.call(op, args, kwargs)
            args += (None,) * (most - n)
        elif "out" in kwargs:
            return dispatch.call(op, args, kwargs)
        tensors = args[:most]
        try:
            arrays = [None if x is None else x.array for x in tensors]
        except AttributeError:
            return dispatch.call(op, args, kwargs)
        try:
            found = op.body(*arrays, *args[most:], **kwargs)
        except (AttributeError, TypeError, ValueError, IndexError) as error:
            return dispatch.retry(op, args, kwargs, error)
        t = wrap(found if found.__class__ is np.ndarray else np.array(found))
        now = mode()
        if now is None:
            if formulas and t.array.dtype.kind not in "biu":
                edges = tuple([None if x is None else edge(x) for x in tensors])
                if any([e is not None for e in edges]):  # noqa: C419 (a list is quicker)
                    t.node = dispatch.make_node(op, edges, tensors, (args[most:], kwargs), [t.array], t)
        elif now is not NO_GRAD:
            dispatch.note(now, op, tensors, args[most:], kwargs, t)
        return t

    return function
