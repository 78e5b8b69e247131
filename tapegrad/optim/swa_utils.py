"""Averages of a model's parameters over its training: equal weights (SWA), or exponential ones (EMA).

averaged = AveragedModel(model)                             # or multi_avg_fn=get_ema_multi_avg_fn(0.999)
for ...:
    train(model)
    averaged.update_parameters(model)
update_bn(loader, averaged)                                 # the statistics of batch norm belong to the average
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..core.tensor import Tensor
from ..dtypes import int64
from ..errors import message
from ..modes import no_grad
from ..nn.module import Module
from ..nn.normalization import _BatchNorm
from ..ops.creation.values import tensor
from .lr_scheduler.base import LRScheduler, Rate, check_optimizer, for_each_group
from .optimizer import Optimizer

__all__ = [
    "AveragedModel",
    "SWALR",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]

Average = Callable[[Tensor, Tensor, Tensor], Tensor]  # of one averaged value, one new value, the number averaged
MultiAverage = Callable[[Sequence[Tensor], Sequence[Tensor], Tensor], None]  # the same of lists, in place


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """An exponential moving average, for `avg_fn`: a' = decay * a + (1 - decay) * p.

    Args:
        decay: how much of the average is kept, from 0 to 1.

    Raises:
        ValueError: `decay` is outside [0, 1].

    >>> import tapegrad as torch
    >>> average = torch.optim.swa_utils.get_ema_avg_fn(0.75)
    >>> average(torch.tensor(0.0), torch.tensor(4.0), torch.tensor(1))
    tensor(1.)
    """
    _check_decay(decay)

    @no_grad()
    def ema_update(ema_param: Any, current_param: Any, num_averaged: Any) -> Any:
        return decay * ema_param + (1 - decay) * current_param

    return ema_update


def get_ema_multi_avg_fn(decay: float = 0.999) -> MultiAverage:
    """The same for `multi_avg_fn`: it changes lists of tensors in place.

    Args:
        decay: how much of the average is kept, from 0 to 1.

    Raises:
        ValueError: `decay` is outside [0, 1].
    """
    average = get_ema_avg_fn(decay)

    @no_grad()
    def ema_update(ema_param_list: Sequence[Tensor], current_param_list: Sequence[Tensor], _: Any) -> None:
        for kept, new in zip(ema_param_list, current_param_list, strict=True):
            kept.copy_(average(kept, new, _))

    return ema_update


def get_swa_avg_fn() -> Average:
    """The mean of all values so far, for `avg_fn`: a' = a + (p - a) / (n + 1).

    >>> import tapegrad as torch
    >>> torch.optim.swa_utils.get_swa_avg_fn()(torch.tensor(3.0), torch.tensor(6.0), torch.tensor(2))
    tensor(4.)
    """

    @no_grad()
    def swa_update(averaged_param: Tensor, current_param: Tensor, num_averaged: Tensor | int) -> Tensor:
        return averaged_param + (current_param - averaged_param) / (num_averaged + 1)

    return swa_update


def get_swa_multi_avg_fn() -> MultiAverage:
    """The same for `multi_avg_fn`: it changes lists of tensors in place."""
    average = get_swa_avg_fn()

    @no_grad()
    def swa_update(
        averaged_param_list: Sequence[Tensor], current_param_list: Sequence[Tensor], num_averaged: Tensor | int
    ) -> None:
        for kept, new in zip(averaged_param_list, current_param_list, strict=True):
            kept.copy_(average(kept, new, num_averaged))

    return swa_update


def _check_decay(decay: float) -> None:
    if not 0 <= decay <= 1:
        raise ValueError(message("the decay of a moving average is outside [0, 1]", got=f"decay={decay}"))


class AveragedModel(Module):
    """A copy of a model whose parameters are the average of that model's at the calls of `update_parameters`.

    Args:
        model: the model; the copy is the attribute `module`.
        device: where the copy lives.
        avg_fn: `avg_fn(averaged, new, n)` returns the next average of one parameter, n models after the first.
        multi_avg_fn: `multi_avg_fn(averaged, new, n)` changes a list of parameters in place; by default the mean.
        use_buffers: average the buffers too; by default they are copied.

    Raises:
        AssertionError: both functions are given.

    Source: Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization" (2018).

    >>> import tapegrad as torch
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> averaged = torch.optim.swa_utils.AveragedModel(model)
    >>> for value in (1.0, 2.0, 6.0):
    ...     _ = torch.nn.init.constant_(model.weight, value)
    ...     averaged.update_parameters(model)
    >>> averaged.module.weight.item()
    3.0
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: MultiAverage | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError(message("AveragedModel: avg_fn and multi_avg_fn exclude each other", got="both"))
        self.module = copy.deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", tensor(0, dtype=int64, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the averaged model computes."""
        return self.module(*args, **kwargs)

    @no_grad()
    def update_parameters(self, model: Module) -> None:
        """Take the current parameters of `model` into the average; the first time they are copied."""
        own, new = self._values(self.module), self._values(model)
        if self.n_averaged == 0:
            for kept, value in zip(own, new):
                kept.copy_(value)
        elif self.avg_fn is not None:
            for kept, value in zip(own, new):
                kept.copy_(self.avg_fn(kept, value, self.n_averaged))
        else:
            alike: dict[Any, tuple[list[Tensor], list[Tensor]]] = {}  # the function is given tensors of one type
            for kept, value in zip(own, new):
                for values, one in zip(alike.setdefault(kept.dtype, ([], [])), (kept, value)):
                    values.append(one)
            for kept_list, new_list in alike.values():
                (self.multi_avg_fn or get_swa_multi_avg_fn())(kept_list, new_list, self.n_averaged)
        if not self.use_buffers:
            for kept, value in zip(self.module.buffers(), model.buffers(), strict=True):
                kept.copy_(value)
        self.n_averaged += 1

    def _values(self, model: Module) -> list[Tensor]:
        """What is averaged of a model, as tensors that autograd does not see."""
        buffers = model.buffers() if self.use_buffers else ()
        return [value.detach() for value in itertools.chain(model.parameters(), buffers)]


@no_grad()
def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Measure the statistics of a model's batch norms anew, in one pass over data.

    Args:
        loader: batches, tensors or sequences that begin with one.
        model: the model; it is called in training mode, and left in the mode it was in.
        device: where the batches go.

    >>> import tapegrad as torch
    >>> model = torch.nn.BatchNorm1d(1)
    >>> torch.optim.swa_utils.update_bn([torch.tensor([[1.0], [3.0]]), torch.tensor([[3.0], [5.0]])], model)
    >>> model.running_mean
    tensor([3.])
    """
    momenta = {}
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.reset_running_stats()
            momenta[module] = module.momentum
    if not momenta:
        return
    was_training = model.training
    model.train()
    for module in momenta:
        module.momentum = None  # equal weights for all batches
    for batch in loader:
        x = batch[0] if isinstance(batch, (list, tuple)) else batch
        model(x if device is None else x.to(device))
    for module, momentum in momenta.items():
        module.momentum = momentum
    model.train(was_training)


class SWALR(LRScheduler):
    """Go from the optimizer's rates to fixed ones, for the time in which parameters are averaged.

    lr = swa_lr * a + lr0 * (1 - a), with a = t or (1 - cos(pi * t)) / 2, t from 0 to 1 in `anneal_epochs` steps. Each
    step starts from the current rate, so that the schedule can take over from another one.

    Args:
        optimizer: whose rates are set.
        swa_lr: the last rate, or one for each group.
        anneal_epochs: the number of steps on the way.
        anneal_strategy: "cos" or "linear".
        last_epoch: the number of steps made before; -1 starts.

    Raises:
        ValueError: `anneal_epochs` is no number of steps, or the strategy is unknown.

    Source: Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization" (2018).

    >>> import tapegrad as torch
    >>> optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=1.0)
    >>> scheduler = torch.optim.swa_utils.SWALR(optimizer, swa_lr=0.5, anneal_epochs=2, anneal_strategy="linear")
    >>> for _ in range(4):
    ...     print(scheduler.get_last_lr())
    ...     optimizer.step()
    ...     scheduler.step()
    [1.0]
    [0.75]
    [0.5]
    [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float,
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        for rate, group in zip(for_each_group("swa_lr", optimizer, swa_lr), optimizer.param_groups):
            group["swa_lr"] = rate
        if anneal_strategy not in ("cos", "linear"):
            what = "SWALR: unknown anneal_strategy"
            raise ValueError(message(what, got=repr(anneal_strategy), expected="'cos' or 'linear'"))
        self._anneal_strategy = anneal_strategy
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            what, expected = "SWALR: anneal_epochs is a number of steps", "an int that is not negative"
            raise ValueError(message(what, got=anneal_epochs, expected=expected))
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Rate]:
        """The rates of the next step."""
        self._check_caller()
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self.anneal_func(self._done(step - 1)), self.anneal_func(self._done(step))
        rates = []
        for group in self.optimizer.param_groups:
            rate, last = group["lr"], group["swa_lr"]
            first = last if before == 1 else (rate - before * last) / (1 - before)  # where the way began
            rates.append(last * now + first * (1 - now))
        return rates

    def anneal_func(self, t: float) -> float:
        """How much of the last rate is in the mixture when the part t of the way is done."""
        return (1 - math.cos(math.pi * t)) / 2 if self._anneal_strategy == "cos" else t

    def _done(self, step: int) -> float:
        return max(0, min(1, step / max(1, self.anneal_epochs)))
