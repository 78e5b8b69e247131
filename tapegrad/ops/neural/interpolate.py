"""Resizing: `interpolate`, and its former names."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

from ... import errors
from ...core.tensor import Tensor
from .adaptive import adaptive_average
from .resample import lines_of, resample

_RANKS = {"linear": (1,), "bilinear": (2,), "bicubic": (2,), "trilinear": (3,)}
_KINDS = {"bilinear": "linear", "trilinear": "linear", "bicubic": "cubic"}


def _sizes(
    x: Tensor, size: Any, scale_factor: Any, recompute: bool | None
) -> tuple[tuple[int, ...], tuple[float | None, ...]]:
    """The output's spatial shape, and the scales that positions are computed with (None: ratio of the sizes)."""
    n = x.dim() - 2
    if (size is None) == (scale_factor is None):
        what = "interpolate: exactly one of size and scale_factor is needed"
        raise ValueError(errors.message(what, got=f"size={size}, scale_factor={scale_factor}"))
    given = scale_factor if size is None else size
    values = tuple(given) if isinstance(given, (tuple, list)) else (given,) * n
    if len(values) != n:
        name = "scale_factor" if size is None else "size"
        text = f"interpolate: {name} needs one value for each of the {n} spatial dimensions"
        raise ValueError(errors.message(text, got=given))
    if size is not None:
        if recompute:
            what = "interpolate: recompute_scale_factor needs scale_factor"
            raise ValueError(errors.message(what, got=f"size={size}"))
        if not all(isinstance(v, int) or hasattr(v, "__index__") for v in values):
            raise TypeError(errors.message("interpolate: size must be integers", got=repr(given)))
        return tuple(map(int, values)), (None,) * n
    sizes = tuple(math.floor(m * float(s)) for m, s in zip(x.shape[2:], values))
    return sizes, (None,) * n if recompute else tuple(map(float, values))


def interpolate(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resize the spatial dimensions of (N, C, *).

    Args:
        input: (N, C, L), (N, C, H, W) or (N, C, D, H, W).
        size: the new spatial shape; this or `scale_factor`.
        scale_factor: by what to multiply it; sizes are rounded down.
        mode: 'nearest', 'nearest-exact', 'area', 'linear' (3 dimensions), 'bilinear', 'bicubic' (4) or 'trilinear' (5).
        align_corners: whether the centres of the corner pixels stay where they are (True), or the corners of the image
            (False); for linear and cubic modes.
        recompute_scale_factor: compute positions from the rounded sizes, not from `scale_factor`.
        antialias: for 'bilinear' and 'bicubic', average over all that an output pixel covers when shrinking.

    Raises:
        ValueError: arguments that do not go together.
        NotImplementedError: a mode that the number of dimensions does not have.

    >>> import tapegrad as torch
    >>> x = torch.tensor([[[0.0, 1.0]]])
    >>> torch.nn.functional.interpolate(x, size=4, mode="linear", align_corners=False)
    tensor([[[0.0000, 0.2500, 0.7500, 1.0000]]])
    """
    if mode in ("nearest", "area", "nearest-exact"):
        if align_corners is not None:
            what = "interpolate: align_corners is for the linear and cubic modes"
            raise ValueError(errors.message(what, got=f"mode={mode!r}"))
    else:
        align_corners = bool(align_corners)
    sizes, scales = _sizes(input, size, scale_factor, recompute_scale_factor)
    n = input.dim() - 2
    if antialias and not (mode in ("bilinear", "bicubic") and n == 2):
        what = "interpolate: antialias is for bilinear and bicubic images of (N, C, H, W)"
        raise ValueError(errors.message(what, got=f"mode={mode!r}, {input.dim()} dimensions"))
    if n not in _RANKS.get(mode, (1, 2, 3)) or mode not in ("nearest", "nearest-exact", "area", *_RANKS):
        raise NotImplementedError(
            errors.message(
                f"interpolate: no mode {mode!r} for {input.dim()} dimensions",
                got=tuple(input.shape),
                expected="nearest, nearest-exact, area; linear (3 dimensions), bilinear, bicubic (4), trilinear (5)",
            )
        )
    if mode == "area":
        return adaptive_average("interpolate", input, sizes)
    if min((*input.shape[1:], *sizes)) <= 0:
        got = f"{tuple(input.shape)} to {sizes}"
        raise RuntimeError(errors.message("interpolate: sizes must be above 0", got=got))
    kind = _KINDS.get(mode, mode) + ("-antialiased" if antialias else "")
    return resample(input, lines_of(kind, input.shape[2:], sizes, scales, bool(align_corners)))


def upsample(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """`interpolate`, under its former name."""
    warnings.warn("upsample is deprecated; use interpolate", stacklevel=2)
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(
    input: Tensor, size: int | Sequence[int] | None = None, scale_factor: float | Sequence[float] | None = None
) -> Tensor:
    """`interpolate` with mode 'nearest', under its former name."""
    warnings.warn("upsample_nearest is deprecated; use interpolate", stacklevel=2)
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(
    input: Tensor, size: int | Sequence[int] | None = None, scale_factor: float | Sequence[float] | None = None
) -> Tensor:
    """`interpolate` with mode 'bilinear' and the centres of corner pixels kept, under its former name."""
    warnings.warn("upsample_bilinear is deprecated; use interpolate", stacklevel=2)
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)
