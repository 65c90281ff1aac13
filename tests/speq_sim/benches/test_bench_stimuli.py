"""The random jobs reach the corners that they are named after."""

from pathlib import Path

import numpy as np
import pytest

from speq.modes import MODES
from speq.parameters import PRESETS
from speq_sim import golden
from speq_sim.benches.packed_tile import read
from speq_sim.benches.payload import Design, Field, Stream
from speq_sim.benches.stimuli import KINDS, job_payloads, operands, random_job, random_jobs
from speq_sim.jobs import expected
from speq_sim.tiling import Schedule

TINY = PRESETS["tiny"].replace(family="bsfp")
ALL = TINY.replace(modes=MODES)
TILE = Path(__file__).parents[2] / "data" / "smollm2-135m-q-proj.safetensors"


def _operands(kind, **options):
    return operands(np.random.default_rng(1), kind, (50, 40), **options)


def test_kinds():
    assert np.isfinite(_operands("any")).all()
    subnormal = _operands("subnormal")
    assert (np.abs(subnormal) < 2.0**-13).all()
    assert (np.abs(subnormal[subnormal != 0]) < 2.0**-14).any()
    assert (np.abs(_operands("huge")) >= 2.0**13).all()
    special = _operands("special")
    assert np.isnan(special).any()
    assert np.isposinf(special).any()
    assert np.isneginf(special).any()
    zeros = _operands("zero")
    assert (zeros == 0).mean() > 0.8
    assert np.signbit(zeros[zeros == 0]).any()
    pairs = _operands("cancelling").astype(np.float64)
    assert (pairs[:, 0::2] == -pairs[:, 1::2]).mean() > 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_packed_weights_stay_below_two(kind):
    assert (np.abs(_operands(kind, below_two=True)) < 2).all()


def test_a_kind_that_is_not_known():
    with pytest.raises(ValueError, match="kind is 'odd', but must be one of normal"):
        _operands("odd")


@pytest.mark.parametrize("result_format", ["fp32", "fp16"])
def test_results_cover_zero_infinity_nan_and_subnormals(result_format):
    parameters = TINY.replace(result_format=result_format)
    jobs = random_jobs(np.random.default_rng(2), parameters, 60)
    results = np.concatenate([expected(job, parameters).ravel() for job in jobs])
    assert np.isnan(results).any()
    assert np.isposinf(results).any()
    assert np.isneginf(results).any()
    assert (results == 0).any()
    if result_format == "fp16":
        assert ((results != 0) & (np.abs(results) < 2.0**-14)).any()


def test_jobs_use_the_ends_of_shifts_and_row_exponents():
    jobs = random_jobs(np.random.default_rng(3), TINY, 20)
    assert {job.mode for job in jobs} == {"verify", "draft"}
    assert any(job.family is None for job in jobs)
    for name, ends in (("shifts", (0, 15)), ("row_exponents", (-64, 63))):
        values = np.concatenate([getattr(job, name) for job in jobs])
        assert (values.min(), values.max()) == ends


def test_every_mode_has_its_corners():
    """Modes in turn; INT4 activations in about half of the QDRAFT jobs; all nibbles; specials."""
    jobs = random_jobs(np.random.default_rng(5), ALL, 300)
    results = {mode: [] for mode in ALL.modes}
    for job in jobs:
        results[job.mode].append(expected(job, ALL).ravel())
    assert {mode: len(found) for mode, found in results.items()} == dict.fromkeys(ALL.modes, 60)
    for found in map(np.concatenate, results.values()):
        assert np.isnan(found).any()
        assert np.isinf(found).any()
        assert (found == 0).any()
    drafts = [job for job in jobs if job.mode == "qdraft"]
    quantised = [job for job in drafts if np.isin(job.activations, np.arange(-8, 8)).all()]
    assert 15 < len(quantised) < 45
    values = np.concatenate([job.activations.ravel() for job in quantised])
    assert set(values.tolist()) == set(range(-8, 8))
    for mode in ("draft", "qdraft", "qverify"):
        codes = np.concatenate([job.codes.ravel() for job in jobs if job.mode == mode])
        assert len(np.unique(codes)) == 16


@pytest.mark.parametrize(
    "modes", [("verify",), ("verify", "middle"), ("verify", "qdraft", "qverify"), ALL.modes]
)
def test_jobs_are_of_the_modes_of_a_design(modes):
    """And can be run on it: what it has no fields for is not needed."""
    design = TINY.replace(modes=modes)
    jobs = random_jobs(np.random.default_rng(6), design, 30)
    assert {job.mode for job in jobs} == set(modes)
    tiles = Schedule(design, jobs).tiles()
    if not design.packs:
        assert not tiles["row_exponent"].any()
        assert not tiles["row_table"].any()


def test_integer_jobs_of_a_real_tile():
    """Weights rounded by the largest of each row; activations INT4 for QDRAFT, FP16 for QVERIFY."""
    tile = read(TILE, ALL)
    weights = tile.weights().astype(np.float64)
    draft, verify = tile.integer_job("qdraft"), tile.integer_job("qverify")
    np.testing.assert_array_equal(draft.codes, verify.codes)
    integers = golden.INTEGERS[draft.codes]
    np.testing.assert_array_equal(np.abs(integers).max(axis=1), 7)
    scale = np.abs(weights).max(axis=1, keepdims=True) / 7
    assert (np.abs(weights - integers * scale) <= scale * (0.5 + 1e-12)).all()
    np.testing.assert_array_equal(verify.activations, tile.activations)
    assert np.isin(draft.activations, np.arange(-8, 8)).all()
    sums = draft.activations.astype(np.int64) @ integers.T
    np.testing.assert_array_equal(expected(draft, ALL), sums)
    part = tile.integer_job("qverify", slice(3, 7), slice(8, 16))
    np.testing.assert_array_equal(part.codes, verify.codes[3:7, 8:16])


def test_a_middle_job_of_a_real_tile_loads_high_bytes():
    tile = read(TILE, ALL)
    job = tile.job("middle")
    np.testing.assert_array_equal(job.codes, tile.words >> 8)
    exact = expected(tile.job("verify"), ALL).astype(np.float64)
    error = np.square(expected(job, ALL) - exact).sum() / np.square(exact).sum()
    draft = np.square(expected(tile.job("draft"), ALL) - exact).sum() / np.square(exact).sum()
    # A cell is a quarter of a binade: its middle errs by an eighth of the weight at most.
    assert 0 < error < 1 / 64
    assert error < draft / 10


def test_a_field_that_the_design_lacks_must_carry_nothing():
    flag = Field(0, 1, 1, False)
    streams = {name: Stream(name, "in", 1, {"last": flag}) for name in ("tiles", "results")}
    design = Design("speq_bare", {}, {}, streams)
    job = random_job(np.random.default_rng(4), TINY, "draft", tokens=1, outputs=1, depth=1)
    with pytest.raises(
        ValueError, match=r"speq_bare has no field (first|last_token|mode) in tiles"
    ):
        job_payloads(design, TINY, [job])
