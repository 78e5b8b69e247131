"""`nn.functional`: what the layers compute, as functions.

Most names are operations of `ops` as they are; the functions below adapt signatures (`inplace=`, implied dimensions) or
are short compositions.
"""

from __future__ import annotations

import warnings
from typing import Any

from .. import errors
from ..core.tensor import Tensor
from ..dtypes import int64 as _int64
from ..ops.creation.filled import zeros_like
from ..ops.indexing.bags import embedding_bag
from ..ops.indexing.embedding import embedding
from ..ops.linalg.distance import pdist
from ..ops.linalg.matmul import linear
from ..ops.neural import activation as _activation
from ..ops.neural import softmax as _softmax
from ..ops.neural.activation import celu_, gelu, glu, hardshrink, logsigmoid, prelu, relu_, rrelu_, selu_, threshold_
from ..ops.neural.adaptive import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    max_unpool1d,
    max_unpool2d,
    max_unpool3d,
)
from ..ops.neural.attention import scaled_dot_product_attention
from ..ops.neural.classes import cross_entropy, nll_loss
from ..ops.neural.conv import conv1d, conv2d, conv3d, conv_transpose1d, conv_transpose2d, conv_transpose3d
from ..ops.neural.ctc import ctc_loss
from ..ops.neural.dropout import alpha_dropout, dropout, dropout1d, dropout2d, dropout3d, feature_alpha_dropout
from ..ops.neural.fractional import fractional_max_pool2d, fractional_max_pool3d
from ..ops.neural.grid import affine_grid, grid_sample
from ..ops.neural.indexed_pools import (
    adaptive_max_pool1d_with_indices,
    adaptive_max_pool2d_with_indices,
    adaptive_max_pool3d_with_indices,
    fractional_max_pool2d_with_indices,
    fractional_max_pool3d_with_indices,
    max_pool1d_with_indices,
    max_pool2d_with_indices,
    max_pool3d_with_indices,
)
from ..ops.neural.interpolate import interpolate, upsample, upsample_bilinear, upsample_nearest
from ..ops.neural.linear_cross_entropy import linear_cross_entropy
from ..ops.neural.loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    gaussian_nll_loss,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    poisson_nll_loss,
    smooth_l1_loss,
    soft_margin_loss,
)
from ..ops.neural.margin import (
    cosine_embedding_loss,
    cosine_similarity,
    hinge_embedding_loss,
    margin_ranking_loss,
    multi_margin_loss,
    multilabel_margin_loss,
    multilabel_soft_margin_loss,
    pairwise_distance,
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
)
from ..ops.neural.multihead import multi_head_attention_forward
from ..ops.neural.norm import batch_norm, group_norm, instance_norm, layer_norm, local_response_norm, rms_norm
from ..ops.neural.pool import (
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    lp_pool1d,
    lp_pool2d,
    lp_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)
from ..ops.neural.toplevel import bilinear, conv_tbc
from ..ops.random.draws import gumbel_noise
from ..ops.shape.columns import fold, unfold
from ..ops.shape.padding import pad
from ..ops.shape.shuffle import channel_shuffle, native_channel_shuffle, pixel_shuffle, pixel_unshuffle

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool1d_with_indices",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_with_indices",
    "adaptive_max_pool3d",
    "adaptive_max_pool3d_with_indices",
    "affine_grid",
    "alpha_dropout",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "bilinear",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "celu_",
    "channel_shuffle",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_tbc",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cross_entropy",
    "ctc_loss",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "elu",
    "elu_",
    "embedding",
    "embedding_bag",
    "feature_alpha_dropout",
    "fold",
    "fractional_max_pool2d",
    "fractional_max_pool2d_with_indices",
    "fractional_max_pool3d",
    "fractional_max_pool3d_with_indices",
    "gaussian_nll_loss",
    "gelu",
    "glu",
    "grid_sample",
    "group_norm",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hardtanh_",
    "hinge_embedding_loss",
    "huber_loss",
    "instance_norm",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "leaky_relu_",
    "linear",
    "linear_cross_entropy",
    "local_response_norm",
    "log_softmax",
    "logsigmoid",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "margin_ranking_loss",
    "max_pool1d",
    "max_pool1d_with_indices",
    "max_pool2d",
    "max_pool2d_with_indices",
    "max_pool3d",
    "max_pool3d_with_indices",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "mish",
    "mse_loss",
    "multi_head_attention_forward",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "native_channel_shuffle",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "pairwise_distance",
    "pdist",
    "pixel_shuffle",
    "pixel_unshuffle",
    "poisson_nll_loss",
    "prelu",
    "relu",
    "relu6",
    "relu_",
    "rms_norm",
    "rrelu",
    "rrelu_",
    "scaled_dot_product_attention",
    "selu",
    "selu_",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "soft_margin_loss",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "threshold_",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
    "unfold",
    "upsample",
    "upsample_bilinear",
    "upsample_nearest",
]

# ---- activations -----------------------------------------------------------------------------------------------------


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """`max(x, 0)`.

    >>> import tapegrad as torch
    >>> torch.nn.functional.relu(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return input.relu_() if inplace else _activation.relu(input)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """x limited to [0, 6]."""
    return hardtanh(input, 0.0, 6.0, inplace)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where positive, `negative_slope * x` elsewhere."""
    return input.leaky_relu_(negative_slope) if inplace else _activation.leaky_relu(input, negative_slope)


def leaky_relu_(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """In-place form of `leaky_relu`."""
    return input.leaky_relu_(negative_slope)


def rrelu(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """x where positive, `slope * x` elsewhere, with slopes from U(lower, upper) in training, else their mean.

    Raises:
        RuntimeError: `lower` is above `upper`.
    """
    return (rrelu_ if inplace else _activation.rrelu)(input, lower, upper, training)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where it is above `threshold`, `value` elsewhere."""
    return input.threshold_(threshold, value) if inplace else _activation.threshold(input, threshold, value)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """x limited to `[min_val, max_val]`.

    Raises:
        ValueError: `min_val` is above `max_val`.
    """
    if min_val > max_val:
        text = errors.message("hardtanh: min_val cannot be greater than max_val", got=f"{min_val} and {max_val}")
        raise ValueError(text)
    return input.hardtanh_(min_val, max_val) if inplace else _activation.hardtanh(input, min_val, max_val)


def hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """In-place form of `hardtanh`."""
    return hardtanh(input, min_val, max_val, inplace=True)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """`(x + 3) / 6` limited to [0, 1]."""
    return input.hardsigmoid_() if inplace else _activation.hardsigmoid(input)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """`x * hardsigmoid(x)`."""
    return input.hardswish_() if inplace else _activation.hardswish(input)


def softshrink(input: Tensor, lambd: float = 0.5, *, out: Tensor | None = None) -> Tensor:
    """x moved towards zero by `lambd`, and zero in `[-lambd, lambd]`.

    Raises:
        RuntimeError: a negative `lambd`.
    """
    if lambd < 0:
        raise RuntimeError(errors.message("softshrink: lambda must not be negative", got=lambd))
    shrink = _activation.softshrink
    return shrink(input, lambd) if out is None else shrink(input, lambd, out=out)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where positive, `alpha * (exp(x) - 1)` elsewhere."""
    return input.elu_(alpha) if inplace else _activation.elu(input, alpha)


def elu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """In-place form of `elu`."""
    return input.elu_(alpha)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where positive, `alpha * (exp(x / alpha) - 1)` elsewhere.

    Raises:
        RuntimeError: `alpha` is zero.
    """
    return celu_(input, alpha) if inplace else _activation.celu(input, alpha)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """Scaled elu, which keeps mean 0 and variance 1 through many layers."""
    return selu_(input) if inplace else _activation.selu(input)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """`x * sigmoid(x)`."""
    return input.silu_() if inplace else _activation.silu(input)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """`x * tanh(softplus(x))`."""
    return input.mish_() if inplace else _activation.mish(input)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0, *, out: Tensor | None = None) -> Tensor:
    """`log(1 + exp(beta * x)) / beta`; x itself where `beta * x > threshold`."""
    plus = _activation.softplus
    return plus(input, beta, threshold) if out is None else plus(input, beta, threshold, out=out)


def softsign(input: Tensor) -> Tensor:
    """`x / (1 + |x|)`."""
    return input / (input.abs() + 1)


def tanhshrink(input: Tensor) -> Tensor:
    """`x - tanh(x)`."""
    return input - input.tanh()


def sigmoid(input: Tensor) -> Tensor:
    """`1 / (1 + exp(-x))`."""
    return input.sigmoid()


def tanh(input: Tensor) -> Tensor:
    """Hyperbolic tangent."""
    return input.tanh()


# ---- softmax ---------------------------------------------------------------------------------------------------------


def _implied_dim(name: str, input: Tensor, dim: int | None, stacklevel: int) -> int:
    """`dim`, or the dimension that was once taken if none was given."""
    if dim is not None:
        return dim
    warnings.warn(
        f"{name}: the dimension should be given, e.g. dim=-1; without it the choice depends on the shape",
        stacklevel=stacklevel,
    )
    return 0 if input.dim() in (0, 1, 3) else 1


def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """`exp(x_i) / sum_j exp(x_j)` along `dim`, after conversion to `dtype`.

    >>> import tapegrad as torch
    >>> torch.nn.functional.softmax(torch.zeros(2), dim=0)
    tensor([0.5000, 0.5000])
    """
    return _softmax.softmax(input, _implied_dim("softmax", input, dim, _stacklevel), dtype)


def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """`x_i - log(sum_j exp(x_j))` along `dim`, after conversion to `dtype`."""
    return _softmax.log_softmax(input, _implied_dim("log_softmax", input, dim, _stacklevel), dtype)


def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """`softmax(-x)` along `dim`, after conversion to `dtype`."""
    return _softmax.softmax(-input, _implied_dim("softmin", input, dim, _stacklevel), dtype)


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """A sample of a category as a differentiable vector: softmax of logits plus Gumbel noise (Jang et al. 2017).

    Args:
        logits: logarithms of unnormalised probabilities.
        tau: temperature; the smaller, the closer to one-hot.
        hard: return the one-hot vector, with the gradient of the soft one.
        eps: accepted for compatibility.
        dim: the dimension of the categories.
    """
    soft = softmax((logits + gumbel_noise(logits)) / tau, dim)
    if not hard:
        return soft
    index = soft.max(dim, keepdim=True)[1]
    one = zeros_like(logits).scatter_(dim, index, 1.0)
    return one - soft.detach() + soft


# ---- vectors ---------------------------------------------------------------------------------------------------------


def normalize(input: Tensor, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: Tensor | None = None) -> Tensor:
    """`x / max(|x|_p, eps)` along `dim`.

    >>> import tapegrad as torch
    >>> torch.nn.functional.normalize(torch.tensor([3.0, 4.0]), dim=0)
    tensor([0.6000, 0.8000])
    """
    length = input.norm(p, dim, keepdim=True).clamp_min(eps).expand_as(input)
    return input / length if out is None else input.div(length, out=out)


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """A 1 at the place that each number names, else 0: (*) to (*, C).

    Args:
        tensor: numbers from 0 to C - 1, int64.
        num_classes: C; one more than the greatest number if -1.

    Raises:
        RuntimeError: another dtype, a number outside the range, or no numbers to tell C from.

    >>> import tapegrad as torch
    >>> torch.nn.functional.one_hot(torch.tensor([0, 2]))
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    if tensor.dtype is not _int64:
        text = errors.message("one_hot is only applicable to index tensor of type int64", got=tensor.dtype)
        raise RuntimeError(text)
    if num_classes == 0 or num_classes < -1:
        raise RuntimeError(
            errors.message("one_hot: num_classes must be positive, or -1 to tell it from the numbers", got=num_classes)
        )
    if tensor.numel() == 0:
        if num_classes == -1:
            raise RuntimeError(errors.message("one_hot: without numbers num_classes must be given"))
        return tensor.new_zeros((*tensor.shape, num_classes))
    low, high = int(tensor.min()), int(tensor.max())
    if low < 0:
        raise RuntimeError(errors.message("one_hot: class values must be non-negative", got=low))
    if num_classes == -1:
        num_classes = high + 1
    elif high >= num_classes:
        raise RuntimeError(
            errors.message(
                "one_hot: class values must be smaller than num_classes", got=high, expected=f"< {num_classes}"
            )
        )
    return tensor.new_zeros((*tensor.shape, num_classes)).scatter_(-1, tensor.unsqueeze(-1), 1)
