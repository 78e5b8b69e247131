"""Pooling: the maximum or the average of windows, of given size or as many as are asked for.

Where a gradient is wanted, or asked for, the maximum comes with its place in the channel; between one choice and
another the derivative is constant. `avg_pool` is linear.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ... import errors
from ...backends.cpu import pool as kernels
from ...core.op import Array, op
from ...core.tensor import Tensor
from ...dtypes import int64
from ...modes import is_grad_enabled
from ..casting import full
from .conv import check_numbers, per_axis

__all__ = ["max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d"]

_MAX_NODES = ("", "SqueezeBackward1", "MaxPool2DWithIndicesBackward0", "MaxPool3DWithIndicesBackward0")
_AVG_NODES = ("", "SqueezeBackward1", "AvgPool2DBackward0", "AvgPool3DBackward0")
_EVEN_NODES = ("", "SqueezeBackward1", "AdaptiveAvgPool2DBackward0", "AdaptiveAvgPool3DBackward0")
_EVEN_MAX_NODES = ("", "SqueezeBackward1", "AdaptiveMaxPool2DBackward0", "AdaptiveMaxPool3DBackward0")


def _rank(node: Any) -> int:
    return len(node.attrs[0][0].kernel)


# ---- the operations --------------------------------------------------------------------------------------------------


def _pooled(shape: tuple[int, ...], frame: kernels.Frame) -> tuple[int, ...]:
    return (*shape[: -len(frame.size)], *frame.size)


@op(name="max_pool", nondiff=True)
def _max_values(x: Array, frame):
    return kernels.maximum(x, frame)


@_max_values.shape
def _(x, frame):
    return _pooled(x, frame)


@op(
    name="max_pool_with_indices",
    returns=("values", "indices"),
    node=lambda node: (_EVEN_MAX_NODES if node.attrs[0][1] else _MAX_NODES)[_rank(node)],
    linked=True,
)
def max_pool_windows(x: Array, frame, even=False, compact=False):
    """`compact`: indices of 32 bits, where nobody but the gradient sees them."""
    return kernels.maximum_with_places(x, frame, kernels.SHORT if compact else kernels.LONG)


@max_pool_windows.shape
def _(x, frame, even=False, compact=False):
    return _pooled(x, frame)


@max_pool_windows.grad
def _(g, indices, x_shape, frame):
    apart = all(s >= (k - 1) * d + 1 for k, s, d in zip(frame.kernel, frame.stride, frame.dilation))
    return place_in_channels(g, indices, x_shape[-len(frame.size) :], apart)


@op(name="place_in_channels")
def place_in_channels(x: Array, indices: Array, sizes, apart=False):
    """Zeros of (N, C, *sizes) to which each x is added at its index in the flattened channel; `apart`: indices of a
    channel differ.
    """
    return kernels.scatter(x, indices, sizes, apart)


@place_in_channels.shape
def _(x, indices, sizes, apart=False):
    return (*x[: -len(sizes)], *sizes)


@place_in_channels.grad("x")
def _(g, indices, sizes):
    return pick_in_channels(g, indices, len(sizes))


@op(name="pick_in_channels")
def pick_in_channels(x: Array, indices: Array, rank):
    """The elements at `indices` in the flattened channels of x."""
    return kernels.pick(x, indices, rank)


@pick_in_channels.shape
def _(x, indices, rank):
    return indices


@pick_in_channels.grad("x")
def _(g, indices, rank, x_shape):
    return place_in_channels(g, indices, x_shape[-rank:])


@op(
    name="avg_pool",
    node=lambda node: (_EVEN_NODES if "even" in node.attrs[1] else _AVG_NODES)[_rank(node)],
    linked=True,
)
def average_windows(x: Array, frame, padded=True, override=None, *, even=False):
    return kernels.average(x, frame, padded, override)


@average_windows.shape
def _(x, frame, padded=True, override=None, *, even=False):
    return _pooled(x, frame)


@average_windows.grad
def _(g, x_shape, frame, padded, override):
    return _avg_pool_backward(g, x_shape[-len(frame.size) :], frame, padded, override)


@op(name="avg_pool_backward")
def _avg_pool_backward(g: Array, sizes, frame, padded=True, override=None):
    return kernels.average_backward(g, sizes, frame, padded, override)


@_avg_pool_backward.shape
def _(g, sizes, frame, padded=True, override=None):
    return (*g[: -len(sizes)], *sizes)


@_avg_pool_backward.grad
def _(g, frame, padded, override):
    return average_windows(g, frame, padded, override)


# ---- arguments -------------------------------------------------------------------------------------------------------


def _frame(
    where: str,
    n: int,
    input: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
) -> kernels.Frame:
    """Where windows lie, checked."""
    if not isinstance(input, Tensor):
        raise TypeError(errors.message(f"{where}: the input must be a tensor", got=type(input).__name__))
    if input.array.ndim not in (n + 1, n + 2):
        expected = f"{n + 2} (batched) or {n + 1}"
        text = f"{where}: the input has the wrong number of dimensions"
        raise RuntimeError(errors.message(text, got=tuple(input.shape), expected=expected))
    kernel = per_axis(where, "kernel_size", kernel_size, n)
    empty = stride is None or (stride.__class__ in (tuple, list) and not stride)
    stride = kernel if empty else per_axis(where, "stride", stride, n)
    low, dilation = per_axis(where, "padding", padding, n), per_axis(where, "dilation", dilation, n)
    check_numbers(where, kernel_size=kernel, stride=stride, dilation=dilation)
    for p, k, d in zip(low, kernel, dilation):
        if p < 0 or p > ((k - 1) * d + 1) // 2:
            text = f"{where}: padding must be between 0 and half of the kernel size"
            raise RuntimeError(errors.message(text, got=f"padding {low}, kernel size {kernel}"))
    sizes = input.array.shape[-n:]
    if 0 in input.array.shape[-n - 1 :]:
        text = f"{where}: only the batch may be empty"
        raise RuntimeError(errors.message(text, got=tuple(input.shape)))
    out = tuple(_windows(*numbers, ceil_mode) for numbers in zip(sizes, kernel, stride, low, dilation))
    if min(out) <= 0:
        got = f"input of {tuple(input.shape)}, kernel size {kernel}, padding {low}"
        raise RuntimeError(errors.message(f"{where}: the output would be empty, {out}", got=got))
    return kernels.Frame(kernel, stride, low, dilation, out)


def _windows(n: int, kernel: int, stride: int, low: int, dilation: int, ceil_mode: bool) -> int:
    """How many windows there are; with `ceil_mode` also one that begins within the array and ends outside."""
    room = n + 2 * low - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return room // stride + 1
    count = -(-room // stride) + 1
    return count - 1 if (count - 1) * stride >= n + low else count


# ---- maximum ---------------------------------------------------------------------------------------------------------


def _max(where: str, n: int, input: Tensor, *numbers: Any, return_indices: bool) -> Any:
    frame = _frame(where, n, input, *numbers)
    if input.array.dtype.kind in "bc":
        raise NotImplementedError(errors.message(f"{where}: not defined for {input.dtype}"))
    if not return_indices and not (input.requires_grad and is_grad_enabled()):
        return _max_values(input, frame)
    values, indices = max_pool_windows(input, frame, False, not return_indices)
    return (values, indices) if return_indices else values


def max_pool1d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """`y[n, c, j] = max over t of x[n, c, j stride + t dilation - padding]`.

    Args:
        input: x, (N, C, L) or (C, L).
        kernel_size: K, how many elements a window has.
        stride: the step between windows; K if None.
        padding: cells of -inf on both sides, K / 2 at most.
        dilation: the step between the elements of a window.
        ceil_mode: also take a last window that ends outside.
        return_indices: return where each maximum lies, too.

    Returns:
        y, (N, C, `floor((L + 2 padding - dilation (K - 1) - 1) / stride) + 1`), or (y, indices).

    Raises:
        RuntimeError: numbers that do not fit the shape.

    >>> import tapegrad as torch
    >>> torch.max_pool1d(torch.tensor([[[1.0, 3.0, 2.0, 0.0]]]), 2)
    tensor([[[3., 2.]]])
    """
    return _max(
        "max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices=return_indices
    )


def max_pool2d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maxima of windows of (N, C, H, W); arguments and errors as for `max_pool1d`, numbers for both dimensions or
    for each.

    >>> import tapegrad as torch
    >>> torch.max_pool2d(torch.tensor([[[[1.0, 3.0], [2.0, 0.0]]]]), 2)
    tensor([[[[3.]]]])
    """
    return _max(
        "max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices=return_indices
    )


@full
def max_pool3d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maxima of windows of (N, C, D, H, W); arguments and errors as for `max_pool1d`."""
    return _max(
        "max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices=return_indices
    )


# ---- average ---------------------------------------------------------------------------------------------------------


def _avg(
    where: str,
    n: int,
    input: Tensor,
    *numbers: Any,
    padded: bool = True,
    override: int | None = None,
    out: Tensor | None = None,
) -> Tensor:
    kernel_size, stride, padding, ceil_mode = numbers
    frame = _frame(where, n, input, kernel_size, stride, padding, 1, ceil_mode)
    if override == 0:
        raise RuntimeError(errors.message(f"{where}: divisor_override must not be zero", got=override))
    if input.array.dtype.kind in "biu" and input.dtype is not int64:
        raise NotImplementedError(
            errors.message(f"{where}: not defined for {input.dtype}", fix="convert with .float()")
        )
    if out is None:
        return average_windows(input, frame, bool(padded), override)
    return average_windows(input, frame, bool(padded), override, out=out)


def avg_pool1d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """`y[n, c, j] = 1 / K sum over t of x[n, c, j stride + t - padding]`.

    Args:
        input: x, (N, C, L) or (C, L).
        kernel_size: K, how many elements a window has.
        stride: the step between windows; K if None.
        padding: zeros on both sides, K / 2 at most.
        ceil_mode: also take a last window that ends outside.
        count_include_pad: divide by K also where a window reaches into the padding.

    Raises:
        RuntimeError: numbers that do not fit the shape.

    >>> import tapegrad as torch
    >>> torch.avg_pool1d(torch.tensor([[[1.0, 3.0, 2.0, 0.0]]]), 2)
    tensor([[[2., 1.]]])
    """
    return _avg("avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, padded=count_include_pad)


def avg_pool2d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """The averages of windows of (N, C, H, W); arguments and errors as for `avg_pool1d`, numbers for both dimensions
    or for each; `divisor_override` is what sums are divided by instead of the number of elements.
    """
    numbers = kernel_size, stride, padding, ceil_mode
    options: Any = {"padded": count_include_pad, "override": divisor_override, "out": out}
    return _avg("avg_pool2d", 2, input, *numbers, **options)


@full
def avg_pool3d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """The averages of windows of (N, C, D, H, W); arguments and errors as for `avg_pool2d`."""
    numbers = kernel_size, stride, padding, ceil_mode
    options: Any = {"padded": count_include_pad, "override": divisor_override, "out": out}
    return _avg("avg_pool3d", 3, input, *numbers, **options)


# ---- power mean ------------------------------------------------------------------------------------------------------


def _lp(where: str, n: int, input: Tensor, norm_type: float, kernel_size: Any, stride: Any, ceil_mode: bool) -> Tensor:
    kernel = per_axis(where, "kernel_size", kernel_size, n)
    powers = _avg(where, n, input.pow(norm_type), kernel, stride, 0, ceil_mode)
    return (powers.sign() * powers.abs().relu() * math.prod(kernel)).pow(1.0 / norm_type)


def lp_pool1d(
    input: Tensor,
    norm_type: float,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """`(sum over a window of x^p)^(1/p)` with `p = norm_type`, of (N, C, L) or (C, L)."""
    return _lp("lp_pool1d", 1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    input: Tensor,
    norm_type: float,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """`lp_pool1d` of (N, C, H, W) or (C, H, W)."""
    return _lp("lp_pool2d", 2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    input: Tensor,
    norm_type: float,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """`lp_pool1d` of (N, C, D, H, W) or (C, D, H, W)."""
    return _lp("lp_pool3d", 3, input, norm_type, kernel_size, stride, ceil_mode)
