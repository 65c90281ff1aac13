"""Texts in here were printed by OpenSTA 2.0.17, of a few cells of OSU018."""

import shutil

import pytest
from power_library import write_power_library
from small_netlist import small_gates

from speq.synthesis import opensta
from speq.synthesis.opensta import (
    GROUPS,
    OpenStaError,
    Power,
    analyse,
    check_log,
    find_sta,
    parse_paths,
    parse_power,
    parse_slews,
)

INSTALLED = pytest.mark.skipif(
    shutil.which("sta") is None, reason="OpenSTA is not installed: apt-get install opensta"
)

PATHS = """Startpoint: f (rising edge-triggered flip-flop clocked by clk)
Endpoint: q (output port clocked by clk)
Path Group: clk
Path Type: max

   Delay     Time   Description
-------------------------------------------------------------
  0.0000   0.0000   clock clk (rise edge)
  0.0000   0.0000   clock network delay (ideal)
  0.0000   0.0000 ^ f/CLK (DFFPOSX1)
  0.1937   0.1937 ^ f/Q (DFFPOSX1)
  0.0000   0.1937 ^ q (out)
           0.1937   data arrival time

  5.2000   5.2000   clock clk (rise edge)
  0.0000   5.2000   clock network delay (ideal)
  0.0000   5.2000   clock reconvergence pessimism
  0.0000   5.2000   output external delay
           5.2000   data required time
-------------------------------------------------------------
           5.2000   data required time
          -0.1937   data arrival time
-------------------------------------------------------------
           5.0063   slack (MET)


Startpoint: a (input port clocked by clk)
Endpoint: f (rising edge-triggered flip-flop clocked by clk)
Path Group: clk
Path Type: max

   Delay     Time   Description
-------------------------------------------------------------
  0.0000   0.0000   clock clk (rise edge)
  0.0000   0.0000   clock network delay (ideal)
  0.0000   0.0000 ^ input external delay
  0.0154   0.0154 ^ a (in)
  0.0000   0.0154 ^ f/D (DFFPOSX1)
           0.0154   data arrival time

  5.2000   5.2000   clock clk (rise edge)
  0.0000   5.2000   clock network delay (ideal)
  0.0000   5.2000   clock reconvergence pessimism
           5.2000 ^ f/CLK (DFFPOSX1)
 -0.1894   5.0106   library setup time
           5.0106   data required time
-------------------------------------------------------------
           5.0106   data required time
          -0.0154   data arrival time
-------------------------------------------------------------
           4.9952   slack (MET)
"""

POWER = """Group                    Internal    Switching      Leakage        Total
                            Power        Power        Power        Power
------------------------------------------------------------------------
Sequential           4.779590e-05 1.152692e-06 1.607250e-10 4.894875e-05  90.5%
Combinational        2.179391e-06 2.985222e-06 8.371410e-11 5.164697e-06   9.5%
Macro                0.000000e+00 0.000000e+00 0.000000e+00 0.000000e+00   0.0%
Pad                  0.000000e+00 0.000000e+00 0.000000e+00 0.000000e+00   0.0%
------------------------------------------------------------------------
Total                4.997529e-05 4.137914e-06 2.444391e-10 5.411345e-05 100.0%
                            92.4%         7.6%         0.0%
"""

SDC = """create_clock -name clk -period 5 [get_ports clk]
set_input_delay 0 -clock clk [all_inputs]
set_output_delay 0 -clock clk [all_outputs]
"""


def test_paths_are_read_worst_first():
    first, second = parse_paths(PATHS)
    assert (first.start, first.end, first.arrival, first.slack, first.cells) == (
        "a", "f", 0.0154, 4.9952, 0,
    )  # fmt: skip
    assert (second.start, second.end, second.slack, second.cells) == ("f", "q", 5.0063, 1)


def test_power_is_read_by_group():
    groups = parse_power(POWER)
    assert tuple(groups) == GROUPS
    assert groups["combinational"] == Power(2.179391e-06, 2.985222e-06, 8.37141e-11)
    assert groups["total"].total == pytest.approx(5.411345e-05)


def test_a_power_report_that_is_none_is_refused():
    with pytest.raises(OpenStaError, match="rows total"):
        parse_power("Total 1.0e-5 1.0e-5 1.0e-5 3.0e-5\n")


def test_slews_are_in_seconds_and_an_edge_that_never_comes_has_none():
    slews = parse_slews("6.2e-11 4.8e-11\n-1e+30 1e+30\n", 2)
    assert slews.tolist() == [[6.2e-11, 4.8e-11], [0, 0]]
    with pytest.raises(OpenStaError, match="1 slews for 2 pins"):
        parse_slews("6.2e-11 4.8e-11\n", 2)


@pytest.mark.parametrize(
    ("log", "complaint"),
    [
        ("Error: a.tcl, 3 no such thing\n", r"^OpenSTA: a\.tcl, 3 no such thing$"),
        ("No paths found.\n", r"must be plain \(not \.gz\)"),
    ],
)
def test_what_is_said_in_passing_is_an_error(log, complaint):
    with pytest.raises(OpenStaError, match=complaint):
        check_log(log)


def test_a_report_without_slack_is_refused():
    with pytest.raises(OpenStaError, match="not as expected"):
        parse_paths("Startpoint: a\nEndpoint: b\n")


def test_without_the_program_its_package_is_named(monkeypatch):
    monkeypatch.setattr(opensta.shutil, "which", lambda _: None)
    with pytest.raises(OpenStaError, match="apt-get install opensta"):
        find_sta()


@pytest.fixture
def netlist(tmp_path):
    gates = small_gates(tmp_path)
    verilog, sdc = tmp_path / "scalar.v", tmp_path / "clock.sdc"
    gates.write_verilog(verilog)
    sdc.write_text(SDC)
    return verilog, sdc, write_power_library(tmp_path)


@INSTALLED
def test_a_netlist_is_analysed(netlist, tmp_path):
    verilog, sdc, library = netlist
    pins = ["INV_0/Y", "DFF_0/Q", "a"]
    found = analyse(verilog, "small", [library], sdc, tmp_path / "sta", pins=pins)
    assert found.paths[0].end == "DFF_0"
    assert found.paths[0].arrival + found.paths[0].slack == pytest.approx(5 - 0.05)
    # The inverter drives 0.01 pF, the least of its table: 0.1 ns for the fastest edge there.
    assert found.slews[0] == pytest.approx([0.1e-9, 0.1e-9], rel=0.3)
    assert found.slews.shape == (3, 2)


@INSTALLED
def test_power_is_linear_in_activity_but_for_the_clock(netlist, tmp_path):
    verilog, sdc, library = netlist
    totals = [
        analyse(
            verilog, "small", [library], sdc, tmp_path / str(a), activity=a
        ).power["total"].switching
        for a in (0.1, 0.2)
    ]  # fmt: skip
    # Activity is in transitions per clock period: 0.1 of half C V^2 every 5 ns.
    nets = (0.01 + 0.02 + 0.01 + 0.01) * 1e-12
    assert totals[0] == pytest.approx(0.1 * 0.5 * nets * 2**2 / 5e-9, rel=1e-3)
    assert totals[1] == pytest.approx(2 * totals[0], rel=1e-4)


@INSTALLED
def test_this_version_counts_both_edges_at_each_transition(tmp_path):
    verilog, sdc = tmp_path / "one.v", tmp_path / "one.sdc"
    verilog.write_text(
        "module one(a, clk, y);\n  input a, clk;\n  output y;\n  INV i (.A(a), .Y(y));\nendmodule\n"
    )
    sdc.write_text(
        "create_clock -name clk -period 5 [get_ports clk]\n"
        "set_input_delay 0 -clock clk [get_ports a]\n"
        "set_output_delay 0 -clock clk [get_ports y]\nset_input_transition 0.1 [get_ports a]\n"
        "set_load 0.01 [get_ports y]\n"
    )
    power = analyse(
        verilog, "one", [write_power_library(tmp_path)], sdc, tmp_path / "sta", activity=0.1
    ).power["total"]
    # First points of its tables: 0.02 pJ for a rising edge and 0.01 for a falling one. Of 0.1
    # transitions in 5 ns half are of each, so that 0.1 * 0.015 pJ would be right.
    assert power.internal == pytest.approx(2 * 0.1 * 0.015e-12 / 5e-9, rel=1e-3)
    assert power.switching == pytest.approx(0.1 * 0.5 * 0.01e-12 * 2**2 / 5e-9, rel=1e-3)
    assert power.leakage == pytest.approx(3e-9)


@INSTALLED
def test_a_cell_that_no_file_has_is_found_out(netlist, tmp_path):
    verilog, sdc, library = netlist
    part = tmp_path / "part.lib"
    part.write_text(library.read_text().replace("cell (DFF)", "cell (OTHER)"))
    with pytest.raises(OpenStaError):
        analyse(verilog, "small", [part], sdc, tmp_path / "sta")
