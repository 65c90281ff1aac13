"""One column for FPGAs: what DSP blocks multiply, instead of bricks."""

from collections.abc import Sequence
from itertools import pairwise

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import data

from speq.column import Column, rounded
from speq.dsp.layouts import dsp_blocks, packs_products
from speq.layouts import PAIR_BITS, of_nibbles

__all__ = ["DspColumn"]


class DspColumn(Column):
    """Four stages: exponents, before a tile is there; their distances; shifts; operands.

    Members as in :class:`speq.column.Column`, but that `enable` stops the first stage alone: the
    others never stop.
    """

    def elaborate(self, platform: object) -> Module:
        self._of_stage = []
        if self.parameters.lanes > 1:
            shape = self.kind.shape()
            self._of_stage = [Signal(shape, name=f"kind_{n}", reset_less=True) for n in range(2)]
        # From here on it is that of the beat whose significands are shifted.
        self._stage = 0
        m = super().elaborate(platform)
        for before, after in pairwise((self.kind, *self._of_stage) if self._of_stage else ()):
            m.d.sync += after.eq(before)
        return m

    @property
    def _kind(self) -> data.View:
        return self._of_stage[self._stage]

    def _exponent(self, m: Module, name: str, value: data.View, shift: Value | int) -> Value:
        return super()._held(m, name, super()._exponent(m, name, value, shift))

    def _held(self, m: Module, name: str, value: Value, *, shifts: bool = False) -> Value:
        """The value as it is in the stage of shifts, or in the one behind."""
        return self._held_later(m, name, super()._held(m, name, value), shifts=shifts)

    def _held_later(self, m: Module, name: str, value: Value, *, shifts: bool = False) -> Value:
        for stage in range(1 if shifts else 2):
            value = _registered(m, f"{name}_{stage}", value)
        return value

    def _align(
        self, m: Module, exponents: Sequence[Value], significands: Sequence[Value]
    ) -> tuple[Value, list[Value]]:
        shared, aligned = super()._align(m, exponents, significands)
        self._stage = 1
        return (
            _registered(m, "shared", shared),
            [_registered(m, f"places_{lane}", places) for lane, places in enumerate(aligned)],
        )

    def _multiplied(
        self, m: Module, factors: data.View, one: Value, aligned: Sequence[Value]
    ) -> None:
        """What each DSP block multiplies."""
        if not aligned:
            m.d.comb += factors.dsp_0.low.eq(one)
            return
        for number in range(dsp_blocks(self.parameters)):
            factor = factors[f"dsp_{number}"]
            exact = one if number == 0 else Const(0, len(one))
            if packs_products(self.parameters):
                m.d.comb += self._packed(m, number, factor, exact, aligned)
            else:
                magnitude = rounded(m, aligned[number], self.parameters.draft_bits)
                m.d.comb += factor.low.eq(Mux(of_nibbles(self._kind), magnitude, exact))

    def _packed(
        self, m: Module, number: int, factor: data.View, exact: Value, aligned: Sequence[Value]
    ) -> list[object]:
        """Two magnitudes for one operand, but for VERIFY and MIDDLE, and QVERIFY's pairs."""
        if self.parameters.integers:
            exact = Mux(self._pairs, rounded(m, aligned[number], PAIR_BITS), exact)
        top, low = (
            rounded(m, aligned[lane], self.parameters.draft_bits) for lane in (number, number + 2)
        )
        block = of_nibbles(self._kind) & ~self._pairs
        return [
            factor.low.eq(Mux(block, low, exact)),
            factor.top.eq(top & block.replicate(len(top))),
            factor.top_zero.eq(block & ~top.any()),
            factor.low_any.eq(block & low.any()),
        ]


def _registered(m: Module, name: str, value: Value) -> Signal:
    held = Signal(len(value), name=name, reset_less=True)
    m.d.sync += held.eq(value)
    return held
