"""The tape and the engine: accumulation, hooks, freeing, in-place changes, views, user-defined functions."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest

import tapegrad as torch
import tapegrad.nn.functional as F


def leaf(*values: float) -> torch.Tensor:
    return torch.tensor(values, requires_grad=True)


# ---- gradients -----------------------------------------------------------------------------------------------------


def test_gradients_accumulate_over_passes():
    x = leaf(1.0, 2.0)
    for _ in range(2):
        (x * x).sum().backward()
    assert x.grad.tolist() == [4.0, 8.0]


def test_gradients_of_two_leaves_do_not_share_memory():
    a, b = leaf(1.0), leaf(2.0)
    (a + b).sum().backward()
    a.grad.zero_()
    assert b.grad.tolist() == [1.0]


def test_the_given_gradient_is_not_taken_over():
    x, g = leaf(1.0, 2.0), torch.tensor([3.0, 4.0])
    (x + 0).backward(g)
    x.grad.add_(1)
    assert g.tolist() == [3.0, 4.0]


def test_a_used_twice_in_one_operation():
    x = leaf(3.0)
    (x * x).sum().backward()
    assert x.grad.tolist() == [6.0]


def test_broadcasting_is_undone():
    x, y = torch.ones(3, 1, requires_grad=True), torch.ones(2, 1, 4, requires_grad=True)
    (x * y).sum().backward()
    assert x.grad.shape == (3, 1) and x.grad.tolist() == [[8.0]] * 3
    assert y.grad.shape == (2, 1, 4) and y.grad[0, 0, 0].item() == 3.0


def test_promotion_is_undone():
    x = torch.ones(2, requires_grad=True)
    (x * torch.ones(2, dtype=torch.float64)).sum().backward()
    assert x.grad.dtype is torch.float32


def test_grad_leaves_dot_grad_alone():
    x = leaf(2.0)
    (g,) = torch.autograd.grad((x**3).sum(), x)
    assert g.tolist() == [12.0] and x.grad is None


def test_grad_with_respect_to_intermediate_results():
    x = leaf(2.0)
    y = x * x
    z = (y * y).sum()
    gy, gx = torch.autograd.grad(z, (y, x))
    assert gy.tolist() == [8.0] and gx.tolist() == [32.0]


def test_grad_of_an_unused_input():
    x, w = leaf(2.0), leaf(1.0)
    with pytest.raises(RuntimeError, match="not used"):
        torch.autograd.grad((x * 2).sum(), w)
    assert torch.autograd.grad((x * 2).sum(), [x, w], allow_unused=True)[1] is None
    assert torch.autograd.grad((x * 2).sum(), [x, w], materialize_grads=True)[1].tolist() == [0.0]


def test_higher_derivatives():
    x = leaf(0.5)
    y = x.sin().sum()
    for expected in (0.87758256, -0.47942554, -0.87758256, 0.47942554):
        (y,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        assert y.item() == pytest.approx(expected, rel=1e-6)


def test_backward_with_inputs_only_fills_those():
    x, w = leaf(2.0), leaf(3.0)
    (x * w).sum().backward(inputs=[x])
    assert x.grad.tolist() == [3.0] and w.grad is None


def test_batched_grads_are_stacked():
    x = leaf(1.0, 2.0)
    (rows,) = torch.autograd.grad(x * x, x, torch.eye(2), is_grads_batched=True)
    assert rows.tolist() == [[2.0, 0.0], [0.0, 4.0]]


# ---- the graph -----------------------------------------------------------------------------------------------------


def test_a_million_nodes_neither_overflow_nor_leak():
    gc.collect()
    gc.disable()
    try:
        x = torch.ones((), requires_grad=True)
        y = x
        for _ in range(1_000_000):
            y = y + 1.0
        first = weakref.ref(y.grad_fn)
        y.backward()
        assert x.grad.item() == 1.0
        del y
        assert first() is None
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_training_without_the_garbage_collector_frees_every_graph():
    w = torch.randn(4, 4, requires_grad=True)
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            y = w
            for _ in range(5):
                y = torch.tanh(y @ w) * y.exp().clamp(max=2)
                y[0] = 0.5
                y.view(-1)[3:].mul_(2)
            loss = (y * y).mean()
            nodes = [weakref.ref(loss.grad_fn), weakref.ref(y.grad_fn)]
            loss.backward()
            with torch.no_grad():
                w -= 0.01 * w.grad
            w.grad = None
            del y, loss
            assert all(n() is None for n in nodes)
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_nodes_know_the_users_line():
    x = leaf(1.0)
    y = torch.nn.functional.relu(x * 2)
    assert "test_autograd.py" in y.grad_fn.location and "test_nodes_know_the_users_line" in y.grad_fn.location
    assert "g" in y.grad_fn.formula


def test_next_functions_lead_to_the_leaf():
    x = leaf(1.0)
    y = (x * 2).exp()
    (mul, k), *_ = y.grad_fn.next_functions
    assert mul.name() == "MulBackward0" and k == 0
    (end, _), (constant, _) = mul.next_functions
    assert end.name() == "AccumulateGrad" and end.variable is x and constant is None


def test_detach_breaks_the_graph_and_shares_memory():
    x = leaf(1.0, 2.0)
    d = (x * 2).detach()
    assert not d.requires_grad and d.is_leaf
    view = x.detach()
    view[0] = 5
    assert x[0].item() == 5.0


def test_anomaly_detection_names_the_line():
    x = leaf(0.0)
    with torch.autograd.detect_anomaly(), pytest.raises(RuntimeError, match=r"NaN[\s\S]*test_autograd.py"):
        (torch.sqrt(x) * 0).sum().backward()


# ---- modes ---------------------------------------------------------------------------------------------------------


def test_modes_nest_and_decorate():
    x = leaf(1.0)

    @torch.no_grad()
    def frozen():
        return x * 2

    @torch.no_grad
    def frozen_too():
        return x * 2

    @torch.enable_grad()
    def live():
        return x * 2

    assert not frozen().requires_grad and not frozen_too().requires_grad
    with torch.no_grad():
        assert live().requires_grad and not (x * 2).requires_grad
        with torch.set_grad_enabled(True):
            assert (x * 2).requires_grad
        assert not torch.is_grad_enabled()
    torch.set_grad_enabled(False)
    assert not torch.is_grad_enabled()
    torch.set_grad_enabled(True)


def test_a_decorated_generator_leaves_the_mode_of_its_caller_alone():
    x = leaf(1.0)

    @torch.no_grad()
    def rows():
        for _ in range(2):
            yield (x * 2).requires_grad

    seen = [(inside, torch.is_grad_enabled()) for inside in rows()]
    assert seen == [(False, True)] * 2


def test_modes_belong_to_a_thread():
    x, seen = leaf(1.0), []
    with torch.no_grad():
        worker = threading.Thread(target=lambda: seen.append((x * 2).requires_grad))
        worker.start()
        worker.join()
    assert seen == [True]


# ---- hooks ---------------------------------------------------------------------------------------------------------


def test_tensor_hooks_see_and_replace_gradients():
    x, seen = leaf(1.0, 2.0), []
    y = x * 2
    y.retain_grad()
    y.register_hook(lambda g: seen.append(g.tolist()))
    handle = x.register_hook(lambda g: g * 10)
    (y * y).sum().backward()
    assert seen == [[4.0, 8.0]] and y.grad.tolist() == [4.0, 8.0] and x.grad.tolist() == [80.0, 160.0]
    handle.remove()
    x.grad = None
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_post_accumulate_hooks_run_after_the_gradient_is_there():
    x, seen = leaf(1.0), []
    x.register_post_accumulate_grad_hook(lambda t: seen.append(t.grad.item()))
    (x * 3).sum().backward()
    assert seen == [3.0]


def test_node_hooks():
    x, seen = leaf(2.0), []
    y = x * 3
    y.grad_fn.register_prehook(lambda gs: (gs[0] * 2,))
    y.grad_fn.register_hook(lambda gin, gout: seen.append((gin[0].item(), gout[0].item())))
    y.sum().backward()
    assert seen == [(6.0, 2.0)] and x.grad.item() == 6.0


def test_a_hook_that_returns_another_shape_is_refused():
    x = leaf(1.0, 2.0)
    x.register_hook(lambda g: g.sum())
    with pytest.raises(RuntimeError, match="another shape"):
        (x * 2).sum().backward()


# ---- in-place changes and views ------------------------------------------------------------------------------------


def test_a_saved_tensor_changed_in_place_is_an_error_that_names_both():
    x = leaf(1.0)
    z = (x * 2).exp()
    loss = (z * z).sum()
    z.add_(1)
    with pytest.raises(RuntimeError, match=r"modified by an in-place operation[\s\S]*MulBackward0[\s\S]*version 0"):
        loss.backward()


def test_a_saved_result_changed_in_place_is_an_error():
    x = leaf(1.0)
    y = x.exp()
    y.mul_(2)
    with pytest.raises(RuntimeError, match="in-place"):
        y.sum().backward()


def test_changing_what_is_not_saved_is_no_error():
    x = leaf(1.0)
    y = x + 1
    z = y * 2
    y.mul_(3)
    (y + z).sum().backward()
    assert x.grad.tolist() == [5.0]


def test_versions_are_shared_with_views_and_detached_tensors():
    x = torch.zeros(4)
    before = x._version
    x[1:].add_(1)
    x.detach().mul_(2)
    assert x._version == before + 2


def test_in_place_chain():
    x = leaf(1.0, 2.0)
    y = x * 2
    y.add_(1).mul_(3)
    y.sum().backward()
    assert x.grad.tolist() == [6.0, 6.0]


def test_in_place_on_a_view_reaches_the_base():
    x = torch.ones(2, 3, requires_grad=True)
    y = x * 2
    y[0].mul_(5)
    assert y.grad_fn.name() == "CopySlices"
    y.sum().backward()
    assert x.grad.tolist() == [[10.0] * 3, [2.0] * 3]


def test_in_place_on_the_base_reaches_the_view():
    x = torch.ones(4, requires_grad=True)
    y = x * 1
    v = y[:2]
    y.mul_(3)
    v.sum().backward()
    assert x.grad.tolist() == [3.0, 3.0, 0.0, 0.0]


def test_writing_a_recorded_value_into_a_plain_buffer():
    w, buffer = leaf(2.0), torch.zeros(2, 2)
    row = buffer[1]
    buffer[0] = w * 3
    row.add_(w)
    assert buffer.requires_grad and row.requires_grad
    buffer.sum().backward()
    assert w.grad.tolist() == [8.0]


def test_the_old_value_is_kept_where_the_derivative_needs_it():
    x, w = leaf(2.0), leaf(3.0)
    y = x * 1
    y.mul_(w)
    y.sum().backward()
    assert x.grad.tolist() == [3.0] and w.grad.tolist() == [2.0]


def test_leaves_are_not_changed_in_place_while_recording():
    x = leaf(1.0)
    for change in (lambda: x.add_(1), lambda: x[:].add_(1), lambda: x.__setitem__(0, 1.0)):
        with pytest.raises(RuntimeError, match="leaf"):
            change()
    with torch.no_grad():
        x += 1
    assert x.tolist() == [2.0] and x.is_leaf


def test_views_of_several_outputs_are_not_changed_in_place():
    x = torch.ones(2, 2, requires_grad=True) * 1
    a, _ = x.unbind(0)
    with pytest.raises(RuntimeError, match="several outputs"):
        a.add_(1)


# ---- user-defined functions ----------------------------------------------------------------------------------------


class Scale(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, k):
        ctx.save_for_backward(x)
        ctx.k = k
        return x * k

    @staticmethod
    def backward(ctx, g):
        assert ctx.needs_input_grad == (True, False)
        return g * ctx.k, None


class Split(torch.autograd.Function):
    @staticmethod
    def forward(x):
        return x * 2, x * 3, (x > 0)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.mark_non_differentiable(output[2])
        ctx.save_for_backward(*inputs, output[0])

    @staticmethod
    def backward(ctx, g2, g3, _):
        return g2 * 2 + g3 * 3


class AddInPlace(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        x.add_(1)
        ctx.mark_dirty(x)
        return x

    @staticmethod
    def backward(ctx, g):
        return g * 7


class Exp(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        out = x.exp()
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx, g):
        (out,) = ctx.saved_tensors
        return g * out


def test_function_with_an_argument():
    x = leaf(1.0, 2.0)
    y = Scale.apply(x, 4.0)
    assert y.grad_fn.name() == "ScaleBackward"
    y.sum().backward()
    assert x.grad.tolist() == [4.0, 4.0]


def test_function_with_several_outputs_and_setup_context():
    x = leaf(1.0)
    a, b, flag = Split.apply(x)
    assert a.requires_grad and b.requires_grad and not flag.requires_grad
    (a + b).sum().backward()
    assert x.grad.tolist() == [5.0]
    x.grad = None
    Split.apply(x)[1].sum().backward()  # the unused output gets zeros
    assert x.grad.tolist() == [3.0]


def test_function_that_changes_its_input():
    x = leaf(1.0)
    y = x * 1
    z = AddInPlace.apply(y)
    assert z is y and y.tolist() == [2.0]
    z.sum().backward()
    assert x.grad.tolist() == [7.0]


def test_function_that_saves_its_output_is_freed_and_differentiated_twice():
    x = leaf(0.5)
    gc.collect()
    gc.disable()
    try:
        node = weakref.ref(Exp.apply(x).grad_fn)
        assert node() is None
    finally:
        gc.enable()
    (g,) = torch.autograd.grad(Exp.apply(x).sum(), x, create_graph=True)
    (gg,) = torch.autograd.grad(g.sum(), x)
    assert gg.item() == pytest.approx(1.6487212, rel=1e-6)


def test_function_errors_are_explained():
    class TooMany(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g, g

    with pytest.raises(RuntimeError, match=r"TooMany.backward[\s\S]*got: 2[\s\S]*expected: 1"):
        TooMany.apply(leaf(1.0)).sum().backward()
    with pytest.raises(RuntimeError, match="apply"):
        TooMany()


def test_once_differentiable():
    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, g):
            return 2 * ctx.saved_tensors[0] * g

    x = leaf(3.0)
    Once.apply(x).sum().backward()
    assert x.grad.tolist() == [6.0]
    (g,) = torch.autograd.grad(Once.apply(x).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError):
        g.sum().backward()


# ---- checks of derivatives -----------------------------------------------------------------------------------------


def test_gradcheck_accepts_right_and_refuses_wrong_derivatives():
    x = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: (t.tanh() * t).sum(0), (x,))
    assert torch.autograd.gradcheck(torch.sin, (x,), fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda t: t**3, (x,))

    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx, t):
            return t * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2.01

    for fast in (False, True):
        with pytest.raises(torch.testing.GradcheckError, match="output 0 with respect to input 0"):
            torch.autograd.gradcheck(Wrong.apply, (x,), fast_mode=fast)
        assert not torch.autograd.gradcheck(Wrong.apply, (x,), fast_mode=fast, raise_exception=False)


def test_jacobian_hessian_and_products():
    f = torch.autograd.functional
    x = torch.tensor([1.0, 2.0])
    assert f.jacobian(lambda t: t**2, x).tolist() == [[2.0, 0.0], [0.0, 4.0]]
    assert f.hessian(lambda t: (t**3).sum(), x).tolist() == [[6.0, 0.0], [0.0, 12.0]]
    assert f.vjp(lambda t: t**2, x, torch.ones(2))[1].tolist() == [2.0, 4.0]
    assert f.jvp(lambda t: t**2, x, torch.ones(2))[1].tolist() == [2.0, 4.0]
    assert f.hvp(lambda t: (t**3).sum(), x, torch.ones(2))[1].tolist() == [6.0, 12.0]


@pytest.mark.parametrize(
    "f", [torch.relu, F.leaky_relu, lambda x: F.threshold(x, 0.1, 0.5), lambda x: F.avg_pool1d(x[None], 2)]
)
def test_a_second_derivative_of_a_piecewise_linear_function_is_zero(f):
    x = torch.tensor([-1.0, 0.5, 2.0, 3.0], requires_grad=True)
    (g,) = torch.autograd.grad(f(x).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(g.sum(), x)
    assert second.tolist() == [0.0] * 4


def test_a_result_that_is_not_differentiable_may_be_named_in_a_formula():
    """The singular vectors' formula names all results; second derivatives go through those that have one."""
    x = torch.tensor([[2.0, 1.0], [0.5, 3.0]], requires_grad=True, dtype=torch.float64)
    assert torch.autograd.gradgradcheck(lambda t: torch.linalg.svd(t).S, x)
    assert torch.autograd.gradgradcheck(lambda t: torch.linalg.lu_factor(t).LU, x)
