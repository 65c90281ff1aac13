"""The emitted epilogue gives the golden model's bits, whatever stalls, and as fast as it says."""

from pathlib import Path

import pytest
from epilogue_workload import DESIGNS, epilogue

from speq.block import module_name
from speq.emission import design_rtlil
from speq.epilogue.epilogue import Epilogue
from speq.parameters import ParameterError
from speq.yosys import verilog_from_rtlil
from speq_sim.benches.simulators import SimulationError, lint, run
from speq_sim.proofs.mutation import mutated_module

pytestmark = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")

TESTS = 6
FAST = ("one_lane", "one_number", "groups_of_threes", "groups_one_number")


def _emitted(block: Epilogue, folder: Path) -> tuple[Path, str]:
    path = folder / "epilogue.v"
    path.write_text(verilog_from_rtlil(design_rtlil(block)), encoding="utf-8")
    return path, module_name(block)


def _simulate(verilog: Path, top: str, name: str, folder: Path, jobs: int = 5) -> int:
    environment = {"SPEQ_EPILOGUE": name, "SPEQ_EPILOGUE_JOBS": str(jobs)}
    return len(
        run(
            verilog,
            top,
            "epilogue_bench",
            build_dir=folder / "models",
            test_dir=folder / "run",
            extra_env=environment,
            seed=len(name),
        ).tests
    )


@pytest.mark.parametrize("name", FAST)
def test_results_equal_the_golden_model(name: str, tmp_path: Path) -> None:
    verilog, top = _emitted(epilogue(name), tmp_path)
    assert lint(verilog, top) == []
    assert _simulate(verilog, top, name, tmp_path) == TESTS


@pytest.mark.slow
@pytest.mark.parametrize("name", DESIGNS)
def test_many_results_equal_the_golden_model(name: str, tmp_path: Path) -> None:
    verilog, top = _emitted(epilogue(name), tmp_path)
    assert lint(verilog, top) == []
    assert _simulate(verilog, top, name, tmp_path, jobs=30) == TESTS


FAULTS = [
    # module, design, old, new
    ("epilogue", "groups_one_number", "source.valid & ~waits", "source.valid"),
    ("epilogue", "groups", "| self._unwritten(aligned, source.payload)", ""),
    ("epilogue", "groups", "Cat(control.part, control.token)", "Cat(control.part, control.part)"),
    ("epilogue", "groups", "source.valid & complete &", "source.valid &"),
    ("epilogue", "one_lane", "payload.last & payload.end & last_part", "payload.end & last_part"),
    ("epilogue", "one_lane", "payload.last & payload.end & last_part", "payload.last & last_part"),
    ("epilogue", "one_lane", "payload.last & last_part", "last_part"),
    ("epilogue", "one_lane", "self.values.valid & sets.available", "self.values.valid"),
    ("sets", "one_lane", "self.i.ready.eq(complete != 2)", "self.i.ready.eq(1)"),
    ("sets", "one_lane", "complete != 0", "1"),
    ("sets", "one_lane", "Cat(self.index, held)", "Cat(self.index, filling)"),
    ("sets", "one_lane", "self.read & self.done", "self.done"),
    ("lane", "groups", "MINUS_ZERO = 0x80000000", "MINUS_ZERO = 0x3F800000"),
    ("lane", "groups", "with m.If(self.aligned):", "if True:"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("module", "name", "old", "new"), FAULTS)
def test_the_bench_notices_faults(
    module: str, name: str, old: str, new: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty = mutated_module(f"speq.epilogue.{module}", old, new)
    for part in ("ScaleSets", "Lane", "GroupLane"):
        if hasattr(faulty, part):
            monkeypatch.setattr(f"speq.epilogue.epilogue.{part}", getattr(faulty, part))
    made = getattr(faulty, "Epilogue", Epilogue)(*DESIGNS[name])
    verilog, top = _emitted(made, tmp_path)
    with pytest.raises(SimulationError, match="tests of epilogue_bench failed"):
        _simulate(verilog, top, name, tmp_path)


@pytest.mark.parametrize(
    ("lanes", "result_format", "message"),
    [
        (2, "fp32", "lanes is 2, but must divide rows = 3"),
        (0, "fp32", r"lanes is 0, but must be a whole number 1\.\.3"),
        (1, "bf16", "result_format is 'bf16'"),
    ],
)
def test_an_illegal_epilogue_is_refused(lanes: int, result_format: str, message: str) -> None:
    parameters, _, _, _ = DESIGNS["groups_of_threes"]
    with pytest.raises(ParameterError, match=message):
        Epilogue(parameters, lanes, result_format=result_format)


def test_the_format_is_the_designs_unless_given() -> None:
    parameters, _, _, _ = DESIGNS["one_number"]
    halves = parameters.replace(result_format="fp16")
    assert Epilogue(parameters).parameters.result_bits == 32
    assert Epilogue(halves).parameters.result_bits == 16
    assert Epilogue(halves, result_format="fp32").parameters.result_bits == 32
