"""Inputs for `test_registry.py`: for every operation a few calls, and what NumPy says their results are.

A sample of the operation `tanh` is an entry of `SAMPLES["tanh"]` in the file `samples_*.py` of its family:

    "tanh": [case(real(2, 3), expect=np.tanh)]

Arrays, and lists of arrays, become tensors; everything else is passed as it is. Numbers of `real` are distinct and
keep away from multiples of 1/2, where kinks are: finite differences are right there.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Sample:
    """One call of an operation."""

    args: tuple
    kwargs: dict = field(default_factory=dict)
    expect: Callable[..., Any] | None = None  # the same call on NumPy arrays: an array, or a tuple of several
    through: Callable[..., Any] | None = None  # a public function that calls the operation, in place of the operation
    fixed: tuple[int, ...] = ()  # operands that are constants though they are floating point
    order: int = 2  # how often it can be differentiated
    layouts: bool = True  # whether the result is the same for other strides
    double: bool = False  # float64 only: float32 would be too coarse, or another result
    tolerance: float = 1e-10  # relative, of the comparison with `expect`


def case(*args: Any, **options: Any) -> Sample:
    """A sample; keywords that are not fields of `Sample` are arguments of the call."""
    own = {name: options.pop(name) for name in tuple(options) if name in Sample.__dataclass_fields__}
    return Sample(args, options, **own)


def real(*shape: int, low: float = -2.0, high: float = 2.0, seed: int = 0) -> Array:
    """Distinct float64 numbers between `low` and `high` in random order, none of them near a multiple of 1/2."""
    n = math.prod(shape)
    rng = np.random.default_rng([seed, n])
    x = low + (high - low) * (np.arange(n) + rng.uniform(0.2, 0.8, n)) / max(n, 1)
    away = x - np.round(2 * x) / 2
    x += np.where(np.abs(away) < 2e-3, 4e-3, 0)
    return rng.permutation(x).reshape(shape)


def positive(*shape: int, low: float = 0.2, high: float = 2.0, seed: int = 0) -> Array:
    """`real` numbers above zero."""
    return real(*shape, low=low, high=high, seed=seed)


def whole(*shape: int, low: int = 0, high: int = 5, seed: int = 0) -> Array:
    """Random int64 numbers, `low` included, `high` not."""
    return np.random.default_rng([seed, math.prod(shape)]).integers(low, high, shape)


def flags(*shape: int, seed: int = 0) -> Array:
    """Random truth values."""
    return whole(*shape, high=2, seed=seed).astype(bool)


def elements(function: Callable[[float], float]) -> Callable[[Array], Array]:
    """A function of one number as a function of arrays."""
    return np.vectorize(function, otypes=[float])


def collect() -> dict[str, list[Sample]]:
    """The samples of all files beside this one."""
    found: dict[str, list[Sample]] = {}
    for path in sorted(Path(__file__).parent.glob("samples_*.py")):
        for name, samples in importlib.import_module(path.stem).SAMPLES.items():
            assert name not in found, f"{path.name}: samples of {name!r} are in another file too"
            found[name] = samples
    return found
