"""Adadelta."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..core.tensor import Tensor
from ..errors import message
from ..ir import expr as e
from .rule import Number, RuleOptimizer, check_options, rule, slope


@rule
def adadelta_rule(p, g, step: Number, square_avg, acc_delta, *, lr, rho, eps, weight_decay=None, maximize=False):
    """The step is measured in the units of p: a quotient of two root mean squares times g."""
    g = slope(p, g, weight_decay, maximize)
    square_avg = rho * square_avg + (1 - rho) * (g * g)
    delta = e.sqrt(acc_delta + eps) / e.sqrt(square_avg + eps) * g
    acc_delta = rho * acc_delta + (1 - rho) * (delta * delta)
    return {"step": step + 1, "square_avg": square_avg, "acc_delta": acc_delta, "p": p - lr * delta}


class Adadelta(RuleOptimizer):
    """Adadelta: the gradient times the ratio of the recent size of steps to the recent size of gradients.

    With g the gradient plus weight_decay * p: v' = rho * v + (1 - rho) * g ** 2,
    d = sqrt(u + eps) / sqrt(v' + eps) * g, u' = rho * u + (1 - rho) * d ** 2, p' = p - lr * d.

    Args:
        params: the tensors to optimise, or parameter groups.
        lr: a factor of the step.
        rho: how much of the two running means is kept at each step.
        eps: added to both means; it makes the first step possible.
        weight_decay: the weight of the penalty p ** 2 / 2.
        foreach, capturable: accepted; there is one implementation.
        maximize: go up the gradient.
        differentiable: record the step, so that it can be differentiated.

    Raises:
        ValueError: an option is negative, or `rho` exceeds 1.

    Source: Zeiler, "ADADELTA: An Adaptive Learning Rate Method" (2012).

    >>> import tapegrad as torch
    >>> p = torch.tensor([1.0], requires_grad=True)
    >>> optimizer = torch.optim.Adadelta([p])
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([0.9968], requires_grad=True)
    """

    rule = adadelta_rule

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_options("Adadelta", lr=lr, rho=rho, eps=eps, weight_decay=weight_decay)
        if rho > 1:
            raise ValueError(message("Adadelta: rho is outside [0, 1]", got=f"rho={rho}"))
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)
