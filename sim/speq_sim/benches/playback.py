"""Cocotb tests: play every case of a job on an emitted design and compare bit for bit.

One cocotb test per case. All four streams are monitored in every case. The counts of the cases that
passed are written to ``measured.json`` in the job folder.
"""

import os
import random
from itertools import repeat
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles

from speq_sim.benches.cases import INPUTS, JOB_VARIABLE, STREAMS, Case, load_job, write_json
from speq_sim.benches.payload import Design, integers
from speq_sim.benches.streams import (
    StreamMonitor,
    StreamSink,
    StreamSource,
    probe_ready,
    random_pauses,
)

PATIENCE = 2000
"""Cycles without any transfer after which a case is given up as a deadlock."""

AFTERWARDS = 32
"""Cycles after the last expected result in which no further result may come."""

FOLDER = Path(os.environ[JOB_VARIABLE])
SIDE_CAR, CASES = load_job(FOLDER)
DESIGN = Design.load(SIDE_CAR)
MEASURED: dict[str, Any] = {}


class Bench:
    """A design with a driver and a monitor on each of its streams."""

    def __init__(self, dut: Any, case: Case) -> None:
        self.dut = dut
        self.case = case
        self.inputs = {name: integers(case.payloads[name]) for name in INPUTS}
        self.expected = integers(case.payloads["results"])
        dut.rst.value = 1
        Clock(dut.clk, 10, "ns").start()
        self.sources = {name: StreamSource(dut, name, self._pauses(name)) for name in INPUTS}
        StreamSink(dut, "results", self._pauses("results"), case.ready_after_valid)
        self.monitors = {name: StreamMonitor(dut, name) for name in STREAMS}
        if case.probe_ready:
            cocotb.start_soon(probe_ready(dut, "results"))

    def _pauses(self, stream: str) -> Any:
        probability = self.case.pauses.get(stream, 0.0)
        generator = random.Random(f"{cocotb.RANDOM_SEED} {stream}")
        return random_pauses(generator, probability) if probability else repeat(False)

    async def start(self) -> None:
        """Reset, then offer all the work from its beginning."""
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 2)
        for name, source in self.sources.items():
            source.clear()
            source.send(self.inputs[name])
        for monitor in self.monitors.values():
            monitor.restart()
        self.dut.rst.value = 0

    async def finish(self) -> None:
        """Wait until everything expected was transferred, then see that nothing follows."""
        wanted = {name: len(payloads) for name, payloads in self.inputs.items()}
        wanted["results"] = len(self.expected)
        before = -1
        while any(len(self.monitors[name].payloads) < wanted[name] for name in STREAMS):
            done = {name: len(self.monitors[name].payloads) for name in STREAMS}
            if sum(done.values()) == before:
                raise AssertionError(
                    f"deadlock: no transfer in {PATIENCE} cycles; transferred {done} of {wanted}"
                )
            before = sum(done.values())
            await self._advance(wanted)
        await ClockCycles(self.dut.clk, AFTERWARDS)

    async def _advance(self, wanted: dict[str, int]) -> None:
        """Up to PATIENCE cycles, fewer if all is transferred."""
        for _ in range(0, PATIENCE, 8):
            await ClockCycles(self.dut.clk, 8)
            if all(len(self.monitors[name].payloads) >= wanted[name] for name in STREAMS):
                return

    def compare(self) -> None:
        """Every result against what is expected, bit for bit, in order."""
        received = self.monitors["results"].payloads
        for index, (got, want) in enumerate(zip(received, self.expected, strict=False)):
            if got != want:
                raise AssertionError(
                    f"result {index} of {len(self.expected)} differs: simulated "
                    f"{_describe(got)}; expected {_describe(want)}"
                )
        if len(received) != len(self.expected):
            raise AssertionError(f"{len(received)} results, but {len(self.expected)} were expected")


@cocotb.test()
@cocotb.parametrize(name=list(CASES))
async def play(dut: Any, name: str) -> None:
    """Play one case."""
    case = CASES[name]
    dut._log.info("case %s, seed %d", name, cocotb.RANDOM_SEED)
    bench = Bench(dut, case)
    for cycles in case.resets:
        await bench.start()
        await ClockCycles(dut.clk, cycles)
    await bench.start()
    await bench.finish()
    bench.compare()
    MEASURED[name] = {
        "seed": cocotb.RANDOM_SEED,
        "streams": {stream: monitor.counts() for stream, monitor in bench.monitors.items()},
    }
    write_json(FOLDER / "measured.json", MEASURED)


def _describe(payload: int) -> str:
    stream = DESIGN.streams["results"]
    row = np.frombuffer(payload.to_bytes(stream.size, "little"), np.uint8)[None]
    return ", ".join(
        f"{name} {' '.join(f'{value:x}' for value in values[0])}"
        for name, values in stream.unpack(row).items()
    )
