"""Sequencer of a baseline array: headers of groups to one step per cycle."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from speq.baselines.layouts import Step, header_stream, step_layout
from speq.baselines.parameters import BaselineParameters
from speq.block import Block

__all__ = ["Sequencer"]


class Sequencer(Block):
    """Begins each group, multiplies its beats, and drains the tile after its last group.

    A header stays on its stream until its last step, so nothing of it is stored. Groups follow each
    other without a gap.

    Members
    -------
    headers : stream
        :func:`speq.baselines.layouts.header_stream`.
    beat_valid : 1 bit, in
        Activations and weights of a beat are both there.
    beat_take : 1 bit, out
        They leave their streams at this clock edge.
    steps : stream
        :func:`speq.baselines.layouts.step_layout`.
    odd : 1 bit, out
        This MULTIPLY is of the pair's odd operands; only OliVe.
    """

    stem = "sequencer"

    def __init__(self, parameters: BaselineParameters) -> None:
        ports = {
            "headers": In(header_stream(parameters)),
            "beat_valid": In(1),
            "beat_take": Out(1),
            "steps": Out(stream.Signature(step_layout(parameters))),
        }
        if parameters.pairs:
            ports["odd"] = Out(1)
        super().__init__(parameters, ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        header, step = self.headers.payload, self.steps.payload
        taken = self.steps.valid & self.steps.ready
        beat = Signal.like(header.beats)
        row = Signal(range(self.parameters.rows))
        last_beat = beat == header.beats - 1
        whole_beat = self._whole_beat(m, taken)

        multiplying, draining = Signal(), Signal()
        with m.If(draining):
            m.d.comb += [
                self.steps.valid.eq(1),
                step.step.eq(Step.DRAIN),
                step.last.eq(row == self.parameters.rows - 1),
                self.headers.ready.eq(taken & step.last),
            ]
            with m.If(taken):
                m.d.sync += [row.eq(row + 1), draining.eq(~step.last)]
        with m.Elif(multiplying):
            m.d.comb += [
                self.steps.valid.eq(self.beat_valid),
                step.step.eq(Step.MULTIPLY),
                self.beat_take.eq(taken & whole_beat),
                self.headers.ready.eq(self.beat_take & last_beat & ~header.last),
            ]
            with m.If(self.beat_take):
                m.d.sync += [
                    beat.eq(beat + 1),
                    multiplying.eq(~last_beat),
                    draining.eq(last_beat & header.last),
                ]
        with m.Else():
            empty = ~header.beats.any()
            m.d.comb += [
                self.steps.valid.eq(self.headers.valid),
                step.step.eq(Mux(header.first, Step.CLEAR, Step.NEXT_GROUP)),
                self.headers.ready.eq(taken & empty & ~header.last),
            ]
            m.d.sync += [beat.eq(0), row.eq(0)]
            with m.If(taken):
                m.d.sync += [multiplying.eq(~empty), draining.eq(empty & header.last)]
        return m

    def _whole_beat(self, m: Module, taken: Signal) -> Signal | int:
        """Whether this MULTIPLY is its beat's last: the odd one of a pair."""
        if not self.parameters.pairs:
            return 1
        with m.If(taken & (self.steps.payload.step == Step.MULTIPLY)):
            m.d.sync += self.odd.eq(~self.odd)
        return self.odd
