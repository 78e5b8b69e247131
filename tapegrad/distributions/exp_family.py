"""Exponential families: distributions with density `exp(<t(x), theta> - F(theta) + k(x))`."""

from __future__ import annotations

from typing import Any

from ..core.engine import grad
from ..core.tensor import Tensor
from ..modes import enable_grad
from .distribution import Distribution

__all__ = ["ExponentialFamily"]


class ExponentialFamily(Distribution):
    """A distribution given by natural parameters theta and a log-normaliser F.

    Subclasses define `_natural_params`, `_log_normalizer(*theta)` and the mean of k(x), `_mean_carrier_measure`; the
    entropy follows from them: `F(theta) - <theta, dF/dtheta> - E[k]` (Nielsen, Nock, "Entropies and cross-entropies of
    exponential families", ICIP 2010).
    """

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        raise self._missing("_natural_params")

    def _log_normalizer(self, *natural_params: Tensor) -> Any:
        raise self._missing("_log_normalizer")

    @property
    def _mean_carrier_measure(self) -> float:
        raise self._missing("_mean_carrier_measure")

    def entropy(self) -> Tensor:
        """The entropy, by differentiating the log-normaliser."""
        found = -self._mean_carrier_measure
        with enable_grad():
            theta = [p.detach().requires_grad_() for p in self._natural_params]
            normalizer = self._log_normalizer(*theta)
            gradients = grad(normalizer.sum(), theta, create_graph=True)
        found = found + normalizer
        for p, g in zip(theta, gradients):
            found = found - (p * g).reshape(self._batch_shape + (-1,)).sum(-1)
        return found
