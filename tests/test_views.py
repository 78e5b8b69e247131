"""Views, in-place changes and their derivatives against a slow reference that knows no views.

The reference keeps one number and one row of the Jacobian for every cell of memory. A view is an array of cell
numbers, made by NumPy from the array of all cells; an operation in place changes the cells it names. What tapegrad
computes through views, versions and recorded windows must be the same.
"""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tapegrad as torch


class Memory:
    """Cells with their values and their derivatives with respect to the leaf they were filled from."""

    def __init__(self, values: np.ndarray):
        self.values = values.reshape(-1).copy()
        self.slopes = np.eye(values.size)
        self.all = np.arange(values.size).reshape(values.shape)

    def write(self, cells: np.ndarray, values: np.ndarray, slopes: np.ndarray) -> None:
        self.values[cells] = values
        self.slopes[cells] = slopes


VIEWS = [
    (lambda t, a, b: t[a % len(t)], lambda c, a, b: c[a % len(c)]),
    (lambda t, a, b: t[a : b + 2], lambda c, a, b: c[a : b + 2]),
    (lambda t, a, b: t[..., a % t.shape[-1]], lambda c, a, b: c[..., a % c.shape[-1]]),
    (lambda t, a, b: t[:, None, ::2], lambda c, a, b: c[:, None, ::2]),
    (lambda t, a, b: t.transpose(0, -1), lambda c, a, b: c.swapaxes(0, -1)),
    (lambda t, a, b: t.reshape(-1), lambda c, a, b: c.reshape(-1)),
    (lambda t, a, b: t.unsqueeze(a % 2), lambda c, a, b: np.expand_dims(c, a % 2)),
    (lambda t, a, b: t.squeeze(), lambda c, a, b: c.squeeze()),
    (lambda t, a, b: t.diagonal(a - 1), lambda c, a, b: c.diagonal(a - 1)),
    (lambda t, a, b: t.movedim(0, -1), lambda c, a, b: np.moveaxis(c, 0, -1)),
    (lambda t, a, b: t.permute(*range(t.ndim)[::-1]), lambda c, a, b: c.transpose()),
    (lambda t, a, b: t.narrow(0, a % len(t), 1), lambda c, a, b: c[a % len(c) : a % len(c) + 1]),
    (lambda t, a, b: t.flatten(), lambda c, a, b: c.reshape(-1)),
    (lambda t, a, b: t.unflatten(0, (1, -1)), lambda c, a, b: c[None]),
]

step = st.tuples(
    st.sampled_from(["view", "view", "scale", "add", "multiply", "fill", "set", "pick", "mask"]),
    *[st.integers(0, 13)] * 3,
)
shapes = st.sampled_from([(4,), (2, 3), (3, 3), (2, 1, 3), (2, 3, 2)])


def run(pool, cells, memory, instruction):
    """One instruction on tensors and on the reference."""
    kind, which, a, b = instruction
    i = a % len(pool)
    t, c = pool[i], cells[i]
    values, slopes = memory.values[c], memory.slopes[c]
    if kind == "view":
        on_tensor, on_cells = VIEWS[which]
        try:
            found = np.asarray(on_cells(c, a % 3, b % 3))
            made = on_tensor(t, a % 3, b % 3)
        except (IndexError, ValueError, RuntimeError, TypeError, ZeroDivisionError):
            return  # this view does not fit this shape
        if np.shares_memory(made.array, t.array):
            pool.append(made)
            cells.append(found)
    elif kind == "scale":
        t.mul_(1.25)
        memory.write(c, values * 1.25, slopes * 1.25)
    elif kind == "fill":
        t.fill_(0.5)
        memory.write(c, np.full(c.shape, 0.5), np.zeros(slopes.shape))
    elif kind == "set" and c.ndim:
        row = c[b % len(c)] if len(c) else c[:0]
        if row.size:
            t[b % len(c)] = t[0].clone() * 2
            memory.write(row, values[0] * 2, slopes[0] * 2)
    elif kind == "pick" and c.ndim and len(c):
        rows = [b % len(c), 0]
        t[torch.tensor(rows)] = 0.75
        memory.write(c[rows], np.full(c[rows].shape, 0.75), np.zeros((*c[rows].shape, slopes.shape[-1])))
    elif kind == "mask":
        t.masked_fill_(t > 1, 1.5)
        memory.write(c[values > 1], np.full((values > 1).sum(), 1.5), np.zeros(((values > 1).sum(), slopes.shape[-1])))
    elif kind in ("add", "multiply"):
        j = next((j for j in range(b % len(pool), len(pool)) if cells[j].shape == c.shape), i)
        other, theirs, rows = pool[j].clone(), memory.values[cells[j]], memory.slopes[cells[j]]
        if kind == "add":
            t.add_(other)
            memory.write(c, values + theirs, slopes + rows)
        else:
            t.mul_(other)
            memory.write(c, values * theirs, slopes * theirs[..., None] + rows * values[..., None])


@settings(max_examples=200)
@given(shapes, st.lists(step, min_size=1, max_size=14))
def test_programs_against_memory_cells(shape, program):
    data = np.random.default_rng(1).standard_normal(shape)
    leaf = torch.from_numpy(data.copy()).requires_grad_()
    pool, memory = [leaf * 1], Memory(data)
    cells = [memory.all]
    for instruction in program:
        run(pool, cells, memory, instruction)
        for t, c in zip(pool, cells):
            np.testing.assert_allclose(t.array, memory.values[c], rtol=1e-12)
    weights = [np.random.default_rng(i).standard_normal(c.shape) for i, c in enumerate(cells)]
    total, slope = leaf.sum() * 0, np.zeros(data.size)
    for t, c, w in zip(pool, cells, weights):
        total = total + (t * torch.from_numpy(w)).sum()
        slope += (w[..., None] * memory.slopes[c]).reshape(-1, data.size).sum(0)
    total.backward()
    np.testing.assert_allclose(leaf.grad.array.reshape(-1), slope, rtol=1e-9, atol=1e-9)


# ---- what a view is --------------------------------------------------------------------------------------------------


def test_a_view_and_its_base_share_memory_and_version():
    base = torch.zeros(2, 3)
    view = base[1].view(3, 1)
    view.fill_(4)
    assert base.tolist() == [[0, 0, 0], [4, 4, 4]]
    assert base._version == view._version == 1
    assert view._base is base
    base.add_(1)
    assert view.tolist() == [[5], [5], [5]]


def test_shapes_strides_and_offsets():
    x = torch.arange(24).view(2, 3, 4)
    assert x[1, 1:].storage_offset() == 16
    assert x.permute(2, 0, 1).stride() == (1, 12, 4)
    assert x[:, 1].stride() == (12, 1)
    assert x.expand(5, 2, 3, 4).stride() == (0, 12, 4, 1)
    assert x.unfold(2, 2, 1).stride() == (12, 4, 1, 1)
    assert x.diagonal(0, 1, 2).stride() == (12, 5)
    assert x.as_strided((2, 2), (1, 2), 3).tolist() == [[3, 5], [4, 6]]
    assert x.unsqueeze(1).stride() == (12, 12, 4, 1)


def test_reshape_copies_only_where_it_must():
    x = torch.arange(6).view(2, 3)
    assert np.shares_memory(x.reshape(3, 2).array, x.array)
    assert np.shares_memory(x[:, :1].reshape(2).array, x.array)
    assert not np.shares_memory(x.t().reshape(6).array, x.array)
    with pytest.raises(RuntimeError, match="strides"):
        x.t().view(6)


def test_expanded_memory_can_be_written_and_read():
    x = torch.zeros(3, 1)
    wide = x.expand(3, 4)
    x.fill_(2)
    assert wide.tolist() == [[2] * 4] * 3
    assert torch.zeros(2, 1, dtype=torch.bfloat16)[:, 0].expand(3, 2).shape == (3, 2)
    assert torch.zeros(4, 4)[::2, :1].expand(2, 5).stride() == (8, 0)
    assert torch.zeros(0, 1).expand(0, 3).shape == (0, 3)


def test_a_base_that_is_not_row_major():
    leaf = torch.arange(6.0).view(2, 3).requires_grad_()
    base = leaf.t() * 2  # column-major
    base.t().view(-1)[1:3].mul_(3)
    (g,) = torch.autograd.grad((base * base).sum(), leaf, create_graph=True)
    assert g.tolist() == [[0, 72, 144], [24, 32, 40]]
    assert torch.autograd.grad(g.sum(), leaf)[0].tolist() == [[8, 72, 72], [8, 8, 8]]


def test_shapes_changed_in_place():
    x = torch.arange(6.0, requires_grad=True)
    y = (x * 1).unsqueeze_(0).squeeze_(0)
    y = y.view(2, 3).clone().t_().transpose_(0, 1)
    assert y.shape == (2, 3) and y._version == 2
    (y * y).sum().backward()
    assert x.grad.tolist() == [0, 2, 4, 6, 8, 10]
    with pytest.raises(RuntimeError, match="leaf"):
        x.unsqueeze_(0)


def test_resize_and_set():
    x = torch.arange(6)
    view = x[:4]
    assert x.resize_(2, 2).tolist() == [[0, 1], [2, 3]]
    x[0, 0] = 9
    assert view.tolist() == [9, 1, 2, 3]
    assert x.resize_(3, 2).tolist()[:2] == [[9, 1], [2, 3]]
    y = torch.zeros(2)
    x.set_(torch.tensor([1, 2]))
    assert x.tolist() == [1, 2]
    with pytest.raises(RuntimeError):
        y.set_(x)
    with pytest.raises(RuntimeError):
        torch.zeros(2, requires_grad=True).resize_(3)


def test_one_of_several_outputs_cannot_be_changed():
    x = torch.ones(4, requires_grad=True) * 1
    part = x.split(2)[0]
    with pytest.raises(RuntimeError, match="several outputs"):
        part.mul_(2)
    assert [p.grad_fn.name() for p in x.chunk(2)] == ["SplitBackward0"] * 2


def test_parts_are_put_together_again():
    x = torch.arange(12.0).view(3, 4).requires_grad_()
    out = sum((i + 1) * (p * p).sum() for i, p in enumerate(x.unbind(1)[1:]))
    out.backward()
    want = 2 * x.detach() * torch.tensor([0.0, 1, 2, 3])
    assert x.grad.tolist() == want.tolist()


def test_views_hold_no_cycles():
    gc.disable()
    try:
        x = torch.ones(3, 3, requires_grad=True)
        y = x * 2
        ref = weakref.ref(y)
        v = y[1].view(3, 1)
        v.mul_(3)
        (v.sum() + y[0][1]).backward()
        del y, v
        assert ref() is None
    finally:
        gc.enable()


# ---- setting ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "index",
    [
        0,
        slice(1, 3),
        (slice(None), 1),
        Ellipsis,
        (0, 1),
        [0, 2],
        (slice(None), [1, 1, 0]),
        ([0, 1], [1, 2]),
        None,
        (1, None, slice(0, 2)),
    ],
    ids=str,
)
def test_setting_broadcasts_and_converts(index):
    x, want = torch.zeros(3, 4), np.zeros((3, 4), np.float32)
    x[index], want[index] = torch.tensor([[2]]), 2
    assert x.tolist() == want.tolist()
    value = np.random.default_rng(0).standard_normal(want[index].shape)
    x[index], want[index] = torch.from_numpy(value), value
    np.testing.assert_array_equal(x.array, want)


def test_setting_tells_what_does_not_fit():
    x = torch.zeros(3, 4)
    with pytest.raises(RuntimeError, match=r"value of shape \(3,\)"):
        x[0] = torch.zeros(3)
    with pytest.raises(IndexError, match="out of bounds"):
        x[3] = 1
    with pytest.raises(TypeError):
        x[0] = "a"
    with pytest.raises(RuntimeError, match="leaf"):
        torch.zeros(2, requires_grad=True)[0] = 1.0
    with torch.no_grad():
        leaf = torch.zeros(2, requires_grad=True)
        leaf[0] = 1.0
    assert leaf.tolist() == [1, 0]


def test_errors_of_indices_say_the_shape():
    x = torch.zeros(3, 4)
    for index in (3, (0, 4), (0, 0, 0), torch.tensor([5]), (slice(None), [7])):
        with pytest.raises(IndexError, match=r"\(3, 4\)"):
            x[index]


# ---- kernels ---------------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(
    st.integers(1, 200),
    st.integers(1, 40),
    st.integers(0, 400),
    st.sampled_from(["float32", "float64", "int64", "bool", "bfloat16", "complex64"]),
)
def test_rows_that_share_a_target_are_added(height, width, n, dtype):
    rng = np.random.default_rng(0)
    index = rng.integers(0, height, n)
    rows = torch.from_numpy(rng.integers(0, 2, (n, width))).to(getattr(torch, dtype))
    found = torch.zeros(height, width, dtype=getattr(torch, dtype)).index_add(0, torch.from_numpy(index), rows)
    want = np.zeros((height, width))
    np.add.at(want, index, rows.to(torch.complex64 if dtype == "complex64" else torch.float64).array.real)
    want = want > 0 if dtype == "bool" else want
    np.testing.assert_array_equal(found.to(torch.complex64 if dtype == "complex64" else torch.float64).array, want)


def test_a_number_that_is_not_finite_spoils_its_own_row_only():
    rows = torch.ones(300, 16)
    rows[0, 0] = float("inf")
    found = torch.zeros(4, 16).index_add(0, torch.arange(300) % 4, rows)
    assert found[0, 0].item() == float("inf")
    assert found.array.reshape(-1)[1:].tolist() == [75.0] * 63
