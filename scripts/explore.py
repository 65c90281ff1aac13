"""Which design is the fastest for its area? Predict all legal points of a space of designs.

Each point is a shape of the array, units that share a memory, and a method. Prints the Pareto set
(area against tokens per second) and the best design within an area. Area is that of the logic, in
transistors (~: extrapolated from smaller parts); on-chip memories are counted in bits beside it.
Methods that give the tokens of the FP16 model and those of its INT4 copy are compared apart.

  python scripts/explore.py --model llama-2-7b --memory lpddr5 --acceptance 0.9
  python scripts/explore.py --model llama-2-7b --memory lpddr5 --area-budget 2e7 \\
      --resume explored.jsonl --plot pareto.png --write-design hw/best.toml
"""

import argparse
import functools
from pathlib import Path

import _cli
from _explore import (
    CLOSE,
    best_of,
    by_method,
    clock,
    conditions_of,
    grouped,
    integers,
    labelled,
    mode_sets,
    nearly,
    show,
    space_of,
    words,
    write_design,
)
from _performance import add_model_options
from _workers import add_worker_options, workers_of
from speq.modes import MODES
from speq_sim.exploration_plot import plot_exploration
from speq_sim.parallel import WorkerError, map_batches
from speq_sim.performance.design_space import METHOD_MODES, Point, Space
from speq_sim.performance.dram_presets import DRAMS
from speq_sim.performance.exploration import Conditions, Result, evaluate
from speq_sim.performance.exploration_file import ExplorationFile
from speq_sim.performance.pareto import pareto_front, thinned

BATCH = 100
"""Points that a worker is given at a time; as many of each are lost by an interruption."""


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = _cli.parser(__doc__, design=False)
    add_model_options(parser)
    add = parser.add_argument
    default = {field: ",".join(map(str, getattr(Space, field))) for field in _LISTS}
    add("--memory", type=words, default=("lpddr5",), metavar="NAME[,...]",
        help=f"{', '.join(DRAMS)}, or ideal:GB/s (lpddr5)")  # fmt: skip
    add("--methods", type=words, metavar="NAME[,...]",
        help=f"of {', '.join(METHOD_MODES)} ({','.join(Space.methods)})")  # fmt: skip
    for field, what in _LISTS.items():
        add(f"--{field.replace('_', '-')}", type=integers, metavar="N[,...]",
            help=f"{what} ({default[field]})")  # fmt: skip
    add("--modes", type=mode_sets, metavar="MODE+MODE[,...]",
        help=f"sets of {', '.join(MODES)}, or all (those that each method needs)")  # fmt: skip
    add("--clock", type=clock, default=500.0, metavar="MHZ|COLUMNS=MHZ[,...]",
        help="of all designs, or by columns (%(default)s)")  # fmt: skip
    add("--vector-lanes", type=int, metavar="N",
        help="elementwise operations per cycle (C of each unit)")  # fmt: skip
    add("--energy", type=Path, metavar="FILE",
        help="JSON of pJ per MAC by mode (default: public figures)")  # fmt: skip
    add("--area-budget", type=_positive, metavar="TRANSISTORS", help="of the best design (any)")
    add("--resume", type=Path, metavar="FILE",
        help="JSON lines: results that are there are kept, new ones appended")  # fmt: skip
    add("--plot", type=Path, metavar="PATH", help="also draw a PNG")
    add("--write-design", type=Path, metavar="PATH", help="write the best as a design file (.toml)")
    add_worker_options(parser, default="one for each core")
    return parser.parse_args()


_LISTS = {
    "rows": "R",
    "columns": "C",
    "port_words": "W",
    "tokens": "M, tokens of a tile",
    "draft_lanes": "of a PE",
    "units": "accelerators on the memory",
}


def _positive(text: str) -> float:
    number = float(text)
    if not number > 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def run() -> None:
    """Predict, write, show."""
    options = arguments()
    conditions, space = conditions_of(options), space_of(options)
    config = conditions.setting.config
    points, refused = space.points(config)
    if not points:
        causes = ", ".join(refused) or "none was given"
        raise ValueError(f"no combination is a legal design (because of {causes}): widen the space")
    results = explore(options, conditions, points)
    budget = options.area_budget
    fronts = {group: pareto_front(each) for group, each in grouped(results).items()}
    best = best_of(results, budget)
    close = nearly(results, best)
    bests = {label: best_of(each, budget) for label, each in by_method(results).items()}
    _cli.write_json(
        options.json,
        {
            "model": options.model,
            "conditions": conditions.as_dict(),
            "points": len(points),
            "illegal": sum(refused.values()),
            "illegal_by_cause": dict(refused),
            "area_budget": budget,
            "best": best and best.as_dict(),
            "smallest_within_1_percent": close and close.as_dict(),
            "best_by_method": {label: each and each.as_dict() for label, each in bests.items()},
            "pareto": {group: [each.as_dict() for each in fronts[group]] for group in fronts},
        },
    )
    causes = ", ".join(f"{count:,} by {cause}" for cause, count in refused.items())
    _cli.console.print(
        f"{len(points):,} designs; combinations that are none: {causes or 'no'}",
        highlight=False,
        soft_wrap=True,
    )
    for group, front in fronts.items():
        shown = thinned(front, CLOSE)
        few = "" if len(shown) == len(front) else f" ({len(shown)} of {len(front)}: steps of 1 %)"
        show(f"Pareto set: {group}{few}", shown)
    within = "" if budget is None else f" within {budget:,.0f} transistors"
    show(f"Best of each method{within}", [each for each in bests.values() if each])
    if options.plot:
        title = f"{options.model}, {', '.join(space.memories)}"
        lines = labelled(by_method(results))
        plot_exploration(options.plot, lines, title=title, budget=budget, best=best)
    if best is None:
        least = min(each.figures.transistors for each in results)
        raise ValueError(
            f"no design has{within.removeprefix(' within')} or fewer: the smallest takes {least:,}"
        )
    _say("Best", best)
    if close is not best:
        _say("Smallest within 1 % of it", close)
    if options.write_design:
        about = {
            "Best by": _cli.command_line(),
            "For": f"{best.point.units} of these on {best.point.memory}, {best.point.method}",
        }
        write_design(options.write_design, best, config, about)


def _say(what: str, result: Result) -> None:
    figures = result.figures
    _cli.console.print(
        f"{what}: {result.point.key}, {figures.tokens_per_second:.4g} tokens per s, "
        f"{figures.transistors / 1e6:.2f} million transistors",
        highlight=False,
        soft_wrap=True,
    )


def explore(
    options: argparse.Namespace, conditions: Conditions, points: list[Point]
) -> list[Result]:
    """Results of all points in their order, those that the file has not from the workers."""
    file = ExplorationFile(options.resume, conditions)
    missing = [point for point in points if point.key not in file.results]
    batches = [missing[at : at + BATCH] for at in range(0, len(missing), BATCH)]
    if batches:
        with (
            workers_of(options, None) as client,
            _cli.progress(len(batches), "workers") as step,
        ):
            task = functools.partial(evaluate, conditions)

            def say(batch: list[Point]) -> None:
                step(f"{len(missing):,} designs: {batch[0].key}")

            for _, found in map_batches(client, task, batches, say):
                file.add(found)
    return [file.results[point.key] for point in points]


if __name__ == "__main__":
    _cli.main(run, expected=(WorkerError,))
