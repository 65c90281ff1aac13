"""Decoders: packed weight words to FP16 patterns, at the memory port.

A lookup and nothing else: no arithmetic, hence nothing to lose. One decoder serves one word of the
port, so an array has W of them (2*W with MIDDLE, which has two weights in a word), not one per PE.
"""

from amaranth.hdl import Array, Cat, Const, Module, Value
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from speq.block import Block
from speq.formats import family
from speq.layouts import MiddleWeight, PackedWord
from speq.parameters import WORD_BITS, Parameters

__all__ = ["Decoder", "MiddleDecoder"]

CELL_BITS = 6


class Decoder(Block):
    """One word of the memory port, combinational.

    Members
    -------
    word : 16 bits
        As fetched.
    table : unsigned
        The row's code table; only with more than one.
    packed : 1 bit
        The word is packed: decode it.
    plain : 1 bit
        The word is an FP16 pattern: it passes.
    decoded : 16 bits
        FP16 pattern; zero if the word is neither, so that draft weights can be put in its place by
        an OR.
    """

    stem = "decoder"
    clocked = False

    def __init__(self, parameters: Parameters) -> None:
        ports = {"word": In(WORD_BITS), "packed": In(1), "plain": In(1), "decoded": Out(WORD_BITS)}
        if parameters.tables > 1:
            ports["table"] = In(bits_for(parameters.tables - 1))
        super().__init__(parameters, ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        word = PackedWord(self.word)
        table = self.table if self.parameters.tables > 1 else None
        cell = _cell(self.parameters, word.slot, word.code, table)
        pattern = Cat(word.low, cell, Const(0, 1), word.sign)
        m.d.comb += self.decoded.eq(
            (pattern & self.packed.replicate(WORD_BITS))
            | (self.word & self.plain.replicate(WORD_BITS))
        )
        return m


class MiddleDecoder(Block):
    """One weight of 8 bits, combinational.

    Members
    -------
    weight : 8 bits
        As fetched (:class:`speq.layouts.MiddleWeight`).
    table : unsigned
        The row's code table; only with more than one.
    decoded : 8 bits
        The high byte of the weight's FP16 pattern.
    """

    stem = "middle_decoder"
    clocked = False

    def __init__(self, parameters: Parameters) -> None:
        ports = {"weight": In(MiddleWeight), "decoded": Out(WORD_BITS // 2)}
        if parameters.tables > 1:
            ports["table"] = In(bits_for(parameters.tables - 1))
        super().__init__(parameters, ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        table = self.table if self.parameters.tables > 1 else None
        cell = _cell(self.parameters, self.weight.slot, self.weight.code, table)
        m.d.comb += self.decoded.eq(Cat(cell, Const(0, 1), self.weight.sign))
        return m


def _cell(parameters: Parameters, slot: Value, code: Value, table: Value | None) -> Value:
    """Cell of a code and slot. Slots that no cell has decode to cell 0."""
    cells = [
        Const(0 if cell is None else cell, CELL_BITS)
        for table_ in family(parameters.family).tables
        for of_code in table_.inverse
        for cell in of_code
    ]
    return Array(cells)[Cat(slot, code) if table is None else Cat(slot, code, table)]
