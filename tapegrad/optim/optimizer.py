"""`Optimizer`: parameter groups, state, checkpoints and hooks; what every optimizer shares, and no mathematics.

`param_groups` is a list of dictionaries: the options of the group by name, and its tensors under "params". `state` maps
a parameter to the dictionary of what is kept for it between steps. Both are public and may be changed between steps:
learning-rate schedulers write `group["lr"]`. A subclass written for PyTorch (that overrides `step`) works unchanged.
"""

from __future__ import annotations

import copy
import functools
import itertools
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .. import modes
from ..core.hooks import RemovableHandle, add_hook
from ..core.tensor import Tensor, wrap
from ..errors import message

StateDict = dict[str, Any]


class _Required:
    """The default of an option that every group has to give itself."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()

_global_step_pre_hooks: OrderedDict[int, Callable] = OrderedDict()
_global_step_post_hooks: OrderedDict[int, Callable] = OrderedDict()

# What options meant before they existed: the value for a checkpoint that is older than the option.
OPTION_BEFORE_IT_EXISTED = {
    "amsgrad": False,
    "capturable": False,
    "centered": False,
    "decoupled_weight_decay": False,
    "differentiable": False,
    "foreach": None,
    "fused": None,
    "maximize": False,
    "momentum": 0,
    "nesterov": False,
}


def register_optimizer_step_pre_hook(hook: Callable) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` before `step` of every optimizer; a returned pair replaces the arguments."""
    return add_hook(_global_step_pre_hooks, hook)


def register_optimizer_step_post_hook(hook: Callable) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` after `step` of every optimizer."""
    return add_hook(_global_step_post_hooks, hook)


class Optimizer:
    """The base of all optimizers.

    Args:
        params: the tensors to optimise, or pairs `(name, tensor)`, or dictionaries that are parameter groups.
        defaults: the options of a group that does not give its own.

    Raises:
        TypeError: `params` is a single tensor or a set, or holds something that is no tensor.
        ValueError: there is nothing to optimise, a tensor is the result of an operation, or it is in two groups.

    >>> import tapegrad as torch
    >>> class SignDescent(torch.optim.Optimizer):
    ...     def __init__(self, params, lr):
    ...         super().__init__(params, {"lr": lr})
    ...     @torch.no_grad()
    ...     def step(self):
    ...         for group in self.param_groups:
    ...             for p in group["params"]:
    ...                 p.sub_(group["lr"] * p.grad.sign())
    >>> p = torch.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = SignDescent([p], lr=0.5)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([ 0.5000, -1.5000], requires_grad=True)
    """

    _opt_called: bool | None = None  # whether `step` was called since a scheduler began to watch; None: none watches
    _watched_step: Any = None  # the `step` in the dictionary of the optimizer when a scheduler began to watch

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self._make_hooks()
        if isinstance(params, Tensor):
            what = "the parameters of an optimizer are an iterable of tensors or of dictionaries"
            raise TypeError(message(what, got="one Tensor", fix="put it in a list: [tensor]"))
        self.state: defaultdict[Any, Any] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        groups = list(params)
        if not groups:
            what = f"{type(self).__name__}: there is nothing to optimise"
            raise ValueError(message(what, got="an empty list of parameters", fix="a generator can be used only once"))
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def _make_hooks(self) -> None:
        for name in HOOK_DICTS:
            if name not in self.__dict__:
                setattr(self, name, OrderedDict())

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__:
            cls.step = _hooked(cls.step)  # type: ignore[method-assign]

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._make_hooks()
        for group in self.param_groups:
            for name, value in OPTION_BEFORE_IT_EXISTED.items():
                if name in self.defaults:
                    group.setdefault(name, value)

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines += ["", f"Parameter Group {i}"] if i else ["Parameter Group 0"]
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if name != "params"]
        return "\n".join(lines) + "\n)"

    # ---- one step ----------------------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters by their gradients; every optimizer defines it.

        Args:
            closure: computes the loss again and its gradients, and returns it; some optimizers call it several times.

        Returns:
            The loss that `closure` returned, or None without one.
        """
        raise NotImplementedError(f"{type(self).__name__}.step")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters.

        Args:
            set_to_none: drop them (a parameter without a gradient is left out by `step`) instead of writing zeros.

        >>> import tapegrad as torch
        >>> p = torch.ones(1, requires_grad=True)
        >>> p.sum().backward()
        >>> torch.optim.SGD([p]).zero_grad()
        >>> p.grad is None
        True
        """
        for group in self.param_groups:
            for p in group["params"]:
                grad = p.grad
                if grad is None:
                    continue
                if set_to_none:
                    p.grad = None
                else:
                    if grad.grad_fn is not None:
                        grad.detach_()
                    else:
                        grad.requires_grad_(False)
                    grad.array[...] = 0
                    grad.bump()

    # ---- parameter groups ----------------------------------------------------------------------------------------

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Optimise more tensors, with options of their own.

        Args:
            param_group: the tensors (or one tensor, or pairs `(name, tensor)`) under "params", and the options that are
                not the defaults.

        >>> import tapegrad as torch
        >>> weight, bias = torch.ones(2, requires_grad=True), torch.ones(1, requires_grad=True)
        >>> optimizer = torch.optim.SGD([weight], lr=0.1)
        >>> optimizer.add_param_group({"params": bias, "lr": 0.01})
        >>> [group["lr"] for group in optimizer.param_groups]
        [0.1, 0.01]
        """
        if not isinstance(param_group, dict):
            raise TypeError(message("a parameter group is a dictionary", got=type(param_group).__name__))
        _read_params(param_group)
        differentiable = self.defaults.get("differentiable")
        for p in param_group["params"]:
            if not isinstance(p, Tensor):
                raise TypeError(message("an optimizer can only optimise tensors", got=type(p).__name__))
            if not (differentiable or p.is_leaf or p.retains_grad):
                fix = "optimise the tensor it was computed from, or call .detach().requires_grad_() on it first"
                text = message("an optimizer cannot optimise the result of an operation", got=p.grad_fn.name(), fix=fix)
                raise ValueError(text)
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(
                    message(f"the parameter group does not give the option {name!r}", expected="it has no default")
                )
            param_group.setdefault(name, default)
        self._check_membership(param_group)
        self.param_groups.append(param_group)

    def _check_membership(self, new: dict[str, Any]) -> None:
        """A tensor belongs to one group, once; either all groups have names or none."""
        members = {id(p) for p in new["params"]}
        if len(members) != len(new["params"]):
            what = "a parameter is in its group more than once: it is updated once for each time"
            warnings.warn(message(what, fix="list(dict.fromkeys(parameters))"), UserWarning, stacklevel=4)
        for group in self.param_groups:
            if ("param_names" in group) != ("param_names" in new):
                what = "either all parameter groups have names or none"
                got = f"a group {'with' if 'param_names' in new else 'without'} names"
                raise ValueError(message(what, got=got, fix="use named_parameters() for all groups, or for none"))
            if not members.isdisjoint(map(id, group["params"])):
                raise ValueError(message("a parameter can be in one parameter group only"))

    # ---- checkpoints ---------------------------------------------------------------------------------------------

    def state_dict(self) -> StateDict:
        """The state and the options as a dictionary that can be saved, in PyTorch's layout.

        Parameters are numbered in the order of the groups: "state" maps the number of a parameter to its state, and
        "params" of each of "param_groups" lists numbers. The tensors are not copied.

        >>> import tapegrad as torch
        >>> p = torch.ones(1, requires_grad=True)
        >>> optimizer = torch.optim.SGD([p], lr=0.1, momentum=0.9)
        >>> p.sum().backward()
        >>> optimizer.step()
        >>> optimizer.state_dict()["state"]
        {0: {'momentum_buffer': tensor([1.])}}
        """
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        numbers: dict[int, int] = {}
        groups = []
        position = itertools.count()
        for group in self.param_groups:
            for p in group["params"]:
                numbers.setdefault(id(p), next(position))
            packed = {name: value for name, value in group.items() if name != "params"}
            packed["params"] = [numbers[id(p)] for p in group["params"]]
            groups.append(packed)
        state = {numbers[id(p)] if isinstance(p, Tensor) else p: kept for p, kept in self.state.items()}
        found: StateDict = {"state": state, "param_groups": groups}
        for hook in self._optimizer_state_dict_post_hooks.values():
            changed = hook(self, found)
            found = found if changed is None else changed
        return found

    def load_state_dict(self, state_dict: StateDict) -> None:
        """Continue from what `state_dict` returned, here or in PyTorch.

        State is copied (an array of a checkpoint may be read-only) and gets the type of its parameter.

        Args:
            state_dict: the saved state; its groups must have as many parameters, in the same order.

        Raises:
            ValueError: the number of groups, or of the parameters in one, is another.
        """
        saved = state_dict.copy()
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            changed = hook(self, saved)
            saved = saved if changed is None else changed
        groups = copy.deepcopy(saved["param_groups"])
        sizes, own = [len(g["params"]) for g in groups], [len(g["params"]) for g in self.param_groups]
        if len(sizes) != len(own):
            what = "load_state_dict: the checkpoint has another number of parameter groups"
            raise ValueError(message(what, got=len(sizes), expected=len(own)))
        if sizes != own:
            what = "load_state_dict: a parameter group has another number of parameters"
            raise ValueError(message(what, got=sizes, expected=own))
        owners: dict[Any, Tensor] = {}
        for new, group in zip(groups, self.param_groups):
            owners.update(zip(new["params"], group["params"]))
            new["params"] = group["params"]
            if "param_names" in group:
                new.setdefault("param_names", group["param_names"])
        state: defaultdict[Any, Any] = defaultdict(dict)
        for key, kept in saved["state"].items():
            if key in owners:
                state[owners[key]] = _adapted(owners[key], kept)
            else:
                state[key] = kept
        self.__setstate__({"state": state, "param_groups": groups})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    # ---- hooks ---------------------------------------------------------------------------------------------------

    def register_step_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` before `step`; a returned pair replaces `(args, kwargs)`."""
        return add_hook(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` after `step`.

        >>> import tapegrad as torch
        >>> optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)])
        >>> with optimizer.register_step_post_hook(lambda optimizer, args, kwargs: print("stepped")):
        ...     optimizer.step()
        stepped
        """
        return add_hook(self._optimizer_step_post_hooks, hook)

    def register_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer)` before `state_dict`."""
        return add_hook(self._optimizer_state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` after `state_dict`; a returned dictionary replaces the result."""
        return add_hook(self._optimizer_state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` before loading; a returned dictionary is loaded instead."""
        return add_hook(self._optimizer_load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer)` after loading."""
        return add_hook(self._optimizer_load_state_dict_post_hooks, hook, prepend)


# ---- helpers -----------------------------------------------------------------------------------------------------

HOOK_DICTS = (
    "_optimizer_step_pre_hooks",
    "_optimizer_step_post_hooks",
    "_optimizer_state_dict_pre_hooks",
    "_optimizer_state_dict_post_hooks",
    "_optimizer_load_state_dict_pre_hooks",
    "_optimizer_load_state_dict_post_hooks",
)


def _hooked(step: Callable) -> Callable:
    """`step` with the hooks around it; a `step` that is called by the `step` of a subclass runs bare."""

    @functools.wraps(step)
    def run(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        if type(self).step is not run:
            return step(self, *args, **kwargs)
        if self._opt_called is False:
            self._opt_called = True
        for hook in (*_global_step_pre_hooks.values(), *self._optimizer_step_pre_hooks.values()):
            # PyTorch's hooks see the optimizer twice: as their first argument and as the first of `args`
            changed = hook(self, (self, *args), kwargs)
            if changed is not None:
                if not (isinstance(changed, tuple) and len(changed) == 2):
                    what = "a step pre-hook must return None or a pair (args, kwargs)"
                    raise RuntimeError(message(what, where=type(self).__name__, got=repr(changed)))
                (_, *args), kwargs = changed
        result = step(self, *args, **kwargs)
        for hook in (*self._optimizer_step_post_hooks.values(), *_global_step_post_hooks.values()):
            hook(self, (self, *args), kwargs)
        return result

    return run


def _read_params(group: dict[str, Any]) -> None:
    """Make "params" a list of tensors, with the names of named ones in "param_names"."""
    params = group["params"]
    if isinstance(params, set):
        what = "the parameters of an optimizer need an order, and a set has none"
        raise TypeError(message(what, got="a set", fix="use a list"))
    entries = [params] if isinstance(params, Tensor) else list(params)
    names = [entry[0] for entry in entries if isinstance(entry, tuple)]
    group["params"] = [entry[1] if isinstance(entry, tuple) else entry for entry in entries]
    if names:
        if len(names) != len(entries):
            what = "either all parameters have names or none"
            raise ValueError(message(what, got=f"{len(names)} names for {len(entries)} parameters"))
        group["param_names"] = names


def _adapted(p: Tensor, value: Any, key: str = "") -> Any:
    """A copy of loaded state for the parameter `p`: tensors get its type, but for a step count."""
    if isinstance(value, Tensor):
        array = value.array
        convert = key != "step" and p.is_floating_point() and array.dtype != p.array.dtype
        return wrap(array.astype(p.array.dtype) if convert else np.array(array, order="K"))
    if isinstance(value, dict):
        return {name: _adapted(p, entry, name) for name, entry in value.items()}
    if key == "step" and isinstance(value, int | float):  # checkpoints of old PyTorch
        return number_tensor(value)
    if isinstance(value, list | tuple):
        return type(value)(_adapted(p, entry) for entry in value)
    return value


def number_tensor(value: float) -> Tensor:
    """State that is one number: a float32 tensor without dimensions, float64 if that is the default type."""
    return wrap(np.array(value, np.float64 if modes.defaults.numpy == np.float64 else np.float32))
