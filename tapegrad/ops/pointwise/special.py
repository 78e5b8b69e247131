"""Special functions of one variable, elementwise: the normal distribution, modified Bessel functions I, entropy.

The error functions and the logarithm of the gamma function are in `functions`, those of two variables in `gammas`, the
rare ones in `bessel` and `polynomials`.

Sources: NIST Digital Library of Mathematical Functions, chapters 7 (error functions) and 10 (Bessel functions).
"""

from __future__ import annotations

import math
from typing import Any

from ...core.op import elementwise
from ...core.tensor import Tensor
from ...errors import message
from ...ir import expr as e
from .compare import where
from .functions import TWO_OVER_SQRT_PI, abs, exp, log, log1p, sign

__all__ = ["i0"]

SQRT_TWO_PI, SQRT_HALF = math.sqrt(2 * math.pi), math.sqrt(0.5)
SMALL = 2.0**-52  # nearer to 0 than this the slope of i1 is taken to be that at 0

# ---- the normal distribution ---------------------------------------------------------------------------------------


@elementwise(name="special_erfcx", method=False, inplace=False, refuses="c")
def erfcx(x):
    """The scaled complement of the error function, `exp(x * x) * erfc(x)`, elementwise, without overflow.

    >>> import tapegrad as torch
    >>> torch.special.erfcx(torch.tensor([0.0, 10.0]))
    tensor([1.0000, 0.0561])
    """
    return e.erfcx(x)


@erfcx.grad
def _(g, x, out):
    return g * (2 * x * out - TWO_OVER_SQRT_PI)


@elementwise(name="special_ndtr", node="MulBackward1", method=False, inplace=False, refuses="c")
def ndtr(x):
    """The probability that a standard normal variable is below `x`, elementwise.

    >>> import tapegrad as torch
    >>> torch.special.ndtr(torch.tensor([0.0, 1.0]))
    tensor([0.5000, 0.8413])
    """
    return e.ndtr(x)


@ndtr.grad
def _(g, x):
    return g * (exp(-0.5 * (x * x)) / SQRT_TWO_PI)


@elementwise(name="special_log_ndtr", method=False, inplace=False, refuses="c")
def log_ndtr(x):
    """The logarithm of `ndtr`, elementwise, also where `ndtr` is too small for floating point.

    >>> import tapegrad as torch
    >>> torch.special.log_ndtr(torch.tensor([-9.0, 0.0]))
    tensor([-43.6282,  -0.6931])
    """
    return e.log_ndtr(x)


@log_ndtr.grad
def _(g, x):
    return g / (erfcx(-SQRT_HALF * x) * (SQRT_TWO_PI / 2))


@elementwise(name="special_ndtri", method=False, inplace=False, refuses="c")
def ndtri(x):
    """The number below which a standard normal variable is with probability `x`, elementwise; NaN outside [0, 1].

    >>> import tapegrad as torch
    >>> torch.special.ndtri(torch.tensor([0.5, 0.975]))
    tensor([0.0000, 1.9600])
    """
    return e.ndtri(x)


@ndtri.grad
def _(g, out):
    return g * (SQRT_TWO_PI * exp(0.5 * (out * out)))


# ---- modified Bessel functions of the first kind -------------------------------------------------------------------


@elementwise(refuses="c")
def i0(x):
    """The modified Bessel function of the first kind, order 0, elementwise.

    >>> import tapegrad as torch
    >>> torch.i0(torch.tensor([0.0, 1.0]))
    tensor([1.0000, 1.2661])
    """
    return e.i0(x)


@i0.grad
def _(g, x):
    return g * i1(x)


@elementwise(name="special_i0e", method=False, inplace=False, refuses="c")
def i0e(x):
    """`exp(-abs(x)) * i0(x)`, elementwise, without overflow.

    >>> import tapegrad as torch
    >>> torch.special.i0e(torch.tensor([0.0, 1000.0]))
    tensor([1.0000, 0.0126])
    """
    return e.i0e(x)


@i0e.grad
def _(g, x, out):
    return g * (i1e(x) - sign(x) * out)


@elementwise(name="special_i1", method=False, inplace=False, refuses="c")
def i1(x):
    """The modified Bessel function of the first kind, order 1, elementwise.

    >>> import tapegrad as torch
    >>> torch.special.i1(torch.tensor([0.0, 1.0]))
    tensor([0.0000, 0.5652])
    """
    return e.i1(x)


@i1.grad
def _(g, x, out):
    away = abs(x) > SMALL
    y = where(away, x, 1.0)
    return g * where(away, i0(y) - out / y, 0.5)


@elementwise(name="special_i1e", method=False, inplace=False, refuses="c")
def i1e(x):
    """`exp(-abs(x)) * i1(x)`, elementwise, without overflow.

    >>> import tapegrad as torch
    >>> torch.special.i1e(torch.tensor([0.0, 1000.0]))
    tensor([0.0000, 0.0126])
    """
    return e.i1e(x)


@i1e.grad
def _(g, x, out):
    away = abs(x) > SMALL
    y = where(away, x, 1.0)
    return g * where(away, i0e(y) - out * (sign(y) + 1 / y), 0.5)


# ---- entropy -------------------------------------------------------------------------------------------------------


@elementwise(name="special_entr", method=False, inplace=False, refuses="c")
def entr(x):
    """The entropy of one outcome, `-x * log(x)`, elementwise; 0 at 0, and -inf below.

    >>> import tapegrad as torch
    >>> torch.special.entr(torch.tensor([0.0, 0.5]))
    tensor([0.0000, 0.3466])
    """
    return e.where(x > 0, -x * e.log(x), e.where(x == 0, x * 0.0, e.where(x < 0, float("-inf"), x)))


@entr.grad
def _(g, x):
    return -g * (1 + log(x))


@elementwise(name="special_xlog1py", method=False, inplace=False, numbers="all", refuses="c")
def _xlog1py(x, y):
    return e.where(y != y, y, e.where(x == 0, 0.0, x * e.log1p(y)))


@_xlog1py.grad("x")
def _(g, x, y):
    return g * where((x == 0) & (y <= -1), 0, log1p(y))


@_xlog1py.grad("y")
def _(g, x, y):
    return g * (x / (y + 1))


def xlog1py(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """`x * log1p(y)`, elementwise, and 0 where `x` is 0 (NaN where `y` is NaN).

    Args:
        input, other: x and y, tensors or numbers.
        out: where to put the result.

    Raises:
        TypeError: neither is a tensor.

    >>> import tapegrad as torch
    >>> torch.special.xlog1py(torch.tensor([0.0, 2.0]), torch.tensor([-1.0, 0.0]))
    tensor([0., 0.])
    """
    if not isinstance(input, Tensor) and not isinstance(other, Tensor):
        got = f"{type(input).__name__} and {type(other).__name__}"
        raise TypeError(message("xlog1py: one operand must be a tensor", got=got))
    return _xlog1py(input, other) if out is None else _xlog1py(input, other, out=out)


modified_bessel_i0, modified_bessel_i1 = i0, i1
