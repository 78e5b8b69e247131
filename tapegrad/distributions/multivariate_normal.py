"""The multivariate normal distribution."""

from __future__ import annotations

import math
from typing import Any

from ..core.tensor import Tensor
from ..errors import message
from ..ops.shape.joining import broadcast_shapes
from ..shapes import Size
from . import constraints
from .covariance import OfCovariance, half_log_det, mahalanobis, times
from .utils import standard_normal

__all__ = ["MultivariateNormal"]


class MultivariateNormal(OfCovariance):
    """The normal distribution of vectors: density proportional to `exp(-(x - loc)^T C^-1 (x - loc) / 2)`.

    Args:
        loc: mean, (..., n).
        covariance_matrix: C, positive definite (..., n, n).
        precision_matrix: the inverse of C, instead.
        scale_tril: the Cholesky factor of C, instead; the fastest of the three.
        validate_args: whether to check arguments and values.

    Raises:
        ValueError: not exactly one of the matrices is given, it is no such matrix, or `loc` has no dimensions.

    >>> import tapegrad as torch
    >>> torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2)).log_prob(torch.zeros(2))
    tensor(-1.8379)
    """

    arg_constraints = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True
    _names = ("loc", "covariance_matrix", "precision_matrix", "scale_tril")

    def __init__(
        self,
        loc: Tensor,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ):
        if loc.dim() < 1:
            raise ValueError(message("MultivariateNormal: loc has at least one dimension", got=loc))
        matrices = {
            "covariance_matrix": covariance_matrix, "precision_matrix": precision_matrix, "scale_tril": scale_tril
        }  # fmt: skip
        name, matrix = self._given(ValueError, matrices)
        batch = broadcast_shapes(matrix.shape[:-2], loc.shape[:-1])
        setattr(self, name, matrix.expand(batch + matrix.shape[-2:]))
        self.loc = loc.expand(batch + loc.shape[-1:])
        super().__init__(batch, self.loc.shape[-1:], validate_args=validate_args)
        self._factor(name, matrix)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self._unbroadcasted_scale_tril.pow(2).sum(-1).expand(self._batch_shape + self._event_shape)

    def rsample(self, sample_shape: Any = Size()) -> Tensor:
        eps = standard_normal(self._extended_shape(sample_shape), self.loc)
        return self.loc + times(self._unbroadcasted_scale_tril, eps)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        square = mahalanobis(self._unbroadcasted_scale_tril, value - self.loc)
        constant = self._event_shape[0] * math.log(2 * math.pi)
        return -0.5 * (constant + square) - half_log_det(self._unbroadcasted_scale_tril)

    def entropy(self) -> Tensor:
        found = 0.5 * self._event_shape[0] * (1.0 + math.log(2 * math.pi))
        return (found + half_log_det(self._unbroadcasted_scale_tril)).expand(self._batch_shape)
