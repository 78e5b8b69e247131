"""Grids, bags of embeddings, alignments, random windows, adaptive softmax, lazy layers, side by side with PyTorch."""

# ruff: noqa: B023 -- the lambdas are called where they are made

from __future__ import annotations

import copy
import inspect
import itertools
import pickle
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import nn_stories as stories  # noqa: E402

import tapegrad  # noqa: E402

RNG = np.random.default_rng(0)
IMAGE = np.arange(6.0).reshape(1, 1, 2, 3)


def close(ours, theirs, tolerance=1e-9):
    assert tuple(ours.shape) == tuple(theirs.shape)
    assert str(ours.dtype) == str(theirs.dtype)
    a, b = ours.detach().numpy(), theirs.detach().numpy()
    np.testing.assert_allclose(a, b, tolerance, tolerance * max(np.abs(b[np.isfinite(b)]).max(initial=0), 1e-3))


def both(call, *arrays, node=True, tolerance=1e-9):
    """`call(lib, *tensors)` in both libraries: the result, its node, and the gradients of floating-point inputs."""
    found = []
    for lib in (tapegrad, torch):
        tensors = [lib.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
        lib.manual_seed(1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            out = call(lib, *tensors)
        first = out[0] if isinstance(out, tuple) else out
        weights = np.random.default_rng(7).standard_normal(first.shape)
        (first * lib.tensor(weights)).sum().backward()
        found.append((out if isinstance(out, tuple) else (out,), [t.grad for t in tensors if t.requires_grad]))
    (outs, grads), (references, others) = found
    for a, b in zip(outs, references, strict=True):
        close(a, b, tolerance)
    if node:
        assert outs[0].grad_fn.name() == type(references[0].grad_fn).__name__
    for a, b in zip(grads, others, strict=True):
        close(a, b, tolerance)


def normal(*shape):
    return RNG.standard_normal(shape)


# ---- grids -----------------------------------------------------------------------------------------------------------

CHOICES = list(itertools.product(("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection"), (False, True)))


@pytest.mark.parametrize("mode, padding, corners", CHOICES)
def test_grid_sample(mode, padding, corners):
    for rank in (2, 3) if mode != "bicubic" else (2,):
        x, points = normal(2, 3, *(5, 4, 6)[:rank]), 1.3 * normal(2, *(3, 2, 4)[:rank], rank)
        both(lambda lib, a, b: lib.nn.functional.grid_sample(a, b, mode, padding, corners), x, points)
        number = ("bilinear", "nearest", "bicubic").index(mode), ("zeros", "border", "reflection").index(padding)
        both(lambda lib, a, b: lib.grid_sampler(a, b, *number, corners), x, points)
    single = normal(1, 1, 1, 1)
    both(lambda lib, a, b: lib.nn.functional.grid_sample(a, b, mode, padding, corners), single, normal(1, 2, 2, 2))


def test_positions_that_are_no_numbers():
    points = np.array([[[[np.nan, 0.0], [np.inf, 0.0], [0.0, -np.inf], [1e30, 0.0], [-1.0, 1.0]]]])
    for mode in ("bilinear", "nearest"):
        outs = [
            lib.nn.functional.grid_sample(lib.tensor(IMAGE), lib.tensor(points), mode, "zeros", True).numpy()
            for lib in (tapegrad, torch)
        ]
        np.testing.assert_array_equal(*outs)


@pytest.mark.parametrize("corners", [False, True])
def test_affine_grid(corners):
    for size in ((2, 3, 4, 5), (2, 1, 3, 4, 2), (1, 1, 1, 3)):
        theta = normal(size[0], len(size) - 2, len(size) - 1)
        both(lambda lib, t, size=size: lib.nn.functional.affine_grid(t, size, corners), theta)


# ---- embeddings ------------------------------------------------------------------------------------------------------

BAGS = [
    (np.array([[1, 2, 4, 4], [4, 3, 2, 9]]), None),
    (np.array([1, 2, 4, 5, 4, 3]), np.array([0, 2, 2, 5])),
    (np.array([3, 3, 0]), np.array([0, 3])),
    (np.array([], np.int64), np.array([0, 0])),
]


@pytest.mark.parametrize("width", [1, 3, 40])
@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("case", range(len(BAGS)))
def test_embedding_bag(case, mode, width):
    numbers, offsets = BAGS[case]
    arrays = [numbers, normal(10, width), *([] if offsets is None else [offsets])]
    for options in ({}, {"padding_idx": 3}, {"include_last_offset": True}):
        if options.get("include_last_offset") and (offsets is None or offsets[-1] != len(numbers)):
            continue
        both(lambda lib, i, w, *o: lib.nn.functional.embedding_bag(i, w, *o, mode=mode, **options), *arrays)
    if mode == "sum" and len(numbers):
        call = lambda lib, i, w, s, *o: lib.nn.functional.embedding_bag(i, w, *o, mode=mode, per_sample_weights=s)
        both(call, *arrays[:2], normal(*numbers.shape), *arrays[2:])


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_embedding_bag_of_many_entries(mode):
    """More entries than there are pairs of a bag and a row; bags of similar and of different lengths."""
    table = np.round(normal(12, 5), 1)  # maxima that are equal
    for offsets in (np.arange(0, 5000, 100), np.array([0, 0, 10, 4000])):
        numbers = RNG.integers(0, 12, 5000)
        for options in ({}, {"padding_idx": 3}):
            call = lambda lib, i, w, o: lib.nn.functional.embedding_bag(i, w, o, mode=mode, **options)
            both(call, numbers, table, offsets)
        if mode != "max":  # an infinite row is in the bags that name it, and in no other
            infinite = np.where(np.arange(12) == 7, np.inf, 1.0)[:, None]
            rare = np.where(np.arange(5000) < 4990, numbers % 7, 7)
            close(
                *[
                    lib.nn.functional.embedding_bag(*map(lib.tensor, (rare, infinite, offsets)), mode=mode)
                    for lib in (tapegrad, torch)
                ]
            )
        if mode == "sum":
            weighted = lambda lib, i, w, s, o: lib.nn.functional.embedding_bag(
                i, w, o, mode="sum", per_sample_weights=s
            )
            both(weighted, numbers, table, normal(5000), offsets)


def test_embedding_bag_layer():
    for args, options in (((10, 3), {}), ((10, 3, 1.0), {"mode": "max", "padding_idx": -3})):
        layers = []
        for lib in (tapegrad, torch):
            lib.manual_seed(3)
            layers.append(lib.nn.EmbeddingBag(*args, **options))
        assert repr(layers[0]) == repr(layers[1])
        outs = [layer(lib.tensor(BAGS[0][0])) for lib, layer in zip((tapegrad, torch), layers)]
        close(*outs, 1e-6)
        close(layers[0].weight, layers[1].weight, 1e-6)
    signatures = [inspect.signature(lib.nn.EmbeddingBag.__init__).parameters for lib in (tapegrad, torch)]
    assert [(p.name, p.default) for p in signatures[0].values()] == [
        (p.name, p.default) for p in signatures[1].values()
    ]
    table = tapegrad.nn.EmbeddingBag.from_pretrained(tapegrad.ones(2, 3))
    assert not table.weight.requires_grad and table(tapegrad.tensor([[0, 1]])).tolist() == [[1.0, 1.0, 1.0]]


# ---- alignments ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("blank", [0, 2])
def test_ctc_loss(reduction, blank):
    rng = np.random.default_rng(blank)
    targets = (rng.integers(0, 4, (3, 3)) + blank + 1) % 5
    for steps, lengths, zero in (
        ([6, 4, 5], [3, 1, 2], False),
        ([6, 1, 0], [3, 3, 0], True),
        ([6, 2, 0], [2, 3, 0], False),
    ):
        call = lambda lib, x, t: lib.nn.functional.ctc_loss(
            x.log_softmax(-1),
            t,
            lib.tensor(steps),
            lib.tensor(lengths),
            blank,
            reduction,
            zero,
        )
        both(call, normal(6, 3, 5), targets, node=False)
    flat = np.concatenate([row[:n] for row, n in zip(targets, (3, 1, 2))])
    both(lambda lib, x, t: lib.nn.CTCLoss(blank, reduction)(x, t, (6, 4, 5), (3, 1, 2)), normal(6, 3, 5), flat)
    both(
        lambda lib, x, t: lib.nn.functional.ctc_loss(x, t, (6,), (3,), blank, reduction),
        normal(6, 5),
        targets[0],
        node=False,
    )


# ---- windows and classes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rank", [2, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fractional_max_pool(rank, dtype):
    sizes = (9, 8, 7)[:rank]
    for lead, options in itertools.product(
        ((2, 3), (3,)), ({"output_size": 3}, {"output_ratio": (0.5,) * rank}, {"output_size": (1, 4, 2)[:rank]})
    ):
        x = normal(*lead, *sizes).astype(dtype)
        call = lambda lib, x: getattr(lib.nn.functional, f"fractional_max_pool{rank}d")(
            x,
            2,
            **options,
            return_indices=True,
        )
        both(call, x, node=lead == (2, 3), tolerance=1e-6 if dtype == np.float32 else 1e-12)


def test_adaptive_softmax():
    layers = []
    for lib in (tapegrad, torch):
        lib.manual_seed(3)
        layers.append(lib.nn.AdaptiveLogSoftmaxWithLoss(16, 20, [4, 10, 15], div_value=2.0, head_bias=True))
    assert repr(layers[0]) == repr(layers[1])
    assert list(layers[0].state_dict()) == list(layers[1].state_dict())
    x = normal(9, 16).astype(np.float32) * 3
    for target in (np.array([0, 5, 11, 19, 3, 15, 10, 1, 4]), np.array([0, 1, 2, 3, 0, 1, 2, 3, 0])):
        (out, loss), (reference, other) = (
            layer(lib.tensor(x), lib.tensor(target)) for lib, layer in zip((tapegrad, torch), layers)
        )
        close(out, reference, 1e-5)
        loss.backward()
        other.backward()
    for a, b in zip(layers[0].parameters(), layers[1].parameters()):
        close(a.grad, b.grad, 1e-5)
    one = [layer(lib.tensor(x[0]), lib.tensor(7)) for lib, layer in zip((tapegrad, torch), layers)]
    close(one[0].output, one[1].output, 1e-5)
    close(layers[0].log_prob(tapegrad.tensor(x)), layers[1].log_prob(torch.tensor(x)), 1e-5)
    assert layers[0].predict(tapegrad.tensor(x)).tolist() == layers[1].predict(torch.tensor(x)).tolist()


def test_shuffles_and_names_of_the_top_level():
    x = normal(2, 8, 4, 6)
    both(lambda lib, x: lib.pixel_shuffle(x, 2), x)
    both(lambda lib, x: lib.pixel_unshuffle(x, 2), x)
    both(lambda lib, x: lib.channel_shuffle(x, 4), x)
    both(lambda lib, a, b, w: lib.bilinear(a, b, w), normal(3, 2), normal(3, 4), normal(5, 2, 4))
    both(lambda lib, w, i: lib.embedding(w, i, 2), normal(4, 3), np.array([[0, 2], [2, 3]]))
    both(lambda lib, w, i, o: lib.embedding_bag(w, i, o)[0], normal(4, 3), np.array([0, 2, 2]), np.array([0, 1]))
    both(lambda lib, x, w, b: lib.conv_tbc(x, w, b, 1), normal(5, 2, 3), normal(2, 3, 4), normal(4), node=False)
    both(lambda lib, x: lib.max_pool1d_with_indices(x, 2), normal(2, 3, 8))
    both(lambda lib, x: lib.batch_norm(x, None, None, None, None, True, 0.1, 1e-5, False), x)
    both(lambda lib, a, b: lib.kl_div(a, b, 2, log_target=True), normal(3), normal(3), node=False)
    both(lambda lib, a, b, c: lib.triplet_margin_loss(a, b, c, 2.0, 2, 1e-6, True, 0), *normal(3, 4, 5), node=False)
    both(lambda lib, a, b: lib.poisson_nll_loss(a, b, True, False, 1e-8, 1), normal(3), abs(normal(3)), node=False)


# ---- lazy layers -----------------------------------------------------------------------------------------------------

LAZY = {
    "LazyLinear": ((5,), (2, 3)),
    "LazyConv1d": ((4, 2), (2, 3, 6)), "LazyConv2d": ((4, 2), (3, 5, 5)), "LazyConv3d": ((4, 2), (2, 3, 4, 4, 4)),
    "LazyConvTranspose1d": ((4, 2), (2, 3, 6)), "LazyConvTranspose2d": ((4, 2, 2), (2, 6, 3, 3)),
    "LazyConvTranspose3d": ((4, 2), (2, 3, 3, 3, 3)),
    "LazyBatchNorm1d": ((), (4, 3)), "LazyBatchNorm2d": ((1e-3,), (2, 3, 4, 4)),
    "LazyBatchNorm3d": ((), (2, 3, 2, 2, 2)),
    "LazyInstanceNorm1d": ((), (2, 3, 5)), "LazyInstanceNorm2d": ((), (2, 3, 4, 4)),
    "LazyInstanceNorm3d": ((), (2, 3, 2, 2, 2)),
}  # fmt: skip


@pytest.mark.parametrize("name", LAZY)
def test_lazy_layers(name):
    args, shape = LAZY[name]
    x = normal(*shape).astype(np.float32)
    found = []
    for lib in (tapegrad, torch):
        layer = getattr(lib.nn, name)(*args)
        before = repr(layer), [repr(v) for v in layer.state_dict().values()], layer.has_uninitialized_params()
        for other in (copy.deepcopy(layer), layer) if lib is tapegrad else (layer,):  # PyTorch cannot copy all
            lib.manual_seed(4)
            out = other(lib.tensor(x))
        found.append((before, repr(layer), type(layer).__name__, out, layer.state_dict()))
        assert repr(pickle.loads(pickle.dumps(layer))) == repr(layer)
    assert found[0][:3] == found[1][:3]
    close(found[0][3], found[1][3], 1e-5)
    assert list(found[0][4]) == list(found[1][4])
    signatures = [inspect.signature(getattr(lib.nn, name).__init__).parameters for lib in (tapegrad, torch)]
    assert [(p.name, p.default) for p in signatures[0].values()] == [
        (p.name, p.default) for p in signatures[1].values()
    ]


def lazy_story(lib):
    nn = lib.nn
    u = nn.UninitializedParameter()
    told = [repr(u), u.requires_grad, isinstance(u, nn.Parameter), isinstance(nn.UninitializedBuffer(), nn.Buffer)]
    told += [stories.fails(lambda: u.shape), stories.fails(lambda: u + 1), stories.fails(lambda: len(u))]
    told += [nn.parameter.is_lazy(u), str(nn.UninitializedParameter(dtype=lib.float64).dtype)]
    u.materialize((2, 3))
    told += [type(u).__name__, tuple(u.shape), nn.parameter.is_lazy(u)]
    lazy, plain = nn.LazyLinear(5), nn.Linear(3, 5)
    told += [repr(lazy.load_state_dict(plain.state_dict())), type(lazy).__name__, lazy.has_uninitialized_params()]
    lazy(lib.zeros(1, 3))
    told += [repr(lazy), type(lazy).__name__, bool((lazy.weight == plain.weight).all())]
    told += [stories.fails(lambda: plain.load_state_dict(nn.LazyLinear(5).state_dict()))]
    other = nn.LazyLinear(5)
    told += [repr(other.load_state_dict(nn.LazyLinear(5).state_dict())), repr(other.weight)]
    told += [str(nn.LazyLinear(5).double().weight.dtype), stories.fails(lambda: nn.LazyConv2d(3, 2)(lib.zeros(2, 3)))]
    told += [stories.fails(lambda: nn.LazyConv2d(3, 2, groups=3)(lib.zeros(1, 4, 5, 5)))]

    class Scale(nn.modules.lazy.LazyModuleMixin, nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.UninitializedParameter()

        def initialize_parameters(self, x):
            if self.has_uninitialized_params():
                with lib.no_grad():
                    self.w.materialize(x.shape[-1:])
                    self.w.fill_(2)

        def forward(self, x):
            return x * self.w

    scale = Scale()
    optimizer = lib.optim.SGD(scale.parameters(), lr=1.0)
    scale(lib.ones(3)).sum().backward()
    optimizer.step()
    return [*told, scale(lib.ones(3)), type(scale.w).__name__, [p.shape for p in scale.parameters()]]


def test_lazy_story():
    stories.compare(lazy_story, tapegrad, torch)


def other_story(lib):
    net = lib.nn.Sequential(lib.nn.Linear(2, 3), lib.nn.BatchNorm1d(3))
    changed = lib.nn.SyncBatchNorm.convert_sync_batchnorm(net)
    parallel = lib.nn.DataParallel(lib.nn.Linear(2, 3))
    told = [repr(changed), repr(parallel), list(parallel.state_dict()), tuple(parallel(lib.zeros(1, 2)).shape)]
    options = lib.nn.LinearCrossEntropyOptions
    bad = ({"batch_chunk_size": 0}, {"chunking_method": "x"}, {"acc_policy": "y"}, {"acc_dtype": lib.int64})
    told += [repr(options()), *(stories.fails(lambda: options(**b)) for b in bad)]
    return [*told, repr(lib.nn.Container(a=lib.nn.ReLU()))]


def test_other_layers():
    stories.compare(other_story, tapegrad, torch)
    with pytest.warns(FutureWarning, match="NLLLoss2d"):
        assert repr(tapegrad.nn.NLLLoss2d()) == "NLLLoss2d()"
