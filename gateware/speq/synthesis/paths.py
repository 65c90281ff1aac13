"""The longest path's ends in the names of the design.

ABC loses all names but those at flip-flops and ports, and these are enough: a path runs from one
register to the next, and a register's name begins with the unit that holds it.
"""

import dataclasses
import re
from typing import Any

__all__ = ["CriticalPath", "critical_path", "module_delays", "unit_of"]

_PATH = re.compile(
    r"Delay\s*=\s*(?P<delay>[0-9.]+) ps.*\n(?P<gates>(?:ABC: Path .*\n)+)"
    r"ABC: Start-point = \w+ \((?P<start>.+?)\)\.\s+End-point = \w+ \((?P<end>.+?)\)\."
)
_DELAY = re.compile(r"Delay\s*=\s*([0-9.]+) ps")
_MODULE = re.compile(r"Extracting gate netlist of module `\\?(\S+)'")
_CELL = re.compile(r"^  cell \\\S+ \S+\n(?P<pins>(?:    connect .*\n)+)  end$", re.MULTILINE)
_PIN = re.compile(r"^    connect \\(?P<pin>\S+) (?P<signal>.+)$", re.MULTILINE)

_STAGES = {"column": "columns", "pe": "multiply", "multiplier": "multiply"}
"""Stages by the units that hold their registers, where the names differ."""


@dataclasses.dataclass(frozen=True)
class CriticalPath:
    """The longest combinational path.

    Parameters
    ----------
    start, end : str
        Register bits (or ports) that it runs from and to, such as ``accumulate.sums_1[4]``.
    start_unit, end_unit : str
        Units that hold them (:func:`unit_of`).
    gates : int
        Gates on it.
    """

    start: str
    end: str
    start_unit: str
    end_unit: str
    gates: int

    def __str__(self) -> str:
        return f"{self.start} -> {self.end} ({self.gates} gates)"

    def as_dict(self) -> dict[str, Any]:
        """The figures as JSON values."""
        return dataclasses.asdict(self)


def critical_path(log: str, registers: str) -> CriticalPath | None:
    """Read the longest of the paths that ABC printed.

    Parameters
    ----------
    log : str
        What ABC printed (``stime -p``).
    registers : str
        The flip-flops as RTLIL, with the names that ABC got to see.

    Returns
    -------
    CriticalPath or None
        None if ABC printed none.
    """
    worst = max(_PATH.finditer(log), key=lambda match: float(match["delay"]), default=None)
    if worst is None:
        return None
    start = _readable(worst["start"])
    end = _registers_behind(registers).get(_key(worst["end"]), _readable(worst["end"]))
    gates = len(re.findall(r"^ABC: Path +[1-9]\d* --", worst["gates"], re.MULTILINE))
    return CriticalPath(start, end, unit_of(start), unit_of(end), gates)


def unit_of(register: str) -> str:
    """The unit that holds a register: the last part of its place in the hierarchy.

    Parameters
    ----------
    register : str
        Hierarchical name, such as ``row_3.pe_4.product[10]``.

    Returns
    -------
    str
        The stage as :attr:`speq.parameters.Parameters.stages` calls it (``multiply`` for ``pe_4``),
        the unit without its number where it is none of these, ``"ports"`` for a name without a
        hierarchy.
    """
    parts = register.split(".")
    if len(parts) == 1:
        return "ports"
    unit = re.sub(r"(\$\d+)?(_\d+)?$", "", parts[-2])
    return _STAGES.get(unit, unit)


def module_delays(log: str) -> dict[str, float]:
    """Longest path of every module of a netlist that keeps its hierarchy, in picoseconds.

    Each is mapped alone, between its own ports and flip-flops; the gates of modules inside it are
    not on its paths.

    Parameters
    ----------
    log : str
        What ABC printed.
    """
    # Yosys takes all modules out first, then puts back what ABC made of them, in the same order.
    modules = _MODULE.findall(log)
    delays: dict[str, float] = {}
    for module, run in zip(modules, log.split("Executed ABC.")[1:], strict=True):
        found = [float(delay) for delay in _DELAY.findall(run)]
        if found:
            delays[module] = max(found)
    return delays


def _registers_behind(registers: str) -> dict[str, str]:
    """By the signal that a flip-flop takes in: the name of what it puts out."""
    behind = {}
    for cell in _CELL.finditer(registers):
        pins = {match["pin"]: match["signal"] for match in _PIN.finditer(cell["pins"])}
        outputs = [signal for pin, signal in pins.items() if pin.startswith("Q")]
        for pin, signal in pins.items():
            if outputs and not pin.startswith("Q"):
                behind[_key(signal)] = _readable(outputs[0])
    return behind


def _key(signal: str) -> str:
    return signal.replace(" ", "")


def _readable(signal: str) -> str:
    return re.sub(r"\$\d+(?=[._])", "", _key(signal).removeprefix("\\"))
