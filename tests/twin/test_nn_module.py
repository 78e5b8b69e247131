"""What `nn.Module` does besides computing: the same program runs in both libraries and must tell the same story.

A program is a function of the library that returns plain values (texts, names, numbers, exception types).
"""

from __future__ import annotations

import copy
import pickle
import warnings
from collections import OrderedDict

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import tapegrad  # noqa: E402

PROGRAMS = []


def program(function):
    PROGRAMS.append(function)
    return function


def told(value):
    """Tensors as lists, so that stories can be compared."""
    if hasattr(value, "detach"):
        return ["tensor", str(value.dtype), list(value.shape), bool(value.requires_grad), np.round(value.detach().double().numpy(), 5).tolist()]
    if isinstance(value, (list, tuple)):
        return [told(v) for v in value]
    if isinstance(value, dict):
        return [[told(k), told(v)] for k, v in value.items()]
    return value


def fails(function):
    """The class of the exception that the call raises."""
    try:
        function()
    except Exception as error:
        return type(error).__name__
    return "no error"


def net(lib, bias=True):
    class Block(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = lib.nn.Parameter(lib.arange(3.0))
            self.register_buffer("count", lib.zeros(1))
            self.register_buffer("scratch", lib.ones(2), persistent=False)
            self.act = lib.nn.ReLU()

        def forward(self, x):
            return self.act(x * self.scale)

    class Net(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = Block()
            self.again = self.first
            self.empty = None
            self.norm = lib.nn.LayerNorm(3)
            self.list = lib.nn.ModuleList([Block(), lib.nn.Identity()])
            self.register_parameter("bias", lib.nn.Parameter(lib.ones(3)) if bias else None)

        def forward(self, x, *, twice=False):
            out = self.norm(self.first(x)) + self.bias
            return out * 2 if twice else out

    return Net()


# ---- attributes -------------------------------------------------------------------------------------------------------------


@program
def traversal(lib):
    m = net(lib)
    names = lambda pairs: [n for n, _ in pairs]  # noqa: E731
    return [
        names(m.named_parameters()), names(m.named_parameters("p")), names(m.named_parameters(recurse=False)),
        names(m.named_parameters(remove_duplicate=False)), names(m.named_buffers()), names(m.named_buffers(remove_duplicate=False)),
        names(m.named_modules()), names(m.named_modules(prefix="x")), names(m.named_modules(remove_duplicate=False)),
        names(m.named_children()), [type(c).__name__ for c in m.children()], len(list(m.modules())),
        len(list(m.parameters())), len(list(m.buffers())), list(m.parameters()),
    ]  # fmt: skip


@program
def lookups(lib):
    m = net(lib)
    return [
        type(m.get_submodule("list.0.act")).__name__, m.get_submodule("") is m, m.get_parameter("list.0.scale"), m.get_buffer("first.count"),
        fails(lambda: m.get_submodule("list.5")), fails(lambda: m.get_submodule("first.scale")), fails(lambda: m.get_parameter("first.count")),
        fails(lambda: m.get_parameter("first.nope")), fails(lambda: m.get_buffer("first.scale")), fails(lambda: m.nothing),
        fails(lambda: m.set_submodule("", m)), fails(lambda: m.set_submodule("list.0", 3)), m.set_submodule("list.0", lib.nn.Tanh()), repr(m),
        m.set_submodule("extra", lib.nn.Tanh()), fails(lambda: m.set_submodule("other", lib.nn.Tanh(), strict=True)), hasattr(m, "extra"),
    ]  # fmt: skip


@program
def kinds_of_attributes(lib):
    m = lib.nn.Module()
    p, b, c = lib.nn.Parameter(lib.ones(1)), lib.zeros(2), lib.nn.Tanh()
    story = []

    def state():
        plain = sorted(n for n in m.__dict__ if not n.startswith("_") and n != "training")
        story.append([sorted(m._parameters), sorted(m._buffers), sorted(m._modules), plain])

    m.a = 3
    state()
    m.a = p
    state()
    m.a = None
    state()
    m.a = p
    m.register_buffer("b", b)
    m.b = b * 2
    state()
    m.b = None
    m.c = c
    state()
    m.c = p
    state()
    m.c = None
    del m.a, m.b
    state()
    m.a = c
    m.a = None
    m.d = lib.nn.Buffer(b, persistent=False)
    m.e = lib.nn.Buffer(b)
    state()
    story.append([list(m.state_dict()), sorted(m._non_persistent_buffers_set)])
    m.d = p
    story.append([list(m.state_dict()), sorted(m._non_persistent_buffers_set)])
    m._parameters["d"] = lib.nn.Parameter(lib.ones(4))
    story.append(m.d)
    return story


@program
def refused_attributes(lib):
    nn = lib.nn
    m = nn.Linear(2, 2)
    m.register_buffer("buf", lib.ones(1))
    m.child = nn.Tanh()
    m.plain = 1

    class NoInit(nn.Module):
        def __init__(self, what):
            if what == "parameter":
                self.x = nn.Parameter(lib.ones(1))
            elif what == "module":
                self.x = nn.Tanh()
            elif what == "buffer":
                self.register_buffer("x", lib.ones(1))
            elif what == "register":
                self.register_parameter("x", None)
            else:
                self.x = 3

    leaf = lib.ones(1, requires_grad=True)
    return [
        fails(lambda: setattr(m, "weight", lib.ones(2))), fails(lambda: setattr(m, "weight", 3)), fails(lambda: setattr(m, "child", 3)),
        fails(lambda: setattr(m, "child", lib.ones(1))), fails(lambda: setattr(m, "buf", 3)), fails(lambda: setattr(m, "weight", nn.Tanh())),
        *(fails(lambda w=w: NoInit(w)) for w in ("parameter", "module", "buffer", "register", "plain")),
        fails(lambda: m.register_parameter("a.b", None)), fails(lambda: m.register_parameter("", None)),
        fails(lambda: m.register_parameter("plain", None)), fails(lambda: m.register_parameter(3, None)),
        fails(lambda: m.register_parameter("q", lib.ones(1))), fails(lambda: m.register_parameter("q", nn.Parameter(leaf) * 2)),
        fails(lambda: m.register_buffer("a.b", None)), fails(lambda: m.register_buffer("", None)), fails(lambda: m.register_buffer("weight", None)),
        fails(lambda: m.register_buffer(3, None)), fails(lambda: m.register_buffer("q", 3)), fails(lambda: m.add_module("a.b", None)),
        fails(lambda: m.add_module("", None)), fails(lambda: m.add_module("weight", None)), fails(lambda: m.add_module(3, None)),
        fails(lambda: m.add_module("q", 3)), fails(lambda: delattr(m, "nope")), fails(lambda: nn.Module(3)), fails(lambda: nn.Module(a=3)),
        fails(lambda: nn.Module()(3)), fails(lambda: m.train(3)), fails(lambda: m()), fails(lambda: nn.Parameter([1.0])),
        fails(lambda: nn.Parameter(lib.ones(1, dtype=lib.int64))), fails(lambda: m.to(lib.int32)), fails(lambda: m.to([])),
    ]  # fmt: skip


@program
def directory(lib):
    m = net(lib)
    own = {"first", "again", "norm", "list", "bias", "training", "forward", "parameters"}
    return [own <= set(dir(m)), "0" in dir(m.list), sorted(n for n in dir(m) if n in own)]


@program
def registration_hooks(lib):
    hooks = lib.nn.modules.module
    seen = []
    handles = [
        hooks.register_module_parameter_registration_hook(lambda m, n, v: seen.append(("p", n))),
        hooks.register_module_buffer_registration_hook(lambda m, n, v: seen.append(("b", n))),
        hooks.register_module_module_registration_hook(lambda m, n, v: seen.append(("m", n))),
    ]
    m = lib.nn.Sequential(lib.nn.BatchNorm1d(2))
    m.extra = lib.nn.Tanh()
    for handle in handles:
        handle.remove()
    lib.nn.Linear(1, 1)
    return seen


# ---- texts ------------------------------------------------------------------------------------------------------------------


@program
def printed(lib):
    nn = lib.nn

    class Odd(nn.Module):
        def __init__(self, lines, children):
            super().__init__()
            self.lines = lines
            for i in range(children):
                self.add_module(f"child{i}", nn.Linear(1, 2, bias=False))

        def extra_repr(self):
            return self.lines

    odd = [Odd(text, n) for text in ("", "a=1", "a=1\nb=2") for n in (0, 1, 2)]
    nested = nn.Sequential(OrderedDict(body=nn.ModuleList([nn.Sequential(nn.ReLU(), nn.ReLU()) for _ in range(2)]), head=odd[-1]))
    return [*map(repr, odd), repr(nested), repr(nn.ModuleList()), repr(nn.Sequential()), str(nn.Parameter(lib.ones(2))), repr(net(lib))]


@program
def parameters_as_objects(lib):
    p = lib.nn.Parameter(lib.arange(3.0))
    p.grad = lib.ones(3)
    q = copy.deepcopy(p)
    r = pickle.loads(pickle.dumps(p))
    base = lib.zeros(2)
    shared = lib.nn.Parameter(base)
    base.add_(1)
    lib_ints = lib.nn.Parameter(lib.ones(1, dtype=lib.int64), requires_grad=False)
    kinds = [type(v).__name__ for v in (p * 1, p.detach(), p.data, p[0:2], p.clone(), q, r)]
    return [q, q.grad is None, r, r.grad is None, kinds, shared, lib_ints, lib.nn.Parameter(), repr(p), repr(lib_ints), p.is_leaf, isinstance(p, lib.Tensor)]


# ---- the call and its hooks ---------------------------------------------------------------------------------------------------


@program
def forward_hooks(lib):
    m, log, hooks = net(lib), [], lib.nn.modules.module
    handles = [
        hooks.register_module_forward_pre_hook(lambda mod, args: log.append(("global pre", type(mod).__name__))),
        hooks.register_module_forward_hook(lambda mod, args, out: log.append(("global", type(mod).__name__))),
        m.register_forward_pre_hook(lambda mod, args: log.append("pre") or (args[0] * 2,)),
        m.register_forward_pre_hook(lambda mod, args: log.append("pre first"), prepend=True),
        m.register_forward_pre_hook(lambda mod, a, k: log.append(("kw", k)) or (a, {"twice": True}), with_kwargs=True),
        m.register_forward_hook(lambda mod, args, out: log.append("post") or out + 1),
        m.register_forward_hook(lambda mod, args, out: log.append("post first"), prepend=True),
        m.register_forward_hook(lambda mod, a, k, out: log.append(("post kw", k)), with_kwargs=True),
        m.norm.register_forward_pre_hook(lambda mod, args: args[0] + 1),
    ]
    out = [m(lib.arange(3.0)), list(log)]
    for handle in handles:
        handle.remove()
    log.clear()
    return [*out, m(lib.arange(3.0)), log, len(m._forward_hooks), len(m._forward_pre_hooks), len(m._forward_hooks_with_kwargs)]


@program
def failing_hooks(lib):
    class Fails(lib.nn.Module):
        def forward(self, x):
            raise ValueError("no")

    m, log = Fails(), []
    m.register_forward_hook(lambda mod, a, out: log.append(("plain", out)))
    m.register_forward_hook(lambda mod, a, out: log.append(("always", out)), always_call=True)
    m.register_forward_hook(lambda mod, a, k, out: log.append(("always kw", k, out)), always_call=True, with_kwargs=True)
    story = [fails(lambda: m(1)), list(log)]
    n = lib.nn.Identity()
    n.register_forward_pre_hook(lambda mod, a, k: 3, with_kwargs=True)
    story.append(fails(lambda: n(lib.ones(1))))
    with n.register_forward_hook(lambda mod, a, out: None) as handle:
        story.append(len(n._forward_hooks))
    return [*story, len(n._forward_hooks), handle is not None]


@program
def backward_hooks(lib):
    class Two(lib.nn.Module):
        def forward(self, x, k, n=2):
            return x * n, k * 3, None, x + k

    log = []
    m = Two()
    note = lambda name: lambda mod, gi, go: log.append((name, gi, go))  # noqa: E731
    m.register_full_backward_hook(note("full"))
    m.register_full_backward_hook(note("first"), prepend=True)
    m.register_full_backward_pre_hook(lambda mod, go: log.append(("pre", go)))
    x, k = lib.ones(2, requires_grad=True), lib.ones(2)
    a, b, c, d = m(x, k)
    story = [a, b, c, d]
    (a * 2).sum().backward(retain_graph=True)
    story.append(x.grad)
    (a.sum() + d.sum()).backward()
    return [*story, x.grad, log]


@program
def changing_backward_hooks(lib):
    m = lib.nn.Tanh()
    m.register_full_backward_pre_hook(lambda mod, go: (go[0] * 2,))
    m.register_full_backward_hook(lambda mod, gi, go: (gi[0] * 10 + go[0],))
    x = lib.zeros(2, requires_grad=True)
    m(x).sum().backward()
    bad, worse = lib.nn.Tanh(), lib.nn.Tanh()
    bad.register_full_backward_hook(lambda mod, gi, go: (gi[0], gi[0]))
    worse.register_full_backward_pre_hook(lambda mod, go: (go[0], go[0]))
    linear, log = lib.nn.Linear(2, 1), []
    linear.register_full_backward_hook(lambda mod, gi, go: log.append((gi, go)))
    linear(lib.ones(2)).backward()
    errors = [fails(lambda: n(lib.ones(1, requires_grad=True)).backward()) for n in (bad, worse)]
    with lib.no_grad():
        quiet = m(x)
    return [x.grad, errors, log, quiet.requires_grad, linear.weight.grad is not None]


@program
def global_backward_hooks(lib):
    hooks, log = lib.nn.modules.module, []
    handles = [
        hooks.register_module_full_backward_hook(lambda mod, gi, go: log.append((type(mod).__name__, len(gi), len(go)))),
        hooks.register_module_full_backward_pre_hook(lambda mod, go: log.append((type(mod).__name__, len(go)))),
    ]
    m = lib.nn.Sequential(lib.nn.Tanh(), lib.nn.ReLU())
    m(lib.ones(2, requires_grad=True)).sum().backward()
    for handle in handles:
        handle.remove()
    m(lib.ones(2, requires_grad=True)).sum().backward()
    return log


# ---- state ------------------------------------------------------------------------------------------------------------------


@program
def saved_state(lib):
    m = net(lib)
    state = m.state_dict()
    keep = m.state_dict(keep_vars=True)
    into = m.norm.state_dict(prefix="z.")
    filled = OrderedDict(a=1)
    positional = m.norm.state_dict(filled, "q.", False)
    return [
        list(state), [v.requires_grad for v in state.values()], [v.requires_grad for v in keep.values()], list(into), list(filled),
        positional is filled, [[k, dict(v)] for k, v in state._metadata.items()], type(state).__name__, state["bias"].data_ptr() == m.bias.data_ptr(),
        hasattr(filled, "_metadata"), list(net(lib, bias=False).state_dict()),
    ]  # fmt: skip


@program
def loaded_state(lib):
    m = net(lib)
    state = OrderedDict((k, v + 1) for k, v in m.state_dict().items())
    story = [repr(m.load_state_dict(state)), m.bias, m.first.scale, m.again.scale]
    del state["bias"]
    state["extra"], state["first.more.deep"], state["norm"] = lib.ones(1), lib.ones(1), lib.ones(1)
    state["norm.weight"] = lib.ones(7)

    def report(**options):
        try:
            return m.load_state_dict(state, **options)
        except RuntimeError as error:
            lines = str(error).split("\n\t")
            return [lines[0], *(line.split(":")[0] for line in lines[1:])]

    story += [report(), report(strict=False)]
    state["norm.weight"] = lib.ones(3)
    result = report(strict=False)
    story += [list(result.missing_keys), list(result.unexpected_keys), repr(result), result._fields]
    story += [fails(lambda: m.load_state_dict(3)), fails(lambda: m.load_state_dict([1]))]
    state["norm.bias"] = 3
    return [*story, report()]


@program
def assigned_state(lib):
    m = lib.nn.Linear(2, 1)
    m.weight.requires_grad_(False)
    weight, bias = lib.ones(1, 2, dtype=lib.float64), lib.nn.Parameter(lib.zeros(1))
    m.load_state_dict({"weight": weight, "bias": bias}, assign=True)
    norm = lib.nn.BatchNorm1d(1)
    state = {k: v.clone() for k, v in norm.state_dict().items()}
    norm.load_state_dict(state, assign=True)
    return [m.weight, m.bias is bias, type(m.weight).__name__, m.weight.data_ptr() == weight.data_ptr(), norm.running_mean is state["running_mean"], type(norm.weight).__name__]


@program
def state_hooks(lib):
    m, log = net(lib), []
    m.register_state_dict_pre_hook(lambda mod, prefix, keep: log.append(("pre", prefix, keep)))
    m.register_state_dict_post_hook(lambda mod, state, prefix, meta: log.append(("post", len(state), prefix, dict(meta))))
    m.register_load_state_dict_pre_hook(lambda mod, state, prefix, *rest: log.append((mod is m, prefix, len(state), len(rest))))
    m._register_load_state_dict_pre_hook(lambda state, prefix, *rest: log.append((prefix, len(state), len(rest))))
    m.register_load_state_dict_post_hook(lambda mod, keys: log.append((mod is m, list(keys.missing_keys))) or keys.missing_keys.clear())
    state = m.state_dict()
    del state["bias"]
    other = copy.deepcopy(m)
    result = [repr(m.load_state_dict(state)), list(log)]
    log.clear()
    other.load_state_dict(state)
    wrong = net(lib)
    wrong._register_state_dict_hook(lambda mod, state, prefix, meta: {"all": 1})
    bad = net(lib)
    bad.register_state_dict_post_hook(lambda mod, state, prefix, meta: {"all": 1})
    return [*result, log[0][0], wrong.state_dict(), fails(bad.state_dict)]


@program
def extra_state(lib):
    class Extra(lib.nn.Module):
        def __init__(self, value):
            super().__init__()
            self.value = value

        def get_extra_state(self):
            return {"value": self.value}

        def set_extra_state(self, state):
            self.value = state["value"]

    a, b = lib.nn.Sequential(Extra(1)), lib.nn.Sequential(Extra(2))
    story = [a.state_dict(), repr(b.load_state_dict(a.state_dict())), b[0].value, fails(lambda: b.load_state_dict({}))]
    plain = lib.nn.Sequential(lib.nn.Tanh())
    return [*story, fails(lambda: plain.load_state_dict(a.state_dict())), fails(plain.get_extra_state), fails(lambda: plain.set_extra_state(1))]


@program
def old_batch_norm_state(lib):
    m = lib.nn.BatchNorm1d(2)
    state = dict(m.state_dict())
    del state["num_batches_tracked"]
    return [repr(m.load_state_dict(state)), m.num_batches_tracked, fails(lambda: m.load_state_dict({**m.state_dict(), "running_var": lib.ones(3)}))]


# ---- conversion and copies ----------------------------------------------------------------------------------------------------


@program
def conversion(lib):
    m = net(lib)
    m.register_buffer("number", lib.arange(3))
    weight = m.norm.weight
    m(lib.arange(3.0)).sum().backward()
    story = []
    for change in (m.double, m.half, m.bfloat16, m.float, lambda: m.to(lib.float64), lambda: m.to(lib.ones(1)), lambda: m.to("cpu", lib.float64)):
        story.append([change() is m, [str(t.dtype) for t in (*m.parameters(), *m.buffers())], m.norm.weight is weight, str(m.norm.weight.grad.dtype)])
    story += [m.to() is m, m.cpu() is m, m.type(lib.float32) is m, str(m.number.dtype), m.share_memory() is m]
    story += [list(m.to_empty(device="cpu").norm.weight.shape), m.to(dtype=lib.float64, device=lib.device("cpu"), non_blocking=True) is m]
    return story


@program
def modes(lib):
    m = net(lib)
    story = [m.train(False) is m, [c.training for c in m.modules()], m.eval().training, m.train().training]
    m(lib.arange(3.0)).sum().backward()
    grads = lambda: [p.grad is None for p in m.parameters()]  # noqa: E731
    story.append(grads())
    m.zero_grad(set_to_none=False)
    story += [grads(), m.bias.grad]
    m.zero_grad()
    story += [grads(), m.requires_grad_(False) is m, [p.requires_grad for p in m.parameters()]]
    order = []
    story.append(m.apply(lambda c: order.append(type(c).__name__)) is m)
    return [*story, order]


@program
def copies(lib):
    m = lib.nn.Sequential(lib.nn.Linear(2, 2), lib.nn.BatchNorm1d(2))
    m[0].register_forward_hook(lib_hook)
    deep, shallow, stored = copy.deepcopy(m), copy.copy(m), pickle.loads(pickle.dumps(m))
    deep[0].bias.data.fill_(9.0)
    return [
        m[0].bias.requires_grad, deep[0].bias, shallow[0] is m[0], [repr(x) for x in (deep, shallow, stored)], list(stored.state_dict()),
        len(deep[0]._forward_hooks), len(stored[0]._forward_hooks), deep[0].weight is m[0].weight, stored[1].num_batches_tracked,
    ]  # fmt: skip


def lib_hook(module, args, out):
    return None


@program
def mixed_bases(lib):
    class Named:
        def __init__(self, name="none"):
            self.name = name

    class Both(lib.nn.Module, Named):
        call_super_init = True

    class Silent(lib.nn.Module, Named):
        pass

    return [Both(name="x").name, fails(lambda: Silent().name), Silent().training, [c.__name__ for c in (Both, Silent)]]


# ---- the test (after all programs are known) -------------------------------------------------------------------------------------


@pytest.mark.parametrize("run", PROGRAMS, ids=lambda f: f.__name__)
def test_program(run):
    stories = []
    for lib in (tapegrad, torch):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stories.append(told(run(lib)))
    assert stories[0] == stories[1]
