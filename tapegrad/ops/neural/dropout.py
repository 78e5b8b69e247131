"""Dropout: random zeros while training, with what is left scaled so that the mean stays the same.

References: Srivastava et al. 2014 (dropout), Tompson et al. 2015 (whole channels), Klambauer et al. 2017 (alpha
dropout).
"""

from __future__ import annotations

import warnings

import numpy as np

from ... import errors
from ...backends.cpu import random as streams
from ...core.tensor import Tensor, wrap
from ..random.draws import in_memory_order
from ..random.generators import chosen

__all__ = ["dropout", "alpha_dropout", "feature_dropout", "feature_alpha_dropout"]

SELU_FLOOR = 1.7580993408473766  # alpha * scale of selu: the distance from 0 of the value that selu tends to


def _check_p(where: str, p: float) -> None:
    if not 0.0 <= p <= 1.0:
        raise ValueError(errors.message(f"{where}: dropout probability has to be between 0 and 1", got=p))


def _noise(input: Tensor, p: float, features: bool, scaled: bool = False) -> Tensor:
    """1, or if `scaled` `1 / (1 - p)`, with probability `1 - p`, else 0: for every element, or for every channel
    (dimension 1) of every sample.
    """
    like = input.array
    if features:
        like = np.empty((*like.shape[:2], *(1,) * (like.ndim - 2)), like.dtype)
    kind = np.float64 if like.dtype == np.float64 else np.float32
    one = float(kind(1) / kind(1 - p)) if scaled else 1.0
    return wrap(in_memory_order(like, lambda shape: streams.bernoulli(chosen(None), 1 - p, shape, like.dtype, one)))


def _dropped(input: Tensor, p: float, features: bool, inplace: bool) -> Tensor:
    if p == 0 or input.numel() == 0:
        return input
    if features and input.dim() < 2:
        raise RuntimeError(
            errors.message("feature dropout requires at least 2 dimensions in the input", got=tuple(input.shape))
        )
    if p == 1:
        noise = input.new_zeros(())
    elif input.is_floating_point():
        noise = _noise(input, p, features, scaled=True)
    else:
        noise = _noise(input, p, features).div_(1 - p)
    return input.mul_(noise) if inplace else input * noise


def _alpha_dropped(input: Tensor, p: float, features: bool, inplace: bool) -> Tensor:
    """Dropped elements take selu's floor; an affine map then restores mean 0 and variance 1."""
    if p == 0 or input.numel() == 0:
        return input
    if features and input.dim() < 2:
        raise RuntimeError(
            errors.message("feature dropout requires at least 2 dimensions in the input", got=tuple(input.shape))
        )
    if p == 1:
        noise = input.new_zeros(())
        return input.mul_(noise) if inplace else input * noise
    noise = _noise(input, p, features)
    scale = 1 / ((SELU_FLOOR**2 * p + 1) * (1 - p)) ** 0.5
    shift = (noise - 1).mul_(SELU_FLOOR * scale).add_(SELU_FLOOR * scale * p)
    noise = noise.mul_(scale)
    return input.mul_(noise).add_(shift) if inplace else input * noise + shift


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Set each element to zero with probability `p` and multiply the others by `1 / (1 - p)`.

    Args:
        input: any shape.
        p: probability of zero.
        training: if false, the input is returned as it is.
        inplace: write into the input.

    Raises:
        ValueError: `p` is outside [0, 1].
    """
    _check_p("dropout", p)
    return _dropped(input, p, False, inplace) if training else input


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout that keeps the mean 0 and variance 1 that selu networks rely on; arguments and errors as for
    `dropout`.
    """
    _check_p("alpha_dropout", p)
    return _alpha_dropped(input, p, False, inplace) if training else input


def feature_dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """`dropout` of whole channels: one draw for every sample and entry of dimension 1."""
    _check_p("feature_dropout", p)
    return _dropped(input, p, True, inplace) if training else input


def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """`alpha_dropout` of whole channels: one draw for every sample and entry of dimension 1."""
    _check_p("feature_alpha_dropout", p)
    return _alpha_dropped(input, p, True, inplace) if training else input


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout of whole channels of (N, C, L) or (C, L); arguments and errors as for `dropout`.

    Raises:
        RuntimeError: another number of dimensions.
    """
    _check_p("dropout1d", p)
    if input.dim() not in (2, 3):
        raise RuntimeError(
            errors.message(
                "dropout1d: expected 2 or 3 dimensions", got=tuple(input.shape), expected="(N, C, L) or (C, L)"
            )
        )
    if input.dim() == 3:
        return feature_dropout(input, p, training, inplace)
    return feature_dropout(input.unsqueeze(0), p, training, inplace).squeeze(0)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout of whole channels of (N, C, H, W); arguments and errors as for `dropout`.

    Other numbers of dimensions are accepted with a warning; dimension 1 then counts as the channels.
    """
    _check_p("dropout2d", p)
    if input.dim() not in (3, 4):
        warnings.warn(f"dropout2d: expected (N, C, H, W), got {input.dim()} dimensions", stacklevel=2)
    if input.dim() == 3:
        warnings.warn("dropout2d: an input of 3 dimensions counts as (N, C, L); use dropout1d", stacklevel=2)
    return feature_dropout(input, p, training, inplace)


def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout of whole channels of (N, C, D, H, W) or (C, D, H, W); arguments and errors as for `dropout`.

    Other numbers of dimensions are accepted with a warning; dimension 1 then counts as the channels.
    """
    _check_p("dropout3d", p)
    if input.dim() not in (4, 5):
        warnings.warn(f"dropout3d: expected (N, C, D, H, W), got {input.dim()} dimensions", stacklevel=2)
    if input.dim() == 4:
        return feature_dropout(input.unsqueeze(0), p, training, inplace).squeeze(0)
    return feature_dropout(input, p, training, inplace)
