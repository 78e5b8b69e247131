"""Weights as length times direction, by a hook; `parametrizations.weight_norm` is the newer way."""

from __future__ import annotations

import warnings
from typing import Any, TypeVar

from ... import errors
from ...core.tensor import Tensor
from ...ops.pointwise.arithmetic import mul
from ...ops.pointwise.functions import abs, sqrt
from ...ops.reduction.extremes import amax
from ...ops.reduction.reduce import sum
from ..module import Module
from ..parameter import Parameter

__all__ = ["WeightNorm", "remove_weight_norm", "weight_norm"]

T = TypeVar("T", bound=Module)


def norm_except_dim(v: Tensor, pow: int = 2, dim: int = 0) -> Tensor:
    """The norm over all dimensions but one, which keep the size 1; over all of them for `dim=-1`.

    Args:
        v: any tensor.
        pow: the p of the norm.
        dim: the dimension that is kept.

    >>> import tapegrad as torch
    >>> from tapegrad.nn.utils.weight_norm import norm_except_dim
    >>> norm_except_dim(torch.tensor([[3.0, 4.0], [0.0, 2.0]]))
    tensor([[5.],
            [2.]])
    """
    others = tuple(i for i in range(v.ndim) if i != dim)
    if dim == -1:
        return sqrt(sum(v * v)) if pow == 2 else v.norm(pow)
    if pow == 2:
        return sqrt(sum(v * v, others, True)) if others else abs(v)
    if pow == float("inf"):
        return amax(abs(v), others, True)
    return sum(abs(v) ** pow, others, True) ** (1 / pow)


def scaled_direction(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    """The weight of length g along v: v * g / |v|, of each index of `dim` for itself."""
    return mul(v, g / norm_except_dim(v, 2, dim))


class WeightNorm:
    """The hook: computes `name` from `name_g` and `name_v` before every call of the module.

    Args:
        name: the attribute.
        dim: the dimension whose indices have lengths of their own; -1 for one length.
    """

    name: str
    dim: int

    def __init__(self, name: str, dim: int | None) -> None:
        self.name, self.dim = name, -1 if dim is None else dim

    def compute_weight(self, module: Any) -> Tensor:
        """The weight."""
        return scaled_direction(getattr(module, f"{self.name}_v"), getattr(module, f"{self.name}_g"), self.dim)

    @staticmethod
    def apply(module: Any, name: str, dim: int | None) -> WeightNorm:
        """Split a weight, and put the hook on the module."""
        _refuse_twice(module, name)
        warnings.warn("nn.utils.weight_norm is the old form of nn.utils.parametrizations.weight_norm", FutureWarning, 3)
        self = WeightNorm(name, dim)
        weight = getattr(module, name)
        del module._parameters[name]
        module.register_parameter(f"{name}_g", Parameter(norm_except_dim(weight, 2, self.dim).detach()))
        module.register_parameter(f"{name}_v", Parameter(weight.detach()))
        setattr(module, name, self.compute_weight(module))
        module.register_forward_pre_hook(self)
        return self

    def remove(self, module: Any) -> None:
        """Make the weight a parameter again."""
        weight = self.compute_weight(module)
        delattr(module, self.name)
        del module._parameters[f"{self.name}_g"], module._parameters[f"{self.name}_v"]
        setattr(module, self.name, Parameter(weight.detach()))

    def __call__(self, module: Any, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module))


def _refuse_twice(module: Any, name: str) -> None:
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, WeightNorm) and hook.name == name:
            raise RuntimeError(errors.message(f"two weight_norm hooks on the same parameter {name!r}"))


def weight_norm(module: T, name: str = "weight", dim: int = 0) -> T:
    """Replace a weight by its length `name_g` and direction `name_v`: weight = g * v / |v| (the older form).

    Args:
        module: the module.
        name: the attribute.
        dim: the dimension whose indices have lengths of their own; None for one length.

    Returns:
        The module.

    Raises:
        RuntimeError: the weight is split already.

    Source: Salimans and Kingma, "Weight Normalization: A Simple Reparameterization to Accelerate Training of Deep
    Neural Networks" (2016).

    >>> import tapegrad as torch
    >>> import warnings
    >>> with warnings.catch_warnings(action="ignore"):
    ...     layer = torch.nn.utils.weight_norm(torch.nn.Linear(3, 2))
    >>> [(name, tuple(p.shape)) for name, p in layer.named_parameters()]
    [('bias', (2,)), ('weight_g', (2, 1)), ('weight_v', (2, 3))]
    """
    WeightNorm.apply(module, name, dim)
    return module


def remove_weight_norm(module: T, name: str = "weight") -> T:
    """Make a weight that `weight_norm` split a parameter again.

    Raises:
        ValueError: it is not split.
    """
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, WeightNorm) and hook.name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            return module
    raise ValueError(errors.message(f"there is no weight_norm of {name!r}", where=repr(module)))
