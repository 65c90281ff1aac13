"""Every weight below 16 bits times every FP16 activation, through the emitted array.

Sixteen rows hold the sixteen nibbles, or one after the other the high bytes of all words, and each
of the 65,536 activation patterns passes through every lane of every row. The design runs compiled:
see ``speq_sim.benches.compiled``.
"""

from pathlib import Path

import numpy as np
import pytest
from array_designs import emit, random_of
from numpy.typing import NDArray

from speq.formats import family
from speq.parameters import DRAFTS_PER_WORD, MODES, Parameters
from speq_sim.benches.compiled import Compiled
from speq_sim.benches.stimuli import job_payloads
from speq_sim.jobs import Job

PATTERNS = np.arange(1 << 16, dtype=np.uint16)
CODES = np.arange(16, dtype=np.uint8)

DESIGN = Parameters(name="codes", rows=16, columns=1, port_words=1, tokens=64, modes=MODES)


def _alone(lane: int) -> NDArray[np.uint16]:
    """Every pattern in one lane, zeros in the others."""
    activations = np.zeros((len(PATTERNS), DRAFTS_PER_WORD), np.uint16)
    activations[:, lane] = PATTERNS
    return activations


def _in_company(random: np.random.Generator, finite: bool) -> NDArray[np.uint16]:
    """Every pattern in every lane, each beside random partners."""
    lanes = [random.permutation(PATTERNS) for _ in range(DRAFTS_PER_WORD)]
    activations = np.stack(lanes, axis=1)
    if finite:
        # Otherwise the one in eleven blocks that holds an infinity or a NaN hides its neighbours.
        special = (activations & 0x7C00) == 0x7C00
        activations[special] &= 0xBFFF
    return activations


def _emit(lanes: int, folder: Path) -> tuple[Parameters, Compiled]:
    parameters = DESIGN.replace(name=f"codes_{lanes}", draft_lanes=lanes)
    return parameters, Compiled(*emit(parameters, folder), folder / "build")


def _play(compiled: Compiled, parameters: Parameters, job: Job) -> None:
    work = job_payloads(compiled.design, parameters, [job])
    played = compiled.play(work, len(work["results"]))
    wrong = np.flatnonzero((played.results != work["results"]).any(axis=1))
    assert not wrong.size, f"{job.mode}: {wrong.size} tokens differ, the first is {wrong[0]}"


OTHER_LANES = [pytest.param(lanes, marks=pytest.mark.slow) for lanes in (2, 1)]


@pytest.mark.parametrize("lanes", [4, *OTHER_LANES])
def test_every_code_times_every_activation(lanes: int, tmp_path: Path) -> None:
    """Draft weights, alone and in company."""
    parameters, compiled = _emit(lanes, tmp_path)
    random = random_of("exhaustive", lanes)
    code = family(parameters.family)
    same = np.repeat(CODES[:, None], DRAFTS_PER_WORD, axis=1)
    mixed = (CODES[:, None] + np.array([0, 5, 10, 15], np.uint8)) % 16
    shifts = random.integers(0, 16, DRAFTS_PER_WORD)
    exponents = random.integers(-64, 64, len(CODES))
    finite, anything = (_in_company(random, kind).view(np.float16) for kind in (True, False))
    # A block of one activation is always alone; in the others each lane is alone once.
    alone = range(lanes) if lanes > 1 else ()
    jobs = [
        *(Job.draft(same, _alone(lane).view(np.float16), code) for lane in alone),
        Job.draft(mixed, finite, code),
        Job.draft(mixed, anything, code, shifts=shifts, row_exponents=exponents),
    ]
    for job in jobs:
        _play(compiled, parameters, job)


@pytest.mark.slow
@pytest.mark.parametrize("lanes", [4, 2, 1])
def test_every_integer_times_every_activation(lanes: int, tmp_path: Path) -> None:
    """INT4 weights in both modes. (In the fast suite: ``test_product_stage``.)"""
    parameters, compiled = _emit(lanes, tmp_path)
    random = random_of("integers", lanes)
    mixed = (CODES[:, None] + np.array([0, 5, 10, 15], np.uint8)) % 16
    for finite in (True, False):
        activations = _in_company(random, finite).view(np.float16)
        for verify in (True, False):
            _play(compiled, parameters, Job.integer(mixed, activations, verify=verify))


@pytest.mark.slow
@pytest.mark.parametrize("lanes", [4, 2, 1])
def test_every_middle_weight_times_every_activation(lanes: int, tmp_path: Path) -> None:
    """All 128 high bytes below 2, in either byte of the word; the other one meets a zero."""
    parameters, compiled = _emit(lanes, tmp_path)
    random = random_of("middle", lanes)
    high = np.arange(256)[np.arange(256) & 0x40 == 0]
    # What stands in the low byte must not matter.
    values = (np.stack([high, np.roll(high, 37)], axis=1) << 8).astype(np.uint16)
    values |= random.integers(0, 256, values.shape, np.uint16)
    code = family(parameters.family)
    tables = random.integers(0, len(code.tables), len(high))
    for byte in range(2):
        activations = np.zeros((len(PATTERNS), 2), np.uint16)
        activations[:, byte] = PATTERNS
        _play(
            compiled,
            parameters,
            Job.middle(values.view(np.float16), activations.view(np.float16), code, tables),
        )
