"""scripts/compare_units.py: units of others beside lanes of our rows."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

import compare_units

TOY = Path(__file__).parents[1] / "data/toy.lib"

LIST = """
[[unit]]
name = "other AND"
version = "1.2 (2020-01-01)"
does = "a conjunction"
top = "conjunction"
files = ["code/conjunction.v"]
include = ["code"]
parameters = { N = 3 }
"""


@pytest.fixture
def units(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "conjunction.v").write_text(
        "module conjunction #(parameter N = 1) (input [N-1:0] a, b, output [N-1:0] y);\n"
        "  assign y = a & b;\nendmodule\n"
    )
    path = tmp_path / "units.toml"
    path.write_text(LIST)
    return path


def emit(parameters, directory):
    """A stand-in for a row: an inverter for each column, and a register for each stage."""
    directory.mkdir(parents=True)
    top = f"speq_{parameters.name}"
    n = parameters.columns
    depth = parameters.pipeline
    verilog = directory / "design.v"
    verilog.write_text(
        f"module {top}_row(input clk, input [{n - 1}:0] a, output [{n - 1}:0] y);\n"
        f"  reg [{n * depth - 1}:0] q;\n"
        f"  always @(posedge clk) q <= {{q, ~a}};\n"
        f"  assign y = q[{n * depth - 1}:{n * (depth - 1)}];\nendmodule\n"
    )
    return SimpleNamespace(verilog=verilog, top=top)


def test_lanes_and_units_stand_in_one_table(units, monkeypatch, tmp_path, capsys):
    record = tmp_path / "peers.json"
    words = ["tiny", "--list", str(units), "--liberty", str(TOY), "--json", str(record)]
    monkeypatch.setattr("sys.argv", ["compare_units.py", *words])
    monkeypatch.setattr(compare_units, "emit", emit)
    monkeypatch.setattr(compare_units._cli, "console", compare_units._cli.Console(width=160))
    compare_units.run()
    figures = json.loads(record.read_text())
    *lanes, other = figures["units"]
    assert [lane["default"]["flip_flops"] for lane in lanes] == [1, 4, 1, 4]
    assert all(lane["divided_by"] == 4 for lane in lanes)
    assert all(lane["booth"]["combinational_transistors"] == 2 for lane in lanes)
    assert other["default"]["combinational_transistors"] == 3 * 6
    assert (other["version"], other["parameters"]) == ("1.2 (2020-01-01)", {"N": "3"})
    assert other["default"]["libraries"]["toy"]["area"] == 3 * 4
    assert "other AND" in capsys.readouterr().out
    assert str(tmp_path) not in record.read_text()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('top = "conjunction"', "", r"units\.toml, unit 1 lacks \['top'\]"),
        ("include", "includes", r"unit 1 has unknown \['includes'\]"),
        ("[[unit]]", "[[unit", "is not TOML"),
        (LIST, "", "lists no unit"),
        ("conjunction.v", "absent.v", r"absent\.v does not exist"),
    ],
)
def test_a_wrong_list_is_named(units, old, new, message):
    units.write_text(LIST.replace(old, new))
    with pytest.raises(ValueError, match=message):
        compare_units.read_list(units)


def test_both_multipliers_are_measured_anyway(units, monkeypatch):
    monkeypatch.setattr("sys.argv", ["compare_units.py", "--list", str(units), "--booth"])
    with pytest.raises(ValueError, match="leave out --booth"):
        compare_units.run()
