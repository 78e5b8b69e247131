"""Functions that PyTorch has at its top level with signatures of their own: `torch.embedding(table, numbers)` where
`nn.functional` has `embedding(numbers, table)`, reductions by number (0 none, 1 mean, 2 sum), and the like.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ... import errors
from ...core.tensor import Tensor, wrap
from ..casting import alone
from ..indexing import bags
from ..indexing.embedding import embedding as _embedding
from ..indexing.embedding import limit_rows
from . import ctc, loss, margin, norm
from .conv import conv1d
from .dropout import alpha_dropout, dropout, feature_alpha_dropout, feature_dropout
from .pool import max_pool1d

__all__ = (
    "alpha_dropout_ batch_norm bilinear binary_cross_entropy_with_logits conv_tbc cosine_embedding_loss ctc_loss "
    "dropout_ embedding embedding_bag embedding_renorm_ feature_alpha_dropout_ feature_dropout_ hinge_embedding_loss "
    "instance_norm kl_div margin_ranking_loss max_pool1d_with_indices poisson_nll_loss triplet_margin_loss"
).split()

# ---- embeddings ------------------------------------------------------------------------------------------------------


def embedding(
    weight: Tensor, indices: Tensor, padding_idx: int = -1, scale_grad_by_freq: bool = False, sparse: bool = False
) -> Tensor:
    """The rows of a table (V, D) that `indices` name; a `padding_idx` of -1 is none.

    Raises:
        IndexError: a number that is no row.

    >>> import tapegrad as torch
    >>> torch.embedding(torch.tensor([[0.0, 0.0], [1.0, 2.0]]), torch.tensor([1]))
    tensor([[1., 2.]])
    """
    padding = None if padding_idx < 0 else padding_idx
    return _embedding(indices, weight, padding, scale_grad_by_freq=scale_grad_by_freq)


def embedding_renorm_(input: Tensor, indices: Tensor, max_norm: float, norm_type: float) -> Tensor:
    """Scale the named rows of a table down to the length `max_norm`, in place; returns the table."""
    limit_rows(input, indices, max_norm, norm_type)
    return input


def embedding_bag(
    weight: Tensor,
    indices: Tensor,
    offsets: Tensor,
    scale_grad_by_freq: bool = False,
    mode: int = 0,
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """(sums, means or maxima of bags, the bag of each number, the size of each bag).

    Args:
        weight: the table, (V, D).
        indices: row numbers, (N,).
        offsets: where each bag begins, (B,).
        scale_grad_by_freq: divide the gradient of a row by how often it is picked.
        mode: 0 sum, 1 mean, 2 max.
        sparse: accepted for compatibility; gradients are dense.
        per_sample_weights: a factor for each number, (N,).
        include_last_offset: the last offset is the end of the last bag.
        padding_idx: a row that counts as absent.

    Raises:
        RuntimeError: numbers that are no rows, or offsets that do not fit.
    """
    out = bags.embedding_bag(
        indices,
        weight,
        offsets,
        scale_grad_by_freq=scale_grad_by_freq,
        mode=bags.MODES[mode],
        per_sample_weights=per_sample_weights,
        include_last_offset=include_last_offset,
        padding_idx=padding_idx,
    )
    ends = offsets.array[1:] if include_last_offset else np.append(offsets.array[1:], indices.numel())
    starts = offsets.array[: len(ends)]
    owner = np.repeat(np.arange(len(starts)), ends - starts)
    there = np.ones(len(owner), bool) if padding_idx is None else indices.array[: len(owner)] != padding_idx
    return out, wrap(owner), wrap(np.bincount(owner[there], minlength=len(starts)))


# ---- bilinear forms and convolution ----------------------------------------------------------------------------------


@alone
def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`y_k = x1^T A_k x2 + b_k` (composed of products).

    Args:
        input1: (*, I).
        input2: (*, J).
        weight: A, (K, I, J).
        bias: b, (K,).

    Raises:
        RuntimeError: shapes do not fit.

    >>> import tapegrad as torch
    >>> torch.bilinear(torch.ones(1, 2), torch.ones(1, 3), torch.ones(4, 2, 3))
    tensor([[6., 6., 6., 6.]])
    """
    if (
        weight.dim() != 3
        or input1.shape[:-1] != input2.shape[:-1]
        or (input1.shape[-1], input2.shape[-1]) != weight.shape[1:]
    ):
        got = f"{tuple(input1.shape)}, {tuple(input2.shape)}, weight {tuple(weight.shape)}"
        raise RuntimeError(
            errors.message("bilinear: shapes do not fit", got=got, expected="(*, I), (*, J), weight (K, I, J)")
        )
    k, i, j = weight.shape
    lead = input1.shape[:-1]
    flat1, flat2 = input1.reshape(-1, i), input2.reshape(-1, j)
    mixed = flat1.matmul(weight.permute(1, 0, 2).reshape(i, k * j)).reshape(-1, k, j)  # (N, K, J)
    out = mixed.matmul(flat2.unsqueeze(2)).reshape(*lead, k)
    return out if bias is None else out + bias


def conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    """`conv1d` of sequences with the time first: (T, B, C) with weights (K, C, O) to (T + 2 pad - K + 1, B, O).

    Raises:
        RuntimeError: shapes do not fit.

    >>> import tapegrad as torch
    >>> torch.conv_tbc(torch.zeros(5, 1, 2), torch.zeros(3, 2, 4), torch.zeros(4)).shape
    torch.Size([3, 1, 4])
    """
    if input.dim() != 3 or weight.dim() != 3 or bias.dim() != 1:
        got = f"{tuple(input.shape)}, {tuple(weight.shape)}, {tuple(bias.shape)}"
        text = "conv_tbc: wrong numbers of dimensions"
        raise RuntimeError(errors.message(text, got=got, expected="(T, B, C), (K, C, O), (O,)"))
    return conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, padding=pad).permute(2, 0, 1)


def max_pool1d_with_indices(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
) -> Any:
    """`max_pool1d`, and where each maximum lies."""
    return max_pool1d(input, kernel_size, stride, padding, dilation, ceil_mode, True)


# ---- normalisation and dropout ---------------------------------------------------------------------------------------


def batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Tensor:
    """`nn.functional.batch_norm` with all arguments given, the parameters before the statistics."""
    return norm.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def instance_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Tensor:
    """`nn.functional.instance_norm` with all arguments given, the parameters before the statistics."""
    return norm.instance_norm(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)


def _in_place(function: Callable) -> Callable:
    def changed(input: Tensor, p: float, train: bool) -> Tensor:
        return function(input, p, train, True)

    changed.__name__ = changed.__qualname__ = function.__name__ + "_"
    changed.__doc__ = f"In-place form of `{function.__name__}`."
    return changed


dropout_ = _in_place(dropout)
alpha_dropout_ = _in_place(alpha_dropout)
feature_dropout_ = _in_place(feature_dropout)
feature_alpha_dropout_ = _in_place(feature_alpha_dropout)

# ---- losses ----------------------------------------------------------------------------------------------------------


def _reduction(number: int) -> str:
    if number not in (0, 1, 2):
        expected = "0 (none), 1 (mean) or 2 (sum)"
        raise ValueError(errors.message("not a reduction", got=number, expected=expected))
    return ("none", "mean", "sum")[number]


def _by_number(function: Callable, *names: str, **defaults: Any) -> Callable:
    """A loss whose options can be given in the order `names`, with a number for the reduction."""

    @functools.wraps(function)
    def numbered(*args: Any, **kwargs: Any) -> Tensor:
        if len(args) > len(names):
            text = f"{function.__name__} takes {len(names)} arguments"
            raise TypeError(errors.message(text, got=len(args)))
        given = {**defaults, **dict(zip(names, args)), **kwargs}
        return function(**{**given, "reduction": _reduction(given["reduction"])})

    del numbered.__wrapped__  # type: ignore[attr-defined]
    numbered.__doc__ = f"`nn.functional.{function.__name__}` with a number for the reduction: 0 none, 1 mean, 2 sum."
    return numbered


ctc_loss = _by_number(
    ctc.ctc_loss,
    *("log_probs", "targets", "input_lengths", "target_lengths", "blank", "reduction", "zero_infinity"),
    reduction=1,
)
kl_div = _by_number(loss.kl_div, "input", "target", "reduction", reduction=1)
poisson_nll_loss = _by_number(
    loss.poisson_nll_loss, "input", "target", "log_input", "full", "eps", "reduction", reduction=1
)
binary_cross_entropy_with_logits = _by_number(
    loss.binary_cross_entropy_with_logits, "input", "target", "weight", "pos_weight", "reduction", reduction=1
)
margin_ranking_loss = _by_number(
    margin.margin_ranking_loss, "input1", "input2", "target", "margin", "reduction", reduction=1
)
hinge_embedding_loss = _by_number(margin.hinge_embedding_loss, "input", "target", "margin", "reduction", reduction=1)
cosine_embedding_loss = _by_number(
    margin.cosine_embedding_loss, "input1", "input2", "target", "margin", "reduction", reduction=1
)
triplet_margin_loss = _by_number(
    margin.triplet_margin_loss,
    *("anchor", "positive", "negative", "margin", "p", "eps", "swap", "reduction"),
    reduction=1,
)
