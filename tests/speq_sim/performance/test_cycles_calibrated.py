"""The Verilog, simulated here and now: its cycles beside the formula's and the recorded ones.

Results are exact as well.
"""

import json
from pathlib import Path

import pytest

from speq.modes import MODES
from speq_sim.benches.accelerator.cycle_baselines import DESIGNS, cycles
from speq_sim.benches.accelerator.cycle_points import CycleBench, CyclePoint
from speq_sim.performance.unit_cycles import chain_cycles, unit_cycles
from speq_sim.regression import compare

RECORD = Path(__file__).parents[3] / "baselines" / "cycles.json"

DESIGN = DESIGNS["small-p1"]

POINTS = [
    CyclePoint(outputs, inputs, mode, tokens)
    for outputs, inputs in ((64, 64), (52, 200), (8, 300))
    for mode in MODES
    for tokens in (1, DESIGN.tokens)
] + [CyclePoint(64, 32, "draft", 8), CyclePoint(60, 100, "verify", 3, plain=True)]

FIRST = CyclePoint(96, 128, "verify", 8)

CHAINS = {
    "the same": [FIRST, FIRST],
    "changing": [FIRST, CyclePoint(96, 128, "draft", 8), CyclePoint(96, 128, "middle", 2)],
    "kept": [FIRST, CyclePoint(64, 128, "verify", 8, keep=True)],
    "nothing ahead": [CyclePoint(96, 128, "draft", 1), FIRST],
}


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cycles")
    return CycleBench(DESIGN, folder, folder / "build", "-O0")


def predicted(point):
    sizes = (point.outputs, point.inputs, point.mode, point.tokens)
    return unit_cycles(DESIGN, *sizes, plain=point.plain, keep=point.keep)


@pytest.mark.parametrize("point", POINTS, ids=str)
def test_a_job_takes_the_cycles_of_the_formula(bench, point):
    found, wanted = bench.measure([point], check=True), predicted(point)
    assert found.wrong == 0
    assert (found.beats, found.words) == (wanted.beats, wanted.words)
    assert wanted.total == pytest.approx(found.cycles, rel=0.03)
    # The command check and accesses to registers are in the host's clock alone.
    assert found.cycles < found.host_cycles


@pytest.mark.parametrize("name", CHAINS)
def test_jobs_in_a_row_take_the_cycles_of_their_sum(bench, name):
    chain = CHAINS[name]
    found = bench.measure(chain, check=True)
    assert found.wrong == 0
    assert chain_cycles([predicted(point) for point in chain]) == pytest.approx(
        found.cycles, rel=0.03
    )


def test_most_points_are_exact(bench):
    exact = sum(bench.measure([point]).cycles == predicted(point).total for point in POINTS)
    assert exact >= 0.8 * len(POINTS)


PIPELINED = DESIGNS["tiny-p4"]


@pytest.fixture(scope="module")
def deep_bench(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deep")
    return CycleBench(PIPELINED, folder, folder / "build", "-O0")


def test_a_longer_pipeline_adds_its_stages_and_nothing_else(deep_bench):
    for mode in MODES:
        found = deep_bench.measure([CyclePoint(12, 70, mode, PIPELINED.tokens)], check=True)
        short, long = (
            unit_cycles(design, 12, 70, mode, PIPELINED.tokens)
            for design in (PIPELINED.replace(pipeline=1), PIPELINED)
        )
        assert found.wrong == 0
        stages = sum(PIPELINED.stages.values()) - 5
        # Activations that wait for a tile do so behind the columns' first stage.
        assert long.total == short.total + stages - (short.activations == 0)
        assert long.total == pytest.approx(found.cycles, rel=0.03)


@pytest.mark.parametrize(("name", "fixture"), [("small-p1", "bench"), ("tiny-p4", "deep_bench")])
def test_no_job_takes_a_cycle_more_than_recorded(name, fixture, request):
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    assert set(record["designs"]) == set(DESIGNS)
    recorded = {
        "versions": {},
        "designs": {name: record["designs"][name]},
        "figures": {
            job: sizes for job, sizes in record["figures"].items() if job.startswith(f"{name}/")
        },
    }
    measured = {
        "versions": {},
        "designs": {name: DESIGNS[name].as_dict()},
        "figures": cycles(name, request.getfixturevalue(fixture)),
    }
    found = compare(recorded, measured, f"cycles of {name}")
    assert found.entries == 32
    assert found.passes, found.markdown()

    # One cycle less on record would have been found out.
    job = next(iter(recorded["figures"]))
    recorded["figures"][job] = {"cycles": measured["figures"][job]["cycles"] - 1}
    assert not compare(recorded, measured, "one cycle more").passes
