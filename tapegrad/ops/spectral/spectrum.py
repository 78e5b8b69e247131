"""Short-time Fourier transforms: the spectrum of each stretch of a signal, and the signal back from it. Composed.

Source: Griffin and Lim, "Signal estimation from modified short-time Fourier transform", IEEE ASSP 32 (1984).
"""

from __future__ import annotations

import warnings
from typing import Any

from ... import dtypes
from ...core.tensor import Tensor
from ...errors import message
from ...modes import defaults
from ..casting import full
from ..creation.filled import ones
from ..pointwise.arithmetic import mul, true_divide
from ..pointwise.complex import view_as_real
from ..pointwise.functions import abs
from ..reduction.extremes import min
from ..shape.movement import expand, transpose, unsqueeze
from ..shape.movement import squeeze as drop
from ..shape.padding import constant_pad_nd, pad
from ..shape.windows import slice_dim, unfold, unfold_backward
from .fft import _c2c, _c2r, _r2c

__all__ = ["istft", "stft"]

SMALLEST = 1e-11  # the least sum of squared windows that a signal is divided by


def _bad(where: str, what: str, got: Any, expected: str = "") -> RuntimeError:
    return RuntimeError(message(f"{where}: {what}", got=got, expected=expected))


def _window(where: str, window: Tensor | None, length: int, n_fft: int, dtype: dtypes.dtype) -> Tensor | None:
    """The window with zeros on both sides up to n_fft; None for one that is 1 everywhere."""
    if window is None:
        if length == n_fft:
            return None
        window = ones(length, dtype=dtype)
    if window.ndim != 1 or window.shape[0] != length:
        raise _bad(where, "the window does not fit", f"shape {tuple(window.shape)}", f"one dimension of size {length}")
    left = (n_fft - length) // 2
    return constant_pad_nd(window, (left, n_fft - length - left)) if length < n_fft else window


def _check_lengths(where: str, hop: int, length: int, n_fft: int) -> None:
    if hop <= 0:
        raise _bad(where, "hop_length must be positive", hop)
    if not 0 < length <= n_fft:
        raise _bad(where, "win_length must fit in n_fft", length, f"1 to {n_fft}")


@full
def stft(
    input: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None,
    window: Tensor | None = None, center: bool = True, pad_mode: str = "reflect", normalized: bool = False,
    onesided: bool | None = None, return_complex: bool | None = None, align_to_window: bool | None = None,
) -> Tensor:  # fmt: skip
    """The Fourier transform of each stretch of `n_fft` points, one every `hop_length`:
    `X[k, t] = sum_j window[j] x[t hop + j] exp(-2 pi i j k / n_fft)`.

    Args:
        input: a signal (L) or several (B, L).
        n_fft: the number of points of each stretch.
        hop_length: the distance of neighbouring stretches (default: n_fft // 4).
        win_length: the size of the window, which has zeros on both sides up to n_fft (default: n_fft).
        window: what the stretches are multiplied by (default: 1).
        center: stretch t is centred at t hop, for which the signal is padded; else it begins there.
        pad_mode: how it is padded, as for `pad`.
        normalized: divide by sqrt(n_fft).
        onesided: the first n_fft // 2 + 1 frequencies only (default: for real signals).
        return_complex: False gives real and imaginary parts as a last dimension; required for real signals.
        align_to_window: without `center`, the window and not the stretch begins at t hop.

    Returns:
        (frequencies, stretches), or (B, frequencies, stretches).

    Raises:
        RuntimeError: arguments that do not fit each other.

    >>> import tapegrad as torch
    >>> torch.stft(torch.arange(8.0), 4, window=torch.ones(4), return_complex=True).shape
    torch.Size([3, 9])
    """
    if center:
        if align_to_window is not None:
            raise _bad("stft", "align_to_window goes without center", align_to_window)
        wide = input.reshape((1,) * (3 - input.ndim) + tuple(input.shape)) if input.ndim < 3 else input
        wide = pad(wide, (n_fft // 2, n_fft // 2), pad_mode)
        input = wide.reshape(wide.shape[-input.ndim :])
    hop = n_fft // 4 if hop_length is None else hop_length
    size = n_fft if win_length is None else win_length
    complex_input = input.is_complex() or (window is not None and window.is_complex())
    if return_complex is None and not complex_input:
        raise _bad("stft", "return_complex must be given for a real signal", None, "True")
    if not (input.is_floating_point() or input.is_complex()):
        raise _bad("stft", "the signal must be floating point or complex", input.dtype)
    if input.ndim not in (1, 2):
        raise _bad("stft", "one signal or several are needed", f"{input.ndim} dimensions", "(L) or (B, L)")
    x = input if input.ndim == 2 else unsqueeze(input, 0)
    if not 0 < n_fft <= x.shape[1]:
        raise _bad("stft", "n_fft does not fit the signal", n_fft, f"1 to {x.shape[1]}")
    _check_lengths("stft", hop, size, n_fft)
    window = _window("stft", window, size, n_fft, input.dtype)
    onesided = not complex_input if onesided is None else onesided
    if onesided and complex_input:
        raise _bad("stft", "the spectrum of complex numbers has two sides", "onesided=True", "onesided=False")
    if align_to_window:
        left = (n_fft - size) // 2
        x = constant_pad_nd(x, (left, n_fft - size - left))
    frames = unfold(x, 1, n_fft, hop)  # (B, stretches, n_fft)
    found = frames if window is None else mul(frames, window)
    norm = "ortho" if normalized else "backward"
    found = _c2c(found, (2,), norm, True) if complex_input else _r2c(found, (2,), norm, onesided)
    found = transpose(found, 1, 2)
    found = found if input.ndim == 2 else drop(found, 0)
    return view_as_real(found) if return_complex is False else found


def _check_spectrum(x: Tensor, n_fft: int, onesided: bool | None, return_complex: bool) -> bool:
    """Whether half the frequencies are given; RuntimeError for a spectrum that does not fit."""
    if not x.is_complex():
        raise _bad("istft", "the spectrum must be complex", x.dtype, "what stft gives with return_complex=True")
    if x.ndim not in (2, 3):
        kind = IndexError if x.ndim < 2 else RuntimeError
        raise kind(message("istft: (frequencies, stretches) are needed", got=tuple(x.shape)))
    if x.array.size == 0:
        raise _bad("istft", "the spectrum is empty", tuple(x.shape))
    found = x.shape[-2] != n_fft if onesided is None else onesided
    expected = n_fft // 2 + 1 if found else n_fft
    if return_complex and found:
        raise _bad("istft", "the spectrum of complex numbers has two sides", "onesided", "onesided=False")
    if x.shape[-2] != expected:
        raise _bad("istft", "the number of frequencies does not fit n_fft", x.shape[-2], str(expected))
    return found


@full
def istft(
    input: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None,
    window: Tensor | None = None, center: bool = True, normalized: bool = False, onesided: bool | None = None,
    length: int | None = None, return_complex: bool = False,
) -> Tensor:  # fmt: skip
    """The signal whose `stft` is nearest to `input`: stretches times window, added up, divided by the sum of squares
    of the windows.

    Args:
        input: (frequencies, stretches) or (B, frequencies, stretches), complex.
        n_fft, hop_length, win_length, window, center, normalized, onesided: as they were for `stft`.
        length: how many points to return (default: all but the padding).
        return_complex: whether the signal is complex.

    Raises:
        RuntimeError: arguments that do not fit each other, or windows that leave a point out.

    >>> import tapegrad as torch
    >>> x, window = torch.arange(1.0, 9.0), torch.ones(4)
    >>> torch.istft(torch.stft(x, 4, window=window, return_complex=True), 4, window=window).round()
    tensor([1., 2., 3., 4., 5., 6., 7., 8.])
    """
    hop = n_fft // 4 if hop_length is None else hop_length
    size = n_fft if win_length is None else win_length
    if not return_complex and window is not None and window.is_complex():
        raise _bad("istft", "a complex window gives a complex signal", "return_complex=False")
    onesided = _check_spectrum(input, n_fft, onesided, return_complex)
    _check_lengths("istft", hop, size, n_fft)
    if hop > size:
        raise _bad("istft", "the windows leave points out", f"hop_length={hop}", f"at most {size}")
    kind = dtypes.float64 if input.dtype is dtypes.complex128 else defaults.dtype
    window = _window("istft", window, size, n_fft, kind)
    window = ones(n_fft, dtype=kind) if window is None else window
    x = transpose(input if input.ndim == 3 else unsqueeze(input, 0), 1, 2)  # (B, stretches, frequencies)
    norm = "ortho" if normalized else "backward"
    if return_complex:
        frames = _c2c(x, (2,), norm, False)
    else:
        frames = _c2r(x if onesided else slice_dim(x, 2, 0, n_fft // 2 + 1, 1), (2,), norm, n_fft)
    y = _overlapped(mul(frames, window), window, n_fft, hop, center, length)
    return drop(y, 0) if input.ndim == 2 else y


def _overlapped(frames: Tensor, window: Tensor, n_fft: int, hop: int, center: bool, length: int | None) -> Tensor:
    """Stretches (B, T, n_fft) that are windowed, added up to signals (B, L) and divided by the squared windows."""
    batch, count, _ = frames.shape
    total = n_fft + hop * (count - 1)
    y = unfold_backward(frames, (batch, total), 1, n_fft, hop)
    square = expand(mul(window, window), 1, count, n_fft)
    weight = unfold_backward(square, (1, total), 1, n_fft, hop)
    start = n_fft // 2 if center else 0
    end = total - (n_fft // 2 if center else 0) if length is None else start + length
    y, weight = slice_dim(y, 1, start, end, 1), slice_dim(weight, 1, start, end, 1)
    least = min(abs(weight.detach())).item()
    if not least > SMALLEST:
        what = "the squared windows vanish at a point, so the signal is not determined there"
        raise _bad("istft", what, f"least sum {least:.3g}", f"above {SMALLEST:.0e}")
    y = true_divide(y, weight)
    missing = end - total
    if missing > 0:
        text = message(
            "istft: the signal is shorter than `length`; zeros follow", got=total - start, expected=end - start
        )
        warnings.warn(text, UserWarning, stacklevel=3)
        y = constant_pad_nd(y, (0, missing))
    return y


Tensor.stft, Tensor.istft = stft, istft  # type: ignore[attr-defined]
