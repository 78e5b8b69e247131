"""Distributions by what they promise: draws have the moments, derivatives and divergences are right. No torch."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tapegrad as torch
from tapegrad.backends.cpu import gamma_draws
from tapegrad.backends.cpu.generator import Generator
from tapegrad.distributions import (
    Bernoulli,
    Beta,
    Binomial,
    Categorical,
    Cauchy,
    Dirichlet,
    Distribution,
    Exponential,
    Gamma,
    Gumbel,
    Independent,
    Laplace,
    LogNormal,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    Pareto,
    Poisson,
    StudentT,
    Uniform,
    VonMises,
    Weibull,
    biject_to,
    constraints,
    kl_divergence,
    transform_to,
)

T64 = {"dtype": torch.float64}


def t(*values: float) -> torch.Tensor:
    return torch.tensor(values, **T64)


DISTRIBUTIONS = [
    Bernoulli(t(0.3)), Beta(t(2.0), t(0.7)), Binomial(9, t(0.3)), Exponential(t(2.0)), Gamma(t(0.6), t(2.0)),
    Gumbel(t(1.0), t(2.0)), Laplace(t(1.0), t(2.0)), LogNormal(t(0.1), t(0.4)), Normal(t(1.0), t(2.0)),
    Pareto(t(1.0), t(6.0)), Poisson(t(3.5)), Poisson(t(30.0)), StudentT(t(7.0), t(1.0), t(2.0)),
    Uniform(t(-1.0), t(3.0)),
    Weibull(t(1.0), t(1.5)), Dirichlet(t(0.5, 2.0, 3.0)), MultivariateNormal(t(1.0, 2.0), torch.eye(2, **T64) * 2),
    MixtureSameFamily(Categorical(t(0.3, 0.7)), Normal(t(-1.0, 2.0), t(0.5, 1.0))),
]  # fmt: skip


@pytest.mark.parametrize("d", DISTRIBUTIONS, ids=lambda d: type(d).__name__)
def test_moments(d):
    torch.manual_seed(0)
    x = d.sample((20_000,))
    error = (d.variance / 20_000).sqrt()
    assert ((x.mean(0) - d.mean).abs() < 5 * error).all()
    torch.testing.assert_close(x.var(0), d.variance.expand_as(x[0]), rtol=0.2, atol=0.0)


@pytest.mark.parametrize("d", [d for d in DISTRIBUTIONS if d.has_rsample], ids=lambda d: type(d).__name__)
def test_entropy_is_the_mean_of_minus_log_prob(d):
    try:
        expected = d.entropy()
    except NotImplementedError:
        return
    torch.manual_seed(1)
    found = -d.log_prob(d.sample((20_000,)))
    assert ((found.mean(0) - expected).abs() < 5 * (found.var(0) / 20_000).sqrt() + 1e-6).all()


PAIRS = [
    (Normal(t(0.0), t(1.0)), Normal(t(1.0), t(2.0))), (Gamma(t(2.0), t(1.0)), Gamma(t(3.0), t(2.0))),
    (Beta(t(2.0), t(3.0)), Beta(t(1.0), t(2.0))), (Exponential(t(1.0)), Gamma(t(2.0), t(2.0))),
    (Laplace(t(0.0), t(1.0)), Normal(t(1.0), t(2.0))), (Gumbel(t(0.0), t(1.0)), Gumbel(t(0.5), t(2.0))),
    (Gamma(t(2.0), t(3.0)), Gumbel(t(0.5), t(2.0))), (Normal(t(0.3), t(0.5)), Laplace(t(1.0), t(2.0))),
    (Uniform(t(0.2), t(0.7)), Beta(t(2.0), t(3.0))), (Pareto(t(1.0), t(4.0)), Gamma(t(2.0), t(1.0))),
    (Cauchy(t(0.0), t(1.0)), Cauchy(t(1.0), t(2.0))), (Uniform(t(0.2), t(0.7)), Gumbel(t(0.5), t(2.0))),
    (Dirichlet(t(0.5, 2.0)), Dirichlet(t(1.5, 1.0))), (Weibull(t(1.0), t(2.0)), None),
]  # fmt: skip


@pytest.mark.parametrize(("p", "q"), PAIRS[:-1])
def test_divergence_is_the_mean_of_the_log_ratio(p, q):
    torch.manual_seed(2)
    x = p.sample((40_000,))
    found = p.log_prob(x) - q.log_prob(x)
    assert (found.mean(0) - kl_divergence(p, q)).abs().max() < 5 * (found.var(0) / 40_000).sqrt().max()


SHAPES = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "shape",
    [
        SHAPES.uniform(0.05, 0.95, 25000), np.full(300, 1.0), SHAPES.uniform(0.1, 3, (70, 100)), np.full(999, 1e-3),
        SHAPES.uniform(1, 50, 2001), 10 ** SHAPES.uniform(-2, 6, 5000), np.array([0.0, *[0.5] * 300]),
    ],
)  # fmt: skip
def test_many_gamma_numbers_are_those_made_one_by_one(shape, dtype):
    shape = shape.astype(dtype)
    one, many = Generator().manual_seed(1), Generator().manual_seed(1)
    one.spare = many.spare = None if shape.size % 2 else 0.7
    constants = gamma_draws._constants(shape)
    expected = np.maximum(gamma_draws.each(one, gamma_draws._gamma, shape, *constants), np.finfo(dtype).tiny)
    found = gamma_draws.standard_gamma(many, shape)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == dtype and many.spare == one.spare
    np.testing.assert_array_equal(many.get_state(), one.get_state())


# ---- derivatives of draws --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [1e-3, 0.05, 0.6, 1.0, 3.0, 40.0, 900.0])
def test_gamma_derivative(shape):
    """The sample moves so that its place in the distribution stays the same."""
    a = np.full(300, shape)
    z = np.maximum(gamma_draws.standard_gamma(Generator().manual_seed(0), a), 1e-250)
    slope, h = gamma_draws.gamma_derivative(a, z), 1e-4 * shape
    near = z < a  # the smaller tail, which has more digits
    for tail, side in ((torch.igamma, near), (torch.igammac, ~near)):
        before, after = (tail(torch.from_numpy(a + d), torch.from_numpy(z + slope * d)).numpy()[side] for d in (-h, h))
        np.testing.assert_allclose(before, after, 2e-6)


def test_derivatives_move_draws_as_the_mean_moves():
    """E[dx/da] is the derivative of the mean."""
    torch.manual_seed(3)
    a = t(0.7, 2.0).requires_grad_()
    Gamma(a, t(2.0)).rsample((40_000,)).mean(0).sum().backward()
    torch.testing.assert_close(a.grad, t(0.5, 0.5), rtol=0.03, atol=0.0)
    c = t(0.7, 2.0, 1.3).requires_grad_()
    Dirichlet(c).rsample((40_000,))[:, 0].mean().backward()
    total = 4.0
    torch.testing.assert_close(c.grad, t(3.3, -0.7, -0.7) / total**2, rtol=0.05, atol=0.0)


def test_second_derivatives_are_refused():
    a = t(0.7).requires_grad_()
    (g,) = torch.autograd.grad(Gamma(a, t(1.0)).rsample().sum(), a, create_graph=True)
    with pytest.raises(RuntimeError, match="second derivative"):
        g.sum().backward()


# ---- shapes, checks, sets --------------------------------------------------------------------------------------------


def test_shapes():
    d = Independent(Normal(torch.zeros(4, 3), torch.ones(3)), 1)
    assert d.batch_shape == (4,) and d.event_shape == (3,)
    assert d.sample((2,)).shape == (2, 4, 3) and d.log_prob(torch.zeros(3)).shape == (4,)
    assert d.expand((5, 4)).sample().shape == (5, 4, 3)


def test_messages():
    with pytest.raises(ValueError, match=r"Normal: the parameter scale does not satisfy GreaterThan"):
        Normal(0.0, -1.0)
    with pytest.raises(ValueError, match="outside of the support"):
        Bernoulli(0.5).log_prob(torch.tensor(0.5))
    with pytest.raises(NotImplementedError, match="no formula"):
        kl_divergence(Cauchy(0.0, 1.0), Poisson(1.0))
    with pytest.raises(NotImplementedError, match="does not define mean"):
        Distribution(validate_args=False).mean.item()


SETS = [
    constraints.real, constraints.positive, constraints.unit_interval, constraints.interval(-1.0, 2.0),
    constraints.less_than(0.5), constraints.simplex, constraints.corr_cholesky, constraints.lower_cholesky,
    constraints.positive_definite, constraints.independent(constraints.positive, 1),
]  # fmt: skip


@pytest.mark.parametrize("c", SETS, ids=repr)
@pytest.mark.parametrize("table", [biject_to, transform_to], ids=["biject_to", "transform_to"])
def test_transforms_reach_their_sets(c, table):
    try:
        transform = table(c)
    except NotImplementedError:
        return
    shape = {2: (3, 3), 1: (3,)}.get(c.event_dim, ()) if c is not constraints.corr_cholesky else (3,)
    torch.manual_seed(0)
    x = torch.randn((7, *shape), **T64)
    y = transform(x)
    assert c.check(y).all()
    if transform.bijective:
        torch.testing.assert_close(transform.inv(y), x)


def test_angles_stay_within_a_turn():
    torch.manual_seed(0)
    x = VonMises(t(3.0), t(2.0)).sample((5000,))
    assert x.abs().max() <= math.pi
    center = torch.atan2(x.sin().mean(), x.cos().mean())
    assert abs(center.item() - 3.0) < 0.05
