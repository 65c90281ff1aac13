"""Plot: what formats of draft activations cost, and what they do to a layer's output."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

__all__ = ["plot_formats"]


def plot_formats(path: Path, formats: Mapping[str, Mapping[str, Any]]) -> None:
    """Draw the drafted layer's SQNR over the area ratio, a point per format.

    Parameters
    ----------
    path : Path
        PNG to write.
    formats : mapping
        Figures of ``scripts/compare_activations.py`` by label; those without ``ratio`` (measured
        with --no-area) or SQNR are left out.
    """
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    for label, entry in formats.items():
        if "ratio" not in entry or "output_sqnr_db" not in entry:
            continue
        rate = entry["macs_per_cycle"]
        axes.scatter(entry["ratio"], entry["output_sqnr_db"], s=40 + rate / 2, alpha=0.8)
        axes.annotate(
            f"{label}\n{rate} MACs/cycle",
            (entry["ratio"], entry["output_sqnr_db"]),
            textcoords="offset points",
            xytext=(8, -10),
            fontsize=8,
        )
    axes.margins(x=0.18, y=0.25)
    axes.set_xlabel("transistors over the FP16-only array")
    axes.set_ylabel("SQNR of drafted layers, dB")
    axes.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Software": None})
