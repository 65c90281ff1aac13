"""Border of a baseline array: the operands of one row or column, decoded and registered."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from speq.baselines.decoder import PairDecoder
from speq.baselines.layouts import operand_layout, slots_layout
from speq.baselines.parameters import BaselineParameters
from speq.block import Block, place

__all__ = ["Border"]


class Border(Block):
    """Takes a row's or column's slots of a beat and broadcasts one operand per cycle to its PEs.

    Members
    -------
    slots : array
        :func:`speq.baselines.layouts.slots_layout`.
    odd : 1 bit
        Take the pair's odd operand, not the even one; only OliVe.
    enable : 1 bit
        Take a new operand at the clock edge.
    operand : struct
        :func:`speq.baselines.layouts.operand_layout`, registered.
    """

    stem = "border"

    def __init__(self, parameters: BaselineParameters) -> None:
        ports = {
            "slots": In(slots_layout(parameters)),
            "enable": In(1),
            "operand": Out(operand_layout(parameters)),
        }
        parts: tuple[Block, ...] = ()
        if parameters.pairs:
            ports["odd"] = In(1)
            parts = (PairDecoder(parameters),)
        super().__init__(parameters, ports, *parts)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        operand = Signal(operand_layout(self.parameters), reset_less=True)
        m.d.comb += self.operand.eq(operand)
        if self.parameters.pairs:
            (decoder,) = self.parts
            unit = place(m, "decoder", decoder)
            m.d.comb += unit.slots.eq(self.slots)
            even, odd = (number.as_value() for number in unit.operands)
            chosen = Mux(self.odd, odd, even)
        else:
            chosen = self.slots.as_value()
        with m.If(self.enable):
            m.d.sync += operand.eq(chosen)
        return m
