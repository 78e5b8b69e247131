"""Transformer layers and stacks of them, side by side with PyTorch."""

from __future__ import annotations

import copy
import inspect
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import tapegrad  # noqa: E402

LIBS = (tapegrad, torch)
RNG = np.random.default_rng(0)
SIZES = {"d_model": 8, "nhead": 2, "dim_feedforward": 12}
LATER = np.triu(np.full((4, 4), -np.inf, np.float32), 1)
SOURCE, TARGET = (5, 2, 8), (4, 2, 8)
PADDING = np.array([[False, False, False, False, True], [False, False, False, True, True]])

OPTIONS = [
    {},
    {"activation": "gelu", "norm_first": True, "dropout": 0.3},
    {"batch_first": True, "bias": False, "dropout": 0.0},
    {"activation": "silu", "layer_norm_eps": 1e-3, "norm_first": True, "batch_first": True},
]


def array(shape):
    return RNG.standard_normal(shape).astype(np.float32)


def close(ours, theirs, what, tolerance=5e-5):
    assert (ours is None) == (theirs is None), what
    if ours is not None:
        assert tuple(ours.shape) == tuple(theirs.shape), what
        a, b = ours.detach().double().numpy(), theirs.detach().double().numpy()
        np.testing.assert_allclose(a, b, tolerance, tolerance, err_msg=what)


def quiet(function, *args, **kwargs):
    """A call whose warnings do not matter: PyTorch says why it does not use nested tensors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **kwargs)


def options(lib, given):
    found = dict(given)
    if found.get("activation") == "silu":
        found["activation"] = lib.nn.functional.silu
    return found


def layer(lib, name, given):
    lib.manual_seed(3)
    return getattr(lib.nn, name)(**SIZES, **options(lib, given))


def stack(lib, kind, given):
    made = layer(lib, f"Transformer{kind}Layer", given)
    norm = lib.nn.LayerNorm(8, bias=given.get("bias", True))
    return quiet(getattr(lib.nn, f"Transformer{kind}"), made, 2, norm)


def whole(lib, given):
    lib.manual_seed(3)
    sizes = {"num_encoder_layers": 2, "num_decoder_layers": 1}
    return quiet(lib.nn.Transformer, **SIZES, **sizes, **options(lib, given))


def turned(shape, given):
    return (shape[1], shape[0], shape[2]) if given.get("batch_first") else shape


def step(lib, module, inputs, kwargs, grad=True):
    """Result and gradients."""
    leaves = [lib.tensor(a, requires_grad=grad) for a in inputs]
    named = {k: lib.tensor(v) if isinstance(v, np.ndarray) else v for k, v in kwargs.items()}
    lib.manual_seed(5)
    out = quiet(module, *leaves, **named)
    if not grad:
        return [out]
    weights = np.random.default_rng(1).standard_normal(tuple(out.shape)).astype(np.float32)
    (out * lib.tensor(weights)).sum().backward()
    return [out, *(t.grad for t in leaves), *(p.grad for p in module.parameters())]


def compare(modules, inputs, kwargs, training):
    ours, theirs = modules
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for (key, a), b in zip(ours.named_parameters(), theirs.parameters()):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), 3e-7, 1e-8, err_msg=key)
    found = (step(lib, m.train(training), inputs, kwargs) for lib, m in zip(LIBS, modules))
    for i, (a, b) in enumerate(zip(*found)):
        close(a, b, f"value {i}")
    assert tapegrad.rand(1).item() == torch.rand(1).item()  # as many numbers were drawn for dropout


ENCODER_CALLS = [
    {},
    {"src_mask": np.triu(np.full((5, 5), -np.inf, np.float32), 1), "is_causal": True},
    {"src_key_padding_mask": PADDING},
]


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("call", range(3))
@pytest.mark.parametrize("i", range(len(OPTIONS)))
def test_encoder_layer(i, call, training):
    modules = [layer(lib, "TransformerEncoderLayer", OPTIONS[i]) for lib in LIBS]
    compare(modules, [array(turned(SOURCE, OPTIONS[i]))], ENCODER_CALLS[call], training)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("i", range(len(OPTIONS)))
def test_decoder_layer(i, training):
    modules = [layer(lib, "TransformerDecoderLayer", OPTIONS[i]) for lib in LIBS]
    inputs = [array(turned(TARGET, OPTIONS[i])), array(turned(SOURCE, OPTIONS[i]))]
    masks = {"tgt_mask": LATER, "tgt_is_causal": True, "memory_key_padding_mask": PADDING}
    compare(modules, inputs, masks, training)


@pytest.mark.parametrize("i", range(len(OPTIONS)))
def test_encoder(i):
    modules = [stack(lib, "Encoder", OPTIONS[i]) for lib in LIBS]
    x = array(turned(SOURCE, OPTIONS[i]))
    compare(modules, [x], {"mask": np.triu(np.ones((5, 5), bool), 1)}, True)
    compare(modules, [x], {"src_key_padding_mask": PADDING}, False)


@pytest.mark.parametrize("i", range(len(OPTIONS)))
def test_decoder(i):
    modules = [stack(lib, "Decoder", OPTIONS[i]) for lib in LIBS]
    inputs = [array(turned(TARGET, OPTIONS[i])), array(turned(SOURCE, OPTIONS[i]))]
    compare(modules, inputs, {"tgt_mask": LATER}, True)
    compare(modules, inputs, {"memory_mask": array((4, 5))}, False)


@pytest.mark.parametrize("i", range(len(OPTIONS)))
def test_transformer(i):
    modules = [whole(lib, OPTIONS[i]) for lib in LIBS]
    inputs = [array(turned(SOURCE, OPTIONS[i])), array(turned(TARGET, OPTIONS[i]))]
    masks = {"tgt_mask": LATER, "src_key_padding_mask": PADDING, "memory_key_padding_mask": PADDING}
    compare(modules, inputs, masks, True)
    assert modules[0].d_model == 8 and modules[0].nhead == 2


def test_without_a_batch():
    x, y = array((5, 8)), array((4, 8))
    for name, inputs in (("TransformerEncoderLayer", [x]), ("TransformerDecoderLayer", [y, x])):
        found = [step(lib, layer(lib, name, {"batch_first": True}), inputs, {}) for lib in LIBS]
        for a, b in zip(*found):
            close(a, b, name)


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize(
    ("padding", "mask_check"), [(PADDING, True), (PADDING, False), (PADDING[:, ::-1].copy(), True)]
)
def test_padding_without_gradients(padding, nested, mask_check):
    """PyTorch may leave padded places out, which are zero then."""
    found, x = [], array((2, 5, 8))
    for lib in LIBS:
        made = layer(lib, "TransformerEncoderLayer", {"batch_first": True})
        module = quiet(lib.nn.TransformerEncoder, made, 2, None, nested, mask_check).eval()
        with lib.no_grad():
            found += step(lib, module, [x], {"src_key_padding_mask": padding}, grad=False)
    close(*found, "padding")


def test_masks():
    for size in (1, 4):
        ours, theirs = (lib.nn.Transformer.generate_square_subsequent_mask(size) for lib in LIBS)
        assert ours.tolist() == theirs.tolist() and str(ours.dtype) == str(theirs.dtype)


def test_layers_are_copies():
    for lib in LIBS:
        module = stack(lib, "Encoder", {})
        first, second = module.layers
        assert first.linear1.weight is not second.linear1.weight
        assert bool((first.linear1.weight == second.linear1.weight).all())
        other = copy.deepcopy(module)
        other.load_state_dict(module.state_dict())


FAILURES = [
    lambda lib: lib.nn.TransformerEncoderLayer(8, 2, activation="x"),
    lambda lib: lib.nn.TransformerEncoderLayer(8, 3),
    lambda lib: layer(lib, "TransformerEncoderLayer", {})(lib.ones(5, 2, 8), lib.ones(5, 5).long()),
    lambda lib: layer(lib, "TransformerEncoderLayer", {})(lib.ones(5, 2, 8), is_causal=True),
    lambda lib: layer(lib, "TransformerEncoderLayer", {})(lib.ones(5, 2, 7)),
    lambda lib: whole(lib, {})(lib.ones(5, 2, 8), lib.ones(4, 3, 8)),
    lambda lib: whole(lib, {"batch_first": True})(lib.ones(5, 2, 8), lib.ones(4, 2, 8)),
    lambda lib: whole(lib, {})(lib.ones(5, 2, 8), lib.ones(4, 2, 7)),
]


@pytest.mark.parametrize("i", range(len(FAILURES)))
def test_errors(i):
    kinds = []
    for lib in LIBS:
        with pytest.raises(Exception) as caught:
            quiet(FAILURES[i], lib)
        kinds.append(caught.type)
    assert kinds[0] is kinds[1]


@pytest.mark.parametrize("kind", ["", "Encoder", "Decoder", "EncoderLayer", "DecoderLayer"])
def test_signatures(kind):
    found = []
    for lib in LIBS:
        cls = getattr(lib.nn, f"Transformer{kind}")
        own = []
        for function in (cls.__init__, cls.forward):
            own += [(p.name, p.kind) for p in inspect.signature(function).parameters.values()]
        plain = [p.default for p in inspect.signature(cls.__init__).parameters.values() if not callable(p.default)]
        found.append((own, plain))
    assert found[0] == found[1]
