"""The functions of mathematics as vector code without branches: reduce the argument, a polynomial, undo the reduction.

Every lane computes every case and `select` takes the right one, so a function costs the same for all arguments (but for
angles beyond 2**40, which take a branch). `BOUNDS` states for each function the largest error in units in the last
place (ulp) of the exact result that was measured: over a grid of all float32 numbers, over random float64 numbers of
all exponents. `tests/test_codegen.py` measures again.

Functions of float32 compute in float32 where that is accurate enough and else in float64 with short polynomials (two
registers for one), which rounds once at the end.

References: Cody & Waite, "Software Manual for the Elementary Functions" (1980); Muller, "Elementary Functions", 3rd ed.
(2016), for the reductions; Payne & Hanek, "Radian reduction for trigonometric functions", SIGNUM 18 (1983), for large
angles; Dekker, "A floating-point technique for extending the available precision", Numer. Math. 18 (1971), for numbers
in two parts; Kahan, "Branch cuts for complex elementary functions" (1987), for the inverse hyperbolic ones; Shepherd &
Laframboise, "Chebyshev approximation of (1+2x)exp(x^2)erfc x", Math. Comp. 36 (1981), for the variable of `erfc`;
Giles, "Approximating the erfinv function", GPU Computing Gems (2011), for that of `erfinv`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from . import angles
from .tables import (
    DOUBLE,
    ERFC_MIDDLE,
    ERFINV_MIDDLE,
    ERFINV_TAIL_MIDDLE,
    FLOAT,
    FORMATS,
    INF,
    LN2,
    LOG2E,
    LOG10_2,
    LOG10E,
    NAN,
    ONE,
    PI_2,
    SHORT,
)
from .vectors import Value, polynomial, select

Tables = dict[str, tuple[Any, ...]]
FULL: dict[str, Tables] = {"float": FLOAT, "double": DOUBLE}
POWER: Tables = {"log": SHORT["log"]}  # all of it in float64
LARGEST = {"float": float.fromhex("0x1.fffffep127"), "double": float.fromhex("0x1.fffffffffffffp1023")}


# ---- exponentials ----------------------------------------------------------------------------------------------------


def _limit(x: Value, low: float, high: float) -> Value:
    """`x` within limits; NaN passes."""
    return select(x > high, high, select(x < low, low, x))


def _whole(x: Value, factor: float) -> tuple[Value, Value]:
    """The whole number nearest to `x * factor`, as a number and as an integer."""
    magic = FORMATS[x.type].magic
    shifted = x.fma(factor, magic)
    return shifted - magic, shifted.bits() - x.code.lift(magic, x.type).bits()


def _power(i: Value, type: str) -> Value:
    """`2**i` within the range of normal numbers."""
    form = FORMATS[type]
    return ((i + form.bias) << form.digits).real()


def _scale(x: Value, i: Value) -> Value:
    """`x * 2**i` in two steps, so that both factors are normal numbers and the result is rounded once."""
    half = i >> 1
    return x * _power(half, x.type) * _power(i - half, x.type)


def _exp_parts(x: Value, tables: Tables, less: Value | None = None) -> tuple[Value, Value]:
    """`i` and `p` with `exp(x - less) = 2**i (1 + p)`, |p| < 0.42, and `p` accurate by itself; `less` is tiny."""
    k, i = _whole(x, LOG2E[x.type][0])
    high, low = LN2[x.type]
    r = k.fma(-low, k.fma(-high, x))
    r = r if less is None else r - less
    return i, (r * r).fma(polynomial(r, tables["exp"]), r)


def exp(x: Value) -> Value:
    form = FORMATS[x.type]
    i, p = _exp_parts(_limit(x, form.under, form.over), FULL[x.type])
    return _scale(1 + p, i)


def exp2(x: Value) -> Value:
    form = FORMATS[x.type]
    x = _limit(x, -form.bias - form.digits - 2.0, form.bias + 2.0)
    k, i = _whole(x, 1.0)
    r = x - k
    return _scale(r.fma(polynomial(r, FULL[x.type]["exp2"]), 1), i)


def _half_expm1(x: Value, down: int = 1) -> Value:
    """`(exp(x) - 1) / 2**down`, whose largest values do not overflow; not for numbers below the precision."""
    i, p = _exp_parts(x, FULL[x.type])
    s = _power(i - down, x.type)
    return p.fma(s, s - 0.5**down)


def _tiny(x: Value, result: Value) -> Value:
    """A function that is `x` itself next to zero; its sign and numbers without leading one pass unharmed."""
    return select(abs(x) < 0.5 ** (FORMATS[x.type].digits // 2 + 2), x, result)


def _odd(x: Value, name: str) -> Value:
    """`x + x**3 P(x**2)`."""
    z = x * x
    return _tiny(x, (x * z).fma(polynomial(z, FULL[x.type][name]), x))


def expm1(x: Value) -> Value:
    half = _half_expm1(_limit(x, -40.0, FORMATS[x.type].over))
    return select(abs(x) < 0.5 ** FORMATS[x.type].digits, x, half + half)


def sinh(x: Value) -> Value:
    a = abs(x)
    quarter = _half_expm1(_limit(a, 0.0, FORMATS[x.type].over + 0.75), 2)
    half = quarter + quarter
    large = select(half == INF, INF, half + half / (half + half + 1))
    return select(a < 1, _odd(x, "sinh"), large.copysign(x))


def cosh(x: Value) -> Value:
    i, p = _exp_parts(_limit(abs(x), 0.0, FORMATS[x.type].over + 2.0), FULL[x.type])
    half = _scale(1 + p, i - 1)
    return half + 0.25 / half


def tanh(x: Value) -> Value:
    a = abs(x)
    half = _half_expm1(_limit(a + a, 0.0, 40.0))
    below = 0.6 if x.type == "float" else 0.5
    return select(a < below, _odd(x, "tanh"), (half / (half + 1)).copysign(x))


def _mixed(x: Value, coefficients: Sequence[float], wide: int) -> Value:
    """A polynomial in float64 for results of float32: beyond the first `wide` terms, float32 is enough."""
    narrow = polynomial(x.to("float"), coefficients[wide:]).to("double")
    for c in reversed(coefficients[:wide]):
        narrow = narrow.fma(x, c)
    return narrow


def _short_reciprocal(x: Value) -> Value:
    """`1 / x` to 1e-14: the quotient of float32 and one step of Newton's cost less than one of float64."""
    guess = (1 / x.to("float")).to("double")
    return guess.fma(guess.fma(-x, 1), guess)


# ---- logarithms ------------------------------------------------------------------------------------------------------


def _log_parts(x: Value, tables: Tables, lost: Value | None = None) -> tuple[Value, Value, Value]:
    """`e`, `f`, `y` with `log(x + lost) = e ln(2) + f + y`, |y| < |f| / 2; `x` is a positive normal number.

    `lost` is what rounding took from `x`.
    """
    form, type = FORMATS[x.type], x.type
    root = x.code.lift(0.7071067811865476, type).bits()
    e = (x.bits() - root) >> form.digits
    f = (x.bits() - (e << form.digits)).real() - 1
    if lost is not None:
        f = (lost * 0.5).fma(_power(1 - e, type), f)  # e may be 128
    if type == "float":
        square = f * f
        y = square * f.fma(polynomial(f, tables["log"]), -0.5)
    else:
        s = f / (f + 2) if tables is DOUBLE else f * _short_reciprocal(f + 2)
        z = s * s
        q = _mixed(z, tables["log"], 1) if tables is SHORT else polynomial(z, tables["log"])
        y = 0 - s * (f - z * q)
    return e.to(type), f, y


def _log_edges(x: Value, found: Value) -> Value:
    """The logarithm of zero, of negative numbers, of infinity and of NaN."""
    found = select(x < INF, found, x)
    return select(x == 0, -INF, select(x < 0, NAN, found))


def _normal_log_parts(x: Value) -> tuple[Value, Value, Value]:
    """`_log_parts` of any positive number."""
    form = FORMATS[x.type]
    small = x < form.tiny
    e, f, y = _log_parts(select(small, x * 2.0 ** (form.digits + 1), x), FULL[x.type])
    return select(small, e - (form.digits + 1), e), f, y


def log(x: Value) -> Value:
    e, f, y = _normal_log_parts(x)
    high, low = LN2[x.type]
    return _log_edges(x, e.fma(high, f + e.fma(low, y)))


def _log_of_base(x: Value, of_two: tuple[float, float], scale: tuple[float, float]) -> Value:
    """`e * of_two + (f + y) * scale` with products and sums in two parts."""
    e, f, y = _normal_log_parts(x)
    sum = f + y
    rest = (f - sum) + y
    product = sum * scale[0]
    error = sum.fma(scale[0], -product) + rest.fma(scale[0], sum * scale[1])
    whole = e * of_two[0]
    error = error + (e.fma(of_two[0], -whole) + e * of_two[1])
    found = whole + product
    return _log_edges(x, found + (((whole - found) + product) + error))


def log2(x: Value) -> Value:
    return _log_of_base(x, ONE[x.type], LOG2E[x.type])


def log10(x: Value) -> Value:
    return _log_of_base(x, LOG10_2[x.type], LOG10E[x.type])


def log1p(x: Value, tables: Tables | None = None) -> Value:
    u = 1 + x
    e, f, y = _log_parts(u, tables or FULL[x.type], x - (u - 1))
    high, low = LN2[x.type]
    found = e.fma(high, f + e.fma(low, y))
    found = select(x == -1, -INF, select(x < -1, NAN, select(x < INF, found, x)))
    return select(abs(x) < 0.5 ** (FORMATS[x.type].digits + 1), x, found)


def logaddexp(x: Value, y: Value) -> Value:
    larger = select(x >= y, x, y)
    found = larger + log1p(exp(-abs(x - y)))
    return select(x == y, x + LN2[x.type][0], found)


def logaddexp2(x: Value, y: Value) -> Value:
    larger = select(x >= y, x, y)
    found = log1p(exp2(-abs(x - y))).fma(LOG2E[x.type][0], larger)
    return select(x == y, x + 1, found)


# ---- circles ---------------------------------------------------------------------------------------------------------


def _sin_cos(x: Value) -> tuple[Value, Value, Value]:
    """The number of quarter turns (an integer), and sine and cosine of what is left."""
    n, r, rest = angles.reduce(x)
    tables = FULL[x.type]
    if x.type == "float":
        r = (r + rest).to("float")
        n = n.to("i32")
    z = r * r
    p, q = z * polynomial(z, tables["sin"]), z * z * polynomial(z, tables["cos"])
    if x.type == "float":
        return n, r.fma(p, r), q + z.fma(-0.5, 1)
    half = z * 0.5
    first = 1 - half
    sin = r + r.fma(p, rest * first)
    return n, sin, first + (((1 - first) - half) + (q - r * rest))


def _turned(n: Value, x: Value) -> Value:
    """`-x` where bit 1 of `n` is set."""
    sign = (n >> 1) << (31 if n.type == "i32" else 63)
    return (x.bits() ^ sign).real()


def sin(x: Value) -> Value:
    n, s, c = _sin_cos(x)
    return _tiny(x, _turned(n, select((n & 1) == 0, s, c)))


def cos(x: Value) -> Value:
    n, s, c = _sin_cos(x)
    return _turned(n + 1, select((n & 1) == 0, c, s))


def tan(x: Value) -> Value:
    if x.type == "double":
        n, s, c = _sin_cos(x)
        even = (n & 1) == 0
        return _tiny(x, select(even, s, -c) / select(even, c, s))
    n, r, rest = angles.reduce(x)
    wide, r, n = r + rest, (r + rest).to("float"), n.to("i32")
    z = r * r
    t = r + (r * z).fma(polynomial(z, FLOAT["tan"]), (wide - r.to("double")).to("float"))
    even = (n & 1) == 0
    return _tiny(x, select(even, t, -1.0) / select(even, 1.0, t))


def _asin_parts(x: Value) -> tuple[Value, Value, Value]:
    """Whether |x| > 1/2, and the arc sine of |x| or else of `sqrt((1 - |x|) / 2)`, as a sum."""
    a = abs(x)
    big = a > 0.5
    z = select(big, (1 - a) * 0.5, a * a)
    s = select(big, z.sqrt(), a)
    return big, s, s * z * polynomial(z, FULL[x.type]["asin"])


def asin(x: Value) -> Value:
    big, s, more = _asin_parts(x)
    high, low = PI_2[x.type]
    return _tiny(x, select(big, (high - (s + s)) - (more + more - low), s + more).copysign(x))


def acos(x: Value) -> Value:
    big, s, more = _asin_parts(x)
    high, low = PI_2[x.type]
    p = s + more
    twice = p + p
    far = select(x < 0, 2 * high - (twice - 2 * low), twice)
    return select(big, far, high - (p.copysign(x) - low))


def _atan_of_quotient(small: Value, large: Value, turn: Value) -> Value:
    """The arc tangent of `small / large`, which is in [0, 1], or what it lacks to a quarter turn."""
    q = small / large
    z = q * q
    found = (q * z).fma(polynomial(z, FULL[q.type]["atan"]), q)
    high, low = PI_2[q.type]
    return select(turn, high - (found - low), found)


def atan(x: Value) -> Value:
    a = abs(x)
    turn = a > 1
    return _atan_of_quotient(select(turn, 1.0, a), select(turn, a, 1.0), turn).copysign(x)


def atan2(y: Value, x: Value) -> Value:
    a, b = abs(x), abs(y)
    turn = b > a
    small, large = select(turn, a, b), select(turn, b, a)
    endless = small == INF  # both are
    small, large = select(endless, 1.0, small), select(endless | (large == 0), 1.0, large)
    found = _atan_of_quotient(small, large, turn)
    high, low = PI_2[x.type]
    found = select(x.bits() < 0, 2 * high - (found - 2 * low), found).copysign(y)
    return select((x != x) | (y != y), x + y, found)


# ---- inverse hyperbolic functions; two of float32 in float64, where squares neither overflow nor cancel --------------


def _short_log1p(x: Value) -> Value:
    return log1p(x, SHORT)


def asinh(x: Value) -> Value:
    a = abs(x.to("double"))
    found = _short_log1p(a + a * a / (1 + (a.fma(a, 1)).sqrt()))
    return select(a == INF, INF, found).to("float").copysign(x)


def acosh(x: Value) -> Value:
    t = x.to("double") - 1
    return select(x < 1, NAN, _short_log1p(t + (t * (t + 2)).sqrt()).to("float"))


def atanh(x: Value) -> Value:
    a = abs(x)
    return select(a < 0.5, _odd(x, "atanh"), (0.5 * log1p((a + a) / (1 - a))).copysign(x))


# ---- powers ----------------------------------------------------------------------------------------------------------


def pow(x: Value, y: Value) -> Value:
    """Of float32 in float64: `2**(y log2(x))`."""
    a, b = abs(x).to("double"), y.to("double")
    e, f, rest = _log_parts(a, POWER)
    log = (f + rest).fma(LOG2E["double"][0], e)
    log = select(a == 0, -INF, select(a < INF, log, a))
    t = _limit(b * log, -1000.0, 1000.0)
    k, i = _whole(t, 1.0)
    r = t - k
    found = (r.fma(polynomial(r, SHORT["exp2"]), 1) * _power(i, "double")).to("float")
    found = select((abs(x) == 1) & (y == y), 1.0, found)
    whole = y.trunc() == y
    odd = whole & ((y * 0.5).trunc() != y * 0.5) & (abs(y) < INF)
    found = select(odd & (x.bits() < 0), -found, found)
    found = select((x < 0) & ~whole & (x > -INF), NAN, found)
    return select((x == 1) | (y == 0), 1.0, found)


def hypot(x: Value, y: Value) -> Value:
    """Of float32 in float64."""
    a, b = x.to("double"), y.to("double")
    found = a.fma(a, b * b).sqrt().to("float")
    return select((abs(x) == INF) | (abs(y) == INF), INF, found)


# ---- the error function ----------------------------------------------------------------------------------------------


def erf(x: Value) -> Value:
    a, tables = abs(x), FULL[x.type]
    z = a * a
    small = a.fma(polynomial(z, tables["erf"]), a)
    if x.type == "float":
        below, far = 0.92, _limit(a, 0.0, 4.0)
        i, p = _exp_parts(-polynomial(far, tables["log erfc"]), tables)
        large = 1 - _power(i, x.type).fma(p, _power(i, x.type))
    else:
        below, large = 1.0, 1 - _erfc_of_positive(_limit(a, 0.0, 6.5))
    return select(a < below, small, large).copysign(x)


def _erfc_of_positive(a: Value) -> Value:
    """`exp(-a**2)` times a function that varies little, which is a polynomial times `1 / (1 + 2 a)`."""
    type = a.type
    middle = ERFC_MIDDLE if type == "float" else 4.0
    square = a * a
    i, p = _exp_parts(-square, FULL[type], a.fma(a, -square))
    t = (a - middle) / (a + middle)
    below = a.fma(2.0, 1)
    lost = a.fma(2.0, 1 - below)
    constant, *others = FULL[type]["erfcx"]
    more, inverse = t * polynomial(t, others), 1 / below
    value = constant + more
    quotient = value * inverse
    rest = ((quotient.fma(-below, value) - quotient * lost) + (more - (value - constant))) * inverse
    return _scale(quotient + quotient.fma(p, rest), i)


def erfc(x: Value) -> Value:
    z = x * x
    near = 1 - x.fma(polynomial(z, FULL[x.type]["erf"]), x)
    far = _erfc_of_positive(_limit(abs(x), 0.0, 11.0 if x.type == "float" else 28.0))
    return select(abs(x) < 0.5, near, select(x < 0, 2 - far, far))


def erfinv(x: Value) -> Value:
    """A function of `log(1 - x**2)`, which varies little, times `x`; for float32."""
    square = x * x
    v = 1 - square
    high, low = LN2[x.type]
    e, f, y = _log_parts(v, FLOAT, ((1 - v) - square) - x.fma(x, -square))
    w = -e.fma(high, f + e.fma(low, y))
    far = w > 6
    t = select(far, w.sqrt() - ERFINV_TAIL_MIDDLE, w - ERFINV_MIDDLE)
    near_c, *near = FLOAT["erfinv"]
    far_c, *tail = FLOAT["erfinv tail"]
    constant, others = (
        select(far, far_c, x.code.lift(near_c, x.type)),
        select(far, polynomial(t, tail), polynomial(t, near)),
    )
    product = x * constant
    found = product + (x * t).fma(others, x.fma(constant, -product))
    return select(abs(x) == 1, INF * x, select(abs(x) > 1, NAN, select(x == 0, x, found)))


# ---- all of them -----------------------------------------------------------------------------------------------------

BOUNDS: dict[str, tuple[float, float | None]] = {  # in ulp: of float32, and of float64 where it is made
    "exp": (1.0, 1.0),
    "exp2": (1.0, 1.3),
    "expm1": (1.4, 2.0),
    "log": (0.95, 0.95),
    "log2": (1.05, 0.9),
    "log10": (0.9, 0.95),
    "log1p": (1.6, 1.6),
    "logaddexp": (2.7, 2.7),  # of the largest of the operands and the result: they cancel
    "logaddexp2": (2.7, 2.7),
    "sin": (1.6, 0.8),
    "cos": (1.6, 0.8),
    "tan": (1.7, 2.3),
    "asin": (2.0, 2.1),
    "acos": (1.3, 1.3),
    "atan": (1.6, 1.7),
    "atan2": (1.8, 1.8),
    "sinh": (1.5, 1.6),
    "cosh": (1.5, 1.5),
    "tanh": (1.6, 1.6),
    "asinh": (0.51, None),
    "acosh": (0.51, None),
    "atanh": (1.2, None),
    "erf": (1.3, 1.2),
    "erfc": (2.0, 4.0),
    "erfinv": (2.5, None),
    "pow": (0.6, None),
    "hypot": (0.51, None),
}
FUNCTIONS: dict[tuple[str, str], Callable[..., Value]] = {
    (name, type): globals()[name]
    for name, bounds in BOUNDS.items()
    for type, bound in zip(("float", "double"), bounds)
    if bound is not None
}
