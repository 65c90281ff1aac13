"""A design small enough to be mapped, proved and simulated as gates within seconds."""

from pathlib import Path

import numpy as np

from speq.emission import Emission, emit
from speq.parameters import Parameters
from speq.synthesis.liberty import Liberty, open_liberty
from speq_sim.benches.cases import STREAMS, Case
from speq_sim.benches.payload import Design
from speq_sim.benches.stimuli import case_of, random_jobs

GATES = Path(__file__).parents[2] / "data/gates.lib"

DESIGN = Parameters(
    name="gates",
    rows=1,
    columns=2,
    port_words=1,
    tokens=1,
    modes=("verify",),
    result_format="fp16",
)


def library() -> Liberty:
    """Our own library of ten cells, with flip-flops that have an inverted output or an enable."""
    return open_liberty([GATES])


def emitted(folder: Path) -> Emission:
    """The design's Verilog."""
    return emit(DESIGN, folder)


def case(emission: Emission) -> Case:
    """Random products for the design, with pauses on every stream and resets in between."""
    jobs = random_jobs(np.random.default_rng(7), DESIGN, 3)
    return case_of(
        "gates",
        Design.load(emission.side_car),
        DESIGN,
        jobs,
        pauses=dict.fromkeys(STREAMS, 0.3),
        resets=[9, 40],
    )
