"""Layers and functions against their definitions: values by hand or in NumPy, invariants, derivatives, error texts."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tapegrad as torch
from tapegrad import nn
from tapegrad.nn import functional as F


def rand(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def tensor(array, grad=False):
    return torch.tensor(np.asarray(array), requires_grad=grad)


# ---- every layer -----------------------------------------------------------------------------------------------------

LAYERS = {n: c for n, c in vars(nn).items() if inspect.isclass(c) and issubclass(c, nn.Module) and c is not nn.Module}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_documented(name):
    layer = LAYERS[name]
    first = (layer.__doc__ or "").strip().split("\n")[0]
    assert len(first) > 8, f"{name} has no docstring"
    assert layer.forward is not nn.Module.forward or name in (
        "Container",
        "ModuleList",
        "ModuleDict",
        "ParameterList",
        "ParameterDict",
    )


@pytest.mark.parametrize("name", F.__all__)
def test_functions_are_documented(name):
    assert len((getattr(F, name).__doc__ or "").strip()) > 8


@pytest.mark.parametrize("name", F.__all__)
def test_public_functions_have_a_place(name):
    assert not name.startswith("_") and callable(getattr(F, name))


# ---- invariants ------------------------------------------------------------------------------------------------------

SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 3))


@given(SHAPES, st.integers(0, 2), st.floats(-1e4, 1e4), st.integers(0, 99))
def test_softmax_sums_to_one_and_ignores_a_shift(shape, dim, shift, seed):
    x = rand(*shape, seed=seed) * 3
    y = F.softmax(tensor(x), dim).numpy()
    np.testing.assert_allclose(y.sum(dim), 1, rtol=1e-12)
    np.testing.assert_allclose(F.softmax(tensor(x + shift), dim).numpy(), y, rtol=1e-8)
    np.testing.assert_allclose(np.exp(F.log_softmax(tensor(x), dim).numpy()), y, rtol=1e-10)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 99), st.sampled_from(["none", "sum", "mean"]))
def test_cross_entropy_is_nll_of_log_softmax(n, c, seed, reduction):
    rng = np.random.default_rng(seed)
    x, t, w = tensor(rng.standard_normal((n, c)), True), tensor(rng.integers(0, c, n)), tensor(rng.random(c) + 0.1)
    ours = F.cross_entropy(x, t, w, reduction=reduction)
    other = F.nll_loss(F.log_softmax(x, 1), t, w, reduction=reduction)
    np.testing.assert_allclose(ours.detach().numpy(), other.detach().numpy(), rtol=1e-10, atol=1e-12)
    for a, b in zip(torch.autograd.grad(ours.sum(), x), torch.autograd.grad(other.sum(), x)):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-9, atol=1e-12)


@given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 99))
def test_class_numbers_are_one_hot_probabilities(n, c, seed):
    rng = np.random.default_rng(seed)
    x, t = tensor(rng.standard_normal((n, c))), rng.integers(0, c, n)
    for smoothing in (0.0, 0.3):
        ours = F.cross_entropy(x, tensor(t), label_smoothing=smoothing)
        other = F.cross_entropy(x, tensor(np.eye(c)[t]), label_smoothing=smoothing)
        np.testing.assert_allclose(ours.numpy(), other.numpy(), rtol=1e-10)


@given(st.integers(1, 4), st.integers(2, 7), st.floats(-1e3, 1e3), st.integers(0, 99))
def test_layer_norm_has_mean_zero_and_variance_one(n, d, shift, seed):
    y = F.layer_norm(tensor(rand(n, d, seed=seed) + shift), (d,), eps=1e-12).numpy()
    np.testing.assert_allclose(y.mean(1), 0, atol=1e-9)
    np.testing.assert_allclose(y.var(1), 1, rtol=1e-4)


@given(st.sampled_from([1, 2, 3, 6]), st.integers(0, 99))
def test_group_norm_joins_layer_and_instance_norm(groups, seed):
    x = tensor(rand(2, 6, 5, seed=seed))
    y = F.group_norm(x, groups)
    if groups == 1:
        np.testing.assert_allclose(y.numpy(), F.layer_norm(x, (6, 5)).numpy(), atol=1e-12)
    if groups == 6:
        np.testing.assert_allclose(y.numpy(), F.instance_norm(x).numpy(), atol=1e-12)


@given(st.floats(0.0, 1.0), st.integers(0, 99))
def test_dropout_scales_what_it_keeps(p, seed):
    torch.manual_seed(seed)
    y = F.dropout(torch.ones(50, dtype=torch.float64), p)
    kept = y[y != 0]
    assert kept.numel() == 0 or torch.allclose(kept, torch.full_like(kept, 1 / (1 - p) if p < 1 else 0.0))
    assert F.dropout(y, p, training=False) is y


def test_dropout_keeps_the_mean():
    torch.manual_seed(0)
    x = torch.ones(20000)
    assert abs(F.dropout(x, 0.3).mean().item() - 1) < 0.02
    normal = torch.randn(20000)
    out = F.alpha_dropout(normal, 0.3, training=True)
    assert abs(out.mean().item()) < 0.03 and abs(out.std().item() - 1) < 0.03


def test_feature_dropout_takes_whole_channels():
    torch.manual_seed(0)
    y = F.dropout2d(torch.ones(4, 8, 3, 3))
    assert all(len(set(channel)) == 1 for channel in y.reshape(32, 9).tolist())
    assert {0.0, 2.0} == set(y.reshape(-1).tolist())


def test_running_statistics():
    m = nn.BatchNorm1d(2, momentum=0.1)
    x = tensor([[1.0, 2.0], [3.0, 6.0]]).float()
    m(x)
    np.testing.assert_allclose(m.running_mean.numpy(), [0.2, 0.4], rtol=1e-6)
    np.testing.assert_allclose(m.running_var.numpy(), [0.9 + 0.2, 0.9 + 0.8], rtol=1e-6)
    assert m.num_batches_tracked.item() == 1
    m.eval()
    before = m.running_mean.clone()
    m(x)
    assert torch.equal(m.running_mean, before) and m.num_batches_tracked.item() == 1
    m.reset_running_stats()
    assert m.running_var.tolist() == [1, 1]


def test_cumulative_running_statistics():
    m = nn.BatchNorm1d(1, momentum=None)
    for value in (1.0, 2.0, 6.0):
        m(torch.tensor([[value - 1], [value + 1]]))
    np.testing.assert_allclose(m.running_mean.numpy(), [3.0], rtol=1e-6)


# ---- values ----------------------------------------------------------------------------------------------------------


def test_large_numbers_do_not_overflow():
    x = torch.tensor([[1000.0, -1000.0, 0.0]], requires_grad=True)
    loss = F.cross_entropy(x, torch.tensor([1]))
    loss.backward()
    assert loss.item() == 2000.0 and x.grad.tolist() == [[1.0, -1.0, 0.0]]
    assert F.binary_cross_entropy_with_logits(x[0], torch.tensor([0.0, 1.0, 0.5])).isfinite().item()
    assert F.softplus(x.detach())[0].tolist()[:2] == [1000.0, 0.0] and F.logsigmoid(x.detach())[0, 1].item() == -1000.0


def test_rows_without_a_loss():
    x, t = torch.zeros(2, 3, requires_grad=True), torch.tensor([-100, 1])
    F.cross_entropy(x, t).backward()
    assert x.grad[0].tolist() == [0, 0, 0] and abs(x.grad[1, 1].item() + 2 / 3) < 1e-6
    assert math.isnan(F.cross_entropy(x, torch.tensor([-100, -100])).item())
    assert F.cross_entropy(x, t, reduction="none").tolist()[0] == 0
    infinite = torch.tensor([[-math.inf, 0.0], [0.0, -math.inf]])
    assert F.nll_loss(infinite, torch.tensor([0, 0]), ignore_index=0, reduction="sum").item() == 0


def test_an_in_place_layer_after_a_norm():
    m = nn.Sequential(nn.BatchNorm1d(3), nn.ReLU(inplace=True))
    x = torch.randn(4, 3, requires_grad=True)
    m(x).sum().backward()
    assert x.grad is not None


def test_scaling_a_loss_in_place():
    x = torch.zeros(2, 3, requires_grad=True)
    loss = F.cross_entropy(x, torch.tensor([0, 1]))
    loss /= 2
    loss.backward()
    assert abs(x.grad[0, 0].item() + 1 / 6) < 1e-6


def test_embedding_gradients():
    m = nn.Embedding(5, 2, padding_idx=1)
    assert m.weight[1].tolist() == [0, 0]
    m(torch.tensor([[0, 1], [0, 4]])).sum().backward()
    assert m.weight.grad.tolist() == [[2, 2], [0, 0], [0, 0], [0, 0], [1, 1]]
    frozen = nn.Embedding.from_pretrained(torch.ones(2, 3))
    assert not frozen.weight.requires_grad and frozen(torch.tensor([1])).tolist() == [[1, 1, 1]]


def test_embedding_rows_are_limited():
    weight = torch.tensor([[3.0, 4.0], [0.3, 0.4], [30.0, 40.0]])
    out = F.embedding(torch.tensor([0, 1]), weight, max_norm=1.0)
    np.testing.assert_allclose(out.numpy(), [[0.6, 0.8], [0.3, 0.4]], rtol=1e-6)
    assert weight[2].tolist() == [30, 40]


def test_one_hot_and_shuffles():
    assert F.one_hot(torch.tensor([[0], [2]]), 4).tolist() == [[[1, 0, 0, 0]], [[0, 0, 1, 0]]]
    x = torch.arange(16.0).reshape(1, 4, 2, 2)
    assert torch.equal(F.pixel_unshuffle(F.pixel_shuffle(x, 2), 2), x)
    assert F.channel_shuffle(x, 2)[0, :, 0, 0].tolist() == [0, 8, 4, 12]


def test_gumbel_softmax():
    torch.manual_seed(0)
    logits = torch.zeros(500, 3, requires_grad=True)
    hard = F.gumbel_softmax(logits, hard=True)
    assert set(hard.detach().round().unique().tolist()) == {0.0, 1.0}
    counts = hard.detach().sum(0)
    assert (counts > 120).all()
    (hard * torch.arange(3.0)).sum().backward()
    assert logits.grad.abs().sum().item() > 0


def test_implied_dimension_warns():
    with pytest.warns(UserWarning, match="dimension should be given"):
        assert F.softmax(torch.zeros(2, 2)).tolist() == [[0.5, 0.5], [0.5, 0.5]]


# ---- errors ----------------------------------------------------------------------------------------------------------

ONES = torch.ones(3, 4)
INTS = torch.tensor([0, 1, 2])


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda: nn.Linear(3, 4)(torch.ones(2, 5)), RuntimeError, "linear"),
        (lambda: F.cross_entropy(ONES, torch.tensor([0, 1, 7])), IndexError, r"Target 7 is out of bounds[\s\S]*0 to 3"),
        (lambda: F.cross_entropy(ONES, torch.tensor([0, 1])), ValueError, r"batch sizes differ[\s\S]*\(3, 4\)"),
        (lambda: F.cross_entropy(ONES, INTS.float()), RuntimeError, r"wrong dtype[\s\S]*target.long\(\)"),
        (lambda: F.cross_entropy(ONES, INTS, torch.ones(2)), RuntimeError, "each of the 4 classes"),
        (lambda: F.cross_entropy(ONES, INTS, label_smoothing=2.0), RuntimeError, "between 0.0 and 1.0"),
        (lambda: F.cross_entropy(ONES, ONES, ignore_index=1), RuntimeError, "needs class numbers"),
        (lambda: F.nll_loss(torch.tensor(1.0), torch.tensor(0)), ValueError, "1 or more dimensions"),
        (lambda: F.mse_loss(ONES, ONES, reduction="avg"), ValueError, r"avg is not a valid value[\s\S]*'mean'"),
        (lambda: F.mse_loss(INTS, INTS), NotImplementedError, "torch.int64"),
        (lambda: F.mse_loss(ONES, ONES, weight=torch.ones(2)), ValueError, "same size"),
        (lambda: F.smooth_l1_loss(ONES, ONES, beta=-1.0), RuntimeError, "must not be negative"),
        (lambda: F.huber_loss(ONES, ONES, delta=0), RuntimeError, "must be positive"),
        (lambda: F.binary_cross_entropy(ONES * 2, ONES), RuntimeError, "between 0 and 1"),
        (lambda: F.binary_cross_entropy(ONES, ONES[:1]), ValueError, "same size"),
        (lambda: F.binary_cross_entropy_with_logits(ONES, ONES[:1]), ValueError, "same size"),
        (lambda: F.gaussian_nll_loss(ONES, ONES, -ONES), ValueError, "negative"),
        (lambda: F.gaussian_nll_loss(ONES, ONES, torch.ones(7)), ValueError, "incorrect size"),
        (lambda: F.multi_margin_loss(ONES, INTS, p=3), ValueError, "p == 1 and p == 2"),
        (lambda: F.triplet_margin_loss(ONES, ONES, ONES, margin=-1), ValueError, "greater than 0"),
        (lambda: F.cosine_embedding_loss(ONES, ONES, ONES), RuntimeError, "sizes do not fit"),
        (lambda: F.layer_norm(ONES, (3,)), RuntimeError, r"does not end in[\s\S]*\(3, 4\)[\s\S]*\(\*, 3\)"),
        (lambda: F.layer_norm(ONES, 4), TypeError, "tuple of ints"),
        (lambda: F.group_norm(ONES, 3), RuntimeError, "divisible"),
        (lambda: F.batch_norm(ONES, None, None), RuntimeError, "running_mean must be defined"),
        (lambda: F.batch_norm(ONES[:1], None, None, training=True), ValueError, "more than 1 value per channel"),
        (lambda: F.instance_norm(torch.ones(2, 3, 1)), ValueError, "more than 1 spatial element"),
        (lambda: nn.BatchNorm2d(4)(ONES), ValueError, "expected 4D input"),
        (lambda: nn.GroupNorm(3, 4), ValueError, "divisible"),
        (lambda: F.embedding(torch.tensor([9]), ONES), IndexError, r"index out of range in self[\s\S]*0 to 2"),
        (lambda: F.embedding(torch.tensor([1.0]), ONES), RuntimeError, "wrong dtype"),
        (lambda: F.embedding([1], ONES), TypeError, "must be tensors"),
        (lambda: nn.Embedding(3, 4, padding_idx=5), AssertionError, "Padding_idx must be within"),
        (lambda: F.dropout(ONES, 2.0), ValueError, "between 0 and 1"),
        (lambda: nn.Dropout(-0.1), ValueError, "Dropout: dropout probability"),
        (lambda: F.dropout1d(torch.ones(3)), RuntimeError, "expected 2 or 3 dimensions"),
        (lambda: F.prelu(ONES, torch.ones(3)), RuntimeError, "one per channel"),
        (lambda: F.glu(torch.ones(3)), RuntimeError, "even size"),
        (lambda: F.celu(ONES, 0.0), RuntimeError, "alpha cannot be 0"),
        (lambda: F.hardtanh(ONES, 2, 1), ValueError, "min_val cannot be greater"),
        (lambda: F.rrelu(ONES, 0.5, 0.1), RuntimeError, "lower bound"),
        (lambda: F.softshrink(ONES, -1.0), RuntimeError, "must not be negative"),
        (lambda: F.gelu(ONES, approximate="x"), RuntimeError, "unknown approximate"),
        (lambda: F.relu(ONES > 0), RuntimeError, r"relu[\s\S]*bool"),
        (lambda: F.softmax(INTS, 0), NotImplementedError, "torch.int64"),
        (lambda: F.one_hot(ONES), RuntimeError, "int64"),
        (lambda: F.one_hot(torch.tensor([5]), 3), RuntimeError, "smaller than num_classes"),
        (lambda: F.pixel_shuffle(torch.ones(1, 3, 2, 2), 2), RuntimeError, "divisible by the squared factor"),
        (lambda: nn.Bilinear(0, 1, 1), ValueError, "in1_features must be > 0"),
        (lambda: nn.Unflatten(1, 3), TypeError, "tuple of ints"),
        (lambda: nn.Softmax2d()(ONES), ValueError, "3D or 4D"),
        (lambda: nn.Hardtanh(1.0, -1.0), AssertionError, "larger than min_val"),
        (lambda: nn.TripletMarginLoss(margin=0.0), ValueError, "greater than 0"),
    ],
)
def test_errors(call, kind, text):
    with pytest.raises(kind, match=text):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: F.mse_loss(ONES, ONES[:, :1]),
        lambda: F.mse_loss(ONES, ONES, size_average=False),
        lambda: F.kl_div(ONES, ONES),
        lambda: F.dropout2d(torch.ones(2, 3)),
        lambda: nn.MSELoss(reduce=False),
        lambda: nn.init.kaiming_uniform_(torch.empty(0, 3)),
    ],
)
def test_warnings(call):
    with pytest.warns(UserWarning):
        call()


# ---- derivatives -----------------------------------------------------------------------------------------------------

WEIGHT = tensor(rand(4) ** 2)
DOUBLE = [
    ("linear", lambda x: F.linear(x, x[:2], x[0, :2])),
    ("bilinear", lambda x: F.bilinear(x, x[:, :3], tensor(rand(2, 4, 3)), x[0, :2])),
    ("normalize", lambda x: F.normalize(x, dim=1)),
    ("local_response_norm", lambda x: F.local_response_norm(x.reshape(1, 6, 2), 3, alpha=0.5)),
    ("cosine_similarity", lambda x: F.cosine_similarity(x, x.flip(0))),
    ("pairwise_distance", lambda x: F.pairwise_distance(x, x.flip(0) * 2)),
    ("pdist", lambda x: F.pdist(x)),
    ("prelu", lambda x: F.prelu(x, x[0])),
    ("softmin", lambda x: F.softmin(x, 0)),
    ("softsign", lambda x: F.softsign(x)),
    ("tanhshrink", lambda x: F.tanhshrink(x)),
    ("smoothing", lambda x: F.cross_entropy(x, INTS, WEIGHT, label_smoothing=0.2)),
    ("probabilities", lambda x: F.cross_entropy(x, x.flip(0).softmax(1))),
    ("cosine_embedding", lambda x: F.cosine_embedding_loss(x, x.flip(0), torch.tensor([1, -1, 1]))),
    ("gaussian_nll", lambda x: F.gaussian_nll_loss(x, x.flip(1), x.exp(), full=True)),
    ("multi_margin", lambda x: F.multi_margin_loss(x, INTS, p=2, weight=WEIGHT)),
    ("multilabel_margin", lambda x: F.multilabel_margin_loss(x, torch.tensor([[1, -1, 0, 0]] * 3))),
    ("triplet", lambda x: F.triplet_margin_loss(x, x.flip(0), x * 2, swap=True)),
    ("pixel_shuffle", lambda x: F.pixel_shuffle(x.reshape(1, 4, 3, 1), 2)),
]


@pytest.mark.parametrize(("name", "function"), DOUBLE, ids=[n for n, _ in DOUBLE])
def test_compositions_are_differentiable(name, function):
    x = tensor(rand(3, 4, seed=3), True)
    assert torch.autograd.gradcheck(function, (x,))
    assert torch.autograd.gradgradcheck(function, (x,), atol=1e-4)


# ---- a network learns ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", [None, nn.LayerNorm, nn.BatchNorm1d], ids=["plain", "layer norm", "batch norm"])
def test_a_network_learns_xor(norm):
    torch.manual_seed(0)
    x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = torch.tensor([0, 1, 1, 0])
    middle = [norm(16)] if norm else []
    net = nn.Sequential(nn.Linear(2, 16), *middle, nn.Tanh(), nn.Linear(16, 2))
    for _ in range(200):
        net.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        with torch.no_grad():
            for p in net.parameters():
                p -= 0.5 * p.grad
    assert net(x).argmax(1).tolist() == y.tolist() and loss.item() < 0.1
