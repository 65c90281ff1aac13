"""Formats of draft activations side by side: area, MACs per cycle, and what each does to results.

Area is of the design with each format that its PEs can be built for. Signal to noise is of the
outputs of real layers on their real inputs, by the golden model: against the same draft weights
with FP16 activations (the format's own noise), and against the FP16 layer. Blocks that are larger
than a PE's are measured, too: noise alone, for nothing in a PE gets smaller by them.

  python scripts/compare_activations.py small --plot formats.png --json formats.json
  python scripts/compare_activations.py small --no-area --model model.gguf
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

import _cli
from speq.emission import emit
from speq.formats import family
from speq.parameters import Parameters
from speq.synthesis import Area, Job, Switches, measure_all, runs_of
from speq.variants import VERIFY_ONLY, by_activation_format
from speq_sim.activation_formats import LayerNoise, layer_noise
from speq_sim.decoding import FastBackend, Llama, capture, greedy, load_model, load_tokenizer
from speq_sim.decoding.measure import PROMPTS
from speq_sim.format_plot import plot_formats
from speq_sim.golden import BlockFormat, block_format
from synth_area import find_libraries

PARTS = ("q", "o", "gate", "down")
"""Layers of a block that are measured; k, v and up have the inputs of q and gate."""

BLOCK_SIZES = (4, 8, 16, 32)
"""Block sizes whose noise is compared; the first is that of four lanes."""

TOKENS = 32
"""Tokens that are generated behind the prompt."""


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = _cli.parser(__doc__)
    parser.add_argument(
        "--model",
        default="smollm2-135m",
        help=f"a model file, or one of {', '.join(PROMPTS)} (default: %(default)s)",
    )
    parser.add_argument("--no-area", action="store_true", help="leave the synthesis out")
    parser.add_argument("--liberty", action="append", default=[], help="as in synth_area.py")
    parser.add_argument("--plot", metavar="PATH", type=Path, help="also draw a PNG")
    return parser.parse_args()


def measure_noise(model: str, variants: dict[str, Parameters]) -> dict[str, LayerNoise]:
    """Noise of some layers of a model by name: those of its first, middle and last block."""
    weights = load_model(model)
    backend = FastBackend(weights.matrices)
    prompt = list(range(1, 9))  # any tokens do, where the model may have no tokenizer
    if model in PROMPTS:
        prompt = load_tokenizer(model).chat(PROMPTS[model])
    tokens = prompt + greedy(Llama(weights, backend), prompt, TOKENS)
    inputs = capture(weights, backend, tokens)
    last = weights.config.layers - 1
    names = [f"layer.{block}.{part}" for block in (0, last // 2, last) for part in PARTS]
    tables = family(next(iter(variants.values())).family)
    formats = {
        label: block_format(design.activation_format, design.draft_lanes)
        for label, design in variants.items()
        if label != VERIFY_ONLY
    }
    formats |= {
        _block_label(bits, size): BlockFormat(bits, size) for bits in (6, 8) for size in BLOCK_SIZES
    }
    found = {}
    with _cli.progress(len(names), "layers") as step:
        for name in names:
            found[name] = layer_noise(weights.matrices[name], inputs[name], tables, formats)
            step(name)
    return found


def measure_areas(
    options: argparse.Namespace, variants: dict[str, Parameters]
) -> dict[str, Area] | None:
    """Area of every variant."""
    if options.no_area:
        return None
    options.constr = None
    libraries = find_libraries(options)
    with tempfile.TemporaryDirectory(prefix="speq-") as name:
        jobs = []
        for design in variants.values():
            emission = emit(design, Path(name) / design.name)
            jobs.append(Job(emission.verilog, emission.top, Switches(), libraries, parts=False))
        with _cli.progress(runs_of(jobs), "synthesis") as step:
            return dict(zip(variants, measure_all(jobs, progress=step), strict=True))


def summary(
    variants: dict[str, Parameters], areas: dict[str, Area] | None, noise: dict[str, LayerNoise]
) -> dict[str, Any]:
    """All figures as one JSON object."""
    formats = {}
    for label, design in variants.items():
        entry: dict[str, Any] = {}
        if label != VERIFY_ONLY:
            entry = {
                "format": design.activation_format,
                "block": design.draft_lanes,
                "macs_per_cycle": design.peak_macs_per_cycle("draft"),
                "activation_sqnr_db": _mean(each.activations[label] for each in noise.values()),
                "least_activation_sqnr_db": _least(
                    each.activations[label] for each in noise.values()
                ),
                "output_sqnr_db": _mean(each.output[label] for each in noise.values()),
            }
        if areas is not None:
            entry |= _area(areas[label], areas[VERIFY_ONLY])
        formats[label] = entry
    return {
        "formats": formats,
        "own_sqnr_db_by_block": {
            f"{bits} bits": {
                str(size): _mean(
                    each.activations[_block_label(bits, size)] for each in noise.values()
                )
                for size in BLOCK_SIZES
            }
            for bits in (6, 8)
        },
        "qverify": {
            "pairs_sqnr_db": _mean(each.pairs for each in noise.values()),
            "fp16_accumulate_sqnr_db": _mean(each.fp16_accumulate for each in noise.values()),
        },
        "layers": {
            name: {"activations": each.activations, "output": each.output, "pairs": each.pairs}
            for name, each in noise.items()
        },
    }


def _block_label(bits: int, size: int) -> str:
    return f"{bits} bits in blocks of {size}"


def _mean(values: Any) -> float | None:
    """Mean in dB; None if a format changes nothing."""
    mean = float(np.mean(list(values)))
    return round(mean, 2) if np.isfinite(mean) else None


def _least(values: Any) -> float | None:
    least = min(values)
    return round(least, 2) if np.isfinite(least) else None


def _area(area: Area, reference: Area) -> dict[str, Any]:
    found: dict[str, Any] = {
        "transistors": area.count.transistors,
        "ratio": round(area.count.transistors / reference.count.transistors, 4),
    }
    if area.libraries:
        ours, theirs = area.libraries[0], reference.libraries[0]
        found |= {
            "area": ours.area,
            "area_ratio": round(ours.area / theirs.area, 4),
            "delay_ps": ours.delay_ps,
        }
    return found


def show(figures: dict[str, Any]) -> None:
    """Print the table."""
    table = Table()
    for heading in (
        "format x lanes",
        "MACs/cycle",
        "transistors",
        "ratio",
        "format's own SQNR, dB",
        "least",
        "draft layer's SQNR, dB",
    ):
        table.add_column(heading, justify="right")

    def text(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    for label, entry in figures["formats"].items():
        table.add_row(
            label,
            text(entry.get("macs_per_cycle"), ","),
            text(entry.get("transistors"), ","),
            text(entry.get("ratio"), ".3f"),
            text(entry.get("activation_sqnr_db"), ".1f"),
            text(entry.get("least_activation_sqnr_db"), ".1f"),
            text(entry.get("output_sqnr_db"), ".2f"),
        )
    _cli.console.print(table)
    for bits, sizes in figures["own_sqnr_db_by_block"].items():
        listed = ", ".join(f"{value} dB in blocks of {size}" for size, value in sizes.items())
        _cli.console.print(f"{bits}: {listed}")
    pairs = figures["qverify"]
    _cli.console.print(
        f"QVERIFY, pairs of 12 bits: {pairs['pairs_sqnr_db']} dB against exact FP16 activations; "
        f"FP16 accumulation of the same product: {pairs['fp16_accumulate_sqnr_db']} dB"
    )


def run() -> None:
    """Measure, show, write."""
    options = arguments()
    variants = by_activation_format(_cli.design_of(options))
    noise = measure_noise(options.model, variants)
    figures = summary(variants, measure_areas(options, variants), noise)
    _cli.write_json(options.json, {"model": options.model, **figures})
    if options.plot:
        plot_formats(options.plot, figures["formats"])
    show(figures)


if __name__ == "__main__":
    _cli.main(run)
