"""FP32 plus FP32, rounded to nearest even: two halves, with a register between them if wanted.

The first half aligns and adds, the second normalises and rounds.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data

from speq.epilogue.floats import (
    SIGNIFICAND_BITS,
    Fp32,
    pack,
    shift_left_to,
    shift_right,
)

__all__ = ["SumFields", "align", "round_sum"]

EXTRA_BITS = 3
"""Bits below the larger number's last place. A difference that loses its two top digits or more is
of numbers with neighbouring exponents, and exact; of any other the lowest of three bits may stand
for all that was shifted out."""

DIGITS = SIGNIFICAND_BITS + EXTRA_BITS + 1


class SumFields(data.Struct):
    """A sum before it is rounded.

    Members
    -------
    digits : 28 bits
        Magnitude; the larger number's leading digit at the second bit from the top.
    exponent : 8 bits
        Effective exponent of the larger number.
    sign, nan, infinite : 1 bit
        Of the sum.
    """

    digits: DIGITS
    exponent: 8
    sign: 1
    nan: 1
    infinite: 1


def align(m: Module, a: Value, b: Value) -> data.View:
    """The sum of two FP32 patterns, exact but for bits that only matter as being there."""
    a, b = Fp32(a), Fp32(b)
    magnitude_a, magnitude_b = Value.cast(a)[:-1], Value.cast(b)[:-1]
    swap = Signal(name="swap")
    large, small = Signal(Fp32, name="large"), Signal(Fp32, name="small")
    m.d.comb += [
        swap.eq(magnitude_a < magnitude_b),
        large.eq(Mux(swap, b, a)),
        small.eq(Mux(swap, a, b)),
    ]
    distance = Signal(8, name="distance")
    m.d.comb += distance.eq(large.effective_exponent - small.effective_exponent)
    far = distance[5:].any()
    aligned, lost = shift_right(m, Cat(Const(0, EXTRA_BITS - 1), small.significand), distance[:5])
    near = Cat(lost, aligned) & (~far).replicate(DIGITS - 1)
    addend = Cat(near[0] | (far & small.significand.any()), near[1:])

    subtract = a.sign ^ b.sign
    opposite = a.infinite & b.infinite & subtract
    cancels = subtract & (magnitude_a == magnitude_b)
    result = Signal(SumFields, name="sum")
    base = Cat(Const(0, EXTRA_BITS), large.significand, Const(0, 1))
    flipped = Cat(addend, Const(0, 1)) ^ subtract.replicate(DIGITS)
    m.d.comb += [
        result.digits.eq(base + flipped + subtract),
        result.exponent.eq(large.effective_exponent),
        result.sign.eq(large.sign & ~cancels),
        result.nan.eq(a.nan | b.nan | opposite),
        result.infinite.eq(a.infinite | b.infinite),
    ]
    return result


def round_sum(m: Module, exact: data.View) -> Value:
    """The FP32 pattern of a sum."""
    limit = exact.exponent[:5] | exact.exponent[5:].any().replicate(5)
    digits, places = shift_left_to(m, exact.digits, limit)
    exponent = Signal(9, name="exponent")
    m.d.comb += exponent.eq(exact.exponent + 1 - places)
    kept, below = digits[EXTRA_BITS:], digits[:EXTRA_BITS].any()
    return pack(kept, below, exponent, exact.sign, exact.nan, exact.infinite)
