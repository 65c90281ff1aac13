"""A fast bench that every planted fault must fail: small designs, every mode, every stall.

Jobs and expected results are made once, from the unchanged package. A mutant is emitted by a child
process from a changed copy of the package, and played by another: neither can spoil this one.
"""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import speq
from speq.formats import family
from speq.parameters import MODES, Parameters
from speq_sim.benches.cases import STREAMS
from speq_sim.benches.compiled import Compiled, CompiledError
from speq_sim.benches.payload import Design
from speq_sim.benches.stimuli import KINDS, job_payloads, random_job, random_jobs
from speq_sim.jobs import Job
from speq_sim.proofs.mutants import Mutant
from speq_sim.proofs.mutation import MutationError, replaced

__all__ = ["DESIGNS", "Bench", "Outcome"]

DESIGNS: dict[str, Parameters] = {
    design.name: design
    for design in (
        Parameters(name="four", rows=4, columns=2, port_words=2, tokens=3, family="fitted-4"),
        Parameters(
            name="two",
            rows=4,
            columns=2,
            port_words=1,
            tokens=2,
            draft_lanes=2,
            family="speq",
            result_format="fp16",
        ),
        Parameters(
            name="one",
            rows=8,
            columns=1,
            port_words=2,
            tokens=1,
            draft_lanes=1,
            family="bsfp",
        ),
        Parameters(name="all_four", rows=4, columns=2, port_words=1, tokens=2, modes=MODES),
        Parameters(
            name="piped", rows=4, columns=2, port_words=2, tokens=3, modes=MODES, pipeline=3
        ),
        Parameters(
            name="all_one",
            rows=8,
            columns=1,
            port_words=1,
            tokens=2,
            modes=MODES,
            draft_lanes=1,
            result_format="fp16",
        ),
        Parameters(
            name="twelve",
            rows=4,
            columns=1,
            port_words=1,
            tokens=2,
            modes=MODES,
            draft_activations="bfp12",
            family="bsfp",
        ),
        Parameters(
            name="qspec",
            rows=4,
            columns=2,
            port_words=2,
            tokens=2,
            modes=("verify", "qdraft", "qverify"),
        ),
        Parameters(
            name="dsp",
            rows=4,
            columns=3,
            port_words=1,
            tokens=2,
            modes=MODES,
            family="speq",
            pipeline=4,
            target="fpga",
        ),
        Parameters(name="verify", rows=2, columns=3, port_words=3, tokens=2, modes=("verify",)),
    )
}
"""Every number of lanes and both result formats; a port of part of a row, of one row and of two;
one and two blocks of groups; draft values that are zero (``speq``, ``bsfp``), and several tables
(``fitted-4``); five modes, with draft activations of 6, 11 and 12 bits; units for
FPGAs; a design without packed words."""

PAUSES: tuple[Mapping[str, float], ...] = (
    {},
    dict.fromkeys(STREAMS, 0.5),
    {"results": 0.85},
    {"weights": 0.7},
)

TIMEOUT = 120.0
PATIENCE = 3000

_EMIT = """
import json, sys
from pathlib import Path
import speq
from speq.emission import emit
from speq.parameters import Parameters
copy, values, folder = sys.argv[1:]
if Path(speq.__file__).parents[1] != Path(copy):
    sys.exit(f"the changed package is not what is imported: {speq.__file__}")
emit(Parameters.from_mapping(json.loads(values)), folder)
"""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of one mutant.

    Attributes
    ----------
    caught : bool
        Whether a design failed its bench.
    design : str
        The design that noticed, or the designs that did not.
    how : str
        What was noticed.
    """

    caught: bool
    design: str
    how: str


class Bench:
    """The bench of one folder.

    Parameters
    ----------
    folder : Path
        Where jobs, copies and builds go. What it holds of a former run is replaced.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._texts: dict[str, str] = {}
        # All mutants start from one copy: the package may be edited during a run.
        self._unchanged = self.folder / "unchanged"
        shutil.rmtree(self._unchanged, ignore_errors=True)
        shutil.copytree(
            Path(speq.__file__).parent,
            self._unchanged / "speq",
            ignore=shutil.ignore_patterns("__pycache__", "synthesis"),
        )

    def prepare(self, name: str) -> None:
        """Emit one unchanged design, write its jobs, and see that it passes.

        Raises
        ------
        MutationError
            If it does not.
        """
        parameters = DESIGNS[name]
        verilog = self._emit(self._unchanged, parameters)
        side_car = verilog.with_suffix(".json")
        work = job_payloads(Design.load(side_car), parameters, _jobs(parameters))
        np.savez(self.folder / f"{name}.npz", **work)
        failure = self._play(name, verilog)
        if failure:
            raise MutationError(f"the unchanged design {name!r} fails the bench: {failure}")
        self._texts[name] = verilog.read_text(encoding="utf-8")

    def run(self, mutant: Mutant) -> Outcome:
        """Play a mutant on its design, then on the others, until one notices.

        Raises
        ------
        MutationError
            If the fault cannot be planted or emitted, or changes none of the designs.
        """
        folder = self.folder / mutant.name
        self._plant(folder, mutant)
        silent = []
        for name in sorted(self._texts, key=lambda name: name != mutant.design):
            verilog = self._emit(folder, DESIGNS[name])
            if verilog.read_text(encoding="utf-8") == self._texts[name]:
                continue
            failure = self._play(name, verilog)
            if failure:
                shutil.rmtree(folder)
                return Outcome(True, name, failure)
            silent.append(name)
        if not silent:
            raise MutationError(f"the mutant {mutant.name!r} changes none of the designs")
        return Outcome(False, ", ".join(silent), "not noticed")

    def _plant(self, folder: Path, mutant: Mutant) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self._unchanged / "speq", folder / "speq")
        file = folder / "speq" / mutant.file
        text = replaced(file.read_text(encoding="utf-8"), mutant.old, mutant.new, mutant.file)
        file.write_text(text, encoding="utf-8")

    def _emit(self, folder: Path, parameters: Parameters) -> Path:
        target = folder / "design"
        command = [sys.executable, "-c", _EMIT, str(folder), json.dumps(parameters.as_dict())]
        done = subprocess.run(
            [*command, str(target)],
            env=os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            cwd=folder,
        )
        if done.returncode:
            raise MutationError(
                f"{folder.name} cannot be emitted: {done.stderr.strip().splitlines()[-1]}"
            )
        return target / f"speq_{parameters.name}.v"

    def _play(self, name: str, verilog: Path) -> str:
        """What went wrong, or nothing."""
        command = [sys.executable, "-m", __name__, str(verilog), str(self.folder / f"{name}.npz")]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            return "the simulation does not end"
        if done.returncode < 0:
            # A check in the compiled code, such as of a memory's address, ended the process.
            return "the simulation aborts"
        if done.returncode:
            raise MutationError(f"{verilog.name} cannot be played: {done.stderr.strip()[-500:]}")
        return json.loads(done.stdout)["failure"]


def _jobs(parameters: Parameters) -> list[Job]:
    """Every kind of operands in every mode; tiles that change mode; padding; the longest sum."""
    random = np.random.default_rng(zlib.crc32(parameters.name.encode()))
    jobs = [
        random_job(
            random,
            parameters,
            mode,
            tokens=parameters.tokens,
            outputs=parameters.rows,
            depth=2 * parameters.tile_depth(mode),
            kind=kind,
            plain=plain,
        )
        for _ in range(4)
        for kind in KINDS
        for mode in parameters.modes
        for plain in ((False, True) if parameters.packs and mode == "verify" else (None,))
    ]
    for index in range(80):
        mode = parameters.modes[index % len(parameters.modes)]
        jobs.append(
            random_job(
                random,
                parameters,
                mode,
                tokens=int(random.integers(1, parameters.tokens + 1)),
                outputs=parameters.rows,
                depth=int(random.integers(1, parameters.tile_depth(mode) + 1)),
            )
        )
    jobs += random_jobs(random, parameters, 40)
    jobs.append(_infinities_against_sums(parameters))
    jobs += _infinities_before_nibbles(random, parameters)
    if not parameters.has_low_bits:
        largest = np.full((1, 1 << 16), 65504, np.float16)
        jobs += [Job.plain(largest, largest), Job.plain(largest, -largest)]
    return jobs


def _infinities_against_sums(parameters: Parameters) -> Job:
    """Products that are infinite, of the sign that the finite rest of the sum does not have."""
    depth = parameters.columns + 1
    weights = np.full((2 * parameters.rows, depth), 65504, np.float16)
    weights[:, 0] = 2.0**-14
    activations = np.full((2, depth), 65504, np.float16)
    activations[:, 0] = -np.inf
    activations[1] *= -1
    return Job.plain(weights, activations)


def _infinities_before_nibbles(random: np.random.Generator, parameters: Parameters) -> list[Job]:
    """One infinity per token, in every place, before random weights of 4 bits, in every mode."""
    jobs = []
    for mode in parameters.modes:
        if parameters.weights_per_word(mode) < 4:
            continue
        depth = parameters.tile_depth(mode)
        activations = random.standard_normal((depth, depth)).astype(np.float16)
        np.fill_diagonal(activations, np.inf)
        nibbles = random.integers(0, 16, (8 * parameters.rows, depth), np.uint8)
        if mode == "draft":
            jobs.append(Job.draft(nibbles, activations, family(parameters.family)))
        else:
            jobs.append(Job.integer(nibbles, activations, verify=mode == "qverify"))
    return jobs


def _failure(verilog: Path, work: Mapping[str, Any]) -> str:
    compiled = Compiled(verilog, verilog.with_suffix(".json"), verilog.parent)
    wanted = work["results"]
    for seed, pauses in enumerate(PAUSES, start=1):
        try:
            played = compiled.play(work, len(wanted), pauses=pauses, seed=seed, patience=PATIENCE)
        except CompiledError as error:
            if "no transfer" not in str(error):
                raise
            return "deadlock"
        wrong = int((played.results != wanted).any(axis=1).sum())
        if wrong:
            return f"{wrong} of {len(wanted)} results differ"
        for stream in STREAMS:
            if played.counts[stream]["transfers"] != len(work[stream]):
                return f"{played.counts[stream]['transfers']} transfers of {stream}"
    return ""


def main(verilog: str, work: str) -> None:
    """Play a design (a child process's work) and print what went wrong as JSON."""
    with np.load(work) as payloads:
        failure = _failure(Path(verilog), dict(payloads))
    print(json.dumps({"failure": failure}))


if __name__ == "__main__":
    main(*sys.argv[1:])
