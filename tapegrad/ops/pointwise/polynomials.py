"""Orthogonal polynomials, elementwise: the degree is an operand too. Without derivatives.

The degree is truncated to an integer; polynomials of negative degree are 0.

Source: NIST Digital Library of Mathematical Functions, chapter 18.
"""

from __future__ import annotations

from typing import Any

from ...backends.cpu import polynomials as kernels
from ...core.op import Array, op
from ...core.tensor import Tensor
from ...shapes import broadcast
from .gammas import together


@op(name="special_polynomial", nondiff=True)
def _polynomial(x: Array, n: Array, family):
    return kernels.polynomial(family, x, n)


@_polynomial.shape
def _(x, n, family):
    return broadcast("polynomial", x, n)


def _call(family: str, x: Any, n: Any, out: Tensor | None, shifted: bool = False) -> Tensor:
    """The polynomial, on [0, 1] in place of [-1, 1] if `shifted`."""
    x, n = (t.detach() for t in together(family, x, n))
    x = x + x - 1 if shifted else x
    return _polynomial(x, n, family) if out is None else _polynomial(x, n, family, out=out)


def chebyshev_polynomial_t(input: Any, n: Any, *, out: Tensor | None = None) -> Tensor:
    """Chebyshev's polynomial of the first kind, `cos(n arccos(x))`, elementwise.

    Args:
        input: x, a tensor or a number.
        n: the degree, a tensor or a number; the shapes broadcast.
        out: where to put the result.

    Raises:
        TypeError: neither is a tensor.

    >>> import tapegrad as torch
    >>> torch.special.chebyshev_polynomial_t(torch.tensor([0.5, 2.0]), 3)
    tensor([-1., 26.])
    """
    return _call("chebyshev_t", input, n, out)


def chebyshev_polynomial_u(input: Any, n: Any, *, out: Tensor | None = None) -> Tensor:
    """Chebyshev's polynomial of the second kind, `sin((n + 1) t) / sin(t)` with `t = arccos(x)`, elementwise.

    >>> import tapegrad as torch
    >>> torch.special.chebyshev_polynomial_u(torch.tensor([0.5, 2.0]), 3)
    tensor([-1., 56.])
    """
    return _call("chebyshev_u", input, n, out)


def chebyshev_polynomial_v(input: Any, n: Any, *, out: Tensor | None = None) -> Tensor:
    """Chebyshev's polynomial of the third kind, `cos((n + 1/2) t) / cos(t/2)` with `t = arccos(x)`, elementwise.

    >>> import tapegrad as torch
    >>> torch.special.chebyshev_polynomial_v(torch.tensor([0.5, 2.0]), 3)
    tensor([-1., 41.])
    """
    return _call("chebyshev_v", input, n, out)


def chebyshev_polynomial_w(input: Any, n: Any, *, out: Tensor | None = None) -> Tensor:
    """Chebyshev's polynomial of the fourth kind, `sin((n + 1/2) t) / sin(t/2)` with `t = arccos(x)`, elementwise.

    >>> import tapegrad as torch
    >>> torch.special.chebyshev_polynomial_w(torch.tensor([0.5, 2.0]), 3)
    tensor([-1., 71.])
    """
    return _call("chebyshev_w", input, n, out)


def shifted_chebyshev_polynomial_t(input: Any, n: Any, *, out: Tensor | None = None) -> Tensor:
    """`chebyshev_polynomial_t` at `2 x - 1`, elementwise.

    >>> import tapegrad as torch
    >>> torch.special.shifted_chebyshev_polynomial_t(torch.tensor([0.75, 1.5]), 3)
    tensor([-1., 26.])
    """
    return _call("chebyshev_t", input, n, out, shifted=True)


def shifted_chebyshev_polynomial_u(input: Any, n: Any, *, out: Tensor | None = None) -> Tensor:
    """`chebyshev_polynomial_u` at `2 x - 1`, elementwise.

    >>> import tapegrad as torch
    >>> torch.special.shifted_chebyshev_polynomial_u(torch.tensor([0.75, 1.5]), 3)
    tensor([-1., 56.])
    """
    return _call("chebyshev_u", input, n, out, shifted=True)


def shifted_chebyshev_polynomial_v(input: Any, n: Any, *, out: Tensor | None = None) -> Tensor:
    """`chebyshev_polynomial_v` at `2 x - 1`, elementwise.

    >>> import tapegrad as torch
    >>> torch.special.shifted_chebyshev_polynomial_v(torch.tensor([0.75, 1.5]), 3)
    tensor([-1., 41.])
    """
    return _call("chebyshev_v", input, n, out, shifted=True)


def shifted_chebyshev_polynomial_w(input: Any, n: Any, *, out: Tensor | None = None) -> Tensor:
    """`chebyshev_polynomial_w` at `2 x - 1`, elementwise.

    >>> import tapegrad as torch
    >>> torch.special.shifted_chebyshev_polynomial_w(torch.tensor([0.75, 1.5]), 3)
    tensor([-1., 71.])
    """
    return _call("chebyshev_w", input, n, out, shifted=True)


def hermite_polynomial_h(input: Any, n: Any, *, out: Tensor | None = None) -> Tensor:
    """Hermite's polynomial of the physicists, orthogonal under `exp(-x * x)`, elementwise.

    >>> import tapegrad as torch
    >>> torch.special.hermite_polynomial_h(torch.tensor([0.5, 2.0]), 3)
    tensor([-5., 40.])
    """
    return _call("hermite_h", input, n, out)


def hermite_polynomial_he(input: Any, n: Any, *, out: Tensor | None = None) -> Tensor:
    """Hermite's polynomial of the statisticians, orthogonal under `exp(-x * x / 2)`, elementwise.

    >>> import tapegrad as torch
    >>> torch.special.hermite_polynomial_he(torch.tensor([0.5, 2.0]), 3)
    tensor([-1.3750,  2.0000])
    """
    return _call("hermite_he", input, n, out)


def laguerre_polynomial_l(input: Any, n: Any, *, out: Tensor | None = None) -> Tensor:
    """Laguerre's polynomial, orthogonal under `exp(-x)` on the right half line, elementwise.

    >>> import tapegrad as torch
    >>> torch.special.laguerre_polynomial_l(torch.tensor([0.5, 2.0]), 2)
    tensor([ 0.1250, -1.0000])
    """
    return _call("laguerre_l", input, n, out)


def legendre_polynomial_p(input: Any, n: Any, *, out: Tensor | None = None) -> Tensor:
    """Legendre's polynomial, orthogonal between -1 and 1, elementwise.

    >>> import tapegrad as torch
    >>> torch.special.legendre_polynomial_p(torch.tensor([0.5, 2.0]), 2)
    tensor([-0.1250,  5.5000])
    """
    return _call("legendre_p", input, n, out)
