"""The random jobs reach the corners that they are named after."""

import numpy as np
import pytest

from speq.parameters import PRESETS
from speq_sim.benches.payload import Design, Field, Stream
from speq_sim.benches.stimuli import KINDS, job_payloads, operands, random_job, random_jobs
from speq_sim.jobs import expected

TINY = PRESETS["tiny"].replace(family="bsfp")


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


def test_a_field_that_the_design_lacks_must_carry_nothing():
    flag = Field(0, 1, 1, False)
    streams = {name: Stream(name, "in", 1, {"last": flag}) for name in ("tiles", "results")}
    design = Design("speq_bare", {}, {}, streams)
    job = random_job(np.random.default_rng(4), TINY, "draft", tokens=1, outputs=1, depth=1)
    with pytest.raises(
        ValueError, match=r"speq_bare has no field (first|last_token|mode) in tiles"
    ):
        job_payloads(design, TINY, [job])
