"""Faults of the whole unit: on its emitted Verilog, between bus models, under cocotb."""

import pytest
from unit_workload import DESIGN

from speq.accelerator.emission import emit
from speq_sim.benches.accelerator.faults import SIDE_CAR_VARIABLE
from speq_sim.benches.simulators import run


@pytest.fixture(scope="module")
def emission(tmp_path_factory):
    return emit(DESIGN, tmp_path_factory.mktemp("unit"))


def simulate(emission, folder, bench, testcases=None):
    """Run tests of a bench; all must pass."""
    return run(
        emission.verilog,
        emission.top,
        bench,
        build_dir=emission.verilog.parent / "models",
        test_dir=folder,
        testcases=testcases,
        extra_env={SIDE_CAR_VARIABLE: str(emission.side_car)},
    ).tests


def test_faults_of_reads_and_packets(emission, tmp_path):
    assert len(simulate(emission, tmp_path, "unit_faults_bench")) == 35
