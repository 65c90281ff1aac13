"""The accelerator for FPGAs, compiled: every mode, chains of modes, and the pace of the memory."""

import pytest

from speq.modes import MODES
from speq.parameters import Parameters
from speq_sim.benches.accelerator.cycle_points import CycleBench, CyclePoint

DESIGN = Parameters(
    name="unit_fpga",
    rows=4,
    columns=4,
    port_words=4,
    tokens=4,
    modes=MODES,
    family="spare-1",
    pipeline=4,
    target="fpga",
    address_bits=20,
    activation_values=1024,
)
OVERHEAD = 200
"""Cycles of a job beyond those of its words: its commands, the first burst, and all stages."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unit_fpga")
    return CycleBench(DESIGN, folder, folder / "build", "-O0")


@pytest.mark.parametrize("tokens", [1, DESIGN.tokens])
@pytest.mark.parametrize("mode", MODES)
def test_jobs_are_bit_exact(bench, mode, tokens):
    assert bench.measure((CyclePoint(22, 100, mode, tokens),)).wrong is None


def test_jobs_in_a_row_change_the_mode(bench):
    modes = ("draft", "verify", "qdraft", "middle", "qverify", "draft", "verify")
    points = [CyclePoint(12, 48, mode, 1 + n % DESIGN.tokens) for n, mode in enumerate(modes)]
    assert bench.measure((*points, CyclePoint(12, 48, "verify", 3, plain=True))).wrong is None


@pytest.mark.parametrize("mode", ["draft", "verify"])
def test_the_weight_port_keeps_its_pace(bench, mode):
    """Buffers between the units cost a job some cycles at its start, and none of its tiles."""
    measured = bench.measure((CyclePoint(64, 256, mode, 1),))
    assert measured.wrong is None
    assert measured.words <= measured.cycles < measured.words * 1.1 + OVERHEAD
