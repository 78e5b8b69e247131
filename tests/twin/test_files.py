"""Files written here open in PyTorch with `weights_only=True`, and the reverse, in both formats."""

from __future__ import annotations

import argparse
import collections
import io
import pickle
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import tapegrad  # noqa: E402

FORMATS = [{}, {"_use_new_zipfile_serialization": False}]
WAYS = [(tapegrad, torch), (torch, tapegrad), (tapegrad, tapegrad)]
DTYPES = "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64 complex128"
WIDE = "uint16 uint32 uint64"  # PyTorch cannot read these back from its own older format

both = pytest.mark.parametrize(("writer", "reader"), WAYS, ids=["here-torch", "torch-here", "here-here"])
each_format = pytest.mark.parametrize("options", FORMATS, ids=["zip", "legacy"])


def moved(value, writer, reader, **options):
    """The value as `reader` reads what `writer` wrote."""
    file = io.BytesIO()
    writer.save(value, file, **options)
    file.seek(0)
    return reader.load(file, weights_only=True)


def plain(value):
    """Tensors as facts that are comparable between libraries."""
    if isinstance(value, (tapegrad.Tensor, torch.Tensor)):
        facts = [type(value).__name__, str(value.dtype), tuple(value.shape), value.stride(), value.requires_grad]
        if value.dtype in (torch.bfloat16, tapegrad.bfloat16):
            value = value.float()
        return [*facts, value.detach().resolve_conj().numpy().tobytes(), dict(value.__dict__)]
    if isinstance(value, (torch.dtype, tapegrad.dtype, torch.device, tapegrad.device, torch.layout, tapegrad.layout)):
        return repr(value)
    if isinstance(value, (torch.Size, tapegrad.Size)):
        return ("Size", *value)
    if isinstance(value, dict):
        extra = plain(value.__dict__) if hasattr(value, "__dict__") else {}
        return type(value).__name__, [(plain(key), plain(each)) for key, each in value.items()], extra
    if isinstance(value, (list, tuple)):
        return type(value)(map(plain, value))
    return value


@both
@each_format
@pytest.mark.parametrize("name", (DTYPES + " " + WIDE).split())
def test_tensors(name, writer, reader, options):
    x = writer.tensor([[0, 1, 2], [3, 4, 100]]).to(getattr(writer, name))
    if options and name in WIDE:
        if writer is torch and reader is tapegrad:
            assert plain(moved(x, writer, reader, **options)) == plain(x)
        return
    value = [x, x.t(), x[1, 1:], x[0, 0], x[:0], x.expand(2, 2, 3), x[:, ::2]]
    assert plain(moved(value, writer, reader, **options)) == plain(value)


@both
@each_format
def test_wide_unsigned_integers_written_here_are_read_there(writer, reader, options):
    for name in WIDE.split():
        if writer is tapegrad:
            x = tapegrad.tensor([1, 2]).to(getattr(tapegrad, name))
            assert plain(moved(x, writer, reader, **options)) == plain(x)


@both
@each_format
def test_shared_memory(writer, reader, options):
    x = writer.arange(12.0).reshape(3, 4)
    a, b, c, d = moved([x, x[1:, ::2].t(), x.view(-1)[5:7], x], writer, reader, **options)
    a[1, 2] = 99
    assert b[1, 0] == 99 and d is a and c.storage_offset() == 5
    assert (b.stride(), b.storage_offset()) == ((2, 4), 4)


@each_format
def test_views_of_several_types(options):
    """PyTorch does not save these; it reads them."""
    z = tapegrad.ones(3, dtype=tapegrad.complex64)
    x, y, w = moved([tapegrad.view_as_real(z)[1:], z, z[2:].view(tapegrad.int32)], tapegrad, torch, **options)
    x[0, 1] = 5
    assert y.tolist() == [1, 1 + 5j, 1] and w.tolist() == [1065353216, 0]


@both
@each_format
def test_values(writer, reader, options):
    value = {
        "numbers": [0, 255, 256, -1, 65536, 2**31, 2**63, -(2**63), 10**50, 0.1, float("inf"), 1 - 2j],
        "texts": ["", "ünï", b"", b"\x00\xff", bytearray(b"ab")],
        "constants": [None, True, False],
        "tuples": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, (4,))),
        "sets": [{1, "a"}, set()],
        "torch": [writer.Size([2, 3]), writer.float16, writer.bool, writer.strided],
        "devices": [writer.device("cpu"), writer.device("cuda:1")],
        (1, "key"): collections.OrderedDict(b=1, a=[2]),
        3: collections.Counter("abca"),
        "long": list(range(2500)),
        "many": {i: str(i) for i in range(2500)},
    }
    assert plain(moved(value, writer, reader, **options)) == plain(value)


@both
@each_format
def test_parameters_and_attributes(writer, reader, options):
    parameter, frozen = writer.nn.Parameter(writer.ones(2)), writer.nn.Parameter(writer.ones(2), requires_grad=False)
    noted, attributed = writer.nn.Parameter(writer.zeros(1)), writer.ones(1, requires_grad=True)
    noted.note, attributed.note = "kept", ["kept"]
    value = [parameter, frozen, noted, attributed, writer.ones(1, requires_grad=True) * 2]
    assert plain(moved(value, writer, reader, **options)) == plain(value)
    buffer = moved(writer.nn.Buffer(writer.ones(1)), writer, reader, **options)
    assert isinstance(buffer, reader.nn.Buffer) and buffer.persistent


@both
@each_format
def test_cycles(writer, reader, options):
    value = [1]
    value.append({"self": value})
    found = moved(value, writer, reader, **options)
    assert found[1]["self"] is found


# ---- a training run --------------------------------------------------------------------------------------------------


def network(lib):
    lib.manual_seed(1)
    return lib.nn.Sequential(lib.nn.Linear(3, 4, bias=False), lib.nn.BatchNorm1d(4), lib.nn.Tanh(), lib.nn.Linear(4, 2))


OPTIMIZERS = {
    "SGD": {"lr": 0.1, "momentum": 0.9},
    "Adam": {"amsgrad": True},
    "AdamW": {"weight_decay": 0.1},
    "RMSprop": {"momentum": 0.5},
    "Adagrad": {},
    "LBFGS": {},
}


def trained(lib, name, model, optimizer, scheduler, steps):
    for i in range(steps):
        x = lib.linspace(-1, 1, 12).reshape(4, 3) * (i + 1)

        def closure(x=x):
            optimizer.zero_grad()
            loss = model(x).square().sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        scheduler.step()
    return [p.detach().numpy().copy() for p in model.parameters()]


def parts(lib, name):
    model = network(lib)
    optimizer = getattr(lib.optim, name)(model.parameters(), **OPTIMIZERS[name])
    return model, optimizer, lib.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)


@pytest.fixture
def one_thread():
    """PyTorch's products of small matrices depend on the number of threads; the normalisation enlarges that to 1e-5."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@both
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_run_continues_in_the_other_library(name, writer, reader, tmp_path, one_thread):
    first = parts(writer, name)
    trained(writer, name, *first, 3)
    path = tmp_path / "run.pt"
    writer.save({"parts": [part.state_dict() for part in first]}, path)
    second = parts(reader, name)
    loaded = reader.load(path, weights_only=True)["parts"]
    assert plain(loaded) == plain([part.state_dict() for part in first])
    for part, state in zip(second, loaded):
        part.load_state_dict(state)
    for a, b in zip(trained(writer, name, *first, 3), trained(reader, name, *second, 3)):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-6)


def test_metadata_of_a_state(tmp_path):
    for writer, reader in WAYS:
        state = network(writer).state_dict()
        found = moved(state, writer, reader)
        assert found._metadata == state._metadata and type(found._metadata) is collections.OrderedDict
        network(reader).load_state_dict(found)


@both
def test_states_of_generators(writer, reader):
    writer.manual_seed(5)
    writer.randn(3)
    state = moved(writer.get_rng_state(), writer, reader)
    expected = writer.randn(5).tolist()
    reader.set_rng_state(state)
    assert reader.randn(5).tolist() == expected


def test_generators_themselves():
    """PyTorch reads them with `weights_only=False` only."""
    here = tapegrad.Generator().manual_seed(3)
    there = torch.load(_file(tapegrad, here), weights_only=False)
    again = tapegrad.load(_file(torch, there))
    expected = tapegrad.rand(3, generator=here).tolist()
    assert torch.rand(3, generator=there).tolist() == tapegrad.rand(3, generator=again).tolist() == expected


def _file(lib, value, **options) -> io.BytesIO:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lib.save(value, file, **options)
    file.seek(0)
    return file


# ---- what only PyTorch writes ----------------------------------------------------------------------------------------


def test_tensors_with_a_conjugate_or_negative_bit():
    z = torch.tensor([1 + 2j, 3 - 1j])
    for value in (z.conj(), z.conj().imag, torch.view_as_real(z.conj().resolve_conj())):
        for options in FORMATS:
            found = tapegrad.load(_file(torch, value, **options))
            assert found.tolist() == value.resolve_conj().resolve_neg().tolist()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@each_format
def test_every_protocol_of_pickle(protocol, options):
    value = {
        "x": torch.arange(3),
        "y": [b"bytes", "text", bytearray(b"ab"), {1, 2}, 2**40, True, 2.5],
        "long": ["a"] * 300,
    }
    found = tapegrad.load(_file(torch, value, pickle_protocol=protocol, **options))
    assert found["x"].tolist() == [0, 1, 2] and {k: found[k] for k in ("y", "long")} == {
        k: value[k] for k in ("y", "long")
    }


def test_numpy_arrays_go_both_ways():
    """Here they are data; PyTorch reads them with `weights_only=False` only."""
    value = [np.float32(1.5), np.arange(6).reshape(2, 3).T, np.bool_(True)]
    for writer, read in ((torch, tapegrad.load), (tapegrad, lambda f: torch.load(f, weights_only=False))):
        found = read(_file(writer, value))
        assert all(type(a) is type(b) and np.array_equal(a, b) for a, b in zip(found, value))


def test_what_pytorch_refuses_is_refused():
    class Local(torch.nn.Module):
        pass

    model = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.ReLU())
    for value, name in (
        (argparse.Namespace(a=1), "argparse.Namespace"),
        (model, "torch.nn.modules.container.Sequential"),
        (torch.ones(2, 2).max(0), "torch.return_types.max"),
        (collections.namedtuple, "collections.namedtuple"),
    ):
        file = _file(torch, value)
        with pytest.raises(pickle.UnpicklingError):
            torch.load(file, weights_only=True)
        file.seek(0)
        with pytest.raises(pickle.UnpicklingError, match=name):
            tapegrad.load(file)
        file.seek(0)
        unsafe = tapegrad.serialization.get_unsafe_globals_in_checkpoint(file)
        file.seek(0)
        assert {*unsafe} == {*torch.serialization.get_unsafe_globals_in_checkpoint(file)}
    for options in FORMATS:
        weights = tapegrad.io.load_weights(_file(torch, {"model": model, "epoch": 3}, **options))
        assert list(weights) == [f"model.{name}" for name in model.state_dict()]
        assert weights["model.0.weight"].tolist() == model[0].weight.tolist()
    for value, text in ((torch.eye(2).to_sparse(), "a sparse tensor"), (torch.ones(1, device="meta"), "device 'meta'")):
        with pytest.raises(pickle.UnpicklingError, match=text):
            tapegrad.load(_file(torch, value))
    with pytest.raises(pickle.UnpicklingError, match="float8_e4m3fn"):
        tapegrad.load(_file(torch, torch.ones(1).to(torch.float8_e4m3fn)))


def test_safe_classes_go_both_ways():
    value = argparse.Namespace(lr=0.1, x=[1])
    for writer, reader in WAYS:
        with reader.serialization.safe_globals([argparse.Namespace]):
            assert reader.load(_file(writer, value), weights_only=True) == value


def test_mapped_files(tmp_path):
    for writer, reader in WAYS:
        path = tmp_path / "x.pt"
        x = writer.arange(1000.0)
        writer.save({"x": x, "t": x.reshape(10, 100).t()}, path)
        found = reader.load(str(path), mmap=True, weights_only=True)
        found["x"][1] = 7
        assert found["t"][1, 0] == 7
        assert reader.load(str(path), weights_only=True)["x"][1] == 1


def test_a_script_module_and_damaged_files_are_refused_by_both(tmp_path):
    path = tmp_path / "x.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(torch.nn.ReLU()).save(str(path))
    with pytest.raises(pickle.UnpicklingError, match="TorchScript"):
        tapegrad.load(path)
    tapegrad.save({"x": tapegrad.arange(100)}, path)
    data = path.read_bytes()
    for text, kind in ((b"", EOFError), (data[:-50], RuntimeError), (b"<html>", pickle.UnpicklingError)):
        path.write_bytes(text)
        for lib in (torch, tapegrad):
            with pytest.raises(kind):
                lib.load(path, weights_only=True)


def test_a_whole_checkpoint_opens_in_pytorch(tmp_path):
    model = network(tapegrad)
    path = tapegrad.Checkpoint(tmp_path, model=model, generator=tapegrad.Generator()).save(4, extra={"best": 0.5})
    found = torch.load(path, weights_only=True)
    assert found["step"] == 4 and found["extra"] == {"best": 0.5}
    other = network(torch)
    other.load_state_dict(found["model"])
    assert [p.tolist() for p in other.parameters()] == [p.tolist() for p in model.parameters()]
