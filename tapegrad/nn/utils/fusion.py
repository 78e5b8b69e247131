"""A convolution or linear layer and the batch norm after it as one layer, for evaluation.

With r = weight_bn / sqrt(var + eps): weight' = weight * r for each output channel, bias' = (bias - mean) * r + bias_bn.
"""

from __future__ import annotations

import copy
from typing import Any, TypeVar

from ...core.tensor import Tensor
from ...errors import message
from ...ops.creation.filled import ones_like, zeros_like
from ...ops.pointwise.functions import sqrt
from ..module import Module
from ..parameter import Parameter

__all__ = ["fuse_conv_bn_eval", "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights"]

T = TypeVar("T", bound=Module)


def fuse_conv_bn_eval(conv: T, bn: Any, transpose: bool = False) -> T:
    """A convolution that computes what `conv` and then `bn` compute in evaluation mode.

    Args:
        conv: the convolution, in evaluation mode.
        bn: the batch norm of its output, in evaluation mode, with running statistics.
        transpose: whether it is a transposed convolution.

    Raises:
        AssertionError: one of them is in training mode, or `bn` has no running statistics.

    >>> import tapegrad as torch
    >>> conv, bn, x = torch.nn.Conv2d(1, 2, 3).eval(), torch.nn.BatchNorm2d(2).eval(), torch.rand(1, 1, 4, 4)
    >>> torch.allclose(torch.nn.utils.fuse_conv_bn_eval(conv, bn)(x), bn(conv(x)), atol=1e-6)
    True
    """
    _check("fuse_conv_bn_eval", conv, bn)
    fused: Any = copy.deepcopy(conv)
    fused.weight, fused.bias = fuse_conv_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias, transpose
    )
    return fused


def fuse_conv_bn_weights(
    conv_w: Any,
    conv_b: Any,
    bn_rm: Any,
    bn_rv: Any,
    bn_eps: float,
    bn_w: Any,
    bn_b: Any,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:
    """Weight and bias of the convolution that stands for a convolution and a batch norm.

    Args:
        conv_w: weight of the convolution, (out, in, ...); (in, out, ...) with `transpose`.
        conv_b: its bias (out), or None.
        bn_rm, bn_rv: running mean and variance (out).
        bn_eps: added to the variance.
        bn_w, bn_b: weight and bias of the batch norm (out), or None.
        transpose: whether the convolution is a transposed one.
    """
    conv_b = zeros_like(bn_rm) if conv_b is None else conv_b
    bn_w = ones_like(bn_rm) if bn_w is None else bn_w
    bn_b = zeros_like(bn_rm) if bn_b is None else bn_b
    ratio = bn_w / sqrt(bn_rv + bn_eps)
    shape = [1, -1] if transpose else [-1, 1]
    weight = conv_w * ratio.reshape(shape + [1] * (conv_w.ndim - 2)).to(conv_w.dtype)
    bias = ((conv_b - bn_rm) * ratio + bn_b).to(conv_b.dtype)
    return _parameter(weight, conv_w), _parameter(bias, conv_b)


def fuse_linear_bn_eval(linear: T, bn: Any) -> T:
    """A linear layer that computes what `linear` and then `bn` compute in evaluation mode.

    Args:
        linear: the layer, in evaluation mode.
        bn: the batch norm of its output, in evaluation mode: of as many features, or of one.

    Raises:
        AssertionError: one of them is in training mode, or the numbers of features do not fit.

    >>> import tapegrad as torch
    >>> linear, bn, x = torch.nn.Linear(3, 2).eval(), torch.nn.BatchNorm1d(2).eval(), torch.rand(4, 3)
    >>> torch.allclose(torch.nn.utils.fuse_linear_bn_eval(linear, bn)(x), bn(linear(x)), atol=1e-6)
    True
    """
    _check("fuse_linear_bn_eval", linear, bn)
    fused: Any = copy.deepcopy(linear)
    if bn.num_features not in (1, fused.out_features):
        what = "fuse_linear_bn_eval: the batch norm has another number of features than the linear layer gives"
        raise AssertionError(message(what, got=bn.num_features, expected=f"{fused.out_features}, or 1"))
    fused.weight, fused.bias = fuse_linear_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    )
    return fused


def fuse_linear_bn_weights(
    linear_w: Any, linear_b: Any, bn_rm: Any, bn_rv: Any, bn_eps: float, bn_w: Any, bn_b: Any
) -> tuple[Parameter, Parameter]:
    """Weight and bias of the linear layer that stands for a linear layer and a batch norm.

    Args:
        linear_w: weight of the layer, (out, in).
        linear_b: its bias (out), or None.
        bn_rm, bn_rv: running mean and variance (out).
        bn_eps: added to the variance.
        bn_w, bn_b: weight and bias of the batch norm (out).
    """
    linear_b = zeros_like(bn_rm) if linear_b is None else linear_b
    ratio = bn_w / sqrt(bn_rv + bn_eps)
    weight = linear_w * ratio.unsqueeze(-1).to(linear_w.dtype)
    bias = ((linear_b - bn_rm) * ratio + bn_b).to(linear_b.dtype)
    return _parameter(weight, linear_w), _parameter(bias, linear_b)


def _check(name: str, layer: Module, bn: Any) -> None:
    if layer.training or bn.training:
        raise AssertionError(message(f"{name}: both layers must be in evaluation mode", fix="call .eval() on them"))
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError(message(f"{name}: the batch norm has no running statistics"))


def _parameter(value: Tensor, like: Tensor) -> Parameter:
    return Parameter(value.detach(), like.requires_grad)
