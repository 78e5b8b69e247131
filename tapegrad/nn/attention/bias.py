"""Causal masks for as many keys as queries or not: which corner the triangle is drawn from."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from ... import errors
from ...core.tensor import Tensor, wrap

__all__ = ["CausalBias", "CausalVariant", "causal_lower_right", "causal_upper_left"]


class CausalVariant(IntEnum):
    """The corner in which query and key are at the same time."""

    UPPER_LEFT = 1
    LOWER_RIGHT = 2


class CausalBias(Tensor):
    """A boolean mask (L, S): query i sees keys 0 to i (UPPER_LEFT), or 0 to i + S - L (LOWER_RIGHT).

    Args:
        variant: which of both.
        seq_len_q: L.
        seq_len_kv: S.
    """

    def __init__(self, variant: CausalVariant, seq_len_q: int, seq_len_kv: int) -> None:
        if not isinstance(variant, CausalVariant):
            raise AssertionError(errors.message("CausalBias: unknown variant", got=repr(variant)))
        shift = seq_len_kv - seq_len_q if variant is CausalVariant.LOWER_RIGHT else 0
        self.array = np.tri(seq_len_q, seq_len_kv, shift, dtype=bool)
        self.variant, self.seq_len_q, self.seq_len_kv = variant, seq_len_q, seq_len_kv

    def __repr__(self, *, tensor_contents: str | None = None) -> str:
        return repr(wrap(self.array))


def causal_upper_left(*size: int) -> CausalBias:
    """The mask (L, S) with which query i sees keys 0 to i.

    >>> from tapegrad.nn.attention.bias import causal_upper_left
    >>> causal_upper_left(2, 3)
    tensor([[ True, False, False],
            [ True,  True, False]])
    """
    return _made(CausalVariant.UPPER_LEFT, size)


def causal_lower_right(*size: int) -> CausalBias:
    """The mask (L, S) with which the last query sees all keys, the one before it all but the last, and so on.

    >>> from tapegrad.nn.attention.bias import causal_lower_right
    >>> causal_lower_right(2, 3)
    tensor([[ True,  True, False],
            [ True,  True,  True]])
    """
    return _made(CausalVariant.LOWER_RIGHT, size)


def _made(variant: CausalVariant, size: tuple[int, ...]) -> CausalBias:
    if len(size) != 2:
        text = f"{variant.name.lower()}: a causal mask has two dimensions"
        raise AssertionError(errors.message(text, got=size, expected="(queries, keys)"))
    return CausalBias(variant, *size)
