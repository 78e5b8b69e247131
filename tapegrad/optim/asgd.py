"""Averaged stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..core.tensor import Tensor
from ..ir import expr as e
from .rule import NOTHING, Number, RuleOptimizer, check_options, rule, slope

AVERAGING = {"averaging": True}


@rule
def asgd_rule(
    p,
    g,
    step: Number,
    eta: Number,
    mu: Number,
    ax,
    *,
    lr,
    lambd,
    alpha,
    t0,
    weight_decay=None,
    maximize=False,
    averaging=False,
):
    """`eta` and `mu` are the rate and the weight of the average for this step; their new values are for the next."""
    step = step + 1
    g = slope(p, g, weight_decay, maximize)
    p = p * (1 - lambd * eta) - eta * g
    ax = ax + mu * (p - ax) if averaging else p
    eta = lr / (1 + lambd * lr * step) ** alpha
    return {"step": step, "eta": eta, "mu": 1 / e.maximum(1, step - t0), "ax": ax, "p": p}


class ASGD(RuleOptimizer):
    """Averaged stochastic gradient descent: a decaying rate, and the mean of the late parameters in `state[p]["ax"]`.

    With g the gradient plus weight_decay * p, at step t: p' = p * (1 - lambd * eta) - eta * g,
    ax' = ax + mu * (p' - ax), eta' = lr / (1 + lambd * lr * t) ** alpha, mu' = 1 / max(1, t - t0).

    Args:
        params: the tensors to optimise, or parameter groups.
        lr: the learning rate of the first step.
        lambd: the weight of the decay of p and of the rate.
        alpha: the power with which the rate falls.
        t0: the step at which averaging begins.
        weight_decay: the weight of the penalty p ** 2 / 2.
        foreach, capturable: accepted; there is one implementation.
        maximize: go up the gradient.
        differentiable: record the step, so that it can be differentiated.

    Raises:
        ValueError: `lr` or `weight_decay` is negative.

    Source: Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging" (1992).

    >>> import tapegrad as torch
    >>> p = torch.tensor([1.0], requires_grad=True)
    >>> optimizer = torch.optim.ASGD([p], lr=0.1)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([0.8000], requires_grad=True)
    """

    rule = asgd_rule

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_options("ASGD", lr=lr, weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _initial(self, name: str, group: dict[str, Any]) -> float:
        return float(group["lr"]) if name == "eta" else 1.0 if name == "mu" else 0.0

    def _begin(self, state: dict[str, Any], group: dict[str, Any]) -> dict[str, bool]:
        return AVERAGING if state and state["mu"].item() != 1 else NOTHING
