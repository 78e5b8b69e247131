"""The greater, the smaller and the bounded: `maximum`, `minimum`, `clamp` and their relatives."""

from __future__ import annotations

from typing import Any

from ...core.op import elementwise, make_inplace
from ...core.tensor import Tensor
from ...errors import message
from ...ir import expr as e
from .compare import where

__all__ = "clamp clamp_max clamp_min clip fmax fmin heaviside maximum minimum".split()

# ---- the greater, the smaller, the bounded -------------------------------------------------------------------------


@elementwise(inplace=False, numbers="none")
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


@elementwise(inplace=False, numbers="none")
def minimum(x, y):
    """The smaller of `x` and `y`, elementwise; NaN if either is. Equal elements share the gradient."""
    return e.minimum(x, y)


@minimum.grad("x")
def _(g, x, y):
    return where(x == y, g / 2, where(x > y, 0, g))


@minimum.grad("y")
def _(g, x, y):
    return where(x == y, g / 2, where(x < y, 0, g))


@elementwise(inplace=False, numbers="none")
def fmax(x, y):
    """The greater of `x` and `y`, elementwise; where one is NaN, the other."""
    return e.fmax(x, y)


@fmax.grad("x")
def _(g, x, y):
    return where((x >= y) | (y != y), g, 0)


@fmax.grad("y")
def _(g, x, y):
    return where((x >= y) | (y != y), 0, g)


@elementwise(inplace=False, numbers="none")
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


@elementwise(method=False, inplace=False, node="ClampBackward1", numbers="all")
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


_IN_PLACE = {f: make_inplace(f, "clamp_") for f in (_at_least, _at_most, _between)}
for _f in (clamp_min, clamp_max):
    make_inplace(_f)
    setattr(Tensor, _f.op.name, _f)
clamp.op = _between.op  # type: ignore[attr-defined]


@elementwise(nondiff=True, numbers="none")
def heaviside(x, values):
    """0 where `x < 0`, 1 where `x > 0`, `values` where `x == 0`, elementwise."""
    return e.where(x == 0, values, e.where(x > 0, 1, 0))


clip = clamp
Tensor.clamp = Tensor.clip = clamp
Tensor.clamp_ = Tensor.clip_ = _clamp_
