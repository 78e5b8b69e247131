"""Pooling to a given size: as many windows as are asked for, cut as evenly as possible; and `max_unpool`.

Windows of one size are those of `pool`; averages of uneven ones are a map along each dimension (`resample`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import errors
from ...backends.cpu import pool as kernels
from ...core.op import Array, op
from ...core.tensor import Tensor
from ..casting import full
from .conv import per_axis
from .pool import average_windows, max_pool_windows, pick_in_channels, place_in_channels
from .resample import lines_of, resample

__all__ = ["adaptive_avg_pool1d", "adaptive_max_pool1d"]

_NODES = ("", "SqueezeBackward1", "AdaptiveMaxPool2DBackward0", "AdaptiveMaxPool3DBackward0")

# ---- the operation ---------------------------------------------------------------------------------------------------


@op(
    name="adaptive_max_pool",
    returns=("values", "indices"),
    node=lambda node: _NODES[len(node.attrs[0][0])],
    linked=True,
)
def _adaptive_max_pool(x: Array, size):
    return kernels.adaptive_maximum(x, size)


@_adaptive_max_pool.shape
def _(x, size):
    return (*x[: -len(size)], *size)


@_adaptive_max_pool.grad
def _(g, indices, x_shape, size):
    return place_in_channels(g, indices, x_shape[-len(size) :])


# ---- as many windows as are asked for --------------------------------------------------------------------------------


def _target(where: str, n: int, input: Tensor, output_size: Any) -> tuple[int, ...]:
    """The spatial shape asked for; None stands for the size of the input."""
    if not isinstance(input, Tensor):
        raise TypeError(errors.message(f"{where}: the input must be a tensor", got=type(input).__name__))
    if input.array.ndim not in (n + 1, n + 2):
        text = f"{where}: the input has the wrong number of dimensions"
        many = n > 1 and isinstance(output_size, (tuple, list)) and input.array.ndim <= n
        kind = ValueError if many else RuntimeError
        raise kind(errors.message(text, got=tuple(input.shape), expected=f"{n + 2} (batched) or {n + 1}"))
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


def _even(input: Tensor, size: tuple[int, ...]) -> kernels.Frame | None:
    """The windows, if they have one size."""
    n = len(size)
    sizes = input.array.shape[-n:]
    if any(m == 0 or k % m for k, m in zip(sizes, size)):
        return None
    kernel = tuple(k // m for k, m in zip(sizes, size))
    return kernels.Frame(kernel, kernel, (0,) * n, (1,) * n, size)


def adaptive_average(where: str, input: Tensor, size: tuple[int, ...]) -> Tensor:
    """Averages of windows that cover the last dimensions as evenly as possible."""
    n = len(size)
    if input.array.dtype.kind in "biu":
        text = f"{where}: not defined for {input.dtype}"
        raise NotImplementedError(errors.message(text, fix="convert with .float()"))
    if size == (1,) * n and n > 1:
        return input.mean(tuple(range(-n, 0)), True)
    frame = _even(input, size)
    if frame is not None:
        return average_windows(input, frame, even=True)
    return resample(input, lines_of("average", input.shape[-n:], size, (None,) * n, False))


def _adaptive_avg(where: str, n: int, input: Tensor, output_size: Any) -> Tensor:
    return adaptive_average(where, input, _target(where, n, input, output_size))


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


@full
def adaptive_avg_pool3d(input: Tensor, output_size: int | Sequence[int | None]) -> Tensor:
    """`adaptive_avg_pool1d` of (N, C, D, H, W) or (C, D, H, W); None keeps a size."""
    return _adaptive_avg("adaptive_avg_pool3d", 3, input, output_size)


def _adaptive_max(where: str, n: int, input: Tensor, output_size: Any, return_indices: bool) -> Any:
    size = _target(where, n, input, output_size)
    if input.array.dtype.kind in "biuc":
        raise NotImplementedError(
            errors.message(f"{where}: not defined for {input.dtype}", fix="convert with .float()")
        )
    frame = _even(input, size)
    if frame is not None and max(frame.kernel) <= 8:
        values, indices = max_pool_windows(input, frame, True)
    else:
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


def adaptive_max_pool2d(input: Tensor, output_size: int | Sequence[int | None], return_indices: bool = False) -> Any:
    """`adaptive_max_pool1d` of (N, C, H, W) or (C, H, W); indices count the elements of a channel."""
    return _adaptive_max("adaptive_max_pool2d", 2, input, output_size, return_indices)


@full
def adaptive_max_pool3d(input: Tensor, output_size: int | Sequence[int | None], return_indices: bool = False) -> Any:
    """`adaptive_max_pool1d` of (N, C, D, H, W) or (C, D, H, W); indices count the elements of a channel."""
    return _adaptive_max("adaptive_max_pool3d", 3, input, output_size, return_indices)


# ---- the way back ----------------------------------------------------------------------------------------------------

_UNPOOL_NODES = ("", "SqueezeBackward1", "MaxUnpool2DBackward0", "MaxUnpool3DBackward0")


@op(name="max_unpool", node=lambda node: _UNPOOL_NODES[len(node.attrs[0][0])])
def _max_unpool(x: Array, indices: Array, sizes):
    return kernels.scatter(x, indices, sizes, True)  # of two at one place the last stays


@_max_unpool.shape
def _(x, indices, sizes):
    return (*x[: -len(sizes)], *sizes)


@_max_unpool.grad("x")
def _(g, indices, sizes):
    return pick_in_channels(g, indices, len(sizes))


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
    return _max_unpool(input, indices, size)


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
