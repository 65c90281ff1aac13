"""Run a plan on an emitted accelerator, and compare with the golden model."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speq.parameters import Parameters
from speq_sim.benches.accelerator.plan import Plan
from speq_sim.benches.simulators import Run, run
from speq_sim.host.unit_jobs import unit_job
from speq_sim.jobs import expected

__all__ = ["Outcome", "carry_out"]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a plan.

    Attributes
    ----------
    run : Run
        The simulator and its files.
    measured : mapping
        Of each round by name: ``cycles`` (with a job pending), ``beats`` (of the memory port),
        ``words`` (transfers of the array's weight port), ``simulated_cycles`` and ``seconds`` of
        simulation, ``bursts`` and ``most_outstanding``.
    wrong : mapping of str to int
        Of each round: results that are not those of the golden model, bit for bit.
    """

    run: Run
    measured: Mapping[str, Mapping[str, Any]]
    wrong: Mapping[str, int]


def carry_out(
    plan: Plan,
    verilog: Path,
    side_car: Path,
    folder: Path,
    *,
    simulator: str | None = None,
    waves: bool = False,
) -> Outcome:
    """Simulate an emitted accelerator on a plan.

    Parameters
    ----------
    plan : Plan
        What it shall do.
    verilog, side_car : Path
        The emitted design.
    folder : Path
        Where everything of this run is written; not shared with another run at the same time.
    simulator, waves
        See :func:`speq_sim.benches.simulators.run`.

    Raises
    ------
    SimulatorError
        If there is no simulator.
    SimulationError
        If the bench fails: a broken rule of a bus, a refused command, a deadlock.
    """
    plan.save(folder)
    description = json.loads(side_car.read_text(encoding="utf-8"))
    done = run(
        verilog,
        description["top"],
        "speq_sim.benches.accelerator.playback",
        build_dir=folder / "model",
        test_dir=folder,
        extra_env={"SPEQ_PLAN": str(folder.resolve()), "SPEQ_SIDE_CAR": str(side_car.resolve())},
        waves=waves,
        simulator=simulator,
        # The rows of the array are most of the design, and equal.
        repeated=[name for name in description["modules"] if name.endswith("_row")],
    )
    measured = json.loads((folder / "measured.json").read_text(encoding="utf-8"))
    parameters = Parameters.from_mapping(description["parameters"])
    with np.load(folder / "results.npz") as results:
        wrong = {
            round_.name: sum(
                _wrong(results[f"{round_.name}/{number}"], plan, step, activations, parameters)
                for number, (step, activations) in enumerate(
                    zip(round_.steps, plan.tokens(round_.steps), strict=True)
                )
            )
            for round_ in plan.rounds
        }
    return Outcome(done, measured, wrong)


def _wrong(
    found: NDArray[np.floating], plan: Plan, step: Any, activations: Any, parameters: Parameters
) -> int:
    """Results of a step that differ, in bits, from the golden model's."""
    job = unit_job(plan.matrices[step.matrix], step.mode, activations)
    wanted = expected(job, parameters)
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        return wanted.size
    bits = f"u{wanted.itemsize}"
    return int(np.count_nonzero(found.view(bits) != wanted.view(bits)))
