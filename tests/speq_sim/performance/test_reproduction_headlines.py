"""speq_sim.performance.reproduction: each headline on a small sweep."""

from pathlib import Path

import pytest

from speq_sim.decoding.errors import ModelError
from speq_sim.performance.dram_presets import find_dram
from speq_sim.performance.reproduction import (
    baselines_headline,
    hierspec_headline,
    qspec_headline,
    speq_headline,
)
from speq_sim.performance.reproduction.machines import (
    SERVER,
    on_memory,
)

RESULTS = Path(__file__).parents[3] / "docs/results"

AREAS = {"ours": 8.0, "olive4": 1.0, "olive8": 4.0, "tender4": 1.0, "tender8": 2.0}

ASSUMED = {
    "context": 128,
    "memory": "lpddr5",
    "kv_bits": 16,
    "head": "drafted",
    "planes": "meet",
    "draft_length": 4,
}

SMALL = ("smollm2-135m",)


# SPEQ


def test_the_average_is_that_of_its_models():
    models = ("smollm2-135m", "llama-3.2-3b")
    by_model = speq_headline.speedup_by_model(0.9, models, **ASSUMED)
    assert set(by_model) == set(models)
    average = speq_headline.average_speedup(0.9, models, **ASSUMED)
    assert average == pytest.approx(sum(by_model.values()) / 2)
    axes = {name: (value,) for name, value in ASSUMED.items()} | {"draft_length": (2, "best")}
    band = speq_headline.speq_band(0.9, models, axes)
    best = band.where(draft_length="best")
    assert best.low.value == band.high.value


def test_a_verified_head_and_a_longer_context_are_slower():
    base = speq_headline.average_speedup(0.9, SMALL, **ASSUMED)
    for change in ({"head": "verified"}, {"context": 4096}):
        assert speq_headline.average_speedup(0.9, SMALL, **ASSUMED | change) < base
    assert speq_headline.average_speedup(0.9, SMALL, **ASSUMED | {"planes": "placed"}) > base


def test_needed_values_of_speq_give_what_they_are_needed_for():
    found = speq_headline.needed_for(1.5, 0.95, SMALL, **ASSUMED)
    chance = found["needed_acceptance"]
    assert speq_headline.average_speedup(chance, SMALL, **ASSUMED) == pytest.approx(1.5, rel=1e-6)
    extra = found["needed_extra_time_per_pass"]
    # The same by hand: every pass, the plain one too, takes so much longer.
    setting = speq_headline.speq_setting(SMALL[0], 0.95, 128, "drafted", 4)
    machine = on_memory(SERVER, find_dram("lpddr5"))
    plain = machine.time(setting.spec("fp16")).seconds
    draft = machine.time(setting.spec("draft")).seconds
    verify = machine.time(setting.spec("verify", 5)).seconds
    tokens = sum(0.95**power for power in range(5))
    longer = extra * plain
    speedup = tokens * (plain + longer) / (4 * (draft + longer) + verify + longer)
    assert speedup == pytest.approx(1.5, rel=1e-6)
    assert speq_headline.needed_for(9.0, 0.95, SMALL, **ASSUMED)["needed_acceptance"] is None


# OliVe and Tender


def test_baselines_by_width_and_array():
    rows = baselines_headline.over_fp16(AREAS, models=SMALL, context=128)
    found = {(row["kind"], row["bits"], row["array"]): row["over_fp16"] for row in rows}
    assert len(found) == 2 * 2 * len(baselines_headline.ARRAYS)
    for kind in ("olive", "tender"):
        assert 1 < found[kind, 8, "iso-bandwidth"] < found[kind, 4, "iso-bandwidth"]
        assert found[kind, 8, "as published"] < found[kind, 8, "iso-bandwidth"]


def test_the_band_over_a_baseline_is_the_quotient_of_both_speedups():
    axes = {
        "bits": (8,), "array": ("iso-bandwidth",), "context": (1024,), "memory": ("hbm2e",),
        "kv_bits": (16,), "draft_length": (4,),
    }  # fmt: skip
    band = baselines_headline.baseline_band("olive", AREAS, 0.9, SMALL, axes)
    (row,) = (
        row
        for row in baselines_headline.over_fp16(AREAS, models=SMALL)
        if (row["kind"], row["bits"], row["array"]) == ("olive", 8, "iso-bandwidth")
    )
    assumed = ASSUMED | {"context": 1024, "memory": "hbm2e"}
    ours = speq_headline.average_speedup(0.9, SMALL, **assumed)
    assert band.low.value == band.high.value == pytest.approx(ours / row["over_fp16"])


def test_arrays_of_the_same_area_have_it():
    engine = baselines_headline.engine_of("olive", 8, "iso-area", SERVER, 1, AREAS)
    budget = AREAS["ours"] * SERVER.rows * SERVER.columns
    used = AREAS["olive8"] * engine.array.rows * engine.array.columns
    assert used <= budget
    # As many rows as fit, or as are published: more would idle with one token.
    published = baselines_headline.engine_of("olive", 8, "iso-bandwidth", SERVER, 1, AREAS)
    assert engine.array.rows == published.array.rows
    small = SERVER.replace(rows=16)
    tight = baselines_headline.engine_of("olive", 8, "iso-area", small, 1, AREAS)
    budget = AREAS["ours"] * small.rows * small.columns
    used = AREAS["olive8"] * tight.array.rows * tight.array.columns
    assert used <= budget < used + AREAS["olive8"] * tight.array.columns
    with pytest.raises(ModelError, match="array 'square' is unknown: use one of as published"):
        baselines_headline.engine_of("olive", 8, "square", SERVER, 1, AREAS)


def test_areas_come_from_the_record(tmp_path):
    areas = baselines_headline.measured_areas(RESULTS / "baselines.json")
    assert set(areas) == set(AREAS)
    assert areas["olive4"] < areas["olive8"] < areas["ours"]
    (tmp_path / "none.json").write_text('{"designs": []}')
    with pytest.raises(ModelError, match=r"none.json is no record of baselines .*synth_baselines"):
        baselines_headline.measured_areas(tmp_path / "none.json")


# QSpec


def test_time_that_is_bytes_gives_qspec_its_tokens_over_its_passes():
    speedup = qspec_headline.on_gpu(
        0.958, 3, gpu="l20", batch=1, context=256,
        w4a16_efficiency=1.0, w4a4_efficiency=1.0, overhead_us=0,
    )  # fmt: skip
    tokens = sum(0.958**power for power in range(4))
    assert speedup == pytest.approx(tokens / 4, rel=1e-2)


def test_qspec_on_our_array_is_below_its_target_and_worse_with_sequences():
    axes = {"design": ("64 x 64 PEs, 16 tokens",), "memory": ("hbm2e",), "batch": (1, 16),
            "context": (256,)}  # fmt: skip
    band = qspec_headline.array_band((0.955, 0.961), 3, axes)
    assert len(band.points) == 4
    assert band.high.value < 1
    assert band.high.assumptions["acceptance"] == 0.961
    assert band.where(batch=16).high.value < band.where(batch=1).low.value


def test_needed_kernels_give_the_speedup():
    (row,) = qspec_headline.needed_by_batch(1.4, 0.958, 3, gpus=("l20",), batches=(4,))
    found = qspec_headline.on_gpu(
        0.958, 3, gpu="l20", batch=4, context=256, w4a4_efficiency=1.0, overhead_us=0,
        w4a16_efficiency=row["needed_w4a16_efficiency"],
    )  # fmt: skip
    assert found == pytest.approx(1.4, rel=1e-6)
    assert row["speedup_of_ideal_kernels"] < 1
    share = qspec_headline.needed_pass_ratio(1.4, 0.958, 3)
    tokens = sum(0.958**power for power in range(4))
    assert tokens / (3 * share + 1) == pytest.approx(1.4)


def test_slower_target_kernels_make_qspec_better():
    axes = {"gpu": ("l20",), "batch": (1,), "context": (256,), "w4a16_efficiency": (1.0, 0.5),
            "w4a4_efficiency": (1.0,), "overhead_us": (0,)}  # fmt: skip
    band = qspec_headline.gpu_band((0.958,), 3, axes)
    assert band.high.assumptions["w4a16_efficiency"] == 0.5


# HierSpec


@pytest.mark.parametrize("where", hierspec_headline.WHERE)
def test_hierspec_grows_with_both_acceptances(where):
    axes = {"level_acceptance": (0.6, 0.8), "middle_acceptance": (0.8, 0.9),
            "compute_share": (1.0,), "overhead_us": (0,)}  # fmt: skip
    bands = hierspec_headline.hierspec_bands(where, axes)
    best = {"level_acceptance": 0.8, "middle_acceptance": 0.9}
    assert best.items() <= bands["hierspec"].high.assumptions.items()
    assert bands["eagle2"].high.assumptions["level_acceptance"] == 0.8
    both = hierspec_headline.speedups(where, 0.6, 0.8)
    ratio = bands["hierspec_over_eagle2"].where(level_acceptance=0.6, middle_acceptance=0.8)
    assert ratio.low.value == pytest.approx(both["hierspec"] / both["eagle2"])


def test_needed_acceptances_of_hierspec_solve_their_equations():
    (row,) = hierspec_headline.needed_acceptances(1.9, 2.5, (1.0,))
    eagle = hierspec_headline.speedups("A100", row["needed_eagle_level_acceptance"], 1.0)
    assert eagle["eagle2"] == pytest.approx(1.9, rel=1e-6)
    middle = row["needed_middle_acceptance_at_level_0.7"]
    assert hierspec_headline.speedups("A100", 0.7, middle)["hierspec"] == pytest.approx(2.5)


def test_trees_cost_more_with_fewer_bits_and_slower_kernels():
    rows = hierspec_headline.tree_verify_ratios((10, 60), (1.0, 0.3))
    for row in rows:
        assert 1 <= row["ratios"]["10"] <= row["ratios"]["60"]
    on_a100 = {
        (row["weights"], row["compute_share"]): row["ratios"]["60"]
        for row in rows
        if row["where"] == "A100" and row["model"] == "llama-3-8b"
    }
    assert on_a100["W4A16", 1.0] > on_a100["FP16", 1.0]
    assert on_a100["W4A16", 0.3] > on_a100["W4A16", 1.0]
