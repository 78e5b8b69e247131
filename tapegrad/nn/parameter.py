"""`Parameter` and `Buffer`: tensors that become part of a module when they are assigned to it; and both without a
shape yet, for layers that learn it from their first input.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import devices, dtypes, errors, modes
from ..core.tensor import Tensor, to_text, wrap
from ..ops.creation.filled import empty


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


# ---- without a shape yet ---------------------------------------------------------------------------------------------

_HELD = Tensor.__dict__["array"]  # where a tensor keeps its array; here an empty one, for its dtype


class UninitializedTensorMixin:
    """A parameter or buffer that has a dtype but no shape; `materialize` gives it one."""

    __slots__ = ()

    cls_to_become: type = Tensor

    @property
    def array(self) -> np.ndarray:
        """Refused: there are no elements."""
        what = "an uninitialized parameter or buffer has no values yet"
        raise ValueError(errors.message(what, fix="call the lazy module once, with an example input"))

    @array.setter
    def array(self, value: np.ndarray) -> None:
        _HELD.__set__(self, np.empty(0, value.dtype))

    @property
    def shape(self) -> Any:
        """Refused: it is not known."""
        what = "an uninitialized parameter or buffer has no shape yet"
        fix = "call the lazy module once, with an example input; a model with shapes cannot load a state without them"
        raise RuntimeError(errors.message(what, fix=fix))

    @property
    def dtype(self) -> dtypes.dtype:
        """The element type that it will have."""
        return dtypes.of(_HELD.__get__(self).dtype)

    @property
    def data(self) -> Tensor:
        """An empty tensor of its dtype."""
        return wrap(_HELD.__get__(self))

    @data.setter
    def data(self, value: Tensor) -> None:
        _HELD.__set__(self, np.empty(0, value.data.array.dtype))

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Become an ordinary parameter or buffer of a shape, with arbitrary values.

        Args:
            shape: its sizes.
            device: where it is made.
            dtype: its type, if another than it has.
        """
        values = empty(shape, dtype=dtype or self.dtype, device=device)
        self.__class__ = self.cls_to_become
        _HELD.__set__(self, values.array)

    def share_memory_(self) -> Any:
        """Refused: there is no memory."""
        raise RuntimeError(errors.message("an uninitialized parameter or buffer has no memory to share yet"))

    def __repr__(self, *, tensor_contents: str | None = None) -> str:
        return f"<{type(self).__name__}>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __reduce_ex__(self, protocol: Any) -> tuple:
        return type(self), (bool(self._requires_grad), None, self.dtype)  # type: ignore[attr-defined]


def _of_the_dtype(name: str) -> Any:
    """A method that looks at, or changes, the dtype alone."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(self.data, name)(*args, **kwargs)

    method.__name__ = name
    method.__doc__ = f"`Tensor.{name}` of an empty tensor of this dtype."
    return method


for _name in ("bfloat16", "cpu", "double", "float", "half", "is_complex", "is_floating_point", "to", "type"):
    setattr(UninitializedTensorMixin, _name, _of_the_dtype(_name))


def _start(own: Any, requires_grad: bool, device: Any, dtype: Any) -> None:
    devices.check_device("an uninitialized parameter", device)
    own.array = np.empty(0, (dtype or modes.defaults.dtype).numpy)
    own._requires_grad = requires_grad


class UninitializedParameter(UninitializedTensorMixin, Parameter):  # type: ignore[misc]
    """A parameter whose shape is not known yet.

    Args:
        requires_grad: whether gradients are computed for it.
        device: where it will be.
        dtype: its type; the default dtype if None.

    >>> import tapegrad as torch
    >>> w = torch.nn.UninitializedParameter()
    >>> w.materialize((2, 3))
    >>> w.shape
    torch.Size([2, 3])
    """

    __slots__ = ()
    cls_to_become = Parameter

    def __init__(self, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> None:
        _start(self, requires_grad, device, dtype)

    def __deepcopy__(self, memo: dict) -> UninitializedParameter:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self._requires_grad, None, self.dtype)
        return memo[id(self)]


class UninitializedBuffer(UninitializedTensorMixin, Buffer):  # type: ignore[misc]
    """A buffer whose shape is not known yet.

    Args:
        requires_grad: whether gradients are computed for it.
        device: where it will be.
        dtype: its type; the default dtype if None.
        persistent: whether `state_dict()` holds it.
    """

    __slots__ = ()

    def __init__(
        self, requires_grad: bool = False, device: Any = None, dtype: Any = None, persistent: bool = True
    ) -> None:
        _start(self, requires_grad, device, dtype)
        self.persistent = persistent

    def __deepcopy__(self, memo: dict) -> UninitializedBuffer:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self._requires_grad, None, self.dtype, self.persistent)
        return memo[id(self)]


def is_lazy(param: Any) -> bool:
    """Whether it is a parameter or buffer without a shape."""
    return isinstance(param, UninitializedTensorMixin)


# ---- shared ----------------------------------------------------------------------------------------------------------


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
