"""AXI4-Stream transmitter and receiver."""

from collections import deque
from collections.abc import Iterable
from itertools import repeat
from typing import Any

import cocotb
from cocotb.handle import LogicObject
from cocotb.triggers import RisingEdge

from speq_sim.benches.axi.port import Port
from speq_sim.benches.axi.stream_monitor import AxiStreamMonitor, Packet

__all__ = ["AxiStreamSink", "AxiStreamSource"]


class AxiStreamSource(Port):
    """Transmitter: sends queued packets in order. A reset that begins forgets what is queued.

    Parameters
    ----------
    dut, prefix, clock, reset_n
        See :class:`~speq_sim.benches.axi.port.Port`.
    pauses : iterable of bool
        One per cycle without an open offer; where True, the next beat is held back.
    """

    def __init__(
        self,
        dut: Any,
        prefix: str = "s_axis",
        *,
        clock: LogicObject | None = None,
        reset_n: LogicObject | None = None,
        pauses: Iterable[bool] = repeat(False),
    ) -> None:
        super().__init__(dut, prefix, clock, reset_n)
        self.pauses = iter(pauses)
        self._queue: deque[tuple[int, bool]] = deque()
        self._offering = False
        self._data = self.signal("tdata")
        self._last: LogicObject = self.signal("tlast")
        self._valid: LogicObject = self.signal("tvalid")
        self._ready: LogicObject = self.signal("tready")
        self.beat_bytes = len(self._data) // 8
        for signal in (self._data, self._last, self._valid):
            signal.value = 0
        cocotb.start_soon(self._run())

    def send(self, packet: bytes | bytearray | Iterable[int], *, last: bool = True) -> None:
        """Queue a packet.

        Parameters
        ----------
        packet : bytes or iterable of int
            Bytes, padded with zeros to whole beats, or beats.
        last : bool
            Whether TLAST is high in the last beat; without, the packet stays open.

        Raises
        ------
        ValueError
            If there is no beat: a stream has no empty packets.
        """
        beats = self._beats(packet)
        if not beats:
            raise ValueError("an empty packet: a packet has at least one beat")
        self._queue.extend((beat, False) for beat in beats[:-1])
        self._queue.append((beats[-1], last))

    def clear(self) -> None:
        """Forget what is queued; a beat on the port stays."""
        self._queue.clear()

    @property
    def empty(self) -> bool:
        """Whether everything queued has been transferred."""
        return not self._queue and not self._offering

    async def drained(self) -> None:
        """Wait until everything queued has been transferred."""
        while not self.empty:
            await RisingEdge(self.clock)

    def _beats(self, packet: bytes | bytearray | Iterable[int]) -> list[int]:
        if not isinstance(packet, bytes | bytearray):
            return list(packet)
        size = self.beat_bytes
        return [
            int.from_bytes(packet[start : start + size], "little")
            for start in range(0, len(packet), size)
        ]

    async def _run(self) -> None:
        edge = RisingEdge(self.clock)
        was_reset = True
        while True:
            await edge
            if self.in_reset:
                if not was_reset:
                    self._queue.clear()
                was_reset = True
                self._withdraw()
                continue
            was_reset = False
            if self._offering and self._ready.value != 1:
                continue
            if not self._queue or next(self.pauses):
                self._withdraw()
                continue
            data, last = self._queue.popleft()
            self._data.value = data
            self._last.value = last
            if not self._offering:
                self._valid.value = 1
            self._offering = True

    def _withdraw(self) -> None:
        if self._offering:
            self._valid.value = 0
        self._offering = False


class AxiStreamSink(Port):
    """Receiver: asserts tready; its monitor checks the stream and collects packets.

    Parameters
    ----------
    dut, prefix, clock, reset_n
        See :class:`~speq_sim.benches.axi.port.Port`.
    pauses : iterable of bool
        One per cycle; where True, tready is low.
    ready_after_valid : bool
        Assert tready only when tvalid was seen on the cycle before: progress then proves that the
        design does not wait for tready.

    Attributes
    ----------
    monitor : AxiStreamMonitor
        With the packets and the counts.
    """

    def __init__(
        self,
        dut: Any,
        prefix: str = "m_axis",
        *,
        clock: LogicObject | None = None,
        reset_n: LogicObject | None = None,
        pauses: Iterable[bool] = repeat(False),
        ready_after_valid: bool = False,
    ) -> None:
        super().__init__(dut, prefix, clock, reset_n)
        self.monitor = AxiStreamMonitor(dut, prefix, clock, reset_n)
        self.beat_bytes = self.monitor.beat_bytes
        self.pauses = iter(pauses)
        self._ready_after_valid = ready_after_valid
        self._valid: LogicObject = self.signal("tvalid")
        self._ready: LogicObject = self.signal("tready")
        self._ready.value = 0
        cocotb.start_soon(self._run())

    @property
    def packets(self) -> list[Packet]:
        """Packets that have ended."""
        return self.monitor.packets

    async def recv(self) -> Packet:
        """Next packet, in order, once it has ended; each is given once."""
        return await self.monitor.recv()

    async def _run(self) -> None:
        edge = RisingEdge(self.clock)
        ready = False
        while True:
            await edge
            wanted = not self.in_reset and not next(self.pauses)
            if self._ready_after_valid and wanted:
                wanted = not ready and self._valid.value == 1
            if wanted != ready:
                self._ready.value = wanted
                ready = wanted
