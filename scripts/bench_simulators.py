"""Time the accelerator in Amaranth's own simulator, beside what run_sim.py measured in another.

The datapath (everything but the bus ports) verifies, with weights on every cycle, in the
simulator that is pure Python. Elaborating an array of 16 x 16 for it takes a minute.

  python scripts/bench_simulators.py edge --beside layer.json
"""

import argparse
import json
import random
import time
from pathlib import Path
from typing import Any

from amaranth.hdl import Fragment
from amaranth.sim import Simulator
from rich.table import Table

import _cli
from speq.accelerator.engine import Engine, plane_names
from speq.block import inlined
from speq.parameters import Parameters

OUTPUT_TILES = 1000
"""More than the cycles that are timed need, so that the job never ends."""


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = _cli.parser(__doc__)
    parser.add_argument(
        "--cycles", type=int, default=100, help="cycles to time (default: %(default)s)"
    )
    parser.add_argument(
        "--beside",
        metavar="PATH",
        type=Path,
        help="record of run_sim.py --unit accelerator, for the same design",
    )
    return parser.parse_args()


def timed(parameters: Parameters, cycles: int) -> dict[str, Any]:
    """Seconds to elaborate, and cycles per second of a VERIFY job with all tokens."""
    engine = Engine(parameters)
    begun = time.perf_counter()
    with inlined():
        simulator = Simulator(Fragment.get(engine, None))
    elaborated = time.perf_counter() - begun
    simulator.add_clock(2e-9)
    taken: dict[str, float] = {}

    async def bench(context: Any) -> None:
        await _start(context, engine)
        generator = random.Random(1)
        words = begun = 0
        for cycle in range(-2 * parameters.load_cycles, cycles):
            if cycle == 0:
                begun, words = time.perf_counter(), 0
            for name in plane_names(parameters):
                payload = generator.getrandbits(parameters.port_bits)
                context.set(getattr(engine, name).payload, payload)
            await context.tick()
            words += context.get(engine.word)
        taken.update(seconds=time.perf_counter() - begun, words=words)

    simulator.add_testbench(bench)
    with _cli.progress() as step:
        step(f"{cycles} cycles of {parameters.name} in Amaranth's simulator")
        simulator.run()
    return {
        "simulator": "amaranth.sim",
        "seconds_to_elaborate": round(elaborated, 1),
        "cycles": cycles,
        "weight_port_busy": round(taken["words"] / cycles, 3),
        "simulated_cycles_per_second": round(cycles / taken["seconds"], 2),
    }


async def _start(context: Any, engine: Engine) -> None:
    """Give the engine a job of one group of inputs, its activations, and endless weights."""
    design = engine.parameters
    job = {"groups": 1, "output_tiles": OUTPUT_TILES}
    if design.tokens > 1:
        job["last_token"] = design.tokens - 1
    for part, values in (
        ("tiles", job),
        ("play", job),
        ("results", job),
        ("load", job | {"inputs": design.group_inputs}),
    ):
        view = engine.jobs.payload[part]
        for name, value in values.items():
            if name in dict(view.shape()):
                context.set(view[name], value)
    if design.packs:
        # Plain words need neither shifts nor records, and use every weight as it comes.
        for part in ("tiles", "play"):
            context.set(engine.jobs.payload[part].plain, 1)
    context.set(engine.jobs.valid, 1)
    context.set(engine.results.ready, 1)
    context.set(engine.fetch.ready, 1)
    await context.tick()
    context.set(engine.jobs.valid, 0)
    for name in plane_names(design):
        context.set(getattr(engine, name).valid, 1)
    beats = design.tokens * design.group_inputs // design.port_words
    sent = 0
    generator = random.Random(2)
    context.set(engine.activations.valid, 1)
    while sent < beats:
        context.set(engine.activations.payload.data, generator.getrandbits(design.port_bits))
        context.set(engine.activations.payload.last, sent == beats - 1)
        _, _, ready = await context.tick().sample(engine.activations.ready)
        sent += ready
    context.set(engine.activations.valid, 0)


def show(figures: dict[str, Any]) -> None:
    """Print both speeds."""
    table = Table()
    table.add_column("simulator")
    table.add_column("cycles per second", justify="right")
    for entry in (figures["python"], figures["beside"]):
        if entry is not None:
            table.add_row(entry["simulator"], f"{entry['simulated_cycles_per_second']:,.1f}")
    _cli.console.print(table)
    if figures["ratio"]:
        _cli.console.print(f"{figures['ratio']:,.0f} times as fast", highlight=False)


def run() -> int:
    """Time, compare, show."""
    options = arguments()
    parameters = _cli.design_of(options)
    beside, ratio = None, None
    if options.beside:
        record = json.loads(options.beside.read_text(encoding="utf-8"))
        beside = {key: record[key] for key in ("simulator", "simulated_cycles_per_second")}
    python = timed(parameters, options.cycles)
    if beside:
        key = "simulated_cycles_per_second"
        ratio = round(beside[key] / python[key], 1)
    figures = {
        "design": parameters.as_dict(),
        "python": python,
        "beside": beside,
        "ratio": ratio,
    }
    _cli.write_json(options.json, figures)
    show(figures)
    return 0


if __name__ == "__main__":
    _cli.main(run)
