"""Frames of :mod:`speq.boards.protocol`: from and to streams of bytes."""

from amaranth.hdl import Module, Signal
from amaranth.lib import enum, stream, wiring
from amaranth.lib.crc import Algorithm
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from speq.boards.protocol import (
    CRC_INITIAL,
    CRC_POLYNOMIAL,
    MAX_PAYLOAD,
    REQUEST_SYNC,
    RESPONSE_SYNC,
)

__all__ = ["FrameReceiver", "FrameSender"]

_CRC = Algorithm(
    crc_width=16,
    polynomial=CRC_POLYNOMIAL,
    initial_crc=CRC_INITIAL,
    reflect_input=False,
    reflect_output=False,
    xor_output=0,
)


class _Place(enum.Enum, shape=3):
    """What the next byte of a request is; CHECK: it is complete."""

    SYNC = 0
    SEQUENCE = 1
    CODE = 2
    LENGTH = 3
    PAYLOAD = 4
    HIGH = 5
    LOW = 6
    CHECK = 7


def _buffer() -> Memory:
    """Bytes of a payload."""
    return Memory(shape=8, depth=MAX_PAYLOAD + 1, init=[])


class FrameReceiver(wiring.Component):
    """Takes requests that are whole and right.

    Parameters
    ----------
    idle_cycles : int
        Cycles without a byte after which a frame is given up.

    Members
    -------
    bytes : stream of 8 bits, in
        It never waits.
    broken : 1 bit, in
        A byte was broken: gives up the frame.
    hold : 1 bit, in
        The last request is still needed: bytes are ignored.
    done : 1 bit, out
        High for a cycle: a request is there. It stays until the next byte without `hold`.
    dropped : 1 bit, out
        High for a cycle: a frame was given up, for whatever reason.
    sequence, code, length : 8 bits each, out
    address : 8 bits, in
        Of a byte of the payload.
    data : 8 bits, out
        That byte, in the next cycle.
    """

    def __init__(self, idle_cycles: int) -> None:
        self.idle_cycles = idle_cycles
        super().__init__(
            {
                "bytes": In(stream.Signature(8, always_ready=True)),
                "broken": In(1),
                "hold": In(1),
                "done": Out(1),
                "dropped": Out(1),
                "sequence": Out(8),
                "code": Out(8),
                "length": Out(8),
                "address": In(8),
                "data": Out(8),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = _buffer()
        m.submodules.crc = crc = _CRC(data_width=8).create()
        write, read = memory.write_port(), memory.read_port()
        place = Signal(8)
        within = Signal()
        byte = self.bytes.payload
        m.d.comb += [
            read.addr.eq(self.address),
            self.data.eq(read.data),
            write.addr.eq(place),
            write.data.eq(byte),
            crc.data.eq(byte),
            crc.valid.eq(within & self.bytes.valid),
            crc.start.eq(~within),
        ]
        state = Signal(_Place)
        m.d.comb += within.eq((state != _Place.SYNC) & (state != _Place.CHECK))
        with m.If(self.bytes.valid & within):
            m.d.sync += state.eq(state.as_value() + 1)
        with m.Switch(state):
            with m.Case(_Place.SYNC):
                m.d.sync += place.eq(0)
                with m.If(self.bytes.valid & (byte == REQUEST_SYNC) & ~self.hold):
                    m.d.sync += state.eq(_Place.SEQUENCE)
            with m.Case(_Place.SEQUENCE), m.If(self.bytes.valid):
                m.d.sync += self.sequence.eq(byte)
            with m.Case(_Place.CODE), m.If(self.bytes.valid):
                m.d.sync += self.code.eq(byte)
            with m.Case(_Place.LENGTH), m.If(self.bytes.valid):
                m.d.sync += self.length.eq(byte)
                with m.If(byte == 0):
                    m.d.sync += state.eq(_Place.HIGH)
            with m.Case(_Place.PAYLOAD), m.If(self.bytes.valid):
                m.d.comb += write.en.eq(1)
                m.d.sync += place.eq(place + 1)
                with m.If(place + 1 != self.length):
                    m.d.sync += state.eq(_Place.PAYLOAD)
            with m.Case(_Place.CHECK):
                m.d.comb += [
                    self.done.eq(crc.match_detected),
                    self.dropped.eq(~crc.match_detected),
                ]
                m.d.sync += state.eq(_Place.SYNC)
        with m.If(self._lost(m, within)):
            m.d.comb += self.dropped.eq(1)
            m.d.sync += state.eq(_Place.SYNC)
        return m

    def _lost(self, m: Module, within: Signal) -> Signal:
        """Whether the frame at work can no longer be completed."""
        idle = Signal(range(self.idle_cycles + 1))
        lost = Signal()
        with m.If(~within | self.bytes.valid):
            m.d.sync += idle.eq(self.idle_cycles)
        with m.Else():
            m.d.sync += idle.eq(idle - 1)
        m.d.comb += lost.eq(within & ((idle == 0) | self.broken))
        return lost


class FrameSender(wiring.Component):
    """Sends answers.

    Members
    -------
    start : 1 bit, in
        Send one; only while not `busy`.
    sequence, status, length : 8 bits each, in
        Stay as they are while `busy`, as does the payload.
    write, write_address, write_data : 1, 8 and 8 bits, in
        Sets a byte of the payload.
    busy : 1 bit, out
    bytes : stream of 8 bits, out
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "start": In(1),
                "sequence": In(8),
                "status": In(8),
                "length": In(8),
                "write": In(1),
                "write_address": In(8),
                "write_data": In(8),
                "busy": Out(1),
                "bytes": Out(stream.Signature(8)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = _buffer()
        m.submodules.crc = crc = _CRC(data_width=8).create()
        write, read = memory.write_port(), memory.read_port()
        place = Signal(8)
        settled = Signal()  # CRC and payload follow a transfer by a cycle
        sent = Signal()
        m.d.comb += [
            write.en.eq(self.write),
            write.addr.eq(self.write_address),
            write.data.eq(self.write_data),
            read.addr.eq(place),
            self.bytes.valid.eq(self.busy & settled),
            sent.eq(self.bytes.valid & self.bytes.ready),
            crc.data.eq(self.bytes.payload),
        ]
        m.d.sync += settled.eq(~sent)
        with m.FSM() as states:
            with m.State("IDLE"):
                m.d.sync += place.eq(0)
                with m.If(self.start):
                    m.next = "SYNC"
            with m.State("SYNC"):
                m.d.comb += [self.bytes.payload.eq(RESPONSE_SYNC), crc.start.eq(1)]
                with m.If(sent):
                    m.next = "SEQUENCE"
            with m.State("SEQUENCE"):
                m.d.comb += [self.bytes.payload.eq(self.sequence), crc.valid.eq(sent)]
                with m.If(sent):
                    m.next = "STATUS"
            with m.State("STATUS"):
                m.d.comb += [self.bytes.payload.eq(self.status), crc.valid.eq(sent)]
                with m.If(sent):
                    m.next = "LENGTH"
            with m.State("LENGTH"):
                m.d.comb += [self.bytes.payload.eq(self.length), crc.valid.eq(sent)]
                with m.If(sent & (self.length == 0)):
                    m.next = "HIGH"
                with m.Elif(sent):
                    m.next = "PAYLOAD"
            with m.State("PAYLOAD"):
                m.d.comb += [self.bytes.payload.eq(read.data), crc.valid.eq(sent)]
                with m.If(sent):
                    m.d.sync += place.eq(place + 1)
                    with m.If(place + 1 == self.length):
                        m.next = "HIGH"
            with m.State("HIGH"):
                m.d.comb += self.bytes.payload.eq(crc.crc[8:])
                with m.If(sent):
                    m.next = "LOW"
            with m.State("LOW"):
                m.d.comb += self.bytes.payload.eq(crc.crc[:8])
                with m.If(sent):
                    m.next = "IDLE"
        m.d.comb += self.busy.eq(~states.ongoing("IDLE"))
        return m
