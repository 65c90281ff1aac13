"""How many drafted tokens real models accept: models x codecs x kinds of prompts.

Each codec drafts for the target, greedily and in the loop of speculation (acceptance, accepted
length, tokens per round), and is held against it at every position of the same text (agreement,
KL). Intervals are 95 %, by resampling prompts. What the JSON file holds already is not measured
again. docs/acceptance.md has the definitions.

  python scripts/measure_acceptance.py --model stories15m --codec bsfp --codec fitted-8
  python scripts/measure_acceptance.py --model smollm2-135m --codec all --json acceptance.json
  python scripts/measure_acceptance.py --model smollm2-135m --codec all --group 6 --workers 2
"""

import argparse
import gc
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

import _cli
from _acceptance import LONGEST, REFERENCE, STORY_MODELS, ModelRun, Run
from _workers import add_worker_options, workers_of
from speq_sim.decoding import ModelError
from speq_sim.decoding.evaluation import codec_names, identity
from speq_sim.decoding.evaluation.plot import plot_acceptance
from speq_sim.decoding.evaluation.record import Record
from speq_sim.decoding.evaluation.summary import ALL
from speq_sim.decoding.readers import PACKAGES
from speq_sim.parallel import WorkerError


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = _cli.parser(__doc__, design=False)
    add = parser.add_argument
    known = f"{', '.join(codec_names())}, packed:PATH, or all"
    models = ", ".join(PACKAGES)
    add("--model", action="append", required=True, help=f"{models}, or a path; may be repeated")
    add("--codec", action="append", required=True, help=f"{known}; may be repeated")
    add("--prompts", metavar="FILE", type=Path, help="JSON lines of kind and prompt (our own)")
    add("--kind", action="append", help="only prompts of this kind (all but story; of "
        f"{', '.join(STORY_MODELS)} story alone); may be repeated")  # fmt: skip
    add("--limit", type=_positive, metavar="N", help="only the first N prompts of each kind")
    add("--tokens", type=_positive, default=64, help="new tokens per prompt (%(default)s)")
    add("--policy", choices=tuple(LONGEST), default="fixed", help="of drafts (%(default)s)")
    add("--draft-length", type=_positive, help="tokens of a draft (4), or most of them (16)")
    add("--threshold", type=float, default=0.5, help="of --policy confidence (%(default)s)")
    add("--backend", choices=("golden", "fast"), default="golden", help="arithmetic (%(default)s)")
    add("--activations", choices=("bfp6", "bfp8", "bfp12", "fp16"), default="bfp6",
        help="of drafts of packed weights (%(default)s; the fast back end: fp16)")  # fmt: skip
    add("--draft-head", action="store_true", help="draft the LM head, too; else it is verified")
    add("--recipe", metavar="FILE", type=Path, help="JSON: draft, middle or verify by layer")
    add("--group", type=_positive, default=24, metavar="N",
        help="prompts that are measured together, and then written (%(default)s)")  # fmt: skip
    add("--plot", metavar="PATH", type=Path, help="also draw a PNG")
    add_worker_options(parser, default="0; each worker holds a model of its own")
    return parser.parse_args()


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is below 1")
    return number


def show(record: Record) -> None:
    """Print a table for each model."""
    for name, model in record.models.items():
        _cli.console.print(f"{name}: {model['about']['origin']}", markup=False, highlight=False)
        table = Table(box=SIMPLE_HEAD, padding=0)
        table.add_column("codec", overflow="fold")
        for heading in ("bits\nread", "bits\nmore", "acceptance", "tokens\na round", "agreement",
                        "KL\nnats", f"agreement\n- {REFERENCE}", "loss-\nless"):  # fmt: skip
            table.add_column(heading, justify="right")
        for label, codec in model["codecs"].items():
            if "summary" not in codec:
                continue
            bits, figures = codec["bits"], codec["summary"][ALL]
            paired = codec.get(f"minus_{REFERENCE}", {}).get(ALL, {}).get("agreement")
            table.add_row(
                label,
                f"{bits['read_layers']:.2f}",
                f"{bits['stored_extra']:.2f}",
                _interval(figures["acceptance"]),
                f"{figures['tokens_per_round']['value']:.2f}",
                _interval(figures["agreement"]),
                f"{figures['kl_mean']['value']:.3f}",
                _interval(paired),
                "yes" if figures["lossless"] else "NO",
            )
        _cli.console.print(table)


def _interval(estimate: dict[str, float | None] | None) -> str:
    if estimate is None or estimate["value"] is None:
        return "-"
    if estimate["low"] is None:
        return f"{estimate['value']:.3f}"
    return f"{estimate['value']:.3f}\n{estimate['low']:.2f}..{estimate['high']:.2f}"


def run() -> int:
    """Measure, write, show."""
    options = arguments()
    this = Run(options)
    here = options.scheduler is None and not options.workers
    with workers_of(options, 0) as client:
        models = [ModelRun(this, model, here) for model in dict.fromkeys(options.model)]
        for model in models:
            for codec in this.codecs:
                this.record.check_codec(model.name, this.label(codec), identity(codec, this.drafts))
        this.save()  # where it cannot be written is said before anything is measured
        with _cli.progress(sum(model.steps for model in models), "models") as step:
            while models:
                models.pop(0).measure(client, step)
                gc.collect()
    if options.plot:
        plot_acceptance(options.plot, this.record.models)
    show(this.record)
    lossy = [
        f"{label} of {name}"
        for name, model in this.record.models.items()
        for label, codec in model["codecs"].items()
        if not all(each["lossless"] for each in codec["prompts"].values())
    ]
    if lossy and options.backend == "golden":
        raise ModelError(f"tokens differ from plain decoding with {', '.join(lossy)}: a fault")
    return 0


if __name__ == "__main__":
    _cli.main(run, expected=(WorkerError,))
