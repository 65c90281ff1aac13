"""The AXI models on toy designs: what they do when all is well."""

import shutil

import pytest
from toy_axi import emit

from speq_sim.benches.axi import Fixed, Uniform
from speq_sim.benches.simulators import run

READER_TESTS = (
    *(f"reads/memory={name}" for name in ("ideal", "slow", "gaps", "paused", "shy")),
    "an_ideal_memory_loses_no_cycle",
    *(f"a_latency_is_what_was_asked_for/cycles={cycles}" for cycles in (1, 2, 7, 100)),
    "latencies_of_bursts_overlap",
    "outstanding_bounds_what_is_accepted",
    "faults_come_on_their_beats",
    "a_reset_in_a_burst_forgets_it",
    "registers_are_written_and_read",
    "a_reset_ends_a_register_access",
    "wrong_parameters_are_refused",
)
LOOP_TESTS = (
    *(f"loop_carries_packets/paused={name}" for name in ("nothing", "both", "shy")),
    "loop_leaves_a_packet_open",
)


def simulate(folder, top, bench, tests, simulator=None, bits=64):
    """Run tests of a bench; all of them must run and pass."""
    done = run(
        emit(folder, top),
        top,
        bench,
        build_dir=folder / "models",
        test_dir=folder / "run",
        testcases=tests,
        parameters={"W": bits},
        simulator=simulator,
    )
    assert sorted(done.tests) == sorted(tests)


@pytest.mark.parametrize("bits", [64, 512])
def test_memory_and_registers(tmp_path, bits):
    simulate(tmp_path, "toy_reader", "toy_axi_bench", READER_TESTS, bits=bits)


@pytest.mark.parametrize("bits", [32, 1024])
def test_streams(tmp_path, bits):
    simulate(tmp_path, "toy_loop", "toy_axi_bench", LOOP_TESTS, bits=bits)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
def test_the_same_in_verilator(tmp_path):
    simulate(tmp_path, "toy_reader", "toy_axi_bench", READER_TESTS, "verilator", 256)
    simulate(tmp_path, "toy_loop", "toy_axi_bench", LOOP_TESTS, "verilator", 256)


def test_cocotbext_axi_drives_every_port_beside_our_monitors(tmp_path):
    bench = "toy_axi_library_bench"
    simulate(tmp_path, "toy_reader", bench, ["reads/paused=False", "reads/paused=True"])
    simulate(tmp_path, "toy_loop", bench, ["loop_carries_packets"])


def test_latencies():
    assert {Fixed(7)() for _ in range(5)} == {7}
    draws = [Uniform(3, 6, seed=1) for _ in range(2)]
    first, second = ([draw() for _ in range(200)] for draw in draws)
    assert first == second
    assert set(first) == {3, 4, 5, 6}
    with pytest.raises(ValueError, match="a latency of 0 cycles: the fastest memory takes 1"):
        Fixed(0)
    for low, high in ((0, 5), (6, 5)):
        with pytest.raises(ValueError, match="need 1 <= low <= high"):
            Uniform(low, high, seed=1)
