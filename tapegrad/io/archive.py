"""Zip archives of uncompressed entries, written in one pass and read with every number in them checked.

Python's `zipfile` reads what it can make sense of. A file of weights comes from strangers: here two entries may not
overlap, share a name, lie outside the file, or be described differently in the two places that describe them, and the
checksum of every entry is compared (PyTorch's own reader does not compare it).

Reference: PKWARE, "APPNOTE.TXT - .ZIP File Format Specification", version 6.3 (sections 4.3, 4.4, 4.5.3).
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from ..errors import message

ALIGN = 64  # bytes: arrays may be used where they lie in a mapped file
STORED, DEFLATED = 0, 8
_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END = struct.Struct("<4sHHHHIIH")
_END64 = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR = struct.Struct("<4sIQI")
_UTF8 = 0x0800
_FULL = 0xFFFFFFFF  # the value is in a zip64 field instead
_DATE = 0x21  # 1 January 1980: a file does not depend on when it was written


def broken(what: str, **parts: Any) -> RuntimeError:
    """The error for a damaged archive."""
    parts.setdefault("fix", "get the file again")
    return RuntimeError(message(f"load: the file is damaged: {what}", **parts))


# ---- writing ---------------------------------------------------------------------------------------------------------


class ZipWriter:
    """Writes entries to a file object one after the other; it needs `write` only.

    Args:
        file: where the archive goes.
    """

    def __init__(self, file: BinaryIO):
        self.file = file
        self.at = 0
        self.directory: list[bytes] = []

    def add(self, name: str, data: Any, align: bool = False) -> None:
        """Write an entry.

        Args:
            name: its path in the archive.
            data: its bytes (bytes, or an array of uint8).
            align: whether it begins at a multiple of 64 bytes.
        """
        raw = name.encode("utf-8")
        size, crc = len(data), zlib.crc32(data)
        wide = size >= _FULL or self.at >= _FULL
        extra = struct.pack("<HHQQ", 1, 16, size, size) if wide else b""
        if align:
            gap = -(self.at + _LOCAL.size + len(raw) + len(extra) + 4) % ALIGN
            extra += struct.pack("<2sH", b"FB", gap) + bytes(gap)
        shown = _FULL if wide else size
        version = 45 if wide else 20
        start = self.at
        head = (version, _UTF8, STORED, 0, _DATE, crc, shown, shown, len(raw))
        self._write(_LOCAL.pack(b"PK\3\4", *head, len(extra)) + raw + extra)
        self._write(data)
        extra = struct.pack("<HHQQQ", 1, 24, size, size, start) if wide else b""
        place = (0, 0, 0, 0, _FULL if wide else start)
        self.directory.append(_CENTRAL.pack(b"PK\1\2", version, *head, len(extra), *place) + raw + extra)

    def close(self) -> None:
        """Write the directory, which ends the archive."""
        start, count = self.at, len(self.directory)
        directory = b"".join(self.directory)
        self._write(directory)
        size = len(directory)
        if start >= _FULL or size >= _FULL or count >= 0xFFFF:
            end = self.at
            self._write(_END64.pack(b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, start))
            self._write(_LOCATOR.pack(b"PK\6\7", 0, end, 1))
            count, size, start = min(count, 0xFFFF), min(size, _FULL), min(start, _FULL)
        self._write(_END.pack(b"PK\5\6", 0, 0, count, count, size, start, 0))

    def _write(self, data: Any) -> None:
        self.file.write(data)
        self.at += len(data)


# ---- reading ---------------------------------------------------------------------------------------------------------


class Source:
    """The bytes of a file, or of a file object from its position on.

    Args:
        file: a binary file object; one that cannot seek is read into memory.
        mapped: map the file into memory; changes of the mapped bytes do not reach the file.
    """

    def __init__(self, file: BinaryIO, mapped: bool = False):
        self.file, self.map = file, None
        try:
            self.base = file.tell()
            self.size = file.seek(0, os.SEEK_END) - self.base
        except (AttributeError, OSError, ValueError):  # gzip's files do not know their length
            self.memory: Any = memoryview(file.read())
            self.base, self.size = 0, len(self.memory)
        else:
            self.memory = None
            if mapped and self.size:
                self.map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
                self.memory = memoryview(self.map)

    def read(self, start: int, count: int) -> bytes:
        """`count` bytes from `start` on, fewer at the end of the file."""
        if self.memory is not None:
            return bytes(self.memory[start : start + count])
        self.file.seek(self.base + start)
        parts = []
        while count > 0 and (
            part := self.file.read(min(count, 1 << 26))
        ):  # no more memory at a time than there is file
            parts.append(part)
            count -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def array(self, start: int, count: int, align: int = 16) -> np.ndarray:
        """`count` bytes as an array of uint8 of its own, or of the map where they lie at a multiple of `align`."""
        if self.map is not None:
            found = np.frombuffer(self.map, np.uint8, count, start)
            return found if start % align == 0 else found.copy()
        out = np.empty(count, np.uint8)
        if self.memory is not None:
            out[:] = np.frombuffer(self.memory, np.uint8, count, start)
            return out
        self.file.seek(self.base + start)
        read, done = getattr(self.file, "readinto", None), 0
        while done < count:
            if read is not None:
                n = read(memoryview(out)[done : done + (1 << 30)])
            else:
                part = self.file.read(min(count - done, 1 << 26))
                n = len(part)
                out[done : done + n] = np.frombuffer(part, np.uint8)
            if not n:
                raise broken("it breaks off", where=f"byte {start + done}")
            done += n
        return out


class Entry(NamedTuple):
    """A file in an archive: where its bytes are, how many there are, how many they become, their checksum."""

    name: str
    head: int
    start: int
    stored: int
    size: int
    crc: int
    method: int


class ZipReader:
    """The entries of an archive by name.

    Args:
        source: the file.

    Raises:
        RuntimeError: the archive is damaged.
    """

    def __init__(self, source: Source):
        self.source = source
        try:
            self.entries = _read_directory(source)
        except struct.error:
            raise broken("its directory breaks off") from None

    def read(self, name: str, check: bool = True) -> bytes:
        """The bytes of an entry; its checksum is compared."""
        entry = self.entries[name]
        data = self.source.read(entry.start, entry.stored)
        if entry.method == DEFLATED:
            data = _inflated(entry, data)
        if len(data) != entry.size or zlib.crc32(data) != entry.crc:
            raise broken("the contents of an entry have changed", where=name, got="another checksum")
        return data

    def array(self, name: str) -> np.ndarray:
        """The bytes of an entry as an array; the checksum is compared, unless the file is mapped and read later."""
        entry = self.entries[name]
        if entry.method == DEFLATED:
            return np.frombuffer(bytearray(self.read(name)), np.uint8)
        found = self.source.array(entry.start, entry.size)
        if self.source.map is None and zlib.crc32(found) != entry.crc:
            raise broken("the contents of an entry have changed", where=name, got="another checksum")
        return found

    def verify(self) -> None:
        """Compare the checksums of all entries."""
        for name in self.entries:
            self.read(name)


def _inflated(entry: Entry, data: bytes) -> bytes:
    """Uncompress an entry; never to more than it says."""
    try:
        found = zlib.decompressobj(-15).decompress(data, entry.size or 1)
    except zlib.error as error:
        raise broken("an entry cannot be uncompressed", where=entry.name, got=error) from None
    return found


def _read_directory(source: Source) -> dict[str, Entry]:
    size = source.size
    tail = source.read(max(0, size - 65557), 65557)
    place = tail.rfind(b"PK\5\6")
    while place >= 0:
        fields = _END.unpack(tail[place : place + _END.size]) if place + _END.size <= len(tail) else None
        if fields and place + _END.size + fields[7] == len(tail):
            break
        place = tail.rfind(b"PK\5\6", 0, place)
    else:
        what = "it breaks off: it begins as a zip file and has no directory at its end"
        raise broken(what, got=f"{size} bytes", fix="get the file again: the download or the save did not finish")
    end = size - len(tail) + place
    _, disk, disk_of, count, total, length, start, _ = fields
    if _FULL in (length, start) or count == 0xFFFF:
        locator = _LOCATOR.unpack(source.read(end - _LOCATOR.size, _LOCATOR.size)) if end >= _LOCATOR.size else (b"",)
        if locator[0] == b"PK\6\7":
            end = locator[2]
            found = _END64.unpack(source.read(end, _END64.size))
            if found[0] != b"PK\6\6":
                raise broken("its directory is not where it should be")
            _, _, _, _, disk, disk_of, count, total, length, start = found
    if disk or disk_of or count != total or start + length > end or count > length // _CENTRAL.size:
        raise broken("its directory is not where it should be")
    return _entries(source, source.read(start, length), count, start)


def _entries(source: Source, directory: bytes, count: int, limit: int) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    at = 0
    for _ in range(count):
        fields = _CENTRAL.unpack(directory[at : at + _CENTRAL.size])
        signature, _, _, flags, method, _, _, crc, stored, size, n, extra, comment, *_, head = fields
        at += _CENTRAL.size
        raw, more = directory[at : at + n], directory[at + n : at + n + extra]
        at += n + extra + comment
        if signature != b"PK\1\2" or at > len(directory):
            raise broken("its directory makes no sense")
        stored, size, head = _wide(more, stored, size, head)
        name = raw.decode("utf-8", "replace")
        if flags & 0x2041 or method not in (STORED, DEFLATED) or (method == STORED and stored != size):
            raise broken("an entry of it is encrypted, or compressed in an unusual way", where=name)
        if size > 1040 * stored + 64:  # deflate cannot do better than 1032 to 1
            raise broken("an entry says that it is larger than it can be", where=name)
        if name in found or "\ufffd" in name:
            raise broken("its directory names an entry twice, or not in UTF-8", where=name)
        local = _LOCAL.unpack(source.read(head, _LOCAL.size)) if head + _LOCAL.size <= limit else (b"",)
        if local[0] != b"PK\3\4" or local[3] != method or source.read(head + _LOCAL.size, n) != raw:
            raise broken("an entry is not where its directory says", where=name)
        start = head + _LOCAL.size + local[9] + local[10]
        found[name] = Entry(name, head, start, stored, size, crc, method)
    last = limit
    for entry in sorted(found.values(), key=lambda entry: entry.head, reverse=True):
        if entry.start + entry.stored > last:
            raise broken("entries overlap, or reach outside the file", where=entry.name)
        last = entry.head
    return found


def _wide(extra: bytes, stored: int, size: int, head: int) -> tuple[int, int, int]:
    """The numbers of an entry, from its zip64 field where they do not fit elsewhere."""
    if _FULL not in (stored, size, head):
        return stored, size, head
    at = 0
    while at + 4 <= len(extra):
        kind, n = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            wide = iter(struct.unpack(f"<{n // 8}Q", extra[at + 4 : at + 4 + n // 8 * 8]))
            size = next(wide, _FULL) if size == _FULL else size
            stored = next(wide, _FULL) if stored == _FULL else stored
            head = next(wide, _FULL) if head == _FULL else head
            break
        at += 4 + n
    return stored, size, head
