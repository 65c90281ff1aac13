"""Run a bench: play a job on an emitted design in a simulator, and read what it measured."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from speq_sim.benches.cases import JOB_VARIABLE, Case, save_job
from speq_sim.benches.payload import Design
from speq_sim.benches.simulators import Run, run

__all__ = ["Playback", "play"]

SEED = 1
"""Seed of the pauses unless the caller gives another."""


@dataclasses.dataclass(frozen=True)
class Playback:
    """Cases that were played, all of them bit-exact.

    Attributes
    ----------
    run : Run
        The simulator and its files.
    cases : mapping of str to mapping
        For each case by name: ``seed``, and under ``streams`` for each stream the counts of its
        monitor (``transfers``, ``stall_cycles``, ``idle_cycles``, ``first_cycle``, ``last_cycle``).
    """

    run: Run
    cases: Mapping[str, Mapping[str, Any]]

    def span(self, case: str, stream: str) -> int:
        """Cycles from the first transfer of a stream to its last, both counted."""
        counts = self.cases[case]["streams"][stream]
        return counts["last_cycle"] - counts["first_cycle"] + 1


def play(
    verilog: Path,
    side_car: Path,
    cases: Sequence[Case],
    folder: Path,
    *,
    simulator: str | None = None,
    seed: int = SEED,
    waves: bool = False,
) -> Playback:
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

    Raises
    ------
    SimulatorError
        If there is no simulator.
    SimulationError
        If a case fails: a result that is not the expected one, a broken rule of a stream, a
        deadlock.
    """
    save_job(folder, side_car, cases)
    done = run(
        verilog,
        Design.load(side_car).top,
        "speq_sim.benches.playback",
        build_dir=folder / "model",
        test_dir=folder,
        extra_env={JOB_VARIABLE: str(folder.resolve())},
        waves=waves,
        seed=seed,
        simulator=simulator,
    )
    measured = json.loads((folder / "measured.json").read_text(encoding="utf-8"))
    return Playback(done, measured)
