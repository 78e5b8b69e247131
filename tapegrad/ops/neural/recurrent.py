"""Recurrent layers: LSTM, GRU and the plain one, each with its whole loop over time as one operation.

A layer in one direction is an operation with the results (all outputs, last state); its derivative goes backward
through time in one loop (Note [Columns] in `backends/cpu/recurrent`). Single steps (the cells) are two products and an
operation for the gates. A derivative of a layer that is to be differentiated again takes the way over `unrolled`, the
same layer step by step. Layers are stacked by `lstm`, `gru`,
`rnn_tanh` and `rnn_relu`, whose signatures are PyTorch's.

References: Hochreiter & Schmidhuber 1997 (LSTM), Sak et al. 2014 (its projections), Cho et al. 2014 (GRU), Elman 1990.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ... import errors
from ...backends.cpu import gemm
from ...backends.cpu import recurrent as kernels
from ...core.engine import grad
from ...core.op import Array, op
from ...core.tensor import Tensor, wrap
from ..linalg.matmul import linear
from ..pointwise.functions import sigmoid
from ..pointwise.trigonometry import tanh
from ..shape.joining import cat, stack
from .activation import relu
from .dropout import dropout as drop

__all__ = [
    "lstm", "gru", "rnn_tanh", "rnn_relu", "lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell",
]  # fmt: skip

Tensors = Sequence[Tensor]

# x: (T, B, I), or (N, I) with the numbers of sequences at each step in `sizes`; h0: (B, R), c0: (B, H);
# w_ih: (G H, I), w_hh: (G H, R), w_hr: (R, H); R is H where there is no projection, G the number of gates.


def _checked(
    where: str, gates: int, x: tuple, h0: tuple, c0: tuple | None, w_ih: tuple, w_hh: tuple, sizes: Any, w_hr: Any
) -> tuple[int, ...]:
    """The shape of the outputs; RuntimeError where sizes do not fit."""
    problem = ""
    if len(x) != (3 if sizes is None else 2) or len(h0) != 2 or len(w_ih) != 2 or len(w_hh) != 2:
        problem = "wrong numbers of dimensions"
    elif not x[0] or (sizes is not None and not sizes):
        raise RuntimeError(errors.message("Expected sequence length to be larger than 0 in RNN", got=f"input {x}"))
    else:
        batch = x[1] if sizes is None else sizes[0]
        rows, hidden, states = w_hh[0], w_hh[0] // gates, w_hh[1]
        if rows % gates or w_ih[0] != rows or w_ih[1] != x[-1] or (w_hr is None and states != hidden):
            problem = "input and weights do not fit"
        elif h0 != (batch, states) or (c0 is not None and c0 != (batch, hidden)):
            problem = "the hidden state does not fit the batch"
        elif sizes is not None and sum(sizes) != x[0]:
            problem = "the batch sizes do not add up to the rows of the data"
    if problem:
        got = f"input {x}, hidden {h0}, weights {w_ih} and {w_hh}"
        raise RuntimeError(errors.message(f"{where}: {problem}", got=got))
    return (*x[:-1], w_hh[1])


def _prepared(where: str, gates: int, sizes: Any, x: Array, h0: Array, c0: Any, w_hr: Any, *weights: Any) -> list:
    """(x, h0, [c0,] *weights, w_hr), checked and in float32 at least."""
    given = [a for a in (x, h0, c0, *weights, w_hr) if a is not None]
    gemm.check_types(where, *given)
    cell, projection = None if c0 is None else c0.shape, None if w_hr is None else w_hr.shape
    _checked(where, gates, x.shape, h0.shape, cell, weights[0].shape, weights[1].shape, sizes, projection)
    return kernels.widened(x, h0, c0, *weights, w_hr)


def _narrow(found: tuple, like: Array, count: int) -> tuple:
    """The first results in the dtype of the input."""
    return (*(a.astype(like.dtype, copy=False) for a in found[:count]), *found[count:])


# ---- one layer in one direction --------------------------------------------------------------------------------------


def _lstm_name(node: Any) -> str:
    sizes, _ = node.attrs[0]
    fused = node.dtype[0].itemsize == 4 and node.shapes[-1] is None
    return "CatBackward0" if sizes is not None else "MkldnnRnnLayerBackward0" if fused else "StackBackward0"


def _name(node: Any) -> str:
    return "StackBackward0" if node.attrs[0][0] is None else "CatBackward0"


@op(
    name="lstm_layer",
    node=_lstm_name,
    returns=("out", "hn", "cn", "kept"),
    nout=3,
    hidden=1,
)
def _lstm(
    x: Array,
    h0: Array,
    c0: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None,
    b_hh: Array | None,
    w_hr: Array | None,
    sizes,
    reverse,
):
    wide = _prepared("lstm", 4, sizes, x, h0, c0, w_hr, w_ih, w_hh, b_ih, b_hh)
    return _narrow(kernels.lstm(kernels.Steps.of(x.shape, sizes, reverse), *wide), x, 3)


@_lstm.shape
def _(x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr, sizes, reverse):
    return _checked("lstm", 4, x, h0, c0, w_ih, w_hh, sizes, w_hr)


@_lstm.grad("x", "h0", "c0", "w_ih", "w_hh", "b_ih", "b_hh", "w_hr")
def _(gs, x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr, sizes, reverse, kept, needs, w_hr_shape):
    if gs[0].__class__ is not Array:
        return _recorded(lstm_step, (x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr), 2, sizes, reverse, gs, needs)
    steps, (w_ih, w_hh, w_hr) = kernels.Steps.of(x.shape, sizes, reverse), kernels.widened(w_ih, w_hh, w_hr)
    return kernels.lstm_backward(steps, kernels.widened(*gs), w_ih, w_hh, w_hr, kept, needs[0])


@op(name="gru_layer", node=_name, returns=("out", "hn", "kept"), nout=2, hidden=1)
def _gru(
    x: Array,
    h0: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None,
    b_hh: Array | None,
    sizes,
    reverse,
):
    x_, h, _, *weights = _prepared("gru", 3, sizes, x, h0, None, None, w_ih, w_hh, b_ih, b_hh)[:-1]
    return _narrow(kernels.gru(kernels.Steps.of(x.shape, sizes, reverse), *(x_, h, *weights)), x, 2)


@_gru.shape
def _(x, h0, w_ih, w_hh, b_ih, b_hh, sizes, reverse):
    return _checked("gru", 3, x, h0, None, w_ih, w_hh, sizes, None)


@_gru.grad("x", "h0", "w_ih", "w_hh", "b_ih", "b_hh")
def _(gs, x, h0, w_ih, w_hh, b_ih, b_hh, sizes, reverse, kept, needs):
    if gs[0].__class__ is not Array:
        return _recorded(gru_step, (x, h0, w_ih, w_hh, b_ih, b_hh), 1, sizes, reverse, gs, needs)
    steps, (w_ih, w_hh) = kernels.Steps.of(x.shape, sizes, reverse), kernels.widened(w_ih, w_hh)
    return kernels.gru_backward(steps, kernels.widened(*gs), w_ih, w_hh, kept, needs[0])


@op(name="rnn_layer", node=_name, returns=("out", "hn", "kept"), nout=2, hidden=1)
def _rnn(
    x: Array,
    h0: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None,
    b_hh: Array | None,
    sizes,
    reverse,
    nonlinearity="tanh",
):
    x_, h, _, *weights = _prepared("rnn", 1, sizes, x, h0, None, None, w_ih, w_hh, b_ih, b_hh)[:-1]
    return _narrow(kernels.rnn(kernels.Steps.of(x.shape, sizes, reverse), *(x_, h, *weights, nonlinearity)), x, 2)


@_rnn.shape
def _(x, h0, w_ih, w_hh, b_ih, b_hh, sizes, reverse, nonlinearity="tanh"):
    return _checked("rnn", 1, x, h0, None, w_ih, w_hh, sizes, None)


@_rnn.grad("x", "h0", "w_ih", "w_hh", "b_ih", "b_hh")
def _(gs, x, h0, w_ih, w_hh, b_ih, b_hh, sizes, reverse, nonlinearity, kept, needs):
    if gs[0].__class__ is not Array:
        step = rnn_tanh_step if nonlinearity == "tanh" else rnn_relu_step
        return _recorded(step, (x, h0, w_ih, w_hh, b_ih, b_hh), 1, sizes, reverse, gs, needs)
    steps, (w_ih, w_hh) = kernels.Steps.of(x.shape, sizes, reverse), kernels.widened(w_ih, w_hh)
    return kernels.rnn_backward(steps, kernels.widened(*gs), w_ih, w_hh, kept, nonlinearity, needs[0])


# ---- one step in recorded operations ---------------------------------------------------------------------------------


def _blocks(x: Any, count: int) -> list:
    """The blocks of columns of (B, count * H): views of an array or a tensor."""
    n = x.shape[1] // count
    return [x[:, k * n : (k + 1) * n] for k in range(count)]


def _lstm_parts(x: Any, y: Any, c: Any) -> tuple:
    """(i, f, g, o, tanh(c'), c') from the products with the input and with the state, (B, 4 H) each."""
    i, f, g, o = _blocks(x + y, 4)
    i, f, g, o = sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)
    new = f * c + i * g
    return i, f, g, o, tanh(new), new


@op(name="lstm_gates", node="MulBackward0", nout=2, returns=("h", "new"))
def _lstm_gates(x: Array, y: Array, c: Array):
    found = kernels.cell("lstm_cell", x, y, c)
    if found is not None:
        return found
    *_, o, t, new = _lstm_parts(x, y, c)
    return o * t, new


@_lstm_gates.grad("x", "y", "c")
def _(gs, x, y, c):
    if gs[0].__class__ is Array:
        found = kernels.cell("lstm_cell_backward", x, y, c, *gs)
        if found is not None:
            return found[0], found[0], found[1]
    i, f, g, o, t, _ = _lstm_parts(x, y, c)
    dc = gs[1] + gs[0] * o * (1 - t * t)
    dx = cat([dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g * g), gs[0] * t * o * (1 - o)], 1)
    return dx, dx, dc * f


_lstm_gates.shape(lambda x, y, c: c)


def _gru_parts(x: Any, y: Any) -> tuple:
    """(r, z, n, W_hn h + b_hn) from the products with the input and with the state, (B, 3 H) each."""
    (xr, xz, xn), (hr, hz, hn) = _blocks(x, 3), _blocks(y, 3)
    r = sigmoid(xr + hr)
    return r, sigmoid(xz + hz), tanh(xn + r * hn), hn


@op(name="gru_gates", node="AddBackward0")
def _gru_gates(x: Array, y: Array, h: Array):
    found = kernels.cell("gru_cell", x, y, h)
    if found is not None:
        return found
    _, z, n, _ = _gru_parts(x, y)
    return n + z * (h - n)


@_gru_gates.grad("x", "y", "h")
def _(g, x, y, h):
    if g.__class__ is Array:
        found = kernels.cell("gru_cell_backward", x, y, h, g)
        if found is not None:
            return found
    r, z, n, hn = _gru_parts(x, y)
    dn = g * (1 - z) * (1 - n * n)
    dr, dz = dn * hn * r * (1 - r), g * (h - n) * z * (1 - z)
    return cat([dr, dz, dn], 1), cat([dr, dz, dn * r], 1), g * z


_gru_gates.shape(lambda x, y, h: h)


def lstm_step(
    x: Tensor, h: Tensor, c: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Any, b_hh: Any, w_hr: Any = None
) -> tuple[Tensor, Tensor]:
    """`c' = f c + i g`, `h' = o tanh(c')`: the states after one step, from recorded operations."""
    h, c = _lstm_gates(linear(x, w_ih, b_ih), linear(h, w_hh, b_hh), c)
    return h if w_hr is None else linear(h, w_hr), c


def gru_step(x: Tensor, h: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Any, b_hh: Any) -> tuple[Tensor]:
    """`n = tanh(x_n + r h_n)`, `h' = (1 - z) n + z h`: the state after one step, from recorded operations."""
    return (_gru_gates(linear(x, w_ih, b_ih), linear(h, w_hh, b_hh), h),)


def rnn_tanh_step(x: Tensor, h: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Any, b_hh: Any) -> tuple[Tensor]:
    """`tanh(W_ih x + W_hh h + b)`, from recorded operations."""
    return (tanh(linear(x, w_ih, b_ih) + linear(h, w_hh, b_hh)),)


def rnn_relu_step(x: Tensor, h: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Any, b_hh: Any) -> tuple[Tensor]:
    """`max(W_ih x + W_hh h + b, 0)`, from recorded operations."""
    return (relu(linear(x, w_ih, b_ih) + linear(h, w_hh, b_hh)),)


# ---- a derivative to be differentiated again -------------------------------------------------------------------------


def unrolled(step: Callable, x: Tensor, states: list, weights: Tensors, sizes: Any, reverse: bool) -> list[Tensor]:
    """[all outputs, *last states] of a layer, step by step."""
    counts = [x.shape[1]] * x.shape[0] if sizes is None else list(sizes)
    rows = x.reshape(-1, x.shape[-1]).split(counts)
    outs: list = [None] * len(counts)
    for t in range(len(counts))[::-1] if reverse else range(len(counts)):
        n = counts[t]
        new = step(rows[t], *(s[:n] for s in states), *weights)
        outs[t] = new[0]
        states = [a if n == counts[0] else cat([a, s[n:]]) for a, s in zip(new, states)]
    return [stack(outs) if sizes is None else cat(outs), *states]


def _recorded(
    step: Callable, operands: tuple, count: int, sizes: Any, reverse: bool, gs: list, needs: tuple
) -> tuple[Tensor | None, ...]:
    """Gradients of a layer that can be differentiated again: those of `unrolled`.

    Every operand is copied first, so that its own gradient is told from that of an operand it was computed from.
    """
    own = [t.clone() if need else t for t, need in zip(operands, needs)]
    results = unrolled(step, own[0], own[1 : 1 + count], own[1 + count :], sizes, reverse)
    reached = [(t, g) for t, g in zip(results, gs) if t.requires_grad]
    wanted = [t for t, need in zip(own, needs) if need]
    found = iter(grad([t for t, _ in reached], wanted, [g for _, g in reached], create_graph=True, allow_unused=True))
    return tuple(next(found) if need else None for need in needs)


# ---- stacks of layers ------------------------------------------------------------------------------------------------

_DENSE = "input hx params has_biases num_layers dropout train bidirectional batch_first".split()
_PACKED = "data batch_sizes hx params has_biases num_layers dropout train bidirectional".split()


def _arguments(name: str, args: tuple, kwargs: dict) -> dict[str, Any]:
    """The arguments by name: one of PyTorch's two signatures."""
    packed = "data" in kwargs or "batch_sizes" in kwargs or (len(args) > 3 and not isinstance(args[3], bool))
    names = _PACKED if packed else _DENSE
    found = {**dict(zip(names, args)), **kwargs}
    if len(args) > len(names) or set(found) != set(names):
        got = f"{len(args)} positional arguments, {', '.join(kwargs) or 'no'} keywords"
        expected = f"{', '.join(_DENSE)} or {', '.join(_PACKED)}"
        raise TypeError(errors.message(f"{name}: the arguments do not fit", got=got, expected=expected))
    return found


LAYERS: dict[str, tuple[Callable, int, tuple]] = {  # the operation, how many states it has, its last arguments
    "LSTM": (_lstm, 2, ()),
    "GRU": (_gru, 1, ()),
    "RNN_TANH": (_rnn, 1, ("tanh",)),
    "RNN_RELU": (_rnn, 1, ("relu",)),
}


def _stacked(mode: str, args: tuple, kwargs: dict) -> tuple[Tensor, ...]:
    """`layers`, from the arguments of PyTorch's functions."""
    given = _arguments(mode.lower(), args, kwargs)
    if "input" in given:
        return layers(mode, given.pop("input"), None, **given)
    return layers(mode, given.pop("data"), tuple(given.pop("batch_sizes").tolist()), **given)


def layers(
    mode: str,
    x: Tensor,
    sizes: tuple[int, ...] | None,
    hx: Any,
    params: Tensors,
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool = False,
) -> tuple[Tensor, ...]:
    """(output, *last states) of several layers of one of `LAYERS` in one or two directions; without `hx` from zeros."""
    layer, count, extra = LAYERS[mode]
    directions = 2 if bidirectional else 1
    each = len(params) // (num_layers * directions)
    if batch_first:
        x = x.transpose(0, 1)
    states = _zeros(x, sizes, params[1], count) if hx is None else [hx] if count == 1 else list(hx)
    last: list[list] = [[] for _ in states]
    for k in range(num_layers):
        outs = []
        for d in range(directions):
            i = k * directions + d
            w = params[i * each : (i + 1) * each]
            weights = [*w[:2], *(w[2:4] if has_biases else (None, None))]
            if count == 2:
                weights.append(w[-1] if each == (5 if has_biases else 3) else None)
            firsts = states if hx is None else [s[i] for s in states]
            out, *ends = layer(x, *firsts, *weights, sizes, d == 1, *extra)[: 1 + count]
            outs.append(out)
            for held, end in zip(last, ends):
                held.append(end)
        x = outs[0] if directions == 1 else cat(outs, -1)
        if dropout and k < num_layers - 1:
            x = drop(x, dropout, train)
    return (x.transpose(0, 1) if batch_first else x, *(stack(ends) for ends in last))


def _zeros(x: Tensor, sizes: tuple[int, ...] | None, w_hh: Tensor, count: int) -> list[Tensor]:
    """The states that every layer and direction starts from where none are given: (B, R), and (B, H) for the cells."""
    batch, (rows, states) = x.shape[1] if sizes is None else sizes[0], w_hh.shape
    columns = (states, rows // 4)[:count]
    return [wrap(np.zeros((batch, n), x.array.dtype)) for n in columns]


def lstm(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Several LSTM layers: `c' = f c + i g`, `h' = o tanh(c')` with the gates i, f, o = sigmoid and g = tanh of
    `W_ih x + b_ih + W_hh h + b_hh`.

    Args:
        input: (T, B, I), or (B, T, I) with `batch_first`; or the two arguments data, (N, I), and batch_sizes, (T,), of
            a PackedSequence.
        hx: (h_0, c_0), each (L * D, B, H) for L layers and D directions; h_0 is (L * D, B, R) with projections.
        params: for each layer and direction w_ih (4 H, I), w_hh (4 H, R), the biases (4 H,), and w_hr (R, H) if h is
            projected; rows of the gates in the order i, f, g, o.
        has_biases: whether params has biases.
        num_layers: L.
        dropout: probability with which outputs between layers become zero.
        train: whether dropout is on.
        bidirectional: whether D is 2.
        batch_first: see input; absent for packed data.

    Returns:
        The outputs of the last layer (T, B, D * R), h_n and c_n.

    Raises:
        RuntimeError: sizes or dtypes that do not fit.

    >>> import tapegrad as torch
    >>> h, weights = torch.zeros(1, 1, 1), [torch.ones(4, 1), torch.ones(4, 1)]
    >>> torch.lstm(torch.ones(2, 1, 1), (h, h), weights, False, 1, 0.0, False, False, False)[0].flatten()
    tensor([0.3696, 0.6505])
    """
    return _stacked("LSTM", args, kwargs)  # type: ignore[return-value]


def gru(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    """Several GRU layers: `h' = (1 - z) n + z h` with `r, z = sigmoid(W_ih x + b_ih + W_hh h + b_hh)` and
    `n = tanh(W_in x + b_in + r (W_hn h + b_hn))`.

    Arguments as for `lstm`, except that hx is h_0 alone and the weights have 3 H rows, in the order r, z, n.

    Returns:
        The outputs of the last layer (T, B, D * H), and h_n.

    Raises:
        RuntimeError: sizes or dtypes that do not fit.

    >>> import tapegrad as torch
    >>> weights = [torch.ones(3, 1), torch.ones(3, 1)]
    >>> torch.gru(torch.ones(2, 1, 1), torch.zeros(1, 1, 1), weights, False, 1, 0.0, False, False, False)[0].flatten()
    tensor([0.2048, 0.3468])
    """
    return _stacked("GRU", args, kwargs)  # type: ignore[return-value]


def rnn_tanh(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    """Several plain layers: `h' = tanh(W_ih x + b_ih + W_hh h + b_hh)`; arguments and results as for `gru`, the weights
    with H rows.

    >>> import tapegrad as torch
    >>> weights = [torch.ones(1, 1), torch.ones(1, 1)]
    >>> torch.rnn_tanh(torch.ones(2, 1, 1), torch.zeros(1, 1, 1), weights, False, 1, 0.0, False, False, False)[1]
    tensor([[[0.9427]]])
    """
    return _stacked("RNN_TANH", args, kwargs)  # type: ignore[return-value]


def rnn_relu(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    """Several plain layers: `h' = max(W_ih x + b_ih + W_hh h + b_hh, 0)`; arguments and results as for `rnn_tanh`.

    >>> import tapegrad as torch
    >>> weights = [torch.ones(1, 1), torch.ones(1, 1)]
    >>> torch.rnn_relu(torch.ones(2, 1, 1), torch.zeros(1, 1, 1), weights, False, 1, 0.0, False, False, False)[1]
    tensor([[[2.]]])
    """
    return _stacked("RNN_RELU", args, kwargs)  # type: ignore[return-value]


# ---- one step --------------------------------------------------------------------------------------------------------


def _one_step(name: str, gates: int, step: Callable, input: Tensor, states: Tensors, weights: tuple) -> tuple:
    """The states after one step of (B, I)."""
    for t, what in ((input, "input"), *((s, "hx") for s in states)):
        if not isinstance(t, Tensor):
            raise TypeError(errors.message(f"{name}: {what} must be a tensor", got=type(t).__name__))
    sizes = input.array.shape[:1]
    cell = states[1].array.shape if len(states) == 2 else None
    w_ih, w_hh = weights[0].array.shape, weights[1].array.shape
    _checked(name, gates, input.array.shape, states[0].array.shape, cell, w_ih, w_hh, sizes, None)
    return step(input, *states, *weights)


def lstm_cell(
    input: Tensor,
    hx: Tensors,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """One step of `lstm`: (h', c') from an input (B, I) and hx = (h, c), each (B, H).

    >>> import tapegrad as torch
    >>> zero = torch.zeros(1, 1)
    >>> torch.lstm_cell(zero + 1, (zero, zero), torch.ones(4, 1), torch.ones(4, 1))
    (tensor([[0.3696]]), tensor([[0.5568]]))
    """
    return _one_step("lstm_cell", 4, lstm_step, input, hx, (w_ih, w_hh, b_ih, b_hh))


def gru_cell(
    input: Tensor,
    hx: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> Tensor:
    """One step of `gru`: h' (B, H) from an input (B, I) and h (B, H).

    >>> import tapegrad as torch
    >>> torch.gru_cell(torch.ones(1, 1), torch.zeros(1, 1), torch.ones(3, 1), torch.ones(3, 1))
    tensor([[0.2048]])
    """
    return _one_step("gru_cell", 3, gru_step, input, [hx], (w_ih, w_hh, b_ih, b_hh))[0]


def rnn_tanh_cell(
    input: Tensor,
    hx: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> Tensor:
    """One step of `rnn_tanh`: h' (B, H) from an input (B, I) and h (B, H).

    >>> import tapegrad as torch
    >>> torch.rnn_tanh_cell(torch.ones(1, 1), torch.zeros(1, 1), torch.ones(1, 1), torch.ones(1, 1))
    tensor([[0.7616]])
    """
    return _one_step("rnn_tanh_cell", 1, rnn_tanh_step, input, [hx], (w_ih, w_hh, b_ih, b_hh))[0]


def rnn_relu_cell(
    input: Tensor,
    hx: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> Tensor:
    """One step of `rnn_relu`: h' (B, H) from an input (B, I) and h (B, H).

    >>> import tapegrad as torch
    >>> torch.rnn_relu_cell(torch.ones(1, 1), torch.zeros(1, 1), torch.ones(1, 1), torch.ones(1, 1))
    tensor([[1.]])
    """
    return _one_step("rnn_relu_cell", 1, rnn_relu_step, input, [hx], (w_ih, w_hh, b_ih, b_hh))[0]
