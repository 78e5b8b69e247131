"""Special functions: recorded 60-digit values, Python's math, identities, special values, layouts."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapegrad.backends.cpu import special

inf, nan = math.inf, math.nan

# Arguments exact in float32; values from 60-digit arithmetic, rounded to float64.
# fmt: off
RECORDED = {
    "erf": {
        9.313225746154785e-10: 1.050884991041862e-09, 0.125: 0.1403162048013338, 0.5: 0.5204998778130465,
        -1.0: -0.8427007929497149, 1.5: 0.9661051464753108, 2.0: 0.9953222650189527, -3.0: -0.9999779095030014,
        3.75: 0.9999998862727434,
    },
    "erfc": {
        -4.0: 1.999999984582742, -1.0: 1.8427007929497148, -0.25: 1.276326390168237,
        9.5367431640625e-07: 0.9999989238937692, 0.5: 0.4795001221869535, 1.0: 0.15729920705028513,
        3.0: 2.209049699858544e-05, 6.0: 2.1519736712498913e-17, 9.0: 4.13703174651381e-37,
    },
    "erfcx": {
        -5.0: 144009798674.66104, -0.5: 1.952360489182557, 0.25: 0.7703465477309968, 1.0: 0.427583576155807,
        4.0: 0.13699945762506138, 20.0: 0.02817434874105132, 27.5: 0.0205024473846148, 30.0: 0.01879588886141675,
        1000.0: 0.0005641893014533876,
    },
    "erfinv": {
        9.313225746154785e-10: 8.253631419062224e-10, 0.125: 0.11123545184094996, -0.5: -0.4769362762044699,
        0.75: 0.8134198475976185, 0.9375: 1.3171503349861307, -0.9990234375: -2.331467773621948,
        0.9999990463256836: 3.465505025803331, 0.9999999403953552: 3.832506856900711,
    },
    "ndtr": {
        -13.0: 6.11716439954988e-39, -6.0: 9.86587645037698e-10, -2.0: 0.02275013194817921, -0.5: 0.3085375387259869,
        0.25: 0.5987063256829237, 1.0: 0.8413447460685429, 3.0: 0.9986501019683699,
    },
    "log_ndtr": {
        -1000.0: -500007.82669481216, -40.0: -804.6084420137538, -6.0: -20.736768949974707, -1.0: -1.8410216450092636,
        -0.25: -0.9130617648111351, 0.0: -0.6931471805599453, 0.5: -0.3689464152886564, 3.0: -0.0013508099647481938,
        8.0: -6.220960574271786e-16,
    },
    "ndtri": {
        7.52316384526264e-37: -12.626696560491395, 8.673617379884035e-19: -8.773321169027552,
        9.5367431640625e-07: -4.7630010342678135, 0.0625: -1.5341205443525463, 0.25: -0.6744897501960817,
        0.4375: -0.1573106846101707, 0.75: 0.6744897501960817, 0.9999999403953552: 5.294704084854598,
    },
    "lgamma": {
        -20.25: -41.60096191534053, -3.5: -1.309006684993042, -0.75: 1.5757045971498584,
        9.5367431640625e-07: 13.8629430607239, 0.25: 1.2880225246980774, 0.75: 0.20328095143129538,
        1.25: -0.09827183642181316, 1.75: -0.08440112102048555, 2.5: 0.2846828704729192, 3.25: 0.9358019311087253,
        7.0: 6.579251212010101, 100.5: 361.4355404677776, 1099511627776.0: 29385423763643.473,
    },
    "digamma": {
        -20.25: 6.174235633614484, -3.25: 4.46627587235028, -0.75: -2.894120200042932,
        9.5367431640625e-07: -1048576.5772140962, 0.25: -4.2274535333762655, 1.0: -0.5772156649015329,
        1.46875: 0.006865411470735777, 2.0: 0.42278433509846713, 2.75: 0.8189010249754326, 3.5: 1.103156640645243,
        10.0: 2.251752589066721, 1000.0: 6.907255195648812,
    },
    "i0": {
        0.0009765625: 1.0000002384185933, 0.5: 1.0634833707413236, -2.0: 2.2795853023360673, 7.5: 268.16131151518937,
        12.0: 18948.925349296307, 12.5: 30596.335155785153, 40.0: 1.48947747934199e+16, 80.0: 2.4751784043341704e+33,
    },
    "i0e": {
        0.5: 0.6450352704491501, -2.0: 0.30850832255367105, 7.5: 0.14831583007739552, 12.0: 0.11642622121344044,
        12.5: 0.1140219294622889, 80.0: 0.044673291782275276, 10000.0: 0.003989472674604732,
    },
    "i1": {
        0.0009765625: 0.0004882813082076632, 0.5: 0.2578943053908963, -2.0: -1.590636854637329,
        7.5: 249.58436542268814, 12.0: 18141.348781638833, -12.5: -29345.74964207113, 40.0: 1.4707396163259352e+16,
        80.0: 2.459659579567541e+33,
    },
    "i1e": {
        0.5: 0.1564208031848717, -2.0: -0.21526928924893765, 7.5: 0.1380412115485542, 12.0: 0.11146429929018098,
        -12.5: -0.10936143099065089, 80.0: 0.044393200058097465, 10000.0: 0.003989273195983662,
    },
}
# f(x) is y, up to one unit in the last place
EXACT = {
    "erf": [(0.0, 0.0), (-0.0, -0.0), (1e-310, 1.1283791670955e-310), (6.0, 1.0), (inf, 1.0), (-inf, -1.0)],
    "erfc": [(0.0, 1.0), (-0.0, 1.0), (5e-324, 1.0), (-6.0, 2.0), (28.0, 0.0), (1e300, 0.0), (inf, 0.0), (-inf, 2.0)],
    "erfcx": [(0.0, 1.0), (-0.0, 1.0), (-27.0, inf), (1e30, 1e-30 / math.sqrt(math.pi)), (inf, 0.0), (-inf, inf)],
    "erfinv": [(0.0, 0.0), (-0.0, -0.0), (1.0, inf), (-1.0, -inf), (1.5, nan), (-2.0, nan), (inf, nan), (-inf, nan)],
    "ndtr": [(0.0, 0.5), (-0.0, 0.5), (9.0, 1.0), (-39.0, 0.0), (inf, 1.0), (-inf, 0.0)],
    "log_ndtr": [(-1e200, -inf), (40.0, 0.0), (inf, 0.0), (-inf, -inf)],
    "ndtri": [(0.0, -inf), (-0.0, -inf), (0.5, 0.0), (1.0, inf), (1.5, nan), (-0.5, nan), (inf, nan), (-inf, nan)],
    "lgamma": [
        (0.0, inf), (-0.0, inf), (1.0, 0.0), (2.0, 0.0), (-1.0, inf), (-2.0, inf), (-1e300, inf), (1e306, inf),
        (inf, inf), (-inf, inf),
    ],
    "digamma": [(0.0, -inf), (-0.0, inf), (-1.0, nan), (-2.0, nan), (-1e300, nan), (inf, inf), (-inf, nan)],
    "i0": [(0.0, 1.0), (-0.0, 1.0), (714.0, inf), (-714.0, inf), (inf, nan), (-inf, nan)],
    "i0e": [(0.0, 1.0), (-0.0, 1.0), (inf, 0.0), (-inf, 0.0)],
    "i1": [(0.0, 0.0), (-0.0, 0.0), (714.0, inf), (-714.0, -inf), (inf, nan), (-inf, nan)],
    "i1e": [(0.0, 0.0), (-0.0, 0.0), (inf, 0.0), (-inf, -0.0)],
}
# fmt: on
NAMES = sorted(RECORDED)


def call(name, x, dtype=np.float64):
    return getattr(special, name)(np.array(x, dtype))


def relative(got, expected):
    return np.max(np.abs(got - expected) / np.abs(expected))


@pytest.mark.parametrize("name", NAMES)
def test_recorded_values(name):
    x, expected = np.array(list(RECORDED[name])), np.array(list(RECORDED[name].values()))
    np.testing.assert_allclose(call(name, x), expected, rtol=3e-15, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_recorded_values_in_single_precision(name):
    x, expected = np.array(list(RECORDED[name])), np.array(list(RECORDED[name].values()))
    with np.errstate(over="ignore"):
        expected = expected.astype(np.float32)
    got = call(name, x, np.float32)
    assert got.dtype == np.float32
    finite = np.isfinite(expected)
    assert np.array_equal(got[~finite], expected[~finite])
    assert np.all(np.abs(got - expected)[finite] <= np.spacing(np.abs(expected[finite])))  # one unit in the last place


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NAMES)
def test_special_values(name, dtype):
    with np.errstate(all="ignore"):
        x, expected = np.array([*EXACT[name], (nan, nan)]).astype(dtype).T
    got = call(name, x, dtype)
    finite = np.isfinite(expected)
    np.testing.assert_array_max_ulp(got[finite], expected[finite], 1)
    np.testing.assert_array_equal(got[~finite], expected[~finite])
    zero = expected == 0  # -0.0 prints as such
    if name != "log_ndtr":
        assert np.array_equal(np.signbit(got[zero]), np.signbit(expected[zero]))


# --- against Python's math, float64


def grid(*parts):
    return np.concatenate([np.atleast_1d(np.asarray(p, np.float64)) for p in parts])


POWERS = 10.0 ** np.arange(-300, 301, 7)


def test_erf_is_that_of_math():
    x = grid(np.linspace(-6.5, 6.5, 8001), POWERS, -POWERS, 5e-324)
    expected = np.array([math.erf(v) for v in x])
    got = special.erf(x)
    assert np.all(np.abs(got - expected) <= 1.5e-15 * np.abs(expected))
    assert np.all(np.abs(got) <= 1)


def test_erfc_is_that_of_math():
    x = grid(np.linspace(-6.5, 26.5, 8001), POWERS, -POWERS)
    expected = np.array([math.erfc(v) for v in x])
    assert np.all(np.abs(special.erfc(x) - expected) <= 2e-15 * expected)


def test_erfc_is_gradual_where_it_underflows():
    x = np.linspace(26.5, 27.3, 400)
    expected = np.array([math.erfc(v) for v in x])
    assert np.all(np.abs(special.erfc(x) - expected) <= 2e-15 * expected + 2 * 5e-324)


def test_lgamma_is_that_of_math_right_of_zero():
    near = 10.0 ** np.linspace(-15, -1, 200)
    x = grid(np.linspace(0.001, 30, 8001), POWERS, 1 + near, 2 + near, 2 - near)
    expected = np.array([math.lgamma(v) for v in x])
    assert np.all(np.abs(special.lgamma(x) - expected) <= 1.2e-14 * np.maximum(np.abs(expected), 0.1))  # mostly math's


def test_lgamma_keeps_its_digits_beside_one_and_two():
    d = np.array([2.0**-50, 2.0**-40, 2.0**-30])  # log(gamma(1 + d)) = d (-c + d pi^2/12 ...), 1 - c beside 2
    c, curve = 0.5772156649015329, math.pi**2 / 12
    np.testing.assert_allclose(special.lgamma(1 + d), d * (curve * d - c), rtol=1e-15)
    np.testing.assert_allclose(special.lgamma(1 - d), d * (curve * d + c), rtol=1e-15)
    np.testing.assert_allclose(special.lgamma(2 + d), d * ((curve - 0.5) * d + 1 - c), rtol=1e-15)


def test_lgamma_is_that_of_math_left_of_zero():
    x = -grid(np.linspace(0.003, 30, 8001), POWERS)
    x = x[x != np.rint(x)]
    expected = np.array([math.lgamma(v) for v in x])
    assert np.all(np.abs(special.lgamma(x) - expected) <= 1e-14 * np.maximum(np.abs(expected), 1))


# --- identities


def test_erf_and_erfinv_are_inverse():
    y = grid(np.linspace(-0.999, 0.999, 4001), POWERS[POWERS < 0.9])
    assert relative(special.erf(special.erfinv(y))[y != 0], y[y != 0]) < 4e-15


def test_erfinv_reaches_the_last_numbers_before_one():
    tail = 2.0 ** -np.arange(2, 54)
    z = special.erfinv(1 - tail)
    assert np.all(np.diff(z) > 0)
    slope = 2 * z * z  # d log(erfc) / d log(z), about: what an error of z becomes
    assert np.all(np.abs(special.erfc(z) / tail - 1) < 1e-15 * (4 + 2 * slope))


def test_erfinv_is_odd_and_erf_too():
    y = np.linspace(0, 1, 1001)
    assert np.array_equal(special.erfinv(-y), -special.erfinv(y))
    assert np.array_equal(special.erf(-4 * y), -special.erf(4 * y))


def test_ndtri_is_the_inverse_of_ndtr():
    p = grid(np.linspace(0.001, 0.999, 2001), POWERS[POWERS < 0.9])
    z = special.ndtri(p)
    assert np.all(np.abs(special.ndtr(z) / p - 1) < 1e-15 * (6 + 2 * z * z))


def test_log_ndtr_is_the_logarithm_of_ndtr():
    x = np.linspace(-37, 5, 2001)
    np.testing.assert_allclose(special.log_ndtr(x), np.log(special.ndtr(x)), rtol=4e-15, atol=2e-16)


def test_erfcx_is_erfc_scaled():
    x = np.linspace(-4, 4, 1001)
    np.testing.assert_allclose(special.erfcx(x), np.exp(x * x) * special.erfc(x), rtol=1e-14)
    edge = np.array([28.0, np.nextafter(28.0, 29)])  # where one formula hands over to the other
    assert relative(special.erfcx(edge)[:1], special.erfcx(edge)[1:]) < 2e-15


def test_digamma_recurrence():
    x = np.linspace(0.01, 40, 4001)
    left, right = special.digamma(x + 1), special.digamma(x) + 1 / x
    assert np.all(np.abs(left - right) < 1e-15 * (2 + 4 / x))


def test_digamma_reflection():
    x = np.linspace(0.01, 0.99, 499)
    found = special.digamma(1 - x) - special.digamma(x)
    np.testing.assert_allclose(found, np.pi / np.tan(np.pi * x), rtol=0, atol=2e-14 / x.min())


def test_digamma_is_the_slope_of_lgamma():
    x = np.array([-4.3, -0.7, 0.2, 0.9, 1.2, 1.9, 2.7, 3.4, 8.0, 50.0])
    h = 1e-5
    slope = (special.lgamma(x + h) - special.lgamma(x - h)) / (2 * h)
    np.testing.assert_allclose(special.digamma(x), slope, rtol=1e-7, atol=1e-8)


def test_digamma_keeps_its_digits_beside_its_zero():
    zero, slope = 1.4616321449683622, 0.9676722454476212
    offset = 9.549995429965697e-17  # of the true zero, 1.46163214496836234126..., from the float64
    d = np.array([1.0, 4.0, 16.0, 4096.0]) * 2.0**-52
    np.testing.assert_allclose(special.digamma(zero + d), slope * (d - offset), rtol=1e-6)


def test_lgamma_recurrence():
    x = np.linspace(0.01, 40, 4001)
    left, right = special.lgamma(x + 1), special.lgamma(x) + np.log(x)
    assert np.all(np.abs(left - right) < 1e-15 * (4 + 3 * np.abs(left)))


def test_bessel_functions_are_scaled_alike_and_follow_the_recurrence():
    x = np.linspace(-40, 40, 2001)
    np.testing.assert_allclose(special.i0e(x), special.i0(x) * np.exp(-np.abs(x)), rtol=4e-15)
    np.testing.assert_allclose(special.i1e(x), special.i1(x) * np.exp(-np.abs(x)), rtol=4e-15)
    h = 1e-4  # the slope of i0 is i1
    y = np.array([0.3, 2.0, 9.0, 11.9999, 12.5, 20.0])
    slope = (special.i0(y + h) - special.i0(y - h)) / (2 * h)
    np.testing.assert_allclose(special.i1(y), slope, rtol=1e-6)


def test_bessel_functions_do_not_overflow_early():
    assert np.isfinite(call("i0", [713.0])).all() and np.isfinite(call("i1", [-713.0])).all()


# --- arrays


@pytest.mark.parametrize("name", NAMES)
def test_single_precision_is_double_precision_rounded(name):
    x = np.linspace(0.01, 0.99, 257).astype(np.float32)
    expected = call(name, x).astype(np.float32)
    assert np.all(np.abs(call(name, x, np.float32) - expected) <= np.spacing(np.abs(expected)))


@pytest.mark.parametrize("name", NAMES)
def test_layouts_and_blocks(name):
    function = getattr(special, name)
    flat = np.linspace(0.01, 0.99, 2 * special.BLOCK + 30)
    expected = function(flat)
    assert np.array_equal(expected[-7:], function(flat[-7:]))
    x = flat[:120].reshape(2, 3, 4, 5)
    for view in (
        x.transpose(2, 0, 3, 1),
        x[:, ::2, ::-1],
        x[::-1],
        np.broadcast_to(x[:1], (3, 3, 4, 5)),
        x[0, 0, 0, ::2],
    ):
        got = function(view)
        assert got.shape == view.shape and np.array_equal(got, function(view.copy()))
    assert function(x.transpose(2, 0, 3, 1)).strides == x.transpose(2, 0, 3, 1).strides
    assert function(np.empty((0, 3))).shape == (0, 3)


@pytest.mark.parametrize("name", NAMES)
def test_out_is_written_and_returned(name):
    function = getattr(special, name)
    x = np.linspace(0.01, 0.99, 60).reshape(6, 10)
    expected = function(x)
    for out in (np.empty((6, 10)), np.empty((10, 6)).T, np.empty((6, 20))[:, ::2]):
        assert function(x, out=out) is out and np.array_equal(out, expected)
    y = x.copy()
    assert function(y, y) is y and np.array_equal(y, expected)  # in place
    y = x.copy()
    function(y, out=y[::-1])  # overlapping
    assert np.array_equal(y[::-1], expected)
    wide = np.empty((6, 10))
    single = function(x.astype(np.float32), out=wide)
    assert single is wide and np.allclose(wide, expected, rtol=1e-4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_without_dimensions(dtype):
    for x in (dtype(0.5), np.array(0.5, dtype)):
        got = special.erf(x)
        assert got.shape == () and got.dtype == dtype and abs(got - math.erf(0.5)) < 1e-7
    assert abs(special.erf(0.5) - math.erf(0.5)) < 1e-15


@pytest.mark.parametrize("name", NAMES)
def test_no_warning_and_no_floating_point_error_escapes(name):
    extremes = [0.0, -0.0, 1.0, -1.0, -2.5, 1e300, -1e300, 5e-324, -5e-324, 800.0, inf, -inf, nan]
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        call(name, extremes)
        getattr(special, name)(np.array([0.0, -1.0, 80.0, -80.0, inf, -inf, nan], np.float32))
    assert np.geterr()["divide"] != "raise"


@pytest.mark.parametrize("dtype", [np.int64, np.float16, np.complex128, np.bool_])
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(TypeError, match="float32 and float64"):
        special.erf(np.ones(3, dtype))


@given(st.floats(-5, 5, width=32))
@settings(deadline=None)
def test_erf_and_erfc_add_up_to_one(x):
    assert abs(call("erf", x) + call("erfc", x) - 1) < 1e-15


@given(st.floats(0.01, 100))
@settings(deadline=None)
def test_doubling_of_lgamma(x):
    """Legendre: gamma(x) gamma(x + 1/2) = 2^(1 - 2x) sqrt(pi) gamma(2x)."""
    left = call("lgamma", x) + call("lgamma", x + 0.5)
    right = (1 - 2 * x) * math.log(2) + math.log(math.pi) / 2 + call("lgamma", 2 * x)
    assert abs(left - right) < 1e-14 * (1 + abs(left) + 2 * x)
