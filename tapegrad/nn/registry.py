"""What a module is made of: parameters, buffers and sub-modules, how attributes become them, and how to walk them.

The one invariant: the three dictionaries ``_parameters``, ``_buffers`` and ``_modules`` are the truth. Such an
attribute lives there and nowhere else, so replacing ``m._parameters["weight"]`` is seen by ``m.weight``, and assigning
an attribute of one kind takes the name away from the other kinds.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from .. import errors
from ..core.hooks import RemovableHandle, add_hook
from ..core.tensor import Tensor
from .parameter import Buffer, Parameter

# Hooks on every registration of the process, each ``hook(module, name, value) -> value or None``.
_global_parameter_registration_hooks: OrderedDict[int, Callable] = OrderedDict()
_global_buffer_registration_hooks: OrderedDict[int, Callable] = OrderedDict()
_global_module_registration_hooks: OrderedDict[int, Callable] = OrderedDict()


def register_module_parameter_registration_hook(hook: Callable) -> RemovableHandle:
    """Call ``hook(module, name, parameter)`` whenever any module registers a parameter; a returned value replaces
    it.
    """
    return add_hook(_global_parameter_registration_hooks, hook)


def register_module_buffer_registration_hook(hook: Callable) -> RemovableHandle:
    """Call ``hook(module, name, buffer)`` whenever any module registers a buffer; a returned value replaces it."""
    return add_hook(_global_buffer_registration_hooks, hook)


def register_module_module_registration_hook(hook: Callable) -> RemovableHandle:
    """Call ``hook(module, name, child)`` whenever any module registers a sub-module; a returned value replaces it."""
    return add_hook(_global_module_registration_hooks, hook)


class Registry:
    """Attribute rules, registration and traversal: the part of ``Module`` that knows its parts."""

    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Any]  # modules or None
    _non_persistent_buffers_set: set[str]

    # ------------------------------------------------------------------------------------------------------------ attri

    def __getattr__(self, name: str) -> Any:
        # Reached only when the instance and its class have no such attribute.
        kinds = self.__dict__
        if "_parameters" in kinds:
            for members in (kinds["_parameters"], kinds["_modules"], kinds["_buffers"]):
                if name in members:
                    return members[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    def __setattr__(self, name: str, value: Any) -> None:
        kinds = self.__dict__
        if isinstance(value, Parameter):
            self._require_init("parameters")
            self._drop(name, keep="_parameters")
            self.register_parameter(name, value)
        elif name in kinds.get("_parameters", ()):
            if value is not None:
                raise _wrong_kind(self, name, value, "parameter", "a Parameter or None")
            self.register_parameter(name, None)
        elif isinstance(value, Registry):
            self._require_init("modules")
            self._drop(name, keep="_modules")
            self._modules[name] = _hooked(_global_module_registration_hooks, self, name, value)
        elif name in kinds.get("_modules", ()):
            if value is not None:
                raise _wrong_kind(self, name, value, "child module", "a Module or None")
            self._modules[name] = _hooked(_global_module_registration_hooks, self, name, None)
        elif isinstance(value, Buffer):
            self._require_init("buffers")
            self._drop(name, keep="_buffers")
            self.register_buffer(name, value, value.persistent)
        elif name in kinds.get("_buffers", ()):
            if value is not None and not isinstance(value, Tensor):
                raise _wrong_kind(self, name, value, "buffer", "a Tensor, a Buffer or None")
            self._buffers[name] = _hooked(_global_buffer_registration_hooks, self, name, value)
        else:
            object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        for kind in ("_parameters", "_buffers", "_modules"):
            if name in self.__dict__.get(kind, ()):
                del self.__dict__[kind][name]
                self._non_persistent_buffers_set.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        names = {*dir(type(self)), *self.__dict__, *self._parameters, *self._modules, *self._buffers}
        return sorted(
            name for name in names if not name[:1].isdigit()
        )  # a child named "0" is no attribute one can write

    def _require_init(self, what: str) -> None:
        if "_parameters" not in self.__dict__:
            raise AttributeError(
                errors.message(
                    f"cannot assign {what} before Module.__init__() call",
                    where=type(self).__name__,
                    fix="call super().__init__() first in the module's own __init__",
                )
            )

    def _drop(self, name: str, keep: str) -> None:
        """Forget ``name`` as an attribute of every kind but ``keep``."""
        self.__dict__.pop(name, None)
        for kind in ("_parameters", "_buffers", "_modules"):
            if kind != keep:
                self.__dict__[kind].pop(name, None)
        if keep != "_buffers":
            self._non_persistent_buffers_set.discard(name)

    # ---------------------------------------------------------------------------------------------------------- registr

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Make ``param`` a parameter of this module, an attribute and an entry of ``state_dict()``.

        Args:
            name: attribute name; a non-empty string without dots, not used by another kind of attribute.
            param: the parameter, a leaf of the graph; ``None`` reserves the name and is left out of ``state_dict()``.

        Raises:
            AttributeError: before ``Module.__init__()``.
            TypeError: ``name`` is no string or ``param`` no Parameter.
            KeyError: the name is empty, dotted or taken.
            ValueError: ``param`` was computed from other tensors.

        >>> import tapegrad as torch
        >>> m = torch.nn.Module()
        >>> m.register_parameter("scale", torch.nn.Parameter(torch.ones(2)))
        >>> list(m.state_dict())
        ['scale']
        """
        self._require_init("parameters")
        self._check_name(name, "parameter", self._parameters)
        if param is not None:
            if not isinstance(param, Parameter):
                raise _wrong_kind(self, name, param, "parameter", "a Parameter or None")
            if param.grad_fn is not None:
                raise ValueError(
                    errors.message(
                        f"cannot register {name!r}: a parameter must be a leaf, not the result of an operation",
                        where=type(self).__name__,
                        got=f"a tensor computed by {param.grad_fn.name()}",
                        fix="register the tensor it is computed from, and compute in forward()",
                    )
                )
        self._parameters[name] = _hooked(_global_parameter_registration_hooks, self, name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Make ``tensor`` a buffer: state that moves and is saved with the module but is not trained.

        Args:
            name: attribute name; a non-empty string without dots, not used by another kind of attribute.
            tensor: the values; ``None`` reserves the name.
            persistent: whether ``state_dict()`` holds it.

        Raises:
            AttributeError: before ``Module.__init__()``.
            TypeError: ``name`` is no string or ``tensor`` no Tensor.
            KeyError: the name is empty, dotted or taken.

        >>> import tapegrad as torch
        >>> m = torch.nn.Module()
        >>> m.register_buffer("steps", torch.zeros(1))
        >>> m.steps
        tensor([0.])
        """
        self._require_init("buffers")
        self._check_name(name, "buffer", self._buffers)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise _wrong_kind(self, name, tensor, "buffer", "a Tensor or None")
        self._buffers[name] = _hooked(_global_buffer_registration_hooks, self, name, tensor)
        (self._non_persistent_buffers_set.discard if persistent else self._non_persistent_buffers_set.add)(name)

    def add_module(self, name: str, module: Registry | None) -> None:
        """Make ``module`` a child of this module under ``name``; ``None`` reserves the name.

        Raises:
            TypeError: ``name`` is no string or ``module`` no Module.
            KeyError: the name is empty, dotted or taken.
        """
        if module is not None and not isinstance(module, Registry):
            raise _wrong_kind(self, name, module, "child module", "a Module or None")
        self._require_init("modules")
        self._check_name(name, "module", self._modules)
        self._modules[name] = _hooked(_global_module_registration_hooks, self, name, module)

    def register_module(self, name: str, module: Registry | None) -> None:
        """The same as ``add_module``."""
        self.add_module(name, module)

    def _check_name(self, name: str, kind: str, members: dict) -> None:
        """Refuse a name that cannot be an attribute, or that another kind of attribute uses."""
        what = None
        if not isinstance(name, str):
            raise TypeError(
                errors.message(f"the name of a {kind} must be a string", where=type(self).__name__, got=_typename(name))
            )
        if "." in name:
            what = f'{kind} name can\'t contain "."'
        elif name == "":
            what = f'{kind} name can\'t be empty string ""'
        elif name not in members and hasattr(self, name):
            what = f"attribute '{name}' already exists"
        if what:
            raise KeyError(errors.message(what, where=type(self).__name__, got=repr(name)))

    # -------------------------------------------------------------------------------------------------------------- loo

    def get_submodule(self, target: str) -> Any:
        """The module under the dotted path ``target``; the empty path is this module.

        Raises:
            AttributeError: no such attribute on the way, or it is no Module.

        >>> import tapegrad as torch
        >>> net = torch.nn.Sequential(torch.nn.Sequential(torch.nn.Tanh()))
        >>> net.get_submodule("0.0")
        Tanh()
        """
        module = self
        for name in target.split(".") if target else ():
            module = _member(module, name, Registry, "a Module")
        return module

    def set_submodule(self, target: str, module: Registry, strict: bool = False) -> None:
        """Put ``module`` in the place of the one under the dotted path ``target``.

        Args:
            target: dotted path, not empty.
            module: the replacement.
            strict: refuse a path whose last name does not exist yet.

        Raises:
            ValueError: the path is empty or ``module`` no Module.
            AttributeError: no such attribute on the way, or it is no Module.
        """
        if target == "":
            raise ValueError(errors.message("set_submodule cannot replace the module itself", got="an empty path"))
        if not isinstance(module, Registry):
            raise ValueError(errors.message("set_submodule takes a Module", got=_typename(module)))
        path, _, name = target.rpartition(".")
        parent = self.get_submodule(path)
        if strict or hasattr(parent, name):
            _member(parent, name, Registry, "a Module")
        setattr(parent, name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter under the dotted path ``target``.

        Raises:
            AttributeError: no such attribute on the way, or it is no Parameter.
        """
        path, _, name = target.rpartition(".")
        return _member(self.get_submodule(path), name, Parameter, "a Parameter")

    def get_buffer(self, target: str) -> Tensor:
        """The buffer under the dotted path ``target``.

        Raises:
            AttributeError: no such attribute on the way, or it is no buffer.
        """
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        buffer = _member(module, name, object, "a buffer")
        if name not in module._buffers:
            raise AttributeError(
                errors.message(f"`{name}` is not a buffer", where=type(module).__name__, got=_typename(buffer))
            )
        return buffer

    # -------------------------------------------------------------------------------------------------------------- tra

    def children(self) -> Iterator[Any]:
        """The direct sub-modules, each once."""
        for _, module in self.named_children():
            yield module

    def named_children(self) -> Iterator[tuple[str, Any]]:
        """The direct sub-modules with their names, each module once."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def modules(self) -> Iterator[Any]:
        """This module and all modules below it, depth first, each once."""
        for _, module in self.named_modules():
            yield module

    def named_modules(
        self, memo: set | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Any]]:
        """This module and all modules below it with their dotted paths, depth first.

        Args:
            memo: modules to leave out; those yielded are added to it.
            prefix: the path of this module.
            remove_duplicate: yield a module that occurs twice only under its first path.
        """
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters of this module and, with ``recurse``, of all modules below it, each once.

        >>> import tapegrad as torch
        >>> sum(p.numel() for p in torch.nn.Linear(3, 2).parameters())
        8
        """
        for _, param in self.named_parameters(recurse=recurse):
            yield param

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters with their dotted paths.

        Args:
            prefix: the path of this module.
            recurse: go into sub-modules.
            remove_duplicate: yield a shared parameter only under its first path.
        """
        return self._named_members(lambda module: module._parameters.items(), prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers of this module and, with ``recurse``, of all modules below it, each once."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The buffers with their dotted paths; arguments as for ``named_parameters``."""
        return self._named_members(lambda module: module._buffers.items(), prefix, recurse, remove_duplicate)

    def _named_members(
        self, get_members_fn: Callable, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Any]]:
        """What ``get_members_fn(module)`` lists for this module and those below, without ``None``, with dotted
        paths.
        """
        walk = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        seen = set()
        for path, module in walk:
            for name, member in get_members_fn(module):
                if member is None or id(member) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(member))
                yield f"{path}.{name}" if path else name, member


# -------------------------------------------------------------------------------------------------------------------- h


def _hooked(hooks: dict[int, Callable], module: Registry, name: str, value: Any) -> Any:
    """``value`` after the registration hooks have seen it."""
    for hook in hooks.values():
        replaced = hook(module, name, value)
        if replaced is not None:
            value = replaced
    return value


def _member(module: Registry, name: str, kind: type, described: str) -> Any:
    """Attribute ``name`` of ``module``, refused unless it is a ``kind``."""
    if not hasattr(module, name):
        raise AttributeError(f"{type(module).__name__} has no attribute `{name}`")
    found = getattr(module, name)
    if not isinstance(found, kind):
        raise AttributeError(
            errors.message(f"`{name}` is not {described}", where=type(module).__name__, got=_typename(found))
        )
    return found


def _typename(value: Any) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def _wrong_kind(module: Registry, name: str, value: Any, kind: str, expected: str) -> TypeError:
    return TypeError(
        errors.message(
            f"cannot assign {_typename(value)!r} as {kind} {name!r}",
            where=type(module).__name__,
            got=_typename(value),
            expected=expected,
            fix=f"delete the attribute first if it is to be no {kind} any more",
        )
    )
