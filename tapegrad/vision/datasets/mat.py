"""Arrays of numbers in MATLAB's files of version 5, enough to read SVHN.

    128 bytes head, the last four: 2 bytes version, "IM" (little-endian) or "MI"
    elements:  4 bytes type | 4 bytes length | the bytes, filled up to 8        (length > 4)
               2 bytes length | 2 bytes type | 4 bytes                         (short form)
    type 15:   an element, zlib-compressed
    type 14:   a matrix: its elements are flags (class in the lowest byte), sizes, name, numbers column by column

Reference: MathWorks, "MAT-File format", level 5.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...errors import message

_COMPRESSED, _MATRIX = 15, 14
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_LIMIT = 1 << 31  # bytes of an unpacked element


def read_mat(path: Path, names: tuple[str, ...]) -> list[np.ndarray]:
    """The matrices of these names in a MAT-file.

    Raises:
        RuntimeError: the file is no such file, damaged, or has no matrix of numbers of a name.
    """
    content = path.read_bytes()
    if len(content) < 128 or content[126:128] not in (b"IM", b"MI") or 1 not in content[124:126]:
        got = f"{len(content)} bytes that begin with {content[:4].hex(' ') or 'nothing'}"
        raise RuntimeError(_wrong(path, "this is not a MAT-file of version 5", got))
    order = "<" if content[126:128] == b"IM" else ">"
    found: dict[str, np.ndarray] = {}
    try:
        for kind, body in _elements(content[128:], order):
            if kind == _COMPRESSED:
                unpacked = zlib.decompressobj().decompress(body, _LIMIT)
                kind, body = next(_elements(unpacked, order))
            if kind == _MATRIX:
                name, array = _matrix(body, order)
                if array is not None:
                    found[name] = array
    except (StopIteration, ValueError, KeyError, IndexError, zlib.error) as error:
        raise RuntimeError(_wrong(path, "this MAT-file is cut or damaged", f"{len(content)} bytes, {error}")) from error
    missing = [name for name in names if name not in found]
    if missing:
        raise RuntimeError(_wrong(path, f"this MAT-file has no matrix {' and no '.join(missing)}", sorted(found)))
    return [found[name] for name in names]


def _elements(content: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """(type, bytes) of each element."""
    place = 0
    while place + 8 <= len(content):
        first, second = np.frombuffer(content, f"{order}u4", 2, place).tolist()
        if first >> 16:  # short form
            kind, length, start, step = first & 0xFFFF, first >> 16, place + 4, 8
        else:
            kind, length, start, step = (
                first,
                second,
                place + 8,
                8 + second + (-second % 8 if first != _COMPRESSED else 0),
            )
        if length > (4 if first >> 16 else len(content) - start):
            raise ValueError(f"an element of {length} bytes at {place} does not end in the file")
        yield kind, content[start : start + length]
        place += step


def _matrix(body: bytes, order: str) -> tuple[str, np.ndarray | None]:
    """The name of a matrix and its numbers; None for other things than real numbers."""
    parts = _elements(body, order)
    flags = int(np.frombuffer(next(parts)[1], f"{order}u4", 1)[0])
    sizes = np.frombuffer(next(parts)[1], f"{order}i4").tolist()
    name = next(parts)[1].decode("latin1")
    if (flags & 0xFF) not in _CLASSES or flags & 0x0800:
        return name, None
    kind, raw = next(parts)
    numbers = np.frombuffer(raw, np.dtype(_NUMBERS[kind]).newbyteorder(order))
    return name, numbers.reshape(sizes, order="F").astype(_CLASSES[flags & 0xFF])


def _wrong(path: Path, text: str, got: object) -> str:
    return message(text, where=str(path), got=got, fix="delete the file and get it again")
