"""Samples of elementwise operations: comparison, arithmetic, functions of one variable, activations."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from samples import Sample, case, elements, flags, positive, real, whole

NAN, INF = math.nan, math.inf


def unary(reference, low=-2.0, high=2.0, *args, **options) -> list[Sample]:
    """A function of one variable on numbers between `low` and `high`; other arguments as they are."""
    return [case(real(2, 3, low=low, high=high), *args, expect=reference, **options)]


def tensors(reference, low=-2.0, high=2.0, **options) -> list[Sample]:
    """A function of two tensors of one shape, and of broadcast ones."""
    x, y = real(2, 3, low=low, high=high), real(2, 3, low=low, high=high, seed=1)
    return [case(x, y, expect=reference, **options), case(x[:, :1], y[0], expect=reference, **options)]


def binary(reference, low=-2.0, high=2.0, **options) -> list[Sample]:
    """The same for a function that takes a number as its second operand too."""
    number = case(real(2, 3, low=low, high=high), 0.75, expect=reference, **options)
    return [*tensors(reference, low, high, **options), number]


def integers(reference, low=0, high=8) -> list[Sample]:
    return [case(whole(2, 3, low=low, high=high), whole(2, 3, low=low, high=high, seed=1), expect=reference)]


SPECIAL = np.array([1.0, NAN, INF, -INF, 0.0, -0.0])

# ---- truth values --------------------------------------------------------------------------------------------------

PAIRS = np.array([1.0, 2.0, 3.0, 0.0]), np.array([1.0, 3.0, 2.0, 0.0])
SAMPLES = {
    name: [case(*PAIRS, expect=reference), case(real(2, 3), 0.25, expect=reference)]
    for name, reference in {
        "eq": np.equal,
        "ne": np.not_equal,
        "lt": np.less,
        "le": np.less_equal,
        "gt": np.greater,
        "ge": np.greater_equal,
    }.items()
}
SAMPLES |= {
    name: [case(*PAIRS, expect=reference), case(flags(4), flags(4, seed=1), expect=reference)]
    for name, reference in {
        "logical_and": np.logical_and,
        "logical_or": np.logical_or,
        "logical_xor": np.logical_xor,
    }.items()
}
SAMPLES |= {
    name: [case(SPECIAL, expect=reference)]
    for name, reference in {
        "logical_not": np.logical_not,
        "isnan": np.isnan,
        "isinf": np.isinf,
        "isfinite": np.isfinite,
        "isposinf": np.isposinf,
        "isneginf": np.isneginf,
        "isreal": lambda x: np.ones(x.shape, bool),
        "signbit": np.signbit,
    }.items()
}
SAMPLES |= {
    "bitwise_and": [*integers(np.bitwise_and), case(flags(5), flags(5, seed=1), expect=np.logical_and)],
    "bitwise_or": [*integers(np.bitwise_or), case(flags(5), flags(5, seed=1), expect=np.logical_or)],
    "bitwise_xor": [*integers(np.bitwise_xor), case(flags(5), flags(5, seed=1), expect=np.logical_xor)],
    "bitwise_not": [case(whole(4, low=-3), expect=np.invert), case(flags(5), expect=np.logical_not)],
    "bitwise_left_shift": integers(np.left_shift),
    "bitwise_right_shift": integers(np.right_shift),
    "where": [
        case(flags(2, 3), real(2, 3), real(2, 3, seed=1), expect=np.where),
        case(flags(2, 1), real(3), 0.5, expect=np.where),
    ],
}

# ---- functions of one variable -------------------------------------------------------------------------------------


def _digamma(x: float) -> float:
    """By the recurrence up to 10, then the asymptotic series."""
    below = 0.0
    while x < 10:
        below, x = below - 1 / x, x + 1
    y = 1 / (x * x)
    series = y * (1 / 12 - y * (1 / 120 - y * (1 / 252 - y * (1 / 240 - y / 132))))
    return below + math.log(x) - 0.5 / x - series


def _polygamma(n: int, x: np.ndarray) -> np.ndarray:
    """The series summed up to 2,000, and an integral for the rest of it (the midpoint rule)."""
    k = np.arange(2000)
    head = ((x[..., None] + k) ** -(n + 1.0)).sum(-1)
    far = x + 1999.5
    tail = far**-n / n - (n + 1) / 24 * far ** -(n + 2.0)
    return (-1) ** (n + 1) * math.factorial(n) * (head + tail)


def _round_trip(x: float) -> float:
    return NormalDist().inv_cdf((x + 1) / 2) / math.sqrt(2)


SAMPLES |= {
    "neg": unary(np.negative),
    "abs": unary(np.abs),
    "sign": unary(np.sign),
    "sgn": unary(np.sign),
    "square": unary(np.square),
    "reciprocal": unary(lambda x: 1 / x, 0.3),
    "sqrt": unary(np.sqrt, 0.2),
    "rsqrt": unary(lambda x: x**-0.5, 0.2),
    "exp": unary(np.exp),
    "exp2": unary(np.exp2),
    "expm1": unary(np.expm1),
    "log": unary(np.log, 0.2),
    "log2": unary(np.log2, 0.2),
    "log10": unary(np.log10, 0.2),
    "log1p": unary(np.log1p, -0.7),
    "sin": unary(np.sin),
    "cos": unary(np.cos),
    "tan": unary(np.tan, -1.2, 1.2),
    "asin": unary(np.arcsin, -0.9, 0.9),
    "acos": unary(np.arccos, -0.9, 0.9),
    "atan": unary(np.arctan),
    "sinh": unary(np.sinh),
    "cosh": unary(np.cosh),
    "tanh": unary(np.tanh),
    "asinh": unary(np.arcsinh),
    "acosh": unary(np.arccosh, 1.2, 3.0),
    "atanh": unary(np.arctanh, -0.9, 0.9),
    "sigmoid": unary(lambda x: np.exp(x) / (np.exp(x) + 1)),
    "floor": unary(np.floor),
    "ceil": unary(np.ceil),
    "trunc": unary(np.trunc),
    "round": unary(np.rint),
    "frac": unary(lambda x: x - np.trunc(x)),
    "erf": unary(elements(math.erf)),
    "erfc": unary(elements(math.erfc)),
    "erfinv": unary(elements(_round_trip), -0.9, 0.9),
    "lgamma": unary(elements(math.lgamma), 0.3, 4.0),
    "digamma": unary(elements(_digamma), 0.3, 4.0),
    "polygamma": [
        case(positive(2, 3, low=0.3, high=4.0), 1, expect=lambda x, n: _polygamma(n, x), tolerance=1e-9),
        case(positive(2, 3, low=0.3, high=4.0), 3, expect=lambda x, n: _polygamma(n, x), tolerance=1e-9),
        case(real(2, 3, low=-3.9, high=-0.1), 2, expect=lambda x, n: _polygamma(n, x), tolerance=1e-9),
    ],
    "logit": [
        *unary(lambda x: np.log(x / (1 - x)), 0.1, 0.9),
        *unary(lambda x, eps: np.log(np.clip(x, eps, 1 - eps) / (1 - np.clip(x, eps, 1 - eps))), 0.01, 0.99, 0.3),
    ],
    "nan_to_num": [
        *unary(np.nan_to_num),
        case(SPECIAL, 2.0, 3.0, -4.0, expect=lambda x, *to: np.nan_to_num(x, True, *to), order=0),
    ],
    "sinc": unary(np.sinc),
    "deg2rad": unary(np.deg2rad),
    "rad2deg": unary(np.rad2deg),
}

# ---- arithmetic ----------------------------------------------------------------------------------------------------


def _div_trunc(x, y):
    return np.trunc(x / y)


def _xlogy(x, y):
    return x * np.log(y)


SAMPLES |= {
    "add": [*binary(np.add), case(real(3), real(3, seed=1), alpha=2.5, expect=lambda x, y, alpha: x + 2.5 * y)],
    "sub": [*binary(np.subtract), case(real(3), real(3, seed=1), alpha=2, expect=lambda x, y, alpha: x - 2 * y)],
    "rsub": [
        *binary(lambda x, y: y - x),
        case(real(3), real(3, seed=1), alpha=2, expect=lambda x, y, alpha: y - 2 * x),
    ],
    "mul": binary(np.multiply),
    "div": binary(np.divide, 0.3),
    "div_floor": binary(np.floor_divide, 0.3, 5.0),
    "div_trunc": [*binary(_div_trunc, 0.3, 5.0), case(-positive(4), positive(4, seed=1), expect=_div_trunc)],
    "floor_divide": binary(np.floor_divide, 0.3, 5.0),
    "remainder": [*binary(np.remainder, 0.3, 5.0), case(-positive(4), positive(4, seed=1), expect=np.remainder)],
    "fmod": [*binary(np.fmod, 0.3, 5.0), case(-positive(4), positive(4, seed=1), expect=np.fmod)],
    "addcmul": [
        case(real(2, 3), real(2, 3, seed=1), real(2, 3, seed=2), expect=lambda x, a, b: x + a * b),
        case(real(3), real(2, 1), real(3, seed=2), value=0.5, expect=lambda x, a, b, value: x + 0.5 * a * b),
    ],
    "addcdiv": [
        case(real(2, 3), real(2, 3, seed=1), positive(2, 3, seed=2), expect=lambda x, a, b: x + a / b),
        case(real(3), real(2, 1), positive(3, seed=2), value=0.5, expect=lambda x, a, b, value: x + 0.5 * a / b),
    ],
    "lerp": [
        case(real(2, 3), real(2, 3, seed=1), real(2, 3, seed=2), expect=lambda x, end, w: x + w * (end - x)),
        case(real(3), real(3, seed=1), 0.75, expect=lambda x, end, w: x + w * (end - x)),
    ],
    "_power": [*binary(np.power, 0.3)],
    "_power_of_number": [case(2.0, real(3), expect=np.power), case(True, real(3), expect=np.power)],
    "_squared": unary(np.square),
    "_power_of": [
        *unary(lambda x: x**3),
        *unary(lambda x, n: x**n, 0.3, 2.0, 0.5),
        *unary(lambda x, n: x**n, 0.3, 2.0, -1.5),
        *unary(lambda x, n: x**n, -2.0, 2.0, 4.0),
        *unary(lambda x, n: x**n, -2.0, 2.0, 1.0),
        *unary(lambda x, n: x**n, -2.0, 2.0, 0.0),
    ],
    "xlogy": [
        *binary(_xlogy, 0.3),
        case(
            np.array([0.0, 0.0, NAN]), np.array([0.0, 2.0, 1.0]), order=0, expect=lambda x, y: np.array([0.0, 0.0, NAN])
        ),
    ],
    "maximum": tensors(np.maximum),
    "minimum": tensors(np.minimum),
    "fmax": tensors(np.fmax),
    "fmin": tensors(np.fmin),
    "clamp_min": binary(np.maximum),
    "clamp_max": binary(np.minimum),
    "clamp_at_least": binary(np.maximum),
    "clamp_at_most": binary(np.minimum),
    "_between": [
        case(real(2, 3), real(3, low=-1.5, high=-0.2), real(3, low=0.2, high=1.5), expect=np.clip),
        case(real(2, 3), -0.7, 0.8, expect=np.clip),
    ],
    "atan2": tensors(np.arctan2),
    "hypot": tensors(np.hypot),
    "copysign": binary(np.copysign),
    "logaddexp": tensors(np.logaddexp),
    "logaddexp2": tensors(np.logaddexp2),
    "nextafter": [case(real(3), real(3, seed=1), expect=np.nextafter, double=True)],
    "gcd": integers(np.gcd),
    "lcm": integers(np.lcm),
    "heaviside": [case(np.array([-1.0, 0.0, 2.0]), np.array([5.0, 6.0, 7.0]), expect=np.heaviside)],
}

# ---- activations ---------------------------------------------------------------------------------------------------


def _gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _elu(x, alpha=1.0, scale=1.0, input_scale=1.0):
    return np.where(x > 0, scale * x, scale * alpha * np.expm1(input_scale * x))


def _softplus(x, beta=1.0, threshold=20.0):
    return np.where(beta * x > threshold, x, np.log1p(np.exp(beta * x)) / beta)


SAMPLES |= {
    "relu": unary(lambda x: np.maximum(x, 0)),
    "leaky_relu": [
        *unary(lambda x: np.where(x > 0, x, 0.01 * x)),
        *unary(lambda x, slope: np.where(x > 0, x, slope * x), -2.0, 2.0, 0.2),
    ],
    "_prelu_kernel": [case(real(2, 3), real(3, seed=1), expect=lambda x, w: np.where(x > 0, x, w * x))],
    "rrelu_with_noise": [case(real(2, 3), positive(2, 3, seed=1), fixed=(1,), expect=np.multiply)],
    "hardtanh": [
        *unary(lambda x: np.clip(x, -1, 1)),
        *unary(np.clip, -2.0, 2.0, -0.3, 0.7),
    ],
    "hardsigmoid": unary(lambda x: np.clip(x + 3, 0, 6) / 6, -5.0, 5.0),
    "hardswish": unary(lambda x: x * np.clip(x + 3, 0, 6) / 6, -5.0, 5.0),
    "hardshrink": [
        *unary(lambda x: np.where(np.abs(x) > 0.5, x, 0)),
        *unary(lambda x, lambd: np.where(np.abs(x) > lambd, x, 0), -2.0, 2.0, 1.2),
    ],
    "softshrink": [
        *unary(lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0)),
        *unary(lambda x, lambd: np.sign(x) * np.maximum(np.abs(x) - lambd, 0), -2.0, 2.0, 1.2),
    ],
    "threshold": [
        *unary(lambda x: np.where(x > 0, x, 0)),
        *unary(lambda x, at, value: np.where(x > at, x, value), -2.0, 2.0, 0.3, 7.0),
    ],
    "elu": [*unary(_elu), *unary(_elu, -2.0, 2.0, 1.7, 1.1, 0.6)],
    "celu": [*unary(_elu), *unary(lambda x, a: np.where(x > 0, x, a * np.expm1(x / a)), -2.0, 2.0, 1.7)],
    "softplus": [*unary(_softplus), *unary(_softplus, -2.0, 2.0, 3.0, 2.0)],
    "log_sigmoid": unary(lambda x: -np.log1p(np.exp(-x))),
    "silu": unary(lambda x: x / (1 + np.exp(-x))),
    "mish": unary(lambda x: x * np.tanh(np.log1p(np.exp(x)))),
    "gelu_erf": unary(elements(lambda x: x * NormalDist().cdf(x))),
    "gelu_single": unary(elements(lambda x: x * NormalDist().cdf(x)), -7.0, 7.0, tolerance=4e-8),
    "gelu_tanh": unary(_gelu_tanh),
    "_smooth_l1": [
        case(
            real(2, 3),
            real(2, 3, seed=1),
            0.7,
            expect=lambda x, y, beta: np.where(
                np.abs(x - y) < beta, (x - y) ** 2 / (2 * beta), np.abs(x - y) - beta / 2
            ),
        )
    ],
    "_huber": [
        case(
            real(2, 3),
            real(2, 3, seed=1),
            0.7,
            expect=lambda x, y, delta: np.where(
                np.abs(x - y) <= delta, (x - y) ** 2 / 2, delta * (np.abs(x - y) - delta / 2)
            ),
        )
    ],
}
