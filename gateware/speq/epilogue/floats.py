"""FP32 numbers as fields, and the two shifts that floating-point arithmetic is made of."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data

__all__ = [
    "FRACTION_BITS",
    "INFINITY",
    "MAX_EXPONENT",
    "QUIET_NAN",
    "SIGNIFICAND_BITS",
    "Fp32",
    "pack",
    "shift_left_to",
    "shift_right",
]

FRACTION_BITS = 23
SIGNIFICAND_BITS = 24
MAX_EXPONENT = 255
"""Biased exponent of infinities and NaNs."""
INFINITY = MAX_EXPONENT << FRACTION_BITS
QUIET_NAN = INFINITY | 1 << (FRACTION_BITS - 1)
"""The only NaN that leaves an operation."""


class Fp32(data.Struct):
    """IEEE 754 binary32.

    The significand is an integer of 24 bits and the effective exponent 1 for a subnormal, so that
    a finite value is ``(-1)**sign * significand * 2**(effective exponent - 150)``.
    """

    fraction: FRACTION_BITS
    exponent: 8
    sign: 1

    @property
    def normal(self) -> Value:
        """Whether the biased exponent is not 0."""
        return self.exponent.any()

    @property
    def significand(self) -> Value:
        """Fraction with its leading digit, 24 bits."""
        return Cat(self.fraction, self.normal)

    @property
    def effective_exponent(self) -> Value:
        """1..254 of a finite number."""
        return Cat(self.exponent[0] | ~self.normal, self.exponent[1:])

    @property
    def zero(self) -> Value:
        """Whether it is +0 or -0."""
        return ~Cat(self.fraction, self.exponent).any()

    @property
    def infinite(self) -> Value:
        """Whether it is an infinity."""
        return self.exponent.all() & ~self.fraction.any()

    @property
    def nan(self) -> Value:
        """Whether it is a NaN, of whatever pattern."""
        return self.exponent.all() & self.fraction.any()


def shift_right(m: Module, value: Value, amount: Value) -> tuple[Value, Value]:
    """``value >> amount`` in as many bits, and whether a one was shifted out."""
    lost: list[Value] = []
    width = len(value)
    for place, move in enumerate(amount):
        step = min(1 << place, width)
        lost.append(move & value[:step].any())
        shifted = Signal(width, name=f"right_by_{step}")
        m.d.comb += shifted.eq(Mux(move, value[step:], value))
        value = shifted
    return value, Cat(*lost).any()


def shift_left_to(m: Module, value: Value, limit: Value | None = None) -> tuple[Value, Value]:
    """Shift leading zeros out of the top, all that there are or `limit` at most.

    Parameters
    ----------
    value : Value
        17 to 32 bits.
    limit : 5 bits, optional
        Most places to shift by.

    Returns
    -------
    shifted : Value
        As many bits.
    amount : 5 bits
        Places; 31 of a zero, if there is no limit.
    """
    width = len(value)
    free: Value = Const(limit is None, 1)
    moves: list[Value] = []
    for place in (4, 3, 2, 1, 0):
        step = 1 << place
        found = value[-step:].any()
        # The limit is used up from its top bit. One that is not used, since a leading one comes
        # first, leaves more than all lower steps together.
        allowed = Const(0, 1) if limit is None else limit[place]
        move = Signal(name=f"move_by_{step}")
        m.d.comb += move.eq(~found & (free | allowed))
        free = free | (allowed & found)
        shifted = Signal(width, name=f"left_by_{step}")
        m.d.comb += shifted.eq(Mux(move, Cat(Const(0, step), value[: width - step]), value))
        value = shifted
        moves.insert(0, move)
    return value, Cat(*moves)


def pack(
    kept: Value, below: Value, exponent: Value, sign: Value, nan: Value, infinite: Value
) -> Value:
    """Round to nearest, ties to even, and write the pattern down.

    Parameters
    ----------
    kept : 25 bits
        Significand, its leading digit on top (0 in a subnormal or zero), and one bit to round on.
    below : 1 bit
        Any one among the bits below.
    exponent : Value
        Effective exponent, 1 or more; from 255 on the result is an infinity.
    sign, nan, infinite : 1 bit
        Of the result; `nan` overrules `infinite`, and both overrule the rest.

    Returns
    -------
    Value
        32 bits.
    """
    up = kept[0] & (below | kept[1])
    biased = Mux(kept[-1], exponent, 0)
    # A carry out of the fraction is the next exponent, from subnormals into infinity.
    packed = (Cat(kept[1:-1], biased) + up)[: FRACTION_BITS + len(exponent)]
    overflow = packed[FRACTION_BITS:] >= MAX_EXPONENT
    magnitude = Mux(overflow | infinite, INFINITY, packed[: FRACTION_BITS + 8])
    return Mux(nan, Const(QUIET_NAN, 32), Cat(magnitude[: FRACTION_BITS + 8], sign))
