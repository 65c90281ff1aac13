"""cocotbext-axi on our ports, as a second opinion: its drivers share no code with ours.

Its ``AxiRamRead`` needs ARID and RID, which a port without IDs does not have: :func:`read_bus` ties
them off. ``AxiLiteBus.from_prefix`` and ``AxiStreamBus.from_prefix`` fit as they are. The package
comes with the extra ``dev``; nothing but tests needs it.
"""

from typing import Any

from cocotb.types import LogicArray
from cocotbext.axi import AxiReadBus
from cocotbext.axi.axi_channels import AxiARBus, AxiRBus

__all__ = ["read_bus"]


class _TiedOff:
    """In place of the handle of a signal that the port does not have: 1 bit, 0, drives nothing."""

    value = LogicArray("0")

    def __len__(self) -> int:
        return 1

    def setimmediatevalue(self, value: Any) -> None:
        pass


class _AddressBus(AxiARBus):
    _signals = [name for name in AxiARBus._signals if name != "arid"]
    arid = _TiedOff()


class _DataBus(AxiRBus):
    _signals = [name for name in AxiRBus._signals if name != "rid"]
    rid = _TiedOff()


def read_bus(dut: Any, prefix: str = "m_axi") -> AxiReadBus:
    """Bus of an AXI4 read port without IDs, for ``AxiRamRead`` or ``AxiSlaveRead``."""
    return AxiReadBus.from_channels(
        _AddressBus.from_prefix(dut, prefix), _DataBus.from_prefix(dut, prefix)
    )
