"""Counting on a small array mapped to our own cells: 1 x 2 PEs, VERIFY."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

from speq.formats import family
from speq.synthesis.gates import Gates, read_gates
from speq.synthesis.netlist import map_netlist
from speq_sim.benches.activity import (
    Activity,
    ActivityError,
    Run,
    measure_activity,
    runs_of,
)
from speq_sim.benches.gate_level import GateSimulator
from speq_sim.benches.packed_tile import PackedTile
from speq_sim.benches.payload import Design
from speq_sim.jobs import Job

sys.path.append(str(Path(__file__).parents[2] / "speq/synthesis"))
from netlist_design import DESIGN, emitted, library

INPUTS = 12


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Gates, Design]:
    folder = tmp_path_factory.mktemp("activity")
    emission = emitted(folder)
    netlist = map_netlist(emission.verilog, emission.top, library(), folder)
    return read_gates(netlist, folder), Design.load(emission.side_car)


@pytest.fixture(scope="module")
def tile() -> PackedTile:
    random = np.random.default_rng(3)
    weights = random.normal(0, 0.05, (4, INPUTS)).astype(np.float16)
    activations = random.normal(0, 1, (3, INPUTS)).astype(np.float16)
    return PackedTile.pack(weights, activations, family("fitted-1"))


@pytest.fixture(scope="module")
def counted(mapped, tile) -> Activity:
    return measure_activity(*mapped, DESIGN, runs_of(DESIGN, tile, "verify", 1))


def test_runs_have_outputs_and_tokens_of_their_own(tile):
    runs = runs_of(DESIGN, tile, "verify", 1)
    assert len(runs) == 4 * 3
    assert {run.counted.depth for run in runs} == {INPUTS}
    assert {run.before.depth for run in runs} == {DESIGN.columns}
    assert (
        len({run.counted.codes.tobytes() + run.counted.activations.tobytes() for run in runs}) == 12
    )
    assert len(runs_of(DESIGN, tile, "verify", 1, limit=5)) == 5


def test_a_tile_that_is_too_small_is_refused(tile):
    with pytest.raises(ValueError, match="with 2 of at most 1 tokens"):
        runs_of(DESIGN, tile, "verify", 2)


def test_work_is_counted_exactly(counted):
    # One weight a cycle for two PEs: two cycles a tile, six tiles, twelve runs.
    assert counted.cycles == 12 * 2 * (INPUTS // 2)
    assert counted.macs == 12 * INPUTS
    assert counted.words == counted.cycles
    assert counted.results == 12


def test_every_net_is_within_bounds(counted, mapped):
    gates, _ = mapped
    assert counted.activity.min() >= 0
    assert counted.activity.max() <= 1
    assert (
        counted.toggles <= 2 * np.minimum(counted.ones, counted.cycles - counted.ones) + 24
    ).all()
    assert counted.activity[:2].tolist() == [0, 0]
    assert counted.duty[:2].tolist() == [0, 1]
    # Results are taken as soon as they come, and one cycle in each run has one.
    ready, valid = (int(gates.ports[f"results__{name}"][1][0]) for name in ("ready", "valid"))
    assert (counted.duty[ready], counted.ones[valid]) == (1, 12)


def test_zeros_move_less_than_weights(mapped, tile, counted):
    none = dataclasses.replace(tile, activations=np.zeros_like(tile.activations))
    quiet = measure_activity(*mapped, DESIGN, runs_of(DESIGN, none, "verify", 1))
    assert quiet.toggles.sum() < counted.toggles.sum()


def test_a_run_does_not_depend_on_those_beside_it(mapped, tile):
    runs = runs_of(DESIGN, tile, "verify", 1, limit=4)
    together = measure_activity(*mapped, DESIGN, runs)
    alone = [measure_activity(*mapped, DESIGN, [run]) for run in runs]
    assert (together.toggles == sum(each.toggles for each in alone)).all()
    assert (together.ones == sum(each.ones for each in alone)).all()


def test_a_wrong_netlist_is_found_out(mapped, tile):
    gates, design = mapped
    kind = "XOR2"
    pins = {pin: nets.copy() for pin, nets in gates.pins[kind].items()}
    pins["B"][:] = 0
    broken = dataclasses.replace(gates, pins=gates.pins | {kind: pins})
    with pytest.raises(ActivityError, match="netlist"):
        measure_activity(broken, design, DESIGN, runs_of(DESIGN, tile, "verify", 1))


def test_runs_that_fall_out_of_step_are_refused(mapped):
    random = np.random.default_rng(0)

    def job(depth: int) -> Job:
        values = random.normal(0, 1, (2, depth)).astype(np.float16)
        return Job.plain(values[:1], values[1:])

    runs = [Run(job(2), job(depth), job(2)) for depth in (4, 6)]
    with pytest.raises(ValueError):
        measure_activity(*mapped, DESIGN, runs)


def test_gates_in_a_loop_are_refused(mapped):
    gates, _ = mapped
    pins = {pin: nets.copy() for pin, nets in gates.pins["INV"].items()}
    pins["A"][0] = pins["Y"][0]
    looped = dataclasses.replace(gates, pins=gates.pins | {"INV": pins})
    with pytest.raises(ValueError, match="form a loop without a register"):
        GateSimulator(looped)
