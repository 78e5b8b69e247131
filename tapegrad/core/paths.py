"""The straight paths: the public functions of operations, closures made once and specialised on the operands.

Each does one thing as fast as Python can: take the arrays, run the kernel, make a `Tensor`, and, if a gradient is
wanted, a `Node`. Whatever is not plain (numbers of another kind, unequal dtypes, `out=`, keyword arguments,
expressions, raw arrays) is left to the general path in `dispatch`. The closures write out what a helper could do for
all of them: a call costs as much as a small kernel.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from ..dtypes import bool_, float32, float64
from ..modes import NO_GRAD, mode
from . import dispatch
from .tape import Node, next_number, ours, record, user_frame
from .tensor import Tensor, _new, edge, wrap
from .views import attach

Array = np.ndarray
F32, F64, BOOL = float32.numpy, float64.numpy, bool_.numpy
_getframe = sys._getframe


def record_one(op: Any, plans: list, x: Tensor, attrs: Any, t: Tensor) -> None:
    """Record an operation with one operand, called by a straight path that a user called."""
    if x._view is not None:
        x._view.refresh(x)
    source = x.node
    if source is None and x._requires_grad:
        source = x
    array = t.array
    if source is None or array.dtype.kind in "biu":
        return
    keep, keep_out = plans[1] or op.fill_plan(1)
    t.node = node = record(op, (source,), (x,) if keep else (), attrs, None, array, 3)
    if keep and x._ver is not None:
        node.versions = (x._ver[0],)
    if keep_out:
        t._ver = [0]
        node.outputs = ((array,), (t._ver,), (0,))
    if op.wants_shapes:
        node.shapes = (x.array.shape,)


def unary(op: Any) -> Callable:
    formulas, plan, floats, otherwise = op.formulas, op.plans, "f" not in op.refuses, several(op)

    def fast(array):  # the first call puts the kernel in this function's place
        nonlocal fast
        fast = op.fast
        return fast(array)

    def function(input, *args, **kwargs):
        try:
            array = input.array
        except AttributeError:
            return dispatch.call(op, (input, *args), kwargs)
        if args or kwargs:
            return otherwise(input, *args, **kwargs)
        d = array.dtype
        if not floats or (d is not F32 and d is not F64):
            return otherwise(input)
        found = fast(array)
        t = _new(Tensor)
        t.array = found if found.__class__ is Array else np.array(found)
        t.node = t._grad = t._ver = t._view = t._hooks = None
        t._requires_grad = False
        now = mode()
        if now is None:
            if formulas and (input.node is not None or input._requires_grad or input._view is not None):
                record_one(op, plan, input, None, t)
        elif now is not NO_GRAD:
            dispatch.note(now, op, (input,), (), {}, t)
        return t

    return function


def binary(op: Any) -> Callable:
    """Two operands; with other arguments a longer path."""
    straight = operator(op, dispatch.call)
    otherwise = several(op) if op.elementwise else None

    def function(input, other, *args, **kwargs):
        if not args and not kwargs:
            return straight(input, other)
        if otherwise is not None:
            return otherwise(input, other, *args, **kwargs)
        return dispatch.call(op, (input, other, *args), kwargs)

    return function


def operator(op: Any, otherwise: Callable = dispatch.call_operator) -> Callable:
    """Two operands and nothing else: what Python's operators call, the most frequent path of all.

    `otherwise` is the general path; by default one that leaves operands of foreign types to their own class.
    """
    formulas, plans, floats = op.formulas, op.plans, "f" not in op.refuses
    numbers = dispatch.number if op.numbers != "none" else dispatch.keep

    def fast(x, y):  # as in `unary`
        nonlocal fast
        fast = op.fast
        return fast(x, y)

    def function(input, other):
        kind = other.__class__
        if kind is float or kind is int:
            other = numbers(other, input)
        try:
            x, y = input.array, other.array
        except AttributeError:
            return otherwise(op, (input, other), {})
        d = x.dtype
        if d is not y.dtype:
            return otherwise(op, (input, other), {})
        if not floats or (d is not F32 and d is not F64):
            if d not in op.plain:
                return otherwise(op, (input, other), {})
            if op.check is not None:
                op.check(x, y, *op.attr_defaults)
        try:
            found = fast(x, y)
        except (ValueError, IndexError, TypeError) as error:
            raise dispatch.explain(op, [input, other], error) from None
        if found.dtype is not d and op.elementwise and not op.gives_bool:  # of whole numbers
            found = dispatch.convert(np.asarray(found), d)
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
                which = (ex is not None) + 2 * (ey is not None)
                keep_x, keep_y, keep_out = plans[which] or op.fill_plan(which)
                saved = (input if keep_x else None, other if keep_y else None) if keep_x or keep_y else ()
                t.node = node = Node()  # `tape.record`, written out: 0.1 us of 2
                node.op, node.inputs, node.saved = op, (ex, ey), saved
                node.attrs = node.shapes = node.outputs = node.versions = node.hooks = None
                node.shape, node.dtype, node.number = array.shape, array.dtype, next_number()
                frame = _getframe(1)
                node.code = code = frame.f_code
                node.lasti = frame.f_lasti
                if ours[code.co_filename]:
                    node.code, node.lasti = user_frame(2)
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


def several(op: Any) -> Callable:
    """An elementwise operation of any operands and arguments, where the operands are tensors of one dtype or numbers:
    half of the time that the general path would take."""
    n, formulas, defaults, floats = len(op.tensors), op.formulas, op.attr_defaults, "f" not in op.refuses
    with_number = {"all": range(n), "either": range(n), "last": (n - 1,)}.get(op.numbers, ())

    def function(*args, **kwargs):
        if "out" in kwargs:
            return dispatch.call(op, args, kwargs)
        if kwargs or not n <= len(args) <= op.npos:
            values = dispatch.bind(op, args, kwargs)
        else:
            values = [*args, *defaults[len(args) - n :]]
        lead = op.lead
        try:
            first = values[lead]
            d = first.array.dtype
            if (not floats or (d is not F32 and d is not F64)) and d not in op.plain:
                return dispatch.call(op, args, kwargs)
            arrays = []
            for i, truth in enumerate(op.truths):
                x = values[i]
                if (x.__class__ is float or x.__class__ is int) and i in with_number:
                    x = dispatch.number(x, first)
                array = x.array
                if array.dtype is not (BOOL if truth else d):
                    return dispatch.call(op, args, kwargs)
                arrays.append(array)
        except AttributeError:
            return dispatch.call(op, args, kwargs)
        operands, attrs = values[:n], values[n:]
        if op.check is not None:
            op.check(*arrays, *attrs)
        try:
            found = op.compute(arrays, attrs)
        except (ValueError, IndexError, TypeError) as error:
            raise dispatch.explain(op, values, error) from None
        found = found if found.__class__ is Array else np.array(found)
        t = wrap(found if found.dtype is d or op.gives_bool else dispatch.convert(found, d))
        now = mode()
        if now is None:
            for x in operands if formulas else ():
                if x.__class__ is not float and x.__class__ is not int:
                    if x.node is not None or x._requires_grad or x._view is not None:
                        dispatch.record_operands(op, operands, attrs, t, t.array)
                        break
        elif now is not NO_GRAD:
            dispatch.note(now, op, operands, tuple(attrs), {}, t)
        return t

    return function


def one_array(op: Any) -> Callable:
    """One operand, first; one result; any arguments."""
    body, formulas, plan, view = op.body, op.formulas, op.plans, op.view

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
                record_one(op, plan, input, (args, kwargs), t)
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


def fits_results(op: Any) -> bool:
    """Whether the operands come first and there are several results, of which the first has a derivative."""
    leading = [i for i, _ in op.tensors] == list(range(len(op.tensors)))
    several = (op.returns or op.hidden) and op.nout == 1
    return bool(leading and op.tensors and several and not op.elementwise and not op.variadic and not op.view)


def several_results(op: Any) -> Callable:
    """The public function: all operands and arguments by position, or the general path, which takes 10 us longer."""
    formulas, most = op.formulas, len(op.tensors)

    def function(*args, **kwargs):
        tensors = args[:most]
        if kwargs or len(args) < op.npos:
            return dispatch.call(op, args, kwargs)
        try:
            arrays = [None if x is None else x.array for x in tensors]
        except AttributeError:
            return dispatch.call(op, args, kwargs)
        try:
            found = op.body(*arrays, *args[most:])
        except (AttributeError, TypeError, ValueError, IndexError) as error:
            return dispatch.retry(op, args, kwargs, error)
        results = [a if a.__class__ is Array else np.array(a) for a in found]
        made = [wrap(a) for a in results]
        now = mode()
        if now is None:
            if formulas and results[0].dtype.kind not in "biu":
                edges = tuple([None if x is None else edge(x) for x in tensors])
                if any([e is not None for e in edges]):  # noqa: C419 (a list is quicker)
                    made[0].node = dispatch.make_node(op, edges, tensors, (args[most:], kwargs), results, made)
        elif now is not NO_GRAD:
            dispatch.note(now, op, tensors, args[most:], kwargs, made)
        return dispatch.package(op, made)

    return function


def many_arrays(op: Any) -> Callable:
    """One list of operands, first; one result; any arguments."""
    body, formulas = op.body, op.formulas

    def function(tensors, *args, **kwargs):
        if (tensors.__class__ is not list and tensors.__class__ is not tuple) or "out" in kwargs:
            return dispatch.call(op, (tensors, *args), kwargs)
        if tensors and tensors[0].__class__ is Array:  # a formula on arrays
            return body(tensors, *args, **kwargs)
        try:
            found = body([x.array for x in tensors], *args, **kwargs)
        except (AttributeError, TypeError, ValueError, IndexError) as error:
            return dispatch.retry(op, (tensors, *args), kwargs, error)
        t = wrap(found if found.__class__ is Array else np.array(found))
        now = mode()
        if now is None:
            if formulas and t.array.dtype.kind not in "biu":
                edges = tuple([edge(x) for x in tensors])
                if any([e is not None for e in edges]):  # noqa: C419 (a list is quicker)
                    t.node = dispatch.make_node(op, edges, tensors, (args, kwargs), [t.array], t)
        elif now is not NO_GRAD:
            dispatch.note(now, op, tensors, args, kwargs, t)
        return t

    return function


def several_views(op: Any) -> Callable:
    """One operand, first; a list of views of it; any arguments."""
    body, formulas = op.body, op.formulas

    def function(input, *args, **kwargs):
        if input.__class__ is Array:
            return body(input, *args, **kwargs)
        try:
            found = body(input.array, *args, **kwargs)
        except (AttributeError, TypeError, ValueError, IndexError) as error:
            return dispatch.retry(op, (input, *args), kwargs, error)
        made = [wrap(a) for a in found]
        now = mode()
        if now is None:
            source = edge(input) if formulas and input.array.dtype.kind not in "biu" else None
            if source is not None:
                node = dispatch.make_node(op, (source,), [input], (args, kwargs), found, made)
                for k, t in enumerate(made):
                    t.node = (node, k)
        elif now is not NO_GRAD:
            dispatch.note(now, op, (input,), args, kwargs, made)
        for k, t in enumerate(made):
            attach(input, t, dispatch.Output(op, k), args, kwargs, "multi")
        return tuple(made)

    return function
