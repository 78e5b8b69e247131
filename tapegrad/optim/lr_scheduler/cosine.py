"""Schedules along a cosine: `CosineAnnealingLR` and `CosineAnnealingWarmRestarts`."""

from __future__ import annotations

import math

from ...errors import message
from ..optimizer import Optimizer
from .base import LRScheduler, Rate


class CosineAnnealingLR(LRScheduler):
    """Let the rate fall along half a cosine: lr = eta_min + (initial_lr - eta_min) * (1 + cos(pi * epoch / T_max)) / 2.

    It is computed from the rate before, so that other schedules and changes by hand act beside it; after `T_max` epochs
    the rate rises again.

    Args:
        optimizer: whose rates are set.
        T_max: the number of epochs from the greatest rate to the least.
        eta_min: the least rate.
        last_epoch: the number of steps made before; -1 starts.

    Source: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts" (2017).

    >>> import tapegrad as torch
    >>> optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=1.0)
    >>> scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2)
    >>> for _ in range(2):
    ...     optimizer.step()
    ...     scheduler.step()
    ...     print(f"{scheduler.get_last_lr()[0]:.3f}")
    0.500
    0.000
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Rate]:
        self._check_caller()
        rates = [group["lr"] * 1 for group in self.optimizer.param_groups]
        if self._is_initial:
            return rates
        if self._step_count == 1 and self.last_epoch > 0:  # resumed: the rate before is not known
            return self._get_closed_form_lr()
        low, half = self.eta_min, self.T_max
        if (self.last_epoch - 1 - half) % (2 * half) == 0:  # the rate before is the least: no factor leads away from it
            rise = 1 - math.cos(math.pi / half)
            return [rate + (base - low) * rise / 2 for base, rate in zip(self.base_lrs, rates)]
        now, before = (1 + math.cos(math.pi * epoch / half) for epoch in (self.last_epoch, self.last_epoch - 1))
        return [now / before * (rate - low) + low for rate in rates]

    def _get_closed_form_lr(self) -> list[Rate]:
        low, height = self.eta_min, 1 + math.cos(math.pi * self.last_epoch / self.T_max)
        return [low + (base - low) * height / 2 for base in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """Let the rate fall along half a cosine, start again at the top, and make each fall `T_mult` times as long.

    lr = eta_min + (initial_lr - eta_min) * (1 + cos(pi * T_cur / T_i)) / 2, with `T_cur` epochs since the last restart
    and `T_i` epochs from it to the next.

    Args:
        optimizer: whose rates are set.
        T_0: the number of epochs to the first restart.
        T_mult: the factor of the length.
        eta_min: the least rate.
        last_epoch: the number of steps made before; -1 starts.

    Raises:
        ValueError: `T_0` or `T_mult` is not a positive int, or `eta_min` no number.

    Source: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts" (2017).

    >>> import tapegrad as torch
    >>> optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=1.0)
    >>> scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=2)
    >>> for _ in range(2):
    ...     optimizer.step()
    ...     scheduler.step()
    ...     print(f"{scheduler.get_last_lr()[0]:.3f}")
    0.500
    1.000
    """

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        for name, value in (("T_0", T_0), ("T_mult", T_mult)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(message(f"CosineAnnealingWarmRestarts: {name} is a positive int", got=repr(value)))
        if not isinstance(eta_min, int | float):
            raise ValueError(message("CosineAnnealingWarmRestarts: eta_min is a number", got=type(eta_min).__name__))
        self.T_0 = T_0
        self.T_i = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Rate]:
        self._check_caller()
        low, height = self.eta_min, 1 + math.cos(math.pi * self.T_cur / self.T_i)
        return [low + (base - low) * height / 2 for base in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Go on to the next epoch and set its rates.

        Args:
            epoch: where to go instead; it may lie between two epochs: `step(epoch + batch / batches)`.

        Raises:
            ValueError: `epoch` is negative.
        """
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        if epoch is None:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        elif epoch < 0:
            raise ValueError(message("CosineAnnealingWarmRestarts: the epoch is negative", got=epoch))
        else:
            self._go_to(epoch)
        self.last_epoch = math.floor(epoch)
        self._write(self.get_lr)

    def _go_to(self, epoch: float) -> None:
        """Find the fall in which `epoch` lies."""
        self.T_i, self.T_cur = self.T_0, epoch
        if epoch < self.T_0:
            return
        if self.T_mult == 1:
            self.T_cur = epoch % self.T_0
            return
        restarts = int(math.log(epoch / self.T_0 * (self.T_mult - 1) + 1, self.T_mult))
        self.T_cur = epoch - self.T_0 * (self.T_mult**restarts - 1) / (self.T_mult - 1)
        self.T_i = self.T_0 * self.T_mult**restarts
