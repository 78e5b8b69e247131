"""Window functions: numbers that rise from the ends of a stretch of a signal to its middle.

`torch.signal.windows` has them symmetric by default, for filters; `torch.hann_window` and its kin periodic, for
spectra: a periodic window of n points is the symmetric one of n + 1 without its last. All are computed in double
precision and rounded once.

Source: Harris, "On the use of windows for harmonic analysis with the discrete Fourier transform", Proc. IEEE 66 (1978).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ... import dtypes
from ...backends.cpu import special
from ...core.tensor import Tensor
from ...devices import strided
from ...errors import message
from ...modes import defaults
from .cast import as_dtype
from .values import finish

__all__ = ["bartlett_window", "blackman_window", "hamming_window", "hann_window", "kaiser_window"]

Array = np.ndarray

# ---- shapes: functions of n = 0, 1, ... and of the number of steps from the first to the last point -----------------


def _cosines(a: Sequence[float]) -> Callable[[Array, int], Array]:
    """a[0] - a[1] cos(2 pi n / steps) + a[2] cos(4 pi n / steps) - ..."""

    def function(n: Array, steps: int) -> Array:
        found = np.full(n.shape, float(a[0]))
        for i, c in enumerate(a[1:], 1):
            found += (-1) ** i * c * np.cos(n * (2 * np.pi * i / steps))
        return found

    return function


def _triangle(n: Array, steps: int) -> Array:
    return 1 - np.abs(2 * n / steps - 1)


def _bessel(beta: float) -> Callable[[Array, int], Array]:
    """I0(beta sqrt(1 - t * t)) / I0(beta), t from -1 to 1."""

    def function(n: Array, steps: int) -> Array:
        root = np.sqrt(np.maximum(1 - (2 * n / steps - 1) ** 2, 0))
        if beta == 0:
            return np.ones_like(n)
        top = np.exp(beta * root - beta)  # the quotient of the exponentials that i0e leaves out
        return special.i0e(beta * root) / special.i0e(np.array(float(beta))) * top

    return function


# ---- the two ways to ask for them ----------------------------------------------------------------------------------


def _window(
    where: str, M: Any, shape: Callable[[Array, int], Array], sym: bool, dtype: Any, layout: Any, device: Any,
    requires_grad: bool, alone: float | None = None,
) -> Tensor:  # fmt: skip
    """A window of `torch.signal.windows`; `alone` (of one without a mirror) is its number if it has one point."""
    d = defaults.dtype if dtype is None else as_dtype(where, dtype)
    if M < 0:
        raise ValueError(message(f"{where}: the length is negative", got=M))
    if layout is not None and layout is not strided:
        raise ValueError(message(f"{where}: every tensor here is strided", got=layout))
    if d not in (dtypes.float32, dtypes.float64):
        raise ValueError(message(f"{where}: float32 or float64 is needed", got=d))
    return finish(where, _points(operator.index(M), shape, sym, alone).astype(d.numpy), device, requires_grad)


def _points(M: int, shape: Callable[[Array, int], Array], sym: bool, alone: float | None = None) -> Array:
    """The numbers; the second half is the mirror of the first, but where `alone` is given."""
    if M <= 1:
        return np.full(M, 1.0 if alone is None else alone)
    steps = M - 1 if sym else M
    if alone is not None:
        return shape(np.arange(float(M)), steps)
    first = steps // 2 + 1
    found = np.empty(M)
    found[:first] = half = shape(np.arange(float(first)), steps)
    found[first:] = half[steps - M + 1 : steps - first + 1][::-1]
    return found


def _periodic(
    where: str, length: Any, shape: Callable[[Array, int], Array], periodic: bool, dtype: Any, layout: Any,
    device: Any, requires_grad: bool,
) -> Tensor:  # fmt: skip
    """`torch.hann_window` and its kin."""
    try:
        M = operator.index(length)
    except TypeError:
        raise TypeError(message(f"{where}: the length must be an integer", got=repr(length))) from None
    d = defaults.dtype if dtype is None else as_dtype(where, dtype)
    if d.kind < dtypes.FLOAT:
        raise RuntimeError(message(f"{where}: the dtype must be floating point", got=d))
    if d.is_complex:
        raise NotImplementedError(message(f"{where}: not for {d}", fix="convert the result"))
    if M < 0:
        raise RuntimeError(message(f"{where}: the length is negative", got=M))
    return finish(where, _points(M, shape, not periodic).astype(d.numpy), device, requires_grad, layout=layout)


def bartlett_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None, device: Any = None,
    pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The triangle `1 - |2 n / N - 1|`, with `N = window_length` if periodic, else one less.

    Args:
        window_length: the number of points.
        periodic: for spectra (True) or for filters (False, symmetric).
        dtype: a floating-point type; the default dtype if None.

    Raises:
        RuntimeError: a negative length, or a dtype that is not floating point.

    >>> import tapegrad as torch
    >>> torch.bartlett_window(4)
    tensor([0.0000, 0.5000, 1.0000, 0.5000])
    """
    return _periodic("bartlett_window", window_length, _triangle, periodic, dtype, layout, device, requires_grad)


def blackman_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None, device: Any = None,
    pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`0.42 - 0.5 cos(t) + 0.08 cos(2 t)` with `t = 2 pi n / N`; arguments as for `bartlett_window`.

    >>> import tapegrad as torch
    >>> torch.blackman_window(4)[1:]
    tensor([0.3400, 1.0000, 0.3400])
    """
    shape = _cosines((0.42, 0.5, 0.08))
    return _periodic("blackman_window", window_length, shape, periodic, dtype, layout, device, requires_grad)


def hamming_window(
    window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46, *, dtype: Any = None,
    layout: Any = None, device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`alpha - beta cos(2 pi n / N)`; other arguments as for `bartlett_window`.

    >>> import tapegrad as torch
    >>> torch.hamming_window(4)
    tensor([0.0800, 0.5400, 1.0000, 0.5400])
    """
    shape = _cosines((alpha, beta))
    return _periodic("hamming_window", window_length, shape, periodic, dtype, layout, device, requires_grad)


def hann_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None, device: Any = None,
    pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`0.5 - 0.5 cos(2 pi n / N)`; arguments as for `bartlett_window`.

    >>> import tapegrad as torch
    >>> torch.hann_window(4)
    tensor([0.0000, 0.5000, 1.0000, 0.5000])
    """
    shape = _cosines((0.5, 0.5))
    return _periodic("hann_window", window_length, shape, periodic, dtype, layout, device, requires_grad)


def kaiser_window(
    window_length: int, periodic: bool = True, beta: float = 12.0, *, dtype: Any = None, layout: Any = None,
    device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`I0(beta sqrt(1 - (2 n / N - 1)**2)) / I0(beta)`; other arguments as for `bartlett_window`.

    >>> import tapegrad as torch
    >>> torch.kaiser_window(4, beta=2.0)
    tensor([0.4387, 0.8348, 1.0000, 0.8348])
    """
    shape = _bessel(abs(beta))
    return _periodic("kaiser_window", window_length, shape, periodic, dtype, layout, device, requires_grad)


# ---- torch.signal.windows ------------------------------------------------------------------------------------------


def bartlett(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """The triangle `1 - |2 n / N - 1|`, with `N = M - 1` if symmetric, else M.

    Args:
        M: the number of points.
        sym: for filters (True) or for spectra (False, periodic).
        dtype: float32 or float64; the default dtype if None.

    Raises:
        ValueError: a negative length, or another dtype.

    >>> import tapegrad as torch
    >>> torch.signal.windows.bartlett(5)
    tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """
    return _window("bartlett", M, _triangle, sym, dtype, layout, device, requires_grad)


def blackman(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """`0.42 - 0.5 cos(t) + 0.08 cos(2 t)` with `t = 2 pi n / N`; arguments as for `bartlett`.

    >>> import tapegrad as torch
    >>> torch.signal.windows.blackman(5)[1:4]
    tensor([0.3400, 1.0000, 0.3400])
    """
    return _window("blackman", M, _cosines((0.42, 0.5, 0.08)), sym, dtype, layout, device, requires_grad)


def cosine(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Half a wave, `sin(pi (n + 1/2) / (N + 1))`; arguments as for `bartlett`.

    >>> import tapegrad as torch
    >>> torch.signal.windows.cosine(3)
    tensor([0.5000, 1.0000, 0.5000])
    """

    def shape(n: Array, steps: int) -> Array:
        return np.sin(np.pi * (n + 0.5) / (steps + 1))

    return _window("cosine", M, shape, sym, dtype, layout, device, requires_grad)


def exponential(
    M: int, *, center: float | None = None, tau: float = 1.0, sym: bool = True, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`exp(-|n - center| / tau)`.

    Args:
        center: where the window is 1 (default: N / 2); only for periodic windows.
        tau: how slowly it falls, in points.
        M, sym, dtype: as for `bartlett`.

    Raises:
        ValueError: `tau` is not positive, or a `center` for a symmetric window.

    >>> import tapegrad as torch
    >>> torch.signal.windows.exponential(3)
    tensor([0.3679, 1.0000, 0.3679])
    """
    if tau <= 0:
        raise ValueError(message("exponential: tau must be positive", got=tau))
    if sym and center is not None:
        raise ValueError(message("exponential: the center of a symmetric window is its middle", got=center))

    def shape(n: Array, steps: int) -> Array:
        return np.exp(-np.abs(n - (steps / 2 if center is None else center)) / tau)

    alone = None if center is None else math.exp(-abs(center) / tau)
    return _window("exponential", M, shape, sym, dtype, layout, device, requires_grad, alone)


def gaussian(
    M: int, *, std: float = 1.0, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`exp(-((n - N / 2) / std)**2 / 2)`.

    Args:
        std: the standard deviation, in points.
        M, sym, dtype: as for `bartlett`.

    Raises:
        ValueError: `std` is not positive.

    >>> import tapegrad as torch
    >>> torch.signal.windows.gaussian(3)
    tensor([0.6065, 1.0000, 0.6065])
    """
    if std <= 0:
        raise ValueError(message("gaussian: std must be positive", got=std))

    def shape(n: Array, steps: int) -> Array:
        return np.exp(-(((n - steps / 2) / std) ** 2) / 2)

    return _window("gaussian", M, shape, sym, dtype, layout, device, requires_grad)


def general_cosine(
    M: int, *, a: Sequence[float], sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`a[0] - a[1] cos(t) + a[2] cos(2 t) - ...` with `t = 2 pi n / N`.

    Args:
        a: the coefficients.
        M, sym, dtype: as for `bartlett`.

    Raises:
        TypeError: `a` is no list or tuple.
        ValueError: `a` is empty.

    >>> import tapegrad as torch
    >>> torch.signal.windows.general_cosine(5, a=[0.5, 0.5])
    tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """
    if not isinstance(a, list | tuple):
        raise TypeError(message("general_cosine: the coefficients are a list", got=type(a).__name__))
    if not a:
        raise ValueError(message("general_cosine: there are no coefficients"))
    return _window("general_cosine", M, _cosines(a), sym, dtype, layout, device, requires_grad)


def general_hamming(
    M: int, *, alpha: float = 0.54, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`alpha - (1 - alpha) cos(2 pi n / N)`; other arguments as for `bartlett`.

    >>> import tapegrad as torch
    >>> torch.signal.windows.general_hamming(3, alpha=0.75)
    tensor([0.5000, 1.0000, 0.5000])
    """
    return _window("general_hamming", M, _cosines((alpha, 1 - alpha)), sym, dtype, layout, device, requires_grad)


def hamming(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """`0.54 - 0.46 cos(2 pi n / N)`; arguments as for `bartlett`.

    >>> import tapegrad as torch
    >>> torch.signal.windows.hamming(3)
    tensor([0.0800, 1.0000, 0.0800])
    """
    return _window("hamming", M, _cosines((0.54, 0.46)), sym, dtype, layout, device, requires_grad)


def hann(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """`0.5 - 0.5 cos(2 pi n / N)`; arguments as for `bartlett`.

    >>> import tapegrad as torch
    >>> torch.signal.windows.hann(5)
    tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """
    return _window("hann", M, _cosines((0.5, 0.5)), sym, dtype, layout, device, requires_grad)


def kaiser(
    M: int, *, beta: float = 12.0, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`I0(beta sqrt(1 - (2 n / N - 1)**2)) / I0(beta)`.

    Args:
        beta: how fast it falls, 0 (not at all) or more.
        M, sym, dtype: as for `bartlett`.

    Raises:
        ValueError: `beta` is negative.

    >>> import tapegrad as torch
    >>> torch.signal.windows.kaiser(5, beta=2.0)
    tensor([0.4387, 0.8348, 1.0000, 0.8348, 0.4387])
    """
    if beta < 0:
        raise ValueError(message("kaiser: beta must not be negative", got=beta))
    return _window("kaiser", M, _bessel(beta), sym, dtype, layout, device, requires_grad)


def nuttall(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """`general_cosine` with Nuttall's four coefficients; arguments as for `bartlett`.

    >>> import tapegrad as torch
    >>> torch.signal.windows.nuttall(5)[1:4]
    tensor([0.2270, 1.0000, 0.2270])
    """
    shape = _cosines((0.3635819, 0.4891775, 0.1365995, 0.0106411))
    return _window("nuttall", M, shape, sym, dtype, layout, device, requires_grad)
