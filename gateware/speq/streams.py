"""Stream registers."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["StreamRegister"]


class StreamRegister(wiring.Component):
    """One register stage of a ready/valid stream, at full throughput.

    It keeps the four rules of Amaranth's streams: once valid, the payload and valid are held until
    the transfer, and valid never waits for ready. Its ready does wait for the next stage's (a path
    through combinational logic), which lets a bubble close.

    Parameters
    ----------
    payload_shape : ShapeLike
        Shape of the payload.

    Members
    -------
    i, o : streams
    take : 1 bit, out
        A transfer is taken at this clock edge: registers outside that belong to the same stage move
        with it.
    """

    def __init__(self, payload_shape: object) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(payload_shape)),
                "o": Out(stream.Signature(payload_shape)),
                "take": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        payload = Signal.like(self.o.payload, reset_less=True)
        m.d.comb += [
            self.o.payload.eq(payload),
            self.i.ready.eq(~self.o.valid | self.o.ready),
            self.take.eq(self.i.valid & self.i.ready),
        ]
        with m.If(self.i.ready):
            m.d.sync += self.o.valid.eq(self.i.valid)
        with m.If(self.take):
            m.d.sync += payload.eq(self.i.payload)
        return m
