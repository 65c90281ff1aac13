"""Observer of an AXI4 read port: checks its rules, records bursts and counts cycles."""

import dataclasses
from collections import deque
from typing import Any

import cocotb
from cocotb.handle import LogicObject
from cocotb.triggers import RisingEdge

from speq_sim.benches.axi.port import Channel, Port

__all__ = ["PAGE_BYTES", "AxiReadMonitor", "Burst"]

PAGE_BYTES = 4096
"""No burst may cross a multiple of it."""

_INCREMENTING = 0b01


@dataclasses.dataclass(frozen=True, slots=True)
class Burst:
    """A burst that was asked for.

    Attributes
    ----------
    address : int
        Of its first byte.
    beats : int
        Its length.
    cycle : int
        Of the address handshake.
    """

    address: int
    beats: int
    cycle: int


class AxiReadMonitor(Port):
    """Checks AR and R of a port without IDs: incrementing bursts of whole, aligned beats, in order.

    Parameters
    ----------
    dut, prefix, clock, reset_n
        See :class:`~speq_sim.benches.axi.port.Port`.
    runs : bool
        Whether it runs by itself. If not, its owner calls :meth:`observe` at every rising edge.

    Attributes
    ----------
    cycles : int
        Out of reset since :meth:`restart`; each is one of the four that follow.
    beats : int
        Cycles with a transfer on R.
    stalls : int
        Cycles with rvalid and without rready.
    waiting : int
        Cycles without rvalid, with a burst under way: the memory's doing.
    idle : int
        Cycles without a burst under way: the design's doing.
    bursts : list of Burst
        Asked for since :meth:`restart`.
    most_outstanding : int
        Largest number of bursts under way.
    first_beat, last_beat : int or None
        Cycles of the first and last transfer on R.
    asked : Burst or None
        The burst whose address was transferred in the cycle observed last.
    transferred : bool
        Whether there was a transfer on R in that cycle.
    asks : bool
        Whether arvalid was high in that cycle.

    Raises
    ------
    AxiRuleError
        In its own task, which fails the test.
    """

    def __init__(
        self,
        dut: Any,
        prefix: str = "m_axi",
        clock: LogicObject | None = None,
        reset_n: LogicObject | None = None,
        *,
        runs: bool = True,
    ) -> None:
        super().__init__(dut, prefix, clock, reset_n)
        payload = ["araddr", "arlen", "arsize", "arburst"]
        self._address = Channel(self, "ar", payload + [n for n in ("arprot",) if self.has(n)])
        self._data = Channel(self, "r", ["rdata", "rresp", "rlast"])
        self._last: LogicObject = self.signal("rlast")
        self._last_name = f"{prefix}_rlast"
        self.beat_bytes = len(self.signal("rdata")) // 8
        self._pending: deque[Burst] = deque()
        self._done = 0  # beats of the oldest pending burst
        self.asked: Burst | None = None
        self.transferred = self.asks = False
        self.restart()
        if runs:
            cocotb.start_soon(self._run())

    def restart(self) -> None:
        """Count and record anew from here; bursts under way stay under way."""
        self.cycles = self.beats = self.stalls = self.waiting = self.idle = 0
        self.most_outstanding = len(self._pending)
        self.bursts: list[Burst] = []
        self.first_beat: int | None = None
        self.last_beat: int | None = None
        self._finished: list[tuple[int, int]] = []
        self._skipped = self._done  # beats of the oldest burst that were counted before
        self._address.restart()
        self._data.restart()

    @property
    def outstanding(self) -> int:
        """Bursts under way."""
        return len(self._pending)

    @property
    def mid_burst(self) -> bool:
        """Whether a part of a burst was transferred."""
        return self._done > 0

    def bytes_read(self, start: int, stop: int) -> int:
        """Bytes transferred since :meth:`restart` from addresses `start` to `stop` - 1."""
        spans = list(self._finished)
        if self._pending:
            base = self._pending[0].address
            spans.append(
                (base + self._skipped * self.beat_bytes, base + self._done * self.beat_bytes)
            )
        return sum(max(0, min(stop, high) - max(start, low)) for low, high in spans)

    def counts(self) -> dict[str, int | None]:
        """All the counts, by name."""
        return {
            "cycles": self.cycles,
            "beats": self.beats,
            "stall_cycles": self.stalls,
            "waiting_cycles": self.waiting,
            "idle_cycles": self.idle,
            "bursts": len(self.bursts),
            "most_outstanding": self.most_outstanding,
            "first_beat": self.first_beat,
            "last_beat": self.last_beat,
        }

    def observe(self) -> bool:
        """See one cycle; whether it is out of reset."""
        if self.in_reset:
            self._address.reset()
            self._data.reset()
            self._pending.clear()
            self._done = self._skipped = 0
            return False
        # R before AR: data in the cycle of the request would be too early.
        self.transferred = self._data.observe()
        if self._data.valid:
            self._see_data()
        elif self._pending:
            self.waiting += 1
        else:
            self.idle += 1
        self.asked = None
        if self._address.observe():
            self._see_burst()
        self.asks = self._address.valid
        self.cycles += 1
        return True

    async def _run(self) -> None:
        edge = RisingEdge(self.clock)
        while True:
            await edge
            self.observe()

    def _see_data(self) -> None:
        if not self._pending:
            self._data.fail(f"{self.prefix}_rvalid", "high without a burst under way")
        if not self.transferred:
            self.stalls += 1
            return
        self.beats += 1
        if self.first_beat is None:
            self.first_beat = self.cycles
        self.last_beat = self.cycles
        self._done += 1
        burst = self._pending[0]
        ends = self._done == burst.beats
        if self._data.bit(self._last, self._last_name) != ends:
            self._data.fail(
                self._last_name, f"wrong in beat {self._done} of {burst.beats} of the burst"
            )
        if ends:
            self._pending.popleft()
            low = burst.address + self._skipped * self.beat_bytes
            self._finished.append((low, burst.address + burst.beats * self.beat_bytes))
            self._done = self._skipped = 0

    def _see_burst(self) -> None:
        address, length, size, kind, *_ = self._address.sample()
        self._check(address, length + 1, size, kind)
        burst = self.asked = Burst(address, length + 1, self.cycles)
        self.bursts.append(burst)
        self._pending.append(burst)
        self.most_outstanding = max(self.most_outstanding, len(self._pending))

    def _check(self, address: int, beats: int, size: int, kind: int) -> None:
        fail, prefix = self._address.fail, self.prefix
        if kind != _INCREMENTING:
            fail(f"{prefix}_arburst", f"{kind}; bursts must be incrementing ({_INCREMENTING})")
        if 1 << size != self.beat_bytes:
            fail(
                f"{prefix}_arsize",
                f"{size} is {1 << size} bytes; beats must be whole, {self.beat_bytes} bytes",
            )
        if address % self.beat_bytes:
            fail(f"{prefix}_araddr", f"{address:#x} is not a multiple of {self.beat_bytes} bytes")
        last = address + beats * self.beat_bytes - 1
        if address // PAGE_BYTES != last // PAGE_BYTES:
            fail(
                f"{prefix}_araddr",
                f"the burst from {address:#x} to {last:#x} crosses a boundary of {PAGE_BYTES} "
                f"bytes",
            )
