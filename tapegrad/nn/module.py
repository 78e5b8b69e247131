"""`Module`: the base of every layer and network.

A module is a node in a tree. It owns parameters, buffers and sub-modules (`registry.py`), computes in `forward` with
hooks around the call (`hooks.py`), and saves and loads its values by dotted paths (`state.py`). This file holds what
concerns the tree as a whole: construction, conversion, training mode, gradients, printing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

from .. import devices, dtypes, errors
from ..core.tensor import Tensor
from ..modes import no_grad
from .hooks import Hooks
from .registry import Registry
from .state import State

T = TypeVar("T", bound="Module")


class Module(Registry, Hooks, State):
    """Base class of layers and networks: assign parts in `__init__`, compute in `forward`, call the module.

    Parameters, buffers and modules that are assigned as attributes become part of the module: `parameters()`,
    `state_dict()`, `to(...)`, `train()` and the printed form see them.

    >>> import tapegrad as torch
    >>> class Net(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.scale = torch.nn.Parameter(torch.tensor([2.0]))
    ...     def forward(self, x):
    ...         return self.scale * x
    >>> Net()(torch.tensor([3.0]))
    tensor([6.], grad_fn=<MulBackward0>)
    """

    dump_patches: bool = False
    training: bool
    call_super_init: bool = (
        False  # whether __init__ goes on to the next class, for modules that are mixed with other bases
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if (args or kwargs) and not self.call_super_init:
            name = type(self).__name__
            raise TypeError(
                errors.message(f"{name}: Module.__init__() takes no arguments", got=_call_text(args, kwargs))
            )
        # Straight into __dict__: the attribute rules need these entries to be there already.
        own = self.__dict__
        own["training"] = True
        own["_parameters"] = {}
        own["_buffers"] = {}
        own["_non_persistent_buffers_set"] = set()
        for name in self.HOOK_DICTS:
            own[name] = OrderedDict()
        own["_modules"] = {}
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; every module that is called defines it."""
        raise NotImplementedError(
            errors.message(
                f'Module [{type(self).__name__}] is missing the required "forward" function',
                fix="define forward(self, ...), at the indentation of __init__",
            )
        )

    # ----------------------------------------------------------------------------------------------------------- whole

    def apply(self: T, fn: Callable[[Any], None]) -> T:
        """Call `fn(module)` on every module of the tree, children first; returns self.

        >>> import tapegrad as torch
        >>> net = torch.nn.Sequential(torch.nn.Linear(1, 1)).apply(lambda m: print(type(m).__name__))
        Linear
        Sequential
        """
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def train(self: T, mode: bool = True) -> T:
        """Set training mode for the whole tree (dropout drops, batch norm uses the batch); returns self.

        Raises:
            ValueError: `mode` is no bool.
        """
        if not isinstance(mode, bool):
            raise ValueError(errors.message("training mode is expected to be boolean", got=repr(mode)))
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self: T) -> T:
        """Set evaluation mode for the whole tree: `train(False)`; returns self."""
        return self.train(False)

    def requires_grad_(self: T, requires_grad: bool = True) -> T:
        """Say for every parameter whether it gets gradients; returns self."""
        for param in self.parameters():
            param.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters; with `set_to_none=False` fill them with zeros instead."""
        for param in self.parameters():
            if param.grad is None:
                continue
            if set_to_none:
                param.grad = None
            else:
                if param.grad.grad_fn is not None:
                    param.grad.detach_()
                else:
                    param.grad.requires_grad_(False)
                param.grad.zero_()

    # ----------------------------------------------------------------------------------------------------------- conver

    def _apply(self: T, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> T:
        """Replace the values of every parameter, gradient and buffer by `fn` of them; parameters stay the same
        objects.
        """
        if recurse:
            for module in self.children():
                module._apply(fn)
        for name, param in self._parameters.items():
            if param is not None:
                with no_grad():
                    self._parameters[name].data = fn(param)
                    if param.grad is not None:
                        grad = fn(param.grad).detach()
                        param.grad = grad.requires_grad_(param.grad.requires_grad)
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def to(self: T, *args: Any, **kwargs: Any) -> T:
        """Move and convert: `to(device)`, `to(dtype)`, `to(device, dtype)`, `to(tensor)`; in place, returns self.

        Args:
            device: where the values go.
            dtype: the floating-point type that floating-point parameters and buffers get; others keep theirs.
            tensor: the tensor whose device and dtype to take.
            non_blocking: accepted for compatibility.
            memory_format: accepted for compatibility.

        Raises:
            TypeError: `dtype` is an integer type, or an argument is none of these.

        >>> import tapegrad as torch
        >>> torch.nn.Linear(1, 1).to(torch.float64).weight.dtype
        torch.float64
        """
        device, dtype = _parse_to(*args, **kwargs)
        if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
            expected = "a floating-point or complex dtype"
            raise TypeError(
                errors.message(
                    "nn.Module.to only accepts floating point or complex dtypes", got=dtype, expected=expected
                )
            )

        def convert(tensor: Tensor) -> Tensor:
            floating = tensor.is_floating_point() or tensor.is_complex()
            return tensor.to(device=device, dtype=dtype if floating and dtype is not None else tensor.dtype)

        return self._apply(convert)

    def type(self: T, dst_type: Any) -> T:
        """Convert all parameters and buffers to `dst_type`; returns self."""
        return self._apply(lambda tensor: tensor.type(dst_type))

    def float(self: T) -> T:
        """Convert floating-point parameters and buffers to float32; returns self."""
        return self._apply(lambda tensor: tensor.float() if tensor.is_floating_point() else tensor)

    def double(self: T) -> T:
        """Convert floating-point parameters and buffers to float64; returns self."""
        return self._apply(lambda tensor: tensor.double() if tensor.is_floating_point() else tensor)

    def half(self: T) -> T:
        """Convert floating-point parameters and buffers to float16; returns self."""
        return self._apply(lambda tensor: tensor.half() if tensor.is_floating_point() else tensor)

    def bfloat16(self: T) -> T:
        """Convert floating-point parameters and buffers to bfloat16; returns self."""
        return self._apply(lambda tensor: tensor.bfloat16() if tensor.is_floating_point() else tensor)

    def cpu(self: T) -> T:
        """Move to the CPU; returns self."""
        return self._apply(lambda tensor: tensor.cpu())

    def cuda(self: T, device: Any = None) -> T:
        """Move to a CUDA device; returns self."""
        return self.to("cuda" if device is None else device)

    def to_empty(self: T, *, device: Any, recurse: bool = True) -> T:
        """Move to `device` without keeping the values; returns self."""
        return self._apply(lambda tensor: tensor.new_empty(tensor.shape, device=device), recurse=recurse)

    def share_memory(self: T) -> T:
        """Accepted for compatibility: nothing has to be done for threads to share a module; returns self."""
        return self

    # ------------------------------------------------------------------------------------------------------ copies and

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        for name in self.HOOK_DICTS:  # states of older versions
            self.__dict__.setdefault(name, OrderedDict())
        self.__dict__.setdefault("_non_persistent_buffers_set", set())

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """What stands between the parentheses of the printed form before the children; layers define it."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = [f"({name}): {_indented(repr(module))}" for name, module in self._modules.items()]
        if not children and len(lines) <= 1:
            return f"{self._get_name()}({extra})"
        return "\n  ".join([f"{self._get_name()}(", *lines, *children]) + "\n)"


# -------------------------------------------------------------------------------------------------------------------- h


def _indented(text: str) -> str:
    """`text` with all lines but the first moved right by two."""
    return text.replace("\n", "\n  ")


def _parse_to(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
    """(device, dtype) from the arguments of `to`, each None if not given."""
    unknown = set(kwargs) - {"device", "dtype", "tensor", "other", "non_blocking", "copy", "memory_format"}
    if unknown:
        raise TypeError(
            errors.message("to() takes a device, a dtype or a tensor", where="nn.Module", got=_call_text(args, kwargs))
        )
    device, dtype = kwargs.get("device"), kwargs.get("dtype")
    tensors = [kwargs[name] for name in ("tensor", "other") if name in kwargs]
    for position, arg in enumerate(args):
        if isinstance(arg, Tensor):
            tensors.append(arg)
        elif isinstance(arg, dtypes.dtype) and dtype is None:
            dtype = arg
        elif isinstance(arg, (str, devices.device)) or (
            isinstance(arg, int) and not isinstance(arg, bool) and position == 0
        ):
            device = arg
        elif not (arg is None or isinstance(arg, bool)):
            raise TypeError(
                errors.message("to() takes a device, a dtype or a tensor", where="nn.Module", got=repr(arg))
            )
    for tensor in tensors:
        device, dtype = tensor.device, tensor.dtype
    return device, dtype


def _call_text(args: tuple, kwargs: dict) -> str:
    return ", ".join([*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())]) or "no arguments"
