"""Adam for gradients that are zero in most rows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..core.tensor import Tensor, wrap
from ..errors import message
from .each import EachOptimizer, rate_of
from .rule import check_options


class SparseAdam(EachOptimizer):
    """Adam that leaves rows alone, state included, whose gradient is zero: those of an embedding that were not used.

    With g a row of the gradient that is not all zeros, at step t: m' = beta1 * m + (1 - beta1) * g,
    v' = beta2 * v + (1 - beta2) * g ** 2 and
    p' = p - lr * sqrt(1 - beta2 ** t) / (1 - beta1 ** t) * m' / (sqrt(v') + eps).
    PyTorch's takes sparse gradients and updates the rows that they hold; here gradients are dense.

    Args:
        params: the tensors to optimise, or parameter groups.
        lr: the learning rate.
        betas: how much of the two running means is kept.
        eps: added to the denominator.
        maximize: go up the gradient.

    Raises:
        ValueError: `lr` or `eps` is not positive, a beta is outside [0, 1), or a parameter is complex.

    Source: Kingma and Ba, "Adam: A Method for Stochastic Optimization" (2015).

    >>> import tapegrad as torch
    >>> p = torch.ones(3, 1, requires_grad=True)
    >>> optimizer = torch.optim.SparseAdam([p], lr=0.1)
    >>> p[1].sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([[1.0000],
            [0.9000],
            [1.0000]], requires_grad=True)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        check_options("SparseAdam", lr=lr, eps=eps, betas=betas)
        for name, value in (("lr", lr), ("eps", eps)):
            if not value > 0:
                text = message(f"SparseAdam: {name} is not positive", got=f"{name}={value}", expected=f"{name} > 0")
                raise ValueError(text)
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})
        for group in self.param_groups:
            for p in group["params"]:
                if p.is_complex():
                    raise ValueError(message("SparseAdam does not support complex parameters", got=p.dtype))

    def _update(
        self, p: np.ndarray, g: np.ndarray, state: dict[str, Any], group: dict[str, Any], owner: Tensor
    ) -> None:
        if not state:
            state["step"] = 0
            state["exp_avg"] = wrap(np.zeros_like(owner.array))
            state["exp_avg_sq"] = wrap(np.zeros_like(owner.array))
        state["step"] += 1
        t, (beta1, beta2) = state["step"], group["betas"]
        if g.ndim == 0:
            p, g = p[None], g[None]
        rows = g.reshape(len(g), -1).any(1)
        g = -g[rows] if group["maximize"] else g[rows]
        mean = _mix_rows(state["exp_avg"], rows, g, 1 - beta1)
        square = _mix_rows(state["exp_avg_sq"], rows, g * g, 1 - beta2)
        size = rate_of(group) * math.sqrt(1 - beta2**t) / (1 - beta1**t)
        p[rows] -= size * mean / (np.sqrt(square) + group["eps"])


def _mix_rows(kept: Tensor, rows: np.ndarray, new: np.ndarray, weight: float) -> np.ndarray:
    """Move rows of state towards `new` by `weight` of the way; returns them."""
    array = kept.array if kept.array.ndim else kept.array[None]
    value = array[rows].astype(new.dtype)
    value += weight * (new - value)
    array[rows] = value
    kept.bump()
    return value
