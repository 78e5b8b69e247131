"""Convolution, pooling and embedding gradients beside PyTorch and beside NumPy, map by map.

    python bench/convolution.py                       the layers of common networks, one thread
    python bench/convolution.py --only MNIST --threads 2 --rounds 21

Each line is one map of a layer (output, gradient of the input, gradient of the weight; or of a pooling, or an
embedding). Three sides take turns in one process: tapegrad with generated kernels, tapegrad on NumPy alone, and
PyTorch. Printed are our median time, what it is in GFLOP/s and of the best product of matrices on this machine, and how
many times as long the other two take (above 1: the kernels are faster). Convolutions are counted as a product of
matrices, with the zeros around the image. Results must agree; the exit code is 1 if one does not.
"""

from __future__ import annotations

import functools
import math
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from _common import libraries, options

# name, N, C, H, W, output channels, kernel, stride, padding, groups
LAYERS = [
    ("MNIST CNN 1", 64, 1, 28, 28, 32, 3, 1, 0, 1),
    ("MNIST CNN 2", 64, 32, 26, 26, 64, 3, 1, 0, 1),
    ("LeNet 1", 64, 1, 28, 28, 6, 5, 1, 2, 1),
    ("LeNet 2", 64, 6, 14, 14, 16, 5, 1, 0, 1),
    ("residual 3-16", 32, 3, 32, 32, 16, 3, 1, 1, 1),
    ("residual 16-16", 32, 16, 32, 32, 16, 3, 1, 1, 1),
    ("residual 16-32 / 2", 32, 16, 32, 32, 32, 3, 2, 1, 1),
    ("residual 32-32", 32, 32, 16, 16, 32, 3, 1, 1, 1),
    ("residual 32-64 / 2", 32, 32, 16, 16, 64, 3, 2, 1, 1),
    ("residual 64-64", 32, 64, 8, 8, 64, 3, 1, 1, 1),
    ("residual 16-32 1x1 / 2", 32, 16, 32, 32, 32, 1, 2, 0, 1),
    ("ResNet-18 first", 4, 3, 224, 224, 64, 7, 2, 3, 1),
    ("ResNet-18 64", 4, 64, 56, 56, 64, 3, 1, 1, 1),
    ("ResNet-18 128", 4, 128, 28, 28, 128, 3, 1, 1, 1),
    ("ResNet-18 256", 4, 256, 14, 14, 256, 3, 1, 1, 1),
    ("ResNet-18 512", 4, 512, 7, 7, 512, 3, 1, 1, 1),
    ("MobileNet depthwise 32", 8, 32, 112, 112, 32, 3, 1, 1, 32),
    ("MobileNet depthwise 144 / 2", 8, 144, 56, 56, 144, 3, 2, 1, 144),
    ("MobileNet depthwise 384", 8, 384, 14, 14, 384, 3, 1, 1, 384),
    ("MobileNet 1x1 32-192", 8, 32, 56, 56, 192, 1, 1, 0, 1),
    ("text 128-100, 5 words", 32, 128, 1, 64, 100, (1, 5), 1, 0, 1),
    ("audio 1-32, 80 samples / 4", 16, 1, 1, 8000, 32, (1, 80), (1, 4), (0, 38), 1),
]
POOLS = [("2x2", 64, 64, 24, 2, 2, 0), ("3x3 / 2", 8, 64, 112, 3, 2, 1), ("2x2 of 10", 64, 16, 10, 2, 2, 0)]
TABLES = [("65 letters", 768, 65, 128), ("30,000 words", 8192, 30000, 128), ("1,000 items", 4096, 1000, 64)]


class Map(NamedTuple):
    """One line: what each side calls, and how many operations that are."""

    name: str
    ours: Callable[[], Any]
    torch: Callable[[], Any]
    flops: float = 0.0


def pair(value: Any) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


def layer(torch: Any, name: str, *numbers: Any) -> list[Map]:
    """The three maps of a convolution."""
    from tapegrad.backends.cpu import conv

    n, c, h, w, o, kernel, stride, low, groups = numbers
    kernel, stride, low = pair(kernel), pair(stride), pair(low)
    depth = c // groups * math.prod(kernel)
    x, weight = torch.randn(n, c, h, w), torch.randn(o, c // groups, *kernel) / math.sqrt(depth)
    y = torch.conv2d(x, weight, None, stride, low, 1, groups)
    g = torch.randn(y.shape)
    arrays = [t.numpy() for t in (x, weight, g)]
    numbers, flops = (stride, low, (1, 1), groups), 2.0 * y.numel() * depth

    def backward(mask: list[bool], k: int) -> Any:
        options = [stride, low, [1, 1], False, [0, 0], groups, mask]
        return torch.ops.aten.convolution_backward(g, x, weight, None, *options)[k]

    X, W, G = arrays
    return [
        Map(f"{name}", lambda: conv.convolve(X, W, None, *numbers, tuple(y.shape[2:])),
            lambda: torch.conv2d(x, weight, None, stride, low, 1, groups), flops),
        Map(f"{name}, input", lambda: conv.convolve_input(G, W, None, *numbers, (h, w)),
            lambda: backward([True, False, False], 0), flops),
        Map(f"{name}, weight", lambda: conv.convolve_weight(X, G, *numbers, kernel),
            lambda: backward([False, True, False], 1), flops),
    ]  # fmt: skip


def pooling(torch: Any, name: str, n: int, c: int, size: int, k: int, s: int, p: int) -> list[Map]:
    """The maximum with its places, its gradient, and the average."""
    from tapegrad.backends.cpu import pool

    count = (size + 2 * p - k) // s + 1
    frame = pool.Frame((k, k), (s, s), (p, p), (1, 1), (count, count))
    x, F = torch.randn(n, c, size, size), torch.nn.functional
    values, places = F.max_pool2d(x, k, s, p, return_indices=True)
    X, V, P = x.numpy(), values.numpy(), places.numpy()
    back = torch.ops.aten.max_pool2d_with_indices_backward
    return [
        Map(f"max pool {name}", lambda: pool.maximum_with_places(X, frame, pool.SHORT)[0],
            lambda: F.max_pool2d(x, k, s, p, return_indices=True)[0]),
        Map(f"max pool {name}, input", lambda: pool.scatter(V, P, (size, size), k <= s),
            lambda: back(values, x, [k, k], [s, s], [p, p], [1, 1], False, places)),
        Map(f"average pool {name}", lambda: pool.average(X, frame, True, None), lambda: F.avg_pool2d(x, k, s, p)),
    ]  # fmt: skip


def table(torch: Any, name: str, n: int, height: int, width: int) -> list[Map]:
    """The gradient of an embedding."""
    from tapegrad.backends.cpu import index

    which, g = torch.randint(0, height, (n,)), torch.randn(n, width)
    I, G = which.numpy(), g.numpy()

    def ours() -> np.ndarray:
        out = np.zeros((height, width), np.float32)
        index.scatter_rows(out, I, G)
        return out

    return [
        Map(f"embedding of {name}", ours, lambda: torch.ops.aten.embedding_dense_backward(g, which, height, -1, False))
    ]


class NumPy:
    """While it is open, nothing is worth a generated kernel."""

    def __enter__(self) -> None:
        from tapegrad import codegen

        self.before, codegen.jit.available = codegen.jit.available, lambda: False

    def __exit__(self, *_: object) -> None:
        from tapegrad import codegen

        codegen.jit.available = self.before


def clock(call: Callable[[], Any], threads: int) -> float:
    """Seconds of a call: the processor's for one thread, as other programs may be running."""
    now = time.process_time if threads == 1 else time.perf_counter
    start = now()
    call()
    return now() - start


def line(m: Map, rounds: int, threads: int, peak: float) -> bool:
    """Measure and print one map; whether the results agree."""
    found, wanted = m.ours(), np.asarray(m.torch())
    with NumPy():
        m.ours()
    times = []
    for _ in range(rounds):
        ours, theirs = clock(m.ours, threads), clock(m.torch, threads)
        with NumPy():
            times.append((ours, theirs, clock(m.ours, threads)))
    mine = statistics.median(t[0] for t in times)
    torch_ratio, numpy_ratio = (statistics.median(t[k] / t[0] for t in times) for k in (1, 2))
    agrees = bool(np.allclose(found, wanted, rtol=1e-3, atol=1e-4 * max(1.0, float(np.abs(wanted).max(initial=0)))))
    rate = f"{m.flops / mine / 1e9:6.1f} {m.flops / mine / peak:5.0%}" if m.flops else " " * 12
    print(
        f"{m.name:36s} {mine * 1e6:9.0f} {rate} {torch_ratio:8.2f} {numpy_ratio:8.2f}{'' if agrees else '  DIFFERENT'}"
    )
    return agrees


def main() -> None:
    given = options(__doc__, rounds=9).parse_args()
    _, torch = libraries(given.threads)
    torch.manual_seed(0)
    a, b = torch.rand(1536, 1536), torch.rand(1536, 1536)
    peak = 2 * 1536**3 / min(clock(functools.partial(torch.mm, a, b), given.threads) for _ in range(10))
    print(f"{given.threads} threads, {given.rounds} rounds, peak {peak / 1e9:.0f} GFLOP/s")
    print(f"{'':36s} {'ours us':>9s} {'GF/s':>6s} {'peak':>5s} {'torch/us':>8s} {'NumPy/us':>8s}")
    agree = True
    with torch.no_grad():
        for make, cases in ((layer, LAYERS), (pooling, POOLS), (table, TABLES)):
            for case in cases:
                if given.only in case[0]:
                    for m in make(torch, *case):
                        agree &= line(m, given.rounds, given.threads, peak)
    sys.exit(not agree)


if __name__ == "__main__":
    main()
