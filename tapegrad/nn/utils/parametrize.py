"""Parameters that are computed from others: `module.weight` becomes the value of a module, a parametrization.

`register_parametrization(m, "weight", f)` gives m a class of its own, derived from its old one, in which `weight` is a
property: reading it calls `m.parametrizations.weight`, a `ParametrizationList` that holds the unconstrained tensor
(`original`) and the modules f, g, ... it goes through; assigning to it goes back through their `right_inverse`.

Invariant: the unconstrained tensor is the Parameter object that was there before, so that optimizers keep it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ... import errors
from ...core.tensor import Tensor
from ...modes import no_grad
from ..containers import ModuleDict, ModuleList
from ..module import Module
from ..parameter import Parameter

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "transfer_parametrizations_and_params",
    "type_before_parametrizations",
]

_values: dict[tuple[int, str], Tensor] = {}  # those that were computed inside `cached`
_open = 0  # how many blocks of `cached` there are


@contextmanager
def cached() -> Iterator[None]:
    """Compute each parametrized tensor once only inside the `with` block.

    >>> import tapegrad as torch
    >>> layer = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(2, 2))
    >>> with torch.nn.utils.parametrize.cached():
    ...     layer.weight is layer.weight
    True
    """
    global _open
    _open += 1
    try:
        yield
    finally:
        _open -= 1
        if not _open:
            _values.clear()


class ParametrizationList(ModuleList):
    """The modules that a tensor goes through, and the tensor (`original`), or several (`original0`, ...).

    Args:
        modules: the parametrizations, the one that is applied first in front.
        original: the value that the list has at first; where the modules have a `right_inverse`, it gives what is kept.
        unsafe: do not check that shape and type are kept.

    Raises:
        ValueError: there is no module, or one returns something else than a tensor of the same shape and type.

    >>> import tapegrad as torch
    >>> class Symmetric(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x.triu() + x.triu(1).mT
    >>> values = torch.nn.utils.parametrize.ParametrizationList([Symmetric()], torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    >>> values()
    tensor([[1., 2.],
            [2., 4.]])
    """

    original: Tensor
    unsafe: bool

    def __init__(self, modules: Sequence[Module], original: Tensor | Parameter, unsafe: bool = False) -> None:
        if not modules:
            raise ValueError(errors.message("ParametrizationList: at least one module is needed"))
        super().__init__(modules)
        self.unsafe = unsafe
        shape, dtype = original.shape, original.dtype
        kept: Any = original
        with no_grad():
            for module in reversed(self):  # type: ignore[call-overload]
                if hasattr(module, "right_inverse"):
                    try:
                        kept = module.right_inverse(kept)
                    except NotImplementedError:
                        pass
        _check_inverse(kept)
        self.is_tensor = isinstance(kept, Tensor)
        self.ntensors = 1 if self.is_tensor else len(kept)
        if self.is_tensor:
            if kept.dtype != dtype:
                what = "a right_inverse that returns one tensor may not change its type"
                raise ValueError(errors.message(what, got=kept.dtype, expected=dtype))
            with no_grad():
                original.set_(kept)
            _register(self, "original", original)
        else:
            for i, value in enumerate(kept):
                if isinstance(original, Parameter):
                    value = Parameter(value, original.requires_grad)
                value.requires_grad_(original.requires_grad)
                _register(self, f"original{i}", value)
        if not unsafe:
            _check_same(self(), dtype, shape, "a parametrization")

    def _originals(self) -> list[Tensor]:
        names = ["original"] if self.is_tensor else [f"original{i}" for i in range(self.ntensors)]
        return [getattr(self, name) for name in names]

    def forward(self) -> Tensor:
        """The value."""
        first, *others = self
        value = first(*self._originals())
        for module in others:
            value = module(value)
        return value

    def right_inverse(self, value: Tensor) -> None:
        """Set what is kept such that the list gives this value, by the `right_inverse` of its modules.

        Raises:
            RuntimeError: a module has none.
            ValueError: they return something else than tensors like those that are kept.
        """
        with no_grad():
            for module in reversed(self):  # type: ignore[call-overload]
                if not hasattr(module, "right_inverse"):
                    what = f"parametrization {type(module).__name__} does not implement right_inverse"
                    raise RuntimeError(errors.message(what, fix="it is what assigning to a parametrized tensor needs"))
                value = module.right_inverse(value)
            _check_inverse(value)
            kept = self._originals()
            given = [value] if isinstance(value, Tensor) else list(value)
            if isinstance(value, Tensor) != self.is_tensor or len(given) != len(kept):
                what = "right_inverse returns another number of tensors than at the registration"
                raise ValueError(errors.message(what, got=len(given), expected=len(kept)))
            for i, (new, old) in enumerate(zip(given, kept)):
                if new.dtype != old.dtype:
                    what = f"right_inverse: tensor {i} has another type than the one that is kept"
                    raise ValueError(errors.message(what, got=new.dtype, expected=old.dtype))
                old.set_(new)


def _check_inverse(value: Any) -> None:
    """Refuse what a `right_inverse` may not return."""
    if isinstance(value, Tensor):
        return
    if not isinstance(value, Sequence):
        what = "right_inverse must return a tensor or a sequence of tensors"
        raise ValueError(errors.message(what, got=type(value).__name__))
    for i, entry in enumerate(value):
        if not isinstance(entry, Tensor):
            what = "right_inverse must return a tensor or a sequence of tensors"
            raise ValueError(errors.message(what, got=f"{type(entry).__name__} as entry {i}"))


def _check_same(value: Any, dtype: Any, shape: Any, what: str) -> None:
    """Refuse a value that is not like the tensor it stands for."""
    if not isinstance(value, Tensor):
        raise ValueError(errors.message(f"{what} must return a tensor", got=type(value).__name__))
    for name, got, expected in (("type", value.dtype, dtype), ("shape", value.shape, shape)):
        if got != expected:
            text = f"{what} may not change the {name} of a tensor"
            raise ValueError(errors.message(text, got=got, expected=expected, fix="unsafe=True allows it"))


def _register(module: Module, name: str, value: Tensor) -> None:
    if isinstance(value, Parameter):
        module.register_parameter(name, value)
    else:
        module.register_buffer(name, value)


# ---- registration ------------------------------------------------------------------------------------------------


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Let a parameter or buffer of a module go through another module whenever it is read.

    Args:
        module: the module; its class becomes `Parametrized<Class>`.
        tensor_name: the attribute.
        parametrization: computes the value from the tensor, or from what its `right_inverse` makes of it. Several are
            applied in the order of registration.
        unsafe: do not check that shape and type are kept.

    Returns:
        The module.

    Raises:
        ValueError: there is no such tensor, or the parametrization changes shape or type.

    >>> import tapegrad as torch
    >>> class Positive(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x.exp()
    ...     def right_inverse(self, y):
    ...         return y.log()
    >>> layer = torch.nn.Linear(1, 1, bias=False)
    >>> _ = torch.nn.utils.parametrize.register_parametrization(layer, "weight", Positive(), unsafe=True)
    >>> layer.weight = torch.tensor([[2.0]])
    >>> layer.weight.item(), [name for name, _ in layer.named_parameters()]
    (2.0, ['parametrizations.weight.original'])
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        if not unsafe:
            _check_addition(module, tensor_name, parametrization)
        entries: Any = module.parametrizations[tensor_name]
        entries.append(parametrization)
        entries.unsafe |= unsafe
    elif tensor_name in module._buffers or tensor_name in module._parameters:
        original = getattr(module, tensor_name)
        entries = ParametrizationList([parametrization], original, unsafe=unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            module.__class__ = _parametrized_class(type(module))
            module.parametrizations = ModuleDict()
        setattr(type(module), tensor_name, _property(tensor_name))
        module.parametrizations[tensor_name] = entries
    else:
        what = f"there is no parameter, buffer or parametrized tensor {tensor_name!r}"
        raise ValueError(errors.message(what, where=repr(module)))
    return module


def _check_addition(module: Module, name: str, parametrization: Module) -> None:
    """Refuse one more parametrization that changes shape or type."""
    with no_grad():
        value = getattr(module, name)
        _check_same(parametrization(value), value.dtype, value.shape, "a parametrization")
        if hasattr(parametrization, "right_inverse"):
            try:
                inverse = parametrization.right_inverse(value)
            except NotImplementedError:
                return
            _check_same(inverse, value.dtype, value.shape, "the right_inverse of a parametrization")


def _parametrized_class(base: type) -> type:
    """A class like `base` for one module, to put properties into."""

    def deepcopy(self: Any, memo: dict) -> Any:
        # the class is the instance's own, and is shared by copies: both have the same parametrized names
        found = memo.get(id(self))
        if found is None:
            found = memo[id(self)] = object.__new__(type(self))
            found.__dict__ = copy.deepcopy(self.__dict__, memo)
        return found

    def refuse(self: Any) -> Any:
        what = "a parametrized module cannot be pickled: its class exists in this process only"
        raise RuntimeError(errors.message(what, fix="save its state_dict()"))

    members = {"__getstate__": refuse, "__module__": __name__}
    if not hasattr(base, "__deepcopy__"):
        members["__deepcopy__"] = deepcopy
    return type(f"Parametrized{base.__name__}", (base,), members)


def _property(name: str) -> property:
    def get(self: Any) -> Tensor:
        entries = self.parametrizations[name]
        if not _open:
            return entries()
        key = (id(self), name)
        if key not in _values:
            _values[key] = entries()
        return _values[key]

    def put(self: Any, value: Tensor) -> None:
        self.parametrizations[name].right_inverse(value)

    return property(get, put)


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether a tensor of a module is parametrized; without a name, whether any is.

    >>> import tapegrad as torch
    >>> torch.nn.utils.parametrize.is_parametrized(torch.nn.Linear(1, 1), "weight")
    False
    """
    entries = module.__dict__.get("_modules", {}).get("parametrizations")
    if not isinstance(entries, ModuleDict):
        return False
    return len(entries) > 0 if tensor_name is None else tensor_name in entries


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Make a parametrized tensor a plain one again.

    Args:
        module: the module.
        tensor_name: the attribute.
        leave_parametrized: keep the value that it has now; with False, the unconstrained tensor behind it.

    Returns:
        The module; without any parametrization it gets its old class back.

    Raises:
        ValueError: the tensor is not parametrized, or it is made of several and `leave_parametrized` is False.

    >>> import tapegrad as torch
    >>> layer = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(2, 2))
    >>> _ = torch.nn.utils.parametrize.remove_parametrizations(layer, "weight")
    >>> list(layer.state_dict()), type(layer).__name__
    (['bias', 'weight'], 'Linear')
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(errors.message(f"there is no parametrization on {tensor_name!r}", where=repr(module)))
    entries: Any = module.parametrizations[tensor_name]
    if entries.is_tensor:
        original = entries.original
        if leave_parametrized:
            with no_grad():
                original.set_(getattr(module, tensor_name))
    elif leave_parametrized:
        value = getattr(module, tensor_name)
        # a tensor made of parameters becomes a parameter
        original = Parameter(value.detach()) if any(isinstance(t, Parameter) for t in entries._originals()) else value
    else:
        what = "leave_parametrized=False needs one tensor to go back to"
        raise ValueError(errors.message(what, where=tensor_name, got=f"a tensor made of {entries.ntensors}"))
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    _register(module, tensor_name, original)
    if not is_parametrized(module):
        delattr(module, "parametrizations")
        module.__class__ = type(module).__bases__[0]
    return module


def type_before_parametrizations(module: Module) -> type:
    """The class that a module had before it was parametrized.

    >>> import tapegrad as torch
    >>> layer = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(2, 2))
    >>> torch.nn.utils.parametrize.type_before_parametrizations(layer) is torch.nn.Linear
    True
    """
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(
    from_module: Module, to_module: Module, tensor_name: str | None = None
) -> Module:
    """Give a module the parametrizations of another, with the tensors behind them.

    Args:
        from_module: where they come from.
        to_module: where they go to.
        tensor_name: only this attribute; by default all that are parametrized.

    Returns:
        `to_module`.
    """
    if not is_parametrized(from_module):
        return to_module
    names = list(from_module.parametrizations) if tensor_name is None else [tensor_name]  # type: ignore[call-overload]
    for name in names:
        source: Any = from_module.parametrizations[name]
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(copy.deepcopy(getattr(from_module, name)).detach()))
        for parametrization in source:
            register_parametrization(to_module, name, parametrization)
        target: Any = to_module.parametrizations[name]
        for key in ["original"] if source.is_tensor else [f"original{i}" for i in range(source.ntensors)]:
            setattr(target, key, getattr(source, key))
    return to_module
