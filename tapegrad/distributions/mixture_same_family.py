"""Mixtures of distributions of one family."""

from __future__ import annotations

from typing import Any

from ..core.tensor import Tensor
from ..errors import message
from ..modes import no_grad
from ..ops.neural.softmax import log_softmax
from ..shapes import Size
from . import constraints
from .categorical import Categorical
from .constraints import MixtureSameFamilyConstraint
from .distribution import Distribution

__all__ = ["MixtureSameFamily"]


class MixtureSameFamily(Distribution):
    """A mixture: one of k components is chosen, then a sample is drawn from it.

    Args:
        mixture_distribution: a `Categorical`, the weights of the components.
        component_distribution: the components, along the last dimension of the batch.
        validate_args: whether to check arguments and values.

    Raises:
        ValueError: not such distributions, or their shapes do not fit.

    >>> import tapegrad as torch
    >>> from tapegrad.distributions import Categorical, MixtureSameFamily, Normal
    >>> two = Normal(torch.tensor([-1.0, 3.0]), torch.ones(2))
    >>> MixtureSameFamily(Categorical(torch.ones(2)), two).mean
    tensor(1.)
    """

    arg_constraints: dict[str, constraints.Constraint] = {}
    has_rsample = False

    def __init__(
        self,
        mixture_distribution: Categorical,
        component_distribution: Distribution,
        validate_args: bool | None = None,
    ):
        self._mixture_distribution, self._component_distribution = mixture_distribution, component_distribution
        if not isinstance(mixture_distribution, Categorical):
            raise ValueError(message("MixtureSameFamily: the weights are a Categorical", got=mixture_distribution))
        if not isinstance(component_distribution, Distribution):
            raise ValueError(
                message("MixtureSameFamily: the components are a Distribution", got=component_distribution)
            )
        batch, inner = mixture_distribution.batch_shape, component_distribution.batch_shape[:-1]
        for size1, size2 in zip(reversed(batch), reversed(inner)):
            if size1 != 1 and size2 != 1 and size1 != size2:
                what = "MixtureSameFamily: the batches of weights and components do not fit"
                raise ValueError(message(what, got=f"{tuple(batch)} and {tuple(inner)}"))
        weights, components = mixture_distribution.logits.shape[-1], component_distribution.batch_shape[-1]
        if weights != components:
            what = "MixtureSameFamily: one weight for each component is needed"
            raise ValueError(message(what, got=f"{weights} weights, {components} components"))
        self._num_component = components
        event = component_distribution.event_shape
        self._event_ndims = len(event)
        super().__init__(inner, event, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> MixtureSameFamily:
        new = self._get_checked_instance(MixtureSameFamily, _instance)
        batch_shape = Size(batch_shape)
        new._component_distribution = self._component_distribution.expand(batch_shape + (self._num_component,))
        new._mixture_distribution = self._mixture_distribution.expand(batch_shape)
        new._num_component, new._event_ndims = self._num_component, self._event_ndims
        super(MixtureSameFamily, new).__init__(batch_shape, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @constraints.dependent_property
    def support(self) -> Any:
        return MixtureSameFamilyConstraint(self._component_distribution.support)

    @property
    def mixture_distribution(self) -> Categorical:
        """The weights."""
        return self._mixture_distribution

    @property
    def component_distribution(self) -> Distribution:
        """The components."""
        return self._component_distribution

    def _weights(self) -> Tensor:
        """The weights, (..., k) and a dimension of size 1 for each dimension of an event."""
        probs = self.mixture_distribution.probs
        return probs.reshape(probs.shape + (1,) * self._event_ndims)

    def _over_components(self, x: Tensor) -> Tensor:
        return x.sum(-1 - self._event_ndims)

    @property
    def mean(self) -> Tensor:
        return self._over_components(self._weights() * self.component_distribution.mean)

    @property
    def variance(self) -> Tensor:
        probs, center = self._weights(), self.mean.unsqueeze(-1 - self._event_ndims)
        inside = self._over_components(probs * self.component_distribution.variance)
        return inside + self._over_components(probs * (self.component_distribution.mean - center).pow(2.0))

    def cdf(self, x: Tensor) -> Tensor:
        found = self.component_distribution.cdf(x.unsqueeze(-1 - self._event_ndims))
        return (found * self.mixture_distribution.probs).sum(-1)

    def log_prob(self, x: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(x)
        found = self.component_distribution.log_prob(x.unsqueeze(-1 - self._event_ndims))
        return (found + log_softmax(self.mixture_distribution.logits, -1)).logsumexp(-1)

    def sample(self, sample_shape: Any = Size()) -> Tensor:
        with no_grad():
            chosen = self.mixture_distribution.sample(sample_shape)
            drawn = self.component_distribution.sample(sample_shape)
            at = len(sample_shape) + len(self.batch_shape)
            index = chosen.reshape(chosen.shape + (1,) * (self._event_ndims + 1))
            index = index.expand(chosen.shape + (1,) + self.event_shape)
            return drawn.gather(at, index).squeeze(at)

    def __repr__(self) -> str:
        return f"MixtureSameFamily(\n  {self.mixture_distribution},\n  {self.component_distribution})"
