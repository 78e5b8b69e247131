"""Initial values of parameters. Every function fills its tensor in place, unrecorded, and returns it.

"Fan in" is the number of inputs one output depends on, "fan out" the number of outputs one input reaches: for a weight
of shape (out, in, *kernel) they are `in * prod(kernel)` and `out * prod(kernel)`.

References: Glorot & Bengio 2010 (xavier), He et al. 2015 (kaiming), Saxe et al. 2013 (orthogonal), Martens 2010
(sparse).
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from typing import Any

from .. import errors
from ..core.tensor import Tensor
from ..modes import no_grad
from ..ops.linalg.orthogonal import qr
from ..ops.random.draws import randperm


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    r"""The factor that keeps the variance of activations about constant through a nonlinearity.

    1 for linear layers and sigmoid, 5/3 for tanh, `sqrt(2)` for relu, `sqrt(2 / (1 + slope^2))` for leaky_relu, 3/4 for
    selu.

    Args:
        nonlinearity: "linear", "conv1d" ... "conv_transpose3d", "sigmoid", "tanh", "relu", "leaky_relu" or "selu".
        param: the negative slope of leaky_relu, 0.01 if None.

    Raises:
        ValueError: an unknown nonlinearity, or a slope that is no number.

    >>> import tapegrad as torch
    >>> torch.nn.init.calculate_gain("leaky_relu", 0.2)
    1.3867504905630728
    """
    linear = {f"conv{transposed}{n}d" for transposed in ("", "_transpose") for n in (1, 2, 3)}
    if nonlinearity in linear or nonlinearity in ("linear", "sigmoid"):
        return 1
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ValueError(errors.message(f"negative_slope {slope!r} not a valid number", where="calculate_gain"))
        return math.sqrt(2 / (1 + slope**2))
    gains = {"tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}
    if nonlinearity not in gains:
        expected = ", ".join(sorted({*gains, *linear, "linear", "sigmoid", "leaky_relu"}))
        raise ValueError(
            errors.message(f"Unsupported nonlinearity {nonlinearity!r}", where="calculate_gain", expected=expected)
        )
    return gains[nonlinearity]


# ------------------------------------------------------------------------------------------------------------- constant


@no_grad()
def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with `val`."""
    return tensor.fill_(val)


@no_grad()
def ones_(tensor: Tensor) -> Tensor:
    """Fill with 1."""
    return tensor.fill_(1.0)


@no_grad()
def zeros_(tensor: Tensor) -> Tensor:
    """Fill with 0."""
    return tensor.zero_()


@no_grad()
def eye_(tensor: Tensor) -> Tensor:
    """Make a matrix the identity, so that a linear layer passes on as many inputs as it can.

    Raises:
        ValueError: not a matrix.
    """
    _require_matrix(tensor, "eye_")
    tensor.zero_()
    tensor.diagonal().fill_(1)
    return tensor


@no_grad()
def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Make a convolution weight the identity on as many channels as it can: 1 in the middle of kernel (i, i) of every
    group.

    Args:
        tensor: weight of shape (out, in / groups, *kernel) with one to three kernel dimensions.
        groups: the groups of the convolution.

    Raises:
        ValueError: another number of dimensions, or `groups` does not divide the output channels.
    """
    if tensor.dim() not in (3, 4, 5):
        what = "Only tensors with 3, 4, or 5 dimensions are supported"
        raise ValueError(errors.message(what, where="dirac_", got=tensor.shape))
    out, channels, *kernel = tensor.shape
    if out % groups:
        raise ValueError(
            errors.message("dim 0 must be divisible by groups", where="dirac_", got=f"{out} and groups={groups}")
        )
    tensor.zero_()
    middle = tuple(k // 2 for k in kernel)
    for group in range(groups):
        for i in range(min(out // groups, channels)):
            tensor[(group * (out // groups) + i, i, *middle)] = 1
    return tensor


# ---------------------------------------------------------------------------------------------------------------- rando


@no_grad()
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Tensor:
    """Fill with draws from the uniform distribution U(a, b)."""
    return tensor.uniform_(a, b, generator=generator)


@no_grad()
def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Tensor:
    """Fill with draws from the normal distribution N(mean, std^2)."""
    return tensor.normal_(mean, std, generator=generator)


@no_grad()
def trunc_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator: Any = None
) -> Tensor:
    """Fill with draws from N(mean, std^2) that lie in [a, b].

    Rejection sampling: from the normal distribution itself where more than 30 % of it lies in [a, b], else from U(a,
    b), kept with probability proportional to the normal density. Every round draws a whole tensor and uses it where the
    last one was refused.
    """
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn("trunc_normal_: the mean is more than 2 std away from [a, b]", stacklevel=2)
    inside = _normal_cdf((b - mean) / std) - _normal_cdf((a - mean) / std)
    if inside > 0.3:
        low, high = (tensor.new_tensor(bound).item() for bound in (a, b))  # as the tensor's dtype can hold them
        tensor.normal_(mean, std, generator=generator)
        while (refused := (tensor < low) | (tensor > high)).any():
            fresh = tensor.new_empty(tensor.shape).normal_(mean, std, generator=generator)
            tensor.copy_(fresh.where(refused, tensor))
        return tensor
    peak = -0.5 * ((max(a, min(mean, b)) - mean) / std) ** 2  # of the log density on [a, b]
    refused = None
    while refused is None or refused.any():
        fresh = tensor.new_empty(tensor.shape).uniform_(a, b, generator=generator)
        tensor.copy_(fresh if refused is None else fresh.where(refused, tensor))
        log_density = fresh.sub(mean).div_(std).pow_(2).mul_(-0.5).sub_(peak)
        too_high = tensor.new_empty(tensor.shape).uniform_(generator=generator).log_() > log_density
        refused = too_high if refused is None else refused & too_high
    return tensor


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    r"""Fill from U(-a, a) with `a = gain * sqrt(6 / (fan_in + fan_out))`.

    Raises:
        ValueError: fewer than two dimensions.
    """
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    bound = math.sqrt(3.0) * (gain * math.sqrt(2.0 / float(fan_in + fan_out)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    r"""Fill from N(0, std^2) with `std = gain * sqrt(2 / (fan_in + fan_out))`.

    Raises:
        ValueError: fewer than two dimensions.
    """
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / float(fan_in + fan_out)), generator)


def kaiming_uniform_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None
) -> Tensor:
    r"""Fill from U(-bound, bound) with `bound = gain * sqrt(3 / fan)`.

    Args:
        tensor: weight with at least two dimensions.
        a: negative slope of the leaky_relu that follows.
        mode: "fan_in" keeps the variance in the forward pass, "fan_out" in the backward pass.
        nonlinearity: what follows, for `calculate_gain`.
        generator: source of random numbers.

    Raises:
        ValueError: fewer than two dimensions, an unknown mode or nonlinearity.
    """
    if 0 in tensor.shape:
        warnings.warn("kaiming_uniform_: a tensor without elements has nothing to initialise", stacklevel=2)
        return tensor
    std = calculate_gain(nonlinearity, a) / math.sqrt(_calculate_correct_fan(tensor, mode))
    bound = math.sqrt(3.0) * std
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None
) -> Tensor:
    r"""Fill from N(0, std^2) with `std = gain / sqrt(fan)`; arguments and errors as for `kaiming_uniform_`."""
    if 0 in tensor.shape:
        warnings.warn("kaiming_normal_: a tensor without elements has nothing to initialise", stacklevel=2)
        return tensor
    std = calculate_gain(nonlinearity, a) / math.sqrt(_calculate_correct_fan(tensor, mode))
    return normal_(tensor, 0.0, std, generator)


@no_grad()
def orthogonal_(tensor: Tensor, gain: float = 1, generator: Any = None) -> Tensor:
    """Fill with a (semi-)orthogonal matrix times `gain`; dimensions after the first count as columns.

    Raises:
        ValueError: fewer than two dimensions.
    """
    if tensor.dim() < 2:
        what = "Only tensors with 2 or more dimensions are supported"
        raise ValueError(errors.message(what, where="orthogonal_", got=tensor.shape))
    if tensor.numel() == 0:
        return tensor
    rows = tensor.shape[0]
    flat = tensor.new_empty((rows, tensor.numel() // rows)).normal_(0, 1, generator=generator)
    wide = rows < flat.shape[1]
    q, r = qr(flat.t() if wide else flat)
    q = q * r.diagonal().sign()  # makes the decomposition unique, and with it the distribution uniform
    tensor.copy_((q.t() if wide else q).reshape(tensor.shape))
    return tensor.mul_(gain)


@no_grad()
def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Any = None) -> Tensor:
    """Fill a matrix from N(0, std^2), then set `sparsity` of every column to zero.

    Args:
        tensor: matrix.
        sparsity: the part of the elements that become zero, 0 to 1.
        std: standard deviation of the others.
        generator: source of random numbers.

    Raises:
        ValueError: not a matrix.
    """
    _require_matrix(tensor, "sparse_")
    rows, columns = tensor.shape
    zeros = math.ceil(sparsity * rows)
    tensor.normal_(0, std, generator=generator)
    for column in range(columns):
        tensor[randperm(rows)[:zeros], column] = 0
    return tensor


# --------------------------------------------------------------------------------------------------------------- helper


def _require_matrix(tensor: Tensor, where: str) -> None:
    if tensor.dim() != 2:
        raise ValueError(errors.message("Only tensors with 2 dimensions are supported", where=where, got=tensor.shape))


def _normal_cdf(x: float) -> float:
    return (1.0 + math.erf(x / math.sqrt(2.0))) / 2.0


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """(inputs per output, outputs per input) of a weight of shape (out, in, *kernel)."""
    if tensor.dim() < 2:
        what = "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions"
        raise ValueError(errors.message(what, got=tensor.shape, expected="(out, in, *kernel)"))
    out, channels, *kernel = tensor.shape
    field = math.prod(kernel)
    return channels * field, out * field


def _calculate_correct_fan(tensor: Tensor, mode: str) -> int:
    """The fan that `mode` names."""
    mode = mode.lower()
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(errors.message(f"Mode {mode} not supported", expected="'fan_in' or 'fan_out'"))
    return _calculate_fan_in_and_fan_out(tensor)[mode == "fan_out"]


def _old_name(function: Callable) -> Callable:
    """`function` under its name of 2017, without the underscore."""
    new = function.__name__

    @functools.wraps(function)
    def deprecated(*args: Any, **kwargs: Any) -> Any:
        warnings.warn(f"nn.init.{new[:-1]} is the old name of nn.init.{new}", FutureWarning, stacklevel=2)
        return function(*args, **kwargs)

    deprecated.__name__ = deprecated.__qualname__ = new[:-1]
    return deprecated


uniform = _old_name(uniform_)
normal = _old_name(normal_)
constant = _old_name(constant_)
eye = _old_name(eye_)
dirac = _old_name(dirac_)
xavier_uniform = _old_name(xavier_uniform_)
xavier_normal = _old_name(xavier_normal_)
kaiming_uniform = _old_name(kaiming_uniform_)
kaiming_normal = _old_name(kaiming_normal_)
orthogonal = _old_name(orthogonal_)
sparse = _old_name(sparse_)
