"""Check the formula of the accelerator's cycles against simulation of its Verilog.

Emits design points, compiles each with Verilator, and runs layers of many shapes in every mode with
few and many tokens, then jobs in a row. Prints measured and predicted cycles.

  python scripts/calibrate_cycles.py --json docs/results/cycles.json --plot docs/images/cycles.png
  python scripts/calibrate_cycles.py --design small
"""

import argparse
import dataclasses
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

import _cli
from speq.parameters import MODES, PRESETS, Parameters
from speq_sim.benches.accelerator.compiled_unit import UnitError
from speq_sim.benches.accelerator.cycle_points import CycleBench, CyclePoint
from speq_sim.benches.finding import SimulatorError
from speq_sim.cplusplus import CompilerError
from speq_sim.cycles_plot import plot_cycles
from speq_sim.host import DeviceError
from speq_sim.performance.unit_cycles import UnitCycles, chain_cycles, unit_cycles

BUILD = Path("build")

DESIGNS: dict[str, Parameters] = {
    "small": PRESETS["small"].replace(name="small_all", modes=MODES, pipeline=1),
    "edge": PRESETS["edge"].replace(name="edge_all", modes=MODES, pipeline=1),
    "lanes-1": PRESETS["small"].replace(
        name="lanes_1",
        modes=MODES,
        draft_lanes=1,
        port_words=4,
        tokens=6,
        pipeline=1,
        outstanding=2,
        burst_beats=16,
    ),
    "flat": Parameters(
        name="flat",
        rows=4,
        columns=16,
        port_words=8,
        modes=MODES,
        draft_lanes=2,
        tokens=16,
        result_format="fp16",
    ),
    "fp16-only": PRESETS["small"].replace(name="fp16_only", modes=("verify",), pipeline=1),
}
"""Two presets with all modes; one draft lane, W of C/2, short bursts, few of them; few rows, many
tokens, FP16 results; and the FP16-only baseline. All of one stage a unit: more stages are in the
baselines of cycles (speq_sim.benches.accelerator.cycle_baselines)."""

SHAPES = ((64, 64), (60, 50), (8, 300), (128, 512), (576, 576), (1536, 576))
"""N x K: one and many output tiles, whole and not, up to a layer of SmolLM2-135M."""


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = _cli.parser(__doc__, design=False)
    parser.add_argument(
        "--design", action="append", choices=DESIGNS, help="may be repeated (default: all)"
    )
    parser.add_argument("--plot", metavar="PATH", type=Path, help="also draw a PNG")
    return parser.parse_args()


def points_of(design: Parameters) -> Iterator[CyclePoint]:
    """Every shape in every mode, with one token, some, and as many as there may be."""
    for outputs, inputs in SHAPES:
        for mode in design.modes:
            for tokens in (1, design.tokens // 2, design.tokens):
                padded = -(-inputs // design.group_inputs) * design.group_inputs
                if tokens * padded <= design.activation_values:
                    yield CyclePoint(outputs, inputs, mode, tokens, plain=not design.packs)
    if design.packs:
        yield CyclePoint(60, 300, "verify", 2, plain=True)


def chains_of(design: Parameters) -> list[list[CyclePoint]]:
    """Jobs in a row: the same again, changing modes, kept activations, a packet that is late."""
    most = design.tokens
    first = CyclePoint(128, 256, "verify", most, plain=not design.packs)
    chains = [[first, first], [first, dataclasses.replace(first, keep=True)]]
    if design.packs:
        draft = CyclePoint(128, 256, "draft", 1)
        chains += [[draft, first, draft], [first, CyclePoint(16, 300, "draft", most)]]
        chains.append([dataclasses.replace(draft, mode=mode, tokens=most) for mode in design.modes])
    return [chain[: design.queue_depth] for chain in chains]


def predicted(design: Parameters, point: CyclePoint) -> UnitCycles:
    """The formula."""
    return unit_cycles(
        design,
        point.outputs,
        point.inputs,
        point.mode,
        point.tokens,
        plain=point.plain,
        keep=point.keep,
    )


def calibrated(name: str, bench: CycleBench, chain: Sequence[CyclePoint]) -> dict[str, Any]:
    """Measured and predicted cycles of a job, or of jobs in a row."""
    design = DESIGNS[name]
    measured = bench.measure(chain)
    jobs = [predicted(design, point) for point in chain]
    cycles = chain_cycles(jobs)
    figures = {
        "design": name,
        "jobs": [dataclasses.asdict(point) for point in chain],
        "measured": measured.cycles,
        "predicted": cycles,
        "error": round(cycles / measured.cycles - 1, 5),
        "bound": jobs[0].bound,
        "clock_with_host": measured.host_cycles,
    }
    counted = (sum(job.beats for job in jobs), sum(job.words for job in jobs))
    if counted != (measured.beats, measured.words):
        raise DeviceError(
            f"{figures['jobs']} moved {measured.beats} beats and {measured.words} words, but the "
            f"formula has {counted}: mend speq_sim.performance.unit_cycles"
        )
    return figures


def run() -> int:
    """Build, measure, compare, show."""
    options = arguments()
    names = list(dict.fromkeys(options.design or DESIGNS))
    points, chains = [], []
    with _cli.progress(2 * len(names)) as step, tempfile.TemporaryDirectory(prefix="speq-") as made:
        for name in names:
            step(f"{name}: emitting and compiling")
            bench = CycleBench(DESIGNS[name], Path(made), BUILD / name, "-O1")
            step(f"{name}: measuring")
            points += [calibrated(name, bench, [point]) for point in points_of(DESIGNS[name])]
            chains += [calibrated(name, bench, chain) for chain in chains_of(DESIGNS[name])]
    figures = {
        "designs": {name: DESIGNS[name].as_dict() for name in names},
        "largest_error": max(abs(point["error"]) for point in points),
        "largest_error_of_chains": max(abs(chain["error"]) for chain in chains),
        "exact_points": sum(point["measured"] == point["predicted"] for point in points),
        "points": points,
        "chains": chains,
    }
    _cli.write_json(options.json, figures)
    if options.plot:
        plot_cycles(options.plot, _by_mode(points))
    show(figures)
    return 0


def _by_mode(points: Sequence[dict[str, Any]]) -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for point in points:
        job = point["jobs"][0]
        name = "plain" if job["plain"] else job["mode"]
        found[name.upper()].append((point["measured"], point["predicted"]))
    return found


def show(figures: dict[str, Any]) -> None:
    """Print each point and chain, and the largest errors."""
    table = Table(title="cycles of the accelerator")
    for column in ("design", "layer, mode, tokens", "measured", "predicted", "error", "bound"):
        left = column in ("design", "layer, mode, tokens", "bound")
        table.add_column(column, justify="left" if left else "right")
    for entry in (*figures["points"], *figures["chains"]):
        table.add_row(
            entry["design"],
            " + ".join(_said(job) for job in entry["jobs"]),
            f"{entry['measured']:,}",
            f"{entry['predicted']:,}",
            f"{entry['error']:+.2%}",
            entry["bound"],
        )
    _cli.console.print(table)
    count = len(figures["points"])
    _cli.console.print(
        f"{count} points, {figures['exact_points']} of them exact; largest error "
        f"{figures['largest_error']:.2%}, of {len(figures['chains'])} chains of jobs "
        f"{figures['largest_error_of_chains']:.2%}."
    )


def _said(job: dict[str, Any]) -> str:
    name = "plain" if job["plain"] else job["mode"]
    return f"{job['outputs']}x{job['inputs']} {name} {job['tokens']}" + " kept" * job["keep"]


if __name__ == "__main__":
    _cli.main(run, expected=(SimulatorError, CompilerError, UnitError, DeviceError))
