"""scripts/calibrate_cycles.py, on the smallest design and two layers."""

import json

import pytest

import calibrate_cycles
from speq.parameters import PRESETS
from speq_sim.host import DeviceError


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    monkeypatch.setattr(calibrate_cycles, "DESIGNS", {"tiny": PRESETS["tiny"]})
    monkeypatch.setattr(calibrate_cycles, "SHAPES", ((8, 32), (10, 20)))
    monkeypatch.setattr(calibrate_cycles, "BUILD", tmp_path / "build")
    record, picture = tmp_path / "cycles.json", tmp_path / "new" / "cycles.png"
    monkeypatch.setattr(
        "sys.argv", ["calibrate_cycles.py", "--json", str(record), "--plot", str(picture)]
    )
    return record, picture


@pytest.mark.slow
def test_points_and_chains_are_measured_and_compared(tiny, monkeypatch, capsys):
    record, picture = tiny
    assert calibrate_cycles.run() == 0
    figures = json.loads(record.read_text())
    assert figures["designs"]["tiny"]["rows"] == 4
    assert {each["jobs"][0]["mode"] for each in figures["points"]} == {"verify", "draft"}
    assert all(each["measured"] > 0 for each in (*figures["points"], *figures["chains"]))
    assert figures["largest_error"] <= 0.03
    assert [len(each["jobs"]) for each in figures["chains"]] == [2, 2, 3, 2, 2]
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "largest error" in capsys.readouterr().out

    # Beats and words must be exact: a formula of another layer is found out.
    true = calibrate_cycles.unit_cycles
    monkeypatch.setattr(
        calibrate_cycles, "unit_cycles", lambda p, n, k, *rest, **more: true(p, n, k + 16, *rest)
    )
    with pytest.raises(DeviceError, match=r"moved \d+ beats and \d+ words, but the formula has"):
        calibrate_cycles.run()
