"""Convolutions and the layers of images, side by side with PyTorch: initial values, results, derivatives, errors.

Layers of convolution, pooling, padding and resizing are found by introspection: a new one fails
`test_every_layer_has_a_case` until it has an entry in `CASES`.
"""

from __future__ import annotations

import copy
import inspect
import itertools
import pickle
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import tapegrad  # noqa: E402

RNG = np.random.default_rng(0)
FAMILIES = ("Conv", "Pool", "Unpool", "Pad", "Upsampl", "Fold", "Unfold")


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def positive(*shape):
    return abs(normal(*shape)) + np.float32(0.1)


NCL, CL = (normal(2, 4, 11),), (normal(4, 11),)
NCHW, CHW = (normal(2, 4, 9, 8),), (normal(4, 9, 8),)
NCDHW, CDHW = (normal(2, 4, 5, 4, 6),), (normal(4, 5, 4, 6),)
BATCHED = {1: NCL, 2: NCHW, 3: NCDHW}
SINGLE = {1: CL, 2: CHW, 3: CDHW}

# name -> [(arguments, keyword arguments, inputs), ...]
CASES: dict[str, list] = {
    "Conv1d": [((4, 6, 3), {"padding": 1, "stride": 2}, NCL)],
    "Conv2d": [
        ((4, 6, 3), {"padding": (2, 1), "dilation": (1, 2)}, NCHW),
        ((4, 4, 3), {"groups": 4, "padding": "valid"}, NCHW),
        ((4, 5, 1), {"bias": False}, NCHW),
        ((4, 5, (2, 3)), {"stride": (3, 1), "device": "cpu"}, NCHW),
    ],
    "Conv3d": [((4, 2, (1, 2, 3)), {"padding": (0, 1, 1)}, NCDHW)],
    "ConvTranspose1d": [((4, 6, 3), {"stride": 3, "output_padding": 2}, NCL)],
    "ConvTranspose2d": [
        ((4, 6, 3), {"stride": 2, "padding": 1, "output_padding": 1}, NCHW),
        ((4, 6, (2, 3)), {"groups": 2, "dilation": 2, "bias": False}, NCHW),
    ],
    "ConvTranspose3d": [((4, 2, 2), {"padding": (0, 1, 1)}, NCDHW)],
    "Upsample": [
        ((), {"scale_factor": 2, "mode": "bilinear", "align_corners": True}, NCHW),
        (((4, 5),), {}, NCHW),
        ((), {"scale_factor": (1.5, 0.7), "mode": "bicubic"}, NCHW),
    ],
    "UpsamplingNearest2d": [((), {"scale_factor": 3}, NCHW)],
    "UpsamplingBilinear2d": [((5,), {}, NCHW)],
    "Fold": [
        (((5, 6), (2, 3)), {}, (normal(2, 12, 16),)),
        (((5, 6), 2), {"stride": 2, "padding": 1}, (normal(4, 12),)),
    ],
    "Unfold": [(((2, 3),), {"padding": 1, "stride": 2}, NCHW), ((2,), {"dilation": 2}, CHW)],
}
for _n, _x, _y in ((n, BATCHED[n], SINGLE[n]) for n in (1, 2, 3)):
    CASES[f"Conv{_n}d"] += [((4, 6, 3), {"padding": "same", "groups": 2}, _x), ((4, 2, 2), {}, _y)]
    for _mode in ("reflect", "replicate", "circular"):
        CASES[f"Conv{_n}d"].append(((4, 2, 3), {"padding": 1, "padding_mode": _mode}, _x))
    CASES[f"Conv{_n}d"].append(((4, 2, 2), {"padding": "same", "padding_mode": "circular"}, _x))
    CASES[f"ConvTranspose{_n}d"] += [((4, 2, 2), {}, _y)]
    CASES[f"MaxPool{_n}d"] = [
        ((2,), {}, _x),
        ((3, 2, 1), {"ceil_mode": True}, _x),
        ((2, 1), {"dilation": 2, "return_indices": True}, _x),
        ((3,), {}, _y),
    ]
    CASES[f"MaxUnpool{_n}d"] = [((2,), {}, _x)]
    CASES[f"AvgPool{_n}d"] = [
        ((2,), {}, _x),
        ((3, 2, 1), {"ceil_mode": True, "count_include_pad": False}, _x),
        ((3,), {"padding": 1}, _y),
    ]
    CASES[f"LPPool{_n}d"] = [((2.0, 2), {"stride": 1}, (positive(*_x[0].shape),))]
    CASES[f"AdaptiveAvgPool{_n}d"] = [((size,), {}, _x) for size in (1, 3, 4)] + [((2,), {}, _y)]
    CASES[f"AdaptiveMaxPool{_n}d"] = [((3,), {}, _x), ((2, True), {}, _y)]
    for _kind, _mode in itertools.product(("Zero", "Constant", "Reflection", "Replication", "Circular"), range(2)):
        _cells = 2 if _mode else (1, 2, 0, 1, 2, 1)[: 2 * _n]
        CASES.setdefault(f"{_kind}Pad{_n}d", []).append(
            ((_cells, 3.5) if _kind == "Constant" else (_cells,), {}, _y if _mode else _x)
        )
CASES["FractionalMaxPool2d"] = [((2, 4), {}, NCHW), ((3,), {"output_ratio": (0.4, 0.5)}, CHW)]
CASES["FractionalMaxPool3d"] = [((2, 2, None, True), {}, NCDHW), ((1,), {"output_ratio": 0.5}, CDHW)]
CASES["AvgPool2d"].append(((2,), {"divisor_override": 3}, NCHW))
CASES["AdaptiveAvgPool2d"] += [(((None, 4),), {}, NCHW), (((9, 2),), {}, NCHW)]
ALL = [(name, i) for name, cases in CASES.items() for i in range(len(cases))]


def build(lib, name, args, kwargs):
    lib.manual_seed(3)
    return getattr(lib.nn, name)(*args, **kwargs)


def close(ours, theirs, what="", tolerance=2e-6):
    """Equal up to a part of the largest number."""
    assert tuple(ours.shape) == tuple(theirs.shape), what
    assert str(ours.dtype) == str(theirs.dtype), what
    a, b = ours.detach().numpy(), theirs.detach().numpy()
    np.testing.assert_allclose(a, b, tolerance, tolerance * max(np.abs(b).max(initial=0), 1e-3), err_msg=what)


def step(lib, layer, arrays):
    """One call with backward: the results, and the leaves."""
    leaves = [lib.tensor(a, requires_grad=True) for a in arrays]
    if "Unpool" in type(layer).__name__:
        rank = len(layer.kernel_size)
        pool = getattr(lib.nn, f"MaxPool{rank}d")(2, return_indices=True)
        out = layer(*pool(leaves[0]), output_size=leaves[0].shape)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            out = layer(*leaves)
    outs = out if isinstance(out, tuple) else (out,)
    factors = np.random.default_rng(1).standard_normal(outs[0].shape).astype(np.float32)
    (outs[0] * lib.tensor(factors)).sum().backward()
    return outs, leaves


def layer_names():
    layers = {n for n, c in vars(tapegrad.nn).items() if inspect.isclass(c) and issubclass(c, tapegrad.nn.Module)}
    return {n for n in layers if any(word in n for word in FAMILIES) and "Lazy" not in n}


def test_every_layer_has_a_case():
    assert layer_names() == set(CASES)


@pytest.mark.parametrize("name, i", ALL, ids=lambda v: str(v))
def test_layer(name, i):
    args, kwargs, inputs = CASES[name][i]
    ours, theirs = (build(lib, name, args, kwargs) for lib in (tapegrad, torch))
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for (key, a), b in zip(ours.state_dict().items(), theirs.state_dict().values()):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=key)
    own = {k: v for k, v in vars(theirs).items() if not k.startswith("_")}
    assert {k: vars(ours)[k] for k in own if k in vars(ours)} == {k: v for k, v in own.items() if k in vars(ours)}
    (outs, leaves), (references, others) = step(tapegrad, ours, inputs), step(torch, theirs, inputs)
    assert len(outs) == len(references)
    for a, b in zip(outs, references):
        close(a, b, "output")
    assert outs[0].grad_fn is not None
    for a, b in zip(leaves, others):
        close(a.grad, b.grad, "input gradient", 1e-5)
    for (key, a), b in zip(ours.named_parameters(), theirs.parameters()):
        close(a.grad, b.grad, f"gradient of {key}", 1e-5)


@pytest.mark.parametrize("name", CASES)
def test_layer_signature(name):
    found = [inspect.signature(getattr(lib.nn, name).__init__) for lib in (tapegrad, torch)]
    ours, theirs = ([(p.name, p.default, p.kind) for p in s.parameters.values()] for s in found)
    assert ours == theirs


@pytest.mark.parametrize("name", CASES)
def test_layers_are_copied_and_pickled(name):
    args, kwargs, _ = CASES[name][0]
    layer = build(tapegrad, name, args, kwargs)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert repr(other) == repr(layer)
        for a, b in zip(other.parameters(), layer.parameters()):
            assert a is not b
            np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())


# ---- functions -------------------------------------------------------------------------------------------------------

GRID = [
    {"stride": s, "padding": p, "dilation": d, "groups": g}
    for s, p, d, g in itertools.product((1, 2, 3), (0, 1, 2), (1, 2), (1, 2, 4))
]
SIZES = {1: (11,), 2: (9, 8), 3: (5, 6, 5)}


def arrays(rank, transposed, groups, dtype=np.float64, bias=True, single=False):
    rng = np.random.default_rng(rank)
    weight = (4, 8 // groups if transposed else 4 // groups, *(3, 2, 2)[:rank])
    weight = weight if transposed else (8, *weight[1:])
    shapes = [(4, *SIZES[rank]) if single else (3, 4, *SIZES[rank]), weight, *([(8,)] if bias else [])]
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def both(function, values, *args, **kwargs):
    """A function of `nn.functional` in both libraries: results, gradients, and gradients of gradients."""
    found = []
    for lib in (tapegrad, torch):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            leaves = [lib.tensor(v, requires_grad=True) for v in values]
            out = getattr(lib.nn.functional, function)(*leaves, *args, **kwargs)
        rng = np.random.default_rng(7)
        upstream = lib.tensor(rng.standard_normal(out.shape).astype(values[0].dtype), requires_grad=True)
        first = lib.autograd.grad(out, leaves, upstream, create_graph=True)
        total = sum((g * lib.tensor(rng.standard_normal(g.shape).astype(values[0].dtype))).sum() for g in first)
        second = lib.autograd.grad(total, [*leaves, upstream], allow_unused=True)
        found.append((out, first, second))
    return found


def compare(found, tolerance=1e-12):
    (out, first, second), (reference, firsts, seconds) = found
    close(out, reference, "result", tolerance)
    assert out.grad_fn.name() == type(reference.grad_fn).__name__
    for a, b in zip(first, firsts):
        close(a, b, "gradient", tolerance)
    for a, b in zip(second, seconds):
        assert a is not None or b is None or not b.abs().max(), "second derivative"
        if a is not None and b is not None:
            close(a, b, "second derivative", tolerance)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_conv(rank):
    for options in GRID[:: 1 if rank < 3 else 5]:
        compare(both(f"conv{rank}d", arrays(rank, False, options["groups"]), **options))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_padding_by_name(rank, padding):
    for dilation, groups in itertools.product((1, 2, 3), (1, 4)):
        values = arrays(rank, False, groups)
        values[0] = np.pad(values[0], [(0, 0)] * 2 + [(2, 1)] * rank)
        compare(both(f"conv{rank}d", values, padding=padding, dilation=dilation, groups=groups))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_conv_transpose(rank):
    for options in GRID[:: 1 if rank < 3 else 5]:
        extra = max(options["stride"], options["dilation"]) - 1
        compare(both(f"conv_transpose{rank}d", arrays(rank, True, options["groups"]), output_padding=extra, **options))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("transposed", [False, True])
def test_without_batch_and_bias(rank, transposed):
    name = f"conv_transpose{rank}d" if transposed else f"conv{rank}d"
    compare(both(name, arrays(rank, transposed, 1, bias=False)))
    compare(both(name, arrays(rank, transposed, 2, single=True), groups=2))


def test_one_number_for_each_dimension():
    values = arrays(2, False, 1)
    compare(both("conv2d", values, stride=(2, 1), padding=[1, 0], dilation=(1, 3)))
    compare(both("conv2d", values, stride=(2,), padding=(1,)))
    compare(both("conv_transpose2d", arrays(2, True, 1), stride=(2, 3), padding=(0, 1), output_padding=(1, 2)))


@pytest.mark.parametrize("shape, weight, options", [
    ((2, 3, 32, 32), (16, 3, 7, 7), {"stride": 2, "padding": 3}),
    ((16, 32, 7, 7), (64, 32, 3, 3), {"padding": 1}),
    ((4, 64, 14, 14), (32, 64, 1, 1), {}),
    ((40, 1, 28, 28), (32, 1, 3, 3), {}),
    ((2, 32, 20, 20), (32, 1, 3, 3), {"groups": 32, "padding": 1}),
    ((2, 16, 3000), (8, 16, 9), {"stride": 4}),
    ((0, 3, 8, 8), (4, 3, 3, 3), {}),
])  # fmt: skip
def test_shapes_of_networks_in_single_precision(shape, weight, options):
    rng = np.random.default_rng(0)
    values = [rng.standard_normal(s).astype(np.float32) for s in (shape, weight)]
    compare(both(f"conv{len(shape) - 2}d", values, **options), 1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "complex64", "int64"])
def test_other_types(dtype):
    rng = np.random.default_rng(0)
    x, w = rng.integers(-3, 4, (2, 4, 6, 6)), rng.integers(-3, 4, (4, 4, 3, 3))
    outs = [
        f(*(lib.tensor(v).to(getattr(lib, dtype)) for v in (x, w)))
        for lib in (tapegrad, torch)
        for f in (lib.conv2d, lib.conv_transpose2d)
    ]
    for a, b in zip(outs[:2], outs[2:]):
        assert str(a.dtype) == str(b.dtype)
        np.testing.assert_array_equal(
            *(t.resolve_conj().cfloat().numpy() if dtype == "complex64" else t.float().numpy() for t in (a, b))
        )


@pytest.mark.parametrize("name", ["conv2d", "conv_transpose2d"])
def test_complex_gradients(name):
    rng = np.random.default_rng(0)
    values = [rng.standard_normal(s) + 1j * rng.standard_normal(s) for s in ((2, 4, 5, 5), (4, 4, 3, 3))]
    grads = []
    for lib in (tapegrad, torch):
        x, w = (lib.tensor(v, requires_grad=True) for v in values)
        out = getattr(lib.nn.functional, name)(x, w)
        (out.abs() ** 2).sum().backward()
        grads.append((x.grad, w.grad))
    for a, b in zip(*grads):
        np.testing.assert_allclose(a.numpy(), b.numpy(), 1e-10)


def test_convolution_of_any_rank():
    x, w = (np.random.default_rng(0).standard_normal(s) for s in ((1, 2, 5, 5), (2, 2, 3, 3)))
    for transposed in (False, True):
        args = None, (2, 2), (1, 1), (1, 1), transposed, (0, 0), 1
        outs = [lib.convolution(lib.tensor(x), lib.tensor(w), *args) for lib in (tapegrad, torch)]
        close(*outs, tolerance=1e-12)


def test_output_size():
    x = normal(1, 2, 5)
    ours, theirs = (build(lib, "ConvTranspose1d", (2, 3, 3), {"stride": 3}) for lib in (tapegrad, torch))
    for size in ((15,), (16,), (1, 3, 17)[-1:], (1, 3, 17)):
        close(ours(tapegrad.tensor(x), output_size=size), theirs(torch.tensor(x), output_size=size), str(size))
    for size in ((14,), (18,), (1, 1)):
        for layer, lib in ((ours, tapegrad), (theirs, torch)):
            with pytest.raises(ValueError):
                layer(lib.tensor(x), output_size=size)


# ---- errors ----------------------------------------------------------------------------------------------------------


def failing(lib):
    """Calls that fail."""
    ones, F, nn = lib.ones, lib.nn.functional, lib.nn
    x, w = ones(1, 4, 6, 6), ones(4, 4, 3, 3)
    return {
        "channels": lambda: F.conv2d(ones(1, 3, 6, 6), w),
        "dimensions": lambda: F.conv2d(ones(6, 6), w),
        "weight": lambda: F.conv2d(x, ones(4, 4, 3)),
        "bias": lambda: F.conv2d(x, w, ones(3)),
        "large": lambda: F.conv2d(x, ones(4, 4, 7, 3)),
        "stride": lambda: F.conv2d(x, w, stride=0),
        "padding": lambda: F.conv2d(x, w, padding=-1),
        "dilation": lambda: F.conv2d(x, w, dilation=0),
        "groups": lambda: F.conv2d(x, w, groups=3),
        "no groups": lambda: F.conv2d(x, w, groups=0),
        "numbers": lambda: F.conv2d(x, w, stride=(1, 1, 1)),
        "name": lambda: F.conv2d(x, w, padding="some"),
        "same": lambda: F.conv2d(x, w, padding="same", stride=2),
        "type": lambda: F.conv2d(x.double(), w),
        "list": lambda: F.conv2d([1.0], w),
        "transposed channels": lambda: F.conv_transpose2d(ones(1, 3, 6, 6), w),
        "output padding": lambda: F.conv_transpose2d(x, w, output_padding=1),
        "transposed bias": lambda: F.conv_transpose2d(x, w, ones(3)),
        "empty": lambda: F.conv_transpose2d(ones(1, 4, 1, 1), w, padding=2),
        "layer groups": lambda: nn.Conv2d(3, 4, 3, groups=2),
        "layer outputs": lambda: nn.Conv2d(4, 3, 3, groups=2),
        "layer no groups": lambda: nn.Conv2d(4, 4, 3, groups=0),
        "layer padding": lambda: nn.Conv2d(4, 4, 3, padding="some"),
        "layer same": lambda: nn.Conv2d(4, 4, 3, padding="same", stride=2),
        "layer mode": lambda: nn.Conv2d(4, 4, 3, padding_mode="some"),
        "layer transposed mode": lambda: nn.ConvTranspose2d(4, 4, 3, padding_mode="reflect"),
        "layer input": lambda: nn.Conv2d(4, 4, 3)(ones(3, 3)),
    }


@pytest.mark.parametrize("name", failing(tapegrad))
def test_errors(name):
    with pytest.raises(Exception) as theirs:
        failing(torch)[name]()
    with pytest.raises(theirs.type) as ours:
        failing(tapegrad)[name]()
    assert ours.type is theirs.type and "\n  " in str(ours.value)


def test_an_error_says_what_was_given():
    with pytest.raises(RuntimeError, match=r"(?s)3 channels, the weight is for 4.*got: input of \(1, 3, 6, 6\)"):
        tapegrad.nn.Conv2d(4, 4, 3)(tapegrad.ones(1, 3, 6, 6))
