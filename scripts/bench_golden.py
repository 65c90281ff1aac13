"""Time the golden model beside float32 BLAS, in one run on one thread.

All take the same shape in turn, round after round. The figures are medians over the rounds, in
million multiply-accumulates per second. The float32 product gets its operands converted; the golden
model starts from FP16 patterns and draft nibbles each time.

  python scripts/bench_golden.py
  python scripts/bench_golden.py --tokens 1 --outputs 4096 --depth 4096
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # NumPy reads it when it is first imported

import numpy as np
from rich.table import Table

import _cli
from speq_sim import golden

SEED = 1


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = _cli.parser(__doc__, design=False)
    parser.add_argument("--tokens", metavar="M", type=int, default=8, help="tokens (8)")
    parser.add_argument("--outputs", metavar="N", type=int, default=1536, help="outputs (1536)")
    parser.add_argument("--depth", metavar="K", type=int, default=576, help="products (576)")
    parser.add_argument("--rounds", type=int, default=15, help="rounds of timing (15)")
    options = parser.parse_args()
    for name in ("tokens", "outputs", "depth", "rounds"):
        if getattr(options, name) < 1:
            raise ValueError(f"--{name} is {getattr(options, name)}, but must be 1 or more")
    return options


def contenders(tokens: int, outputs: int, depth: int) -> dict[str, Callable[[], Any]]:
    """What is timed, by the key of its figures."""
    rng = np.random.default_rng(SEED)
    weights = (0.03 * rng.standard_t(5, (outputs, depth))).astype(np.float16)
    activations = rng.standard_normal((tokens, depth)).astype(np.float16)
    nibbles = rng.integers(0, 16, (outputs, depth), dtype=np.uint8)
    draft_values = sorted(rng.integers(0, 64, 8).tolist())
    shifts = rng.integers(0, 16, depth)

    def draft(name: str, lanes: int) -> Any:
        form = golden.block_format(name, lanes)
        return golden.draft(nibbles, draft_values, activations, form=form)

    weights32, activations32 = weights.astype(np.float32), activations.astype(np.float32)
    return {
        "verify": lambda: golden.verify(weights, activations),
        "verify_packed": lambda: golden.verify_packed(weights, activations, shifts),
        "middle": lambda: golden.middle(weights, activations, shifts),
        "draft_bfp6": lambda: draft("bfp6", 4),
        "draft_fp16": lambda: draft("fp16", 1),
        "qdraft": lambda: golden.integer_draft(nibbles, activations),
        "qverify": lambda: golden.integer_verify(nibbles, activations),
        "float32_blas": lambda: activations32 @ weights32.T,
    }


def measure(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median seconds of each call; all are called once before."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    with _cli.progress(rounds, "golden model") as step:
        for call in calls.values():
            call()
        for number in range(rounds):
            step(f"round {number + 1}")
            for name, call in calls.items():
                start = time.perf_counter()
                call()
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def run() -> None:
    """Measure, show, write."""
    options = arguments()
    shape = {"tokens": options.tokens, "outputs": options.outputs, "depth": options.depth}
    medians = measure(contenders(**shape), options.rounds)
    macs = options.tokens * options.outputs * options.depth
    figures = {
        "shape": shape,
        "threads": 1,
        "rounds": options.rounds,
        "median_seconds": medians,
        "mmac_per_second": {name: macs / value / 1e6 for name, value in medians.items()},
        "ratio_to_float32_blas": {
            name: medians["float32_blas"] / value for name, value in medians.items()
        },
    }
    show(figures)
    _cli.write_json(options.json, figures)


def show(figures: dict[str, Any]) -> None:
    """Print the table."""
    shape = figures["shape"]
    table = Table(
        title=f"Golden model, M={shape['tokens']} N={shape['outputs']} K={shape['depth']}, 1 thread"
    )
    table.add_column("")
    for heading in ("ms", "MMAC/s", "of float32 BLAS"):
        table.add_column(heading, justify="right")
    for name, seconds in figures["median_seconds"].items():
        rate, ratio = figures["mmac_per_second"][name], figures["ratio_to_float32_blas"][name]
        table.add_row(name, f"{seconds * 1e3:.2f}", f"{rate:.0f}", f"{ratio:.3f}")
    _cli.console.print(table)


if __name__ == "__main__":
    _cli.main(run)
