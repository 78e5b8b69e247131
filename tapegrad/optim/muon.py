"""Muon."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import ml_dtypes
import numpy as np

from ..core.tensor import Tensor, wrap
from ..errors import message
from .each import EachOptimizer, mix, rate_of
from .rule import check_options

# How the learning rate depends on the shape (n, m) of the matrix.
ADJUSTMENTS = {
    "original": lambda n, m: math.sqrt(max(1.0, n / m)),
    "match_rms_adamw": lambda n, m: 0.2 * math.sqrt(max(n, m)),
}


class Muon(EachOptimizer):
    """Muon, for matrices: steps along the momentum with all its singular values made about 1.

    With g the gradient: b' = momentum * b + (1 - momentum) * g, u = (1 - momentum) * g + momentum * b' (b' itself
    without `nesterov`), p' = p - lr * weight_decay * p - lr * k * orthogonal(u). k is sqrt(max(1, n / m)) for a matrix
    (n, m), or 0.2 * sqrt(max(n, m)) with "match_rms_adamw", with which the rates of AdamW fit. orthogonal(u) is an
    iteration of x' = a x + (b x x^T + c (x x^T)^2) x from x = u / |u|, in bfloat16.

    Args:
        params: the matrices to optimise, or parameter groups; other parameters (biases, embeddings) need another
            optimizer.
        lr: the learning rate.
        weight_decay: the part of p, times lr, that is taken away at each step.
        momentum: how much of the momentum is kept at each step.
        nesterov: look ahead along the momentum.
        ns_coefficients: the coefficients (a, b, c) of the iteration.
        eps: the smallest norm that a matrix is divided by.
        ns_steps: how many iterations; fewer than 100.
        adjust_lr_fn: "original" (also None) or "match_rms_adamw".

    Raises:
        ValueError: a parameter is no matrix, an option is negative, or `adjust_lr_fn` is unknown.

    Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024); Liu et al., "Muon is
    Scalable for LLM Training" (2025) for "match_rms_adamw".

    >>> import tapegrad as torch
    >>> p = torch.eye(2, requires_grad=True)
    >>> optimizer = torch.optim.Muon([p], lr=0.1)
    >>> (p * torch.tensor([[5.0, 0.0], [0.0, 1.0]])).sum().backward()
    >>> optimizer.step()
    >>> bool((p.diagonal() < 0.95).all())
    True
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        check_options("Muon", lr=lr, momentum=momentum, weight_decay=weight_decay)
        if adjust_lr_fn is not None and adjust_lr_fn not in ADJUSTMENTS:
            what, expected = "Muon: unknown adjust_lr_fn", f"None or one of {sorted(ADJUSTMENTS)}"
            raise ValueError(message(what, got=repr(adjust_lr_fn), expected=expected))
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for p in group["params"]:
                if p.ndim != 2:
                    what = "Muon: only matrices can be optimised"
                    fix = "give the other parameters to an optimizer of their own, AdamW for instance"
                    raise ValueError(message(what, got=f"a parameter of shape {tuple(p.shape)}", fix=fix))

    def _update(
        self, p: np.ndarray, g: np.ndarray, state: dict[str, Any], group: dict[str, Any], owner: Tensor
    ) -> None:
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = wrap(np.zeros_like(owner.array))
        momentum, lr = group["momentum"], rate_of(group)
        buffer = mix(state["momentum_buffer"], g, 1 - momentum)
        ahead = g + momentum * (buffer - g) if group["nesterov"] else buffer
        step = orthogonal(ahead, group["ns_coefficients"], group["ns_steps"], group["eps"])
        size = lr * ADJUSTMENTS[group["adjust_lr_fn"] or "original"](*p.shape)
        p *= 1 - lr * group["weight_decay"]
        p -= size * step.astype(p.dtype)


def orthogonal(x: np.ndarray, coefficients: tuple[float, float, float], steps: int, eps: float) -> np.ndarray:
    """About the nearest matrix with orthonormal rows or columns, by Newton's and Schulz's iteration.

    The coefficients of `Muon` make small singular values grow fastest: the values end between 0.7 and 1.2, not at 1.
    Every product is rounded to bfloat16, as on the devices that the method was made for.

    Raises:
        ValueError: `coefficients` are not three, or `steps` is 100 or more.
    """
    if steps >= 100:
        raise ValueError(message("Muon: too many iterations", got=f"ns_steps={steps}", expected="fewer than 100"))
    if len(coefficients) != 3:
        raise ValueError(message("Muon: ns_coefficients are three numbers", got=repr(coefficients)))
    a, b, c = coefficients
    tall = x.shape[0] > x.shape[1]
    x = _rounded(x.T if tall else x)
    x = _rounded(x / max(_rounded(np.sqrt(np.vdot(x, x))), eps))
    for _ in range(steps):
        gram = _rounded(x @ x.T)
        x = _rounded(a * x + _rounded(b * gram + c * (gram @ gram)) @ x)
    return x.T if tall else x


def _rounded(x: np.ndarray) -> np.ndarray:
    """The nearest bfloat16 numbers, as float32."""
    return np.asarray(x, ml_dtypes.bfloat16).astype(np.float32)
