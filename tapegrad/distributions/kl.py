"""Kullback-Leibler divergences between distributions, found by the types of the two."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..core.engine import grad
from ..core.tensor import Tensor
from ..errors import message
from ..modes import enable_grad
from ..ops.linalg.solve import solve_triangular
from ..ops.neural.activation import softplus
from ..ops.shape.joining import broadcast_shapes
from .bernoulli import Bernoulli
from .beta import Beta
from .binomial import Binomial
from .categorical import Categorical
from .cauchy import Cauchy
from .continuous_bernoulli import ContinuousBernoulli
from .covariance import half_log_det, mahalanobis, times
from .dirichlet import Dirichlet
from .distribution import Distribution
from .exp_family import ExponentialFamily
from .exponential import Exponential
from .gamma import Gamma
from .geometric import Geometric
from .gumbel import Gumbel
from .half_normal import HalfNormal
from .independent import Independent
from .laplace import Laplace
from .lowrank_multivariate_normal import LowRankMultivariateNormal
from .multivariate_normal import MultivariateNormal
from .normal import Normal
from .one_hot_categorical import OneHotCategorical
from .pareto import Pareto
from .poisson import Poisson
from .transformed_distribution import TransformedDistribution
from .uniform import Uniform
from .utils import EULER, sum_rightmost

__all__ = ["register_kl", "kl_divergence"]


_TABLE: dict[tuple[type, type], Callable] = {}
_FOUND: dict[tuple[type, type], Callable | None] = {}  # what `_formula` has found


def register_kl(type_p: type, type_q: type) -> Callable:
    """A decorator for a function of (p, q) that computes KL(p | q) for these two types and their subclasses.

    Raises:
        TypeError: not two classes of distributions.

    >>> import tapegrad as torch
    >>> from tapegrad.distributions import Normal, kl_divergence, register_kl
    >>> class Mine(Normal):
    ...     pass
    >>> @register_kl(Mine, Mine)
    ... def kl_of_mine(p, q):
    ...     return torch.tensor(0.0)
    >>> kl_divergence(Mine(0.0, 1.0), Mine(1.0, 1.0))
    tensor(0.)
    """
    for kind in (type_p, type_q):
        if not isinstance(kind, type) or not issubclass(kind, Distribution):
            raise TypeError(message("register_kl: a class of distributions is expected", got=repr(kind)))

    def add(function: Callable) -> Callable:
        _TABLE[type_p, type_q] = function
        _FOUND.clear()
        return function

    return add


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """The divergence of q from p: the mean of `ln p(x) - ln q(x)` over x from p, one number for each of the batch.

    Raises:
        NotImplementedError: no formula for these two is known.

    >>> import tapegrad as torch
    >>> from tapegrad.distributions import Normal, kl_divergence
    >>> kl_divergence(Normal(0.0, 1.0), Normal(1.0, 1.0))
    tensor(0.5000)
    """
    pair = type(p), type(q)
    if pair not in _FOUND:
        _FOUND[pair] = _formula(*pair)
    formula = _FOUND[pair]
    if formula is None:
        got = f"{pair[0].__name__} and {pair[1].__name__}"
        raise NotImplementedError(message("kl_divergence: no formula for these is known", got=got, fix="register_kl"))
    return formula(p, q)


def _formula(type_p: type, type_q: type) -> Callable | None:
    """The formula for the closest pair of base classes, first by p, then by q."""
    order_p, order_q = type_p.__mro__, type_q.__mro__
    known = [(a, b) for a, b in _TABLE if a in order_p and b in order_q]
    if not known:
        return None
    return _TABLE[min(known, key=lambda pair: (order_p.index(pair[0]), order_q.index(pair[1])))]


# ---- one family ------------------------------------------------------------------------------------------------------


@register_kl(Bernoulli, Bernoulli)
def _(p: Any, q: Any) -> Tensor:
    from_one, from_zero = (p.probs, q.logits, p.logits), (1 - p.probs, -q.logits, -p.logits)
    found = []
    for weight, q_logit, p_logit in (from_one, from_zero):
        term = weight * (softplus(-q_logit) - softplus(-p_logit))
        term = term.masked_fill((-q_logit).sigmoid() == 1, math.inf)
        found.append(term.masked_fill(weight == 0, 0))
    return found[0] + found[1]


@register_kl(Beta, Beta)
def _(p: Any, q: Any) -> Tensor:
    total_p, total_q = p.concentration1 + p.concentration0, q.concentration1 + q.concentration0
    log_beta = q.concentration1.lgamma() + q.concentration0.lgamma() + total_p.lgamma()
    log_beta = log_beta - (p.concentration1.lgamma() + p.concentration0.lgamma() + total_q.lgamma())
    found = log_beta + (p.concentration1 - q.concentration1) * p.concentration1.digamma()
    found = found + (p.concentration0 - q.concentration0) * p.concentration0.digamma()
    return found + (total_q - total_p) * total_p.digamma()


@register_kl(Binomial, Binomial)
def _(p: Any, q: Any) -> Tensor:
    if (p.total_count < q.total_count).any():
        raise NotImplementedError(message("kl_divergence: Binomial with fewer trials in p than in q"))
    found = p.total_count * (p.probs * (p.logits - q.logits) + (-p.probs).log1p() - (-q.probs).log1p())
    return found.masked_fill(p.total_count > q.total_count, math.inf)


@register_kl(Categorical, Categorical)
def _(p: Any, q: Any) -> Tensor:
    t = p.probs * (p.logits - q.logits)
    t = t.masked_fill((q.probs == 0).expand(t.shape), math.inf)
    return t.masked_fill((p.probs == 0).expand(t.shape), 0).sum(-1)


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _(p: Any, q: Any) -> Tensor:
    found = p.mean * (p.logits - q.logits) + p._log_constant() + (-p.probs).log1p()
    return found - q._log_constant() - (-q.probs).log1p()


@register_kl(Dirichlet, Dirichlet)
def _(p: Any, q: Any) -> Tensor:
    total = p.concentration.sum(-1)
    found = total.lgamma() - q.concentration.sum(-1).lgamma()
    found = found - (p.concentration.lgamma() - q.concentration.lgamma()).sum(-1)
    spread = p.concentration.digamma() - total.digamma().unsqueeze(-1)
    return found + ((p.concentration - q.concentration) * spread).sum(-1)


@register_kl(Exponential, Exponential)
def _(p: Any, q: Any) -> Tensor:
    ratio = q.rate / p.rate
    return -ratio.log() + ratio - 1


@register_kl(ExponentialFamily, ExponentialFamily)
def _(p: Any, q: Any) -> Tensor:
    """The Bregman divergence of the log-normalisers."""
    if type(p) is not type(q):
        raise NotImplementedError(message("kl_divergence: only between exponential families of one kind"))
    with enable_grad():
        theta_p = [t.detach().requires_grad_() for t in p._natural_params]
        normalizer = p._log_normalizer(*theta_p)
        gradients = grad(normalizer.sum(), theta_p, create_graph=True)
    theta_q = q._natural_params
    found = q._log_normalizer(*theta_q) - normalizer
    for tp, tq, g in zip(theta_p, theta_q, gradients):
        found = found - sum_rightmost((tq - tp) * g, len(q.event_shape))
    return found


@register_kl(Gamma, Gamma)
def _(p: Any, q: Any) -> Tensor:
    found = q.concentration * (p.rate / q.rate).log() + q.concentration.lgamma() - p.concentration.lgamma()
    found = found + (p.concentration - q.concentration) * p.concentration.digamma()
    return found + (q.rate - p.rate) * (p.concentration / p.rate)


@register_kl(Gumbel, Gumbel)
def _(p: Any, q: Any) -> Tensor:
    ratio, shift = p.scale / q.scale, (p.loc - q.loc) / q.scale
    found = -ratio.log() + shift + ratio * EULER
    return found + (-shift + (1 + ratio).lgamma()).exp() - (1 + EULER)


@register_kl(Geometric, Geometric)
def _(p: Any, q: Any) -> Tensor:
    return -p.entropy() - (-q.probs).log1p() / p.probs - q.logits


@register_kl(HalfNormal, HalfNormal)
def _(p: Any, q: Any) -> Tensor:
    return _normal_normal(p.base_dist, q.base_dist)


@register_kl(Laplace, Laplace)
def _(p: Any, q: Any) -> Tensor:
    ratio, distance = p.scale / q.scale, (p.loc - q.loc).abs()
    return -ratio.log() + distance / q.scale + ratio * (-distance / p.scale).exp() - 1


@register_kl(Normal, Normal)
def _normal_normal(p: Any, q: Any) -> Tensor:
    ratio = (p.scale / q.scale).pow(2)
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale).pow(2) - 1 - ratio.log())


@register_kl(OneHotCategorical, OneHotCategorical)
def _(p: Any, q: Any) -> Tensor:
    return kl_divergence(p._categorical, q._categorical)


@register_kl(Pareto, Pareto)
def _(p: Any, q: Any) -> Tensor:
    ratio = q.alpha / p.alpha
    found = q.alpha * (p.scale / q.scale).log() - ratio.log() + ratio - 1
    return found.masked_fill(p.scale < q.scale, math.inf)


@register_kl(Poisson, Poisson)
def _(p: Any, q: Any) -> Tensor:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(Uniform, Uniform)
def _(p: Any, q: Any) -> Tensor:
    found = ((q.high - q.low) / (p.high - p.low)).log()
    return found.masked_fill((q.low > p.low) | (q.high < p.high), math.inf)


@register_kl(Cauchy, Cauchy)
def _(p: Any, q: Any) -> Tensor:
    """Chyzak, Nielsen, "A closed-form formula for the KL divergence between Cauchy distributions" (2019)."""
    square = (p.scale + q.scale).pow(2) + (p.loc - q.loc).pow(2)
    return square.log() - (4 * p.scale * q.scale).log()


@register_kl(Independent, Independent)
def _(p: Any, q: Any) -> Tensor:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError(message("kl_divergence: Independent with different numbers of dimensions"))
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


@register_kl(TransformedDistribution, TransformedDistribution)
def _(p: Any, q: Any) -> Tensor:
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError(message("kl_divergence: the transforms or the shapes of events differ"))
    return kl_divergence(p.base_dist, q.base_dist)


# ---- vectors of normal numbers ---------------------------------------------------------------------------------------


def _trace(lower: Tensor, factor: Tensor) -> Tensor:
    """The trace of (L L^T)^-1 F F^T, batches broadcast."""
    batch = broadcast_shapes(lower.shape[:-2], factor.shape[:-2])
    lower, factor = (m.expand(batch + m.shape[-2:]) for m in (lower, factor))
    return solve_triangular(lower, factor, upper=False).pow(2).flatten(-2).sum(-1)


@register_kl(MultivariateNormal, MultivariateNormal)
def _(p: Any, q: Any) -> Tensor:
    if p.event_shape != q.event_shape:
        raise ValueError(message("kl_divergence: events of different sizes", got=f"{p.event_shape}, {q.event_shape}"))
    lq, lp = q._unbroadcasted_scale_tril, p._unbroadcasted_scale_tril
    squares = _trace(lq, lp) + mahalanobis(lq, q.loc - p.loc)
    return half_log_det(lq) - half_log_det(lp) + 0.5 * (squares - p.event_shape[0])


def _low_rank_terms(q: Any, *factors: Tensor) -> list[Tensor]:
    """The traces of C^-1 F F^T for the covariance C of q."""
    scaled = q._unbroadcasted_cov_factor.mT / q._unbroadcasted_cov_diag.unsqueeze(-2)
    root = q._unbroadcasted_cov_diag.rsqrt().unsqueeze(-1)
    found = []
    for factor in factors:
        whole = (factor * root).pow(2).flatten(-2).sum(-1)
        found.append(whole - _trace(q._capacitance_tril, scaled @ factor))
    return found


def _low_rank_square(q: Any, diff: Tensor) -> Tensor:
    scaled = q._unbroadcasted_cov_factor.mT / q._unbroadcasted_cov_diag.unsqueeze(-2)
    whole = (diff.pow(2) / q._unbroadcasted_cov_diag).sum(-1)
    return whole - mahalanobis(q._capacitance_tril, times(scaled, diff))


@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
def _(p: Any, q: Any) -> Tensor:
    if p.event_shape != q.event_shape:
        raise ValueError(message("kl_divergence: events of different sizes", got=f"{p.event_shape}, {q.event_shape}"))
    traces = _low_rank_terms(q, p._unbroadcasted_cov_factor, p._unbroadcasted_cov_diag.sqrt().diag_embed())
    squares = traces[0] + traces[1] + _low_rank_square(q, q.loc - p.loc)
    return 0.5 * (q._log_det() - p._log_det() + squares - p.event_shape[0])


@register_kl(MultivariateNormal, LowRankMultivariateNormal)
def _(p: Any, q: Any) -> Tensor:
    if p.event_shape != q.event_shape:
        raise ValueError(message("kl_divergence: events of different sizes", got=f"{p.event_shape}, {q.event_shape}"))
    (trace,) = _low_rank_terms(q, p._unbroadcasted_scale_tril)
    log_det = 2 * half_log_det(p._unbroadcasted_scale_tril)
    return 0.5 * (q._log_det() - log_det + trace + _low_rank_square(q, q.loc - p.loc) - p.event_shape[0])


@register_kl(LowRankMultivariateNormal, MultivariateNormal)
def _(p: Any, q: Any) -> Tensor:
    if p.event_shape != q.event_shape:
        raise ValueError(message("kl_divergence: events of different sizes", got=f"{p.event_shape}, {q.event_shape}"))
    lq = q._unbroadcasted_scale_tril
    trace = _trace(lq, p._unbroadcasted_cov_factor) + _trace(lq, p._unbroadcasted_cov_diag.sqrt().diag_embed())
    squares = trace + mahalanobis(lq, q.loc - p.loc)
    return 0.5 * (2 * half_log_det(lq) - p._log_det() + squares - p.event_shape[0])
