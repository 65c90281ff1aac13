"""Fetch: reads the planes of a job from memory, as an AXI4 manager."""

from amaranth.hdl import Cat, Const, Module, Mux, ResetInserter, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, exact_log2

from speq.accelerator.bursts import Bursts
from speq.accelerator.fifo import ReservedFifo
from speq.accelerator.layouts import Plane, fetch_job, planes
from speq.arithmetic import select
from speq.block import Block
from speq.bus import INCREMENTING, Response, axi_read
from speq.parameters import Parameters

__all__ = ["Fetch", "fifo_beats"]

_TURNS = (Plane.DRAFT, Plane.LOW, Plane.MIDDLE, Plane.LOW)
"""VERIFY reads as many beats of the low plane as of the two others together."""

_CACHE = 0b0011
"""ARCACHE: normal memory, neither cached nor shared, and buffers may lie between."""


def fifo_beats(parameters: Parameters, plane: Plane) -> int:
    """AXI beats that a plane's FIFO holds; with them, no plane holds up the others."""
    # MIDDLE takes half of its beats from the middle plane, VERIFY a quarter.
    bursts = {
        Plane.DRAFT: max(parameters.outstanding, 2),
        Plane.MIDDLE: max(parameters.outstanding // 2 + parameters.middles, 2),
        Plane.LOW: max(parameters.outstanding, 4),
    }
    return bursts[plane] * parameters.longest_burst


class Fetch(Block):
    """Reads whole regions, each into a FIFO of its own, all over one bus.

    A burst is asked for when its FIFO has room for all of it, so the bus is never held up. Planes
    take turns: draft, low, middle, low; one without room or with nothing to read is skipped. The
    next job is taken when the last burst of the one before has been asked for.

    Members
    -------
    jobs : stream
        What to read (:func:`speq.accelerator.layouts.fetch_job`).
    axi : AXI4 read manager
        All of its outputs but the constant ones are registers.
    draft, middle, low : streams
        AXI beats of each plane; only `draft` in a design of one plane.
    stop : 1 bit, in
        While high, no job is taken and no burst is asked for, data are dropped, and the FIFOs are
        emptied (offers are withdrawn). It must stay until `drained`: if it falls earlier, nothing
        happens until it has been high and drained.
    drained : 1 bit, out
        Stopped, and no read is offered or under way.
    fault : 1 bit, out
        A beat with SLVERR or DECERR is received. Neither it nor anything after it goes to a FIFO,
        until `stop` and `drained`. Later faults before that are not told, and but for a burst that
        was chosen in this very cycle none is asked for.
    response : Response, out
        That of the faulty beat.
    beat : 1 bit, out
        An AXI beat is received, be it dropped or not.
    """

    stem = "fetch"

    def __init__(self, parameters: Parameters) -> None:
        self.planes = tuple(Plane)[: planes(parameters)]
        ports = {
            "jobs": In(stream.Signature(fetch_job(parameters))),
            "axi": Out(axi_read(parameters.address_bits, parameters.port_bits)),
            "stop": In(1),
            "drained": Out(1),
            "fault": Out(1),
            "response": Out(Response),
            "beat": Out(1),
        }
        beats = {
            plane.name.lower(): Out(stream.Signature(parameters.port_bits)) for plane in self.planes
        }
        super().__init__(parameters, ports | beats)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        axi = self.axi
        closed = Signal()
        running = Signal()
        m.d.comb += running.eq(~self.stop & ~closed)

        bursts = self._bursts(m, running)
        grant = Signal(len(self.planes))
        due = self._due(m, grant, axi.rvalid & axi.rlast)
        may_ask = running & ~axi.arvalid & ~due[-1].any()
        m.d.comb += grant.eq(Mux(may_ask, self._choice(m, bursts, grant), 0))
        self._ask(m, bursts, grant)

        faulty = (axi.rresp == Response.SLVERR) | (axi.rresp == Response.DECERR)
        m.d.comb += [
            axi.rready.eq(1),
            self.beat.eq(axi.rvalid),
            self.fault.eq(axi.rvalid & running & faulty),
            self.response.eq(axi.rresp),
            self.drained.eq(self.stop & ~due[0].any()),
        ]
        receive = axi.rvalid & running & ~faulty
        for number, plane in enumerate(self.planes):
            self._fifo(m, plane, bursts[number], grant[number], receive & due[0][number])
        with m.If(self.drained):
            m.d.sync += closed.eq(0)
        with m.Elif(self.stop | self.fault):
            m.d.sync += closed.eq(1)
        return m

    def _bursts(self, m: Module, running: Value) -> list[Bursts]:
        """Cut the regions of each job into bursts, in all planes at once."""
        made = [
            Bursts(self.parameters, fifo_beats(self.parameters, plane)) for plane in self.planes
        ]
        beat_bits = exact_log2(self.parameters.bus_bytes)
        m.d.comb += self.jobs.ready.eq(running & ~Cat(bursts.busy for bursts in made).any())
        for number, bursts in enumerate(made):
            name = self.planes[number].name.lower()
            m.submodules[f"{name}_bursts"] = ResetInserter(self.stop)(bursts)
            m.d.comb += [
                bursts.load.eq(self.jobs.valid & self.jobs.ready),
                bursts.base.eq(self.jobs.payload.bases[number][beat_bits:]),
                bursts.beats.eq(self.jobs.payload.beats[number]),
            ]
        return made

    def _choice(self, m: Module, bursts: list[Bursts], grant: Value) -> Value:
        """Planes whose burst is next if one is asked for: one, or none, a bit each."""
        if len(self.planes) == 1:
            return bursts[0].valid
        turn = Signal(range(len(_TURNS)))
        chosen = Signal(data.StructLayout({"plane": len(self.planes), "turn": turn.shape()}))
        m.d.comb += chosen.as_value().eq(
            select([self._first_of(bursts, first) for first in range(len(_TURNS))], turn)
        )
        with m.If(self.stop):
            m.d.sync += turn.eq(0)
        with m.Elif(grant.any()):
            m.d.sync += turn.eq(chosen.turn)
        return chosen.plane

    def _first_of(self, bursts: list[Bursts], first: int) -> Value:
        """From turn `first` on, the first plane that offers a burst, and the turn after it."""
        count = len(_TURNS)
        found = Const(0, len(self.planes) + bits_for(count - 1))
        for turn in reversed(range(first, first + count)):
            plane = self.planes.index(_TURNS[turn % count])
            mark = Const(1 << plane, len(self.planes))
            after = Const((turn + 1) % count, bits_for(count - 1))
            found = Mux(bursts[plane].valid, Cat(mark, after), found)
        return found

    def _due(self, m: Module, push: Value, pop: Value) -> list[Signal]:
        """Planes of the bursts asked for and not received, the oldest first; 0 where none is."""
        count = self.parameters.outstanding
        due = [Signal(len(self.planes), name=f"due_{number}") for number in range(count)]
        stay = [Mux(pop, behind, place) for place, behind in zip(due, [*due[1:], 0], strict=True)]
        for number, place in enumerate(due):
            ahead = stay[number - 1].any() if number else 1
            m.d.sync += place.eq(Mux(ahead & ~stay[number].any(), push, stay[number]))
        return due

    def _ask(self, m: Module, bursts: list[Bursts], grant: Value) -> None:
        """Offer the chosen plane's burst on the bus, until it is taken there."""
        axi, beat_bits = self.axi, exact_log2(self.parameters.bus_bytes)
        m.d.comb += [
            axi.arsize.eq(beat_bits),
            axi.arburst.eq(INCREMENTING),
            axi.arcache.eq(_CACHE),
            axi.arprot.eq(0),
        ]
        with m.If(axi.arready):
            m.d.sync += axi.arvalid.eq(0)
        for number, plane in enumerate(bursts):
            m.d.comb += plane.take.eq(grant[number])
            with m.If(grant[number]):
                m.d.sync += [
                    axi.arvalid.eq(1),
                    axi.araddr.eq(plane.address << beat_bits),
                    axi.arlen.eq(plane.length - 1),
                ]

    def _fifo(self, m: Module, plane: Plane, bursts: Bursts, reserve: Value, write: Value) -> None:
        """Hold a plane's beats until they are taken."""
        name = plane.name.lower()
        fifo = ReservedFifo(
            self.parameters.port_bits,
            fifo_beats(self.parameters, plane),
            self.parameters.longest_burst,
        )
        m.submodules[f"{name}_fifo"] = ResetInserter(self.stop)(fifo)
        m.d.comb += [
            fifo.reserve.eq(reserve),
            fifo.items.eq(bursts.length),
            bursts.room.eq(fifo.room),
            fifo.write.eq(write),
            fifo.data.eq(self.axi.rdata),
        ]
        wiring.connect(m, fifo.o, wiring.flipped(getattr(self, name)))
