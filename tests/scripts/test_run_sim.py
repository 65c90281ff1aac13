"""scripts/run_sim.py, from its command line to its table and its record."""

import json

import pytest

import run_sim
from speq.formats import FormatError
from speq_sim.benches.real_tile import icarus_is_there


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
    # Columns of two stages take the first beat before its tile is there, and then wait for it.
    for mode, peak in (("draft", 64), ("verify", 16)):
        assert figures["runs"][mode]["peak_macs_per_cycle"] == peak
        assert peak * 0.99 < figures["runs"][mode]["macs_per_cycle"] < peak
    assert figures["runs"]["changing"]["cycles_lost_to_mode_changes"] == 0
    printed = capsys.readouterr().out
    assert "Cycles lost to 95 mode changes: 0" in printed
    assert "grouped" in printed


def test_one_mode_of_a_changed_design(monkeypatch, tmp_path):
    words = ("tiny", "--set", "draft_lanes=1", "--set", "pipeline=1", "--mode", "draft")
    status, figures = _run(monkeypatch, tmp_path, *words)
    assert status == 0
    assert figures["design"]["draft_lanes"] == 1
    assert list(figures["runs"]) == ["draft"]
    assert figures["runs"]["draft"]["macs_per_cycle"] == 16


def test_each_unit_has_a_design_of_its_own(monkeypatch):
    for unit, design in (("array", "tiny"), ("accelerator", "edge")):
        monkeypatch.setattr("sys.argv", ["run_sim.py", "--unit", unit])
        assert run_sim.arguments().design == design
    monkeypatch.setattr("sys.argv", ["run_sim.py", "small", "--unit", "accelerator"])
    assert run_sim.arguments().design == "small"


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


# The accelerator ------------------------------------------------------------------------------

SIMULATOR = ("--simulator", "icarus" if icarus_is_there() else "verilator")
UNIT = ("--unit", "accelerator")


def test_an_accelerator_on_a_layer(monkeypatch, tmp_path, capsys):
    words = ("tiny", *UNIT, "--layer", "40x8", "--memory", "ideal", *SIMULATOR)
    status, figures = _run(monkeypatch, tmp_path, *words)
    assert status == 0
    assert figures["bit_exact"]
    assert figures["unit"] == "accelerator"
    assert figures["layer"]["origin"].endswith("repeated to 8 x 40")
    assert (figures["layer"]["inputs"], figures["layer"]["outputs"]) == (40, 8)
    assert figures["layer"]["tokens"] == {"one": 1, "many": 4}
    assert set(figures["port_busy"]) == {"draft", "verify", "changing"}
    for run in figures["runs"].values():
        assert run["bit_exact"]
        assert 0 < run["port_busy"] <= run["memory_port_busy"] <= 1
        assert run["port_busy"] == round(run["weight_transfers"] / run["cycles"], 4)
    # 2 output tiles of 3 groups; a DRAFT tile loads in 4 cycles, a group of VERIFY in 16.
    assert figures["runs"]["draft ideal"]["weight_transfers"] == 2 * 3 * 4
    assert figures["runs"]["verify ideal"]["weight_transfers"] == 2 * 3 * 16
    printed = capsys.readouterr().out
    assert "weight port" in printed
    assert "per second" in printed


def test_one_mode_of_an_accelerator_on_a_users_layer(monkeypatch, tmp_path):
    words = ("tiny", *UNIT, "--mode", "verify", "--memory", "random", *SIMULATOR)
    model = ("--model", str(run_sim.TILE), "--tensor", "weight", "--layer", "576x128")
    with pytest.raises(FormatError, match="has no tensor 'weight' of 8 x 576: name another"):
        _run(monkeypatch, tmp_path, *words, *model[:-1], "576x8")
    words += ("--set", "modes=['verify']", "--layer", "40x8")
    status, figures = _run(monkeypatch, tmp_path, *words)
    assert status == 0
    # 2 output tiles of 10 groups, each of one tile that loads in 4 cycles.
    run = figures["runs"]["verify random"]
    assert run["weight_transfers"] == run["memory_beats"] == 2 * 10 * 4
    assert figures["port_busy"] == {"verify": {"random": round(80 / run["cycles"], 4)}}
    assert figures["layer"]["stored"] == "plain"


def test_a_shape_that_is_none(monkeypatch, tmp_path):
    with pytest.raises(FormatError, match="not of the form INPUTSxOUTPUTS"):
        _run(monkeypatch, tmp_path, "tiny", *UNIT, "--layer", "576")


@pytest.mark.slow
def test_verilator_builds_equal_rows_once(monkeypatch, tmp_path):
    words = ("tiny", *UNIT, "--layer", "64x16", "--simulator", "verilator")
    status, figures = _run(monkeypatch, tmp_path, *words)
    assert status == 0
    assert figures["bit_exact"]
    (model,) = (tmp_path / "build/tiny/accelerator/sim/model").iterdir()
    assert (model / "Vspeq_tiny_row").is_dir()
