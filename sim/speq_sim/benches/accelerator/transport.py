"""The host library's transport into a simulation."""

from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.task import resume
from cocotb.triggers import ClockCycles, RisingEdge

from speq_sim.benches.axi import (
    AxiLiteMaster,
    AxiMemory,
    AxiStreamMonitor,
    AxiStreamSink,
    AxiStreamSource,
    Response,
)
from speq_sim.host import Packet

__all__ = ["SimulationTransport"]

PATIENCE = 1000
"""Cycles without a packet after which :meth:`SimulationTransport.receive` gives up, by default."""

DEADLOCK = 20_000
"""Cycles of waiting for a packet, without a transfer on any bus, that no plan has."""

PERIOD_NS = 2


class SimulationTransport:
    """Bus models on every port of an accelerator, behind the blocking calls of a transport.

    The calls are for a thread that cocotb bridges to; simulated time passes only within them.

    Parameters
    ----------
    dut : handle
        The emitted accelerator.
    patience : int
        Cycles without a packet after which :meth:`receive` gives up.

    Attributes
    ----------
    memory, registers, source, sink
        The models, for a bench that wants to disturb them.
    """

    def __init__(self, dut: Any, patience: int = PATIENCE) -> None:
        self.dut = dut
        self.patience = patience
        self.regions: dict[int, bytes] = {}
        self.memory = AxiMemory(dut, "m_axi")
        self.registers = AxiLiteMaster(dut, "s_axi")
        self.source = AxiStreamSource(dut, "s_axis")
        self.source_monitor = AxiStreamMonitor(dut, "s_axis")
        self.sink = AxiStreamSink(dut, "m_axis")
        self._taken = 0
        self._idle = 0
        self._traffic = (0, 0, 0)

    async def start(self) -> None:
        """Run the clock, and reset the unit."""
        cocotb.start_soon(Clock(self.dut.aclk, PERIOD_NS, "ns").start())
        await self.reset()

    async def reset(self) -> None:
        """Reset the unit and the models; packets that were not received are dropped."""
        self.dut.aresetn.value = 0
        await ClockCycles(self.dut.aclk, 3)
        self.dut.aresetn.value = 1
        await RisingEdge(self.dut.aclk)
        self._taken = len(self.sink.packets)

    @resume
    async def read(self, offset: int) -> int:
        """Value of a register."""
        value, response = await self.registers.read(offset)
        assert response == Response.OKAY, f"read of register {offset:#x} answered {response.name}"
        return value

    @resume
    async def write(self, offset: int, value: int) -> None:
        """Set a register."""
        response = await self.registers.write(offset, value)
        assert response == Response.OKAY, f"write of register {offset:#x} answered {response.name}"

    def write_memory(self, address: int, data: bytes) -> None:
        """Put bytes into the memory."""
        self.regions[address] = data
        self.memory.load(self.regions)

    def send(self, packet: bytes) -> None:
        """Queue a packet of activations."""
        self.source.send(packet)

    @resume
    async def flush(self) -> None:
        """Wait until every packet sent was taken."""
        await self.source.drained()

    @resume
    async def receive(self) -> Packet | None:
        """The next packet of results, or None after ``patience`` cycles."""
        edge = RisingEdge(self.dut.aclk)
        for _ in range(self.patience):
            if len(self.sink.packets) > self._taken:
                packet = self.sink.packets[self._taken]
                self._taken += 1
                return Packet(packet.to_bytes(self.sink.beat_bytes), bool(packet.users[-1]))
            await edge
        self._check_progress()
        return None

    def _check_progress(self) -> None:
        """Called after a wait in vain: that no bus moves for long is a deadlock."""
        traffic = (
            self.memory.monitor.beats,
            self.source_monitor.transfers,
            self.sink.monitor.transfers,
        )
        self._idle = self._idle + self.patience if traffic == self._traffic else 0
        self._traffic = traffic
        assert self._idle < DEADLOCK, f"the unit hangs: no transfer in {self._idle} cycles"
