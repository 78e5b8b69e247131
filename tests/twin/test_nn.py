"""Every layer, function and module behaviour of `nn`, side by side with PyTorch.

Layers are found by introspection: a new one fails `test_every_layer_has_a_case` until it has an entry in `CASES`.
"""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import tapegrad  # noqa: E402

# An input is an array; "classes"-like inputs are integer arrays, which get no gradient.
RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def uniform(*shape):
    return (RNG.random(shape) * 0.98 + 0.01).astype(np.float32)


def classes(high, *shape):
    return RNG.integers(0, high, shape)


def signs(*shape):
    return np.where(RNG.random(shape) < 0.5, -1.0, 1.0).astype(np.float32)


class Fixed:
    """An array that becomes a tensor without gradient."""

    def __init__(self, array):
        self.array = array


SPECIAL = np.array([[-7.0, -3.0, -1.0, -0.5, -0.0, 0.0, 0.3, 0.5, 1.0, 3.0, 6.0, 25.0]], np.float32)
X = (normal(3, 4),)
POINTS = (SPECIAL,)
NCL, NCHW, NCDHW = (normal(3, 4, 5),), (normal(2, 4, 3, 3),), (normal(2, 4, 2, 3, 3),)
PAIR = (normal(3, 4), normal(3, 4))
PROBABILITIES = np.exp(normal(3, 5)) / 5

# name -> [(arguments, keyword arguments, inputs), ...]
CASES = {
    "Linear": [
        ((4, 3), {}, X),
        ((4, 3), {"bias": False}, X),
        ((4, 3), {}, (normal(2, 5, 4),)),
        ((4, 2), {}, (normal(4),)),
    ],
    "Bilinear": [
        ((4, 3, 5), {}, (normal(2, 4), normal(2, 3))),
        ((4, 3, 5), {"bias": False}, (normal(2, 6, 4), normal(2, 6, 3))),
    ],
    "Identity": [((), {}, X), ((3,), {"a": 4}, X)],
    "Flatten": [((), {}, NCHW), ((0, 1), {}, NCHW)],
    "Unflatten": [((1, (2, 2)), {}, X), ((1, (2, -1)), {}, NCL)],
    "PixelShuffle": [((2,), {}, NCHW)],
    "PixelUnshuffle": [((3,), {}, NCHW)],
    "ChannelShuffle": [((2,), {}, NCHW)],
    "ReLU": [((), {}, POINTS), ((), {"inplace": True}, POINTS)],
    "ReLU6": [((), {}, POINTS), ((), {"inplace": True}, POINTS)],
    "LeakyReLU": [((), {}, POINTS), ((0.2,), {"inplace": True}, POINTS)],
    "PReLU": [((), {}, POINTS), ((4,), {"init": 0.3}, NCL), ((4,), {}, X)],
    "RReLU": [((), {}, POINTS), ((0.1, 0.9), {"inplace": True}, POINTS)],
    "Threshold": [((0.1, 20.0), {}, POINTS), ((0.1, 20), {"inplace": True}, POINTS)],
    "Hardtanh": [((), {}, POINTS), ((-2, 3), {"inplace": True}, POINTS)],
    "Hardsigmoid": [((), {}, POINTS), ((), {"inplace": True}, POINTS)],
    "Hardswish": [((), {}, POINTS), ((), {"inplace": True}, POINTS)],
    "Hardshrink": [((), {}, POINTS), ((1.0,), {}, POINTS)],
    "Softshrink": [((), {}, POINTS), ((1.0,), {}, POINTS)],
    "Sigmoid": [((), {}, POINTS)],
    "Tanh": [((), {}, POINTS)],
    "SiLU": [((), {}, POINTS), ((), {"inplace": True}, POINTS)],
    "Mish": [((), {}, POINTS), ((), {"inplace": True}, POINTS)],
    "GELU": [((), {}, POINTS), (("tanh",), {}, POINTS)],
    "ELU": [((), {}, POINTS), ((0.5,), {"inplace": True}, POINTS)],
    "CELU": [((), {}, POINTS), ((0.5,), {"inplace": True}, POINTS)],
    "SELU": [((), {}, POINTS), ((), {"inplace": True}, POINTS)],
    "Softplus": [((), {}, POINTS), ((2, 5), {}, POINTS)],
    "Softsign": [((), {}, POINTS)],
    "Tanhshrink": [((), {}, POINTS)],
    "LogSigmoid": [((), {}, POINTS)],
    "GLU": [((), {}, X), ((1,), {}, NCHW)],
    "Softmax": [((1,), {}, X), ((-3,), {}, NCHW), ((0,), {}, X)],
    "LogSoftmax": [((1,), {}, X), ((0,), {}, NCL)],
    "Softmin": [((1,), {}, X)],
    "Softmax2d": [((), {}, NCHW), ((), {}, NCL)],
    "Dropout": [((), {}, X), ((0.3,), {"inplace": True}, X), ((0.0,), {}, X), ((1.0,), {}, X)],
    "Dropout1d": [((), {}, NCL), ((0.3,), {}, X), ((0.3,), {"inplace": True}, NCL)],
    "Dropout2d": [((), {}, NCHW)],
    "Dropout3d": [((), {}, NCDHW), ((0.3,), {}, NCHW)],
    "AlphaDropout": [((), {}, X), ((0.2,), {"inplace": True}, X)],
    "FeatureAlphaDropout": [((), {}, NCL)],
    "Embedding": [
        ((7, 3), {}, (classes(7, 2, 5),)),
        ((7, 3), {"padding_idx": -1}, (np.array([6, 1, 6, 0]),)),
        ((7, 80), {"padding_idx": 0, "scale_grad_by_freq": True}, (np.array([[0, 1, 1], [2, 1, 6]]),)),
        ((7, 3), {"max_norm": 1.0, "norm_type": 3.0}, (classes(7, 4),)),
        ((40, 70), {}, (classes(40, 100),)),
    ],
    "LayerNorm": [
        ((4,), {}, X),
        (((4, 5),), {"eps": 1e-3}, NCL),
        ((5,), {"bias": False}, NCL),
        ((5,), {"elementwise_affine": False}, NCL),
    ],
    "RMSNorm": [((4,), {}, X), (((4, 5),), {"eps": 1e-3}, NCL), ((5,), {"elementwise_affine": False}, NCL)],
    "GroupNorm": [((2, 4), {}, NCHW), ((2, 4), {}, X), ((2, 4), {"affine": False}, NCL)],
    "LocalResponseNorm": [((2,), {}, NCHW), ((3,), {"alpha": 0.1, "beta": 0.5, "k": 2.0}, NCL)],
    "BatchNorm1d": [
        ((4,), {}, X),
        ((4,), {"momentum": None}, NCL),
        ((4,), {"affine": False, "track_running_stats": False}, X),
    ],
    "BatchNorm2d": [((4,), {}, NCHW), ((4,), {"bias": False}, NCHW)],
    "BatchNorm3d": [((4,), {}, NCDHW)],
    "InstanceNorm1d": [
        ((4,), {}, NCL),
        ((4,), {"affine": True, "track_running_stats": True}, NCL),
        ((3,), {}, (normal(3, 5),)),
    ],
    "InstanceNorm2d": [((4,), {"affine": True}, NCHW)],
    "InstanceNorm3d": [((4,), {}, NCDHW)],
    "MSELoss": [((), {"reduction": r}, PAIR) for r in ("none", "sum", "mean")],
    "L1Loss": [((), {"reduction": r}, PAIR) for r in ("none", "sum", "mean")],
    "SmoothL1Loss": [((), {}, PAIR), ((), {"beta": 0.3, "reduction": "sum"}, PAIR), ((), {"beta": 0.0}, PAIR)],
    "HuberLoss": [((), {}, PAIR), ((), {"delta": 0.3, "reduction": "none"}, PAIR)],
    "NLLLoss": [
        ((), {}, (normal(3, 5), classes(5, 3))),
        ((Fixed(uniform(5)),), {"ignore_index": 2}, (normal(4, 5), np.array([2, 0, 4, 1]))),
        ((Fixed(uniform(5)),), {"reduction": "none"}, (normal(2, 5, 3, 2), classes(5, 2, 3, 2))),
        ((), {"reduction": "sum"}, (normal(2, 5, 3), classes(5, 2, 3))),
        ((), {}, (normal(5), np.array(3))),
    ],
    "CrossEntropyLoss": [
        ((), {}, (normal(3, 5), classes(5, 3))),
        ((), {"reduction": "none"}, (normal(3, 5) * 50, classes(5, 3))),
        ((Fixed(uniform(5)),), {"ignore_index": 2}, (normal(4, 5), np.array([2, 0, 4, 1]))),
        ((Fixed(uniform(5)),), {"reduction": "sum", "ignore_index": 2}, (normal(4, 5), np.array([2, 0, 4, 1]))),
        ((), {}, (normal(2, 5, 3, 2), classes(5, 2, 3, 2))),
        ((), {}, (normal(5), np.array(3))),
        ((), {"label_smoothing": 0.1}, (normal(3, 5), classes(5, 3))),
        ((Fixed(uniform(5)),), {"label_smoothing": 0.1, "ignore_index": 2}, (normal(4, 5), np.array([2, 0, 4, 1]))),
        ((), {"label_smoothing": 0.1, "reduction": "none"}, (normal(2, 5, 3), classes(5, 2, 3))),
        ((), {}, (normal(3, 5), PROBABILITIES)),
        ((Fixed(uniform(5)),), {"label_smoothing": 0.2, "reduction": "none"}, (normal(3, 5), PROBABILITIES)),
        ((), {"reduction": "sum"}, (normal(5), PROBABILITIES[0])),
    ],
    "BCELoss": [
        ((), {}, (uniform(3, 4), uniform(3, 4))),
        ((Fixed(uniform(4)),), {"reduction": "sum"}, (uniform(3, 4), uniform(3, 4))),
    ],
    "BCEWithLogitsLoss": [
        ((), {}, (normal(3, 4) * 10, uniform(3, 4))),
        (
            (Fixed(uniform(4)),),
            {"pos_weight": Fixed(uniform(4) * 3), "reduction": "sum"},
            (normal(3, 4), uniform(3, 4)),
        ),
        ((), {"reduction": "none"}, PAIR),
    ],
    "KLDivLoss": [
        ((), {"reduction": "batchmean"}, (normal(3, 4), uniform(3, 4))),
        ((), {"reduction": "sum", "log_target": True}, PAIR),
    ],
    "PoissonNLLLoss": [
        ((), {}, (normal(3, 4), uniform(3, 4) * 5)),
        ((), {"log_input": False, "full": True, "reduction": "sum"}, (uniform(3, 4), uniform(3, 4) * 5)),
    ],
    "GaussianNLLLoss": [
        ((), {}, (*PAIR, uniform(3, 4))),
        ((), {"full": True, "reduction": "none"}, (*PAIR, uniform(3, 1))),
        ((), {}, (*PAIR, Fixed(uniform(3)))),
    ],
    "HingeEmbeddingLoss": [((), {}, (normal(3, 4), Fixed(signs(3, 4))))],
    "SoftMarginLoss": [((), {"reduction": r}, (normal(3, 4), Fixed(signs(3, 4)))) for r in ("none", "sum", "mean")],
    "MarginRankingLoss": [((0.5,), {}, (*PAIR, Fixed(signs(3, 4))))],
    "CosineEmbeddingLoss": [
        ((), {"margin": 0.2}, (*PAIR, Fixed(signs(3)))),
        ((), {}, (normal(4), normal(4), Fixed(signs()))),
    ],
    "TripletMarginLoss": [
        ((), {}, (*PAIR, normal(3, 4))),
        ((), {"p": 1, "swap": True, "reduction": "none"}, (*PAIR, normal(3, 4))),
    ],
    "TripletMarginWithDistanceLoss": [
        ((), {"margin": 2.0}, (*PAIR, normal(3, 4))),
        ((), {"swap": True}, (*PAIR, normal(3, 4))),
    ],
    "MultiMarginLoss": [
        ((), {}, (normal(3, 5), classes(5, 3))),
        ((2, 0.5, Fixed(uniform(5))), {"reduction": "none"}, (normal(3, 5), classes(5, 3))),
        ((), {}, (normal(5), np.array(2))),
    ],
    "MultiLabelMarginLoss": [
        ((), {}, (normal(2, 4), np.array([[3, 0, -1, 1], [-1, 0, 1, 2]]))),
        ((), {}, (normal(4), np.array([1, 2, -1, 0]))),
    ],
    "MultiLabelSoftMarginLoss": [
        ((), {}, (normal(3, 4), uniform(3, 4))),
        ((Fixed(uniform(4)),), {"reduction": "sum"}, PAIR),
    ],
    "PairwiseDistance": [((), {}, PAIR), ((3.0,), {"keepdim": True}, PAIR)],
    "CosineSimilarity": [((), {}, PAIR), ((0,), {}, PAIR)],
    "SyncBatchNorm": [((4,), {}, NCHW), ((4,), {"momentum": None, "affine": False}, NCL)],
    "LinearCrossEntropyLoss": [
        ((4, 5), {"bias": True, "ignore_index": 1}, (normal(3, 4), classes(5, 3))),
        ((4, 5), {"out_features": (2,), "label_smoothing": 0.1, "reduction": "sum"}, (normal(3, 4), classes(5, 3, 2))),
        ((4, 5), {"weight": Fixed(uniform(5))}, (normal(3, 4), PROBABILITIES)),
    ],
}
CONTAINERS = {
    "Module", "Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict", "Container", "DataParallel",
}  # fmt: skip
# Layers of other families, with twin tests of their own.
ELSEWHERE = (
    "Conv",
    "Pool",
    "Unpool",
    "Pad",
    "Attention",
    "Transformer",
    "RNN",
    "LSTM",
    "GRU",
    "Fold",
    "Unfold",
    "Upsampl",
    "Upsample",
    "CTC",
    "Bag",
    "Lazy",
    "Adaptive",
    "NLLLoss2d",
)
# The gradient's node has another name where one operation here is several there, or the other way round.
OTHER_NODES = {
    "Bilinear", "Flatten", "Unflatten", "PixelShuffle", "PixelUnshuffle", "ChannelShuffle", "GroupNorm",
    "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d", "NLLLoss", "CrossEntropyLoss", "MultiMarginLoss",
    "MultiLabelMarginLoss", "RReLU", "PairwiseDistance", "RMSNorm", "AlphaDropout", "FeatureAlphaDropout",
    "Dropout1d", "Dropout3d", "MultiLabelSoftMarginLoss",
}  # fmt: skip
ALL = [(name, i) for name, cases in CASES.items() for i in range(len(cases))]


def to_lib(lib, value, grad=False):
    if isinstance(value, Fixed):
        return lib.tensor(value.array)
    if isinstance(value, np.ndarray):
        return lib.tensor(value, requires_grad=grad and value.dtype.kind == "f")
    return value


def build(lib, name, args, kwargs):
    lib.manual_seed(3)
    return getattr(lib.nn, name)(*(to_lib(lib, a) for a in args), **{k: to_lib(lib, v) for k, v in kwargs.items()})


def close(ours, theirs, what, rtol=2e-5, atol=1e-6):
    assert (ours is None) == (theirs is None), f"{what}: {ours} and {theirs}"
    if ours is not None:
        assert tuple(ours.shape) == tuple(theirs.shape), what
        assert str(ours.dtype) == str(theirs.dtype), what
        np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol, atol, err_msg=what)


def step(lib, layer, inputs, seed=5):
    """One call with backward; leaves are changed by an identity first, so that in-place layers may write into them."""
    leaves = [to_lib(lib, value, grad=True) for value in inputs]
    inplace = getattr(layer, "inplace", False)
    given = [leaf * 1 if inplace and leaf.requires_grad else leaf for leaf in leaves]
    lib.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out = layer(*given)
    if out.requires_grad:
        factors = np.random.default_rng(1).standard_normal(out.shape).astype(np.float32)
        (out * lib.tensor(factors)).sum().backward()
    return out, leaves


def layer_names():
    found = {n for n, c in vars(tapegrad.nn).items() if inspect.isclass(c) and issubclass(c, tapegrad.nn.Module)}
    return {n for n in found - CONTAINERS if not any(word in n for word in ELSEWHERE)}


def test_every_layer_has_a_case():
    assert layer_names() == set(CASES)


@pytest.mark.parametrize("name, i", ALL, ids=lambda v: str(v))
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_layer(name, i, training):
    args, kwargs, inputs = CASES[name][i]
    ours, theirs = (build(lib, name, args, kwargs) for lib in (tapegrad, torch))
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    for (key, a), b in zip(ours.state_dict().items(), theirs.state_dict().values()):
        np.testing.assert_allclose(a.numpy(), b.numpy(), 3e-7, err_msg=key)  # normal draws may differ in the last bit
    assert {k: dict(v) for k, v in ours.state_dict()._metadata.items()} == {
        k: dict(v) for k, v in theirs.state_dict()._metadata.items()
    }
    for _ in range(2):
        (out, leaves), (reference, others) = (
            step(lib, m.train(training), inputs) for lib, m in ((tapegrad, ours), (torch, theirs))
        )
        close(out, reference, "output")
        assert out.requires_grad == reference.requires_grad
        if name not in OTHER_NODES and reference.grad_fn is not None:
            assert out.grad_fn.name()[:-1] == reference.grad_fn.name()[:-1]  # the digit tells the in-place form there
        for a, b in zip(leaves, others):
            close(a.grad, b.grad, "input gradient", atol=1e-5)
        for (key, a), b in zip(ours.named_parameters(), theirs.parameters()):
            close(a.grad, b.grad, f"gradient of {key}", atol=1e-5)
        for (key, a), b in zip(ours.named_buffers(), theirs.buffers()):
            close(a, b, key)


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


@pytest.mark.parametrize("name", sorted(set(CASES) | CONTAINERS - {"Module"}))
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
        found.append([(p.name, p.default, p.kind) for p in parameters])
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
