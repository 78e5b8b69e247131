"""`torch.nn.attention`: which way scaled dot-product attention is computed, and masks that are aligned causally.

There is one way here, which needs no more memory than PyTorch's fused ones. The choice is accepted and has no effect.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from enum import IntEnum

from ... import errors
from . import bias as bias

__all__ = ["SDPBackend", "bias", "sdpa_kernel"]


class SDPBackend(IntEnum):
    """PyTorch's ways to compute scaled dot-product attention."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4

    __str__ = IntEnum.__repr__


@contextlib.contextmanager
def sdpa_kernel(backends: list[SDPBackend] | SDPBackend, set_priority: bool = False) -> Iterator[dict]:
    """Accepted for compatibility: inside, the named ways are the allowed ones; there is one way here.

    Args:
        backends: one or several ways.
        set_priority: whether their order says which to prefer.

    Raises:
        AssertionError: no list and no `SDPBackend`.

    >>> import tapegrad as torch
    >>> from tapegrad.nn.attention import SDPBackend, sdpa_kernel
    >>> with sdpa_kernel(SDPBackend.MATH):
    ...     torch.nn.functional.scaled_dot_product_attention(*[torch.ones(1, 1)] * 3)
    tensor([[1.]])
    """
    if not isinstance(backends, (list, SDPBackend)):
        text = "sdpa_kernel: backends must be an SDPBackend or a list of them"
        raise AssertionError(errors.message(text, got=type(backends).__name__))
    yield {}
