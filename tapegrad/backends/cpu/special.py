"""Special functions on NumPy arrays: error function, normal distribution, log gamma and its slope, Bessel i0 and i1.

Each is a rational function P/Q of a variable chosen so that (asymptotic series apart) every coefficient is positive and
the argument is not negative: nothing cancels in P and Q, so a few roundings are all the error there is, and one formula
holds on a whole half line. The coefficients were fitted for this file (weighted least squares at Chebyshev nodes in 60
digits, reweighted towards the least maximal relative error, then scaled so that rounding them does least harm); each
table states the relative error that is left. All arithmetic is in float64, also for float32 arrays (shorter tables
where it pays, one rounding at the end), in blocks that stay in cache.

References: Cody, "Rational Chebyshev approximations for the error function", Math. Comp. 23 (1969); Giles,
"Approximating the erfinv function", GPU Computing Gems (2011), for the variable of `erfinv`; Cody and Hillstrom,
"Chebyshev approximations for the natural logarithm of the gamma function", Math. Comp. 21 (1967); NIST Digital Library
of Mathematical Functions, chapters 5 (reflection, recurrence, Binet's function), 7 (error functions), 10 (Bessel).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .transcendental import exp_of_sum

Array = np.ndarray
Kernel = Callable[..., Array]

BLOCK = 16384  # elements worked on at a time: the two or three arrays of a formula stay in the second-level cache
ONE = np.array(1.0)  # a 0-d array: NumPy takes it without converting a number at each use


class Ratio:
    """P(x) / Q(x), coefficients from the constant upwards; `high` is where the fit ends, if a caller has to know."""

    def __init__(self, p: Sequence[float], q: Sequence[float] = (), high: float = math.inf) -> None:
        self.p = tuple(np.array(c) for c in reversed(p))
        self.q = tuple(np.array(c) for c in reversed(q))
        self.high = np.array(high)

    def __call__(self, x: Array) -> Array:
        found = _polynomial(self.p, x)
        return np.divide(found, _polynomial(self.q, x), found) if self.q else found


def _polynomial(coefficients: Sequence[Array], x: Array) -> Array:
    """Horner's rule in one new array, highest power first."""
    first, second, *rest = coefficients
    found = np.multiply(x, first)
    np.add(found, second, found)
    for c in rest:
        np.multiply(found, x, found)
        np.add(found, c, found)
    return found


# fmt: off
# erf(x) / x in s = x*x, 0 <= x <= 3.9496, error 2.1e-8
ERF_SINGLE = Ratio(
    (
        1.2708511077980378, 0.21572358164829195, 0.059549875840487064, 0.004288404025786024, 0.00032061117329384666,
        2.281700037159866e-06,
    ),
    (
        1.1262624925048839, 0.5666001420093866, 0.12901898556670335, 0.016954846164517135, 0.0013183843674329644,
        4.260731132594776e-05,
    ),
    high=3.9496,
)
# the same for 0 <= x <= 5.9497, error 4.3e-17
ERF = Ratio(
    (
        1.9688900865403303, 0.38475638055326694, 0.11547634334999465, 0.012053005166372782, 0.0014958427861018818,
        9.971363676169205e-05, 6.824501820413641e-06, 2.9694486688939723e-07, 1.1828799784031768e-08,
        3.011213878464337e-10, 5.814493595143174e-12, 3.857870191113274e-14, 2.7102217695761797e-17,
    ),
    (
        1.7448834079490516, 0.9226092668357322, 0.2353863262133284, 0.038427722811335385, 0.004484987849922447,
        0.00039557108673022164, 2.712782076303394e-05, 1.4620347707449653e-06, 6.155920525654111e-08,
        1.9684595431333673e-09, 4.4566294944938885e-11, 5.765980673110257e-13, 1.5297799185710881e-15,
    ),
    high=5.9497,
)
# exp(x*x) erfc(x), 0 <= x <= 11, error 7.2e-9
ERFCX_SINGLE = Ratio(
    (
        1.0118048398502697, 1.2602814071789326, 0.7478668657986964, 0.23557153291526017, 0.03395325896317393,
    ),
    (
        1.0118048334293617, 2.401981571777422, 2.446397179363813, 1.355254495915653, 0.41756302380146343,
        0.06017999300857752,
    ),
    high=11.0,
)
# the same for 0 <= x <= 28, error 9.2e-17
ERFCX = Ratio(
    (
        1.1387448953019728, 2.497197109238267, 2.708815980538146, 1.8667737413783851, 0.8919246359454202,
        0.3051526104443808, 0.07475139867610789, 0.01268641718420107, 0.001363928959808021, 7.181129951379584e-05,
    ),
    (
        1.1387448953019728, 3.7821331257333584, 5.837751311496258, 5.528461589205684, 3.568121911106029,
        1.6459331339458727, 0.5520483266338633, 0.13370215487407838, 0.022549730102977904, 0.002417501137121189,
        0.00012728221436210957,
    ),
    high=28.0,
)
# exp(x*x) erfc(x) x sqrt(pi) in 1/(x*x), x > 28: the asymptotic series 1, -1/2, 1*3/4, -1*3*5/8, ...
ERFCX_TAIL = Ratio((1.0, -0.5, 0.75, -1.875, 6.5625, -29.53125, 162.421875))
# erfinv(x) / x in w = -log(1 - x*x), 0 <= w <= 16, error 1.8e-9
ERFINV_SINGLE = Ratio(
    (
        0.9277557989472384, 0.32760162310269997, 0.06559461601095862, 0.008862431496399068, 0.0007819190824683406,
        3.724652524790686e-05, 9.109147075603444e-08,
    ),
    (
        1.0468603174851445, 0.0955914014514966, 0.03534736806326886, 0.002258389546737935, 0.00023396711018994494,
        2.994251693646744e-06,
    ),
)
# the same for 0 <= w <= 36.1, error 2.4e-17
ERFINV = Ratio(
    (
        1.698391974903606, 0.6988198737306079, 0.21261094924056625, 0.04618429357016491, 0.007900418748383542,
        0.0010925143314225994, 0.00012395742943121214, 1.1658803191515414e-05, 9.150401635656415e-07,
        6.011967230957168e-08, 3.280014859219516e-09, 1.4273082024969865e-10, 5.104959626343504e-12,
        1.364276466939146e-13, 8.812692517179397e-16, 5.678545123891333e-19,
    ),
    (
        1.9164301220434337, 0.28681355435911815, 0.13984316471378472, 0.016814338451194517, 0.0037228509130663437,
        0.00034811906370940974, 4.5272570804102114e-05, 3.185918869614156e-06, 2.6881794432040435e-07,
        1.3958759420347965e-08, 7.69646247798815e-10, 2.665374410691432e-11, 9.67801413630304e-13,
        1.3652861426640598e-14, 3.349332078460768e-17,
    ),
)
# -ndtri(p) in sqrt(-log(4 p (1 - p))) - 6, from 0 to 21.5, error 1.3e-16
NDTRI_TAIL = Ratio(
    (
        16.4360286175456, 11.336730467137027, 3.1448451180464696, 0.4459564639200298, 0.03397562393346312,
        0.0013383233259163622, 2.3871818883093373e-05, 1.3673324740414373e-07,
    ),
    (
        1.9833105040557, 1.0262811749012755, 0.2028255943588994, 0.018965380266191687, 0.0008488196084303092,
        1.62999766093515e-05, 9.668478827599218e-08,
    ),
)
# log(gamma(1 + t)) / (t (t - 1)), 0 <= t <= 2, error 1.5e-17
LGAMMA = Ratio(
    (
        1.0993951606868442, 3.033791065009853, 3.1601475741363707, 1.5487921334377837, 0.36270622536517816,
        0.036483830693500786, 0.0011539135517230695, 2.5227730562110864e-06,
    ),
    (
        1.9046523293410442, 6.065167437785458, 7.538932528411722, 4.6331121941295725, 1.472369442705179,
        0.2310077161631155, 0.015422830277929015, 0.00029785675057184593,
    ),
)
# Binet's function of y, times y, in w = 1/(y*y), y >= 3, error 3.4e-16 (of a term below 4% of the result)
LGAMMA_TAIL = Ratio(
    (
        0.08513183077169381, 0.7274073021468697, 1.5291774137644334, 0.7935524443166547, 0.052088958435451325,
    ),
    (
        1.021581969260326, 8.76294035807049, 18.63249762520973, 10.067553002980702, 0.8354750158175006,
    ),
)
# digamma(1 + t) / (t - zero), 0 <= t <= 2, error 2.5e-17
DIGAMMA = Ratio(
    (
        1.2902341261276464, 1.8972964679163289, 0.9628034425350771, 0.20672208796038538, 0.01806828992316071,
        0.00048541123996849147, 7.980041912276731e-07,
    ),
    (
        1.031873497849875, 2.2227095681948033, 1.6683618223766428, 0.5577960131373412, 0.08558771883484384,
        0.005416106001860837, 9.867075890605906e-05,
    ),
)
# (log(y) - 1/(2y) - digamma(y)) / w in w = 1/(y*y), y >= 3, error 3.7e-15 (of a term below 1% of the result)
DIGAMMA_TAIL = Ratio(
    (
        0.14398374655514645, 1.4310958754327254, 3.598409251752611, 2.3137057351191523, 0.18897803869109125,
    ),
    (
        1.7278049586617636, 17.34593100104683, 44.833227698290955, 31.508184669704093, 3.993891325704853,
    ),
)
# i0(x) in x*x, 0 <= x <= 12, error 1.3e-17
I0 = Ratio(
    (
        1.0, 0.25, 0.015625000000000017, 0.0004340277777777679, 6.78168402778054e-06, 6.781684027733152e-08,
        4.709502797525761e-10, 2.4028075463518154e-12, 9.385967145182892e-15, 2.896902843829398e-17,
        7.242272844182136e-20, 1.4963061974178738e-22, 2.598220001676272e-25, 3.8382557650070332e-28,
        4.940296626769758e-31, 5.211293823853224e-34, 6.3272483458372635e-37, 1.7488259983959972e-40,
        8.125002087574752e-43,
    ),
)
# i0(x) exp(-x) sqrt(x) in 1/x, x >= 12, error 7.1e-17
I0_TAIL = Ratio(
    (
        0.39894228040143265, 0.04986778505033132, 0.028050628950262203, 0.029219456179539652, 0.0447326082110472,
        0.09168910114209247, 0.1488425441767705, 4.6444856469127265, -134.61715576833078, 3353.8808743411896,
        -57182.7949720542, 671739.308943521, -5136284.795911915, 23013055.60835717, -45361387.94216963,
    ),
)
# i1(x) / x in x*x, 0 <= x <= 12, error 1.5e-17
I1 = Ratio(
    (
        0.5, 0.06250000000000003, 0.002604166666666626, 5.425347222224042e-05, 6.781684027736662e-07,
        5.651403357025146e-09, 3.363930564732713e-11, 1.501754744876528e-13, 5.214425034953609e-16,
        1.448454840753088e-18, 3.291867588774223e-21, 6.235823212013724e-24, 9.978392175159207e-27,
        1.3841428130652422e-29, 1.5586029305993445e-32, 2.0422989235707594e-35, 5.562807238303408e-39,
        2.9625278709013667e-41,
    ),
)
# the same, error 5.9e-9
I1_SINGLE = Ratio(
    (
        0.49999999687326496, 0.0625000123339229, 0.0026041590698509657, 5.425514274851679e-05, 6.779926932220091e-07,
        5.661624165446472e-09, 3.328275824759544e-11, 1.5797131872758538e-13, 4.1281218014585994e-16,
        2.4022521783538797e-18, -1.713677847484436e-21, 1.9768844411533082e-23,
    ),
)
# i1(x) exp(-x) sqrt(x) in 1/x, x >= 12, error 7.8e-17
I1_TAIL = Ratio(
    (
        0.3989422804014327, -0.1496033551507043, -0.04675104833145727, -0.040907222612826984, -0.05751532344834719,
        -0.11190680445210144, -0.1844918124214471, -5.031155053058878, 143.6438440945446, -3574.583918112378,
        60794.80704291523, -712605.8049382415, 5436736.691723815, -24306220.920865677, 47800125.494300924,
    ),
)
# fmt: on
STIRLING = math.log(2 * math.pi) / 2 - 0.5
LOG_PI = math.log(math.pi)
# the zero of digamma(1 + t), in two parts so that t - zero loses nothing beside it
ZERO_HIGH, ZERO_LOW = 0.46163214496836236, -1.5522348162858677e-17


def erf(x: Array, out: Array | None = None) -> Array:
    """Error function, 2 / sqrt(pi) times the integral of exp(-t*t) from 0 to x, elementwise."""
    return _run(_erf, x, out, _table(x, ERF_SINGLE, ERF))


def erfc(x: Array, out: Array | None = None) -> Array:
    """1 - erf(x) without the cancellation, elementwise."""
    return _run(_erfc, x, out, _table(x, ERFCX_SINGLE, ERFCX))


def erfcx(x: Array, out: Array | None = None) -> Array:
    """exp(x*x) erfc(x) without the overflow, elementwise."""
    return _run(_erfcx, x, out)


def erfinv(x: Array, out: Array | None = None) -> Array:
    """The number whose erf is x, elementwise; nan outside [-1, 1]."""
    return _run(_erfinv, x, out, _table(x, ERFINV_SINGLE, ERFINV))


def ndtr(x: Array, out: Array | None = None) -> Array:
    """Probability that a standard normal variable is below x, elementwise."""
    return _run(_ndtr, x, out, _table(x, ERFCX_SINGLE, ERFCX))


def log_ndtr(x: Array, out: Array | None = None) -> Array:
    """log(ndtr(x)) also where ndtr(x) is 0 or 1 in floating point, elementwise."""
    return _run(_log_ndtr, x, out)


def ndtri(x: Array, out: Array | None = None) -> Array:
    """The number whose ndtr is x, elementwise; nan outside [0, 1]."""
    return _run(_ndtri, x, out)


def lgamma(x: Array, out: Array | None = None) -> Array:
    """log(abs(gamma(x))), elementwise; inf at 0, -1, -2, ...

    Right of zero the error is relative, at the zeros 1 and 2 too; beside the zeros left of zero it is absolute.
    """
    return _run(_lgamma, x, out)


def digamma(x: Array, out: Array | None = None) -> Array:
    """Slope of log(gamma(x)), elementwise; -inf at 0, inf at -0, nan at -1, -2, ...

    Right of zero the error is relative, at the zero 1.46 too; beside the zeros left of zero it is absolute.
    """
    return _run(_digamma, x, out)


def i0(x: Array, out: Array | None = None) -> Array:
    """Modified Bessel function of the first kind, order 0, elementwise; nan at infinity, as in PyTorch."""
    return _run(_bessel, x, out, I0, I0_TAIL, False)


def i0e(x: Array, out: Array | None = None) -> Array:
    """exp(-abs(x)) i0(x), elementwise."""
    return _run(_bessel, x, out, I0, I0_TAIL, True)


def i1(x: Array, out: Array | None = None) -> Array:
    """Modified Bessel function of the first kind, order 1, elementwise; nan at infinity, as in PyTorch."""
    return _run(_bessel_odd, x, out, I1, I1_TAIL, False)


def i1e(x: Array, out: Array | None = None) -> Array:
    """exp(-abs(x)) i1(x), elementwise."""
    if getattr(x, "dtype", None) == np.float32:
        return _run(_i1e_single, x, out)
    return _run(_bessel_odd, x, out, I1, I1_TAIL, True)


# --- the error function


def _erf(x: Array, ratio: Ratio) -> Array:
    """x P(s) / Q(s) with s = x*x, x cut where erf rounds to 1."""
    y = np.clip(x, -ratio.high, ratio.high)
    found = ratio(np.multiply(y, y))
    np.multiply(found, y, found)
    # beside 1 the product may be 1 + 2e-16; float32 rounds that away
    return np.clip(found, -ONE, ONE, out=found) if ratio is ERF else found


def _erfc(x: Array, ratio: Ratio) -> Array:
    """exp(-x*x) P(x) / Q(x) right of zero, and 2 minus the mirror image left of it."""
    y = np.abs(x)
    np.minimum(y, ratio.high, out=y)
    found = ratio(y)
    np.multiply(found, (_gauss_single if ratio is ERFCX_SINGLE else _gauss)(y, 1.0), found)
    # negative x: 2 - found, written as copysign(found, x) + (0 or 2)
    sign = np.copysign(ONE, x)
    np.multiply(found, sign, found)
    np.subtract(ONE, sign, sign)
    return np.add(found, sign, found)


def _erfcx(x: Array) -> Array:
    """Right of zero as fitted; left of it 2 exp(x*x) - erfcx(-x)."""

    def mirror(found: Array, x: Array) -> Array:
        return 2 * _gauss(np.minimum(-x, 26.64), -1.0) - found  # at 26.64 exp does not overflow, but its double does

    found = _scaled(np.abs(x))
    _where(x < 0, mirror, found, x)
    return found


def _scaled(y: Array) -> Array:
    """exp(y*y) erfc(y) for y >= 0."""

    def far(y: Array) -> Array:
        return ERFCX_TAIL(1 / (y * y)) / (y * math.sqrt(math.pi))

    return _by_parts(y <= ERFCX.high, ERFCX, far, y)


def _gauss(y: Array, factor: float) -> Array:
    """exp(-factor*y*y) for 0 <= y <= 40, where exp alone would multiply the rounding error of y*y by factor*y*y."""
    high = y.astype(np.float32).astype(np.float64)  # 24 bits: its square is exact
    square = np.multiply(y, y)
    rest = np.multiply(high, high)
    np.subtract(rest, square, rest)
    np.add(rest, (y - high) * (y + high), rest)  # y*y = square + rest, rest < 3e-13
    np.multiply(square, -factor, square)
    np.exp(square, square)
    np.multiply(rest, -factor, rest)
    np.multiply(rest, square, rest)
    return np.add(square, rest, square)


def _gauss_single(y: Array, factor: float) -> Array:
    """The same for float32 numbers up to 15.5, held in float64, to the precision of float32: their square is exact."""
    square = np.multiply(y, y)
    np.multiply(square, -factor, square)
    high = square.astype(np.float32)
    np.subtract(square, high, square)
    return exp_of_sum(high, square.astype(np.float32))


def _erfinv(x: Array, ratio: Ratio) -> Array:
    """x P(w) / Q(w) with w = -log((1 - x)(1 + x)); an error of w beside 0 hardly matters, float32 has its log."""
    w = np.subtract(ONE, x)
    np.multiply(w, np.add(ONE, x), w)
    if ratio is ERFINV_SINGLE:
        w = np.log(w.astype(np.float32)).astype(np.float64)
    else:
        np.log(w, w)
    np.negative(w, w)
    found = ratio(w)
    np.multiply(found, x, found)
    ends = np.isposinf(w)
    if ends.any():
        found[ends] = np.copysign(np.inf, x[ends])
    return found


# --- the normal distribution


def _ndtr(x: Array, ratio: Ratio) -> Array:
    """erfc(abs(x) / sqrt(2)) / 2 is the tail on the near side of x; exp sees x*x itself."""
    single = ratio is ERFCX_SINGLE
    y = np.abs(x)
    np.minimum(y, 15.5 if single else 39.5, out=y)
    tail = ratio(y * math.sqrt(0.5))
    np.multiply(tail, (_gauss_single if single else _gauss)(y, 0.5), tail)
    # the tail left of zero, 1 - tail right of it: (1 + sign - sign * tail * 2) / 2
    sign = np.copysign(ONE, x)
    np.multiply(tail, sign, tail)
    np.add(sign, ONE, sign)
    np.subtract(sign, tail, sign)
    return np.multiply(sign, 0.5, sign)


def _log_ndtr(x: Array) -> Array:
    """Left of zero log(erfcx(-x / sqrt(2)) / 2) - x*x/2, two numbers of one sign; right of it log1p(-tail)."""
    tail = _scaled(np.abs(x) * math.sqrt(0.5)) * 0.5

    def left(tail: Array, x: Array) -> Array:
        return np.log(tail) - x * x / 2

    def right(tail: Array, x: Array) -> Array:
        return np.log1p(-tail * _gauss(np.minimum(x, 39.5), 0.5))

    return _by_parts(x < 0, left, right, tail, x)


def _ndtri(x: Array) -> Array:
    """sqrt(2) erfinv(2x - 1), with w = -log(4 x (1 - x)) taken from x, and a fit of its own for x below 1e-16."""
    w = -np.log(4 * x * (1 - x))

    def near(x: Array, w: Array) -> Array:
        return (2 * x - 1) * ERFINV(w) * math.sqrt(2)

    def far(x: Array, w: Array) -> Array:
        return np.where(np.isposinf(w), np.copysign(np.inf, x - 0.5), -NDTRI_TAIL(np.sqrt(w) - 6))

    return _by_parts(w <= 36, near, far, x, w)


# --- the gamma function


def _lgamma(x: Array) -> Array:
    """log gamma(1 + t) for t >= 0, then down by one for 0 <= x < 1, or reflected for x < 0."""
    below = x < 1
    t = np.where(below, np.abs(x), x - 1)

    def near(t: Array, y: Array) -> Array:
        return LGAMMA(t) * (t * (t - 1)) + 0.0  # 0.0 for the -0.0 at t = 0

    def far(t: Array, y: Array) -> Array:
        return (y - 0.5) * (np.log(y) - 1) + (LGAMMA_TAIL(1 / (y * y)) / y + STIRLING)

    found = _by_parts(t <= 2, near, far, t, np.where(below, t + 1, x))
    _where(below, _lgamma_below, found, x)
    return found


def _lgamma_below(found: Array, x: Array) -> Array:
    """For x in [0, 1) gamma(x) = gamma(1 + x) / x; for x < 0 abs(gamma(x)) = pi / abs(sin(pi x)) / gamma(1 - x)."""
    offset = np.abs(x - np.rint(x))  # nan at -inf
    mirrored = LOG_PI - np.log(np.sin(np.pi * offset)) - found
    mirrored[~(offset > 0)] = np.inf
    return np.where(x < 0, mirrored, found - np.log(x))


def _digamma(x: Array) -> Array:
    """digamma(1 + t) for t >= 0, then down by one for 0 <= x < 1, or reflected for x < 0."""
    below = x < 1
    t = np.where(below, np.abs(x), x - 1)

    def near(t: Array, y: Array) -> Array:
        return DIGAMMA(t) * ((t - ZERO_HIGH) - ZERO_LOW)

    def far(t: Array, y: Array) -> Array:
        w = 1 / (y * y)
        return np.log(y) - (0.5 / y + w * DIGAMMA_TAIL(w))

    found = _by_parts(t <= 2, near, far, t, np.where(below, t + 1, x))
    _where(below, _digamma_below, found, x)
    return found


def _digamma_below(found: Array, x: Array) -> Array:
    """For x in [0, 1) digamma(x) = digamma(1 + x) - 1 / x; for x < 0 it is digamma(1 - x) - pi / tan(pi x)."""
    offset = x - np.rint(x)
    pole = np.where(x < 0, np.pi / np.tan(np.pi * offset), 1 / x)
    pole[(offset == 0) & (x < 0)] = np.nan
    return found - pole


# --- the Bessel functions


def _bessel(x: Array, series: Ratio, tail: Ratio, scaled: bool, odd: bool = False) -> Array:
    """The power series, fitted, up to 12; beyond, the fitted asymptotic series of the scaled function."""

    def near(y: Array) -> Array:
        found = series(y * y) * y if odd else series(y * y)
        return found * np.exp(-y) if scaled else found

    def far(y: Array) -> Array:
        found = tail(1 / y) / np.sqrt(y)
        if scaled:
            return found
        half = np.exp(np.minimum(y, 800) / 2)  # exp(y) overflows before the product does
        return found * half * half

    y = np.abs(x)
    if not scaled:  # NaN at infinity, as in PyTorch
        y = np.where(np.isinf(y), np.nan, np.minimum(y, 800))
    return _by_parts(y <= 12, near, far, y)


def _bessel_odd(x: Array, series: Ratio, tail: Ratio, scaled: bool) -> Array:
    """Order 1: odd in x."""
    found = _bessel(x, series, tail, scaled, odd=True)
    return np.where(x < 0, -found, found)


def _i1e_single(x: Array) -> Array:
    """The same of order 1, scaled, with the exponential and the series of float32's precision."""

    def near(x: Array, y: Array) -> Array:
        found = I1_SINGLE(y * y)
        np.multiply(found, x, found)
        np.multiply(found, exp_of_sum((-y).astype(np.float32)), found)
        return np.add(found, 0.0, found)  # 0 for -0, as in PyTorch

    def far(x: Array, y: Array) -> Array:
        return np.copysign(I1_TAIL(1 / y) / np.sqrt(y), x)

    y = np.abs(x)
    return _by_parts(y <= 12, near, far, x, y)


# --- running them


def _by_parts(inside: Array, near: Kernel, far: Kernel, *args: Array) -> Array:
    """near(*args) where `inside`, far(*args) elsewhere, each computed only where it is wanted."""
    count = np.count_nonzero(inside)
    if count == inside.size:
        return near(*args)
    if count == 0:
        return far(*args)
    found = np.empty_like(args[0])
    for part, function in ((inside, near), (~inside, far)):
        index = np.flatnonzero(part)
        found[index] = function(*(a[index] for a in args))
    return found


def _where(mask: Array, change: Kernel, found: Array, x: Array) -> None:
    """found = change(found, x) in place where `mask`."""
    index = np.flatnonzero(mask)
    if index.size:
        found[index] = change(found[index], x[index])


@np.errstate(all="ignore")
def _run(kernel: Kernel, x: Array, out: Array | None, *tables: Any) -> Array:
    """kernel(block, *tables) for each block of x in float64; the result has x's dtype and memory layout."""
    x = np.asarray(x)
    if x.dtype not in (np.float32, np.float64):
        raise TypeError(f"special functions take float32 and float64 arrays, not {x.dtype}")
    if 0 in x.strides:  # of elements that are repeated: their result is row-major
        x = np.ascontiguousarray(x)
    if not x.flags.c_contiguous:
        axes = sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis]))
        found = _run(kernel, np.ascontiguousarray(x.transpose(axes)), None, *tables).transpose(np.argsort(axes))
    else:
        direct = out is not None and out.flags.c_contiguous and out.shape == x.shape and out.dtype == x.dtype
        found = out if direct and (out is x or not np.may_share_memory(out, x)) else np.empty(x.shape, x.dtype)
        source, target = x.reshape(-1), found.reshape(-1)
        for i in range(0, x.size, BLOCK):
            target[i : i + BLOCK] = kernel(source[i : i + BLOCK].astype(np.float64, copy=False), *tables)
    if out is None or out is found:
        return found
    out[...] = found
    return out


def _table(x: Array, single: Ratio, double: Ratio) -> Ratio:
    """The short table for float32."""
    return single if getattr(x, "dtype", None) == np.float32 else double
