"""The gates: the buses' promises are kept through any stop, and packets pass whole or not at all.

Proved for runs of any length.
"""

import types
from pathlib import Path

import pytest
from amaranth.hdl import Assume, Cat, Module, Mux, Signal
from amaranth.lib.wiring import In

from speq.accelerator import gates
from speq.block import place
from speq.parameters import Parameters
from speq.proof import Harness, held, prove
from speq_sim.proofs.mutation import mutated_module

DESIGN = Parameters(name="proof", rows=1, columns=1, port_words=1, modes=("verify",))
BITS = DESIGN.port_bits


class Activations(Harness):
    """A transmitter that keeps the rules, anything at the other ports, and what is due."""

    def __init__(self, module: types.ModuleType = gates) -> None:
        self.block = module.ActivationGate(DESIGN)
        super().__init__(
            {"offered": In(1), "beat": In(BITS), "last": In(1), "wanted": In(1), "stop": In(1)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        live = self.begin(m)
        dut = place(m, "gate", self.block)
        bus, packets = dut.bus, dut.packets
        m.d.comb += [
            bus.tvalid.eq(self.offered),
            bus.tdata.eq(self.beat),
            bus.tlast.eq(self.last),
            packets.ready.eq(self.wanted),
            dut.stop.eq(self.stop),
            Assume(held(m, bus.tvalid, bus.tready, Cat(bus.tdata, bus.tlast))),
        ]
        taken = bus.tvalid & bus.tready
        # Part of a packet was taken; some of it before or during a stop, so it must not go on; and
        # part of a packet was given since the last stop.
        part, lost, given = Signal(name="part"), Signal(name="lost"), Signal(name="given")
        with m.If(taken & bus.tlast):
            m.d.sync += [part.eq(0), lost.eq(0)]
        with m.Elif(taken | part):
            m.d.sync += [part.eq(1), lost.eq(lost | self.stop)]
        with m.If(self.stop):
            m.d.sync += given.eq(0)
        with m.Elif(packets.valid & packets.ready):
            m.d.sync += given.eq(~packets.payload.last)
        passes = Signal()
        m.d.comb += passes.eq(~self.stop & ~lost)
        offer = Cat(packets.valid, packets.payload)
        before, waited = Signal.like(offer), Signal()
        m.d.sync += [before.eq(offer), waited.eq(packets.valid & ~packets.ready)]
        self.check(
            m,
            live,
            packets.valid == (passes & bus.tvalid),
            bus.tready == Mux(passes, packets.ready, 1),
            packets.payload.data == bus.tdata,
            packets.payload.last == bus.tlast,
            # The taker has whole packets, but for one that a stop cuts off.
            given == (part & ~lost),
            # An offer is withdrawn by a stop only.
            ~waited | self.stop | (offer == before),
            ~lost | part,
        )
        return m


class Results(Harness):
    """Anything at the inputs: even packets that break the rules, and stops of any length."""

    def __init__(self, module: types.ModuleType = gates) -> None:
        self.block = module.ResultGate(DESIGN)
        super().__init__(
            {"offered": In(1), "beat": In(BITS), "last": In(1), "wanted": In(1), "stop": In(1)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        live = self.begin(m)
        dut = place(m, "gate", self.block)
        bus, packets = dut.bus, dut.packets
        m.d.comb += [
            packets.valid.eq(self.offered),
            packets.payload.data.eq(self.beat),
            packets.payload.last.eq(self.last),
            bus.tready.eq(self.wanted),
            dut.stop.eq(self.stop),
        ]
        sent = bus.tvalid & bus.tready
        take = packets.valid & packets.ready
        payload = Cat(bus.tdata, bus.tlast, bus.tuser)
        # What was taken and not yet sent; whether the packet on the bus is open; how long the bus
        # has been ready during a stop.
        there, due = Signal(name="there"), Signal(BITS + 1, name="due")
        open_, eager = Signal(name="bus_open"), Signal(range(3), name="eager")
        stopped = Signal(name="stopped_before")
        fresh = Signal(name="fresh")
        m.d.sync += [
            stopped.eq(self.stop),
            fresh.eq(~bus.tvalid | bus.tready),
            eager.eq(Mux(self.stop & bus.tready, Mux(eager == 2, 2, eager + 1), 0)),
        ]
        with m.If(sent):
            m.d.sync += [there.eq(0), open_.eq(~bus.tlast)]
        with m.If(take):
            m.d.sync += [there.eq(1), due.eq(Cat(self.beat, self.last))]
        ours = bus.tvalid & ~bus.tuser
        closing = bus.tvalid & bus.tuser
        self.check(
            m,
            live,
            held(m, bus.tvalid, bus.tready, payload),
            # Every beat that is taken is offered next, as it came; nothing else but closing beats.
            ours == there,
            ~ours | (payload == due),
            ~closing | ((bus.tdata == 0) & bus.tlast & open_),
            ~closing | ~fresh | stopped,
            packets.ready == (~self.stop & (~bus.tvalid | bus.tready)),
            dut.done == (sent & bus.tlast & ~bus.tuser),
            dut.closed == (self.stop & ~bus.tvalid & ~open_),
            # Two beats at most stand between a stop and its end.
            (eager < 2) | ~self.stop | dut.closed,
        )
        return m


TIES = {Activations: [("part", "gate.begun"), ("lost", "gate.lost")], Results: []}
"""Registers of each gate that stand for those of its surroundings."""

BOUND = 7
"""Cycles within which a fault must show."""


@pytest.mark.parametrize("surroundings", [Activations, Results])
def test_gate(surroundings: type, tmp_path: Path) -> None:
    harness = surroundings()
    assert prove(harness, tmp_path, [harness.block], equal=TIES[surroundings]).proved


@pytest.mark.parametrize(
    ("surroundings", "old", "new"),
    [
        (Activations, "swallow.eq(self.stop | lost)", "swallow.eq(self.stop)"),
        (Activations, "swallow.eq(self.stop | lost)", "swallow.eq(lost)"),
        (Activations, "Mux(taken, ~self.bus.tlast, begun)", "Mux(taken, 1, begun)"),
        (Activations, "Mux(taken, ~self.bus.tlast, begun)", "taken & ~self.bus.tlast"),
        (Activations, "self.bus.tready.eq(swallow | ", "self.bus.tready.eq("),
        (Activations, "self.bus.tvalid & ~swallow", "self.bus.tvalid"),
        (Activations, "lost.eq(swallow & begins)", "lost.eq(self.stop & begins)"),
        (Activations, "lost.eq(swallow & begins)", "lost.eq(swallow)"),
        (Activations, "payload.last.eq(self.bus.tlast)", "payload.last.eq(0)"),
        (Results, "beat.i.ready & ~self.stop", "beat.i.ready"),
        (Results, "Mux(self.stop, begun, self.packets.valid)", "self.packets.valid"),
        (Results, "Mux(self.stop, begun, self.packets.valid)", "self.stop | self.packets.valid"),
        (Results, "Mux(self.stop, 0, packet.data)", "packet.data"),
        (Results, "self.stop | packet.last", "packet.last"),
        (Results, "payload.user.eq(self.stop)", "payload.user.eq(0)"),
        (Results, "& ~beat.o.valid & ~begun", "& ~beat.o.valid"),
        (Results, "& ~beat.o.valid & ~begun", "& ~begun"),
        (Results, " & ~beat.o.payload.user", ""),
        (Results, "begun.eq(~beat.i.payload.last)", "begun.eq(~packet.last)"),
        (Results, "with m.If(beat.take):", "with m.If(self.packets.valid):"),
    ],
)
def test_the_proof_refutes_faults(surroundings: type, old: str, new: str, tmp_path: Path) -> None:
    faulty = mutated_module("speq.accelerator.gates", old, new)
    harness = surroundings(faulty)
    assert prove(harness, tmp_path, [harness.block], bound=BOUND).refuted
