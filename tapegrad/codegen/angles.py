"""Angles modulo a quarter turn, for any angle: the part of sine, cosine and tangent that is hard.

The remainder must be accurate relative to itself, also where the angle is next to a multiple of pi / 2. Up to 2**40 the
multiple is subtracted in three parts (Cody & Waite). Beyond, where hardly any program goes, the bits of 2 / pi that
matter are multiplied with the angle as integers (Payne & Hanek): a function of one number, called for the lanes in
question.
"""

from __future__ import annotations

import functools

from .tables import FORMATS, PI_2_PARTS, TWO_PI
from .vectors import Value, literal

LIMIT = 2.0**40
WORDS = 20  # of 64 bits: how many of 2 / pi are kept


def reduce(x: Value) -> tuple[Value, Value, Value]:
    """`n`, `r`, `rest` with `x = n pi / 2 + r + rest`, |r| < 0.79, `n` modulo 4; in float64 for either type."""
    wide = x.to("double")
    magic = FORMATS["double"].magic
    high, middle, low = PI_2_PARTS
    shifted = wide.fma(TWO_PI, magic)
    k, n = shifted - magic, shifted.bits()
    first = k.fma(-high, wide)  # exact
    if x.type == "float":
        r, rest = k.fma(-middle, first), None
    else:
        product = k * middle
        r = first - product
        rest = k.fma(-low, ((first - r) - product) - k.fma(middle, -product))
    far = (abs(wide) > LIMIT) & (abs(wide) < float("inf"))
    name = f"tapegrad_far_angles_{x.code.lanes}"
    x.code.needs[name] = far_angles(name, x.code.lanes)
    zero = x.code.lift(0.0, "double")
    n, r, rest = x.code.rare(far, name, wide, (n, r, zero if rest is None else rest))
    return n, r, rest


def two_over_pi() -> int:
    """The first 64 * WORDS bits of 2 / pi, from Machin's formula in integers."""
    bits = 64 * WORDS + 64

    def arctan_of_inverse(n: int) -> int:
        total = term = (1 << bits) // n
        k = 1
        while term:
            term //= n * n
            k += 2
            total += term // k if k % 4 == 1 else -(term // k)
        return total

    pi = 4 * (4 * arctan_of_inverse(5) - arctan_of_inverse(239))
    return (2 << (bits + 64 * WORDS)) // pi


@functools.cache
def far_angles(name: str, lanes: int) -> str:
    """A module with `name(x, mask, n, r, rest)`: the last three, but in the lanes of the mask those of `x`."""
    numbers, integers, truths = (f"<{lanes} x {type}>" for type in ("double", "i64", "i1"))
    whole = f"{{ {integers}, {numbers}, {numbers} }}"
    return f"""{_far_angle()}
define {whole} @{name}({numbers} %x, {truths} %mask, {integers} %n, {numbers} %r, {numbers} %l) {{
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %i.next, %next ]
  %n0 = phi {integers} [ %n, %entry ], [ %n2, %next ]
  %r0 = phi {numbers} [ %r, %entry ], [ %r2, %next ]
  %l0 = phi {numbers} [ %l, %entry ], [ %l2, %next ]
  %on = extractelement {truths} %mask, i64 %i
  br i1 %on, label %far, label %next
far:
  %lane = extractelement {numbers} %x, i64 %i
  %found = call {{ i64, double, double }} @far_angle(double %lane)
  %nn = extractvalue {{ i64, double, double }} %found, 0
  %rr = extractvalue {{ i64, double, double }} %found, 1
  %ll = extractvalue {{ i64, double, double }} %found, 2
  %n1 = insertelement {integers} %n0, i64 %nn, i64 %i
  %r1 = insertelement {numbers} %r0, double %rr, i64 %i
  %l1 = insertelement {numbers} %l0, double %ll, i64 %i
  br label %next
next:
  %n2 = phi {integers} [ %n0, %loop ], [ %n1, %far ]
  %r2 = phi {numbers} [ %r0, %loop ], [ %r1, %far ]
  %l2 = phi {numbers} [ %l0, %loop ], [ %l1, %far ]
  %i.next = add i64 %i, 1
  %more = icmp ult i64 %i.next, {lanes}
  br i1 %more, label %loop, label %done
done:
  %out0 = insertvalue {whole} poison, {integers} %n2, 0
  %out1 = insertvalue {whole} %out0, {numbers} %r2, 1
  %out2 = insertvalue {whole} %out1, {numbers} %l2, 2
  ret {whole} %out2
}}
"""


def _far_angle() -> str:
    """The function of one number.

    x = m 2**s with m of 53 bits. Bits of 2 / pi above 2**(2 - s) give multiples of 4 turns; from there on 192 bits are
    enough: P = m * (those bits) has the quarter turn in its 2 highest bits and below them a fraction to 2**-137.
    """
    stored = two_over_pi().to_bytes(8 * WORDS, "little") + bytes(32)
    table = "".join(f"\\{b:02X}" for b in stored)
    high, middle = (literal(c, "double") for c in PI_2_PARTS[:2])
    return f"""@two_over_pi = private unnamed_addr constant [{len(stored)} x i8] c"{table}", align 16
define internal {{ i64, double, double }} @far_angle(double %lane) {{
  %bits = bitcast double %lane to i64
  %negative = icmp slt i64 %bits, 0
  %field = lshr i64 %bits, 52
  %biased = and i64 %field, 2047
  %low = and i64 %bits, 4503599627370495
  %m = or i64 %low, 4503599627370496
  %back = sub i64 {64 * WORDS - 190 + 1075}, %biased
  %byte = lshr i64 %back, 3
  %bit = and i64 %back, 7
  %place = getelementptr i8, ptr @two_over_pi, i64 %byte
  %loaded = load i256, ptr %place, align 1
  %by = zext i64 %bit to i256
  %shifted = lshr i256 %loaded, %by
  %window = trunc i256 %shifted to i192
  %wide = zext i64 %m to i192
  %product = mul i192 %window, %wide
  %top = lshr i192 %product, 190
  %quarter = trunc i192 %top to i64
  %fraction = shl i192 %product, 2
  %below = icmp slt i192 %fraction, 0
  %carry = zext i1 %below to i64
  %turns = add i64 %quarter, %carry
  %minus = sub i192 0, %fraction
  %size = select i1 %below, i192 %minus, i192 %fraction
  %zeros = call i192 @llvm.ctlz.i192(i192 %size, i1 false)
  %normal = shl i192 %size, %zeros
  %a = lshr i192 %normal, 139
  %a64 = trunc i192 %a to i64
  %b = lshr i192 %normal, 86
  %b64 = trunc i192 %b to i64
  %c64 = and i64 %b64, 9007199254740991
  %af = sitofp i64 %a64 to double
  %bf = sitofp i64 %c64 to double
  %shift = trunc i192 %zeros to i64
  %e1 = sub i64 970, %shift
  %e2 = sub i64 917, %shift
  %s1 = shl i64 %e1, 52
  %s2 = shl i64 %e2, 52
  %f1 = bitcast i64 %s1 to double
  %f2 = bitcast i64 %s2 to double
  %h = fmul double %af, %f1
  %t = fmul double %bf, %f2
  %p = fmul double %h, {high}
  %minusp = fneg double %p
  %error = call double @llvm.fma.f64(double %h, double {high}, double %minusp)
  %error1 = call double @llvm.fma.f64(double %h, double {middle}, double %error)
  %error2 = call double @llvm.fma.f64(double %t, double {high}, double %error1)
  %sum = fadd double %p, %error2
  %gone = fsub double %p, %sum
  %left = fadd double %gone, %error2
  %flip = xor i1 %below, %negative
  %minussum = fneg double %sum
  %minusleft = fneg double %left
  %minusturns = sub i64 0, %turns
  %rr = select i1 %flip, double %minussum, double %sum
  %ll = select i1 %flip, double %minusleft, double %left
  %nn = select i1 %negative, i64 %minusturns, i64 %turns
  %out0 = insertvalue {{ i64, double, double }} poison, i64 %nn, 0
  %out1 = insertvalue {{ i64, double, double }} %out0, double %rr, 1
  %out2 = insertvalue {{ i64, double, double }} %out1, double %ll, 2
  ret {{ i64, double, double }} %out2
}}
declare i192 @llvm.ctlz.i192(i192, i1)
declare double @llvm.fma.f64(double, double, double)
"""
