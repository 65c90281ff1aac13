"""Activation buffer: from packets to the beats of the array."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from speq.accelerator.activation_loader import ActivationLoader, lines, rows_per_line
from speq.accelerator.activation_player import ActivationPlayer, read_layout
from speq.accelerator.banks import BankPair
from speq.accelerator.layouts import (
    ActivationFault,
    load_job,
    packet_stream,
    play_job,
    shift_stream,
)
from speq.accelerator.shifts import ShiftBuffer
from speq.arithmetic import select
from speq.block import Block
from speq.layouts import activation_stream, payload_shape
from speq.parameters import WORD_BITS, Parameters
from speq.streams import StreamRegister

__all__ = ["ActivationBuffer"]


class ActivationBuffer(Block):
    """Takes the next job's activations and column shifts while the current job's are given.

    One memory of two banks of ``activation_rows`` rows, one read and one write port. A packet
    fills one bank, the next packet the other. A job without `keep` begins with moving on to the
    next bank, and that gives back the bank that the job before and all that kept its activations
    have read. As the loader takes jobs in the same order, the packet it may then write over such
    a bank is two packets later: no job that keeps the overwritten one is left.

    From the memory to the array there are two registers, the memory's own and one for the beat
    whose values have been put in the array's order; so a job's first beat is offered two cycles
    after its packet and its shifts are complete.

    Members
    -------
    loads, plays : streams, in
        The same jobs in the same order: :func:`speq.accelerator.layouts.load_job` and
        :func:`speq.accelerator.layouts.play_job`. A job leaves ``loads`` with the last of its
        packet, and ``plays`` when its last beat is read.
    packets : stream, in
        One packet per job without `keep`: tokens * ceil(K / W) transfers.
    shifts : stream, in
        Shifts of each job that is not plain; not in FP16-only designs.
    beats : stream, out
        :func:`speq.layouts.activation_stream`.
    finished : 1 bit, out
        A job's last beat is transferred.
    fault : ActivationFault, out
        What was wrong with a packet. From then on no activations are taken; beats are given of the
        jobs before only. A reset ends it.
    """

    stem = "activations"

    def __init__(self, parameters: Parameters) -> None:
        ports = {
            "loads": In(stream.Signature(load_job(parameters))),
            "plays": In(stream.Signature(play_job(parameters))),
            "packets": In(packet_stream(parameters)),
            "beats": Out(activation_stream(parameters)),
            "finished": Out(1),
            "fault": Out(ActivationFault),
        }
        if parameters.packs:
            ports["shifts"] = In(shift_stream(parameters))
        super().__init__(parameters, ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.banks = banks = BankPair()
        m.submodules.memory = memory = Memory(
            shape=data.ArrayLayout(WORD_BITS, self.parameters.activations_per_beat),
            depth=2 * lines(self.parameters) * rows_per_line(self.parameters),
            init=[],
        )
        self._load(m, memory, banks)
        m.submodules.player = player = ActivationPlayer(self.parameters)
        m.submodules.read = read = StreamRegister(read_layout(self.parameters))
        wiring.connect(m, wiring.flipped(self.plays), player.plays)
        wiring.connect(m, player.reads, read.i)
        asked, port = player.reads.payload, memory.read_port()
        row = Cat(asked.row, asked.line) if self.parameters.packs else asked.line
        m.d.comb += [
            player.waits.eq(banks.waits),
            banks.move.eq(read.take & asked.renew),
            port.en.eq(read.take),
            port.addr.eq(Cat(banks.held ^ asked.renew, row)),
        ]
        shifts = self._shifts(m, player, read) if self.parameters.packs else None
        self._give(m, read.o, port.data, shifts)
        return m

    def _load(self, m: Module, memory: Memory, banks: BankPair) -> None:
        m.submodules.loader = loader = ActivationLoader(self.parameters)
        wiring.connect(m, wiring.flipped(self.loads), loader.loads)
        wiring.connect(m, wiring.flipped(self.packets), loader.packets)
        port = memory.write_port(granularity=self.parameters.port_words)
        m.d.comb += [
            loader.free.eq(banks.free),
            banks.filled.eq(loader.complete),
            port.addr.eq(Cat(banks.filling, loader.row)),
            port.en.eq(loader.enables),
            port.data.as_value().eq(loader.values.as_value().replicate(len(loader.enables))),
            self.fault.eq(loader.fault),
        ]

    def _shifts(self, m: Module, player: ActivationPlayer, read: StreamRegister) -> data.View:
        """Read column shifts with the activations; returns those of the row that was read."""
        m.submodules.shifts = buffer = ShiftBuffer(self.parameters)
        wiring.connect(m, wiring.flipped(self.shifts), buffer.shifts)
        m.d.comb += [
            player.shifts_wait.eq(buffer.waits),
            buffer.read.eq(read.take),
            buffer.renew.eq(read.i.payload.renew_shifts),
            buffer.group.eq(read.i.payload.group),
            buffer.row.eq(read.o.payload.row),
        ]
        return buffer.values

    def _give(
        self, m: Module, read: stream.Interface, values: data.View, shifts: data.View | None
    ) -> None:
        """Put what was read in the array's order, and offer it."""
        beat = payload_shape(activation_stream(self.parameters))
        layout = data.StructLayout({"beat": beat, "last": 1})
        m.submodules.beat = register = StreamRegister(layout)
        ordered = register.i.payload.beat
        m.d.comb += [
            register.i.valid.eq(read.valid),
            read.ready.eq(register.i.ready),
            register.i.payload.last.eq(read.payload.last),
            ordered.values.as_value().eq(Cat(self._order(read.payload, values))),
            self.beats.valid.eq(register.o.valid),
            self.beats.payload.eq(register.o.payload.beat),
            register.o.ready.eq(self.beats.ready),
            self.finished.eq(register.o.valid & register.o.ready & register.o.payload.last),
        ]
        if shifts is not None:
            placed = Cat(self._order(read.payload, shifts))
            m.d.comb += ordered.shifts.as_value().eq(Mux(read.payload.plain, 0, placed))

    def _order(self, read: data.View, row: data.View) -> Sequence[Value]:
        """A row in the order of its beat: of every L consecutive values, one, a pair, or all.

        The one goes to the place of its column's number, the pair to the first two of L places.
        """
        elements = [Value.cast(element) for element in row]
        if not self.parameters.packs:
            return elements
        lanes = self.parameters.lanes
        single = [
            select(elements[column * lanes : (column + 1) * lanes], read.lane)
            for column in range(self.parameters.columns)
        ]
        if lanes == 4 and self.parameters.integers:
            elements = [
                Mux(read.lane[1], elements[place + 2], element) if place % 4 < 2 else element
                for place, element in enumerate(elements)
            ]
        chosen = [Mux(read.single, *both) for both in zip(single, elements, strict=False)]
        return chosen + elements[len(chosen) :]
