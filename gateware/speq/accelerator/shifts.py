"""Shift buffer: the column shifts of the job at work and of the next."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from speq.accelerator.activation_loader import lines, rows_per_line
from speq.accelerator.banks import BankPair
from speq.accelerator.layouts import shift_stream
from speq.arithmetic import select
from speq.layouts import COLUMN_SHIFT_BITS
from speq.parameters import Parameters

__all__ = ["ShiftBuffer"]


class ShiftBuffer(wiring.Component):
    """A memory of two banks; an entry has the 4*C shifts of a group.

    Each job that has shifts fills a bank, 4*W shifts per transfer, up to the transfer with
    ``last``; the jobs that have none do not touch it.

    Members
    -------
    shifts : stream, in
        :func:`speq.accelerator.layouts.shift_stream`.
    waits : 1 bit, out
        All shifts of the next job that has some are there.
    read : 1 bit, in
        Read the shifts of `group`; `values` has them from the next cycle to the next read.
    renew : 1 bit, in
        With `read`: of that next job, which becomes the current one; else of the current one.
    group : unsigned, in
    row : unsigned, in
        Which row of the group `values` belong to; it comes after the read, with the values.
    values : C*L numbers of 4 bits, out
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        count = parameters.activations_per_beat
        super().__init__(
            {
                "shifts": In(shift_stream(parameters)),
                "waits": Out(1),
                "read": In(1),
                "renew": In(1),
                "group": In(range(lines(parameters))),
                "row": In(range(rows_per_line(parameters))),
                "values": Out(data.ArrayLayout(COLUMN_SHIFT_BITS, count)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.banks = banks = BankPair()
        m.submodules.memory = memory = Memory(
            shape=data.ArrayLayout(COLUMN_SHIFT_BITS, self.parameters.group_inputs),
            depth=2 * lines(self.parameters),
            init=[],
        )
        take = Signal()
        last_part = Signal()
        transfer = self.shifts.payload
        m.d.comb += [
            self.shifts.ready.eq(banks.free),
            take.eq(self.shifts.valid & self.shifts.ready),
            banks.filled.eq(take & transfer.last),
            banks.move.eq(self.read & self.renew),
            self.waits.eq(banks.waits),
        ]
        write = memory.write_port(granularity=len(transfer.shifts))
        parts = len(write.en)
        group = Signal(range(lines(self.parameters)))
        part = Signal(range(parts))
        m.d.comb += [
            last_part.eq(part == parts - 1),
            write.addr.eq(Cat(banks.filling, group)),
            write.en.eq(Cat(take & (part == number) for number in range(parts))),
            write.data.as_value().eq(transfer.shifts.as_value().replicate(parts)),
        ]
        with m.If(take):
            m.d.sync += part.eq(Mux(last_part, 0, part + 1))
            with m.If(last_part):
                m.d.sync += group.eq(Mux(transfer.last, 0, group + 1))

        read = memory.read_port()
        m.d.comb += [
            read.en.eq(self.read),
            read.addr.eq(Cat(banks.held ^ self.renew, self.group)),
        ]
        entry, width = read.data.as_value(), len(self.values.as_value())
        rows = [entry.word_select(row, width) for row in range(rows_per_line(self.parameters))]
        m.d.comb += self.values.eq(select(rows, self.row))
        return m
