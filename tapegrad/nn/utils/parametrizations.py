"""Ready parametrizations: orthogonal matrices, weights as length and direction, weights of spectral norm 1."""

from __future__ import annotations

from typing import Any

from ... import dtypes, errors
from ...core.tensor import Tensor
from ...modes import no_grad
from ...ops.creation.filled import eye, zeros_like
from ...ops.linalg.matmul import mv, vdot
from ...ops.linalg.matrix_functions import matrix_exp
from ...ops.linalg.orthogonal import geqrf, householder_product
from ...ops.linalg.solve import solve
from ...ops.random.draws import randn
from ...ops.reduction.reduce import sum
from ...ops.shape.joining import cat
from .. import functional as F
from ..module import Module
from .parametrize import register_parametrization
from .spectral_norm import as_matrix, check_iterations, output_dim
from .weight_norm import norm_except_dim, scaled_direction

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]

MAPS = ("matrix_exp", "cayley", "householder")


def _named(module: Module, name: str) -> Any:
    """The tensor that is to be parametrized.

    Raises:
        ValueError: there is no such tensor.
    """
    value = getattr(module, name, None)
    if not isinstance(value, Tensor):
        raise ValueError(errors.message(f"there is no parameter or buffer {name!r}", where=repr(module)))
    return value


# ---- orthogonal matrices -----------------------------------------------------------------------------------------


class _Orthogonal(Module):
    """A matrix with orthonormal columns (rows, if it is wide) from one without constraint.

    With a `base`, an orthogonal matrix that is multiplied from the left, the zero of the map is any matrix that was
    assigned: optimisation starts there.
    """

    base: Tensor

    def __init__(self, weight: Any, orthogonal_map: str, *, use_trivialization: bool = True) -> None:
        super().__init__()
        if orthogonal_map == "householder" and weight.is_complex():
            raise ValueError(errors.message("the map 'householder' does not support complex tensors", got=weight.dtype))
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, x: Any) -> Any:
        """The orthogonal matrix, in the shape of `x`."""
        wide = x.shape[-2] < x.shape[-1]
        if wide:
            x = x.mT
        n, k = x.shape[-2:]
        if self.orthogonal_map == "householder":
            below = x.tril(-1)
            q = householder_product(below, 2 / (1 + sum(below * below, -2)))
            # the diagonal holds signs; they are numbers of the map, not to be trained
            q = q * x.detach().diagonal(dim1=-2, dim2=-1).to(dtypes.int32).unsqueeze(-2)
        else:
            q = _from_skew(x, n, k, self.orthogonal_map)
        if hasattr(self, "base"):
            q = self.base @ q
        return q.mT if wide else q

    @no_grad()
    def right_inverse(self, q: Any) -> Any:
        """What gives `q`, or the orthogonal matrix nearest in columns if it is not orthogonal."""
        if q.shape != self.shape:
            what = "orthogonal: the shape of the matrix cannot change"
            raise ValueError(errors.message(what, got=tuple(q.shape), expected=tuple(self.shape)))
        start = q
        wide = q.shape[-2] < q.shape[-1]
        if wide:
            q = q.mT
        n, k = q.shape[-2:]
        if not hasattr(self, "base"):
            if self.orthogonal_map != "householder":
                what = f"the map {self.orthogonal_map!r} without a base has no inverse"
                raise NotImplementedError(errors.message(what, fix="use_trivialization=True"))
            a, tau = geqrf(q)
            signs = a.diagonal(dim1=-2, dim2=-1)
            signs.sign_()
            signs[tau == 0] *= -1
            return a.mT if wide else a
        if n == k:
            self.base = q.clone() if _is_orthogonal(q) else _make_orthogonal(q)
        else:  # filled up to a square one
            more = randn(*q.shape[:-2], n, n - k, dtype=q.dtype)
            self.base = _make_orthogonal(cat([q, more], -1))
        # what the maps take to the identity: zeros for the skew ones, which ignore the diagonal, and for Householder's
        # products, whose vectors are zero then and reflect nothing but the sign
        zero = zeros_like(start)
        zero.diagonal(dim1=-2, dim2=-1).fill_(-1.0)
        return zero


def _from_skew(x: Any, n: int, k: int, name: str) -> Any:
    """The first k columns of exp(A), or of the Cayley transform, of the skew matrix A with x below the diagonal."""
    x = x.tril()
    if n != k:
        x = cat([x, x.new_zeros(*x.shape[:-2], n, n - k)], -1)  # (..., n, n)
    skew = x - x.mH
    if name == "matrix_exp":
        q = matrix_exp(skew)
    else:
        identity = eye(n, dtype=x.dtype)
        q = solve(identity - skew / 2, identity + skew / 2)
    return q[..., :k] if n != k else q


def _is_orthogonal(q: Any) -> bool:
    k = q.shape[-1]
    scale = 10 * q.shape[-2] * 2.0 ** (-52 if q.dtype in (dtypes.float64, dtypes.complex128) else -23)
    return bool(((q.mH @ q - eye(k, dtype=q.dtype)).abs() <= scale).all())


def _make_orthogonal(a: Any) -> Any:
    """The Q of the QR decomposition whose R has a positive diagonal."""
    x, tau = geqrf(a)
    return householder_product(x, tau) * x.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)


def orthogonal(
    module: Module, name: str = "weight", orthogonal_map: str | None = None, *, use_trivialization: bool = True
) -> Module:
    """Keep a matrix, or a batch of them, orthogonal: Q^T Q = 1 (Q Q^T = 1 if it is wide).

    Args:
        module: the module.
        name: the attribute.
        orthogonal_map: how the matrix is made of one without constraint: "matrix_exp", "cayley" or "householder"; by
            default the first for square and complex matrices, else the last.
        use_trivialization: multiply by an orthogonal matrix that is set when the weight is assigned.

    Returns:
        The module.

    Raises:
        ValueError: there is no such tensor, it is no matrix, or the map is unknown.

    Source: Lezcano-Casado, "Trivializations for Gradient-Based Optimization on Manifolds" (2019).

    >>> import tapegrad as torch
    >>> layer = torch.nn.utils.parametrizations.orthogonal(torch.nn.Linear(4, 2))
    >>> torch.allclose(layer.weight @ layer.weight.mT, torch.eye(2), atol=1e-6)
    True
    """
    weight = _named(module, name)
    if weight.ndim < 2:
        what = "orthogonal: expected a matrix or a batch of matrices"
        raise ValueError(errors.message(what, got=f"{weight.ndim} dimensions"))
    if orthogonal_map is None:
        square = weight.shape[-2] == weight.shape[-1] or weight.is_complex()
        orthogonal_map = "matrix_exp" if square else "householder"
    if orthogonal_map not in MAPS:
        text = errors.message("orthogonal: unknown orthogonal_map", got=repr(orthogonal_map), expected=f"one of {MAPS}")
        raise ValueError(text)
    made = _Orthogonal(weight, orthogonal_map, use_trivialization=use_trivialization)
    register_parametrization(module, name, made, unsafe=True)
    return module


# ---- length and direction ----------------------------------------------------------------------------------------


class _WeightNorm(Module):
    """A weight from its lengths (`original0`) and directions (`original1`)."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Any, weight_v: Any) -> Any:
        """The weight."""
        return scaled_direction(weight_v, weight_g, self.dim)

    def right_inverse(self, weight: Any) -> tuple[Any, Any]:
        """Lengths and directions of a weight."""
        return norm_except_dim(weight, 2, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int = 0) -> Module:
    """Split a weight into length and direction: weight = g * v / |v|, with g in `original0` and v in `original1`.

    Args:
        module: the module.
        name: the attribute.
        dim: the dimension whose indices have lengths of their own; None for one length.

    Returns:
        The module.

    Source: Salimans and Kingma, "Weight Normalization: A Simple Reparameterization to Accelerate Training of Deep
    Neural Networks" (2016).

    >>> import tapegrad as torch
    >>> layer = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(3, 2))
    >>> [(name.split(".")[-1], tuple(p.shape)) for name, p in layer.named_parameters()]
    [('bias', (2,)), ('original0', (2, 1)), ('original1', (2, 3))]
    """
    register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def rename(state_dict: dict, prefix: str, *_: Any) -> None:
        """Checkpoints of the older form."""
        for i, letter in enumerate("gv"):
            if (old := f"{prefix}{name}_{letter}") in state_dict:
                state_dict[f"{prefix}parametrizations.{name}.original{i}"] = state_dict.pop(old)

    module._register_load_state_dict_pre_hook(rename)
    return module


# ---- spectral norm -----------------------------------------------------------------------------------------------


class _SpectralNorm(Module):
    """A weight over its greatest singular value, which power iteration follows: some steps at each training call."""

    _u: Tensor
    _v: Tensor

    def __init__(self, weight: Any, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        super().__init__()
        if not -weight.ndim <= dim < weight.ndim:
            expected = f"from {-weight.ndim} to {weight.ndim - 1}"
            raise IndexError(errors.message("spectral_norm: dim is out of range", got=f"dim={dim}", expected=expected))
        check_iterations(n_power_iterations)
        self.dim = dim if dim >= 0 else dim + weight.ndim
        self.eps = eps
        if weight.ndim > 1:
            self.n_power_iterations = n_power_iterations
            matrix = as_matrix(weight.detach(), self.dim)
            h, w = matrix.shape
            u, v = matrix.new_empty(h).normal_(0, 1), matrix.new_empty(w).normal_(0, 1)
            self.register_buffer("_u", F.normalize(u, dim=0, eps=eps))
            self.register_buffer("_v", F.normalize(v, dim=0, eps=eps))
            self._iterate(matrix, 15)

    @no_grad()
    def _iterate(self, matrix: Any, steps: int) -> None:
        for _ in range(steps):
            self._u.copy_(F.normalize(mv(matrix, self._v), dim=0, eps=self.eps))
            self._v.copy_(F.normalize(mv(matrix.mH, self._u), dim=0, eps=self.eps))

    def forward(self, weight: Any) -> Any:
        """The weight of norm 1."""
        if weight.ndim == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            self._iterate(matrix, self.n_power_iterations)
        # copies: the next call changes the buffers, which the derivative of this one needs
        return weight / vdot(self._u.clone(), mv(matrix, self._v.clone()))

    def right_inverse(self, value: Any) -> Any:
        """The value itself: it need not have norm 1."""
        return value


def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Module:
    """Divide a weight by its greatest singular value, as the matrix (size of `dim`, everything else).

    Args:
        module: the module.
        name: the attribute.
        n_power_iterations: how many steps follow the singular vectors at each call in training mode.
        eps: the smallest norm that a vector is divided by.
        dim: the dimension of outputs; by default 1 for transposed convolutions, else 0.

    Returns:
        The module.

    Raises:
        ValueError: there is no such tensor, or `n_power_iterations` is not positive.
        IndexError: `dim` is out of range.

    Source: Miyato et al., "Spectral Normalization for Generative Adversarial Networks" (2018).

    >>> import tapegrad as torch
    >>> layer = torch.nn.utils.parametrizations.spectral_norm(torch.nn.Linear(8, 4))
    >>> round(torch.linalg.matrix_norm(layer.weight, 2).item(), 2)
    1.0
    """
    weight = _named(module, name)
    dim = output_dim(module) if dim is None else dim
    register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim, eps))
    return module
