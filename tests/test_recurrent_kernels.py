"""Generated kernels for recurrent layers and cells beside the NumPy path; on one thread and on two."""

import subprocess
import sys

import numpy as np
import pytest

import tapegrad as torch
from tapegrad.backends.cpu import recurrent as kernels
from tapegrad.backends.cpu import recurrent_rows
from tapegrad.codegen import jit
from tapegrad.codegen import recurrent as made

pytestmark = pytest.mark.skipif(not jit.available(), reason="no code generation on this machine")
GATES = {"lstm": 4, "gru": 3, "tanh": 1, "relu": 1}
TOLERANCE = {"float32": 1e-5, "float64": 1e-13}


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def layer(kind, steps, x, h0, c0, weights, gs=None, data=True):
    """The results of a layer, or with gradients of them those of its operands."""
    if kind == "lstm":
        *found, kept = kernels.lstm(steps, x, h0, c0, *weights, None)
        if gs is None:
            return found
        return kernels.lstm_backward(steps, gs, *weights[:2], None, kept, data)[:-1]
    if kind == "gru":
        *found, kept = kernels.gru(steps, x, h0, *weights)
        return found if gs is None else kernels.gru_backward(steps, gs, *weights[:2], kept, data)
    *found, kept = kernels.rnn(steps, x, h0, *weights, kind)
    return found if gs is None else kernels.rnn_backward(steps, gs, *weights[:2], kept, kind, data)


def operands(kind, sizes, shape, hidden, dtype, biases=True):
    """(x, h0, c0, weights) and gradients of the results, from one seed."""
    rng = np.random.default_rng(hidden + shape[-1])
    draw = lambda *s: (rng.standard_normal(s) / np.sqrt(s[-1])).astype(dtype)  # errors do not grow from step to step
    batch, rows = shape[1] if sizes is None else sizes[0], GATES[kind] * hidden
    weights = [draw(rows, shape[-1]), draw(rows, hidden), *([draw(rows), draw(rows)] if biases else [None, None])]
    gs = [draw(*shape[:-1], hidden), *(draw(batch, hidden) for _ in range(2 if kind == "lstm" else 1))]
    return (draw(*shape), draw(batch, hidden), draw(batch, hidden), weights), gs


CASES = [  # numbers of sequences in each step, x, hidden, reverse
    (None, (5, 4, 3), 8, False),
    (None, (6, 16, 32), 64, False),
    (None, (3, 5, 10), 21, True),
    (None, (1, 1, 1), 1, False),
    (None, (2, 33, 7), 40, False),
    ((7, 7, 4, 1), (19, 5), 12, False),
    ((9, 4, 4, 3, 1), (21, 4), 33, True),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", GATES)
@pytest.mark.parametrize(("sizes", "shape", "hidden", "reverse"), CASES)
def test_as_on_numpy(kind, sizes, shape, hidden, reverse, dtype, monkeypatch):
    ours, gs = operands(kind, sizes, shape, hidden, dtype)
    steps = kernels.Steps(shape, sizes, reverse)
    assert recurrent_rows.plan(kind, np.dtype(dtype), hidden) is not None
    found = [*layer(kind, steps, *ours), *layer(kind, steps, *ours, gs)]
    monkeypatch.setattr(recurrent_rows, "plan", lambda *_: None)
    expected = [*layer(kind, steps, *ours), *layer(kind, steps, *ours, gs)]
    assert len(found) == len(expected)
    for a, b in zip(found, expected):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCE[dtype] * max(1, abs(b).max(initial=0)))


@pytest.mark.parametrize("kind", GATES)
def test_without_biases_and_from_other_layouts(kind, monkeypatch):
    (x, h0, c0, weights), gs = operands(kind, None, (4, 6, 5), 16, "float32", biases=False)
    x = np.ascontiguousarray(x.transpose(1, 0, 2)).transpose(1, 0, 2)  # batch first
    weights[1] = np.asfortranarray(weights[1])
    gs[0] = np.broadcast_to(gs[0][:1, :1, :1], gs[0].shape)  # strides of 0
    steps = kernels.Steps(x.shape, None, False)
    found = [*layer(kind, steps, x, h0, c0, weights), *layer(kind, steps, x, h0, c0, weights, gs)]
    monkeypatch.setattr(recurrent_rows, "plan", lambda *_: None)
    expected = [*layer(kind, steps, x, h0, c0, weights), *layer(kind, steps, x, h0, c0, weights, gs)]
    for a, b in zip(found, expected):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * max(1, abs(b).max()))


@pytest.mark.parametrize("kind", GATES)
def test_threads_change_no_bit(kind):
    sizes = (40, 40, 33, 20, 20, 7)
    ours, gs = operands(kind, sizes, (sum(sizes), 24), 48, "float32")
    steps = kernels.Steps(ours[0].shape, sizes, False)
    assert recurrent_rows._each(steps, 1 << 20) < 40  # several parts
    found = []
    for n in (1, 2):
        torch.set_num_threads(n)
        found.append([*layer(kind, steps, *ours), *layer(kind, steps, *ours, gs)])
    for a, b in zip(*found):
        assert (a == b).all()


def test_nan_and_infinity_go_through():
    (x, h0, c0, weights), _ = operands("lstm", None, (3, 2, 4), 8, "float32")
    x[1, 0, 2], x[0, 1, :] = np.nan, np.inf
    out = layer("lstm", kernels.Steps(x.shape, None, False), x, h0, c0, weights)[0]
    assert np.isfinite(out[0, 0]).all() and np.isnan(out[1:, 0]).all()


def test_an_empty_batch():
    for layer_of in (torch.nn.LSTM, torch.nn.GRU, torch.nn.RNN):
        model = layer_of(3, 8)
        out = model(torch.zeros(4, 0, 3))[0]
        out.sum().backward()
        assert out.shape == (4, 0, 8) and (model.weight_hh_l0.grad == 0).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_functions_stay_within_their_bound(name, dtype):
    type, function = {"float32": "float", "float64": "double"}[dtype], getattr(made, name)
    body = lambda load, store: store(function(load("x")), "out")
    kernel = jit.gufunc(made._cell("probe", "x out", type, jit.lanes(type), body), "(n)->(n)", [dtype] * 2)
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.standard_normal(40000) * scale for scale in (1e-3, 0.1, 1, 5, 30)]).astype(dtype)
    x = x[x > (-85 if dtype == "float32" else -690)]
    wide = x.astype(np.float64 if dtype == "float32" else np.longdouble)
    exact = np.tanh(wide) if name == "tanh" else 1 / (1 + np.exp(-wide))
    ulps = abs(kernel(x).astype(wide.dtype) - exact) / np.spacing(abs(exact).astype(dtype))
    assert ulps.max() <= made.BOUND
    edges = kernel(np.array([np.nan, np.inf, -np.inf, 0], dtype))
    np.testing.assert_allclose(edges, [np.nan, 1, -1, 0] if name == "tanh" else [np.nan, 1, 0, 0.5], atol=2e-38)


CELLS = {"LSTMCell": (4, 2), "GRUCell": (3, 1)}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize(("batch", "hidden"), [(5, 60), (64, 33), (300, 16)])
def test_cells_as_on_numpy(name, batch, hidden, dtype, monkeypatch):
    def run():
        torch.manual_seed(0)
        cell = getattr(torch.nn, name)(7, hidden, dtype=dtype)
        x = torch.randn(batch, 7, dtype=dtype, requires_grad=True)
        states = [torch.randn(batch, hidden, dtype=dtype, requires_grad=True) for _ in range(CELLS[name][1])]
        out = cell(x, tuple(states) if len(states) == 2 else states[0])
        out = out if isinstance(out, tuple) else (out,)
        sum((o * o).sum() for o in out).backward()
        return [
            t.detach().numpy() for t in (*out, x.grad, *(s.grad for s in states), *(p.grad for p in cell.parameters()))
        ]

    found = run()
    calls = []
    monkeypatch.setattr(kernels, "cell", lambda *_: calls.append(1))
    expected = run()
    assert len(calls) == 2
    for a, b in zip(found, expected):
        np.testing.assert_allclose(
            a, b, rtol=0, atol=(2e-5 if dtype is torch.float32 else 1e-12) * max(1, abs(b).max())
        )


def test_several_python_threads_and_a_fork():
    """A layer in four threads at once, then in a forked process: the numbers of one alone."""
    program = """if True:
        import os, threading
        import numpy as np, tapegrad as torch
        torch.set_num_threads(2)
        torch.manual_seed(0)
        model, x = torch.nn.LSTM(16, 32), torch.randn(20, 24, 16)
        alone = model(x)[0].detach().numpy()
        same = []
        def run():
            for _ in range(10):
                same.append((model(x)[0].detach().numpy() == alone).all())
        threads = [threading.Thread(target=run) for _ in range(4)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        assert len(same) == 40 and all(same)
        child = os.fork()
        if not child:
            os._exit(0 if (model(x)[0].detach().numpy() == alone).all() else 1)
        assert os.waitpid(child, 0)[1] == 0
    """
    subprocess.run([sys.executable, "-c", program], check=True)
