"""Measure each distinct module once, for areas and longest paths that are composed of them.

Parts that the data file (--json, by default the one of the package) has are not measured again, so
a run can be broken off and taken up. With a DESIGN, its variant (modes, lanes, formats, code
tables, pipeline) is added to the file. The flow is that of scripts/synth_area.py, the library
OSU018.

  python scripts/measure_parts.py
  python scripts/measure_parts.py small --set draft_activations=bfp8
  python scripts/measure_parts.py --delays
  python scripts/measure_parts.py small --delays --set pipeline=3
  python scripts/measure_parts.py --check --json docs/results/area-composed.json
"""

import argparse
import copy
import json
import re
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from amaranth.hdl import UnusedElaboratable
from rich.table import Column, Table

import _cli
from _delays import delay_designs, delay_jobs
from _parts import ROW_COLUMNS, baseline_tasks, plan, rows_of, variants
from _parts_check import checks, large, row_checks
from _parts_synthesis import Library, flat_row, measure_task
from speq.parameters import Parameters
from speq.synthesis import LibertyError, constraint_for, find_known
from speq.yosys import yosys_version
from speq_sim.decoding.errors import ModelError
from speq_sim.performance.area import DATA, AreaModel
from speq_sim.performance.area_fit import FIGURES, SIZES
from speq_sim.performance.area_parts import variant_of
from speq_sim.performance.delay import DELAYS, DelayModel

CONSTRAINTS = Path(__file__).resolve().parent.parent / "constraints"

WORKERS = 2
"""Yosys processes at a time."""


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = _cli.parser(__doc__, default="a list of variants and all baselines")
    parser.add_argument(
        "--delays",
        action="store_true",
        help="measure longest paths of units (speq_sim.performance.delay), not areas of parts "
        "(speq_sim.performance.area)",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="measure nothing: compare composed areas and longest paths with the flattened ones "
        "of docs/results, and give those of arrays from 16 x 16 to 128 x 128",
    )
    return parser.parse_args()


def run() -> int:
    """Measure or check; the exit status is 1 if a composed figure is off by more than accepted."""
    options = arguments()
    if options.check:
        return check(options.json)
    chosen = [_cli.design_of(options)] if options.design else None
    liberty = find_known("osu018")
    if liberty is None:
        raise LibertyError("OSU018 is not installed: apt-get install qflow-tech-osu018")
    library = (liberty, constraint_for(liberty, CONSTRAINTS))
    if options.delays:
        path = options.json or DELAYS
        record = opened(path, liberty.name, DELAY_RECORD)
        work = delay_jobs(record, chosen or delay_designs(), library)
    else:
        path = options.json or DATA
        record = opened(path, liberty.name, AREA_RECORD)
        work = jobs(record, chosen or list(variants()), library, with_baselines=chosen is None)
    measure(path, record, work)
    return 0


def measure(path: Path, record: dict[str, Any], work: "list[Job]") -> None:
    """Do the runs that are left, and write the data file after each."""
    # Of a black box only the ports are emitted.
    warnings.simplefilter("ignore", UnusedElaboratable)
    with _cli.progress(len(work), "synthesis") as step, ThreadPoolExecutor(WORKERS) as pool:
        pending: dict[Future[Any], tuple[str, Callable[[Any], None]]] = {
            pool.submit(function): (text, store) for text, function, store in work
        }
        try:
            for done in as_completed(pending):
                text, store = pending[done]
                store(done.result())
                step(text)
                _cli.write_text(path, as_text(record))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    _cli.console.print(f"{len(work)} runs; {path.name} is complete for what was asked")


AREA_RECORD: dict[str, Any] = {
    "command": "python scripts/measure_parts.py",
    "columns": [*SIZES, *FIGURES],
    "parts": {},
    "rows": {},
    "baselines": {},
}
DELAY_RECORD: dict[str, Any] = {
    "command": "python scripts/measure_parts.py --delays",
    "columns": ["size", "picoseconds"],
    "units": {},
    "fan_out": [],
}
"""Data files without a measurement."""


def opened(path: Path, library: str, empty: dict[str, Any]) -> dict[str, Any]:
    """The data file as it is, or an empty one.

    Raises
    ------
    ModelError
        If it was made with another library or another Yosys: figures must not be mixed.
    """
    if not path.exists():
        first = {"command": empty["command"], "library": library, "yosys": yosys_version()}
        return first | copy.deepcopy(empty)
    record = json.loads(path.read_text(encoding="utf-8"))
    made = record.get("library"), record.get("yosys")
    if made != (library, yosys_version()):
        raise ModelError(
            f"{path.name} was measured with {made[0]} and Yosys {made[1]}, but here are {library} "
            f"and {yosys_version()}: install those, or name a new file with --json"
        )
    return record


Job = tuple[str, Callable[[], Any], Callable[[Any], None]]
"""What a run is called, the run, and what puts its result into the record."""


def jobs(
    record: dict[str, Any], designs: list[Parameters], library: Library, *, with_baselines: bool
) -> list[Job]:
    """The runs that are left, rows first since they take longest."""
    found: list[Job] = []
    for design in {variant_of(design): design for design in designs}.values():
        for columns in ROW_COLUMNS[:-1] if design.has_low_bits else ROW_COLUMNS:
            found += row_job(record["rows"], design, columns, library)
    tasks = [("parts", task) for task in plan(designs, record["parts"])]
    if with_baselines:
        tasks += [("baselines", task) for task in baseline_tasks(record["baselines"])]
    for group, task in tasks:

        def store(figures: dict[str, list[float]], group: str = group, task: Any = task) -> None:
            for part in task.parts:
                keys = record[group].setdefault(part.name, {})
                row = [*rows_of(task.design), *figures[part.name]]
                keys.setdefault(part.key(task.design), []).append(row)

        found.append((str(task), lambda task=task: measure_task(task, library), store))
    return found


def row_job(rows: dict[str, Any], design: Parameters, columns: int, library: Library) -> list[Job]:
    """The run of a flattened row, unless it is known."""
    variant = variant_of(design)
    if any(known == columns for known, _ in rows.get(variant, [])):
        return []
    point = design.replace(
        name="part",
        rows=8,
        columns=columns,
        port_words=columns,
        tokens=8,
        activation_values=1 << 20,
    )

    def store(ratio: float) -> None:
        rows.setdefault(variant, []).append([columns, ratio])

    return [(f"{variant}: row of {columns}", lambda: flat_row(point, library), store)]


def as_text(record: dict[str, Any]) -> str:
    """JSON with a line for each measurement."""

    def one_line(found: re.Match[str]) -> str:
        return "[" + ", ".join(item.strip() for item in found.group(1).split(",")) + "]"

    return re.sub(r"\[([^\[\]]*)\]", one_line, json.dumps(record, indent=1, sort_keys=False)) + "\n"


def check(path: Path | None) -> int:
    """Compare with flattened runs, give areas and longest paths of large arrays, write."""
    areas, delays = AreaModel.load(), DelayModel.load()
    compared = checks(areas, delays)
    arrays = large(areas, delays)
    rows = row_checks(delays)
    record = {"checks": compared, "rows": rows, "residuals": areas.residuals(), "arrays": arrays}
    _cli.write_json(path, record | {"picoseconds_per_doubling": round(delays.per_doubling, 1)})
    figures = ("transistors", "flip_flops", "area", "delay_ps")
    headings = ("transistors", "flip-flops", "area", "path, ps")
    table = Table("flattened run", *(cell for each in headings for cell in (each, "error")))
    for each in compared:
        cells = [each["design"]]
        for figure in figures:
            composed, error = each["composed"][figure], each["error"][figure]
            cells.append("-" if composed is None else f"{composed:,.0f}")
            cells.append("-" if error is None else f"{error:+.2%}")
        table.add_row(*cells)
    _cli.console.print(table)
    for each in rows:
        _cli.console.print(
            f"row at pipeline {each['pipeline']}: {each['delay_ps']:,} ps in {each['slowest']}, "
            f"flattened {each['flattened_ps']:,.0f} ({each['error']:+.2%})"
        )
    table = Table(
        Column("array", no_wrap=True),
        *("variant", "pipeline", "transistors", "flip-flops", "area, mm2"),
        *("path, ns", "in", "SRAM, bits"),
    )
    for each in arrays:
        cells = [each["shape"], each["variant"], str(each["pipeline"])]
        cells += [f"{each[key]:,}" if key in each else "-" for key in ("transistors", "flip_flops")]
        cells.append(f"{each['area'] / 1e6:,.1f}" if "area" in each else "-")
        cells.append(f"{each['delay_ps'] / 1000:.2f}" if "delay_ps" in each else "-")
        cells += [each.get("slowest", "-"), f"{each['sram_bits']:,}" if "area" in each else "-"]
        table.add_row(*cells)
    _cli.console.print(table)
    return int(not all(each["accepted"] for each in compared))


if __name__ == "__main__":
    _cli.main(run, expected=(ModelError, LibertyError))
