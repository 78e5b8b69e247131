"""Attention, as function, as layer and with masks, side by side with PyTorch."""

from __future__ import annotations

import copy
import importlib
import inspect
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import tapegrad  # noqa: E402

LIBS = (tapegrad, torch)
RNG = np.random.default_rng(0)


def array(*shape):
    return RNG.standard_normal(shape)


def flags(*shape, share=0.6):
    return RNG.random(shape) < share


BLIND = flags(3, 5)
BLIND[1] = False  # a query that sees no key
FOUR = (array(2, 2, 3, 4), array(2, 2, 5, 4), array(2, 2, 5, 4))
SQUARE = (array(2, 2, 5, 4), array(2, 2, 5, 4), array(2, 2, 5, 4))
THREE = (array(2, 3, 4), array(2, 5, 4), array(2, 5, 6))
LONG = (array(2, 3, 300, 8), array(2, 3, 300, 8), array(2, 3, 300, 8))  # several blocks
PADDED = np.where(flags(2, 1, 1, 5, share=0.8), 0, -np.inf)

# (query, key, value), mask, keyword arguments
CASES = {
    "plain": (FOUR, None, {}),
    "matrices": ((array(3, 4), array(5, 4), array(5, 6)), None, {}),
    "three": (THREE, None, {}),
    "five": ((array(2, 1, 2, 3, 4), array(2, 3, 2, 5, 4), array(2, 1, 2, 5, 4)), None, {}),
    "mixed ranks": ((array(2, 2, 3, 4), array(5, 4), array(5, 4)), None, {}),
    "boolean": (FOUR, BLIND, {}),
    "boolean of batch": (FOUR, flags(2, 1, 1, 5, share=0.9), {}),
    "numbers": (FOUR, array(3, 5), {}),
    "numbers of batch": (FOUR, array(2, 1, 1, 5), {}),
    "numbers of heads": ((array(2, 2, 2, 3, 4), array(2, 2, 2, 5, 4), array(2, 2, 2, 5, 4)), array(2, 1, 3, 5), {}),
    "infinite": (FOUR, PADDED, {}),
    "one row": (FOUR, array(1, 5), {}),
    "causal": (SQUARE, None, {"is_causal": True}),
    "causal, fewer queries": (FOUR, None, {"is_causal": True}),
    "causal, more queries": ((array(2, 2, 5, 4), array(2, 2, 3, 4), array(2, 2, 3, 4)), None, {"is_causal": True}),
    "causal and mask": (SQUARE, flags(5, 5, share=0.8), {"is_causal": True}),
    "causal matrices": ((array(4, 3), array(4, 3), array(4, 3)), None, {"is_causal": True}),
    "long": (LONG, None, {}),
    "long causal": (LONG, None, {"is_causal": True}),
    "large scores": (tuple(40 * a for a in SQUARE[:2]) + SQUARE[2:], None, {"is_causal": True}),
    "scale": (FOUR, None, {"scale": -0.7}),
    "scale of zero": (FOUR, None, {"scale": 0.0}),
    "dropout": (FOUR, None, {"dropout_p": 0.4}),
    "dropout, mask": (FOUR, array(3, 5), {"dropout_p": 0.4}),
    "dropout, causal": ((array(2, 4, 3), array(2, 4, 3), array(2, 4, 3)), None, {"dropout_p": 0.4, "is_causal": True}),
    "dropout of all": (FOUR, None, {"dropout_p": 1.0}),
    "grouped": ((array(2, 4, 3, 4), array(2, 2, 5, 4), array(2, 2, 5, 4)), None, {"enable_gqa": True}),
    "grouped, unequal": ((array(4, 3, 4), array(2, 5, 4), array(1, 5, 4)), None, {"enable_gqa": True}),
    "no keys": ((array(2, 2, 3, 4), array(2, 2, 0, 4), array(2, 2, 0, 4)), None, {}),
    "no queries": ((array(2, 2, 0, 4), array(2, 2, 5, 4), array(2, 2, 5, 4)), None, {}),
    "no features": ((array(2, 2, 3, 0), array(2, 2, 5, 0), array(2, 2, 5, 4)), None, {}),
}


def close(ours, theirs, what, tolerance):
    assert (ours is None) == (theirs is None), what
    if ours is not None:
        assert tuple(ours.shape) == tuple(theirs.shape) and str(ours.dtype) == str(theirs.dtype), what
        a, b = ours.detach().double().numpy(), theirs.detach().double().numpy()
        np.testing.assert_allclose(a, b, tolerance, tolerance * max(1.0, np.nanmax(np.abs(b), initial=0)), err_msg=what)


def attend(lib, operands, mask, dtype, kwargs):
    """The result and all gradients."""
    leaves = [lib.tensor(a).to(getattr(lib, dtype)).requires_grad_() for a in operands]
    if mask is not None:
        leaves.append(lib.tensor(mask) if mask.dtype == bool else lib.tensor(mask).to(getattr(lib, dtype)))
        if mask.dtype != bool and np.isfinite(mask).all():
            leaves[3].requires_grad_()
    lib.manual_seed(3)
    out = lib.nn.functional.scaled_dot_product_attention(*leaves, **kwargs)
    weights = np.random.default_rng(1).standard_normal(tuple(out.shape))
    (out * lib.tensor(weights).to(out.dtype)).sum().backward()
    return out, [t.grad for t in leaves]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 3e-5), ("float64", 1e-10)])
@pytest.mark.parametrize("case", CASES)
def test_function(case, dtype, tolerance):
    (out, grads), (other, expected) = (attend(lib, *CASES[case][:2], dtype, CASES[case][2]) for lib in LIBS)
    close(out, other, "result", tolerance)
    for i, (a, b) in enumerate(zip(grads, expected)):
        close(a, b, f"gradient {i}", tolerance)
    if not case.startswith("no "):  # without elements PyTorch makes zeros by another operation
        assert out.grad_fn.name() == other.grad_fn.name()
    assert tapegrad.rand(1).item() == torch.rand(1).item()  # as many numbers were drawn


@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 5e-3), ("bfloat16", 4e-2)])
@pytest.mark.parametrize("case", ["plain", "boolean", "numbers of batch", "causal"])
def test_half_precision(case, dtype, tolerance):
    (out, grads), (other, expected) = (attend(lib, *CASES[case][:2], dtype, CASES[case][2]) for lib in LIBS)
    for i, (a, b) in enumerate(zip([out, *grads], [other, *expected])):
        close(a, b, str(i), tolerance)


FAILURES = [
    lambda lib, F, r: F(r(3), r(3), r(3)),
    lambda lib, F, r: F(r(2, 3, 4), r(2, 5, 3), r(2, 5, 4)),
    lambda lib, F, r: F(r(2, 3, 4), r(2, 5, 4), r(2, 6, 4)),
    lambda lib, F, r: F(r(2, 3, 4), r(3, 5, 4), r(3, 5, 4)),
    lambda lib, F, r: F(r(3, 4), r(5, 4).double(), r(5, 4)),
    lambda lib, F, r: F(r(3, 4).long(), r(5, 4).long(), r(5, 4).long()),
    lambda lib, F, r: F(r(3, 4), r(5, 4), r(5, 4), r(3, 5), is_causal=True),
    lambda lib, F, r: F(r(3, 4), r(5, 4), r(5, 4), r(3, 5).long()),
    lambda lib, F, r: F(r(3, 4), r(5, 4), r(5, 4), r(3, 5).double()),
    lambda lib, F, r: F(r(2, 2, 3, 4), r(2, 2, 5, 4), r(2, 2, 5, 4), r(5)),
    lambda lib, F, r: F(r(2, 2, 3, 4), r(2, 2, 5, 4), r(2, 2, 5, 4), r(4, 5)),
    lambda lib, F, r: F(r(2, 2, 3, 4), r(2, 2, 5, 4), r(2, 2, 5, 4), r(3, 1, 1, 3, 5)),
    lambda lib, F, r: F(r(3, 4), r(5, 4), r(5, 4), dropout_p=2.0),
    lambda lib, F, r: F(r(2, 2, 3, 4), r(2, 2, 5, 4), r(2, 2, 5, 4), dropout_p=-1.0),
    lambda lib, F, r: F(r(2, 4, 3, 4), r(2, 3, 5, 4), r(2, 3, 5, 4), enable_gqa=True),
    lambda lib, F, r: F(r(3, 4), r(5, 4), r(5, 4), None, 0.0, False, 0.5),
    lambda lib, F, r: F([1.0], r(5, 4), r(5, 4)),
]


@pytest.mark.parametrize("i", range(len(FAILURES)))
def test_errors(i):
    kinds = []
    for lib in LIBS:
        with pytest.raises(Exception) as caught:
            FAILURES[i](lib, lib.nn.functional.scaled_dot_product_attention, lib.ones)
        kinds.append(caught.type)
    assert kinds[0] is kinds[1]


# ---- the layer -------------------------------------------------------------------------------------------------------

SAME = ((4, 2, 6), (4, 2, 6), (4, 2, 6))
CROSS = ((4, 2, 6), (5, 2, 6), (5, 2, 6))
FIRST = ((2, 4, 6), (2, 5, 6), (2, 5, 6))
SINGLE = ((4, 6), (5, 6), (5, 6))
HIDDEN = flags(2, 5, share=0.3)
LATER = np.triu(np.ones((4, 4), bool), 1)
LAYERS = [
    ({}, SAME, {}),
    ({}, CROSS, {"need_weights": False}),
    ({"bias": False}, CROSS, {"average_attn_weights": False}),
    ({"add_bias_kv": True, "add_zero_attn": True}, CROSS, {"key_padding_mask": HIDDEN}),
    ({"add_bias_kv": True}, CROSS, {"attn_mask": array(4, 5), "need_weights": False}),
    ({"add_zero_attn": True}, CROSS, {"attn_mask": array(6, 4, 5)}),
    ({"kdim": 3, "vdim": 5}, ((4, 2, 6), (5, 2, 3), (5, 2, 5)), {}),
    ({"kdim": 3, "vdim": 5, "batch_first": True, "bias": False}, ((2, 4, 6), (2, 5, 3), (2, 5, 5)), {}),
    ({"batch_first": True}, FIRST, {"key_padding_mask": HIDDEN, "attn_mask": flags(4, 5, share=0.2)}),
    ({"batch_first": True}, FIRST, {"key_padding_mask": HIDDEN, "need_weights": False}),
    ({"dropout": 0.4}, CROSS, {}),
    ({"dropout": 0.4}, CROSS, {"need_weights": False, "attn_mask": array(4, 5)}),
    ({}, SINGLE, {}),
    ({"batch_first": True}, SINGLE, {"attn_mask": array(3, 4, 5), "need_weights": False}),
    ({}, SINGLE, {"key_padding_mask": HIDDEN[0]}),
    ({}, SAME, {"attn_mask": LATER, "is_causal": True, "need_weights": False}),
    ({}, SAME, {"attn_mask": LATER, "is_causal": True}),
]


def build(lib, kwargs):
    lib.manual_seed(3)
    return lib.nn.MultiheadAttention(6, 3, **kwargs)


def step(lib, layer, shapes, kwargs):
    """Results and gradients; equal shapes stand for one tensor."""
    rng = np.random.default_rng(1)
    arrays = {s: rng.standard_normal(s).astype(np.float32) for s in shapes}
    leaves = {s: lib.tensor(a, requires_grad=True) for s, a in arrays.items()}
    given = {k: v if not isinstance(v, np.ndarray) else masks(lib, v) for k, v in kwargs.items()}
    lib.manual_seed(5)
    out, weights = layer(*(leaves[s] for s in shapes), **given)
    total = (out * lib.tensor(rng.standard_normal(tuple(out.shape)).astype(np.float32))).sum()
    if weights is not None:
        total = total + (weights * lib.tensor(rng.standard_normal(tuple(weights.shape)).astype(np.float32))).sum()
    total.backward()
    return [out, weights, *(t.grad for t in leaves.values()), *(p.grad for p in layer.parameters())]


def masks(lib, mask):
    return lib.tensor(mask if mask.dtype == bool else mask.astype(np.float32))


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("i", range(len(LAYERS)))
def test_layer(i, training):
    kwargs, shapes, call = LAYERS[i]
    layers = [build(lib, kwargs).train(training) for lib in LIBS]
    assert repr(layers[0]) == repr(layers[1])
    assert list(layers[0].state_dict()) == list(layers[1].state_dict())
    for (key, a), b in zip(layers[0].named_parameters(), layers[1].parameters()):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), 3e-7, 1e-8, err_msg=key)
    assert {k: v for k, v in vars(layers[0]).items() if k[0] != "_"} == {
        k: v for k, v in vars(layers[1]).items() if k[0] != "_"
    }
    for k, (a, b) in enumerate(zip(*(step(lib, m, shapes, call) for lib, m in zip(LIBS, layers)))):
        close(a, b, f"value {k}", 3e-5)
    assert tapegrad.rand(1).item() == torch.rand(1).item()


def test_queries_that_see_no_key():
    for need in (True, False):
        found = []
        for lib in LIBS:
            x = lib.ones(3, 2, 6)
            out, _ = build(lib, {})(x, x, x, attn_mask=lib.ones(3, 3, dtype=lib.bool), need_weights=need)
            found.append(out)
        close(*found, "blind", 1e-5)


def test_static_keys_and_values():
    found = []
    for lib in LIBS:
        m, rng = build(lib, {}), np.random.default_rng(4)
        x, k, v = (lib.tensor(rng.standard_normal(s).astype(np.float32)) for s in ((4, 2, 6), (6, 5, 2), (6, 5, 2)))
        args = (6, 3, m.in_proj_weight, m.in_proj_bias, None, None, False, 0.0, m.out_proj.weight, m.out_proj.bias)
        found.append(lib.nn.functional.multi_head_attention_forward(x, x, x, *args, static_k=k, static_v=v))
    for a, b in zip(*found):
        close(a, b, "static", 1e-5)


def test_second_derivative():
    found = []
    for lib in LIBS:
        layer, rng = build(lib, {}).double(), np.random.default_rng(1)
        x = lib.tensor(rng.standard_normal((4, 2, 6)), requires_grad=True)
        sources = [x, *layer.parameters()]
        out = sum(t.sin().sum() for t in layer(x, x, x))
        first = lib.autograd.grad(out, sources, create_graph=True)
        second = sum((g * lib.tensor(rng.standard_normal(tuple(g.shape)))).sum() for g in first)
        found.append([*first, *lib.autograd.grad(second, sources)])
    for a, b in zip(*found):
        close(a, b, "second derivative", 1e-9)


def test_copies_and_states():
    for lib in LIBS:
        layer = build(lib, {"add_bias_kv": True})
        other = copy.deepcopy(layer)
        assert other.in_proj_weight is not layer.in_proj_weight
        other.load_state_dict(layer.state_dict())
        x = lib.ones(3, 2, 6)
        assert bool((layer(x, x, x)[0] == other(x, x, x)[0]).all())


def test_merged_masks():
    found = []
    for lib in LIBS:
        layer, query = build(lib, {}), lib.ones(2, 3, 6)
        own, padding = lib.zeros(3, 3), lib.ones(2, 3)
        merged = [
            layer.merge_masks(a, b, query)
            for a, b in ((None, None), (own, None), (None, padding), (own, padding), (lib.ones(6, 3, 3), padding))
        ]
        found.append([(kind, None if mask is None else mask.tolist()) for mask, kind in merged])
    assert found[0] == found[1]


LAYER_FAILURES = [
    lambda lib, m, x: lib.nn.MultiheadAttention(5, 2),
    lambda lib, m, x: lib.nn.MultiheadAttention(0, 2),
    lambda lib, m, x: lib.nn.MultiheadAttention(4, 0),
    lambda lib, m, x: lib.nn.MultiheadAttention(6, 3, dropout=2.0)(x, x, x),
    lambda lib, m, x: m(x[None], x, x),
    lambda lib, m, x: m(x, x[0], x[0]),
    lambda lib, m, x: m(x, x, x[:2]),
    lambda lib, m, x: m(x[..., :5], x, x),
    lambda lib, m, x: m(x, x[..., :5], x[..., :5]),
    lambda lib, m, x: m(x, lib.ones(3, 3, 6), lib.ones(3, 3, 6)),
    lambda lib, m, x: m(x, x, x, attn_mask=lib.ones(4, 3)),
    lambda lib, m, x: m(x, x, x, attn_mask=lib.ones(2, 3, 3)),
    lambda lib, m, x: m(x, x, x, attn_mask=lib.ones(1, 1, 3, 3)),
    lambda lib, m, x: m(x, x, x, attn_mask=lib.ones(3, 3).long()),
    lambda lib, m, x: m(x, x, x, attn_mask=lib.ones(3, 3).double()),
    lambda lib, m, x: m(x, x, x, attn_mask=lib.ones(3, 3).double(), need_weights=False),
    lambda lib, m, x: m(x, x, x, key_padding_mask=lib.ones(3, 2)),
    lambda lib, m, x: m(x, x, x, key_padding_mask=lib.ones(3)),
    lambda lib, m, x: m(x, x, x, key_padding_mask=lib.ones(2, 3).long()),
    lambda lib, m, x: m(x, x, x, is_causal=True),
    lambda lib, m, x: m(x[:, 0], x[:, 0], x[:, 0], key_padding_mask=lib.ones(1, 3)),
    lambda lib, m, x: m(x[:, 0], x[:, 0], x[:, 0], attn_mask=lib.ones(2, 3, 3)),
]


@pytest.mark.parametrize("i", range(len(LAYER_FAILURES)))
def test_errors_of_layers(i):
    kinds = []
    for lib in LIBS:
        with pytest.raises(Exception) as caught:
            LAYER_FAILURES[i](lib, build(lib, {}), lib.ones(3, 2, 6))
        kinds.append(caught.type)
    assert kinds[0] is kinds[1]


def test_mixed_masks_warn():
    for lib in LIBS:
        x = lib.ones(3, 2, 6)
        with pytest.warns(UserWarning, match="key_padding_mask and attn_mask"):
            build(lib, {})(x, x, x, key_padding_mask=lib.zeros(2, 3, dtype=lib.bool), attn_mask=lib.zeros(3, 3))


def test_signature():
    found = []
    for lib in LIBS:
        for function in (lib.nn.MultiheadAttention.__init__, lib.nn.MultiheadAttention.forward):
            parameters = inspect.signature(function).parameters.values()
            found.append([(p.name, p.default, p.kind) for p in parameters])
    assert found[:2] == found[2:]


# ---- torch.nn.attention ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["causal_upper_left", "causal_lower_right"])
@pytest.mark.parametrize("size", [(3, 5), (4, 4)])
def test_causal_masks(name, size):
    found = []
    for lib in LIBS:
        module = importlib.import_module(f"{lib.__name__}.nn.attention.bias")
        mask = getattr(module, name)(*size)
        rng = np.random.default_rng(2)
        q, k = (lib.tensor(rng.standard_normal((1, 2, n, 8)).astype(np.float32)) for n in size)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found.append((repr(mask), lib.nn.functional.scaled_dot_product_attention(q, k, k, attn_mask=mask)))
    assert found[0][0] == found[1][0]
    close(found[0][1], found[1][1], name, 1e-5)


def test_choice_of_the_kernel_is_accepted():
    SDPBackend, sdpa_kernel = tapegrad.nn.attention.SDPBackend, tapegrad.nn.attention.sdpa_kernel
    assert [(b.name, int(b)) for b in SDPBackend] == [
        (name, int(b)) for name, b in torch.nn.attention.SDPBackend.__members__.items()
    ]
    assert repr(SDPBackend.MATH) == repr(torch.nn.attention.SDPBackend.MATH)
    x = tapegrad.ones(1, 1, 2, 3)
    with sdpa_kernel([SDPBackend.MATH, SDPBackend.FLASH_ATTENTION], set_priority=True):
        tapegrad.nn.functional.scaled_dot_product_attention(x, x, x)
    with pytest.raises(AssertionError), sdpa_kernel("math"):
        pass
