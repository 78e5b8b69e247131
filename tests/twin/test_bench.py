"""The programs of bench/steps.py: both libraries get the same numbers from them, before anything is timed."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

import tapegrad  # noqa: E402

FILE = Path(__file__).resolve().parents[2] / "bench" / "_cases.py"
_spec = importlib.util.spec_from_file_location("bench_cases", FILE)
cases = importlib.util.module_from_spec(_spec)
sys.modules["bench_cases"] = cases
_spec.loader.exec_module(cases)


@pytest.fixture(autouse=True)
def one_thread():
    before = [(T, T.get_num_threads()) for T in (tapegrad, torch)]
    for T, _ in before:
        T.set_num_threads(1)
    yield
    for T, n in before:
        T.set_num_threads(n)


def draws_of_its_own() -> bool:
    """Whether this PyTorch takes dropout's masks from another stream, as it does on Intel's processors."""
    generator = torch.Generator().manual_seed(0)
    torch.empty(7).bernoulli_(0.5, generator=generator)
    return int(generator.get_state()[16]) != 14


@pytest.mark.parametrize("case", cases.CASES, ids=lambda case: case.name)
def test_results(case):
    if case.build is cases.mnist_cnn and draws_of_its_own():
        pytest.skip("PyTorch draws other masks on this processor")
    ours, theirs = case.build(tapegrad), case.build(torch)
    for _ in range(3):
        assert ours() == pytest.approx(theirs(), rel=1e-4, abs=1e-7)
