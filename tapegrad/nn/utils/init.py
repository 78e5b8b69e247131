"""Modules without initial values."""

from __future__ import annotations

from typing import Any

from ...errors import message
from ...ops.random.generators import fork_rng
from ..module import Module


def skip_init(module_cls: Any, *args: Any, **kwargs: Any) -> Any:
    """A module for values that are loaded at once: its initial ones leave the random stream as it was.

    Args:
        module_cls: a class of modules that takes `device`.
        args, kwargs: of its constructor.

    Raises:
        TypeError: `module_cls` is no class.
        RuntimeError: it is no class of modules that take `device`.

    >>> import tapegrad as torch
    >>> torch.nn.utils.skip_init(torch.nn.Linear, 2, 3).weight.shape
    torch.Size([3, 2])
    """
    if not isinstance(module_cls, type):
        raise TypeError(message("skip_init: expected a class of modules", got=repr(module_cls)))
    if not issubclass(module_cls, Module):
        raise RuntimeError(message("skip_init: expected a class of modules", got=module_cls.__name__))
    if "device" not in _parameters(module_cls):
        raise RuntimeError(message(f"skip_init: {module_cls.__name__} takes no device"))
    with fork_rng():
        return module_cls(*args, **kwargs)


def _parameters(module_cls: type) -> set[str]:
    code = module_cls.__init__.__code__  # type: ignore[misc]
    return set(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])
