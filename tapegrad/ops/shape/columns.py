"""Windows as columns and back: `unfold` and `fold`, each the derivative of the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import errors
from ...backends.cpu import conv as kernels
from ...backends.cpu import pool
from ...core.op import Array, op
from ...core.tensor import Tensor
from ..neural.conv import check_numbers, per_axis


@op(name="im2col", node="Im2ColBackward0")
def _unfold(x: Array, frame):
    view = kernels.windows(x if x.ndim == 4 else x[None], *frame)  # (N, C, *K, *P)
    return np.array(view, order="C").reshape(_columns(x.shape, frame))


@_unfold.shape
def _(x, frame):
    return _columns(x, frame)


@_unfold.grad
def _(g, x_shape, frame):
    return _fold(g, x_shape[-2:], frame)


def _columns(shape: tuple[int, ...], frame: pool.Frame) -> tuple[int, ...]:
    """The shape of the columns of an image of `shape`."""
    return (*shape[:-3], shape[-3] * math.prod(frame.kernel), math.prod(frame.size))


@op(name="col2im", node="Col2ImBackward0")
def _fold(x: Array, sizes, frame):
    channels = x.shape[-2] // math.prod(frame.kernel)
    out = np.zeros((*x.shape[:-2], channels, *sizes), x.dtype)
    columns = x.reshape(-1, channels, *frame.kernel, *frame.size)
    kernels.fold(columns, out if x.ndim == 3 else out[None], frame.stride, frame.low, frame.dilation)
    return out


@_fold.shape
def _(x, sizes, frame):
    return (*x[:-2], x[-2] // math.prod(frame.kernel), *sizes)


@_fold.grad
def _(g, frame):
    return _unfold(g, frame)


def _frame(where: str, sizes: Sequence[int], kernel: Any, dilation: Any, padding: Any, stride: Any) -> pool.Frame:
    """Where windows lie in an image of `sizes`, checked."""
    kernel, dilation = per_axis(where, "kernel_size", kernel, 2), per_axis(where, "dilation", dilation, 2)
    low, stride = per_axis(where, "padding", padding, 2), per_axis(where, "stride", stride, 2)
    check_numbers(where, kernel_size=kernel, dilation=dilation, stride=stride, padding=low)
    size = tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, p, d, k, s in zip(sizes, low, dilation, kernel, stride))
    if min(size) < 1:
        got = f"an image of {tuple(sizes)}, kernel_size {kernel}, padding {low}, dilation {dilation}"
        raise RuntimeError(errors.message(f"{where}: no window fits", got=got))
    return pool.Frame(kernel, stride, low, dilation, size)


def unfold(
    input: Tensor,
    kernel_size: int | Sequence[int],
    dilation: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    stride: int | Sequence[int] = 1,
) -> Tensor:
    """The windows of an image as columns.

    Args:
        input: (N, C, H, W) or (C, H, W).
        kernel_size: (KH, KW), or one number for both.
        dilation: the step between the elements of a window.
        padding: zeros on all sides.
        stride: the step between windows.

    Returns:
        (N, C KH KW, L) with one column for each of the L windows.

    Raises:
        RuntimeError: numbers that do not fit the shape.

    >>> import tapegrad as torch
    >>> torch.nn.functional.unfold(torch.arange(4.0).reshape(1, 1, 2, 2), (1, 2))
    tensor([[[0., 2.],
             [1., 3.]]])
    """
    if not isinstance(input, Tensor):
        raise TypeError(errors.message("unfold: the input must be a tensor", got=type(input).__name__))
    if input.dim() not in (3, 4) or 0 in input.shape[1 if input.dim() == 4 else 0 :]:
        text = "unfold: expected (N, C, H, W) or (C, H, W), empty at most in N"
        raise RuntimeError(errors.message(text, got=tuple(input.shape)))
    frame = _frame("unfold", input.shape[-2:], kernel_size, dilation, padding, stride)
    return _unfold(input, frame)


def fold(
    input: Tensor,
    output_size: int | Sequence[int],
    kernel_size: int | Sequence[int],
    dilation: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    stride: int | Sequence[int] = 1,
) -> Tensor:
    """Add the columns that `unfold` makes of an image to the places they come from.

    Args:
        input: (N, C KH KW, L) or (C KH KW, L).
        output_size: (H, W).
        kernel_size: (KH, KW), or one number for both.
        dilation: the step between the elements of a window.
        padding: zeros on all sides of the image, which are cut off.
        stride: the step between windows.

    Returns:
        (N, C, H, W).

    Raises:
        RuntimeError: numbers that do not fit the shape.

    >>> import tapegrad as torch
    >>> torch.nn.functional.fold(torch.ones(1, 2, 2), (1, 3), (1, 2))
    tensor([[[[1., 2., 1.]]]])
    """
    if not isinstance(input, Tensor):
        raise TypeError(errors.message("fold: the input must be a tensor", got=type(input).__name__))
    sizes = per_axis("fold", "output_size", output_size, 2)
    frame = _frame("fold", sizes, kernel_size, dilation, padding, stride)
    count = math.prod(frame.kernel)
    if input.dim() not in (2, 3) or 0 in input.shape[-2:] or input.shape[-2] % count:
        text = "fold: expected (N, C KH KW, L) or (C KH KW, L)"
        raise RuntimeError(errors.message(text, got=f"{tuple(input.shape)}, kernel_size {frame.kernel}"))
    if input.shape[-1] != math.prod(frame.size):
        text = f"fold: an image of {sizes} has {math.prod(frame.size)} windows"
        raise RuntimeError(errors.message(text, got=f"{input.shape[-1]} columns"))
    return _fold(input, sizes, frame)
