"""`autocast`: the switch. Which operations it concerns is written beside them, see `ops/casting`."""

from __future__ import annotations

import copy
import functools
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from typing import Any

import numpy as np

from .. import devices, dtypes
from ..core.tensor import Tensor
from ..errors import message
from ..ops import casting
from ..ops.casting import FLOATS, Setting, setting

__all__ = ["autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]

SUPPORTED = (dtypes.bfloat16, dtypes.float16)
_lower = {"cpu": dtypes.bfloat16, "cuda": dtypes.float16}  # the lower type by device, unless an autocast gives its own
_caching: ContextVar[bool] = ContextVar("tapegrad_autocast_caching", default=True)
_cache: ContextVar[dict | None] = ContextVar("tapegrad_autocast_cache", default=None)  # of the outermost autocast


class autocast:
    """Run products of matrices and convolutions in bfloat16, and losses in float32, whatever the types of operands.

    A context manager and a decorator. No tensor changes its type, parameters neither: an operation converts its
    operands, and their gradients are converted back. Blocks nest; the inner one holds.

    Args:
        device_type: "cpu". There is no other device here: "cuda" warns and does nothing.
        dtype: the lower type, bfloat16 (the default on the CPU) or float16; any other warns and does nothing.
        enabled: whether to do anything.
        cache_enabled: convert a parameter once only, in all of the outermost block.

    Raises:
        ValueError: `device_type` is no string.
        RuntimeError: `device_type` is no device.

    >>> import tapegrad as torch
    >>> x = torch.ones(2, 2)
    >>> with torch.autocast("cpu"):
    ...     y = x @ x
    >>> y.dtype, (y + x).dtype
    (torch.bfloat16, torch.float32)
    """

    def __init__(
        self,
        device_type: str,
        dtype: dtypes.dtype | None = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ):
        self.device = _device(device_type)
        self.fast_dtype = get_autocast_dtype(self.device) if dtype is None else dtype
        self._cache_enabled = is_autocast_cache_enabled() if cache_enabled is None else cache_enabled
        problem = ""
        if self.device != "cpu":
            problem = f"there is no device {self.device!r} here"
        elif self.fast_dtype not in SUPPORTED:
            problem = f"{self.fast_dtype} is not supported, {' and '.join(map(str, SUPPORTED))} are"
        if enabled and problem:
            warnings.warn(f"autocast does nothing: {problem}", UserWarning, stacklevel=2)
        self._enabled = enabled and not problem
        self._before: list[tuple[Setting | None, dict | None]] = []

    def __enter__(self) -> autocast:
        self._before.append((setting.get(), _cache.get()))
        if _cache.get() is None:
            _cache.set({})
        casting.on.append(None)
        setting.set(Setting(self.fast_dtype, _cache.get() if self._cache_enabled else None) if self._enabled else None)
        return self

    def __exit__(self, *exc: object) -> None:
        outer, cache = self._before.pop()
        setting.set(outer)
        _cache.set(cache)
        casting.on.pop()

    def __call__(self, function: Callable) -> Callable:
        @functools.wraps(function)
        def decorated(*args: Any, **kwargs: Any) -> Any:
            block = copy.copy(self)
            block._before = []  # not shared between threads
            with block:
                return function(*args, **kwargs)

        return decorated


def _device(device_type: str) -> str:
    if not isinstance(device_type, str):
        text = message("autocast: device_type must be a str", got=type(device_type).__name__, expected="'cpu'")
        raise ValueError(text)
    return devices.device(device_type).type


# ---- the state ---------------------------------------------------------------------------------------------------


def is_autocast_available(device_type: str) -> bool:
    """Whether `autocast` takes this device: the CPU, and CUDA for programs that name it.

    >>> import tapegrad as torch
    >>> torch.amp.is_autocast_available("cpu")
    True
    """
    return _device(device_type) in _lower


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether an autocast for this device is on.

    >>> import tapegrad as torch
    >>> with torch.autocast("cpu"):
    ...     torch.is_autocast_enabled("cpu")
    True
    """
    return _device(device_type) == "cpu" and setting.get() is not None


def set_autocast_enabled(device_type: Any, enabled: bool | None = None) -> None:
    """Turn autocast on or off without a block; `set_autocast_enabled(enabled)` is for CUDA."""
    if enabled is None:
        device_type, enabled = "cuda", device_type
    if _device(device_type) != "cpu":
        return
    if enabled and setting.get() is None:
        casting.on.append(None)  # for good: blocks count their own entries
        setting.set(Setting(_lower["cpu"], _cache.get()))
    elif not enabled:
        setting.set(None)


def get_autocast_dtype(device_type: str) -> dtypes.dtype:
    """The lower type: that of the innermost autocast that is on, or else the device's.

    >>> import tapegrad as torch
    >>> torch.get_autocast_dtype("cpu")
    torch.bfloat16
    """
    device, now = _device(device_type), setting.get()
    return now.dtype if now is not None and device == "cpu" else _lower.get(device, dtypes.float16)


def set_autocast_dtype(device_type: str, dtype: dtypes.dtype) -> None:
    """Set the lower type of a device."""
    device, now = _device(device_type), setting.get()
    _lower[device] = dtype
    if now is not None and device == "cpu":
        setting.set(now._replace(dtype=dtype))


def is_autocast_cache_enabled() -> bool:
    """Whether an autocast converts a parameter once only."""
    return _caching.get()


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Set whether an autocast converts a parameter once only."""
    _caching.set(bool(enabled))


def clear_autocast_cache() -> None:
    """Forget the converted parameters."""
    cache = _cache.get()
    if cache is not None:
        cache.clear()


# ---- functions with a backward of their own ------------------------------------------------------------------------


def custom_fwd(fwd: Callable | None = None, *, device_type: str, cast_inputs: dtypes.dtype | None = None) -> Callable:
    """Say how the `forward` of an `autograd.Function` behaves under autocast.

    Args:
        fwd: the function that is decorated.
        device_type: "cpu".
        cast_inputs: under autocast, convert floating-point arguments (not float64) to this type, and run with autocast
            off; by default it runs as it is called.

    >>> import tapegrad as torch
    >>> class Product(torch.autograd.Function):
    ...     @staticmethod
    ...     @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)
    ...     def forward(ctx, x, y):
    ...         return x @ y
    >>> with torch.autocast("cpu"):
    ...     Product.apply(torch.ones(1, 1), torch.ones(1, 1)).dtype
    torch.float32
    """
    _device(device_type)
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def decorated(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        ctx._dtype = get_autocast_dtype(device_type)
        ctx._fwd_used_autocast = is_autocast_enabled(device_type) and cast_inputs is None
        if cast_inputs is None or not is_autocast_enabled(device_type):
            return fwd(ctx, *args, **kwargs)
        with autocast(device_type, enabled=False):
            return fwd(ctx, *_converted(args, cast_inputs), **_converted(kwargs, cast_inputs))

    return decorated


def custom_bwd(bwd: Callable | None = None, *, device_type: str) -> Callable:
    """Run the `backward` of an `autograd.Function` under the autocast that its `forward` (`custom_fwd`) ran under."""
    _device(device_type)
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def decorated(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        with autocast(device_type, enabled=ctx._fwd_used_autocast, dtype=ctx._dtype):
            return bwd(ctx, *args, **kwargs)

    return decorated


def _converted(value: Any, dtype: dtypes.dtype) -> Any:
    """Tensors in a structure of containers, converted."""
    if isinstance(value, Tensor):
        return value.to(dtype) if value.dtype in FLOATS else value
    if isinstance(value, (str, bytes, np.ndarray)):
        return value
    if isinstance(value, Mapping):
        return {_converted(k, dtype): _converted(v, dtype) for k, v in value.items()}
    if isinstance(value, Iterable):
        found = (_converted(v, dtype) for v in value)
        return type(value)(found) if isinstance(value, (list, tuple)) else list(found)
    return value
