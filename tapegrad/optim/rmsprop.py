"""RMSprop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..core.tensor import Tensor
from ..ir import expr as e
from .rule import Number, RuleOptimizer, check_options, rule, slope


@rule
def rmsprop_rule(
    p,
    g,
    step: Number,
    square_avg,
    momentum_buffer,
    grad_avg,
    *,
    lr,
    alpha,
    eps,
    weight_decay=None,
    momentum=None,
    centered=False,
    maximize=False,
):
    """With `centered`, the mean square less the squared mean: the variance of the gradient."""
    g = slope(p, g, weight_decay, maximize)
    square_avg = alpha * square_avg + (1 - alpha) * (g * g)
    new = {"step": step + 1, "square_avg": square_avg}
    if centered:
        new["grad_avg"] = grad_avg = alpha * grad_avg + (1 - alpha) * g
        square_avg = square_avg - grad_avg * grad_avg
    scale = e.sqrt(square_avg) + eps
    if momentum is None:
        return {**new, "p": p - lr * (g / scale)}
    momentum_buffer = momentum * momentum_buffer + g / scale
    return {**new, "momentum_buffer": momentum_buffer, "p": p - lr * momentum_buffer}


class RMSprop(RuleOptimizer):
    """RMSprop: the gradient over the root of a running mean of its square.

    With g the gradient plus weight_decay * p: v' = alpha * v + (1 - alpha) * g ** 2,
    p' = p - lr * g / (sqrt(v') + eps).
    `centered` subtracts the square of a running mean of g from v'; with `momentum` the quotients are accumulated in a
    buffer b' = momentum * b + g / (sqrt(v') + eps), and p' = p - lr * b'.

    Args:
        params: the tensors to optimise, or parameter groups.
        lr: the learning rate.
        alpha: how much of the running mean is kept at each step.
        eps: added to the denominator.
        weight_decay: the weight of the penalty p ** 2 / 2.
        momentum: how much of the last step is kept.
        centered: divide by the estimated standard deviation.
        capturable, foreach: accepted; there is one implementation.
        maximize: go up the gradient.
        differentiable: record the step, so that it can be differentiated.

    Raises:
        ValueError: an option is negative.

    Source: Tieleman and Hinton, "Lecture 6.5 - rmsprop" of the course Neural Networks for Machine Learning (2012);
    Graves, "Generating Sequences With Recurrent Neural Networks" (2013) for `centered`.

    >>> import tapegrad as torch
    >>> p = torch.tensor([1.0, -20.0], requires_grad=True)
    >>> optimizer = torch.optim.RMSprop([p], lr=0.01)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([  0.9000, -19.9000], requires_grad=True)
    """

    rule = rmsprop_rule

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_options("RMSprop", lr=lr, eps=eps, momentum=momentum, weight_decay=weight_decay, alpha=alpha)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)
