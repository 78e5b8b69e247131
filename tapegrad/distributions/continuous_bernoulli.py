"""The continuous Bernoulli distribution."""

from __future__ import annotations

import math
from typing import Any

from ..core.tensor import Tensor
from ..errors import message
from ..ops.neural.loss import binary_cross_entropy_with_logits
from ..ops.pointwise.compare import where
from ..ops.random.draws import rand
from ..shapes import Size
from . import constraints
from .exp_family import ExponentialFamily
from .odds import Odds
from .utils import broadcast_all, clamp_probs

__all__ = ["ContinuousBernoulli"]


class ContinuousBernoulli(Odds, ExponentialFamily):
    """The continuous Bernoulli distribution on [0, 1]: density proportional to `p^x (1 - p)^(1 - x)`.

    Args:
        probs: p.
        logits: ln p - ln(1 - p), instead of p.
        lims: between these p, formulas that divide by 1 - 2p are replaced by their series.
        validate_args: whether to check arguments and values.

    Raises:
        ValueError: not exactly one of `probs` and `logits` is given, or no probability.

    Reference: Loaiza-Ganem, Cunningham, "The continuous Bernoulli", NeurIPS 2019.

    >>> import tapegrad as torch
    >>> torch.distributions.ContinuousBernoulli(0.5).mean
    tensor(0.5000)
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True
    _mean_carrier_measure = 0

    def __init__(
        self, probs: Any = None, logits: Any = None, lims: tuple = (0.499, 0.501), validate_args: bool | None = None
    ):
        if validate_args is not None:
            self._validate_args = validate_args
        shape, _ = self._take(probs, logits)
        if probs is not None:
            if self._validate_args and not self.arg_constraints["probs"].check(self.probs).all():
                raise ValueError(message("ContinuousBernoulli: probs holds no probabilities", got=self.probs))
            self.probs = clamp_probs(self.probs)
        self._lims = lims
        super().__init__(shape, validate_args=validate_args)

    def _expand_rest(self, new: Any, batch_shape: Size) -> None:
        new._lims = self._lims

    def _outside(self) -> Tensor:
        """Whether p is far enough from 1/2 for the exact formulas."""
        return (self.probs <= self._lims[0]) | (self.probs > self._lims[1])

    def _cut(self) -> Tensor:
        return where(self._outside(), self.probs, self._lims[0])

    def _log_constant(self) -> Tensor:
        """The logarithm of the factor of the density."""
        cut = self._cut()
        low = where(cut <= 0.5, cut, 0.0)
        high = where(cut >= 0.5, cut, 1.0)
        size = where(cut <= 0.5, (-2.0 * low).log1p(), (2.0 * high - 1.0).log())
        exact = ((-cut).log1p() - cut.log()).abs().log() - size
        x = (self.probs - 0.5).pow(2)
        return where(self._outside(), exact, math.log(2.0) + (4.0 / 3.0 + 104.0 / 45.0 * x) * x)

    @property
    def mean(self) -> Tensor:
        cut = self._cut()
        exact = cut / (2.0 * cut - 1.0) + 1.0 / ((-cut).log1p() - cut.log())
        x = self.probs - 0.5
        return where(self._outside(), exact, 0.5 + (1.0 / 3.0 + 16.0 / 45.0 * x.pow(2)) * x)

    @property
    def stddev(self) -> Tensor:
        return self.variance.sqrt()

    @property
    def variance(self) -> Tensor:
        cut = self._cut()
        exact = cut * (cut - 1.0) / (1.0 - 2.0 * cut).pow(2) + 1.0 / ((-cut).log1p() - cut.log()).pow(2)
        x = (self.probs - 0.5).pow(2)
        return where(self._outside(), exact, 1.0 / 12.0 - (1.0 / 15.0 - 128.0 / 945.0 * x) * x)

    def rsample(self, sample_shape: Any = Size()) -> Tensor:
        return self.icdf(rand(self._extended_shape(sample_shape), dtype=self.probs.dtype))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        return -binary_cross_entropy_with_logits(logits, value, reduction="none") + self._log_constant()

    def cdf(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        cut = self._cut()
        exact = (cut.pow(value) * (1.0 - cut).pow(1.0 - value) + cut - 1.0) / (2.0 * cut - 1.0)
        found = where(self._outside(), exact, value)
        return where(value <= 0.0, 0.0, where(value >= 1.0, 1.0, found))

    def icdf(self, value: Tensor) -> Tensor:
        cut = self._cut()
        exact = ((-cut + value * (2.0 * cut - 1.0)).log1p() - (-cut).log1p()) / (cut.log() - (-cut).log1p())
        return where(self._outside(), exact, value)

    def entropy(self) -> Tensor:
        low, high = (-self.probs).log1p(), self.probs.log()
        return self.mean * (low - high) - self._log_constant() - low

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        return (self.logits,)

    def _log_normalizer(self, x: Tensor) -> Tensor:
        outside = (x <= self._lims[0] - 0.5) | (x > self._lims[1] - 0.5)
        cut = where(outside, x, (self._lims[0] - 0.5) * x.new_ones(x.shape))
        exact = (cut.exp() - 1).abs().log() - cut.abs().log()
        return where(outside, exact, 0.5 * x + x.pow(2) / 24.0 - x.pow(4) / 2880.0)
