"""What our model gives for the headlines of three papers, for our own acceptances, and at scale.

What a paper does not say is swept: the answer is a band. One command makes all numbers of
docs/reproduction.md and docs/scale.md, their tables and pictures.

  python scripts/reproduce.py
  python scripts/reproduce.py --json docs/results/reproduction.json --plots docs/images --docs docs
  python scripts/reproduce.py --only scale --only qspec
"""

import argparse
import json
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

import _cli
from speq_sim.performance.reproduction.parts import PARTS, Records
from speq_sim.performance.reproduction.plots import (
    plot_bytes,
    plot_drafts,
    plot_roofline,
    plot_speedups,
)
from speq_sim.performance.reproduction.published import SPEQ
from speq_sim.performance.reproduction.scale_plots import plot_batching, plot_tensor
from speq_sim.performance.reproduction.tables import fill, headline_rows

RESULTS = Path(__file__).resolve().parent.parent / "docs/results"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = _cli.parser(__doc__, design=False)
    add = parser.add_argument
    add("--only", action="append", choices=tuple(PARTS), help="may be repeated; default: all")
    add("--records", type=Path, default=RESULTS, metavar="FOLDER",
        help="our measurements (default: docs/results)")  # fmt: skip
    add("--plots", type=Path, metavar="FOLDER", help="also draw the PNGs of the parts that ran")
    add("--docs", type=Path, metavar="FOLDER",
        help="also write the tables of its reproduction.md and scale.md (all parts)")  # fmt: skip
    options = parser.parse_args()
    if options.docs and options.only:
        parser.error("--docs needs all parts: leave --only out")
    return options


def run() -> None:
    """Compute, write, draw, show."""
    options = arguments()
    records = Records.of(options.records)
    chosen = [name for name in PARTS if not options.only or name in options.only]
    figures: dict[str, Any] = {}
    with _cli.progress(len(chosen)) as step:
        for name in chosen:
            step(name)
            figures[name] = PARTS[name](records)
    # What is drawn and printed is what a reader of the file has.
    figures = json.loads(json.dumps(rounded(figures)))
    _cli.write_json(options.json, figures)
    if options.plots:
        draw(options.plots, figures)
    if options.docs:
        for name in ("reproduction.md", "scale.md"):
            page = options.docs / name
            _cli.write_text(page, fill(page.read_text(encoding="utf-8"), figures))
    show(figures)


def rounded(figures: Any) -> Any:
    """The same with floats of six digits, which are more than any of them is good for."""
    if isinstance(figures, dict):
        return {name: rounded(each) for name, each in figures.items()}
    if isinstance(figures, list | tuple):
        return [rounded(each) for each in figures]
    return float(f"{figures:.6g}") if isinstance(figures, float) else figures


def draw(folder: Path, figures: dict[str, Any]) -> None:
    """The pictures of the parts that there are."""
    if "pictures" in figures:
        rows = figures["pictures"]
        plot_speedups(folder / "speedups.png", rows["speedups"], SPEQ.value)
        plot_drafts(
            folder / "draft-lengths.png", rows["by_length"], rows["by_acceptance"], SPEQ.value
        )
        plot_bytes(folder / "bytes-per-token.png", rows["bytes"])
        plot_roofline(folder / "roofline.png", rows["roofline"])
    if "scale" in figures:
        plot_batching(folder / "scale-batch.png", figures["scale"]["batching"]["llama-3-8b"])
        plot_tensor(folder / "scale-devices.png", figures["scale"]["tensor"]["1"])


def show(figures: dict[str, Any]) -> None:
    """Print the headlines beside our bands, and where speculation stops paying."""
    rows = headline_rows(figures)
    if rows:
        table = Table(box=SIMPLE_HEAD)
        for heading in ("headline", "where", "reported", "our band", "within"):
            table.add_column(heading, justify="right" if heading in ("reported",) else "left")
        for row in rows:
            table.add_row(*row)
        _cli.console.print(table)
    for model, by_machine in figures.get("scale", {}).get("stops_paying_at", {}).items():
        for machine, batch in by_machine.items():
            _cli.console.print(
                f"{model} on {machine}: speculation stops paying at "
                + (f"{batch} sequences" if batch else "none of the batches"),
                highlight=False,
            )


if __name__ == "__main__":
    _cli.main(run)
