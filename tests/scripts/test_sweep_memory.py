"""scripts/sweep_memory.py, on the smallest sweep that shows a slope."""

import json

import sweep_memory
from speq_sim.benches.real_tile import icarus_is_there


def test_latency_costs_and_bursts_help(monkeypatch, tmp_path, capsys):
    simulator = "icarus" if icarus_is_there() else "verilator"
    monkeypatch.setattr(sweep_memory._accelerator, "default_simulator", lambda: simulator)
    monkeypatch.setattr(sweep_memory, "LATENCIES", (1, 40))
    monkeypatch.setattr(sweep_memory, "OUTSTANDING", (1, 4))
    record, picture = tmp_path / "sweep.json", tmp_path / "new" / "busy.png"
    words = ["tiny", "--set", "burst_beats=8", "--layer", "32x8"]
    monkeypatch.setattr(
        "sys.argv", ["sweep_memory.py", *words, "--json", str(record), "--plot", str(picture)]
    )
    assert sweep_memory.run() == 0
    busy = json.loads(record.read_text())["port_busy"]
    assert set(busy) == {"draft", "verify"}
    for shares in busy.values():
        assert shares["1"]["40"] < shares["1"]["1"]
        assert shares["4"]["40"] > 1.5 * shares["1"]["40"]
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "latency 40" in capsys.readouterr().out
