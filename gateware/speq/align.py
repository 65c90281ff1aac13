"""Alignment: a product to its place in the row's fixed-point field."""

from amaranth.hdl import Cat, Const, Module, Signal, Value, signed

__all__ = ["FIELD_BITS", "align"]

FIELD_BITS = 81
"""A product in the fixed-point field: 80 bits and a sign."""

FINE_BITS = 4
"""Low bits of the shift, which is made in two steps: by 0..15, then by 0, 16, 32 or 48."""


def align(m: Module, value: Value, shift: Value) -> Value:
    """Shift a signed product left.

    The coarse step chooses among four places by one-hot signals: with the adders behind it that is
    smaller than two more stages of a binary shifter.

    Parameters
    ----------
    value : Value
        Signed, 23 bits.
    shift : Value
        0..58, 6 bits.

    Returns
    -------
    Value
        :data:`FIELD_BITS` bits, two's complement.
    """
    fine = Signal(signed(len(value) + (1 << FINE_BITS) - 1), name="fine")
    m.d.comb += fine.eq(value << shift[:FINE_BITS])
    sign = fine[-1]
    aligned = Const(0, FIELD_BITS)
    filled = Const(0, FIELD_BITS)
    for step in range(1 << (len(shift) - FINE_BITS)):
        low = step << FINE_BITS
        high = min(low + len(fine), FIELD_BITS)
        here = shift[FINE_BITS:] == step
        aligned = aligned | Cat(Const(0, low), fine[: high - low] & here.replicate(high - low))
        filled = filled | Cat(Const(0, high), here.replicate(FIELD_BITS - high))
    result = Signal(signed(FIELD_BITS), name="aligned")
    m.d.comb += result.eq(aligned | (filled & sign.replicate(FIELD_BITS)))
    return result
