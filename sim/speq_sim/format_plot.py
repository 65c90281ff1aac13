"""Plot: what formats of draft activations cost, and what they do to a layer's output."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

__all__ = ["plot_formats"]


def plot_formats(path: Path, formats: Mapping[str, Mapping[str, Any]]) -> None:
    """Draw each format's own SQNR over the area ratio, above that of the draft weights.

    Parameters
    ----------
    path : Path
        PNG to write.
    formats : mapping
        Figures of ``scripts/compare_activations.py`` by label; those without ``ratio`` (measured
        with --no-area) or SQNR are left out.
    """
    figure = Figure(figsize=(6.8, 4), layout="constrained")
    axes = figure.subplots()
    drawn = {
        label: entry
        for label, entry in formats.items()
        if "ratio" in entry and "output_sqnr_db" in entry
    }
    exact = [label for label, entry in drawn.items() if entry["activation_sqnr_db"] is None]
    top = 10 + max((entry["activation_sqnr_db"] or 0 for entry in drawn.values()), default=0)
    for label, entry in drawn.items():
        height = top if label in exact else entry["activation_sqnr_db"]
        size = 40 + entry["macs_per_cycle"] / 2
        axes.scatter(entry["ratio"], height, s=size, marker="^" if label in exact else "o")
        axes.annotate(
            f"{label}: {entry['macs_per_cycle']} MACs/cycle\n"
            f"{'exact' if label in exact else f'{height:.1f} dB'}",
            (entry["ratio"], height),
            textcoords="offset points",
            xytext=(8, -18),
            fontsize=8,
        )
    weights = [entry["output_sqnr_db"] for entry in drawn.values()]
    if weights:
        axes.axhline(max(weights), color="black", linewidth=1, linestyle="--")
        axes.text(
            0.99,
            max(weights) + 1,
            f"4-bit weights: {max(weights):.1f} dB; with them {min(weights):.2f} to "
            f"{max(weights):.2f} dB in any format",
            transform=axes.get_yaxis_transform(),
            ha="right",
            fontsize=8,
        )
    axes.set_ylim(0, top + 8)
    axes.margins(x=0.35)
    axes.set_xlabel("transistors over the FP16-only array")
    axes.set_ylabel("SQNR of the format alone, dB")
    axes.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Software": None})
