"""A board's system whose memories give rubbish where a read collides with a write.

Block RAM of the iCE40 does, and boards are built without a guard against it (`-no-rw-check`).
"""

import json
import re
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from speq import emission
from speq.boards.settings import BOARDS
from speq.modes import MODES
from speq.parameters import Parameters
from speq_sim.benches.accelerator import compiled_unit
from speq_sim.benches.boards.compiled_board import CompiledBoard, build_board, fast_line
from speq_sim.host import DeviceError
from speq_sim.host.uart_errors import LinkError
from speq_sim.host.uart_link import UartLink
from speq_sim.host.uart_selftest import SelfTest, case_shape

TILE = Path(__file__).parents[3] / "data/smollm2-135m-q-proj.safetensors"
SETTINGS = fast_line(BOARDS["icebreaker"])
DESIGN = Parameters(
    name="collisions",
    rows=1,
    columns=2,
    port_words=2,
    modes=("verify",),
    tokens=1,
    address_bits=16,
    burst_beats=16,
    outstanding=2,
    activation_values=256,
    queue_depth=2,
)
FPGA = DESIGN.replace(
    name="fpga_collisions",
    rows=4,
    columns=4,
    port_words=4,
    modes=MODES,
    tokens=4,
    pipeline=4,
    target="fpga",
    activation_values=1024,
)
DRAFTS = DESIGN.replace(name="draft_collisions", rows=4, modes=("verify", "draft"), draft_lanes=1)

_CLOCKED_READ = re.compile(
    r"(  cell \$memrd_v2 (?:(?!  end\n).)*?\\COLLISION_X_MASK \d+')0+"
    r"(?=\n(?:(?!  end\n).)*?\\CLK_ENABLE 1\n)",
    re.DOTALL,
)


def _rubbish(monkeypatch, collided):
    """Let clocked reads give the unknown where they collide; their number goes to the list.

    What is unknown is simulated as ones. Verilog is read as :mod:`speq.yosys` writes it, changed by
    `collided`.
    """
    reads = []
    translated = emission.verilog_from_rtlil

    def translate(rtlil):
        text, count = _CLOCKED_READ.subn(r"\g<1>1", rtlil)
        reads.append(count)
        verilog = translated(text)
        assert verilog.count("'hx") + verilog.count("'bx") >= count
        return collided(verilog)

    options = list(compiled_unit._VERILATE)
    options[options.index("--x-assign") + 1] = "1"
    monkeypatch.setattr(compiled_unit, "_VERILATE", tuple(options))
    monkeypatch.setattr(emission, "verilog_from_rtlil", translate)
    return reads


def _selftest(design, folder, tile):
    library = build_board(design, SETTINGS, folder, folder / "build", "-O0")
    board = CompiledBoard(library, SETTINGS)
    record = json.loads((folder / f"speq_{design.name}_system.json").read_text(encoding="utf-8"))
    outputs, inputs = case_shape(design, tile["weight"].shape)
    weights, activations = tile["weight"][:outputs, :inputs], tile["activations"][:, :inputs]
    link = UartLink(board, timeout=board.patience)
    test = SelfTest(link, record["accelerator"], weights, activations)
    return list(test.run())


@pytest.fixture(scope="module")
def tile():
    return load_file(TILE)


@pytest.mark.slow
@pytest.mark.parametrize("design", [DESIGN, DRAFTS, FPGA], ids=lambda design: design.name)
def test_no_result_depends_on_a_collision(design, tmp_path, tile, monkeypatch):
    reads = _rubbish(monkeypatch, lambda verilog: verilog)
    checks = _selftest(design, tmp_path, tile)
    assert reads[0] >= 11  # the memory, buffers of the link and of activations, FIFOs, queues
    assert len(checks) >= 4
    assert not any(check.wrong for check in checks)


@pytest.mark.slow
def test_rubbish_would_be_noticed(tmp_path, tile, monkeypatch):
    """The same with rubbish from every read during a write to the same memory, wherever."""

    def anywhere(verilog):
        compared = r" && [^\n]* == [^\n]*(\) begin\n\s+_\w+_ <= [^\n]*;\n\s+_\w+_ <= \d+'hx)"
        changed, count = re.subn(compared, r"\1", verilog)
        assert count
        return changed

    _rubbish(monkeypatch, anywhere)
    try:
        noticed = any(check.wrong for check in _selftest(DESIGN, tmp_path, tile))
    except (DeviceError, LinkError):
        noticed = True
    assert noticed
