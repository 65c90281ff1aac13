"""Observer of an AXI4-Stream: checks its rules, collects packets and counts cycles."""

import dataclasses
from typing import Any

import cocotb
from cocotb.handle import LogicObject
from cocotb.queue import Queue
from cocotb.triggers import RisingEdge

from speq_sim.benches.axi.port import Channel, Port

__all__ = ["AxiStreamMonitor", "Packet"]


@dataclasses.dataclass(slots=True)
class Packet:
    """Beats up to one with TLAST.

    Attributes
    ----------
    beats : list of int
        TDATA of each beat.
    users : list of int
        TUSER of each beat; zeros if the stream has none.
    """

    beats: list[int] = dataclasses.field(default_factory=list)
    users: list[int] = dataclasses.field(default_factory=list)

    def to_bytes(self, beat_bytes: int) -> bytes:
        """All beats, `beat_bytes` bytes each, the first byte from the lowest bits."""
        return b"".join(beat.to_bytes(beat_bytes, "little") for beat in self.beats)


class AxiStreamMonitor(Port):
    """Checks that an offer stays as it is until its transfer, and that there is none in reset.

    A packet that a reset cuts short is dropped.

    Parameters
    ----------
    dut, prefix, clock, reset_n
        See :class:`~speq_sim.benches.axi.port.Port`.

    Attributes
    ----------
    packets : list of Packet
        Ended since :meth:`restart`.
    open_packet : Packet
        Beats since the last TLAST.
    transfers, stalls, idle : int
        Cycles with a transfer, with tvalid alone, and with tready alone.
    cycles : int
        Out of reset.
    first_transfer, last_transfer : int or None
        Cycles of the first and the last.
    """

    def __init__(
        self,
        dut: Any,
        prefix: str,
        clock: LogicObject | None = None,
        reset_n: LogicObject | None = None,
    ) -> None:
        super().__init__(dut, prefix, clock, reset_n)
        self._user = self.has("tuser")
        payload = ["tdata", "tlast", *(["tuser"] if self._user else [])]
        self._channel = Channel(self, "t", payload)
        self.beat_bytes = len(self.signal("tdata")) // 8
        self.restart()
        cocotb.start_soon(self._run())

    def restart(self) -> None:
        """Collect and count anew from here."""
        self.packets: list[Packet] = []
        self.open_packet = Packet()
        self.transfers = self.stalls = self.idle = self.cycles = 0
        self.first_transfer: int | None = None
        self.last_transfer: int | None = None
        self._received: Queue[Packet] = Queue()
        self._channel.restart()

    def counts(self) -> dict[str, int | None]:
        """Packets, transfers, stall and idle cycles, first and last cycle of a transfer."""
        return {
            "packets": len(self.packets),
            "transfers": self.transfers,
            "stall_cycles": self.stalls,
            "idle_cycles": self.idle,
            "first_cycle": self.first_transfer,
            "last_cycle": self.last_transfer,
        }

    async def recv(self) -> Packet:
        """Next packet, in order, once it has ended; each is given once."""
        return await self._received.get()

    async def _run(self) -> None:
        edge = RisingEdge(self.clock)
        while True:
            await edge
            if self.in_reset:
                self._channel.reset()
                self.open_packet = Packet()
                continue
            if self._channel.observe():
                self._take()
            elif self._channel.valid:
                self.stalls += 1
            elif self._channel.ready:
                self.idle += 1
            self.cycles += 1

    def _take(self) -> None:
        self.transfers += 1
        if self.first_transfer is None:
            self.first_transfer = self.cycles
        self.last_transfer = self.cycles
        data, last, *user = self._channel.sample()
        self.open_packet.beats.append(data)
        self.open_packet.users.append(user[0] if user else 0)
        if last:
            self.packets.append(self.open_packet)
            self._received.put_nowait(self.open_packet)
            self.open_packet = Packet()
