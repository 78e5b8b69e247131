"""Optimizers and schedules against PyTorch: the same steps, rates and texts, and interchangeable checkpoints."""

from __future__ import annotations

import copy
import inspect
import itertools
import warnings

import numpy as np
import pytest

import tapegrad

torch = pytest.importorskip("torch")

SHAPES = [(3, 4), (5,), ()]
# Values that leave the default of each option; an optimizer is run with every option alone and with all together.
GRID = {
    "lr": [0.03],
    "momentum": [0.8],
    "dampening": [0.3],
    "nesterov": [True],
    "weight_decay": [0.1],
    "maximize": [True],
    "betas": [(0.8, 0.95), (0.3, 0.9)],
    "eps": [1e-3],
    "amsgrad": [True],
    "centered": [True],
    "alpha": [0.9],
    "lr_decay": [0.1],
    "initial_accumulator_value": [0.5],
    "rho": [0.7],
    "momentum_decay": [0.1],
    "decoupled_weight_decay": [True],
    "lambd": [0.01],
    "t0": [20.0],
    "etas": [(0.4, 1.5)],
    "step_sizes": [(1e-3, 0.1)],
    "foreach": [True],
    "fused": [True],
}
NOT_ON_CPU = {"capturable", "differentiable", "params"}


def classes(module) -> set[str]:
    found = {
        n: v for n, v in vars(module.optim).items() if inspect.isclass(v) and issubclass(v, module.optim.Optimizer)
    }
    return {n for n, v in found.items() if v is not module.optim.Optimizer}


OWN_TESTS = {"LBFGS", "Adafactor", "Muon", "SparseAdam"}  # they are no rules: see below


def optimizers() -> list[str]:
    return sorted(classes(tapegrad) - OWN_TESTS)


def test_every_optimizer_is_here():
    assert classes(tapegrad) == classes(torch)
    assert set(torch.optim.__all__) <= set(dir(tapegrad.optim))
    assert set(torch.optim.swa_utils.__all__) <= set(dir(tapegrad.optim.swa_utils))
    assert set(torch.optim.lr_scheduler.__all__) <= set(dir(tapegrad.optim.lr_scheduler))
    assert {s.name for s in SCHEDULES} | {"LRScheduler", "ReduceLROnPlateau"} == set(torch.optim.lr_scheduler.__all__)


def cases() -> list:
    found = []
    for name in optimizers():
        options = [
            o
            for o in inspect.signature(getattr(torch.optim, name).__init__).parameters
            if o not in {*NOT_ON_CPU, "self"}
        ]
        assert set(options) <= set(GRID), "an option that GRID does not know"
        singles = [{o: v} for o in options for v in GRID[o]]
        if name == "SGD":
            singles = [{"momentum": 0.8, **s} for s in singles if "momentum" not in s] + singles
            singles = [s for s in singles if not s.get("nesterov") or s.get("momentum")]
        together = {o: GRID[o][0] for o in options if o not in ("foreach", "fused", "nesterov", "etas")}
        for kwargs in ({}, *singles, together):
            found.append(pytest.param(name, kwargs, id=f"{name}-{'-'.join(kwargs) or 'defaults'}-{len(found)}"))
    return found


def twins(name: str, kwargs: dict, dtype: str = "float64", shapes=SHAPES):
    """The same optimizer over the same parameters in both packages."""
    rng = np.random.default_rng(1)
    arrays = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    ours = [tapegrad.tensor(a, requires_grad=True) for a in arrays]
    return getattr(torch.optim, name)(theirs, **kwargs), getattr(tapegrad.optim, name)(ours, **kwargs)


def params(optimizer) -> list:
    return [p for group in optimizer.param_groups for p in group["params"]]


def steps(theirs, ours, n: int, rng=None) -> None:
    """Step both along the same gradients: of a quadratic around 0.5 with noise."""
    rng = rng or np.random.default_rng(2)
    for _ in range(n):
        for p, q in zip(params(theirs), params(ours)):
            noise = rng.standard_normal(tuple(p.shape)).astype(q.array.dtype)
            g = np.asarray(2 * (p.detach().numpy() - 0.5) + 0.3 * noise, dtype=q.array.dtype)
            p.grad = torch.tensor(g)
            q.grad = tapegrad.tensor(g)
        theirs.step()
        ours.step()


def assert_close(theirs, ours, rtol: float, atol: float) -> None:
    for p, q in zip(params(theirs), params(ours)):
        np.testing.assert_allclose(q.array, p.detach().numpy(), rtol=rtol, atol=atol)
        for key, value in theirs.state.get(p, {}).items():
            np.testing.assert_allclose(
                ours.state[q][key].array, value.numpy(), rtol=rtol * 10, atol=atol * 10, err_msg=key
            )
            assert str(ours.state[q][key].dtype) == str(value.dtype)
        assert list(ours.state.get(q, {})) == list(theirs.state.get(p, {}))


@pytest.mark.parametrize(("name", "kwargs"), cases())
def test_follows_in_double(name, kwargs):
    theirs, ours = twins(name, kwargs)
    steps(theirs, ours, 50)
    # the state that is one float32 number (mu_product, eta) is rounded at other places
    assert_close(theirs, ours, 1e-6, 1e-7)
    if name not in ("NAdam", "ASGD"):
        assert_close(theirs, ours, 1e-10, 1e-11)


@pytest.mark.parametrize("name", optimizers())
def test_follows_in_single(name):
    theirs, ours = twins(name, {}, "float32")
    steps(theirs, ours, 50)
    assert_close(theirs, ours, 1e-5, 1e-6)


@pytest.mark.parametrize("name", optimizers())
def test_follows_with_complex_parameters(name):
    theirs, ours = twins(name, {}, "complex128")
    steps(theirs, ours, 20)
    assert_close(theirs, ours, 1e-6, 1e-7)


@pytest.mark.parametrize("name", optimizers())
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves_follow_roughly(name, dtype):
    rng = np.random.default_rng(1)
    start, slope = rng.standard_normal(50).astype("float32"), rng.uniform(0.5, 2, 50).astype("float32")
    theirs = torch.tensor(start).to(getattr(torch, dtype)).requires_grad_()
    ours = tapegrad.tensor(start).to(getattr(tapegrad, dtype)).requires_grad_()
    kwargs = (
        {}
        if name == "Rprop"
        else {"eps": 1e-4}
        if "eps" in inspect.signature(getattr(torch.optim, name)).parameters
        else {}
    )
    a, b = getattr(torch.optim, name)([theirs], **kwargs), getattr(tapegrad.optim, name)([ours], **kwargs)
    for _ in range(5):
        theirs.grad = torch.tensor(slope).to(theirs.dtype)
        ours.grad = tapegrad.tensor(slope).to(ours.dtype)
        a.step()
        b.step()
    assert str(ours.dtype) == str(theirs.dtype)
    np.testing.assert_allclose(ours.float().detach().numpy(), theirs.float().detach().numpy(), atol=0.05, rtol=0.05)


@pytest.mark.parametrize("name", optimizers())
def test_signature_defaults_and_text(name):
    theirs, ours = twins(name, {})
    expected, found = (inspect.signature(getattr(m.optim, name).__init__) for m in (torch, tapegrad))
    assert [(p.name, p.default, p.kind) for p in expected.parameters.values()] == [
        (p.name, p.default, p.kind) for p in found.parameters.values()
    ]
    assert list(theirs.defaults) == list(ours.defaults)
    assert repr(theirs) == repr(ours)
    assert str(ours.state_dict()["param_groups"]) == str(theirs.state_dict()["param_groups"])


def to_ours(value):
    """A checkpoint of PyTorch's in our tensors."""
    if isinstance(value, torch.Tensor):
        return tapegrad.tensor(value.detach().numpy())
    if isinstance(value, dict):
        return {k: to_ours(v) for k, v in value.items()}
    return [to_ours(v) for v in value] if isinstance(value, list) else copy.copy(value)


def to_theirs(value):
    if isinstance(value, tapegrad.Tensor):
        return torch.tensor(value.detach().numpy())
    if isinstance(value, dict):
        return {k: to_theirs(v) for k, v in value.items()}
    return [to_theirs(v) for v in value] if isinstance(value, list) else copy.copy(value)


@pytest.mark.parametrize("name", optimizers())
def test_checkpoints_are_interchangeable(name):
    kwargs = {"momentum": 0.9} if name in ("SGD", "RMSprop") else {"amsgrad": True} if name in ("Adam", "AdamW") else {}
    theirs, ours = twins(name, kwargs)
    steps(theirs, ours, 10)
    crossed_theirs, crossed_ours = twins(name, kwargs)
    for source, target in ((theirs, crossed_theirs), (ours, crossed_ours)):
        for p, q in zip(params(source), params(target)):
            q.data = p.data
    crossed_ours.load_state_dict(to_ours(theirs.state_dict()))
    crossed_theirs.load_state_dict(to_theirs(ours.state_dict()))
    steps(crossed_theirs, crossed_ours, 10)
    assert_close(crossed_theirs, crossed_ours, 1e-6, 1e-7)
    expected, found = crossed_theirs.state_dict(), crossed_ours.state_dict()
    assert list(expected["state"]) == list(found["state"])
    for key, state in expected["state"].items():
        assert list(state) == list(found["state"][key])


def test_checkpoint_of_a_fresh_optimizer():
    for name in optimizers():
        theirs, ours = twins(name, {})
        assert str(ours.state_dict()).replace("tapegrad", "torch") == str(theirs.state_dict()), name


BAD = [
    ("SGD", {"lr": -1.0}),
    ("SGD", {"momentum": -1.0}),
    ("SGD", {"weight_decay": -1.0}),
    ("SGD", {"nesterov": True}),
    ("SGD", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}),
    ("SGD", {"fused": True, "foreach": True}),
    ("SGD", {"fused": True, "differentiable": True}),
    ("Adam", {"lr": -1.0}),
    ("Adam", {"lr": float("nan")}),
    ("Adam", {"eps": -1.0}),
    ("Adam", {"betas": (1.0, 0.9)}),
    ("Adam", {"betas": (0.9, -0.1)}),
    ("Adam", {"weight_decay": -1.0}),
    ("AdamW", {"betas": (0.9, 1)}),
    ("Adam", {"betas": (0, 0.9)}),
    ("RMSprop", {"alpha": -1.0}),
    ("RMSprop", {"momentum": -1.0}),
    ("Adagrad", {"lr_decay": -1.0}),
    ("Adagrad", {"initial_accumulator_value": -1.0}),
    ("Adadelta", {"rho": 1.5}),
    ("Adamax", {"betas": (0.9, 2.0)}),
    ("NAdam", {"momentum_decay": -1.0}),
    ("RAdam", {"eps": -1.0}),
    ("ASGD", {"weight_decay": -1.0}),
    ("Rprop", {"etas": (1.5, 1.2)}),
    ("Adafactor", {"lr": -1.0}),
    ("Adafactor", {"beta2_decay": 0.1}),
    ("Adafactor", {"eps": (-1.0, 1e-3)}),
    ("Adafactor", {"eps": (None, -1.0)}),
    ("Adafactor", {"d": 0.5}),
    ("SparseAdam", {"lr": 0.0}),
    ("SparseAdam", {"eps": 0.0}),
    ("SparseAdam", {"betas": (1.0, 0.9)}),
    ("Muon", {"lr": -1.0}),
    ("Muon", {"momentum": -1.0}),
    ("Muon", {"adjust_lr_fn": "best"}),
]


@pytest.mark.parametrize(("name", "kwargs"), BAD)
def test_refuses_what_pytorch_refuses(name, kwargs):
    errors = []
    for module in (torch, tapegrad):
        with pytest.raises((ValueError, RuntimeError)) as caught:
            getattr(module.optim, name)([module.ones(1, 1, requires_grad=True)], **kwargs)
        errors.append(caught.type)
    assert errors[0] is errors[1]
    value = next(iter(kwargs.values()))
    assert str(value) in str(caught.value) or isinstance(value, bool) or "eps" in kwargs


def valley(x):
    return (1 - x[0]) ** 2 + 10 * (x[1] - x[0] ** 2) ** 2


@pytest.mark.parametrize(
    "kwargs",
    [
        {"line_search_fn": "strong_wolfe"},
        {"line_search_fn": "strong_wolfe", "history_size": 2, "max_iter": 4},
        {"line_search_fn": "strong_wolfe", "lr": 5.0, "max_eval": 6},
        {"lr": 0.05},
        {"lr": 0.05, "history_size": 3, "max_iter": 5, "tolerance_change": 1e-4},
        {"lr": 0.1, "max_iter": 1},
    ],
    ids=repr,
)
@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")  # PyTorch's LBFGS does it
def test_lbfgs(kwargs):
    """The same points, evaluations and state; its checkpoint is interchangeable."""
    found = []
    state = None
    for module in (torch, tapegrad):
        x = module.tensor([-1.2, 1.0], dtype=module.float64, requires_grad=True)
        z = module.tensor(0.3 - 2j, dtype=module.complex128, requires_grad=True)
        unused = module.ones(2, dtype=module.float64, requires_grad=True)
        optimizer = module.optim.LBFGS([x, z, unused], **kwargs)
        path = []

        def closure(optimizer=optimizer, x=x, z=z, path=path):
            optimizer.zero_grad()
            loss = valley(x) + abs(z.item() - 1) ** 2
            loss.backward()
            z.grad = 2 * (z.detach() - 1)
            path.append((float(loss), *x.detach().numpy(), z.item()))
            return loss

        for i in range(3):
            optimizer.step(closure)
            if i == 1:
                if state is None:
                    state = optimizer.state_dict()["state"]
                    saved = copy.deepcopy(state)
                else:
                    optimizer.load_state_dict({**optimizer.state_dict(), "state": to_ours(saved)})
        found.append((path, dict(optimizer.state_dict()["state"][0])))
    (their_path, theirs), (our_path, ours) = found
    np.testing.assert_allclose(our_path, their_path, rtol=1e-5, atol=1e-7)
    assert ours["func_evals"] == theirs["func_evals"]
    assert ours["n_iter"] == theirs["n_iter"]
    assert set(ours) == set(theirs)
    for key in ("d", "prev_flat_grad"):
        np.testing.assert_allclose(ours[key].numpy(), theirs[key].numpy(), rtol=1e-3, atol=1e-5)


# ---- optimizers that see whole parameters --------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"lr": 0.3, "beta2_decay": -0.5, "maximize": True},
        {"eps": (1e-4, 0.1), "weight_decay": 0.1},
        {"d": 3.0, "foreach": True},
        {"lr": 3.0, "eps": (None, 1e-8)},
    ],
    ids=repr,
)
def test_adafactor(kwargs, dtype):
    theirs, ours = twins("Adafactor", kwargs, dtype, [(3, 4), (5,), (), (2, 3, 4), (1, 1)])
    steps(theirs, ours, 50)
    assert_close(theirs, ours, *((1e-10, 1e-11) if dtype == "float64" else (1e-5, 1e-6)))
    crossed = twins("Adafactor", kwargs, dtype, [(3, 4), (5,), (), (2, 3, 4), (1, 1)])[1]
    for p, q in zip(params(ours), params(crossed)):
        q.data = p.data.clone()
    crossed.load_state_dict(to_ours(theirs.state_dict()))
    steps(theirs, crossed, 5)
    assert_close(theirs, crossed, 1e-5, 1e-6)


MUON = [
    {},
    {"lr": 0.02, "nesterov": False, "weight_decay": 0.0},
    {"momentum": 0.5, "ns_steps": 3, "ns_coefficients": (2.0, -1.5, 0.5)},
    {"adjust_lr_fn": "match_rms_adamw", "eps": 1e-3},
]


@pytest.mark.parametrize(
    ("kwargs", "dtype"),
    [
        (kwargs, dtype)
        for kwargs in MUON
        for dtype in ("float32", "float64", "bfloat16")
        # there PyTorch's step normalises its own momentum buffer: both share memory
        if dtype != "bfloat16" or kwargs.get("nesterov", True)
    ],
    ids=repr,
)
def test_muon(kwargs, dtype):
    """Within the rounding of bfloat16, in which both iterate: a last digit there is 0.004 of a step."""
    shapes = [(6, 4), (4, 6), (5, 5), (1, 3)]
    theirs, ours = twins("Muon", kwargs, "float32", shapes)
    for p, q in zip(params(theirs), params(ours)):
        p.data, q.data = p.data.to(getattr(torch, dtype)), q.data.to(getattr(tapegrad, dtype))
    rng = np.random.default_rng(2)
    for _ in range(10 if dtype == "bfloat16" else 50):
        for p, q in zip(params(theirs), params(ours)):
            g = rng.standard_normal(tuple(p.shape)).astype("float32")
            p.grad, q.grad = torch.tensor(g).to(p.dtype), tapegrad.tensor(g).to(q.dtype)
        theirs.step()
        ours.step()
    size = kwargs.get("lr", 1e-3)
    for p, q in zip(params(theirs), params(ours)):
        atol = size * 0.05 if dtype != "bfloat16" else 0.05
        np.testing.assert_allclose(q.detach().float().numpy(), p.detach().float().numpy(), 0, atol)
        a, b = theirs.state[p]["momentum_buffer"], ours.state[q]["momentum_buffer"]
        scale = 1e-5 if dtype != "bfloat16" else 3e-2
        np.testing.assert_allclose(b.float().numpy(), a.float().numpy(), scale, scale)
        assert str(a.dtype) == str(b.dtype)


@pytest.mark.parametrize("kwargs", [{}, {"lr": 0.1, "betas": (0.5, 0.9), "eps": 1e-3, "maximize": True}], ids=repr)
def test_sparse_adam(kwargs):
    """The rows that PyTorch's sparse gradient holds are here those that are not zero."""
    start = np.random.default_rng(0).standard_normal((7, 3)).astype("float32")
    theirs, ours = torch.tensor(start, requires_grad=True), tapegrad.tensor(start, requires_grad=True)
    a, b = torch.optim.SparseAdam([theirs], **kwargs), tapegrad.optim.SparseAdam([ours], **kwargs)
    rng = np.random.default_rng(1)
    for _ in range(50):
        rows = np.unique(rng.integers(0, 7, 3))
        g = np.zeros((7, 3), np.float32)
        g[rows] = rng.standard_normal((len(rows), 3))
        theirs.grad = torch.sparse_coo_tensor(
            torch.tensor(rows)[None], torch.tensor(g[rows]), (7, 3), check_invariants=False
        )
        ours.grad = tapegrad.tensor(g)
        a.step()
        b.step()
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), 1e-5, 1e-6)
    expected, found = a.state_dict(), b.state_dict()
    assert found["param_groups"] == expected["param_groups"]
    assert found["state"][0]["step"] == expected["state"][0]["step"] == 50
    for name in ("exp_avg", "exp_avg_sq"):
        np.testing.assert_allclose(found["state"][0][name].numpy(), expected["state"][0][name].numpy(), 1e-5, 1e-7)
    b.load_state_dict(to_ours(expected))
    assert b.state[ours]["step"] == 50


@pytest.mark.parametrize("name", sorted(OWN_TESTS))
def test_signature_and_text_of_the_others(name):
    expected, found = (inspect.signature(getattr(m.optim, name).__init__) for m in (torch, tapegrad))
    assert [(p.name, p.default, p.kind) for p in expected.parameters.values()] == [
        (p.name, p.default, p.kind) for p in found.parameters.values()
    ]
    theirs, ours = twins(name, {}, "float32", [(2, 3)])
    assert repr(theirs) == repr(ours)
    assert str(theirs.state_dict()) == str(ours.state_dict())


# ---- averages ------------------------------------------------------------------------------------------------------


def averaging(module) -> dict:
    swa = module.optim.swa_utils
    return {
        "mean": {},
        "swa_multi": {"multi_avg_fn": swa.get_swa_multi_avg_fn()},
        "swa": {"avg_fn": swa.get_swa_avg_fn(), "use_buffers": True},
        "ema": {"avg_fn": swa.get_ema_avg_fn(0.7)},
        "ema_multi": {"multi_avg_fn": swa.get_ema_multi_avg_fn(0.7), "use_buffers": True},
    }


@pytest.mark.parametrize("kind", ["mean", "swa_multi", "swa", "ema", "ema_multi"])
def test_averaged_models(kind):
    found = []
    for module in (torch, tapegrad):
        module.manual_seed(0)
        model = module.nn.Sequential(module.nn.Linear(3, 4), module.nn.BatchNorm1d(4), module.nn.ReLU())
        averaged = module.optim.swa_utils.AveragedModel(model, **averaging(module)[kind])
        text = repr(averaged)
        optimizer = module.optim.SGD(model.parameters(), lr=0.01)
        batches = [module.rand(6, 3) for _ in range(4)]
        for x in batches:
            optimizer.zero_grad()
            model(x).pow(2).sum().backward()
            optimizer.step()
            averaged.update_parameters(model)
        states = [{k: v.numpy().copy() for k, v in averaged.state_dict().items()}]
        averaged.eval()
        module.optim.swa_utils.update_bn([(x, None) for x in batches], averaged)
        assert not averaged.training
        states.append({k: v.numpy().copy() for k, v in averaged.state_dict().items()})
        found.append((text, states))
    assert found[0][0] == found[1][0]
    for expected, ours in zip(found[0][1], found[1][1]):
        assert list(expected) == list(ours)
        for key, value in expected.items():
            assert value.dtype == ours[key].dtype
            np.testing.assert_allclose(ours[key], value, 1e-5, 1e-6, err_msg=key)


@pytest.mark.parametrize(
    "kwargs",
    [{}, {"anneal_epochs": 7, "anneal_strategy": "linear"}, {"anneal_epochs": 0}, {"anneal_epochs": 60}],
    ids=repr,
)
def test_swalr(kwargs):
    found = []
    for module in (torch, tapegrad):
        groups = [
            {"params": [module.ones(1, requires_grad=True)]},
            {"params": [module.ones(2, requires_grad=True)], "lr": 0.3},
        ]
        optimizer = module.optim.SGD(groups, lr=0.1)
        first = module.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
        scheduler = module.optim.swa_utils.SWALR(optimizer, [0.05, 0.5], **kwargs)
        path = []
        for i in range(100):
            path.append(scheduler.get_last_lr() if i > 10 else first.get_last_lr())
            optimizer.step()
            (scheduler if i > 10 else first).step()
        state = scheduler.state_dict()
        scheduler.load_state_dict(copy.deepcopy(state))
        found.append((path, sorted(state), [g["lr"] for g in optimizer.param_groups]))
    np.testing.assert_allclose(found[1][0], found[0][0], 1e-12)
    assert found[0][1] == found[1][1]


def test_swapped_parameters_and_state():
    found = []
    for module in (torch, tapegrad):
        p, q = (module.ones(2, requires_grad=True) for _ in "pq")
        p.grad, q.grad = module.ones(2), module.ones(2) * 2
        optimizer = module.optim.Adam([p], lr=0.1)
        optimizer.step()
        state = copy.deepcopy(optimizer.state_dict())
        with module.optim.swap_in_optimizer_params_and_state(optimizer, {"p": q}, state):
            optimizer.step()
            optimizer.param_groups[0]["lr"] = 7.0
        optimizer.step()
        kinds = []
        for bad in (({}, state), ({"p": q}, {"state": {}}), ({"p": q}, {"state": {}, "param_groups": []})):
            with (
                pytest.raises(RuntimeError) as caught,
                module.optim.swap_in_optimizer_params_and_state(optimizer, *bad),
            ):
                pass
            kinds.append(caught.type)
        found.append((str(p), str(q), str(state), str(optimizer.state_dict())))
    assert found[0] == found[1]


# ---- schedules ---------------------------------------------------------------------------------------------------


class Schedule:
    """Made in either package: `make(lr_scheduler, optimizer)`."""

    def __init__(self, name: str, *args, **kwargs):
        self.name, self.args, self.kwargs = name, args, kwargs

    def __call__(self, module, optimizer):
        return getattr(module, self.name)(optimizer, *self.args, **self.kwargs)

    def __repr__(self) -> str:
        return f"{self.name}{self.args}{self.kwargs}"


class Combined(Schedule):
    """A schedule of schedules."""

    def __call__(self, module, optimizer):
        inner = [make(module, optimizer) for make in self.args]
        if self.name == "ChainedScheduler":
            return module.ChainedScheduler(inner, optimizer)
        return module.SequentialLR(optimizer, inner, **self.kwargs)


SCHEDULES = [
    Schedule("StepLR", 7),
    Schedule("StepLR", 3, gamma=0.5),
    Schedule("MultiStepLR", [2, 5, 5, 30], gamma=0.3),
    Schedule("MultiStepLR", (1, 60)),
    Schedule("ConstantLR"),
    Schedule("ConstantLR", factor=0.7, total_iters=20),
    Schedule("LinearLR"),
    Schedule("LinearLR", start_factor=1.0, end_factor=0.01, total_iters=70),
    Schedule("ExponentialLR", 0.97),
    Schedule("PolynomialLR"),
    Schedule("PolynomialLR", total_iters=80, power=2.5),
    Schedule("LambdaLR", lambda epoch: 0.95**epoch),
    Schedule("LambdaLR", [lambda epoch: epoch // 3, lambda epoch: 0.9**epoch]),
    Schedule("MultiplicativeLR", lambda epoch: 1 - 1 / (epoch + 10)),
    Schedule("CosineAnnealingLR", 10),
    Schedule("CosineAnnealingLR", T_max=33, eta_min=1e-3),
    Schedule("CosineAnnealingWarmRestarts", 10),
    Schedule("CosineAnnealingWarmRestarts", 7, T_mult=2, eta_min=1e-4),
    Schedule("CyclicLR", 0.01, 0.1, step_size_up=7),
    Schedule("CyclicLR", [0.01, 0.02], [0.1, 0.3], step_size_up=7, step_size_down=3, mode="triangular2"),
    Schedule("CyclicLR", 0.01, 0.1, step_size_up=9, mode="exp_range", gamma=0.99, base_momentum=0.7),
    Schedule("CyclicLR", 0.01, 0.1, step_size_up=9, scale_fn=lambda x: 1 / x, cycle_momentum=False),
    Schedule("CyclicLR", 0.01, 0.1, step_size_up=9, scale_fn=lambda x: 0.9**x, scale_mode="iterations"),
    Schedule("OneCycleLR", 0.5, total_steps=101),
    Schedule("OneCycleLR", [0.5, 0.1], epochs=20, steps_per_epoch=6, anneal_strategy="linear", pct_start=0.4),
    Schedule("OneCycleLR", 0.5, total_steps=150, three_phase=True, div_factor=10.0, final_div_factor=100.0),
    Schedule("OneCycleLR", 0.5, total_steps=101, cycle_momentum=False),
    Combined("SequentialLR", Schedule("LinearLR"), Schedule("ExponentialLR", 0.95), milestones=[5]),
    Combined(
        "SequentialLR",
        Schedule("ConstantLR", factor=0.2),
        Schedule("CosineAnnealingLR", 20),
        Schedule("StepLR", 4),
        milestones=[3, 40],
    ),
    Combined("ChainedScheduler", Schedule("ConstantLR", factor=0.2, total_iters=4), Schedule("ExponentialLR", 0.95)),
    Combined("ChainedScheduler", Schedule("LinearLR"), Schedule("CosineAnnealingLR", 20), Schedule("StepLR", 30)),
]
CONFIGURATIONS = [("SGD", {"momentum": 0.9}), ("Adam", {})]


def both(schedule, name: str, kwargs: dict):
    """(optimizer, schedule) over two groups in both packages."""
    found = []
    for module in (torch, tapegrad):
        groups = [
            {"params": [module.ones(1, requires_grad=True)]},
            {"params": [module.ones(2, requires_grad=True)], "lr": 0.3},
        ]
        optimizer = getattr(module.optim, name)(groups, lr=0.1, **kwargs)
        found.append((optimizer, schedule(module.optim.lr_scheduler, optimizer)))
    return found


def rates(optimizer) -> list:
    return [[group["lr"], group.get("momentum"), group.get("betas")] for group in optimizer.param_groups]


def flat(values) -> list[float]:
    return [float(v) for row in values for entry in row if entry is not None for v in np.atleast_1d(entry)]


@pytest.mark.parametrize(("name", "kwargs"), CONFIGURATIONS)
@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_rates(schedule, name, kwargs):
    (theirs, their_schedule), (ours, our_schedule) = both(schedule, name, kwargs)
    for _ in range(100):
        np.testing.assert_allclose(flat(rates(ours)), flat(rates(theirs)), rtol=1e-12, atol=1e-300)
        np.testing.assert_allclose(our_schedule.get_last_lr(), their_schedule.get_last_lr(), rtol=1e-12, atol=1e-300)
        for optimizer, scheduler in ((theirs, their_schedule), (ours, our_schedule)):
            optimizer.step()
            scheduler.step()
    assert str(our_schedule.get_last_lr()) == str(their_schedule.get_last_lr())


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_schedule_checkpoints(schedule):
    """The keys are PyTorch's, and its checkpoint continues here."""
    (theirs, their_schedule), (ours, our_schedule) = both(schedule, "SGD", {"momentum": 0.9})
    for _ in range(12):
        theirs.step()
        their_schedule.step()
    saved = their_schedule.state_dict()
    keys = set(our_schedule.state_dict())
    assert keys - {"_is_initial", "_get_lr_called_within_step"} == set(saved) - {
        "_is_initial",
        "_get_lr_called_within_step",
    }
    our_schedule.load_state_dict(copy.deepcopy(saved))
    ours.load_state_dict(to_ours(theirs.state_dict()))
    for _ in range(20):
        for optimizer, scheduler in ((theirs, their_schedule), (ours, our_schedule)):
            optimizer.step()
            scheduler.step()
        np.testing.assert_allclose(flat(rates(ours)), flat(rates(theirs)), rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"mode": "max", "factor": 0.5, "patience": 2},
        {"patience": 0, "cooldown": 3, "threshold_mode": "abs", "threshold": 0.1},
        {"patience": 1, "min_lr": [0.05, 0.001], "factor": 0.3},
        {"mode": "max", "threshold_mode": "abs", "patience": 3, "eps": 1e-3},
    ],
    ids=repr,
)
def test_plateau(kwargs):
    (theirs, their_schedule), (ours, our_schedule) = both(Schedule("ReduceLROnPlateau", **kwargs), "SGD", {})
    for value in np.random.default_rng(0).standard_normal(100).cumsum():
        their_schedule.step(value)
        our_schedule.step(value)
        assert rates(ours) == rates(theirs)
    assert {k: v for k, v in their_schedule.state_dict().items() if not k.startswith("_")} == {
        k: v for k, v in our_schedule.state_dict().items() if not k.startswith("_")
    }


@pytest.mark.parametrize("schedule", [s for s in SCHEDULES if type(s) is Schedule], ids=repr)
def test_deprecated_epoch_argument(schedule):
    (theirs, their_schedule), (ours, our_schedule) = both(schedule, "SGD", {"momentum": 0.9})
    kinds = []
    for scheduler in (their_schedule, our_schedule):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            for epoch in (3, 10, 4):
                scheduler.step(epoch)
        kinds.append([w.category for w in seen])
        assert scheduler.last_epoch == 4
    assert kinds[0] == kinds[1]
    np.testing.assert_allclose(flat(rates(ours)), flat(rates(theirs)), rtol=1e-12)


def order_of_calls(module, calls: str) -> list[str]:
    """The warnings of a program: o for optimizer.step, s for scheduler.step, n for a new schedule, r for a new step."""
    optimizer = module.optim.SGD([module.ones(1, requires_grad=True)], lr=0.1)
    scheduler = None
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for call in calls:
            if call == "o":
                optimizer.step()
            elif call == "s":
                scheduler.step()
            elif call == "r":
                own = optimizer.step
                optimizer.step = lambda own=own: own()
            else:
                scheduler = module.optim.lr_scheduler.StepLR(optimizer, 2)
    return [w.category.__name__ for w in seen]


@pytest.mark.parametrize(
    "calls", ["nos", "ns", "ons", "nsos", "noss", "nosn", "nonsos", "nros", "nors", "nosrs", "nonos"]
)
def test_warns_when_pytorch_warns(calls):
    assert order_of_calls(tapegrad, calls) == order_of_calls(torch, calls)


def test_rate_as_a_tensor():
    """A tensor rate is written in place by a schedule and read at each step."""
    found = []
    for module in (torch, tapegrad):
        p = module.ones(3, requires_grad=True)
        rate = module.tensor(0.1)
        optimizer = module.optim.Adam([p], lr=rate)
        scheduler = module.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
        for _ in range(3):
            p.grad = module.ones(3)
            optimizer.step()
            scheduler.step()
        assert optimizer.param_groups[0]["lr"] is rate
        found.append((str(rate), str(scheduler.get_last_lr()), str(p), repr(optimizer)))
    assert found[0] == found[1]


def test_names_of_parameters():
    found = []
    for module in (torch, tapegrad):
        pairs = [("a", module.ones(1, requires_grad=True)), ("b", module.ones(2, requires_grad=True))]
        optimizer = module.optim.SGD(pairs, lr=0.1)
        found.append(str(optimizer.state_dict()))
    assert found[0] == found[1]


@pytest.mark.parametrize("name", optimizers())
def test_differentiable_steps(name):
    """The gradient through steps: of the end by the start."""
    found = []
    steps = 1 if name in ("Adamax", "Rprop") else 3  # PyTorch's own second step overwrites what its first has saved
    for module in (torch, tapegrad):
        start = module.tensor([0.7, -1.3], dtype=module.float64, requires_grad=True)
        p = start.clone()
        kwargs = {"momentum": 0.9} if name == "RMSprop" else {}  # PyTorch's SGD cuts the graph at its first buffer
        optimizer = getattr(module.optim, name)([p], differentiable=True, **kwargs)
        for i in range(steps):
            p.grad = start * (i + 1) + 0.5
            optimizer.step()
        (p * p).sum().backward()
        found.append((p.detach().numpy(), start.grad.numpy()))
    for a, b in zip(*found):
        np.testing.assert_allclose(b, a, rtol=1e-6)


def test_options_of_every_optimizer_are_known():
    assert set(itertools.chain(*(inspect.signature(getattr(tapegrad.optim, n)).parameters for n in optimizers()))) <= {
        *GRID,
        *NOT_ON_CPU,
    }
