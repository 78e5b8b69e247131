"""Normalisation layers: layer, group, root-mean-square, batch, instance, local response.

A layer with weight and bias ("affine") starts as the plain normalisation: weights 1, biases 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import dtypes, errors
from ..core.function import Function, once_differentiable
from ..core.tensor import Tensor
from ..ops.creation.filled import empty, ones, zeros
from ..ops.creation.values import tensor
from ..ops.shape.joining import cat
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter


def _affine(layer: Module, shape: Any, weight: bool, bias: bool, device: Any, dtype: Any) -> None:
    """Give a layer the parameters `weight` and `bias`, or None in their places."""
    for name, wanted in (("weight", weight), ("bias", bias)):
        layer.register_parameter(name, Parameter(empty(shape, device=device, dtype=dtype)) if wanted else None)


def _reset(layer: Any) -> None:
    if layer.weight is not None:
        init.ones_(layer.weight)
    if getattr(layer, "bias", None) is not None:
        init.zeros_(layer.bias)


class LayerNorm(Module):
    """`(x - mean) / sqrt(var + eps) * weight + bias` over the last dimensions (Ba et al. 2016).

    Args:
        normalized_shape: sizes of those dimensions, or the size of the last one.
        eps: added to the variance.
        elementwise_affine: whether there are weight and bias.
        bias: whether there is a bias.
        device: where the parameters are made.
        dtype: their type.

    >>> import tapegrad as torch
    >>> torch.nn.LayerNorm(2)(torch.tensor([1.0, 3.0]))
    tensor([-1.0000,  1.0000], grad_fn=<NativeLayerNormBackward0>)
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        _affine(self, self.normalized_shape, elementwise_affine, elementwise_affine and bias, device, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weights to 1 and the biases to 0."""
        _reset(self)

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """`x / sqrt(mean(x^2) + eps) * weight` over the last dimensions (Zhang & Sennrich 2019).

    Args:
        normalized_shape: sizes of those dimensions, or the size of the last one.
        eps: added to the mean; the dtype's machine epsilon if None.
        elementwise_affine: whether there is a weight.
        device: where it is made.
        dtype: its type.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        weight = Parameter(empty(self.normalized_shape, device=device, dtype=dtype)) if elementwise_affine else None
        self.register_parameter("weight", weight)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weights to 1."""
        _reset(self)

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """Normalises groups of channels of (N, C, *), with a mean and variance per sample and group (Wu & He 2018).

    Args:
        num_groups: divides `num_channels`.
        num_channels: C.
        eps: added to the variance.
        affine: whether there are weight and bias, (C,).
        device: where the parameters are made.
        dtype: their type.
        bias: whether there is a bias.

    Raises:
        ValueError: `num_groups` does not divide `num_channels`.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_channels % num_groups:
            got = f"{num_channels} channels, {num_groups} groups"
            raise ValueError(errors.message("GroupNorm: num_channels must be divisible by num_groups", got=got))
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        _affine(self, num_channels, affine, affine and bias, device, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weights to 1 and the biases to 0."""
        _reset(self)

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class LocalResponseNorm(Module):
    """`x / (k + alpha * mean of x^2 over neighbouring channels)^beta` (Krizhevsky et al. 2012).

    Args:
        size: how many channels are neighbours.
        alpha: factor of the mean.
        beta: exponent.
        k: constant added to it.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Tensor) -> Tensor:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class CrossMapLRN2d(Module):
    """`LocalResponseNorm` of images as older networks were trained with it: channel 0 counts in every sum.

    With r = (size - 1) // 2 the neighbours of channel c are c - r to c + r, and channel 0: a sum that moves along the
    channels never loses it. The gradient is PyTorch's, too, whose own sum lags behind: from c - size + after to c +
    after - 1 with after = size // 2. It is the derivative of the layer only as far as alpha is small.

    Args:
        size: how many channels are neighbours.
        alpha: factor of their sum over size.
        beta: exponent.
        k: constant added to it.

    Raises:
        ValueError: the input is not (N, C, H, W).

    >>> import tapegrad as torch
    >>> x = torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1)
    >>> torch.nn.CrossMapLRN2d(1, alpha=1.0, beta=1.0)(x).flatten()  # 1/(1+1), 2/(1+4+1), 3/(1+9+1)
    tensor([0.5000, 0.3333, 0.2727])
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Tensor) -> Tensor:
        if input.dim() != 4:
            what = "CrossMapLRN2d: expected an input of 4 dimensions"
            raise ValueError(errors.message(what, got=tuple(input.shape), expected="(N, C, H, W)"))
        return _CrossMapLRN2d.apply(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class _CrossMapLRN2d(Function):
    """x * scale ** -beta, and a gradient that is not quite its derivative."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
        reach, square = (size - 1) // 2, x * x
        sums = _neighbours(square, reach, reach)
        beyond = square.shape[1] - reach - 1  # channels that channel 0 is no neighbour of
        if beyond > 0:
            sums[:, -beyond:] += square[:, :1]
        scale = k + alpha / size * sums
        out = x * scale**-beta
        ctx.save_for_backward(x, out, scale)
        ctx.options = size, alpha, beta
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple:
        x, out, scale = ctx.saved_tensors
        size, alpha, beta = ctx.options
        after = max(size // 2 - 1, 0)
        sums = _neighbours(g * out / scale, size - 1 - after, after)
        return g * scale**-beta - 2 * alpha * beta / size * x * sums, None, None, None, None


_CrossMapLRN2d.__name__ = "CrossMapLRN2d"  # the name of its node


def _neighbours(x: Tensor, before: int, after: int) -> Tensor:
    """For each channel, the sum of `before` channels before it, itself, and `after` after it."""
    n, channels, *rest = x.shape
    padded = cat([x.new_zeros((n, before, *rest)), x, x.new_zeros((n, after, *rest))], 1)
    total = padded.narrow(1, 0, channels).clone()
    for shift in range(1, before + after + 1):
        total += padded.narrow(1, shift, channels)
    return total


# ---- with running statistics -----------------------------------------------------------------------------------------


class _NormBase(Module):
    """What batch and instance norms share: parameters, running mean and variance, the count of batches."""

    _version = 2  # since then the state holds num_batches_tracked

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        device: Any,
        dtype: Any,
        bias: bool,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        _affine(self, num_features, affine, affine and bias, device, dtype)
        track = track_running_stats
        self.register_buffer("running_mean", zeros(num_features, device=device, dtype=dtype) if track else None)
        self.register_buffer("running_var", ones(num_features, device=device, dtype=dtype) if track else None)
        self.register_buffer("num_batches_tracked", tensor(0, dtype=dtypes.int64) if track else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Set the running mean to 0, the running variance to 1 and the count to 0."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Reset the running statistics, set the weights to 1 and the biases to 0."""
        self.reset_running_stats()
        if self.affine:
            _reset(self)

    def _check_input_dim(self, input: Tensor) -> None:
        raise NotImplementedError

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )

    def _load_from_state_dict(self, state_dict: dict, prefix: str, local_metadata: dict, *rest: Any) -> None:
        version = local_metadata.get("version")
        key = f"{prefix}num_batches_tracked"
        if (version is None or version < 2) and self.track_running_stats and key not in state_dict:
            state_dict[key] = self.num_batches_tracked if self.num_batches_tracked is not None else tensor(0)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)


class _BatchNorm(_NormBase):
    """Normalises channels of (N, C, *) over the batch (Ioffe & Szegedy 2015)."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        momentum = 0.0 if self.momentum is None else self.momentum
        if self.training and self.track_running_stats and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:  # the mean over all batches so far
                momentum = 1.0 / float(self.num_batches_tracked)
        use_batch = self.training or (self.running_mean is None and self.running_var is None)
        keep = not self.training or self.track_running_stats
        mean, var = (self.running_mean, self.running_var) if keep else (None, None)
        return F.batch_norm(input, mean, var, self.weight, self.bias, use_batch, momentum, self.eps)


class BatchNorm1d(_BatchNorm):
    """Batch norm of (N, C) or (N, C, L).

    Args:
        num_features: C.
        eps: added to the variance.
        momentum: the part of the new value in running statistics; None for the mean over all batches.
        affine: whether there are weight and bias, (C,).
        track_running_stats: whether running statistics are kept, and used in evaluation.
        device: where parameters and buffers are made.
        dtype: their type.
        bias: whether there is a bias.

    Raises (when called):
        ValueError: another number of dimensions, or training on one value per channel.

    >>> import tapegrad as torch
    >>> torch.nn.BatchNorm1d(1)(torch.tensor([[1.0], [3.0]]))
    tensor([[-1.0000],
            [ 1.0000]], grad_fn=<NativeBatchNormBackward0>)
    """

    def _check_input_dim(self, input: Tensor) -> None:
        _require_dims(self, input, (2, 3))


class BatchNorm2d(_BatchNorm):
    """Batch norm of (N, C, H, W); arguments and errors as for `BatchNorm1d`."""

    def _check_input_dim(self, input: Tensor) -> None:
        _require_dims(self, input, (4,))


class BatchNorm3d(_BatchNorm):
    """Batch norm of (N, C, D, H, W); arguments and errors as for `BatchNorm1d`."""

    def _check_input_dim(self, input: Tensor) -> None:
        _require_dims(self, input, (5,))


class SyncBatchNorm(_BatchNorm):
    """Batch norm over the batches of all processes; tapegrad has one, so it is a batch norm of (N, C, *).

    Args:
        num_features: C.
        eps: added to the variance.
        momentum: the part of the new value in running statistics; None for the mean over all batches.
        affine: whether there are weight and bias, (C,).
        track_running_stats: whether running statistics are kept, and used in evaluation.
        process_group: accepted for compatibility.
        device: where parameters and buffers are made.
        dtype: their type.
        bias: whether there is a bias.

    Raises (when called):
        ValueError: fewer than two dimensions, no channels, or training on one value per channel.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: Any = None,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)
        self.process_group = process_group

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            got = f"{input.dim()}D input of shape {tuple(input.shape)}"
            raise ValueError(errors.message("SyncBatchNorm: expected at least 2D input", got=got))
        if input.shape[1] == 0:
            what = "SyncBatchNorm: number of input channels should be non-zero"
            raise ValueError(errors.message(what, got=tuple(input.shape)))

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group: Any = None) -> Module:
        """The module with all its batch norms, those below it too, as `SyncBatchNorm` with the same values."""
        found = module
        if isinstance(module, _BatchNorm):
            numbers = module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats
            found = cls(*numbers, process_group)
            for held in ("_parameters", "_buffers"):
                getattr(found, held).update(getattr(module, held))
            found.training = module.training
        for name, child in module.named_children():
            found.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return found


class _InstanceNorm(_NormBase):
    """Normalises every channel of every sample of (N, C, *) or (C, *) (Ulyanov et al. 2016)."""

    without_batch = 0  # dimensions of an input without N

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def _check_input_dim(self, input: Tensor) -> None:
        _require_dims(self, input, (self.without_batch, self.without_batch + 1))

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        single = input.dim() == self.without_batch
        channels = input.shape[0 if single else 1]
        if self.affine and channels != self.num_features:
            what = f"{type(self).__name__}: expected the input's channels to match num_features"
            raise ValueError(errors.message(what, got=channels, expected=self.num_features))
        out = F.instance_norm(
            input.unsqueeze(0) if single else input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )
        return out.squeeze(0) if single else out


class InstanceNorm1d(_InstanceNorm):
    """Instance norm of (N, C, L) or (C, L).

    Args:
        num_features: C.
        eps: added to the variance.
        momentum: the part of the new value in running statistics.
        affine: whether there are weight and bias, (C,).
        track_running_stats: whether running statistics are kept, and used in evaluation.
        device: where parameters and buffers are made.
        dtype: their type.
        bias: whether there is a bias.

    Raises (when called):
        ValueError: another number of dimensions or channels, or one value per sample and channel.
    """

    without_batch = 2


class InstanceNorm2d(_InstanceNorm):
    """Instance norm of (N, C, H, W) or (C, H, W); arguments and errors as for `InstanceNorm1d`."""

    without_batch = 3


class InstanceNorm3d(_InstanceNorm):
    """Instance norm of (N, C, D, H, W) or (C, D, H, W); arguments and errors as for `InstanceNorm1d`."""

    without_batch = 4


def _require_dims(layer: Module, input: Tensor, allowed: tuple[int, ...]) -> None:
    if input.dim() not in allowed:
        expected = " or ".join(f"{n}D" for n in allowed)
        what = f"{type(layer).__name__}: expected {expected} input"
        raise ValueError(errors.message(what, got=f"{input.dim()}D input of shape {tuple(input.shape)}"))
