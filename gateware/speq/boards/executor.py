"""Executor: carries out the requests of :mod:`speq.boards.protocol`, one at a time."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from speq.accelerator.registers import ADDRESS_BITS
from speq.block import Block
from speq.boards.memory import memory_access
from speq.boards.protocol import (
    FLAG_LAST,
    MAX_PAYLOAD,
    VERSION,
    Command,
    Status,
)
from speq.boards.settings import BoardSettings
from speq.bus import Response, axi_lite, axi_stream
from speq.parameters import Parameters

__all__ = ["Executor"]

_ARGUMENT_BYTES = 6
_PATIENCE = 255
"""Cycles that a beat of activations waits before the host is told."""
_RESET_CYCLES = 15


class Executor(Block):
    """Does what requests ask for.

    Parameters
    ----------
    parameters : Parameters
        The design point.
    settings : BoardSettings

    Members
    -------
    asked : 1 bit, in
        High for a cycle, only while not `busy`: a request is there, and stays while `busy`.
    sequence, code, length : 8 bits each, in
    address, data : 8 bits, out and in
        A byte of its payload, which comes in the next cycle.
    status, answer_length : 8 bits each, out
        Of the answer. They and its payload stay until `busy` rises again.
    write, write_address, write_data : 1, 8 and 8 bits, out
        Sets a byte of the answer's payload.
    send : 1 bit, out
        High for a cycle: the answer is complete.
    sending : 1 bit, in
        From the next cycle on, until it is sent.
    busy : 1 bit, out
    registers : AXI4-Lite, manager
    activations : AXI4-Stream, transmitter
    results : AXI4-Stream, receiver
    memory : :func:`speq.boards.memory.memory_access`, out
    reset_unit : 1 bit, out
        Resets the accelerator and its memory port.
    """

    stem = "executor"

    def __init__(self, parameters: Parameters, settings: BoardSettings) -> None:
        self.settings = settings
        self._arguments = Signal(8 * _ARGUMENT_BYTES)
        super().__init__(
            parameters,
            {
                "asked": In(1),
                "sequence": In(8),
                "code": In(8),
                "length": In(8),
                "address": Out(8),
                "data": In(8),
                "status": Out(8),
                "answer_length": Out(8),
                "write": Out(1),
                "write_address": Out(8),
                "write_data": Out(8),
                "send": Out(1),
                "sending": In(1),
                "busy": Out(1),
                "registers": Out(axi_lite(ADDRESS_BITS)),
                "activations": Out(axi_stream(parameters.port_bits)),
                "results": In(axi_stream(parameters.port_bits, user_bits=1)),
                "memory": Out(memory_access(settings.memory_bytes)),
                "reset_unit": Out(1),
            },
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        left = Signal(range(max(_ARGUMENT_BYTES, _RESET_CYCLES) + 1))
        m.d.comb += self.write_address.eq(self.answer_length)
        m.d.sync += self.reset_unit.eq(0)
        self._release(m)
        with m.FSM() as states:
            self._begin(m, left)
            self._act(m, left)
            self._emit(m, left)
            self._access_registers(m, left)
            self._store(m)
            self._load(m)
            self._send_activations(m, left)
            self._receive(m)
            with m.State("RESET"):
                m.d.sync += [self.reset_unit.eq(1), left.eq(left - 1)]
                with m.If(left == 0):
                    m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += self.send.eq(1)
                m.next = "ANSWERING"
            with m.State("ANSWERING"), m.If(~self.sending):
                m.next = "IDLE"
        m.d.comb += self.busy.eq(~states.ongoing("IDLE"))
        return m

    def _release(self, m: Module) -> None:
        """Take offers back that were accepted. A reset ends that of activations as well."""
        registers, activations = self.registers, self.activations
        for ready, valid in (
            (registers.awready, registers.awvalid),
            (registers.wready, registers.wvalid),
            (registers.arready, registers.arvalid),
            (activations.tready | self.reset_unit, activations.tvalid),
        ):
            with m.If(ready):
                m.d.sync += valid.eq(0)

    def _begin(self, m: Module, left: Signal) -> None:
        """From a request to its arguments, or to the answer of the one before."""
        known = Signal()
        last_sequence = Signal(8)
        with m.State("IDLE"), m.If(self.asked):
            repeated = known & (self.sequence == last_sequence)
            with m.If(repeated & (self.code != Command.IDENTIFY)):
                m.next = "ANSWER"
            with m.Else():
                m.d.sync += [known.eq(1), last_sequence.eq(self.sequence)]
                m.next = "CHECK"
        with m.State("CHECK"):
            m.d.sync += [self.answer_length.eq(0), self.address.eq(0)]
            m.next = "ANSWER"
            with m.Switch(self.code):
                for command in Command:
                    count = command.argument_bytes
                    fits = self.length >= count if command.takes_data else self.length == count
                    with m.Case(command):
                        m.d.sync += [left.eq(count), self.status.eq(Status.LENGTH)]
                        with m.If(fits):
                            m.d.sync += self.status.eq(Status.OK)
                            m.next = "ARGUMENT"
                with m.Default():
                    m.d.sync += self.status.eq(Status.UNKNOWN)
        with m.State("ARGUMENT"):
            m.next = "ACT"
            with m.If(left != 0):
                m.next = "TAKE ARGUMENT"
        with m.State("TAKE ARGUMENT"):
            m.d.sync += [
                self._arguments.eq(Cat(self._arguments[8:], self.data)),
                self.address.eq(self.address + 1),
                left.eq(left - 1),
            ]
            m.next = "ARGUMENT"

    def _last_arguments(self, count: int) -> object:
        """The arguments of a command with `count` bytes of them: the last that came are on top."""
        return self._arguments[8 * (_ARGUMENT_BYTES - count) :]

    def _act(self, m: Module, left: Signal) -> None:
        """Begin with a command whose arguments are there."""
        registers = self.registers
        m.d.comb += [
            registers.wstrb.eq(-1),
            registers.awaddr.eq(self._last_arguments(6)[:16]),
            registers.wdata.eq(self._last_arguments(6)[16:]),
            registers.araddr.eq(self._last_arguments(2)),
        ]
        identity = Cat(
            Const(VERSION, 8),
            Const(self.parameters.bus_bytes, 8),
            Const(self.settings.memory_bytes, 32),
        )
        with m.State("ACT"), m.Switch(self.code):
            with m.Case(Command.IDENTIFY):
                m.d.sync += [self._arguments.eq(identity), left.eq(_ARGUMENT_BYTES)]
                m.next = "EMIT"
            with m.Case(Command.RESET):
                m.d.sync += left.eq(_RESET_CYCLES)
                m.next = "RESET"
            with m.Case(Command.READ):
                m.d.sync += registers.arvalid.eq(1)
                m.next = "READ"
            with m.Case(Command.WRITE):
                m.d.sync += [registers.awvalid.eq(1), registers.wvalid.eq(1)]
                m.next = "WRITE"
            with m.Case(Command.STORE):
                m.next = "STORE"
            with m.Case(Command.LOAD):
                m.next = "LOAD"
            with m.Case(Command.SEND):
                m.next = "SEND FIRST"
                beat = exact_log2(self.parameters.bus_bytes)
                with m.If((self.length - 1)[:beat] != 0):
                    m.d.sync += self.status.eq(Status.LENGTH)
                    m.next = "ANSWER"
            with m.Case(Command.RECEIVE):
                m.d.sync += self.answer_length.eq(1)
                m.next = "RECEIVE"

    def _emit(self, m: Module, left: Signal) -> None:
        """The lowest bytes of the arguments as the answer."""
        with m.State("EMIT"):
            m.d.comb += [self.write.eq(1), self.write_data.eq(self._arguments[:8])]
            m.d.sync += [
                self._arguments.eq(self._arguments[8:]),
                self.answer_length.eq(self.answer_length + 1),
                left.eq(left - 1),
            ]
            with m.If(left == 1):
                m.next = "ANSWER"

    def _access_registers(self, m: Module, left: Signal) -> None:
        registers = self.registers
        with m.State("WRITE"):
            m.d.comb += registers.bready.eq(1)
            with m.If(registers.bvalid):
                with m.If(registers.bresp != Response.OKAY):
                    m.d.sync += self.status.eq(Status.BUS)
                m.next = "ANSWER"
        with m.State("READ"):
            m.d.comb += registers.rready.eq(1)
            m.d.sync += [self._arguments.eq(registers.rdata), left.eq(4)]
            with m.If(registers.rvalid):
                m.next = "EMIT"
                with m.If(registers.rresp != Response.OKAY):
                    m.d.sync += self.status.eq(Status.BUS)
                    m.next = "ANSWER"

    def _store(self, m: Module) -> None:
        """Bytes of the request to memory."""
        address = self._last_arguments(4)
        bits = exact_log2(self.settings.memory_bytes)
        m.d.comb += [self.memory.address.eq(address), self.memory.data.eq(self.data)]
        with m.State("STORE"):
            m.next = "STORE BYTE"
            with m.If(self.address == self.length):
                m.next = "ANSWER"
            with m.Elif(address[bits:] != 0):
                m.d.sync += self.status.eq(Status.RANGE)
                m.next = "ANSWER"
        with m.State("STORE BYTE"):
            m.d.comb += self.memory.write.eq(1)
            with m.If(self.memory.taken):
                m.d.sync += [address.eq(address + 1), self.address.eq(self.address + 1)]
                m.next = "STORE"

    def _load(self, m: Module) -> None:
        """Bytes of memory to the answer."""
        address, count = self._last_arguments(4), self._last_arguments(5)[:8]
        bits = exact_log2(self.settings.memory_bytes)
        with m.State("LOAD"):
            m.next = "LOAD BYTE"
            with m.If(self.answer_length == count):
                m.next = "ANSWER"
            with m.Elif(address[bits:] != 0):
                m.d.sync += [self.status.eq(Status.RANGE), self.answer_length.eq(0)]
                m.next = "ANSWER"
        with m.State("LOAD BYTE"):
            m.d.comb += self.memory.read.eq(1)
            with m.If(self.memory.taken):
                m.next = "LOADED BYTE"
        with m.State("LOADED BYTE"), m.If(self.memory.valid):
            m.d.comb += [self.write.eq(1), self.write_data.eq(self.memory.value)]
            m.d.sync += [address.eq(address + 1), self.answer_length.eq(self.answer_length + 1)]
            m.next = "LOAD"

    def _send_activations(self, m: Module, left: Signal) -> None:
        """Bytes of the request to beats of activations."""
        size, beat = self.parameters.bus_bytes, self.activations
        flags = self._last_arguments(1)
        lane = Signal(range(size))
        taken = Signal(8)
        patience = Signal(range(_PATIENCE + 1))
        with m.State("SEND FIRST"):
            m.d.sync += [taken.eq(0), lane.eq(0), patience.eq(_PATIENCE)]
            m.next = "SEND"
        with m.State("SEND"):
            m.d.sync += patience.eq(patience - 1)
            with m.If((self.address == self.length) | (patience == 0)):
                m.d.sync += [self._arguments.eq(Cat(taken, beat.tvalid)), left.eq(2)]
                m.next = "EMIT"
            with m.Elif(~beat.tvalid):
                m.next = "SEND BYTE"
        with m.State("SEND BYTE"):
            m.d.sync += [
                beat.tdata.word_select(lane, 8).eq(self.data),
                lane.eq(lane + 1),
                self.address.eq(self.address + 1),
                patience.eq(_PATIENCE),
            ]
            with m.If(lane == size - 1):
                last = (flags & FLAG_LAST != 0) & (self.address + 1 == self.length)
                m.d.sync += [beat.tvalid.eq(1), beat.tlast.eq(last), taken.eq(taken + 1)]
            m.next = "SEND"

    def _receive(self, m: Module) -> None:
        """Beats of results to the answer; its first byte, the flags, is written last."""
        size, beat = self.parameters.bus_bytes, self.results
        lane = Signal(range(size))
        flags = Signal(2)
        with m.State("RECEIVE"):
            m.d.sync += lane.eq(0)
            m.next = "FLAGS"
            with m.If(beat.tvalid & (self.answer_length <= MAX_PAYLOAD - size) & ~flags[0]):
                m.next = "RECEIVE BYTE"
        with m.State("RECEIVE BYTE"):
            m.d.comb += [
                self.write.eq(1),
                self.write_data.eq(beat.tdata.word_select(lane, 8)),
                beat.tready.eq(lane == size - 1),
            ]
            m.d.sync += [lane.eq(lane + 1), self.answer_length.eq(self.answer_length + 1)]
            with m.If(beat.tready):
                m.d.sync += flags.eq(Mux(beat.tlast, Cat(Const(1, 1), beat.tuser), 0))
                m.next = "RECEIVE"
        with m.State("FLAGS"):
            m.d.comb += [
                self.write.eq(1),
                self.write_address.eq(0),
                self.write_data.eq(flags),
            ]
            m.d.sync += flags.eq(0)
            m.next = "ANSWER"
