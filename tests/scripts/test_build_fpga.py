"""scripts/build_fpga.py, without the tools: what it builds, records and prints."""

import json

import pytest

import build_fpga
from speq.boards.build import BuildError
from speq.parameters import ParameterError

pytest.importorskip("amaranth_boards", reason="the extra fpga is not installed")
# Tops are made and never elaborated here.
pytestmark = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")

FIGURES = {
    "board": "icebreaker",
    "device": "iCE40UP5K",
    "seconds": 12.0,
    "clocks": {"clk": {"mhz": 12.34, "wanted_mhz": 6.0}},
    "utilization": {"ICESTORM_LC": {"used": 2640, "available": 5280}},
    "bitstream": "top.bin",
    "bitstream_bytes": 104_090,
    "seed": 7,
    "tools": {},
}


@pytest.fixture
def built(monkeypatch):
    """Arguments that the build got; it gives FIGURES."""
    calls = []

    def build(board, top, folder, **others):
        calls.append((board, top, folder, others))
        return FIGURES

    monkeypatch.setattr(build_fpga, "place_and_route", build)
    return calls


def _run(monkeypatch, tmp_path, *words):
    record = tmp_path / "figures.json"
    options = ["--build", str(tmp_path), "--json", str(record)]
    monkeypatch.setattr("sys.argv", ["build_fpga.py", *words, *options])
    build_fpga.run()
    return json.loads(record.read_text(encoding="utf-8"))["boards"][words[0]]


def test_the_board_and_its_design(monkeypatch, tmp_path, built, capsys):
    figures = _run(monkeypatch, tmp_path, "icebreaker", "--seed", "7")
    ((board, top, folder, others),) = built
    assert board == "icebreaker"
    assert top.system.parameters.name == "icebreaker"
    assert folder == tmp_path / "icebreaker-icebreaker"
    assert others == {"parameters": top.system.parameters, "seed": 7, "options": {}}
    assert figures["clocks"] == FIGURES["clocks"]
    assert figures["settings"]["clock_mhz"] == 12.0
    printed = capsys.readouterr().out
    assert "50.0%" in printed
    assert "clock clk: 12.34 MHz (wanted: 6.00 MHz)" in printed
    described = json.loads((folder / "board.json").read_text(encoding="utf-8"))
    assert described["accelerator"]["parameters"]["name"] == "icebreaker"


def test_what_the_command_line_changes(monkeypatch, tmp_path, built):
    words = ("--clock-mhz", "6", "--baud", "500000", "--memory-bytes", "32768")
    words += ("--synth-opts=-dsp", "--set", "name=slow")
    figures = _run(monkeypatch, tmp_path, "icebreaker", *words)
    ((_, top, folder, others),) = built
    assert folder.name == "slow-icebreaker"
    assert others["options"] == {"synth_opts": "-dsp"}
    assert top.clock.divide == 1
    wanted = {"clock_mhz": 6.0, "baud": 500_000, "memory_bytes": 32_768, "idle_us": 20_000.0}
    assert figures["settings"] == wanted


def test_an_array_alone_is_refused(monkeypatch, tmp_path, built):
    with pytest.raises(ParameterError, match="port_words is 1"):
        _run(monkeypatch, tmp_path, "ulx3s", "--design", "tiny", "--set", "port_words=1")
    assert not built


def test_a_clock_that_is_missed_is_told(monkeypatch, tmp_path, built, capsys):
    _run(monkeypatch, tmp_path, "icebreaker")
    assert "too slow" not in capsys.readouterr().out
    monkeypatch.setitem(FIGURES["clocks"]["clk"], "wanted_mhz", 12.5)
    _run(monkeypatch, tmp_path, "icebreaker")
    assert "--clock-mhz 12 or less" in " ".join(capsys.readouterr().out.split())


def test_other_boards_stay_in_the_record(monkeypatch, tmp_path, built):
    other = {"clocks": {"clk": {"mhz": 1.0, "wanted_mhz": 2.0}}}
    (tmp_path / "figures.json").write_text(json.dumps({"boards": {"other": other}}))
    _run(monkeypatch, tmp_path, "icebreaker")
    record = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert set(record["boards"]) == {"other", "icebreaker"}
    assert record["boards"]["other"] == other


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_another_file_is_not_written_over(monkeypatch, tmp_path, built, text):
    (tmp_path / "figures.json").write_text(text)
    with pytest.raises(BuildError, match="name another file"):
        _run(monkeypatch, tmp_path, "icebreaker")
    assert not built
    assert (tmp_path / "figures.json").read_text() == text
