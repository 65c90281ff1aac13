"""Asynchronous serial line: 8 data bits, no parity, 1 stop bit, lowest bit first."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["Receiver", "Transmitter"]

_DATA_BITS = 8
_FRAME_BITS = 10
"""With start and stop bit."""


class Receiver(wiring.Component):
    """Bytes from a line.

    A bit is sampled once, `divisor` // 2 cycles behind the edge that began the byte and every
    `divisor` cycles from there. The edge is seen up to a cycle late, so with a divisor of 8 or more
    the clocks of both sides may differ by 3 %.

    Parameters
    ----------
    divisor : int
        Clock cycles of a bit, 4 or more.

    Members
    -------
    rx : 1 bit, in
        The line, high while idle; not synchronous to the clock.
    o : stream of 8 bits, out
        Bytes, each for one cycle: whoever takes them is always ready.
    broken : 1 bit, out
        High for a cycle: a byte had no stop bit and is not given.
    """

    def __init__(self, divisor: int) -> None:
        self.divisor = divisor
        super().__init__(
            {
                "rx": In(1, init=1),
                "o": Out(stream.Signature(_DATA_BITS, always_ready=True)),
                "broken": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        line = Signal(init=1)
        m.submodules.synchroniser = FFSynchronizer(self.rx, line, init=1)
        wait = Signal(range(self.divisor))
        bits = Signal(range(_FRAME_BITS))
        m.d.sync += [self.o.valid.eq(0), self.broken.eq(0)]
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [wait.eq(self.divisor // 2 - 1), bits.eq(0)]
                with m.If(~line):
                    m.next = "BITS"
            with m.State("BITS"):
                m.d.sync += wait.eq(wait - 1)
                with m.If(wait == 0):
                    m.d.sync += [wait.eq(self.divisor - 1), bits.eq(bits + 1)]
                    with m.If(bits == 0), m.If(line):  # too short for a start bit
                        m.next = "IDLE"
                    with m.Elif(bits != _FRAME_BITS - 1):
                        m.d.sync += self.o.payload.eq(Cat(self.o.payload[1:], line))
                    with m.Else():
                        m.d.sync += [self.o.valid.eq(line), self.broken.eq(~line)]
                        m.next = "RISE"
            with m.State("RISE"), m.If(line):  # else the line is held low: that is no start bit
                m.next = "IDLE"
        return m


class Transmitter(wiring.Component):
    """Bytes to a line.

    Parameters
    ----------
    divisor : int
        Clock cycles of a bit, 1 or more.

    Members
    -------
    i : stream of 8 bits, in
    tx : 1 bit, out
        The line, a register.
    """

    def __init__(self, divisor: int) -> None:
        self.divisor = divisor
        super().__init__({"i": In(stream.Signature(_DATA_BITS)), "tx": Out(1, init=1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        wait = Signal(range(self.divisor))
        left = Signal(range(_FRAME_BITS + 1))
        bits = Signal(_FRAME_BITS - 1, init=-1)
        m.d.comb += self.i.ready.eq(left == 0)
        with m.If(left == 0), m.If(self.i.valid):
            m.d.sync += [
                self.tx.eq(0),
                bits.eq(Cat(self.i.payload, Const(1, 1))),
                left.eq(_FRAME_BITS),
                wait.eq(self.divisor - 1),
            ]
        with m.Elif(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.Else():
            m.d.sync += [
                Cat(self.tx, bits).eq(Cat(bits, Const(1, 1))),
                left.eq(left - 1),
                wait.eq(self.divisor - 1),
            ]
        return m
