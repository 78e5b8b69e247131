"""Losses over classes: negative log likelihood and cross entropy, a row operation each.

The classes are at dimension 1 of `(N, C, d1, ...)`, or are the only dimension of `(C,)`; the target has the same shape
without them. Cross entropy is fused: its derivative is `softmax(x) - onehot(target)`, made in one pass.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import errors
from ...backends.cpu import rows
from ...core.op import Array, op
from ...core.tensor import Tensor
from ..casting import full
from ..pointwise.compare import where
from ..reduction.reduce import sum
from ..shape.movement import reshape
from .loss import check_reduction
from .softmax import _softmax, log_softmax


def _node_name(node: Any) -> str:
    """PyTorch's name, which tells how many dimensions the input has (the last argument)."""
    return "NllLoss2DBackward0" if node.attrs[0][-1] > 2 else "NllLossBackward0"


# ---- negative log likelihood -----------------------------------------------------------------------------------------


# `w` is the weight of every row: that of its class, 0 where the target is ignored, None for all 1.


@op(name="nll_loss", node=_node_name, linked=True)
def _nll_loss(x: Array, target: Array, w: Array | None, reduction, ndim):
    return rows.nll(x, target, w, reduction)


_nll_loss.shape(lambda x, target, w, reduction, ndim: target if reduction == "none" else ())


@_nll_loss.grad("x")
def _(g, target, w, reduction, ndim, x_shape):
    return _nll_loss_backward(g, target, w, x_shape, reduction, ndim)


@op(name="nll_loss_backward")
def _nll_loss_backward(dy: Array, target: Array, w: Array | None, shape, reduction, ndim):
    return rows.nll_backward(dy, target, w, shape, reduction)


_nll_loss_backward.shape(lambda dy, target, w, shape, reduction, ndim: tuple(shape))


@_nll_loss_backward.grad("dy")  # the loss is linear in x: the adjoint of its adjoint is the loss itself
def _(g, target, w, reduction, ndim):
    return _nll_loss(g, target, w, reduction, ndim)


@op(name="_row_weights", nondiff=True, nout=2)
def _row_weights(target: Array, weight: Array | None, like: Array, ignore_index):
    safe, w = rows.row_weights(target, weight, ignore_index, rows.wide(like[:0]).dtype)
    return safe, np.ones(safe.shape, like.dtype) if w is None else w


_row_weights.shape(lambda target, *_: target)


def _weighted_rows(
    target: Tensor, weight: Tensor | None, like: Tensor, ignore_index: int
) -> tuple[Tensor, Tensor | None]:
    """(target without ignored numbers, weight of every row or None)."""
    array = target.array
    if weight is None and (ignore_index < 0 and (array.size == 0 or array.min() >= 0)):
        return target, None
    return _row_weights(target, weight, like, ignore_index)


@full
def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """Negative log likelihood: `-weight[target] x[target]` for log-probabilities x.

    Args:
        input: log-probabilities, (N, C), (N, C, d1, ...) or (C,).
        target: class numbers, (N,), (N, d1, ...) or ().
        weight: factor of each class, (C,); the mean is the weighted one.
        size_average: deprecated, see `reduction`.
        ignore_index: targets of this number count nothing.
        reduce: deprecated, see `reduction`.
        reduction: "none", "mean" or "sum".

    Raises:
        ValueError: batch sizes differ, or an unknown reduction.
        RuntimeError: other sizes or dtypes do not fit.
        IndexError: a target that is no class.

    >>> import tapegrad as torch
    >>> torch.nn.functional.nll_loss(torch.tensor([[-1.0, -2.0]]), torch.tensor([1]))
    tensor(2.)
    """
    reduction = check_reduction("nll_loss", reduction, size_average, reduce)
    target = _check_classes("nll_loss", input, target, weight)
    _check_values("nll_loss", input, target, ignore_index)
    if input.array.dtype.kind in "biu":
        raise NotImplementedError(
            errors.message(f"nll_loss: not implemented for {input.dtype}", fix="convert with .float()")
        )
    target, w = _weighted_rows(target, weight, input, ignore_index)
    return _nll_loss(input, target, w, reduction, input.dim())


# ---- cross entropy ---------------------------------------------------------------------------------------------------


# `parts`: what the rows of the softmax are made again from, and the factor of each in the loss (`rows.cross_entropy`).


def _cross_entropy_name(node: Any) -> str:
    """PyTorch composes the loss with smoothing."""
    return "AddBackward0" if node.attrs[0][2] > 0 else _node_name(node)


@op(name="cross_entropy", node=_cross_entropy_name, returns=("out", "parts"), hidden=1)
def _cross_entropy(x: Array, target: Array, weight: Array | None, ignore_index, reduction, smoothing, ndim):
    found = rows.cross_entropy(x, target, weight, ignore_index, reduction, smoothing)
    if found is None:
        raise _out_of_bounds("cross_entropy", x, target, ignore_index)
    return found


_cross_entropy.shape(lambda x, target, *rest: target if "none" in rest else ())


@_cross_entropy.grad("x")
def _(g, x, target, parts, smoothing, ndim):
    return _cross_entropy_backward(g, x, target, parts, smoothing, ndim)


@op(name="cross_entropy_backward")
def _cross_entropy_backward(dy: Array, x: Array, target: Array, parts: Array, smoothing, ndim):
    return rows.cross_entropy_backward(dy, x, target, parts, smoothing)


_cross_entropy_backward.shape(lambda dy, x, *_: x)


# dx = (softmax(x) - smoothing / C - (1 - smoothing) onehot(target)) * parts[2] * dy


@_cross_entropy_backward.grad("dy")
def _(g, x, target, parts, smoothing, ndim, dy_shape, x_shape):
    dim = 0 if ndim == 1 else 1
    hit = (1 - smoothing) * g - sum(g * (_softmax(x, dim) - smoothing / x_shape[dim]), dim, True)
    safe = where(parts[2] == 0, 0, target)  # ignored ones are no classes
    return _nll_loss(hit, safe, parts[2], "none" if dy_shape else "sum", ndim)


@_cross_entropy_backward.grad("x")
def _(g, dy, x, parts, ndim, x_shape):
    dim = 0 if ndim == 1 else 1
    p = _softmax(x, dim)
    factor = reshape(parts[2] * dy, (*x_shape[:dim], 1, *x_shape[dim + 1 :]))
    return factor * p * (g - sum(g * p, dim, True))


@full
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross entropy of `softmax(x)` and the target: `log(sum_j exp(x_j)) - x[target]` for a class number.

    Args:
        input: logits x, (N, C), (N, C, d1, ...) or (C,).
        target: class numbers, (N,), (N, d1, ...) or (), or probabilities of the shape of the input.
        weight: factor of each class, (C,); with class numbers the mean is the weighted one.
        size_average: deprecated, see `reduction`.
        ignore_index: targets of this class number count nothing.
        reduce: deprecated, see `reduction`.
        reduction: "none", "mean" or "sum".
        label_smoothing: the part of the target's probability that is spread over all classes (Szegedy et al. 2016).

    Raises:
        ValueError: batch sizes differ, or an unknown reduction.
        RuntimeError: other sizes, dtypes or a smoothing that do not fit.
        IndexError: a target that is no class.

    >>> import tapegrad as torch
    >>> torch.nn.functional.cross_entropy(torch.zeros(3, 10), torch.tensor([1, 2, 3]))
    tensor(2.3026)
    """
    reduction = check_reduction("cross_entropy", reduction, size_average, reduce)
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(
            errors.message("cross_entropy: label_smoothing must be between 0.0 and 1.0", got=label_smoothing)
        )
    if input.array.dtype.kind in "biu":
        raise NotImplementedError(
            errors.message(f"cross_entropy: not implemented for {input.dtype}", fix="convert with .float()")
        )
    if input.array.shape == target.array.shape and input.dim():
        return _with_probabilities(input, target, weight, ignore_index, reduction, label_smoothing)
    target = _check_classes("cross_entropy", input, target, weight)
    if label_smoothing > 0.0 and weight is not None:
        return _with_smoothing(input, target, weight, ignore_index, reduction, label_smoothing)
    return _cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing, input.dim())


def _with_probabilities(
    input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: str, smoothing: float
) -> Tensor:
    if target.array.dtype.kind in "biu":
        text = errors.message("cross_entropy: class probabilities must be floating point", got=target.dtype)
        raise RuntimeError(text)
    if ignore_index >= 0:
        raise RuntimeError(
            errors.message("cross_entropy: ignore_index needs class numbers as target", got=ignore_index)
        )
    dim = rows.class_axis(input.array)
    classes = input.shape[dim]
    _check_weight("cross_entropy", weight, classes)
    if smoothing > 0.0:
        target = target * (1 - smoothing) + smoothing / classes
    losses = log_softmax(input, dim) * target
    if weight is not None:
        losses = losses * _along_classes(weight, input)
    if reduction == "none":
        return -losses.sum(dim)
    total = -losses.sum()
    return total if reduction == "sum" else total / max(1, input.numel() // classes)


def _with_smoothing(
    input: Tensor, target: Tensor, weight: Tensor, ignore_index: int, reduction: str, smoothing: float
) -> Tensor:
    """(1 - s) * the loss of the target + s * the mean loss over all classes, each loss weighted by its class."""
    _check_values("cross_entropy", input, target, ignore_index)
    dim = rows.class_axis(input.array)
    logs = log_softmax(input, dim)
    safe, w = _row_weights(target, weight, input, ignore_index)
    hit = _nll_loss(logs, safe, w, reduction, input.dim())
    spread = where(target == ignore_index, 0, -(logs * _along_classes(weight, input)).sum(dim))
    if reduction == "sum":
        spread = spread.sum()
    elif reduction == "mean":
        spread = spread.sum() / w.sum()
    return hit * (1 - smoothing) + spread * (smoothing / input.shape[dim])


# ---- checks ----------------------------------------------------------------------------------------------------------


def _along_classes(weight: Tensor, input: Tensor) -> Tensor:
    return weight if input.dim() == 1 else weight.reshape(1, -1, *(1,) * (input.dim() - 2))


def _check_weight(where: str, weight: Tensor | None, classes: int) -> None:
    if weight is not None and weight.array.shape != (classes,):
        what = f"{where}: weight must have one number for each of the {classes} classes"
        raise RuntimeError(errors.message(what, got=f"shape {tuple(weight.shape)}"))


def _check_classes(where: str, input: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
    """The target, refused if its shape or dtype does not fit the input."""
    x, t = input.array, target.array
    if x.ndim == 0:
        raise ValueError(errors.message(f"{where}: expected 1 or more dimensions", got="a 0-d input"))
    classes = x.shape[rows.class_axis(x)]
    if x.ndim == 1:
        if t.ndim > 1 or t.size != 1:
            raise ValueError(
                errors.message(f"{where}: the target of a 1-d input is one class number", got=tuple(t.shape))
            )
    elif t.ndim == 0 or x.shape[0] != t.shape[0]:
        text = errors.message(
            f"{where}: the batch sizes differ", got=f"input {tuple(x.shape)}, target {tuple(t.shape)}"
        )
        raise ValueError(text)
    elif x.shape[2:] != t.shape[1:]:
        expected = (x.shape[0], *x.shape[2:])
        raise RuntimeError(
            errors.message(f"{where}: the target does not fit the input", got=tuple(t.shape), expected=expected)
        )
    if t.dtype not in (np.int64, np.uint8):
        got, expected = target.dtype, "torch.int64 or torch.uint8"
        raise RuntimeError(
            errors.message(
                f"{where}: class numbers have the wrong dtype", got=got, expected=expected, fix="target.long()"
            )
        )
    _check_weight(where, weight, classes)
    return target.reshape(()) if x.ndim == 1 else target


def _check_values(where: str, input: Tensor, target: Tensor, ignore_index: int) -> None:
    """Refuse class numbers that are none."""
    if rows.wrong_class(target.array, input.array.shape[rows.class_axis(input.array)], ignore_index) is not None:
        raise _out_of_bounds(where, input.array, target.array, ignore_index)


def _out_of_bounds(where: str, x: Array, target: Array, ignore_index: int) -> IndexError:
    classes = x.shape[rows.class_axis(x)]
    wrong = rows.wrong_class(target, classes, ignore_index)
    return IndexError(errors.message(f"{where}: Target {wrong} is out of bounds", expected=f"0 to {classes - 1}"))
