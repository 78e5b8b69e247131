"""Python's operators on tensors."""

from __future__ import annotations

from typing import Any

from ...core.op import operator
from ...core.tensor import Tensor
from .arithmetic import add, floor_divide, mul, remainder, rsub, sub, true_divide
from .functions import reciprocal
from .powers import pow


def _rdiv(self, other):  # as PyTorch computes it, so that the last digit is the same
    return mul(reciprocal(self), other)


def _exchanged(function: Any) -> Any:
    return lambda self, other: function(other, self)


for _name, _function in (
    ("__add__", operator(add)),
    ("__radd__", operator(add)),
    ("__iadd__", Tensor.add_),
    ("__sub__", operator(sub)),
    ("__rsub__", operator(rsub)),
    ("__isub__", Tensor.sub_),
    ("__mul__", operator(mul)),
    ("__rmul__", operator(mul)),
    ("__imul__", Tensor.mul_),
    ("__truediv__", operator(true_divide)),
    ("__rtruediv__", _rdiv),
    ("__rdiv__", _rdiv),
    ("__itruediv__", Tensor.div_),
    ("__floordiv__", operator(floor_divide)),
    ("__rfloordiv__", _exchanged(floor_divide)),
    ("__ifloordiv__", Tensor.floor_divide_),
    ("__mod__", operator(remainder)),
    ("__rmod__", _exchanged(remainder)),
    ("__imod__", Tensor.remainder_),
    ("__pow__", pow),
    ("__rpow__", _exchanged(pow)),
    ("__ipow__", Tensor.pow_),
):
    setattr(Tensor, _name, _function)
