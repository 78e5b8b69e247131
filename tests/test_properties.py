"""Laws that hold for every input: broadcasting, promotion, views, linearity, indexing. NumPy is the reference."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tapegrad as torch
from tapegrad import dtypes, shapes
from tapegrad.core.tape import sum_to
from tapegrad.core.tensor import wrap

few = settings(max_examples=20)  # of a test that has many parameters
shape = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
full = hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4)


def counting(of: tuple[int, ...]) -> np.ndarray:
    """Distinct numbers, so that every misplaced element shows."""
    return np.arange(math.prod(of), dtype=np.float64).reshape(of)


def noise(of: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.asarray(np.random.default_rng(seed).standard_normal(of))


# ---- broadcasting --------------------------------------------------------------------------------------------------

together = hnp.mutually_broadcastable_shapes(num_shapes=3, max_dims=4, max_side=4, min_side=0)


@given(together)
def test_broadcast_is_numpys_and_does_not_depend_on_the_order(found):
    a, b, c = found.input_shapes
    assert shapes.broadcast("test", a, b, c) == found.result_shape
    assert shapes.broadcast("test", a, b) == shapes.broadcast("test", b, a)
    assert shapes.broadcast("test", shapes.broadcast("test", a, b), c) == shapes.broadcast(
        "test", a, shapes.broadcast("test", b, c)
    )
    assert shapes.broadcast("test", a) == shapes.broadcast("test", a, ()) == a


@given(shape, shape)
def test_what_numpy_does_not_broadcast_is_refused(a, b):
    try:
        want = np.broadcast_shapes(a, b)
    except ValueError:
        with pytest.raises(RuntimeError, match="broadcast"):
            torch.ones(a) + torch.ones(b)
    else:
        assert (torch.ones(a) + torch.ones(b)).shape == want


@given(together)
def test_sum_to_is_the_adjoint_of_broadcasting(found):
    small, big = found.input_shapes[0], found.result_shape
    x, g = noise(small), noise(big, 1)
    assert sum_to(g, small).shape == small
    np.testing.assert_allclose(np.vdot(np.broadcast_to(x, big), g), np.vdot(x, sum_to(g, small)), atol=1e-9)
    np.testing.assert_array_equal(sum_to(g, big), g)


@given(together)
def test_gradients_of_broadcast_operands_have_their_shapes(found):
    a, b = (wrap(noise(s, i)).requires_grad_() for i, s in enumerate(found.input_shapes[:2]))
    (a * b).sum().backward()
    np.testing.assert_allclose(a.grad.array, sum_to(np.broadcast_to(b.array, (a * b).shape), a.shape), atol=1e-12)
    np.testing.assert_allclose(b.grad.array, sum_to(np.broadcast_to(a.array, (a * b).shape), b.shape), atol=1e-12)


# ---- promotion -----------------------------------------------------------------------------------------------------

NAMES = "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64 complex128".split()
TABLE = """
b1 u1 i1 i2 i4 i8 f2 bf f4 f8 c8 c16
u1 u1 i2 i2 i4 i8 f2 bf f4 f8 c8 c16
i1 i2 i1 i2 i4 i8 f2 bf f4 f8 c8 c16
i2 i2 i2 i2 i4 i8 f2 bf f4 f8 c8 c16
i4 i4 i4 i4 i4 i8 f2 bf f4 f8 c8 c16
i8 i8 i8 i8 i8 i8 f2 bf f4 f8 c8 c16
f2 f2 f2 f2 f2 f2 f2 f4 f4 f8 c8 c16
bf bf bf bf bf bf f4 bf f4 f8 c8 c16
f4 f4 f4 f4 f4 f4 f4 f4 f4 f8 c8 c16
f8 f8 f8 f8 f8 f8 f8 f8 f8 f8 c16 c16
c8 c8 c8 c8 c8 c8 c8 c8 c8 c16 c8 c16
c16 c16 c16 c16 c16 c16 c16 c16 c16 c16 c16 c16
"""
SHORT = dict(zip("b1 u1 i1 i2 i4 i8 f2 bf f4 f8 c8 c16".split(), map(dtypes.by_name, NAMES)))
PROMOTED = {
    (a, b): SHORT[found]
    for a, row in zip(SHORT.values(), TABLE.strip().splitlines())
    for b, found in zip(SHORT.values(), row.split())
}
dtype = st.sampled_from(list(SHORT.values()))
REAL = [d for d in SHORT.values() if not d.is_complex]


@pytest.mark.parametrize("a", SHORT.values(), ids=str)
def test_promotion_is_the_table(a):
    for b in SHORT.values():
        assert dtypes.promote(a, b) is dtypes.promote(b, a) is PROMOTED[a, b]


@given(dtype, dtype)
def test_promotion_loses_nothing(a, b):
    both = dtypes.promote(a, b)
    assert dtypes.promote(both, a) is dtypes.promote(both, b) is dtypes.promote(both, both) is both
    assert dtypes.can_cast(a, both) and dtypes.can_cast(b, both)


@pytest.mark.parametrize("a", REAL, ids=str)
def test_tensors_meet_as_the_table_says(a):
    for b in REAL:
        x, y = torch.ones(2, dtype=a), torch.ones(2, dtype=b)
        assert (x + y).dtype is (y + x).dtype is (x * y).dtype is torch.cat([x, y]).dtype is PROMOTED[a, b]


@given(st.sampled_from(REAL), st.sampled_from(REAL))
def test_a_tensor_without_dimensions_counts_only_if_its_kind_is_higher(a, b):
    x, y = torch.ones(2, dtype=a), torch.ones((), dtype=b)
    want = PROMOTED[a, b] if b.kind > a.kind else a
    assert (x + y).dtype is (y + x).dtype is want


@given(st.sampled_from(REAL), st.sampled_from([True, 2, 2.5]))
def test_a_number_counts_only_if_its_kind_is_higher(a, number):
    kind = {bool: dtypes.BOOL, int: dtypes.INT, float: dtypes.FLOAT}[type(number)]
    higher = {dtypes.INT: torch.int64, dtypes.FLOAT: torch.float32}
    want = a if kind <= a.kind else higher[kind]
    x = torch.ones(2, dtype=a)
    assert (x + number).dtype is (number + x).dtype is want


# ---- views ---------------------------------------------------------------------------------------------------------

VIEWS = {
    "view": lambda x: x.view(-1),
    "reshape": lambda x: x.reshape(x.shape[::-1]),
    "flatten": lambda x: x.flatten(),
    "transpose": lambda x: x.transpose(0, -1),
    "permute": lambda x: x.permute(tuple(range(x.ndim))[::-1]),
    "unsqueeze": lambda x: x.unsqueeze(1),
    "squeeze": lambda x: x.squeeze(),
    "select": lambda x: x.select(0, -1),
    "integer": lambda x: x[-1],
    "slice": lambda x: x[..., 1:],
    "steps": lambda x: x[::2],
    "narrow": lambda x: x.narrow(0, 0, 1),
    "expand": lambda x: x.expand(2, *x.shape),
    "unbind": lambda x: x.unbind(0)[0],
    "split": lambda x: x.split(1)[-1],
    "chunk": lambda x: x.chunk(2)[0],
    "detach": lambda x: x.detach(),
    "unfold": lambda x: x.unfold(0, 1, 1),
    "diagonal": lambda x: x.unsqueeze(0).diagonal(0, 0, 1),
    "movedim": lambda x: x.movedim(0, -1),
    "T": lambda x: x.T if x.ndim == 2 else x.mT if x.ndim > 2 else x.t(),
    "swapaxes": lambda x: x.swapaxes(0, -1),
    "as_strided": lambda x: x.as_strided((1,), (1,)),
    "getitem": lambda x: x[None, ..., 0],
}


@pytest.mark.parametrize("name", VIEWS)
@few
@given(of=full)
def test_views_share_memory_and_a_version_in_both_directions(name, of):
    base = wrap(counting(of))
    view = VIEWS[name](base)
    if not view.numel():
        return
    assert np.shares_memory(view.array, base.array)
    version = base._version
    before = base.array.sum()
    view[(0,) * view.ndim] = 1000.0
    assert base._version == view._version > version
    assert base.array.sum() != before and (base.array == 1000.0).sum() == 1
    base.fill_(7.0)
    assert (view.array == 7.0).all()


COPIES = {
    "clone": lambda x: x.clone(),
    "index": lambda x: x[[0]],
    "mask": lambda x: x[x == x],
    "add": lambda x: x + 0,
    "cat": lambda x: torch.cat([x]),
    "repeat": lambda x: x.repeat((1,) * x.ndim),
    "flip": lambda x: x.flip(0),
    "double": lambda x: x.float(),
    "roll": lambda x: x.roll(1, 0),
}


@pytest.mark.parametrize("name", COPIES)
@few
@given(of=full)
def test_copies_do_not_share_memory(name, of):
    base = wrap(counting(of))
    copy = COPIES[name](base)
    assert not np.shares_memory(copy.array, base.array)
    copy.fill_(-1.0)
    np.testing.assert_array_equal(base.array, counting(of))


# ---- shapes there and back -----------------------------------------------------------------------------------------


@given(shape, st.data())
def test_reshape_round_trip(of, data):
    x = wrap(counting(of))
    other = data.draw(st.sampled_from([(-1,), (1, *of), (*of, 1), of[::-1]]) if x.numel() else st.just((1, *of)))
    there = x.reshape(other)
    assert torch.equal(there.reshape(of), x)
    np.testing.assert_array_equal(there.array.ravel(), x.array.ravel())


@given(shape, st.randoms())
def test_permute_round_trip(of, random):
    order = list(range(len(of)))
    random.shuffle(order)
    inverse = np.argsort(order).tolist()
    x = wrap(counting(of))
    there = x.permute(order)
    assert there.shape == tuple(of[i] for i in order)
    assert torch.equal(there.permute(inverse), x)
    assert torch.equal(there, wrap(np.transpose(x.array, order)))


@given(full, st.data())
def test_taking_apart_and_joining(of, data):
    dim = data.draw(st.integers(-len(of), len(of) - 1))
    x = wrap(counting(of))
    assert torch.equal(torch.cat(x.split(data.draw(st.integers(1, 5)), dim), dim), x)
    assert torch.equal(torch.stack(x.unbind(dim), dim), x)
    assert torch.equal(torch.cat(x.chunk(data.draw(st.integers(1, 5)), dim), dim), x)
    assert torch.equal(x.flip(dim).flip(dim), x)
    assert torch.equal(x.roll(2, dim).roll(-2, dim), x)
    assert torch.equal(x.unsqueeze(dim).squeeze(dim), x)
    assert torch.equal(x.movedim(0, dim).movedim(dim, 0), x)


@given(full, st.data())
def test_sorting_keeps_the_elements(of, data):
    dim = data.draw(st.integers(-len(of), len(of) - 1))
    x = wrap(noise(of).round(1))
    values, places = x.sort(dim, stable=True)
    np.testing.assert_array_equal(values.array, np.sort(x.array, dim))
    np.testing.assert_array_equal(places.array, np.argsort(x.array, dim, kind="stable"))
    assert torch.equal(x.gather(dim, places), values)
    assert torch.equal(torch.empty_like(x).scatter(dim, places, values), x)


# ---- derivatives ---------------------------------------------------------------------------------------------------

FUNCTIONS = {
    "mul": lambda x: x * x.tanh(),
    "view": lambda x: x.t()[1:].exp(),
    "reduce": lambda x: x.sum(0) * x.mean(),
    "index": lambda x: x[[0, 0, 1]] ** 2,
    "matmul": lambda x: x @ x.t(),
    "softmax": lambda x: x.softmax(-1),
    "in place": lambda x: x.clone().mul_(2).add_(x),
    "window": lambda x: torch.zeros(3, 4, dtype=torch.float64).index_put((torch.tensor([0]),), x[0]) + x,
}


@pytest.mark.parametrize("name", FUNCTIONS)
@few
@given(a=st.floats(-3, 3), b=st.floats(-3, 3), seed=st.integers(0, 99))
def test_gradients_are_linear_in_what_comes_in(name, a, b, seed):
    x = wrap(noise((3, 4), seed)).requires_grad_()
    y = FUNCTIONS[name](x)
    g, h = (wrap(noise(y.shape, seed + k)) for k in (1, 2))

    def pull(v):
        return torch.autograd.grad(y, x, v, retain_graph=True)[0].array

    np.testing.assert_allclose(pull(a * g + b * h), a * pull(g) + b * pull(h), 1e-9, 1e-9)
    assert not pull(torch.zeros_like(g)).any()


@pytest.mark.parametrize("name", FUNCTIONS)
@few
@given(seed=st.integers(0, 99))
def test_gradients_of_a_sum_are_sums_of_gradients(name, seed):
    f, h = FUNCTIONS[name], FUNCTIONS["mul"]
    x = wrap(noise((3, 4), seed)).requires_grad_()

    def gradient(of):
        return torch.autograd.grad(of.sum(), x)[0].array

    np.testing.assert_allclose(gradient(f(x).sum() + h(x).sum()), gradient(f(x)) + gradient(h(x)), 1e-9, 1e-9)


# ---- changes in place ----------------------------------------------------------------------------------------------


def recorded(*values: float) -> torch.Tensor:
    """A result, not a leaf, so that it can be changed."""
    return torch.tensor(values, dtype=torch.float64, requires_grad=True) * 1


@pytest.mark.parametrize("operand", [lambda y: y, lambda y: y[0], lambda y: y.view(-1), lambda y: y.detach()])
def test_an_operand_that_shares_memory_with_the_changed_tensor_is_stale(operand):
    y = recorded(2.0, 3.0)
    y.mul_(operand(y))
    with pytest.raises(RuntimeError, match="modified by an in-place operation"):
        y.sum().backward()


@pytest.mark.parametrize("name", ["sort", "cummax", "max", "median", "topk"])
def test_results_are_watched_only_if_a_derivative_needs_them(name):
    x = recorded(2.0, 3.0, 1.0)
    values, places = x.topk(2) if name == "topk" else getattr(x, name)(0)
    values.mul_(2)
    values.sum().backward(retain_graph=True)
    places.zero_()
    with pytest.raises(RuntimeError, match="modified by an in-place operation"):
        values.sum().backward()


def test_a_change_without_a_derivative_cuts_the_graph():
    x = torch.tensor([2.5, 3.5], requires_grad=True)
    y = x * 1
    y.floor_divide_(2)
    (y * x).sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]  # of the second factor alone


def test_a_view_taken_while_recording_is_off_belongs_to_a_tensor_that_requires_grad():
    x = recorded(1.0, 2.0)
    with torch.no_grad():
        view, parts = x[0], x.unbind()
    assert view.requires_grad and view.is_leaf and parts[0].requires_grad
    with pytest.raises(RuntimeError, match="cannot be changed in place"):
        view.add_(1)


@pytest.mark.parametrize("stop", [lambda x: x.detach_(), lambda x: x.requires_grad_(False)])
def test_a_leaf_that_no_longer_requires_grad_gets_no_gradient(stop):
    x, y = (torch.ones(2, requires_grad=True) for _ in range(2))
    out = (x * y).sum()
    stop(x)
    out.backward()
    assert x.grad is None and y.grad is not None


def test_a_view_of_a_tensor_that_was_turned_in_place_is_not_followed():
    x = torch.arange(4.0, requires_grad=True).reshape(2, 2) * 1
    row = x[0]
    x.t_()
    with pytest.raises(RuntimeError, match="changed its shape"):
        row.add_(1)
    x.mul_(2)
    with pytest.raises(RuntimeError, match="changed its shape"):
        row.sum()
    assert x[0].sum().requires_grad


@pytest.mark.parametrize("change", ["add_", "mul_", "copy_", "__setitem__"])
def test_elements_that_share_memory_cannot_be_changed_one_by_one(change):
    x = torch.ones(1, 2).expand(3, 2)
    with pytest.raises(RuntimeError, match="share one place"):
        getattr(x, change)(*((slice(None),) if change == "__setitem__" else ()), torch.ones(3, 2))
    assert x.fill_(2).tolist() == [[2.0, 2.0]] * 3


@given(full, st.data())
def test_results_of_reordered_tensors_can_be_viewed_where_pytorchs_can(of, data):
    x = wrap(noise(of)).permute(data.draw(st.permutations(range(len(of)))))
    dim = data.draw(st.integers(0, len(of) - 1))
    for found in (
        x.sum(dim),
        x.mean(dim, True),
        x.amax(dim),
        x.max(dim)[0],
        x.var(dim, 0),
        x.softmax(dim),
        x.cumsum(dim),
    ):
        assert found.is_contiguous()
    assert x.unsqueeze(0).expand(2, *x.shape).to(torch.float32).is_contiguous()


# ---- indexing ------------------------------------------------------------------------------------------------------


def basic_parts() -> st.SearchStrategy:
    bound = st.none() | st.integers(-5, 5)
    return st.builds(slice, bound, bound, st.none() | st.integers(1, 3))


@st.composite
def keys(draw, of: tuple[int, ...]) -> tuple:
    """A random index that fits a shape: integers, slices, None, `...`, and arrays of integers or booleans."""
    rows = draw(hnp.array_shapes(max_dims=2, max_side=3))  # that the arrays broadcast to
    parts: list = []
    for n in of:
        kind = draw(st.sampled_from(["slice", "integer", "array", "mask"] if n else ["slice", "mask"]))
        if draw(st.integers(0, 5)) == 0:
            parts.append(None)
        if kind == "integer":
            parts.append(draw(st.integers(-n, n - 1)))
        elif kind == "array":
            form = draw(st.sampled_from([rows, rows[-1:], ()]))
            parts.append(draw(hnp.arrays(np.int64, form, elements=st.integers(-n, n - 1))))
        else:
            mask = draw(hnp.arrays(np.bool_, n)) if kind == "mask" else np.zeros(n, bool)
            parts.append(mask if mask.sum() == rows[-1] else draw(basic_parts()))
    start = draw(st.integers(0, len(parts)))
    if draw(st.booleans()):  # leave some out, and say so or not
        return (*parts[:start], Ellipsis, *parts[draw(st.integers(start, len(parts))) :])
    return tuple(parts[: start + 1])


def is_array(part) -> bool:
    return isinstance(part, np.ndarray) and part.ndim > 0


def numpy_getitem(x: np.ndarray, key: tuple) -> np.ndarray:
    """`x[key]`: first the integers, slices, None and `...`, then the arrays, each where it stood."""
    basic = tuple((p.item() if isinstance(p, np.ndarray) else p) if not is_array(p) else slice(None) for p in key)
    if not any(is_array(p) for p in key):
        return x[basic]
    view = x[basic]
    missing = x.ndim - sum(p is not None and p is not Ellipsis for p in key)
    rest: list = []
    for p in key:
        if p is Ellipsis:
            rest += [slice(None)] * missing
        elif is_array(p):
            rest.append(p)
        elif not isinstance(p, (int, np.ndarray)):
            rest.append(slice(None))
    return view[tuple(rest)]


def as_index(key: tuple, random) -> object:
    """The key with tensors, lists or arrays in it, and without its tuple where that is the same."""
    forms = (lambda p: wrap(p), lambda p: p, lambda p: p.tolist())
    parts = tuple(random.choice(forms[: 3 if p.ndim else 2])(p) if isinstance(p, np.ndarray) else p for p in key)
    return parts[0] if len(parts) == 1 and random.random() < 0.5 and not isinstance(parts[0], list) else parts


@given(shape, st.data(), st.randoms(use_true_random=False))
def test_getitem_is_numpys(of, data, random):
    key = data.draw(keys(of))
    x = wrap(counting(of))
    want = numpy_getitem(x.array, key)
    found = x[as_index(key, random)]
    np.testing.assert_array_equal(found.array, want, f"{key}")
    assert np.shares_memory(found.array, x.array) == (not any(is_array(p) for p in key) and bool(found.numel()))


@given(shape, st.data(), st.randoms(use_true_random=False))
def test_setitem_is_numpys(of, data, random):
    key = data.draw(keys(of))
    x, want = wrap(counting(of)), counting(of)
    places = numpy_getitem(np.arange(want.size).reshape(of), key)
    value = data.draw(st.sampled_from([0.5, noise(places.shape), noise(places.shape[-1:])]))
    if np.unique(places).size != places.size and not isinstance(value, float):
        value = 0.5  # which of several writes to one place wins is not defined
    want.reshape(-1)[places] = value
    x[as_index(key, random)] = value if isinstance(value, float) else wrap(value)
    np.testing.assert_array_equal(x.array, want, f"{key}")
    assert x._version == 1


@given(full, st.data(), st.randoms(use_true_random=False))
def test_the_gradient_of_getitem_counts_how_often_an_element_was_taken(of, data, random):
    key = data.draw(keys(of))
    x = wrap(counting(of)).requires_grad_()
    y = x[as_index(key, random)]
    g = noise(y.shape)
    y.backward(wrap(g))
    places = numpy_getitem(np.arange(x.numel()).reshape(of), key)
    want = np.zeros(x.numel())
    np.add.at(want, places.reshape(-1), g.reshape(-1))
    np.testing.assert_allclose(x.grad.array, want.reshape(of), atol=1e-12)


@given(full, st.data(), st.randoms(use_true_random=False))
def test_the_gradient_of_setitem_goes_to_the_value_where_it_was_written(of, data, random):
    key = data.draw(keys(of))
    places = numpy_getitem(np.arange(math.prod(of)).reshape(of), key)
    if np.unique(places).size != places.size:
        return
    x, v = wrap(counting(of)).requires_grad_(), wrap(noise(places.shape)).requires_grad_()
    y = x * 1
    y[as_index(key, random)] = v
    g = noise(of)
    y.backward(wrap(g))
    kept = g.reshape(-1).copy()
    kept[places.reshape(-1)] = 0
    np.testing.assert_array_equal(x.grad.array, kept.reshape(of))
    np.testing.assert_array_equal(v.grad.array, g.reshape(-1)[places])


@given(full, st.data())
def test_indices_out_of_range_are_an_index_error(of, data):
    x = wrap(counting(of))
    dim = data.draw(st.integers(0, len(of) - 1))
    wrong = data.draw(st.sampled_from([of[dim], -of[dim] - 1, 99]))
    lead = (slice(None),) * dim
    for bad in (wrong, [wrong], torch.tensor([wrong])):
        with pytest.raises(IndexError):
            x[(*lead, bad)]
        with pytest.raises(IndexError):
            x[(*lead, bad)] = 0.0
    with pytest.raises(IndexError):
        x[(0,) * (len(of) + 1)]
    with pytest.raises(ValueError):
        x[::-1]
