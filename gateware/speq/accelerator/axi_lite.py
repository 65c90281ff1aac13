"""AXI4-Lite subordinate: turns bus transactions into accesses of registers."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, Signature

from speq.bus import Response, axi_lite

__all__ = ["AxiLite", "register_access"]

_BYTES = 4
_OFFSET_BITS = 2
"""Bits of an address within a register: ignored, as accesses are of whole registers."""


def register_access(address_bits: int) -> Signature:
    """Accesses of 32-bit registers, from the side that asks.

    Members
    -------
    write : 1 bit
        Write now.
    write_address, write_data, write_mask : unsigned
        Number of the register, its new value and which of its bits to write.
    write_error : 1 bit, back
        There is no such register: nothing is written. Valid in the cycle of `write`.
    read : 1 bit
        Read now.
    read_address : unsigned
        Number of the register.
    read_data, read_error : 32 bits and 1 bit, back
        Valid in the cycle of `read`.
    """
    number = address_bits - _OFFSET_BITS
    return Signature(
        {
            "write": Out(1),
            "write_address": Out(number),
            "write_data": Out(32),
            "write_mask": Out(32),
            "write_error": In(1),
            "read": Out(1),
            "read_address": Out(number),
            "read_data": In(32),
            "read_error": In(1),
        }
    )


class AxiLite(wiring.Component):
    """One read and one write at a time, each independent of the other.

    Address and data of a write may come in any order. The ready signals come from registers.

    Parameters
    ----------
    address_bits : int
        Width of the byte addresses.

    Members
    -------
    bus : AXI4-Lite, in
    access : :func:`register_access`, out
        The same, as accesses of one cycle each.
    hold : 1 bit, in
        Do not answer the last write yet. May rise only in the cycle after it.
    """

    def __init__(self, address_bits: int) -> None:
        super().__init__(
            {
                "bus": In(axi_lite(address_bits)),
                "access": Out(register_access(address_bits)),
                "hold": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._write(m)
        self._read(m)
        return m

    def _write(self, m: Module) -> None:
        bus, access = self.bus, self.access
        addressed = Signal()
        filled = Signal()
        written = Signal()
        failed = Signal()
        strobe = Signal(_BYTES)
        m.d.comb += [
            bus.awready.eq(~addressed),
            bus.wready.eq(~filled),
            access.write.eq(addressed & filled & ~written),
            access.write_mask.eq(Cat(bit.replicate(8) for bit in strobe)),
            bus.bvalid.eq(written & ~self.hold),
            bus.bresp.eq(Mux(failed, Response.SLVERR, Response.OKAY)),
        ]
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [addressed.eq(1), access.write_address.eq(bus.awaddr[_OFFSET_BITS:])]
        with m.If(bus.wvalid & bus.wready):
            m.d.sync += [filled.eq(1), access.write_data.eq(bus.wdata), strobe.eq(bus.wstrb)]
        with m.If(access.write):
            m.d.sync += [written.eq(1), failed.eq(access.write_error)]
        with m.If(bus.bvalid & bus.bready):
            m.d.sync += [addressed.eq(0), filled.eq(0), written.eq(0)]

    def _read(self, m: Module) -> None:
        bus, access = self.bus, self.access
        failed = Signal()
        m.d.comb += [
            bus.arready.eq(~access.read & ~bus.rvalid),
            bus.rresp.eq(Mux(failed, Response.SLVERR, Response.OKAY)),
        ]
        m.d.sync += access.read.eq(bus.arvalid & bus.arready)
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += access.read_address.eq(bus.araddr[_OFFSET_BITS:])
        with m.If(access.read):
            m.d.sync += [
                bus.rvalid.eq(1),
                bus.rdata.eq(access.read_data),
                failed.eq(access.read_error),
            ]
        with m.If(bus.rvalid & bus.rready):
            m.d.sync += bus.rvalid.eq(0)
