"""The safetensors format: a JSON header with the type, shape and place of each tensor, and then the bytes.

    bytes 0-7     length n of the header, little-endian
    8 ... 7+n     {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ..., "__metadata__": {...}}
    8+n ...       the bytes, row-major, little-endian; offsets count from here

A file is mapped into memory: tensors are read when used, and changes of them stay in memory. The reader is strict, as
the format asks: the header has a limit, names are unique, and the tensors cover the bytes without overlap or gap.

Reference: "Safetensors format", https://github.com/huggingface/safetensors (README, "Format").
"""

from __future__ import annotations

import itertools
import json
import math
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from .. import devices, dtypes
from ..backends.cpu.memory import address, owner_of
from ..core.tensor import Tensor, wrap
from ..errors import message
from .archive import Source
from .atomic import replacing
from .storage import MAX_DIM

MAX_HEADER = 100_000_000
METADATA = "__metadata__"
DTYPES = {
    "BOOL": dtypes.bool_,
    "U8": dtypes.uint8,
    "I8": dtypes.int8,
    "U16": dtypes.uint16,
    "I16": dtypes.int16,
    "U32": dtypes.uint32,
    "I32": dtypes.int32,
    "U64": dtypes.uint64,
    "I64": dtypes.int64,
    "F16": dtypes.float16,
    "BF16": dtypes.bfloat16,
    "F32": dtypes.float32,
    "F64": dtypes.float64,
    "C64": dtypes.complex64,
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
FOREIGN = {"F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "F8_E4M3FNUZ": 1, "F8_E5M2FNUZ": 1}  # types tapegrad lacks: bytes


class SafetensorError(Exception):
    """A file is no safetensors file, or a wrong one."""


class Place(NamedTuple):
    """Where a tensor is in a file: type, shape, first byte, byte after the last, counted from the header's end."""

    dtype: str
    shape: tuple[int, ...]
    first: int
    last: int


# ---- writing ---------------------------------------------------------------------------------------------------------


def save_file(tensors: Mapping[str, Tensor], filename: Any, metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors to a file, atomically.

    Args:
        tensors: by name; no two may share memory, since the format cannot say so.
        filename: the path.
        metadata: strings by strings, kept beside them.

    Raises:
        TypeError: a value is no tensor, or a name or an entry of `metadata` no string.
        ValueError: a name is "__metadata__", or the format lacks a type.
        RuntimeError: two tensors share memory.

    >>> import tapegrad as torch, tempfile, os
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "model.safetensors")
    >>> torch.io.safetensors.save_file({"weight": torch.ones(2)}, path)
    >>> torch.io.safetensors.load_file(path)
    {'weight': tensor([1., 1.])}
    >>> folder.cleanup()
    """
    header, arrays = _described(tensors, metadata)
    with replacing(filename) as file:
        file.write(header)
        for array in arrays:
            file.write(array)


def save(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """The bytes of a file with these tensors; the arguments and errors of `save_file`."""
    header, arrays = _described(tensors, metadata)
    return b"".join([header, *(array.tobytes() for array in arrays)])


def _described(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None) -> tuple[bytes, list[np.ndarray]]:
    """The header and the bytes of the tensors, large elements first, so that each is aligned."""
    for name, t in tensors.items():
        if not isinstance(name, str) or not isinstance(t, Tensor):
            got = f"{type(name).__name__}: {type(t).__name__}"
            raise TypeError(message("save_file: takes tensors by name", got=got))
        if name == METADATA:
            raise ValueError(message(f"save_file: the name {METADATA!r} is reserved", fix="the argument metadata"))
        if t.dtype not in NAMES:
            raise ValueError(message(f"save_file: safetensors has no type for {t.dtype}", where=name))
    if not all(isinstance(text, str) for pair in (metadata or {}).items() for text in pair):
        raise TypeError(message("save_file: metadata are strings by strings"))
    _refuse_shared(tensors)
    header: dict[str, Any] = {METADATA: dict(metadata)} if metadata else {}
    arrays, at = [], 0
    for name, t in sorted(tensors.items(), key=lambda pair: (-pair[1].element_size(), pair[0])):
        array = np.ascontiguousarray(t.array).reshape(-1)
        if sys.byteorder == "big":
            array = array.byteswap()
        arrays.append(array.view(np.uint8))
        offsets = [at, at + array.nbytes]
        header[name] = {"dtype": NAMES[t.dtype], "shape": list(t.array.shape), "data_offsets": offsets}
        at += array.nbytes
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER:
        raise ValueError(message("save_file: the names and metadata are too long", expected=f"{MAX_HEADER} bytes"))
    return len(text).to_bytes(8, "little") + text, arrays


def _refuse_shared(tensors: Mapping[str, Tensor]) -> None:
    """Refuse tensors that overlap: they would be separate ones after loading."""
    spans: dict[int, list[tuple[int, int, str]]] = {}
    for name, t in tensors.items():
        if t.numel():
            first, last = np.lib.array_utils.byte_bounds(t.array)
            spans.setdefault(address(owner_of(t.array)), []).append((first, last, name))
    for group in spans.values():
        group.sort()
        for (_, last, one), (first, _, other) in itertools.pairwise(group):
            if first < last:
                what = f"save_file: {one!r} and {other!r} share memory, which safetensors cannot say"
                raise RuntimeError(message(what, fix="leave one of them out, or save a .clone()"))


# ---- reading ---------------------------------------------------------------------------------------------------------


def load_file(filename: Any, device: Any = "cpu") -> dict[str, Tensor]:
    """All tensors of a file by name, mapped into memory.

    Args:
        filename: the path.
        device: accepted: "cpu".

    Raises:
        FileNotFoundError: there is no such file.
        SafetensorError: it is no safetensors file, or a wrong one.
    """
    with safe_open(filename, device=device) as file:
        return {name: file.get_tensor(name) for name in file.offset_keys()}


def load(data: bytes) -> dict[str, Tensor]:
    """All tensors of a file given as its bytes.

    >>> import tapegrad as torch
    >>> torch.io.safetensors.load(torch.io.safetensors.save({"x": torch.arange(3)}))
    {'x': tensor([0, 1, 2])}
    """
    reader = _Reader(_Memory(data))
    return {name: reader.tensor(name) for name in reader.places}


class safe_open:
    """A safetensors file, whose tensors are read one by one: `with safe_open(path) as file: file.get_tensor(name)`.

    Args:
        filename: the path.
        framework: accepted for compatibility ("pt").
        device: accepted: "cpu".

    Raises:
        FileNotFoundError: there is no such file.
        SafetensorError: it is no safetensors file, or a wrong one.
    """

    def __init__(self, filename: Any, framework: str = "pt", device: Any = "cpu"):
        devices.check_device("safe_open", device)
        if framework not in ("pt", "torch", "pytorch"):
            raise SafetensorError(message("safe_open: gives tensors only", got=framework, expected="pt"))
        with open(filename, "rb") as file:
            self._reader = _Reader(Source(file, mapped=True))

    def __enter__(self) -> safe_open:
        return self

    def __exit__(self, *exc: object) -> None:
        pass  # tensors that were read keep the map alive

    def keys(self) -> list[str]:
        """The names, sorted."""
        return sorted(self._reader.places)

    def offset_keys(self) -> list[str]:
        """The names, in the order in which the tensors lie in the file."""
        return sorted(self._reader.places, key=lambda name: self._reader.places[name].first)

    def metadata(self) -> dict[str, str] | None:
        """The strings beside the tensors; None without any."""
        return self._reader.metadata

    def get_tensor(self, name: str) -> Tensor:
        """A tensor by name.

        Raises:
            SafetensorError: there is none, or its type does not exist here.
        """
        return self._reader.tensor(name)

    def get_slice(self, name: str) -> Slice:
        """A tensor of which only the part that is indexed gets read."""
        return Slice(self._reader, name)


class Slice:
    """A tensor in a file: `slice[:, 2:4]` reads these elements."""

    def __init__(self, reader: _Reader, name: str):
        self._place = reader.place(name)
        self._tensor = reader.tensor(name)

    def get_shape(self) -> list[int]:
        """Its shape."""
        return list(self._place.shape)

    def get_dtype(self) -> str:
        """The format's name of its type: "F32", ..."""
        return self._place.dtype

    def __getitem__(self, index: Any) -> Tensor:
        return self._tensor[index].clone()


class _Memory:
    """The bytes of a file, with the methods of `Source`."""

    def __init__(self, data: bytes):
        self.data, self.size = memoryview(data), len(data)

    def read(self, start: int, count: int) -> bytes:
        return bytes(self.data[start : start + count])

    def array(self, start: int, count: int, align: int) -> np.ndarray:
        return np.frombuffer(self.data, np.uint8, count, start).copy()


class _Reader:
    """A checked header, and the tensors."""

    def __init__(self, source: Any):
        self.source = source
        n = int.from_bytes(source.read(0, 8), "little")
        if source.size < 8 or n > MAX_HEADER or 8 + n > source.size:
            got = f"a header of {n} bytes in a file of {source.size}"
            raise _wrong("it is no safetensors file, or it is cut off", got=got)
        self.start = 8 + n
        header = _parsed(source.read(8, n))
        self.metadata = header.pop(METADATA, None)
        if self.metadata is not None and not (
            isinstance(self.metadata, dict) and all(isinstance(value, str) for value in self.metadata.values())
        ):
            raise _wrong("its metadata are not strings by strings")
        self.places = {name: _place(name, entry) for name, entry in header.items()}
        at = 0
        for name, place in sorted(self.places.items(), key=lambda pair: (pair[1].first, pair[1].last)):
            if place.first != at:
                raise _wrong("its tensors overlap, or leave gaps", where=name, got=f"byte {place.first} for {at}")
            at = place.last
        if at != source.size - self.start:
            got = f"{source.size - self.start} bytes for tensors of {at}"
            raise _wrong("its length is not that of its tensors: it may be cut off", got=got)

    def place(self, name: str) -> Place:
        place = self.places.get(name)
        if place is None:
            raise SafetensorError(message("safe_open: there is no tensor of this name", got=repr(name)))
        return place

    def tensor(self, name: str) -> Tensor:
        place = self.place(name)
        dtype = DTYPES.get(place.dtype)
        if dtype is None:
            what = "safe_open: tapegrad has no such type"
            raise SafetensorError(message(what, where=name, got=place.dtype, expected=", ".join(DTYPES)))
        raw = self.source.array(self.start + place.first, place.last - place.first, dtype.itemsize)
        if dtype is dtypes.bool_ and raw.size and raw.max() > 1:
            raise _wrong("a bool in it is neither 0 nor 1", where=name)
        array = raw.view(dtype.numpy)
        return wrap((array.byteswap() if sys.byteorder == "big" else array).reshape(place.shape))


def _wrong(what: str, **parts: Any) -> SafetensorError:
    return SafetensorError(message(f"load_file: {what}", **parts))


def _parsed(text: bytes) -> dict[str, Any]:
    """The header as a dictionary; names may not come twice."""
    if text[:1] != b"{":
        raise _wrong("its header is no JSON object", got=text[:20])
    try:
        found = json.loads(text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise _wrong("its header is no JSON object", got=f"{type(error).__name__}: {str(error)[:100]}") from None
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _wrong("a name comes twice in its header")
    return found


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON")


def _place(name: str, entry: Any) -> Place:
    """One entry of the header, checked."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise _wrong("an entry of its header lacks something, or has too much", where=name[:100])
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    numbers = [*shape, *offsets] if isinstance(shape, list) and isinstance(offsets, list) else [None]
    if len(offsets) != 2 or not all(type(n) is int and 0 <= n < 2**63 for n in numbers) or len(shape) > MAX_DIM:
        raise _wrong("a shape or place in its header makes no sense", where=name[:100])
    width = FOREIGN.get(dtype) if isinstance(dtype, str) and dtype not in DTYPES else None
    if not isinstance(dtype, str) or (width is None and dtype not in DTYPES):
        raise _wrong("a type in its header does not exist", where=name[:100], got=repr(dtype)[:40])
    size = math.prod(shape) * (width or DTYPES[dtype].itemsize)
    if offsets[1] - offsets[0] != size:
        got = f"{offsets[1] - offsets[0]} bytes for {size}"
        raise _wrong("a tensor in it has another size than its shape says", where=name[:100], got=got)
    return Place(dtype, tuple(shape), *offsets)
