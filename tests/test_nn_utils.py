"""`nn.utils` alone: what parametrizations, norms, pruning and fusion promise, without PyTorch beside them."""

from __future__ import annotations

import copy
import pickle
import warnings

import pytest

import tapegrad as torch
from tapegrad.nn.utils import parametrizations, parametrize, prune

nn = torch.nn


class Symmetric(nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).mT

    def right_inverse(self, y):
        return y.triu()


def quietly(function, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **kwargs)


# ---- parametrize --------------------------------------------------------------------------------------------------


def test_training_keeps_the_constraint_and_the_optimizer_its_parameter():
    layer = nn.Linear(3, 3, bias=False)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    parametrize.register_parametrization(layer, "weight", Symmetric())
    target = torch.tensor([[1.0, 2.0, 3.0], [2.0, 4.0, 5.0], [3.0, 5.0, 6.0]])
    for _ in range(200):
        optimizer.zero_grad()
        ((layer.weight - target) ** 2).sum().backward()
        optimizer.step()
    assert torch.equal(layer.weight, layer.weight.mT)
    assert torch.allclose(layer.weight, target, atol=1e-4)


def test_copies_are_independent_and_pickles_refused():
    layer = parametrize.register_parametrization(nn.Linear(2, 2), "weight", Symmetric())
    other = copy.deepcopy(layer)
    other.weight = torch.zeros(2, 2)
    assert not torch.equal(layer.weight, other.weight)
    with pytest.raises(RuntimeError, match="cannot be pickled"):
        pickle.dumps(layer)
    fresh = parametrize.register_parametrization(nn.Linear(2, 2), "weight", Symmetric())
    fresh.load_state_dict(layer.state_dict())
    assert torch.equal(fresh.weight, layer.weight)


def test_several_tensors_behind_one():
    class Product(nn.Module):
        def forward(self, a, b):
            return a * b

        def right_inverse(self, y):
            return y, torch.ones(y.shape)

    layer = parametrize.register_parametrization(nn.Linear(2, 1), "weight", Product())
    assert [n for n, _ in layer.named_parameters()][1:] == [
        "parametrizations.weight.original0",
        "parametrizations.weight.original1",
    ]
    with pytest.raises(ValueError, match="a tensor made of 2"):
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    before = layer.weight.clone()
    parametrize.remove_parametrizations(layer, "weight")
    assert isinstance(layer.weight, nn.Parameter)
    assert torch.equal(layer.weight, before)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda m: parametrize.register_parametrization(m, "w", Symmetric()), ValueError, "parametrized tensor 'w'"),
        (lambda m: parametrize.remove_parametrizations(m, "weight"), ValueError, "no parametrization on 'weight'"),
        (lambda m: parametrize.ParametrizationList([], m.weight), ValueError, "at least one module"),
        (lambda m: parametrizations.orthogonal(m, "bias"), ValueError, "got: 1 dimensions"),
        (lambda m: parametrizations.orthogonal(m, orthogonal_map="qr"), ValueError, "got: 'qr'"),
        (lambda m: parametrizations.spectral_norm(m, n_power_iterations=0), ValueError, "got: 0"),
        (lambda m: parametrizations.spectral_norm(m, dim=2), IndexError, "from -2 to 1"),
        (lambda m: nn.utils.spectral_norm(m, "w"), KeyError, "no parameter 'w'"),
        (lambda m: nn.utils.remove_weight_norm(m), ValueError, "no weight_norm of 'weight'"),
        (lambda m: nn.utils.remove_spectral_norm(m), ValueError, "no spectral_norm of 'weight'"),
        (lambda m: prune.remove(m, "weight"), ValueError, "'weight' is not pruned"),
        (lambda m: prune.l1_unstructured(m, "weight", 99), ValueError, r"got: 99\n  expected: at most 4"),
        (lambda m: prune.l1_unstructured(m, "weight", -1), ValueError, "got: -1"),
        (lambda m: prune.l1_unstructured(m, "weight", "all"), TypeError, "got: 'all'"),
        (lambda m: prune.ln_structured(m, "bias", 1, 2, 0), ValueError, "more than one dimension"),
        (lambda m: prune.ln_structured(m, "weight", 1, 2, 2), IndexError, r"got: 2\n  expected: below 2"),
        (lambda m: nn.utils.skip_init(nn.ReLU), RuntimeError, "ReLU takes no device"),
        (lambda m: nn.utils.fuse_linear_bn_eval(m, nn.BatchNorm1d(2)), AssertionError, "evaluation mode"),
        (lambda m: torch.func.functional_call(m, {"w.x": m.weight}, m.bias), AttributeError, "no module for 'w.x'"),
        (lambda m: torch.func.functional_call(m, {"weight": 1}, m.bias), TypeError, "got: int"),
        (lambda m: torch.func.functional_call(m, {}, m.bias, strict=True), RuntimeError, "missing .'bias', 'weight'."),
    ],
)
def test_refuses(make, error, text):
    with pytest.raises(error, match=text):
        make(nn.Linear(2, 2))


# ---- ready parametrizations ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4)])
def test_orthogonal_weights_stay_orthogonal(name, shape):
    layer = nn.Linear(*shape)
    parametrizations.orthogonal(layer, orthogonal_map=name)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    start = layer.weight.detach().clone()
    for _ in range(3):
        optimizer.zero_grad()
        (layer(torch.ones(2, shape[0])) ** 3).sum().backward()
        optimizer.step()
    w = layer.weight if shape[0] >= shape[1] else layer.weight.mT
    assert torch.allclose(w @ w.mT, torch.eye(min(shape)), atol=1e-5)
    assert not torch.allclose(layer.weight, start)


def test_weight_norm_keeps_the_function_and_its_lengths():
    layer, x = nn.Conv2d(2, 3, 2), torch.rand(1, 2, 4, 4)
    before = layer(x)
    for norm in (parametrizations.weight_norm, lambda m: quietly(nn.utils.weight_norm, m)):
        other = norm(copy.deepcopy(layer))
        assert torch.allclose(other(x), before, atol=1e-6)
    assert torch.allclose(nn.utils.remove_weight_norm(other)(x), before, atol=1e-6)


@pytest.mark.parametrize("norm", [parametrizations.spectral_norm, nn.utils.spectral_norm])
def test_spectral_norm_is_one(norm):
    layer = norm(nn.Linear(6, 4), n_power_iterations=20)
    layer(torch.rand(1, 6))
    assert torch.linalg.matrix_norm(layer.weight, 2).item() == pytest.approx(1, abs=1e-3)


# ---- pruning ------------------------------------------------------------------------------------------------------


def test_pruned_elements_get_no_values_back():
    layer = prune.l1_unstructured(nn.Linear(4, 4), "weight", 0.5)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        layer(torch.ones(1, 4)).sum().backward()
        optimizer.step()
        layer(torch.ones(1, 4))
    assert (layer.weight == 0).sum().item() == 8
    prune.l1_unstructured(layer, "weight", 4)
    assert (layer.weight == 0).sum().item() == 12
    assert len(next(iter(layer._forward_pre_hooks.values()))) == 2
    restored = nn.Linear(4, 4)
    prune.identity(restored, "weight")
    restored.load_state_dict(layer.state_dict())
    assert torch.equal(restored(torch.ones(1, 4)), layer(torch.ones(1, 4)))
    prune.remove(layer, "weight")
    assert not prune.is_pruned(layer)
    assert (layer.weight == 0).sum().item() == 12


def test_containers_hold_methods_of_one_parameter():
    first, second = prune.L1Unstructured(1), prune.L1Unstructured(1)
    first._tensor_name, second._tensor_name = "weight", "bias"
    container = prune.PruningContainer(first)
    assert list(container) == [first] and container[0] is first
    with pytest.raises(ValueError, match=r"got: bias\n  expected: weight"):
        container.add_pruning_method(second)
    with pytest.raises(TypeError, match="got: str"):
        container.add_pruning_method("l1")
    odd = prune.Identity()
    odd._tensor_name, odd.PRUNING_TYPE = "weight", "odd"
    container.add_pruning_method(odd)
    with pytest.raises(ValueError, match="unknown PRUNING_TYPE"):
        container.compute_mask(torch.ones(2), torch.ones(2))


# ---- the rest -----------------------------------------------------------------------------------------------------


def test_functional_call_leaves_the_module_as_it_was():
    layer = nn.Linear(2, 2)
    weight = layer.weight
    with pytest.raises(RuntimeError):
        torch.func.functional_call(layer, {"weight": torch.zeros(3, 3)}, torch.ones(1, 2))
    assert layer.weight is weight
    given = torch.zeros(2, 2, requires_grad=True)
    torch.func.functional_call(layer, {"weight": given}, torch.ones(1, 2)).sum().backward()
    assert given.grad is not None and weight.grad is None
    with pytest.warns(FutureWarning, match="torch.func.functional_call"):
        nn.utils.stateless.functional_call(layer, {}, torch.ones(1, 2))


def test_memory_formats_are_accepted():
    layer = nn.Conv2d(1, 1, 1)
    assert nn.utils.convert_conv2d_weight_memory_format(layer, torch.channels_last) is layer
    assert nn.utils.convert_conv3d_weight_memory_format(layer, torch.channels_last_3d) is layer
