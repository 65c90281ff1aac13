"""Ends of an array for FPGAs: no ready signal runs through it.

In the array as such a stall at the output travels back through all stages to the inputs, and on to
what feeds them: a path as long as the pipeline. Here the stages never stop. A beat enters only if
its result is certain to find room in a queue behind the last stage, which a count tells, and each
input has a buffer whose ready is a register.
"""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

__all__ = ["Outlet", "PingPong", "Skid"]


class _Buffer(wiring.Component):
    """A buffer between two streams.

    Parameters
    ----------
    payload_shape : ShapeLike
        Shape of the payload.

    Members
    -------
    i, o : streams
    """

    def __init__(self, payload_shape: object) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(payload_shape)),
                "o": Out(stream.Signature(payload_shape)),
            }
        )


class Skid(_Buffer):
    """A buffer of two transfers: ready and the payload are registers, yet every cycle has one."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        front = Signal.like(self.o.payload, reset_less=True)
        spare = Signal.like(front, reset_less=True)
        valid, full, moves = Signal(), Signal(), Signal()
        # The opposite of `full`, which has as many loads as the payload has bits; and once more for
        # who gives. That one is low in the first cycle, and so no tool takes the two for one.
        ready, takes = Signal(init=1), Signal()
        comes = Signal()
        m.d.comb += [
            self.i.ready.eq(takes),
            comes.eq(self.i.valid & takes),
            self.o.valid.eq(valid),
            self.o.payload.eq(front),
            moves.eq(self.o.ready | ~valid),
        ]
        with m.If(ready):
            m.d.sync += spare.eq(self.i.payload)
        with m.If(moves):
            m.d.sync += [valid.eq(full | comes), full.eq(0), ready.eq(1)]
            m.d.sync += front.eq(Mux(full, spare, self.i.payload))
        with m.Elif(comes):
            m.d.sync += [full.eq(1), ready.eq(0)]
        m.d.sync += takes.eq(moves | (ready & ~comes))
        return m


class PingPong(_Buffer):
    """A buffer of two transfers for wide payloads: ready is a register, yet every cycle has one.

    Its two places are written whenever they are free, whether or not something comes, so that only
    a few bits depend on both ends of it: who gives and who takes see short paths.
    """

    def elaborate(self, platform: object) -> Module:
        m = Module()
        places = [Signal.like(self.o.payload, name=f"place_{n}", reset_less=True) for n in range(2)]
        into, out_of = Signal(), Signal()
        ready, valid = Signal(init=1), Signal()
        comes, goes = Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(ready),
            self.o.valid.eq(valid),
            self.o.payload.eq(Mux(out_of, places[1], places[0])),
            comes.eq(self.i.valid & ready),
            goes.eq(self.o.ready & valid),
        ]
        for number, place in enumerate(places):
            with m.If(ready & (into == number)):
                m.d.sync += place.eq(self.i.payload)
        m.d.sync += [into.eq(into ^ comes), out_of.eq(out_of ^ goes)]
        with m.If(comes & ~goes):
            m.d.sync += [valid.eq(1), ready.eq(~valid)]
        with m.Elif(goes & ~comes):
            m.d.sync += [ready.eq(1), valid.eq(~ready)]
        return m


class Outlet(wiring.Component):
    """Queue of results, and the count of beats whose results are certain to find room in it.

    Parameters
    ----------
    payload_shape : ShapeLike
        Shape of a result.
    depth : int
        Results on their way and in the queue, at most. As many as the stages have, and those that
        the queue itself takes to answer, keep the array at one result per cycle.

    Members
    -------
    enters : 1 bit, in
        A beat that will give a result enters. Only while there is `room`.
    room : 1 bit, out
        A register.
    result : payload, in
    valid : 1 bit, in
        A result is there. It is taken at once.
    o : stream, out
    """

    def __init__(self, payload_shape: object, depth: int) -> None:
        self.depth = depth
        super().__init__(
            {
                "enters": In(1),
                "room": Out(1, init=1),
                "result": In(payload_shape),
                "valid": In(1),
                "o": Out(stream.Signature(payload_shape)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        result = Value.cast(self.result)
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=len(result), depth=self.depth)
        left = Signal(range(self.depth + 1), init=self.depth)
        leaves, after = Signal(), Signal.like(left)
        m.d.comb += [
            fifo.w_en.eq(self.valid),
            fifo.w_data.eq(result),
            self.o.valid.eq(fifo.r_rdy),
            self.o.payload.eq(fifo.r_data),
            fifo.r_en.eq(self.o.ready),
            leaves.eq(self.o.valid & self.o.ready),
            after.eq(left + leaves - self.enters),
        ]
        m.d.sync += [left.eq(after), self.room.eq(after != 0)]
        return m
