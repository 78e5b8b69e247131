"""Results beside their numbers: named tuples, `out=`, deep copies, and functions that are methods."""

from __future__ import annotations

import copy
import io
import pickle

import pytest

import tapegrad as torch
from tapegrad.core.rules import is_default


def saved(value: object, **options) -> object:
    file = io.BytesIO()
    with pytest.warns(UserWarning, match="torch.return_types.max"):
        torch.save(value, file)
    file.seek(0)
    return torch.load(file, **options)


def test_named_results_are_copied_and_pickled():
    found = torch.max(torch.eye(3), 0)
    assert type(found) is torch.return_types.max
    for same in (copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        assert type(same) is type(found) and repr(same) == repr(found)
    assert torch.return_types.sort is type(torch.sort(torch.ones(2)))
    assert isinstance(torch.linalg.slogdet(torch.eye(2)), tuple)
    with pytest.raises(AttributeError, match="add"):
        _ = torch.return_types.add


def test_named_results_are_saved_and_loaded_where_they_are_declared_safe():
    found = torch.max(torch.eye(3), 0)
    with pytest.raises(pickle.UnpicklingError, match=r"torch\.return_types\.max"):
        saved(found)
    with torch.serialization.safe_globals([torch.return_types.max]):
        file = io.BytesIO()
        torch.save([found, found], file)
        file.seek(0)
        same, again = torch.load(file)
    assert same is again and repr(same) == repr(found)


def test_deep_copies_of_views_share_memory():
    x = torch.arange(24.0).reshape(4, 6)
    views = [x.t(), x[1:, 2:], x[1].view(torch.int32), x.as_strided((3, 2), (2, 1), 3), x.expand(2, 4, 6)]
    layouts = [(t.shape, t.stride(), t.storage_offset()) for t in views]
    turned, corner, *_ = copies = copy.deepcopy(views)
    assert [(t.shape, t.stride(), t.storage_offset()) for t in copies] == layouts
    assert all(torch.equal(a, b) for a, b in zip(views, copies))
    corner[0, 0] = -1
    assert turned[2, 1] == -1 and x[1, 2] == 8
    images = torch.empty(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    assert copy.deepcopy(images[1]).stride() == images[1].stride()
    assert copy.deepcopy(torch.ones(3, dtype=torch.bfloat16)[1:]).tolist() == [1, 1]


def test_out_whose_elements_share_memory_is_refused():
    out = torch.empty(1).expand(3)
    for call in (
        lambda: torch.add(torch.ones(3), 1, out=out), lambda: torch.sum(torch.ones(2, 3), 0, out=out),
        lambda: torch.sort(torch.ones(3), out=(out, torch.empty(3, dtype=torch.int64))),
        lambda: torch.arange(3, out=out), lambda: torch.gather(torch.ones(3), 0, torch.arange(3), out=out),
        lambda: torch.mm(torch.eye(3), torch.eye(3), out=torch.empty(3, 1).expand(3, 3)),
    ):  # fmt: skip
        with pytest.raises(RuntimeError, match="share"):
            call()
    assert torch.ones(3, out=out).tolist() == [1, 1, 1]  # one number everywhere is no contradiction
    assert torch.add(torch.ones(2), 1, out=torch.empty(1).expand(3)).tolist() == [2, 2]  # out gets memory of its own


def test_methods_as_functions():
    x = torch.tensor([-1.0, 4.0])
    assert torch.abs_(x) is x and torch.sqrt_(x).tolist() == [1, 2] and torch.clamp_(x, max=1.5).tolist() == [1, 1.5]
    assert torch.abs_ is torch.abs_ and {"abs_", "vander", "GradScaler"} <= {*dir(torch)}
    assert torch.tensor([1.0, 2.0]).less_equal_(1).tolist() == [1, 0]
    assert torch.is_nonzero(torch.ones(1)) and torch.get_device(x) == -1 and torch.is_same_size(x, x + 1)
    with pytest.raises(TypeError, match="tensor"):
        torch.abs_(1)
    with pytest.raises(AttributeError):
        _ = torch.spin_
    with pytest.raises(RuntimeError, match="CPU"):
        torch.set_default_device("cuda")
    torch.set_default_device("cpu")
    assert torch.get_default_device() == torch.device("cpu")
    with pytest.warns(UserWarning, match="no such precision"):
        torch.set_float32_matmul_precision("low")
    assert torch.vander(torch.tensor([2.0, 3.0]), 3, increasing=True).tolist() == [[1, 2, 4], [1, 3, 9]]
    for x, count in ((torch.ones(2, 2), None), (torch.ones(2), -1)):
        with pytest.raises(RuntimeError, match="vander"):
            torch.vander(x, count)


def test_powers_of_a_number_have_a_node_of_their_own():
    x = torch.ones(2, requires_grad=True)
    for y, name in ((2**x, "PowBackward2"), (torch.pow(2.5, x), "PowBackward2"), (x**x, "PowBackward1")):
        assert y.grad_fn.name() == name


def test_an_argument_is_its_default():
    zero = 0.0
    assert is_default(None, None) and is_default(1.5, 1.5) and is_default("mean", "mean") and is_default(zero, 0.0)
    for value, default in ((-0.0, 0.0), (1, 1.0), (True, 1), (1.0, True), (float("nan"), 1.0), (None, 0)):
        assert not is_default(value, default)
    x = torch.tensor([1.0])
    assert torch.nn.functional.threshold(x, 2.0, -0.0).signbit().item() and not torch.threshold(x, 2.0, 0.0).signbit()
