"""Training steps, tapegrad beside PyTorch: the same program on both, interleaved in one process.

    python bench/steps.py                   all cases, 2 threads on both sides where the machine has them
    python bench/steps.py --threads 1 --rounds 21 --only mlp
    python bench/steps.py --cold            first steps instead: an empty cache of kernels beside a filled one
    python bench/steps.py --compile         a column for torch.compile, where PyTorch finds a C++ compiler

Each case (`_cases.py`) is built once per library from the same seed. First both run a few steps and their results
(losses or values) must agree; then rounds of A B A B ... are timed. Printed are the median time of each side and the
median of the round-by-round ratio torch / tapegrad: above 1 is faster than PyTorch. Then the rate of the products of a
step, where they are most of it, as a part of the best that either library reaches on this machine; and the peak of
memory that a step adds, measured in a process of its own for each side (`_child.py`). The exit code is 1 if a result
disagrees.
"""

from __future__ import annotations

import functools
import math
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from _cases import CASES, Case
from _common import THREADS, libraries, options, timed

ROUND = 0.05  # seconds of each side in one round
HEAD = (
    f"{'case':32s} {'ours us':>9s} {'torch us':>9s} {'torch/ours':>10s} {'required':>8s} {'GF/s':>6s} {'of peak':>7s} "
    f"{'ours MB':>8s} {'torch MB':>8s} {'ratio':>6s}"
)


class Line(NamedTuple):
    """What was found for one case; times in seconds, memory in MB."""

    mine: float
    theirs: float
    ratio: float
    results: tuple[list[float], list[float]]
    memory: tuple[float, float] | None = None
    compiled: float | None = None

    def agrees(self) -> bool:
        """Equal up to the rounding of float32 sums in another order."""
        return all(abs(x - y) <= 1e-4 * max(abs(y), 1e-3) for x, y in zip(*self.results))


# ---- measuring ------------------------------------------------------------------------------------------------------


def measure(case: Case, sides: list[Any], rounds: int) -> Line:
    """Run one case on ours, PyTorch's and, if it is there, the compiled side."""
    steps = [case.build(side) for side in sides]
    results = [[step() for _ in range(5)] for step in steps]
    n = max(1, round(ROUND / max(timed(step, 1) for step in steps)))
    times = [[timed(step, n) for step in steps] for _ in range(rounds)]
    mine, theirs, *compiled = (statistics.median(column) for column in zip(*times))
    ratio = statistics.median(row[1] / row[0] for row in times)
    return Line(mine, theirs, ratio, (results[0], results[1]), compiled=compiled[0] if compiled else None)


def child(what: str, library: str, threads: int, names: list[str], cache: str | None = None) -> list[float]:
    """The numbers that `_child.py` prints."""
    environment = os.environ | dict.fromkeys(THREADS, str(threads))
    if cache is not None:
        environment["TAPEGRAD_CACHE"] = cache
    program = [sys.executable, str(Path(__file__).parent / "_child.py"), what, library, str(threads), *names]
    run = subprocess.run(program, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return [float(line) for line in run.stdout.split()]


def best_rate(ours: Any, theirs: Any) -> float:
    """The peak, by measurement: operations per second of a square product in the faster library."""
    n, found = 1536, []
    for T in (ours, theirs):
        x, y = T.rand(n, n), T.rand(n, n)
        found += [2 * n**3 / timed(functools.partial(T.mm, x, y), 3) for _ in range(10)]
    return max(found)


class Compiled:
    """PyTorch, with the models of the cases compiled."""

    def __init__(self, torch: Any):
        self.torch = torch

    def __getattr__(self, name: str) -> Any:
        return getattr(self.torch, name)

    def compiled(self, model: Any) -> Any:
        return self.torch.compile(model)


def can_compile(torch: Any) -> bool:
    """Whether `torch.compile` works on this machine: it needs a C++ compiler."""
    try:
        torch.compile(lambda x: x + 1)(torch.ones(2))
    except Exception:
        return False
    return True


# ---- printing -------------------------------------------------------------------------------------------------------


def show(case: Case, line: Line, peak: float | None) -> None:
    """One line of the table."""
    required = "" if case.required is None else f"{case.required:.1f}"
    text = f"{case.name:32s} {line.mine * 1e6:9.1f} {line.theirs * 1e6:9.1f} {line.ratio:10.2f} {required:>8s}"
    if case.flops and peak:
        text += f" {case.flops / line.mine / 1e9:6.1f} {case.flops / line.mine / peak:7.0%}"
    else:
        text += " " * 15
    if line.memory:
        mine, theirs = line.memory
        text += f" {mine:8.2f} {theirs:8.2f}" + (f" {mine / theirs:6.2f}" if theirs > 1 else " " * 7)
    if line.compiled is not None:
        text += f"  compiled {line.compiled * 1e6:.1f} us"
    if not line.agrees():
        text += f"  DIFFERENT: {line.results}"
    elif line.ratio < (case.required or 1.0):
        text += "  below"
    print(text, flush=True)


def summary(lines: list[tuple[Case, Line]]) -> None:
    """The geometric mean of the required cases, and who misses what."""
    asked = [(case, line) for case, line in lines if case.required]
    if not asked:
        return
    mean = math.exp(statistics.fmean(math.log(line.ratio) for _, line in asked))
    reached = sum(line.ratio >= (case.required or 0) for case, line in asked)
    print(f"\ngeometric mean of torch/ours {mean:.2f}, required 1.7; {reached} of {len(asked)} as required")
    lowest = min(lines, key=lambda pair: pair[1].ratio)
    print(f"lowest: {lowest[1].ratio:.2f}, {lowest[0].name}; required 1.0")
    grown = [(line.memory[0] / line.memory[1], case.name) for case, line in lines if line.memory and line.memory[1] > 1]
    if grown:
        print(
            "memory, of the steps that add over 1 MB: at most {:.2f} of torch's, {}; required 1.1".format(*max(grown))
        )


def cold(cases: list[Case], threads: int, rounds: int) -> None:
    """First steps with an empty cache of kernels, and with the cache that those left, in fresh processes."""
    names = [case.name for case in cases]
    pairs = []
    child("first", "tapegrad", threads, names)  # brings files into the system's memory
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            pairs.append([child("first", "tapegrad", threads, names, folder) for _ in range(2)])
    print(f"{'case':32s} {'cold ms':>9s} {'warm ms':>9s}")
    for k, name in enumerate(names):
        empty, full = (statistics.median(pair[i][k] for pair in pairs) * 1e3 for i in (0, 1))
        print(f"{name:32s} {empty:9.1f} {full:9.1f}")
    later = statistics.median(sum(pair[0]) - sum(pair[1]) for pair in pairs)
    print(f"\nfirst steps from a cold cache, all cases together: {later:.2f} s later than from a warm one; required 2")


def main(cases: list[Case] = CASES, children: bool = True) -> int:
    """Run the cases; `children` are those of `_cases.py`, which other processes can build by name."""
    parser = options(__doc__, rounds=11, threads=min(2, os.cpu_count() or 1))
    parser.add_argument("--compile", action="store_true", help="a column for torch.compile")
    parser.add_argument("--no-memory", action="store_true", help="leave the memory of a step out: a minute less")
    parser.add_argument("--cold", action="store_true", help="only first steps, from a cold and a warm cache of kernels")
    args = parser.parse_args()
    chosen = [case for case in cases if args.only.lower() in case.name.lower()]
    if args.cold:
        cold(chosen, args.threads, min(args.rounds, 3))
        return 0
    ours, torch = libraries(args.threads)
    print(
        f"tapegrad {ours.__version__}, torch {torch.__version__}, {args.threads} threads, {args.rounds} rounds", end=""
    )
    peak = best_rate(ours, torch) if any(case.flops for case in chosen) else None
    print(f", peak {peak / 1e9:.0f} GFLOP/s\n{HEAD}" if peak else f"\n{HEAD}", flush=True)
    sides = [ours, torch, *([Compiled(torch)] if args.compile and can_compile(torch) else [])]
    lines = []
    for case in chosen:
        line = measure(case, sides, args.rounds)
        if children and not args.no_memory and sys.platform == "linux":
            mine, theirs = (child("memory", name, args.threads, [case.name])[0] for name in ("tapegrad", "torch"))
            line = line._replace(memory=(mine, theirs))
        show(case, line, peak)
        lines.append((case, line))
    summary(lines)
    return 0 if all(line.agrees() for _, line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
