"""Pooling, padding, resizing and folding, side by side with PyTorch: results, derivatives, names of nodes, errors."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import tapegrad  # noqa: E402

SIZES = {1: (11,), 2: (9, 8), 3: (5, 6, 7)}
RANKS = pytest.mark.parametrize("rank", [1, 2, 3])


def image(rank, single=False, dtype=np.float64):
    shape = (3, *SIZES[rank]) if single else (2, 3, *SIZES[rank])
    return np.random.default_rng(rank).standard_normal(shape).astype(dtype)


def close(ours, theirs, what="", tolerance=1e-12):
    """Equal up to a part of the largest number."""
    assert tuple(ours.shape) == tuple(theirs.shape), what
    assert str(ours.dtype) == str(theirs.dtype), what
    a, b = ours.detach().numpy(), theirs.detach().numpy()
    np.testing.assert_allclose(a, b, tolerance, tolerance * max(np.abs(b).max(initial=0), 1e-3), err_msg=what)


def compare(function, x, *args, tolerance=1e-12, second=True, **kwargs):
    """A function of `nn.functional` in both libraries: results, node, gradient, and gradient of the gradient."""
    found = []
    for lib in (tapegrad, torch):
        leaf = lib.tensor(x, requires_grad=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            out = getattr(lib.nn.functional, function)(leaf, *args, **kwargs)
        outs = out if isinstance(out, tuple) else (out,)
        rng = np.random.default_rng(7)
        upstream = lib.tensor(rng.standard_normal(outs[0].shape).astype(x.dtype), requires_grad=True)
        (first,) = lib.autograd.grad(outs[0], leaf, upstream, create_graph=second)
        seconds = ()
        if second:
            seconds = lib.autograd.grad((first * lib.tensor(rng.standard_normal(x.shape))).sum(), upstream)
        found.append((outs, (first, *seconds)))
    (outs, grads), (references, others) = found
    what = f"{function} {args} {kwargs}"
    assert len(outs) == len(references), what
    for a, b in zip(outs, references):
        close(a, b, what, tolerance)
    assert outs[0].grad_fn.name() == type(references[0].grad_fn).__name__, what
    for a, b in zip(grads, others):
        close(a, b, what, tolerance)


# ---- pooling ---------------------------------------------------------------------------------------------------------

WINDOWS = [
    {"kernel_size": k, "stride": s, "padding": p, "ceil_mode": c}
    for k, s, p, c in itertools.product((2, 3), (None, 1, 2, 3), (0, 1), (False, True))
]


@RANKS
@pytest.mark.parametrize("single", [False, True])
def test_max_pool(rank, single):
    for options in WINDOWS:
        compare(f"max_pool{rank}d", image(rank, single), **options)
        for dilation in (1, 2):
            compare(f"max_pool{rank}d", image(rank, single), **options, dilation=dilation, return_indices=True)


@RANKS
@pytest.mark.parametrize("single", [False, True])
def test_avg_pool(rank, single):
    for options in WINDOWS:
        for include in (False, True):
            compare(f"avg_pool{rank}d", image(rank, single), **options, count_include_pad=include)
        if rank > 1:
            compare(f"avg_pool{rank}d", image(rank, single), **options, divisor_override=7)


@RANKS
def test_one_number_for_each_dimension(rank):
    numbers = {"kernel_size": (3, 2, 1)[:rank], "stride": [2, 1, 3][:rank], "padding": (1, 0, 0)[:rank]}
    compare(f"max_pool{rank}d", image(rank), **numbers, dilation=(2, 1, 1)[:rank])
    compare(f"avg_pool{rank}d", image(rank), **numbers)
    compare(f"avg_pool{rank}d", image(rank), SIZES[rank])


@RANKS
@pytest.mark.parametrize("single", [False, True])
def test_adaptive_pool(rank, single):
    targets = [1, 2, 3, 5, 7, (4, 2, 3)[:rank], *([(None,) + (2,) * (rank - 1)] if rank > 1 else [])]
    for size in targets:
        compare(f"adaptive_avg_pool{rank}d", image(rank, single), size)
        compare(f"adaptive_max_pool{rank}d", image(rank, single), size, return_indices=True)


@RANKS
def test_lp_pool(rank):
    for p in (1.0, 2.0, 3.0):
        compare(f"lp_pool{rank}d", abs(image(rank)) + 0.1, p, 2, tolerance=1e-11)
        compare(f"lp_pool{rank}d", abs(image(rank)) + 0.1, p, 3, 2, True, tolerance=1e-11)


@RANKS
def test_max_unpool(rank):
    for single in (False, True):
        x = image(rank, single)
        outs = []
        for lib in (tapegrad, torch):
            pool, unpool = (getattr(lib.nn.functional, f"max_{name}{rank}d") for name in ("pool", "unpool"))
            leaf = lib.tensor(x, requires_grad=True)
            values, indices = pool(leaf, 2, return_indices=True)
            out = unpool(values, indices, 2, output_size=SIZES[rank])
            other = unpool(values, indices, 2) if rank == 1 else out
            (out * out).sum().backward()
            outs.append((out, other, leaf.grad))
        for a, b in zip(*outs):
            close(a, b)


@RANKS
@pytest.mark.parametrize("name", ["max_pool", "adaptive_max_pool"])
def test_special_numbers(rank, name):
    """Infinities, not-a-numbers and equal numbers: the same maxima at the same places."""
    rng = np.random.default_rng(0)
    x = rng.choice([0.0, 1.0, -math.inf, math.inf, math.nan], (2, 3, *SIZES[rank]), p=[0.4, 0.3, 0.2, 0.05, 0.05])
    for size in (2, 3):
        found = [
            getattr(lib.nn.functional, f"{name}{rank}d")(lib.tensor(x), size, return_indices=True)
            for lib in (tapegrad, torch)
        ]
        for a, b in zip(*found):
            np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_averages_of_infinities():
    x = np.random.default_rng(0).choice([0.0, 1.0, math.inf, math.nan], (2, 3, 7, 5), p=[0.5, 0.4, 0.05, 0.05])
    for call in (lambda F, t: F.adaptive_avg_pool2d(t, (3, 4)), lambda F, t: F.avg_pool2d(t, 2, 1)):
        ours, theirs = (call(lib.nn.functional, lib.tensor(x)).numpy() for lib in (tapegrad, torch))
        np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
        np.testing.assert_allclose(ours[np.isfinite(theirs)], theirs[np.isfinite(theirs)], 1e-12)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int64", "uint8"])
def test_other_types(dtype):
    x = np.random.default_rng(0).integers(0, 9, (2, 3, 8, 8))
    calls = [lambda F, t: F.max_pool2d(t, 3, 2, 1)]
    if dtype != "uint8":
        calls.append(lambda F, t: F.avg_pool2d(t, 3, 2, 1))
    if "float" in dtype:
        calls.append(lambda F, t: F.adaptive_avg_pool2d(t, 3))
    for call in calls:
        a, b = (call(lib.nn.functional, lib.tensor(x).to(getattr(lib, dtype))) for lib in (tapegrad, torch))
        assert str(a.dtype) == str(b.dtype)
        np.testing.assert_allclose(a.float().numpy(), b.float().numpy(), 1e-2 if dtype == "bfloat16" else 1e-3)


def test_a_pooled_activation_may_be_changed_in_place():
    """As in PyTorch, the gradient of pooling needs its input, not its result."""
    x = tapegrad.tensor(image(2), requires_grad=True)
    tapegrad.nn.functional.max_pool2d(x, 2).relu_().sum().backward()
    leaf = torch.tensor(image(2), requires_grad=True)
    torch.nn.functional.max_pool2d(leaf, 2).relu_().sum().backward()
    close(x.grad, leaf.grad)


# ---- padding ---------------------------------------------------------------------------------------------------------


@RANKS
@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_pad(rank, mode):
    for single in (False, True):
        for cells in ((1, 2, 0, 1, 2, 1), (2, -1, -2, 1, 0, 0), (-1, -2, -1, -1, 0, -1), (0, 0, 0, 0, 0, 0)):
            compare("pad", image(rank, single), cells[: 2 * rank], mode)


def test_pad_with_a_number():
    for cells in ((1, 2), (0, 1, 2, 3), (1, -1, 0, 0, 2, 1), ()):
        if cells:
            compare("pad", image(2), cells, "constant", 3.5)
    ours, theirs = (lib.nn.functional.pad(lib.tensor([[1, 2], [3, 4]]), (1, 1), value=7) for lib in (tapegrad, torch))
    close(ours, theirs)
    ours, theirs = (lib.nn.functional.pad(lib.tensor([True]), (1, 1)) for lib in (tapegrad, torch))
    assert ours.tolist() == theirs.tolist()


# ---- resizing --------------------------------------------------------------------------------------------------------

MODES = {1: ("linear",), 2: ("bilinear", "bicubic"), 3: ("trilinear",)}
CHANGES = [
    {"size": (7, 3, 5)},
    {"size": 12},
    {"size": 1},
    {"scale_factor": 1.7},
    {"scale_factor": 0.4},
    {"scale_factor": 2},
    {"scale_factor": 2.3, "recompute_scale_factor": True},
    {"scale_factor": (1.5, 0.7, 2.0)},
]


def changes(rank):
    for change in CHANGES:
        yield {k: v[:rank] if isinstance(v, tuple) else v for k, v in change.items()}


@RANKS
def test_interpolate(rank):
    for change in changes(rank):
        for mode in ("nearest", "nearest-exact", "area", *MODES[rank]):
            for corners in (None, False, True) if mode in MODES[rank] else (None,):
                if corners and isinstance(change.get("scale_factor"), float) and "recompute_scale_factor" in change:
                    continue
                compare("interpolate", image(rank), **change, mode=mode, align_corners=corners)
        single = image(rank, dtype=np.float32)
        compare("interpolate", single, **change, mode=MODES[rank][-1], tolerance=1e-5, second=False)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_antialias(mode):
    for change in ({"size": (3, 4)}, {"size": (20, 3)}, {"scale_factor": 0.37}, {"scale_factor": 2.5}):
        for corners in (None, True):
            compare("interpolate", image(2), **change, mode=mode, antialias=True, align_corners=corners)


@pytest.mark.parametrize("name", ["upsample", "upsample_nearest", "upsample_bilinear"])
def test_former_names(name):
    x = image(2)
    with pytest.warns(UserWarning, match="deprecated"):
        ours = getattr(tapegrad.nn.functional, name)(tapegrad.tensor(x), size=(4, 5))
    with pytest.warns(UserWarning, match="deprecated"):
        theirs = getattr(torch.nn.functional, name)(torch.tensor(x), size=(4, 5))
    close(ours, theirs)


# ---- columns ---------------------------------------------------------------------------------------------------------


def test_unfold_and_fold():
    for kernel, dilation, padding, stride in itertools.product((2, (2, 3)), (1, 2), (0, 1), (1, (2, 1))):
        options = {"kernel_size": kernel, "dilation": dilation, "padding": padding, "stride": stride}
        for single in (False, True):
            x = image(2, single)
            compare("unfold", x, **options)
            columns = torch.nn.functional.unfold(torch.tensor(x), **options)
            y = np.random.default_rng(1).standard_normal(columns.shape)
            compare("fold", y, SIZES[2], **options)


# ---- errors ----------------------------------------------------------------------------------------------------------


def failing(lib):
    """Calls that fail."""
    F, ones = lib.nn.functional, lib.ones
    x = ones(1, 2, 6, 6)
    return {
        "dimensions": lambda: F.max_pool2d(ones(6, 6), 2),
        "kernel": lambda: F.max_pool2d(x, 0),
        "kernels": lambda: F.max_pool2d(x, (2, 2, 2)),
        "stride": lambda: F.max_pool2d(x, 2, 0),
        "padding": lambda: F.max_pool2d(x, 2, padding=2),
        "negative padding": lambda: F.avg_pool2d(x, 2, padding=-1),
        "dilation": lambda: F.max_pool2d(x, 2, dilation=0),
        "large": lambda: F.max_pool2d(x, 7),
        "large average": lambda: F.avg_pool2d(x, 7),
        "no channels": lambda: F.max_pool2d(ones(1, 0, 6, 6), 2),
        "divisor": lambda: F.avg_pool2d(x, 2, divisor_override=0),
        "bool": lambda: F.avg_pool2d(ones(1, 1, 2, 2).bool(), 2),
        "adaptive": lambda: F.adaptive_avg_pool2d(ones(6, 6), (2, 2)),
        "adaptive number": lambda: F.adaptive_avg_pool2d(ones(6), 2),
        "adaptive sizes": lambda: F.adaptive_avg_pool2d(x, (2, 2, 2)),
        "negative": lambda: F.adaptive_avg_pool2d(x, -1),
        "unpool": lambda: F.max_unpool2d(x, ones(1, 2, 6, 5).long(), 2),
        "unpool type": lambda: F.max_unpool2d(x, x, 2),
        "unpool range": lambda: F.max_unpool2d(x, ones(1, 2, 6, 6).long() * 144, 2),
        "unpool size": lambda: F.max_unpool2d(x, ones(1, 2, 6, 6).long(), 2, output_size=(20, 20)),
        "odd": lambda: F.pad(x, (1, 2, 3)),
        "more cells": lambda: F.pad(ones(2), (1, 1, 1, 1)),
        "reflect": lambda: F.pad(x, (6, 0), "reflect"),
        "reflect far": lambda: F.pad(x, (6, 0, 0, 0), "reflect"),
        "circular": lambda: F.pad(x, (7, 0, 0, 0), "circular"),
        "mode": lambda: F.pad(x, (1, 1), "some"),
        "dimensions of mode": lambda: F.pad(ones(3), (1, 1), "reflect"),
        "cut": lambda: F.pad(x, (-4, -4)),
        "unfold": lambda: F.unfold(x, 7),
        "fold": lambda: F.fold(ones(1, 4, 3), (3, 3), 2),
        "fold rows": lambda: F.fold(ones(1, 5, 4), (3, 3), 2),
        "both": lambda: F.interpolate(x, 3, 2.0),
        "neither": lambda: F.interpolate(x),
        "sizes": lambda: F.interpolate(x, (3, 3, 3)),
        "scales": lambda: F.interpolate(x, scale_factor=(2.0,)),
        "corners": lambda: F.interpolate(x, 3, align_corners=True),
        "linear": lambda: F.interpolate(x, 3, mode="linear"),
        "no mode": lambda: F.interpolate(x, 3, mode="some"),
        "antialias": lambda: F.interpolate(x, 3, antialias=True),
        "recompute": lambda: F.interpolate(x, 3, recompute_scale_factor=True),
        "empty": lambda: F.interpolate(x, 0),
    }


@pytest.mark.parametrize("name", failing(tapegrad))
def test_errors(name):
    with pytest.raises(Exception) as theirs:
        failing(torch)[name]()
    with pytest.raises(theirs.type) as ours:
        failing(tapegrad)[name]()
    assert ours.type is theirs.type and "\n  " in str(ours.value)
