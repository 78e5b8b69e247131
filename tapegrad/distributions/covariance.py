"""Distributions given by a covariance matrix, its inverse or its Cholesky factor."""

from __future__ import annotations

from typing import Any

from ..core.tensor import Tensor
from ..errors import message
from ..ops.creation.filled import eye
from ..ops.linalg.cholesky import cholesky, cholesky_inverse
from ..ops.linalg.solve import solve_triangular
from ..shapes import Size
from .distribution import Distribution
from .utils import lazy_property


class OfCovariance(Distribution):
    """What such distributions share: the factor is kept as it was given or found, the matrices are made when asked for.

    `_unbroadcasted_scale_tril` is the Cholesky factor for the batch of the matrix that was given.
    """

    _unbroadcasted_scale_tril: Tensor

    def _given(self, error: type[Exception], matrices: dict[str, Tensor | None]) -> tuple[str, Tensor]:
        """The one matrix that was given, and its name.

        Raises:
            error: none or several are given.
            ValueError: it has less than two dimensions.
        """
        given = [(name, matrix) for name, matrix in matrices.items() if matrix is not None]
        if len(given) != 1:
            what = f"{type(self).__name__}: exactly one of covariance_matrix, precision_matrix and scale_tril is needed"
            raise error(message(what, got=" and ".join(name for name, _ in given) or "none of them"))
        ((name, matrix),) = given
        if matrix.dim() < 2:
            what = f"{type(self).__name__}: {name} has at least two dimensions"
            raise ValueError(message(what, got=tuple(matrix.shape)))
        return name, matrix

    def _factor(self, name: str, matrix: Tensor) -> None:
        """Set the factor; after validation, as a matrix that is no covariance has none."""
        if name != "scale_tril":
            matrix = cholesky(matrix) if name == "covariance_matrix" else factor_of_inverse(matrix)
        self._unbroadcasted_scale_tril = matrix

    def _expand_rest(self, new: Any, batch_shape: Size) -> None:
        new._unbroadcasted_scale_tril = self._unbroadcasted_scale_tril

    def _whole(self, matrix: Tensor) -> Tensor:
        return matrix.expand(self._batch_shape + self._event_shape[-1:] * 2)

    @lazy_property
    def scale_tril(self) -> Tensor:
        """The Cholesky factor of the covariance matrix."""
        return self._whole(self._unbroadcasted_scale_tril)

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """The covariance matrix."""
        return self._whole(self._unbroadcasted_scale_tril @ self._unbroadcasted_scale_tril.mT)

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """The inverse of the covariance matrix."""
        return self._whole(cholesky_inverse(self._unbroadcasted_scale_tril))


# ---- matrices --------------------------------------------------------------------------------------------------------


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
