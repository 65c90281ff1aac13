"""Measure the area of a design with Yosys, library-free and in Liberty cell libraries.

The headline is a flattened run; a second run that keeps the hierarchy says where the area goes.
Area is over combinational and sequential cells together. Transistors are those of the NAND2, NOR2
and NOT gates and plain D flip-flops that the design is mapped to; flattening is left out above
256 PEs, where it would take too long.

  python scripts/synth_area.py small --against verify-only
  python scripts/synth_area.py small --against verify-only --set draft_lanes=1
  python scripts/synth_area.py small --set 'modes=["verify"]' --per-lane
  python scripts/synth_area.py small --ablate
  python scripts/synth_area.py small --depths --plot depths.png
"""

import argparse
import dataclasses
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

import _cli
from _ablation import ablation_figures, ablation_table
from _depths import depth_figures, depth_tables, depths
from speq.design_files import load
from speq.emission import emit
from speq.parameters import ParameterError, Parameters
from speq.synthesis import (
    HOW_TO_GET,
    PEERS,
    Area,
    Job,
    Liberty,
    LibertyError,
    Switches,
    constraint_for,
    find_known,
    measure_all,
    open_liberty,
    runs_of,
)
from speq.variants import VERIFY_ONLY, ablation
from speq_sim.depth_plot import plot_depths

CONSTRAINTS = Path(__file__).resolve().parent.parent / "constraints"

FLATTEN_LIMIT = 256
"""Most PEs of a design that is flattened by default."""


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = _cli.parser(__doc__)
    parser.add_argument(
        "--against",
        metavar="OTHER",
        help="also measure this and give ratios: verify-only (the same array built FP16-only), "
        "a design file or a preset; --set does not apply to the latter two",
    )
    parser.add_argument(
        "--unit", metavar="MODULE", help="measure one module alone, such as row, pe or multiplier"
    )
    parser.add_argument(
        "--per-lane",
        action="store_true",
        help="measure one row and divide it by its lanes, beside published units; means "
        "--unit row --set tokens=1 (the units compared with have no storage for more), and for a "
        "design with DRAFT --against verify-only",
    )
    parser.add_argument(
        "--ablate",
        action="store_true",
        help="what each mode costs: measure the array with VERIFY alone, with DRAFT of 1 and of 4 "
        "lanes, with MIDDLE, with QSpec's two modes, and with all; not with --against, --per-lane "
        "or --unit",
    )
    parser.add_argument(
        "--depths",
        action="store_true",
        help="area and longest path of a row (or --unit) at every pipeline depth; not with "
        "--against, --per-lane or --ablate",
    )
    parser.add_argument("--plot", metavar="PATH", type=Path, help="with --depths: draw a PNG")
    parser.add_argument(
        "--liberty",
        metavar="FILE[,FILE...]",
        action="append",
        default=[],
        help="Liberty library (.lib or .lib.gz), in one or more files; may be repeated for more "
        "libraries. Without it an installed OSU018 or Nangate45 is looked for",
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
        choices=("auto", "yes", "no"),
        default="auto",
        help="whether the headline dissolves the hierarchy (auto: up to 256 PEs)",
    )
    return parser.parse_args()


def run() -> None:
    """Measure, show, write."""
    options = arguments()
    design = _cli.design_of(options)
    if options.ablate:
        ablate(options, design)
        return
    if options.depths:
        sweep_depths(options, design)
        return
    if options.per_lane:
        design = design.replace(tokens=1)
    unit = "row" if options.per_lane and options.unit is None else options.unit
    other = other_design(options, design)
    designs = [design] if other is None else [design, other]
    libraries = find_libraries(options)
    with tempfile.TemporaryDirectory(prefix="speq-") as name:
        jobs = [
            job_for(point, unit, Path(name) / str(index), options, libraries)
            for index, point in enumerate(designs)
        ]
        with _cli.progress(runs_of(jobs), "synthesis") as step:
            areas = measure_all(jobs, progress=step)
    figures = summary(designs, areas, unit, options.per_lane)
    _cli.write_json(options.json, figures)
    show(designs, areas, figures)


def ablate(options: argparse.Namespace, design: Parameters) -> None:
    """Measure the variants of a design, show, write."""
    if options.against or options.per_lane or options.unit:
        raise ParameterError(
            "--ablate measures whole arrays against the FP16-only one: leave out --against, "
            "--per-lane and --unit"
        )
    variants = ablation(design)
    areas = measured(options, variants, None)
    figures = ablation_figures(variants, areas)
    first = areas[VERIFY_ONLY]
    record = {"yosys": first.yosys, "switches": dataclasses.asdict(first.switches)}
    _cli.write_json(options.json, record | {"variants": figures})
    print_table(
        f"What each mode costs ({first.switches}; Yosys {first.yosys})", ablation_table(figures)
    )


def sweep_depths(options: argparse.Namespace, design: Parameters) -> None:
    """Measure a unit at every pipeline depth, show, write, draw."""
    if options.against or options.per_lane:
        raise ParameterError(
            "--depths measures one unit against itself: leave out --against and --per-lane"
        )
    unit = options.unit or "row"
    designs = depths(design)
    areas = measured(options, designs, unit)
    figures = depth_figures(designs, areas)
    first = areas[1]
    record = {"design": design.as_dict(), "unit": unit, "yosys": first.yosys}
    record |= {"switches": dataclasses.asdict(first.switches)}
    _cli.write_json(options.json, record | {"depths": figures})
    if options.plot:
        plot_depths(options.plot, unit, figures)
    for title, table in depth_tables(figures).items():
        print_table(f"A {unit} of {design.name}, {title} ({first.switches})", table)


def measured(
    options: argparse.Namespace, designs: Mapping[Any, Parameters], unit: str | None
) -> dict[Any, Area]:
    """Areas of several designs by their labels, headline figures alone, all in one run."""
    libraries = find_libraries(options)
    with tempfile.TemporaryDirectory(prefix="speq-") as name:
        jobs = [
            dataclasses.replace(
                job_for(design, unit, Path(name) / design.name, options, libraries), parts=False
            )
            for design in designs.values()
        ]
        with _cli.progress(runs_of(jobs), "synthesis") as step:
            return dict(zip(designs, measure_all(jobs, progress=step), strict=True))


def other_design(options: argparse.Namespace, design: Parameters) -> Parameters | None:
    """The design to compare with, None for no comparison."""
    if options.against is None:
        return design.verify_only() if options.per_lane and design.has_low_bits else None
    if options.against != "verify-only":
        return load(options.against)
    if not design.has_low_bits:
        raise ParameterError(
            f"design {design.name!r} is FP16-only already: --against verify-only needs a design "
            f"with another mode"
        )
    return design.verify_only()


def find_libraries(options: argparse.Namespace) -> list[tuple[Liberty, Path | None]]:
    """The cell libraries to use, each with its constraint file."""
    libraries = [open_liberty(files.split(",")) for files in options.liberty]
    if not libraries:
        found = find_known()
        if found is None:
            _cli.error_console.print(
                f"No Liberty library is installed: library-free figures only. To get one: "
                f"{HOW_TO_GET}.",
                markup=False,
            )
        else:
            libraries.append(found)
    if options.constr is not None and not options.constr.is_file():
        raise LibertyError(f"constraint file {options.constr} does not exist: check the path")
    return [
        (library, options.constr or constraint_for(library, CONSTRAINTS)) for library in libraries
    ]


def job_for(
    design: Parameters,
    unit: str | None,
    directory: Path,
    options: argparse.Namespace,
    libraries: list[tuple[Liberty, Path | None]],
) -> Job:
    """Emit a design and say what to measure of it."""
    emission = emit(design, directory)
    top = emission.top if unit is None else find_module(emission.verilog, emission.top, unit)
    flatten = options.flatten == "yes" or (
        options.flatten == "auto" and (unit is not None or design.multipliers <= FLATTEN_LIMIT)
    )
    return Job(emission.verilog, top, Switches(flatten, options.booth), libraries)


def find_module(verilog: Path, top: str, unit: str) -> str:
    """The emitted module that a unit's short name means.

    Raises
    ------
    ParameterError
        If no module, or more than one, has that name.
    """
    pattern = re.compile(r"^module\s+\\?([^\s(;]+)", flags=re.MULTILINE)
    modules = pattern.findall(verilog.read_text(encoding="utf-8"))
    short = {module: short_name(module, top) for module in modules}
    fitting = [module for module in modules if unit in (module, short[module])]
    if len(fitting) != 1:
        raise ParameterError(
            f"--unit {unit!r} is not a module of {top}: use one of "
            f"{', '.join(sorted(short.values()))}"
        )
    return fitting[0]


def short_name(module: str, top: str) -> str:
    """A module's name without the design's prefix; the top module is the array."""
    return "array" if module == top else module.removeprefix(f"{top}_")


def summary(
    designs: list[Parameters], areas: list[Area], unit: str | None, per_lane: bool
) -> dict[str, Any]:
    """All figures as one JSON object."""
    figures: dict[str, Any] = {
        "design": designs[0].as_dict(),
        "unit": unit,
        **areas[0].as_dict(),
    }
    if len(areas) == 2:
        figures["against"] = {"design": designs[1].as_dict(), **areas[1].as_dict()}
        figures["ratio"] = ratios(*areas)
    if per_lane:
        figures["per_lane"] = [
            lane_figures(design, area) for design, area in zip(designs, areas, strict=True)
        ]
        figures["peers"] = [
            {"unit": peer.name, "combinational_transistors": peer.transistors, "does": peer.does}
            for peer in PEERS
        ]
    return figures


def ratios(area: Area, other: Area) -> dict[str, float | None]:
    """Figures of the first over figures of the second, combinational and sequential together."""
    have_library = bool(area.libraries and other.libraries)
    ours, theirs = area.count, other.count
    return {
        "transistors": quotient(ours.transistors, theirs.transistors),
        "area": quotient(area.libraries[0].area, other.libraries[0].area) if have_library else None,
        "combinational_transistors": quotient(
            ours.combinational_transistors, theirs.combinational_transistors
        ),
        "flip_flops": quotient(ours.flip_flops, theirs.flip_flops),
    }


def quotient(value: float, reference: float) -> float | None:
    """A ratio to four places, None if it does not exist."""
    return round(value / reference, 4) if reference else None


def lane_figures(design: Parameters, area: Area) -> dict[str, Any]:
    """A row's area divided by its lanes."""
    return {
        "design": design.name,
        "lanes": design.columns,
        "combinational_transistors": round(
            area.count.combinational_transistors / design.columns, 1
        ),
        "flip_flops": round(area.count.flip_flops / design.columns, 2),
        "transistors": round(area.count.transistors / design.columns, 1),
    }


def show(designs: list[Parameters], areas: list[Area], figures: dict[str, Any]) -> None:
    """Print the tables."""
    print_table(
        f"Area ({areas[0].switches}; Yosys {areas[0].yosys})",
        headline_table(designs, areas, figures.get("ratio")),
    )
    if areas[0].parts:
        print_table("Transistors by module (hierarchy kept)", parts_table(designs, areas))
    if "per_lane" in figures:
        print_table("Combinational transistors per lane", lane_table(figures["per_lane"]))


def print_table(title: str, table: Table) -> None:
    """Print a table under its title."""
    _cli.console.print(f"\n[bold]{title}[/bold]")
    _cli.console.print(table)


def headline_table(
    designs: list[Parameters], areas: list[Area], ratio: dict[str, float | None] | None
) -> Table:
    """Transistors, flip-flops, library areas and their ratios."""
    table = Table()
    table.add_column("")
    for design, area in zip(designs, areas, strict=True):
        table.add_column(
            design.name if area.top == f"speq_{design.name}" else area.top, justify="right"
        )
    if ratio:
        table.add_column("ratio", justify="right")

    def row(label: str, values: list[float | None]) -> None:
        cells = ["-" if value is None else f"{value:,.0f}" for value in values]
        if ratio:
            known = None not in values
            value = quotient(*values) if known else None
            cells.append("-" if value is None else f"{value:.3f}")
        table.add_row(label, *cells)

    row("transistors", [area.count.transistors for area in areas])
    row("  of gates", [area.count.combinational_transistors for area in areas])
    row("  of flip-flops", [area.count.flip_flop_transistors for area in areas])
    row("flip-flops", [area.count.flip_flops for area in areas])
    for index, library in enumerate(areas[0].libraries):
        row(f"area, {library.library}", [area.libraries[index].area for area in areas])
        row(
            "  of flip-flops",
            [area.libraries[index].sequential_area for area in areas],
        )
        if library.delay_ps is not None:
            row("  longest path, ps", [area.libraries[index].delay_ps for area in areas])
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


if __name__ == "__main__":
    _cli.main(run)
