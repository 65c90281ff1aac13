"""Processing element of a baseline array: a product and an accumulator that stays."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib.wiring import In, Out

from speq.baselines.layouts import operand_layout
from speq.baselines.parameters import BaselineParameters
from speq.baselines.product import Product
from speq.block import Block, place

__all__ = ["ProcessingElement"]


class ProcessingElement(Block):
    """Multiplies, accumulates, and passes its sum upwards when results leave (output stationary).

    At most one of the controls is high; with none the accumulator keeps its value. It wraps: sums
    are exact modulo ``2**accumulator_bits``. (No source says what overflow does.)

    Members
    -------
    activation, weight : structs
        The operands, registered at the border.
    below : signed
        Accumulator of the next row.
    clear, multiply, drain : 1 bit each
        The accumulator becomes zero, takes a product, takes `below`.
    double : 1 bit
        The accumulator is shifted left by one place, ``A = 2 * A``; only Tender.
    total : signed
        The accumulator.
    """

    stem = "pe"

    def __init__(self, parameters: BaselineParameters) -> None:
        self.product = Product(parameters)
        accumulator = signed(parameters.accumulator_bits)
        ports = {
            "activation": In(operand_layout(parameters)),
            "weight": In(operand_layout(parameters)),
            "below": In(accumulator),
            "clear": In(1),
            "multiply": In(1),
            "drain": In(1),
            "total": Out(accumulator),
        }
        if parameters.kind == "tender":
            ports["double"] = In(1)
        super().__init__(parameters, ports, self.product)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        multiplier = place(m, "multiplier", self.product)
        m.d.comb += [
            multiplier.activation.eq(self.activation),
            multiplier.weight.eq(self.weight),
        ]
        bits = self.parameters.accumulator_bits
        total = Signal(signed(bits), reset_less=True)
        added = Signal(bits)
        m.d.comb += [added.eq(total + multiplier.product), self.total.eq(total)]

        moved = self.clear | self.multiply | self.drain
        following = (added & self.multiply.replicate(bits)) | (
            self.below.as_unsigned() & self.drain.replicate(bits)
        )
        if self.parameters.kind == "tender":
            moved |= self.double
            doubled = (total << 1)[:bits]
            following |= doubled & self.double.replicate(bits)
        with m.If(moved):
            m.d.sync += total.eq(following)
        return m
