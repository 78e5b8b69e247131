"""The categorical distribution."""

from __future__ import annotations

import math
from typing import Any

from ..core.tensor import Tensor
from ..errors import message
from ..modes import no_grad
from ..ops.creation.ranges import arange
from ..ops.creation.types import finfo
from ..ops.random import draws as random
from ..ops.shape.joining import broadcast_tensors
from ..shapes import Size
from . import constraints
from .distribution import Distribution
from .utils import lazy_property, logits_to_probs, probs_to_logits

__all__ = ["Categorical"]


class Categorical(Distribution):
    """One of k categories, 0 to k - 1.

    Args:
        probs: weights of 0 or more, (..., k); they are divided by their sum.
        logits: logarithms of weights, instead.
        validate_args: whether to check arguments and values.

    Raises:
        ValueError: not exactly one of `probs` and `logits` is given, without dimensions, or with a negative weight.

    >>> import tapegrad as torch
    >>> torch.distributions.Categorical(torch.tensor([1.0, 1.0, 2.0])).log_prob(torch.tensor(2))
    tensor(-0.6931)
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    has_enumerate_support = True
    _names = ("probs", "logits")

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None):
        if (probs is None) == (logits is None):
            what = "Categorical: give either probs or logits"
            raise ValueError(message(what, got="none of them" if probs is None else "both"))
        given = logits if probs is None else probs
        if given.dim() < 1:
            raise ValueError(message("Categorical: the parameter has at least one dimension", got=given))
        if probs is None:
            self.logits = logits - logits.logsumexp(-1, keepdim=True)
        else:
            self.probs = probs / probs.sum(-1, keepdim=True)
        self._num_events = given.size(-1)
        super().__init__(given.size()[:-1], validate_args=validate_args)

    def _expand_rest(self, new: Any, batch_shape: Size) -> None:
        new._num_events = self._num_events

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        return constraints.integer_interval(0, self._num_events - 1)

    @lazy_property
    def logits(self) -> Tensor:  # type: ignore[no-redef]
        """The logarithms of the probabilities."""
        return probs_to_logits(self.probs)

    @lazy_property
    def probs(self) -> Tensor:  # type: ignore[no-redef]
        """The probabilities."""
        return logits_to_probs(self.logits)

    @property
    def _param(self) -> Tensor:
        return self.__dict__["probs"] if "probs" in self.__dict__ else self.__dict__["logits"]

    @property
    def param_shape(self) -> Size:
        """The shape of the parameter."""
        return self._param.size()

    @property
    def mean(self) -> Tensor:
        return self.probs.new_full(self._extended_shape(), math.nan)

    @property
    def mode(self) -> Tensor:
        return self.probs.argmax(-1)

    @property
    def variance(self) -> Tensor:
        return self.probs.new_full(self._extended_shape(), math.nan)

    def sample(self, sample_shape: Any = Size()) -> Tensor:
        with no_grad():
            rows = self.probs.reshape(-1, self._num_events)
            found = random.multinomial(rows, Size(sample_shape).numel(), True).T
            return found.reshape(self._extended_shape(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        value, logits = broadcast_tensors(value.long().unsqueeze(-1), self.logits)
        return logits.gather(-1, value[..., :1]).squeeze(-1)

    def entropy(self) -> Tensor:
        logits = self.logits.clamp(min=finfo(self.logits.dtype).min)
        return -(logits * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        values = arange(self._num_events).view((-1,) + (1,) * len(self._batch_shape))
        return values.expand((-1,) + self._batch_shape) if expand else values
