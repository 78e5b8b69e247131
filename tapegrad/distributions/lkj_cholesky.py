"""Random correlation matrices."""

from __future__ import annotations

import math
from typing import Any

from ..core.tensor import Tensor
from ..errors import message
from ..modes import no_grad
from ..ops.creation.ranges import arange
from ..ops.creation.types import finfo
from ..ops.random.draws import randn
from ..ops.shape.joining import cat
from ..shapes import Size
from . import constraints
from .beta import Beta
from .distribution import Distribution
from .utils import broadcast_all, multivariate_lgamma

__all__ = ["LKJCholesky"]


class LKJCholesky(Distribution):
    """Cholesky factors of correlation matrices R with density proportional to `det(R)^(concentration - 1)`.

    Args:
        dim: number of rows, 2 or more.
        concentration: positive; 1 for a uniform distribution.
        validate_args: whether to check arguments and values.

    Raises:
        ValueError: `dim` is less than 2, or `concentration` not positive.

    Reference: Lewandowski, Kurowicka, Joe, "Generating random correlation matrices based on vines and extended onion
    method", J. Multivariate Analysis 100 (2009).

    >>> import tapegrad as torch
    >>> torch.distributions.LKJCholesky(3, 0.5).sample().shape
    torch.Size([3, 3])
    """

    arg_constraints = {"concentration": constraints.positive}
    support = constraints.corr_cholesky
    _names = ("concentration",)

    def __init__(self, dim: int, concentration: Any = 1.0, validate_args: bool | None = None):
        if dim < 2:
            raise ValueError(message("LKJCholesky: a correlation matrix has 2 or more rows", got=dim))
        self.dim = dim
        (self.concentration,) = broadcast_all(concentration)
        batch = self.concentration.size()
        row = cat([self.concentration.new_zeros(1), arange(dim - 1, dtype=self.concentration.dtype)])
        rest = (self.concentration + 0.5 * (dim - 2)).unsqueeze(-1) - 0.5 * row
        self._beta = Beta((row + 0.5).expand(rest.shape), rest)  # squared lengths of the rows before the diagonal
        super().__init__(batch, (dim, dim), validate_args)

    def _expand_rest(self, new: Any, batch_shape: Size) -> None:
        new.dim, new._beta = self.dim, self._beta.expand(batch_shape + (self.dim,))

    def sample(self, sample_shape: Any = Size()) -> Tensor:
        with no_grad():
            y = self._beta.sample(sample_shape).unsqueeze(-1)
            u = randn(self._extended_shape(sample_shape), dtype=y.dtype).tril(-1)
            u = u / u.pow(2).sum(-1, keepdim=True).sqrt()
            u[..., 0, :] = 0.0  # the first row has nothing before its diagonal: 0 / 0
            w = y.sqrt() * u
            diagonal = (1 - w.pow(2).sum(-1)).clamp(min=finfo(w.dtype).tiny).sqrt()
            return w + diagonal.diag_embed()

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        diagonal = value.diagonal(dim1=-1, dim2=-2)[..., 1:]
        order = arange(2, self.dim + 1)
        order = 2 * (self.concentration - 1).unsqueeze(-1) + self.dim - order
        found = (order * diagonal.log()).sum(-1)
        n = self.dim - 1
        alpha = self.concentration + 0.5 * n
        constant = 0.5 * n * math.log(math.pi) + multivariate_lgamma(alpha - 0.5, n) - alpha.lgamma() * n
        return found - constant
