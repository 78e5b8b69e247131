"""Adagrad."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..core.tensor import Tensor
from ..ir import expr as e
from .rule import Number, RuleOptimizer, check_options, check_switches, rule, slope


@rule
def adagrad_rule(p, g, step: Number, sum, *, lr, lr_decay, eps, weight_decay=None, maximize=False):
    """The rate falls with the number of steps before this one."""
    g = slope(p, g, weight_decay, maximize)
    sum = sum + g * g
    return {"step": step + 1, "sum": sum, "p": p - lr / (1 + step * lr_decay) * (g / (e.sqrt(sum) + eps))}


class Adagrad(RuleOptimizer):
    """Adagrad: the gradient over the root of the sum of all its squares so far.

    With g the gradient plus weight_decay * p, at step t: s' = s + g ** 2,
    p' = p - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s') + eps).

    Args:
        params: the tensors to optimise, or parameter groups.
        lr: the learning rate.
        lr_decay: how fast the rate falls.
        weight_decay: the weight of the penalty p ** 2 / 2.
        initial_accumulator_value: the sum before the first step.
        eps: added to the denominator.
        foreach, fused: accepted; there is one implementation.
        maximize: go up the gradient.
        differentiable: record the step, so that it can be differentiated.

    Raises:
        ValueError: an option is negative.

    Source: Duchi, Hazan and Singer, "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization"
    (2011).

    >>> import tapegrad as torch
    >>> p = torch.tensor([1.0, -20.0], requires_grad=True)
    >>> optimizer = torch.optim.Adagrad([p], lr=0.1)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([  0.9000, -19.9000], requires_grad=True)
    """

    rule = adagrad_rule

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_options(
            "Adagrad",
            lr=lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
        )
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        check_switches("Adagrad", fused, foreach, differentiable)
        for group in self.param_groups:  # unlike the others, it has its state before the first step
            program = self._program(self._options(group))
            for p in group["params"]:
                self._complete(p, group, self.state[p], program)

    def _initial(self, name: str, group: dict[str, Any]) -> float:
        return self.defaults["initial_accumulator_value"] if name == "sum" else 0.0
