"""Samples of the operations in `ops/random/gamma_draws.py`."""

from __future__ import annotations

import math

from samples import case, elements, positive

from tapegrad.backends.cpu import gamma_draws
from tapegrad.backends.cpu.generator import Generator

A = positive(2, 3, low=0.3, high=4.0)


def drawn(function):
    """The numbers that a fresh generator of seed 1 gives."""
    return lambda x, generator: function(Generator().manual_seed(1), x)


class Seeded(Generator):
    """A generator that starts anew for every call, so that all calls of a sample draw the same numbers."""

    def get_state(self):
        self.manual_seed(1)
        return super().get_state()


def by_difference(cdf, h: float = 1e-5):
    """-(dF/da) / (dF/dz) with both derivatives as differences."""

    def derivative(z: float, a: float, *rest: float) -> float:
        by_a = (cdf(z, a + h, *rest) - cdf(z, a - h, *rest)) / (2 * h)
        return -by_a * 2 * h / (cdf(z + h, a, *rest) - cdf(z - h, a, *rest))

    return derivative


def gamma_cdf(z: float, a: float) -> float:
    """The series of the lower incomplete gamma function."""
    term = total = 1 / a
    for n in range(1, 200):
        term *= z / (a + n)
        total += term
    return total * math.exp(a * math.log(z) - z - math.lgamma(a))


def beta_cdf(x: float, a: float, b: float) -> float:
    """The series of the incomplete beta function."""
    term = total = 1 / a
    for n in range(1, 2000):
        term *= x * (a + b + n - 1) / (a + n)
        total += term
    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    return total * math.exp(a * math.log(x) + b * math.log1p(-x) - log_beta)


def dirichlet_part(x: float, alpha: float, total: float) -> float:
    return by_difference(lambda x, a, b: beta_cdf(x, a, b))(x, alpha, total - alpha) / (1 - x)


SAMPLES = {
    "_standard_gamma": [
        case(A, generator=Seeded(), expect=drawn(gamma_draws.standard_gamma), order=0, layouts=False, double=True)
    ],
    "_sample_dirichlet": [
        case(A, generator=Seeded(), expect=drawn(gamma_draws.dirichlet), order=0, layouts=False, double=True)
    ],
    "_standard_gamma_grad": [
        case(A, positive(2, 3, seed=3), expect=lambda a, z: elements(by_difference(gamma_cdf))(z, a), order=0,
             double=True, tolerance=1e-5)
    ],
    "_dirichlet_grad": [
        case(positive(2, 3, low=0.05, high=0.95, seed=2), A, A + 1.5, expect=elements(dirichlet_part), order=0,
             double=True, tolerance=1e-4)
    ],
}  # fmt: skip
