"""Two sets of scales: one is read, any number of times, while the next is written."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

__all__ = ["ScaleSets"]


class ScaleSets(wiring.Component):
    """Sets of words, written and read in the same turn.

    A set that is done with may be overwritten from the next cycle on, and one that is complete may
    be read from the next cycle on: sets that are read once each are written and read at a word per
    cycle without a gap.

    Parameters
    ----------
    width : int
        Bits of a word.
    depth : int
        Most words of a set.

    Members
    -------
    i : stream, in
        ``value``, its ``index`` in the set, and ``last`` with the set's last word.
    available : 1 bit, out
        A complete set is there to be read.
    index : unsigned, in
        Which of its words.
    read : 1 bit, in
        Read it at this clock edge; only while `available`.
    done : 1 bit, in
        With `read`: this is the last time that the set is read.
    value : unsigned, out
        The word that was read last.
    """

    def __init__(self, width: int, depth: int) -> None:
        self.depth = depth
        payload = data.StructLayout({"value": width, "index": range(depth), "last": 1})
        super().__init__(
            {
                "i": In(stream.Signature(payload)),
                "available": Out(1),
                "index": In(range(depth)),
                "read": In(1),
                "done": In(1),
                "value": Out(width),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth = (1 << ceil_log2(self.depth)) + self.depth
        m.submodules.memory = memory = Memory(shape=self.value.shape(), depth=depth, init=[])
        complete = Signal(range(3))
        filling, held = Signal(), Signal()
        write, filled, freed = Signal(), Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(complete != 2),
            self.available.eq(complete != 0),
            write.eq(self.i.valid & self.i.ready),
            filled.eq(write & self.i.payload.last),
            freed.eq(self.read & self.done),
        ]
        m.d.sync += [
            complete.eq(complete + filled - freed),
            filling.eq(filling ^ filled),
            held.eq(held ^ freed),
        ]

        writer, reader = memory.write_port(), memory.read_port()
        m.d.comb += [
            writer.en.eq(write),
            writer.addr.eq(Cat(self.i.payload.index, filling)),
            writer.data.eq(self.i.payload.value),
            reader.en.eq(self.read),
            reader.addr.eq(Cat(self.index, held)),
            self.value.eq(reader.data),
        ]
        return m
