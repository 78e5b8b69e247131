"""Modules: what they own, how they are called, saved, converted and printed; and what their errors say."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections import OrderedDict

import pytest

import tapegrad as torch
from tapegrad import nn


class Scale(nn.Module):
    def __init__(self, size=2):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(size))
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x):
        return x * self.factor


def net():
    return nn.Sequential(OrderedDict(first=Scale(), act=nn.Tanh(), last=nn.Linear(2, 1)))


# ---- ownership -------------------------------------------------------------------------------------------------------


def test_dictionaries_are_the_truth():
    m = Scale()
    replaced = nn.Parameter(torch.zeros(2))
    m._parameters["factor"] = replaced
    assert m.factor is replaced
    m._modules["extra"] = nn.Tanh()
    assert isinstance(m.extra, nn.Tanh)
    del m._buffers["calls"]
    assert not hasattr(m, "calls")


def test_a_name_belongs_to_one_kind():
    m = nn.Module()
    m.x = 3
    m.x = nn.Parameter(torch.ones(1))
    assert "x" not in m.__dict__ and list(m._parameters) == ["x"]
    del m.x
    m.x = nn.Tanh()
    assert list(m._modules) == ["x"] and not m._parameters
    m.x = nn.Parameter(torch.ones(1))
    assert not m._modules and list(m._parameters) == ["x"]


def test_shared_parameters_are_listed_once():
    m = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    m[1].weight = m[0].weight
    assert [n for n, _ in m.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
    assert len(m.state_dict()) == 4


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda m: setattr(m, "factor", torch.ones(2)), TypeError, ("as parameter 'factor'", "Parameter or None")),
        (lambda m: setattr(m, "calls", 3), TypeError, ("as buffer 'calls'", "got: int")),
        (lambda m: m.register_parameter("a.b", None), KeyError, ('parameter name can\'t contain "."', "'a.b'")),
        (lambda m: m.register_buffer("", None), KeyError, ("buffer name can't be empty",)),
        (lambda m: m.add_module("factor", nn.Tanh()), KeyError, ("attribute 'factor' already exists", "Scale")),
        (lambda m: m.add_module("x", 3), TypeError, ("as child module 'x'", "Module or None")),
        (lambda m: m.missing, AttributeError, ("'Scale' object has no attribute 'missing'",)),
        (lambda m: m.get_submodule("factor"), AttributeError, ("`factor` is not a Module",)),
        (lambda m: m.get_parameter("nope"), AttributeError, ("Scale has no attribute `nope`",)),
        (lambda m: m.train(1), ValueError, ("training mode is expected to be boolean", "got: 1")),
        (lambda m: m.to(torch.int64), TypeError, ("only accepts floating point", "torch.int64")),
        (lambda m: nn.Module()(1), NotImplementedError, ('missing the required "forward" function', "fix:")),
        (lambda m: nn.Module(1, a=2), TypeError, ("takes no arguments", "1, a=2")),
        (lambda m: nn.Parameter([1.0]), TypeError, ("Parameter takes a tensor", "list")),
    ],
)
def test_errors_say_what_and_where(make, kind, words):
    with pytest.raises(kind) as caught:
        make(Scale())
    for word in words:
        assert word in caught.value.args[0]  # a KeyError shows the repr of its text


def test_parts_before_init():
    class Early(nn.Module):
        def __init__(self):
            self.weight = nn.Parameter(torch.ones(1))

    with pytest.raises(AttributeError, match=r"before Module.__init__\(\) call\n  where: Early\n  fix: call super"):
        Early()


def test_a_computed_parameter_is_refused():
    computed = nn.Parameter(torch.ones(1))
    computed.node = (computed * 2).node
    with pytest.raises(ValueError, match=r"must be a leaf[\s\S]*MulBackward0"):
        nn.Module().register_parameter("x", computed)


def test_modules_are_freed_without_the_collector():
    m = net()
    m.register_load_state_dict_pre_hook(lambda *args: None)
    m.register_forward_hook(lambda module, args, out: None)
    gone = weakref.ref(m)
    gc.disable()
    try:
        del m
        assert gone() is None
    finally:
        gc.enable()


# ---- call ------------------------------------------------------------------------------------------------------------


def test_hooks_run_in_order_and_can_be_removed():
    m, seen = nn.Identity(), []
    first = m.register_forward_hook(lambda module, args, out: seen.append("second"))
    m.register_forward_hook(lambda module, args, out: seen.append("first"), prepend=True)
    m.register_forward_pre_hook(lambda module, args: seen.append("before"))
    m(torch.ones(1))
    first.remove()
    first.remove()
    m(torch.ones(1))
    assert seen == ["before", "first", "second", "before", "first"]


def test_backward_hooks_see_the_border():
    m, seen = nn.Linear(2, 1, bias=False), []
    m.register_full_backward_hook(lambda module, gi, go: seen.append((gi, go)))
    x = torch.ones(1, 2, requires_grad=True)
    m(x).sum().backward()
    (grad_input,), (grad_output,) = seen[0]
    assert torch.equal(grad_input, m.weight.detach()) and torch.equal(grad_output, torch.ones(1, 1))
    assert torch.equal(x.grad, m.weight.detach())


def test_a_backward_hook_on_an_input_without_gradient_warns():
    m, seen = nn.Linear(2, 1), []
    m.register_full_backward_hook(lambda module, gi, go: seen.append(gi))
    with pytest.warns(UserWarning, match="no input requires grad"):
        m(torch.ones(1, 2)).sum().backward()
    assert seen == [(None,)]


def test_always_called_hooks_survive_a_failure():
    class Fails(nn.Module):
        def forward(self):
            raise KeyError("inner")

    m, seen = Fails(), []
    m.register_forward_hook(lambda module, args, out: seen.append(out), always_call=True)
    m.register_forward_hook(lambda module, args, out: 1 / 0, always_call=True)
    with pytest.warns(UserWarning, match="always_call=True failed"), pytest.raises(KeyError, match="inner"):
        m()
    assert seen == [None]


# ---- state -----------------------------------------------------------------------------------------------------------


def test_state_goes_round():
    a, b = net(), net()
    for p in a.parameters():
        p.data.fill_(0.5)
    assert repr(b.load_state_dict(a.state_dict())) == "<All keys matched successfully>"
    assert all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values()))


def test_every_problem_of_a_state_is_listed():
    m = net()
    state = m.state_dict()
    state["last.bias"] = torch.ones(3)
    state["other"] = state.pop("first.calls")
    with pytest.raises(RuntimeError) as caught:
        m.load_state_dict(state)
    assert str(caught.value).split("\n\t") == [
        "Error(s) in loading state_dict for Sequential:",
        'Missing key(s) in state_dict: "first.calls". ',
        'Unexpected key(s) in state_dict: "other". ',
        "size mismatch for last.bias: the checkpoint holds torch.Size([3]), the current model needs torch.Size([1]).",
    ]


def test_not_strict_returns_the_keys():
    m = net()
    found = m.load_state_dict({"first.factor": torch.zeros(2), "x": torch.ones(1)}, strict=False)
    assert found.unexpected_keys == ["x"] and "last.weight" in found.missing_keys
    assert m.first.factor.tolist() == [0.0, 0.0]


def test_a_scalar_saved_with_a_dimension_is_loaded():
    m = nn.Module()
    m.x = nn.Parameter(torch.tensor(1.0))
    m.load_state_dict({"x": torch.tensor([3.0])})
    assert m.x.item() == 3.0


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "pickle"])
def test_copies_are_independent(copied):
    m = net()
    twin = copied(m)
    assert repr(twin) == repr(m)
    with torch.no_grad():
        twin.last.weight.add_(1)
    assert not torch.equal(twin.last.weight, m.last.weight)
    assert isinstance(twin.last.weight, nn.Parameter) and twin.last.weight.requires_grad


# ---- conversion ------------------------------------------------------------------------------------------------------


def test_conversion_keeps_the_parameters_themselves():
    m = net()
    held = list(m.parameters())
    m(torch.ones(1, 2)).sum().backward()
    m.double()
    assert all(
        a is b and a.dtype is torch.float64 and a.grad.dtype is torch.float64 for a, b in zip(held, m.parameters())
    )
    assert m.first.calls.dtype is torch.float64


@pytest.mark.parametrize(
    "arguments",
    [(torch.float16,), ("cpu", torch.float16), (torch.device("cpu"), torch.float16, True), (torch.ones(1).half(),)],
)
def test_to(arguments):
    assert net().to(*arguments).last.weight.dtype is torch.float16


def test_to_refuses_what_it_does_not_know():
    with pytest.raises(TypeError, match="takes a device, a dtype or a tensor"):
        net().to(shape=3)
    with pytest.raises(RuntimeError, match="CPU only"):
        net().cuda()


# ---- containers ------------------------------------------------------------------------------------------------------


def test_sequential_is_a_list():
    m = nn.Sequential(nn.Tanh(), nn.ReLU())
    m.insert(1, nn.GELU()).append(nn.Sigmoid())
    assert [type(x).__name__ for x in m] == ["Tanh", "GELU", "ReLU", "Sigmoid"] and list(m._modules) == list("0123")
    del m[0:2]
    assert len(m) == 2 and list(m._modules) == ["0", "1"] and isinstance(m.pop(0), nn.ReLU)
    assert len(m + m) == 2 and len(m * 3) == 3 and isinstance(m[-1], nn.Sigmoid)
    assert repr(m[:0]) == "Sequential()"


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (lambda m: m[5], IndexError, "index 5 is out of range"),
        (lambda m: m["a"], TypeError, "integer"),
        (lambda m: m.insert(9, nn.Tanh()), IndexError, "index out of range"),
        (lambda m: m.insert(0, 3), AssertionError, "takes a Module"),
        (lambda m: m + 3, ValueError, "another Sequential"),
        (lambda m: m * 0, ValueError, "positive number"),
        (lambda m: m * "a", TypeError, "integer"),
        (lambda m: m.append(3), TypeError, "child module"),
        (lambda m: nn.ModuleList(m).extend(3), TypeError, "takes an iterable"),
        (lambda m: nn.ModuleDict([3]), TypeError, "element 0"),
        (lambda m: nn.ModuleDict([(1, 2, 3)]), ValueError, "3 values"),
        (lambda m: nn.ModuleDict({"training": nn.Tanh()}), KeyError, "already exists"),
        (lambda m: nn.ParameterList([torch.ones(1)])(1), RuntimeError, "should not be called"),
        (lambda m: nn.ParameterDict({1: torch.ones(1)}), TypeError, "names must be strings"),
        (lambda m: nn.ParameterList().extend(torch.ones(1)), TypeError, "use append"),
    ],
)
def test_container_errors(make, kind, text):
    with pytest.raises(kind, match=text):
        make(nn.Sequential(nn.Tanh(), nn.ReLU()))


def test_module_list_and_dict():
    layers = nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1)])
    layers.insert(1, nn.Tanh())
    layers += [nn.Tanh()]
    assert repr(layers).count("x Linear") == 0 and len(layers[1:3]) == 2 and len(list(layers.parameters())) == 4
    named = nn.ModuleDict({"b": nn.Tanh(), "a": nn.ReLU()})
    assert list(named) == ["b", "a"] and "a" in named and isinstance(named.pop("b"), nn.Tanh) and len(named) == 1
    named.update({"c": nn.Tanh()})
    named.clear()
    assert not list(named.items())


def test_parameter_list_and_dict():
    weights = nn.ParameterList([torch.ones(2), 3])
    weights.append(torch.zeros(1))
    assert [type(w).__name__ for w in weights] == ["Parameter", "int", "Parameter"]
    assert list(weights.state_dict()) == ["0", "2"] and len(weights[1:]) == 2
    named = nn.ParameterDict({"b": torch.ones(1), "a": torch.ones(2)})
    assert list(named) == ["a", "b"] and list((named | {"c": torch.ones(1)}).keys()) == ["a", "b", "c"]
    assert named.setdefault("d", torch.ones(1)).requires_grad and named.get("x") is None and named.popitem()[0] == "d"


# ---- gradients and initial values ------------------------------------------------------------------------------------


def test_clipping():
    p, q = (nn.Parameter(torch.zeros(2)) for _ in range(2))
    p.grad, q.grad = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 4.0])
    assert nn.utils.clip_grad_norm_([p, q], 1.0).item() == 5.0
    assert torch.allclose(nn.utils.get_total_norm([p.grad, q.grad]), torch.tensor(1.0))
    nn.utils.clip_grad_value_([p, q], 0.5)
    assert p.grad.max().item() == 0.5
    q.grad = torch.tensor([float("nan"), 0.0])
    with pytest.raises(RuntimeError, match="non-finite"):
        nn.utils.clip_grad_norm_([p, q], 1.0, error_if_nonfinite=True)


def test_parameters_as_a_vector():
    m = nn.Linear(2, 3)
    vector = nn.utils.parameters_to_vector(m.parameters())
    nn.utils.vector_to_parameters(torch.arange(9.0), m.parameters())
    assert vector.shape == (9,) and m.weight.tolist() == [[0, 1], [2, 3], [4, 5]] and m.bias.tolist() == [6, 7, 8]


def test_padding_sequences():
    parts = [torch.ones(n, 2) for n in (1, 3)]
    padded = nn.utils.rnn.pad_sequence(parts, batch_first=True, padding_value=7.0, padding_side="left")
    assert padded[0].tolist() == [[7, 7], [7, 7], [1, 1]]
    padded = nn.utils.rnn.pad_sequence(parts)
    assert padded.shape == (3, 2, 2)
    assert [t.shape[0] for t in nn.utils.rnn.unpad_sequence(padded, torch.tensor([1, 3]))] == [1, 3]


@pytest.mark.parametrize(
    "name", ["uniform_", "normal_", "xavier_uniform_", "xavier_normal_", "kaiming_uniform_", "kaiming_normal_"]
)
def test_random_initial_values_have_the_declared_spread(name):
    torch.manual_seed(0)
    w = nn.init.__dict__[name](torch.empty(400, 200))
    expected = {
        "uniform_": (1 / 12) ** 0.5,
        "normal_": 1.0,
        "xavier_uniform_": (2 / 600) ** 0.5,
        "xavier_normal_": (2 / 600) ** 0.5,
        "kaiming_uniform_": (2 / 200) ** 0.5,
        "kaiming_normal_": (2 / 200) ** 0.5,
    }[name]
    assert abs(w.std().item() / expected - 1) < 0.02


def test_other_initial_values():
    torch.manual_seed(0)
    q = nn.init.orthogonal_(torch.empty(5, 2, 4))
    assert torch.allclose(q.reshape(5, 8) @ q.reshape(5, 8).T, torch.eye(5), atol=1e-5)
    assert nn.init.eye_(torch.empty(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]]
    w = nn.init.dirac_(torch.empty(4, 2, 3), groups=2)
    x = w[:, :, 1].tolist()
    assert x == [[1, 0], [0, 1], [1, 0], [0, 1]] and w.sum().item() == 4
    assert (nn.init.sparse_(torch.empty(10, 3), 0.35) == 0).sum(0).tolist() == [4, 4, 4]
    for bounds in ((-2.0, 2.0), (1.9, 2.0), (-0.1, 0.1)):
        t = nn.init.trunc_normal_(torch.empty(300), a=bounds[0], b=bounds[1])
        assert bounds[0] <= t.min().item() and t.max().item() <= bounds[1]
    assert nn.init.constant_(torch.empty(2), 3.0).tolist() == [3, 3]
    with pytest.warns(FutureWarning, match="old name"):
        nn.init.uniform(torch.empty(1))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: nn.init.calculate_gain("nope"), "Unsupported nonlinearity"),
        (lambda: nn.init.calculate_gain("leaky_relu", "a"), "not a valid number"),
        (lambda: nn.init.xavier_uniform_(torch.empty(2)), "fewer than 2 dimensions"),
        (lambda: nn.init.kaiming_uniform_(torch.empty(2, 2), mode="x"), "Mode x not supported"),
        (lambda: nn.init.eye_(torch.empty(2)), "2 dimensions"),
        (lambda: nn.init.dirac_(torch.empty(2, 2)), "3, 4, or 5 dimensions"),
        (lambda: nn.init.dirac_(torch.empty(3, 2, 2), groups=2), "divisible by groups"),
        (lambda: nn.init.orthogonal_(torch.empty(2)), "2 or more dimensions"),
        (lambda: nn.init.sparse_(torch.empty(2), 0.1), "2 dimensions"),
    ],
)
def test_initial_value_errors(make, text):
    with pytest.raises(ValueError, match=text):
        make()
