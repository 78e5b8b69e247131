"""autocast and GradScaler: types, nesting, caching, threads, and the life of the factor."""

from __future__ import annotations

import pickle
import threading

import numpy as np
import pytest

import tapegrad as torch
from tapegrad.ops import casting

F = torch.nn.functional


def matrices():
    return torch.ones(2, 2), torch.ones(2, 2, requires_grad=True)


def test_products_in_bfloat16_and_losses_in_float32():
    x, w = matrices()
    with torch.autocast("cpu"):
        y = F.linear(x, w)
        loss = F.mse_loss(y, torch.zeros(2, 2))
        assert (x + y).dtype == torch.float32
        assert torch.exp(y).dtype == torch.bfloat16
    assert y.dtype == torch.bfloat16
    assert loss.dtype == torch.float32
    loss.backward()
    assert w.grad.dtype == torch.float32
    assert w.grad.tolist() == [[2.0, 2.0], [2.0, 2.0]]
    assert F.linear(x, w).dtype == torch.float32
    assert casting.on == []


def test_blocks_nest():
    x, _ = matrices()
    with torch.autocast("cpu"):
        with torch.autocast("cpu", enabled=False):
            assert (x @ x).dtype == torch.float32
            assert not torch.is_autocast_enabled("cpu")
            with torch.autocast("cpu", dtype=torch.float16):
                assert (x @ x).dtype == torch.float16
                assert torch.get_autocast_dtype("cpu") == torch.float16
        with torch.no_grad():
            assert torch.mm(x, x).dtype == torch.bfloat16
        assert torch.is_autocast_enabled("cpu")
    assert not torch.is_autocast_enabled("cpu")


def test_an_error_leaves_the_block():
    with pytest.raises(ZeroDivisionError), torch.autocast("cpu"):
        raise ZeroDivisionError
    assert casting.setting.get() is None
    x, _ = matrices()
    with torch.autocast("cpu"):
        with pytest.raises(RuntimeError):
            torch.mm(x, torch.ones(3, 3))
        assert (x @ x).dtype == torch.bfloat16


def test_operations_with_out_and_wider_types_are_left_alone():
    x = torch.ones(2, 2, dtype=torch.float64)
    out = torch.empty(2, 2)
    with torch.autocast("cpu"):
        assert (x @ x).dtype == torch.float64
        assert torch.ones(2, 2, dtype=torch.int64).mm(torch.ones(2, 2, dtype=torch.int64)).dtype == torch.int64
        torch.mm(out + 1, out + 1, out=out)
    assert out.dtype == torch.float32


def test_a_parameter_is_converted_once():
    x, w = matrices()

    def conversions(**kwargs) -> int:
        with torch.autocast("cpu", **kwargs):
            y, z = x @ w, x @ w
        return len({id(t.grad_fn.next_functions[1][0]) for t in (y, z)})

    assert conversions() == 1
    assert conversions(cache_enabled=False) == 2
    with torch.autocast("cpu"):
        before = x @ w
        with torch.no_grad():
            w.mul_(3)
            assert (x @ w)[0, 0].item() == 6
        after = x @ w
        assert after.requires_grad
        assert (before[0, 0].item(), after[0, 0].item()) == (2, 6)
        torch.clear_autocast_cache()


def test_decorator():
    @torch.autocast("cpu")
    def product(x):
        """A product."""
        return x @ x

    x, _ = matrices()
    assert product(x).dtype == torch.bfloat16
    assert product.__doc__ == "A product."
    assert (x @ x).dtype == torch.float32


def test_threads_have_their_own_setting():
    x, _ = matrices()
    found = []
    with torch.autocast("cpu"):
        thread = threading.Thread(target=lambda: found.append((x @ x).dtype))
        thread.start()
        thread.join()
    assert found == [torch.float32]


def test_switches():
    x, _ = matrices()
    torch.set_autocast_enabled("cpu", True)
    torch.set_autocast_dtype("cpu", torch.float16)
    try:
        assert (x @ x).dtype == torch.float16
    finally:
        torch.set_autocast_dtype("cpu", torch.bfloat16)
        torch.set_autocast_enabled("cpu", False)
        casting.on.clear()
    assert (x @ x).dtype == torch.float32
    torch.set_autocast_cache_enabled(False)
    assert not torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(True)
    torch.set_autocast_enabled(False)


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("cuda",), "there is no device 'cuda' here"),
        (("cpu", torch.float64), "torch.float64 is not supported"),
    ],
)
def test_warns_and_does_nothing(args, text):
    x, _ = matrices()
    with pytest.warns(UserWarning, match=text):
        block = torch.autocast(*args)
    with block:
        assert (x @ x).dtype == torch.float32


def test_refuses_what_is_no_device():
    with pytest.raises(ValueError, match="got: int"):
        torch.autocast(0)
    with pytest.raises(RuntimeError):
        torch.autocast("abacus")


def test_custom_functions():
    seen = []

    class Product(torch.autograd.Function):
        @staticmethod
        @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)
        def forward(ctx, x, pair):
            seen.append((x.dtype, pair["y"][0].dtype, torch.is_autocast_enabled("cpu")))
            return x @ pair["y"][0]

        @staticmethod
        @torch.amp.custom_bwd(device_type="cpu")
        def backward(ctx, g):
            seen.append(torch.is_autocast_enabled("cpu"))
            return g, None

    x = torch.ones(2, 2, dtype=torch.bfloat16, requires_grad=True)
    with torch.autocast("cpu"):
        Product.apply(x, {"y": [x.detach(), "text"]}).sum().backward()
    assert seen == [(torch.float32, torch.float32, False), False]
    Product.apply(x, {"y": (x.detach(), 1)}).sum().backward()
    assert seen[2:] == [(torch.bfloat16, torch.bfloat16, False), False]


def test_training_under_autocast_learns():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(2, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
    optimizer, scaler = torch.optim.Adam(model.parameters(), lr=0.02), torch.amp.GradScaler("cpu")
    x = torch.rand(64, 2)
    y = (x[:, :1] - x[:, 1:]).abs()
    losses = []
    for _ in range(120):
        optimizer.zero_grad()
        with torch.autocast("cpu"):
            loss = F.mse_loss(model(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
    assert all(p.dtype == torch.float32 for p in model.parameters())
    assert losses[-1] < 0.2 * losses[0]


# ---- GradScaler ----------------------------------------------------------------------------------------------------


def scaled(**kwargs):
    """A scaler that has scaled something, a parameter with gradient 4, and its optimizer."""
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0, **kwargs)
    scaler.scale(torch.tensor(1.0))
    p = torch.ones(2, requires_grad=True)
    p.grad = torch.full((2,), 4.0)
    return scaler, p, torch.optim.SGD([p], lr=0.5)


def test_a_step_divides_the_gradients():
    scaler, p, optimizer = scaled()
    assert scaler.step(optimizer) is None
    assert p.grad.tolist() == [1.0, 1.0]
    assert p.tolist() == [0.5, 0.5]
    scaler.update()
    assert scaler.state_dict()["_growth_tracker"] == 1


def test_the_factor_shrinks_and_grows():
    scaler, p, optimizer = scaled(growth_interval=2)
    for value, factor in ((np.nan, 2.0), (1.0, 2.0), (1.0, 4.0), (np.inf, 2.0), (1.0, 2.0)):
        before = p.tolist()
        p.grad = torch.tensor([1.0, value])
        scaler.step(optimizer)
        scaler.update()
        assert scaler.get_scale() == factor
        assert (p.tolist() == before) == (not np.isfinite(value))


def test_the_factor_stays_finite():
    scaler, p, optimizer = scaled(growth_interval=1, growth_factor=2.0**60)
    for _ in range(4):
        p.grad = torch.ones(2)
        scaler.step(optimizer)
        scaler.update()
    assert scaler.get_scale() == 2.0**122


def test_order_of_calls():
    scaler, p, optimizer = scaled()
    scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match=r"unscale_\(\) has already been called"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    with pytest.raises(RuntimeError, match=r"step\(\) has already been called"):
        scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="after step"):
        scaler.unscale_(optimizer)
    with pytest.raises(AssertionError, match="pickled"):
        pickle.dumps(scaler)
    scaler.update()
    assert pickle.loads(pickle.dumps(scaler)).state_dict() == scaler.state_dict()
    with pytest.raises(AssertionError, match="no gradients were looked at"):
        scaler.update()
    p.grad = None
    with pytest.raises(AssertionError, match="none of the optimizer's parameters has a gradient"):
        scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="closures"):
        scaler.step(optimizer, closure=lambda: 1)
    for name in ("update", "step", "unscale_"):
        with pytest.raises(AssertionError, match="nothing was scaled yet"):
            getattr(torch.amp.GradScaler("cpu"), name)(*([] if name == "update" else [optimizer]))


def test_refuses_gradients_in_half_precision():
    scaler, _, _ = scaled()
    p = torch.ones(1, dtype=torch.float16, requires_grad=True)
    p.grad = torch.ones(1, dtype=torch.float16)
    with pytest.raises(ValueError, match="float16 cannot be unscaled"):
        scaler.unscale_(torch.optim.SGD([p]))


def test_setting_the_factor():
    scaler, _, _ = scaled()
    scaler.update(3.0)
    assert scaler.get_scale() == 3.0
    scaler.update(torch.tensor(7))
    assert scaler.get_scale() == 7.0
    for wrong in (5, torch.ones(2), torch.ones(1, requires_grad=True)):
        with pytest.raises(AssertionError, match="new_scale is a float"):
            scaler.update(wrong)


def test_scale_takes_structures():
    scaler, _, _ = scaled()
    assert scaler.scale([torch.tensor(1.0), (torch.tensor(2.0),)]) == [torch.tensor(4.0), (torch.tensor(8.0),)]
    assert [t.item() for t in scaler.scale(t for t in [torch.tensor(1.0)])] == [4.0]
    with pytest.raises(ValueError, match="got: float"):
        scaler.scale(1.0)


def test_checkpoints_and_options():
    scaler, _, _ = scaled()
    scaler.set_growth_factor(3.0)
    scaler.set_backoff_factor(0.25)
    scaler.set_growth_interval(7)
    assert (scaler.get_growth_factor(), scaler.get_backoff_factor(), scaler.get_growth_interval()) == (3.0, 0.25, 7)
    for other in (torch.amp.GradScaler("cpu"), scaled()[0]):
        other.load_state_dict(scaler.state_dict())
        assert other.state_dict() == scaler.state_dict()
    with pytest.raises(RuntimeError, match="the state is empty"):
        scaler.load_state_dict({})


def test_a_scaler_that_is_off():
    with pytest.warns(UserWarning, match="no device 'cuda' here"):
        default = torch.amp.GradScaler()
    p = torch.ones(1, requires_grad=True)
    p.grad = torch.ones(1)
    optimizer = torch.optim.SGD([p], lr=1.0)
    for scaler in (default, torch.amp.GradScaler("cpu", enabled=False)):
        assert not scaler.is_enabled()
        assert scaler.scale(2) == 2
        assert scaler.get_scale() == 1.0
        assert scaler.state_dict() == {}
        scaler.load_state_dict({})
        scaler.unscale_(optimizer)
        assert pickle.loads(pickle.dumps(scaler)).get_scale() == 1.0
        scaler.step(optimizer)
        scaler.update()
    assert p.item() == -1.0


@pytest.mark.parametrize("kwargs", [{"growth_factor": 1.0}, {"backoff_factor": 1.5}])
def test_refuses_factors(kwargs):
    ((name, value),) = kwargs.items()
    with pytest.raises(AssertionError, match=f"{name}={value}"):
        torch.amp.GradScaler("cpu", **kwargs)


def test_old_names():
    with pytest.warns(FutureWarning, match="torch.amp.autocast"):
        block = torch.cpu.amp.autocast()
    x, _ = matrices()
    with block:
        assert (x @ x).dtype == torch.bfloat16
    with pytest.warns(FutureWarning, match="torch.amp.GradScaler"):
        assert torch.cpu.amp.GradScaler(8.0).get_scale() == 8.0
    assert torch.cpu.is_available()
    assert torch.cpu.is_initialized()
    assert (torch.cpu.device_count(), torch.cpu.current_device()) == (1, "cpu")
    torch.cpu.set_device("cpu")
    torch.cpu.synchronize()
