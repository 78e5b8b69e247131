"""`ctc_loss`: connectionist temporal classification, the likelihood of a label sequence under all its alignments.

Reference: Graves et al. 2006.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import errors
from ...backends.cpu import ctc as kernels
from ...core.op import Array, op
from ...core.tensor import Tensor, wrap
from ..casting import full
from ..pointwise.compare import where
from ..reduction.reduce import sum
from .loss import check_reduction, reduced

# x: (T, N, C), targets: (N, S), steps and lengths: (N,), how much of each sequence and of each target counts.


@op(name="_ctc_loss", node="CtcLossBackward0", returns=("losses", "log_alpha"), hidden=1)
def _ctc_loss(x: Array, targets: Array, steps: Array, lengths: Array, blank, zero_infinity):
    return kernels.forward(x, kernels.lattice(targets, steps, lengths, blank))


@_ctc_loss.shape
def _(x, targets, steps, lengths, blank, zero_infinity):
    return (x[1],)


@_ctc_loss.grad("x")
def _(g, x, targets, steps, lengths, losses, log_alpha, blank, zero_infinity):
    return _ctc_loss_backward(g, x, losses, log_alpha, targets, steps, lengths, blank, zero_infinity)


@op(name="_ctc_loss_backward")
def _ctc_loss_backward(
    dy: Array,
    x: Array,
    losses: Array,
    log_alpha: Array,
    targets: Array,
    steps: Array,
    lengths: Array,
    blank,
    zero_infinity,
):
    states = kernels.lattice(targets, steps, lengths, blank)
    return kernels.backward(dy, x, losses, log_alpha, states, zero_infinity)


@_ctc_loss_backward.shape
def _(dy, x, *_):
    return x


@_ctc_loss_backward.grad("dy")
def _(g, dy, x, losses, log_alpha, targets, steps, lengths, blank, zero_infinity):
    once = _ctc_loss_backward(dy * 0 + 1, x, losses, log_alpha, targets, steps, lengths, blank, zero_infinity)
    return sum(g * once, (0, 2))


@_ctc_loss_backward.grad("x")
def _(g):
    text = "ctc_loss: its gradient cannot be differentiated again"
    raise RuntimeError(errors.message(text, fix="leave out create_graph=True"))


# ---- the function ----------------------------------------------------------------------------------------------------


@full
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Tensor | Sequence[int],
    target_lengths: Tensor | Sequence[int],
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """`-log sum over alignments of the target of prod_t p[t, label at t]` (Graves et al. 2006).

    Args:
        log_probs: log-probabilities (`log_softmax` of something), (T, N, C) or (T, C).
        targets: labels, (N, S), or all targets one after the other, (sum of `target_lengths`,); (S,) without a batch.
        input_lengths: how many time steps of each sequence count, (N,).
        target_lengths: how many labels of each target count, (N,).
        blank: the label that stands for none.
        reduction: "none", "sum" or "mean" (of losses over target lengths).
        zero_infinity: let targets that are too long for their input count nothing, instead of being infinite.

    Returns:
        A number, or (N,) with reduction "none".

    Raises:
        RuntimeError: sizes, lengths or dtypes that do not fit, or no such blank.
        ValueError: an unknown reduction.

    Gradients are those of the logits behind `log_probs`: `exp(log_probs)` minus what is expected given the target.

    >>> import tapegrad as torch
    >>> logs = torch.tensor([[[0.5, 0.5]], [[0.5, 0.5]]]).log()
    >>> torch.nn.functional.ctc_loss(logs, torch.tensor([[1]]), [2], [1]).exp()  # 3 of 4 paths: 1/0.75
    tensor(1.3333)
    """
    reduction = check_reduction("ctc_loss", reduction)
    single = log_probs.dim() == 2
    if single:
        log_probs, targets = log_probs.unsqueeze(1), targets.reshape(1, -1) if targets.dim() == 1 else targets
    _check_probabilities(log_probs, blank)
    time, n = log_probs.shape[:2]
    steps = _lengths("input_lengths", input_lengths, n, time)
    lengths = _lengths("target_lengths", target_lengths, n, None)
    labels = _table(targets.array, lengths, n)
    if labels.size and (labels.min() < 0 or labels.max() >= log_probs.shape[2]):
        got = f"{labels.min()} to {labels.max()}"
        raise RuntimeError(errors.message("ctc_loss: no such label", got=got, expected=f"< {log_probs.shape[2]}"))
    losses = _ctc_loss(log_probs, wrap(labels), wrap(steps), wrap(lengths), int(blank), bool(zero_infinity))
    if zero_infinity:
        losses = where(losses == float("inf"), 0.0, losses)
    if reduction == "mean":
        return (losses / wrap(np.maximum(lengths, 1)).to(losses.dtype)).mean()
    return reduced(losses, reduction) if not single or reduction == "sum" else losses.squeeze(0)


def _check_probabilities(log_probs: Tensor, blank: int) -> None:
    if log_probs.dim() != 3:
        got, expected = tuple(log_probs.shape), "(T, N, C) or (T, C)"
        raise RuntimeError(errors.message("ctc_loss: wrong number of dimensions", got=got, expected=expected))
    if log_probs.numel() == 0:
        raise RuntimeError(errors.message("ctc_loss: log_probs must not be empty", got=tuple(log_probs.shape)))
    if log_probs.array.dtype not in (np.float32, np.float64):
        text = f"ctc_loss: not implemented for {log_probs.dtype}"
        raise NotImplementedError(errors.message(text, fix="convert with .float()"))
    if not 0 <= blank < log_probs.shape[2]:
        expected = f"0 to {log_probs.shape[2] - 1}"
        raise RuntimeError(errors.message("ctc_loss: blank must be in label range", got=blank, expected=expected))


def _lengths(name: str, given: Any, n: int, most: int | None) -> Array:
    """The lengths as an array, checked."""
    if isinstance(given, Tensor):
        if given.array.dtype.kind not in "iu":
            raise RuntimeError(errors.message(f"ctc_loss: {name} must be integral", got=given.dtype))
        found = given.array.reshape(-1).astype(np.intp)
    elif isinstance(given, (tuple, list)):
        found = np.array([int(k) for k in given], np.intp)
    else:
        text = f"ctc_loss: {name} must be a tensor or a tuple of ints"
        raise TypeError(errors.message(text, got=type(given).__name__))
    if len(found) != n:
        raise RuntimeError(errors.message(f"ctc_loss: {name} must be of size batch_size", got=len(found), expected=n))
    if found.min() < 0 or (most is not None and found.max() > most):
        text = f"ctc_loss: {name} must be between 0 and {'the number of labels' if most is None else most}"
        raise RuntimeError(errors.message(text, got=found.tolist()))
    return found


def _table(targets: Array, lengths: Array, n: int) -> Array:
    """The targets as (N, S), S being the longest target that counts; what lies after the end of a target is 0."""
    longest = int(lengths.max())
    place = np.arange(longest)
    inside = place < lengths[:, None]
    if targets.ndim == 1:
        if len(targets) != lengths.sum():
            text = "ctc_loss: the concatenated targets must be as long as target_lengths say"
            raise RuntimeError(errors.message(text, got=len(targets), expected=int(lengths.sum())))
        found = np.zeros((n, longest), np.intp)
        found[inside] = targets
        return found
    if targets.ndim != 2 or targets.shape[0] != n or targets.shape[1] < longest:
        text = "ctc_loss: the targets do not fit the lengths"
        raise RuntimeError(errors.message(text, got=targets.shape, expected=f"({n}, {longest} or more)"))
    return np.where(inside, targets[:, :longest], 0).astype(np.intp)
