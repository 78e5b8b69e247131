"""Methods that are functions at the top level too (`torch.abs_(x)` is `x.abs_()`), and settings without effect here.

Loaded when one of them is asked for.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable
from typing import Any

from .. import devices, modes
from ..core.tensor import Tensor
from ..errors import message
from .creation.values import check_device
from .shape.joining import stack


def __getattr__(name: str) -> Callable:
    """A method as a function."""
    method = getattr(Tensor, name, None)
    if name.startswith("__") or not callable(method):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def function(input: Tensor, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(input, Tensor):
            raise TypeError(message(f"{name}: the argument 'input' must be a tensor", got=type(input).__name__))
        return method(input, *args, **kwargs)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"The method `Tensor.{name}` as a function."
    globals()[name] = function
    return function


def get_default_device() -> devices.device:
    """The device of new tensors: always the CPU.

    >>> import tapegrad as torch
    >>> torch.get_default_device()
    device(type='cpu')
    """
    return devices.CPU


def set_default_device(device: Any) -> None:
    """Choose the device of new tensors, of which there is one.

    Args:
        device: "cpu" or None.

    Raises:
        RuntimeError: any other device.

    >>> import tapegrad as torch
    >>> torch.set_default_device("cpu")
    """
    check_device("set_default_device", device)


def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` was given last ("highest" at first)."""
    return modes.settings.matmul_precision


def set_float32_matmul_precision(precision: str) -> None:
    """Allow less than float32 in products of float32 matrices: a permission that nothing here makes use of.

    Args:
        precision: "highest", "high" or "medium"; anything else is warned about and changes nothing.

    >>> import tapegrad as torch
    >>> torch.set_float32_matmul_precision("high")
    >>> torch.get_float32_matmul_precision()
    'high'
    >>> torch.set_float32_matmul_precision("highest")
    """
    if precision in ("highest", "high", "medium"):
        modes.settings.matmul_precision = precision
    else:
        what = "set_float32_matmul_precision: no such precision, nothing is changed"
        warnings.warn(message(what, got=repr(precision), expected="highest, high or medium"), stacklevel=2)


def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """The powers of numbers as rows, from the highest down to 0: (n,) gives (n, N).

    Args:
        x: (n,).
        N: how many (default: n).
        increasing: from 0 up instead.

    Raises:
        RuntimeError: `x` has not one dimension, or N is negative.

    >>> import tapegrad as torch
    >>> torch.vander(torch.tensor([1, 2, 3]), 2)
    tensor([[1, 1],
            [2, 1],
            [3, 1]])
    """
    if x.ndim != 1:
        raise RuntimeError(message("vander: x must have one dimension", got=f"shape {tuple(x.shape)}"))
    count = len(x) if N is None else operator.index(N)
    if count < 0:
        raise RuntimeError(message("vander: N must not be negative", got=count))
    if count == 0:
        return x.new_empty((len(x), 0))
    powers = [x.new_ones((len(x),))]
    for _ in range(count - 1):
        powers.append(powers[-1] * x)
    return stack(powers if increasing else powers[::-1], 1)
