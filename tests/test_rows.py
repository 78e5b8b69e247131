"""Row kernels in machine code beside NumPy's way and float64: softmax, cross entropy, norms, attention, draws."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import tapegrad as torch
from tapegrad import codegen
from tapegrad.backends.cpu import attention, drawing, fused, norms, random, reduce, rows
from tapegrad.backends.cpu.generator import Generator
from tapegrad.nn import functional as F

pytestmark = pytest.mark.skipif(not codegen.jit.available(), reason="without llvmlite NumPy computes")

FLOATS = [np.dtype(np.float32), np.dtype(np.float64)]
LENGTHS = [1, 2, 7, 8, 9, 31, 32, 33, 65, 129]  # whole vectors, several at a time, and all kinds of rests
NEVER = 1 << 60


def draw(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def on_numpy(monkeypatch, function, *args):
    """What NumPy's way gives."""
    with monkeypatch.context() as patch:
        patch.setattr(fused, "SMALL", NEVER)
        return function(*args)


def close(found, expected, ulps):
    """Whether they differ by no more than `ulps` of the largest number."""
    expected = np.asarray(expected)
    most = max(np.abs(expected[np.isfinite(expected)]).max(initial=0), 1e-30)
    np.testing.assert_allclose(found, expected, rtol=0, atol=ulps * np.finfo(found.dtype).eps * most)


def with_threads(n, function, *args):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(n)
        return function(*args)
    finally:
        torch.set_num_threads(before)


# ---- softmax ---------------------------------------------------------------------------------------------------------


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", LENGTHS)
def test_softmax_of_all_lengths(dtype, n):
    x, g = draw(600, n, dtype=dtype) * 3, draw(600, n, dtype=dtype, seed=1)
    p = softmax(x.astype(np.float64))
    found = rows.softmax(x, 1)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, p, rtol=40 * np.finfo(dtype).eps)
    logs = rows.log_softmax(x, 1)
    close(logs, np.log(p), 4)
    close(rows.softmax_backward(g, found, 1), p * (g - (g * p).sum(1, keepdims=True)), 16)
    close(rows.log_softmax_backward(g, logs, 1), g - p * g.sum(1, keepdims=True, dtype=np.float64), 16)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("layout", ["plain", "turned", "stepped", "rows apart"])
def test_softmax_of_all_layouts(monkeypatch, axis, layout):
    x = draw(10, 12, 24, dtype=np.float32)
    x = {"plain": x, "turned": x.transpose(2, 0, 1), "stepped": x[:, ::2, ::-2], "rows apart": x[:, :, :17]}[layout]
    for function in (rows.softmax, rows.log_softmax):
        found = function(x, axis)
        assert found.flags.c_contiguous
        close(found, on_numpy(monkeypatch, function, x, axis), 4)
    y, g = rows.softmax(x, axis), draw(*x.shape, dtype=np.float32, seed=1)
    for function in (rows.softmax_backward, rows.log_softmax_backward):
        close(function(g, y, axis), on_numpy(monkeypatch, function, g, y, axis), 8)


@pytest.mark.parametrize("kind", [np.float16, torch.bfloat16.numpy])
def test_halves_are_rounded_once(kind):
    x = draw(20, 40).astype(kind)
    expected = rows.softmax(x.astype(np.float32), 1).astype(kind)
    assert (rows.softmax(x, 1) == expected).all()


def test_rows_that_are_not_finite():
    x = draw(64, 20, dtype=np.float32)
    x[0, 3], x[1, 19], x[2, 0], x[3], x[4, :19], x[5, 7] = np.nan, np.nan, np.inf, -np.inf, -np.inf, -np.inf
    for found in (rows.softmax(x, 1), rows.log_softmax(x, 1)):
        assert np.isnan(found[:4]).all()
        assert not np.isnan(found[4:]).any()
    assert rows.softmax(x, 1)[4].tolist() == [0.0] * 19 + [1.0]
    assert rows.log_softmax(x, 1)[5, 7] == -np.inf
    far = np.repeat(np.float32([[1e30, -1e30, 1e30]]), 200, 0)
    assert (rows.softmax(far, 1) == [0.5, 0, 0.5]).all()


# ---- cross entropy ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(600, 1), (70, 10), (40, 65), (3, 200), (8, 9, 4, 5)])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("kind", ["plain", "weighted", "smooth"])
def test_cross_entropy(monkeypatch, dtype, shape, reduction, kind):
    x, target = draw(*shape, dtype=dtype) * 4, np.random.default_rng(2).integers(0, shape[1], (shape[0], *shape[2:]))
    target[:: 2 if shape[0] > 3 else 3] = -100
    weight = np.abs(draw(shape[1], dtype=dtype)) if kind == "weighted" else None
    smoothing = 0.1 if kind == "smooth" else 0.0
    loss, parts = rows.cross_entropy(x, target, weight, -100, reduction, smoothing)
    slow, slow_parts = on_numpy(monkeypatch, rows.cross_entropy, x, target, weight, -100, reduction, smoothing)
    close(loss, slow, 8)
    close(parts, slow_parts, 8)
    g = np.asarray(draw(*loss.shape, dtype=dtype))
    found = rows.cross_entropy_backward(g, x, target, parts, smoothing)
    close(found, on_numpy(monkeypatch, rows.cross_entropy_backward, g, x, target, slow_parts, smoothing), 32)
    assert (np.moveaxis(found, 1, -1)[target == -100] == 0).all()


def test_cross_entropy_of_far_numbers():
    """The logarithm of the sum is kept apart from the largest number: together they would lose its digits."""
    x = (draw(60, 10) + 3000).astype(np.float32)
    target = np.zeros(60, np.int64)
    wide = x.astype(np.float64)
    p = softmax(wide)
    _, parts = rows.cross_entropy(x, target, None, -100, "sum", 0.0)
    found = rows.cross_entropy_backward(np.float32(1).reshape(()), x, target, parts, 0.0)
    close(found, p - np.eye(10)[target], 8)


def test_targets_that_are_no_class():
    x = torch.randn(60, 10)
    for wrong in (10, -1):
        target = torch.zeros(60, dtype=torch.int64)
        target[7] = wrong
        with pytest.raises(IndexError, match=f"Target {wrong} is out of bounds"):
            F.cross_entropy(x, target)
    assert F.cross_entropy(x, target, ignore_index=-1).isfinite()
    nobody = torch.full((60,), -100)
    x.requires_grad_()
    loss = F.cross_entropy(x, nobody)
    loss.backward()
    assert loss.isnan()
    assert (x.grad == 0).all()


def test_cross_entropy_has_the_names_of_pytorch():
    x, target = torch.randn(60, 10, requires_grad=True), torch.zeros(60, dtype=torch.int64)
    assert F.cross_entropy(x, target).grad_fn.name() == "NllLossBackward0"
    assert F.cross_entropy(x, target, label_smoothing=0.1).grad_fn.name() == "AddBackward0"


# ---- GELU ------------------------------------------------------------------------------------------------------------


def test_gelu():
    x = np.concatenate([np.linspace(-13, 13, 40001), [np.inf, np.nan, 3e38, -3e38, 0.0, -0.0, 1e-40]]).astype(
        np.float32
    )
    wide = x.astype(np.float64)
    share = np.array([0.5 * math.erfc(-v * math.sqrt(0.5)) for v in wide])
    single = torch.tensor(x).requires_grad_()
    out = F.gelu(single)
    assert out.grad_fn.name() == "GeluBackward0"
    out.backward(torch.ones_like(out))
    found, slope = out.detach().numpy(), single.grad.numpy()
    np.testing.assert_allclose(found[:40001], wide[:40001] * share[:40001], rtol=6e-6)  # x^2 / 2 is rounded before exp
    near = wide[:40001]
    expected = share[:40001] + near * np.exp(-0.5 * near * near) / math.sqrt(2 * math.pi)
    np.testing.assert_allclose(slope[:40001], expected, atol=3e-7)
    assert found[40001:].tolist() == pytest.approx([math.inf, math.nan, x[-5], 0.0, 0.0, 0.0, x[-1] / 2], nan_ok=True)


def test_second_derivative_of_gelu():
    x = torch.randn(20000, requires_grad=True)
    (g,) = torch.autograd.grad(F.gelu(x).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(g.sum(), x)
    wide = x.detach().double().numpy()
    close(second.numpy(), (2 - wide**2) * np.exp(-0.5 * wide**2) / np.sqrt(2 * np.pi), 8)


# ---- norms -----------------------------------------------------------------------------------------------------------


def normalized(monkeypatch, x, g, weight, bias, axes, wshape, centred=True, given=None):
    """Result, statistics and gradients, checked against NumPy's way."""
    args = weight, bias, axes, wshape, 1e-5, centred, given

    def all_of(x, g, args):
        out, (mean, _, rstd) = norms.normalize(x, *args)
        needs = True, weight is not None, bias is not None
        gradients = norms.normalize_backward(g, x, weight, mean, rstd, axes, wshape, given is not None, needs)
        return [a for a in (out, mean, rstd, *gradients) if a is not None]

    fast, slow = all_of(x, g, args), on_numpy(monkeypatch, all_of, x, g, args)
    assert len(fast) == len(slow)
    for found, expected in zip(fast, slow):
        assert found.shape == expected.shape
        assert found.dtype == x.dtype
        close(found, expected, 64)
    return fast[0]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", LENGTHS[1:])
@pytest.mark.parametrize("affine", ["", "w", "b", "wb"])
def test_rows_are_normalized(monkeypatch, dtype, n, affine):
    x, g = draw(600, n, dtype=dtype) + 5, draw(600, n, dtype=dtype, seed=1)
    weight = draw(n, dtype=dtype, seed=2) if "w" in affine else None
    bias = draw(n, dtype=dtype, seed=3) if "b" in affine else None
    out = normalized(monkeypatch, x, g, weight, bias, (1,), (1, n))
    wide = x.astype(np.float64)
    expected = (wide - wide.mean(1, keepdims=True)) / np.sqrt(wide.var(1, keepdims=True) + 1e-5)
    expected = expected * (1 if weight is None else weight) + (0 if bias is None else bias)
    if n > 2:  # of two numbers next to each other, little is left
        close(out, expected, 64)
    normalized(monkeypatch, x, g, weight, bias, (1,), (1, n), centred=False)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        *itertools.product(
            [(8, 6, 49), (3, 12, 5, 7), (40, 6, 4), (2, 6, 3, 3, 9)], "batch instance group running".split()
        ),
        ((200, 6), "batch"),
        ((200, 6), "running"),
    ],
)
@pytest.mark.parametrize("affine", [True, False])
def test_groups_are_normalized(monkeypatch, dtype, shape, kind, affine):
    n, c, *rest = shape
    x, g = draw(*shape, dtype=dtype) * 2 + 3, draw(*shape, dtype=dtype, seed=1)
    weight, bias = (draw(c, dtype=dtype, seed=k) if affine else None for k in (2, 3))
    wshape = (1, c, *(1,) * len(rest))
    if kind == "group":
        x, g = (a.reshape(n, 2, c // 2, *rest) for a in (x, g))
        wshape = (1, 2, c // 2, *(1,) * len(rest))
    axes = {"instance": tuple(range(2, len(shape))), "group": tuple(range(2, x.ndim))}.get(
        kind, (0, *range(2, len(shape)))
    )
    given = (draw(c, dtype=dtype, seed=4), np.abs(draw(c, dtype=dtype, seed=5))) if kind == "running" else None
    normalized(monkeypatch, x, g, weight, bias, axes, wshape, given=given)


def test_norms_of_memory_with_gaps(monkeypatch):
    x, g = draw(40, 6, 30, dtype=np.float32)[:, :, ::2], draw(6, 40, 15, dtype=np.float32, seed=1).swapaxes(0, 1)
    w, b = draw(6, 2, dtype=np.float32)[:, 0], draw(6, dtype=np.float32)
    normalized(monkeypatch, x, g, w, b, (0, 2), (1, 6, 1))
    w, b = draw(15, 2, dtype=np.float32)[:, 0], draw(15, dtype=np.float32)
    normalized(monkeypatch, x, g, w, b, (2,), (1, 1, 15))


def test_variance_far_from_zero():
    x = (draw(4, 8, 100) + 1e4).astype(np.float32)
    expected = x.astype(np.float64)
    expected = (expected - expected.mean((0, 2), keepdims=True)) / expected.std((0, 2), keepdims=True)
    out, _ = norms.normalize(x, None, None, (0, 2), (1, 8, 1), 0.0, True, None)
    np.testing.assert_allclose(out, expected, atol=2e-3)  # an ulp of x is 1e-3


def test_running_statistics_may_change_before_the_way_back():
    layer = torch.nn.BatchNorm1d(6).eval()
    x = torch.randn(40, 6, 5, requires_grad=True)
    out = layer(x)
    layer.running_var.fill_(100.0)
    out.sum().backward()
    close(x.grad.numpy(), np.ones((40, 6, 5)), 100)


# ---- attention -------------------------------------------------------------------------------------------------------


def attend(q, k, v, mask, causal, g):
    out, logs = attention.attention(q, k, v, mask, None, 0.0, causal, 0.3)
    *three, _ = attention.attention_backward(g, q, k, v, mask, None, out, logs, 0.0, causal, 0.3, False)
    return [out, *three]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("queries", "keys", "width", "values"), [(16, 16, 16, 16), (33, 70, 16, 48), (5, 300, 32, 16), (70, 9, 16, 16)]
)
@pytest.mark.parametrize("kind", ["all", "causal", "truth", "numbers", "one row"])
@pytest.mark.parametrize("layout", ["plain", "turned"])
def test_attention(monkeypatch, dtype, queries, keys, width, values, kind, layout):
    def operand(n, m, seed):
        x = draw(2, n, 3, m, dtype=dtype, seed=seed).swapaxes(1, 2)
        return x if layout == "turned" else np.ascontiguousarray(x)

    q, k, v, g = (
        operand(queries, width, 0),
        operand(keys, width, 1),
        operand(keys, values, 2),
        operand(queries, values, 3),
    )
    mask = {
        "truth": draw(queries, keys) > -0.5,
        "numbers": draw(2, 1, queries, keys, dtype=dtype),
        "one row": draw(2, 1, 1, keys) > 0,
    }.get(kind)
    if kind == "truth":
        mask[3] = False  # a query that sees no key
    args = q, k, v, mask, kind == "causal", g
    calls = []
    found = fused.ufunc
    monkeypatch.setattr(fused, "ufunc", lambda *a: calls.append(a[1]) or found(*a))
    fast = attend(*args)
    assert calls == ["forward", "backward"]
    for a, b in zip(fast, on_numpy(monkeypatch, attend, *args)):
        close(a, b, 64)
    if kind == "truth":
        assert (fast[0][:, :, 3] == 0).all()


def test_attention_of_a_query_with_nan():
    q, k = torch.randn(1, 2, 20, 16), torch.randn(1, 2, 20, 16)
    q[0, 1, 3, 5] = float("nan")
    out = F.scaled_dot_product_attention(q, k, k)
    assert out[0, 1, 3].isnan().all()
    assert out.isnan().sum() == 16


# ---- random draws ----------------------------------------------------------------------------------------------------

DRAWS = {
    "uniform": lambda gen, n, d: random.uniform(gen, (n,), d),
    "between": lambda gen, n, d: random.uniform(gen, (n,), d, -0.3, 0.7),
    "normal": lambda gen, n, d: random.normal(gen, (n,), d),
    "shifted": lambda gen, n, d: random.normal(gen, (n,), d, 1.5, 0.3),
    "bernoulli": lambda gen, n, d: random.bernoulli(gen, 0.3, (n,), d),
    "never": lambda gen, n, d: random.bernoulli(gen, 0.0, (n,), d),
    "always": lambda gen, n, d: random.bernoulli(gen, 1.0, (n,), d),
    "scaled": lambda gen, n, d: random.bernoulli(gen, 0.75, (n,), d, 1 / 0.75),
    "truth": lambda gen, n, d: random.bernoulli(gen, 0.9, (n,), np.dtype(bool)),
}


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("begun", [0, 1, 623, 1000])
def test_draws_are_numpys_to_the_bit(monkeypatch, name, dtype, begun):
    for n in (256, 257, 1023, 2048, 5003):
        found = []
        for few in (1, NEVER):
            monkeypatch.setattr(drawing, "FEW", few)
            monkeypatch.setattr(drawing, "LARGE", few)
            gen = Generator().manual_seed(7)
            if begun:
                gen.words(begun)
            found.append((DRAWS[name](gen, n, dtype), gen.words(5)))
        (fast, after), (slow, expected) = found
        assert fast.dtype == slow.dtype
        assert (fast == slow).all()
        assert (after == expected).all()


def test_numpy_keeps_its_state_as_is_taken_for_granted():
    assert drawing._shares_state()


# ---- threads ---------------------------------------------------------------------------------------------------------


def test_threads_change_nothing():
    x, g = draw(300, 700, dtype=np.float32), draw(300, 700, dtype=np.float32, seed=1)
    target, w = np.arange(300) % 700, draw(700, dtype=np.float32)
    images = x.reshape(10, 30, 700)
    heads = draw(2, 4, 70, 32, dtype=np.float32)

    def everything():
        p = rows.softmax(x, 1)
        loss, parts = rows.cross_entropy(x, target, None, -100, "mean", 0.0)
        out, (mean, _, rstd) = norms.normalize(x, w, w, (1,), (1, 700), 1e-5, True, None)
        batch, (m, _, r) = norms.normalize(images, None, None, (0, 2), (1, 30, 1), 1e-5, True, None)
        return [
            p,
            rows.softmax_backward(g, p, 1),
            loss,
            rows.cross_entropy_backward(np.ones((), np.float32), x, target, parts, 0.0),
            out,
            *norms.normalize_backward(g, x, w, mean, rstd, (1,), (1, 700), False, (True,) * 3),
            batch,
            *norms.normalize_backward(images, images, None, m, r, (0, 2), (1, 30, 1), False, (True, False, False))[:1],
            *attend(heads, heads, heads, None, True, heads),
        ]

    for one, two in zip(with_threads(1, everything), with_threads(2, everything)):
        assert one.tobytes() == two.tobytes()


# ---- sums ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((5000,), None),
        ((300000,), (0,)),
        ((40, 129), (1,)),
        ((40, 129), (0,)),
        ((9000, 17), (1,)),
        ((9000, 17), (0,)),
        ((5, 700, 9), (1,)),
        ((5, 30, 200), (0, 1)),
        ((3, 5, 1000), (1, 2)),
        ((2, 3000, 64), (1,)),
        ((4500, 8), (0,)),
    ],
)
@pytest.mark.parametrize("keepdim", [True, False])
def test_sums(dtype, shape, axis, keepdim):
    x = draw(*shape, dtype=dtype) + 1
    found = reduce.add(x, axis, keepdim)
    expected = np.longdouble(x).sum(axis, keepdims=keepdim)
    assert found.shape == expected.shape
    assert found.dtype == dtype
    np.testing.assert_allclose(
        found, expected.astype(np.float64), rtol=6 * np.finfo(dtype).eps, atol=np.finfo(dtype).eps * 20
    )
    wrong = x.copy()
    wrong.reshape(-1)[-1] = np.nan
    assert np.isnan(reduce.add(wrong, axis, keepdim).reshape(-1)[-1])


def test_sums_and_threads():
    x = draw(700, 600, dtype=np.float32)
    for axis in (None, (0,), (1,)):
        one, two = (np.asarray(with_threads(n, reduce.add, x, axis, False)) for n in (1, 2))
        assert one.tobytes() == two.tobytes()
