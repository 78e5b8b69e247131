"""The IDX format, in which MNIST is published: a header of big-endian numbers, then the elements.

    2 bytes 0 | 1 byte element type | 1 byte number of dimensions d | d x 4 bytes sizes | elements, row by row

A file is read plain or gzipped. The lengths must agree exactly: a cut or damaged file is an error that names it, never
a shorter dataset.

Reference: http://yann.lecun.com/exdb/mnist, "The IDX file format".
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from ...errors import message

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def find_idx(folder: Path, name: str) -> Path | None:
    """The file `name` or `name.gz` in `folder`; None if neither is there."""
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def read_idx(path: Path, ndim: int | None = None) -> np.ndarray:
    """The array in an IDX file.

    Args:
        path: the file, gzipped or not.
        ndim: the number of dimensions it must have.

    Raises:
        RuntimeError: the file is not IDX, has other dimensions, is cut, or is too long.
    """
    return parse_idx(_content(path), str(path), ndim)


def parse_idx(content: bytes, name: str, ndim: int | None = None) -> np.ndarray:
    """The array in the content of an IDX file; `name` is for error messages."""
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _TYPES:
        raise RuntimeError(
            message(
                "this is not an IDX file",
                where=name,
                got=f"{len(content)} bytes that begin with {content[:4].hex(' ') or 'nothing'}",
                expected="00 00, the element type, the number of dimensions",
                fix="delete the file and get it again",
            )
        )
    dimensions = content[3]
    if ndim is not None and dimensions != ndim:
        raise RuntimeError(
            message(
                "this IDX file holds something else",
                where=name,
                got=f"{dimensions} dimensions",
                expected=f"{ndim}",
                fix="put the right file there",
            )
        )
    start = 4 + 4 * dimensions
    shape = tuple(int.from_bytes(content[i : i + 4], "big") for i in range(4, min(start, len(content)), 4))
    dtype = np.dtype(_TYPES[content[2]])
    expected = start + math.prod(shape) * dtype.itemsize
    if len(content) != expected or len(content) < start:
        raise RuntimeError(
            message(
                "this IDX file is cut or damaged",
                where=name,
                got=f"{len(content)} bytes",
                expected=f"{expected} bytes for shape {shape}" if len(content) >= start else f"at least {start} bytes",
                fix="delete the file and get it again",
            )
        )
    array = np.frombuffer(content, dtype, offset=start).reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=not array.flags.writeable)


def _content(path: Path) -> bytes | bytearray:
    """The bytes of a file, unzipped where it is zipped; writable, so that the array needs no copy."""
    content = bytearray(path.stat().st_size)
    with open(path, "rb") as file:
        del content[file.readinto(content) :]
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        return bytearray(gzip.decompress(content))
    except (EOFError, OSError, zlib.error) as error:
        raise RuntimeError(
            message(
                "this gzip file is cut or damaged",
                where=str(path),
                got=f"{len(content)} bytes, {error}",
                fix="delete the file and get it again",
            )
        ) from error
