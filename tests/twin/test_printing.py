"""Printed tensors against PyTorch's, character by character."""

from __future__ import annotations

import contextlib
import itertools
import math
import warnings
import zlib
from collections.abc import Iterator

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import ml_dtypes  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from tapegrad.core import printing  # noqa: E402

REAL = ("float32", "float64", "float16", "bfloat16")
FLOAT8 = ("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz")
COMPLEX = ("complex64", "complex128", "complex32")
WHOLE = ("int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "uint64", "bool")
SHAPES = ((), (1,), (7,), (40,), (1001,), (2, 3), (3, 500), (7, 8, 19), (1, 2, 1), (2, 3, 2, 2), (7, 2, 8, 12))
EMPTY = ((0,), (2, 0), (0, 3), (1, 0, 4), (0, 0, 0, 0))


# ---- the two sides ---------------------------------------------------------------------------------------------------


def quiet(function, *args):
    """Call PyTorch without its warnings, such as that complex32 is experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args)


def as_array(t) -> np.ndarray:
    """The values of a PyTorch tensor of any type in the array that tapegrad would hold them in."""
    name = dtype_name(t)
    t = t.detach()
    if name == "complex32":
        return quiet(t.to, torch.complex64).numpy()
    if name == "bfloat16":
        return t.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    if name.startswith("float8"):
        return t.view(torch.uint8).numpy().view(getattr(ml_dtypes, name))
    return t.numpy()


def dtype_name(t) -> str:
    return str(t.dtype).removeprefix("torch.")


@contextlib.contextmanager
def both_printoptions(**options) -> Iterator[None]:
    with torch._tensor_str.printoptions(), printing.printoptions(**options):
        torch.set_printoptions(**options)
        yield


def check(t, *, suffixes=(), prefix="tensor(", default="float32", **options) -> None:
    """Print `t` on both sides; `suffixes` and `prefix` are what PyTorch finds out from `t` itself."""
    array = as_array(t)
    with both_printoptions(**options):
        ours = printing.format_tensor(
            array, dtype_name=dtype_name(t), default_dtype_name=default, suffixes=suffixes, prefix=prefix
        )
        assert ours == quiet(repr, t)


def seeded(*key) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(repr(key).encode()))


def tensor(values: np.ndarray, name: str):
    """A PyTorch tensor of that type; values out of its range become whatever PyTorch makes of them."""
    return quiet(torch.from_numpy(np.ascontiguousarray(values)).reshape(values.shape).to, getattr(torch, name))


# ---- values ----------------------------------------------------------------------------------------------------------


def real_values(kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    x = rng.standard_normal(shape)
    sign = np.where(rng.random(shape) < 0.5, -1.0, 1.0)
    if kind == "normal":
        return x
    if kind == "whole":
        return np.round(x * 50)
    if kind == "magnitudes":
        return sign * 10.0 ** rng.uniform(-7, 9, shape)
    if kind == "narrow":
        return sign * 10.0 ** rng.uniform(0, 3.02, shape)
    if kind == "zeros":
        return sign * 0.0
    special = rng.choice([0.0, -0.0, math.nan, math.inf, -math.inf, 1.0, -2.5], shape)
    return np.where(rng.random(shape) < 0.6, special, np.round(x) if kind == "special whole" else x)


KINDS = ("normal", "whole", "magnitudes", "narrow", "zeros", "special", "special whole")


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", REAL + FLOAT8)
def test_reals(name, shape):
    for kind in KINDS:
        check(tensor(real_values(kind, shape, seeded(name, shape, kind)), name))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", COMPLEX)
def test_complex(name, shape):
    for real, imag in itertools.product(KINDS, KINDS):
        rng = seeded(name, shape, real, imag)
        values = np.empty(shape, np.complex128)
        values.real, values.imag = real_values(real, shape, rng), real_values(imag, shape, rng)
        check(tensor(values, name))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", WHOLE)
def test_whole_types(name, shape):
    rng = seeded(name, shape)
    for high in (2, 10, 120, 30_000, 2**31, 2**62):
        check(tensor(rng.integers(0, high, shape), name))
        check(tensor(rng.integers(-high, high, shape), name))


@pytest.mark.parametrize("shape", EMPTY, ids=str)
@pytest.mark.parametrize("name", REAL + FLOAT8 + COMPLEX + WHOLE)
def test_empty(name, shape):
    check(tensor(np.empty(shape), name))
    if name in REAL + COMPLEX[:2]:
        check(tensor(np.empty(shape), name).requires_grad_(), suffixes=["requires_grad=True"])


LIMITS = [
    s * b for b in (1e-4, 1e-3, 1.0, 1e3, 1e5, 1e8) for s in (1.0, 1 - 1e-6, 1 + 1e-6, 1 - 2**-53, 1 + 2**-52, 0.5, 1.5)
]


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("first", LIMITS, ids=repr)
def test_limits_of_scientific_notation(first, name):
    for second in (0.0, math.nan, 1.0, -1.0, 1.5, 1e-4, 1e3, 1e5, 1e8):
        check(tensor(np.array([first, second]), name))
    check(tensor(np.array(first), name))


def test_extreme_values():
    for values in ([5e-324], [1.7976931348623157e308, 5e-324], [-1.7e308], [2.0**53, 1], [2.0**63, -(2.0**63)]):
        for sci_mode in (None, True, False):
            check(torch.tensor(values, dtype=torch.float64), sci_mode=sci_mode)
    check(torch.tensor([2**63 - 1, -(2**63), 0]))
    check(torch.tensor([2**64 - 1, 0], dtype=torch.uint64))
    check(torch.tensor([1e-45, 3e38], dtype=torch.float32))


# ---- options ---------------------------------------------------------------------------------------------------------

OPTIONS = [
    *({"precision": n} for n in (0, 1, 2, 8, 17)),
    *({"sci_mode": mode, "precision": n} for mode in (True, False) for n in (0, 3)),
    *({"linewidth": n} for n in (-5, 0, 1, 7, 8, 20, 39, 40, 41, 79, 120, 1000)),
    *({"threshold": n} for n in (-1, 0, 5, 41, math.inf)),
    *({"threshold": 0, "edgeitems": n} for n in (0, 1, 2, 4, 20, 21)),
    *({"threshold": 0, "edgeitems": n, "linewidth": 33} for n in (1, 3, 5)),
    *({"profile": name} for name in ("default", "short", "full")),
    {"profile": "short", "precision": 6, "linewidth": 50},
]


@pytest.mark.parametrize("options", OPTIONS, ids=repr)
def test_options(options):
    for shape in ((), (1,), (42,), (1010,), (2, 7), (3, 4, 11), (0,), (2, 0)):
        rng = seeded(shape)
        for kind in ("normal", "whole", "narrow", "special"):
            values = real_values(kind, shape, rng)
            for name in ("float32", "float64", "int64", "bool", "bfloat16"):
                if kind != "special" or name not in ("int64", "bool"):  # nan is no integer
                    check(tensor(values, name), **options)
            check(tensor(values + 1j * rng.standard_normal(shape), "complex64"), **options)


def test_set_printoptions_changes_the_same_options():
    calls = [
        {"precision": 2},
        {"sci_mode": True},
        {"edgeitems": 5, "sci_mode": True},
        {"linewidth": 100},
        {"profile": "short"},
        {"threshold": 10, "profile": "full"},
        {"profile": "default", "sci_mode": False},
        {},
    ]
    with both_printoptions():
        for call in calls:
            torch.set_printoptions(**call)
            printing.set_printoptions(**call)
            assert printing.get_printoptions() == torch._tensor_str.get_printoptions()


# ---- suffixes and prefixes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("linewidth", range(16, 82))
def test_where_suffixes_wrap(linewidth):
    for shape in ((1,), (2,), (11,), (13,), (14,), (2, 3), (1, 1, 29)):
        for name in ("float32", "float64"):
            leaf = tensor(np.zeros(shape), name)
            check(leaf, linewidth=linewidth)
            check(leaf.requires_grad_(), suffixes=["requires_grad=True"], linewidth=linewidth)
            check(leaf * 2, suffixes=["grad_fn=<MulBackward0>"], linewidth=linewidth)
        deep = leaf.expm1()  # three facts: size, dtype, grad_fn
        check(deep, suffixes=["grad_fn=<Expm1Backward0>"], linewidth=linewidth, edgeitems=0, threshold=3)


@pytest.mark.parametrize("n", [0, 1, 5, 11, 40, 1200])
def test_prefixes(n):
    values = torch.arange(n) * 1.5
    suffixes = ["requires_grad=True"]
    check(torch.nn.Parameter(values), prefix="Parameter containing:\ntensor(", suffixes=suffixes)
    check(torch.nn.Parameter(values[None]), prefix="Parameter containing:\ntensor(", suffixes=suffixes)
    check(values.as_subclass(type("Measured", (torch.Tensor,), {})), prefix="Measured(")


@pytest.mark.parametrize("default", ["float16", "bfloat16", "float32", "float64"])
def test_default_dtype(default):
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, default))
    try:
        for name in REAL + COMPLEX + WHOLE:
            for shape in ((), (2,), (0,), (0, 2)):
                check(tensor(np.ones(shape), name), default=default)
    finally:
        torch.set_default_dtype(before)


def test_strided_and_broadcast():
    values = torch.arange(24.0).reshape(2, 3, 4) / 3
    for t in (values.permute(2, 0, 1), values[:, ::2], values[1].T, torch.tensor(0.1).expand(50, 50)):
        check(t)


# ---- anything --------------------------------------------------------------------------------------------------------

numbers = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(width=32),
    st.integers(-(10**9), 10**9).map(float),
    st.floats(-1000, 1000),
    st.builds(lambda sign, e: sign * 10.0**e, st.sampled_from([1.0, -1.0]), st.integers(-6, 10)),
    st.sampled_from([0.0, -0.0]),
)
option_sets = st.fixed_dictionaries(
    {},
    optional={
        "precision": st.integers(0, 9),
        "threshold": st.integers(0, 30),
        "edgeitems": st.integers(0, 4),
        "linewidth": st.integers(0, 130),
        "sci_mode": st.sampled_from([None, True, False]),
    },
)


@st.composite
def tensors(draw):
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=4)))
    name = draw(st.sampled_from(REAL + FLOAT8 + COMPLEX))
    count = math.prod(shape)
    values = np.array(draw(st.lists(numbers, min_size=count, max_size=count)), np.float64)
    if name in COMPLEX:
        imag = draw(st.lists(numbers, min_size=count, max_size=count))
        values = np.stack([values, np.array(imag, np.float64)], axis=-1).view(np.complex128)[..., 0]
    return tensor(values.reshape(shape), name)


@settings(deadline=None, max_examples=300)
@given(t=tensors(), options=option_sets)
def test_any_tensor(t, options):
    check(t, **options)


@settings(deadline=None, max_examples=100)
@given(
    values=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=40),
    name=st.sampled_from(WHOLE),
    options=option_sets,
)
def test_any_whole_tensor(values, name, options):
    check(tensor(np.array(values, np.int64), name), **options)
