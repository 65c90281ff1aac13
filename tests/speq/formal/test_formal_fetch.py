"""Fetch: legal bursts, exact numbers of beats, no FIFO overflows, nothing after a fault or a stop.

Proved for runs of any length (induction), on designs with 4-beat bursts, 2 outstanding and 64 KiB:
for every memory that answers bursts in order with as many beats as were asked for, consumers and
producers of jobs that keep the rules of streams, and any `stop`. Each plane's regions lie in a
quarter of the address space of its own, by which the surroundings know whose burst it is.

That data come out as they went in, in order, is proved for the FIFO in runs of 12 cycles
(bounded, the first of reset; depths 2 and 3, around which the pointers go several times).
"""

import dataclasses
import itertools
import types
from pathlib import Path

import pytest
from amaranth.hdl import Assume, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from amaranth.utils import exact_log2

from speq.accelerator import bursts, fetch, fifo
from speq.accelerator.fetch import fifo_beats
from speq.accelerator.layouts import fetch_job
from speq.block import place
from speq.bus import Response
from speq.parameters import Parameters
from speq.proof import Harness, Verdict, held, prove
from speq_sim.proofs.mutation import mutated_module

BASE = Parameters(
    name="proof",
    rows=4,
    columns=2,
    port_words=2,
    burst_beats=4,
    outstanding=2,
    address_bits=16,
)
"""4 bytes per beat, 1,024 beats between multiples of 4,096 bytes."""

DESIGNS = {"three_planes": BASE, "verify_only": BASE.verify_only().replace(name="proof")}
BEAT_BITS = exact_log2(BASE.bus_bytes)
BOUNDARY = 4096 // BASE.bus_bytes
QUARTER = (1 << BASE.address_bits) // BASE.bus_bytes // 4


@dataclasses.dataclass
class Asked:
    """A burst on its way: whose it is, and its beats to come; 0 where there is none."""

    plane: Signal
    left: Signal


class Surroundings(Harness):
    """A memory, a producer of jobs and consumers; what each plane has to ask for and receives."""

    def __init__(self, parameters: Parameters, module: types.ModuleType = fetch) -> None:
        self.parameters = parameters
        self.block = module.Fetch(parameters)
        self.names = [plane.name.lower() for plane in self.block.planes]
        self.equal: list[tuple[str, str]] = []
        super().__init__(
            {
                "offered": In(1),
                "job": In(fetch_job(parameters).size),
                "stop": In(1),
                "arready": In(1),
                "rvalid": In(1),
                "rdata": In(parameters.port_bits),
                "rresp": In(Response),
                "rlast": In(1),
                "wanted": In(len(self.block.planes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        live = self.begin(m)
        dut = place(m, "fetch", self.block)
        axi, jobs = dut.axi, dut.jobs
        self._assume_jobs(m, dut)
        due = self._memory(m, live, dut)
        closed = self._stopping(m, live, dut, due)
        running = ~self.stop & ~closed

        offered_before = Signal()
        m.d.sync += offered_before.eq(axi.arvalid)
        receives = axi.rvalid & running & (axi.rresp.as_value() < 2)
        finished = []
        for number, name in enumerate(self.names):
            offers = axi.arvalid & (self._owner(axi.araddr) == number)
            asks = offers & ~offered_before
            pending = Mux(offers, axi.arlen + 1, 0)
            for burst in due:
                pending = pending + Mux(burst.plane == number, burst.left, 0)
            into = receives & (due[0].plane == number)
            room = self._fifo(m, live, dut, number, asks, into, pending, closed)
            finished.append(self._requests(m, live, dut, number, asks, room))
            out = getattr(dut, name)
            m.d.comb += out.ready.eq(self.wanted[number])
            self.check(m, live, held(m, out.valid, out.ready | self.stop, out.payload))
        # The next job is taken as soon as all bursts have been asked for.
        self.check(m, live, jobs.ready == (running & Cat(finished).all()))
        return m

    def _owner(self, address: Value) -> Value:
        """The plane whose burst begins there."""
        return address[-2:]

    def _tie(self, m: Module, name: str, below: str, value: Value) -> Signal:
        """A wire of ours that must always equal one of the circuit's."""
        # Kept, or Yosys drops a wire that nothing reads before the proof begins.
        wire = Signal(len(Value.cast(value)), name=name, attrs={"keep": 1})
        m.d.comb += wire.eq(value)
        self.equal.append((name, f"fetch.{below}"))
        return wire

    def _assume_jobs(self, m: Module, dut: wiring.PureInterface) -> None:
        jobs = dut.jobs
        m.d.comb += [
            jobs.valid.eq(self.offered),
            jobs.payload.eq(self.job),
            Assume(held(m, jobs.valid, jobs.ready, self.job)),
        ]
        for number in range(len(self.names)):
            base, beats = jobs.payload.bases[number], jobs.payload.beats[number]
            first = base[BEAT_BITS:] - number * QUARTER
            m.d.comb += [
                Assume((beats == 0) | (self._owner(base) == number)),
                Assume((beats == 0) | (first + beats <= QUARTER)),
            ]

    def _memory(self, m: Module, live: Value, dut: wiring.PureInterface) -> list[Asked]:
        """Take requests and answer them in order; returns the bursts to be answered."""
        axi, count = dut.axi, self.parameters.outstanding
        due = [
            Asked(Signal(2, name=f"plane_{n}"), Signal(range(5), name=f"left_{n}"))
            for n in range(count)
        ]
        m.d.comb += [
            axi.arready.eq(self.arready),
            axi.rvalid.eq(self.rvalid),
            axi.rdata.eq(self.rdata),
            axi.rresp.eq(self.rresp),
            axi.rlast.eq(self.rlast),
            Assume(~axi.rvalid | (due[0].left != 0)),
            Assume(~axi.rvalid | (axi.rlast == (due[0].left == 1))),
        ]
        pop, accepted = axi.rvalid & axi.rlast, axi.arvalid & axi.arready
        behind = [*due[1:], Asked(Const(0, 2), Const(0, 3))]
        free = Const(1)
        for number, burst in enumerate(due):
            left = Mux(pop, behind[number].left, burst.left - (axi.rvalid if number == 0 else 0))
            plane = Mux(pop, behind[number].plane, burst.plane)
            push = accepted & free & (left == 0)
            m.d.sync += [
                burst.left.eq(Mux(push, axi.arlen + 1, left)),
                burst.plane.eq(Mux(push, self._owner(axi.araddr), plane)),
            ]
            free = free & (left != 0)
            # What the circuit remembers: these bursts, and behind them the one that it offers.
            ahead = due[number - 1].left != 0 if number else 1
            offered = ahead & (burst.left == 0) & axi.arvalid
            owner = Mux(offered, self._owner(axi.araddr), burst.plane)
            mark = Cat(owner == plane for plane in range(len(self.names)))
            self._tie(
                m, f"route_{number}", f"due_{number}", Mux((burst.left != 0) | offered, mark, 0)
            )

        address, beats = axi.araddr[BEAT_BITS:], axi.arlen + 1
        self.check(
            m,
            live,
            held(m, axi.arvalid, axi.arready, Cat(axi.araddr, axi.arlen)),
            ~axi.arvalid | (axi.araddr[:BEAT_BITS] == 0),
            ~axi.arvalid | (beats <= self.parameters.longest_burst),
            ~axi.arvalid | (self._owner(axi.araddr) < len(self.names)),
            ~axi.arvalid | (address % BOUNDARY + beats <= BOUNDARY),
            # With the one on offer there are never more than may be outstanding.
            ~axi.arvalid | (due[-1].left == 0),
            axi.rready,
        )
        for ahead, after in itertools.pairwise(due):
            self.check(m, live, (after.left == 0) | (ahead.left != 0))
        for burst in due:
            self.check(
                m,
                live,
                burst.left <= self.parameters.longest_burst,
                (burst.left == 0) | (burst.plane < len(self.names)),
            )
        return due

    def _stopping(
        self, m: Module, live: Value, dut: wiring.PureInterface, due: list[Asked]
    ) -> Value:
        """Check what is said of faults and stops; returns whether a stop must come or go on."""
        axi = dut.axi
        closed, shut_before, offered_before = Signal(name="shut"), Signal(), Signal()
        idle = (due[0].left == 0) & ~axi.arvalid
        running = ~self.stop & ~closed
        fault = axi.rvalid & running & (axi.rresp.as_value() >= 2)
        m.d.comb += dut.stop.eq(self.stop)
        with m.If(self.stop & idle):
            m.d.sync += closed.eq(0)
        with m.Elif(self.stop | fault):
            m.d.sync += closed.eq(1)
        m.d.sync += [shut_before.eq(~running), offered_before.eq(axi.arvalid)]
        self.equal.append(("shut", "fetch.closed"))
        self.check(
            m,
            live,
            dut.drained == (self.stop & idle),
            dut.fault == fault,
            ~dut.fault | (dut.response.as_value() == axi.rresp.as_value()),
            dut.beat == axi.rvalid,
            # No burst is chosen while stopped, or after the cycle of a fault.
            ~(axi.arvalid & ~offered_before & shut_before),
            ~dut.jobs.ready | running,
        )
        return closed

    def _fifo(
        self,
        m: Module,
        live: Value,
        dut: wiring.PureInterface,
        number: int,
        asks: Value,
        receives: Value,
        pending: Value,
        closed: Value,
    ) -> Value:
        """Follow a plane's beats; returns the room in its FIFO."""
        name = self.names[number]
        depth = fifo_beats(self.parameters, self.block.planes[number])
        out = getattr(dut, name)
        before = Signal(range(depth + 1), name=f"{name}_room_before", init=depth)
        filled = Signal(range(depth + 1), name=f"{name}_filled")
        offered, had = Signal(name=f"{name}_offered"), Signal(range(depth + 2), name=f"{name}_had")
        reserved = Mux(asks, dut.axi.arlen + 1, 0)
        room = self._tie(m, f"{name}_room", f"{name}_fifo.room", (before - reserved)[: len(before)])
        self.equal.append((f"{name}_filled", f"fetch.{name}_fifo.filled"))
        read = (filled != 0) & (~offered | out.ready)
        with m.If(self.stop):
            m.d.sync += [before.eq(depth), filled.eq(0), offered.eq(0), had.eq(0)]
        with m.Else():
            m.d.sync += [
                before.eq(room + read),
                filled.eq(filled + receives - read),
                had.eq(had + receives - (out.valid & out.ready)),
                offered.eq(Mux(read, 1, offered & ~out.ready)),
            ]
        self.check(
            m,
            live,
            # No beat comes without a place for it.
            room + filled <= depth,
            closed | (room + pending + filled == depth),
            # Each beat received is given once; as `offered` is a register, valid cannot follow
            # ready within a cycle.
            out.valid == offered,
            had == filled + offered,
        )
        return room

    def _requests(
        self,
        m: Module,
        live: Value,
        dut: wiring.PureInterface,
        number: int,
        asks: Value,
        room: Value,
    ) -> Value:
        """Follow a plane's requests, one cycle behind; returns whether all have been made."""
        name = self.names[number]
        below = f"{name}_bursts"
        longest = self.parameters.longest_burst
        base, beats = dut.jobs.payload.bases[number], dut.jobs.payload.beats[number]
        address = base[BEAT_BITS:]
        at, left = Signal(len(address), name=f"{name}_at"), Signal(len(beats), name=f"{name}_left")
        length = Mux(asks, dut.axi.arlen + 1, 0)
        at_now = self._tie(m, f"{name}_at_now", f"{below}.address", (at + length)[: len(at)])
        left_now = self._tie(m, f"{name}_left_now", f"{below}.left", (left - length)[: len(left)])
        busy = self._tie(m, f"{name}_busy", f"{below}.busy", left_now != 0)
        with m.If(self.stop):
            m.d.sync += [at.eq(0), left.eq(0)]
        with m.Elif(dut.jobs.valid & dut.jobs.ready):
            m.d.sync += [at.eq(address), left.eq(beats)]
        with m.Else():
            m.d.sync += [at.eq(at_now), left.eq(left_now)]

        def longest_at(at: Value, left: Value) -> Value:
            inside = Mux(BOUNDARY - at % BOUNDARY < longest, BOUNDARY - at % BOUNDARY, longest)
            return Mux(left < inside, left, inside)

        first = number * QUARTER
        self.check(
            m,
            live,
            # Every burst is the next one, and as long as can be.
            ~asks | (dut.axi.araddr[BEAT_BITS:] == at),
            ~asks | (length == longest_at(at, left)),
            ~asks | (left != 0),
            (left_now == 0) | (at_now >= first) & (at_now + left_now <= first + QUARTER),
        )

        # The steps of preparing a burst.
        was_busy, may_offer = Signal(name=f"{name}_was_busy"), Signal(name=f"{name}_may_offer")
        prepared = self._tie(m, f"{name}_prepared", f"{below}.prepared", was_busy & ~asks)
        self._tie(m, f"{name}_valid", f"{below}.valid", may_offer & ~asks)
        next_length = Signal(range(longest + 1), name=f"{name}_length")
        final = Signal(name=f"{name}_final")
        self.equal += [
            (f"{name}_length", f"fetch.{below}.length"),
            (f"{name}_final", f"fetch.{below}.final"),
        ]
        m.d.sync += [was_busy.eq(busy), may_offer.eq(prepared & (next_length <= room))]
        with m.If(~prepared):
            m.d.sync += [
                next_length.eq(longest_at(at_now, left_now)),
                final.eq(left_now == longest_at(at_now, left_now)),
            ]
        with m.If(self.stop):
            m.d.sync += [was_busy.eq(0), may_offer.eq(0), next_length.eq(0), final.eq(0)]
        self.check(
            m,
            live,
            ~prepared | busy & (next_length == longest_at(at_now, left_now)),
            ~prepared | (final == (left_now == next_length)),
            ~(may_offer & ~asks) | prepared & (next_length <= room),
        )
        return left_now == 0


class FifoSurroundings(Harness):
    """A producer that reserves places and fills them with numbered items, and a consumer."""

    def __init__(self, depth: int, module: types.ModuleType = fifo) -> None:
        self.fifo = module.ReservedFifo(4, depth, 2)
        super().__init__({"reserve": In(1), "items": In(2), "write": In(1), "wanted": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        live = self.begin(m)
        m.submodules.fifo = dut = self.fifo
        reserved = Signal(range(self.fifo.depth + 1))
        sent = Signal(4)
        received = Signal(4)
        m.d.comb += [
            dut.reserve.eq(self.reserve),
            dut.items.eq(self.items),
            dut.write.eq(self.write),
            dut.data.eq(sent),
            dut.o.ready.eq(self.wanted),
            Assume(~dut.reserve | (dut.items <= dut.room)),
            Assume(~dut.write | (reserved != 0)),
        ]
        m.d.sync += [
            reserved.eq(reserved + Mux(dut.reserve, dut.items, 0) - dut.write),
            sent.eq(sent + dut.write),
            received.eq(received + (dut.o.valid & dut.o.ready)),
        ]
        self.check(
            m,
            live,
            ~dut.o.valid | (sent != received),
            ~dut.o.valid | (dut.o.payload == received),
            held(m, dut.o.valid, dut.o.ready, dut.o.payload),
        )
        return m


def _prove(surroundings: Surroundings, folder: Path) -> Verdict:
    return prove(surroundings, folder, [surroundings.block], equal=surroundings.equal)


def _refuted(surroundings: Surroundings, folder: Path) -> bool:
    """Whether a run of 14 cycles breaks an assertion."""
    blocks = [surroundings.block]
    return prove(surroundings, folder, blocks, bound=14, equal=surroundings.equal).refuted


def _prove_order(depth: int, folder: Path, module: types.ModuleType = fifo) -> Verdict:
    return prove(FifoSurroundings(depth, module), folder, bound=12)


@pytest.mark.parametrize("name", DESIGNS)
def test_fetch(name: str, tmp_path: Path) -> None:
    assert _prove(Surroundings(DESIGNS[name]), tmp_path).proved


@pytest.mark.parametrize("depth", [2, 3])
def test_a_fifo_keeps_the_order(depth: int, tmp_path: Path) -> None:
    assert _prove_order(depth, tmp_path).proved


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("verify_only", "with m.If(axi.arready):", "with m.If(1):"),
        ("verify_only", "running & ~axi.arvalid & ~due", "running & ~due"),
        pytest.param("verify_only", "& ~due[-1].any()", "", marks=pytest.mark.slow),
        ("verify_only", "axi.rvalid & running & ~faulty", "axi.rvalid & running"),
        ("verify_only", "axi.rvalid & running & ~faulty", "axi.rvalid & ~self.stop & ~faulty"),
        ("verify_only", "self.stop | self.fault", "self.stop"),
        ("verify_only", "self.stop & ~due[0].any()", "self.stop & ~axi.arvalid"),
        ("three_planes", "Cat(bursts.busy for bursts in made).any()", "made[0].busy"),
    ],
)
def test_the_proof_refutes_faults(name: str, old: str, new: str, tmp_path: Path) -> None:
    faulty = mutated_module("speq.accelerator.fetch", old, new)
    assert _refuted(Surroundings(DESIGNS[name], faulty), tmp_path)


@pytest.mark.parametrize(
    ("module", "part", "old", "new"),
    [
        (bursts, "Bursts", "within >= self.boundary - self.longest", "0"),
        pytest.param(
            *(bursts, "Bursts", "self.length <= self.room", "self.length <= self.room + 1"),
            marks=pytest.mark.slow,
        ),
        (bursts, "Bursts", "final.eq(left <= limit)", "final.eq(left < limit)"),
        pytest.param(
            *(fifo, "ReservedFifo", "(~self.o.valid | self.o.ready)", "1"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_proof_refutes_faults_of_the_parts(
    module: types.ModuleType,
    part: str,
    old: str,
    new: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    faulty = mutated_module(module.__name__, old, new)
    monkeypatch.setattr(fetch, part, getattr(faulty, part))
    assert _refuted(Surroundings(DESIGNS["verify_only"]), tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("pointer == self.depth - 1", "pointer == self.depth"),
        ("(~self.o.valid | self.o.ready)", "1"),
        ("(filled != 0) &", ""),
        ("Mux(self.reserve, self.items, 0)", "self.reserve"),
    ],
)
def test_the_proof_of_order_refutes_faults(old: str, new: str, tmp_path: Path) -> None:
    faulty = mutated_module("speq.accelerator.fifo", old, new)
    assert _prove_order(3, tmp_path, faulty).refuted
