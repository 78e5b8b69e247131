"""The workers of a loader, as threads and as processes; and loaders that are continued (`state_dict`)."""

from __future__ import annotations

import functools
import gc
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import tapegrad as torch
from tapegrad.data import DataLoader, Dataset, IterableDataset, RandomSampler, TensorDataset, get_worker_info
from tapegrad.data.shared import Receiver, Sender, make_folder, remove_folder
from tapegrad.data.streams import streams_here

ROOT = Path(torch.__file__).resolve().parent.parent
FORKS = hasattr(os, "fork")
KINDS = ["thread", *(["fork"] if FORKS else [])]
kinds = pytest.mark.parametrize("kind", KINDS)
only_fork = pytest.mark.skipif(not FORKS, reason="this system cannot fork")


class Who(Dataset):
    """Which worker reads, and a draw of each stream."""

    def __init__(self, n=12):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        info = get_worker_info()
        worker = (info.id, info.num_workers, info.seed) if info else (-1, 0, 0)
        return (i, *worker, torch.rand(1).item(), random.random(), np.random.rand(), np.random.standard_normal())


class Stream(IterableDataset):
    """Numbers divided among the workers, each with a draw."""

    def __init__(self, n=23):
        self.n = n

    def __iter__(self):
        info = get_worker_info()
        start, step = (info.id, info.num_workers) if info else (0, 1)
        for i in range(start, self.n, step):
            yield i, torch.rand(1).item(), random.random()


class Stateful(Stream):
    """The same, able to say where it is; counts what it reads."""

    def __init__(self, n=23):
        super().__init__(n)
        self.done = 0
        self.reads = 0

    def state_dict(self):
        return {"done": self.done}

    def load_state_dict(self, state):
        self.done = state["done"]

    def __iter__(self):
        info = get_worker_info()
        start, step = (info.id, info.num_workers) if info else (0, 1)
        first, self.done = self.done, 0
        for i in list(range(start, self.n, step))[first:]:
            self.reads += 1
            self.done = (i - start) // step + 1
            yield i, torch.rand(1).item()


class Broken(Dataset):
    """Sample 5 cannot be read."""

    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 100

    def __getitem__(self, i):
        if i == 5:
            raise self.error
        return i


class Slow(Dataset):
    """Samples that take long; tells when a worker begins to read."""

    def __init__(self, seconds=30.0):
        self.seconds = seconds

    def __len__(self):
        return 100

    def __getitem__(self, i):
        time.sleep(self.seconds)
        return i


def rows(loader):
    return [row for batch in loader for row in batch]


def data_threads():
    return [t for t in threading.enumerate() if t.name.startswith("tapegrad data worker")]


def children():
    import multiprocessing

    return multiprocessing.active_children()


@pytest.fixture(autouse=True)
def nobody_is_left():
    yield
    gc.collect()
    assert not data_threads() and not children()
    if os.path.isdir("/dev/shm"):
        assert not [name for name in os.listdir("/dev/shm") if name.startswith(f"tapegrad-{os.getpid()}-")]


def run(program: str, **options) -> subprocess.Popen:
    """A program of its own, without `if __name__ == "__main__"`."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **options,
    )


# ---- what is read --------------------------------------------------------------------------------------------


@kinds
@pytest.mark.parametrize("workers", [1, 3])
def test_both_kinds_of_workers_read_the_same(kind, workers):
    """The numbers are those of a thread; tests/twin/test_data.py compares threads with PyTorch."""
    torch.manual_seed(1)
    options = {"batch_size": 2, "shuffle": True, "num_workers": workers, "collate_fn": list}
    expected = rows(DataLoader(Who(), **options))
    torch.manual_seed(1)
    read = rows(DataLoader(Who(), multiprocessing_context=kind, **options))
    assert read == expected
    assert [row[1] for row in read[::2]] == [i % workers for i in range(6)]
    seeds = {row[1]: row[3] for row in read}
    assert {seed - seeds[0] for seed in seeds.values()} == set(range(workers))


@kinds
@pytest.mark.parametrize("batch_size", [None, 4])
def test_streams_end_when_all_workers_have_ended(kind, batch_size):
    loader = DataLoader(Stream(), batch_size, num_workers=3, multiprocessing_context=kind, collate_fn=lambda x: x)
    read = list(loader) if batch_size is None else rows(loader)
    assert sorted(row[0] for row in read) == list(range(23))


@kinds
def test_batches_of_every_sort_arrive(kind):
    samples = [
        {"x": torch.rand(50, 50), "text": "a", "none": None, "array": np.arange(3), "deep": [(torch.tensor(True),)]},
        torch.zeros(0, 3),
        torch.ones(3, 4000).to(torch.bfloat16),
        torch.arange(9000).view(90, 100).T,
        np.arange(20000, dtype=">i4"),
        "just text",
        torch.ones(3, requires_grad=True),
    ]
    read = list(DataLoader(samples, batch_size=None, num_workers=2, multiprocessing_context=kind, collate_fn=pair))
    for (sample, again), original in zip(read, samples):
        assert again == 1
        if isinstance(original, torch.Tensor):
            assert sample.dtype == original.dtype and torch.equal(sample, original)
            assert sample.requires_grad == original.requires_grad
            with torch.no_grad():
                sample.zero_()  # it is ours
        elif isinstance(original, np.ndarray):
            assert sample.dtype == original.dtype and np.array_equal(sample, original)
    first = read[0][0]
    assert torch.equal(first["x"], samples[0]["x"]) and first["text"] == "a" and first["none"] is None
    assert first["deep"][0][0].item() is True


def pair(sample):
    return sample, 1


@kinds
def test_the_streams_of_the_caller_do_not_move(kind):
    torch.manual_seed(3)
    torch.empty((), dtype=torch.int64).random_()
    expected = torch.rand(1).item()
    torch.manual_seed(3)
    states = random.getstate(), np.random.get_state()[1].tolist()
    batches = iter(DataLoader(Who(), num_workers=2, multiprocessing_context=kind))
    next(batches)
    assert torch.rand(1).item() == expected
    list(batches)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states


@kinds
def test_out_of_order(kind):
    class Uneven(Dataset):
        def __len__(self):
            return 12

        def __getitem__(self, i):
            time.sleep(0.2 if i == 0 else 0)
            return i

    loader = DataLoader(Uneven(), 1, num_workers=2, in_order=False, multiprocessing_context=kind)
    read = [x.item() for x in loader]
    assert sorted(read) == list(range(12)) and read[0] != 0


@kinds
def test_persistent_workers_stay(kind):
    started = []
    loader = DataLoader(
        Who(),
        4,
        num_workers=2,
        persistent_workers=True,
        multiprocessing_context=kind,
        collate_fn=list,
        worker_init_fn=started.append,
    )
    first = rows(loader)
    workers = data_threads() or children()
    left = iter(loader)
    next(left)
    del left
    again = rows(loader)
    assert (data_threads() or children()) == workers and len(workers) == 2
    assert [row[0] for row in first] == [row[0] for row in again] and [row[4] for row in first] != [
        row[4] for row in again
    ]
    assert [row[3] for row in first] == [row[3] for row in again]
    if kind == "thread":
        assert sorted(started) == [0, 1]
    del loader


def test_an_older_iterator_of_persistent_workers_ends():
    loader = DataLoader(TensorDataset(torch.arange(6)), num_workers=1, persistent_workers=True)
    old = iter(loader)
    next(old)
    assert len(list(loader)) == 6
    assert list(old) == []


def test_what_a_thread_can_ask_about_its_streams():
    """The recipe of PyTorch's documents for seeding NumPy in a worker; and functions that are not the caller's."""

    def init(number):
        np.random.seed(torch.initial_seed() % 2**32)
        random.seed(torch.initial_seed())
        assert torch.initial_seed() == get_worker_info().seed
        torch.manual_seed(number)
        with torch.random.fork_rng():
            torch.rand(3)
        state = torch.get_rng_state()
        torch.rand(1)
        torch.set_rng_state(state)

    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    batches = list(DataLoader(Who(4), None, num_workers=2, worker_init_fn=init))
    generator = torch.Generator().manual_seed(0)
    assert batches[0][4] == torch.rand(1, generator=generator).item()
    generator.manual_seed(1)
    assert batches[1][4] == torch.rand(1, generator=generator).item()
    after = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    assert after[1:] == before[1:]
    assert random.random.__name__ == "random" and isinstance(random.random(), float)
    assert streams_here().python is random


@kinds
def test_grad_mode_of_a_worker_is_a_copy(kind):
    class Mode(Dataset):
        def __len__(self):
            return 3

        def __getitem__(self, i):
            with torch.enable_grad():
                inside = torch.is_grad_enabled()
            return torch.is_grad_enabled(), inside

    with torch.no_grad():
        loader = DataLoader(Mode(), None, num_workers=1, multiprocessing_context=kind)
        assert [tuple(sample) for sample in loader] == [(False, True)] * 3
        assert not torch.is_grad_enabled()


# ---- errors, Ctrl-C, sudden ends -----------------------------------------------------------------------------


class Odd(Exception):
    def __init__(self, a, b):
        super().__init__("odd")


@kinds
@pytest.mark.parametrize("error", [KeyError("page 5"), Odd(1, 2), OSError(2, "gone"), StopIteration("x")], ids=repr)
def test_an_error_ends_all_workers_and_shows_its_traceback(kind, error):
    batches = iter(DataLoader(Broken(error), num_workers=2, multiprocessing_context=kind))
    assert [next(batches).item() for _ in range(5)] == [0, 1, 2, 3, 4]
    expected = RuntimeError if kind == "fork" and isinstance(error, Odd) else type(error)
    with pytest.raises(expected) as caught:
        next(batches)
    text = str(caught.getrepr(style="long", chain=True)) + str(caught.value.__cause__ or "")
    assert "raise self.error" in text and "__getitem__" in text
    if sys.version_info >= (3, 11):
        assert caught.value.__notes__[-1] == "raised in DataLoader worker 1"
    assert not data_threads() and not children() and list(batches) == []


@kinds
def test_errors_elsewhere_in_a_worker(kind):
    def collate(samples):
        raise ZeroDivisionError

    def init(number):
        raise LookupError(f"worker {number}")

    for options, error in (({"collate_fn": collate}, ZeroDivisionError), ({"worker_init_fn": init}, LookupError)):
        with pytest.raises(error):
            list(DataLoader(Who(), num_workers=2, multiprocessing_context=kind, **options))
    loader = DataLoader(Who(), num_workers=1, persistent_workers=True, multiprocessing_context=kind)
    loader.collate_fn = collate
    with pytest.raises(ZeroDivisionError):
        list(loader)
    loader.collate_fn = list
    assert len(list(loader)) == 12


def test_sys_exit_in_a_thread_comes_out_of_the_loop():
    with pytest.raises(SystemExit):
        list(DataLoader(Broken(SystemExit(3)), num_workers=1))


@kinds
def test_timeout(kind):
    seconds = 1.5 if kind == "thread" else 30
    start = time.monotonic()
    loader = DataLoader(Slow(seconds), num_workers=2, timeout=0.2, multiprocessing_context=kind)
    with pytest.raises(RuntimeError, match=r"DataLoader timed out after 0.2 seconds"):
        next(iter(loader))
    assert time.monotonic() - start < 5
    for thread in data_threads():
        thread.join()


@only_fork
@pytest.mark.parametrize("how", ["kill", "exit"])
def test_a_process_that_ends(how):
    class Dies(Dataset):
        def __len__(self):
            return 9

        def __getitem__(self, i):
            if i == 4:
                os.kill(os.getpid(), signal.SIGKILL) if how == "kill" else os._exit(7)
            return i

    text = "got: killed by signal 9 .SIGKILL" if how == "kill" else "got: exit code 7"
    with pytest.raises(RuntimeError, match=rf"DataLoader worker 0 \(process \d+\) has ended unexpectedly\n  {text}"):
        list(DataLoader(Dies(), num_workers=2, multiprocessing_context="fork"))


@only_fork
def test_what_cannot_be_sent():
    class Functions(Dataset):
        def __len__(self):
            return 2

        def __getitem__(self, i):
            return lambda: i

    class Graphs(Functions):
        def __getitem__(self, i):
            return torch.ones(2, requires_grad=True) * 2

    def load(dataset):
        return list(DataLoader(dataset, None, num_workers=1, multiprocessing_context="fork"))

    with pytest.raises(Exception, match=r"pickle|local object"):
        load(Functions())
    with pytest.raises(
        RuntimeError, match=r"computed from others that require grad.*\n.*\n  fix: return tensor.detach"
    ):
        load(Graphs())


PROGRAM = """
    import sys, time, os
    import tapegrad as torch
    from tapegrad.utils.data import DataLoader, Dataset

    class Data(Dataset):
        def __len__(self):
            return 1000
        def __getitem__(self, i):
            time.sleep({seconds})
            return i

    for i, x in enumerate(DataLoader(Data(), num_workers=2, {options})):
        print(i, os.getpid(), flush=True)
"""


@kinds
def test_ctrl_c(kind):
    options = f"multiprocessing_context={kind!r}, persistent_workers={kind == 'fork'}"
    program = run(PROGRAM.format(seconds=0.02, options=options), start_new_session=True)
    for _ in range(3):
        assert program.stdout.readline()
    os.killpg(program.pid, signal.SIGINT)  # as the terminal does: to all of them
    _, err = program.communicate(timeout=30)
    assert program.returncode == -signal.SIGINT
    assert err.count("Traceback") == 1 and err.rstrip().endswith("KeyboardInterrupt")
    with pytest.raises(ProcessLookupError):
        os.killpg(program.pid, 0)


@only_fork
def test_workers_end_with_a_caller_that_is_killed():
    program = run(PROGRAM.format(seconds=0.02, options="multiprocessing_context='fork'"), start_new_session=True)
    for _ in range(3):
        assert program.stdout.readline()
    program.kill()
    program.wait()
    for _ in range(100):
        try:
            os.killpg(program.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.05)
    else:
        os.killpg(program.pid, signal.SIGKILL)
        pytest.fail("workers live on")
    program.communicate()


@kinds
def test_the_end_of_the_program_inside_a_loop(kind):
    options = f"persistent_workers=True, multiprocessing_context={kind!r}"
    program = run(PROGRAM.format(seconds=0.01, options=options) + "        if i == 3: sys.exit(5)\n")
    out, err = program.communicate(timeout=30)
    assert program.returncode == 5 and not err and len(out.splitlines()) == 4


def test_spawned_processes_get_the_dataset(tmp_path):
    """The way to start processes that needs `__main__` guarded, as everywhere in Python."""
    file = tmp_path / "program.py"
    file.write_text(
        textwrap.dedent("""
        import tapegrad as torch
        from tapegrad.utils.data import DataLoader, TensorDataset

        if __name__ == "__main__":
            torch.manual_seed(0)
            data = TensorDataset(torch.arange(4000.0).view(40, 100))
            loader = DataLoader(data, 20, shuffle=True, num_workers=1, multiprocessing_context="spawn")
            print([x[:, 0].sum().item() for x, in loader])
        """)
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, env=environment)
    torch.manual_seed(0)
    data = TensorDataset(torch.arange(4000.0).view(40, 100))
    expected = [x[:, 0].sum().item() for (x,) in DataLoader(data, 20, shuffle=True, num_workers=1)]
    assert done.returncode == 0 and json.loads(done.stdout) == expected, done.stderr


# ---- memory --------------------------------------------------------------------------------------------------


@kinds
def test_memory_does_not_grow(kind):
    dataset = TensorDataset(torch.rand(32, 3000))
    loader = DataLoader(dataset, 8, num_workers=2, multiprocessing_context=kind, collate_fn=functools.partial(take_all))
    list(loader)
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(2):
            for _ in loader:
                pass
        gc.collect()
        first = tracemalloc.get_traced_memory()[0]
        for _ in range(4):
            for _ in loader:
                pass
            next(iter(loader))
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < first + 20_000
    finally:
        tracemalloc.stop()
    if kind == "fork" and os.path.isdir("/proc/self/fd"):
        files = len(os.listdir("/proc/self/fd"))
        list(loader)
        assert len(os.listdir("/proc/self/fd")) == files


def take_all(samples):
    return torch.stack([x for (x,) in samples])


def test_nothing_needs_the_garbage_collector():
    gc.collect()
    gc.disable()
    try:
        for options in ({}, {"num_workers": 1}, {"num_workers": 1, "persistent_workers": True}):
            loader = DataLoader(TensorDataset(torch.arange(4)), 2, **options)
            list(loader)
            next(iter(loader))
            del loader
            assert not data_threads()
    finally:
        gc.enable()


def test_parcels():
    folder = make_folder()
    try:
        sender, receiver = Sender(folder, "w", 2), Receiver(folder, "w")
        for size in (10, 5_000, 200_000, 100, 400_000, 30_000):
            value = {"a": torch.rand(size), "b": [np.arange(size), b"raw"]}
            back = receiver.open(sender.pack(value))
            assert torch.equal(back["a"], value["a"]) and np.array_equal(back["b"][0], value["b"][0])
            back["b"][0][0] = 7
        if folder:
            assert len(os.listdir(folder)) == 2
        remove_folder(folder)  # as good as a full disk: the pipe takes all of it
        parcel = Sender(folder, "x", 1).pack(torch.ones(100_000))
        assert parcel.block == -1 and torch.equal(receiver.open(parcel), torch.ones(100_000))
        receiver.close()
    finally:
        remove_folder(folder)


# ---- continuing ----------------------------------------------------------------------------------------------


def seed_all(seed):
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)


def draws():
    return torch.rand(1).item(), random.random(), np.random.rand()


def stories(make, stop):
    """Two epochs without a stop; and the same with a stop after `stop` batches, continued by another loader."""
    seed_all(5)
    loader = make()
    whole = [list(loader), draws(), list(loader), draws()]

    seed_all(5)
    loader = make()
    epochs, state = [], None
    for _ in range(2):
        given = []
        if len(epochs) * 1000 <= stop < 1000 * len(epochs) + 1000:
            batches = iter(loader)
            given = [next(batches) for _ in range(stop % 1000)]
            state = json.loads(json.dumps(plain(loader.state_dict())))
            del batches
            seed_all(99)  # another program
            draws()
            loader = make()
            loader.load_state_dict(tensors(state))
            assert plain(loader.state_dict()) == state
        given += list(loader)
        epochs += [given, draws()]
    return whole, epochs


def plain(value):
    """A state as JSON: it holds tensors, numbers and strings only."""
    if isinstance(value, torch.Tensor):
        return {"tensor": value.tolist(), "dtype": str(value.dtype)}
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [plain(entry) for entry in value]
    assert value is None or type(value) in (int, float, bool, str), type(value)
    return value


def tensors(value):
    if isinstance(value, dict) and "tensor" in value:
        return torch.tensor(value["tensor"], dtype=getattr(torch, value["dtype"].removeprefix("torch.")))
    if isinstance(value, dict):
        return {key: tensors(entry) for key, entry in value.items()}
    return [tensors(entry) for entry in value] if isinstance(value, list) else value


class Own:
    """A sampler of the user's, which draws from Python's stream."""

    def __len__(self):
        return 12

    def __iter__(self):
        for _ in range(12):
            yield random.randrange(12)


OPTIONS = [
    {"batch_size": 2, "shuffle": True},
    {"batch_size": 5, "shuffle": False},
    {"batch_size": None, "shuffle": True},
    {"batch_size": 2, "sampler": "replacement"},
    {"batch_size": 2, "sampler": "own"},
    {"batch_size": 2, "shuffle": True, "generator": 7},
]


def loader_maker(dataset, options, workers, kind, persistent):
    def make():
        own = dict(options)
        if "generator" in own:
            own["generator"] = torch.Generator().manual_seed(own["generator"])
        if own.get("sampler") == "replacement":
            own["sampler"] = RandomSampler(range(12), replacement=True, num_samples=70, generator=torch.Generator())
        elif own.get("sampler") == "own":
            own["sampler"] = Own()
        if workers:
            own.update(num_workers=workers, multiprocessing_context=kind, persistent_workers=persistent)
        return DataLoader(dataset(), collate_fn=lambda samples: samples, **own)

    return make


WAYS = [(0, None, False), (2, "thread", False), (3, "thread", True), *([(2, "fork", True)] if FORKS else [])]


@pytest.mark.parametrize("stop", [0, 3, 1002])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_pass_is_continued(way, options, stop):
    if way[1] == "fork" and (stop == 0 or options not in OPTIONS[:2]):
        return
    whole, epochs = stories(loader_maker(Who, options, *way), stop)
    assert epochs == whole


@pytest.mark.parametrize("stop", [0, 2, 1003])
@pytest.mark.parametrize("dataset", [Stream, Stateful])
@pytest.mark.parametrize("batch_size", [None, 4])
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_stream_is_continued(way, batch_size, dataset, stop):
    whole, epochs = stories(loader_maker(dataset, {"batch_size": batch_size}, *way), stop)
    assert epochs == whole


def test_a_stream_with_a_state_is_not_read_again():
    first = DataLoader(Stateful(), 4)
    batches = iter(first)
    next(batches), next(batches)
    second = DataLoader(Stateful(), 4)
    second.load_state_dict(first.state_dict())
    assert len(list(second)) == 4 and second.dataset.reads == 23 - 8


def test_nothing_is_read_for_batches_that_were_given():
    class Counts(Who):
        reads = []

        def __getitem__(self, i):
            self.reads.append(i)
            return super().__getitem__(i)

    first, second = (DataLoader(Counts(), 2, shuffle=True, num_workers=2, collate_fn=list) for _ in range(2))
    batches = iter(first)
    given = [next(batches) for _ in range(4)]
    second.load_state_dict(first.state_dict())
    del batches
    Counts.reads.clear()
    rest = list(second)
    assert len(rest) == 2 and sorted(Counts.reads) == sorted(row[0] for batch in rest for row in batch)
    assert sorted(row[0] for batch in given + rest for row in batch) == list(range(12))


def test_a_pass_that_was_left_by_break():
    first, second = (DataLoader(Who(), 2, shuffle=True, collate_fn=list) for _ in range(2))
    seen = []
    for batch in first:
        seen += batch
        if len(seen) == 6:
            break
    second.load_state_dict(first.state_dict())
    seen += rows(second)
    assert sorted(row[0] for row in seen) == list(range(12))


def test_out_of_order_is_continued_without_loss():
    class Uneven(Who):
        def __getitem__(self, i):
            time.sleep(0.1 if i == 0 else 0)
            return i

    options = {"num_workers": 2, "in_order": False}
    first, second = (DataLoader(Uneven(), **options) for _ in range(2))
    batches = iter(first)
    seen = [next(batches).item() for _ in range(2)]
    assert 0 not in seen
    second.load_state_dict(first.state_dict())
    del batches
    third = DataLoader(Uneven(), **options)
    batches = iter(second)
    seen.append(next(batches).item())
    third.load_state_dict(second.state_dict())
    del batches
    assert sorted(seen + [x.item() for x in third]) == list(range(12))


def test_other_workers_keep_the_order_of_samples():
    first = DataLoader(Who(), 2, shuffle=True, num_workers=2, collate_fn=list)
    batches = iter(first)
    next(batches)
    state = first.state_dict()
    expected = [row[0] for row in rows(batches)]
    for workers in (0, 1, 3):
        second = DataLoader(Who(), 2, shuffle=True, num_workers=workers, collate_fn=list)
        second.load_state_dict(state)
        assert [row[0] for row in rows(second)] == expected


def test_states_that_do_not_fit():
    loader = DataLoader(Who(), 2)
    for state in (
        {},
        {"version": 99},
        None,
        [1],
        {**loader.state_dict(), "now": 3},
        {**loader.state_dict(), "given": None},
    ):
        with pytest.raises((ValueError), match="not the state of a DataLoader"):
            loader.load_state_dict(state)
    loader.load_state_dict(DataLoader(Who(), 2, generator=torch.Generator()).state_dict())
    with pytest.raises(ValueError, match="other generators\n  got: 1\n  expected: 0"):
        iter(loader)
    streams = DataLoader(Stream(), num_workers=2)
    batches = iter(streams)
    next(batches)
    for workers in (0, 1):
        other = DataLoader(Stream(), num_workers=workers)
        other.load_state_dict(streams.state_dict())
        with pytest.raises(ValueError, match=f"with as many workers\n  got: {workers}\n  expected: 2"):
            iter(other)


def test_a_checkpoint_holds_the_place(tmp_path):
    def make():
        return DataLoader(Who(), 2, shuffle=True, num_workers=2, collate_fn=list)

    first, second = make(), make()
    batches = iter(first)
    given = [next(batches) for _ in range(2)]
    torch.Checkpoint(tmp_path, loader=first).save(1)
    given += list(batches)
    torch.manual_seed(50)
    assert torch.Checkpoint(tmp_path, loader=second).load() == 1
    assert given[2:] == list(second) and len(given) == 6
