"""The data side's blocks as Verilog: tools accept it, and its memories are plain ones."""

import shutil
import subprocess
from pathlib import Path

import pytest

from speq.accelerator.activations import ActivationBuffer
from speq.accelerator.gates import ActivationGate, ResultGate
from speq.accelerator.results import Results
from speq.block import module_name
from speq.emission import design_rtlil
from speq.parameters import MODES, PRESETS, Parameters
from speq.yosys import run_yosys, verilog_from_rtlil
from speq_sim.benches.simulators import lint

TINY = PRESETS["tiny"]
DESIGNS = {
    "tiny": TINY,
    "lanes_1": TINY.replace(draft_lanes=1),
    "odd": TINY.replace(draft_lanes=2, tokens=1, columns=6, rows=8, port_words=2),
    "verify_only": TINY.verify_only().replace(tokens=2, activation_values=16),
    "all_modes": TINY.replace(modes=MODES),
}
MEMORIES = {ActivationBuffer: 2, Results: 1, ActivationGate: 0, ResultGate: 0}
"""Memories of each block; in an FP16-only design there are no shifts."""


@pytest.fixture(
    scope="module",
    params=[(n, b) for n in DESIGNS for b in MEMORIES],
    ids=lambda p: f"{p[0]}-{p[1].stem}",
)
def emitted(request, tmp_path_factory) -> tuple[Parameters, type, Path, str]:
    name, block = request.param
    made = block(DESIGNS[name])
    path = tmp_path_factory.mktemp("emitted") / "block.v"
    path.write_text(verilog_from_rtlil(design_rtlil(made)), encoding="utf-8")
    return DESIGNS[name], block, path, module_name(made)


def test_tools_find_nothing(emitted):
    _, _, path, top = emitted
    assert lint(path, top) == []
    log = run_yosys(
        [
            f"read_verilog {path}",
            f"hierarchy -check -top {top}",
            "proc",
            "check -assert -initdrv",
            "flatten",
            "select -assert-none t:$dlatch t:$adlatch t:$dlatchsr",
            "check -assert",
        ]
    )
    assert "Found and reported 0 problems" in log
    if shutil.which("iverilog") is None:
        return
    options = ["-g2001", "-Wall", "-Wno-timescale", "-t", "null", "-s", top]
    done = subprocess.run(["iverilog", *options, path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_memories_have_one_write_port_and_one_clocked_read_port(emitted):
    parameters, block, path, top = emitted
    count = MEMORIES[block] - (block is ActivationBuffer and not parameters.packs)
    ports = ["WR_PORTS=1", "RD_PORTS=1", "RD_CLK_ENABLE=1'1", "RD_TRANSPARENCY_MASK=1'0"]
    run_yosys(
        [
            f"read_verilog {path}",
            f"hierarchy -check -top {top}",
            "proc",
            "flatten",
            "opt",
            "memory -nomap",
            f"select -assert-count {count} t:$mem_v2",
            *(f"select -assert-count {count} t:$mem_v2 r:{port} %i" for port in ports),
        ]
    )
