"""Complex numbers: made from two real parts, and taken apart again.

Gradients of complex numbers are PyTorch's: the gradient of a real loss points uphill, so it is the derivative with
respect to the conjugate (times 2); a formula multiplies `g` by conjugates.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import dtypes, shapes
from ...core.dispatch import write_out
from ...core.op import Array, op
from ...core.tensor import Tensor
from ...errors import message
from ...modes import defaults
from ..casting import full
from ..creation.values import Named
from ..shape.windows import select
from .compare import where
from .trigonometry import cos, sin

__all__ = [
    "complex", "polar", "real", "imag", "view_as_real", "view_as_complex", "conj", "conj_physical", "angle",
    "is_conj", "is_neg", "resolve_conj", "resolve_neg",
]  # fmt: skip


# ---- from two parts ----------------------------------------------------------------------------------------------


def _check_parts(where: str, x: np.ndarray, y: np.ndarray) -> None:
    if x.dtype.kind != "f" or x.dtype != y.dtype:
        got = f"{dtypes.of(x.dtype)} and {dtypes.of(y.dtype)}"
        raise RuntimeError(message(f"{where}: both parts must be floating point, of one dtype", got=got))


def _check_out(name: str, part: Any, out: Tensor | None) -> None:
    if out is not None and out.dtype is not part.dtype.to_complex():
        text = message(
            f"{name}: out must have the dtype of the result", got=out.dtype, expected=part.dtype.to_complex()
        )
        raise RuntimeError(text)


@op(name="complex")
def _complex(real: Array, imag: Array):
    _check_parts("complex", real, imag)
    out = np.empty(np.broadcast_shapes(real.shape, imag.shape), np.result_type(real.dtype, np.complex64))
    out.real, out.imag = real, imag
    return out


@_complex.grad("real")
def _(g):
    return real(g)


@_complex.grad("imag")
def _(g):
    return imag(g)


@_complex.shape
def _(real, imag):
    return shapes.broadcast("complex", real, imag)


def complex(real: Tensor, imag: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The complex numbers `real + i imag`; both parts floating point, of one dtype, broadcast to one shape.

    >>> import tapegrad as torch
    >>> torch.complex(torch.tensor([1.0]), torch.tensor([2.0]))
    tensor([1.+2.j])
    """
    _check_out("complex", real, out)
    found = _complex(real, imag)
    return found if out is None else write_out(Named("complex"), [real, imag], found.array, out)


@op(name="polar")
def _polar(abs: Array, angle: Array):
    _check_parts("polar", abs, angle)
    out = np.empty(np.broadcast_shapes(abs.shape, angle.shape), np.result_type(abs.dtype, np.complex64))
    out.real, out.imag = abs * np.cos(angle), abs * np.sin(angle)
    return out


@_polar.grad("abs")  # along the direction of the number, and across it
def _(g, angle):
    return real(g) * cos(angle) + imag(g) * sin(angle)


@_polar.grad("angle")
def _(g, abs, angle):
    return abs * (imag(g) * cos(angle) - real(g) * sin(angle))


@_polar.shape
def _(abs, angle):
    return shapes.broadcast("polar", abs, angle)


@full
def polar(abs: Tensor, angle: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The complex numbers `abs * exp(i angle)`; both parts floating point, of one dtype, broadcast to one shape.

    >>> import tapegrad as torch
    >>> torch.polar(torch.tensor([2.0]), torch.tensor([0.0]))
    tensor([2.+0.j])
    """
    _check_out("polar", abs, out)
    found = _polar(abs, angle)
    return found if out is None else write_out(Named("polar"), [abs, angle], found.array, out)


# ---- into two parts ----------------------------------------------------------------------------------------------


@op(view=True, method=True)
def view_as_real(x: Array):
    """A view of complex numbers as pairs of real ones: (...) becomes (..., 2).

    >>> import tapegrad as torch
    >>> torch.view_as_real(torch.tensor([1 + 2j]))
    tensor([[1., 2.]])
    """
    if x.dtype.kind != "c":
        raise RuntimeError(message("view_as_real: the tensor is not complex", got=dtypes.of(x.dtype)))
    first = x.real
    steps = (*first.strides, first.itemsize)
    return np.lib.stride_tricks.as_strided(first, (*first.shape, 2), steps)


@view_as_real.grad
def _(g):
    return _complex(g[..., 0], g[..., 1])


@view_as_real.shape
def _(x):
    return (*x, 2)


@full
@op(view=True, method=True)
def view_as_complex(x: Array):
    """A view of pairs of real numbers as complex ones: (..., 2) becomes (...).

    Raises:
        RuntimeError: the last size is not 2, the pairs do not lie side by side in memory, or integers.

    >>> import tapegrad as torch
    >>> torch.view_as_complex(torch.tensor([[1.0, 2.0]]))
    tensor([1.+2.j])
    """
    if x.dtype.kind != "f" or x.itemsize < 4:
        raise RuntimeError(message("view_as_complex: float32 or float64 is needed", got=dtypes.of(x.dtype)))
    if not x.ndim or x.shape[-1] != 2 or x.strides[-1] != x.itemsize:
        got = f"shape {x.shape}, strides {tuple(s // x.itemsize for s in x.strides)}"
        what = "view_as_complex: the last dimension must have size 2 and stride 1"
        raise RuntimeError(message(what, got=got, fix="x.contiguous()"))
    return x.view(np.result_type(x.dtype, np.complex64))[..., 0]


@view_as_complex.grad
def _(g):
    return view_as_real(g)


@view_as_complex.shape
def _(x):
    return x[:-1]


def _is_complex(x: Any) -> bool:
    return getattr(x, "array", x).dtype.kind == "c"


def real(input: Tensor) -> Tensor:
    """The real parts, as a view; the tensor itself, if it is real.

    >>> import tapegrad as torch
    >>> torch.real(torch.tensor([1 + 2j]))
    tensor([1.])
    """
    if not isinstance(input, Tensor):  # formulas call it with arrays and NumPy's numbers
        return np.asarray(input).real
    return select(view_as_real(input), -1, 0) if _is_complex(input) else input


def imag(input: Tensor) -> Tensor:
    """The imaginary parts, as a view.

    Raises:
        RuntimeError: the tensor is real.

    >>> import tapegrad as torch
    >>> torch.imag(torch.tensor([1 + 2j]))
    tensor([2.])
    """
    if not isinstance(input, Tensor):
        return np.asarray(input).imag
    if not _is_complex(input):
        raise RuntimeError(message("imag: a real tensor has no imaginary part", got=input.dtype))
    return select(view_as_real(input), -1, 1)


def _set_real(self: Tensor, value: Any) -> None:
    real(self).copy_(value)


def _set_imag(self: Tensor, value: Any) -> None:
    imag(self).copy_(value)


# ---- conjugates and angles ---------------------------------------------------------------------------------------


@op(method=True, inplace=True)
def conj_physical(x: Array):
    """The complex conjugate, as a new tensor.

    >>> import tapegrad as torch
    >>> torch.conj_physical(torch.tensor([1 + 2j]))
    tensor([1.-2.j])
    """
    return np.conjugate(x) if x.dtype.kind == "c" else x.copy()


@op(name="conj")
def _conj(x: Array):
    return np.conjugate(x)


@conj_physical.grad
@_conj.grad
def _(g):
    return conj(g)


@conj_physical.shape
@_conj.shape
def _(x):
    return x


def conj(input: Tensor) -> Tensor:
    """The complex conjugate; the tensor itself, if it is real.

    The result has its own memory (PyTorch's shares the operand's until it is changed).

    >>> import tapegrad as torch
    >>> torch.conj(torch.tensor([1 + 2j]))
    tensor([1.-2.j])
    """
    return _conj(input) if _is_complex(input) else input


@op(method=True)
def angle(x: Array):
    """The angle of complex numbers with the positive real axis, in radians; pi for negative real numbers, else 0.

    >>> import tapegrad as torch
    >>> torch.angle(torch.tensor([1j, -1.0]))
    tensor([1.5708, 3.1416])
    """
    if x.dtype.kind == "c":
        return np.angle(x).astype(x.real.dtype, copy=False)
    found = x.astype(defaults.numpy) if x.dtype.kind in "biu" else x
    pi = found.dtype.type(np.pi)
    return np.where(np.isnan(found), found, np.where(found < 0, pi, found.dtype.type(0)))


@angle.grad  # d angle = (x dy - y dx) / |z|^2; at 0, where there is none, 0
def _(g, x):
    if not _is_complex(x):
        return g * where(x == x, 0.0, 0.0)
    a, b = real(x), imag(x)
    square = a * a + b * b
    scale = where(square == 0, 0.0, g / where(square == 0, 1.0, square))
    return _complex(-b * scale, a * scale)


@angle.shape
def _(x):
    return x


def is_conj(input: Tensor) -> bool:
    """Whether the conjugate is still to be taken: never."""
    return False


def is_neg(input: Tensor) -> bool:
    """Whether the sign is still to be changed: never."""
    return False


def resolve_conj(input: Tensor) -> Tensor:
    """The tensor itself: no conjugate is ever pending."""
    return input


def resolve_neg(input: Tensor) -> Tensor:
    """The tensor itself: no change of sign is ever pending."""
    return input


Tensor.real = property(real, _set_real)
Tensor.imag = property(imag, _set_imag)
for _function in (conj, is_conj, is_neg, resolve_conj, resolve_neg):
    setattr(Tensor, _function.__name__, _function)
