"""The multivariate normal distribution with a covariance of low rank."""

from __future__ import annotations

import math
from typing import Any

from ..core.tensor import Tensor
from ..errors import message
from ..ops.creation.filled import eye
from ..ops.linalg.cholesky import cholesky
from ..ops.linalg.solve import solve_triangular
from ..ops.shape.joining import broadcast_shapes
from ..shapes import Size
from . import constraints
from .covariance import half_log_det, mahalanobis, times
from .distribution import Distribution
from .utils import lazy_property, standard_normal

__all__ = ["LowRankMultivariateNormal"]


class LowRankMultivariateNormal(Distribution):
    """The normal distribution of vectors with covariance `W W^T + diag(d)`, W with few columns.

    Inverse and determinant go through the small matrix `I + W^T diag(d)^-1 W` (Woodbury, Sylvester).

    Args:
        loc: mean, (..., n).
        cov_factor: W, (..., n, rank).
        cov_diag: d, positive (..., n).
        validate_args: whether to check arguments and values.

    Raises:
        ValueError: the shapes do not fit together, or a number of `cov_diag` is not positive.

    >>> import tapegrad as torch
    >>> d = torch.distributions.LowRankMultivariateNormal(torch.zeros(2), torch.ones(2, 1), torch.ones(2))
    >>> d.covariance_matrix
    tensor([[2., 1.],
            [1., 2.]])
    """

    arg_constraints = {
        "loc": constraints.real_vector,
        "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real_vector
    has_rsample = True
    _names = ("loc", "cov_factor", "cov_diag")

    def __init__(self, loc: Tensor, cov_factor: Tensor, cov_diag: Tensor, validate_args: bool | None = None):
        name = type(self).__name__
        if loc.dim() < 1:
            raise ValueError(message(f"{name}: loc has at least one dimension", got=loc))
        event = loc.shape[-1:]
        if cov_factor.dim() < 2 or cov_factor.shape[-2:-1] != event:
            what = f"{name}: cov_factor must be (..., n, rank) with n = {event[0]}"
            raise ValueError(message(what, got=tuple(cov_factor.shape)))
        if cov_diag.shape[-1:] != event:
            raise ValueError(message(f"{name}: cov_diag must be (..., {event[0]})", got=tuple(cov_diag.shape)))
        try:
            batch = broadcast_shapes(loc.shape[:-1], cov_factor.shape[:-2], cov_diag.shape[:-1])
        except RuntimeError as error:
            got = f"{tuple(loc.shape)}, {tuple(cov_factor.shape)}, {tuple(cov_diag.shape)}"
            raise ValueError(message(f"{name}: the batch shapes do not broadcast", got=got)) from error
        self.loc, self.cov_diag = loc.expand(batch + event), cov_diag.expand(batch + event)
        self.cov_factor = cov_factor.expand(batch + cov_factor.shape[-2:])
        super().__init__(batch, event, validate_args=validate_args)
        self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag = cov_factor, cov_diag
        small = (cov_factor.mT / cov_diag.unsqueeze(-2)) @ cov_factor
        self._capacitance_tril = cholesky(small + eye(small.shape[-1], dtype=small.dtype))

    def _expand_rest(self, new: Any, batch_shape: Size) -> None:
        new._unbroadcasted_cov_factor = self._unbroadcasted_cov_factor
        new._unbroadcasted_cov_diag = self._unbroadcasted_cov_diag
        new._capacitance_tril = self._capacitance_tril

    def _whole(self, matrix: Tensor) -> Tensor:
        return matrix.expand(self._batch_shape + self._event_shape + self._event_shape)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @lazy_property
    def variance(self) -> Tensor:  # type: ignore[override]
        found = self._unbroadcasted_cov_factor.pow(2).sum(-1) + self._unbroadcasted_cov_diag
        return found.expand(self._batch_shape + self._event_shape)

    @lazy_property
    def scale_tril(self) -> Tensor:
        """The Cholesky factor of the covariance matrix."""
        root = self._unbroadcasted_cov_diag.sqrt().unsqueeze(-1)
        w = self._unbroadcasted_cov_factor / root
        inner = w @ w.mT
        return self._whole(root * cholesky(inner + eye(inner.shape[-1], dtype=inner.dtype)))

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """The covariance matrix."""
        w = self._unbroadcasted_cov_factor
        return self._whole(w @ w.mT + self._unbroadcasted_cov_diag.diag_embed())

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """The inverse of the covariance matrix."""
        scaled = self._unbroadcasted_cov_factor.mT / self._unbroadcasted_cov_diag.unsqueeze(-2)
        a = solve_triangular(self._capacitance_tril, scaled, upper=False)
        return self._whole(self._unbroadcasted_cov_diag.reciprocal().diag_embed() - a.mT @ a)

    def rsample(self, sample_shape: Any = Size()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        eps_w = standard_normal(shape[:-1] + self.cov_factor.shape[-1:], self.loc)
        eps_d = standard_normal(shape, self.loc)
        return self.loc + times(self._unbroadcasted_cov_factor, eps_w) + self._unbroadcasted_cov_diag.sqrt() * eps_d

    def _log_det(self) -> Tensor:
        return 2 * half_log_det(self._capacitance_tril) + self._unbroadcasted_cov_diag.log().sum(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        diff = value - self.loc
        scaled = self._unbroadcasted_cov_factor.mT / self._unbroadcasted_cov_diag.unsqueeze(-2)
        square = (diff.pow(2) / self._unbroadcasted_cov_diag).sum(-1)
        square = square - mahalanobis(self._capacitance_tril, times(scaled, diff))
        return -0.5 * (self._event_shape[0] * math.log(2 * math.pi) + self._log_det() + square)

    def entropy(self) -> Tensor:
        found = 0.5 * (self._event_shape[0] * (1.0 + math.log(2 * math.pi)) + self._log_det())
        return found.expand(self._batch_shape)
