"""How busy the weight port is, by memory latency and by bursts under way; a table and a plot.

Emits the accelerator with each number of outstanding bursts, and simulates DRAFT and VERIFY of a
layer behind a memory of each latency. For choosing burst_beats and outstanding.

  python scripts/sweep_memory.py edge --plot port-busy.png --json sweep.json
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from rich.table import Table

import _accelerator
import _cli
from run_sim import TILE
from speq.accelerator.emission import emit
from speq.parameters import Parameters
from speq_sim.benches.accelerator.layer import layer_plan, real_layer
from speq_sim.benches.accelerator.plan import Memory, Plan, Round
from speq_sim.benches.accelerator.running import carry_out
from speq_sim.benches.finding import SimulatorError
from speq_sim.benches.simulators import SimulationError
from speq_sim.busy_plot import plot_busy

LATENCIES = (10, 50, 100, 200, 300, 400)
OUTSTANDING = (1, 2, 4, 8)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = _cli.parser(__doc__)
    parser.add_argument(
        "--layer", metavar="INPUTSxOUTPUTS", default="576x256", help="default: %(default)s"
    )
    parser.add_argument("--plot", metavar="PATH", type=Path, help="also draw a PNG")
    return parser.parse_args()


def swept(parameters: Parameters, plan: Plan, simulator: str | None) -> dict[str, Any]:
    """Share of busy cycles by mode and latency, of one design."""
    rounds = [
        Round(f"{_mode(round_)} {latency}", Memory(latency, latency, 64), round_.steps)
        for round_ in plan.rounds
        for latency in LATENCIES
    ]
    with tempfile.TemporaryDirectory(prefix="speq-") as name:
        files = emit(parameters, name)
        plan = Plan(plan.matrices, plan.activations, rounds)
        folder = Path(name) / "sim"
        done = carry_out(plan, files.verilog, files.side_car, folder, simulator=simulator)
    if any(done.wrong.values()):
        raise SimulationError(f"outstanding = {parameters.outstanding}: results differ")
    busy = {key: entry["words"] / entry["cycles"] for key, entry in done.measured.items()}
    return {
        mode: {str(latency): round(busy[f"{mode} {latency}"], 4) for latency in LATENCIES}
        for mode in map(_mode, plan.rounds)
    }


def _mode(round_: Round) -> str:
    """Mode of a round that has one step."""
    return round_.steps[0].mode


def run() -> int:
    """Sweep, show, draw."""
    options = arguments()
    parameters = _cli.design_of(options)
    simulator = _accelerator.default_simulator()
    layer = real_layer(*_accelerator.shape_of(options.layer), TILE)
    plan = layer_plan(parameters, layer, parameters.modes, ["ideal"])
    points: dict[str, Any] = {mode: {} for mode in parameters.modes}
    with _cli.progress(len(OUTSTANDING)) as step:
        for bursts in OUTSTANDING:
            step(f"{bursts} bursts under way")
            figures = swept(parameters.replace(outstanding=bursts), plan, simulator)
            for mode, shares in figures.items():
                points[mode][str(bursts)] = shares
    figures = {
        "design": parameters.as_dict(),
        "longest_burst": parameters.longest_burst,
        "layer": layer.origin,
        "port_busy": points,
    }
    _cli.write_json(options.json, figures)
    if options.plot:
        plot_busy(options.plot, points, parameters.longest_burst)
    show(points)
    return 0


def show(points: dict[str, Any]) -> None:
    """Print the shares."""
    for mode, by_bursts in points.items():
        table = Table(title=f"{mode}: share of cycles in which the weight port is busy")
        table.add_column("bursts under way")
        for latency in LATENCIES:
            table.add_column(f"latency {latency}", justify="right")
        for bursts, shares in by_bursts.items():
            table.add_row(bursts, *(f"{share:.1%}" for share in shares.values()))
        _cli.console.print(table)


if __name__ == "__main__":
    _cli.main(run, expected=(SimulatorError, SimulationError))
