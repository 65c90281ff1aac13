"""Plot: how busy a port is, by memory latency and by bursts under way."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

__all__ = ["plot_busy"]


def plot_busy(
    path: Path, points: Mapping[str, Mapping[str, Mapping[str, float]]], burst_beats: int
) -> None:
    """Draw one panel per mode, one line per number of bursts.

    Parameters
    ----------
    path : Path
        PNG to write.
    points : mapping
        Share of busy cycles (0..1) by mode, bursts under way and latency in cycles.
    burst_beats : int
        Beats of a burst; each line's knee is expected where the bursts cover the latency.
    """
    figure = Figure(figsize=(4 * len(points) + 1.6, 3.4), layout="constrained")
    axes = figure.subplots(1, len(points), sharey=True, squeeze=False)[0]
    for panel, (mode, by_bursts) in zip(axes, points.items(), strict=True):
        for bursts, shares in by_bursts.items():
            latencies = [int(latency) for latency in shares]
            label = f"{bursts} x {burst_beats} beats"
            panel.plot(latencies, [100 * s for s in shares.values()], marker="o", label=label)
        panel.set_title(mode.upper())
        panel.set_xlabel("memory latency in cycles")
        panel.set_ylim(0, 102)
        panel.grid(alpha=0.3)
    axes[0].set_ylabel("weight port busy, % of cycles")
    figure.legend(
        *axes[0].get_legend_handles_labels(), title="bursts under way", loc="outside right"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
