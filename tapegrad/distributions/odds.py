"""Distributions that take either probabilities or log-odds."""

from __future__ import annotations

from numbers import Number
from typing import Any

from ..core.tensor import Tensor
from ..errors import message
from ..shapes import Size
from .distribution import Distribution
from .utils import broadcast_all, lazy_property, logits_to_probs, probs_to_logits

__all__ = ["Odds"]


class Odds(Distribution):
    """A base class: `probs` or `logits = ln p - ln(1 - p)` is given, the other one computed when it is read.

    Raises:
        ValueError: both are given, or none.
    """

    _names = ("probs", "logits")

    def _take(self, probs: Any, logits: Any, *others: Any) -> tuple[Size, tuple[Tensor, ...]]:
        """Set the one that is given; returns the batch shape and the other parameters, broadcast with it."""
        if (probs is None) == (logits is None):
            what = f"{type(self).__name__}: give either probs or logits"
            raise ValueError(message(what, got="none of them" if probs is None else "both"))
        given = logits if probs is None else probs
        *rest, value = broadcast_all(*others, given)
        value = value.type_as(value)
        setattr(self, "logits" if probs is None else "probs", value)
        numbers = isinstance(given, Number) and all(isinstance(v, Number) for v in others)
        return Size() if numbers else value.size(), tuple(rest)

    @lazy_property
    def logits(self) -> Tensor:  # type: ignore[no-redef]
        """The logarithms of the odds."""
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self) -> Tensor:  # type: ignore[no-redef]
        """The probabilities."""
        return logits_to_probs(self.logits, is_binary=True)

    @property
    def _param(self) -> Tensor:
        return self.__dict__["probs"] if "probs" in self.__dict__ else self.__dict__["logits"]

    @property
    def param_shape(self) -> Size:
        """The shape of the parameter."""
        return self._param.size()
