"""Adafactor."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..core.tensor import Tensor, wrap
from ..errors import message
from .each import EachOptimizer, mix, rate_of
from .optimizer import number_tensor
from .rule import check_options


class Adafactor(EachOptimizer):
    """Adafactor: of a matrix, the mean squares of the gradient are kept for rows and columns only.

    With g the gradient, at step t and b = t ** beta2_decay: p' = p - lr * weight_decay * p - s * u / max(1, rms(u) / d)
    with s = max(eps2, rms(p)) * min(lr, t ** -0.5) and u = g / max(sqrt(v), eps1). Of one dimension
    v' = (1 - b) * v + b * g ** 2; of more, v' = r' c' / max(mean(r'), eps1) with
    r' = (1 - b) * r + b * mean(g ** 2, -1) and c' = (1 - b) * c + b * mean(g ** 2, -2).

    Args:
        params: the tensors to optimise, or parameter groups.
        lr: the greatest relative size of a step, and the weight of the decay.
        beta2_decay: the power of t with which the mean squares forget; not positive.
        eps: eps1, the smallest root mean square (None: the type's machine epsilon), and eps2, the smallest size that
            a parameter counts as.
        d: the root mean square that the quotient u may have.
        weight_decay: the part of p, times lr, that is taken away at each step.
        foreach: accepted; there is one implementation.
        maximize: go up the gradient.

    Raises:
        ValueError: an option is outside its range.

    Source: Shazeer and Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost" (2018).

    >>> import tapegrad as torch
    >>> p = torch.ones(3, 2, requires_grad=True)
    >>> optimizer = torch.optim.Adafactor([p], lr=0.1)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p[0]
    tensor([0.9000, 0.9000], grad_fn=<SelectBackward0>)
    >>> optimizer.state[p]["row_var"].shape, optimizer.state[p]["col_var"].shape
    (torch.Size([3, 1]), torch.Size([1, 2]))
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        check_options("Adafactor", lr=lr, weight_decay=weight_decay, eps1=eps[0] or 0.0, eps2=eps[1])
        if not beta2_decay <= 0:
            raise ValueError(message("Adafactor: beta2_decay is positive", got=f"beta2_decay={beta2_decay}"))
        if not d >= 1:
            raise ValueError(message("Adafactor: the threshold d is below 1", got=f"d={d}", expected="d >= 1"))
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _update(
        self, p: np.ndarray, g: np.ndarray, state: dict[str, Any], group: dict[str, Any], owner: Tensor
    ) -> None:
        if not state:
            state["step"] = number_tensor(0.0)
            shapes = {"row_var": (*g.shape[:-1], 1), "col_var": (*g.shape[:-2], 1, *g.shape[-1:])}
            for name, shape in shapes.items() if g.ndim > 1 else [("variance", g.shape)]:
                state[name] = wrap(np.zeros(shape, owner.array.dtype))
        count = state["step"].array
        count += 1
        state["step"].bump()
        t, lr, (eps1, eps2) = count.item(), rate_of(group), group["eps"]
        if eps1 is None:
            eps1 = owner_epsilon(owner)
        size = max(eps2, root_mean_square(p)) * min(lr, t**-0.5)
        if group["weight_decay"]:
            p *= 1 - lr * group["weight_decay"]
        weight, square = t ** group["beta2_decay"], g * g
        if g.ndim > 1:
            row = mix(state["row_var"], square.mean(-1, keepdims=True), weight)  # (..., n, 1)
            column = mix(state["col_var"], square.mean(-2, keepdims=True), weight)  # (..., 1, m)
            variance = row * column / np.maximum(row.mean(-2, keepdims=True), eps1)
        else:
            variance = mix(state["variance"], square, weight)
        step = g / np.sqrt(np.maximum(variance, eps1 * eps1))
        size /= max(1.0, root_mean_square(step) / group["d"])
        p += (size if group["maximize"] else -size) * step


def root_mean_square(x: np.ndarray) -> float:
    """The root of the mean of the squares of all elements; 0 of none."""
    return math.sqrt(float(np.vdot(x, x)) / x.size) if x.size else 0.0


def owner_epsilon(p: Tensor) -> float:
    """The machine epsilon of a tensor's type."""
    return {"torch.float64": 2.0**-52, "torch.float16": 2.0**-10, "torch.bfloat16": 2.0**-7}.get(str(p.dtype), 2.0**-23)
