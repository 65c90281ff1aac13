"""Processing element for FPGAs: its product takes three stages, two of them around DSP blocks."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data

from speq.block import place
from speq.dsp.multiply import DspMultiplier
from speq.layouts import product_layout
from speq.pe import ProcessingElement

__all__ = ["DspProcessingElement"]


class DspProcessingElement(ProcessingElement):
    """Members as in :class:`speq.pe.ProcessingElement`, but that `kind` and `part` come a cycle
    before their operand, for registers of the PE's own. `enable` is not looked at.
    """

    _multiplier = DspMultiplier

    def _arrived(self, m: Module, name: str) -> Any:
        value = super()._arrived(m, name)
        if value is None:
            return None
        held = Signal.like(value, name=f"{name}_here", reset_less=True)
        m.d.sync += held.eq(value)
        return held

    def _product(self, m: Module, exact: data.View, drafts: Sequence[data.View]) -> Value:
        """The product, and what goes beside the multiplier in registers of its own."""
        signs = self._signs(exact, drafts)
        multiplier = place(m, "multiplier", self.multiplier)
        m.d.comb += [
            multiplier.factors.eq(self.operand.factors),
            multiplier.significand.eq(Cat(exact.fraction, exact.exponent.any())),
            multiplier.signs.eq(Cat(*signs)),
        ]
        for lane, draft in enumerate(drafts):
            m.d.comb += multiplier.magnitudes[lane].eq(self._magnitude(draft))
        if drafts:
            m.d.comb += multiplier.kind.eq(self._kind_here)

        found = Signal(product_layout(self.parameters))
        m.d.comb += [
            found.shift.eq(self._shift(exact)),
            found.specials.eq(self._specials(exact, drafts, signs)),
        ]
        shift, specials = found.shift, found.specials.as_value()
        for stage in range(self.parameters.stages["multiply"]):
            after = [
                Signal(len(v), name=f"beside_{stage}", reset_less=True) for v in (shift, specials)
            ]
            m.d.sync += [after[0].eq(shift), after[1].eq(specials)]
            shift, specials = after
        product = Signal(product_layout(self.parameters))
        m.d.comb += [
            product.value.eq(multiplier.product),
            product.shift.eq(shift),
            product.specials.eq(specials),
        ]
        return product
