"""Saving, loading, converting and copying modules: the same story in both libraries."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict

import pytest
from nn_stories import compare, fails, net

torch = pytest.importorskip("torch")

import tapegrad  # noqa: E402

# ---- state -----------------------------------------------------------------------------------------------------------


def saved_state(lib):
    m = net(lib)
    state = m.state_dict()
    keep = m.state_dict(keep_vars=True)
    into = m.norm.state_dict(prefix="z.")
    filled = OrderedDict(a=1)
    positional = m.norm.state_dict(filled, "q.", False)
    return [
        list(state),
        [v.requires_grad for v in state.values()],
        [v.requires_grad for v in keep.values()],
        list(into),
        list(filled),
        positional is filled,
        [[k, dict(v)] for k, v in state._metadata.items()],
        type(state).__name__,
        state["bias"].data_ptr() == m.bias.data_ptr(),
        hasattr(filled, "_metadata"),
        list(net(lib, bias=False).state_dict()),
    ]


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
            known = ("Missing key(s) in state_dict", "Unexpected key(s) in state_dict", "size mismatch for norm.weight")
            return [lines[0], *(next((k for k in known if line.startswith(k)), "other") for line in lines[1:])]

    story += [report(), report(strict=False)]
    state["norm.weight"] = lib.ones(3)
    result = report(strict=False)
    story += [list(result.missing_keys), list(result.unexpected_keys), repr(result), result._fields]
    story += [fails(lambda: m.load_state_dict(3)), fails(lambda: m.load_state_dict([1]))]
    state["norm.bias"] = 3
    return [*story, report()]


def assigned_state(lib):
    m = lib.nn.Linear(2, 1)
    m.weight.requires_grad_(False)
    weight, bias = lib.ones(1, 2, dtype=lib.float64), lib.nn.Parameter(lib.zeros(1))
    m.load_state_dict({"weight": weight, "bias": bias}, assign=True)
    norm = lib.nn.BatchNorm1d(1)
    state = {k: v.clone() for k, v in norm.state_dict().items()}
    norm.load_state_dict(state, assign=True)
    return [
        m.weight,
        m.bias is bias,
        type(m.weight).__name__,
        m.weight.data_ptr() == weight.data_ptr(),
        norm.running_mean is state["running_mean"],
        type(norm.weight).__name__,
    ]


def state_hooks(lib):
    m, log = net(lib), []
    m.register_state_dict_pre_hook(lambda mod, prefix, keep: log.append(("pre", prefix, keep)))
    m.register_state_dict_post_hook(
        lambda mod, state, prefix, meta: log.append(("post", len(state), prefix, dict(meta)))
    )
    m.register_load_state_dict_pre_hook(
        lambda mod, state, prefix, *rest: log.append((mod is m, prefix, len(state), len(rest)))
    )
    m._register_load_state_dict_pre_hook(lambda state, prefix, *rest: log.append((prefix, len(state), len(rest))))
    m.register_load_state_dict_post_hook(
        lambda mod, keys: log.append((mod is m, list(keys.missing_keys))) or keys.missing_keys.clear()
    )
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
    return [
        *story,
        fails(lambda: plain.load_state_dict(a.state_dict())),
        fails(plain.get_extra_state),
        fails(lambda: plain.set_extra_state(1)),
    ]


def old_batch_norm_state(lib):
    m = lib.nn.BatchNorm1d(2)
    state = dict(m.state_dict())
    del state["num_batches_tracked"]
    return [
        repr(m.load_state_dict(state)),
        m.num_batches_tracked,
        fails(lambda: m.load_state_dict({**m.state_dict(), "running_var": lib.ones(3)})),
    ]


# ---- conversion and copies -------------------------------------------------------------------------------------------


def conversion(lib):
    m = net(lib)
    m.register_buffer("number", lib.arange(3))
    weight = m.norm.weight
    m(lib.arange(3.0)).sum().backward()
    story = []
    for change in (
        m.double,
        m.half,
        m.bfloat16,
        m.float,
        lambda: m.to(lib.float64),
        lambda: m.to(lib.ones(1)),
        lambda: m.to("cpu", lib.float64),
    ):
        story.append(
            [
                change() is m,
                [str(t.dtype) for t in (*m.parameters(), *m.buffers())],
                m.norm.weight is weight,
                str(m.norm.weight.grad.dtype),
            ]
        )
    story += [m.to() is m, m.cpu() is m, m.type(lib.float32) is m, str(m.number.dtype), m.share_memory() is m]
    story += [
        list(m.to_empty(device="cpu").norm.weight.shape),
        m.to(dtype=lib.float64, device=lib.device("cpu"), non_blocking=True) is m,
    ]
    return story


def modes(lib):
    m = net(lib)
    story = [m.train(False) is m, [c.training for c in m.modules()], m.eval().training, m.train().training]
    m(lib.arange(3.0)).sum().backward()
    grads = lambda: [p.grad is None for p in m.parameters()]
    story.append(grads())
    m.zero_grad(set_to_none=False)
    story += [grads(), m.bias.grad]
    m.zero_grad()
    story += [grads(), m.requires_grad_(False) is m, [p.requires_grad for p in m.parameters()]]
    order = []
    story.append(m.apply(lambda c: order.append(type(c).__name__)) is m)
    return [*story, order]


def copies(lib):
    m = lib.nn.Sequential(lib.nn.Linear(2, 2), lib.nn.BatchNorm1d(2))
    m[0].register_forward_hook(lib_hook)
    deep, shallow, stored = copy.deepcopy(m), copy.copy(m), pickle.loads(pickle.dumps(m))
    deep[0].bias.data.fill_(9.0)
    return [
        m[0].bias.requires_grad,
        deep[0].bias,
        shallow[0] is m[0],
        [repr(x) for x in (deep, shallow, stored)],
        list(stored.state_dict()),
        len(deep[0]._forward_hooks),
        len(stored[0]._forward_hooks),
        deep[0].weight is m[0].weight,
        stored[1].num_batches_tracked,
    ]


def lib_hook(module, args, out):
    return None


def mixed_bases(lib):
    class Named:
        def __init__(self, name="none"):
            self.name = name

    class Both(lib.nn.Module, Named):
        call_super_init = True

    class Silent(lib.nn.Module, Named):
        pass

    return [Both(name="x").name, fails(lambda: Silent().name), Silent().training, [c.__name__ for c in (Both, Silent)]]


# ---- the test --------------------------------------------------------------------------------------------------------

PROGRAMS = [
    saved_state,
    loaded_state,
    assigned_state,
    state_hooks,
    extra_state,
    old_batch_norm_state,
    conversion,
    modes,
    copies,
    mixed_bases,
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
def test_program(program):
    compare(program, tapegrad, torch)
