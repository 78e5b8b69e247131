"""`LRScheduler`: counting steps, writing the rates, checkpoints."""

from __future__ import annotations

import types
import warnings
from collections.abc import Callable
from typing import Any

from ...core.tensor import Tensor
from ...errors import message
from ..optimizer import Optimizer

Rate = float | Tensor


class LRScheduler:
    """The base of the schedules; a subclass defines `get_lr`.

    Args:
        optimizer: whose rates are set.
        last_epoch: the number of steps made before; -1 starts, and takes the optimizer's rates as the initial ones.

    Raises:
        TypeError: `optimizer` is no optimizer.
        KeyError: `last_epoch` is given, but a group has no "initial_lr".

    >>> import tapegrad as torch
    >>> class Halving(torch.optim.lr_scheduler.LRScheduler):
    ...     def get_lr(self):
    ...         return [lr * 0.5**self.last_epoch for lr in self.base_lrs]
    >>> optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=1.0)
    >>> scheduler = Halving(optimizer)
    >>> for _ in range(3):
    ...     optimizer.step()
    ...     scheduler.step()
    >>> scheduler.get_last_lr()
    [0.125]
    """

    _get_lr_called_within_step = False
    _is_initial = False  # whether `get_lr` is called by the constructor

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", _copied(group["lr"]))
            elif "initial_lr" not in group:
                what = f"parameter group {i} has no 'initial_lr', and last_epoch={last_epoch} continues a schedule"
                raise KeyError(message(what, fix="load the optimizer's state_dict first, or start with last_epoch=-1"))
        self.base_lrs: list[Rate] = [_copied(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        if optimizer._opt_called is None:
            optimizer._opt_called = False
        optimizer._watched_step = optimizer.__dict__.get("step")
        self._initial_step()

    def _initial_step(self) -> None:
        """The step that sets the rates of epoch 0."""
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer, as a dictionary that can be saved."""
        return {name: value for name, value in self.__dict__.items() if name != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned; the optimizer's own state holds the rates."""
        self.__dict__.update(state_dict)

    def get_last_lr(self) -> list[Rate]:
        """The rates of the groups that this schedule set last."""
        return self._last_lr

    def get_lr(self) -> list[Rate]:
        """The rates of the groups at `last_epoch`; `step` calls it, programs want `get_last_lr`."""
        raise NotImplementedError(f"{type(self).__name__}.get_lr")

    def step(self, epoch: int | None = None) -> None:
        """Go on to the next epoch and set its rates.

        Args:
            epoch: the epoch to go to (deprecated).
        """
        if self._step_count == 1:
            self._check_order()
        self._step_count += 1
        if epoch is not None:
            warn_of_epoch(3)
        self._update_lr(epoch)

    def _check_order(self) -> None:
        """Warn if the first rate would never be used."""
        optimizer = self.optimizer
        if optimizer.__dict__.get("step") is not optimizer._watched_step:
            what = (
                "optimizer.step was replaced after the schedule was made, which can no longer see whether it is called"
            )
        elif not optimizer._opt_called:
            what = "scheduler.step() was called before optimizer.step(): the first rate of the schedule is skipped"
        else:
            return
        fix = "call optimizer.step() first, then scheduler.step()"
        warnings.warn(message(what, where=type(self).__name__, fix=fix), UserWarning, stacklevel=3)

    def _update_lr(self, epoch: int | None = None) -> None:
        if epoch is None:
            self.last_epoch += 1
            compute = self.get_lr
        else:
            self.last_epoch = epoch
            compute = getattr(self, "_get_closed_form_lr", self.get_lr)
        self._write(compute)

    def _write(self, compute: Callable[[], list[Rate]]) -> None:
        """Set the rates that `compute` gives."""
        self._get_lr_called_within_step = True
        try:
            rates = compute()
        finally:
            self._get_lr_called_within_step = False
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            set_option(group, "lr", rate)
        self._last_lr = current_lrs(self.optimizer)

    def _check_caller(self) -> None:
        """Warn if `get_lr` is called by a program: a recursive schedule gives the next rate, not the current one."""
        if not self._get_lr_called_within_step:
            what = "get_lr() computes the rate for a step; for the rate in use call get_last_lr()"
            warnings.warn(message(what, where=type(self).__name__), UserWarning, stacklevel=3)


_LRScheduler = LRScheduler  # the name that it had in PyTorch 1


# ---- helpers -----------------------------------------------------------------------------------------------------


def check_optimizer(optimizer: Any) -> None:
    """Refuse what is not an optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(message("a schedule needs an optimizer", got=type(optimizer).__name__))


def warn_of_epoch(stacklevel: int) -> None:
    """Say that the argument of `step` is deprecated."""
    what = "the epoch given to scheduler.step() is deprecated: schedules count their steps"
    warnings.warn(message(what, fix="call scheduler.step() without it"), UserWarning, stacklevel=stacklevel + 1)


def _copied(rate: Rate) -> Rate:
    return rate.clone() if isinstance(rate, Tensor) else rate


def current_lrs(optimizer: Optimizer) -> list[Rate]:
    """The rates of the groups now."""
    return [_copied(group["lr"]) for group in optimizer.param_groups]


def set_option(group: dict[str, Any], name: str, value: Rate) -> None:
    """Set an option of a group; one that is a tensor keeps its identity."""
    own = group[name]
    if isinstance(own, Tensor):
        own.array.fill(float(value))
        own.bump()
    else:
        group[name] = value


def for_each_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """One value for each group: the entries of a list, or the same one for all.

    Raises:
        ValueError: the list has another length.
    """
    groups = len(optimizer.param_groups)
    values = list(value) if isinstance(value, list | tuple) else [value] * groups
    if len(values) != groups:
        what = f"{name} has another number of entries than the optimizer has parameter groups"
        raise ValueError(message(what, got=len(values), expected=groups))
    return [_copied(v) for v in values]


def saved_function(function: Callable) -> dict[str, Any] | None:
    """What a checkpoint keeps of a function: the attributes of a callable object, nothing of a plain function."""
    return None if isinstance(function, types.FunctionType) else function.__dict__.copy()
