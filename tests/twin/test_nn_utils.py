"""`nn.utils` against PyTorch: parametrizations, norms of weights, pruning, fusion, calls with other parameters."""

from __future__ import annotations

import copy
import inspect
import pickle
import warnings

import numpy as np
import pytest

import tapegrad

torch = pytest.importorskip("torch")
pytest.importorskip("torch.nn.utils.prune")  # PyTorch does not import it by itself

BOTH = (torch, tapegrad)


def public(module) -> list[str]:
    names = getattr(module, "__all__", None) or [n for n in dir(module) if not n.startswith("_")]
    found = (getattr(module, name) for name in names)
    return [n for n, v in zip(names, found) if getattr(v, "__module__", "").startswith("torch.nn.utils")]


@pytest.mark.parametrize("path", ["", "parametrize", "parametrizations", "prune", "stateless"])
def test_names_and_signatures(path):
    theirs, ours = (getattr(T.nn.utils, path) if path else T.nn.utils for T in BOTH)
    for name in public(theirs):
        expected, found = (inspect.signature(getattr(m, name)) for m in (theirs, ours))
        if name in ("clip_grad_norm", "PruningContainer"):
            continue
        assert [(p.name, p.default, p.kind) for p in found.parameters.values()] == [
            (p.name, p.default, p.kind) for p in expected.parameters.values()
        ], name


def quietly(function, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **kwargs)


def snapshot(T, module, x) -> dict:
    """Keys, values, text, output and gradients."""
    state = {k: v.detach().numpy().copy() for k, v in module.state_dict().items()}
    x = T.tensor(x, requires_grad=True)
    out = module(x)
    (out * T.arange(out.numel()).reshape(out.shape)).sum().backward()
    grads = {n: None if p.grad is None else p.grad.numpy().copy() for n, p in module.named_parameters()}
    after = {k: v.detach().numpy().copy() for k, v in module.state_dict().items()}
    return {"state": state, "out": out.detach().numpy(), "x": x.grad.numpy(), "grads": grads, "after": after}


def assert_alike(ours, theirs, rtol=1e-4, atol=1e-5):
    assert set(ours) == set(theirs)
    for key, value in theirs.items():
        if isinstance(value, dict):
            assert list(ours[key]) == list(value), key
            assert_alike(ours[key], value, rtol, atol)
        elif value is None:
            assert ours[key] is None
        else:
            np.testing.assert_allclose(ours[key], value, rtol, atol, err_msg=str(key))


def layers(T) -> dict:
    nn = T.nn
    return {
        "linear": (nn.Linear(4, 3), (2, 4)),
        "wide": (nn.Linear(3, 5), (2, 3)),
        "square": (nn.Linear(4, 4), (2, 4)),
        "conv": (nn.Conv2d(2, 3, 2), (1, 2, 4, 4)),
        "transposed": (nn.ConvTranspose2d(2, 3, 2), (1, 2, 4, 4)),
        "embedding": (nn.Linear(4, 1), (3, 4)),
    }


WAYS = {
    "weight_norm": lambda T, m: T.nn.utils.parametrizations.weight_norm(m),
    "weight_norm dim 1": lambda T, m: T.nn.utils.parametrizations.weight_norm(m, dim=1),
    "weight_norm of all": lambda T, m: T.nn.utils.parametrizations.weight_norm(m, dim=None),
    "weight_norm of bias": lambda T, m: T.nn.utils.parametrizations.weight_norm(m, "bias"),
    "spectral_norm": lambda T, m: T.nn.utils.parametrizations.spectral_norm(m, n_power_iterations=2),
    "spectral_norm dim 1": lambda T, m: T.nn.utils.parametrizations.spectral_norm(m, dim=1),
    "spectral_norm of bias": lambda T, m: T.nn.utils.parametrizations.spectral_norm(m, "bias"),
    "old weight_norm": lambda T, m: quietly(T.nn.utils.weight_norm, m),
    "old weight_norm of all": lambda T, m: quietly(T.nn.utils.weight_norm, m, dim=None),
    "old spectral_norm": lambda T, m: T.nn.utils.spectral_norm(m, n_power_iterations=3),
    "old spectral_norm dim 1": lambda T, m: T.nn.utils.spectral_norm(m, dim=1),
}


@pytest.mark.parametrize("layer", list(layers(torch)))
@pytest.mark.parametrize("way", WAYS)
def test_norms_of_weights(way, layer):
    if layer == "transposed" and way == "spectral_norm of bias":
        return  # its outputs are dimension 1, which a bias does not have
    x = None
    found = []
    for T in BOTH:
        T.manual_seed(0)
        module, shape = layers(T)[layer]
        x = np.random.default_rng(0).standard_normal(shape).astype(np.float32) if x is None else x
        WAYS[way](T, module)
        first = snapshot(T, module, x)
        text = repr(module)
        module.zero_grad()
        second = snapshot(T, module.eval(), x)
        draw = T.rand(2).numpy()
        found.append(({"first": first, "second": second, "draw": {"": draw}}, text))
    assert found[0][1] == found[1][1]
    assert_alike(found[1][0], found[0][0], 1e-4, 1e-4)


def matrices(T) -> dict:
    return {"tall": T.nn.Linear(3, 5), "wide": T.nn.Linear(5, 3), "square": T.nn.Linear(4, 4)}


@pytest.mark.parametrize("trivial", [True, False])
@pytest.mark.parametrize("name", [None, "matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("shape", ["tall", "wide", "square"])
def test_orthogonal(shape, name, trivial):
    found = []
    for T in BOTH:
        T.manual_seed(0)
        module = matrices(T)[shape].double()
        T.nn.utils.parametrizations.orthogonal(module, orthogonal_map=name, use_trivialization=trivial)
        state = {k: v.detach().numpy().copy() for k, v in module.state_dict().items()}
        values = [module.weight.detach().numpy()]
        with T.no_grad():
            free = module.parametrizations.weight.original
            free.add_(T.tensor(np.random.default_rng(0).standard_normal(tuple(free.shape)) * 0.1).tril(-1))
        (module.weight * T.arange(module.weight.numel()).reshape(module.weight.shape)).sum().backward()
        values += [module.weight.detach().numpy(), free.grad.numpy()]
        rows, columns = module.weight.shape
        target = np.linalg.qr(np.random.default_rng(1).standard_normal((5, 5)))[0][:rows, :columns]
        if rows == columns:
            target = np.linalg.qr(target)[0]
        try:
            module.weight = T.tensor(target)
            values.append(module.weight.detach().numpy())
        except NotImplementedError:
            values.append("refused")
        found.append((state, values, repr(module)))
    assert found[0][2] == found[1][2]
    assert_alike(found[1][0], found[0][0], 1e-6, 1e-9)
    for a, b in zip(found[1][1], found[0][1]):
        if isinstance(b, str):
            assert a == b
        else:
            np.testing.assert_allclose(a, b, 1e-6, 1e-9)


# ---- parametrize -----------------------------------------------------------------------------------------------------


def modules(T) -> dict:
    class Symmetric(T.nn.Module):
        def forward(self, x):
            return x.triu() + x.triu(1).mT

        def right_inverse(self, y):
            return y.triu()

    class Sum(T.nn.Module):
        def forward(self, a, b):
            return a + b

        def right_inverse(self, y):
            return y / 4, y * 0.75

    class Double(T.nn.Module):
        def forward(self, x):
            return x * 2

    class Cut(T.nn.Module):
        def forward(self, x):
            return x[:1]

    class Wider(T.nn.Module):
        def forward(self, x):
            return x.double()

    class Number(T.nn.Module):
        def forward(self, x):
            return 3

    class WrongInverse(T.nn.Module):
        def forward(self, x):
            return x

        def right_inverse(self, y):
            return 3

    class WrongEntries(T.nn.Module):
        def forward(self, x):
            return x

        def right_inverse(self, y):
            return [y, 3]

    class WrongType(T.nn.Module):
        def forward(self, x):
            return x

        def right_inverse(self, y):
            return y.double()

    class Repeat(T.nn.Module):
        def forward(self, x):
            return x[:3]

        def right_inverse(self, y):
            return T.cat([y, y])

    return {k: v for k, v in locals().items() if k != "T"}


def described(module) -> list:
    """Everything that can be seen of a parametrized module."""
    entries = {k: v.detach().numpy().tolist() for k, v in module.state_dict().items()}
    names = [n for n, _ in module.named_parameters()], [n for n, _ in module.named_buffers()]
    return [repr(module), entries, names, type(module).__name__, type(module).__mro__[1].__name__]


def story_of_one(T):
    P, M = T.nn.utils.parametrize, modules(T)
    layer = T.nn.Linear(3, 3)
    weight = layer.weight
    yield P.register_parametrization(layer, "weight", M["Symmetric"]()) is layer
    yield described(layer)
    yield layer.parametrizations.weight.original is weight
    yield P.is_parametrized(layer), P.is_parametrized(layer, "weight"), P.is_parametrized(layer, "bias")
    yield P.type_before_parametrizations(layer) is T.nn.Linear, "weight" in dir(layer)
    layer.weight = T.arange(9.0).reshape(3, 3)
    yield described(layer)
    yield layer.weight.tolist()
    layer(T.ones(1, 3)).sum().backward()
    yield weight.grad.tolist()
    P.register_parametrization(layer, "weight", M["Double"]())
    yield described(layer), layer.weight.tolist()
    P.register_parametrization(layer, "bias", M["Double"]())
    yield described(layer)
    other = copy.deepcopy(layer)
    yield described(other), type(other) is type(layer), other.weight.tolist() == layer.weight.tolist()
    yield layer.eval().parametrizations.weight[0].training
    P.remove_parametrizations(layer, "weight")
    yield described(layer), layer.weight is weight
    P.remove_parametrizations(layer, "bias", leave_parametrized=False)
    yield described(layer), type(layer) is T.nn.Linear, P.is_parametrized(layer)
    yield type(other).__name__


def story_of_several(T):
    P, M = T.nn.utils.parametrize, modules(T)
    layer = T.nn.Linear(3, 3)
    P.register_parametrization(layer, "weight", M["Sum"]())
    yield described(layer)
    layer.weight = T.ones(3, 3)
    yield described(layer), layer.weight.tolist()
    P.register_parametrization(layer, "weight", M["Symmetric"]())
    layer.weight = T.ones(3, 3) * 2
    yield described(layer), layer.weight.tolist()
    P.remove_parametrizations(layer, "weight")
    yield described(layer), isinstance(layer.weight, T.nn.Parameter)


def story_of_a_buffer(T):
    P, M = T.nn.utils.parametrize, modules(T)
    norm = T.nn.BatchNorm1d(3)
    P.register_parametrization(norm, "running_var", M["Double"]())
    yield described(norm), norm.eval()(T.ones(1, 3)).tolist()
    P.remove_parametrizations(norm, "running_var")
    yield described(norm)


def story_of_other_shapes(T):
    P, M = T.nn.utils.parametrize, modules(T)
    layer = T.nn.Linear(3, 3)
    weight = layer.weight
    P.register_parametrization(layer, "weight", M["Repeat"](), unsafe=True)
    yield described(layer), layer.parametrizations.weight.original is weight, tuple(weight.shape)
    P.register_parametrization(layer, "weight", M["Cut"](), unsafe=True)
    yield described(layer), layer.weight.tolist(), layer.parametrizations.weight.unsafe


def story_of_caching(T):
    P, M = T.nn.utils.parametrize, modules(T)
    layer = P.register_parametrization(T.nn.Linear(3, 3), "weight", M["Symmetric"]())
    yield layer.weight is layer.weight
    with P.cached():
        first = layer.weight
        with P.cached():
            yield layer.weight is first
        yield layer.weight is first
        layer.weight = T.zeros(3, 3)
        yield layer.weight is first
    yield layer.weight is first, layer.weight.tolist()


def story_of_a_transfer(T):
    P, M = T.nn.utils.parametrize, modules(T)
    source, target = T.nn.Linear(3, 3), T.nn.Linear(3, 3)
    yield P.transfer_parametrizations_and_params(source, target) is target
    P.register_parametrization(source, "weight", M["Symmetric"]())
    P.register_parametrization(source, "bias", M["Double"]())
    P.transfer_parametrizations_and_params(source, target, "weight")
    yield described(target), target.weight.tolist() == source.weight.tolist()
    P.transfer_parametrizations_and_params(source, target)
    yield described(target), target.bias.tolist() == source.bias.tolist()
    yield target.parametrizations.weight[0] is source.parametrizations.weight[0]


STORIES = [value for name, value in list(globals().items()) if name.startswith("story_of")]


@pytest.mark.parametrize("story", STORIES, ids=lambda f: f.__name__[9:])
def test_parametrize(story):
    found = []
    for T in BOTH:
        T.manual_seed(0)
        found.append(list(story(T)))
    assert len(found[0]) == len(found[1])
    for i, (expected, ours) in enumerate(zip(*found)):
        assert ours == expected, i


MISTAKES = {
    "no module": lambda T, P, M: P.ParametrizationList([], T.ones(1)),
    "no name": lambda T, P, M: P.register_parametrization(T.nn.Linear(3, 3), "foo", M["Double"]()),
    "not parametrized": lambda T, P, M: P.remove_parametrizations(T.nn.Linear(3, 3), "weight"),
    "no inverse": lambda T, P, M: setattr(
        P.register_parametrization(T.nn.Linear(3, 3), "weight", M["Double"]()), "weight", T.ones(3, 3)
    ),
    "a parameter": lambda T, P, M: setattr(
        P.register_parametrization(T.nn.Linear(3, 3), "weight", M["Symmetric"]()),
        "weight",
        T.nn.Parameter(T.ones(3, 3)),
    ),
    "another type": lambda T, P, M: setattr(
        P.register_parametrization(T.nn.Linear(3, 3), "weight", M["Sum"]()), "weight", T.ones(3, 3).double()
    ),
    "several left": lambda T, P, M: P.remove_parametrizations(
        P.register_parametrization(T.nn.Linear(3, 3), "weight", M["Sum"]()), "weight", leave_parametrized=False
    ),
    "pickle": lambda T, P, M: pickle.dumps(P.register_parametrization(T.nn.Linear(3, 3), "weight", M["Double"]())),
    "no orthogonal name": lambda T, P, M: T.nn.utils.parametrizations.orthogonal(T.nn.Linear(2, 2), "foo"),
    "no matrix": lambda T, P, M: T.nn.utils.parametrizations.orthogonal(T.nn.Linear(2, 2), "bias"),
    "no map": lambda T, P, M: T.nn.utils.parametrizations.orthogonal(T.nn.Linear(2, 2), orthogonal_map="x"),
    "other shape": lambda T, P, M: setattr(
        T.nn.utils.parametrizations.orthogonal(T.nn.Linear(2, 2)), "weight", T.ones(2, 3)
    ),
    "complex householder": lambda T, P, M: T.nn.utils.parametrizations.orthogonal(
        T.nn.Linear(2, 2, dtype=T.complex64), orthogonal_map="householder"
    ),
    "no iterations": lambda T, P, M: T.nn.utils.parametrizations.spectral_norm(T.nn.Linear(2, 2), n_power_iterations=0),
    "no spectral name": lambda T, P, M: T.nn.utils.parametrizations.spectral_norm(T.nn.Linear(2, 2), "foo"),
    "no dimension": lambda T, P, M: T.nn.utils.parametrizations.spectral_norm(T.nn.Linear(2, 2), dim=5),
    "no weight_norm name": lambda T, P, M: T.nn.utils.parametrizations.weight_norm(T.nn.Linear(2, 2), "foo"),
    "no old name": lambda T, P, M: quietly(T.nn.utils.weight_norm, T.nn.Linear(2, 2), "foo"),
    "no old spectral name": lambda T, P, M: T.nn.utils.spectral_norm(T.nn.Linear(2, 2), "foo"),
    "twice": lambda T, P, M: T.nn.utils.spectral_norm(T.nn.utils.spectral_norm(T.nn.Linear(2, 2))),
    "weight_norm twice": lambda T, P, M: quietly(
        T.nn.utils.weight_norm, quietly(T.nn.utils.weight_norm, T.nn.Linear(2, 2))
    ),
    "not there": lambda T, P, M: T.nn.utils.remove_spectral_norm(T.nn.Linear(2, 2)),
    "weight_norm not there": lambda T, P, M: T.nn.utils.remove_weight_norm(T.nn.Linear(2, 2)),
    "skip_init": lambda T, P, M: T.nn.utils.skip_init(T.nn.ReLU),
    "skip_init of no class": lambda T, P, M: T.nn.utils.skip_init(3),
    "fuse in training": lambda T, P, M: T.nn.utils.fuse_conv_bn_eval(T.nn.Conv2d(1, 1, 1), T.nn.BatchNorm2d(1)),
    "fuse unlike": lambda T, P, M: T.nn.utils.fuse_linear_bn_eval(T.nn.Linear(2, 3).eval(), T.nn.BatchNorm1d(2).eval()),
    "prune nothing there": lambda T, P, M: T.nn.utils.prune.remove(T.nn.Linear(2, 2), "weight"),
    "prune too many": lambda T, P, M: T.nn.utils.prune.l1_unstructured(T.nn.Linear(2, 2), "weight", 5),
    "prune a negative number": lambda T, P, M: T.nn.utils.prune.l1_unstructured(T.nn.Linear(2, 2), "weight", -1),
    "prune more than all": lambda T, P, M: T.nn.utils.prune.random_unstructured(T.nn.Linear(2, 2), "weight", 1.5),
    "prune a word": lambda T, P, M: T.nn.utils.prune.random_unstructured(T.nn.Linear(2, 2), "weight", "half"),
    "prune rows of a vector": lambda T, P, M: T.nn.utils.prune.ln_structured(T.nn.Linear(2, 2), "bias", 1, 2, 0),
    "prune no dimension": lambda T, P, M: T.nn.utils.prune.random_structured(T.nn.Linear(2, 2), "weight", 1, 3),
    "prune by other shapes": lambda T, P, M: T.nn.utils.prune.l1_unstructured(
        T.nn.Linear(2, 2), "weight", 1, T.ones(3)
    ),
    "prune a mask of other shape": lambda T, P, M: T.nn.utils.prune.custom_from_mask(
        T.nn.Linear(2, 2), "weight", T.ones(3)
    ),
    "prune globally structured": lambda T, P, M: T.nn.utils.prune.global_unstructured(
        [(T.nn.Linear(2, 2), "weight")], T.nn.utils.prune.LnStructured, amount=1, n=2
    ),
    "prune globally nothing": lambda T, P, M: T.nn.utils.prune.global_unstructured(3, T.nn.utils.prune.L1Unstructured),
    "prune globally by a list": lambda T, P, M: T.nn.utils.prune.global_unstructured(
        [(T.nn.Linear(2, 2), "weight")], T.nn.utils.prune.L1Unstructured, [1], amount=1
    ),
}
MISTAKES |= {
    f"{name}{' again' * again}": lambda T, P, M, name=name, again=again: P.register_parametrization(
        P.register_parametrization(T.nn.Linear(3, 3), "weight", M["Symmetric"]()) if again else T.nn.Linear(3, 3),
        "weight",
        M[name](),
    )
    for name in ("Cut", "Wider", "Number", "WrongInverse", "WrongEntries", "WrongType")
    for again in (False, True)
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_refuses_what_pytorch_refuses(mistake):
    kinds = []
    for T in BOTH:
        with pytest.raises(Exception) as caught:
            MISTAKES[mistake](T, T.nn.utils.parametrize, modules(T))
        kinds.append(caught.type)
    assert kinds[0] is kinds[1], caught.value


# ---- the older norms ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["weight_norm", "spectral_norm"])
def test_removing_the_older_norms(name):
    found = []
    for T in BOTH:
        T.manual_seed(0)
        layer = quietly(getattr(T.nn.utils, name), T.nn.Linear(4, 3))
        before = layer(T.ones(1, 4)).tolist()
        getattr(T.nn.utils, f"remove_{name}")(layer)
        found.append((described(layer), before, layer(T.ones(1, 4)).tolist(), isinstance(layer.weight, T.nn.Parameter)))
    assert found[0][0][0] == found[1][0][0]
    assert list(found[0][0][1]) == list(found[1][0][1])
    for a, b in zip(found[1][1:], found[0][1:]):
        np.testing.assert_allclose(a, b, 1e-5)


def test_checkpoints_of_the_older_weight_norm():
    found = []
    for T in BOTH:
        T.manual_seed(0)
        old, new = quietly(T.nn.utils.weight_norm, T.nn.Linear(4, 3)), T.nn.Linear(4, 3)
        T.nn.utils.parametrizations.weight_norm(new)
        new.load_state_dict(old.state_dict())
        found.append(new(T.ones(1, 4)).tolist())
    np.testing.assert_allclose(found[1], found[0], 1e-5)


# ---- pruning ---------------------------------------------------------------------------------------------------------


PRUNINGS = {
    "identity": lambda T, m: T.nn.utils.prune.identity(m, "weight"),
    "random part": lambda T, m: T.nn.utils.prune.random_unstructured(m, "weight", 0.3),
    "random number": lambda T, m: T.nn.utils.prune.random_unstructured(m, "bias", 2),
    "none": lambda T, m: T.nn.utils.prune.random_unstructured(m, "bias", 0),
    "least": lambda T, m: T.nn.utils.prune.l1_unstructured(m, "weight", 0.5),
    "least by scores": lambda T, m: T.nn.utils.prune.l1_unstructured(
        m, "weight", 5, importance_scores=T.arange(float(m.weight.numel())).reshape(m.weight.shape)
    ),
    "random rows": lambda T, m: T.nn.utils.prune.random_structured(m, "weight", 2, 0),
    "random columns": lambda T, m: T.nn.utils.prune.random_structured(m, "weight", 0.5, -1),
    "least rows": lambda T, m: T.nn.utils.prune.ln_structured(m, "weight", 1, 2, 0),
    "least columns": lambda T, m: T.nn.utils.prune.ln_structured(m, "weight", 0.4, float("inf"), 1),
    "no columns": lambda T, m: T.nn.utils.prune.ln_structured(m, "weight", 0, 1, 1),
    "mask": lambda T, m: T.nn.utils.prune.custom_from_mask(m, "bias", T.tensor([1, 0, 1, 0])),
    "two": lambda T, m: (PRUNINGS["least rows"](T, m), PRUNINGS["random part"](T, m)),
    "three": lambda T, m: (PRUNINGS["least"](T, m), PRUNINGS["least columns"](T, m), PRUNINGS["least"](T, m)),
}


@pytest.mark.parametrize("way", PRUNINGS)
def test_pruning(way):
    found = []
    for T in BOTH:
        T.manual_seed(0)
        layer = T.nn.Linear(5, 4)
        PRUNINGS[way](T, layer)
        P = T.nn.utils.prune
        hooks = [type(h).__name__ for h in layer._forward_pre_hooks.values()]
        seen = snapshot(T, layer, np.ones((2, 5), np.float32))
        text = [repr(layer), P.is_pruned(layer), P.is_pruned(T.nn.Sequential(layer)), hooks, T.rand(1).item()]
        for name in ("weight", "bias"):
            if hasattr(layer, f"{name}_orig"):
                P.remove(layer, name)
        text += [repr(layer), P.is_pruned(layer), {k: v.tolist() for k, v in layer.state_dict().items()}]
        found.append((seen, text))
    assert found[0][1] == found[1][1]
    assert_alike(found[1][0], found[0][0])


def test_global_pruning_and_tensors():
    found = []
    for T in BOTH:
        T.manual_seed(0)
        P = T.nn.utils.prune
        net = T.nn.Sequential(T.nn.Linear(3, 4), T.nn.Linear(4, 2))
        P.l1_unstructured(net[0], "weight", 2)
        pairs = [(net[0], "weight"), (net[1], "weight"), (net[1], "bias")]
        P.global_unstructured(pairs, P.L1Unstructured, amount=0.5)
        P.global_unstructured(pairs[:2], P.RandomUnstructured, {pairs[0]: T.ones(4, 3)}, amount=3)
        masks = [getattr(m, f"{n}_mask").tolist() for m, n in pairs]
        t = T.tensor([[3.0, -1.0], [0.5, 2.0]])
        method = P.L1Unstructured(2)
        tensors = [method.prune(t), method.prune(t, importance_scores=-t), P.LnStructured(1, 2, 0).prune(t)]
        containers = [(type(h).__name__, len(h), type(h[0]).__name__) for h in net[0]._forward_pre_hooks.values()]
        found.append((masks, [v.tolist() for v in tensors], containers))
    assert found[0] == found[1]


# ---- fusion, calls, vectors --------------------------------------------------------------------------------------


FUSIONS = {
    "conv": lambda T: (T.nn.Conv2d(2, 3, 2, bias=False), T.nn.BatchNorm2d(3), (1, 2, 4, 4), "fuse_conv_bn_eval", ()),
    "conv1d": lambda T: (
        T.nn.Conv1d(2, 4, 2, groups=2),
        T.nn.BatchNorm1d(4, affine=False),
        (2, 2, 5),
        "fuse_conv_bn_eval",
        (),
    ),
    "transposed": lambda T: (
        T.nn.ConvTranspose2d(2, 3, 2),
        T.nn.BatchNorm2d(3),
        (1, 2, 4, 4),
        "fuse_conv_bn_eval",
        (True,),
    ),
    "linear": lambda T: (T.nn.Linear(3, 4), T.nn.BatchNorm1d(4, eps=0.1), (2, 3), "fuse_linear_bn_eval", ()),
    "linear without bias": lambda T: (
        T.nn.Linear(3, 4, bias=False),
        T.nn.BatchNorm1d(4),
        (2, 3),
        "fuse_linear_bn_eval",
        (),
    ),
}


@pytest.mark.parametrize("kind", FUSIONS)
def test_fusion(kind):
    found = []
    for T in BOTH:
        T.manual_seed(0)
        layer, norm, shape, name, args = FUSIONS[kind](T)
        norm.train()(layer(T.rand(shape) * 3 + 1))
        fused = getattr(T.nn.utils, name)(layer.eval(), norm.eval(), *args)
        x = T.rand(shape)
        np.testing.assert_allclose(fused(x).detach().numpy(), norm(layer(x)).detach().numpy(), 1e-4, 1e-5)
        found.append((repr(fused), {k: v.numpy() for k, v in fused.state_dict().items()}))
    assert found[0][0] == found[1][0]
    assert_alike(found[1][1], found[0][1])


def tied(T):
    class Tied(T.nn.Module):
        def __init__(self):
            super().__init__()
            self.a = T.nn.Linear(2, 2, bias=False)
            self.b = T.nn.Linear(2, 2, bias=False)
            self.b.weight = self.a.weight
            self.register_buffer("c", T.ones(2))

        def forward(self, x, scale=1.0):
            self.c = self.c + 1
            return (self.a(x) + self.b(x) + self.c) * scale

    return Tied()


CALLS = {
    "one": lambda T, m, x, f: f(m, {"a.weight": T.zeros(2, 2)}, x),
    "keywords": lambda T, m, x, f: f(m, {"a.weight": T.zeros(2, 2)}, (x,), {"scale": 2.0}),
    "only keywords": lambda T, m, x, f: f(m, {"c": T.zeros(2)}, None, {"x": x}),
    "untied": lambda T, m, x, f: f(m, {"a.weight": T.zeros(2, 2)}, x, tie_weights=False),
    "buffer": lambda T, m, x, f: f(m, {"b.weight": T.ones(2, 2), "c": T.zeros(2)}, x, strict=True),
    "unknown": lambda T, m, x, f: f(m, {"d.weight": T.zeros(2, 2)}, x),
    "several": lambda T, m, x, f: f(m, ({"a.weight": T.zeros(2, 2)}, {"c": T.zeros(2)}), x),
    "missing": lambda T, m, x, f: f(m, {"a.weight": T.zeros(2, 2)}, x, strict=True),
    "missing tie": lambda T, m, x, f: f(
        m, {"a.weight": T.zeros(2, 2), "c": T.ones(2)}, x, strict=True, tie_weights=False
    ),
    "both of a tie": lambda T, m, x, f: f(m, {"a.weight": T.zeros(2, 2), "b.weight": T.zeros(2, 2)}, x),
    "twice": lambda T, m, x, f: f(m, ({"c": T.zeros(2)}, {"c": T.zeros(2)}), x),
    "no dictionary": lambda T, m, x, f: f(m, 3, x),
    "no tensor": lambda T, m, x, f: f(m, {"c": 3}, x),
    "unknown here": lambda T, m, x, f: f(m, {"a.d": T.zeros(2, 2)}, x),
}


@pytest.mark.parametrize("name", CALLS)
def test_functional_calls(name):
    found = []
    for T in BOTH:
        T.manual_seed(0)
        module = tied(T)
        before = {k: v.tolist() for k, v in module.state_dict().items()}
        try:
            result = CALLS[name](T, module, T.ones(1, 2), T.func.functional_call).tolist()
        except (RuntimeError, ValueError, TypeError, AttributeError) as error:
            result = type(error)
        own = {k: v.tolist() for k, v in module.state_dict().items()}
        found.append((result, own == before))
    if isinstance(found[0][0], type):
        assert found[0] == found[1]
    else:
        np.testing.assert_allclose(found[1][0], found[0][0], 1e-6)


def test_gradients_go_to_the_given_parameters():
    found = []
    for T in BOTH:
        T.manual_seed(0)
        layer = T.nn.Linear(2, 2)
        own = {n: (p.detach() * 2).requires_grad_() for n, p in layer.named_parameters()}
        quietly(T.nn.utils.stateless.functional_call, layer, own, T.ones(1, 2)).sum().backward()
        found.append([{n: p.grad.tolist() for n, p in own.items()}, [p.grad for p in layer.parameters()]])
    assert found[0] == found[1]


def test_skip_init_leaves_the_random_stream_alone():
    found = []
    for T in BOTH:
        T.manual_seed(0)
        layer = T.nn.utils.skip_init(T.nn.Linear, 2, 3, bias=False)
        found.append((repr(layer), list(layer.state_dict()), T.rand(3).tolist()))
    assert found[0] == found[1]


@pytest.mark.parametrize("norm", [1.0, 2, float("inf"), 0.5])
def test_clipping(norm):
    found = []
    for T in BOTH:
        params = [T.zeros(2, 3, requires_grad=True), T.zeros(4, requires_grad=True), T.zeros(1, requires_grad=True)]
        rng = np.random.default_rng(0)
        for p in params[:2]:
            p.grad = T.tensor(rng.standard_normal(tuple(p.shape)).astype(np.float32))
        total = T.nn.utils.get_total_norm([p.grad for p in params[:2]], norm)
        returned = T.nn.utils.clip_grad_norm_(params, 0.7, norm)
        T.nn.utils.clip_grads_with_norm_(params, 0.5, returned)
        T.nn.utils.clip_grad_value_(params, 0.05)
        vector = T.nn.utils.parameters_to_vector([p.grad for p in params[:2]])
        T.nn.utils.vector_to_parameters(vector * 2, params[:2])
        found.append([total.item(), returned.item(), *vector.tolist(), *params[0].detach().numpy().ravel()])
    np.testing.assert_allclose(found[1], found[0], 1e-5)
