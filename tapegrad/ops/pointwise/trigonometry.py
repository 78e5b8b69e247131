"""Trigonometric and hyperbolic functions, elementwise: one scalar expression each, with its derivative."""

from __future__ import annotations

import math

from ...core.op import elementwise
from ...core.tensor import Tensor
from ...ir import expr as e
from .compare import where
from .functions import rsqrt

__all__ = (
    "acos acosh arccos arccosh arcsin arcsinh arctan arctan2 arctanh asin asinh atan atan2 atanh cos cosh deg2rad "
    "hypot rad2deg sin sinc sinh tan tanh"
).split()

# ---- trigonometric and hyperbolic functions -------------------------------------------------------------------------


@elementwise
def sin(x):
    """The sine of angles in radians, elementwise.

    >>> import tapegrad as torch
    >>> torch.sin(torch.tensor([0.0, 1.0]))
    tensor([0.0000, 0.8415])
    """
    return e.sin(x)


@sin.grad
def _(g, x):
    return g * cos(x)


@elementwise
def cos(x):
    """The cosine of angles in radians, elementwise."""
    return e.cos(x)


@cos.grad
def _(g, x):
    return -g * sin(x)


@elementwise
def tan(x):
    """The tangent of angles in radians, elementwise."""
    return e.tan(x)


@tan.grad
def _(g, out):
    return g * (1 + out * out)


@elementwise
def asin(x):
    """The angle whose sine is `x`, elementwise, from -pi/2 to pi/2."""
    return e.asin(x)


@asin.grad
def _(g, x):
    return g * rsqrt(1 - x * x)


@elementwise
def acos(x):
    """The angle whose cosine is `x`, elementwise, from 0 to pi."""
    return e.acos(x)


@acos.grad
def _(g, x):
    return -g * rsqrt(1 - x * x)


@elementwise
def atan(x):
    """The angle whose tangent is `x`, elementwise, from -pi/2 to pi/2."""
    return e.atan(x)


@atan.grad
def _(g, x):
    return g / (x * x + 1)


@elementwise
def sinh(x):
    """The hyperbolic sine, elementwise."""
    return e.sinh(x)


@sinh.grad
def _(g, x):
    return g * cosh(x)


@elementwise
def cosh(x):
    """The hyperbolic cosine, elementwise."""
    return e.cosh(x)


@cosh.grad
def _(g, x):
    return g * sinh(x)


@elementwise
def tanh(x):
    """The hyperbolic tangent, elementwise.

    >>> import tapegrad as torch
    >>> torch.tanh(torch.tensor([0.0, 1.0]))
    tensor([0.0000, 0.7616])
    """
    return e.tanh(x)


@tanh.grad  # from `out`, not `x`: one multiply-add instead of cosh, and no overflow
def _(g, out):
    return g * (1 - out * out)


@elementwise
def asinh(x):
    """The inverse of `sinh`, elementwise."""
    return e.asinh(x)


@asinh.grad
def _(g, x):
    return g * rsqrt(x * x + 1)


@elementwise
def acosh(x):
    """The inverse of `cosh`, elementwise; NaN below 1."""
    return e.acosh(x)


@acosh.grad
def _(g, x):
    return g * rsqrt(x * x - 1)


@elementwise
def atanh(x):
    """The inverse of `tanh`, elementwise."""
    return e.atanh(x)


@atanh.grad
def _(g, x):
    return g / (1 - x * x)


# ---- angles and distances ------------------------------------------------------------------------------------------


@elementwise(node="Atan2Backward0", numbers="none")
def atan2(x, y):
    """The angle of the point (`y`, `x`), elementwise, from -pi to pi.

    >>> import tapegrad as torch
    >>> torch.atan2(torch.tensor([1.0]), torch.tensor([1.0]))
    tensor([0.7854])
    """
    return e.atan2(x, y)


@atan2.grad("x")
def _(g, x, y):
    square = x * x + y * y
    return where(square == 0, 0, g * (y / square))


@atan2.grad("y")
def _(g, x, y):
    square = x * x + y * y
    return where(square == 0, 0, -g * (x / square))


@elementwise(numbers="none", refuses="biu")
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
def sinc(x):
    """`sin(pi x) / (pi x)`, elementwise, and 1 at 0."""
    return e.where(x == 0, 1.0, e.sin(math.pi * x) / (math.pi * x))


@sinc.grad
def _(g, x):
    t = math.pi * x
    return where(x == 0, 0, g * ((t * cos(t) - sin(t)) / (t * x)))


@elementwise
def deg2rad(x):
    """Degrees to radians, elementwise."""
    return x * (math.pi / 180)


@deg2rad.grad
def _(g):
    return g * (math.pi / 180)


@elementwise
def rad2deg(x):
    """Radians to degrees, elementwise."""
    return x * (180 / math.pi)


@rad2deg.grad
def _(g):
    return g * (180 / math.pi)


arcsin, arccos, arctan, arcsinh, arccosh, arctanh, arctan2 = asin, acos, atan, asinh, acosh, atanh, atan2

for _second, _first in (
    ("arcsin", "asin"),
    ("arccos", "acos"),
    ("arctan", "atan"),
    ("arcsinh", "asinh"),
    ("arccosh", "acosh"),
    ("arctanh", "atanh"),
    ("arctan2", "atan2"),
):
    setattr(Tensor, _second, getattr(Tensor, _first))
    setattr(Tensor, _second + "_", getattr(Tensor, _first + "_"))
