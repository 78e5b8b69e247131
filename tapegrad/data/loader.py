"""`DataLoader`: batches of a dataset, in the order of a sampler.

The invariant: for the same seed the batches are PyTorch's, and so is the state of every random stream after each of
them. An iteration first draws one number from `generator` or the default stream (the seed that workers would get,
drawn without workers too); the sampler draws when its first keys are asked for, see `sampler.py`.

Reference: PyTorch documentation, `torch.utils.data`.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from ..errors import message
from ..ops.random import Generator
from .collate import default_collate, default_convert, is_default
from .dataset import Dataset, IterableDataset, batch_reader
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler, draw_seed
from .worker import Worker

T_co = TypeVar("T_co", covariant=True)

_FIXED = frozenset({"batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers"})
_START_METHODS = ("fork", "spawn", "forkserver")


class DataLoader(Generic[T_co]):
    """Iterate over a dataset in batches.

    Args:
        dataset: a map dataset (`dataset[i]`) or an `IterableDataset`.
        batch_size: samples in a batch; None gives the samples themselves.
        shuffle: a new random order in each iteration.
        sampler: an iterable of keys, instead of `shuffle`.
        batch_sampler: an iterable of lists of keys, instead of `batch_size`, `shuffle`, `sampler` and `drop_last`.
        num_workers: how many workers divide the reading. They take turns in the calling process: samples, their order
            and the random streams are those of PyTorch's worker processes, but nothing is read in parallel.
        collate_fn: makes a batch of a list of samples; `default_collate`, or `default_convert` without batches.
        pin_memory: warns that there is no accelerator whose transfers this would make faster.
        drop_last: leave out a shorter last batch.
        timeout: seconds to wait for a worker; accepted with workers, who never make one wait for another process.
        worker_init_fn: called with the worker's number before it reads its first batch.
        multiprocessing_context: how processes would be started; checked, otherwise unused.
        generator: source of the shuffle and of the workers' seeds; None is the default stream.
        prefetch_factor: batches that each worker is asked for in advance (2): so far ahead keys are drawn.
        persistent_workers: keep workers, their datasets and streams, from one iteration to the next.
        pin_memory_device: accepted for compatibility.
        in_order: accepted for compatibility: batches always come in order.

    Raises:
        ValueError: options that contradict each other or are out of range.
        TypeError: `multiprocessing_context` is not a context.
        AssertionError: on iteration, `timeout` without workers.

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
        self._streams_in = isinstance(dataset, IterableDataset)
        if self._streams_in:
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
        self._kept: _WorkerIterator | None = None
        self._ready = True

    def _default_sampler(self, dataset: Any, shuffle: bool, generator: Generator | None) -> Iterable:
        if self._streams_in:
            return _Endless()
        return RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)

    def __setattr__(self, name: str, value: Any) -> None:
        if self._ready and name in _FIXED:
            text = f"DataLoader: {name} cannot be changed once the loader is made"
            raise ValueError(message(text, fix="make a new DataLoader"))
        super().__setattr__(name, value)

    @property
    def multiprocessing_context(self) -> Any:
        """How worker processes would be started, as it was given."""
        return self._context

    @multiprocessing_context.setter
    def multiprocessing_context(self, context: Any) -> None:
        _check_context(context, self.num_workers)
        self._context = context

    @property
    def _keys(self) -> Iterable:
        """What one step reads: lists of keys, or single keys without batches."""
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def __iter__(self) -> Iterator[Any]:
        if self.num_workers == 0:
            return _LoaderIterator(self)
        if not self.persistent_workers:
            return _WorkerIterator(self)
        if self._kept is None:
            self._kept = _WorkerIterator(self)
        else:
            self._kept.restart()
        return self._kept

    def __len__(self) -> int:
        """The number of batches; for an iterable dataset what its `__len__` implies."""
        if not self._streams_in:
            return len(self._keys)
        n = self._said_length = len(self.dataset)
        if self.batch_size is None:
            return n
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)


# ---- one iteration -------------------------------------------------------------------------------------------


class _LoaderIterator:
    """One pass over a loader without workers."""

    def __init__(self, loader: DataLoader):
        self._loader = loader
        if loader.pin_memory:
            text = "DataLoader: pin_memory=True does nothing here, there is no accelerator to copy to"
            warnings.warn(text, stacklevel=3)
        self._begin()
        self._base_seed = draw_seed(loader.generator)
        self._start()

    def _begin(self) -> None:
        """Forget the last pass, if there was one."""
        self._keys = iter(self._loader._keys)
        self._said_length = self._loader._said_length
        self._given = 0

    def _start(self) -> None:
        """Make ready to read, once the seed is drawn."""
        if self._loader.timeout != 0:
            text = "DataLoader: timeout has no meaning without workers"
            raise AssertionError(message(text, got=self._loader.timeout, fix="timeout=0, or num_workers > 0"))
        self._read = _reader(self._loader, self._loader.dataset)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __len__(self) -> int:
        return len(self._loader._keys)

    def __next__(self) -> Any:
        batch = self._next()
        self._given += 1
        if self._said_length is not None and self._given > self._said_length and self._loader._streams_in:
            warnings.warn(
                f"{type(self._loader.dataset).__name__}: its __len__ said {self._said_length}, when len(loader) was "
                f"asked for, but {self._given} batches have been read",
                stacklevel=2,
            )
        return batch

    def _next(self) -> Any:
        return self._read(next(self._keys))

    def __getstate__(self) -> Any:
        raise NotImplementedError(
            message("the iterator of a DataLoader cannot be pickled", fix="pickle the DataLoader")
        )


class _WorkerIterator(_LoaderIterator):
    """One pass, or with persistent workers several, in which workers take turns; see Note [Workers take turns]."""

    def _start(self) -> None:
        loader, count = self._loader, self._loader.num_workers
        self._workers = [
            Worker(number, count, self._base_seed, loader.dataset, loader.worker_init_fn) for number in range(count)
        ]
        self.restart()

    def restart(self) -> None:
        """Begin a pass: no reader is open, and the keys of the first batches are drawn."""
        self._begin()
        self._readers: list[_Reader | None] = [None] * len(self._workers)
        self._open = set(range(len(self._workers)))
        self._last = -1
        self._tasks: deque[tuple[int, Any]] = deque()
        for _ in range((self._loader.prefetch_factor or 0) * len(self._workers)):
            self._ask()

    def _ask(self) -> None:
        """Give the next keys to the next worker that still has something to read."""
        try:
            keys = next(self._keys)
        except StopIteration:
            return
        for _ in self._workers:
            self._last = (self._last + 1) % len(self._workers)
            if self._last in self._open:
                self._tasks.append((self._last, keys))
                return

    def _next(self) -> Any:
        while self._tasks:
            number, keys = self._tasks.popleft()
            if number not in self._open:
                continue
            try:
                return self._turn(number, keys)
            except StopIteration:
                if not self._loader._streams_in:
                    raise
                self._open.discard(number)
            finally:
                self._ask()
        raise StopIteration

    def _turn(self, number: int, keys: Any) -> Any:
        read = self._readers[number]
        if read is not None:
            batch = read.at_once(keys)  # draws nothing: the streams, 0.2 ms to swap, can stay
            if batch is not NotImplemented:
                return batch
        with self._workers[number].turn() as dataset:
            if read is None:
                read = self._readers[number] = _reader(self._loader, dataset)
            return read(keys)


# ---- reading one batch ---------------------------------------------------------------------------------------


class _Endless(Sampler[None]):
    """The keys of an iterable dataset: it takes none, and says itself when it ends."""

    def __iter__(self) -> Iterator[None]:
        while True:
            yield None


def _reader(loader: DataLoader, dataset: Any) -> _Reader:
    """A function from what the sampler gives to what the loader gives."""
    if loader._streams_in:
        return _StreamReader(loader, dataset)
    return _SampleReader(loader, dataset) if loader.batch_sampler is None else _BatchReader(loader, dataset)


class _Reader:
    """What reads a dataset: called with keys, gives a batch."""

    def __init__(self, loader: DataLoader, dataset: Any):
        self._dataset, self._collate = dataset, loader.collate_fn

    def at_once(self, keys: Any) -> Any:
        """The batch if the dataset can make it by itself, without a line of the user's code; or NotImplemented."""
        return NotImplemented

    def __call__(self, keys: Any) -> Any:
        raise NotImplementedError


class _SampleReader(_Reader):
    """Single samples of a map dataset."""

    def __call__(self, keys: Any) -> Any:
        return self._collate(self._dataset[keys])


class _BatchReader(_Reader):
    """Batches of a map dataset; whole ones from the dataset where it can make them."""

    def __init__(self, loader: DataLoader, dataset: Any):
        super().__init__(loader, dataset)
        self._batch = batch_reader(dataset) if is_default(self._collate) else None
        self._many = getattr(dataset, "__getitems__", None)

    def at_once(self, keys: Any) -> Any:
        return self._batch(keys) if self._batch is not None and type(keys) is list else NotImplemented

    def __call__(self, keys: Any) -> Any:
        batch = self.at_once(keys)
        if batch is not NotImplemented:
            return batch
        samples = self._many(keys) if self._many else [self._dataset[key] for key in keys]
        return self._collate(samples)


class _StreamReader(_Reader):
    """Batches, or samples, of an iterable dataset."""

    def __init__(self, loader: DataLoader, dataset: Any):
        super().__init__(loader, dataset)
        self._samples = iter(dataset)
        self._drop_last = loader.drop_last
        self._batched = loader.batch_sampler is not None
        self._ended = False

    def __call__(self, keys: Any) -> Any:
        if not self._batched:
            return self._collate(next(self._samples))
        samples: list[Any] = []
        while len(samples) < len(keys) and not self._ended:
            try:
                samples.append(next(self._samples))
            except StopIteration:
                self._ended = True
        if not samples or (self._drop_last and len(samples) < len(keys)):
            raise StopIteration
        return self._collate(samples)


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
    """A context is the name of a way to start processes, or an object of the module `multiprocessing`."""
    if context is None:
        return
    if num_workers == 0:
        text = "DataLoader: multiprocessing_context has no meaning without workers"
        raise ValueError(message(text, got=repr(context), fix="num_workers > 0"))
    if isinstance(context, str) and context not in _START_METHODS:
        text = "DataLoader: processes cannot be started this way"
        raise ValueError(message(text, got=repr(context), expected=", ".join(_START_METHODS)))
    if not isinstance(context, str) and not hasattr(context, "get_start_method"):
        text = "DataLoader: multiprocessing_context must be a context or its name"
        raise TypeError(message(text, got=type(context).__name__, expected=", ".join(_START_METHODS)))
