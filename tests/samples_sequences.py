"""Samples of what reads sequences: attention, recurrent layers, packing."""

from __future__ import annotations

import numpy as np
from samples import case, flags, real, whole

from tapegrad.nn import functional as F


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def attend(q, k, v, mask=None, is_causal=False, scale=None):
    scores = q @ np.swapaxes(k, -1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        mask = np.tri(*scores.shape[-2:], dtype=bool)
    if mask is not None:
        scores = np.where(mask, scores, -1e300) if mask.dtype == bool else scores + mask
    return softmax(scores) @ v


SEEN = flags(3, 5, seed=2)
SEEN[:, 0] = True
OPERANDS = (real(2, 2, 3, 4), real(2, 2, 5, 4, seed=1), real(2, 2, 5, 4, seed=2))

ATTENTION = {
    "scaled_dot_product_attention": [
        case(*OPERANDS, expect=attend, through=F.scaled_dot_product_attention),
        case(real(3, 4), real(5, 4), real(5, 2), SEEN, expect=attend, through=F.scaled_dot_product_attention),
        case(*OPERANDS, real(2, 1, 1, 5, seed=3), expect=attend, through=F.scaled_dot_product_attention),
        case(*OPERANDS, is_causal=True, scale=0.3, expect=attend, through=F.scaled_dot_product_attention),
        case(real(2, 3), real(4, 3), real(4, 3), None, flags(2, 4), 0.25, False, 1.0),  # with what dropout keeps
    ]
}


# ---- recurrent -------------------------------------------------------------------------------------------------------


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_step(x, h, c, wi, wh, bi=0, bh=0, wr=None):
    i, f, g, o = np.split(x @ wi.T + bi + h @ wh.T + bh, 4, 1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    return [h if wr is None else h @ wr.T, c]


def gru_step(x, h, wi, wh, bi=0, bh=0):
    (xr, xz, xn), (hr, hz, hn) = np.split(x @ wi.T + bi, 3, 1), np.split(h @ wh.T + bh, 3, 1)
    z = sigmoid(xz + hz)
    return [(1 - z) * np.tanh(xn + sigmoid(xr + hr) * hn) + z * h]


def tanh_step(x, h, wi, wh, bi=0, bh=0):
    return [np.tanh(x @ wi.T + bi + h @ wh.T + bh)]


def relu_step(x, h, wi, wh, bi=0, bh=0):
    return [np.maximum(x @ wi.T + bi + h @ wh.T + bh, 0)]


def layer(step, count):
    """A layer by its definition, one sequence and one step at a time."""

    def run(x, *rest):
        states, weights = rest[:count], list(rest[count : -2 if rest[-1] in (True, False) else -3])
        sizes, reverse = rest[-2:] if rest[-1] in (True, False) else rest[-3:-1]
        weights = [0 if w is None and i in (2, 3) else w for i, w in enumerate(weights)]
        counts = [x.shape[1]] * x.shape[0] if sizes is None else list(sizes)
        starts = np.cumsum([0, *counts])
        flat = x.reshape(-1, x.shape[-1])
        out, last = np.zeros((len(flat), states[0].shape[1])), [s.copy() for s in states]
        for b in range(counts[0]):
            steps = [t for t in range(len(counts)) if counts[t] > b]
            for t in steps[::-1] if reverse else steps:
                new = step(flat[starts[t] + b][None], *(s[b : b + 1] for s in last), *weights)
                for held, value in zip(last, new):
                    held[b] = value[0]
                out[starts[t] + b] = last[0][b]
        return (out.reshape(*x.shape[:-1], -1), *last)

    return run


def weights(gates, inputs=2, hidden=3, states=3, bias=True):
    made = [real(gates * hidden, inputs, seed=1), real(gates * hidden, states, seed=2)]
    return [*made, *((real(gates * hidden, seed=3), real(gates * hidden, seed=4)) if bias else (None, None))]


X, PACKED, SIZES, H, C = real(3, 2, 2), real(5, 2), (2, 2, 1), real(2, 3, seed=5), real(2, 3, seed=6)
LSTM, GRU = layer(lstm_step, 2), layer(gru_step, 1)

RECURRENT = {
    "lstm_layer": [
        case(X, H, C, *weights(4), None, None, False, expect=LSTM),
        case(PACKED, H, C, *weights(4, bias=False), None, SIZES, True, expect=LSTM),
        case(X, real(2, 2), C, *weights(4, states=2), real(2, 3, seed=7), None, True, expect=LSTM),
        case(PACKED, real(2, 2), C, *weights(4, states=2), real(2, 3, seed=7), SIZES, False, expect=LSTM),
    ],
    "gru_layer": [
        case(X, H, *weights(3), None, True, expect=GRU),
        case(PACKED, H, *weights(3), SIZES, False, expect=GRU),
        case(PACKED, H, *weights(3, bias=False), SIZES, True, expect=GRU),
    ],
    "rnn_layer": [
        case(X, H, *weights(1), None, False, "tanh", expect=layer(tanh_step, 1)),
        case(PACKED, H, *weights(1), SIZES, True, "tanh", expect=layer(tanh_step, 1)),
        case(PACKED, H, *weights(1, bias=False), SIZES, False, "relu", expect=layer(relu_step, 1)),
    ],
}


def lstm_gates(x, y, c):
    i, f, g, o = np.split(x + y, 4, 1)
    new = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(new), new


def gru_gates(x, y, h):
    (xr, xz, xn), (hr, hz, hn) = np.split(x, 3, 1), np.split(y, 3, 1)
    z = sigmoid(xz + hz)
    return (1 - z) * np.tanh(xn + sigmoid(xr + hr) * hn) + z * h


RECURRENT["lstm_gates"] = [case(real(2, 12), real(2, 12, seed=1), real(2, 3, seed=2), expect=lstm_gates)]
RECURRENT["gru_gates"] = [case(real(2, 9), real(2, 9, seed=1), real(2, 3, seed=2), expect=gru_gates)]


# ---- packing ---------------------------------------------------------------------------------------------------------


def pack(x, sizes):
    return np.array([x[t, b] for t, n in enumerate(sizes) for b in range(n)])


def pad(x, sizes, length, value=0.0):
    out, rows = np.full((length, sizes[0], *x.shape[1:]), value, x.dtype), iter(x)
    for t, n in enumerate(sizes):
        for b in range(n):
            out[t, b] = next(rows)
    return out


PACKING = {
    "_pack_padded_sequence": [case(real(3, 2, 2), SIZES, expect=pack), case(whole(4, 2), SIZES, expect=pack)],
    "_pad_packed_sequence": [case(PACKED, SIZES, 4, -1.5, expect=pad), case(real(5), SIZES, 3, expect=pad)],
}

SAMPLES = {**ATTENTION, **RECURRENT, **PACKING}
