"""Many random jobs through the compiled array, at full rate and with pauses on every stream."""

from pathlib import Path

import numpy as np
import pytest
from array_designs import DESIGNS, emit, random_of

from speq_sim.benches.cases import STREAMS
from speq_sim.benches.compiled import Compiled
from speq_sim.benches.stimuli import job_payloads, random_jobs

JOBS = {
    "halves": 300,
    "odd": 300,
    "small": 80,
    "all_4": 200,
    "all_2": 200,
    "all_1": 200,
    "bfp12": 150,
    "qspec": 200,
    "bfp8": 300,
    "qspec_1": 300,
    "middle": 300,
    "pipe_2": 200,
    "pipe_3": 300,
    "pipe_4": 200,
    "pipe_4_verify_only": 300,
    "dsp_4": 200,
    "dsp_2": 200,
    "dsp_1": 300,
    "dsp_verify_only": 300,
}
"""Random jobs by design; three rounds of them take some seconds."""

SLOW = ("halves", "all_2", "all_1", "bfp12", "bfp8", "qspec_1", "middle", "pipe_2")
"""What sets these apart is in the other designs, too."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in JOBS]
)
def test_many_jobs(name: str, tmp_path: Path) -> None:
    parameters = DESIGNS[name]
    verilog, side_car = emit(parameters, tmp_path)
    compiled = Compiled(verilog, side_car, tmp_path / "build")
    jobs = random_jobs(random_of("soak", name), parameters, JOBS[name])
    work = job_payloads(compiled.design, parameters, jobs)
    for seed, pauses in enumerate(({}, dict.fromkeys(STREAMS, 0.5), {"results": 0.8}), start=1):
        played = compiled.play(work, len(work["results"]), pauses=pauses, seed=seed)
        wrong = np.flatnonzero((played.results != work["results"]).any(axis=1))
        assert not wrong.size, f"{wrong.size} results differ, the first is {wrong[0]}"
        for stream in STREAMS:
            assert played.counts[stream]["transfers"] == len(work[stream])
