"""speq_sim.performance.reproduction: our acceptances, pictures, events, scale."""

import json
from pathlib import Path

import pytest

from speq.parameters import PRESETS
from speq_sim.decoding.errors import ModelError
from speq_sim.performance.dram_presets import find_dram
from speq_sim.performance.methods import Plain, Setting
from speq_sim.performance.models import MODELS
from speq_sim.performance.reproduction import (
    agreement,
    drafts,
    own,
    passes_shown,
    scale,
)
from speq_sim.performance.reproduction.machines import (
    ALL_MODES,
    SERVER,
    on_memory,
)

RESULTS = Path(__file__).parents[3] / "docs/results"


# Our own


@pytest.fixture(scope="module")
def cases():
    return own.own_cases(
        RESULTS / "acceptance-spec-prompts.json",
        RESULTS / "acceptance.json",
        RESULTS / "recipes-smollm2-135m.json",
    )


def test_cases_are_the_measured_ones(cases):
    record = json.loads((RESULTS / "acceptance-spec-prompts.json").read_text())
    codecs = record["models"]["smollm2-135m"]["codecs"]
    measured = codecs["packed:smollm2-spare-1"]["summary"]["all"]["acceptance"]
    case = next(case for case in cases if case.title.startswith("SPEQ, spare-1, head"))
    assert (case.acceptance, case.low, case.high) == tuple(
        measured[key] for key in ("value", "low", "high")
    )
    assert case.prompts == "public"
    assert {case.method.title for case in cases} == {
        "SPEQ", "DRAFT, MIDDLE, VERIFY", "QSpec", "copy",
    }  # fmt: skip


def test_own_figures_lie_in_their_intervals_and_say_what_is_a_what_if(cases):
    machines = {"edge": (PRESETS["edge"].replace(modes=ALL_MODES), "lpddr5")}
    rows = own.own_figures(cases, machines, ("smollm2-135m", "stories15m"))
    assert {row["what_if"] for row in rows if row["model"] == "stories15m"} == {True}
    assert {row["what_if"] for row in rows if row["model"] == "smollm2-135m"} == {False}
    for row in rows:
        assert row["speedup_low"] <= row["speedup"] <= row["speedup_high"]
        assert row["speedup_placed"] >= row["speedup"]
        assert (row["over"] == "w4a16") == row["case"].startswith("QSpec")
    # A recipe of single layers is of its own model.
    fitted = [row["model"] for row in rows if "fitted recipe" in row["case"]]
    assert fitted == ["smollm2-135m"]


def test_records_that_lack_something_are_refused(tmp_path):
    empty = tmp_path / "empty.json"
    empty.write_text('{"models": {}}')
    public, recipes = RESULTS / "acceptance-spec-prompts.json", tmp_path / "recipes.json"
    with pytest.raises(ModelError, match=r"empty.json has no acceptance of bsfp on smollm2-135m"):
        own.own_cases(empty, empty, recipes)
    recipes.write_text("{}")
    with pytest.raises(ModelError, match=r"recipes.json is no record of recipes .*fit_recipe"):
        own.own_cases(public, RESULTS / "acceptance.json", recipes)


# Pictures' rows


def test_the_best_length_is_the_best_of_the_lengths():
    rows = drafts.by_length("smollm2-135m", "lpddr5", 128, (0.9,), range(1, 9))
    best = drafts.by_acceptance("smollm2-135m", "lpddr5", (128,), (0.9,))
    assert best[0]["speedup"] == pytest.approx(max(row["speedup"] for row in rows))


def test_bytes_by_pass_add_up_to_the_bytes_of_a_token():
    rows = passes_shown.bytes_by_pass(0.9, 0.95, "smollm2-135m", "lpddr5", 128)
    setting = Setting(MODELS["smollm2-135m"], 128)
    cost = Plain("FP16", "fp16").cost(setting, on_memory(SERVER, find_dram("lpddr5")))
    plain = sum(row["bytes_per_token"] for row in rows if row["method"] == "FP16")
    assert plain == pytest.approx(sum(cost.bytes_per_token.values()))
    assert {row["pass"] for row in rows if row["method"] == "hierarchical"} == {
        "draft", "middle", "verify",
    }  # fmt: skip


def test_no_pass_is_above_its_roofs():
    shown = passes_shown.roofline("smollm2-135m", "hbm2e", context=128, batches=(1, 32))
    roofs = shown["roofs"]
    for each in shown["passes"]:
        memory = each["macs_per_byte"] * roofs["memory_bytes_per_second"]
        assert each["macs_per_second"] <= min(memory * 1.001, roofs["draft_macs_per_second"])
    assert len(shown["passes"]) == 6


# Events


def test_closed_formulas_lie_in_the_intervals_of_events():
    found = agreement.agreement(
        "smollm2-135m", "lpddr5", context=128, acceptances=(0.8,), batches=(1, 2), rounds=100,
        runs=10,
    )  # fmt: skip
    assert [case["method"] for case in found] == ["speq", "speq", "hierarchical"]
    for case in found:
        assert case["within"]
        for name, interval in case["events"].items():
            assert interval["low"] < interval["high"]
            assert interval["low"] <= case["closed"][name] <= interval["high"]


# Scale


def test_speculation_stops_paying_where_the_tile_is_full():
    machines = {"server": (SERVER, 1)}
    rows = scale.batching(0.9, "smollm2-135m", context=64, batches=(1, 8, 32), machines=machines)
    speedups = [row["speedup"] for row in rows]
    assert speedups == sorted(speedups, reverse=True)
    assert scale.stops_paying_at(rows) == {"server": 32 if speedups[1] >= scale.PAYS else 8}


def test_stops_paying_looks_at_what_follows():
    def rows(*speedups):
        return [
            {"machine": "m", "batch": batch, "speedup": each}
            for batch, each in zip((1, 2, 4), speedups, strict=True)
        ]

    assert scale.stops_paying_at(rows(2.0, 1.5, 1.2)) == {"m": None}
    assert scale.stops_paying_at(rows(2.0, 1.0, 1.2)) == {"m": None}
    assert scale.stops_paying_at(rows(2.0, 1.0, 1.0)) == {"m": 2}


def test_tensor_parallel_rows():
    rows = scale.tensor_parallel(
        0.9, "llama-3.2-3b", "hbm3", devices=(1, 4), links=("pcie4", "ideal"),
        designs={"64 x 64 PEs": SERVER},
    )  # fmt: skip
    for row in rows:
        for name in ("fp16", "speq"):
            assert sum(row[f"{name}_shares"].values()) == pytest.approx(1)
            assert row[f"{name}_efficiency"] == 1 or row["devices"] > 1
    slow, ideal = (row for row in rows if row["devices"] == 4)
    assert slow["speq_tokens_per_second"] < ideal["speq_tokens_per_second"]
    assert slow["speq_shares"]["link"] > slow["fp16_shares"]["link"]
    assert ideal["speq_shares"]["link"] == pytest.approx(0, abs=1e-6)
