"""Recurrent layers and cells, tapegrad beside PyTorch: forward, and forward with backward.

    python bench/recurrent.py                            one thread
    python bench/recurrent.py --threads 2 --only LSTM

Both libraries take turns in one process, with equal weights; the gradients of the weights must agree. Printed are the
median times and the median of the ratio torch / tapegrad of each round: above 1 is faster than PyTorch. The exit code
is 1 if a gradient disagrees.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from typing import Any

from _common import libraries, options, timed

Run = Callable[[], Any]
LAYERS = [  # name, steps, batch, inputs, hidden, layers, bidirectional
    ("LSTM", 50, 16, 32, 64, 1, False),
    ("LSTM", 20, 64, 128, 256, 1, False),
    ("LSTM", 30, 32, 64, 100, 2, True),
    ("LSTM", 100, 1, 16, 32, 1, False),
    ("GRU", 50, 16, 32, 64, 1, False),
    ("GRU", 20, 64, 128, 256, 1, False),
    ("RNN", 50, 16, 32, 64, 1, False),
    ("RNN", 20, 64, 128, 256, 1, False),
]
CELLS = [("LSTMCell", 16, 32, 64), ("GRUCell", 16, 32, 64), ("LSTMCell", 64, 128, 256), ("GRUCell", 64, 128, 256)]


def layer(T: Any, name: str, steps: int, batch: int, inputs: int, hidden: int, count: int, both: bool) -> tuple:
    """(forward, forward and backward), functions of nothing; the second gives a gradient."""
    T.manual_seed(0)
    model = getattr(T.nn, name)(inputs, hidden, count, bidirectional=both)
    x = T.randn(steps, batch, inputs)
    return passes(T, model, lambda: model(x)[0])


def cell(T: Any, name: str, batch: int, inputs: int, hidden: int) -> tuple:
    """The same for a single step."""
    T.manual_seed(0)
    model = getattr(T.nn, name)(inputs, hidden)
    x, h = T.randn(batch, inputs), T.randn(batch, hidden)
    several = name == "LSTMCell"
    return passes(T, model, lambda: model(x, (h, h))[0] if several else model(x, h))


def passes(T: Any, model: Any, call: Run) -> tuple[Run, Run]:
    weight = next(model.parameters())

    def forward() -> None:
        with T.no_grad():
            call()

    def both() -> Any:
        for p in model.parameters():
            p.grad = None
        out = call()
        (out * out).mean().backward()
        return weight.grad.numpy()

    return forward, both


def main() -> int:
    args = options(__doc__, 15).parse_args()
    ours, torch = libraries(args.threads)
    wrong = 0
    cases = [
        (f"{c[0]} T={c[1]} B={c[2]} {c[3]}-{c[4]} x{c[5]}{' both ways' if c[6] else ''}", layer, c) for c in LAYERS
    ]
    cases += [(f"{c[0]} B={c[1]} {c[2]}-{c[3]}", cell, c) for c in CELLS]
    print(f"{'case':36s} {'forward us':>10s} {'torch/ours':>10s} {'+ backward':>10s} {'torch/ours':>10s}")
    for name, build, sizes in cases:
        if args.only not in name:
            continue
        sides = build(ours, *sizes), build(torch, *sizes)
        a, b = (side[1]() for side in sides)
        error = float(abs(a - b).max() / abs(b).max())
        row = []
        for k in range(2):
            n = max(1, int(2e-2 / timed(sides[1][k], 3)))
            times = [[timed(side[k], n) for side in sides] for _ in range(args.rounds)]
            row += [statistics.median(t for t, _ in times) * 1e6, statistics.median(u / t for t, u in times)]
        note = "" if error < 1e-4 else f"  gradients differ by {error:.1e}"
        wrong += bool(note)
        print(f"{name:36s} {row[0]:10.0f} {row[1]:10.2f} {row[2]:10.0f} {row[3]:10.2f}{note}", flush=True)
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
