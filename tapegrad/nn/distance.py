"""Distance layers: `PairwiseDistance`, `CosineSimilarity`."""

from __future__ import annotations

from ..core.tensor import Tensor
from . import functional as F
from .module import Module


class PairwiseDistance(Module):
    """`(sum_i |x1_i - x2_i + eps|^p)^(1/p)` over the last dimension.

    Args:
        p: degree of the norm.
        eps: keeps the derivative at zero distance finite.
        keepdim: keep the last dimension, with size 1.
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)


class CosineSimilarity(Module):
    """`x1 . x2 / (max(|x1|, eps) max(|x2|, eps))` along `dim`.

    Args:
        dim: the dimension of the vectors.
        eps: smallest length.
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim = dim
        self.eps = eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.cosine_similarity(x1, x2, self.dim, self.eps)
