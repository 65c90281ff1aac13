#!/usr/bin/env python3
"""Plant faults in the circuits, one at a time, and see that the bench notices each.

A fault is a change of one text in a copy of the package speq. The changed design is emitted,
compiled and played against the golden model, in both modes, with special values, mode changes and
stalls on every stream. The unchanged designs must pass first. The exit status is 1 if a fault
survives.

  python scripts/mutation_check.py
  python scripts/mutation_check.py --only sticky_dropped --only ties_away
  python scripts/mutation_check.py --list
"""

import argparse
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from rich.table import Table

import _cli
from speq_sim.proofs.mutants import MUTANTS, Mutant
from speq_sim.proofs.mutation import MutationError
from speq_sim.proofs.mutation_bench import DESIGNS, Bench, Outcome


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = _cli.parser(__doc__, design=False)
    parser.add_argument(
        "--only", metavar="NAME", action="append", help="plant only this fault; may be repeated"
    )
    parser.add_argument("--list", action="store_true", help="list the faults and stop")
    parser.add_argument("--workers", type=int, help="faults at a time (default: one per core)")
    parser.add_argument(
        "--build",
        type=Path,
        default=Path("build/mutants"),
        help="folder for copies and compiled code (default: %(default)s)",
    )
    return parser.parse_args()


def chosen(names: Sequence[str] | None) -> list[Mutant]:
    """The mutants of these names, by default all."""
    unknown = sorted(set(names or ()) - set(MUTANTS))
    if unknown:
        raise ValueError(f"there is no fault {unknown[0]!r}: --list shows them all")
    return [MUTANTS[name] for name in names or MUTANTS]


def check(mutants: Sequence[Mutant], folder: Path, workers: int) -> dict[str, Outcome]:
    """Play all mutants; outcomes by name."""
    folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(folder)
    outcomes: dict[str, Outcome] = {}
    total = len(DESIGNS) + len(mutants)
    with _cli.progress(total, "unchanged designs") as step, ThreadPoolExecutor(workers) as pool:
        try:
            prepared = {pool.submit(bench.prepare, name): name for name in DESIGNS}
            for future in as_completed(prepared):
                future.result()
                step(f"{prepared[future]}: unchanged, passes")
            running = {pool.submit(bench.run, mutant): mutant.name for mutant in mutants}
            for future in as_completed(running):
                name = running[future]
                outcomes[name] = outcome = future.result()
                step(f"{name}: {outcome.how if outcome.caught else 'SURVIVES'}")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return {mutant.name: outcomes[mutant.name] for mutant in mutants}


def show(outcomes: dict[str, Outcome]) -> None:
    """Print the table."""
    table = Table(title="Planted faults")
    for heading in ("fault", "file", "design", "noticed"):
        table.add_column(heading)
    for name, outcome in outcomes.items():
        how = outcome.how if outcome.caught else "[bold red]SURVIVES[/]"
        table.add_row(name, MUTANTS[name].file, outcome.design, how)
    _cli.console.print(table)
    caught = sum(outcome.caught for outcome in outcomes.values())
    _cli.console.print(f"{caught} of {len(outcomes)} faults noticed", highlight=False)


def figures(outcomes: dict[str, Outcome], seconds: float) -> dict[str, Any]:
    """What goes into the record."""
    survivors = [name for name, outcome in outcomes.items() if not outcome.caught]
    faults = {
        name: {
            "file": MUTANTS[name].file,
            "old": MUTANTS[name].old,
            "new": MUTANTS[name].new,
            "caught": outcome.caught,
            "design": outcome.design,
            "how": outcome.how,
        }
        for name, outcome in outcomes.items()
    }
    return {
        "planted": len(outcomes),
        "caught": len(outcomes) - len(survivors),
        "survivors": survivors,
        "seconds": round(seconds, 1),
        "faults": faults,
    }


def run() -> int:
    """Plant, play, show, write."""
    options = arguments()
    mutants = chosen(options.only)
    if options.list:
        for mutant in mutants:
            _cli.console.print(
                f"{mutant.name}: {mutant.file}: {mutant.old} -> {mutant.new}",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
        return 0
    begun = time.perf_counter()
    workers = options.workers or len(os.sched_getaffinity(0))
    outcomes = check(mutants, options.build, workers)
    show(outcomes)
    record = figures(outcomes, time.perf_counter() - begun)
    _cli.write_json(options.json, record)
    return 1 if record["survivors"] else 0


if __name__ == "__main__":
    _cli.main(run, expected=(MutationError,))
