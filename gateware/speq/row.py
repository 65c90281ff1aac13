"""Row: the dot product of one output channel, from C processing elements to a rounded result."""

from typing import Any

from amaranth.hdl import Const, Module, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from speq.accumulate import Accumulate
from speq.accumulate_segments import AccumulateSegments, reads_ahead
from speq.block import Block, place
from speq.dsp.pe import DspProcessingElement
from speq.dsp.reduce import ChainReduce
from speq.layouts import (
    ROW_EXPONENT_BITS,
    kind_layout,
    load_enables,
    operand_layout,
)
from speq.parameters import WORD_BITS, Parameters
from speq.pe import ProcessingElement
from speq.reduce import Reduce
from speq.round import Round

__all__ = ["Row", "operands_layout"]


_ENABLES = ("load", "accumulate")
_BROADCAST = (*_ENABLES, "words", "swap", "operands", "first", "token")
"""What comes to all rows in the same cycle."""


def operands_layout(parameters: Parameters) -> data.ArrayLayout:
    """Operands of all columns, side by side."""
    return data.ArrayLayout(operand_layout(parameters), parameters.columns)


class Row(Block):
    """Multiply, reduce, accumulate, round: a register stage each, or several where pipelined.

    Members
    -------
    words : C words of 16 bits
        The weight word offered to each PE. FP16-only W' = min(W, C) words: PE ``c`` listens to
        word ``c mod W'``.
    load : C/W' groups of bits
        Which parts of their words each W' PEs take (:func:`speq.layouts.load_enables`).
    swap : 1 bit
        Start working with the loaded words.
    operands : bits
        One operand per column (:func:`operands_layout`). Plain bits: a struct's fields would be
        named anew in every row of the array.
    kind, part
        As in :class:`speq.pe.ProcessingElement`, for the multiply stage.
    multiply, reduce, accumulate, round : a bit for each stage
        Move that stage's register.
    first, token, next_token
        As in the accumulator: :mod:`speq.accumulate`, :mod:`speq.accumulate_segments`.
    row_exponent, result_kind
        As in :class:`speq.round.Round`.
    value : 32 or 16 bits
        The result.
    """

    stem = "row"

    def __init__(self, parameters: Parameters) -> None:
        self.pe = (DspProcessingElement if parameters.in_dsp else ProcessingElement)(parameters)
        self.reducer = (ChainReduce if parameters.in_dsp else Reduce)(parameters)
        segments = parameters.carry_saves
        self.accumulator = (AccumulateSegments if segments else Accumulate)(parameters)
        self.rounder = Round(parameters)
        columns, stages = parameters.columns, parameters.stages
        words = min(parameters.port_words, columns)
        offered = columns if parameters.has_low_bits else words
        ports = {
            "words": In(data.ArrayLayout(WORD_BITS, offered)),
            "load": In(columns // words * load_enables(parameters)),
            "swap": In(1),
            "operands": In(operands_layout(parameters).size),
            "multiply": In(stages["multiply"]),
            "reduce": In(stages["reduce"]),
            "accumulate": In(stages["accumulate"]),
            "round": In(stages["round"]),
            "first": In(stages["accumulate"]),
            "value": Out(parameters.result_bits),
        }
        if parameters.tokens > 1:
            ports["token"] = In(self.accumulator.token.shape())
        if reads_ahead(parameters):
            ports["next_token"] = In(self.accumulator.next_token.shape())
        if parameters.has_low_bits:
            kind = kind_layout(parameters)
            ports |= {"kind": In(kind), "result_kind": In(kind)}
        if parameters.packs:
            ports["row_exponent"] = In(signed(ROW_EXPONENT_BITS))
        if parameters.word_beats > 1:
            ports["part"] = In(range(parameters.word_beats))
        super().__init__(parameters, ports, self.pe, self.reducer, self.accumulator, self.rounder)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        reducer = place(m, "reduce", self.reducer)
        broadcast = {
            name: self._broadcast(m, name) for name in _BROADCAST if name in self.signature.members
        }
        operands = data.View(operands_layout(self.parameters), broadcast["operands"])
        words = min(self.parameters.port_words, self.parameters.columns)
        enables = load_enables(self.parameters)
        for column in range(self.parameters.columns):
            pe = place(m, f"pe_{column}", self.pe)
            m.d.comb += [
                pe.word.eq(broadcast["words"][column % len(self.words)]),
                pe.load.eq(broadcast["load"].word_select(column // words, enables)),
                pe.swap.eq(broadcast["swap"]),
                pe.operand.eq(operands[column]),
                pe.enable.eq(self.multiply),
                reducer.products[column].eq(pe.product),
            ]
            if self.parameters.has_low_bits:
                m.d.comb += pe.kind.eq(self.kind)
            if self.parameters.word_beats > 1:
                m.d.comb += pe.part.eq(self.part)

        accumulator = place(m, "accumulate", self.accumulator)
        rounder = place(m, "round", self.rounder)
        m.d.comb += [
            reducer.enable.eq(self.reduce),
            accumulator.addend.eq(reducer.total),
            accumulator.first.eq(broadcast["first"]),
            accumulator.enable.eq(broadcast["accumulate"]),
            rounder.total.eq(accumulator.total),
            rounder.enable.eq(self._rounds),
            self.value.eq(rounder.value),
        ]
        if self.parameters.tokens > 1:
            m.d.comb += accumulator.token.eq(broadcast["token"])
        if reads_ahead(self.parameters):
            m.d.comb += [
                accumulator.next_token.eq(self.next_token),
                accumulator.comes.eq(self.reduce),
            ]
        if self.parameters.has_low_bits:
            m.d.comb += rounder.kind.eq(self.result_kind)
        if self.parameters.packs:
            m.d.comb += rounder.row_exponent.eq(self.row_exponent)
        return m

    @property
    def _rounds(self) -> Value:
        """Enables of rounding. On FPGAs its stages never stop, as those before it."""
        return Const(-1, len(self.round)) if self.parameters.in_dsp else self.round

    def _broadcast(self, m: Module, name: str) -> Any:
        """What comes to all rows; on FPGAs in registers of each row, near to its PEs."""
        value = getattr(self, name)
        if not self.parameters.in_dsp:
            return value
        held = Signal.like(value, name=f"{name}_here", reset_less=name not in _ENABLES)
        m.d.sync += held.eq(value)
        return held
