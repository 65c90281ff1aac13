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
  python scripts/synth_area.py small --unit row --set pipeline=4 --sdc --script speed
  python scripts/synth_area.py small --booth both
  python scripts/synth_area.py --verilog mine.v --top mine --parameter WIDTH=16
"""

import argparse
import dataclasses
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import _cli
from _ablation import ablation_figures, ablation_table
from _depths import depth_figures, depth_tables, depths
from _synth_foreign import both, measure_foreign
from _synth_options import CONSTRAINTS, arguments, clocks, find_libraries, switches_of
from _synth_tables import print_table, quotient, short_name, show
from speq.design_files import load
from speq.emission import emit
from speq.parameters import ParameterError, Parameters
from speq.synthesis import PEERS, Area, Job, Liberty, measure_all, runs_of
from speq.variants import VERIFY_ONLY, ablation
from speq_sim.depth_plot import plot_depths

__all__ = ["CONSTRAINTS", "find_libraries", "print_table", "run", "show", "summary"]

FLATTEN_LIMIT = 256
"""Most PEs of a design that is flattened by default."""


def run() -> None:
    """Measure, show, write."""
    options = arguments(__doc__)
    if options.verilog:
        measure_foreign(options)
        return
    if options.design is None:
        raise ParameterError("nothing to measure: name a DESIGN, or files with --verilog and --top")
    design = _cli.design_of(options)
    if options.booth == "both":
        compare_multipliers(options, design)
        return
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


def compare_multipliers(options: argparse.Namespace, design: Parameters) -> None:
    """Measure a design with Yosys's default multipliers and with Booth's, show, write."""
    if options.against or options.per_lane or options.ablate or options.depths:
        raise ParameterError(
            "--booth both measures one design: leave out --against, --per-lane, --ablate, --depths"
        )
    libraries = find_libraries(options)
    with tempfile.TemporaryDirectory(prefix="speq-") as name:
        job = job_for(design, options.unit, Path(name) / design.name, options, libraries)
        both(options, job, {"design": design.as_dict(), "unit": options.unit})


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
    return Job(
        emission.verilog,
        top,
        switches_of(options, flatten=flatten),
        libraries,
        clocks=clocks(options, libraries),
    )


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


if __name__ == "__main__":
    _cli.main(run)
