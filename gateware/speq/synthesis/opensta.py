"""Run OpenSTA on a mapped netlist: worst paths, slews, and its own estimate of power.

Written for the OpenSTA that Debian has (2.0.17, of 2019), and what it does not say by itself is
checked for: it reads plain Liberty files only, takes a cell that it does not find for a black box
and then finds no paths, and ends with status 0 whatever happened.
"""

import dataclasses
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["GROUPS", "Analysis", "OpenStaError", "Power", "TimingPath", "analyse", "find_sta"]

GROUPS = ("sequential", "combinational", "macro", "pad", "total")
"""Groups of OpenSTA's power report."""

HOW_TO_GET = "apt-get install opensta"


class OpenStaError(RuntimeError):
    """OpenSTA is missing, or could not analyse a netlist. The message has the mend."""


@dataclasses.dataclass(frozen=True)
class TimingPath:
    """A path between two registers, or a register and a port.

    Parameters
    ----------
    start, end : str
        Instances or ports.
    arrival, slack : float
        In the library's unit of time; with setup the slack is against the clock's period.
    cells : int
        Cells on it, the register at its start included.
    """

    start: str
    end: str
    arrival: float
    slack: float
    cells: int


@dataclasses.dataclass(frozen=True)
class Power:
    """Watts, by OpenSTA."""

    internal: float
    switching: float
    leakage: float

    @property
    def total(self) -> float:
        """All three."""
        return self.internal + self.switching + self.leakage


@dataclasses.dataclass(frozen=True)
class Analysis:
    """What OpenSTA says of a netlist.

    Parameters
    ----------
    version : str
        Of OpenSTA.
    paths : tuple of TimingPath
        Worst first.
    slews : ndarray of float, shape (pins, 2)
        Slew of a rising and a falling edge at each pin asked for, in seconds.
    power : mapping of str to Power
        By :data:`GROUPS`, at the activity asked for.
    """

    version: str
    paths: tuple[TimingPath, ...]
    slews: NDArray[np.float64]
    power: Mapping[str, Power]


def find_sta() -> str:
    """The program.

    Raises
    ------
    OpenStaError
        If it is not installed.
    """
    program = shutil.which("sta")
    if program is None:
        raise OpenStaError(f"OpenSTA is not installed (no program sta): {HOW_TO_GET}")
    return program


def analyse(
    verilog: Path,
    top: str,
    liberty: Sequence[Path],
    sdc: Path,
    directory: Path,
    *,
    clock: str = "clk",
    pins: Sequence[str] = (),
    activity: float = 0.1,
    count: int = 5,
    timeout: float | None = None,
) -> Analysis:
    """Analyse a netlist.

    Parameters
    ----------
    verilog : Path
        Mapped netlist.
    top : str
        Its module.
    liberty : sequence of Path
        The library's files, decompressed.
    sdc : Path
        Clock and limits.
    directory : Path
        Where scripts and reports go.
    clock : str
        Port of the clock, which ``all_inputs`` in the SDC does not mean.
    pins : sequence of str
        Pins (``instance/PIN``, or a port) whose slews are wanted.
    activity : float
        Transitions per clock period of every pin but the clock's, for OpenSTA's own power.
    count : int
        How many paths, at most one to an endpoint.
    timeout : float, optional
        Seconds that it may take.

    Raises
    ------
    OpenStaError
        If OpenSTA is missing, reports an error, takes a cell for a black box or finds no path.
    """
    program = find_sta()
    directory = directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "pins.txt").write_text("".join(f"{pin}\n" for pin in pins))
    script = directory / "analyse.tcl"
    script.write_text(_script(verilog, top, liberty, sdc, directory, clock, activity, count))
    log = _run([program, "-no_splash", "-no_init", "-exit", str(script)], timeout)
    version = _run([program, "-version"], timeout).strip()
    check_log(log)
    return Analysis(
        version=version,
        paths=parse_paths(log),
        slews=parse_slews((directory / "slews.txt").read_text(), len(pins)),
        power=parse_power((directory / "power.txt").read_text()),
    )


def check_log(log: str) -> None:
    """Find what OpenSTA says in passing only.

    Raises
    ------
    OpenStaError
        If there is an error, a black box, or no path.
    """
    errors = re.findall(r"^Error: .*$", log, flags=re.MULTILINE)
    if errors:
        raise OpenStaError(f"OpenSTA: {errors[0].removeprefix('Error: ')}")
    boxes = re.findall(r"^Warning: .*module (\S+) not found.*$", log, flags=re.MULTILINE)
    if boxes:
        raise OpenStaError(
            f"OpenSTA knows no cell {boxes[0]} and takes it for a black box: give it all files of "
            f"the library, decompressed"
        )
    if "No paths found" in log:
        raise OpenStaError(
            "OpenSTA finds no path: the library's files must be plain (not .gz), and the SDC must "
            "name the clock's port"
        )


def parse_paths(log: str) -> tuple[TimingPath, ...]:
    """The paths of ``report_checks -format full``."""
    paths = []
    for block in re.split(r"^(?=Startpoint: )", log, flags=re.MULTILINE)[1:]:
        ends = re.findall(r"^(?:Startpoint|Endpoint): (\S+)", block, flags=re.MULTILINE)
        arrival = re.search(r"(-?[\d.]+)\s+data arrival time", block)
        slack = re.search(r"(-?[\d.]+)\s+slack", block)
        if len(ends) != 2 or not (arrival and slack):
            raise OpenStaError(f"OpenSTA's report is not as expected: {block.splitlines()[0]}")
        before = block[: arrival.start()]
        outputs = re.findall(r"[\^v] (\S+)/\S+ \(\S+\)", before)
        paths.append(
            TimingPath(*ends, float(arrival[1]), float(slack[1]), len(set(outputs) - {ends[1]}))
        )
    return tuple(sorted(paths, key=lambda path: path.slack))


def parse_slews(text: str, pins: int) -> NDArray[np.float64]:
    """Rising and falling slew in seconds, a pin on each line."""
    values = np.array([float(word) for word in text.split()])
    if values.size != 2 * pins:
        raise OpenStaError(f"OpenSTA gave {values.size // 2} slews for {pins} pins: run it anew")
    # An edge that a constant keeps from happening has no slew, which is written as a huge one.
    return np.where(np.abs(values) < 1, values, 0.0).reshape(pins, 2)


def parse_power(text: str) -> dict[str, Power]:
    """Internal, switching and leakage power by group."""
    rows = dict(re.findall(r"^(\w+)((?:\s+-?[\d.]+e[-+]\d+){3})", text, flags=re.MULTILINE))
    rows = {name.lower(): [float(word) for word in words.split()] for name, words in rows.items()}
    if set(rows) != set(GROUPS):
        raise OpenStaError(f"OpenSTA's power report has the rows {', '.join(rows) or 'none'}")
    return {name: Power(*rows[name]) for name in GROUPS}


def _script(
    verilog: Path,
    top: str,
    liberty: Sequence[Path],
    sdc: Path,
    directory: Path,
    clock: str,
    activity: float,
    count: int,
) -> str:
    # The clock is ideal: with all other inputs it would get a driving cell, one for all flip-flops.
    # set_power_activity -pins of this version fails, and what is set for a pin inside the netlist
    # is overwritten from the inputs; a global activity is what it keeps.
    return f"""
foreach file {{{" ".join(f'"{path.resolve()}"' for path in liberty)}}} {{ read_liberty $file }}
read_verilog "{verilog.resolve()}"
link_design {top}
rename all_inputs every_input
proc all_inputs {{}} {{
  set ports {{}}
  foreach port [every_input] {{ if {{[get_name $port] ne "{clock}"}} {{ lappend ports $port }} }}
  return $ports
}}
source "{sdc.resolve()}"
report_checks -path_delay max -format full -digits 4 -group_count {count}
set input [open "{directory}/pins.txt"]
set output [open "{directory}/slews.txt" w]
while {{[gets $input name] >= 0}} {{
  if {{[string match */* $name]}} {{
    set pin [sta::find_pin $name]
  }} else {{
    set pin [sta::get_port_pin_error port $name]
  }}
  set vertex [lindex [$pin vertices] end]
  puts $output "[lindex [$vertex slews rise] end] [lindex [$vertex slews fall] end]"
}}
close $output
set_power_activity -global -activity {activity} -duty 0.5
report_power -digits 6 > "{directory}/power.txt"
"""


def _run(command: Sequence[str], timeout: float | None) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, errors="replace", check=False
        )
    except subprocess.TimeoutExpired:
        raise OpenStaError(f"OpenSTA did not finish within {timeout:g} s: allow more") from None
    if done.returncode:
        last = (done.stdout + done.stderr).strip().splitlines()[-1:] or ["no message"]
        raise OpenStaError(f"OpenSTA ended with status {done.returncode}: {last[0]}")
    return done.stdout + done.stderr
