"""Convolution layers: `Conv1d` to `Conv3d` and their transposes.

All are one class with other numbers of dimensions. The first weights and biases are drawn from U(-k, k) with
`k = 1 / sqrt(C KH KW)`, C being the channels that one output sees.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import errors
from ..core.tensor import Tensor
from ..ops.creation.filled import empty
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


def each(value: Any, n: int) -> tuple:
    """`n` numbers from one number; a sequence as a tuple."""
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * n


class _ConvNd(Module):
    """What convolution layers share: numbers, parameters, printed form."""

    rank: int
    transposed = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int],
        padding: int | Sequence[int] | str,
        dilation: int | Sequence[int],
        output_padding: int | Sequence[int],
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        n = self.rank
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = each(kernel_size, n)
        self.stride = each(stride, n)
        self.padding = padding if isinstance(padding, str) else each(padding, n)
        self.dilation = each(dilation, n)
        self.output_padding = each(output_padding, n)
        self.groups = groups
        self.padding_mode = padding_mode
        self._check()
        first, second = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        self.weight = Parameter(empty((first, second // groups, *self.kernel_size), device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_channels, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def _check(self) -> None:
        """Refuse numbers that do not go together."""
        name, groups = type(self).__name__, self.groups
        if groups <= 0:
            raise ValueError(errors.message(f"{name}: groups must be a positive integer", got=groups))
        for channels in ("in_channels", "out_channels"):
            if getattr(self, channels) % groups:
                got = f"{getattr(self, channels)} channels, {groups} groups"
                raise ValueError(errors.message(f"{name}: {channels} must be divisible by groups", got=got))
        if isinstance(self.padding, str):
            if self.padding not in ("same", "valid"):
                what = f"{name}: Invalid padding string"
                raise ValueError(errors.message(what, got=repr(self.padding), expected="'same' or 'valid'"))
            if self.padding == "same" and any(s != 1 for s in self.stride):
                text = f"{name}: padding='same' is not supported for strided convolutions"
                raise ValueError(errors.message(text, got=f"stride={self.stride}"))
        if self.padding_mode not in PADDING_MODES:
            what = f"{name}: unknown padding_mode"
            raise ValueError(errors.message(what, got=repr(self.padding_mode), expected=", ".join(PADDING_MODES)))
        if self.transposed and self.padding_mode != "zeros":
            what = f'{name}: Only "zeros" padding mode is supported'
            raise ValueError(errors.message(what, got=repr(self.padding_mode)))

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))  # U(-k, k), by the way PyTorch computes k
        if self.bias is not None:
            fan_in, _ = init._calculate_fan_in_and_fan_out(self.weight)
            if fan_in != 0:
                bound = 1 / math.sqrt(fan_in)
                init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        zeros, ones = (0,) * self.rank, (1,) * self.rank
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        if self.padding != zeros:
            parts.append(f"padding={self.padding}")
        if self.dilation != ones:
            parts.append(f"dilation={self.dilation}")
        if self.output_padding != zeros:
            parts.append(f"output_padding={self.output_padding}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        return ", ".join(parts)


# ---- convolution -----------------------------------------------------------------------------------------------------


class _Conv(_ConvNd):
    """A convolution of some number of dimensions."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] | str = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        numbers = kernel_size, stride, padding, dilation, 0, groups
        super().__init__(in_channels, out_channels, *numbers, bias, padding_mode, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        return self._conv_forward(input, self.weight, self.bias)

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        function, padding = getattr(F, f"conv{self.rank}d"), self.padding
        if self.padding_mode != "zeros":
            input, padding = F.pad(input, self._cells(), self.padding_mode), 0
        return function(input, weight, bias, self.stride, padding, self.dilation, self.groups)

    def _cells(self) -> list[int]:
        """The padding in the order of `F.pad`: before and after, the last dimension first."""
        if self.padding == "valid":
            return [0, 0] * self.rank
        found = []
        for i in reversed(range(self.rank)):
            if self.padding == "same":
                total = self.dilation[i] * (self.kernel_size[i] - 1)
                found += [total // 2, total - total // 2]
            else:
                found += [self.padding[i]] * 2
        return found


class Conv1d(_Conv):
    """`y[n, o] = b[o] + sum over c of w[o, c] * x[n, c]`, where `*` slides w along x (cross-correlation).

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: K, how many neighbours one output sees.
        stride: the step between windows.
        padding: cells added on both sides; 'valid' for none, 'same' for as many as keep the length.
        dilation: the step between the elements of a window.
        groups: into how many parts channels are divided that do not see each other.
        bias: whether there is a b.
        padding_mode: what is in those cells: 'zeros', 'reflect', 'replicate' or 'circular'.
        device: where the parameters are made.
        dtype: their type.

    Attributes:
        weight: w, (O, C / groups, K), first drawn from U(-k, k) with `k = sqrt(groups / (C K))`.
        bias: b, (O,), first drawn from the same.

    The input is (N, C, L) or (C, L), the output (N, O, L') or (O, L'), as in `functional.conv1d`.

    Raises:
        ValueError: numbers that do not go together.

    >>> import tapegrad as torch
    >>> torch.nn.Conv1d(2, 4, kernel_size=3)(torch.zeros(1, 2, 8)).shape
    torch.Size([1, 4, 6])
    """

    rank = 1


class Conv2d(_Conv):
    """`Conv1d` in two dimensions: (N, C, H, W) or (C, H, W) to (N, O, H', W') or (O, H', W').

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: (KH, KW), or one number for both; so are the other numbers.
        stride: the step between windows.
        padding: cells added on all sides; 'valid' for none, 'same' for as many as keep the size.
        dilation: the step between the elements of a window.
        groups: into how many parts channels are divided that do not see each other.
        bias: whether there is a b.
        padding_mode: what is in those cells: 'zeros', 'reflect', 'replicate' or 'circular'.
        device: where the parameters are made.
        dtype: their type.

    Attributes:
        weight: w, (O, C / groups, KH, KW), first drawn from U(-k, k) with `k = sqrt(groups / (C KH KW))`.
        bias: b, (O,), first drawn from the same.

    Raises:
        ValueError: numbers that do not go together.

    >>> import tapegrad as torch
    >>> torch.nn.Conv2d(1, 32, 3, padding=1)(torch.zeros(64, 1, 28, 28)).shape
    torch.Size([64, 32, 28, 28])
    """

    rank = 2


class Conv3d(_Conv):
    """`Conv1d` in three dimensions: (N, C, D, H, W) or (C, D, H, W); arguments as for `Conv2d`."""

    rank = 3


# ---- transposed convolution ------------------------------------------------------------------------------------------


class _ConvTransposeNd(_ConvNd):
    """A transposed convolution of some number of dimensions."""

    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        output_padding: int | Sequence[int] = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | Sequence[int] = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        numbers = kernel_size, stride, padding, dilation, output_padding, groups
        super().__init__(in_channels, out_channels, *numbers, bias, padding_mode, device, dtype)

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        function = getattr(F, f"conv_transpose{self.rank}d")
        extra = self.output_padding if output_size is None else self._output_padding(input, output_size)
        return function(input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation)

    def _output_padding(self, input: Tensor, output_size: Sequence[int]) -> tuple[int, ...]:
        """What must be added at the end so that the output has `output_size`."""
        n = self.rank
        name, size = type(self).__name__, tuple(output_size)
        if len(size) == input.dim():
            size = size[-n:]
        if len(size) != n:
            expected = f"{n} or {input.dim()} of them"
            raise ValueError(errors.message(f"{name}: wrong number of output sizes", got=size, expected=expected))
        numbers = zip(input.shape[-n:], self.stride, self.padding, self.dilation, self.kernel_size)
        least = tuple((m - 1) * s - 2 * p + d * (k - 1) + 1 for m, s, p, d, k in numbers)
        extra = tuple(a - b for a, b in zip(size, least))
        if any(not 0 <= e < s for e, s in zip(extra, self.stride)):
            most = tuple(b + s - 1 for b, s in zip(least, self.stride))
            text = errors.message(f"{name}: no such output size", got=size, expected=f"{least} to {most}")
            raise ValueError(text)
        return extra


class ConvTranspose1d(_ConvTransposeNd):
    """The transpose of `Conv1d`: each element of the input is spread over a window of the output.

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: K.
        stride: the step between windows.
        padding: how much is cut off on both sides.
        output_padding: how much is added at the end, less than the stride or the dilation.
        groups: into how many parts channels are divided that do not see each other.
        bias: whether there is a b.
        dilation: the step between the elements of a window.
        padding_mode: 'zeros'.
        device: where the parameters are made.
        dtype: their type.

    Attributes:
        weight: w, (C, O / groups, K), first drawn from U(-k, k) with `k = sqrt(groups / (O K))`.
        bias: b, (O,), first drawn from the same.

    A call takes the input, (N, C, L) or (C, L), and the `output_size` wanted, if one of several is.

    Raises:
        ValueError: numbers that do not go together.

    >>> import tapegrad as torch
    >>> torch.nn.ConvTranspose1d(2, 4, 3, stride=2)(torch.zeros(1, 2, 8)).shape
    torch.Size([1, 4, 17])
    """

    rank = 1


class ConvTranspose2d(_ConvTransposeNd):
    """`ConvTranspose1d` in two dimensions: (N, C, H, W) or (C, H, W); numbers for both dimensions or for each."""

    rank = 2


class ConvTranspose3d(_ConvTransposeNd):
    """`ConvTranspose1d` in three dimensions: (N, C, D, H, W) or (C, D, H, W)."""

    rank = 3
