"""Plot: acceptance and predicted speedup over the average bits that a draft pass reads."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

__all__ = ["plot_recipes"]


def plot_recipes(
    path: Path, title: str, recipes: Sequence[Mapping[str, Any]], curve: Sequence[Mapping[str, Any]]
) -> None:
    """Draw what was measured of some recipes, and what is predicted of all.

    Parameters
    ----------
    path : Path
        PNG to write.
    title : str
        Above the panels.
    recipes : sequence of mapping
        Measured ones: ``bits``, ``acceptance``, ``speedup``, and ``name`` (None without a name).
    curve : sequence of mapping
        Of the frontier: ``bits``, and predicted ``acceptance`` and ``speedup``.
    """
    figure = Figure(figsize=(8.4, 4.2), layout="constrained")
    figure.suptitle(title)
    panels = figure.subplots(1, 2)
    for axes, key, label in zip(
        panels, ("acceptance", "speedup"), ("acceptance", "predicted speedup"), strict=True
    ):
        bits = [each["bits"] for each in curve]
        values = [each[key] for each in curve]
        axes.plot(bits, values, color="0.7", zorder=1, label="frontier, predicted")
        unnamed = [each for each in recipes if each["name"] is None]
        axes.scatter(
            [each["bits"] for each in unnamed],
            [each[key] for each in unnamed],
            color="0.3", s=18, zorder=2, label="measured",
        )  # fmt: skip
        for number, each in enumerate(one for one in recipes if one["name"] is not None):
            chosen = each["name"] == "chosen"  # below the others, as it may be one of them
            axes.scatter(
                each["bits"], each[key], s=170 if chosen else 45, zorder=3 if chosen else 4,
                color=f"C{number}", marker="*" if chosen else "o", label=each["name"],
            )  # fmt: skip
        axes.set_xscale("log", base=2)
        axes.set_xticks([4, 5, 6, 8, 10, 12, 16])
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.minorticks_off()
        axes.set_xlabel("bits of a weight that a draft pass reads")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
    panels[1].legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Software": None})
