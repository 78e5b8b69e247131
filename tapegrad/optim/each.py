"""Optimizers that are no rule for one element: they see a whole parameter at a time, as arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..backends.cpu.halves import FLOAT32, HALVES
from ..core.tensor import Tensor
from ..errors import message
from ..modes import enable_grad
from .optimizer import Optimizer


class EachOptimizer(Optimizer):
    """Calls `_update` for every parameter that has a gradient.

    Arrays of half precision are computed in float32 and rounded once.
    """

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        Args:
            closure: computes the loss again and its gradients, and returns it; called once, before the update.

        Returns:
            What `closure` returned, or None.

        Raises:
            RuntimeError: a parameter is complex.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                if p.is_complex():
                    what = f"{type(self).__name__} does not support complex parameters"
                    raise RuntimeError(message(what, got=p.dtype, fix="optimise torch.view_as_real(p)"))
                self._step_one(p, group)
        return loss

    def _step_one(self, p: Tensor, group: dict[str, Any]) -> None:
        array, state = p.array, self.state[p]
        g = p.grad.array  # type: ignore[union-attr]
        if array.dtype in HALVES:
            wide = array.astype(FLOAT32)
            self._update(wide, g.astype(FLOAT32), state, group, p)
            array[...] = wide
        else:
            self._update(array, g, state, group, p)
        p.bump()

    def _update(
        self, p: np.ndarray, g: np.ndarray, state: dict[str, Any], group: dict[str, Any], owner: Tensor
    ) -> None:
        """Change `p` in place, and the state; both arrays have the type in which to compute."""
        raise NotImplementedError


def rate_of(group: dict[str, Any]) -> float:
    """The learning rate as a number."""
    rate = group["lr"]
    return float(rate.array) if isinstance(rate, Tensor) else rate


def mix(kept: Tensor, new: np.ndarray, weight: float) -> np.ndarray:
    """Move state towards `new` by `weight` of the way, in place; returns its value in the type of `new`."""
    value = kept.array.astype(new.dtype)
    value += weight * (new - value)
    kept.array[...] = value
    kept.bump()
    return value
