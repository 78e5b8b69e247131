"""Losses with a margin, and distances: how far apart things must be before nothing more is asked.

All but two are compositions. `reduction` is "none", "sum" or "mean", as in `loss`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ... import errors
from ...core.op import Array, op
from ...core.tensor import Tensor
from ...shapes import broadcast
from ..casting import full
from ..pointwise.compare import where
from .activation import logsigmoid
from .loss import check_reduction, reduced, same_dtype

__all__ = ["cosine_similarity", "pairwise_distance"]

# ---- distances -------------------------------------------------------------------------------------------------------


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """`(sum_i |x1_i - x2_i + eps|^p)^(1/p)` over the last dimension.

    Args:
        x1: (N, D) or (D,).
        x2: the same; both broadcast.
        p: degree of the norm.
        eps: keeps the derivative at zero distance finite.
        keepdim: keep the last dimension, with size 1.

    >>> import tapegrad as torch
    >>> torch.pairwise_distance(torch.tensor([3.0, 4.0]), torch.tensor([0.0, 0.0]), eps=0.0)
    tensor(5.)
    """
    return (x1 - x2 + eps).norm(p, -1, keepdim)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """`x1 . x2 / (max(|x1|, eps) max(|x2|, eps))` along `dim`.

    Args:
        x1: any shape.
        x2: the same; both broadcast.
        dim: the dimension of the vectors.
        eps: smallest length.

    Raises:
        RuntimeError: integer types.

    >>> import tapegrad as torch
    >>> torch.cosine_similarity(torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1.0]), dim=0)
    tensor(0.7071)
    """
    x1, x2 = same_dtype(x1, x2)
    if x1.array.dtype.kind in "biu":
        raise RuntimeError(errors.message("cosine_similarity: expected floating-point vectors", got=x1.dtype))
    shape = broadcast("cosine_similarity", x1.array.shape, x2.array.shape)
    units = [x / x.norm(2, dim, True).clamp_min(eps) for x in (x1.expand(shape), x2.expand(shape))]
    return (units[0] * units[1]).sum(dim)


# ---- pairs -----------------------------------------------------------------------------------------------------------


@full
def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """`max(0, -target (x1 - x2) + margin)`: x1 should be above x2 where the target is 1, below where it is -1.

    Raises:
        RuntimeError: the numbers of dimensions differ.
        ValueError: an unknown reduction.
    """
    reduction = check_reduction("margin_ranking_loss", reduction, size_average, reduce)
    if not input1.dim() == input2.dim() == target.dim():
        got = f"{input1.shape}, {input2.shape}, {target.shape}"
        raise RuntimeError(
            errors.message("margin_ranking_loss : All input tensors should have same dimension", got=got)
        )
    return reduced((-target * (input1 - input2) + float(margin)).clamp_min(0), reduction)


@full
def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """x where the target is 1, `max(0, margin - x)` where it is -1, for distances x.

    Raises:
        ValueError: an unknown reduction.
    """
    reduction = check_reduction("hinge_embedding_loss", reduction, size_average, reduce)
    apart = where(target == 1, 0, (margin - input).clamp_min(0))
    together = where(target == -1, 0, input)
    return reduced(apart + together, reduction)


@full
def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """`1 - cos(x1, x2)` where the target is 1, `max(0, cos(x1, x2) - margin)` where it is -1.

    Args:
        input1: (N, D) or (D,).
        input2: the same.
        target: (N,) or ().
        margin: the similarity that is allowed between unlike vectors.
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none", "mean" or "sum".

    Raises:
        RuntimeError: shapes do not fit.
        ValueError: an unknown reduction.
    """
    reduction = check_reduction("cosine_embedding_loss", reduction, size_average, reduce)
    if target.dim() not in (0, 1) or not input1.dim() == input2.dim() == target.dim() + 1:
        got = f"{input1.shape}, {input2.shape}, {target.shape}"
        expected = "(N, D), (N, D), (N,) or (D,), (D,), ()"
        raise RuntimeError(errors.message("cosine_embedding_loss: sizes do not fit", got=got, expected=expected))
    tiny = 1e-12  # keeps the lengths of zero vectors, and their derivatives, finite
    product = (input1 * input2).sum(-1)
    lengths = ((input1 * input1).sum(-1) + tiny) * ((input2 * input2).sum(-1) + tiny)
    cosine = product / lengths.sqrt()
    like = where(target == 1, 1 - cosine, 0)
    unlike = where(target == -1, (cosine - margin).clamp_min(0), 0)
    return reduced(like + unlike, reduction)


# ---- triplets --------------------------------------------------------------------------------------------------------


def _check_margin(where: str, margin: float) -> None:
    if margin <= 0:
        raise ValueError(errors.message(f"{where}: margin must be greater than 0", got=margin))


@full
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """`max(0, d(anchor, positive) - d(anchor, negative) + margin)` with `pairwise_distance` d (Balntas et al. 2016).

    Args:
        anchor: (N, D) or (D,).
        positive: the same.
        negative: the same.
        margin: by how much the negative must be further away.
        p: degree of the norm.
        eps: see `pairwise_distance`.
        swap: take the smaller of the distances of the negative to the anchor and to the positive.
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none", "mean" or "sum".

    Raises:
        ValueError: a margin that is not positive, or an unknown reduction.
        RuntimeError: the numbers of dimensions differ.
    """
    reduction = check_reduction("triplet_margin_loss", reduction, size_average, reduce)
    _check_margin("triplet_margin_loss", margin)
    if not anchor.dim() == positive.dim() == negative.dim():
        got = f"{anchor.dim()}, {positive.dim()} and {negative.dim()}"
        raise RuntimeError(errors.message("triplet_margin_loss: the numbers of dimensions differ", got=got))
    return _triplet(lambda x, y: pairwise_distance(x, y, p, eps), anchor, positive, negative, margin, swap, reduction)


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """`triplet_margin_loss` with a distance of your own; `pairwise_distance` if None.

    Raises:
        ValueError: a margin that is not positive, or an unknown reduction.
        RuntimeError: the numbers of dimensions differ.
    """
    reduction = check_reduction("triplet_margin_with_distance_loss", reduction)
    _check_margin("triplet_margin_with_distance_loss", margin)
    if not anchor.dim() == positive.dim() == negative.dim():
        got = f"{anchor.dim()}, {positive.dim()} and {negative.dim()}"
        raise RuntimeError(
            errors.message("triplet_margin_with_distance_loss: the numbers of dimensions differ", got=got)
        )
    return _triplet(distance_function or pairwise_distance, anchor, positive, negative, margin, swap, reduction)


def _triplet(
    distance: Callable, anchor: Tensor, positive: Tensor, negative: Tensor, margin: float, swap: bool, reduction: str
) -> Tensor:
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = far.minimum(distance(positive, negative))
    return reduced((near - far + margin).clamp_min(0), reduction)


# ---- classes ---------------------------------------------------------------------------------------------------------


@op(name="_is_class", nondiff=True)
def _is_class(x: Array, target: Array):
    """1 at the target class of every row of (N, C), else 0."""
    return (np.arange(x.shape[1]) == target[:, None]).astype(x.dtype)


_is_class.shape(lambda x, target: x)


@full
def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """`sum_j weight[target] max(0, margin - x[target] + x_j)^p / C` over all other classes j.

    Args:
        input: scores x, (N, C) or (C,).
        target: class numbers, (N,) or ().
        p: 1 or 2.
        margin: by how much the target should be above all others.
        weight: factor of each class, (C,).
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none", "mean" or "sum".

    Raises:
        ValueError: another `p`, or an unknown reduction.
        RuntimeError: shapes do not fit.
    """
    reduction = check_reduction("multi_margin_loss", reduction, size_average, reduce)
    if p not in (1, 2):
        raise ValueError(errors.message("multi_margin_loss: only p == 1 and p == 2 supported", got=p))
    if input.dim() > 2 or (input.dim() and input.shape[-1] == 0):
        expected = "(N, C), (C,) or ()"
        raise RuntimeError(
            errors.message("multi_margin_loss: scores have the wrong shape", got=tuple(input.shape), expected=expected)
        )
    x = input if input.dim() == 2 else input.reshape(1, -1)
    if target.numel() != x.shape[0] or target.dim() > 1:
        got = f"input {tuple(input.shape)}, target {tuple(target.shape)}"
        raise RuntimeError(errors.message("multi_margin_loss: one class number is needed for each row", got=got))
    classes = x.shape[1]
    if weight is not None and weight.dim() != 1:
        raise ValueError(errors.message("multi_margin_loss: weight must be one-dimensional", got=tuple(weight.shape)))
    if weight is not None and weight.numel() != classes:
        raise RuntimeError(
            errors.message("multi_margin_loss: inconsistent weight size", got=tuple(weight.shape), expected=classes)
        )
    shape, target = target.shape, target.reshape(-1)
    if target.numel() and (target.min() < 0 or target.max() >= classes):
        raise RuntimeError(errors.message("multi_margin_loss: target out of range", expected=f"0 to {classes - 1}"))
    hot = _is_class(x, target)  # (N, C)
    gap = (margin - (x * hot).sum(1, True) + x).clamp_min(0) * (1 - hot)
    losses = (gap * gap if p == 2 else gap).sum(1) / classes
    if weight is not None:
        losses = losses * weight[target]
    return reduced(losses.reshape(shape), reduction)


def _counts(target: np.ndarray) -> np.ndarray:
    """How many classes each row lists before its first -1."""
    ends = target < 0
    return np.where(ends.any(1), ends.argmax(1), target.shape[1])


@op(name="_listed_classes", nondiff=True, nout=2)
def _listed_classes(x: Array, target: Array, most):
    """(N, most): the classes that each row of `target` lists before its first -1, then 0; and 1 for those, 0 after."""
    there = np.arange(most) < _counts(target)[:, None]
    return np.where(there, target[:, :most], 0), there.astype(x.dtype)


_listed_classes.shape(lambda x, target, most: (x[0], most))


@op(name="_other_classes", nondiff=True)
def _other_classes(x: Array, listed: Array, there: Array):
    """(N, C): 1 for the classes that a row does not list."""
    others = np.ones(x.shape, x.dtype)
    rows, places = np.nonzero(there)
    others[rows, listed[rows, places]] = 0
    return others


_other_classes.shape(lambda x, listed, there: x)


@full
def multilabel_margin_loss(
    input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Tensor:
    """`sum_ij max(0, 1 - (x_j - x_i)) / C` over target classes j and other classes i.

    Args:
        input: scores x, (N, C) or (C,).
        target: the same shape; each row lists its classes, then -1.
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none", "mean" or "sum".

    Raises:
        RuntimeError: shapes do not fit, or a target that is no class.
        ValueError: an unknown reduction.
    """
    reduction = check_reduction("multilabel_margin_loss", reduction, size_average, reduce)
    if input.dim() > 2 or input.shape != target.shape:
        got = f"{tuple(target.shape)} for input of size {tuple(input.shape)}"
        raise RuntimeError(errors.message("multilabel_margin_loss: inconsistent target size", got=got))
    if target.array.dtype.kind != "i":
        raise RuntimeError(errors.message("multilabel_margin_loss: expected integers as target", got=target.dtype))
    x = input if input.dim() == 2 else input.reshape(1, -1)
    classes = x.shape[1]
    if target.numel() and (target.min() < -1 or target.max() >= classes):
        raise RuntimeError(
            errors.message("multilabel_margin_loss: target is out of range", expected=f"-1 to {classes - 1}")
        )
    target = target.reshape(x.shape).long()
    listed, there = _listed_classes(x, target, int(_counts(target.array).max(initial=0)))
    others = _other_classes(x, listed, there)
    gap = (1 - x.gather(1, listed).unsqueeze(2) + x.unsqueeze(1)).clamp_min(0)  # (N, T, C)
    losses = (gap * there.unsqueeze(2) * others.unsqueeze(1)).sum((1, 2)) / classes
    return reduced(losses if input.dim() == 2 else losses.reshape(()), reduction)


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """Mean over the classes of `-(target log sigmoid(x) + (1 - target) log sigmoid(-x))`.

    Args:
        input: logits x, (*, C).
        target: 0 or 1, the same shape.
        weight: factor of each class, (C,).
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none", "mean" or "sum".

    Raises:
        ValueError: an unknown reduction.
    """
    reduction = check_reduction("multilabel_soft_margin_loss", reduction, size_average, reduce)
    losses = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        losses = losses * weight
    return reduced(losses.sum(-1) / input.shape[-1], reduction)
