"""Mixed precision: which operations `torch.autocast` runs in another type, and how.

    @lower                      # in bfloat16 (or the type that autocast was given): products of matrices, convolutions
    @op(method=True)
    def mm(x, mat2): ...

    @full                       # in float32: losses, factorisations, sums of many factors
    def mse_loss(...): ...

Marked are the operations that PyTorch's CPU autocast treats so; all others take what they are given. Where no autocast
is on, a marked operation costs one look at an empty list (60 ns), all others nothing.

Invariant: a marked operation runs with autocast off, so that the parts it is made of keep its type.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NamedTuple

from .. import dtypes
from ..core.tensor import Tensor
from ..modes import is_grad_enabled

FLOATS = (dtypes.float32, dtypes.float16, dtypes.bfloat16)  # what is converted; float64 never is


class Setting(NamedTuple):
    """An autocast that is on."""

    dtype: dtypes.dtype
    cache: dict | None  # parameters in the lower type, for as long as the outermost autocast is on


setting: ContextVar[Setting | None] = ContextVar("tapegrad_autocast", default=None)
on: list[None] = []  # an entry for each open autocast of all threads: the quick test


def lower(function: Callable) -> Callable:
    """Mark an operation that autocast runs in the lower type."""
    return _guarded(function, lambda now: now.dtype)


def full(function: Callable) -> Callable:
    """Mark an operation that autocast runs in float32."""
    return _guarded(function, lambda now: dtypes.float32)


def widest(function: Callable) -> Callable:
    """Mark an operation whose tensors autocast brings to the widest of their types."""
    return _guarded(function, None)


def alone(function: Callable) -> Callable:
    """Mark an operation that autocast leaves alone although it is made of marked ones."""
    return _guarded(function, lambda now: None)


def _guarded(function: Callable, target: Callable[[Setting], dtypes.dtype | None] | None) -> Callable:
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if on and "out" not in kwargs:
            now = setting.get()
            if now is not None:
                dtype = _widest([*args, *kwargs.values()]) if target is None else target(now)
                return _run(function, now, dtype, args, kwargs)
        return function(*args, **kwargs) if kwargs else function(*args)

    for name in ("__name__", "__qualname__", "__doc__", "__module__"):
        setattr(guarded, name, getattr(function, name))
    guarded.__dict__.update(function.__dict__)  # what a declared operation carries: op, grad, shape
    guarded.__dict__.setdefault("__wrapped__", function)
    for name in (function.__name__, getattr(getattr(function, "op", None), "name", "")):
        if Tensor.__dict__.get(name) is function:
            setattr(Tensor, name, guarded)
    return guarded


def _run(function: Callable, now: Setting, dtype: dtypes.dtype | None, args: tuple, kwargs: dict) -> Any:
    token = setting.set(None)
    try:
        if dtype is None:
            return function(*args, **kwargs)
        converted = [_cast(a, dtype, now) for a in args]
        return function(*converted, **{name: _cast(a, dtype, now) for name, a in kwargs.items()})
    finally:
        setting.reset(token)


def _cast(value: Any, dtype: dtypes.dtype, now: Setting) -> Any:
    """A tensor, or those in a list, in the type; anything else as it is."""
    if isinstance(value, Tensor):
        if value.dtype is dtype or value.dtype not in FLOATS:
            return value
        if now.cache is None or dtype is dtypes.float32 or value.dtype is not dtypes.float32:
            return value.to(dtype)
        return _cached(value, dtype, now.cache)
    if value.__class__ in (list, tuple) and any(isinstance(v, Tensor) for v in value):
        return [_cast(v, dtype, now) for v in value]
    return value


def _cached(value: Tensor, dtype: dtypes.dtype, cache: dict) -> Tensor:
    """A parameter in the lower type: converted once, so that its gradient is converted once, too."""
    if not (value.is_leaf and value.requires_grad) or value._view is not None:
        return value.to(dtype)
    key = (id(value), dtype, is_grad_enabled())
    found = cache.get(key)
    if found is None or found[1] != value._version:
        found = cache[key] = (value.to(dtype), value._version, value)  # the value itself, to keep its id its own
    return found[0]


def _widest(values: list) -> dtypes.dtype:
    found = [v.dtype for v in values if isinstance(v, Tensor) and v.dtype in FLOATS]
    return dtypes.float32 if dtypes.float32 in found or len(set(found)) != 1 else found[0]
