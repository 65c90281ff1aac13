"""Two banks of a memory: one is filled while the other is read."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["BankPair"]


class BankPair(wiring.Component):
    """Which bank is filled, which is read, and when a bank may be written again.

    Banks are filled in turn and read in the same turn. The reader holds the bank that it moved to
    last, for as long as it likes; moving on to the next gives the one that it held back.

    Invariant: a bank is full from its `filled` on until the reader, having held it, moves on. So
    what the reader holds is never written, and nothing is read before it is complete.

    Members
    -------
    free : 1 bit, out
        The bank `filling` may be written.
    filling : 1 bit, out
        Number of the bank to write.
    filled : 1 bit, in
        It is complete; only while `free`.
    waits : 1 bit, out
        The bank after `held` is full. Stays high until `move`.
    held : 1 bit, out
        Number of the bank that the reader moved to last; of bank 1 before any.
    move : 1 bit, in
        The reader moves on to the other bank; only while `waits`.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "free": Out(1),
                "filling": Out(1),
                "filled": In(1),
                "waits": Out(1),
                "held": Out(1, init=1),
                "move": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        full = Signal(2)
        holds = Signal()  # not before the first move: bank 1 may then be filled, too
        m.d.comb += [
            self.free.eq(~full.bit_select(self.filling, 1)),
            self.waits.eq(full.bit_select(~self.held, 1)),
        ]
        with m.If(self.move):
            m.d.sync += [holds.eq(1), self.held.eq(~self.held)]
            with m.If(holds):
                m.d.sync += full.bit_select(self.held, 1).eq(0)
        with m.If(self.filled):
            m.d.sync += [full.bit_select(self.filling, 1).eq(1), self.filling.eq(~self.filling)]
        return m
