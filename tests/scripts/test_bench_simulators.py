"""scripts/bench_simulators.py, on an array that elaborates at once."""

import json

import pytest

import bench_simulators

SMALLEST = ["--set", "tokens=1", "--set", "draft_lanes=1", "--set", "activation_values=64"]


FP16_ONLY = pytest.param("['verify']", marks=pytest.mark.slow)


@pytest.mark.parametrize("modes", ["['verify', 'draft']", FP16_ONLY])
def test_weights_go_into_the_array_on_every_cycle(monkeypatch, tmp_path, capsys, modes):
    beside, record = tmp_path / "beside.json", tmp_path / "figures.json"
    other = {"simulator": "other 1.0", "simulated_cycles_per_second": 1000.0}
    beside.write_text(json.dumps(other))
    words = ["tiny", *SMALLEST, "--set", f"modes={modes}", "--cycles", "12"]
    monkeypatch.setattr(
        "sys.argv",
        ["bench_simulators.py", *words, "--beside", str(beside), "--json", str(record)],
    )
    assert bench_simulators.run() == 0
    figures = json.loads(record.read_text())
    python = figures["python"]
    assert python["weight_port_busy"] == 1
    assert python["cycles"] == 12
    assert figures["beside"] == other
    assert figures["ratio"] == round(1000 / python["simulated_cycles_per_second"], 1)
    assert "times as fast" in capsys.readouterr().out
