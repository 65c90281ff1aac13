"""scripts/emit_verilog.py, from its command line to its files, tables and record."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

import emit_verilog
from speq.parameters import PRESETS, ParameterError

SMALLEST = ["--set", "rows=1", "--set", "columns=4", "--set", "port_words=1"]


@pytest.fixture
def emit(monkeypatch, tmp_path, capsys):
    """Run the script in an empty folder; return its status, record and what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(emit_verilog._cli, "console", emit_verilog._cli.Console(width=120))

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["emit_verilog.py", *words, "--json", "figures.json"])
        status = emit_verilog.run()
        return status, json.loads((tmp_path / "figures.json").read_text()), capsys.readouterr().out

    return call


def test_a_design_goes_to_its_own_folder(emit, tmp_path):
    status, record, printed = emit("tiny", *SMALLEST, "--set", "pipeline=1")
    files = {path.name: path.stat().st_size for path in (tmp_path / "build/tiny").iterdir()}
    assert status == 0
    assert record["files"] == files
    assert set(files) == {"speq_tiny.v", "speq_tiny.json", "speq_tiny.core"}
    assert record["design"]["columns"] == 4
    assert record["top"] == "speq_tiny"
    assert record["modules"] == 17
    assert record["processing_elements"] == 4
    assert record["verilog_bytes"] == files["speq_tiny.v"]
    assert record["seconds"] > 0
    assert record["processor_seconds"] > 0
    assert record["lint"] is None
    assert record["command"].startswith("python scripts/emit_verilog.py tiny --set rows=1")
    for name, size in files.items():
        assert name in printed
        assert f"{size:,}" in printed
    assert "17 modules, 4 PEs" in printed


def test_an_accelerator_has_headers_beside_its_verilog(emit, tmp_path):
    status, record, printed = emit("tiny", "--unit", "accelerator", "-o", "out")
    assert status == 0
    suffixes = (".v", ".json", ".core", "_registers.h", "_registers.vh")
    assert set(record["files"]) == {f"speq_tiny_accelerator{suffix}" for suffix in suffixes}
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(record["files"])
    assert "speq_tiny_accelerator_registers.h" in printed


def test_a_scaled_array_has_the_epilogue_that_was_asked_for(emit, tmp_path):
    words = ["--set", "result_format=fp16", "--lanes", "2", "--groups", "--queue", "5"]
    status, record, _ = emit("tiny", "--unit", "scaled", *words, "-o", "out", "--lint")
    assert status == 0
    assert set(record["files"]) == {f"speq_tiny_scaled{end}" for end in (".v", ".json", ".core")}
    assert record["top"] == "speq_tiny_scaled"
    assert (record["lanes"], record["groups"], record["queue"]) == (2, True, 5)
    assert record["lint"]["verilator"] == []
    assert record["lint"]["icarus"] in ([], None)
    side_car = json.loads((tmp_path / "out/speq_tiny_scaled.json").read_text())
    assert side_car["epilogue"] == {"lanes": 2, "groups": True, "queue": 5, "parts": 2}
    assert side_car["streams"]["results"]["fields"]["values"]["width"] == 16
    assert side_car["streams"]["results"]["fields"]["values"]["count"] == 2
    core = (tmp_path / "out/speq_tiny_scaled.core").read_text()
    assert "toplevel: speq_tiny_scaled" in core


@pytest.mark.parametrize("words", [("--lanes", "2"), ("--groups",), ("--queue", "0")])
def test_only_a_scaled_array_takes_options_of_the_epilogue(emit, capsys, words):
    with pytest.raises(SystemExit) as exited:
        emit("tiny", *words)
    assert exited.value.code == 2
    assert "are of the epilogue: add --unit scaled" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--lanes", "3"), "lanes is 3, but must divide rows = 4"),
        (("--queue", "2"), "queue is 2, but must be 0 or 3 at least"),
        (("--queue", "65"), r"queue is 65, but must be a whole number 0\.\.64"),
    ],
)
def test_an_illegal_epilogue_writes_nothing(emit, tmp_path, words, message):
    with pytest.raises(ParameterError, match=message):
        emit("tiny", "--unit", "scaled", *words)
    assert list(tmp_path.iterdir()) == []


def test_a_clean_design_passes_the_checkers(emit, tmp_path):
    status, record, printed = emit("tiny", *SMALLEST, "-o", "out", "--lint")
    assert status == 0
    assert (tmp_path / "out/speq_tiny.v").is_file()
    assert not (tmp_path / "build").exists()
    assert record["lint"]["verilator"] == []
    assert record["lint"]["icarus"] in ([], None)
    assert "verilator: ok" in printed


def test_findings_give_status_1(emit, monkeypatch):
    monkeypatch.setattr(emit_verilog, "lint", lambda verilog, top: [f"%Warning-LATCH: {top} [0]"])
    monkeypatch.setattr(emit_verilog.shutil, "which", lambda name: None)
    status, record, printed = emit("tiny", *SMALLEST, "--lint")
    assert status == 1
    assert record["lint"] == {"verilator": ["%Warning-LATCH: speq_tiny [0]"], "icarus": None}
    assert "verilator: 1 findings" in printed
    assert "%Warning-LATCH: speq_tiny [0]" in printed
    assert "icarus: not installed" in printed


@pytest.mark.skipif(emit_verilog.shutil.which("iverilog") is None, reason="Icarus is missing")
@pytest.mark.parametrize(
    ("verilog", "finding"),
    [
        ("module top(input a, output b); assign b = a; endmodule", None),
        ("module top(input a; endmodule", "syntax error"),
        ("module top(input a); child c(.a(a)); endmodule", "Unknown module type: child"),
    ],
)
def test_icarus_says_what_it_does_not_accept(tmp_path, verilog, finding):
    path = tmp_path / "top.v"
    path.write_text(verilog)
    lines = emit_verilog.icarus(SimpleNamespace(verilog=path, top="top"))
    assert lines == [] if finding is None else any(finding in line for line in lines)


def test_a_checker_that_dies_without_a_word_is_a_finding(monkeypatch):
    dead = SimpleNamespace(returncode=139, stdout="", stderr="")
    monkeypatch.setattr(emit_verilog.shutil, "which", lambda name: name)
    monkeypatch.setattr(emit_verilog.subprocess, "run", lambda *words, **options: dead)
    lines = emit_verilog.icarus(SimpleNamespace(verilog="x.v", top="x"))
    assert lines == ["iverilog ended with exit status 139"]


def test_growth_emits_square_arrays_and_keeps_none(emit, monkeypatch, tmp_path):
    monkeypatch.setattr(emit_verilog, "GROWTH", (4, 8))
    status, record, printed = emit(
        "small", "--set", "draft_lanes=1", "--set", "pipeline=1", "--growth"
    )
    assert status == 0
    assert record["design"]["draft_lanes"] == 1
    shapes = [
        [point[key] for key in ("rows", "columns", "port_words", "processing_elements")]
        for point in record["points"]
    ]
    assert shapes == [[4, 4, 4, 16], [8, 8, 8, 64]]
    assert all(point["modules"] == 17 for point in record["points"])
    assert record["points"][0]["verilog_bytes"] < record["points"][1]["verilog_bytes"]
    assert "small as a square array" in printed
    assert [path.name for path in tmp_path.iterdir()] == ["figures.json"]


@pytest.mark.parametrize("words", [("--lint",), ("-o", "out")])
def test_growth_takes_no_option_about_files(emit, capsys, words):
    with pytest.raises(SystemExit) as exited:
        emit("tiny", "--growth", *words)
    assert exited.value.code == 2
    assert "--growth keeps no files: leave out --lint and --output" in capsys.readouterr().err


def test_presets_are_listed_without_a_design(emit, capsys):
    with pytest.raises(SystemExit) as exited:
        emit("--list")
    assert exited.value.code == 0
    printed = capsys.readouterr().out
    assert [name for name in PRESETS if name in printed] == list(PRESETS)


def test_an_illegal_design_writes_nothing(emit, tmp_path):
    with pytest.raises(ParameterError, match="rows is 0, but must be"):
        emit("tiny", "--set", "rows=0")
    assert list(tmp_path.iterdir()) == []


def test_a_design_that_does_not_exist_is_one_line():
    done = subprocess.run(
        [sys.executable, emit_verilog.__file__, "huge"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: design 'huge' is neither a preset")
    assert done.stderr.count("\n") == 1
