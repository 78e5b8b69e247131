"""Sorts, order statistics, unique values and searches against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tapegrad

torch = pytest.importorskip("torch")

NAN, INF = float("nan"), float("inf")
RNG = np.random.default_rng(0)
DISTINCT = RNG.permutation(60).reshape(3, 4, 5).astype(np.float64) / 7
TIES = np.array([[2.0, 1.0, 2.0, 0.0], [5.0, 5.0, -1.0, 5.0]])
LOST = np.array([[1.0, NAN, 3.0, -INF], [INF, 0.0, NAN, NAN], [-0.0, 0.0, 2.0, -3.0]])


def tensors(array: np.ndarray, grad: bool = False) -> list:
    """The same leaf in PyTorch and here."""
    made = [torch.from_numpy(array.copy()), tapegrad.from_numpy(array.copy())]
    return [t.requires_grad_() for t in made] if grad else made


def flat(result) -> list:
    return list(result) if isinstance(result, tuple) else [result]


def same(wanted, got) -> None:
    """Equal field names, types, shapes and values."""
    assert isinstance(wanted, tuple) == isinstance(got, tuple)
    for w, g in zip(flat(wanted), flat(got), strict=True):
        assert str(w.dtype) == str(g.dtype)
        assert tuple(w.shape) == tuple(g.shape)
        np.testing.assert_allclose(g.detach().numpy(), w.detach().numpy(), rtol=1e-12)


ORDER = [
    lambda t, x: t.sort(x),
    lambda t, x: t.sort(x, 0),
    lambda t, x: t.sort(x, -1, True),
    lambda t, x: x.sort(stable=True, dim=1, descending=True),
    lambda t, x: x.argsort(-2),
    lambda t, x: t.argsort(x, descending=True),
    lambda t, x: t.msort(x),
    lambda t, x: t.topk(x, 2),
    lambda t, x: x.topk(1, 0, largest=False),
    lambda t, x: x.topk(0),
    lambda t, x: t.kthvalue(x, 2),
    lambda t, x: x.kthvalue(1, 0, True),
    lambda t, x: t.median(x),
    lambda t, x: x.median(1),
    lambda t, x: x.nanmedian(0, keepdim=True),
    lambda t, x: t.nanmedian(x),
    lambda t, x: t.mode(x),
    lambda t, x: x.mode(0, True),
    lambda t, x: t.quantile(x, 0.3),
    lambda t, x: x.quantile(t.tensor([0.0, 0.25, 1.0], dtype=t.float64), 1),
    lambda t, x: x.quantile(0.9, dim=0, keepdim=True),
    lambda t, x: x.nanquantile(t.tensor([0.5], dtype=t.float64), -1, True),
    *(
        lambda t, x, how=how: x.quantile(0.4, 0, interpolation=how)
        for how in ("lower", "higher", "midpoint", "nearest")
    ),
]


@pytest.mark.parametrize("f", ORDER)
def test_values_and_derivatives(f):
    theirs, ours = tensors(DISTINCT, grad=True)
    wanted, got = f(torch, theirs), f(tapegrad, ours)
    same(wanted, got)
    values = [flat(r)[0] for r in (wanted, got)]
    if not values[0].requires_grad:
        return
    grads = []
    for lib, value, x in ((torch, values[0], theirs), (tapegrad, values[1], ours)):
        weight = lib.tensor(np.linspace(1, 2, value.numel()).reshape(tuple(value.shape)).tolist(), dtype=lib.float64)
        (g,) = lib.autograd.grad((value * value * weight).sum(), x, create_graph=True)
        (gg,) = lib.autograd.grad((g * g * g).sum(), x)
        grads.append((g.detach().numpy(), gg.numpy()))
    for w, g in zip(*grads):
        np.testing.assert_allclose(g, w, rtol=1e-9, atol=1e-9)


NODES = [
    (lambda x: x.sort()[0], "SortBackward0"),
    (lambda x: x.sort(stable=True)[0], "SortBackward1"),
    (lambda x: x.topk(1)[0], "TopkBackward0"),
    (lambda x: x.kthvalue(1)[0], "KthvalueBackward0"),
    (lambda x: x.median(), "MedianBackward0"),
    (lambda x: x.median(0)[0], "MedianBackward1"),
    (lambda x: x.nanmedian(), "NanmedianBackward0"),
    (lambda x: x.mode()[0], "ModeBackward0"),
]


@pytest.mark.parametrize("f, name", NODES)
def test_nodes(f, name):
    for x in tensors(TIES, grad=True):
        assert f(x).grad_fn.name() == name


@pytest.mark.parametrize("f", [ORDER[i] for i in (0, 1, 2, 3, 4, 5, 6, 16, 17)])
def test_ties_keep_their_order(f):
    theirs, ours = tensors(TIES)
    same(f(torch, theirs), f(tapegrad, ours))


@pytest.mark.parametrize("f", [lambda t, x: x.median(), lambda t, x: x.median(1), lambda t, x: x.topk(2)])
def test_ties_share_or_choose_the_same_values(f):
    theirs, ours = tensors(TIES)
    wanted, got = flat(f(torch, theirs)), flat(f(tapegrad, ours))
    same(wanted[0], got[0])
    if len(got) > 1 and got[1].dim() == 1:
        assert TIES[[0, 1], got[1].numpy()].tolist() == wanted[0].tolist()


@pytest.mark.parametrize("f", [f for i, f in enumerate(ORDER) if i not in (4, 5, 14, 16, 17)])
@pytest.mark.parametrize("width", ["few", "many"])
def test_nan_is_the_largest(f, width):
    array = LOST if width == "few" else np.tile(LOST, (1, 100))
    theirs, ours = tensors(array)
    wanted, got = f(torch, theirs), f(tapegrad, ours)
    same(flat(wanted)[0], flat(got)[0])


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"])
@pytest.mark.parametrize("shape, dim", [((3, 200), 1), ((200, 12), 0), ((5000,), 0), ((40, 60), 1)])
@pytest.mark.parametrize("descending", [False, True])
def test_long_sorts_are_stable(dtype, shape, dim, descending):
    x = RNG.integers(-100, 100, shape).astype(np.int64).astype(dtype)
    if x.dtype.kind == "f":
        x.reshape(-1)[::17] = np.nan
        x.reshape(-1)[::29] = -0.0
    theirs, ours = tensors(x)
    same(*(t.sort(dim=dim, descending=descending, stable=True) for t in (theirs, ours)))
    if dtype != "bool":
        for k in (1, 5, shape[dim] // 2):
            same(theirs.topk(k, dim, descending).values, ours.topk(k, dim, descending).values)
        same(theirs.kthvalue(3, dim).values, ours.kthvalue(3, dim).values)
        same(theirs.median(dim).values, ours.median(dim).values)


@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(max_dims=3, max_side=6),
        elements=st.floats(-3, 3, width=32) | st.sampled_from([NAN, INF, -INF, 0.0]),
    ),
    st.booleans(),
)
@settings(max_examples=60)
def test_sorted_rows_are_numpys(x, descending):
    values, indices = tapegrad.sort(tapegrad.from_numpy(x), -1, descending)
    wanted = np.sort(x, -1)
    np.testing.assert_array_equal(values.numpy(), wanted[..., ::-1] if descending else wanted)
    np.testing.assert_array_equal(np.take_along_axis(x, indices.numpy(), -1), values.numpy())


SETS = [
    lambda t, x: t.unique(x),
    lambda t, x: t.unique(x, return_inverse=True),
    lambda t, x: t.unique(x, return_counts=True),
    lambda t, x: x.unique(True, True, True),
    lambda t, x: t.unique(x, dim=0, return_inverse=True, return_counts=True),
    lambda t, x: t.unique(x, dim=-1, return_inverse=True, return_counts=True),
    lambda t, x: t.unique_consecutive(x, return_inverse=True, return_counts=True),
    lambda t, x: t.unique_consecutive(x, dim=0, return_inverse=True, return_counts=True),
    lambda t, x: t.isin(x, t.tensor([1, 2])),
    lambda t, x: t.isin(x, 2, invert=True),
]
SET_INPUTS = [
    np.array([[2, 1, 2], [1, 1, 1], [2, 1, 2], [2, 1, 2]]),
    np.zeros((1, 4), np.int64),
    np.zeros((0, 3), np.int64),
    np.array([3, 3, 1, 3]),
    np.array([[1.5, NAN, NAN]]),
    np.array([True, False, True]),
]


@pytest.mark.parametrize("f", SETS)
@pytest.mark.parametrize("array", SET_INPUTS, ids=["matrix", "one", "empty", "vector", "nan", "bool"])
def test_sets(f, array):
    theirs, ours = tensors(array)
    try:
        wanted = f(torch, theirs)
    except (RuntimeError, IndexError) as error:
        if "isin" in str(error):
            return  # PyTorch does not have it for booleans
        with pytest.raises(type(error)):
            f(tapegrad, ours)
        return
    same(wanted, f(tapegrad, ours))


SEARCHES = [
    lambda t: t.searchsorted(t.tensor([1.0, 3.0, 3.0, 5.0]), t.tensor([[0.0, 3.0], [9.0, NAN]])),
    lambda t: t.searchsorted(t.tensor([1.0, 3.0, 3.0, 5.0]), t.tensor([3.0]), right=True),
    lambda t: t.searchsorted(t.tensor([1.0, 3.0]), 2.0),
    lambda t: t.searchsorted(t.tensor([[1, 3, 5], [0, 2, 9]]), t.tensor([[3, 4], [9, -1]]), side="right"),
    lambda t: t.searchsorted(t.tensor([[1, 3, 5], [0, 2, 9]]), t.tensor([[3, 4], [9, -1]]), out_int32=True),
    lambda t: t.searchsorted(t.tensor([3.0, 1.0, 2.0]), t.tensor([1.5]), sorter=t.tensor([1, 2, 0])),
    lambda t: t.searchsorted(t.tensor([[1.0, NAN]]), t.tensor([[NAN, 0.0, 5.0]])),
    lambda t: t.searchsorted(t.zeros(2, 0), t.ones(2, 3)),
    lambda t: t.bucketize(t.tensor([[1, 4], [9, 3]]), t.tensor([1, 3, 5])),
    lambda t: t.bucketize(t.tensor([3]), t.tensor([1, 3, 5]), right=True, out_int32=True),
    lambda t: t.bucketize(4.0, t.tensor([1.0, 3.0])),
]


@pytest.mark.parametrize("f", SEARCHES)
def test_searches(f):
    same(f(torch), f(tapegrad))


REFUSED = [
    lambda t: t.ones(3).topk(4),
    lambda t: t.ones(3).kthvalue(0),
    lambda t: t.ones(3).kthvalue(4),
    lambda t: t.ones(2, 0).kthvalue(1),
    lambda t: t.ones(2, 0).median(1),
    lambda t: t.ones(0).mode(),
    lambda t: t.ones(2).sort(1),
    lambda t: t.ones(2, dtype=t.complex64).sort(),
    lambda t: t.ones(3).quantile(1.5),
    lambda t: t.ones(3).quantile(0.5, interpolation="cubic"),
    lambda t: t.ones(0).quantile(0.5),
    lambda t: t.ones(3).int().quantile(0.5),
    lambda t: t.ones(3).quantile(t.tensor(0.5, dtype=t.float64)),
    lambda t: t.ones(3).quantile(t.ones(2, 2)),
    lambda t: t.searchsorted(t.ones(2, 3), t.ones(3, 1)),
    lambda t: t.searchsorted(t.ones(2), t.ones(1), side="left", right=True),
    lambda t: t.bucketize(t.ones(2), t.ones(2, 2)),
    lambda t: t.unique(t.ones(2, 2), dim=3),
    lambda t: t.sort(t.ones(2), out=(t.empty(0), t.empty(0))),
]


@pytest.mark.parametrize("f", REFUSED)
def test_errors_are_of_the_same_kind(f):
    with pytest.raises(Exception) as theirs:
        f(torch)
    with pytest.raises(theirs.type):
        f(tapegrad)


def test_no_dimensions():
    for f in (
        lambda x: x.sort(),
        lambda x: x.topk(1),
        lambda x: x.kthvalue(1),
        lambda x: x.median(0),
        lambda x: x.mode(),
    ):
        same(*(f(lib.tensor(2.5)) for lib in (torch, tapegrad)))
    assert tapegrad.tensor(2.5).argsort().item() == 0


def test_out():
    for lib in (torch, tapegrad):
        x, out, index = lib.tensor([3.0, 1.0, 2.0]), lib.empty(0), lib.empty(0, dtype=lib.int64)
        lib.sort(x, out=(out, index))
        assert out.tolist() == [1.0, 2.0, 3.0] and index.tolist() == [1, 2, 0]
        assert lib.argsort(x, stable=True, out=index).tolist() == [1, 2, 0]
        assert lib.quantile(x, 0.5, out=lib.empty(())).item() == 2.0
        assert lib.msort(x, out=out).tolist() == [1.0, 2.0, 3.0]
        assert lib.searchsorted(x, x, out=index) is index
