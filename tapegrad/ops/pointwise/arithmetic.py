"""Elementwise arithmetic: sums, products, quotients and remainders; one scalar expression each, with its derivative.

Comparisons and `where` are in `compare`, powers in `powers`, `clamp` and `maximum` in `bounds`, functions of one
variable in `functions` and `trigonometry`; Python's operators are attached in `operators`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.op import elementwise, make_inplace
from ...core.tensor import Tensor
from ...errors import message
from ...ir import expr as e
from .compare import where
from .functions import trunc

__all__ = (
    "add addcdiv addcmul copysign div divide floor_divide fmod gcd lcm lerp mul multiply nextafter remainder rsub sub "
    "subtract true_divide"
).split()

# ---- sums and products ---------------------------------------------------------------------------------------------


def _whole_alpha(x: np.ndarray, y: np.ndarray, alpha: Any) -> None:
    """A factor of integers must be one."""
    if x.dtype.kind in "iub" and isinstance(alpha, float):
        raise RuntimeError(
            message("alpha must be an integer for integer tensors", got=alpha, fix="convert with .float()")
        )


@elementwise(check=_whole_alpha, numbers="all")
def add(x, y, *, alpha=1):
    """`x + alpha * y`, elementwise.

    Args:
        input, other: tensors or numbers; their shapes broadcast.
        alpha: a number that multiplies `other`.

    >>> import tapegrad as torch
    >>> torch.add(torch.tensor([1.0, 2.0]), 10)
    tensor([11., 12.])
    """
    return x + alpha * y


@add.grad("x")
def _(g):
    return g


@add.grad("y")
def _(g, alpha):
    return g * alpha


@elementwise(refuses="B", check=_whole_alpha, numbers="all")
def sub(x, y, *, alpha=1):
    """`x - alpha * y`, elementwise.

    >>> import tapegrad as torch
    >>> torch.sub(torch.tensor([1.0, 2.0]), 1)
    tensor([0., 1.])
    """
    return x - alpha * y


@sub.grad("x")
def _(g):
    return g


@sub.grad("y")
def _(g, alpha):
    return -g * alpha


@elementwise(refuses="B", check=_whole_alpha, node="RsubBackward1", inplace=False)
def rsub(x, y, *, alpha=1):
    """`y - alpha * x`, elementwise: `sub` with its operands exchanged."""
    return y - alpha * x


@rsub.grad("x")
def _(g, alpha):
    return -g * alpha


@rsub.grad("y")
def _(g):
    return g


@elementwise(numbers="all")
def mul(x, y):
    """`x * y`, elementwise.

    >>> import tapegrad as torch
    >>> torch.mul(torch.tensor([1.0, 2.0]), 3)
    tensor([3., 6.])
    """
    return x * y


@mul.grad("x")
def _(g, y):
    return g * y


@mul.grad("y")
def _(g, x):
    return g * x


@elementwise(numbers="none")
def addcmul(x, tensor1, tensor2, *, value=1):
    """`x + value * tensor1 * tensor2`, elementwise.

    >>> import tapegrad as torch
    >>> torch.addcmul(torch.ones(2), torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]), value=0.5)
    tensor([2.5000, 5.0000])
    """
    return x + value * tensor1 * tensor2


@addcmul.grad("x")
def _(g):
    return g


@addcmul.grad("tensor1")
def _(g, tensor2, value):
    return g * (tensor2 * value)


@addcmul.grad("tensor2")
def _(g, tensor1, value):
    return g * (tensor1 * value)


@elementwise(refuses="biu", numbers="none")
def addcdiv(x, tensor1, tensor2, *, value=1):
    """`x + value * tensor1 / tensor2`, elementwise.

    >>> import tapegrad as torch
    >>> torch.addcdiv(torch.ones(2), torch.tensor([1.0, 2.0]), torch.tensor([2.0, 4.0]))
    tensor([1.5000, 1.5000])
    """
    return x + value * (tensor1 / tensor2)


@addcdiv.grad("x")
def _(g):
    return g


@addcdiv.grad("tensor1")
def _(g, tensor2, value):
    return g * (value / tensor2)


@addcdiv.grad("tensor2")
def _(g, tensor1, tensor2, value):
    return -g * (value * tensor1 / (tensor2 * tensor2))


@elementwise(refuses="biu", node="LerpBackward0")
def lerp(x, end, weight):
    """`x + weight * (end - x)`, elementwise: the point at `weight` on the line from `x` to `end`.

    >>> import tapegrad as torch
    >>> torch.lerp(torch.zeros(2), torch.tensor([2.0, 4.0]), 0.5)
    tensor([1., 2.])
    """
    # from the nearer end, so that weight 1 gives `end` exactly
    away = end - x
    return e.where(abs(weight) < 0.5, x + weight * away, end - away * (1 - weight))


@lerp.grad("x")
def _(g, weight):
    return g * (1 - weight)


@lerp.grad("end")
def _(g, weight):
    return g * weight


@lerp.grad("weight")
def _(g, x, end):
    return g * (end - x)


# ---- quotients and remainders --------------------------------------------------------------------------------------


def _no_zero(x: np.ndarray, y: np.ndarray) -> None:
    """Integers have no infinity: dividing one by zero is an error."""
    if y.dtype.kind in "iu" and not np.all(y):
        raise RuntimeError(
            message("ZeroDivisionError: integer division by zero", fix="convert to a floating-point dtype")
        )


@elementwise(name="div", numbers="all")
def true_divide(x, y):
    """`x / y`, elementwise; integers give the default floating-point dtype."""
    return x / y


@true_divide.grad("x")
def _(g, y):
    return g / y


@true_divide.grad("y")
def _(g, x, y):  # not `out`, which may then be changed in place
    return -g * (x / y / y)


@elementwise(method=False, node="DivBackward1", check=_no_zero, refuses="b", numbers="all")
def div_floor(x, y):
    """`floor(x / y)`, elementwise, as Python rounds `x // y`."""
    return e.floordiv(x, y)


@div_floor.grad("x")
def _(g):
    return g * 0


@div_floor.grad("y")
def _(g):
    return g * 0


@elementwise(method=False, node="DivBackward1", check=_no_zero, refuses="b")
def div_trunc(x, y):
    """`x / y` rounded towards zero, elementwise."""
    return e.truncdiv(x, y)


@div_trunc.grad("x")
def _(g):
    return g * 0


@div_trunc.grad("y")
def _(g):
    return g * 0


_ROUNDING = {None: true_divide, "floor": div_floor, "trunc": div_trunc}


def _by_rounding(mode: str | None) -> Any:
    if mode not in _ROUNDING:
        raise RuntimeError(message("div: unknown rounding_mode", got=repr(mode), expected="None, 'floor' or 'trunc'"))
    return _ROUNDING[mode]


def div(input, other, *, rounding_mode=None, out=None):
    """`input / other`, elementwise, rounded down ("floor") or towards zero ("trunc") if asked.

    Raises:
        RuntimeError: `rounding_mode` is unknown, or an integer is divided by zero with rounding.

    >>> import tapegrad as torch
    >>> torch.div(torch.tensor([7.0, -7.0]), 2)
    tensor([ 3.5000, -3.5000])
    >>> torch.div(torch.tensor([7, -7]), 2, rounding_mode="trunc")
    tensor([ 3, -3])
    """
    function = _by_rounding(rounding_mode)
    return function(input, other) if out is None else function(input, other, out=out)


def _div_(self, other, *, rounding_mode=None):
    """In-place form of `div`."""
    return _IN_PLACE[_by_rounding(rounding_mode)](self, other)


_IN_PLACE = {f: make_inplace(f, "div_") for f in _ROUNDING.values()}
div.op = true_divide.op  # type: ignore[attr-defined]


@elementwise(check=_no_zero, refuses="b", nondiff=True, numbers="all")
def floor_divide(x, y):
    """`floor(x / y)`, elementwise (`x // y`).

    >>> import tapegrad as torch
    >>> torch.floor_divide(torch.tensor([7, -7]), 2)
    tensor([ 3, -4])
    """
    return e.floordiv(x, y)


@elementwise(check=_no_zero, refuses="b", numbers="either")
def remainder(x, y):
    """`x - y * floor(x / y)`, elementwise (`x % y`): the sign is that of `y`.

    >>> import tapegrad as torch
    >>> torch.remainder(torch.tensor([5, -5]), 3)
    tensor([2, 1])
    """
    return e.remainder(x, y)


@remainder.grad("x")
def _(g):
    return g


@remainder.grad("y")
def _(g, x, y):
    return -g * div_floor(x, y)


@elementwise(check=_no_zero, refuses="b")
def fmod(x, y):
    """`x - y * trunc(x / y)`, elementwise: the sign is that of `x`.

    >>> import tapegrad as torch
    >>> torch.fmod(torch.tensor([5, -5]), 3)
    tensor([ 2, -2])
    """
    return e.fmod(x, y)


@fmod.grad("x")
def _(g):
    return g


@fmod.grad("y")
def _(g, x, y):
    return -g * trunc(x / y)


# ---- signs and integers --------------------------------------------------------------------------------------------


@elementwise
def copysign(x, y):
    """The magnitude of `x` with the sign of `y`, elementwise."""
    return e.copysign(x, y)


@copysign.grad("x")  # the sign that was given; at 0 there is none
def _(g, x, out):
    return where(x == 0, 0, g * (out / x))


@copysign.grad("y")
def _(g):
    return g * 0


@elementwise(refuses="biu", numbers="none")
def nextafter(x, y):
    """The next floating-point number after `x` in the direction of `y`, elementwise."""
    return e.nextafter(x, y)


@nextafter.grad("x")
def _(g, x, y):
    return where(x == y, 0, g)


@nextafter.grad("y")
def _(g):
    return g * 0


@elementwise(nondiff=True, refuses="bfc", numbers="none")
def gcd(x, y):
    """The greatest common divisor, elementwise, of integers."""
    return e.gcd(x, y)


@elementwise(nondiff=True, refuses="bfc", numbers="none")
def lcm(x, y):
    """The least common multiple, elementwise, of integers."""
    return e.lcm(x, y)


subtract, multiply, divide = sub, mul, div
for _name, _function in (
    ("div", div),
    ("divide", div),
    ("div_", _div_),
    ("divide_", _div_),
    ("true_divide", true_divide),
    ("true_divide_", _IN_PLACE[true_divide]),
    ("subtract", sub),
    ("subtract_", Tensor.sub_),
    ("multiply", mul),
    ("multiply_", Tensor.mul_),
):
    setattr(Tensor, _name, _function)
