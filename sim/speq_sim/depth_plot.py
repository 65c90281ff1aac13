"""Plot: area against longest path, depth by depth."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

__all__ = ["plot_depths"]


def plot_depths(path: Path, unit: str, figures: Mapping[str, Mapping[str, Any]]) -> None:
    """Draw a panel for each library, one point per depth.

    Parameters
    ----------
    path : Path
        PNG to write.
    unit : str
        What was measured, for the axes.
    figures : mapping
        By depth: ``transistors_ratio``, and ``libraries`` with ``area_ratio`` and ``delay_ps``.

    Raises
    ------
    ValueError
        If no library has delays.
    """
    names = [
        name for name, each in figures["1"]["libraries"].items() if each["delay_ps"] is not None
    ]
    if not names:
        raise ValueError(
            "there are no delays to draw: give a Liberty library that has a file in constraints/"
        )
    figure = Figure(figsize=(4.2 * len(names), 3.4), layout="constrained")
    for panel, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        points = [entry["libraries"][name] for entry in figures.values()]
        delays = [point["delay_ps"] / 1000 for point in points]
        areas = [point["area_ratio"] for point in points]
        panel.plot(delays, areas, marker="o")
        for depth, x, y in zip(figures, delays, areas, strict=True):
            panel.annotate(f" {depth}", (x, y), va="bottom")
        panel.set_title(name)
        panel.set_xlabel(f"longest path of a {unit}, ns")
        panel.grid(alpha=0.3)
        panel.set_xlim(left=0)
    figure.axes[0].set_ylabel("area over that of depth 1")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
