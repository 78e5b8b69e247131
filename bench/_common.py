"""What the programs of this folder share: options, both libraries on equal threads, a clock that is fair to both."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from typing import Any

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
PAUSE = 0.04  # seconds; threads of BLAS and OpenMP that have no work spin for up to 25 ms before they sleep


def options(description: str | None, rounds: int, threads: int = 1) -> argparse.ArgumentParser:
    """A parser that knows `--threads`, `--rounds` and `--only`."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=threads, help="of each library")
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    return parser


def libraries(threads: int) -> tuple[Any, Any]:
    """tapegrad and PyTorch, each with that many threads; ends the program where there is no PyTorch."""
    for variable in THREADS:  # before the libraries start
        os.environ[variable] = str(threads)
    try:
        import torch
    except ImportError:
        sys.exit(f"{sys.argv[0]} compares with PyTorch: pip install torch==2.13.0")
    import tapegrad

    for library in (tapegrad, torch):
        library.set_num_threads(threads)
    if threads > 1 and hasattr(os, "getloadavg") and os.getloadavg()[0] > 0.5:
        print(
            "other programs are running: threads that wait for each other, as PyTorch's, are slower than they could be"
        )
    return tapegrad, torch


def timed(step: Callable[[], Any], n: int) -> float:
    """Seconds per step, after a pause that lets the other library's threads sleep and a step that wakes one's own."""
    time.sleep(PAUSE)
    step()
    start = time.perf_counter()
    for _ in range(n):
        step()
    return (time.perf_counter() - start) / n
