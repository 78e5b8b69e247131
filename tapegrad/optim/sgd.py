"""Stochastic gradient descent, with momentum."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..core.tensor import Tensor
from ..errors import message
from .rule import NOTHING, RuleOptimizer, check_options, check_switches, rule, slope

FIRST = {"first": True}


@rule
def sgd_rule(
    p,
    g,
    momentum_buffer,
    *,
    lr,
    momentum=None,
    dampening=None,
    weight_decay=None,
    nesterov=False,
    maximize=False,
    first=False,
):
    """The buffer starts as the first gradient; one that starts at zero would shorten the first steps."""
    g = slope(p, g, weight_decay, maximize)
    if momentum is None:
        return {"p": p - lr * g}
    if first:
        momentum_buffer = g
    else:
        momentum_buffer = momentum * momentum_buffer + (g if dampening is None else (1 - dampening) * g)
    return {
        "momentum_buffer": momentum_buffer,
        "p": p - lr * (g + momentum * momentum_buffer if nesterov else momentum_buffer),
    }


class SGD(RuleOptimizer):
    """Stochastic gradient descent: p' = p - lr * b', with the momentum buffer b' = momentum * b + (1 - dampening) * g.

    Here g is the gradient plus weight_decay * p. At the first step b' = g; without momentum b' = g always; with
    `nesterov` the step is lr * (g + momentum * b').

    Args:
        params: the tensors to optimise, or parameter groups.
        lr: the learning rate.
        momentum: how much of the last step is kept.
        dampening: how much of the gradient is left out of the buffer.
        weight_decay: the weight of the penalty p ** 2 / 2.
        nesterov: look ahead along the buffer.
        maximize: go up the gradient.
        foreach, fused: accepted; there is one implementation.
        differentiable: record the step, so that it can be differentiated.

    Raises:
        ValueError: an option is negative, or `nesterov` is used without momentum or with dampening.

    Source: Robbins and Monro, "A Stochastic Approximation Method" (1951); Polyak (1964) for momentum; Sutskever et
    al., "On the importance of initialization and momentum in deep learning" (2013) for Nesterov's in this form.

    >>> import tapegrad as torch
    >>> p = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = torch.optim.SGD([p], lr=0.1)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([0.8000, 1.6000], requires_grad=True)
    """

    rule = sgd_rule

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_options("SGD", lr=lr, momentum=momentum, weight_decay=weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            text = message(
                "SGD: Nesterov's momentum needs momentum and no dampening",
                got=f"momentum={momentum}, dampening={dampening}",
                expected="momentum > 0, dampening == 0",
            )
            raise ValueError(text)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        check_switches("SGD", fused, foreach, differentiable)

    def _begin(self, state: dict[str, Any], group: dict[str, Any]) -> dict[str, bool]:
        return NOTHING if state.get("momentum_buffer") is not None or not group["momentum"] else FIRST
