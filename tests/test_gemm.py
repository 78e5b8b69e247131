"""Products of matrices: generated code and NumPy's panels, in every layout and around every size at which they change.

Whole numbers have exact products whatever the order of the sums, so most results are compared for equality.
"""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tapegrad as torch
from tapegrad import codegen
from tapegrad.backends.cpu import gemm
from tapegrad.codegen import jit

needs_code = pytest.mark.skipif(not jit.available(), reason="no code is generated here")
LAYOUTS = ("rows", "columns", "strided", "backwards")


def whole(shape: tuple[int, ...], dtype: type, seed: int) -> np.ndarray:
    """Whole numbers from -4 to 4."""
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(dtype)


def laid(x: np.ndarray, layout: str) -> np.ndarray:
    """The same matrices, lying in memory in another way."""
    if layout == "columns":
        return np.ascontiguousarray(x.swapaxes(-1, -2)).swapaxes(-1, -2)
    if layout == "strided":
        room = np.full((*x.shape[:-2], x.shape[-2] * 2, x.shape[-1] * 3), np.nan, x.dtype)
        found = room[..., ::2, ::3]
        found[...] = x
        return found
    if layout == "backwards":
        return np.ascontiguousarray(x[..., ::-1, ::-1])[..., ::-1, ::-1]
    return x


@pytest.fixture
def all_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small products take the way of large ones, too."""
    monkeypatch.setattr(gemm, "LARGE", 1)


@pytest.fixture
def on_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """As without llvmlite."""
    none = {np.dtype(d): (None, np.empty((0, 0), d)) for d in (np.float32, np.float64)}
    monkeypatch.setattr(gemm, "_kernels", none)


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def exact(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.matmul(x.astype(np.int64), y.astype(np.int64))


# ---- the results -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("m", [1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 97])
def test_sizes_around_the_edges_of_tiles(all_sizes: None, m: int, dtype: type):
    for n in (1, 2, 5, 8, 11, 12, 15, 16, 17, 33, 64, 65):
        for k in (1, 3, 4, 9, 191, 192, 193, 385):
            x, y = whole((m, k), dtype, m + k), whole((k, n), dtype, n + k)
            want = exact(x, y)
            for a, b in (("rows", "rows"), ("rows", "columns"), ("columns", "rows"), ("columns", "columns")):
                np.testing.assert_array_equal(gemm.matmul(laid(x, a), laid(y, b)), want)


@pytest.mark.parametrize("b", LAYOUTS)
@pytest.mark.parametrize("a", LAYOUTS)
def test_layouts(all_sizes: None, a: str, b: str):
    for m, k, n in ((2, 5, 7), (7, 40, 30), (70, 200, 130), (1, 30, 70), (30, 30, 1), (300, 20, 3)):
        x, y = whole((m, k), np.float32, 0), whole((k, n), np.float32, 1)
        np.testing.assert_array_equal(gemm.matmul(laid(x, a), laid(y, b)), exact(x, y))
        stack = whole((3, 2, m, k), np.float32, 2)
        np.testing.assert_array_equal(gemm.matmul(laid(stack, a), laid(y, b)), exact(stack, y))
        other = whole((2, k, n), np.float32, 3)
        np.testing.assert_array_equal(gemm.matmul(laid(stack, a), laid(other, b)), exact(stack, other))
        np.testing.assert_array_equal(gemm.matmul(laid(x, a), laid(other, b)), exact(x, other))


def test_repeated_rows_and_columns(all_sizes: None):
    x, y = whole((40,), np.float32, 0), whole((50,), np.float32, 1)
    rows, columns = np.broadcast_to(x, (30, 40)), np.broadcast_to(y, (40, 50))  # strides of 0
    np.testing.assert_array_equal(gemm.matmul(rows, columns), exact(rows, columns))
    np.testing.assert_array_equal(gemm.matmul(rows.T, rows), exact(rows.T, rows))


@given(st.integers(1, 30), st.integers(1, 60), st.integers(1, 40), st.sampled_from(LAYOUTS), st.sampled_from(LAYOUTS))
@settings(deadline=None, max_examples=60)
def test_any_sizes(m: int, k: int, n: int, a: str, b: str):
    x, y, bias = whole((m, k), np.float32, m), whole((n, k), np.float32, n), whole((n,), np.float32, k)
    before, gemm.LARGE = gemm.LARGE, 1
    try:
        np.testing.assert_array_equal(gemm.linear(laid(x, a), laid(y, b), bias), exact(x, y.T) + bias)
        start = whole((m, n), np.float32, k)
        np.testing.assert_array_equal(gemm.added("addmm", start, x, laid(y, b).T, 1, 1), exact(x, y.T) + start)
        np.testing.assert_array_equal(gemm.matmul(x[0], laid(y, b).T), exact(x[0], y.T))
        np.testing.assert_array_equal(gemm.matmul(laid(y, b), x[0]), exact(y, x[0]))
    finally:
        gemm.LARGE = before


@pytest.mark.parametrize("start", [(50,), (1, 50), (40, 50), (40, 1), (1,), ()])
def test_what_a_product_is_added_to(all_sizes: None, start: tuple[int, ...]):
    x, y, s = whole((40, 30), np.float32, 0), whole((30, 50), np.float32, 1), whole(start, np.float32, 2)
    np.testing.assert_array_equal(gemm.added("addmm", s, x, y, 1, 1), exact(x, y) + s.astype(np.int64))
    np.testing.assert_array_equal(gemm.added("addmm", s, x, y, 2, 3), 3 * exact(x, y) + 2 * s.astype(np.int64))
    stack = whole((3, 40, 30), np.float32, 3)
    found = torch.baddbmm(torch.from_numpy(s), torch.from_numpy(stack), torch.from_numpy(np.stack([y] * 3)))
    np.testing.assert_array_equal(found.numpy(), exact(stack, y) + s.astype(np.int64))
    nothing = gemm.added("addmm", np.full((40, 50), np.nan, np.float32), x, y, 0, 1)
    np.testing.assert_array_equal(nothing, exact(x, y))


@pytest.mark.parametrize("layout", ["rows", "columns"])
@pytest.mark.parametrize("shape", [(7, 30, 17), (70, 200, 20), (3, 40, 70), (1, 50, 30), (20, 30, 5), (30, 30, 1)])
def test_nan_and_infinity_stay_in_their_rows_and_columns(all_sizes: None, shape: tuple[int, int, int], layout: str):
    m, k, n = shape
    x, y = whole((m, k), np.float32, 0), np.abs(whole((k, n), np.float32, 1)) + 1
    x[m // 2, k // 3] = np.nan
    y[k - 1, n - 1] = np.inf
    with np.errstate(invalid="ignore"):
        found, want = gemm.matmul(laid(x, layout), laid(y, layout)), x.astype(np.float64) @ y.astype(np.float64)
    np.testing.assert_array_equal(found, want)
    assert np.isfinite(found).sum() == np.isfinite(want).sum()


def test_empty():
    for m, k, n in ((0, 3, 4), (3, 0, 4), (3, 4, 0), (0, 0, 0)):
        x, y = np.ones((m, k), np.float32), np.ones((k, n), np.float32)
        np.testing.assert_array_equal(gemm.matmul(x, y), np.zeros((m, n), np.float32))
        np.testing.assert_array_equal(gemm.linear(x, y.T, np.ones(n, np.float32)), np.ones((m, n), np.float32))


@pytest.mark.parametrize("shapes", [((100, 200), (201, 100)), ((2, 100, 200), (3, 200, 100)), ((50, 300), (299,))])
def test_sizes_that_do_not_fit(shapes: tuple[tuple[int, ...], tuple[int, ...]]):
    with pytest.raises(RuntimeError):
        torch.ones(shapes[0]) @ torch.ones(shapes[1])


# ---- the order of the sums -------------------------------------------------------------------------------------------


def real(shape: tuple[int, ...], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@needs_code
def test_blocks_of_192_are_added_to_the_bias_in_order():
    x, y, bias = real((30, 500), 0), real((500, 40), 1), real((40,), 2)
    want = bias
    for at in (0, 192, 384):
        want = want + gemm.matmul(np.ascontiguousarray(x[:, at : at + 192]), y[at : at + 192])
    np.testing.assert_array_equal(gemm.linear(x, y.T, bias), want)
    halves = gemm.matmul(x[:, :150], y[:150]) + gemm.matmul(x[:, 150:300], y[150:300])
    np.testing.assert_array_equal(gemm.matmul(x[:, :300], y[:300]), halves)


@needs_code
def test_rows_of_few_columns_are_a_chain_of_rounded_sums():
    x, y = real((3, 4000), 0), real((4000, 4), 1)
    chain = np.zeros((3, 4), np.float32)
    for i in range(4000):
        chain = chain + x[:, i : i + 1] * y[i]
    np.testing.assert_array_equal(gemm.matmul(x, y), chain)


@needs_code
def test_an_element_does_not_depend_on_its_neighbours():
    x, y = real((40, 300), 0), real((300, 70), 1)
    out = gemm.matmul(x, y)
    np.testing.assert_array_equal(gemm.matmul(x[3:33], y[:, 5:50]), out[3:33, 5:50])


# ---- threads ---------------------------------------------------------------------------------------------------------

SHAPES = ((300, 200, 300), (64, 784, 512), (1, 800, 600), (700, 90, 10), (10, 3000, 300), (2000, 33, 50))


def products() -> list[np.ndarray]:
    found = []
    for m, k, n in SHAPES:
        x, y = real((m, k), m), real((k, n), n)
        found += [gemm.matmul(x, y), gemm.matmul(x, laid(y, "columns")), gemm.matmul(laid(x, "columns"), y)]
    found.append(gemm.matmul(real((40, 64, 100), 0), real((40, 100, 30), 1)))
    return found


def same_for_any_number(set_threads) -> None:
    set_threads(1)
    alone = products()
    for count in (2, 3):
        set_threads(count)
        for x, y in zip(alone, products()):
            np.testing.assert_array_equal(x, y)


def test_products_do_not_depend_on_the_number_of_threads(threads):
    same_for_any_number(threads)


def test_products_of_numpy_do_not_depend_on_the_number_of_threads(on_numpy: None, threads):
    same_for_any_number(threads)
    for (m, k, n), found in zip(SHAPES, products()[::3]):
        np.testing.assert_allclose(found, real((m, k), m).astype(float) @ real((k, n), n), rtol=1e-3, atol=1e-3)


def test_panels_of_numpy(on_numpy: None, threads):
    threads(2)
    for x, y in (
        ((600, 100), (100, 90)),
        ((90, 100), (100, 600)),
        ((9, 80, 90), (9, 90, 100)),
        ((700, 90), (9, 90, 10)),
    ):
        a, b = whole(x, np.float32, 0), whole(y, np.float32, 1)
        np.testing.assert_array_equal(gemm.matmul(a, b), exact(a, b))


def test_several_threads_at_once(threads):
    threads(2)
    want, wrong = products(), []

    def work() -> None:
        for _ in range(3):
            wrong.extend(i for i, (x, y) in enumerate(zip(want, products())) if not np.array_equal(x, y))

    callers = [threading.Thread(target=work) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong


# ---- the text --------------------------------------------------------------------------------------------------------


@needs_code
@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_vectors_of_any_width_are_written(lanes: int):
    import llvmlite.binding as binding

    from tapegrad.codegen.routine import module

    for type in ("float", "double"):
        text, _ = module(*codegen.gemm.product(type, lanes))
        binding.parse_assembly(text).verify()
