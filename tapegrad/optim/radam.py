"""RAdam."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..core.tensor import Tensor
from ..ir import expr as e
from .rule import NOTHING, Number, RuleOptimizer, check_options, rule, slope

RECTIFIED = {"rectified": True}


def sample_size(step: Any, beta2: Any) -> Any:
    """The length of the simple average that is as uncertain as the running one at this step (rho_t of the paper)."""
    return 2 / (1 - beta2) - 1 - 2 * step * beta2**step / (1 - beta2**step)


@rule
def radam_rule(
    p,
    g,
    step: Number,
    exp_avg,
    exp_avg_sq,
    *,
    lr,
    beta1,
    beta2,
    eps,
    weight_decay=None,
    decoupled_weight_decay=False,
    maximize=False,
    rectified=False,
):
    """Until the running mean of squares is trusted (`rectified`), a step of momentum."""
    step = step + 1
    g = slope(p, g, None if decoupled_weight_decay else weight_decay, maximize)
    if decoupled_weight_decay and weight_decay is not None:
        p = p * (1 - lr * weight_decay)
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * (g * g)
    new = {"step": step, "exp_avg": exp_avg, "exp_avg_sq": exp_avg_sq}
    size = lr / (1 - beta1**step)
    if not rectified:
        return {**new, "p": p - size * exp_avg}
    now, limit = sample_size(step, beta2), 2 / (1 - beta2) - 1
    size = size * e.sqrt((now - 4) * (now - 2) * limit / ((limit - 4) * (limit - 2) * now) * (1 - beta2**step))
    return {**new, "p": p - size * (exp_avg / (e.sqrt(exp_avg_sq) + eps))}


class RAdam(RuleOptimizer):
    """RAdam: Adam whose step is held back while its running mean of squares rests on few samples.

    With m', v' as in `Adam`, at step t: n = 2 / (1 - beta2) - 1 and
    r = n - 2 * t * beta2 ** t / (1 - beta2 ** t). If r > 5 the step of `Adam` is multiplied by
    sqrt((r - 4) * (r - 2) * n / ((n - 4) * (n - 2) * r)); else p' = p - lr * m' / (1 - beta1 ** t).

    Args:
        params: the tensors to optimise, or parameter groups.
        lr: the learning rate.
        betas: how much of the two running means is kept at each step.
        eps: added to the denominator.
        weight_decay: the weight of the penalty p ** 2 / 2 (of the decay lr * p with `decoupled_weight_decay`).
        decoupled_weight_decay: shrink p beside the step, as `AdamW` does.
        foreach, capturable: accepted; there is one implementation.
        maximize: go up the gradient.
        differentiable: record the step, so that it can be differentiated.

    Raises:
        ValueError: an option is negative, or a beta is outside [0, 1).

    Source: Liu et al., "On the Variance of the Adaptive Learning Rate and Beyond" (2020).

    >>> import tapegrad as torch
    >>> p = torch.tensor([1.0], requires_grad=True)
    >>> optimizer = torch.optim.RAdam([p], lr=0.1)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([0.8000], requires_grad=True)
    """

    rule = radam_rule

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_options("RAdam", lr=lr, eps=eps, weight_decay=weight_decay, betas=betas)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _begin(self, state: dict[str, Any], group: dict[str, Any]) -> dict[str, bool]:
        step = state["step"].item() + 1 if state else 1.0
        return RECTIFIED if sample_size(step, float(group["betas"][1])) > 5 else NOTHING
