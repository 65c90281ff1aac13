#!/usr/bin/env python3
"""Prove that the netlists of a design equal its RTL: of each unit, and of the whole array.

Each emitted module is flattened and mapped to the cells of a Liberty library by the flow that areas
are measured by. The netlist's Verilog is read back, with the functions that the Liberty file states
of its cells, and ABC proves every output and the next state of every register equal to those of the
emitted Verilog, for all inputs and all states. The exit status is 1 unless all are proved.

  python scripts/prove_netlist.py tiny
  python scripts/prove_netlist.py small --library osu018 --json netlist.json
  python scripts/prove_netlist.py small --set pipeline=4 --unit pe --unit reduce
"""

import argparse
import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any

from rich.table import Table

import _cli
from _gates import CONSTRAINTS, LIBRARY_HELP, library_of
from speq.emission import Emission, emit
from speq.parameters import ParameterError
from speq.synthesis import Liberty, Switches, constraint_for
from speq.synthesis.equivalence import EquivalenceError, prove_netlist
from speq.synthesis.netlist import map_netlist
from speq.yosys import yosys_version

VERDICTS = {"equal": "yes", "different": "[bold red]NO[/]", "open": "[bold yellow]not finished[/]"}


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = _cli.parser(__doc__)
    parser.add_argument(
        "--library",
        metavar="LIBRARY",
        help=f"Liberty library: {LIBRARY_HELP} (default: the first that is installed)",
    )
    parser.add_argument(
        "--unit",
        action="append",
        metavar="MODULE",
        help="only this module, such as pe, row or array; may be repeated (default: all)",
    )
    parser.add_argument("--booth", action="store_true", help="Booth-encoded multipliers")
    parser.add_argument(
        "--timeout",
        type=float,
        default=600,
        metavar="SECONDS",
        help="time for each step of one proof (default: %(default)s)",
    )
    return parser.parse_args()


def units(emission: Emission, wanted: list[str] | None) -> dict[str, str]:
    """Emitted modules by their short names, the array last.

    Raises
    ------
    ParameterError
        If there is none of a wanted name.
    """
    modules = json.loads(emission.side_car.read_text(encoding="utf-8"))["modules"]
    names = {
        module.removeprefix(f"{emission.top}_"): module
        for module in sorted(modules)
        if module != emission.top
    }
    names["array"] = emission.top
    for name in wanted or ():
        if name not in names:
            raise ParameterError(
                f"--unit {name!r} is not a module of {emission.top}: use one of {', '.join(names)}"
            )
    return {name: module for name, module in names.items() if wanted is None or name in wanted}


def check(
    emission: Emission, module: str, library: Liberty, options: argparse.Namespace
) -> dict[str, Any]:
    """Map a module and prove its netlist; figures as they go into the record."""
    with tempfile.TemporaryDirectory(prefix="speq-") as name:
        netlist = map_netlist(
            emission.verilog,
            module,
            library,
            Path(name),
            constraint=constraint_for(library, CONSTRAINTS),
            switches=Switches(booth=options.booth),
        )
        proof = prove_netlist(emission.verilog, netlist, Path(name), timeout=options.timeout)
    return {"module": module, "cells": sum(netlist.counts.values()), **proof.as_dict()}


def run() -> int:
    """Prove, show, write; 1 unless all is proved."""
    options = arguments()
    design = _cli.design_of(options)
    library = library_of(options.library)
    constraint = constraint_for(library, CONSTRAINTS)
    figures: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="speq-") as name:
        emission = emit(design, name)
        chosen = units(emission, options.unit)
        with _cli.progress(len(chosen), "netlists") as step:
            for unit, module in chosen.items():
                step(f"netlist of {unit}")
                figures[unit] = check(emission, module, library, options)
    proved = all(unit["verdict"] == "equal" for unit in figures.values())
    record = {
        "design": design.as_dict(),
        "library": library.name,
        "constraint": constraint.name if constraint else None,
        "switches": dataclasses.asdict(Switches(booth=options.booth)),
        "yosys": yosys_version(),
        "proved": proved,
        "units": figures,
    }
    _cli.write_json(options.json, record)
    show(f"speq_{design.name} in {library.name}", figures)
    return 0 if proved else 1


def show(title: str, figures: dict[str, dict[str, Any]]) -> None:
    """Print the table, and below it what is not proved."""
    table = Table(title=f"Netlists against RTL: {title}")
    table.add_column("unit")
    for heading in ("cells", "flip-flops", "bits compared", "proved", "seconds"):
        table.add_column(heading, justify="right")
    for unit, of_unit in figures.items():
        counts = (f"{of_unit[key]:,}" for key in ("cells", "flip_flops", "compared"))
        table.add_row(unit, *counts, VERDICTS[of_unit["verdict"]], f"{of_unit['seconds']:.1f}")
    _cli.console.print(table)
    for unit, of_unit in figures.items():
        if of_unit["verdict"] == "different":
            _cli.error_console.print(
                f"{unit}: the netlist is not the RTL; first to differ: {of_unit['difference']}",
                style="red",
                markup=False,
            )


if __name__ == "__main__":
    _cli.main(run, expected=(EquivalenceError,))
