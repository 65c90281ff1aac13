"""Area and longest path against pipeline depth: one unit of a design, cut ever finer."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from speq.parameters import MAX_PIPELINE, Parameters
from speq.synthesis import Area

__all__ = ["depth_figures", "depth_tables", "depths"]


def depths(design: Parameters) -> dict[int, Parameters]:
    """The design at every depth."""
    return {
        depth: design.replace(name=f"{design.name}_pipeline_{depth}", pipeline=depth)
        for depth in range(1, MAX_PIPELINE + 1)
    }


def depth_figures(
    designs: Mapping[int, Parameters], areas: Mapping[int, Area]
) -> dict[str, dict[str, Any]]:
    """Transistors, flip-flops, and by library area and longest path, with ratios to depth 1."""
    first = areas[1]
    figures = {}
    for depth, area in areas.items():
        libraries = {
            each.library: {
                "area": each.area,
                "area_ratio": round(each.area / reference.area, 4),
                "delay_ps": each.delay_ps,
                "delay_ratio": each.delay_ps
                and reference.delay_ps
                and round(each.delay_ps / reference.delay_ps, 4),
            }
            for each, reference in zip(area.libraries, first.libraries, strict=True)
        }
        figures[str(depth)] = {
            "stages": designs[depth].stages,
            "latency": sum(designs[depth].stages.values()),
            "transistors": area.count.transistors,
            "transistors_ratio": round(area.count.transistors / first.count.transistors, 4),
            "flip_flops": area.count.flip_flops,
            "libraries": libraries,
        }
    return figures


def depth_tables(figures: Mapping[str, Mapping[str, Any]]) -> dict[str, Table]:
    """By title: a table of transistors, and one for each library; a row per depth."""
    tables = {"transistors": _table("transistors", "ratio", "flip-flops")}
    for library in figures["1"]["libraries"]:
        tables[library] = _table("area", "ratio", "longest path, ps", "ratio")
    for depth, entry in figures.items():
        first = [depth, str(entry["latency"])]
        tables["transistors"].add_row(
            *first,
            f"{entry['transistors']:,}",
            f"{entry['transistors_ratio']:.3f}",
            f"{entry['flip_flops']:,}",
        )
        for library, each in entry["libraries"].items():
            delay, ratio = each["delay_ps"], each["delay_ratio"]
            tables[library].add_row(
                *first,
                f"{each['area']:,.0f}",
                f"{each['area_ratio']:.3f}",
                "-" if delay is None else f"{delay:,.0f}",
                "-" if ratio is None else f"{ratio:.3f}",
            )
    return tables


def _table(*headings: str) -> Table:
    table = Table()
    for heading in ("pipeline", "latency", *headings):
        table.add_column(heading, justify="right")
    return table
