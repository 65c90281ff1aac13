"""Energy per cycle of a mapped netlist from what each net does.

A transition of a net takes ``C V^2 / 2`` (C: the input pins that hang on it) and what the Liberty
file says of the cell's inside, for the slew that OpenSTA finds at its input: the mean of a rising
and a falling edge, for nets rise as often as they fall. Where several inputs can move an output,
their tables are weighted by how often each input changes under the table's condition. Every cycle
a clock pin rises once and falls once.

OpenSTA does the same, but Debian's of 2019 adds rising and falling energy at each transition, so
that internal power comes out up to twice as large, and has no way to be told the activity of a net
inside a netlist. So it is asked for slews, not for power (docs/power.md).
"""

import dataclasses
import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from speq.synthesis.gates import Gates
from speq.synthesis.liberty_power import Arc, CellPower, LibraryPower

__all__ = ["Energies", "energies", "probability"]


@dataclasses.dataclass(frozen=True)
class Energies:
    """Of each instance of a type of cell.

    Parameters
    ----------
    switching, internal, clock : ndarray of float, shape (instances,)
        Joules per cycle: charging the nets behind it, inside of it, and what the clock alone takes
        (its pin's capacitance and internal energy), which flows in every cycle.
    leakage : ndarray of float, shape (instances,)
        Watts.
    """

    switching: NDArray[np.float64]
    internal: NDArray[np.float64]
    clock: NDArray[np.float64]
    leakage: NDArray[np.float64]


def energies(
    gates: Gates,
    library: LibraryPower,
    slews: NDArray[np.float64],
    activity: NDArray[np.float64],
    duty: NDArray[np.float64],
    *,
    clock_slew: float = 0.0,
    load: float = 0.0,
) -> dict[str, Energies]:
    """Energies by type of cell.

    Parameters
    ----------
    gates : Gates
        The netlist.
    library : LibraryPower
        Its cells.
    slews : ndarray of float, shape (nets, 2)
        Rising and falling slew of each net, in seconds.
    activity, duty : ndarray of float, shape (nets,)
        Transitions per cycle, and part of the time at 1.
    clock_slew : float
        Slew of the clock, in seconds; below a table's first it is that.
    load : float
        Capacitance behind each output port, in farads.
    """
    capacitances = {name: cell.capacitances for name, cell in library.cells.items()}
    loads = gates.loads(capacitances)
    for direction, nets in gates.ports.values():
        if direction == "output":
            loads[nets] += load
    return {
        kind: _energies(
            gates, kind, library, loads, slews, activity, duty, clock_slew / library.seconds
        )
        for kind in gates.pins
    }


def _energies(
    gates: Gates,
    kind: str,
    library: LibraryPower,
    loads: NDArray[np.float64],
    slews: NDArray[np.float64],
    activity: NDArray[np.float64],
    duty: NDArray[np.float64],
    clock_slew: float,
) -> Energies:
    cell, pins, count = library.cells[kind], gates.pins[kind], gates.count(kind)
    unit = library.farads
    switching, internal, clock = (np.zeros(count) for _ in range(3))
    conditions = {pin: duty[nets] for pin, nets in pins.items()}
    if cell.clock:
        conditions[cell.clock] = np.full(count, 0.5)
        clock += cell.capacitances[cell.clock] * library.volts**2
    for pin in pins:
        arcs = [arc for arc in cell.arcs if arc.pin == pin]
        if pin in cell.outputs:
            net = pins[pin]
            changes = np.where(net >= 0, activity[net], 0.0)
            switching += 0.5 * loads[net] * library.volts**2 * changes
            weights = _weights(arcs, cell, pins, activity, conditions)
            for arc, weight in zip(arcs, weights, strict=True):
                edges = _slews(arc.related, cell, pins, slews / library.seconds, clock_slew)
                internal += weight * changes * _mean(arc, edges, loads[net] / unit) * unit
            continue
        part = clock if pin == cell.clock else internal
        changes = 2.0 if pin == cell.clock else activity[pins[pin]]
        edges = _slews(pin, cell, pins, slews / library.seconds, clock_slew)
        for arc in arcs:
            part += (
                changes * probability(arc.when, conditions) * _mean(arc, edges, np.zeros(1)) * unit
            )
    leakage = sum((probability(when, conditions) * watts for when, watts in cell.leakages), 0.0)
    return Energies(switching, internal, clock, np.broadcast_to(leakage, count))


def _weights(
    arcs: list[Arc],
    cell: CellPower,
    pins: Mapping[str, NDArray[np.int64]],
    activity: NDArray[np.float64],
    conditions: Mapping[str, NDArray[np.float64]],
) -> list[NDArray[np.float64]]:
    """Share of each table in the transitions of an output."""
    shares = [
        (1.0 if arc.related in (None, cell.clock) else activity[pins[arc.related]])
        * probability(arc.when, conditions)
        for arc in arcs
    ]
    total = sum(shares, np.zeros(1))
    return [
        np.where(total > 0, share / np.where(total > 0, total, 1), 1 / len(arcs))
        for share in shares
    ]


def _slews(
    pin: str | None,
    cell: CellPower,
    pins: Mapping[str, NDArray[np.int64]],
    slews: NDArray[np.float64],
    clock_slew: float,
) -> NDArray[np.float64]:
    """Rising and falling slew at an input, shape (instances, 2) or (1, 2)."""
    if pin is None or pin == cell.clock:
        return np.full((1, 2), clock_slew)
    return slews[pins[pin]]


def _mean(arc: Arc, edges: NDArray[np.float64], load: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean energy of a rising and a falling transition."""
    if arc.related is None:
        rising, falling = edges[:, 0], edges[:, 1]
    elif arc.inverting is None:
        rising = falling = edges.mean(axis=1)
    else:
        rising, falling = edges[:, int(arc.inverting)], edges[:, 1 - int(arc.inverting)]
    return 0.5 * (arc.rise(rising, load) + arc.fall(falling, load))


_PARTS = re.compile(r"\s*([A-Za-z_]\w*|[01]|[()!'*&+|^])")


def probability(
    expression: str, ones: Mapping[str, NDArray[np.float64]]
) -> NDArray[np.float64] | float:
    """How likely a condition of a Liberty file is, for independent pins.

    Parameters
    ----------
    expression : str
        Of names, ``!``, ``'``, ``*``, ``&``, ``+``, ``|``, ``^`` and brackets; empty is always.
    ones : mapping of str to ndarray of float
        How likely each pin is 1.

    Raises
    ------
    ValueError
        If it is no such expression.
    """
    if not expression:
        return 1.0
    words = _PARTS.findall(expression)
    if "".join(words) != re.sub(r"\s", "", expression):
        raise ValueError(f"condition {expression!r} is not understood: use names, ! * + ^ and ()")
    words.append("")
    value = _either(words, ones)
    if words != [""]:
        raise ValueError(f"condition {expression!r} goes on behind its end: check its brackets")
    return value


def _either(words: list[str], ones: Mapping[str, NDArray[np.float64]]):
    value = _differ(words, ones)
    while words[0] in ("+", "|"):
        words.pop(0)
        other = _differ(words, ones)
        value = value + other - value * other
    return value


def _differ(words: list[str], ones: Mapping[str, NDArray[np.float64]]):
    value = _both(words, ones)
    while words[0] == "^":
        words.pop(0)
        other = _both(words, ones)
        value = value + other - 2 * value * other
    return value


def _both(words: list[str], ones: Mapping[str, NDArray[np.float64]]):
    value = _single(words, ones)
    # A space between two names is an AND as well.
    while words[0] in ("*", "&") or re.match(r"[\w(!]", words[0]):
        if words[0] in ("*", "&"):
            words.pop(0)
        value = value * _single(words, ones)
    return value


def _single(words: list[str], ones: Mapping[str, NDArray[np.float64]]):
    word = words.pop(0)
    if word == "!":
        return 1 - _single(words, ones)
    if word == "(":
        value = _either(words, ones)
        if words.pop(0) != ")":
            raise ValueError("a bracket of a condition is not closed: check the library")
    elif word in ("0", "1"):
        value = float(word)
    elif word in ones:
        value = ones[word]
    else:
        raise ValueError(f"a condition names {word!r}, which is no pin: check the library")
    while words[0] == "'":
        words.pop(0)
        value = 1 - value
    return value
