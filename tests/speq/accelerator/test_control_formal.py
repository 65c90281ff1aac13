"""The AXI4-Lite port keeps the handshake rules and answers each request once.

Proved for runs of any length, for any manager, any registers behind it and any time of holding.
"""

from pathlib import Path

import pytest
from amaranth.hdl import Assume, Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import In

from speq.accelerator import axi_lite
from speq.bus import Response
from speq.proof import Harness, held, prove
from speq_sim.proofs.mutation import mutated_module

ADDRESS_BITS = 4


class Surroundings(Harness):
    """A manager that keeps nothing but the rules, and counts of what it asked and was told."""

    def __init__(self, module=axi_lite):
        self.port = module.AxiLite(ADDRESS_BITS)
        inputs = {"awvalid": 1, "wvalid": 1, "arvalid": 1, "bready": 1, "rready": 1, "wdata": 32}
        inputs |= {"wstrb": 4, "awaddr": ADDRESS_BITS, "araddr": ADDRESS_BITS, "read_data": 32}
        inputs |= {"write_error": 1, "read_error": 1, "hold": 1}
        super().__init__({name: In(bits) for name, bits in inputs.items()})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        live = self.begin(m)
        m.submodules.port = port = self.port
        bus, access = port.bus, port.access
        for name in ("awvalid", "wvalid", "arvalid", "bready", "rready"):
            m.d.comb += getattr(bus, name).eq(getattr(self, name))
        for name in ("wdata", "wstrb", "awaddr", "araddr"):
            m.d.comb += getattr(bus, name).eq(getattr(self, name))
        for name in ("write_error", "read_error", "read_data"):
            m.d.comb += getattr(access, name).eq(getattr(self, name))
        m.d.comb += port.hold.eq(self.hold)

        wrote = Signal()
        held_before = Signal()
        m.d.sync += [wrote.eq(access.write), held_before.eq(self.hold)]
        m.d.comb += Assume(~self.hold | wrote | held_before)
        self._check_writes(m, live, bus, access)
        self._check_reads(m, live, bus, access)
        return m

    def _check_writes(self, m: Module, live: Signal, bus: object, access: object) -> None:
        addressed = Signal()
        filled = Signal()
        written = Signal()
        failed = Signal()
        address = Signal(ADDRESS_BITS)
        word = Signal(32)
        strobe = Signal(4)
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [addressed.eq(1), address.eq(bus.awaddr)]
        with m.If(bus.wvalid & bus.wready):
            m.d.sync += [filled.eq(1), word.eq(bus.wdata), strobe.eq(bus.wstrb)]
        with m.If(access.write):
            m.d.sync += [written.eq(1), failed.eq(self.write_error)]
        with m.If(bus.bvalid & bus.bready):
            m.d.sync += [addressed.eq(0), filled.eq(0), written.eq(0)]
        response = Value.cast(bus.bresp)
        wanted = Mux(failed, Response.SLVERR, Response.OKAY)
        self.check(
            m,
            live,
            held(m, bus.bvalid, bus.bready, bus.bresp),
            # The answer comes after both parts were taken and the write was done, once, and says
            # how it went; while one is due no further write is taken.
            access.write == (addressed & filled & ~written),
            bus.bvalid == (written & ~self.hold),
            ~bus.awready | ~addressed,
            ~bus.wready | ~filled,
            bus.awready | addressed,
            bus.wready | filled,
            ~written | (response == wanted),
            ~addressed | (access.write_address == address[2:]),
            ~filled | (access.write_data == word),
            ~filled | (access.write_mask == Cat(bit.replicate(8) for bit in strobe)),
            ~written | (addressed & filled),
        )

    def _check_reads(self, m: Module, live: Signal, bus: object, access: object) -> None:
        asked = Signal()
        done = Signal()
        failed = Signal()
        address = Signal(ADDRESS_BITS)
        word = Signal(32)
        with m.If(bus.rvalid & bus.rready):
            m.d.sync += done.eq(0)
        with m.If(access.read):
            m.d.sync += [asked.eq(0), done.eq(1), word.eq(self.read_data)]
            m.d.sync += failed.eq(self.read_error)
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += [asked.eq(1), address.eq(bus.araddr)]
        self.check(
            m,
            live,
            held(m, bus.rvalid, bus.rready, Cat(bus.rresp, bus.rdata)),
            access.read == asked,
            bus.rvalid == done,
            bus.arready == (~asked & ~done),
            ~asked | (access.read_address == address[2:]),
            ~bus.rvalid | (bus.rdata == word),
            ~bus.rvalid | (Value.cast(bus.rresp) == Mux(failed, Response.SLVERR, Response.OKAY)),
        )


def test_the_port(tmp_path: Path) -> None:
    assert prove(Surroundings(), tmp_path, equal=[("written", "port.written")]).proved


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("bus.awready.eq(~addressed)", "bus.awready.eq(1)"),
        ("bus.wready.eq(~filled)", "bus.wready.eq(~filled & addressed)"),
        ("access.write.eq(addressed & filled & ~written)", "access.write.eq(addressed & filled)"),
        ("access.write.eq(addressed & filled & ~written)", "access.write.eq(addressed & ~written)"),
        ("bus.bvalid.eq(written & ~self.hold)", "bus.bvalid.eq(written)"),
        ("failed.eq(access.write_error)", "failed.eq(0)"),
        ("[addressed.eq(0), filled.eq(0), written.eq(0)]", "[filled.eq(0), written.eq(0)]"),
        ("bus.arready.eq(~access.read & ~bus.rvalid)", "bus.arready.eq(~bus.rvalid)"),
        ("with m.If(bus.rvalid & bus.rready):", "with m.If(bus.rready):"),
        ("failed.eq(access.read_error)", "failed.eq(0)"),
        ("bit.replicate(8) for bit in strobe", "strobe[0].replicate(8) for bit in strobe"),
    ],
)
def test_the_proof_refutes_faults(old: str, new: str, tmp_path: Path) -> None:
    faulty = mutated_module("speq.accelerator.axi_lite", old, new)
    assert prove(Surroundings(faulty), tmp_path).refuted
