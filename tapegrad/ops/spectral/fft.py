"""Fourier transforms along one dimension: `torch.fft`. Those along several are in `fftn`, `stft` in `spectrum`.

    fft:   X[k] = sum over j of x[j] exp(-2 pi i j k / n)          ifft: the same with +i, divided by n

`rfft` keeps the half k = 0 ... n // 2 of the spectrum of real numbers (the rest are its conjugates), `irfft` undoes
it; `hfft` and `ihfft` are the same two with time and frequency exchanged.

Every function is composed of three declared maps: complex to complex (`_c2c`), real to complex (`_r2c`), and complex
to real (`_c2r`). All are linear, so a derivative is the adjoint: the transform in the other direction with the same
scale. Where half a spectrum stands for the whole, the frequencies that stand for two count twice (`_weigh`).

Source: Cooley and Tukey, "An algorithm for the machine calculation of complex Fourier series", Math. Comp. 19 (1965).
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import dtypes, shapes
from ...backends.cpu import fft as kernels
from ...core.dispatch import write_out
from ...core.op import Array, op
from ...core.tensor import Tensor
from ...errors import message
from ...modes import defaults
from ..casting import full
from ..creation.cast import as_dtype, to_dtype
from ..creation.values import Named, finish
from ..pointwise.complex import conj, real
from ..shape.padding import constant_pad_nd
from ..shape.rearrange import roll
from ..shape.windows import slice_dim

OTHER = {"backward": "forward", "forward": "backward", "ortho": "ortho"}  # the same scale, in the other direction

# ---- the declared maps ---------------------------------------------------------------------------------------------


@op(name="_fft_c2c")
def _c2c(x: Array, dim, norm, forward):
    return kernels.c2c(x, dim, norm, forward)


@_c2c.grad
def _(g, dim, norm, forward):
    return _c2c(g, dim, OTHER[norm], not forward)


@_c2c.shape
def _(x, dim, norm, forward):
    return x


@op(name="_fft_r2c")
def _r2c(x: Array, dim, norm, onesided):
    return kernels.r2c(x, dim, norm, onesided)


@_r2c.grad
def _(g, x_shape, dim, norm, onesided):
    if not onesided:
        return real(_c2c(g, dim, OTHER[norm], False))
    n = x_shape[dim[-1]]
    return _c2r(_weigh(g, dim[-1], n, 0.5), dim, OTHER[norm], n)


@_r2c.shape
def _(x, dim, norm, onesided):
    return _resized(x, dim[-1], x[dim[-1]] // 2 + 1) if onesided else x


@op(name="_fft_c2r")
def _c2r(x: Array, dim, norm, last_dim_size):
    return kernels.c2r(x, dim, norm, last_dim_size)


@_c2r.grad
def _(g, dim, norm, last_dim_size):
    return _weigh(_r2c(g, dim, OTHER[norm], True), dim[-1], last_dim_size, 2.0)


@_c2r.shape
def _(x, dim, norm, last_dim_size):
    return _resized(x, dim[-1], last_dim_size)


@op(name="_fft_weigh", node="MulBackward0")
def _weigh(x: Array, dim, n, factor):
    return kernels.weigh(x, dim, n, factor)


@_weigh.grad
def _(g, dim, n, factor):
    return _weigh(g, dim, n, factor)


@_weigh.shape
def _(x, dim, n, factor):
    return x


def _resized(shape: tuple[int, ...], dim: int, n: int) -> tuple[int, ...]:
    return (*shape[:dim], n, *shape[dim + 1 :])


# ---- arguments -----------------------------------------------------------------------------------------------------


def prepared(where: str, x: Any, kind: str) -> Tensor:
    """The operand as floating point ("any"), as real numbers ("real"), or as complex ones ("complex").

    Raises:
        TypeError: not a tensor.
        RuntimeError: half precision, or complex numbers where real ones are needed.
    """
    if not isinstance(x, Tensor):
        raise TypeError(message(f"{where}: the input must be a tensor", got=type(x).__name__))
    d = x.dtype
    if d.kind < dtypes.FLOAT:
        d = defaults.dtype
    if d in (dtypes.float16, dtypes.bfloat16):
        raise RuntimeError(message(f"{where}: no transform of half precision", got=d, fix="convert with .float()"))
    if kind == "real" and d.is_complex:
        raise RuntimeError(message(f"{where}: the input must be real", got=d, fix="use the complex transform"))
    if kind == "complex" and not d.is_complex:
        d = d.to_complex()
    return to_dtype(x, d)


def norm_of(where: str, norm: str | None) -> str:
    """The argument `norm`, checked.

    Raises:
        RuntimeError: an unknown word.
    """
    if norm is None:
        return "backward"
    if norm not in OTHER:
        expected = "None, 'backward', 'forward' or 'ortho'"
        raise RuntimeError(message(f"{where}: unknown norm", got=repr(norm), expected=expected))
    return norm


def length(where: str, n: Any) -> int:
    """A number of points, checked.

    Raises:
        TypeError: no integer.
        RuntimeError: below 1.
    """
    try:
        n = operator.index(n)
    except TypeError:
        raise TypeError(message(f"{where}: the length must be an integer", got=repr(n))) from None
    if n < 1:
        raise RuntimeError(message(f"{where}: at least one point is needed", got=n))
    return n


def resized(x: Tensor, dim: Sequence[int], sizes: Sequence[int]) -> Tensor:
    """`x` cut off or filled up with zeros at the end, to `sizes` along `dim`."""
    pad, padded = [0] * (2 * x.ndim), False
    for d, n in zip(dim, sizes):
        if n < x.shape[d]:
            x = slice_dim(x, d, 0, n, 1)
        elif n > x.shape[d]:
            pad[2 * (x.ndim - 1 - d) + 1] = n - x.shape[d]
            padded = True
    return constant_pad_nd(x, pad) if padded else x


def given_out(where: str, x: Tensor, found: Tensor, out: Tensor | None) -> Tensor:
    """The result, or `out` with the result in it.

    Raises:
        RuntimeError: the dtype of `out` cannot hold it, or a gradient is wanted.
    """
    return found if out is None else write_out(Named(where), [x], found.array, out)


def _one(where: str, x: Tensor, n: int | None, dim: int) -> tuple[Tensor, int, int]:
    """The operand with n points along `dim`, the dimension counted from the front, and n."""
    if not x.ndim:
        raise IndexError(message(f"{where}: a tensor without dimensions has no points", fix="use fftn"))
    axis = shapes.axis(where, dim, x.ndim)
    n = length(where, x.shape[axis] if n is None else n)
    return resized(x, (axis,), (n,)), axis, n


# ---- one dimension -------------------------------------------------------------------------------------------------


@full
def fft(
    input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Tensor | None = None
) -> Tensor:
    """The Fourier transform along a dimension: `X[k] = sum_j x[j] exp(-2 pi i j k / n)`. Composed.

    Args:
        input: any shape, real or complex.
        n: the number of points: the input is cut off, or filled up with zeros (default: all there are).
        dim: the dimension.
        norm: None or "backward": as above; "forward": divided by n; "ortho": by sqrt(n).
        out: where to put the result.

    Raises:
        RuntimeError: no points, half precision, or an unknown `norm`.
        IndexError: there is no such dimension.

    >>> import tapegrad as torch
    >>> torch.fft.fft(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    tensor([10.+0.j, -2.+2.j, -2.+0.j, -2.-2.j])
    """
    x, norm = prepared("fft", input, "any"), norm_of("fft", norm)
    x, axis, _ = _one("fft", x, n, dim)
    found = _c2c(x, (axis,), norm, True) if x.is_complex() else _r2c(x, (axis,), norm, False)
    return given_out("fft", input, found, out)


@full
def ifft(
    input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Tensor | None = None
) -> Tensor:
    """The inverse of `fft`: `x[j] = 1/n sum_k X[k] exp(2 pi i j k / n)`. Composed.

    Args:
        input, n, dim, out: as for `fft`.
        norm: None or "backward": as above; "forward": not divided; "ortho": divided by sqrt(n).

    >>> import tapegrad as torch
    >>> torch.fft.ifft(torch.tensor([10.0, -2 + 2j, -2, -2 - 2j]))
    tensor([1.+0.j, 2.+0.j, 3.+0.j, 4.+0.j])
    """
    x, norm = prepared("ifft", input, "any"), norm_of("ifft", norm)
    x, axis, _ = _one("ifft", x, n, dim)
    if x.is_complex():
        return given_out("ifft", input, _c2c(x, (axis,), norm, False), out)
    return given_out("ifft", input, conj(_r2c(x, (axis,), OTHER[norm], False)), out)


@full
def rfft(
    input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Tensor | None = None
) -> Tensor:
    """The first n // 2 + 1 frequencies of `fft` of real numbers; the others are the conjugates of these. Composed.

    Args:
        input: any shape, real.
        n, dim, norm, out: as for `fft`.

    Raises:
        RuntimeError: complex input, no points, half precision, or an unknown `norm`.

    >>> import tapegrad as torch
    >>> torch.fft.rfft(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    tensor([10.+0.j, -2.+2.j, -2.+0.j])
    """
    x, norm = prepared("rfft", input, "real"), norm_of("rfft", norm)
    x, axis, _ = _one("rfft", x, n, dim)
    return given_out("rfft", input, _r2c(x, (axis,), norm, True), out)


def _halved(where: str, x: Tensor, n: int | None, dim: int) -> tuple[Tensor, int, int]:
    """Half the spectrum of n real numbers: the operand with n // 2 + 1 frequencies, the dimension, and n."""
    axis = shapes.axis(where, dim, x.ndim) if x.ndim else 0
    n = length(where, 2 * (x.shape[axis] - 1) if n is None and x.ndim else 1 if n is None else n)
    x, axis, _ = _one(where, x, n // 2 + 1, dim)
    return x, axis, n


@full
def irfft(
    input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Tensor | None = None
) -> Tensor:
    """The n real numbers whose `rfft` is `input`. Composed.

    Args:
        input: any shape; the imaginary part of frequency 0, and of n / 2, is ignored.
        n: how many numbers (default: 2 (m - 1) for m frequencies; an odd number cannot be seen from m).
        dim, norm, out: as for `ifft`.

    >>> import tapegrad as torch
    >>> torch.fft.irfft(torch.tensor([10.0, -2 + 2j, -2]))
    tensor([1., 2., 3., 4.])
    """
    x, norm = prepared("irfft", input, "complex"), norm_of("irfft", norm)
    x, axis, n = _halved("irfft", x, n, dim)
    return given_out("irfft", input, _c2r(x, (axis,), norm, n), out)


@full
def hfft(
    input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Tensor | None = None
) -> Tensor:
    """`fft` of numbers of which half are given and the others are the conjugates of these: it is real. Composed.

    Args:
        input: any shape, the first n // 2 + 1 numbers.
        n: how many frequencies (default: 2 (m - 1) for m numbers).
        dim, norm, out: as for `fft`.

    >>> import tapegrad as torch
    >>> torch.fft.hfft(torch.tensor([2.5, -0.5 - 0.5j, -0.5]))
    tensor([1., 2., 3., 4.])
    """
    x, norm = prepared("hfft", input, "complex"), norm_of("hfft", norm)
    x, axis, n = _halved("hfft", x, n, dim)
    return given_out("hfft", input, _c2r(conj(x), (axis,), OTHER[norm], n), out)


@full
def ihfft(
    input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Tensor | None = None
) -> Tensor:
    """The inverse of `hfft`: the first n // 2 + 1 numbers of `ifft` of real ones. Composed.

    Args:
        input: any shape, real.
        n, dim, norm, out: as for `ifft`.

    >>> import tapegrad as torch
    >>> torch.fft.ihfft(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    tensor([ 2.5000-0.0000j, -0.5000-0.5000j, -0.5000-0.0000j])
    """
    x, norm = prepared("ihfft", input, "real"), norm_of("ihfft", norm)
    x, axis, _ = _one("ihfft", x, n, dim)
    return given_out("ihfft", input, conj(_r2c(x, (axis,), OTHER[norm], True)), out)


# ---- frequencies ---------------------------------------------------------------------------------------------------


def _frequencies(
    where: str, n: Any, numbers: Any, d: float, out: Any, dtype: Any, device: Any, grad: bool, layout: Any
) -> Tensor:
    kind = as_dtype(where, dtype) if dtype is not None else defaults.dtype if out is None else out.dtype
    if kind.kind < dtypes.FLOAT:
        raise RuntimeError(message(f"{where}: the dtype must be floating point", got=kind))
    if kind.is_complex:
        raise NotImplementedError(message(f"{where}: not for {kind}", fix="convert the result"))
    step = np.float64(1) / np.float64(n * d)
    wide = np.float32 if kind.itemsize < 4 else kind.numpy
    array = (numbers.astype(wide) * np.asarray(step, wide)).astype(kind.numpy)
    return finish(where, array, device, grad, out, layout)


def _count(where: str, n: Any) -> int:
    try:
        n = operator.index(n)
    except TypeError:
        raise TypeError(message(f"{where}: n must be an integer", got=repr(n))) from None
    if n < 0:
        raise RuntimeError(message(f"{where}: n is negative", got=n))
    return n


def fftfreq(
    n: int, d: float = 1.0, *, out: Tensor | None = None, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The frequencies of `fft` in cycles per unit of time, in its order: `[0, 1, ..., -2, -1] / (n d)`.

    Args:
        n: the number of points.
        d: the time between two of them.
        out: a tensor to write the result into.
        dtype: by default the default dtype.

    Raises:
        RuntimeError: a negative n, or a dtype that is not floating point.

    >>> import tapegrad as torch
    >>> torch.fft.fftfreq(4)
    tensor([ 0.0000,  0.2500, -0.5000, -0.2500])
    """
    n = _count("fftfreq", n)
    numbers = np.arange(n)
    numbers[(n + 1) // 2 :] -= n
    return _frequencies("fftfreq", n, numbers, d, out, dtype, device, requires_grad, layout)


def rfftfreq(
    n: int, d: float = 1.0, *, out: Tensor | None = None, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The frequencies of `rfft` in cycles per unit of time: `[0, 1, ..., n // 2] / (n d)`. Arguments as for `fftfreq`.

    >>> import tapegrad as torch
    >>> torch.fft.rfftfreq(4)
    tensor([0.0000, 0.2500, 0.5000])
    """
    n = _count("rfftfreq", n)
    return _frequencies("rfftfreq", n, np.arange(n // 2 + 1), d, out, dtype, device, requires_grad, layout)


def _shifted(where: str, x: Tensor, dim: Any, extra: int) -> Tensor:
    if dim is None:
        dims: tuple[int, ...] = tuple(range(x.ndim))
    else:
        dims = tuple(shapes.axis(where, d, x.ndim) for d in ((dim,) if hasattr(dim, "__index__") else dim))
    return roll(x, tuple((x.shape[d] + extra) // 2 for d in dims), dims)


def fftshift(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """Frequencies in ascending order: 0 moves from the front to the middle. Composed.

    Args:
        input: in the order of `fft`.
        dim: the dimension or dimensions (default: all).

    >>> import tapegrad as torch
    >>> torch.fft.fftshift(torch.fft.fftfreq(4))
    tensor([-0.5000, -0.2500,  0.0000,  0.2500])
    """
    return _shifted("fftshift", input, dim, 0)


def ifftshift(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """The inverse of `fftshift`: 0 moves from the middle to the front. Composed.

    >>> import tapegrad as torch
    >>> torch.fft.ifftshift(torch.tensor([-2, -1, 0, 1, 2]))
    tensor([ 0,  1,  2, -2, -1])
    """
    return _shifted("ifftshift", input, dim, 1)
