"""What a bench plays: cases, written by a test or a script, read inside the simulator.

A job folder holds ``job.json`` (options of each case) and ``job.npz`` (payloads). The simulator's
process writes ``measured.json`` beside them: seed and counts of every case that passed.
"""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["INPUTS", "JOB_VARIABLE", "STREAMS", "Case", "load_job", "save_job", "write_json"]

INPUTS = ("tiles", "weights", "activations")
"""Streams into a design."""

STREAMS = (*INPUTS, "results")
"""All streams of a design."""

JOB_VARIABLE = "SPEQ_BENCH_JOB"
"""Environment variable that names the job folder to the simulator's process."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """One run from reset: payloads in, payloads expected, and how the streams behave.

    Parameters
    ----------
    name : str
        Unique in its job; letters, digits and underscores.
    payloads : mapping of str to ndarray of uint8, shape (transfers, bytes)
        For each of :data:`INPUTS` what is sent, and for ``"results"`` what must come out.
    pauses : mapping of str to float
        Probability of a pause per stream: an idle source or a sink that is not ready.
    ready_after_valid : bool
        The sink asserts ready only after it saw valid.
    probe_ready : bool
        Check each cycle that the results' valid does not follow ready combinationally.
    resets : sequence of int
        Before the run proper: for each number, start the work, reset after so many cycles in the
        middle of it, and begin again.
    """

    name: str
    payloads: Mapping[str, NDArray[np.uint8]]
    pauses: Mapping[str, float] = dataclasses.field(default_factory=dict)
    ready_after_valid: bool = False
    probe_ready: bool = False
    resets: Sequence[int] = ()

    def options(self) -> dict[str, Any]:
        """Everything but the payloads, as JSON values."""
        return {
            "pauses": dict(self.pauses),
            "ready_after_valid": self.ready_after_valid,
            "probe_ready": self.probe_ready,
            "resets": list(self.resets),
        }


def save_job(folder: Path, side_car: Path, cases: Sequence[Case]) -> None:
    """Write a job for the design that `side_car` describes; a former one is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {
        f"{case.name}/{stream}": np.asarray(case.payloads[stream], np.uint8)
        for case in cases
        for stream in STREAMS
    }
    temporary = folder / "job.partial.npz"
    np.savez(temporary, **arrays)
    temporary.replace(folder / "job.npz")
    (folder / "measured.json").unlink(missing_ok=True)
    write_json(
        folder / "job.json",
        {"design": str(Path(side_car).resolve()), "cases": {c.name: c.options() for c in cases}},
    )


def load_job(folder: Path) -> tuple[Path, dict[str, Case]]:
    """Side-car path and cases by name, as :func:`save_job` wrote them."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    with np.load(folder / "job.npz") as arrays:
        cases = {
            name: Case(
                name=name,
                payloads={stream: arrays[f"{name}/{stream}"] for stream in STREAMS},
                **options,
            )
            for name, options in job["cases"].items()
        }
    return Path(job["design"]), cases


def write_json(path: Path, value: Any) -> None:
    """Write one JSON file whole or not at all."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.partial")
    temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)
