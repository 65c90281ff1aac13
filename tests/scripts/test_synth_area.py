import gzip
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import _synth_options
import synth_area
from speq.synthesis import PEERS

LANE = "module {top}_pe(input [{width}:0] a, b, output [{width}:0] y); assign y = a ^ b; endmodule"

ROW = """
module {top}_row(input clk, input [7:0] a, b, output reg [7:0] y);
  wire [7:0] next;
  {top}_pe low(.a(a[3:0]), .b(b[3:0]), .y(next[3:0]));
  {top}_pe high(.a(a[7:4]), .b(b[7:4]), .y(next[7:4]));
  always @(posedge clk) y <= next{extra};
endmodule
"""

TOP = """
module {top}(input clk, input [7:0] a, b, output [7:0] x, y);
  {top}_row one(.clk(clk), .a(a), .b(b), .y(x));
  {top}_row two(.clk(clk), .a(a), .b(~b), .y(y));
endmodule
"""

LIBRARY = (Path(__file__).parents[1] / "data" / "toy.lib").read_text()


def emit(parameters, directory):
    """A small stand-in: designs with weights of 4 bits have somewhat more logic than others."""
    top = f"speq_{parameters.name}"
    directory.mkdir(parents=True)
    verilog = directory / f"{top}.v"
    extra = " & {8{a[0]}}" if parameters.has_nibbles else ""
    text = (LANE + ROW + TOP).replace("{top}", top).replace("{width}", "3")
    verilog.write_text(text.replace("{extra}", extra))
    return SimpleNamespace(verilog=verilog, top=top)


@pytest.fixture
def measure(monkeypatch, tmp_path, capsys):
    """Run the script on the stand-in; return its JSON record and what it printed."""
    monkeypatch.setattr(synth_area, "emit", emit)
    monkeypatch.setattr(synth_area._cli, "console", synth_area._cli.Console(width=160))

    def call(*words):
        path = tmp_path / "figures.json"
        monkeypatch.setattr(sys, "argv", ["synth_area.py", *words, "--json", str(path)])
        synth_area.run()
        captured = capsys.readouterr()
        return json.loads(path.read_text()), captured.out + captured.err

    return call


@pytest.fixture
def liberty(tmp_path):
    path = tmp_path / "toy.lib.gz"
    path.write_bytes(gzip.compress(LIBRARY.encode()))
    return f"--liberty={path}"


def test_a_design_is_compared_with_its_fp16_only_twin(measure, liberty):
    record, printed = measure("tiny", "--against", "verify-only", liberty)
    other = record["against"]
    assert record["module"] == "speq_tiny"
    assert other["module"] == "speq_tiny_verify_only"
    assert record["flip_flops"] == other["flip_flops"] == 16
    assert record["transistors"] > other["transistors"]
    for key in ("transistors", "area", "flip_flops", "combinational_transistors"):
        assert record["ratio"][key] == pytest.approx(record[key] / other[key], abs=1e-4)
    assert record["area_library"] == "toy"
    assert record["command"].startswith("python scripts/synth_area.py tiny --against verify-only")
    for word in ("tiny_verify_only", "row", "pe", "area, toy", "ratio"):
        assert word in printed


def test_parts_say_where_the_area_goes(measure, liberty):
    record, _ = measure("tiny", liberty)
    instances = {part["module"]: part["instances"] for part in record["parts"]}
    assert instances == {"speq_tiny": 1, "speq_tiny_row": 2, "speq_tiny_pe": 4}
    assert "ratio" not in record


def test_parameters_can_be_set(measure, liberty):
    record, _ = measure("tiny", "--set", 'modes=["verify"]', "--set", "rows=2", liberty)
    assert record["design"]["rows"] == 2
    assert record["design"]["modes"] == ["verify"]


def test_one_unit_is_measured_alone(measure, liberty):
    record, _ = measure("tiny", "--unit", "pe", liberty)
    assert record["module"] == "speq_tiny_pe"
    assert record["flip_flops"] == 0
    by_full_name, _ = measure("tiny", "--unit", "speq_tiny_pe", liberty)
    assert by_full_name["transistors"] == record["transistors"] > 0


def test_an_unknown_unit_names_the_units(measure, liberty):
    with pytest.raises(ValueError, match=r"'multipliers' is not a module .* one of array, pe, row"):
        measure("tiny", "--unit", "multipliers", liberty)


def test_a_row_is_set_beside_the_peers(measure, liberty):
    record, printed = measure("tiny", "--per-lane", liberty)
    assert [lane["design"] for lane in record["per_lane"]] == ["tiny", "tiny_verify_only"]
    assert record["unit"] == "row"
    lane, row = record["per_lane"][0], record["combinational_transistors"]
    assert lane["combinational_transistors"] == pytest.approx(row / 4, abs=0.1)
    assert [peer["combinational_transistors"] for peer in record["peers"]] == [33_898, 18_072]
    assert all(f"{peer.transistors:,}" in printed for peer in PEERS)


def test_an_fp16_only_design_has_no_twin(measure, liberty):
    with pytest.raises(ValueError, match="FP16-only already"):
        measure("tiny", "--set", 'modes=["verify"]', "--against", "verify-only", liberty)


def test_any_two_designs_can_be_compared(measure, liberty):
    record, _ = measure("tiny", "--against", "small", liberty)
    assert record["against"]["design"]["name"] == "small"


def test_switches_are_stated(measure, liberty):
    record, printed = measure("tiny", "--booth", "--flatten", "no", liberty)
    assert record["switches"] == {"flatten": False, "booth": True, "script": "default"}
    assert "hierarchy kept, Booth multipliers" in printed


def test_a_large_design_keeps_its_hierarchy(measure, liberty):
    record, _ = measure("server", liberty)
    assert record["switches"]["flatten"] is False
    record, _ = measure("server", "--unit", "row", liberty)
    assert record["switches"]["flatten"] is True


def test_without_a_library_the_figures_are_library_free(measure, monkeypatch):
    monkeypatch.setattr(_synth_options, "find_known", lambda: None)
    monkeypatch.setattr(
        synth_area._cli, "error_console", synth_area._cli.Console(stderr=True, width=300)
    )
    record, printed = measure("tiny", "--against", "verify-only")
    assert "No Liberty library is installed" in printed
    assert "qflow-tech-osu018" in printed
    assert record["area"] is None
    assert record["ratio"]["area"] is None
    assert record["ratio"]["transistors"] > 1


def test_a_missing_constraint_file_is_named(measure, liberty):
    with pytest.raises(ValueError, match=r"nowhere\.constr does not exist"):
        measure("tiny", "--constr", "nowhere.constr", liberty)


def test_a_design_that_does_not_exist_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["synth_area.py", "huge"])
    with pytest.raises(SystemExit) as exited:
        synth_area._cli.main(synth_area.run)
    assert exited.value.code == 2
    assert capsys.readouterr().err.startswith("error: design 'huge' is neither a preset")


def test_each_mode_is_measured_against_verify_alone(measure, liberty):
    record, printed = measure("tiny", "--ablate", liberty)
    variants = record["variants"]
    assert list(variants) == [
        "verify only", "+draft(1)", "+draft(4)", "+middle", "+qspec", "all",
    ]  # fmt: skip
    reference = variants["verify only"]
    assert set(reference["ratio"].values()) == {1.0, None}  # the toy library gives no delay
    for label, entry in variants.items():
        larger = label not in ("verify only", "+middle")
        assert (entry["transistors"] > reference["transistors"]) == larger
        ratio = entry["transistors"] / reference["transistors"]
        assert entry["ratio"]["transistors"] == pytest.approx(ratio, abs=1e-4)
        assert entry["area_library"] == "toy"
        assert label in printed
    assert variants["all"]["modes"]["qverify"]["macs_per_cycle"] == 32
    assert variants["all"]["modes"]["middle"]["bits_per_weight"] == 8
    rate = variants["+draft(4)"]["modes"]["draft"]
    wanted = 64 / variants["+draft(4)"]["transistors"] * 1e6
    assert rate["macs_per_cycle_per_million_transistors"] == pytest.approx(wanted, abs=0.01)


def test_an_ablation_is_of_whole_arrays(measure):
    with pytest.raises(ValueError, match="leave out --against, --per-lane and --unit"):
        measure("tiny", "--ablate", "--unit", "pe")


@pytest.fixture
def foreign(tmp_path):
    path = tmp_path / "keep.v"
    path.write_text(
        "module keep #(parameter N = 2) (input clk, input [N-1:0] a, b, output reg [N-1:0] q);\n"
        "  always @(posedge clk) q <= a & b;\nendmodule\n"
    )
    return path


def test_anyones_verilog_is_measured(measure, liberty, foreign):
    words = ["--verilog", str(foreign), "--top", "keep", "--parameter", "N=5", liberty]
    record, printed = measure(*words)
    assert record["flip_flops"] == 5
    assert record["combinational_transistors"] == 5 * 6
    assert record["parameters"] == {"N": "5"}
    assert record["files"] == ["keep.v"]
    assert record["libraries"][0]["mix"]["flip-flops"] == 5
    assert "keep" in printed
    record, _ = measure(*words, "--slang")
    assert (record["flip_flops"], record["reader"]) == (5, "slang")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--top", "keep", "tiny"], "takes the place of DESIGN, and needs --top"),
        ([], "needs --top NAME"),
        (["--top", "keep", "--ablate"], "leave out --against"),
        (["--top", "keep", "--parameter", "N"], "'N' is not of the form NAME=VALUE"),
        (["--top", "absent"], "synthesis of absent"),
    ],
)
def test_wrong_words_about_verilog_are_named(measure, liberty, foreign, words, message):
    with pytest.raises((ValueError, RuntimeError), match=message):
        measure("--verilog", str(foreign), *words, liberty)


def test_something_must_be_measured(measure):
    with pytest.raises(ValueError, match="name a DESIGN, or files with --verilog"):
        measure()


def test_both_kinds_of_multipliers_stand_side_by_side(measure, liberty, foreign):
    record, printed = measure("tiny", "--booth", "both", liberty)
    assert [record[kind]["switches"]["booth"] for kind in ("booth", "default")] == [True, False]
    assert record["design"]["name"] == "tiny"
    assert record["ratio_of_booth_to_default"] == {
        "transistors": 1.0,  # the stand-in has no multiplier
        "libraries": {"toy": {"area": 1.0, "delay": None}},
    }
    assert "Booth" in printed
    words = ["--verilog", str(foreign), "--top", "keep", "--booth", "both", liberty]
    assert measure(*words)[0]["booth"]["flip_flops"] == 2
    with pytest.raises(ValueError, match="--booth both measures one design"):
        measure("tiny", "--booth", "both", "--ablate")


def test_a_clock_comes_from_a_file_in_the_unit_of_the_library(measure, liberty, tmp_path):
    path = tmp_path / "mine.sdc"
    path.write_text("create_clock -period 2.5 [get_ports clk]\n")
    record, _ = measure("tiny", "--unit", "pe", liberty, "--sdc", str(path))
    assert record["libraries"][0]["clock_ps"] == 2500  # the toy library counts in ns
    with pytest.raises(ValueError, match="no file of constraints/ fits library toy"):
        measure("tiny", "--unit", "pe", liberty, "--sdc")
    with pytest.raises(ValueError, match="holds the units of one library, but 2 are measured"):
        measure("tiny", "--unit", "pe", liberty, liberty, "--sdc", str(path))


def test_nangate_is_not_put_beside_another_library(measure, liberty, tmp_path):
    path = tmp_path / "nangate.lib"
    path.write_text(LIBRARY.replace("library (toy)", "library (NangateOpenCellLibrary)"))
    with pytest.raises(ValueError, match="licence of Nangate's library forbids"):
        measure("tiny", liberty, f"--liberty={path}")


def test_the_speed_script_needs_constraints(measure, liberty):
    with pytest.raises(ValueError, match="needs a driving cell and a load"):
        measure("tiny", "--script", "speed", liberty)
