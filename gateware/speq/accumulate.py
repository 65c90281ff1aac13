"""Accumulation: one exact accumulator per token of a row.

97 bits: the 80-bit field of a product, 16 bits of headroom for 65,536 products, and a sign. Bit 0
is worth ``2**-48`` in VERIFY. It cannot overflow, and nothing is ever rounded into it.

A pipelined row has its accumulators in segments (:mod:`speq.accumulate_segments`).
"""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from speq.block import Block
from speq.layouts import Specials, token_shape
from speq.parameters import Parameters
from speq.reduce import ACCUMULATOR_BITS, sum_layout

__all__ = ["Accumulate", "accumulator_layout"]

accumulator_layout = data.StructLayout({"value": signed(ACCUMULATOR_BITS), "specials": Specials})
"""An exact partial sum and its special values."""


class Accumulate(Block):
    """Adds a beat's sum to the accumulator of the beat's token.

    Members
    -------
    addend : struct
        :func:`speq.reduce.sum_layout`.
    first : 1 bit
        Start from zero.
    token : unsigned
        Which accumulator; only with more than one token.
    enable : 1 bit
        Accumulate at the clock edge.
    total : struct
        The sum as of the last beat, registered.
    """

    stem = "accumulate"

    def __init__(self, parameters: Parameters) -> None:
        ports = {
            "addend": In(sum_layout(parameters)),
            "first": In(1),
            "enable": In(1),
            "total": Out(accumulator_layout),
        }
        if parameters.tokens > 1:
            ports["token"] = In(token_shape(parameters))
        super().__init__(parameters, ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        before, after = Signal(accumulator_layout), Signal(accumulator_layout)
        kept = self._kept(m, after)
        with m.If(~self.first):
            m.d.comb += before.eq(kept)
        m.d.comb += [
            after.value.eq(before.value + self.addend.value),
            after.specials.eq(before.specials.as_value() | self.addend.specials.as_value()),
        ]
        total = Signal(accumulator_layout, reset_less=True)
        with m.If(self.enable):
            m.d.sync += total.eq(after)
        m.d.comb += self.total.eq(total)
        return m

    def _kept(self, m: Module, after: data.View) -> data.View:
        """The token's accumulator, written at the clock edge."""
        if self.parameters.tokens == 1:
            return self.total
        m.submodules.memory = memory = Memory(
            shape=accumulator_layout, depth=self.parameters.tokens, init=[]
        )
        read, write = memory.read_port(domain="comb"), memory.write_port()
        m.d.comb += [
            read.addr.eq(self.token),
            write.addr.eq(self.token),
            write.en.eq(self.enable),
            write.data.eq(after),
        ]
        return read.data
