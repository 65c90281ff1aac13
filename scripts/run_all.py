"""From a design file to verified Verilog, its area and a report, on real weights.

Packs a tile of a real language model, emits the design, simulates the emitted Verilog against the
golden model in DRAFT, in VERIFY and with the mode changing from tile to tile, synthesises it beside
the same array built FP16-only, and writes build/<name>/report.md.

  python scripts/run_all.py hw/tiny.toml
  python scripts/run_all.py tiny --set draft_lanes=1 --waves
"""

import argparse
import time
from pathlib import Path
from typing import Any

import _cli
import run_sim
import synth_area
from speq.emission import Emission, emit
from speq.parameters import Parameters
from speq.synthesis import (
    Area,
    Job,
    Switches,
    constraint_for,
    find_known,
    measure_all,
    runs_of,
)
from speq_sim.benches.packed_tile import PackedTile, read
from speq_sim.benches.real_tile import simulate
from speq_sim.report import write_report


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = _cli.parser(__doc__)
    parser.add_argument("--waves", action="store_true", help="also write a waveform")
    parser.add_argument(
        "--liberty",
        action="store_true",
        help="also map to an installed cell library (takes about three times as long)",
    )
    parser.add_argument(
        "--build", type=Path, default=Path("build"), help="where to (default: %(default)s)"
    )
    return parser.parse_args()


def run() -> int:
    """Pack, emit, simulate, synthesise, report; 1 if a result differs."""
    options = arguments()
    begun = time.monotonic()
    parameters = _cli.design_of(options)
    folder = options.build / parameters.name
    with _cli.progress() as step:
        step("packing the real tile")
        tile = read(run_sim.TILE, parameters)
        step(f"emitting speq_{parameters.name}")
        emission = emit(parameters, folder)
        simulation = simulated(parameters, emission, tile, folder, options, step)
        areas = synthesised(parameters, emission, folder, options, step)
    designs = [parameters, parameters.verify_only()][: len(areas)]
    synthesis = synth_area.summary(designs, areas, unit=None, per_lane=False)
    report = write_report(
        folder,
        parameters.as_dict(),
        simulation,
        synthesis,
        notes=[f"Weights and activations: `{run_sim.TILE.name}` (origin: tests/data/README.md)."],
    )
    run_sim.show(parameters.name, simulation)
    synth_area.show(designs, areas, synthesis)
    _cli.console.print(f"\n{time.monotonic() - begun:.0f} s. Written to {folder}: ", end="")
    _cli.console.print(", ".join(sorted(path.name for path in folder.iterdir() if path.is_file())))
    _cli.write_json(
        options.json,
        {
            "design": parameters.as_dict(),
            "simulation": simulation,
            "synthesis": synthesis,
            "report": report.markdown.name,
        },
    )
    return 0 if simulation["bit_exact"] else 1


def simulated(
    parameters: Parameters,
    emission: Emission,
    tile: PackedTile,
    folder: Path,
    options: argparse.Namespace,
    step: Any,
) -> dict[str, Any]:
    """Figures of the simulation on the real tile."""
    step(f"simulating with {run_sim.describe()}")
    figures = simulate(
        parameters,
        emission.verilog,
        emission.side_car,
        tile,
        folder / "sim",
        waves=options.waves,
    )
    return {"tile_file": run_sim.TILE.name, **figures}


def synthesised(
    parameters: Parameters,
    emission: Emission,
    folder: Path,
    options: argparse.Namespace,
    step: Any,
) -> list[Area]:
    """Areas of the design and, unless it is FP16-only, of its FP16-only twin."""
    known = find_known() if options.liberty else None
    libraries = [(known, constraint_for(known, synth_area.CONSTRAINTS))] if known else []
    emissions = [emission]
    if parameters.has_low_bits:
        emissions.append(emit(parameters.verify_only(), folder / "verify_only"))
    jobs = [Job(each.verilog, each.top, Switches(), libraries) for each in emissions]
    step(f"synthesis with Yosys: {runs_of(jobs)} runs")
    return measure_all(jobs, progress=step)


if __name__ == "__main__":
    _cli.main(run, expected=run_sim.ERRORS)
