"""Distributions of transformed numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.tensor import Tensor
from ..errors import message
from ..modes import no_grad
from ..shapes import Size
from . import constraints
from .distribution import Distribution
from .independent import Independent
from .transforms import ComposeTransform, Transform
from .utils import sum_rightmost

__all__ = ["TransformedDistribution"]


class TransformedDistribution(Distribution):
    """The distribution of y = f(x), x of a base distribution: `log p(y) = log p(x) - ln |det dy/dx|`.

    Args:
        base_distribution: the distribution of x.
        transforms: one transform, or a list of them, the first applied first.
        validate_args: whether to check arguments and values.

    Raises:
        ValueError: something else is given, or events of the base have too few dimensions.

    >>> import tapegrad as torch
    >>> from tapegrad.distributions import AffineTransform, Normal, TransformedDistribution
    >>> TransformedDistribution(Normal(0.0, 1.0), AffineTransform(1.0, 2.0)).log_prob(torch.tensor(1.0))
    tensor(-1.6121)
    """

    arg_constraints: dict[str, constraints.Constraint] = {}

    def __init__(
        self,
        base_distribution: Distribution,
        transforms: Transform | Sequence[Transform],
        validate_args: bool | None = None,
    ):
        self.transforms = [transforms] if isinstance(transforms, Transform) else transforms
        if not isinstance(self.transforms, list) or not all(isinstance(t, Transform) for t in self.transforms):
            raise ValueError(
                message("TransformedDistribution: a transform or a list of them is needed", got=transforms)
            )
        whole, n = base_distribution.batch_shape + base_distribution.event_shape, len(base_distribution.event_shape)
        chain = ComposeTransform(self.transforms)
        if len(whole) < chain.domain.event_dim:
            what = "TransformedDistribution: samples of the base have too few dimensions"
            raise ValueError(message(what, got=tuple(whole), expected=f"{chain.domain.event_dim} or more dimensions"))
        out = chain.forward_shape(whole)
        expanded = chain.inverse_shape(out)
        if whole != expanded:  # parameters of a transform broadcast the base
            base_distribution = base_distribution.expand(expanded[: len(expanded) - n])
        more = chain.domain.event_dim - n
        if more > 0:
            base_distribution = Independent(base_distribution, more)
        self.base_dist = base_distribution
        dims = chain.codomain.event_dim + max(n - chain.domain.event_dim, 0)
        cut = len(out) - dims
        super().__init__(Size(out[:cut]), Size(out[cut:]), validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> TransformedDistribution:
        new = self._get_checked_instance(TransformedDistribution, _instance)
        batch_shape = Size(batch_shape)
        shape = ComposeTransform(self.transforms).inverse_shape(batch_shape + self.event_shape)
        new.base_dist = self.base_dist.expand(shape[: len(shape) - len(self.base_dist.event_shape)])
        new.transforms = self.transforms
        super(TransformedDistribution, new).__init__(batch_shape, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @constraints.dependent_property(is_discrete=False)
    def support(self) -> Any:
        if not self.transforms:
            return self.base_dist.support
        found, n = self.transforms[-1].codomain, len(self.event_shape)
        return constraints.independent(found, n - found.event_dim) if n > found.event_dim else found

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        return self.base_dist.has_rsample

    def sample(self, sample_shape: Any = Size()) -> Tensor:
        with no_grad():
            x = self.base_dist.sample(sample_shape)
            for transform in self.transforms:
                x = transform(x)
            return x

    def rsample(self, sample_shape: Any = Size()) -> Tensor:
        x = self.base_dist.rsample(sample_shape)
        for transform in self.transforms:
            x = transform(x)
        return x

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        dims, found, y = len(self.event_shape), 0.0, value
        for transform in reversed(self.transforms):
            x = transform.inv(y)
            dims += transform.domain.event_dim - transform.codomain.event_dim
            found = found - sum_rightmost(transform.log_abs_det_jacobian(x, y), dims - transform.domain.event_dim)
            y = x
        return found + sum_rightmost(self.base_dist.log_prob(y), dims - len(self.base_dist.event_shape))

    def _increasing(self) -> Any:
        found: Any = 1
        for transform in self.transforms:
            found = found * transform.sign
        return found

    def cdf(self, value: Tensor) -> Tensor:
        for transform in reversed(self.transforms):
            value = transform.inv(value)
        if self._validate_args:
            self.base_dist._validate_sample(value)
        return self._turned(self.base_dist.cdf(value))

    def _turned(self, p: Tensor) -> Tensor:
        """p, or 1 - p where the map decreases."""
        sign = self._increasing()
        if isinstance(sign, int) and sign == 1:
            return p
        return sign * (p - 0.5) + 0.5

    def icdf(self, value: Tensor) -> Tensor:
        value = self.base_dist.icdf(self._turned(value))
        for transform in self.transforms:
            value = transform(value)
        return value
