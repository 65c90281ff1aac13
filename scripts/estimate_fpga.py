"""Estimate what an array takes of FPGAs of several vendors, by Yosys's mapping alone.

The Verilog is the same for all of them. No place and route: there is no clock in these figures.
(Bitstreams and clocks for boards: scripts/build_fpga.py.) Rows and PEs are mapped once and counted
as often as they are placed: 8 x 8 takes a minute per family, a small design seconds.

  python scripts/estimate_fpga.py tiny --set target=fpga --set pipeline=4
  python scripts/estimate_fpga.py hw/ulx3s.toml --against generic --family xcup --family ecp5
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from rich.table import Table

import _cli
from speq.emission import emit
from speq.parameters import FPGA, ParameterError, Parameters
from speq.pe import ProcessingElement
from speq.row import Row
from speq.synthesis.fpga import FAMILIES, KINDS, Estimate, estimate


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = _cli.parser(__doc__)
    parser.add_argument(
        "--family",
        dest="families",
        metavar="FAMILY",
        action="append",
        choices=tuple(FAMILIES),
        help=f"may be repeated; one of {', '.join(FAMILIES)} (default: all)",
    )
    parser.add_argument(
        "--against",
        metavar="TARGET",
        help=f"also the same array for another target: of {FPGA} and generic (units for standard "
        "cells) the one that DESIGN is not",
    )
    return parser.parse_args()


def run() -> None:
    """Estimate, show, write."""
    options = arguments()
    design = _cli.design_of(options)
    designs = [design]
    if options.against:
        twin = design.replace(target=options.against)
        if twin.in_dsp == design.in_dsp:
            raise ParameterError(
                f"--against is {twin.target!r}, whose units are those of target "
                f"{design.target!r}: use {'generic' if design.in_dsp else FPGA}"
            )
        designs.append(twin)
    families = list(dict.fromkeys(options.families or FAMILIES))
    found: dict[str, list[Estimate]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="speq-") as name,
        _cli.progress(len(designs) * (1 + len(families)), "emission") as step,
    ):
        for point in designs:
            step(f"{point.name} ({point.target}): emission")
            emission = emit(point, Path(name) / point.target)
            found[point.target] = []
            for family in families:
                step(f"{point.name} ({point.target}): {FAMILIES[family].title}")
                found[point.target].append(
                    estimate(emission.verilog, emission.top, family, kept=kept_of(point))
                )
    _cli.write_json(options.json, record(design, found))
    _cli.console.print(table(design, found))


def kept_of(design: Parameters) -> list[str]:
    """Names of the modules that the array has many of, with registers of their own."""
    return [f"speq_{design.name}_{unit.stem}" for unit in (Row, ProcessingElement)]


def record(design: Parameters, found: dict[str, list[Estimate]]) -> dict[str, Any]:
    """All figures as one JSON object."""
    return {
        "design": design.as_dict(),
        "mapped_once": kept_of(design),
        "targets": {
            target: {one.family: one.as_dict() for one in estimates}
            for target, estimates in found.items()
        },
    }


def table(design: Parameters, found: dict[str, list[Estimate]]) -> Table:
    """Cells by family, and by the target that the units are made for."""
    result = Table(
        title=f"Array {design.name}: cells by Yosys's mapping",
        caption="no place and route, no clock; cells are of different sizes in different families",
    )
    result.add_column("family")
    result.add_column("units", no_wrap=True)
    for kind in KINDS:
        result.add_column(kind.replace("_", "\n"), justify="right", no_wrap=True)
    for estimates in zip(*found.values(), strict=True):
        for target, one in zip(found, estimates, strict=True):
            cells = (f"{one.counts[kind]:,}" for kind in KINDS)
            result.add_row(FAMILIES[one.family].title, target, *cells)
    return result


if __name__ == "__main__":
    _cli.main(run)
