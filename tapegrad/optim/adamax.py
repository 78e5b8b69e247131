"""Adamax."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..core.tensor import Tensor
from ..ir import expr as e
from .rule import Number, RuleOptimizer, check_options, rule, slope


@rule
def adamax_rule(p, g, step: Number, exp_avg, exp_inf, *, lr, beta1, beta2, eps, weight_decay=None, maximize=False):
    """The maximum needs no bias correction: only the mean has one."""
    step = step + 1
    g = slope(p, g, weight_decay, maximize)
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_inf = e.maximum(beta2 * exp_inf, abs(g) + eps)
    return {"step": step, "exp_avg": exp_avg, "exp_inf": exp_inf, "p": p - lr / (1 - beta1**step) * (exp_avg / exp_inf)}


class Adamax(RuleOptimizer):
    """Adamax: Adam with a decaying maximum of the gradient's magnitude in place of its root mean square.

    With g the gradient plus weight_decay * p, at step t: m' = beta1 * m + (1 - beta1) * g,
    u' = max(beta2 * u, |g| + eps), p' = p - lr / (1 - beta1 ** t) * m' / u'.

    Args:
        params: the tensors to optimise, or parameter groups.
        lr: the learning rate.
        betas: how much of the running mean and of the maximum is kept at each step.
        eps: added to the gradient's magnitude.
        weight_decay: the weight of the penalty p ** 2 / 2.
        foreach, capturable: accepted; there is one implementation.
        maximize: go up the gradient.
        differentiable: record the step, so that it can be differentiated.

    Raises:
        ValueError: an option is negative, or a beta is outside [0, 1).

    Source: Kingma and Ba, "Adam: A Method for Stochastic Optimization" (2015), section 7.

    >>> import tapegrad as torch
    >>> p = torch.tensor([1.0, -20.0], requires_grad=True)
    >>> optimizer = torch.optim.Adamax([p], lr=0.1)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([  0.9000, -19.9000], requires_grad=True)
    """

    rule = adamax_rule

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_options("Adamax", lr=lr, eps=eps, weight_decay=weight_decay, betas=betas)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)
