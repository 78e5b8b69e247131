"""Pooling: the maximum or the average of windows, of given size or as many as are asked for.

`max_pool` and `max_pool_backward` look for the largest element of each window in x each time: no array of indices is
kept, and between one choice and another the derivative is constant. `avg_pool` is linear.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import errors
from ..backends.cpu import pool as kernels
from ..backends.cpu.pool import Frame
from ..core.op import Array, op
from ..core.tensor import Tensor
from .adjoints import place
from .conv import per_axis
from .movement import reshape
from .resample import resample

__all__ = ["max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "adaptive_avg_pool1d", "adaptive_max_pool1d"]

_MAX_NODES = ("", "SqueezeBackward1", "MaxPool2DWithIndicesBackward0", "MaxPool3DWithIndicesBackward0")
_AVG_NODES = ("", "SqueezeBackward1", "AvgPool2DBackward0", "AvgPool3DBackward0")
_ADAPTIVE_NODES = ("", "SqueezeBackward1", "AdaptiveMaxPool2DBackward0", "AdaptiveMaxPool3DBackward0")


def _rank(node: Any) -> int:
    return len(node.attrs[0][0].kernel)


# ---- the operations --------------------------------------------------------------------------------------------------


def _pooled(shape: tuple[int, ...], frame: Frame) -> tuple[int, ...]:
    return (*shape[: -len(frame.size)], *frame.size)


@op(name="max_pool", node=lambda node: _MAX_NODES[_rank(node)])
def _max_pool(x: Array, frame):
    return kernels.maximum(x, frame)


@_max_pool.shape
def _(x, frame):
    return _pooled(x, frame)


@_max_pool.grad
def _(g, x, frame):
    return _max_pool_backward(g, x, frame)


@op(name="max_pool_backward")
def _max_pool_backward(g: Array, x: Array, frame):
    return kernels.maximum_backward(g, x, frame)


@_max_pool_backward.shape
def _(g, x, frame):
    return x


@_max_pool_backward.grad("g")
def _(g, x, frame):
    return _max_pool_pick(g, x, frame)


@op(name="max_pool_pick")
def _max_pool_pick(h: Array, x: Array, frame):
    return kernels.pick(h, x, frame)


@_max_pool_pick.shape
def _(h, x, frame):
    return _pooled(x, frame)


@_max_pool_pick.grad("h")
def _(g, x, frame):
    return _max_pool_backward(g, x, frame)


@op(name="max_pool_indices", nondiff=True)
def _max_pool_indices(x: Array, frame):
    return kernels.positions(x, frame)


@_max_pool_indices.shape
def _(x, frame):
    return _pooled(x, frame)


@op(name="avg_pool", node=lambda node: _AVG_NODES[_rank(node)])
def _avg_pool(x: Array, frame, padded=True, override=None):
    return kernels.average(x, frame, padded, override)


@_avg_pool.shape
def _(x, frame, padded=True, override=None):
    return _pooled(x, frame)


@_avg_pool.grad
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
    return _avg_pool(g, frame, padded, override)


@op(
    name="adaptive_max_pool",
    returns=("values", "indices"),
    nout=1,
    node=lambda node: _ADAPTIVE_NODES[len(node.attrs[0][0])],
)
def _adaptive_max_pool(x: Array, size):
    return kernels.adaptive_maximum(x, size)


@_adaptive_max_pool.shape
def _(x, size):
    return (*x[: -len(size)], *size)


@_adaptive_max_pool.grad
def _(g, indices, x_shape, size):
    return place_in_channels(g, indices, x_shape, len(size))


def place_in_channels(g: Any, indices: Any, shape: tuple[int, ...], rank: int) -> Any:
    """Zeros of `shape` to which each g is added at its index in the flattened last `rank` dimensions."""
    lead, inner = shape[:-rank], shape[-rank:]
    flat = (*lead, math.prod(inner))
    count = (*lead, math.prod(indices.shape[-rank:]))
    return reshape(place(reshape(g, count), reshape(indices, count), flat, -1, True, True), shape)


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
) -> Frame:
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
    for name, values in (("kernel_size", kernel), ("stride", stride), ("dilation", dilation)):
        if min(values) <= 0:
            raise RuntimeError(errors.message(f"{where}: {name} must be above 0", got=values))
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
    return Frame(kernel, stride, low, dilation, out)


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
    values = _max_pool(input, frame)
    return (values, _max_pool_indices(input, frame)) if return_indices else values


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


def _avg(where: str, n: int, input: Tensor, *numbers: Any, padded: bool = True, override: int | None = None) -> Tensor:
    kernel_size, stride, padding, ceil_mode = numbers
    frame = _frame(where, n, input, kernel_size, stride, padding, 1, ceil_mode)
    if override == 0:
        raise RuntimeError(errors.message(f"{where}: divisor_override must not be zero"))
    if input.array.dtype.kind in "biu":
        raise NotImplementedError(errors.message(f"{where}: not defined for {input.dtype}", fix="convert with .float()"))
    return _avg_pool(input, frame, bool(padded), override)


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
) -> Tensor:
    """The averages of windows of (N, C, H, W); arguments and errors as for `avg_pool1d`, numbers for both dimensions
    or for each; `divisor_override` is what sums are divided by instead of the number of elements.
    """
    numbers = kernel_size, stride, padding, ceil_mode
    return _avg("avg_pool2d", 2, input, *numbers, padded=count_include_pad, override=divisor_override)


def avg_pool3d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The averages of windows of (N, C, D, H, W); arguments and errors as for `avg_pool2d`."""
    numbers = kernel_size, stride, padding, ceil_mode
    return _avg("avg_pool3d", 3, input, *numbers, padded=count_include_pad, override=divisor_override)


# ---- as many windows as are asked for --------------------------------------------------------------------------------


def _target(where: str, n: int, input: Tensor, output_size: Any) -> tuple[int, ...]:
    """The spatial shape asked for; None stands for the size of the input."""
    if not isinstance(input, Tensor):
        raise TypeError(errors.message(f"{where}: the input must be a tensor", got=type(input).__name__))
    if input.array.ndim not in (n + 1, n + 2):
        text = f"{where}: the input has the wrong number of dimensions"
        raise RuntimeError(errors.message(text, got=tuple(input.shape), expected=f"{n + 2} (batched) or {n + 1}"))
    sizes = input.array.shape[-n:]
    given = output_size if isinstance(output_size, (tuple, list)) else (output_size,) * n
    if len(given) not in (1, n) or (len(given) == 1 and n > 1):
        raise RuntimeError(errors.message(f"{where}: output_size needs {n} values", got=output_size))
    found = tuple(m if k is None else k for k, m in zip(given, sizes))
    found = per_axis(where, "output_size", found, n)
    if min(found) < 0:
        raise RuntimeError(errors.message(f"{where}: output_size must not be negative", got=found))
    if 0 in input.array.shape[1:]:
        raise RuntimeError(errors.message(f"{where}: only the batch may be empty", got=tuple(input.shape)))
    return found


def _even(input: Tensor, size: tuple[int, ...]) -> Frame | None:
    """The windows, if they have one size."""
    n = len(size)
    sizes = input.array.shape[-n:]
    if any(m == 0 or k % m for k, m in zip(sizes, size)):
        return None
    kernel = tuple(k // m for k, m in zip(sizes, size))
    return Frame(kernel, kernel, (0,) * n, (1,) * n, size)


def _adaptive_avg(where: str, n: int, input: Tensor, output_size: Any) -> Tensor:
    size = _target(where, n, input, output_size)
    if input.array.dtype.kind in "biu":
        raise NotImplementedError(errors.message(f"{where}: not defined for {input.dtype}", fix="convert with .float()"))
    if size == (1,) * n and n > 1:
        return input.mean(tuple(range(-n, 0)), True)
    frame = _even(input, size)
    return adaptive_average(input, size) if frame is None else _avg_pool(input, frame, True, None, True)


def adaptive_avg_pool1d(input: Tensor, output_size: int | Sequence[int]) -> Tensor:
    """The averages of `output_size` windows that cover the input: window j of L' is `[floor(j L / L'), ceil((j + 1) L /
    L'))`.

    Args:
        input: (N, C, L) or (C, L).
        output_size: L', the number of windows.

    Raises:
        RuntimeError: wrong number of dimensions, or a negative size.

    >>> import tapegrad as torch
    >>> torch.adaptive_avg_pool1d(torch.tensor([[[1.0, 2.0, 3.0]]]), 2)
    tensor([[[1.5000, 2.5000]]])
    """
    return _adaptive_avg("adaptive_avg_pool1d", 1, input, output_size)


def adaptive_avg_pool2d(input: Tensor, output_size: int | Sequence[int | None]) -> Tensor:
    """`adaptive_avg_pool1d` of (N, C, H, W) or (C, H, W); None keeps a size."""
    return _adaptive_avg("adaptive_avg_pool2d", 2, input, output_size)


def adaptive_avg_pool3d(input: Tensor, output_size: int | Sequence[int | None]) -> Tensor:
    """`adaptive_avg_pool1d` of (N, C, D, H, W) or (C, D, H, W); None keeps a size."""
    return _adaptive_avg("adaptive_avg_pool3d", 3, input, output_size)


def _adaptive_max(where: str, n: int, input: Tensor, output_size: Any, return_indices: bool) -> Any:
    size = _target(where, n, input, output_size)
    if input.array.dtype.kind in "biuc":
        raise NotImplementedError(errors.message(f"{where}: not defined for {input.dtype}", fix="convert with .float()"))
    values, indices = _adaptive_max_pool(input, size)
    return (values, indices) if return_indices else values


def adaptive_max_pool1d(input: Tensor, output_size: int | Sequence[int], return_indices: bool = False) -> Any:
    """The maxima of `output_size` windows that cover the input, those of `adaptive_avg_pool1d`.

    Args:
        input: (N, C, L) or (C, L).
        output_size: the number of windows.
        return_indices: return where each maximum lies, too.

    Raises:
        RuntimeError: wrong number of dimensions, or a negative size.

    >>> import tapegrad as torch
    >>> torch.nn.functional.adaptive_max_pool1d(torch.tensor([[[1.0, 2.0, 3.0]]]), 2)
    tensor([[[2., 3.]]])
    """
    return _adaptive_max("adaptive_max_pool1d", 1, input, output_size, return_indices)


def adaptive_max_pool2d(
    input: Tensor, output_size: int | Sequence[int | None], return_indices: bool = False
) -> Any:
    """`adaptive_max_pool1d` of (N, C, H, W) or (C, H, W); indices count the elements of a channel."""
    return _adaptive_max("adaptive_max_pool2d", 2, input, output_size, return_indices)


def adaptive_max_pool3d(
    input: Tensor, output_size: int | Sequence[int | None], return_indices: bool = False
) -> Any:
    """`adaptive_max_pool1d` of (N, C, D, H, W) or (C, D, H, W); indices count the elements of a channel."""
    return _adaptive_max("adaptive_max_pool3d", 3, input, output_size, return_indices)


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


# ---- the way back ----------------------------------------------------------------------------------------------------


def _unpool(
    where: str, n: int, input: Tensor, indices: Tensor, kernel_size: Any, stride: Any, padding: Any, output_size: Any
) -> Tensor:
    kernel = per_axis(where, "kernel_size", kernel_size, n)
    stride = kernel if stride is None else per_axis(where, "stride", stride, n)
    low = per_axis(where, "padding", padding, n)
    sizes = input.shape[-n:]
    usual = tuple((m - 1) * s + k - 2 * p for m, s, k, p in zip(sizes, stride, kernel, low))
    size = usual if output_size is None else tuple(output_size)[-n:]
    if len(size) != n or any(abs(a - b) >= s for a, b, s in zip(size, usual, stride)):
        got = f"output_size={output_size}"
        raise ValueError(errors.message(f"{where}: output_size does not fit", got=got, expected=f"about {usual}"))
    if indices.array.dtype != np.int64:
        raise RuntimeError(errors.message(f"{where}: indices must be int64", got=indices.dtype, fix="indices.long()"))
    if indices.shape != input.shape:
        got = f"{tuple(input.shape)} and {tuple(indices.shape)}"
        raise RuntimeError(errors.message(f"{where}: input and indices must have one shape", got=got))
    count = math.prod(size)
    if indices.numel() and not 0 <= indices.array.min() <= indices.array.max() < count:
        raise RuntimeError(errors.message(f"{where}: an index is out of range", expected=f"0 to {count - 1}"))
    lead = input.shape[:-n]
    flat = (*lead, math.prod(sizes))
    placed = place(reshape(input, flat), reshape(indices, flat), (*lead, count), -1, True, False)
    return reshape(placed, (*lead, *size))


def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Put maxima back to where `max_pool1d(..., return_indices=True)` found them, zeros elsewhere.

    Args:
        input: maxima, (N, C, L) or (C, L).
        indices: where they were, of the same shape.
        kernel_size: that of the pooling.
        stride: that of the pooling.
        padding: that of the pooling.
        output_size: the shape before the pooling, where it is not the one that these numbers suggest.

    Raises:
        ValueError: an `output_size` that the pooling cannot have had.
        RuntimeError: indices of another shape or type, or out of range.
    """
    return _unpool("max_unpool1d", 1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """`max_unpool1d` of (N, C, H, W) or (C, H, W)."""
    return _unpool("max_unpool2d", 2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """`max_unpool1d` of (N, C, D, H, W) or (C, D, H, W)."""
    return _unpool("max_unpool3d", 3, input, indices, kernel_size, stride, padding, output_size)
