import json
import subprocess
import sys
from pathlib import Path

import pytest

import _cli
from speq.parameters import ParameterError
from speq.yosys import YosysError


def parse(*words):
    return _cli.parser("Does a thing.").parse_args(words)


def test_a_design_is_a_preset_or_a_file_with_changes(tmp_path):
    design = tmp_path / "mine.toml"
    design.write_text('preset = "tiny"\n')
    assert _cli.design_of(parse("tiny")).rows == 4
    changed = _cli.design_of(parse(str(design), "--set", "rows=8", "--set", "family = bsfp"))
    assert (changed.rows, changed.family) == (8, "bsfp")


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["rows"], "--set 'rows' is not of the form key=value"),
        (["=3"], "--set '=3' is not of the form key=value"),
        (["rows=4", "rows=8"], "--set names 'rows' twice"),
    ],
)
def test_an_illegal_change_is_named(pairs, message):
    with pytest.raises(ParameterError, match=message):
        _cli.parse_overrides(pairs)


def test_a_value_may_hold_an_equals_sign():
    assert _cli.parse_overrides(["target=a=b"]) == {"target": "a=b"}


def test_the_command_is_repeatable_and_names_no_folder():
    argv = ["/home/me/scripts/x.py", "tiny", "--json", "/home/me/out.json", "--liberty=/opt/a.lib"]
    assert _cli.command_line(argv) == ("python scripts/x.py tiny --json out.json --liberty=a.lib")


def test_the_command_is_quoted_for_a_shell():
    assert _cli.command_line(["x.py", "tiny", "--set", 'modes=["verify"]']) == (
        "python scripts/x.py tiny --set 'modes=[\"verify\"]'"
    )


def test_json_holds_command_versions_and_figures(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["scripts/x.py", "tiny"])
    path = tmp_path / "new" / "figures.json"
    _cli.write_json(path, {"area": 3})
    record = json.loads(path.read_text())
    assert record["command"] == "python scripts/x.py tiny"
    assert {"python", "speq", "pyosys"} <= set(record["versions"])
    assert record["area"] == 3
    assert [entry.name for entry in path.parent.iterdir()] == ["figures.json"]


def test_no_path_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _cli.write_json(None, {"area": 3})
    assert not list(tmp_path.iterdir())


def test_a_failing_write_leaves_the_old_file_alone(tmp_path, monkeypatch):
    path = tmp_path / "figures.json"
    path.write_text("old")

    def fail(self, target):
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        _cli.write_text(path, "new")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["figures.json"]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ParameterError("rows is 0"), "error: rows is 0\n"),
        (YosysError("Yosys failed:\n  no such\tfile"), "error: Yosys failed: no such file\n"),
        (FileNotFoundError(2, "No such file", "a.toml"), "error: a.toml: No such file\n"),
        (ValueError(), "error: ValueError\n"),
    ],
)
def test_an_expected_error_is_one_line_and_status_2(error, line, capsys):
    def script():
        raise error

    with pytest.raises(SystemExit) as exited:
        _cli.main(script)
    assert exited.value.code == 2
    assert capsys.readouterr().err == line


def test_a_script_may_expect_more(capsys):
    def script():
        raise LookupError("not there")

    with pytest.raises(SystemExit) as exited:
        _cli.main(script, expected=(LookupError,))
    assert exited.value.code == 2
    with pytest.raises(LookupError):
        _cli.main(script)


def test_an_interrupt_is_no_traceback(capsys):
    def script():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as exited:
        _cli.main(script)
    assert exited.value.code == 130
    assert capsys.readouterr().err == "error: interrupted\n"


@pytest.mark.parametrize(("value", "status"), [(None, 0), (0, 0), (1, 1)])
def test_the_result_is_the_exit_status(value, status):
    with pytest.raises(SystemExit) as exited:
        _cli.main(lambda: value)
    assert exited.value.code == status


def test_progress_is_told_on_standard_error(capsys, monkeypatch):
    monkeypatch.setattr(_cli, "error_console", _cli.Console(stderr=True, width=80))
    with _cli.progress(2, "start") as step:
        step("one [of] two")
        step("two")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "... one [of] two" in captured.err


@pytest.mark.parametrize("script", sorted(Path(_cli.__file__).parent.glob("[!_]*.py")))
def test_every_script_explains_itself(script):
    done = subprocess.run(
        [sys.executable, str(script), "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "--json" in done.stdout
