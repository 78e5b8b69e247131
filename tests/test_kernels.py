"""Kernels that take another way for large arrays: they must agree with the plain way."""

from __future__ import annotations

import numpy as np
import pytest

import tapegrad as torch
from tapegrad.backends.cpu import distance, elementwise, halves, reduce, repair, scatter, sort, special, transcendental

EDGES = np.array(
    [0, -0.0, np.inf, -np.inf, np.nan, 1, -1, -2, 1e-45, -1e-45, 3e38, -3e38, 88.7, 89.5, -104, -17.5, 1e-30, 0.5],
    np.float32,
)  # fmt: skip


def draw(low: float, high: float, n: int = 20000) -> np.ndarray:
    """float32 numbers between two bounds, half of them near zero."""
    rng = np.random.default_rng(0)
    near = np.exp(rng.uniform(-40, np.log(max(-low, high)), n)) * rng.choice([-1, 1], n)
    found = np.concatenate([rng.uniform(low, high, n), near]).astype(np.float32)
    return np.concatenate([found[(found >= low) & (found <= high)], EDGES])


def ulps(found: np.ndarray, exact: np.ndarray) -> float:
    """The largest error in units of the last place of float32; infinities, NaN and signs must be equal."""
    with np.errstate(all="ignore"):
        single = exact.astype(np.float32)
    finite = np.isfinite(single)
    np.testing.assert_array_equal(found[~finite], single[~finite])
    signs = ~np.isnan(single)
    assert (np.signbit(found) == np.signbit(single))[signs].all()
    return float((np.abs(found - exact) / np.spacing(np.abs(single)))[finite].max())


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
@pytest.mark.parametrize(
    ("name", "low", "high", "bound"),
    [
        ("expm1", -20, 90, 2), ("log1p", -1, 3e38, 1.2), ("sinh", -90, 90, 2.6), ("cosh", -90, 90, 2.2),
        ("atanh", -1, 1, 2.6),
    ],
)  # fmt: skip
def test_functions_of_one(name, low, high, bound):
    x = draw(low, high)
    exact = getattr(np, {"atanh": "arctanh"}.get(name, name))(x.astype(np.float64))
    assert ulps(getattr(transcendental, name)(x), exact) < bound
    grid = x[: len(x) // 20 * 20].reshape(20, -1).T  # not contiguous
    found = np.empty_like(grid)
    assert getattr(transcendental, name)(grid, found) is found
    np.testing.assert_array_equal(found.T.reshape(-1), getattr(transcendental, name)(x)[: found.size])


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
@pytest.mark.parametrize("name", ["logaddexp", "logaddexp2", "atan2"])
def test_functions_of_two(name):
    rng = np.random.default_rng(1)
    x = rng.uniform(-1e-3, 1e-3, 30000).astype(np.float32)
    y = rng.permutation(x)
    if name == "atan2":
        x, y = (np.concatenate([a, b]) for a, b in ((x, np.repeat(EDGES, len(EDGES))), (y, np.tile(EDGES, len(EDGES)))))
    function = getattr(np, {"atan2": "arctan2"}.get(name, name))
    assert ulps(getattr(transcendental, name)(x, y), function(x.astype(np.float64), y.astype(np.float64))) < 2.2
    row = getattr(transcendental, name)(x[:200, None], y[:100])
    np.testing.assert_allclose(row, function(x[:200, None], y[:100]), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "low", "high"), [("erfc", -6, 9), ("ndtr", -12, 8), ("erfinv", -1, 1), ("i1e", -30, 30)]
)
def test_special_functions_in_single_precision(name, low, high):
    x = np.random.default_rng(2).uniform(low, high, 20000).astype(np.float32)
    found, exact = (getattr(special, name)(x.astype(kind)) for kind in (np.float32, np.float64))
    assert (np.abs(found - exact) / np.spacing(np.abs(exact.astype(np.float32)))).max() < 2.5


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_half_precision():
    every = np.arange(65536, dtype=np.uint16).view(np.float16)
    np.testing.assert_array_equal(halves.widen(every), every.astype(np.float32))
    around = np.arange(65536, dtype=np.uint32)[:, None] * 65536 + np.array([0, 1, 4095, 4096, 4097, 8191, 8192, 61440])
    wide = around.astype(np.uint32).view(np.float32).reshape(-1)
    for x in (wide, np.abs(wide), np.linspace(0.05, 0.95, 70000, dtype=np.float32), np.zeros(5000, np.float32)):
        found, exact = halves.narrow(x, np.dtype(np.float16)), x.astype(np.float16)
        there = ~np.isnan(exact)
        np.testing.assert_array_equal(found[there].view(np.uint16), exact[there].view(np.uint16))
        assert np.isnan(found[~there]).all()


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_half_precision_without_infinities():
    every = np.arange(65536, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)]
    np.testing.assert_array_equal(halves.widen(finite).view(np.int32), finite.astype(np.float32).view(np.int32))
    rng = np.random.default_rng(4)
    near = finite[rng.integers(0, len(finite), 70000)].astype(np.float32).view(np.uint32)
    near += rng.choice(np.array([0, 4095, 4096, 4097], np.uint32), near.size)  # halfway between two, and around
    for x in (near.view(np.float32), np.maximum(rng.normal(size=70000), 0).astype(np.float32)):
        x = np.where(np.abs(x) < 70000, x, 1)
        np.testing.assert_array_equal(halves.narrow(x, np.dtype(np.float16)), x.astype(np.float16))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_large_halves_are_computed_as_small_ones(dtype):
    """In blocks and by looking up, with the numbers of single precision rounded once."""
    x, y = (torch.randn(300001).to(dtype) for _ in "xy")
    wide, other, scalar = x.float(), y.float(), torch.tensor(0.3)
    for function in (
        torch.add, torch.mul, torch.maximum, torch.lt, lambda a, b: torch.where(a < b, a, b), lambda a, b: a * 0.3 + b,
    ):  # fmt: skip
        found, exact = function(x, y), function(wide, other)
        if function not in (torch.add, torch.mul, torch.maximum, torch.lt):
            exact, found = (t[:1000] for t in (function(x[:1000], y[:1000]), found))
        assert torch.equal(found, exact.to(found.dtype))
    for function in (
        torch.neg,
        torch.abs,
        torch.exp,
        torch.isnan,
        lambda t: t * scalar,
        lambda t: t < 0.25,
        lambda t: 2 - t,
    ):
        found = function(x)
        assert torch.equal(found, function(wide).to(found.dtype))
        column = function(x[:300000].view(2, -1).t())  # not contiguous
        assert torch.equal(column, function(wide[:300000].view(2, -1).t()).to(found.dtype))
        assert column.stride() == (1, 150000)
    assert torch.equal(x.clone().exp_(), torch.exp(x)) and torch.equal(x.clone().add_(y), x + y)
    out = torch.empty(300001, dtype=dtype)
    assert torch.exp(x, out=out) is out and torch.equal(out, torch.exp(x))


@pytest.mark.parametrize("shape", [(70000, 3), (3, 70000), (300, 301), (20000, 5, 2), (2, 9000, 7), (90001,)])
def test_reductions_of_odd_shapes(shape):
    x = np.random.default_rng(3).uniform(0.9, 1.1, shape)
    for axis in (None, *((a,) for a in range(x.ndim)), tuple(range(x.ndim))):
        for keep in (False, True):
            for ufunc in (np.multiply, np.maximum, np.add):
                found = reduce.reduce(ufunc, x, axis, keep)
                np.testing.assert_allclose(found, ufunc.reduce(x, axis, keepdims=keep), rtol=1e-9)
            np.testing.assert_allclose(reduce.add(x, axis, keep), x.sum(axis, keepdims=keep), rtol=1e-12)


@pytest.mark.parametrize(
    "shape", [(5,), (1000,), (7, 1000), (1000, 7), (300, 300), (300, 4), (2, 100, 3), (0, 3), (3, 0)]
)
@pytest.mark.parametrize("reverse", [False, True])
def test_scans(shape, reverse):
    rng = np.random.default_rng(4)
    a, b = rng.uniform(-1.1, 1, shape), rng.normal(size=shape)
    for axis in range(len(shape)):
        lines = [np.moveaxis(v, axis, 0)[:: -1 if reverse else 1] for v in (a, b)]
        exact = lines[1].copy()
        for i in range(1, len(exact)):
            exact[i] += lines[0][i] * exact[i - 1]
        exact = np.moveaxis(exact[:: -1 if reverse else 1], 0, axis)
        np.testing.assert_allclose(sort.recurrence(a, b, axis, reverse), exact, rtol=1e-9, atol=1e-9)
        running = np.flip(np.cumsum(np.flip(b, axis), axis), axis) if reverse else np.cumsum(b, axis)
        np.testing.assert_allclose(sort.cumsum(b, axis, reverse, None), running, rtol=1e-12)


@pytest.mark.parametrize("name", ["prod", "mean", "amax", "amin"])
@pytest.mark.parametrize("include", [False, True])
@pytest.mark.parametrize(("targets", "count"), [(40, 300), (3, 200)])
def test_slices_with_one_target(name, include, targets, count):
    rng = np.random.default_rng(5)
    x, source, index = (
        rng.uniform(0.5, 2, (50, 100)),
        rng.uniform(0.9, 1.1, (count, 100)),
        rng.integers(0, targets, count),
    )
    found, exact = x.copy(), x.copy()
    scatter.scatter_reduce(found, 0, np.broadcast_to(index[:, None], source.shape), source, name, include)
    for target in np.unique(index):
        rows = source[index == target]
        rows = np.concatenate([x[target][None], rows]) if include else rows
        exact[target] = {"prod": np.prod, "mean": np.mean, "amax": np.max, "amin": np.min}[name](rows, 0)
    np.testing.assert_allclose(found, exact, rtol=1e-12)


def test_rows_that_are_near():
    rng = np.random.default_rng(6)
    x = rng.normal(size=(60, 5)).astype(np.float32) + 100
    x[30:] = x[:30] + rng.normal(size=(30, 5)).astype(np.float32) * 1e-5
    x[10] = x[0]
    wide = x.astype(np.float64)
    i, j = np.triu_indices(60, 1)
    exact = np.sqrt(((wide[i] - wide[j]) ** 2).sum(-1))
    np.testing.assert_allclose(distance.within(x, 2.0), exact, rtol=1e-6)
    g = rng.normal(size=len(i)).astype(np.float32)
    gradient = np.zeros((60, 5))
    slope = (
        np.divide(wide[i] - wide[j], exact[:, None], where=exact[:, None] > 0, out=np.zeros((len(i), 5))) * g[:, None]
    )
    np.add.at(gradient, i, slope)
    np.subtract.at(gradient, j, slope)
    np.testing.assert_allclose(distance.within_backward(g, x, exact.astype(np.float32), 2.0), gradient, atol=1e-4)


def test_choices():
    rng = np.random.default_rng(7)
    condition = rng.random((60, 70)) < 0.5
    x, y, zero = rng.normal(size=(60, 70)), rng.normal(size=70), np.zeros(())
    for high in (x, y, zero):
        for low in (x, y, zero):
            np.testing.assert_array_equal(
                elementwise.FUNCTIONS["where"](condition, high, low), np.where(condition, high, low)
            )
            for one in (np.array(True), np.array(False)):
                np.testing.assert_array_equal(elementwise.FUNCTIONS["where"](one, high, low), np.where(one, high, low))
    x[0, :3] = np.nan, np.inf, -np.inf
    half = np.array(0.5)
    for name in ("maximum", "minimum"):
        np.testing.assert_array_equal(elementwise.FUNCTIONS[name](x, half), getattr(np, name)(x, half))


def test_replacing_what_is_not_finite():
    x = np.random.default_rng(8).normal(size=200_000).astype(np.float32)
    x[[5, 70_000, 150_000]] = np.nan, np.inf, -np.inf
    np.testing.assert_array_equal(repair.finite(x, 1.0, None, -2.0), np.nan_to_num(x, nan=1.0, neginf=-2.0))
    found = torch.isreal(torch.tensor([1 + 1j, 2 + 0j]))
    assert found.tolist() == [False, True]
