"""One column for FPGAs: what DSP blocks multiply, instead of bricks."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Value
from amaranth.lib import data

from speq.column import Column, rounded
from speq.dsp.layouts import PACKED_PLACE, dsp_blocks, packs_products
from speq.layouts import PAIR_BITS, of_nibbles

__all__ = ["DspColumn"]


class DspColumn(Column):
    """Members as in :class:`speq.column.Column`."""

    def _multiplied(
        self, m: Module, factors: data.View, one: Value, aligned: Sequence[Value]
    ) -> None:
        """What each DSP block multiplies."""
        if not aligned:
            m.d.comb += factors.dsp_0.plus.eq(one)
            return
        for number in range(dsp_blocks(self.parameters)):
            factor = factors[f"dsp_{number}"]
            exact = one if number == 0 else Const(0, len(one))
            if packs_products(self.parameters):
                m.d.comb += self._packed(m, number, factor, exact, aligned)
            else:
                magnitude = rounded(m, aligned[number], self.parameters.draft_bits)
                m.d.comb += factor.plus.eq(Mux(of_nibbles(self.kind), magnitude, exact))

    def _packed(
        self, m: Module, number: int, factor: data.View, exact: Value, aligned: Sequence[Value]
    ) -> list[object]:
        """Two magnitudes in one operand, but for VERIFY and MIDDLE, and QVERIFY's pairs."""
        if self.parameters.integers:
            exact = Mux(self._pairs, rounded(m, aligned[number], PAIR_BITS), exact)
        top, low = (
            rounded(m, aligned[lane], self.parameters.draft_bits) for lane in (number, number + 2)
        )
        block = of_nibbles(self.kind) & ~self._pairs
        raised = Cat(Const(0, PACKED_PLACE), top)
        return [
            factor.plus.eq(Mux(block, raised | low, exact)),
            factor.minus.eq(Mux(block, raised - low, exact)),
            factor.top_zero.eq(block & ~top.any()),
            factor.low_any.eq(block & low.any()),
        ]
