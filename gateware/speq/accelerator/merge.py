"""Merge: beats of the three planes to the transfers of the weight port."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from speq.block import Block
from speq.layouts import weight_stream
from speq.parameters import DRAFTS_PER_WORD, Parameters

__all__ = ["Merge"]


class Merge(Block):
    """Joins 4, 4 and 8 bits of each weight to W words per cycle, or 4 and 4 bits to 2*W bytes.

    Of the draft and of the middle plane, four transfers of words or two of bytes use up a beat; of
    the low plane, two of words. When not joining, beats of the first plane pass as they are:
    weights of 4 bits, or plain words.

    Members
    -------
    draft, middle, low : streams, in
        AXI beats; in FP16-only designs the first only.
    join : 1 bit, in
        The words are packed and go to VERIFY tiles; not in FP16-only designs. Constant over four
        transfers.
    pair : 1 bit, in
        The words are of two high bytes each and go to MIDDLE tiles; only with MIDDLE. Constant over
        two transfers.
    weights : stream, out
        :func:`speq.layouts.weight_stream`.
    """

    stem = "merge"

    def __init__(self, parameters: Parameters) -> None:
        beats = stream.Signature(parameters.port_bits)
        ports = {"draft": In(beats), "weights": Out(weight_stream(parameters))}
        if parameters.packs:
            ports |= {"middle": In(beats), "low": In(beats), "join": In(1)}
        if parameters.middles:
            ports["pair"] = In(1)
        self.clocked = parameters.packs
        super().__init__(parameters, ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        words = self.weights.payload.words.as_value()
        m.d.comb += [
            words.eq(self.draft.payload),
            self.weights.valid.eq(self.draft.valid),
            self.draft.ready.eq(self.weights.ready),
        ]
        if not self.parameters.packs:
            return m

        pair = self.pair if self.parameters.middles else Const(0, 1)
        turn = Signal(range(DRAFTS_PER_WORD))  # of W weights; a pair takes two
        take, last = Signal(), Signal()
        with m.If(take):
            m.d.sync += turn.eq(turn + Mux(pair, 2, 1))
        with m.If(self.join | pair):
            m.d.comb += [
                words.eq(self._joined(turn, pair)),
                self.weights.valid.eq(
                    self.draft.valid & self.middle.valid & (self.low.valid | pair)
                ),
                take.eq(self.weights.valid & self.weights.ready),
                last.eq(turn[1] & (turn[0] | pair)),
                self.draft.ready.eq(take & last),
                self.middle.ready.eq(take & last),
                self.low.ready.eq(take & turn[0]),
            ]
        return m

    def _joined(self, turn: Signal, pair: Value) -> Value:
        """W words of this turn's part of each beat, the low byte of each first.

        The low byte is of the low plane, or of a pair the high byte of the first W weights; the
        high byte is slot, code and sign, of a pair those of the next W.
        """
        words = self.parameters.port_words
        high = self._high_bytes(Cat(turn[0] | pair, turn[1]))
        low = self.low.payload.word_select(turn[0], 8 * words)
        if self.parameters.middles:
            low = Mux(pair, self._high_bytes(Cat(Const(0, 1), turn[1])), low)
        return Cat(
            Cat(low.word_select(number, 8), high.word_select(number, 8)) for number in range(words)
        )

    def _high_bytes(self, turn: Value) -> Value:
        """Slot, code and sign of the W weights of a turn."""
        words = self.parameters.port_words
        draft = self.draft.payload.word_select(turn, 4 * words)
        slot = self.middle.payload.word_select(turn, 4 * words)
        return Cat(
            Cat(slot.word_select(number, 4), draft.word_select(number, 4))
            for number in range(words)
        )
