"""What needs a process of its own: the memory of a step, and the first steps with a cold cache of kernels.

    python bench/_child.py memory tapegrad 2 CASE...     a line per case: MB that three steps add
    python bench/_child.py first tapegrad 2 CASE...      a line per case: seconds of its first step

`memory`: the program is built, run, dropped and its memory given back to the system, so that code, kernels and threads
are there. Then it is built again, and what counts is how far three steps raise the peak of resident memory above what
was resident before them: gradients, the state of the optimizer, what is saved for `backward`, and work space.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import sys
import time
from pathlib import Path
from typing import Any

from _cases import CASES, Case


def status(name: str) -> float:
    """A line of the kernel's table on this process, in MB: "VmHWM" is the peak, "VmRSS" what is resident now."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


def drop() -> None:
    """Give what is free back to the system."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


def memory(T: Any, case: Case) -> float:
    """MB that three steps add to the state before them."""
    step = case.build(T)
    for _ in range(3):
        step()
    del step
    drop()
    step = case.build(T)
    drop()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = status("VmRSS")
    for _ in range(3):
        step()
    return status("VmHWM") - before


def first(T: Any, case: Case) -> float:
    """Seconds from nothing to the end of the first step."""
    start = time.perf_counter()
    case.build(T)()
    return time.perf_counter() - start


def main() -> None:
    what, library, threads, *names = sys.argv[1:]
    T = importlib.import_module(library)
    T.set_num_threads(int(threads))
    for case in CASES:
        if case.name in names:
            print({"memory": memory, "first": first}[what](T, case), flush=True)


if __name__ == "__main__":
    main()
