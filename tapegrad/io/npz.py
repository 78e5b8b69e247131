"""NumPy's archives of arrays (.npz): read with the sizes checked first, written without compression."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping
from pickle import UnpicklingError
from typing import Any

import numpy as np

from .. import dtypes
from ..core.tensor import Tensor, wrap
from ..errors import message
from . import wrong
from .archive import Source, ZipReader, ZipWriter, broken
from .atomic import replacing
from .files import is_path, opened
from .storage import MAX_DIM


def save_npz(tensors: Mapping[str, Tensor], f: Any) -> None:
    """Write tensors to a file that `numpy.load` reads; a path is written atomically.

    Args:
        tensors: by name.
        f: a path, or a binary file object.

    Raises:
        TypeError: a value is no tensor, or one of bfloat16, which NumPy does not have.

    >>> import io
    >>> import numpy as np
    >>> import tapegrad as torch
    >>> file = io.BytesIO()
    >>> torch.io.save_npz({"x": torch.arange(3)}, file)
    >>> _ = file.seek(0)
    >>> np.load(file)["x"].tolist()
    [0, 1, 2]
    """
    entries = []
    for name, t in tensors.items():
        if not isinstance(t, Tensor):
            raise TypeError(message("save_npz: takes tensors by name", where=name, got=type(t).__name__))
        if t.dtype is dtypes.bfloat16:
            raise TypeError(message("save_npz: NumPy has no bfloat16", where=name, fix="save tensor.float()"))
        entry = io.BytesIO()
        np.lib.format.write_array(entry, t.array, allow_pickle=False)
        entries.append((f"{name}.npy", entry.getbuffer()))
    if is_path(f):
        with replacing(f) as file:
            _write(file, entries)
    else:
        _write(f, entries)


def _write(file: Any, entries: list[tuple[str, Any]]) -> None:
    archive = ZipWriter(file)
    for name, data in entries:
        archive.add(name, data, align=True)
    archive.close()


def load_npz(f: Any) -> dict[str, Tensor]:
    """The arrays of a file of `numpy.savez` or `numpy.savez_compressed` as tensors by name.

    Args:
        f: a path, or a binary file object.

    Raises:
        RuntimeError: the archive is damaged.
        pickle.UnpicklingError: the file is of another kind, or an array in it is not one of numbers.

    >>> import io
    >>> import numpy as np
    >>> import tapegrad as torch
    >>> file = io.BytesIO()
    >>> np.savez(file, x=np.arange(3))
    >>> _ = file.seek(0)
    >>> torch.io.load_npz(file)
    {'x': tensor([0, 1, 2])}
    """
    return opened(f, False, lambda source: _read(source, wrong.described(f)))


def _read(source: Source, label: str) -> dict[str, Tensor]:
    if source.read(0, 2) != b"PK":
        raise wrong.explanation(source.read(0, 512), label, "numpy.savez")
    archive = ZipReader(source)
    return {name.removesuffix(".npy"): _array(archive, name) for name in archive.entries}


_HEADER = re.compile(
    rb"\{\s*'descr':\s*'([^']*)',\s*'fortran_order':\s*(True|False),\s*'shape':\s*\(([\d, ]*)\),?\s*\}\s*"
)  # what NumPy writes; it reads any Python expression there, which is more than data needs


def _array(archive: ZipReader, name: str) -> Tensor:
    """One entry: a header with the type and the shape, and the bytes."""
    data = archive.read(name)
    width = 2 if data[6:7] == b"\1" else 4  # bytes that hold the length of the header, by version
    start = 8 + width + int.from_bytes(data[8 : 8 + width], "little")
    header = _HEADER.fullmatch(data, 8 + width, start) if data[:6] == b"\x93NUMPY" and start <= len(data) else None
    if header is None:
        raise broken("an entry is no array of numbers in NumPy's format", where=name[:100])
    code, fortran, sizes = (part.decode("latin-1") for part in header.groups())
    if not re.fullmatch(r"[<>|=]?(b1|[iu][1248]|f[248]|c8|c16)", code):
        what = "load_npz: tensors cannot hold this array"
        raise UnpicklingError(message(what, where=name[:100], got=code[:20], expected="numbers"))
    dtype = np.dtype(code)
    numbers = [n.strip() for n in sizes.split(",") if n.strip()]
    if not all(n.isdigit() and len(n) < 20 for n in numbers) or len(numbers) > MAX_DIM:
        raise broken("the shape of an array makes no sense", where=name[:100])
    shape = tuple(map(int, numbers))
    if math.prod(shape) * dtype.itemsize != len(data) - start:
        raise broken("an array has another size than its shape says", where=name[:100])
    flat = np.frombuffer(data, dtype, math.prod(shape), start).astype(dtype.newbyteorder("="))
    return wrap(flat.reshape(shape, order="F" if fortran == "True" else "C"))
