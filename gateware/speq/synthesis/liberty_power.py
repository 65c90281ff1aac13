"""Capacitance and power tables of the cells of a Liberty library.

Only what energy needs is read, and only of the cells that a netlist has: a library's timing is the
business of ABC and OpenSTA.
"""

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from speq.synthesis.liberty import LibertyError
from speq.synthesis.liberty_groups import Group, parse_group, without_comments

__all__ = ["Arc", "CellPower", "LibraryPower", "Table", "read_power"]

_PICO = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0}
_NO_POWER = (
    "library {name} states no internal power of {cell}, or only zeros: energies would be wrong by "
    "half; use one that does (OSU018, ASAP7)"
)


@dataclasses.dataclass(frozen=True)
class Table:
    """A look-up table of energies.

    Parameters
    ----------
    slews, loads : ndarray of float
        Its axes, in the library's units of time and capacitance; one element where the energy does
        not depend on it.
    values : ndarray of float, shape (slews, loads)
        Energies, in the library's unit of capacitance times volts squared.
    """

    slews: NDArray[np.float64]
    loads: NDArray[np.float64]
    values: NDArray[np.float64]

    def __call__(self, slew: ArrayLike, load: ArrayLike) -> NDArray[np.float64]:
        """Energy by bilinear interpolation; outside of the table that of its edge."""
        low, right = _place(self.slews, slew)
        left, up = _place(self.loads, load)
        row, column = (
            np.minimum(low + 1, len(self.slews) - 1),
            np.minimum(left + 1, len(self.loads) - 1),
        )
        first = self.values[low, left] * (1 - up) + self.values[low, column] * up
        second = self.values[row, left] * (1 - up) + self.values[row, column] * up
        return first * (1 - right) + second * right


@dataclasses.dataclass(frozen=True)
class Arc:
    """One ``internal_power`` group.

    Parameters
    ----------
    pin : str
        Pin whose transitions take the energy.
    related : str or None
        Input that caused the transition of an output.
    when : str
        Condition, empty for none.
    inverting : bool or None
        Whether a rising `pin` follows a falling `related`; None if it may follow either.
    rise, fall : Table
        Energy of a rising and a falling transition of `pin`.
    """

    pin: str
    related: str | None
    when: str
    inverting: bool | None
    rise: Table
    fall: Table


@dataclasses.dataclass(frozen=True)
class CellPower:
    """What a cell's energy depends on.

    Parameters
    ----------
    name : str
        The cell.
    capacitances : mapping of str to float
        Of each input, in farads.
    outputs : tuple of str
        Output pins.
    clock : str or None
        Clock pin of a flip-flop.
    leakages : tuple of (str, float)
        Condition (empty for always) and watts.
    arcs : tuple of Arc
        Internal power.
    """

    name: str
    capacitances: Mapping[str, float]
    outputs: tuple[str, ...]
    clock: str | None
    leakages: tuple[tuple[str, float], ...]
    arcs: tuple[Arc, ...]


@dataclasses.dataclass(frozen=True)
class LibraryPower:
    """Cells of a library, and its units.

    Parameters
    ----------
    name : str
        Name the first file gives itself.
    volts : float
        Supply.
    farads, seconds : float
        Units of capacitance and time of tables; an energy's is ``farads`` times one volt squared.
    cells : mapping of str to CellPower
        By name.
    """

    name: str
    volts: float
    farads: float
    seconds: float
    cells: Mapping[str, CellPower]


def read_power(files: Sequence[Path], cells: Iterable[str]) -> LibraryPower:
    """Read some cells of a library.

    Of a group with a supply pin (``related_pg_pin``), that of the ground is left out: what is drawn
    is drawn from the supply, and the ground's table counts the same charge a second time.

    Parameters
    ----------
    files : sequence of Path
        Its files, decompressed.
    cells : iterable of str
        Names of the cells wanted.

    Raises
    ------
    LibertyError
        If a cell is in no file, or its internal power is missing or zero (SKY130's is, as far as
        this reader goes).
    """
    wanted, found = set(cells), {}
    header: dict[str, float] = {}
    name = ""
    for file in files:
        text = without_comments(file.read_text(errors="replace"))
        begins = list(re.finditer(r'\bcell\s*\(\s*"?([^")\s]+)"?\s*\)\s*\{', text))
        top = text[: begins[0].start()] if begins else text
        header, name = header or _units(top, file), name or _name(top)
        templates = _templates(top)
        for begin in begins:
            if begin.group(1) in wanted:
                group = parse_group(text, begin.start())
                found[begin.group(1)] = _cell(group, header, templates)
    for cell in sorted(wanted):
        if cell not in found:
            raise LibertyError(f"cell {cell} is in none of {', '.join(f.name for f in files)}")
        if not any(table.values.any() for a in found[cell].arcs for table in (a.rise, a.fall)):
            raise LibertyError(_NO_POWER.format(name=name, cell=cell))
    return LibraryPower(name, header["volts"], header["farads"], header["seconds"], found)


def _units(top: str, file: Path) -> dict[str, float]:
    capacitance = re.search(r"capacitive_load_unit\s*\(\s*([\d.]+)\s*,\s*(\w)f\s*\)", top, re.I)
    time = re.search(r'time_unit\s*:\s*"?([\d.]+)(\w)s', top)
    volts = re.search(r"nom_voltage\s*:\s*([\d.]+)", top)
    leakage = re.search(r'leakage_power_unit\s*:\s*"?([\d.]+)(\w)W', top)
    if not (capacitance and time and volts and leakage):
        raise LibertyError(
            f"{file.name} lacks a unit of capacitance, time or leakage, or its voltage: use a "
            f"library with them"
        )
    return {
        "farads": float(capacitance[1]) * _PICO[capacitance[2].lower()],
        "seconds": float(time[1]) * _PICO[time[2].lower()],
        "watts": float(leakage[1]) * _PICO[leakage[2].lower()],
        "volts": float(volts[1]),
    }


def _name(top: str) -> str:
    match = re.search(r'\blibrary\s*\(\s*"?([^")\s]+)', top)
    return match[1] if match else ""


def _templates(top: str) -> dict[str, tuple[str, ...]]:
    """Axes of each table template."""
    groups = re.findall(
        r'(?:power_lut|lu_table)_template\s*\(\s*"?([^")\s]+)"?\s*\)\s*\{([^}]*)', top
    )
    return {
        name: tuple(re.findall(r"variable_\d\s*:\s*(\w+)", body)) or ("none",)
        for name, body in groups
    }


def _cell(
    group: Group, units: Mapping[str, float], templates: Mapping[str, tuple[str, ...]]
) -> CellPower:
    pins = {pin.argument: pin for pin in group.all("pin")}
    inputs = {name: pin for name, pin in pins.items() if pin.attributes["direction"] == "input"}
    clock = None
    for register in group.all("ff"):
        names = re.findall(r"\w+", register.attributes.get("clocked_on", ""))
        clock = names[0] if names else None
    return CellPower(
        name=group.argument,
        capacitances={
            name: float(pin.attributes.get("capacitance", 0)) * units["farads"]
            for name, pin in inputs.items()
        },
        outputs=tuple(n for n, pin in pins.items() if pin.attributes["direction"] == "output"),
        clock=clock,
        leakages=_leakages(group, units["watts"]),
        arcs=tuple(arc for pin in pins.values() for arc in _arcs(pin, templates)),
    )


def _leakages(group: Group, unit: float) -> tuple[tuple[str, float], ...]:
    stated = tuple(
        (leak.attributes.get("when", ""), float(leak.attributes["value"]) * unit)
        for leak in group.all("leakage_power")
        if _of_supply(leak)
    )
    conditional = tuple((when, value) for when, value in stated if when)
    total = group.attributes.get("cell_leakage_power")
    if conditional or total is None:
        return conditional or stated
    return (("", float(total) * unit),)


def _of_supply(group: Group) -> bool:
    return not group.attributes.get("related_pg_pin", "").upper().startswith(("VSS", "GND", "VGND"))


def _arcs(pin: Group, templates: Mapping[str, tuple[str, ...]]) -> Iterator[Arc]:
    senses = {
        timing.attributes.get("related_pin"): timing.attributes.get("timing_sense")
        for timing in pin.all("timing")
    }
    for power in pin.all("internal_power"):
        if not _of_supply(power):
            continue
        tables = {child.kind: _table(child, templates) for child in power.children}
        # One table for both edges is called "power".
        both = tables.get("power") or Table(np.zeros(1), np.zeros(1), np.zeros((1, 1)))
        related = power.attributes.get("related_pin")
        sense = senses.get(related)
        yield Arc(
            pin=pin.argument,
            related=related,
            when=power.attributes.get("when", ""),
            inverting={"negative_unate": True, "positive_unate": False}.get(sense or ""),
            rise=tables.get("rise_power", both),
            fall=tables.get("fall_power", both),
        )


def _table(group: Group, templates: Mapping[str, tuple[str, ...]]) -> Table:
    axes = templates.get(group.argument, ())
    values = _numbers(group.attributes["values"])
    index = [_numbers(group.attributes.get(f"index_{i + 1}", "0")) for i in range(len(axes))]
    shaped = values.reshape([len(axis) for axis in index] or [1])
    if len(axes) < 2:
        of_load = axes and "capacitance" in axes[0]
        one = np.zeros(1)
        axis = index[0] if index else one
        return Table(one, axis, shaped[None, :]) if of_load else Table(axis, one, shaped[:, None])
    if "capacitance" in axes[0]:
        return Table(index[1], index[0], shaped.T)
    return Table(index[0], index[1], shaped)


def _numbers(text: str) -> NDArray[np.float64]:
    return np.array([float(word) for word in re.findall(r"[-+.\deE]+", text)])


def _place(axis: NDArray[np.float64], value: ArrayLike) -> tuple[NDArray, NDArray]:
    """Index of the point below, and how far towards the next; clamped to the axis."""
    value = np.clip(np.asarray(value, np.float64), axis[0], axis[-1])
    if len(axis) == 1:
        return np.zeros(value.shape, np.intp), np.zeros(value.shape)
    low = np.clip(np.searchsorted(axis, value, side="right") - 1, 0, len(axis) - 2)
    return low, (value - axis[low]) / (axis[low + 1] - axis[low])
