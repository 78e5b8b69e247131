"""How many threads compute: in generated kernels (`codegen.pool`) and `workers`. The BLAS that NumPy brings gets one.

OpenBLAS cuts a product according to its number of threads, and the order of its sums, so the last bits, with it: about
one product in five differs between one thread and two. Its threads also wait by spinning: two of them on a machine with
one idle core made a step of a small network 15 times slower.
"""

from __future__ import annotations

import ctypes
import functools
import os

import numpy as np

from ... import codegen, modes
from ...errors import message

_PREFIXES = ("scipy_openblas_{}64_", "scipy_openblas_{}", "openblas_{}64_", "openblas_{}")


@functools.cache
def blas() -> ctypes.CDLL | None:
    """NumPy's OpenBLAS, as its wheels bring it; None for another BLAS (macOS, distributions, conda)."""
    package = os.path.dirname(np.__file__)  # os.path and not pathlib, which takes 4 ms of `import tapegrad`
    for folder in (os.path.join(os.path.dirname(package), "numpy.libs"), f"{package}/.libs", f"{package}/.dylibs"):
        for file in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            if "openblas" not in file:
                continue
            try:
                return ctypes.CDLL(os.path.join(folder, file))
            except OSError:
                continue
    return None


def _entry(name: str) -> ctypes._NamedFuncPointer | None:
    library = blas()
    found = (getattr(library, prefix.format(name), None) for prefix in _PREFIXES) if library is not None else ()
    return next((f for f in found if f is not None), None)


def get_num_threads() -> int:
    """How many threads a kernel may use: by default, all processors that this process may run on.

    >>> import tapegrad as torch
    >>> torch.get_num_threads() >= 1
    True
    """
    return modes.num_threads()


def set_num_threads(n: int) -> None:
    """Set how many threads a kernel may use.

    Args:
        n: 1 or more.

    Raises:
        RuntimeError: n is not a positive integer.

    >>> import tapegrad as torch
    >>> torch.set_num_threads(1)
    >>> torch.get_num_threads()
    1
    """
    if not isinstance(n, int) or n < 1:
        raise RuntimeError(message("set_num_threads: the number must be a positive integer", got=repr(n)))
    modes.set_num_threads(n)
    codegen.threads_changed()
    single_blas()


@functools.cache
def single_blas() -> None:
    """Have NumPy's BLAS compute on the thread that calls it, from now on and for the whole process."""
    entry = _entry("set_num_threads")
    if entry is not None:
        entry(ctypes.c_int(1))


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Ask for results that are the same in every run: they always are, whatever the number of threads.

    Sums are formed in an order that follows from shapes alone; NumPy's BLAS gets one thread at the first large product,
    and with this at once.

    Args:
        mode: whether to do so.
        warn_only: accepted for compatibility.

    >>> import tapegrad as torch
    >>> torch.use_deterministic_algorithms(True)
    >>> torch.are_deterministic_algorithms_enabled()
    True
    >>> torch.use_deterministic_algorithms(False)
    """
    modes.use_deterministic_algorithms(mode, warn_only=warn_only)
    if mode:
        single_blas()
