"""Datasets, samplers and the loader by themselves (tests/twin/test_data.py compares them with PyTorch)."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import random

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import tapegrad as torch
from tapegrad.data import (
    BatchSampler,
    ChainDataset,
    ConcatDataset,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    StackDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    default_collate_fn_map,
    default_convert,
    get_worker_info,
    random_split,
)
from tapegrad.data.dataset import batch_reader


def table(n=10):
    return TensorDataset(torch.arange(n), torch.arange(n) * 0.5)


class Counted(IterableDataset):
    """0 to n-1, with a length that may be wrong."""

    def __init__(self, n, said=None):
        self.n, self.said = n, n if said is None else said

    def __iter__(self):
        return iter(range(self.n))

    def __len__(self):
        return self.said


# ---- properties ----------------------------------------------------------------------------------------------


@given(
    st.lists(st.integers(0, 12), min_size=1, max_size=5).filter(lambda lengths: sum(lengths) > 1), st.integers(0, 99)
)
def test_random_split_shares_everything_once(lengths, seed):
    parts = random_split(range(sum(lengths)), lengths, torch.Generator().manual_seed(seed))
    assert [len(part) for part in parts] == lengths
    assert sorted(x for part in parts for x in part) == list(range(sum(lengths)))


@given(st.integers(50, 200), st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_random_split_by_fractions(n, shares):
    fractions = [share / sum(shares) for share in shares]
    if sum(fractions) > 1:  # by rounding; then PyTorch takes them for lengths
        return
    lengths = [len(part) for part in random_split(range(n), fractions)]
    assert sum(lengths) == n
    assert all(abs(length - fraction * n) <= 1 for length, fraction in zip(lengths, fractions))


@given(st.integers(1, 40), st.integers(1, 90), st.booleans(), st.integers(0, 99))
def test_random_sampler(n, count, replacement, seed):
    order = list(RandomSampler(range(n), replacement, count, torch.Generator().manual_seed(seed)))
    assert len(order) == count and set(order) <= set(range(n))
    if not replacement:  # whole shuffles, then part of one
        for start in range(0, count, n):
            part = order[start : start + n]
            assert len(set(part)) == len(part)


@given(st.integers(0, 40), st.integers(1, 9), st.booleans())
def test_batch_sampler(n, size, drop_last):
    batches = BatchSampler(range(n), size, drop_last)
    lists = list(batches)
    assert len(lists) == len(batches)
    kept = n - n % size if drop_last else n
    assert [i for batch in lists for i in batch] == list(range(kept))
    assert all(len(batch) == size for batch in lists[:-1])


@given(st.integers(1, 30), st.integers(1, 6), st.booleans(), st.booleans())
def test_distributed_sampler_covers_the_data(n, replicas, shuffle, drop_last):
    parts = [list(DistributedSampler(range(n), replicas, rank, shuffle, 0, drop_last)) for rank in range(replicas)]
    assert len({len(part) for part in parts}) == 1
    together = [i for part in parts for i in part]
    if drop_last:
        assert len(together) == len(set(together)) == n - n % replicas
    else:
        assert set(together) == set(range(n)) and len(together) - n < replicas


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6).filter(sum), st.data())
def test_concat_finds_the_part(sizes, data):
    values = [[(part, i) for i in range(size)] for part, size in enumerate(sizes)]
    joined = ConcatDataset(values)
    flat = [value for part in values for value in part]
    index = data.draw(st.integers(-len(flat), len(flat) - 1))
    assert len(joined) == len(flat) and joined[index] == flat[index]
    assert joined.cumulative_sizes == np.cumsum(sizes).tolist()


@given(st.integers(1, 30), st.integers(1, 8), st.booleans(), st.integers(0, 3))
def test_loader_gives_every_sample_once(n, size, drop_last, workers):
    loader = DataLoader(table(n), size, shuffle=True, drop_last=drop_last, num_workers=workers)
    batches = list(loader)
    assert len(batches) == len(loader)
    seen = [i for x, _ in batches for i in x.tolist()]
    assert len(seen) == len(set(seen)) == (n - n % size if drop_last else n)


def test_weights_decide():
    drawn = list(WeightedRandomSampler([0.0, 1.0, 3.0], 4000))
    assert drawn.count(0) == 0
    assert abs(drawn.count(2) / drawn.count(1) - 3) < 0.5
    assert sorted(WeightedRandomSampler([1.0, 2.0, 3.0], 3, replacement=False)) == [0, 1, 2]


# ---- a whole batch at once -----------------------------------------------------------------------------------


def one_by_one(dataset, **options):
    """A loader that must not use `__getbatch__`, which is only for `default_collate` itself."""
    return DataLoader(dataset, collate_fn=lambda samples: default_collate(samples), **options)


def equal(a, b):
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))


def fast_datasets():
    x = torch.randn(9, 2, 3)
    rows = TensorDataset(x, torch.arange(9).to(torch.uint8), x.permute(0, 2, 1), x.to(torch.bfloat16))
    yield rows
    yield Subset(rows, [8, 0, 3, 3, -1])
    yield Subset(Subset(rows, list(range(9))), [1, 2])
    yield StackDataset(rows, table(9))
    yield StackDataset(a=rows, b=Subset(table(9), list(range(9))))
    yield TensorDataset(torch.arange(5))


@pytest.mark.parametrize("number", range(6))
def test_batches_have_the_bits_of_single_samples(number):
    dataset = list(fast_datasets())[number]
    assert batch_reader(dataset) is not None
    for options in ({"batch_size": 4}, {"sampler": [0, -1, 1], "batch_size": 2}):
        fast, slow = list(DataLoader(dataset, **options)), list(one_by_one(dataset, **options))
        assert len(fast) == len(slow) and all(map(equal, fast, slow))


def test_batches_do_not_share_memory_with_the_dataset():
    dataset = table(4)
    (x, _) = next(iter(DataLoader(dataset, 4)))
    x[0] = 99
    assert dataset[0][0].item() == 0


def test_a_subclass_that_redefines_samples_is_asked_for_samples():
    class Doubled(TensorDataset):
        def __getitem__(self, i):
            return super().__getitem__(i)[0] * 2

    class Many(TensorDataset):
        def __getitems__(self, indices):
            return [-i for i in indices]

    assert next(iter(DataLoader(Doubled(torch.arange(4)), 4))).tolist() == [0, 2, 4, 6]
    assert next(iter(DataLoader(Subset(Doubled(torch.arange(4)), [3]), 4))).tolist() == [6]
    assert next(iter(DataLoader(Many(torch.arange(4)), 4))).tolist() == [0, -1, -2, -3]


def test_samples_are_read_one_by_one_where_they_must_be():
    weights = torch.ones(3, requires_grad=True)
    (batch,) = next(iter(DataLoader(TensorDataset(weights), 3)))
    batch.sum().backward()
    assert weights.grad.tolist() == [1, 1, 1]
    with pytest.raises(IndexError):
        next(iter(DataLoader(table(3), sampler=[7])))
    by_tensor = DataLoader(table(3), 2, sampler=[torch.tensor(2), torch.tensor(0)])
    assert next(iter(by_tensor))[0].tolist() == [2, 0]
    by_numpy = DataLoader(table(3), batch_sampler=np.array([[2, 0], [1, 1]]))
    assert [x.tolist() for x, _ in by_numpy] == [[2, 0], [1, 1]]


def test_a_changed_table_of_collate_functions_is_honoured():
    before = dict(default_collate_fn_map)
    try:
        default_collate_fn_map[torch.Tensor] = lambda batch, **_: len(batch)
        assert list(DataLoader(table(3), 2)) == [[2, 2], [1, 1]]
    finally:
        default_collate_fn_map.clear()
        default_collate_fn_map.update(before)


def test_getitems_is_used():
    class Squares(Dataset):
        asked = []

        def __getitem__(self, i):
            raise AssertionError

        def __getitems__(self, indices):
            self.asked.append(indices)
            return [i * i for i in indices]

        def __len__(self):
            return 3

    dataset = Squares()
    assert [x.tolist() for x in DataLoader(dataset, 2)] == [[0, 1], [4]]
    assert [x.tolist() for x in DataLoader(Subset(dataset, [2, 1]), 2)] == [[4, 1]]
    assert StackDataset(dataset, "abc").__getitems__([2, 0]) == [(4, "c"), (0, "a")]
    assert dataset.asked == [[0, 1], [2], [2, 1], [2, 0]]


def test_getitems_of_the_wrong_length():
    class Short(Dataset):
        def __getitems__(self, indices):
            return []

        def __len__(self):
            return 2

    with pytest.raises(ValueError, match="another number of samples\n  got: 0\n  expected: 2"):
        StackDataset(Short()).__getitems__([0, 1])


# ---- the loader ----------------------------------------------------------------------------------------------


def test_batch_size_none_gives_samples():
    samples = list(DataLoader([1, np.ones(2), "a"], batch_size=None))
    assert samples[0] == 1 and isinstance(samples[1], torch.Tensor) and samples[2] == "a"


def test_lengths():
    assert len(DataLoader(table(10), 3)) == 4
    assert len(DataLoader(table(10), 3, drop_last=True)) == 3
    assert len(DataLoader(table(10), batch_size=None)) == 10
    assert len(DataLoader(table(10), batch_sampler=[[1], [2]])) == 2
    assert len(DataLoader(Counted(10), 3)) == 4
    assert len(DataLoader(Counted(10), 3, drop_last=True)) == 3
    assert len(DataLoader(Counted(10), None)) == 10
    assert len(iter(DataLoader(table(10), 3))) == 4


def test_attributes_and_what_may_change():
    loader = DataLoader(table(4), 2, shuffle=True, num_workers=1)
    assert (loader.batch_size, loader.drop_last, loader.num_workers, loader.prefetch_factor) == (2, False, 1, 2)
    assert isinstance(loader.sampler, RandomSampler) and isinstance(loader.batch_sampler, BatchSampler)
    assert isinstance(DataLoader([1]).sampler, SequentialSampler) and DataLoader([1]).prefetch_factor is None
    loader.collate_fn = len
    loader.num_workers = 0
    assert list(loader) == [2, 2]
    for name in ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers"):
        with pytest.raises(ValueError, match=f"{name} cannot be changed"):
            setattr(loader, name, None)


def test_multiprocessing_context():
    assert DataLoader([1]).multiprocessing_context is None
    loader = DataLoader([1], num_workers=1, multiprocessing_context="spawn")
    assert loader.multiprocessing_context == "spawn"
    context = multiprocessing.get_context("spawn")
    assert DataLoader([1], num_workers=1, multiprocessing_context=context).multiprocessing_context is context
    with pytest.raises(ValueError, match="there are no such workers\n  got: 'teleport'"):
        DataLoader([1], num_workers=1, multiprocessing_context="teleport")
    with pytest.raises(TypeError, match="must be a context or a name"):
        DataLoader([1], num_workers=1, multiprocessing_context=1)


@pytest.mark.parametrize(
    "options, text",
    [
        ({"num_workers": -1}, "num_workers cannot be negative"),
        ({"timeout": -1}, "timeout cannot be negative"),
        ({"prefetch_factor": 2}, "prefetch_factor has no meaning without workers"),
        ({"prefetch_factor": -2, "num_workers": 1}, "prefetch_factor cannot be negative"),
        ({"persistent_workers": True}, "persistent_workers has no meaning without workers"),
        ({"sampler": [0], "shuffle": True}, "sampler and shuffle both say the order"),
        ({"batch_sampler": [[0]], "shuffle": True}, "batch_sampler already says"),
        ({"batch_size": None, "drop_last": True}, "drop_last has no meaning without batches"),
        ({"batch_size": 0}, "batch_size must be a positive integer\n  got: 0"),
        ({"drop_last": 1}, "drop_last must be a bool\n  got: 1"),
        ({"multiprocessing_context": "fork"}, "multiprocessing_context has no meaning without workers"),
    ],
)
def test_options_that_contradict(options, text):
    with pytest.raises(ValueError, match=text):
        DataLoader([1, 2], **options)


@pytest.mark.parametrize("options", [{"shuffle": True}, {"sampler": [0]}, {"batch_sampler": [[0]]}])
def test_a_stream_has_its_own_order(options):
    with pytest.raises(ValueError, match=f"decides its order itself\n  got: {next(iter(options))}="):
        DataLoader(Counted(2), **options)
    assert len(list(DataLoader(Counted(2), shuffle=False))) == 2


def test_timeout_needs_workers():
    with pytest.raises(AssertionError, match="timeout has no meaning"):
        iter(DataLoader([1], timeout=1))
    assert len(list(DataLoader([1], timeout=1, num_workers=1))) == 1


def test_a_stream_longer_than_it_said():
    loader = DataLoader(Counted(3, said=1))
    assert len(list(loader)) == 3  # nobody asked for the length
    assert len(loader) == 1
    with pytest.warns(UserWarning) as caught:
        list(loader)
    assert [str(w.message).partition("but ")[2] for w in caught] == [
        "2 batches have been read",
        "3 batches have been read",
    ]
    assert str(caught[0].message).startswith("Counted: its __len__ said 1,")


def test_pin_memory_warns():
    with pytest.warns(UserWarning, match="pin_memory"):
        assert list(DataLoader([1], pin_memory=True)) == [torch.tensor([1])]


def test_pickle_and_copy():
    loader = pickle.loads(pickle.dumps(DataLoader(table(4), 2)))
    assert [x.tolist() for x, _ in copy.deepcopy(loader)] == [[0, 1], [2, 3]]
    with pytest.raises(NotImplementedError, match="pickle the DataLoader"):
        pickle.dumps(iter(loader))


def test_generic_classes():
    class Numbers(Dataset[int]):
        pass

    assert issubclass(Numbers, Dataset) and DataLoader[int] and TensorDataset(torch.zeros(1)) is not None


def test_loader_can_be_subclassed():
    class Named(DataLoader):
        def __init__(self, name, *args, **kwargs):
            self.name = name
            super().__init__(*args, **kwargs)

    assert Named("train", [1, 2], 2).name == "train"


# ---- workers -------------------------------------------------------------------------------------------------


class Who(Dataset):
    """Which worker reads, and a draw of each stream."""

    calls = 0

    def __len__(self):
        return 8

    def __getitem__(self, i):
        self.calls += 1
        info = get_worker_info()
        return (i, info.id, info.num_workers, torch.rand(1).item(), random.random(), np.random.rand())


def test_workers_take_turns_with_their_own_streams():
    rows = [row for batch in DataLoader(Who(), 2, num_workers=2, collate_fn=list) for row in batch]
    assert [row[:3] for row in rows] == [(i, i // 2 % 2, 2) for i in range(8)]
    assert len({row[3] for row in rows}) == 8 and len({row[4] for row in rows}) == 8
    assert get_worker_info() is None


def test_streams_of_the_caller_do_not_move():
    """A pass with workers takes one draw for the base seed, whatever the dataset draws."""
    torch.manual_seed(3)
    torch.empty((), dtype=torch.int64).random_()
    expected = torch.rand(1).item()
    torch.manual_seed(3)
    states = random.getstate(), np.random.get_state()[1].tolist()
    list(DataLoader(Who(), num_workers=2))
    assert torch.rand(1).item() == expected
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states


def test_workers_have_their_own_dataset():
    dataset = Who()
    list(DataLoader(dataset, num_workers=2))
    assert dataset.calls == 0


def test_worker_init_fn_runs_once_in_each_worker():
    started = []

    def init(number):
        started.append((number, get_worker_info().id, get_worker_info().dataset is not dataset))

    dataset = Who()
    loader = DataLoader(dataset, num_workers=2, worker_init_fn=init, persistent_workers=True)
    list(loader)
    list(loader)
    assert sorted(started) == [(0, 0, True), (1, 1, True)]


class Broken(Dataset):
    """Sample 1 cannot be read."""

    def __init__(self, error=KeyError("page 1")):
        self.error = error

    def __len__(self):
        return 4

    def __getitem__(self, i):
        if i == 1:
            raise self.error
        return i


def test_without_workers_the_rest_can_be_read_after_an_error():
    batches = iter(DataLoader(Broken()))
    assert next(batches).item() == 0
    with pytest.raises(KeyError, match="page 1"):
        next(batches)
    assert [x.item() for x in batches] == [2, 3]


def test_a_dataset_that_cannot_be_copied():
    class Open(Dataset):
        def __copy__(self):
            raise TypeError("a file")

        def __len__(self):
            return 2

        def __getitem__(self, i):
            return i

    assert len(list(DataLoader(Open(), num_workers=1))) == 2


# ---- texts of errors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "attempt, kind, text",
    [
        (lambda: TensorDataset(torch.zeros(2), torch.zeros(3)), AssertionError, r"first sizes differ\n  got: \[2, 3\]"),
        (lambda: StackDataset(), ValueError, "no dataset was given"),
        (lambda: StackDataset([1], [1, 2]), ValueError, r"lengths differ\n  got: \[1, 2\]"),
        (lambda: StackDataset([1], a=[1]), ValueError, "tuples or dicts, not both"),
        (lambda: ConcatDataset([]), AssertionError, "no dataset was given"),
        (lambda: ConcatDataset([Counted(1)]), AssertionError, "got: Counted\n  fix: ChainDataset"),
        (lambda: ConcatDataset([[1, 2]])[-3], ValueError, "before the first sample\n  got: -3\n  expected: -2 or more"),
        (lambda: list(ChainDataset([[1]])), AssertionError, "got: list\n  fix: ConcatDataset"),
        (lambda: random_split([1, 2], [1, 2]), ValueError, r"got: \[1, 2\], in sum 3\n  expected: 2"),
        (lambda: random_split([1, 2], [1.5, -0.5]), ValueError, "fraction 0 is not a part of the whole"),
        (lambda: RandomSampler([1], replacement=2), TypeError, "must be a bool\n  got: 2"),
        (
            lambda: RandomSampler([1], num_samples=0),
            ValueError,
            "RandomSampler: num_samples must be a positive integer",
        ),
        (lambda: WeightedRandomSampler([[1.0]], 1), ValueError, r"one dimension\n  got: \(1, 1\)"),
        (lambda: WeightedRandomSampler([1.0], 1, replacement=0), ValueError, "must be a bool"),
        (lambda: DistributedSampler([1]), RuntimeError, "pass num_replicas= and rank="),
        (lambda: DistributedSampler([1], 2, 2), ValueError, "got: 2\n  expected: 0 to 1"),
        (lambda: Dataset()[0], NotImplementedError, "define __getitem__"),
        (lambda: default_collate([object()]), TypeError, "cannot be made a batch\n  got: <class 'object'>"),
        (lambda: default_collate([np.array(["a"])]), TypeError, "got: an array of type <U1"),
        (lambda: default_collate([[1], [1, 2]]), RuntimeError, r"different numbers of entries\n  got: \[1, 2\]"),
        (lambda: default_collate([torch.zeros(2), torch.zeros(3)]), RuntimeError, "."),
    ],
)
def test_errors_say_what_is_wrong(attempt, kind, text):
    with pytest.raises(kind, match=text):
        attempt()


def test_subset_that_redefines_only_one_way_to_read():
    class Half(Subset):
        def __getitem__(self, i):
            return 0

    with pytest.raises(NotImplementedError, match="Half redefines __getitem__ but not __getitems__"):
        Half([1, 2], [0])

    class Whole(Half):
        def __getitems__(self, indices):
            return [self[i] for i in indices]

    assert next(iter(DataLoader(Whole([1, 2], [0]), 1))).tolist() == [0]


def test_subset_of_a_list_of_indices():
    assert Subset(np.arange(5) * 10, [4, 3, 2])[[0, 2]].tolist() == [40, 20]


def test_convert_keeps_what_is_no_array():
    text = np.array(["a"])
    assert default_convert(text) is text and default_convert(np.str_("a")) == "a"
    assert default_convert((1, np.float32(2)))[1].dtype == torch.float32
    assert list(SubsetRandomSampler([5])) == [5]
