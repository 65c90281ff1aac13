"""A bench for designs of many input streams and `results`, in cocotb."""

import random
from collections.abc import Iterator, Mapping
from itertools import repeat
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from speq_sim.benches.streams import StreamMonitor, StreamSink, StreamSource, random_pauses

PATIENCE = 300
"""Cycles without any transfer after which a bench gives up."""


class Bench:
    """A design with a source or sink at each stream; `slow` ones pause at random."""

    def __init__(
        self, dut: Any, inputs: tuple[str, ...], slow: tuple[str, ...] = (), late: bool = False
    ) -> None:
        self.dut = dut
        cocotb.start_soon(Clock(dut.clk, 2, "ns").start())
        dut.rst.value = 1
        names = (*inputs, "results")
        pauses = {name: self._pauses(name) if name in slow else repeat(False) for name in names}
        self.sources = {name: StreamSource(dut, name, pauses[name]) for name in inputs}
        self.sink = StreamSink(dut, "results", pauses["results"], ready_after_valid=late)
        self.monitors = {name: StreamMonitor(dut, name) for name in names}

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

    async def play(
        self, queues: Mapping[str, list[int]], late: tuple[str, ...] = (), ahead: int = 0
    ) -> None:
        """Reset, send all (what is `late` some cycles later), compare all."""
        await self.reset()
        for name in self.sources.keys() - set(late):
            self.sources[name].send(queues[name])
        await ClockCycles(self.dut.clk, ahead)
        for name in late:
            self.sources[name].send(queues[name])
        quiet, seen = 0, 0
        while len(self.results) < len(queues["results"]) and quiet < PATIENCE:
            await RisingEdge(self.dut.clk)
            total = sum(len(monitor.payloads) for monitor in self.monitors.values())
            quiet, seen = (quiet + 1, seen) if total == seen else (0, total)
        await ClockCycles(self.dut.clk, 20)
        for name, monitor in self.monitors.items():
            count = len(monitor.payloads)
            assert count == len(queues[name]), f"{count} of {len(queues[name])} {name}"
        wrong = [
            f"{place}: {got:#x}, not {wanted:#x}"
            for place, (got, wanted) in enumerate(zip(self.results, queues["results"], strict=True))
            if got != wanted
        ]
        assert not wrong, f"{len(wrong)} of {len(self.results)} results: {wrong[:3]}"

    @property
    def results(self) -> list[int]:
        return self.monitors["results"].payloads
