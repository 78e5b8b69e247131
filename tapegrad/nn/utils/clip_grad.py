"""Gradients cut to size, in place and unrecorded."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from types import GeneratorType
from typing import Any

from ... import errors
from ...core.tensor import Tensor
from ...modes import no_grad
from ...ops.creation.values import tensor
from ...ops.shape.joining import stack

Tensors = Tensor | Iterable[Tensor]


def _listed(tensors: Tensors, where: str) -> list[Tensor]:
    if isinstance(tensors, Tensor):
        return [tensors]
    found = list(tensors)
    if not found and isinstance(tensors, GeneratorType):
        warnings.warn(f"{where}: the generator of parameters is empty, nothing is clipped", stacklevel=3)
    return found


@no_grad()
def get_total_norm(
    tensors: Tensors, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None
) -> Tensor:
    """The norm of all elements of all tensors, taken as one vector.

    Args:
        tensors: a tensor or several.
        norm_type: the p of the norm; may be `inf`.
        error_if_nonfinite: refuse a norm that is NaN or infinite.
        foreach: accepted for compatibility.

    Raises:
        RuntimeError: the norm is not finite and `error_if_nonfinite` is set.

    >>> import tapegrad as torch
    >>> torch.nn.utils.get_total_norm([torch.tensor([3.0]), torch.tensor([4.0])])
    tensor(5.)
    """
    listed = _listed(tensors, "get_total_norm")
    if not listed:
        return tensor(0.0)
    p = float(norm_type)
    total = stack([t.norm(p) for t in listed]).norm(p)
    if error_if_nonfinite and not bool(total.isfinite()):
        what = f"The total norm of order {p} for gradients from `parameters` is non-finite, so it cannot be clipped"
        raise RuntimeError(errors.message(what, got=total.item(), fix="error_if_nonfinite=False clips anyway"))
    return total


@no_grad()
def clip_grads_with_norm_(
    parameters: Tensors, max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Multiply all gradients by `max_norm / total_norm` if that is below 1."""
    factor = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
    for p in _listed(parameters, "clip_grads_with_norm_"):
        if p.grad is not None:
            p.grad.mul_(factor)


@no_grad()
def clip_grad_norm_(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients down so that their total norm is at most `max_norm`; returns the norm before.

    Args:
        parameters: a tensor or several, those without gradient count nothing.
        max_norm: the greatest norm.
        norm_type: the p of the norm; may be `inf`.
        error_if_nonfinite: refuse a norm that is NaN or infinite.
        foreach: accepted for compatibility.

    Raises:
        RuntimeError: the norm is not finite and `error_if_nonfinite` is set.

    >>> import tapegrad as torch
    >>> p = torch.zeros(2, requires_grad=True)
    >>> p.grad = torch.tensor([3.0, 4.0])
    >>> torch.nn.utils.clip_grad_norm_(p, max_norm=1.0)
    tensor(5.)
    >>> p.grad
    tensor([0.6000, 0.8000])
    """
    listed = _listed(parameters, "clip_grad_norm_")
    total = get_total_norm([p.grad for p in listed if p.grad is not None], norm_type, error_if_nonfinite)
    clip_grads_with_norm_(listed, max_norm, total)
    return total


def clip_grad_norm(*args: Any, **kwargs: Any) -> Tensor:
    """The old name of `clip_grad_norm_`."""
    warnings.warn("clip_grad_norm is the old name of clip_grad_norm_", FutureWarning, stacklevel=2)
    return clip_grad_norm_(*args, **kwargs)


@no_grad()
def clip_grad_value_(parameters: Tensors, clip_value: float, foreach: bool | None = None) -> None:
    """Limit every element of every gradient to `[-clip_value, clip_value]`.

    Args:
        parameters: a tensor or several.
        clip_value: the greatest magnitude.
        foreach: accepted for compatibility.
    """
    limit = float(clip_value)
    for p in _listed(parameters, "clip_grad_value_"):
        if p.grad is not None:
            p.grad.clamp_(-limit, limit)
