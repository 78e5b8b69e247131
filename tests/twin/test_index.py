"""Indexing, gather and scatter beside PyTorch: values, views, names, errors, first and second derivatives."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tapegrad

torch = pytest.importorskip("torch")

LIBRARIES = (torch, tapegrad)

# ---- any index -------------------------------------------------------------------------------------------------------
# An index is drawn as plain data and built for each library: ("tensor", [[0, 1]]) becomes a tensor.

bound = st.one_of(st.none(), st.integers(-4, 4))
number = st.integers(-3, 2)
part = st.one_of(
    number,
    st.builds(lambda a, b, c: ("slice", a, b, c), bound, bound, st.sampled_from([None, 1, 2, 3])),
    st.just(("all",)),
    st.just(None),
    st.just(("dots",)),
    st.booleans(),
    st.builds(lambda v: ("list", v), st.lists(number, min_size=1, max_size=3)),
    st.builds(lambda v: ("tensor", v), st.lists(number, min_size=1, max_size=3)),
    st.builds(lambda v: ("tensor", [v, v]), st.lists(number, min_size=2, max_size=2)),
    st.builds(lambda v: ("scalar", v), number),
    st.builds(lambda v: ("mask", v), st.lists(st.booleans(), min_size=2, max_size=3)),
    st.builds(lambda n: ("range", n), st.integers(1, 2)),
    st.builds(lambda v: ("array", v), st.lists(number, min_size=1, max_size=2)),
)
parts = st.lists(part, max_size=4).filter(lambda found: found.count(("dots",)) < 2)
index = st.one_of(part, parts.map(lambda found: ("tuple", tuple(found))))
shapes = st.sampled_from([(), (3,), (2, 3), (3, 2, 2), (2, 1, 3)])


def build(lib, drawn):
    """The index for a library."""
    if not isinstance(drawn, tuple):
        return drawn
    kind, *rest = drawn
    if kind == "tuple":
        return tuple(build(lib, p) for p in rest[0])
    makers = {
        "slice": slice,
        "all": lambda: slice(None),
        "dots": lambda: Ellipsis,
        "list": list,
        "tensor": lib.tensor,
        "scalar": lib.tensor,
        "mask": lib.tensor,
        "range": range,
        "array": np.array,
    }
    return makers[kind](*rest)


def tried(f, *args):
    """The result, or the builtin class of the exception."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return f(*args)
    except Exception as error:
        return next(c for c in type(error).__mro__ if c.__module__ == "builtins")


def name(t):
    found = None if t.grad_fn is None else t.grad_fn.name().split("::")[-1]
    return "CopyBackwards" if found == "FillBackward3" else found


def same(mine, theirs):
    assert tuple(mine.shape) == tuple(theirs.shape)
    assert str(mine.dtype) == str(theirs.dtype)
    np.testing.assert_allclose(mine.detach().numpy(), theirs.detach().numpy(), rtol=1e-9, atol=1e-12)


def leaves(*arrays):
    """The same leaves in both libraries."""
    return [[lib.from_numpy(np.array(a)).requires_grad_() for a in arrays] for lib in LIBRARIES]


def compare_derivatives(f, *arrays):
    """Results, gradients, and gradients of the gradients of a cubed result."""
    grads = []
    for lib, inputs in zip(LIBRARIES, leaves(*arrays)):
        out = f(lib, *inputs)
        first = lib.autograd.grad((out * out * out).sum(), inputs, create_graph=True, allow_unused=True)
        total = sum((g * g).sum() for g in first if g is not None and g.requires_grad)
        second = lib.autograd.grad(total, inputs, allow_unused=True) if isinstance(total, lib.Tensor) else ()
        grads.append([out, *first, *second])
    assert len(grads[0]) == len(grads[1])
    for theirs, mine in zip(*grads):
        if mine is not None and theirs is not None:
            same(mine, theirs)
        else:  # zeros are as good as nothing
            assert all(g is None or not g.detach().numpy().any() for g in (theirs, mine))


def check_get(shape, drawn):
    data = np.random.default_rng(0).standard_normal(shape)
    ((x,), (y,)) = leaves(data)
    theirs, mine = tried(lambda: x[build(torch, drawn)]), tried(lambda: y[build(tapegrad, drawn)])
    if isinstance(theirs, type):
        assert mine is theirs, (mine, theirs)
        return
    if mine is IndexError and theirs.numel() == 0:
        return  # PyTorch does not look at indices that pick nothing
    assert not isinstance(mine, type), mine
    same(mine, theirs)
    assert mine._is_view() == theirs._is_view()
    assert name(mine) == name(theirs)
    if theirs._is_view() and theirs.numel():
        own = [[s for n, s in zip(t.shape, t.stride()) if n > 1] for t in (mine, theirs)]
        assert own[0] == own[1]
    for lib, t in zip(LIBRARIES, (theirs, mine)):
        (t * t * lib.arange(1, t.numel() + 1).reshape(t.shape)).sum().backward()
    same(y.grad, x.grad)
    compare_derivatives(lambda lib, t: t[build(lib, drawn)], data)


def check_set(shape, drawn, dropped, ones, number_given):
    rng = np.random.default_rng(0)
    data = rng.standard_normal(shape)
    wanted = tried(lambda: torch.zeros(shape)[build(torch, drawn)].shape)
    want = (1,) if isinstance(wanted, type) else tuple(wanted)
    want = tuple(1 if i in ones else n for i, n in enumerate(want))[min(dropped, len(want)) :]
    value = rng.standard_normal(want)
    results = []
    for lib, (x, v) in zip(LIBRARIES, leaves(data, value)):

        def run(lib=lib, x=x, v=v):
            y = x * 2
            view = y.view(-1) if y.numel() else y
            y[build(lib, drawn)] = 1.5 if number_given else v
            (y * y).sum().backward()
            return y, view, x.grad, v.grad

        results.append(tried(run))
    theirs, mine = results
    if isinstance(theirs, type):
        # NumPy checks all indices before it writes, PyTorch on the way: the kind is the same, or both are right
        assert mine is theirs, (mine, theirs)
        return
    if mine is IndexError and 0 in tuple(wanted):
        return
    assert not isinstance(mine, type), mine
    assert mine[0].grad_fn is not None
    for a, b in zip(mine, theirs):
        if b is None:
            assert a is None or not a.numpy().any()
        else:
            same(a, b)


@settings(max_examples=300)
@given(shapes, index)
def test_getitem(shape, drawn):
    check_get(shape, drawn)


@settings(max_examples=300)
@given(shapes, index, st.integers(0, 2), st.sets(st.integers(0, 2), max_size=1), st.booleans())
def test_setitem(shape, drawn, dropped, ones, number_given):
    check_set(shape, drawn, dropped, ones, number_given)


# ---- by name ---------------------------------------------------------------------------------------------------------

IDX = [[0, 2], [1, 1], [2, 0]]  # (3, 2)
BY_NAME = {
    "gather": lambda lib, x, y: x.gather(0, lib.tensor(IDX)),
    "gather of the last dimension": lambda lib, x, y: x.t().gather(-1, lib.tensor(IDX)[:2]),
    "scatter": lambda lib, x, y: x.scatter(0, lib.tensor(IDX)[:2], y[:2]),
    "scatter along rows": lambda lib, x, y: x.scatter(1, lib.tensor([[1], [0]]), y[1:, :1]),
    "scatter of a number": lambda lib, x, y: x.scatter(1, lib.tensor([[1], [0]]), 2.0) * y,
    "scatter_add": lambda lib, x, y: x.scatter_add(0, lib.tensor(IDX), y),
    "scatter_add along rows": lambda lib, x, y: (x * y).scatter_add(1, lib.tensor([[1, 1]]), (y * y)[:1]),
    "index_select": lambda lib, x, y: x.index_select(1, lib.tensor([1, 1, 0])),
    "index_add": lambda lib, x, y: x.index_add(0, lib.tensor([0, 2, 0]), y, alpha=2),
    "index_add of columns": lambda lib, x, y: x.index_add(1, lib.tensor([1, 1]), y * x),
    "index_copy": lambda lib, x, y: x.index_copy(0, lib.tensor([2, 0]), y[:2]),
    "index_fill": lambda lib, x, y: x.index_fill(1, lib.tensor([1, 1]), y[0, 0]),
    "index_put": lambda lib, x, y: x.index_put((lib.tensor([0, 2]),), y[:2] * x[:2]),
    "index_put that adds": lambda lib, x, y: x.index_put(
        (lib.tensor([0, 0]), lib.tensor([1, 1])), y[0], accumulate=True
    ),
    "take": lambda lib, x, y: x.take(lib.tensor([[0, -1], [5, 5]])),
    "take_along_dim": lambda lib, x, y: lib.take_along_dim(x, lib.tensor([[1], [0], [1]]), 1),
    "put": lambda lib, x, y: x.put(lib.tensor([0, 4]), y[0]),
    "put that adds": lambda lib, x, y: x.put(lib.tensor([4, 4]), y[0], accumulate=True),
    "masked_fill": lambda lib, x, y: x.masked_fill(lib.tensor([True, False]), y[1, 1]),
    "masked_select": lambda lib, x, y: (x * y).masked_select(lib.tensor([[True], [False], [True]])),
    "masked_scatter": lambda lib, x, y: x.masked_scatter(lib.tensor([[True], [False], [True]]), y),
    "index_reduce": lambda lib, x, y: x.index_reduce(0, lib.tensor([1, 1, 0]), y, "prod"),
    "select_scatter": lambda lib, x, y: x.select_scatter(y[0] * x[0], 0, 1),
    "slice_scatter": lambda lib, x, y: x.slice_scatter(y[:2], 0, 0, 3, 2),
    "diagonal_scatter": lambda lib, x, y: x.diagonal_scatter(y[1], -1),
    **{
        f"scatter_reduce {how} {own}": lambda lib, x, y, how=how, own=own: x.scatter_reduce(
            0, lib.tensor(IDX), y, how, include_self=own
        )
        for how in ("sum", "mean", "prod", "amax", "amin")
        for own in (True, False)
    },
}


@pytest.mark.filterwarnings("ignore:index_reduce")
@pytest.mark.parametrize("what", BY_NAME)
def test_derivatives_of_indexing_by_name(what):
    rng = np.random.default_rng(0)
    compare_derivatives(BY_NAME[what], rng.standard_normal((3, 2)), rng.standard_normal((3, 2)))


def test_a_source_may_be_larger_than_its_index():
    x, y = tapegrad.zeros(2, 2), tapegrad.ones(3, 2, requires_grad=True)  # PyTorch fails in backward
    x.scatter(0, tapegrad.tensor([[1, 0]]), y * 2).sum().backward()
    assert y.grad.tolist() == [[2, 2], [0, 0], [0, 0]]


@pytest.mark.filterwarnings("ignore:index_reduce")
@pytest.mark.parametrize("how", ["sum", "mean", "prod", "amax", "amin"])
@pytest.mark.parametrize("zeros", [0, 1, 2, 3])
def test_gradients_of_scatter_reduce_with_zeros_and_ties(how, zeros):
    source = np.array([2.0, 2.0, -1.0, 0.5])
    source[:zeros] = 0
    x = np.array([2.0, 0.0])
    for own in (True, False):
        first = []
        for lib, (a, b) in zip(LIBRARIES, leaves(x, source)):
            out = a.scatter_reduce(0, lib.tensor([0, 0, 0, 1]), b, how, include_self=own)
            first.append([out, *lib.autograd.grad((out * out + out).sum(), (a, b))])
        for theirs, mine in zip(*first):
            same(mine, theirs)


NAMES = {
    "index_add": lambda lib, x: x.index_add(0, lib.tensor([0]), x[:1]),
    "index_copy": lambda lib, x: x.index_copy(0, lib.tensor([0]), x[:1]),
    "index_fill": lambda lib, x: x.index_fill(0, lib.tensor([0]), 1.0),
    "index_fill by tensor": lambda lib, x: x.index_fill(0, lib.tensor([0]), lib.tensor(1.0, dtype=lib.float64)),
    "index_put": lambda lib, x: x.index_put((lib.tensor([0]),), x[0]),
    "index_select": lambda lib, x: x.index_select(0, lib.tensor([0])),
    "gather": lambda lib, x: x.gather(0, lib.tensor([[0, 0]])),
    "scatter": lambda lib, x: x.scatter(0, lib.tensor([[0, 0]]), x),
    "scatter of a number": lambda lib, x: x.scatter(0, lib.tensor([[0, 0]]), 1.0),
    "scatter_add": lambda lib, x: x.scatter_add(0, lib.tensor([[0, 0]]), x),
    "scatter_reduce": lambda lib, x: x.scatter_reduce(0, lib.tensor([[0, 0]]), x, "sum"),
    "take": lambda lib, x: x.take(lib.tensor([0])),
    "put": lambda lib, x: x.put(lib.tensor([0]), x[0, :1]),
    "masked_fill": lambda lib, x: x.masked_fill(x > 0, 1.0),
    "masked_fill by tensor": lambda lib, x: x.masked_fill(x > 0, lib.tensor(1.0, dtype=lib.float64)),
    "masked_select": lambda lib, x: x.masked_select(x > 0),
    "masked_scatter": lambda lib, x: x.masked_scatter(x > 0, x),
}


@pytest.mark.parametrize("what", NAMES)
def test_names_of_nodes(what):
    found = [name(NAMES[what](lib, *inputs)) for lib, inputs in zip(LIBRARIES, leaves(np.arange(6.0).reshape(3, 2)))]
    assert found[0] == found[1]


REFUSED = {
    "gather: a negative index": lambda lib, x, i: x.gather(0, i([[-1, 0]])),
    "gather: an index out of range": lambda lib, x, i: x.gather(0, i([[3, 0]])),
    "gather: another number of dimensions": lambda lib, x, i: x.gather(0, i([1])),
    "gather: a larger index": lambda lib, x, i: x.gather(0, i([[0, 0, 0]])),
    "gather: no such dimension": lambda lib, x, i: x.gather(2, i([[0]])),
    "scatter: a negative index": lambda lib, x, i: x.scatter(0, i([[-1]]), 1.0),
    "scatter: another dtype": lambda lib, x, i: x.scatter(0, i([[1]]), i([[1]])),
    "scatter: a smaller source": lambda lib, x, i: x.scatter(0, i([[1, 1]]), x[:1, :1]),
    "scatter: an unknown reduce": lambda lib, x, i: x.scatter(0, i([[1]]), 1.0, reduce="best"),
    "scatter_reduce: an unknown reduce": lambda lib, x, i: x.scatter_reduce(0, i([[1, 1]]), x, "best"),
    "index_select: out of range": lambda lib, x, i: x.index_select(0, i([3])),
    "index_select: a matrix": lambda lib, x, i: x.index_select(0, i([[1]])),
    "index_select: real numbers": lambda lib, x, i: x.index_select(0, x[0]),
    "index_add: a negative index": lambda lib, x, i: x.index_add(0, i([-1]), x[:1]),
    "index_add: another number of slices": lambda lib, x, i: x.index_add(0, i([1]), x[:2]),
    "index_copy: out of range": lambda lib, x, i: x.index_copy(0, i([5]), x[:1]),
    "index_fill: out of range": lambda lib, x, i: x.index_fill(0, i([5]), 1.0),
    "index_fill: a vector": lambda lib, x, i: x.index_fill(0, i([0]), x[0]),
    "masked_fill: not a mask": lambda lib, x, i: x.masked_fill(x, 1.0),
    "masked_fill: a vector": lambda lib, x, i: x.masked_fill(x > 0, x[0]),
    "masked_fill_: a larger mask": lambda lib, x, i: x[0].clone().masked_fill_(x > 0, 1.0),
    "masked_select: not a mask": lambda lib, x, i: x.masked_select(i([1, 0])),
    "masked_scatter: a short source": lambda lib, x, i: x.masked_scatter(x > -1, x[0]),
    "take: out of range": lambda lib, x, i: x.take(i([6])),
    "put: another size": lambda lib, x, i: x.put(i([0]), x[0]),
    "index_put: another dtype": lambda lib, x, i: x.index_put((i([0]),), i([0])),
    "index_put: out of range": lambda lib, x, i: x.index_put((i([4]),), x[0]),
    "unravel_index: real numbers": lambda lib, x, i: lib.unravel_index(x[0], (3, 2)),
    "a slice backwards": lambda lib, x, i: x[::-1],
    "a real index": lambda lib, x, i: x[1.5],
    "a real index tensor": lambda lib, x, i: x[x],
    "too many indices": lambda lib, x, i: x[0, 0, 0],
    "out of range": lambda lib, x, i: x[3],
    "a mask of another shape": lambda lib, x, i: x[i([1, 0]) > 0],
    "index tensors that do not broadcast": lambda lib, x, i: x[i([0, 1]), i([0, 1, 0])],
    "a value that does not fit": lambda lib, x, i: x.__setitem__(0, lib.ones(3)),
    "a text": lambda lib, x, i: x.__setitem__(0, "a"),
    "one_hot: a negative class": lambda lib, x, i: lib.nn.functional.one_hot(i([-1])),
    "one_hot: too few classes": lambda lib, x, i: lib.nn.functional.one_hot(i([3]), 2),
}


@pytest.mark.parametrize("what", REFUSED)
def test_errors(what):
    kinds = [tried(REFUSED[what], lib, lib.arange(6.0).reshape(3, 2), lib.tensor) for lib in LIBRARIES]
    assert isinstance(kinds[0], type)
    assert kinds[0] is kinds[1]


def test_in_place_methods_write_where_they_are():
    for lib in LIBRARIES:
        base = lib.zeros(3, 4)
        x = base[:, 1:3]
        x.index_add_(0, lib.tensor([0, 0]), lib.ones(2, 2))
        x.scatter_add_(1, lib.tensor([[0], [0], [1]]), lib.ones(3, 1))
        x.index_copy_(0, lib.tensor([2]), lib.full((1, 2), 7.0))
        x.scatter_(0, lib.tensor([[1, 1]]), 5.0)
        x.scatter_reduce_(0, lib.tensor([[0, 0]]), lib.full((1, 2), 9.0), "amax")
        x.put_(lib.tensor([0, -1]), lib.tensor([-1.0, -2.0]))
        x.index_put_((lib.tensor([0]), lib.tensor([1])), lib.tensor(0.5))
        x.masked_fill_(x == 5, 6.0)
        x.index_fill_(1, lib.tensor([1]), lib.tensor(4.0))
        x.masked_scatter_(x == 4, lib.tensor([1.0, 2.0, 3.0]))
        assert base.tolist() == [[0, -1, 1, 0], [0, 6, 2, 0], [0, 7, 3, 0]]
        assert base._version == 10


def test_an_index_that_changes_after_its_use_is_refused():
    for lib in LIBRARIES:
        x = lib.ones(3, requires_grad=True)
        i = lib.tensor([0, 1])
        y = (x * 2)[i]
        i[0] = 2
        with pytest.raises(RuntimeError):
            y.sum().backward()


def test_half_precision_sums_once():
    for dtype in ("float16", "bfloat16"):
        found = []
        for lib in LIBRARIES:
            x = lib.zeros(2, dtype=getattr(lib, dtype))
            x = x.index_add(0, lib.tensor([0] * 8 + [1]), lib.full((9,), 0.1, dtype=getattr(lib, dtype)))
            found.append(x.float().numpy())
        np.testing.assert_allclose(found[0], found[1], rtol=2e-2)
