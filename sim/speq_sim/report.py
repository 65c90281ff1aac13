"""Write what simulation and synthesis found as a Markdown report with a plot of area by part.

Takes the figures as the plain dictionaries that the scripts also write as JSON, so that a report
can be made again from files.
"""

import dataclasses
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from speq.modes import MODES
from speq_sim.area_plot import area_by_part, areas_of, label, plot_area

__all__ = ["PLOT_NAME", "REPORT_NAME", "Report", "write_report"]

REPORT_NAME = "report.md"
PLOT_NAME = "area_by_part.png"

RUN_TITLES: dict[str, str] = {
    **{mode: mode.upper() for mode in MODES},
    "changing": "mode changing on every tile",
}


@dataclasses.dataclass(frozen=True)
class Report:
    """Where a report was written.

    Parameters
    ----------
    markdown : Path
        The report.
    plot : Path or None
        Its plot; None without synthesis figures.
    """

    markdown: Path
    plot: Path | None


def write_report(
    folder: Path,
    design: Mapping[str, Any],
    simulation: Mapping[str, Any] | None = None,
    synthesis: Mapping[str, Any] | None = None,
    *,
    notes: Sequence[str] = (),
) -> Report:
    """Write ``report.md``, and ``area_by_part.png`` beside it.

    Parameters
    ----------
    folder : Path
        Where to; made if missing.
    design : mapping
        The design point, as ``Parameters.as_dict()``.
    simulation : mapping, optional
        Figures of ``speq_sim.benches.real_tile.simulate``.
    synthesis : mapping, optional
        Figures of ``scripts/synth_area.py``, with or without ``against`` and ``ratio``.
    notes : sequence of str
        Paragraphs to put under the title, such as the origin of the weights.

    Returns
    -------
    Report
        The paths.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plot = None
    if synthesis is not None and synthesis.get("parts"):
        plot = plot_area(synthesis, folder / PLOT_NAME)
    sections = [f"# Design `{design['name']}`", *notes, _design_section(design)]
    if simulation is not None:
        sections.append(_simulation_section(simulation))
    if synthesis is not None:
        sections.append(_area_section(synthesis))
        if plot is not None:
            sections.append(_parts_section(synthesis, plot))
    markdown = folder / REPORT_NAME
    _replace(markdown, ("\n\n".join(sections) + "\n").encode())
    return Report(markdown, plot)


def _design_section(design: Mapping[str, Any]) -> str:
    drafting = {"draft", "qdraft"} & set(design["modes"])
    packed = {"draft", "middle"} & set(design["modes"])
    rows = [
        ("array", f"{design['rows']} rows x {design['columns']} columns"),
        ("modes", ", ".join(mode.upper() for mode in design["modes"])),
        ("draft lanes per PE", design["draft_lanes"] if drafting else "none"),
        ("draft activations", design["draft_activations"] if drafting else "none"),
        ("memory port", f"{design['port_words']} words of 16 bits per cycle"),
        ("tokens per tile", f"at most {design['tokens']}"),
        ("code tables", design["family"] if packed else "none"),
        ("results", design["result_format"].upper()),
        ("clock aimed at", f"{design['clock_mhz']:g} MHz"),
    ]
    return _table(("", ""), rows)


def _simulation_section(simulation: Mapping[str, Any]) -> str:
    tile = simulation["tile"]
    exact = "Every result has the bits of the golden model."
    if not simulation["bit_exact"]:
        exact = f"**Results differ from the golden model:** {simulation.get('error')}"
    lines = [
        "## Simulation",
        f"The emitted Verilog on a real weight tile of {tile['rows']} rows x {tile['columns']} "
        f"inputs and {tile['tokens']} tokens, in {simulation.get('simulator', 'a simulator')}. "
        f"{exact}",
    ]
    rows = []
    for name, run in simulation["runs"].items():
        cells = [RUN_TITLES.get(name, name), "yes" if run["bit_exact"] else "**no**"]
        cells += [
            f"{run[key]:,}" if key in run else "-"
            for key in ("tiles", "results", "macs", "cycles", "macs_per_cycle")
        ]
        cells.append(f"{run['peak_macs_per_cycle']:,}" if "peak_macs_per_cycle" in run else "-")
        rows.append(cells)
    header = ("run", "bit-exact", "tiles", "results", "MACs", "cycles", "MACs/cycle", "peak")
    lines.append(_table(header, rows, numbers=2))
    lines.append(
        "Cycles are counted in simulation, from the first beat of activations to the last; "
        "MACs leave out padding. *Peak* is all PEs busy in every cycle."
    )
    return "\n\n".join(lines)


def _area_section(synthesis: Mapping[str, Any]) -> str:
    areas = areas_of(synthesis)
    ratio = synthesis.get("ratio")
    rows = []

    def row(title: str, key: str, ratio_key: str | None = None) -> None:
        cells = [title, *(_number(area.get(key)) for area in areas)]
        if ratio is not None:
            value = ratio.get(ratio_key or key)
            cells.append("-" if value is None else f"{value:.3f}")
        rows.append(cells)

    row("transistors", "transistors")
    row("of them in gates", "combinational_transistors")
    row("flip-flops", "flip_flops")
    if synthesis.get("area_library"):
        row(f"area in {synthesis['area_library']}", "area")
    switches = synthesis["switches"]
    header = ["", *(label(area).replace("\n", " ") for area in areas)]
    return "\n\n".join(
        [
            "## Area",
            _table([*header, "ratio"] if ratio is not None else header, rows, numbers=1),
            f"Yosys {synthesis['yosys']}, "
            f"{'flattened' if switches['flatten'] else 'hierarchy kept'}, "
            f"{'Booth' if switches['booth'] else 'default'} multipliers; the same flow and "
            f"switches for every column. Transistors: NAND2 and NOR2 4, NOT 2, flip-flop "
            f"{synthesis['transistors_per_flip_flop']}, "
            f"{synthesis['transistors_per_enable']} more with an enable. Synthesis estimates: no "
            f"wires, no placement.",
        ]
    )


def _parts_section(synthesis: Mapping[str, Any], plot: Path) -> str:
    areas = areas_of(synthesis)
    bars = [area_by_part(area) for area in areas]
    totals = [sum(bar.values()) for bar in bars]
    rows = []
    for name in dict.fromkeys(name for bar in bars for name in bar):
        cells = [f"`{name}`"]
        for bar, total in zip(bars, totals, strict=True):
            number = bar.get(name)
            cells += ["-", "-"] if number is None else [f"{number:,}", f"{number / total:.1%}"]
        rows.append(cells)
    rows.append(
        [
            "all",
            *(cell for total in totals for cell in (f"{total:,}", f"{1:.1%}" if total else "-")),
        ]
    )
    header = ["part"]
    for area in areas:
        header += [label(area).replace("\n", " "), "share"]
    return "\n\n".join(
        [
            "## Where the area goes",
            f"![Stacked bars of transistors by part]({plot.name})",
            _table(header, rows, numbers=1),
            "Transistors of all instances of a module, without the modules inside it, from a run "
            "that keeps the hierarchy; its sum differs a little from the flattened total above.",
        ]
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]], numbers: int | None = None) -> str:
    """A Markdown table; columns from `numbers` on are aligned right."""
    first_number = len(header) if numbers is None else numbers
    rule = ["---" if index < first_number else "---:" for index in range(len(header))]
    lines = [header, rule, *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _replace(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
