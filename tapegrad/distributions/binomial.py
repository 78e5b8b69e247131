"""The binomial distribution."""

from __future__ import annotations

from typing import Any

from ..core.tensor import Tensor
from ..errors import message
from ..modes import no_grad
from ..ops.creation.ranges import arange
from ..ops.random import draws as random
from ..shapes import Size
from . import constraints
from .odds import Odds

__all__ = ["Binomial"]


class Binomial(Odds):
    """The number of successes in `total_count` trials of probability p.

    Args:
        total_count: number of trials, 0 or more.
        probs: p.
        logits: ln p - ln(1 - p), instead of p.
        validate_args: whether to check arguments and values.

    Raises:
        ValueError: not exactly one of `probs` and `logits` is given, or no probability.
        NotImplementedError: `enumerate_support` with different numbers of trials.

    >>> import tapegrad as torch
    >>> torch.distributions.Binomial(4, 0.5).log_prob(torch.tensor(2.0)).exp()
    tensor(0.3750)
    """

    arg_constraints = {
        "total_count": constraints.nonnegative_integer,
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }
    has_enumerate_support = True
    _names = ("total_count", "probs", "logits")

    def __init__(self, total_count: Any = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None):
        given = logits if probs is None else probs
        kind = given.dtype if isinstance(given, Tensor) else None
        _, (count,) = self._take(probs, logits, total_count)
        self.total_count = count if kind is None else count.to(kind)
        super().__init__(self._param.size(), validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.probs

    @property
    def mode(self) -> Tensor:
        return ((self.total_count + 1) * self.probs).floor().clamp(max=self.total_count)

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = Size()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        with no_grad():
            return random.binomial(self.total_count.expand(shape), self.probs.expand(shape))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        n, logits = self.total_count, self.logits
        ways = (n + 1).lgamma() - (value + 1).lgamma() - (n - value + 1).lgamma()
        # n ln(1 + exp(logits)), without overflow
        both = n * (logits.clamp(min=0) + (-logits.abs()).exp().log1p())
        return value * logits + ways - both

    def entropy(self) -> Tensor:
        count = int(self.total_count.max())
        if not int(self.total_count.min()) == count:
            raise NotImplementedError(message("Binomial.entropy: the numbers of trials differ"))
        log_prob = self.log_prob(self.enumerate_support(False))
        return -(log_prob.exp() * log_prob).sum(0)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        count = int(self.total_count.max())
        if not int(self.total_count.min()) == count:
            raise NotImplementedError(message("Binomial.enumerate_support: the numbers of trials differ"))
        values = arange(1 + count, dtype=self._param.dtype).view((-1,) + (1,) * len(self._batch_shape))
        return values.expand((-1,) + self._batch_shape) if expand else values
