"""The whole product on one page: tensors, autograd, views, modules, optimizers, data loading, printing, errors."""

from __future__ import annotations

import math

import pytest

import tapegrad as torch
from tapegrad import nn
from tapegrad.nn import functional as F
from tapegrad.utils.data import DataLoader, TensorDataset


def test_creation():
    assert torch.tensor([[1, 2], [3, 4]]).dtype == torch.int64
    assert torch.tensor([1.0]).dtype == torch.float32
    assert torch.zeros(2, 3).shape == (2, 3)
    assert torch.arange(1, 8, 2).tolist() == [1, 3, 5, 7]
    assert torch.linspace(0, 1, 5).tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert torch.eye(2).tolist() == [[1, 0], [0, 1]]
    assert torch.full((2,), 7).tolist() == [7, 7]


def test_random_streams_are_pytorchs():
    torch.manual_seed(0)
    assert torch.rand(2).tolist() == pytest.approx([0.49625659, 0.76822180], abs=1e-8)
    assert torch.randn(2).tolist() == pytest.approx([-0.29050925, -1.07037032], abs=1e-6)


def test_arithmetic_broadcasting_and_types():
    row, column = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([[10.0], [20.0]])
    assert (row + column).tolist() == [[11, 12, 13], [21, 22, 23]]
    assert (row @ row).item() == 14
    assert (torch.tensor([1, 2]) / 2).tolist() == [0.5, 1.0]
    assert (torch.tensor([1, 2]) + 0.5).dtype == torch.float32
    assert (row > 1).tolist() == [False, True, True]
    assert torch.cat([row, row]).reshape(2, 3).sum(dim=0).tolist() == [2, 4, 6]
    values, indices = torch.tensor([3.0, 9.0, 5.0]).max(dim=0)
    assert (values.item(), indices.item()) == (9, 1)


def test_gradients():
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    b = torch.tensor(0.5, requires_grad=True)
    y = (x.tanh() * x + b).sum()
    y.backward()
    for value, g in zip(x.tolist(), x.grad.tolist()):
        assert g == pytest.approx(math.tanh(value) + value * (1 - math.tanh(value) ** 2), abs=1e-6)
    assert b.grad.item() == 3  # broadcasting undone: the sum over three elements
    (x * x).sum().backward()
    assert b.grad.item() == 3
    with torch.no_grad():
        assert not (x * 2).requires_grad


def test_second_derivative():
    x = torch.tensor(2.0, requires_grad=True)
    (first,) = torch.autograd.grad(x**3, x, create_graph=True)
    (second,) = torch.autograd.grad(first, x)
    assert (first.item(), second.item()) == (12, 12)
    assert torch.autograd.gradcheck(lambda t: t.exp().log1p(), torch.rand(3, dtype=torch.float64, requires_grad=True))


def test_views_and_in_place():
    table = torch.zeros(2, 3)
    table[1].add_(5)  # a row is a view
    table.t()[0] = 1
    assert table.tolist() == [[1, 0, 0], [1, 5, 5]]
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * 2
    y[1] *= 10
    y.sum().backward()
    assert x.grad.tolist() == [2, 20, 2]


def test_training_a_network_learns_xor():
    torch.manual_seed(0)
    x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    loader = DataLoader(TensorDataset(x, torch.tensor([0, 1, 1, 0])), batch_size=2, shuffle=True)
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(100):
        for points, classes in loader:
            loss = F.cross_entropy(model(points), classes)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert model(x).argmax(dim=1).tolist() == [0, 1, 1, 0]
    assert F.cross_entropy(model(x), torch.tensor([0, 1, 1, 0])).item() < 0.02


def test_module():
    class Scale(nn.Module):
        def __init__(self):
            super().__init__()
            self.factor = nn.Parameter(torch.tensor([2.0]))
            self.register_buffer("calls", torch.tensor(0))

        def forward(self, x):
            self.calls += 1
            return x * self.factor

    first, second = Scale(), Scale()
    first(torch.ones(1)).backward()
    assert first.factor.grad.tolist() == [1]
    second.load_state_dict(first.state_dict())
    assert second.calls.item() == 1
    assert [name for name, _ in second.named_parameters()] == ["factor"]


def test_printing():
    assert repr(torch.tensor([1.0, 2.5])) == "tensor([1.0000, 2.5000])"
    assert repr(torch.arange(4).reshape(2, 2)) == "tensor([[0, 1],\n        [2, 3]])"
    assert repr(torch.ones(1, requires_grad=True) * 2) == "tensor([2.], grad_fn=<MulBackward0>)"
    assert repr(nn.Linear(2, 3)) == "Linear(in_features=2, out_features=3, bias=True)"
    assert repr(torch.zeros(2, 3).shape) == "torch.Size([2, 3])"


def test_errors_say_what_where_got_expected_fix():
    with pytest.raises(RuntimeError, match=r"(?s)add.*got: .*\(2,\).*\(3,\)"):
        torch.ones(2) + torch.ones(3)
    with pytest.raises(RuntimeError, match=r"(?s)backward: .*does not require grad.*fix: .*requires_grad=True"):
        torch.ones(1).backward()
    x = torch.ones(2, requires_grad=True)
    y = x.exp()
    y += 1  # `exp` saved its result
    expected = (
        r"(?s)in-place.*ExpBackward0, recorded at .*test_tiny.py:\d+.*got: .*version 1.*expected: version 0.*fix: "
    )
    with pytest.raises(RuntimeError, match=expected):
        y.sum().backward()
    with pytest.raises(IndexError, match="dim"):
        torch.ones(2).sum(dim=1)
