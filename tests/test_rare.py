"""The rare special functions: recorded 50-digit values, identities, special values, dtypes; spectra and windows."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tapegrad as torch
from tapegrad.backends.cpu import bessel, gammas, polynomials, special
from tapegrad.core.tensor import wrap

inf, nan = math.inf, math.nan

# Arguments exact in float64; values from 50-digit arithmetic, rounded to float64.
# fmt: off
WAVES = {
    "bessel_j0": {
        1e-09: 1.0, 0.5: 0.9384698072408129, 2.40625: -0.000739276482217002, 4.875: -0.217559359407971,
        5.25: -0.09308098963931788, 12.0: 0.047689310796833535, -1000.0: 0.024786686152420176,
    },
    "bessel_j1": {
        1e-09: 5e-10, -0.5: -0.2422684576748739, 3.828125: 0.0014429408890753682, 4.875: -0.31095346151845216,
        5.25: -0.34501397857943766, 12.0: -0.2234471044906276, 1000.0: 0.004728311907089524,
    },
    "bessel_y0": {
        1e-09: -13.266645074938387, 0.5: -0.44451873350670656, 2.0: 0.5103756726497451, 4.875: -0.28742088345506345,
        5.25: -0.33477723515498115, 12.0: -0.22523731263436145, 1000.0: 0.0047159179776228135,
    },
    "bessel_y1": {
        1e-09: -636619772.3675814, 0.5: -1.471472392670243, 2.0: -0.10703243154093754, 4.875: 0.18943865593279033,
        5.25: 0.061861000898943724, 12.0: -0.05709921826089652, 1000.0: -0.024784331292351778,
    },
    "airy_ai": {
        -40.0: -0.04593392343795725, -5.0: 0.35076100902411433, -4.0: -0.07026553294928951, -1.5: 0.4642565777488694,
        0.0: 0.3550280538878172, 0.5: 0.23169360648083348, 1.5: 0.07174949700810541, 10.0: 1.1047532552898686e-10,
        30.0: 3.2082175915504954e-49,
    },
}
DECAYS = {
    "k0": {
        1e-09: 20.839197352604824, 0.5: 0.9244190712276659, 1.875: 0.1329048390345923, 2.25: 0.08404311197465811,
        20.0: 5.741237815336525e-10, 600.0: 1.3558285309948523e-262,
    },
    "k1": {
        1e-09: 999999999.9999999, 0.5: 1.656441120003301, 1.875: 0.16508225585016484, 2.25: 0.10121630256832526,
        20.0: 5.883057969557038e-10, 600.0: 1.356957918112806e-262,
    },
}
INCOMPLETE = {  # (a, x): (P, Q)
    (1e-08, 1e-06): (0.9999998676170497, 1.3238295025024798e-07),
    (0.001, 0.75): (0.9996593831537343, 0.0003406168462657451),
    (0.5, 0.25): (0.5204998778130465, 0.4795001221869535),
    (0.5, 1.5): (0.9167354833364496, 0.0832645166635504),
    (3.0, 20.0): (0.9999995444850495, 4.555149505589213e-07),
    (15.0, 2.5): (6.915313866992889e-08, 0.9999999308468613),
    (19.5, 19.0): (0.4846554731677068, 0.5153445268322933),
    (25.0, 24.0): (0.44599877692500434, 0.5540012230749957),
    (50.0, 20.0): (1.245892607971938e-08, 0.9999999875410739),
    (150.0, 210.0): (0.9999943842312181, 5.615768781937542e-06),
    (10000.0, 10100.0): (0.8413487504471796, 0.15865124955282037),
}
ZETA = {  # (s, q)
    (1.0009765625, 0.5): 1025.9648322260853,
    (1.5, 20.0): 0.4528736171293873,
    (2.0, 0.001): 1000001.6425331958,
    (3.25, 9.5): 0.0031560807715285467,
    (12.0, 0.75): 31.570509390832157,
    (30.0, 5.0): 1.0783103972232815e-21,
    (60.0, 300.0): 1.321360632000015e-148,
    (2.0, -0.5): 8.934802200544679,
    (3.0, -2.25): -61.94847488703008,
    (5.0, -7.75): 1020.0656692682602,
}
# fmt: on


def near(got, expected, relative, absolute=0.0):
    np.testing.assert_allclose(got, expected, rtol=relative, atol=absolute)


# ---- Bessel functions ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WAVES)
def test_waves(name):
    x, expected = np.array(list(WAVES[name])), np.array(list(WAVES[name].values()))
    near(getattr(bessel, name)(x), expected, 2e-15 if name != "airy_ai" else 2e-13, 3e-16)
    single = getattr(bessel, name)(x.astype(np.float32))
    assert single.dtype == np.float32
    usual = np.float32(x) == x
    near(single[usual], expected[usual].astype(np.float32), 1.2e-7, 1e-45)


@pytest.mark.parametrize("name", DECAYS)
def test_decays(name):
    x, expected = np.array(list(DECAYS[name])), np.array(list(DECAYS[name].values()))
    function = getattr(bessel, f"bessel_{name}")
    near(function(x, False), expected, 2e-15)
    near(function(x[:-1], True), expected[:-1] * np.exp(x[:-1]), 6e-15)


def test_wronskians():
    """J1 Y0 - J0 Y1 = 2 / (pi x), and I0 K1 + I1 K0 = 1 / x: every piece of every function, and where they meet."""
    edges = [np.nextafter(e, e + s) for e in (2.0, 5.0, 12.0) for s in (-1, 1)]
    x = np.concatenate([np.linspace(0.01, 40, 4001), edges])
    product = bessel.bessel_j1(x) * bessel.bessel_y0(x) - bessel.bessel_j0(x) * bessel.bessel_y1(x)
    near(product * (math.pi * x / 2), 1.0, 4e-14)
    product = special.i0e(x) * bessel.bessel_k1(x, True) + special.i1e(x) * bessel.bessel_k0(x, True)
    near(product * x, 1.0, 4e-15)


def test_airy_solves_its_equation():
    x, h = np.linspace(-8, 6, 1401), 1e-3
    curve = sum(w * bessel.airy_ai(x + k * h) for k, w in ((-2, -1), (-1, 16), (0, -30), (1, 16), (2, -1))) / (
        12 * h * h
    )
    near(curve, x * bessel.airy_ai(x), 0, 2e-8)


def test_special_values_of_bessel_functions():
    x = np.array([0.0, -1.0, inf, -inf, nan])
    near(bessel.bessel_j0(x), [1.0, 0.7651976865579666, nan, nan, nan], 1e-15)
    near(bessel.bessel_j1(x), [0.0, -0.4400505857449335, nan, nan, nan], 1e-15)
    for function in (bessel.bessel_y0, bessel.bessel_y1):
        np.testing.assert_array_equal(function(x), [-inf, nan, nan, nan, nan])
    for function in (bessel.bessel_k0, bessel.bessel_k1):
        for scaled in (True, False):
            np.testing.assert_array_equal(function(x, scaled), [inf, nan, 0.0, nan, nan])
    np.testing.assert_array_equal(bessel.airy_ai(x[2:]), [nan] * 3)
    assert torch.special.spherical_bessel_j0(wrap(np.array([0.0, inf, -inf]))).tolist() == [1.0, 0.0, 0.0]
    assert np.signbit(bessel.bessel_j1(np.array([-0.0])))[0]


# ---- gamma and zeta ------------------------------------------------------------------------------------------------


def test_incomplete_gamma_functions():
    a, x = np.array(list(INCOMPLETE)).T
    lower, upper = np.array(list(INCOMPLETE.values())).T
    near(gammas.igamma(a, x), lower, 2e-14)
    near(gammas.igammac(a, x), upper, 2e-14)


def test_incomplete_gamma_functions_add_up_and_follow_the_recurrence():
    """P + Q = 1, and P(a, x) - P(a + 1, x) = x**a exp(-x) / gamma(a + 1), on both sides of every border."""
    rng = np.random.default_rng(0)
    a, x = 10 ** rng.uniform(-2, 3, (2, 3000))
    x[::2] = a[::2] * (1 + 0.4 * rng.standard_normal(1500) / np.sqrt(1 + a[::2] / 10))
    x = np.abs(x)
    near(gammas.igamma(a, x) + gammas.igammac(a, x), 1.0, 3e-16)
    step = np.exp(a * np.log(x) - x - special.lgamma(a + 1))
    near(gammas.igamma(a, x) - gammas.igamma(a + 1, x), step, 0, 2e-13)


def test_special_values_of_incomplete_gamma_functions():
    a = np.array([-1.0, 1.0, 0.0, 0.0, 2.0, inf, inf, 2.0, nan])
    x = np.array([1.0, -1.0, 1.0, 0.0, 0.0, 2.0, inf, inf, 1.0])
    np.testing.assert_array_equal(gammas.igamma(a, x), [nan, nan, 1.0, nan, 0.0, 0.0, nan, 1.0, nan])
    np.testing.assert_array_equal(gammas.igammac(a, x), [nan, nan, 0.0, nan, 1.0, 1.0, nan, 0.0, nan])


def test_zeta():
    s, q = np.array(list(ZETA)).T
    near(gammas.zeta(s, q), list(ZETA.values()), 4e-15)
    near(gammas.zeta(np.array([2.0, 4.0]), np.array(1.0)), [math.pi**2 / 6, math.pi**4 / 90], 1e-15)
    left, right = gammas.zeta(s, q), gammas.zeta(s, q + 1) + np.array([math.pow(b, -a) for a, b in ZETA])
    near(left, right, 4e-15)


def test_special_values_of_zeta():
    s = np.array([1.0, 0.5, 2.0, 2.5, 2.0, nan, 2.0])
    q = np.array([3.0, 3.0, -2.0, -0.5, 0.0, 1.0, nan])
    np.testing.assert_array_equal(gammas.zeta(s, q), [inf, nan, inf, nan, inf, nan, nan])


def test_there_is_no_derivative_with_respect_to_the_first_operand():
    x = torch.tensor([1.5, 2.5], requires_grad=True)
    for function in (torch.igamma, torch.igammac, torch.special.zeta):
        with pytest.raises(NotImplementedError, match="first operand"):
            function(x, torch.tensor([1.0, 2.0])).sum().backward()


def test_dtypes_of_functions_of_two_variables():
    half = torch.tensor([1.5, 2.5], dtype=torch.float16)
    assert torch.igamma(half, half).dtype is torch.float16
    assert torch.igamma(half, half.double()).dtype is torch.float64
    assert torch.special.zeta(torch.tensor([2, 3]), 1).dtype is torch.float32
    assert torch.special.zeta(2, half.float()).dtype is torch.float32
    assert torch.mvlgamma(torch.tensor([3, 4]), 2).dtype is torch.float32
    with pytest.raises(NotImplementedError, match="int64"):
        torch.igamma(torch.tensor([1]), torch.tensor([1]))
    with pytest.raises(TypeError, match="tensor"):
        torch.special.chebyshev_polynomial_t(0.5, 2)
    with pytest.raises(RuntimeError, match="p must be"):
        torch.mvlgamma(half, 0)


# ---- orthogonal polynomials ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", "tuvw")
def test_chebyshevs_polynomials_are_waves_between_one_and_minus_one(kind):
    t, n = np.linspace(0.01, 3.13, 50), np.arange(30.0)[:, None]
    wave = {
        "t": np.cos(n * t),
        "u": np.sin((n + 1) * t) / np.sin(t),
        "v": np.cos((n + 0.5) * t) / np.cos(t / 2),
        "w": np.sin((n + 0.5) * t) / np.sin(t / 2),
    }[kind]
    near(polynomials.polynomial(f"chebyshev_{kind}", np.cos(t), n), wave, 1e-9, 1e-10)


@pytest.mark.parametrize("family", polynomials.FAMILIES)
def test_degrees(family):
    """Negative degrees give 0, degrees are truncated, each element has its own; overflow ends in NaN."""
    x = np.array([0.3, -0.7, 1.0, 2.5])
    n = np.array([3.0, 0.0, 12.0, 5.0, 1.0, 5.0, -1.0, 2.9])
    table = polynomials.polynomial(family, x[:, None], n)
    for j, degree in enumerate(n):
        np.testing.assert_array_equal(table[:, j], polynomials.polynomial(family, x, np.full(4, np.trunc(degree))))
    assert (table[:, 6] == 0).all() and (table[:, 1] == 1).all()
    assert (polynomials.polynomial(family, x, np.array(1e30)) == 0).all()
    assert np.isnan(polynomials.polynomial(family, np.array([1e200]), np.array([300.0]))).all()
    assert polynomials.polynomial(family, x.astype(np.float32), n[:4].astype(np.float32)).dtype == np.float32


# ---- spectra -------------------------------------------------------------------------------------------------------


def test_a_spectrum_is_undone():
    x = torch.randn(3, 5, 6, dtype=torch.float64)
    z = torch.complex(x, torch.randn(3, 5, 6, dtype=torch.float64))
    fft = torch.fft
    for norm in (None, "ortho", "forward"):
        assert torch.allclose(fft.ifft(fft.fft(z, norm=norm), norm=norm), z)
        assert torch.allclose(fft.irfft(fft.rfft(x, dim=1, norm=norm), n=5, dim=1, norm=norm), x)
        assert torch.allclose(fft.hfft(fft.ihfft(x, norm=norm), n=6, norm=norm), x)
        assert torch.allclose(fft.ifft2(fft.fft2(z, norm=norm), norm=norm), z)
        assert torch.allclose(fft.irfftn(fft.rfftn(x, norm=norm), s=x.shape, norm=norm), x)
        assert torch.allclose(fft.hfftn(fft.ihfftn(x, norm=norm), s=x.shape, norm=norm), x)
    assert torch.equal(fft.ifftshift(fft.fftshift(x)), x)
    energy = (fft.fft(z, norm="ortho").abs() ** 2).sum()
    assert torch.allclose(energy, (z.abs() ** 2).sum())


def test_errors_of_transforms():
    x = torch.zeros(2, 3)
    for wrong, kind in (
        (lambda: torch.fft.fft(x, n=0), RuntimeError),
        (lambda: torch.fft.fft(x, norm="both"), RuntimeError),
        (lambda: torch.fft.fft(x.half()), RuntimeError),
        (lambda: torch.fft.rfft(x + 0j), RuntimeError),
        (lambda: torch.fft.fftn(x, dim=(0, 0)), RuntimeError),
        (lambda: torch.fft.fftn(x, s=(1, 2), dim=(0,)), RuntimeError),
        (lambda: torch.fft.rfftn(x, dim=()), RuntimeError),
        (lambda: torch.fft.fft(x, dim=2), IndexError),
        (lambda: torch.fft.fft2(x[0]), IndexError),
        (lambda: torch.fft.fft([1.0]), TypeError),
        (lambda: torch.fft.fftfreq(3, dtype=torch.int64), RuntimeError),
        (lambda: torch.stft(x, 3), RuntimeError),
        (lambda: torch.istft(x, 3), RuntimeError),
    ):
        with pytest.raises(kind, match=r"fft|norm|signal|spectrum|points"):
            wrong()


@pytest.mark.parametrize("center", [True, False])
def test_a_signal_comes_back_from_its_short_spectra(center):
    x = torch.randn(2, 64, dtype=torch.float64)
    window = torch.hann_window(16, dtype=torch.float64) + 0.1
    spectrum = torch.stft(x, 16, 4, window=window, center=center, return_complex=True, normalized=True)
    back = torch.istft(spectrum, 16, 4, window=window, center=center, normalized=True)
    assert torch.allclose(back, x)
    assert torch.allclose(
        x[0].stft(16, 4, window=window, center=center, return_complex=True, normalized=True), spectrum[0]
    )


def test_windows_that_leave_a_point_out_are_an_error():
    spectrum = torch.ones(9, 4, dtype=torch.complex64)
    with pytest.raises(RuntimeError, match="not determined"):
        torch.istft(spectrum, 16, 4, window=torch.zeros(16))
    with pytest.warns(UserWarning, match="zeros follow"):
        assert torch.istft(spectrum, 16, 4, window=torch.ones(16), length=60).shape == (60,)


WINDOWS = torch.signal.windows


@pytest.mark.parametrize("name", "bartlett blackman cosine exponential gaussian hamming hann kaiser nuttall".split())
def test_windows_are_symmetric_and_periodic_ones_are_cut_off(name):
    function = getattr(WINDOWS, name)
    for n in (0, 1, 2, 7, 8):
        whole = function(n + 1, dtype=torch.float64)
        assert torch.allclose(whole, whole.flip(0)) and whole.max() <= 1 + 1e-12
        if n != 1:
            assert torch.equal(function(n, sym=False, dtype=torch.float64), whole[:-1])
    with pytest.raises(ValueError, match="negative"):
        function(-1)
    with pytest.raises(ValueError, match="float32 or float64"):
        function(3, dtype=torch.float16)


# ---- under a mask --------------------------------------------------------------------------------------------------


def test_what_is_not_selected_does_not_matter():
    x = torch.randn(3, 5, dtype=torch.float64)
    mask = torch.tensor([[1, 0, 1, 1, 0], [1, 1, 1, 1, 1], [0, 1, 0, 1, 1]]).bool()
    other = torch.where(mask, x, torch.tensor(nan, dtype=torch.float64))
    for name in "sum prod mean var std amax amin norm logsumexp median".split():
        found = getattr(torch.masked, name)
        dim = (2.0, 1) if name == "norm" else (1,)
        a, b = found(x, *dim, mask=mask), found(other, *dim, mask=mask)
        assert torch.allclose(a, b), name
        plain = found(x[1], *dim[:-1], 0)
        assert torch.allclose(a[1], plain), name
    assert torch.isnan(torch.masked.mean(x, mask=mask & False))
    with pytest.raises(IndexError, match="mask"):
        torch.masked.sum(x[0], mask=mask)
    with pytest.raises(NotImplementedError, match="least"):
        torch.masked.amax(mask, mask=mask)


# ---- samples and bits ----------------------------------------------------------------------------------------------


def test_the_gradient_of_a_parabola_is_exact_at_any_spacing():
    t = torch.tensor([0.0, 0.5, 2.0, 3.0, 3.5], dtype=torch.float64)
    (slope,) = torch.gradient(t * t, spacing=(t,), edge_order=2)
    assert torch.allclose(slope, 2 * t)
    rows, columns = torch.gradient((t * t)[:, None] + 3 * t[:4], spacing=(t, t[:4]))
    assert torch.allclose(columns, torch.full((5, 4), 3.0, dtype=torch.float64)) and rows.shape == (5, 4)
    with pytest.raises(RuntimeError, match="too few"):
        torch.gradient(t[:2], edge_order=2)


def test_powers_of_two():
    x = torch.tensor([0.0, -3.0, 1e-30, inf, nan], dtype=torch.float64)
    mantissa, exponent = torch.frexp(x)
    assert exponent.dtype is torch.int32 and exponent[3:].tolist() == [0, 0]
    np.testing.assert_array_equal(torch.ldexp(mantissa, exponent).numpy(), x.numpy())
    with pytest.raises(RuntimeError, match="floating"):
        torch.frexp(torch.tensor([1]))
    with pytest.raises(RuntimeError, match="double"):
        torch.ones(2).float_power_(2)
    assert torch.full((2,), 3.0, dtype=torch.float64).float_power_(2).tolist() == [9.0, 9.0]
