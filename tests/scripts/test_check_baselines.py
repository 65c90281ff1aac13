"""scripts/check_baselines.py: the record of areas holds now, and planted changes are found."""

import copy
import json
import sys

import pytest

import _baselines
import check_baselines
from speq_sim.regression import compare

TOY = {
    "versions": {"pyosys": "0.70"},
    "designs": {"toy": {"rows": 4}},
    "figures": {"toy/pe": {"transistors": 10_000, "flip_flops": 100}, "toy/job": {"cycles": 50}},
}


def test_no_unit_is_larger_than_recorded():
    record = check_baselines.read(check_baselines.BASELINES / "area.json")
    measured = _baselines.measured_area()
    found = compare(record, measured, "area")
    assert {unit.split("/")[0] for unit in measured["figures"]} == set(measured["designs"])
    assert found.passes, found.markdown()

    # A record of 2.1 % less would have been found out.
    smaller = copy.deepcopy(record)
    pe = smaller["figures"]["tiny-all-p1/pe"]
    pe["transistors"] = int(measured["figures"]["tiny-all-p1/pe"]["transistors"] / 1.021)
    assert not compare(smaller, measured, "planted").passes


def test_records_hold_command_versions_and_whole_designs():
    for name, tool in (("area", "pyosys"), ("cycles", "verilator")):
        record = json.loads((check_baselines.BASELINES / f"{name}.json").read_text("utf-8"))
        assert record["command"] == "python scripts/check_baselines.py --refresh"
        assert tool in record["versions"]
        assert all("pipeline" in design for design in record["designs"].values())


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """A record and a measurement that tests may change."""
    current = copy.deepcopy(TOY)
    monkeypatch.setattr(check_baselines, "BASELINES", tmp_path / "baselines")
    monkeypatch.setattr(check_baselines, "MEASURES", {"area": lambda: copy.deepcopy(current)})
    check_baselines.write(tmp_path / "baselines" / "area.json", TOY)
    return current


def call(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["check_baselines.py", *map(str, words)])
    return check_baselines.run()


def test_the_same_passes(monkeypatch, toy, capsys):
    assert call(monkeypatch) == 0
    assert "✅ 2 entries" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("entry", "figure", "value"), [("toy/pe", "transistors", 10_210), ("toy/job", "cycles", 51)]
)
def test_planted_regressions_end_with_1_and_a_diff(
    monkeypatch, toy, capsys, tmp_path, entry, figure, value
):
    toy["figures"][entry][figure] = value
    summary = tmp_path / "new" / "summary.md"
    for _ in range(2):
        assert call(monkeypatch, "--markdown", summary, "--json", tmp_path / "found.json") == 1
    out = capsys.readouterr().out
    assert f"| {entry} | {figure} |" in out
    assert "▲" in out
    assert summary.read_text("utf-8").count(f"| {entry} | {figure} |") == 2, "appended"
    found = json.loads((tmp_path / "found.json").read_text("utf-8"))
    assert found["passes"] is False
    assert found["compared"]["area"]["changes"][0]["measured"] == value


def test_refresh_records_what_is_measured(monkeypatch, toy, capsys, tmp_path):
    toy["figures"]["toy/pe"]["transistors"] = 20_000
    assert call(monkeypatch, "--refresh") == 0
    assert "▲ +10,000 (+100.0 %)" in capsys.readouterr().out
    path = tmp_path / "baselines" / "area.json"
    text = path.read_text("utf-8")
    assert '    "toy/pe": {"transistors": 20000, "flip_flops": 100},\n' in text
    assert json.loads(text) == {"command": "python scripts/check_baselines.py --refresh", **toy}
    assert call(monkeypatch) == 0


def test_missing_and_broken_records_name_the_mend(monkeypatch, toy, tmp_path):
    path = tmp_path / "baselines" / "area.json"
    path.write_text("{")
    with pytest.raises(ValueError, match=r"baselines/area.json is no JSON .*--refresh"):
        call(monkeypatch)
    path.unlink()
    with pytest.raises(ValueError, match=r"baselines/area.json does not exist: write it with"):
        call(monkeypatch)
    assert call(monkeypatch, "--refresh") == 0
    assert call(monkeypatch) == 0
