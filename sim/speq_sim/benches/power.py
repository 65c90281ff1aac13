"""Energy of a mapped design at work on a real tile, mode by mode and unit by unit.

A design is mapped with its hierarchy kept, so that every cell belongs to a unit, and flattened
then. OpenSTA gives the slew of every net and the worst path, a simulation of the cells what every
net does, the Liberty file the energy of each transition.
"""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from speq.formats import family
from speq.parameters import Parameters
from speq_sim.benches.activity import Activity, measure_activity, runs_of
from speq_sim.benches.mapped import DEFAULT_ACTIVITY, Mapped
from speq_sim.benches.packed_tile import PackedTile

__all__ = ["default_figures", "figures_of", "read_tile"]

DYNAMIC = ("switching", "internal", "clock")
"""Parts of the energy that flow with the clock; leakage is the rest."""


def figures_of(
    mapped: Mapped,
    tile: PackedTile,
    mode: str,
    tokens: int,
    *,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Energy in one mode.

    Parameters
    ----------
    mapped : Mapped
        The design.
    tile : PackedTile
        What it works on.
    mode : str
        One of its modes.
    tokens : int
        Tokens of a tile.
    progress : callable, optional
        Called with the number of cycles done.

    Returns
    -------
    dict
        ``mode``, ``tokens``, ``runs`` (side by side), ``cycles`` (of all runs), ``macs_per_cycle``,
        ``words_per_cycle``, ``mean_activity`` (of all nets), ``pj_per_mac`` (without leakage) and
        its parts ``switching``, ``internal`` and ``clock``, ``pj_per_word``, ``by_unit`` (pJ per
        MAC), ``leakage_mw`` and ``mw`` (all, at the clock of the SDC).
    """
    runs = runs_of(mapped.parameters, tile, mode, tokens)
    activity = measure_activity(
        mapped.gates, mapped.design, mapped.parameters, runs, progress=progress
    )
    units = mapped.by_unit(mapped.energies(activity.activity, activity.duty))
    return {"mode": mode, "tokens": tokens, "runs": len(runs)} | _figures(mapped, activity, units)


def _figures(
    mapped: Mapped, activity: Activity, units: Mapping[str, Mapping[str, float]]
) -> dict[str, Any]:
    per_mac = 1e12 * activity.cycles / activity.macs
    parts = {part: sum(unit[part] for unit in units.values()) for part in DYNAMIC}
    joules = sum(parts.values())
    leakage = sum(unit["leakage"] for unit in units.values())
    return {
        "cycles": activity.cycles,
        "macs_per_cycle": round(activity.macs / activity.cycles, 3),
        "words_per_cycle": round(activity.words / activity.cycles, 3),
        "mean_activity": round(float(activity.activity.mean()), 4),
        "pj_per_mac": _short(joules * per_mac),
        "parts": {part: _short(value * per_mac) for part, value in parts.items()},
        "by_unit": {
            name: _short(sum(unit[part] for part in DYNAMIC) * per_mac)
            for name, unit in units.items()
        },
        "pj_per_word": _short(1e12 * joules * activity.cycles / activity.words),
        "leakage_mw": _short(1e3 * leakage),
        "leakage_pj_per_mac": _short(leakage * mapped.period * per_mac),
        "mw": _short(1e3 * (joules / mapped.period + leakage)),
    }


def read_tile(path: Path, parameters: Parameters, inputs: int | None = None) -> PackedTile:
    """Read and pack a whole tile, and keep its first inputs.

    Parameters
    ----------
    path : Path
        Safetensors file with ``weight`` and ``activations``.
    parameters : Parameters
        Names the family.
    inputs : int, optional
        How many inputs k to keep; by default all.

    Raises
    ------
    ValueError
        If the file is no such tile.
    """
    try:
        tensors = load_file(path)
        whole = PackedTile.pack(
            tensors["weight"], tensors["activations"], family(parameters.family)
        )
    except (OSError, SafetensorError, KeyError) as error:
        raise ValueError(f"{path} is no tile ({error}): take one of tests/data") from None
    return dataclasses.replace(
        whole,
        words=whole.words[:, :inputs],
        values=whole.values[:, :inputs],
        shifts=whole.shifts[:inputs],
        activations=whole.activations[:, :inputs],
    )


def default_figures(mapped: Mapped) -> dict[str, float]:
    """Milliwatts if every net but the clock's had :data:`DEFAULT_ACTIVITY`: ours, and OpenSTA's."""
    nets = mapped.gates.nets
    found = mapped.energies(np.full(nets, DEFAULT_ACTIVITY), np.full(nets, 0.5))
    units = mapped.by_unit(found).values()
    parts = {part: sum(unit[part] for unit in units) / mapped.period for part in DYNAMIC}
    leakage = sum(unit["leakage"] for unit in units)
    theirs = mapped.analysis.power["total"]
    return {
        "activity": DEFAULT_ACTIVITY,
        "mw": _short(1e3 * (sum(parts.values()) + leakage)),
        **{f"{part}_mw": _short(1e3 * watts) for part, watts in parts.items()},
        "opensta_mw": _short(1e3 * theirs.total),
        "opensta_internal_mw": _short(1e3 * theirs.internal),
        "opensta_switching_mw": _short(1e3 * theirs.switching),
        "opensta_leakage_mw": _short(1e3 * theirs.leakage),
    }


def _short(value: float) -> float:
    return float(f"{value:.5g}")
