"""`save` and `load`: PyTorch's file formats, written and read without PyTorch.

A file is a zip archive: `data.pkl` describes the value as a pickle stream (`emit` writes it, `pickled` reads it) in
which each tensor is a window onto a storage; `data/0`, `data/1`, ... are the bytes of the storages (`storage`). The
older format is four pickle streams, and then the storages one after the other.

The one invariant: loading reads data. Nothing that a file says is imported or called (`names`), no memory is taken
that the size of the file does not account for, and what is wrong with a file is said (`wrong`).
"""

from __future__ import annotations

import codecs
import io
import os
import sys
import warnings
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any

import numpy as np

from .. import devices, dtypes
from ..errors import message
from . import wrong
from .archive import STORED, Source, ZipReader, ZipWriter, broken
from .atomic import replacing
from .emit import integer, pickled, text
from .names import Name, Outline, Table, refuse_parts
from .pickled import damaged, interpret
from .storage import Region, Storage

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001  # of the older format
_LITTLE = sys.byteorder == "little"


def save(
    obj: Any, f: Any, pickle_module: Any = None, pickle_protocol: int = 2, _use_new_zipfile_serialization: bool = True,
    _disable_byteorder_record: bool = False,
) -> None:  # fmt: skip
    """Write a value to a file that `torch.load` reads, here and in PyTorch.

    A path is written atomically: whoever opens it sees the old file or the new one, never half of one. Tensors that
    share memory share it again after loading. Numbers, strings, containers, tensors, dtypes, devices and generators
    are data; any other object is written by the name of its class, with a warning, since `load` will refuse it.

    Args:
        obj: the value; for a model `model.state_dict()`.
        f: a path, or a file object with `write`.
        pickle_module: accepted for compatibility.
        pickle_protocol: accepted; files are written in protocol 2, which every version of PyTorch reads.
        _use_new_zipfile_serialization: False writes PyTorch's format before version 1.6.
        _disable_byteorder_record: leave out the entry that says which byte comes first.

    Raises:
        AttributeError: `f` is neither a path nor has it `write`.
        RuntimeError: the folder does not exist, or is the path itself.
        pickle.PicklingError: a function or class in `obj` cannot be found by its name (it is local, or a lambda).

    >>> import io
    >>> import tapegrad as torch
    >>> file = io.BytesIO()
    >>> torch.save({"weight": torch.ones(2), "epoch": 3}, file)
    >>> _ = file.seek(0)
    >>> torch.load(file)
    {'weight': tensor([1., 1.]), 'epoch': 3}
    """
    stream, regions, foreign = pickled(obj, legacy=not _use_new_zipfile_serialization)
    if foreign:
        _warn_of(obj, foreign)
    if _use_new_zipfile_serialization:
        write = lambda file: write_zip(file, stream, regions, not _disable_byteorder_record)
    else:
        write = lambda file: _write_legacy(file, stream, regions)
    if is_path(f):
        with replacing(f) as file:
            write(file)
    elif hasattr(f, "write"):
        write(f if isinstance(f, io.IOBase) else _BytesOnly(f))
    else:
        what = "save: f must be a path, or a file object with a 'write' method"
        raise AttributeError(message(what, got=type(f).__name__))


class _BytesOnly:
    """A file object that may not take arrays."""

    def __init__(self, file: Any):
        self.file = file

    def write(self, data: Any) -> None:
        self.file.write(bytes(data))


def _warn_of(obj: Any, foreign: list[str]) -> None:
    shown = ", ".join(foreign[:5]) + (", ..." if len(foreign) > 5 else "")
    if hasattr(obj, "state_dict"):
        fix = "save obj.state_dict(); the weights in this file can be read with tapegrad.io.load_weights"
    else:
        fix = "save plain values, or load inside torch.serialization.safe_globals([...])"
    what = f"save: the value holds objects that torch.load will refuse, since it reads data only: {shown}"
    warnings.warn(message(what, fix=fix), UserWarning, stacklevel=3)


def _bytes_of(region: Region) -> np.ndarray:
    data = region.bytes()
    if not _LITTLE:
        data = data.view(region.dtype.numpy).byteswap().view(np.uint8)
    return data


def is_path(f: Any) -> bool:
    """Whether a file is given by its path."""
    return isinstance(f, (str, bytes, os.PathLike))


def write_zip(file: Any, stream: bytes, regions: list[Region], byteorder: bool = True) -> None:
    """Write a pickle stream and the storages that it refers to as a zip archive."""
    archive = ZipWriter(file)
    archive.add("archive/data.pkl", stream)
    if byteorder:
        archive.add("archive/byteorder", b"little")
    for region in regions:
        archive.add(f"archive/data/{region.key}", _bytes_of(region), align=True)
    archive.add("archive/version", b"3\n")
    archive.close()


def _write_legacy(file: Any, stream: bytes, regions: list[Region]) -> None:
    def value(code: bytes) -> bytes:
        return b"\x80\x02" + code + b"."

    sizes = b"}(" + b"".join(text(k) + integer(n) for k, n in (("short", 2), ("int", 4), ("long", 4))) + b"u"
    system = (text("protocol_version") + integer(VERSION), text("little_endian") + b"\x88", text("type_sizes") + sizes)
    file.write(value(integer(MAGIC)) + value(integer(VERSION)) + value(b"}(" + b"".join(system) + b"u") + stream)
    file.write(value(b"](" + b"".join(text(region.key) for region in regions) + b"e"))
    for region in regions:
        file.write(region.count.to_bytes(8, "little"))
        file.write(_bytes_of(region))


# ---- reading ---------------------------------------------------------------------------------------------------------


def load(
    f: Any, map_location: Any = None, pickle_module: Any = None, *, weights_only: bool | None = None,
    mmap: bool | None = None, **pickle_load_args: Any,
) -> Any:  # fmt: skip
    """Read a value that `torch.save` wrote, here or in PyTorch. Loading never runs code: it reads data only.

    Args:
        f: a path, or a binary file object.
        map_location: accepted: everything is loaded to the CPU; a map that names another device is refused.
        pickle_module: accepted for compatibility.
        weights_only: False warns and means True: there is no other way to load.
        mmap: map the file into memory instead of reading it: tensors are read when used, and changes of them stay in
            memory. Checksums are not compared then.
        pickle_load_args: `encoding` of the byte strings in files that Python 2 wrote.

    Raises:
        FileNotFoundError: there is no such file.
        EOFError: the file is empty.
        RuntimeError: the archive is damaged or cut off, or a device is not there.
        pickle.UnpicklingError: the file is of another kind, or holds objects of a class; the text names it.

    >>> import io
    >>> import tapegrad as torch
    >>> file = io.BytesIO()
    >>> x = torch.arange(4)
    >>> torch.save([x, x[1:]], file)
    >>> _ = file.seek(0)
    >>> a, b = torch.load(file)
    >>> b[0] = 9
    >>> a
    tensor([0, 9, 2, 3])
    """
    check_location(map_location)
    encoding = pickle_load_args.pop("encoding", "utf-8")
    codecs.lookup("utf-8" if encoding == "bytes" else encoding)
    if pickle_load_args:
        raise TypeError(message("load: an unknown argument", got=", ".join(pickle_load_args)))
    if weights_only is False:
        what = "load: weights_only=False is not followed: loading never runs code, it reads data only"
        warnings.warn(message(what, fix="leave it out"), UserWarning, stacklevel=2)
    return opened(f, bool(mmap), lambda source: read(source, wrong.described(f), encoding)[0])


def opened(f: Any, mapped: bool, use: Callable[[Source], Any]) -> Any:
    """What `use` makes of the bytes of a path or file object."""
    if is_path(f):
        with open(f, "rb") as file:
            return use(Source(file, mapped))
    if mapped:
        raise ValueError(message("load: only a path can be mapped into memory", got=type(f).__name__, fix="mmap=False"))
    if not hasattr(f, "read"):
        what = "load: f must be a path, or a file object with a 'read' method"
        raise AttributeError(message(what, got=type(f).__name__))
    if isinstance(f, io.TextIOBase):
        raise TypeError(message("load: the file is open as text", fix="open(path, 'rb')"))
    return use(Source(f))


def check_location(location: Any) -> None:
    """Refuse a `map_location` that names a device which is not there."""
    if isinstance(location, dict):
        for target in location.values():
            devices.check_device("load", target)
    elif not callable(location):
        devices.check_device("load", location)


def read(source: Source, label: str, encoding: str = "utf-8", lenient: bool = False) -> tuple[Any, list[str]]:
    """The value in a file, and the names in it that have no meaning (with `lenient`; else they raise)."""
    head = source.read(0, 512)
    if head.startswith(b"PK\3\4"):
        value, table = _read_zip(source, label, encoding, lenient)
    elif head[:1] == b"\x80" and _MAGIC in head[:32]:
        value, table = _read_legacy(source, encoding, lenient)
    else:
        raise wrong.explanation(head, label)
    if not lenient:
        refuse_parts(value)
    return value, list(table.unknown)


_MAGIC = integer(MAGIC)


def _reference(reference: Any, length: int) -> tuple[dtypes.dtype, str, int]:
    """The element type, key and number of elements in a reference to a storage: ("storage", class, key, where, n)."""
    if type(reference) is not tuple or not 5 <= len(reference) <= length or reference[0] not in ("storage", b"storage"):
        raise damaged("it refers to something that is no storage")
    _, kind, key, _, count = reference[:5]
    if not isinstance(kind, Name) or not isinstance(kind.value, dtypes.dtype):
        raise damaged("a storage in it has no type", got=getattr(kind, "full", type(kind).__name__))
    if not isinstance(key, str) or type(count) is not int or count < 0:
        raise damaged("a storage in it has no proper name and size")
    return kind.value, key, count


def _read_zip(source: Source, label: str, encoding: str, lenient: bool) -> tuple[Any, Table]:
    archive = ZipReader(source)
    names = list(archive.entries)
    folder = names[0].partition("/")[0] if names else ""
    if f"{folder}/data.pkl" not in names or f"{folder}/constants.pkl" in names:
        raise wrong.wrong_archive(names, label)
    for entry in archive.entries.values():
        if entry.method != STORED:
            what = "load: the file was packed again by a zip program: PyTorch's files are not compressed"
            raise RuntimeError(message(what, where=entry.name, fix="get the original file, or pack with `zip -0`"))
    order = archive.read(f"{folder}/byteorder") if f"{folder}/byteorder" in names else b"little"
    if order not in (b"little", b"big"):
        raise broken("it does not say which byte comes first", got=order[:20])
    swap = order.decode() != sys.byteorder
    storages: dict[str, Storage] = {}

    def storage(reference: Any) -> Storage:
        dtype, key, count = _reference(reference, 5)
        if key not in storages:
            entry = archive.entries.get(f"{folder}/data/{key}")
            if entry is None:
                raise damaged("a storage is missing", got=key[:100])
            if count * dtype.itemsize > entry.size:
                got = f"{entry.size} bytes for {count} elements of {dtype}"
                raise damaged("a storage is smaller than it should be", got=got)
            array = archive.array(entry.name)
            if swap:
                array = _swapped(array, dtype)
            storages[key] = Storage(array, dtype)
        found = storages[key]
        return found if found.dtype is dtype else found.window(dtype)

    table = Table(storage, lenient)
    value, _ = interpret(archive.read(f"{folder}/data.pkl"), table, encoding=encoding)
    for each in storages.values():
        each.settle()
    return value, table


def _swapped(array: np.ndarray, dtype: dtypes.dtype) -> np.ndarray:
    """The bytes of a storage written on a machine with the other byte order."""
    if array.size % dtype.itemsize:
        raise damaged("a storage has a wrong size", got=f"{array.size} bytes of {dtype}")
    return array.view(dtype.numpy).byteswap().view(np.uint8)


def _read_legacy(source: Source, encoding: str, lenient: bool) -> tuple[Any, Table]:
    """The older format: magic number, version, system, value, keys of the storages, and the storages.

    The value comes before the bytes that it is made of, so it is read twice: in outline, for the storages and its end.
    """
    if source.map is not None:
        text = message("load: a file of PyTorch's older format cannot be mapped into memory", fix="mmap=False")
        raise RuntimeError(text)
    data = memoryview(source.read(0, source.size))
    sizes: dict[str, tuple[dtypes.dtype, int]] = {}
    storages: dict[str, Storage] = {}

    def note(reference: Any) -> Any:
        if _is_class(reference):
            return reference[1]
        dtype, key, count = _reference(reference, 6)
        sizes.setdefault(key, (dtype, count * dtype.itemsize))

    def storage(reference: Any) -> Any:
        if _is_class(reference):
            return reference[1]
        dtype, key, _ = _reference(reference, 6)
        found, part = storages[key], reference[5] if len(reference) == 6 else None
        if part is None:
            return found if found.dtype is dtype else found.window(dtype)
        if type(part) is not tuple or len(part) != 3 or not all(type(n) is int and n >= 0 for n in part[1:]):
            raise damaged("a part of a storage in it is not described as such")
        return found.window(dtype, *part[1:])

    outline, table = Outline(note, lenient), Table(storage, lenient)
    magic, at = interpret(data, outline)
    version, at = interpret(data, outline, at)
    if magic != MAGIC or version != VERSION:
        raise UnpicklingError(message("load: an unknown version of PyTorch's older format", got=_number(version)))
    system, start = interpret(data, outline, at)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise UnpicklingError(message("load: the file was written on a machine with another byte order"))
    _, at = interpret(data, outline, start, encoding)
    keys, at = interpret(data, outline, at)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or set(keys) != set(sizes):
        raise damaged("its list of storages is wrong")
    for key in keys:
        storages[key], at = _stored(data, at, *sizes[key])
    value, _ = interpret(data, table, start, encoding)
    for each in storages.values():
        each.settle()
    if source.memory is None:
        source.file.seek(source.base + at)  # another value may follow
    return value, table


def _is_class(reference: Any) -> bool:
    """Whether this is the class of a module together with its source text: ("module", class, file, text)."""
    return type(reference) is tuple and len(reference) == 4 and reference[0] == "module"


def _number(n: Any) -> str:
    return str(n) if type(n) is int and abs(n) < 2**64 else type(n).__name__


def _stored(data: memoryview, at: int, dtype: dtypes.dtype, size: int) -> tuple[Storage, int]:
    """A storage of the older format, after its number of elements; and where it ends."""
    if int.from_bytes(data[at : at + 8], "little") * dtype.itemsize != size:
        raise damaged("a storage has another size than its tensors say")
    raw = data[at + 8 : at + 8 + size]
    if len(raw) != size:
        what = "it breaks off"
        raise broken(what, got=f"{len(data)} bytes", fix="get the file again: the download or the save did not finish")
    array = np.frombuffer(raw, np.uint8)
    return Storage(array.copy() if _LITTLE else _swapped(array, dtype), dtype), at + 8 + size
