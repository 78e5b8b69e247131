"""Schedules that multiply the rate by a factor at each step: steps, ramps, powers, and functions of the user."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from ...errors import message
from ..optimizer import Optimizer
from .base import LRScheduler, Rate, for_each_group, saved_function


class _FactorLR(LRScheduler):
    """A schedule whose rates are the current ones times `_factor()`; an int 1 leaves them as they are.

    `_closed_factor()` is the product of all factors up to `last_epoch`.
    """

    def _factor(self) -> float:
        raise NotImplementedError

    def _closed_factor(self) -> float:
        raise NotImplementedError

    def get_lr(self) -> list[Rate]:
        self._check_caller()
        factor = self._factor()
        return [group["lr"] * factor for group in self.optimizer.param_groups]

    def _get_closed_form_lr(self) -> list[Rate]:
        factor = self._closed_factor()
        return [rate * factor for rate in self.base_lrs]


class StepLR(_FactorLR):
    """Multiply the rate by `gamma` every `step_size` epochs: lr = initial_lr * gamma ** (epoch // step_size).

    Args:
        optimizer: whose rates are set.
        step_size: the number of epochs between two changes.
        gamma: the factor.
        last_epoch: the number of steps made before; -1 starts.

    >>> import tapegrad as torch
    >>> optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=0.5)
    >>> scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2)
    >>> for _ in range(4):
    ...     optimizer.step()
    ...     scheduler.step()
    ...     print(scheduler.get_last_lr())
    [0.5]
    [0.05]
    [0.05]
    [0.005000000000000001]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self) -> float:
        return self.gamma if self.last_epoch and self.last_epoch % self.step_size == 0 else 1

    def _closed_factor(self) -> float:
        return self.gamma ** (self.last_epoch // self.step_size)


class MultiStepLR(_FactorLR):
    """Multiply the rate by `gamma` at each of the `milestones`.

    Args:
        optimizer: whose rates are set.
        milestones: the epochs; one that occurs twice counts twice.
        gamma: the factor.
        last_epoch: the number of steps made before; -1 starts.

    >>> import tapegrad as torch
    >>> optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=1.0)
    >>> scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[1, 3], gamma=0.5)
    >>> for _ in range(3):
    ...     optimizer.step()
    ...     scheduler.step()
    ...     print(scheduler.get_last_lr())
    [0.5]
    [0.5]
    [0.25]
    """

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones = Counter(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self) -> float:
        times = self.milestones.get(self.last_epoch, 0)
        return self.gamma**times if times else 1

    def _closed_factor(self) -> float:
        return self.gamma ** bisect_right(sorted(self.milestones.elements()), self.last_epoch)


class ConstantLR(_FactorLR):
    """Multiply the rate by `factor` for the first `total_iters` epochs.

    Args:
        optimizer: whose rates are set.
        factor: between 0 and 1.
        total_iters: the epoch from which the rate is the full one.
        last_epoch: the number of steps made before; -1 starts.

    Raises:
        ValueError: `factor` is outside [0, 1].

    >>> import tapegrad as torch
    >>> optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=1.0)
    >>> scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=0.5, total_iters=2)
    >>> for _ in range(3):
    ...     print(scheduler.get_last_lr())
    ...     optimizer.step()
    ...     scheduler.step()
    [0.5]
    [0.5]
    [1.0]
    """

    def __init__(self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5, last_epoch: int = -1) -> None:
        _check_factor("ConstantLR: factor", factor)
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def _factor(self) -> float:
        if self.last_epoch == 0:
            return self.factor
        return 1.0 / self.factor if self.last_epoch == self.total_iters else 1

    def _closed_factor(self) -> float:
        return self.factor + (self.last_epoch >= self.total_iters) * (1 - self.factor)


class LinearLR(_FactorLR):
    """Let the rate's factor run in a straight line from `start_factor` to `end_factor` in `total_iters` epochs.

    Args:
        optimizer: whose rates are set.
        start_factor: the factor of epoch 0, above 0 and at most 1.
        end_factor: the factor from epoch `total_iters` on, between 0 and 1.
        total_iters: the length of the ramp in epochs.
        last_epoch: the number of steps made before; -1 starts.

    Raises:
        ValueError: a factor is outside its range.

    >>> import tapegrad as torch
    >>> optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=1.0)
    >>> scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.25, total_iters=3)
    >>> for _ in range(4):
    ...     print(scheduler.get_last_lr())
    ...     optimizer.step()
    ...     scheduler.step()
    [0.25]
    [0.5]
    [0.75]
    [1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        _check_factor("LinearLR: start_factor", start_factor)
        _check_factor("LinearLR: end_factor", end_factor)
        if start_factor == 0:
            raise ValueError(
                message("LinearLR: start_factor is 0, from which no factor leads away", expected="above 0")
            )
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def _factor(self) -> float:
        if self.last_epoch == 0:
            return self.start_factor
        if self._is_initial or self.last_epoch > self.total_iters:
            return 1
        rise = self.end_factor - self.start_factor
        return 1.0 + rise / (self.total_iters * self.start_factor + (self.last_epoch - 1) * rise)

    def _closed_factor(self) -> float:
        rise = self.end_factor - self.start_factor
        return self.start_factor + rise * min(self.total_iters, self.last_epoch) / self.total_iters


class ExponentialLR(_FactorLR):
    """Multiply the rate by `gamma` at each epoch: lr = initial_lr * gamma ** epoch.

    Args:
        optimizer: whose rates are set.
        gamma: the factor.
        last_epoch: the number of steps made before; -1 starts.

    >>> import tapegrad as torch
    >>> optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=1.0)
    >>> scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> optimizer.step()
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.5]
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self) -> float:
        return 1 if self._is_initial else self.gamma

    def _closed_factor(self) -> float:
        return self.gamma**self.last_epoch


class PolynomialLR(_FactorLR):
    """Let the rate fall to 0 in `total_iters` epochs: lr = initial_lr * (1 - epoch / total_iters) ** power.

    Args:
        optimizer: whose rates are set.
        total_iters: the epoch from which the rate is 0.
        power: the power.
        last_epoch: the number of steps made before; -1 starts.

    >>> import tapegrad as torch
    >>> optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=1.0)
    >>> scheduler = torch.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=4)
    >>> optimizer.step()
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.75]
    """

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer, last_epoch)

    def _factor(self) -> float:
        if self._is_initial or self.last_epoch > self.total_iters:
            return 1
        left = 1.0 - self.last_epoch / self.total_iters
        left_before = 1.0 - (self.last_epoch - 1) / self.total_iters
        return (left / left_before) ** self.power

    def _closed_factor(self) -> float:
        return (1.0 - min(self.total_iters, self.last_epoch) / self.total_iters) ** self.power


class _UserLR(LRScheduler):
    """What the two schedules by a function of the user share."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Any, last_epoch: int) -> None:
        self.optimizer = optimizer
        self.lr_lambdas: list[Callable[[int], float]] = for_each_group("lr_lambda", optimizer, lr_lambda)
        super().__init__(optimizer, last_epoch)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer; of the functions only the attributes of callable objects."""
        return super().state_dict() | {"lr_lambdas": [saved_function(f) for f in self.lr_lambdas]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned; the functions stay those of this object."""
        functions = self.lr_lambdas
        super().load_state_dict(state_dict)
        self.lr_lambdas = functions
        for function, attributes in zip(functions, state_dict["lr_lambdas"]):
            if attributes is not None:
                function.__dict__.update(attributes)


class LambdaLR(_UserLR):
    """Multiply the initial rate by a function of the epoch: lr = initial_lr * lr_lambda(epoch).

    Args:
        optimizer: whose rates are set.
        lr_lambda: the function, or a list with one for each parameter group.
        last_epoch: the number of steps made before; -1 starts.

    Raises:
        ValueError: there are not as many functions as groups.

    >>> import tapegrad as torch
    >>> optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=1.0)
    >>> scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch))
    >>> optimizer.step()
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.5]
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Any, last_epoch: int = -1) -> None:
        super().__init__(optimizer, lr_lambda, last_epoch)

    def get_lr(self) -> list[Rate]:
        self._check_caller()
        return [rate * f(self.last_epoch) for f, rate in zip(self.lr_lambdas, self.base_lrs)]


class MultiplicativeLR(_UserLR):
    """Multiply the current rate by a function of the epoch, from epoch 1 on.

    Args:
        optimizer: whose rates are set.
        lr_lambda: the function, or a list with one for each parameter group.
        last_epoch: the number of steps made before; -1 starts.

    Raises:
        ValueError: there are not as many functions as groups.
        TypeError: one of them cannot be called.

    >>> import tapegrad as torch
    >>> optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=1.0)
    >>> scheduler = torch.optim.lr_scheduler.MultiplicativeLR(optimizer, lambda epoch: 0.5)
    >>> optimizer.step()
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.5]
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Any, last_epoch: int = -1) -> None:
        for function in lr_lambda if isinstance(lr_lambda, list | tuple) else [lr_lambda]:
            if not callable(function):
                raise TypeError(message("MultiplicativeLR: lr_lambda is a function", got=type(function).__name__))
        super().__init__(optimizer, lr_lambda, last_epoch)

    def get_lr(self) -> list[Rate]:
        self._check_caller()
        groups = self.optimizer.param_groups
        if self._is_initial:
            return [group["lr"] * 1 for group in groups]
        return [group["lr"] * f(self.last_epoch) for f, group in zip(self.lr_lambdas, groups)]


def _check_factor(name: str, factor: float) -> None:
    if not 0 <= factor <= 1:
        raise ValueError(message(f"{name} is outside [0, 1]", got=factor))
