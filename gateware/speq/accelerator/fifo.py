"""A FIFO whose room is reserved before the data are asked for."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["ReservedFifo"]


class ReservedFifo(wiring.Component):
    """A memory with synchronous reads between two streams, of which the first never waits.

    One item in and one out per cycle; an item is offered two cycles after it was written.

    Parameters
    ----------
    width : int
        Bits of an item.
    depth : int
        Items that the memory holds, 2 or more. One more waits at the output.
    most : int
        Most items reserved at once.

    Members
    -------
    reserve : 1 bit, in
        Reserve `items` places, which `room` must hold.
    items : unsigned, in
        0 to `most`.
    room : unsigned, out
        Places neither reserved nor filled, a register.
    write : 1 bit, in
        Fill one reserved place with `data`.
    data : unsigned, in
    o : stream, out
    """

    def __init__(self, width: int, depth: int, most: int) -> None:
        self.depth = depth
        super().__init__(
            {
                "reserve": In(1),
                "items": In(range(most + 1)),
                "room": Out(range(depth + 1), init=depth),
                "write": In(1),
                "data": In(width),
                "o": Out(stream.Signature(width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = Memory(shape=self.data.shape(), depth=self.depth, init=[])
        filled = Signal(range(self.depth + 1))
        read = Signal()
        m.d.comb += read.eq((filled != 0) & (~self.o.valid | self.o.ready))
        with m.If(read):
            m.d.sync += self.o.valid.eq(1)
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        m.d.sync += [
            filled.eq(filled + self.write - read),
            self.room.eq(self.room + read - Mux(self.reserve, self.items, 0)),
        ]

        writer, reader = memory.write_port(), memory.read_port()
        m.d.comb += [
            writer.en.eq(self.write),
            writer.data.eq(self.data),
            writer.addr.eq(self._pointer(m, "write_at", self.write)),
            reader.en.eq(read),
            reader.addr.eq(self._pointer(m, "read_at", read)),
            self.o.payload.eq(reader.data),
        ]
        return m

    def _pointer(self, m: Module, name: str, advance: Value) -> Signal:
        """Where the next item goes, or comes from."""
        pointer = Signal(range(self.depth), name=name)
        with m.If(advance):
            m.d.sync += pointer.eq(Mux(pointer == self.depth - 1, 0, pointer + 1))
        return pointer
