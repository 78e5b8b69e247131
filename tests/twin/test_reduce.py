"""Reductions, scans and statistics against PyTorch: values, types, node names, errors, first and second derivatives."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import tapegrad

torch = pytest.importorskip("torch")

NAN, INF = float("nan"), float("inf")
MATRIX = np.array([[1.0, 3.0, 3.0], [2.0, -2.0, 1.0]])
CUBE = np.random.default_rng(0).standard_normal((2, 3, 4))
ZEROS = np.array([[0.0, 2.0, 3.0], [0.0, 0.0, 5.0], [1.0, 2.0, 4.0]])

DIFFERENTIABLE = [
    ("sum", lambda t, x: t.sum(x)),
    ("sum", lambda t, x: t.sum(x, 1)),
    ("sum", lambda t, x: x.sum((0, -1), keepdim=True)),
    ("sum", lambda t, x: x.sum(axis=0, keepdims=True)),
    ("mean", lambda t, x: t.mean(x)),
    ("mean", lambda t, x: x.mean(-1, True)),
    ("prod", lambda t, x: t.prod(x)),
    ("prod", lambda t, x: x.prod(1)),
    ("prod", lambda t, x: x.prod(0, True)),
    ("var", lambda t, x: t.var(x)),
    ("var", lambda t, x: x.var(1, unbiased=False)),
    ("var", lambda t, x: x.var(dim=(0, 1), correction=0.5, keepdim=True)),
    ("std", lambda t, x: t.std(x, False)),
    ("std", lambda t, x: x.std(-1)),
    ("var_mean", lambda t, x: t.var_mean(x, 1)),
    ("std_mean", lambda t, x: t.std_mean(x, dim=0, keepdim=True)),
    ("max", lambda t, x: t.max(x)),
    ("max", lambda t, x: t.max(x, 1)),
    ("max", lambda t, x: x.max(0, keepdim=True)),
    ("max", lambda t, x: t.max(x, -x)),
    ("min", lambda t, x: t.min(x)),
    ("min", lambda t, x: x.min(1)),
    ("amax", lambda t, x: t.amax(x, (0, 1))),
    ("amin", lambda t, x: x.amin(1, True)),
    ("aminmax", lambda t, x: t.aminmax(x, dim=1)),
    ("logsumexp", lambda t, x: t.logsumexp(x, (0, 1))),
    ("logsumexp", lambda t, x: x.logsumexp(1, True)),
    ("norm", lambda t, x: t.norm(x)),
    ("norm", lambda t, x: x.norm(dim=1)),
    ("norm", lambda t, x: x.norm(1, 0)),
    ("norm", lambda t, x: x.norm(3, (0, 1), True)),
    ("norm", lambda t, x: x.norm(1.5)),
    ("norm", lambda t, x: x.norm(INF)),
    ("norm", lambda t, x: x.norm(-INF, 1)),
    ("norm", lambda t, x: x.norm(0)),
    ("nansum", lambda t, x: t.nansum(x, 1)),
    ("cumsum", lambda t, x: x.cumsum(1)),
    ("cumprod", lambda t, x: x.cumprod(1)),
    ("cumprod", lambda t, x: x.cumprod(0)),
    ("cummax", lambda t, x: t.cummax(x, 1)),
    ("cummin", lambda t, x: t.cummin(x, 0)),
    ("logcumsumexp", lambda t, x: t.logcumsumexp(x, 1)),
    ("dist", lambda t, x: t.dist(x, x * x, 3)),
]
COMPOSED = [  # PyTorch composes them in another way, so its node has another name
    lambda t, x: t.nanmean(x, 1),
    lambda t, x: t.diff(x, 2, dim=-1),
    lambda t, x: t.diff(x, dim=0, prepend=x[:1], append=x[-1:]),
    lambda t, x: t.trapezoid(x, dim=0),
    lambda t, x: t.trapezoid(x, dx=0.5),
    lambda t, x: t.trapezoid(x, x * x + x),
    lambda t, x: t.cumulative_trapezoid(x, dx=2.0),
    lambda t, x: t.renorm(x, 2, 0, 1.5),
    lambda t, x: t.renorm(x, 1, 1, 2.0),
]


def tensors(array: np.ndarray, dtype: str = "float64", grad: bool = True) -> list:
    """The same leaf in PyTorch and here."""
    made = []
    for lib in (torch, tapegrad):
        t = lib.tensor(array.tolist(), dtype=getattr(lib, dtype))
        made.append(t.requires_grad_() if grad else t)
    return made


def flat(result) -> list:
    """The tensors of a result."""
    return list(result) if isinstance(result, tuple) else [result]


def numpy(t) -> np.ndarray:
    """The values of a tensor of either library."""
    t = t.detach()
    return (t.float() if str(t.dtype) in ("torch.bfloat16", "torch.float16") else t).numpy(force=True)


def same(wanted, got, rtol: float = 1e-12) -> None:
    """Equal structure, field names, types, shapes and values."""
    assert isinstance(wanted, tuple) == isinstance(got, tuple)
    for name in getattr(got, "_fields", ()):
        assert hasattr(wanted, name)
    for w, g in zip(flat(wanted), flat(got), strict=True):
        assert str(w.dtype) == str(g.dtype)
        assert tuple(w.shape) == tuple(g.shape)
        assert w.requires_grad == g.requires_grad
        np.testing.assert_allclose(numpy(g), numpy(w), rtol=rtol, atol=rtol)


def gradients(lib, f, x) -> list:
    """First and second derivatives of a weighted sum of the results."""
    outs = [t for t in flat(f(lib, x)) if t.requires_grad]
    weights = [
        lib.tensor(np.linspace(1, 2, t.numel()).reshape(tuple(t.shape)).tolist(), dtype=lib.float64) for t in outs
    ]
    loss = sum((t * w).sum() for t, w in zip(outs, weights))
    (first,) = lib.autograd.grad(loss, x, create_graph=True, allow_unused=True)
    if first is None or not first.requires_grad:
        return [] if first is None else [first]
    (second,) = lib.autograd.grad((first * first).sum(), x, allow_unused=True)
    return [first] if second is None else [first, second]


@pytest.mark.parametrize("name, f", DIFFERENTIABLE)
@pytest.mark.parametrize("array", [MATRIX, CUBE[0], ZEROS], ids=["ties", "random", "zeros"])
def test_values_nodes_and_derivatives(name, f, array):
    theirs, ours = tensors(array)
    wanted, got = f(torch, theirs), f(tapegrad, ours)
    same(wanted, got)
    for w, g in zip(flat(wanted), flat(got)):
        if w.requires_grad:
            assert w.grad_fn.name() == g.grad_fn.name()
    for w, g in zip(gradients(torch, f, theirs), gradients(tapegrad, f, ours)):
        np.testing.assert_allclose(numpy(g), numpy(w), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("f", COMPOSED)
def test_composed(f):
    theirs, ours = tensors(CUBE[0])
    same(f(torch, theirs), f(tapegrad, ours))
    for w, g in zip(gradients(torch, f, theirs), gradients(tapegrad, f, ours)):
        np.testing.assert_allclose(numpy(g), numpy(w), rtol=1e-9, atol=1e-9)


PLAIN = [
    lambda t, x: x.any(),
    lambda t, x: x.all(1),
    lambda t, x: x.any((0, 1), True),
    lambda t, x: x.argmax(),
    lambda t, x: x.argmax(1, True),
    lambda t, x: x.argmin(0),
    lambda t, x: x.count_nonzero(0),
    lambda t, x: x.sum(),
    lambda t, x: x.sum(1, dtype=t.float64),
    lambda t, x: x.prod(1),
    lambda t, x: x.cumsum(0),
    lambda t, x: x.cumprod(1, dtype=t.float32),
    lambda t, x: x.max(),
    lambda t, x: x.min(1),
    lambda t, x: x.amax(0),
    lambda t, x: x.cummax(1),
    lambda t, x: x.nansum(),
    lambda t, x: t.isclose(x, x + 1),
    lambda t, x: t.diff(x),
    lambda t, x: t.aminmax(x),
]


@pytest.mark.parametrize("f", PLAIN)
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int64", "int32", "uint8"])
def test_types(f, dtype):
    theirs, ours = tensors(np.array([[1, 0, 3], [2, 2, 1]]), dtype, grad=False)
    same(f(torch, theirs), f(tapegrad, ours), 1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("f", [f for _, f in DIFFERENTIABLE if f is not None])
def test_narrow_types(f, dtype):
    theirs, ours = tensors(CUBE[1], dtype)
    try:
        wanted = f(torch, theirs)
    except (RuntimeError, NotImplementedError):
        return  # PyTorch does not have it for this type
    same(wanted, f(tapegrad, ours), {"float32": 1e-5, "float16": 2e-3, "bfloat16": 2e-2}[dtype])


LOST = np.array([[1.0, NAN, 3.0], [INF, -INF, 1.0], [2.0, 2.0, 0.0], [NAN, NAN, NAN]])


@pytest.mark.parametrize(
    "f",
    [f for name, f in DIFFERENTIABLE if name not in ("var_mean", "std_mean", "dist")] + [lambda t, x: t.nanmean(x, 1)],
)
def test_nan_and_infinity(f):
    theirs, ours = tensors(LOST, grad=False)
    same(f(torch, theirs), f(tapegrad, ours))


@pytest.mark.parametrize("function", ["amax", "amin", "max", "min"])
def test_nan_shares_the_gradient_as_in_pytorch(function):
    grads = []
    for x in tensors(np.array([NAN, 1.0, NAN])):
        getattr(x, function)().backward()
        grads.append(numpy(x.grad))
    np.testing.assert_array_equal(*grads)


SCALARS = ["sum", "mean", "prod", "max", "min", "std", "argmax", "norm", "any", "all", "amax", "median"]


@pytest.mark.parametrize("name", SCALARS)
def test_no_dimensions(name):
    theirs, ours = (lib.tensor(2.5) for lib in (torch, tapegrad))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        same(getattr(theirs, name)(), getattr(ours, name)())


EMPTY = [
    (lambda t, x: x.sum(), (0, 3)),
    (lambda t, x: x.sum(0), (0, 3)),
    (lambda t, x: x.mean(), (0,)),
    (lambda t, x: x.mean(1), (0, 3)),
    (lambda t, x: x.prod(), (0,)),
    (lambda t, x: x.max(), (0,)),
    (lambda t, x: x.max(0), (0, 3)),
    (lambda t, x: x.max(1), (0, 3)),
    (lambda t, x: x.amax(), (0,)),
    (lambda t, x: x.amax(0), (0, 3)),
    (lambda t, x: x.argmax(), (0,)),
    (lambda t, x: x.argmax(1), (0, 3)),
    (lambda t, x: x.std(), (0,)),
    (lambda t, x: x.logsumexp(0), (0, 2)),
    (lambda t, x: x.norm(), (0,)),
    (lambda t, x: x.norm(INF), (0,)),
    (lambda t, x: x.cumsum(0), (0, 2)),
    (lambda t, x: x.cummax(0), (0, 2)),
    (lambda t, x: x.any(), (0,)),
    (lambda t, x: x.all(0), (0, 2)),
    (lambda t, x: x.median(), (0,)),
    (lambda t, x: x.median(0), (0, 2)),
    (lambda t, x: t.aminmax(x), (0,)),
]


@pytest.mark.parametrize("f, shape", EMPTY)
def test_empty(f, shape):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            wanted = f(torch, torch.zeros(shape))
        except Exception as error:
            with pytest.raises(type(error)):
                f(tapegrad, tapegrad.zeros(shape))
            return
    same(wanted, f(tapegrad, tapegrad.zeros(shape)))


REFUSED = [
    lambda t: t.ones(2, 2).sum(2),
    lambda t: t.ones(2, 2).sum((0, 0)),
    lambda t: t.ones(2, 2).max(5),
    lambda t: t.ones(2, 2).int().mean(),
    lambda t: t.ones(2, 2).int().std(),
    lambda t: t.ones(2, 2).int().norm(),
    lambda t: t.ones(2).bool().argmax(),
    lambda t: t.ones(2, 2).prod((0, 1)),
    lambda t: t.sum([1.0]),
    lambda t: t.ones(2).sum(nothing=1),
    lambda t: t.std(t.ones(3), 0, correction=1, unbiased=True),
    lambda t: t.max(t.ones(3), dim=(0,)),
    lambda t: t.max(t.ones(3), 0, out=(t.ones(0), t.ones(0))),
    lambda t: t.isclose(t.ones(2), t.ones(2).int()),
    lambda t: t.isclose(t.ones(2), t.ones(2), rtol=-1),
    lambda t: t.bincount(t.tensor([-1])),
    lambda t: t.bincount(t.ones(2, 2).long()),
    lambda t: t.histc(t.ones(2), bins=0),
    lambda t: t.histc(t.tensor([1.0, NAN])),
    lambda t: t.cov(t.ones(2, 2, 2)),
    lambda t: t.diff(t.tensor(1.0)),
    lambda t: t.trapezoid(t.ones(2, 3), t.ones(4)),
    lambda t: t.renorm(t.ones(2), 2, 0, 1.0),
    lambda t: t.logcumsumexp(t.ones(2), 3),
]


@pytest.mark.parametrize("f", REFUSED)
def test_errors_are_of_the_same_kind(f):
    with pytest.raises(Exception) as theirs:
        f(torch)
    with pytest.raises(theirs.type):
        f(tapegrad)


STATISTICS = [
    lambda t, x: t.cov(x),
    lambda t, x: t.cov(x, correction=0, fweights=t.tensor([1, 2, 3, 1])),
    lambda t, x: t.cov(x, fweights=t.tensor([1, 2, 3, 1]), aweights=t.tensor([0.1, 0.2, 0.3, 1.0], dtype=x.dtype)),
    lambda t, x: t.corrcoef(x),
    lambda t, x: t.cov(x[0]),
    lambda t, x: t.histc(x, 5),
    lambda t, x: t.histc(x, 4, -1, 1),
    lambda t, x: t.histogram(x, 6),
    lambda t, x: t.histogram(x, 3, range=(-1.0, 1.0), density=True),
    lambda t, x: t.histogram(x, t.tensor([-1.0, 0.0, 0.5], dtype=x.dtype), weight=x * x),
    lambda t, x: t.bincount(t.tensor([1, 2, 2]), weights=t.tensor([0.5, 1.0, 2.0]), minlength=5),
    lambda t, x: t.histogramdd(x[:, :2], bins=[2, 3]).hist,
]


@pytest.mark.parametrize("f", STATISTICS)
def test_statistics(f):
    theirs, ours = tensors(CUBE[0], grad=False)
    same(f(torch, theirs), f(tapegrad, ours), 1e-9)


def test_in_place_scans_and_renorm():
    for f in (
        lambda x: (x * 1).cumsum_(0),
        lambda x: (x * 1).cumprod_(1),
        lambda x: (x * 1).renorm_(2, 0, 1.0),
    ):
        theirs, ours = tensors(CUBE[0])
        wanted, got = f(theirs), f(ours)
        same(wanted, got)
        wanted.sum().backward(), got.sum().backward()
        np.testing.assert_allclose(numpy(ours.grad), numpy(theirs.grad), rtol=1e-9, atol=1e-9)


def test_out():
    for lib in (torch, tapegrad):
        x, out, index = lib.tensor([[1.0, 3.0], [2.0, 0.0]]), lib.empty(0), lib.empty(0, dtype=lib.int64)
        assert lib.sum(x, 1, out=out) is out and out.tolist() == [4.0, 2.0]
        assert lib.amax(x, 0, out=out).tolist() == [2.0, 3.0]
        lib.max(x, 1, out=(out, index))
        assert out.tolist() == [3.0, 2.0] and index.tolist() == [1, 0]


def test_text_of_named_results():
    for f in (lambda t: t.tensor([1.0, 2.0]).max(0), lambda t: t.aminmax(t.tensor([1.0, 2.0]))):
        assert repr(f(torch)) == repr(f(tapegrad))


def test_long_sums_are_accurate():
    x = np.random.default_rng(1).random(1_000_000).astype(np.float32)
    assert abs(tapegrad.from_numpy(x).sum().item() - x.astype(np.float64).sum()) < 0.1
    assert abs(tapegrad.from_numpy(x).cumsum(0)[-1].item() - x.astype(np.float64).sum()) < 0.1
