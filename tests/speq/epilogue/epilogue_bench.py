"""Cocotb tests of the epilogue on its emitted Verilog."""

import os
import random
from collections.abc import Iterator
from itertools import repeat
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from epilogue_workload import DESIGNS, Job, random_job, transfers

from speq.epilogue.epilogue import LATENCY
from speq_sim.benches.streams import (
    StreamMonitor,
    StreamSink,
    StreamSource,
    probe_ready,
    random_pauses,
)

NAME = os.environ.get("SPEQ_EPILOGUE", "one_lane")
JOBS = int(os.environ.get("SPEQ_EPILOGUE_JOBS", "5"))
INPUTS = ("values", "scales", "tokens")
STREAMS = (*INPUTS, "results")
SLOW = [("results",), ("scales", "tokens"), STREAMS]
"""Streams that pause at random; in :func:`a_transfer_per_cycle` none does."""
PATIENCE = 300


class Bench:
    """The epilogue with a source or sink at each stream; `slow` ones pause at random."""

    def __init__(self, dut: Any, slow: tuple[str, ...] = (), late: bool = False) -> None:
        self.dut = dut
        cocotb.start_soon(Clock(dut.clk, 2, "ns").start())
        dut.rst.value = 1
        pauses = {name: self._pauses(name) if name in slow else repeat(False) for name in STREAMS}
        self.sources = {name: StreamSource(dut, name, pauses[name]) for name in INPUTS}
        self.sink = StreamSink(dut, "results", pauses["results"], ready_after_valid=late)
        self.monitors = {name: StreamMonitor(dut, name) for name in STREAMS}

    def _pauses(self, name: str) -> Iterator[bool]:
        return random_pauses(random.Random(f"{cocotb.RANDOM_SEED} {name}"), 0.4)

    async def reset(self) -> None:
        self.dut.rst.value = 1
        for source in self.sources.values():
            source.clear()
        await ClockCycles(self.dut.clk, 3)
        self.dut.rst.value = 0
        for monitor in self.monitors.values():
            monitor.restart()

    async def play(self, jobs: list[Job], ahead: int = 0) -> None:
        """Reset, send all (values some cycles later), compare all."""
        await self.reset()
        queues = transfers(NAME, jobs)
        for name in ("scales", "tokens"):
            self.sources[name].send(queues[name])
        await ClockCycles(self.dut.clk, ahead)
        self.sources["values"].send(queues["values"])
        quiet, seen = 0, 0
        while len(self.results) < len(queues["results"]) and quiet < PATIENCE:
            await RisingEdge(self.dut.clk)
            total = sum(len(monitor.payloads) for monitor in self.monitors.values())
            quiet, seen = (quiet + 1, seen) if total == seen else (0, total)
        await ClockCycles(self.dut.clk, 20)
        for name, monitor in self.monitors.items():
            assert len(monitor.payloads) == len(queues[name]), name
        wrong = [
            f"{place}: {got:#x}, not {wanted:#x}"
            for place, (got, wanted) in enumerate(zip(self.results, queues["results"], strict=True))
            if got != wanted
        ]
        assert not wrong, f"{len(wrong)} of {len(self.results)} results: {wrong[:3]}"

    @property
    def results(self) -> list[int]:
        return self.monitors["results"].payloads


def random_jobs(count: int = JOBS) -> list[Job]:
    return [random_job(NAME, cocotb.RANDOM_SEED % 100_000 + number) for number in range(count)]


@cocotb.test()
@cocotb.parametrize(slow=SLOW)
async def every_result_whatever_stalls(dut: Any, slow: tuple[str, ...]) -> None:
    await Bench(dut, slow).play(random_jobs())


@cocotb.test()
async def valid_never_waits_for_ready(dut: Any) -> None:
    bench = Bench(dut, ("values",), late=True)
    cocotb.start_soon(probe_ready(dut, "results"))
    await bench.play(random_jobs(4))


@cocotb.test()
async def a_transfer_per_cycle(dut: Any) -> None:
    """From tile to tile and job to job; with groups, if there are enough other transfers."""
    parameters, lanes, groups, _ = DESIGNS[NAME]
    transfers_between = parameters.tokens * parameters.rows // lanes - 1
    bench = Bench(dut)
    jobs = [random_job(NAME, seed, smooth=True) for seed in range(JOBS)]
    await bench.play(jobs, ahead=2 * parameters.tokens * parameters.rows)
    cycles = bench.monitors["values"].cycles
    further = sum(len(tile) - 1 for job in jobs for tile in job.orders) if groups else 0
    held = max(0, 2 - transfers_between) * further
    # What is held back at the end waits in two stages behind the port.
    assert held - min(held, 4) <= cycles[-1] - cycles[0] + 1 - len(cycles) <= held
    if not groups:
        assert bench.monitors["results"].cycles[0] - cycles[0] == LATENCY[groups]


@cocotb.test()
async def a_reset_forgets_everything(dut: Any) -> None:
    """At any moment, sets that are half written or half used included."""
    bench = Bench(dut, ("scales", "results"))
    generator = random.Random(cocotb.RANDOM_SEED)
    for _ in range(4):
        await bench.reset()
        queues = transfers(NAME, random_jobs())
        for name, source in bench.sources.items():
            source.send(queues[name])
        await ClockCycles(dut.clk, generator.randint(5, 60))
    await bench.play(random_jobs(4))
