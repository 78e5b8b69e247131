"""How many threads compute: those of the BLAS that NumPy brings, the only kernels that use several so far.

OpenBLAS's threads wait by spinning: two of them on a machine with one idle core made a step of a small network 15 times
slower, so programs with small matrices on busy machines do well to ask for one.
"""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path

import numpy as np

from ... import modes
from ...errors import message

_PREFIXES = ("scipy_openblas_{}64_", "scipy_openblas_{}", "openblas_{}64_", "openblas_{}")


@functools.cache
def blas() -> ctypes.CDLL | None:
    """NumPy's OpenBLAS, as its wheels bring it; None for another BLAS (macOS, distributions, conda)."""
    package = Path(np.__file__).parent
    for folder in (package.parent / "numpy.libs", package / ".libs", package / ".dylibs"):
        for file in sorted(folder.glob("*openblas*")):
            try:
                return ctypes.CDLL(str(file))
            except OSError:
                continue
    return None


def _entry(name: str) -> ctypes._NamedFuncPointer | None:
    library = blas()
    found = (getattr(library, prefix.format(name), None) for prefix in _PREFIXES) if library is not None else ()
    return next((f for f in found if f is not None), None)


_chosen: int | None = None  # what `set_num_threads` was last called with


def get_num_threads() -> int:
    """How many threads a product of matrices may use.

    >>> import tapegrad as torch
    >>> torch.get_num_threads() >= 1
    True
    """
    if _chosen is not None:
        return _chosen
    entry = _entry("get_num_threads")
    return int(entry()) if entry is not None else 1


def set_num_threads(n: int) -> None:
    """Set how many threads a product of matrices may use.

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
    global _chosen
    _chosen = n
    _use(1 if modes.are_deterministic_algorithms_enabled() else n)


def _use(n: int) -> None:
    entry = _entry("set_num_threads")
    if entry is not None:
        entry(ctypes.c_int(n))


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Make results independent of the number of threads: products of matrices then take one.

    OpenBLAS divides a product by the number of threads, and where it cuts, sums are added in another order: about one
    product in five differs in its last bits between one thread and two. Everything else is deterministic anyway.

    Args:
        mode: whether to do so.
        warn_only: accepted for compatibility.

    >>> import tapegrad as torch
    >>> torch.use_deterministic_algorithms(True)
    >>> torch.are_deterministic_algorithms_enabled()
    True
    >>> torch.use_deterministic_algorithms(False)
    """
    global _chosen
    _chosen = get_num_threads()
    modes.use_deterministic_algorithms(mode, warn_only=warn_only)
    _use(1 if mode else _chosen)
