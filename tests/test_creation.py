"""Making tensors: memory that is shared or not, dtypes and their one NumPy object each, conversions, errors."""

from __future__ import annotations

import array
import copy
import pickle

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tapegrad as torch
from tapegrad import dtypes

# ---- from data ---------------------------------------------------------------------------------------------------


@given(
    hnp.arrays(st.sampled_from([d.numpy for d in dtypes.ALL if d is not torch.bfloat16]), hnp.array_shapes(max_dims=3))
)
def test_array_round_trip(data):
    for t in (torch.tensor(data), torch.from_numpy(data), torch.as_tensor(data)):
        assert np.array_equal(t.numpy(), data, equal_nan=data.dtype.kind in "fc")
        assert t.array.dtype is t.dtype.numpy
    assert not np.shares_memory(torch.tensor(data).array, data)
    assert np.shares_memory(torch.from_numpy(data).array, data)


@given(hnp.arrays(np.float64, hnp.array_shapes(max_dims=3)))
def test_nested_lists(data):
    t = torch.tensor(data.tolist(), dtype=torch.float64)
    assert t.shape == data.shape
    assert np.array_equal(t.array, data, equal_nan=True)


def test_dtypes_are_the_canonical_objects():
    other = np.dtype(np.longlong) if np.dtype(np.longlong) is not dtypes.int64.numpy else np.dtype(np.int_)
    data = np.ones(3, other)
    assert torch.from_numpy(data).array.dtype is dtypes.int64.numpy
    assert torch.tensor(data).array.dtype is dtypes.int64.numpy
    assert torch.tensor(data.astype(">i8")).array.dtype is dtypes.int64.numpy
    assert torch.from_numpy(np.ones(2, ml_dtypes.bfloat16)).dtype is torch.bfloat16


def test_tensor_takes_what_from_numpy_cannot_share():
    data = np.arange(4.0)[::-1]
    assert torch.tensor(data).tolist() == [3, 2, 1, 0]
    with pytest.raises(ValueError, match="negative strides"):
        torch.from_numpy(data)
    with pytest.raises(ValueError, match="foreign order"):
        torch.from_numpy(np.ones(2, ">f4"))


def test_read_only_memory_warns():
    with pytest.warns(UserWarning, match="read-only"):
        torch.from_numpy(np.broadcast_to(np.ones(1), (3,)))
    with pytest.warns(UserWarning, match="read-only"):
        torch.frombuffer(b"abcd", dtype=torch.uint8)


def test_buffers():
    numbers = array.array("f", [1.0, 2.0, 3.0])
    t = torch.frombuffer(numbers, dtype=torch.float32)
    numbers[0] = 7
    assert t.tolist() == [7, 2, 3]
    assert torch.asarray(memoryview(bytearray(b"ab")), dtype=torch.uint8).tolist() == [97, 98]


def test_dlpack_shares_memory():
    t = torch.arange(4)
    view = np.from_dlpack(t)
    view = view if view.flags.writeable else t.numpy()
    view[0] = 9
    assert t[0] == 9
    back = torch.from_dlpack(t.numpy())
    back[1] = 8
    assert t.tolist() == [9, 8, 2, 3]
    with pytest.raises(BufferError, match="requires grad"):
        torch.ones(1, requires_grad=True).__dlpack__()


def test_as_tensor_keeps_identity_and_history():
    x = torch.ones(2, requires_grad=True)
    assert torch.as_tensor(x) is x
    torch.as_tensor(x, dtype=torch.float64).sum().backward()
    assert x.grad.tolist() == [1, 1]


def test_errors_say_where_the_shape_breaks():
    with pytest.raises(ValueError, match=r"dimension 1\n  got: lengths \[2, 3\]"):
        torch.tensor([[1, 2], [3, 4, 5]])
    with pytest.raises(ValueError, match=r"torch\.stack"):
        torch.tensor([torch.ones(2)])


def test_default_dtype():
    torch.set_default_dtype(torch.float64)
    try:
        assert {x.dtype for x in (torch.tensor(1.0), torch.zeros(1), torch.arange(1.0), torch.rand(1))} == {
            torch.float64
        }
        assert torch.tensor(1j).dtype is torch.complex128
        assert torch.tensor(np.float32(1)).dtype is torch.float32
    finally:
        torch.set_default_dtype(torch.float32)


# ---- constants ---------------------------------------------------------------------------------------------------


@given(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0))
def test_like_follows_the_memory(shape):
    x = torch.empty(shape)
    axes = tuple(reversed(range(len(shape))))
    for make in (torch.zeros_like, torch.ones_like, torch.empty_like, torch.rand_like):
        assert make(x).shape == shape
        assert make(torch.from_numpy(x.array.transpose(axes))).shape == tuple(reversed(shape))


def test_like_functions_accept_arrays():
    for make in (torch.zeros_like, torch.ones_like, torch.empty_like):
        assert type(make(np.ones(2))) is np.ndarray


def test_channels_last():
    x = torch.zeros_like(torch.ones(2, 3, 4, 5), memory_format=torch.channels_last)
    assert x.stride() == (60, 1, 15, 3)
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert torch.ones(2, 3, 4, 5).to(memory_format=torch.channels_last).stride() == x.stride()


def test_other_devices_are_absent():
    for make in (torch.zeros, torch.ones, torch.empty, torch.rand, torch.randn):
        with pytest.raises(RuntimeError, match="CPU only"):
            make(1, device="cuda")
    with pytest.raises(RuntimeError, match="CPU only"):
        torch.ones(1).cuda()


# ---- ranges ------------------------------------------------------------------------------------------------------


@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(1, 7))
def test_integer_arange_is_range(start, end, step):
    if end >= start:
        assert torch.arange(start, end, step).tolist() == list(range(start, end, step))
    else:
        assert torch.arange(start, end, -step).tolist() == list(range(start, end, -step))


@given(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3), st.integers(2, 200))
def test_linspace_has_exact_ends(start, end, steps):
    x = torch.linspace(start, end, steps, dtype=torch.float64)
    assert x[0] == start and x[-1] == end and len(x) == steps


# ---- conversion and copies ----------------------------------------------------------------------------------------


def test_to_returns_itself_if_nothing_changes():
    x = torch.ones(2)
    assert all(y is x for y in (x.to(torch.float32), x.float(), x.to("cpu"), x.to(x), x.cpu(), x.type_as(x), x.to()))
    assert x.to(copy=True) is not x


def test_conversion_is_differentiable():
    x = torch.ones(2, requires_grad=True)
    (x.double() * 3).half().float().sum().backward()
    assert x.grad.tolist() == [3, 3] and x.grad.dtype is torch.float32


def test_copy_into_a_view_is_differentiable():
    source, base = torch.tensor([1.0, 2.0], requires_grad=True), torch.zeros(2, 2)
    base[0].copy_(source)
    (base * torch.tensor([[1.0, 2.0], [3.0, 4.0]])).sum().backward()
    assert source.grad.tolist() == [1, 2]
    assert base.grad_fn.name() == "CopySlices"


def test_copy_handles_overlap():
    x = torch.arange(6)
    x[1:].copy_(x[:-1])
    assert x.tolist() == [0, 0, 1, 2, 3, 4]


def test_overwritten_values_have_no_gradient():
    for change in (lambda y: y.fill_(2), lambda y: y.zero_(), lambda y: y.copy_(torch.ones(3)), lambda y: y.uniform_()):
        x = torch.ones(3, requires_grad=True)
        y = x * 2
        change(y)
        y.sum().backward()
        assert x.grad.tolist() == [0, 0, 0]


def test_integers_take_no_history():
    x = torch.zeros(2, dtype=torch.int64)
    x.copy_(torch.ones(2, requires_grad=True))
    assert not x.requires_grad and x.tolist() == [1, 1]


def test_versions_are_counted():
    x = torch.zeros(2)
    with torch.no_grad():
        x.fill_(1)
        x.zero_()
        x.copy_(torch.ones(2))
    assert x._version == 3


# ---- generators ---------------------------------------------------------------------------------------------------


def test_generators_are_copied_with_their_state():
    gen = torch.Generator().manual_seed(3)
    torch.randn(3, generator=gen)
    for twin in (copy.deepcopy(gen), pickle.loads(pickle.dumps(gen)), gen.clone_state()):
        assert torch.equal(torch.randn(5, generator=twin), torch.randn(5, generator=gen.clone_state()))


def test_generators_are_separate():
    torch.manual_seed(1)
    before = torch.rand(3)
    torch.manual_seed(1)
    torch.rand(7, generator=torch.Generator())
    assert torch.equal(torch.rand(3), before)
    with pytest.raises(TypeError, match=r"torch\.Generator"):
        torch.rand(1, generator=5)
