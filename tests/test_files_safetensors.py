"""safetensors and NumPy's archives: written, read, mapped; and strict with files that the formats do not allow."""

from __future__ import annotations

import io
import json
import zipfile
from pickle import UnpicklingError

import numpy as np
import pytest

import tapegrad as torch
from tapegrad.io import load_npz, safetensors, save_npz
from tapegrad.io.safetensors import SafetensorError, load, load_file, safe_open, save, save_file

DTYPES = "bool uint8 int8 uint16 int16 uint32 int32 uint64 int64 float16 bfloat16 float32 float64 complex64"


def same(a, b) -> bool:
    return a.dtype is b.dtype and a.shape == b.shape and a.array.tobytes() == b.array.tobytes()


# ---- safetensors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DTYPES.split())
def test_every_type(name, tmp_path):
    x = torch.tensor([[0, 1, 2], [3, 4, 100]]).to(getattr(torch, name))
    tensors = {"x": x, "t": x.clone().t(), "scalar": x[1, 1].clone(), "empty": x[:0].clone(), "ünï": x[0].clone()}
    path = tmp_path / "x.safetensors"
    save_file(tensors, path)
    for found in (load_file(path), load(path.read_bytes()), load(save(tensors))):
        assert set(found) == set(tensors)
        for key, t in tensors.items():
            assert same(found[key], t.contiguous())


def test_the_bytes_of_a_file():
    data = save({"b": torch.tensor([1, 2], dtype=torch.int16), "a": torch.tensor([[1.5]])}, {"made by": "hand"})
    n = int.from_bytes(data[:8], "little")
    assert n % 8 == 0 and json.loads(data[8 : 8 + n]) == {
        "__metadata__": {"made by": "hand"},
        "a": {"dtype": "F32", "shape": [1, 1], "data_offsets": [0, 4]},
        "b": {"dtype": "I16", "shape": [2], "data_offsets": [4, 8]},
    }
    assert data[8 + n :] == np.float32(1.5).tobytes() + b"\1\0\2\0"


def test_tensors_are_read_one_by_one_from_the_map(tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({"x": torch.arange(10.0).reshape(2, 5), "y": torch.ones(3)}, path, {"a": "1"})
    with safe_open(path, framework="pt", device="cpu") as file:
        assert file.keys() == ["x", "y"] == file.offset_keys() and file.metadata() == {"a": "1"}
        x, part = file.get_tensor("x"), file.get_slice("x")
        assert part.get_shape() == [2, 5] and part.get_dtype() == "F32"
        assert part[:, 1:3].tolist() == [[1, 2], [6, 7]]
        with pytest.raises(SafetensorError, match="no tensor of this name"):
            file.get_tensor("z")
    x[0, 0] = 9  # in memory only
    assert load_file(path)["x"][0, 0] == 0
    save_file({"x": torch.zeros(1)}, path)  # the map of the old file stays
    assert x[1].tolist() == [5, 6, 7, 8, 9]
    with pytest.raises(RuntimeError, match="CPU only"):
        load_file(path, device="cuda")
    with pytest.raises(SafetensorError, match="tensors only"):
        safe_open(path, framework="np")
    with pytest.raises(FileNotFoundError):
        load_file(tmp_path / "none")


def test_what_cannot_be_saved(tmp_path):
    x = torch.ones(4)
    with pytest.raises(RuntimeError, match="'a' and 'b' share memory"):
        save({"a": x, "b": x[2:]})
    assert load(save({"a": x[:2], "b": x[2:]}))["b"].tolist() == [1, 1]  # one array, two parts
    for tensors, kind in (({"a": 1}, TypeError), ({1: x}, TypeError), ({"__metadata__": x}, ValueError)):
        with pytest.raises(kind):
            save(tensors)
    with pytest.raises(ValueError, match=r"no type for torch\.complex128"):
        save({"z": torch.ones(1, dtype=torch.complex128)})
    with pytest.raises(TypeError, match="strings by strings"):
        save({}, {"a": 1})
    path = tmp_path / "x.safetensors"
    save_file({"a": x}, path)
    with pytest.raises(TypeError):
        save_file({"a": 1}, path)
    assert load_file(path)["a"].tolist() == [1] * 4 and [p.name for p in tmp_path.iterdir()] == [path.name]


def file(header: object, data: bytes = bytes(8), length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(dtype="F32", shape=(2,), offsets=(0, 8), **more) -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets, **more}


WRONG = {
    "cut off": b"",
    "cut off ": b"\x10\0\0\0",
    "cut off  ": file({"a": entry()}, length=100_000_001),
    "cut off   ": file({"a": entry()}, length=2**63),
    "it may be cut off": file({"a": entry()}, bytes(7)),
    "it may be cut off ": file({"a": entry()}, bytes(9)),
    "no JSON object": file([1]),
    "no JSON object ": file(b'{"a": '),
    "no JSON object  ": file(b'{"a": ' * 100_000),
    "no JSON object   ": file(b'{"a": NaN}'),
    "no JSON object    ": file(b'{"\xff": 1}'),
    "no JSON object     ": file(b' {"a": 1}'),
    "a name comes twice": file(b'{"a": %s, "a": %s}' % ((json.dumps(entry()).encode(),) * 2)),
    "a name comes twice ": file(b'{"a": {"dtype": "F32", "dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}'),
    "metadata are not strings": file({"__metadata__": {"a": 1}}, b""),
    "metadata are not strings ": file({"__metadata__": 3}, b""),
    "lacks something": file({"a": 3}),
    "lacks something ": file({"a": {"dtype": "F32", "shape": [2]}}),
    "has too much": file({"a": entry(more=1)}),
    "makes no sense": file({"a": entry(shape=[2.0])}),
    "makes no sense ": file({"a": entry(shape=[True, 2])}),
    "makes no sense  ": file({"a": entry(shape=[-2])}),
    "makes no sense   ": file({"a": entry(shape=3)}),
    "makes no sense    ": file({"a": entry(offsets=[0])}),
    "makes no sense     ": file({"a": entry(offsets=[-8, 0])}),
    "makes no sense      ": file({"a": entry(offsets="ab")}),
    "makes no sense       ": file({"a": entry(shape=[1] * 65 + [2])}),
    "does not exist": file({"a": entry(dtype="F31")}),
    "does not exist ": file({"a": entry(dtype=["F32"])}),
    "another size than its shape": file({"a": entry(shape=[3])}),
    "another size than its shape ": file({"a": entry(shape=[2**40, 2**40])}),
    "another size than its shape  ": file({"a": entry(offsets=[8, 0])}),
    "overlap, or leave gaps": file({"a": entry(), "b": entry()}),
    "overlap, or leave gaps ": file({"a": entry(), "b": entry(offsets=[4, 12])}, bytes(12)),
    "overlap, or leave gaps  ": file({"a": entry(), "b": entry(offsets=[12, 20])}, bytes(20)),
    "overlap, or leave gaps   ": file({"a": entry(offsets=[4, 12])}, bytes(12)),
    "neither 0 nor 1": file({"a": entry(dtype="BOOL", shape=[8])}, b"\0\2" * 4),
    "has no such type": file({"a": entry(dtype="F8_E4M3", shape=[8])}),
}  # fmt: skip


@pytest.mark.parametrize("part", WRONG)
def test_files_that_the_format_does_not_allow(part, tmp_path):
    with pytest.raises(SafetensorError, match=part.strip()):
        load(WRONG[part])
    path = tmp_path / "x.safetensors"
    path.write_bytes(WRONG[part])
    with pytest.raises(SafetensorError, match=part.strip()):
        load_file(path)


def test_unusual_files_that_it_does_allow():
    assert load(file({}, b"")) == {}
    assert load(file({"a": entry()}))["a"].tolist() == [0, 0]
    assert load(file(json.dumps({"a": entry()}).encode() + b"   \n"))["a"].tolist() == [0, 0]
    odd = {"a": entry("U8", [1], [0, 1]), "b": entry("F64", [1], [1, 9]), "c": entry("F32", [0], [9, 9])}
    assert load(file(odd, b"\1" + np.float64(2.5).tobytes()))["b"].tolist() == [2.5]
    foreign = file({"a": entry("F8_E4M3", [8]), "b": entry("U8", [1], [8, 9])}, bytes(9))
    assert safetensors._Reader(safetensors._Memory(foreign)).tensor("b").tolist() == [0]


def test_an_unaligned_tensor_in_a_map_is_copied(tmp_path):
    path = tmp_path / "x.safetensors"
    odd = {"a": entry("U8", [1], [0, 1]), "b": entry("F64", [1], [1, 9])}
    path.write_bytes(file(odd, b"\1" + np.float64(2.5).tobytes()))
    found = load_file(path)["b"]
    assert found.tolist() == [2.5] and found.array.flags.aligned


# ---- .npz ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_archives_that_numpy_writes(write, tmp_path):
    arrays = {
        "a": np.arange(6, dtype=np.int16).reshape(2, 3),
        "f": np.asfortranarray(np.eye(3)),
        "scalar": np.float32(2.5),
        "empty": np.zeros((0, 3)),
        "swapped": np.arange(3, dtype=">i4"),
        "bool": np.array([True, False]),
        "complex": np.ones(2, np.complex128),
        "half": np.ones(2, np.float16),
    }
    path = tmp_path / "x.npz"
    write(path, **arrays)
    for found in (load_npz(path), load_npz(io.BytesIO(path.read_bytes()))):
        assert set(found) == set(arrays)
        for name, array in arrays.items():
            assert found[name].array.dtype == np.asarray(array).dtype.newbyteorder("=")
            assert np.array_equal(found[name].numpy(), array)
            found[name] += 1 if name != "bool" else False  # writable


def test_archives_for_numpy(tmp_path):
    x = torch.arange(6).reshape(2, 3)
    path = tmp_path / "x.npz"
    save_npz({"x": x, "t": x.t(), "s": torch.tensor(2.5), "e": torch.zeros(0, 2)}, path)
    with np.load(path) as found:
        assert found["x"].tolist() == x.tolist() and found["t"].tolist() == x.t().tolist()
        assert found["s"] == 2.5 and found["e"].shape == (0, 2)
    assert load_npz(path)["t"].tolist() == x.t().tolist()
    with pytest.raises(TypeError, match="NumPy has no bfloat16"):
        save_npz({"x": torch.ones(1, dtype=torch.bfloat16)}, path)
    with pytest.raises(TypeError, match="takes tensors"):
        save_npz({"x": 1}, path)


def test_archives_that_are_no_arrays_of_numbers():
    def packed(content: bytes) -> io.BytesIO:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("a.npy", content)
        out.seek(0)
        return out

    out = io.BytesIO()
    np.savez(out, a=np.array(["text"]))
    out.seek(0)
    with pytest.raises(UnpicklingError, match="cannot hold this array"):
        load_npz(out)
    for content in (b"", b"hello", b"\x93NUMPY\1\0\xff\xff{}", b"\x93NUMPY\1\0\x03\0{1}"):
        with pytest.raises(RuntimeError, match="no array of numbers"):
            load_npz(packed(content))
    with pytest.raises(UnpicklingError, match="the data is a web page"):
        load_npz(io.BytesIO(b"<html>"))
