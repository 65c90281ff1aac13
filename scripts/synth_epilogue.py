"""Measure the area and the longest path of the epilogue: a lane, and the block with its memories.

Each is flattened and synthesised as scripts/synth_area.py does it. Memories are flip-flops here:
two sets of R row scales and M token scales and, with groups, M * R sums, of 32 bits each. With
--array it is the array by itself, and with the epilogue behind it, whose queue has M * R more.

  python scripts/synth_epilogue.py small
  python scripts/synth_epilogue.py small --lanes 2 4 --format fp32 --json PATH
  python scripts/synth_epilogue.py small --array --lanes 1
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from rich.table import Table

import _cli
from speq.array import Array
from speq.block import Block, module_name
from speq.emission import design_rtlil
from speq.epilogue.checks import check_lanes
from speq.epilogue.epilogue import LATENCY, Epilogue
from speq.parameters import RESULT_FORMATS, Parameters
from speq.scaled_array import ScaledArray
from speq.synthesis import Job, Liberty, Switches, measure
from speq.yosys import verilog_from_rtlil
from synth_area import find_libraries


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = _cli.parser(__doc__)
    parser.add_argument(
        "--lanes",
        metavar="E",
        type=int,
        nargs="+",
        default=[1, 2, 4],
        help="values per cycle, divisors of the rows (default: 1 2 4)",
    )
    parser.add_argument(
        "--format", choices=RESULT_FORMATS, default="fp16", help="of the results (default: fp16)"
    )
    parser.add_argument(
        "--array",
        action="store_true",
        help="instead, the array with FP32 results by itself and with an epilogue without groups",
    )
    parser.add_argument(
        "--liberty",
        metavar="FILE[,FILE...]",
        action="append",
        default=[],
        help="Liberty library, as for synth_area.py",
    )
    parser.add_argument(
        "--constr", metavar="FILE", type=Path, help="driving cell and load, as for synth_area.py"
    )
    return parser.parse_args()


def run() -> None:
    """Measure, show, write."""
    options = arguments()
    design = _cli.design_of(options)
    for lanes in options.lanes:
        check_lanes(design, lanes)
    libraries = find_libraries(options)
    if options.array:
        units = arrays_of(design, options)
    else:
        units = [unit for groups in (False, True) for unit in units_of(design, options, groups)]
    figures: list[dict[str, Any]] = []
    with (
        tempfile.TemporaryDirectory(prefix="speq-") as folder,
        _cli.progress(len(units), "synthesis") as step,
    ):
        for facts, block in units:
            step(described(facts))
            figures.append(facts | measured(block, Path(folder) / "unit.v", libraries))
    _cli.write_json(
        options.json,
        {"design": design.as_dict(), "result_format": options.format, "units": figures},
    )
    show(figures)


def units_of(
    design: Parameters, options: argparse.Namespace, groups: bool
) -> list[tuple[dict[str, Any], Block]]:
    """What is measured, with the facts that tell it from the others: a lane, then whole blocks."""
    blocks = [Epilogue(design, lanes, groups, options.format) for lanes in options.lanes]
    common = {"groups": groups, "latency": LATENCY[groups]}
    lane = ({"unit": "lane", "lanes": 1} | common, blocks[0].lane)
    return [lane, *(({"unit": "block", "lanes": b.lanes} | common, b) for b in blocks)]


def arrays_of(
    design: Parameters, options: argparse.Namespace
) -> list[tuple[dict[str, Any], Block]]:
    """The array, then scaled ones."""
    scaled = [ScaledArray(design, lanes, False, options.format) for lanes in options.lanes]
    plain = ({"unit": "array"}, Array(design.replace(result_format="fp32")))
    facts = [
        {"unit": "scaled array", "lanes": unit.epilogue.lanes, "groups": False}
        | {"queue": unit.serialiser.queue}
        for unit in scaled
    ]
    return [plain, *zip(facts, scaled, strict=True)]


def measured(
    block: Block, path: Path, libraries: list[tuple[Liberty, Path | None]]
) -> dict[str, Any]:
    """Figures of one unit."""
    path.write_text(verilog_from_rtlil(design_rtlil(block)), encoding="utf-8")
    return measure(Job(path, module_name(block), Switches(), libraries, parts=False)).as_dict()


def described(facts: dict[str, Any]) -> str:
    """A unit in words."""
    several = facts["unit"] in ("block", "scaled array")
    unit = f"{facts['unit']}, E = {facts['lanes']}" if several else facts["unit"]
    return f"{unit}{', groups' if facts.get('groups') else ''}"


def show(figures: list[dict[str, Any]]) -> None:
    """Print the table."""
    table = Table()
    table.add_column("epilogue", no_wrap=True)
    for title in ("transistors", "of gates", "flip-flops", "area", "longest path, ps"):
        table.add_column(title, justify="right")
    for unit in figures:
        library = unit["libraries"][0] if unit["libraries"] else {"area": None, "delay_ps": None}
        counts = [unit["transistors"], unit["combinational_transistors"], unit["flip_flops"]]
        values = [*counts, library["area"], library["delay_ps"]]
        cells = ["-" if value is None else f"{value:,.0f}" for value in values]
        table.add_row(described(unit), *cells)
    _cli.console.print(table)


if __name__ == "__main__":
    _cli.main(run)
