"""The straight path of an operation on several arrays that has one result: `linear`, losses, normalisation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..modes import NO_GRAD, mode
from . import dispatch
from .tensor import edge, wrap


def fits(op: Any) -> bool:
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
                if any([e is not None for e in edges]):
                    t.node = dispatch.make_node(op, edges, tensors, (args[most:], kwargs), [t.array], t)
        elif now is not NO_GRAD:
            dispatch.note(now, op, tensors, args[most:], kwargs, t)
        return t

    return function
