"""A memory behind an AXI4 read port: overlapping latencies, bubbles, faults, in-order answers."""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from itertools import repeat
from typing import Any

import cocotb
from cocotb.handle import LogicArrayObject, LogicObject
from cocotb.triggers import RisingEdge

from speq_sim.benches.axi.latency import Fixed
from speq_sim.benches.axi.port import Port, Response
from speq_sim.benches.axi.read_monitor import AxiReadMonitor

__all__ = ["AxiMemory"]

_POISON = 0xA5
"""Each byte of rdata in a beat with a fault, and while rvalid is low."""


class AxiMemory(Port):
    """Subordinate for the read channels of AXI4, without IDs.

    The first beat of a burst may be transferred `latency()` clock edges after its address
    handshake, once the burst before has ended; the other beats follow one per cycle, but for gaps.
    Latencies of several bursts overlap. Without gaps and with bursts enough under way, there is one
    beat in each cycle, also from burst to burst. A reset forgets everything under way.

    Parameters
    ----------
    dut, prefix, clock, reset_n
        See :class:`~speq_sim.benches.axi.port.Port`.
    contents : bytes-like or mapping of int to bytes-like
        What lies in memory from address 0, or from each of several addresses. Seen, not copied.
        Beats that do not lie wholly within one region get DECERR.
    latency : callable
        Cycles, 1 or more, of the next burst: :class:`Fixed`, :class:`Uniform`, or any other.
    outstanding : int
        Bursts that are accepted before the oldest has ended.
    gap : iterable of bool
        One per cycle in which a beat could be offered anew; where True, it is held back.
    address_gap : iterable of bool
        One per cycle; where True, arready is low.
    ready_after_valid : bool
        Assert arready only when arvalid was seen on the cycle before: progress then proves that
        the design does not wait for arready.
    faults : mapping of (int, int) to Response
        What beats answer that touch addresses from the first to the second, this excluded. May be
        changed at any time; holds for bursts whose first beat is offered from then on.

    Attributes
    ----------
    monitor : AxiReadMonitor
        Checks the port's rules, counts and records.

    Raises
    ------
    ValueError
        If regions overlap, or a parameter is out of its range.
    """

    def __init__(
        self,
        dut: Any,
        prefix: str = "m_axi",
        contents: bytes | bytearray | memoryview | Mapping[int, Any] = b"",
        *,
        clock: LogicObject | None = None,
        reset_n: LogicObject | None = None,
        latency: Callable[[], int] = Fixed(1),  # noqa: B008, it has no state
        outstanding: int = 16,
        gap: Iterable[bool] = repeat(False),
        address_gap: Iterable[bool] = repeat(False),
        ready_after_valid: bool = False,
        faults: Mapping[tuple[int, int], Response] | None = None,
    ) -> None:
        super().__init__(dut, prefix, clock, reset_n)
        if outstanding < 1:
            raise ValueError(f"{outstanding} outstanding bursts: a memory accepts at least 1")
        self.monitor = AxiReadMonitor(dut, prefix, clock, reset_n, runs=False)
        self.beat_bytes = self.monitor.beat_bytes
        self.latency = latency
        self.outstanding = outstanding
        self.gap = iter(gap)
        self.address_gap = iter(address_gap)
        self.ready_after_valid = ready_after_valid
        self.faults: dict[tuple[int, int], Response] = dict(faults or {})
        self.load(contents)
        self._address_ready: LogicObject = self.signal("arready")
        self._valid: LogicObject = self.signal("rvalid")
        self._data: LogicArrayObject = self.signal("rdata")
        self._response: LogicArrayObject = self.signal("rresp")
        self._last: LogicObject = self.signal("rlast")
        self._poison = int.from_bytes(bytes([_POISON]) * self.beat_bytes, "little")
        self._driven: dict[Any, int] = {}
        self._forget()
        cocotb.start_soon(self._run())

    def load(self, contents: bytes | bytearray | memoryview | Mapping[int, Any]) -> None:
        """Replace all contents, for bursts whose first beat is offered from then on."""
        regions = contents if isinstance(contents, Mapping) else {0: contents}
        self._bases = sorted(regions)
        self._regions = [memoryview(regions[base]).cast("B") for base in self._bases]
        ends = [b + len(r) for b, r in zip(self._bases, self._regions, strict=True)]
        for end, base in zip(ends, self._bases[1:], strict=False):
            if end > base:
                raise ValueError(f"the region at {base:#x} overlaps the one that ends at {end:#x}")

    def _forget(self) -> None:
        """Nothing under way, nothing offered."""
        self._pending: deque[tuple[int, int, int]] = deque()  # first cycle, address, beats
        self._begin(0, 0)
        self._offering = False
        self._drive(self._address_ready, 0)
        self._withdraw()

    def _drive(self, signal: Any, value: int) -> None:
        if self._driven.get(signal) != value:
            self._driven[signal] = value
            signal.value = value

    def _withdraw(self) -> None:
        self._drive(self._valid, 0)
        self._drive(self._last, 0)
        self._drive(self._data, self._poison)

    async def _run(self) -> None:
        edge = RisingEdge(self.clock)
        monitor = self.monitor
        now = 0
        while True:
            await edge
            now += 1
            if not monitor.observe():
                self._forget()
                continue
            if monitor.transferred:
                self._offering = False
                self._beat += 1
            if monitor.asked is not None:
                burst = monitor.asked
                self._pending.append((now + self.latency(), burst.address, burst.beats))
            if not self._offering:
                self._offer(now + 1)
            self._accept()

    def _accept(self) -> None:
        """Drive arready for the next cycle."""
        under_way = len(self._pending) + (self._beat < self._beats)
        wanted = not next(self.address_gap) and under_way < self.outstanding
        if self.ready_after_valid:
            wanted = wanted and self.monitor.asks and self.monitor.asked is None
        self._drive(self._address_ready, int(wanted))

    def _offer(self, cycle: int) -> None:
        """Drive the beat for a cycle, if one is due."""
        if self._beat == self._beats and self._pending and self._pending[0][0] <= cycle:
            _, address, beats = self._pending.popleft()
            self._begin(address, beats)
        if self._beat == self._beats or next(self.gap):
            self._withdraw()
            return
        beat = self._beat
        response = self._responses[beat] if self._responses is not None else 0
        if response:
            self._drive(self._data, self._poison)
        else:
            offset = self._offset + beat * self.beat_bytes
            data = self._view[offset : offset + self.beat_bytes]
            self._drive(self._data, int.from_bytes(data, "little"))
        self._drive(self._response, response)
        self._drive(self._last, int(beat + 1 == self._beats))
        self._drive(self._valid, 1)
        self._offering = True

    def _begin(self, address: int, beats: int) -> None:
        """Take up a burst: where its bytes lie, and which beats answer a fault."""
        self._beat, self._beats = 0, beats
        index = bisect_right(self._bases, address) - 1
        self._view = self._regions[index] if index >= 0 else memoryview(b"")
        self._offset = address - self._bases[index] if index >= 0 else 0
        whole = index >= 0 and self._offset + beats * self.beat_bytes <= len(self._view)
        self._responses: list[int] | None = None
        stop = address + beats * self.beat_bytes
        if not whole or any(low < stop and address < high for low, high in self.faults):
            self._responses = [
                self._answer(address + beat * self.beat_bytes, index) for beat in range(beats)
            ]

    def _answer(self, address: int, index: int) -> int:
        stop = address + self.beat_bytes
        for (low, high), response in self.faults.items():
            if low < stop and address < high:
                return int(response)
        inside = index >= 0 and stop <= self._bases[index] + len(self._regions[index])
        return int(Response.OKAY if inside else Response.DECERR)
