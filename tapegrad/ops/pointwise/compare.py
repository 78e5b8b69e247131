"""Comparison, logic and selection: elementwise operations that give truth values, and `where`.

Results of type bool carry no gradient.
"""

from __future__ import annotations

import numpy as np

from ...core.op import Array, elementwise, op, operator
from ...core.tensor import Tensor
from ...ir import expr as e

__all__ = (
    "bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor eq ge greater greater_equal "
    "gt isfinite isinf isnan isneginf isposinf isreal le less less_equal logical_and logical_not logical_or "
    "logical_xor lt ne not_equal signbit where"
).split()


@elementwise
def eq(x, y):
    """Whether `x == y`, elementwise, as a bool tensor.

    >>> import tapegrad as torch
    >>> torch.eq(torch.tensor([1, 2, 3]), 2)
    tensor([False,  True, False])
    """
    return x == y


@elementwise
def ne(x, y):
    """Whether `x != y`, elementwise, as a bool tensor."""
    return x != y


@elementwise
def lt(x, y):
    """Whether `x < y`, elementwise, as a bool tensor."""
    return x < y


@elementwise
def le(x, y):
    """Whether `x <= y`, elementwise, as a bool tensor."""
    return x <= y


@elementwise
def gt(x, y):
    """Whether `x > y`, elementwise, as a bool tensor."""
    return x > y


@elementwise
def ge(x, y):
    """Whether `x >= y`, elementwise, as a bool tensor."""
    return x >= y


@elementwise(numbers="none")
def logical_and(x, y):
    """`x and y`, elementwise; zero is false, everything else true."""
    return e.logical_and(x, y)


@elementwise(numbers="none")
def logical_or(x, y):
    """`x or y`, elementwise; zero is false, everything else true."""
    return e.logical_or(x, y)


@elementwise(numbers="none")
def logical_xor(x, y):
    """Whether exactly one of `x` and `y` is true, elementwise."""
    return e.logical_xor(x, y)


@elementwise
def logical_not(x):
    """`not x`, elementwise."""
    return e.logical_not(x)


@elementwise
def isnan(x):
    """Whether an element is not a number.

    >>> import tapegrad as torch
    >>> torch.isnan(torch.tensor([1.0, float("nan")]))
    tensor([False,  True])
    """
    return x != x


@elementwise
def isinf(x):
    """Whether an element is plus or minus infinity."""
    return e.isinf(x)


@elementwise
def isfinite(x):
    """Whether an element is neither infinite nor NaN."""
    return e.isfinite(x)


@elementwise
def isposinf(x):
    """Whether an element is plus infinity."""
    return x == float("inf")


@elementwise
def isneginf(x):
    """Whether an element is minus infinity."""
    return x == float("-inf")


@op(method=True, nondiff=True)
def isreal(x: Array):
    """Whether an element has no imaginary part: always, for real dtypes."""
    return x.imag == 0 if x.dtype.kind == "c" else np.ones(x.shape, np.bool_)


@isreal.shape
def _(x):
    return x


@elementwise
def signbit(x):
    """Whether the sign of an element is minus (also for -0.0)."""
    return e.signbit(x)


# ---- bits ----------------------------------------------------------------------------------------------------------


@elementwise(nondiff=True, refuses="fc", numbers="either")
def bitwise_and(x, y):
    """`x & y`, elementwise, on integers and bools."""
    return x & y


@elementwise(nondiff=True, refuses="fc", numbers="either")
def bitwise_or(x, y):
    """`x | y`, elementwise, on integers and bools."""
    return x | y


@elementwise(nondiff=True, refuses="fc", numbers="either")
def bitwise_xor(x, y):
    """`x ^ y`, elementwise, on integers and bools."""
    return x ^ y


@elementwise(nondiff=True, refuses="fc")
def bitwise_not(x):
    """`~x`, elementwise: all bits of an integer flipped, a bool negated."""
    return ~x


@elementwise(nondiff=True, refuses="bfc", numbers="either")
def bitwise_left_shift(x, y):
    """`x << y`, elementwise, on integers."""
    return e.shift_left(x, y)


@elementwise(nondiff=True, refuses="bfc", numbers="either")
def bitwise_right_shift(x, y):
    """`x >> y`, elementwise, on integers; the sign is kept."""
    return e.shift_right(x, y)


# ---- selection -----------------------------------------------------------------------------------------------------


@elementwise(method=False, inplace=False, name="where", numbers="all")
def _where(condition, x, y):
    return e.where(condition, x, y)


@_where.grad("x")
def _(g, condition):
    return where(condition, g, 0)


@_where.grad("y")
def _(g, condition):
    return where(condition, 0, g)


def where(condition, x=None, y=None, *, out=None, **named):
    """`x` where the condition holds, else `y`, elementwise; with the condition alone, the indices where it holds.

    Args:
        condition: a bool tensor.
        input, other: tensors or numbers; all three broadcast.

    >>> import tapegrad as torch
    >>> torch.where(torch.tensor([True, False]), 1.0, torch.tensor([5.0, 6.0]))
    tensor([1., 6.])
    """
    x, y = named.pop("input", x), named.pop("other", y)
    if x is None and y is None and not named:
        return condition.nonzero(as_tuple=True)
    if out is not None:
        named["out"] = out
    return _where(condition, x, y, **named)


where.op = _where.op  # type: ignore[attr-defined]
Tensor.where = lambda self, condition, other: where(condition, self, other)  # type: ignore[attr-defined]

greater, greater_equal, less, less_equal, not_equal = gt, ge, lt, le, ne
for _name, _function in (
    ("greater", gt),
    ("greater_equal", ge),
    ("less", lt),
    ("less_equal", le),
    ("not_equal", ne),
    ("greater_", Tensor.gt_),
    ("greater_equal_", Tensor.ge_),
    ("less_", Tensor.lt_),
    ("less_equal_", Tensor.le_),
    ("not_equal_", Tensor.ne_),
    ("__eq__", operator(eq)),
    ("__ne__", operator(ne)),
    ("__lt__", operator(lt)),
    ("__le__", operator(le)),
    ("__gt__", operator(gt)),
    ("__ge__", operator(ge)),
    ("__and__", operator(bitwise_and)),
    ("__rand__", operator(bitwise_and)),
    ("__or__", operator(bitwise_or)),
    ("__ror__", operator(bitwise_or)),
    ("__xor__", operator(bitwise_xor)),
    ("__rxor__", operator(bitwise_xor)),
    ("__lshift__", operator(bitwise_left_shift)),
    ("__rshift__", operator(bitwise_right_shift)),
    ("__invert__", bitwise_not),
    ("__iand__", Tensor.bitwise_and_),
    ("__ior__", Tensor.bitwise_or_),
    ("__ixor__", Tensor.bitwise_xor_),
):
    setattr(Tensor, _name, _function)
