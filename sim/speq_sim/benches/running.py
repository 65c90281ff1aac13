"""Run a bench: a job on an emitted design, in a simulator, and what it measured."""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from speq_sim.benches.cases import JOB_VARIABLE, Case, save_job
from speq_sim.benches.payload import Design

__all__ = ["BenchError", "play"]

SEED = 1
"""Seed of the pauses unless the caller gives another; a failing case prints its own."""


class BenchError(AssertionError):
    """A case failed, or the simulation ended before all of them were played."""


def play(
    verilog: Path,
    side_car: Path,
    cases: Sequence[Case],
    folder: Path,
    *,
    simulator: str | None = None,
    seed: int = SEED,
    waves: bool = False,
) -> dict[str, Any]:
    """Simulate an emitted design on cases under cocotb.

    Parameters
    ----------
    verilog, side_car : Path
        The emitted design.
    cases : sequence of Case
        Names must differ.
    folder : Path
        Where everything of this run is written; not shared with another run at the same time.
    simulator : str, optional
        ``"icarus"`` or ``"verilator"``; by default the best that is there.
    seed : int
        Seed of all pauses.
    waves : bool
        Record waveforms.

    Returns
    -------
    dict
        For each case by name: ``seed`` and, per stream, the counts of its monitor.

    Raises
    ------
    BenchError
        If a case fails, with what went wrong in each failing case.
    """
    top = Design.load(side_car).top
    save_job(folder, side_car, cases)
    results = _simulate(verilog, top, folder, simulator, seed, waves)
    failures = _failures(results)
    if failures:
        raise BenchError(
            f"{top}, seed {seed}: " + "; ".join(f"{name}: {text}" for name, text in failures)
        )
    measured = json.loads((folder / "measured.json").read_text(encoding="utf-8"))
    return measured


def _simulate(
    verilog: Path, top: str, folder: Path, simulator: str | None, seed: int, waves: bool
) -> Path:
    from cocotb_tools.runner import get_runner

    runner = get_runner(simulator or "icarus")
    folder = folder.resolve()
    runner.build(
        sources=[verilog],
        hdl_toplevel=top,
        build_dir=folder,
        always=True,
        timescale=("1ns", "1ps"),
        waves=waves,
        log_file=folder / "build.log",
    )
    with suppress(SystemExit):  # how the runner reports failing tests; the results say which
        runner.test(
            test_module="speq_sim.benches.playback",
            hdl_toplevel=top,
            build_dir=folder,
            test_dir=folder,
            extra_env={JOB_VARIABLE: str(folder)},
            seed=seed,
            waves=waves,
            results_xml=str(folder / "results.xml"),
            log_file=folder / "test.log",
        )
    return folder / "results.xml"


def _failures(results: Path) -> list[tuple[str, str]]:
    if not results.is_file():
        return [("all cases", "the simulation ended without results; see test.log")]
    failures = []
    for case in ElementTree.parse(results).iter("testcase"):
        for kind in ("failure", "error"):
            failures += [
                (case.get("name", "?"), entry.get("message") or entry.text or kind)
                for entry in case.findall(kind)
            ]
    return failures
