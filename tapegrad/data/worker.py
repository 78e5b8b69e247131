"""Workers: what `num_workers` > 0 divides the reading into.

Batch k is read by worker k mod num_workers. Each worker has its own copy of the dataset object (in a thread a shallow
one: attributes are its own, arrays are shared) and its own random streams, see `streams.py`; `worker_init_fn` runs
once in each, and the streams of the caller do not move while workers read. So samples and their order are PyTorch's,
whatever workers are; `pools.py` starts them and talks to them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from .reading import Plan, Reader, Stopped, StopSign, make_reader
from .streams import Streams


@dataclass(frozen=True)
class WorkerInfo:
    """Who reads: worker `id` of `num_workers`, its `seed`, and its copy of the `dataset`."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


_info: ContextVar[WorkerInfo | None] = ContextVar("tapegrad_worker", default=None)


def get_worker_info() -> WorkerInfo | None:
    """The worker that is reading here, or None outside one.

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
    return _info.get()


class Task(NamedTuple):
    """Read batch `number` of pass `epoch`; -1: go to the states `streams` and `dataset`, where there are any."""

    epoch: int
    number: int
    keys: Any
    streams: Any = None
    dataset: Any = None


class Result(NamedTuple):
    """What became of a task: a batch, the end of an iterable dataset, or an exception.

    `mark` is where the worker's streams are afterwards, `dataset` the state of a dataset that has a `state_dict`.
    """

    epoch: int
    number: int
    kind: str  # "batch", "end", "error"
    value: Any
    mark: Any = None
    dataset: Any = None


@dataclass
class Job:
    """What all workers of a loader are told when they start."""

    plan: Plan
    count: int
    base_seed: int
    init: Callable[[int], None] | None


class Worker:
    """One worker, living in the context (a thread's, or one of its own) in which it was made.

    Args:
        job: what to do.
        number: which worker this is.
        streams: its random streams, seeded already.
        stop: looked at between two samples.
    """

    def __init__(self, job: Job, number: int, streams: Streams, stop: StopSign):
        self._plan, self._streams, self._stop = job.plan, streams, stop
        self._dataset = job.plan.dataset
        self._reader: Reader | None = None
        self._epoch = -1
        self._failure: BaseException | None = None
        _info.set(WorkerInfo(number, job.count, job.base_seed + number, self._dataset))
        try:
            if job.init is not None:
                job.init(number)
        except BaseException as error:
            self._failure = error

    def work(self, task: Task) -> Result | None:
        """Do a task; None if it has no result."""
        if task.number < 0:
            self._go_to(task)
            return None
        try:
            if self._failure is not None:
                raise self._failure
            if self._reader is None or task.epoch != self._epoch:
                self._reader, self._epoch = make_reader(self._plan, self._dataset, self._stop), task.epoch
            batch = self._reader(task.keys)
            stateful = self._plan.is_stream and is_stateful(self._dataset)
            state = self._dataset.state_dict() if stateful else None
            return Result(task.epoch, task.number, "batch", batch, self._streams.mark(), state)
        except Stopped:
            return None
        except BaseException as error:
            ended = self._plan.is_stream and isinstance(error, StopIteration)
            return Result(task.epoch, task.number, *(("end", None) if ended else ("error", error)))

    def _go_to(self, task: Task) -> None:
        if task.streams is not None:
            self._streams.set_state(task.streams)
        if task.dataset is not None:
            self._dataset.load_state_dict(task.dataset)


def serve(worker: Worker, receive: Callable[[], Task | None], send: Callable[[Result], None]) -> None:
    """The life of a worker: tasks, until there is None."""
    while (task := receive()) is not None:
        result = worker.work(task)
        if result is not None:
            send(result)
        task = result = None  # the batch is not ours any more


def is_stateful(dataset: Any) -> bool:
    """Whether an iterable dataset can say where it is and go back there."""
    return hasattr(dataset, "state_dict") and hasattr(dataset, "load_state_dict")


def with_own_dataset(job: Job) -> Job:
    """The job with a shallow copy of its dataset; the same if it is of a kind that cannot be copied (an open file)."""
    try:
        return replace(job, plan=replace(job.plan, dataset=copy.copy(job.plan.dataset)))
    except (TypeError, copy.Error, NotImplementedError):
        return job
