"""The stream register keeps the rules and loses nothing: proved for runs of any length."""

from pathlib import Path

import pytest
from amaranth.hdl import Assume, Module, Signal
from amaranth.lib.wiring import In

from speq.proof import Harness, held, prove
from speq.streams import StreamRegister
from speq_sim.proofs.mutation import mutated_module

BITS = 4


class Surroundings(Harness):
    """A producer that numbers its items, and a consumer that counts them."""

    def __init__(self, register: StreamRegister) -> None:
        self.register = register
        super().__init__({"offered": In(1), "item": In(BITS), "wanted": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        live = self.begin(m)
        m.submodules.register = register = self.register
        i, o = register.i, register.o
        sent, received = Signal(BITS), Signal(BITS)
        m.d.comb += [
            i.valid.eq(self.offered),
            i.payload.eq(self.item),
            o.ready.eq(self.wanted),
            Assume(held(m, i.valid, i.ready, i.payload)),
            Assume(~i.valid | (i.payload == sent)),
        ]
        with m.If(i.valid & i.ready):
            m.d.sync += sent.eq(sent + 1)
        with m.If(o.valid & o.ready):
            m.d.sync += received.eq(received + 1)
        self.check(
            m,
            live,
            held(m, o.valid, o.ready, o.payload),
            # Nothing is lost, doubled or changes places; and since these counts are registers,
            # valid cannot follow ready within a cycle.
            o.valid == (sent != received),
            (sent == received) | ((sent - received)[:BITS] == 1),
            ~o.valid | (o.payload == received),
            # Full throughput, and the stages outside move with the transfer.
            i.ready == (~o.valid | o.ready),
            register.take == (i.valid & i.ready),
        )
        return m


def test_stream_register_keeps_the_rules(tmp_path: Path) -> None:
    assert prove(Surroundings(StreamRegister(BITS)), tmp_path).proved


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("self.i.ready.eq(~self.o.valid | self.o.ready)", "self.i.ready.eq(1)"),
        ("self.i.ready.eq(~self.o.valid | self.o.ready)", "self.i.ready.eq(~self.o.valid)"),
        ("with m.If(self.take):", "with m.If(self.i.valid):"),
        ("with m.If(self.take):", "with m.If(self.o.ready):"),
        ("self.o.valid.eq(self.i.valid)", "self.o.valid.eq(1)"),
        ("with m.If(self.i.ready):", "with m.If(self.i.valid):"),
        ("self.take.eq(self.i.valid & self.i.ready)", "self.take.eq(self.i.valid)"),
        ("self.o.payload.eq(payload)", "self.o.payload.eq(self.i.payload)"),
    ],
)
def test_the_proof_refutes_faults(old: str, new: str, tmp_path: Path) -> None:
    faulty = mutated_module("speq.streams", old, new)
    assert prove(Surroundings(faulty.StreamRegister(BITS)), tmp_path).refuted
