"""Losses between two tensors of one shape: squared, absolute, Huber, binary cross entropy, likelihoods, divergence.

Each is `reduce(f(x, target))`, with `reduction` "none" (the tensor of losses), "sum" or "mean". The common ones are one
operation with its derivative; the others are compositions. Losses over classes are in `classes`, those with margins in
`margin`.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

from ... import errors
from ...backends.cpu import rows
from ...core.op import Array, elementwise, op
from ...core.tensor import Tensor
from ...dtypes import promote
from ...ir import expr as e
from ...shapes import broadcast
from ..casting import full
from ..pointwise.bounds import clamp, clamp_min
from ..pointwise.compare import where
from ..pointwise.functions import abs, exp, log, log1p, sigmoid
from ..pointwise.powers import xlogy

REDUCTIONS = ("none", "mean", "sum")


# ---- reductions ------------------------------------------------------------------------------------------------------


def check_reduction(where: str, reduction: str, size_average: Any = None, reduce: Any = None) -> str:
    """The reduction, from its name or from the two flags that came before it.

    Raises:
        ValueError: no such reduction.
    """
    if size_average is not None or reduce is not None:
        reduction = "none" if reduce is False else "sum" if size_average is False else "mean"
        warnings.warn(f"{where}: size_average and reduce are deprecated, use reduction={reduction!r}", stacklevel=3)
    if reduction not in REDUCTIONS:
        text = errors.message(
            f"{where}: {reduction} is not a valid value for reduction", expected=" or ".join(map(repr, REDUCTIONS))
        )
        raise ValueError(text)
    return reduction


def reduced(losses: Tensor, reduction: str) -> Tensor:
    """The losses as they are, their mean or their sum."""
    return losses if reduction == "none" else losses.mean() if reduction == "mean" else losses.sum()


def _reduce_array(losses: Array, reduction: str) -> Array:
    if reduction == "none":
        return losses
    return rows.mean_all(losses) if reduction == "mean" else rows.sum_all(losses)


def _each(g: Any, reduction: str, shape: tuple[int, ...]) -> Any:
    """The gradient of one loss, from the gradient `g` of the reduced ones."""
    return g / max(math.prod(shape), 1) if reduction == "mean" else g


def pair(where: str, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both tensors in one shape and dtype; sizes that differ are broadcast with a warning, as they are mostly a
    mistake.
    """
    if x.array.shape != target.array.shape:
        text = f"{where}: the target size {target.shape} differs from the input size {x.shape}, both are broadcast"
        warnings.warn(text, stacklevel=3)
        shape = broadcast(where, x.array.shape, target.array.shape)
        x, target = x.expand(shape), target.expand(shape)
    return same_dtype(x, target)


def same_dtype(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Both tensors in the dtype that they meet in."""
    if x.array.dtype is y.array.dtype or x.array.dtype == y.array.dtype:
        return x, y
    met = promote(x.dtype, y.dtype)
    return x.to(met), y.to(met)


def _require_float(where: str, x: Tensor) -> None:
    if x.array.dtype.kind in "biu":
        text = errors.message(f"{where}: not implemented for {x.dtype}", fix="convert with .float()")
        raise NotImplementedError(text)


# ---- squared and absolute differences --------------------------------------------------------------------------------


@op(name="mse_loss", node="MseLossBackward0")
def _mse_loss(x: Array, target: Array, reduction="mean"):
    d = rows.wide(x) - target
    d *= d
    return _reduce_array(d, reduction).astype(x.dtype, copy=False)


def _loss_shape(x, target, *rest):
    """The shape rule of a loss: the reduction is its only argument that is text."""
    return x if "none" in [r for r in rest if isinstance(r, str)] else ()


_mse_loss.shape(_loss_shape)


@_mse_loss.grad("x")
def _(g, x, target, reduction, x_shape):
    return (x - target) * (2 * _each(g, reduction, x_shape))


@_mse_loss.grad("target")
def _(g, x, target, reduction, x_shape):
    return (target - x) * (2 * _each(g, reduction, x_shape))


@full
def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Squared error: `(x - target)^2`.

    Args:
        input: predictions x, any shape.
        target: the same shape.
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none", "mean" or "sum".
        weight: factor of each squared error, the same shape; the mean is then the weighted one.

    Raises:
        ValueError: an unknown reduction, or a weight of another shape.

    >>> import tapegrad as torch
    >>> torch.nn.functional.mse_loss(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
    tensor(2.)
    """
    reduction = check_reduction("mse_loss", reduction, size_average, reduce)
    x, target = pair("mse_loss", input, target)
    _require_float("mse_loss", x)
    if weight is not None:
        return _weighted(_mse_loss(x, target, "none"), weight, input, reduction)
    return _mse_loss(x, target, reduction)


@full
def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Absolute error: `|x - target|`; arguments and errors as for `mse_loss`.

    >>> import tapegrad as torch
    >>> torch.nn.functional.l1_loss(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
    tensor(1.)
    """
    reduction = check_reduction("l1_loss", reduction, size_average, reduce)
    x, target = pair("l1_loss", input, target)
    losses = (x - target).abs()
    return reduced(losses, reduction) if weight is None else _weighted(losses, weight, input, reduction)


def _weighted(losses: Tensor, weight: Tensor, input: Tensor, reduction: str) -> Tensor:
    if weight.array.shape != input.array.shape:
        text = errors.message("loss: weight and input must have the same size", got=f"{weight.shape} and {input.shape}")
        raise ValueError(text)
    losses = losses * weight
    return losses.sum() / weight.sum() if reduction == "mean" else reduced(losses, reduction)


@elementwise(method=False, inplace=False, nondiff=True, name="_smooth_l1")
def _smooth_l1(x, target, beta=1.0):
    d = e.abs(x - target)
    c = e.minimum(d, beta)  # no branch: twice as fast
    return c * (d - 0.5 * c) / beta


@op(name="smooth_l1_loss", node="SmoothL1LossBackward0")
def _smooth_l1_loss(x: Array, target: Array, reduction="mean", beta=1.0):
    return _reduce_array(_smooth_l1(x, target, beta), reduction)


_smooth_l1_loss.shape(_loss_shape)


@_smooth_l1_loss.grad("x")
def _(g, x, target, reduction, beta, x_shape):
    return clamp((x - target) / beta, -1.0, 1.0) * _each(g, reduction, x_shape)


@_smooth_l1_loss.grad("target")
def _(g, x, target, reduction, beta, x_shape):
    return clamp((target - x) / beta, -1.0, 1.0) * _each(g, reduction, x_shape)


@full
def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """`d^2 / (2 beta)` where `d = |x - target| < beta`, `d - beta / 2` elsewhere (Girshick 2015).

    Args:
        input: predictions x, any shape.
        target: the same shape.
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none", "mean" or "sum".
        beta: where the square becomes a line; 0 is `l1_loss`.

    Raises:
        ValueError: an unknown reduction.
        RuntimeError: a negative `beta`.
    """
    reduction = check_reduction("smooth_l1_loss", reduction, size_average, reduce)
    x, target = pair("smooth_l1_loss", input, target)
    if beta < 0:
        raise RuntimeError(errors.message("smooth_l1_loss: beta must not be negative", got=beta))
    if beta == 0:
        return reduced((x - target).abs(), reduction)
    _require_float("smooth_l1_loss", x)
    return _smooth_l1_loss(x, target, reduction, float(beta))


@elementwise(method=False, inplace=False, nondiff=True, name="_huber")
def _huber(x, target, delta=1.0):
    d = e.abs(x - target)
    c = e.minimum(d, delta)  # no branch: twice as fast
    return c * (d - 0.5 * c)


@op(name="huber_loss", node="HuberLossBackward0")
def _huber_loss(x: Array, target: Array, reduction="mean", delta=1.0):
    return _reduce_array(_huber(x, target, delta), reduction)


_huber_loss.shape(_loss_shape)


@_huber_loss.grad("x")
def _(g, x, target, reduction, delta, x_shape):
    return clamp(x - target, -delta, delta) * _each(g, reduction, x_shape)


@_huber_loss.grad("target")
def _(g, x, target, reduction, delta, x_shape):
    return clamp(target - x, -delta, delta) * _each(g, reduction, x_shape)


@full
def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """`d^2 / 2` where `d = |x - target| <= delta`, `delta (d - delta / 2)` elsewhere (Huber 1964).

    Args:
        input: predictions x, any shape.
        target: the same shape.
        reduction: "none", "mean" or "sum".
        delta: where the square becomes a line.
        weight: factor of each loss, the same shape.

    Raises:
        ValueError: an unknown reduction, or a weight of another shape.
        RuntimeError: a `delta` that is not positive.
    """
    reduction = check_reduction("huber_loss", reduction)
    x, target = pair("huber_loss", input, target)
    if delta <= 0:
        raise RuntimeError(errors.message("huber_loss: delta must be positive", got=delta))
    _require_float("huber_loss", x)
    if weight is not None:
        return _weighted(_huber_loss(x, target, "none", float(delta)), weight, input, reduction)
    return _huber_loss(x, target, reduction, float(delta))


# ---- binary cross entropy --------------------------------------------------------------------------------------------


@op(name="binary_cross_entropy", node="BinaryCrossEntropyBackward0")
def _bce(x: Array, target: Array, weight: Array | None = None, reduction="mean"):
    if not rows.all_in_unit_interval(x):
        raise RuntimeError(errors.message("binary_cross_entropy: all elements of input should be between 0 and 1"))
    if not rows.all_in_unit_interval(target):
        raise RuntimeError(errors.message("binary_cross_entropy: all elements of target should be between 0 and 1"))
    losses = rows.binary_cross_entropy(x, target)
    return _reduce_array(losses if weight is None else losses * weight, reduction)


_bce.shape(_loss_shape)


@_bce.grad("x")
def _(g, x, target, weight, reduction, x_shape):
    each = _each(g, reduction, x_shape)
    return (x - target) / clamp_min((1 - x) * x, 1e-12) * (each if weight is None else each * weight)


@_bce.grad("target")
def _(g, x, weight, reduction, x_shape):
    each = _each(g, reduction, x_shape)
    return (log1p(-x) - log(x)) * (each if weight is None else each * weight)


@full
def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """`-(target log x + (1 - target) log(1 - x))` for probabilities x; logarithms are limited to -100.

    Args:
        input: probabilities, any shape.
        target: probabilities, the same shape.
        weight: factor of each loss; broadcasts.
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none", "mean" or "sum".

    Raises:
        ValueError: shapes differ, or an unknown reduction.
        RuntimeError: a number outside [0, 1], or dtypes differ.
    """
    reduction = check_reduction("binary_cross_entropy", reduction, size_average, reduce)
    if input.array.shape != target.array.shape:
        text = errors.message(
            "binary_cross_entropy: input and target must have the same size",
            got=f"input {input.shape}, target {target.shape}",
        )
        raise ValueError(text)
    if input.array.dtype != target.array.dtype:
        got = f"input {input.dtype}, target {target.dtype}"
        raise RuntimeError(errors.message("binary_cross_entropy: input and target must have the same dtype", got=got))
    if weight is not None:
        weight = weight.expand(broadcast("binary_cross_entropy", weight.array.shape, input.array.shape))
    return _bce(input, target, weight, reduction)


@elementwise(method=False, inplace=False, nondiff=True, name="_bce_logits")
def _bce_logits_each(x, target):
    return e.maximum(-x, 0) + e.log1p(e.exp(-e.abs(x))) + (1 - target) * x


@elementwise(method=False, inplace=False, nondiff=True, name="_bce_logits_weighted")
def _bce_logits_weighted_each(x, target, pos_weight):
    return (e.maximum(-x, 0) + e.log1p(e.exp(-e.abs(x)))) * (1 + (pos_weight - 1) * target) + (1 - target) * x


@op(name="binary_cross_entropy_with_logits", node="BinaryCrossEntropyWithLogitsBackward0")
def _bce_logits(
    x: Array, target: Array, weight: Array | None = None, pos_weight: Array | None = None, reduction="mean"
):
    losses = _bce_logits_each(x, target) if pos_weight is None else _bce_logits_weighted_each(x, target, pos_weight)
    return _reduce_array(losses if weight is None else losses * weight, reduction)


_bce_logits.shape(_loss_shape)


@_bce_logits.grad("x")
def _(g, x, target, weight, pos_weight, reduction, x_shape):
    each = _each(g, reduction, x_shape)
    each = each if weight is None else each * weight
    if pos_weight is None:
        return (sigmoid(x) - target) * each
    positive = pos_weight * target
    return ((positive + 1 - target) * sigmoid(x) - positive) * each


@_bce_logits.grad("target")
def _(g, x, weight, pos_weight, reduction, x_shape):
    each = _each(g, reduction, x_shape)
    each = each if weight is None else each * weight
    if pos_weight is None:
        return -x * each
    softplus = log1p(exp(-abs(x)))
    return ((pos_weight - 1) * (softplus + clamp_min(-x, 0)) - x) * each


@full
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """`binary_cross_entropy` of `sigmoid(x)`, computed as `max(x, 0) - x target + log(1 + exp(-|x|))`, which cannot
    overflow.

    Args:
        input: logits x, any shape.
        target: probabilities, the same shape.
        weight: factor of each loss; broadcasts.
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none", "mean" or "sum".
        pos_weight: factor of the part with `target`; broadcasts, usually one number per class.

    Raises:
        ValueError: shapes differ, or an unknown reduction.

    >>> import tapegrad as torch
    >>> torch.nn.functional.binary_cross_entropy_with_logits(torch.zeros(2), torch.ones(2))
    tensor(0.6931)
    """
    reduction = check_reduction("binary_cross_entropy_with_logits", reduction, size_average, reduce)
    if input.array.shape != target.array.shape:
        text = errors.message(
            "binary_cross_entropy_with_logits: input and target must have the same size",
            got=f"input {input.shape}, target {target.shape}",
        )
        raise ValueError(text)
    input, target = same_dtype(input, target)
    return _bce_logits(input, target, weight, pos_weight, reduction)


# ---- likelihoods and divergence --------------------------------------------------------------------------------------


@full
def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """Kullback-Leibler divergence, elementwise: `target (log target - x)`.

    Args:
        input: log-probabilities x, any shape.
        target: probabilities, or log-probabilities with `log_target`; broadcasts.
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none", "sum", "batchmean" (the sum over the batch size: the divergence as it is defined) or "mean".
        log_target: whether the target is given as logarithms.

    Raises:
        ValueError: an unknown reduction.
    """
    if reduction == "batchmean":
        losses = kl_div(input, target, reduction="sum", log_target=log_target)
        return losses / input.shape[0] if input.dim() else losses
    reduction = check_reduction("kl_div", reduction, size_average, reduce)
    if reduction == "mean":
        text = "reduction='mean' also divides by the number of classes; 'batchmean' is the divergence as it is defined"
        warnings.warn(f"kl_div: {text}", stacklevel=2)
    if log_target:
        return reduced(target.exp() * (target - input), reduction)
    return reduced(xlogy(target, target) - target * input, reduction)


@full
def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: Any = None,
    eps: float = 1e-8,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """Negative log likelihood of counts: `exp(x) - target x`, without the terms that x does not change.

    Args:
        input: logarithm x of the rate, or the rate itself.
        target: counts, the same shape.
        log_input: whether x is a logarithm; if not, the loss is `x - target log(x + eps)`.
        full: add Stirling's approximation of `log(target!)` where the target is above 1.
        size_average: deprecated, see `reduction`.
        eps: keeps the logarithm of a rate finite.
        reduce: deprecated, see `reduction`.
        reduction: "none", "mean" or "sum".

    Raises:
        ValueError: an unknown reduction.
    """
    reduction = check_reduction("poisson_nll_loss", reduction, size_average, reduce)
    losses = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + 0.5 * (2 * math.pi * target).log()
        losses = losses + where(target <= 1, 0, stirling)
    return reduced(losses, reduction)


def gaussian_nll_loss(
    input: Tensor, target: Tensor, var: Tensor | float, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """Negative log likelihood of `target` under N(x, var): `(log var + (x - target)^2 / var) / 2`.

    Args:
        input: means x, any shape.
        target: the same shape.
        var: variances of the same shape, of one less dimension, with a last dimension of 1, or one number.
        full: add the constant `log(2 pi) / 2`.
        eps: smallest variance; no gradient goes through this limit.
        reduction: "none", "mean" or "sum".

    Raises:
        ValueError: a negative variance, a variance of another size, an unknown reduction.
    """
    if not isinstance(var, Tensor):
        if var < 0:
            raise ValueError(errors.message("gaussian_nll_loss: var has negative entries", got=var))
        var = input.new_full(input.shape, var)
    if var.shape != input.shape:
        if input.shape[:-1] == var.shape:
            var = var.unsqueeze(-1)
        elif not (input.shape[:-1] == var.shape[:-1] and var.shape[-1:] == (1,)):
            text = errors.message(
                "gaussian_nll_loss: var is of incorrect size", got=f"{var.shape} for an input of {input.shape}"
            )
            raise ValueError(text)
    check_reduction("gaussian_nll_loss", reduction)
    if (var < 0).any():
        raise ValueError(errors.message("gaussian_nll_loss: var has negative entries"))
    limit = where(var.detach() < eps, eps - var.detach(), 0)
    var = var + limit  # the limited value, with the gradient of the given one
    losses = 0.5 * (var.log() + (input - target) ** 2 / var)
    if full:
        losses = losses + 0.5 * math.log(2 * math.pi)
    return reduced(losses, reduction)


@elementwise(method=False, inplace=False, nondiff=True, name="_soft_margin")
def _soft_margin_each(x, target):
    z = x * target
    return e.maximum(-z, 0) + e.log1p(e.exp(-e.abs(z)))


@op(name="soft_margin_loss", node="SoftMarginLossBackward0")
def _soft_margin(x: Array, target: Array, reduction="mean"):
    return _reduce_array(_soft_margin_each(x, target), reduction).astype(x.dtype, copy=False)


_soft_margin.shape(_loss_shape)


@_soft_margin.grad("x")
def _(g, x, target, reduction, x_shape):
    return sigmoid(-x * target) * -target * _each(g, reduction, x_shape)


@full
def soft_margin_loss(
    input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Tensor:
    """`log(1 + exp(-target x))` for targets 1 and -1.

    Args:
        input: any shape.
        target: 1 or -1; broadcasts.
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: "none", "mean" or "sum".

    Raises:
        ValueError: an unknown reduction.
    """
    reduction = check_reduction("soft_margin_loss", reduction, size_average, reduce)
    if input.array.shape != target.array.shape:
        shape = broadcast("soft_margin_loss", input.array.shape, target.array.shape)
        input, target = input.expand(shape), target.expand(shape)
    return _soft_margin(input, target, reduction)
