"""Generated kernels beside PyTorch and beside NumPy: functions and activations, forward and with backward.

    python bench/kernels.py                                      1,000, 100,000 and 1,000,000 elements, one thread
    python bench/kernels.py --only gelu,tanh --sizes 100000      some of them
    python bench/kernels.py --dtype float64 --threads 2

Three sides take turns in one process: tapegrad with the kernels that llvmlite compiles, tapegrad on NumPy alone, and
PyTorch. Printed are the median times of the first and how many times as long PyTorch and NumPy take (above 1: the
kernels are faster). The results must agree; the exit code is 1 if one does not. Compiling is timed apart: the
last line says how long all kernels took.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

FUNCTIONS = (
    "exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh erf erfc erfinv "
    "sigmoid"
).split()
TWO = "atan2 pow hypot logaddexp logaddexp2".split()
ACTIVATIONS = "gelu silu softplus logsigmoid mish elu selu celu softsign tanhshrink".split()
WITHIN = {**dict.fromkeys(("asin", "acos", "atanh", "erfinv"), (-0.9, 0.9)), "acosh": (1.1, 5.0)}
POSITIVE = {"log", "log2", "log10", "log1p", "pow"}


def cases(only: list[str]) -> list[tuple[str, Callable[[Any, Any, Any], Any], tuple[float, float]]]:
    """Name, call of (library, x, y), and where x lies."""
    found = []
    for name in FUNCTIONS + TWO + ACTIVATIONS:
        low, high = WITHIN.get(name, (0.1, 5.0) if name in POSITIVE else (-3.0, 3.0))
        if name in ACTIVATIONS:
            call = lambda T, x, y, name=name: getattr(T.nn.functional, name)(x)
        elif name in TWO:
            call = lambda T, x, y, name=name: getattr(T, name)(x, y)
        else:
            call = lambda T, x, y, name=name: getattr(T, name)(x)
        if not only or name in only:
            found.append((name, call, (low, high)))
    return found


def once(T: Any, call: Callable, x: Any, y: Any, backward: bool) -> Any:
    """One forward pass, or one with the gradient of its sum."""
    out = call(T, x, y)
    return T.autograd.grad(out.sum(), x)[0] if backward else out


def compare(sides: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """The median time of each side in microseconds, the sides taking turns."""
    for side in sides.values():
        side()
    start = time.perf_counter()
    sides["ours"]()
    repeat = max(1, min(200, int(3e-4 / max(time.perf_counter() - start, 1e-7))))
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            start = time.perf_counter()
            for _ in range(repeat):
                side()
            times[name].append((time.perf_counter() - start) / repeat)
    return {name: statistics.median(t) * 1e6 for name, t in times.items()}


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1000,100000,1000000", help="numbers of elements, with commas")
    parser.add_argument("--only", default="", help="names, with commas")
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args(argv)
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, str(args.threads))
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    import torch

    import tapegrad
    from tapegrad.backends.cpu import elementwise
    from tapegrad.codegen import jit

    if not jit.available():
        print("no kernels are generated here: llvmlite is missing, turned off, or does not know this processor")
        return 0
    torch.set_num_threads(args.threads)
    tapegrad.set_num_threads(args.threads)
    compiling, make = [0.0], jit.ufunc

    def timed(*a: Any) -> Any:
        start = time.perf_counter()
        try:
            return make(*a)
        finally:
            compiling[0] += time.perf_counter() - start
            compiling.append(0.0)

    jit.ufunc = timed

    def on_numpy(run: Callable[[], Any]) -> Callable[[], Any]:
        def side() -> Any:
            before = elementwise.FEW, elementwise.LARGE
            elementwise.FEW = elementwise.LARGE = sys.maxsize
            try:
                return run()
            finally:
                elementwise.FEW, elementwise.LARGE = before

        return side

    wrong = 0
    for size in map(int, args.sizes.split(",")):
        ratios: dict[str, list[float]] = {"torch": [], "numpy": []}
        print(f"\n{size} elements, {args.dtype}: microseconds, then times as long as that")
        print(f"{'':14}{'forward':>10}{'torch':>8}{'numpy':>8}{'backward':>13}{'torch':>8}{'numpy':>8}")
        for name, call, (low, high) in cases(args.only.split(",") if args.only else []):
            rng = np.random.default_rng(0)
            x, y = (rng.uniform(low, high, size).astype(args.dtype) for _ in range(2))
            line = f"{name:14}"
            for backward in (False, True):
                pairs = {}
                for key, T in (("ours", tapegrad), ("torch", torch)):
                    pairs[key] = T, call, T.from_numpy(x).requires_grad_(backward), T.from_numpy(y), backward
                sides = {key: (lambda p=p: once(*p)) for key, p in pairs.items()}
                sides["numpy"] = on_numpy(sides["ours"])
                ours, theirs = sides["ours"]().detach().numpy(), sides["torch"]().detach().numpy()
                good = np.allclose(ours, theirs, rtol=2e-5 if args.dtype == "float32" else 1e-10, atol=2e-6)
                wrong += not good
                took = compare(sides, args.rounds)
                for side, values in ratios.items():
                    values.append(took[side] / took["ours"])
                line += f"{took['ours']:{13 if backward else 10}.1f}"
                line += "".join(f"{took[side] / took['ours']:8.2f}" for side in ratios)
                line += "" if good else " WRONG"
            print(line, flush=True)
        for side, values in ratios.items():
            middle, least = statistics.geometric_mean(values), min(values)
            print(f"{side}: {middle:.2f} times as long in the geometric mean, {least:.2f} at least")
    print(
        f"\n{len(compiling) - 1} kernels took {compiling[0]:.2f} s to compile or to load, the import of LLVM included"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
