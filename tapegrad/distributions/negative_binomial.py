"""The negative binomial distribution."""

from __future__ import annotations

from typing import Any

from ..core.tensor import Tensor
from ..modes import no_grad
from ..ops.neural.activation import logsigmoid
from ..ops.random import draws as random
from ..shapes import Size
from . import constraints
from .gamma import Gamma
from .odds import Odds
from .utils import lazy_property

__all__ = ["NegativeBinomial"]


class NegativeBinomial(Odds):
    """The number of successes of probability p before `total_count` failures.

    Args:
        total_count: number of failures, 0 or more.
        probs: p, below 1.
        logits: ln p - ln(1 - p), instead of p.
        validate_args: whether to check arguments and values.

    Raises:
        ValueError: not exactly one of `probs` and `logits` is given, or no probability below 1.

    >>> import tapegrad as torch
    >>> torch.distributions.NegativeBinomial(4, 0.5).mean
    tensor(4.)
    """

    arg_constraints = {
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer
    _names = ("total_count", "probs", "logits")

    def __init__(self, total_count: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None):
        _, (count,) = self._take(probs, logits, total_count)
        self.total_count = count.type_as(count)
        super().__init__(self._param.size(), validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.logits.exp()

    @property
    def mode(self) -> Tensor:
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0.0)

    @property
    def variance(self) -> Tensor:
        return self.mean / (-self.logits).sigmoid()

    @lazy_property
    def _gamma(self) -> Gamma:
        """The distribution of the rate: the numbers are Poisson numbers of random rates."""
        return Gamma(concentration=self.total_count, rate=(-self.logits).exp(), validate_args=False)

    def sample(self, sample_shape: Any = Size()) -> Tensor:
        with no_grad():
            return random.poisson(self._gamma.sample(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        n = self.total_count
        found = n * logsigmoid(-self.logits) + value * logsigmoid(self.logits)
        constant = -(n + value).lgamma() + (1.0 + value).lgamma() + n.lgamma()
        constant = constant.masked_fill(n + value == 0.0, 0.0)  # no failures to wait for: always 0
        return found - constant
