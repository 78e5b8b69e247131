"""Samplers: in which order samples are read.

Every random order is one that PyTorch gives for the same seed, with the same number of draws from the stream:

* `RandomSampler` without a generator draws one 63-bit number from the default stream (two 32-bit draws) when its
  iteration begins, and shuffles with a generator of its own seeded by it. With a generator it shuffles with that.
* Without replacement: `randperm(n)`. With replacement: `randint(n)`, 32 at a time, which for one stream is the same as
  one after the other; what is left is drawn last.
* `SubsetRandomSampler` and `WeightedRandomSampler` draw from the default stream itself.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, TypeVar

from ..core.tensor import Tensor
from ..dtypes import float64
from ..errors import message
from ..ops.creation.values import as_tensor
from ..ops.random.draws import Generator, default_generator, multinomial, randint, randperm

T_co = TypeVar("T_co", covariant=True)


def draw_seed(generator: Generator | None = None) -> int:
    """A number in [0, 2**63), as PyTorch draws a random int64: (w0 << 32 | w1) mod 2**63 of the next two words."""
    first, second = (default_generator if generator is None else generator).words(2).tolist()
    return (first << 32 | second) % 2**63


class Sampler(Generic[T_co]):
    """An order of keys: subclasses define `__iter__`, and `__len__` if they know it.

    >>> import tapegrad as torch
    >>> class Backwards(torch.utils.data.Sampler):
    ...     def __iter__(self):
    ...         return iter([2, 1, 0])
    >>> list(torch.utils.data.DataLoader([10, 20, 30], batch_size=3, sampler=Backwards()))
    [tensor([30, 20, 10])]
    """

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(message("this sampler does not define __iter__", got=type(self).__name__))


class SequentialSampler(Sampler[int]):
    """0, 1, ..., n-1.

    Args:
        data_source: anything with a length n.

    >>> import tapegrad as torch
    >>> list(torch.utils.data.SequentialSampler("abc"))
    [0, 1, 2]
    """

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """Numbers below n in random order, or drawn with replacement.

    Args:
        data_source: anything with a length n.
        replacement: draw each number anew.
        num_samples: how many numbers, n if None; without replacement, more than n means several shuffles in a row.
        generator: source of the order; None seeds one from the default stream at the start of each iteration.

    Raises:
        TypeError: `replacement` is not a bool.
        ValueError: `num_samples` is not a positive integer.

    >>> import tapegrad as torch
    >>> list(torch.utils.data.RandomSampler(range(5), generator=torch.Generator().manual_seed(0)))
    [4, 0, 1, 3, 2]
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator
        if not isinstance(replacement, bool):
            raise TypeError(message("RandomSampler: replacement must be a bool", got=repr(replacement)))
        _check_num_samples("RandomSampler", self.num_samples)

    @property
    def num_samples(self) -> int:
        """How many numbers one iteration gives; follows the data source if none was asked for."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        n, count, generator = len(self.data_source), self.num_samples, self.generator
        if generator is None:
            generator = Generator()
            generator.manual_seed(draw_seed())
        if self.replacement:
            for size in [32] * (count // 32) + [count % 32]:
                yield from randint(n, (size,), generator=generator).tolist()
        else:
            for _ in range(count // n):
                yield from randperm(n, generator=generator).tolist()
            # drawn even when nothing of it is used: the stream must be where PyTorch's is
            yield from randperm(n, generator=generator).tolist()[: count % n]

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[Any]):
    """The given keys in random order.

    Args:
        indices: the keys.
        generator: source of the order; None is the default stream.

    >>> import tapegrad as torch
    >>> list(torch.utils.data.SubsetRandomSampler("abcd", generator=torch.Generator().manual_seed(0)))
    ['a', 'b', 'd', 'c']
    """

    def __init__(self, indices: Sequence[Any], generator: Generator | None = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[Any]:
        for i in randperm(len(self.indices), generator=self.generator).tolist():
            yield self.indices[i]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """Numbers i drawn with probability weights[i] / sum(weights).

    Args:
        weights: n non-negative numbers, not all 0.
        num_samples: how many numbers to draw.
        replacement: whether a number can be drawn again.
        generator: source of the draws; None is the default stream.

    Raises:
        ValueError: `num_samples` is not a positive integer, `replacement` not a bool, or `weights` not 1-dimensional.

    >>> import tapegrad as torch
    >>> list(torch.utils.data.WeightedRandomSampler([0.0, 1.0, 0.0], 4))
    [1, 1, 1, 1]
    """

    def __init__(
        self,
        weights: Sequence[float] | Tensor,
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        _check_num_samples("WeightedRandomSampler", num_samples, bool_is_int=False)
        if not isinstance(replacement, bool):
            raise ValueError(message("WeightedRandomSampler: replacement must be a bool", got=repr(replacement)))
        self.weights = as_tensor(weights, dtype=float64)
        if self.weights.ndim != 1:
            text = "WeightedRandomSampler: weights must have one dimension"
            raise ValueError(message(text, got=tuple(self.weights.shape), expected="(n,)"))
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        yield from multinomial(self.weights, self.num_samples, self.replacement, generator=self.generator).tolist()

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Lists of `batch_size` consecutive keys of another sampler.

    Args:
        sampler: any iterable of keys; `len()` of the batch sampler needs its length.
        batch_size: keys in a list.
        drop_last: leave out a shorter last list.

    Raises:
        ValueError: `batch_size` is not a positive integer, or `drop_last` not a bool.

    >>> import tapegrad as torch
    >>> list(torch.utils.data.BatchSampler(range(5), batch_size=2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[Any], batch_size: int, drop_last: bool) -> None:
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size <= 0:
            raise ValueError(message("batch_size must be a positive integer", got=repr(batch_size)))
        if not isinstance(drop_last, bool):
            raise ValueError(message("drop_last must be a bool", got=repr(drop_last)))
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[Any]]:
        keys = iter(self.sampler)
        while batch := list(itertools.islice(keys, self.batch_size)):
            if len(batch) < self.batch_size and self.drop_last:
                return
            yield batch

    def __len__(self) -> int:
        n = len(self.sampler)
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)


class DistributedSampler(Sampler[int]):
    """Every `num_replicas`-th number of a shuffle that all replicas share, beginning with the `rank`-th.

    The shuffle is `randperm(n)` of a generator seeded with `seed + epoch`. Without `drop_last` the order is repeated
    from its beginning until it divides evenly; with it, the tail is cut.

    Args:
        dataset: anything with a length n.
        num_replicas: how many processes share the data.
        rank: which of them this is, 0 to num_replicas - 1.
        shuffle: False for 0, 1, 2, ...
        seed: must be the same in all processes.
        drop_last: cut the tail instead of repeating samples.

    Raises:
        RuntimeError: `num_replicas` or `rank` is None (there is no process group to ask).
        ValueError: `rank` is not one of the replicas.

    >>> import tapegrad as torch
    >>> list(torch.utils.data.DistributedSampler(range(5), num_replicas=2, rank=1, shuffle=False))
    [1, 3, 0]
    """

    def __init__(
        self,
        dataset: Sized,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        if num_replicas is None or rank is None:
            text = "DistributedSampler: there is no process group to ask for the number of replicas and the rank"
            raise RuntimeError(message(text, fix="pass num_replicas= and rank="))
        if not 0 <= rank < num_replicas:
            expected = f"0 to {num_replicas - 1}"
            raise ValueError(message("DistributedSampler: no replica has this rank", got=rank, expected=expected))
        self.dataset, self.num_replicas, self.rank = dataset, num_replicas, rank
        self.shuffle, self.seed, self.drop_last = shuffle, seed, drop_last
        self.epoch = 0
        n = len(dataset)
        self.num_samples = n // num_replicas if drop_last else math.ceil(n / num_replicas)
        self.total_size = self.num_samples * num_replicas

    def __iter__(self) -> Iterator[int]:
        n = len(self.dataset)
        if self.shuffle:
            generator = Generator()
            generator.manual_seed(self.seed + self.epoch)
            order = randperm(n, generator=generator).tolist()
        else:
            order = list(range(n))
        whole = itertools.islice(itertools.cycle(order), self.total_size)
        return iter(list(whole)[self.rank :: self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch begins: without it every epoch has the same shuffle."""
        self.epoch = epoch


def _check_num_samples(where: str, count: Any, bool_is_int: bool = True) -> None:
    if not isinstance(count, int) or count <= 0 or (isinstance(count, bool) and not bool_is_int):
        raise ValueError(message(f"{where}: num_samples must be a positive integer", got=repr(count)))
