"""Weights over their greatest singular value, by a hook; `parametrizations.spectral_norm` is the newer way."""

from __future__ import annotations

from typing import Any, TypeVar

from ... import errors
from ...modes import no_grad
from ...ops.linalg.matmul import mv, vdot
from .. import functional as F
from ..convolution import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from ..module import Module
from ..parameter import Parameter

__all__ = ["SpectralNorm", "remove_spectral_norm", "spectral_norm"]

T = TypeVar("T", bound=Module)


class SpectralNorm:
    """The hook: computes `name` from `name_orig` before every call; in training it also follows the singular vectors.

    Args:
        name: the attribute.
        n_power_iterations: how many steps follow the singular vectors at each call in training mode.
        dim: the dimension of outputs.
        eps: the smallest norm that a vector is divided by.
    """

    _version = 1

    def __init__(self, name: str = "weight", n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        check_iterations(n_power_iterations)
        self.name, self.dim, self.n_power_iterations, self.eps = name, dim, n_power_iterations, eps

    def reshape_weight_to_matrix(self, weight: Any) -> Any:
        """(size of `dim`, everything else)."""
        return as_matrix(weight, self.dim)

    def compute_weight(self, module: Any, do_power_iteration: bool) -> Any:
        """The weight of norm 1."""
        weight = getattr(module, f"{self.name}_orig")
        u, v = getattr(module, f"{self.name}_u"), getattr(module, f"{self.name}_v")
        matrix = self.reshape_weight_to_matrix(weight)
        if do_power_iteration:
            with no_grad():
                for _ in range(self.n_power_iterations):
                    v.copy_(F.normalize(mv(matrix.mH, u), dim=0, eps=self.eps))
                    u.copy_(F.normalize(mv(matrix, v), dim=0, eps=self.eps))
                u, v = u.clone(), v.clone()  # the next call changes them, which the derivative of this one needs
        return weight / vdot(u, mv(matrix, v))

    def remove(self, module: Any) -> None:
        """Make the weight a parameter again."""
        with no_grad():
            weight = self.compute_weight(module, do_power_iteration=False)
        for name in ("", "_u", "_v", "_orig"):
            delattr(module, self.name + name)
        module.register_parameter(self.name, Parameter(weight.detach()))

    def __call__(self, module: Any, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module, do_power_iteration=module.training))

    @staticmethod
    def apply(module: Any, name: str, n_power_iterations: int, dim: int, eps: float) -> SpectralNorm:
        """Put the hook on a module."""
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, SpectralNorm) and hook.name == name:
                raise RuntimeError(errors.message(f"two spectral_norm hooks on the same parameter {name!r}"))
        self = SpectralNorm(name, n_power_iterations, dim, eps)
        weight = module._parameters.get(name)
        if weight is None:
            raise KeyError(errors.message(f"spectral_norm: there is no parameter {name!r}", where=repr(module)))
        h, w = self.reshape_weight_to_matrix(weight.detach()).shape
        vectors = [F.normalize(weight.detach().new_empty(n).normal_(0, 1), dim=0, eps=eps) for n in (h, w)]
        delattr(module, name)
        module.register_parameter(f"{name}_orig", weight)
        setattr(module, name, weight.data)  # until the first call
        for letter, vector in zip("uv", vectors):
            module.register_buffer(f"{name}_{letter}", vector)
        module.register_forward_pre_hook(self)
        return self


def spectral_norm(
    module: T, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> T:
    """Divide a weight by its greatest singular value before every call of the module (the older form).

    Args:
        module: the module.
        name: the attribute.
        n_power_iterations: how many steps follow the singular vectors at each call in training mode.
        eps: the smallest norm that a vector is divided by.
        dim: the dimension of outputs; by default 1 for transposed convolutions, else 0.

    Returns:
        The module.

    Raises:
        KeyError: there is no such parameter.
        ValueError: `n_power_iterations` is not positive.
        RuntimeError: it was done already.

    Source: Miyato et al., "Spectral Normalization for Generative Adversarial Networks" (2018).

    >>> import tapegrad as torch
    >>> layer = torch.nn.utils.spectral_norm(torch.nn.Linear(3, 2))
    >>> list(layer.state_dict())
    ['bias', 'weight_orig', 'weight_u', 'weight_v']
    """
    SpectralNorm.apply(module, name, n_power_iterations, output_dim(module) if dim is None else dim, eps)
    return module


def remove_spectral_norm(module: T, name: str = "weight") -> T:
    """Make a weight that `spectral_norm` divides a plain parameter again, with the value that it has now.

    Raises:
        ValueError: it is not divided.
    """
    hooks: dict[int, Any] = module._forward_pre_hooks  # type: ignore[assignment]
    for key, hook in hooks.items():
        if isinstance(hook, SpectralNorm) and hook.name == name:
            hook.remove(module)
            del hooks[key]
            return module
    raise ValueError(errors.message(f"there is no spectral_norm of {name!r}", where=repr(module)))


# ---- what both forms share ---------------------------------------------------------------------------------------


def check_iterations(n: int) -> None:
    """Refuse a number of power iterations that is not positive."""
    if n <= 0:
        raise ValueError(errors.message("spectral_norm: n_power_iterations must be positive", got=n))


def output_dim(module: Module) -> int:
    """The dimension of a module's weight that stands for its outputs."""
    return 1 if isinstance(module, (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)) else 0


def as_matrix(weight: Any, dim: int) -> Any:
    """(size of `dim`, everything else)."""
    if dim:
        weight = weight.permute(dim, *(i for i in range(weight.ndim) if i != dim))
    return weight.reshape(weight.shape[0], -1)
