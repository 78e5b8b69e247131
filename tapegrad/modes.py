"""All global state there is: grad mode, default dtype, determinism, threads.

`mode()` is the one test on the path of every operation. It returns None in the ordinary case (gradients are
recorded), `NO_GRAD` or `INFERENCE` when they are not, and anything else is a recorder: an object with a method
`record(op, args, out)` that `compile` puts there. The slot is a context variable, so that it is private to a
thread and costs 30 ns to read, a third of `threading.local`.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
import os
from collections.abc import Callable
from typing import Any

from . import dtypes
from .errors import message


class _Off:
    """A mode in which nothing is recorded."""

    def __init__(self, name: str):
        self.name = name

    def __repr__(self) -> str:
        return self.name


NO_GRAD = _Off("NO_GRAD")
INFERENCE = _Off("INFERENCE")

slot: contextvars.ContextVar[Any] = contextvars.ContextVar("tapegrad_mode", default=None)
mode = slot.get


def is_grad_enabled() -> bool:
    """Whether operations are recorded for `backward()` now.

    >>> import tapegrad as torch
    >>> with torch.no_grad():
    ...     torch.is_grad_enabled()
    False
    """
    return mode() is None


def is_inference_mode_enabled() -> bool:
    """Whether `inference_mode` is on."""
    return mode() is INFERENCE


class _ModeSwitch:
    """Sets the mode for a `with` block, or for every call of a decorated function or generator."""

    def __init__(self, target: Any):
        self._target = target
        self._before: list[Any] = []

    def __enter__(self) -> None:
        self._before.append(mode())
        slot.set(self._target)

    def __exit__(self, *exc: object) -> None:
        slot.set(self._before.pop())

    def __call__(self, function: Callable) -> Callable:
        if inspect.isclass(function):
            function.__init__ = self(function.__init__)  # type: ignore[method-assign]
            return function
        if inspect.isgeneratorfunction(function):
            return self._wrap_generator(function)

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            before = mode()
            slot.set(self._target)
            try:
                return function(*args, **kwargs)
            finally:
                slot.set(before)

        return wrapper

    def _wrap_generator(self, function: Callable) -> Callable:
        """The body runs in the mode; the code between two `next` calls does not."""

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            generator = function(*args, **kwargs)
            send, value = generator.send, None
            while True:
                before = mode()
                slot.set(self._target)
                try:
                    item = send(value)
                except StopIteration as stop:
                    return stop.value
                finally:
                    slot.set(before)
                try:
                    send, value = generator.send, (yield item)
                except GeneratorExit:
                    generator.close()
                    raise
                except BaseException as error:
                    send, value = generator.throw, error

        return wrapper


class no_grad(_ModeSwitch):
    """Turn recording off: results do not require grad. A context manager and a decorator.

    >>> import tapegrad as torch
    >>> x = torch.ones(1, requires_grad=True)
    >>> with torch.no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    def __new__(cls, function: Callable | None = None):
        # `@no_grad` without parentheses decorates as well
        self = super().__new__(cls)
        if function is None:
            return self
        _ModeSwitch.__init__(self, NO_GRAD)
        return self(function)

    def __init__(self, function: None = None):
        super().__init__(NO_GRAD)


class enable_grad(_ModeSwitch):
    """Turn recording on again inside `no_grad`. A context manager and a decorator."""

    def __new__(cls, function: Callable | None = None):
        self = super().__new__(cls)
        if function is None:
            return self
        _ModeSwitch.__init__(self, None)
        return self(function)

    def __init__(self, function: None = None):
        super().__init__(None)


class inference_mode(_ModeSwitch):
    """`no_grad` for code that will never be differentiated; `inference_mode(False)` leaves the mode as it is."""

    def __new__(cls, mode: bool | Callable = True):
        self = super().__new__(cls)
        if callable(mode):
            _ModeSwitch.__init__(self, INFERENCE)
            return self(mode)
        return self

    def __init__(self, mode: bool = True):
        super().__init__(INFERENCE if mode else None)


class set_grad_enabled(_ModeSwitch):
    """Turn recording on or off: at once when called, and until the end of the block as a context manager."""

    def __init__(self, mode: bool):
        super().__init__(None if mode else NO_GRAD)
        self._at_call = slot.get()
        slot.set(self._target)

    def __enter__(self) -> None:
        self._before.append(self._at_call)
        slot.set(self._target)

    def __call__(self, function: Callable) -> Callable:
        slot.set(self._at_call)  # as a decorator it must not act on the code around it
        return super().__call__(function)


# ---- anomaly detection ---------------------------------------------------------------------------------------

anomaly: contextvars.ContextVar[bool] = contextvars.ContextVar("tapegrad_anomaly", default=False)


class set_detect_anomaly:
    """Check every gradient for NaN during `backward` and name the forward line that made it."""

    def __init__(self, mode: bool, check_nan: bool = True):
        self._before = anomaly.get()
        anomaly.set(mode and check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        anomaly.set(self._before)


class detect_anomaly(set_detect_anomaly):
    """`set_detect_anomaly(True)` as a context manager."""

    def __init__(self, check_nan: bool = True):
        super().__init__(True, check_nan)


# ---- default dtype ---------------------------------------------------------------------------------------------


class _Defaults:
    """The type of Python floats that become tensors, and of integer tensors that meet a float operation."""

    dtype = dtypes.float32
    numpy = dtypes.float32.numpy


defaults = _Defaults()


def set_default_dtype(d: dtypes.dtype) -> None:
    """Set the floating-point type of new tensors.

    Raises:
        TypeError: `d` is not a floating-point dtype.
    """
    if not isinstance(d, dtypes.dtype) or not d.is_floating_point:
        raise TypeError(message("set_default_dtype: only floating-point types can be the default", got=repr(d)))
    defaults.dtype, defaults.numpy = d, d.numpy


def get_default_dtype() -> dtypes.dtype:
    """The floating-point type of new tensors (`torch.float32` at first)."""
    return defaults.dtype


# ---- determinism -----------------------------------------------------------------------------------------------


class _Settings:
    deterministic = False
    warn_only = False
    matmul_precision = "highest"


settings = _Settings()


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Accepted for compatibility: every operation here is deterministic."""
    settings.deterministic, settings.warn_only = bool(mode), bool(warn_only)


def are_deterministic_algorithms_enabled() -> bool:
    """What `use_deterministic_algorithms` was last called with."""
    return settings.deterministic


# ---- threads ---------------------------------------------------------------------------------------------------------

_threads: int | None = None  # what was asked for last


def num_threads() -> int:
    """How many threads may compute: what was asked for, else what `OMP_NUM_THREADS` says, else what the machine has."""
    return _available() if _threads is None else _threads


def set_num_threads(n: int) -> None:
    """Ask for a number of threads; the public function is in `backends.cpu.threads`."""
    global _threads
    _threads = n


@functools.cache
def _available() -> int:
    """The processors that this process may run on, by affinity and by the quota of its control group."""
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if asked.isdigit() and int(asked):
        return int(asked)
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for quota, period in map(_quota, ("/sys/fs/cgroup", "/sys/fs/cgroup/cpu")):
        if quota > 0 and period > 0:
            count = min(count, -(-quota // period))
    return max(count, 1)


def _quota(folder: str) -> tuple[int, int]:
    """How many microseconds of processor time a control group has in how many; (0, 0) if that is not limited."""
    texts = []
    for name in ("cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us"):  # version 2 has both in the first
        try:
            with open(f"{folder}/{name}") as file:
                texts += file.read().split()
        except OSError:
            continue
    numbers = [int(t) for t in texts if t.isdigit()]
    return (numbers[0], numbers[1]) if len(numbers) == len(texts) == 2 else (0, 0)
