"""Pack a model into draft, middle and low planes, tensor by tensor.

Reads safetensors, the index of a sharded model (*.index.json), and GGUF. Every tensor unpacks to
the same bytes. BF16 and FP32 tensors are packed where powers of two make every stored weight exact
in FP16; what cannot be packed is kept, and the report says why. With --int4, matrices become INT4
with FP16 scales instead (QSpec), which is lossy; embeddings and LM heads stay FP16. Peak memory
follows the largest tensor, not the model.
"""

import argparse
import dataclasses
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

import _cli
import _pack_int4
from _pack_report import show
from speq.design_files import load
from speq.formats import pack, unpack
from speq.formats.container import read_weights
from speq.formats.exponents import Exponents, plot_exponents
from speq.formats.model import Options, draft_bits_per_weight, pack_model, verify_model
from speq.formats.sources import open_source
from speq.formats.tables import Family, family
from speq.parameters import TABLE_NAMES, Parameters

BENCHMARK_SHAPE = (4096, 4096)
BENCHMARK_RUNS = 5

STORED = ("packed", "int4", "plain", "as it is")
"""What may become of a tensor."""

NEXT_TO_OUT = Path()
"""Stands for --plot without a path."""


def default_family() -> str:
    """The family of a design that names none."""
    return next(f.default for f in dataclasses.fields(Parameters) if f.name == "family")


def peak_memory() -> int:
    """Largest resident memory of this process so far, in bytes."""
    status = Path("/proc/self/status")
    if status.is_file():
        # Linux's getrusage begins with the peak of whoever started the process; this does not.
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def pack_file(arguments: argparse.Namespace, members: Family) -> dict[str, Any]:
    """Pack a model, write the result, verify and plot it where asked; the figures of the report."""
    memory = peak_memory()
    int4 = _pack_int4.options(arguments)
    source = open_source(arguments.input)
    importance = read_weights(arguments.importance) if arguments.importance else {}
    options = Options(not arguments.no_columns, arguments.round, importance, int4)
    exponents = Exponents() if arguments.plot else None
    steps = len(source.tensors) * (2 if arguments.verify else 1)
    with _cli.progress(steps, "packing") as step:
        start = time.perf_counter()
        reports = pack_model(
            source, arguments.output, members, options, step=step, exponents=exponents
        )
        seconds = time.perf_counter() - start
        if arguments.verify:
            verify_model(source, arguments.output, reports, step=step)
        verify_seconds = time.perf_counter() - start - seconds
    peak = peak_memory()
    weights = sum(report.weights for report in reports)
    largest = max((tensor.nbytes for tensor in source.tensors), default=0)
    figures = {
        "input": source.name,
        "output": arguments.output.name,
        "family": members.name,
        "verified": bool(arguments.verify),
        "input_bytes": source.nbytes,
        "output_bytes": arguments.output.stat().st_size,
        "weights": weights,
        "weights_packed": sum(r.weights for r in reports if r.stored == "packed"),
        "seconds": round(seconds, 3),
        "gb_per_s": round(2 * weights / 1e9 / seconds, 4),
        "gb_per_s_counts": "2 bytes per weight, as in FP16",
        "verify_seconds": round(verify_seconds, 3) if arguments.verify else None,
        "largest_tensor_bytes": largest,
        "memory_before_bytes": memory,
        "peak_memory_bytes": peak,
        "peak_memory_per_largest_tensor": round(peak / largest, 2) if largest else None,
        "tensors_stored": {
            kind: sum(report.stored == kind for report in reports) for kind in STORED
        },
        "tensors_rounded": sum(r.rounding is not None for r in reports),
        "draft_bits_per_weight": round(draft_bits_per_weight(reports), 3),
        "int4": _pack_int4.figures(options.int4, reports),
        "remarks": list(source.remarks),
        "tensors": [report.as_dict() for report in reports],
    }
    if exponents is not None:
        figures["exponents"] = exponents.as_dict()
        path = arguments.plot
        if path == NEXT_TO_OUT:
            path = arguments.output.with_suffix(".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        plot_exponents(exponents, source.name, path)
        figures["plot"] = path.name
    show(figures, reports)
    return figures


def benchmark(members: Family) -> dict[str, Any]:
    """Time packing and unpacking beside copying the same bytes, best of some runs each."""
    generator = np.random.default_rng(0)
    weights = (generator.standard_normal(BENCHMARK_SHAPE, dtype=np.float32) * 0.03).astype(
        np.float16
    )
    target = np.empty_like(weights)
    best = {"copyto": np.inf, "pack": np.inf, "unpack": np.inf}

    def timed(name: str, action: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = action()
        best[name] = min(best[name], time.perf_counter() - start)
        return result

    with _cli.progress(BENCHMARK_RUNS, "timing") as step:
        for run in range(BENCHMARK_RUNS):
            step(f"run {run + 1} of {BENCHMARK_RUNS}")
            timed("copyto", lambda: np.copyto(target, weights))
            packed = timed("pack", lambda: pack(weights, members))
            back = timed("unpack", lambda packed=packed: unpack(packed, members))
    if back.tobytes() != weights.tobytes():
        raise ValueError("the benchmark's tensor does not unpack to its own bytes")
    gigabytes = weights.nbytes / 1e9
    return {
        "family": members.name,
        "shape": list(BENCHMARK_SHAPE),
        "fp16_bytes": weights.nbytes,
        "best_of": BENCHMARK_RUNS,
        "seconds": {name: round(value, 4) for name, value in best.items()},
        "gb_per_s": {name: round(gigabytes / value, 3) for name, value in best.items()},
        "ratio_pack_to_copyto_time": round(best["pack"] / best["copyto"], 1),
        "ratio_unpack_to_copyto_time": round(best["unpack"] / best["copyto"], 1),
    }


def show_benchmark(figures: dict[str, Any]) -> None:
    """Print the timings."""
    table = Table(title=f"4096 x 4096 FP16, family {figures['family']}, one core")
    for column in ("", "seconds", "GB/s of FP16"):
        table.add_column(column, justify="right" if column else "left")
    for name, seconds in figures["seconds"].items():
        table.add_row(name, f"{seconds:.3f}", f"{figures['gb_per_s'][name]:.2f}")
    _cli.console.print(table)


def main() -> None:
    """Run the command."""
    parser = _cli.parser(__doc__, design=False)
    parser.add_argument(
        "input", metavar="IN", type=Path, nargs="?", help="safetensors file, index.json or GGUF"
    )
    parser.add_argument("output", metavar="OUT", type=Path, nargs="?", help="packed file to write")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument(
        "--family", choices=TABLE_NAMES, help=f"family of code tables ({default_family()})"
    )
    choice.add_argument("--design", help="take the family of this design file or preset")
    parser.add_argument(
        "--verify", action="store_true", help="read the result back and compare every byte"
    )
    parser.add_argument(
        "--importance", metavar="PATH", type=Path,
        help="safetensors file: per tensor name, a vector of each input's mean square; errors "
        "are weighted by it",
    )  # fmt: skip
    parser.add_argument(
        "--round", action="store_true",
        help="round BF16, FP32 and de-quantised matrices to FP16 where it cannot hold them",
    )  # fmt: skip
    parser.add_argument(
        "--plot", metavar="PATH", type=Path, nargs="?", const=NEXT_TO_OUT,
        help="draw the exponents before and after scaling as PNG (without PATH: next to OUT)",
    )  # fmt: skip
    _pack_int4.add_arguments(parser)
    parser.add_argument("--no-columns", action="store_true", help="never scale columns")
    parser.add_argument(
        "--benchmark", action="store_true",
        help="pack nothing: time packing of a random 4096 x 4096 tensor beside numpy.copyto",
    )  # fmt: skip
    arguments = parser.parse_args()
    name = load(arguments.design).family if arguments.design else arguments.family
    members = family(name or default_family())
    if arguments.compare:
        figures = _pack_int4.compare(arguments)
    elif arguments.benchmark:
        if arguments.input or arguments.output:
            raise ValueError("--benchmark packs no file: leave out IN and OUT")
        figures = benchmark(members)
        show_benchmark(figures)
    else:
        if arguments.input is None or arguments.output is None:
            raise ValueError("give IN and OUT, or --benchmark")
        figures = pack_file(arguments, members)
    _cli.write_json(arguments.json, figures)


if __name__ == "__main__":
    _cli.main(main)
