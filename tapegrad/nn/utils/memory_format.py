"""Weights in another order of memory: accepted for compatibility."""

from __future__ import annotations

from typing import Any, TypeVar

from ..module import Module

T = TypeVar("T", bound=Module)


def convert_conv2d_weight_memory_format(module: T, memory_format: Any) -> T:
    """The module as it is: kernels here choose their own order of memory.

    Args:
        module: a module with two-dimensional convolutions in it.
        memory_format: `torch.channels_last` or `torch.contiguous_format`.
    """
    return module


def convert_conv3d_weight_memory_format(module: T, memory_format: Any) -> T:
    """The module as it is: kernels here choose their own order of memory."""
    return module
