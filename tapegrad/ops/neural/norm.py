"""Normalisation: layer, group, batch, instance and root-mean-square norm, and local response normalisation.

All but the last are one operation, `(x - mean) * rstd * weight + bias`; they differ in what a row is, the set of axes
that mean and variance run over. Mean and variance of the input are further results of it, which its derivative uses;
those that are given, running ones, are constants.

References: Ba et al. 2016 (layer), Wu & He 2018 (group), Ioffe & Szegedy 2015 (batch), Ulyanov et al. 2016 (instance),
Zhang & Sennrich 2019 (rms), Krizhevsky et al. 2012 (local response).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ... import errors
from ...backends.cpu import norms
from ...core.op import Array, op
from ...core.tensor import Tensor
from ...dtypes import float64
from ..shape.joining import cat

__all__ = ["layer_norm", "group_norm", "rms_norm"]  # PyTorch has the others at the top with other signatures

# ---- the operation ---------------------------------------------------------------------------------------------------

_NODES = {
    "layer": "NativeLayerNormBackward0",
    "group": "NativeGroupNormBackward0",
    "batch": "NativeBatchNormBackward0",
    "rms": "MulBackward0",
}


@op(name="normalize_rows", node=lambda node: _NODES[node.attrs[0][0]], returns=("out", "mean", "var", "rstd"))
def _normalize(
    x: Array,
    weight: Array | None,
    bias: Array | None,
    given_mean: Array | None,
    given_var: Array | None,
    kind,
    axes,
    wshape,
    eps,
):
    given = None if given_mean is None else (given_mean, given_var)
    out, (mean, var, rstd) = norms.normalize(x, weight, bias, axes, wshape, eps, kind != "rms", given)
    return out, rstd if mean is None else mean, rstd if var is None else var, rstd


_normalize.shape(lambda x, *_: x)


@_normalize.grad("x", "weight", "bias")
def _(g, x, weight, mean, rstd, given_mean_shape, kind, axes, wshape, eps, needs, weight_shape, bias_shape):
    frozen = given_mean_shape is not None
    mean = None if kind == "rms" else mean
    if g.__class__ is Array:
        dx, dw, db = norms.normalize_backward(g, x, weight, mean, rstd, axes, wshape, frozen, needs)
    else:
        if not frozen:
            mean, rstd = _stats_in_operations(x, mean is not None, axes, eps)
        dx, dw, db = _backward_in_operations(g, x, weight, mean, rstd, axes, wshape, frozen, needs)
    return dx, dw if dw is None else dw.reshape(weight_shape), db if db is None else db.reshape(bias_shape)


def _stats_in_operations(x: Tensor, centred: bool, axes: tuple, eps: float) -> tuple[Tensor | None, Tensor]:
    """(mean, 1 / standard deviation) as recorded operations."""
    mean = x.mean(axes, True) if centred else None
    deviation = x if mean is None else x - mean
    return mean, ((deviation * deviation).mean(axes, True) + eps).rsqrt()


def _backward_in_operations(
    g: Tensor,
    x: Tensor,
    weight: Tensor | None,
    mean: Tensor | None,
    rstd: Tensor,
    axes: tuple,
    wshape: tuple,
    frozen: bool,
    needs: tuple,
) -> tuple:
    """What `norms.normalize_backward` computes, as recorded operations, so that it can be differentiated again."""
    over = tuple(i for i, n in enumerate(wshape) if n == 1)
    normed = (x if mean is None else x - mean) * rstd
    dx = dw = db = None
    if needs[0]:
        dx = g if weight is None else g * weight.reshape(wshape)
        if not frozen:
            shared = normed * (dx * normed).mean(axes, True)
            dx = dx - (shared if mean is None else shared + dx.mean(axes, True))
        dx = dx * rstd
    if needs[1]:
        dw = g * normed
        dw = dw.sum(over, True) if over else dw
    if needs[2]:
        db = g.sum(over, True) if over else g
    return dx, dw, db


# ---- layer and group -------------------------------------------------------------------------------------------------


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """`(x - mean) / sqrt(var + eps) * weight + bias` over the last dimensions.

    Args:
        input: (*, *normalized_shape).
        normalized_shape: the sizes of the dimensions that one mean and one variance are taken over.
        weight: of shape `normalized_shape`.
        bias: of shape `normalized_shape`.
        eps: added to the variance.

    Raises:
        TypeError: `normalized_shape` is no sequence of integers.
        RuntimeError: shapes do not fit.

    >>> import tapegrad as torch
    >>> torch.layer_norm(torch.tensor([1.0, 3.0]), (2,))
    tensor([-1.0000,  1.0000])
    """
    shape = _normalized("layer_norm", input, normalized_shape, weight, bias)
    lead = input.dim() - len(shape)
    axes = tuple(range(lead, input.dim()))
    return _normalize(input, weight, bias, None, None, "layer", axes, (1,) * lead + shape, eps)[0]


def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """`x / sqrt(mean(x^2) + eps) * weight` over the last dimensions.

    Args:
        input: (*, *normalized_shape).
        normalized_shape: the sizes of the dimensions that one mean is taken over.
        weight: of shape `normalized_shape`.
        eps: added to the mean; the dtype's machine epsilon if None.

    Raises:
        TypeError: `normalized_shape` is no sequence of integers.
        RuntimeError: shapes do not fit.
    """
    shape = _normalized("rms_norm", input, normalized_shape, weight, None)
    lead = input.dim() - len(shape)
    axes = tuple(range(lead, input.dim()))
    if eps is None:
        eps = float(np.finfo(np.float64 if input.dtype is float64 else np.float32).eps)
    return _normalize(input, weight, None, None, None, "rms", axes, (1,) * lead + shape, eps)[0]


def _normalized(
    where: str, x: Tensor, shape: Sequence[int], weight: Tensor | None, bias: Tensor | None
) -> tuple[int, ...]:
    """The normalised shape as a tuple, checked."""
    if isinstance(shape, int) or not all(isinstance(n, (int, np.integer)) for n in shape):
        raise TypeError(errors.message(f"{where}: normalized_shape must be a tuple of ints", got=repr(shape)))
    shape = tuple(shape)
    if not shape:
        raise RuntimeError(errors.message(f"{where}: normalized_shape must have at least one dimension", got=shape))
    for name, t in (("weight", weight), ("bias", bias)):
        if t is not None and t.array.shape != shape:
            raise RuntimeError(
                errors.message(f"{where}: {name} must have the normalized shape", got=tuple(t.shape), expected=shape)
            )
    if x.array.shape[-len(shape) :] != shape:
        expected = f"(*, {', '.join(map(str, shape))})"
        raise RuntimeError(
            errors.message(
                f"{where}: the input does not end in the normalized shape", got=tuple(x.shape), expected=expected
            )
        )
    if x.array.dtype.kind in "biu":
        raise NotImplementedError(
            errors.message(f"{where}: not implemented for {x.dtype}", fix="convert with .float()")
        )
    return shape


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Normalise groups of channels: `(x - mean) / sqrt(var + eps) * weight + bias`, with a mean and variance per sample
    and group.

    Args:
        input: (N, C, *).
        num_groups: divides C.
        weight: (C,).
        bias: (C,).
        eps: added to the variance.

    Raises:
        RuntimeError: shapes do not fit.
    """
    if input.dim() < 2:
        raise RuntimeError(errors.message("group_norm: expected at least 2 dimensions", got=tuple(input.shape)))
    n, c, *rest = input.shape
    if num_groups <= 0 or c % num_groups:
        got = f"{tuple(input.shape)} and {num_groups} groups"
        raise RuntimeError(errors.message("group_norm: the channels must be divisible by the groups", got=got))
    _check_channels("group_norm", c, weight=weight, bias=bias)
    grouped = input.reshape(n, num_groups, c // num_groups, *rest)  # (N, G, C / G, *)
    wshape = (1, num_groups, c // num_groups, *(1,) * len(rest))
    axes = tuple(range(2, grouped.dim()))
    return _normalize(grouped, weight, bias, None, None, "group", axes, wshape, eps)[0].reshape(input.shape)


# ---- batch and instance ----------------------------------------------------------------------------------------------


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise channels over the batch: `(x - mean) / sqrt(var + eps) * weight + bias`.

    Args:
        input: (N, C, *).
        running_mean: (C,); used if not training, else updated by `r = (1 - momentum) r + momentum mean`.
        running_var: (C,); the same with the unbiased variance.
        weight: (C,).
        bias: (C,).
        training: take mean and variance from the batch.
        momentum: the part of the new value in running statistics.
        eps: added to the variance.

    Raises:
        ValueError: training on one value per channel.
        RuntimeError: shapes do not fit, or running statistics are missing.
    """
    if input.numel() == 0:
        return _of_nothing(input, weight, bias)
    if input.dim() < 2:
        raise IndexError(errors.message("batch_norm: expected at least 2 dimensions", got=tuple(input.shape)))
    channels, count = input.shape[1], input.numel() // max(input.shape[1], 1)
    if training and count == 1:
        what = "batch_norm: Expected more than 1 value per channel when training"
        raise ValueError(errors.message(what, got=tuple(input.shape)))
    _check_channels(
        "batch_norm", channels, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias
    )
    axes = (0, *range(2, input.dim()))
    wshape = (1, channels, *(1,) * (input.dim() - 2))
    if not training:
        if running_mean is None or running_var is None:
            missing = "running_mean" if running_mean is None else "running_var"
            raise RuntimeError(errors.message(f"batch_norm: {missing} must be defined in evaluation mode"))
        return _normalize(input, weight, bias, running_mean, running_var, "batch", axes, wshape, eps)[0]
    if input.array.dtype.kind in "biu":
        raise NotImplementedError(
            errors.message(f"batch_norm: not implemented for {input.dtype}", fix="convert with .float()")
        )
    out, mean, var, _ = _normalize(input, weight, bias, None, None, "batch", axes, wshape, eps)
    _update(running_mean, mean.array, momentum)
    _update(running_var, var.array, momentum * (count / max(count - 1, 1)), momentum)
    return out


def _of_nothing(input: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """The batch norm of no elements: no elements, from all that was given, so that gradients are zeros."""
    out = input.clone()
    out = out if weight is None else out * weight[0]
    return out if bias is None else out + bias[0]


def _update(running: Tensor | None, found: Array, part: float, momentum: float | None = None) -> None:
    """Move a running statistic towards what the batch shows: `(1 - momentum) * running + part * found`."""
    if running is not None:
        keep = 1 - (part if momentum is None else momentum)
        array = running.array
        array[...] = keep * array + part * found.reshape(array.shape)
        running.bump()


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise every channel of every sample: `batch_norm` of a batch of one, for each sample.

    Args:
        input: (N, C, *), with at least one dimension after the channels.
        running_mean: (C,); used without input statistics, else updated with the mean over the samples.
        running_var: (C,); the same with the unbiased variance.
        weight: (C,).
        bias: (C,).
        use_input_stats: take mean and variance from the input.
        momentum: the part of the new value in running statistics.
        eps: added to the variance.

    Raises:
        ValueError: one value per sample and channel.
        RuntimeError: shapes do not fit, or running statistics are missing.
    """
    if not use_input_stats and (running_mean is None or running_var is None):
        raise RuntimeError(errors.message("instance_norm: running statistics are needed when use_input_stats is false"))
    c, *rest = input.shape[1:]
    if use_input_stats and math.prod(rest) == 1:
        what = "instance_norm: Expected more than 1 spatial element when training"
        raise ValueError(errors.message(what, got=tuple(input.shape)))
    _check_channels("instance_norm", c, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    axes, wshape = tuple(range(2, input.dim())), (1, c, *(1,) * len(rest))
    if not use_input_stats:
        return _normalize(input, weight, bias, running_mean, running_var, "batch", axes, wshape, eps)[0]
    out, mean, var, _ = _normalize(input, weight, bias, None, None, "batch", axes, wshape, eps)
    count = math.prod(rest)
    if running_mean is not None:
        _update(running_mean, mean.array.mean(0), momentum)  # of (N, C, 1, ...)
        _update(running_var, var.array.mean(0), momentum * (count / max(count - 1, 1)), momentum)
    return out


def _check_channels(where: str, channels: int, **tensors: Tensor | None) -> None:
    for name, t in tensors.items():
        if t is not None and t.array.shape != (channels,):
            what = f"{where}: {name} should contain {channels} elements, one for each channel"
            raise RuntimeError(errors.message(what, got=tuple(t.shape)))


# ---- neighbouring channels -------------------------------------------------------------------------------------------


def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """`x / (k + alpha * mean of x^2 over neighbouring channels)^beta`.

    Args:
        input: (N, C, *), with at least one dimension after the channels.
        size: how many channels are neighbours; missing ones at the borders count as zero.
        alpha: factor of the mean.
        beta: exponent.
        k: constant added to it.

    Raises:
        ValueError: fewer than three dimensions.
    """
    if input.dim() < 3:
        raise ValueError(errors.message("local_response_norm: expected at least 3 dimensions", got=tuple(input.shape)))
    if input.numel() == 0:
        return input
    square = input * input
    n, c, *rest = input.shape
    padded = cat([square.new_zeros((n, size // 2, *rest)), square, square.new_zeros((n, (size - 1) // 2, *rest))], 1)
    total = padded.narrow(1, 0, c)
    for shift in range(1, size):
        total = total + padded.narrow(1, shift, c)
    mean = total / size if input.is_floating_point() else total // size
    return input / (mean * alpha + k) ** beta
