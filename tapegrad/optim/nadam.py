"""NAdam."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..core.tensor import Tensor
from ..ir import expr as e
from .rule import Number, RuleOptimizer, check_options, rule, slope


@rule
def nadam_rule(
    p,
    g,
    step: Number,
    mu_product: Number,
    exp_avg,
    exp_avg_sq,
    *,
    lr,
    beta1,
    beta2,
    eps,
    momentum_decay,
    weight_decay=None,
    decoupled_weight_decay=False,
    maximize=False,
):
    """The momentum of the next step is applied to this one's mean, and this one's to the gradient."""
    step = step + 1
    g = slope(p, g, None if decoupled_weight_decay else weight_decay, maximize)
    if decoupled_weight_decay and weight_decay is not None:
        p = p * (1 - lr * weight_decay)
    mu = beta1 * (1 - 0.5 * 0.96 ** (step * momentum_decay))
    mu_next = beta1 * (1 - 0.5 * 0.96 ** ((step + 1) * momentum_decay))
    mu_product = mu_product * mu
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * (g * g)
    ahead = lr * (1 - mu) / (1 - mu_product) * g + lr * mu_next / (1 - mu_product * mu_next) * exp_avg
    p = p - ahead / (e.sqrt(exp_avg_sq / (1 - beta2**step)) + eps)
    return {"step": step, "mu_product": mu_product, "exp_avg": exp_avg, "exp_avg_sq": exp_avg_sq, "p": p}


class NAdam(RuleOptimizer):
    """NAdam: Adam that looks ahead along its momentum, as Nesterov's method does.

    With g the gradient plus weight_decay * p, m' and v' as in `Adam`,
    u_t = beta1 * (1 - 0.96 ** (t * momentum_decay) / 2) and U_t the product of u_1 to u_t, at step t:
    d = (1 - u_t) / (1 - U_t) * g + u_(t+1) / (1 - U_(t+1)) * m',
    p' = p - lr * d / (sqrt(v' / (1 - beta2 ** t)) + eps).

    Args:
        params: the tensors to optimise, or parameter groups.
        lr: the learning rate.
        betas: how much of the two running means is kept at each step.
        eps: added to the denominator.
        weight_decay: the weight of the penalty p ** 2 / 2 (of the decay lr * p with `decoupled_weight_decay`).
        momentum_decay: how fast the momentum approaches beta1.
        decoupled_weight_decay: shrink p beside the step, as `AdamW` does.
        foreach, capturable: accepted; there is one implementation.
        maximize: go up the gradient.
        differentiable: record the step, so that it can be differentiated.

    Raises:
        ValueError: an option is negative, or a beta is outside [0, 1).

    Source: Dozat, "Incorporating Nesterov Momentum into Adam" (2016).

    >>> import tapegrad as torch
    >>> p = torch.tensor([1.0], requires_grad=True)
    >>> optimizer = torch.optim.NAdam([p], lr=0.1)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([0.8944], requires_grad=True)
    """

    rule = nadam_rule

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_options("NAdam", lr=lr, eps=eps, weight_decay=weight_decay, momentum_decay=momentum_decay, betas=betas)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _initial(self, name: str, group: dict[str, Any]) -> float:
        return 1.0 if name == "mu_product" else 0.0
