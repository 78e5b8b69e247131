"""Operations declared by what they write: the body changes its first operand, a copy of it or the tensor itself.

`index_add` and its like touch few elements. Their in-place forms therefore work on the memory of the tensor, where
nothing is recorded; the plain forms, and recorded ones, work on a copy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core import dispatch
from ..core.op import Array, op
from ..core.tensor import Tensor, edge
from ..modes import mode


def writes(method: bool | str = False, inplace: str | None = None, **options: Any) -> Callable:
    """Declare an operation of several operands by a body that writes its result into the first.

    Args:
        method: whether, or under which name, it is a method of `Tensor`.
        inplace: the name of the in-place method (default: the operation's name with an underscore).
        options: as for `op`.
    """

    def declare(writer: Callable) -> Callable:
        def body(x: Array, *args: Any, **kwargs: Any) -> Array:
            out = np.array(x, order="C")
            writer(out, *args, **kwargs)
            return out

        function = op(writer, method=method, **options)
        function.op.body = body
        _inplace(function.op, writer, inplace or f"{function.op.name}_")
        return function

    return declare


def _inplace(own: Any, writer: Callable, name: str) -> None:
    """The in-place method."""

    def method(self, *args, **kwargs):
        values = own.bind((self, *args), kwargs)
        tensors = [v for v in values if isinstance(v, Tensor)]
        if mode() is None and any(edge(t) is not None for t in tensors):
            return dispatch.call_inplace(own, name, self, args, kwargs)
        arrays = [v.array if isinstance(v, Tensor) else v for v in values]
        try:
            writer(*arrays[: own.npos], **dict(zip(own.names[own.npos :], arrays[own.npos :])))
        except (TypeError, ValueError, IndexError) as error:
            raise dispatch.explain(own, values, error) from None
        self.bump()
        return self

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"In-place form of `{own.name}`: the result is written into this tensor."
    setattr(Tensor, name, method)
