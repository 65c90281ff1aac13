"""FP32 times FP32, rounded to nearest even: two halves, with a register between them if wanted.

The first half multiplies significands, the second rounds. A subnormal factor is normalised before
the multiplication. One shifter does: the product of two subnormals is far below half the least
subnormal in any case.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from speq.arithmetic import compress, digit_rows
from speq.block import Block
from speq.epilogue.floats import (
    SIGNIFICAND_BITS,
    Fp32,
    pack,
    shift_left_to,
    shift_right,
)
from speq.parameters import Parameters

__all__ = ["Multiply", "ProductFields", "product", "round_product"]

PRODUCT_BITS = 2 * SIGNIFICAND_BITS
KEPT_BITS = SIGNIFICAND_BITS + 2


class ProductFields(data.Struct):
    """An exact product as far as its rounding needs it.

    Members
    -------
    kept : 26 bits
        The top of the product of two significands, one of which has its leading digit: the
        product's own is in one of the two top bits, if it is normal.
    below : 1 bit
        Any one among the bits below.
    exponent : unsigned
        Biased exponent of the top bit, or 1 if it would be less.
    right : unsigned
        Places by which `kept` then has to be shifted right; 31 stands for more, too.
    sign, nan, infinite : 1 bit
        Of the product.
    """

    kept: KEPT_BITS
    below: 1
    exponent: 9
    right: 5
    sign: 1
    nan: 1
    infinite: 1


class Multiply(Block):
    """The first half: :func:`product`, without registers.

    Members
    -------
    a, b : 32 bits
        FP32 patterns.
    exact : struct
        :class:`ProductFields`.
    """

    stem = "epilogue_multiply"
    clocked = False

    def __init__(self, parameters: Parameters) -> None:
        super().__init__(parameters, {"a": In(32), "b": In(32), "exact": Out(ProductFields)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.exact.eq(product(m, self.a, self.b))
        return m


def product(m: Module, a: Value, b: Value) -> data.View:
    """The exact product of two FP32 patterns."""
    a, b = Fp32(a), Fp32(b)
    swap = ~a.normal
    first, second = Signal(Fp32, name="first"), Signal(Fp32, name="second")
    m.d.comb += [first.eq(Mux(swap, b, a)), second.eq(Mux(swap, a, b))]
    normalised, places = shift_left_to(m, second.significand)

    result = Signal(ProductFields, name="exact_product")
    digits = _multiplied(m, first.significand, normalised)
    exponent = Signal(signed(10), name="top_exponent")
    low, too_low = 1 - exponent, exponent < 1
    specials = a.infinite | b.infinite
    nan = a.nan | b.nan | (specials & (a.zero | b.zero))
    m.d.comb += [
        exponent.eq(first.effective_exponent + second.effective_exponent - places - 126),
        result.kept.eq(digits[-KEPT_BITS:]),
        result.below.eq(digits[:-KEPT_BITS].any()),
        result.exponent.eq(Mux(too_low, 1, exponent)),
        result.right.eq(Mux(too_low, low[:5] | low[5:].any().replicate(5), 0)),
        result.sign.eq(a.sign ^ b.sign),
        result.nan.eq(nan),
        result.infinite.eq(specials),
    ]
    return result


def round_product(m: Module, exact: data.View) -> Value:
    """The FP32 pattern of a product."""
    # Never together with a shift to the right, where the exponent is 1.
    lift = ~exact.kept[-1] & exact.exponent[1:].any()
    aligned = Mux(lift, exact.kept[:-1], exact.kept[1:])
    kept, lost = shift_right(m, aligned, exact.right)
    below = exact.below | (exact.kept[0] & ~lift) | lost
    exponent = (exact.exponent - lift)[: len(exact.exponent)]
    return pack(kept, below, exponent, exact.sign, exact.nan, exact.infinite)


def _multiplied(m: Module, one: Value, weight: Value) -> Value:
    """Product of two significands, by digits of radix 4 of `weight`."""
    three = Signal(SIGNIFICAND_BITS + 2, name="three")
    m.d.comb += three.eq(one + Cat(Const(0, 1), one))
    total = Signal(PRODUCT_BITS, name="digits")
    left, right = compress(m, digit_rows(m, weight, one, three), PRODUCT_BITS)
    m.d.comb += total.eq(left + right)
    return total
