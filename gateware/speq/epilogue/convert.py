"""FP32 to FP16, rounded to nearest even, subnormals and overflow included."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from speq.epilogue.floats import Fp32, shift_right

__all__ = ["to_fp16"]

BIAS = 127 - 15
"""Biased exponents of FP32 less those of FP16."""
FRACTION_BITS = 10
INFINITY = 0x7C00
QUIET_NAN = 0x7E00


def to_fp16(m: Module, value: Value) -> Value:
    """The FP16 pattern of an FP32 pattern."""
    number = Fp32(value)
    exponent = Signal(signed(9), name="half_exponent")
    m.d.comb += exponent.eq(number.exponent - BIAS)
    places = 1 - exponent
    subnormal, overflow = exponent < 1, exponent > 30
    # Shifted by 13 places or more, nothing is left even to round on.
    right = (places[:4] | places[4:].any().replicate(4)) & subnormal.replicate(4)
    significand = number.significand
    dropped = len(significand) - (FRACTION_BITS + 2)
    kept, lost = shift_right(m, significand[dropped:], right)
    below = lost | significand[:dropped].any()
    up = kept[0] & (below | kept[1])
    biased = Mux(subnormal, 0, exponent[:5])
    packed = (Cat(kept[1:-1], biased) + up)[:15]
    magnitude = Mux(overflow, Const(INFINITY, 15), packed)
    return Mux(number.nan, Const(QUIET_NAN, 16), Cat(magnitude, number.sign))
