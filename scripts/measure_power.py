#!/usr/bin/env python3
"""Energy per multiply-accumulate of an array in each of its modes, by unit, on real weights.

The design is mapped to a cell library, simulated cell by cell on a real tile, and every transition
is paid for by the library's tables at the slews that OpenSTA finds. Wires, glitches and the clock's
tree are not in it (docs/power.md). Needs OpenSTA and a library that states internal power.

  python scripts/measure_power.py tiny
  python scripts/measure_power.py small --set pipeline=4 --against verify-only --plot p.png
  python scripts/measure_power.py small --mode draft --mode verify --tokens 1 --energy energy.json
"""

import argparse
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

import _cli
from speq.modes import MODES
from speq.parameters import ParameterError, Parameters
from speq.synthesis import (
    HOW_TO_GET,
    Liberty,
    LibertyError,
    Switches,
    constraint_for,
    find_known,
    open_liberty,
)
from speq.synthesis.opensta import OpenStaError, find_sta
from speq.synthesis.sdc import SdcError, read_sdc, sdc_for
from speq_sim.benches.activity import ActivityError
from speq_sim.benches.mapped import DEFAULT_ACTIVITY, map_design
from speq_sim.benches.power import default_figures, figures_of, read_tile
from speq_sim.power_plot import plot_power

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints"
TILE = ROOT / "tests/data/smollm2-135m-q-proj.safetensors"

ERRORS = (OpenStaError, ActivityError)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = _cli.parser(__doc__, default="tiny")
    parser.add_argument(
        "--liberty",
        metavar="FILE[,FILE...]",
        help="files of one Liberty library; without it an installed OSU018 is looked for",
    )
    parser.add_argument(
        "--sdc", metavar="FILE", type=Path, help="clock and limits (default: of constraints/)"
    )
    parser.add_argument(
        "--against",
        choices=("verify-only",),
        help="also measure the same array built FP16-only, in VERIFY",
    )
    parser.add_argument(
        "--mode", action="append", choices=MODES, help="may be repeated (default: all it has)"
    )
    parser.add_argument(
        "--tokens",
        action="append",
        type=int,
        metavar="M",
        help="tokens of a tile; may be repeated (default: 1, and all that the design serves)",
    )
    parser.add_argument(
        "--tile", type=Path, default=TILE, help=f"weights and activations (default: {TILE.name})"
    )
    parser.add_argument(
        "--inputs", type=int, metavar="K", help="inputs of the tile to take (default: all)"
    )
    parser.add_argument(
        "--flatten",
        action="store_true",
        help="dissolve the hierarchy before mapping, as for areas: no energies by unit then",
    )
    parser.add_argument(
        "--energy",
        metavar="PATH",
        type=Path,
        help="write pJ by mode, at the most tokens measured, as scripts/predict.py --energy reads "
        "it",
    )
    parser.add_argument("--plot", metavar="PATH", type=Path, help="draw a PNG")
    parser.add_argument(
        "--build",
        type=Path,
        default=Path("build/power"),
        help="folder for netlists, which are used again (default: %(default)s)",
    )
    options = parser.parse_args()
    options.design = options.design or "tiny"
    return options


def run() -> None:
    """Map, simulate, add up, show."""
    options = arguments()
    find_sta()
    design = _cli.design_of(options)
    library = library_of(options.liberty)
    designs = [design]
    if options.against:
        if not design.has_low_bits:
            raise ParameterError(
                f"design {design.name!r} is FP16-only already: leave out --against"
            )
        designs.append(design.verify_only())
    plans = {point.name: plan(point, options) for point in designs}
    steps = sum(3 + len(each) for each in plans.values())
    with _cli.progress(steps, "reading the tile") as step:
        measured = {
            point.name: measure(point, plans[point.name], library, options, step)
            for point in designs
        }
    figures = {
        "library": library.name,
        "tile": options.tile.name,
        "flattened": options.flatten,
        "designs": measured,
    }
    first = measured[design.name]
    energy = energy_record(design, library, first["runs"])
    _cli.write_json(options.json, figures | {"energy": energy})
    if options.energy:
        _cli.write_json(options.energy, {"energy": energy})
    if options.plot:
        plot_power(options.plot, library.name, measured)
    show(library, measured)


def library_of(files: str | None) -> Liberty:
    """The library that was named, or one that is installed."""
    library = open_liberty(files.split(",")) if files else find_known()
    if library is None:
        raise LibertyError(f"no Liberty library is installed: {HOW_TO_GET}")
    return library


def plan(design: Parameters, options: argparse.Namespace) -> list[tuple[str, int]]:
    """Modes and tokens to measure of a design."""
    modes = [mode for mode in options.mode or design.modes if mode in design.modes]
    if not modes:
        raise ParameterError(
            f"design {design.name!r} has none of the modes asked for: use {', '.join(design.modes)}"
        )
    tokens = sorted(set(options.tokens or (1, design.tokens)))
    return [(mode, count) for count in tokens for mode in modes]


def measure(
    design: Parameters,
    runs: list[tuple[str, int]],
    library: Liberty,
    options: argparse.Namespace,
    step: Any,
) -> dict[str, Any]:
    """All figures of one design."""
    path = options.sdc or sdc_for(library.name, CONSTRAINTS)
    if path is None:
        raise SdcError(f"constraints/ has no SDC file for {library.name}: give one with --sdc")
    tile = read_tile(options.tile, design, options.inputs)
    mapped = map_design(
        design,
        library,
        read_sdc(path),
        options.build / design.name / library.name.lower(),
        constraint=constraint_for(library, CONSTRAINTS),
        switches=Switches(flatten=options.flatten),
        step=step,
    )
    results = []
    for mode, tokens in runs:
        step(f"{design.name}: {mode.upper()}, {tokens} tokens")
        results.append(figures_of(mapped, tile, mode, tokens))
    return {
        "design": design.as_dict(),
        "cells": sum(mapped.gates.count(kind) for kind in mapped.gates.pins),
        "sdc": path.name,
        "clock_ns": round(1e9 * mapped.period, 4),
        "inputs": tile.words.shape[1],
        "runs": results,
        "default_activity": default_figures(mapped),
        "opensta": mapped.analysis.version,
        "paths": mapped.paths(),
    }


def energy_record(
    design: Parameters, library: Liberty, runs: list[dict[str, Any]]
) -> dict[str, Any]:
    """What the performance model reads: pJ by mode, at the most tokens measured."""
    most = max(run["tokens"] for run in runs)
    source = (
        f"measured: {design.rows} x {design.columns} PEs, pipeline {design.pipeline}, {most} "
        f"tokens a tile, cells of {library.name}, zero-delay activity on real weights; no wires, "
        f"clock tree, glitches or SRAM, leakage apart"
    )
    return {
        "name": f"{library.name.split('_')[0].lower()}-{design.name}",
        "source": source,
        "mac_pj": {run["mode"]: run["pj_per_mac"] for run in runs if run["tokens"] == most},
    }


def show(library: Liberty, measured: dict[str, dict[str, Any]]) -> None:
    """Print the tables."""
    _cli.console.print(f"Energy in {library.name}, pJ per MAC", highlight=False)
    table = Table(box=SIMPLE_HEAD, padding=0)
    for heading in ("design", "mode", "M"):
        table.add_column(heading, no_wrap=True)
    for heading in ("MACs/\ncycle", "all", "over\nVERIFY", "of it\nclock", "leak-\nage",
                    "pJ per\nword", "mW"):  # fmt: skip
        table.add_column(heading, justify="right", no_wrap=True)
    for name, figures in measured.items():
        for run in figures["runs"]:
            verify = next(
                (
                    other["pj_per_mac"]
                    for other in figures["runs"]
                    if other["mode"] == "verify" and other["tokens"] == run["tokens"]
                ),
                None,
            )
            table.add_row(
                name,
                run["mode"].upper(),
                str(run["tokens"]),
                f"{run['macs_per_cycle']:g}",
                f"{run['pj_per_mac']:.4g}",
                f"{run['pj_per_mac'] / verify:.3f}" if verify else "-",
                f"{run['parts']['clock']:.3g}",
                f"{run['leakage_pj_per_mac']:.2g}",
                f"{run['pj_per_word']:.4g}",
                f"{run['mw']:.4g}",
            )
    _cli.console.print(table)
    for name, figures in measured.items():
        path, default = figures["paths"][0], figures["default_activity"]
        _cli.console.print(
            f"{name}: longest path {path['arrival']:g} from {path['from']} to {path['to']}, "
            f"{path['cells']} cells, slack {path['slack']:g}",
            highlight=False,
            markup=False,
        )
        _cli.console.print(
            f"{name}: at an activity of {DEFAULT_ACTIVITY:g} everywhere {default['mw']:.4g} mW; "
            f"OpenSTA says {default['opensta_mw']:.4g} mW",
            highlight=False,
            markup=False,
        )


if __name__ == "__main__":
    _cli.main(run, expected=ERRORS)
