"""Merge: beats of the three planes to the transfers of the weight port."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from speq.block import Block
from speq.layouts import weight_stream
from speq.parameters import DRAFTS_PER_WORD, Parameters

__all__ = ["Merge"]

LOW_PER_BEAT = 2
"""Transfers of the weight port that a beat of the low plane serves."""


class Merge(Block):
    """Joins 4, 4 and 8 bits of each weight to W words per cycle.

    Four transfers use up one beat of the draft plane, one of the middle and two of the low. When
    not joining, beats of the first plane pass as they are: draft weights, or plain words.

    Members
    -------
    draft, middle, low : streams, in
        AXI beats; without DRAFT the first only.
    join : 1 bit, in
        The words are packed and go to VERIFY tiles; only with DRAFT. Constant over four transfers.
    weights : stream, out
        :func:`speq.layouts.weight_stream`.
    """

    stem = "merge"

    def __init__(self, parameters: Parameters) -> None:
        beats = stream.Signature(parameters.port_bits)
        ports = {"draft": In(beats), "weights": Out(weight_stream(parameters))}
        if parameters.drafts:
            ports |= {"middle": In(beats), "low": In(beats), "join": In(1)}
        self.clocked = parameters.drafts
        super().__init__(parameters, ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        words = self.weights.payload.words.as_value()
        m.d.comb += [
            words.eq(self.draft.payload),
            self.weights.valid.eq(self.draft.valid),
            self.draft.ready.eq(self.weights.ready),
        ]
        if not self.parameters.drafts:
            return m

        turn = Signal(range(DRAFTS_PER_WORD))
        take = self.weights.valid & self.weights.ready & self.join
        with m.If(take):
            m.d.sync += turn.eq(turn + 1)
        with m.If(self.join):
            last = turn == DRAFTS_PER_WORD - 1
            m.d.comb += [
                words.eq(self._joined(turn)),
                self.weights.valid.eq(self.draft.valid & self.middle.valid & self.low.valid),
                self.draft.ready.eq(take & last),
                self.middle.ready.eq(take & last),
                self.low.ready.eq(take & turn[0]),
            ]
        return m

    def _joined(self, turn: Signal) -> Cat:
        """W words: low byte, slot, sign and code, of this turn's part of each beat."""
        words = self.parameters.port_words
        nibbles, byte = 4 * words, 8 * words
        draft = self.draft.payload.word_select(turn, nibbles)
        slot = self.middle.payload.word_select(turn, nibbles)
        low = self.low.payload.word_select(turn[0], byte)
        return Cat(
            Cat(
                low.word_select(number, 8),
                slot.word_select(number, 4),
                draft.word_select(number, 4),
            )
            for number in range(words)
        )
