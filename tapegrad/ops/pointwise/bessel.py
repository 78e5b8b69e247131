"""Bessel functions J, Y, K, the Airy function and the spherical Bessel function, elementwise; without derivatives.

The modified functions I are in `special`.
"""

from __future__ import annotations

import numpy as np

from ... import dtypes
from ...backends.cpu import bessel as kernels
from ...core.dispatch import HALVES
from ...core.op import Array, op
from ...errors import message
from ...modes import defaults


def _floats(where: str, x: Array) -> Array:
    """The operand as floating point; NotImplementedError for half precision and complex numbers."""
    if x.dtype.kind in "biu":
        return x.astype(defaults.numpy)
    if dtypes.of(x.dtype) in HALVES or x.dtype.kind == "c":
        text = message(f"{where}: not defined for {dtypes.of(x.dtype)}", fix="convert with .float()")
        raise NotImplementedError(text)
    return x


@op(name="special_bessel_j0", nondiff=True)
def bessel_j0(x: Array):
    """The Bessel function of the first kind, order 0, elementwise.

    >>> import tapegrad as torch
    >>> torch.special.bessel_j0(torch.tensor([0.0, 1.0, 10.0]))
    tensor([ 1.0000,  0.7652, -0.2459])
    """
    return kernels.bessel_j0(_floats("bessel_j0", x))


@op(name="special_bessel_j1", nondiff=True)
def bessel_j1(x: Array):
    """The Bessel function of the first kind, order 1, elementwise.

    >>> import tapegrad as torch
    >>> torch.special.bessel_j1(torch.tensor([0.0, 1.0, 10.0]))
    tensor([0.0000, 0.4401, 0.0435])
    """
    return kernels.bessel_j1(_floats("bessel_j1", x))


@op(name="special_bessel_y0", nondiff=True)
def bessel_y0(x: Array):
    """The Bessel function of the second kind, order 0, elementwise; -inf at 0 and NaN below.

    >>> import tapegrad as torch
    >>> torch.special.bessel_y0(torch.tensor([1.0, 10.0]))
    tensor([0.0883, 0.0557])
    """
    return kernels.bessel_y0(_floats("bessel_y0", x))


@op(name="special_bessel_y1", nondiff=True)
def bessel_y1(x: Array):
    """The Bessel function of the second kind, order 1, elementwise; -inf at 0 and NaN below.

    >>> import tapegrad as torch
    >>> torch.special.bessel_y1(torch.tensor([1.0, 10.0]))
    tensor([-0.7812,  0.2490])
    """
    return kernels.bessel_y1(_floats("bessel_y1", x))


@op(name="special_modified_bessel_k0", nondiff=True)
def modified_bessel_k0(x: Array):
    """The modified Bessel function of the second kind, order 0, elementwise; inf at 0 and NaN below.

    >>> import tapegrad as torch
    >>> torch.special.modified_bessel_k0(torch.tensor([1.0, 3.0]))
    tensor([0.4210, 0.0347])
    """
    return kernels.bessel_k0(_floats("modified_bessel_k0", x), False)


@op(name="special_modified_bessel_k1", nondiff=True)
def modified_bessel_k1(x: Array):
    """The modified Bessel function of the second kind, order 1, elementwise; inf at 0 and NaN below.

    >>> import tapegrad as torch
    >>> torch.special.modified_bessel_k1(torch.tensor([1.0, 3.0]))
    tensor([0.6019, 0.0402])
    """
    return kernels.bessel_k1(_floats("modified_bessel_k1", x), False)


@op(name="special_scaled_modified_bessel_k0", nondiff=True)
def scaled_modified_bessel_k0(x: Array):
    """`exp(x) * modified_bessel_k0(x)`, elementwise, without underflow.

    >>> import tapegrad as torch
    >>> torch.special.scaled_modified_bessel_k0(torch.tensor([1.0, 1000.0]))
    tensor([1.1445, 0.0396])
    """
    return kernels.bessel_k0(_floats("scaled_modified_bessel_k0", x), True)


@op(name="special_scaled_modified_bessel_k1", nondiff=True)
def scaled_modified_bessel_k1(x: Array):
    """`exp(x) * modified_bessel_k1(x)`, elementwise, without underflow.

    >>> import tapegrad as torch
    >>> torch.special.scaled_modified_bessel_k1(torch.tensor([1.0, 1000.0]))
    tensor([1.6362, 0.0396])
    """
    return kernels.bessel_k1(_floats("scaled_modified_bessel_k1", x), True)


@op(name="special_spherical_bessel_j0", nondiff=True)
def spherical_bessel_j0(x: Array):
    """The spherical Bessel function of the first kind, order 0, elementwise: `sin(x) / x`, and 1 at 0.

    >>> import tapegrad as torch
    >>> torch.special.spherical_bessel_j0(torch.tensor([0.0, 1.0]))
    tensor([1.0000, 0.8415])
    """
    x = _floats("spherical_bessel_j0", x)
    one = x.dtype.type(1)
    inner = (x != 0) & ~np.isinf(x)
    found = np.where(inner, x, one)
    return np.where(inner, np.sin(found) / found, np.where(x == 0, one, x.dtype.type(0)))


@op(name="special_airy_ai", nondiff=True)
def airy_ai(x: Array):
    """The Airy function Ai, elementwise: the solution of `y'' = x y` that vanishes on the right.

    >>> import tapegrad as torch
    >>> torch.special.airy_ai(torch.tensor([-2.0, 0.0, 2.0]))
    tensor([0.2274, 0.3550, 0.0349])
    """
    return kernels.airy_ai(_floats("airy_ai", x))


for _f in (
    bessel_j0, bessel_j1, bessel_y0, bessel_y1, modified_bessel_k0, modified_bessel_k1, scaled_modified_bessel_k0,
    scaled_modified_bessel_k1, spherical_bessel_j0, airy_ai,
):  # fmt: skip
    _f.shape(lambda x: x)
