import json
import sys
from pathlib import Path

import pytest

import synth_epilogue
from speq.block import module_name

LIBRARY = Path(__file__).parents[1] / "data" / "toy.lib"


def stand_in(name):
    """Verilog of something small, the larger the longer its name."""
    width = len(name)
    return (
        f"module {name}(input clk, input [{width}:0] a, b, output reg [{width}:0] y);\n"
        "  always @(posedge clk) y <= a ^ b;\n"
        "endmodule\n"
    )


@pytest.fixture
def units(monkeypatch):
    """Modules that the script measures, each as something small."""
    names = []

    def design_rtlil(block):
        names.append(module_name(block))
        return names[-1]

    monkeypatch.setattr(synth_epilogue, "design_rtlil", design_rtlil)
    monkeypatch.setattr(synth_epilogue, "verilog_from_rtlil", stand_in)
    return names


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_lanes_and_blocks_are_measured(units, monkeypatch, tmp_path, capsys):
    path = tmp_path / "figures.json"
    words = ["tiny", "--lanes", "1", "4", "--liberty", str(LIBRARY), "--json", str(path)]
    monkeypatch.setattr(sys, "argv", ["synth_epilogue.py", *words])
    monkeypatch.setattr(synth_epilogue._cli, "console", synth_epilogue._cli.Console(width=160))
    synth_epilogue.run()
    assert units == [
        "speq_tiny_epilogue_lane",
        "speq_tiny_epilogue",
        "speq_tiny_epilogue",
        "speq_tiny_epilogue_group_lane",
        "speq_tiny_epilogue",
        "speq_tiny_epilogue",
    ]
    record = json.loads(path.read_text())
    assert record["result_format"] == "fp16"
    assert [unit["module"] for unit in record["units"]] == units
    assert [unit["flip_flops"] for unit in record["units"]] == [len(name) + 1 for name in units]
    assert [unit["lanes"] for unit in record["units"]] == [1, 1, 4] * 2
    assert [unit["latency"] for unit in record["units"]] == [5] * 3 + [7] * 3
    printed = capsys.readouterr().out
    assert "block, E = 4, groups" in printed


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_the_array_is_measured_without_and_with_the_epilogue(units, monkeypatch, tmp_path, capsys):
    path = tmp_path / "figures.json"
    words = ["tiny", "--array", "--lanes", "1", "4", "--liberty", str(LIBRARY)]
    monkeypatch.setattr(sys, "argv", ["synth_epilogue.py", *words, "--json", str(path)])
    monkeypatch.setattr(synth_epilogue._cli, "console", synth_epilogue._cli.Console(width=160))
    synth_epilogue.run()
    assert units == ["speq_tiny", "speq_tiny_scaled", "speq_tiny_scaled"]
    figures = json.loads(path.read_text())["units"]
    assert [unit["unit"] for unit in figures] == ["array", "scaled array", "scaled array"]
    assert [(unit["lanes"], unit["queue"]) for unit in figures[1:]] == [(1, 4), (4, 0)]
    printed = capsys.readouterr().out
    assert "scaled array, E = 4" in printed


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_lanes_that_do_not_divide_the_rows_are_one_line(monkeypatch, capsys):
    words = ["tiny", "--lanes", "3", "--liberty", str(LIBRARY)]
    monkeypatch.setattr(sys, "argv", ["synth_epilogue.py", *words])
    with pytest.raises(SystemExit) as exited:
        synth_epilogue._cli.main(synth_epilogue.run)
    assert exited.value.code == 2
    assert "lanes is 3, but must divide rows = 4" in capsys.readouterr().err
