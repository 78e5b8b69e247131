"""Saving and loading: what is written is read back, classes are not, and a file is replaced whole or not at all."""

from __future__ import annotations

import argparse
import collections
import copy
import dataclasses
import enum
import gzip
import io
import os
import pickle
import stat
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tapegrad as torch
from tapegrad.io import archive, atomic

FORMATS = [{}, {"_use_new_zipfile_serialization": False}]
DTYPES = "bool uint8 int8 int16 int32 int64 uint16 uint32 uint64 float16 bfloat16 float32 float64 complex64 complex128"


def saved(value, **options) -> io.BytesIO:
    file = io.BytesIO()
    torch.save(value, file, **options)
    file.seek(0)
    return file


def returned(value, **options):
    return torch.load(saved(value, **options))


def same(a, b) -> bool:
    """Equal in type and value, down to the bits of tensors."""
    if type(a) is not type(b):
        return False
    if isinstance(a, torch.Tensor):
        flags = (a.dtype, a.shape, a.requires_grad, a.stride() if a.numel() else 0)
        return flags == (b.dtype, b.shape, b.requires_grad, b.stride() if b.numel() else 0) and (
            a.array.tobytes() == b.array.tobytes()
        )
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b or a != a


# ---- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", FORMATS)
@pytest.mark.parametrize("name", DTYPES.split())
def test_types_of_elements(name, options):
    x = torch.tensor([[0, 1, 2], [3, 4, 100]]).to(getattr(torch, name))
    for value in (x, x.t(), x[1, 1:], x[0, 0], x[:0], x.expand(2, 2, 3)):
        assert same(returned(value, **options), value)


@pytest.mark.parametrize("options", FORMATS)
def test_containers_and_small_values(options):
    value = {
        "numbers": [
            0,
            1,
            255,
            256,
            65535,
            65536,
            -1,
            2**31,
            -(2**31),
            2**63,
            -(2**63),
            10**400,
            0.5,
            float("inf"),
            1 - 2j,
        ],
        "texts": ["", "plain", "ünï", "\ud800", b"", b"\x00\xff", bytearray(b"ab")],
        "none": [None, True, False, ...],
        "tuples": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
        "sets": [{1, "a"}, frozenset([2]), set()],
        "ranges": [range(1, 9, 2)],
        "torch": [torch.Size([2, 3]), torch.Size([]), torch.float16, torch.bool, torch.strided, torch.channels_last],
        "devices": [torch.device("cpu"), torch.device("cuda:1")],
        (1, ("key", None)): collections.OrderedDict(b=1, a=2),
        3: collections.Counter("abca"),
        torch.float32: collections.defaultdict(list, {1: [2]}),
        "long": list(range(2500)),
        "many": {i: str(i) for i in range(2500)},
    }
    assert same(returned(value, **options), value)
    assert returned(slice(1, None, 2), **options) == slice(1, None, 2)
    assert returned(value, **options)[torch.float32].default_factory is list


@pytest.mark.parametrize("options", FORMATS)
def test_identity_and_cycles(options):
    inner, x = [1], torch.ones(2)
    value = {"a": inner, "b": inner, "x": x, "again": [x, (x,)]}
    value["self"] = value
    found = returned(value, **options)
    assert found["a"] is found["b"] and found["self"] is found
    assert found["x"] is found["again"][0] is found["again"][1][0]


@pytest.mark.parametrize("options", FORMATS)
def test_tensors_that_share_memory_share_it_again(options):
    x = torch.arange(12.0).reshape(3, 4)
    found = returned([x, x.t(), x[1:, ::2], x.view(-1)[5:7], x.clone()], **options)
    found[0][1, 2] = 99
    assert found[1][2, 1] == 99 and found[2][0, 1] == 99 and found[4][1, 2] == 6
    assert found[3].storage_offset() == 5
    assert found[0]._version == found[2]._version == 1  # autograd sees the change through every view


def test_a_view_is_saved_without_the_rest_of_its_memory():
    assert len(saved(torch.zeros(100_000)[10:12]).getvalue()) < 1500
    first, last = returned([*torch.zeros(1000).split(500)][::-1])
    assert (first.storage_offset(), last.storage_offset()) == (500, 0)


@pytest.mark.parametrize("options", FORMATS)
def test_views_of_another_type_share_memory_too(options):
    z = torch.ones(3, dtype=torch.complex64)
    found = returned([torch.view_as_real(z), z[1:]], **options)
    found[0][1, 0] = 7
    assert found[1][0] == 7


def test_memory_that_a_file_cannot_describe_is_copied():
    array = np.zeros(4, dtype=[("a", "<f4"), ("b", "i1")])["a"]  # strides are no multiple of the element
    array[...] = range(4)
    assert returned(torch.from_numpy(array)).tolist() == [0, 1, 2, 3]
    assert returned(torch.from_numpy(np.arange(3.0)).flip(0)).tolist() == [2, 1, 0]


@pytest.mark.parametrize("options", FORMATS)
def test_parameters_buffers_and_attributes(options):
    parameter, frozen = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2), requires_grad=False)
    parameter.note = "kept"
    buffer, leaf, plain = torch.nn.Buffer(torch.ones(1)), torch.ones(1, requires_grad=True), torch.ones(1)
    plain.note = ["kept"]
    found = returned([parameter, frozen, buffer, leaf, plain, leaf * 2], **options)
    kinds = [type(t).__name__ for t in found]
    assert kinds == ["Parameter", "Parameter", "Buffer", "Tensor", "Tensor", "Tensor"]
    assert [t.requires_grad for t in found] == [True, False, False, True, False, True]
    assert found[0].note == "kept" and found[4].note == ["kept"] and found[2].persistent and found[5].is_leaf


def test_lazy_parameters_that_have_no_values_yet():
    with pytest.raises(ValueError, match="uninitialized parameter or buffer has no values yet"):
        saved(torch.nn.LazyLinear(2).state_dict())


@pytest.mark.parametrize("options", FORMATS)
def test_states_of_a_training_run(options):
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=10)
    model(torch.rand(4, 3)).square().sum().backward()
    optimizer.step()
    scheduler.step()
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()}
    found = returned(state, **options)
    assert same(found, state)
    assert found["model"]._metadata == state["model"]._metadata
    other = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    assert repr(other.load_state_dict(found["model"])) == "<All keys matched successfully>"


def test_generators_and_their_states():
    generator = torch.Generator().manual_seed(5)
    torch.randn(3, generator=generator)  # leaves half of a pair behind
    other, state = returned([generator, generator.get_state()])
    third = torch.Generator()
    third.set_state(state)
    expected = torch.randn(5, generator=generator)
    assert same(torch.randn(5, generator=other), expected) and same(torch.randn(5, generator=third), expected)


def test_numpy_numbers_and_arrays_of_numbers():
    value = [np.float32(1.5), np.int64(3), np.bool_(True), np.arange(6).reshape(2, 3).T, np.ones(2, ">f4"), np.zeros(0)]
    found = returned(value)
    assert [type(v) for v in found] == [type(v) for v in value]
    assert all(a.dtype == b.dtype.newbyteorder("=") and np.array_equal(a, b) for a, b in zip(found, value))
    with pytest.warns(UserWarning, match="ndarray of <U1"):
        file = saved(np.array(["a"]))
    with pytest.raises(pickle.UnpicklingError, match="not one of numbers"):
        torch.load(file)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(-(2**63), 2**63), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(values, st.sampled_from(FORMATS))
def test_any_plain_value(value, options):
    assert same(returned(value, **options), value)


# ---- classes ---------------------------------------------------------------------------------------------------------


class Color(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Settings:
    lr: float
    color: Color


Pair = collections.namedtuple("Pair", "left right")


class Slotted:
    __slots__ = ("value",)


class Loud:
    """Would say so if any of its code were run by loading."""

    def __init__(self):
        self.value = 1

    def __setstate__(self, state):
        raise AssertionError("code was run")

    def __reduce_ex__(self, protocol):
        return object.__reduce_ex__(self, protocol)


class Evil:
    def __reduce__(self):
        return os.system, ("echo run > evil",)


def quietly_saved(value) -> io.BytesIO:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return saved(value)


REFUSED = """load: the file holds an object of {}, and loading reads data only
  fix: save model.state_dict() and plain values instead of objects; tapegrad.io.load_weights(file) reads the tensors \
of a whole saved model; torch.serialization.add_safe_globals([...]) admits a class of yours"""


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (argparse.Namespace(lr=1), "argparse.Namespace"),
        (Pair(1, 2), f"{__name__}.Pair"),
        (Color.RED, f"{__name__}.Color"),
        (Path("x"), f"{type(Path()).__module__}.{type(Path()).__name__}"),
        (torch.nn.Linear(1, 1), "tapegrad.nn.linear.Linear"),
        (len, "builtins.len"),
        (Loud, f"{__name__}.Loud"),
        (Evil(), f"{os.name}.system" if os.name != "posix" else "posix.system"),
    ],
)
def test_classes_are_refused_by_name(value, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.warns(UserWarning, match="torch.load will refuse"):
        file = saved({"a": [value]})
    assert torch.serialization.get_unsafe_globals_in_checkpoint(file)[0] == name
    for options in ({}, {"weights_only": True}, {"weights_only": False}):
        file.seek(0)
        with warnings.catch_warnings(record=True) as caught, pytest.raises(pickle.UnpicklingError) as error:
            warnings.simplefilter("always")
            torch.load(file, **options)
        assert str(error.value) == REFUSED.format(name)
        assert [str(w.message).partition("\n")[0] for w in caught] == (
            ["load: weights_only=False is not followed: loading never runs code, it reads data only"]
            if options.get("weights_only") is False
            else []
        )
    assert not (tmp_path / "evil").exists()


def test_classes_that_are_declared_safe_come_back_as_data():
    slotted = Slotted()
    slotted.value = 3
    value = [argparse.Namespace(lr=0.1), Settings(0.5, Color.RED), Pair(1, torch.ones(2)), slotted, Loud()]
    file = quietly_saved(value)
    classes = [argparse.Namespace, Settings, Color, Pair, Slotted, (Loud, f"{__name__}.Loud")]
    with torch.serialization.safe_globals(classes):
        assert set(torch.serialization.get_safe_globals()) == {argparse.Namespace, Settings, Color, Pair, Slotted, Loud}
        found = torch.load(file)
        assert same(saved(value).getvalue(), file.getvalue())  # and saving does not warn
    assert found[:2] == value[:2] and found[2].right.tolist() == [1, 1]
    assert found[3].value == 3 and found[4].value == 1
    assert torch.serialization.get_safe_globals() == []
    file.seek(0)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(file)


def test_safe_classes_cannot_be_called_and_functions_are_never_safe():
    file = quietly_saved(Path("x"))
    with (
        torch.serialization.safe_globals([type(Path("x"))]),
        pytest.raises(pickle.UnpicklingError, match="can only be made by calling"),
    ):
        torch.load(file)
    with pytest.raises(TypeError, match="only classes can be declared safe"):
        torch.serialization.add_safe_globals([os.system])


@pytest.mark.parametrize("options", FORMATS)
def test_a_whole_model(options):
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    model.register_buffer("steps", torch.ones(1), persistent=False)
    with pytest.warns(UserWarning, match=r"save obj\.state_dict\(\)"):
        file = saved(model, **options)
    assert same(torch.io.load_weights(file), collections.OrderedDict(model.state_dict().items()))
    file.seek(0)
    with torch.serialization.safe_globals([torch.nn.Sequential, torch.nn.Linear, torch.nn.BatchNorm1d]):
        found = torch.load(file)
    assert repr(found) == repr(model)
    assert torch.equal(found.eval()(torch.ones(1, 2)), model.eval()(torch.ones(1, 2)))
    nested = torch.io.load_weights(quietly_saved({"epoch": 3, "nets": [model, model.state_dict()]}))
    assert next(iter(nested)) == "nets.0.0.weight" and "nets.1.1.running_var" in nested
    tied = torch.io.load_weights(quietly_saved(torch.nn.ModuleList([model[0], model[0]])))
    assert list(tied) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    with pytest.raises(ValueError, match="no tensor"):
        torch.io.load_weights(saved({"a": 1}))
    wide: list = [torch.ones(1)]
    for _ in range(40):
        wide = [wide, wide]  # 2**40 paths
    deep: dict = {}
    cycle = deep["itself"] = deep
    deep["x"] = torch.ones(1)
    assert list(torch.io.load_weights(saved(cycle))) == ["x"]
    with pytest.raises(ValueError, match="repeats too much"):
        torch.io.load_weights(saved(wide))


def test_what_has_no_name_cannot_be_saved():
    class Local:
        pass

    for value in (lambda: 0, Local()):
        with pytest.raises(pickle.PicklingError, match="not found under its own name"):
            saved(value)
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(pickle.PicklingError, match="nested too deeply"):
        saved(deep)


# ---- arguments -------------------------------------------------------------------------------------------------------


def test_map_location_and_other_arguments(tmp_path):
    path = tmp_path / "x.pt"
    torch.save(torch.ones(2), path)
    for location in (None, "cpu", torch.device("cpu"), {"cuda:0": "cpu"}, lambda storage, where: storage):
        assert torch.load(path, location).tolist() == [1, 1]
    for location in ("cuda", torch.device("cuda", 1), {"cpu": "cuda:0"}):
        with pytest.raises(RuntimeError, match="on the CPU only"):
            torch.load(path, map_location=location)
    assert torch.load(str(path), None, pickle, weights_only=True, mmap=False, encoding="latin1").tolist() == [1, 1]
    with pytest.raises(TypeError, match="unknown argument"):
        torch.load(path, strange=1)


def test_mapped_files(tmp_path):
    path = tmp_path / "x.pt"
    x = torch.arange(100_000.0)
    torch.save({"x": x, "bad": torch.tensor([True])}, path)
    before = path.read_bytes()
    found = torch.load(path, mmap=True)
    path.unlink()
    assert same(found["x"], x)
    found["x"][0] = 5  # in memory only
    path.write_bytes(before)
    assert torch.load(path, mmap=True)["x"][0] == 0
    with pytest.raises(ValueError, match="only a path"):
        torch.load(io.BytesIO(before), mmap=True)
    torch.save(x, path, _use_new_zipfile_serialization=False)
    with pytest.raises(RuntimeError, match="older format cannot be mapped"):
        torch.load(path, mmap=True)


def test_file_objects(tmp_path):
    class Sink:
        data = b""

        def write(self, data):
            assert isinstance(data, bytes)
            self.data += data

    class Tap:
        def __init__(self, data):
            self.read = io.BytesIO(data).read

    value = {"x": torch.arange(5)}
    sink = Sink()
    torch.save(value, sink)
    assert same(torch.load(Tap(sink.data)), value)
    with gzip.open(tmp_path / "x.gz", "wb") as file:
        torch.save(value, file)
    with gzip.open(tmp_path / "x.gz", "rb") as file:
        assert same(torch.load(file), value)
    file = io.BytesIO(b"before")
    file.seek(0, io.SEEK_END)
    for i in range(3):  # the older format may be written to one file several times
        torch.save(i, file, _use_new_zipfile_serialization=False)
    file.seek(6)
    assert [torch.load(file) for _ in range(3)] == [0, 1, 2]
    file = io.BytesIO(b"before" + sink.data)
    file.seek(6)
    assert same(torch.load(file), value)
    with open(__file__) as text, pytest.raises(TypeError, match="open as text"):
        torch.load(text)
    for call in (torch.load, lambda f: torch.save(1, f)):
        with pytest.raises(AttributeError, match="f must be a path, or a file object"):
            call(3)


def test_files_of_another_byte_order():
    out = io.BytesIO()
    with zipfile.ZipFile(saved(torch.tensor([1.0, 2.0]))) as given, zipfile.ZipFile(out, "w") as changed:
        for name in given.namelist():
            content = given.read(name)
            content = b"big" if name.endswith("byteorder") else content
            content = np.frombuffer(content, "<f4").astype(">f4").tobytes() if "/data/" in name else content
            changed.writestr(name, content)
    out.seek(0)
    assert torch.load(out).tolist() == [1, 2]


def test_zipfile_reads_what_is_written():
    with zipfile.ZipFile(saved({"x": torch.ones(3), "y": torch.zeros(2)})) as file:
        assert file.testzip() is None
        assert file.namelist() == [
            f"archive/{name}" for name in ("data.pkl", "byteorder", "data/0", "data/1", "version")
        ]
        file.fp.seek(0)
        entries = archive.ZipReader(archive.Source(file.fp)).entries
        assert entries["archive/data/0"].start % 64 == 0 and entries["archive/data/1"].start % 64 == 0


def test_equal_values_make_equal_files():
    assert saved([torch.ones(2), "a"]).getvalue() == saved([torch.ones(2), "a"]).getvalue()


def test_archives_of_more_than_4_gb(tmp_path):
    """A hole in a sparse file stands for 8 GB: the wide fields are written, and read here and by zipfile."""

    class Huge(bytes):
        def __len__(self):
            return 2**33

    class Sparse:
        def __init__(self, file):
            self.file = file

        def write(self, data):
            self.file.seek(len(data), io.SEEK_CUR) if type(data) is Huge else self.file.write(data)

    path = tmp_path / "large.zip"
    with open(path, "wb") as file:
        writer = archive.ZipWriter(Sparse(file))
        writer.add("a/data/0", Huge(b"x"))
        writer.add("a/data/1", b"123", align=True)
        writer.close()
    with open(path, "rb") as file:
        reader = archive.ZipReader(archive.Source(file))
        assert reader.entries["a/data/0"].size == 2**33 and reader.entries["a/data/1"].start > 2**33
        assert reader.entries["a/data/1"].start % 64 == 0 and reader.read("a/data/1") == b"123"
        with zipfile.ZipFile(file) as other:
            assert other.getinfo("a/data/0").file_size == 2**33 and other.read("a/data/1") == b"123"


# ---- replaced whole, or not at all -----------------------------------------------------------------------------------


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("failing", ["os.fsync", "os.replace", "write"])
def test_a_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch, failing):
    path = tmp_path / "x.pt"
    torch.save("old", path)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        if failing == "write":
            patch.setattr("tapegrad.io.files.write_zip", full)
        else:
            patch.setattr(failing, full)
        with pytest.raises(OSError, match="No space left"):
            torch.save("new", path)
    assert names(tmp_path) == ["x.pt"] and torch.load(path) == "old"


def test_the_order_of_an_atomic_save(tmp_path, monkeypatch):
    events = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, real=real, name=name: (events.append(name), real(*a))[1])
    torch.save(1, tmp_path / "x.pt")
    assert events == ["fsync", "replace", "fsync"]  # the file, its name, the folder


def test_links_and_permissions(tmp_path):
    folder = tmp_path / "real"
    folder.mkdir()
    torch.save(1, folder / "x.pt")
    os.chmod(folder / "x.pt", 0o640)
    link = tmp_path / "link.pt"
    link.symlink_to(folder / "x.pt")
    torch.save(2, link)
    assert link.is_symlink() and torch.load(folder / "x.pt") == 2
    assert stat.S_IMODE((folder / "x.pt").stat().st_mode) == 0o640
    torch.save(3, "/dev/null")
    with pytest.raises(RuntimeError, match="folder does not exist"):
        torch.save(1, tmp_path / "none" / "x.pt")
    with pytest.raises(RuntimeError, match="the path is a folder"):
        torch.save(1, folder)
    for missing in (tmp_path / "none.pt", tmp_path / "none" / "x.pt"):
        with pytest.raises(FileNotFoundError):
            torch.load(missing)


KILLED = """
import sys
import tapegrad as torch
x = torch.zeros(200_000)
print("ready", flush=True)
while True:
    x += 1
    torch.save({"x": x}, sys.argv[1])
"""


def test_a_killed_save_leaves_a_whole_file(tmp_path):
    path = tmp_path / "x.pt"
    torch.save({"x": torch.zeros(200_000)}, path)
    for i in range(3):
        environment = {**os.environ, "PYTHONPATH": str(Path(torch.__file__).parent.parent)}
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, env=environment)
        try:
            assert process.stdout.readline() == b"ready\n"
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.05 + 0.03 * i)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
        x = torch.load(path)["x"]
        assert bool((x == x[0]).all())
    atomic.remove_leftovers(tmp_path, "x.pt")
    assert names(tmp_path) == ["x.pt"]


# ---- Python's own pickle and copy ------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_pickle_and_deepcopy_of_tensors(protocol):
    attributed = torch.ones(2)
    attributed.note = "kept"
    leaf, parameter = torch.ones(1, requires_grad=True), torch.nn.Parameter(torch.zeros(2, 2))
    tied = [parameter, parameter]
    value = [torch.ones(2, dtype=torch.bfloat16), leaf, torch.arange(6).reshape(2, 3).t(), attributed, *tied]
    for found in (pickle.loads(pickle.dumps(value, protocol)), copy.deepcopy(value)):
        assert all(torch.equal(a, b) for a, b in zip(found, value))
        assert [type(a) for a in found] == [type(a) for a in value]
        assert found[1].requires_grad and found[3].note == "kept" and found[4] is found[5]
    with pytest.raises(RuntimeError, match="only leaf tensors"):
        pickle.dumps(leaf * 2)
