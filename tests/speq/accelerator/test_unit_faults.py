"""Faults of the whole unit: on its emitted Verilog, between bus models, under cocotb."""

import pytest
from unit_simulation import simulate
from unit_workload import DESIGN, DESIGN_VARIABLE, DESIGNS

from speq.accelerator.emission import emit

BENCHES = {
    "unit_faults_bench": 43,
    "unit_commands_bench": 8,
    "unit_stops_bench": 22,
    "unit_library_bench": 3,
}
"""Benches, and how many tests each has."""


@pytest.fixture(scope="module")
def emission(tmp_path_factory):
    return emit(DESIGN, tmp_path_factory.mktemp("unit"))


@pytest.mark.parametrize("bench", BENCHES)
def test_unit(emission, tmp_path, bench):
    assert len(simulate(emission, tmp_path, bench)) == BENCHES[bench]


def test_soak(emission, tmp_path):
    assert len(simulate(emission, tmp_path, "unit_soak_bench", SPEQ_SOAK_SEEDS="1,2,3,4")) == 4


def test_faults_of_a_design_of_all_modes(tmp_path):
    emission = emit(DESIGNS["all_modes"], tmp_path)
    environment = design("all_modes")
    tests = [
        *(f"read_errors_of_each_beat/mode={mode}/plane=0" for mode in ("qdraft", "qverify")),
        *(f"read_errors_of_each_beat/mode=middle/plane={plane}" for plane in (0, 1)),
    ]
    simulate(emission, tmp_path / "faults", "unit_faults_bench", tests, **environment)
    tests = ["modes_that_are_not_built_in"]
    simulate(emission, tmp_path / "commands", "unit_commands_bench", tests, **environment)
    simulate(emission, tmp_path / "library", "unit_library_bench", **environment)
    environment |= {"SPEQ_SOAK_SEEDS": "1,2"}
    simulate(emission, tmp_path / "soak", "unit_soak_bench", **environment)


def test_read_errors_of_a_design_without_draft(tmp_path):
    emission = emit(DESIGNS["verify_only"], tmp_path)
    tests = ["read_errors_of_each_beat/mode=plain/plane=0"]
    simulate(emission, tmp_path / "run", "unit_faults_bench", tests, **design("verify_only"))


def design(name):
    """Environment that lets a bench take another design."""
    return {DESIGN_VARIABLE: name}


@pytest.mark.slow
@pytest.mark.parametrize("name", DESIGNS)
def test_soak_of_other_designs(tmp_path, name):
    emission = emit(DESIGNS[name], tmp_path)
    seeds = ",".join(map(str, range(500, 530)))
    simulate(emission, tmp_path, "unit_soak_bench", SPEQ_SOAK_SEEDS=seeds, **design(name))


@pytest.mark.slow
def test_stops_and_resets_at_many_moments(emission, tmp_path):
    simulate(emission, tmp_path, "unit_stops_bench", SPEQ_MOMENTS="60")


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1000, 1200, 50))
def test_long_soak(emission, tmp_path, first):
    seeds = ",".join(map(str, range(first, first + 50)))
    tests = simulate(emission, tmp_path, "unit_soak_bench", SPEQ_SOAK_SEEDS=seeds)
    assert len(tests) == 50
