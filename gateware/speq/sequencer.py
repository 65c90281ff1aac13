"""Sequencer: cuts the work on loaded tiles into beats."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from speq.block import Block
from speq.layouts import Mode, beat_layout, kind_layout, loaded_layout
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
    idle : 1 bit
        If a tile is loaded in this cycle, it is taken in this cycle. A register: it is low in
        some cycles in which that holds, too. On FPGAs only.
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
        if parameters.in_dsp:
            ports["idle"] = Out(1)
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
        if self.parameters.in_dsp:
            # Activations and room stay until a beat takes them, and none does without a tile.
            waits = self.activations_valid & self.beat.ready & ~running
            m.d.sync += self.idle.eq(waits & ~self.loaded.valid)

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
        if self.parameters.has_low_bits:
            m.d.comb += beat.kind.eq(self._kind(header.mode))
        if self.parameters.word_beats > 1:
            m.d.comb += beat.part.eq(part)

        with m.If(take):
            m.d.sync += [running.eq(1), part.eq(part + 1)]
            with m.If(last_part):
                m.d.sync += [part.eq(0), token.eq(token + 1)]
                with m.If(last_token):
                    m.d.sync += [token.eq(0), running.eq(0)]
        return m

    def _kind(self, mode: Value) -> Value:
        modes = {
            "block": ("draft", "qdraft"),
            "integer": ("qdraft", "qverify"),
            "middle": ("middle",),
        }
        flags = []
        for name, _ in kind_layout(self.parameters):
            present = [each for each in modes[name] if each in self.parameters.modes]
            flags.append(Cat(mode == Mode[each.upper()] for each in present).any())
        return Cat(flags)

    def _is_last_part(self, header: data.View, part: Signal) -> Value:
        ends = {mode: self.parameters.beats_per_token(mode) - 1 for mode in self.parameters.modes}
        if not any(ends.values()):
            return Const(1, 1)
        return Cat(
            (header.mode == Mode[mode.upper()]) & (part == end) for mode, end in ends.items()
        ).any()
