"""AMBA buses: signatures of the AXI4, AXI4-Lite and AXI4-Stream ports of the accelerator.

Members have the names of the standard (AMBA AXI and ACE, ARM IHI 0022; AMBA AXI-Stream, ARM IHI
0051), seen from the manager or transmitter. Only what the accelerator uses is there: reads without
IDs, so answers come in order; full-width incrementing bursts; whole beats, so no TKEEP.
"""

from amaranth.hdl import unsigned
from amaranth.lib import enum
from amaranth.lib.wiring import In, Out, Signature

__all__ = ["INCREMENTING", "Response", "axi_lite", "axi_read", "axi_stream", "flat"]

INCREMENTING = 0b01
"""ARBURST of bursts with ascending addresses."""


class Response(enum.Enum, shape=2):
    """RRESP and BRESP."""

    OKAY = 0
    EXOKAY = 1
    SLVERR = 2
    DECERR = 3


def axi_read(address_bits: int, data_bits: int) -> Signature:
    """The read channels of AXI4, from the manager that reads."""
    return Signature(
        {
            "araddr": Out(address_bits),
            "arlen": Out(8),
            "arsize": Out(3),
            "arburst": Out(2),
            "arcache": Out(4),
            "arprot": Out(3),
            "arvalid": Out(1),
            "arready": In(1),
            "rdata": In(data_bits),
            "rresp": In(Response),
            "rlast": In(1),
            "rvalid": In(1),
            "rready": Out(1),
        }
    )


def axi_lite(address_bits: int) -> Signature:
    """AXI4-Lite with 32 data bits, from the manager that reads and writes registers."""
    return Signature(
        {
            "awaddr": Out(address_bits),
            "awprot": Out(3),
            "awvalid": Out(1),
            "awready": In(1),
            "wdata": Out(32),
            "wstrb": Out(4),
            "wvalid": Out(1),
            "wready": In(1),
            "bresp": In(Response),
            "bvalid": In(1),
            "bready": Out(1),
            "araddr": Out(address_bits),
            "arprot": Out(3),
            "arvalid": Out(1),
            "arready": In(1),
            "rdata": In(32),
            "rresp": In(Response),
            "rvalid": In(1),
            "rready": Out(1),
        }
    )


def axi_stream(data_bits: int, user_bits: int = 0) -> Signature:
    """AXI4-Stream, from the transmitter."""
    members = {
        "tdata": Out(data_bits),
        "tlast": Out(1),
        "tvalid": Out(1),
        "tready": In(1),
    }
    if user_bits:
        members["tuser"] = Out(unsigned(user_bits))
    return Signature(members)


def flat(prefix: str, signature: Signature) -> dict[str, object]:
    """Members of a bus as ports of their own: ``<prefix>_<member>``, as tools expect them."""
    return {f"{prefix}_{name}": member for name, member in signature.members.items()}
