"""Pictures of scale: sequences on a device, devices of a model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from speq_sim.performance.reproduction.plots import save

__all__ = ["plot_batching", "plot_tensor"]

Rows = Sequence[Mapping[str, Any]]


def plot_batching(path: Path, rows: Rows) -> None:
    """Two panels by the number of sequences: speedup, and tokens a second of both.

    Parameters
    ----------
    path : Path
        PNG to write.
    rows : sequence of mapping
        As of :func:`speq_sim.performance.reproduction.scale.batching`, of one model.
    """
    figure = Figure(figsize=(10.5, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for number, name in enumerate(dict.fromkeys(row["machine"] for row in rows)):
        mine = [row for row in rows if row["machine"] == name]
        batches = [row["batch"] for row in mine]
        colour = f"C{number}"
        left.plot(batches, [row["speedup"] for row in mine], marker="o", markersize=4, color=colour)
        right.plot(
            batches, [row["speq_tokens_per_second"] for row in mine], marker="o", markersize=4,
            color=colour, label=name,
        )  # fmt: skip
        right.plot(
            batches, [row["fp16_tokens_per_second"] for row in mine], linestyle=":", color=colour
        )
    left.axhline(1, color="black", linewidth=0.8)
    left.set_ylabel("speedup of SPEQ over FP16")
    right.set_yscale("log", base=2)
    right.yaxis.set_major_formatter("{x:,.0f}")
    right.set_ylabel("tokens per second (dotted: FP16)")
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.set_xlabel("sequences")
        axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    save(figure, path)


def plot_tensor(path: Path, rows: Rows) -> None:
    """Panels by design: tokens a second of SPEQ by the number of devices, a line for each link."""
    designs = list(dict.fromkeys(row["design"] for row in rows))
    figure = Figure(figsize=(4.6 * len(designs) + 1, 3.8), layout="constrained")
    panels = figure.subplots(1, len(designs), sharey=True, squeeze=False)[0]
    for axes, design in zip(panels, designs, strict=True):
        for link in dict.fromkeys(row["link"] for row in rows):
            mine = [row for row in rows if (row["design"], row["link"]) == (design, link)]
            devices = [row["devices"] for row in mine]
            axes.plot(
                devices, [row["speq_tokens_per_second"] for row in mine], marker="o",
                markersize=4, label=link,
            )  # fmt: skip
        first = mine[0]["speq_tokens_per_second"]
        axes.plot(
            devices, [first * count / devices[0] for count in devices], color="black",
            linewidth=0.8, linestyle="--", label="in proportion",
        )  # fmt: skip
        axes.set_title(design, fontsize=10)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.set_xlabel("devices")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("SPEQ, tokens per second")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right", fontsize=8)
    save(figure, path)
