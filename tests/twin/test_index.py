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

# ---- any index ------------------------------------------------------------------------------------------------------------
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
index = st.one_of(part, st.lists(part, max_size=4).map(tuple).map(lambda t: ("tuple", t)))
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
        theirs = torch.zeros_like(theirs) if theirs is None else theirs
        if mine is not None:
            same(mine, theirs)
        else:
            assert not theirs.any()


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
    if mine is IndexError and 0 in want:
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
