"""A real weight tile through an emitted design: each mode, and the mode changing on every tile.

The weights are packed as a user would pack them; activations are real too. Results are compared bit
for bit with the golden model, cycles are counted by the monitors in simulation.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from speq.modes import INTEGER_MODES
from speq.parameters import Parameters
from speq.yosys import yosys_version
from speq_sim.benches.cases import STREAMS, Case
from speq_sim.benches.compiled import Compiled
from speq_sim.benches.finding import SimulatorError, find_simulator
from speq_sim.benches.finding import describe as describe_cocotb
from speq_sim.benches.packed_tile import PackedTile
from speq_sim.benches.payload import Design
from speq_sim.benches.running import SEED, play
from speq_sim.benches.simulators import SimulationError
from speq_sim.benches.stimuli import case_of
from speq_sim.jobs import Job

__all__ = ["COMPILED", "describe", "simulate"]

CHANGES = 48
"""Tiles of each mode in the run that changes mode on every tile."""


COMPILED = "compiled"
"""The simulator that pip alone provides."""


@dataclasses.dataclass(frozen=True)
class _Played:
    """Which simulator played, the streams' counts of each case, and what is wrong with which.

    Under cocotb a failing case leaves no counts, of the others neither.
    """

    simulator: str
    counts: Mapping[str, Mapping[str, Mapping[str, int]]]
    failed: Mapping[str, str]
    waveform: str | None = None


def simulate(
    parameters: Parameters,
    verilog: Path,
    side_car: Path,
    tile: PackedTile,
    folder: Path,
    *,
    modes: Sequence[str] | None = None,
    simulator: str | None = None,
    seed: int = SEED,
    waves: bool = False,
) -> dict[str, Any]:
    """Simulate an emitted design on a real tile.

    Parameters
    ----------
    parameters : Parameters
        The design point that was emitted.
    verilog, side_car : Path
        The emitted design.
    tile : PackedTile
        Weights and activations; :func:`read` cuts one that takes seconds.
    folder : Path
        Where everything of the simulation is written.
    modes : sequence of str, optional
        Runs to make: modes of the design, and ``"changing"`` (with its control ``"grouped"``: the
        same tiles, mode after mode); by default all that the design has.
    simulator : str, optional
        ``"icarus"``, ``"verilator"`` (both under cocotb, streams monitored) or :data:`COMPILED`;
        by default Icarus, and where it is missing the compiled one.
    seed, waves
        See :func:`speq_sim.benches.running.play`. Only cocotb records waves, under Icarus or, where
        it is missing, Verilator.

    Returns
    -------
    dict
        ``bit_exact`` (of all runs), ``error`` (None, or what differed first), ``simulator``,
        ``waveform``, ``tile`` (rows, columns and tokens) and ``runs``: per run ``bit_exact``,
        ``tiles``, ``results``, ``macs``, ``cycles`` (from the first beat to the last),
        ``macs_per_cycle``, ``peak_macs_per_cycle``, ``activation_port_busy`` (fraction of those
        cycles) and ``total_cycles`` (from the first transfer to the last result). Of
        ``"changing"`` also ``cycles_lost_to_mode_changes``: how much longer it took than
        ``"grouped"``.

    Raises
    ------
    SimulatorError
        If there is no simulator.
    ValueError
        If a run does not exist, or waves are asked of the compiled simulation.
    """
    design = Design.load(side_car)
    runs = _runs(parameters, tile, modes)
    cases = [case_of(name, design, parameters, jobs) for name, jobs in runs.items()]
    if simulator is None and not waves and not icarus_is_there():
        simulator = COMPILED
    if simulator == COMPILED and waves:
        raise ValueError(
            "the compiled simulation records no waveform: leave waves out, or use icarus or "
            "verilator"
        )
    if simulator == COMPILED:
        played = _play_compiled(verilog, side_car, cases, folder, seed)
    else:
        played = _play(verilog, side_car, cases, folder, simulator, seed, waves)
    figures = {name: {"bit_exact": name not in played.failed} for name in runs}
    for name, counts in played.counts.items():
        figures[name] |= _figures(parameters, counts, runs[name])
    changing = figures.get("changing", {})
    if {"changing", "grouped"} <= set(played.counts):
        lost = changing["cycles"] - figures["grouped"]["cycles"]
        changing["cycles_lost_to_mode_changes"] = lost
    return {
        "bit_exact": all(run["bit_exact"] for run in figures.values()),
        "error": "; ".join(f"{name}: {text}" for name, text in played.failed.items()) or None,
        "simulator": played.simulator,
        "waveform": played.waveform,
        "tile": {
            "rows": tile.words.shape[0],
            "columns": tile.words.shape[1],
            "tokens": tile.activations.shape[0],
        },
        "runs": figures,
    }


def icarus_is_there() -> bool:
    """Whether cocotb can run Icarus Verilog here."""
    try:
        find_simulator("icarus")
    except SimulatorError:
        return False
    return True


def describe(simulator: str | None = None) -> str:
    """One line for the user: which simulator :func:`simulate` uses, and why."""
    if simulator == COMPILED or (simulator is None and not icarus_is_there()):
        why = "it was asked for" if simulator else "Icarus Verilog is not installed"
        return f"Yosys CXXRTL (installed by pip, compiled to machine code): {why}"
    return describe_cocotb(simulator)


def _play(
    verilog: Path,
    side_car: Path,
    cases: Sequence[Case],
    folder: Path,
    simulator: str | None,
    seed: int,
    waves: bool,
) -> _Played:
    """Under cocotb, with all streams monitored."""
    chosen = find_simulator(simulator)
    title = f"{chosen.name} {chosen.version}"
    try:
        played = play(verilog, side_car, cases, folder, simulator=simulator, seed=seed, waves=waves)
    except SimulationError as failure:
        failed = {name.partition("=")[2]: text for name, text in failure.failures}
        if not failed:
            raise
        return _Played(title, {}, failed)
    counts = {name: case["streams"] for name, case in played.cases.items()}
    return _Played(title, counts, {}, str(played.run.waveform or "") or None)


def _play_compiled(
    verilog: Path, side_car: Path, cases: Sequence[Case], folder: Path, seed: int
) -> _Played:
    """Compiled to machine code: needs nothing but Yosys and a C++ compiler."""
    compiled = Compiled(verilog, side_car, folder / "model")
    counts, failed = {}, {}
    for case in cases:
        expected = case.payloads["results"]
        played = compiled.play(case.payloads, len(expected), seed=seed)
        wrong = np.flatnonzero((played.results != expected).any(axis=1))
        if wrong.size:
            failed[case.name] = f"{wrong.size} results differ, the first is {wrong[0]}"
        counts[case.name] = played.counts
    return _Played(f"CXXRTL of Yosys {yosys_version()}", counts, failed)


def _runs(
    parameters: Parameters, tile: PackedTile, modes: Sequence[str] | None
) -> dict[str, list[Job]]:
    # Drafts first, what verifies them last.
    order = (*(mode for mode in parameters.modes if mode != "verify"), "verify")
    runs = {mode: [_job(parameters, tile, mode)] for mode in order}
    if len(order) > 1:
        blocks = _blocks(parameters, tile, order)
        runs["changing"] = [job for jobs in zip(*blocks, strict=True) for job in jobs]
        runs["grouped"] = [job for jobs in blocks for job in jobs]
    unknown = sorted(set(modes or ()) - set(runs))
    if unknown:
        raise ValueError(
            f"run {unknown[0]!r} is not one of design {parameters.name!r}: use {', '.join(runs)}"
        )
    wanted = set(runs if modes is None else modes)
    wanted |= {"grouped"} & set(runs) if "changing" in wanted else set()
    return {name: jobs for name, jobs in runs.items() if name in wanted}


def _job(
    parameters: Parameters,
    tile: PackedTile,
    mode: str,
    rows: slice = slice(None),
    depth: slice = slice(None),
) -> Job:
    """The product of some rows and inputs in a mode, in the form that the design takes."""
    if mode in INTEGER_MODES:
        return tile.integer_job(mode, rows, depth)
    return tile.job(mode, rows, depth) if parameters.packs else tile.plain_job(rows, depth)


def _blocks(parameters: Parameters, tile: PackedTile, modes: Sequence[str]) -> list[list[Job]]:
    """For each mode equally many blocks of the tile, one array tile each."""
    down, across = tile.words.shape
    corners = {
        mode: [
            (slice(row, row + parameters.rows), slice(start, start + parameters.tile_depth(mode)))
            for row in range(0, down, parameters.rows)
            for start in range(0, across, parameters.tile_depth(mode))
        ]
        for mode in modes
    }
    count = min(CHANGES, *map(len, corners.values()))
    return [
        [_job(parameters, tile, mode, *corner) for corner in corners[mode][:count]]
        for mode in modes
    ]


def _figures(
    parameters: Parameters, streams: Mapping[str, Mapping[str, int]], jobs: Sequence[Job]
) -> dict[str, Any]:
    beats_stream = streams["activations"]
    cycles = beats_stream["last_cycle"] - beats_stream["first_cycle"] + 1
    # Padded rows and columns keep elements busy, but are no work.
    macs = sum(job.tokens * job.outputs * job.depth for job in jobs)
    beats = [_beats(parameters, job) for job in jobs]
    peaks = [parameters.peak_macs_per_cycle(job.mode) for job in jobs]
    first = min(streams[name]["first_cycle"] for name in STREAMS)
    return {
        "tiles": streams["tiles"]["transfers"],
        "results": streams["results"]["transfers"] * parameters.rows,
        "macs": macs,
        "cycles": cycles,
        "macs_per_cycle": round(macs / cycles, 3),
        "peak_macs_per_cycle": round(float(np.average(peaks, weights=beats)), 3),
        "activation_port_busy": round(beats_stream["transfers"] / cycles, 4),
        "total_cycles": streams["results"]["last_cycle"] - first + 1,
    }


def _beats(parameters: Parameters, job: Job) -> int:
    down = -(-job.outputs // parameters.rows)
    across = -(-job.depth // parameters.tile_depth(job.mode))
    return down * across * parameters.compute_cycles(job.mode, job.tokens)
