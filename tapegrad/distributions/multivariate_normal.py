"""The multivariate normal distribution."""

from __future__ import annotations

import math
from typing import Any

from ..core.tensor import Tensor
from ..errors import message
from ..ops.creation.filled import eye
from ..ops.linalg.cholesky import cholesky, cholesky_inverse
from ..ops.linalg.solve import solve_triangular
from ..ops.shape.joining import broadcast_shapes
from ..shapes import Size
from . import constraints
from .distribution import Distribution
from .utils import lazy_property, standard_normal

__all__ = ["MultivariateNormal"]


def mahalanobis(lower: Tensor, x: Tensor) -> Tensor:
    """x^T (L L^T)^-1 x for vectors x (..., n) and lower triangular L (..., n, n), batches broadcast."""
    if lower.dim() == 2:  # one solve for all vectors
        found = solve_triangular(lower, x.reshape(-1, x.shape[-1]).T, upper=False)
        return found.pow(2).sum(0).reshape(x.shape[:-1])
    return solve_triangular(lower, x.unsqueeze(-1), upper=False).squeeze(-1).pow(2).sum(-1)


def times(matrix: Tensor, vector: Tensor) -> Tensor:
    """matrix (..., n, m) times vector (..., m)."""
    return (matrix @ vector.unsqueeze(-1)).squeeze(-1)


def half_log_det(lower: Tensor) -> Tensor:
    """ln det L, half of ln det L L^T."""
    return lower.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def factor_of_inverse(precision: Tensor) -> Tensor:
    """The Cholesky factor of the inverse of a positive definite matrix, from that of the matrix turned around."""
    turned = cholesky(precision.flip((-2, -1)))
    inverse = turned.flip((-2, -1)).mT
    return solve_triangular(inverse, eye(precision.shape[-1], dtype=precision.dtype), upper=False)


class MultivariateNormal(Distribution):
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
        given = [name for name, matrix in matrices.items() if matrix is not None]
        if len(given) != 1:
            what = "MultivariateNormal: exactly one of covariance_matrix, precision_matrix and scale_tril is needed"
            raise ValueError(message(what, got=" and ".join(given) or "none of them"))
        matrix: Any = matrices[given[0]]
        if matrix.dim() < 2:
            raise ValueError(message(f"MultivariateNormal: {given[0]} has at least two dimensions", got=matrix.shape))
        batch = broadcast_shapes(matrix.shape[:-2], loc.shape[:-1])
        setattr(self, given[0], matrix.expand(batch + matrix.shape[-2:]))
        self.loc = loc.expand(batch + loc.shape[-1:])
        super().__init__(batch, self.loc.shape[-1:], validate_args=validate_args)
        if scale_tril is not None:
            self._unbroadcasted_scale_tril = scale_tril
        else:
            self._unbroadcasted_scale_tril = (cholesky if precision_matrix is None else factor_of_inverse)(matrix)

    def _expand_rest(self, new: Any, batch_shape: Size) -> None:
        new._unbroadcasted_scale_tril = self._unbroadcasted_scale_tril

    def _whole(self, matrix: Tensor) -> Tensor:
        return matrix.expand(self._batch_shape + self._event_shape + self._event_shape)

    @lazy_property
    def scale_tril(self) -> Tensor:  # type: ignore[no-redef]
        """The Cholesky factor of the covariance matrix."""
        return self._whole(self._unbroadcasted_scale_tril)

    @lazy_property
    def covariance_matrix(self) -> Tensor:  # type: ignore[no-redef]
        """The covariance matrix."""
        return self._whole(self._unbroadcasted_scale_tril @ self._unbroadcasted_scale_tril.mT)

    @lazy_property
    def precision_matrix(self) -> Tensor:  # type: ignore[no-redef]
        """The inverse of the covariance matrix."""
        return self._whole(cholesky_inverse(self._unbroadcasted_scale_tril))

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
