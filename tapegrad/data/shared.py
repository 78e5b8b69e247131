"""Batches on their way from a worker process: the arrays by shared memory, the rest by a pipe.

A batch is pickled with its arrays left out (protocol 5); they are laid one after the other into a block of shared
memory, from which the receiver copies them. Each worker has a few blocks, used in turn and made larger when a batch
does not fit: nothing is allocated for a batch, and the memory of a loader is bounded by its largest batches.

A block is a file that both sides map, in /dev/shm where there is one. All blocks of a loader lie in one folder, which
the receiver removes in the end; if the receiver is killed, the workers notice and remove it.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
import shutil
import tempfile
from typing import Any, NamedTuple

import numpy as np

from ..core.tensor import Tensor, wrap
from ..errors import message

_ALIGN = 64
_SMALL = 1 << 13  # bytes: less goes through the pipe
_GRAIN = 1 << 16


class Parcel(NamedTuple):
    """A pickled value: what goes through the pipe, and where in the block the arrays are."""

    head: bytes
    block: int  # -1: there are none
    size: int
    spans: list[tuple[int, int]]


def make_folder() -> str:
    """A new folder for blocks, "" where memory cannot be shared this way."""
    if os.name != "posix":
        return ""
    memory = "/dev/shm"
    return tempfile.mkdtemp(
        prefix=f"tapegrad-{os.getpid()}-", dir=memory if os.access(memory, os.W_OK | os.X_OK) else None
    )


def remove_folder(folder: str) -> None:
    """Remove the folder and its blocks; memory that is still mapped goes when its last user does."""
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


class Sender:
    """The worker's side: packs values into the blocks that begin with its name."""

    def __init__(self, folder: str, name: str, blocks: int):
        self._folder, self._name = folder, name
        self._blocks: list[mmap.mmap | None] = [None] * blocks
        self._next = 0

    def pack(self, value: Any) -> Parcel:
        """A parcel for `value`; the parcel of `blocks` calls ago must have been opened.

        Raises:
            RuntimeError: a tensor in it belongs to a graph.
        """
        buffers: list[memoryview] = []
        head = _dumps(value, lambda buffer: buffers.append(buffer.raw()))
        total = sum(_aligned(len(buffer)) for buffer in buffers)
        number, block = self._block(total) if self._folder and total >= _SMALL else (-1, None)
        if block is None:
            return Parcel(_dumps(value, None) if buffers else head, -1, 0, [])
        spans, start = [], 0
        for buffer in buffers:
            block[start : start + len(buffer)] = buffer
            spans.append((start, len(buffer)))
            start += _aligned(len(buffer))
        return Parcel(head, number, len(block), spans)

    def _block(self, size: int) -> tuple[int, mmap.mmap | None]:
        """The next block, of at least this size; None if there is no memory for it."""
        number = self._next
        self._next = (number + 1) % len(self._blocks)
        block = self._blocks[number]
        if block is None or len(block) < size:
            if block is not None:
                block.close()
            block = self._blocks[number] = _new_block(self._path(number), -(-size * 5 // 4 // _GRAIN) * _GRAIN)
        return number, block

    def _path(self, number: int) -> str:
        return os.path.join(self._folder, f"{self._name}-{number}")


class Receiver:
    """The caller's side of a `Sender` of the same folder and name."""

    def __init__(self, folder: str, name: str):
        self._folder, self._name = folder, name
        self._blocks: dict[int, mmap.mmap] = {}

    def open(self, parcel: Parcel) -> Any:
        """The value, its arrays in memory of their own."""
        if parcel.block < 0:
            return pickle.loads(parcel.head)
        block = self._blocks.get(parcel.block)
        if block is None or len(block) != parcel.size:
            if block is not None:
                block.close()
            with open(os.path.join(self._folder, f"{self._name}-{parcel.block}"), "r+b") as file:
                block = self._blocks[parcel.block] = mmap.mmap(file.fileno(), parcel.size)
        with memoryview(block) as view:
            arrays = [np.frombuffer(view[start : start + size], np.uint8).copy() for start, size in parcel.spans]
        return pickle.loads(parcel.head, buffers=arrays)

    def close(self) -> None:
        """Give the mappings back."""
        for block in self._blocks.values():
            block.close()
        self._blocks.clear()


def _aligned(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN


def _new_block(path: str, size: int) -> mmap.mmap | None:
    """A new file of this size, mapped; None if there is no room."""
    part = f"{path}.new"
    try:
        with open(part, "w+b") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)  # so that a full disk is an error here, not a signal later
            else:
                file.truncate(size)
            block = mmap.mmap(file.fileno(), size)
        os.replace(part, path)
    except OSError:
        return None
    return block


# ---- pickling ------------------------------------------------------------------------------------------------------


class _Pickler(pickle.Pickler):
    """Plain tensors become their arrays."""

    def reducer_override(self, value: Any) -> Any:
        if type(value) is not Tensor:
            return NotImplemented
        if value.node is not None:
            text = "a worker process cannot send a tensor that was computed from others that require grad"
            raise RuntimeError(message(text, got=f"grad_fn={value.grad_fn}", fix="return tensor.detach()"))
        return _tensor, (value.array, value.requires_grad)


def _tensor(array: np.ndarray, requires_grad: bool) -> Tensor:
    out = wrap(array)
    out.requires_grad = requires_grad
    return out


def _dumps(value: Any, callback: Any) -> bytes:
    out = io.BytesIO()
    _Pickler(out, 5, buffer_callback=callback).dump(value)
    return out.getvalue()
