"""On-chip memory for weights: an AXI4 port that reads bursts, and bytes for the host link."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import memory as amaranth_memory
from amaranth.lib.wiring import In, Out, Signature
from amaranth.utils import exact_log2

from speq.block import Block
from speq.boards.settings import BoardSettings
from speq.bus import Response, axi_read
from speq.parameters import Parameters

__all__ = ["BlockMemory", "memory_access"]


def memory_access(memory_bytes: int) -> Signature:
    """Reads and writes of single bytes, from the side that asks.

    Members
    -------
    write, read : 1 bit each
        Do so; at most one of them, and held until `taken`.
    address : unsigned
    data : 8 bits
        Byte to write.
    taken : 1 bit, back
    value : 8 bits, back
        The byte that was read, while `valid`, some cycles after `taken`.
    valid : 1 bit, back
    """
    return Signature(
        {
            "write": Out(1),
            "read": Out(1),
            "address": Out(range(memory_bytes)),
            "data": Out(8),
            "taken": In(1),
            "value": In(8),
            "valid": In(1),
        }
    )


class BlockMemory(Block):
    """A memory with one port, of beats, between an AXI4 manager and the host link.

    Requests, addresses and answers are registered, so that the memory may be spread over the chip.
    A burst gives one beat per cycle, four cycles after its address was taken, and bursts follow
    without a gap; an access of the link takes a cycle of it. Addresses beyond the memory answer
    DECERR.

    Reset ends what is under way and leaves the contents.

    Parameters
    ----------
    parameters : Parameters
        The design point.
    settings : BoardSettings

    Members
    -------
    axi : AXI4, subordinate
        Incrementing bursts of whole beats, as :class:`speq.accelerator.fetch.Fetch` asks for.
    link : :func:`memory_access`, in
    """

    stem = "memory"

    def __init__(self, parameters: Parameters, settings: BoardSettings) -> None:
        self.settings = settings
        super().__init__(
            parameters,
            {
                "axi": In(axi_read(parameters.address_bits, parameters.port_bits)),
                "link": In(memory_access(settings.memory_bytes)),
            },
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beat = exact_log2(self.parameters.bus_bytes)
        depth = self.settings.memory_bytes // self.parameters.bus_bytes
        m.submodules.memory = memory = amaranth_memory.Memory(
            shape=self.parameters.port_bits, depth=depth, init=[]
        )
        axi, link = self.axi, self.link
        advance = Signal()
        m.d.comb += [
            advance.eq(~axi.rvalid | axi.rready),
            link.taken.eq((link.write | link.read) & advance),
        ]

        # The burst at work.
        works, beyond = Signal(), Signal()
        next_beat, left = Signal(range(depth)), Signal(8)
        issue = Signal()
        m.d.comb += [
            issue.eq(works & advance & ~link.write & ~link.read),
            axi.arready.eq(~works | (issue & (left == 0))),
        ]
        with m.If(issue):
            m.d.sync += [next_beat.eq(next_beat + 1), left.eq(left - 1), works.eq(left != 0)]
        with m.If(axi.arvalid & axi.arready):
            m.d.sync += [
                works.eq(1),
                next_beat.eq(axi.araddr[beat:]),
                left.eq(axi.arlen),
                beyond.eq(axi.araddr >> exact_log2(self.settings.memory_bytes) != 0),
            ]

        # Stages: what is asked of the memory, what it gives, and the bus.
        asked, given, shown = (
            {
                name: Signal(width, name=f"{stage}_{name}")
                for name, width in {
                    "axi": 1,
                    "link": 1,
                    "last": 1,
                    "beyond": 1,
                    "lane": self.parameters.bus_bytes.bit_length() - 1,
                }.items()
            }
            for stage in ("asked", "given", "shown")
        )
        place, store, stored = Signal(range(depth)), Signal(), Signal(8)
        with m.If(advance):
            m.d.sync += [
                asked["axi"].eq(issue),
                asked["link"].eq(link.read),
                asked["last"].eq(left == 0),
                asked["beyond"].eq(beyond),
                asked["lane"].eq(link.address[:beat]),
                place.eq(Mux(link.write | link.read, link.address[beat:], next_beat)),
                store.eq(link.write),
                stored.eq(link.data),
            ]
            for later, earlier in ((given, asked), (shown, given)):
                m.d.sync += [later[name].eq(signal) for name, signal in earlier.items()]

        write, read = memory.write_port(granularity=8), memory.read_port()
        m.d.comb += [
            write.addr.eq(place),
            write.data.eq(stored.replicate(self.parameters.bus_bytes)),
            write.en.eq(Mux(store & advance, 1 << asked["lane"], 0)),
            read.addr.eq(place),
            read.en.eq(advance & ~store),
        ]
        with m.If(advance):
            m.d.sync += axi.rdata.eq(read.data)
        m.d.comb += [
            axi.rvalid.eq(shown["axi"]),
            axi.rlast.eq(shown["last"]),
            axi.rresp.eq(Mux(shown["beyond"], Response.DECERR, Response.OKAY)),
            link.valid.eq(shown["link"]),
            link.value.eq(axi.rdata.word_select(shown["lane"], 8)),
        ]
        return m
