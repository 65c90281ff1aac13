"""The emitted array against the golden model, bit for bit, under every treatment of its streams."""

from pathlib import Path

import numpy as np
import pytest
from array_designs import COMPILED, DESIGNS, emit, random_of

from speq.parameters import Parameters
from speq_sim.benches.cases import STREAMS, Case
from speq_sim.benches.payload import Design
from speq_sim.benches.running import play
from speq_sim.benches.stimuli import KINDS, case_of, random_job, random_jobs
from speq_sim.jobs import Job

STALLS = dict.fromkeys(STREAMS, 0.3)


def _single_tiles(random: np.random.Generator, parameters: Parameters, count: int) -> list[Job]:
    """Jobs of one tile each, so that the mode changes on every tile."""
    return [
        random_job(
            random,
            parameters,
            mode,
            tokens=int(random.integers(1, parameters.tokens + 1)),
            outputs=int(random.integers(1, parameters.rows + 1)),
            depth=int(random.integers(1, parameters.tile_depth(mode) + 1)),
        )
        for mode in (parameters.modes[index % len(parameters.modes)] for index in range(count))
    ]


def _kinds(random: np.random.Generator, parameters: Parameters) -> list[Job]:
    """Each kind of operands in each mode, two tiles deep, no padding."""
    return [
        random_job(
            random,
            parameters,
            mode,
            tokens=parameters.tokens,
            outputs=parameters.rows,
            depth=2 * parameters.tile_depth(mode),
            kind=kind,
            plain=mode == "verify" and plain,
        )
        for kind in KINDS
        for mode in parameters.modes
        for plain in ((False, True) if parameters.packs and mode == "verify" else (True,))
    ]


def _cases(design: Design, parameters: Parameters) -> list[Case]:
    def case(name: str, jobs: list[Job], **options: object) -> Case:
        return case_of(name, design, parameters, jobs, **options)

    random = random_of(parameters.name)
    stalls = case("stalls", random_jobs(random, parameters, 3), pauses=STALLS, probe_ready=True)
    resets = [int(cycles) for cycles in random.integers(1, 120, 6)]
    if parameters.multipliers > 32:
        # An interpreted array of this size is slow; test_array_soak plays the rest compiled.
        return [stalls, case("every_tile_another_mode", _single_tiles(random, parameters, 8))]
    return [
        stalls,
        case("ideal", random_jobs(random, parameters, 4)),
        case("kinds", _kinds(random, parameters)),
        case("every_tile_another_mode", _single_tiles(random, parameters, 12)),
        case("stalls_and_mode_changes", _single_tiles(random, parameters, 12), pauses=STALLS),
        case("slow_results", _single_tiles(random, parameters, 8), pauses={"results": 0.8}),
        case("slow_weights", _single_tiles(random, parameters, 8), pauses={"weights": 0.7}),
        case("slow_tiles", _single_tiles(random, parameters, 8), pauses={"tiles": 0.9}),
        case("shy_sink", _single_tiles(random, parameters, 6), ready_after_valid=True),
        case("resets", random_jobs(random, parameters, 2), pauses=STALLS, resets=resets),
        case("resets_at_full_rate", random_jobs(random, parameters, 2), resets=range(5, 50, 9)),
    ]


@pytest.mark.parametrize("name", [name for name in DESIGNS if name not in COMPILED])
def test_every_result_is_exact(name: str, tmp_path: Path) -> None:
    parameters = DESIGNS[name]
    verilog, side_car = emit(parameters, tmp_path)
    design = Design.load(side_car)
    cases = _cases(design, parameters)
    measured = play(verilog, side_car, cases, tmp_path / "run").cases
    for case in cases:
        for stream in STREAMS:
            transferred = measured[case.name]["streams"][stream]["transfers"]
            assert transferred == len(case.payloads[stream])
    stalled = measured["stalls"]["streams"]
    assert all(stalled[stream]["stall_cycles"] for stream in STREAMS), "every stream must stall"
