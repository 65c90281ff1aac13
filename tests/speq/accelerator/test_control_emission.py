"""The control block as Verilog: the tools take it, and it multiplies by constants only."""

import re
import shutil
import subprocess
from types import SimpleNamespace

import pytest

from speq.accelerator.control import Control
from speq.block import module_name
from speq.emission import design_rtlil
from speq.parameters import MODES, PRESETS
from speq.yosys import run_yosys, verilog_from_rtlil
from speq_sim.benches.simulators import lint

TINY = PRESETS["tiny"]

DESIGNS = {
    "tiny": TINY,
    "server": PRESETS["server"].replace(address_bits=64),
    "verify_only": TINY.verify_only(),
    "all_modes": TINY.replace(modes=MODES),
    "one_token": TINY.replace(tokens=1, draft_lanes=1, columns=12),
}


@pytest.fixture(scope="module", params=DESIGNS)
def design(request, tmp_path_factory):
    block = Control(DESIGNS[request.param])
    path = tmp_path_factory.mktemp(request.param) / "control.v"
    path.write_text(verilog_from_rtlil(design_rtlil(block)), encoding="utf-8")
    return SimpleNamespace(path=path, top=module_name(block))


def test_verilator_finds_nothing(design):
    assert lint(design.path, design.top) == []


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus is not installed")
def test_icarus_reads_it_as_verilog_2001_without_a_word(design):
    options = ["-g2001", "-Wall", "-Wno-timescale", "-t", "null", "-s", design.top]
    done = subprocess.run(
        ["iverilog", *options, design.path], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_yosys_finds_no_latch_no_loop_and_one_driver_each(design):
    log = run_yosys(
        [
            f"read_verilog {design.path}",
            f"hierarchy -check -top {design.top}",
            "proc",
            "check -assert -initdrv",
            "flatten",
            "select -assert-none t:$dlatch t:$adlatch t:$dlatchsr",
            "check -assert",
        ]
    )
    assert "Found and reported 0 problems" in log


def test_it_has_no_multiplier_and_no_divider(design):
    text = re.sub(r"always @\*|\(\* .*? \*\)", "", design.path.read_text(encoding="utf-8"))
    factors = re.findall(r"\* *([^;]+);", text)
    assert all(re.fullmatch(r"\d+'h[0-9a-f]+|\d+'d\d+", factor) for factor in factors), factors
    assert "/ " not in re.sub(r"//.*", "", text)
    assert "%" not in text
