"""scripts/run_all.py: one row all the way, but for the simulation, which test_run_sim.py covers."""

import json
import sys

import pytest

import run_all
from speq.parameters import ParameterError

ONE_ROW = [
    *("--set", "rows=1", "--set", "columns=4", "--set", "port_words=1"),
    *("--set", "draft_lanes=1", "--set", "tokens=1"),
]


def figures_of(parameters, *, bit_exact):
    """What a simulation reports."""
    run = {"bit_exact": bit_exact}
    if bit_exact:
        run |= {"tiles": 2, "results": 4, "macs": 8, "cycles": 16, "macs_per_cycle": 0.5}
        run |= {"peak_macs_per_cycle": 1, "activation_port_busy": 1.0, "total_cycles": 20}
    return {
        "bit_exact": bit_exact,
        "error": None if bit_exact else "verify: result 3 differs",
        "simulator": "a simulator 1.0",
        "waveform": None,
        "tile": {"rows": 16, "columns": 576, "tokens": 1},
        "runs": {mode: dict(run) for mode in parameters.modes},
    }


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Run the script; return its status, its record and what it printed."""
    monkeypatch.setattr(run_all._cli, "console", run_all._cli.Console(width=120))
    calls = []

    def call(*words, bit_exact=True):
        def simulate(parameters, verilog, side_car, tile, folder, *, waves):
            calls.append((parameters, verilog, side_car, tile, folder, waves))
            return figures_of(parameters, bit_exact=bit_exact)

        monkeypatch.setattr(run_all, "simulate", simulate)
        record = tmp_path / "figures.json"
        options = ["--build", str(tmp_path / "build"), "--json", str(record)]
        monkeypatch.setattr(sys, "argv", ["run_all.py", *words, *options])
        status = run_all.run()
        return status, json.loads(record.read_text()), capsys.readouterr().out

    call.simulations = calls
    return call


def test_one_row_from_design_to_report(run, tmp_path):
    status, record, printed = run("tiny", *ONE_ROW, "--waves")
    folder = tmp_path / "build/tiny"
    assert status == 0
    ((parameters, verilog, side_car, tile, sim_folder, waves),) = run.simulations
    assert (parameters.rows, parameters.columns, waves) == (1, 4, True)
    assert verilog == folder / "speq_tiny.v"
    assert side_car == folder / "speq_tiny.json"
    assert sim_folder == folder / "sim"
    assert tile.activations.shape[0] == 1
    synthesis = record["synthesis"]
    assert synthesis["module"] == "speq_tiny"
    assert synthesis["against"]["module"] == "speq_tiny_verify_only"
    assert 1 < synthesis["ratio"]["transistors"] < 2
    assert record["simulation"]["tile_file"] == run_all.run_sim.TILE.name
    files = {path.name for path in folder.iterdir() if path.is_file()}
    assert {"speq_tiny.v", "speq_tiny.json", "speq_tiny.core", "report.md"} < files
    assert (folder / "verify_only/speq_tiny_verify_only.v").is_file()
    report = (folder / record["report"]).read_text()
    for text in ("## Simulation", "## Area", "## Where the area goes", run_all.run_sim.TILE.name):
        assert text in report
    assert f"| transistors | {synthesis['transistors']:,} |" in report
    for text in ("draft", "verify", "ratio", "report.md", str(folder)):
        assert text in printed.replace("\n", "")


def test_a_design_without_draft_has_no_twin_and_a_wrong_result_gives_status_1(run, tmp_path):
    status, record, printed = run("tiny", *ONE_ROW, "--set", 'modes=["verify"]', bit_exact=False)
    assert status == 1
    assert "against" not in record["synthesis"]
    assert "ratio" not in record["synthesis"]
    assert not (tmp_path / "build/tiny/verify_only").exists()
    report = (tmp_path / "build/tiny/report.md").read_text()
    assert "**Results differ from the golden model:** verify: result 3 differs" in report
    assert "verify: result 3 differs" in printed


def test_an_illegal_design_writes_nothing(run, tmp_path):
    with pytest.raises(ParameterError, match="draft_lanes is 3"):
        run("tiny", "--set", "draft_lanes=3")
    assert list(tmp_path.iterdir()) == []
    assert run.simulations == []
