"""Figures and table of what each mode costs: the variants of one design side by side."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from speq.parameters import Parameters
from speq.synthesis import Area
from speq.variants import VERIFY_ONLY

__all__ = ["ablation_figures", "ablation_table"]


def ablation_figures(
    variants: Mapping[str, Parameters], areas: Mapping[str, Area]
) -> dict[str, dict[str, Any]]:
    """Figures of every variant, and their ratios to the FP16-only array.

    Parameters
    ----------
    variants : mapping of str to Parameters
        By label (:func:`speq.variants.ablation`).
    areas : mapping of str to Area
        What each takes.

    Returns
    -------
    dict
        By label: transistors, flip-flops, library area and longest path (None without a library),
        ``ratio`` of each of these, and by mode the peak multiply-accumulates per cycle, as they are
        and per million transistors.
    """
    reference = _sizes(areas[VERIFY_ONLY])
    figures = {}
    for label, design in variants.items():
        sizes = _sizes(areas[label])
        figures[label] = {
            "design": design.as_dict(),
            **sizes,
            "area_library": _library(areas[label], "library"),
            "ratio": {name: _quotient(value, reference[name]) for name, value in sizes.items()},
            "modes": {
                mode: {
                    "macs_per_cycle": design.peak_macs_per_cycle(mode),
                    "macs_per_cycle_per_million_transistors": round(
                        design.peak_macs_per_cycle(mode) * 1e6 / sizes["transistors"], 2
                    ),
                    "bits_per_weight": 16 // design.weights_per_word(mode),
                }
                for mode in design.modes
            },
        }
    return figures


def ablation_table(figures: Mapping[str, Mapping[str, Any]]) -> Table:
    """One row per variant: sizes with their ratios, and for each mode MACs per cycle."""
    table = Table()
    table.add_column("variant", no_wrap=True)
    for heading in ("transistors", "flip-flops", "area", "longest path, ps"):
        table.add_column(heading, justify="right")
        table.add_column("ratio", justify="right")
    table.add_column("MACs per cycle (per million transistors)")
    for label, entry in figures.items():
        cells = []
        for name in ("transistors", "flip_flops", "area", "delay_ps"):
            value, ratio = entry[name], entry["ratio"][name]
            cells.append("-" if value is None else f"{value:,.0f}")
            cells.append("-" if ratio is None else f"{ratio:.3f}")
        rates = ", ".join(
            f"{mode} {rate['macs_per_cycle']:,}"
            f" ({rate['macs_per_cycle_per_million_transistors']:,.0f})"
            for mode, rate in entry["modes"].items()
        )
        table.add_row(label, *cells, rates)
    return table


def _sizes(area: Area) -> dict[str, float | None]:
    return {
        "transistors": area.count.transistors,
        "flip_flops": area.count.flip_flops,
        "area": _library(area, "area"),
        "delay_ps": _library(area, "delay_ps"),
    }


def _library(area: Area, field: str) -> Any:
    return getattr(area.libraries[0], field) if area.libraries else None


def _quotient(value: float | None, reference: float | None) -> float | None:
    return round(value / reference, 4) if value is not None and reference else None
