"""Files that are written whole or not at all.

The new contents go to a temporary file in the same folder, from there to the disk (`fsync`), and take the place of the
old file in one step (`rename`); then the folder goes to the disk. A process or machine that stops at any moment leaves
the old file or the new one, and at worst a temporary file beside it.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ..errors import message

TEMPORARY = ".tapegrad-tmp"  # the end of the names of temporary files


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """A binary file to write to, which becomes the file `path` at the end of the block, unless that raises.

    A link is followed, and the permissions of a file that is replaced are kept. What is no regular file (a pipe, a
    device) is written to directly.

    Raises:
        RuntimeError: there is no such folder.
        OSError: the disk is full, the folder is not writable, ...: the file that was there is untouched.
    """
    target = os.path.realpath(os.fspath(path))
    if isinstance(target, bytes):
        target = os.fsdecode(target)
    folder, name = os.path.split(target)
    if not os.path.isdir(folder):
        text = message("save: the folder does not exist", got=folder, fix="make it first: os.makedirs(folder)")
        raise RuntimeError(text)
    mode = None
    if os.path.exists(target):
        mode = os.stat(target).st_mode
        if stat.S_ISDIR(mode):
            raise RuntimeError(message("save: the path is a folder", got=target, fix="give the name of a file"))
        if not stat.S_ISREG(mode):
            with open(target, "wb") as file:
                yield file
            return
    temporary = os.path.join(folder, f".{name[:100]}.{os.getpid()}-{os.urandom(4).hex()}{TEMPORARY}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(temporary, flags, 0o666)
    try:
        with open(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            os.chmod(temporary, stat.S_IMODE(mode))
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_folder(folder)


def sync_folder(folder: str | os.PathLike) -> None:
    """Bring the names in a folder to the disk, where the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:  # some network file systems cannot
        pass
    finally:
        os.close(descriptor)


def remove_leftovers(folder: Path, prefix: str) -> None:
    """Remove temporary files of processes that were stopped while they saved a file whose name begins so."""
    for path in folder.glob(f".{prefix}*{TEMPORARY}"):
        with contextlib.suppress(OSError):
            path.unlink()
