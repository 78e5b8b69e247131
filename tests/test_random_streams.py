"""The random streams against numbers recorded from PyTorch 2.13 (seed 0), and what they promise besides.

tests/twin/test_random_streams.py compares every stream with PyTorch itself, at all sizes and types.
"""

from __future__ import annotations

import copy
import pickle
import zlib

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapegrad.backends.cpu import random as streams
from tapegrad.backends.cpu.random import Generator

F2, BF, F4, F8 = (np.dtype(kind) for kind in (np.float16, ml_dtypes.bfloat16, np.float32, np.float64))
I1, I2, I4, I8 = (np.dtype(kind) for kind in (np.int8, np.int16, np.int32, np.int64))
U1, BOOL = np.dtype(np.uint8), np.dtype(bool)
WEIGHTS = np.array([0.1, 0.5, 0.2, 0.9, 0.3], F4)


def start(seed=0):
    return Generator().manual_seed(seed)


def close(got, expected, dtype):
    """Equal up to how far C libraries and NumPy builds differ in logarithms, sines and so on."""
    assert got.dtype == dtype
    bound = 4 * float(ml_dtypes.finfo(dtype).eps)
    np.testing.assert_allclose(got.astype(F8), expected, rtol=bound, atol=bound)


# ------------------------------------------------------------------------------------------------------------- recorded


@pytest.mark.parametrize(
    "dtype, expected, between",
    [
        (F4, [0.49625658988952637, 0.7682217955589294, 0.08847743272781372, 0.13203048706054688],
             [0.39475926756858826, 0.7755105495452881, -0.17613159120082855, -0.11515732109546661]),
        (F8, [0.9700530018065531, 0.707819864399788, 0.45938294312745087, 0.9207476841219603],
             [1.0580742025291745, 0.6909478101597032, 0.3431361203784313, 0.9890467577707446]),
        (F2, [0.496337890625, 0.76806640625, 0.0885009765625, 0.132080078125],
             [0.394775390625, 0.775390625, -0.1761474609375, -0.11517333984375]),
        (BF, [0.49609375, 0.76953125, 0.08837890625, 0.1318359375],
             [0.39453125, 0.77734375, -0.17578125, -0.115234375]),
    ],
)  # fmt: skip
def test_uniform(dtype, expected, between):
    assert streams.uniform(start(), (4,), dtype).astype(F8).tolist() == expected
    assert streams.uniform(start(), (2, 2), dtype, -0.3, 1.1).astype(F8).ravel().tolist() == between


@pytest.mark.parametrize(
    "dtype, three, sixteen, seventeen",
    [
        (F4, [1.5409960746765137, -0.293428897857666, -2.1787893772125244],
             [-1.1258398294448853, -1.152360200881958, -2.1152193546295166, 0.32227492332458496, -0.2472781538963318],
             [-1.1258398294448853, -1.6959311962127686, 1.85300612449646, 0.46809640526771545, 0.9318265914916992]),
        (F8, [1.5409961082440433, -0.2934289057609464, -2.1787893820745574],
             [-2.310411800234176, -0.3732508612577643, -0.8664416019125772, -1.2956271403277857, 0.3380174030507378],
             [-2.310411800234176, -0.6332746088675096, -0.830510051008449, 0.23871805816817063, 0.6748575435940039]),
        (F2, [1.541015625, -0.29345703125, -2.1796875],
             [-1.1259765625, -1.15234375, -2.115234375, 0.322265625, -0.247314453125],
             [-1.1259765625, -1.3525390625, -0.34130859375, 1.8525390625, -0.84375]),
        (BF, [1.5390625, -0.29296875, -2.171875],
             [-1.125, -1.15625, -2.109375, 0.322265625, -0.2470703125],
             [-1.125, -1.3515625, -0.341796875, 1.8515625, -0.84375]),
    ],
)  # fmt: skip
def test_normal(dtype, three, sixteen, seventeen):
    close(streams.normal(start(), (3,), dtype), three, dtype)
    close(streams.normal(start(), (16,), dtype)[[0, 1, 7, 8, 15]], sixteen, dtype)
    close(streams.normal(start(), (17,), dtype)[[0, 1, 7, 8, 16]], seventeen, dtype)


@pytest.mark.parametrize(
    "dtype, expected",
    [
        (F4, [-1.6139277219772339, -0.4375939965248108, 1.318027138710022, 0.39135274291038513]),
        (F8, [-3.6277000603980993, 1.9991659031279994, 0.26605992345680346, -0.97481558882663]),
        (F2, [-1.6142578125, -0.4375, -1.9990234375, -1.1337890625]),
        (BF, [-1.6171875, -0.4375, -2.0, -1.1328125]),
    ],
)
def test_normal_with_mean_and_std(dtype, expected):
    close(streams.normal(start(), (20,), dtype, 0.3, 1.7)[[0, 3, 4, 19]], expected, dtype)


@pytest.mark.parametrize(
    "dtype, log_normal, exponential, cauchy",
    [
        (F4, [3.969726800918579, 1.0992188453674316, 0.29371288418769836],
             [1.4033304452896118, 0.49215391278266907, 0.24601763486862183],
             [18.316139221191406, 1.6001043319702148, 0.08189111948013306]),
        (F8, [3.969726798255606, 1.0992188222918946, 0.293712885878333],
             [1.4033304746830568, 0.49215390567187073, 0.2460176375576046],
             [18.316139855359904, 1.60010434133003, 0.08189111845860408]),
        (F2, [3.970703125, 1.099609375, 0.293701171875], [1.4033203125, 0.4921875, 0.2459716796875],
             [18.3125, 1.6005859375, 0.0819091796875]),
        (BF, [3.96875, 1.1015625, 0.29296875], [1.40625, 0.4921875, 0.24609375], [18.375, 1.6015625, 0.08203125]),
    ],
)  # fmt: skip
def test_other_distributions(dtype, log_normal, exponential, cauchy):
    close(streams.log_normal(start(), (3,), dtype, 0.3, 0.7), log_normal, dtype)
    close(streams.exponential(start(), (3,), dtype, 2.5), exponential, dtype)
    close(streams.cauchy(start(), (3,), dtype, 0.3, 1.7), cauchy, dtype)


@pytest.mark.parametrize(
    "dtype, bounds, expected",
    [
        (I8, (-3, 4), [1, 0, -3, -1, -2, -1, 3, 0]),
        (U1, (0, 256), [172, 47, 117, 192]),
        (I8, (0, 2**28 - 1), [209652404, 130329144]),
        (I8, (0, 2**28), [130329135, 136432832]),
        (I8, (-5, 2**33), [5243342721, 241773721]),
        (F2, (0, 60000), [33824, 6960, 34048, 8704]),
        (I4, (5,), [347804968, 2130988450]),
        (I8, (-(2**63),), [-8322921849960486353, -5253828890213626688]),
        (U1, (), [172, 47, 117]),
        (I1, (), [44, 47, 117]),
        (I2, (), [2732, 10799, 9845]),
        (I4, (), [209652396, 398764591, 924231285]),
        (I8, (), [900450186894289455, 3969543146641149120, 1895649597198586619]),
        (BOOL, (), [False, True, True]),
        (F4, (), [8325664, 12888472, 1484222]),
        (F8, (), [8737460674930124, 6375474555111176, 4137753702977065]),
        (F2, (), [1277, 1017, 1661]),
        (BF, (), [149, 179, 47]),
    ],
)
def test_integers(dtype, bounds, expected):
    got = streams.integers(start(), (len(expected),), dtype, *bounds)
    assert got.dtype == dtype and got.tolist() == expected


@pytest.mark.parametrize(
    "n, ends, checksum",
    [(1000, [44, 37, 675, 745, 263, 354], 251667852),
     (60000, [36044, 10678, 57327, 31951, 27130, 1544], 53969758505953)],
)  # fmt: skip
def test_permutation(n, ends, checksum):
    assert streams.permutation(start(), 10, I8).tolist() == [4, 1, 7, 5, 3, 9, 0, 8, 6, 2]
    x = streams.permutation(start(), n, I8)
    assert [*x[:3], *x[-3:]] == ends and (x * np.arange(n)).sum() == checksum


def test_yes_or_no_and_counts():
    with_float64 = [0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 1]
    assert streams.bernoulli(start(), 0.3, (12,), U1).tolist() == with_float64
    assert streams.bernoulli(start(), np.array(0.3), (12,), U1).tolist() == with_float64
    assert streams.bernoulli(start(), np.array(0.3, F4), (12,), U1).tolist() == [0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    kept = streams.dropout_mask(start(), 0.3, (3, 4))
    assert kept.dtype == BOOL and kept.ravel().astype(int).tolist() == [0, 0, 1, 0, 1, 0, 1, 1, 1, 1, 1, 1]
    assert streams.geometric(start(), (8,), I8, 0.3).tolist() == [1, 1, 3, 1, 2, 1, 5, 3]


def test_multinomial():
    rows = np.stack([WEIGHTS, WEIGHTS[::-1]])
    assert streams.multinomial(start(), WEIGHTS, 1).tolist() == [1]
    assert streams.multinomial(start(), WEIGHTS, 3).tolist() == [1, 3, 2]
    assert streams.multinomial(start(), WEIGHTS, 10, True).tolist() == [4, 3, 3, 4, 3, 3, 1, 2, 3, 1]
    assert streams.multinomial(start(), rows, 3).tolist() == [[1, 3, 2], [1, 3, 2]]
    assert streams.multinomial(start(), rows, 6, True).tolist() == [[4, 3, 3, 4, 3, 3], [1, 1, 1, 1, 1, 1]]


def test_a_mixed_sequence():
    gen = start(1)
    assert streams.uniform(gen, (3,), F4)[-1] == np.float32(0.40306925773620605)
    close(streams.normal(gen, (1,), F4), [0.7244127988815308], F4)
    assert streams.permutation(gen, 5, I8).tolist() == [1, 4, 2, 3, 0]
    close(streams.normal(gen, (20,), F4)[-1:], [1.5747981071472168], F4)
    close(streams.log_normal(gen, (2,), F4)[1:], [8.545341491699219], F4)
    assert streams.integers(gen, (1,), I8, 0, 2**40) == 898013426952
    assert streams.multinomial(gen, WEIGHTS, 2).tolist() == [0, 3]
    assert streams.uniform(gen, (1,), F8) == 0.5475802220771465
    assert streams.integers(gen, (1,), I8, 0, 2**63 - 1) == 7596145618024498489


# ------------------------------------------------------------------------------------------------------------ generator


def test_the_state_has_pytorchs_layout():
    gen = start()
    streams.uniform(gen, (5,), F4)
    streams.normal(gen, (3,), F4)
    state = gen.get_state()
    assert state.dtype == U1 and state.size == 5056
    assert state[:24].view("<i4").tolist() == [0, 0, 612, 1, 13, 0]
    assert zlib.crc32(state[24:5016].tobytes()) == 85485813
    np.testing.assert_allclose(state[5024:5032].view("<f8"), 0.2490022, rtol=1e-6)
    assert state[5040] == 1


@given(st.lists(st.integers(0, 700), max_size=4), st.integers(-(2**63), 2**64 - 1))
def test_a_restored_generator_draws_the_same(sizes, seed):
    gen = start(seed)
    for n in sizes:
        streams.normal(gen, (n,), F4)
        streams.uniform(gen, (n,), F4)
    restored = [
        Generator().set_state(gen.get_state()),
        gen.clone_state(),
        copy.deepcopy(gen),
        pickle.loads(pickle.dumps(gen)),
    ]
    expected = streams.normal(gen, (7,), F8), streams.uniform(gen, (700,), F8)
    for twin in restored:
        assert twin.initial_seed() == seed % 2**64
        np.testing.assert_array_equal(streams.normal(twin, (7,), F8), expected[0])
        np.testing.assert_array_equal(streams.uniform(twin, (700,), F8), expected[1])


def test_a_seed_restarts_the_stream():
    gen = start(3)
    expected = streams.normal(gen, (5,), F4)
    assert gen.manual_seed(np.int64(3)) is gen
    np.testing.assert_array_equal(streams.normal(gen, (5,), F4), expected)
    seeds = {gen.seed() for _ in range(4)}
    assert len(seeds) == 4 and gen.initial_seed() in seeds


# ----------------------------------------------------------------------------------------------------------- properties


def shuffled(steps):
    x = list(range(len(steps) + 1))
    for i, step in enumerate(steps):
        x[i], x[i + step] = x[i + step], x[i]
    return x


@given(st.data())
def test_swaps_at_once_are_swaps_one_by_one(data):
    n = data.draw(st.integers(1, 40))
    steps = [data.draw(st.integers(0, n - i)) for i in range(n)]
    words = np.array(steps, np.uint64)
    assert streams._swapped(words).tolist() == streams._swapped_at_once(words).tolist() == shuffled(steps)


def test_a_very_long_permutation(monkeypatch):
    monkeypatch.setattr(streams, "_LONG", 50)
    monkeypatch.setattr(streams, "_BLOCK", 16)
    words = start().words(200).tolist()
    expected = []
    for i in range(100):
        z = (words[2 * i] << 32 | words[2 * i + 1]) % (i + 1)
        expected.append(i)
        expected[i], expected[z] = expected[z], expected[i]
    assert streams.permutation(start(), 100, I4).tolist() == expected


@pytest.mark.parametrize("draw", [
    lambda gen, n: streams.uniform(gen, (n,), F4, -2, 3),
    lambda gen, n: streams.uniform(gen, (n,), F8),
    lambda gen, n: streams.integers(gen, (n,), I8, 0, 1000),
    lambda gen, n: streams.integers(gen, (n,), I8),
    lambda gen, n: streams.bernoulli(gen, 0.3, (n,), F4),
    lambda gen, n: streams.exponential(gen, (n,), BF),
    lambda gen, n: streams.log_normal(gen, (n,), F4),
])  # fmt: skip
def test_blocks_do_not_show(draw, monkeypatch):
    whole = draw(start(), 1001)
    monkeypatch.setattr(streams, "_BLOCK", 32)
    np.testing.assert_array_equal(draw(start(), 1001), whole)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (2, 3), (1, 1, 1)])
def test_shapes(shape):
    gen = start()
    for x in (
        streams.uniform(gen, shape, F2, 1, 2),
        streams.normal(gen, shape, F4),
        streams.normal(gen, shape, F4, np.zeros(shape, F4), 2.0),
        streams.normal(gen, shape, np.dtype(np.complex64)),
        streams.integers(gen, shape, I4, 0, 5),
        streams.bernoulli(gen, np.array(0.5), shape, F4),
        streams.dropout_mask(gen, 0.0, shape),
        streams.exponential(gen, shape, F8),
        streams.geometric(gen, shape, F8, 0.5),
        streams.cauchy(gen, shape, F4),
        streams.log_normal(gen, shape, BF),
    ):
        assert isinstance(x, np.ndarray) and x.shape == shape


def test_means_and_shares():
    gen, n = start(), 200_000
    assert abs(streams.uniform(gen, (n,), F4, -1, 3).mean() - 1) < 0.01
    assert abs(streams.normal(gen, (n,), F4, 2, 3).std() - 3) < 0.02
    assert abs(streams.bernoulli(gen, 0.3, (n,), F8).mean() - 0.3) < 0.005
    assert abs(streams.exponential(gen, (n,), F8, 4).mean() - 0.25) < 0.005
    assert abs(streams.geometric(gen, (n,), F8, 0.25).mean() - 4) < 0.05
    counts = np.bincount(streams.multinomial(gen, WEIGHTS, n, True), minlength=5)
    np.testing.assert_allclose(counts / n, WEIGHTS / WEIGHTS.sum(), atol=0.005)
    firsts = np.bincount(streams.multinomial(gen, np.tile(WEIGHTS, (20_000, 1)), 2)[:, 0], minlength=5)
    np.testing.assert_allclose(firsts / 20_000, WEIGHTS / WEIGHTS.sum(), atol=0.015)


def test_values_beyond_the_type_are_infinite():
    gen = start()
    assert np.isinf(streams.normal(gen, (40,), F2, 0.0, 1e30).astype(F4)).any()
    assert np.isinf(streams.normal(gen, (4,), F4, 1e300, 1.0)).all()
    assert np.isinf(streams.normal(gen, (4,), F8, float("inf"), 1.0)).all()
    assert np.isfinite(streams.normal(gen, (4,), F8, 1.0, 1e300)).all()
    assert np.isinf(streams.log_normal(gen, (4,), F4, 1000.0, 1.0)).all()


# --------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda g: Generator("cuda"), RuntimeError, "Generator: there is no such device\n  got: cuda\n  expected: cpu"),
        (lambda g: g.manual_seed(1.5), RuntimeError, "manual_seed: the seed is not an int\n  got: 1.5 (float)"),
        (lambda g: g.manual_seed(True), RuntimeError, "the seed is not an int"),
        (lambda g: g.manual_seed(2**64), ValueError, "manual_seed: the seed needs more than 64 bits"),
        (lambda g: g.set_state(np.zeros(5056)), TypeError, "set_state: a state is a uint8 array\n  got: float64"),
        (
            lambda g: g.set_state(np.zeros(9, U1)),
            RuntimeError,
            "set_state: wrong size\n  got: 9 bytes\n  expected: 5056",
        ),
        (lambda g: g.set_state(np.zeros(5056, U1)), RuntimeError, "these bytes are not the state of a generator"),
        (lambda g: streams.uniform(g, (1,), F4, 2, 1), RuntimeError, "got: low=2, high=1"),
        (lambda g: streams.uniform(g, (1,), I8), NotImplementedError, "uniform: the type is not a floating type"),
        (lambda g: streams.normal(g, (1,), F4, 0, -1), RuntimeError, "normal: the standard deviation is negative"),
        (lambda g: streams.normal(g, (1,), F4, 0, -np.ones(1)), RuntimeError, "expected: every std >= 0"),
        (lambda g: streams.log_normal(g, (1,), F4, 0, 0), RuntimeError, "log_normal: the standard deviation"),
        (lambda g: streams.integers(g, (1,), I8, 5, 5), RuntimeError, "got: low=5, high=5\n  expected: low < high"),
        (lambda g: streams.integers(g, (1,), U1, 0, 257), RuntimeError, "uint8 cannot hold [0, 257)"),
        (lambda g: streams.integers(g, (1,), np.dtype("c8"), 0, 2), RuntimeError, "integers: no such stream"),
        (lambda g: streams.permutation(g, -1, I8), RuntimeError, "permutation: the length is negative"),
        (
            lambda g: streams.permutation(g, 300, U1),
            RuntimeError,
            "permutation: uint8 cannot hold every number below 300",
        ),
        (lambda g: streams.permutation(g, 3, BOOL), NotImplementedError, "permutation: no such stream"),
        (
            lambda g: streams.bernoulli(g, 1.5, (1,), F4),
            RuntimeError,
            "bernoulli: p is not a probability\n  got: p=1.5",
        ),
        (lambda g: streams.bernoulli(g, np.full(1, -1.0), (1,), F4), RuntimeError, "bernoulli: p holds values"),
        (lambda g: streams.bernoulli(g, np.ones(1, I8), (1,), F4), NotImplementedError, "bernoulli (p)"),
        (lambda g: streams.dropout_mask(g, -0.1, (1,)), ValueError, "dropout: p is not a probability\n  got: p=-0.1"),
        (lambda g: streams.geometric(g, (1,), F4, 1.0), RuntimeError, "geometric: p is out of range"),
        (lambda g: streams.geometric(g, (1,), BOOL, 0.5), NotImplementedError, "geometric: no such stream"),
        (lambda g: streams.exponential(g, (1,), F4, 0), RuntimeError, "exponential: the rate is not positive"),
        (lambda g: streams.exponential(g, (1,), I8), RuntimeError, "exponential: the type is not a floating type"),
        (lambda g: streams.cauchy(g, (1,), F4, 0, -1), RuntimeError, "cauchy: sigma is not positive"),
        (lambda g: streams.multinomial(g, WEIGHTS.astype(I8), 1), RuntimeError, "multinomial: the type"),
        (lambda g: streams.multinomial(g, WEIGHTS[None, None], 1), RuntimeError, "weights have 1 or 2 dimensions"),
        (lambda g: streams.multinomial(g, WEIGHTS, 0), RuntimeError, "the number of samples is not positive"),
        (lambda g: streams.multinomial(g, WEIGHTS, 6), RuntimeError, "got: 6 of 5\n  fix: replacement=True"),
        (lambda g: streams.multinomial(g, -WEIGHTS, 1), RuntimeError, "a weight is negative"),
        (lambda g: streams.multinomial(g, WEIGHTS * 0, 1), RuntimeError, "the weights of a row are all 0"),
    ],
)
def test_errors(call, error, text):
    gen = start()
    before = gen.get_state()
    with pytest.raises(error) as caught:
        call(gen)
    assert text in str(caught.value)
    np.testing.assert_array_equal(gen.get_state(), before)
