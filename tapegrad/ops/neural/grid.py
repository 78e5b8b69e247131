"""Sampling images at any positions: `grid_sample`, and the grids of affine maps.

An output is a weighted sum of a few pixels. Weights are computed from positions by differentiable operations; the sum
is linear in the pixels and in the weights, and its derivatives are the two other forms of one trilinear expression,
`sum of g[p] weight[t, p] x[at[t, p]]`: so all orders of derivatives exist.

References: Jaderberg et al. 2015 (spatial transformers), Keys 1981 (cubic convolution).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import errors
from ...backends.cpu import grid as kernels
from ...core.op import Array, elementwise, op
from ...core.tensor import Tensor, wrap
from ...ir import expr as e
from ..casting import full
from ..creation.ranges import linspace
from ..pointwise.arithmetic import mul
from ..pointwise.bounds import clamp
from ..pointwise.compare import where
from ..pointwise.functions import abs, floor
from ..reduction.reduce import sum
from ..shape.joining import stack
from ..shape.movement import reshape
from .activation import hardtanh

__all__ = ["grid_sampler", "grid_sampler_2d", "grid_sampler_3d", "affine_grid_generator"]

MODES = ("bilinear", "nearest", "bicubic")
PADDINGS = ("zeros", "border", "reflection")

# ---- the operations --------------------------------------------------------------------------------------------------
# x: (N, C, *sizes), at and weight: (T, N * prod(size)), the flat pixel of each tap (-1: none) and its weight.


@op(name="grid_sample", node=lambda node: f"GridSampler{len(node.attrs[0][0])}DBackward0")
def _sampled(x: Array, weight: Array, at: Array, size):
    return kernels.sample(x, weight, at, size)


@_sampled.shape
def _(x, weight, at, size):
    return (*x[:2], *size)


@_sampled.grad("x")
def _(g, weight, at, x_shape):
    return _spread(g, weight, at, x_shape[2:])


@_sampled.grad("weight")
def _(g, x, at):
    return _matched(g, x, at)


@op(name="grid_sample_backward")
def _spread(dy: Array, weight: Array, at: Array, sizes):
    return kernels.spread(dy, weight, at, sizes)


@_spread.shape
def _(dy, weight, at, sizes):
    return (*dy[:2], *sizes)


@_spread.grad("dy")
def _(g, weight, at, dy_shape):
    return _sampled(g, weight, at, dy_shape[2:])


@_spread.grad("weight")
def _(g, dy, at):
    return _matched(dy, g, at)


@op(name="grid_sample_weights")
def _matched(dy: Array, x: Array, at: Array):
    return kernels.match(dy, x, at)


@_matched.shape
def _(dy, x, at):
    return at


@_matched.grad("dy")
def _(g, x, at, dy_shape):
    return _sampled(x, g, at, dy_shape[2:])


@_matched.grad("x")
def _(g, dy, at, x_shape):
    return _spread(dy, g, at, x_shape[2:])


# ---- taps ------------------------------------------------------------------------------------------------------------
# Along one axis a tap is (pixel as an array of floats, weight as a tensor or None for 1).

Taps = list[tuple[Array, "Tensor | None"]]


@elementwise(method=False, inplace=False, name="grid_pixels", refuses="biu")
def _pixels(x, n=1, corners=False):
    """Where coordinates of [-1, 1] lie among n pixels: the ends are the first and last pixel, or their outer sides."""
    return (x + 1) * ((n - 1) * 0.5) if corners else ((x + 1) * n - 1) * 0.5


@_pixels.grad
def _(g, n, corners):
    return g * ((n - 1) * 0.5 if corners else n * 0.5)


@elementwise(method=False, inplace=False, name="grid_mirrored", refuses="biu")
def _mirrored(x, low=0.0, high=1.0):
    """Positions folded back at `low` and `high`, as often as it takes."""
    away = e.abs(x - low)
    turns = e.floor(away / (high - low))
    rest = away - turns * (high - low)
    return e.where(turns - 2 * e.floor(turns * 0.5) > 0, high - rest, rest + low)


@_mirrored.grad
def _(g, x, low, high):
    turns = floor(abs(x - low) / (high - low))
    back = turns - 2 * floor(turns * 0.5)  # 1 where the position runs the other way
    return g * where(x >= low, 1 - 2 * back, 2 * back - 1)


def _limits(n: int, corners: bool) -> tuple[float, float]:
    """Between which positions a reflection goes back and forth."""
    return (0.0, n - 1.0) if corners else (-0.5, n - 0.5)


def _reflected(at: Any, n: int, corners: bool) -> Any:
    """Positions folded back into the image; of a tensor or an array."""
    low, high = _limits(n, corners)
    return at * 0 if low == high else _mirrored(at, low, high)


def _inside(at: Tensor, n: int, padding: str, corners: bool) -> Tensor:
    """Positions after padding: within the image, unless that is done by zeros around it."""
    if padding == "zeros":
        return at
    at = _reflected(at, n, corners) if padding == "reflection" else at
    return hardtanh(at, 0.0, n - 1.0)  # no gradient at the border


def _linear_taps(at: Tensor) -> Taps:
    left = np.floor(at.array)
    t = at - wrap(left)
    return [(left, 1 - t), (left + 1, t)]


def _nearest_taps(at: Tensor) -> Taps:
    one = clamp(at.floor(), 1.0, 1.0) if at.requires_grad else None  # 1, with a derivative of 0
    return [(np.rint(at.array), one)]


def _cubic_taps(at: Tensor, n: int, padding: str, corners: bool) -> Taps:
    """Keys' cubic with a = -3/4; each pixel is padded on its own."""
    left = np.floor(at.array)
    t = at - wrap(left)
    found: Taps = []
    for k in (-1, 0, 1, 2):
        place = left + k
        if padding != "zeros":
            place = _reflected(place, n, corners) if padding == "reflection" else place
            place = np.clip(place, 0, n - 1)
        d = t + 1 if k == -1 else t if k == 0 else 1 - t if k == 1 else 2 - t  # distance, 0 to 2
        near = ((1.25 * d - 2.25) * d) * d + 1
        found.append((place, near if k in (0, 1) else ((-0.75 * d + 3.75) * d - 6) * d + 3))
    return found


def _combined(axes: list[Taps], sizes: tuple[int, ...], batch: int, dtype: Any) -> tuple[Tensor, Tensor]:
    """(weight, at) of all combinations of one tap for each axis, outermost axis first."""
    at = kernels.flat_places([[place for place, _ in taps] for taps in axes], sizes, batch)
    weight: Tensor | None = None
    for taps in axes:
        own = [w for _, w in taps if w is not None]
        if own:
            line = stack(own)  # (taps of this axis, M)
            weight = line if weight is None else mul(weight.unsqueeze(1), line).reshape(-1, at.shape[1])
    return wrap(np.ones(at.shape, dtype)) if weight is None else weight, wrap(at)


# ---- the functions ---------------------------------------------------------------------------------------------------


def _check_sampler(where: str, input: Tensor, grid: Tensor, mode: str) -> None:
    rank = input.dim() - 2
    if rank not in (2, 3) or grid.dim() != input.dim():
        expected = "(N, C, H, W) and (N, H', W', 2), or (N, C, D, H, W) and (N, D', H', W', 3)"
        got = f"{tuple(input.shape)} and {tuple(grid.shape)}"
        raise RuntimeError(errors.message(f"{where}: wrong numbers of dimensions", got=got, expected=expected))
    if input.shape[0] != grid.shape[0]:
        got = f"input {tuple(input.shape)}, grid {tuple(grid.shape)}"
        raise RuntimeError(errors.message(f"{where}: input and grid must have the same batch size", got=got))
    if grid.shape[-1] != rank:
        raise RuntimeError(errors.message(f"{where}: the last size of grid must be {rank}", got=tuple(grid.shape)))
    if 0 in input.shape[1:]:
        text = f"{where}: only the batch may be empty"
        raise RuntimeError(errors.message(text, got=tuple(input.shape)))
    if input.dtype is not grid.dtype:
        got = f"input {input.dtype}, grid {grid.dtype}"
        raise RuntimeError(errors.message(f"{where}: input and grid must have the same dtype", got=got))
    if input.array.dtype.kind in "biuc":
        text = f"{where}: not implemented for {input.dtype}"
        raise NotImplementedError(errors.message(text, fix="convert with .float()"))
    if mode == "bicubic" and rank == 3:
        raise RuntimeError(errors.message(f"{where}: bicubic interpolation only supports 4-D input"))


def _sample(where: str, input: Tensor, grid: Tensor, mode: str, padding: str, corners: bool) -> Tensor:
    _check_sampler(where, input, grid, mode)
    sizes, axes = input.shape[2:], []
    for k, n in enumerate(reversed(sizes)):  # x is the last axis of the image
        at = _pixels(grid[..., k].reshape(-1), n, corners)
        if mode == "bicubic":
            axes.append(_cubic_taps(at, n, padding, corners))
        else:
            at = _inside(at, n, padding, corners)
            axes.append(_linear_taps(at) if mode == "bilinear" else _nearest_taps(at))
    weight, at = _combined(axes[::-1], tuple(sizes), input.shape[0], input.array.dtype)
    return _sampled(input, weight, at, tuple(grid.shape[1:-1]))


@full
def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """The values of images at any positions: `y[n, c, p] = sum over pixels i near grid[n, p] of w(i) x[n, c, i]`.

    Args:
        input: images x, (N, C, H, W) or (N, C, D, H, W).
        grid: positions, (N, H', W', 2) as (x, y) or (N, D', H', W', 3) as (x, y, z); -1 and 1 are the borders.
        mode: "bilinear" (in volumes: trilinear), "nearest" or "bicubic" (images only).
        padding_mode: what lies outside: "zeros", "border" (the nearest pixel) or "reflection".
        align_corners: whether -1 and 1 are the centres of the outermost pixels, not their outer sides.

    Returns:
        y, (N, C, H', W') or (N, C, D', H', W').

    Raises:
        ValueError: an unknown mode or padding.
        RuntimeError: shapes or dtypes do not fit.

    >>> import tapegrad as torch
    >>> x = torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])
    >>> torch.nn.functional.grid_sample(x, torch.zeros(1, 1, 1, 2), align_corners=False)
    tensor([[[[1.5000]]]])
    """
    for name, value, known in (("mode", mode, MODES), ("padding_mode", padding_mode, PADDINGS)):
        if value not in known:
            expected = ", ".join(map(repr, known))
            raise ValueError(errors.message(f"grid_sample: unknown {name}", got=repr(value), expected=expected))
    if align_corners is None:
        text = "grid_sample: align_corners is False since it was not given; before PyTorch 1.3 it was True"
        warnings.warn(text, stacklevel=2)
    return _sample("grid_sample", input, grid, mode, padding_mode, bool(align_corners))


def _by_number(where: str, rank: int | None) -> Any:
    def function(
        input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
    ) -> Tensor:
        if rank is not None and input.dim() != rank + 2:
            text = f"{where}: expected {rank + 2} dimensions"
            raise RuntimeError(errors.message(text, got=tuple(input.shape)))
        return _sample(where, input, grid, MODES[interpolation_mode], PADDINGS[padding_mode], align_corners)

    function.__name__ = function.__qualname__ = where
    function.__doc__ = (
        "`nn.functional.grid_sample` with numbers for the mode (0 bilinear, 1 nearest, 2 bicubic) and the padding "
        "(0 zeros, 1 border, 2 reflection)."
    )
    return function


grid_sampler = _by_number("grid_sampler", None)
grid_sampler_2d = _by_number("grid_sampler_2d", 2)
grid_sampler_3d = _by_number("grid_sampler_3d", 3)


# ---- grids -----------------------------------------------------------------------------------------------------------


@op(name="affine_grid_generator")
def _mapped(theta: Array, points: Array, sizes):
    return np.matmul(points, theta.swapaxes(1, 2)).reshape(theta.shape[0], *sizes, len(sizes))


@_mapped.shape
def _(theta, points, sizes):
    return (theta[0], *sizes, len(sizes))


@_mapped.grad("theta", "points")
def _(g, theta, points, points_shape, theta_shape):
    flat = reshape(g, (theta_shape[0], points_shape[0], theta_shape[1]))
    return flat.mT @ points, sum(flat @ theta, 0)


def affine_grid_generator(theta: Tensor, size: Sequence[int], align_corners: bool) -> Tensor:
    """`nn.functional.affine_grid` without its checks."""
    sizes = tuple(size)[2:]
    lines = []
    for n in sizes:
        line = linspace(-1, 1, n, dtype=theta.dtype) if n > 1 else wrap(np.zeros(n, theta.array.dtype))
        lines.append(line.array if align_corners or n < 1 else line.array * line.array.dtype.type((n - 1) / n))
    mesh = np.meshgrid(*lines, np.ones(1, theta.array.dtype), indexing="ij")
    points = np.stack([m.reshape(-1) for m in (*mesh[-2::-1], mesh[-1])], -1)  # (P, K): x, y, (z,) 1
    return _mapped(theta, wrap(points), sizes)


def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """The positions that affine maps give to the pixels of images: `grid[n, i, j] = theta[n] (x_j, y_i, 1)`.

    Args:
        theta: one map for each image, (N, 2, 3), or (N, 3, 4) for volumes.
        size: the shape of the images, (N, C, H, W) or (N, C, D, H, W).
        align_corners: whether -1 and 1 are the centres of the outermost pixels, not their outer sides.

    Returns:
        Positions for `grid_sample`, (N, H, W, 2) or (N, D, H, W, 3).

    Raises:
        ValueError: shapes do not fit, sizes are not positive, or theta is not floating point.
        NotImplementedError: neither images nor volumes.

    >>> import tapegrad as torch
    >>> theta = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    >>> torch.nn.functional.affine_grid(theta, (1, 1, 1, 2), align_corners=False)
    tensor([[[[-0.5000,  0.0000],
              [ 0.5000,  0.0000]]]])
    """
    if not theta.is_floating_point():
        raise ValueError(errors.message("affine_grid: Expected theta to be floating point", got=theta.dtype))
    rank = len(size) - 2
    if rank not in (2, 3):
        text = "affine_grid: only images (4 sizes) and volumes (5 sizes) have grids"
        raise NotImplementedError(errors.message(text, got=tuple(size)))
    if theta.dim() != 3 or theta.shape[-2:] != (rank, rank + 1):
        got, expected = tuple(theta.shape), f"(N, {rank}, {rank + 1})"
        raise ValueError(errors.message("affine_grid: theta does not fit the size", got=got, expected=expected))
    if min(size) <= 0:
        raise ValueError(errors.message("affine_grid: Expected non-zero, positive output size", got=tuple(size)))
    if align_corners is None:
        text = "affine_grid: align_corners is False since it was not given; before PyTorch 1.3 it was True"
        warnings.warn(text, stacklevel=2)
        align_corners = False
    elif align_corners and min(size[2:]) == 1:
        text = "affine_grid: with align_corners=True, a size of 1 is the middle; before PyTorch 1.3 it was -1"
        warnings.warn(text, stacklevel=2)
    return affine_grid_generator(theta, size, align_corners)
