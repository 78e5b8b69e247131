"""Functions of two variables around the gamma function, elementwise: incomplete, of several dimensions, zeta."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ... import dtypes
from ...backends.cpu import gammas as kernels
from ...backends.cpu import polygamma, special
from ...core.dispatch import common_dtype
from ...core.op import Array, make_inplace, op
from ...core.tensor import Tensor, wrap
from ...errors import message
from ...modes import defaults
from ...shapes import broadcast
from ..creation.cast import to_dtype
from .functions import exp, lgamma
from .powers import xlogy

__all__ = ["igamma", "igammac", "mvlgamma"]


def together(where: str, x: Any, y: Any, numbers: bool = True) -> list[Tensor]:
    """Two operands as tensors of the floating-point type in which they meet.

    Raises:
        TypeError: no tensor among them, or a number where a tensor is needed.
        NotImplementedError: complex numbers; without `numbers`, integers too.
    """
    tensors = [isinstance(v, Tensor) for v in (x, y)]
    if not (any(tensors) if numbers else all(tensors)):
        got = f"{type(x).__name__} and {type(y).__name__}"
        raise TypeError(message(f"{where}: {'one operand' if numbers else 'both operands'} must be a tensor", got=got))
    d = common_dtype([x, y])
    if d.is_complex or (d.kind < dtypes.FLOAT and not numbers):
        raise NotImplementedError(message(f"{where}: not defined for {d}", fix="convert with .to(...)"))
    if d.kind < dtypes.FLOAT:
        d = defaults.dtype
    return [to_dtype(v, d) if isinstance(v, Tensor) else wrap(np.array(v, d.numpy)) for v in (x, y)]


def _no_derivative(where: str, operand: str) -> NotImplementedError:
    what = f"{where}: there is no derivative with respect to the {operand} operand"
    return NotImplementedError(message(what, fix="detach() it"))


# ---- incomplete gamma functions ------------------------------------------------------------------------------------


@op(name="igamma")
def _igamma(x: Array, y: Array):
    return kernels.igamma(x, y)


@op(name="igammac")
def _igammac(x: Array, y: Array):
    return kernels.igammac(x, y)


def _density(x, y):
    return exp(xlogy(x - 1, y) - y - lgamma(x))


@_igamma.grad("y")
def _(g, x, y):
    return g * _density(x, y)


@_igammac.grad("y")
def _(g, x, y):
    return -g * _density(x, y)


@_igamma.grad("x")
def _(g):
    raise _no_derivative("igamma", "first")


@_igammac.grad("x")
def _(g):
    raise _no_derivative("igammac", "first")


def igamma(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The lower incomplete gamma function, regularized: the integral of `t**(a - 1) exp(-t)` from 0 to `x`, divided
    by `gamma(a)`, elementwise.

    Args:
        input: a, not negative.
        other: x, not negative; the shapes broadcast.
        out: where to put the result.

    Raises:
        NotImplementedError: integers; a derivative with respect to a.

    >>> import tapegrad as torch
    >>> torch.igamma(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0]))
    tensor([0.6321, 0.5940])
    """
    a, x = together("igamma", input, other, numbers=False)
    return _igamma(a, x) if out is None else _igamma(a, x, out=out)


def igammac(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The upper incomplete gamma function, regularized: `1 - igamma(a, x)`, elementwise, accurate where it is small.

    Args:
        input, other, out: as for `igamma`.

    >>> import tapegrad as torch
    >>> torch.igammac(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0]))
    tensor([0.3679, 0.4060])
    """
    a, x = together("igammac", input, other, numbers=False)
    return _igammac(a, x) if out is None else _igammac(a, x, out=out)


# ---- several dimensions --------------------------------------------------------------------------------------------


@op(method=True, inplace=True)
def mvlgamma(x: Array, p):
    """The logarithm of the gamma function of p dimensions, elementwise:
    `p (p - 1) / 4 log(pi) + sum of lgamma(x - j / 2) over j = 0 ... p - 1`.

    Args:
        input: above (p - 1) / 2.
        p: the number of dimensions, 1 or more.

    Raises:
        RuntimeError: p is below 1, or the tensor is bool.

    >>> import tapegrad as torch
    >>> torch.mvlgamma(torch.tensor([2.0, 3.0]), 2)
    tensor([0.4516, 1.5502])
    """
    try:
        p = operator.index(p)
    except TypeError:
        raise TypeError(message("mvlgamma: p must be an integer", got=repr(p))) from None
    if p < 1:
        raise RuntimeError(message("mvlgamma: p must be 1 or more", got=p))
    if x.dtype.kind in "bc":
        raise RuntimeError(message(f"mvlgamma: not defined for {dtypes.of(x.dtype)}", fix="convert with .float()"))
    if x.dtype.kind in "iu":
        x = x.astype(defaults.numpy)
    return (_terms(special.lgamma, x, p) + p * (p - 1) * math.log(math.pi) / 4).astype(x.dtype)


def _terms(function: Callable[[Array], Array], x: Array, p: int) -> Array:
    """The sum of function(x - j / 2), in float64."""
    wide = x.astype(np.float64)
    total = function(wide)
    for j in range(1, p):
        total = total + function(np.asarray(wide - j / 2))
    return total


@mvlgamma.grad
def _(g, x, p):
    return g * _multigamma(x, p, 0)


@op(node="DigammaBackward0")
def _multigamma(x: Array, p, n):
    """The sum of the n-th derivative of digamma at x - j / 2."""
    slope = partial(polygamma.polygamma, n) if n else special.digamma
    return _terms(slope, x, p).astype(x.dtype)


@_multigamma.grad
def _(g, x, p, n):
    return g * _multigamma(x, p, n + 1)


mvlgamma.shape(lambda x, p: x)
_multigamma.shape(lambda x, p, n: x)


# ---- zeta ----------------------------------------------------------------------------------------------------------


@op(name="special_zeta")
def _zeta(x: Array, y: Array):
    return kernels.zeta(x, y)


@_zeta.grad("x")
def _(g):
    raise _no_derivative("zeta", "first")


@_zeta.grad("y")
def _(g, x, y):
    return g * (-x * _zeta(x + 1, y))


def zeta(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """Hurwitz's zeta function, the sum of `(q + k)**-s` over k = 0, 1, ..., elementwise.

    Args:
        input: s, a tensor or a number; infinite at 1 and NaN below.
        other: q, a tensor or a number; infinite at 0, -1, ...
        out: where to put the result.

    Raises:
        NotImplementedError: a derivative with respect to s.

    >>> import tapegrad as torch
    >>> torch.special.zeta(torch.tensor([2.0, 4.0]), 1)
    tensor([1.6449, 1.0823])
    """
    s, q = together("zeta", input, other)
    return _zeta(s, q) if out is None else _zeta(s, q, out=out)


for _f in (_igamma, _igammac, _zeta):
    _f.shape(lambda x, y: broadcast("special function", x, y))
multigammaln, gammainc, gammaincc = mvlgamma, igamma, igammac
make_inplace(_igamma)
make_inplace(_igammac)
Tensor.igamma, Tensor.igammac = igamma, igammac  # type: ignore[attr-defined]
