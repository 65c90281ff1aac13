"""Comparing with records: planted regressions are found, improvements shown, nothing missed."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speq_sim.regression import TOLERANCES, Change, compare

RECORD = {
    "versions": {"pyosys": "0.70"},
    "designs": {"tiny": {"rows": 4, "pipeline": 1}},
    "figures": {
        "tiny/pe": {"transistors": 10_000, "flip_flops": 100},
        "tiny/decoder": {"transistors": 500, "flip_flops": 0},
        "tiny/job": {"cycles": 1000},
    },
}


def changed(entry, figure, value):
    current = copy.deepcopy(RECORD)
    current["figures"][entry][figure] = value
    return compare(RECORD, current, "toy")


def test_the_same_passes_and_has_no_table():
    found = compare(RECORD, copy.deepcopy(RECORD), "toy")
    assert found.passes
    assert found.changes == ()
    assert found.markdown() == (
        "### Baselines: toy\n\n✅ 3 entries; figures: 0 regressed or not in both, "
        "0 grew within the tolerance, 0 improved\n"
    )


@pytest.mark.parametrize(
    ("entry", "figure", "value", "row"),
    [
        ("tiny/pe", "transistors", 10_210, "10,000 | 10,210 | ▲ +210 (+2.1 %) | **regression** |"),
        ("tiny/pe", "flip_flops", 103, "100 | 103 | ▲ +3 (+3.0 %) | **regression** |"),
        ("tiny/decoder", "flip_flops", 1, "0 | 1 | ▲ +1 | **regression** |"),
        ("tiny/job", "cycles", 1001, "1,000 | 1,001 | ▲ +1 (+0.1 %) | **regression** |"),
    ],
)
def test_planted_regressions_fail(entry, figure, value, row):
    found = changed(entry, figure, value)
    assert not found.passes
    text = found.markdown()
    assert f"| {entry} | {figure.replace('_', '-')} | {row}" in text
    assert text.count("\n| ") == 2, "the head and the one line that changed"
    assert "❌ 3 entries; figures: 1 regressed" in text
    assert "say so in the commit" in text


@pytest.mark.parametrize(
    ("entry", "figure", "value"),
    [("tiny/pe", "transistors", 10_200), ("tiny/pe", "flip_flops", 102)],
)
def test_two_per_cent_more_is_shown_and_tolerated(entry, figure, value):
    found = changed(entry, figure, value)
    assert found.passes
    assert "(+2.0 %) | tolerated |" in found.markdown()
    assert "--refresh" not in found.markdown()


@pytest.mark.parametrize(
    ("entry", "figure", "value"), [("tiny/pe", "transistors", 9000), ("tiny/job", "cycles", 999)]
)
def test_less_is_an_improvement_to_be_recorded(entry, figure, value):
    found = changed(entry, figure, value)
    assert found.passes
    text = found.markdown()
    assert "▼" in text
    assert "| improvement |" in text
    assert "Record what improved, so that it is kept: `python scripts/check_baselines.py" in text


def test_entries_without_their_counterpart_fail():
    current = copy.deepcopy(RECORD)
    current["figures"]["tiny/new"] = current["figures"].pop("tiny/job")
    found = compare(RECORD, current, "toy")
    assert not found.passes
    assert "| tiny/new | cycles | - | 1,000 | new | **not in both** |" in found.markdown()
    assert "| tiny/job | cycles | 1,000 | - | gone | **not in both** |" in found.markdown()
    assert "changed on purpose, record it" in found.markdown()
    assert "❌ 4 entries; figures: 2 regressed or not in both" in found.markdown()


def test_other_designs_fail_and_say_what_differs():
    current = copy.deepcopy(RECORD)
    current["designs"]["tiny"]["pipeline"] = 3
    found = compare(RECORD, current, "toy")
    assert not found.passes
    assert "Design `tiny` has other parameters: pipeline was 1, is 3." in found.markdown()

    current["designs"] = {"edge": {"rows": 16}}
    text = compare(RECORD, current, "toy").markdown()
    assert "Design `edge` is not in the record." in text
    assert "Design `tiny` of the record is not measured any more." in text


def test_a_parameter_that_the_record_does_not_have_yet_is_no_difference():
    current = copy.deepcopy(RECORD)
    current["designs"]["tiny"]["new"] = 1
    assert compare(RECORD, current, "toy").passes
    assert not compare(current, RECORD, "toy").passes


def test_another_tool_is_a_note():
    current = copy.deepcopy(RECORD) | {"versions": {"pyosys": "0.71"}}
    found = compare(RECORD, current, "toy")
    assert found.passes
    assert "Recorded with pyosys 0.70, measured with 0.71" in found.markdown()


@pytest.mark.parametrize("key", ["designs", "figures", "versions"])
def test_incomplete_records_are_named(key):
    broken = {name: each for name, each in RECORD.items() if name != key}
    with pytest.raises(ValueError, match=f"the record of toy has no {key}: write it anew"):
        compare(broken, RECORD, "toy")
    with pytest.raises(ValueError, match=f"the measurement of toy has no {key}"):
        compare(RECORD, broken, "toy")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (("a", "delay", 1, 2), "figure is 'delay', but must be one with a tolerance"),
        (("a", "cycles", 1, -2), "measured is -2, but must be 0 or more"),
        (("a", "cycles", 2, 2), "which is no change: leave it out"),
    ],
)
def test_illegal_changes_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Change(*fields)


counts = st.integers(0, 10**7)


@given(counts, counts, st.sampled_from(sorted(TOLERANCES)))
def test_a_change_is_one_of_four_things(before, after, figure):
    found = compare(
        {"versions": {}, "designs": {}, "figures": {"x": {figure: before}}},
        {"versions": {}, "designs": {}, "figures": {"x": {figure: after}}},
        "property",
    )
    limit = {"cycles": before}.get(figure, before + before // 50)
    assert found.passes == (after <= limit)
    assert len(found.changes) == (before != after)
    for change in found.changes:
        assert change.improves == (after < before)
        assert not (change.fails and change.improves)
