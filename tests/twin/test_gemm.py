"""Products of matrices beside PyTorch's: the same bits where PyTorch's library takes its AVX2 code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import tapegrad  # noqa: E402
from tapegrad.backends.cpu import gemm  # noqa: E402
from tapegrad.codegen import jit  # noqa: E402


def same_code() -> bool:
    """An AMD processor without AVX-512: there the orders of sums were found out."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return jit.available() and "AuthenticAMD" in text and "avx512f" not in text


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gemm, "LARGE", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # for a few numbers of rows PyTorch's sums differ with two
    yield
    torch.set_num_threads(before)


def pair(*shape: int, turned: bool = False, seed: int = 0):
    """The same numbers for both libraries; PyTorch's begin at a multiple of 64 bytes."""
    shape = (*shape[:-2], *reversed(shape[-2:])) if turned else shape
    x = np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)
    ours, theirs = tapegrad.from_numpy(x), torch.from_numpy(x).clone()
    return (ours.mT, theirs.mT) if turned else (ours, theirs)


def agree(ours, theirs) -> None:
    if same_code():
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    else:
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("turned", [(False, False), (False, True), (True, False), (True, True)])
def test_matmul(turned: tuple[bool, bool]):
    for m in (1, 2, 3, 4, 7, 13, 64):
        for n in (2, 3, 4, 5, 6, 7, 10, 11, 12, 17, 40):
            for k in (1, 4, 9, 31, 100, 193, 300, 500):
                x, y = pair(m, k, turned=turned[0]), pair(k, n, turned=turned[1], seed=1)
                agree(tapegrad.matmul(x[0], y[0]), torch.matmul(x[1], y[1]))


@pytest.mark.parametrize("sizes", [(64, 784, 512), (64, 512, 10), (5, 400, 30), (1, 300, 50), (3, 100, 70)])
def test_linear_and_addmm(sizes: tuple[int, int, int]):
    m, k, n = sizes
    x, w, b, c = pair(m, k), pair(n, k, seed=1), pair(1, n), pair(m, n, seed=2)
    agree(tapegrad.nn.functional.linear(x[0], w[0], b[0][0]), torch.nn.functional.linear(x[1], w[1], b[1][0]))
    agree(tapegrad.addmm(c[0], x[0], w[0].T), torch.addmm(c[1], x[1], w[1].T))
    agree(tapegrad.addmm(b[0][0], x[0], w[0].T), torch.addmm(b[1][0], x[1], w[1].T))


def test_stacks_and_vectors():
    x, y = pair(6, 64, 32), pair(6, 64, 32, seed=1)
    agree(tapegrad.matmul(x[0], y[0].mT), torch.matmul(x[1], y[1].mT))
    agree(tapegrad.bmm(x[0].mT, y[0]), torch.bmm(x[1].mT, y[1]))
    a, v, u = pair(50, 300), pair(1, 300), pair(1, 50)
    agree(tapegrad.mv(a[0], v[0][0]), torch.mv(a[1], v[1][0]))
    agree(tapegrad.matmul(u[0][0], a[0]), torch.matmul(u[1][0], a[1]))
    for k in (9000, 10007):
        x, y = pair(1, k), pair(1, k, seed=1)
        agree(tapegrad.dot(x[0][0], y[0][0]), torch.dot(x[1][0], y[1][0]))
