"""The emitted epilogue gives the golden model's bits, whatever stalls, and as fast as it says."""

from pathlib import Path

import pytest
from epilogue_workload import DESIGNS, epilogue

from speq.block import module_name
from speq.emission import design_rtlil
from speq.yosys import verilog_from_rtlil
from speq_sim.benches.simulators import lint, run

TESTS = 6
PARAMETERS = DESIGNS["one_lane"][0]


def _emitted(name: str, folder: Path, old: str = "", new: str = "") -> tuple[Path, str]:
    block = epilogue(name)
    text = verilog_from_rtlil(design_rtlil(block))
    assert old in text
    path = folder / "epilogue.v"
    path.write_text(text.replace(old, new), encoding="utf-8")
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


@pytest.mark.parametrize("name", DESIGNS)
def test_results_equal_the_golden_model(name: str, tmp_path: Path) -> None:
    verilog, top = _emitted(name, tmp_path)
    assert lint(verilog, top) == []
    assert _simulate(verilog, top, name, tmp_path) == TESTS
