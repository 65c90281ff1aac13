"""Estimate what an array takes of FPGAs of several vendors, by Yosys's mapping alone.

The Verilog is the same for all of them. No place and route: there is no clock in these figures.
(Bitstreams and clocks for boards: scripts/build_fpga.py.)

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
from speq.parameters import Parameters
from speq.synthesis.fpga import FAMILIES, Estimate, estimate


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
        help='also the same array for another target, such as "generic": without DSP blocks',
    )
    return parser.parse_args()


def run() -> None:
    """Estimate, show, write."""
    options = arguments()
    design = _cli.design_of(options)
    designs = [design]
    if options.against:
        designs.append(design.replace(target=options.against))
    families = list(dict.fromkeys(options.families or FAMILIES))
    found: dict[str, list[Estimate]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="speq-") as name,
        _cli.progress(len(designs) * len(families), "mapping") as step,
    ):
        for point in designs:
            emission = emit(point, Path(name) / point.target)
            found[point.target] = []
            for family in families:
                found[point.target].append(estimate(emission.verilog, emission.top, family))
                step(f"{point.name} ({point.target}): {family}")
    _cli.write_json(options.json, record(design, found))
    _cli.console.print(table(design, found))


def record(design: Parameters, found: dict[str, list[Estimate]]) -> dict[str, Any]:
    """All figures as one JSON object."""
    return {
        "design": design.as_dict(),
        "targets": {
            target: {one.family: one.as_dict() for one in estimates}
            for target, estimates in found.items()
        },
    }


def table(design: Parameters, found: dict[str, list[Estimate]]) -> Table:
    """Cells by family and target."""
    result = Table(title=f"Array {design.name}, mapped by Yosys")
    result.add_column("family")
    result.add_column("target")
    kinds = list(next(iter(found.values()))[0].counts)
    for kind in kinds:
        result.add_column(kind.replace("_", " "), justify="right")
    for target, estimates in found.items():
        for one in estimates:
            cells = (f"{one.counts[kind]:,}" for kind in kinds)
            result.add_row(FAMILIES[one.family].title, target, *cells)
    return result


if __name__ == "__main__":
    _cli.main(run)
