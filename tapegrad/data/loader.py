"""`DataLoader`: batches of a dataset, in the order of a sampler.

The invariant: for the same seed the batches are PyTorch's, and so is the state of every random stream after each of
them. An iteration first draws one number from `generator` or the default stream (the seed that workers would get,
drawn without workers too); the sampler draws when its first keys are asked for, see `sampler.py`.

Reference: PyTorch documentation, `torch.utils.data`.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from ..errors import message
from ..ops.random.draws import Generator
from .collate import default_collate, default_convert
from .dataset import Dataset, IterableDataset
from .iteration import Crew, LoaderIterator, WorkerIterator
from .progress import Draws, Progress, from_state
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler
from .worker import is_stateful

T_co = TypeVar("T_co", covariant=True)

_FIXED = frozenset({"batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers"})


class DataLoader(Generic[T_co]):
    """Iterate over a dataset in batches.

    Args:
        dataset: a map dataset (`dataset[i]`) or an `IterableDataset`.
        batch_size: samples in a batch; None gives the samples themselves.
        shuffle: a new random order in each iteration.
        sampler: an iterable of keys, instead of `shuffle`.
        batch_sampler: an iterable of lists of keys, instead of `batch_size`, `shuffle`, `sampler` and `drop_last`.
        num_workers: how many workers read ahead, at the same time. Samples, their order and the random streams are
            those of PyTorch's worker processes, whatever kind of worker reads.
        collate_fn: makes a batch of a list of samples; `default_collate`, or `default_convert` without batches.
        pin_memory: warns that there is no accelerator whose transfers this would make faster.
        drop_last: leave out a shorter last batch.
        timeout: seconds to wait for a batch of a worker; 0 waits as long as it takes.
        worker_init_fn: called in each worker, with its number, before it reads its first batch.
        multiprocessing_context: what workers are: "thread" (None is the same), "process" (threads where processes
            cannot be forked), or a way to start processes: "fork", "spawn", "forkserver", a context of the module
            `multiprocessing`. Threads start at once and share memory; they read in parallel where NumPy, Pillow, zlib
            or a file releases Python's lock. Processes suit datasets that are Python code.
        generator: source of the shuffle and of the workers' seeds; None is the default stream.
        prefetch_factor: batches that each worker is asked for in advance (2): so far ahead keys are drawn.
        persistent_workers: keep workers, their datasets and streams, from one iteration to the next.
        pin_memory_device: accepted for compatibility.
        in_order: give batches in the sampler's order; False gives them as they are ready.

    Raises:
        ValueError: options that contradict each other or are out of range.
        TypeError: `multiprocessing_context` is not a context.
        AssertionError: on iteration, `timeout` without workers.
        RuntimeError: on iteration, a worker process has ended or none gave a batch in time. An exception in a worker is
            raised where the batch would have come, with the worker's traceback; all workers have ended then.

    >>> import tapegrad as torch
    >>> data = torch.utils.data.TensorDataset(torch.arange(5), torch.arange(5) * 10)
    >>> generator = torch.Generator().manual_seed(0)
    >>> for x, y in torch.utils.data.DataLoader(data, batch_size=2, shuffle=True, generator=generator):
    ...     print(x, y)
    tensor([3, 1]) tensor([30, 10])
    tensor([0, 4]) tensor([ 0, 40])
    tensor([2]) tensor([20])
    """

    dataset: Dataset[T_co]
    batch_size: int | None
    sampler: Iterable
    batch_sampler: Iterable | None
    _ready = False

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Sampler | Iterable | None = None,
        batch_sampler: Sampler | Iterable | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers)
        self._is_stream = isinstance(dataset, IterableDataset)
        if self._is_stream:
            _check_stream(shuffle, sampler, batch_sampler)
        _check_order(batch_size, bool(shuffle), sampler, batch_sampler, drop_last)
        if sampler is None:
            sampler = self._default_sampler(dataset, bool(shuffle), generator)
        if batch_sampler is not None:
            batch_size = None
        elif batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)

        self.dataset = dataset
        self.batch_size = batch_size
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.drop_last = drop_last
        self.generator = generator
        self.collate_fn = collate_fn or (default_convert if batch_sampler is None else default_collate)
        self.num_workers = num_workers
        self.prefetch_factor = 2 if num_workers > 0 and prefetch_factor is None else prefetch_factor
        self.persistent_workers = persistent_workers
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.in_order = in_order
        self._said_length: int | None = None
        self._draws = Draws(generator, (sampler, batch_sampler), self._is_stream)
        self._progress: Progress | None = None  # of the pass that was begun last
        self._state: tuple[Progress, list[Any]] | None = None  # what the next pass continues
        self._crew: Crew | None = None  # persistent workers
        self._ready = True

    def _default_sampler(self, dataset: Any, shuffle: bool, generator: Generator | None) -> Iterable:
        if self._is_stream:
            return _Endless()
        return RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)

    def __setattr__(self, name: str, value: Any) -> None:
        if self._ready and name in _FIXED:
            text = f"DataLoader: {name} cannot be changed once the loader is made"
            raise ValueError(message(text, fix="make a new DataLoader"))
        super().__setattr__(name, value)

    @property
    def multiprocessing_context(self) -> Any:
        """What workers are, as it was given."""
        return self._context

    @multiprocessing_context.setter
    def multiprocessing_context(self, context: Any) -> None:
        _check_context(context, self.num_workers)
        self._context = context

    def state_dict(self) -> dict[str, Any]:
        """Where the loader is, for `load_state_dict` of a loader made alike, in this program or in another one.

        In the middle of a pass that means: which batches were given, and the random streams of the caller and the
        workers. An iterable dataset that has methods `state_dict` and `load_state_dict` is asked for its own state (of
        each worker's copy); any other is read again from its start when the pass is continued.

        >>> import tapegrad as torch
        >>> def loader():
        ...     return torch.utils.data.DataLoader(range(6), batch_size=2, shuffle=True)
        >>> first, second = loader(), loader()
        >>> batches = iter(first)
        >>> _ = next(batches)
        >>> second.load_state_dict(first.state_dict())
        >>> all(torch.equal(a, b) for a, b in zip(batches, second))
        True
        """
        if self._state is not None:
            progress, now = self._state
            return progress.state(now, (progress.datasets or [None])[0])
        progress = self._progress or Progress()
        asked = self._is_stream and is_stateful(self.dataset) and not progress.marks and progress.given > 0
        return progress.state(self._draws.now(), self.dataset.state_dict() if asked else None)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Let the next iteration go on where `state_dict` was called.

        When it begins, it puts the default stream, `random`, `numpy.random` and the loader's generators where they were
        then: this pass and the ones after it give what they would have given.

        Args:
            state_dict: what `state_dict` returned.

        Raises:
            ValueError: it is no such state; on iteration: it is the one of a loader with other generators, or of an
                iterable dataset with another number of workers.
        """
        self._state = from_state(state_dict)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_crew": None, "_progress": None}

    @property
    def _keys(self) -> Iterable:
        """What one step reads: lists of keys, or single keys without batches."""
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def __iter__(self) -> Iterator[Any]:
        state, self._state = self._state, None
        if self._crew is not None and (state is not None or self._crew.ended):
            self._crew.end()
            self._crew, self._progress = None, None
        return (WorkerIterator if self.num_workers > 0 else LoaderIterator)(self, state)

    def __len__(self) -> int:
        """The number of batches; for an iterable dataset what its `__len__` implies."""
        if not self._is_stream:
            return len(self._keys)
        n = self._said_length = len(self.dataset)
        if self.batch_size is None:
            return n
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)


class _Endless(Sampler[None]):
    """The keys of an iterable dataset: it takes none, and says itself when it ends."""

    def __iter__(self) -> Iterator[None]:
        while True:
            yield None


# ---- checks of the options -----------------------------------------------------------------------------------


def _check_workers(num_workers: int, timeout: float, prefetch_factor: int | None, persistent_workers: bool) -> None:
    if num_workers < 0:
        raise ValueError(message("DataLoader: num_workers cannot be negative", got=num_workers))
    if timeout < 0:
        raise ValueError(message("DataLoader: timeout cannot be negative", got=timeout))
    if prefetch_factor is not None and num_workers == 0:
        text = "DataLoader: prefetch_factor has no meaning without workers"
        raise ValueError(message(text, got=prefetch_factor, fix="prefetch_factor=None, or num_workers > 0"))
    if prefetch_factor is not None and prefetch_factor < 0:
        raise ValueError(message("DataLoader: prefetch_factor cannot be negative", got=prefetch_factor))
    if persistent_workers and num_workers == 0:
        text = "DataLoader: persistent_workers has no meaning without workers"
        raise ValueError(message(text, fix="persistent_workers=False, or num_workers > 0"))


def _check_stream(shuffle: Any, sampler: Any, batch_sampler: Any) -> None:
    """An iterable dataset has its own order."""
    if shuffle not in (False, None):
        given = f"shuffle={shuffle}"
    elif sampler is not None:
        given = f"sampler={sampler}"
    elif batch_sampler is not None:
        given = f"batch_sampler={batch_sampler}"
    else:
        return
    text = "DataLoader: an iterable dataset decides its order itself"
    raise ValueError(message(text, got=given, fix="leave it out, and order the samples in the dataset's __iter__"))


def _check_order(batch_size: Any, shuffle: bool, sampler: Any, batch_sampler: Any, drop_last: bool) -> None:
    if sampler is not None and shuffle:
        text = "DataLoader: sampler and shuffle both say the order"
        raise ValueError(message(text, fix="give one of them"))
    if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
        text = "DataLoader: batch_sampler already says what batch_size, shuffle, sampler and drop_last would say"
        raise ValueError(message(text, fix="give batch_sampler alone"))
    if batch_sampler is None and batch_size is None and drop_last:
        text = "DataLoader: drop_last has no meaning without batches"
        raise ValueError(message(text, got="batch_size=None, drop_last=True"))


def _check_context(context: Any, num_workers: int) -> None:
    """A context is "thread", "process", a name of a way to start processes, or an object of `multiprocessing`."""
    if context is None:
        return
    if num_workers == 0:
        text = "DataLoader: multiprocessing_context has no meaning without workers"
        raise ValueError(message(text, got=repr(context), fix="num_workers > 0"))
    names = ("thread", "process", *multiprocessing.get_all_start_methods())
    if isinstance(context, str) and context not in names:
        text = "DataLoader: there are no such workers"
        raise ValueError(message(text, got=repr(context), expected=", ".join(names)))
    if not isinstance(context, str) and not hasattr(context, "get_start_method"):
        text = "DataLoader: multiprocessing_context must be a context or a name"
        raise TypeError(message(text, got=type(context).__name__, expected=", ".join(names)))
