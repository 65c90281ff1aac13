"""One column for FPGAs: from prepared activations to the operands of the PEs' DSP blocks."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from speq.block import Block
from speq.column import ColumnParts, aligned_significand, rounded, significand_of
from speq.dsp.layouts import PACKED_PLACE, dsp_blocks, packs_products
from speq.dsp.prepare import prepared_layout
from speq.layouts import PAIR_BITS, Fp16, kind_layout, of_nibbles, operand_layout
from speq.parameters import Parameters

__all__ = ["DspColumn"]


class DspColumn(ColumnParts, Block):
    """Operand of one column, registered.

    Members
    -------
    prepared : struct
        :func:`speq.dsp.prepare.prepared_layout`.
    kind : struct
        Of the beat (:func:`speq.layouts.kind_layout`); only with more than one lane.
    enable : 1 bit
        Take a new operand at the clock edge.
    operand : struct
        :func:`speq.layouts.operand_layout`.
    """

    stem = "column"

    def __init__(self, parameters: Parameters) -> None:
        ports = {
            "prepared": In(prepared_layout(parameters)),
            "enable": In(1),
            "operand": Out(operand_layout(parameters)),
        }
        if parameters.lanes > 1:
            ports["kind"] = In(kind_layout(parameters))
        Block.__init__(self, parameters, ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        prepared = self.prepared
        lanes = [Fp16(prepared.values[lane]) for lane in range(self.parameters.lanes)]
        operand = Signal(operand_layout(self.parameters))
        if len(lanes) == 1:
            single, exponent = lanes[0], prepared.exponents[0]
            m.d.comb += operand.factors.dsp_0.plus.eq(significand_of(single))
        else:
            single = Fp16(prepared.single)
            shared = prepared.block
            if len(lanes) == 4:
                shared = Mux(self.pairs, prepared.pair, shared)
            exponent = Mux(of_nibbles(self.kind), shared, prepared.single_exponent)
            aligned = [
                aligned_significand(
                    m, lane, shared, prepared.exponents[lane], significand_of(value)
                )
                for lane, value in enumerate(lanes)
            ]
            self._factors(m, operand, significand_of(single), aligned)
        m.d.comb += [
            *self.flags(operand, lanes, single),
            operand.exponent.eq(exponent - 2),
        ]
        registered = Signal.like(operand, reset_less=True)
        with m.If(self.enable):
            m.d.sync += registered.eq(operand)
        m.d.comb += self.operand.eq(registered)
        return m

    def _factors(self, m: Module, operand: Value, verify: Value, aligned: Sequence[Value]) -> None:
        """What each DSP block multiplies."""
        nibbles = of_nibbles(self.kind)
        for number in range(dsp_blocks(self.parameters)):
            factor = operand.factors[f"dsp_{number}"]
            one = verify if number == 0 else Const(0, len(verify))
            if not packs_products(self.parameters):
                magnitude = rounded(m, aligned[number], self.parameters.draft_bits)
                m.d.comb += factor.plus.eq(Mux(nibbles, magnitude, one))
                continue
            if self.parameters.integers:
                one = Mux(self.pairs, rounded(m, aligned[number], PAIR_BITS), one)
            top, low = (
                rounded(m, aligned[lane], self.parameters.draft_bits)
                for lane in (number, number + 2)
            )
            # All beats of 4-bit weights are blocks, but for the pairs.
            block = nibbles & ~self.pairs
            raised = Cat(Const(0, PACKED_PLACE), top)
            m.d.comb += [
                factor.plus.eq(Mux(block, raised | low, one)),
                factor.minus.eq(Mux(block, raised - low, one)),
                factor.top_zero.eq(block & ~top.any()),
                factor.low_any.eq(block & low.any()),
            ]
