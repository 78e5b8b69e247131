"""Recurrent layers, cells and packed sequences, side by side with PyTorch."""

from __future__ import annotations

import copy
import inspect
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import tapegrad  # noqa: E402

LIBS = (tapegrad, torch)
RNG = np.random.default_rng(0)
LAYERS = [
    ("LSTM", (3, 4), {}),
    ("LSTM", (3, 4, 2), {"bidirectional": True, "batch_first": True}),
    ("LSTM", (3, 4, 2), {"proj_size": 2, "bias": False}),
    ("LSTM", (3, 4, 3), {"dropout": 0.4, "bidirectional": True, "proj_size": 3}),
    ("GRU", (3, 4), {"bias": False}),
    ("GRU", (3, 4, 2, True, True), {"dropout": 0.3, "bidirectional": True}),
    ("RNN", (3, 4, 2), {"dropout": 0.5}),
    ("RNN", (3, 4, 2, "relu", False, True), {"bidirectional": True}),
]
LENGTHS = [4, 2, 2, 1]


def array(*shape, dtype=np.float32):
    return RNG.standard_normal(shape).astype(dtype)


def close(ours, theirs, what, tolerance=2e-5):
    assert (ours is None) == (theirs is None), what
    if ours is not None:
        assert tuple(ours.shape) == tuple(theirs.shape) and str(ours.dtype) == str(theirs.dtype), what
        np.testing.assert_allclose(
            ours.detach().double().numpy(), theirs.detach().double().numpy(), tolerance, tolerance, err_msg=what
        )


def build(lib, name, args, kwargs):
    lib.manual_seed(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(lib.nn, name)(*args, **kwargs)


def flat(result):
    """The tensors of nested results in order."""
    if result is None or isinstance(result, (list, tuple)):
        return [t for part in result or () for t in flat(part)]
    return [result]


def pull(lib, outs, leaves):
    """Gradients of a weighted sum of the results that have any."""
    rng = np.random.default_rng(1)
    outs = [t for t in outs if t.requires_grad]
    weights = [lib.tensor(rng.standard_normal(tuple(t.shape))).to(t.dtype) for t in outs]
    sum((t * w).sum() for t, w in zip(outs, weights)).backward()
    return [t.grad for t in leaves]


def states(lib, arrays, lstm):
    tensors = [lib.tensor(a, requires_grad=True) for a in arrays]
    return (tuple(tensors) if lstm else tensors[0]), tensors


def state_arrays(module, batch, dtype=np.float32):
    """h_0, and c_0 for an LSTM."""
    count = module.num_layers * (2 if module.bidirectional else 1)
    middle = () if batch is None else (batch,)
    h = array(count, *middle, module.proj_size or module.hidden_size, dtype=dtype)
    return [h, array(count, *middle, module.hidden_size, dtype=dtype)] if module.mode == "LSTM" else [h]


def run(lib, module, x, arrays, lengths=None, unsorted=False):
    """Results and gradients of one call: packed if there are lengths."""
    leaf = lib.tensor(x, requires_grad=True)
    given = leaf
    if lengths is not None:
        order = not unsorted
        given = lib.nn.utils.rnn.pack_padded_sequence(leaf, lengths, module.batch_first, enforce_sorted=order)
    hx, tensors = states(lib, arrays, module.mode == "LSTM") if arrays else (None, [])
    lib.manual_seed(5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outs = flat(module(given, hx))
    return outs, pull(lib, outs, [leaf, *tensors, *module.parameters()])


# ---- layers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "args", "kwargs"), LAYERS)
def test_construction(name, args, kwargs):
    ours, theirs = (build(lib, name, args, kwargs) for lib in LIBS)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for (key, a), b in zip(ours.named_parameters(), theirs.parameters()):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy(), key)
    assert ours._flat_weights_names == theirs._flat_weights_names
    assert [[tuple(w.shape) for w in ws] for ws in ours.all_weights] == [
        [tuple(w.shape) for w in ws] for ws in theirs.all_weights
    ]
    public = [{k: v for k, v in vars(m).items() if not k.startswith("_")} for m in (ours, theirs)]
    assert public[0] == public[1]
    assert ours.flatten_parameters() is None


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("given", [True, False], ids=["states", "zeros"])
@pytest.mark.parametrize(("name", "args", "kwargs"), LAYERS)
def test_layer(name, args, kwargs, given, training):
    modules = [build(lib, name, args, kwargs).train(training) for lib in LIBS]
    x = array(5, 2, 3) if not modules[0].batch_first else array(2, 5, 3)
    arrays = state_arrays(modules[0], 2) if given else []
    (outs, grads), (others, expected) = (run(lib, m, x, arrays) for lib, m in zip(LIBS, modules))
    for i, (a, b) in enumerate(zip(outs, others)):
        close(a, b, f"result {i}")
    for i, (a, b) in enumerate(zip(grads, expected)):
        close(a, b, f"gradient {i}")
    assert tapegrad.rand(1).item() == torch.rand(1).item()  # as many numbers were drawn for dropout


@pytest.mark.parametrize("unsorted", [False, True], ids=["sorted", "unsorted"])
@pytest.mark.parametrize(("name", "args", "kwargs"), LAYERS)
def test_packed(name, args, kwargs, unsorted):
    modules = [build(lib, name, args, kwargs) for lib in LIBS]
    x = array(4, 4, 3)
    lengths = [2, 4, 1, 2] if unsorted else LENGTHS
    arrays = state_arrays(modules[0], 4)
    (outs, grads), (others, expected) = (run(lib, m, x, arrays, lengths, unsorted) for lib, m in zip(LIBS, modules))
    assert len(outs) == len(others)
    for i, (a, b) in enumerate(zip(outs, others)):
        close(a, b, f"result {i}")
    for i, (a, b) in enumerate(zip(grads, expected)):
        close(a, b, f"gradient {i}")


@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN"])
def test_without_a_batch(name):
    modules = [build(lib, name, (3, 4), {}) for lib in LIBS]
    x, arrays = array(5, 3), state_arrays(modules[0], None)
    (outs, grads), (others, expected) = (run(lib, m, x, arrays) for lib, m in zip(LIBS, modules))
    for a, b in zip(outs + grads, others + expected):
        close(a, b, name)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float16", 5e-3), ("bfloat16", 5e-2)])
@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN"])
def test_other_dtypes(name, dtype, tolerance):
    found = []
    for lib in LIBS:
        module = build(lib, name, (3, 4, 2), {}).to(getattr(lib, dtype))
        x = lib.tensor(array_of_ones).to(getattr(lib, dtype)).requires_grad_()
        outs = flat(module(x))
        found.append([*outs, *pull(lib, outs, [x, *module.parameters()])])
    for a, b in zip(*found):
        close(a, b, name, tolerance)


array_of_ones = array(5, 2, 3)


@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN"])
def test_second_derivative(name):
    found = []
    x = array(3, 2, 3, dtype=np.float64)
    for lib in LIBS:
        module = build(lib, name, (3, 2, 2), {"bidirectional": True}).double()
        leaf = lib.tensor(x, requires_grad=True)
        sources = [leaf, *module.parameters()]
        outs = flat(module(leaf))
        rng = np.random.default_rng(1)
        total = sum((t * lib.tensor(rng.standard_normal(tuple(t.shape)))).sum() for t in outs)
        first = lib.autograd.grad(total, sources, create_graph=True)
        second = sum((g * lib.tensor(rng.standard_normal(tuple(g.shape)))).sum() for g in first)
        found.append([*first, *lib.autograd.grad(second, sources)])
    for a, b in zip(*found):
        close(a, b, name, 1e-8)


def test_node_names():
    def names(lib):
        x = lib.ones(5, 2, 3)
        found = []
        for name in ("LSTM", "GRU", "RNN"):
            out, last = getattr(lib.nn, name)(3, 4)(x)
            found += [out.grad_fn.name(), *(t.grad_fn.name() for t in flat(last))]
        return found

    assert names(tapegrad) == names(torch)


def test_functions():
    """`torch.lstm` and its like, both signatures."""
    found = []
    for lib in LIBS:
        rng = np.random.default_rng(2)

        def make(*shape, lib=lib, rng=rng):
            return lib.tensor(rng.standard_normal(shape).astype(np.float32))

        x, h, c, data, sizes = make(3, 2, 3), make(1, 2, 4), make(1, 2, 4), make(5, 3), lib.tensor([2, 2, 1])
        own = []
        for name, gates in (("lstm", 4), ("gru", 3), ("rnn_tanh", 1), ("rnn_relu", 1)):
            weights = [make(gates * 4, 3), make(gates * 4, 4), make(gates * 4), make(gates * 4)]
            hx = (h, c) if name == "lstm" else h
            own += flat(getattr(lib, name)(x, hx, weights, True, 1, 0.0, False, False, False))
            own += flat(getattr(lib, name)(data, sizes, hx, weights, True, 1, 0.0, False, False))
            named = {"bidirectional": False, "batch_first": False}
            own += flat(getattr(lib, name)(x, hx, weights[:2], False, 1, 0.0, False, **named))
            cell = (h[0], c[0]) if name == "lstm" else h[0]
            own += flat(getattr(lib, f"{name}_cell")(x[0], cell, *weights))
            own += flat(getattr(lib, f"{name}_cell")(x[0], cell, weights[0], weights[1]))
        found.append(own)
    for a, b in zip(*found):
        close(a, b, "functions")


# ---- cells -----------------------------------------------------------------------------------------------------------

CELLS = [
    ("RNNCell", (3, 4), {}),
    ("RNNCell", (3, 4, False, "relu"), {}),
    ("LSTMCell", (3, 4), {}),
    ("LSTMCell", (3, 4, False), {}),
    ("GRUCell", (3, 4), {}),
    ("GRUCell", (3, 4, False), {}),
]


@pytest.mark.parametrize("shape", [(2,), ()], ids=["batch", "single"])
@pytest.mark.parametrize("given", [True, False], ids=["states", "zeros"])
@pytest.mark.parametrize(("name", "args", "kwargs"), CELLS)
def test_cell(name, args, kwargs, given, shape):
    x, arrays = array(*shape, 3), [array(*shape, 4), array(*shape, 4)]
    found = []
    for lib in LIBS:
        module = build(lib, name, args, kwargs)
        leaf = lib.tensor(x, requires_grad=True)
        hx, tensors = states(lib, arrays, name == "LSTMCell") if given else (None, [])
        outs = flat(module(leaf, hx))
        leaves = [leaf, *(tensors if name == "LSTMCell" else tensors[:1]), *module.parameters()]
        found.append((repr(module), list(module.state_dict()), [*outs, *pull(lib, outs, leaves)]))
    assert found[0][:2] == found[1][:2]
    for a, b in zip(found[0][2], found[1][2]):
        close(a, b, name)


# ---- packed sequences ------------------------------------------------------------------------------------------------


def told(value):
    """Results as plain values."""
    if hasattr(value, "detach"):
        return [str(value.dtype), list(value.shape), np.round(value.detach().double().numpy(), 5).tolist()]
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, *map(told, value)]
    return value


PROGRAMS = [
    lambda lib, R, x: R.pack_padded_sequence(x, LENGTHS),
    lambda lib, R, x: R.pack_padded_sequence(x, lib.tensor([2, 4, 1, 2]), enforce_sorted=False),
    lambda lib, R, x: R.pack_padded_sequence(x, [1, 1, 1, 1], batch_first=True),
    lambda lib, R, x: R.pad_packed_sequence(R.pack_padded_sequence(x, LENGTHS), padding_value=-1.0, total_length=6),
    lambda lib, R, x: R.pad_packed_sequence(
        R.pack_padded_sequence(x, [2, 4, 1, 2], enforce_sorted=False), batch_first=True
    ),
    lambda lib, R, x: R.pack_sequence([lib.tensor([1, 2, 3]), lib.tensor([4])]),
    lambda lib, R, x: R.unpack_sequence(
        R.pack_sequence([lib.tensor([6]), lib.tensor([1, 2, 3])], enforce_sorted=False)
    ),
    lambda lib, R, x: R.unpad_sequence(x, lib.tensor(LENGTHS)),
    lambda lib, R, x: R.invert_permutation(lib.tensor([2, 0, 1])),
    lambda lib, R, x: repr(R.PackedSequence(lib.ones(2), lib.tensor([1, 1]))),
    lambda lib, R, x: R.PackedSequence(lib.ones(3), lib.tensor([2, 1]), lib.tensor([1, 0])),
    lambda lib, R, x: R.PackedSequence((lib.ones(3), lib.tensor([2, 1]))),
    lambda lib, R, x: copy.deepcopy(R.pack_padded_sequence(x, LENGTHS)),
    lambda lib, R, x: [
        (p.double().data, p.half().data, p.long().data, p.int().data, p.short().data, p.char().data, p.byte().data)
        for p in [R.pack_padded_sequence(x, LENGTHS)]
    ],
    lambda lib, R, x: [
        (p.to(lib.float32) is p, p.cpu() is p, p.is_cuda, p.is_pinned(), len(p), p.batch_sizes)
        for p in [R.pack_padded_sequence(x, LENGTHS)]
    ],
]


@pytest.mark.parametrize("i", range(len(PROGRAMS)))
def test_packing(i):
    x = array(4, 4, 2)
    stories = [told(PROGRAMS[i](lib, lib.nn.utils.rnn, lib.tensor(x))) for lib in LIBS]
    assert stories[0] == stories[1]


def test_gradients_of_packing():
    x, found = array(4, 4, 2), []
    for lib in LIBS:
        R, leaf = lib.nn.utils.rnn, lib.tensor(x, requires_grad=True)
        packed = R.pack_padded_sequence(leaf, [2, 4, 1, 2], enforce_sorted=False)
        padded, _ = R.pad_packed_sequence(R.PackedSequence(packed.data * 2, *packed[1:]))
        found.append(pull(lib, [packed.data, padded], [leaf])[0])
    close(*found, "packing")


# ---- errors ----------------------------------------------------------------------------------------------------------

FAILURES = [
    lambda lib, m, x: m(x[0, 0]),
    lambda lib, m, x: m(x[None]),
    lambda lib, m, x: m(lib.ones(5, 2, 7)),
    lambda lib, m, x: m(x.double()),
    lambda lib, m, x: m(x[:0]),
    lambda lib, m, x: m(x, lib.ones(1, 4)),
    lambda lib, m, x: m(x, lib.ones(1, 3, 4)),
    lambda lib, m, x: m(x, lib.ones(2, 2, 4)),
    lambda lib, m, x: m(x[:, 0], lib.ones(1, 1, 4)),
    lambda lib, m, x: m(x, lib.ones(1, 2, 4).double()),
    lambda lib, m, x: lib.nn.GRU(3, 4, proj_size=2),
    lambda lib, m, x: lib.nn.LSTM(3, 4, proj_size=4),
    lambda lib, m, x: lib.nn.LSTM(3, 4, proj_size=-1),
    lambda lib, m, x: lib.nn.LSTM(3, 0),
    lambda lib, m, x: lib.nn.LSTM(0, 3),
    lambda lib, m, x: lib.nn.LSTM(3, 4, 0),
    lambda lib, m, x: lib.nn.LSTM(3, "a"),
    lambda lib, m, x: lib.nn.LSTM(3, 4, dropout=2),
    lambda lib, m, x: lib.nn.LSTM(3, 4, dropout=True),
    lambda lib, m, x: lib.nn.RNN(3, 4, nonlinearity="x"),
    lambda lib, m, x: lib.nn.RNNBase("x", 3, 4),
    lambda lib, m, x: lib.nn.LSTM(3, 4, mode="x"),
    lambda lib, m, x: setattr(m, "weight_ih_l0", 3),
    lambda lib, m, x: lib.lstm(),
    lambda lib, m, x: lib.nn.GRUCell(3, 4)(x),
    lambda lib, m, x: lib.nn.GRUCell(3, 4)(lib.ones(2, 5)),
    lambda lib, m, x: lib.nn.GRUCell(3, 4)(x[0], lib.ones(3, 4)),
    lambda lib, m, x: lib.nn.GRUCell(3, 4)(x[0], lib.ones(2, 5)),
    lambda lib, m, x: lib.nn.GRUCell(3, 4)(x[0], lib.ones(4)),
    lambda lib, m, x: lib.nn.GRUCell(3, 4)(x[0], lib.ones(1, 2, 4)),
    lambda lib, m, x: lib.nn.GRUCell(3, 4)(x[0].double()),
    lambda lib, m, x: lib.nn.RNNCell(3, 4, nonlinearity="x")(x[0]),
    lambda lib, m, x: lib.nn.utils.rnn.pack_padded_sequence(x, [1, 2]),
    lambda lib, m, x: lib.nn.utils.rnn.pack_padded_sequence(x, [1, 0]),
    lambda lib, m, x: lib.nn.utils.rnn.pack_padded_sequence(x, [1]),
    lambda lib, m, x: lib.nn.utils.rnn.pack_padded_sequence(x, lib.ones(1, 2)),
    lambda lib, m, x: lib.nn.utils.rnn.pack_padded_sequence(x[:, :0], []),
    lambda lib, m, x: lib.nn.utils.rnn.pack_sequence([lib.ones(1), lib.ones(2)]),
    lambda lib, m, x: lib.nn.utils.rnn.PackedSequence(x),
    lambda lib, m, x: lib.nn.utils.rnn.pad_packed_sequence(
        lib.nn.utils.rnn.pack_padded_sequence(x, [2, 1]), total_length=1
    ),
]


@pytest.mark.parametrize("i", range(len(FAILURES)))
def test_errors(i):
    kinds = []
    for lib in LIBS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(Exception) as caught:
                FAILURES[i](lib, lib.nn.GRU(3, 4), lib.ones(5, 2, 3))
        kinds.append(caught.type)
    assert kinds[0] is kinds[1]


def test_dropout_in_one_layer_warns():
    for lib in LIBS:
        with pytest.warns(UserWarning, match="dropout"):
            lib.nn.LSTM(3, 4, dropout=0.5)


@pytest.mark.parametrize("name", ["RNNBase", "RNNCellBase", "RNNCell", "LSTMCell", "GRUCell"])
def test_signatures(name):
    found = []
    for lib in LIBS:
        parameters = inspect.signature(getattr(lib.nn, name).__init__).parameters.values()
        found.append([(p.name, p.default, p.kind) for p in parameters])
    assert found[0] == found[1]


def test_weights_can_be_replaced():
    for lib in LIBS:
        module = lib.nn.LSTM(3, 4)
        module.load_state_dict({k: lib.zeros(v.shape) for k, v in module.state_dict().items()})
        out, (h, c) = copy.deepcopy(module).double()(lib.ones(5, 2, 3, dtype=lib.float64))
        assert not out.any() and not h.any() and not c.any()
        module.weight_ih_l0 = lib.nn.Parameter(lib.ones(16, 3))
        assert module(lib.ones(5, 2, 3))[0].any() and module._flat_weights[0] is module.weight_ih_l0
