"""Equally spaced numbers: `arange`, `linspace`, `logspace`.

Each element is computed from its index, never by adding up steps, so that errors do not grow.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from ... import dtypes
from ...backends.cpu import memory
from ...backends.cpu import ranges as kernels
from ...core.tensor import Tensor
from ...errors import message
from ...modes import defaults
from .cast import as_dtype, check_integers, number
from .values import finish

__all__ = ["arange", "range", "linspace", "logspace"]

MISSING: Any = object()


def _scalar(where: str, value: Any) -> Any:
    """An end of a range as a Python number."""
    if isinstance(value, Tensor):
        if value.array.ndim:
            raise RuntimeError(message(f"{where}: the ends are numbers or 0-d tensors", got=tuple(value.shape)))
        return value.item()
    if isinstance(value, np.generic):
        return value.item()
    if not isinstance(value, int | float | complex):
        raise TypeError(message(f"{where}: the ends must be numbers", got=type(value).__name__))
    return value


def _check_type(where: str, d: dtypes.dtype, refused: str) -> None:
    if d.numpy.kind in refused:
        raise NotImplementedError(message(f"{where}: not defined for {d}", fix="convert the result"))


def arange(
    start: Any = 0, end: Any = MISSING, step: Any = 1, *, out: Tensor | None = None, dtype: Any = None,
    layout: Any = None, device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The numbers `start + i * step` below `end`, for i = 0, 1, ...; `arange(n)` counts from 0 to n - 1.

    Args:
        start: the first number.
        end: the end, not included.
        step: the distance of neighbours; negative to count down.
        out: a tensor to write the result into.
        dtype: by default int64 if all three are integers, else the default dtype.

    Raises:
        RuntimeError: a step of zero or of the wrong sign, or infinite ends.

    >>> import tapegrad as torch
    >>> torch.arange(5)
    tensor([0, 1, 2, 3, 4])
    >>> torch.arange(1, 2.5, 0.5)
    tensor([1.0000, 1.5000, 2.0000])
    """
    if end is MISSING:
        start, end = 0, start
    start, end, step = (_scalar("arange", v) for v in (start, end, step))
    whole = all(isinstance(v, int) for v in (start, end, step))
    if dtype is None and out is None:
        d = dtypes.int64 if whole else defaults.dtype
    else:
        d = as_dtype("arange", dtype) if dtype is not None else out.dtype  # type: ignore[union-attr]
    array = _steps("arange", start, end, step, d)
    return finish("arange", array, device, requires_grad, out, layout)


def _check_range(where: str, start: Any, end: Any, step: Any) -> None:
    if any(isinstance(v, complex) for v in (start, end, step)):
        raise RuntimeError(message(f"{where}: the ends must be real", got=f"{start}, {end}, {step}"))
    if step == 0:
        raise RuntimeError(message(f"{where}: the step is zero", got=f"step={step}"))
    if not (math.isfinite(start) and math.isfinite(end)):
        raise RuntimeError(message(f"{where}: the ends must be finite", got=f"{start} to {end}"))
    if (end - start) * step < 0:
        raise RuntimeError(message(f"{where}: the step leads away from the end", got=f"{start} to {end} by {step}"))


def _steps(where: str, start: Any, end: Any, step: Any, d: dtypes.dtype) -> np.ndarray:
    _check_type(where, d, "bc")
    _check_range(where, start, end, step)
    if d.kind < dtypes.FLOAT:
        for value in (start, end, step):
            check_integers(where, value, value, dtypes.int64)
        first, by = int(start), int(step)
        if d is dtypes.int64:
            if by == 0:
                raise ValueError(message(f"{where}: the step is zero", got=f"a step below 1 for {d}"))
            start, end, step = first, int(end), by
        whole = all(isinstance(v, int) for v in (start, end, step))
        count = -((start - end) // step) if whole else math.ceil((float(end) - start) / step)
        return (first + by * np.arange(count)).astype(d.numpy)
    count = math.ceil((float(end) - start) / step)
    return kernels.steps(start, step, count, d.numpy)


def range(
    start: Any = 0, end: Any = MISSING, step: Any = 1, *, out: Tensor | None = None, dtype: Any = None,
    layout: Any = None, device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The numbers `start + i * step` up to `end`, which is included; deprecated in favour of `arange`."""
    text = message("range includes its end and is deprecated", fix="use torch.arange")
    warnings.warn(text, UserWarning, stacklevel=2)
    if end is MISSING:
        start, end = 0, start
    start, end, step = (_scalar("range", v) for v in (start, end, step))
    d = as_dtype("range", dtype) if dtype is not None else defaults.dtype if out is None else out.dtype
    _check_type("range", d, "bc")
    _check_range("range", start, end, step)
    count = math.floor((end - start) / step) + 1
    array = kernels.steps(start, step, count, memory.FLOAT64 if d.kind == dtypes.INT else d.numpy)
    return finish("range", memory.convert(array, d.numpy), device, requires_grad, out, layout)


def linspace(
    start: Any, end: Any, steps: int, *, out: Tensor | None = None, dtype: Any = None, layout: Any = None,
    device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`steps` numbers from `start` to `end`, both included, at equal distances.

    The first half is counted from the start, the second from the end, so that both ends are exact.

    Args:
        start, end: numbers or 0-d tensors.
        steps: how many.
        out: a tensor to write the result into.
        dtype: by default the default dtype, or its complex companion if an end is complex.

    Raises:
        RuntimeError: a negative number of steps.

    >>> import tapegrad as torch
    >>> torch.linspace(0, 1, 5)
    tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])
    """
    first, last, n, d = _ends("linspace", start, end, steps, out, dtype)
    array = np.full(n, first, d.numpy) if n <= 1 else kernels.between(first, last, n, d.numpy)
    return finish("linspace", array, device, requires_grad, out, layout)


def _ends(
    where: str, start: Any, end: Any, steps: Any, out: Tensor | None, dtype: Any
) -> tuple[Any, Any, int, dtypes.dtype]:
    """The arguments of `linspace` and `logspace`, checked: the ends in the type of the result."""
    start, end = _scalar(where, start), _scalar(where, end)
    if isinstance(steps, bool) or not hasattr(steps, "__index__"):
        raise TypeError(message(f"{where}: the number of steps must be an integer", got=repr(steps)))
    n = int(steps)
    if n < 0:
        raise RuntimeError(message(f"{where}: the number of steps is negative", got=n))
    is_complex = isinstance(start, complex) or isinstance(end, complex)
    natural = defaults.dtype.to_complex() if is_complex else defaults.dtype
    d = as_dtype(where, dtype) if dtype is not None else natural if out is None else out.dtype
    if is_complex and not d.is_complex:
        raise RuntimeError(message(f"{where}: complex ends do not fit in {d}", got=f"{start} to {end}"))
    _check_type(where, d, "b")
    return number(where, start, d).item(), number(where, end, d).item(), n, d


def logspace(
    start: Any, end: Any, steps: int, base: float = 10.0, *, out: Tensor | None = None, dtype: Any = None,
    layout: Any = None, device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`base` to the powers of `linspace(start, end, steps)`; arguments as there.

    >>> import tapegrad as torch
    >>> torch.logspace(0, 2, 3)
    tensor([  1.,  10., 100.])
    """
    first, last, n, d = _ends("logspace", start, end, steps, out, dtype)
    array = kernels.powers(base, first, last if n > 1 else first, n, d.numpy)
    return finish("logspace", array, device, requires_grad, out, layout)
