"""Measure OliVe and Tender beside our array, in the same flow and with as many multipliers.

Emits both baselines at 4 and 8 bits with the rows and columns of DESIGN, DESIGN itself and its
FP16-only twin, and synthesises them with Yosys, library-free and in a Liberty cell library. Read
docs/baselines.md for what the figures do not include.

  python scripts/synth_baselines.py small --json docs/results/baselines.json
  python scripts/synth_baselines.py tiny --flatten no
"""

import argparse
import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

import _cli
import synth_area
from speq import emission
from speq.baselines import emission as baseline_emission
from speq.baselines.parameters import PRESETS, BaselineParameters
from speq.parameters import Parameters
from speq.synthesis import Area, Job, Liberty, Switches, measure_all, runs_of

PER_PE = ("pe", "border", "decoder")
"""Modules of a baseline that are also listed alone."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """One design of the comparison.

    Parameters
    ----------
    design : Parameters or BaselineParameters
        The design point.
    macs : mapping of str to int
        Peak multiply-accumulates per cycle by mode; a baseline's only mode is named after its
        operands.
    """

    design: Parameters | BaselineParameters
    macs: Mapping[str, int]

    def emit(self, directory: Path) -> emission.Emission:
        """Write its files."""
        if isinstance(self.design, BaselineParameters):
            return baseline_emission.emit(self.design, directory)
        return emission.emit(self.design, directory)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = _cli.parser(__doc__, default="small")
    parser.add_argument(
        "--liberty",
        metavar="FILE[,FILE...]",
        action="append",
        default=[],
        help="Liberty library (.lib or .lib.gz), in one or more files; may be repeated. Without it "
        "an installed OSU018 or Nangate45 is looked for",
    )
    parser.add_argument(
        "--constr",
        metavar="FILE",
        type=Path,
        help="driving cell and load for ABC; by default the fitting file of constraints/, if any",
    )
    parser.add_argument("--booth", action="store_true", help="Booth-encoded multipliers")
    parser.add_argument(
        "--flatten",
        choices=("yes", "no"),
        default="yes",
        help="whether the headline dissolves the hierarchy (default: yes)",
    )
    return parser.parse_args()


def run() -> None:
    """Measure, show, write."""
    options = arguments()
    options.design = options.design or "small"
    design = _cli.design_of(options)
    compared = entries(design)
    libraries = synth_area.find_libraries(options)
    switches = Switches(options.flatten == "yes", options.booth)
    with tempfile.TemporaryDirectory(prefix="speq-") as name:
        jobs = [job_for(entry, Path(name), switches, libraries) for entry in compared]
        with _cli.progress(runs_of(jobs), "synthesis") as step:
            areas = measure_all(jobs, progress=step)
    figures = summary(compared, areas)
    _cli.write_json(options.json, figures)
    synth_area.print_table(f"Area ({switches}; Yosys {areas[0].yosys})", table(figures))
    synth_area.print_table("One PE and its share of the borders (hierarchy kept)", shares(figures))


def entries(design: Parameters) -> list[Entry]:
    """The FP16-only twin, the design, and all baselines of its rows and columns."""
    ours = [design] if not design.has_low_bits else [design.verify_only(), design]
    result = [
        Entry(point, {mode: point.peak_macs_per_cycle(mode) for mode in point.modes})
        for point in ours
    ]
    for preset in PRESETS.values():
        baseline = preset.replace(rows=design.rows, columns=design.columns)
        operands = f"int{baseline.bits}"
        result.append(Entry(baseline, {operands: baseline.peak_macs_per_cycle}))
    return result


def job_for(
    entry: Entry,
    directory: Path,
    switches: Switches,
    libraries: Sequence[tuple[Liberty, Path | None]],
) -> Job:
    """Emit a design and say what to measure of it: parts of the baselines only."""
    emitted = entry.emit(directory / entry.design.name)
    parts = isinstance(entry.design, BaselineParameters)
    return Job(emitted.verilog, emitted.top, switches, libraries, parts=parts)


def summary(compared: Sequence[Entry], areas: Sequence[Area]) -> dict[str, Any]:
    """All figures as one JSON object."""
    designs = []
    for entry, area in zip(compared, areas, strict=True):
        record: dict[str, Any] = {
            "design": entry.design.as_dict(),
            "baseline": isinstance(entry.design, BaselineParameters),
            "macs_per_cycle": dict(entry.macs),
            "transistors_per_mac_per_cycle": {
                mode: round(area.count.transistors / macs, 1) for mode, macs in entry.macs.items()
            },
            **area.as_dict(),
        }
        first = area.libraries[0] if area.libraries else None
        record["delay_ps"] = first.delay_ps if first else None
        record["area_per_mac_per_cycle"] = {
            mode: round(first.area / macs, 1) if first else None
            for mode, macs in entry.macs.items()
        }
        if record["baseline"]:
            record["per_pe"] = per_pe(entry.design, area)
        designs.append(record)
    return {"designs": designs}


def per_pe(design: BaselineParameters, area: Area) -> dict[str, float]:
    """Transistors of one PE, one border, one decoder, and of a PE with its share of R + C borders.

    From the run that keeps the hierarchy; zero where a baseline has no such module.
    """
    prefix = f"speq_{design.name}_"
    one = {part.module.removeprefix(prefix): part.inclusive.transistors for part in area.parts}
    figures: dict[str, float] = {module: one.get(module, 0) for module in PER_PE}
    borders = (design.rows + design.columns) / design.multipliers
    figures["pe_with_share"] = round(figures["pe"] + borders * figures["border"], 1)
    figures["decoders_of_pe"] = round(borders * figures["decoder"] / figures["pe_with_share"], 4)
    return figures


def table(figures: Mapping[str, Any]) -> Table:
    """One row per design and mode."""
    library = figures["designs"][0]["area_library"]
    result = Table()
    result.add_column("design", no_wrap=True)
    for title in ("transistors", "flip-flops", f"area, {library}", "delay, ps"):
        result.add_column(title, justify="right")
    result.add_column("mode")
    for title in ("MACs/cycle", "transistors per MAC/cycle"):
        result.add_column(title, justify="right")
    for record in figures["designs"]:
        head = [
            record["design"]["name"],
            *(number(record[key]) for key in ("transistors", "flip_flops", "area", "delay_ps")),
        ]
        for mode, macs in record["macs_per_cycle"].items():
            result.add_row(
                *head,
                mode,
                number(macs),
                number(record["transistors_per_mac_per_cycle"][mode]),
            )
            head = [""] * len(head)
    return result


def shares(figures: Mapping[str, Any]) -> Table:
    """What a PE of each baseline takes."""
    result = Table()
    result.add_column("baseline")
    for title in ("PE", "border", "decoder in it", "PE with borders", "decoders' share"):
        result.add_column(title, justify="right")
    for record in figures["designs"]:
        if record["baseline"]:
            one = record["per_pe"]
            result.add_row(
                record["design"]["name"],
                *(number(one[key]) for key in (*PER_PE, "pe_with_share")),
                f"{one['decoders_of_pe']:.1%}",
            )
    return result


def number(value: float | None) -> str:
    """A figure for a table."""
    return "-" if value is None else f"{value:,.0f}"


if __name__ == "__main__":
    _cli.main(run)
