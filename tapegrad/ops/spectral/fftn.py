"""Fourier transforms along several dimensions: the transforms of `fft`, one dimension after the other. All composed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ... import shapes
from ...core.tensor import Tensor
from ...errors import message
from ..casting import full
from ..pointwise.complex import conj, conj_physical
from .fft import OTHER, _c2c, _c2r, _r2c, given_out, length, norm_of, prepared, resized

Sizes = Sequence[int] | None


def _tuple(given: Any) -> tuple:
    return (given,) if hasattr(given, "__index__") else tuple(given)


def _plan(where: str, x: Tensor, s: Any, dim: Any, half: bool = False) -> tuple[Tensor, tuple[int, ...], int]:
    """The operand with the wanted sizes, the dimensions counted from the front, and the size of the last of them.

    With `half` the last dimension holds half a spectrum: n // 2 + 1 of the n points asked for.
    """
    sizes = None if s is None else _tuple(s)
    if dim is not None:
        dims = tuple(shapes.axis(where, d, x.ndim) for d in _tuple(dim))
        if len(set(dims)) != len(dims):
            raise RuntimeError(message(f"{where}: a dimension is named twice", got=f"dim={tuple(dim)}"))
        if sizes is not None and len(sizes) != len(dims):
            raise RuntimeError(message(f"{where}: one size for each dimension", got=f"s={sizes}, dim={tuple(dim)}"))
    elif sizes is not None:
        if len(sizes) > x.ndim:
            raise RuntimeError(message(f"{where}: more sizes than dimensions", got=f"s={sizes}, {x.ndim} dimensions"))
        dims = tuple(range(x.ndim - len(sizes), x.ndim))
    else:
        dims = tuple(range(x.ndim))
    wanted = [x.shape[d] if sizes is None or sizes[i] == -1 else sizes[i] for i, d in enumerate(dims)]
    last = 0
    if half and dims:
        last = 2 * (wanted[-1] - 1) if sizes is None or sizes[-1] == -1 else sizes[-1]
        wanted[-1] = length(where, last) // 2 + 1
    wanted = [length(where, n) for n in wanted]
    return resized(x, dims, wanted), dims, last


def _at_least_one(where: str, dims: tuple[int, ...]) -> None:
    if not dims:
        raise RuntimeError(message(f"{where}: at least one dimension is needed", got="none"))


@full
def fftn(
    input: Tensor, s: Sizes = None, dim: Sizes = None, norm: str | None = None, *, out: Tensor | None = None
) -> Tensor:
    """The Fourier transform along several dimensions: `fft` along each of them. Composed.

    Args:
        input: any shape, real or complex.
        s: how many points along each (default, and -1: all there are); without `dim`, of the last dimensions.
        dim: the dimensions (default: all, or the last ones that `s` has sizes for).
        norm: None or "backward": no scale; "forward": divided by the number of points n; "ortho": by sqrt(n).
        out: where to put the result.

    Raises:
        RuntimeError: `s` does not fit `dim`, a dimension is named twice, no points, or an unknown `norm`.
        IndexError: there is no such dimension.

    >>> import tapegrad as torch
    >>> torch.fft.fftn(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[10.+0.j, -2.+0.j],
            [-4.+0.j,  0.+0.j]])
    """
    return _complex("fftn", input, s, dim, norm, out, True)


@full
def ifftn(
    input: Tensor, s: Sizes = None, dim: Sizes = None, norm: str | None = None, *, out: Tensor | None = None
) -> Tensor:
    """The inverse of `fftn`: `ifft` along several dimensions; arguments as there. Composed.

    >>> import tapegrad as torch
    >>> torch.fft.ifftn(torch.tensor([[10.0, -2.0], [-4.0, 0.0]]))
    tensor([[1.+0.j, 2.+0.j],
            [3.+0.j, 4.+0.j]])
    """
    return _complex("ifftn", input, s, dim, norm, out, False)


def _complex(where: str, input: Tensor, s: Any, dim: Any, norm: Any, out: Tensor | None, forward: bool) -> Tensor:
    x, norm = prepared(where, input, "complex"), norm_of(where, norm)
    x, dims, _ = _plan(where, x, s, dim)
    return given_out(where, input, _c2c(x, dims, norm, forward), out)


@full
def rfftn(
    input: Tensor, s: Sizes = None, dim: Sizes = None, norm: str | None = None, *, out: Tensor | None = None
) -> Tensor:
    """`fftn` of real numbers, of which half is kept along the last dimension: n // 2 + 1 frequencies. Composed.

    Args:
        input: any shape, real.
        s, dim, norm, out: as for `fftn`.

    >>> import tapegrad as torch
    >>> torch.fft.rfftn(torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])).shape
    torch.Size([2, 2])
    """
    x, norm = prepared("rfftn", input, "real"), norm_of("rfftn", norm)
    x, dims, _ = _plan("rfftn", x, s, dim)
    _at_least_one("rfftn", dims)
    return given_out("rfftn", input, _r2c(x, dims, norm, True), out)


@full
def irfftn(
    input: Tensor, s: Sizes = None, dim: Sizes = None, norm: str | None = None, *, out: Tensor | None = None
) -> Tensor:
    """The real numbers whose `rfftn` is `input`. Composed.

    Args:
        input: any shape, half a spectrum along the last dimension.
        s: how many numbers along each dimension (default: all there are, 2 (m - 1) of m frequencies in the last).
        dim, norm, out: as for `fftn`.

    >>> import tapegrad as torch
    >>> torch.fft.irfftn(torch.tensor([[10.0, -2.0], [-4.0, 0.0]]))
    tensor([[1., 2.],
            [3., 4.]])
    """
    x, norm = prepared("irfftn", input, "complex"), norm_of("irfftn", norm)
    x, dims, last = _plan("irfftn", x, s, dim, True)
    _at_least_one("irfftn", dims)
    return given_out("irfftn", input, _c2r(x, dims, norm, last), out)


@full
def hfftn(
    input: Tensor, s: Sizes = None, dim: Sizes = None, norm: str | None = None, *, out: Tensor | None = None
) -> Tensor:
    """`fftn` of numbers whose spectrum is real, of which half is given along the last dimension. Composed.

    Args:
        input: any shape.
        s: how many points along each dimension (default: all there are, 2 (m - 1) of m numbers in the last).
        dim, norm, out: as for `fftn`.

    >>> import tapegrad as torch
    >>> torch.fft.hfftn(torch.tensor([[2.5, -0.5], [-1.0, 0.0]]))
    tensor([[1., 2.],
            [3., 4.]])
    """
    x, norm = prepared("hfftn", input, "complex"), norm_of("hfftn", norm)
    x, dims, last = _plan("hfftn", x, s, dim, True)
    _at_least_one("hfftn", dims)
    if len(dims) > 1:
        x = _c2c(x, dims[:-1], norm, True)
    return given_out("hfftn", input, _c2r(conj(x), dims[-1:], OTHER[norm], last), out)


@full
def ihfftn(
    input: Tensor, s: Sizes = None, dim: Sizes = None, norm: str | None = None, *, out: Tensor | None = None
) -> Tensor:
    """The inverse of `hfftn`: `ifftn` of real numbers, of which half is kept along the last dimension. Composed.

    Args:
        input: any shape, real.
        s, dim, norm, out: as for `fftn`.

    >>> import tapegrad as torch
    >>> torch.fft.ihfftn(torch.tensor([[1.0, 2.0], [3.0, 4.0]])).real
    tensor([[ 2.5000, -0.5000],
            [-1.0000,  0.0000]])
    """
    x, norm = prepared("ihfftn", input, "real"), norm_of("ihfftn", norm)
    x, dims, _ = _plan("ihfftn", x, s, dim)
    _at_least_one("ihfftn", dims)
    half = conj_physical(_r2c(x, dims[-1:], OTHER[norm], True))
    return given_out("ihfftn", input, half if len(dims) == 1 else _c2c(half, dims[:-1], norm, False), out)


# ---- two dimensions: the same with another default -----------------------------------------------------------------


@full
def fft2(
    input: Tensor, s: Sizes = None, dim: Sizes = (-2, -1), norm: str | None = None, *, out: Tensor | None = None
) -> Tensor:
    """`fftn` along two dimensions, the last ones by default; arguments as there. Composed.

    >>> import tapegrad as torch
    >>> torch.fft.fft2(torch.ones(2, 2)).real
    tensor([[4., 0.],
            [0., 0.]])
    """
    return fftn(input, s, dim, norm, out=out)


@full
def ifft2(
    input: Tensor, s: Sizes = None, dim: Sizes = (-2, -1), norm: str | None = None, *, out: Tensor | None = None
) -> Tensor:
    """`ifftn` along two dimensions, the last ones by default; arguments as there. Composed."""
    return ifftn(input, s, dim, norm, out=out)


@full
def rfft2(
    input: Tensor, s: Sizes = None, dim: Sizes = (-2, -1), norm: str | None = None, *, out: Tensor | None = None
) -> Tensor:
    """`rfftn` along two dimensions, the last ones by default; arguments as there. Composed."""
    return rfftn(input, s, dim, norm, out=out)


@full
def irfft2(
    input: Tensor, s: Sizes = None, dim: Sizes = (-2, -1), norm: str | None = None, *, out: Tensor | None = None
) -> Tensor:
    """`irfftn` along two dimensions, the last ones by default; arguments as there. Composed."""
    return irfftn(input, s, dim, norm, out=out)


@full
def hfft2(
    input: Tensor, s: Sizes = None, dim: Sizes = (-2, -1), norm: str | None = None, *, out: Tensor | None = None
) -> Tensor:
    """`hfftn` along two dimensions, the last ones by default; arguments as there. Composed."""
    return hfftn(input, s, dim, norm, out=out)


@full
def ihfft2(
    input: Tensor, s: Sizes = None, dim: Sizes = (-2, -1), norm: str | None = None, *, out: Tensor | None = None
) -> Tensor:
    """`ihfftn` along two dimensions, the last ones by default; arguments as there. Composed."""
    return ihfftn(input, s, dim, norm, out=out)
