"""The von Mises distribution of angles."""

from __future__ import annotations

import math
from typing import Any

from ..core.tensor import Tensor
from ..dtypes import float64
from ..modes import no_grad
from ..ops.creation.filled import empty
from ..ops.pointwise.compare import where
from ..ops.random.draws import rand
from ..shapes import Size
from . import constraints
from .distribution import Distribution
from .utils import broadcast_all, lazy_property

__all__ = ["VonMises"]


# I0 and I1 for arguments up to 3.75 as polynomials of (x / 3.75)^2, above as polynomials of 3.75 / x times exp(x) /
# sqrt(x): Abramowitz and Stegun, "Handbook of Mathematical Functions", 9.8.1 to 9.8.4.
_SMALL = (
    (1.0, 3.5156229, 3.0899424, 1.2067492, 0.2659732, 0.360768e-1, 0.45813e-2),
    (0.5, 0.87890594, 0.51498869, 0.15084934, 0.2658733e-1, 0.301532e-2, 0.32411e-3),
)
_LARGE = (
    (0.39894228, 0.1328592e-1, 0.225319e-2, -0.157565e-2, 0.916281e-2, -0.2057706e-1, 0.2635537e-1, -0.1647633e-1,
     0.392377e-2),
    (0.39894228, -0.3988024e-1, -0.362018e-2, 0.163801e-2, -0.1031555e-1, 0.2282967e-1, -0.2895312e-1, 0.1787654e-1,
     -0.420059e-2),
)  # fmt: skip


def _polynomial(y: Tensor, coefficients: tuple[float, ...]) -> Tensor:
    *rest, found = coefficients
    for c in reversed(rest):
        found = c + y * found
    return found


def _log_bessel(x: Tensor, order: int = 0) -> Tensor:
    """The logarithm of the modified Bessel function of the first kind, of order 0 or 1, for x >= 0."""
    y = x / 3.75
    small = _polynomial(y * y, _SMALL[order])
    if order == 1:
        small = x.abs() * small
    large = x - 0.5 * x.log() + _polynomial(3.75 / x, _LARGE[order]).log()
    return where(x < 3.75, small.log(), large)


class VonMises(Distribution):
    """The von Mises distribution of angles: density proportional to `exp(concentration cos(x - loc))`.

    Args:
        loc: the angle in the middle, in radians.
        concentration: positive; for large ones the variance is about its inverse.
        validate_args: whether to check arguments and values.

    Raises:
        ValueError: `concentration` is not positive.

    Reference: Best, Fisher, "Efficient simulation of the von Mises distribution", Applied Statistics 28 (1979).

    >>> import tapegrad as torch
    >>> torch.distributions.VonMises(0.0, 1.0).log_prob(torch.tensor(0.0))
    tensor(-1.0738)
    """

    arg_constraints = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real
    has_rsample = False
    _names = ("loc", "concentration")

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None):
        self.loc, self.concentration = broadcast_all(loc, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        found = self.concentration * (value - self.loc).cos()
        return found - math.log(2 * math.pi) - _log_bessel(self.concentration)

    @lazy_property
    def _proposal(self) -> Tensor:
        """The parameter r of the wrapped Cauchy distribution that draws are refused from."""
        k = self.concentration.to(float64)
        tau = 1 + (1 + 4 * k**2).sqrt()
        rho = (tau - (2 * tau).sqrt()) / (2 * k)
        exact = (1 + rho**2) / (2 * rho)
        series = 1 / k + k  # rho loses all digits for small concentrations
        return where(k < 1e-5, series, exact)

    @no_grad()
    def sample(self, sample_shape: Any = Size()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        x = empty(shape, dtype=self.loc.dtype)
        r, k = self._proposal.expand(shape), self.concentration.to(float64).expand(shape)
        loc, done = self.loc.to(float64), x.new_zeros(shape).bool()
        angle = empty(shape, dtype=float64)
        while not done.all():
            u1, u2, u3 = rand((3, *shape), dtype=float64).unbind()
            z = (math.pi * u1).cos()
            f = (1 + r * z) / (r + z)
            c = k * (r - f)
            accepted = ((c * (2 - c) - u2) > 0) | ((c / u2).log() + 1 - c >= 0)
            if accepted.any():
                angle = where(accepted, (u3 - 0.5).sign() * f.acos(), angle)
                done = done | accepted
        return ((angle + math.pi + loc) % (2 * math.pi) - math.pi).to(self.loc.dtype)

    @property
    def mean(self) -> Tensor:
        """The circular mean."""
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @lazy_property
    def variance(self) -> Tensor:  # type: ignore[override]
        """The circular variance."""
        return 1 - (_log_bessel(self.concentration, 1) - _log_bessel(self.concentration)).exp()
