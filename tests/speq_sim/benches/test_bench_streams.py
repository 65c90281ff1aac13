"""The drivers and the monitor on a toy design, right and with each rule of the contract broken."""

import shutil
from pathlib import Path

import pytest
from toy_stream import emit, payloads

from speq_sim.benches.cases import STREAMS, Case
from speq_sim.benches.payload import Design
from speq_sim.benches.running import play
from speq_sim.benches.simulators import SimulationError

TRANSFERS = 400
STALLS = dict.fromkeys(STREAMS, 0.3)


def _run(folder: Path, fault: str = "none", **options):
    verilog, side_car = emit(folder, fault)
    work = payloads(Design.load(side_car), TRANSFERS, seed=1)
    case = Case(name="toy", payloads=work, **options)
    return play(verilog, side_car, [case], folder / "run").cases["toy"]["streams"]


def test_ideal_streams_transfer_every_cycle(tmp_path):
    streams = _run(tmp_path)
    for name in STREAMS:
        counts = streams[name]
        assert counts["transfers"] == TRANSFERS
        assert counts["stall_cycles"] == 0
        assert counts["last_cycle"] - counts["first_cycle"] == TRANSFERS - 1


def test_pauses_resets_and_a_shy_sink_lose_nothing(tmp_path):
    verilog, side_car = emit(tmp_path)
    work = payloads(Design.load(side_car), TRANSFERS, seed=2)
    cases = [
        Case(name="stalls", payloads=work, pauses=STALLS, probe_ready=True),
        Case(name="resets", payloads=work, pauses=STALLS, resets=[1, 37, 150]),
        Case(name="shy", payloads=work, ready_after_valid=True),
    ]
    measured = play(verilog, side_car, cases, tmp_path / "run").cases
    assert list(measured) == ["stalls", "resets", "shy"]
    assert all(case["streams"]["results"]["transfers"] == TRANSFERS for case in measured.values())
    assert all(counts["stall_cycles"] > 0 for counts in measured["stalls"]["streams"].values()), (
        "pauses must have stalled every stream"
    )


@pytest.mark.parametrize(
    ("fault", "options", "message"),
    [
        ("comb", {"probe_ready": True}, "valid depends combinationally on ready"),
        ("waits", {"ready_after_valid": True}, "deadlock"),
        ("withdraws", {"pauses": STALLS}, "withdrawn before its transfer"),
        ("changes", {"pauses": STALLS}, "replaced by"),
        pytest.param(
            "undefined",
            {},
            "undefined bits while valid",
            marks=pytest.mark.skipif(
                shutil.which("iverilog") is None, reason="Verilator has no undefined bits"
            ),
        ),
        ("drops", {}, "deadlock"),
        ("stops", {}, "deadlock"),
        ("repeats", {"pauses": STALLS}, "result .* of 400 differs|results, but"),
    ],
)
def test_each_fault_is_caught(tmp_path, fault, options, message):
    with pytest.raises(SimulationError, match=message):
        _run(tmp_path, fault, **options)
