"""Gamma and Dirichlet numbers with derivatives by their parameters, for `distributions`.

Reference: Figurnov, Mohamed, Mnih, "Implicit reparameterization gradients", NeurIPS 2018.
"""

from __future__ import annotations

from ...backends.cpu import gamma_draws
from ...core.op import Array, op
from ...errors import message
from ..reduction.reduce import sum
from .generators import chosen

__all__ = ["_standard_gamma", "_standard_gamma_grad", "_sample_dirichlet", "_dirichlet_grad"]


@op(name="_standard_gamma", node="StandardGammaBackward0")
def _standard_gamma(x: Array, generator=None):
    """Gamma numbers of rate 1 whose shapes are the elements of `x`; differentiable once."""
    return gamma_draws.standard_gamma(chosen(generator), x)


@_standard_gamma.grad("x")
def _(g, x, out):
    return g * _standard_gamma_grad(x, out)


@_standard_gamma.shape
def _(x, generator):
    return x


@op(name="_standard_gamma_grad")
def _standard_gamma_grad(x: Array, output: Array):
    """The derivatives of gamma numbers, `output`, by their shapes `x`."""
    return gamma_draws.gamma_derivative(x, output)


@_standard_gamma_grad.grad("x", "output")
def _(g, needs):
    raise RuntimeError(message("gamma numbers: the second derivative is not known"))


@_standard_gamma_grad.shape
def _(x, output):
    return x


@op(name="_sample_dirichlet", node="_DirichletBackward")
def _sample_dirichlet(x: Array, generator=None):
    """Points of the simplex from Dirichlet distributions whose concentrations are the last dimension of `x`."""
    return gamma_draws.dirichlet(chosen(generator), x)


@_sample_dirichlet.grad("x")
def _(g, x, out):
    along = _dirichlet_grad(out, x, sum(x, -1, True))
    return along * (g - sum(out * g, -1, True))


@_sample_dirichlet.shape
def _(x, generator):
    return x


@op(name="_dirichlet_grad")
def _dirichlet_grad(x: Array, alpha: Array, total: Array):
    """The derivatives of parts `x` of Dirichlet vectors by their concentrations `alpha`, over 1 - x."""
    return gamma_draws.dirichlet_derivative(x, alpha, total)


@_dirichlet_grad.grad("x", "alpha", "total")
def _(g, needs):
    raise RuntimeError(message("Dirichlet numbers: the second derivative is not known"))


@_dirichlet_grad.shape
def _(x, alpha, total):
    return x
