"""Where the area goes, part by part: the figures and the picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["area_by_part", "areas_of", "label", "plot_area"]

SMALL_SHARE = 0.015
"""Parts below this share of the largest design are drawn together as "other"."""

_COLOURS = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#F0E442",
    "#999999",
    "#6A3D9A",
    "#8C564B",
)


def area_by_part(area: Mapping[str, Any]) -> dict[str, int]:
    """Transistors by part of one design, largest first.

    Parameters
    ----------
    area : mapping
        Figures of one design, with ``module`` and ``parts``.

    Returns
    -------
    dict of str to int
        Transistors of all instances of each module without the modules inside it; the module's
        name is without the design's prefix, and the top module is "top".
    """
    top = area["module"]
    return {
        _part_name(part["module"], top): part["own_cells_of_all_instances"]["transistors"]
        for part in area["parts"]
    }


def plot_area(synthesis: Mapping[str, Any], path: Path) -> Path:
    """Draw one stacked bar per design, part by part.

    Parameters
    ----------
    synthesis : mapping
        Figures of ``scripts/synth_area.py``.
    path : Path
        PNG file to write.

    Returns
    -------
    Path
        `path`.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter

    bars = {label(area): area_by_part(area) for area in areas_of(synthesis)}
    parts = _drawn_parts(list(bars.values()))
    figure, axes = pyplot.subplots(figsize=(9.5, 1.8 + 0.8 * len(bars)), layout="constrained")
    widest = max(sum(bar.values()) for bar in bars.values())
    for position, bar in enumerate(bars.values()):
        left = 0
        for index, part in enumerate(parts):
            width = (
                sum(number for name, number in bar.items() if name not in parts)
                if part == "other"
                else bar.get(part, 0)
            )
            axes.barh(
                position,
                width,
                left=left,
                height=0.62,
                color=_COLOURS[index % len(_COLOURS)],
                edgecolor="white",
                linewidth=0.8,
                label=part if position == 0 else None,
            )
            if width > 0.05 * widest:
                axes.text(
                    left + width / 2,
                    position,
                    f"{width / sum(bar.values()):.0%}",
                    ha="center",
                    va="center",
                    fontsize=8,
                    color="black",
                )
            left += width
        axes.text(left + 0.01 * widest, position, f"{left:,}", va="center", fontsize=9)
    axes.set_yticks(range(len(bars)), list(bars))
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12 * widest)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1000:,.0f}"))
    axes.set_xlabel("transistors of gates and flip-flops (thousands), hierarchy kept")
    axes.set_title("Area by part", loc="left")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=min(len(parts), 5), frameon=False, fontsize=9)
    temporary = path.with_suffix(".part.png")
    try:
        # Without the metadata the bytes depend on the figures and the version alone.
        figure.savefig(temporary, dpi=150, metadata={"Software": None})
        temporary.replace(path)
    finally:
        pyplot.close(figure)
        temporary.unlink(missing_ok=True)
    return path


def _drawn_parts(bars: Sequence[Mapping[str, int]]) -> list[str]:
    limit = SMALL_SHARE * max(sum(bar.values()) for bar in bars)
    names = list(dict.fromkeys(name for bar in bars for name in bar))
    large = [name for name in names if max(bar.get(name, 0) for bar in bars) >= limit]
    return large if len(large) == len(names) else [*large, "other"]


def areas_of(synthesis: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The figures of each design: the measured one, then the one it is compared with."""
    return [synthesis, *([synthesis["against"]] if "against" in synthesis else [])]


def label(area: Mapping[str, Any]) -> str:
    """What a design is called in plots and tables, on two lines."""
    kind = "reconfigurable" if len(area["design"]["modes"]) > 1 else "FP16-only"
    return f"{kind}\n({area['design']['name']})"


def _part_name(module: str, top: str) -> str:
    return "top" if module == top else module.removeprefix(f"{top}_")
