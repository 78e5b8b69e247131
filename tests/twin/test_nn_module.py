"""What a module is made of, what it prints, and the hooks around its call: the same story in both libraries."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict

import pytest
from nn_stories import compare, fails, net

torch = pytest.importorskip("torch")

import tapegrad  # noqa: E402

# ---- attributes ------------------------------------------------------------------------------------------------------


def traversal(lib):
    m = net(lib)
    names = lambda pairs: [n for n, _ in pairs]
    return [
        names(m.named_parameters()),
        names(m.named_parameters("p")),
        names(m.named_parameters(recurse=False)),
        names(m.named_parameters(remove_duplicate=False)),
        names(m.named_buffers()),
        names(m.named_buffers(remove_duplicate=False)),
        names(m.named_modules()),
        names(m.named_modules(prefix="x")),
        names(m.named_modules(remove_duplicate=False)),
        names(m.named_children()),
        [type(c).__name__ for c in m.children()],
        len(list(m.modules())),
        len(list(m.parameters())),
        len(list(m.buffers())),
        list(m.parameters()),
    ]


def lookups(lib):
    m = net(lib)
    return [
        type(m.get_submodule("list.0.act")).__name__,
        m.get_submodule("") is m,
        m.get_parameter("list.0.scale"),
        m.get_buffer("first.count"),
        fails(lambda: m.get_submodule("list.5")),
        fails(lambda: m.get_submodule("first.scale")),
        fails(lambda: m.get_parameter("first.count")),
        fails(lambda: m.get_parameter("first.nope")),
        fails(lambda: m.get_buffer("first.scale")),
        fails(lambda: m.nothing),
        fails(lambda: m.set_submodule("", m)),
        fails(lambda: m.set_submodule("list.0", 3)),
        m.set_submodule("list.0", lib.nn.Tanh()),
        repr(m),
        m.set_submodule("extra", lib.nn.Tanh()),
        fails(lambda: m.set_submodule("other", lib.nn.Tanh(), strict=True)),
        hasattr(m, "extra"),
    ]


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
        fails(lambda: setattr(m, "weight", lib.ones(2))),
        fails(lambda: setattr(m, "weight", 3)),
        fails(lambda: setattr(m, "child", 3)),
        fails(lambda: setattr(m, "child", lib.ones(1))),
        fails(lambda: setattr(m, "buf", 3)),
        fails(lambda: setattr(m, "weight", nn.Tanh())),
        *(fails(lambda w=w: NoInit(w)) for w in ("parameter", "module", "buffer", "register", "plain")),
        fails(lambda: m.register_parameter("a.b", None)),
        fails(lambda: m.register_parameter("", None)),
        fails(lambda: m.register_parameter("plain", None)),
        fails(lambda: m.register_parameter(3, None)),
        fails(lambda: m.register_parameter("q", lib.ones(1))),
        fails(lambda: m.register_parameter("q", nn.Parameter(leaf) * 2)),
        fails(lambda: m.register_buffer("a.b", None)),
        fails(lambda: m.register_buffer("", None)),
        fails(lambda: m.register_buffer("weight", None)),
        fails(lambda: m.register_buffer(3, None)),
        fails(lambda: m.register_buffer("q", 3)),
        fails(lambda: m.add_module("a.b", None)),
        fails(lambda: m.add_module("", None)),
        fails(lambda: m.add_module("weight", None)),
        fails(lambda: m.add_module(3, None)),
        fails(lambda: m.add_module("q", 3)),
        fails(lambda: delattr(m, "nope")),
        fails(lambda: nn.Module(3)),
        fails(lambda: nn.Module(a=3)),
        fails(lambda: nn.Module()(3)),
        fails(lambda: m.train(3)),
        fails(lambda: m()),
        fails(lambda: nn.Parameter(lib.ones(1, dtype=lib.int64))),
        fails(lambda: m.to(lib.int32)),
        fails(lambda: m.to([])),
    ]


def directory(lib):
    m = net(lib)
    own = {"first", "again", "norm", "list", "bias", "training", "forward", "parameters"}
    return [own <= set(dir(m)), "0" in dir(m.list), sorted(n for n in dir(m) if n in own)]


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


# ---- texts -----------------------------------------------------------------------------------------------------------


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
    nested = nn.Sequential(
        OrderedDict(body=nn.ModuleList([nn.Sequential(nn.ReLU(), nn.ReLU()) for _ in range(2)]), head=odd[-1])
    )
    return [
        *map(repr, odd),
        repr(nested),
        repr(nn.ModuleList()),
        repr(nn.Sequential()),
        str(nn.Parameter(lib.ones(2))),
        repr(net(lib)),
    ]


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
    return [
        q,
        q.grad is None,
        r,
        r.grad is None,
        kinds,
        shared,
        lib_ints,
        lib.nn.Parameter(),
        repr(p),
        repr(lib_ints),
        p.is_leaf,
        isinstance(p, lib.Tensor),
    ]


def sequences(lib):
    nn = lib.nn
    s = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Tanh())
    story = [
        repr(s[-1]),
        repr(s[1:]),
        repr(s[:0]),
        repr(s + s),
        repr(s * 2),
        repr(2 * s),
        len(s),
        [type(m).__name__ for m in s],
    ]
    story += [
        fails(lambda: s[5]),
        fails(lambda: s["a"]),
        fails(lambda: s * 0),
        fails(lambda: s * "a"),
        fails(lambda: s + 3),
    ]
    story += [fails(lambda: s.insert(9, nn.Tanh())), fails(lambda: s.insert(0, 3)), fails(lambda: s.extend(3))]
    story += [
        fails(lambda: s.append(3)),
        fails(lambda: nn.Sequential(3)),
        fails(lambda: nn.Sequential({"a": nn.Tanh()})),
    ]
    del s[0]
    s.append(nn.GELU()).extend(nn.Sequential(nn.SiLU())).insert(0, nn.Sigmoid())
    s[1] = nn.ELU()
    story += [repr(s), list(s._modules), repr(s.pop(0)), repr(s.pop(-1)), repr(s)]
    s += nn.Sequential(nn.ReLU())
    s *= 2
    named = nn.Sequential(OrderedDict(a=nn.Tanh(), b=nn.ReLU()))
    story += [repr(s), repr(named), repr(named[1]), list(named.state_dict()), fails(lambda: named[2])]
    named.append(nn.GELU())
    return [*story, repr(named)]


def lists_and_dictionaries(lib):
    nn = lib.nn
    a = nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1), nn.Tanh(), nn.Linear(1, 1)])
    story = [repr(a), repr(a[1:]), repr(a[-1]), fails(lambda: a[9]), fails(lambda: a["0"]), fails(lambda: a(1))]
    del a[1]
    a.insert(1, nn.ReLU())
    a.append(nn.ReLU()).extend([nn.ReLU()])
    a += [nn.Tanh()]
    story += [
        repr(a),
        list(a._modules),
        repr(a + [nn.Tanh()]),
        repr(a.pop(1)),
        repr(a.pop(slice(0, 2))),
        repr(a),
        len(a),
    ]
    story += [fails(lambda: a.extend(3)), fails(lambda: a.append(3)), [type(m).__name__ for m in reversed(a)]]
    d = nn.ModuleDict({"b": nn.Tanh(), "a": nn.ReLU()})
    story += [
        repr(d),
        list(d),
        list(d.keys()),
        [k for k, _ in d.items()],
        len(list(d.values())),
        "a" in d,
        fails(lambda: d["z"]),
    ]
    d.update([("q", nn.GELU()), ("b", nn.SiLU())])
    story += [repr(d), repr(d.pop("q")), fails(lambda: d.update(3)), fails(lambda: d.update([3]))]
    story += [
        fails(lambda: d.update([(1, 2, 3)])),
        fails(lambda: d.update({1: nn.Tanh()})),
        fails(lambda: d.update({"x": 3})),
    ]
    del d["a"]
    return [*story, repr(d), d.clear(), repr(d), fails(lambda: nn.ModuleDict({"type": nn.Tanh()}))]


def parameter_containers(lib):
    nn = lib.nn
    p = nn.ParameterList([nn.Parameter(lib.ones(2)), lib.zeros(1), 3, "x"])
    story = [repr(p), list(p.state_dict()), p[0], p[-1], repr(p[1:3]), len(p), fails(lambda: p[9]), fails(lambda: p(1))]
    p[0] = lib.ones(3)
    p.append(lib.zeros(2)).extend([1])
    p += [lib.ones(1)]
    story += [repr(p), list(p), fails(lambda: p.extend(3)), fails(lambda: p.extend(lib.ones(2)))]
    d = nn.ParameterDict({"b": lib.ones(2), "a": nn.Parameter(lib.zeros(1)), "c": 3})
    story += [repr(d), list(d), d["b"], list(reversed(d)), d.get("q"), d.get("q", 5), d.pop("b"), d.popitem()]
    story += [d.setdefault("m", lib.ones(1)), d.setdefault("n"), repr(d | {"k": lib.ones(1)}), repr(d.copy())]
    story += [list({"k": 1} | d), repr(d.fromkeys(["x"], lib.ones(1))), fails(lambda: d["z"]), fails(lambda: d(1))]
    d.update([("y", lib.ones(1)), ("x", lib.ones(1))])
    d.update({"z": lib.ones(1), "w": lib.ones(1)})
    d["5"] = lib.ones(2, 3)
    story += [repr(d), "5" in d, list(d.state_dict()), fails(lambda: d.update(3)), fails(lambda: d.update([3]))]
    del d["5"]
    story += [fails(lambda: d.pop("5")), fails(lambda: setattr(d, "weight", 3)), len(d), d.clear(), len(d), repr(d)]
    return story


# ---- the call and its hooks ------------------------------------------------------------------------------------------


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
    return [
        *out,
        m(lib.arange(3.0)),
        log,
        len(m._forward_hooks),
        len(m._forward_pre_hooks),
        len(m._forward_hooks_with_kwargs),
    ]


def failing_hooks(lib):
    class Fails(lib.nn.Module):
        def forward(self, x):
            raise ValueError("no")

    m, log = Fails(), []
    m.register_forward_hook(lambda mod, a, out: log.append(("plain", out)))
    m.register_forward_hook(lambda mod, a, out: log.append(("always", out)), always_call=True)
    m.register_forward_hook(
        lambda mod, a, k, out: log.append(("always kw", k, out)), always_call=True, with_kwargs=True
    )
    story = [fails(lambda: m(1)), list(log)]
    n = lib.nn.Identity()
    n.register_forward_pre_hook(lambda mod, a, k: 3, with_kwargs=True)
    story.append(fails(lambda: n(lib.ones(1))))
    with n.register_forward_hook(lambda mod, a, out: None) as handle:
        story.append(len(n._forward_hooks))
    return [*story, len(n._forward_hooks), handle is not None]


def backward_hooks(lib):
    class Two(lib.nn.Module):
        def forward(self, x, k, n=2):
            return x * n, k * 3, None, x + k

    log = []
    m = Two()
    note = lambda name: lambda mod, gi, go: log.append((name, gi, go))
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
    errors = [fails(lambda n=n: n(lib.ones(1, requires_grad=True)).backward()) for n in (bad, worse)]
    with lib.no_grad():
        quiet = m(x)
    return [x.grad, errors, log, quiet.requires_grad, linear.weight.grad is not None]


def global_backward_hooks(lib):
    hooks, log = lib.nn.modules.module, []
    handles = [
        hooks.register_module_full_backward_hook(
            lambda mod, gi, go: log.append((type(mod).__name__, len(gi), len(go)))
        ),
        hooks.register_module_full_backward_pre_hook(lambda mod, go: log.append((type(mod).__name__, len(go)))),
    ]
    m = lib.nn.Sequential(lib.nn.Tanh(), lib.nn.ReLU())
    m(lib.ones(2, requires_grad=True)).sum().backward()
    for handle in handles:
        handle.remove()
    m(lib.ones(2, requires_grad=True)).sum().backward()
    return log


# ---- the test --------------------------------------------------------------------------------------------------------

PROGRAMS = [
    traversal,
    lookups,
    kinds_of_attributes,
    refused_attributes,
    directory,
    registration_hooks,
    printed,
    sequences,
    lists_and_dictionaries,
    parameter_containers,
    parameters_as_objects,
    forward_hooks,
    failing_hooks,
    backward_hooks,
    changing_backward_hooks,
    global_backward_hooks,
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
def test_program(program):
    compare(program, tapegrad, torch)
