"""scripts/prove_netlist.py and run_sim.py --gates, from the command line to table and record."""

import json
from pathlib import Path

import pytest

import prove_netlist
import run_sim
from speq.parameters import ParameterError
from speq.synthesis.liberty import LibertyError

GATES = str(Path(__file__).parents[1] / "data/gates.lib")

DESIGN = ("tiny", "--set", "modes=['verify']", "--set", "rows=1", "--set", "columns=2")
DESIGN += ("--set", "port_words=1", "--set", "tokens=1", "--set", "result_format=fp16")


def _run(script, monkeypatch, tmp_path, *words):
    record = tmp_path / "figures.json"
    monkeypatch.setattr("sys.argv", [f"{script.__name__}.py", *words, "--json", str(record)])
    status = script.run()
    return status, json.loads(record.read_text())


@pytest.mark.slow
def test_two_units(monkeypatch, tmp_path, capsys):
    words = (*DESIGN, "--library", GATES, "--unit", "sequencer", "--unit", "round")
    status, figures = _run(prove_netlist, monkeypatch, tmp_path, *words)
    assert status == 0
    assert figures["proved"]
    assert figures["library"] == "gates"
    assert list(figures["units"]) == ["round", "sequencer"]
    for unit in figures["units"].values():
        assert unit["verdict"] == "equal"
        assert unit["cells"] > 0
    assert figures["command"].startswith("python scripts/prove_netlist.py tiny")
    printed = capsys.readouterr().out
    assert "speq_tiny in gates" in printed
    assert "yes" in printed


def test_a_wrong_netlist_gives_status_1_and_its_name(monkeypatch, tmp_path, capsys):
    genuine = prove_netlist.map_netlist

    def faulty(*arguments, **options):
        netlist = genuine(*arguments, **options)
        text = netlist.verilog.read_text()
        netlist.verilog.write_text(text.replace("  NAND2 ", "  NOR2 ", 1))
        return netlist

    monkeypatch.setattr(prove_netlist, "map_netlist", faulty)
    words = (*DESIGN, "--library", GATES, "--unit", "sequencer")
    status, figures = _run(prove_netlist, monkeypatch, tmp_path, *words)
    assert status == 1
    assert not figures["proved"]
    assert figures["units"]["sequencer"]["verdict"] == "different"
    captured = capsys.readouterr()
    assert "NO" in captured.out
    assert "sequencer: the netlist is not the RTL; first to differ: " in captured.err


def test_names_that_do_not_exist(monkeypatch, tmp_path):
    with pytest.raises(ParameterError, match="--unit 'nothing' is not a module of speq_tiny: use"):
        _run(prove_netlist, monkeypatch, tmp_path, *DESIGN, "--library", GATES, "--unit", "nothing")
    with pytest.raises(LibertyError, match=r"nothing\.lib does not exist"):
        _run(prove_netlist, monkeypatch, tmp_path, *DESIGN, "--library", "nothing.lib")


def test_gates_of_an_array_on_the_real_tile(monkeypatch, tmp_path):
    words = (*DESIGN, "--gates", GATES, "--build", str(tmp_path / "build"))
    status, figures = _run(run_sim, monkeypatch, tmp_path, *words)
    assert status == 0
    assert figures["bit_exact"]
    assert figures["gates"] == "gates"
    assert (tmp_path / "build/tiny/gates/speq_tiny.gates.v").is_file()


def test_gates_are_those_of_an_array(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["run_sim.py", "--unit", "accelerator", "--gates", GATES])
    with pytest.raises(SystemExit):
        run_sim.arguments()
    assert "--gates simulates an array: leave out --unit" in capsys.readouterr().err
