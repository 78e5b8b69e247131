"""Elementwise arithmetic: one scalar expression for each operation, with its derivative.

Functions of one variable (`exp`, `sin`, ...) are in `functions`, comparisons and `where` in `compare`. The operators
of `Tensor` are attached at the end.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..core.op import elementwise, make_inplace, operator
from ..core.tensor import Tensor
from ..errors import message
from ..ir import expr as e
from .compare import where
from .functions import exp, exp2, log, reciprocal, sign

__all__ = (
    "add addcdiv addcmul arctan2 atan2 clamp clamp_max clamp_min clip copysign div divide float_power floor_divide "
    "fmax fmin fmod gcd heaviside hypot lcm ldexp lerp logaddexp logaddexp2 maximum minimum mul multiply nextafter pow "
    "remainder rsub sub subtract true_divide xlogy"
).split()

# ---- sums and products ---------------------------------------------------------------------------------------------


@elementwise
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


@elementwise(refuses="b")
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


@elementwise(refuses="b", node="RsubBackward1", inplace=False)
def rsub(x, y, *, alpha=1):
    """`y - alpha * x`, elementwise: `sub` with its operands exchanged."""
    return y - alpha * x


@rsub.grad("x")
def _(g, alpha):
    return -g * alpha


@rsub.grad("y")
def _(g):
    return g


@elementwise
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


@elementwise
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


@elementwise(refuses="biu")
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
    return e.where(abs(weight) < 0.5, x + weight * (end - x), end - (end - x) * (1 - weight))


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
        raise RuntimeError(message("ZeroDivisionError: integer division by zero", fix="convert to a floating-point dtype"))


@elementwise(name="div")
def true_divide(x, y):
    """`x / y`, elementwise; integers give the default floating-point dtype."""
    return x / y


@true_divide.grad("x")
def _(g, y):
    return g / y


@true_divide.grad("y")
def _(g, y, out):
    return -g * (out / y)


@elementwise(method=False, node="DivBackward1", check=_no_zero, refuses="b")
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
    down = e.floordiv(x, y)
    return e.where((down < 0) & (down * y != x), down + 1, down)


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


@elementwise(check=_no_zero, nondiff=True)
def floor_divide(x, y):
    """`floor(x / y)`, elementwise (`x // y`).

    >>> import tapegrad as torch
    >>> torch.floor_divide(torch.tensor([7, -7]), 2)
    tensor([ 3, -4])
    """
    return e.floordiv(x, y)


@elementwise(check=_no_zero, refuses="b")
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
    return -g * div_trunc(x, y)


# ---- powers ----------------------------------------------------------------------------------------------------------


def _no_negative_powers(x: np.ndarray, y: np.ndarray) -> None:
    if x.dtype.kind in "iu" and y.dtype.kind == "i" and np.any(y < 0):
        text = message("pow: integers have no negative integer powers", fix="convert the base with .float()")
        raise RuntimeError(text)


@elementwise(method=False, inplace=False, node="PowBackward1", check=_no_negative_powers)
def _power(x, y):
    return e.pow(x, y)


@_power.grad("x")
def _(g, x, y):
    return where(y == 0, 0, g * (y * _power(x, y - 1)))  # 0 * inf at x == 0 otherwise


@_power.grad("y")
def _(g, x, y, out):
    return where((x == 0) & (y >= 0), 0, g * (out * log(x)))


@elementwise(method=False, inplace=False, node="PowBackward0")
def _squared(x):
    return x * x


@_squared.grad
def _(g, x):
    return g * (2 * x)


@elementwise(method=False, inplace=False, node="PowBackward0", static=("exponent",))
def _power_of(x, exponent=3):
    if exponent == 0.5:
        return e.sqrt(x)
    if exponent == 3:
        return x * x * x
    return e.pow(x, exponent)


@_power_of.grad
def _(g, x, exponent):
    if exponent == 0:
        return g * 0
    return g * (exponent * _power_of(x, exponent - 1))


def pow(input, exponent, *, out=None):
    """`input ** exponent`, elementwise.

    Args:
        input: a tensor or a number.
        exponent: a tensor or a number.

    Raises:
        RuntimeError: an integer base with a negative integer exponent.

    >>> import tapegrad as torch
    >>> torch.pow(torch.tensor([1.0, 2.0, 3.0]), 2)
    tensor([1., 4., 9.])
    """
    kind = exponent.__class__
    if out is None and (kind is int or kind is float) and isinstance(input, Tensor):
        floating = input.array.dtype.kind == "f"
        if exponent == 2 and (floating or kind is int):
            return _squared(input)
        if floating:
            return _power_of(input, float(exponent) if exponent not in (0.5, 3) else exponent)
    return _power(input, exponent) if out is None else _power(input, exponent, out=out)


def float_power(input, exponent, *, out=None):
    """`input ** exponent` computed in double precision. Composed."""
    wide = [x.to(dtypes.float64) if isinstance(x, Tensor) else float(x) for x in (input, exponent)]
    return pow(*wide) if out is None else pow(*wide, out=out)


@elementwise
def xlogy(x, y):
    """`x * log(y)`, elementwise, and 0 where `x` is 0 (NaN where `y` is NaN).

    >>> import tapegrad as torch
    >>> torch.xlogy(torch.tensor([0.0, 2.0]), torch.tensor([0.0, 1.0]))
    tensor([0., 0.])
    """
    return e.where(y != y, y, e.where(x == 0, 0.0, x * e.log(y)))


@xlogy.grad("x")
def _(g, x, y):
    return g * where((x == 0) & (y <= 0), 0, log(y))


@xlogy.grad("y")
def _(g, x, y):
    return g * (x / y)


# ---- the greater, the smaller, the bounded -----------------------------------------------------------------------------


@elementwise(inplace=False)
def maximum(x, y):
    """The greater of `x` and `y`, elementwise; NaN if either is. Equal elements share the gradient.

    >>> import tapegrad as torch
    >>> torch.maximum(torch.tensor([1.0, 4.0]), torch.tensor([3.0, 2.0]))
    tensor([3., 4.])
    """
    return e.maximum(x, y)


@maximum.grad("x")
def _(g, x, y):
    return where(x == y, g / 2, where(x < y, 0, g))


@maximum.grad("y")
def _(g, x, y):
    return where(x == y, g / 2, where(x > y, 0, g))


@elementwise(inplace=False)
def minimum(x, y):
    """The smaller of `x` and `y`, elementwise; NaN if either is. Equal elements share the gradient."""
    return e.minimum(x, y)


@minimum.grad("x")
def _(g, x, y):
    return where(x == y, g / 2, where(x > y, 0, g))


@minimum.grad("y")
def _(g, x, y):
    return where(x == y, g / 2, where(x < y, 0, g))


@elementwise(inplace=False)
def fmax(x, y):
    """The greater of `x` and `y`, elementwise; where one is NaN, the other."""
    return e.fmax(x, y)


@fmax.grad("x")
def _(g, x, y):
    return where((x >= y) | (y != y), g, 0)


@fmax.grad("y")
def _(g, x, y):
    return where((x >= y) | (y != y), 0, g)


@elementwise(inplace=False)
def fmin(x, y):
    """The smaller of `x` and `y`, elementwise; where one is NaN, the other."""
    return e.fmin(x, y)


@fmin.grad("x")
def _(g, x, y):
    return where((x <= y) | (y != y), g, 0)


@fmin.grad("y")
def _(g, x, y):
    return where((x <= y) | (y != y), 0, g)


def _lower_bound(name: str, node: str) -> Any:
    @elementwise(name=name, node=node, method=False, inplace=False)
    def bounded(x, min):
        """`x`, but at least `min`, elementwise."""
        return e.maximum(x, min)

    @bounded.grad("x")
    def _(g, x, min):
        return where(x >= min, g, 0)

    @bounded.grad("min")
    def _(g, x, min):
        return where(x < min, g, 0)

    return bounded


def _upper_bound(name: str, node: str) -> Any:
    @elementwise(name=name, node=node, method=False, inplace=False)
    def bounded(x, max):
        """`x`, but at most `max`, elementwise."""
        return e.minimum(x, max)

    @bounded.grad("x")
    def _(g, x, max):
        return where(x <= max, g, 0)

    @bounded.grad("max")
    def _(g, x, max):
        return where(x > max, g, 0)

    return bounded


# the same maths under the two names that `grad_fn` has for it
_at_least, clamp_min = _lower_bound("clamp_at_least", "ClampBackward1"), _lower_bound("clamp_min", "ClampMinBackward0")
_at_most, clamp_max = _upper_bound("clamp_at_most", "ClampBackward1"), _upper_bound("clamp_max", "ClampMaxBackward0")


@elementwise(method=False, inplace=False, node="ClampBackward1")
def _between(x, min, max):
    return e.minimum(e.maximum(x, min), max)


@_between.grad("x")
def _(g, x, min, max):
    return where((x >= min) & (x <= max), g, 0)


@_between.grad("min")
def _(g, x, min, max):
    return where((x < min) & (min < max), g, 0)


@_between.grad("max")
def _(g, x, min, max):
    return where((x > max) | (max < min), g, 0)


def _bounds(where: str, min: Any, max: Any) -> tuple[Any, tuple]:
    if min is None and max is None:
        raise RuntimeError(message(f"{where}: at least one of min and max is needed"))
    if max is None:
        return _at_least, (min,)
    if min is None:
        return _at_most, (max,)
    return _between, (min, max)


def clamp(input, min=None, max=None, *, out=None):
    """`input` limited to the range from `min` to `max`, elementwise.

    Args:
        min, max: numbers or tensors; at least one of them. Where `min > max` the result is `max`.

    Raises:
        RuntimeError: neither bound is given.

    >>> import tapegrad as torch
    >>> torch.clamp(torch.tensor([-1.0, 0.5, 3.0]), min=0, max=1)
    tensor([0.0000, 0.5000, 1.0000])
    """
    function, limits = _bounds("clamp", min, max)
    return function(input, *limits) if out is None else function(input, *limits, out=out)


def _clamp_(self, min=None, max=None):
    """In-place form of `clamp`."""
    function, limits = _bounds("clamp_", min, max)
    return _IN_PLACE[function](self, *limits)


_IN_PLACE |= {f: make_inplace(f, "clamp_") for f in (_at_least, _at_most, _between)}
for _f in (clamp_min, clamp_max):
    make_inplace(_f)
    setattr(Tensor, _f.op.name, _f)
clamp.op = _between.op  # type: ignore[attr-defined]

# ---- others with two operands --------------------------------------------------------------------------------------------


@elementwise(node="Atan2Backward0")
def atan2(x, y):
    """The angle of the point (`y`, `x`), elementwise, from -pi to pi.

    >>> import tapegrad as torch
    >>> torch.atan2(torch.tensor([1.0]), torch.tensor([1.0]))
    tensor([0.7854])
    """
    return e.atan2(x, y)


@atan2.grad("x")
def _(g, x, y):
    return g * (y / (x * x + y * y))


@atan2.grad("y")
def _(g, x, y):
    return -g * (x / (x * x + y * y))


@elementwise
def hypot(x, y):
    """`sqrt(x**2 + y**2)`, elementwise, without overflow of the squares."""
    return e.hypot(x, y)


@hypot.grad("x")
def _(g, x, out):
    return g * (x / out)


@hypot.grad("y")
def _(g, y, out):
    return g * (y / out)


@elementwise
def copysign(x, y):
    """The magnitude of `x` with the sign of `y`, elementwise."""
    return e.copysign(x, y)


@copysign.grad("x")
def _(g, x, out):
    return g * (sign(x) * sign(out))


@copysign.grad("y")
def _(g):
    return g * 0


@elementwise(inplace=False)
def logaddexp(x, y):
    """`log(exp(x) + exp(y))`, elementwise, without overflow."""
    return e.logaddexp(x, y)


@logaddexp.grad("x")
def _(g, x, out):
    return g * exp(x - out)


@logaddexp.grad("y")
def _(g, y, out):
    return g * exp(y - out)


@elementwise(inplace=False)
def logaddexp2(x, y):
    """`log2(2**x + 2**y)`, elementwise, without overflow."""
    return e.logaddexp2(x, y)


@logaddexp2.grad("x")
def _(g, x, out):
    return g * exp2(x - out)


@logaddexp2.grad("y")
def _(g, y, out):
    return g * exp2(y - out)


@elementwise(nondiff=True, refuses="biu")
def nextafter(x, y):
    """The next floating-point number after `x` in the direction of `y`, elementwise."""
    return e.nextafter(x, y)


@elementwise(nondiff=True, refuses="bfc")
def gcd(x, y):
    """The greatest common divisor, elementwise, of integers."""
    return e.gcd(x, y)


@elementwise(nondiff=True, refuses="bfc")
def lcm(x, y):
    """The least common multiple, elementwise, of integers."""
    return e.lcm(x, y)


@elementwise(nondiff=True)
def heaviside(x, values):
    """0 where `x < 0`, 1 where `x > 0`, `values` where `x == 0`, elementwise."""
    return e.where(x == 0, values, e.where(x < 0, 0, 1))


def ldexp(input, other, *, out=None):
    """`input * 2**other`, elementwise. Composed."""
    power = pow(2.0, other)
    return mul(input, power) if out is None else mul(input, power, out=out)


# ---- operators and second names ----------------------------------------------------------------------------------------


def _rdiv(self, other):  # as PyTorch computes it, so that the last digit is the same
    return mul(reciprocal(self), other)


def _exchanged(function: Any) -> Any:
    return lambda self, other: function(other, self)


subtract, multiply, divide, arctan2, clip = sub, mul, div, atan2, clamp
make_inplace(_power, "pow_")

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
    ("__itruediv__", Tensor.div_),
    ("__floordiv__", operator(floor_divide)),
    ("__rfloordiv__", _exchanged(floor_divide)),
    ("__ifloordiv__", Tensor.floor_divide_),
    ("__mod__", operator(remainder)),
    ("__rmod__", _exchanged(remainder)),
    ("__imod__", Tensor.remainder_),
    ("__pow__", pow),
    ("__rpow__", _exchanged(_power)),
    ("__ipow__", Tensor.pow_),
    ("div", div),
    ("divide", div),
    ("pow", pow),
    ("float_power", float_power),
    ("clamp", clamp),
    ("clip", clamp),
    ("clamp_", _clamp_),
    ("clip_", _clamp_),
    ("div_", _div_),
    ("divide_", _div_),
    ("true_divide", true_divide),
    ("true_divide_", Tensor.div_),
    ("subtract", sub),
    ("subtract_", Tensor.sub_),
    ("multiply", mul),
    ("multiply_", Tensor.mul_),
    ("arctan2", atan2),
    ("arctan2_", Tensor.atan2_),
    ("ldexp", ldexp),
):
    setattr(Tensor, _name, _function)
