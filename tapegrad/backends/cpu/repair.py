"""Numbers in place of NaN and infinities."""

from __future__ import annotations

import ml_dtypes
import numpy as np

Array = np.ndarray
BLOCK = 65536  # elements that are looked at and copied while they are in the cache


def finite(x: Array, nan: float | None, posinf: float | None, neginf: float | None) -> Array:
    """A copy with NaN and infinities replaced; None stands for 0 and for the greatest numbers of the dtype."""
    if x.dtype.kind in "iub":
        return x.copy()
    if x.dtype.kind == "c":
        parts = np.ascontiguousarray(x).reshape(-1).view(x.real.dtype)
        return finite(parts, nan, posinf, neginf).view(x.dtype).reshape(x.shape)
    most = ml_dtypes.finfo(x.dtype).max
    top, bottom = most if posinf is None else posinf, -most if neginf is None else neginf
    if x.size <= BLOCK or not x.flags.c_contiguous:
        found = x.copy()
        _replace(found, np.isfinite(found), 0 if nan is None else nan, top, bottom)
        return found
    found = np.empty(x.shape, x.dtype)
    source, target = x.reshape(-1), found.reshape(-1)
    for start in range(0, x.size, BLOCK):
        part = target[start : start + BLOCK]
        np.copyto(part, source[start : start + BLOCK])
        _replace(part, np.isfinite(part), 0 if nan is None else nan, top, bottom)
    return found


def _replace(x: Array, kept: Array, nan: float, top: float, bottom: float) -> None:
    if kept.all():
        return
    lost = ~kept
    held = x[lost]
    x[lost] = np.where(held != held, nan, np.where(held > 0, top, bottom)).astype(x.dtype)
