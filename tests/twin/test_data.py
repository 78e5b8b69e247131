"""Data loading follows PyTorch: the same samples in the same order, and every random stream in step afterwards."""

from __future__ import annotations

import collections
import random

import numpy as np
import pytest

import tapegrad

torch = pytest.importorskip("torch")

# what PyTorch says of its own processes: that the machine is small, that it forks with threads about
pytestmark = [
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),
    pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning"),
]

LIBRARIES = (tapegrad, torch)
N = 23


def plain(value):
    """A batch as nested lists of Python values, with types and shapes."""
    if hasattr(value, "dtype") and hasattr(value, "tolist"):
        return str(value.dtype).removeprefix("torch."), tuple(value.shape), value.tolist()
    if isinstance(value, dict):
        return type(value).__name__, {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [plain(entry) for entry in value]
    return value


def both(program):
    """What a program gives under both libraries, seeded alike, followed by the next draws of all streams."""
    results = []
    for lib in LIBRARIES:
        lib.manual_seed(11)
        random.seed(11)
        np.random.seed(11)
        given = plain(program(lib, lib.utils.data))
        results.append((given, lib.rand(3).tolist(), random.random(), np.random.rand()))
    return results


def agree(program):
    ours, theirs = both(program)
    assert ours == theirs


def numbers(lib):
    return lib.utils.data.TensorDataset(lib.arange(N), lib.arange(N) * 10.0)


# ---- order of samples ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("batch_size", [1, 4, 23, 50])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("seed", [None, 5])
def test_two_epochs(batch_size, drop_last, shuffle, seed):
    def program(lib, data):
        generator = None if seed is None else lib.Generator().manual_seed(seed)
        loader = data.DataLoader(numbers(lib), batch_size, shuffle, drop_last=drop_last, generator=generator)
        epochs = [list(loader), lib.rand(1), list(loader), len(loader)]
        return [*epochs, lib.rand(2, generator=generator)]

    agree(program)


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("prefetch", [None, 1, 3])
def test_keys_drawn_by_iter_with_workers(workers, prefetch):
    """Workers are asked ahead: the sampler's draws come when the iterator is made, not at the first batch."""

    def program(lib, data):
        loader = data.DataLoader(numbers(lib), 4, shuffle=True, num_workers=workers, prefetch_factor=prefetch)
        batches = iter(loader)
        between = lib.rand(2)
        return [between, list(batches), lib.rand(1), list(loader)]

    agree(program)


@pytest.mark.parametrize("stop_after", [0, 1, 3])
def test_iteration_that_is_left(stop_after):
    def program(lib, data):
        batches = iter(data.DataLoader(numbers(lib), 5, shuffle=True))
        return [[next(batches) for _ in range(stop_after)], lib.rand(4)]

    agree(program)


@pytest.mark.parametrize("lengths", [[20, 3], [3, 0, 20], [0.5, 0.5], [0.1, 0.2, 0.3, 0.4], [1.0]])
@pytest.mark.parametrize("seed", [None, 3])
def test_random_split_then_shuffle(lengths, seed):
    def program(lib, data):
        more = {} if seed is None else {"generator": lib.Generator().manual_seed(seed)}
        parts = data.random_split(numbers(lib), lengths, **more)
        loader = data.DataLoader(parts[0], 4, shuffle=len(parts[0]) > 0)
        return [[list(part.indices) for part in parts], list(loader), list(loader)]

    agree(program)


def sampler_cases():
    def cases(lib, data, generator):
        yield data.RandomSampler(range(N), generator=generator)
        yield data.RandomSampler(range(N), replacement=True, generator=generator)
        yield data.RandomSampler(range(N), replacement=True, num_samples=100, generator=generator)
        yield data.RandomSampler(range(N), replacement=True, num_samples=64, generator=generator)
        yield data.RandomSampler(range(N), num_samples=10, generator=generator)
        yield data.RandomSampler(range(N), num_samples=3 * N, generator=generator)
        yield data.RandomSampler(range(N), num_samples=50, generator=generator)
        yield data.SubsetRandomSampler([3, 1, 4, 1, 5, 9], generator=generator)
        yield data.SubsetRandomSampler("letters", generator=generator)
        yield data.WeightedRandomSampler([0.1, 5.0, 2.0, 0.0, 1.0], 40, generator=generator)
        yield data.WeightedRandomSampler([0.1, 5.0, 2.0, 0.0, 1.0], 1, generator=generator)
        yield data.WeightedRandomSampler([0.1, 5.0, 2.0, 3.0, 1.0], 4, replacement=False, generator=generator)
        yield data.WeightedRandomSampler(lib.arange(9), 8, replacement=False, generator=generator)
        yield data.BatchSampler(data.RandomSampler(range(N), generator=generator), 5, False)
        yield data.BatchSampler(data.RandomSampler(range(N), generator=generator), 5, True)
        yield data.SequentialSampler(range(N))

    return cases


@pytest.mark.parametrize("case", range(16))
@pytest.mark.parametrize("seed", [None, 8])
def test_samplers(case, seed):
    def program(lib, data):
        generator = None if seed is None else lib.Generator().manual_seed(seed)
        sampler = list(sampler_cases()(lib, data, generator))[case]
        return [list(sampler), list(sampler), len(sampler), lib.rand(2, generator=generator)]

    agree(program)


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("size, replicas", [(23, 2), (23, 4), (8, 4), (1, 3)])
def test_distributed_sampler(size, replicas, shuffle, drop_last):
    def program(lib, data):
        samplers = [
            data.DistributedSampler(range(size), replicas, rank, shuffle, seed=4, drop_last=drop_last)
            for rank in range(replicas)
        ]
        first = [list(sampler) for sampler in samplers]
        for sampler in samplers:
            sampler.set_epoch(3)
        return [first, [list(sampler) for sampler in samplers], [len(sampler) for sampler in samplers]]

    agree(program)


def test_sampler_of_the_loader():
    def program(lib, data):
        weighted = data.WeightedRandomSampler(lib.arange(float(N)), 30)
        batches = data.BatchSampler(data.RandomSampler(range(N), replacement=True), 6, True)
        return [
            list(data.DataLoader(numbers(lib), 7, sampler=weighted)),
            list(data.DataLoader(numbers(lib), batch_sampler=batches)),
            list(data.DataLoader(numbers(lib), batch_size=None, shuffle=True)),
            list(data.DataLoader(numbers(lib), sampler=[5, 5, -1])),
        ]

    agree(program)


# ---- datasets ------------------------------------------------------------------------------------------------


def test_combined_datasets():
    def program(lib, data):
        first, second = numbers(lib), data.TensorDataset(lib.arange(4) + 100, lib.zeros(4))
        joined = first + second
        stacked = data.StackDataset(first, list(range(N)))
        named = data.StackDataset(a=first, b=data.Subset(first, list(range(N))[::-1]))
        nested = data.Subset(data.Subset(joined, list(range(0, 27, 2))), [3, 13, 0, -1])
        return [list(data.DataLoader(each, 4, shuffle=True)) for each in (joined, stacked, named, nested)]

    agree(program)


class Draws:
    """A dataset that draws from every stream."""

    def __init__(self, lib):
        self.lib = lib

    def __len__(self):
        return 12

    def __getitem__(self, i):
        return i, self.lib.rand(2), random.random(), np.random.rand()


@pytest.mark.parametrize(
    "options", [{}, {"num_workers": 1}, {"num_workers": 2}, {"num_workers": 3, "prefetch_factor": 1}]
)
def test_draws_of_a_dataset(options):
    def program(lib, data):
        loader = data.DataLoader(Draws(lib), 2, shuffle=True, **options)
        return [list(loader), lib.rand(1), list(loader)]

    agree(program)


def test_persistent_workers_keep_their_streams():
    def program(lib, data):
        loader = data.DataLoader(Draws(lib), 2, shuffle=True, num_workers=2, persistent_workers=True)
        return [list(loader), lib.rand(1), list(loader)]

    agree(program)


def stream(lib, data, size, shard=False):
    class Stream(data.IterableDataset):
        length = size

        def __iter__(self):
            info = data.get_worker_info() if shard else None
            return iter(range(self.length) if info is None else range(info.id, self.length, info.num_workers))

    return Stream()


@pytest.mark.parametrize("batch_size", [None, 1, 3])
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("shard", [False, True])
def test_streams(batch_size, drop_last, workers, shard):
    if drop_last and batch_size is None:
        return

    def program(lib, data):
        loader = data.DataLoader(stream(lib, data, 8, shard), batch_size, num_workers=workers, drop_last=drop_last)
        return [list(loader), list(loader)]

    agree(program)


def test_worker_init_fn_sets_up_the_copy_of_its_worker():
    def program(lib, data):
        def init(number):
            info = data.get_worker_info()
            info.dataset.length = number + 2

        whole = stream(lib, data, 8)
        read = list(data.DataLoader(whole, None, num_workers=2, worker_init_fn=init))
        return [read, whole.length]

    agree(program)


def test_chained_streams():
    agree(lambda lib, data: list(data.DataLoader(stream(lib, data, 3) + stream(lib, data, 2), 2)))


# ---- batches -------------------------------------------------------------------------------------------------

Point = collections.namedtuple("Point", ["x", "y"])

BATCHES = [
    lambda lib: [lib.arange(3), lib.arange(3) + 5],
    lambda lib: [lib.zeros(2, 0), lib.zeros(2, 0)],
    lambda lib: [lib.tensor(1), lib.tensor(2)],
    lambda lib: [lib.tensor([1]), lib.tensor([2.5])],
    lambda lib: [lib.ones(2).to(lib.bfloat16), lib.ones(2).to(lib.bfloat16)],
    lambda lib: [np.arange(4).reshape(2, 2), np.ones((2, 2), int)],
    lambda lib: [np.ones(2, np.float16), np.zeros(2, np.float16)],
    lambda lib: [np.float32(1.5), np.float32(2)],
    lambda lib: [np.float64(1.5), np.float64(2)],
    lambda lib: [np.int8(1), np.int8(2)],
    lambda lib: [np.bool_(True), np.bool_(False)],
    lambda lib: [1.5, 2.5],
    lambda lib: [1.5, 2],
    lambda lib: [1, 2],
    lambda lib: [1, 2.5],
    lambda lib: [True, False],
    lambda lib: [2**40, -1],
    lambda lib: ["a", "bc"],
    lambda lib: [b"a", b"bc"],
    lambda lib: [(1, "a", 2.0), (3, "b", 4.0)],
    lambda lib: [[1, 2], [3, 4]],
    lambda lib: [Point(1, (2.0, "x")), Point(3, (4.0, "y"))],
    lambda lib: [{"a": 1, "b": [1.0, 2.0]}, {"a": 2, "b": [3.0, 4.0]}],
    lambda lib: [collections.OrderedDict(a=1), collections.OrderedDict(a=2)],
    lambda lib: [collections.UserDict(a=1), collections.UserDict(a=2)],
    lambda lib: [collections.deque([1, 2]), collections.deque([3, 4])],
    lambda lib: [range(3), range(3)],
    lambda lib: [[], []],
]


def exactly(value):
    """`plain`, with the types of containers."""
    if isinstance(value, (collections.UserDict, collections.OrderedDict)):
        return type(value).__name__, {key: exactly(entry) for key, entry in value.items()}
    if isinstance(value, collections.deque):
        return "deque", [exactly(entry) for entry in value]
    return plain(value)


@pytest.mark.parametrize("case", range(len(BATCHES)))
def test_default_collate(case):
    ours, theirs = (exactly(lib.utils.data.default_collate(BATCHES[case](lib))) for lib in LIBRARIES)
    assert ours == theirs


@pytest.mark.parametrize("case", range(len(BATCHES)))
def test_default_convert(case):
    ours, theirs = (
        [exactly(lib.utils.data.default_convert(sample)) for sample in BATCHES[case](lib)] for lib in LIBRARIES
    )
    assert ours == theirs


BAD_BATCHES = [
    lambda lib: [lib.zeros(2), lib.zeros(3)],
    lambda lib: [np.zeros(2), np.zeros(3)],
    lambda lib: [(1, 2), (1, 2, 3)],
    lambda lib: [None, None],
    lambda lib: [object()],
    lambda lib: [np.array(["a"]), np.array(["b"])],
    lambda lib: [np.array([None]), np.array([None])],
    lambda lib: [{"a": 1}, {"b": 2}],
    lambda lib: [{1}, {2}],
    lambda lib: [],
]


@pytest.mark.parametrize("case", range(len(BAD_BATCHES)))
def test_bad_batches(case):
    kinds = []
    for lib in LIBRARIES:
        with pytest.raises(Exception) as caught:
            lib.utils.data.default_collate(BAD_BATCHES[case](lib))
        kinds.append(caught.type)
    assert kinds[0] is kinds[1]


# ---- options -------------------------------------------------------------------------------------------------

BAD_OPTIONS = [
    {"num_workers": -1},
    {"timeout": -1},
    {"prefetch_factor": 2},
    {"num_workers": 1, "prefetch_factor": -1},
    {"persistent_workers": True},
    {"sampler": [0], "shuffle": True},
    {"batch_sampler": [[0]], "batch_size": 2},
    {"batch_sampler": [[0]], "shuffle": True},
    {"batch_sampler": [[0]], "sampler": [0]},
    {"batch_sampler": [[0]], "drop_last": True},
    {"batch_size": None, "drop_last": True},
    {"batch_size": 0},
    {"batch_size": True},
    {"batch_size": 1.5},
    {"drop_last": "yes"},
    {"multiprocessing_context": "fork"},
    {"multiprocessing_context": "teleport", "num_workers": 1},
    {"multiprocessing_context": 3, "num_workers": 1},
    {"timeout": 1},
]
BAD_FOR_STREAMS = [{"shuffle": True}, {"sampler": [0]}, {"batch_sampler": [[0]]}]


@pytest.mark.parametrize("options", BAD_OPTIONS + BAD_FOR_STREAMS)
def test_bad_options(options):
    kinds = []
    for lib in LIBRARIES:
        data = lib.utils.data
        dataset = stream(lib, data, 3) if options in BAD_FOR_STREAMS else [1, 2, 3]
        with pytest.raises(Exception) as caught:
            next(iter(data.DataLoader(dataset, **options)))
        kinds.append(caught.type)
    assert kinds[0] is kinds[1]


def test_bad_arguments_elsewhere():
    attempts = [
        lambda lib, data: data.TensorDataset(lib.zeros(2), lib.zeros(3)),
        lambda lib, data: data.StackDataset(),
        lambda lib, data: data.StackDataset([1], [1, 2]),
        lambda lib, data: data.StackDataset([1], a=[1]),
        lambda lib, data: data.ConcatDataset([]),
        lambda lib, data: data.ConcatDataset([stream(lib, data, 2)]),
        lambda lib, data: data.ConcatDataset([[1, 2]])[-3],
        lambda lib, data: data.ConcatDataset([[1, 2]])[2],
        lambda lib, data: list(data.ChainDataset([[1, 2]])),
        lambda lib, data: len(data.ChainDataset([[1, 2]])),
        lambda lib, data: data.random_split([1, 2], [1, 2]),
        lambda lib, data: data.random_split([1, 2], [-0.5, 1.5]),
        lambda lib, data: data.RandomSampler([1], replacement=1),
        lambda lib, data: data.RandomSampler([]),
        lambda lib, data: data.RandomSampler([1], num_samples=0),
        lambda lib, data: data.WeightedRandomSampler([1.0], 0),
        lambda lib, data: data.WeightedRandomSampler([1.0], True),
        lambda lib, data: data.WeightedRandomSampler([1.0], 1, replacement=1),
        lambda lib, data: data.WeightedRandomSampler([[1.0]], 1),
        lambda lib, data: iter(data.Sampler()),
        lambda lib, data: data.Dataset()[0],
        lambda lib, data: len(data.Dataset()),
        lambda lib, data: data.IterableDataset(),
        lambda lib, data: data.DistributedSampler([1], 2, 2),
        lambda lib, data: next(iter(data.DataLoader(numbers(lib), sampler=[N]))),
        lambda lib, data: setattr(data.DataLoader([1]), "batch_size", 3),
        lambda lib, data: len(data.DataLoader(stream(lib, data, 3))),
    ]
    for number, attempt in enumerate(attempts):
        kinds = []
        for lib in LIBRARIES:
            with pytest.raises(Exception) as caught:
                attempt(lib, lib.utils.data)
            kinds.append(caught.type)
        assert kinds[0] is kinds[1], number


def test_warnings():
    def overlong(lib, data):
        dataset = stream(lib, data, 4)
        type(dataset).__len__ = lambda self: 2
        loader = data.DataLoader(dataset)
        assert len(loader) == 2
        return list(loader)

    attempts = [
        overlong,
        lambda lib, data: list(data.DataLoader([1], pin_memory=True)),
        lambda lib, data: data.random_split([1], [0.5, 0.5]),
    ]
    for attempt in attempts:
        for lib in LIBRARIES:
            with pytest.warns(UserWarning):
                attempt(lib, lib.utils.data)
