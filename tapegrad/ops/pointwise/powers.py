"""Powers, and sums and products that are taken in the logarithm."""

from __future__ import annotations

import numpy as np

from ... import dtypes
from ...core.op import Array, elementwise, make_inplace, op
from ...core.tensor import Tensor
from ...errors import message
from ...ir import expr as e
from .arithmetic import mul
from .compare import where
from .functions import LN2, log, sigmoid

__all__ = "float_power frexp ldexp logaddexp logaddexp2 pow xlogy".split()

# ---- powers ----------------------------------------------------------------------------------------------------------


def _no_negative_powers(x: np.ndarray, y: np.ndarray) -> None:
    if x.dtype.kind in "iu" and y.dtype.kind == "i" and np.any(y < 0):
        text = message("pow: integers have no negative integer powers", fix="convert the base with .float()")
        raise RuntimeError(text)


@elementwise(method=False, inplace=False, node="PowBackward1", check=_no_negative_powers, refuses="b", numbers="all")
def _power(x, y):
    return e.pow(x, y)


@elementwise(method=False, inplace=False, node="PowBackward2", check=_no_negative_powers, refuses="b", numbers="all")
def _power_of_number(x, y):
    return e.pow(x, y)


@_power.grad("x")
def _(g, x, y):
    return where(y == 0, 0, g * (y * _power(x, y - 1)))  # 0 * inf at x == 0 otherwise


@_power_of_number.grad("y")
@_power.grad("y")
def _(g, x, y, out):
    return where((x == 0) & (y >= 0), 0, g * (out * log(x)))


@elementwise(method=False, inplace=False, node="PowBackward0")
def _squared(x):
    return x * x


_squared.op.least = dtypes.INT  # bools become integers


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
        TypeError: neither is a tensor.

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
    if kind in (int, float, bool) and input.__class__ in (int, float, bool):
        raise TypeError(message("pow: the base or the exponent must be a tensor", got=f"{input!r} and {exponent!r}"))
    if kind is bool and out is None and isinstance(input, Tensor) and input.array.dtype.kind == "b":
        return input | (not exponent)
    if isinstance(exponent, Tensor) and exponent.array.dtype.kind == "i" and (exponent.array < 0).any():
        whole = input.array.dtype.kind in "iu" if isinstance(input, Tensor) else isinstance(input, int)
        if whole and out is None:
            return _whole_power(input, exponent)
    power = _power if isinstance(input, Tensor) else _power_of_number
    return power(input, exponent) if out is None else power(input, exponent, out=out)


def _whole_power(x: Tensor | int, y: Tensor) -> Tensor:
    """Powers of integers, rounded towards zero: with a negative exponent 0, but for the powers of 1 and -1."""
    x = x if isinstance(x, Tensor) else y.new_tensor(x)
    unit = where(x == 1, 1, where(x == -1, 1 - 2 * (y % 2), 0))
    return where(y < 0, unit, _power(x, y.clamp_min(0)))


def float_power(input, exponent, *, out=None):
    """`input ** exponent` computed in double precision. Composed."""
    wide = [x.to(dtypes.float64) if isinstance(x, Tensor) else float(x) for x in (input, exponent)]
    return pow(*wide) if out is None else pow(*wide, out=out)


@elementwise(numbers="either")
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


# ---- in the logarithm ---------------------------------------------------------------------------------------------


@elementwise(inplace=False, numbers="none", refuses="biu")
def logaddexp(x, y):
    """`log(exp(x) + exp(y))`, elementwise, without overflow."""
    return e.logaddexp(x, y)


@logaddexp.grad("x")
def _(g, x, y):
    return g * sigmoid(x - y)


@logaddexp.grad("y")
def _(g, x, y):
    return g * sigmoid(y - x)


@elementwise(inplace=False, numbers="none", refuses="biu")
def logaddexp2(x, y):
    """`log2(2**x + 2**y)`, elementwise, without overflow."""
    return e.logaddexp2(x, y)


@logaddexp2.grad("x")
def _(g, x, y):
    return g * sigmoid((x - y) * LN2)


@logaddexp2.grad("y")
def _(g, x, y):
    return g * sigmoid((y - x) * LN2)


def ldexp(input, other, *, out=None):
    """`input * 2**other`, elementwise. Composed."""
    if not isinstance(input, Tensor):
        raise TypeError(message("ldexp: the argument 'input' must be a tensor", got=type(input).__name__))
    power = pow(2.0, other)
    return mul(input, power) if out is None else mul(input, power, out=out)


@op(method=True, returns=("mantissa", "exponent"))
def frexp(x: Array):
    """`mantissa` and `exponent` with `x = mantissa * 2**exponent`, elementwise; mantissas are from 0.5 to 1.

    Raises:
        RuntimeError: the dtype is not floating point.

    >>> import tapegrad as torch
    >>> torch.frexp(torch.tensor([1.0, 10.0])).exponent
    tensor([1, 4], dtype=torch.int32)
    """
    if x.dtype.kind != "f" and dtypes.of(x.dtype).kind != dtypes.FLOAT:
        raise RuntimeError(message("frexp: a floating-point tensor is needed", got=dtypes.of(x.dtype)))
    mantissa, exponent = np.frexp(x.astype(np.float32) if x.itemsize < 4 else x)
    exponent = np.where(np.isfinite(mantissa), exponent, 0).astype(np.int32)
    return np.asarray(mantissa).astype(x.dtype, copy=False), exponent


@op(node="DivBackward0")
def _scaled_down(x: Array, exponent: Array):
    """`x / 2**exponent`."""
    wide = x.astype(np.float32) if x.itemsize < 4 else x
    return np.asarray(np.ldexp(wide, -exponent)).astype(x.dtype, copy=False)


@frexp.grad
@_scaled_down.grad
def _(g, exponent):
    return _scaled_down(g, exponent)


frexp.shape(lambda x: x)
_scaled_down.shape(lambda x, exponent: x)


def ldexp_(self, other):
    """In-place form of `ldexp`."""
    return self.mul_(pow(2.0, other))


def float_power_(self, exponent):
    """In-place form of `float_power`, of double precision alone."""
    if self.array.dtype != np.float64:
        raise RuntimeError(message("float_power_: the result has double precision", got=self.dtype, fix="x.double()"))
    return self.pow_(exponent.to(dtypes.float64) if isinstance(exponent, Tensor) else float(exponent))


def pow_(self, exponent):
    """In-place form of `pow`."""
    number = exponent.__class__ in (int, float) and self.array.dtype.kind == "f"
    return _power_of_inplace(self, float(exponent)) if number else _power_inplace(self, exponent)


_power_of_inplace, _power_inplace = make_inplace(_power_of, "pow_"), make_inplace(_power, "pow_")
Tensor.pow_ = pow_
Tensor.pow, Tensor.float_power, Tensor.ldexp = pow, float_power, ldexp
Tensor.float_power_, Tensor.ldexp_ = float_power_, ldexp_
