"""Generated kernels beside PyTorch and beside NumPy: functions and activations, forward and with backward.

    python bench/kernels.py                                      1,000, 100,000 and 1,000,000 elements, one thread
    python bench/kernels.py --only gelu,tanh --sizes 100000      some of them
    python bench/kernels.py --dtype float64 --threads 2
    python bench/kernels.py --products --threads 2               products of matrices at the shapes of training

Three sides take turns in one process: tapegrad with the kernels that llvmlite compiles, tapegrad on NumPy alone, and
PyTorch. Printed are the median times of the first and how many times as long PyTorch and NumPy take (above 1: the
kernels are faster). The results must agree; the exit code is 1 if one does not. Compiling is timed apart: the
last line says how long all kernels took.

Of products, the best calls are printed, as numbers of operations per second, and how much of torch's result is the
same to the bit. NumPy's side is its BLAS with one thread, which is what tapegrad gives it.
"""

from __future__ import annotations

import argparse
import functools
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


# (rows, inner size, columns), which operand lies transposed (N: none), matrices: a step of the documents' networks, of
# bench/steps.py, attention, one row, and large ones
PRODUCTS = (
    "64x784x512 NT, 64x512x784 NN, 512x64x784 TN, 64x512x512 NT, 64x512x10 NT, 64x10x512 NN, 10x64x512 TN, "
    "64x1000x100 NN, 64x100x10 NN, 100x64x10 TN, 1000x64x100 TN, 64x10x100 NT, 64x784x10 NN, 784x64x10 TN, "
    "768x128x384 NT, 768x128x512 NT, 128x768x512 TN, 768x512x128 NN, 16x64x256 NT, 9216x288x64 NT, 64x9216x128 NT, "
    "64x32x64 NT 48, 64x64x32 NN 48, 1x784x512 NT, 1x784x512 NN, 32x32x32 NN, 200x200x200 NN, 1024x1024x1024 NN"
)


def rates(sides: dict[str, Callable[[], Any]], work: float, rounds: int) -> dict[str, float]:
    """Operations per second of each side in its best call, the sides taking turns of many calls."""
    repeat = max(5, min(200, int(3e7 / work)))
    least = dict.fromkeys(sides, float("inf"))
    for _ in range(rounds):
        for name, side in sides.items():
            time.sleep(0.01)  # the threads of the side before wait for work by spinning, on a core that this one needs
            for _ in range(repeat):
                start = time.perf_counter()
                side()
                least[name] = min(least[name], time.perf_counter() - start)
    return {name: work / t for name, t in least.items()}


def products(args: argparse.Namespace, tapegrad: Any, torch: Any) -> int:
    """The table of products; the number of wrong results."""
    from tapegrad.backends.cpu import gemm

    wrong, ratios = 0, {"torch": [], "numpy": []}
    print(f"products, {args.dtype}, {args.threads} thread(s): GFLOP/s, and ours by theirs")
    print(f"{'':22}{'ours':>8}{'torch':>8}{'numpy':>8}{'by torch':>11}{'by numpy':>9}{'same bits':>11}")
    for text in PRODUCTS.split(", "):
        sizes, layout, *count = text.split()
        if args.only and sizes not in args.only.split(","):
            continue
        m, k, n = map(int, sizes.split("x"))
        stack = tuple(map(int, count))
        rng = np.random.default_rng(0)
        x = rng.standard_normal((*stack, *((k, m) if layout[0] == "T" else (m, k)))).astype(args.dtype)
        y = rng.standard_normal((*stack, *((n, k) if layout[1] == "T" else (k, n)))).astype(args.dtype)
        a, b = torch.from_numpy(x).clone(), torch.from_numpy(y).clone()  # clones begin at multiples of 64 bytes
        x, a = (x.swapaxes(-1, -2), a.mT) if layout[0] == "T" else (x, a)
        y, b = (y.swapaxes(-1, -2), b.mT) if layout[1] == "T" else (y, b)
        ours, theirs = gemm.matmul(x, y), torch.matmul(a, b).numpy()
        good = np.allclose(ours, theirs, rtol=1e-4, atol=1e-3)
        wrong += not good
        calls = {
            "ours": (gemm.matmul, x, y),
            "torch": (torch.matmul, a, b),
            "numpy": (np.matmul if stack else np.dot, x, y),
        }
        work = 2.0 * m * n * k * (stack[0] if stack else 1)
        found = rates({side: functools.partial(*call) for side, call in calls.items()}, work, args.rounds)
        for side, values in ratios.items():
            values.append(found["ours"] / found[side])
        line = f"{text:22}" + "".join(f"{found[side] / 1e9:8.1f}" for side in calls)
        line += f"{ratios['torch'][-1]:11.2f}{ratios['numpy'][-1]:9.2f}{(ours == theirs).mean():11.1%}"
        print(line + ("" if good else " WRONG"), flush=True)
    for side, values in ratios.items():
        print(f"{side}: {statistics.geometric_mean(values):.2f} in the geometric mean, {min(values):.2f} at least")
    return wrong


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1000,100000,1000000", help="numbers of elements, with commas")
    parser.add_argument("--only", default="", help="names, with commas")
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--products", action="store_true", help="products of matrices instead")
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
    if args.products:
        return 1 if products(args, tapegrad, torch) else 0
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
