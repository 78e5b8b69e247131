"""The Wishart distribution of matrices."""

from __future__ import annotations

import math
import warnings
from typing import Any

from ..core.tensor import Tensor
from ..errors import message
from ..ops.creation.ranges import arange
from ..ops.creation.types import finfo
from ..ops.linalg.cholesky import cholesky, cholesky_solve
from ..ops.random.draws import randn
from ..ops.shape.joining import broadcast_shapes
from ..shapes import Size
from . import constraints
from .chi2 import Chi2
from .covariance import OfCovariance, half_log_det
from .exp_family import ExponentialFamily
from .utils import multivariate_digamma, multivariate_lgamma, tensor_like, tril_places

__all__ = ["Wishart"]


class Wishart(OfCovariance, ExponentialFamily):
    """The distribution of `sum of x x^T` over df normal vectors x of covariance V, continued to real df.

    Args:
        df: degrees of freedom, above n - 1.
        covariance_matrix: V, positive definite (..., n, n).
        precision_matrix: the inverse of V, instead.
        scale_tril: the Cholesky factor of V, instead.
        validate_args: whether to check arguments and values.

    Raises:
        AssertionError: not exactly one of the matrices is given.
        ValueError: it is no such matrix, or `df` is too small.

    Reference: Bartlett, "On the theory of statistical regression", Proc. R. Soc. Edinburgh 53 (1933).

    >>> import tapegrad as torch
    >>> torch.distributions.Wishart(torch.tensor(3.0), torch.eye(2)).mean
    tensor([[3., 0.],
            [0., 3.]])
    """

    support = constraints.positive_definite
    has_rsample = True
    _names = ("df", "covariance_matrix", "precision_matrix", "scale_tril")
    _mean_carrier_measure = 0

    @property
    def arg_constraints(self) -> dict[str, Any]:  # type: ignore[override]
        return {
            "covariance_matrix": constraints.positive_definite,
            "precision_matrix": constraints.positive_definite,
            "scale_tril": constraints.lower_cholesky,
            "df": constraints.greater_than(self._event_shape[-1] - 1),
        }

    def __init__(
        self,
        df: Any,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ):
        matrices = {
            "covariance_matrix": covariance_matrix, "precision_matrix": precision_matrix, "scale_tril": scale_tril
        }  # fmt: skip
        name, matrix = self._given(AssertionError, matrices)
        df = tensor_like(df, matrix)
        batch, event = broadcast_shapes(matrix.shape[:-2], df.shape), matrix.shape[-2:]
        self.df = df.expand(batch)
        setattr(self, name, matrix.expand(batch + event))
        if (self.df <= event[-1] - 1).any():
            what = "Wishart: df must be above the number of rows minus 1"
            raise ValueError(message(what, got=self.df, expected=f"above {event[-1] - 1}"))
        self._event_shape = Size(event)  # the constraints depend on it
        super().__init__(batch, event, validate_args=validate_args)
        if (self.df < event[-1]).any():
            warnings.warn("Wishart: samples are nearly singular where df is below the number of rows", stacklevel=2)
        self._factor(name, matrix)
        self._dist_chi2 = Chi2(self.df.unsqueeze(-1) - arange(event[-1], dtype=matrix.dtype).expand(batch + event[-1:]))

    def _expand_rest(self, new: Any, batch_shape: Size) -> None:
        super()._expand_rest(new, batch_shape)
        new._event_shape = self._event_shape
        new._dist_chi2 = self._dist_chi2.expand(batch_shape + self._event_shape[-1:])

    @property
    def mean(self) -> Tensor:
        return self.df.view(self._batch_shape + (1, 1)) * self.covariance_matrix

    @property
    def mode(self) -> Tensor:
        factor = self.df - self.covariance_matrix.shape[-1] - 1
        factor = factor.masked_fill(factor <= 0, math.nan)
        return factor.view(self._batch_shape + (1, 1)) * self.covariance_matrix

    @property
    def variance(self) -> Tensor:
        v = self.covariance_matrix
        diagonal = v.diagonal(dim1=-2, dim2=-1)
        outer = diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2)
        return self.df.view(self._batch_shape + (1, 1)) * (v.pow(2) + outer)

    def _bartlett(self, sample_shape: Any) -> Tensor:
        n = self._event_shape[-1]
        noise = self._dist_chi2.rsample(sample_shape).clamp(min=finfo(self._unbroadcasted_scale_tril.dtype).tiny)
        noise = noise.sqrt().diag_embed(dim1=-2, dim2=-1)
        below = randn(
            Size(sample_shape) + self._batch_shape + (n * (n - 1) // 2,), dtype=self._unbroadcasted_scale_tril.dtype
        )
        noise[(..., *tril_places(n))] = below
        factor = self._unbroadcasted_scale_tril @ noise
        return factor @ factor.mT

    def rsample(self, sample_shape: Any = Size(), max_try_correction: int = 10) -> Tensor:
        """Draw matrices; those that are singular by rounding are drawn again, at most `max_try_correction` times.

        As in PyTorch, regular ones are drawn twice.
        """
        sample = self._bartlett(sample_shape)
        again = self._any_of_batch(self.support.check(sample))
        for _ in range(max_try_correction):
            if not again.any():
                break
            chosen = again.clone()
            fresh = self._bartlett((int(chosen.sum()),))
            sample[chosen] = fresh
            again[chosen] = self._any_of_batch(self.support.check(fresh).logical_not())
        return sample

    def _any_of_batch(self, found: Tensor) -> Tensor:
        for _ in self._batch_shape:
            found = found.any(-1)
        return found

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        nu, p, lower = self.df, self._event_shape[-1], self._unbroadcasted_scale_tril
        trace = cholesky_solve(value, lower).diagonal(dim1=-2, dim2=-1).sum(-1)
        log_det = 2 * half_log_det(cholesky(value))
        return (
            -nu * (p * math.log(2) / 2 + half_log_det(lower))
            - multivariate_lgamma(nu / 2, p)
            + (nu - p - 1) / 2 * log_det
            - trace / 2
        )

    def entropy(self) -> Tensor:
        nu, p = self.df, self._event_shape[-1]
        return (
            (p + 1) * (p * math.log(2) / 2 + half_log_det(self._unbroadcasted_scale_tril))
            + multivariate_lgamma(nu / 2, p)
            - (nu - p - 1) / 2 * multivariate_digamma(nu / 2, p)
            + nu * p / 2
        )

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        return -self.precision_matrix / 2, (self.df - self._event_shape[-1] - 1) / 2

    def _log_normalizer(self, x: Tensor, y: Tensor) -> Tensor:
        p = self._event_shape[-1]
        log_det = 2 * half_log_det(cholesky(-2 * x))
        return (y + (p + 1) / 2) * (p * math.log(2) - log_det) + multivariate_lgamma(y + (p + 1) / 2, p)
