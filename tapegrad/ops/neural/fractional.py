"""Fractional max pooling: windows at random places, so that sizes shrink by any ratio (Graham 2014)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ... import errors
from ...backends.cpu import pool as kernels
from ...core.op import Array, op
from ...core.tensor import Tensor
from ..casting import full
from ..random.draws import rand
from .conv import per_axis
from .pool import place_in_channels


@op(
    name="fractional_max_pool",
    returns=("values", "indices"),
    node=lambda node: f"FractionalMaxPool{len(node.attrs[0][0])}DBackward0",
)
def _pooled(x: Array, samples: Array, kernel, size):
    rank = len(kernel)
    sizes = x.shape[-rank:]
    numbers = zip(_order(rank), sizes, size, kernel)
    starts = tuple(kernels.random_starts(samples[..., i], n, m, k) for i, n, m, k in numbers)
    return kernels.fractional_maximum(x, starts, kernel)


def _order(rank: int) -> tuple[int, ...]:
    """Which of the random numbers is that of each dimension: PyTorch takes the last dimension first in images only."""
    return (1, 0) if rank == 2 else (0, 1, 2)


@_pooled.shape
def _(x, samples, kernel, size):
    return (*x[: -len(size)], *size)


@_pooled.grad("x")
def _(g, indices, x_shape, size):
    return place_in_channels(g, indices, x_shape[-len(size) :])


def _fractional(
    where: str,
    rank: int,
    input: Tensor,
    kernel_size: Any,
    output_size: Any,
    output_ratio: Any,
    return_indices: bool,
    samples: Tensor | None,
) -> Any:
    if output_size is None and output_ratio is None:
        raise ValueError(errors.message(f"{where}: give an output_size or an output_ratio"))
    if input.dim() not in (rank + 1, rank + 2):
        got, expected = tuple(input.shape), f"{rank + 2} (batched) or {rank + 1}"
        kind = IndexError if input.dim() < rank + 1 else RuntimeError
        raise kind(errors.message(f"{where}: the input has the wrong number of dimensions", got=got, expected=expected))
    if input.array.dtype.kind in "biuc":
        text = f"{where}: not implemented for {input.dtype}"
        raise NotImplementedError(errors.message(text, fix="convert with .float()"))
    sizes = input.shape[-rank:]
    if output_size is None:
        ratios = _ratios(output_ratio, rank)
        output_size = [int(n * r) for n, r in zip(sizes, ratios)]
    kernel, size = per_axis(where, "kernel_size", kernel_size, rank), per_axis(where, "output_size", output_size, rank)
    single = input.dim() == rank + 1
    lead = (1, input.shape[0]) if single else tuple(input.shape[:2])
    if samples is None:
        samples = rand((*lead, rank), dtype=input.dtype)
    _check(where, input, samples, lead, sizes, kernel, size)
    values, indices = _pooled(input.unsqueeze(0) if single else input, samples, kernel, size)
    if single:
        values, indices = values.squeeze(0), indices.squeeze(0)
    return (values, indices) if return_indices else values


def _ratios(ratio: Any, rank: int) -> tuple[float, ...]:
    """One ratio for each dimension, from one or several."""
    return tuple(ratio) if isinstance(ratio, (tuple, list)) else (ratio,) * rank


def _check(
    where: str, input: Tensor, samples: Tensor, lead: tuple, sizes: Sequence[int], kernel: tuple, size: tuple
) -> None:
    rank = len(kernel)
    if 0 in input.shape[-rank - 1 :]:
        raise RuntimeError(errors.message(f"{where}: only the batch may be empty", got=tuple(input.shape)))
    if tuple(samples.shape) != (*lead, rank):
        got, expected = tuple(samples.shape), (*lead, rank)
        raise RuntimeError(errors.message(f"{where}: _random_samples has another shape", got=got, expected=expected))
    if samples.dtype is not input.dtype:
        got = f"{samples.dtype} and {input.dtype}"
        raise RuntimeError(errors.message(f"{where}: _random_samples and the input must have one dtype", got=got))
    room = 0 if rank == 2 else 1
    for n, k, m in zip(sizes, kernel, size):
        if k <= 0 or m <= 0 or m + k - 1 > n - room:
            text = f"{where}: pool size {k} and output size {m} are too large relative to the input size {n}"
            expected = f"output_size + kernel_size <= {n + 1 - room}, both positive"
            raise RuntimeError(errors.message(text, got=tuple(input.shape), expected=expected))


@full
def fractional_max_pool2d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    output_size: int | Sequence[int] | None = None,
    output_ratio: float | Sequence[float] | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """The maxima of windows at random places that cover the input in uneven steps (Graham 2014).

    Args:
        input: (N, C, H, W) or (C, H, W).
        kernel_size: (KH, KW), or one number for both.
        output_size: how many windows there are, (H', W'); this or `output_ratio`.
        output_ratio: what to multiply H and W with to get them.
        return_indices: return where each maximum lies in its channel, too.
        _random_samples: the random numbers of [0, 1), (N, C, 2); drawn if None.

    Returns:
        (N, C, H', W') or (C, H', W'), or that and the indices.

    Raises:
        ValueError: neither size nor ratio is given.
        RuntimeError: sizes do not fit.

    >>> import tapegrad as torch
    >>> x = torch.arange(16.0).reshape(1, 4, 4)
    >>> torch.nn.functional.fractional_max_pool2d(x, 2, output_size=2).shape
    torch.Size([1, 2, 2])
    """
    where = "fractional_max_pool2d"
    return _fractional(where, 2, input, kernel_size, output_size, output_ratio, return_indices, _random_samples)


@full
def fractional_max_pool3d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    output_size: int | Sequence[int] | None = None,
    output_ratio: float | Sequence[float] | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """`fractional_max_pool2d` of (N, C, D, H, W) or (C, D, H, W)."""
    where = "fractional_max_pool3d"
    return _fractional(where, 3, input, kernel_size, output_size, output_ratio, return_indices, _random_samples)
