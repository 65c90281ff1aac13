"""Tables of scripts/synth_area.py."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

import _cli
from speq.parameters import Parameters
from speq.synthesis import PEERS, Area

__all__ = ["headline_table", "print_table", "quotient", "short_name", "show"]


def quotient(value: float, reference: float) -> float | None:
    """A ratio to four places, None if it does not exist."""
    return round(value / reference, 4) if reference else None


def short_name(module: str, top: str) -> str:
    """A module's name without the design's prefix; the top module is the array."""
    return "array" if module == top else module.removeprefix(f"{top}_")


def show(designs: list[Parameters], areas: list[Area], figures: Mapping[str, Any]) -> None:
    """Print the tables."""
    labels = [
        design.name if area.top == f"speq_{design.name}" else area.top
        for design, area in zip(designs, areas, strict=True)
    ]
    print_table(
        f"Area ({areas[0].switches}; Yosys {areas[0].yosys})",
        headline_table(labels, areas, ratio="ratio" in figures),
    )
    for library in areas[0].libraries:
        if library.module_delays:
            print_table(
                f"Longest path by module, {library.library} (each mapped alone)",
                delay_table(library.module_delays, f"speq_{designs[0].name}"),
            )
    if areas[0].parts:
        print_table("Transistors by module (hierarchy kept)", parts_table(designs, areas))
    if "per_lane" in figures:
        print_table("Combinational transistors per lane", lane_table(figures["per_lane"]))


def print_table(title: str, table: Table) -> None:
    """Print a table under its title."""
    _cli.console.print(f"\n[bold]{title}[/bold]")
    _cli.console.print(table)


def headline_table(labels: Sequence[str], areas: Sequence[Area], *, ratio: bool) -> Table:
    """Transistors, flip-flops, and for each library area, cells, longest path; ratios of two."""
    table = Table()
    table.add_column("")
    for label in labels:
        table.add_column(label, justify="right")
    if ratio:
        table.add_column("ratio", justify="right")

    def row(label: str, values: Sequence[float | None]) -> None:
        cells = ["-" if value is None else f"{value:,.0f}" for value in values]
        if ratio:
            first, second = values
            known = first is not None and second is not None
            value = quotient(first, second) if known else None
            cells.append("-" if value is None else f"{value:.3f}")
        table.add_row(label, *cells)

    row("transistors", [area.count.transistors for area in areas])
    row("  of gates", [area.count.combinational_transistors for area in areas])
    row("  of flip-flops", [area.count.flip_flop_transistors for area in areas])
    row("flip-flops", [area.count.flip_flops for area in areas])
    for index, library in enumerate(areas[0].libraries):
        each = [area.libraries[index] for area in areas]
        row(f"area, {library.library}", [one.area for one in each])
        row("  of flip-flops", [one.sequential_area for one in each])
        for cells in dict.fromkeys(label for one in each for label in one.mix):
            row(f"  cells: {cells}", [one.mix.get(cells, 0) for one in each])
        if library.delay_ps is not None:
            row("  longest path, ps", [one.delay_ps for one in each])
            for end in ("start", "end"):
                names = [
                    f"{getattr(one.path, end)} ({getattr(one.path, f'{end}_unit')})"
                    if one.path
                    else "-"
                    for one in each
                ]
                table.add_row(f"    {end} (stage)", *names)
        if library.clock_ps is not None:
            row("  clock period, ps", [one.clock_ps for one in each])
            row("  slack, ps", [one.slack_ps for one in each])
    return table


def delay_table(delays: Mapping[str, float], top: str) -> Table:
    """Longest path of every module, longest first."""
    table = Table()
    table.add_column("module", no_wrap=True)
    table.add_column("longest path, ps", justify="right")
    for module, delay in sorted(delays.items(), key=lambda item: -item[1]):
        table.add_row(short_name(module, top), f"{delay:,.0f}")
    return table


def parts_table(designs: list[Parameters], areas: list[Area]) -> Table:
    """Transistors by module, hierarchy kept."""
    table = Table()
    table.add_column("module", no_wrap=True)
    rows: dict[str, list[str]] = {}
    for index, (design, area) in enumerate(zip(designs, areas, strict=True)):
        table.add_column("instances", justify="right")
        table.add_column(design.name, justify="right", overflow="fold")
        table.add_column("share", justify="right")
        whole = sum(part.total.transistors for part in area.parts)
        for part in area.parts:
            cells = rows.setdefault(
                short_name(part.module, f"speq_{design.name}"), [""] * 3 * len(areas)
            )
            share = part.total.transistors / whole if whole else 0.0
            cells[3 * index : 3 * index + 3] = [
                f"{part.instances:,}",
                f"{part.total.transistors:,}",
                f"{share:.1%}",
            ]
    for module, cells in rows.items():
        table.add_row(module, *cells)
    return table


def lane_table(lanes: list[dict[str, Any]]) -> Table:
    """A row per lane beside published units."""
    table = Table()
    table.add_column("unit")
    table.add_column("transistors", justify="right")
    for lane in lanes:
        table.add_row(
            f"row of {lane['design']} / {lane['lanes']} lanes",
            f"{lane['combinational_transistors']:,.0f}",
        )
    for peer in PEERS:
        table.add_row(f"{peer.name} ({peer.does})", f"{peer.transistors:,}")
    return table
