"""Functions, signatures, initial values, second derivatives and half precision of `nn`, side by side with PyTorch.

What each layer computes is compared in `test_every_module.py`.
"""

from __future__ import annotations

import inspect

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from module_cases import CASES, SPECIAL, Fixed, build, normal, to_lib  # noqa: E402

import tapegrad  # noqa: E402


def readable(name):
    """Whether the signature of PyTorch's function can be read: it is written in Python, with named parameters."""
    try:
        kinds = {p.kind for p in inspect.signature(getattr(torch.nn.functional, name)).parameters.values()}
    except ValueError:
        return False
    return inspect.Parameter.VAR_POSITIONAL not in kinds


OWN_SIGNATURES = {"glu"}  # an operation, whose first parameter has another name (both are taken as keywords)
FUNCTIONS = [name for name in tapegrad.nn.functional.__all__ if name not in OWN_SIGNATURES and readable(name)]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_signature(name):
    """Names, order, defaults and kinds of the parameters of functions."""
    compare_signatures(getattr(tapegrad.nn.functional, name), getattr(torch.nn.functional, name))


@pytest.mark.parametrize("name", sorted(set(CASES) - {"Module"}))
def test_layer_signature(name):
    compare_signatures(getattr(tapegrad.nn, name).__init__, getattr(torch.nn, name).__init__)


@pytest.mark.parametrize(
    "name", sorted(n for n in vars(torch.nn.init) if n.endswith("_") and not n.startswith("_")) + ["calculate_gain"]
)
def test_init_signature(name):
    compare_signatures(getattr(tapegrad.nn.init, name), getattr(torch.nn.init, name))


INITIAL = [
    ("uniform_", (20, 30), (-1.0, 3.0)), ("normal_", (20, 30), (1.0, 2.0)), ("constant_", (3,), (2.0,)),
    ("ones_", (3,), ()), ("zeros_", (3,), ()), ("eye_", (3, 5), ()), ("dirac_", (6, 2, 3, 3), (2,)),
    ("xavier_uniform_", (6, 4, 3), (2.0,)), ("xavier_normal_", (30, 20), ()),
    ("kaiming_uniform_", (30, 20), (0.3, "fan_out")), ("kaiming_normal_", (6, 4, 3), (0, "fan_in", "relu")),
    ("orthogonal_", (7, 4), (2.0,)), ("orthogonal_", (4, 3, 3), ()), ("sparse_", (20, 5), (0.33, 0.5)),
    ("trunc_normal_", (40, 30), ()), ("trunc_normal_", (40, 30), (0.5, 2.0, 3.0, 4.0)),
    ("trunc_normal_", (500,), (0.0, 1.0, 1.5, 1.8)),
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name, shape, args", INITIAL)
def test_initial_values(name, shape, args, dtype):
    """The same draws, and as many of them: the next one is the same too."""
    found = []
    for lib in (tapegrad, torch):
        lib.manual_seed(7)
        values = getattr(lib.nn.init, name)(lib.empty(shape, dtype=getattr(lib, dtype)), *args)
        found.append((values.numpy(), lib.rand(3).numpy()))
    np.testing.assert_array_equal(found[0][1], found[1][1])
    scale = 2e-6 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(found[0][0], found[1][0], scale, scale)


@pytest.mark.parametrize("nonlinearity", ["linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"])
def test_gains(nonlinearity):
    assert tapegrad.nn.init.calculate_gain(nonlinearity) == torch.nn.init.calculate_gain(nonlinearity)


def compare_signatures(ours, theirs):
    found = []
    for function in (ours, theirs):
        parameters = [
            p
            for p in inspect.signature(function).parameters.values()
            if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        ]
        found.append([(p.name, getattr(p.default, "__name__", p.default), p.kind) for p in parameters])
    assert found[0] == found[1]


SMOOTH = [
    ("Linear", 0), ("Bilinear", 0), ("SiLU", 0), ("Mish", 0), ("GELU", 0), ("GELU", 1), ("Softplus", 0),
    ("LogSigmoid", 0), ("GLU", 0), ("Softmax", 0), ("LogSoftmax", 0), ("ELU", 0), ("SELU", 0), ("CELU", 0),
    ("PReLU", 1), ("LayerNorm", 0), ("LayerNorm", 1), ("GroupNorm", 0), ("BatchNorm1d", 0), ("InstanceNorm1d", 0),
    ("RMSNorm", 0), ("Embedding", 1), ("Embedding", 2), ("MSELoss", 2), ("SmoothL1Loss", 1), ("HuberLoss", 1),
    ("NLLLoss", 1), ("CrossEntropyLoss", 0), ("CrossEntropyLoss", 2), ("CrossEntropyLoss", 4),
    ("CrossEntropyLoss", 5), ("CrossEntropyLoss", 7), ("BCELoss", 1), ("BCEWithLogitsLoss", 1),
    ("SoftMarginLoss", 2),
]  # fmt: skip


@pytest.mark.parametrize("name, i", SMOOTH, ids=lambda v: str(v))
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_second_derivative(name, i, training):
    """The gradient of a weighted sum of first gradients agrees."""
    args, kwargs, inputs = CASES[name][i]

    def wide(value):
        array = value.array if isinstance(value, Fixed) else value
        if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
            return value
        return Fixed(array.astype(np.float64)) if isinstance(value, Fixed) else array.astype(np.float64)

    inputs = tuple(normal(3, 4) if value is SPECIAL else value for value in inputs)  # away from the kinks
    args, kwargs, inputs = tuple(map(wide, args)), {k: wide(v) for k, v in kwargs.items()}, tuple(map(wide, inputs))
    found = []
    for lib in (tapegrad, torch):
        layer = build(lib, name, args, kwargs).double().train(training)
        leaves = [to_lib(lib, value, grad=True) for value in inputs]
        out = layer(*leaves)
        sources = [t for t in (*leaves, *layer.parameters()) if t.requires_grad]
        rng = np.random.default_rng(2)
        total = (out * lib.tensor(rng.standard_normal(out.shape))).sum()
        first = lib.autograd.grad(total, sources, create_graph=True, allow_unused=True)
        second = sum(
            (g * lib.tensor(rng.standard_normal(g.shape))).sum() for g in first if g is not None and g.requires_grad
        )
        linear = not hasattr(second, "requires_grad")
        grads = [None] * len(sources) if linear else lib.autograd.grad(second, sources, allow_unused=True)
        found.append([None if g is None else g.detach().numpy() for g in grads])
    assert len(found[0]) == len(found[1])
    for a, b in zip(*found):
        zero = 0.0 if a is None and b is None else np.zeros_like(a if b is None else b)
        np.testing.assert_allclose(zero if a is None else a, zero if b is None else b, 1e-7, 1e-9)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize(
    "name, i",
    [
        ("Softmax", 0),
        ("LogSoftmax", 0),
        ("LayerNorm", 0),
        ("GELU", 0),
        ("SiLU", 0),
        ("CrossEntropyLoss", 0),
        ("MSELoss", 2),
        ("BatchNorm2d", 0),
        ("Embedding", 0),
        ("BCEWithLogitsLoss", 0),
    ],
)
def test_half_precision(name, i, dtype):
    args, kwargs, inputs = CASES[name][i]
    outs = []
    for lib in (tapegrad, torch):
        layer = build(lib, name, args, kwargs).to(getattr(lib, dtype))
        given = [to_lib(lib, x) for x in inputs]
        given = [x.to(getattr(lib, dtype)).requires_grad_() if x.is_floating_point() else x for x in given]
        out = layer(*given)
        out.sum().backward()
        outs.append([out, *(x.grad for x in given if x.requires_grad), *(p.grad for p in layer.parameters())])
    for ours, theirs in zip(*outs):
        assert str(ours.dtype) == str(theirs.dtype)
        scale = {"float16": 2e-3, "bfloat16": 2e-2}[dtype]
        np.testing.assert_allclose(ours.detach().float().numpy(), theirs.detach().float().numpy(), scale, scale)
