"""Pictures of the reproduction: one function each, from the record's rows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

__all__ = ["plot_bytes", "plot_drafts", "plot_roofline", "plot_speedups"]

Rows = Sequence[Mapping[str, Any]]

PASS_COLOURS = {
    "draft": ("#56B4E9", "#B7DDF4"),
    "middle": ("#009E73", "#8FD5BF"),
    "verify": ("#0072B2", "#8FBEDD"),
}
"""Of weights, and of keys and values."""


def save(figure: Figure, path: Path) -> None:
    """Write a PNG whose bytes depend on the figures and the version alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Software": None})


def plot_speedups(path: Path, rows: Rows, reported: float) -> None:
    """Bars of speedup over FP16 by model and method, and a reported average as a line.

    Parameters
    ----------
    path : Path
        PNG to write.
    rows : sequence of mapping
        With ``model``, ``method`` and ``speedup_vs_fp16``.
    reported : float
        SPEQ's average.
    """
    models = list(dict.fromkeys(row["model"] for row in rows))
    methods = list(dict.fromkeys(row["method"] for row in rows))
    found = {(row["model"], row["method"]): row["speedup_vs_fp16"] for row in rows}
    figure = Figure(figsize=(10.5, 4.2), layout="constrained")
    axes = figure.subplots()
    width = 0.86 / len(methods)
    for number, method in enumerate(methods):
        places = np.arange(len(models)) + (number - (len(methods) - 1) / 2) * width
        heights = [found.get((model, method), np.nan) for model in models]
        axes.bar(places, heights, width, label=method, color=f"C{number}")
    axes.axhline(1, color="black", linewidth=0.8)
    axes.axhline(
        reported, color="black", linewidth=1.2, linestyle="--",
        label=f"SPEQ as reported, {reported}",
    )  # fmt: skip
    axes.set_xticks(range(len(models)), models)
    axes.set_ylabel("speedup over FP16 on the same memory")
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    figure.legend(loc="outside right", fontsize=8)
    save(figure, path)


def plot_drafts(path: Path, by_length: Rows, by_acceptance: Rows, reported: float) -> None:
    """Two panels: speedup by draft length for acceptances, and by acceptance for contexts."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for acceptance in dict.fromkeys(row["acceptance"] for row in by_length):
        mine = [row for row in by_length if row["acceptance"] == acceptance]
        left.plot(
            [row["draft_length"] for row in mine],
            [row["speedup"] for row in mine],
            marker="o",
            markersize=3.5,
            label=f"{acceptance:g}",
        )
    left.legend(title="acceptance", fontsize=8, ncols=3, loc="upper right")
    left.set_ylim(top=3.3)
    left.set_xlabel("draft length L")
    left.set_ylabel("speedup over FP16")
    for context in dict.fromkeys(row["context"] for row in by_acceptance):
        mine = [row for row in by_acceptance if row["context"] == context]
        right.plot(
            [row["acceptance"] for row in mine],
            [row["speedup"] for row in mine],
            label=f"{context:,}",
        )
    right.legend(title="context", fontsize=8, loc="upper left")
    right.set_xlabel("acceptance, at the best L")
    for axes in (left, right):
        axes.axhline(1, color="black", linewidth=0.8)
        axes.axhline(reported, color="black", linewidth=1, linestyle="--")
        axes.grid(alpha=0.3)
    right.text(0.5, reported - 0.12, f"SPEQ as reported, {reported}", fontsize=8)
    save(figure, path)


def plot_bytes(path: Path, rows: Rows) -> None:
    """Stacked bars: gigabytes of a token by method, pass and kind.

    Parameters
    ----------
    path : Path
        PNG to write.
    rows : sequence of mapping
        As of :func:`speq_sim.performance.reproduction.passes_shown.bytes_by_pass`.
    """
    methods = list(dict.fromkeys(row["method"] for row in rows))
    figure = Figure(figsize=(8, 0.9 + 0.55 * len(methods)), layout="constrained")
    axes = figure.subplots()
    for place, method in enumerate(methods):
        left = 0.0
        for passed, colours in PASS_COLOURS.items():
            for kind, colour in zip(("weights", "kv"), colours, strict=True):
                width = sum(
                    row["bytes_per_token"] / 1e9
                    for row in rows
                    if (row["method"], row["pass"], row["kind"]) == (method, passed, kind)
                )
                text = "weights" if kind == "weights" else "keys and values"
                axes.barh(
                    place, width, left=left, height=0.62, color=colour, edgecolor="white",
                    linewidth=0.6, label=f"{passed}: {text}" if place == 0 else None,
                )  # fmt: skip
                left += width
        axes.text(left, place, f" {left:.2f}", va="center", fontsize=9)
    axes.set_yticks(range(len(methods)), methods)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel("GB moved per token")
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    figure.legend(loc="outside right", fontsize=8)
    save(figure, path)


def plot_roofline(path: Path, shown: Mapping[str, Any]) -> None:
    """Roofs of memory, port and arrays, and where passes lie.

    Parameters
    ----------
    path : Path
        PNG to write.
    shown : mapping
        As of :func:`speq_sim.performance.reproduction.passes_shown.roofline`.
    """
    roofs, passes = shown["roofs"], shown["passes"]
    figure = Figure(figsize=(8.5, 4.6), layout="constrained")
    axes = figure.subplots()
    reach = np.geomspace(0.3, 300, 200)
    for key, label, style in (
        ("memory_peak_bytes_per_second", "memory, advertised", ":"),
        ("memory_bytes_per_second", "memory, with refresh and rows", "-"),
        ("port_bytes_per_second", "weight ports", "--"),
    ):
        slope = np.minimum(reach * roofs[key], roofs["draft_macs_per_second"]) / 1e12
        axes.plot(reach, slope, style, color="black", linewidth=1, label=label)
    for key, label in (
        ("verify_macs_per_second", "VERIFY, all PEs"),
        ("draft_macs_per_second", "DRAFT, all PEs"),
    ):
        axes.axhline(roofs[key] / 1e12, color="grey", linewidth=1)
        axes.text(0.32, roofs[key] / 1e12 * 1.06, label, fontsize=8)
    markers = dict(zip(dict.fromkeys(each["batch"] for each in passes), "os^Dv", strict=False))
    names = list(dict.fromkeys(each["pass"] for each in passes))
    for each in passes:
        axes.plot(
            each["macs_per_byte"],
            each["macs_per_second"] / 1e12,
            markers[each["batch"]],
            color=f"C{names.index(each['pass'])}",
            linestyle="none",
            label=f"{each['pass']}, {each['batch']} sequence{'s' * (each['batch'] > 1)}",
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("MACs per byte moved")
    axes.set_ylabel("10^12 MACs per second")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right", fontsize=8)
    save(figure, path)
