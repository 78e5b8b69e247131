"""Attention, recurrent layers, packed sequences and transformers against their definitions, and their error texts."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tapegrad as torch
from tapegrad import nn
from tapegrad.nn import functional as F
from tapegrad.nn.attention import SDPBackend, sdpa_kernel
from tapegrad.nn.attention.bias import CausalBias, causal_lower_right, causal_upper_left
from tapegrad.nn.utils import rnn
from tapegrad.ops.neural import recurrent


def rand(*shape, seed=0):
    return torch.tensor(np.random.default_rng(seed).standard_normal(shape))


# ---- attention -------------------------------------------------------------------------------------------------------


@given(st.integers(1, 5), st.integers(1, 6), st.integers(1, 4), st.integers(0, 99))
def test_weights_of_attention_sum_to_one(length, keys, size, seed):
    q, k = rand(2, length, size, seed=seed), rand(2, keys, size, seed=seed + 1)
    out = F.scaled_dot_product_attention(q, k, torch.ones(2, keys, 3, dtype=torch.float64))
    np.testing.assert_allclose(out.numpy(), 1, rtol=1e-12)
    spread = F.scaled_dot_product_attention(torch.zeros_like(q), k, k)
    np.testing.assert_allclose(spread.numpy(), k.mean(1, keepdim=True).expand(2, length, size).numpy(), atol=1e-12)


@given(st.integers(1, 70), st.integers(0, 99))
def test_a_causal_query_does_not_see_what_comes_later(length, seed):
    x = rand(1, 2, length, 4, seed=seed)
    out = F.scaled_dot_product_attention(x, x, x, is_causal=True)
    last = length // 2 + 1
    part = F.scaled_dot_product_attention(x[:, :, :last], x[:, :, :last], x[:, :, :last], is_causal=True)
    np.testing.assert_allclose(out[:, :, :last].numpy(), part.numpy(), atol=1e-12)
    masked = F.scaled_dot_product_attention(x, x, x, causal_upper_left(length, length))
    np.testing.assert_allclose(out.numpy(), masked.numpy(), atol=1e-12)


def test_attention_does_not_keep_the_weights():
    """Forward and backward of 1024 queries and keys: an array of all weights would be 8 * 4 MB."""
    x = torch.randn(1, 8, 1024, 8, requires_grad=True)
    tracemalloc.start()
    F.scaled_dot_product_attention(x, x, x).sum().backward()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8e6


def test_scores_that_would_overflow():
    q = torch.tensor([[300.0, 0.0]], requires_grad=True)
    k = torch.tensor([[300.0, 0.0], [0.0, 1.0]])
    out = F.scaled_dot_product_attention(q, k, torch.eye(2), scale=1.0)
    assert out.tolist() == [[1, 0]]
    out[0, 1].backward()
    assert q.grad.tolist() == [[0, 0]]


def test_queries_that_see_nothing_get_zeros_and_pass_no_gradient():
    x = rand(3, 4).requires_grad_()
    mask = torch.tensor([[True, True, False], [False, False, False], [True, False, True]])
    out = F.scaled_dot_product_attention(x, x.detach(), x.detach(), mask)
    out.sum().backward()
    assert out[1].tolist() == [0] * 4 and x.grad[1].tolist() == [0] * 4 and x.grad.isfinite().all()


def test_masks_aligned_with_the_last_key():
    mask = causal_lower_right(2, 4)
    assert isinstance(mask, CausalBias) and mask.tolist() == [[True, True, True, False], [True] * 4]
    x = rand(1, 1, 4, 4)
    whole = F.scaled_dot_product_attention(x, x, x, is_causal=True)
    tail = F.scaled_dot_product_attention(x[:, :, 2:], x, x, attn_mask=mask)
    np.testing.assert_allclose(whole[:, :, 2:].numpy(), tail.numpy(), atol=1e-12)
    with sdpa_kernel(SDPBackend.MATH):
        assert torch.equal(F.scaled_dot_product_attention(x, x, x, is_causal=True), whole)


def test_both_ways_of_a_layer_agree():
    """With weights returned it is a composition, without them one operation."""
    torch.manual_seed(0)
    layer, x = nn.MultiheadAttention(6, 2).double(), rand(4, 2, 6)
    composed, weights = layer(x, x, x)
    fused, nothing = layer(x, x, x, need_weights=False)
    np.testing.assert_allclose(composed.detach().numpy(), fused.detach().numpy(), atol=1e-12)
    assert nothing is None
    np.testing.assert_allclose(weights.detach().sum(-1).numpy(), 1, rtol=1e-12)


# ---- recurrent layers ------------------------------------------------------------------------------------------------

KINDS = {"LSTM": (4, 2, recurrent.lstm_step), "GRU": (3, 1, recurrent.gru_step), "RNN": (1, 1, recurrent.rnn_tanh_step)}


@pytest.mark.parametrize("name", KINDS)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.booleans(), st.integers(0, 99))
def test_a_layer_is_its_steps(name, length, batch, inputs, hidden, reverse, seed):
    """The fused loop and the recorded steps: results and gradients."""
    gates, count, step = KINDS[name]
    layer = {"LSTM": recurrent._lstm, "GRU": recurrent._gru, "RNN": recurrent._rnn}[name]
    shapes = [(length, batch, inputs), *[(batch, hidden)] * count, (gates * hidden, inputs), (gates * hidden, hidden)]
    shapes += [(gates * hidden,)] * 2
    leaves = [rand(*s, seed=seed + i).requires_grad_() for i, s in enumerate(shapes)]
    states, weights = leaves[1 : 1 + count], leaves[1 + count :]
    extra = [None] if name == "LSTM" else []
    fused = layer(*leaves, *extra, None, reverse)
    steps = recurrent.unrolled(step, leaves[0], states, [*weights, *extra], None, reverse)
    for a, b in zip(fused, steps):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), atol=1e-12)
    grads = [torch.autograd.grad(sum((t * t).sum() for t in outs), leaves) for outs in (fused, steps)]
    for a, b in zip(*grads):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-10)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.booleans(), st.sampled_from(sorted(KINDS)))
def test_a_packed_batch_is_its_sequences(lengths, bidirectional, name):
    torch.manual_seed(0)
    layer = getattr(nn, name)(2, 3, bidirectional=bidirectional).double()
    sequences = [rand(n, 2, seed=i) for i, n in enumerate(lengths)]
    out, last = layer(rnn.pack_sequence(sequences, enforce_sorted=False))
    for i, (sequence, found) in enumerate(zip(sequences, rnn.unpack_sequence(out))):
        alone, end = layer(sequence)
        np.testing.assert_allclose(found.detach().numpy(), alone.detach().numpy(), atol=1e-12)
        for a, b in zip(*((last, end) if name == "LSTM" else ([last], [end]))):
            np.testing.assert_allclose(a[:, i].detach().numpy(), b.detach().numpy(), atol=1e-12)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.booleans())
def test_packing_and_padding_are_inverse(lengths, batch_first):
    sequences = [rand(n, 2, seed=i) for i, n in enumerate(lengths)]
    padded = rnn.pad_sequence(sequences, batch_first)
    packed = rnn.pack_padded_sequence(padded, lengths, batch_first, enforce_sorted=False)
    assert packed.data.shape == (sum(lengths), 2) and int(packed.batch_sizes.sum()) == sum(lengths)
    again, counts = rnn.pad_packed_sequence(packed, batch_first)
    assert torch.equal(again, padded) and counts.tolist() == lengths


def test_states_are_carried_on():
    for name in KINDS:
        torch.manual_seed(0)
        layer, x = getattr(nn, name)(2, 3, num_layers=2).double(), rand(6, 1, 2)
        whole, _ = layer(x)
        first, state = layer(x[:4])
        second, _ = layer(x[4:], state)
        np.testing.assert_allclose(whole.detach().numpy(), torch.cat([first, second]).detach().numpy(), atol=1e-12)


def test_what_lies_behind_the_end_does_not_grow_into_gradients():
    """A relu layer whose state doubles at every step overflows soon after the end of the short sequence."""
    layer = nn.RNN(1, 1, nonlinearity="relu", bias=False)
    with torch.no_grad():
        layer.weight_hh_l0.fill_(40.0)
        layer.weight_ih_l0.fill_(1.0)
    x = torch.zeros(60, 2, 1)
    x[:2, 1] = 1.0
    _, last = layer(rnn.pack_padded_sequence(x, [60, 2]))
    last.sum().backward()
    assert last.flatten().tolist() == [0, 41] and all(p.grad.isfinite().all() for p in layer.parameters())


@pytest.mark.parametrize("name", [*KINDS, "Transformer"])
def test_a_network_learns_which_number_came_first(name):
    torch.manual_seed(0)
    numbers = torch.randint(4, (60, 5))
    embedding, out = nn.Embedding(4, 8), nn.Linear(16 if name != "Transformer" else 8, 4)
    if name == "Transformer":
        place = nn.Parameter(torch.randn(5, 8))
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    else:
        place, layer = torch.zeros(5, 8), getattr(nn, name)(8, 16, batch_first=True)
    parameters = [*embedding.parameters(), *layer.parameters(), *out.parameters()]
    optimizer = torch.optim.Adam([*parameters, place] if name == "Transformer" else parameters, lr=0.02)
    for _ in range(80):
        read = layer(embedding(numbers) + place)
        loss = F.cross_entropy(out((read if name == "Transformer" else read[0])[:, -1]), numbers[:, 0])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.2


# ---- errors ----------------------------------------------------------------------------------------------------------

X = torch.ones(5, 2, 3)
Q = torch.ones(2, 2, 3, 4)


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda: nn.LSTM(3, 4)(X[0, 0]), ValueError, r"LSTM: Expected input to be 2D or 3D[\s\S]*1D"),
        (lambda: nn.GRU(7, 4)(X), RuntimeError, r"equal to input_size[\s\S]*got: +3[\s\S]*expected: +7"),
        (lambda: nn.GRU(3, 4)(X, torch.ones(1, 3, 4)), RuntimeError, r"Expected hidden size \(1, 2, 4\)"),
        (lambda: nn.LSTM(3, 4)(X, (torch.ones(1, 2, 4), torch.ones(1, 2, 5))), RuntimeError, r"hidden\[1\]"),
        (lambda: nn.LSTM(3, 4)(X.double()), ValueError, r"does not match weight dtype[\s\S]*x.to\(torch.float32\)"),
        (lambda: nn.RNN(3, 4)(X[:0]), RuntimeError, "sequence length to be larger than 0"),
        (lambda: nn.RNN(3, 4, nonlinearity="sin"), ValueError, r"Unknown nonlinearity 'sin'[\s\S]*'tanh' or 'relu'"),
        (lambda: nn.LSTMCell(3, 4)(X[0], (torch.ones(3, 4),) * 2), RuntimeError, "batch size 2 doesn't match hidden0"),
        (lambda: torch.gru(X, 1), TypeError, r"gru: the arguments do not fit[\s\S]*batch_sizes"),
        (
            lambda: torch.gru(X, X, [torch.ones(12, 3)] * 2, False, 1, 0.0, False, False, False),
            RuntimeError,
            r"gru: input and weights do not fit[\s\S]*\(12, 3\)",
        ),
        (lambda: rnn.pack_padded_sequence(X, [2, 3]), RuntimeError, r"decreasing[\s\S]*enforce_sorted=False"),
        (lambda: rnn.pack_padded_sequence(X, [9, 3]), RuntimeError, "greater than that of the input"),
        (lambda: F.scaled_dot_product_attention(Q, Q, Q, torch.ones(4, 3)), RuntimeError, "attn_mask"),
        (
            lambda: F.scaled_dot_product_attention(Q, Q[..., :2], Q),
            RuntimeError,
            r"sizes do not fit[\s\S]*\(2, 2, 3, 2\)",
        ),
        (lambda: F.scaled_dot_product_attention(Q, Q.double(), Q), RuntimeError, "the same dtype"),
        (lambda: nn.MultiheadAttention(5, 2), AssertionError, "divisible by num_heads"),
        (
            lambda: nn.MultiheadAttention(3, 1)(X, X, X, is_causal=True),
            RuntimeError,
            r"attn_mask[\s\S]*square_subsequent",
        ),
        (lambda: nn.TransformerEncoderLayer(4, 2, activation="sin"), RuntimeError, "relu/gelu"),
        (lambda: CausalBias(1, 2, 3), AssertionError, "unknown variant"),
        (lambda: causal_upper_left(2), AssertionError, "two dimensions"),
    ],
)
def test_errors(call, kind, text):
    with pytest.raises(kind, match=text):
        call()
