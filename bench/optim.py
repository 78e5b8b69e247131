"""Steps of optimizers alone, tapegrad beside PyTorch's default: many tensors, one large tensor, many tiny ones.

    python bench/optim.py                   all cases, 2 threads on both sides where the machine has them
    python bench/optim.py --threads 1 --rounds 41 --only adam

Measured as in steps.py: interleaved rounds, results compared first.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import steps
from _cases import Case, Step

MANY, LARGE, TINY = (50, 20_000), (1, 1_000_000), (500, 200)


def stepping(name: str, sizes: tuple[int, int], **options: Any) -> Callable[[Any], Step]:
    """A program of nothing but `step`, along gradients that stay the same."""

    def build(T: Any) -> Step:
        T.manual_seed(0)
        count, size = sizes
        params = [T.rand(size).requires_grad_() for _ in range(count)]
        for p in params:
            p.grad = T.rand(size) - 0.5
        optimizer = getattr(T.optim, name)(params, **options)

        def step() -> float:
            optimizer.step()
            return params[-1][-1].item()

        return step

    return build


CASES = [
    Case("Adam, 1 M in 50 tensors", stepping("Adam", MANY), 2.0),
    Case("AdamW, 1 M in 50 tensors", stepping("AdamW", MANY), 2.0),
    Case("Adam with decay, 50 tensors", stepping("Adam", MANY, weight_decay=0.01)),
    Case("SGD, 50 tensors", stepping("SGD", MANY, lr=0.01)),
    Case("SGD with momentum, 50 tensors", stepping("SGD", MANY, lr=0.01, momentum=0.9)),
    Case("RMSprop, 50 tensors", stepping("RMSprop", MANY)),
    Case("Adagrad, 50 tensors", stepping("Adagrad", MANY)),
    Case("Adam, 1 M in one tensor", stepping("Adam", LARGE)),
    Case("SGD, 1 M in one tensor", stepping("SGD", LARGE, lr=0.01)),
    Case("Adam, 500 tensors of 200", stepping("Adam", TINY)),
    Case("SGD, 500 tensors of 200", stepping("SGD", TINY, lr=0.01)),
]

if __name__ == "__main__":
    sys.exit(steps.main(CASES, children=False))
