"""Cocotb tests of the scaled array on its emitted Verilog."""

import os
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles
from epilogue_streams import Bench
from scaled_workload import DESIGNS, Layer, layer, mixed_layer, random_of, transfers

from speq_sim.benches.payload import Design
from speq_sim.benches.streams import probe_ready

POINT = DESIGNS[os.environ.get("SPEQ_SCALED", "one_lane")]
PARAMETERS, MODES = POINT.parameters, POINT.parameters.modes
SIDE_CAR = os.environ.get("SPEQ_SCALED_SIDE_CAR")
DESIGN = Design.load(Path(SIDE_CAR)) if SIDE_CAR else None
ROUNDS = int(os.environ.get("SPEQ_SCALED_ROUNDS", "1"))
INPUTS = ("tiles", "weights", "activations", "outputs", "scales", "tokens")
SLOW = [(), ("results",), ("outputs", "scales", "tokens"), (*INPUTS, "results")]
"""Streams that pause at random."""
COMPUTED = ("weights", "tiles", "activations")


def bench_of(dut: Any, slow: tuple[str, ...] = (), late: bool = False) -> Bench:
    return Bench(dut, INPUTS, slow, late)


def generator_of(label: object) -> np.random.Generator:
    return random_of(cocotb.RANDOM_SEED, PARAMETERS.name, label)


def queues_of(layers: Iterable[Layer]) -> dict[str, list[int]]:
    return transfers(POINT, DESIGN, layers)


def some_layers(label: object) -> list[Layer]:
    """A layer in each mode, one after the other, and jobs whose tiles are of all modes."""
    generator = generator_of(label)
    layers = [layer(generator, POINT, mode) for mode in MODES * ROUNDS]
    mixed = [mixed_layer(generator, POINT, len(MODES) + 1) for _ in range(ROUNDS)]
    return layers + mixed


@cocotb.test()
@cocotb.parametrize(slow=SLOW)
async def every_layer_whatever_stalls(dut: Any, slow: tuple[str, ...]) -> None:
    await bench_of(dut, slow).play(queues_of(some_layers(slow)))


@cocotb.test()
@cocotb.parametrize(late=["outputs", "scales", "tokens"])
async def results_wait_for_what_is_late(dut: Any, late: str) -> None:
    generator = generator_of(late)
    layers = [layer(generator, POINT, MODES[-1], tiles=1) for _ in range(3)]
    await bench_of(dut).play(queues_of(layers), late=(late,), ahead=200)


@cocotb.test()
async def valid_never_waits_for_ready(dut: Any) -> None:
    bench = bench_of(dut, ("tiles", "outputs"), late=True)
    cocotb.start_soon(probe_ready(dut, "results"))
    await bench.play(queues_of([mixed_layer(generator_of("late"), POINT, len(MODES))]))


@cocotb.test()
async def a_reset_forgets_everything(dut: Any) -> None:
    bench = bench_of(dut, ("scales", "results"))
    moments = random.Random(cocotb.RANDOM_SEED)
    queues = queues_of(some_layers("reset"))
    for _ in range(4):
        await bench.reset()
        for name, source in bench.sources.items():
            source.send(queues[name])
        await ClockCycles(dut.clk, moments.randint(5, 120))
    await bench.play(queues)


@cocotb.test()
async def a_result_comes_after_the_cycles_of_the_side_car(dut: Any) -> None:
    bench = bench_of(dut)
    work = layer(generator_of("latency"), POINT, "verify", tokens=1, tiles=1, depth=1)
    await bench.play(queues_of([work]), late=COMPUTED, ahead=2 * PARAMETERS.rows)
    begun = bench.monitors["activations"].cycles[-1]
    assert bench.monitors["results"].cycles[0] - begun == DESIGN.latency["total"]


@cocotb.test(skip=POINT.parts * PARAMETERS.tokens < PARAMETERS.load_cycles)
async def results_follow_each_other_without_a_gap(dut: Any) -> None:
    """From token to token, tile to tile and job to job, where tiles load as fast."""
    bench, generator = bench_of(dut), generator_of("rate")
    full = {"tokens": PARAMETERS.tokens, "depth": 1}
    layers = [layer(generator, POINT, "verify", tiles=3, **full) for _ in range(3)]
    ahead = 2 * PARAMETERS.tokens * PARAMETERS.rows
    await bench.play(queues_of(layers), late=COMPUTED, ahead=ahead)
    cycles = bench.monitors["results"].cycles
    assert cycles[-1] - cycles[0] + 1 == len(cycles)


def _busy_mode() -> str | None:
    """The first mode in which computing a tile takes as long as loading one, if there is one."""
    full = [mode for mode in MODES if PARAMETERS.balance_tokens(mode) <= PARAMETERS.tokens]
    return full[0] if full and POINT.parts > 1 else None


@cocotb.test(skip=_busy_mode() is None)
async def the_array_never_stops_if_results_may_wait(dut: Any) -> None:
    """A token has as many beats in all as parts, but fewer in its last tile: a queue helps."""
    bench, mode = bench_of(dut), _busy_mode()
    beats = PARAMETERS.beats_per_token(mode)
    depth = -(-POINT.parts // beats) * PARAMETERS.tile_depth(mode)
    tokens = PARAMETERS.tokens
    work = layer(generator_of("queue"), POINT, mode, depth=depth, tokens=tokens, tiles=5)
    await bench.play(queues_of([work]))
    cycles = bench.monitors["activations"].cycles
    stopped = cycles[-1] - cycles[0] + 1 - len(cycles)
    expected = POINT.queue == 0 and beats < POINT.parts
    assert (stopped > 0) == expected, f"stopped for {stopped} cycles"
