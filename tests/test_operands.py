"""What operations take and refuse: numbers, tensors that share memory with themselves, in-place results that fit."""

from __future__ import annotations

import numpy as np
import pytest

import tapegrad as torch


@pytest.mark.parametrize("name, expected", [("add", 5.0), ("sub", -1.0), ("mul", 6.0), ("div", 2 / 3)])
def test_the_basic_operations_take_a_number_first(name, expected):
    assert getattr(torch, name)(2.0, torch.tensor([3.0])).tolist() == pytest.approx([expected])


@pytest.mark.parametrize("name", ["pow", "remainder", "xlogy", "bitwise_and", "bitwise_left_shift"])
def test_one_operand_must_be_a_tensor(name):
    with pytest.raises(TypeError, match=f"{name}: "):
        getattr(torch, name)(2, 3)
    assert isinstance(getattr(torch, name)(2, torch.tensor(3)), torch.Tensor)


def test_nan_is_not_above_zero():
    assert torch.heaviside(torch.tensor([float("nan"), 1.0]), torch.tensor([0.5, 0.5])).tolist() == [0.0, 1.0]


def test_nextafter_of_equal_numbers_has_no_derivative():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    torch.nextafter(x, torch.tensor([1.0, 3.0])).sum().backward()
    assert x.grad.tolist() == [0.0, 1.0]


# ---- in place --------------------------------------------------------------------------------------------------------


def test_an_array_operation_in_place_refuses_a_result_of_a_higher_kind():
    t = torch.tensor([1, 2])
    with pytest.raises(RuntimeError, match="does not fit in place"):
        t.cumsum_(0, dtype=torch.float32)
    assert t.tolist() == [1, 2]


def test_a_number_that_is_at_several_places_is_changed_as_many_times():
    memory = torch.arange(6.0)
    windows = memory.as_strided((4, 3), (1, 1))  # memory[i + j]: 1, 2, 3, 3, 2, 1 places
    windows.mul_(2)
    assert memory.tolist() == [0.0, 4.0, 16.0, 24.0, 16.0, 10.0]


@pytest.mark.parametrize("make", [lambda t: t.expand(3, 2), lambda t: t.expand(3, 2).detach()])
def test_elements_of_an_expanded_tensor_cannot_be_changed_one_by_one(make):
    t = torch.tensor([1.0, 2.0])
    with pytest.raises(RuntimeError, match="share one place in memory"):
        make(t).add_(1)
    assert t.tolist() == [1.0, 2.0]


# ---- complex numbers -------------------------------------------------------------------------------------------------

UNARY = "exp log sin cos tanh sqrt reciprocal square sigmoid abs sgn rsqrt log1p neg".split()


def _numeric(f, z: np.ndarray, h: float = 1e-6) -> np.ndarray:
    """The gradient of a real function of complex numbers: its slopes along the two axes."""
    found = np.zeros_like(z)
    for i in range(z.size):
        for step in (1.0, 1j):
            e = np.zeros_like(z)
            e[i] = step * h
            found[i] += step * (f(z + e) - f(z - e)) / (2 * h)
    return found


@pytest.mark.parametrize("name", UNARY)
def test_gradients_of_complex_functions_point_uphill(name):
    z = np.array([0.3 + 0.7j, -1.1 + 0.4j, 0.9 - 1.3j])

    def loss(t: torch.Tensor) -> torch.Tensor:
        out = getattr(t, name)()
        return out.sum() if not out.is_complex() else (torch.view_as_real(out) * torch.tensor([1.0, 0.5])).sum()

    t = torch.tensor(z, requires_grad=True)
    loss(t).backward()
    assert np.allclose(t.grad.numpy(), _numeric(lambda a: loss(torch.tensor(a)).item(), z), atol=1e-7)


@pytest.mark.parametrize("f", [torch.mul, torch.div, torch.pow, torch.sub])
def test_gradients_of_two_complex_operands(f):
    a, b = np.array([0.3 + 0.7j, -1.1 + 0.4j]), np.array([1.2 - 0.2j, 0.8 + 0.9j])

    def loss(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (torch.view_as_real(f(x, y)) * torch.tensor([1.0, 0.5])).sum()

    x, y = torch.tensor(a, requires_grad=True), torch.tensor(b, requires_grad=True)
    loss(x, y).backward()
    assert np.allclose(x.grad.numpy(), _numeric(lambda v: loss(torch.tensor(v), torch.tensor(b)).item(), a), atol=1e-7)
    assert np.allclose(y.grad.numpy(), _numeric(lambda v: loss(torch.tensor(a), torch.tensor(v)).item(), b), atol=1e-7)


def test_the_gradient_of_a_real_operand_of_a_complex_result_is_real():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    (x * torch.tensor([2j, 1 + 1j])).abs().sum().backward()
    assert x.grad.dtype is torch.float32
    assert x.grad.tolist() == pytest.approx([2.0, 2**0.5])


def test_integers_take_negative_powers_from_tensors_only():
    assert torch.pow(2, torch.tensor([-1, 0, 2])).tolist() == [0, 1, 4]
    base, exponent = torch.tensor([-1, -1, 1, 2, 3]), torch.tensor([-1, -2, -2, -3, 2])
    assert (base**exponent).tolist() == [-1, 1, 1, 0, 9]
    with pytest.raises(RuntimeError, match="no negative integer powers"):
        base**-1


# ---- many elements: kernels that work in blocks, or in wider numbers ------------------------------------------------


@pytest.mark.parametrize("shape", [(200_000,), (450, 451), (3, 70_001)])
def test_a_formula_gives_the_same_in_blocks(shape):
    g = torch.Generator().manual_seed(0)
    x, y, w = (torch.randn(shape, generator=g) for _ in range(3))
    whole = torch.lerp(x, y, w)
    n = x.numel() // 2 * 2
    pieces = [torch.lerp(*(t.reshape(-1)[i : i + 1000] for t in (x, y, w))) for i in range(0, n, 1000)]
    assert torch.equal(whole.reshape(-1)[:n], torch.cat(pieces)[:n])
    out = torch.empty(shape)
    assert torch.lerp(x, y, w, out=out) is out and torch.equal(out, whole)
    turned = torch.lerp(x.t(), y.t(), w.t()) if len(shape) == 2 else whole
    assert torch.equal(turned.t() if len(shape) == 2 else turned, whole)
    assert torch.equal(
        torch.lerp(x, y[:1] if len(shape) == 2 else y, 0.25), x + 0.25 * (y[:1] - x if len(shape) == 2 else y - x)
    )


@pytest.mark.parametrize("name", ["fmod", "remainder", "floor_divide"])
def test_many_float32_numbers_divide_as_few_do(name):
    rng = np.random.default_rng(0)
    x = (rng.normal(size=6000) * 10 ** rng.uniform(-3, 9, 6000)).astype(np.float32)
    y = (rng.normal(size=6000) * 10 ** rng.uniform(-2, 2, 6000)).astype(np.float32)
    x[::3] = np.round(x[::3] / y[::3]) * y[::3]  # quotients that are whole, or nearly
    f = getattr(torch, name)
    many = f(torch.from_numpy(x), torch.from_numpy(y)).numpy()
    few = np.concatenate(
        [f(torch.from_numpy(x[i : i + 100]), torch.from_numpy(y[i : i + 100])).numpy() for i in range(0, 6000, 100)]
    )
    assert np.array_equal(many.view(np.int32), few.view(np.int32))


def test_a_remainder_of_zero_has_the_sign_of_the_dividend():
    found = torch.remainder(torch.tensor([-4.0, 4.0, -4.0]), torch.tensor([2.0, -2.0, 3.0]))
    assert str(found) == "tensor([-0., 0., 2.])"


def test_distances_of_many_rows():
    x, y = torch.randn(300, 7), torch.randn(200, 7)
    assert torch.allclose(torch.cdist(x, y, p=1), (x[:, None] - y).abs().sum(-1), atol=1e-5)
