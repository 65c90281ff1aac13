"""Cycles, counted in simulation: full rate in every mode, and mode changes that cost nothing."""

from itertools import pairwise
from pathlib import Path

import pytest
from array_designs import DESIGNS, emit, random_of

from speq.parameters import PRESETS, Parameters
from speq_sim.benches.compiled import Compiled
from speq_sim.benches.payload import Design
from speq_sim.benches.running import play
from speq_sim.benches.stimuli import case_of, job_payloads, random_job
from speq_sim.jobs import Job

TILES = 24

Work = list[tuple[str, int]]
"""Mode and tokens of each tile."""


def _work(parameters: Parameters) -> dict[str, Work]:
    """Sequences of tiles: one mode, the modes in turn, and tokens and modes at random."""
    random = random_of("cycles", parameters.name)
    full = parameters.tokens
    work = {mode: [(mode, full)] * TILES for mode in parameters.modes}
    work["one_token"] = [(parameters.modes[-1], 1)] * TILES
    if parameters.has_low_bits:
        # Drafts first, so that the last tile of a round is one of VERIFY.
        turns = parameters.modes[::-1]
        rounds = TILES // len(turns)
        work["changing"] = [(mode, full) for mode in turns] * rounds
        work["changing_one_token"] = [(mode, 1) for mode in turns] * rounds
        work["at_random"] = [
            (str(random.choice(parameters.modes)), int(random.integers(1, full + 1)))
            for _ in range(TILES)
        ]
    return work


def _jobs(parameters: Parameters, work: Work) -> list[Job]:
    """One full tile per entry, as a job of its own: the most results there can be."""
    random = random_of("cycles", parameters.name)
    return [
        random_job(
            random,
            parameters,
            mode,
            tokens=tokens,
            outputs=parameters.rows,
            depth=parameters.tile_depth(mode),
            kind="normal",
        )
        for mode, tokens in work
    ]


def predicted_span(parameters: Parameters, work: Work) -> int:
    """Cycles from the first beat to the last of an array with two weight buffers.

    While a tile computes, the next one loads; it starts when both are done. What a tile costs
    depends on its mode through its number of beats alone. Columns of two stages take a beat when
    the one before leaves the first stage: the first of all while its tile loads, the last as soon
    as the last but one has left.
    """
    beats = [parameters.compute_cycles(mode, tokens) for mode, tokens in work]
    load = parameters.load_cycles
    span = sum(max(now, load) for now, _ in pairwise(beats)) + beats[-1]
    if parameters.stages["columns"] == 1:
        return span
    last_gap = 1 if beats[-1] > 1 else max(beats[-2], load) - beats[-2] + 1
    return span + load - last_gap


@pytest.mark.parametrize("name", ["tiny", "lanes_2", "lanes_1", "tiny_verify_only", "wide"])
def test_tiles_take_the_longer_of_loading_and_computing(name: str, tmp_path: Path) -> None:
    parameters = DESIGNS[name]
    verilog, side_car = emit(parameters, tmp_path)
    design = Design.load(side_car)
    work = _work(parameters)
    cases = [
        case_of(label, design, parameters, _jobs(parameters, tiles))
        for label, tiles in work.items()
    ]
    played = play(verilog, side_car, cases, tmp_path / "run")
    for label, tiles in work.items():
        span = played.span(label, "activations")
        assert span == predicted_span(parameters, tiles), label


ALL_MODES = ("all_4", "all_2", "all_1", "middle", "qspec")
"""Of these the fast suite has one, in :func:`test_five_modes_keep_every_element_busy`."""


@pytest.mark.parametrize(
    "name",
    [
        "small",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("edge", *ALL_MODES)),
    ],
)
def test_more_arrays_keep_the_same_time(name: str, tmp_path: Path) -> None:
    """The same, compiled: interpreted, larger arrays would take minutes."""
    parameters = (PRESETS | DESIGNS)[name]
    compiled = Compiled(*emit(parameters, tmp_path), tmp_path / "build")
    for label, tiles in _work(parameters).items():
        work = job_payloads(compiled.design, parameters, _jobs(parameters, tiles))
        played = compiled.play(work, len(work["results"]))
        assert (played.results == work["results"]).all(), label
        beats = played.counts["activations"]
        span = beats["last_cycle"] - beats["first_cycle"] + 1
        assert span == predicted_span(parameters, tiles), label


def test_draft_does_four_macs_per_element_and_cycle(tmp_path: Path) -> None:
    """Both modes keep every element busy in every cycle, also when they take turns.

    With columns of one stage, which take no beat before its tile is there, the ports show it.
    """
    parameters = DESIGNS["tiny"].replace(pipeline=1)
    assert parameters.balance_tokens("draft") == parameters.tokens
    verilog, side_car = emit(parameters, tmp_path)
    design = Design.load(side_car)
    work = {label: _work(parameters)[label] for label in ("verify", "draft", "changing")}
    cases = [
        case_of(label, design, parameters, _jobs(parameters, tiles))
        for label, tiles in work.items()
    ]
    played = play(verilog, side_car, cases, tmp_path / "run")
    rates = {}
    for label, tiles in work.items():
        for port in ("activations", "weights"):
            transfers = played.cases[label]["streams"][port]["transfers"]
            assert transfers == played.span(label, port), f"{label}: the {port} port was idle"
        macs = sum(parameters.rows * parameters.tile_depth(mode) * tokens for mode, tokens in tiles)
        rates[label] = macs / played.span(label, "activations")
    elements = parameters.multipliers
    assert rates == {"verify": elements, "draft": 4 * elements, "changing": 2.5 * elements}


def test_five_modes_keep_every_element_busy(tmp_path: Path) -> None:
    """Changing to another of five modes on every tile, an array takes a beat in every cycle."""
    parameters = DESIGNS["all_4"].replace(pipeline=1)
    compiled = Compiled(*emit(parameters, tmp_path), tmp_path / "build")
    work = _work(parameters)
    rates = {}
    for label in (*parameters.modes, "changing"):
        payloads = job_payloads(compiled.design, parameters, _jobs(parameters, work[label]))
        beats = compiled.play(payloads, len(payloads["results"])).counts["activations"]
        span = beats["last_cycle"] - beats["first_cycle"] + 1
        assert span == beats["transfers"] == predicted_span(parameters, work[label]), label
        inputs = sum(parameters.tile_depth(mode) * tokens for mode, tokens in work[label])
        rates[label] = parameters.rows * inputs / span / parameters.multipliers
    # Of each five tiles: 1 + 4 + 2 + 4 + 4 weights of a word in 1 + 1 + 2 + 1 + 2 beats of a token.
    assert rates == {
        "verify": 1,
        "draft": 4,
        "middle": 1,
        "qdraft": 4,
        "qverify": 2,
        "changing": 15 / 7,
    }
