"""Files that are not what they should be: each is refused with a sentence that says what it is, and what to do."""

from __future__ import annotations

import gzip
import importlib.util
import io
import pickle
import struct
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import tapegrad as torch
from tapegrad.errors import is_explained
from tapegrad.io import safetensors
from tapegrad.io.archive import ZipWriter

ROOT = Path(torch.__file__).resolve().parent.parent
AGAIN = "get the file again: the download or the save did not finish"
UNPACK = "unpack it first, and load the file inside"


def good(value=None, **options) -> bytes:
    file = io.BytesIO()
    torch.save({"x": torch.arange(100)} if value is None else value, file, **options)
    return file.getvalue()


def zipped(**entries: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return file.getvalue()


def npz() -> bytes:
    file = io.BytesIO()
    np.savez(file, a=np.ones(2))
    return file.getvalue()


def npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.ones(2))
    return file.getvalue()


PAGE = "get the file itself, not the page about it (on GitHub the raw file, on Hugging Face .../resolve/...)"
KINDS = {
    "a web page (HTML)": (b"\n<!DOCTYPE html><html><head><title>404</title>", PAGE),
    "a Git LFS pointer: the place of the file in a repository": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 46830571\n",
        "run `git lfs pull`",
    ),
    "a gzip archive": (gzip.compress(good()), UNPACK),
    "a bzip2 archive": (b"BZh91AY&SY", UNPACK),
    "an xz archive": (b"\xfd7zXZ\x00\x00\x04", UNPACK),
    "a Zstandard archive": (b"\x28\xb5\x2f\xfd\x04\x00", UNPACK),
    "a tar archive": (b"model.pt".ljust(257, b"\0") + b"ustar\x0000" + bytes(300), UNPACK),
    "a safetensors file": (safetensors.save({"x": torch.ones(2)}), "tapegrad.io.safetensors.load_file(file)"),
    "an ONNX model": (
        b"\x08\x07\x12\x07pytorch\x1a\x051.9.0:\x80\x01",
        "export the weights with torch.save(model.state_dict(), file) where it was made",
    ),
    "a file of Python's pickle": (
        pickle.dumps({"a": 1}),
        "load it with pickle where you trust it, and save the value with torch.save",
    ),
    "an array of NumPy (.npy)": (npy(), "torch.from_numpy(numpy.load(file))"),
    "an archive of NumPy arrays (.npz)": (npz(), "tapegrad.io.load_npz(file)"),
    "an HDF5 file (Keras saves them)": (
        b"\x89HDF\r\n\x1a\n",
        "read it with h5py, and save its arrays with torch.save",
    ),
    "a GGUF file (llama.cpp)": (
        b"GGUF\x03\0\0\0",
        "get the weights as safetensors, and use tapegrad.io.safetensors.load_file",
    ),
    "an image (PNG)": (b"\x89PNG\r\n\x1a\n", "get the file again"),
    "text (JSON)": (
        b'{"error": "Access denied"}',
        "look into it: it may be the answer of a server that refused the download",
    ),
    "text (it begins with 'Not Found')": (b"Not Found", "get the file again"),
    "of an unknown kind (it begins with b'\\x00\\x01\\x02\\x03\\x04\\x05\\x06\\x07')": (
        bytes(range(20)),
        "get the file again",
    ),
    "a TorchScript program (torch.jit.save)": (
        zipped(net__data_dot_pkl=b"", net__constants_dot_pkl=b""),
        "load it in PyTorch, and save module.state_dict() with torch.save",
    ),
    "a zip archive of other files": (zipped(readme_dot_txt=b"hello"), UNPACK),
    "an archive in which a file of torch.save was packed, or several": (
        zipped(a_dot_txt=b"", net__data_dot_pkl=b""),
        UNPACK,
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_another_kind(kind, tmp_path):
    data, fix = KINDS[kind]
    path = tmp_path / "model.pt"
    path.write_bytes(data)
    text = f"is {kind}, not a file of torch.save\n  fix: {fix}"
    for options in ({}, {"weights_only": True}, {"map_location": "cpu"}, {"mmap": True}):
        with pytest.raises(pickle.UnpicklingError) as error:
            torch.load(path, **options)
        assert str(error.value) == f"load: {path} {text}"
    with pytest.raises(pickle.UnpicklingError) as error:
        torch.load(io.BytesIO(data))
    assert str(error.value) == f"load: the data {text}"
    with open(path, "rb") as file, pytest.raises(pickle.UnpicklingError) as error:
        torch.load(file)
    assert str(error.value) == f"load: {path} {text}"


def test_an_empty_file(tmp_path):
    path = tmp_path / "model.pt"
    path.touch()
    for options in ({}, {"mmap": True}):
        with pytest.raises(EOFError) as error:
            torch.load(str(path), **options)
        assert str(error.value) == f"load: {path} is empty, not a file of torch.save\n  fix: {AGAIN}"


def fails(data: bytes, kind: type[Exception] = RuntimeError) -> str:
    with pytest.raises(kind) as error:
        torch.load(io.BytesIO(data))
    assert is_explained(error.value)
    return str(error.value)


def test_a_truncated_file():
    data = good()
    for end in (5, 200, len(data) - 1):
        assert fails(data[:end]) == (
            "load: the file is damaged: it breaks off: it begins as a zip file and has no directory at its end\n"
            f"  got: {end} bytes\n  fix: {AGAIN}"
        )
    old = good(_use_new_zipfile_serialization=False)
    assert fails(old[:-1]) == (f"load: the file is damaged: it breaks off\n  got: {len(old) - 1} bytes\n  fix: {AGAIN}")
    assert fails(old[:150], pickle.UnpicklingError).startswith("load: the file is damaged: its description")
    for end in range(len(old)):
        with pytest.raises((RuntimeError, EOFError, pickle.UnpicklingError)):
            torch.load(io.BytesIO(old[:end]))


def test_every_changed_byte_of_an_archive_is_noticed_or_harmless():
    """PyTorch's own reader does not compare checksums: there, a changed weight is loaded as it is."""
    value = {"x": torch.arange(20), "y": [1, "two"]}
    data = good(value)
    for i in range(len(data)):
        damaged = bytearray(data)
        damaged[i] ^= 0x10
        try:
            found = torch.load(io.BytesIO(damaged))
        except (RuntimeError, pickle.UnpicklingError) as error:
            assert is_explained(error)
        else:
            assert torch.equal(found["x"], value["x"]) and found["y"] == value["y"]
    i = data.index(torch.arange(20).numpy().tobytes()) + 8
    assert fails(data[:i] + b"\7" + data[i + 1 :]) == (
        "load: the file is damaged: the contents of an entry have changed\n"
        "  where: archive/data/0\n  got: another checksum\n  fix: get the file again"
    )


def archive(*entries: tuple[str, bytes]) -> bytes:
    file = io.BytesIO()
    writer = ZipWriter(file)
    for name, content in entries:
        writer.add(name, content)
    writer.close()
    return file.getvalue()


TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n(X\x07\x00\x00\x00storage"


def stream(body: bytes, size: int = 16) -> bytes:
    """A file with this pickle stream and a storage of `size` bytes."""
    return archive(("a/data.pkl", b"\x80\x02" + body + b"."), ("a/data/0", bytes(size)), ("a/version", b"3\n"))


def tensor(
    count=4, offset=b"K\0", size=b"K\x04\x85", stride=b"K\x01\x85", kind=b"ctorch\nFloatStorage\n", key=b"0", bits=b""
):
    reference = (
        b"X\x07\0\0\0storage" + kind + b"X\x01\0\0\0" + key + b"X\x03\0\0\0cpu" + b"J" + struct.pack("<i", count)
    )
    call = b"ctorch._utils\n_rebuild_tensor_v2\n((" + reference + b"tQ" + offset + size + stride
    return call + b"\x89ccollections\nOrderedDict\n)R" + bits + b"tR"


BIG = b"\x8a\x08" + (2**62).to_bytes(8, "little")
STREAMS = {
    "reaches outside its storage": tensor(size=b"K\x05\x85"),
    "outside its storage ": tensor(offset=b"K\x01"),
    "outside its storage  ": tensor(stride=b"K\x02\x85"),
    "outside its storage   ": tensor(size=BIG + b"\x85"),
    "no proper shape": tensor(offset=b"J\xff\xff\xff\xff"),
    "no proper shape ": tensor(size=b"J\xff\xff\xff\xff\x85"),
    "no proper shape  ": tensor(size=b"K\x04K\x04\x86"),
    "no proper shape   ": tensor(size=b"G" + struct.pack(">d", 4.0) + b"\x85"),
    "no proper shape    ": tensor(size=b"(" + b"K\1" * 65 + b"t", stride=b"(" + b"K\1" * 65 + b"t"),
    "makes no sense": tensor(size=b"K\x04" + BIG + b"\x86", stride=b"K\x01K\0\x86"),
    "smaller than it should be": tensor(count=5),
    "no proper name and size": tensor(count=-1),
    "a storage is missing": tensor(key=b"7"),
    "has no type": tensor(kind=b"ctorch\nSize\n"),
    "refers to something that is no storage": b"K\x01Q",
    "the bare storage": b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x04tQ",
    "it calls what cannot be called": b"ctorch\nfloat32\n)R",
    "no tuple": b"ctorch\nSize\nK\x01R",
    "wrong number of arguments": b"ctorch\nSize\nK\x01K\x02\x86R",
    "argument of a wrong type": b"ctorch\nSize\nK\x01\x85R",
    "argument of a wrong type ": b"cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R",  # would take 2 GB
    "holds an object of os.system": b"cos\nsystem\nX\x02\0\0\0ls\x85R",
    "holds an object of builtins.eval": b"c__builtin__\neval\nX\x01\0\0\x001\x85R",
    "holds an object of builtins.list": b"cbuiltins\nlist\n",
    "nothing of this name": tensor(kind=b"ctorch\nQInt8Storage\n"),
    "a sparse tensor": b"ctorch._utils\n_rebuild_sparse_tensor\n)R",
    "an instruction that descriptions of data do not have": b"i",
    "breaks off": b"X\xff\xff\xff\x7fabc",
    "breaks off ": b"\x8d" + b"\xff" * 8,
    "breaks off  ": b"\x8b\xff\xff\xff\x7f",
    "a name in it has no end": b"c" + b"a" * 2000,
    "makes no sense ": b"h\x05",
    "makes no sense  ": b"0",
    "lacks its operands": b"K\x01\x87",
    "no list gets elements": b"}K\x01a",
    "no dictionary gets entries": b"]K\x01K\x01s",
    "no set gets members": b"](K\x01\x90",
    "gets a state and has none": b"]}b",
    "cannot be the key": b"}]K\x01s",
    "cannot be the key ": b"}\x8a\x10" + b"\x7f" * 16 + b"K\x01s",  # integers whose hashes could be made equal
    "a key of a dictionary is too large": b"})q\x000"
    + b"h\x00h\x00\x86q\x000" * 60
    + b"h\x00K\x01s",  # its hash: 2**60 steps
    "copies the same things over and over": b"]("
    + b"K\1" * 5000
    + b"eq\x000"
    + b"cbuiltins\nset\nq\x010"
    + b"h\x01h\x00\x85R0" * 100
    + b"N",
    "many times larger": tensor(
        kind=b"ctorch\nComplexFloatStorage\n",
        count=1,
        size=b"J\0\0\0\x40\x85",
        stride=b"K\0\x85",
        bits=b"}X\4\0\0\0conj\x88s",
    ),  # would take 8 GB
    "protocol does not exist": b"\x80\x09N",
    "not one of numbers": b"cnumpy\ndtype\nX\x02\0\0\0O8\x89\x88\x87R",
    "a wrong size": b"cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\nX\x02\0\0\0f8\x89\x88\x87RU\x01a\x86R",
}


@pytest.mark.parametrize("part", STREAMS)
def test_streams_that_no_pickler_writes(part):
    data = stream(STREAMS[part])
    assert part.strip() in fails(data, pickle.UnpicklingError)
    with pytest.raises((pickle.UnpicklingError, ValueError)):  # names may be unknown here, but mean nothing either
        torch.io.load_weights(io.BytesIO(data))


def test_the_frame_around_these_streams_is_right():
    assert "value" in torch.load(io.BytesIO(stream(b"}X\x05\0\0\0valueK\x01s")))  # the frame around it is right
    assert torch.load(io.BytesIO(stream(tensor()))).tolist() == [0] * 4


def test_byte_strings_of_python_2():
    data = stream(b"U\3caf" + b"(U\1aU\1\xe9t\x86")
    assert torch.load(io.BytesIO(data), encoding="latin1") == ("caf", ("a", "é"))
    assert torch.load(io.BytesIO(data), encoding="bytes") == (b"caf", (b"a", b"\xe9"))
    assert "makes no sense" in fails(data, pickle.UnpicklingError)
    with pytest.raises(LookupError):
        torch.load(io.BytesIO(data), encoding="unknown")


def test_archives_that_no_zip_program_writes():
    pkl = ("a/data.pkl", b"\x80\x02N.")
    assert torch.load(io.BytesIO(archive(pkl))) is None
    assert "names an entry twice" in fails(archive(pkl, pkl))
    data = archive(pkl, ("a/data/0", bytes(100)))
    at = data.rindex(b"PK\1\2")  # the directory's second entry now describes the first
    shared = bytearray(data)
    shared[at + 42 : at + 46] = bytes(4)
    assert "not where its directory says" in fails(bytes(shared))
    larger = bytearray(data)
    for at in (data.index(b"PK\1\2") + 20, data.index(b"PK\1\2") + 24):
        larger[at : at + 4] = struct.pack("<I", 200)
    assert "overlap, or reach outside" in fails(bytes(larger))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a/data.pkl", b"\x80\x02N." + bytes(1000))
    assert fails(file.getvalue()) == (
        "load: the file was packed again by a zip program: PyTorch's files are not compressed\n"
        "  where: a/data.pkl\n  fix: get the original file, or pack with `zip -0`"
    )


def test_a_bomb_in_an_npz_is_not_unpacked():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a.npy", bytes(5_000_000))
    data = bytearray(file.getvalue())
    at = data.index(b"PK\1\2") + 24
    data[at : at + 4] = struct.pack("<I", 2**31)
    with pytest.raises(RuntimeError, match="larger than it can be"):
        torch.io.load_npz(io.BytesIO(data))
    header = b"\x93NUMPY\1\0\x46\0{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999,), }".ljust(79) + b"\n"
    with pytest.raises(RuntimeError, match="another size than its shape says"):
        torch.io.load_npz(io.BytesIO(archive(("a.npy", header + bytes(8)))))


def test_other_old_formats():
    data = good(_use_new_zipfile_serialization=False)
    assert "another byte order" in fails(
        data.replace(b"little_endian\x88", b"little_endian\x89"), pickle.UnpicklingError
    )
    assert "unknown version" in fails(data.replace(b"M\xe9\x03", b"M\xea\x03", 1), pickle.UnpicklingError)


@pytest.mark.skipif(not hasattr(__import__("signal"), "SIGALRM"), reason="the time limit needs signals")
def test_files_changed_at_random():
    """Each ends in a value or a clear error: no import, no crash, no large allocation, no hang (tools/fuzz_load.py)."""
    spec = importlib.util.spec_from_file_location("fuzz_load", ROOT / "tools" / "fuzz_load.py")
    fuzz = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fuzz)
    trace = sys.gettrace()  # a debugger's or coverage's would be seen as code that runs
    outcomes = fuzz.run(1500)
    assert sys.gettrace() is trace
    assert sum(outcomes.values()) == 1500
    assert outcomes["load: value"] > 30 and outcomes["load: UnpicklingError"] > 300 and outcomes["weights: value"] > 5
