"""Classes that a program declares safe to load: their objects are rebuilt as data, none of their methods is called.

PyTorch calls the constructor or `__setstate__` of such a class. Here an object of it is memory of the class whose
attributes are set from the file, as `copy.copy` does for a plain class; where an object could only come from a call
(a class with its own `__reduce__`), it is refused. That fits plain classes, data classes, named tuples, enumerations,
`argparse.Namespace`, `nn.Module`.
"""

from __future__ import annotations

import enum
import types
from collections.abc import Iterable
from pickle import UnpicklingError
from typing import Any

from ..core.tensor import Tensor
from ..errors import message
from .pickled import damaged

REGISTERED: dict[str, type] = {}  # by the name that files have for the class

_BASES = (tuple, list, dict, set, str, int, float)


def add_safe_globals(safe_globals: Iterable[Any]) -> None:
    """Let files hold objects of these classes; they are rebuilt without calling any code of the class.

    Args:
        safe_globals: classes, or pairs `(class, "module.name")` for one that files know by another name.

    Raises:
        TypeError: something that is no class: a function would have to be called.

    >>> import tapegrad as torch
    >>> from argparse import Namespace
    >>> torch.serialization.add_safe_globals([Namespace])
    >>> Namespace in torch.serialization.get_safe_globals()
    True
    >>> torch.serialization.clear_safe_globals()
    """
    for entry in safe_globals:
        cls, name = entry if isinstance(entry, tuple) else (entry, None)
        if not isinstance(cls, type):
            what = "add_safe_globals: only classes can be declared safe, since loading never calls a function"
            raise TypeError(message(what, got=repr(cls)[:200]))
        REGISTERED[name or f"{cls.__module__}.{cls.__qualname__}"] = cls


def get_safe_globals() -> list[type]:
    """The classes that `add_safe_globals` was given."""
    return list(dict.fromkeys(REGISTERED.values()))


def clear_safe_globals() -> None:
    """Forget all classes that `add_safe_globals` was given."""
    REGISTERED.clear()


class safe_globals:
    """`with safe_globals([cls]):` lets files hold objects of these classes inside the block only.

    >>> import tapegrad as torch
    >>> from argparse import Namespace
    >>> with torch.serialization.safe_globals([Namespace]):
    ...     print(torch.serialization.get_safe_globals())
    [<class 'argparse.Namespace'>]
    >>> torch.serialization.get_safe_globals()
    []
    """

    def __init__(self, safe_globals: Iterable[Any]):
        self.classes = list(safe_globals)

    def __enter__(self) -> None:
        self.before = dict(REGISTERED)
        add_safe_globals(self.classes)

    def __exit__(self, *exc: object) -> None:
        REGISTERED.clear()
        REGISTERED.update(self.before)


# ---- objects of such a class -----------------------------------------------------------------------------------------


def is_registered(cls: type) -> bool:
    """Whether the class was declared safe."""
    return cls in REGISTERED.values()


def made(cls: type, args: tuple) -> Any:
    """Memory of the class, filled as its built-in base is."""
    base = next((base for base in cls.__mro__ if base in _BASES), object)
    if base is tuple and hasattr(cls, "_fields"):
        if len(args) != len(cls._fields):
            raise damaged(f"a {cls.__name__} in it has a wrong number of fields", got=len(args))
        return tuple.__new__(cls, args)
    if base is object or base in (list, dict, set):
        args = ()
    elif not all(type(arg) in _BASES for arg in args):
        raise damaged(f"a {cls.__name__} in it is made of something else", got=[type(arg).__name__ for arg in args])
    return base.__new__(cls, *args)


def called(cls: type, full: str, args: tuple) -> Any:
    """What a call of the class gives, if it takes no code: a member of an enumeration."""
    if issubclass(cls, enum.Enum) and len(args) == 1 and isinstance(args[0], (str, int, float)):
        found = type.__getattribute__(cls, "_value2member_map_").get(args[0])
        if found is not None:
            return found
        raise UnpicklingError(message(f"load: {full} has no such member", got=repr(args[0])[:100]))
    if full.startswith("torch.return_types.") and len(args) == 2 and type(args[0]) is tuple:
        return made(cls, args[0])
    what = f"load: an object of {full} can only be made by calling the class, and loading calls nothing"
    raise UnpicklingError(message(what, fix="save plain values instead of the object"))


def build(target: Any, state: Any) -> None:
    """Set the attributes of an object: a dictionary, or one for `__dict__` and one for slots."""
    own, slots = state if type(state) is tuple and len(state) == 2 else (state, None)
    for part in (own, slots):
        if part is not None and (type(part) is not dict or not all(type(key) is str for key in part)):
            raise damaged(f"the attributes of a {type(target).__name__} in it are no dictionary")
    if own:
        object.__getattribute__(target, "__dict__").update(own)
    for key, value in (slots or {}).items():
        slot = next((vars(base)[key] for base in type(target).__mro__ if key in vars(base)), None)
        if not isinstance(slot, types.MemberDescriptorType):  # a property would run code
            raise damaged(f"a {type(target).__name__} in it has a slot that the class does not", got=repr(key[:100]))
        slot.__set__(target, value)


def retyped(t: Tensor, cls: Any) -> Tensor:
    """The tensor as one of a subclass."""
    if not (isinstance(cls, type) and issubclass(cls, Tensor)):
        raise damaged("a tensor in it has a class that is none of tensors", got=repr(cls)[:100])
    out = Tensor.__new__(cls)
    out.array, out._ver, out._requires_grad = t.array, t._ver, t._requires_grad
    return out
