"""Fit a plane recipe: how many of a matrix's planes the draft pass reads, matrix by matrix.

On half of the calibration prompts, each matrix is drafted alone, at 4 and at 8 bits: what it costs
in KL. Prices of a byte from high to low then give a curve of recipes. Some of them are measured on
the other half, in the loop of speculation on the golden model, and the one with the greatest
predicted speedup is written. docs/recipes.md has the method.

  python scripts/fit_recipe.py --model stories15m --output recipe.json --plot recipes.png
  python scripts/decode.py --model stories15m --recipe recipe.json --prompt "Once upon a time"
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

import _cli
from _recipe import CHOSEN, NAMED, Fitting, figures_of, fit_recipe
from calibrate import prompts_of
from speq.formats.packed_reader import PackedReader
from speq.parameters import TABLE_NAMES
from speq_sim.decoding import (
    ModelError,
    PackedLayers,
    load_model,
    load_packed,
    load_tokenizer,
    read_prompts,
)
from speq_sim.decoding.readers import PACKAGES
from speq_sim.decoding.recipes.plot import plot_recipes


def arguments() -> argparse.Namespace:
    """Read the command line.

    Raises
    ------
    ModelError
        If a number is none.
    """
    parser = _cli.parser(__doc__, design=False)
    add = parser.add_argument
    add("--model", required=True, help=f"{', '.join(PACKAGES)}, or the path of a model")
    packing = parser.add_mutually_exclusive_group()
    packing.add_argument(
        "--codec", choices=TABLE_NAMES, default="fitted-8", help="tables (%(default)s)"
    )
    packing.add_argument("--packed", metavar="FILE", type=Path, help="packed file of this model")
    add("--output", metavar="PATH", type=Path, help="write the chosen recipe, a JSON object")
    add("--plot", metavar="PATH", type=Path, help="also draw a PNG")
    add("--prompts", metavar="FILE", type=Path,
        help="JSON lines of kind and prompt (the calibration prompts)")  # fmt: skip
    add("--activations", choices=("bfp6", "bfp8", "bfp12", "fp16"), default="bfp6",
        help="of drafts (%(default)s)")  # fmt: skip
    add("--positions", type=int, default=384, metavar="N",
        help="tokens that sensitivities are measured on, about (%(default)s)")  # fmt: skip
    add("--judged", type=int, default=768, metavar="N",
        help="tokens that recipes are measured on, about (%(default)s)")  # fmt: skip
    add("--recipes", type=int, default=10, metavar="N",
        help="recipes of the curve to measure, about (%(default)s)")  # fmt: skip
    add("--draft-length", type=int, default=4, metavar="N",
        help="of the drafts that are measured (%(default)s)")  # fmt: skip
    add("--context", type=int, default=256, metavar="N",
        help="positions in the cache, for predicted speedup (%(default)s)")  # fmt: skip
    options = parser.parse_args()
    for name in ("positions", "judged", "draft_length", "context"):
        if getattr(options, name) < 1:
            option = name.replace("_", "-")
            raise ModelError(f"--{option} {getattr(options, name)} is none: give 1 or more")
    if options.recipes < 2:
        raise ModelError(f"--recipes {options.recipes} make no curve: give 2 or more")
    return options


def fitting_of(options: argparse.Namespace, step: Any) -> tuple[Fitting, str]:
    """Read everything; also the name of the family of tables."""
    step("reading the model")
    if options.prompts:
        tokenizer = load_tokenizer(options.model)
        prompts = [tokenizer.chat(each.text) for each in read_prompts(options.prompts)]
        stop = frozenset(tokenizer.stop)
    else:
        prompts, stop, _ = prompts_of(options.model)
    codec = PackedReader(options.packed).family.name if options.packed else options.codec
    weights = load_model(options.model)
    if options.packed:
        step(f"reading {options.packed.name}")
        layers = load_packed(options.packed, weights)
    else:
        step(f"packing with {codec}")
        layers = PackedLayers.pack(weights.matrices, codec)
    fitting = Fitting(
        weights,
        layers,
        prompts,
        stop,
        options.activations,
        options.positions,
        options.judged,
        options.context,
        options.draft_length,
    )
    return fitting, codec


def show(name: str, figures: dict[str, Any]) -> None:
    """Print a table."""
    table = Table(box=SIMPLE_HEAD, padding=0, title=name)
    table.add_column("recipe", no_wrap=True)
    for heading in ("bits\nread", "accep-\ntance", "fit", "agree-\nment", "KL\nnats", "sum\nof KL",
                    "L", "speed-\nup", "at the\nfit"):  # fmt: skip
        table.add_column(heading, justify="right")
    for label, row in sorted(figures["recipes"].items(), key=lambda item: item[1]["bits"]):
        table.add_row(
            label,
            f"{row['bits']:.2f}",
            *(f"{row[key]:.3f}" for key in ("acceptance", "acceptance_fit", "agreement")),
            *(f"{row[key]:.4f}" for key in ("kl", "kl_sum")),
            str(row["length"]),
            *(f"{row[key]:.3f}" for key in ("speedup", "speedup_fit")),
        )
    _cli.console.print(table)


def run() -> None:
    """Fit, write, show.

    Raises
    ------
    ModelError
        If a draft changed a token, which would be a fault; all is written before.
    """
    options = arguments()
    name = options.model if options.model in PACKAGES else Path(options.model).stem
    start = time.perf_counter()
    with _cli.progress() as step:
        fitting, codec = fitting_of(options, step)
        fitted = fit_recipe(fitting, options.recipes, step)
    figures = {
        "model": {"name": name, "origin": fitting.weights.origin},
        "codec": codec,
        "packed": options.packed.name if options.packed else None,
        "settings": {
            "prompts": options.prompts.name if options.prompts else "calibration",
            "sensitivity_prompts": len(fitting.prompts[::2]),
            "judged_prompts": len(fitting.prompts[1::2]),
            **{key: getattr(options, key) for key in (
                "activations", "positions", "judged", "draft_length", "context",
            )},
        },
        "seconds": round(time.perf_counter() - start, 1),
        **figures_of(fitting, fitted),
    }  # fmt: skip
    _cli.write_json(options.json, figures)
    if options.output:
        _cli.write_text(options.output, json.dumps(figures["chosen"], indent=1) + "\n")
    if options.plot:
        named = (*NAMED, CHOSEN)
        recipes = [
            {**row, "name": label if label in named else None}
            for label, row in figures["recipes"].items()
        ]
        plot_recipes(options.plot, f"{name}, {codec}", recipes, figures["curve"])
    show(f"{name}, {codec}", figures)
    if not all(row["lossless"] for row in figures["recipes"].values()):
        raise ModelError("tokens differ from plain decoding: a fault")


if __name__ == "__main__":
    _cli.main(run)
