"""Reading: from what the sampler gives, a key or a list of keys, to what the loader gives, a sample or a batch.

One reader serves one pass over a dataset. It is the same code in the calling thread, a worker thread and a worker
process; `Plan` is what it needs of the loader, small enough to be sent to a process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .collate import is_default
from .dataset import batch_reader


@dataclass
class Plan:
    """How to read: the dataset, what makes a batch of samples, and the loader's options that matter for it."""

    dataset: Any
    collate_fn: Callable[[Any], Any]
    is_stream: bool  # an iterable dataset
    batched: bool
    drop_last: bool


class Stopped(Exception):
    """Nobody wants the batch any more."""


class StopSign:
    """Set by the one who closes the workers, looked at between two samples."""

    up = False


_NEVER = StopSign()


def make_reader(plan: Plan, dataset: Any, stop: StopSign = _NEVER) -> Reader:
    """What reads `dataset`, the plan's or a worker's copy of it."""
    kind = StreamReader if plan.is_stream else BatchReader if plan.batched else SampleReader
    return kind(plan, dataset, stop)


def makes_batches(plan: Plan) -> bool:
    """Whether the dataset makes the batches by itself."""
    if plan.is_stream or not plan.batched or not is_default(plan.collate_fn):
        return False
    make = batch_reader(plan.dataset)
    return make is not None and make([]) is not NotImplemented


class Reader:
    """Called with keys, gives a batch."""

    def __init__(self, plan: Plan, dataset: Any, stop: StopSign):
        self._dataset, self._collate, self._stop = dataset, plan.collate_fn, stop

    def __call__(self, keys: Any) -> Any:
        raise NotImplementedError


class SampleReader(Reader):
    """Single samples of a map dataset."""

    def __call__(self, keys: Any) -> Any:
        return self._collate(self._dataset[keys])


class BatchReader(Reader):
    """Batches of a map dataset; whole ones from the dataset where it can make them."""

    def __init__(self, plan: Plan, dataset: Any, stop: StopSign):
        super().__init__(plan, dataset, stop)
        self._batch = batch_reader(dataset) if is_default(self._collate) else None
        self._many = getattr(dataset, "__getitems__", None)

    def __call__(self, keys: Any) -> Any:
        if self._batch is not None and type(keys) is list:
            batch = self._batch(keys)
            if batch is not NotImplemented:
                return batch
        if self._many:
            return self._collate(self._many(keys))
        samples = []
        for key in keys:
            if self._stop.up:
                raise Stopped
            samples.append(self._dataset[key])
        return self._collate(samples)


class StreamReader(Reader):
    """Batches, or samples, of an iterable dataset."""

    def __init__(self, plan: Plan, dataset: Any, stop: StopSign):
        super().__init__(plan, dataset, stop)
        self._samples = iter(dataset)
        self._drop_last = plan.drop_last
        self._batched = plan.batched
        self._ended = False

    def __call__(self, keys: Any) -> Any:
        if not self._batched:
            return self._collate(next(self._samples))
        samples: list[Any] = []
        while len(samples) < len(keys) and not self._ended:
            if self._stop.up:
                raise Stopped
            try:
                samples.append(next(self._samples))
            except StopIteration:
                self._ended = True
        if not samples or (self._drop_last and len(samples) < len(keys)):
            raise StopIteration
        return self._collate(samples)
