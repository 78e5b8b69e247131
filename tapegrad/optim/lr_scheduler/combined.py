"""Schedules made of schedules: one after the other, or all at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from ...errors import message
from ..optimizer import Optimizer
from .base import LRScheduler, current_lrs, set_option
from .plateau import ReduceLROnPlateau


class _CombinedLR(LRScheduler):
    """A schedule that drives others; its checkpoint holds theirs."""

    _schedulers: Sequence[LRScheduler]

    def _check(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None) -> Any:
        """The optimizer of all the schedules.

        Raises:
            ValueError: there is no schedule, one has another optimizer, or one needs a metric.
            TypeError: one is no schedule.
        """
        name = type(self).__name__
        if len(schedulers) < 1:
            raise ValueError(message(f"{name}: there is no schedule in the list"))
        for i, scheduler in enumerate(schedulers):
            if not hasattr(scheduler, "optimizer"):
                what = f"{name}: entry {i} of the list is no schedule"
                raise TypeError(message(what, got=type(scheduler).__name__, expected="an object with an optimizer"))
            optimizer = optimizer or scheduler.optimizer
            if isinstance(scheduler, ReduceLROnPlateau):
                what = f"{name}: ReduceLROnPlateau needs a metric at each step and cannot be combined"
                raise ValueError(message(what, got=f"entry {i} of the list"))
            if scheduler.optimizer is not optimizer:
                raise ValueError(message(f"{name}: entry {i} of the list belongs to another optimizer"))
        return optimizer

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer, with the states of the schedules."""
        return super().state_dict() | {"_schedulers": [s.state_dict() for s in self._schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        own = self._schedulers
        super().load_state_dict(state_dict)
        self._schedulers = own
        for scheduler, state in zip(own, state_dict["_schedulers"]):
            scheduler.load_state_dict(state)


class SequentialLR(_CombinedLR):
    """Let each schedule run until its milestone, then the next, which starts at its own epoch 0.

    Args:
        optimizer: whose rates are set.
        schedulers: the schedules, all of this optimizer.
        milestones: the epochs at which the second, third, ... takes over.
        last_epoch: the number of steps made before; -1 starts.

    Raises:
        ValueError: there is not one milestone less than there are schedules, or one has another optimizer.

    >>> import tapegrad as torch
    >>> from tapegrad.optim.lr_scheduler import ConstantLR, ExponentialLR, SequentialLR
    >>> optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=1.0)
    >>> warmup, decay = ConstantLR(optimizer, factor=0.5, total_iters=9), ExponentialLR(optimizer, gamma=0.75)
    >>> scheduler = SequentialLR(optimizer, [warmup, decay], milestones=[2])
    >>> for _ in range(4):
    ...     print(scheduler.get_last_lr())
    ...     optimizer.step()
    ...     scheduler.step()
    [0.5]
    [0.5]
    [1.0]
    [0.75]
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: list[LRScheduler], milestones: list[int], last_epoch: int = -1
    ) -> None:
        self._check(schedulers, optimizer)
        if len(milestones) != len(schedulers) - 1:
            what = "SequentialLR: there must be one milestone less than there are schedules"
            raise ValueError(message(what, got=f"{len(milestones)} milestones, {len(schedulers)} schedules"))
        self._schedulers = schedulers
        self._milestones = milestones
        self.last_epoch = last_epoch + 1
        self.optimizer = optimizer
        for group in optimizer.param_groups:  # undo what making the schedules did: each has made its initial step
            set_option(group, "lr", group["initial_lr"])
        _undo_step(self)
        first = schedulers[bisect_right(milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def step(self) -> None:  # type: ignore[override]
        """Go on to the next epoch and set its rates."""
        self.last_epoch += 1
        now = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[now]
        if now > 0 and self._milestones[now - 1] == self.last_epoch:
            scheduler._update_lr(0)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()


class ChainedScheduler(_CombinedLR):
    """Step several schedules at once; their factors multiply.

    Args:
        schedulers: the schedules, all of one optimizer.
        optimizer: that optimizer.

    Raises:
        ValueError: there is no schedule, or one has another optimizer.

    >>> import tapegrad as torch
    >>> from tapegrad.optim.lr_scheduler import ChainedScheduler, ConstantLR, ExponentialLR
    >>> optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=1.0)
    >>> both = [ConstantLR(optimizer, factor=0.5, total_iters=9), ExponentialLR(optimizer, gamma=0.5)]
    >>> scheduler = ChainedScheduler(both, optimizer)
    >>> optimizer.step()
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.25]
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        self.optimizer = self._check(schedulers, optimizer)
        self._schedulers = schedulers
        self._last_lr = current_lrs(self.optimizer)

    def step(self) -> None:  # type: ignore[override]
        """Step all schedules."""
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = current_lrs(self.optimizer)


def _undo_step(scheduler: Any) -> None:
    """Set every schedule inside back by one epoch."""
    if hasattr(scheduler, "_schedulers"):
        for inner in scheduler._schedulers:
            _undo_step(inner)
    elif hasattr(scheduler, "last_epoch"):
        scheduler.last_epoch -= 1
