"""Calling a module, and the hooks around that call.

Order of one call: forward pre-hooks, `forward`, forward hooks; in each group the process-wide hooks come first, then
the module's own in the order of registration (`prepend=True` puts a hook first). Backward hooks see the gradients at
the module's border: identity functions (`_Border`) are put around its tensor inputs and outputs, and their backward
passes call the hooks.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from .. import errors
from ..core.function import Function
from ..core.hooks import RemovableHandle, add_hook
from ..core.tensor import Tensor

_global_forward_pre_hooks: OrderedDict[int, Callable] = OrderedDict()
_global_forward_hooks: OrderedDict[int, Callable] = OrderedDict()
_global_forward_hooks_always_called: OrderedDict[int, bool] = OrderedDict()
_global_forward_hooks_with_kwargs: OrderedDict[int, bool] = OrderedDict()
_global_backward_pre_hooks: OrderedDict[int, Callable] = OrderedDict()
_global_backward_hooks: OrderedDict[int, Callable] = OrderedDict()


def register_module_forward_pre_hook(hook: Callable) -> RemovableHandle:
    """Call `hook(module, args)` before `forward` of every module; a returned value replaces the positional
    arguments.
    """
    return add_hook(_global_forward_pre_hooks, hook)


def register_module_forward_hook(
    hook: Callable, *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Call `hook(module, args, output)` after `forward` of every module; a returned value replaces the output.

    Args:
        hook: the function; with `with_kwargs` it is called as `hook(module, args, kwargs, output)`.
        with_kwargs: give the hook the keyword arguments too.
        always_call: call it even if `forward` raises (with the output None).
    """
    notes = _notes(with_kwargs, _global_forward_hooks_with_kwargs, always_call, _global_forward_hooks_always_called)
    return add_hook(_global_forward_hooks, hook, notes=notes)


def register_module_full_backward_pre_hook(hook: Callable) -> RemovableHandle:
    """Call `hook(module, grad_output)` before the backward pass of every module; a returned value replaces the
    gradients.
    """
    return add_hook(_global_backward_pre_hooks, hook)


def register_module_full_backward_hook(hook: Callable) -> RemovableHandle:
    """Call `hook(module, grad_input, grad_output)` after the backward pass of every module; a returned value replaces
    `grad_input`.
    """
    return add_hook(_global_backward_hooks, hook)


class Hooks:
    """The call and its hooks: the part of `Module` that runs `forward`."""

    # The dictionaries of an instance, all made by Module.__init__ (the call reads them as plain attributes).
    HOOK_DICTS = (
        "_backward_pre_hooks",
        "_backward_hooks",
        "_forward_hooks",
        "_forward_hooks_with_kwargs",
        "_forward_hooks_always_called",
        "_forward_pre_hooks",
        "_forward_pre_hooks_with_kwargs",
        "_state_dict_hooks",
        "_state_dict_post_hooks",
        "_state_dict_pre_hooks",
        "_load_state_dict_pre_hooks",
        "_load_state_dict_pre_hooks_with_module",
        "_load_state_dict_post_hooks",
    )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if (
            self._forward_pre_hooks
            or self._forward_hooks
            or self._backward_hooks
            or self._backward_pre_hooks
            or _global_forward_pre_hooks
            or _global_forward_hooks
            or _global_backward_hooks
            or _global_backward_pre_hooks
        ):
            return self._call_with_hooks(args, kwargs)
        return self.forward(*args, **kwargs)

    def _call_with_hooks(self, args: tuple, kwargs: dict) -> Any:
        """The call with everything around it; hooks registered with `always_call` run even if it fails."""
        done: set[int] = set()
        try:
            return self._hooked_forward(args, kwargs, done)
        except Exception:
            self._run_always_called(args, kwargs, done)
            raise

    def _hooked_forward(self, args: tuple, kwargs: dict, done: set[int]) -> Any:
        args, kwargs = self._run_forward_pre_hooks(args, kwargs)
        border = None
        pre = [*_global_backward_pre_hooks.values(), *self._backward_pre_hooks.values()]
        full = [*_global_backward_hooks.values(), *self._backward_hooks.values()]
        if pre or full:
            border = _BackwardCall(self, pre, full)
            args = border.enter(args)
        result = self.forward(*args, **kwargs)
        for key, hook, with_kwargs, _ in self._all_forward_hooks():
            done.add(key)
            changed = hook(self, args, kwargs, result) if with_kwargs else hook(self, args, result)
            if changed is not None:
                result = changed
        return result if border is None else border.leave(result)

    def _run_forward_pre_hooks(self, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        for key, hook in (*_global_forward_pre_hooks.items(), *self._forward_pre_hooks.items()):
            if key in self._forward_pre_hooks_with_kwargs:
                changed = hook(self, args, kwargs)
                if changed is None:
                    continue
                if not (isinstance(changed, tuple) and len(changed) == 2):
                    raise RuntimeError(
                        errors.message(
                            "a forward pre-hook with kwargs must return None or a pair (args, kwargs)",
                            where=type(self).__name__,
                            got=repr(changed),
                        )
                    )
                args, kwargs = changed
            else:
                changed = hook(self, args)
                if changed is not None:
                    args = changed if isinstance(changed, tuple) else (changed,)
        return args, kwargs

    def _all_forward_hooks(self) -> list[tuple[int, Callable, bool, bool]]:
        """(id, hook, wants kwargs, is always called), in the order of calling."""
        own_kwargs, own_always = self._forward_hooks_with_kwargs, self._forward_hooks_always_called
        every_kwargs, every_always = _global_forward_hooks_with_kwargs, _global_forward_hooks_always_called
        return [
            *((key, hook, key in every_kwargs, key in every_always) for key, hook in _global_forward_hooks.items()),
            *((key, hook, key in own_kwargs, key in own_always) for key, hook in self._forward_hooks.items()),
        ]

    def _run_always_called(self, args: tuple, kwargs: dict, done: set[int]) -> None:
        """After a failure: the `always_call` hooks that have not run yet; what they raise becomes a warning."""
        for key, hook, with_kwargs, always in self._all_forward_hooks():
            if always and key not in done:
                try:
                    hook(self, args, kwargs, None) if with_kwargs else hook(self, args, None)
                except Exception as error:  # the failure of forward is the one to report
                    warnings.warn(f"a forward hook with always_call=True failed: {error}", stacklevel=2)

    # ---------------------------------------------------------------------------------------------------------- registr

    def register_forward_pre_hook(
        self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before every `forward`; a returned value replaces the positional arguments.

        Args:
            hook: the function; with `with_kwargs` it is called as `hook(module, args, kwargs)` and may return `(args,
                kwargs)`.
            prepend: put it before the hooks registered so far.
            with_kwargs: give the hook the keyword arguments too.

        >>> import tapegrad as torch
        >>> m = torch.nn.Identity()
        >>> handle = m.register_forward_pre_hook(lambda module, args: args[0] + 1)
        >>> m(torch.zeros(1))
        tensor([1.])
        """
        notes = [self._forward_pre_hooks_with_kwargs] if with_kwargs else None
        return add_hook(self._forward_pre_hooks, hook, prepend, notes)

    def register_forward_hook(
        self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after every `forward`; a returned value replaces the output.

        Args:
            hook: the function; with `with_kwargs` it is called as `hook(module, args, kwargs, output)`.
            prepend: put it before the hooks registered so far.
            with_kwargs: give the hook the keyword arguments too.
            always_call: call it even if `forward` raises (with the output None).

        >>> import tapegrad as torch
        >>> m = torch.nn.Identity()
        >>> with m.register_forward_hook(lambda module, args, output: print("called")):
        ...     _ = m(torch.zeros(1))
        called
        """
        notes = _notes(with_kwargs, self._forward_hooks_with_kwargs, always_call, self._forward_hooks_always_called)
        return add_hook(self._forward_hooks, hook, prepend, notes)

    def register_full_backward_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_output)` before the backward pass of this module; a returned value replaces the
        gradients.
        """
        return add_hook(self._backward_pre_hooks, hook, prepend)

    def register_full_backward_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` when the gradients of the module's inputs are known.

        Both are tuples with one entry per tensor among the positional arguments and outputs, None where there is no
        gradient. A returned value replaces `grad_input` on its way up.

        >>> import tapegrad as torch
        >>> m = torch.nn.Tanh()
        >>> handle = m.register_full_backward_hook(lambda module, grad_input, grad_output: print(grad_output))
        >>> m(torch.zeros(1, requires_grad=True)).backward()
        (tensor([1.]),)
        """
        return add_hook(self._backward_hooks, hook, prepend)

    # Before PyTorch 1.8 this hook saw only the last operation; its use now means the full one.
    register_backward_hook = register_full_backward_hook


# -------------------------------------------------------------------------------------------------------- backward hook


class _Border(Function):
    """The identity on a module's tensors, whose backward pass lets `change` see and replace their gradients."""

    @staticmethod
    def forward(ctx: Any, change: Callable, fill: bool, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.change = change
        ctx.set_materialize_grads(fill)  # whether a missing gradient is shown as zeros or as None
        outs = tuple(tensor.view_as(tensor) for tensor in tensors)
        ctx.mark_non_differentiable(
            *(out for out, tensor in zip(outs, tensors, strict=True) if not tensor.requires_grad)
        )
        return outs

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple:
        return (None, None, *ctx.change(grads))


class _BackwardCall:
    """One call of a module with backward hooks: keeps `grad_output` until `grad_input` is known."""

    def __init__(self, module: Hooks, pre: list[Callable], full: list[Callable]) -> None:
        self.module, self.pre, self.full = module, pre, full
        self.grad_output: tuple | None = None
        self.inputs = 0
        self.has_input = False

    def enter(self, args: tuple) -> tuple:
        """The arguments with a border around those that get gradients."""
        self.inputs = len(args)
        self.has_input = any(isinstance(arg, Tensor) and arg.requires_grad for arg in args)
        return self._surround(args, self._at_input, fill=True)

    def leave(self, result: Any) -> Any:
        """The result with a border around its tensors; only a Tensor or a tuple of them can have one."""
        if isinstance(result, Tensor):
            return self._surround((result,), self._at_output, fill=False)[0]
        if isinstance(result, tuple):
            return _like(result, self._surround(tuple(result), self._at_output, fill=False))
        name = type(self.module).__name__
        warnings.warn(
            f"backward hooks need a Tensor or a tuple of Tensors, {name} returned a {type(result)}", stacklevel=4
        )
        return result

    def _surround(self, values: tuple, at: Callable, fill: bool) -> tuple:
        """`values` with one `_Border` around all tensors in it, if any of them requires grad."""
        where = [i for i, value in enumerate(values) if isinstance(value, Tensor)]
        if not any(values[i].requires_grad for i in where):
            return values
        size = len(values)

        def change(grads: tuple) -> tuple:
            whole: list = [None] * size
            for i, g in zip(where, grads, strict=True):
                whole[i] = g
            changed = at(tuple(whole))
            return tuple(changed[i] for i in where)

        mixed = list(values)
        for i, tensor in zip(where, _Border.apply(change, fill, *(values[i] for i in where)), strict=True):
            mixed[i] = tensor
        return tuple(mixed)

    def _at_output(self, grads: tuple) -> tuple:
        for hook in self.pre:
            grads = self._checked("backward pre-hook", hook(self.module, grads), grads)
        self.grad_output = grads
        if self.full and not self.has_input:  # no gradient will arrive at an input: the backward pass ends here
            name = type(self.module).__name__
            warnings.warn(f"{name}: no input requires grad, so its full backward hooks run at its output", stacklevel=2)
            for hook in self.full:
                returned = hook(self.module, (None,) * self.inputs, grads)
                if returned is not None and not (isinstance(returned, tuple) and all(g is None for g in returned)):
                    what = "a backward hook returned gradients for inputs that require none"
                    raise RuntimeError(errors.message(what, where=name, got=repr(returned), expected="None"))
        return grads

    def _at_input(self, grads: tuple) -> tuple:
        for hook in self.full:
            grads = self._checked("backward hook", hook(self.module, grads, self.grad_output), grads)
        self.grad_output = None
        return grads

    def _checked(self, what: str, changed: Any, grads: tuple) -> tuple:
        """What a hook returned as a tuple as long as `grads`; None means no change."""
        if changed is None:
            return grads
        changed = changed if isinstance(changed, tuple) else (changed,)
        if len(changed) != len(grads):
            raise RuntimeError(
                errors.message(
                    f"{what} returned another number of gradients",
                    where=type(self.module).__name__,
                    got=len(changed),
                    expected=len(grads),
                )
            )
        return changed


# -------------------------------------------------------------------------------------------------------------------- h


def _notes(
    with_kwargs: bool, kwargs_note: OrderedDict, always_call: bool, always_note: OrderedDict
) -> list[OrderedDict]:
    return [note for wanted, note in ((with_kwargs, kwargs_note), (always_call, always_note)) if wanted]


def _like(original: Any, values: tuple) -> Any:
    """`values` in a sequence of the type of `original`, named tuples included."""
    kind = type(original)
    return kind(*values) if hasattr(kind, "_fields") else kind(values)
