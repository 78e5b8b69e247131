"""Kullback-Leibler divergences between different families: minus the entropy of p, minus the mean of ln q(x).

The mean of ln q(x) takes few moments of p: E[x] and the variance (q normal, exponential, continuous Bernoulli), E[ln x]
(gamma, beta), E[exp(-x / b)] (Gumbel), E[|x - m|] (Laplace). Where p has values that q cannot have it is infinite.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..core.tensor import Tensor
from ..ops.pointwise.powers import xlogy
from .bernoulli import Bernoulli
from .beta import Beta
from .binomial import Binomial
from .continuous_bernoulli import ContinuousBernoulli
from .exponential import Exponential
from .gamma import Gamma
from .gumbel import Gumbel
from .kl import register_kl
from .laplace import Laplace
from .normal import Normal
from .pareto import Pareto
from .poisson import Poisson
from .uniform import Uniform
from .utils import EULER

# ---- moments of p ----------------------------------------------------------------------------------------------------


def _log_mean(p: Any) -> Tensor:
    """E[ln x]."""
    if isinstance(p, Beta):
        return p.concentration1.digamma() - (p.concentration1 + p.concentration0).digamma()
    if isinstance(p, Exponential):
        return -EULER - p.rate.log()
    if isinstance(p, Pareto):
        return p.scale.log() + p.alpha.reciprocal()
    return (xlogy(p.high, p.high) - xlogy(p.low, p.low)) / (p.high - p.low) - 1


def _exp_mean(p: Any, unit: Tensor) -> Tensor:
    """E[exp(-x / unit)]."""
    if isinstance(p, Exponential):
        return p.rate / (p.rate + unit.reciprocal())
    if isinstance(p, Gamma):
        return (1 + (p.rate * unit).reciprocal()).pow(-p.concentration)
    if isinstance(p, Normal):
        return (-p.loc / unit + 0.5 * (p.scale / unit).pow(2)).exp()
    return unit * ((-p.low / unit).exp() - (-p.high / unit).exp()) / (p.high - p.low)


def _second_log_mean(p: Uniform) -> Tensor:
    """E[ln(1 - x)]."""
    low, high = 1 - p.low, 1 - p.high
    return (xlogy(low, low) - xlogy(high, high)) / (p.high - p.low) - 1


# ---- formulas by q ---------------------------------------------------------------------------------------------------


def _to_normal(p: Any, q: Normal) -> Tensor:
    square = p.variance + (p.mean - q.loc).pow(2)
    return -p.entropy() + 0.5 * math.log(2 * math.pi) + q.scale.log() + square / (2 * q.scale.pow(2))


def _to_exponential(p: Any, q: Exponential) -> Tensor:
    return -p.entropy() - q.rate.log() + q.rate * p.mean


def _to_gamma(p: Any, q: Gamma) -> Tensor:
    c = q.concentration
    return -p.entropy() + c.lgamma() - c * q.rate.log() - (c - 1) * _log_mean(p) + q.rate * p.mean


def _to_gumbel(p: Any, q: Gumbel) -> Tensor:
    return -p.entropy() + q.scale.log() + (p.mean - q.loc) / q.scale + (q.loc / q.scale).exp() * _exp_mean(p, q.scale)


def _to_continuous_bernoulli(p: Any, q: ContinuousBernoulli) -> Tensor:
    return -p.entropy() - p.mean * q.logits - (-q.probs).log1p() - q._log_constant()


def _to_uniform(p: Any, q: Uniform) -> Tensor:
    """For p with values from 0 to 1."""
    found = -p.entropy() + (q.high - q.low).log()
    return found.masked_fill((q.high < 1) | (q.low > 0), math.inf)


def _register(formula: Callable, q: type, *ps: type) -> None:
    for p in ps:
        register_kl(p, q)(formula)


_register(_to_normal, Normal, Beta, ContinuousBernoulli, Exponential, Gamma, Gumbel, Laplace, Uniform)
_register(_to_exponential, Exponential, Beta, ContinuousBernoulli, Gamma)
_register(_to_gamma, Gamma, Beta, Exponential)
_register(_to_gumbel, Gumbel, Exponential, Gamma, Normal, Uniform)
_register(_to_continuous_bernoulli, ContinuousBernoulli, Beta)
_register(_to_uniform, Uniform, Beta)


def _outside(formula: Callable, wrong: Callable) -> Callable:
    """The formula, but infinite where `wrong(p, q)`."""

    def checked(p: Any, q: Any) -> Tensor:
        return formula(p, q).masked_fill(wrong(p, q), math.inf)

    return checked


def _to_beta(p: Any, q: Beta) -> Tensor:
    a, b = q.concentration1, q.concentration0
    log_beta = a.lgamma() + b.lgamma() - (a + b).lgamma()
    return -p.entropy() + log_beta - (a - 1) * _log_mean(p) - (b - 1) * _second_log_mean(p)


def _to_pareto(p: Any, q: Pareto) -> Tensor:
    return -p.entropy() - q.alpha.log() - q.alpha * q.scale.log() + (q.alpha + 1) * _log_mean(p)


_negative: Callable = lambda p, q: p.low < 0
register_kl(Uniform, Beta)(_outside(_to_beta, lambda p, q: (p.high > 1) | (p.low < 0)))
# PyTorch takes these two as infinite where the ends meet, too
register_kl(Uniform, ContinuousBernoulli)(_outside(_to_continuous_bernoulli, lambda p, q: (p.high >= 1) | (p.low <= 0)))
register_kl(ContinuousBernoulli, Uniform)(_outside(_to_uniform, lambda p, q: (q.high <= 1) | (q.low >= 0)))
register_kl(Uniform, Exponential)(_outside(_to_exponential, _negative))
register_kl(Uniform, Gamma)(_outside(_to_gamma, _negative))
register_kl(Uniform, Pareto)(_outside(_to_pareto, lambda p, q: p.low < q.scale))
register_kl(Pareto, Exponential)(_outside(_to_exponential, lambda p, q: p.alpha <= 1))
register_kl(Pareto, Gamma)(_outside(_to_gamma, lambda p, q: p.alpha <= 1))
register_kl(Pareto, Normal)(_outside(_to_normal, lambda p, q: p.alpha <= 2))


@register_kl(Bernoulli, Poisson)
def _(p: Any, q: Any) -> Tensor:
    return -p.entropy() - (p.probs * q.rate.log() - q.rate)


@register_kl(Normal, Laplace)
def _(p: Any, q: Any) -> Tensor:
    d = p.loc - q.loc
    near = math.sqrt(2 / math.pi) * p.scale * (-0.5 * (d / p.scale).pow(2)).exp()
    distance = near + d * (d / (math.sqrt(2) * p.scale)).erf()
    return -p.entropy() + (2 * q.scale).log() + distance / q.scale


# ---- never finite ----------------------------------------------------------------------------------------------------


def _infinite(p: Any, q: Any) -> Tensor:
    like = p.mean
    return like.new_full(like.shape, math.inf)


_register(_infinite, Beta, Exponential, Gamma, Gumbel, Laplace, Normal, Pareto)
_register(_infinite, ContinuousBernoulli, Exponential, Gamma, Gumbel, Laplace, Normal, Pareto)
_register(_infinite, Pareto, Beta, ContinuousBernoulli, Exponential, Gamma, Gumbel, Laplace, Normal)
_register(_infinite, Uniform, Exponential, Gamma, Gumbel, Laplace, Normal, Pareto)
_register(_infinite, Exponential, Gumbel, Laplace, Normal)
_register(_infinite, Gamma, Gumbel, Laplace, Normal)
_register(_infinite, Bernoulli, Poisson)
_register(_infinite, Binomial, Poisson)
