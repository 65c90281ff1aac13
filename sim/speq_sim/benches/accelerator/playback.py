"""The cocotb side: carries out a plan through the host library, and measures."""

import json
import os
import random
import time
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.task import bridge
from numpy.typing import NDArray

from speq_sim.benches.accelerator.plan import Plan, Round
from speq_sim.benches.accelerator.transport import SimulationTransport
from speq_sim.benches.axi import Uniform
from speq_sim.host import Device, Matrix

FOLDER_VARIABLE = "SPEQ_PLAN"


@cocotb.test()
async def plan(dut: Any) -> None:
    """Carry out the plan of a folder; leave results and measurements there."""
    folder = Path(os.environ[FOLDER_VARIABLE])
    transport = SimulationTransport(dut)
    await transport.start()
    side_car = json.loads(Path(os.environ["SPEQ_SIDE_CAR"]).read_text(encoding="utf-8"))
    measured, results = await bridge(carry_out)(transport, side_car, Plan.read(folder))
    np.savez(folder / "results.npz", **results)
    (folder / "measured.json").write_text(json.dumps(measured), encoding="utf-8")


def carry_out(
    transport: SimulationTransport, side_car: dict[str, Any], work: Plan
) -> tuple[dict[str, Any], dict[str, NDArray[np.floating]]]:
    """All rounds; their measurements by name, and results as ``<round>/<step>``."""
    device = Device(transport, side_car)
    matrices = {name: device.load(tensor) for name, tensor in work.matrices.items()}
    measured, results = {}, {}
    for number, round_ in enumerate(work.rounds):
        _disturb(transport, round_, seed=number)
        measured[round_.name], found = _carry_out(transport, device, matrices, work, round_)
        results |= {f"{round_.name}/{step}": raw for step, raw in enumerate(found)}
    return measured, results


def _carry_out(
    transport: SimulationTransport,
    device: Device,
    matrices: dict[str, Matrix],
    work: Plan,
    round_: Round,
) -> tuple[dict[str, Any], list[NDArray[np.floating]]]:
    monitor = transport.memory.monitor
    device.clear_counters()
    monitor.restart()
    begun = time.perf_counter()
    tokens = work.tokens(round_.steps)
    found = []
    for step, activations in zip(round_.steps, tokens, strict=True):
        device.submit(
            matrices[step.matrix],
            step.mode,
            activations if step.activations else None,
            tokens=len(activations),
        )
    found = [device.collect().raw for _ in round_.steps]
    return device.counters() | {
        "seconds": time.perf_counter() - begun,
        "simulated_cycles": monitor.cycles,
        "bursts": len(monitor.bursts),
        "most_outstanding": monitor.most_outstanding,
    }, found


def _disturb(transport: SimulationTransport, round_: Round, seed: int) -> None:
    memory = round_.memory
    transport.memory.latency = Uniform(memory.low, memory.high, seed)
    transport.memory.outstanding = memory.outstanding
    transport.source.pauses = _stalls(round_.stalls, 2 * seed)
    transport.sink.pauses = _stalls(round_.stalls, 2 * seed + 1)


def _stalls(share: float, seed: int) -> Iterator[bool]:
    if not share:
        return repeat(False)
    generator = random.Random(seed)
    return iter(lambda: generator.random() < share, None)
