"""Significand multiplier: the one multiplier of a PE, built from bricks.

VERIFY and MIDDLE multiply two 11-bit significands: the bricks hold the partial products low*low,
low*high, high*low and high*high, which meet at bits 0, 6, 6 and 12. With weights of 4 bits the same
bricks are small multipliers of a weight's magnitude and a block-floating-point magnitude, and
their products are added. With L lanes, and b magnitude bits in the format of draft activations:

=======  ==============  ============================================  =====================
L        mode            what the bricks multiply                      at bits
=======  ==============  ============================================  =====================
1        all             (one brick) weight * significand              0
2        4-bit weights   w[0] * low, w[0] * high, w[1] * low, ...      0, 6, 0, 6
4        DRAFT, QDRAFT   w[i] * magnitude of lane i                    6 (b < 12) or 0 (b = 12)
4        QVERIFY         as two lanes, of 12 bits                      the same, and 6 above
=======  ==============  ============================================  =====================

Signs are applied inside the sum: a negative brick is inverted, and its missing one joins the
carry-save tree, so that the product leaves in two's complement without an incrementer.

In the longer pipelines registers stand between the bricks and the sum, which gets the missing ones
as one row, and adds in short blocks.

For an iCE40 a brick is a multiplication, which synthesis puts into a DSP block.
"""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from speq.arithmetic import choose, compress, digit_rows, select_adder
from speq.block import Block
from speq.layouts import (
    BRICKS,
    LOW_BITS,
    PRODUCT_BITS,
    brick_bits,
    kind_layout,
    of_nibbles,
    operand_layout,
)
from speq.parameters import SPLIT_PIPELINE, Parameters

__all__ = ["Multiplier", "block_place"]

VERIFY_PLACES = (0, LOW_BITS, LOW_BITS, 2 * LOW_BITS)
PAIR_PLACES = (0, LOW_BITS, 0, LOW_BITS)
ADDER_BLOCK = 5
"""Bits of the longer pipelines' last addition that do not wait for a carry."""


def block_place(parameters: Parameters) -> int:
    """Bit 0 of a product of four lanes: as in VERIFY if it fits, which spares multiplexers."""
    short = parameters.lanes == 4 and parameters.draft_bits < 2 * LOW_BITS
    return LOW_BITS if short and not parameters.in_dsp else 0


class Multiplier(Block):
    """Signed product of significands, or signed sum of products of draft magnitudes.

    Members
    -------
    weights : one unsigned number per brick
        Weight bits that each brick multiplies.
    factors : struct per brick
        Activation magnitude and its triple (:func:`speq.layouts.operand_layout`).
    negative : 1 bit per brick
        The brick's product is to be subtracted. In VERIFY all bits are the same.
    kind : struct
        Of the beat (:func:`speq.layouts.kind_layout`); only with more than one brick.
    enable : 1 bit
        Move the registers behind the bricks; only in the longer pipelines.
    product : signed 23 bits
    """

    stem = "multiplier"

    def __init__(self, parameters: Parameters) -> None:
        bricks = brick_bits(parameters)
        ports = {
            "weights": In(data.StructLayout({f"brick_{i}": w for i, (w, _) in enumerate(bricks)})),
            "factors": In(operand_layout(parameters)["factors"].shape),
            "negative": In(len(bricks)),
            "product": Out(signed(PRODUCT_BITS)),
        }
        self.clocked = parameters.pipeline >= SPLIT_PIPELINE
        if self.clocked:
            ports["enable"] = In(1)
        if len(bricks) > 1:
            ports["kind"] = In(kind_layout(parameters))
        super().__init__(parameters, ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if len(brick_bits(self.parameters)) == 1 and self.parameters.in_ice40:
            product = self._held(m, "brick", self._multiplied(0))
            negative = self._held(m, "negative", self.negative[0])
            terms = [Cat(product, Const(0, 1)) ^ negative.replicate(PRODUCT_BITS), negative]
        elif len(brick_bits(self.parameters)) == 1:
            rows = compress(m, self._brick_rows(m, 0), PRODUCT_BITS)
            rows = [self._held(m, f"row_{number}", row) for number, row in enumerate(rows)]
            negative = self._held(m, "negative", self.negative[0])
            flip = negative.replicate(PRODUCT_BITS)
            terms = [row ^ flip for row in rows]
            # Two inverted rows lack a one each, which together are one at bit 1.
            terms.append(Cat(Const(0, 1), negative))
        else:
            terms = list(self._rows_of_bricks(m))
        if self.clocked:
            a, b = compress(m, [(0, term) for term in terms], PRODUCT_BITS)
            m.d.comb += self.product.eq(select_adder(m, a, b, Const(0, 1), ADDER_BLOCK))
        else:
            m.d.comb += self.product.eq(sum(terms[1:], terms[0]))
        return m

    def _held(self, m: Module, name: str, value: Value) -> Value:
        """The value behind the bricks' registers, if there are any."""
        if not self.clocked:
            return value
        held = Signal(len(value), name=f"{name}_held", reset_less=True)
        with m.If(self.enable):
            m.d.sync += held.eq(value)
        return held

    def _brick_rows(self, m: Module, index: int) -> list[tuple[int, Value]]:
        factor = self.factors[f"brick_{index}"]
        return digit_rows(m, self.weights[f"brick_{index}"], factor.one, factor.three)

    def _multiplied(self, index: int) -> Value:
        """A brick's product as a whole."""
        return self.weights[f"brick_{index}"] * self.factors[f"brick_{index}"].one

    def _rows_of_bricks(self, m: Module) -> tuple[Value, Value]:
        """Two rows whose sum is that of all bricks, signs applied."""
        kind = data.View(self.kind.shape(), self._held(m, "kind", self.kind.as_value()))
        selects, places = self._places(kind)
        terms: list[tuple[int, Value]] = []
        corrections = [0] * len(selects)
        for index, (weight_bits, factor_bits) in enumerate(brick_bits(self.parameters)):
            bits = weight_bits + factor_bits
            product = Signal(bits, name=f"brick_{index}")
            if self.parameters.in_ice40:
                m.d.comb += product.eq(self._multiplied(index))
            else:
                a, b = compress(m, self._brick_rows(m, index), bits)
                m.d.comb += product.eq(a + b)
            # -p = ~p + 1, and the sign's weight -2**bits becomes an inverted bit and a constant.
            negative = self.negative[index]
            term = Cat(product ^ negative.replicate(bits), ~negative)
            term = self._held(m, f"term_{index}", term)
            of_brick = [placed[index] for placed in places]
            for number in (term,) if self.clocked else (term, negative):
                terms.append(_placed(m, selects, of_brick, number))
            for kind, place in enumerate(of_brick):
                corrections[kind] -= 1 << (bits + place)
        mask = (1 << PRODUCT_BITS) - 1
        constants = [Const(correction & mask, PRODUCT_BITS) for correction in corrections]
        if self.clocked:
            terms.append((0, self._held(m, "ones", self._ones(m))))
        return compress(m, [*terms, (0, choose(selects, constants))], PRODUCT_BITS)

    def _ones(self, m: Module) -> Signal:
        """The ones that negative bricks lack, added ahead: a row instead of four."""
        selects, places = self._places(self.kind)
        ones = Signal(PRODUCT_BITS)
        sums = [
            sum(Cat(Const(0, at), sign) for at, sign in zip(of_kind, self.negative, strict=True))
            for of_kind in places
        ]
        m.d.comb += ones.eq(choose(selects, [each[:PRODUCT_BITS] for each in sums]))
        return ones

    def _places(self, kind: data.View) -> tuple[list[Value], list[tuple[int, ...]]]:
        """Kinds of beats, of which one is selected, and the places of the bricks in each."""
        nibbles, base = of_nibbles(kind), block_place(self.parameters)
        pairs = tuple(place + base for place in PAIR_PLACES)
        if self.parameters.lanes == 2:
            return [~nibbles, nibbles], [VERIFY_PLACES, pairs]
        block = (base,) * BRICKS
        if not self.parameters.integers:
            return [~nibbles, nibbles], [VERIFY_PLACES, block]
        return [~nibbles, kind.block, nibbles & ~kind.block], [
            VERIFY_PLACES,
            block,
            pairs,
        ]


def _placed(
    m: Module, selects: Sequence[Value], places: Sequence[int], bits: Value
) -> tuple[int, Value]:
    """`bits` at one of some places, as a row for :func:`speq.arithmetic.compress`."""
    lowest = min(places)
    distinct = list(dict.fromkeys(places))
    chosen = [
        Cat(select for select, other in zip(selects, places, strict=True) if other == place).any()
        for place in distinct
    ]
    row = Signal(max(distinct) - lowest + len(bits), name="placed")
    m.d.comb += row.eq(choose(chosen, [Cat(Const(0, p - lowest), bits) for p in distinct]))
    return lowest, row
