"""Rprop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..core.tensor import Tensor
from ..errors import message
from ..ir import expr as e
from .rule import Number, RuleOptimizer, check_options, rule


@rule
def rprop_rule(p, g, step: Number, prev, step_size, *, eta_minus, eta_plus, smallest, largest, maximize=False):
    """Where the gradient changed its sign, the size shrinks and no step is made."""
    if maximize:
        g = -g
    agreement = prev * g
    factor = e.where(agreement > 0, eta_plus, e.where(agreement < 0, eta_minus, 1))
    step_size = e.minimum(e.maximum(step_size * factor, smallest), largest)
    g = e.where(agreement < 0, 0, g)
    return {"step": step + 1, "prev": g, "step_size": step_size, "p": p - e.sign(g) * step_size}


class Rprop(RuleOptimizer):
    """Resilient backpropagation: a step of its own for each element, of which the gradient gives only the sign.

    s' = s * eta_plus where the gradient g kept its sign, s * eta_minus where it changed it (g then counts as 0), held
    between the two `step_sizes`; p' = p - sign(g) * s'.

    Args:
        params: the tensors to optimise, or parameter groups.
        lr: the size of the first step.
        etas: the factors (eta_minus, eta_plus) of the step size.
        step_sizes: the smallest and the largest step.
        capturable, foreach: accepted; there is one implementation.
        maximize: go up the gradient.
        differentiable: record the step, so that it can be differentiated.

    Raises:
        ValueError: `lr` is negative, or not 0 < eta_minus < 1 < eta_plus.

    Source: Riedmiller and Braun, "A Direct Adaptive Method for Faster Backpropagation Learning: The RPROP Algorithm"
    (1993).

    >>> import tapegrad as torch
    >>> p = torch.tensor([1.0, -20.0], requires_grad=True)
    >>> optimizer = torch.optim.Rprop([p], lr=0.1)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([  0.9000, -19.9000], requires_grad=True)
    """

    rule = rprop_rule
    pairs = {
        "eta_minus": ("etas", 0),
        "eta_plus": ("etas", 1),
        "smallest": ("step_sizes", 0),
        "largest": ("step_sizes", 1),
    }

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_options("Rprop", lr=lr)
        if not 0 < etas[0] < 1 < etas[1]:
            what = "Rprop: the factors of the step size do not lie on both sides of 1"
            raise ValueError(message(what, got=f"etas={etas}", expected="0 < eta_minus < 1 < eta_plus"))
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _initial(self, name: str, group: dict[str, Any]) -> float:
        return float(group["lr"]) if name == "step_size" else 0.0
