"""Plot: energy per multiply-accumulate by mode, stacked by unit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

__all__ = ["plot_power"]


def plot_power(path: Path, library: str, designs: Mapping[str, Mapping[str, Any]]) -> None:
    """Draw a panel for each number of tokens, a bar for each design and mode.

    Parameters
    ----------
    path : Path
        PNG to write.
    library : str
        For the title.
    designs : mapping
        By name: ``runs``, each with ``mode``, ``tokens``, ``pj_per_mac`` and ``by_unit``.
    """
    bars = [
        (run["tokens"], _label(index, run["mode"]), run)
        for index, figures in enumerate(designs.values())
        for run in figures["runs"]
    ]
    tokens = sorted({count for count, _, _ in bars}, reverse=True)
    figure = Figure(figsize=(4.4 * len(tokens) + 1.6, 3.8), layout="constrained")
    axes = figure.subplots(1, len(tokens), squeeze=False)[0]
    for panel, count in zip(axes, tokens, strict=True):
        chosen = [(label, run) for each, label, run in bars if each == count]
        labels = [label for label, _ in chosen]
        below = [0.0] * len(chosen)
        for unit in chosen[0][1]["by_unit"]:
            heights = [run["by_unit"][unit] for _, run in chosen]
            panel.bar(labels, heights, bottom=below, label=unit)
            below = [low + height for low, height in zip(below, heights, strict=True)]
        for label, top in zip(labels, below, strict=True):
            panel.text(label, top, f"{top:.3g}", ha="center", va="bottom", fontsize=8)
        panel.set_title(f"{count} token{'s' if count > 1 else ''} a tile")
        panel.tick_params(axis="x", labelsize=7)
        panel.margins(y=0.08)
        panel.grid(axis="y", alpha=0.3)
        panel.set_axisbelow(True)
    axes[0].set_ylabel("pJ per multiply-accumulate")
    figure.suptitle(library, fontsize=9)
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles[::-1], names[::-1], title="unit", loc="outside right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def _label(index: int, mode: str) -> str:
    return mode.upper() if index == 0 else f"{mode.upper()}\nFP16-only"
