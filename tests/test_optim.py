"""Optimizers and schedules: each solves problems, continues from its checkpoint to the bit, and refuses nonsense."""

from __future__ import annotations

import copy
import inspect
import itertools
import math
import pickle
import threading
import warnings

import numpy as np
import pytest

import tapegrad as torch
from tapegrad.backends.cpu import optimizers as backend
from tapegrad.backends.cpu import step_table
from tapegrad.backends.cpu.step_table import Table
from tapegrad.optim import lr_scheduler, packed
from tapegrad.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook, required
from tapegrad.optim.rule import RuleOptimizer, evaluate

NAMES = sorted(
    name
    for name, value in vars(torch.optim).items()
    if inspect.isclass(value) and issubclass(value, torch.optim.Optimizer) and value is not torch.optim.Optimizer
)
RULED = [name for name in NAMES if issubclass(getattr(torch.optim, name), RuleOptimizer)]

# What lets an optimizer reach the minimum of a quadratic, and of Rosenbrock's function, in 500 steps and 2000.
QUADRATIC = {
    "Adafactor": {"lr": 0.1},
    "Muon": {"lr": 0.01, "momentum": 0.5, "weight_decay": 0.0},
    "SparseAdam": {"lr": 0.05},
    "ASGD": {"lr": 0.1},
    "Adadelta": {"lr": 30.0},
    "Adagrad": {"lr": 0.5},
    "Adam": {"lr": 0.05},
    "AdamW": {"lr": 0.05, "weight_decay": 1e-4},
    "Adamax": {"lr": 0.1},
    "NAdam": {"lr": 0.05},
    "LBFGS": {"line_search_fn": "strong_wolfe"},
    "RAdam": {"lr": 0.1},
    "RMSprop": {"lr": 0.01, "momentum": 0.5},
    "Rprop": {},
    "SGD": {"lr": 0.1},
}
ROSENBROCK = {
    "Adafactor": {"lr": 0.05},
    "Muon": {"lr": 0.005, "momentum": 0.9, "weight_decay": 0.0},
    "SparseAdam": {"lr": 0.02},
    "ASGD": {"lr": 1.5e-3, "alpha": 0.1},
    "Adadelta": {"lr": 1.0, "rho": 0.99},
    "Adagrad": {"lr": 0.5},
    "Adam": {"lr": 0.02},
    "AdamW": {"lr": 0.02, "weight_decay": 1e-4},
    "Adamax": {"lr": 0.05},
    "NAdam": {"lr": 0.02},
    "LBFGS": {"line_search_fn": "strong_wolfe"},
    "RAdam": {"lr": 2e-3, "betas": (0.5, 0.9)},
    "RMSprop": {"lr": 1e-3, "momentum": 0.5},
    "Rprop": {},
    "SGD": {"lr": 5e-4, "momentum": 0.9, "nesterov": True},
}


def make(name: str, params, **kwargs):
    return getattr(torch.optim, name)(params, **kwargs)


def noisy_parameters(*shapes, dtype="float32", seed=0) -> list:
    rng = np.random.default_rng(seed)
    return [torch.tensor(rng.standard_normal(s).astype(dtype), requires_grad=True) for s in shapes]


def walk(optimizer, n: int, seed: int = 1) -> None:
    """Steps along gradients that are the same for the same seed."""
    rng = np.random.default_rng(seed)
    for _ in range(n):
        for group in optimizer.param_groups:
            for p in group["params"]:
                p.grad = torch.tensor(rng.standard_normal(p.shape).astype(p.array.dtype))
        optimizer.step()


def arrays(optimizer) -> list[np.ndarray]:
    return [p.array for group in optimizer.param_groups for p in group["params"]]


def assert_same_bits(a, b) -> None:
    for x, y in zip(arrays(a), arrays(b), strict=True):
        np.testing.assert_array_equal(x, y)


# ---- they optimise -----------------------------------------------------------------------------------------------


def test_every_optimizer_has_its_problems():
    assert NAMES == sorted(QUADRATIC) == sorted(ROSENBROCK)


def solve(optimizer, function, steps: int, enough: float = -math.inf) -> list[float]:
    """The losses of a number of steps, or of those until one is below `enough`."""

    def closure():
        optimizer.zero_grad()
        loss = function()
        loss.backward()
        return loss

    losses = []
    while len(losses) < steps and not (losses and losses[-1] < enough):
        losses.append(float(optimizer.step(closure)))
    return losses


@pytest.mark.parametrize("name", NAMES)
def test_solves_a_quadratic(name):
    target = torch.tensor([1.0, -2.0, 0.5])
    curvature = torch.tensor([1.0, 2.0, 4.0])
    x = torch.zeros(1, 3, requires_grad=True)
    losses = solve(make(name, [x], **QUADRATIC[name]), lambda: (curvature * (x - target) ** 2).sum(), 500, 1e-3)
    assert losses[-1] < 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_walks_down_the_valley_of_rosenbrock(name):
    point = torch.tensor([[-1.2, 1.0]], dtype=torch.float64, requires_grad=True)  # a matrix: Muon takes nothing else
    optimizer = make(name, [point], **ROSENBROCK[name])

    def valley():
        x, y = point[0]
        return (1 - x) ** 2 + 100 * (y - x**2) ** 2

    losses = solve(optimizer, valley, 2000, 0.5)
    assert losses[0] > 24
    assert losses[-1] < 0.5  # the valley begins at 4


@pytest.mark.parametrize("name", RULED)
def test_maximize_is_minimizing_the_negative(name):
    up, down = noisy_parameters((4, 3)), noisy_parameters((4, 3))
    a, b = make(name, up, maximize=True), make(name, down)
    for i in range(5):
        g = np.random.default_rng(i).standard_normal((4, 3)).astype("float32")
        up[0].grad, down[0].grad = torch.tensor(-g), torch.tensor(g)
        a.step()
        b.step()
    assert_same_bits(a, b)


# ---- checkpoints and copies --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RULED)
@pytest.mark.parametrize("copied", ["state_dict", "deepcopy", "pickle"])
def test_continues_to_the_bit(name, copied):
    kwargs = {"momentum": 0.9} if name in ("SGD", "RMSprop") else {}
    one = make(name, noisy_parameters((5, 3), (4,), ()), **kwargs)
    walk(one, 5)
    if copied == "state_dict":
        other = make(name, noisy_parameters((5, 3), (4,), ()), **kwargs)
        for p, q in zip(one.param_groups[0]["params"], other.param_groups[0]["params"]):
            with torch.no_grad():
                q.copy_(p)
        other.load_state_dict(pickle.loads(pickle.dumps(one.state_dict())))
    else:
        other = copy.deepcopy(one) if copied == "deepcopy" else pickle.loads(pickle.dumps(one))
    walk(one, 5, seed=2)
    walk(other, 5, seed=2)
    assert_same_bits(one, other)
    assert repr(one) == repr(other)


def test_loading_copies_and_converts_the_state():
    p = torch.ones(2, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([p])
    saved = {
        0: {"step": torch.tensor(3.0), "exp_avg": torch.ones(2), "exp_avg_sq": torch.ones(2), "note": [torch.ones(1)]},
        "other": 1,
    }
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": saved, "param_groups": groups})
    state = optimizer.state[p]
    assert state["exp_avg"].dtype == torch.float64
    assert state["note"][0].dtype == torch.float64
    assert state["step"].dtype == torch.float32
    assert state["exp_avg"] is not saved[0]["exp_avg"]
    assert optimizer.state["other"] == 1
    p.grad = torch.ones(2, dtype=torch.float64)
    optimizer.step()
    assert saved[0]["step"].item() == 3.0
    assert state["step"].item() == 4.0


def test_loads_checkpoints_of_old_versions():
    """Step counts as numbers, and groups that lack newer options."""
    optimizer = make("Adam", noisy_parameters((2,)), maximize=True)
    group = {"lr": 0.5, "betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0, "params": [0]}
    old = {"step": 7, "exp_avg": torch.ones(2), "exp_avg_sq": torch.ones(2)}
    optimizer.load_state_dict({"state": {0: old}, "param_groups": [group]})
    assert optimizer.param_groups[0]["maximize"] is False
    assert optimizer.param_groups[0]["amsgrad"] is False
    walk(optimizer, 1)
    (state,) = optimizer.state.values()
    assert state["step"].item() == 8


def test_state_that_an_option_needs_later_is_made_then():
    optimizer = make("Adam", noisy_parameters((2,)))
    walk(optimizer, 1)
    optimizer.param_groups[0]["amsgrad"] = True
    walk(optimizer, 1)
    assert "max_exp_avg_sq" in next(iter(optimizer.state.values()))


def test_a_checkpoint_of_adam_loaded_into_adamw_decays_beside_the_step():
    optimizer = make("AdamW", noisy_parameters((2,)))
    optimizer.load_state_dict(make("Adam", noisy_parameters((2,))).state_dict())
    assert optimizer.param_groups[0]["decoupled_weight_decay"] is True


def test_a_checkpoint_must_fit():
    optimizer = make("SGD", noisy_parameters((2,), (3,)))
    with pytest.raises(ValueError, match=r"another number of parameter groups\n  got: 0\n  expected: 1"):
        optimizer.load_state_dict({"state": {}, "param_groups": []})
    with pytest.raises(ValueError, match=r"another number of parameters\n  got: \[1\]\n  expected: \[2\]"):
        optimizer.load_state_dict(make("SGD", noisy_parameters((2,))).state_dict())


def test_names_of_parameters_are_kept():
    (p,) = noisy_parameters((2,))
    optimizer = make("SGD", [("weight", p)])
    assert optimizer.param_groups[0]["param_names"] == ["weight"]
    optimizer.load_state_dict(make("SGD", noisy_parameters((2,))).state_dict())
    assert optimizer.param_groups[0]["param_names"] == ["weight"]
    with pytest.raises(ValueError, match="either all parameters have names or none"):
        make("SGD", [("weight", p), torch.ones(1, requires_grad=True)])
    with pytest.raises(ValueError, match="either all parameter groups have names or none"):
        optimizer.add_param_group({"params": noisy_parameters((3,))})


# ---- groups ------------------------------------------------------------------------------------------------------


def test_groups_have_their_own_options():
    a, b = noisy_parameters((2,), (2,))
    before = b.array.copy()
    optimizer = make("SGD", [{"params": [a]}, {"params": b, "lr": 0.0}], lr=0.1)
    walk(optimizer, 1)
    assert optimizer.param_groups[1]["params"] == [b]
    np.testing.assert_array_equal(b.array, before)
    optimizer.param_groups[1]["lr"] = 1.0
    walk(optimizer, 1)
    assert not np.array_equal(b.array, before)


def test_parameters_without_gradient_are_left_out():
    a, b = noisy_parameters((2,), (2,))
    before = b.array.copy()
    optimizer = make("Adam", [a, b])
    a.grad = torch.ones(2)
    optimizer.step()
    np.testing.assert_array_equal(b.array, before)
    assert list(optimizer.state) == [a]


def test_an_optimizer_without_state_keeps_none():
    optimizer = make("SGD", noisy_parameters((2,)))
    walk(optimizer, 2)
    assert optimizer.state_dict()["state"] == {}


def test_zero_grad():
    (p,) = noisy_parameters((2,))
    optimizer = make("SGD", [p])
    p.grad = kept = torch.ones(2)
    optimizer.zero_grad(set_to_none=False)
    assert p.grad is kept
    assert kept.tolist() == [0.0, 0.0]
    assert not kept.requires_grad
    optimizer.zero_grad()
    assert p.grad is None
    optimizer.zero_grad(set_to_none=False)
    (p * p * p).sum().backward(create_graph=True)
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.grad_fn is None


@pytest.mark.parametrize(
    ("params", "error", "text"),
    [
        (list, ValueError, "nothing to optimise"),
        (lambda: torch.ones(1), TypeError, "got: one Tensor"),
        (lambda: [{"params": {torch.ones(1, requires_grad=True)}}], TypeError, "a set"),
        (lambda: [1.0], TypeError, "got: float"),
        (lambda: [torch.ones(1, requires_grad=True) * 2], ValueError, "got: MulBackward0"),
        (
            lambda: [{"params": [p]} for p in [torch.ones(1, requires_grad=True)] * 2],
            ValueError,
            "one parameter group only",
        ),
    ],
)
def test_refuses_parameters(params, error, text):
    with pytest.raises(error, match=text):
        torch.optim.SGD(params())


def test_a_group_is_a_dictionary():
    optimizer = make("SGD", noisy_parameters((1,)))
    with pytest.raises(TypeError, match="got: list"):
        optimizer.add_param_group([torch.ones(1)])


def test_duplicates_in_a_group_warn_and_count_twice():
    (p,) = noisy_parameters((1,))
    start = float(p.detach())
    with pytest.warns(UserWarning, match="more than once"):
        optimizer = make("SGD", [p, p], lr=0.5)
    p.grad = torch.ones(1)
    optimizer.step()
    assert float(p.detach()) == pytest.approx(start - 1.0)
    assert optimizer.state_dict()["param_groups"][0]["params"] == [0, 0]


def test_required_options():
    (p,) = noisy_parameters((1,))
    assert repr(required) == "<required parameter>"
    with pytest.raises(ValueError, match="does not give the option 'lr'"):
        torch.optim.Optimizer([p], {"lr": required})
    assert torch.optim.Optimizer([{"params": [p], "lr": 1}], {"lr": required}).param_groups[0]["lr"] == 1


@pytest.mark.parametrize(
    ("name", "kwargs", "text"),
    [
        ("SGD", {"lr": -1}, r"SGD: lr is negative or not a number\n  got: lr=-1\n  expected: lr >= 0"),
        ("SGD", {"nesterov": True}, "got: momentum=0, dampening=0"),
        ("Adam", {"betas": (0.9, 1.0)}, r"betas\[1\] is outside \[0, 1\)\n  got: betas=\(0.9, 1.0\)"),
        ("Adam", {"lr": torch.ones(2)}, r"one element\n  got: shape \(2,\)"),
        ("Adam", {"betas": (torch.tensor(0.9), 0.99)}, "either two floats or two tensors"),
        ("Adam", {"lr": torch.tensor(0.1), "foreach": True}, "cannot be combined"),
        ("AdamW", {"eps": -1e-8}, "AdamW: eps is negative"),
        ("RMSprop", {"alpha": math.nan}, "alpha=nan"),
        ("Adadelta", {"rho": 2}, "rho=2"),
        ("Rprop", {"etas": (0.5, 0.9)}, r"etas=\(0.5, 0.9\)"),
    ],
)
def test_refuses_options(name, kwargs, text):
    with pytest.raises(ValueError, match=text):
        make(name, noisy_parameters((1,)), **kwargs)


# ---- steps -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_closure_is_called_with_gradients_on(name):
    (p,) = noisy_parameters((2, 1))
    optimizer = make(name, [p], **{"line_search_fn": "strong_wolfe"} if name == "LBFGS" else {})
    calls = []

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        calls.append(float(loss))
        return loss

    with torch.no_grad():
        loss = optimizer.step(closure)
    assert float(loss) == calls[0]
    with torch.no_grad():
        assert float((p * p).sum()) < calls[0]


def test_hooks_run_around_a_step():
    seen = []
    (p,) = noisy_parameters((1,))
    optimizer = make("SGD", [p])
    handles = [
        register_optimizer_step_pre_hook(lambda o, args, kwargs: seen.append("every pre")),
        register_optimizer_step_post_hook(lambda o, args, kwargs: seen.append("every post")),
        optimizer.register_step_pre_hook(
            lambda o, args, kwargs: seen.append(("pre", o is optimizer, args == (optimizer,)))
        ),
        optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append("post")),
    ]
    optimizer.step()
    assert seen == ["every pre", ("pre", True, True), "post", "every post"]
    for handle in handles:
        handle.remove()
    seen.clear()
    optimizer.step()
    assert seen == []
    optimizer.register_step_pre_hook(lambda o, args, kwargs: ((o,), {"closure": lambda: "from the hook"}))
    assert optimizer.step() == "from the hook"
    optimizer.register_step_pre_hook(lambda o, args, kwargs: "nonsense")
    with pytest.raises(RuntimeError, match="None or a pair"):
        optimizer.step()


def test_hooks_run_once_when_a_subclass_calls_step():
    class Logged(torch.optim.SGD):
        def step(self, closure=None):
            return super().step(closure)

    seen = []
    optimizer = Logged(noisy_parameters((1,)))
    optimizer.register_step_post_hook(lambda *_: seen.append(1))
    walk(optimizer, 1)
    assert seen == [1]


def test_hooks_of_checkpoints():
    optimizer = make("SGD", noisy_parameters((1,)), lr=0.5)
    seen = []
    optimizer.register_state_dict_pre_hook(lambda o: seen.append("second"))
    optimizer.register_state_dict_pre_hook(lambda o: seen.append("first"), prepend=True)
    optimizer.register_state_dict_post_hook(lambda o, state: {**state, "more": 1})
    saved = optimizer.state_dict()
    assert seen == ["first", "second"]
    assert saved["more"] == 1

    def faster(o, state):
        assert state is not saved
        return {**state, "param_groups": [{**state["param_groups"][0], "lr": 2.0}]}

    optimizer.register_load_state_dict_pre_hook(faster)
    optimizer.register_load_state_dict_post_hook(lambda o: seen.append("loaded"))
    optimizer.load_state_dict(saved)
    assert optimizer.param_groups[0]["lr"] == 2.0
    assert seen[-1] == "loaded"


def test_text():
    (p,) = noisy_parameters((1,))
    expected = "Parameter Group 0\n    differentiable: False\n    eps: 1e-06\n    foreach: None\n"
    text = repr(torch.optim.Adadelta([p]))
    assert text.startswith("Adadelta (\nParameter Group 0\n    capturable: False\n    differentiable: False\n")
    assert text.endswith("    weight_decay: 0\n)")
    assert expected.split("\n", 2)[2] in text


def test_an_optimizer_must_define_step():
    with pytest.raises(NotImplementedError):
        torch.optim.Optimizer(noisy_parameters((1,)), {}).step()


def test_in_place_changes_are_counted():
    (p,) = noisy_parameters((2,))
    optimizer = make("SGD", [p], lr=0.1)
    loss = (p * p).sum()
    p.grad = torch.ones(2)
    optimizer.step()
    with pytest.raises(RuntimeError):
        loss.backward()


# ---- the update as data ------------------------------------------------------------------------------------------


def test_formulas():
    assert torch.optim.SGD.rule.formula(momentum=True, nesterov=True) == (
        "momentum_buffer' = momentum * momentum_buffer + g\np' = p - lr * (g + momentum * momentum_buffer')"
    )
    assert str(torch.optim.Adagrad.rule) == (
        "step' = step + 1\nsum' = sum + g * g\np' = p - lr / (1 + step * lr_decay) * (g / (sqrt(sum') + eps))"
    )
    assert repr(torch.optim.Adam.rule) == "<rule adam_rule>"


def in_parts(update, own, numbers, fuse):
    """The update of `Packed`: for each row alone, or for all at once."""
    p, g, *state = own.values()
    whole, count, gather, middle, scatter = update.parts(fuse)
    temporaries = [np.empty_like(p) for _ in range(count)]
    if middle is None:
        return whole(p, g, state, numbers, temporaries)
    g = g.copy()
    for i in range(len(p) if gather is not None else 0):
        gather(p[i], g[i], [s[i] for s in state], numbers, [t[i] for t in temporaries])
    middle(g, state, numbers, temporaries)
    for i in range(len(p)):
        scatter(p[i], g[i], [s[i] for s in state], numbers, [t[i] for t in temporaries])


@pytest.mark.parametrize("name", RULED)
def test_compiled_updates_agree_with_their_expressions(name):
    """In place, with shared storage, for every choice of what is on: what the expressions say."""
    rule = getattr(torch.optim, name).rule
    free = [o for o in rule.options if o in rule.switches | rule.optional]
    rng = np.random.default_rng(0)
    for on in itertools.product([False, True], repeat=len(free)):
        chosen = dict(zip(free, on))
        program = rule.program(tuple(chosen.get(o, True) for o in rule.options))
        values = {o: float(rng.uniform(0.1, 0.9)) for o in program.options}
        counts = {n: float(rng.integers(5, 20)) for n in program.counts}
        own = {n: rng.uniform(0.5, 2.0, (3, 5)) for n in ("p", "g", *program.arrays)}
        expected = evaluate(program.outputs, {n: torch.tensor(a) for n, a in own.items()} | values | counts)
        numbers, kept = program.update.numbers(np.dtype("float64"), *counts.values(), *values.values())
        for run in ("whole", "pieces", "threads", "long", "parts 0", "parts 1", "parts 2", "machine code"):
            mine = {n: a.copy() for n, a in own.items()}
            with pytest.MonkeyPatch.context() as patch:
                if run in ("pieces", "threads"):
                    patch.setattr(backend, "PIECE", 4)
                    patch.setattr(backend, "_local", threading.local())
                if run == "threads":
                    patch.setattr(backend, "SHARED", 0)
                    patch.setattr(backend.threads, "get_num_threads", lambda: 3)
                if run == "long":
                    patch.setattr(backend.axpby, "WORTH", 0)
                if "parts" in run:
                    in_parts(program.update, mine, numbers, int(run[-1]))
                elif run == "machine code":
                    if 1 < sum(on) < len(on):  # to compile all would take 10 s
                        continue
                    if kernel := program.update.kernel(np.dtype("float64")):
                        p, g, *state = mine.values()
                        Table(kernel, [p], [[a] for a in state]).run([g], numbers)
                    else:
                        assert not backend.codegen.jit.available()
                        continue
                else:
                    program.update.run(list(mine.values()), numbers)
            for n, a in mine.items():
                wanted = expected[n].array if n in expected else own[n]
                np.testing.assert_allclose(a, wanted, rtol=1e-12, err_msg=f"{name} {chosen} {run} {n}")
        for n, value in zip(program.update.new_numbers, kept):
            assert value == pytest.approx(expected[n])


@pytest.mark.parametrize("name", RULED)
def test_layout_and_size_do_not_matter(name):
    """Pieces, transposed and strided memory, no dimensions: the bits of a plain array."""
    rng = np.random.default_rng(0)
    start, slopes = rng.standard_normal((60, 50)), rng.standard_normal((4, 60, 50))

    def run(lay_out, piece: int):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(backend, "PIECE", piece)
            patch.setattr(backend, "_local", threading.local())
            p = lay_out(torch.tensor(start)).detach().requires_grad_()
            optimizer = make(name, [p])
            for g in slopes:
                p.grad = torch.tensor(g)
                optimizer.step()
        return p.detach().array

    plain = run(lambda t: t, 10**6)
    for piece in (7, 1024, 3000):
        np.testing.assert_array_equal(run(lambda t: t, piece), plain)
    for piece in (64, 10**6):
        np.testing.assert_array_equal(run(lambda t: t.t().contiguous().t(), piece), plain)
        np.testing.assert_array_equal(run(lambda t: torch.stack([t, t], 2)[:, :, 1], piece), plain)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_axpby_has_the_bits_of_products_and_a_sum(dtype):
    function = backend.axpby.axpby()
    if function is None:
        pytest.skip("NumPy's BLAS has no axpby that rounds as NumPy does")
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal(2).astype(dtype)
    for n in (0, 1, 7, 33, 5000):
        x, y = rng.standard_normal((2, n + 3)).astype(dtype)
        for start in range(3):
            expected, result = a * x + b * y, y.copy()
            function(a, x[start : start + n], b, result[start : start + n])
            np.testing.assert_array_equal(result[start : start + n], expected[start : start + n])
            assert (result[start + n :] == y[start + n :]).all()


# ---- state side by side ------------------------------------------------------------------------------------------


def disturb_nothing(optimizer):
    pass


def disturb_a_gradient(optimizer):
    optimizer.param_groups[0]["params"][1].grad = None


def disturb_a_layout(optimizer):
    p = optimizer.param_groups[0]["params"][0]
    p.grad = p.grad.t().contiguous().t()


def disturb_the_values(optimizer):
    p = optimizer.param_groups[0]["params"][2]
    p.data = p.data * 2


def disturb_the_state(optimizer):
    p = optimizer.param_groups[0]["params"][0]
    for name, value in optimizer.state[p].items():
        if value.ndim:
            optimizer.state[p][name] = value * 0.5


def disturb_the_memory_of_state(optimizer):
    p = optimizer.param_groups[0]["params"][3]
    for value in optimizer.state[p].values():
        value.data = value.data * 1.0


def disturb_a_count(optimizer):
    p = optimizer.param_groups[0]["params"][3]
    if "step" in optimizer.state[p]:
        optimizer.state[p]["step"] += 3


def disturb_by_loading(optimizer):
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))


def disturb_by_forgetting(optimizer):
    optimizer.state.pop(optimizer.param_groups[0]["params"][2], None)


def disturb_an_option(optimizer):
    optimizer.param_groups[0]["lr"] *= 0.5


def disturb_the_rule(optimizer):
    optimizer.param_groups[0]["maximize"] = True


def disturb_by_a_tensor(optimizer):
    optimizer.param_groups[0]["lr"] = torch.tensor(0.25)


def disturb_the_group(optimizer):
    optimizer.add_param_group({"params": noisy_parameters((3,), (2,), seed=5)})


DISTURBANCES = [value for name, value in list(globals().items()) if name.startswith("disturb_")]


@pytest.mark.parametrize("kind", ["Packed", "Tabled"])
@pytest.mark.parametrize("name", RULED)
@pytest.mark.parametrize("disturb", DISTURBANCES, ids=lambda f: f.__name__[8:])
def test_steps_together_have_the_bits_of_single_ones(name, disturb, kind, monkeypatch):
    """Whatever happens between steps, with pieces smaller than the parameters together, and with generated code."""
    if kind == "Tabled" and not backend.codegen.jit.available():
        pytest.skip("no code generation on this machine")
    monkeypatch.setattr(packed, "TOGETHER", 21)
    monkeypatch.setattr(packed, "LEAST", 0 if kind == "Tabled" else 10**9)
    monkeypatch.setattr(step_table, "WORK", 32)
    kwargs = {"momentum": 0.9} if name in ("SGD", "RMSprop") else {}
    together, single = (make(name, noisy_parameters((3, 4), (5,), (2, 2, 2), (7,), (90,), ()), **kwargs) for _ in "ab")
    single._pack = lambda group, members, options: None
    for i in range(6):
        for optimizer in (together, single):
            rng = np.random.default_rng(i)
            for group in optimizer.param_groups:
                for p in group["params"]:
                    p.grad = torch.tensor(rng.standard_normal(p.shape).astype("float32"))
            if i == 3:
                disturb(optimizer)
            optimizer.step()
        assert_same_bits(together, single)
    assert str(together.state_dict()) == str(single.state_dict())
    assert any(pack.params for pack in together._packs.values())
    assert {type(pack).__name__ for pack in together._packs.values()} == {kind}


@pytest.mark.parametrize("threads", [1, 3])
def test_generated_updates_of_many_sizes(threads):
    """Stretches of large parameters, several small ones at a time, memory that cannot be written."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        sizes = [100_000, 1, 70, 5000, 32768, 3, 40_000]
        together, single = (make("Adam", noisy_parameters(*[(n,) for n in sizes])) for _ in "ab")
        single._pack = lambda group, members, options: None
        for optimizer in (together, single):
            walk(optimizer, 3)
        assert_same_bits(together, single)
        (pack,) = together._packs.values()
        assert (type(pack) is packed.Tabled) == backend.codegen.jit.available()
        together.param_groups[0]["params"][1].array.flags.writeable = False
        together._packs.clear()
        with pytest.raises(ValueError, match="read-only"):
            walk(together, 1)
    finally:
        torch.set_num_threads(before)


def test_packed_state_is_changed_in_place():
    optimizer = make("Adam", noisy_parameters((3,), (4,)))
    walk(optimizer, 2)
    mean = optimizer.state[optimizer.param_groups[0]["params"][0]]["exp_avg"]
    before, version = mean.clone(), mean._version
    walk(optimizer, 1)
    assert mean._version > version
    assert not torch.equal(mean, before)


@pytest.mark.parametrize("name", RULED)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (2, 0, 3)])
def test_any_shape(name, shape):
    optimizer = make(name, noisy_parameters(shape))
    walk(optimizer, 3)
    assert arrays(optimizer)[0].shape == shape
    assert np.isfinite(arrays(optimizer)[0]).all()


@pytest.mark.parametrize("name", RULED)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves_are_rounded_once(name, dtype):
    rng = np.random.default_rng(0)
    kind = getattr(torch, dtype)
    p = torch.tensor(rng.standard_normal(9)).to(kind).requires_grad_()
    wide = p.detach().float().requires_grad_()
    g = torch.tensor(rng.standard_normal(9)).to(kind)
    p.grad, wide.grad = g, g.float()
    for t in (p, wide):
        make(name, [t], lr=2**-6).step()  # a rate that the half represents: Rprop keeps it as state
    np.testing.assert_array_equal(p.detach().float().array, wide.detach().to(kind).float().array)


@pytest.mark.parametrize("name", RULED)
def test_a_complex_parameter_is_a_pair_of_real_ones(name):
    rng = np.random.default_rng(0)
    values, slopes = rng.standard_normal((2, 6)), rng.standard_normal((3, 2, 6))
    paired = torch.tensor(values[0] + 1j * values[1], requires_grad=True)
    parts = [torch.tensor(v, requires_grad=True) for v in values]
    one, two = make(name, [paired]), make(name, parts)
    for g in slopes:
        paired.grad = torch.tensor(g[0] + 1j * g[1])
        for part, slope in zip(parts, g):
            part.grad = torch.tensor(slope)
        one.step()
        two.step()
    np.testing.assert_array_equal(paired.detach().array, parts[0].array + 1j * parts[1].array)


@pytest.mark.parametrize("name", RULED)
def test_steps_can_be_differentiated(name):
    """The gradient of the parameter after three steps by where it started and by the learning rate."""
    kwargs = {"momentum": 0.9} if name in ("SGD", "RMSprop") else {}
    rate = 0.05

    def end(start, rate):
        p = start.clone()
        optimizer = make(name, [p], lr=rate, differentiable=True, **kwargs)
        for i in range(3):
            p.grad = start * (i + 1) + 0.5
            optimizer.step()
        return (p**3).sum()

    start = torch.tensor([0.7, -1.3], dtype=torch.float64, requires_grad=True)
    end(start, rate).backward()
    for i in range(2):
        shift = torch.zeros(2, dtype=torch.float64)
        shift[i] = 1e-6
        with torch.no_grad():
            slope = (end(start + shift, rate) - end(start - shift, rate)) / 2e-6
        assert start.grad[i].item() == pytest.approx(slope.item(), rel=1e-5)
    if name in ("ASGD", "Rprop"):  # there the rate is a number of the state
        return
    learned = torch.tensor(rate, dtype=torch.float64, requires_grad=True)
    end(start.detach(), learned).backward()
    with torch.no_grad():
        slope = (end(start, rate + 1e-6) - end(start, rate - 1e-6)) / 2e-6
    assert learned.grad.item() == pytest.approx(slope.item(), rel=1e-5)


def test_threads_step_side_by_side():
    """Temporaries are not shared between threads."""

    def run(seed, results):
        rng = np.random.default_rng(seed)
        p = torch.tensor(rng.standard_normal(20000), requires_grad=True)
        p.grad = torch.tensor(rng.standard_normal(20000))
        optimizer = torch.optim.Adam([p])
        for _ in range(20):
            optimizer.step()
        results[seed] = p.detach().array

    alone, together = {}, {}
    for seed in range(4):
        run(seed, alone)
    threads = [threading.Thread(target=run, args=(seed, together)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in range(4):
        np.testing.assert_array_equal(alone[seed], together[seed])


# ---- L-BFGS ------------------------------------------------------------------------------------------------------


def rosenbrock_by_lbfgs(**kwargs):
    x = torch.tensor([-1.2, 1.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([x], **kwargs)
    return optimizer, lambda: (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


def test_lbfgs_needs_few_evaluations():
    optimizer, function = rosenbrock_by_lbfgs(line_search_fn="strong_wolfe", max_iter=100)
    solve(optimizer, function, 1)
    assert float(function()) < 1e-8
    (state,) = optimizer.state.values()
    assert state["func_evals"] < 80
    assert solve(optimizer, function, 1)[0] < 1e-8  # at the minimum it stops at once


@pytest.mark.parametrize("kwargs", [{"line_search_fn": "strong_wolfe"}, {"lr": 1e-3}], ids=repr)
def test_lbfgs_continues_to_the_bit(kwargs):
    one, first = rosenbrock_by_lbfgs(max_iter=4, history_size=3, **kwargs)
    solve(one, first, 2)
    other, second = rosenbrock_by_lbfgs(max_iter=4, history_size=3, **kwargs)
    with torch.no_grad():
        other.param_groups[0]["params"][0].copy_(one.param_groups[0]["params"][0])
    other.load_state_dict(pickle.loads(pickle.dumps(one.state_dict())))
    assert solve(one, first, 3) == solve(other, second, 3)
    assert_same_bits(one, other)


def test_lbfgs_in_single_precision_and_odd_layouts():
    p = torch.stack([torch.ones(3, 2), torch.zeros(3, 2)], 2)[:, :, 0].t().detach().requires_grad_()
    q = torch.tensor(4.0, requires_grad=True)
    rate = torch.tensor(1.0)
    optimizer = torch.optim.LBFGS([p, q, torch.ones(2, requires_grad=True)], lr=rate, line_search_fn="strong_wolfe")
    losses = solve(optimizer, lambda: ((p - q) ** 2).sum() + (q - 1) ** 2 + (p**4).sum(), 5)
    assert losses[-1] < 1.3
    assert p.dtype == torch.float32


def test_lbfgs_refuses():
    p, q = noisy_parameters((1,), (2,))
    with pytest.raises(ValueError, match="one parameter group\n  got: 2"):
        torch.optim.LBFGS([{"params": [p]}, {"params": [q]}])
    with pytest.raises(RuntimeError, match="got: 'armijo'"):
        torch.optim.LBFGS([p], line_search_fn="armijo").step(lambda: p.sum())


# ---- schedules ---------------------------------------------------------------------------------------------------


SCHEDULES = {
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda epoch: 0.9**epoch),
    "MultiplicativeLR": lambda o: lr_scheduler.MultiplicativeLR(o, lambda epoch: 0.9),
    "StepLR": lambda o: lr_scheduler.StepLR(o, 3),
    "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, [2, 4, 4], gamma=0.5),
    "ConstantLR": lambda o: lr_scheduler.ConstantLR(o),
    "LinearLR": lambda o: lr_scheduler.LinearLR(o),
    "ExponentialLR": lambda o: lr_scheduler.ExponentialLR(o, 0.9),
    "PolynomialLR": lambda o: lr_scheduler.PolynomialLR(o, total_iters=8, power=2.0),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, 6, eta_min=0.01),
    "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 3, T_mult=2),
    "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, 0.1, 1.0, step_size_up=4, mode="triangular2"),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 1.0, total_steps=30),
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o, total_iters=3), lr_scheduler.ExponentialLR(o, 0.8)], milestones=[4]
    ),
    "ChainedScheduler": lambda o: lr_scheduler.ChainedScheduler(
        [lr_scheduler.ConstantLR(o, total_iters=3), lr_scheduler.ExponentialLR(o, 0.8)], o
    ),
}
CLOSED_FORMS = {
    "LambdaLR": lambda t: 0.9**t,
    "MultiplicativeLR": lambda t: 0.9**t,
    "StepLR": lambda t: 0.1 ** (t // 3),
    "MultiStepLR": lambda t: 0.5 ** ((t >= 2) + 2 * (t >= 4)),
    "ConstantLR": lambda t: 1 / 3 if t < 5 else 1,
    "LinearLR": lambda t: 1 / 3 + 2 / 3 * min(t, 5) / 5,
    "ExponentialLR": lambda t: 0.9**t,
    "PolynomialLR": lambda t: (1 - min(t, 8) / 8) ** 2,
    "CosineAnnealingLR": lambda t: 0.01 + 0.99 * (1 + math.cos(math.pi * t / 6)) / 2,
    "ChainedScheduler": lambda t: (1 / 3 if t < 3 else 1) * 0.8**t,
    "SequentialLR": lambda t: 1 / 3 + 2 / 3 * min(t, 3) / 3 if t < 4 else 0.8 ** (t - 4),
}


def scheduled(name: str):
    optimizer = make("SGD", noisy_parameters((1,)), lr=1.0, momentum=0.9)
    return optimizer, SCHEDULES[name](optimizer)


def test_every_schedule_is_tested():
    assert sorted(lr_scheduler.__all__) == sorted([*SCHEDULES, "LRScheduler", "ReduceLROnPlateau"])


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_rates_are_those_of_the_formula(name):
    optimizer, scheduler = scheduled(name)
    for t in range(20):
        assert scheduler.get_last_lr() == [optimizer.param_groups[0]["lr"]]
        assert optimizer.param_groups[0]["lr"] == pytest.approx(CLOSED_FORMS[name](t), rel=1e-9, abs=1e-12), t
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_continues_from_its_checkpoint(name):
    optimizer, scheduler = scheduled(name)
    for _ in range(5):
        optimizer.step()
        scheduler.step()
    saved = pickle.loads(pickle.dumps((optimizer.state_dict(), scheduler.state_dict())))
    other, resumed = scheduled(name)
    resumed.load_state_dict(saved[1])
    other.load_state_dict(saved[0])
    for _ in range(10):
        for o, s in ((optimizer, scheduler), (other, resumed)):
            o.step()
            s.step()
        assert resumed.get_last_lr() == scheduler.get_last_lr()
        assert repr(other) == repr(optimizer)


def test_a_schedule_resumes_at_an_epoch():
    optimizer, _ = scheduled("ExponentialLR")
    resumed = lr_scheduler.StepLR(optimizer, 2, last_epoch=3)
    assert resumed.last_epoch == 4
    with pytest.raises(KeyError, match="has no 'initial_lr'"):
        lr_scheduler.StepLR(make("SGD", noisy_parameters((1,))), 2, last_epoch=3)


def test_callable_objects_of_a_schedule_are_saved():
    class Warmup:
        def __init__(self, steps):
            self.steps = steps

        def __call__(self, epoch):
            return min(1.0, (epoch + 1) / self.steps)

    optimizer = make("SGD", noisy_parameters((1,)), lr=1.0)
    saved = lr_scheduler.LambdaLR(optimizer, Warmup(10)).state_dict()
    assert saved["lr_lambdas"] == [{"steps": 10}]
    own = Warmup(2)
    other = lr_scheduler.LambdaLR(optimizer, own)
    other.load_state_dict(saved)
    assert own.steps == 10
    assert other.lr_lambdas == [own]
    cyclic = lr_scheduler.CyclicLR(optimizer, 0.1, 1.0, scale_fn=own, cycle_momentum=False)
    saved = cyclic.state_dict()
    own.steps = 3
    cyclic.load_state_dict(saved)
    assert own.steps == 10


def test_plateau():
    optimizer = make("SGD", noisy_parameters((1,)), lr=1.0)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1, cooldown=1, min_lr=0.2)
    rates = []
    for loss in (3.0, 2.0, torch.tensor(2.0), 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0):
        scheduler.step(loss)
        rates.append(scheduler.get_last_lr()[0])
    assert rates == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.2]
    optimizer.add_param_group({"params": noisy_parameters((2,)), "lr": 1.0})
    for _ in range(5):
        scheduler.step(2.0)
    assert scheduler.get_last_lr()[1] == 0.5
    strict = lr_scheduler.ReduceLROnPlateau(optimizer, min_lr=[0.0, 0.1], patience=0)
    optimizer.add_param_group({"params": noisy_parameters((2,))})
    strict.step(1.0)
    with pytest.raises(RuntimeError, match=r"got: 3\n  expected: 2"):
        strict.step(1.0)


@pytest.mark.parametrize(
    ("schedule", "error", "text"),
    [
        (lambda o: lr_scheduler.StepLR("optimizer", 1), TypeError, "got: str"),
        (lambda o: lr_scheduler.ConstantLR(o, factor=2), ValueError, "got: 2"),
        (lambda o: lr_scheduler.LinearLR(o, start_factor=0), ValueError, "start_factor is 0"),
        (lambda o: lr_scheduler.LinearLR(o, end_factor=-1), ValueError, "got: -1"),
        (lambda o: lr_scheduler.LambdaLR(o, [abs, abs]), ValueError, r"got: 2\n  expected: 1"),
        (lambda o: lr_scheduler.MultiplicativeLR(o, 0.5), TypeError, "got: float"),
        (lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 0), ValueError, "T_0 is a positive int"),
        (lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 3, T_mult=0.5), ValueError, "got: 0.5"),
        (lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 3, eta_min="0"), ValueError, "got: str"),
        (lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 3).step(-1), ValueError, "got: -1"),
        (lambda o: lr_scheduler.CyclicLR(o, 0.1, 1.0, mode="square"), ValueError, "got: 'square'"),
        (lambda o: lr_scheduler.CyclicLR(make("Adagrad", [torch.ones(1)]), 0.1, 1.0), ValueError, "got: Adagrad"),
        (lambda o: lr_scheduler.OneCycleLR(o, 1.0), ValueError, "length of the cycle is not given"),
        (lambda o: lr_scheduler.OneCycleLR(o, 1.0, total_steps=0), ValueError, "got: 0"),
        (lambda o: lr_scheduler.OneCycleLR(o, 1.0, epochs=2, steps_per_epoch=0.5), ValueError, "steps_per_epoch"),
        (lambda o: lr_scheduler.OneCycleLR(o, 1.0, total_steps=9, pct_start=2.0), ValueError, "got: 2.0"),
        (lambda o: lr_scheduler.OneCycleLR(o, 1.0, total_steps=9, anneal_strategy="x"), ValueError, "got: 'x'"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, factor=1.0), ValueError, "got: 1.0"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, mode="best"), ValueError, "got: 'best'"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, threshold_mode="best"), ValueError, "got: 'best'"),
        (lambda o: lr_scheduler.SequentialLR(o, [], []), ValueError, "no schedule in the list"),
        (
            lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.StepLR(o, 1)], [3]),
            ValueError,
            "1 milestones, 1 schedules",
        ),
        (lambda o: lr_scheduler.ChainedScheduler([1]), TypeError, "got: int"),
        (lambda o: lr_scheduler.ChainedScheduler([lr_scheduler.ReduceLROnPlateau(o)]), ValueError, "needs a metric"),
        (lambda o: lr_scheduler.SequentialLR(o, [scheduled("StepLR")[1]], []), ValueError, "another optimizer"),
    ],
)
def test_refuses_schedules(schedule, error, text):
    with pytest.raises(error, match=text):
        schedule(make("SGD", noisy_parameters((1,)), momentum=0.9))


def test_one_cycle_ends():
    optimizer = make("Adam", noisy_parameters((1,)))
    scheduler = lr_scheduler.OneCycleLR(optimizer, 1.0, epochs=1, steps_per_epoch=2)
    optimizer.step()
    scheduler.step()
    scheduler.step()
    with pytest.raises(ValueError, match=r"got: step 3\n  expected: at most 2"):
        scheduler.step()


def test_warnings_of_schedules():
    optimizer, scheduler = scheduled("StepLR")
    with pytest.warns(UserWarning, match="call get_last_lr"):
        scheduler.get_lr()
    with pytest.warns(UserWarning, match=r"before optimizer.step\(\)"):
        scheduler.step()
    optimizer, scheduler = scheduled("StepLR")
    optimizer.step = lambda: None
    with pytest.warns(UserWarning, match="was replaced"):
        scheduler.step()
    with pytest.warns(UserWarning, match="deprecated"):
        scheduler.step(3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer, scheduler = scheduled("StepLR")
        optimizer.step()
        scheduler.step()


def test_the_base_of_schedules_needs_a_rate():
    with pytest.raises(NotImplementedError, match="get_lr"):
        lr_scheduler.LRScheduler(make("SGD", noisy_parameters((1,))))
