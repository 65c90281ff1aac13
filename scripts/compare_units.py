"""Measure units of other projects beside lanes of our rows: same tool, library and switches.

LIST is a TOML file of the units, which need not lie near this project: none of their code is part
of it. Our lanes are rows of DESIGN with one accumulator, FP16-only and as they are, at two pipeline
depths, divided by their columns. Everything is measured with Yosys's default multipliers and with
Booth-encoded ones. Per [[unit]] of LIST:

  name, version, does       texts for the table: project and unit, release or commit with its date,
                            what it computes per cycle
  top, files                module and its files, relative to LIST, packages first
  include, parameters       optional: folders, and a table of the top module's parameters
  slang, synchronous_resets optional: true or false (scripts/synth_area.py explains them)

  python scripts/compare_units.py small --list units.toml --json docs/results/peers.json
"""

import argparse
import dataclasses
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

import _cli
from _synth_options import add_flow, clocks, find_libraries, switches_of
from _synth_tables import print_table
from speq.emission import emit
from speq.parameters import ParameterError, Parameters
from speq.synthesis import Area, Job, Sources, measure_all, runs_of

DEPTHS = (1, 4)
"""Pipeline depths at which our rows are measured."""

MULTIPLIERS = {"default": False, "booth": True}

_NEEDED = {"name", "version", "does", "top", "files"}
_OPTIONAL = {"include", "parameters", "slang", "synchronous_resets"}


@dataclasses.dataclass(frozen=True)
class Unit:
    """One line of the comparison.

    Parameters
    ----------
    name, version, does : str
        What it is.
    source : Path or Sources
        Its files.
    top : str
        Its top module.
    lanes : int
        Units that the module holds: figures are divided by them.
    """

    name: str
    version: str
    does: str
    source: Path | Sources
    top: str
    lanes: int = 1


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = _cli.parser(__doc__, default="small")
    parser.add_argument("--list", metavar="LIST", type=Path, required=True, help="units of others")
    add_flow(parser)
    return parser.parse_args()


def run() -> None:
    """Measure, show, write."""
    options = arguments()
    options.design = options.design or "small"
    if options.booth != "no":
        raise ParameterError("both kinds of multipliers are measured: leave out --booth")
    design = _cli.design_of(options)
    libraries = find_libraries(options)
    others = read_list(options.list)
    with tempfile.TemporaryDirectory(prefix="speq-") as name:
        units = [*our_lanes(design, Path(name)), *others]
        switches = switches_of(options, flatten=options.flatten != "no")
        jobs = [
            Job(
                unit.source,
                unit.top,
                dataclasses.replace(switches, booth=booth),
                libraries,
                parts=False,
                clocks=clocks(options, libraries),
            )
            for unit in units
            for booth in MULTIPLIERS.values()
        ]
        with _cli.progress(runs_of(jobs), "synthesis") as step:
            areas = measure_all(jobs, progress=step)
    kinds = len(MULTIPLIERS)
    entries = [
        entry(unit, dict(zip(MULTIPLIERS, areas[kinds * i : kinds * (i + 1)], strict=True)))
        for i, unit in enumerate(units)
    ]
    record = {
        "design": design.as_dict(),
        "yosys": areas[0].yosys,
        "switches": dataclasses.asdict(areas[0].switches),
        "units": entries,
    }
    _cli.write_json(options.json, record)
    for index in range(len(areas[0].libraries)):
        title = areas[0].libraries[index].library
        print_table(f"One lane or unit, {title}", table(entries, title))


def read_list(path: Path) -> list[Unit]:
    """The units of a list.

    Raises
    ------
    ValueError
        If the file is no TOML, or a unit lacks a key or has one too many.
    """
    try:
        record = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path.name} is not TOML: {error}") from None
    units = []
    for number, each in enumerate(record.get("unit", []), start=1):
        missing, unknown = _NEEDED - each.keys(), each.keys() - _NEEDED - _OPTIONAL
        if missing or unknown:
            wrong = f"lacks {sorted(missing)}" if missing else f"has unknown {sorted(unknown)}"
            raise ValueError(f"{path.name}, unit {number} {wrong}: see --help for its keys")
        sources = Sources(
            tuple(path.parent / file for file in each["files"]),
            tuple(path.parent / folder for folder in each.get("include", [])),
            {key: str(value) for key, value in each.get("parameters", {}).items()},
            slang=each.get("slang", False),
            synchronous_resets=each.get("synchronous_resets", False),
        )
        units.append(Unit(each["name"], each["version"], each["does"], sources, each["top"]))
    if not units:
        raise ValueError(f"{path.name} lists no unit: add [[unit]] with name, top, files, ...")
    return units


def our_lanes(design: Parameters, directory: Path) -> list[Unit]:
    """Rows of the design and of its FP16-only twin, at every depth of :data:`DEPTHS`."""
    kinds = {"FP16-only": design.verify_only()} if design.has_low_bits else {}
    kinds["as it is" if kinds else "FP16-only"] = design
    units = []
    for kind, point in kinds.items():
        for depth in DEPTHS:
            name = f"{point.name}_pipeline_{depth}"
            row = point.replace(name=name, tokens=1, pipeline=depth)
            emission = emit(row, directory / name)
            does = ", ".join(
                f"{row.peak_macs_per_cycle(m) // row.multipliers} {m}" for m in row.modes
            )
            units.append(
                Unit(
                    f"row of {design.name}, {kind}, pipeline = {depth}",
                    "this project",
                    f"multiply-adds per cycle: {does}; rounded once per row",
                    emission.verilog,
                    f"{emission.top}_row",
                    row.columns,
                )
            )
    return units


def entry(unit: Unit, areas: Mapping[str, Area]) -> dict[str, Any]:
    """Figures of one unit, or of one lane of a row, by kind of multipliers."""
    parameters = unit.source.parameters if isinstance(unit.source, Sources) else {}
    record: dict[str, Any] = {
        "name": unit.name,
        "version": unit.version,
        "does": unit.does,
        "parameters": dict(parameters),
        "divided_by": unit.lanes,
    }
    for multipliers, area in areas.items():
        record[multipliers] = {
            "transistors": round(area.count.transistors / unit.lanes, 1),
            "combinational_transistors": round(
                area.count.combinational_transistors / unit.lanes, 1
            ),
            "flip_flops": round(area.count.flip_flops / unit.lanes, 2),
            "libraries": {
                library.library: {
                    "area": round(library.area / unit.lanes, 2),
                    "gate_equivalents": library.gate_equivalents
                    and round(library.gate_equivalents / unit.lanes, 1),
                    "delay_ps": library.delay_ps,
                    "slack_ps": library.slack_ps,
                    "path": library.path and library.path.as_dict(),
                }
                for library in area.libraries
            },
        }
    return record


def table(entries: Sequence[Mapping[str, Any]], library: str) -> Table:
    """One row per unit."""
    result = Table()
    result.add_column("unit (per lane)", min_width=24)
    result.add_column("version", min_width=12)
    for heading in ("flip-flops", "transistors", "GE", "GE, Booth", "path, ps", "path, ps, Booth"):
        result.add_column(heading, justify="right")
    for each in entries:
        plain, booth = (each[kind]["libraries"][library] for kind in MULTIPLIERS)
        figures = [
            each["default"]["flip_flops"],
            each["default"]["transistors"],
            plain["gate_equivalents"],
            booth["gate_equivalents"],
            plain["delay_ps"],
            booth["delay_ps"],
        ]
        cells = ["-" if value is None else f"{value:,.0f}" for value in figures]
        result.add_row(each["name"], each["version"], *cells)
    return result


if __name__ == "__main__":
    _cli.main(run)
