"""Generated kernels of convolution, pooling and row sums beside NumPy's, in float64: every layout, every corner."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import tapegrad as torch
from tapegrad import codegen
from tapegrad.backends.cpu import conv, convplan, index, pool, poolplan

pytestmark = pytest.mark.skipif(not codegen.jit.available(), reason="no code generation on this machine")
EPS = 64  # how many units in the last place of the largest result; the worst of 20,000 random cases was 9
NAMES = ("convolve", "convolve_input", "convolve_weight")


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def always(monkeypatch):
    """Kernels also for what is too small to gain by them."""
    convplan.LEAST, poolplan.LEAST  # noqa: B018  (read the modules before something is set in them)
    monkeypatch.setattr(convplan, "LEAST", 1)
    monkeypatch.setattr(poolplan, "LEAST", 1)


def by_numpy(name, *args):
    """A map by NumPy, in float64."""
    args = [a.astype(np.float64) if isinstance(a, np.ndarray) else a for a in args]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convplan, "_suits", lambda *_: None)
        return getattr(conv, name)(*args)


def sizes_out(sizes, kernel, stride, low, dilation):
    return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in zip(sizes, kernel, stride, low, dilation))


def arrays(n, groups, channels, rows, sizes, kernel, out, dtype, seed=0):
    """x, w, y, a bias for y and one for x."""
    rng = np.random.default_rng(seed)
    shapes = (n, groups * channels, *sizes), (groups * rows, channels, *kernel), (n, groups * rows, *out)
    shapes += ((groups * rows,), (groups * channels,))
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def check(x, w, y, bias, bias_x, stride, low, dilation, groups):
    """All three maps; how many of them a kernel computed."""
    numbers, rank = (stride, low, dilation, groups), len(stride)
    calls = ((x, w, bias, *numbers, y.shape[2:]), (y, w, bias_x, *numbers, x.shape[2:]), (x, y, *numbers, w.shape[2:]))
    made = 0
    for name, args in zip(NAMES, calls):
        found = getattr(convplan, name)(*args)
        if found is None:
            continue
        made += 1
        wanted = by_numpy(name, *args)
        assert found.shape == wanted.shape and found.dtype == x.dtype and found.flags.c_contiguous
        error = np.abs(found - wanted).max(initial=0) / max(1, np.abs(wanted).max(initial=0))
        assert error <= EPS * np.finfo(x.dtype).eps, (name, rank)
    return made


@st.composite
def convolutions(draw):
    rank = draw(st.integers(1, 2))

    def numbers(low, high):
        return tuple(draw(st.integers(low, high)) for _ in range(rank))

    kernel, stride, low, dilation = numbers(1, 5), numbers(1, 3), numbers(0, 2), numbers(1, 2)
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation)]
    sizes = tuple(draw(st.integers(max(1, s - 2 * p), 30)) for s, p in zip(spans, low))
    groups = draw(st.sampled_from([1, 1, 2, 3, 8]))
    shape = draw(st.integers(1, 5)), groups, draw(st.sampled_from([1, 2, 3, 5])), draw(st.integers(1, 18))
    return shape, sizes, kernel, stride, low, dilation, draw(st.sampled_from("ffd")), draw(st.integers(0, 2))


@settings(deadline=None, max_examples=150)
@given(convolutions())
def test_maps(case):
    (n, groups, channels, rows), sizes, kernel, stride, low, dilation, dtype, layout = case
    out = sizes_out(sizes, kernel, stride, low, dilation)
    x, w, y, *biases = arrays(n, groups, channels, rows, sizes, kernel, out, dtype)
    if layout == 1:
        x, w, y = np.asfortranarray(x), np.asfortranarray(w), np.asfortranarray(y)
    if layout == 2:
        x, w, y = (np.repeat(a, 2, -1)[..., ::2] for a in (x, w, y))
    check(x, w, y, *biases, stride, low, dilation, groups)


# N, groups, channels, output channels, sizes, kernel, stride, padding: what networks have.
USUAL = [
    (3, 1, 1, 32, (28, 28), (3, 3), (1, 1), (0, 0)),
    (2, 1, 32, 64, (26, 26), (3, 3), (1, 1), (0, 0)),
    (2, 1, 16, 16, (32, 32), (3, 3), (1, 1), (1, 1)),
    (4, 1, 16, 32, (16, 16), (3, 3), (2, 2), (1, 1)),
    (6, 1, 32, 8, (8, 8), (3, 3), (1, 1), (1, 1)),
    (4, 1, 64, 40, (7, 7), (3, 3), (1, 1), (1, 1)),
    (2, 1, 16, 32, (32, 32), (1, 1), (2, 2), (0, 0)),
    (2, 1, 40, 24, (14, 14), (1, 1), (1, 1), (0, 0)),
    (2, 1, 6, 16, (14, 14), (5, 5), (1, 1), (0, 0)),
    (1, 1, 3, 64, (64, 48), (7, 7), (2, 2), (3, 3)),
    (2, 24, 1, 1, (20, 20), (3, 3), (1, 1), (1, 1)),
    (2, 24, 1, 1, (21, 21), (3, 3), (2, 2), (1, 1)),
    (2, 24, 1, 2, (9, 9), (5, 5), (1, 1), (2, 2)),
    (3, 4, 8, 8, (15, 15), (3, 3), (1, 1), (1, 1)),
    (3, 1, 20, 30, (300,), (5,), (1,), (2,)),
    (2, 1, 1, 16, (1000,), (80,), (4,), (38,)),
]


@pytest.mark.parametrize("case", USUAL, ids=str)
@pytest.mark.parametrize("layout", ["plain", "channels_last"])
def test_usual_shapes_have_kernels(case, layout):
    n, groups, channels, rows, sizes, kernel, stride, low = case
    dilation = (1,) * len(sizes)
    out = sizes_out(sizes, kernel, stride, low, dilation)
    x, w, y, *biases = arrays(n, groups, channels, groups and rows, sizes, kernel, out, np.float32)
    if layout == "channels_last":
        x, y = (np.moveaxis(np.moveaxis(a, 1, -1).copy(), -1, 1) for a in (x, y))
    first_layer = channels < 4 and rows >= 32  # its input's gradient is left to NumPy
    assert check(x, w, y, *biases, stride, low, dilation, groups) == (2 if first_layer else 3)


@pytest.mark.parametrize("case", USUAL, ids=str)
def test_threads_give_the_same_bits(case):
    n, groups, channels, rows, sizes, kernel, stride, low = case
    numbers = stride, low, (1,) * len(sizes), groups
    out = sizes_out(sizes, kernel, stride, low, (1,) * len(sizes))
    x, w, y, bias, bias_x = arrays(n, groups, channels, rows, sizes, kernel, out, np.float32)
    found = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        for _ in range(2):
            found.append(
                (
                    convplan.convolve(x, w, bias, *numbers, out),
                    convplan.convolve_input(y, w, bias_x, *numbers, sizes),
                    convplan.convolve_weight(x, y, *numbers, kernel),
                )
            )
    for other, k in itertools.product(found, range(3)):
        assert found[0][k] is None or (other[k] == found[0][k]).all()


@pytest.mark.parametrize("case", USUAL, ids=str)
def test_nothing_outside_is_read_or_written(case):
    """NaN around the arrays reaches no result, and what lies around a result stays."""
    n, groups, channels, rows, sizes, kernel, stride, low = case
    numbers = stride, low, (1,) * len(sizes), groups
    out = sizes_out(sizes, kernel, stride, low, (1,) * len(sizes))

    def framed(a):
        around = np.full(a.size + 256, np.nan, a.dtype)
        around[128:-128] = a.reshape(-1)
        return around[128:-128].reshape(a.shape)

    x, w, y, bias, bias_x = map(framed, arrays(n, groups, channels, rows, sizes, kernel, out, np.float32))
    for found in (
        convplan.convolve(x, w, bias, *numbers, out),
        conv.convolve_input(y, w, bias_x, *numbers, sizes),
        convplan.convolve_weight(x, y, *numbers, kernel),
    ):
        assert np.isfinite(found).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_reach_what_sees_them(value):
    x, w, _, bias, _ = arrays(2, 1, 8, 12, (12, 12), (3, 3), (12, 12), np.float32)
    w = np.abs(w)
    x[1, 3, 5, 6] = value
    found = convplan.convolve(x, w, bias, (1, 1), (1, 1), (1, 1), 1, (12, 12))
    seen = np.zeros(found.shape, bool)
    seen[1, :, 4:7, 5:8] = True
    assert (np.isfinite(found) != seen).all()
    same = np.isnan(found[seen]) if math.isnan(value) else found[seen] == value
    assert same.all()


def test_what_has_no_kernel():
    x, w, _, _, _ = arrays(2, 1, 2, 3, (9, 9, 9), (3, 3, 3), (7, 7, 7), np.float32)
    assert convplan.convolve(x, w, None, (1,) * 3, (0,) * 3, (1,) * 3, 1, (7,) * 3) is None
    x, w, _, _, _ = arrays(2, 1, 2, 3, (9, 9), (3, 3), (7, 7), np.int64)
    assert convplan.convolve(x, w, None, (1, 1), (0, 0), (1, 1), 1, (7, 7)) is None
    x, w, _, _, _ = arrays(0, 1, 2, 3, (9, 9), (3, 3), (7, 7), np.float32)
    assert conv.convolve(x, w, None, (1, 1), (0, 0), (1, 1), 1, (7, 7)).shape == (0, 3, 7, 7)
    assert (conv.convolve_weight(x, np.empty((0, 3, 7, 7), "f"), (1, 1), (0, 0), (1, 1), 1, (3, 3)) == 0).all()


# ---- pooling ---------------------------------------------------------------------------------------------------------


@st.composite
def frames(draw):
    rank = draw(st.integers(1, 2))

    def numbers(low, high):
        return tuple(draw(st.integers(low, high)) for _ in range(rank))

    kernel, stride, dilation = numbers(1, 4), numbers(1, 3), numbers(1, 2)
    low = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation)]
    sizes = tuple(draw(st.integers(max(1, s - 2 * p), 40)) for s, p in zip(spans, low))
    out = []
    for n, k, s, p, d in zip(sizes, kernel, stride, low, dilation):
        room = n + 2 * p - d * (k - 1) - 1
        ceil = -(-room // s) + 1 if draw(st.booleans()) else room // s + 1
        out.append(ceil - 1 if (ceil - 1) * s >= n + p else ceil)
        starts = np.arange(out[-1]) * s - p
        inside = [(starts + t * d >= 0) & (starts + t * d < n) for t in range(k)]
        assume(np.any(inside, axis=0).all())  # a window between the elements has no maximum
    return sizes, pool.Frame(kernel, stride, low, dilation, tuple(out))


@settings(deadline=None, max_examples=150)
@given(frames(), st.sampled_from("fd"), st.integers(0, 3))
def test_maximum(case, dtype, kind):
    sizes, frame = case
    rng = np.random.default_rng(0)
    x = rng.integers(-3, 4, (2, 3, *sizes)).astype(dtype)  # many equal numbers
    if kind == 1:
        x[rng.random(x.shape) < 0.2] = np.nan
    if kind == 2:
        x[rng.random(x.shape) < 0.6] = -np.inf
    if kind == 3:
        x = np.asfortranarray(x)
    g = rng.standard_normal((2, 3, *frame.size)).astype(dtype)
    for kept in (pool.SHORT, pool.LONG):
        values, places = poolplan.maximum_with_places(x, frame, kept)
        back = poolplan.scatter(g, places, sizes)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(poolplan, "LEAST", 1 << 60)
            wanted, at = pool.maximum_with_places(x, frame)
            wanted_back = pool.scatter(g.astype("d"), at, sizes, False)
        assert places.dtype == kept
        np.testing.assert_array_equal(values, wanted)
        np.testing.assert_array_equal(places, at)
        np.testing.assert_allclose(back, wanted_back, rtol=1e-5, atol=1e-5)


@settings(deadline=None, max_examples=100)
@given(frames(), st.sampled_from("fd"), st.booleans())
def test_average(case, dtype, padded):
    sizes, frame = case
    frame = frame._replace(dilation=(1,) * len(sizes))
    x = np.random.default_rng(0).standard_normal((2, 3, *sizes)).astype(dtype)
    found = pool.average(x, frame, padded, None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(poolplan, "LEAST", 1 << 60)
        wanted = pool.average(x.astype("d"), frame, padded, None)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_windows_without_elements_are_left_to_numpy():
    x = np.ones((64, 64, 1, 1), np.float32)
    frame = pool.Frame((2, 2), (1, 1), (1, 1), (2, 2), (1, 1))
    assert poolplan.maximum_with_places(x, frame, pool.LONG) is None
    assert (poolplan.scatter(x, np.full(x.shape, 1), (1, 1)) == 0).all()  # nothing is written outside


def test_pooling_threads_give_the_same_bits():
    x = np.random.default_rng(0).standard_normal((16, 8, 24, 24)).astype(np.float32)
    frame = pool.Frame((3, 3), (2, 2), (1, 1), (1, 1), (12, 12))
    found = []
    for n in (1, 2, 1, 3):
        torch.set_num_threads(n)
        values, places = poolplan.maximum_with_places(x, frame, pool.SHORT)
        found.append((values, places, poolplan.scatter(values, places, (24, 24)), poolplan.average(x, frame, 9)))
    for other, k in itertools.product(found, range(4)):
        assert (other[k] == found[0][k]).all()


def test_max_pool_keeps_places_in_32_bits_unless_they_are_asked_for():
    x = torch.rand(2, 3, 24, 24, requires_grad=True)
    y = torch.nn.functional.max_pool2d(x, 2)
    _, places = torch.nn.functional.max_pool2d(x, 2, return_indices=True)
    assert places.dtype == torch.int64
    y.sum().backward()
    assert x.grad.sum().item() == y.numel()


# ---- rows ------------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 500), st.integers(1, 40), st.integers(4, 150), st.sampled_from("fd"))
def test_rows_are_added(n, height, width, dtype):
    rng = np.random.default_rng(0)
    which, rows = rng.integers(0, height, n), rng.integers(-9, 10, (n, width)).astype(dtype)
    out, wanted = np.ones((height, width), dtype), np.ones((height, width), dtype)
    index.scatter_rows(out, which, rows)
    np.add.at(wanted, which, rows)
    assert (out == wanted).all()


def test_rows_that_do_not_exist_are_refused():
    with pytest.raises(IndexError):
        index.scatter_rows(np.zeros((4, 32), "f"), np.array([4] * 64), np.ones((64, 32), "f"))


def test_rows_in_threads_give_the_same_bits():
    rng = np.random.default_rng(0)
    which, rows = rng.integers(0, 50, 3000), rng.standard_normal((3000, 200)).astype(np.float32)
    found = []
    for n in (1, 2, 3):
        torch.set_num_threads(n)
        out = np.zeros((50, 200), np.float32)
        index.scatter_rows(out, which, rows)
        found.append(out)
    assert all((f == found[0]).all() for f in found)
