"""Cocotb tests of the epilogue on its emitted Verilog."""

import os
import random
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles
from epilogue_streams import Bench
from epilogue_workload import DESIGNS, Job, random_job, transfers

from speq.epilogue.epilogue import LATENCY
from speq_sim.benches.streams import probe_ready

NAME = os.environ.get("SPEQ_EPILOGUE", "one_lane")
JOBS = int(os.environ.get("SPEQ_EPILOGUE_JOBS", "5"))
INPUTS = ("values", "scales", "tokens")
STREAMS = (*INPUTS, "results")
SLOW = [("results",), ("scales", "tokens"), STREAMS]
"""Streams that pause at random; in :func:`a_transfer_per_cycle` none does."""


def bench_of(dut: Any, slow: tuple[str, ...] = (), late: bool = False) -> Bench:
    return Bench(dut, INPUTS, slow, late)


def random_jobs(count: int = JOBS) -> list[Job]:
    return [random_job(NAME, cocotb.RANDOM_SEED % 100_000 + number) for number in range(count)]


@cocotb.test()
@cocotb.parametrize(slow=SLOW)
async def every_result_whatever_stalls(dut: Any, slow: tuple[str, ...]) -> None:
    await bench_of(dut, slow).play(transfers(NAME, random_jobs()))


@cocotb.test()
async def valid_never_waits_for_ready(dut: Any) -> None:
    bench = bench_of(dut, ("values",), late=True)
    cocotb.start_soon(probe_ready(dut, "results"))
    await bench.play(transfers(NAME, random_jobs(4)))


@cocotb.test()
async def a_transfer_per_cycle(dut: Any) -> None:
    """From tile to tile and job to job; with groups, if there are enough other transfers."""
    parameters, lanes, groups, _ = DESIGNS[NAME]
    transfers_between = parameters.tokens * parameters.rows // lanes - 1
    bench = bench_of(dut)
    jobs = [random_job(NAME, seed, smooth=True) for seed in range(JOBS)]
    ahead = 2 * parameters.tokens * parameters.rows
    await bench.play(transfers(NAME, jobs), late=("values",), ahead=ahead)
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
    bench = bench_of(dut, ("scales", "results"))
    generator = random.Random(cocotb.RANDOM_SEED)
    for _ in range(4):
        await bench.reset()
        queues = transfers(NAME, random_jobs())
        for name, source in bench.sources.items():
            source.send(queues[name])
        await ClockCycles(dut.clk, generator.randint(5, 60))
    await bench.play(transfers(NAME, random_jobs(4)))
