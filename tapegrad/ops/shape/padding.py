"""Cells around an array: `pad` with a number, by reflection, by repeating the border, or as a ring."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from ... import errors
from ...backends.cpu import conv
from ...backends.cpu import resample as kernels
from ...core.op import Array, op
from ...core.tensor import Tensor
from ..neural.resample import resample

__all__ = ["constant_pad_nd"]

_KINDS = {"reflect": "reflect", "replicate": "replicate", "circular": "circular"}


@op(name="constant_pad", node="ConstantPadNdBackward0")
def _constant(x: Array, low, high, value=0):
    out = conv.padded(x, low, tuple(a + n + b for a, n, b in zip(low, x.shape[x.ndim - len(low) :], high)), value)
    return out if out.base is None else out.copy()


@_constant.shape
def _(x, low, high, value=0):
    lead = len(x) - len(low)
    return (*x[:lead], *(a + n + b for a, n, b in zip(low, x[lead:], high)))


@_constant.grad
def _(g, low, high):
    return _constant(g, tuple(-a for a in low), tuple(-b for b in high))


def _pairs(where: str, pad: Any, ndim: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Cells before and after each of the last dimensions, outermost first; `pad` begins with the last dimension."""
    try:
        numbers = tuple(map(operator.index, pad))
    except TypeError:
        raise TypeError(errors.message(f"{where}: pad must be integers", got=repr(pad))) from None
    if len(numbers) % 2:
        raise RuntimeError(errors.message(f"{where}: pad needs two numbers for each dimension", got=numbers))
    if len(numbers) > 2 * ndim:
        got = f"{numbers} for {ndim} dimensions"
        raise RuntimeError(errors.message(f"{where}: more numbers than dimensions", got=got))
    return numbers[-2::-2], numbers[::-2]


def constant_pad_nd(input: Tensor, pad: Sequence[int], value: float = 0) -> Tensor:
    """`pad` with mode 'constant'.

    >>> import tapegrad as torch
    >>> torch.constant_pad_nd(torch.tensor([1, 2]), (1, 0), 7)
    tensor([7, 1, 2])
    """
    low, high = _pairs("pad", pad, input.dim())
    sizes = input.shape[input.dim() - len(low) :]
    result = tuple(a + n + b for a, n, b in zip(low, sizes, high))
    if any(m < 0 for m in result) or any(a + n < 0 or n + b < 0 for a, n, b in zip(low, sizes, high)):
        got = f"{tuple(input.shape)} and pad={tuple(pad)}"
        raise RuntimeError(errors.message("pad: more is cut off than there is", got=got))
    return _constant(input, low, high, value)


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Add cells before and after the last dimensions; negative numbers cut off.

    Args:
        input: any shape for 'constant'; (N, C, *) or (C, *) with 1 to 3 spatial dimensions for the others.
        pad: how many cells before and after the last dimension, then the last but one, and so on.
        mode: 'constant', 'reflect' (the border is the mirror), 'replicate' (repeat the border) or 'circular'.
        value: what 'constant' fills in; 0 if None.

    Raises:
        NotImplementedError: an unknown mode, or one that the number of dimensions does not have.
        RuntimeError: numbers that do not fit the shape.
        ValueError: a value for another mode than 'constant'.

    >>> import tapegrad as torch
    >>> torch.nn.functional.pad(torch.tensor([[[1.0, 2.0, 3.0]]]), (1, 2), mode="reflect")
    tensor([[[2., 1., 2., 3., 2., 1.]]])
    """
    if not isinstance(input, Tensor):
        raise TypeError(errors.message("pad: the input must be a tensor", got=type(input).__name__))
    if mode == "constant":
        return constant_pad_nd(input, pad, 0 if value is None else value)
    if mode not in _KINDS:
        expected = "constant, reflect, replicate, circular"
        raise NotImplementedError(errors.message("pad: unknown mode", got=repr(mode), expected=expected))
    if value is not None and value != 0:
        raise ValueError(errors.message(f"pad: mode {mode!r} takes no value", got=value))
    low, high = _pairs("pad", pad, input.dim())
    n = len(low)
    if n not in (1, 2, 3) or input.dim() not in (n + 1, n + 2):
        text = errors.message(
            f"pad: mode {mode!r} pads the last 1, 2 or 3 dimensions of an input that has one or two more",
            got=f"{tuple(input.shape)} and pad={tuple(pad)}",
        )
        raise NotImplementedError(text)
    sizes = input.shape[-n:]
    _check_cells(mode, input, low, high)
    lines = tuple(kernels.Line(_KINDS[mode], k, a + k + b, low=a) for k, a, b in zip(sizes, low, high))
    return resample(input, lines)


def _check_cells(mode: str, input: Tensor, low: tuple[int, ...], high: tuple[int, ...]) -> None:
    """Refuse more cells than there are to take them from, and empty results."""
    sizes = input.shape[-len(low) :]
    for n, a, b in zip(sizes, low, high):
        most = {"reflect": n - 1, "circular": n}.get(mode)
        if most is not None and max(a, b) > most:
            got = f"{tuple(input.shape)}, {low} before and {high} after"
            raise RuntimeError(errors.message(f"pad: mode {mode!r} can add at most {most} cells to {n}", got=got))
    if any(a + n + b <= 0 for n, a, b in zip(sizes, low, high)) or 0 in input.shape[1:]:
        got = f"{tuple(input.shape)}, {low} before and {high} after"
        raise RuntimeError(errors.message("pad: the result would be empty", got=got))
