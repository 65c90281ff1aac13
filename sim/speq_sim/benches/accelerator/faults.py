"""Bench of faults: disturbs an emitted accelerator, and checks all that leaves it, bit for bit."""

import dataclasses
import functools
import json
import os
import random
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.task import bridge, resume
from cocotb.triggers import ClockCycles, RisingEdge
from numpy.typing import NDArray

from speq.formats.int4 import Int4Tensor
from speq.formats.packing import PackedTensor
from speq.parameters import Parameters
from speq_sim.benches.accelerator.transport import SimulationTransport
from speq_sim.benches.axi import Packet
from speq_sim.host import Device, Matrix, Result
from speq_sim.host.unit_jobs import unit_job
from speq_sim.jobs import expected

__all__ = ["LIMIT", "SIDE_CAR_VARIABLE", "FaultBench", "Valve", "blocking", "packet_bytes"]

LIMIT = 3000
"""Cycles after which something that must happen counts as hanging."""

LONGEST = 300_000
"""Cycles from a reset that no bench needs: one that takes them waits for ever."""

QUIET = 40
"""Cycles without a packet after which the host library's transport says that none came."""

SIDE_CAR_VARIABLE = "SPEQ_SIDE_CAR"


class Valve(Iterator[bool]):
    """Pauses for a bus model: at random, and for as long as it is shut.

    Parameters
    ----------
    share : float
        Share of the cycles that pause while it is open.
    seed : int or str
        Of the pauses.

    Attributes
    ----------
    shut : bool
        Whether every cycle pauses; may be set at any time, as may ``share``.
    """

    def __init__(self, share: float = 0.0, seed: int | str = 0) -> None:
        self.shut = False
        self.share = share
        self._random = random.Random(seed)

    def __next__(self) -> bool:
        return self.shut or (self.share > 0 and self._random.random() < self.share)


@dataclasses.dataclass(frozen=True, eq=False)
class Stored:
    """A matrix as the golden model and as the unit's memory have it."""

    tensor: PackedTensor | Int4Tensor
    matrix: Matrix

    def beat_address(self, plane: int, beat: int) -> int:
        """Address of a beat of a plane; a negative one counts from the end."""
        extent = self.matrix.extent
        count = extent.beats[plane]
        return self.matrix.bases[plane] + beat % count * extent.parameters.bus_bytes


def packet_bytes(
    tensor: PackedTensor | Int4Tensor,
    mode: str,
    activations: NDArray[np.float16],
    parameters: Parameters,
) -> bytes:
    """The packet that a job must give (docs/accelerator.md, Jobs), from the golden model."""
    rows = parameters.rows
    job = unit_job(tensor, mode, activations)
    tiles = -(-job.outputs // rows)
    values = expected(job.with_rows(tiles * rows), parameters)
    rows_of_tiles = values.reshape(job.tokens, tiles, rows).swapaxes(0, 1).reshape(-1, rows)
    spare = -rows * values.itemsize % parameters.bus_bytes // values.itemsize
    return np.pad(rows_of_tiles, ((0, 0), (0, spare))).tobytes()


def blocking(body: Callable[..., None]) -> Callable[..., Any]:
    """Make a cocotb test of a function that takes a :class:`FaultBench` and blocks."""

    @functools.wraps(body)
    async def test(dut: Any, **arguments: Any) -> None:
        transport = FaultTransport(dut, patience=QUIET)
        await transport.start()
        await bridge(lambda: body(FaultBench(transport), **arguments))()

    return test


class FaultTransport(SimulationTransport):
    """Bus models, behind which packets of activations may be held back.

    Attributes
    ----------
    mute : bool
        Whether packets of activations are not sent.
    """

    mute = False

    def read(self, offset: int) -> int:
        """Value of a register; the host library waits for no other thing without end."""
        assert self.memory.monitor.cycles < LONGEST, f"it hangs: not done in {LONGEST} cycles"
        return super().read(offset)

    @resume
    async def flush(self) -> None:
        """Wait until every packet sent was taken, but not for ever."""
        edge = RisingEdge(self.dut.aclk)
        for _ in range(LIMIT):
            if self.source.empty:
                return
            await edge
        raise AssertionError(f"it hangs: activations not swallowed in {LIMIT} cycles")

    @resume
    async def reset_after(self, cycles: int) -> None:
        """Reset the unit and the models in a while; returns at once."""
        cocotb.start_soon(self._reset_after(cycles))

    async def _reset_after(self, cycles: int) -> None:
        await ClockCycles(self.dut.aclk, cycles)
        await self.reset()

    def send(self, packet: bytes) -> None:
        """Queue one packet of activations, unless they are not to be sent."""
        if not self.mute:
            super().send(packet)


class FaultBench:
    """An accelerator that was reset, its host library, and a ledger of what must come out of it.

    All calls block; simulated time passes only within them.

    Attributes
    ----------
    device : Device
        Set anew by each reset.
    memory_gap, address_gap, source_pauses, sink_pauses : Valve
        What disturbs each bus.
    completed : int
        Packets that were whole and right since the last reset.
    voids : int
        Packets that were void since the last reset.
    """

    def __init__(self, transport: FaultTransport) -> None:
        self.transport = transport
        self.dut = transport.dut
        path = Path(os.environ[SIDE_CAR_VARIABLE])
        self.side_car = json.loads(path.read_text(encoding="utf-8"))
        self.memory_gap = transport.memory.gap = Valve(seed="gap")
        self.address_gap = transport.memory.address_gap = Valve(seed="address")
        self.source_pauses = transport.source.pauses = Valve(seed="source")
        self.sink_pauses = transport.sink.pauses = Valve(seed="sink")
        self._packets: dict[Hashable, bytes] = {}
        self._memory_used = 0
        self._looked_at = 0
        self._begin()

    def _begin(self) -> None:
        """A unit that was just reset."""
        self.device = Device(self.transport, self.side_car, memory=self._memory_used)
        self.parameters = self.device.parameters
        self.registers = self.device.registers
        self._due: deque[bytes] = deque()
        self._void_since_resume = False
        self.completed = self.voids = self.rejected = 0
        self.registers.write("IRQ_ENABLE", done=1, fault=1, rejected=1, stopped=1)

    # Time -------------------------------------------------------------------------------------

    @resume
    async def wait(self, cycles: int) -> None:
        """Let some cycles pass."""
        if cycles:
            await ClockCycles(self.dut.aclk, cycles)

    @resume
    async def until(self, condition: Callable[[], bool], what: str, limit: int = LIMIT) -> int:
        """Wait for a condition, looked at in every cycle; cycles that it took."""
        edge = RisingEdge(self.dut.aclk)
        for cycle in range(limit):
            if condition():
                return cycle
            await edge
        raise AssertionError(f"it hangs: no {what} in {limit} cycles")

    @resume
    async def _pull_reset(self) -> None:
        await self.transport.reset()

    def reset(self) -> None:
        """Reset the unit and the models; all that was under way is gone."""
        self.check()
        self._pull_reset()
        self._looked_at = len(self.transport.sink.packets)
        self._begin()

    def see_power_up(self) -> None:
        """A unit that was just reset knows nothing of what was before."""
        for name in ("FAULT", "REJECTION", "REJECTIONS", "JOBS_COMPLETED", "IRQ_PENDING"):
            assert self.registers.read(name) == 0, f"{name} after reset"
        for name in ("CYCLES", "BEATS", "WORDS"):
            assert self.registers.count(name) == 0, f"{name} after reset"
        for field, value in (("stopped", 0), ("stopping", 0), ("pending", 0), ("room", 1)):
            assert self.registers.read("STATUS", field) == value, f"STATUS.{field} after reset"

    # Work -------------------------------------------------------------------------------------

    def store(self, tensor: PackedTensor | Int4Tensor) -> Stored:
        """Put a matrix into memory; an INT4 one without groups."""
        stored = Stored(tensor, self.device.load(tensor))
        ends = [stored.beat_address(plane, -1) for plane in range(len(stored.matrix.bases))]
        self._memory_used = max(ends) + self.parameters.bus_bytes
        return stored

    def submit(
        self,
        stored: Stored,
        mode: str,
        activations: NDArray[np.float16],
        *,
        keep: bool = False,
        send: bool = True,
    ) -> None:
        """Queue a job that is to be completed, unless something stops it.

        With `keep`, `activations` are those of the job before. Without `send`, none are sent: the
        bench does that, or something worse.
        """
        self.transport.mute = not send
        if keep:
            self.device.submit(stored.matrix, mode, tokens=len(activations))
        else:
            self.device.submit(stored.matrix, mode, activations)
        self._due.append(self._packet(stored, mode, activations))

    def _packet(self, stored: Stored, mode: str, activations: NDArray[np.float16]) -> bytes:
        """The packet that a job must give; computed once, as benches repeat their jobs."""
        key = stored, mode, activations.shape, activations.tobytes()
        if key not in self._packets:
            arguments = stored.tensor, mode, activations, self.parameters
            self._packets[key] = packet_bytes(*arguments)
        return self._packets[key]

    def finish(self, limit: int = LIMIT) -> None:
        """Wait until all jobs are completed; their results must be right, and nothing else come."""
        left = self.left
        self.until(lambda: self._came() >= left, f"result of {left} jobs", limit)
        self.wait(8)
        self.check()
        assert not self._due, f"{len(self._due)} jobs gave no results"
        assert not self.transport.sink.monitor.open_packet.beats, "a packet that nobody asked for"
        status = self.registers.read("STATUS")
        room = self.registers.read("STATUS", "room")
        assert room, "no room without a job"
        assert self.registers.read("STATUS", "pending") == 0, f"STATUS is {status:#x} at rest"
        assert self.registers.read("JOBS_COMPLETED") == self.completed

    def run(self, stored: Stored, mode: str, activations: NDArray[np.float16]) -> None:
        """One job from beginning to end."""
        self.submit(stored, mode, activations)
        self.finish()
        self.collect()

    def collect(self) -> Result:
        """What the host library makes of the oldest job's results, which have come."""
        return self.device.collect()

    @property
    def left(self) -> int:
        """Jobs accepted that have not been completed, as far as :meth:`check` has seen."""
        return len(self._due)

    def _came(self) -> int:
        return len(self.transport.sink.packets) - self._looked_at

    # Checks -----------------------------------------------------------------------------------

    def check(self) -> None:
        """Compare every packet that came since the last call with what was due."""
        packets = self.transport.sink.packets
        for packet in packets[self._looked_at :]:
            self._check(packet)
        self._looked_at = len(packets)

    def _check(self, packet: Packet) -> None:
        assert self._due, "a packet of results without a job"
        assert not self._void_since_resume, "a packet after a void one, and no resume between"
        *beats, last = packet.users
        assert not any(beats), f"TUSER within a packet: {packet.users}"
        data = packet.to_bytes(self.parameters.bus_bytes)
        if not last:
            assert data == self._due.popleft(), f"packet {self.completed} is wrong"
            self.completed += 1
            return
        assert len(beats) > 0, "a void packet of which nothing had been sent"
        assert packet.beats[-1] == 0, "data in the closing beat"
        sent = data[: -self.parameters.bus_bytes]
        whole = self._due[0]
        assert whole.startswith(sent), "wrong results before the closing beat"
        assert len(sent) < len(whole), "a whole packet was closed as void"
        self._void_since_resume = True
        self.voids += 1

    def stopped(self, *faults: str, limit: int = LIMIT) -> None:
        """The unit stops because of one of `faults`; see that all is as documented, and at rest."""
        stop = self.registers
        for _ in range(0, limit, 10):
            if stop.read("STATUS", "stopped"):
                break
            self.wait(10)
        else:
            raise AssertionError(f"it hangs: not stopped in {limit} cycles")
        self.check()
        monitor = self.transport.sink.monitor
        assert not monitor.open_packet.beats, "stopped with a packet of results still open"
        assert self.transport.memory.monitor.outstanding == 0, "stopped with a read under way"
        fault = stop.code("FAULT", "code")
        assert fault in faults, f"FAULT is {fault}, not {' or '.join(faults)}"
        for field in ("stopping", "busy", "pending"):
            assert stop.read("STATUS", field) == 0, f"STATUS.{field} while stopped"
        assert stop.read("JOBS_COMPLETED") == self.completed
        assert stop.read("IRQ_PENDING", "fault") == (fault != "STOPPED")
        assert stop.read("IRQ_PENDING", "stopped") == 1
        self._see_rest()

    def _see_rest(self) -> None:
        """A stopped unit does nothing; its interrupt falls when it is cleared."""
        monitor = self.transport.memory.monitor
        asked, sent = len(monitor.bursts), self.transport.sink.monitor.transfers
        assert self.dut.irq.value == 1, "no interrupt"
        self.registers.write("IRQ_PENDING", done=1, fault=1, rejected=1, stopped=1)
        self.wait(20)
        assert self.dut.irq.value == 0, "the interrupt stays"
        assert len(monitor.bursts) == asked, "a read while stopped"
        assert self.transport.sink.monitor.transfers == sent, "results while stopped"
        assert self.registers.read("STATUS", "stopped") == 1

    def resume(self) -> None:
        """Resume the unit through the host library; jobs that were not completed are dropped."""
        self.device.resume()
        self._due.clear()
        self._void_since_resume = False
        assert self.registers.code("FAULT", "code") == "NONE"
        assert self.registers.read("STATUS", "stopped") == 0
