"""Datasets: where samples come from.

A map dataset answers `dataset[i]` and `len(dataset)`; an iterable dataset answers `iter(dataset)`. Two optional
methods make reading faster, and both must stand for exactly the samples that `dataset[i]` gives:

* `__getitems__(indices)`, PyTorch's: a list of samples, one for each index.
* `__getbatch__(indices)`, ours: the finished batch, i.e. `default_collate([dataset[i] for i in indices])`, or
  `NotImplemented`; for no indices anything but `NotImplemented` if there are batches to be had. It runs no code of the
  user, and draws from tapegrad's default stream what the samples would have drawn. The loader calls it only when it
  would have called `default_collate`, and `batch_reader` finds it only when no subclass redefines what a sample is.

Reference: PyTorch documentation, `torch.utils.data`.
"""

from __future__ import annotations

import bisect
import itertools
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, Iterable, TypeVar  # noqa: UP035 (typing.Iterable is generic and abstract)

import numpy as np

from ..core.tensor import Tensor, wrap
from ..errors import message
from ..modes import is_grad_enabled
from ..ops.random.draws import Generator, default_generator, randperm

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")

_PLAIN_INDICES = frozenset({int, np.int64, np.int32})


class Dataset(Generic[T_co]):
    """A map from keys, usually 0 to len-1, to samples: subclasses define `__getitem__` and `__len__`.

    `a + b` is `ConcatDataset([a, b])`.

    Raises:
        NotImplementedError: `__getitem__` of a subclass that does not define it.

    >>> import tapegrad as torch
    >>> class Squares(torch.utils.data.Dataset):
    ...     def __len__(self):
    ...         return 4
    ...     def __getitem__(self, i):
    ...         return i * i
    >>> (Squares() + Squares())[6]
    4
    """

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError(
            message(
                "this dataset does not say what its samples are",
                got=type(self).__name__,
                fix="define __getitem__(self, index) in it",
            )
        )

    def __add__(self, other: Dataset[T_co]) -> ConcatDataset[T_co]:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co], Iterable[T_co]):
    """A stream of samples: subclasses define `__iter__`, and `__len__` if they know it.

    `a + b` is `ChainDataset([a, b])`. Inside a worker, `get_worker_info()` tells which part of the stream to give.

    >>> import tapegrad as torch
    >>> class Count(torch.utils.data.IterableDataset):
    ...     def __iter__(self):
    ...         return iter(range(3))
    >>> list(torch.utils.data.DataLoader(Count(), batch_size=2))
    [tensor([0, 1]), tensor([2])]
    """

    def __add__(self, other: Dataset[T_co]) -> ChainDataset:
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Tensors of equal first size n; sample i is the tuple of their i-th rows.

    Args:
        tensors: tensors of shapes (n, ...).

    Raises:
        AssertionError: first sizes differ.

    >>> import tapegrad as torch
    >>> data = torch.utils.data.TensorDataset(torch.arange(6).view(3, 2), torch.tensor([7, 8, 9]))
    >>> len(data), data[1]
    (3, (tensor([2, 3]), tensor(8)))
    """

    tensors: tuple[Tensor, ...]

    def __init__(self, *tensors: Tensor) -> None:
        if any(tensor.size(0) != tensors[0].size(0) for tensor in tensors):
            sizes = [tensor.size(0) for tensor in tensors]
            raise AssertionError(message("TensorDataset: first sizes differ", got=sizes, expected="one size for all"))
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __getbatch__(self, indices: list[int]) -> Any:
        if not are_plain(indices) or not all(map(_is_plain, self.tensors)):
            return NotImplemented
        try:
            rows = np.array(indices, dtype=np.intp)
            return [wrap(tensor.array.take(rows, axis=0)) for tensor in self.tensors]
        except IndexError:
            return NotImplemented  # reading sample by sample names the wrong index

    def __len__(self) -> int:
        return int(self.tensors[0].size(0))


class StackDataset(Dataset[Any]):
    """Datasets of equal length side by side: samples are tuples, or dicts where names are given.

    Args:
        args: datasets; sample i is `(args[0][i], args[1][i], ...)`.
        kwargs: datasets by name, instead; sample i is `{name: dataset[i], ...}`.

    Raises:
        ValueError: lengths differ, no dataset is given, or both forms are.

    >>> import tapegrad as torch
    >>> torch.utils.data.StackDataset(x=[1, 2, 3], y="abc")[1]
    {'x': 2, 'y': 'b'}
    """

    datasets: tuple | dict

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args and kwargs:
            text = "StackDataset: samples are tuples or dicts, not both"
            raise ValueError(message(text, got=f"{len(args)} datasets without and {len(kwargs)} with a name"))
        if not args and not kwargs:
            raise ValueError(message("StackDataset: no dataset was given", expected="at least one"))
        self.datasets = args or kwargs
        lengths = [len(dataset) for dataset in self._columns()]
        if any(length != lengths[0] for length in lengths):
            raise ValueError(message("StackDataset: lengths differ", got=lengths, expected="one length for all"))
        self._length = lengths[0]

    def _columns(self) -> Sequence[Any]:
        return list(self.datasets.values()) if isinstance(self.datasets, dict) else self.datasets

    def _row(self, values: Iterable[Any]) -> Any:
        return dict(zip(self.datasets, values)) if isinstance(self.datasets, dict) else tuple(values)

    def __getitem__(self, index: Any) -> Any:
        return self._row([dataset[index] for dataset in self._columns()])

    def __getitems__(self, indices: list) -> list:
        columns = [_read(dataset, indices) for dataset in self._columns()]
        for column in columns:
            if len(column) != len(indices):
                text = "StackDataset: __getitems__ of a dataset gave another number of samples"
                raise ValueError(message(text, got=len(column), expected=len(indices)))
        return [self._row(samples) for samples in zip(*columns)]

    def __getbatch__(self, indices: list[int]) -> Any:
        readers = [batch_reader(dataset) for dataset in self._columns()]
        if not all(readers):
            return NotImplemented
        batches = [reader(indices) for reader in readers if reader]
        if any(batch is NotImplemented for batch in batches):
            return NotImplemented
        return self._row(batches) if isinstance(self.datasets, dict) else batches

    def __len__(self) -> int:
        return self._length


class ConcatDataset(Dataset[T_co]):
    """Datasets end to end.

    Args:
        datasets: map datasets; `cumulative_sizes[k]` is the number of samples in the first k + 1 of them.

    Raises:
        AssertionError: there is no dataset, or one is iterable.
        ValueError: a negative index before the first sample.

    >>> import tapegrad as torch
    >>> both = torch.utils.data.ConcatDataset(["ab", "cde"])
    >>> both.cumulative_sizes, both[2], both[-1]
    ([2, 5], 'c', 'e')
    """

    datasets: list[Dataset[T_co]]
    cumulative_sizes: list[int]

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise AssertionError(message("ConcatDataset: no dataset was given", expected="at least one"))
        for dataset in self.datasets:
            if isinstance(dataset, IterableDataset):
                text = "ConcatDataset: an iterable dataset has no samples by number"
                raise AssertionError(message(text, got=type(dataset).__name__, fix="ChainDataset"))
        self.cumulative_sizes = self.cumsum(self.datasets)

    @staticmethod
    def cumsum(sequence: Iterable[Any]) -> list[int]:
        """The running totals of the lengths."""
        return list(itertools.accumulate(len(part) for part in sequence))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, idx: int) -> T_co:
        if idx < 0:
            if -idx > len(self):
                text = "ConcatDataset: the index lies before the first sample"
                raise ValueError(message(text, got=idx, expected=f"-{len(self)} or more"))
            idx += len(self)
        part = bisect.bisect_right(self.cumulative_sizes, idx)
        before = self.cumulative_sizes[part - 1] if part else 0
        return self.datasets[part][idx - before]


class ChainDataset(IterableDataset):
    """Streams one after the other.

    Args:
        datasets: iterable datasets.

    Raises:
        AssertionError: when one is reached that is not iterable.

    >>> import tapegrad as torch
    >>> class Letters(torch.utils.data.IterableDataset):
    ...     def __iter__(self):
    ...         return iter("ab")
    >>> list(Letters() + Letters())
    ['a', 'b', 'a', 'b']
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = datasets

    def _parts(self) -> Iterator[IterableDataset]:
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                text = "ChainDataset: only iterable datasets can be chained"
                raise AssertionError(message(text, got=type(dataset).__name__, fix="ConcatDataset"))
            yield dataset

    def __iter__(self) -> Iterator[Any]:
        for dataset in self._parts():
            yield from dataset

    def __len__(self) -> int:
        return sum(map(len, self._parts()))


class Subset(Dataset[T_co]):
    """The samples of `dataset` at `indices`, in that order.

    Args:
        dataset: a map dataset.
        indices: sample i of the subset is `dataset[indices[i]]`.

    Raises:
        NotImplementedError: a subclass defines `__getitem__` but not `__getitems__`, which the loader calls.

    >>> import tapegrad as torch
    >>> list(torch.utils.data.Subset("abcdef", [4, 0]))
    ['e', 'a']
    """

    dataset: Dataset[T_co]
    indices: Sequence[int]

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices
        own = type(self)
        if own.__getitem__ is not Subset.__getitem__ and own.__getitems__ is Subset.__getitems__:
            text = message(
                f"{own.__name__} redefines __getitem__ but not __getitems__, which a DataLoader calls",
                fix="def __getitems__(self, indices): return [self[i] for i in indices]",
            )
            raise NotImplementedError(text)

    def __getitem__(self, idx: Any) -> T_co:
        if isinstance(idx, list):
            return self.dataset[[self.indices[i] for i in idx]]
        return self.dataset[self.indices[idx]]

    def __getitems__(self, indices: list[int]) -> list[T_co]:
        return _read(self.dataset, [self.indices[i] for i in indices])

    def __getbatch__(self, indices: list[int]) -> Any:
        reader = batch_reader(self.dataset)
        return NotImplemented if reader is None else reader([self.indices[i] for i in indices])

    def __len__(self) -> int:
        return len(self.indices)


def random_split(
    dataset: Any, lengths: Sequence[int | float], generator: Generator | None = default_generator
) -> list[Subset]:
    """Split a dataset at random into parts that share no sample.

    Fractions f that add up to 1 stand for floor(f n) samples each; the samples left over go one by one to the first
    parts. The order is one `randperm(n)`.

    Args:
        dataset: a map dataset of n samples.
        lengths: numbers of samples that add up to n, or fractions that add up to 1.
        generator: source of the permutation.

    Raises:
        ValueError: the lengths do not add up to n, or a fraction is not in [0, 1].

    >>> import tapegrad as torch
    >>> parts = torch.utils.data.random_split(range(10), [0.7, 0.3], torch.Generator().manual_seed(0))
    >>> [list(part) for part in parts]
    [[4, 1, 7, 5, 3, 9, 0], [8, 6, 2]]
    """
    n = len(dataset)
    lengths = lengths_of("random_split", lengths, n)
    order = randperm(n, generator=generator).tolist()
    ends = itertools.accumulate(lengths)
    return [Subset(dataset, order[end - length : end]) for end, length in zip(ends, lengths)]


def lengths_of(where: str, lengths: Sequence[int | float], n: int) -> list[int]:
    """Numbers of samples that add up to n, of such numbers or of fractions that add up to 1."""
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        return _lengths_of_fractions(where, lengths, n)
    if sum(lengths) != n:
        text = f"{where}: the lengths do not add up to the dataset's"
        raise ValueError(message(text, got=f"{list(lengths)}, in sum {sum(lengths)}", expected=n))
    return list(lengths)  # type: ignore[arg-type]


def _lengths_of_fractions(where: str, fractions: Sequence[float], n: int) -> list[int]:
    """How many of n samples each fraction gets."""
    for i, fraction in enumerate(fractions):
        if not 0 <= fraction <= 1:
            text = f"{where}: fraction {i} is not a part of the whole"
            raise ValueError(message(text, got=fraction, expected="between 0 and 1"))
    lengths = [math.floor(n * fraction) for fraction in fractions]
    for i in range(n - sum(lengths)):
        lengths[i % len(lengths)] += 1
    for i, length in enumerate(lengths):
        if length == 0:
            warnings.warn(f"{where}: part {i} is empty ({fractions[i]} of {n} samples)", stacklevel=4)
    return lengths


# ---- reading many samples at once ----------------------------------------------------------------------------


def batch_reader(dataset: Any) -> Callable[[list], Any] | None:
    """The dataset's `__getbatch__`, unless a subclass of its definer redefines what a sample is."""
    for base in type(dataset).__mro__:
        names = base.__dict__
        if "__getbatch__" in names:
            return dataset.__getbatch__
        if "__getitem__" in names or "__getitems__" in names:
            return None
    return None


def are_plain(indices: list) -> bool:
    """Whether all indices are plain integers, which NumPy's `take` reads as `dataset[i]` would."""
    return _PLAIN_INDICES.issuperset(map(type, indices))


def _read(dataset: Any, indices: list) -> list:
    """The samples at `indices`, all at once where the dataset can."""
    many = getattr(dataset, "__getitems__", None)
    return many(indices) if callable(many) else [dataset[i] for i in indices]


def _is_plain(tensor: Any) -> bool:
    """Whether rows can be copied without autograd seeing it."""
    return type(tensor) is Tensor and tensor.ndim > 0 and not (tensor.requires_grad and is_grad_enabled())
