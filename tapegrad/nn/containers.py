"""Modules made of modules or parameters: `Sequential`, `ModuleList`, `ModuleDict`, `ParameterList`, `ParameterDict`.

The children of the lists are called "0", "1", ...; inserting and deleting renumbers them, so that `state_dict` keys are
positions.
"""

from __future__ import annotations

import operator
import warnings
from collections import OrderedDict
from collections.abc import Container as Holder
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .. import errors
from ..core.tensor import Tensor
from .module import Module
from .parameter import Parameter


class Container(Module):
    """The former base of modules made of others: keyword arguments become children. Subclass `Module` instead."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__()
        warnings.warn("nn.Container is deprecated: subclass nn.Module instead", stacklevel=2)
        for name, module in kwargs.items():
            self.add_module(name, module)


class Sequential(Module):
    r"""Modules called one after the other: `f_n(... f_2(f_1(x)))`.

    Args:
        *args: the modules in order, or one `OrderedDict` of names and modules.

    >>> import tapegrad as torch
    >>> torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU())
    Sequential(
      (0): Linear(in_features=2, out_features=3, bias=True)
      (1): ReLU()
    )
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        named = args[0].items() if len(args) == 1 and isinstance(args[0], OrderedDict) else enumerate(args)
        for name, module in named:
            self.add_module(str(name), module)

    def forward(self, input: Any) -> Any:
        for module in self._modules.values():
            input = module(input)
        return input

    def _key(self, index: int) -> str:
        return list(self._modules)[_position(self, index)]

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(OrderedDict(list(self._modules.items())[index]))
        return self._modules[self._key(index)]

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, self._key(index), module)

    def __delitem__(self, index: int | slice) -> None:
        for key in list(self._modules)[index] if isinstance(index, slice) else [self._key(index)]:
            delattr(self, key)
        _renumber(self, list(self._modules.values()))

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def __add__(self, other: Sequential) -> Sequential:
        return Sequential(*self, *_sequential(other, "add"))

    def __iadd__(self, other: Sequential) -> Sequential:
        return self.extend(list(_sequential(other, "add")))

    def __mul__(self, times: int) -> Sequential:
        return Sequential(*(module for _ in range(_times(self, times)) for module in self))

    __rmul__ = __mul__

    def __imul__(self, times: int) -> Sequential:
        return self.extend([module for _ in range(_times(self, times) - 1) for module in self])

    def append(self, module: Module) -> Sequential:
        """Put `module` at the end; returns self."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, sequential: Iterable[Module]) -> Sequential:
        """Put all modules of `sequential` at the end; returns self."""
        for module in list(sequential):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Sequential:
        """Put `module` before position `index`; returns self.

        Raises:
            IndexError: the position is not in `[-len, len]`.
            AssertionError: `module` is no Module.
        """
        if not isinstance(module, Module):
            raise AssertionError(errors.message("Sequential.insert takes a Module", got=repr(type(module))))
        size = len(self)
        if not -size <= index <= size:
            raise IndexError(
                errors.message("Sequential.insert: index out of range", got=index, expected=f"-{size} to {size}")
            )
        modules = list(self)
        modules.insert(index, module)
        _renumber(self, modules)
        return self

    def pop(self, key: int | slice) -> Any:
        """Take the module at position `key` out and return it."""
        taken = self[key]
        del self[key]
        return taken


class ModuleList(Module):
    """A list of modules whose members belong to the module that holds it.

    Args:
        modules: the first members.

    >>> import tapegrad as torch
    >>> layers = torch.nn.ModuleList([torch.nn.Tanh() for _ in range(3)])
    >>> layers
    ModuleList(
      (0-2): 3 x Tanh()
    )
    >>> layers[-1]
    Tanh()
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self)[index])
        return self._modules[str(_position(self, index))]

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, str(_position(self, index)), module)

    def __delitem__(self, index: int | slice) -> None:
        modules = list(self)
        del modules[index if isinstance(index, slice) else _position(self, index)]
        _renumber(self, modules)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def __iadd__(self, other: Iterable[Module]) -> ModuleList:
        return self.extend(other)

    def append(self, module: Module) -> ModuleList:
        """Put `module` at the end; returns self."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> ModuleList:
        """Put all of `modules` at the end; returns self."""
        for module in list(_iterable(self, "extend", modules)):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> None:
        """Put `module` before position `index`, with a list's rules for positions outside it."""
        modules = list(self)
        modules.insert(index, module)
        _renumber(self, modules)

    def pop(self, key: int | slice) -> Any:
        """Take the module at position `key` out and return it."""
        taken = self[key]
        del self[key]
        return taken

    def __repr__(self) -> str:
        """The children, equal neighbours in one line: `(0-2): 3 x Tanh()`."""
        runs: list[list] = []  # [text, first, last]
        for position, text in enumerate(map(repr, self)):
            if runs and runs[-1][0] == text:
                runs[-1][2] = position
            else:
                runs.append([text, position, position])
        if not runs:
            return f"{self._get_name()}()"
        lines = [f"{self._get_name()}("]
        for text, first, last in runs:
            label = f"({first}): {text}" if first == last else f"({first}-{last}): {last - first + 1} x {text}"
            lines.append(label.replace("\n", "\n  "))
        return "\n  ".join(lines) + "\n)"


class ModuleDict(Module):
    """A dictionary of modules, in order of insertion, whose members belong to the module that holds it.

    Args:
        modules: a mapping from names to modules, or (name, module) pairs.

    >>> import tapegrad as torch
    >>> choices = torch.nn.ModuleDict({"tanh": torch.nn.Tanh(), "relu": torch.nn.ReLU()})
    >>> choices["tanh"]
    Tanh()
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Any:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: str) -> bool:
        return key in self._modules

    def clear(self) -> None:
        """Take all modules out."""
        self._modules.clear()

    def pop(self, key: str) -> Any:
        """Take the module called `key` out and return it."""
        return self._modules.pop(key)

    def keys(self) -> Any:
        """The names."""
        return self._modules.keys()

    def items(self) -> Any:
        """The (name, module) pairs."""
        return self._modules.items()

    def values(self) -> Any:
        """The modules."""
        return self._modules.values()

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Put in all of `modules`, a mapping or (name, module) pairs; known names are replaced."""
        for key, module in _pairs(self, modules):
            self[key] = module


class ParameterList(Module):
    """A list whose tensors are parameters of the module that holds it; other values are kept as they are.

    Args:
        values: the first members; a Tensor becomes a Parameter.

    >>> import tapegrad as torch
    >>> weights = torch.nn.ParameterList([torch.ones(2), torch.zeros(3)])
    >>> sum(p.numel() for p in weights.parameters())
    5
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self._size = 0
        if values is not None:
            self.extend(values)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(self[i] for i in range(*index.indices(len(self))))
        return getattr(self, str(_position(self, index)))

    def __setitem__(self, index: int, value: Any) -> None:
        setattr(self, str(_position(self, index)), _as_parameter(value))

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        return iter(self[i] for i in range(len(self)))

    def __iadd__(self, values: Iterable[Any]) -> ParameterList:
        return self.extend(values)

    def append(self, value: Any) -> ParameterList:
        """Put `value` at the end; returns self."""
        self._size += 1
        self[self._size - 1] = value
        return self

    def extend(self, values: Iterable[Any]) -> ParameterList:
        """Put all of `values` at the end; returns self."""
        if isinstance(values, Tensor):
            raise TypeError(
                errors.message("ParameterList.extend takes an iterable of values", got="a Tensor", fix="use append")
            )
        for value in list(_iterable(self, "extend", values)):
            self.append(value)
        return self

    def extra_repr(self) -> str:
        lines = []
        for position, value in enumerate(self):
            if isinstance(value, Tensor):
                kind = "Parameter" if isinstance(value, Parameter) else "Tensor"
                lines.append(f"  ({position}): {kind} containing: [{value.dtype} of size {_size_text(value)}]")
            else:
                lines.append(f"  ({position}): Object of type: {type(value).__name__}")
        return "\n".join(lines)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("ParameterList should not be called.")


class ParameterDict(Module):
    """A dictionary whose tensors are parameters of the module that holds it; other values are kept as they are.

    Args:
        parameters: a mapping from names to values, or (name, value) pairs; a Tensor becomes a Parameter. The names of a
            plain mapping are sorted, those of an `OrderedDict`, a `ParameterDict` or of pairs keep their order.

    >>> import tapegrad as torch
    >>> choices = torch.nn.ParameterDict({"left": torch.ones(1), "right": torch.zeros(1)})
    >>> choices["left"]
    Parameter containing:
    tensor([1.], requires_grad=True)
    """

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        self._keys: dict[str, None] = {}
        if parameters is not None:
            self.update(parameters)

    def __getitem__(self, key: str) -> Any:
        return getattr(self, _name(key))

    def __setitem__(self, key: str, value: Any) -> None:
        name = _name(key)
        setattr(self, name, _as_parameter(value))
        self._keys[name] = None

    def __delitem__(self, key: str) -> None:
        del self._keys[_name(key)]
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __reversed__(self) -> Iterator[str]:
        return reversed(list(self._keys))

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def __or__(self, other: Mapping) -> ParameterDict:
        merged = self.copy()
        merged.update(other)
        return merged

    def __ror__(self, other: Mapping) -> Any:
        merged = other.copy()
        merged.update(self)
        return merged

    def __ior__(self, other: Mapping) -> ParameterDict:
        self.update(other)
        return self

    def copy(self) -> ParameterDict:
        """Another dictionary of the same parameters."""
        return ParameterDict(OrderedDict(self.items()))

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The value of `key`; a missing one is first put in as `default`."""
        if key not in self:
            self[key] = default
        return self[key]

    def clear(self) -> None:
        """Take everything out."""
        for key in list(self):
            del self[key]

    def pop(self, key: str) -> Any:
        """Take the value of `key` out and return it."""
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> tuple[str, Any]:
        """Take out the last (name, value) pair and return it."""
        key = next(reversed(self))
        return key, self.pop(key)

    def get(self, key: str, default: Any = None) -> Any:
        """The value of `key`, or `default`."""
        return self[key] if key in self._keys else default

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> ParameterDict:
        """A new dictionary with `default` under each of `keys`."""
        return ParameterDict((key, default) for key in keys)

    def keys(self) -> Any:
        """The names."""
        return self._keys.keys()

    def items(self) -> Iterator[tuple[str, Any]]:
        """The (name, value) pairs."""
        return ((key, self[key]) for key in self._keys)

    def values(self) -> Iterator[Any]:
        """The values."""
        return (self[key] for key in self._keys)

    def update(self, parameters: Any) -> None:
        """Put in all of `parameters`, a mapping or (name, value) pairs; known names are replaced."""
        plain = isinstance(parameters, Mapping) and not isinstance(parameters, OrderedDict)
        pairs = sorted(parameters.items()) if plain else _pairs(self, parameters)
        for key, value in pairs:
            self[key] = value

    def extra_repr(self) -> str:
        lines = []
        for key, value in self.items():
            if isinstance(value, Tensor):
                kind = "Parameter" if isinstance(value, Parameter) else "Tensor"
                name = value.type()  # the old name of tensor and element type: torch.FloatTensor
                lines.append(f"  ({key}): {kind} containing: [{name} of size {_size_text(value)}]")
            else:
                lines.append(f"  ({key}): Object of type: {type(value).__name__}")
        return "\n".join(lines)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("ParameterDict should not be called.")


# -------------------------------------------------------------------------------------------------------------------- h


def _position(container: Any, index: int) -> int:
    """`index` counted from the front."""
    index, size = operator.index(index), len(container)
    if not -size <= index < size:
        name = type(container).__name__
        raise IndexError(errors.message(f"{name}: index {index} is out of range", expected=f"-{size} to {size - 1}"))
    return index % size


def _renumber(container: Module, modules: list) -> None:
    """Make `modules` the children, called "0", "1", ..."""
    for module in modules:
        if not (module is None or isinstance(module, Module)):
            name = type(container).__name__
            raise TypeError(
                errors.message(f"{name}: {type(module).__name__} is not a Module subclass", got=repr(module))
            )
    container._modules = {str(position): module for position, module in enumerate(modules)}


def _sequential(other: Any, what: str) -> Sequential:
    if not isinstance(other, Sequential):
        raise ValueError(errors.message(f"Sequential: can {what} only another Sequential", got=repr(type(other))))
    return other


def _times(container: Module, times: Any) -> int:
    if not isinstance(times, int):
        raise TypeError(errors.message("Sequential can be multiplied only by an integer", got=repr(type(times))))
    if times <= 0:
        raise ValueError(errors.message("Sequential can be multiplied only by a positive number", got=times))
    return times


def _iterable(container: Module, method: str, values: Any) -> Iterable:
    if not isinstance(values, Iterable):
        what = f"{type(container).__name__}.{method} takes an iterable"
        raise TypeError(errors.message(what, got=type(values).__name__))
    return values


def _pairs(container: Module, members: Any) -> list[tuple]:
    """(key, value) pairs from a mapping, a container with `items`, or an iterable of pairs."""
    if hasattr(members, "items"):
        return list(members.items())
    pairs = list(_iterable(container, "update", members))
    for position, pair in enumerate(pairs):
        what = f"{type(container).__name__}.update: element {position} is no (key, value) pair"
        if not isinstance(pair, (Iterable, Holder)):
            raise TypeError(errors.message(what, got=repr(pair)))
        if len(pair) != 2:
            raise ValueError(errors.message(what, got=f"{len(pair)} values", expected=2))
    return pairs


def _as_parameter(value: Any) -> Any:
    return Parameter(value) if isinstance(value, Tensor) and not isinstance(value, Parameter) else value


def _name(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(
            errors.message("ParameterDict: names must be strings", got=f"{key!r} of type {type(key).__name__}")
        )
    return key


def _size_text(value: Tensor) -> str:
    return "x".join(map(str, value.shape))
