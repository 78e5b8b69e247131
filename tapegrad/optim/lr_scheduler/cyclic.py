"""Schedules that move the momentum against the rate: `CyclicLR` and `OneCycleLR`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ...errors import message
from ..optimizer import Optimizer
from .base import LRScheduler, Rate, check_optimizer, for_each_group, saved_function, set_option


class _MomentumLR(LRScheduler):
    """A schedule that may cycle the momentum (or the first beta) as well."""

    cycle_momentum: bool

    def _start_momentum(self, optimizer: Optimizer, base: Any, top: Any, starts: bool) -> tuple[list, list]:
        """The bounds of the momentum for each group; when the schedule starts, the upper one is set.

        Raises:
            ValueError: the optimizer has no momentum.
        """
        if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
            what = f"{type(self).__name__}: the optimizer has neither momentum nor betas to cycle"
            raise ValueError(message(what, got=type(optimizer).__name__, fix="cycle_momentum=False"))
        self.use_beta1 = "betas" in optimizer.defaults
        bases = for_each_group("base_momentum", optimizer, base)
        tops = for_each_group("max_momentum", optimizer, top)
        if starts:
            for low, high, group in zip(bases, tops, optimizer.param_groups):
                self._set_momentum(group, high)
                group["max_momentum"] = high
                group["base_momentum"] = low
        return bases, tops

    def _set_momentum(self, group: dict[str, Any], value: float) -> None:
        if self.use_beta1:
            group["betas"] = (value, *group["betas"][1:])
        else:
            group["momentum"] = value


class CyclicLR(_MomentumLR):
    """Let the rate go up and down between two bounds, in straight lines.

    Args:
        optimizer: whose rates are set.
        base_lr: the lower bound and the first rate, or a list with one for each group.
        max_lr: the upper bound of the first cycle, or a list.
        step_size_up: the number of steps from the lower bound to the upper.
        step_size_down: the number of steps back (default: as many).
        mode: "triangular": all cycles alike; "triangular2": each half as high as the last; "exp_range": the height is
            multiplied by `gamma` at each step.
        gamma: see "exp_range".
        scale_fn: the height of a cycle as a function of its number, or of the step; replaces `mode`.
        scale_mode: "cycle" or "iterations": what `scale_fn` is a function of.
        cycle_momentum: let the momentum go down when the rate goes up.
        base_momentum, max_momentum: the bounds of the momentum.
        last_epoch: the number of steps made before; -1 starts.

    Raises:
        ValueError: the mode is unknown, or there is no momentum to cycle.

    Source: Smith, "Cyclical Learning Rates for Training Neural Networks" (2017).

    >>> import tapegrad as torch
    >>> optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=1.0, momentum=0.9)
    >>> scheduler = torch.optim.lr_scheduler.CyclicLR(optimizer, base_lr=0.5, max_lr=1.0, step_size_up=2)
    >>> for _ in range(4):
    ...     optimizer.step()
    ...     scheduler.step()
    ...     print(scheduler.get_last_lr())
    [0.75]
    [1.0]
    [0.75]
    [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float = 0.8,
        max_momentum: float = 0.9,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        base_lrs = for_each_group("base_lr", optimizer, base_lr)
        if last_epoch == -1:
            for rate, group in zip(base_lrs, optimizer.param_groups):
                set_option(group, "lr", rate)
        self.max_lrs = for_each_group("max_lr", optimizer, max_lr)
        up = float(step_size_up)
        self.total_size = up + (up if step_size_down is None else float(step_size_down))
        self.step_ratio = up / self.total_size
        if scale_fn is None and mode not in ("triangular", "triangular2", "exp_range"):
            what = "CyclicLR: unknown mode"
            raise ValueError(message(what, got=repr(mode), expected="'triangular', 'triangular2' or 'exp_range'"))
        self.mode = mode
        self.gamma = gamma
        self._scale_fn_custom = scale_fn
        self.scale_mode = scale_mode if scale_fn else "iterations" if mode == "exp_range" else "cycle"
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            bounds = self._start_momentum(optimizer, base_momentum, max_momentum, last_epoch == -1)
            self.base_momentums, self.max_momentums = bounds
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def scale_fn(self, x: float) -> float:
        """The height of a cycle; `x` is its number (from 1) or, with "iterations", the step."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        if self.mode == "exp_range":
            return self.gamma**x
        return 1.0 if self.mode == "triangular" else 1 / (2.0 ** (x - 1))

    def get_lr(self) -> list[Rate]:
        self._check_caller()
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        part = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        scale = self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            for low, high, group in zip(self.base_momentums, self.max_momentums, self.optimizer.param_groups):
                self._set_momentum(group, high - (high - low) * part * scale)
        return [low + (high - low) * part * scale for low, high in zip(self.base_lrs, self.max_lrs)]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer; of `scale_fn` only the attributes of a callable object."""
        custom = self._scale_fn_custom
        return super().state_dict() | {"_scale_fn_custom": None if custom is None else saved_function(custom)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned; `scale_fn` stays that of this object."""
        custom = self._scale_fn_custom
        super().load_state_dict(state_dict)
        self._scale_fn_custom = custom
        if state_dict["_scale_fn_custom"] is not None:
            custom.__dict__.update(state_dict["_scale_fn_custom"])


class OneCycleLR(_MomentumLR):
    """Let the rate rise from a small value to `max_lr` and fall to a very small one, once; momentum goes the other way.

    Call `step` after each batch, not after each epoch.

    Args:
        optimizer: whose rates are set.
        max_lr: the greatest rate, or a list with one for each group.
        total_steps: the length of the cycle in steps; else `epochs * steps_per_epoch`.
        epochs, steps_per_epoch: the two factors of the length.
        pct_start: the part of the cycle in which the rate rises.
        anneal_strategy: "cos" or "linear": how.
        cycle_momentum: let the momentum go down when the rate goes up.
        base_momentum, max_momentum: the bounds of the momentum.
        div_factor: the first rate is max_lr / div_factor.
        final_div_factor: the last rate is the first / final_div_factor.
        three_phase: go back to the first rate as fast as it rose, then down to the last.
        last_epoch: the number of steps made before; -1 starts.

    Raises:
        ValueError: the length is not given or not positive, `pct_start` or `anneal_strategy` is invalid, there is no
            momentum to cycle, or more than `total_steps` steps are made.

    Source: Smith and Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates"
    (2018).

    >>> import tapegrad as torch
    >>> optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=1.0, momentum=0.9)
    >>> scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=10)
    >>> for _ in range(3):
    ...     print(f"{scheduler.get_last_lr()[0]:.2f}")
    ...     optimizer.step()
    ...     scheduler.step()
    0.04
    0.52
    1.00
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        self.total_steps = _length(total_steps, epochs, steps_per_epoch)
        if not isinstance(pct_start, float) or not 0 <= pct_start <= 1:
            raise ValueError(message("OneCycleLR: pct_start is a float from 0 to 1", got=repr(pct_start)))
        if anneal_strategy not in ("cos", "linear"):
            what = "OneCycleLR: unknown anneal_strategy"
            raise ValueError(message(what, got=repr(anneal_strategy), expected="'cos' or 'linear'"))
        self._schedule_phases = _phases(self.total_steps, pct_start, three_phase)
        self._anneal_func_type = anneal_strategy
        max_lrs = for_each_group("max_lr", optimizer, max_lr)
        if last_epoch == -1:
            for top, group in zip(max_lrs, optimizer.param_groups):
                group["initial_lr"] = top / div_factor
                group["max_lr"] = top
                group["min_lr"] = group["initial_lr"] / final_div_factor
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._start_momentum(optimizer, base_momentum, max_momentum, last_epoch == -1)
        super().__init__(optimizer, last_epoch)

    def _anneal(self, start: Rate, end: Rate, part: float) -> Rate:
        if self._anneal_func_type == "cos":
            return end + (start - end) / 2.0 * (math.cos(math.pi * part) + 1)
        return (end - start) * part + start

    def get_lr(self) -> list[Rate]:
        self._check_caller()
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(
                message("OneCycleLR: the cycle is over", got=f"step {step}", expected=f"at most {self.total_steps}")
            )
        start = 0.0
        for phase in self._schedule_phases[:-1]:
            if step <= phase["end_step"]:
                break
            start = phase["end_step"]
        else:
            phase = self._schedule_phases[-1]
        part = (step - start) / (phase["end_step"] - start)
        rates = []
        for group in self.optimizer.param_groups:
            rates.append(self._anneal(group[phase["start_lr"]], group[phase["end_lr"]], part))
            if self.cycle_momentum:
                momentum = self._anneal(group[phase["start_momentum"]], group[phase["end_momentum"]], part)
                self._set_momentum(group, momentum)
        return rates


def _length(total_steps: int | None, epochs: int | None, steps_per_epoch: int | None) -> int:
    """The number of steps of the cycle."""
    if total_steps is None and (epochs is None or steps_per_epoch is None):
        fix = "give total_steps, or epochs and steps_per_epoch"
        raise ValueError(message("OneCycleLR: the length of the cycle is not given", fix=fix))
    given = (
        {"total_steps": total_steps}
        if total_steps is not None
        else {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
    )
    for name, value in given.items():
        if not isinstance(value, int) or value <= 0:
            raise ValueError(message(f"OneCycleLR: {name} is a positive int", got=repr(value)))
    return math.prod(given.values())


def _phases(total_steps: int, pct_start: float, three_phase: bool) -> list[dict[str, Any]]:
    """The parts of the cycle: where each ends, and the names of the group's values between which it runs."""

    def phase(end: float, lrs: tuple[str, str], momentums: tuple[str, str]) -> dict[str, Any]:
        start_lr, end_lr = lrs
        start_momentum, end_momentum = momentums
        return {
            "end_step": end,
            "start_lr": start_lr,
            "end_lr": end_lr,
            "start_momentum": start_momentum,
            "end_momentum": end_momentum,
        }

    falls, rises = ("max_momentum", "base_momentum"), ("base_momentum", "max_momentum")
    first = phase(float(pct_start * total_steps) - 1, ("initial_lr", "max_lr"), falls)
    if not three_phase:
        return [first, phase(total_steps - 1, ("max_lr", "min_lr"), rises)]
    second = phase(float(2 * pct_start * total_steps) - 2, ("max_lr", "initial_lr"), rises)
    return [first, second, phase(total_steps - 1, ("initial_lr", "min_lr"), ("max_momentum", "max_momentum"))]
