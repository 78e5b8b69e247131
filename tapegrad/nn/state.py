"""A module's state as a flat dictionary: `state_dict` writes it, `load_state_dict` reads it back.

Keys are dotted paths. `state_dict()._metadata` maps every module path to `{"version": n}`, so that a module that
changes its layout can raise its `_version` and convert old states in its `_load_from_state_dict`.
"""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from collections.abc import Callable, Mapping
from typing import Any

from .. import errors
from ..core.hooks import RemovableHandle, add_hook
from ..core.tensor import Tensor
from ..modes import no_grad
from .parameter import Parameter, is_lazy

_EXTRA_STATE_KEY_SUFFIX = "_extra_state"


class _IncompatibleKeys(namedtuple("IncompatibleKeys", ("missing_keys", "unexpected_keys"))):
    """What `load_state_dict` returns: the keys that did not fit."""

    __slots__ = ()

    def __repr__(self) -> str:
        return super().__repr__() if self.missing_keys or self.unexpected_keys else "<All keys matched successfully>"

    __str__ = __repr__


class State:
    """Saving and loading: the part of `Module` that knows `state_dict`."""

    _version: int = 1

    # -----------------------------------------------------------------------------------------------------------------

    def state_dict(self, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False) -> Any:
        """All parameters and persistent buffers by their dotted paths, sharing memory with the module.

        Args:
            destination: the dictionary to fill; a new `OrderedDict` if None.
            prefix: put before every key.
            keep_vars: give the parameters themselves; else detached tensors.

        >>> import tapegrad as torch
        >>> list(torch.nn.Sequential(torch.nn.Linear(2, 1)).state_dict())
        ['0.weight', '0.bias']
        """
        given = [*args, *[destination, prefix, keep_vars][len(args) :]]  # positional arguments are the older form
        destination, prefix, keep_vars = given
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = metadata
        for hook in self._state_dict_pre_hooks.values():
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        for key, hook in self._state_dict_hooks.items():
            changed = hook(self, destination, prefix, metadata)
            if changed is None:
                continue
            if key in self._state_dict_post_hooks:
                raise RuntimeError(errors.message("a state_dict post-hook must return None", got=repr(type(changed))))
            destination = changed
        return destination

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        """Put what this module itself holds, sub-modules left out, into `destination`."""
        for name, param in self._parameters.items():
            if param is not None:
                destination[prefix + name] = param if keep_vars else param.detach()
        for name, buffer in self._buffers.items():
            if buffer is not None and name not in self._non_persistent_buffers_set:
                destination[prefix + name] = buffer if keep_vars else buffer.detach()
        if _overrides(self, "get_extra_state"):
            destination[prefix + _EXTRA_STATE_KEY_SUFFIX] = self.get_extra_state()

    def get_extra_state(self) -> Any:
        """What a module wants in its `state_dict` besides tensors; define it together with `set_extra_state`."""
        raise RuntimeError(_extra_state_missing(self, "get_extra_state"))

    def set_extra_state(self, state: Any) -> None:
        """Take back what `get_extra_state` returned when the state was saved."""
        raise RuntimeError(_extra_state_missing(self, "set_extra_state"))

    # -----------------------------------------------------------------------------------------------------------------

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> _IncompatibleKeys:
        """Copy the values of a `state_dict` into this module and the modules below it.

        Args:
            state_dict: a mapping from dotted paths to tensors.
            strict: missing and unexpected keys are errors; else they are only returned.
            assign: make the given tensors the parameters and buffers instead of copying their values.

        Returns:
            A named tuple `(missing_keys, unexpected_keys)`.

        Raises:
            TypeError: `state_dict` is no mapping.
            RuntimeError: a shape differs, or (with `strict`) keys do; the text lists them all.

        >>> import tapegrad as torch
        >>> a, b = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
        >>> a.load_state_dict(b.state_dict())
        <All keys matched successfully>
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(
                errors.message("load_state_dict takes a dictionary", got=repr(type(state_dict)), expected="a mapping")
            )
        missing: list[str] = []
        unexpected: list[str] = []
        problems: list[str] = []
        metadata = getattr(state_dict, "_metadata", None)
        state_dict = OrderedDict(state_dict)
        if metadata is not None:
            state_dict._metadata = metadata

        def load(module: State, part: dict, prefix: str) -> None:
            local = {} if metadata is None else metadata.get(prefix[:-1], {})
            if assign:
                local["assign_to_params_buffers"] = True
            module._load_from_state_dict(part, prefix, local, True, missing, unexpected, problems)
            for name, child in module._modules.items():
                if child is not None:
                    below = f"{prefix}{name}."
                    load(child, {key: value for key, value in part.items() if key.startswith(below)}, below)
            result = _IncompatibleKeys(missing, unexpected)
            for hook in module._load_state_dict_post_hooks.values():
                if hook(module, result) is not None:
                    raise RuntimeError("a load_state_dict post-hook changes the keys in place and must return None")

        load(self, state_dict, "")
        if strict:
            for title, keys in (
                ("Unexpected key(s) in state_dict", unexpected),
                ("Missing key(s) in state_dict", missing),
            ):
                if keys:
                    problems.insert(0, f"{title}: " + ", ".join(f'"{key}"' for key in keys) + ". ")
        if problems:
            raise RuntimeError(f"Error(s) in loading state_dict for {type(self).__name__}:\n\t" + "\n\t".join(problems))
        return _IncompatibleKeys(missing, unexpected)

    def _load_from_state_dict(
        self,
        state_dict: dict,
        prefix: str,
        local_metadata: dict,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Load what this module itself holds, sub-modules left out; problems go into the three lists.

        A module that changed its layout overrides this, edits `state_dict` according to `local_metadata["version"]`,
        and calls the inherited one.
        """
        for number, hook in self._load_state_dict_pre_hooks.items():
            args = (state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
            hook(self, *args) if number in self._load_state_dict_pre_hooks_with_module else hook(*args)
        assign = local_metadata.get("assign_to_params_buffers", False)
        held = {n: b for n, b in self._buffers.items() if n not in self._non_persistent_buffers_set}
        held = {n: t for n, t in (*self._parameters.items(), *held.items()) if t is not None}
        for name, target in held.items():
            key = prefix + name
            if key in state_dict:
                _load_one(self, name, key, target, state_dict[key], assign, error_msgs)
            elif strict:
                missing_keys.append(key)
        self._load_extra_state(state_dict, prefix, strict, missing_keys, unexpected_keys)
        if strict:
            for key in state_dict:
                if key.startswith(prefix) and key != prefix + _EXTRA_STATE_KEY_SUFFIX:
                    first, *rest = key[len(prefix) :].split(".", 1)
                    if first not in (self._modules if rest else held):
                        unexpected_keys.append(key)

    def _load_extra_state(self, state_dict: dict, prefix: str, strict: bool, missing: list, unexpected: list) -> None:
        key = prefix + _EXTRA_STATE_KEY_SUFFIX
        if _overrides(self, "set_extra_state"):
            if key in state_dict:
                self.set_extra_state(state_dict[key])
            elif strict:
                missing.append(key)
        elif strict and key in state_dict:
            unexpected.append(key)

    # ---------------------------------------------------------------------------------------------------------------- h

    def register_state_dict_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(module, prefix, keep_vars)` before this module's part of `state_dict` is written."""
        return add_hook(self._state_dict_pre_hooks, hook)

    def register_state_dict_post_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata)` after it is written; it changes the dictionary in
        place.
        """
        return add_hook(self._state_dict_hooks, hook, notes=[self._state_dict_post_hooks])

    def _register_state_dict_hook(self, hook: Callable) -> RemovableHandle:
        """Like `register_state_dict_post_hook`, but a returned dictionary takes the place of the written one."""
        return add_hook(self._state_dict_hooks, hook)

    def register_load_state_dict_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)`
        before loading.
        """
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def _register_load_state_dict_pre_hook(self, hook: Callable, with_module: bool = False) -> RemovableHandle:
        """Like `register_load_state_dict_pre_hook`, without the module as first argument unless `with_module`."""
        notes = [self._load_state_dict_pre_hooks_with_module] if with_module else None
        return add_hook(self._load_state_dict_pre_hooks, hook, notes=notes)

    def register_load_state_dict_post_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(module, incompatible_keys)` after this module's part is loaded; it may edit the two lists of
        keys.
        """
        return add_hook(self._load_state_dict_post_hooks, hook)


# -------------------------------------------------------------------------------------------------------------------- h


def _load_one(module: Any, name: str, key: str, target: Tensor, given: Any, assign: bool, problems: list[str]) -> None:
    """Load one tensor; a failure becomes a line in `problems`."""
    if not isinstance(given, Tensor):
        problems.append(f'"{key}" must be a Tensor, the checkpoint holds a {type(given)}.')
        return
    if is_lazy(target) and is_lazy(given):
        return
    if target.dim() == 0 and given.dim() == 1 and given.shape[0] == 1:
        given = given[0]  # scalars were once saved with one dimension
    if given.shape != target.shape:
        held, needed = given.shape, target.shape
        problems.append(f"size mismatch for {key}: the checkpoint holds {held}, the current model needs {needed}.")
        return
    try:
        with no_grad():
            if not assign:
                target.copy_(given)
            elif isinstance(target, Parameter) and not isinstance(given, Parameter):
                setattr(module, name, Parameter(given, requires_grad=target.requires_grad))
            else:
                setattr(
                    module, name, given.requires_grad_(target.requires_grad) if isinstance(target, Parameter) else given
                )
    except Exception as error:  # one bad entry must not hide the others
        problems.append(f'"{key}" of {target.shape} could not be loaded from {given.shape}: {error}.')


def _overrides(module: Any, name: str) -> bool:
    return getattr(type(module), name) is not getattr(State, name)


def _extra_state_missing(module: Any, name: str) -> str:
    return errors.message(
        f"{name} was called on a module that does not define it",
        where=type(module).__name__,
        fix="define get_extra_state and set_extra_state together",
    )
