"""Significand multiplier: the one multiplier of a PE, built from bricks.

VERIFY multiplies two 11-bit significands: the bricks hold the partial products low*low, low*high,
high*low and high*high, which meet at bits 0, 6, 6 and 12. DRAFT uses the same bricks as small
multipliers of a draft magnitude and a block-floating-point magnitude, and adds their products:

=====  ============================================  =======================================
L      what a brick multiplies in DRAFT              product worth, in units of bit 0
=====  ============================================  =======================================
1      (one brick) d * significand                   1
2      d[0] * low, d[0] * high, d[1] * low, ...      1, bricks at bits 0, 6, 0, 6
4      d[i] * magnitude of lane i                    ``2**6``, all bricks at bit 6
=====  ============================================  =======================================

Signs are applied inside the sum: a negative brick is inverted, and its missing one joins the
carry-save tree, so that the product leaves in two's complement without an incrementer.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from speq.arithmetic import compress, digit_rows
from speq.block import Block
from speq.layouts import SIGNIFICAND_BITS, brick_bits, operand_layout
from speq.parameters import Parameters

__all__ = ["Multiplier"]

PRODUCT_BITS = 2 * SIGNIFICAND_BITS + 1
VERIFY_PLACES = (0, 6, 6, 12)
DRAFT_PLACES = {2: (0, 6, 0, 6), 4: (6, 6, 6, 6)}


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
    draft : 1 bit
        Only with more than one brick: add bricks as DRAFT does.
    product : signed 23 bits
    """

    stem = "multiplier"
    clocked = False

    def __init__(self, parameters: Parameters) -> None:
        bricks = brick_bits(parameters)
        ports = {
            "weights": In(data.StructLayout({f"brick_{i}": w for i, (w, _) in enumerate(bricks)})),
            "factors": In(operand_layout(parameters)["factors"].shape),
            "negative": In(len(bricks)),
            "product": Out(signed(PRODUCT_BITS)),
        }
        if len(bricks) > 1:
            ports["draft"] = In(1)
        super().__init__(parameters, ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if len(brick_bits(self.parameters)) == 1:
            rows, negative = self._brick_rows(m, 0), self.negative[0]
            a, b = compress(m, rows, PRODUCT_BITS)
            flip = negative.replicate(PRODUCT_BITS)
            m.d.comb += self.product.eq((a ^ flip) + (b ^ flip) + Cat(Const(0, 1), negative))
        else:
            m.d.comb += self.product.eq(self._sum_of_bricks(m))
        return m

    def _brick_rows(self, m: Module, index: int) -> list[tuple[int, Value]]:
        factor = self.factors[f"brick_{index}"]
        return digit_rows(m, self.weights[f"brick_{index}"], factor.one, factor.three)

    def _sum_of_bricks(self, m: Module) -> Value:
        draft_places = DRAFT_PLACES[self.parameters.lanes]
        terms: list[tuple[int, Value]] = []
        corrections = {"verify": 0, "draft": 0}
        for index, (weight_bits, factor_bits) in enumerate(brick_bits(self.parameters)):
            bits = weight_bits + factor_bits
            product = Signal(bits, name=f"brick_{index}")
            a, b = compress(m, self._brick_rows(m, index), bits)
            m.d.comb += product.eq(a + b)
            # -p = ~p + 1, and the sign's weight -2**bits becomes an inverted bit and a constant.
            negative = self.negative[index]
            term = Cat(product ^ negative.replicate(bits), ~negative)
            verify_place, draft_place = VERIFY_PLACES[index], draft_places[index]
            for number in (term, negative):
                terms.append(_placed(m, self.draft, number, verify_place, draft_place))
            corrections["verify"] -= 1 << (bits + verify_place)
            corrections["draft"] -= 1 << (bits + draft_place)
        mask = (1 << PRODUCT_BITS) - 1
        verify, draft = (
            Const(corrections[mode] & mask, PRODUCT_BITS) for mode in ("verify", "draft")
        )
        a, b = compress(m, [*terms, (0, Mux(self.draft, draft, verify))], PRODUCT_BITS)
        return a + b


def _placed(
    m: Module, draft: Value, bits: Value, verify_place: int, draft_place: int
) -> tuple[int, Value]:
    """`bits` at one place or the other, as a row for :func:`speq.arithmetic.compress`."""
    place = min(verify_place, draft_place)
    in_verify = Cat(Const(0, verify_place - place), bits)
    in_draft = Cat(Const(0, draft_place - place), bits)
    row = Signal(max(len(in_verify), len(in_draft)), name="placed")
    m.d.comb += row.eq(Mux(draft, in_draft, in_verify))
    return place, row
