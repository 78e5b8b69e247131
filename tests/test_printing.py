"""The text of tensors: recorded from PyTorch 2.13, one case for every rule; these run without it."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapegrad.core import printing
from tapegrad.core.printing import format_tensor, get_printoptions, printoptions, set_printoptions

nan, inf = math.nan, math.inf


def f32(*values):
    return np.array(values, np.float32)


def f64(*values):
    return np.array(values, np.float64)


def f16(*values):
    return np.array(values, np.float16)


def bf16(*values):
    return np.array(values).astype(ml_dtypes.bfloat16)


def c64(*values):
    return np.array(values, np.complex64)


def i64(*values):
    return np.array(values, np.int64)


def steps(*shape):
    """0, 1.5, 3, ... in that shape."""
    return (np.arange(math.prod(shape), dtype=np.float32) * 1.5).reshape(shape)


def text(array, **facts) -> str:
    return format_tensor(array, **{"dtype_name": array.dtype.name, **facts})


RECORDED = [  # what is shown, values, print options, PyTorch's text
    # 0-d
    ("whole", np.array(2, np.float32), {}, "tensor(2.)"),
    ("fraction", np.array(-1.5, np.float32), {}, "tensor(-1.5000)"),
    ("small", np.array(1e-5, np.float32), {}, "tensor(1.0000e-05)"),
    ("large", np.array(1e10, np.float32), {}, "tensor(1.0000e+10)"),
    ("negative zero", np.array(-0.0, np.float32), {}, "tensor(-0.)"),
    ("nan", np.array(nan, np.float32), {}, "tensor(nan)"),
    ("infinity", np.array(-inf), {}, "tensor(-inf, dtype=torch.float64)"),
    ("integer", np.array(-7), {}, "tensor(-7)"),
    ("bool", np.array(True), {}, "tensor(True)"),
    ("complex", np.array(-1.5 + 1e-9j, np.complex64), {}, "tensor(-1.5000+1.0000e-09j)"),
    ("bfloat16", np.array(1e-5).astype(ml_dtypes.bfloat16), {}, "tensor(1.0014e-05, dtype=torch.bfloat16)"),
    # whole numbers as floats
    ("aligned with sign", f32(1, -2, 30), {}, "tensor([ 1., -2., 30.])"),
    ("spread of exactly 1000", f32(1000, 1), {}, "tensor([1000.,    1.])"),
    ("spread over 1000", f32(1001, 1), {}, "tensor([1.0010e+03, 1.0000e+00])"),
    ("largest of exactly 1e8", f32(1e8, 1e6), {}, "tensor([100000000.,   1000000.])"),
    ("largest over 1e8", f64(100_000_001), {}, "tensor([1.0000e+08], dtype=torch.float64)"),
    ("zeros are not judged", f32(0, 1e8, 1e6), {}, "tensor([        0., 100000000.,   1000000.])"),
    ("infinities and nan do not widen", f32(1, nan, -inf), {}, "tensor([1., nan, -inf])"),
    ("only zeros", f32(0, -0.0), {}, "tensor([0., -0.])"),
    ("only zeros and nan", f32(0, nan, -inf), {}, "tensor([0., nan, -inf])"),
    ("float32 rounds", f32(16_777_217, 10**6), {}, "tensor([16777216.,  1000000.])"),
    ("seen as float64", f64(2**53 + 2, 2**53), {}, "tensor([9.0072e+15, 9.0072e+15], dtype=torch.float64)"),
    # fixed and scientific
    ("one fraction decides", f32(1, 2.5), {}, "tensor([1.0000, 2.5000])"),
    ("aligned fractions", f32(1.5, 100.25, -3), {}, "tensor([  1.5000, 100.2500,  -3.0000])"),
    ("special values aligned", f32(1.5, 100.25, nan, -inf), {}, "tensor([  1.5000, 100.2500,      nan,     -inf])"),
    (
        "special values scientific",
        f32(1e10, nan, -inf, 0, -0.0),
        {},
        "tensor([1.0000e+10,        nan,       -inf, 0.0000e+00, -0.0000e+00])",
    ),
    ("negative zero fits in", f32(1.5, -0.0), {}, "tensor([1.5000, -0.0000])"),
    ("rounded up in width", f32(9.99999, 0.5), {}, "tensor([10.0000,  0.5000])"),
    ("smallest of exactly 1e-4", f64(1e-4), {}, "tensor([0.0001], dtype=torch.float64)"),
    ("smallest under 1e-4", f32(1e-4), {}, "tensor([1.0000e-04])"),
    ("spread of exactly 1000 fixed", f64(0.001, 1), {}, "tensor([0.0010, 1.0000], dtype=torch.float64)"),
    ("spread over 1000 fixed", f64(0.00099, 1), {}, "tensor([9.9000e-04, 1.0000e+00], dtype=torch.float64)"),
    ("large fixed", f64(99_999_999.5), {}, "tensor([99999999.5000], dtype=torch.float64)"),
    (
        "subnormal and three digits of exponent",
        f64(1.7e308, 5e-324),
        {},
        "tensor([1.7000e+308, 4.9407e-324], dtype=torch.float64)",
    ),
    ("float16", f16(65504, 1e-5), {}, "tensor([6.5504e+04, 1.0014e-05], dtype=torch.float16)"),
    ("float16 fixed", f16(0.1, 3), {}, "tensor([0.1000, 3.0000], dtype=torch.float16)"),
    ("bfloat16 rounded", bf16(0.1, 3), {}, "tensor([0.1001, 3.0000], dtype=torch.bfloat16)"),
    (
        "float8",
        np.array([0.5, 448]).astype(ml_dtypes.float8_e4m3fn),
        {},
        "tensor([  0.5000, 448.0000], dtype=torch.float8_e4m3fn)",
    ),
    # integers and bools
    ("aligned integers", i64(1, -2, 300), {}, "tensor([  1,  -2, 300])"),
    ("int32", np.array([1, 2], np.int32), {}, "tensor([1, 2], dtype=torch.int32)"),
    ("uint8", np.array([1, 255], np.uint8), {}, "tensor([  1, 255], dtype=torch.uint8)"),
    (
        "int64 limits",
        i64(0, 2**63 - 1, -(2**63)),
        {},
        "tensor([                   0,  9223372036854775807, -9223372036854775808])",
    ),
    (
        "uint64 limit",
        np.array([2**64 - 1, 0], np.uint64),
        {},
        "tensor([18446744073709551615,                    0], dtype=torch.uint64)",
    ),
    ("bools", np.array([True, False]), {}, "tensor([ True, False])"),
    (
        "bools in columns",
        np.array([[True], [False]]),
        {},
        """\
tensor([[ True],
        [False]])""",
    ),
    ("only true", np.array([True, True]), {}, "tensor([True, True])"),
    # complex
    ("whole parts", c64(1 + 2j, -11 - 30j), {}, "tensor([  1.+2.j, -11.-30.j])"),
    ("parts in their own style", c64(1 + 2.5j, 2 - 100.25j), {}, "tensor([1.+2.5000j, 2.-100.2500j])"),
    ("scientific imaginary part", c64(1 + 1e10j), {}, "tensor([1.+1.0000e+10j])"),
    ("complex128", np.array([0.5j]), {}, "tensor([0.+0.5000j], dtype=torch.complex128)"),
    ("complex zeros", c64(0, complex(-0.0, -0.0)), {}, "tensor([0.+0.j, -0.-0.j])"),
    (
        "complex special",
        c64(complex(nan, 2.5), complex(inf, -inf), complex(1e10, nan)),
        {},
        "tensor([       nan+2.5000j,        inf-infj, 1.0000e+10+nanj])",
    ),
    (
        "complex rows",
        c64(*(1.5 * k + 1j for k in range(8))),
        {},
        """\
tensor([ 0.0000+1.j,  1.5000+1.j,  3.0000+1.j,  4.5000+1.j,  6.0000+1.j,  7.5000+1.j,
         9.0000+1.j, 10.5000+1.j])""",
    ),
    # shapes
    (
        "matrix",
        steps(2, 3),
        {},
        """\
tensor([[0.0000, 1.5000, 3.0000],
        [4.5000, 6.0000, 7.5000]])""",
    ),
    (
        "three dimensions",
        steps(2, 2, 2),
        {},
        """\
tensor([[[ 0.0000,  1.5000],
         [ 3.0000,  4.5000]],

        [[ 6.0000,  7.5000],
         [ 9.0000, 10.5000]]])""",
    ),
    (
        "four dimensions",
        steps(2, 1, 2, 1),
        {},
        """\
tensor([[[[0.0000],
          [1.5000]]],


        [[[3.0000],
          [4.5000]]]])""",
    ),
    ("ones", np.zeros((1, 1, 1, 1)), {}, "tensor([[[[0.]]]], dtype=torch.float64)"),
    (
        "transposed",
        steps(2, 3).T,
        {},
        """\
tensor([[0.0000, 4.5000],
        [1.5000, 6.0000],
        [3.0000, 7.5000]])""",
    ),
    (
        "broadcast",
        np.broadcast_to(np.float32(0.5), (2, 3)),
        {},
        """\
tensor([[0.5000, 0.5000, 0.5000],
        [0.5000, 0.5000, 0.5000]])""",
    ),
    ("empty", f32(), {}, "tensor([])"),
    ("empty float64", f64(), {}, "tensor([], dtype=torch.float64)"),
    ("empty int64", i64(), {}, "tensor([], dtype=torch.int64)"),
    ("empty complex", c64(), {}, "tensor([], dtype=torch.complex64)"),
    ("empty with size", np.zeros((2, 0), np.float32), {}, "tensor([], size=(2, 0))"),
    ("empty with size and dtype", np.zeros((0, 3, 4), np.int32), {}, "tensor([], size=(0, 3, 4), dtype=torch.int32)"),
    (
        "row over several lines",
        steps(20),
        {},
        """\
tensor([ 0.0000,  1.5000,  3.0000,  4.5000,  6.0000,  7.5000,  9.0000, 10.5000,
        12.0000, 13.5000, 15.0000, 16.5000, 18.0000, 19.5000, 21.0000, 22.5000,
        24.0000, 25.5000, 27.0000, 28.5000])""",
    ),
    (
        "row of integers over several lines",
        np.arange(30),
        {},
        """\
tensor([ 0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14, 15, 16, 17,
        18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29])""",
    ),
    (
        "nested rows over several lines",
        steps(2, 10),
        {},
        """\
tensor([[ 0.0000,  1.5000,  3.0000,  4.5000,  6.0000,  7.5000,  9.0000, 10.5000,
         12.0000, 13.5000],
        [15.0000, 16.5000, 18.0000, 19.5000, 21.0000, 22.5000, 24.0000, 25.5000,
         27.0000, 28.5000]])""",
    ),
    (
        "zeros exceed the line",
        np.zeros(30, np.float32),
        {},
        """\
tensor([0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0.,
        0., 0., 0., 0., 0., 0.])""",
    ),
    # summaries
    ("1000 are shown, 1001 are not", np.arange(1001), {}, "tensor([   0,    1,    2,  ...,  998,  999, 1000])"),
    (
        "all dimensions",
        steps(8, 200),
        {"edgeitems": 2},
        """\
tensor([[0.0000e+00, 1.5000e+00,  ..., 2.9700e+02, 2.9850e+02],
        [3.0000e+02, 3.0150e+02,  ..., 5.9700e+02, 5.9850e+02],
        ...,
        [1.8000e+03, 1.8015e+03,  ..., 2.0970e+03, 2.0985e+03],
        [2.1000e+03, 2.1015e+03,  ..., 2.3970e+03, 2.3985e+03]])""",
    ),
    (
        "short dimensions stay",
        steps(2, 3, 500),
        {},
        """\
tensor([[[0.0000e+00, 1.5000e+00, 3.0000e+00,  ..., 7.4550e+02,
          7.4700e+02, 7.4850e+02],
         [7.5000e+02, 7.5150e+02, 7.5300e+02,  ..., 1.4955e+03,
          1.4970e+03, 1.4985e+03],
         [1.5000e+03, 1.5015e+03, 1.5030e+03,  ..., 2.2455e+03,
          2.2470e+03, 2.2485e+03]],

        [[2.2500e+03, 2.2515e+03, 2.2530e+03,  ..., 2.9955e+03,
          2.9970e+03, 2.9985e+03],
         [3.0000e+03, 3.0015e+03, 3.0030e+03,  ..., 3.7455e+03,
          3.7470e+03, 3.7485e+03],
         [3.7500e+03, 3.7515e+03, 3.7530e+03,  ..., 4.4955e+03,
          4.4970e+03, 4.4985e+03]]])""",
    ),
    (
        "three summarised dimensions",
        steps(3, 4, 100),
        {"edgeitems": 1},
        """\
tensor([[[   0.0000,  ...,  148.5000],
         ...,
         [ 450.0000,  ...,  598.5000]],

        ...,

        [[1200.0000,  ..., 1348.5000],
         ...,
         [1650.0000,  ..., 1798.5000]]])""",
    ),
    (
        "rows beside dots in a shorter dimension",
        steps(2, 3, 3),
        {"threshold": 0, "edgeitems": 1},
        """\
tensor([[[ 0.0000,  ...,  3.0000],
         ...,
         [ 9.0000,  ..., 12.0000]],

        [[13.5000,  ..., 16.5000],
         ...,
         [22.5000,  ..., 25.5000]]])""",
    ),
    ("unseen values have no say", np.pad(f32(1e9, 0.5), 600), {}, "tensor([0., 0., 0.,  ..., 0., 0., 0.])"),
    (
        "dots begin a line",
        steps(40),
        {"threshold": 5, "edgeitems": 8},
        """\
tensor([ 0.0000,  1.5000,  3.0000,  4.5000,  6.0000,  7.5000,  9.0000, 10.5000,
         ..., 48.0000, 49.5000, 51.0000, 52.5000, 54.0000, 55.5000, 57.0000,
        58.5000])""",
    ),
    (
        "dots end a line",
        steps(40),
        {"threshold": 5, "edgeitems": 9},
        """\
tensor([ 0.0000,  1.5000,  3.0000,  4.5000,  6.0000,  7.5000,  9.0000, 10.5000,
        12.0000,  ..., 46.5000, 48.0000, 49.5000, 51.0000, 52.5000, 54.0000,
        55.5000, 57.0000, 58.5000])""",
    ),
    (
        "bools summarised",
        steps(40) > 3,
        {"threshold": 5, "edgeitems": 4},
        "tensor([False, False, False,  True,  ...,  True,  True,  True,  True])",
    ),
    ("threshold zero", steps(6), {"threshold": 0}, "tensor([0.0000, 1.5000, 3.0000, 4.5000, 6.0000, 7.5000])"),
    ("no edge items", steps(4, 5), {"threshold": 5, "edgeitems": 0}, "tensor([...], size=(4, 5))"),
    ("no edge items but few values", i64(1, 2), {"edgeitems": 0}, "tensor([1, 2], size=(2,))"),
    # options
    ("precision 2", f32(1.005, 2), {"precision": 2}, "tensor([1.00, 2.00])"),
    ("precision 0", f32(1.5, 2), {"precision": 0}, "tensor([2, 2])"),
    ("precision 0 scientific", f32(1.5, 1e5), {"precision": 0}, "tensor([2e+00, 1e+05])"),
    ("precision 9", f32(0.1), {"precision": 9}, "tensor([0.100000001])"),
    ("scientific on", f32(1, 20), {"sci_mode": True}, "tensor([1.0000e+00, 2.0000e+01])"),
    ("scientific on, nothing judged", f32(0, nan), {"sci_mode": True}, "tensor([0., nan])"),
    ("scientific on, integers", i64(1, 20), {"sci_mode": True}, "tensor([ 1, 20])"),
    ("scientific off", f32(1e10, 1e-10), {"sci_mode": False}, "tensor([10000000000.0000,           0.0000])"),
    ("scientific off, whole", f32(1e10, 1), {"sci_mode": False}, "tensor([10000000000.,           1.])"),
    (
        "narrow line",
        steps(7),
        {"linewidth": 40},
        """\
tensor([0.0000, 1.5000, 3.0000, 4.5000,
        6.0000, 7.5000, 9.0000])""",
    ),
    (
        "no room at all",
        steps(1, 3),
        {"linewidth": 5},
        """\
tensor([[0.0000,
         1.5000,
         3.0000]])""",
    ),
    (
        "wide line",
        steps(11),
        {"linewidth": 200},
        "tensor([ 0.0000,  1.5000,  3.0000,  4.5000,  6.0000,  7.5000,  9.0000, 10.5000, 12.0000, 13.5000, 15.0000])",
    ),
    ("profile short", steps(2000), {"profile": "short"}, "tensor([0.00e+00, 1.50e+00,  ..., 3.00e+03, 3.00e+03])"),
]


@pytest.mark.parametrize(("array", "options", "expected"), [c[1:] for c in RECORDED], ids=[c[0] for c in RECORDED])
def test_recorded(array, options, expected):
    with printoptions(**options):
        assert text(array) == expected


# ---- beside the values -----------------------------------------------------------------------------------------------


def test_default_dtype_is_not_named():
    hidden = {
        "float32": {"float32", "complex64", "int64", "bool"},
        "float64": {"float64", "complex128", "int64", "bool"},
        "float16": {"float16", "complex64", "int64", "bool"},
        "bfloat16": {"bfloat16", "complex64", "int64", "bool"},
    }
    names = set().union(*hidden.values()) | {"int32", "complex32"}
    for default, expected in hidden.items():
        ones = {name: text(f32(1), dtype_name=name, default_dtype_name=default) for name in names}
        assert {name for name, shown in ones.items() if shown == "tensor([1.])"} == expected
        empty = {name: text(f32(), dtype_name=name, default_dtype_name=default) for name in names}
        assert {name for name, shown in empty.items() if shown == "tensor([])"} == {default}


def test_dtype_name_is_printed_as_given():
    assert text(c64(1j), dtype_name="complex32") == "tensor([0.+1.j], dtype=torch.complex32)"


def test_suffixes_follow_on_the_line():
    assert text(f32(1, 2), suffixes=["requires_grad=True"]) == "tensor([1., 2.], requires_grad=True)"
    assert text(np.float32([[]]), suffixes=["requires_grad=True"]) == "tensor([], size=(1, 0), requires_grad=True)"
    assert text(f64(2), suffixes=["grad_fn=<MulBackward0>"]) == (
        "tensor([2.], dtype=torch.float64, grad_fn=<MulBackward0>)"
    )


def test_suffixes_wrap_where_they_do_not_fit():
    assert text(steps(8) + 0.25, suffixes=["requires_grad=True"]) == (
        "tensor([ 0.2500,  1.7500,  3.2500,  4.7500,  6.2500,  7.7500,  9.2500, 10.7500],\n       requires_grad=True)"
    )
    start = "tensor([1.]"
    for linewidth, gap in ((20, ", "), (19, ",\n       ")):  # the text, the suffix and four more make 20
        with printoptions(linewidth=linewidth):
            assert text(f32(1), suffixes=["x=123"]) == f"{start}{gap}x=123)"
    with printoptions(linewidth=20):
        assert text(f64(1), suffixes=["a=1", "b=2", "c=3"]) == (
            f"{start},\n       dtype=torch.float64,\n       a=1, b=2, c=3)"  # 7 + 3, then 5 for each: 20 still fits
        )
    with printoptions(linewidth=19):
        assert text(f64(1), suffixes=["a=1", "b=2", "c=3"]).endswith("a=1, b=2,\n       c=3)")


def test_suffixes_count_from_the_last_line():
    assert text(steps(2, 10), suffixes=["grad_fn=<MulBackward0>"]).endswith(
        ",\n         27.0000, 28.5000]], grad_fn=<MulBackward0>)"
    )


def test_prefix_sets_the_indentation():
    assert text(steps(2, 1), prefix="Sub(") == "Sub([[0.0000],\n     [1.5000]])"
    assert text(steps(2, 1), prefix="Parameter containing:\ntensor(", suffixes=["requires_grad=True"]) == (
        "Parameter containing:\ntensor([[0.0000],\n        [1.5000]], requires_grad=True)"
    )


# ---- options ---------------------------------------------------------------------------------------------------------

DEFAULTS = {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80, "sci_mode": None}


@pytest.fixture
def restored():
    with printoptions():
        yield


def test_options_start_as_the_default_profile():
    assert get_printoptions() == DEFAULTS


def test_profiles(restored):
    set_printoptions(profile="short")
    assert get_printoptions() == DEFAULTS | {"precision": 2, "edgeitems": 2}
    set_printoptions(profile="full")
    assert get_printoptions() == DEFAULTS | {"threshold": inf}
    set_printoptions(profile="full", precision=7)
    assert get_printoptions() == DEFAULTS | {"threshold": inf, "precision": 7}
    set_printoptions(profile="default")
    assert get_printoptions() == DEFAULTS


def test_options_stay_and_sci_mode_does_not(restored):
    set_printoptions(precision=2, sci_mode=True)
    set_printoptions(linewidth=50)
    assert get_printoptions() == DEFAULTS | {"precision": 2, "linewidth": 50}


def test_full_profile_shows_everything(restored):
    set_printoptions(profile="full", linewidth=inf)
    assert text(np.ones(5000, np.bool_)) == "tensor([" + ", ".join(["True"] * 5000) + "])"


def test_printoptions_restores_after_an_error():
    with pytest.raises(KeyError), printoptions(precision=1), printoptions(precision=2, sci_mode=False):
        assert text(f32(0.25)) == "tensor([0.25])"
        raise KeyError
    assert get_printoptions() == DEFAULTS


@pytest.mark.parametrize(
    ("options", "error", "expected"),
    [
        ({"precision": 2.0}, TypeError, "bad precision\n  got: 2.0\n  expected: an integer, zero or more"),
        ({"precision": -1}, ValueError, "bad precision\n  got: -1"),
        ({"edgeitems": "3"}, TypeError, "bad edgeitems\n  got: '3'"),
        ({"edgeitems": -2}, ValueError, "bad edgeitems\n  got: -2"),
        ({"threshold": "x"}, TypeError, "bad threshold\n  got: 'x'"),
        ({"threshold": nan}, ValueError, "bad threshold\n  got: nan"),
        ({"linewidth": []}, TypeError, r"bad linewidth\n  got: \[\]"),
        (
            {"profile": "Full"},
            ValueError,
            "unknown profile\n  got: 'Full'\n  expected: one of 'default', 'short', 'full'",
        ),
    ],
    ids=repr,
)
def test_bad_options_change_nothing(options, error, expected):
    with pytest.raises(error, match=expected):
        set_printoptions(**{"precision": 1, "linewidth": 10, **options})
    assert get_printoptions() == DEFAULTS


def test_numpy_numbers_are_numbers(restored):
    set_printoptions(precision=np.int64(1), threshold=np.float64(2), edgeitems=np.int8(1), linewidth=np.int32(70))
    assert text(f32(0.5, 1, 2)) == "tensor([0.5,  ..., 2.0])"


# ---- properties ------------------------------------------------------------------------------------------------------


def test_a_summary_touches_only_what_is_shown():
    huge = np.broadcast_to(np.float32(1.5), (10**6, 10**6, 10**5))
    assert text(huge).count("1.5000") == 6**3


@settings(deadline=None)
@given(st.lists(st.floats(), min_size=1, max_size=30))
def test_all_digits_give_the_numbers_back(values):
    with printoptions(precision=16, sci_mode=True, linewidth=inf):
        shown = text(np.array(values)).removeprefix("tensor([").removesuffix("], dtype=torch.float64)")
    np.testing.assert_array_equal([float(v) for v in shown.split(",")], values)


@settings(deadline=None)
@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    edgeitems=st.integers(1, 3),
    linewidth=st.integers(0, 100),
)
def test_a_summary_keeps_the_corners(shape, edgeitems, linewidth):
    values = np.arange(math.prod(shape)).reshape(shape)
    with printoptions(threshold=0, edgeitems=edgeitems, linewidth=linewidth):
        shown = text(values)
    kept = values[np.ix_(*([k for k in range(n) if k < edgeitems or k >= n - edgeitems] for n in shape))]
    numbers = shown.translate(str.maketrans("[](),", "     ")).removeprefix("tensor").split()
    assert [int(word) for word in numbers if word != "..."] == kept.ravel().tolist()
    assert shown.count("[") == shown.count("]")


def test_state_is_one_frozen_value():
    with pytest.raises(AttributeError):
        printing.PrintOptions().precision = 3
