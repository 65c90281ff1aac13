"""A design in the cells of a library, with all that its energy depends on but what it does."""

import dataclasses
import functools
import hashlib
import pickle
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speq.emission import emit
from speq.parameters import Parameters
from speq.synthesis import Liberty, Switches
from speq.synthesis.energy import Energies, energies
from speq.synthesis.gates import Gates, read_gates
from speq.synthesis.liberty_power import LibraryPower, read_power
from speq.synthesis.netlist import Netlist, map_netlist
from speq.synthesis.opensta import Analysis, analyse
from speq.synthesis.sdc import Sdc
from speq.yosys import yosys_version
from speq_sim.benches.payload import Design

__all__ = ["CONTROL", "DEFAULT_ACTIVITY", "UNITS", "Mapped", "map_design", "unit_of"]

DEFAULT_ACTIVITY = 0.1
"""Transitions per cycle that tools assume of every net when they are told nothing."""

UNITS: dict[str, tuple[str, ...]] = {
    "multiply": ("multiplier",),
    "pe": ("pe",),
    "reduce": ("reduce",),
    "accumulate": ("accumulate", "accumulate_segments", "segment"),
    "round": ("round",),
    "column": ("column",),
    "load": ("loader", "unpacker", "decoder"),
}
"""Modules of each unit, those within them included; what is left is control."""

CONTROL = "control"


@dataclasses.dataclass(frozen=True)
class Mapped:
    """A design in cells, and all that its energy depends on but what it does.

    Parameters
    ----------
    parameters : Parameters
        The design.
    design : Design
        Its side-car.
    gates : Gates
        Its cells.
    library : LibraryPower
        Their tables.
    sdc : Sdc
        Clock and limits.
    analysis : Analysis
        OpenSTA's.
    slews : ndarray of float, shape (nets, 2)
        Slew of each net, in seconds.
    """

    parameters: Parameters
    design: Design
    gates: Gates
    library: LibraryPower
    sdc: Sdc
    analysis: Analysis
    slews: NDArray[np.float64]

    @property
    def period(self) -> float:
        """Clock period, in seconds."""
        return self.sdc.period * self.library.seconds

    def energies(self, activity: NDArray, duty: NDArray) -> dict[str, Energies]:
        """Energies at an activity of each net."""
        load = (self.sdc.load or 0.0) * self.library.farads
        return energies(self.gates, self.library, self.slews, activity, duty, load=load)

    def by_unit(self, found: Mapping[str, Energies]) -> dict[str, dict[str, float]]:
        """Joules per cycle by unit: switching, internal, clock, and leakage in watts."""
        names = (*UNITS, CONTROL)
        parts = [field.name for field in dataclasses.fields(Energies)]
        sums = {name: dict.fromkeys(parts, 0.0) for name in names}
        for kind, energy in found.items():
            units = np.array([names.index(unit_of(i)) for i in self.gates.instances[kind]])
            for part in parts:
                totals = np.bincount(units, getattr(energy, part), minlength=len(names))
                for name, total in zip(names, totals, strict=True):
                    sums[name][part] += float(total)
        return sums

    def paths(self) -> list[dict[str, Any]]:
        """The worst paths, with names of registers and the units they are in."""
        return [
            {
                "from": self._name(path.start),
                "to": self._name(path.end),
                "arrival": path.arrival,
                "slack": path.slack,
                "cells": path.cells,
            }
            for path in self.analysis.paths
        ]

    def _name(self, instance: str) -> str:
        kind, _, index = instance.rpartition("_")
        if kind not in self.gates.pins:
            return instance
        cell = self.gates.cells[kind]
        nets = [int(self.gates.pins[kind][pin][int(index)]) for pin in cell.outputs]
        within = self.gates.instances[kind][int(index)]
        names = [name for net in nets for name in self.gates.names.get(net, ())]
        # Of all names of a wire that of the register's own module is what a reader looks for.
        own = [name for name in names if name.startswith(f"{within}.")]
        return min(own or names or [within], key=len)


@functools.cache
def unit_of(instance: str) -> str:
    """The unit that a module instance belongs to."""
    modules = {re.sub(r"(\$|_)?\d+$", "", part) for part in re.split(r"[.]", instance)}
    for unit, names in UNITS.items():
        if modules & set(names):
            return unit
    return CONTROL


def map_design(
    parameters: Parameters,
    library: Liberty,
    sdc: Sdc,
    folder: Path,
    *,
    constraint: Path | None = None,
    switches: Switches | None = None,
    step: Callable[[str], None] = lambda _: None,
) -> Mapped:
    """Map a design, read it, and have OpenSTA find its slews.

    Parameters
    ----------
    parameters : Parameters
        The design.
    library : Liberty
        Cells, with internal power.
    sdc : Sdc
        Clock and limits.
    folder : Path
        Where everything goes; a netlist that is there already is used again.
    constraint : Path, optional
        Driving cell and load for ABC.
    switches : Switches, optional
        By default hierarchy is kept.
    step : callable
        Told what is about to be done, three times.

    Raises
    ------
    YosysError, OpenStaError, LibertyError
        If a tool fails, or the library states no internal power.
    """
    switches = switches or Switches(flatten=False)
    emission = emit(parameters, folder)
    step(f"mapping {emission.top} to {library.name}")
    netlist, gates = _mapped(emission.verilog, emission.top, library, folder, constraint, switches)
    power = read_power(netlist.liberty, gates.cells)
    step(f"OpenSTA on {emission.top} in {library.name}")
    pins, nets = _drivers(gates, sdc.port)
    verilog = folder / f"{emission.top}.scalar.v"
    gates.write_verilog(verilog)
    analysis = analyse(
        verilog, gates.top, netlist.liberty, sdc.path, folder / "sta", clock=sdc.port, pins=pins,
        activity=DEFAULT_ACTIVITY,
    )  # fmt: skip
    slews = np.zeros((gates.nets, 2))
    slews[nets] = analysis.slews
    design = Design.load(emission.side_car)
    return Mapped(parameters, design, gates, power, sdc, analysis, slews)


def _mapped(
    verilog: Path,
    top: str,
    library: Liberty,
    folder: Path,
    constraint: Path | None,
    switches: Switches,
) -> tuple[Netlist, Gates]:
    sources = [verilog, *library.files, *([constraint] if constraint else [])]
    digest = hashlib.sha256(f"{yosys_version()} {switches}".encode())
    for source in sources:
        digest.update(source.read_bytes())
    kept = folder / f"gates-{digest.hexdigest()[:16]}.pickle"
    if kept.is_file():
        return pickle.loads(kept.read_bytes())
    netlist = map_netlist(verilog, top, library, folder, constraint=constraint, switches=switches)
    found = netlist, read_gates(netlist, folder)
    kept.write_bytes(pickle.dumps(found))
    return found


def _drivers(gates: Gates, clock: str) -> tuple[list[str], list[int]]:
    """Every output of a cell and every input port: its name for OpenSTA, and its net."""
    pins, nets = [], []
    for kind, cell in gates.cells.items():
        for pin in cell.outputs:
            for index, net in enumerate(gates.pins[kind][pin].tolist()):
                if net >= 0:
                    pins.append(f"{kind}_{index}/{pin}")
                    nets.append(net)
    for name, (direction, bits) in gates.ports.items():
        if direction == "input" and name != clock:
            for index, net in enumerate(bits.tolist()):
                pins.append(name if len(bits) == 1 else f"{name}_{index}")
                nets.append(net)
    return pins, nets
