"""`Parameter` and `Buffer`: tensors that become part of a module when they are assigned to it."""

from __future__ import annotations

from typing import Any

from .. import errors
from ..core.tensor import Tensor, to_text, wrap


class Parameter(Tensor):
    """A tensor that is trained: assigned as an attribute, it appears in `module.parameters()`.

    Args:
        data: the values, whose memory is shared; empty if None.
        requires_grad: whether gradients are computed for it.

    Raises:
        TypeError: `data` is no tensor.
        RuntimeError: `data` has an integer type and `requires_grad` is true.

    >>> import tapegrad as torch
    >>> torch.nn.Parameter(torch.ones(2))
    Parameter containing:
    tensor([1., 1.], requires_grad=True)
    """

    __slots__ = ()

    def __init__(self, data: Tensor | None = None, requires_grad: bool = True) -> None:
        _share(self, data, requires_grad)

    def __repr__(self, *, tensor_contents: str | None = None) -> str:
        return "Parameter containing:\n" + to_text(self)

    def __deepcopy__(self, memo: dict) -> Parameter:
        """The values and whether they are trained; neither the gradient nor attributes."""
        if id(self) not in memo:
            memo[id(self)] = type(self)(wrap(self.array.copy()), self.requires_grad)
        return memo[id(self)]


class Buffer(Tensor):
    """A tensor that belongs to a module but is not trained: assigned as an attribute, it appears in `module.buffers()`.

    Args:
        data: the values, whose memory is shared; empty if None.
        persistent: whether `state_dict()` holds it.

    Raises:
        TypeError: `data` is no tensor.

    >>> import tapegrad as torch
    >>> m = torch.nn.Module()
    >>> m.steps = torch.nn.Buffer(torch.zeros(1))
    >>> list(m.state_dict())
    ['steps']
    """

    __slots__ = ()

    def __init__(self, data: Tensor | None = None, *, persistent: bool = True) -> None:
        _share(self, data, data is not None and data.requires_grad)
        self.persistent = persistent


def _share(own: Tensor, data: Any, requires_grad: bool) -> None:
    """Make `own` a leaf over the memory of `data`."""
    if data is None:
        Tensor.__init__(own, 0)
    elif isinstance(data, Tensor):
        source = data.detach()
        own.array, own._ver = source.array, source._ver
    else:
        raise TypeError(
            errors.message(f"{type(own).__name__} takes a tensor", got=type(data).__name__, fix="use torch.tensor(...)")
        )
    own.requires_grad_(requires_grad)
