"""The gradient of a function that is known by its samples: `torch.gradient`. Composed.

Inside, the parabola through a sample and its neighbours is differentiated; at the ends a straight line (edge order 1)
or the parabola through the last three samples (order 2).

Source: Fornberg, "Generation of finite difference formulas on arbitrarily spaced grids", Math. Comp. 51 (1988).
"""

from __future__ import annotations

from typing import Any

from ... import dtypes, shapes
from ...core.tensor import Tensor
from ...errors import message
from ...modes import defaults
from ..creation.cast import to_dtype
from ..shape.joining import cat
from ..shape.windows import slice_dim

__all__ = ["gradient"]


def _bad(what: str, got: Any, expected: str = "") -> RuntimeError:
    return RuntimeError(message(f"gradient: {what}", got=got, expected=expected))


def _steps(spacing: Any, dims: tuple[int, ...], x: Tensor) -> list[Any]:
    """For each dimension the distance of samples, or a tensor of their coordinates."""
    if spacing is None:
        return [1.0] * len(dims)
    if isinstance(spacing, Tensor) and spacing.ndim:
        raise TypeError(message("gradient: coordinates are given as a list of tensors", got="a tensor"))
    if not isinstance(spacing, list | tuple):
        return [spacing.item() if isinstance(spacing, Tensor) else spacing] * len(dims)
    if len(spacing) != len(dims):
        raise _bad("one spacing for each dimension is needed", len(spacing), str(len(dims)))
    for s, d in zip(spacing, dims):
        if isinstance(s, Tensor) and s.ndim != 1:
            raise _bad("coordinates have one dimension", f"shape {tuple(s.shape)}")
        if isinstance(s, Tensor) and s.shape[0] != x.shape[d]:
            raise _bad("one coordinate for each sample is needed", s.shape[0], str(x.shape[d]))
    return list(spacing)


def gradient(input: Tensor, *, spacing: Any = None, dim: Any = None, edge_order: int = 1) -> tuple[Tensor, ...]:
    """The partial derivatives of a function along each dimension, from its samples.

    Args:
        input: the samples.
        spacing: the distance of neighbouring samples, or one for each dimension, or for each a tensor of coordinates.
        dim: the dimension or dimensions (default: all).
        edge_order: 1 or 2, the order of accuracy at the ends.

    Returns:
        One tensor for each dimension.

    Raises:
        RuntimeError: a spacing that does not fit, another order, or too few samples.

    >>> import tapegrad as torch
    >>> torch.gradient(torch.tensor([0.0, 1.0, 4.0, 9.0]), edge_order=2)
    (tensor([0., 2., 4., 6.]),)
    """
    if dim is None:
        dims = tuple(range(input.ndim))
    else:
        named = (dim,) if hasattr(dim, "__index__") else tuple(dim)
        dims = tuple(shapes.axis("gradient", d, input.ndim) for d in named)
        if len(set(dims)) != len(dims):
            raise _bad("a dimension is named twice", f"dim={dim}")
    if edge_order not in (1, 2):
        raise _bad("unknown edge_order", edge_order, "1 or 2")
    steps = _steps(spacing, dims, input)
    for d in dims:
        if input.shape[d] < edge_order + 1:
            raise _bad(f"too few samples along dimension {d}", input.shape[d], f"{edge_order + 1} or more")
    x = input if input.dtype.kind >= dtypes.FLOAT else to_dtype(input, defaults.dtype)
    return tuple(_along(x, d, h, edge_order) for d, h in zip(dims, steps))


def _along(x: Tensor, d: int, h: Any, order: int) -> Tensor:
    """The derivative along dimension d; h is the distance of samples, or their coordinates."""
    n = x.shape[d]

    def part(start: int, end: int) -> Tensor:
        return slice_dim(x, d, start, end, 1)

    if isinstance(h, Tensor):
        shape = (n - 1, *(1,) * (x.ndim - 1 - d))
        gaps = to_dtype(slice_dim(h, 0, 1, n, 1) - slice_dim(h, 0, 0, n - 1, 1), x.dtype).reshape(shape)
        gap = [slice_dim(gaps, 0, i, i + 1, 1) for i in (0, min(1, n - 2), max(n - 3, 0), n - 2)]
        before, after = slice_dim(gaps, 0, 0, n - 2, 1), slice_dim(gaps, 0, 1, n - 1, 1)
        inner = (
            -after / (before * (before + after)) * part(0, n - 2)
            + (after - before) / (before * after) * part(1, n - 1)
            + before / (after * (before + after)) * part(2, n)
        )
    else:
        gap = [h] * 4
        inner = (part(2, n) - part(0, n - 2)) / (2 * h)
    if order == 1:
        first, last = (part(1, 2) - part(0, 1)) / gap[0], (part(n - 1, n) - part(n - 2, n - 1)) / gap[3]
    else:
        first = _edge(part(0, 1), part(1, 2), part(2, 3), gap[0], gap[1])
        last = _edge(part(n - 1, n), part(n - 2, n - 1), part(n - 3, n - 2), -gap[3], -gap[2])
    return cat([first, inner, last], d)


def _edge(a: Tensor, b: Tensor, c: Tensor, near: Any, far: Any) -> Tensor:
    """The slope at `a` of the parabola through a, b, c, with `near` from a to b and `far` from b to c."""
    both = near + far
    return -(near + both) / (near * both) * a + both / (near * far) * b - near / (far * both) * c
