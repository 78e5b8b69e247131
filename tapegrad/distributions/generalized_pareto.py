"""The generalized Pareto distribution."""

from __future__ import annotations

import math
from typing import Any

from ..core.tensor import Tensor
from ..ops.pointwise.compare import where
from ..ops.random.draws import rand
from ..ops.reduction.statistics import isclose
from ..shapes import Size
from . import constraints
from .distribution import Distribution
from .utils import batch_of, broadcast_all

__all__ = ["GeneralizedPareto"]


class GeneralizedPareto(Distribution):
    """The generalized Pareto distribution: `P(x > t) = (1 + c z)^(-1 / c)`, z = (t - loc) / scale, c the concentration.

    Args:
        loc: the smallest value.
        scale: unit, positive.
        concentration: shape; 0 gives the exponential distribution.
        validate_args: whether to check arguments and values.

    Raises:
        ValueError: `scale` is not positive.

    >>> import tapegrad as torch
    >>> torch.distributions.GeneralizedPareto(0.0, 1.0, 0.5).mean
    tensor(2.)
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive, "concentration": constraints.real}
    has_rsample = True
    _names = ("loc", "scale", "concentration")

    def __init__(self, loc: Any, scale: Any, concentration: Any, validate_args: bool | None = None):
        self.loc, self.scale, self.concentration = broadcast_all(loc, scale, concentration)
        super().__init__(batch_of(self.loc, loc, scale, concentration), validate_args=validate_args)

    def _shape(self) -> tuple[Tensor, Tensor]:
        """Whether the concentration is about 0, and one that is not, to divide by."""
        flat = isclose(self.concentration, self.concentration.new_zeros(()))
        return flat, where(flat, 1.0, self.concentration)

    def rsample(self, sample_shape: Any = Size()) -> Tensor:
        return self.icdf(rand(self._extended_shape(sample_shape), dtype=self.loc.dtype))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        z, (flat, c) = (value - self.loc) / self.scale, self._shape()
        return where(flat, -z, -(1 + 1 / c) * (c * z).log1p()) - self.scale.log()

    def log_survival_function(self, value: Tensor) -> Tensor:
        """ln P(x > value)."""
        if self._validate_args:
            self._validate_sample(value)
        z, (flat, c) = (value - self.loc) / self.scale, self._shape()
        return where(flat, -z, -(c * z).log1p() / c)

    def log_cdf(self, value: Tensor) -> Tensor:
        """The logarithm of `cdf`."""
        return (-self.log_survival_function(value).exp()).log1p()

    def cdf(self, value: Tensor) -> Tensor:
        return self.log_cdf(value).exp()

    def icdf(self, value: Tensor) -> Tensor:
        (flat, c), rest = self._shape(), (-value).log1p()
        return self.loc + self.scale * where(flat, -rest, (-c * rest).expm1() / c)

    @property
    def mean(self) -> Tensor:
        c = self.concentration.masked_fill(self.concentration >= 1, math.nan)
        return self.loc + self.scale / (1 - c)

    @property
    def variance(self) -> Tensor:
        c = self.concentration.masked_fill(self.concentration >= 0.5, math.nan)
        return self.scale**2 / ((1 - c) ** 2 * (1 - 2 * c))

    def entropy(self) -> Tensor:
        return (self.scale.log() + self.concentration + 1).expand(self._batch_shape)

    @property
    def mode(self) -> Tensor:
        return self.loc

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        below = self.concentration < 0
        end = self.loc - self.scale / where(below, self.concentration, -1.0)
        return constraints.interval(self.loc, where(below, end, math.inf))
