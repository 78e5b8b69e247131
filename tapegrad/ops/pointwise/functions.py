"""Functions of one variable, elementwise: one scalar expression each, with its derivative.

The trigonometric and hyperbolic ones are in `trigonometry`.
"""

from __future__ import annotations

import builtins
import math

from ...backends.cpu import polygamma as derivatives
from ...backends.cpu import repair
from ...core.op import Array, elementwise, make_inplace, op
from ...core.tensor import Tensor
from ...dtypes import INT
from ...errors import message
from ...ir import expr as e
from ...modes import defaults
from .compare import isfinite, where

LN2, LN10 = math.log(2), math.log(10)
TWO_OVER_SQRT_PI, HALF_SQRT_PI = 2 / math.sqrt(math.pi), math.sqrt(math.pi) / 2

__all__ = (
    "abs absolute ceil digamma erf erfc erfinv exp exp2 expm1 fix floor frac lgamma log log10 log1p log2 logit "
    "nan_to_num neg negative polygamma positive reciprocal round rsqrt sgn sigmoid sign sqrt square trunc"
).split()

# ---- sign and simple powers ----------------------------------------------------------------------------------------


@elementwise(refuses="B")
def neg(x):
    """`-x`, elementwise.

    >>> import tapegrad as torch
    >>> torch.neg(torch.tensor([1.0, -2.0]))
    tensor([-1.,  2.])
    """
    return -x


@neg.grad
def _(g):
    return -g


@elementwise(refuses="b", holomorphic=False)
def abs(x):
    """The magnitude of `x`, elementwise; of complex numbers it is real.

    >>> import tapegrad as torch
    >>> torch.abs(torch.tensor([-1.5, 2.0]))
    tensor([1.5000, 2.0000])
    """
    return e.abs(x)


@abs.grad
def _(g, x):
    return g * sgn(x)


@elementwise(refuses="c")
def sign(x):
    """-1, 0 or 1 by the sign of `x`, elementwise.

    >>> import tapegrad as torch
    >>> torch.sign(torch.tensor([-3.0, 0.0, 2.0]))
    tensor([-1.,  0.,  1.])
    """
    return e.sign(x)


@sign.grad
def _(g):
    return g * 0


@elementwise(holomorphic=False)
def sgn(x):
    """`x / abs(x)`, 0 at 0, elementwise: the sign of real numbers, the direction of complex ones.

    >>> import tapegrad as torch
    >>> torch.sgn(torch.tensor([3 + 4j, 0j]))
    tensor([0.6000+0.8000j, 0.0000+0.0000j])
    """
    return e.sign(x)


@sgn.grad  # of the gradient the part across the number stays
def _(g, x):
    if not (getattr(x.dtype, "kind", "") == "c" or getattr(x.dtype, "is_complex", False)):
        return g * 0
    size, out = abs(x), sgn(x)
    across = g - out * (g * out.conj()).real
    return where(size == 0, 0.0, across / where(size == 0, 1.0, size))


@elementwise(node="PowBackward0")
def square(x):
    """`x**2`, elementwise.

    >>> import tapegrad as torch
    >>> torch.square(torch.tensor([-2.0, 3.0]))
    tensor([4., 9.])
    """
    return x * x


square.op.least = INT  # bools become integers


@square.grad
def _(g, x):
    return g * (2 * x)


@elementwise
def reciprocal(x):
    """`1 / x`, elementwise.

    >>> import tapegrad as torch
    >>> torch.reciprocal(torch.tensor([2.0, 4.0]))
    tensor([0.5000, 0.2500])
    """
    return 1 / x


@reciprocal.grad
def _(g, out):
    return -g * (out * out)


@elementwise
def sqrt(x):
    """The square root, elementwise; NaN for negative numbers.

    >>> import tapegrad as torch
    >>> torch.sqrt(torch.tensor([4.0, 9.0]))
    tensor([2., 3.])
    """
    return e.sqrt(x)


@sqrt.grad
def _(g, out):
    return g / (2 * out)


@elementwise
def rsqrt(x):
    """`1 / sqrt(x)`, elementwise.

    >>> import tapegrad as torch
    >>> torch.rsqrt(torch.tensor([4.0, 16.0]))
    tensor([0.5000, 0.2500])
    """
    return 1 / e.sqrt(x)


@rsqrt.grad
def _(g, out):
    return -0.5 * g * (out * out * out)


# ---- exponentials and logarithms -----------------------------------------------------------------------------------


@elementwise
def exp(x):
    """`e**x`, elementwise.

    >>> import tapegrad as torch
    >>> torch.exp(torch.tensor([0.0, 1.0]))
    tensor([1.0000, 2.7183])
    """
    return e.exp(x)


@exp.grad
def _(g, out):
    return g * out


@elementwise
def exp2(x):
    """`2**x`, elementwise.

    >>> import tapegrad as torch
    >>> torch.exp2(torch.tensor([0.0, 3.0]))
    tensor([1., 8.])
    """
    return e.exp2(x)


@exp2.grad
def _(g, out):
    return g * (out * LN2)


@elementwise
def expm1(x):
    """`e**x - 1`, elementwise, accurate for small `x`."""
    return e.expm1(x)


@expm1.grad
def _(g, out):
    return g * (out + 1)


@elementwise
def log(x):
    """The natural logarithm, elementwise; -inf at 0 and NaN below.

    >>> import tapegrad as torch
    >>> torch.log(torch.tensor([1.0, 10.0]))
    tensor([0.0000, 2.3026])
    """
    return e.log(x)


@log.grad
def _(g, x):
    return g / x


@elementwise
def log2(x):
    """The logarithm to base 2, elementwise."""
    return e.log2(x)


@log2.grad
def _(g, x):
    return g / (x * LN2)


@elementwise
def log10(x):
    """The logarithm to base 10, elementwise."""
    return e.log10(x)


@log10.grad
def _(g, x):
    return g / (x * LN10)


@elementwise
def log1p(x):
    """`log(1 + x)`, elementwise, accurate for small `x`."""
    return e.log1p(x)


@log1p.grad
def _(g, x):
    return g / (x + 1)


@elementwise
def sigmoid(x):
    """The logistic function `1 / (1 + exp(-x))`, elementwise.

    >>> import tapegrad as torch
    >>> torch.sigmoid(torch.tensor([0.0, 2.0]))
    tensor([0.5000, 0.8808])
    """
    return 1 / (1 + e.exp(-x))


@sigmoid.grad
def _(g, out):
    return g * (out * (1 - out))


# ---- rounding ------------------------------------------------------------------------------------------------------


@elementwise(refuses="b")
def floor(x):
    """The greatest integer not above `x`, elementwise.

    >>> import tapegrad as torch
    >>> torch.floor(torch.tensor([-1.5, 1.5]))
    tensor([-2.,  1.])
    """
    return e.floor(x)


@floor.grad
def _(g):
    return g * 0


@elementwise(refuses="b")
def ceil(x):
    """The smallest integer not below `x`, elementwise."""
    return e.ceil(x)


@ceil.grad
def _(g):
    return g * 0


@elementwise(refuses="b")
def trunc(x):
    """`x` rounded towards zero, elementwise."""
    return e.trunc(x)


@trunc.grad
def _(g):
    return g * 0


@elementwise(refuses="biu")
def frac(x):
    """`x - trunc(x)`, elementwise."""
    return x - e.trunc(x)


@frac.grad
def _(g):
    return g


# ---- error and gamma functions -------------------------------------------------------------------------------------


@elementwise
def erf(x):
    """The error function, elementwise: `2 / sqrt(pi)` times the integral of `exp(-t**2)` from 0 to `x`.

    >>> import tapegrad as torch
    >>> torch.erf(torch.tensor([0.0, 1.0]))
    tensor([0.0000, 0.8427])
    """
    return e.erf(x)


@erf.grad
def _(g, x):
    return g * (TWO_OVER_SQRT_PI * exp(-(x * x)))


@elementwise
def erfc(x):
    """`1 - erf(x)`, elementwise, accurate for large `x`."""
    return e.erfc(x)


@erfc.grad
def _(g, x):
    return -g * (TWO_OVER_SQRT_PI * exp(-(x * x)))


@elementwise
def erfinv(x):
    """The inverse of `erf`, elementwise."""
    return e.erfinv(x)


@erfinv.grad
def _(g, out):
    return g * (HALF_SQRT_PI * exp(out * out))


@elementwise
def lgamma(x):
    """The logarithm of the magnitude of the gamma function, elementwise."""
    return e.lgamma(x)


@lgamma.grad
def _(g, x):
    return g * digamma(x)


@elementwise
def digamma(x):
    """The derivative of `lgamma`, elementwise."""
    return e.digamma(x)


@op(name="polygamma")
def _polygamma(x: Array, n):
    return derivatives.polygamma(n, x if x.dtype.kind == "f" else x.astype(defaults.numpy))


@_polygamma.grad
def _(g, x, n):
    return g * _polygamma(x, n + 1)


@_polygamma.shape
def _(x, n):
    return x


@digamma.grad
def _(g, x):
    return g * _polygamma(x, 1)


def polygamma(n: int, input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The derivative of order `n` of `digamma`, elementwise; `digamma` itself for 0.

    Raises:
        RuntimeError: `n` is negative.

    >>> import tapegrad as torch
    >>> torch.polygamma(1, torch.tensor([1.0, 0.5]))
    tensor([1.6449, 4.9348])
    """
    if n < 0:
        raise RuntimeError(message("polygamma: the order must not be negative", got=n))
    extra = {} if out is None else {"out": out}
    return _polygamma(input, n, **extra) if n else digamma(input, **extra)


# ---- with arguments ------------------------------------------------------------------------------------------------


@elementwise(name="round", refuses="b")
def _round(x):
    return e.round(x)


@_round.grad
def _(g):
    return g * 0


_round_whole = Tensor.round_


def round(input, *, decimals=0, out=None):
    """`input` rounded to the nearest integer, elementwise, halves to even.

    Args:
        decimals: round to this many decimals instead (negative: to tens, hundreds, ...).

    >>> import tapegrad as torch
    >>> torch.round(torch.tensor([0.5, 1.5, -2.7]))
    tensor([ 0.,  2., -3.])
    """
    if decimals == 0:
        return _round(input) if out is None else _round(input, out=out)
    scale = 10.0 ** builtins.abs(decimals)
    scaled = _round(input * scale) / scale if decimals > 0 else _round(input / scale) * scale
    return scaled if out is None else out.copy_(scaled)


@elementwise
def logit(x, eps=None):
    """`log(x / (1 - x))`, elementwise: the inverse of `sigmoid`.

    Args:
        eps: first limit `x` to the range from `eps` to `1 - eps`.
    """
    if eps is not None:
        x = e.minimum(e.maximum(x, eps), 1 - eps)
    return e.log(x / (1 - x))


@logit.grad
def _(g, x, eps):
    slope, edge = g / (x * (1 - x)), 0.0 if eps is None else eps
    return where((x >= edge) & (x <= 1 - edge), slope, math.nan if eps is None else 0)


@op(method=True, inplace=True)
def nan_to_num(x: Array, nan=None, posinf=None, neginf=None):
    """`x` with NaN and infinities replaced, elementwise; in complex numbers both parts.

    Args:
        nan, posinf, neginf: the replacements; by default 0 and the greatest and the smallest number of the dtype.

    >>> import tapegrad as torch
    >>> torch.nan_to_num(torch.tensor([float("nan"), 1.0]))
    tensor([0., 1.])
    """
    return repair.finite(x, nan, posinf, neginf)


@nan_to_num.shape
def _(x, nan=None, posinf=None, neginf=None):
    return x


@nan_to_num.grad
def _(g, x):
    return where(isfinite(x), g, 0)


def positive(input):
    """`input` itself (`+x`).

    Raises:
        RuntimeError: the dtype is bool.
    """
    if input.array.dtype.kind == "b":
        raise RuntimeError(message("positive: not defined for bool tensors", fix="convert with .to(...)"))
    return input


def _round_(self, *, decimals=0):
    """In-place form of `round`."""
    return _round_whole(self) if decimals == 0 else self.copy_(round(self, decimals=decimals))


absolute, negative, fix = abs, neg, trunc

for _second, _first in (
    ("absolute", "abs"),
    ("negative", "neg"),
    ("fix", "trunc"),
):
    setattr(Tensor, _second, getattr(Tensor, _first))
    setattr(Tensor, _second + "_", getattr(Tensor, _first + "_"))

Tensor.__neg__, Tensor.__abs__, Tensor.__pos__ = neg, abs, positive  # type: ignore[attr-defined]
_polygamma_inplace = make_inplace(_polygamma, "polygamma_")
Tensor.polygamma = lambda self, n: polygamma(n, self)  # type: ignore[attr-defined]
Tensor.polygamma_ = lambda self, n: _polygamma_inplace(self, n) if n else self.digamma_()  # type: ignore[attr-defined]
Tensor.round, Tensor.round_, Tensor.positive = round, _round_, positive  # type: ignore[attr-defined]
