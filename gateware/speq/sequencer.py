"""Sequencer: cuts the work on loaded tiles into beats."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from speq.block import Block
from speq.layouts import Mode, beat_layout, loaded_layout
from speq.parameters import Parameters

__all__ = ["Sequencer"]


class Sequencer(Block):
    """Issues one beat per cycle as long as there are a tile, activations and room.

    The tile's mode goes with each of its beats. A tile is taken together with its first beat: the
    words then swap at the clock edge at which the previous tile's last beat has left the columns.

    Members
    -------
    loaded : stream
        Tiles that wait in the PEs.
    activations_valid : 1 bit
        A beat's activations are there.
    beat : stream
        :func:`speq.layouts.beat_layout`, without the row exponents.
    swap : 1 bit
        This beat is its tile's first, and taken.
    active : struct
        Header of the tile that the last beat taken belongs to.
    """

    stem = "sequencer"

    def __init__(self, parameters: Parameters) -> None:
        ports = {
            "loaded": In(stream.Signature(loaded_layout(parameters))),
            "activations_valid": In(1),
            "beat": Out(stream.Signature(beat_layout(parameters))),
            "swap": Out(1),
            "active": Out(loaded_layout(parameters)),
        }
        super().__init__(parameters, ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        active = Signal(loaded_layout(self.parameters), reset_less=True)
        token = Signal(range(self.parameters.tokens))
        part = Signal(range(self.parameters.word_beats))
        running = Signal()

        header = Signal.like(active)
        take = self.beat.valid & self.beat.ready
        m.d.comb += [
            self.active.eq(active),
            header.eq(Mux(running, active, self.loaded.payload)),
            self.beat.valid.eq(self.activations_valid & (running | self.loaded.valid)),
            self.swap.eq(take & ~running),
            self.loaded.ready.eq(self.swap),
        ]
        with m.If(self.swap):
            m.d.sync += active.eq(self.loaded.payload)

        last_token = token == header.last_token if self.parameters.tokens > 1 else 1
        last_part = self._is_last_part(header, part)
        beat = self.beat.payload
        m.d.comb += [
            beat.clear.eq(header.first & (part == 0)),
            beat.emit.eq(header.last & last_part),
            beat.last.eq(last_token),
        ]
        if self.parameters.tokens > 1:
            m.d.comb += beat.token.eq(token)
        if self.parameters.drafts:
            m.d.comb += beat.draft.eq(header.mode == Mode.DRAFT)
        if self.parameters.word_beats > 1:
            m.d.comb += beat.part.eq(part)

        with m.If(take):
            m.d.sync += [running.eq(1), part.eq(part + 1)]
            with m.If(last_part):
                m.d.sync += [part.eq(0), token.eq(token + 1)]
                with m.If(last_token):
                    m.d.sync += [token.eq(0), running.eq(0)]
        return m

    def _is_last_part(self, header: data.View, part: Signal) -> object:
        if self.parameters.word_beats == 1:
            return 1
        return (header.mode == Mode.VERIFY) | (part == self.parameters.word_beats - 1)
