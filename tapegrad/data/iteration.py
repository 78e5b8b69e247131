"""One pass over a `DataLoader`: in the calling thread, or with workers. How it is continued: see `progress.py`."""

from __future__ import annotations

import multiprocessing
import warnings
import weakref
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..errors import message
from .pools import Failure, make_pool
from .progress import Progress
from .reading import Plan, make_reader
from .sampler import draw_seed
from .worker import Job, Result, Task

if TYPE_CHECKING:
    from .loader import DataLoader


class LoaderIterator:
    """One pass over a loader without workers.

    Args:
        loader: the loader.
        state: a pass to continue and where the caller's streams were, or None.
    """

    def __init__(self, loader: DataLoader, state: tuple[Progress, list[Any]] | None):
        self._loader = loader
        if loader.pin_memory:
            text = "DataLoader: pin_memory=True does nothing here, there is no accelerator to copy to"
            warnings.warn(text, stacklevel=3)
        draws = loader._draws
        continued = state is not None and state[0].start is not None and not state[0].finished
        if state is not None:
            draws.go(state[0].start if continued else state[1])
        if continued:
            progress = state[0]
        else:
            progress = self._after(loader._progress if state is None else state[0])
            progress.start = draws.start()
        if continued and loader._is_stream and progress.given and len(progress.marks) != loader.num_workers:
            text = "DataLoader: a pass over an iterable dataset can only be continued with as many workers"
            raise ValueError(message(text, got=loader.num_workers, expected=len(progress.marks)))
        self._progress = loader._progress = progress
        self._keys, self._said_length = iter(loader._keys), loader._said_length
        if progress.drew_seed:
            seed = draw_seed(loader.generator)
            progress.base_seed = progress.base_seed if continued else seed
        self._start()
        if continued:
            draws.go(state[1])

    def _after(self, before: Progress | None) -> Progress:
        """A new pass."""
        return Progress()

    def _start(self) -> None:
        """Make ready to read, the streams being where the pass began; skip what was given."""
        loader, progress = self._loader, self._progress
        if loader.timeout != 0:
            text = "DataLoader: timeout has no meaning without workers"
            raise AssertionError(message(text, got=loader.timeout, fix="timeout=0, or num_workers > 0"))
        dataset = progress.datasets[0] if progress.datasets else None
        if dataset is not None:
            loader.dataset.load_state_dict(dataset)
        self._read = make_reader(plan_of(loader), loader.dataset)
        for _ in range(progress.given):
            keys = next(self._keys)
            if loader._is_stream and dataset is None:
                self._read(keys)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __len__(self) -> int:
        return len(self._loader._keys)

    def __next__(self) -> Any:
        progress = self._progress
        try:
            batch = self._next()
        except StopIteration:
            progress.finished = True
            raise
        progress.given += 1
        if self._said_length is not None and progress.given > self._said_length and self._loader._is_stream:
            warnings.warn(
                f"{type(self._loader.dataset).__name__}: its __len__ said {self._said_length}, when len(loader) was "
                f"asked for, but {progress.given} batches have been read",
                stacklevel=2,
            )
        return batch

    def _next(self) -> Any:
        return self._read(next(self._keys))

    def __getstate__(self) -> Any:
        raise NotImplementedError(
            message("the iterator of a DataLoader cannot be pickled", fix="pickle the DataLoader")
        )


class WorkerIterator(LoaderIterator):
    """One pass with workers that read ahead.

    Each worker is asked for `prefetch_factor` batches in advance; when a batch is given, one more is asked for. Batch k
    goes to worker k mod n, or to the next one that still has samples (an iterable dataset may end earlier in one).
    """

    def _after(self, before: Progress | None) -> Progress:
        if not self._loader.persistent_workers or before is None or before.start is None:
            return Progress()
        if self._loader._crew is not None:
            self._loader._crew.settle(before.marks)
        marks = before.marks  # the same workers go on: no seed is drawn
        return Progress(None, False, before.base_seed, first_marks=list(marks), marks=list(marks))

    def _start(self) -> None:
        loader, progress = self._loader, self._progress
        self._timeout, self._in_order = loader.timeout, loader.in_order
        stateful = any(dataset is not None for dataset in progress.datasets)
        again = progress.given if loader._is_stream and not stateful else 0  # batches to read once more
        progress.for_workers(loader._crew.count if loader._crew else loader.num_workers)
        self._crew = crew = loader._crew or self._hire(again > 0)
        if loader.persistent_workers:
            loader._crew = crew
        crew.epoch = self._epoch = crew.epoch + 1
        self._number = 0 if again else progress.given - len(progress.ahead)  # of the next batch
        self._last = progress.last if loader._is_stream else (self._number - 1) % crew.count  # who was asked last
        self._left_out = set(progress.ahead)
        for _ in range(self._number):
            next(self._keys)
        if again:
            progress.given, progress.last, self._last, progress.ended = 0, -1, -1, set()
        for _ in range((loader.prefetch_factor or 0) * crew.count):
            self._ask()
        for _ in range(again):
            self._next()
        progress.given += again

    def _hire(self, again: bool) -> Crew:
        """Start the workers and send them where they were."""
        loader, progress = self._loader, self._progress
        count = loader.num_workers
        job = Job(plan_of(loader), count, progress.base_seed, loader.worker_init_fn)
        context = context_of(loader.multiprocessing_context)
        batches = (loader.prefetch_factor or 0) * count
        crew = Crew(make_pool(job, batches + 1, context), count)
        marks = progress.first_marks if again else progress.marks
        for worker, (mark, dataset) in enumerate(zip(marks, progress.datasets)):
            if mark is not None or dataset is not None:
                crew.pool.send(worker, Task(-1, -1, None, mark, dataset))
        return crew

    def _ask(self) -> None:
        """Give the next keys to the next worker that still has something to read."""
        crew, ended = self._crew, self._progress.ended
        while (keys := next(self._keys, _NO_KEYS)) is not _NO_KEYS:
            circle = [(self._last + step) % crew.count for step in range(1, crew.count + 1)]
            workers = [worker for worker in circle if worker not in ended]
            if not workers:
                return
            number, self._number = self._number, self._number + 1
            self._last = workers[0] if self._in_order else min(workers, key=crew.load)
            if number not in self._left_out:
                crew.ask(self._last, Task(self._epoch, number, keys))
                return

    def _next(self) -> Any:
        crew, progress = self._crew, self._progress
        while crew.epoch == self._epoch and crew.order:
            worker, result = crew.take(self._in_order, self._timeout)
            if result.kind == "error":
                crew.end()
                raise_from_worker(result.value, worker)
            if result.kind == "end":
                if worker not in progress.ended:
                    progress.ended.add(worker)
                    self._ask()
                continue
            self._ask()
            progress.marks[worker], progress.datasets[worker] = result.mark, result.dataset
            progress.last = worker
            if not self._in_order:
                first = crew.order[0] if crew.order else self._number
                progress.ahead = {number for number in (*progress.ahead, result.number) if number > first}
            return result.value
        if not self._loader.persistent_workers:
            crew.end()
        raise StopIteration


_NO_KEYS = object()


class Crew:
    """Workers, and what they were asked for and have not been relieved of yet."""

    def __init__(self, pool: Any, count: int):
        self.pool, self.count, self.epoch = pool, count, -1
        self.order: deque[int] = deque()  # numbers of the batches that were asked for
        self._workers: dict[int, int] = {}  # who was asked for them
        self._here: dict[int, Result] = {}  # those of them that have come
        self._finalizer = weakref.finalize(self, pool.close)

    @property
    def ended(self) -> bool:
        """Whether the workers are gone."""
        return not self._finalizer.alive

    def end(self, patience: float | None = None) -> None:
        """End the workers."""
        if self._finalizer.detach() is not None:
            self.pool.close(*([] if patience is None else [patience]))
        self.order.clear()
        self._here.clear()

    def load(self, worker: int) -> int:
        """How many batches a worker has been asked for."""
        return sum(self._workers[number] == worker for number in self.order)

    def ask(self, worker: int, task: Task) -> None:
        """Give a task to a worker."""
        self.order.append(task.number)
        self._workers[task.number] = worker
        self.pool.send(worker, task)

    def take(self, in_order: bool, timeout: float) -> tuple[int, Result]:
        """The result of the first task, or of any, and whose it is."""
        while (self.order[0] not in self._here) if in_order else not self._here:
            result = self._receive(timeout)
            self._here[result.number] = result
        number = self.order[0] if in_order else next(iter(self._here))
        self.order.remove(number)
        return self._workers.pop(number), self._here.pop(number)

    def _receive(self, timeout: float) -> Result:
        try:
            return self.pool.receive(timeout)
        except TimeoutError:
            self.end(patience=0)
            raise RuntimeError(
                message(f"DataLoader timed out after {timeout} seconds", fix="a longer timeout=")
            ) from None
        except BaseException:  # Ctrl-C, the end of a worker
            self.end()
            raise

    def settle(self, marks: list[Any]) -> None:
        """Wait for what is left of a pass, and note where the streams are."""
        while self.order:
            worker, result = self.take(True, 0)
            marks[worker] = result.mark or marks[worker]


class WorkerError(Exception):
    """The traceback of an exception in a worker process, as text."""

    def __str__(self) -> str:
        return f"\n\n{self.args[0]}"


def raise_from_worker(error: Any, worker: int) -> None:
    """Raise what was raised in a worker: from a thread with its own traceback, from a process with its text."""
    cause = None
    if isinstance(error, Failure):
        error, cause = error.error, WorkerError(error.text)
    if hasattr(error, "add_note"):
        error.add_note(f"raised in DataLoader worker {worker}")
    if cause is not None:
        raise error from cause
    raise error


def plan_of(loader: DataLoader) -> Plan:
    """What readers need to know of the loader."""
    batched = loader.batch_sampler is not None
    return Plan(loader.dataset, loader.collate_fn, loader._is_stream, batched, loader.drop_last)


def context_of(given: Any) -> Any:
    """The `multiprocessing` context for processes, None for threads."""
    if given is None or given == "thread":
        return None
    if given == "process":
        return multiprocessing.get_context("fork") if "fork" in multiprocessing.get_all_start_methods() else None
    return multiprocessing.get_context(given) if isinstance(given, str) else given
