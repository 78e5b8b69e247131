"""Bessel functions J, Y and K of the orders 0 and 1, and the Airy function, on NumPy arrays.

Near the origin each is a polynomial, with the zeros and the logarithm taken out where it has them; far from it the
amplitude of the wave, or of the decay, is a polynomial or a quotient of two. The polynomials were fitted for this file
(interpolation at Chebyshev nodes in 50 digits) in a variable between -1 and 1, where Horner's rule loses nothing; each
table states the error that is left. All arithmetic is in float64, as in `special`.

At infinity the waves are NaN, as in PyTorch.

Source: NIST Digital Library of Mathematical Functions, chapters 9 (Airy functions) and 10 (Bessel functions).
"""

from __future__ import annotations

import math

import numpy as np

from .special import I0, I1, Ratio, _by_parts, _run

Array = np.ndarray

# fmt: off
# j0(x) / ((x*x - a*a) (x*x - b*b)), a and b its zeros, in 2 x*x/25 - 1, 0 <= x <= 5, error 1.2e-20
J0 = Ratio(
    (
        0.0031873556303932387, -0.0019210870437164043, 0.0004876827177655839, -7.121705240575853e-05,
        6.854954847201717e-06, -4.70629166457061e-07, 2.4286220370252607e-08, -9.781438946726354e-10,
        3.163725918080498e-11, -8.404184719394778e-13, 1.867152710741504e-14, -3.52449113008727e-16,
        5.715212521281862e-18,
    ),
)
# the same of j1(x) / x, error 3.4e-19
J1 = Ratio(
    (
        0.0004323698734106474, -0.00020932672214860176, 4.42186880710148e-05, -5.515494459601969e-06,
        4.625979215164964e-07, -2.8111472529722005e-08, 1.3002918729585578e-09, -4.742877795752643e-11,
        1.4012939606655873e-12, -3.425082917113122e-14, 7.050885612374614e-16, -1.2377862900889621e-17,
    ),
)
# y0(x) - 2/pi log(x) j0(x) in 2 x*x/25 - 1, 0 < x <= 5, error 4.3e-19
Y0 = Ratio(
    (
        0.4837248578102995, -0.4326558222855125, -0.47057636552972876, 0.38851639956570944, -0.11151682184328655,
        0.01763534538933876, -0.0018028096665503853, 0.0001299462909208217, -6.985504374077061e-06,
        2.9142206889637085e-07, -9.7209552080454e-09, 2.6539975248625817e-10, -6.04993694723965e-12,
        1.166603953074689e-13,
    ),
)
# (y1(x) - 2/pi (log(x) j1(x) - 1/x)) / x in 2 x*x/25 - 1, 0 < x <= 5, error 4.2e-20
Y1 = Ratio(
    (
        0.13974939033568806, 0.09108650838448444, -0.16312020358118715, 0.06634695354779108, -0.013433433740818165,
        0.0016688031328635942, -0.00014141835794484212, 8.733098304848775e-06, -4.1137780795312436e-07,
        1.528890182573714e-08, -4.6013010745475043e-10, 1.1448943838049981e-11, -2.397782341669183e-13,
        4.277907601247645e-15,
    ),
)
# the two parts of the wave of order 0 beyond 5 (see `_wave`) in 50/(x*x) - 1, error 6.7e-19 and 5.0e-19
P0 = Ratio(
    (
        0.9986347659091991, -0.0013274931272003313, 3.491730581229512e-05, -2.4599633256229834e-06,
        2.975900629430181e-07, -5.086425025341196e-08, 1.1058682219000378e-08, -2.8711262583427698e-09,
        8.544152887023166e-10, -2.8265466982174973e-10, 1.0191508497211752e-10, -4.1813362704799626e-11,
        1.837381045145706e-11, -3.750025643928984e-12, 2.1931201402150453e-13, -5.624489390465371e-12,
        4.077958833405603e-12, 2.2845093116070795e-12, -1.8210973173070354e-12, -9.515579929513944e-13,
        6.510623531557605e-13,
    ),
)
# (the second one times x)
Q0 = Ratio(
    (
        -0.12361496352611864, 0.0013142139729102366, -6.338715442540051e-05, 6.239113170608276e-06,
        -9.40987520803132e-07, 1.8870295436669098e-07, -4.639797715844827e-08, 1.3296840364755778e-08,
        -4.294368348360608e-09, 1.5266400552595328e-09, -5.862170579419448e-10, 2.400250690038785e-10,
        -1.0837651076414638e-10, 5.213227368632722e-11, -1.2965859018898599e-11, 4.2790015081209977e-13,
        -2.3786497599072343e-11, 2.142663495959068e-11, 2.065757589149337e-11, -2.0309055731852547e-11,
        -1.8267787262641807e-11, 1.6186388922714833e-11, 8.20847311486664e-12, -6.981186494164989e-12,
        -1.9078749922892635e-12, 1.5104463730403986e-12,
    ),
)
# the same of order 1, error 7.0e-19 and 4.2e-19
P1 = Ratio(
    (
        1.0022906462560661, 0.0022414632139171184, -4.5782806531003885e-05, 2.9786211095131944e-06,
        -3.4667187378144574e-07, 5.791660152738369e-08, -1.2403104628317827e-08, 3.1855729167256642e-09,
        -9.402939817177409e-10, 3.0910802251980933e-10, -1.1089276146038646e-10, 4.52372729064301e-11,
        -1.9781279965851924e-11, 4.1125471271174e-12, -2.99576359390998e-13, 5.95359653810815e-12,
        -4.304154903507294e-12, -2.4036126609094836e-12, 1.9148548730827158e-12, 1.004660039809737e-12,
        -6.863333451388997e-13,
    ),
)
# (the second one times x)
Q1 = Ratio(
    (
        0.3730474331740802, -0.0018648496218412985, 7.898094177975616e-05, -7.369927949050079e-06,
        1.0798853817841427e-06, -2.126673766725152e-07, 5.164160659416098e-08, -1.4664617531347695e-08,
        4.702771762273256e-09, -1.6615826638063494e-09, 6.354667730119104e-10, -2.634800326254153e-10,
        1.1653160841263047e-10, -4.204891373261949e-11, 1.4117764824896149e-11, -3.062067060975755e-11,
        2.500106806640443e-11, 2.1539415617017143e-11, -2.1590815002270865e-11, -2.2003713333478468e-11,
        1.9125836126396962e-11, 1.0239499451101613e-11, -8.591481296219203e-12, -2.5788653601485736e-12,
        1.998649443962217e-12,
    ),
)
# k0(x) + log(x/2) i0(x) in x*x/2 - 1, 0 < x <= 2, error 6.0e-19
K0 = Ratio(
    (
        -0.30362077291575545, 0.3404973210133806, 0.07177701034240509, 0.005053392643196092, 0.0001828055582791554,
        4.054506619949891e-06, 6.093361894172114e-08, 6.623013272794453e-10, 5.452564662772586e-12,
        3.518631515854722e-14,
    ),
)
# (k1(x) - log(x/2) i1(x)) x in x*x/2 - 1, 0 < x <= 2, error 1.7e-20
K1 = Ratio(
    (
        0.8850882877295894, -0.3322409552403131, -0.24383852886774365, -0.02785423521977184, -0.0013831688466153064,
        -3.891869064371633e-05, -7.081133770184678e-07, -9.032127501740678e-09, -8.53273511404978e-11,
        -6.214271617329577e-13, -3.5962181014457795e-15,
    ),
)
# k0(x) exp(x) sqrt(x) in 1/x, x >= 2, error 7.3e-20
K0_TAIL = Ratio(
    (
        1.2533141373155003, 22.407438306282263, 149.8100801745374, 477.78724660492355, 769.3696231529864,
        609.917963348605, 214.3192527425802, 25.961009645773306, 0.5041723235889851,
    ),
    (
        1.0, 18.003549071725324, 121.71128115786856, 395.2403452026979, 655.9218297763475, 547.9663908728817,
        212.19265968423457, 31.485444241105295, 1.1035529378362445,
    ),
)
# k1(x) exp(x) sqrt(x) in 1/x, x >= 2, error 1.1e-19
K1_TAIL = Ratio(
    (
        1.2533141373155003, 22.097090853182706, 146.71712393357103, 471.2986043437432, 785.3026465091135,
        677.5749285722703, 284.89405192373226, 49.90240905269413, 2.379199752083187,
    ),
    (
        1.0, 17.255927630412696, 110.70954263059204, 336.4454414040425, 511.7623801214721, 379.001480901039,
        122.51093976474145, 13.278681942735263, 0.20574106284752092,
    ),
)
# airy_ai(x) in (2 x + 1)/3, -2 <= x <= 1, error 2.9e-19
AIRY_NEAR = Ratio(
    (
        0.4757280916105396, -0.3061225055093211, -0.2675970515309285, 0.3249950213139262, -0.06100973109347252,
        -0.0634379723947527, 0.03884980481383154, -0.0032033362737208877, -0.004603735486661828,
        0.0018711367299069591, -6.257841614956873e-05, -0.00016038760071508082, 4.83749009631627e-05,
        -1.9721890686406894e-07, -3.2732366878150236e-06, 7.785109334493585e-07, 1.2562535590670771e-08,
        -4.3835493381843535e-08, 8.548154142302259e-09, 2.6909223315766594e-10, -4.199493643627654e-10,
        6.738832947351587e-11, 5.109077333288617e-12, -2.7392891324812586e-12,
    ),
)
# airy_ai(x) in (2 x + 6.5)/2.5, -4.5 <= x <= -2, error 6.4e-19
AIRY_WAVE = Ratio(
    (
        -0.4190132668052308, -0.003067310234935239, 1.0639008727476564, -0.1338015169903638, -0.45071770497702485,
        0.13786961102758416, 0.06758232525715224, -0.037629217524423345, -0.001319909132263013, 0.004487258321941245,
        -0.0007421322436537512, -0.00023058914268092422, 9.49455816860365e-05, -1.7853743117328705e-06,
        -5.123709833160269e-06, 9.262439257167678e-07, 9.388449192214855e-08, -5.410690881549106e-08,
        4.3517905804076756e-09, 1.3559158753004849e-09, -3.3481133184390696e-10, -2.8801002774948316e-12,
        8.862338579227503e-12,
    ),
)
# the two parts of the wave of airy_ai left of -4.5 in -182.25/x**3 - 1, error 3.3e-19 and 3.9e-19
AIRY_P = Ratio(
    (
        0.9995498592095998, -0.0004422828919436778, 7.460856901144565e-06, -3.606762795410878e-07,
        3.146375432990689e-08, -4.034648666076742e-09, 6.793480619930898e-10, -1.4015582467603668e-10,
        3.384777408076226e-11, -9.216494897134017e-12, 2.7757937384563286e-12, -1.0101001136168711e-12,
        3.8378703494351575e-13, -4.583443055442179e-14, 2.457612040366869e-15, -5.74934383981359e-14,
        2.91798628122806e-14,
    ),
)
# (the second one times z, see `_airy`)
AIRY_Q = Ratio(
    (
        0.0689916666247935, -0.0004377436028433052, 1.3947981061077058e-05, -9.600680587718116e-07,
        1.0595834802917692e-07, -1.6127581183798413e-08, 3.0996583049582702e-09, -7.111626441019292e-10,
        1.875157239144287e-10, -5.5285998640762466e-11, 1.7871905857733485e-11, -6.340746739974109e-12,
        2.4108861247163225e-12, -7.691944669233198e-13, 2.5962661259387474e-13, -3.5077242239343163e-13,
        2.1097879966052245e-13, 8.941814205346137e-14, -6.839136343514618e-14, -4.9317413729848894e-14,
        3.028121203548049e-14,
    ),
)
# airy_ai(x) 2 sqrt(pi) x**0.25 exp(z) in 1/z, z = 2/3 x**1.5, x >= 1, error 3.3e-18
AIRY_TAIL = Ratio(
    (
        1.0, 16.385629446743632, 101.43305481346543, 305.2620642238483, 479.8869170644422, 395.0134753408737,
        162.18382557844768, 29.67608368361361, 1.9071529495834185, 0.022652486934034172,
    ),
    (
        1.0, 16.45507389118807, 102.53863479047833, 311.8097615267652, 498.3002850092012, 421.1023114134274,
        180.4775846430717, 35.51266971041132, 2.6094364924592974, 0.04263670716707544,
    ),
)
# fmt: on
# zeros of j0 and j1, each in two parts so that x - zero loses nothing beside it
ZEROS_0 = ((2.404825557695773, -1.176691651530894e-16), (5.520078110286311, 8.088597146146722e-17))
ZEROS_1 = ((3.8317059702075125, -1.5269184090088067e-16), (7.015586669815619, -9.414165653410389e-17))


def bessel_j0(x: Array) -> Array:
    """Bessel function of the first kind, order 0, elementwise."""
    return _run(lambda x: _by_parts(np.abs(x) <= 5, _j0, _far(0, _cosine), np.abs(x)), x, None)


def bessel_j1(x: Array) -> Array:
    """Bessel function of the first kind, order 1, elementwise; odd."""
    return _run(lambda x: _by_parts(np.abs(x) <= 5, _j1, _far(1, _cosine), np.abs(x)) * np.copysign(1.0, x), x, None)


def bessel_y0(x: Array) -> Array:
    """Bessel function of the second kind, order 0, elementwise; -inf at 0, NaN below."""
    return _run(lambda x: _right(x, -np.inf, lambda x: _by_parts(x <= 5, _y0, _far(0, _sine), x)), x, None)


def bessel_y1(x: Array) -> Array:
    """Bessel function of the second kind, order 1, elementwise; -inf at 0, NaN below."""
    return _run(lambda x: _right(x, -np.inf, lambda x: _by_parts(x <= 5, _y1, _far(1, _sine), x)), x, None)


def bessel_k0(x: Array, scaled: bool) -> Array:
    """Modified Bessel function of the second kind, order 0, elementwise, times exp(x) if `scaled`."""
    return _run(_decay, x, None, lambda x: K0(x * x / 2 - 1) - np.log(x / 2) * I0(x * x), K0_TAIL, scaled)


def bessel_k1(x: Array, scaled: bool) -> Array:
    """Modified Bessel function of the second kind, order 1, elementwise, times exp(x) if `scaled`."""
    return _run(_decay, x, None, lambda x: K1(x * x / 2 - 1) / x + np.log(x / 2) * (I1(x * x) * x), K1_TAIL, scaled)


def airy_ai(x: Array) -> Array:
    """The Airy function Ai, elementwise: the solution of y'' = x y that vanishes on the right; NaN at infinities."""
    return _run(lambda x: np.where(np.isinf(x), np.nan, _by_parts(x > -2, _airy_right, _airy_left, x)), x, None)


# ---- pieces --------------------------------------------------------------------------------------------------------


def _right(x: Array, origin: float, function) -> Array:
    """The function where x > 0, `origin` at 0, NaN left of it."""
    return np.where(x > 0, function(np.where(x > 0, x, 1.0)), np.where(x == 0, origin, np.nan))


def _without_zeros(x: Array, zeros: tuple) -> Array:
    """The product of x*x - zero*zero."""
    (a, da), (b, db) = zeros
    return ((x - a) - da) * (x + a) * (((x - b) - db) * (x + b))


def _j0(x: Array) -> Array:
    return np.where(x < 1e-4, 1 - x * x / 4, J0(x * x / 12.5 - 1) * _without_zeros(x, ZEROS_0))  # 1 at 0 exactly


def _j1(x: Array) -> Array:
    return J1(x * x / 12.5 - 1) * _without_zeros(x, ZEROS_1) * x


def _y0(x: Array) -> Array:
    return Y0(x * x / 12.5 - 1) + (2 / math.pi) * np.log(x) * _j0(x)


def _y1(x: Array) -> Array:
    return Y1(x * x / 12.5 - 1) * x + (2 / math.pi) * (np.log(x) * _j1(x) - 1 / x)


def _cosine(p: Array, q: Array, cos: Array, sin: Array) -> Array:
    return p * cos - q * sin


def _sine(p: Array, q: Array, cos: Array, sin: Array) -> Array:
    return p * sin + q * cos


def _far(order: int, wave):
    """sqrt(2 / (pi x)) times the wave of x - pi/4 (order 0) or x - 3 pi/4 (order 1), for x > 5.

    The wave is p cos - q sin (J) or p sin + q cos (Y) with amplitudes p and q that vary slowly.
    """
    p, q = (P0, Q0) if order == 0 else (P1, Q1)

    def function(x: Array) -> Array:
        u = 50 / (x * x) - 1
        cos, sin = np.cos(x), np.sin(x)
        cos, sin = (cos + sin, sin - cos) if order == 0 else (sin - cos, -(sin + cos))  # sqrt(2) of the shifted ones
        return wave(p(u), q(u) / x, cos, sin) / np.sqrt(math.pi * x)

    return function


def _decay(x: Array, near, tail: Ratio, scaled: bool) -> Array:
    """The logarithmic series up to 2; beyond, exp(-x) / sqrt(x) times a quotient of polynomials."""

    def close(x: Array) -> Array:
        return near(x) * np.exp(x) if scaled else near(x)

    def far(x: Array) -> Array:
        found = tail(1 / x) / np.sqrt(x)
        return found if scaled else found * np.exp(-x)

    return _right(x, np.inf, lambda x: _by_parts(x <= 2, close, far, x))


def _airy_right(x: Array) -> Array:
    def near(x: Array) -> Array:
        return AIRY_NEAR((2 * x + 1) / 3)

    def far(x: Array) -> Array:
        z = x * np.sqrt(x) * (2 / 3)
        return AIRY_TAIL(1 / z) * np.exp(-z) / (2 * math.sqrt(math.pi) * np.sqrt(np.sqrt(x)))

    return _by_parts(x <= 1, near, far, x)


def _airy_left(x: Array) -> Array:
    def near(x: Array) -> Array:
        return AIRY_WAVE((2 * x + 6.5) / 2.5)

    def far(x: Array) -> Array:  # the wave of z - pi/4
        t = -x
        root = np.sqrt(t)
        z = t * root * (2 / 3)
        u = 182.25 / (t * t * t) - 1
        cos, sin = np.cos(z), np.sin(z)
        wave = AIRY_P(u) * (cos + sin) + AIRY_Q(u) / z * (sin - cos)
        return wave / (math.sqrt(2 * math.pi) * np.sqrt(root))

    return _by_parts(x >= -4.5, near, far, x)
