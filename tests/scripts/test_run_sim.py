"""scripts/run_sim.py, from its command line to its table and its record."""

import json

import pytest

import run_sim


def _run(monkeypatch, tmp_path, *words):
    record = tmp_path / "figures.json"
    options = ["--build", str(tmp_path / "build"), "--json", str(record)]
    monkeypatch.setattr("sys.argv", ["run_sim.py", *words, *options])
    status = run_sim.run()
    return status, json.loads(record.read_text())


def test_tiny_on_the_real_tile(monkeypatch, tmp_path, capsys):
    status, figures = _run(monkeypatch, tmp_path, "tiny")
    assert status == 0
    assert figures["bit_exact"]
    assert figures["tile"] == {"rows": 16, "columns": 576, "tokens": 4}
    assert figures["tile_file"] == "smollm2-135m-q-proj.safetensors"
    assert figures["command"].startswith("python scripts/run_sim.py tiny")
    assert figures["runs"]["draft"]["macs_per_cycle"] == 64
    assert figures["runs"]["verify"]["macs_per_cycle"] == 16
    assert figures["runs"]["changing"]["cycles_lost_to_mode_changes"] == 0
    printed = capsys.readouterr().out
    assert "Cycles lost to 95 mode changes: 0" in printed
    assert "grouped" in printed


def test_one_mode_of_a_changed_design(monkeypatch, tmp_path):
    words = ("tiny", "--set", "draft_lanes=1", "--mode", "draft")
    status, figures = _run(monkeypatch, tmp_path, *words)
    assert status == 0
    assert figures["design"]["draft_lanes"] == 1
    assert list(figures["runs"]) == ["draft"]
    assert figures["runs"]["draft"]["macs_per_cycle"] == 16


def test_a_tile_that_does_not_exist(monkeypatch, tmp_path):
    with pytest.raises(ValueError, match="cannot be read as safetensors"):
        _run(monkeypatch, tmp_path, "tiny", "--tile", str(tmp_path / "none.safetensors"))


def test_a_wrong_result_gives_status_1(monkeypatch, tmp_path, capsys):
    def simulate(*arguments, **options):
        figures = {"bit_exact": False, "error": "draft: result 0 differs", "simulator": "none"}
        tile = {"rows": 1, "columns": 1, "tokens": 1}
        runs = {"draft": {"bit_exact": False}}
        return figures | {"waveform": "waves.fst", "tile": tile, "runs": runs}

    monkeypatch.setattr(run_sim, "simulate", simulate)
    status, _ = _run(monkeypatch, tmp_path, "tiny", "--mode", "draft")
    printed = capsys.readouterr().out
    assert status == 1
    assert "NO" in printed
    assert "draft: result 0 differs" in printed
    assert "waves.fst" in printed
