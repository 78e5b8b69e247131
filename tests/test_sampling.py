"""Grids, bags, alignments and lazy layers against their definitions: values by hand, invariants, error texts."""

from __future__ import annotations

import numpy as np
import pytest

import tapegrad as torch
from tapegrad import nn
from tapegrad.nn import functional as F


def rand(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def test_the_identity_grid_gives_the_image_back():
    x = torch.tensor(rand(2, 3, 4, 5))
    theta = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]] * 2).double()
    for corners in (False, True):
        grid = F.affine_grid(theta, x.shape, corners)
        for mode in ("bilinear", "nearest", "bicubic"):
            np.testing.assert_allclose(F.grid_sample(x, grid, mode, "border", corners).numpy(), x.numpy(), 1e-12, 1e-12)


def test_bags_are_sums_of_embeddings():
    table, numbers = torch.tensor(rand(7, 3)), torch.tensor([[1, 2, 2], [6, 0, 3]])
    rows = F.embedding(numbers, table)
    for mode, expected in (("sum", rows.sum(1)), ("mean", rows.mean(1)), ("max", rows.max(1)[0])):
        assert torch.allclose(F.embedding_bag(numbers, table, mode=mode), expected)
    shares = torch.tensor(rand(2, 3, seed=1))
    out = F.embedding_bag(numbers, table, mode="sum", per_sample_weights=shares)
    assert torch.allclose(out, (rows * shares.unsqueeze(-1)).sum(1))


def test_gradients_of_rows_are_divided_by_how_often_they_are_picked():
    table = torch.tensor(rand(4, 2)).requires_grad_()
    F.embedding_bag(torch.tensor([[1, 1, 3, 1]]), table, mode="sum", scale_grad_by_freq=True).sum().backward()
    assert table.grad.tolist() == [[0, 0], [1, 1], [0, 0], [1, 1]]


def test_alignments_of_one_label():
    """With a single label over T steps the paths are runs of it: T (T + 1) / 2 of them, of probability 1 / 2^T."""
    for time in (1, 3, 5):
        logs = torch.full((time, 1, 2), 0.5).log()
        loss = F.ctc_loss(logs, torch.tensor([[1]]), [time], [1], reduction="sum")
        assert loss.exp().item() == pytest.approx(2**time / (time * (time + 1) / 2))


def test_gradients_of_alignments_sum_to_zero():
    logits = torch.tensor(rand(6, 2, 4)).requires_grad_()
    F.ctc_loss(logits.log_softmax(-1), torch.tensor([[1, 1], [2, 3]]), [6, 5], [2, 2]).backward()
    np.testing.assert_allclose(logits.grad.sum(-1).numpy(), 0, atol=1e-12)
    assert (logits.grad[5, 1] == 0).all()


def test_shuffles_are_undone():
    x = torch.tensor(rand(2, 12, 4, 6))
    assert torch.equal(F.pixel_unshuffle(F.pixel_shuffle(x, 2), 2), x)
    assert torch.equal(F.channel_shuffle(F.channel_shuffle(x, 3), 4), x)


def test_random_windows_cover_the_image():
    torch.manual_seed(0)
    x = torch.arange(81.0).reshape(1, 9, 9)
    out, places = F.fractional_max_pool2d(x, 2, output_size=5, return_indices=True)
    assert torch.equal(x.flatten()[places.flatten()], out.flatten())
    assert out[0, -1, -1] == 80 and (out.diff(dim=2) > 0).all()


def test_a_classifier_in_one_call():
    x, w, t = torch.tensor(rand(4, 3)), torch.tensor(rand(5, 3, seed=1)), torch.tensor([0, 4, 2, 2])
    assert torch.allclose(F.linear_cross_entropy(x, w, t), F.cross_entropy(x @ w.mT, t))


def test_adaptive_softmax_is_a_distribution():
    layer = nn.AdaptiveLogSoftmaxWithLoss(8, 12, [3, 6], div_value=2.0)
    x = torch.randn(5, 8)
    logs = layer.log_prob(x)
    np.testing.assert_allclose(logs.exp().sum(1).detach().numpy(), 1, 1e-5)
    out, loss = layer(x, torch.tensor([0, 11, 4, 2, 7]))
    assert torch.allclose(out, logs[torch.arange(5), torch.tensor([0, 11, 4, 2, 7])], atol=1e-5)
    assert torch.allclose(loss, -out.mean())
    assert torch.equal(layer.predict(x), logs.argmax(1))


def test_lazy_layers_become_ordinary_ones():
    net = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(2))
    state = net.state_dict()
    assert repr(state["3.weight"]) == "<UninitializedParameter>"
    assert net(torch.zeros(2, 3, 5, 5)).shape == (2, 2)
    assert [type(m).__name__ for m in net] == ["Conv2d", "BatchNorm2d", "Flatten", "Linear"]
    assert net[3].weight.shape == (2, 36)
    other = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(2))
    other.load_state_dict(net.state_dict())
    x = torch.randn(2, 3, 5, 5)
    assert torch.equal(other(x), net(x))


ONES, NUMBERS = torch.ones(3, 3), torch.tensor([0, 1])
CALLS = [
    (lambda: F.grid_sample(ONES, ONES, align_corners=False), RuntimeError, "wrong numbers of dimensions"),
    (lambda: F.grid_sample(ONES, ONES, "cubic", align_corners=False), ValueError, "unknown mode"),
    (
        lambda: F.grid_sample(torch.ones(1, 1, 2, 2), torch.ones(2, 1, 1, 2), align_corners=False),
        RuntimeError,
        "same batch size",
    ),
    (lambda: F.affine_grid(torch.ones(1, 2, 2), (1, 1, 2, 2), False), ValueError, r"\(N, 2, 3\)"),
    (lambda: F.embedding_bag(NUMBERS, ONES), ValueError, "offsets has to be a 1D Tensor"),
    (lambda: F.embedding_bag(NUMBERS, ONES, torch.tensor([1])), RuntimeError, r"offsets\[0\] has to be 0"),
    (lambda: F.embedding_bag(NUMBERS + 5, ONES, torch.tensor([0])), RuntimeError, r"no such row[\s\S]*0 to 2"),
    (lambda: F.embedding_bag(NUMBERS, ONES, torch.tensor([0]), mode="min"), ValueError, "unknown mode"),
    (lambda: F.ctc_loss(ONES, NUMBERS, [4], [2]), RuntimeError, "input_lengths must be between 0 and 3"),
    (lambda: F.ctc_loss(ONES, NUMBERS, [3], [2], blank=3), RuntimeError, "blank must be in label range"),
    (lambda: F.fractional_max_pool2d(ONES[None], 2), ValueError, "output_size or an output_ratio"),
    (lambda: F.fractional_max_pool2d(ONES[None], 2, 3), RuntimeError, "too large relative to the input size 3"),
    (lambda: F.pixel_shuffle(ONES[None], 2), RuntimeError, "divisible by the squared factor"),
    (lambda: F.linear_cross_entropy(ONES, ONES[:, :2], NUMBERS), RuntimeError, "same last dimension"),
    (lambda: nn.AdaptiveLogSoftmaxWithLoss(4, 5, [3, 2]), ValueError, "increasing integers between 1 and 4"),
    (lambda: nn.UninitializedParameter() + 1, ValueError, "no values yet"),
    (lambda: nn.LazyConv1d(2, 2)(ONES[0]), RuntimeError, "expected 2D"),
]


@pytest.mark.parametrize("i", range(len(CALLS)))
def test_errors(i):
    call, kind, text = CALLS[i]
    with pytest.raises(kind, match=text):
        call()


def test_unclear_corners_are_warned_about():
    with pytest.warns(UserWarning, match="align_corners"):
        F.grid_sample(torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 1, 2))
    with pytest.warns(UserWarning, match="align_corners"):
        F.affine_grid(torch.ones(1, 2, 3), (1, 1, 2, 2))
