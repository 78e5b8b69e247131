"""Bernoulli numbers that are nearly 0 or 1, as differentiable functions of p."""

from __future__ import annotations

from typing import Any

from ..core.tensor import Tensor
from ..ops.random.draws import rand
from ..shapes import Size
from . import constraints
from .odds import Odds
from .transformed_distribution import TransformedDistribution
from .transforms import SigmoidTransform
from .utils import broadcast_all, clamp_probs

__all__ = ["LogitRelaxedBernoulli", "RelaxedBernoulli"]


class LogitRelaxedBernoulli(Odds):
    """Log-odds of `RelaxedBernoulli`: `(logits + ln u - ln(1 - u)) / temperature` for uniform u.

    Args:
        temperature: positive; the smaller, the closer to 0 and 1.
        probs: p.
        logits: ln p - ln(1 - p), instead of p.
        validate_args: whether to check arguments and values.

    Raises:
        ValueError: not exactly one of `probs` and `logits` is given, or no probability.

    Reference: Maddison, Mnih, Teh, "The concrete distribution", ICLR 2017.

    >>> import tapegrad as torch
    >>> from tapegrad.distributions.relaxed_bernoulli import LogitRelaxedBernoulli
    >>> LogitRelaxedBernoulli(torch.tensor(1.0), 0.5).log_prob(torch.tensor(0.0))
    tensor(-1.3863)
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.real

    def __init__(self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None):
        self.temperature = temperature
        shape, _ = self._take(probs, logits)
        super().__init__(shape, validate_args=validate_args)

    def _expand_rest(self, new: Any, batch_shape: Size) -> None:
        new.temperature = self.temperature

    def rsample(self, sample_shape: Any = Size()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        probs = clamp_probs(self.probs.expand(shape))
        u = clamp_probs(rand(shape, dtype=probs.dtype))
        return (u.log() - (-u).log1p() + probs.log() - (-probs).log1p()) / self.temperature

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        diff = logits - value * self.temperature
        return self.temperature.log() + diff - 2 * diff.exp().log1p()


class RelaxedBernoulli(TransformedDistribution):
    """Numbers in (0, 1) near 0 or 1 that are differentiable in p (Maddison et al. 2017).

    Args:
        temperature: positive; the smaller, the closer to 0 and 1.
        probs: p.
        logits: ln p - ln(1 - p), instead of p.
        validate_args: whether to check arguments and values.

    Raises:
        ValueError: not exactly one of `probs` and `logits` is given, or no probability.

    >>> import tapegrad as torch
    >>> torch.distributions.RelaxedBernoulli(torch.tensor(1.0), 0.5).log_prob(torch.tensor(0.5)).abs() < 1e-6
    tensor(True)
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True
    base_dist: LogitRelaxedBernoulli

    def __init__(self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None):
        base = LogitRelaxedBernoulli(temperature, probs, logits)
        super().__init__(base, SigmoidTransform(), validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> RelaxedBernoulli:
        return super().expand(batch_shape, self._get_checked_instance(RelaxedBernoulli, _instance))

    @property
    def temperature(self) -> Tensor:
        """The temperature."""
        return self.base_dist.temperature

    @property
    def logits(self) -> Tensor:
        """The logarithms of the odds."""
        return self.base_dist.logits

    @property
    def probs(self) -> Tensor:
        """The probabilities."""
        return self.base_dist.probs
