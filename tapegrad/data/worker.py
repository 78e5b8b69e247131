"""Workers: the parts that `num_workers` > 0 divides the reading into.

Note [Workers take turns]: batches are read in the calling process, one after the other. What a program can see of
PyTorch's worker processes is kept: batch k is read by worker k mod num_workers; each worker has its own copy of the
dataset object (a shallow one: attributes are its own, arrays are shared) and its own random streams, which start
from `base_seed + worker id`; `get_worker_info()` answers inside a worker; `worker_init_fn` runs once in each; and the
streams of the caller do not move while a worker reads. Order and values of the samples are therefore PyTorch's, and an
exception comes as it was raised.

The streams of worker w: tapegrad's default generator and `random` are seeded with s = base_seed + w, `numpy.random`
with the four words of `SeedSequence([w, base_seed mod 2**32, base_seed // 2**32, 0])`.
"""

from __future__ import annotations

import contextlib
import copy
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..ops.random import default_generator


@dataclass(frozen=True)
class WorkerInfo:
    """Who reads: worker `id` of `num_workers`, its `seed`, and its copy of the `dataset`."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


class _Reading:
    """Whose turn it is."""

    worker: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """The worker that is reading now, or None outside one.

    >>> import tapegrad as torch
    >>> torch.utils.data.get_worker_info() is None
    True
    >>> class Half(torch.utils.data.IterableDataset):
    ...     def __iter__(self):
    ...         info = torch.utils.data.get_worker_info()
    ...         return iter(range(info.id, 4, info.num_workers))
    >>> [x.item() for x in torch.utils.data.DataLoader(Half(), num_workers=2)]
    [0, 1, 2, 3]
    """
    return _Reading.worker


class Worker:
    """One worker: its dataset, its streams, and `with worker:` for its turn."""

    def __init__(self, number: int, count: int, base_seed: int, dataset: Any, init: Callable[[int], None] | None):
        self.info = WorkerInfo(number, count, base_seed + number, _own_copy(dataset))
        self._init = init
        self._streams = _seeded_streams(base_seed, number)

    @contextlib.contextmanager
    def turn(self) -> Iterator[Any]:
        """Swap this worker's streams in; gives its dataset."""
        caller, outer = _streams(), _Reading.worker
        _set_streams(self._streams)
        _Reading.worker = self.info
        try:
            if self._init is not None:
                init, self._init = self._init, None
                init(self.info.id)
            yield self.info.dataset
        finally:
            _Reading.worker = outer
            self._streams = _streams()
            _set_streams(caller)


def _own_copy(dataset: Any) -> Any:
    """A shallow copy, or the dataset itself if it is of a kind that cannot be copied (an open file, say)."""
    try:
        return copy.copy(dataset)
    except (TypeError, copy.Error, NotImplementedError):
        return dataset


def _streams() -> tuple:
    """The states of the three streams."""
    return default_generator.get_state(), random.getstate(), np.random.get_state()


def _set_streams(states: tuple) -> None:
    default_generator.set_state(states[0])
    random.setstate(states[1])
    np.random.set_state(states[2])


def _seeded_streams(base_seed: int, number: int) -> tuple:
    """The states that a worker begins with."""
    caller = _streams()
    try:
        default_generator.manual_seed(base_seed + number)
        random.seed(base_seed + number)
        words = np.random.SeedSequence([number, base_seed & 0xFFFFFFFF, base_seed >> 32, 0])
        np.random.seed(words.generate_state(4))
        return _streams()
    finally:
        _set_streams(caller)
