"""Loops over time: LSTM, GRU and plain recurrent layers, forward and backward through time, on NumPy.

Note [Columns]. Features run down and sequences across: the state of B sequences is a matrix (H, B), so that every gate
is one contiguous block of rows. `z[s]` (K, B) holds what step s reads, the state before it, its input and a row of
ones; all weights lie side by side in one matrix, [W_hh | W_ih | b], so that a step is one product and a few elementwise
calls, and the gradients of all weights are one product after the loop.

Where there are generated kernels (`recurrent_rows`), they do all this, but for projections.

Note [Unequal lengths]. Sequences are sorted by falling length, as in a PackedSequence: at each step the first n columns
are at work. All columns are computed; where a sequence starts its column takes on the initial state, where it ends the
state is put by, and outside of it states (against overflow) and gradients are zero, so nothing there has an effect.

References: Hochreiter & Schmidhuber 1997, Gers et al. 2000 (LSTM), Sak et al. 2014 (projections), Cho et al. 2014 (GRU,
here with the reset gate applied after the product), Elman 1990 (plain), Werbos 1990 (backward through time).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator

import numpy as np

from . import fused, recurrent_rows
from .halves import wide

Array = np.ndarray
Sizes = tuple[int, ...] | None
Columns = tuple[int, int]
LSTM_ORDER, LSTM_BACK = [3, 0, 1, 2], [1, 2, 3, 0]  # PyTorch's i, f, g, o and here o, i, f, g


class Steps:
    """The steps in the order in which they are computed: which rows of the data, and which columns start and end.

    `table` (2, T) has for each of them how many sequences there are, and where in the data (T, B, F) or (N, F) it is.
    """

    def __init__(self, shape: tuple[int, ...], sizes: Sizes, reverse: bool):
        self.shape, self.sizes, self.reverse = shape, sizes, reverse
        if sizes is None:
            self.steps, self.batch = shape[:2]
            self.counts = [self.batch] * self.steps
            self.starts, self.ends = {0: (0, self.batch)}, {self.steps - 1: (0, self.batch)}
            lines = range(self.steps)
            self.table = np.array([self.counts, lines[::-1] if reverse else lines])
            return
        self.steps, self.batch = len(sizes), sizes[0]
        first = np.cumsum([0, *sizes]).tolist()
        order = range(self.steps)[::-1] if reverse else range(self.steps)
        self.rows = [slice(first[t], first[t + 1]) for t in order]
        self.counts = [sizes[t] for t in order]
        self.table = np.array([self.counts, [rows.start for rows in self.rows]])
        around = [0, *self.counts, 0]
        self.starts = {s: (around[s], n) for s, n in enumerate(self.counts) if n > around[s]}
        self.ends = {s: (around[s + 2], n) for s, n in enumerate(self.counts) if n > around[s + 2]}

    @staticmethod
    @functools.lru_cache(64)
    def of(shape: tuple[int, ...], sizes: Sizes, reverse: bool) -> Steps:
        """The steps for data of (T, B, F) or (N, F): the same object each time, as nothing changes it."""
        return Steps(shape, sizes, reverse)

    def columns(self, x: Array, out: Array) -> None:
        """Write the data x, (T, B, F) or (N, F), into `out`, (T, F, B) in the order of the steps."""
        if self.sizes is None:
            out[...] = x.transpose(0, 2, 1)[::-1] if self.reverse else x.transpose(0, 2, 1)
            return
        for block, rows, n in zip(out, self.rows, self.counts):
            block[:, :n] = x[rows].T

    def data(self, columns: Array) -> Array:
        """The inverse of `columns`: (T, F, B) to (T, B, F) or (N, F)."""
        if self.sizes is None:
            found = columns.transpose(0, 2, 1)
            return np.ascontiguousarray(found[::-1] if self.reverse else found)
        found = np.empty((self.shape[0], columns.shape[1]), columns.dtype)
        for block, rows, n in zip(columns, self.rows, self.counts):
            found[rows] = block[:, :n].T
        return found

    def backwards(self) -> Iterator[tuple[int, Columns | None, Columns | None]]:
        """(step, the columns that end there, the columns that start there), last step first."""
        return ((s, self.ends.get(s), self.starts.get(s)) for s in range(self.steps - 1, -1, -1))


def _kept(kind: str, steps: Steps, states: int, hidden: int, inputs: int, kept: Array) -> list[Array]:
    """What backward needs, as views of one array: z (Note [Columns]), gates, an LSTM's cells and their tanh."""
    count, batch = steps.steps, steps.batch
    shapes = [(count + 1, states + inputs + 1, batch)]
    shapes += [(count, 4 * hidden, batch)] if kind != "rnn" else []
    shapes += [(count + 1, hidden, batch), (count, hidden, batch)] if kind == "lstm" else []
    found, end = [], 0
    for shape in shapes:
        start, end = end, end + math.prod(shape)
        found.append(kept[start:end].reshape(shape))
    return found


def _new(kind: str, steps: Steps, x: Array, states: int, hidden: int) -> tuple[Array, list[Array]]:
    """That array and its views, with inputs and ones filled in."""
    count, features = steps.steps, x.shape[-1]
    blocks = {"lstm": 4 * count + 2 * count + 1, "gru": 4 * count, "rnn": 0}[kind]
    kept = np.zeros(((count + 1) * (states + features + 1) + blocks * hidden) * steps.batch, x.dtype)
    views = _kept(kind, steps, states, hidden, features, kept)
    z = views[0]
    z[:, -1] = 1
    steps.columns(x, z[:-1, states:-1])
    return kept, views


def _side_by_side(w_hh: Array, w_ih: Array, b_ih: Array | None, b_hh: Array | None, gates: int) -> Array:
    """(gates, H, K): [W_hh | W_ih | b_ih + b_hh] of each gate, in PyTorch's order."""
    rows, states = w_hh.shape
    found = np.zeros((gates, rows // gates, states + w_ih.shape[1] + 1), w_hh.dtype)
    flat = found.reshape(rows, -1)
    flat[:, :states], flat[:, states:-1] = w_hh, w_ih
    for b in (b_ih, b_hh):
        if b is not None:
            flat[:, -1] += b
    return found


def _gru_weights(w_hh: Array, w_ih: Array, b_ih: Array | None, b_hh: Array | None) -> Array:
    """(4, H, K): reset gate, update gate, and the candidate's products with the state and with the input apart."""
    three = _side_by_side(w_hh, w_ih, b_ih, b_hh, 3)
    states = w_hh.shape[1]
    found = np.concatenate([three, three[2:]])
    found[2, :, states:], found[3, :, :states] = 0, 0
    found[2, :, -1] = 0 if b_hh is None else b_hh[2 * states :]
    found[3, :, -1] = 0 if b_ih is None else b_ih[2 * states :]
    return found


def _joined(a: Array) -> Array:
    """(T, F, B) to (F, T * B)."""
    return a.transpose(1, 0, 2).reshape(a.shape[1], -1)


def _sigmoid_of_minus(x: Array) -> None:
    """1 / (1 + exp(x)), in place."""
    np.exp(x, out=x)
    x += 1
    np.reciprocal(x, out=x)


# ---- LSTM ------------------------------------------------------------------------------------------------------------


def lstm(
    steps: Steps,
    x: Array,
    h0: Array,
    c0: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None,
    b_hh: Array | None,
    w_hr: Array | None,
) -> tuple[Array, ...]:
    """(out, h_n, c_n, kept), the last for the way back; c is (B, H)."""
    plan = recurrent_rows.plan("lstm", x.dtype, w_hh.shape[1]) if w_hr is None else None
    if plan is not None:
        return recurrent_rows.forward(plan, steps, x, h0, c0, w_ih, w_hh, b_ih, b_hh)
    states, hidden, batch = w_hh.shape[1], w_hh.shape[0] // 4, steps.batch
    packed = _side_by_side(w_hh, w_ih, b_ih, b_hh, 4)[LSTM_ORDER].reshape(4 * hidden, -1)
    np.negative(packed[: 3 * hidden], out=packed[: 3 * hidden])  # for `_sigmoid_of_minus`
    kept, (z, gates, cells, squashed) = _new("lstm", steps, x, states, hidden)
    h0, c0, hn, cn = h0.T, c0.T, np.zeros((states, batch), x.dtype), np.zeros((hidden, batch), x.dtype)
    new = np.empty((hidden, batch), x.dtype)
    for s in range(steps.steps):
        if s in steps.starts:
            low, high = steps.starts[s]
            z[s, :states, low:high], cells[s, :, low:high] = h0[:, low:high], c0[:, low:high]
        g, c, t, h = gates[s], cells[s + 1], squashed[s], z[s + 1, :states]
        np.dot(packed, z[s], out=g)
        _sigmoid_of_minus(g[: 3 * hidden])
        candidate = g[3 * hidden :]
        np.tanh(candidate, out=candidate)
        np.multiply(g[2 * hidden : 3 * hidden], cells[s], out=c)
        c += np.multiply(g[hidden : 2 * hidden], candidate, out=new)
        np.tanh(c, out=t)
        if w_hr is None:
            np.multiply(g[:hidden], t, out=h)
        else:
            np.dot(w_hr, np.multiply(g[:hidden], t, out=new), out=h)
        if s in steps.ends:
            low, high = steps.ends[s]
            hn[:, low:high], cn[:, low:high] = h[:, low:high], c[:, low:high]
        if steps.counts[s] < batch:
            h[:, steps.counts[s] :], c[:, steps.counts[s] :] = 0, 0
    return steps.data(z[1:, :states]), hn.T.copy(), cn.T.copy(), kept


def lstm_backward(
    steps: Steps,
    gs: list[Array],
    w_ih: Array,
    w_hh: Array,
    w_hr: Array | None,
    kept: Array,
    data: bool = True,
) -> tuple[Array | None, ...]:
    """Gradients of (x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr); that of x may be left out without `data`."""
    plan = recurrent_rows.plan("lstm", kept.dtype, w_hh.shape[1]) if w_hr is None else None
    if plan is not None:
        return (*recurrent_rows.backward(plan, steps, gs, w_ih, w_hh, kept, data), None)
    states, hidden, batch = w_hh.shape[1], w_hh.shape[0] // 4, steps.batch
    z, gates, cells, squashed = _kept("lstm", steps, states, hidden, w_ih.shape[1], kept)
    packed = _side_by_side(w_hh, w_ih, None, None, 4)[LSTM_ORDER].reshape(4 * hidden, -1)
    down = np.ascontiguousarray(packed[:, :states].T)
    slopes, through = _lstm_slopes(gates, cells, squashed)
    forget = gates[:, 2 * hidden : 3 * hidden]
    g_out = np.zeros((steps.steps, states, batch), gs[0].dtype)
    steps.columns(gs[0], g_out)
    g_hn, g_cn = gs[1].T, gs[2].T
    dh, dc, part = (np.zeros((n, batch), g_out.dtype) for n in (states, hidden, hidden))
    dh0, dc0 = np.zeros_like(dh), np.zeros_like(dc)
    for s, ending, starting in steps.backwards():
        if ending is not None:
            low, high = ending
            dh[:, low:high] += g_hn[:, low:high]
            dc[:, low:high] += g_cn[:, low:high]
        dh += g_out[s]
        d = slopes[s]
        dm = dh
        if w_hr is not None:
            g_out[s], dm = dh, np.dot(w_hr.T, dh)  # from here on g_out holds the whole gradient of h
        dc += np.multiply(dm, through[s], out=part)
        d[0] *= dm
        d[1:] *= dc
        dc *= forget[s]
        np.dot(down, d.reshape(4 * hidden, batch), out=dh)
        if starting is not None:
            low, high = starting
            dh0[:, low:high], dc0[:, low:high] = dh[:, low:high], dc[:, low:high]
            dh[:, low:high], dc[:, low:high] = 0, 0
    dx, dw = _of_weights(steps, slopes.reshape(steps.steps, 4 * hidden, batch), z, packed, states)
    dw = dw.reshape(4, hidden, -1)[LSTM_BACK].reshape(4 * hidden, -1)
    dw_hr = None if w_hr is None else np.dot(_joined(g_out), _joined(gates[:, :hidden] * squashed).T)
    return dx, dh0.T, dc0.T, dw[:, states:-1], dw[:, :states], dw[:, -1], dw[:, -1], dw_hr


def _lstm_slopes(gates: Array, cells: Array, squashed: Array) -> tuple[Array, Array]:
    """What the gradients of h (output gate) and c (the others) are multiplied with on their way into the gates,
    (T, 4, H, B), and that of h on its way into c, (T, H, B)."""
    steps, rows, batch = gates.shape
    split = gates.reshape(steps, 4, rows // 4, batch)
    slopes = np.subtract(1, split)
    slopes[:, :3] *= split[:, :3]  # s (1 - s)
    slopes[:, 0] *= squashed
    slopes[:, 1] *= split[:, 3]
    slopes[:, 2] *= cells[:-1]
    slopes[:, 3] *= split[:, 3] + 1  # 1 - g^2
    slopes[:, 3] *= split[:, 1]
    through = squashed * squashed
    np.subtract(1, through, out=through)
    through *= split[:, 0]
    return slopes, through


def _of_weights(steps: Steps, d: Array, z: Array, packed: Array, states: int) -> tuple[Array, Array]:
    """The gradients of the data and of the weights side by side, from those of all gates, d (T, R, B)."""
    flat = _joined(d)  # (R, T * B)
    dw = np.dot(flat, _joined(z[:-1]).T)
    dx = np.dot(packed[:, states:-1].T, flat)  # (I, T * B)
    return steps.data(dx.reshape(-1, steps.steps, steps.batch).transpose(1, 0, 2)), dw


# ---- GRU -------------------------------------------------------------------------------------------------------------


def gru(
    steps: Steps, x: Array, h0: Array, w_ih: Array, w_hh: Array, b_ih: Array | None, b_hh: Array | None
) -> tuple[Array, ...]:
    """(out, h_n, kept), the last for the way back."""
    plan = recurrent_rows.plan("gru", x.dtype, w_hh.shape[1])
    if plan is not None:
        return recurrent_rows.forward(plan, steps, x, h0, None, w_ih, w_hh, b_ih, b_hh)
    hidden, batch = w_hh.shape[1], steps.batch
    packed = _gru_weights(w_hh, w_ih, b_ih, b_hh).reshape(4 * hidden, -1)
    np.negative(packed[: 2 * hidden], out=packed[: 2 * hidden])  # for `_sigmoid_of_minus`
    kept, (z, gates) = _new("gru", steps, x, hidden, hidden)
    h0, hn, part = h0.T, np.zeros((hidden, batch), x.dtype), np.empty((hidden, batch), x.dtype)
    for s in range(steps.steps):
        h = z[s, :hidden]
        if s in steps.starts:
            low, high = steps.starts[s]
            h[:, low:high] = h0[:, low:high]
        g, new = gates[s], z[s + 1, :hidden]
        np.dot(packed, z[s], out=g)
        _sigmoid_of_minus(g[: 2 * hidden])
        candidate = g[3 * hidden :]
        candidate += np.multiply(g[:hidden], g[2 * hidden : 3 * hidden], out=part)
        np.tanh(candidate, out=candidate)
        np.subtract(h, candidate, out=new)  # (1 - z) n + z h
        new *= g[hidden : 2 * hidden]
        new += candidate
        if s in steps.ends:
            low, high = steps.ends[s]
            hn[:, low:high] = new[:, low:high]
        if steps.counts[s] < batch:
            new[:, steps.counts[s] :] = 0
    return steps.data(z[1:, :hidden]), hn.T.copy(), kept


def gru_backward(
    steps: Steps, gs: list[Array], w_ih: Array, w_hh: Array, kept: Array, data: bool = True
) -> tuple[Array | None, ...]:
    """Gradients of (x, h0, w_ih, w_hh, b_ih, b_hh); that of x may be left out without `data`."""
    plan = recurrent_rows.plan("gru", kept.dtype, w_hh.shape[1])
    if plan is not None:
        return recurrent_rows.backward(plan, steps, gs, w_ih, w_hh, kept, data)
    hidden, batch, count = w_hh.shape[1], steps.batch, steps.steps
    z, gates = _kept("gru", steps, hidden, hidden, w_ih.shape[1], kept)
    packed = _gru_weights(w_hh, w_ih, None, None).reshape(4 * hidden, -1)
    down = np.ascontiguousarray(packed[: 3 * hidden, :hidden].T)
    split = gates.reshape(count, 4, hidden, batch)
    reset, update, product, candidate = (split[:, k] for k in range(4))
    slopes = np.empty_like(split)  # what the gradient of h is multiplied with on its way into each
    slopes[:, 3] = (1 - update) * (1 - candidate * candidate)
    np.multiply(slopes[:, 3], reset, out=slopes[:, 2])
    slopes[:, 0] = slopes[:, 2] * product * (1 - reset)
    slopes[:, 1] = (z[:-1, :hidden] - candidate) * update * (1 - update)
    g_out = np.zeros((count, hidden, batch), gs[0].dtype)
    steps.columns(gs[0], g_out)
    g_hn = gs[1].T
    dh, part, dh0 = (np.zeros((hidden, batch), g_out.dtype) for _ in range(3))
    for s, ending, starting in steps.backwards():
        if ending is not None:
            low, high = ending
            dh[:, low:high] += g_hn[:, low:high]
        dh += g_out[s]
        d = slopes[s]
        d *= dh
        dh *= update[s]
        dh += np.dot(down, d[:3].reshape(3 * hidden, batch), out=part)
        if starting is not None:
            low, high = starting
            dh0[:, low:high] = dh[:, low:high]
            dh[:, low:high] = 0
    dx, dw = _of_weights(steps, slopes.reshape(count, 4 * hidden, batch), z, packed, hidden)
    dw = dw.reshape(4, hidden, -1)
    of_state, of_input = dw[:3].reshape(3 * hidden, -1), dw[[0, 1, 3]].reshape(3 * hidden, -1)
    return dx, dh0.T, of_input[:, hidden:-1], of_state[:, :hidden], of_input[:, -1], of_state[:, -1]


# ---- plain -----------------------------------------------------------------------------------------------------------


def rnn(
    steps: Steps,
    x: Array,
    h0: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None,
    b_hh: Array | None,
    nonlinearity: str,
) -> tuple[Array, ...]:
    """(out, h_n, kept), the last for the way back."""
    plan = recurrent_rows.plan(nonlinearity, x.dtype, w_hh.shape[1])
    if plan is not None:
        return recurrent_rows.forward(plan, steps, x, h0, None, w_ih, w_hh, b_ih, b_hh)
    hidden = w_hh.shape[1]
    packed = _side_by_side(w_hh, w_ih, b_ih, b_hh, 1)[0]
    kept, (z,) = _new("rnn", steps, x, hidden, hidden)
    h0, hn = h0.T, np.zeros((hidden, steps.batch), x.dtype)
    for s in range(steps.steps):
        if s in steps.starts:
            low, high = steps.starts[s]
            z[s, :hidden, low:high] = h0[:, low:high]
        h = z[s + 1, :hidden]
        np.dot(packed, z[s], out=h)
        if nonlinearity == "tanh":
            np.tanh(h, out=h)
        else:
            np.maximum(h, 0, out=h)
        if s in steps.ends:
            low, high = steps.ends[s]
            hn[:, low:high] = h[:, low:high]
        if steps.counts[s] < steps.batch:
            h[:, steps.counts[s] :] = 0
    return steps.data(z[1:, :hidden]), hn.T.copy(), kept


def rnn_backward(
    steps: Steps, gs: list[Array], w_ih: Array, w_hh: Array, kept: Array, nonlinearity: str, data: bool = True
) -> tuple[Array | None, ...]:
    """Gradients of (x, h0, w_ih, w_hh, b_ih, b_hh); that of x may be left out without `data`."""
    plan = recurrent_rows.plan(nonlinearity, kept.dtype, w_hh.shape[1])
    if plan is not None:
        return recurrent_rows.backward(plan, steps, gs, w_ih, w_hh, kept, data)
    hidden, batch = w_hh.shape[1], steps.batch
    (z,) = _kept("rnn", steps, hidden, hidden, w_ih.shape[1], kept)
    packed = _side_by_side(w_hh, w_ih, None, None, 1)[0]
    down = np.ascontiguousarray(w_hh.T)
    after = z[1:, :hidden]
    slopes = 1 - after * after if nonlinearity == "tanh" else (after > 0).astype(z.dtype)
    g_out = np.zeros((steps.steps, hidden, batch), gs[0].dtype)
    steps.columns(gs[0], g_out)
    g_hn = gs[1].T
    dh, dh0 = (np.zeros((hidden, batch), g_out.dtype) for _ in range(2))
    for s, ending, starting in steps.backwards():
        if ending is not None:
            low, high = ending
            dh[:, low:high] += g_hn[:, low:high]
        dh += g_out[s]
        slopes[s] *= dh
        np.dot(down, slopes[s], out=dh)
        if starting is not None:
            low, high = starting
            dh0[:, low:high] = dh[:, low:high]
            dh[:, low:high] = 0
    dx, dw = _of_weights(steps, slopes, z, packed, hidden)
    return dx, dh0.T, dw[:, hidden:-1], dw[:, :hidden], dw[:, -1], dw[:, -1]


def widened(*arrays: Array | None) -> list:
    """The arrays, half precision as float32."""
    return [None if a is None else wide(a) for a in arrays]


# ---- single steps ----------------------------------------------------------------------------------------------------

CELLS = {
    "lstm_cell": ("(n),(m),(m)->(n),(n)", 2),
    "lstm_cell_backward": ("(n),(m),(m),(n),(n)->(m),(n)", 2),
    "gru_cell": ("(n),(m),(m)->(n)", 1),
    "gru_cell_backward": ("(n),(m),(m),(n)->(m),(m),(n)", 3),
}


def cell(name: str, x: Array, y: Array, state: Array, *gs: Array) -> tuple[Array, ...] | Array | None:
    """What `codegen.recurrent` computes under that name, if there is such a kernel for these arrays.

    Args:
        name: one of `CELLS`.
        x: (B, gates * H), the product with the input.
        y: (B, gates * H), that with the state.
        state: (B, H), c or h.
        gs: the gradients of the results.
    """
    signature, results = CELLS[name]
    kernel = fused.ufunc("recurrent", name, x, "r" * (3 + len(gs) + results), signature, results)
    operands = (state, x, y, *gs)
    if kernel is None or any(a.dtype != x.dtype or a.ndim != 2 for a in operands):
        return None
    return kernel(*(a if a.flags.c_contiguous else a.copy() for a in operands))
