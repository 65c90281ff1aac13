"""One column and one PE as an array wires them: the circuit whose products are all checked."""

from amaranth.hdl import Module, Shape
from amaranth.lib.wiring import In, Out

from speq.block import Block, place
from speq.column import Column, takes_single
from speq.dsp.column import DspColumn
from speq.dsp.pe import DspProcessingElement
from speq.layouts import COLUMN_SHIFT_BITS, kind_layout, product_layout
from speq.parameters import WORD_BITS, Parameters
from speq.pe import ProcessingElement

__all__ = ["ProductStage"]


class ProductStage(Block):
    """From FP16 patterns to the product register.

    Members
    -------
    word, load, swap, kind
        As in :class:`speq.pe.ProcessingElement`.
    values, shifts
        L activation patterns of 16 bits and their column shifts, for the column.
    value : 23 bits, shift : 6 bits, specials : 3 bits
        The product register. A product appears as many clock edges after its activations as
        ``columns`` and ``multiply`` of :attr:`speq.parameters.Parameters.stages` together.

    Of a word with several weights it multiplies those of the first beat.
    """

    stem = "product_stage"

    def __init__(self, parameters: Parameters) -> None:
        self.column = (DspColumn if parameters.in_dsp else Column)(parameters)
        self.pe = (DspProcessingElement if parameters.in_dsp else ProcessingElement)(parameters)
        lanes = parameters.lanes
        ports = {
            "word": In(WORD_BITS),
            "load": In(1),
            "swap": In(1),
            "values": In(lanes * WORD_BITS),
        }
        for name, field in product_layout(parameters):
            ports[name] = Out(Shape.cast(field.shape).width)
        if parameters.packs:
            ports["shifts"] = In(lanes * COLUMN_SHIFT_BITS)
        if parameters.has_low_bits:
            ports["kind"] = In(kind_layout(parameters).size)
        super().__init__(parameters, ports, self.column, self.pe)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        column, pe = place(m, "column", self.column), place(m, "pe", self.pe)
        m.d.comb += [
            column.values.eq(self.values),
            column.enable.eq(-1),
            pe.word.eq(self.word),
            pe.load.eq(self.load.replicate(len(pe.load))),
            pe.swap.eq(self.swap),
            pe.operand.eq(column.operand),
            pe.enable.eq(-1),
        ]
        if self.parameters.packs:
            m.d.comb += column.shifts.eq(self.shifts)
        if takes_single(self.parameters):
            m.d.comb += column.single.eq(self.values[:WORD_BITS])
            if self.parameters.packs:
                m.d.comb += column.single_shift.eq(self.shifts[:COLUMN_SHIFT_BITS])
        if self.parameters.has_low_bits:
            m.d.comb += pe.kind.eq(self.kind)
        if self.parameters.lanes > 1:
            m.d.comb += column.kind.eq(self.kind)
        m.d.comb += [getattr(self, name).eq(pe.product[name]) for name, _ in pe.product.shape()]
        return m
