"""The geometric distribution."""

from __future__ import annotations

from typing import Any

from ..core.tensor import Tensor
from ..errors import message
from ..modes import no_grad
from ..ops.creation.types import finfo
from ..ops.neural.loss import binary_cross_entropy_with_logits
from ..shapes import Size
from . import constraints
from .odds import Odds
from .utils import broadcast_all

__all__ = ["Geometric"]


class Geometric(Odds):
    """The number of failures before the first success: probability `p (1 - p)^k`.

    Args:
        probs: p, above 0.
        logits: ln p - ln(1 - p), instead of p.
        validate_args: whether to check arguments and values.

    Raises:
        ValueError: not exactly one of `probs` and `logits` is given, or no probability above 0.

    >>> import tapegrad as torch
    >>> torch.distributions.Geometric(0.5).log_prob(torch.tensor(2.0))
    tensor(-2.0794)
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.nonnegative_integer

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None):
        shape, _ = self._take(probs, logits)
        super().__init__(shape, validate_args=validate_args)
        if self._validate_args and probs is not None and not (self.probs > 0).all():
            raise ValueError(message("Geometric: a probability is not above 0", got=self.probs))

    @property
    def mean(self) -> Tensor:
        return 1.0 / self.probs - 1.0

    @property
    def mode(self) -> Tensor:
        return self.probs.new_zeros(self.probs.shape)

    @property
    def variance(self) -> Tensor:
        return (1.0 / self.probs - 1.0) / self.probs

    def sample(self, sample_shape: Any = Size()) -> Tensor:
        with no_grad():
            u = self.probs.new_empty(self._extended_shape(sample_shape))
            u.uniform_(finfo(self.probs.dtype).tiny, 1)
            return (u.log() / (-self.probs).log1p()).floor()

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        value, probs = broadcast_all(value, self.probs)
        probs = probs.clone()
        probs[(probs == 1) & (value == 0)] = 0  # else 0 * -inf
        return value * (-probs).log1p() + self.probs.log()

    def entropy(self) -> Tensor:
        return binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none") / self.probs
