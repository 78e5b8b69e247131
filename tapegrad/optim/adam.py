"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..core.tensor import Tensor
from ..errors import message
from ..ir import expr as e
from .rule import Number, RuleOptimizer, check_options, check_switches, rule, slope


@rule
def adam_rule(
    p,
    g,
    step: Number,
    exp_avg,
    exp_avg_sq,
    max_exp_avg_sq,
    *,
    lr,
    beta1,
    beta2,
    eps,
    weight_decay=None,
    amsgrad=False,
    maximize=False,
    decoupled_weight_decay=False,
):
    """In the order that the paper's section 2 recommends: the bias corrections scale numbers, not arrays."""
    step = step + 1
    g = slope(p, g, None if decoupled_weight_decay else weight_decay, maximize)
    if decoupled_weight_decay and weight_decay is not None:
        p = p * (1 - lr * weight_decay)
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * (g * g)
    new = {"step": step, "exp_avg": exp_avg, "exp_avg_sq": exp_avg_sq}
    if amsgrad:
        new["max_exp_avg_sq"] = exp_avg_sq = e.maximum(max_exp_avg_sq, exp_avg_sq)
    correction = e.sqrt(1 - beta2**step)
    size = lr * correction / (1 - beta1**step)
    return {**new, "p": p - size * (exp_avg / (e.sqrt(exp_avg_sq) + eps * correction))}


class Adam(RuleOptimizer):
    """Adam: steps along a running mean of the gradient over the root of a running mean of its square.

    With g the gradient plus weight_decay * p, at step t:
    m' = beta1 * m + (1 - beta1) * g, v' = beta2 * v + (1 - beta2) * g ** 2,
    p' = p - lr * m' / (1 - beta1 ** t) / (sqrt(v' / (1 - beta2 ** t)) + eps).

    Args:
        params: the tensors to optimise, or parameter groups.
        lr: the learning rate: about the size of a step.
        betas: how much of the two running means is kept at each step.
        eps: added to the denominator.
        weight_decay: the weight of the penalty p ** 2 / 2 (of the decay lr * p with `decoupled_weight_decay`).
        amsgrad: divide by the greatest v so far.
        maximize: go up the gradient.
        foreach, fused, capturable: accepted; there is one implementation.
        differentiable: record the step, so that it can be differentiated.
        decoupled_weight_decay: shrink p beside the step, as `AdamW` does.

    Raises:
        ValueError: an option is negative, a beta is outside [0, 1), or one beta is a Tensor and the other is not.

    Source: Kingma and Ba, "Adam: A Method for Stochastic Optimization" (2015); Reddi, Kale and Kumar, "On the
    Convergence of Adam and Beyond" (2018) for `amsgrad`.

    >>> import tapegrad as torch
    >>> p = torch.tensor([1.0, -20.0], requires_grad=True)
    >>> optimizer = torch.optim.Adam([p], lr=0.1)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([  0.9000, -19.9000], requires_grad=True)
    """

    rule = adam_rule

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        name = type(self).__name__
        check_options(name, lr=lr, eps=eps, weight_decay=weight_decay, betas=betas)
        for i in (0, 1):
            if not isinstance(betas[i], float) and not all(isinstance(b, Tensor) for b in betas):
                what = f"{name}: the betas are either two floats or two tensors"
                raise ValueError(message(what, got=f"betas={betas}"))
        if foreach and not capturable and any(isinstance(value, Tensor) for value in (lr, *betas)):
            what = f"{name}: foreach=True cannot be combined with a Tensor as lr or beta"
            raise ValueError(message(what, fix="capturable=True, or foreach=None"))
        defaults = {
            "lr": lr,
            "betas": tuple(betas),
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)
        check_switches(name, fused, foreach, differentiable)


class AdamW(Adam):
    """Adam with weight decay beside the step: p' = p - lr * weight_decay * p - (the step of `Adam`).

    Args:
        params: the tensors to optimise, or parameter groups.
        lr: the learning rate: about the size of a step.
        betas: how much of the two running means is kept at each step.
        eps: added to the denominator.
        weight_decay: the part of p, times lr, that is taken away at each step.
        amsgrad: divide by the greatest v so far.
        maximize: go up the gradient.
        foreach, fused, capturable: accepted; there is one implementation.
        differentiable: record the step, so that it can be differentiated.

    Raises:
        ValueError: an option is negative, a beta is outside [0, 1), or one beta is a Tensor and the other is not.

    Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (2019).

    >>> import tapegrad as torch
    >>> p = torch.tensor([1.0], requires_grad=True)
    >>> optimizer = torch.optim.AdamW([p], lr=0.1, weight_decay=0.5)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([0.8500], requires_grad=True)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True  # a checkpoint of Adam, or of an AdamW that had no such option
