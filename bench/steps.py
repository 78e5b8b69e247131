"""Training steps, tapegrad beside PyTorch: the same program on both, interleaved in one process.

    python bench/steps.py                   all cases, 2 threads on both sides where the machine has them
    python bench/steps.py --threads 1 --rounds 11 --only mlp

Each case is built once per library from the same seed. First both run a few steps and their results (losses or values)
must agree; then rounds of A B A B ... are timed. Printed are the median time of each side and the median of the
round-by-round ratio, ours / torch: below 1 is faster than PyTorch. The exit code is 1 if a result disagrees.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple


class Case(NamedTuple):
    """A program as a function of the library: it returns a step, a function without arguments that gives a number."""

    name: str
    build: Callable[[Any], Callable[[], float]]
    per_round: int  # steps in one timed round
    target: float | None  # the ratio to stay below


def small_mul(T: Any) -> Callable[[], float]:
    """`a * c` of four numbers, recorded, 100 times."""
    a, c = T.ones(4, requires_grad=True), T.ones(4, requires_grad=True)

    def step() -> float:
        for _ in range(100):
            a * c
        return (a * c).sum().item()

    return step


def small_mul_backward(T: Any) -> Callable[[], float]:
    """`a * c` of four numbers and its gradients, 10 times."""
    a, c, g = T.ones(4, requires_grad=True), T.ones(4, requires_grad=True), T.ones(4)

    def step() -> float:
        for _ in range(10):
            a.grad = c.grad = None
            (a * c).backward(g)
        return a.grad.sum().item()

    return step


def chain(T: Any) -> Callable[[], float]:
    """20 operations on four numbers, and back."""
    a = T.tensor([0.1, 0.2, 0.3, 0.4], requires_grad=True)
    c = T.tensor([0.5, 0.6, 0.7, 0.8], requires_grad=True)
    g = T.ones(4)

    def step() -> float:
        x = a
        for _ in range(5):
            x = x * c
            x = x + c
            x = x.tanh()
            x = x * 2.0
        a.grad = c.grad = None
        x.backward(g)
        return a.grad.sum().item()

    return step


def logistic_by_hand(T: Any) -> Callable[[], float]:
    """The logistic regression of the documents: log-softmax, nll and the update written out, batch 64."""
    T.manual_seed(0)
    weights = T.randn(784, 10) / 28
    weights.requires_grad_()
    bias = T.zeros(10, requires_grad=True)
    xb, yb = T.rand(64, 784), T.randint(0, 10, (64,))

    def step() -> float:
        z = xb @ weights + bias
        z = z - z.exp().sum(-1).log().unsqueeze(-1)
        loss = -z[range(yb.shape[0]), yb].mean()
        loss.backward()
        with T.no_grad():
            weights.sub_(weights.grad * 0.1)
            bias.sub_(bias.grad * 0.1)
            weights.grad.zero_()
            bias.grad.zero_()
        return loss.item()

    return step


def _mlp(T: Any) -> Any:
    T.manual_seed(0)
    nn = T.nn
    return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))


def mlp_sgd(T: Any) -> Callable[[], float]:
    """784-512-512-10, batch 64, cross-entropy, SGD."""
    model = _mlp(T)
    loss_fn, optimizer = T.nn.CrossEntropyLoss(), T.optim.SGD(model.parameters(), lr=0.01)
    x, y = T.rand(64, 784), T.randint(0, 10, (64,))

    def step() -> float:
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return step


def mlp_adam(T: Any) -> Callable[[], float]:
    """The same with Adam."""
    model = _mlp(T)
    loss_fn, optimizer = T.nn.CrossEntropyLoss(), T.optim.Adam(model.parameters(), lr=1e-4)
    x, y = T.rand(64, 784), T.randint(0, 10, (64,))

    def step() -> float:
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return step


def adam_step(T: Any) -> Callable[[], float]:
    """`Adam.step` alone on the parameters of that network."""
    model = _mlp(T)
    optimizer = T.optim.Adam(model.parameters(), lr=1e-4)
    for p in model.parameters():
        p.grad = T.rand(*p.shape) - 0.5

    def step() -> float:
        optimizer.step()
        return next(model.parameters())[0, 0].item()

    return step


def mlp_inference(T: Any) -> Callable[[], float]:
    """The network on one image, not recorded."""
    model = _mlp(T).eval()
    x = T.rand(1, 784)

    def step() -> float:
        with T.no_grad():
            return model(x)[0, 0].item()

    return step


CASES = [
    Case("small a * c, recorded (100x)", small_mul, 10, 0.8),
    Case("small a * c and gradients (10x)", small_mul_backward, 20, 0.8),
    Case("20-operation chain and backward", chain, 20, 0.6),
    Case("logistic regression by hand", logistic_by_hand, 20, 0.6),
    Case("MLP 784-512-512-10, SGD", mlp_sgd, 5, 1.1),
    Case("MLP 784-512-512-10, Adam", mlp_adam, 5, None),
    Case("Adam.step of that MLP", adam_step, 5, None),
    Case("MLP inference, batch 1", mlp_inference, 20, None),
]


def agree(a: list[float], b: list[float]) -> bool:
    """Equal up to the rounding of float32 sums in another order."""
    return all(abs(x - y) <= 1e-4 * max(abs(y), 1e-3) for x, y in zip(a, b))


def timed(step: Callable[[], float], n: int) -> float:
    """Seconds per step."""
    start = time.perf_counter()
    for _ in range(n):
        step()
    return (time.perf_counter() - start) / n


def measure(case: Case, ours: Any, theirs: Any, rounds: int) -> bool:
    """Run one case and print its line; whether the results agreed."""
    a, b = case.build(ours), case.build(theirs)
    results = [a() for _ in range(5)], [b() for _ in range(5)]
    same = agree(*results)
    times = [(timed(a, case.per_round), timed(b, case.per_round)) for _ in range(rounds)]
    mine, torch_ = (statistics.median(t[k] for t in times) * 1e6 for k in (0, 1))
    ratio = statistics.median(x / y for x, y in times)
    target = "" if case.target is None else f"{case.target:.2f}"
    verdict = "same results" if same else f"DIFFERENT: {results}"
    print(f"{case.name:34s} {mine:10.1f} {torch_:10.1f} {ratio:8.2f} {target:>8s}  {verdict}")
    return same


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    args = parser.parse_args()
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # before the libraries start
        os.environ[variable] = str(args.threads)
    try:
        import torch
    except ImportError:
        sys.exit("bench/steps.py compares with PyTorch: pip install torch==2.13.0")

    import tapegrad

    torch.set_num_threads(args.threads)
    print(f"tapegrad {tapegrad.__version__}, torch {torch.__version__}, {args.threads} threads, {args.rounds} rounds")
    print(f"{'case':34s} {'ours us':>10s} {'torch us':>10s} {'ratio':>8s} {'target':>8s}")
    chosen = [c for c in CASES if args.only.lower() in c.name.lower()]
    agreed = [measure(c, tapegrad, torch, args.rounds) for c in chosen]
    return 0 if all(agreed) else 1


if __name__ == "__main__":
    sys.exit(main())
