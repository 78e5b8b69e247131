"""Pooling layers: the maximum, average or power mean of windows, of a given size or to a given size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import errors
from ..core.tensor import Tensor
from . import functional as F
from .convolution import each
from .module import Module

# ---- maximum ---------------------------------------------------------------------------------------------------------


class _MaxPoolNd(Module):
    """The maximum of each window."""

    rank: int

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if stride is not None else kernel_size
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Any:
        function = getattr(F, f"max_pool{self.rank}d")
        numbers = self.kernel_size, self.stride, self.padding, self.dilation
        return function(input, *numbers, ceil_mode=self.ceil_mode, return_indices=self.return_indices)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPoolNd):
    """The maxima of windows of (N, C, L) or (C, L).

    Args:
        kernel_size: how many elements a window has.
        stride: the step between windows; the kernel size if None.
        padding: cells of -inf on both sides.
        dilation: the step between the elements of a window.
        return_indices: return where each maximum lies, too, for `MaxUnpool1d`.
        ceil_mode: also take a last window that ends outside.

    >>> import tapegrad as torch
    >>> torch.nn.MaxPool1d(2)(torch.tensor([[1.0, 3.0, 2.0, 0.0]]))
    tensor([[3., 2.]])
    """

    rank = 1


class MaxPool2d(_MaxPoolNd):
    """The maxima of windows of (N, C, H, W) or (C, H, W); arguments as for `MaxPool1d`, for both dimensions or each.

    >>> import tapegrad as torch
    >>> torch.nn.MaxPool2d(2)(torch.zeros(1, 32, 28, 28)).shape
    torch.Size([1, 32, 14, 14])
    """

    rank = 2


class MaxPool3d(_MaxPoolNd):
    """The maxima of windows of (N, C, D, H, W) or (C, D, H, W); arguments as for `MaxPool1d`."""

    rank = 3


class _MaxUnpoolNd(Module):
    """Maxima back at their places."""

    rank: int

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
    ) -> None:
        super().__init__()
        self.kernel_size = each(kernel_size, self.rank)
        self.stride = each(stride if stride is not None else kernel_size, self.rank)
        self.padding = each(padding, self.rank)

    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        function = getattr(F, f"max_unpool{self.rank}d")
        return function(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpoolNd):
    """Puts maxima back to where `MaxPool1d(..., return_indices=True)` found them, zeros elsewhere.

    Args:
        kernel_size: that of the pooling.
        stride: that of the pooling.
        padding: that of the pooling.

    A call takes the maxima, their indices and, where it is not clear, the `output_size`.
    """

    rank = 1


class MaxUnpool2d(_MaxUnpoolNd):
    """`MaxUnpool1d` for `MaxPool2d`."""

    rank = 2


class MaxUnpool3d(_MaxUnpoolNd):
    """`MaxUnpool1d` for `MaxPool3d`."""

    rank = 3


# ---- at random places ------------------------------------------------------------------------------------------------


class _FractionalMaxPoolNd(Module):
    """Maxima of windows at random places."""

    rank: int

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        output_size: int | Sequence[int] | None = None,
        output_ratio: float | Sequence[float] | None = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> None:
        super().__init__()
        name, n = type(self).__name__, self.rank
        if (output_size is None) == (output_ratio is None):
            what = f"{name}: give an output_size or an output_ratio, one of them"
            raise ValueError(errors.message(what, got=f"{output_size} and {output_ratio}"))
        self.kernel_size = each(kernel_size, n)
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = None if output_size is None else each(output_size, n)
        self.output_ratio = None if output_ratio is None else each(output_ratio, n)
        if self.output_ratio is not None and not all(0 < r < 1 for r in self.output_ratio):
            raise ValueError(errors.message(f"{name}: output_ratio must be between 0 and 1", got=output_ratio))

    def forward(self, input: Tensor) -> Any:
        function = getattr(F, f"fractional_max_pool{self.rank}d")
        options = self.output_size, self.output_ratio, self.return_indices, self._random_samples
        return function(input, self.kernel_size, *options)


class FractionalMaxPool2d(_FractionalMaxPoolNd):
    """The maxima of windows at random places of (N, C, H, W) or (C, H, W) (Graham 2014).

    Args:
        kernel_size: (KH, KW), or one number for both.
        output_size: how many windows there are; this or `output_ratio`.
        output_ratio: by what to multiply (H, W) to get that, between 0 and 1.
        return_indices: return where each maximum lies, too.
        _random_samples: the random numbers, (N, C, 2); drawn in each call if None.

    Raises:
        ValueError: not one of size and ratio, or a ratio outside (0, 1).
    """

    rank = 2


class FractionalMaxPool3d(_FractionalMaxPoolNd):
    """`FractionalMaxPool2d` of (N, C, D, H, W) or (C, D, H, W)."""

    rank = 3


# ---- average ---------------------------------------------------------------------------------------------------------


class AvgPool1d(Module):
    """The averages of windows of (N, C, L) or (C, L).

    Args:
        kernel_size: how many elements a window has.
        stride: the step between windows; the kernel size if None.
        padding: zeros on both sides.
        ceil_mode: also take a last window that ends outside.
        count_include_pad: whether cells of the padding count as elements.

    >>> import tapegrad as torch
    >>> torch.nn.AvgPool1d(2)(torch.tensor([[1.0, 3.0, 2.0, 0.0]]))
    tensor([[2., 1.]])
    """

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = each(kernel_size, 1)
        self.stride = each(stride if stride is not None else kernel_size, 1)
        self.padding = each(padding, 1)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        numbers = self.kernel_size, self.stride, self.padding
        return F.avg_pool1d(input, *numbers, self.ceil_mode, self.count_include_pad)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _AvgPoolNd(Module):
    """The average of each window, in several dimensions."""

    rank: int

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if stride is not None else kernel_size
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        function = getattr(F, f"avg_pool{self.rank}d")
        numbers = self.kernel_size, self.stride, self.padding
        return function(input, *numbers, self.ceil_mode, self.count_include_pad, self.divisor_override)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(_AvgPoolNd):
    """The averages of windows of (N, C, H, W) or (C, H, W).

    Args:
        kernel_size: (KH, KW), or one number for both; so are the other numbers.
        stride: the step between windows; the kernel size if None.
        padding: zeros on all sides.
        ceil_mode: also take last windows that end outside.
        count_include_pad: whether cells of the padding count as elements.
        divisor_override: what sums are divided by instead of the number of elements.
    """

    rank = 2


class AvgPool3d(_AvgPoolNd):
    """The averages of windows of (N, C, D, H, W) or (C, D, H, W); arguments as for `AvgPool2d`."""

    rank = 3


# ---- power mean ------------------------------------------------------------------------------------------------------


class _LPPoolNd(Module):
    """The p-norm of each window."""

    rank: int

    def __init__(
        self,
        norm_type: float,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        function = getattr(F, f"lp_pool{self.rank}d")
        return function(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPoolNd):
    """`(sum over a window of x^p)^(1/p)` of (N, C, L) or (C, L).

    Args:
        norm_type: p.
        kernel_size: how many elements a window has.
        stride: the step between windows; the kernel size if None.
        ceil_mode: also take a last window that ends outside.
    """

    rank = 1


class LPPool2d(_LPPoolNd):
    """`LPPool1d` of (N, C, H, W) or (C, H, W)."""

    rank = 2


class LPPool3d(_LPPoolNd):
    """`LPPool1d` of (N, C, D, H, W) or (C, D, H, W)."""

    rank = 3


# ---- to a given size -------------------------------------------------------------------------------------------------


class _AdaptiveAvgPoolNd(Module):
    """Averages of as many windows as are asked for."""

    rank: int

    def __init__(self, output_size: int | Sequence[int | None] | None) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        return getattr(F, f"adaptive_avg_pool{self.rank}d")(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPoolNd):
    """The averages of L' windows that cover (N, C, L) or (C, L) as evenly as possible.

    Args:
        output_size: L'.

    >>> import tapegrad as torch
    >>> torch.nn.AdaptiveAvgPool1d(2)(torch.tensor([[1.0, 2.0, 3.0]]))
    tensor([[1.5000, 2.5000]])
    """

    rank = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPoolNd):
    """`AdaptiveAvgPool1d` of (N, C, H, W) or (C, H, W); None keeps a size."""

    rank = 2


class AdaptiveAvgPool3d(_AdaptiveAvgPoolNd):
    """`AdaptiveAvgPool1d` of (N, C, D, H, W) or (C, D, H, W); None keeps a size."""

    rank = 3


class _AdaptiveMaxPoolNd(Module):
    """Maxima of as many windows as are asked for."""

    rank: int

    def __init__(self, output_size: int | Sequence[int | None] | None, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size = output_size
        self.return_indices = return_indices

    def forward(self, input: Tensor) -> Any:
        return getattr(F, f"adaptive_max_pool{self.rank}d")(input, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPoolNd):
    """The maxima of L' windows that cover (N, C, L) or (C, L) as evenly as possible.

    Args:
        output_size: L'.
        return_indices: return where each maximum lies, too.
    """

    rank = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPoolNd):
    """`AdaptiveMaxPool1d` of (N, C, H, W) or (C, H, W); None keeps a size."""

    rank = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPoolNd):
    """`AdaptiveMaxPool1d` of (N, C, D, H, W) or (C, D, H, W); None keeps a size."""

    rank = 3
